//! Starts the program that is recorded, and waits for its end. Its input and output are its own, unless a viewer has
//! the terminal.
//!
//! This file holds what runs between fork and exec.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::anyhow;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::deadline::Deadline;
use super::session;
use super::signals::{Caught, Signals};
use super::{Onlooker, Step};
use crate::exit::{Failure, NOT_EXECUTABLE, NOT_FOUND, RECORD_FAILED};

/// How the recorded program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It exited with this code.
    Exited(u8),
    /// A signal ended it.
    Signal {
        /// Which.
        number: i32,
        /// Whether a core was dumped.
        core: bool,
    },
}

/// The end of the recorded program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Its process id.
    pub(crate) pid: u32,
    /// Its start in clock ticks since boot; 0 where `/proc` does not say.
    pub(crate) start_time: u64,
    /// How it ended.
    pub(crate) how: How,
    /// When that was seen, by `CLOCK_MONOTONIC` in ns.
    pub(crate) at_ns: u64,
    /// Whether it was ended because it took too long.
    pub(crate) timed_out: bool,
}

/// Runs `command` with the recording folder announced to it, and with more variables, for no longer than `limit`.
/// From its end on, signals to this process are survived until [`Signals`] are told otherwise. `stop` is called when a
/// signal asks for an end of the recording.
pub(crate) fn run(
    command: &[OsString],
    folder: &Path,
    more: impl IntoIterator<Item = (&'static str, OsString)>,
    limit: Option<Duration>,
    caught: Caught,
    stop: impl Fn() + Send + 'static,
    onlooker: Option<Onlooker>,
) -> Result<(End, Signals), Failure> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Failure::new(RECORD_FAILED, anyhow!("there is no command to record")))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env(session::VARIABLE, folder)
        .envs(more);
    let steps = match onlooker {
        Some(onlooker) => {
            keep_off_the_terminal(&mut command, &onlooker.log)
                .map_err(|error| Failure::new(RECORD_FAILED, error))?;
            Some((onlooker.steps, folder))
        }
        None => None,
    };
    let child = command.spawn();
    // It holds the log open.
    drop(command);
    let child = child.map_err(|error| cannot_run(program, &error))?;
    wait(child, caught, limit, stop, steps).map_err(|error| {
        Failure::new(
            RECORD_FAILED,
            anyhow!(error).context("cannot wait for the program; its recording stays"),
        )
    })
}

/// Gives a program what is redirected, and instead of the terminal nothing to read and a log to write to. In a session
/// of its own it has no terminal that it could open by name either, and keys that signal do not reach it.
fn keep_off_the_terminal(command: &mut Command, log: &File) -> io::Result<()> {
    if io::stdin().is_terminal() {
        command.stdin(Stdio::null());
    }
    if io::stdout().is_terminal() {
        command.stdout(log.try_clone()?);
    }
    if io::stderr().is_terminal() {
        command.stderr(log.try_clone()?);
    }
    // SAFETY: between fork and exec one system call is made; it touches no memory, and neither allocates nor locks.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
    Ok(())
}

/// Waits in two steps: the end is seen first, and its start time read, while the process number
/// still belongs to it.
fn wait(
    mut child: Child,
    caught: Caught,
    limit: Option<Duration>,
    stop: impl Fn() + Send + 'static,
    steps: Option<(Sender<Step>, &Path)>,
) -> io::Result<(End, Signals)> {
    let id = child.id();
    let pid = i32::try_from(id)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidData)?;
    let signals = caught.pass_on_to(pid, steps.is_some(), stop)?;
    let deadline = limit
        .map(|limit| Deadline::start(limit, id, signals.clone()))
        .transpose()?;
    let tell = |step| {
        if let Some((steps, _)) = &steps {
            // Fails only where nobody looks on any more.
            let _ = steps.send(step);
        }
    };
    if let Some((_, folder)) = &steps {
        tell(Step::Started {
            folder: folder.to_path_buf(),
            signals: signals.clone(),
        });
    }
    let ended = loop {
        match rustix::process::waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        ) {
            Ok(Some(status)) => break status,
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let at_ns = super::clock::monotonic_ns();
    let start_time = start_time(id).map_or(0, |(start, _)| start);
    signals.survive();
    child.wait()?;
    let timed_out = deadline.is_some_and(Deadline::end);
    let how = match (ended.terminating_signal(), ended.exit_status()) {
        (Some(number), _) => How::Signal {
            number,
            core: ended.dumped(),
        },
        (None, code) => How::Exited(code.unwrap_or(0).to_le_bytes()[0]),
    };
    tell(Step::Ended(how));
    let end = End {
        pid: id,
        start_time,
        how,
        at_ns,
        timed_out,
    };
    Ok((end, signals))
}

/// What the system says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The process that started it, or took it over.
    pub(super) parent: u32,
    /// Its start in clock ticks since boot.
    pub(super) start: u64,
    /// Whether it is still more than a zombie.
    pub(super) is_alive: bool,
}

/// Start of a process in clock ticks since boot, and whether it is still more than a zombie.
pub(crate) fn start_time(pid: u32) -> Option<(u64, bool)> {
    stat(pid).map(|stat| (stat.start, stat.is_alive))
}

pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses may hold anything, so fields are counted from the last parenthesis.
fn parse_stat(stat: &str) -> Option<Stat> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat {
        parent,
        start: fields.nth(17)?.parse().ok()?,
        is_alive: !matches!(state, "Z" | "X"),
    })
}

pub(super) fn cannot_run(program: &OsString, error: &io::Error) -> Failure {
    let name = crate::safe::os(program);
    let is_path = program.as_encoded_bytes().contains(&b'/');
    let (code, why) = match error.kind() {
        io::ErrorKind::NotFound if is_path => (
            NOT_FOUND,
            format!("{name}: no such file (or the interpreter that it names does not exist)"),
        ),
        io::ErrorKind::NotFound => (NOT_FOUND, format!("{name}: not found in PATH")),
        // The system says "not permitted" also where only a folder of PATH could not be searched.
        io::ErrorKind::PermissionDenied if !is_path && !is_in_path(program) => (
            NOT_FOUND,
            format!("{name}: not found in PATH, of which a part cannot be searched"),
        ),
        io::ErrorKind::PermissionDenied if std::path::Path::new(program).is_dir() => {
            (NOT_EXECUTABLE, format!("{name}: is a folder"))
        }
        io::ErrorKind::PermissionDenied => (
            NOT_EXECUTABLE,
            format!("{name}: not executable, or not permitted"),
        ),
        _ => (NOT_EXECUTABLE, format!("{name}: cannot be run: {error}")),
    };
    Failure::new(code, anyhow!("{why}; nothing was recorded"))
}

fn is_in_path(program: &OsString) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_found_behind_a_hostile_name() {
        let fields = "R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(
            parse_stat(&format!("7 (a) Z 1) b) {fields}")),
            Some(Stat {
                parent: 1,
                start: 4711,
                is_alive: true
            })
        );
        assert_eq!(
            parse_stat(&format!("7 (x) {}", fields.replace('R', "Z"))),
            Some(Stat {
                parent: 1,
                start: 4711,
                is_alive: false
            })
        );
        assert_eq!(parse_stat("7 (x"), None);
        assert_eq!(parse_stat("7 (x) R 1 2"), None);
    }

    #[test]
    fn own_start_time_is_known() {
        assert!(start_time(std::process::id()).is_some_and(|(start, alive)| start > 0 && alive));
    }
}
