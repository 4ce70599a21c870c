//! Frees that the shim sees and this probe cannot: see [`wire::feed`].
//!
//! The shim calls these functions on the program's threads, in the middle of its `free`, `realloc`, `munmap` and
//! `close`: they keep `errno`, and do not lock, allocate or wait.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use wire::feed::{FREES, Feed, MAGIC, TAKEN};
use wire::record::Kind;

use super::watch::{self, feed};
use crate::recorder;

static FEED: Feed = Feed {
    magic: MAGIC,
    taken: AtomicU32::new(0),
    reserved: 0,
    watched: feed::watched(),
    pages: feed::pages(),
    is_near,
    freeing,
    is_watched,
    resized,
    unmapping,
    closing,
};

/// The process that made a ring last. A child of `vfork`, which shares its memory, closes descriptors of its own.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// What a program's frees come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// They are told of.
    Frees,
    /// There is a shim, and the program frees past it.
    Elsewhere,
    /// There is no shim that knows this probe.
    Nothing,
}

/// Offers the feed, once in a process's life, and says what comes of it. Makes a system call.
pub(crate) fn offer() -> Seen {
    PROCESS.store(recorder::process_number(), Ordering::Relaxed);
    let taken = || FEED.taken.load(Ordering::Acquire);
    if taken() == 0 {
        recorder::offer(&raw const FEED as usize + 1);
        if taken() & FREES != 0 {
            watch::installed();
        }
    }
    match taken() {
        all if all & FREES != 0 => Seen::Frees,
        some if some & TAKEN != 0 => Seen::Elsewhere,
        _ => Seen::Nothing,
    }
}

extern "C" fn is_near(block: usize, bytes: usize) -> bool {
    watch::may_be_watched(block as u64, bytes)
}

extern "C" fn is_watched(block: usize, bytes: usize) -> bool {
    feed::holds(block as u64, bytes as u64)
}

extern "C" fn freeing(block: usize, bytes: usize, frame: usize) {
    if recorder::recording() {
        recorder::from_frame(frame, || watch::free(block as u64, bytes as u64));
    }
}

extern "C" fn resized(old: usize, new: usize, bytes: usize, frame: usize) {
    if recorder::recording() {
        let words = [old as u64, new as u64, bytes as u64];
        recorder::from_frame(frame, || recorder::record(Kind::Realloc, 0, 0, words));
    }
}

extern "C" fn unmapping(start: usize, bytes: usize, frame: usize) {
    if feed::holds(start as u64, bytes as u64) {
        recorder::from_frame(frame, || super::unmapping(start as *const u8, bytes));
    }
}

std::thread_local! {
    /// What this thread said that it closes next.
    static SAID: Cell<i32> = const { Cell::new(-1) };
}

/// The program itself says that it closes this one: the close that follows is the same.
pub(crate) fn says_it_closes(fd: i32) {
    let _ = SAID.try_with(|said| said.set(fd));
}

extern "C" fn closing(fd: i32) {
    let is_said = SAID.try_with(|said| said.replace(-1)) == Ok(fd);
    if fd >= 0
        && !is_said
        && recorder::recording()
        && recorder::process_number() == PROCESS.load(Ordering::Relaxed)
    {
        recorder::record(Kind::FdClose, 0, 0, [u64::from(fd as u32), 0]);
    }
}
