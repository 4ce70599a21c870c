//! Lives that are long: gathered and walked along in slices, which keys interrupt.

use traces::event::EventId;

use super::*;
use crate::msg::{Step, Toward};

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
    assert_eq!(model.notice.as_deref(), Some(NOTHING_TO_OPEN));
}
