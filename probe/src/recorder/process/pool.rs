//! The chunks of the file: one pool for all threads, in the order of taking.

use core::sync::atomic::Ordering;

use wire::layout::{self, ChunkKind, header};
use wire::protocol;

use super::Process;
use crate::recorder::sys;

const CHUNK_FREE: u8 = 0;
const CHUNK_OPEN: u8 = 1;
const CHUNK_CLOSED: u8 = 2;
const CHUNK_META: u8 = 3;

impl Process {
    /// Takes the chunk that was taken longest ago and is not being written, or a fresh one.
    pub(crate) fn take_chunk(&self, kind: ChunkKind) -> Option<u32> {
        let chunks = self.chunks.load(Ordering::Relaxed);
        let ring = self.mode.load(Ordering::Relaxed) == layout::mode::RING;
        if kind == ChunkKind::Meta && self.meta_chunks.fetch_add(1, Ordering::Relaxed) >= chunks / 4
        {
            self.meta_chunks.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        for _ in 0..=chunks {
            if !ring && self.taken.load(Ordering::Relaxed) >= u64::from(chunks) {
                return None;
            }
            let turn = self.taken.fetch_add(1, Ordering::Relaxed);
            let index = turn.checked_rem(u64::from(chunks)).unwrap_or(0) as u32;
            let Some(owner) = self.owners.get(index as usize) else {
                continue;
            };
            let free = match owner.load(Ordering::Relaxed) {
                CHUNK_FREE => CHUNK_FREE,
                CHUNK_CLOSED if ring => CHUNK_CLOSED,
                _ => continue,
            };
            let mine = if kind == ChunkKind::Meta {
                CHUNK_META
            } else {
                CHUNK_OPEN
            };
            // Given up in `close_chunk`: what the last owner wrote is before what we clear.
            if !protocol::take_over(owner, free, mine) {
                continue;
            }
            if free == CHUNK_CLOSED {
                protocol::close_and_clear(self.chunk(index));
            } else {
                let first = self.chunk(index).as_ptr().cast_mut();
                sys::populate(first.cast(), layout::CHUNK_BYTES);
            }
            self.header_word(header::CHUNKS_TAKEN)
                .store(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
            return Some(index);
        }
        None
    }

    /// Whether call stacks may still take room from names.
    pub(crate) fn has_room_for_stacks(&self) -> bool {
        self.meta_chunks.load(Ordering::Relaxed) <= self.chunks.load(Ordering::Relaxed) / 8
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
