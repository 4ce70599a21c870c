//! Room for records in one chunk, and the writing of one.
//!
//! Invariant: between `head` and `end` lie unwritten bytes of one open chunk, which the owning thread alone
//! writes.
//!
//! Holds `unsafe`: the words of the chunk are rebuilt from a pointer.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, compiler_fence};

use wire::protocol;
use wire::record::{Header, Kind};

/// Room for records in one chunk.
#[repr(C)]
pub(super) struct Room {
    /// Where the next record goes.
    pub(super) head: AtomicPtr<AtomicU64>,
    /// Address up to which the hot path may write: the end of the chunk, or of the batch.
    pub(super) limit: AtomicU64,
    /// Address of the end of the chunk.
    pub(super) end: AtomicU64,
    /// Index of the chunk plus one, 0 for none.
    pub(super) chunk: AtomicU32,
    /// Number of the chunk within the lane and kind.
    pub(super) seq: AtomicU64,
}

/// Where a record goes: made by [`Room::place`], for a record of the length it was asked for, and by a look, which asks
/// the same.
pub(super) struct Place(pub(super) *mut AtomicU64);

impl Place {
    /// Writes a record, for which there is room.
    #[inline(always)]
    pub(super) fn write(self, header: Header, payload: &[u64]) {
        let words = payload.len() + 1;
        // SAFETY: the place has room for the record, and the invariant above.
        let slot = unsafe { core::slice::from_raw_parts(self.0, words) };
        protocol::reserve(slot, words as u8);
        protocol::commit(slot, header, payload);
    }
}

impl Room {
    /// Where a record of so many words would go, if there is room for it up to `limit`.
    ///
    /// The place is loaded first: should a signal handler that forks come between the two loads, or
    /// into the middle of a chunk switch, the child finds no room, or a place where nobody looks (see
    /// `sys::map_over`). Nothing but the place is stored by a record, so that a child that was forked in
    /// its middle still finds no room.
    #[inline(always)]
    pub(super) fn place(&self, words: usize, limit: &AtomicU64) -> Option<Place> {
        let head = self.head.load(Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let end = (head as u64).wrapping_add(words as u64 * 8);
        (end <= limit.load(Ordering::Relaxed)).then_some(Place(head))
    }

    /// Writes a record to a place that [`Room::place`] found for it.
    ///
    /// The slice is rebuilt from the pointer each time; between `head` and `end` lie unwritten bytes of
    /// one open chunk, which this thread alone writes.
    #[inline(always)]
    pub(super) fn write(&self, place: Place, header: Header, payload: &[u64]) {
        let next = place.0.wrapping_add(payload.len() + 1);
        place.write(header, payload);
        self.head.store(next, Ordering::Relaxed);
    }

    /// Writes a record if there is room for it.
    pub(super) fn try_write(
        &self,
        kind: Kind,
        flags: u8,
        aux: u8,
        delta: u32,
        payload: &[u64],
    ) -> bool {
        let words = payload.len() + 1;
        let Some(place) = self.place(words, &self.end) else {
            return false;
        };
        let header = Header::committed(kind, words as u8, flags, aux, delta);
        self.write(place, header, payload);
        true
    }

    /// Points at the body of a chunk that was just opened.
    ///
    /// The place is stored last: in a child that was forked in the middle of this, what was stored before is
    /// wiped, and a place without an end is no room, while an end without a place would be room at address 0.
    pub(super) fn open(&self, chunk: u32, body: &'static [AtomicU64]) {
        let end = body.as_ptr_range().end as u64;
        self.chunk.store(chunk.wrapping_add(1), Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
        self.limit.store(end, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        self.head.store(body.as_ptr().cast_mut(), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::os::unix::thread::JoinHandleExt;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    static ROOM: Room = Room {
        head: AtomicPtr::new(core::ptr::null_mut()),
        limit: AtomicU64::new(0),
        end: AtomicU64::new(0),
        chunk: AtomicU32::new(0),
        seq: AtomicU64::new(0),
    };
    static IS_OVER: AtomicBool = AtomicBool::new(false);

    /// What a fork does to the child's room, whatever its thread was doing.
    extern "C" fn wipe(_: i32) {
        ROOM.head.store(core::ptr::null_mut(), Ordering::Relaxed);
        ROOM.limit.store(0, Ordering::Relaxed);
        ROOM.end.store(0, Ordering::Relaxed);
        ROOM.chunk.store(0, Ordering::Relaxed);
    }

    /// Wiped in the middle of a chunk's opening, some thousand times: there is no room at address 0.
    #[test]
    fn what_is_wiped_while_a_chunk_is_opened_is_no_room() {
        const WIPES: u32 = 20_000;
        // SAFETY: the handler stores to atomics alone, and the signal is this test's.
        unsafe { libc::signal(libc::SIGUSR2, wipe as *const () as libc::sighandler_t) };
        let opening = thread::spawn(|| {
            let body: &'static [AtomicU64] = Box::leak(Box::new([const { AtomicU64::new(0) }; 8]));
            while !IS_OVER.load(Ordering::Relaxed) {
                ROOM.open(0, body);
                let place = ROOM.place(2, &ROOM.end);
                assert!(place.is_none_or(|place| !place.0.is_null()));
                let place = ROOM.place(2, &ROOM.limit);
                assert!(place.is_none_or(|place| !place.0.is_null()));
            }
        });
        for _ in 0..WIPES {
            // SAFETY: a thread that is not joined yet.
            unsafe { libc::pthread_kill(opening.as_pthread_t(), libc::SIGUSR2) };
            thread::yield_now();
        }
        IS_OVER.store(true, Ordering::Relaxed);
        opening.join().unwrap();
    }
}
