//! A `slotmap::SlotMap` whose keys are told as they are given out and given back (feature `slotmap`).
//!
//! A key has its generation inside, and is a word by [`cookie`]:
//!
//! ```
//! use probe::index::slotmap::{SlotMap, cookie, key};
//! use probe::ring::{Cookies, Kind, Ring};
//! use slotmap::DefaultKey;
//!
//! struct Op;
//!
//! let ring = Ring::created(Kind::Copied, -1, 8, 16, 0, 0);
//! let mut ops: SlotMap<DefaultKey, Op> = SlotMap::with_key();
//! ring.cookies(Cookies::KeysOf(ops.table()));
//!
//! let word = cookie(ops.insert(Op)); // recorded as a leak, here
//! // ... travels as `user_data`, and comes back ...
//! assert!(ops.remove(key(word)).is_some()); // recorded as a reclaim, here
//! ```
//!
//! The rest of what changes a map has the names of the crate's too. What gives several keys back records each of
//! them; what only reaches values records nothing.
//!
//! ```
//! use probe::index::slotmap::{SlotMap, cookie};
//! use slotmap::new_key_type;
//!
//! new_key_type! { struct OpKey; }
//!
//! # #[cfg(feature = "assert")]
//! let scope = probe::scope();
//! let mut ops: SlotMap<OpKey, u64> = SlotMap::with_capacity_and_key(8);
//! let first = ops.insert_with_key(|key| cookie(key)); // it knows its own word
//! assert_eq!(ops[first], cookie(first));
//! let keys: Vec<OpKey> = (1..6).map(|value| ops.insert(value)).collect();
//!
//! *ops.get_mut(first).expect("put in above") = 10;
//! ops.values_mut().for_each(|value| *value *= 2);
//! for (key, value) in ops.iter_mut() {
//!     *value += u64::from(key == first);
//! }
//! let [one, other] = ops.get_disjoint_mut([keys[0], keys[1]]).expect("two keys");
//! std::mem::swap(one, other);
//! assert_eq!((ops[first], ops[keys[0]], ops[keys[1]]), (21, 4, 2));
//! ops.reserve(100);
//! assert!(ops.capacity() >= 106);
//!
//! assert_eq!(ops.remove(keys[0]), Some(4)); // recorded
//! assert_eq!(ops.remove(keys[0]), None); // its generation is over: not recorded
//! ops.retain(|key, _| key == first || key == keys[1]); // three are recorded
//! assert_eq!(ops.drain().map(|(_, value)| value).sum::<u64>(), 23); // both are recorded, here
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
//! What only looks is the crate's own, through `Deref`. `detach`, which keeps a key for a value that is not there, is
//! not.

use std::ops::{Deref, Index, IndexMut};
use std::panic::Location;

use ::slotmap::{Key, KeyData};

use super::Table;

/// A key as the word that travels.
#[inline]
pub fn cookie<K: Key>(key: K) -> u64 {
    key.data().as_ffi()
}

/// The key that [`cookie`] made a word of.
#[inline]
pub fn key<K: Key>(cookie: u64) -> K {
    KeyData::from_ffi(cookie).into()
}

/// As `slotmap::SlotMap`. Dropping it gives back the keys that are left, which is told of where it was made.
#[derive(Debug)]
pub struct SlotMap<K: Key, V> {
    table: Table,
    /// Where it was made: what is left when it is dropped is given back nowhere else in the program.
    made: &'static Location<'static>,
    map: ::slotmap::SlotMap<K, V>,
}

impl<K: Key, V> SlotMap<K, V> {
    /// As `slotmap::SlotMap::with_key`, with a [`Table`] of its own.
    #[track_caller]
    pub fn with_key() -> Self {
        Self::with_capacity_and_key(0)
    }

    /// As `slotmap::SlotMap::with_capacity_and_key`.
    #[track_caller]
    pub fn with_capacity_and_key(capacity: usize) -> Self {
        Self {
            table: Table::new(),
            made: Location::caller(),
            map: ::slotmap::SlotMap::with_capacity_and_key(capacity),
        }
    }

    /// Whose keys a ring's cookies are: for [`Cookies::KeysOf`](crate::ring::Cookies::KeysOf).
    pub fn table(&self) -> Table {
        self.table
    }

    /// As `slotmap::SlotMap::insert`.
    #[inline(always)]
    #[track_caller]
    pub fn insert(&mut self, value: V) -> K {
        // Its own `insert` puts the value into a `Result`, and from here the compiler moves it in pieces: twice as slow.
        let key = self.map.insert_with_key(move |_| value);
        self.table.inserted::<V>(cookie(key));
        key
    }

    /// As `slotmap::SlotMap::insert_with_key`. The key is recorded once its value is there: nothing is to travel
    /// before.
    #[inline(always)]
    #[track_caller]
    pub fn insert_with_key(&mut self, make: impl FnOnce(K) -> V) -> K {
        let key = self.map.insert_with_key(make);
        self.table.inserted::<V>(cookie(key));
        key
    }

    /// As `slotmap::SlotMap::remove`.
    #[inline(always)]
    #[track_caller]
    pub fn remove(&mut self, key: K) -> Option<V> {
        if crate::is_recording() && self.map.contains_key(key) {
            self.table.removed::<V>(cookie(key));
        }
        self.map.remove(key)
    }

    /// As `slotmap::SlotMap::retain`.
    #[track_caller]
    pub fn retain(&mut self, mut keeps: impl FnMut(K, &mut V) -> bool) {
        // Not in a closure, which has a place of its own.
        let at = Location::caller();
        let table = self.table;
        self.map.retain(|key, value| {
            let kept = keeps(key, value);
            if !kept {
                table.removed_at::<V>(cookie(key), at);
            }
            kept
        });
    }

    /// As `slotmap::SlotMap::clear`.
    #[track_caller]
    pub fn clear(&mut self) {
        self.all_removed(Location::caller());
        self.map.clear();
    }

    /// As `slotmap::SlotMap::drain`.
    #[track_caller]
    pub fn drain(&mut self) -> ::slotmap::basic::Drain<'_, K, V> {
        self.all_removed(Location::caller());
        self.map.drain()
    }

    fn all_removed(&self, at: &'static Location<'static>) {
        if crate::is_recording() {
            for key in self.map.keys() {
                self.table.removed_at::<V>(cookie(key), at);
            }
        }
    }

    /// As `slotmap::SlotMap::get_mut`.
    #[inline]
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.map.get_mut(key)
    }

    /// As `slotmap::SlotMap::get_disjoint_mut`.
    pub fn get_disjoint_mut<const N: usize>(&mut self, keys: [K; N]) -> Option<[&mut V; N]> {
        self.map.get_disjoint_mut(keys)
    }

    /// As `slotmap::SlotMap::iter_mut`.
    pub fn iter_mut(&mut self) -> ::slotmap::basic::IterMut<'_, K, V> {
        self.map.iter_mut()
    }

    /// As `slotmap::SlotMap::values_mut`.
    pub fn values_mut(&mut self) -> ::slotmap::basic::ValuesMut<'_, K, V> {
        self.map.values_mut()
    }

    /// As `slotmap::SlotMap::reserve`.
    pub fn reserve(&mut self, additional: usize) {
        self.map.reserve(additional);
    }
}

impl<K: Key, V> Deref for SlotMap<K, V> {
    type Target = ::slotmap::SlotMap<K, V>;

    fn deref(&self) -> &Self::Target {
        &self.map
    }
}

impl<K: Key, V> Index<K> for SlotMap<K, V> {
    type Output = V;

    fn index(&self, key: K) -> &V {
        &self.map[key]
    }
}

impl<K: Key, V> IndexMut<K> for SlotMap<K, V> {
    fn index_mut(&mut self, key: K) -> &mut V {
        &mut self.map[key]
    }
}

impl<K: Key, V> Drop for SlotMap<K, V> {
    fn drop(&mut self) {
        self.all_removed(self.made);
    }
}
