//! Filters: typed, kept, widened, dropped.

use traces::event::EventId;

use super::*;
use crate::keys::Listener;
use crate::msg::{Step, Toward};

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
