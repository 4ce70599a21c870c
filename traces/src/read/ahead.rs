//! Chunks that are read, and unpacked, before somebody asks for them: by another thread, where there is one.
//!
//! Whoever goes through events says beforehand which chunks that takes, in about which order. Another thread takes one after
//! the other of those, a few more than were asked for. Who asks for one gets it if it is there, reads it if nobody began to,
//! and while another one reads it, reads the next that nobody began with: so both are busy where reading takes longer than
//! what is read is good for. Nothing depends on the order, and nobody waits for a thread that does not read at that moment:
//! where there is none, all is as without it.
//!
//! Chunks of a file that is being written are read some earlier, each as one that is whole or was recycled: as before.

use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::file::{Body, ChunkRef, File};

/// Work that may be done at the same time, on another thread.
pub type Work<'w> = Box<dyn FnOnce() + Send + 'w>;

/// Who has it done; says whether somebody does it.
pub type Beside<'b, 'w> = &'b dyn Fn(Work<'w>) -> bool;

/// Bytes of chunks that are there before somebody asks for them, or the fewest chunks where those are large.
const AHEAD_BYTES: usize = 512 << 10;
const AHEAD_MIN: usize = 2;
/// Fewer chunks are read sooner than a thread begins.
const WORTH_CHUNKS: usize = 8;

/// A chunk to be read.
#[derive(Clone)]
pub(super) struct Job<'a> {
    pub(super) file: Arc<File<'a>>,
    pub(super) chunk: ChunkRef,
}

impl Job<'_> {
    fn read(&self, body: &mut Body) -> Outcome {
        self.file.body(&self.chunk, body)
    }
}

/// What [`File::body`] says.
type Outcome = io::Result<Option<bool>>;

/// Chunks that are read ahead; no more, once this is dropped.
pub(super) struct Ahead<'a>(Arc<Shared<'a>>);

struct Shared<'a> {
    jobs: Arc<[Job<'a>]>,
    /// Chunks that may be there, or be read, before somebody asks for them.
    window: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// All jobs before it were begun.
    next: usize,
    /// What was done of each job.
    done: Vec<Done>,
    /// How many of them are begun and not asked for yet.
    ahead: usize,
    /// Room of chunks that nobody looks at any more.
    spare: Vec<Body>,
    is_over: bool,
}

/// What was done of a job.
enum Done {
    Nothing,
    Begun,
    All(Body, Outcome),
    Taken,
}

impl<'a> Ahead<'a> {
    /// Begins, if somebody does it.
    pub(super) fn begin(jobs: Arc<[Job<'a>]>, beside: Option<Beside<'_, 'a>>) -> Option<Self> {
        let beside = beside.filter(|_| jobs.len() >= WORTH_CHUNKS)?;
        let longest = jobs.iter().map(|job| job.file.chunk_bytes()).max()?;
        let state = State {
            next: 0,
            done: jobs.iter().map(|_| Done::Nothing).collect(),
            ahead: 0,
            spare: Vec::new(),
            is_over: false,
        };
        let ahead = Self(Arc::new(Shared {
            jobs,
            window: (AHEAD_BYTES / longest.max(1)).max(AHEAD_MIN),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }));
        let shared = Arc::clone(&ahead.0);
        beside(Box::new(move || shared.work())).then_some(ahead)
    }

    /// Reads the chunk of a job into `body`, as [`File::body`] does.
    pub(super) fn read(&self, number: usize, body: &mut Body) -> Outcome {
        let shared = &*self.0;
        let mut state = shared.lock();
        loop {
            match state.done.get_mut(number) {
                Some(done @ Done::Nothing) => {
                    *done = Done::Taken;
                    break;
                }
                Some(done @ Done::All(..)) => {
                    let Done::All(read, outcome) = mem::replace(done, Done::Taken) else {
                        break;
                    };
                    state.spare.push(mem::replace(body, read));
                    state.ahead = state.ahead.saturating_sub(1);
                    // Who waits for room gets some at once, and is woken less often.
                    if state.ahead <= shared.window / 2 {
                        shared.changed.notify_all();
                    }
                    return outcome;
                }
                Some(Done::Begun) => {
                    state = match state.begin(shared.window) {
                        Some((other, room)) => shared.read(state, other, room),
                        None => shared.wait(state),
                    };
                }
                // Asked for twice, or by who asks for what is no job.
                Some(Done::Taken) | None => break,
            }
        }
        drop(state);
        match shared.jobs.get(number) {
            Some(job) => job.read(body),
            None => Ok(None),
        }
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

impl State {
    /// Begins with the next job, unless there is enough already; with room for its chunk.
    fn begin(&mut self, window: usize) -> Option<(usize, Body)> {
        if self.ahead >= window {
            return None;
        }
        while let Some(done) = self.done.get_mut(self.next) {
            let number = self.next;
            self.next += 1;
            if matches!(done, Done::Nothing) {
                *done = Done::Begun;
                self.ahead += 1;
                return Some((number, self.spare.pop().unwrap_or_default()));
            }
        }
        None
    }

    fn is_all_begun(&self) -> bool {
        self.next >= self.done.len()
    }
}

impl Shared<'_> {
    /// A panic elsewhere leaves nothing half done in there.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let woken = self.changed.wait(state);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// What the other thread does.
    fn work(&self) {
        let mut state = self.lock();
        while !state.is_over && !state.is_all_begun() {
            state = match state.begin(self.window) {
                Some((number, room)) => self.read(state, number, room),
                None => self.wait(state),
            };
        }
    }

    /// Reads the chunk of a job that was begun, while others do what they like.
    fn read<'s>(
        &'s self,
        state: MutexGuard<'s, State>,
        number: usize,
        mut room: Body,
    ) -> MutexGuard<'s, State> {
        drop(state);
        let mut begun = Begun {
            shared: self,
            number,
            done: Done::Nothing,
        };
        if let Some(job) = self.jobs.get(number) {
            let outcome = job.read(&mut room);
            begun.done = Done::All(room, outcome);
        }
        drop(begun);
        self.lock()
    }
}

/// A job that is being done. If that fails, it is as if nobody had begun with it.
struct Begun<'s, 'a> {
    shared: &'s Shared<'a>,
    number: usize,
    done: Done,
}

impl Drop for Begun<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let known = mem::replace(&mut self.done, Done::Taken);
        if matches!(known, Done::Nothing) {
            state.ahead = state.ahead.saturating_sub(1);
        }
        if let Some(done) = state.done.get_mut(self.number) {
            *done = known;
        }
        self.shared.changed.notify_all();
    }
}
