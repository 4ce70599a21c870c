//! The turns of a ring's chunks, and the room for them.
//!
//! A file that lies in memory begins with room for a few chunks, and gets more as they come in turn, one at a time: a short
//! program does not wait for 64 MiB that it will not write. The thread that takes a chunk has the kernel put its pages there
//! (`MADV_POPULATE_WRITE`), which is an error where there are none left, and not the SIGBUS that a store would be.
//!
//! A program that is about to forbid itself system calls (seccomp) has all of it before: where the shim sees that.
//!
//! Invariants
//! - The first `length` chunks have their pages; nobody touches others.
//! - What a chunk takes of the recording's room is counted down before it is taken, and counted back where it could not be.
//! - A ring gets longer where its end comes in turn, so that the next in turn is always the one taken longest ago. Names make it
//!   longer anywhere: theirs are never taken again. So does who settles, once.

use core::sync::atomic::{AtomicI64, Ordering};

use wire::layout::{CHUNK_BYTES, header};
use wire::payload::{halves, pair};

use super::Process;

const ONE: i64 = CHUNK_BYTES as i64;

impl Process {
    /// A ring of so many chunks for now, which have room on the disk; with `room` it gets longer, as far as that goes.
    /// All others, and files that are no rings, have room for every chunk that is taken.
    pub(super) fn begin_ring(&self, length: u32, room: Option<&'static AtomicI64>) {
        self.turn.store(pair(0, length), Ordering::Relaxed);
        let set_aside = if room.is_some() { length } else { u32::MAX };
        self.set_aside.store(set_aside, Ordering::Relaxed);
        if let Some(room) = room {
            let room = core::ptr::from_ref(room).cast_mut();
            self.room.store(room, Ordering::Relaxed);
        }
    }

    /// Chunks of the ring so far.
    pub(super) fn ring_chunks(&self) -> u32 {
        halves(self.turn.load(Ordering::Relaxed)).1
    }

    /// The chunk whose turn it is: a new one at the end of a ring that may be longer, or else the one taken longest ago.
    pub(super) fn next_of_ring(&self) -> u32 {
        loop {
            let now = self.turn.load(Ordering::Relaxed);
            let (next, length) = halves(now);
            if next >= length {
                match self.add_chunk(now, length + 1) {
                    Added::It => return length,
                    Added::Other => continue,
                    Added::Nothing => self.found_no_room(length),
                }
            }
            let index = if next < length { next } else { 0 };
            if self.have_turn(now, pair(index + 1, length)) {
                return index;
            }
        }
    }

    /// Makes the ring longer by a chunk, which is taken for good, whoever's turn it is.
    pub(super) fn lengthen(&self) -> Option<u32> {
        loop {
            let now = self.turn.load(Ordering::Relaxed);
            let (next, length) = halves(now);
            // It is nobody's turn to take it.
            let next = if next >= length { length + 1 } else { next };
            match self.add_chunk(now, next) {
                Added::It => return Some(length),
                Added::Other => {}
                Added::Nothing => {
                    self.found_no_room(length);
                    return None;
                }
            }
        }
    }

    /// What a chunk was wanted for goes into an older one, or is lost.
    fn found_no_room(&self, length: u32) {
        if length < self.chunks.load(Ordering::Relaxed) {
            self.is_short.store(true, Ordering::Relaxed);
            self.header_word(header::SHORT).store(1, Ordering::Relaxed);
        }
    }

    /// Makes the ring as long as it gets, so that no chunk of it takes a system call from here on.
    #[cfg(feature = "preload")]
    pub(super) fn settle_ring(&self) {
        loop {
            let now = self.turn.load(Ordering::Relaxed);
            if self.add_chunk(now, halves(now).0) == Added::Nothing {
                break;
            }
        }
        self.room.store(core::ptr::null_mut(), Ordering::Relaxed);
        self.set_aside.store(0, Ordering::Relaxed);
    }

    /// Makes the ring that was as `now` says longer by a chunk, and has `next` be the next one in turn. Who comes at the same
    /// time makes room for the same chunk: it is there once, counted once, and the slower one goes on with another.
    fn add_chunk(&self, now: u64, next: u32) -> Added {
        let (_, length) = halves(now);
        if length >= self.chunks.load(Ordering::Relaxed) {
            return Added::Nothing;
        }
        // SAFETY: null, or the word that `begin_ring` was given.
        let Some(room) = (unsafe { self.room.load(Ordering::Relaxed).as_ref() }) else {
            return Added::Nothing;
        };
        let rest = |left: i64| (left >= ONE).then(|| left - ONE);
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        if room.fetch_update(success, failure, rest).is_err() {
            return Added::Nothing;
        }
        let added = match self.populate(length) {
            false => Added::Nothing,
            true if self.have_turn(now, pair(next, length + 1)) => Added::It,
            true => Added::Other,
        };
        if added == Added::It {
            self.is_short.store(false, Ordering::Relaxed);
            self.header_word(header::CHUNKS_USABLE)
                .fetch_max(u64::from(length) + 1, Ordering::Relaxed);
        } else {
            room.fetch_add(ONE, Ordering::Relaxed);
        }
        added
    }

    fn have_turn(&self, now: u64, then: u64) -> bool {
        self.turn
            .compare_exchange(now, then, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// What came of making a ring longer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Added {
    /// The chunk behind its end.
    It,
    /// Somebody else was faster.
    Other,
    /// There is no room for more now.
    Nothing,
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::collections::BTreeSet;
    use std::os::fd::AsRawFd;
    use std::sync::Mutex;

    use wire::layout::{self, ChunkKind, mode};

    use super::*;
    use crate::recorder::sys;

    /// A ring that begins with four of `most` chunks, in a file that ends behind `there` of them: what lies beyond an end is
    /// as little to be had as what a full disk has not.
    fn ring(there: usize, most: u32, room: i64) -> (&'static Process, &'static AtomicI64) {
        let file = tempfile::tempfile_in("/dev/shm").expect("a file");
        file.set_len(layout::file_bytes(there) as u64)
            .expect("room for it");
        let bytes = layout::file_bytes(most as usize);
        let base = sys::map_shared(Some(file.as_raw_fd()), bytes).expect("a mapping");
        let private = sys::map_private(size_of::<Process>()).expect("a mapping");
        // SAFETY: as in `open::map`.
        let process = unsafe { &*private.cast::<Process>() };
        process.mode.store(mode::RING, Ordering::Relaxed);
        process.chunks.store(most, Ordering::Relaxed);
        process.base.store(base.cast(), Ordering::Relaxed);
        process.bytes.store(bytes as u64, Ordering::Relaxed);
        let room = Box::leak(Box::new(AtomicI64::new(room)));
        process.begin_ring(4, Some(room));
        (process, room)
    }

    /// Takes chunks of events, and gives each up at once.
    fn turns(process: &Process, count: usize) -> Vec<u32> {
        let take = |_| {
            let index = process.take_chunk(ChunkKind::Event).expect("a chunk");
            process.close_chunk(index);
            index
        };
        (0..count).map(take).collect()
    }

    fn says_short(process: &Process) -> bool {
        process.header_word(header::SHORT).load(Ordering::Relaxed) != 0
    }

    fn usable(process: &Process) -> u64 {
        process
            .header_word(header::CHUNKS_USABLE)
            .load(Ordering::Relaxed)
    }

    #[test]
    fn each_new_chunk_is_one_thread_s_and_its_room_is_counted_once() {
        let (process, room) = ring(256, 256, 100 * ONE + 1);
        let all = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // All stay open, so that none is taken twice.
                    while let Some(index) = process.take_chunk(ChunkKind::Event) {
                        all.lock().expect("nobody panics").push(index);
                    }
                });
            }
        });
        let all = all.into_inner().expect("nobody panicked");
        let distinct: BTreeSet<_> = all.iter().copied().collect();
        assert_eq!((all.len(), distinct.len()), (104, 104));
        assert_eq!(distinct.last(), Some(&103));
        assert_eq!((room.load(Ordering::Relaxed), usable(process)), (1, 104));
    }

    #[test]
    fn a_ring_gets_longer_where_its_end_comes_in_turn() {
        let (process, room) = ring(64, 64, 0);
        assert_eq!(turns(process, 6), [0, 1, 2, 3, 0, 1]);
        room.store(2 * ONE, Ordering::Relaxed);
        assert_eq!(turns(process, 6), [2, 3, 4, 5, 0, 1]);
        assert_eq!((room.load(Ordering::Relaxed), usable(process)), (0, 6));
    }

    #[test]
    fn memory_that_is_not_to_be_had_is_no_chunk() {
        let (process, room) = ring(6, 64, 50 * ONE);
        assert_eq!(turns(process, 9), [0, 1, 2, 3, 4, 5, 0, 1, 2]);
        let left = room.load(Ordering::Relaxed);
        assert_eq!((left, usable(process)), (48 * ONE, 6));
    }

    #[test]
    fn names_take_new_chunks_rather_than_all_of_a_short_ring() {
        let (process, room) = ring(64, 64, 50 * ONE);
        let name = || process.take_chunk(ChunkKind::Meta);
        assert_eq!([name(), name(), name()], [4, 5, 6].map(Some));
        assert_eq!(turns(process, 5), [0, 1, 2, 3, 7]);
        // Where its end is in turn, too.
        assert_eq!(name(), Some(8));
        assert_eq!(turns(process, 1), [9]);
        assert_eq!(room.load(Ordering::Relaxed), 44 * ONE);
        // And none where there is no room: events keep what they have.
        room.store(0, Ordering::Relaxed);
        assert_eq!(name(), None);
    }

    #[test]
    fn of_a_ring_that_cannot_be_longer_stacks_leave_names_a_part() {
        let (process, room) = ring(64, 64, 12 * ONE);
        assert_eq!(turns(process, 16).last(), Some(&15));
        let name = || process.take_chunk(ChunkKind::Meta);
        let stacks: Vec<_> = std::iter::from_fn(|| process.has_room_for_stacks().then(name))
            .take(64)
            .collect();
        // More of them is what others need.
        assert_eq!(stacks.len(), 3);
        assert_eq!([name().is_some(), name().is_some()], [true, false]);
        assert!(says_short(process));
        // With room again they go on.
        room.store(50 * ONE, Ordering::Relaxed);
        assert!(name().is_some() && process.has_room_for_stacks());
    }

    #[test]
    fn who_finds_no_chunk_goes_round_the_ring_that_there_is_once() {
        let (process, _) = ring(4, 1024, 0);
        let take = || process.take_chunk(ChunkKind::Event);
        assert!((0..4).all(|_| take().is_some()));
        assert!(!says_short(process));
        let before = process.taken.load(Ordering::Relaxed);
        assert_eq!(take(), None);
        assert!(says_short(process));
        assert_eq!(process.taken.load(Ordering::Relaxed) - before, 5);
    }

    #[cfg(feature = "preload")]
    #[test]
    fn who_settles_takes_all_there_is_and_nothing_after_that() {
        let (process, room) = ring(64, 16, 50 * ONE);
        process.settle_ring();
        assert_eq!(
            (room.load(Ordering::Relaxed), usable(process)),
            (38 * ONE, 16)
        );
        assert_eq!(turns(process, 17)[15..], [15, 0]);
        let (process, room) = ring(64, 16, ONE);
        process.settle_ring();
        room.store(50 * ONE, Ordering::Relaxed);
        assert_eq!(turns(process, 6), [0, 1, 2, 3, 4, 0]);
    }
}
