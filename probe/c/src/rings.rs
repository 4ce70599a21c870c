//! Which [`Ring`] belongs to a ring of liburing, and which group to a ring of buffers: tables that are never locked.
//!
//! A ring is known by the address of its completion queue's head, which lies in memory that the kernel
//! shares: `struct io_uring` itself may be copied to another place. A ring of buffers is known by its own. Places in a
//! table are claimed by compare-and-swap, and given back by whoever exits the ring.
//!
//! Two threads that meet a ring at once, which can only happen to one that was made before the recording
//! began, may put it into the table twice: the one that is found first is the ring from then on, and the
//! other is given back with it.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::buffers::BufferRing;
use crate::ring::Ring;

const SLOTS: usize = 4096;
/// How far from its first place a ring may lie.
const REACH: usize = 256;

/// Never was in use: nothing lies behind it.
const FREE: usize = 0;
/// Was in use.
const LEFT: usize = 1;
/// Is being filled.
const TAKEN: usize = 2;

struct Place<T> {
    key: AtomicUsize,
    ring: AtomicPtr<T>,
}

pub(crate) struct Table<T: 'static>([Place<T>; SLOTS]);

/// Rings of liburing.
pub(crate) static RINGS: Table<Ring> = Table::new();
/// Rings of buffers.
pub(crate) static BUFFERS: Table<BufferRing> = Table::new();

impl<T> Table<T> {
    const fn new() -> Self {
        Self(
            [const {
                Place {
                    key: AtomicUsize::new(FREE),
                    ring: AtomicPtr::new(core::ptr::null_mut()),
                }
            }; SLOTS],
        )
    }

    /// Places where this key may lie.
    fn places(&self, key: usize) -> impl Iterator<Item = &Place<T>> {
        // The multiplier is 2^64 divided by the golden ratio (Knuth's multiplicative hashing).
        let first = (key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52;
        (0..REACH).filter_map(move |step| self.0.get((first as usize + step) & (SLOTS - 1)))
    }

    /// The ring under a key; null for none. It stays valid until [`Table::remove`].
    pub(crate) fn find(&self, key: usize) -> *mut T {
        for place in self.places(key) {
            // Acquire pairs with the Release in `insert`: who sees the key also sees its ring.
            match place.key.load(Ordering::Acquire) {
                FREE => break,
                found if found == key => return place.ring.load(Ordering::Relaxed),
                _ => {}
            }
        }
        core::ptr::null_mut()
    }

    /// Puts a ring into the table. False where there is no room.
    pub(crate) fn insert(&self, key: usize, ring: *mut T) -> bool {
        for place in self.places(key) {
            let found = place.key.load(Ordering::Relaxed);
            if found != FREE && found != LEFT {
                continue;
            }
            if place
                .key
                .compare_exchange(found, TAKEN, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                place.ring.store(ring, Ordering::Relaxed);
                place.key.store(key, Ordering::Release);
                return true;
            }
        }
        false
    }

    /// Takes everything under a key out of the table, and hands it to `drop`.
    pub(crate) fn remove(&self, key: usize, mut drop: impl FnMut(*mut T)) {
        for place in self.places(key) {
            match place.key.load(Ordering::Acquire) {
                FREE => break,
                found if found == key => {
                    let ring = place.ring.swap(core::ptr::null_mut(), Ordering::Relaxed);
                    // Release pairs with the Acquire of the next `insert`: it stores its ring after us.
                    place.key.store(LEFT, Ordering::Release);
                    drop(ring);
                }
                _ => {}
            }
        }
    }

    /// The keys of all that are in the table.
    pub(crate) fn keys(&self) -> impl Iterator<Item = usize> {
        let keys = self.0.iter().map(|place| place.key.load(Ordering::Acquire));
        keys.filter(|key| ![FREE, LEFT, TAKEN].contains(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pointer that is never followed.
    fn ring(number: usize) -> *mut Ring {
        core::ptr::without_provenance_mut(number * 8)
    }

    static TABLE: Table<Ring> = Table::new();

    fn insert(key: usize, ring: *mut Ring) -> bool {
        TABLE.insert(key, ring)
    }

    fn find(key: usize) -> *mut Ring {
        TABLE.find(key)
    }

    fn remove(key: usize, drop: impl FnMut(*mut Ring)) {
        TABLE.remove(key, drop);
    }

    fn places(key: usize) -> impl Iterator<Item = &'static Place<Ring>> {
        TABLE.places(key)
    }

    /// Keys that want the same place, and one table for all tests: each has keys of its own.
    fn colliding(count: usize, from: usize) -> Vec<usize> {
        let wanted = core::ptr::from_ref(places(from).next().unwrap());
        (from..)
            .step_by(8)
            .filter(|key| core::ptr::eq(places(*key).next().unwrap(), wanted))
            .take(count)
            .collect()
    }

    #[test]
    fn rings_that_want_one_place_are_told_apart_also_when_one_left() {
        let keys = colliding(3, 0x1000);
        for (number, key) in keys.iter().enumerate() {
            assert!(insert(*key, ring(number + 1)));
        }
        remove(keys[0], |gone| assert_eq!(gone, ring(1)));
        assert!(find(keys[0]).is_null());
        assert_eq!(find(keys[1]), ring(2));
        assert_eq!(find(keys[2]), ring(3));
        // The place in front is taken again, and hides nobody.
        assert!(insert(keys[0], ring(4)));
        for (key, number) in [(keys[0], 4), (keys[1], 2), (keys[2], 3)] {
            assert_eq!(find(key), ring(number));
            remove(key, |gone| assert_eq!(gone, ring(number)));
        }
    }

    #[test]
    fn a_table_without_room_says_so() {
        let keys = colliding(REACH + 1, 0x5000_0000);
        let taken: Vec<_> = keys
            .iter()
            .take_while(|key| insert(**key, ring(7)))
            .collect();
        assert!(taken.len() < keys.len());
        for key in taken {
            remove(*key, |_| {});
            assert!(find(*key).is_null());
        }
    }

    #[test]
    fn threads_that_come_and_go_find_their_own_rings() {
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                scope.spawn(move || {
                    for lap in 0..2000 {
                        let key = thread * 0x100_0000 + lap * 64;
                        assert!(insert(key, ring(key)));
                        assert_eq!(find(key), ring(key));
                        let mut gone = 0;
                        remove(key, |_| gone += 1);
                        assert_eq!(gone, 1);
                    }
                });
            }
        });
    }
}
