//! The rings of all processes, found by process and number.
//!
//! Most programs have a ring or two, and each event of one asks for it several times: a few are compared, many
//! are looked up.

use rustc_hash::FxHashMap;

use super::things::RingState;
use crate::event::EventId;

/// Process and number of a ring.
pub(super) type RingKey = (u32, u32);

/// As many are compared one after the other.
const FEW: usize = 4;

/// All rings, in the order in which they were first heard of.
#[derive(Debug, Default)]
pub(super) struct Rings {
    keys: Vec<RingKey>,
    states: Vec<RingState>,
    places: FxHashMap<RingKey, usize>,
    /// Places of the rings of each process that were not dropped, in their order: a program may make and drop
    /// rings for as long as it runs.
    live: FxHashMap<u32, Vec<usize>>,
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

    /// The ring of a key; `None` never, but for a way to say so.
    #[inline]
    pub(super) fn known(&mut self, key: RingKey) -> Option<&mut RingState> {
        let at = match self.find(&key) {
            Some(at) => at,
            None => self.add(key),
        };
        self.states.get_mut(at)
    }

    fn add(&mut self, key: RingKey) -> usize {
        let at = self.states.len();
        self.keys.push(key);
        self.states.push(RingState::default());
        self.places.insert(key, at);
        self.live.entry(key.0).or_default().push(at);
        at
    }

    /// A new ring has the key from now on; gives the one that had it.
    pub(super) fn insert(&mut self, key: RingKey, state: RingState) -> Option<RingState> {
        let is_new = self.find(&key).is_none();
        let before = std::mem::replace(self.known(key)?, state);
        if before.dropped.is_some()
            && let Some(at) = self.find(&key)
        {
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
        if let Some(live) = self.live.get_mut(&key.0)
            && let Ok(place) = live.binary_search(&at)
        {
            live.remove(place);
        }
        before
    }

    /// The rings of a process that were not dropped, in the order in which they were first heard of.
    pub(super) fn live(&self, process: u32) -> impl Iterator<Item = (&RingKey, &RingState)> {
        let places = self.live.get(&process).into_iter().flatten();
        places.filter_map(|at| self.keys.get(*at).zip(self.states.get(*at)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&RingKey, &RingState)> {
        self.keys.iter().zip(&self.states)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&RingKey, &mut RingState)> {
        self.keys.iter().zip(&mut self.states)
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
}
