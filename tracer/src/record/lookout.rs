//! `--until-finding`: reads and judges the recording while the program runs, and ends it at the first finding, so
//! that what led to it is not overwritten.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::folder::Folder;
use crate::looks::{Look, Looks, Pace, Wanted};

/// The shortest pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest one while nothing is recorded: to find out is cheap.
const PAUSE_IDLE: Duration = Duration::from_secs(1);
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
    let mut pace = Pace::new(PAUSE, PAUSE_IDLE, PAUSE_FACTOR);
    let mut pause = PAUSE;
    let mut looks = Looks::new(Wanted::Verdict);
    loop {
        if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return None;
        }
        let began = Instant::now();
        let look = looks.look(folder.path());
        if ended.try_recv() == Err(TryRecvError::Disconnected) {
            return None;
        }
        pause = pace.pause(began, matches!(look, Look::New(..)));
        if let Look::New(found) = look
            && let Some(story) = found.1.stories.first()
        {
            return Some(format!("{}: {}", story.head.rule, story.head.message));
        }
    }
}
