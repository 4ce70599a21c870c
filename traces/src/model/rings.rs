//! Submissions and completions: which operation a completion belongs to, and what an operation carries.

use wire::record::CookieState;

use super::moment::{Completed, Moment, Submitted};
use super::state::State;
use super::things::{Credit, Lap, Operation, OperationId, Owed, Reaped, RingState, Standing};
use super::{Observer, expect};
use crate::event::{Completion, Event, EventId, Ring, SiteId, Submission};

/// `IORING_SETUP_SQPOLL`
const SETUP_SQPOLL: u32 = 2;
/// Operations without a cookie that wait for the proof that cookies are pointers.
const UNSET_MAX: usize = 16;
/// Rounds of a ring after which a completion is taken to have resumed nobody.
const CREDIT_ROUNDS: u64 = 4096;
/// Completions kept for each cookie that resumed nobody.
const CREDITS_MAX: usize = 64;
/// Operations with one cookie that are looked at: without completions they would grow without end.
const RIVALS_MAX: usize = 256;
/// Laps that a generation remembers having been in.
const LAPS_MAX: usize = 8;

impl State {
    pub(super) fn ring_create(&mut self, event: &Event, ring: &Ring) {
        self.summary.rings = self.summary.rings.saturating_add(1);
        let state = RingState {
            info: Some(*ring),
            ..RingState::default()
        };
        self.rings.insert((event.process, ring.ring), state);
    }

    pub(super) fn submit(
        &mut self,
        event: &Event,
        submission: &Submission,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        let entry = submission.entry;
        let number = u32::from(entry.ring);
        let key = (process, number);
        self.summary.operations = self.summary.operations.saturating_add(1);
        let address = self.schemes.address(process, number, entry.cookie);
        let id = OperationId {
            process,
            ring: number,
            sequence: submission.sequence,
        };
        let coroutine = self.running.get(&event.lane).copied();
        let ring = self.rings.entry(key).or_default();
        ring.in_batch = false;
        let lap = ring.laps.remove(&entry.slot);

        let live = self
            .addresses
            .get_mut(&(process, address))
            .and_then(|a| a.live.as_mut());
        let generation = live.as_ref().map(|live| live.id);
        let owes = expect::owes(&entry) != expect::Owes::OnlyFailure;
        let mut new_lap = Lap {
            sequence: submission.sequence,
            submit: event.id,
            opcode: entry.opcode,
            site: SiteId(entry.site),
            cookie: entry.cookie,
            generation,
            leaked: None,
            reclaimed: None,
        };
        let mut exceeds = false;
        if let Some(live) = live {
            exceeds = live.flying() >= live.leases;
            live.operations = live.operations.saturating_add(1);
            live.operation = Some(id);
            live.reaped = None;
            live.lane = event.lane;
            live.peeked = false;
            if owes {
                live.in_flight = live.in_flight.saturating_add(1);
            }
            new_lap.leaked = Some((live.leaked, live.leak_site));
            if live.laps.len() >= LAPS_MAX {
                live.laps.remove(0);
            }
            live.laps.push((number, entry.slot));
            // Only a cookie that the program set is evidence of what it takes cookies for.
            if !never_set(submission.cookie_state) {
                ring.proof.get_or_insert(live.leaked);
            }
        }
        ring.laps.insert(entry.slot, new_lap);
        let polled = ring.info.is_some_and(|info| info.setup & SETUP_SQPOLL != 0);
        let at_once = polled || !self.entered.contains(&key);
        if !at_once {
            ring.queue.push_back(submission.sequence);
        }
        let operation = Operation {
            id,
            ring_kind: ring.info.map(|info| info.kind),
            submit: event.id,
            entry,
            cookie_state: submission.cookie_state,
            scope: event.scope,
            generation,
            exceeds,
            consumed: at_once.then_some(event.id),
            completions: 0,
            first_completion: None,
            reaped_on: None,
            ambiguous: false,
            polled: None,
            lap,
        };
        let link = self.link(event.id);
        link.operation = Some((number, submission.sequence));
        link.coroutine = coroutine;
        if let Some(generation) = generation {
            (link.address, link.generation) = (address, generation.number);
        }

        self.show_submission(&operation, address, observer);
        let Some(ring) = self.rings.get_mut(&key) else {
            return;
        };
        ring.by_cookie
            .entry(entry.cookie)
            .or_default()
            .push(submission.sequence);
        // The same number twice is another ring's or a damaged record's: the newer one counts.
        ring.flying.insert(submission.sequence, operation);
    }

    fn show_submission(
        &mut self,
        operation: &Operation,
        address: u64,
        observer: &mut Observer<'_>,
    ) {
        let OperationId {
            process,
            ring: number,
            ..
        } = operation.id;
        let cookie = operation.entry.cookie;
        let sentinel = self.schemes.is_sentinel(process, number, cookie);
        let Some(ring) = self.rings.get(&(process, number)) else {
            return;
        };
        let in_flight = ring.by_cookie.get(&cookie).into_iter().flatten();
        let others = in_flight
            .filter_map(|sequence| ring.flying.get(sequence))
            .filter(|other| expect::owes(&other.entry) != expect::Owes::OnlyFailure)
            .take(RIVALS_MAX)
            .collect::<Vec<_>>();
        let others = self.with_other_rings(operation, others);
        let standing = self.standing(process, address);
        let shared = self.schemes.is_shared(process, number, cookie)
            || matches!(standing, Standing::Live(live) if live.shared);
        observer.see(&Moment::Submitted(Submitted {
            operation,
            standing,
            others,
            shared,
            sentinel,
        }));

        let fresh = operation.cookie_state == CookieState::NeverWritten;
        let unset = cookie == 0 && operation.cookie_state != CookieState::Set && !sentinel;
        let declared = self.schemes.pointers(process, number);
        let Some(ring) = self.rings.get_mut(&(process, number)) else {
            return;
        };
        if fresh || (unset && declared == Some(true)) {
            observer.see(&Moment::Unset {
                operation,
                proof: None,
            });
        } else if unset
            && declared.is_none()
            && (ring.unset.len() < UNSET_MAX || ring.proof.is_some())
        {
            ring.unset.push(operation.clone());
        }
        if let Some(proof) = ring.proof {
            for operation in ring.unset.drain(..) {
                observer.see(&Moment::Unset {
                    operation: &operation,
                    proof: Some(proof),
                });
            }
        }
    }

    /// Operations in flight with an operation's cookie: those of its own ring, and where they and those
    /// of the process's other rings are more than the leases, those too.
    fn with_other_rings<'a>(
        &'a self,
        operation: &Operation,
        mut others: Vec<&'a Operation>,
    ) -> Vec<&'a Operation> {
        let Some(generation) = operation.generation.filter(|_| operation.exceeds) else {
            return others;
        };
        let (process, cookie) = (generation.process, operation.entry.cookie);
        for ((owner, number), ring) in &self.rings {
            let is_other = *owner == process && *number != operation.id.ring;
            // Where it is shared on the other ring, that one is not counted either.
            if !is_other
                || ring.dropped.is_some()
                || self.schemes.is_shared(process, *number, cookie)
            {
                continue;
            }
            let in_flight = ring.by_cookie.get(&cookie).into_iter().flatten();
            let bound = in_flight
                .filter_map(|sequence| ring.flying.get(sequence))
                .filter(|other| other.generation == Some(generation))
                .filter(|other| expect::owes(&other.entry) != expect::Owes::OnlyFailure);
            others.extend(bound.take(RIVALS_MAX));
        }
        others.sort_by_key(|other| other.submit);
        others
    }

    pub(super) fn enter(&mut self, event: &Event, number: u32, result: i32) {
        let Some(ring) = self.rings.get_mut(&(event.process, number)) else {
            return;
        };
        ring.in_batch = false;
        let mut taken = Vec::new();
        for _ in 0..u32::try_from(result).unwrap_or(0) {
            let Some(sequence) = ring.queue.pop_front() else {
                break;
            };
            if let Some(operation) = ring.flying.get_mut(&sequence) {
                operation.consumed = Some(event.id);
                taken.push(operation.submit);
            }
        }
        for submit in taken {
            self.link(submit).enter = Some(event.id);
        }
    }

    pub(super) fn complete(
        &mut self,
        event: &Event,
        completion: &Completion,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        let key = (process, completion.ring);
        self.summary.completions = self.summary.completions.saturating_add(1);
        let address = self
            .schemes
            .address(process, completion.ring, completion.cookie);
        let now_live = match self.standing(process, address) {
            Standing::Live(live) => Some(live.id),
            Standing::Dead(_) | Standing::Unknown => None,
        };
        let ring = self.rings.entry(key).or_default();
        ring.completions = ring.completions.saturating_add(1);
        if !ring.in_batch {
            ring.round = ring.round.saturating_add(1);
            ring.in_batch = true;
        }
        let round = ring.round;
        let last = expect::is_last(completion);
        let mut operation = take_match(ring, completion, last);
        if let Some(operation) = &mut operation {
            operation.completions = operation.completions.saturating_add(1);
            operation.first_completion.get_or_insert(event.id);
            operation.reaped_on = now_live;
            if !last {
                ring.flying.insert(operation.id.sequence, operation.clone());
            }
        }
        let bound = operation
            .as_ref()
            .and_then(|operation| operation.generation);
        let bound_or_live = if operation.is_some() { bound } else { now_live };
        if let Some(live) = self
            .addresses
            .get_mut(&(process, address))
            .and_then(|a| a.live.as_mut())
            && Some(live.id) == bound_or_live
        {
            let owed = operation.as_ref().is_some_and(|operation| {
                expect::owes(&operation.entry) != expect::Owes::OnlyFailure
            });
            if last && owed {
                live.in_flight = live.in_flight.saturating_sub(1);
            }
            live.lane = event.lane;
            live.peeked = false;
            live.reaped = Some(Reaped {
                event: event.id,
                ring: completion.ring,
                round,
            });
        }
        let operation_id = operation.as_ref().map(|operation| operation.id);
        self.brought(process, address, operation_id);

        let link = self.link(event.id);
        link.operation = operation_id.map(|id| (id.ring, id.sequence));
        if let Some(generation) = bound_or_live {
            (link.address, link.generation) = (address, generation.number);
        }
        observer.see(&Moment::Completed(Completed {
            event: event.id,
            ring: completion.ring,
            scope: event.scope,
            operation: operation.as_ref(),
            standing: self.standing(process, address),
        }));
        if last {
            self.owe(
                process,
                completion,
                event.id,
                round,
                operation_id,
                bound_or_live,
            );
        }
        let flagged = operation.filter(|operation| last && is_flagged(operation));
        self.credit(
            key,
            completion.cookie,
            event.id,
            round,
            operation_id,
            flagged,
            observer,
        );
    }

    /// Remembers a completion until it resumes a coroutine, or until it is too late for that.
    #[expect(clippy::too_many_arguments, reason = "the parts of one completion")]
    fn credit(
        &mut self,
        key: (u32, u32),
        cookie: u64,
        completion: EventId,
        round: u64,
        operation: Option<OperationId>,
        flagged: Option<Operation>,
        observer: &mut Observer<'_>,
    ) {
        let Some(ring) = self.rings.get_mut(&key) else {
            return;
        };
        let mut late = Vec::new();
        while let Some((old, cookie)) = ring.credit_order.front().copied() {
            if old.saturating_add(CREDIT_ROUNDS) >= round {
                break;
            }
            ring.credit_order.pop_front();
            let forgotten = ring.forgotten.get(&cookie);
            if forgotten.is_some_and(|(_, latest)| *latest <= old) {
                ring.forgotten.remove(&cookie);
            }
            if let Some(credits) = ring.credits.get_mut(&cookie) {
                if credits.front().is_some_and(|credit| credit.round == old) {
                    late.extend(credits.pop_front().and_then(|credit| credit.flagged));
                }
                if credits.is_empty() {
                    ring.credits.remove(&cookie);
                }
            }
        }
        ring.credit_order.push_back((round, cookie));
        let credits = ring.credits.entry(cookie).or_default();
        let flagged = flagged.map(Box::new);
        credits.push_back(Credit {
            completion,
            round,
            operation,
            flagged,
        });
        if credits.len() > CREDITS_MAX
            && let Some(credit) = credits.pop_front()
        {
            let (count, latest) = ring.forgotten.entry(cookie).or_default();
            (*count, *latest) = (count.saturating_add(1), credit.round);
            late.extend(credit.flagged);
        }
        for operation in late {
            self.settle(&operation, observer);
        }
    }

    /// Shows an operation whose cookie nobody set, with all that came of it.
    pub(super) fn settle(&self, operation: &Operation, observer: &mut Observer<'_>) {
        let dead_at_submit = operation.generation.is_none()
            && operation
                .lap
                .as_ref()
                .is_some_and(|lap| lap.generation.is_some());
        observer.see(&Moment::Settled {
            operation,
            dead_at_submit,
        });
    }

    /// Notes that coroutines which wait for this cookie are to be resumed.
    fn owe(
        &mut self,
        process: u32,
        completion: &Completion,
        event: EventId,
        round: u64,
        operation: Option<OperationId>,
        generation: Option<super::GenerationId>,
    ) {
        let Some(waiting) = self.waiting.get(&(process, completion.cookie)) else {
            return;
        };
        for number in waiting {
            if let Some(coroutine) = self.coroutines.get_mut(&(process, *number)) {
                coroutine.owed.get_or_insert(Owed {
                    completion: event,
                    cookie: completion.cookie,
                    ring: completion.ring,
                    round,
                    operation,
                    generation,
                });
            }
        }
    }
}

/// Whether the program is known not to have set the cookie.
fn never_set(state: CookieState) -> bool {
    matches!(
        state,
        CookieState::Leftover | CookieState::Poisoned | CookieState::NeverWritten
    )
}

/// Whether a rule waits for what comes of an operation.
fn is_flagged(operation: &Operation) -> bool {
    matches!(
        operation.cookie_state,
        CookieState::Leftover | CookieState::Poisoned
    )
}

/// The operation that a completion belongs to, taken out of flight where this was its last one.
///
/// The oldest of those that carry the cookie and could have had this result; where several could,
/// all of them are marked ambiguous.
fn take_match(ring: &mut RingState, completion: &Completion, last: bool) -> Option<Operation> {
    let sequences = ring.by_cookie.get_mut(&completion.cookie)?;
    sequences.retain(|sequence| ring.flying.contains_key(sequence));
    let mut fitting = sequences.iter().copied().filter(|sequence| {
        ring.flying.get(sequence).is_some_and(|operation| {
            expect::fits(&operation.entry, operation.completions, completion)
        })
    });
    let chosen = fitting.next();
    let rivals: Vec<u64> = fitting.take(RIVALS_MAX).collect();
    let chosen = chosen?;
    if !rivals.is_empty() {
        for sequence in rivals.iter().chain(std::iter::once(&chosen)) {
            if let Some(operation) = ring.flying.get_mut(sequence) {
                operation.ambiguous = true;
            }
        }
    }
    if last {
        sequences.retain(|sequence| *sequence != chosen);
        if sequences.is_empty() {
            ring.by_cookie.remove(&completion.cookie);
        }
        ring.flying.remove(&chosen)
    } else {
        ring.flying.get(&chosen).cloned()
    }
}
