//! Completions: which operation one belongs to, and what it makes possible.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use wire::record::CookieState;

use super::addresses::Address;
use super::expect::Fit;
use super::moment::{Completed, Moment, Stray};
use super::opcodes::CQE_SKIP;
use super::sequences::Sequences;
use super::state::State;
use super::things::{Credit, Operation, Owed, Past, Reaped, RingState, Silent, Standing};
use super::{Observer, expect};
use crate::event::{Completion, Event, EventId, SiteId};

/// `-ENOENT` and `-ECANCELED`
const NO_ENTRY: i32 = -2;
const CANCELLED: i32 = -125;
/// Rounds of a ring after which a completion is kept no more that resumed nobody.
const CREDIT_ROUNDS: u64 = 4096;
/// Completions kept for each cookie that resumed nobody.
const CREDITS_MAX: usize = 64;
/// Operations with one cookie that are looked at: without completions they would grow without end. Where there are more, it
/// may be any.
const RIVALS_MAX: usize = 256;
/// Operations with one cookie that are looked at for those that a completion may belong to: as deep as a ring of
/// a correct program is, and no deeper.
const LOOKED_MAX: usize = 4096;
/// Operations whose room is kept for others.
const SPARE_MAX: usize = 1024;
/// Cookies of ended operations that a ring remembers.
const PAST_MAX: usize = if cfg!(test) { 1 << 8 } else { 1 << 16 };

impl State {
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
        let label = self.labels.get(&(event.lane, completion.ring)).copied();
        let Some(ring) = self.rings.known(key) else {
            return;
        };
        ring.completions = ring.completions.saturating_add(1);
        let unread = ring.unread.0 > 0 && ring.unread.1 == event.lane;
        ring.unread.0 -= u32::from(unread);
        if !ring.in_batch {
            ring.round = ring.round.saturating_add(1);
            ring.in_batch = true;
            if let Some(overflow) = &mut ring.overflow {
                overflow.looks = overflow.looks.saturating_add(1);
            }
        }
        let round = ring.round;
        let last = expect::is_last(completion);
        let mut operation = take_match(ring, completion, last);
        if let Some(operation) = &mut operation {
            operation.completions = operation.completions.saturating_add(1);
            operation.first_completion.get_or_insert(event.id);
            operation.latest_completion = Some(event.id);
            operation.reaped_on = now_live;
            // The kernel had it, so somebody entered whom nobody saw.
            if operation.consumed.is_none() {
                operation.consumed = Some(event.id);
                ring.books_are_wrong = true;
                let sequence = operation.id.sequence;
                ring.queue.retain(|queued| *queued > sequence);
            }
            if !last {
                ring.flying.insert(operation.id.sequence, operation.clone());
            } else {
                self.kernel.taken(operation);
            }
        }
        let bound = operation
            .as_ref()
            .and_then(|operation| operation.generation);
        let bound_or_live = if operation.is_some() { bound } else { now_live };
        if let Some(live) = self
            .addresses
            .get_mut((process, address))
            .and_then(Address::live_mut)
            && Some(live.id) == bound_or_live
        {
            live.lane = event.lane;
            live.peeked = false;
            if last {
                let flight = live.flight_mut();
                match &operation {
                    Some(it) if it.sure => flight.in_flight = flight.in_flight.saturating_sub(1),
                    Some(it) if it.owes != expect::Owes::OnlyFailure => {
                        flight.unsure = flight.unsure.saturating_sub(1);
                    }
                    _ => {}
                }
                flight.reaped = Some(Reaped {
                    event: event.id,
                    ring: completion.ring,
                    round,
                    unread,
                });
            }
        }
        let operation_id = operation.as_ref().map(|operation| operation.id);
        self.brought(process, address, operation_id);

        let link = self.link(event.id);
        link.operation = operation_id.map(|id| (id.ring, id.sequence));
        if let Some(generation) = bound_or_live {
            (link.address, link.generation) = (address, generation.number);
        }
        if let Some(operation) = &operation {
            self.completed_of(event, operation, (completion, last), observer);
            self.note_bad_descriptor(operation, (event.id, completion), observer);
            if completion.cookie == 0 && expect::ends_quietly(&operation.entry) {
                self.came_without(event, operation, completion.res, observer);
            }
        } else if completion.flags & CQE_SKIP == 0 {
            self.stray(event, completion, address, observer);
        }
        self.hold_against_posts(event, completion, (operation_id, bound_or_live), observer);
        self.buffer_taken(event, operation.as_deref(), completion, round);
        observer.see(&Moment::Completed(Completed {
            event: event.id,
            ring: completion.ring,
            scope: event.scope,
            operation: operation.as_deref(),
            standing: self.standing(process, address),
            label: label.unwrap_or_default(),
        }));
        if completion.res == NO_ENTRY
            && let Some(operation) = &operation
        {
            self.show_missed(event, operation, observer);
            self.note_misnamed(event.id, operation);
        }
        let submit = operation.as_ref().map(|operation| operation.submit);
        if last {
            let cancelled = completion.res == CANCELLED
                || operation
                    .as_ref()
                    .is_some_and(|operation| operation.cancelled || operation.abandoned.is_some());
            self.owe(
                event,
                Owed {
                    completion: event.id,
                    at_ns: event.at_ns,
                    lane: event.lane,
                    cookie: completion.cookie,
                    ring: completion.ring,
                    latest: (completion.ring, round),
                    operation: operation_id,
                    submit,
                    generation: bound_or_live,
                    cancelled,
                    woken: false,
                },
            );
        }
        let mut flagged = None;
        if let Some(operation) = operation {
            if last && is_flagged(&operation) {
                flagged = Some(operation);
            } else {
                self.recycle(operation);
            }
        }
        let credit = Credit {
            completion: event.id,
            at_ns: event.at_ns,
            lane: event.lane,
            about: bound_or_live.map_or((0, 0), |generation| (address, generation.number)),
            round,
            operation: operation_id,
            submit,
            flagged,
        };
        self.credit(key, completion.cookie, credit, observer);
    }

    /// What an operation's completion changes besides what it carries.
    fn completed_of(
        &mut self,
        event: &Event,
        operation: &Operation,
        (completion, last): (&Completion, bool),
        observer: &mut Observer<'_>,
    ) {
        self.no_hits(operation.id, event.lane);
        if operation.completions == 1 {
            self.show_early(event, operation, observer);
        }
        self.written(operation, completion);
        self.note_result(event, operation, completion, observer);
        self.note_closed_by_operation(operation, completion);
        if last {
            self.forget_memory(operation);
            self.bury_operation(operation, Some(event.id));
            self.cancelled_by(operation, event.id, completion.res);
        }
    }

    /// Remembers the cookie of an operation that ended.
    pub(super) fn bury_operation(&mut self, operation: &Operation, completion: Option<EventId>) {
        let id = operation.id;
        let Some(ring) = self.rings.get_mut(&(id.process, id.ring)) else {
            return;
        };
        let entry = &operation.entry;
        let past = Past {
            operation: id,
            opcode: entry.opcode,
            slot: entry.slot,
            site: SiteId(entry.site),
            submit: operation.submit,
            completion,
            silent: match completion {
                Some(_) => Silent::default(),
                None => Silent::of(operation),
            },
        };
        match ring.past.entry(entry.cookie) {
            Entry::Vacant(place) => {
                place.insert(past);
                ring.past_order.push_back(entry.cookie);
            }
            Entry::Occupied(mut place) => {
                // One that may still post goes on to.
                let before = place.insert(past).silent;
                place.get_mut().silent.add(before);
            }
        }
        if ring.past_order.len() > PAST_MAX
            && let Some(oldest) = ring.past_order.pop_front()
        {
            let past = ring.past.remove(&oldest);
            ring.past_forgotten = true;
            if let Some(past) = past {
                ring.silent_forgotten.add(past.silent);
            }
        }
    }

    /// Keeps the room of an operation that is over.
    fn recycle(&mut self, mut operation: Box<Operation>) {
        if let Some(lap) = operation.lap.take()
            && self.spare_laps.len() < SPARE_MAX
        {
            self.spare_laps.push(lap);
        }
        if self.spare_operations.len() < SPARE_MAX {
            self.spare_operations.push(operation);
        }
    }

    /// Shows a completion that belongs to no operation in flight, unless something explains it.
    fn stray(
        &mut self,
        event: &Event,
        completion: &Completion,
        address: u64,
        observer: &mut Observer<'_>,
    ) {
        let (process, number, cookie) = (event.process, completion.ring, completion.cookie);
        if self.take_message(cookie) {
            return;
        }
        let Some(ring) = self.rings.get(&(process, number)) else {
            return;
        };
        // One in flight that could not have posted this one by what is known: the table may be old.
        let rivals = ring.by_cookie.get(&cookie).into_iter().flatten();
        let mut rivals = rivals.filter(|sequence| ring.flying.contains_key(sequence));
        let is_made_here = ring.made.is_some();
        if rivals.next().is_some()
            || !is_made_here
            || ring.names_are_lost
            || self.schemes.is_sentinel(process, number, cookie)
        {
            return;
        }
        let may_be_silents = self.took_of_silents(&(process, number), completion);
        let Some(ring) = self.rings.get(&(process, number)) else {
            return;
        };
        let others = self.rings.live(process).filter(|((owner, other), ring)| {
            // What was in flight on a ring that is gone completes for nobody.
            *owner == process && *other != number && ring.dropped.is_none()
        });
        // Of those only what could have posted this one has anything to do with it.
        let elsewhere = others
            .flat_map(|(_, ring)| {
                let sequences = ring.by_cookie.get(&cookie).into_iter().flatten();
                sequences.filter_map(|sequence| ring.flying.get(sequence).map(Box::as_ref))
            })
            .take(RIVALS_MAX)
            .filter(|other| expect::fit(&other.entry, other.completions, completion) != Fit::Never)
            .min_by_key(|operation| operation.submit);
        let place = self.addresses.get((process, address));
        observer.see(&Moment::Stray(Stray {
            event: event.id,
            place: (process, number, event.scope),
            cookie,
            past: ring.past.get(&cookie).copied(),
            elsewhere,
            standing: self.standing(process, address),
            pointers: self.pointers_on(process, number),
            cut_of: self.cut_of(process, number, cookie),
            may_be_silents,
            forgotten: ring.past_forgotten || place.is_some_and(|place| place.forgotten),
        }));
    }

    /// Whether a completion may be of an operation that was forgotten because it may never post any. Then it was.
    fn took_of_silents(&mut self, ring: &(u32, u32), completion: &Completion) -> bool {
        let Some(ring) = self.rings.get_mut(ring) else {
            return false;
        };
        let past = ring.past.get_mut(&completion.cookie);
        past.is_some_and(|past| past.silent.took(completion.res))
            || ring.silent_forgotten.took(completion.res)
    }

    /// Remembers a completion until it resumes a coroutine, or until it is too late for that.
    fn credit(
        &mut self,
        key: (u32, u32),
        cookie: u64,
        credit: Credit,
        observer: &mut Observer<'_>,
    ) {
        let round = credit.round;
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
            let mut is_late = forgotten.is_some_and(|(_, latest)| *latest <= old);
            if is_late {
                ring.forgotten.remove(&cookie);
            }
            if let Some(credits) = ring.credits.get_mut(&cookie) {
                if credits.oldest().is_some_and(|credit| credit.round == old) {
                    late.extend(credits.take_oldest().and_then(|credit| credit.flagged));
                    is_late = true;
                }
                if credits.is_empty() {
                    ring.credits.remove(&cookie);
                }
            }
            if is_late && self.has_resumes {
                ring.is_late(cookie);
            }
        }
        // Where nobody is ever resumed, only those that a rule waits for are of use.
        if self.has_resumes || credit.flagged.is_some() {
            ring.credit_order.push_back((round, cookie));
            let credits = ring.credits.entry(cookie).or_default();
            credits.push(credit);
            if credits.len() > CREDITS_MAX
                && let Some(credit) = credits.take_oldest()
            {
                let (count, latest) = ring.forgotten.entry(cookie).or_default();
                (*count, *latest) = (count.saturating_add(1), credit.round);
                late.extend(credit.flagged);
            }
        }
        for operation in late {
            self.settle(&operation, observer);
        }
    }

    /// Notes that coroutines which wait for this cookie are to be resumed.
    fn owe(&mut self, event: &Event, owed: Owed) {
        let process = event.process;
        let Some(waiting) = self.waiting.get(&(process, owed.cookie)) else {
            return;
        };
        // Tables of two rings have the same indices: it may be the other ring's that they wait for.
        let others = self
            .rings
            .live(process)
            .filter(|((owner, other), _)| *owner == process && *other != owed.ring)
            // What was in flight on a ring that is gone completes for nobody.
            .filter(|(_, ring)| ring.dropped.is_none());
        if others
            .into_iter()
            .any(|(_, ring)| ring.carries(owed.cookie))
        {
            return;
        }
        for number in waiting {
            if let Some(coroutine) = self.coroutines.get_mut(&(process, *number)) {
                // Where it waits for several, perhaps for all, it is the latest of them that should have resumed it.
                if let Some(before) = &mut coroutine.owed
                    && before.cookie != owed.cookie
                {
                    (before.lane, before.latest) = (owed.lane, owed.latest);
                    before.at_ns = owed.at_ns;
                }
                coroutine.owed.get_or_insert(owed);
            }
        }
    }
}

/// An operation that a completion may belong to.
#[derive(Clone, Copy)]
struct Rival {
    sequence: u64,
    sure: bool,
    ambiguous: bool,
}

impl Rival {
    fn of(sequence: u64, operation: &Operation) -> Self {
        Self {
            sequence,
            sure: operation.sure,
            ambiguous: operation.ambiguous,
        }
    }
}

type Rivals = SmallVec<[Rival; 8]>;

/// Whether a rule waits for what comes of an operation.
pub(super) fn is_flagged(operation: &Operation) -> bool {
    matches!(
        operation.cookie_state,
        CookieState::Leftover | CookieState::Poisoned
    )
}

/// The operation that a completion belongs to, taken out of flight where this was its last one.
///
/// The oldest of those that carry the cookie and could have had this result, of the likeliest where there are such, but
/// one that may have ended in silence before only where no other could: it posts nothing when all goes well. Where several
/// could, all of them are marked ambiguous.
fn take_match(ring: &mut RingState, completion: &Completion, last: bool) -> Option<Box<Operation>> {
    let Entry::Occupied(sequences) = ring.by_cookie.entry(completion.cookie) else {
        return None;
    };
    // Nearly always the cookie is one operation's, which posts such a result: that is it.
    if let &[only] = sequences.get().as_slice()
        && last
        && let Entry::Occupied(operation) = ring.flying.entry(only)
    {
        let Operation {
            entry, completions, ..
        } = &**operation.get();
        if expect::fit(entry, *completions, completion) >= Fit::Hardly {
            sequences.remove();
            return Some(operation.remove());
        }
    }
    take_best(ring, completion, last)
}

/// As [`take_match`], where there may be several.
#[inline(never)]
fn take_best(ring: &mut RingState, completion: &Completion, last: bool) -> Option<Box<Operation>> {
    let flying = &mut ring.flying;
    let sequences = ring.by_cookie.get_mut(&completion.cookie)?;
    sequences.drop_front(|sequence| flying.contains_key(sequence));
    let (mut well, mut hardly, mut strange): (Rivals, Rivals, Rivals) = Default::default();
    let (mut looked, mut over, mut is_cut) = (0, 0, false);
    for sequence in &*sequences {
        let Some(operation) = flying.get(sequence) else {
            over += 1;
            continue;
        };
        looked += 1;
        match expect::fit(&operation.entry, operation.completions, completion) {
            Fit::Well => well.push(Rival::of(*sequence, operation)),
            Fit::Hardly if hardly.len() < RIVALS_MAX => {
                hardly.push(Rival::of(*sequence, operation));
            }
            Fit::Strange if well.is_empty() && strange.len() < RIVALS_MAX => {
                strange.push(Rival::of(*sequence, operation));
            }
            Fit::Hardly | Fit::Strange | Fit::Never => {}
        }
        if well.len() >= RIVALS_MAX || looked >= LOOKED_MAX {
            // Those behind it are asked nothing.
            is_cut = true;
            break;
        }
    }
    if is_cut || hardly.len() >= RIVALS_MAX || strange.len() >= RIVALS_MAX {
        all_are_ambiguous(sequences, flying);
    }
    // Many that are over are gone past once.
    if over > RIVALS_MAX {
        sequences.retain(|sequence| flying.contains_key(sequence));
    }
    // The likeliest stand in front. One with a result that nobody foresaw is still likelier its than nobody's.
    let likeliest = well.len();
    well.extend(hardly);
    let is_strange = well.is_empty();
    let rivals = if is_strange { strange } else { well };
    let likely = rivals.get(..likeliest).filter(|likely| !likely.is_empty());
    let mut likely = likely.unwrap_or(&rivals).iter();
    let chosen = likely.position(|rival| rival.sure).unwrap_or(0);
    if rivals.len() > 1 || is_strange {
        for rival in rivals.iter().filter(|rival| !rival.ambiguous) {
            if let Some(operation) = flying.get_mut(&rival.sequence) {
                operation.ambiguous = true;
            }
        }
    }
    let chosen = rivals.get(chosen)?.sequence;
    if !last {
        return flying.get(&chosen).cloned();
    }
    let operation = flying.remove(&chosen);
    sequences.remove(chosen);
    sequences.drop_front(|sequence| flying.contains_key(sequence));
    if sequences.is_empty() {
        ring.by_cookie.remove(&completion.cookie);
    }
    operation
}

/// Which of the operations with a cookie something was about is not known, and they are too many to be looked at each
/// time.
pub(super) fn all_are_ambiguous(
    sequences: &mut Sequences,
    flying: &mut FxHashMap<u64, Box<Operation>>,
) {
    for sequence in sequences.take_new() {
        if let Some(operation) = flying.get_mut(sequence) {
            operation.ambiguous = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    /// Operations that are looked at for so many completions where `flying` have their cookie.
    fn looks(flying: u64, completions: u64, completion: &str) -> u64 {
        let submit = "1 main submit 0 READ 0 len=64\n".repeat(flying as usize);
        let complete = format!("2 main complete 0 0 {completion}\n").repeat(completions as usize);
        let text = format!("0 main ring-create 0 sq=8 cq=16\n{submit}{complete}");
        expect::LOOKS.set(0);
        let trace = Trace::parse_text(&text).unwrap();
        assert_eq!(trace.verdict().summary.completions, completions);
        assert_eq!(trace.verdict().exit_code(), 0);
        expect::LOOKS.get()
    }

    #[test]
    fn a_completion_is_held_against_so_many_that_share_its_cookie_and_no_more() {
        assert_eq!(looks(8, 8, "5"), 8 * 9 / 2);
        let most = 2_000 * RIVALS_MAX as u64;
        assert!((most / 2..=most).contains(&looks(2_000, 2_000, "5")));
        // What none of them could have posted is held against more of them.
        assert_eq!(looks(5_000, 100, "5 flags=2"), 100 * LOOKED_MAX as u64);
    }
}
