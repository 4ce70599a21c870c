//! A `slab::Slab` whose keys are told as they are given out and given back (feature `slab`).
//!
//! Adoption is one `use` line, and one for each ring whose cookies are its keys:
//!
//! ```
//! use probe::index::slab::Slab;
//! use probe::ring::{Cookies, Kind, Ring};
//!
//! struct Op;
//!
//! let ring = Ring::created(Kind::Copied, -1, 8, 16, 0, 0);
//! let mut ops = Slab::new();
//! ring.cookies(Cookies::KeysOf(ops.table()));
//!
//! let key = ops.insert(Op); // recorded as a leak, here
//! // ... `key as u64` travels as `user_data`, and comes back ...
//! ops.remove(key); // recorded as a reclaim, here
//! ```
//!
//! The rest of what changes a slab has the names of the crate's too. What gives several keys back records each of
//! them; what only reaches values records nothing.
//!
//! ```
//! use probe::index::slab::{Slab, VacantEntry};
//!
//! # #[cfg(feature = "assert")]
//! let scope = probe::scope();
//! let mut ops = Slab::with_capacity(8);
//! let entry: VacantEntry<'_, u64> = ops.vacant_entry();
//! let first = entry.key(); // known before its value is there, to be put into it
//! *entry.insert(first as u64) += 10;
//! let keys: Vec<usize> = (1..6).map(|value| ops.insert(value)).collect();
//!
//! *ops.get_mut(first).expect("put in above") += 1;
//! ops.iter_mut().for_each(|(_, value)| *value *= 2);
//! let [one, other] = ops.get_disjoint_mut([keys[0], keys[1]]).expect("two keys");
//! std::mem::swap(one, other);
//! assert_eq!((ops[first], ops[keys[0]], ops[keys[1]]), (22, 4, 2));
//! ops[first] = 7;
//! ops.reserve(100);
//! ops.reserve_exact(100);
//! assert!(ops.capacity() >= 106);
//!
//! assert_eq!(ops.try_remove(keys[0]), Some(4)); // recorded
//! assert_eq!(ops.try_remove(keys[0]), None); // there is nothing: not recorded
//! ops.retain(|key, _| key == first || key == keys[1]); // three are recorded
//! ops.shrink_to_fit();
//! assert_eq!(ops.drain().collect::<Vec<_>>(), [7, 2]); // both are recorded, here
//! ops.insert(8);
//! ops.clear(); // recorded, here
//! assert!(ops.is_empty());
//! # #[cfg(feature = "assert")]
//! # {
//! let numbers = scope.numbers();
//! assert_eq!((numbers.leaked, numbers.reclaimed), (7, 7));
//! scope.assert_clean();
//! # }
//! ```
//!
//! What only looks is the crate's own, through `Deref`. `compact`, which gives values other keys, is not there.

use std::ops::{Deref, Index, IndexMut};
use std::panic::Location;

use super::Table;

/// As `slab::Slab`. Dropping it gives back the keys that are left, which is told of where it was made.
#[derive(Debug)]
pub struct Slab<T> {
    table: Table,
    /// Where it was made: what is left when it is dropped is given back nowhere else in the program.
    made: &'static Location<'static>,
    slab: ::slab::Slab<T>,
}

impl<T> Slab<T> {
    /// As `slab::Slab::new`, with a [`Table`] of its own.
    #[expect(clippy::new_without_default, reason = "each has keys of its own")]
    #[track_caller]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// As `slab::Slab::with_capacity`.
    #[track_caller]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            table: Table::new(),
            made: Location::caller(),
            slab: ::slab::Slab::with_capacity(capacity),
        }
    }

    /// Whose keys a ring's cookies are: for [`Cookies::KeysOf`](crate::ring::Cookies::KeysOf).
    pub fn table(&self) -> Table {
        self.table
    }

    /// As `slab::Slab::insert`.
    #[inline]
    #[track_caller]
    pub fn insert(&mut self, value: T) -> usize {
        // Not through `vacant_entry`, which looks the value up again.
        let key = self.slab.insert(value);
        self.table.inserted::<T>(key as u64);
        key
    }

    /// As `slab::Slab::vacant_entry`: its key is known before its value is there.
    #[inline]
    pub fn vacant_entry(&mut self) -> VacantEntry<'_, T> {
        VacantEntry {
            table: self.table,
            entry: self.slab.vacant_entry(),
        }
    }

    /// As `slab::Slab::try_remove`.
    #[inline]
    #[track_caller]
    pub fn try_remove(&mut self, key: usize) -> Option<T> {
        if crate::is_recording() && self.slab.contains(key) {
            self.table.removed::<T>(key as u64);
        }
        self.slab.try_remove(key)
    }

    /// As `slab::Slab::remove`.
    ///
    /// # Panics
    ///
    /// Where there is no value with this key; nothing is recorded then.
    #[inline]
    #[track_caller]
    pub fn remove(&mut self, key: usize) -> T {
        if crate::is_recording() && self.slab.contains(key) {
            self.table.removed::<T>(key as u64);
        }
        self.slab.remove(key)
    }

    /// As `slab::Slab::retain`.
    #[track_caller]
    pub fn retain(&mut self, mut keeps: impl FnMut(usize, &mut T) -> bool) {
        // Not in a closure, which has a place of its own.
        let at = Location::caller();
        let table = self.table;
        self.slab.retain(|key, value| {
            let kept = keeps(key, value);
            if !kept {
                table.removed_at::<T>(key as u64, at);
            }
            kept
        });
    }

    /// As `slab::Slab::clear`.
    #[track_caller]
    pub fn clear(&mut self) {
        self.all_removed(Location::caller());
        self.slab.clear();
    }

    /// As `slab::Slab::drain`.
    #[track_caller]
    pub fn drain(&mut self) -> ::slab::Drain<'_, T> {
        self.all_removed(Location::caller());
        self.slab.drain()
    }

    fn all_removed(&self, at: &'static Location<'static>) {
        if crate::is_recording() {
            for (key, _) in &self.slab {
                self.table.removed_at::<T>(key as u64, at);
            }
        }
    }

    /// As `slab::Slab::get_mut`.
    #[inline]
    pub fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        self.slab.get_mut(key)
    }

    /// As `slab::Slab::get_disjoint_mut`.
    ///
    /// # Errors
    ///
    /// As there: two keys are the same, or one has no value.
    pub fn get_disjoint_mut<const N: usize>(
        &mut self,
        keys: [usize; N],
    ) -> Result<[&mut T; N], ::slab::GetDisjointMutError> {
        self.slab.get_disjoint_mut(keys)
    }

    /// As `slab::Slab::iter_mut`.
    pub fn iter_mut(&mut self) -> ::slab::IterMut<'_, T> {
        self.slab.iter_mut()
    }

    /// As `slab::Slab::reserve`.
    pub fn reserve(&mut self, additional: usize) {
        self.slab.reserve(additional);
    }

    /// As `slab::Slab::reserve_exact`.
    pub fn reserve_exact(&mut self, additional: usize) {
        self.slab.reserve_exact(additional);
    }

    /// As `slab::Slab::shrink_to_fit`.
    pub fn shrink_to_fit(&mut self) {
        self.slab.shrink_to_fit();
    }
}

/// As `slab::VacantEntry`. One that is dropped without a value was not given out, and is not recorded.
#[derive(Debug)]
pub struct VacantEntry<'a, T> {
    table: Table,
    entry: ::slab::VacantEntry<'a, T>,
}

impl<'a, T> VacantEntry<'a, T> {
    /// As `slab::VacantEntry::key`.
    #[inline]
    pub fn key(&self) -> usize {
        self.entry.key()
    }

    /// As `slab::VacantEntry::insert`.
    #[inline]
    #[track_caller]
    pub fn insert(self, value: T) -> &'a mut T {
        self.table.inserted::<T>(self.entry.key() as u64);
        self.entry.insert(value)
    }
}

impl<T> Deref for Slab<T> {
    type Target = ::slab::Slab<T>;

    fn deref(&self) -> &Self::Target {
        &self.slab
    }
}

impl<T> Index<usize> for Slab<T> {
    type Output = T;

    fn index(&self, key: usize) -> &T {
        &self.slab[key]
    }
}

impl<T> IndexMut<usize> for Slab<T> {
    fn index_mut(&mut self, key: usize) -> &mut T {
        &mut self.slab[key]
    }
}

impl<T> Drop for Slab<T> {
    fn drop(&mut self) {
        self.all_removed(self.made);
    }
}
