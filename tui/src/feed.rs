//! Who reads for the viewer: on a thread of its own, so that there is a screen before there is a trace, and keys are
//! answered while it works. What it has goes one way, what the viewer would like to have the other.

use std::cell::Cell;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use traces::Trace;
use traces::finding::Verdict;

use crate::live::{Reading, Watched};
use crate::notes::Note;
use crate::timeline::Index;

/// The shortest time between two reports of how far the reading has come: what a screen can show.
const BETWEEN: Duration = Duration::from_millis(40);

/// Who reads, and what has to be known of it.
pub struct Feed {
    pub(crate) read: Box<dyn FnOnce(&Reports) + Send>,
    pub(crate) outlives: bool,
}

impl Feed {
    /// A reader; it is run once, on a thread of its own, and nobody waits for it when the viewer ends.
    pub fn new(read: impl FnOnce(&Reports) + Send + 'static) -> Self {
        Self {
            read: Box::new(read),
            outlives: false,
        }
    }

    /// The caller goes on when the viewer has ended, and catches the signals of this process itself then.
    #[must_use]
    pub fn outlives_viewer(self) -> Self {
        Self {
            outlives: true,
            ..self
        }
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

/// What the reader tells.
#[derive(Debug)]
pub(crate) enum News {
    Reading(Reading),
    /// With when the recording was as it shows, where it goes on.
    Arrived(Box<Arrived>, Option<Instant>),
    /// The recording was then still as the latest look shows it.
    Still(Instant),
    Watched(Watched),
    GaveUp,
}

/// A trace to be shown from now on, with what was made of it already.
#[derive(Debug)]
pub struct Arrived {
    /// The trace.
    pub trace: Trace,
    /// What is to be shown as its verdict.
    pub verdict: Verdict,
    /// Notes that it has; nothing where those of the trace before are its notes.
    pub notes: Option<Vec<Note>>,
    /// Its lanes, where the viewer shows them.
    pub index: Option<Index>,
    /// Whether it is the last look at its recording, so that its events keep their numbers.
    pub is_last: bool,
}

/// What the viewer would like to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) is_paused: bool,
    /// Lanes of all events.
    pub(crate) lanes: bool,
    pub(crate) has_left: bool,
}

#[derive(Debug, Default)]
struct Shared {
    wants: Mutex<Wants>,
    changed: Condvar,
}

impl Shared {
    fn wants(&self) -> MutexGuard<'_, Wants> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader's end.
#[derive(Debug)]
pub struct Reports {
    news: Sender<News>,
    /// Wakes the viewer.
    waker: UnixStream,
    shared: Arc<Shared>,
    /// Traces that are not shown any more: to let go of millions of events takes time, too.
    done_with: Receiver<Trace>,
    told: Cell<Option<Instant>>,
}

impl Reports {
    /// How far the first reading has come. May be called often.
    pub fn reading(&self, reading: Reading) {
        let now = Instant::now();
        let last = self.told.get();
        if last.is_some_and(|last| now.duration_since(last) < BETWEEN) {
            return;
        }
        self.told.set(Some(now));
        self.tell(News::Reading(reading));
    }

    /// What became of the recording.
    pub fn watched(&self, watched: Watched) {
        self.tell(News::Watched(watched));
    }

    /// A trace to show from now on, with its verdict and, where it is not a later look at the one before, its notes.
    pub fn trace(&self, trace: Trace, verdict: Verdict, notes: Option<Vec<Note>>) {
        self.arrive(trace, verdict, notes, false, None);
    }

    /// A look at a recording that goes on, which shows it as it was then.
    pub fn look(&self, trace: Trace, verdict: Verdict, then: Instant) {
        self.arrive(trace, verdict, None, false, Some(then));
    }

    /// The recording was then still as the look before shows it.
    pub fn still(&self, then: Instant) {
        self.tell(News::Still(then));
    }

    /// The last look at the recording that was shown so far. [`Outside::settle`](crate::Outside::settle) is called when
    /// the viewer has taken it over, and not before: until then notes have the numbers of the look before.
    pub fn last(&self, trace: Trace, verdict: Verdict) {
        self.arrive(trace, verdict, None, true, None);
    }

    fn arrive(
        &self,
        trace: Trace,
        verdict: Verdict,
        notes: Option<Vec<Note>>,
        is_last: bool,
        then: Option<Instant>,
    ) {
        let wants_lanes = self.shared.wants().lanes;
        let index = wants_lanes.then(|| {
            let mut index = Index::default();
            while index.work(&trace) {}
            index
        });
        let arrived = Box::new(Arrived {
            trace,
            verdict,
            notes,
            index,
            is_last,
        });
        self.tell(News::Arrived(arrived, then));
    }

    /// There is nothing to show: the viewer ends.
    pub fn give_up(&self) {
        self.tell(News::GaveUp);
    }

    /// Whether the viewer shows nothing new at this moment.
    pub fn is_paused(&self) -> bool {
        self.shared.wants().is_paused
    }

    /// Waits, until the viewer has left or has resumed at the longest. False where it has left.
    pub fn wait(&self, time: Duration) -> bool {
        while self.done_with.try_recv().is_ok() {}
        let wants = self.shared.wants();
        let was_paused = wants.is_paused;
        let goes_on = |wants: &mut Wants| !wants.has_left && (!was_paused || wants.is_paused);
        let waited = self.shared.changed.wait_timeout_while(wants, time, goes_on);
        let (wants, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !wants.has_left
    }

    fn tell(&self, news: News) {
        // Fails only where the viewer has ended.
        let _ = self.news.send(news);
        // A full pipe wakes it as well.
        let _ = (&self.waker).write(&[0]);
    }
}

/// The viewer's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    news: Receiver<News>,
    shared: Arc<Shared>,
    done_with: Sender<Trace>,
    known: Wants,
}

impl Inbox {
    /// Starts the reader.
    pub(crate) fn start(feed: Feed, waker: UnixStream) -> std::io::Result<Self> {
        let (sender, news) = channel();
        let (done_with, old) = channel();
        let shared = Arc::new(Shared::default());
        let reports = Reports {
            news: sender,
            waker,
            shared: shared.clone(),
            done_with: old,
            told: Cell::new(None),
        };
        std::thread::Builder::new()
            .name("reader".into())
            .spawn(move || (feed.read)(&reports))?;
        Ok(Self {
            news,
            shared,
            done_with,
            known: Wants::default(),
        })
    }

    /// The next news, if there are any.
    pub(crate) fn next(&self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// Says what is wanted from now on.
    pub(crate) fn want(&mut self, wants: Wants) {
        if wants != self.known {
            self.known = wants;
            *self.shared.wants() = wants;
            self.shared.changed.notify_all();
        }
    }

    /// Gives a trace away that is not shown any more.
    pub(crate) fn done_with(&self, trace: Trace) {
        // Where the reader has ended it is let go of here.
        let _ = self.done_with.send(trace);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.want(Wants {
            has_left: true,
            ..self.known
        });
    }
}
