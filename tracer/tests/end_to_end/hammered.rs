//! The program `hammer`, and its acknowledgements. What a trace must hold because of them is said in
//! [`crate::account`].
//!
//! `hammer` records as fast as it can and acknowledges each record in a shared file, so that it can be
//! killed at any moment and its trace be compared with what was promised. Record `i` of a thread is a
//! leak, a peek or a reclaim as `i % 3` is 0, 1 or 2; a peek says its thread and its round, `i / 3`. A
//! handler's record is a peek with another mark, its thread and its number.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::{PATIENCE, entries, raw_folder, scenario, tracer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

pub(crate) const THREADS: usize = 4;

/// `hammer` at work.
pub(crate) struct Hammered {
    /// Our child: the recorder, or `hammer` itself where there is none.
    pub(crate) parent: Child,
    /// Its acknowledgements.
    pub(crate) ack: PathBuf,
    /// Below it lies the recording folder.
    pub(crate) raw: PathBuf,
}

impl Hammered {
    /// Starts it under `tracer record`, told how much to keep.
    pub(crate) fn under_a_recorder(folder: &Path, room: &str, options: &[&str]) -> Self {
        let raw = raw_folder(folder);
        std::fs::create_dir_all(&raw).unwrap();
        let command = recorder(folder, room, &raw);
        Self::start(command, folder, raw, options)
    }

    /// As [`Hammered::under_a_recorder`], with a limit on the size of files, in what the shell counts by.
    pub(crate) fn with_small_files(folder: &Path, room: &str, limit: &str) -> Self {
        let raw = raw_folder(folder);
        std::fs::create_dir_all(&raw).unwrap();
        let inner = recorder(folder, room, &raw);
        let mut command = Command::new("sh");
        command.current_dir(folder).arg("-c");
        command.arg(format!("ulimit -f {}; exec \"$0\" \"$@\"", limit));
        command.arg(inner.get_program()).args(inner.get_args());
        command.env_remove("TRACER_DIR");
        Self::start(command, folder, raw, &[])
    }

    /// As [`Hammered::under_a_recorder`], with the recording in `raw`.
    pub(crate) fn recorded_in(raw: &Path, folder: &Path, room: &str) -> Self {
        let command = recorder(folder, room, raw);
        Self::start(command, folder, raw.to_path_buf(), &[])
    }

    /// Starts it with a recording folder of ours and nobody who would seal it.
    pub(crate) fn alone(folder: &Path, session: &str, options: &[&str]) -> Self {
        use std::os::unix::fs::DirBuilderExt;
        let raw = raw_folder(folder);
        let recording = raw.join("recording");
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700).recursive(true);
        private.create(&recording).unwrap();
        std::fs::write(recording.join("session"), session).unwrap();
        let mut command = tracer(folder);
        command.args(["__scenario", "hammer", "--seconds", "2000"]);
        command.env("TRACER_DIR", &recording);
        Self::start(command, folder, raw, options)
    }

    fn start(mut command: Command, folder: &Path, raw: PathBuf, options: &[&str]) -> Self {
        let ack = folder.join("ack");
        let _ = std::fs::remove_file(&ack);
        command.args(options).arg("--ack").arg(&ack);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let parent = command.spawn().unwrap();
        Self { parent, ack, raw }
    }

    /// Waits until so many records were made, and says which process makes them.
    pub(crate) fn wait_for(&mut self, records: u64) -> Process {
        wait_for(records, &self.ack, &mut self.parent);
        Process::in_recording(&self.raw)
    }

    /// The process file in the recording folder.
    pub(crate) fn file(&self) -> PathBuf {
        let folder = entries(&self.raw).remove(0);
        let mut files = entries(&folder);
        files.retain(|path| path.extension().is_some_and(|end| end == "trc"));
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }
}

fn recorder(folder: &Path, room: &str, raw: &Path) -> Command {
    let mut command = tracer(folder);
    command.args(["record", room, "--dir"]).arg(raw).arg("--");
    command.args(scenario(&["hammer", "--seconds", "2000"]));
    command
}

/// Waits until so many records were acknowledged.
pub(crate) fn wait_for(records: u64, ack: &Path, parent: &mut Child) {
    let started = Instant::now();
    loop {
        let acknowledged = Acknowledged::read(ack);
        if acknowledged.own.iter().sum::<u64>() >= records {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "too slow: {acknowledged:?}");
        assert!(parent.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
}

/// A process that need not be our child: held by a descriptor, so that its number cannot come to mean
/// another one. It is killed at the end, whatever became of the test.
pub(crate) struct Process {
    handle: OwnedFd,
    pid: i32,
}

impl Process {
    /// The one process that has a file in the recording folder below `raw`.
    pub(crate) fn in_recording(raw: &Path) -> Self {
        Self::find(raw).expect("there is a process file")
    }

    pub(crate) fn find(raw: &Path) -> Option<Self> {
        let folder = entries(raw).into_iter().next()?;
        // The folder may be sealed and removed while it is looked at.
        let mut files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
        let is_trace = |name: &str| name.ends_with(".trc");
        let name =
            files.find_map(|file| file.file_name().into_string().ok().filter(|n| is_trace(n)))?;
        let pid = name.split('-').next()?.parse().ok()?;
        let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Self { handle, pid })
    }

    /// Sends a signal until the process is over: the handler that Rust's library has for SIGSEGV takes
    /// the first one that was sent for its own.
    pub(crate) fn end(&self, signal: Signal) {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < PATIENCE, "it does not die");
            if pidfd_send_signal(&self.handle, signal).is_err() || self.is_over(20) {
                return;
            }
        }
    }

    /// Stops it, and waits until none of its threads runs.
    pub(crate) fn stop(&self) {
        pidfd_send_signal(&self.handle, Signal::STOP).unwrap();
        let started = Instant::now();
        while !self.is_stopped() {
            assert!(started.elapsed() < PATIENCE, "it does not stop");
            std::thread::yield_now();
        }
    }

    fn is_stopped(&self) -> bool {
        entries(Path::new(&format!("/proc/{}/task", self.pid)))
            .iter()
            .all(|task| {
                let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
                stat.rsplit(") ")
                    .next()
                    .is_some_and(|rest| rest.starts_with('T'))
            })
    }

    fn is_over(&self, milliseconds: i64) -> bool {
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: milliseconds * 1_000_000,
        };
        let mut fds = [PollFd::new(&self.handle, PollFlags::IN)];
        poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
    }
}

/// Records that were made for certain, by thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) own: [u64; THREADS],
    /// Of the signal handler.
    pub(crate) handled: [u64; THREADS],
}

impl Acknowledged {
    pub(crate) fn read(ack: &Path) -> Self {
        let mut page = [0; 4096];
        if let Ok(file) = File::open(ack) {
            let _ = file.read_at(&mut page, 0);
        }
        let word = |at: usize| u64::from_le_bytes(page[at * 64..at * 64 + 8].try_into().unwrap());
        Self {
            own: std::array::from_fn(word),
            handled: std::array::from_fn(|thread| word(THREADS + thread)),
        }
    }
}
