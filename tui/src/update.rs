//! Messages into changes: the only place that changes the model. It asks for effects and has none.

use std::collections::BTreeSet;

use traces::event::EventId;
use traces::finding::Subject;

use crate::about;
use crate::filter::{Filter, Shown};
use crate::layout::{Pane, panes_of, view_of};
use crate::model::{FindingRow, Focus, LifeRow, Model, Place, Prompt, finding_rows};
use crate::msg::{Effect, Fold, Msg, Step, Toward, View};
use crate::{Goto, help};

/// Up to so many events a life is gathered at once; above, when no key waits.
const AT_ONCE: usize = 100_000;

/// Places that are remembered.
const PLACES_MAX: usize = 200;

/// Characters that a filter may have.
const FILTER_MAX: usize = 200;

/// Applies a message.
pub fn update(model: &mut Model, msg: Msg) -> Effect {
    if !matches!(msg, Msg::Work | Msg::Resize { .. }) {
        model.notice = None;
        model.prefix = None;
    }
    let was_walking = std::mem::replace(&mut model.is_walking, false);
    let effect = match msg {
        Msg::Quit => Effect::Quit,
        Msg::Suspend => Effect::Suspend,
        Msg::Repaint => Effect::Repaint,
        Msg::Nothing => Effect::Draw,
        Msg::Prefix(prefix) => {
            model.prefix = Some(prefix);
            Effect::Nothing
        }
        Msg::Resize { columns, rows } => {
            model.size = (columns, rows);
            Effect::Draw
        }
        Msg::Work => {
            model.is_walking = was_walking;
            work(model);
            Effect::Draw
        }
        Msg::Help => {
            model.help = Some(0);
            Effect::Draw
        }
        Msg::Move(step) if model.help.is_some() => {
            scroll_help(model, step);
            Effect::Draw
        }
        Msg::Up if model.help.is_some() => {
            model.help = None;
            Effect::Draw
        }
        Msg::Leave if model.view == View::Findings && model.crumbs.is_empty() => Effect::Quit,
        Msg::Type(_) | Msg::Erase | Msg::EraseAll | Msg::Accept | Msg::Cancel => {
            prompt(model, msg);
            Effect::Draw
        }
        msg => {
            go(model, msg, was_walking);
            Effect::Draw
        }
    };
    settle(model);
    effect
}

/// The model's first state: what the first finding is about.
pub(crate) fn start(model: &mut Model) {
    select_finding(model, 0);
    settle(model);
}

/// Goes where a command line asked to start.
pub(crate) fn go_to(model: &mut Model, target: Goto) {
    let found = match target {
        Goto::Finding(number) => number
            .checked_sub(1)
            .filter(|story| *story < model.verdict.stories.len())
            .map(FindingRow::Story),
        Goto::Rule(rule) => all_findings(model).find(|row| {
            model
                .finding(*row)
                .is_some_and(|finding| finding.rule == rule)
        }),
        Goto::Event(event) => {
            if model.event(event).is_some() {
                show(model, View::Events);
                focus_event(model, event);
                settle(model);
                return;
            }
            None
        }
    };
    match found {
        Some(row) => {
            reveal(model, row);
            show(model, View::Biography);
        }
        None => model.notice = Some(format!("there is no {target} in this trace")),
    }
    settle(model);
}

/// Every finding, consequences after their causes.
fn all_findings(model: &Model) -> impl Iterator<Item = FindingRow> {
    let all: BTreeSet<usize> = (0..model.verdict.stories.len()).collect();
    finding_rows(&model.verdict, &all).into_iter()
}

/// Everything that moves about, and may be gone back from.
fn go(model: &mut Model, msg: Msg, was_walking: bool) {
    match msg {
        Msg::Move(step) => move_selection(model, step),
        Msg::Text(lines) => scroll_text(model, lines),
        Msg::Open => open(model),
        Msg::Up | Msg::Leave => up(model, msg),
        Msg::Pane(toward) => other_pane(model, toward),
        Msg::Show(view) => {
            if view != model.view {
                remember(model);
            }
            model.crumbs.clear();
            show(model, view);
        }
        Msg::Finding(toward) => next_finding(model, toward),
        Msg::SameObject(toward) => same_object(model, toward, was_walking),
        Msg::FirstCause => first_cause(model),
        Msg::Hit(toward) => next_hit(model, toward, was_walking),
        Msg::History(toward) => history(model, toward),
        Msg::Fold(fold) => set_fold(model, fold),
        Msg::Prompt => {
            let from = place(model);
            if model.view != View::Events {
                remember(model);
                show(model, View::Events);
            }
            model.pane = Pane::Events;
            model.prompt = Some(Prompt {
                text: String::new(),
                from,
            });
        }
        _ => {}
    }
}

// Selection and focus.

fn set_focus(model: &mut Model, event: Option<EventId>, object: Option<Subject>) {
    let known = event
        .and_then(|id| model.event(id))
        .map(|e| (e.id, e.at_ns, e.lane));
    let old = model.focus;
    model.focus = Focus {
        event: known.map(|known| known.0),
        at_ns: known.map_or(old.at_ns, |known| known.1),
        lane: known.map(|known| known.2),
        object,
    };
    if old.event != model.focus.event {
        model.events.text_top = 0;
        model.life.text_top = 0;
    }
    if old.object != object {
        model.life = crate::model::Life::default();
    }
    if model.owes_life() && model.trace.events().len() <= AT_ONCE {
        gather_life(model);
    } else {
        select_in_life(model);
    }
}

/// Puts an event into focus; the object stays while the event belongs to its life.
fn focus_event(model: &mut Model, event: EventId) {
    let keep = model.life.has(event);
    let object = match model.trace.subject_of(event) {
        _ if keep => model.focus.object,
        Some(subject) => Some(subject),
        None => model.focus.object,
    };
    set_focus(model, Some(event), object);
}

fn gather_life(model: &mut Model) {
    if let Some(object) = model.focus.object {
        model.life.told = Some(model.trace.biography(object));
        select_in_life(model);
    }
}

fn select_in_life(model: &mut Model) {
    if let Some(event) = model.focus.event {
        let position = model.life.position_of(event);
        if position != model.life.selected {
            model.life.selected = position;
            model.life.text_top = 0;
        }
    }
}

/// Selects a row of the findings and puts what it is about into focus.
fn select_finding(model: &mut Model, position: usize) {
    let position = position.min(model.findings.rows.len().saturating_sub(1));
    if position != model.findings.selected {
        model.findings.text_top = 0;
    }
    model.findings.selected = position;
    let row = model.selected_finding();
    let about = match (model.finding(row), model.question(row)) {
        (Some(finding), _) => Some((finding.first_cause, finding.subject)),
        (_, Some(question)) => Some((question.at, question.subject)),
        (None, None) => None,
    };
    match about {
        Some((event, subject)) => set_focus(model, Some(event), Some(subject)),
        None => {
            let event = model
                .focus
                .event
                .or(model.trace.events().first().map(|event| event.id));
            set_focus(model, event, None);
        }
    }
}

/// Selects a finding, unfolding its story where that is needed.
fn reveal(model: &mut Model, row: FindingRow) {
    if let FindingRow::Consequence(story, _) = row
        && model.findings.unfolded.insert(story)
    {
        model.findings.rows = finding_rows(&model.verdict, &model.findings.unfolded);
    }
    if let Some(position) = model.findings.rows.iter().position(|other| *other == row) {
        select_finding(model, position);
    }
}

fn moved(position: usize, len: usize, height: usize, step: Step) -> usize {
    let last = len.saturating_sub(1);
    let by = |count: i32, rows: usize| {
        let distance = rows.max(1).saturating_mul(count.unsigned_abs() as usize);
        if count < 0 {
            position.saturating_sub(distance)
        } else {
            position.saturating_add(distance)
        }
    };
    match step {
        Step::Lines(count) => by(count, 1),
        Step::Halves(count) => by(count, height / 2),
        Step::Pages(count) => by(count, height.saturating_sub(1)),
        Step::First => 0,
        Step::Last => last,
    }
    .min(last)
}

fn list_height(model: &Model, pane: Pane) -> usize {
    model
        .area(pane)
        .map_or(0, |area| usize::from(area.list.height))
}

fn move_selection(model: &mut Model, step: Step) {
    let height = list_height(model, model.pane);
    match model.pane {
        Pane::Findings => {
            let to = moved(
                model.findings.selected,
                model.findings.rows.len(),
                height,
                step,
            );
            select_finding(model, to);
        }
        Pane::Biography => {
            let to = moved(model.life.selected, model.life.len(), height, step);
            select_life_row(model, to);
        }
        Pane::Events => {
            let to = moved(model.events_selected(), model.events_len(), height, step);
            if let Some(filter) = &mut model.events.filter {
                filter.wanted = None;
            }
            if let Some(event) = model.event_at(to) {
                focus_event(model, event);
            }
        }
    }
}

fn select_life_row(model: &mut Model, position: usize) {
    if position != model.life.selected {
        model.life.text_top = 0;
    }
    let event = match model.life.row(position) {
        Some(LifeRow::Event(index)) => model
            .life
            .told
            .as_ref()
            .and_then(|told| told.rows.get(index))
            .map(|row| row.event),
        _ => None,
    };
    if let Some(event) = event {
        set_focus(model, Some(event), model.focus.object);
    }
    model.life.selected = position;
}

fn scroll_text(model: &mut Model, lines: i32) {
    let Some(area) = model.area(model.pane) else {
        return;
    };
    let height = usize::from(area.text.height);
    let most = about::lines(model, model.pane, area.text.width.into())
        .len()
        .saturating_sub(height);
    let top = match model.pane {
        Pane::Findings => &mut model.findings.text_top,
        Pane::Biography => &mut model.life.text_top,
        Pane::Events => &mut model.events.text_top,
    };
    *top = top.saturating_add_signed(lines as isize).min(most);
}

fn scroll_help(model: &mut Model, step: Step) {
    let height = help::area(model.size).map_or(0, |area| usize::from(area.height));
    let lines = help::lines(model).len();
    if let Some(top) = &mut model.help {
        // Scrolling moves the window, so its last position shows the last line at the bottom.
        let positions = lines.saturating_sub(height) + 1;
        *top = moved(*top, positions, height, step);
    }
}

// Views, places, history.

fn place(model: &Model) -> Place {
    Place {
        view: model.view,
        pane: model.pane,
        focus: model.focus,
        finding: model.selected_finding(),
    }
}

fn push(places: &mut Vec<Place>, place: Place) {
    if places.last() != Some(&place) {
        if places.len() >= PLACES_MAX {
            places.remove(0);
        }
        places.push(place);
    }
}

fn remember(model: &mut Model) {
    let place = place(model);
    push(&mut model.back, place);
    model.forward.clear();
}

fn return_to(model: &mut Model, place: Place) {
    model.view = place.view;
    model.pane = place.pane;
    if let FindingRow::Consequence(story, _) = place.finding {
        model.findings.unfolded.insert(story);
        model.findings.rows = finding_rows(&model.verdict, &model.findings.unfolded);
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

fn show(model: &mut Model, view: View) {
    model.view = view;
    model.pane = panes_of(view)[0];
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

fn other_pane(model: &mut Model, toward: Toward) {
    let panes = model.layout().map_or(0, |layout| layout.panes.len());
    if panes == 2 {
        let [main, other] = panes_of(model.view);
        model.pane = if model.pane == main { other } else { main };
        return;
    }
    let now = View::ALL
        .iter()
        .position(|view| *view == view_of(model.pane))
        .unwrap_or(0);
    let step = match toward {
        Toward::Next => 1,
        Toward::Previous => View::ALL.len() - 1,
    };
    remember(model);
    model.crumbs.clear();
    show(model, View::ALL[(now + step) % View::ALL.len()]);
}

fn open(model: &mut Model) {
    let from = place(model);
    match model.pane {
        Pane::Findings => {
            let row = model.selected_finding();
            if row == FindingRow::Summary {
                show(model, View::Events);
            } else {
                select_finding(model, model.findings.selected);
                show(model, View::Biography);
            }
        }
        Pane::Biography => match model.life.row(model.life.selected) {
            Some(LifeRow::Previous(subject) | LifeRow::Next(subject)) => {
                let event = model.trace.events_of(subject).first().copied();
                set_focus(model, event.or(model.focus.event), Some(subject));
                show(model, View::Biography);
            }
            Some(LifeRow::Event(_)) => {
                show(model, View::Events);
                show_all_events(model);
            }
            None => return,
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
                return;
            };
            set_focus(model, event, Some(subject));
            show(model, View::Biography);
        }
    }
    push(&mut model.crumbs, from);
    push(&mut model.back, from);
    model.forward.clear();
}

fn show_all_events(model: &mut Model) {
    if let Some(filter) = &mut model.events.filter {
        filter.shown = Shown::All;
    }
}

fn up(model: &mut Model, msg: Msg) {
    if msg == Msg::Up
        && model.pane == Pane::Events
        && let Some(filter) = &mut model.events.filter
        && filter.shown == Shown::Hits
    {
        filter.shown = Shown::All;
        model.notice = Some(format!(
            "all events again; n and N go to those with {}",
            filter.text()
        ));
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
        model.notice = Some("this is the top; q quits".into());
    }
}

fn history(model: &mut Model, toward: Toward) {
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

// Findings.

fn next_finding(model: &mut Model, toward: Toward) {
    let findings: Vec<usize> = (0..model.findings.rows.len())
        .filter(|position| model.finding(model.findings.rows[*position]).is_some())
        .collect();
    if findings.is_empty() {
        model.notice = Some("there is no finding in this trace".into());
        return;
    }
    // Among events the next one is what comes later; elsewhere it is what stands below.
    let target = if model.pane == Pane::Events {
        let now = model.focus.event;
        let cause = |position: &usize| {
            model
                .finding(model.findings.rows[*position])
                .map(|finding| finding.first_cause)
        };
        match toward {
            Toward::Next => findings
                .into_iter()
                .filter(|p| cause(p) > now)
                .min_by_key(|p| (cause(p), *p)),
            Toward::Previous => findings
                .into_iter()
                .filter(|p| cause(p) < now)
                .max_by_key(|p| (cause(p), *p)),
        }
    } else {
        let now = model.findings.selected;
        match toward {
            Toward::Next => findings.into_iter().find(|position| *position > now),
            Toward::Previous => findings.into_iter().rfind(|position| *position < now),
        }
    };
    match target {
        Some(position) => {
            remember(model);
            if model.pane == Pane::Events {
                show_all_events(model);
            }
            select_finding(model, position);
        }
        None => {
            let word = match toward {
                Toward::Next => "no finding after this one",
                Toward::Previous => "no finding before this one",
            };
            model.notice = Some(word.into());
        }
    }
}

/// The finding that the reader most likely means: the selected one if the focus is about it, else
/// one about the focused object, else one that rests on the focused event.
fn meant_finding(model: &Model) -> Option<FindingRow> {
    let selected = model.selected_finding();
    let is_about = |row: &FindingRow| {
        model
            .finding(*row)
            .is_some_and(|finding| Some(finding.subject) == model.focus.object)
    };
    if is_about(&selected) || (model.pane == Pane::Findings && model.finding(selected).is_some()) {
        return Some(selected);
    }
    all_findings(model).find(is_about).or_else(|| {
        let marks = model.marks.get(&model.focus.event?)?;
        marks.first().map(|mark| mark.finding)
    })
}

fn first_cause(model: &mut Model) {
    let meant = meant_finding(model)
        .or_else(|| Some(model.selected_finding()).filter(|row| model.finding(*row).is_some()));
    let story = match meant {
        Some(FindingRow::Story(story) | FindingRow::Consequence(story, _)) => story,
        _ => {
            model.notice = Some("no finding, so there is no first cause".into());
            return;
        }
    };
    let head = &model.verdict.stories[story].head;
    let (event, subject) = (head.first_cause, head.subject);
    remember(model);
    if model.pane == Pane::Findings {
        let from = place(model);
        push(&mut model.crumbs, from);
    }
    reveal(model, FindingRow::Story(story));
    set_focus(model, Some(event), Some(subject));
    let is_in_life = model.life.told.is_none() || model.life.has(event);
    match model.pane {
        Pane::Events => show_all_events(model),
        _ if is_in_life && model.view == View::Biography => {}
        _ if is_in_life => show(model, View::Biography),
        _ => {
            show(model, View::Events);
            show_all_events(model);
        }
    }
}

fn set_fold(model: &mut Model, fold: Fold) {
    let row = model.selected_finding();
    let (FindingRow::Story(story) | FindingRow::Consequence(story, _)) = row else {
        return;
    };
    match fold {
        Fold::Open => {
            if model.verdict.stories[story].folded.is_empty() {
                model.notice = Some("nothing followed from this finding".into());
                return;
            }
            model.findings.unfolded.insert(story);
        }
        Fold::Shut => {
            model.findings.unfolded.remove(&story);
        }
    }
    model.findings.rows = finding_rows(&model.verdict, &model.findings.unfolded);
    let head = match fold {
        Fold::Open => row,
        Fold::Shut => FindingRow::Story(story),
    };
    if let Some(position) = model.findings.rows.iter().position(|other| *other == head) {
        if head == row {
            model.findings.selected = position;
        } else {
            select_finding(model, position);
        }
    }
}

// Objects and hits.

fn same_object(model: &mut Model, toward: Toward, was_walking: bool) {
    if model.focus.object.is_none() {
        let subject = model
            .focus
            .event
            .and_then(|event| model.trace.subject_of(event));
        set_focus(model, model.focus.event, subject);
    }
    let Some(object) = model.focus.object else {
        model.notice = Some("this event belongs to no object".into());
        return;
    };
    let events = match &model.life.told {
        Some(told) => told.rows.iter().map(|row| row.event).collect(),
        None => model.trace.events_of(object),
    };
    let now = model.focus.event.unwrap_or(EventId(0));
    let target = match toward {
        Toward::Next => events
            .get(events.partition_point(|event| *event <= now))
            .copied(),
        Toward::Previous => events
            .partition_point(|event| *event < now)
            .checked_sub(1)
            .map(|at| events[at]),
    };
    let Some(target) = target else {
        let word = match toward {
            Toward::Next => "later",
            Toward::Previous => "earlier",
        };
        model.notice = Some(format!(
            "no {word} event of {}",
            model.trace.name_of(object)
        ));
        return;
    };
    if !was_walking {
        remember(model);
    }
    model.is_walking = true;
    if model.pane == Pane::Findings && model.area(Pane::Biography).is_none() {
        let from = place(model);
        push(&mut model.crumbs, from);
        show(model, View::Biography);
    }
    if model.pane == Pane::Events {
        leave_hits_unless_hit(model, target);
    }
    set_focus(model, Some(target), Some(object));
}

/// Shows all events where the filter would hide the one that is gone to.
fn leave_hits_unless_hit(model: &mut Model, event: EventId) {
    if let Some(filter) = &mut model.events.filter {
        filter.wanted = None;
        if filter.hits().binary_search(&event).is_err() {
            filter.shown = Shown::All;
        }
    }
}

fn next_hit(model: &mut Model, toward: Toward, was_walking: bool) {
    let Some(filter) = &model.events.filter else {
        model.notice = Some("no filter yet: / begins one".into());
        return;
    };
    let now = model.focus.event.unwrap_or(EventId(0));
    let hits = filter.hits();
    let target = match toward {
        Toward::Next => hits.get(hits.partition_point(|hit| *hit <= now)).copied(),
        Toward::Previous => hits
            .partition_point(|hit| *hit < now)
            .checked_sub(1)
            .map(|at| hits[at]),
    };
    let Some(target) = target else {
        let text = filter.text();
        model.notice = Some(match toward {
            _ if model.is_filtering() => format!("still looking for {text}"),
            Toward::Next => format!("no later event with {text}"),
            Toward::Previous => format!("no earlier event with {text}"),
        });
        return;
    };
    if !was_walking {
        remember(model);
    }
    model.is_walking = true;
    if let Some(filter) = &mut model.events.filter {
        filter.wanted = None;
    }
    if model.area(Pane::Events).is_none() {
        show(model, View::Events);
    }
    model.pane = Pane::Events;
    focus_event(model, target);
}

// The filter.

fn prompt(model: &mut Model, msg: Msg) {
    let Some(prompt) = &mut model.prompt else {
        return;
    };
    match msg {
        Msg::Type(c) if prompt.text.chars().count() < FILTER_MAX => prompt.text.push(c),
        Msg::Erase if prompt.text.is_empty() => return cancel(model),
        Msg::Erase => {
            prompt.text.pop();
        }
        Msg::EraseAll => prompt.text.clear(),
        Msg::Accept => {
            let is_empty = prompt.text.trim().is_empty();
            model.prompt = None;
            if is_empty {
                model.events.filter = None;
            }
            return;
        }
        Msg::Cancel => return cancel(model),
        _ => return,
    }
    let text = prompt.text.clone();
    let from = prompt.from;
    model.events.filter = (!text.trim().is_empty())
        .then(|| Filter::new(&text, Some(from.focus.event.unwrap_or(EventId(0)))));
    if model.events.filter.is_none() {
        set_focus(model, from.focus.event, from.focus.object);
    }
    model.events.top = 0;
    filter_work(model);
}

fn cancel(model: &mut Model) {
    model.events.filter = None;
    if let Some(prompt) = model.prompt.take() {
        return_to(model, prompt.from);
    }
}

/// A slice of unfinished work.
fn work(model: &mut Model) {
    if model.owes_life() {
        gather_life(model);
    } else {
        filter_work(model);
    }
}

fn filter_work(model: &mut Model) {
    let Some(mut filter) = model.events.filter.take() else {
        return;
    };
    filter.work(model.trace.events().len(), |id| model.filter_line(id));
    let wanted = filter
        .wanted
        .and_then(|event| filter.nearest(event))
        .map(|at| filter.hits()[at]);
    let is_done = filter.scanned() >= model.trace.events().len();
    if is_done && model.prompt.is_none() {
        filter.wanted = None;
    }
    model.events.filter = Some(filter);
    if let Some(event) = wanted {
        focus_event(model, event);
    }
}

// What holds after every message.

fn settle(model: &mut Model) {
    let [main, other] = panes_of(model.view);
    if model.pane != main && model.pane != other {
        model.pane = main;
    }
    model.findings.selected = model
        .findings
        .selected
        .min(model.findings.rows.len().saturating_sub(1));
    model.life.selected = model.life.selected.min(model.life.len().saturating_sub(1));
    let Some(layout) = model.layout() else { return };
    for area in &layout.panes {
        let height = usize::from(area.list.height);
        let (top, selected, len) = match area.pane {
            Pane::Findings => (
                &mut model.findings.top,
                model.findings.selected,
                model.findings.rows.len(),
            ),
            Pane::Biography => {
                let len = model.life.len();
                (&mut model.life.top, model.life.selected, len)
            }
            Pane::Events => {
                let (selected, len) = (model.events_selected(), model.events_len());
                (&mut model.events.top, selected, len)
            }
        };
        *top = scrolled(*top, selected, len, height);
        let most = about::lines(model, area.pane, area.text.width.into())
            .len()
            .saturating_sub(area.text.height.into());
        let text_top = match area.pane {
            Pane::Findings => &mut model.findings.text_top,
            Pane::Biography => &mut model.life.text_top,
            Pane::Events => &mut model.events.text_top,
        };
        *text_top = (*text_top).min(most);
    }
    if model.help.is_some() {
        scroll_help(model, Step::Lines(0));
    }
}

/// The first visible row, such that the selected one is visible with a row or two around it, and
/// the list fills its place.
fn scrolled(top: usize, selected: usize, len: usize, height: usize) -> usize {
    if height == 0 {
        return selected;
    }
    let margin = (height.saturating_sub(1) / 2).min(2);
    let least = (selected + margin + 1).saturating_sub(height);
    let most = selected.saturating_sub(margin);
    let top = top.clamp(least.min(most), most.max(least.min(most)));
    top.min(len.saturating_sub(height))
}
