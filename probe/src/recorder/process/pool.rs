//! The chunks of the file: one pool for all threads, in the order of taking. Which one's turn it is in a ring, and whether
//! there is room for another one, `ring` says.

use core::sync::atomic::Ordering;

use wire::layout::{self, ChunkKind, header, stopped};
use wire::protocol;

use super::Process;
use crate::recorder::sys;

const CHUNK_FREE: u8 = 0;
const CHUNK_OPEN: u8 = 1;
const CHUNK_CLOSED: u8 = 2;
const CHUNK_META: u8 = 3;

/// Names take this part of a file's chunks at most.
const NAMES_SHARE: u32 = 4;
/// Call stacks, which are names too and may be many, leave the others this part of them.
const STACKS_SHARE: u32 = 8;
/// Chunks at the end of a growing file that events leave alone.
const KEPT_FOR_NAMES: u64 = 2;

impl Process {
    /// Takes the chunk that was taken longest ago and is not being written, or a fresh one.
    /// Nothing is taken once the recorder has asked for an end, so that what was kept by then stays.
    pub(crate) fn take_chunk(&self, kind: ChunkKind) -> Option<u32> {
        let request = self.header_word(header::STOP_REQUEST);
        if request.load(Ordering::Relaxed) != 0 {
            self.stop(u64::from(stopped::RECORDER));
            return None;
        }
        if kind == ChunkKind::Event {
            return self.take(kind);
        }
        let budget = self.chunks.load(Ordering::Relaxed) / NAMES_SHARE;
        let before = self.meta_chunks.fetch_add(1, Ordering::Relaxed);
        let taken = (before < budget).then(|| self.take_names(before)).flatten();
        if taken.is_none() {
            self.meta_chunks.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    /// A chunk for names, which have so many.
    fn take_names(&self, before: u32) -> Option<u32> {
        let ring = self.is_ring().then(|| self.ring_chunks());
        // What names take of a ring is no room for events any more: let it be longer then, if it can be.
        if ring.is_some_and(|ring| before >= ring / STACKS_SHARE) {
            while let Some(index) = self.lengthen() {
                // Whoever's turn came meanwhile may have been faster.
                if self.own(index, ChunkKind::Meta) {
                    return Some(index);
                }
            }
        }
        let may_take = ring.is_none_or(|ring| before < ring / NAMES_SHARE);
        may_take.then(|| self.take(ChunkKind::Meta)).flatten()
    }

    fn take(&self, kind: ChunkKind) -> Option<u32> {
        let ring = self.is_ring();
        let mut tried = 0;
        // One that is as long as it gets is gone round once, and not as often as it was to be longer.
        while tried <= self.length(ring) {
            tried += 1;
            let index = if ring {
                self.taken.fetch_add(1, Ordering::Relaxed);
                self.next_of_ring()
            } else {
                self.next_turn(self.usable(kind))? as u32
            };
            if self.own(index, kind) {
                return Some(index);
            }
        }
        None
    }

    /// Chunks that there are to take.
    fn length(&self, is_ring: bool) -> u32 {
        match is_ring {
            true => self.ring_chunks(),
            false => self.chunks.load(Ordering::Relaxed),
        }
    }

    /// Takes this chunk, if nobody is writing it, and has it ready to be written.
    fn own(&self, index: u32, kind: ChunkKind) -> bool {
        let Some(owner) = self.owners.get(index as usize) else {
            return false;
        };
        let free = match owner.load(Ordering::Relaxed) {
            CHUNK_FREE => CHUNK_FREE,
            CHUNK_CLOSED if self.is_ring() => CHUNK_CLOSED,
            _ => return false,
        };
        let mine = if kind == ChunkKind::Meta {
            CHUNK_META
        } else {
            CHUNK_OPEN
        };
        // Given up in `close_chunk`: what the last owner wrote is before what we clear.
        if !protocol::take_over(owner, free, mine) {
            return false;
        }
        if free == CHUNK_CLOSED {
            // Before its records are gone: who misses them looks here.
            self.header_word(header::RECYCLED)
                .store(1, Ordering::Relaxed);
            protocol::close_and_clear(self.chunk(index), sys::clear);
        } else if index < self.set_aside.load(Ordering::Relaxed) {
            self.populate(index);
        }
        self.header_word(header::CHUNKS_TAKEN)
            .store(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
        true
    }

    /// Has a chunk's memory at hand before its first record; says whether all of it is there.
    pub(super) fn populate(&self, index: u32) -> bool {
        let first = self.chunk(index).as_ptr().cast_mut();
        sys::populate(first.cast(), layout::CHUNK_BYTES)
    }

    pub(super) fn is_ring(&self) -> bool {
        self.mode.load(Ordering::Relaxed) == layout::mode::RING
    }

    /// Chunks that may be taken where none is recycled. The last ones of a file that still grows are for
    /// names: events that come while there is no room are lost alone, a name is lost for all later ones too.
    fn usable(&self, kind: ChunkKind) -> u64 {
        let all = u64::from(self.chunks.load(Ordering::Relaxed));
        if !self.grows.load(Ordering::Relaxed) {
            return all;
        }
        // Acquire: the room was there before the recorder said so.
        let said = self
            .header_word(header::CHUNKS_USABLE)
            .load(Ordering::Acquire);
        match kind {
            _ if said >= all => all,
            ChunkKind::Meta => said,
            ChunkKind::Event => said.saturating_sub(KEPT_FOR_NAMES),
        }
    }

    fn next_turn(&self, usable: u64) -> Option<u64> {
        let next = |turn: u64| (turn < usable).then_some(turn + 1);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .ok()
    }

    /// Whether call stacks may still take room from names.
    pub(crate) fn has_room_for_stacks(&self) -> bool {
        // Of a ring that could not be as long as it was to be, what there is counts.
        let chunks = self.length(self.is_short.load(Ordering::Relaxed));
        self.meta_chunks.load(Ordering::Relaxed) <= chunks / STACKS_SHARE
    }

    /// Gives back a chunk of names that nothing was written to.
    pub(super) fn give_back_names_chunk(&self, index: u32) {
        self.meta_chunks.fetch_sub(1, Ordering::Relaxed);
        self.close_chunk(index);
    }

    /// Says that a full event chunk may be recycled.
    pub(crate) fn close_chunk(&self, index: u32) {
        if let Some(owner) = self.owners.get(index as usize) {
            protocol::hand_over(owner, CHUNK_CLOSED);
        }
    }
}
