//! The turns of a ring's chunks, and the room for them.
//!
//! A file that lies in memory begins with room for a few chunks, and gets more as they come in turn, one at a time: a short
//! program does not wait for 64 MiB that it will not write. The thread that takes a chunk has the kernel put its pages there
//! (`MADV_POPULATE_WRITE`), which is an error where there are none left, and not the SIGBUS that a store would be.
//!
//! Invariants
//! - The first `length` chunks have their pages; nobody touches others.
//! - What a chunk takes of the recording's room is counted down before it is taken, and counted back where it could not be.
//! - A ring gets longer where its end comes in turn, so that the next in turn is always the one taken longest ago. Only names
//!   make it longer anywhere: theirs are never taken again.

use core::sync::atomic::{AtomicI64, Ordering};

use wire::layout::{CHUNK_BYTES, header};
use wire::payload::{halves, pair};

use super::Process;

const ONE: i64 = CHUNK_BYTES as i64;

impl Process {
    /// A ring of so many chunks for now, which have room on the disk; with `room` it gets longer, as far as that goes.
    pub(super) fn begin_ring(&self, length: u32, room: Option<&'static AtomicI64>) {
        self.turn.store(pair(0, length), Ordering::Relaxed);
        self.set_aside.store(length, Ordering::Relaxed);
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
                    Added::Nothing => {}
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
                Added::Nothing => return None,
            }
        }
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
