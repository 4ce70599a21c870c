//! Leaks and reclaims: generations begin and end.
//!
//! Where probes of the program's functions tell of them, less is known: whoever turns a pointer into an owner may only
//! look at it (`ManuallyDrop`), and give it away again where nobody sees it. So a reclaim is noted there and ends nothing,
//! until the block is freed, or the pointer given away once more.

use wire::record::Owner;

use super::addresses::{Address, Place};
use super::looks::Taken;
use super::moment::{Handled, Moment};
use super::sequences::Sequences;
use super::state::{State, TABLE_SHIFT};
use super::things::{Generation, Leaked, Operation, OperationId, Thread, is_nowhere, is_sole};
use super::{Link, Observer};
use crate::event::{Event, EventId, Pointer, SiteId, What};

/// Operations of a generation that a finding can name.
const OWING_MAX: usize = 8;
/// Bits of a tag up to which the cookies of one address are tried, instead of looking at all that there are.
const TAG_BITS_MAX: u32 = 6;

impl State {
    pub(super) fn leak(
        &mut self,
        event: &Event,
        pointer: &Pointer,
        forever: bool,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        let thread = self.thread(event.lane);
        let stranger = self.strangers.get(&event.lane).and_then(|all| all.last());
        let scope_unsure = stranger.is_some_and(|(_, resumed)| {
            let begun = self.scope_begins.get(&(process, event.scope));
            begun.is_none_or(|(begun, _)| begun < resumed)
        });
        if pointer.owner == Owner::Index && pointer.address >> TABLE_SHIFT != 0 {
            self.tables
                .insert((process, pointer.address >> TABLE_SHIFT));
        }
        let key = (process, pointer.address);
        let place = self.addresses.place(key);
        if self.is_probed(process) {
            self.bury_taken(place);
        }
        let Some(address) = self.addresses.at(place) else {
            return;
        };
        let nowhere = is_nowhere(observer.recording, pointer);
        // An index that happens to be the word of what has no bytes.
        if nowhere && address.live().is_some_and(|live| !live.nowhere) {
            return;
        }
        // A second leak of what has one owner shows that it was taken back where nobody looked.
        let goes_on = address.live().is_some() && (nowhere || !is_sole(pointer.owner));
        let number = address.generations().saturating_add((!goes_on).into());
        let brought_by = goes_on.then(|| address.brought_by()).flatten();
        if goes_on && let Some(live) = address.live_mut() {
            live.leases = live.leases.saturating_add(1);
            live.handed = live.handed.saturating_add(1);
            live.leaked_as(pointer);
            observer.handle(Handled {
                event: event.id,
                pointer: *pointer,
                generation: live,
                back: false,
                thread,
                brought_by,
            });
            live.note_handle(event.id, pointer, false, thread);
            live.forever |= forever;
            live.lane = event.lane;
        } else {
            if address.is_renamed(pointer.ty) {
                observer
                    .objects
                    .begin(process, pointer.address, number, pointer.ty);
            }
            self.addresses.begin(
                place,
                Leaked {
                    number,
                    owner: pointer.owner,
                    ty: pointer.ty,
                    event: event.id,
                    site: pointer.site,
                    lane: event.lane,
                    scope: event.scope,
                    scope_unsure,
                    nowhere,
                    thread,
                    forever,
                },
            );
            if matches!(event.what, What::Retain(_)) {
                self.first_retained(place);
            }
            self.summary.generations = self.summary.generations.saturating_add(1);
        }
        *self.link(event.id) = Link {
            address: pointer.address,
            generation: number,
            coroutine: None,
            operation: None,
            enter: None,
        };
    }

    /// The first handle that was seen at a place was made by raising a count.
    #[cold]
    fn first_retained(&mut self, place: Place) {
        if let Some(live) = self.addresses.at(place).and_then(Address::live_mut) {
            live.flight_mut().retained = true;
        }
    }

    /// A cookie is declared to be carried by several operations at once: for as long as what lives at
    /// it, or for ever where nothing does.
    pub(super) fn share(&mut self, process: u32, cookie: u64) {
        let address = self.schemes.address_on_any(process, cookie);
        let address = self.addresses.get_mut((process, address));
        match address.and_then(Address::live_mut) {
            Some(live) => live.shared = true,
            None => self.schemes.share(process, cookie),
        }
    }

    pub(super) fn peek(&mut self, event: &Event, pointer: &Pointer, observer: &mut Observer<'_>) {
        if self.is_probed(event.process) {
            let address = self.addresses.get((event.process, pointer.address));
            // What is forgotten where the last one was freed is another one, and left for others.
            if address.is_some_and(|it| it.live().is_none() && it.dead().is_some()) {
                return self.leak(event, pointer, false, observer);
            }
        }
        if let Some(address) = self.addresses.get_mut((event.process, pointer.address)) {
            if let Some(live) = address.live_mut() {
                live.peeked = true;
                live.lane = event.lane;
                // It was turned into an owner and forgotten.
                if self.turned.contains_key(&(event.process, pointer.address)) {
                    live.returned = live.returned.saturating_sub(1);
                }
            }
            let number = address.generations();
            let link = self.link(event.id);
            (link.address, link.generation) = (pointer.address, number);
        }
    }

    /// Takes a lease back. `owned`: by taking ownership, not by lowering a count.
    pub(super) fn reclaim(
        &mut self,
        event: &Event,
        pointer: &Pointer,
        owned: bool,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        let thread = self.thread(event.lane);
        let probed = self.is_probed(process);
        let Some(place) = self.addresses.find((process, pointer.address)) else {
            return;
        };
        let Some(address) = self.addresses.at(place) else {
            return;
        };
        let (number, brought_by) = (address.generations(), address.brought_by());
        let nowhere = is_nowhere(observer.recording, pointer);
        if nowhere && address.live().is_some_and(|live| !live.nowhere) {
            return;
        }
        let Some(live) = address.live_mut() else {
            // Where nothing is, nothing is freed twice.
            if let Some(dead) = address.dead()
                && !nowhere
                && !dead.generation.nowhere
            {
                let site = pointer.site;
                observer.see(&Moment::ReclaimedDead {
                    event: event.id,
                    site,
                    dead,
                    owned,
                    brought_by,
                });
            }
            let link = self.link(event.id);
            (link.address, link.generation) = (pointer.address, number);
            return;
        };
        if probed {
            live.returned = live.returned.saturating_add(1);
            live.peeked = true;
            live.lane = event.lane;
            let key = (process, pointer.address);
            self.turned.insert(key, (event.id, pointer.site));
            let link = self.link(event.id);
            (link.address, link.generation) = (pointer.address, number);
            return;
        }
        live.leases = live.leases.saturating_sub(1);
        live.returned = live.returned.saturating_add(1);
        live.lane = event.lane;
        observer.handle(Handled {
            event: event.id,
            pointer: *pointer,
            generation: live,
            back: true,
            thread,
            brought_by,
        });
        live.note_handle(event.id, pointer, true, thread);
        // What flew on a ring that was dropped is judged at the end; see `drops`.
        let in_flight = live.flying() > live.leases || live.is_perhaps_in_flight();
        let is_last = live.leases == 0;
        let link = self.link(event.id);
        (link.address, link.generation) = (pointer.address, number);
        if in_flight {
            self.reclaim_in_flight(event, pointer, place, owned, observer);
        } else if is_last {
            self.bury(place, (event.id, pointer.site));
        }
    }

    /// A lease came back of what carries operations that still owe completions.
    #[inline(never)]
    fn reclaim_in_flight(
        &mut self,
        event: &Event,
        pointer: &Pointer,
        place: Place,
        owned: bool,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        let Some(address) = self.addresses.at(place) else {
            return;
        };
        let brought_by = address.brought_by();
        let Some(generation) = address.live().cloned() else {
            return;
        };
        let owing = if generation.flying() > generation.leases {
            self.owing(&generation, pointer.address)
        } else {
            Vec::new()
        };
        let first = owing.first();
        let taken = Taken {
            event: event.id,
            process,
            lane: event.lane,
            pointer: *pointer,
            place,
            stranded: first.is_some_and(|operation| self.is_untaken(operation, event.lane)),
            owing: owing.into_iter().cloned().collect(),
            generation,
            brought_by,
            running: self.running.get(&event.lane).copied(),
        };
        if owned && taken.may_be_look() {
            self.wait_for_second_half(taken);
        } else {
            self.take_back(taken, event.id, observer);
        }
    }

    /// Whether probes of its functions tell who gives pointers away.
    pub(super) fn is_probed(&self, process: u32) -> bool {
        !self.probed.is_empty() && self.probed.contains(&process)
    }

    /// Ends a generation of which every handle was turned into an owner: who gives the pointer away again had it.
    fn bury_taken(&mut self, place: Place) {
        let live = self.addresses.at(place).and_then(|it| it.live());
        let taken = live.filter(|live| live.returned >= live.leases);
        let taken = taken.map(|live| (live.id.process, live.id.address));
        if let Some(turned) = taken.and_then(|key| self.turned.remove(&key)) {
            self.bury(place, turned);
        }
    }

    /// Ends the generation that lives at an address.
    #[inline]
    pub(super) fn bury(&mut self, place: Place, reclaimed: (EventId, SiteId)) {
        let Some(address) = self.addresses.at(place) else {
            return;
        };
        let Some(generation) = address.live() else {
            return;
        };
        if let Some(flight) = &generation.flight {
            let id = generation.id;
            for (ring, slot) in &flight.laps {
                let ring = self.rings.get_mut(&(id.process, *ring));
                let lap = ring.and_then(|ring| ring.laps.get_mut(slot));
                if let Some(lap) = lap.filter(|lap| lap.generation == Some(id)) {
                    lap.reclaimed = Some(reclaimed);
                }
            }
            if flight.orphaned > 0 {
                self.taken_back.insert(id, reclaimed);
            }
        }
        if generation.reported && generation.leases == 0 {
            let subject = generation.id.subject();
            self.came_back.insert(subject, reclaimed.0);
        }
        self.addresses.end(place, reclaimed);
    }

    /// Whether the kernel has not got an operation yet, and nobody but this lane hands it over.
    pub(super) fn is_untaken(&self, operation: &Operation, lane: u32) -> bool {
        operation.consumed.is_none() && self.is_entered_by(operation.id, lane)
    }

    /// Whether all enters of an operation's ring are known, and come from one lane.
    pub(super) fn is_entered_by(&self, operation: OperationId, lane: u32) -> bool {
        let key = (operation.process, operation.ring);
        let ring = self.rings.get(&key);
        let wrong = ring.is_none_or(|ring| ring.books_are_wrong);
        !wrong && self.entered.get(&key) == Some(&Some(lane))
    }

    /// Operations bound to a generation that still owe completions, oldest first, a few of them.
    pub(super) fn owing(&self, generation: &Generation, address: u64) -> Vec<&Operation> {
        let mut found: Vec<&Operation> = Vec::new();
        for ((process, number), ring) in self.rings.live(generation.id.process) {
            // Cookies of one address differ in their tag bits at most.
            let cookie = address ^ self.schemes.table(*process, *number);
            let tags = self.schemes.tags(*process, *number);
            let mut carry = |sequences: &Sequences| {
                let flying = sequences
                    .iter()
                    .filter_map(|sequence| ring.flying.get(sequence));
                let bound = flying.filter(|op| op.generation == Some(generation.id));
                found.extend(bound.map(Box::as_ref));
            };
            if tags.count_ones() > TAG_BITS_MAX {
                let is_its = |other: u64| self.schemes.address(*process, *number, other) == address;
                let its = ring.by_cookie.iter().filter(|(cookie, _)| is_its(**cookie));
                its.for_each(|(_, sequences)| carry(sequences));
                continue;
            }
            // All values that the bits can have, from all of them set to none.
            let mut tag = tags;
            loop {
                ring.by_cookie
                    .get(&((cookie & !tags) | tag))
                    .map(&mut carry);
                if tag == 0 {
                    break;
                }
                tag = (tag - 1) & tags;
            }
        }
        found.sort_by_key(|operation| operation.submit);
        found.truncate(OWING_MAX);
        found
    }

    /// Notes which operation's completion brought a cookie to the program.
    pub(super) fn brought(&mut self, process: u32, address: u64, operation: Option<OperationId>) {
        if let Some(address) = self.addresses.get_mut((process, address)) {
            address.bring_by(operation);
        }
    }
}

impl Generation {
    /// Notes where a handle went out or came back, where there is more than one: of one, all is known.
    #[inline]
    fn note_handle(&mut self, event: EventId, pointer: &Pointer, back: bool, thread: Thread) {
        if self.handed > 1 && !is_sole(self.owner) {
            self.note_one_of_several(event, pointer, back);
            let crossed = self.thread != thread;
            self.flight_mut().crossed |= crossed;
        }
    }

    fn note_one_of_several(&mut self, event: EventId, pointer: &Pointer, back: bool) {
        let (leaked, first) = (self.leaked, self.leak_site);
        let flight = self.flight_mut();
        if flight.places.is_empty() {
            flight.note_handle(leaked, first, false);
        }
        flight.note_handle(event, pointer.site, back);
    }

    /// Whether its last handle is back, and an operation that was submitted with it and may have ended in silence
    /// was not seen to end.
    fn is_perhaps_in_flight(&self) -> bool {
        let flight = self.flight.as_ref().filter(|_| self.leases == 0);
        flight.is_some_and(|flight| flight.operation.is_some() && flight.reaped.is_none())
    }

    /// Notes as what another handle went out.
    fn leaked_as(&mut self, pointer: &Pointer) {
        let kind = (pointer.owner, pointer.ty);
        if kind == (self.owner, self.ty) || self.also == Some(kind) {
            return;
        }
        self.and_more |= self.also.is_some();
        self.also.get_or_insert(kind);
    }
}
