//! What the shim for programs that do not link the probe needs of it beside [`crate::ring`]. Not for
//! anybody else.

use core::sync::atomic::AtomicU64;

use wire::record::{Kind, LOST_NOT_FOLLOWED, LOST_RING};

use crate::memory::shim;
use crate::recorder;
pub use crate::recorder::{Look, Row};
use crate::ring::Words;

/// Whether another file of this process announces a recorder: it links the probe, and this copy of it has to
/// step aside. Takes the loader's lock.
pub fn another_recorder() -> bool {
    recorder::another_recorder()
}

/// Why this process has no recording, where that is because it could not open one: an error of the system's, or what
/// `wire::layout` has beside those; else 0.
pub fn unopened() -> u32 {
    recorder::unopened()
}

/// Files that are opened from here on say that a shim wrote them.
pub fn is_shim() {
    recorder::capture_as(wire::layout::capture::PRELOAD);
}

/// The program is about to forbid itself system calls: what is recorded from here on needs none.
pub fn settle() {
    recorder::settle();
}

/// The number of this process, from the kernel.
pub fn process_id() -> u32 {
    recorder::process_id()
}

/// Has `handler` run in forked children.
pub fn in_forked_children(handler: extern "C" fn()) {
    recorder::in_forked_children(handler);
}

/// In a forked child: puts zeroed pages where its parent had a mapping that it was not given.
pub fn map_over(start: *mut u8, bytes: usize) {
    recorder::map_over(start, bytes);
}

/// Runs `body` while no signal handler comes in between, but for those of faults.
pub fn without_signals<T>(body: impl FnOnce() -> T) -> T {
    recorder::without_signals(body)
}

/// Exchanges a word as [`AtomicU64::compare_exchange`] does, cheaper where no other thread runs, which is the caller's word.
#[inline(always)]
pub fn exchange(is_alone: bool, word: &AtomicU64, old: u64, new: u64) -> Result<u64, u64> {
    recorder::alone::exchange(is_alone, word, old, new)
}

/// In a look: events of a ring were seen and cannot be followed.
#[inline(always)]
pub fn lost_in(look: &mut Look, count: u32) {
    if count != 0 && recorder::recording() {
        let words = [u64::from(count), LOST_NOT_FOLLOWED];
        look.record(Kind::Lost, 0, 0, words);
    }
}

/// Events of a ring were seen and cannot be followed.
pub fn lost(count: u64) {
    if recorder::recording() && count != 0 {
        recorder::record(Kind::Lost, 0, 0, [count, LOST_NOT_FOLLOWED]);
    }
}

/// A ring was made that is not followed.
pub fn lost_ring() {
    if recorder::recording() {
        recorder::record(Kind::Lost, 0, 0, [1, LOST_RING]);
    }
}

/// Says in the trace, and not on the timeline, what is not seen of this process.
pub fn not_seen(what: &str) {
    if recorder::recording() {
        let _ = recorder::text(what);
    }
}

/// Watches what an entry points at, and what its cookie points at where it may be a pointer.
#[inline(always)]
pub fn watch(entry: Words) {
    shim::watch(entry);
}

/// Whether a block may be watched.
#[inline(always)]
pub fn may_be_watched(block: usize, size: usize) -> bool {
    shim::may_be_watched(block as u64, size)
}

/// As [`may_be_watched`], cheaper, for who knows that something is ([`is_watching`]).
#[inline(always)]
pub fn is_near(block: usize, size: usize) -> bool {
    shim::is_near(block as u64, size)
}

/// Whether any block is watched.
#[inline(always)]
pub fn is_watching() -> bool {
    shim::is_watching()
}

/// Whether a block is watched for certain.
pub fn is_watched(block: usize, size: usize) -> bool {
    shim::is_watched(block as u64, size)
}

/// A watched block is about to be freed.
pub fn freeing(block: usize, size: usize) {
    shim::freeing(block as u64, size);
}

/// A watched block has another place or size.
pub fn resized(old: usize, new: usize, new_size: usize) {
    if recorder::recording() {
        let words = [old as u64, new as u64, new_size as u64];
        recorder::record(Kind::Realloc, 0, 0, words);
    }
}
