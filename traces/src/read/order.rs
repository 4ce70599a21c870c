//! One causal order over the streams of all lanes.
//!
//! Time is the order, but not to the last nanosecond: between cores it is off by up to
//! [`UNCERTAIN_NS`]. Where an effect stands before its only possible cause and the cause follows within
//! that time on another lane, the cause is moved in front of it, with what its lane did just before.
//!
//! Events of a process whose times are by batch stay where their times put them, their lane's own order
//! kept: within a batch nothing says which of two lanes was first.
//!
//! `handback` knows the case in which nothing is missing, but there is one handle too many.

//! Nothing of this needs more than a few events at once, but for what becomes of a block later: so all is
//! gone through until nothing is left to move ([`Plan`]), and what was found is done when events are wanted. Few
//! recordings have anything to move: whether one has is seen while its events are gone through for the first time
//! ([`Doubt`]), and only then they are gone through again.

mod doubt;
mod handback;
mod merge;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

pub(super) use doubt::Doubt;
use handback::{Blocks, Group, Place};
pub(super) use merge::Merge;

use super::{Lend, Loose, Taken};
use crate::event::What;
use crate::model::is_sole;

/// How far the clocks of two cores may be apart.
pub(super) const UNCERTAIN_NS: i64 = 100;
/// Events that are looked at for a cause.
const LOOK_AHEAD: usize = 64;
/// Causes that are looked for at one place.
const CAUSES_MAX: usize = 8;
/// Times that all is gone through: what is moved may leave its own cause behind.
const PASSES_MAX: usize = 3;

/// Completions that are remembered until they resume somebody.
const DELIVERIES_MAX: usize = 1 << 20;

/// Something that must be there before something else may happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Thing {
    /// A handle that was leaked.
    Lease(u32, u64),
    /// A submission that is not complete.
    Flight(u32, u32, u64),
    /// A coroutine.
    Coroutine(u32, u32),
    /// A completion that resumed nobody yet.
    Delivery(u32, u32, u64),
}

impl Thing {
    /// The same for the same thing, and hardly ever for another one. Odd.
    #[inline]
    fn number(self) -> u64 {
        let (kind, process, ring, word) = match self {
            Self::Lease(process, address) => (1, process, 0, address),
            Self::Flight(process, ring, cookie) => (2, process, ring, cookie),
            Self::Coroutine(process, coroutine) => (3, process, 0, u64::from(coroutine)),
            Self::Delivery(process, ring, cookie) => (4, process, ring, cookie),
        };
        let whose = u64::from(process) << 32 | u64::from(ring);
        let mixed = whose.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(kind);
        (word ^ mixed).wrapping_mul(0xD6E8_FEB8_6659_FD93) | 1
    }
}

/// What has to be done to put events that are in the order of time into their causal order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Times that all is mended, each with what is moved behind that.
    passes: Vec<Vec<Group>>,
    /// Somebody is resumed, so that it matters which completions resumed nobody yet.
    has_resumes: bool,
}

/// Events in some order.
pub(super) type Events<'a> = Box<dyn Iterator<Item = Loose> + 'a>;

impl Plan {
    /// Goes through events that are in the order of time, as often as it takes: where that is known not to be the causal
    /// order of all of them.
    pub(super) fn make<'a, L: Lend + 'a>(
        merged: impl Fn() -> L,
        is_by_batch: &'a dyn Fn(u32) -> bool,
        has_resumes: bool,
    ) -> Self {
        let mut plan = Self {
            has_resumes,
            ..Self::default()
        };
        for _ in 0..PASSES_MAX {
            let events = plan.clone().carry_out(merged(), is_by_batch);
            let mut mend = Mend::new(events, is_by_batch, has_resumes);
            mend.by_ref().for_each(drop);
            let moves = mend.blocks.moves();
            let is_done = moves.is_empty();
            plan.passes.push(moves);
            if is_done {
                break;
            }
        }
        plan
    }

    /// Whether the order of time is the causal one.
    pub(super) fn is_empty(&self) -> bool {
        self.passes.is_empty()
    }

    /// Puts events that are in the order of time into their causal order.
    pub(super) fn carry_out<'a>(
        self,
        merged: impl Lend + 'a,
        is_by_batch: &'a dyn Fn(u32) -> bool,
    ) -> Events<'a> {
        let mut events: Events<'a> = Box::new(Taken::new(merged));
        for moves in self.passes {
            let mended = Mend::new(events, is_by_batch, self.has_resumes);
            events = Box::new(Settle {
                events: mended,
                at: 0,
                groups: moves.into(),
                ready: VecDeque::new(),
            });
        }
        events
    }
}

/// Moves causes in front of their effects, and finds out what else has to be moved.
struct Mend<'a> {
    events: Events<'a>,
    is_by_batch: &'a dyn Fn(u32) -> bool,
    /// The next events.
    window: VecDeque<Loose>,
    /// Events before them.
    at: usize,
    there: FxHashMap<Thing, There>,
    has_resumes: bool,
    /// Deliveries and what stood before the events that first gave them, oldest first.
    deliveries: VecDeque<(Thing, usize)>,
    blocks: Blocks,
}

/// How many there are of a thing.
#[derive(Clone, Copy, Debug)]
struct There {
    count: u32,
    /// Events before the one that gave the first of them.
    since: usize,
}

impl<'a> Mend<'a> {
    fn new(events: Events<'a>, is_by_batch: &'a dyn Fn(u32) -> bool, has_resumes: bool) -> Self {
        Self {
            events,
            is_by_batch,
            window: VecDeque::with_capacity(LOOK_AHEAD + 2),
            at: 0,
            there: FxHashMap::default(),
            has_resumes,
            deliveries: VecDeque::new(),
            blocks: Blocks::default(),
        }
    }

    /// Puts in front of the next event what it needs.
    fn find_causes(&mut self) {
        // What comes in front may need something itself.
        for _ in 0..CAUSES_MAX {
            let missing = self
                .window
                .front()
                .and_then(needs)
                .filter(|thing| !is_there(*thing, &self.there, &self.blocks));
            let cause = missing.and_then(|thing| find_cause(&self.window, thing));
            let window = self.window.make_contiguous();
            match cause.and_then(|cause| window.get_mut(..=cause)) {
                Some(range) => last_lane_first(range),
                None => break,
            }
        }
    }

    fn note(&mut self, event: &Loose) {
        let process = event.process();
        let place = Place {
            at: self.at,
            lane: event.lane(),
            at_ns: event.at_ns,
        };
        let blocks = &mut self.blocks;
        match event.what() {
            What::Leak(p) | What::Retain(p) => {
                let sole = matches!(*event.what(), What::Leak(_)) && is_sole(p.owner);
                blocks.leak((process, p.address), sole, place);
            }
            What::Reclaim(p) | What::Release(p) => {
                blocks.reclaim((process, p.address), place);
            }
            What::Peek(p) => blocks.used((process, p.address)),
            What::Submit(s) => blocks.carried(process, s.entry.cookie),
            What::Complete(c) => blocks.carried(process, c.cookie),
            _ => {}
        }
        let there = &mut self.there;
        if let Some(thing) = uses(event)
            && let Some(known) = there.get_mut(&thing)
        {
            known.count = known.count.saturating_sub(1);
            if known.count == 0 {
                there.remove(&thing);
            }
        }
        for thing in gives(event).into_iter().flatten() {
            let is_delivery = matches!(thing, Thing::Delivery(..));
            if matches!(thing, Thing::Lease(..)) || (is_delivery && !self.has_resumes) {
                continue;
            }
            let (count, since) = (0, self.at);
            let known = there.entry(thing).or_insert(There { count, since });
            if is_delivery && known.count == 0 {
                self.deliveries.push_back((thing, since));
            }
            known.count = known.count.saturating_add(1);
        }
        self.forget_deliveries(DELIVERIES_MAX);
    }

    /// Keeps so many of the completions that may resume somebody yet: most never do.
    fn forget_deliveries(&mut self, keep: usize) {
        while self.deliveries.len() > keep {
            let Some((oldest, since)) = self.deliveries.pop_front() else {
                break;
            };
            let known = self.there.get(&oldest);
            if known.is_some_and(|known| known.since == since) {
                self.there.remove(&oldest);
            }
        }
    }
}

impl Iterator for Mend<'_> {
    type Item = Loose;

    fn next(&mut self) -> Option<Loose> {
        while self.window.len() <= LOOK_AHEAD {
            match self.events.next() {
                Some(event) => self.window.push_back(event),
                None => break,
            }
        }
        let ordered = self.window.front()?.process();
        let ordered = !(self.is_by_batch)(ordered);
        if ordered {
            self.find_causes();
        }
        let event = self.window.pop_front()?;
        if ordered {
            self.note(&event);
        }
        self.at += 1;
        Some(event)
    }
}

/// Puts reclaims in front of the leaks that they made possible.
struct Settle<I> {
    events: I,
    at: usize,
    groups: VecDeque<Group>,
    ready: VecDeque<Loose>,
}

impl<I: Iterator<Item = Loose>> Iterator for Settle<I> {
    type Item = Loose;

    fn next(&mut self) -> Option<Loose> {
        if let Some(event) = self.ready.pop_front() {
            return Some(event);
        }
        let is_next = |group: &Group| group.first <= self.at;
        if self.groups.front().is_some_and(is_next)
            && let Some(group) = self.groups.pop_front()
        {
            let count = (group.last - group.first).saturating_add(1);
            let mut part: Vec<Loose> = self.events.by_ref().take(count).collect();
            handback::rearrange(&mut part, &group);
            self.at += part.len();
            self.ready = part.into();
            return self.ready.pop_front();
        }
        self.at += 1;
        self.events.next()
    }
}

fn is_there(thing: Thing, there: &FxHashMap<Thing, There>, blocks: &Blocks) -> bool {
    match thing {
        Thing::Lease(process, address) => blocks.is_out((process, address)),
        _ => there.contains_key(&thing),
    }
}

/// Of the next events, the first being the effect.
fn find_cause(events: &VecDeque<Loose>, thing: Thing) -> Option<usize> {
    let effect = events.front()?;
    let latest = effect.at_ns.saturating_add(UNCERTAIN_NS);
    let ahead = events.iter().enumerate().skip(1).take(LOOK_AHEAD);
    for (index, event) in ahead.take_while(|(_, event)| event.at_ns <= latest) {
        if event.lane() != effect.lane() && gives(event).contains(&Some(thing)) {
            return Some(index);
        }
    }
    None
}

/// Moves the last event in front of the others, and with it those of its lane: time is right within a
/// lane, so that nothing on it may be overtaken.
fn last_lane_first(range: &mut [Loose]) {
    let (Some(at_ns), Some(lane)) = (
        range.first().map(|event| event.at_ns),
        range.last().map(|event| event.lane()),
    ) else {
        return;
    };
    // Stable: `false` sorts first.
    range.sort_by_key(|event| event.lane() != lane);
    for event in range.iter_mut().take_while(|event| event.lane() == lane) {
        event.at_ns = at_ns;
    }
}

/// What must be there for this to happen.
fn needs(event: &Loose) -> Option<Thing> {
    let process = event.process();
    match event.what() {
        What::Reclaim(p) | What::Release(p) | What::Peek(p) => {
            Some(Thing::Lease(process, p.address))
        }
        What::Complete(c) => Some(Thing::Flight(process, c.ring, c.cookie)),
        What::Resume {
            by: Some((ring, cookie)),
            ..
        } => Some(Thing::Delivery(process, *ring, *cookie)),
        What::Resume {
            coroutine,
            by: None,
        } => Some(Thing::Coroutine(process, *coroutine)),
        _ => None,
    }
}

/// What is gone when it has happened.
fn uses(event: &Loose) -> Option<Thing> {
    match event.what() {
        What::Reclaim(_)
        | What::Release(_)
        | What::Complete(_)
        | What::Resume { by: Some(_), .. } => needs(event),
        What::Done { coroutine } | What::CoroutineDrop { coroutine } => {
            Some(Thing::Coroutine(event.process(), *coroutine))
        }
        _ => None,
    }
}

/// What is there from then on.
fn gives(event: &Loose) -> [Option<Thing>; 2] {
    let process = event.process();
    match event.what() {
        What::Leak(p) | What::Retain(p) => [Some(Thing::Lease(process, p.address)), None],
        What::Submit(s) => [
            Some(Thing::Flight(
                process,
                u32::from(s.entry.ring),
                s.entry.cookie,
            )),
            None,
        ],
        What::Complete(c) => {
            const MORE: u32 = 2;
            let flight = Thing::Flight(process, c.ring, c.cookie);
            let delivery = Thing::Delivery(process, c.ring, c.cookie);
            [Some(delivery), (c.flags & MORE != 0).then_some(flight)]
        }
        What::Spawn { coroutine, .. } => [Some(Thing::Coroutine(process, *coroutine)), None],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ready;
    use super::*;
    use crate::event::{Pointer, SiteId, TypeId};
    use wire::record::Owner;

    /// Sorts by time, then mends what contradicts itself.
    fn causal(events: &mut Vec<Loose>, is_by_batch: impl Fn(u32) -> bool) {
        // Stable: what is of one time and one lane keeps its place.
        events.sort_by_key(|event| event.at_ns);
        let merged = || Ready::new(events.clone());
        let mut doubt = Doubt::default();
        let mut looks = events.iter();
        if looks.any(|event| doubt.sees(&event.row(), Some(event), !is_by_batch(event.process()))) {
            let plan = Plan::make(merged, &is_by_batch, true);
            *events = plan.carry_out(merged(), &is_by_batch).collect();
        }
    }

    fn at(at_ns: i64, lane: u32, what: What) -> Loose {
        Loose::new(at_ns, (0, lane), what, crate::stack::StackId(0))
    }

    fn pointer() -> Pointer {
        Pointer {
            address: 0x1000,
            owner: Owner::Box,
            ty: TypeId(0),
            site: SiteId(0),
        }
    }

    fn kinds(mut events: Vec<Loose>) -> Vec<&'static str> {
        causal(&mut events, |_| false);
        assert!(events.is_sorted_by_key(|event| event.at_ns));
        events.iter().map(kind).collect()
    }

    fn kind(event: &Loose) -> &'static str {
        match event.what() {
            What::Leak(_) => "leak",
            What::Reclaim(_) => "reclaim",
            _ => "other",
        }
    }

    #[test]
    fn lanes_are_merged_by_time() {
        let events = vec![
            at(30, 0, What::Reclaim(pointer())),
            at(10, 1, What::Leak(pointer())),
            at(20, 1, What::Done { coroutine: 1 }),
        ];
        assert_eq!(kinds(events), ["leak", "other", "reclaim"]);
    }

    #[test]
    fn a_cause_that_comes_late_by_a_hair_is_moved_before_its_effect() {
        let events = vec![
            at(100, 0, What::Reclaim(pointer())),
            at(150, 0, What::Done { coroutine: 1 }),
            at(190, 1, What::Leak(pointer())),
        ];
        assert_eq!(kinds(events), ["leak", "reclaim", "other"]);
    }

    fn block(owner: Owner) -> Pointer {
        Pointer { owner, ..pointer() }
    }

    #[test]
    fn a_block_handed_back_is_reclaimed_before_it_is_leaked_again() {
        let events = vec![
            at(100, 0, What::Leak(pointer())),
            at(300, 0, What::Leak(pointer())),
            at(310, 1, What::Done { coroutine: 1 }),
            at(390, 1, What::Reclaim(pointer())),
            at(600, 1, What::Reclaim(pointer())),
        ];
        assert_eq!(
            kinds(events),
            ["leak", "other", "reclaim", "leak", "reclaim"]
        );
    }

    #[test]
    fn two_hand_backs_in_a_row() {
        let events = vec![
            at(100, 0, What::Leak(pointer())),
            at(300, 0, What::Leak(pointer())),
            at(310, 1, What::Reclaim(pointer())),
            at(500, 0, What::Leak(pointer())),
            at(510, 1, What::Reclaim(pointer())),
            at(700, 1, What::Reclaim(pointer())),
        ];
        let pairs = ["leak", "reclaim"];
        assert_eq!(kinds(events), [pairs, pairs, pairs].concat());
    }

    #[test]
    fn a_reclaim_that_nobody_saw_leaves_the_next_one_in_its_place() {
        let events = vec![
            at(100, 0, What::Leak(pointer())),
            at(300, 0, What::Leak(pointer())),
            at(390, 1, What::Reclaim(pointer())),
            at(600, 0, What::Leak(pointer())),
            at(900, 1, What::Reclaim(pointer())),
        ];
        assert_eq!(
            kinds(events),
            ["leak", "leak", "reclaim", "leak", "reclaim"]
        );
    }

    #[test]
    fn shared_owners_and_later_reclaims_stay() {
        for (owner, late) in [(Owner::Rc, 390), (Owner::Box, 401)] {
            let events = vec![
                at(100, 0, What::Leak(block(owner))),
                at(300, 0, What::Leak(block(owner))),
                at(late, 1, What::Reclaim(block(owner))),
                at(600, 1, What::Reclaim(block(owner))),
            ];
            assert_eq!(kinds(events), ["leak", "leak", "reclaim", "reclaim"]);
        }
    }

    #[test]
    fn completions_that_resume_nobody_are_not_remembered_for_ever() {
        let complete = |cookie| {
            let completion = crate::event::Completion {
                ring: 0,
                cookie,
                res: 0,
                flags: 0,
                index: None,
                operation: None,
            };
            at(100, 0, What::Complete(completion))
        };
        let resume = |cookie| {
            let by = Some((0, cookie));
            at(100, 0, What::Resume { coroutine: 1, by })
        };
        let is_by_batch = |_| false;
        let mend = |has_resumes| {
            let cookies = (0..100).map(complete);
            let events: Vec<Loose> = cookies.chain([resume(7), complete(7)]).collect();
            let mut mend = Mend::new(Box::new(events.into_iter()), &is_by_batch, has_resumes);
            mend.by_ref().for_each(drop);
            mend
        };
        assert_eq!(mend(false).there.len(), 0);
        let mut mend = mend(true);
        let remembered = |mend: &Mend<'_>, cookie| {
            let thing = Thing::Delivery(0, 0, cookie);
            mend.there.contains_key(&thing)
        };
        assert_eq!(mend.there.len(), 100);
        // The seventh was used up, and is the newest now.
        mend.forget_deliveries(3);
        assert_eq!(mend.there.len(), 3);
        assert!([98, 99, 7].iter().all(|cookie| remembered(&mend, *cookie)));
    }

    #[test]
    fn what_is_later_than_the_clock_is_uncertain_stays() {
        let events = vec![
            at(100, 0, What::Reclaim(pointer())),
            at(201, 1, What::Leak(pointer())),
        ];
        assert_eq!(kinds(events), ["reclaim", "leak"]);
    }

    #[test]
    fn a_cause_is_looked_for_as_far_as_the_window_reaches() {
        let causal = |between: usize| {
            let mut events = vec![at(100, 0, What::Reclaim(pointer()))];
            events.extend((0..between).map(|_| at(150, 0, What::Done { coroutine: 1 })));
            events.push(at(190, 1, What::Leak(pointer())));
            let kinds = kinds(events);
            (kinds[0], kinds.len())
        };
        assert_eq!(causal(LOOK_AHEAD - 1), ("leak", LOOK_AHEAD + 1));
        assert_eq!(causal(LOOK_AHEAD), ("reclaim", LOOK_AHEAD + 2));
    }

    #[test]
    fn by_batch_all_stays_where_time_puts_it() {
        let mut events = vec![
            at(100, 0, What::Reclaim(pointer())),
            at(100, 1, What::Leak(pointer())),
            at(90, 1, What::Done { coroutine: 1 }),
            at(100, 0, What::Leak(pointer())),
            at(100, 1, What::Reclaim(pointer())),
        ];
        causal(&mut events, |process| process == 0);
        let all: Vec<_> = events.iter().map(kind).collect();
        assert_eq!(all, ["other", "reclaim", "leak", "leak", "reclaim"]);
    }

    #[test]
    fn within_a_lane_time_is_right() {
        let events = vec![
            at(100, 0, What::Reclaim(pointer())),
            at(110, 0, What::Leak(pointer())),
        ];
        assert_eq!(kinds(events), ["reclaim", "leak"]);
        let events = vec![
            at(100, 0, What::Reclaim(pointer())),
            at(110, 1, What::Done { coroutine: 1 }),
            at(120, 1, What::Leak(pointer())),
        ];
        assert_eq!(kinds(events), ["other", "leak", "reclaim"]);
    }
}
