//! Addresses and indices: what lives at each, or lived there last.
//!
//! Every pointer event asks here, so that this is laid out for it: a table of numbers that finds an address's
//! place, and one place for all that is asked of it, whose parts are used again by the next generation.

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::hash::BuildHasher;

use super::things::{Dead, Flight, Generation, OperationId};
use crate::event::{Event, EventId, SiteId, TypeId, What};

/// Tombstones that are kept.
const TOMBS_MAX: usize = 1 << 20;

/// Addresses from which on they are looked at ahead: fewer lie in the nearer caches.
const WARM_FROM: usize = 1 << 12;

/// All that is known of an address. It lies in no more cache lines than it has to.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Address {
    process: u32,
    pub(super) generations: u32,
    address: u64,
    /// Its latest generation; when and where it ended says nothing while that lives.
    latest: Option<Dead>,
    is_alive: bool,
    /// Stands in the row of tombstones.
    is_in_row: bool,
    /// A tombstone was here once and had to go.
    pub(super) forgotten: bool,
    /// The type that its latest generation has in [`crate::names::Objects`].
    pub(super) named: Option<TypeId>,
    /// Operation whose completion brought this cookie last.
    pub(super) brought_by: Option<OperationId>,
}

impl Address {
    /// What lives here.
    #[inline]
    pub(super) fn live(&self) -> Option<&Generation> {
        let latest = self.latest.as_ref().filter(|_| self.is_alive);
        latest.map(|latest| &latest.generation)
    }

    /// What lives here.
    #[inline]
    pub(super) fn live_mut(&mut self) -> Option<&mut Generation> {
        let latest = self.latest.as_mut().filter(|_| self.is_alive);
        latest.map(|latest| &mut latest.generation)
    }

    /// What lived here last, where nothing does.
    #[inline]
    pub(super) fn dead(&self) -> Option<&Dead> {
        self.latest.as_ref().filter(|_| !self.is_alive)
    }

    /// A new generation lives here. What its predecessor kept its operations in is used again.
    #[inline]
    fn begin(&mut self, mut generation: Generation) {
        let before = self.latest.as_mut();
        let mut flight: Option<Box<Flight>> =
            before.and_then(|before| before.generation.flight.take());
        if let Some(flight) = &mut flight {
            flight.clear();
        }
        generation.flight = flight;
        self.is_alive = true;
        self.latest = Some(Dead {
            generation,
            reclaimed: EventId(0),
            reclaim_site: SiteId(0),
        });
    }
}

/// Every address that was leaked.
#[derive(Debug)]
pub(super) struct Addresses {
    places: HashTable<u32>,
    addresses: Vec<Address>,
    /// Places of tombstones in the order in which they were put up.
    tombs: VecDeque<u32>,
    /// So many are kept.
    tombs_max: usize,
    /// Places of what lives in each scope but the outermost, by process and scope: a suite of tests ends one for
    /// each test.
    in_scopes: FxHashMap<(u32, u32), FxHashSet<u32>>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self::keeping(TOMBS_MAX)
    }
}

/// Where an address has its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u32);

fn hash(key: (u32, u64)) -> u64 {
    FxBuildHasher.hash_one(key)
}

impl Addresses {
    /// None yet; so many tombstones are kept.
    fn keeping(tombs_max: usize) -> Self {
        Self {
            places: HashTable::new(),
            addresses: Vec::new(),
            tombs: VecDeque::new(),
            tombs_max,
            in_scopes: FxHashMap::default(),
        }
    }

    /// The place of an address that was leaked before.
    #[inline]
    pub(super) fn find(&self, key: (u32, u64)) -> Option<Place> {
        let addresses = &self.addresses;
        let is_it = |place: &u32| {
            let known = addresses.get(*place as usize);
            known.is_some_and(|known| (known.process, known.address) == key)
        };
        self.places.find(hash(key), is_it).copied().map(Place)
    }

    #[inline]
    pub(super) fn get(&self, key: (u32, u64)) -> Option<&Address> {
        self.addresses.get(self.find(key)?.0 as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: (u32, u64)) -> Option<&mut Address> {
        let place = self.find(key)?;
        self.at(place)
    }

    /// What is at a place.
    #[inline]
    pub(super) fn at(&mut self, place: Place) -> Option<&mut Address> {
        self.addresses.get_mut(place.0 as usize)
    }

    /// Looks at what is known of addresses that will be asked for soon, all at once: where there are more than the
    /// caches hold, memory answers many questions in the time of one.
    #[inline]
    pub(super) fn warm<'e>(&self, events: impl Iterator<Item = &'e Event>) {
        if self.addresses.len() < WARM_FROM {
            return;
        }
        let mut looked = 0u32;
        for event in events {
            let address = match &event.what {
                What::Leak(pointer) | What::Reclaim(pointer) | What::Peek(pointer) => {
                    pointer.address
                }
                What::Submit(submission) => submission.entry.cookie,
                What::Complete(completion) => completion.cookie,
                _ => continue,
            };
            if let Some(known) = self.get((event.process, address)) {
                let latest = known.latest.as_ref();
                let parts = latest.map_or(0, |latest| {
                    let generation = &latest.generation;
                    generation.lane ^ generation.leases ^ latest.reclaim_site.0
                });
                let brought_by = known.brought_by.map_or(0, |operation| operation.ring);
                looked = looked.wrapping_add(known.generations ^ parts ^ brought_by);
            }
        }
        std::hint::black_box(looked);
    }

    /// The place of an address, made where there is none.
    #[inline]
    pub(super) fn place(&mut self, key: (u32, u64)) -> Place {
        match self.find(key) {
            Some(place) => place,
            None => self.make(key),
        }
    }

    #[cold]
    fn make(&mut self, key: (u32, u64)) -> Place {
        let (process, address) = key;
        let place = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        self.addresses.push(Address {
            process,
            generations: 0,
            address,
            latest: None,
            is_alive: false,
            is_in_row: false,
            forgotten: false,
            named: None,
            brought_by: None,
        });
        let addresses = &self.addresses;
        self.places.insert_unique(hash(key), place, |place| {
            let known = addresses.get(*place as usize);
            known.map_or(0, |known| hash((known.process, known.address)))
        });
        Place(place)
    }

    /// A new generation lives at a place.
    #[inline]
    pub(super) fn begin(&mut self, place: Place, generation: Generation) {
        let Some(address) = self.addresses.get_mut(place.0 as usize) else {
            return;
        };
        let process = address.process;
        let scopes = (
            address.live().map_or(0, |live| live.scope),
            generation.scope,
        );
        address.begin(generation);
        if scopes.0 != scopes.1 {
            self.change_scope(place, process, scopes);
        }
    }

    /// What lives at a place is of another scope than what lived there.
    #[cold]
    fn change_scope(&mut self, place: Place, process: u32, (from, to): (u32, u32)) {
        let left = self.in_scopes.get_mut(&(process, from));
        if left.is_some_and(|places| places.remove(&place.0) && places.is_empty()) {
            self.in_scopes.remove(&(process, from));
        }
        if to != 0 {
            let places = self.in_scopes.entry((process, to)).or_default();
            places.insert(place.0);
        }
    }

    /// All that lives.
    pub(super) fn live(&self) -> impl Iterator<Item = &Generation> {
        self.addresses.iter().filter_map(Address::live)
    }

    /// What lives in some scopes of a process, the outermost one not among them.
    pub(super) fn live_within(
        &self,
        process: u32,
        is_within: impl Fn(u32) -> bool,
    ) -> impl Iterator<Item = &Generation> {
        let scopes = self.in_scopes.iter();
        let within =
            scopes.filter(move |((owner, scope), _)| *owner == process && is_within(*scope));
        let places = within.flat_map(|(_, places)| places);
        places.filter_map(|place| self.addresses.get(*place as usize)?.live())
    }

    /// What lives at a place ended: its tombstone is put up, and the oldest of too many taken down.
    #[inline]
    pub(super) fn end(&mut self, place: Place, (reclaimed, reclaim_site): (EventId, SiteId)) {
        let Some(address) = self.addresses.get_mut(place.0 as usize) else {
            return;
        };
        let Some(latest) = address.latest.as_mut().filter(|_| address.is_alive) else {
            return;
        };
        (latest.reclaimed, latest.reclaim_site) = (reclaimed, reclaim_site);
        (address.is_alive, address.forgotten) = (false, false);
        let (process, scope) = (address.process, latest.generation.scope);
        if !address.is_in_row {
            address.is_in_row = true;
            self.tombs.push_back(place.0);
            self.keep_row_short();
        }
        if scope != 0 {
            self.change_scope(place, process, (scope, 0));
        }
    }

    fn keep_row_short(&mut self) {
        while self.tombs.len() > self.tombs_max {
            let Some(oldest) = self.tombs.pop_front() else {
                break;
            };
            if let Some(address) = self.addresses.get_mut(oldest as usize) {
                (address.is_in_row, address.forgotten) = (false, true);
                if !address.is_alive {
                    address.latest = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::things::{GenerationId, Thread};
    use super::*;

    /// Of each address that a program ever leaked there is one: it must not grow unseen.
    #[test]
    fn an_address_takes_three_cache_lines() {
        assert!(
            size_of::<Address>() <= 160,
            "{} bytes",
            size_of::<Address>()
        );
    }

    #[test]
    fn the_oldest_of_too_many_tombstones_is_taken_down_and_that_is_known() {
        let generation = |address, number| Generation {
            id: GenerationId {
                process: 0,
                address,
                number,
            },
            owner: wire::record::Owner::Box,
            ty: TypeId(0),
            leaked: EventId(0),
            leak_site: SiteId(0),
            leak_lane: 0,
            scope: 0,
            scope_unsure: false,
            leases: 0,
            handed: 1,
            returned: 1,
            also: None,
            and_more: false,
            nowhere: false,
            thread: Thread::Lane(0),
            shared: false,
            forever: false,
            lane: 0,
            peeked: false,
            reported: false,
            flight: None,
        };
        let mut addresses = Addresses::keeping(2);
        let mut end = |address, number| {
            let place = addresses.place((0, address));
            addresses.begin(place, generation(address, number));
            addresses.end(place, (EventId(0), SiteId(0)));
            [0x1000, 0x2000, 0x3000].map(|address| {
                let known = addresses.get((0, address));
                known.map(|known| (known.dead().is_some(), known.forgotten))
            })
        };
        let (stands, gone) = (Some((true, false)), Some((false, true)));
        assert_eq!(end(0x1000, 1), [stands, None, None]);
        assert_eq!(end(0x2000, 1), [stands, stands, None]);
        // One that is put up anew keeps its place in the row.
        assert_eq!(end(0x1000, 2), [stands, stands, None]);
        assert_eq!(end(0x3000, 1), [gone, stands, stands]);
        assert_eq!(end(0x1000, 3), [stands, gone, stands]);
    }
}
