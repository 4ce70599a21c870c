//! Views and panes, and the ways back: up, and through history.

use super::findings::{list_findings, select_finding};
use super::focus::set_focus;
use crate::hits::Shown;
use crate::layout::{Pane, Room, panes_of, view_of};
use crate::life::NeighbourRow;
use crate::model::{FindingRow, LifeRow, Model, Place};
use crate::msg::{Fold, Msg, Toward, View};

/// Places that are remembered.
const PLACES_MAX: usize = 200;

pub(super) fn place(model: &Model) -> Place {
    Place {
        view: model.view,
        pane: model.pane,
        focus: model.focus,
        finding: model.selected_finding(),
    }
}

pub(super) fn push(places: &mut Vec<Place>, place: Place) {
    if places.last() != Some(&place) {
        if places.len() >= PLACES_MAX {
            places.remove(0);
        }
        places.push(place);
    }
}

pub(super) fn remember(model: &mut Model) {
    let place = place(model);
    push(&mut model.back, place);
    model.forward.clear();
}

pub(super) fn return_to(model: &mut Model, place: Place) {
    model.view = place.view;
    model.pane = place.pane;
    prepare(model);
    if let FindingRow::Consequence(story, _) = place.finding {
        model.findings.unfolded.insert(story);
        list_findings(model);
    }
    if let Some(position) = model
        .findings
        .rows
        .iter()
        .position(|row| *row == place.finding)
    {
        model.findings.selected = position;
        model.findings.text_top = 0;
    }
    set_focus(model, place.focus.event, place.focus.object);
}

pub(super) fn show(model: &mut Model, view: View) {
    model.view = view;
    model.pane = panes_of(view)[0];
    prepare(model);
    if view == View::Findings {
        // The biography beside the findings is that of the selected one.
        let selected = model.findings.selected;
        let text_top = model.findings.text_top;
        select_finding(model, selected);
        model.findings.text_top = text_top;
    }
    if view == View::Biography && model.focus.object.is_none() {
        let subject = model
            .focus
            .event
            .and_then(|event| model.trace.subject_of(event));
        set_focus(model, model.focus.event, subject);
    }
}

/// Begins what a view needs and nothing else does.
fn prepare(model: &mut Model) {
    if matches!(model.view, View::Timeline | View::Rings | View::Objects) {
        super::timeline::begin(model);
    }
}

pub(super) fn other_pane(model: &mut Model, toward: Toward) {
    let panes = model.layout().map_or(0, |layout| layout.panes.len());
    if panes == 2 {
        let panes = panes_of(model.view);
        let at = panes.iter().position(|pane| *pane == model.pane);
        model.pane = panes[(at.unwrap_or(0) + 1) % panes.len()];
        return;
    }
    let views: Vec<View> = model.views().collect();
    let now = views
        .iter()
        .position(|view| *view == view_of(model.pane))
        .unwrap_or(0);
    let step = match toward {
        Toward::Next => 1,
        Toward::Previous => views.len() - 1,
    };
    remember(model);
    model.crumbs.clear();
    show(model, views[(now + step) % views.len()]);
}

/// Gives the pane with the keys all of the screen, or shares it again.
pub(super) fn alone(model: &mut Model) {
    match model.room {
        Room::Alone => model.room = Room::Shared,
        _ if panes(model) < 2 => has_all(model),
        _ => model.room = Room::Alone,
    }
}

/// Gives the pane with the keys a step more of the screen.
pub(super) fn larger(model: &mut Model) {
    match model.room {
        Room::Alone => has_all(model),
        _ if panes(model) < 2 => has_all(model),
        Room::Shared => model.room = Room::Most,
        Room::Most => model.room = Room::Alone,
    }
}

/// Gives it a step less.
pub(super) fn smaller(model: &mut Model) {
    match model.room {
        Room::Shared => model.notice = Some("the panes share the screen already".into()),
        Room::Most => model.room = Room::Shared,
        Room::Alone => model.room = Room::Most,
    }
}

fn panes(model: &Model) -> usize {
    model.layout().map_or(0, |layout| layout.panes.len())
}

fn has_all(model: &mut Model) {
    model.notice = Some("this pane has all of the screen already".into());
}

/// Opens what is selected; false where there is nothing.
pub(super) fn open(model: &mut Model) -> bool {
    let from = place(model);
    match model.pane {
        Pane::Timeline => return super::timeline::open(model),
        Pane::Diff => return super::diff::open(model),
        Pane::Source => {
            show(model, View::Events);
            show_all_events(model);
        }
        Pane::Notes => {
            if !super::notes::open(model) {
                return false;
            }
        }
        pane @ (Pane::Rings | Pane::Objects | Pane::Losses) => {
            // A group's objects are shown where the groups were.
            if pane == Pane::Objects && super::lists::open_group(model) {
                return true;
            }
            if !super::lists::open(model, pane) {
                return false;
            }
        }
        Pane::Neighbours => {
            if !open_neighbour(model) {
                return false;
            }
        }
        Pane::Findings => {
            let row = model.selected_finding();
            if row == FindingRow::Hidden {
                super::suppressing::turn(model);
                return true;
            }
            if row == FindingRow::Summary {
                show(model, View::Events);
            } else {
                select_finding(model, model.findings.selected);
                show(model, View::Biography);
            }
        }
        Pane::Biography => match model.life.row(model.life.selected) {
            Some(LifeRow::Previous(subject) | LifeRow::Next(subject)) => {
                let event = model.trace.first_event_of(subject);
                set_focus(model, event.or(model.focus.event), Some(subject));
                show(model, View::Biography);
            }
            Some(LifeRow::Folded(_)) => {
                super::focus::set_fold(model, Fold::Open);
                return true;
            }
            Some(LifeRow::Event(_)) => {
                show(model, View::Events);
                show_all_events(model);
            }
            None => return false,
        },
        Pane::Events => {
            let event = model.event_at(model.events_selected());
            let subject = match event {
                Some(event) if model.life.has(event) => model.focus.object,
                Some(event) => model.trace.subject_of(event),
                None => None,
            };
            let Some(subject) = subject else {
                model.notice = Some("this event belongs to no object".into());
                return false;
            };
            set_focus(model, event, Some(subject));
            show(model, View::Biography);
        }
    }
    push(&mut model.crumbs, from);
    push(&mut model.back, from);
    model.forward.clear();
    true
}

/// Opens the life whose row is selected among those around; false where there is none.
fn open_neighbour(model: &mut Model) -> bool {
    let position = model.neighbours.selected;
    let Some(around) = &model.life.around else {
        return false;
    };
    let Some(row) = around.row(position) else {
        return false;
    };
    let (NeighbourRow::Head(side) | NeighbourRow::Event(side, _)) = row;
    let Some(told) = around.side(side) else {
        return false;
    };
    let index = match row {
        NeighbourRow::Head(_) => 0,
        NeighbourRow::Event(_, index) => index,
    };
    let (event, subject) = (told.rows.get(index).map(|row| row.event), told.subject);
    set_focus(model, event.or(model.focus.event), Some(subject));
    show(model, View::Biography);
    true
}

pub(super) fn show_all_events(model: &mut Model) {
    if let Some(filter) = &mut model.events.filter {
        filter.shown = Shown::All;
    }
}

pub(super) fn up(model: &mut Model, msg: Msg) {
    let [next, previous] = [Toward::Next, Toward::Previous].map(|to| model.key(Msg::Hit(to)));
    if msg == Msg::Up
        && model.pane == Pane::Events
        && let Some(filter) = &mut model.events.filter
        && filter.shown == Shown::Hits
    {
        filter.shown = Shown::All;
        model.notice = Some(format!(
            "all events again; {next} and {previous} go to those with {}",
            filter.text()
        ));
        return;
    }
    if model.pane == Pane::Objects && super::lists::close_group(model) {
        return;
    }
    if let Some(place) = model.crumbs.pop() {
        remember(model);
        return_to(model, place);
    } else if model.view != View::Findings {
        remember(model);
        show(model, View::Findings);
    } else if model.pane != Pane::Findings {
        model.pane = Pane::Findings;
    } else {
        model.notice = Some(format!("this is the top; {} quits", model.key(Msg::Leave)));
    }
}

pub(super) fn history(model: &mut Model, toward: Toward) {
    let here = place(model);
    let (from, to) = match toward {
        Toward::Previous => (&mut model.back, &mut model.forward),
        Toward::Next => (&mut model.forward, &mut model.back),
    };
    match from.pop() {
        Some(place) => {
            push(to, here);
            model.crumbs.clear();
            return_to(model, place);
        }
        None => {
            let word = match toward {
                Toward::Previous => "nowhere to go back to",
                Toward::Next => "nowhere to go forward to",
            };
            model.notice = Some(word.into());
        }
    }
}

/// Shows the newest event. Who looks at the last one is shown what comes after it.
pub(super) fn tail(model: &mut Model) {
    if model.view != View::Events {
        remember(model);
        show(model, View::Events);
    }
    model.pane = Pane::Events;
    model.live.is_paused = false;
    if let Some(last) = model.events_len().checked_sub(1)
        && let Some(event) = model.event_at(last)
    {
        super::focus::focus_event(model, event);
    }
    model.notice = Some(match model.live.is_running() {
        true => "following what comes; any other row stops that".into(),
        false => "the last event: nothing new comes".into(),
    });
}
