//! Polls in flight that are given another cookie (`IORING_POLL_UPDATE_USER_DATA`): whose owner waits for them then.
//!
//! What a request came to is said by its completion. One that posts nothing when all goes well may have renamed its poll
//! from the moment on at which it went in: until it is known to have failed, nothing that hangs on the poll is sure.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::addresses::{Address, Addresses};
use super::opcodes as op;
use super::queue::NAMED_MAX;
use super::state::State;
use super::things::{Generation, GenerationId, Operation, OperationId};

/// `IORING_POLL_UPDATE_USER_DATA`
const POLL_UPDATE_USER_DATA: u32 = 4;

/// So many names are looked for one by one.
const FEW: usize = 8;

/// What a request that posts nothing on success took from the operation that it renames, if it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    /// The request.
    by: OperationId,
    sure: bool,
    generation: Option<GenerationId>,
    /// What lives at the other name was taken to be what it is for, in place of another operation.
    instead: Option<(GenerationId, Option<OperationId>)>,
}

/// The cookie that an operation gives to the one that it names.
pub(super) fn new_name(operation: &Operation) -> Option<u64> {
    let entry = &operation.entry;
    (entry.opcode == op::POLL_REMOVE && entry.len & POLL_UPDATE_USER_DATA != 0).then_some(entry.off)
}

impl State {
    /// An operation has another cookie from here on: it is that one's owner that waits for it, and what was
    /// behind the old one is free to go. Where nothing will say that it was done it may have either name, and nothing
    /// that hangs on it is sure.
    pub(super) fn rename(&mut self, by: OperationId, from: u64, to: u64, said: bool) {
        let (process, number) = (by.process, by.ring);
        let address = self.schemes.address(process, number, to);
        let Some(ring) = self.rings.get_mut(&(process, number)) else {
            return;
        };
        let named = ring.by_cookie.get(&from).into_iter().flatten();
        let named: SmallVec<[u64; 4]> = named
            .filter(|sequence| {
                let target = ring.flying.get(sequence);
                target.is_some_and(|target| {
                    target.entry.opcode == op::POLL_ADD && target.entry.cookie == from
                })
            })
            .copied()
            .collect();
        let &[sequence] = named.as_slice() else {
            // Which of them it was is not said.
            for sequence in &named {
                if let Some(target) = ring.flying.get_mut(sequence) {
                    target.ambiguous = true;
                }
            }
            return;
        };
        if from == to {
            return;
        }
        if said {
            ring.forget_cookie(from, sequence);
            // Another request for the same name may have failed before.
            let renamed = ring.by_cookie.entry(to).or_default();
            if !renamed.iter().any(|known| *known == sequence) {
                renamed.push(sequence);
            }
        }
        let Some(target) = ring.flying.get_mut(&sequence) else {
            return;
        };
        let (id, sure) = (target.id, target.sure);
        // A second one that says nothing has nothing to take, and then the first may have been the one.
        let mut before = Before {
            by,
            sure,
            generation: target.generation.take(),
            instead: None,
        };
        if said {
            target.entry.cookie = to;
        } else {
            target.sure = false;
        }
        let bound = before.generation.filter(|_| sure);
        if let Some(live) = bound.and_then(|bound| living(&mut self.addresses, bound)) {
            let flight = live.flight_mut();
            flight.in_flight = flight.in_flight.saturating_sub(1);
        }
        let address = self.addresses.get_mut((process, address));
        if let Some(live) = address.and_then(Address::live_mut) {
            let (new, leaked) = (live.id, live.leaked);
            let flight = live.flight_mut();
            flight.operations = flight.operations.saturating_add(1);
            before.instead = Some((new, flight.operation.replace(id)));
            if said {
                flight.reaped = None;
                (target.generation, target.alive_since) = (Some(new), Some(leaked));
            }
            if sure && said {
                flight.in_flight = flight.in_flight.saturating_add(1);
            }
        }
        let takes = before.sure || before.generation.is_some();
        target.before = (takes && !said).then(|| Box::new(before));
    }

    /// One of so many that they are not looked at each time may have another name. Any of them may be nobody's any more.
    pub(super) fn lose_names(&mut self, by: OperationId, from: u64, to: u64) {
        let (process, number) = (by.process, by.ring);
        let address = self.schemes.address(process, number, to);
        let Some(ring) = self.rings.get_mut(&(process, number)) else {
            return;
        };
        ring.names_are_lost = true;
        let upto = ring.lost_names.get(&from).copied();
        let named = ring.by_cookie.get(&from).into_iter().flatten();
        // Those of an earlier request stand in front.
        let since = named.rev().take_while(|sequence| Some(**sequence) > upto);
        let mut latest = upto;
        for sequence in since {
            latest = latest.max(Some(*sequence));
            let Some(target) = ring.flying.get_mut(sequence) else {
                continue;
            };
            let bound = target.generation.take().filter(|_| target.sure);
            (target.sure, target.ambiguous) = (false, true);
            if let Some(live) = bound.and_then(|bound| living(&mut self.addresses, bound)) {
                let flight = live.flight_mut();
                flight.in_flight = flight.in_flight.saturating_sub(1);
            }
        }
        if ring.lost_names.len() >= NAMED_MAX {
            ring.lost_names.clear();
        }
        if let Some(latest) = latest {
            ring.lost_names.insert(from, latest);
        }
        let address = self.addresses.get_mut((process, address));
        if let Some(live) = address.and_then(Address::live_mut) {
            let flight = live.flight_mut();
            flight.operations = flight.operations.saturating_add(1);
        }
    }

    /// What was to be renamed was not: it does not come back under the other name, which may be another one's soon.
    pub(super) fn keeps_name(&mut self, by: OperationId, from: u64, to: u64) {
        let Some(ring) = self.rings.get_mut(&(by.process, by.ring)) else {
            return;
        };
        let named = ring.by_cookie.get(&from);
        if from == to || named.is_some_and(|named| named.len() > NAMED_MAX) {
            return;
        }
        let mut stays = FxHashSet::default();
        let mut as_before = SmallVec::<[(OperationId, Before); 1]>::new();
        // What went in later was not there to be renamed.
        for sequence in named.into_iter().flatten().filter(|it| **it < by.sequence) {
            let target = ring.flying.get_mut(sequence);
            let Some(target) = target.filter(|target| target.entry.cookie == from) else {
                continue;
            };
            let before = target.before.take_if(|before| before.by == by);
            stays.insert(*sequence);
            as_before.extend(before.map(|before| (target.id, *before)));
        }
        // One name each: more than one request may have given it. They stand at the end, where one is soon found.
        if stays.len() <= FEW {
            for sequence in stays {
                ring.forget_cookie(to, sequence);
            }
        } else if let Some(renamed) = ring.by_cookie.get_mut(&to) {
            renamed.retain(|sequence| !stays.remove(sequence));
            if renamed.is_empty() {
                ring.by_cookie.remove(&to);
            }
        }
        for (id, before) in as_before {
            self.is_as_before(id, before);
        }
    }

    /// An operation waits for whom it waited before a request was made that failed.
    fn is_as_before(&mut self, id: OperationId, before: Before) {
        let ring = self.rings.get_mut(&(id.process, id.ring));
        let Some(target) = ring.and_then(|ring| ring.flying.get_mut(&id.sequence)) else {
            return;
        };
        (target.sure, target.generation) = (before.sure, before.generation);
        if let Some((new, operation)) = before.instead
            && let Some(live) = living(&mut self.addresses, new)
        {
            let flight = live.flight_mut();
            flight.operations = flight.operations.saturating_sub(1);
            if flight.operation == Some(id) {
                flight.operation = operation;
            }
        }
        let bound = before.generation.filter(|_| before.sure);
        if let Some(live) = bound.and_then(|bound| living(&mut self.addresses, bound)) {
            let flight = live.flight_mut();
            flight.in_flight = flight.in_flight.saturating_add(1);
        }
    }
}

/// A generation, where it is the one that lives at its address.
fn living(addresses: &mut Addresses, id: GenerationId) -> Option<&mut Generation> {
    let address = addresses.get_mut((id.process, id.address))?;
    address.live_mut().filter(|live| live.id == id)
}
