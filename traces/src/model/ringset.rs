//! The rings of all processes, found by process and number.
//!
//! Most programs have a ring or two, and each event of one asks for it several times: a few are compared, many
//! are looked up.

use rustc_hash::FxHashMap;

use super::things::RingState;

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
        at
    }

    /// A new ring has the key from now on; gives the one that had it.
    pub(super) fn insert(&mut self, key: RingKey, state: RingState) -> Option<RingState> {
        let is_new = self.find(&key).is_none();
        let before = std::mem::replace(self.known(key)?, state);
        (!is_new).then_some(before)
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
