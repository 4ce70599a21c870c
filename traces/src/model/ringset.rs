//! The rings of all processes, found by process and number.
//!
//! Most programs have a ring or two, and each event of one asks for it several times: a few are compared, many
//! are looked up.
//!
//! A program may make and drop rings for as long as it runs. What was just dropped is kept as it is, for what
//! comes late; of what was dropped long ago a few words are left.

use rustc_hash::FxHashMap;

use super::things::RingState;
use crate::event::{EventId, Ring};

/// Process and number of a ring.
pub(super) type RingKey = (u32, u32);

/// As many are compared one after the other.
const FEW: usize = 4;
/// Dropped rings that are kept as they are.
const DROPPED_MAX: usize = 256;

/// What is left of a ring that was dropped long ago.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    dropped: EventId,
    /// Where it had come to.
    round: u64,
    /// Operations in flight that were sure to post a completion.
    pub(super) pending: u64,
}

/// All rings, in the order in which they were first heard of.
#[derive(Debug, Default)]
pub(super) struct Rings {
    keys: Vec<RingKey>,
    states: Vec<RingState>,
    places: FxHashMap<RingKey, usize>,
    /// Places of the rings of each process that were not dropped, in their order: a program may make and drop
    /// rings for as long as it runs.
    live: FxHashMap<u32, Vec<usize>>,
    /// What is known of rings whose making may be missing.
    lasting: FxHashMap<RingKey, Ring>,
    /// How many of them were dropped.
    dropped: usize,
    gone: FxHashMap<RingKey, Gone>,
}

impl Rings {
    #[inline]
    fn find(&self, key: &RingKey) -> Option<usize> {
        if self.keys.len() <= FEW {
            return self.keys.iter().position(|known| known == key);
        }
        self.places.get(key).copied()
    }

    #[inline]
    pub(super) fn get(&self, key: &RingKey) -> Option<&RingState> {
        self.states.get(self.find(key)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: &RingKey) -> Option<&mut RingState> {
        let at = self.find(key)?;
        self.states.get_mut(at)
    }

    /// A ring is known whatever is missing.
    pub(super) fn expect(&mut self, key: RingKey, ring: Ring) {
        self.lasting.insert(key, ring);
    }

    /// The ring of a key; `None` never, but for a way to say so.
    #[inline]
    pub(super) fn known(&mut self, key: RingKey) -> Option<&mut RingState> {
        let at = match self.find(&key) {
            Some(at) => at,
            None => self.add(key),
        };
        self.states.get_mut(at)
    }

    #[cold]
    fn add(&mut self, key: RingKey) -> usize {
        let at = self.states.len();
        self.keys.push(key);
        self.places.insert(key, at);
        let mut state = RingState {
            info: self.lasting.get(&key).copied(),
            ..RingState::default()
        };
        match self.gone.remove(&key) {
            // What comes that late explains nothing, and nothing is said of it.
            Some(gone) => {
                (state.dropped, state.round) = (Some(gone.dropped), gone.round);
                state.pending_before = gone.pending;
                self.dropped += 1;
            }
            None => self.live.entry(key.0).or_default().push(at),
        }
        self.states.push(state);
        at
    }

    /// A new ring has the key from now on; gives the one that had it.
    pub(super) fn insert(&mut self, key: RingKey, state: RingState) -> Option<RingState> {
        let is_new = self.find(&key).is_none();
        let before = std::mem::replace(self.known(key)?, state);
        if before.dropped.is_some()
            && let Some(at) = self.find(&key)
        {
            self.dropped -= 1;
            let live = self.live.entry(key.0).or_default();
            if let Err(between) = live.binary_search(&at) {
                live.insert(between, at);
            }
        }
        (!is_new).then_some(before)
    }

    /// The ring of a key is dropped; gives the event that it was dropped at before.
    pub(super) fn end(&mut self, key: RingKey, event: EventId) -> Option<EventId> {
        let at = self.find(&key)?;
        let before = self.states.get_mut(at)?.dropped.replace(event);
        self.dropped += usize::from(before.is_none());
        if let Some(live) = self.live.get_mut(&key.0)
            && let Ok(place) = live.binary_search(&at)
        {
            live.remove(place);
        }
        before
    }

    /// Keeps a few words of the rings that were dropped long ago, where there are many; gives what they were.
    #[inline]
    pub(super) fn forget_dropped(&mut self) -> Vec<RingState> {
        if self.dropped < 2 * DROPPED_MAX {
            return Vec::new();
        }
        self.forget_all_but_newest()
    }

    #[cold]
    fn forget_all_but_newest(&mut self) -> Vec<RingState> {
        let mut drops: Vec<EventId> = self.states.iter().filter_map(|ring| ring.dropped).collect();
        let newest = drops.len().saturating_sub(DROPPED_MAX);
        drops.sort_unstable();
        let first_kept = drops.get(newest).copied();
        let is_old = |ring: &RingState| ring.dropped.is_some_and(|at| Some(at) < first_kept);
        let mut old = Vec::new();
        let keys = std::mem::take(&mut self.keys);
        for (key, ring) in keys.into_iter().zip(std::mem::take(&mut self.states)) {
            match ring.dropped.filter(|_| is_old(&ring)) {
                Some(dropped) => {
                    let (round, pending) = (ring.round, ring.pending());
                    let gone = Gone {
                        dropped,
                        round,
                        pending,
                    };
                    self.gone.insert(key, gone);
                    old.push(ring);
                }
                None => {
                    self.keys.push(key);
                    self.states.push(ring);
                }
            }
        }
        self.dropped -= old.len();
        self.places.clear();
        self.live.clear();
        for (at, (key, ring)) in self.keys.iter().zip(&self.states).enumerate() {
            self.places.insert(*key, at);
            if ring.dropped.is_none() {
                self.live.entry(key.0).or_default().push(at);
            }
        }
        old
    }

    /// How far a ring has come, or had come when it was dropped.
    pub(super) fn round(&self, key: &RingKey) -> u64 {
        match self.get(key) {
            Some(ring) => ring.round,
            None => self.gone.get(key).map_or(0, |gone| gone.round),
        }
    }

    /// Whether a ring was there and was dropped.
    pub(super) fn is_dropped(&self, key: &RingKey) -> bool {
        match self.get(key) {
            Some(ring) => ring.dropped.is_some(),
            None => self.gone.contains_key(key),
        }
    }

    /// Operations that were sure to post a completion and did not, by ring.
    pub(super) fn pending(&self) -> impl Iterator<Item = (&RingKey, u64)> {
        let gone = self.gone.iter().map(|(key, gone)| (key, gone.pending));
        self.iter()
            .map(|(key, ring)| (key, ring.pending()))
            .chain(gone)
    }

    /// The rings of a process that were not dropped, in the order in which they were first heard of.
    pub(super) fn live(&self, process: u32) -> impl Iterator<Item = (&RingKey, &RingState)> {
        let places = self.live.get(&process).into_iter().flatten();
        places.filter_map(|at| self.keys.get(*at).zip(self.states.get(*at)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&RingKey, &RingState)> {
        self.keys.iter().zip(&self.states)
    }

    /// Does something to each ring of a process that was not dropped.
    pub(super) fn each_live(&mut self, process: u32, mut each: impl FnMut(&mut RingState)) {
        for at in self.live.get(&process).into_iter().flatten() {
            if let Some(ring) = self.states.get_mut(*at) {
                each(ring);
            }
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &RingState> {
        self.states.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_are_those_of_a_process_that_were_not_dropped() {
        let mut rings = Rings::default();
        let numbers = |rings: &Rings| -> Vec<u32> {
            let live = rings.live(1);
            live.map(|((_, number), ring)| {
                assert_eq!(ring.dropped, None);
                *number
            })
            .collect()
        };
        for key in [(1, 7), (2, 0), (1, 3), (1, 5), (1, 0)] {
            rings.known(key);
        }
        assert_eq!(numbers(&rings), [7, 3, 5, 0]);
        assert_eq!(rings.end((1, 3), EventId(9)), None);
        assert_eq!(rings.end((1, 3), EventId(10)), Some(EventId(9)));
        assert_eq!(rings.end((2, 0), EventId(11)), None);
        assert_eq!(rings.end((3, 0), EventId(12)), None);
        assert_eq!(numbers(&rings), [7, 5, 0]);
        // Another ring with its number is in its place.
        assert!(rings.insert((1, 3), RingState::default()).is_some());
        assert!(rings.insert((1, 7), RingState::default()).is_some());
        assert_eq!(numbers(&rings), [7, 3, 5, 0]);
        assert_eq!(rings.iter().count(), 5);
    }

    #[test]
    fn of_rings_that_were_dropped_long_ago_a_few_words_are_left() {
        let mut rings = Rings::default();
        let mut most = 0;
        let mut forgotten = 0;
        rings.known((1, u32::MAX));
        for number in 0..100_000 {
            let key = (1, number);
            rings.known(key).unwrap().round = u64::from(number);
            rings.end(key, EventId(u64::from(number)));
            forgotten += rings.forget_dropped().len();
            most = most.max(rings.iter().count());
            assert_eq!(rings.places.len(), rings.states.len());
        }
        assert!(most <= 2 * DROPPED_MAX + 1, "{most}");
        assert_eq!(rings.iter().count() + forgotten, 100_001);
        assert_eq!(rings.live(1).count(), 1);
        // What is asked of them at the end is known of all.
        for number in [0, 7, 99_000, 99_999] {
            assert_eq!(rings.round(&(1, number)), u64::from(number));
            assert!(rings.is_dropped(&(1, number)));
        }
        assert!(!rings.is_dropped(&(1, u32::MAX)) && !rings.is_dropped(&(2, 7)));
        // Whatever comes for one later, it stays dropped, until there is another with its number.
        assert!(rings.known((1, 7)).unwrap().dropped.is_some());
        assert_eq!(rings.round(&(1, 7)), 7);
        assert_eq!(rings.live(1).count(), 1);
        rings.insert((1, 7), RingState::default());
        rings.insert((1, 8), RingState::default());
        assert_eq!(rings.live(1).count(), 3);
        assert!(!rings.is_dropped(&(1, 8)));
    }
}
