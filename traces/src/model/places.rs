//! A table that finds the place of a key among things which lie one after the other and never go away.
//!
//! Every event about a pointer asks here. The keys lie with the things, so that of the table itself a question takes
//! one word mostly, and whoever asks for many keys at once waits for memory once.

use std::hash::{BuildHasher, Hash};

use rustc_hash::{FxBuildHasher, FxHashMap};

/// No thing has this place.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Words that are looked at for a key. A hostile trace may have chosen its keys so that they get into each other's
/// way: those that find no room here are looked for elsewhere.
const STEPS: usize = 32;

/// The fewest words of a table.
const SMALLEST: usize = 64;

/// Places by key.
#[derive(Debug)]
pub(super) struct Places<K> {
    /// A power of two of them, or none; at least half of them empty.
    places: Vec<u32>,
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
fn hash(key: impl Hash) -> usize {
    let hash = FxBuildHasher.hash_one(key);
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as usize
}

impl<K: Copy + Eq + Hash> Places<K> {
    /// The place of a key; `is_there` says whether a place is that of the key.
    #[inline]
    pub(super) fn find(&self, key: K, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash(key);
        for _ in 0..STEPS {
            match self.places.get(at & mask) {
                None | Some(&NOWHERE) => return None,
                Some(&place) if is_there(place) => return Some(place),
                Some(_) => at = at.wrapping_add(1),
            }
        }
        self.far.get(&key).copied()
    }

    /// Where a key is if it is anywhere, most likely.
    #[inline]
    pub(super) fn guess(&self, key: K) -> u32 {
        let mask = self.places.len().wrapping_sub(1);
        let place = self.places.get(hash(key) & mask);
        place.copied().unwrap_or(NOWHERE)
    }

    /// Gives a key its place, which it has not got yet; `key_at` says whose each other place is.
    #[cold]
    pub(super) fn insert(&mut self, key: K, place: u32, key_at: impl Fn(u32) -> Option<K>) {
        self.count += 1;
        if self.count.saturating_mul(2) > self.places.len() {
            let room = self.places.len().saturating_mul(2).max(SMALLEST);
            let places = std::mem::replace(&mut self.places, vec![NOWHERE; room]);
            let far = std::mem::take(&mut self.far);
            let known = places.into_iter().filter(|place| *place != NOWHERE);
            let known = known.filter_map(|place| Some((key_at(place)?, place)));
            for (key, place) in known.chain(far) {
                self.put(key, place);
            }
        }
        self.put(key, place);
    }

    fn put(&mut self, key: K, place: u32) {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash(key);
        for _ in 0..STEPS {
            match self.places.get_mut(at & mask) {
                Some(free) if *free == NOWHERE => {
                    *free = place;
                    return;
                }
                _ => at = at.wrapping_add(1),
            }
        }
        self.far.insert(key, place);
    }

    /// Gives a key the place of another, if it has one already.
    pub(super) fn replace(&mut self, key: K, place: u32, is_there: impl Fn(u32) -> bool) -> bool {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash(key);
        for _ in 0..STEPS {
            match self.places.get_mut(at & mask) {
                None | Some(&mut NOWHERE) => return false,
                Some(known) if is_there(*known) => {
                    *known = place;
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
