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

mod handback;

use rustc_hash::FxHashMap;

use handback::Blocks;

use super::Loose;
use crate::event::What;
use crate::model::is_sole;

/// How far the clocks of two cores may be apart.
const UNCERTAIN_NS: i128 = 100;
/// Events that are looked at for a cause.
const LOOK_AHEAD: usize = 64;
/// Causes that are looked for at one place.
const CAUSES_MAX: usize = 8;
/// Times that all is gone through: what is moved may leave its own cause behind.
const PASSES_MAX: usize = 3;

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

/// Sorts by time, then mends what contradicts itself.
pub(super) fn causal(events: &mut [Loose], is_by_batch: impl Fn(u32) -> bool) {
    // Stable: what is of one time and one lane keeps its place.
    events.sort_by_key(|event| event.at_ns);
    for _ in 0..PASSES_MAX {
        if !mend(events, &is_by_batch) {
            break;
        }
    }
}

/// Goes through all events once; whether it has to be done again.
fn mend(events: &mut [Loose], is_by_batch: &impl Fn(u32) -> bool) -> bool {
    let mut there: FxHashMap<Thing, u32> = FxHashMap::default();
    let mut blocks = Blocks::default();
    for at in 0..events.len() {
        if events
            .get(at)
            .is_some_and(|event| is_by_batch(event.process))
        {
            continue;
        }
        // What comes in front may need something itself.
        for _ in 0..CAUSES_MAX {
            let effect = events.get(at);
            let missing = effect
                .and_then(needs)
                .filter(|thing| !is_there(*thing, &there, &blocks));
            let cause = missing.and_then(|thing| find_cause(events, at, thing));
            match cause.and_then(|cause| events.get_mut(at..=cause)) {
                Some(range) => last_lane_first(range),
                None => break,
            }
        }
        let Some(event) = events.get(at) else { break };
        let process = event.process;
        match &event.what {
            What::Leak(p) | What::Retain(p) => {
                let sole = matches!(event.what, What::Leak(_)) && is_sole(p.owner);
                blocks.leak((process, p.address), sole, at);
            }
            What::Reclaim(p) | What::Release(p) => {
                blocks.reclaim((process, p.address), at, events);
            }
            What::Peek(p) => blocks.used((process, p.address)),
            What::Submit(s) => blocks.carried(process, s.entry.cookie),
            What::Complete(c) => blocks.carried(process, c.cookie),
            _ => {}
        }
        if let Some(thing) = uses(event)
            && let Some(count) = there.get_mut(&thing)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                there.remove(&thing);
            }
        }
        for thing in gives(event).into_iter().flatten() {
            if !matches!(thing, Thing::Lease(..)) {
                let count = there.entry(thing).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
    blocks.settle(events)
}

fn is_there(thing: Thing, there: &FxHashMap<Thing, u32>, blocks: &Blocks) -> bool {
    match thing {
        Thing::Lease(process, address) => blocks.is_out((process, address)),
        _ => there.get(&thing).is_some_and(|count| *count > 0),
    }
}

fn find_cause(events: &[Loose], at: usize, thing: Thing) -> Option<usize> {
    let effect = events.get(at)?;
    let latest = effect.at_ns.saturating_add(UNCERTAIN_NS);
    let ahead = events.iter().enumerate().skip(at + 1).take(LOOK_AHEAD);
    for (index, event) in ahead.take_while(|(_, event)| event.at_ns <= latest) {
        if event.lane != effect.lane && gives(event).contains(&Some(thing)) {
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
        range.last().map(|event| event.lane),
    ) else {
        return;
    };
    // Stable: `false` sorts first.
    range.sort_by_key(|event| event.lane != lane);
    for event in range.iter_mut().take_while(|event| event.lane == lane) {
        event.at_ns = at_ns;
    }
}

/// What must be there for this to happen.
fn needs(event: &Loose) -> Option<Thing> {
    let process = event.process;
    match &event.what {
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
    match &event.what {
        What::Reclaim(_)
        | What::Release(_)
        | What::Complete(_)
        | What::Resume { by: Some(_), .. } => needs(event),
        What::Done { coroutine } | What::CoroutineDrop { coroutine } => {
            Some(Thing::Coroutine(event.process, *coroutine))
        }
        _ => None,
    }
}

/// What is there from then on.
fn gives(event: &Loose) -> [Option<Thing>; 2] {
    let process = event.process;
    match &event.what {
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
    use super::*;
    use crate::event::{Pointer, SiteId, TypeId};
    use wire::record::Owner;

    fn at(at_ns: i128, lane: u32, what: What) -> Loose {
        Loose {
            at_ns,
            process: 0,
            lane,
            what,
            stack: crate::stack::StackId(0),
        }
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
        match event.what {
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
    fn what_is_later_than_the_clock_is_uncertain_stays() {
        let events = vec![
            at(100, 0, What::Reclaim(pointer())),
            at(201, 1, What::Leak(pointer())),
        ];
        assert_eq!(kinds(events), ["reclaim", "leak"]);
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
