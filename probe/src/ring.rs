//! Hooks for a ring of the program's own making, and poison for its submission slots.
//!
//! A ring that fills its slots in place calls [`Ring::claimed`] when it hands a slot out,
//! [`Ring::submitting`] for each slot before it publishes the tail, [`Ring::entered`] when
//! `io_uring_enter` returned, and [`Ring::reaped`] for each completion it takes.
//!
//! ```
//! use probe::ring::{Cookies, Kind, Ring};
//!
//! // A ring of the program's own. Here its queue is an array, and no kernel stands behind it.
//! let mut queue = [[0u64; 8]; 4]; // `struct io_uring_sqe`, as eight words
//! let ring = Ring::created(Kind::InPlace, -1, 4, 8, 0, 0);
//! ring.cookies(Cookies::Pointers);
//!
//! // A slot is handed out, ...
//! // SAFETY: the kernel is done with the slot, and this thread alone fills the queue.
//! unsafe { ring.claimed(0, &mut queue[0]) };
//! // ... and filled: without this line the trace would say that this slot never got a cookie (T02).
//! let cookie = probe::into_raw(Box::new(7)) as u64;
//! queue[0][4] = cookie;
//! // Before the tail is published:
//! // SAFETY: as above.
//! unsafe { ring.submitting(0, &mut queue[0]) };
//! // Behind `io_uring_enter(fd, 1, 1, ..)`, which returned 1:
//! ring.entered(1, 1, 1);
//! // A completion, and then its owner, which was leaked above and is taken back once:
//! ring.reaped(cookie, 0, 0);
//! drop(unsafe { probe::from_raw::<Box<i32>>(cookie as *mut i32) });
//! ```
//!
//! A ring whose entries are copied into the queue whole calls [`Ring::pushed`] in place of the first two. Each of
//! these calls is one record.
//!
//! ```
//! use probe::ring::{Entry, Kind, Ring};
//!
//! let ring = Ring::created(Kind::Copied, -1, 4, 8, 0, 0);
//! assert_eq!(ring.id() != 0, probe::is_recording()); // its number in the trace
//! ring.sentinel(u64::MAX); // of operations whose completions are ignored
//! ring.shared(0x1000); // a connection's, for its read and its write at once
//! ring.owner("reader"); // from here on this thread works for that part of the program
//!
//! let mut entry: Entry = [0; 8]; // a NOP
//! entry[4] = 0x1000;
//! for _ in 0..2 {
//!     ring.pushed(&entry);
//! }
//! ring.entered(2, 2, 2);
//! // Taken out of the order of the queue: with their places in it, one that is taken twice is seen (T21).
//! ring.reaped_at(1, 0x1000, 0, 0);
//! ring.reaped_at(0, 0x1000, 0, 0);
//! ring.owner("");
//! // The kernel said `IORING_SQ_CQ_OVERFLOW`: completions wait for somebody to fetch them (T17).
//! ring.overflowed(1);
//! ring.entered(0, 1, 0);
//! ring.overflowed(0);
//! ```
//!
//! Where an owner leaves with its entry and comes back with its completion, each is one record with it
//! ([`Ring::pushed_with_leak`], [`Ring::reaped_with_reclaim`]); the owner's own `into_raw` and `from_raw` do the rest.
//!
//! ```
//! use probe::ring::{Entry, Kind, Ring};
//!
//! # #[cfg(feature = "assert")]
//! let scope = probe::scope();
//! let ring = Ring::created(Kind::Copied, -1, 4, 8, 0, 0);
//! let mut entry: Entry = [0; 8]; // a NOP
//! entry[4] = Box::into_raw(Box::new(7)) as u64;
//! ring.pushed_with_leak::<Box<i32>>(&entry);
//! # #[cfg(feature = "record")]
//! assert_eq!(ring.unsubmitted(), 1); // what `io_uring_enter` is to be asked to take
//! ring.entered(1, 1, 1);
//! assert_eq!(ring.unsubmitted(), 0);
//! let cookie = entry[4]; // of the completion
//! ring.reaped_with_reclaim::<Box<i32>>(cookie, 0, 0);
//! // SAFETY: given away above, and taken back once.
//! assert_eq!(*unsafe { Box::from_raw(cookie as *mut i32) }, 7);
//! # #[cfg(feature = "assert")]
//! # {
//! let numbers = scope.numbers();
//! assert_eq!((numbers.leaked, numbers.reclaimed), (1, 1));
//! drop(ring);
//! scope.assert_clean();
//! # }
//! ```
//!
//! Poison proves a forgotten `user_data`: a claimed slot gets a word that no program writes; if it is
//! still there at submission, nobody set the cookie. Before the kernel sees the slot the leftover of
//! the previous lap is put back, so that the program behaves as it would have. Both happen between
//! claim and publication, while the program owns the slot, so that no kernel thread can race: it is as right with
//! `IORING_SETUP_SQPOLL`. The shim for programs that do not link the probe sees no claim, and poisons later: there it
//! is off for such rings, and once a second thread enters one.
//!
//! Reading order: [`Ring`] and its making here, then `slots` (rings that are filled in place), `pushed` (entries
//! copied whole), `reaped` (completions), `declared` (what cookies mean) and `whole` (whole queues at once: the shim).

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

pub use wire::record::RingKind as Kind;

use wire::payload::pair;
use wire::record::Kind as Record;

use crate::recorder::{self, Poison};
use crate::sanitizer;

mod declared;
pub use declared::Cookies;

mod pushed;

mod reaped;

mod slots;
use slots::Slot;

#[cfg(all(
    feature = "preload",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod whole;
#[cfg(all(
    feature = "preload",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use whole::{Odd, Submissions, Words};

static LAST: AtomicU32 = AtomicU32::new(0);

/// A submission's record has 16 bits for its ring.
const MAX_RINGS: u32 = 0xFFFF;
/// In place of a ring's number: it came too late to get one.
const NOT_RECORDED: u32 = u32::MAX;

/// Word of a submission entry that holds `user_data`.
const USER_DATA: usize = 4;

/// One submission entry, as eight words.
pub type Entry = [u64; 8];

/// A ring as the trace knows it. Dropping it records that the ring is gone: drop it before the
/// descriptor is closed.
#[derive(Debug)]
pub struct Ring {
    /// 0 until the first record about it.
    id: AtomicU32,
    kind: Kind,
    fd: i32,
    sq_entries: u32,
    cq_entries: u32,
    setup: u32,
    features: u32,
    /// Entries seen by `submitting` or `pushed`.
    submitted: AtomicU32,
    /// Entries that the kernel took, as far as `entered` was told.
    consumed: AtomicU32,
    /// The recording's way with poison, as a number; known from `introduce` on.
    poison: AtomicU8,
    /// Whether any slot's cookie was seen to be set since it was poisoned.
    #[cfg(feature = "preload")]
    sets_cookies: std::sync::atomic::AtomicBool,
    /// What is known of each slot that was claimed, for rings that are filled in place. Touched only
    /// by `claimed` and `submitting`, whose callers promise that they are alone.
    slots: UnsafeCell<Vec<Slot>>,
    /// What was declared before a recording began.
    #[cfg(feature = "assert")]
    kept: declared::Declarations,
}

// SAFETY: all fields but `slots` are atomics or never change; `slots` is touched only under the
// promise of `claimed` and `submitting` that no other thread is in one of them.
unsafe impl Sync for Ring {}

/// Whether this is a ring's number.
#[inline(always)]
fn has_number(id: u32) -> bool {
    id.wrapping_sub(1) < MAX_RINGS
}

impl Ring {
    /// A ring was made: its descriptor (-1 for none), the sizes of its queues in entries, `IORING_SETUP_*` and
    /// `IORING_FEAT_*` bits. [`Kind::InPlace`] for one whose slots are [claimed](Ring::claimed) and filled,
    /// [`Kind::Copied`] for one whose entries are [pushed](Ring::pushed).
    ///
    /// Of the rings of a process 65,535 are recorded; a mark says so when there are more.
    pub fn created(
        kind: Kind,
        fd: i32,
        sq_entries: u32,
        cq_entries: u32,
        setup: u32,
        features: u32,
    ) -> Ring {
        let mut ring = Ring::unheard_of(kind);
        ring.fd = fd;
        ring.sq_entries = sq_entries;
        ring.cq_entries = cq_entries;
        ring.setup = setup;
        ring.features = features;
        if recorder::recording() {
            ring.known();
        }
        ring
    }

    /// A ring that its first record will introduce.
    pub(crate) const fn unheard_of(kind: Kind) -> Ring {
        Ring {
            id: AtomicU32::new(0),
            kind,
            fd: -1,
            sq_entries: 0,
            cq_entries: 0,
            setup: 0,
            features: 0,
            submitted: AtomicU32::new(0),
            consumed: AtomicU32::new(0),
            poison: AtomicU8::new(Poison::Off as u8),
            #[cfg(feature = "preload")]
            sets_cookies: std::sync::atomic::AtomicBool::new(false),
            slots: UnsafeCell::new(Vec::new()),
            #[cfg(feature = "assert")]
            kept: declared::Declarations::none(),
        }
    }

    /// Its number, and whether it was given only now. Nothing for a ring that is not recorded.
    #[inline]
    pub(crate) fn number(&self) -> Option<(u32, bool)> {
        let is_new = self.id.load(Ordering::Relaxed) == 0;
        self.known().map(|id| (id, is_new))
    }

    /// Number in the trace; 0 while nothing was recorded about it.
    pub fn id(&self) -> u32 {
        if recorder::recording() {
            self.known().unwrap_or(0)
        } else {
            0
        }
    }

    /// Gives the ring its number, and records its making if that was not done: it may have been made
    /// before recording began. Nothing for a ring that is not recorded.
    #[inline]
    pub(crate) fn known(&self) -> Option<u32> {
        match self.id.load(Ordering::Relaxed) {
            0 => self.introduce(),
            NOT_RECORDED => None,
            id => Some(id),
        }
    }

    #[cold]
    fn introduce(&self) -> Option<u32> {
        // One may begin later, and is to hear of the ring then.
        if !recorder::is_there() {
            return None;
        }
        let id = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if id > MAX_RINGS {
            self.id.store(NOT_RECORDED, Ordering::Relaxed);
            crate::mark("a ring is not recorded: this process made more than 65,535 of them");
            return None;
        }
        self.poison
            .store(recorder::poison() as u8, Ordering::Relaxed);
        let words = [
            pair(id, self.fd as u32),
            pair(self.sq_entries, self.cq_entries),
            pair(self.setup, self.features),
        ];
        // First the record, then the number: what others record about the ring comes later.
        recorder::record_lasting(Record::RingCreate, self.kind as u8, words);
        #[cfg(feature = "assert")]
        self.kept.record(id);
        match self
            .id
            .compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => Some(id),
            Err(other) => {
                // Another thread was faster: this number never was a ring.
                recorder::record(Record::RingDrop, 0, 0, [u64::from(id)]);
                (other != NOT_RECORDED).then_some(other)
            }
        }
    }

    /// Sequence number of the next entry. A submission queue is filled by one thread at a time, so a
    /// load and a store do; a locked add would cost more than the rest of the record.
    #[inline]
    fn count_submission(&self) -> u32 {
        if !recorder::COMPILED_IN {
            return 0;
        }
        let sequence = self.submitted.load(Ordering::Relaxed);
        self.submitted
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        sequence
    }

    /// Sanitizers hear of an entry, and of its free, whether something is recorded or not.
    fn tell_sanitizers(&self, entry: &Entry) {
        sanitizer::submitted(self.fd, entry);
        crate::memory::watch_entry(entry);
    }

    /// `io_uring_enter` returned: how many submissions it was offered, how many completions it waited
    /// for, and its result (a negative error number where it failed).
    // Always inlined, so that it sees where the caller's frame ends, without optimisation too.
    #[inline(always)]
    pub fn entered(&self, to_submit: u32, min_complete: u32, result: i32) {
        if recorder::COMPILED_IN
            && let Ok(consumed) = u32::try_from(result)
        {
            self.consumed.fetch_add(consumed, Ordering::Relaxed);
        }
        if recorder::recording()
            && let Some(id) = self.known()
        {
            // First: what the kernel took just now lay in a frame that had returned.
            recorder::frames::look();
            let words = [pair(id, to_submit), pair(min_complete, result as u32)];
            recorder::record(Record::Enter, 0, 0, words);
        }
    }

    /// Submissions that were seen and not consumed yet. Without the feature `record` nobody counts, and it
    /// is 0.
    #[inline]
    pub fn unsubmitted(&self) -> u32 {
        if !recorder::COMPILED_IN {
            return 0;
        }
        self.submitted
            .load(Ordering::Relaxed)
            .wrapping_sub(self.consumed.load(Ordering::Relaxed))
    }

    /// The kernel keeps this many completions that found no room in the queue; 1 where it only says that there
    /// are some (`IORING_SQ_CQ_OVERFLOW`), 0 when there are none any more.
    #[inline]
    pub fn overflowed(&self, count: u64) {
        if recorder::recording()
            && let Some(id) = self.known()
        {
            recorder::record(Record::Overflow, 0, 0, [u64::from(id), count]);
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        sanitizer::dropped(self.fd);
        let id = *self.id.get_mut();
        if recorder::recording() && id != 0 && id != NOT_RECORDED {
            recorder::record(Record::RingDrop, 0, 0, [u64::from(id)]);
        }
    }
}
