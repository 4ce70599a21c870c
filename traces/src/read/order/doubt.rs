//! Whether the order of time is the causal one: seen on the way, of each event once.
//!
//! It may not be where there is an effect with a cause behind it, or a block that is leaked in front of its reclaim, on
//! another lane and within what the clock is uncertain by. Nearly no event has another one of the same thing so close: a
//! small table says of which things there was none, and the last events are looked at for the others alone.

use super::super::{Loose, Row, Told};
use super::{LOOK_AHEAD, Thing, UNCERTAIN_NS, gives, needs};
use crate::event::What;

/// In place of [`Thing::number`], where there is nothing, and on the other side: so that the two are never the same.
const NOTHING: u64 = 0;
const NOTHING_GIVEN: u64 = 2;

/// Things that the table tells apart.
const SLOTS: usize = 1 << 10;

/// The last events, and when there was one of each thing.
pub(in crate::read) struct Doubt {
    /// In a row that begins again where it ends.
    window: [Before; WINDOW],
    /// Events that were put there.
    seen: usize,
    /// When things were needed or leaked the last time, by a part of their numbers: each stands for many.
    latest: Box<[i64; SLOTS]>,
}

/// A power of two behind the events that are looked at.
const WINDOW: usize = 2 * LOOK_AHEAD;

/// An event with the numbers of what it needs and leaks.
#[derive(Clone, Copy)]
struct Before {
    at_ns: i64,
    lane: u32,
    needs: u64,
    leaks: u64,
}

/// The numbers of what an event has to do with.
struct Has {
    needs: u64,
    leaks: u64,
    gives: [u64; 2],
    takes_back: u64,
}

impl Default for Doubt {
    fn default() -> Self {
        let nothing = Before {
            at_ns: i64::MIN,
            lane: 0,
            needs: NOTHING,
            leaks: NOTHING,
        };
        Self {
            window: [nothing; WINDOW],
            seen: 0,
            latest: Box::new([i64::MIN; SLOTS]),
        }
    }
}

fn slot(number: u64) -> usize {
    // The upper half depends on all of a product's factors.
    (number >> 48) as usize % SLOTS
}

impl Has {
    /// Of a row, and of its event where it leaves it to one.
    #[inline]
    fn of(row: &Row, other: Option<&Loose>) -> Self {
        let lease = || Thing::Lease(row.process, row.address).number();
        let mut has = Self {
            needs: NOTHING,
            leaks: NOTHING,
            gives: [NOTHING_GIVEN; 2],
            takes_back: NOTHING_GIVEN,
        };
        match (row.told, other) {
            (Told::Leak, _) => {
                has.leaks = lease();
                has.gives[0] = has.leaks;
            }
            (Told::Retain, _) => has.gives[0] = lease(),
            (Told::Reclaim | Told::Release, _) => {
                has.needs = lease();
                has.takes_back = has.needs;
            }
            (Told::Peek, _) => has.needs = lease(),
            (Told::Other, Some(event)) => {
                has.needs = needs(event).map_or(NOTHING, Thing::number);
                has.gives = gives(event).map(|thing| thing.map_or(NOTHING_GIVEN, Thing::number));
                match event.what() {
                    What::Leak(_) => has.leaks = has.gives[0],
                    What::Reclaim(_) | What::Release(_) if has.needs != NOTHING => {
                        has.takes_back = has.needs;
                    }
                    _ => {}
                }
            }
            (Told::Other, None) => {}
        }
        has
    }
}

impl Doubt {
    /// Whether an event contradicts one of those before; `ordered`: it has a time of its own, and may be moved.
    #[inline]
    pub(in crate::read) fn sees(
        &mut self,
        row: &Row,
        other: Option<&Loose>,
        ordered: bool,
    ) -> bool {
        let has = Has::of(row, other);
        let earliest = row.at_ns.saturating_sub(UNCERTAIN_NS);
        let is_close = |number: u64| {
            let latest = self.latest.get(slot(number));
            latest.is_some_and(|latest| *latest >= earliest)
        };
        let [first, second] = has.gives;
        let is_doubtful = (first != NOTHING_GIVEN && is_close(first))
            || (second != NOTHING_GIVEN && is_close(second))
            || (has.takes_back != NOTHING_GIVEN && is_close(has.takes_back));
        if is_doubtful && self.is_contradicted(row, &has, earliest) {
            return true;
        }
        if ordered {
            self.note(row, &has);
        }
        false
    }

    #[inline]
    fn note(&mut self, row: &Row, has: &Has) {
        for number in [has.needs, has.leaks] {
            if number != NOTHING
                && let Some(latest) = self.latest.get_mut(slot(number))
            {
                *latest = row.at_ns;
            }
        }
        if let Some(room) = self.window.get_mut(self.seen % WINDOW) {
            *room = Before {
                at_ns: row.at_ns,
                lane: row.lane,
                needs: has.needs,
                leaks: has.leaks,
            };
        }
        self.seen = self.seen.wrapping_add(1);
    }

    /// Whether one of the last events is contradicted.
    #[cold]
    fn is_contradicted(&self, row: &Row, has: &Has, earliest: i64) -> bool {
        let last = (1..=LOOK_AHEAD).map(|back| self.seen.wrapping_sub(back) % WINDOW);
        let last = last.filter_map(|at| self.window.get(at));
        let mut close = last.take_while(|before| before.at_ns >= earliest);
        close.any(|before| {
            let is_early = has.gives.contains(&before.needs) || before.leaks == has.takes_back;
            is_early && before.lane != row.lane
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::record::Owner;

    use super::*;
    use crate::event::{Completion, Pointer, SiteId, TypeId};
    use crate::stack::StackId;

    fn what(kind: u8, address: u64) -> What {
        let pointer = Pointer {
            address,
            owner: Owner::Box,
            ty: TypeId(0),
            site: SiteId(0),
        };
        match kind {
            0 => What::Leak(pointer),
            1 => What::Reclaim(pointer),
            2 => What::Peek(pointer),
            3 => What::Retain(pointer),
            4 => What::Release(pointer),
            5 => What::Complete(Completion {
                ring: 0,
                cookie: address,
                res: 0,
                flags: u32::from(address.is_multiple_of(0x80)) << 1,
                index: None,
                operation: None,
            }),
            6 => What::Resume {
                coroutine: 1,
                by: Some((0, address)),
            },
            _ => What::Done { coroutine: 1 },
        }
    }

    /// Each pair of events held against each other.
    fn contradicts(before: &Loose, event: &Loose) -> bool {
        let is_leak = matches!(before.what(), What::Leak(_));
        let takes_back = matches!(event.what(), What::Reclaim(_) | What::Release(_));
        let is_early = needs(before).is_some_and(|thing| gives(event).contains(&Some(thing)))
            || (is_leak && takes_back && gives(before).contains(&needs(event)));
        is_early
            && before.lane() != event.lane()
            && before.at_ns >= event.at_ns.saturating_sub(UNCERTAIN_NS)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_doubted_is_contradicted_by_one_of_the_last_events(
            steps in prop::collection::vec((0u8..8, 0u64..1_000, 0u32..3, 0i64..40, any::<bool>()), 0..300),
            things in 1u64..1_000,
            as_rows in any::<bool>(),
        ) {
            let mut doubt = Doubt::default();
            let mut ordered: Vec<Loose> = Vec::new();
            let mut now = 0;
            for (kind, thing, lane, step, is_ordered) in steps {
                now += step / 8;
                let what = what(kind, 0x1000 + 0x40 * (thing % things));
                let event = Loose::new(now, (0, lane), what, StackId(0));
                let last = ordered.iter().rev().take(LOOK_AHEAD);
                let known = last.clone().any(|before| contradicts(before, &event));
                let row = Row::of_pointer(&event.event).filter(|_| as_rows);
                let seen = match row {
                    Some(row) => doubt.sees(&Row { at_ns: now, ..row }, None, is_ordered),
                    None => doubt.sees(&event.row(), Some(&event), is_ordered),
                };
                prop_assert_eq!(seen, known);
                if seen {
                    break;
                }
                if is_ordered {
                    ordered.push(event);
                }
            }
        }
    }
}
