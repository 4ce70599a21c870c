//! Later looks at a recording that goes on: who looks at something keeps it.

use proptest::prelude::*;
use traces::event::EventId;
use traces::finding::RuleId;

use super::always::{any_message, assert_inside};
use super::*;
use crate::msg::Toward;

/// Looks at one recording, one after the other: which events of the whole were there.
const LOOKS: [std::ops::Range<usize>; 5] = [0..9, 0..21, 4..28, 4..32, 15..32];

fn arrived(look: usize) -> crate::Arrived {
    let trace = fixture::look(LOOKS[look].clone());
    look_of(trace)
}

/// What an event of a look is called in the whole; nothing for the one that says what is lost.
fn in_whole(look: usize, event: EventId) -> Option<usize> {
    let start = LOOKS[look].start;
    let at = start + usize::try_from(event.0).expect("a small number");
    at.checked_sub(usize::from(start > 0))
        .filter(|at| *at >= start)
}

/// And the other way round.
fn in_look(look: usize, event: usize) -> EventId {
    let start = LOOKS[look].start;
    EventId((event - start + usize::from(start > 0)) as u64)
}

/// A later look at the recording that a model shows.
fn look_again(model: &mut Model, look: usize) {
    let whole = |event: &EventId| in_whole(look - 1, *event).filter(|at| LOOKS[look].contains(at));
    let focus = model.focus.event.as_ref().and_then(whole);
    let is_at_tail = model.pane == Pane::Events
        && model.view == View::Events
        && model.prompt.is_none()
        && model.events_selected() + 1 == model.events_len();
    let waits = model.verdict.stories.is_empty() && model.view == View::Findings;
    let object = model
        .focus
        .object
        .map(|object| model.trace.events_of(object));
    let notes = |model: &Model, whole: &dyn Fn(&EventId) -> Option<usize>| -> Vec<_> {
        let notes = model.notes.list.iter();
        let known = notes.filter_map(|note| Some((whole(&note.event)?, note.text.clone())));
        known.collect()
    };
    let noted = notes(model, &whole);
    let marks = model.timeline.marks.clone();
    arrive(model, arrived(look));
    let now = |event: &EventId| in_whole(look, *event);
    assert_eq!(notes(model, &now), noted);
    // The times of this fixture do not move.
    assert_eq!(model.timeline.marks, marks);
    if is_at_tail || waits {
        return;
    }
    if focus.is_some() {
        assert_eq!(model.focus.event.as_ref().and_then(now), focus);
    }
    let kept: Vec<usize> = object.iter().flatten().filter_map(whole).collect();
    if let Some(object) = model.focus.object.filter(|_| !kept.is_empty()) {
        // The life has lost what was overwritten, and may have grown.
        let told = model.trace.events_of(object);
        assert!(
            told.iter()
                .filter_map(now)
                .any(|event| kept.contains(&event)),
            "{told:?} is not the life of {kept:?}"
        );
    }
}

#[test]
fn a_later_look_keeps_the_generation_that_was_looked_at_however_it_is_counted_now() {
    const SECOND_LEAK: usize = 15;
    let mut model = crate::expect(Options::default());
    arrive(&mut model, arrived(3));
    send(&mut model, &[Msg::Show(View::Events)]);
    crate::update::focus::focus_event(&mut model, in_look(3, SECOND_LEAK));
    let before = model.focus.object.expect("a leak has a subject");
    send(&mut model, &[Msg::Bookmark]);
    look_again(&mut model, 4);
    let leak = in_look(4, SECOND_LEAK);
    assert_eq!(model.focus.event, Some(leak));
    let now = model.focus.object.expect("still the same subject");
    assert_ne!(before, now, "it is counted anew");
    assert_eq!(Some(now), model.trace.subject_of(leak));
    assert!(model.life.has(leak));
    assert_eq!(model.notes.list.len(), 1);
}

#[test]
fn a_stretch_that_is_being_dragged_stays_over_its_events_when_the_beginning_moves() {
    const GONE_NS: u64 = 1_000;
    let look = |gone_ns: u64| {
        let at = |ns: u64| ns - gone_ns;
        let text = format!(
            "process 0 pid=7\nlane main tid=7\n\
             {} main leak 0x10 Conn src/a.rs:1 owner=Box\n\
             {} main reclaim 0x10 Conn src/a.rs:2 owner=Box\n",
            at(2_000),
            at(9_000)
        );
        let trace = fixture::trace(&text).with_beginning(gone_ns.cast_signed());
        look_of(trace)
    };
    let mut model = crate::expect(Options::default());
    arrive(&mut model, look(0));
    model.timeline.range_from = Some(3_000);
    model.timeline.dragged_from = Some((3_000, 3_099));
    model.timeline.dragged_to = Some((4_000, 4_099));
    arrive(&mut model, look(GONE_NS));
    assert_eq!(model.timeline.range_from, Some(2_000));
    crate::update::timeline::let_go(&mut model);
    let range = model.range.expect("what was dragged over");
    assert_eq!((range.from_ns, range.to_ns), (2_000, 3_099));
}

#[test]
fn the_life_of_the_last_event_has_its_name_when_it_goes_on() {
    let look = |text: &str| {
        let trace = fixture::trace(text);
        look_of(trace)
    };
    let began = "process 0 pid=7\nlane main tid=7\n\
        1 main leak 0x10 Conn src/a.rs:1 owner=Box\n";
    let mut model = crate::expect(Options::default());
    arrive(&mut model, look(began));
    send(&mut model, &[Msg::Show(View::Events)]);
    crate::update::focus::focus_event(&mut model, EventId(0));
    let (object, name) = (model.focus.object, model.life.names.object.clone());
    assert!(name.contains("Conn"), "{name}");
    let more = format!("{began}2 main reclaim 0x10 Conn src/a.rs:2 owner=Box\n");
    arrive(&mut model, look(&more));
    assert_eq!(model.focus.event, Some(EventId(1)), "it is the last one");
    assert_eq!(
        (model.focus.object, &model.life.names.object),
        (object, &name)
    );
}

#[test]
fn who_waits_for_the_first_finding_is_shown_it_and_who_looks_at_another_stays() {
    let mut model = crate::expect(Options::default());
    arrive(&mut model, arrived(0));
    assert_eq!(model.selected_finding(), FindingRow::Summary);
    let findings = |model: &mut Model| {
        let arrived = crate::Arrived {
            trace: fixture::trace(fixture::LEFTOVER),
            verdict: fixture::leftover_verdict(),
            notes: None,
            index: None,
            is_last: false,
        };
        arrive(model, arrived);
    };
    findings(&mut model);
    assert_eq!(model.selected_finding(), FindingRow::Story(0));
    send(
        &mut model,
        &[Msg::Finding(Toward::Next), Msg::Fold(Fold::Open)],
    );
    let second = model.selected_finding();
    assert_eq!(second, FindingRow::Story(1));
    // The next look has another finding in front.
    let mut verdict = fixture::leftover_verdict();
    let mut other = verdict.stories[1].clone();
    other.head.rule = RuleId(12);
    verdict.stories.insert(0, other);
    let next = crate::Arrived {
        trace: fixture::trace(fixture::LEFTOVER),
        verdict,
        notes: None,
        index: None,
        is_last: false,
    };
    arrive(&mut model, next);
    assert_eq!(model.selected_finding(), FindingRow::Story(2));
    assert_eq!(
        model.focus.object,
        Some(model.verdict.stories[2].head.subject)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn later_looks_leave_the_reader_where_he_was(
        parts in proptest::collection::vec(proptest::collection::vec(any_message(), 0..15), LOOKS.len())
    ) {
        let mut model = crate::expect(Options::default());
        update(&mut model, Msg::Resize { columns: 80, rows: 24 });
        for (look, messages) in parts.into_iter().enumerate() {
            if look == 0 {
                arrive(&mut model, arrived(0));
            } else {
                look_again(&mut model, look);
            }
            assert_inside(&mut model, Msg::Nothing);
            for msg in messages {
                update(&mut model, msg);
                assert_inside(&mut model, msg);
            }
        }
    }
}
