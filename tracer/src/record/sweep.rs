//! Gives back what the files of processes that have ended took and never used: a program may start thousands, and each has
//! some room set aside when it first records.
//!
//! A process may be in another namespace, where its number is another one, and `/proc` may not show all: a file counts
//! as left only when two looks in a row found no process of its name, and nobody that has it mapped.

use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::budget::Budget;
use super::folder::{self, Folder, ProcessFile};
use super::room;

/// How long between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The way to the thread, which ends once this is dropped. Nobody waits for its last look.
#[derive(Debug)]
pub(crate) struct Sweep {
    _end: Sender<()>,
}

impl Sweep {
    /// Begins to look at the files of a folder.
    pub(crate) fn start(folder: Folder) -> std::io::Result<Self> {
        let (end, ended) = channel();
        std::thread::Builder::new()
            .name("sweep".into())
            .spawn(move || run(&folder, &ended))?;
        Ok(Self { _end: end })
    }
}

fn run(folder: &Folder, ended: &Receiver<()>) {
    let mut left = Left::default();
    let budget = Budget::of(folder.path());
    while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        for file in left.look(folder.process_files().unwrap_or_default(), folder::mapped) {
            // Not every disk can: then it has to do with what there is.
            if let Ok(bytes) = room::give_back_unused(&file.path) {
                let _ = budget.give_back(bytes);
            }
        }
    }
}

/// What the looks so far have found.
#[derive(Debug, Default)]
struct Left {
    /// Files that are done with.
    done: HashSet<OsString>,
    /// Files that the look before found left.
    before: HashSet<OsString>,
}

impl Left {
    /// Those of the files that are left for the second time. `mapped` says which ones anybody has mapped.
    fn look(
        &mut self,
        mut files: Vec<ProcessFile>,
        mapped: impl FnOnce() -> HashSet<OsString>,
    ) -> Vec<ProcessFile> {
        files.retain(|file| !self.done.contains(&file.name) && !file.is_there());
        if !files.is_empty() {
            let mapped = mapped();
            files.retain(|file| !mapped.contains(&file.name));
        }
        let now = files.iter().map(|file| file.name.clone()).collect();
        let before = std::mem::replace(&mut self.before, now);
        files.retain(|file| before.contains(&file.name));
        self.done.extend(files.iter().map(|file| file.name.clone()));
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_left_when_two_looks_find_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (me, start) = (
            std::process::id(),
            crate::record::start_time(std::process::id()).unwrap().0,
        );
        // Of this process; of one that is gone; of one that is known under another number here.
        let names = [
            format!("{me}-{start}-1.trc"),
            "4194305-7-2.trc".to_owned(),
            "4194306-7-3.trc".to_owned(),
        ];
        for name in &names {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let files = || folder::process_files(folder.path()).unwrap();
        let mapped = |names: &[&String]| names.iter().map(OsString::from).collect::<HashSet<_>>();
        let mut left = Left::default();
        let mut look = |in_use: &[&String]| {
            let found = left.look(files(), || mapped(in_use)).into_iter();
            found.map(|file| file.name).collect::<Vec<_>>()
        };
        assert!(look(&[&names[2]]).is_empty(), "the first look");
        assert_eq!(look(&[&names[2]]), [OsString::from(&names[1])]);
        assert!(look(&[&names[2]]).is_empty(), "once");
        assert!(look(&[]).is_empty(), "its first look");
        assert_eq!(look(&[]), [OsString::from(&names[2])]);
    }
}
