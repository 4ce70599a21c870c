//! Exit codes: every number this program can end with, and the one place that picks it.
//!
//! Everything below `main` returns a [`Failure`] or an [`Exit`]; nothing calls `process::exit` on its
//! own, so that recordings are sealed and terminals restored before the process is gone.

use std::io;

/// No finding.
pub(crate) const CLEAN: u8 = 0;
/// At least one finding.
pub(crate) const FINDINGS: u8 = 1;
/// The command line is wrong, or a trace could not be looked at.
pub(crate) const CANNOT_LOOK: u8 = 2;
/// No finding, but something that was lost could have been one.
pub(crate) const CANNOT_TELL: u8 = 3;
/// `record` ended the program because it took longer than it was given.
pub(crate) const TIMED_OUT: u8 = 124;
/// `record` could not do its own part.
pub(crate) const RECORD_FAILED: u8 = 125;
/// The recorded command was found and could not be run.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The recorded command was not found.
pub(crate) const NOT_FOUND: u8 = 127;

/// How this process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With a code.
    Code(u8),
    /// By the signal that ended the recorded program, so that a caller sees the same.
    Signal(i32),
}

/// Why a command could not do what it was asked, and the code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit code.
    pub(crate) code: u8,
    /// What, where, and what to do next.
    pub(crate) error: anyhow::Error,
}

impl Failure {
    /// A failure with its own code.
    pub(crate) fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
        }
    }

    /// Whether the reader of our output went away, which is a normal end (`tracer dump | head`).
    fn is_broken_pipe(&self) -> bool {
        self.error.chain().any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    }
}

/// Commands other than `record` fail with the code for "could not look" unless they say otherwise.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            code: CANNOT_LOOK,
            error,
        }
    }
}

/// What commands do by themselves with bytes is to print them; all else says what it was about.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            code: CANNOT_LOOK,
            error: anyhow::Error::new(error).context("cannot write the output"),
        }
    }
}

/// Prints what went wrong, if anything, and ends the process.
pub(crate) fn finish(result: Result<Exit, Failure>) -> ! {
    let code = match result {
        Ok(Exit::Code(code)) => code,
        Ok(Exit::Signal(signal)) => die_by(signal),
        Err(failure) if failure.is_broken_pipe() => CLEAN,
        Err(failure) => {
            crate::talk::error(&failure.error);
            failure.code
        }
    };
    std::process::exit(i32::from(code))
}

/// Ends as the recorded program ended, without a core dump that would only show this program.
fn die_by(signal: i32) -> ! {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Either of these may be refused; a core dump too many is not worth another error.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    // Real-time signals have no default handler to emulate: say it as a shell would.
    std::process::exit(128 + signal)
}
