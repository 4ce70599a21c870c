//! Records of what is seen at once, though it came one after the other: they share the time of the look, and this
//! thread's cursor is taken once for all of them.
//!
//! Where a chunk ends, or the hot path has no clock, the rest is written as any other record, with times of their own.
//!
//! Holds `unsafe`: the thread's pointer to its cursor.

use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use wire::record::{Header, Kind};

use super::room::Place;
use super::{Cursor, HOT, clock, record};

/// A look, for as long as which nothing else is recorded by this thread but by its signal handlers.
pub struct Look {
    /// Nothing where records go the way of all others; then there is no room either.
    cursor: Option<&'static Cursor>,
    /// Header bits of the time.
    time: u64,
    /// Where the next record goes, and the address up to which there is room: the cursor's own, which hears of it when
    /// the look ends. Nobody else asks it meanwhile.
    head: *mut AtomicU64,
    limit: u64,
    records: u64,
    /// The cursor that it gave back before its end. One that was wiped meanwhile is a parent's: this is a child that was
    /// forked in the middle of the look, and what is left of that is none of its business.
    before: Option<&'static Cursor>,
}

impl core::fmt::Debug for Look {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Look").finish_non_exhaustive()
    }
}

impl Look {
    /// Runs `body` with a look.
    #[inline(always)]
    pub fn take<T>(body: impl FnOnce(&mut Look) -> T) -> T {
        HOT.with(|hot| {
            let mut look = Look::begin(hot);
            let result = body(&mut look);
            if let Some(cursor) = look.cursor {
                look.end(cursor, hot);
            }
            result
        })
    }

    #[inline(always)]
    fn begin(hot: &Cell<*const Cursor>) -> Look {
        let mut look = Look {
            cursor: None,
            time: 0,
            head: core::ptr::null_mut(),
            limit: 0,
            records: 0,
            before: None,
        };
        // SAFETY: as in `try_record`.
        if let Some(cursor) = unsafe { hot.get().as_ref() }
            && clock::is_counter()
            && let Some(delta) = clock::since(cursor.base_ticks.load(Ordering::Relaxed))
        {
            hot.set(core::ptr::null());
            // A handler that interrupts us from here on takes the slow path, which sees that we are inside.
            compiler_fence(Ordering::SeqCst);
            look.time = Header::time(delta);
            // Recordings by batch go on with it.
            if cursor.stamp.load(Ordering::Relaxed) != 0 {
                cursor.stamp.store(look.time, Ordering::Relaxed);
            }
            // The place first, as in `Room::place`: in a forked child there is no room then.
            look.head = cursor.events.head.load(Ordering::Relaxed);
            compiler_fence(Ordering::SeqCst);
            look.limit = cursor.events.limit.load(Ordering::Relaxed);
            look.records = cursor.records.load(Ordering::Relaxed);
            look.cursor = Some(cursor);
        }
        look
    }

    /// Records one event.
    #[inline(always)]
    pub(crate) fn record<const N: usize>(
        &mut self,
        kind: Kind,
        flags: u8,
        aux: u8,
        payload: [u64; N],
    ) {
        let end = self.head.wrapping_add(N + 1);
        if end as u64 > self.limit {
            return self.record_elsewhere(kind, flags, aux, payload);
        }
        let header = Header::committed(kind, (N + 1) as u8, flags, aux, 0);
        Place(self.head).write(Header(header.0 | self.time), &payload);
        self.head = end;
        self.records += 1;
    }

    /// The chunk is full, or there is none: from here on each record has a time of its own.
    #[cold]
    #[inline(never)]
    fn record_elsewhere<const N: usize>(
        &mut self,
        kind: Kind,
        flags: u8,
        aux: u8,
        payload: [u64; N],
    ) {
        if let Some(cursor) = self.cursor.take() {
            HOT.with(|hot| self.end(cursor, hot));
            (self.head, self.limit) = (core::ptr::null_mut(), 0);
            self.before = Some(cursor);
        }
        if self.before.is_none_or(|cursor| cursor.process().is_some()) {
            record(kind, flags, aux, payload);
        }
    }

    #[inline(always)]
    fn end(&self, cursor: &'static Cursor, hot: &Cell<*const Cursor>) {
        cursor.events.head.store(self.head, Ordering::Relaxed);
        cursor.records.store(self.records, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        hot.set(cursor);
    }
}
