//! A table that finds the place of a key among things which lie one after the other and never go away.
//!
//! Every event about a pointer asks here. The keys lie with the things; the table has beside each place half of the key's
//! hash, so that of all things a question looks at one, almost always the right one: whoever asks for many keys at once
//! waits for memory once.

use std::hash::{BuildHasher, Hash};

use rustc_hash::{FxBuildHasher, FxHashMap};

/// No thing has this place.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Words that are looked at for a key. A hostile trace may have chosen its keys so that they get into each other's
/// way: those that find no room here are looked for elsewhere.
const STEPS: usize = 32;

/// The most words of a table of few things.
const NEAR: usize = 1 << 13;

/// The fewest words of a table.
const SMALLEST: usize = 64;

/// Where a thing is, and its key's hash.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    place: u32,
}

/// No thing.
const NONE: Entry = Entry {
    hash: 0,
    place: NOWHERE,
};

/// Places by key.
#[derive(Debug)]
pub(super) struct Places<K> {
    /// A power of two of them, or none; at least half of them empty.
    places: Vec<Entry>,
    count: usize,
    far: FxHashMap<K, u32>,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
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
    /// The place of a key; `is_there` says whether a place is that of the key.
    #[inline]
    pub(super) fn find(&self, key: K, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.places.len().wrapping_sub(1);
        let hash = hash(key);
        let mut at = hash as usize;
        for _ in 0..STEPS {
            match self.places.get(at & mask) {
                None | Some(Entry { place: NOWHERE, .. }) => return None,
                Some(entry) if entry.hash == hash && is_there(entry.place) => {
                    return Some(entry.place);
                }
                Some(_) => at = at.wrapping_add(1),
            }
        }
        self.far.get(&key).copied()
    }

    /// Whether they are so few that whatever is asked of them is answered from the nearest caches.
    #[inline]
    pub(super) fn are_near(&self) -> bool {
        self.places.len() <= NEAR
    }

    /// Where a key is if it is anywhere, as far as its hash tells. Two keys in thousands of millions may have the same.
    #[inline(always)]
    pub(super) fn guess(&self, key: K) -> u32 {
        let mask = self.places.len().wrapping_sub(1);
        let hash = hash(key);
        let mut at = hash as usize;
        for _ in 0..STEPS {
            match self.places.get(at & mask) {
                Some(entry) if entry.hash != hash && entry.place != NOWHERE => {
                    at = at.wrapping_add(1);
                }
                Some(entry) => return entry.place,
                None => break,
            }
        }
        NOWHERE
    }

    /// Gives a key its place, which it has not got yet; `key_at` says whose another place is, where there is no room for
    /// that any more.
    #[cold]
    pub(super) fn insert(&mut self, key: K, place: u32, key_at: impl Fn(u32) -> Option<K>) {
        self.count += 1;
        if self.count.saturating_mul(2) > self.places.len() {
            let room = self.places.len().saturating_mul(2).max(SMALLEST);
            let places = std::mem::replace(&mut self.places, vec![NONE; room]);
            let far = std::mem::take(&mut self.far);
            for entry in places.into_iter().filter(|entry| entry.place != NOWHERE) {
                if !self.put(entry)
                    && let Some(key) = key_at(entry.place)
                {
                    self.far.insert(key, entry.place);
                }
            }
            for (key, place) in far {
                self.put_or_far(key, place);
            }
        }
        self.put_or_far(key, place);
    }

    fn put_or_far(&mut self, key: K, place: u32) {
        let hash = hash(key);
        if !self.put(Entry { hash, place }) {
            self.far.insert(key, place);
        }
    }

    /// Whether there was room.
    fn put(&mut self, entry: Entry) -> bool {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = entry.hash as usize;
        for _ in 0..STEPS {
            match self.places.get_mut(at & mask) {
                Some(free) if free.place == NOWHERE => {
                    *free = entry;
                    return true;
                }
                _ => at = at.wrapping_add(1),
            }
        }
        false
    }

    /// Gives a key the place of another, if it has one already.
    pub(super) fn replace(&mut self, key: K, place: u32, is_there: impl Fn(u32) -> bool) -> bool {
        let mask = self.places.len().wrapping_sub(1);
        let hash = hash(key);
        let mut at = hash as usize;
        for _ in 0..STEPS {
            match self.places.get_mut(at & mask) {
                None | Some(Entry { place: NOWHERE, .. }) => return false,
                Some(entry) if entry.hash == hash && is_there(entry.place) => {
                    entry.place = place;
                    return true;
                }
                Some(_) => at = at.wrapping_add(1),
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
        assert!(places.guess(Same(150)) < 200, "one of them");
    }

    /// Keys that all want the same word, and as many that do not.
    #[test]
    fn keys_that_get_into_each_others_way_are_found() {
        let crowded = (0..u64::MAX).filter(|key| hash(*key) & 0xFFF == 7);
        let keys: Vec<u64> = crowded
            .take(3 * STEPS)
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
