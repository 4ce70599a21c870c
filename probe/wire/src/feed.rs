//! How a probe that cannot hook the allocator of its program (that for C) hears of frees from the shim that is loaded
//! beside it. Both are of one process; each may be of another version of `tracer`.
//!
//! The probe *offers* a [`Feed`] by a call that does nothing anywhere: `munmap(address of the feed + 1, 0)`, which every
//! kernel refuses, as the address is none of a page. The shim, which takes the name `munmap` in the program's place, knows
//! the feed by its first word, keeps its address, and says in [`Feed::taken`] what it will bring. Where there is no
//! shim, or one that does not know this version of the feed, nobody writes there, and the probe says what it does not see.
//!
//! Where the program is built with frame pointers the shim, which has them, hands on its own: the probe's library is rarely
//! built so, and could not tell who frees.
//!
//! From then on the shim calls the feed's functions: several feeds in a process (copies of a static library in shared
//! objects) are each called. They are called on the program's threads, before what they tell of is done, and do
//! not lock, allocate, or wait. A forked child has its parent's feeds, of which the probe in it is in charge; a
//! program that another one becomes (`exec`) offers its own.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// First word of a [`Feed`]. Its last byte is the version: one that means something else has another one.
pub const MAGIC: u64 = u64::from_le_bytes(*b"trcfeed\x01");

/// In [`Feed::taken`]: the shim keeps it.
pub const TAKEN: u32 = 1;
/// In [`Feed::taken`]: what the program frees goes through the shim.
pub const FREES: u32 = 2;

/// Most feeds that a process has: more are not taken.
pub const FEEDS_MAX: usize = 8;

/// Pages that are told apart.
pub const PAGES: usize = 1 << 12;
const PAGE_BITS: u32 = 12;
const CELL_BITS: u32 = 7;

/// Whether anything may be watched in a block: `false` is certain. Each page has a word, in which the lowest 32 bits stand for
/// its cells of 128 bytes; others may have the same word. Of a block on several pages nothing is known.
#[inline(always)]
pub fn may_be_near(pages: &[AtomicU64; PAGES], block: usize, bytes: usize) -> bool {
    const IN_PAGE: usize = (1 << PAGE_BITS) - 1;
    let first = block & IN_PAGE;
    let last = first.saturating_add(bytes.max(1) - 1);
    if last > IN_PAGE {
        return true;
    }
    let (first, last) = (first >> CELL_BITS, last >> CELL_BITS);
    let cells = (u32::MAX >> (31 - last)) & (u32::MAX << first);
    let page = (block >> PAGE_BITS) % PAGES;
    let word = pages
        .get(page)
        .map_or(u64::MAX, |word| word.load(Ordering::Relaxed));
    word as u32 & cells != 0
}

/// What a probe offers. It is a static, and stays as long as the process does.
#[repr(C)]
#[derive(Debug)]
pub struct Feed {
    /// [`MAGIC`]
    pub magic: u64,
    /// What became of the offer; written by the shim.
    pub taken: AtomicU32,
    /// 0.
    pub reserved: u32,
    /// How many addresses are watched: while that is 0 nobody asks about frees.
    pub watched: &'static AtomicU32,
    /// What is watched, as [`may_be_near`] reads it at each free.
    pub pages: &'static [AtomicU64; PAGES],
    /// Whether anything may be watched in a block of so many bytes; asked where it is not known from the above.
    pub is_near: extern "C" fn(block: usize, bytes: usize) -> bool,
    /// Such a block is about to be freed; `frame`: the frame pointer of a function of the shim's, behind which are those of the
    /// program.
    pub freeing: extern "C" fn(block: usize, bytes: usize, frame: usize),
    /// Whether something is watched in a block for certain: asked before it gets a new size.
    pub is_watched: extern "C" fn(block: usize, bytes: usize) -> bool,
    /// Such a block got a new size, and maybe another place.
    pub resized: extern "C" fn(old: usize, new: usize, bytes: usize, frame: usize),
    /// Memory is about to be unmapped.
    pub unmapping: extern "C" fn(start: usize, bytes: usize, frame: usize),
    /// A descriptor is about to be closed.
    pub closing: extern "C" fn(fd: i32),
}
