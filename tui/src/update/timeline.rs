//! Moving about in time: the cursor, the window, lanes, marks and the selected stretch.

use traces::event::EventId;

use super::findings::list_findings;
use super::focus::{focus_event, set_focus};
use super::places::{place, push, show};
use super::selection::list_height;
use crate::keys::Listener;
use crate::layout::{Pane, timeline_columns};
use crate::model::{Model, Range};
use crate::msg::{Msg, Toward, View, Zoom};
use crate::timeline::index::Lane;
use crate::timeline::state::Causes;
use crate::timeline::{Index, Row, Who, Window, name_of};

/// Begins to gather the lanes, the first time they are asked for.
pub(super) fn begin(model: &mut Model) {
    if model.timeline.index.is_none() {
        model.timeline.index = Some(Index::default());
    }
}

/// A slice of gathering.
pub(super) fn gather(model: &mut Model) {
    let Some(index) = &mut model.timeline.index else {
        return;
    };
    let is_done = !index.work(&model.trace);
    model.trace.trim();
    if is_done {
        model.timeline.list_rows();
        // What is closely looked at now may have the lane of what is in focus.
        model.timeline.followed = None;
        follow(model);
        super::lists::forget_rings(model);
    }
}

/// First causes that are looked up in one slice: each may lie in a page of its own.
const CAUSES_AT_ONCE: usize = 64;

/// Begins to find out when the first causes of findings were: a frame has no time to look up each.
fn find_causes(model: &mut Model) {
    if model.timeline.causes.is_some() || model.timeline.seeking.is_some() {
        return;
    }
    let stories = model.verdict.stories.iter();
    let findings = stories.flat_map(|story| std::iter::once(&story.head).chain(&story.folded));
    let mut ids: Vec<EventId> = findings.map(|finding| finding.first_cause).collect();
    ids.sort_unstable();
    ids.dedup();
    model.timeline.seeking = Some(Causes {
        ids,
        found: Vec::new(),
        next: 0,
    });
    // What is few is there at once.
    seek_causes(model);
}

/// A slice of that.
pub(super) fn seek_causes(model: &mut Model) {
    let Some(mut causes) = model.timeline.seeking.take() else {
        return;
    };
    let ids = causes.ids.get(causes.next..).unwrap_or_default();
    for id in ids.iter().take(CAUSES_AT_ONCE) {
        let found = model.event(*id).map(|event| (event.at_ns, *id));
        causes.found.extend(found);
    }
    model.trace.trim();
    causes.next += CAUSES_AT_ONCE;
    if causes.next < causes.ids.len() {
        model.timeline.seeking = Some(causes);
        return;
    }
    causes.found.sort_unstable();
    model.timeline.causes = Some(causes.found);
}

/// Looks closely at what is shown, where that is not all and not done yet.
fn look_closely(model: &mut Model) {
    let index = model.timeline.index.as_ref();
    let (Some(_), Some(window)) = (index.and_then(Index::close), model.timeline.window) else {
        return;
    };
    let around = model.nearest_event();
    if let Some(index) = &mut model.timeline.index
        && index.look_closely(&model.trace, window, around)
    {
        model.timeline.list_rows();
    }
}

/// Columns that time is drawn in.
fn columns(model: &Model) -> u16 {
    let width = model
        .area(Pane::Timeline)
        .map_or(80, |area| area.list.width);
    timeline_columns(width).1.max(1)
}

fn whole(model: &Model) -> u64 {
    model.timeline.index.as_ref().map_or(0, Index::last_ns)
}

fn window(model: &Model) -> Window {
    model
        .timeline
        .window
        .unwrap_or_else(|| Window::around(0, whole(model)))
}

/// The stretch that the focused object lived in, as far as its life is known.
fn life_window(model: &Model) -> Option<Window> {
    let rows = &model.life.told.as_ref()?.rows;
    let (first, last) = (rows.first()?, rows.last()?);
    Some(Window::around(first.at_ns, last.at_ns))
}

/// Brings what is in focus into the window and selects its lane, when the focus has moved.
pub(super) fn follow(model: &mut Model) {
    if !model.timeline.is_ready(model.trace.events().len()) {
        return;
    }
    let now = (model.focus.event, model.focus.at_ns);
    if model.timeline.window.is_none() {
        model.timeline.window = life_window(model).or(Some(Window::around(0, whole(model))));
    } else if model.timeline.followed == Some(now) {
        return;
    }
    model.timeline.followed = Some(now);
    model.timeline.window = Some(window(model).showing(model.focus.at_ns));
    if let Some(event) = model.focus.event {
        select_lane_of(model, event);
    }
}

/// Selects the row that an event stands in: the one selected, if it does, else its operation's, its
/// coroutine's or its thread's.
fn select_lane_of(model: &mut Model, event: EventId) {
    let timeline = &model.timeline;
    let Some(index) = &timeline.index else { return };
    let lane = |row: &Row| index.lanes.get(row.lane);
    if let Some(row) = timeline.rows.get(timeline.selected)
        && lane(row).is_some_and(|lane| lane.find(event).is_some())
    {
        return;
    }
    let rank = |row: &Row| match lane(row).map(|lane| lane.who) {
        Some(Who::Coroutine { .. }) => 0,
        Some(Who::Thread { .. }) => 1,
        _ => 2,
    };
    let holds = |row: &&Row| {
        row.track.is_none() && lane(row).is_some_and(|lane| lane.find(event).is_some())
    };
    let Some(best) = timeline
        .rows
        .iter()
        .filter(holds)
        .min_by_key(|row| rank(row))
    else {
        return;
    };
    if let Some(position) = timeline.rows.iter().position(|row| row == best) {
        model.timeline.selected = position;
    }
}

/// Puts a time into focus, with the first event that the selected lane has in that column.
fn go_to_time(model: &mut Model, at_ns: u64, until_ns: u64) {
    let lane = selected_lane(model);
    let points = lane.map_or(&[][..], |lane| lane.between(at_ns, until_ns));
    // The clock may say otherwise than the lane: then the cursor would not get away from there.
    let is_here = |event: &EventId| {
        let event = model.event(*event);
        event.is_some_and(|event| (at_ns..until_ns).contains(&event.at_ns))
    };
    let event = points.iter().map(|point| point.event).find(is_here);
    match event {
        Some(event) => focus_event(model, event),
        None => {
            let object = model.focus.object;
            set_focus(model, None, object);
            model.focus.at_ns = at_ns;
        }
    }
    model.timeline.followed = Some((model.focus.event, model.focus.at_ns));
}

fn selected_lane(model: &Model) -> Option<&Lane> {
    let row = model.timeline.rows.get(model.timeline.selected)?;
    model.timeline.index.as_ref()?.lanes.get(row.lane)
}

/// Moves the cursor by columns; at the edge the window moves along.
pub(super) fn move_cursor(model: &mut Model, by: i32) {
    let columns = columns(model);
    let mut window = window(model).showing(model.focus.at_ns);
    let column = window.column(model.focus.at_ns, columns).unwrap_or(0);
    let wanted = i32::from(column).saturating_add(by);
    let last = i32::from(columns) - 1;
    let beyond = if wanted < 0 {
        wanted
    } else if wanted > last {
        wanted - last
    } else {
        0
    };
    if beyond != 0 {
        window = window.panned(beyond, columns, whole(model));
    }
    let column = u16::try_from(wanted.clamp(0, last)).unwrap_or(0);
    model.timeline.window = Some(window);
    let end = whole(model);
    let at_ns = window.time(column, columns).min(end);
    let until_ns = window.time(column + 1, columns);
    go_to_time(model, at_ns, until_ns);
}

/// Goes to the lane's next or previous event.
pub(super) fn on_lane(model: &mut Model, toward: Toward) {
    let Some(lane) = selected_lane(model) else {
        return;
    };
    let at_ns = model.focus.at_ns;
    let here = model.focus.event.and_then(|event| lane.find(event));
    let points = &lane.points;
    let target = match (toward, here) {
        (Toward::Next, Some(here)) => points.get(points.partition_point(|p| p.event <= here.event)),
        (Toward::Next, None) => points.get(points.partition_point(|p| p.at_ns <= at_ns)),
        (Toward::Previous, Some(here)) => points
            .partition_point(|p| p.event < here.event)
            .checked_sub(1)
            .and_then(|at| points.get(at)),
        (Toward::Previous, None) => points
            .partition_point(|p| p.at_ns < at_ns)
            .checked_sub(1)
            .and_then(|at| points.get(at)),
    };
    match target.map(|point| point.event) {
        Some(event) => focus_event(model, event),
        None if is_at_edge(model, toward) => {
            // As far as is looked at closely: from there on it is looked at anew.
            let index = model.timeline.index.as_ref();
            let close = index.and_then(Index::close).unwrap_or_default();
            let event = match toward {
                Toward::Next => close.end,
                Toward::Previous => close.start.saturating_sub(1),
            };
            focus_event(model, EventId(event as u64));
            model.notice = Some("looking on from here: the same key again".into());
        }
        None => {
            let word = match toward {
                Toward::Next => "no later event in this lane",
                Toward::Previous => "no earlier event in this lane",
            };
            model.notice = Some(word.into());
        }
    }
}

/// Whether there is more that way than what is looked at closely.
fn is_at_edge(model: &Model, toward: Toward) -> bool {
    let index = model.timeline.index.as_ref();
    index
        .and_then(Index::close)
        .is_some_and(|close| match toward {
            Toward::Next => close.end < model.trace.events().len(),
            Toward::Previous => close.start > 0,
        })
}

/// Shows less or more of the time.
pub(super) fn zoom(model: &mut Model, zoom: Zoom) {
    let (columns, whole, now) = (columns(model), whole(model), window(model));
    let cursor = model.focus.at_ns;
    let wanted = match zoom {
        Zoom::In | Zoom::Out => {
            now.showing(cursor)
                .zoomed(zoom == Zoom::In, cursor, columns, whole)
        }
        Zoom::All => Window::around(0, whole),
        Zoom::Fit => match life_window(model) {
            Some(life) if life != now => life,
            _ => Window::around(0, whole),
        },
        Zoom::Back => match model.timeline.zooms.pop() {
            Some(before) => {
                model.timeline.window = Some(before);
                return;
            }
            None => {
                model.notice = Some("no earlier zoom to go back to".into());
                return;
            }
        },
    };
    if wanted == now {
        model.notice = Some(
            match zoom {
                Zoom::In => "a column is a nanosecond already",
                _ => "all of the recording is shown already",
            }
            .into(),
        );
    }
    model.timeline.look_at(wanted);
}

/// Moves the window by half of its width; the cursor stays in its column.
pub(super) fn pan(model: &mut Model, toward: Toward) {
    let (columns, whole, now) = (columns(model), whole(model), window(model));
    let half = i32::from(columns / 2).max(1);
    let by = match toward {
        Toward::Next => half,
        Toward::Previous => -half,
    };
    let column = now.column(model.focus.at_ns, columns).unwrap_or(0);
    let moved = now.panned(by, columns, whole);
    if moved == now {
        model.notice = Some(match toward {
            Toward::Next => "this is the end of the recording".into(),
            Toward::Previous => "this is its beginning".into(),
        });
    }
    model.timeline.window = Some(moved);
    let at_ns = moved.time(column, columns).min(whole);
    go_to_time(model, at_ns, moved.time(column + 1, columns));
}

/// Keeps the selected lane on top, or lets it go.
pub(super) fn pin(model: &mut Model) {
    let Some(who) = model.timeline.selected_who() else {
        return;
    };
    let pinned = &mut model.timeline.pinned;
    match pinned.iter().position(|other| *other == who) {
        Some(at) => {
            pinned.remove(at);
        }
        None => pinned.push(who),
    }
    model.timeline.list_rows();
}

/// Shows a ring's operations each in a row, or as one depth.
pub(super) fn turn(model: &mut Model) {
    match model.timeline.selected_who() {
        Some(who @ Who::Ring { .. }) => {
            if !model.timeline.turned.remove(&who) {
                model.timeline.turned.insert(who);
            }
            model.timeline.list_rows();
        }
        _ => model.notice = Some("only rings have operations to fold or unfold".into()),
    }
}

/// Marks the cursor's time, or takes the mark away that is there.
pub(super) fn mark(model: &mut Model) {
    let at_ns = model.focus.at_ns;
    model.timeline.mark(at_ns);
}

/// The stretch of time that a column stands for, as far as there is a window.
fn stretch(model: &Model, column: u16) -> Option<(u64, u64)> {
    let columns = columns(model);
    let (window, end) = (model.timeline.window?, whole(model));
    let from_ns = window.time(column, columns).min(end);
    let until_ns = window.time(column + 1, columns);
    Some((from_ns, until_ns.max(from_ns + 1)))
}

/// The mouse was pressed in a column: what is there comes into focus, and dragging begins.
pub(super) fn take_hold(model: &mut Model, column: u16) {
    if let Some((from_ns, until_ns)) = stretch(model, column) {
        model.timeline.dragged_from = Some((from_ns, until_ns - 1));
        go_to_time(model, from_ns, until_ns);
    }
}

/// The mouse is in another column with its button down: from there to here is the stretch.
pub(super) fn drag(model: &mut Model, column: u16) {
    let (Some(from), Some(to)) = (model.timeline.dragged_from, stretch(model, column)) else {
        return;
    };
    if from.0 == to.0 && model.timeline.range_from.is_none() {
        return;
    }
    if model.range.take().is_some() {
        range_changed(model);
    }
    model.timeline.range_from = Some(from.0);
    go_to_time(model, to.0, to.1);
    model.timeline.dragged_to = Some((to.0, to.1 - 1));
}

/// The mouse's button is up: what was dragged over is selected.
pub(super) fn let_go(model: &mut Model) {
    let timeline = &mut model.timeline;
    let (from, to) = (timeline.dragged_from.take(), timeline.dragged_to.take());
    let (Some(from), Some(to)) = (from, to) else {
        return;
    };
    timeline.range_from = None;
    select_range(model, from.0.min(to.0), from.1.max(to.1));
}

/// Shows less or more of the time, about a column.
pub(super) fn zoom_about(model: &mut Model, closer: bool, column: u16) {
    let Some((at_ns, _)) = stretch(model, column) else {
        return;
    };
    let (columns, whole, now) = (columns(model), whole(model), window(model));
    let wanted = now.zoomed(closer, at_ns, columns, whole);
    // What is looked at stays on the screen, and the cursor with it.
    if !wanted.has(model.focus.at_ns) {
        go_to_time(model, at_ns, at_ns + 1);
    }
    model.timeline.look_at(wanted);
}

fn select_range(model: &mut Model, from_ns: u64, to_ns: u64) {
    model.range = Some(Range::of(&model.trace, from_ns, to_ns));
    model.notice = Some(format!(
        "every screen shows this stretch only; {} shows all again",
        model.key_for(Msg::Range, Listener::Pane(Pane::Timeline))
    ));
    range_changed(model);
}

/// Lists anew what a selected time leaves out.
fn range_changed(model: &mut Model) {
    list_findings(model);
    super::focus::list_life(model);
    super::lists::forget(model);
}

/// The beginning of a selected stretch, then its end, then none.
pub(super) fn range(model: &mut Model) {
    let at_ns = model.focus.at_ns;
    if model.range.take().is_some() {
        model.timeline.range_from = None;
        model.notice = Some("all of the time again".into());
    } else if let Some(from) = model.timeline.range_from.take() {
        return select_range(model, from.min(at_ns), from.max(at_ns));
    } else {
        model.timeline.range_from = Some(at_ns);
        model.notice = Some(format!(
            "the stretch begins here; {} again where it ends",
            model.key(Msg::Range)
        ));
    }
    range_changed(model);
}

/// Opens what the focused event is about; false where there is none.
pub(super) fn open(model: &mut Model) -> bool {
    let from = place(model);
    let subject = model
        .focus
        .event
        .and_then(|event| model.trace.subject_of(event));
    let Some(subject) = subject else {
        let [next, previous] =
            [Toward::Next, Toward::Previous].map(|to| model.key(Msg::OnLane(to)));
        model.notice = Some(format!(
            "there is no event under the cursor: {next} and {previous} go to one"
        ));
        return false;
    };
    let keep = model.focus.event.is_some_and(|event| model.life.has(event));
    let subject = model.focus.object.filter(|_| keep).unwrap_or(subject);
    set_focus(model, model.focus.event, Some(subject));
    show(model, View::Biography);
    push(&mut model.crumbs, from);
    push(&mut model.back, from);
    model.forward.clear();
    true
}

/// Keeps row and window inside what there is.
pub(super) fn settle(model: &mut Model) {
    follow(model);
    if model.area(Pane::Timeline).is_some() {
        look_closely(model);
        find_causes(model);
    }
    let height = list_height(model, Pane::Timeline).saturating_sub(1);
    let timeline = &mut model.timeline;
    let last = timeline.rows.len().saturating_sub(1);
    timeline.selected = timeline.selected.min(last);
    let pinned = timeline.pinned_rows.min(height / 2);
    let rest = timeline.rows.len().saturating_sub(pinned);
    let chosen = timeline.selected.saturating_sub(pinned);
    let room = height.saturating_sub(pinned);
    if timeline.selected >= pinned {
        timeline.top = super::selection::scrolled(timeline.top, chosen, rest, room);
    } else {
        timeline.top = timeline.top.min(rest.saturating_sub(room));
    }
}

/// Selects the next lane that has a text in its name.
pub(super) fn find_lane(model: &mut Model, text: &str) {
    if model.view != View::Timeline {
        super::places::remember(model);
        show(model, View::Timeline);
    }
    begin(model);
    model.pane = Pane::Timeline;
    let wanted = text.trim().to_lowercase();
    let rows = model.timeline.rows.len();
    let from = model.timeline.selected + 1;
    // From the one below the selected one on, and round again.
    let mut positions = (0..rows).map(|at| (from + at) % rows.max(1));
    let found = positions.find(|at| {
        let row = model.timeline.rows.get(*at);
        row.is_some_and(|row| {
            let index = model.timeline.index.as_ref();
            let lane = index.and_then(|index| index.lanes.get(row.lane));
            let name = lane.map_or(String::new(), |lane| name_of(&model.trace, lane.who));
            row.track.is_none() && name.to_lowercase().contains(&wanted)
        })
    });
    match found {
        Some(at) => model.timeline.selected = at,
        None if model.is_gathering_lanes() => {
            // Asked again when they are.
            model.script.push_front(format!("lane {text}"));
            model.notice = Some("lanes are still gathered".into());
        }
        None => {
            model.notice = Some(format!(
                "no lane has {} in its name",
                traces::tty(wanted.as_bytes())
            ));
        }
    }
}
