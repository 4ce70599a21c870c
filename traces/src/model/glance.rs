//! Leaks and reclaims that are in order at a glance, as nearly all are: pointers that go out and come back as one and
//! the same kind, of which there is one handle at a time, while nothing else is under way that an event could decide.
//!
//! What is done here is what `pointers` does with such an event, and no more; whatever is not plain is left to it as it
//! was. A test holds that both come to the same.

use wire::record::Owner;

use super::moment::Handled;
use super::state::State;
use super::things::{Generation, Leaked};
use crate::event::{EventId, Pointer};
use crate::read::{Row, Told};

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

    /// Does what the event of a number changes, if that is seen at a glance.
    #[inline(always)]
    pub(super) fn glance(&mut self, id: EventId, row: &Row) -> bool {
        match row.told {
            Told::Leak => self.leak_alike(id, row),
            Told::Reclaim => self.reclaim_only(id, row),
            _ => false,
        }
    }

    /// A leak where nothing lives, and what did was the same.
    #[inline(always)]
    fn leak_alike(&mut self, id: EventId, row: &Row) -> bool {
        // The keys of tables are noted.
        if row.owner == Owner::Index {
            return false;
        }
        let thread = self.thread(row.lane);
        let key = (row.process, row.address);
        let Some(place) = self.addresses.find_at(key, row.foreseen) else {
            return false;
        };
        let Some(address) = self.addresses.at(place) else {
            return false;
        };
        let pointer = row.pointer();
        if !address.was_left_by(&pointer) {
            return false;
        }
        address.begin(Leaked {
            number: address.generations().saturating_add(1),
            owner: pointer.owner,
            ty: pointer.ty,
            event: id,
            site: pointer.site,
            lane: row.lane,
            scope: row.scope,
            scope_unsure: false,
            nowhere: false,
            thread,
            forever: false,
        });
        self.addresses.enters(place, row.scope);
        self.summary.generations = self.summary.generations.saturating_add(1);
        true
    }

    /// The reclaim of the only handle that ever was of a generation which no operation carries any more.
    #[inline(always)]
    fn reclaim_only(&mut self, id: EventId, row: &Row) -> bool {
        let thread = self.thread(row.lane);
        let key = (row.process, row.address);
        let Some(place) = self.addresses.find_at(key, row.foreseen) else {
            return false;
        };
        let Some(address) = self.addresses.at(place) else {
            return false;
        };
        let pointer = row.pointer();
        let ends_alone = address.ends_alone();
        let live = address.live_mut();
        let Some(live) = live.filter(|live| live.is_only_handle(&pointer)) else {
            return false;
        };
        let handled = Handled {
            event: id,
            pointer,
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
        live.lane = row.lane;
        let (reclaimed, scope) = ((id, pointer.site), live.scope);
        if ends_alone {
            address.end(reclaimed);
            self.addresses.leaves(place, scope);
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
        let mut course = Course::new(&recording, &facts, Links::default());
        if let Some(mut losses) = Losses::survey(&recording, &facts) {
            events
                .iter()
                .for_each(|event| losses.learn(event, |event| event.id));
            course.observer.losses = losses.finish();
        }
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

    /// Pointers of two threads at a few addresses, which most of them leave as they came; and of all that may be under
    /// way beside them, a little.
    fn pointers(decisions: &[(u8, u8)]) -> String {
        let mut text =
            "process 0 end=exit:0\nlane a tid=5\n0 a ring-create 0 sq=8 cq=16\n".to_owned();
        let mut now = 0;
        for (what, which) in decisions {
            now += if which / 64 == 0 { STEP_NS } else { 1 };
            let lane = if what % 8 == 7 { "b" } else { "a" };
            let address = ADDRESSES[usize::from(which % 4)];
            let kind = match which / 4 % 8 {
                0..=4 => "Conn owner=Box size=8 align=8",
                5 => "Conn owner=Rc size=8 align=8",
                6 => "Key owner=index",
                _ => "Unit owner=Box size=0 align=1",
            };
            let line = what % 3;
            let did = match what / 4 {
                0..=16 => format!("leak {address:#x} {kind} x.rs:{line}"),
                17..=35 => format!("reclaim {address:#x} {kind} x.rs:{line}"),
                36..=37 => format!("peek {address:#x} {kind} x.rs:{line}"),
                38 => format!("retain {address:#x} {kind} x.rs:{line}"),
                39 => format!("release {address:#x} {kind} x.rs:{line}"),
                40 => format!("leak-forever {address:#x} {kind} x.rs:{line}"),
                41..=42 => format!("submit 0 RECV {address:#x} addr={address:#x} len=8"),
                43 => format!("submit 0 NOP {:#x}", address & 0xffff_ffff),
                44 => format!("submit 0 NOP {address:#x} link skip-success"),
                45..=47 => format!("complete 0 {address:#x} 0"),
                48 => format!("complete 0 {:#x} 0", address & 0xffff_ffff),
                49 => format!("free {address:#x} 8"),
                50 => format!("unmap {address:#x} 8"),
                51 => "ring-drop 0".to_owned(),
                52 => "ring-create 0 sq=8 cq=16".to_owned(),
                53 => format!("scope-begin {}", which % 3),
                54 => format!("scope-end {}", which % 3),
                55 => format!("scope-enter {}", which % 3),
                56 => format!("borrow-begin {address:#x} exclusive x.rs:{line}"),
                57 => format!("borrow-end {address:#x} exclusive x.rs:{line}"),
                58 => format!("resume {} {address:#x} ring=0", which % 3),
                59 => format!("suspend {} {address:#x}", which % 3),
                60 => format!("spawn {} Task x.rs:{line}", which % 3),
                61 => format!("done {}", which % 3),
                62 => "enter 0 1 -> 1".to_owned(),
                _ => format!("thread {which}"),
            };
            text += &format!("{now} {lane} {did}\n");
        }
        text
    }

    /// Two of them have the same low half.
    const ADDRESSES: [u64; 4] = [0x1000, 0x1040, 0x1_0000_2000, 0x2_0000_2000];

    /// So long that what waits for a while is waited for no more.
    const STEP_NS: u64 = 3_000_000;

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
        let in_scope = format!("0 a scope-begin 1\n0 b scope-enter 1\n{text}\n8 a scope-end 1");
        assert_eq!(judged(&in_scope, false).2, 3);
        assert_alike(&in_scope);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_glance_sees_what_a_look_sees_of_pointers(decisions in prop::collection::vec(any::<(u8, u8)>(), 0..400)) {
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
