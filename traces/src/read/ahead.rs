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

/// Who has it done, beside what is being done; says whether somebody does it.
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
        let window = (AHEAD_BYTES / longest.max(1)).max(AHEAD_MIN);
        Self::begin_with(jobs, window, beside)
    }

    /// Begins, with at most so many chunks that nobody asked for yet.
    fn begin_with(jobs: Arc<[Job<'a>]>, window: usize, beside: Beside<'_, 'a>) -> Option<Self> {
        let state = State {
            next: 0,
            done: jobs.iter().map(|_| Done::Nothing).collect(),
            ahead: 0,
            spare: Vec::new(),
            is_over: false,
        };
        let ahead = Self(Arc::new(Shared {
            jobs,
            window,
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::*;
    use crate::input::ReadAt;

    /// Longer than any machine takes: who does not come is a failure, and no hang.
    const LONG: Duration = Duration::from_secs(60);
    const CHUNKS: u64 = 8;
    const CHUNK_BYTES: u64 = (wire::layout::CHUNK_HEADER_WORDS * 8 + 8) as u64;

    /// Chunks whose word says which they are. Another thread than the one that made it says which one it is about to read,
    /// and waits until it may.
    struct Held {
        here: ThreadId,
        says: Sender<u64>,
        may: Mutex<Receiver<()>>,
    }

    impl ReadAt for Held {
        fn len(&self) -> io::Result<u64> {
            Ok(CHUNKS * CHUNK_BYTES)
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let number = offset / CHUNK_BYTES;
            let is_whole = buffer.len() as u64 == CHUNK_BYTES;
            if is_whole && thread::current().id() != self.here {
                // Where the test is over, or failed, nobody holds it any more.
                let _ = self.says.send(number);
                let _ = self.may.lock().unwrap().recv();
            }
            buffer.fill(0);
            if is_whole {
                let end = buffer.len() - 8;
                buffer[end..].copy_from_slice(&number.to_le_bytes());
            }
            Ok(buffer.len())
        }
    }

    #[test]
    fn no_more_is_read_ahead_than_there_is_room_for() {
        let (says, said) = channel();
        let (lets, may) = channel();
        let held = Arc::new(Held {
            here: thread::current().id(),
            says,
            may: Mutex::new(may),
        });
        let (file, chunks) = File::of_chunks(held, CHUNKS);
        let file = Arc::new(file);
        let jobs: Vec<Job<'_>> = chunks
            .into_iter()
            .map(|chunk| Job {
                file: Arc::clone(&file),
                chunk,
            })
            .collect();
        let next = || said.recv_timeout(LONG);
        thread::scope(|scope| {
            // Dropped before the thread is waited for, so that a failure lets it go.
            let lets = lets;
            let beside: Beside<'_, '_> = &|work| {
                scope.spawn(work);
                true
            };
            let ahead = Ahead::begin_with(jobs.into(), 2, beside).unwrap();
            let until = |is_so: &dyn Fn(&State) -> bool| {
                let mut state = ahead.0.lock();
                while !is_so(&state) {
                    let (now, waited) = ahead.0.changed.wait_timeout(state, LONG).unwrap();
                    if waited.timed_out() {
                        return None;
                    }
                    state = now;
                }
                Some((state.next, state.ahead))
            };
            let is_there =
                |state: &State, number: usize| matches!(state.done[number], Done::All(..));
            let read = |number: usize| {
                let mut body = Body::default();
                assert_eq!(ahead.read(number, &mut body).unwrap(), Some(true));
                assert_eq!(body.words(), [number as u64]);
            };

            // Two, and then it waits, with nobody who asks.
            for number in 0..2 {
                assert_eq!(next(), Ok(number));
                lets.send(()).unwrap();
            }
            assert_eq!(until(&|state| is_there(state, 1)), Some((2, 2)));
            assert!(ahead.0.lock().begin(2).is_none());
            // What nobody began with is read here, and makes no room.
            read(2);
            assert!(ahead.0.lock().begin(2).is_none());
            // One that was asked for does, and what was read here is left out.
            read(0);
            assert_eq!(next(), Ok(3));
            assert_eq!(until(&|_| true), Some((4, 2)));
            // While that is read, who asks for it has no room to read another one, and waits.
            thread::scope(|scope| {
                scope.spawn(|| lets.send(()).unwrap());
                read(3);
            });
            assert_eq!(next(), Ok(4));
            assert_eq!(until(&|_| true), Some((5, 2)));
            // With room, who waits for one reads the next.
            read(1);
            thread::scope(|scope| {
                scope.spawn(|| {
                    let is_read = until(&|state| is_there(state, 5));
                    lets.send(()).unwrap();
                    assert!(is_read.is_some());
                });
                read(4);
            });
            assert_eq!(next(), Ok(6));
            assert_eq!(until(&|_| true), Some((7, 2)));
            lets.send(()).unwrap();
            read(5);
            assert_eq!(next(), Ok(7));
            lets.send(()).unwrap();
            read(6);
            read(7);
            assert!(ahead.0.lock().is_all_begun());
        });
    }
}
