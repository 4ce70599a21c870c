//! Leaks and reclaims that are in order at a glance, as nearly all are: pointers that go out and come back as one and
//! the same kind, of which there is one handle at a time, while nothing else is under way that an event could decide.
//!
//! What is done here is what `pointers` does with such an event, and no more; whatever is not plain is left to it as it
//! was. A test holds that both come to the same.

use wire::record::Owner;

use super::moment::Handled;
use super::state::State;
use super::things::{Generation, Leaked};
use crate::event::{Event, Pointer, What};

impl State {
    /// Whether nothing is under way that any event could decide, and nobody asks what an event belongs to.
    pub(super) fn finds_calm(&self) -> bool {
        #[cfg(test)]
        if self.is_thorough {
            return false;
        }
        !self.kernel.has_views()
            && !self.memory.has_hits()
            && !self.borrows.has_overlaps()
            && self.taken.is_empty()
            && self.strangers.is_empty()
            && self.probed.is_empty()
            && self.links.are_for_nobody()
            && !self.addresses.notes_low_halves()
    }

    /// Does what an event changes, if that is seen at a glance.
    #[inline(always)]
    pub(super) fn glance(&mut self, event: &Event) -> bool {
        match &event.what {
            What::Leak(pointer) => self.leak_alike(event, pointer),
            What::Reclaim(pointer) => self.reclaim_only(event, pointer),
            _ => false,
        }
    }

    /// A leak where nothing lives, and what did was the same.
    #[inline(always)]
    fn leak_alike(&mut self, event: &Event, pointer: &Pointer) -> bool {
        // The keys of tables are noted.
        if pointer.owner == Owner::Index || event.scope != 0 {
            return false;
        }
        let thread = self.thread(event.lane);
        let Some(address) = self.addresses.get_mut((event.process, pointer.address)) else {
            return false;
        };
        if !address.was_left_by(pointer) {
            return false;
        }
        address.begin(Leaked {
            number: address.generations().saturating_add(1),
            owner: pointer.owner,
            ty: pointer.ty,
            event: event.id,
            site: pointer.site,
            lane: event.lane,
            scope: 0,
            scope_unsure: false,
            nowhere: false,
            thread,
            forever: false,
        });
        self.summary.generations = self.summary.generations.saturating_add(1);
        true
    }

    /// The reclaim of the only handle that ever was of a generation which no operation carries any more.
    #[inline(always)]
    fn reclaim_only(&mut self, event: &Event, pointer: &Pointer) -> bool {
        let thread = self.thread(event.lane);
        let Some(place) = self.addresses.find((event.process, pointer.address)) else {
            return false;
        };
        let Some(address) = self.addresses.at(place) else {
            return false;
        };
        let ends_alone = address.ends_alone();
        let live = address.live_mut();
        let Some(live) = live.filter(|live| live.is_only_handle(pointer)) else {
            return false;
        };
        let handled = Handled {
            event: event.id,
            pointer: *pointer,
            generation: live,
            back: true,
            thread,
            brought_by: None,
        };
        if crate::rules::concerns(&handled) {
            return false;
        }
        live.leases = 0;
        live.returned = live.returned.saturating_add(1);
        live.lane = event.lane;
        let reclaimed = (event.id, pointer.site);
        if ends_alone {
            address.end(reclaimed);
        } else {
            self.bury(place, reclaimed);
        }
        true
    }
}

impl Generation {
    /// Whether a handle is its only one, and was at all times, and owes nothing.
    #[inline(always)]
    fn is_only_handle(&self, pointer: &Pointer) -> bool {
        (self.leases, self.handed) == (1, 1)
            && (self.owner, self.ty) == (pointer.owner, pointer.ty)
            && self.flight.as_ref().is_none_or(|flight| flight.is_over())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::links::Links;
    use super::super::{Back, Course, Facts, Losses};
    use crate::rules::support::faults::plant_any;
    use crate::rules::support::runtime::run;

    /// What the model has of every address before the end, and what is said at the end; how many events were seen at a
    /// glance.
    fn judged(text: &str, is_thorough: bool) -> (String, String, u64) {
        let (recording, events) = crate::text::parse(text).expect("a trace");
        let facts = Facts::survey(&recording, &events);
        let mut losses = Losses::survey(&recording);
        events
            .iter()
            .for_each(|event| losses.learn(event, |event| event.id));
        let mut course = Course::new(&recording, &facts, Links::default());
        course.observer.losses = losses.finish();
        course.observer.back = Back::Here(&events);
        course.state.is_thorough = is_thorough;
        course.state.is_calm = course.state.finds_calm();
        let mut glances = 0;
        for event in &events {
            let looks = course.state.looks;
            course.step(event);
            glances += u64::from(course.state.looks == looks);
        }
        let state = &course.state;
        let mut came_back: Vec<_> = state.came_back.iter().collect();
        came_back.sort();
        let addresses = format!(
            "{:#?} {:?} {came_back:?} {:?}",
            state.addresses.all(),
            state.addresses.all_in_scopes(),
            state.summary,
        );
        let judged = course.finish();
        let said = format!(
            "{:#?} {:#?} {:#?}",
            judged.verdict, judged.objects, judged.drafts
        );
        (addresses, said, glances)
    }

    fn assert_alike(text: &str) {
        let (glanced, thorough) = (judged(text, false), judged(text, true));
        assert_eq!(thorough.2, 0);
        assert_eq!(glanced.0, thorough.0, "{text}");
        assert_eq!(glanced.1, thorough.1, "{text}");
    }

    /// Pointers of two threads at a few addresses, which most of them leave as they came; some things besides.
    fn pointers(decisions: &[(u8, u8)]) -> String {
        let mut text =
            "process 0 end=exit:0\nlane a tid=5\n0 a ring-create 0 sq=8 cq=16\n".to_owned();
        for (at, (what, which)) in decisions.iter().enumerate() {
            let lane = if *what % 8 == 7 { "b" } else { "a" };
            let address = 0x1000 + 0x40 * u64::from(which % 4);
            let kind = match which / 4 % 8 {
                0..=4 => "Conn owner=Box size=8 align=8",
                5 => "Conn owner=Rc size=8 align=8",
                6 => "Key owner=index",
                _ => "Unit owner=Box size=0 align=1",
            };
            let did = match what / 8 {
                0..=9 => "leak",
                10..=20 => "reclaim",
                23 => "peek",
                24 => "retain",
                25 => "release",
                26 => "leak-forever",
                _ => "",
            };
            text += &match what / 8 {
                0..=20 | 23..=26 => {
                    format!("{at} {lane} {did} {address:#x} {kind} x.rs:{}\n", what % 3)
                }
                21 if which % 2 == 0 => format!("{at} {lane} ring-drop 0\n"),
                21 => format!("{at} {lane} ring-create 0 sq=8 cq=16\n"),
                22 if which % 2 == 0 => format!("{at} {lane} scope-begin {}\n", which / 2 % 2 + 1),
                22 => format!("{at} {lane} scope-end {}\n", which / 2 % 2 + 1),
                27 => format!("{at} {lane} submit 0 NOP {address:#x}\n"),
                28 => format!("{at} {lane} complete 0 {address:#x} 0\n"),
                29 => format!("{at} {lane} free {address:#x} 8\n"),
                30 => format!("{at} {lane} scope-enter {}\n", which % 3),
                _ => format!("{at} {lane} thread {which}\n"),
            };
        }
        text
    }

    #[test]
    fn what_comes_and_goes_alike_is_seen_at_a_glance() {
        let text = "
            1 a leak 0x1000 Conn x.rs:1
            2 a reclaim 0x1000 Conn x.rs:2
            3 a leak 0x1000 Conn x.rs:1
            4 b reclaim 0x1000 Conn x.rs:2
            5 a leak 0x1000 Other x.rs:1
            6 a reclaim 0x1000 Conn x.rs:2
            7 a reclaim 0x1000 Conn x.rs:2";
        // The first leak makes the place, and the first reclaim its tombstone; the last three are of another type, too
        // late, or both.
        assert_eq!(judged(text, false).2, 3);
        assert_alike(text);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_glance_sees_what_a_look_sees_of_pointers(decisions in prop::collection::vec(any::<(u8, u8)>(), 0..200)) {
            assert_alike(&pointers(&decisions));
        }

        #[test]
        fn a_glance_sees_what_a_look_sees_of_runs(
            decisions in prop::collection::vec(any::<u16>(), 0..200),
            fault in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut lines = run(&decisions);
            plant_any(&mut lines, fault, at);
            assert_alike(&lines.join("\n"));
        }
    }
}
