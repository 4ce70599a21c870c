//! Records of what is seen at once, though it came one after the other: they share the time of the look, and this
//! thread's cursor is taken once for all of them.
//!
//! Where a chunk ends, one record is written as any other, and the look goes on behind it with another time. Where the
//! hot path has no clock, all are.
//!
//! Holds `unsafe`: the thread's pointer to its cursor.

use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use wire::record::{Header, Kind};

use super::room::Place;
use super::{Cursor, HOT, clock, record, record_slice};

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
        let mut row = self.row();
        row.record(self, (kind, flags, aux), payload, || true);
        self.end_row(&row);
    }

    /// Begins a row of records.
    #[inline(always)]
    pub fn row(&self) -> Row {
        let Look {
            time,
            head,
            limit,
            records,
            ..
        } = *self;
        Row {
            time,
            head,
            limit,
            records,
        }
    }

    /// The row is over.
    #[inline(always)]
    pub fn end_row(&mut self, row: &Row) {
        (self.head, self.records) = (row.head, row.records);
    }

    /// The chunk is full, or there is none.
    #[cold]
    #[inline(never)]
    fn elsewhere(&mut self, is_wanted: impl Fn() -> bool, record: impl FnOnce()) {
        if let Some(cursor) = self.cursor.take() {
            HOT.with(|hot| self.end(cursor, hot));
            (self.head, self.limit) = (core::ptr::null_mut(), 0);
            self.before = Some(cursor);
        }
        let is_parents = self.before.is_some_and(|cursor| cursor.process().is_none());
        if is_parents || !is_wanted() {
            return;
        }
        record();
        if let Some(cursor) = self.before {
            *self = HOT.with(Look::begin);
            self.before = Some(cursor);
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

/// Records of a look that come one behind the other: where the next one goes is kept apart from the look, so that it
/// need not lie in memory. Nothing else is recorded by that look before [`Look::end_row`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    time: u64,
    head: *mut AtomicU64,
    limit: u64,
    records: u64,
}

impl Row {
    /// The same, which the compiler may keep in registers where it would leave the other in memory.
    #[inline(always)]
    pub fn again(&self) -> Self {
        let Row {
            time,
            head,
            limit,
            records,
        } = *self;
        Self {
            time,
            head,
            limit,
            records,
        }
    }

    /// Whether a record with so many words behind its header has room here. Else it goes elsewhere, and what the
    /// records before it say is not said where it is.
    #[inline(always)]
    pub(crate) fn has_room(&self, payload: usize) -> bool {
        self.head.wrapping_add(payload + 1) as u64 <= self.limit
    }

    /// Words that there is room for.
    #[inline(always)]
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.head as u64) as usize / 8
    }

    /// Records one event; elsewhere only if `is_wanted` still.
    #[inline(always)]
    pub(crate) fn record<const N: usize>(
        &mut self,
        look: &mut Look,
        (kind, flags, aux): (Kind, u8, u8),
        payload: [u64; N],
        is_wanted: impl Fn() -> bool,
    ) {
        if self.has_room(N) {
            return self.write(kind, flags, aux, &payload);
        }
        look.end_row(self);
        look.elsewhere(is_wanted, move || record(kind, flags, aux, payload));
        *self = look.row();
    }

    /// As [`Row::record`], with the first ones of some words.
    #[inline(always)]
    pub(crate) fn record_some<const N: usize>(
        &mut self,
        look: &mut Look,
        (kind, flags, aux): (Kind, u8, u8),
        (words, count): (&[u64; N], usize),
        is_wanted: impl Fn() -> bool,
    ) {
        let payload = words.get(..count).unwrap_or(words);
        if self.has_room(payload.len()) {
            return self.write(kind, flags, aux, payload);
        }
        look.end_row(self);
        look.elsewhere(is_wanted, move || record_slice(kind, flags, aux, payload));
        *self = look.row();
    }

    #[inline(always)]
    fn write(&mut self, kind: Kind, flags: u8, aux: u8, payload: &[u64]) {
        self.write_next(kind, flags, aux, payload);
        self.count(1);
    }

    /// Records one event, for which there is room; the caller [counts](Row::count) it.
    #[inline(always)]
    pub(crate) fn write_next(&mut self, kind: Kind, flags: u8, aux: u8, payload: &[u64]) {
        let words = payload.len() + 1;
        let header = Header::committed(kind, words as u8, flags, aux, 0);
        Place(self.head).write(Header(header.0 | self.time), payload);
        self.head = self.head.wrapping_add(words);
    }

    /// So many events were recorded.
    #[inline(always)]
    pub(crate) fn count(&mut self, records: u32) {
        self.records += u64::from(records);
    }
}
