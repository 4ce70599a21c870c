//! `--until-finding`: reads and judges the recording while the program runs, and ends it at the first finding, so
//! that what led to it is not overwritten.
//!
//! A finding counts when two looks in a row have it: the files of running threads are read one after the other,
//! so that one look may miss the leak whose submission it sees.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

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
            .find(|found| before.iter().any(|(print, _)| *print == found.0));
        if let Some((_, line)) = confirmed {
            return Some(line.clone());
        }
        pause = if now.is_empty() {
            PAUSE.max(began.elapsed() * PAUSE_FACTOR)
        } else {
            // Nobody waits long for the second look.
            Duration::ZERO
        };
        before = now;
    }
}

/// The causes found so far: fingerprint, and the line to say. None while there is nothing to read.
fn look(folder: &Folder) -> Vec<(u64, String)> {
    let Ok(trace) = crate::open::read(folder.path()) else {
        return Vec::new();
    };
    let heads = trace.verdict().stories.iter().map(|story| &story.head);
    heads
        .map(|finding| {
            let line = format!("{}: {}", finding.rule, finding.message);
            (finding.fingerprint, line)
        })
        .collect()
}
