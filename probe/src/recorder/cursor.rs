//! Where a thread writes next: the hot path of every hook.
//!
//! A thread owns one cursor and so one lane. A signal handler that records while the thread is inside
//! a record finds the depth above zero and writes to a second lane of its own; one level deeper, the
//! record is lost and counted. So each lane is written strictly one record after the other, and stays
//! sorted by time.
//!
//! Reading order: [`record`], then [`room`] (where it goes) and [`life`] (whose a cursor is).
//!
//! Holds `unsafe`: the thread's pointer to its cursor, and the chunk behind the cursor.

mod life;
#[cfg(feature = "preload")]
mod look;
mod room;

use core::cell::Cell;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering, compiler_fence,
};

use wire::layout::{self, CHUNK_HEADER_WORDS, ChunkKind, lane};
use wire::payload::pair;
use wire::protocol::{self, ChunkHeader};
use wire::record::{Header, Kind, WITH_STACK};

use crate::recorder::intern::{OriginKey, Origins};
use crate::recorder::process::{self, Process};
use crate::recorder::{clock, modules, stack, sys};

pub(crate) use life::thread_ends;
#[cfg(any(feature = "assert", feature = "c"))]
pub(crate) use life::{enter_scope, scope};
#[cfg(feature = "preload")]
pub use look::{Look, Row};
use room::Room;

std::thread_local! {
    // Without a destructor: it can be used to the very end of a thread, and in signal handlers.
    static CURSOR: Cell<*const Cursor> = const { Cell::new(core::ptr::null()) };
    // The same where the hot path may use it: null while a record is being written, in recordings that
    // take the slow path always, and where there is none.
    static HOT: Cell<*const Cursor> = const { Cell::new(core::ptr::null()) };
}

/// Sets `HOT`. `LocalKey::set` would be a call.
#[inline(always)]
fn set_hot(cursor: *const Cursor) {
    HOT.with(|hot| hot.set(cursor));
}

/// Bytes of records that share a time in recordings by batch, at most; longer records count whole.
const BATCH_BYTES: u64 = 1024;

/// A lane's writing end. In memory that is wiped in a forked child: then it has no room, and the slow
/// path finds out why. Only the owning thread touches it, except for `state`; the fields are atomics
/// because its signal handlers do so too.
#[repr(C, align(128))]
pub(crate) struct Cursor {
    events: Room,
    /// Ticks that the next record's difference counts from.
    base_ticks: AtomicU64,
    /// Header bits of the time that records share, in recordings by batch; 0 where each has its own.
    stamp: AtomicU64,
    /// Records being written by this thread, one inside the other, as far as the slow path knows: see
    /// [`Cursor::enter`].
    depth: AtomicU32,
    /// Whether the thread's records may take the hot path.
    is_hot: AtomicBool,
    /// A `lane_state` constant.
    state: AtomicU8,
    /// The recording's places and types.
    origins: AtomicPtr<Origins>,
    process: AtomicPtr<Process>,
    /// Committed records.
    records: AtomicU64,
    lost: AtomicU64,
    /// The cursor for signal handlers of this thread.
    nested: AtomicPtr<Cursor>,
    lane: AtomicU32,
    tid: AtomicU32,
    /// String id of the thread's name.
    name: AtomicU32,
    /// Scope that this thread works for.
    scope: AtomicU32,
    /// Where the thread's stack lies.
    stack: stack::Limits,
}

/// Records one event of this thread. Its caller asked [`process::recording`] before.
#[inline(always)]
pub(crate) fn record<const N: usize>(kind: Kind, flags: u8, aux: u8, payload: [u64; N]) {
    if !try_record(kind, flags, aux, None, |_| payload) {
        record_slowly(kind, flags, aux, payload);
    }
}

/// The hot path: records what `payload` makes of the number that stands under `key`, where this thread
/// has a lane with room, the number is known, and nothing is being recorded already. Else it has done
/// nothing, and says so.
///
/// It calls nothing, so that a hook keeps its words in registers. The time is taken before the number
/// is looked up: on AMD processors the counter is read once all earlier instructions are done, while
/// later ones run beside it, so that the look-up costs next to nothing.
#[inline(always)]
pub(crate) fn try_record<const N: usize>(
    kind: Kind,
    flags: u8,
    aux: u8,
    key: Option<OriginKey>,
    payload: impl FnOnce(u64) -> [u64; N],
) -> bool {
    const { assert!(N < layout::RECORD_MAX_WORDS) };
    // SAFETY: a cursor, once handed out, stays mapped for the life of the process.
    let Some(cursor) = (unsafe { HOT.get().as_ref() }) else {
        return false;
    };
    set_hot(core::ptr::null());
    // A handler that interrupts us from here on takes the slow path, which sees that we are inside.
    compiler_fence(Ordering::SeqCst);
    let recorded = cursor.record_hot(kind, flags, aux, key, payload);
    compiler_fence(Ordering::SeqCst);
    set_hot(cursor);
    recorded
}

/// Whether a record of this kind has a time of its own in recordings by batch: what comes seldom, or
/// may come after a long wait. Others share the time of the record before.
#[inline(always)]
const fn takes_time(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Leak
            | Kind::Reclaim
            | Kind::Peek
            | Kind::Retain
            | Kind::Release
            | Kind::Claim
            | Kind::Submit
            | Kind::SubmitNext
            | Kind::Complete
            | Kind::LeakSubmit
            | Kind::CompleteReclaim
            | Kind::Resume
            | Kind::Suspend
            | Kind::Wake
    )
}

/// What [`try_record`] could not do at once: the first record of a process or a thread, a full chunk,
/// a long pause, the end of a batch, a signal handler inside a record, a forked child, a clock that is a
/// system call, a simulated recording.
///
/// Takes the payload by value: a reference to it would keep the hot path's words in memory.
#[cold]
#[inline(never)]
pub(crate) fn record_slowly<const N: usize>(kind: Kind, flags: u8, aux: u8, payload: [u64; N]) {
    if !(next_batch() && try_record(kind, flags, aux, None, |_| payload)) {
        record_slice(kind, flags, aux, &payload);
    }
}

/// In recordings by batch: begins the next one, with a time of its own. False where the hot path
/// stopped for something else.
pub(crate) fn next_batch() -> bool {
    // SAFETY: as in `try_record`.
    let Some(cursor) = (unsafe { HOT.get().as_ref() }) else {
        return false;
    };
    if cursor.process().is_none() {
        // A forked child: a handler recorded in it, and the record that it interrupted left its own cursor
        // behind, which was wiped.
        set_hot(hot_again());
        return false;
    }
    let depth = cursor.enter();
    let room = &cursor.events;
    let has_more = room.limit.load(Ordering::Relaxed) < room.end.load(Ordering::Relaxed);
    let begun = has_more && cursor.restamp(clock::ticks());
    cursor.leave(depth);
    begun
}

/// The cursor that this thread got since, if its records may take the hot path.
fn hot_again() -> *const Cursor {
    let pointer = CURSOR.get();
    // SAFETY: as in `try_record`.
    let is_hot = unsafe { pointer.as_ref() }
        .is_some_and(|cursor| cursor.process().is_some() && cursor.is_hot.load(Ordering::Relaxed));
    if is_hot { pointer } else { core::ptr::null() }
}

/// As [`record`], for payloads of changing length (at most 254 words; what is longer is cut).
pub(crate) fn record_slice(kind: Kind, flags: u8, aux: u8, payload: &[u64]) {
    if !process::recording() {
        return;
    }
    let longest = layout::RECORD_MAX_WORDS - 1;
    let payload = payload.get(..payload.len().min(longest)).unwrap_or(&[]);
    if with_cursor(|cursor, depth| cursor.record_at(depth, kind, flags, aux, payload)).is_none() {
        process::lose_without_lane();
    }
}

/// The recording that this thread already writes to, found without any work.
#[inline(always)]
pub(crate) fn at_hand() -> Option<&'static Process> {
    // SAFETY: as in `try_record`.
    unsafe { HOT.get().as_ref() }?.process()
}

/// In a forked child: the cursor was the parent's.
pub(crate) fn forget_parent() {
    set_hot(core::ptr::null());
}

/// Now, in the ticks of this recording.
pub(crate) fn now() -> u64 {
    match process::STATE.load(Ordering::Relaxed) {
        process::SIMULATED => crate::recorder::simulated::ticks(),
        _ => clock::ticks(),
    }
}

/// Runs `body` with the cursor of this thread, made now where it has none, and the depth it is at.
pub(crate) fn with_cursor<T>(body: impl FnOnce(&'static Cursor, u32) -> T) -> Option<T> {
    sys::keep_errno(|| {
        let cursor = life::own()?;
        let depth = cursor.enter();
        let result = body(cursor, depth);
        cursor.leave(depth);
        Some(result)
    })
}

/// Writes the header of a chunk just taken and opens its gate. `counts` are the records that its lane lost
/// and wrote before.
pub(crate) fn open_chunk(
    process: &Process,
    chunk: &[AtomicU64],
    lane: u32,
    kind: ChunkKind,
    seq: u64,
    (lost, records): (u64, u64),
    ticks: u64,
) {
    let simulated = process::STATE.load(Ordering::Relaxed) == process::SIMULATED;
    protocol::open(
        chunk,
        &ChunkHeader {
            seq,
            lane,
            kind,
            ticks,
            monotonic_ns: if simulated {
                ticks
            } else {
                clock::monotonic_ns()
            },
            lost,
            records,
            uuid_low: process.uuid_low.load(Ordering::Relaxed),
        },
    );
}

impl Cursor {
    /// [`try_record`], with the depth entered.
    #[inline(always)]
    fn record_hot<const N: usize>(
        &self,
        kind: Kind,
        flags: u8,
        aux: u8,
        key: Option<OriginKey>,
        payload: impl FnOnce(u64) -> [u64; N],
    ) -> bool {
        let shared = self.stamp.load(Ordering::Relaxed);
        let mut time = shared;
        if shared == 0 || takes_time(kind) {
            if shared != 0 && !clock::is_counter() {
                return false;
            }
            let Some(delta) = clock::since(self.base_ticks.load(Ordering::Relaxed)) else {
                return false;
            };
            time = Header::time(delta);
            if shared != 0 {
                self.stamp.store(time, Ordering::Relaxed);
            }
        }
        // Loaded before the room is: where there is room, it is no null pointer.
        let origins = key.map(|_| self.origins.load(Ordering::Relaxed).cast_const());
        let Some(place) = self.events.place(N + 1, &self.events.limit) else {
            return false;
        };
        let mut origin = 0;
        if let (Some(key), Some(origins)) = (key, origins) {
            // SAFETY: `start` sets it to the recording's, which is never unmapped, before there is any
            // room. In a forked child it was wiped together with the room, and a chunk switch that the
            // fork interrupted gives room to a cursor that is `HOT` no more.
            match unsafe { &*origins }.find(key) {
                Some(found) => origin = found,
                None => return false,
            }
        }
        let header = Header::committed(kind, (N + 1) as u8, flags, aux, 0);
        self.events
            .write(place, Header(header.0 | time), &payload(origin));
        let records = self.records.load(Ordering::Relaxed);
        self.records.store(records + 1, Ordering::Relaxed);
        true
    }

    /// In recordings by batch: has the next records share this time. False in others, and where the
    /// time is too far from the lane's base.
    fn restamp(&self, ticks: u64) -> bool {
        let delta = ticks.wrapping_sub(self.base_ticks.load(Ordering::Relaxed));
        let is_by_batch = self.process().is_some_and(Process::is_by_batch);
        let head = self.events.head.load(Ordering::Relaxed) as u64;
        compiler_fence(Ordering::SeqCst);
        let end = self.events.end.load(Ordering::Relaxed);
        let (stamp, limit) = if is_by_batch {
            if delta > u64::from(u32::MAX) {
                return false;
            }
            let limit = head.saturating_add(BATCH_BYTES).min(end);
            (Header::time(delta as u32), limit)
        } else {
            // The hot path has no other clock than the counter.
            let is_hot = self.is_hot.load(Ordering::Relaxed) && clock::is_counter();
            self.is_hot.store(is_hot, Ordering::Relaxed);
            (0, end)
        };
        self.stamp.store(stamp, Ordering::Relaxed);
        self.events.limit.store(limit, Ordering::Relaxed);
        is_by_batch
    }

    /// Begins a record of the slow path; the depth that it is at. Where `HOT` holds any cursor, no record
    /// is being written, whatever `depth` says: a record of the hot path does not count there, and one
    /// that interrupted it leaves its own behind.
    fn enter(&self) -> u32 {
        let depth = match self.depth.load(Ordering::Relaxed) {
            _ if !HOT.get().is_null() => 0,
            depth if self.is_hot.load(Ordering::Relaxed) => depth.max(1),
            depth => depth,
        };
        set_hot(core::ptr::null());
        self.depth.store(depth.wrapping_add(1), Ordering::Relaxed);
        // A handler that interrupts us from here on sees the new depth.
        compiler_fence(Ordering::SeqCst);
        depth
    }

    fn leave(&self, depth: u32) {
        compiler_fence(Ordering::SeqCst);
        self.depth.store(depth, Ordering::Relaxed);
        if depth == 0 && self.is_hot.load(Ordering::Relaxed) {
            set_hot(self);
        }
    }

    /// Records at a depth that was entered: in this lane, in the handlers' lane, or not.
    fn record_at(&self, depth: u32, kind: Kind, mut flags: u8, aux: u8, payload: &[u64]) {
        let mut words = [0u64; layout::RECORD_MAX_WORDS];
        // First, because it may write whose lane this is.
        let Some(target) = self.at_depth(depth) else {
            return;
        };
        let ticks = now();
        let payload = match process::STATE.load(Ordering::Relaxed) {
            process::SIMULATED => crate::recorder::simulated::rewrite(kind, payload, &mut words),
            process::ON_WITH_STACKS if stack::belongs_to(kind) => {
                match (self.stack(), words.get_mut(..=payload.len())) {
                    (id @ 1.., Some([copy @ .., last])) => {
                        copy.copy_from_slice(payload);
                        *last = u64::from(id);
                        flags |= WITH_STACK;
                        words.get(..=payload.len()).unwrap_or(&[])
                    }
                    _ => payload,
                }
            }
            _ => payload,
        };
        target.write_or_lose(ticks, kind, flags, aux, payload);
    }

    /// Number of the stack that this thread is on, committed before it is known; 0 for none.
    fn stack(&self) -> u32 {
        let mut words = [0u64; 1 + stack::FRAMES];
        let Some(process) = self.process() else {
            return 0;
        };
        let mut latest = modules::Latest::default();
        let count = stack::walk(
            &self.stack,
            words.get_mut(1..).unwrap_or(&mut []),
            |address| {
                modules::word(address).or_else(|| Self::late_word(process, &mut latest, address))
            },
        );
        let Some(taken) = words.get_mut(..=count) else {
            return 0;
        };
        if count == 0 {
            return 0;
        }
        let key = process.table.stack_key(taken.get(1..).unwrap_or(&[]));
        let found = process.table.stack(key, |id| {
            if let Some(first) = taken.first_mut() {
                *first = pair(id, count as u32);
            }
            if process.has_room_for_stacks() {
                process.write_name(Kind::Stack, taken)
            } else {
                process.lose_name();
                false
            }
        });
        found.unwrap_or(0)
    }

    /// A call into something that was loaded after the recording began, which is written down first.
    #[cold]
    fn late_word(process: &Process, latest: &mut modules::Latest, address: u64) -> Option<u64> {
        modules::late_word(latest, address, |index, module, path| {
            modules::write_one(process, (index, module, path))
        })
    }

    /// The cursor to write to at a depth; nothing where handlers are nested too deeply.
    fn at_depth(&self, depth: u32) -> Option<&Cursor> {
        match depth {
            0 => Some(self),
            1 => {
                let nested = self.nested_cursor();
                if nested.is_none() {
                    self.lose(lane::LOST_NESTED);
                }
                nested
            }
            _ => {
                self.lose(lane::LOST_NESTED);
                None
            }
        }
    }

    #[inline(always)]
    fn process(&self) -> Option<&'static Process> {
        // SAFETY: set by `start` to the recording, which is never unmapped.
        unsafe { self.process.load(Ordering::Relaxed).as_ref() }
    }

    fn lose(&self, why: usize) {
        if !process::recording() {
            // The recording has ended; what comes after it is not missing.
            return;
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        if let Some(process) = self.process() {
            process
                .lane_word(self.lane.load(Ordering::Relaxed), why)
                .fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write_or_lose(&self, ticks: u64, kind: Kind, flags: u8, aux: u8, payload: &[u64]) {
        // Two words more: a new time base may have to go first.
        let room = &self.events;
        if room.place(payload.len() + 3, &room.end).is_none() && !self.next_chunk(ticks) {
            self.lose(lane::LOST_FULL);
            return;
        }
        let mut delta = ticks.wrapping_sub(self.base_ticks.load(Ordering::Relaxed));
        if delta > u64::from(u32::MAX) {
            self.events.try_write(Kind::Time, 0, 0, 0, &[ticks]);
            self.base_ticks.store(ticks, Ordering::Relaxed);
            delta = 0;
        }
        self.events
            .try_write(kind, flags, aux, delta as u32, payload);
        self.records.fetch_add(1, Ordering::Relaxed);
        self.restamp(ticks);
    }

    /// Closes the full chunk and opens the next: header, then who writes here and for which scope, so
    /// that each chunk can be read alone.
    fn next_chunk(&self, ticks: u64) -> bool {
        let Some(process) = self.process() else {
            return false;
        };
        let Some(index) = process.take_chunk(ChunkKind::Event) else {
            return false;
        };
        let chunk = process.chunk(index);
        let seq = self.events.seq.load(Ordering::Relaxed) + 1;
        let counts = (
            self.lost.load(Ordering::Relaxed),
            self.records.load(Ordering::Relaxed),
        );
        let lane = self.lane.load(Ordering::Relaxed);
        open_chunk(process, chunk, lane, ChunkKind::Event, seq, counts, ticks);
        let full = self.events.chunk.load(Ordering::Relaxed);
        let Some(body) = chunk.get(CHUNK_HEADER_WORDS..) else {
            return false;
        };
        self.events.seq.store(seq, Ordering::Relaxed);
        self.base_ticks.store(ticks, Ordering::Relaxed);
        self.events.open(index, body);
        if let Some(full) = full.checked_sub(1) {
            process.close_chunk(full);
        }
        process
            .lane_word(lane, lane::LAST_SEQ)
            .store(seq, Ordering::Relaxed);
        process.beat();
        self.say_who(0);
        true
    }

    /// Writes the lane's thread and scope, for which there is room in a chunk just opened.
    fn say_who(&self, delta: u32) {
        let thread = pair(
            self.tid.load(Ordering::Relaxed),
            self.name.load(Ordering::Relaxed),
        );
        let mut said = 1;
        self.events.try_write(Kind::Thread, 0, 0, delta, &[thread]);
        let scope = self.scope.load(Ordering::Relaxed);
        if scope != 0 {
            self.events
                .try_write(Kind::ScopeEnter, 0, 0, delta, &[u64::from(scope)]);
            said = 2;
        }
        self.records.fetch_add(said, Ordering::Relaxed);
    }
}
