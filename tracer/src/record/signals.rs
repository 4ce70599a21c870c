//! Signals that reach the recorder while a program runs.
//!
//! The recorder survives them, because a recording must be sealed. Those that somebody sent to the
//! recorder alone are passed on; those that the kernel sent, because a key was pressed or the terminal
//! went away, have reached the program's process group already and are not doubled. A signal that was
//! ignored when the recorder started stays ignored, for the program too (`nohup`, shell jobs).
//! Stopping and continuing need nothing: both processes are in one group and stop together.
//! SIGUSR2 is for the recorder: it ends the recording, and the program goes on.
//!
//! This file holds the crate's use of signal handlers.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2, SIGXFSZ};

/// What is passed on.
const FORWARDED: [(i32, Signal); 4] = [
    (SIGINT, Signal::INT),
    (SIGQUIT, Signal::QUIT),
    (SIGTERM, Signal::TERM),
    (SIGHUP, Signal::HUP),
];

/// Bit of a noted signal that says who sent it. Numbers of signals are below it.
const FROM_KERNEL: u8 = 0x80;

/// Signals caught since [`Caught::install`], until there is somebody to pass them on to.
#[derive(Debug)]
pub(crate) struct Caught {
    received: OwnedFd,
}

/// What is done with the signals that arrive; changed as the recording goes on.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    reaction: Arc<Mutex<Reaction>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// They go on to the program; those of the kernel too, where it is in another session and has not got them.
    PassOn(Pid, bool),
    /// They are survived: the recording is being sealed.
    Survive,
    /// They end this process, as if nothing had ever been caught.
    Default,
}

impl Caught {
    /// From here on the signals are caught. Before the program starts, so that none is missed; the
    /// program itself starts with default handlers, as exec resets them.
    pub(crate) fn install() -> io::Result<Self> {
        let ignored = ignored_at_start();
        let is_ignored = |signal: i32| ignored & (1 << (signal - 1)) != 0;
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (received, send) = rustix::pipe::pipe_with(flags)?;
        // The forwarding thread waits for bytes; only handlers must never wait.
        rustix::io::ioctl_fionbio(&received, false)?;
        let send = Arc::new(send);
        let numbers = FORWARDED.iter().map(|(number, _)| *number);
        for number in numbers.chain([SIGUSR2]) {
            if !is_ignored(number) {
                catch(number, Arc::clone(&send))?;
            }
        }
        if is_ignored(SIGCHLD) {
            // Left ignored, the kernel would throw the program's exit status away.
            signal_hook::flag::register(SIGCHLD, Arc::default())?;
        }
        Ok(Self { received })
    }

    /// Passes on to `pid`, a child that was not waited for yet: what was caught so far, and from now on. `is_apart`
    /// says that it is in a session of its own.
    /// `stop` is called for SIGUSR2.
    pub(crate) fn pass_on_to(
        self,
        pid: Pid,
        is_apart: bool,
        stop: impl Fn() + Send + 'static,
    ) -> io::Result<Signals> {
        let reaction = Arc::new(Mutex::new(Reaction::PassOn(pid, is_apart)));
        let shared = Arc::clone(&reaction);
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let mut note = [0];
                loop {
                    match rustix::io::read(&self.received, &mut note) {
                        Ok(0) => return,
                        Ok(_) => react(&shared, note[0], &stop),
                        Err(Errno::INTR) => {}
                        Err(_) => return,
                    }
                }
            })?;
        Ok(Signals { reaction })
    }
}

impl Signals {
    /// From here on signals are survived. None is passed on after this returns: the program's number
    /// may soon belong to another process.
    pub(crate) fn survive(&self) {
        self.set(Reaction::Survive);
    }

    /// Whether the program still runs.
    pub(crate) fn has_program(&self) -> bool {
        let reaction = self.reaction.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*reaction, Reaction::PassOn(..))
    }

    /// Asks the program to end, and what it started, if it still runs and is in a session of its own.
    pub(crate) fn end_program(&self) {
        let reaction = self.reaction.lock().unwrap_or_else(PoisonError::into_inner);
        if let Reaction::PassOn(pid, true) = *reaction {
            let _ = rustix::process::kill_process_group(pid, Signal::TERM);
        }
    }

    /// From here on signals do what they do by default.
    pub(crate) fn let_through(&self) {
        self.set(Reaction::Default);
    }

    /// Sends the program a signal, unless its number may belong to another process by now.
    pub(crate) fn send(&self, signal: Signal) {
        let reaction = self.reaction.lock().unwrap_or_else(PoisonError::into_inner);
        if let Reaction::PassOn(pid, _) = *reaction {
            // Fails only where the program changed its user; then it is not ours to signal.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn set(&self, reaction: Reaction) {
        *self.reaction.lock().unwrap_or_else(PoisonError::into_inner) = reaction;
    }
}

fn react(reaction: &Mutex<Reaction>, note: u8, stop: &dyn Fn()) {
    let reaction = reaction.lock().unwrap_or_else(PoisonError::into_inner);
    let number = i32::from(note & !FROM_KERNEL);
    if number == SIGUSR2 {
        match *reaction {
            Reaction::PassOn(..) => stop(),
            Reaction::Survive => {}
            Reaction::Default => drop(signal_hook::low_level::emulate_default_handler(number)),
        }
        return;
    }
    let Some((_, signal)) = FORWARDED.iter().find(|(known, _)| *known == number) else {
        return;
    };
    match *reaction {
        Reaction::PassOn(_, false) if note & FROM_KERNEL != 0 => {}
        // A key is meant for all that would have been in the foreground.
        Reaction::PassOn(pid, true) if note & FROM_KERNEL != 0 => {
            let _ = rustix::process::kill_process_group(pid, *signal);
        }
        // Fails only where the program changed its user; then it is not ours to signal.
        Reaction::PassOn(pid, _) => drop(rustix::process::kill_process(pid, *signal)),
        Reaction::Survive => {}
        Reaction::Default => drop(signal_hook::low_level::emulate_default_handler(number)),
    }
}

/// A file that grows past the limit of this process (`ulimit -f`) is an error of its write, and not the end of
/// this process. Programs that it starts have the default again, as exec resets handlers.
pub(crate) fn survive_large_files() {
    if ignored_at_start() & (1 << (SIGXFSZ - 1)) == 0 {
        // Without it all is as it would have been.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    }
}

/// Survives a signal, and notes it in the pipe.
fn catch(number: i32, send: Arc<OwnedFd>) -> io::Result<()> {
    let number_byte = u8::try_from(number).unwrap_or(0);
    let action = move |info: &libc::siginfo_t| {
        // Above 0 the kernel is the sender: a key, or the end of the terminal.
        let origin = if info.si_code > 0 { FROM_KERNEL } else { 0 };
        // A full pipe holds thousands of signals that nobody took yet; one more says nothing new.
        let _ = rustix::io::write(&*send, &[number_byte | origin]);
    };
    // SAFETY: the action runs in a signal handler. It reads values it owns and makes one `write`
    // system call, directly and not through libc: no allocation, no lock, no panic, `errno` untouched.
    unsafe { signal_hook_registry::register_sigaction(number, action) }?;
    Ok(())
}

/// Mask of the signals that this process was started with as ignored.
fn ignored_at_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    mask_in(&status)
}

fn mask_in(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status_file() {
        let mask = mask_in("Name:\tx\nSigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\n");
        assert_eq!(mask, 0x1001);
        assert_ne!(mask & (1 << (SIGHUP - 1)), 0);
        assert_eq!(mask & (1 << (SIGTERM - 1)), 0);
        assert_eq!(mask_in(""), 0);
    }
}
