//! What lives in each scope but the outermost, by its place: a suite of tests ends one for each test.
//!
//! Whatever is leaked within a scope is noted here, so that this takes a push. What ended is not looked for: it is left out
//! when somebody asks, and all of it is where something begins and much more is noted than lives.

use rustc_hash::FxHashMap;

/// Process and scope.
type Key = (u32, u32);

/// So many may be noted beyond twice of what lives.
const SLACK: usize = 64;

/// What lives in all scopes.
#[derive(Debug, Default)]
pub(super) struct Living {
    /// The scope that was asked for last, which is nearly always the next one, too.
    latest: (Key, Within),
    others: FxHashMap<Key, Within>,
}

/// What lives in one.
#[derive(Debug, Default)]
struct Within {
    /// All of that, and what ended meanwhile; some of it twice.
    places: Vec<u32>,
    alive: usize,
}

impl Living {
    #[inline]
    fn within(&mut self, key: Key) -> &mut Within {
        if self.latest.0 != key {
            self.change(key);
        }
        &mut self.latest.1
    }

    #[cold]
    fn change(&mut self, key: Key) {
        let next = self.others.remove(&key).unwrap_or_default();
        let (before, within) = std::mem::replace(&mut self.latest, (key, next));
        if within.alive > 0 {
            self.others.insert(before, within);
        }
    }

    /// Something lives at a place in a scope; `is_there` says whether it is so of a place.
    #[inline]
    pub(super) fn begins(&mut self, key: Key, place: u32, is_there: impl Fn(u32) -> bool) {
        let within = self.within(key);
        within.alive += 1;
        within.places.push(place);
        if within.places.len() > within.alive.saturating_mul(2).saturating_add(SLACK) {
            within.tidy(is_there);
        }
    }

    /// Something in a scope does not live there any more.
    #[inline]
    pub(super) fn ends(&mut self, key: Key) {
        let within = self.within(key);
        within.alive = within.alive.saturating_sub(1);
        if within.alive == 0 {
            within.places.clear();
        }
    }

    /// The places of what lives in some scopes of a process, each once; `is_there` says whether something at a place lives
    /// in a scope.
    pub(super) fn places(
        &self,
        process: u32,
        is_within: impl Fn(u32) -> bool,
        is_there: impl Fn(Key, u32) -> bool,
    ) -> Vec<u32> {
        let latest = std::iter::once((&self.latest.0, &self.latest.1));
        let scopes = self.others.iter().chain(latest);
        let mut places: Vec<u32> = scopes
            .filter(|((owner, scope), _)| *owner == process && is_within(*scope))
            .flat_map(|(key, within)| {
                let there = within.places.iter().copied();
                there.filter(|place| is_there(*key, *place))
            })
            .collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

impl Within {
    #[cold]
    fn tidy(&mut self, is_there: impl Fn(u32) -> bool) {
        self.places.sort_unstable();
        self.places.dedup();
        self.places.retain(|place| is_there(*place));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever begins and ends where, it is what a set of each scope says, and little more is noted.
        #[test]
        fn what_lives_is_there_once(steps in prop::collection::vec((0u32..3, 0u32..12), 0..2_000)) {
            let mut living = Living::default();
            let mut sets: FxHashMap<Key, BTreeSet<u32>> = FxHashMap::default();
            for (scope, place) in steps {
                // A place is of one scope at a time.
                let was_in = sets.iter().find(|(_, set)| set.contains(&place)).map(|(key, _)| *key);
                if let Some(key) = was_in {
                    sets.get_mut(&key).unwrap().remove(&place);
                    living.ends(key);
                } else {
                    let key = (scope % 2, scope);
                    let set = sets.entry(key).or_default();
                    set.insert(place);
                    living.begins(key, place, |place| set.contains(&place));
                    let within = living.within(key);
                    prop_assert!(within.places.len() <= 2 * within.alive + SLACK);
                }
            }
            for process in 0..2 {
                let is_there = |key: Key, place| sets.get(&key).is_some_and(|set| set.contains(&place));
                let found = living.places(process, |_| true, is_there);
                let known = sets.iter().filter(|((owner, _), _)| *owner == process);
                let known: BTreeSet<u32> = known.flat_map(|(_, set)| set.iter().copied()).collect();
                prop_assert_eq!(found, known.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
