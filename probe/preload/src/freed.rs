//! Blocks that were freed and not handed out again: whether an entry points into one is asked when it is submitted. That
//! is the life of memory between the preparation of an entry and its submission, when nothing is in flight yet.
//!
//! A table of a fixed size remembers frees: of each page the latest few, each as far as its page goes. That one of them
//! is still free is asked of the block itself: the C library (since 2.29) keeps small blocks (up to 1,032 bytes, a few of
//! each size and thread) for their next use, with a key in their second word that nobody else knows, and takes the key
//! out when it hands them out. Where it does not do so nothing is said, nor of larger blocks, of heaps of threads, and
//! of other allocators.

use core::ffi::c_void;
use core::sync::atomic::{AtomicU64, Ordering};

use probe::ring::Entry;

use crate::{next, start};

const PAGE: usize = 4096;
/// Pages that are told apart, and frees that are kept of each.
const PAGES: usize = 512;
const EACH: usize = 4;

/// Of a block: its address, and in the low 16 bits its length up to the end of its page. 0 for none.
static TABLE: [[AtomicU64; EACH]; PAGES] = [const { [const { AtomicU64::new(0) }; EACH] }; PAGES];

/// A block that is free, as far as its first page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) start: usize,
    pub(crate) size: usize,
}

impl Block {
    fn of(word: u64) -> Self {
        Self {
            start: (word >> 16) as usize,
            size: word as usize & 0xFFFF,
        }
    }

    fn word(self) -> u64 {
        let on_page = PAGE - self.start % PAGE;
        (self.start as u64) << 16 | self.size.min(on_page) as u64
    }
}

fn page(address: usize) -> &'static [AtomicU64; EACH] {
    // The index is a remainder.
    TABLE.get(address / PAGE % PAGES).unwrap_or(&TABLE[0])
}

/// A block is about to be freed. Before it is: from then on another thread may be handed it.
#[inline(always)]
pub(crate) fn freeing(block: *mut c_void) {
    if start::is_on()
        && let Some(size) = next::plain_size(block)
    {
        keep(block as usize, size);
    }
}

#[inline(always)]
fn keep(start: usize, size: usize) {
    // Blocks lie 16 bytes apart and are 32 long at least.
    if let Some(place) = page(start).get(start / 32 % EACH) {
        place.store(Block { start, size }.word(), Ordering::Relaxed);
    }
}

/// The key in the second word of blocks that the C library keeps; 0 where it has none.
static KEY: AtomicU64 = AtomicU64::new(0);

/// Learns the key from a block of its own, while nothing is going on yet.
pub(crate) fn prepare() {
    const SIZE: usize = 40;
    // Its blocks are its own, and it minds who looks into them.
    #[cfg(target_arch = "x86_64")]
    if crate::trap::under_valgrind() {
        return;
    }
    // SAFETY: a block of the allocator's, which is given back at once; its words are read while it is kept, which nobody
    // forbids: it stays mapped.
    let key = unsafe {
        let block = next::malloc(SIZE);
        if block.is_null() || next::plain_size(block).is_none() {
            if !block.is_null() {
                next::free(block);
            }
            return;
        }
        next::free(block);
        let key = second_word(block as usize);
        let again = next::malloc(SIZE);
        let taken_out = again == block && second_word(block as usize) == 0;
        next::free(again);
        if taken_out && second_word(block as usize) == key {
            key
        } else {
            0
        }
    };
    KEY.store(key, Ordering::Relaxed);
}

/// # Safety
///
/// It is mapped.
unsafe fn second_word(block: usize) -> u64 {
    // SAFETY: the caller's promise. Another thread may be about to use the block.
    unsafe { (block as *const u64).wrapping_add(1).read_volatile() }
}

/// Whether the C library keeps a block.
fn is_kept(block: Block) -> bool {
    let key = KEY.load(Ordering::Relaxed);
    // SAFETY: what was a block of the first heap is mapped for as long as that reaches over it.
    key != 0 && block.start + 16 <= next::heap_end() && unsafe { second_word(block.start) } == key
}

/// The free block that an address lies in.
fn find(address: usize) -> Option<Block> {
    let words = page(address)
        .iter()
        .map(|place| place.load(Ordering::Relaxed));
    let mut blocks = words.filter(|word| *word != 0).map(Block::of);
    blocks.find(|block| (block.start..block.start + block.size).contains(&address))
}

/// Free blocks that entries point into, of which a few are kept.
#[derive(Debug, Default)]
pub(crate) struct Found {
    blocks: [Option<Block>; 8],
}

impl Found {
    /// Looks what an entry points at, before the kernel gets it. Its cookie is not among it: it may be a number alone.
    #[inline(always)]
    pub(crate) fn look(&mut self, entry: &Entry) {
        /// Lower ones are descriptors, offsets and lengths.
        const POINTERS: u64 = 0x1_0000;
        // Both words: some operations have a second address.
        if (entry[1] | entry[2]) >= POINTERS {
            self.note(entry[1] as usize);
            self.note(entry[2] as usize);
        }
    }

    fn note(&mut self, address: usize) {
        let Some(block) = find(address).filter(|block| is_kept(*block)) else {
            return;
        };
        if self.blocks.contains(&Some(block)) {
            return;
        }
        if let Some(place) = self.blocks.iter_mut().find(|place| place.is_none()) {
            *place = Some(block);
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Block> + '_ {
        self.blocks.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_freed_is_known_as_far_as_its_page_goes() {
        let base = 0x5555_0000_0000;
        keep(base + 0x10, 100);
        keep(base + 0xF20, 800);
        assert_eq!(find(base + 0x0F), None);
        let first = Block {
            start: base + 0x10,
            size: 100,
        };
        assert_eq!(find(base + 0x10), Some(first));
        assert_eq!(find(base + 0x10 + 99), Some(first));
        assert_eq!(find(base + 0x10 + 100), None);
        // Another page with the same place in the table.
        assert_eq!(find(base + 0x10 + PAGES * PAGE), None);
        assert_eq!(find(base + 0xFFF).map(|block| block.size), Some(0xE0));
        assert_eq!(find(base + 0x1000), None);
        // A block that is nowhere is not asked.
        KEY.store(1, Ordering::Relaxed);
        assert!(!is_kept(Block {
            start: usize::MAX / 2,
            size: 100
        }));
    }
}
