//! A trace arrives: the first one, or a later look at the same recording.
//!
//! Of a later look nothing keeps its number: events, lanes, generations and findings are looked up again by what they
//! are ([`Same`]), so that focus, selections, scrolling, filter, folds, marks, notes and ways back stay where the
//! reader of the screen left them. What is gone for good (the oldest records are overwritten) is let go of.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use traces::Trace;
use traces::event::EventId;
use traces::finding::{Finding, RuleId, Subject, Verdict};
use traces::same::Same;

use super::findings::{list_findings, select_finding};
use super::focus::{gather_life, list_life, set_focus};
use super::{go_to, selection};
use crate::feed::Arrived;
use crate::hits::Hits;
use crate::layout::Pane;
use crate::life::Life;
use crate::live::{Reading, State, Watched};
use crate::model::{FindingRow, Focus, Model, Place, PromptKind, Range, marks};
use crate::msg::{Msg, View};
use crate::timeline::{Index, Row, Who, Window};

/// Events up to which a life is told anew at once: a second look must not make the pane blink.
const AT_ONCE: usize = 400_000;

/// The same for sorting events into lanes, which takes longer.
const LANES_AT_ONCE: usize = 500_000;

/// The first reading has come so far.
pub fn reading(model: &mut Model, reading: Reading) {
    if let Some(known) = &mut model.live.reading {
        *known = reading;
    }
}

/// The recording goes on, or has ended.
pub fn watched(model: &mut Model, watched: Watched) {
    if model.live.asks && watched.state != State::Running {
        model.live.asks = false;
        model.notice = Some(format!(
            "the program has ended; {} leaves the viewer",
            model.key(Msg::Leave)
        ));
    }
    model.live.watched = Some(watched);
}

/// What is shown of a recording that goes on is so old; says whether that is to be drawn.
pub fn aged(model: &mut Model, age: Option<Duration>) -> bool {
    let seconds = age.map_or(0, |age| age.as_secs());
    let before = model.live.age();
    model.live.age_s = seconds;
    model.live.age() != before
}

/// Shows another trace from now on. Gives the one before.
pub fn arrive(model: &mut Model, arrived: Arrived) -> Trace {
    let is_first = model.live.reading.take().is_some();
    let old = if is_first {
        first(model, arrived)
    } else {
        again(model, arrived)
    };
    selection::settle(model);
    old
}

fn take_over(model: &mut Model, arrived: Arrived) -> (Trace, Verdict) {
    let old_verdict = std::mem::replace(&mut model.verdict, arrived.verdict);
    let old = std::mem::replace(&mut model.trace, arrived.trace);
    model.hiding.look(&model.trace, &model.verdict);
    model.marks = marks(&model.verdict, &model.hiding);
    model.thread_columns = model.widest_thread();
    if let Some(notes) = arrived.notes {
        model.notes.list = notes;
        model.notes.list.sort_by_key(|note| note.event);
        model.notes.list.dedup_by_key(|note| note.event);
    }
    model.timeline.causes = None;
    model.timeline.seeking = None;
    if model.walk.take().is_some() {
        model.notice = Some("no longer looking: the recording went on".into());
    }
    model.trace.add_sources(old.sources().clone());
    if model.timeline.index.is_some() {
        model.timeline.index = Some(arrived.index.unwrap_or_default());
    }
    (old, old_verdict)
}

/// The first trace: what was asked for at the start is done now.
fn first(model: &mut Model, arrived: Arrived) -> Trace {
    let (old, _) = take_over(model, arrived);
    refilter(model);
    model.findings.rows.clear();
    list_findings(model);
    select_finding(model, 0);
    if let Some(target) = model.live.goto.take() {
        go_to(model, target);
    }
    model.script = std::mem::take(&mut model.live.script).into();
    old
}

/// The filter stays what was typed; what it found is looked for again.
fn refilter(model: &mut Model) {
    let Some(filter) = &model.events.filter else {
        return;
    };
    let (text, shown, wanted) = (filter.text().to_owned(), filter.shown, filter.wanted);
    // It could be read before.
    let hits = Hits::of(&model.trace, &text, wanted).ok().flatten();
    model.events.filter = hits;
    if let Some(filter) = &mut model.events.filter {
        filter.shown = shown;
        for _ in 0..AT_ONCE / crate::hits::SLICE {
            if filter.scanned() >= model.trace.events().len() {
                break;
            }
            filter.work(&model.trace);
        }
    }
}

/// What tells a finding from others, besides its place.
fn key(finding: &Finding) -> (RuleId, u64) {
    (finding.rule, finding.fingerprint)
}

/// What is where now, of what was looked at.
struct Moved<'a> {
    same: Same<'a>,
    /// By old position.
    stories: Vec<Option<usize>>,
    old: &'a Verdict,
    new: &'a Verdict,
    /// Events of the life that was told, by which its subject is known.
    life: Vec<EventId>,
    life_of: Option<Subject>,
}

impl<'a> Moved<'a> {
    fn new(before: (&'a Trace, &'a Verdict), after: (&'a Trace, &'a Verdict), life: &Life) -> Self {
        let same = Same::between(before.0, after.0);
        let mut by_key: HashMap<(RuleId, u64), Vec<usize>> = HashMap::new();
        for (at, story) in after.1.stories.iter().enumerate() {
            by_key.entry(key(&story.head)).or_default().push(at);
        }
        let stories = before.1.stories.iter().map(|story| {
            let alike = by_key.get(&key(&story.head))?;
            let cause = same.event(story.head.first_cause);
            let is_it = |at: &&usize| {
                let other = after.1.stories.get(**at);
                other.is_some_and(|other| Some(other.head.first_cause) == cause)
            };
            let found = alike.iter().find(is_it);
            found.or(alike.first()).copied()
        });
        let told = life.told.as_ref();
        Self {
            stories: stories.collect(),
            same,
            old: before.1,
            new: after.1,
            life: told.map_or_else(Vec::new, |told| {
                told.rows.iter().map(|row| row.event).collect()
            }),
            life_of: told.map(|told| told.subject),
        }
    }

    fn subject(&self, old: Subject, event: Option<EventId>) -> Option<Subject> {
        let of_life = if self.life_of == Some(old) {
            &self.life[..]
        } else {
            &[]
        };
        self.same
            .subject(old, event.into_iter().chain(of_life.iter().copied()))
    }

    fn focus(&self, old: Focus, process: u32) -> Focus {
        Focus {
            event: old.event.and_then(|event| self.same.event(event)),
            at_ns: self.same.at_ns(old.at_ns, process),
            lane: old.lane.and_then(|lane| self.same.lane(lane)),
            object: old
                .object
                .and_then(|subject| self.subject(subject, old.event)),
        }
    }

    fn row(&self, old: FindingRow) -> Option<FindingRow> {
        let story = |at: usize| *self.stories.get(at)?;
        match old {
            FindingRow::Story(at) => story(at).map(FindingRow::Story),
            FindingRow::Consequence(at, index) => {
                let wanted = key(self.old.stories.get(at)?.folded.get(index)?);
                let at = story(at)?;
                let folded = &self.new.stories.get(at)?.folded;
                let index = folded.iter().position(|finding| key(finding) == wanted)?;
                Some(FindingRow::Consequence(at, index))
            }
            FindingRow::CannotTell(at) => {
                let wanted = self.old.cannot_tell.get(at)?;
                let subject = self.subject(wanted.subject, Some(wanted.at));
                let mut questions = self.new.cannot_tell.iter();
                let found = questions
                    .position(|other| other.rule == wanted.rule && Some(other.subject) == subject);
                found.map(FindingRow::CannotTell)
            }
            FindingRow::Hidden => Some(FindingRow::Hidden),
            FindingRow::Summary => Some(FindingRow::Summary),
        }
    }

    fn place(&self, old: Place) -> Place {
        Place {
            focus: self.focus(old.focus, 0),
            finding: self.row(old.finding).unwrap_or(FindingRow::Summary),
            ..old
        }
    }

    fn who(&self, old: Who) -> Option<Who> {
        let process = |process| self.same.process(process);
        Some(match old {
            Who::Thread { process: of, lane } => Who::Thread {
                process: process(of)?,
                lane: self.same.lane(lane)?,
            },
            Who::Ring { process: of, ring } => Who::Ring {
                process: process(of)?,
                ring,
            },
            Who::Coroutine {
                process: of,
                coroutine,
            } => Who::Coroutine {
                process: process(of)?,
                coroutine,
            },
        })
    }
}

/// A later look.
fn again(model: &mut Model, arrived: Arrived) -> Trace {
    let before = Before::of(model);
    let had_findings = !model.verdict.stories.is_empty();
    let (old, old_verdict) = take_over(model, arrived);
    // Where the timeline was opened only after the reader had asked what is wanted.
    if let Some(index) = &mut model.timeline.index
        && model.trace.events().len() <= LANES_AT_ONCE
    {
        while index.work(&model.trace) {}
    }
    // Apart from the model, which is changed by what is found out here.
    let trace = std::mem::replace(&mut model.trace, Trace::empty());
    let verdict = std::mem::take(&mut model.verdict);
    let moved = Moved::new((&old, &old_verdict), (&trace, &verdict), &model.life);
    let after = before.moved(model, &moved);
    drop(moved);
    (model.trace, model.verdict) = (trace, verdict);
    after.put(model);
    // Who waited for the first finding wants to see it.
    let is_waiting = model.view == View::Findings && model.crumbs.is_empty();
    if is_waiting && !had_findings && !model.verdict.stories.is_empty() {
        select_finding(model, 0);
    }
    old
}

/// Where the reader of the screen was, as far as numbers say it.
struct Before {
    focus: Focus,
    process: u32,
    finding: FindingRow,
    text_tops: Vec<(Pane, usize)>,
    /// The row of the screen that the selected event stood in.
    events_row: usize,
    is_at_tail: bool,
    row: Option<(Who, Option<usize>)>,
    window: Option<(Window, bool)>,
    ring: Option<Who>,
    groups: Option<Groups>,
    notes: Vec<(EventId, bool)>,
}

/// What was open and chosen of the held objects.
struct Groups {
    opened: Option<String>,
    label: Option<String>,
    born: Option<EventId>,
}

impl Before {
    fn of(model: &Model) -> Self {
        let timeline = &model.timeline;
        let who = |lane: usize| Some(timeline.index.as_ref()?.lanes.get(lane)?.who);
        let selected = model.events_selected();
        let event = model.focus.event.and_then(|event| model.event(event));
        let last_ns = timeline.index.as_ref().map_or(0, Index::last_ns);
        Self {
            focus: model.focus,
            process: event.map_or(0, |event| event.process),
            finding: model.selected_finding(),
            text_tops: Pane::ALL
                .iter()
                .map(|pane| (*pane, model.text_top_of(*pane)))
                .collect(),
            events_row: selected.saturating_sub(model.events.top),
            is_at_tail: model.view == View::Events
                && model.pane == Pane::Events
                && selected + 1 == model.events_len()
                && model.event_at(selected) == model.focus.event
                && model.range.is_none()
                && model.prompt.is_none(),
            row: timeline
                .rows
                .get(timeline.selected)
                .and_then(|row| Some((who(row.lane)?, row.track))),
            window: timeline.window.map(|window| {
                let is_whole = window.start_ns == 0 && window.end_ns() > last_ns;
                (window, is_whole)
            }),
            ring: model.rings.rings.as_ref().and_then(|rings| {
                let ring = rings.get(model.rings.selected)?;
                Some(ring.who)
            }),
            groups: model.objects.groups.as_ref().map(|groups| {
                let objects = &model.objects;
                let label = |at: usize| groups.get(at).map(|group| group.label.clone());
                let object = objects.object(objects.selected);
                let index = timeline.index.as_ref();
                Groups {
                    opened: objects.opened.and_then(label),
                    label: label(objects.selected),
                    born: object.and_then(|at| Some(index?.objects.all.get(at)?.born)),
                }
            }),
            notes: model
                .notes
                .list
                .iter()
                .map(|note| (note.event, !note.text.is_empty()))
                .collect(),
        }
    }

    /// Changes all of the model that holds numbers of the look before; what has to wait for the new trace being in
    /// its place is given.
    fn moved(self, model: &mut Model, moved: &Moved<'_>) -> After {
        let same = &moved.same;
        let at_ns = |at_ns| same.at_ns(at_ns, 0);
        for places in [&mut model.crumbs, &mut model.back, &mut model.forward] {
            for place in places.iter_mut() {
                *place = moved.place(*place);
            }
        }
        if let Some(prompt) = &mut model.prompt {
            prompt.from = moved.place(prompt.from);
            if let PromptKind::Note(event) = prompt.kind {
                match same.event(event) {
                    Some(event) => prompt.kind = PromptKind::Note(event),
                    None => {
                        model.prompt = None;
                        model.notice =
                            Some("the event that the note was for has been overwritten".into());
                    }
                }
            }
        }
        if let Some(filter) = &mut model.events.filter {
            filter.wanted = filter.wanted.and_then(|event| same.event(event));
        }
        let unfolded = &model.findings.unfolded;
        model.findings.unfolded = unfolded
            .iter()
            .filter_map(|story| *moved.stories.get(*story)?)
            .collect::<BTreeSet<_>>();
        let mut is_gone = false;
        let mut notes = self.notes.iter();
        model.notes.list.retain_mut(|note| {
            let has_text = notes.next().is_some_and(|known| known.1);
            match same.event(note.event) {
                Some(event) => {
                    note.event = event;
                    true
                }
                None => {
                    is_gone |= has_text;
                    false
                }
            }
        });
        model.notes.list.sort_by_key(|note| note.event);
        if is_gone {
            model.notice = Some("a note went with its event, which was overwritten".into());
        }
        let timeline = &mut model.timeline;
        timeline.pinned = timeline
            .pinned
            .iter()
            .filter_map(|who| moved.who(*who))
            .collect();
        timeline.turned = timeline
            .turned
            .iter()
            .filter_map(|who| moved.who(*who))
            .collect();
        for mark in &mut timeline.marks {
            *mark = at_ns(*mark);
        }
        timeline.range_from = timeline.range_from.map(at_ns);
        for dragged in [&mut timeline.dragged_from, &mut timeline.dragged_to] {
            *dragged = dragged.map(|(from_ns, to_ns)| (at_ns(from_ns), at_ns(to_ns)));
        }
        for window in &mut timeline.zooms {
            window.start_ns = at_ns(window.start_ns);
        }
        let is_life_there = model
            .life
            .told
            .as_ref()
            .and_then(|told| told.rows.first())
            .is_some_and(|row| same.event(row.event).is_some());
        After {
            focus: moved.focus(self.focus, self.process),
            finding: moved.row(self.finding),
            row: self
                .row
                .and_then(|(who, track)| Some((moved.who(who)?, track))),
            window: self.window.map(|(window, is_whole)| {
                let start_ns = at_ns(window.start_ns);
                (Window { start_ns, ..window }, is_whole)
            }),
            ring: self.ring.and_then(|who| moved.who(who)),
            groups: self.groups.map(|groups| Groups {
                born: groups.born.and_then(|event| same.event(event)),
                ..groups
            }),
            range: model
                .range
                .map(|range| (at_ns(range.from_ns), at_ns(range.to_ns))),
            is_life_there,
            text_tops: self.text_tops,
            events_row: self.events_row,
            is_at_tail: self.is_at_tail,
        }
    }
}

/// The same, in numbers of the new look.
struct After {
    focus: Focus,
    finding: Option<FindingRow>,
    text_tops: Vec<(Pane, usize)>,
    events_row: usize,
    is_at_tail: bool,
    row: Option<(Who, Option<usize>)>,
    window: Option<(Window, bool)>,
    ring: Option<Who>,
    groups: Option<Groups>,
    range: Option<(u64, u64)>,
    /// Whether the life in focus still begins where it did, so that its steps count the same.
    is_life_there: bool,
}

impl After {
    fn put(self, model: &mut Model) {
        let of = |(from, to)| Range::of(&model.trace, from, to);
        model.range = self.range.map(of);
        self.put_findings(model);
        refilter(model);
        self.put_focus(model);
        self.put_timeline(model);
        self.put_lists(model);
        for (pane, top) in self.text_tops {
            *model.text_top_mut(pane) = top;
        }
    }

    fn put_findings(&self, model: &mut Model) {
        let position = model.findings.selected;
        let shown = position.saturating_sub(model.findings.top);
        list_findings(model);
        let rows = &model.findings.rows;
        let found = self
            .finding
            .and_then(|wanted| rows.iter().position(|row| *row == wanted));
        model.findings.selected = found.unwrap_or(position).min(rows.len().saturating_sub(1));
        model.findings.top = model.findings.selected.saturating_sub(shown);
    }

    fn put_focus(&self, model: &mut Model) {
        let mut life = std::mem::take(&mut model.life);
        // Nothing is known yet of what was in focus: it is named anew, by its new numbers.
        model.focus = Focus {
            event: None,
            object: None,
            ..self.focus
        };
        if self.is_at_tail
            && let Some(last) = model.events_len().checked_sub(1)
            && let Some(event) = model.event_at(last)
            && Some(event) != self.focus.event
        {
            // Who looks at the last event looks at what comes.
            let object = model.trace.subject_of(event).or(self.focus.object);
            set_focus(model, Some(event), object);
            return;
        }
        let neighbours = model.neighbours;
        set_focus(model, self.focus.event, self.focus.object);
        model.neighbours = neighbours;
        // Where the event is gone, its time leads to what is nearest.
        if self.focus.event.is_none() {
            (model.focus.at_ns, model.focus.lane) = (self.focus.at_ns, self.focus.lane);
        }
        if model.owes_life() && model.trace.events().len() <= AT_ONCE {
            gather_life(model);
        }
        let is_over = model
            .life
            .told
            .as_ref()
            .is_some_and(|told| told.rows.is_empty());
        if is_over {
            // What it began with is gone, so that nothing is known to belong to it.
            let event = model.focus.event;
            let subject = event.and_then(|event| model.trace.subject_of(event));
            set_focus(model, event, subject);
        }
        if self.is_life_there && !is_over {
            model.life.opened = std::mem::take(&mut life.opened);
            model.life.top = life.top;
            list_life(model);
            if model.focus.event.is_none() {
                model.life.selected = life.selected;
            }
        }
        let selected = model.events_selected();
        model.events.top = selected.saturating_sub(self.events_row);
    }

    fn put_timeline(&self, model: &mut Model) {
        model.timeline.rows.clear();
        if !model.timeline.is_ready(model.trace.events().len()) {
            return;
        }
        let last_ns = model.timeline.index.as_ref().map_or(0, Index::last_ns);
        if let Some((window, is_whole)) = self.window {
            // Who looked at all of it looks at all of it.
            model.timeline.window = Some(if is_whole {
                Window::around(0, last_ns)
            } else {
                window
            });
        }
        let selected = model.timeline.selected;
        model.timeline.list_rows();
        let index = model.timeline.index.as_ref();
        let found = self.row.and_then(|(who, track)| {
            let lane = index?.lane_of(who)?;
            let position = |wanted: Row| model.timeline.rows.iter().position(|row| *row == wanted);
            position(Row { lane, track }).or_else(|| position(Row { lane, track: None }))
        });
        model.timeline.selected = found.unwrap_or(selected);
        model.timeline.followed = Some((model.focus.event, model.focus.at_ns));
    }

    fn put_lists(&self, model: &mut Model) {
        let (opened, selected) = (model.objects.opened, model.objects.selected);
        super::lists::forget(model);
        super::lists::settle(model);
        if let Some(rings) = &model.rings.rings
            && let Some(at) = rings.iter().position(|ring| Some(ring.who) == self.ring)
        {
            model.rings.selected = at;
        }
        let Some(chosen) = &self.groups else { return };
        if let (Some(_), Some(groups)) = (opened, &model.objects.groups) {
            let label = chosen.opened.as_ref();
            model.objects.opened = label.and_then(|label| {
                let mut labels = groups.iter();
                labels.position(|group| group.label == *label)
            });
            // They are in the order of their numbers yet.
            crate::objects::sort(model);
        }
        let Some(groups) = &model.objects.groups else {
            model.objects.selected = selected;
            return;
        };
        let of_label = |label: &Option<String>| {
            let label = label.as_ref()?;
            groups.iter().position(|group| group.label == *label)
        };
        let index = model.timeline.index.as_ref();
        let (group, row) = if opened.is_some() {
            let group = of_label(&chosen.opened);
            let objects = group
                .and_then(|at| groups.get(at))
                .map(|group| &group.objects);
            let row = objects.and_then(|objects| {
                objects.iter().position(|at| {
                    let object = index.and_then(|index| index.objects.all.get(*at));
                    object.map(|object| object.born) == chosen.born
                })
            });
            (group, row)
        } else {
            (None, of_label(&chosen.label))
        };
        model.objects.opened = group;
        model.objects.selected = row.unwrap_or(if opened.is_some() == group.is_some() {
            selected
        } else {
            0
        });
    }
}
