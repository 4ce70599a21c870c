//! The viewer's state, and questions about it.
//!
//! Only [`crate::update::update`] changes it; [`crate::view`] reads it. Selections and scroll offsets
//! are plain numbers. What all panes share is one [`Focus`].
//!
//! Invariants (kept by `update`, checked by its property test)
//! - Every selection is inside its list, and visible in each pane that is shown.
//! - `biography` is that of `focus.object`, or is still owed (see [`Model::work`]).

mod events;
mod findings;
mod panes;
mod texts;

use std::collections::{BTreeSet, HashMap, VecDeque};

use traces::Trace;
use traces::event::{Event, EventId};
use traces::finding::{CannotTell, Finding, Subject, Verdict};

use crate::diff::{DiffPane, Side};
use crate::help::Help;
use crate::hiding::Hiding;
use crate::hits::Hits;
use crate::keys::{Characters, Context, Keymap, Listener};
use crate::layout::{Layout, Pane, PaneArea, Room, Wanted};
pub use crate::life::{Life, LifeRow};
use crate::live::Live;
use crate::msg::{Msg, Toward, View};
use crate::notes::NotesPane;
use crate::objects::ObjectsPane;
pub use crate::prompt::{Prompt, PromptKind};
pub use crate::range::Range;
use crate::rings::RingsPane;
use crate::sorting::{By, Sort};
use crate::source::SourcePane;
use crate::theme::Theme;
use crate::timeline::Timeline;
pub(crate) use findings::{finding_rows, marks};

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
    /// Whether they become those that fit the terminal's background, once it says what that is.
    pub adapts: bool,
    /// What the keys are.
    pub keymap: Keymap,
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
    /// The order of stories.
    pub sort: Sort,
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

/// A step along an object's events that takes its time.
#[derive(Clone, Debug)]
pub struct Walk {
    pub(crate) neighbour: traces::Neighbour,
    pub(crate) object: Subject,
    pub(crate) toward: Toward,
    /// Whether the step before was one, too: together they are one step of history.
    pub(crate) was_walking: bool,
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
    /// The event that a walk along an object goes to, while it is looked for.
    pub(crate) walk: Option<Walk>,
    pub(crate) prompt: Option<Prompt>,
    /// Commands that are still to be run.
    pub(crate) script: VecDeque<String>,
    /// What is to be copied.
    pub(crate) clipboard: String,
    /// The help, while it is shown.
    pub(crate) help: Option<Help>,
    /// The first key of a pair, while the second one is waited for.
    pub(crate) prefix: Option<char>,
    /// Whether that is waited for long enough to say what it may be.
    pub(crate) hesitates: bool,
    /// How much of the screen the pane with the keys has.
    pub(crate) room: Room,
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
                rows: finding_rows(
                    &verdict,
                    &BTreeSet::new(),
                    None,
                    &Hiding::default(),
                    Sort::new(By::Told),
                ),
                sort: Sort::new(By::Told),
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
            walk: None,
            prompt: None,
            script: VecDeque::new(),
            clipboard: String::new(),
            help: None,
            prefix: None,
            hesitates: false,
            room: Room::Shared,
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

    /// What the keys are.
    pub fn keymap(&self) -> &Keymap {
        &self.look.keymap
    }

    /// The key of an action in the pane that has the keys, as it is written.
    pub(crate) fn key(&self, msg: Msg) -> String {
        self.key_for(msg, self.pane_listener())
    }

    /// The key of an action for who listens.
    pub(crate) fn key_for(&self, msg: Msg, listener: Listener) -> String {
        crate::keys::key_of(msg, listener, self.look.characters, &self.look.keymap)
    }

    /// The key of an action in a pane: where that has not the keys, behind the one that gives them to it.
    pub(crate) fn key_in(&self, pane: Pane, msg: Msg) -> String {
        let key = self.key_for(msg, Listener::Pane(pane));
        match pane == self.pane {
            true => key,
            false => format!("{} {key}", self.key(Msg::Pane(Toward::Next))),
        }
    }

    /// Who gets the next key.
    pub fn listener(&self) -> Listener {
        if self.live.asks {
            Listener::Question
        } else if let Some(help) = &self.help {
            if help.rule.is_some() {
                Listener::Page
            } else if help.is_typing {
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
        } else if self.walk.is_some()
            || self.is_filtering()
            || self.is_gathering_lanes()
            || self.timeline.seeking.is_some()
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
                keymap: &self.look.keymap,
                room: self.room,
                rows: {
                    let panes = crate::layout::panes_of(self.view);
                    [0, 1].map(|at| panes.get(at).map_or(0, |pane| self.len_of(*pane)))
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
}
