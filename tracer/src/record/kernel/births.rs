//! When processes began, and what they run: asked of the system while they live, for what happened is worked through
//! later.

use std::path::PathBuf;

use rustc_hash::FxHashMap;

use super::file::Whose;
use super::sample::{Entry, Said};
use crate::record::spawn;

/// What is known of processes.
#[derive(Debug, Default)]
pub(super) struct Births {
    by_pid: FxHashMap<u32, Whose>,
    /// The latest of them: most of what comes is about the same one.
    met: u32,
}

impl Births {
    /// Looks at a process while it may still live.
    pub(super) fn meet(&mut self, entry: &Entry) {
        match &entry.said {
            // A thread is no process, and a process is its parent's image until it is another one.
            Said::Exit | Said::Lost(_) => {}
            Said::Comm(_) | Said::Exec(_) if entry.pid == entry.tid => {
                let mut now = look(entry.pid, 0, entry.at);
                // Gone already: what was seen of it is better than a guess.
                if now.exe.as_os_str().is_empty()
                    && let Some(known) = self.by_pid.get(&entry.pid)
                {
                    let exe = std::mem::take(&mut now.exe);
                    now = Whose {
                        exe,
                        ..known.clone()
                    };
                }
                self.by_pid.insert(entry.pid, now);
            }
            Said::Fork { parent } if parent.0 != entry.pid => {
                self.by_pid
                    .insert(entry.pid, look(entry.pid, parent.0, entry.at));
            }
            _ if entry.pid != self.met => {
                let fresh = || look(entry.pid, 0, entry.at);
                self.by_pid.entry(entry.pid).or_insert_with(fresh);
                self.met = entry.pid;
            }
            _ => {}
        }
    }

    pub(super) fn get_mut(&mut self, pid: u32) -> Option<&mut Whose> {
        self.by_pid.get_mut(&pid)
    }

    /// What is known of a process.
    pub(super) fn known(&self, pid: u32, at: u64) -> Whose {
        let known = self.by_pid.get(&pid).cloned();
        known.unwrap_or_else(|| look(pid, 0, at))
    }
}

/// What the system says of a process; when it began is guessed where it is gone already.
fn look(pid: u32, parent: u32, at: u64) -> Whose {
    let stat = spawn::stat(pid);
    let exe = std::fs::read_link(format!("/proc/{pid}/exe"));
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    Whose {
        pid,
        own_pid: status.map_or(pid, |status| own_pid(&status).unwrap_or(pid)),
        parent: stat.map_or(parent, |stat| stat.parent),
        start_time: stat.map_or_else(|| since_boot(at), |stat| stat.start),
        exe: exe.unwrap_or_else(|_| PathBuf::new()),
    }
}

/// The number of a process in the innermost namespace that it is in, by its `/proc/PID/status`.
fn own_pid(status: &str) -> Option<u32> {
    let mut lines = status.lines();
    let numbers = lines.find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().next_back()?.parse().ok()
}

/// A time of `CLOCK_MONOTONIC` in clock ticks since boot.
fn since_boot(at: u64) -> u64 {
    let ns = |id| {
        let now = rustix::time::clock_gettime(id);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    };
    let slept = ns(rustix::time::ClockId::Boottime) - ns(rustix::time::ClockId::Monotonic);
    let tick = 1_000_000_000
        / i64::try_from(rustix::param::clock_ticks_per_second())
            .unwrap_or(100)
            .max(1);
    let at = i64::try_from(at).unwrap_or(i64::MAX).saturating_add(slept);
    u64::try_from(at / tick).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_called_as_it_calls_itself() {
        assert_eq!(
            own_pid("Name:\tx\nPid:\t9\nNSpid:\t9559\t12\t1\nNSsid:\t4\n"),
            Some(1)
        );
        assert_eq!(own_pid("NSpid:\t77\n"), Some(77));
        assert_eq!(own_pid("Name:\tNSpid\n"), None);
        let own = look(std::process::id(), 0, 0);
        assert_eq!(
            (own.pid, own.own_pid),
            (std::process::id(), std::process::id())
        );
    }
}
