//! Ends: of scopes, and of processes.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Observer;
use super::Thing;
use super::addresses::Address;
use super::credits::Credits;
use super::filled::settled;
use super::moment::{Held, HeldAt, InSlot, Moment};
use super::state::State;
use super::things::{Coroutine, Doing, Generation, GenerationId, Operation, RingState};
use crate::event::{Event, EventId, Ring};
use crate::recording::{Lasting, Recording};

/// Those of some generations that somebody has to take back.
fn held<'a>(live: impl Iterator<Item = &'a Generation>) -> Vec<Generation> {
    // Whose handles are left of those that share an address, nobody can say; nothing is lost.
    let held = live.filter(|generation| !generation.forever && !generation.nowhere);
    held.cloned().collect()
}

/// What a process had to be silent for, and until when, to have forgotten a coroutine.
#[derive(Clone, Copy)]
struct Idle {
    /// The end, from the first event on.
    end_ns: u64,
    enough_ns: u64,
}

/// So long, and so many times as long as it ever took, a coroutine waits for its turn in no program that works.
const LONG_NS: u64 = 100_000_000;
const SLOWER: u64 = 20;

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
            self.held(event.id, HeldAt::ScopeEnd, generation, [false; 2], observer);
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
        [in_hand, may_be_cut]: [bool; 2],
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
            .filter(|_| flight.in_flight == 0 && flight.unsure == 0)
            .map(|reaped| {
                let round = round_of(reaped.ring);
                (reaped, round.saturating_sub(reaped.round))
            });
        let ring_dropped = flight
            .operation
            .is_some_and(|operation| self.rings.is_dropped(&(process, operation.ring)));
        let torn_down = ring_dropped && !self.running.contains_key(&generation.lane);
        let since = (when != HeldAt::ScopeEnd && flight.operations == 0)
            .then(|| self.since_submission(process, generation.leaked))
            .flatten();
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
            torn_down,
            in_hand,
            may_be_cut: may_be_cut && when == HeldAt::CleanExit,
            since,
            quiet_rounds,
            in_slot: self.in_slot(generation),
        }));
    }

    /// Whether the latest entry of a slot carries a generation, and nothing shows that the slot is filled each time.
    fn in_slot(&self, generation: &Generation) -> Option<InSlot> {
        let (id, laps) = (generation.id, &generation.flight().laps);
        let holds = |(number, slot): &&(u32, u16)| {
            let ring = self.rings.get(&(id.process, *number));
            let lap = ring.and_then(|ring| ring.laps.get(slot));
            lap.is_some_and(|lap| lap.generation == Some(id) && lap.filled.is_once())
        };
        let slot = laps.iter().find(holds)?;
        let is_again = laps.iter().filter(|it| *it == slot).count() > 1;
        Some(if is_again {
            InSlot::Again
        } else {
            InSlot::Once
        })
    }

    /// Whether it was turned into owners as often as it was given away: of a program whose functions are probed no more
    /// than that is known.
    fn is_turned(&self, generation: &Generation) -> bool {
        let id = generation.id;
        generation.returned >= generation.leases
            && self.turned.contains_key(&(id.process, id.address))
    }

    /// From where on the claim of a slot could have been recorded that is still to carry what was leaked at an
    /// event, where that is earlier.
    fn since_submission(&self, process: u32, leaked: EventId) -> Option<EventId> {
        let latest = self.rings.live(process).map(|(_, ring)| ring.latest_submit);
        let earlier = latest
            .map(Option::unwrap_or_default)
            .filter(|at| *at < leaked);
        earlier.min()
    }

    /// What was leaked for slots that were claimed and not submitted: the exit came between the two, as it may come
    /// while an operation is in flight. The newest of each lane, as many as there are such slots.
    fn in_hand(&self, process: u32, held: &[Generation]) -> FxHashSet<GenerationId> {
        let mut claimed: FxHashMap<u32, (u32, EventId)> = FxHashMap::default();
        for (_, ring) in self
            .rings
            .live(process)
            .filter(|(_, ring)| ring.claimed > 0)
        {
            let most = ring.info.map_or(u32::MAX, |info| info.sq_entries);
            let since = ring.latest_submit.unwrap_or_default();
            let (count, oldest) = claimed.entry(ring.claim_lane).or_insert((0, since));
            *count = count.saturating_add(ring.claimed.min(most));
            *oldest = since.min(*oldest);
        }
        let mut found = FxHashSet::default();
        if claimed.is_empty() {
            return found;
        }
        for generation in held.iter().rev() {
            if generation.flight().operations == 0
                && let Some((count, since)) = claimed.get_mut(&generation.leak_lane)
                && *count > 0
                && generation.leaked >= *since
            {
                *count -= 1;
                found.insert(generation.id);
            }
        }
        found
    }

    /// Whether a ring's work is over in order, however its process ends: it was dropped, and the scope of what is
    /// asked for was closed.
    pub(super) fn is_over(&self, process: u32, ring: u32, scope: u32) -> bool {
        self.rings.is_dropped(&(process, ring)) && self.scopes_ended.contains(&(process, scope))
    }

    /// The end of all processes.
    pub(super) fn finish(&mut self, recording: &Recording, observer: &mut Observer<'_>) {
        observer.drafts.came_back(&self.came_back);
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
            let at = self.last.get(index).copied().unwrap_or_default();
            let at_ns = self.last_ns.get(index).copied().unwrap_or_default();
            let clean = process.ended_clean();
            // What a thread was at that still ran is cut off as by a kill, however orderly the exit.
            let is_cut = |lane: u32| !clean || recording.is_cut(lane);
            self.strand(
                number,
                (at, at_ns),
                is_cut,
                self.idle_since(number, recording),
                observer,
            );
            let end = End {
                process: number,
                at,
                at_ns,
                clean,
            };
            self.rings_at_end(&end, observer);
            self.buffers_at_end(&end, observer);
            self.results_at_end(&end, observer);
            self.misnamed_at_end(&end, observer);
            let first = all_held.partition_point(|held| held.id.process < number);
            let end = all_held.partition_point(|held| held.id.process <= number);
            let held = all_held.get(first..end).unwrap_or_default();
            // What came last at an address of several threads is not known where times are by batch.
            let sure = held.iter().filter(|generation| {
                let address = Thing::Address(generation.id.address);
                !self.is_turned(generation) && !observer.is_shared(number, address)
            });
            let sure = sure.count() as u64;
            self.summary.held_at_end = self.summary.held_at_end.saturating_add(sure);
            let unfinished = if held.is_empty() || !clean {
                FxHashSet::default()
            } else {
                self.unfinished(number)
            };
            let may_be_cut = clean && self.may_cut_off_any_lane(number, &process.lasting);
            let in_hand = self.in_hand(number, held);
            for generation in held {
                let mut lanes = [generation.lane, generation.leak_lane].into_iter();
                let is_cut = |lane| is_cut(lane) || unfinished.contains(&lane);
                let when = if lanes.any(is_cut) {
                    HeldAt::Cut
                } else {
                    HeldAt::CleanExit
                };
                let in_hand = in_hand.contains(&generation.id);
                self.held(at, when, generation, [in_hand, may_be_cut], observer);
            }
        }
        let suspended = |coroutine: &&Coroutine| matches!(coroutine.doing, Doing::Suspended { .. });
        self.summary.suspended_at_end = self.coroutines.values().filter(suspended).count() as u64;
        self.descriptors_at_end();
        let rings = self.rings.pending();
        let sure = rings
            .filter(|((process, number), _)| !observer.is_shared(*process, Thing::Ring(*number)));
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

    /// Whether an exit may have cut off more lanes than those: what says that a lane was inside a coroutine, or made a ring
    /// that is still there, may be missing.
    fn may_cut_off_any_lane(&self, process: u32, lasting: &Lasting) -> bool {
        if !self.lossy.contains(&process) {
            return false;
        }
        let mut live = self.rings.live(process);
        let is_unheard_of = |ring: &Ring| self.rings.get(&(process, ring.ring)).is_none();
        !lasting.is_whole
            || lasting.spawns
            || live.any(|(_, ring)| ring.maker.is_none())
            || lasting.rings().any(is_unheard_of)
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
        let mut open: Vec<(&Operation, bool)> = Vec::new();
        for ring in rings {
            let flying = ring.flying.values().map(Box::as_ref);
            let credits = ring.credits.values().flat_map(Credits::iter);
            let flagged = credits.filter_map(|credit| credit.flagged.as_deref());
            let kept = ring.perhaps_forgotten.iter();
            let all = flying.chain(flagged).chain(kept);
            let all = all.filter(|operation| ring.counts(operation));
            open.extend(all.map(|operation| (operation, ring.may_be_once(operation))));
        }
        open.sort_by_key(|(operation, _)| operation.submit);
        for (operation, may_be_once) in open {
            settled(operation, may_be_once, observer);
        }
    }

    /// Shows coroutines that were dropped where they should have been resumed, unless all was torn down then.
    fn show_unwoken(&self, observer: &mut Observer<'_>) {
        for unwoken in self.unwoken.iter().filter(|unwoken| unwoken.went_on) {
            let owed = unwoken.owed;
            let ring = (unwoken.coroutine.process, owed.ring);
            if self.rings.round(&ring) > owed.latest.1 {
                observer.see(&Moment::DroppedUnwoken { unwoken });
            }
        }
    }

    fn strand(
        &self,
        process: u32,
        (at, at_ns): (EventId, u64),
        is_cut: impl Fn(u32) -> bool,
        idle: Option<Idle>,
        observer: &mut Observer<'_>,
    ) {
        let mut owed: Vec<_> = self
            .coroutines
            .values()
            .filter(|coroutine| coroutine.process == process)
            .filter_map(|coroutine| coroutine.owed.map(|owed| (coroutine, owed)))
            .collect();
        owed.sort_by_key(|(_, owed)| owed.completion);
        let quiet_since = |since_ns: u64| {
            let since = idle?.end_ns.checked_sub(since_ns.max(at_ns))?;
            (since > idle?.enough_ns).then_some(since)
        };
        for (coroutine, owed) in owed {
            let (ring, since) = owed.latest;
            let round = self.rings.round(&(process, ring));
            let rounds_since = round.saturating_sub(since);
            let suspended = match coroutine.doing {
                Doing::Suspended { lane, .. } => lane,
                _ => owed.lane,
            };
            let clean = (!is_cut(owed.lane) && !is_cut(suspended))
                || self.is_over(process, ring, coroutine.scope);
            let waits_on = self.waits_on(coroutine, owed.cookie);
            observer.see(&Moment::Stranded {
                at,
                coroutine,
                owed,
                rounds_since,
                waits_on,
                idle_ns: quiet_since(owed.at_ns),
                clean,
            });
        }
        let its = |coroutine: &&Coroutine| coroutine.process == process && coroutine.owed.is_none();
        let awoken = self.coroutines.values().filter(its);
        let mut awoken: Vec<_> = awoken
            .filter_map(|coroutine| {
                let (wake, since_ns) = coroutine.awoken?;
                Some((coroutine, wake, quiet_since(since_ns)?))
            })
            .collect();
        awoken.sort_by_key(|(_, wake, _)| *wake);
        for (coroutine, wake, idle_ns) in awoken {
            observer.see(&Moment::Unheeded {
                at,
                coroutine,
                wake,
                idle_ns,
            });
        }
    }

    /// How long is long in a process that was told to end. Nothing is where any of its threads was in the middle of a
    /// coroutine: the others may have had to wait for that.
    fn idle_since(&self, number: u32, recording: &Recording) -> Option<Idle> {
        let process = recording.process(number)?;
        let until_ns = process.watched_until_ns?;
        let is_its = |lane: &u32| recording.lane(*lane).is_none_or(|it| it.process == number);
        if !process.was_cut_off() || self.running.keys().any(is_its) {
            return None;
        }
        let slowest = self.slowest_ns.get(&number).copied().unwrap_or(0);
        Some(Idle {
            end_ns: u64::try_from(until_ns.saturating_sub(self.began_ns)).ok()?,
            enough_ns: slowest.saturating_mul(SLOWER).max(LONG_NS),
        })
    }

    /// Whether a coroutine said that it waits for another cookie, too, which is still in flight, or was when its
    /// ring went, or is to be submitted: it may wait for any of them, or for all.
    fn waits_on(&self, coroutine: &Coroutine, but: u64) -> bool {
        let Doing::Suspended { event, cookies, .. } = &coroutine.doing else {
            return false;
        };
        let process = coroutine.process;
        let rings = || {
            self.rings
                .iter()
                .filter(move |((owner, _), _)| *owner == process)
        };
        // The cookie itself went in again since: its completion is to come.
        let is_again = |ring: &RingState| {
            let named = ring.by_cookie.get(&but).into_iter().flatten();
            let mut flying = named.filter_map(|sequence| ring.flying.get(sequence));
            flying.any(|operation| operation.submit > *event)
        };
        if rings().any(|(_, ring)| ring.dropped.is_none() && is_again(ring)) {
            return true;
        }
        cookies
            .iter()
            .filter(|cookie| **cookie != but)
            .any(|cookie| {
                let is_there =
                    |ring: &RingState| ring.dropped.is_none_or(|dropped| dropped > *event);
                if rings().any(|(_, ring)| is_there(ring) && ring.carries(*cookie)) {
                    return true;
                }
                let addresses =
                    rings().map(|((_, ring), _)| self.schemes.address(process, *ring, *cookie));
                addresses
                    .filter_map(|address| self.addresses.get((process, address))?.live())
                    .any(|live| live.flight().operations == 0)
            })
    }
}
