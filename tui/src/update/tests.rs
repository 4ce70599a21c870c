//! Messages without a screen: where they lead, and what always holds.

use proptest::prelude::*;
use traces::event::EventId;
use traces::finding::{RuleId, Subject};

use super::*;
use crate::fixture;
use crate::keys::{Listener, bindings};
use crate::layout::Pane;
use crate::model::{Work, finding_rows};
use crate::msg::{Fold, Mouse, MouseAction, Step, Toward};
use crate::{Goto, Options, open};

fn model() -> Model {
    let mut model = open(
        fixture::trace(fixture::LEFTOVER),
        fixture::leftover_verdict(),
        Options::default(),
    );
    send(
        &mut model,
        &[Msg::Resize {
            columns: 80,
            rows: 24,
        }],
    );
    model
}

fn send(model: &mut Model, messages: &[Msg]) -> Effect {
    let mut effect = Effect::Nothing;
    for msg in messages {
        effect = update(model, *msg);
    }
    while model.work() != Work::None {
        update(model, Msg::Work);
    }
    effect
}

fn typed(text: &str) -> Vec<Msg> {
    let mut messages = vec![Msg::Prompt];
    messages.extend(text.chars().map(Msg::Type));
    messages
}

#[test]
fn the_first_finding_is_in_focus_at_the_start() {
    let model = model();
    assert_eq!(model.selected_finding(), FindingRow::Story(0));
    assert_eq!(model.focus.event, Some(EventId(20)));
    assert_eq!(model.focus.at_ns, 1_007_500);
    assert_eq!(model.focus.lane, Some(0));
    assert!(model.life.has(EventId(20)));
}

#[test]
fn enter_opens_the_biography_and_escape_goes_up_but_never_out() {
    let mut model = model();
    send(&mut model, &[Msg::Open]);
    assert_eq!(model.view, View::Biography);
    assert_eq!(send(&mut model, &[Msg::Up]), Effect::Draw);
    assert_eq!(model.view, View::Findings);
    for _ in 0..3 {
        assert_eq!(send(&mut model, &[Msg::Up]), Effect::Draw);
    }
    assert!(model.notice.is_some());
}

#[test]
fn leaving_goes_up_first_and_out_from_the_findings() {
    let mut model = model();
    assert_eq!(
        send(&mut model, &[Msg::Show(View::Events), Msg::Leave]),
        Effect::Draw
    );
    assert_eq!(model.view, View::Findings);
    assert_eq!(send(&mut model, &[Msg::Leave]), Effect::Quit);
    assert_eq!(send(&mut model, &[Msg::Help, Msg::Quit]), Effect::Quit);
}

#[test]
fn an_object_is_followed_through_all_events() {
    let mut model = model();
    let object = model.focus.object.expect("the finding has a subject");
    send(&mut model, &[Msg::Show(View::Events)]);
    let mut seen = vec![];
    for _ in 0..20 {
        send(&mut model, &[Msg::SameObject(Toward::Next)]);
        seen.push(model.focus.event.expect("an event"));
        assert_eq!(model.focus.object, Some(object));
        assert_eq!(model.view, View::Events);
    }
    seen.dedup();
    let all = model.trace.events_of(object);
    assert!(all.ends_with(&seen), "{seen:?} of {all:?}");
    assert!(
        model
            .notice
            .as_deref()
            .is_some_and(|notice| notice.starts_with("no later event"))
    );
    // The whole walk is one step of history.
    send(&mut model, &[Msg::History(Toward::Previous)]);
    assert_eq!(model.focus.event, Some(EventId(20)));
}

#[test]
fn findings_are_gone_through_from_anywhere() {
    let mut model = model();
    send(&mut model, &[Msg::Finding(Toward::Next)]);
    assert_eq!(model.selected_finding(), FindingRow::Story(1));
    send(&mut model, &[Msg::Finding(Toward::Next)]);
    assert_eq!(
        model.selected_finding(),
        FindingRow::Story(1),
        "open questions are no findings"
    );
    send(
        &mut model,
        &[Msg::Show(View::Events), Msg::Move(Step::First)],
    );
    send(&mut model, &[Msg::Finding(Toward::Next)]);
    assert_eq!(
        model.focus.event,
        Some(EventId(2)),
        "among events the next one in time"
    );
    send(&mut model, &[Msg::Finding(Toward::Next)]);
    assert_eq!(model.focus.event, Some(EventId(20)));
    assert_eq!(model.view, View::Events);
    send(&mut model, &[Msg::Finding(Toward::Previous)]);
    assert_eq!(model.focus.event, Some(EventId(2)));
}

#[test]
fn x_leads_to_the_first_cause_of_the_story() {
    let mut model = model();
    send(
        &mut model,
        &[Msg::Fold(Fold::Open), Msg::Move(Step::Lines(2))],
    );
    assert_eq!(model.selected_finding(), FindingRow::Consequence(0, 1));
    assert_eq!(model.focus.event, Some(EventId(28)));
    send(&mut model, &[Msg::FirstCause]);
    assert_eq!(model.focus.event, Some(EventId(20)));
    assert_eq!(model.selected_finding(), FindingRow::Story(0));
    send(
        &mut model,
        &[
            Msg::Show(View::Events),
            Msg::Move(Step::First),
            Msg::FirstCause,
        ],
    );
    assert_eq!(
        (model.view, model.focus.event),
        (View::Events, Some(EventId(20)))
    );
}

#[test]
fn without_a_finding_the_keys_for_them_say_so() {
    let mut model = open(
        fixture::trace(fixture::CLEAN),
        fixture::clean_verdict(),
        Options::default(),
    );
    for msg in [
        Msg::FirstCause,
        Msg::Finding(Toward::Next),
        Msg::Finding(Toward::Previous),
    ] {
        send(&mut model, &[msg]);
        assert!(model.notice.is_some(), "{msg:?}");
    }
}

#[test]
fn folding_a_consequence_away_selects_its_cause() {
    let mut model = model();
    send(
        &mut model,
        &[
            Msg::Fold(Fold::Open),
            Msg::Move(Step::Lines(1)),
            Msg::Fold(Fold::Shut),
        ],
    );
    assert_eq!(model.selected_finding(), FindingRow::Story(0));
    assert!(!model.findings.rows.contains(&FindingRow::Consequence(0, 0)));
}

#[test]
fn the_lives_before_and_after_can_be_opened() {
    let mut model = model();
    send(&mut model, &[Msg::Open, Msg::Move(Step::First)]);
    send(&mut model, &[Msg::Open]);
    let before = Subject::Generation {
        process: 0,
        address: 0x55d0_c2e0_b040,
        generation: 1,
    };
    assert_eq!(model.focus.object, Some(before));
    assert_eq!(model.view, View::Biography);
    send(&mut model, &[Msg::Up, Msg::Up]);
    assert_eq!(model.view, View::Findings);
}

#[test]
fn a_filter_is_live_can_be_kept_widened_and_dropped() {
    let mut model = model();
    let before = model.focus;
    send(&mut model, &typed("timer.rs:52"));
    assert_eq!(model.listener(), Listener::Prompt);
    assert_eq!(model.events_len(), 3);
    assert_eq!(
        model.focus.event,
        Some(EventId(24)),
        "the next hit after where we were"
    );
    send(&mut model, &[Msg::Cancel]);
    assert_eq!((model.focus, model.view), (before, View::Findings));
    assert!(model.events.filter.is_none());

    send(&mut model, &typed("timer.rs:52"));
    send(&mut model, &[Msg::Accept, Msg::Move(Step::First)]);
    assert_eq!(model.focus.event, Some(EventId(14)));
    send(&mut model, &[Msg::Up]);
    assert_eq!(model.events_len(), 32, "all events again");
    assert_eq!(model.focus.event, Some(EventId(14)));
    send(&mut model, &[Msg::Hit(Toward::Next)]);
    assert_eq!(
        model.focus.event,
        Some(EventId(24)),
        "hits can still be gone to"
    );
    // The findings put their own event into focus; the next hit is the one after that.
    send(
        &mut model,
        &[Msg::Show(View::Findings), Msg::Hit(Toward::Next)],
    );
    assert_eq!(
        (model.view, model.focus.event),
        (View::Events, Some(EventId(24)))
    );
}

#[test]
fn an_empty_filter_is_no_filter() {
    let mut model = model();
    send(&mut model, &typed("x"));
    send(&mut model, &[Msg::Erase, Msg::Accept]);
    assert!(model.events.filter.is_none());
    send(&mut model, &[Msg::Prompt, Msg::Erase]);
    assert_eq!(model.listener(), Listener::Pane(Pane::Events));
}

#[test]
fn history_goes_back_and_forward() {
    let mut model = model();
    send(&mut model, &[Msg::Open, Msg::Show(View::Events)]);
    send(&mut model, &[Msg::History(Toward::Previous)]);
    assert_eq!(model.view, View::Biography);
    send(&mut model, &[Msg::History(Toward::Previous)]);
    assert_eq!(model.view, View::Findings);
    send(
        &mut model,
        &[Msg::History(Toward::Next), Msg::History(Toward::Next)],
    );
    assert_eq!(model.view, View::Events);
    send(&mut model, &[Msg::History(Toward::Next)]);
    assert!(model.notice.is_some());
}

#[test]
fn tab_goes_through_panes_where_there_are_two_and_through_views_else() {
    let mut model = model();
    send(&mut model, &[Msg::Pane(Toward::Next)]);
    assert_eq!((model.view, model.pane), (View::Biography, Pane::Biography));
    send(
        &mut model,
        &[
            Msg::Pane(Toward::Previous),
            Msg::Resize {
                columns: 160,
                rows: 50,
            },
        ],
    );
    send(&mut model, &[Msg::Pane(Toward::Next)]);
    assert_eq!((model.view, model.pane), (View::Findings, Pane::Biography));
    send(&mut model, &[Msg::Pane(Toward::Next)]);
    assert_eq!((model.view, model.pane), (View::Findings, Pane::Findings));
}

#[test]
fn the_command_line_can_name_the_start() {
    let start = |goto| {
        let options = Options {
            goto: Some(goto),
            ..Options::default()
        };
        open(
            fixture::trace(fixture::LEFTOVER),
            fixture::leftover_verdict(),
            options,
        )
    };
    let model = start(Goto::Finding(2));
    assert_eq!(
        (model.view, model.selected_finding()),
        (View::Biography, FindingRow::Story(1))
    );
    let model = start(Goto::Rule(RuleId(10)));
    assert_eq!(model.selected_finding(), FindingRow::Consequence(0, 1));
    assert_eq!(model.focus.event, Some(EventId(28)));
    let model = start(Goto::Event(EventId(5)));
    assert_eq!(
        (model.view, model.focus.event),
        (View::Events, Some(EventId(5)))
    );
    for nowhere in [
        Goto::Finding(9),
        Goto::Finding(0),
        Goto::Event(EventId(99)),
        Goto::Rule(RuleId(4)),
    ] {
        let model = start(nowhere);
        assert_eq!(model.view, View::Findings);
        assert!(model.notice.is_some(), "{nowhere}");
    }
}

#[test]
fn a_life_in_a_large_trace_is_gathered_when_the_keys_rest() {
    let mut model = open(
        fixture::many(200_001),
        traces::finding::Verdict::default(),
        Options::default(),
    );
    update(
        &mut model,
        Msg::Resize {
            columns: 80,
            rows: 24,
        },
    );
    update(&mut model, Msg::Show(View::Events));
    update(&mut model, Msg::Move(Step::Lines(1)));
    assert!(model.focus.object.is_some());
    assert_eq!(model.work(), Work::WhenQuiet);
    let mut slices = 0;
    while model.work() != Work::None {
        slices += 1;
        update(&mut model, Msg::Work);
    }
    assert!(slices > 1, "keys are looked at in between");
    assert!(model.life.len() > 1);
    // Who goes elsewhere meanwhile is told of what is there.
    update(&mut model, Msg::Move(Step::Lines(1)));
    update(&mut model, Msg::Work);
    assert!(model.life.gathering.is_some());
    update(&mut model, Msg::Move(Step::Lines(-1)));
    assert!(model.life.gathering.is_none());
    assert!(model.owes_life());
}

#[test]
fn a_far_event_of_an_object_is_looked_for_in_slices_that_a_key_ends() {
    const LAST: u64 = 100_100;
    // The life of coroutine 9 is told at its beginning and at its end; thousands of others lie between.
    let mut text =
        String::from("process 0 pid=7\nlane main tid=7\n0 main spawn 9 serve src/a.rs:1\n");
    for at in 1..LAST {
        text.push_str(&format!("{at}0 main resume {} 0x10 ring=0\n", 100 + at % 3));
    }
    text.push_str("3000000 main done 9\n");
    let verdict = traces::finding::Verdict::default();
    let mut model = open(fixture::trace(&text), verdict, Options::default());
    let size = Msg::Resize {
        columns: 80,
        rows: 24,
    };
    for msg in [size, Msg::Show(View::Events)] {
        update(&mut model, msg);
    }
    let look = |model: &mut Model| {
        update(model, Msg::Move(Step::First));
        // Its life is not gathered yet: that is for when keys rest.
        assert!(model.owes_life());
        update(model, Msg::SameObject(Toward::Next));
        assert_eq!(model.work(), Work::Now);
        let notice = model.notice.clone().unwrap_or_default();
        assert!(notice.contains("looking for later events"), "{notice}");
        assert_eq!(model.focus.event, Some(EventId(0)));
    };
    // Esc ends it, and does nothing else; another key does what it does.
    look(&mut model);
    update(&mut model, Msg::Up);
    assert!(model.walk.is_none() && model.view == View::Events);
    assert_eq!(model.focus.event, Some(EventId(0)));
    look(&mut model);
    update(&mut model, Msg::Move(Step::Lines(1)));
    assert!(model.walk.is_none());
    assert_eq!(model.focus.event, Some(EventId(1)));
    look(&mut model);
    let mut slices = 0;
    while model.walk.is_some() {
        slices += 1;
        update(&mut model, Msg::Work);
    }
    assert!(slices > 10, "{slices}");
    assert_eq!(model.focus.event, Some(EventId(LAST)));
    assert_eq!(model.notice, None);
    // Back again is one step of history, as a walk is.
    update(&mut model, Msg::History(Toward::Previous));
    assert_eq!(model.focus.event, Some(EventId(0)));
    // Behind the last one there is none, which is said once all was looked at.
    update(&mut model, Msg::Move(Step::Last));
    update(&mut model, Msg::SameObject(Toward::Next));
    while model.walk.is_some() {
        update(&mut model, Msg::Work);
    }
    let notice = model.notice.clone().unwrap_or_default();
    assert!(notice.contains("no later event of"), "{notice}");
    // A later look numbers events anew: nobody goes on looking, and it is said.
    look(&mut model);
    let (trace, verdict) = (fixture::trace(&text), Default::default());
    let arrived = crate::Arrived {
        trace,
        verdict,
        notes: None,
        index: None,
        is_last: false,
    };
    arrive(&mut model, arrived);
    assert!(model.walk.is_none());
    let notice = model.notice.clone().unwrap_or_default();
    assert_eq!(notice, "no longer looking: the recording went on");
}

#[test]
fn a_group_that_is_opened_is_not_called_nothing() {
    let text = "0 main leak 0x10 Conn src/a.rs:1 owner=Box\n";
    let verdict = traces::finding::Verdict::default();
    let mut model = open(fixture::trace(text), verdict, Options::default());
    let size = Msg::Resize {
        columns: 80,
        rows: 24,
    };
    for msg in [size, Msg::Show(View::Objects)] {
        update(&mut model, msg);
    }
    while model.work() != Work::None {
        update(&mut model, Msg::Work);
    }
    update(&mut model, Msg::Open);
    assert_eq!(model.objects.opened, Some(0));
    assert_eq!(model.notice, None);
    update(&mut model, Msg::Open);
    assert_eq!(model.view, View::Biography);
    assert_eq!(model.notice, None);
    // Of what is not there nothing opens.
    update(&mut model, Msg::Show(View::Notes));
    update(&mut model, Msg::Open);
    assert_eq!(model.notice.as_deref(), Some(super::NOTHING_TO_OPEN));
}

fn compared() -> Model {
    let sides = fixture::compared().map(|(trace, verdict, title)| crate::Compared {
        trace,
        verdict,
        title: title.into(),
        notes: Vec::new(),
    });
    let [before, after] = sides;
    crate::open_diff(before, after, Options::default())
}

/// Clicks, drags and turns of the wheel, most of them on the screen.
fn any_mouse() -> impl Strategy<Value = Msg> {
    let actions = [
        MouseAction::Press,
        MouseAction::Press,
        MouseAction::Drag,
        MouseAction::Release,
        MouseAction::Wheel(Toward::Next),
        MouseAction::Wheel(Toward::Previous),
    ];
    let action = proptest::sample::select(actions.to_vec());
    (action, 0u16..150, 0u16..50, any::<bool>()).prop_map(|(action, column, row, ctrl)| {
        Msg::Mouse(Mouse {
            action,
            column,
            row,
            ctrl,
        })
    })
}

fn any_message() -> impl Strategy<Value = Msg> {
    let bound =
        proptest::sample::select(bindings().collect::<Vec<_>>()).prop_map(|binding| binding.msg);
    prop_oneof![
        20 => bound,
        3 => proptest::sample::select(&['s', 'u', 'b', 'm', ' ', '漢'][..]).prop_map(Msg::Type),
        2 => (0u16..220, 0u16..70).prop_map(|(columns, rows)| Msg::Resize { columns, rows }),
        2 => Just(Msg::Work),
        1 => Just(Msg::Nothing),
        1 => Just(Msg::Hesitate),
        1 => proptest::sample::select(&crate::keys::PREFIXES[..]).prop_map(Msg::Prefix),
        6 => any_mouse(),
        1 => (-100i32..100).prop_map(|lines| Msg::Move(Step::Pages(lines))),
    ]
}

fn assert_inside(model: &mut Model, msg: Msg) {
    let all: std::collections::BTreeSet<usize> = model.findings.unfolded.clone();
    assert_eq!(
        model.findings.rows,
        finding_rows(&model.verdict, &all, model.range, &model.hiding),
        "{msg:?}"
    );
    assert!(
        model.findings.selected < model.findings.rows.len(),
        "{msg:?}"
    );
    assert!(model.life.selected < model.life.len().max(1), "{msg:?}");
    assert!(
        model.events_selected() < model.events_len().max(1),
        "{msg:?}"
    );
    if let Some(told) = &model.life.told {
        assert_eq!(Some(told.subject), model.focus.object, "{msg:?}");
    }
    if let Some(event) = model.focus.event {
        let event = model.event(event).expect("the focused event exists");
        assert_eq!(
            (model.focus.at_ns, model.focus.lane),
            (event.at_ns, Some(event.lane))
        );
    }
    let Some(layout) = model.layout() else { return };
    assert!(
        layout.area(model.pane).is_some(),
        "{msg:?}: the pane with the keys is not shown"
    );
    for area in &layout.panes {
        let mut height = usize::from(area.list.height);
        let (top, selected, len) = match area.pane {
            Pane::Timeline => {
                height -= 1;
                let timeline = &model.timeline;
                let pinned = timeline.pinned_rows.min(height / 2);
                height -= pinned;
                assert!(timeline.selected < timeline.rows.len().max(1));
                if height == 0 || timeline.selected < pinned {
                    continue;
                }
                let rest = timeline.rows.len().saturating_sub(pinned);
                (timeline.top, timeline.selected - pinned, rest)
            }
            pane => (
                *model.top_of(pane),
                model.selected_of(pane),
                model.len_of(pane),
            ),
        };
        assert!(
            len == 0 || height == 0 || (top..top + height).contains(&selected),
            "{msg:?} {:?}",
            area.pane
        );
        assert!(
            top == 0 || top + height <= len,
            "{msg:?}: blank rows in {:?}",
            area.pane
        );
    }
}

/// Looks at one recording, one after the other: which events of the whole were there.
const LOOKS: [std::ops::Range<usize>; 5] = [0..9, 0..21, 4..28, 4..32, 15..32];

fn arrived(look: usize) -> crate::Arrived {
    let trace = fixture::look(LOOKS[look].clone());
    let verdict = trace.verdict().clone();
    crate::Arrived {
        trace,
        verdict,
        notes: None,
        index: None,
        is_last: false,
    }
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
    super::focus::focus_event(&mut model, in_look(3, SECOND_LEAK));
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
        let verdict = trace.verdict().clone();
        crate::Arrived {
            trace,
            verdict,
            notes: None,
            index: None,
            is_last: false,
        }
    };
    let mut model = crate::expect(Options::default());
    arrive(&mut model, look(0));
    model.timeline.range_from = Some(3_000);
    model.timeline.dragged_from = Some((3_000, 3_099));
    model.timeline.dragged_to = Some((4_000, 4_099));
    arrive(&mut model, look(GONE_NS));
    assert_eq!(model.timeline.range_from, Some(2_000));
    super::timeline::let_go(&mut model);
    let range = model.range.expect("what was dragged over");
    assert_eq!((range.from_ns, range.to_ns), (2_000, 3_099));
}

#[test]
fn the_life_of_the_last_event_has_its_name_when_it_goes_on() {
    let look = |text: &str| {
        let trace = fixture::trace(text);
        let verdict = trace.verdict().clone();
        crate::Arrived {
            trace,
            verdict,
            notes: None,
            index: None,
            is_last: false,
        }
    };
    let began = "process 0 pid=7\nlane main tid=7\n\
        1 main leak 0x10 Conn src/a.rs:1 owner=Box\n";
    let mut model = crate::expect(Options::default());
    arrive(&mut model, look(began));
    send(&mut model, &[Msg::Show(View::Events)]);
    super::focus::focus_event(&mut model, EventId(0));
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_messages_keep_selections_inside_and_visible(
        messages in proptest::collection::vec(any_message(), 0..60), which in 0usize..4
    ) {
        let mut model = match which {
            0 => model(),
            3 => compared(),
            1 => open(
                fixture::trace(fixture::CLEAN), fixture::clean_verdict(), Options::default()
            ),
            _ => open(
                fixture::trace(""), traces::finding::Verdict::default(), Options::default()
            ),
        };
        for (at, msg) in messages.into_iter().enumerate() {
            let effect = update(&mut model, msg);
            if effect == Effect::Suppress {
                let said = || "said".to_owned();
                let result = if at % 4 == 0 { Err(said()) } else { Ok(said()) };
                super::suppression_kept(&mut model, result);
            }
            assert_inside(&mut model, msg);
        }
    }
}
