//! Rings dropped with operations in flight.
//!
//! What such a drop means is known later: a program that takes the owners back behind it may only have
//! been too early for the kernel, one that never does has leaked them. So what flew is kept until its
//! scope or its process ends, and judged then, each operation once.

use std::collections::BTreeMap;

use super::Observer;
use super::addresses::Address;
use super::buffers;
use super::moment::Moment;
use super::state::State;
use super::things::{Flown, Operation, RingDrop};
use crate::event::{Event, EventId};
use crate::recording::Recording;

impl State {
    pub(super) fn ring_drop(&mut self, event: &Event, number: u32, observer: &mut Observer<'_>) {
        let process = event.process;
        let key = (process, number);
        if self.rings.get(&key).is_none() || self.rings.end(key, event.id).is_some() {
            return;
        }
        self.open.forget_ring(key);
        if let Some(info) = self.rings.get(&key).and_then(|ring| ring.info) {
            self.gone_with(key, info.fd);
        }
        self.never_taken_at_drop(event, number, observer);
        self.buffers_at_drop(event, number, observer);
        let Some(ring) = self.rings.get(&(process, number)) else {
            return;
        };
        let mut flown = Vec::new();
        let mut flying: Vec<_> = ring.flying.values().collect();
        flying.sort_by_key(|operation| operation.id.sequence);
        for operation in flying {
            if !operation.sure {
                continue;
            }
            let cookie = operation.entry.cookie;
            let address = self.schemes.address(process, number, cookie);
            let address = self.addresses.get_mut((process, address));
            let Some(live) = address.and_then(Address::live_mut) else {
                continue;
            };
            if Some(live.id) != operation.generation || live.forever {
                continue;
            }
            // What was reported for another reason has its finding already.
            let known = live.reported && live.flight().orphaned == 0;
            let first = !live.reported;
            let flight = live.flight_mut();
            flight.orphaned = flight.orphaned.saturating_add(1);
            live.reported = true;
            if !known {
                flown.push(Flown {
                    operation: Operation::clone(operation),
                    generation: live.clone(),
                    first,
                });
            }
        }
        if !flown.is_empty() {
            self.drops.push(RingDrop {
                event: event.id,
                ring: number,
                flown,
            });
        }
        self.ask_of_kept(key, observer);
        let forgotten = self.rings.forget_dropped();
        self.settle_rings(forgotten.iter(), observer);
        for operation in forgotten.iter().flat_map(|ring| ring.flying.values()) {
            self.forget_memory(operation);
        }
    }

    /// Judges what belongs to a scope that ends.
    pub(super) fn drops_of_scope(
        &mut self,
        event: &Event,
        scope: u32,
        observer: &mut Observer<'_>,
    ) {
        let mut drops = std::mem::take(&mut self.drops);
        for drop in &mut drops {
            let belongs = |flown: &Flown| {
                let id = flown.generation.id;
                id.process == event.process
                    && self.within(id.process, flown.generation.scope, scope)
            };
            let (ended, rest) = std::mem::take(&mut drop.flown)
                .into_iter()
                .partition(belongs);
            drop.flown = rest;
            self.judge_drop(drop, ended, event.id, observer);
        }
        drops.retain(|drop| !drop.flown.is_empty());
        self.drops = drops;
    }

    /// Judges what is left when all processes ended.
    pub(super) fn drops_at_end(&mut self, recording: &Recording, observer: &mut Observer<'_>) {
        let until = EventId(self.summary.events);
        for mut drop in std::mem::take(&mut self.drops) {
            let mut flown = std::mem::take(&mut drop.flown);
            // It may be taken back where nobody looked any more.
            flown.retain(|flown| {
                let id = flown.generation.id;
                let process = recording.process(id.process);
                let address = self.addresses.get((id.process, id.address));
                let live = address.and_then(Address::live);
                process.is_none_or(|process| process.stopped.is_none())
                    || live.is_none_or(|live| live.id != id)
            });
            self.judge_drop(&drop, flown, until, observer);
        }
    }

    fn judge_drop(
        &self,
        drop: &RingDrop,
        flown: Vec<Flown>,
        until: EventId,
        observer: &mut Observer<'_>,
    ) {
        let mut back: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for flown in &flown {
            let id = flown.generation.id;
            let address = self.addresses.get((id.process, id.address));
            let live = address.and_then(Address::live);
            match live.filter(|live| live.id == id) {
                Some(live) if flown.first && !live.forever => {
                    observer.see(&Moment::RingDropped {
                        event: drop.event,
                        until,
                        operation: &flown.operation,
                        generation: &flown.generation,
                    });
                }
                Some(_) => {}
                // No completion comes any more. What the kernel may still touch, while it works off the ring behind
                // the program's back, is memory that it was given.
                None if !buffers::may_use_memory(&flown.operation.entry) => {}
                None => {
                    let place = self.taken_back.get(&id).copied();
                    let of_scope = back.entry(flown.generation.scope).or_default();
                    of_scope.push((flown, place));
                }
            }
        }
        for flown in back.into_values() {
            observer.see(&Moment::TakenBackAfterDrop {
                event: drop.event,
                ring: drop.ring,
                flown,
            });
        }
    }
}
