//! A process group for each test: when a test takes too long, what it started ends with it.
//!
//! The keyboard's signals do not reach another group, so each test asks to be ended with whoever started it. Both
//! have to be said in the new process, which is this program until it becomes the test.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use crate::exit::Failure;
use crate::record::started;

/// The hidden command that a test begins as.
pub(super) const NAME: &str = "__matrix-group";

/// The same command, in a group of its own. The thread that starts it has to wait for it.
pub(super) fn of_its_own(command: &Command) -> Result<Command> {
    let tracer = std::env::current_exe().context("cannot find this program")?;
    let mut own = Command::new(tracer);
    own.args([NAME, "--"])
        .arg(command.get_program())
        .args(command.get_args());
    Ok(own)
}

/// Ends what is left of a group whose first process has been waited for.
pub(super) fn end(group: Pid) {
    // Fails where nobody is left.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
}

/// The hidden command.
pub(crate) fn run(words: &[OsString]) -> Failure {
    let set = rustix::process::setpgid(None, None)
        .and_then(|()| rustix::process::set_parent_process_death_signal(Some(Signal::TERM)));
    if let Err(error) = set {
        return anyhow::Error::new(error)
            .context("cannot give a test a process group of its own")
            .into();
    }
    started::become_it(words)
}
