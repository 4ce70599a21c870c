//! Rings and submissions: what an operation carries, and when the kernel takes it.

use wire::record::{CookieState, Owner};

use super::addresses::Address;
use super::completions::is_flagged;
use super::discipline::Carrier;
use super::filled::{Filled, settled};
use super::moment::{Moment, Submitted};
use super::opcodes as op;
use super::provided::Teller;
use super::state::{State, TABLE_SHIFT};
use super::things::{Generation, Lap, Operation, OperationId, RingState, Standing};
use super::{Observer, expect};
use crate::event::{Event, Ring, SiteId, Submission};

/// `IORING_SETUP_SQPOLL`
const SETUP_SQPOLL: u32 = 2;
/// Operations without a cookie that wait for the proof that cookies are pointers.
pub(super) const UNSET_MAX: usize = 16;
/// Operations with one cookie that are looked at: without completions they would grow without end.
const RIVALS_MAX: usize = 256;
/// Operations that may have ended without a completion, kept for each ring.
const UNSURE_MAX: usize = if cfg!(test) { 64 } else { 1024 };
/// Submissions with dead cookies for which what they were to carry is looked for.
const OWN_MAX: u32 = 64;
/// Laps that a generation remembers having been in.
const LAPS_MAX: usize = 8;

impl State {
    pub(super) fn ring_create(&mut self, event: &Event, ring: &Ring, observer: &mut Observer<'_>) {
        self.summary.rings = self.summary.rings.saturating_add(1);
        let state = RingState {
            info: Some(*ring),
            made: Some(event.id),
            maker: Some(event.lane),
            ..RingState::default()
        };
        let key = (event.process, ring.ring);
        self.open.forget_ring(key);
        // Of one that was there before nobody may have seen how it went.
        self.buffers_at_drop(event, ring.ring, observer);
        let before = self.rings.insert(key, state);
        if let Some(info) = before.as_ref().and_then(|ring| ring.info) {
            self.gone_with(key, info.fd);
        }
        self.made_with(key, ring.fd);
        self.settle_rings(before.iter(), observer);
        for operation in before.iter().flat_map(|ring| ring.flying.values()) {
            self.forget_memory(operation);
        }
        // The kernel told of it before, and what has gone through it since.
        if let Some((operations, completions)) = self.kernel.made((event.process, ring.ring), ring)
        {
            let summary = &mut self.summary;
            summary.rings = summary.rings.saturating_sub(1);
            summary.operations = summary.operations.saturating_sub(operations);
            summary.completions = summary.completions.saturating_sub(completions);
        }
    }

    pub(super) fn claim(&mut self, event: &Event, number: u32) {
        if let Some(ring) = self.rings.known((event.process, number)) {
            ring.claimed = ring.claimed.saturating_add(1);
            ring.claim_lane = event.lane;
        }
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
        let label = self.labels.get(&(event.lane, number)).copied();
        let by_shim = self.by_shim.contains(&process);
        let Some(ring) = self.rings.known(key) else {
            return;
        };
        ring.in_batch = false;
        ring.claimed = ring.claimed.saturating_sub(1);
        ring.latest_submit = Some(event.id);
        let owes = expect::owes(&entry);
        let is_quiet = owes == expect::Owes::OnlyFailure;
        let sequence = submission.sequence;
        let behind_quiet = ring.chains.is_behind_quiet(&entry, sequence, self.is_lossy);
        let sure = !is_quiet && !behind_quiet;
        let round = ring.round;

        let is_declared = self.schemes.pointers(process, number).is_some();
        let (cookie_state, state) = if by_shim {
            let believed = ring.believed_of_zero(submission, is_quiet);
            (believed, submission.cookie_state)
        } else {
            let known = ring.known_of_zero(submission, is_declared);
            (known, known)
        };
        // Once it is noted what this one says of its kind.
        let zero_was_set = ring
            .zeros
            .is_set(submission, ring.laps.get(&entry.slot).map(Box::as_ref));
        let sentinel = self.schemes.is_sentinel(process, number, entry.cookie);
        let live = self
            .addresses
            .get_mut((process, address))
            .and_then(Address::live_mut)
            // A small number that stands for nobody, and boxes of nothing that have it for an address.
            .filter(|live| !(live.nowhere && sentinel));
        let generation = live.as_ref().map(|live| live.id);
        let mut new_lap = Lap {
            sequence: submission.sequence,
            submit: event.id,
            opcode: entry.opcode,
            site: SiteId(entry.site),
            cookie: entry.cookie,
            state,
            zero_was_set,
            filled: Filled::Untold,
            entry,
            generation,
            leaked: None,
            reclaimed: None,
        };
        let mut exceeds = false;
        let alive_since = live.as_ref().map(|live| live.leaked);
        if let Some(live) = live {
            exceeds = live.flying() >= live.leases;
            live.lane = event.lane;
            live.peeked = false;
            new_lap.leaked = Some((live.leaked, live.leak_site));
            let flight = live.flight_mut();
            flight.operations = flight.operations.saturating_add(1);
            flight.operation = Some(id);
            flight.reaped = None;
            if sure {
                flight.in_flight = flight.in_flight.saturating_add(1);
            } else if !is_quiet {
                flight.unsure = flight.unsure.saturating_add(1);
            }
            if is_quiet {
                flight.quiet = flight.quiet.saturating_add(1);
                flight.quiet_latest = Some((id, event.id, round));
            }
            if flight.laps.len() >= LAPS_MAX {
                flight.laps.remove(0);
            }
            flight.laps.push((number, entry.slot));
            // Only a cookie that the program set is evidence of what it takes cookies for.
            if !never_set(cookie_state) {
                ring.proof.get_or_insert(live.leaked);
            }
        }
        if by_shim {
            let is_lossy = self.lossy.contains(&process);
            new_lap.filled = ring.filled(submission, generation, is_lossy);
        }
        let filled = new_lap.filled;
        let new_lap = match self.spare_laps.pop() {
            Some(mut spare) => {
                *spare = new_lap;
                spare
            }
            None => Box::new(new_lap),
        };
        let lap = ring.laps.insert(entry.slot, new_lap);
        let polled = ring.info.is_some_and(|info| info.setup & SETUP_SQPOLL != 0);
        let at_once = polled || !self.entered.contains_key(&key);
        if !at_once {
            ring.queue.push_back(submission.sequence);
        }
        let operation = Operation {
            id,
            ring_kind: ring.info.map(|info| info.kind),
            submit: event.id,
            lane: event.lane,
            entry,
            cookie_state,
            filled,
            scope: event.scope,
            label: label.unwrap_or_default(),
            owes,
            sure,
            cancelled: false,
            cancelled_quietly: false,
            abandoned: None,
            passes: ring.passes,
            generation,
            alive_since,
            exceeds,
            consumed: at_once.then_some(event.id),
            completions: 0,
            first_completion: None,
            latest_completion: None,
            reaped_on: None,
            ambiguous: false,
            before: None,
            reclaimed: None,
            polled: None,
            lap,
        };
        let operation = match self.spare_operations.pop() {
            Some(mut spare) => {
                *spare = operation;
                spare
            }
            None => Box::new(operation),
        };
        let link = self.link(event.id);
        link.operation = Some((number, submission.sequence));
        link.coroutine = coroutine;
        if let Some(generation) = generation {
            (link.address, link.generation) = (address, generation.number);
        }

        self.hold_against_push(event, key, submission, observer);
        self.show_submission(&operation, address, observer);
        if by_shim {
            self.note_index(submission, &operation);
            self.show_forgotten(&operation, observer);
        }
        if !self.misnamed.is_empty() {
            self.is_carried(process, entry.cookie);
        }
        self.show_cancel(&operation, observer);
        self.note_memory(&operation, observer);
        self.note_message(&operation);
        self.note_given_by_entry(event, &operation, observer);
        self.use_descriptors(&operation, observer);
        let Some(ring) = self.rings.get_mut(&key) else {
            return;
        };
        let mut outlived = None;
        if !sure {
            ring.unsure.push_back(submission.sequence);
            if ring.unsure.len() > UNSURE_MAX {
                let oldest = ring.unsure.pop_front();
                outlived = oldest.and_then(|sequence| {
                    let operation = ring.flying.remove(&sequence)?;
                    ring.forget_cookie(operation.entry.cookie, sequence);
                    Some(operation)
                });
            }
        }
        // The same number twice is another ring's or a damaged record's: the newer one counts.
        let replaced = ring.flying.insert(submission.sequence, operation);
        let sequences = ring.by_cookie.entry(entry.cookie).or_default();
        sequences.push(submission.sequence);
        sequences.tidy(|sequence| ring.flying.contains_key(sequence));
        for gone in replaced.into_iter().chain(outlived) {
            // Nothing more is heard of it.
            if is_flagged(&gone) {
                self.settle(&gone, observer);
            }
            self.forget_memory(&gone);
            self.bury_operation(&gone, None);
        }
    }

    /// Notes whether a small cookie goes in again in order. Of the shim's rings nothing is declared.
    fn note_index(&mut self, submission: &Submission, operation: &Operation) {
        let key = (operation.id.process, operation.id.ring);
        // Where several threads enter, one's entry may be seen before the completion that let it go in.
        if self.entered.get(&key) == Some(&None) {
            return;
        }
        let carrier = |it: &Operation| Carrier {
            id: it.id,
            slot: it.entry.slot,
            opcode: it.entry.opcode,
            submit: it.submit,
            scope: it.scope,
            has_posted: it.completions > 0,
        };
        let Some(ring) = self.rings.get(&key) else {
            return;
        };
        let same = ring.by_cookie.get(&operation.entry.cookie);
        let mut flying = same
            .into_iter()
            .flatten()
            .filter_map(|sequence| ring.flying.get(sequence));
        let rival = flying.find(|other| other.sure).map(|other| carrier(other));
        self.discipline
            .submitted(key, submission, carrier(operation), rival);
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
        let is_dead = matches!(self.standing(process, address), Standing::Dead(_));
        let looks_for_own = is_dead && self.looked_for_own < OWN_MAX;
        self.looked_for_own += u32::from(looks_for_own);
        let Some(ring) = self.rings.get(&(process, number)) else {
            return;
        };
        let in_flight = ring.by_cookie.get(&cookie).into_iter().flatten();
        let others = in_flight
            .filter_map(|sequence| ring.flying.get(sequence).map(Box::as_ref))
            .filter(|other| other.sure)
            .take(RIVALS_MAX)
            .collect::<Vec<_>>();
        let others = self.with_other_rings(operation, others);
        let standing = self.standing(process, address);
        let shared = self.schemes.is_shared(process, number, cookie)
            || matches!(standing, Standing::Live(live) if live.shared);
        let own = looks_for_own.then(|| self.own_leak(operation)).flatten();
        observer.see(&Moment::Submitted(Submitted {
            operation,
            own,
            keys: self.has_keys(process, number),
            standing,
            others,
            shared,
            sentinel,
            pointers: self.pointers_on(process, number),
            cut_of: self.cut_of(process, number, cookie),
        }));

        let fresh = operation.cookie_state == CookieState::NeverWritten;
        let unset = cookie == 0 && operation.cookie_state != CookieState::Set && !sentinel;
        let declared = self.schemes.pointers(process, number);
        let Some(ring) = self.rings.get_mut(&(process, number)) else {
            return;
        };
        let tells_apart = ring.zeros.tells_apart;
        if tells_apart {
            for operation in std::mem::take(&mut ring.behind_zero) {
                settled(&operation, false, observer);
            }
            for operation in std::mem::take(&mut ring.fresh) {
                observer.see(&Moment::Unset {
                    operation: &operation,
                    proof: ring.proof,
                });
            }
        }
        if (fresh && tells_apart) || (unset && declared == Some(true)) {
            observer.see(&Moment::Unset {
                operation,
                proof: None,
            });
        } else if fresh {
            if ring.fresh.len() < UNSET_MAX {
                ring.fresh.push(operation.clone());
            }
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

    /// What was leaked for an operation that went in with another's cookie, by the look of it: of what its thread
    /// leaked since the kernel was last entered, the oldest that no operation carries; of the kind of what is dead, where there is one.
    fn own_leak(&self, operation: &Operation) -> Option<&Generation> {
        let id = operation.id;
        let since = self.rings.get(&(id.process, id.ring))?.latest_enter?;
        // What was leaked since then is its own.
        let address = self
            .schemes
            .address(id.process, id.ring, operation.entry.cookie);
        let dead = match self.standing(id.process, address) {
            Standing::Dead(dead) if dead.generation.leaked < since => &dead.generation,
            _ => return None,
        };
        let live = self.addresses.live().filter(|live| {
            live.id.process == id.process
                && live.leak_lane == operation.lane
                && live.leaked > since
                && live.flight().operations == 0
                // Wakers are leaked by the probe itself, and travel in no entry.
                && live.owner != Owner::Waker
        });
        let like = |live: &&Generation| (live.ty, live.owner) == (dead.ty, dead.owner);
        let (alike, others): (Vec<_>, Vec<_>) = live.partition(like);
        let own = if alike.is_empty() { others } else { alike };
        own.into_iter().min_by_key(|live| live.leaked)
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
        for ((_, number), ring) in self.rings.live(process) {
            // Where it is shared on the other ring, that one is not counted either.
            if *number == operation.id.ring || self.schemes.is_shared(process, *number, cookie) {
                continue;
            }
            let in_flight = ring.by_cookie.get(&cookie).into_iter().flatten();
            let bound = in_flight
                .filter_map(|sequence| ring.flying.get(sequence).map(Box::as_ref))
                .filter(|other| other.generation == Some(generation))
                .filter(|other| other.sure);
            others.extend(bound.take(RIVALS_MAX));
        }
        others.sort_by_key(|other| other.submit);
        others
    }

    /// Whether a ring's cookies are declared to be the keys of a table that was seen to give some out.
    fn has_keys(&self, process: u32, ring: u32) -> bool {
        let table = self.schemes.only_table(process, ring);
        table != 0 && self.tables.contains(&(process, table >> TABLE_SHIFT))
    }

    /// `IORING_OP_PROVIDE_BUFFERS` and its kin hand buffers to the kernel by an entry.
    fn note_given_by_entry(
        &mut self,
        event: &Event,
        operation: &Operation,
        observer: &mut Observer<'_>,
    ) {
        let (entry, id) = (&operation.entry, operation.id);
        let group = (id.process, id.ring, u32::from(entry.buf_index));
        match entry.opcode {
            op::PROVIDE_BUFFERS => {
                let first = u32::try_from(entry.off & 0xFFFF).unwrap_or(0);
                let count = u32::try_from(entry.fd).unwrap_or(0);
                self.provide(event, group, (first, count), Teller::Entry, observer);
            }
            // Which ones it takes is the kernel's choice.
            op::REMOVE_BUFFERS => self.provided.lose_track(group),
            _ => {}
        }
    }

    pub(super) fn enter(&mut self, event: &Event, number: u32, to_submit: u32, result: i32) {
        let Some(ring) = self.rings.get_mut(&(event.process, number)) else {
            return;
        };
        ring.in_batch = false;
        ring.latest_enter = Some(event.id);
        ring.overflow = None;
        for _ in 0..u32::try_from(result).unwrap_or(0) {
            let Some(sequence) = ring.queue.pop_front() else {
                break;
            };
            if let Some(operation) = ring.flying.get_mut(&sequence) {
                operation.consumed = Some(event.id);
                self.links.entered(operation.submit, event.id);
            }
        }
        // All that it offered was taken, and more was there to be offered.
        if to_submit > 0 && u32::try_from(result) == Ok(to_submit) {
            ring.passes = ring.passes.saturating_add(1);
        }
    }
}

/// Whether the program is known not to have set the cookie.
pub(super) fn never_set(state: CookieState) -> bool {
    matches!(
        state,
        CookieState::Leftover | CookieState::Poisoned | CookieState::NeverWritten
    )
}
