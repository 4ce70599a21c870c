//! `--until-finding`: reads and judges the recording while the program runs, and ends it at the first finding, so
//! that what led to it is not overwritten.
//!
//! A look ends where it began: what threads record while their files are read one after the other is left to the
//! next one. A finding counts when two looks in a row have it, because a thread may have been stopped just before
//! it finished a record of an earlier time.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use traces::finding::{Finding, Subject};

use super::folder::Folder;

/// The shortest pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// A pause is so many times as long as the look before it took: no more than a tenth of a core goes into looking.
const PAUSE_FACTOR: u32 = 10;

/// The way to the thread, which says nothing more once this is dropped. Nobody waits for its last look.
#[derive(Debug)]
pub(crate) struct Lookout {
    _end: Sender<()>,
}

impl Lookout {
    /// Begins to look at the files of a folder; calls `stop` once, at the first finding.
    pub(crate) fn start(folder: Folder, stop: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (end, ended) = channel();
        std::thread::Builder::new()
            .name("lookout".into())
            .spawn(move || {
                if let Some(finding) = first_finding(&folder, &ended) {
                    crate::talk::line(finding);
                    stop();
                }
            })?;
        Ok(Self { _end: end })
    }
}

/// Waits for a finding; nothing where the program ended before there was one.
fn first_finding(folder: &Folder, ended: &Receiver<()>) -> Option<String> {
    let mut pause = PAUSE;
    let mut before = Vec::new();
    loop {
        if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return None;
        }
        let began = Instant::now();
        let now = look(folder);
        if ended.try_recv() == Err(TryRecvError::Disconnected) {
            return None;
        }
        let confirmed = now
            .iter()
            .find(|found| before.iter().any(|(key, _)| *key == found.0));
        if let Some((_, line)) = confirmed {
            return Some(line.clone());
        }
        pause = PAUSE.max(began.elapsed() * PAUSE_FACTOR);
        before = now;
    }
}

/// What stays of a finding from one look to the next: generations count anew when the oldest are overwritten.
pub(crate) type Key = (u64, Subject);

/// The causes found so far, each with the line to say. None while there is nothing to read.
fn look(folder: &Folder) -> Vec<(Key, String)> {
    let Ok(trace) = crate::open::read_running(folder.path()) else {
        return Vec::new();
    };
    let heads = trace.verdict().stories.iter().map(|story| &story.head);
    heads
        .map(|finding| {
            let line = format!("{}: {}", finding.rule, finding.message);
            (key(finding), line)
        })
        .collect()
}

/// By what a finding is known again at the next look.
pub(crate) fn key(finding: &Finding) -> Key {
    (finding.fingerprint, lasting(finding.subject))
}

fn lasting(subject: Subject) -> Subject {
    match subject {
        Subject::Generation {
            process, address, ..
        } => Subject::Generation {
            process,
            address,
            generation: 0,
        },
        other => other,
    }
}
