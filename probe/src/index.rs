//! Indices and keys of a table that travel as cookies: a slab's, a slotmap's, an arena's.
//!
//! What is in the table is given away with its key when it goes in, and taken back when it goes out: a key that
//! the table gives out again begins a new life, and a completion that belongs to the one before is told from
//! it. Two tables have the same keys; so a ring is told whose keys its cookies are:
//!
//! ```
//! # #[cfg(feature = "io-uring")]
//! # fn main() -> std::io::Result<()> {
//! use probe::index::Table;
//! use probe::io_uring::{IoUring, opcode};
//! use probe::ring::Cookies;
//!
//! struct Op;
//!
//! let mut ring = IoUring::new(8)?;
//! let mut ops = slab::Slab::new();
//! let table = Table::new();
//! ring.hooks().cookies(Cookies::KeysOf(table)); // the one line that declares them
//!
//! let key = ops.insert(Op);
//! table.inserted::<Op>(key as u64);
//! // SAFETY: a no-operation points at nothing.
//! unsafe { ring.submission().push(&opcode::Nop::new().build().user_data(key as u64)) }.expect("room");
//! ring.submit_and_wait(1)?;
//!
//! let completion = ring.completion().next().expect("waited for");
//! let key = completion.user_data();
//! table.removed::<Op>(key);
//! ops.remove(key as usize);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "io-uring"))]
//! # fn main() {}
//! ```
//!
//! A `slab::Slab` or a `slotmap::SlotMap` says all that by itself, as `slab` (feature `slab`) and `slotmap` (feature
//! `slotmap`) of this module have them. A slotmap's key is a word by `key.data().as_ffi()`, and has its generation inside.
//! Only calls that change what a key stands for are told: a value that is replaced in place is another's
//! business.

use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};

use wire::record::{Kind, Owner};

use crate::recorder;

#[cfg(feature = "slab")]
pub mod slab;

#[cfg(feature = "slotmap")]
pub mod slotmap;

/// Tables that are told apart; the keys of those beyond are taken to be of one table.
const MAX_TABLES: u32 = 0x7FFE;

static LAST: AtomicU32 = AtomicU32::new(0);

/// A table whose keys travel. A number: copy it to wherever the table is changed. Tables beyond the
/// 32,766th of a process are not told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    number: u16,
}

impl Table {
    /// A table was made.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Table {
        let next = |last: u32| (last < MAX_TABLES).then_some(last + 1);
        let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        Table {
            // No more than `MAX_TABLES`; 0 is for those that found no number.
            number: last.map_or(0, |last| (last + 1) as u16),
        }
    }

    /// What makes a key of this table a word of its own: in the upper 16 bits, which no pointer of a program
    /// has. Keys are combined with it by XOR, so that all 64 bits of them count.
    pub(crate) fn tag(self) -> u64 {
        match self.number {
            0 => 0,
            number => 1 << 63 | u64::from(number) << 48,
        }
    }

    /// A value of type `T` went in, and has this key from now on. Call it before the key travels.
    #[inline(always)]
    #[track_caller]
    pub fn inserted<T>(self, key: u64) {
        self.note::<T>(Kind::Leak, key, Location::caller());
    }

    /// The value goes out, and the key may be given out again. Call it before it is.
    #[inline(always)]
    #[track_caller]
    pub fn removed<T>(self, key: u64) {
        self.removed_at::<T>(key, Location::caller());
    }

    #[inline(always)]
    fn removed_at<T>(self, key: u64, at: &'static Location<'static>) {
        self.note::<T>(Kind::Reclaim, key, at);
    }

    /// The program looks at the value and leaves it where it is: for a completion after which others come.
    ///
    /// ```
    /// # #[cfg(feature = "assert")]
    /// let scope = probe::scope();
    /// let table = probe::index::Table::new();
    /// let mut ops = vec![Some("accept, for many")];
    /// table.inserted::<&str>(0);
    /// for _ in 0..3 {
    ///     table.looked_at::<&str>(0);
    ///     assert!(ops[0].is_some());
    /// }
    /// table.removed::<&str>(0);
    /// ops[0] = None;
    /// # #[cfg(feature = "assert")]
    /// scope.assert_clean();
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn looked_at<T>(self, key: u64) {
        self.note::<T>(Kind::Peek, key, Location::caller());
    }

    /// The branch alone is where the table is changed: what records is elsewhere, so that a table is as fast as without
    /// while nothing does.
    #[inline(always)]
    fn note<T>(self, kind: Kind, key: u64, at: &'static Location<'static>) {
        if recorder::recording() {
            self.record::<T>(kind, key, at);
        }
    }

    #[inline(never)]
    fn record<T>(self, kind: Kind, key: u64, at: &'static Location<'static>) {
        let (word, owner) = (key ^ self.tag(), Owner::Index as u8);
        let typed = (
            std::any::type_name::<T>(),
            std::mem::size_of::<T>(),
            std::mem::align_of::<T>(),
        );
        recorder::record_typed(kind, 0, owner, typed, at, move |origin| [word, origin]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_two_tables_are_never_one_word() {
        let (one, other) = (Table::new(), Table::new());
        for key in [0, 1, 7, 1 << 32 | 1, u64::from(u32::MAX)] {
            assert_ne!(key ^ one.tag(), key ^ other.tag());
            assert_eq!(key ^ one.tag() ^ one.tag(), key);
            assert!((key ^ one.tag()) >> 48 > 0x8000);
        }
    }
}
