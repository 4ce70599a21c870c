//! What of a recorded program goes on when the recording ends: daemons that it started.
//!
//! They are known by the recording folder in their environment. Those that record to a file are in the trace as far as
//! they had come; the others had nothing to record yet, and find no folder any more when they do.

use std::os::unix::ffi::OsStrExt;

use super::folder::Folder;
use super::{session, spawn};

/// Processes that were started with a recording's folder, still run, and record to no file in it.
pub(super) fn behind(folder: &Folder) -> Vec<u32> {
    let mut variable = format!("{}=", session::VARIABLE).into_bytes();
    variable.extend_from_slice(folder.path().as_os_str().as_bytes());
    let files = folder.process_files().unwrap_or_default();
    // What began before cannot be ours, and to read the environment of a process that hangs in the kernel takes for ever.
    let since = spawn::start_time(std::process::id()).map_or(0, |(start, _)| start);
    let is_late = |pid: &u32| {
        spawn::start_time(*pid).is_some_and(|(start, is_alive)| is_alive && start >= since)
    };
    let records = |pid: u32| files.iter().any(|file| file.pid == pid);
    let is_ours = |pid: &u32| {
        // Of others' processes it cannot be read.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|line| line == variable)
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| !records(*pid))
        .filter(is_late)
        .filter(is_ours)
        .collect()
}
