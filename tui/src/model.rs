//! The viewer's state, and questions about it.
//!
//! Only [`crate::update::update`] changes it; [`crate::view`] reads it. Selections and scroll offsets
//! are plain numbers. What all panes share is one [`Focus`].
//!
//! Invariants (kept by `update`, checked by its property test)
//! - Every selection is inside its list, and visible in each pane that is shown.
//! - `biography` is that of `focus.object`, or is still owed (see [`Model::work`]).

use std::collections::{BTreeSet, HashMap, VecDeque};

use traces::Trace;
use traces::event::{Event, EventId};
use traces::finding::{CannotTell, Finding, Subject, Verdict};

use crate::diff::{DiffPane, Side};
use crate::help::Help;
use crate::hiding::Hiding;
use crate::hits::{Hits, Shown};
use crate::keys::{Characters, Context, Listener};
use crate::layout::{Layout, Pane, PaneArea, Wanted};
pub use crate::life::{Life, LifeRow};
use crate::live::Live;
use crate::msg::{Prefix, View};
use crate::notes::NotesPane;
use crate::objects::ObjectsPane;
pub use crate::prompt::{Prompt, PromptKind};
pub use crate::range::Range;
use crate::rings::RingsPane;
use crate::source::SourcePane;
use crate::theme::Theme;
use crate::timeline::Timeline;

/// Columns that a thread name may take in a list.
const THREAD_COLUMNS_MAX: usize = 12;

/// Lanes whose names decide how wide that column is.
const LANES_LOOKED_AT: usize = 1000;

/// What everything on the screen is about at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    /// The event, where there is one.
    pub event: Option<EventId>,
    /// The time: of the event, unless only a time was chosen.
    pub at_ns: u64,
    /// The lane: that of the event.
    pub lane: Option<u32>,
    /// The object whose biography is told and whose events `o` follows.
    pub object: Option<Subject>,
}

/// How the screen is drawn, fixed at the start.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The name of what is shown, safe for a terminal.
    pub title: String,
    /// The characters to draw with.
    pub characters: Characters,
    /// Whether there are colours.
    pub colour: Colour,
    /// Which ones.
    pub theme: Theme,
}

/// Whether colours are used. Without them weight and reversal remain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// They are.
    #[default]
    On,
    /// They are not.
    Off,
}

/// Whether work is left over from earlier messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// There is none.
    None,
    /// To be done in slices while no key waits.
    Now,
    /// One long slice: to be done when the keys have rested for a moment.
    WhenQuiet,
}

/// A row of the findings list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingRow {
    /// The head of a story.
    Story(usize),
    /// A consequence within a story.
    Consequence(usize, usize),
    /// A question that losses keep open.
    CannotTell(usize),
    /// How much is hidden, with or without the hidden stories as rows below.
    Hidden,
    /// What was there at all.
    Summary,
}

/// The findings list.
#[derive(Clone, Debug)]
pub struct Findings {
    /// Its rows; the last one is always the summary.
    pub rows: Vec<FindingRow>,
    /// Stories whose consequences are rows.
    pub unfolded: BTreeSet<usize>,
    /// Position of the selected row.
    pub selected: usize,
    /// Position of the first visible row.
    pub top: usize,
    /// First visible line of the text about the selected row.
    pub text_top: usize,
}

/// A list that nothing but its own pane looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scroll {
    /// Position of the selected row.
    pub selected: usize,
    /// Position of the first visible row.
    pub top: usize,
    /// First visible line of the text about the selected row.
    pub text_top: usize,
}

/// The events list. Its selection is the focused event.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// The filter, if there is one.
    pub filter: Option<Hits>,
    /// Position of the first visible row.
    pub top: usize,
    /// First visible line of the text about the selected row.
    pub text_top: usize,
}

/// A place that one can go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) view: View,
    pub(crate) pane: Pane,
    pub(crate) focus: Focus,
    pub(crate) finding: FindingRow,
}

/// What a finding says about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The finding.
    pub finding: FindingRow,
    /// The part that the event plays in it.
    pub role: &'static str,
    /// Whether it is the finding's first cause.
    pub is_cause: bool,
}

/// Everything the viewer knows.
#[derive(Debug)]
pub struct Model {
    pub(crate) trace: Trace,
    pub(crate) verdict: Verdict,
    pub(crate) marks: HashMap<EventId, Vec<Mark>>,
    pub(crate) look: Look,
    /// Columns of the widest thread name, as far as a list has room for one.
    pub(crate) thread_columns: usize,
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    pub(crate) view: View,
    pub(crate) pane: Pane,
    pub(crate) focus: Focus,
    pub(crate) findings: Findings,
    pub(crate) life: Life,
    pub(crate) events: Events,
    pub(crate) timeline: Timeline,
    pub(crate) neighbours: Scroll,
    pub(crate) source: SourcePane,
    pub(crate) rings: RingsPane,
    pub(crate) objects: ObjectsPane,
    pub(crate) losses: Scroll,
    pub(crate) notes: NotesPane,
    /// Where two traces are compared: what changed, and the other one.
    pub(crate) diff: Option<DiffPane>,
    /// Stories that are not listed.
    pub(crate) hiding: Hiding,
    /// The stretch of time that all screens are about; all of it where there is none.
    pub(crate) range: Option<Range>,
    /// Places that `Esc` leads back to, nearest last.
    pub(crate) crumbs: Vec<Place>,
    pub(crate) back: Vec<Place>,
    pub(crate) forward: Vec<Place>,
    /// Whether the last message walked along an object or through hits: a walk is one step of history.
    pub(crate) is_walking: bool,
    pub(crate) prompt: Option<Prompt>,
    /// Commands that are still to be run.
    pub(crate) script: VecDeque<String>,
    /// What is to be copied.
    pub(crate) clipboard: String,
    /// The help, while it is shown.
    pub(crate) help: Option<Help>,
    pub(crate) prefix: Option<Prefix>,
    /// Whether the pane with the keys has the screen for itself.
    pub(crate) is_alone: bool,
    /// Whether the mouse is ours; else it is the terminal's.
    pub(crate) has_mouse: bool,
    /// A word to the user, until the next key.
    pub(crate) notice: Option<String>,
    /// What is still to come of the trace.
    pub(crate) live: Live,
}

impl Model {
    /// A model that shows a verdict over a trace, with its first finding in focus.
    pub fn new(trace: Trace, verdict: Verdict, look: Look) -> Self {
        let mut model = Self {
            marks: marks(&verdict, &Hiding::default()),
            findings: Findings {
                rows: finding_rows(&verdict, &BTreeSet::new(), None, &Hiding::default()),
                unfolded: BTreeSet::new(),
                selected: 0,
                top: 0,
                text_top: 0,
            },
            trace,
            verdict,
            look,
            thread_columns: 0,
            size: (0, 0),
            view: View::Findings,
            pane: Pane::Findings,
            focus: Focus::default(),
            life: Life::default(),
            events: Events::default(),
            timeline: Timeline::default(),
            neighbours: Scroll::default(),
            source: SourcePane::default(),
            rings: RingsPane::default(),
            objects: ObjectsPane::default(),
            losses: Scroll::default(),
            notes: NotesPane::default(),
            diff: None,
            hiding: Hiding::default(),
            range: None,
            crumbs: Vec::new(),
            back: Vec::new(),
            forward: Vec::new(),
            is_walking: false,
            prompt: None,
            script: VecDeque::new(),
            clipboard: String::new(),
            help: None,
            prefix: None,
            is_alone: false,
            has_mouse: false,
            notice: None,
            live: Live::default(),
        };
        model.thread_columns = model.widest_thread();
        crate::update::start(&mut model);
        model
    }

    /// What a key's meaning depends on now.
    pub fn context(&self) -> Context {
        Context {
            listener: self.listener(),
            prefix: self.prefix,
        }
    }

    /// Who gets the next key.
    pub fn listener(&self) -> Listener {
        if self.live.asks {
            Listener::Question
        } else if let Some(help) = &self.help {
            if help.is_typing {
                Listener::Prompt
            } else {
                Listener::Help
            }
        } else if let Some(prompt) = &self.prompt {
            match prompt.kind {
                PromptKind::Filter
                | PromptKind::Note(_)
                | PromptKind::Reason(_)
                | PromptKind::Until(_) => Listener::Prompt,
                PromptKind::Command => Listener::Palette,
            }
        } else {
            self.pane_listener()
        }
    }

    /// Which of two traces is shown; the later one where there is one only.
    pub fn side(&self) -> Side {
        self.diff.as_ref().map_or(Side::After, |pane| pane.side)
    }

    /// The views that there are.
    pub(crate) fn views(&self) -> impl Iterator<Item = View> + use<> {
        let has_diff = self.diff.is_some();
        let views = View::ALL.into_iter();
        views.filter(move |view| has_diff || *view != View::Diff)
    }

    /// Who gets the keys once help and prompt are gone.
    pub(crate) fn pane_listener(&self) -> Listener {
        Listener::Pane(self.pane)
    }

    /// What everything is about.
    pub fn focus(&self) -> Focus {
        self.focus
    }

    /// What work [`crate::msg::Msg::Work`] would go on with.
    pub fn work(&self) -> Work {
        if self.live.reading.is_some() {
            Work::None
        } else if self.is_filtering()
            || self.is_gathering_lanes()
            || !self.script.is_empty()
            || (self.owes_life() && self.life.gathering.is_some())
            || (self.owes_neighbours() && self.life.gathering_around.is_some())
        {
            Work::Now
        } else if self.owes_life() || self.owes_neighbours() {
            Work::WhenQuiet
        } else {
            Work::None
        }
    }

    /// Whether the focused object's life is still to be gathered.
    pub(crate) fn owes_life(&self) -> bool {
        self.focus.object.is_some() && self.life.told.is_none()
    }

    /// Whether the lives around are shown and still to be gathered.
    pub(crate) fn owes_neighbours(&self) -> bool {
        self.life.told.is_some()
            && self.life.around.is_none()
            && self.area(Pane::Neighbours).is_some()
    }

    /// Whether the timeline was asked for and is not yet there.
    pub(crate) fn is_gathering_lanes(&self) -> bool {
        let index = self.timeline.index.as_ref();
        index.is_some_and(|index| index.is_at_work(&self.trace))
    }

    /// Whether the filter has not yet looked at all events.
    pub(crate) fn is_filtering(&self) -> bool {
        let scanned = self.events.filter.as_ref().map(Hits::scanned);
        scanned.is_some_and(|scanned| scanned < self.trace.events().len())
    }

    /// Where everything stands; nothing where the terminal is too small.
    pub fn layout(&self) -> Option<Layout> {
        // What stands below the help does not change while it is typed in.
        let listener = match self.listener() {
            _ if self.help.is_some() => self.pane_listener(),
            other => other,
        };
        Layout::of(
            self.size.0,
            self.size.1,
            Wanted {
                view: self.view,
                pane: self.pane,
                listener,
                characters: self.look.characters,
                is_alone: self.is_alone,
                rows: match self.view {
                    View::Rings => self.len_of(Pane::Rings),
                    _ => self.findings.rows.len(),
                },
            },
        )
    }

    /// The rectangles of a pane, where it is shown.
    pub(crate) fn area(&self, pane: Pane) -> Option<PaneArea> {
        self.layout()?.area(pane).copied()
    }

    /// What is to be copied.
    pub fn clipboard(&self) -> &str {
        &self.clipboard
    }

    /// The finding of a row.
    pub fn finding(&self, row: FindingRow) -> Option<&Finding> {
        match row {
            FindingRow::Story(story) => Some(&self.verdict.stories.get(story)?.head),
            FindingRow::Consequence(story, index) => {
                self.verdict.stories.get(story)?.folded.get(index)
            }
            FindingRow::CannotTell(_) | FindingRow::Hidden | FindingRow::Summary => None,
        }
    }

    /// The open question of a row.
    pub fn question(&self, row: FindingRow) -> Option<&CannotTell> {
        match row {
            FindingRow::CannotTell(index) => self.verdict.cannot_tell.get(index),
            _ => None,
        }
    }

    /// The selected row of the findings.
    pub fn selected_finding(&self) -> FindingRow {
        self.findings
            .rows
            .get(self.findings.selected)
            .copied()
            .unwrap_or(FindingRow::Summary)
    }

    /// An event.
    pub fn event(&self, id: EventId) -> Option<&Event> {
        self.trace.event(id)
    }

    /// How many rows the list of a pane has.
    pub(crate) fn len_of(&self, pane: Pane) -> usize {
        match pane {
            Pane::Findings => self.findings.rows.len(),
            Pane::Biography => self.life.len(),
            Pane::Neighbours => self.life.around.as_ref().map_or(0, |around| around.len()),
            Pane::Events => self.events_len(),
            Pane::Timeline => self.timeline.rows.len(),
            Pane::Source => self.source.rows.len(),
            Pane::Rings => self.rings.rings.as_ref().map_or(0, Vec::len),
            Pane::Objects => self.objects.len(),
            Pane::Losses => crate::losses::len(self),
            Pane::Notes => self.notes.list.len(),
            Pane::Diff => self.diff.as_ref().map_or(0, DiffPane::len),
        }
    }

    /// The selected position in the list of a pane.
    pub(crate) fn selected_of(&self, pane: Pane) -> usize {
        match pane {
            Pane::Findings => self.findings.selected,
            Pane::Biography => self.life.selected,
            Pane::Neighbours => self.neighbours.selected,
            Pane::Events => self.events_selected(),
            Pane::Timeline => self.timeline.selected,
            Pane::Source => self.source.selected,
            Pane::Rings => self.rings.selected,
            Pane::Objects => self.objects.selected,
            Pane::Losses => self.losses.selected,
            Pane::Notes => self.notes.selected,
            Pane::Diff => self.diff.as_ref().map_or(0, |pane| pane.selected),
        }
    }

    /// The first visible row in the list of a pane.
    pub(crate) fn top_of(&mut self, pane: Pane) -> &mut usize {
        match pane {
            Pane::Findings => &mut self.findings.top,
            Pane::Biography => &mut self.life.top,
            Pane::Neighbours => &mut self.neighbours.top,
            Pane::Events => &mut self.events.top,
            Pane::Timeline => &mut self.timeline.top,
            Pane::Source => &mut self.source.top,
            Pane::Rings => &mut self.rings.top,
            Pane::Objects => &mut self.objects.top,
            Pane::Losses => &mut self.losses.top,
            Pane::Notes => &mut self.notes.top,
            Pane::Diff => match &mut self.diff {
                Some(pane) => &mut pane.top,
                None => &mut self.losses.top,
            },
        }
    }

    /// The first visible row in the list of a pane, as [`Self::top_of`].
    pub(crate) fn first_row_of(&self, pane: Pane) -> usize {
        match pane {
            Pane::Findings => self.findings.top,
            Pane::Biography => self.life.top,
            Pane::Neighbours => self.neighbours.top,
            Pane::Events => self.events.top,
            Pane::Timeline => self.timeline.top,
            Pane::Source => self.source.top,
            Pane::Rings => self.rings.top,
            Pane::Objects => self.objects.top,
            Pane::Losses => self.losses.top,
            Pane::Notes => self.notes.top,
            Pane::Diff => self.diff.as_ref().map_or(0, |pane| pane.top),
        }
    }

    /// The first visible line of the text of a pane.
    pub(crate) fn text_top_of(&self, pane: Pane) -> usize {
        match pane {
            Pane::Findings => self.findings.text_top,
            Pane::Biography => self.life.text_top,
            Pane::Neighbours => self.neighbours.text_top,
            Pane::Events => self.events.text_top,
            Pane::Timeline => self.timeline.text_top,
            Pane::Source => self.source.text_top,
            Pane::Rings => self.rings.text_top,
            Pane::Objects => self.objects.text_top,
            Pane::Losses => self.losses.text_top,
            Pane::Notes => self.notes.text_top,
            Pane::Diff => self.diff.as_ref().map_or(0, |pane| pane.text_top),
        }
    }

    pub(crate) fn text_top_mut(&mut self, pane: Pane) -> &mut usize {
        match pane {
            Pane::Findings => &mut self.findings.text_top,
            Pane::Biography => &mut self.life.text_top,
            Pane::Neighbours => &mut self.neighbours.text_top,
            Pane::Events => &mut self.events.text_top,
            Pane::Timeline => &mut self.timeline.text_top,
            Pane::Source => &mut self.source.text_top,
            Pane::Rings => &mut self.rings.text_top,
            Pane::Objects => &mut self.objects.text_top,
            Pane::Losses => &mut self.losses.text_top,
            Pane::Notes => &mut self.notes.text_top,
            Pane::Diff => match &mut self.diff {
                Some(pane) => &mut pane.text_top,
                None => &mut self.losses.text_top,
            },
        }
    }

    /// How many events the filter found before the selected time, and up to its end.
    fn hits(&self) -> (usize, usize) {
        let Some(filter) = &self.events.filter else {
            return (0, 0);
        };
        let found = filter.found();
        self.range.map_or((0, found.len()), |range| {
            (found.before(range.first), found.before(range.end))
        })
    }

    /// How many events the filter found within the selected time.
    pub(crate) fn hits_len(&self) -> usize {
        let (first, end) = self.hits();
        end - first
    }

    /// Whether the events list shows only what the filter found.
    fn shows_hits(&self) -> bool {
        let filter = self.events.filter.as_ref();
        filter.is_some_and(|filter| filter.shown == Shown::Hits)
    }

    /// Positions of the first event of the selected time, and of the first one behind it.
    fn bounds(&self) -> (usize, usize) {
        let all = self.trace.events().len();
        let within = |id: EventId| usize::try_from(id.0).unwrap_or(all).min(all);
        self.range
            .map_or((0, all), |range| (within(range.first), within(range.end)))
    }

    /// How many rows the events list has.
    pub fn events_len(&self) -> usize {
        if self.shows_hits() {
            return self.hits_len();
        }
        let (first, end) = self.bounds();
        end - first
    }

    /// The event at a position of the events list.
    pub fn event_at(&self, position: usize) -> Option<EventId> {
        if self.shows_hits() {
            let (first, end) = self.hits();
            let at = first.checked_add(position).filter(|at| *at < end)?;
            return self.events.filter.as_ref()?.found().get(at);
        }
        let (first, end) = self.bounds();
        let at = first.checked_add(position).filter(|at| *at < end)?;
        Some(EventId(at as u64))
    }

    /// The focused event, or the nearest one to the focused time.
    pub(crate) fn nearest_event(&self) -> usize {
        match self.focus.event {
            Some(event) => usize::try_from(event.0).unwrap_or(usize::MAX),
            None => {
                let at_ns = self.focus.at_ns;
                let events = self.trace.events();
                events.partition_point(|event| event.at_ns < at_ns)
            }
        }
    }

    /// The selected position of the events list: the focused event, or the nearest one shown.
    pub fn events_selected(&self) -> usize {
        let event = self.nearest_event();
        if self.shows_hits() {
            let event = EventId(event as u64);
            let found = self.events.filter.as_ref().map(Hits::found);
            let (first, end) = self.hits();
            let near = found
                .map_or(0, |found| found.before(event))
                .clamp(first, end);
            return (near - first).min((end - first).saturating_sub(1));
        }
        let (first, end) = self.bounds();
        let last = end.saturating_sub(first).saturating_sub(1);
        event.saturating_sub(first).min(last)
    }

    /// The time of an event, marked where it is that of its batch.
    pub(crate) fn time_of(&self, event: &Event) -> String {
        format!(
            "{}{}",
            self.time_mark(event),
            crate::text::time(event.at_ns)
        )
    }

    /// `~` where the times of an event's process are by batch.
    pub(crate) fn time_mark(&self, event: &Event) -> &'static str {
        if self.trace.recording().is_by_batch(event.process) {
            "~"
        } else {
            ""
        }
    }

    /// The line of source that an event is at, with its number, where it is here and not blank.
    pub(crate) fn source_line(&self, event: &Event) -> Option<(u32, String)> {
        let site = event.site();
        let number = self.trace.recording().site(site).line;
        let traces::source::Source::Lines(lines) = self.trace.source(site) else {
            return None;
        };
        let (_, text) = lines.into_iter().find(|line| line.0 == number)?;
        let text = text.bytes().trim_ascii();
        (!text.is_empty()).then(|| (number, traces::tty(text)))
    }

    /// The name of an event's thread, behind the process id where there are several processes.
    pub(crate) fn thread_of(&self, event: &Event) -> String {
        self.thread_name(event.process, event.lane)
    }

    pub(crate) fn thread_name(&self, process: u32, lane: u32) -> String {
        let thread = self.trace.names().thread(lane);
        match self.trace.recording().process(process) {
            Some(process) if self.trace.recording().processes.len() > 1 => {
                format!("{}/{thread}", process.pid)
            }
            _ => thread,
        }
    }

    pub(crate) fn widest_thread(&self) -> usize {
        let recording = self.trace.recording();
        // One thread needs no name on each row: the text about the row has it.
        if recording.lanes.len() <= 1 {
            return 0;
        }
        let lanes = recording.lanes.iter().enumerate().take(LANES_LOOKED_AT);
        let widest = lanes.map(|(index, lane)| {
            let thread = self.thread_name(lane.process, u32::try_from(index).unwrap_or(u32::MAX));
            crate::text::width(&thread)
        });
        widest.max().unwrap_or(0).clamp(1, THREAD_COLUMNS_MAX)
    }
}

/// The rows of the findings list: of a selected time, those that rest on something in it.
pub(crate) fn finding_rows(
    verdict: &Verdict,
    unfolded: &BTreeSet<usize>,
    range: Option<Range>,
    hiding: &Hiding,
) -> Vec<FindingRow> {
    let is_in = |event: EventId| range.is_none_or(|range| range.has(event));
    let touches = |finding: &Finding| {
        is_in(finding.first_cause) || finding.evidence.iter().any(|e| is_in(e.event))
    };
    let mut rows = Vec::new();
    let mut hidden = Vec::new();
    for (index, story) in verdict.stories.iter().enumerate() {
        if !touches(&story.head) && !story.folded.iter().any(touches) {
            continue;
        }
        let list = match hiding.why(index) {
            Some(_) => &mut hidden,
            None => &mut rows,
        };
        list.push(FindingRow::Story(index));
        if unfolded.contains(&index) {
            list.extend((0..story.folded.len()).map(|n| FindingRow::Consequence(index, n)));
        }
    }
    let questions = verdict.cannot_tell.iter().enumerate();
    rows.extend(
        questions
            .filter(|(_, question)| is_in(question.at))
            .map(|(index, _)| FindingRow::CannotTell(index)),
    );
    if !hidden.is_empty() {
        rows.push(FindingRow::Hidden);
    }
    if hiding.shown {
        rows.extend(hidden);
    }
    rows.push(FindingRow::Summary);
    rows
}

/// What findings say about events; those that are hidden say nothing.
pub(crate) fn marks(verdict: &Verdict, hiding: &Hiding) -> HashMap<EventId, Vec<Mark>> {
    let mut marks: HashMap<EventId, Vec<Mark>> = HashMap::new();
    for (index, story) in verdict.stories.iter().enumerate() {
        if hiding.hides(index) {
            continue;
        }
        let consequences = story
            .folded
            .iter()
            .enumerate()
            .map(|(n, f)| (FindingRow::Consequence(index, n), f));
        for (row, finding) in
            std::iter::once((FindingRow::Story(index), &story.head)).chain(consequences)
        {
            let mut add = |event: EventId, role: &'static str| {
                let is_cause = event == finding.first_cause;
                marks.entry(event).or_default().push(Mark {
                    finding: row,
                    role,
                    is_cause,
                });
            };
            for evidence in &finding.evidence {
                add(evidence.event, evidence.role);
            }
            if finding
                .evidence
                .iter()
                .all(|evidence| evidence.event != finding.first_cause)
            {
                add(finding.first_cause, "first cause");
            }
        }
    }
    marks
}
