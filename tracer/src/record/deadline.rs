//! Ends a program that takes too long, with all that it started: by asking, then by force.
//!
//! A shell or `make` dies when it is asked to, and what it runs goes on with its output, which whoever waits for that
//! output would wait for. So all processes below the program are told. One that made itself a daemon is nobody's.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::signals::Signals;
use super::spawn::{Stat, stat};

/// How long what was asked to end may take over it.
const GRACE: Duration = Duration::from_secs(10);
/// How soon it is noticed that all have ended.
const TICK: Duration = Duration::from_millis(20);

/// The thread that waits for the program's end.
pub(super) struct Deadline {
    over: Sender<()>,
    thread: JoinHandle<bool>,
}

impl Deadline {
    /// For a child that was not waited for yet.
    pub(super) fn start(limit: Duration, program: u32, signals: Signals) -> io::Result<Self> {
        let (over, ended) = channel();
        let thread = std::thread::Builder::new()
            .name("deadline".into())
            .spawn(move || {
                let is_late = ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
                if is_late {
                    crate::talk::line(format_args!(
                        "the program did not end within {} s and is asked to (SIGTERM); its trace is written then",
                        limit.as_secs()
                    ));
                    end(program, &signals);
                }
                is_late
            })?;
        Ok(Self { over, thread })
    }

    /// The program has ended; says whether that was because of the deadline. What it started has ended, too, then.
    pub(super) fn end(self) -> bool {
        // Fails only where the thread has ended already.
        let _ = self.over.send(());
        self.thread.join().unwrap_or(false)
    }
}

fn end(program: u32, signals: &Signals) {
    // Before the first of them dies: then nothing says any more whose the others were.
    let below = below(program);
    signals.send(Signal::TERM);
    below.iter().for_each(|process| process.send(Signal::TERM));
    let asked = Instant::now();
    while signals.has_program() || below.iter().any(Process::is_alive) {
        if asked.elapsed() >= GRACE {
            signals.send(Signal::KILL);
            below.iter().for_each(|process| process.send(Signal::KILL));
            return;
        }
        std::thread::sleep(TICK);
    }
}

/// A process by its number and its start: numbers are given out again.
struct Process {
    pid: u32,
    start: u64,
}

impl Process {
    fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.start == self.start && stat.is_alive)
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_alive()) {
            // Fails only where it has another user; then it is not ours to signal.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// All processes that a process started, and that those started.
fn below(program: u32) -> Vec<Process> {
    let mut children: HashMap<u32, Vec<(u32, Stat)>> = HashMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push((pid, stat));
        }
    }
    let mut found = Vec::new();
    let mut left = vec![program];
    while let Some(parent) = left.pop() {
        for (pid, stat) in children.remove(&parent).unwrap_or_default() {
            let start = stat.start;
            found.push(Process { pid, start });
            left.push(pid);
        }
    }
    found
}
