//! Addresses and indices: what lives at each, or lived there last.
//!
//! Every pointer event asks here, so that this is laid out for it: a table of numbers that finds an address's
//! place, and one place for all that is asked of it, whose parts are used again by the next generation.

use std::cell::OnceCell;
use std::collections::VecDeque;

use super::living::Living;
use super::places::{Hashed, NOWHERE, Places};
use super::things::{Dead, Generation, GenerationId, Leaked, OperationId};
use crate::event::{EventId, Pointer, SiteId, TypeId};
use crate::read::Row;

/// Tombstones that are kept.
const TOMBS_MAX: usize = 1 << 20;

/// All that is known of an address, in two cache lines that processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Address {
    /// Its latest generation, whose id says which address this is and how many generations it had; when and where it
    /// ended says nothing while that lives.
    latest: Dead,
    /// Operation whose completion brought this cookie last: ring and sequence number, if [`Address::is_brought`].
    brought_on: u32,
    brought_by: u64,
    is_brought: bool,
    is_alive: bool,
    /// What lived here last is known.
    is_known: bool,
    /// Stands in the row of tombstones.
    is_in_row: bool,
    /// A tombstone was here once and had to go.
    pub(super) forgotten: bool,
}

impl Address {
    /// Where nothing lived yet.
    fn new((process, address): (u32, u64)) -> Self {
        let id = GenerationId {
            process,
            address,
            number: 0,
        };
        Self {
            latest: Dead {
                generation: Generation::none(id),
                reclaimed: EventId(0),
                reclaim_site: SiteId(0),
            },
            brought_on: 0,
            brought_by: 0,
            is_brought: false,
            is_alive: false,
            is_known: false,
            is_in_row: false,
            forgotten: false,
        }
    }

    fn key(&self) -> (u32, u64) {
        let id = self.latest.generation.id;
        (id.process, id.address)
    }

    #[inline]
    fn is(&self, (process, address): (u32, u64)) -> bool {
        let id = self.latest.generation.id;
        id.address == address && id.process == process
    }

    /// How many generations it had.
    #[inline]
    pub(super) fn generations(&self) -> u32 {
        self.latest.generation.id.number
    }

    /// Operation whose completion brought this cookie last.
    #[inline]
    pub(super) fn brought_by(&self) -> Option<OperationId> {
        let process = self.latest.generation.id.process;
        self.is_brought.then_some(OperationId {
            process,
            ring: self.brought_on,
            sequence: self.brought_by,
        })
    }

    /// The completion of an operation of its process brought it.
    #[inline]
    pub(super) fn bring_by(&mut self, operation: Option<OperationId>) {
        self.is_brought = operation.is_some();
        if let Some(operation) = operation {
            (self.brought_on, self.brought_by) = (operation.ring, operation.sequence);
        }
    }

    /// What lives here.
    #[inline]
    pub(super) fn live(&self) -> Option<&Generation> {
        self.is_alive.then_some(&self.latest.generation)
    }

    /// What lives here.
    #[inline]
    pub(super) fn live_mut(&mut self) -> Option<&mut Generation> {
        self.is_alive.then_some(&mut self.latest.generation)
    }

    /// What lived here last, where nothing does.
    #[inline]
    pub(super) fn dead(&self) -> Option<&Dead> {
        let is_dead = self.is_known && !self.is_alive;
        is_dead.then_some(&self.latest)
    }

    /// Whether the next one that lives here has to be named anew, because its predecessor was of another type.
    #[inline]
    pub(super) fn is_renamed(&self, ty: TypeId) -> bool {
        self.generations() == 0 || self.latest.generation.ty != ty
    }

    /// Whether nothing lives here, and what did was leaked as the same. A pointer that is the same in all this is
    /// nowhere if that was.
    #[inline]
    pub(super) fn was_left_by(&self, pointer: &Pointer) -> bool {
        let latest = &self.latest.generation;
        !self.is_alive
            && self.generations() != 0
            && (latest.owner, latest.ty) == (pointer.owner, pointer.ty)
            && !latest.nowhere
    }

    /// A new generation lives here: what is told of it, the rest is as of one that was just leaked. What its predecessor
    /// kept its operations in is used again.
    #[inline(always)]
    pub(super) fn begin(&mut self, leaked: Leaked) {
        (self.is_alive, self.is_known) = (true, true);
        // What an earlier life was brought by has nothing to do with this one.
        self.is_brought = false;
        self.latest.generation.begin(leaked);
    }

    /// What lives here ended.
    #[inline(always)]
    pub(super) fn end(&mut self, (reclaimed, reclaim_site): (EventId, SiteId)) {
        (self.is_alive, self.forgotten) = (false, false);
        (self.latest.reclaimed, self.latest.reclaim_site) = (reclaimed, reclaim_site);
    }

    /// Whether something of a process and a scope lives here.
    fn lives_in(&self, (process, scope): (u32, u32)) -> bool {
        let live = self.live();
        live.is_some_and(|live| live.id.process == process && live.scope == scope)
    }

    /// Whether nothing but itself and its scope has to know that what lives here ends.
    #[inline]
    pub(super) fn ends_alone(&self) -> bool {
        let live = &self.latest.generation;
        self.is_in_row && live.flight.is_none() && !live.reported
    }

    /// Nothing is known any more of what lived here.
    fn forget(&mut self) {
        self.forgotten = true;
        if !self.is_alive {
            self.is_known = false;
            self.latest.generation.flight = None;
        }
    }
}

/// Where the model will find the address that an event is about, as far as that is known before: a place is what it
/// is for ever, so that looking whether it is the right one is all there is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreseen(u32);

impl Default for Foreseen {
    fn default() -> Self {
        Self(NOWHERE)
    }
}

/// Every address that was leaked.
#[derive(Debug)]
pub(super) struct Addresses {
    /// Where the event at hand was foreseen to look.
    pub(super) foreseen: Foreseen,
    places: Places<(u32, u64)>,
    addresses: Vec<Address>,
    /// Made when somebody asks for them, which is seldom.
    low_halves: OnceCell<LowHalves>,
    /// Places of tombstones in the order in which they were put up.
    tombs: VecDeque<u32>,
    /// So many are kept.
    tombs_max: usize,
    /// Places of what lives in each scope but the outermost.
    in_scopes: Living,
}

impl Default for Addresses {
    fn default() -> Self {
        Self::keeping(TOMBS_MAX)
    }
}

/// Where an address has its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u32);

/// The low half of an address whose high half is not empty.
fn low_half((process, address): (u32, u64)) -> Option<(u32, u32)> {
    (address >> 32 != 0).then_some((process, address as u32))
}

/// Places by process and low half.
#[derive(Debug, Default)]
struct LowHalves {
    places: Places<(u32, u32)>,
    /// Two have the same one: only then it matters which began last.
    clash: bool,
}

impl LowHalves {
    fn find(&self, addresses: &[Address], half: (u32, u32)) -> Option<u32> {
        let half_at = |place: u32| low_half(addresses.get(place as usize)?.key());
        self.places.find(half, |place| half_at(place) == Some(half))
    }

    /// A generation began at a place: of those with the same low half the latest is found, if the high half is not
    /// empty.
    fn began(&mut self, addresses: &[Address], place: u32) {
        let half_at = |place: u32| low_half(addresses.get(place as usize)?.key());
        let Some(half) = half_at(place) else {
            return;
        };
        let is_it = |place| half_at(place) == Some(half);
        if self.places.replace(half, place, is_it) {
            self.clash = true;
        } else {
            self.places.insert(half, place, half_at);
        }
    }
}

impl Addresses {
    /// None yet; so many tombstones are kept.
    fn keeping(tombs_max: usize) -> Self {
        Self {
            foreseen: Foreseen::default(),
            places: Places::default(),
            addresses: Vec::new(),
            low_halves: OnceCell::new(),
            tombs: VecDeque::new(),
            tombs_max,
            in_scopes: Living::default(),
        }
    }

    /// The place of an address that was leaked before.
    #[inline(always)]
    pub(super) fn find(&self, key: (u32, u64)) -> Option<Place> {
        self.find_at(key, self.foreseen)
    }

    /// The same where it was foreseen.
    #[inline(always)]
    pub(super) fn find_at(&self, key: (u32, u64), foreseen: Foreseen) -> Option<Place> {
        let place = foreseen.0;
        let known = self.addresses.get(place as usize);
        if known.is_some_and(|known| known.is(key)) {
            return Some(Place(place));
        }
        self.look_for(key)
    }

    /// As [`Addresses::find`], where nothing was foreseen.
    #[inline(never)]
    fn look_for(&self, key: (u32, u64)) -> Option<Place> {
        let is_it = |place: u32| {
            let known = self.addresses.get(place as usize);
            known.is_some_and(|known| known.is(key))
        };
        self.places.find(key, is_it).map(Place)
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

    /// Looks for the addresses of events that come soon, all at once: where there are more than the caches hold,
    /// memory answers many questions in the time of one, as long as no answer has to be waited for. So first all are asked
    /// where they are, and then all are looked at.
    #[inline]
    pub(super) fn foresee(&self, rows: &mut [Row]) {
        if self.places.are_near() {
            for row in rows {
                let (hashed, _) = self.places.ask((row.process, row.address));
                row.foreseen.0 = self.places.guess(hashed);
            }
            return;
        }
        let mut looked = 0u32;
        for row in rows.iter_mut() {
            let (hashed, there) = self.places.ask((row.process, row.address));
            row.foreseen.0 = hashed.0;
            looked = looked.wrapping_add(there);
        }
        for row in rows.iter_mut() {
            row.foreseen.0 = self.places.guess(Hashed(row.foreseen.0));
        }
        for row in rows {
            if let Some(known) = self.addresses.get(row.foreseen.0 as usize) {
                // Of either cache line, wherever the compiler puts them.
                let generation = &known.latest.generation;
                looked = looked.wrapping_add(generation.ty.0 ^ generation.id.number);
                looked = looked.wrapping_add(generation.lane ^ known.brought_on);
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
        let place = u32::try_from(self.addresses.len()).unwrap_or(NOWHERE);
        self.addresses.push(Address::new(key));
        let addresses = &self.addresses;
        let key_at = |place: u32| Some(addresses.get(place as usize)?.key());
        self.places.insert(key, place, key_at);
        Place(place)
    }

    /// Whether a generation that begins again at an address has to be noted by its low half.
    #[inline]
    pub(super) fn notes_low_halves(&self) -> bool {
        self.low_halves
            .get()
            .is_some_and(|low_halves| low_halves.clash)
    }

    /// The address above 4 GiB of those with this low half whose latest generation began last.
    pub(super) fn of_low_half(&self, process: u32, low: u32) -> Option<&Address> {
        let low_halves = self.low_halves.get_or_init(|| {
            let mut low_halves = LowHalves::default();
            let mut places: Vec<(EventId, u32)> = (0u32..)
                .zip(&self.addresses)
                .map(|(place, address)| (address.latest.generation.leaked, place))
                .collect();
            places.sort_unstable();
            for (_, place) in places {
                low_halves.began(&self.addresses, place);
            }
            low_halves
        });
        let place = low_halves.find(&self.addresses, (process, low))?;
        self.addresses.get(place as usize)
    }

    /// A new generation lives at a place: see [`Address::begin`].
    pub(super) fn begin(&mut self, place: Place, leaked: Leaked) {
        let Some(address) = self.addresses.get_mut(place.0 as usize) else {
            return;
        };
        let was_in = address.live().map_or(0, |live| live.scope);
        address.begin(leaked);
        let generation = &address.latest.generation;
        let scopes = (was_in, generation.scope);
        let is_first = generation.id.number == 1;
        if let Some(low_halves) = self.low_halves.get_mut()
            && (is_first || low_halves.clash)
        {
            low_halves.began(&self.addresses, place.0);
        }
        if scopes.0 != scopes.1 {
            self.leaves(place, scopes.0);
            self.enters(place, scopes.1);
        }
    }

    /// What lives at a place is of a scope.
    #[inline]
    pub(super) fn enters(&mut self, place: Place, scope: u32) {
        if scope != 0 {
            self.enters_one(place, scope);
        }
    }

    fn enters_one(&mut self, place: Place, scope: u32) {
        let Some(address) = self.addresses.get(place.0 as usize) else {
            return;
        };
        let key = (address.key().0, scope);
        let addresses = &self.addresses;
        self.in_scopes.begins(key, place.0, |place| {
            let address = addresses.get(place as usize);
            address.is_some_and(|address| address.lives_in(key))
        });
    }

    /// What lived at a place was of a scope.
    #[inline]
    pub(super) fn leaves(&mut self, place: Place, scope: u32) {
        if scope != 0
            && let Some(address) = self.addresses.get(place.0 as usize)
        {
            self.in_scopes.ends((address.key().0, scope));
        }
    }

    /// All of them.
    #[cfg(test)]
    pub(super) fn all(&self) -> &[Address] {
        &self.addresses
    }

    /// Places of what lives in scopes, sorted.
    #[cfg(test)]
    pub(super) fn all_in_scopes(&self) -> Vec<((u32, u32), u32)> {
        let known = self.addresses.iter();
        let scopes = known.map(|known| (known.key().0, known.latest.generation.scope));
        let scopes: std::collections::BTreeSet<_> = scopes.collect();
        let places = |key: (u32, u32)| self.places_within(key.0, move |scope| scope == key.1);
        let each = scopes.into_iter().map(|key| (key, places(key)));
        each.flat_map(|(key, places)| places.into_iter().map(move |place| (key, place)))
            .collect()
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
        let places = self.places_within(process, is_within).into_iter();
        places.filter_map(|place| self.addresses.get(place as usize)?.live())
    }

    /// The places of it, sorted.
    fn places_within(&self, process: u32, is_within: impl Fn(u32) -> bool) -> Vec<u32> {
        self.in_scopes.places(process, is_within, |key, place| {
            let address = self.addresses.get(place as usize);
            address.is_some_and(|address| address.lives_in(key))
        })
    }

    /// What lives at a place ended: its tombstone is put up, and the oldest of too many taken down.
    pub(super) fn end(&mut self, place: Place, reclaimed: (EventId, SiteId)) {
        let Some(address) = self.addresses.get_mut(place.0 as usize) else {
            return;
        };
        if !address.is_alive {
            return;
        }
        address.end(reclaimed);
        let generation = &address.latest.generation;
        let scope = generation.scope;
        if !address.is_in_row {
            address.is_in_row = true;
            self.stand_in_row(place);
        }
        self.leaves(place, scope);
    }

    #[cold]
    fn stand_in_row(&mut self, place: Place) {
        self.tombs.push_back(place.0);
        while self.tombs.len() > self.tombs_max {
            let Some(oldest) = self.tombs.pop_front() else {
                break;
            };
            if let Some(address) = self.addresses.get_mut(oldest as usize) {
                address.is_in_row = false;
                address.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::things::Thread;
    use super::*;
    use crate::event::{Pointer, What};

    /// Of each address that a program ever leaked there is one: it must not grow unseen.
    #[test]
    fn an_address_takes_two_cache_lines() {
        assert!(
            size_of::<Address>() <= 128,
            "{} bytes",
            size_of::<Address>()
        );
    }

    /// Many of them begin their search at words that others took.
    #[test]
    fn all_of_a_batch_are_foreseen() {
        let mut addresses = Addresses::default();
        let known: Vec<u64> = (1..300).map(|number| number * 0x40).collect();
        let mut places: Vec<u32> = known
            .iter()
            .map(|address| addresses.place((0, *address)).0)
            .collect();
        let row = |what| Row::of_other(0, (0, 0), &what);
        let leak = |address| {
            row(What::Leak(Pointer {
                address,
                owner: wire::record::Owner::Box,
                ty: TypeId(0),
                site: SiteId(0),
            }))
        };
        let mut rows: Vec<Row> = known.into_iter().map(leak).collect();
        rows.extend([leak(0x8), row(What::Done { coroutine: 0 })]);
        places.extend([NOWHERE; 2]);
        addresses.foresee(&mut rows);
        let foreseen = rows.iter().map(|row| row.foreseen.0);
        assert_eq!(foreseen.collect::<Vec<_>>(), places);
    }

    /// A place that was foreseen and is another's, or is not there any more, is looked for.
    #[test]
    fn what_was_foreseen_is_a_guess() {
        let mut addresses = Addresses::default();
        let places = [0x1000, 0x2000].map(|address| addresses.place((0, address)).0);
        for foreseen in [places[0], places[1], 2, u32::MAX] {
            addresses.foreseen = Foreseen(foreseen);
            let found = |key| addresses.find(key).map(|place| place.0);
            assert_eq!(found((0, 0x1000)), Some(places[0]));
            assert_eq!(found((0, 0x2000)), Some(places[1]));
            assert_eq!(found((1, 0x1000)), None);
        }
    }

    #[test]
    fn the_oldest_of_too_many_tombstones_is_taken_down_and_that_is_known() {
        let mut addresses = Addresses::keeping(2);
        let mut end = |address, number| {
            let place = addresses.place((0, address));
            addresses.begin(
                place,
                Leaked {
                    number,
                    owner: wire::record::Owner::Box,
                    ty: TypeId(0),
                    event: EventId(0),
                    site: SiteId(0),
                    lane: 0,
                    scope: 0,
                    scope_unsure: false,
                    nowhere: false,
                    thread: Thread::Lane(0),
                    forever: false,
                },
            );
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
