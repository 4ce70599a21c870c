//! Going about: findings, objects, levels, history, views, and the place that a command line names.

use traces::event::EventId;
use traces::finding::{RuleId, Subject};

use super::*;
use crate::Goto;
use crate::msg::{Step, Toward};

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
