//! A table that finds the place of a key among things which lie one after the other and never go away.
//!
//! Every event about a pointer asks here. The keys lie with the things; the table has beside each place half of the key's
//! hash, so that of all things a question looks at one, almost always the right one: whoever asks for many keys at once
//! waits for memory once. A question looks at one cache line, and at all of it: of keys in any order nobody foresees where
//! in it a search ends, and to go on the wrong way takes longer than to look at some words for nothing.

use std::hash::{BuildHasher, Hash};

use rustc_hash::{FxBuildHasher, FxHashMap};

/// No thing has this place.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Places in a cache line.
const WIDTH: usize = 8;

/// Lines that are looked at for a key. A hostile trace may have chosen its keys so that they get into each other's
/// way: those that find no room here are looked for elsewhere.
const STEPS: usize = 4;

/// The most lines of a table of few things.
const NEAR: usize = 1 << 10;

/// The fewest lines of a table.
const SMALLEST: usize = 8;

/// Where things are, and half of their keys' hashes. Free room is behind what is taken.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line {
    hashes: [u32; WIDTH],
    places: [u32; WIDTH],
}

/// No things.
const FREE: Line = Line {
    hashes: [0; WIDTH],
    places: [NOWHERE; WIDTH],
};

impl Line {
    fn entries(&self) -> impl Iterator<Item = (u32, u32)> {
        self.hashes.into_iter().zip(self.places)
    }

    /// The place beside a hash; where two have the same, anything.
    #[inline(always)]
    fn beside(&self, hash: u32) -> u32 {
        let Self { hashes, places } = *self;
        let mut found = 0;
        for (known, place) in hashes.into_iter().zip(places) {
            // Without a branch.
            found |= !place & u32::from(known == hash).wrapping_neg();
        }
        !found
    }

    fn is_full(&self) -> bool {
        self.places.last() != Some(&NOWHERE)
    }
}

/// Half of the hash of a key that somebody asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashed(pub(super) u32);

/// Places by key.
#[derive(Debug)]
pub(super) struct Places<K> {
    /// A power of two of them, at least half of whose room is free, and some more: a search goes on there from the last.
    lines: Vec<Line>,
    /// One less than that power of two.
    mask: usize,
    count: usize,
    far: FxHashMap<K, u32>,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self {
            lines: vec![FREE; SMALLEST + STEPS],
            mask: SMALLEST - 1,
            count: 0,
            far: FxHashMap::default(),
        }
    }
}

/// Addresses lie at equal distances, and one product alone may put those side by side in a row.
#[inline]
fn hash(key: impl Hash) -> u32 {
    let hash = FxBuildHasher.hash_one(key);
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}

impl<K: Copy + Eq + Hash> Places<K> {
    /// The lines that a hash may be in, in the order in which it is looked for.
    #[inline(always)]
    fn lines(&self, hash: u32) -> &[Line] {
        let at = hash as usize & self.mask;
        self.lines.get(at..at + STEPS).unwrap_or_default()
    }

    /// The place of a key; `is_there` says whether a place is that of the key.
    #[inline]
    pub(super) fn find(&self, key: K, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = hash(key);
        for (known, place) in self.lines(hash).iter().flat_map(Line::entries) {
            if place == NOWHERE {
                return None;
            }
            if known == hash && is_there(place) {
                return Some(place);
            }
        }
        self.far.get(&key).copied()
    }

    /// Whether they are so few that whatever is asked of them is answered from the nearest caches.
    #[inline]
    pub(super) fn are_near(&self) -> bool {
        self.mask < NEAR
    }

    /// The first step of a question: what to look for, and something of what lies there, so that it is on its way here.
    #[inline(always)]
    pub(super) fn ask(&self, key: K) -> (Hashed, u32) {
        let hash = hash(key);
        let there = self.lines.get(hash as usize & self.mask);
        (Hashed(hash), there.map_or(0, |line| line.hashes[0]))
    }

    /// Where a key is if it is anywhere, as far as its hash tells. Two keys in thousands of millions may have the same.
    #[inline(always)]
    pub(super) fn guess(&self, Hashed(hash): Hashed) -> u32 {
        let Some(line) = self.lines.get(hash as usize & self.mask) else {
            return NOWHERE;
        };
        match line.beside(hash) {
            NOWHERE if line.is_full() => self.guess_behind(hash),
            place => place,
        }
    }

    #[inline(never)]
    fn guess_behind(&self, hash: u32) -> u32 {
        let behind = self.lines(hash).iter().skip(1);
        let mut found = behind.map(|line| line.beside(hash));
        found.find(|place| *place != NOWHERE).unwrap_or(NOWHERE)
    }

    /// Gives a key its place, which it has not got yet; `key_at` says whose another place is, where there is no room for
    /// that any more.
    #[cold]
    pub(super) fn insert(&mut self, key: K, place: u32, key_at: impl Fn(u32) -> Option<K>) {
        self.count += 1;
        if self.count.saturating_mul(2) > (self.mask + 1) * WIDTH {
            let more = (self.mask + 1).saturating_mul(2);
            self.mask = more - 1;
            let lines = std::mem::replace(&mut self.lines, vec![FREE; more + STEPS]);
            let far = std::mem::take(&mut self.far);
            let entries = lines.iter().flat_map(Line::entries);
            for (hash, place) in entries.filter(|(_, place)| *place != NOWHERE) {
                if !self.put(hash, place)
                    && let Some(key) = key_at(place)
                {
                    self.far.insert(key, place);
                }
            }
            for (key, place) in far {
                self.put_or_far(key, place);
            }
        }
        self.put_or_far(key, place);
    }

    fn put_or_far(&mut self, key: K, place: u32) {
        if !self.put(hash(key), place) {
            self.far.insert(key, place);
        }
    }

    /// Whether there was room.
    fn put(&mut self, hash: u32, place: u32) -> bool {
        let at = hash as usize & self.mask;
        for line in self.lines.iter_mut().skip(at).take(STEPS) {
            let mut rooms = line.hashes.iter_mut().zip(&mut line.places);
            if let Some((known, free)) = rooms.find(|(_, place)| **place == NOWHERE) {
                (*known, *free) = (hash, place);
                return true;
            }
        }
        false
    }

    /// Gives a key the place of another, if it has one already.
    pub(super) fn replace(&mut self, key: K, place: u32, is_there: impl Fn(u32) -> bool) -> bool {
        let hash = hash(key);
        let at = hash as usize & self.mask;
        for line in self.lines.iter_mut().skip(at).take(STEPS) {
            for (known, there) in line.hashes.iter().zip(&mut line.places) {
                if *there == NOWHERE {
                    return false;
                }
                if *known == hash && is_there(*there) {
                    *there = place;
                    return true;
                }
            }
        }
        self.far.get_mut(&key).map(|known| *known = place).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key whose hash says nothing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Same(u64);

    impl Hash for Same {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            7u64.hash(state);
        }
    }

    #[test]
    fn keys_of_one_hash_are_told_apart() {
        let mut places = Places::default();
        let key_at = |place: u32| Some(Same(place.into()));
        for place in 0..200 {
            places.insert(Same(place.into()), place, key_at);
        }
        for place in 0..200 {
            let key = Same(place.into());
            assert_eq!(places.find(key, |at| key_at(at) == Some(key)), Some(place));
        }
        assert_eq!(places.find(Same(200), |_| false), None);
        let (hashed, _) = places.ask(Same(150));
        assert!(places.guess(hashed) != NOWHERE, "anything");
    }

    /// Keys that all want the same word, and as many that do not.
    #[test]
    fn keys_that_get_into_each_others_way_are_found() {
        let crowded = (0..u64::MAX).filter(|key| hash(*key) & 0xFFF == 7);
        let keys: Vec<u64> = crowded
            .take(3 * STEPS * WIDTH)
            .chain(1 << 40..(1 << 40) + 100)
            .collect();
        let mut places = Places::default();
        let key_at = |place: u32| keys.get(place as usize).copied();
        for (place, key) in (0u32..).zip(&keys) {
            let is = |key: u64| move |place| key_at(place) == Some(key);
            assert_eq!(places.find(*key, is(*key)), None);
            places.insert(*key, place, key_at);
            for (place, key) in (0..=place).zip(&keys) {
                assert_eq!(places.find(*key, is(*key)), Some(place));
            }
        }
        assert!(!places.far.is_empty());
        let moved = |key: u64| move |place: u32| key_at(place % 1000) == Some(key);
        for (place, key) in (0u32..).zip(&keys) {
            assert!(places.replace(*key, place + 1000, moved(*key)));
            assert_eq!(places.find(*key, moved(*key)), Some(place + 1000));
        }
        assert!(!places.replace(1 << 50, 0, moved(1 << 50)));
    }
}
