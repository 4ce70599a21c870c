//! Ends: of scopes, and of processes.

use rustc_hash::FxHashSet;

use super::Observer;
use super::Thing;
use super::addresses::Address;
use super::credits::Credits;
use super::moment::{Held, HeldAt, Moment};
use super::state::State;
use super::things::{Doing, Generation, Operation, RingState};
use crate::event::{Event, EventId};
use crate::recording::Recording;

/// Those of some generations that somebody has to take back.
fn held<'a>(live: impl Iterator<Item = &'a Generation>) -> Vec<Generation> {
    // Whose handles are left of those that share an address, nobody can say; nothing is lost.
    let held = live.filter(|generation| !generation.forever && !generation.nowhere);
    held.cloned().collect()
}

/// The end of a process.
pub(super) struct End {
    pub(super) process: u32,
    /// Its last event.
    pub(super) at: EventId,
    pub(super) at_ns: u64,
    /// It went through an ordinary exit.
    pub(super) clean: bool,
}

impl State {
    pub(super) fn scope_end(&mut self, event: &Event, scope: u32, observer: &mut Observer<'_>) {
        let process = event.process;
        let within = |inner| self.within(process, inner, scope);
        let mut held = match scope {
            0 => held(
                self.addresses
                    .live()
                    .filter(|live| live.id.process == process),
            ),
            _ => held(self.addresses.live_within(process, within)),
        };
        held.sort_by_key(|generation| generation.leaked);
        for generation in &held {
            self.held(event.id, HeldAt::ScopeEnd, generation, observer);
            let address = self.addresses.get_mut((process, generation.id.address));
            if let Some(live) = address.and_then(Address::live_mut) {
                live.reported = true;
            }
        }
    }

    fn held(
        &self,
        at: EventId,
        when: HeldAt,
        generation: &Generation,
        observer: &mut Observer<'_>,
    ) {
        if generation.reported || self.is_turned(generation) {
            return;
        }
        let process = generation.id.process;
        let round_of = |number: u32| self.rings.round(&(process, number));
        let flight = generation.flight();
        let reaped = flight
            .reaped
            .filter(|_| flight.in_flight == 0)
            .map(|reaped| {
                let round = round_of(reaped.ring);
                (reaped, round.saturating_sub(reaped.round))
            });
        let ring_dropped = flight
            .operation
            .is_some_and(|operation| self.rings.is_dropped(&(process, operation.ring)));
        let quiet_rounds = flight
            .quiet_latest
            .filter(|_| flight.quiet == flight.operations)
            .map(|(id, _, round)| round_of(id.ring).saturating_sub(round));
        let begun = self.scope_begins.get(&(process, generation.scope));
        let scope_begun = begun
            .filter(|_| !generation.scope_unsure)
            .filter(|(event, lane)| *lane == generation.leak_lane && *event < generation.leaked)
            .map(|(event, _)| *event);
        let latest = flight.operation.and_then(|id| {
            let ring = self.rings.get(&(process, id.ring))?;
            self.kernel.posted(ring.flying.get(&id.sequence)?)
        });
        observer.see(&Moment::Held(Held {
            at,
            posted: latest,
            when,
            generation,
            scope_begun,
            reaped,
            ring_dropped,
            quiet_rounds,
        }));
    }

    /// Whether it was turned into owners as often as it was given away: of a program whose functions are probed no more
    /// than that is known.
    fn is_turned(&self, generation: &Generation) -> bool {
        let id = generation.id;
        generation.returned >= generation.leases
            && self.turned.contains_key(&(id.process, id.address))
    }

    /// The end of all processes.
    pub(super) fn finish(&mut self, recording: &Recording, observer: &mut Observer<'_>) {
        self.settle_all(observer);
        self.discipline.finish(observer);
        self.show_unwoken(observer);
        // In one go: a recording may have thousands of processes.
        let mut all_held = held(self.addresses.live());
        all_held.sort_by_key(|generation| (generation.id.process, generation.leaked));
        for (index, process) in recording.processes.iter().enumerate() {
            let Ok(number) = u32::try_from(index) else {
                break;
            };
            let (at, at_ns) = self.last.get(index).copied().unwrap_or_default();
            let clean = process.ended_clean();
            // What a thread was at that still ran is cut off as by a kill, however orderly the exit.
            let is_cut = |lane: u32| !clean || recording.is_cut(lane);
            self.strand(number, at, is_cut, observer);
            let end = End {
                process: number,
                at,
                at_ns,
                clean,
            };
            self.rings_at_end(&end, observer);
            self.buffers_at_end(&end, observer);
            self.results_at_end(&end, observer);
            let first = all_held.partition_point(|held| held.id.process < number);
            let end = all_held.partition_point(|held| held.id.process <= number);
            let held = all_held.get(first..end).unwrap_or_default();
            // What came last at an address of several threads is not known where times are by batch.
            let sure = held.iter().filter(|generation| {
                let address = Thing::Address(generation.id.address);
                !self.is_turned(generation) && !observer.sharing.is_shared(number, address)
            });
            let sure = sure.count() as u64;
            self.summary.held_at_end = self.summary.held_at_end.saturating_add(sure);
            let unfinished = if held.is_empty() || !clean {
                FxHashSet::default()
            } else {
                self.unfinished(number)
            };
            for generation in held {
                let mut lanes = [generation.lane, generation.leak_lane].into_iter();
                let when = if lanes.any(|lane| is_cut(lane) || unfinished.contains(&lane)) {
                    HeldAt::Cut
                } else {
                    HeldAt::CleanExit
                };
                self.held(at, when, generation, observer);
            }
        }
        self.descriptors_at_end();
        let rings = self.rings.pending();
        let sure = rings.filter(|((process, number), _)| {
            !observer.sharing.is_shared(*process, Thing::Ring(*number))
        });
        for (_, pending) in sure {
            self.summary.pending_at_end = self.summary.pending_at_end.saturating_add(pending);
        }
        for (_, ring) in self.rings.iter() {
            let posted = ring.flying.values().filter(|operation| operation.sure);
            let posted = posted.filter(|operation| self.kernel.posted(operation).is_some());
            let posted = posted.count() as u64;
            self.summary.posted_at_end = self.summary.posted_at_end.saturating_add(posted);
        }
        let saw = self.kernel.finish();
        self.summary.pending_at_end = self.summary.pending_at_end.saturating_add(saw.pending);
        self.summary.kernel = saw;
    }

    /// Lanes of a process that an exit cut off in the middle of their work: they were inside a coroutine, or
    /// a ring that they made is still there. `exit` runs no destructors of theirs.
    fn unfinished(&self, process: u32) -> FxHashSet<u32> {
        let inside = self.running.iter().filter(|(_, number)| {
            let coroutine = self.coroutines.get(&(process, **number));
            coroutine.is_some_and(|coroutine| matches!(coroutine.doing, Doing::Running(_)))
        });
        let makers = self.rings.live(process).filter_map(|(_, ring)| ring.maker);
        inside.map(|(lane, _)| *lane).chain(makers).collect()
    }

    /// Shows operations whose cookies nobody set and whose story is not over.
    fn settle_all(&self, observer: &mut Observer<'_>) {
        self.settle_rings(self.rings.values(), observer);
    }

    /// The same of some rings.
    pub(super) fn settle_rings<'a>(
        &self,
        rings: impl Iterator<Item = &'a RingState>,
        observer: &mut Observer<'_>,
    ) {
        let mut open: Vec<&Operation> = Vec::new();
        for ring in rings {
            open.extend(ring.flying.values().map(Box::as_ref));
            let credits = ring.credits.values().flat_map(Credits::iter);
            open.extend(credits.filter_map(|credit| credit.flagged.as_deref()));
        }
        open.sort_by_key(|operation| operation.submit);
        for operation in open {
            self.settle(operation, observer);
        }
    }

    /// Shows coroutines that were dropped where they should have been resumed, unless all was torn down then.
    fn show_unwoken(&self, observer: &mut Observer<'_>) {
        for unwoken in self.unwoken.iter().filter(|unwoken| unwoken.went_on) {
            let owed = unwoken.owed;
            let ring = (unwoken.coroutine.process, owed.ring);
            if self.rings.round(&ring) > owed.round {
                observer.see(&Moment::DroppedUnwoken { unwoken });
            }
        }
    }

    fn strand(
        &self,
        process: u32,
        at: EventId,
        is_cut: impl Fn(u32) -> bool,
        observer: &mut Observer<'_>,
    ) {
        let mut owed: Vec<_> = self
            .coroutines
            .values()
            .filter(|coroutine| coroutine.process == process)
            .filter_map(|coroutine| coroutine.owed.map(|owed| (coroutine, owed)))
            .collect();
        owed.sort_by_key(|(_, owed)| owed.completion);
        for (coroutine, owed) in owed {
            let round = self.rings.round(&(process, owed.ring));
            let rounds_since = round.saturating_sub(owed.round);
            let suspended = match coroutine.doing {
                Doing::Suspended { lane, .. } => lane,
                _ => owed.lane,
            };
            let clean = !is_cut(owed.lane) && !is_cut(suspended);
            observer.see(&Moment::Stranded {
                at,
                coroutine,
                owed,
                rounds_since,
                clean,
            });
        }
    }
}
