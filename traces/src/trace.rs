//! All of a trace behind one door: read it, look at its events, ask for the verdict and for names.

use std::cell::Cell;
use std::ops::Range;

use crate::biography::Biography;
use crate::event::{Event, EventId};
use crate::events::{Events, MakeAside};
use crate::finding::{Subject, Verdict};
use crate::input::Input;
use crate::lookup::Lookup;
use crate::model::course::{self, Again, Witness};
use crate::model::{Facts, Foreseen, Judged};
use crate::names::Names;
use crate::read::{Beside, Company, KEEP_WORDS, Lent, ReadError, Reader};
use crate::recording::{LocatedLoss, Recording};
use crate::source::Sources;
use crate::stack::{Known, StackId};
use crate::text::TextError;
use crate::watch::{Counter, Stage, Watch};

/// Events that are at hand, gone through as if they were not.
struct Whole<'a> {
    events: &'a [Event],
    losses: &'a [LocatedLoss],
}

impl Again for Whole<'_> {
    fn pass(&self, witness: &mut impl Witness) -> Option<Vec<LocatedLoss>> {
        for event in self.events {
            witness.event(event, StackId(0), Foreseen::default());
        }
        Some(self.losses.to_vec())
    }

    fn began_ns(&self) -> i64 {
        0
    }
}

/// What a reader reads anew each time, and who is told.
struct Watched<'r, 'w> {
    reader: &'r Reader<'w>,
    company: Company<'r, 'w>,
    /// Up to when, and since when, by `CLOCK_MONOTONIC`.
    until_ns: i64,
    began_ns: Cell<i64>,
    /// They were gone through once.
    is_again: Cell<bool>,
}

impl Again for Watched<'_, '_> {
    fn pass(&self, witness: &mut impl Witness) -> Option<Vec<LocatedLoss>> {
        let mut pass = self.reader.pass_with(self.company, self.until_ns);
        let stage = if self.is_again.get() {
            Stage::Fetching
        } else {
            Stage::Judging
        };
        let mut counter = Counter::new(self.company.watch, stage, self.reader.events);
        while pass.fill() {
            let rows = pass.batch();
            let count = rows.len();
            witness.soon(rows);
            while let Some(lent) = pass.next() {
                match lent {
                    Lent::Pointers(pointers) => witness.pointers(&pointers),
                    Lent::Other(loose, foreseen) => {
                        witness.event(&loose.event, loose.stack, foreseen);
                    }
                }
            }
            counter.more(count, || witness.found());
        }
        self.began_ns.set(pass.began_ns());
        let losses = pass.finish()?;
        self.is_again.set(true);
        Some(losses)
    }

    fn began_ns(&self) -> i64 {
        self.began_ns.get()
    }
}

/// A recording that was read and judged.
#[derive(Debug)]
pub struct Trace {
    pub(crate) recording: Recording,
    pub(crate) events: Events,
    pub(crate) judged: Judged,
    pub(crate) functions: Known,
    pub(crate) sources: Sources,
    pub(crate) lookup: Lookup,
}

impl Trace {
    /// Reads process files and bundles as one recording.
    ///
    /// What can be read is read; what cannot is in [`Recording::problems`]. It fails only where
    /// there is nothing to show.
    pub fn read(inputs: &[Input<'_>]) -> Result<Self, ReadError> {
        Self::read_until(inputs, i64::MAX)
    }

    /// As [`Trace::read`], and tells `watch` how far it has come.
    pub fn read_watched(inputs: &[Input<'_>], watch: Watch<'_>) -> Result<Self, ReadError> {
        Self::read_beside(inputs, watch, None)
    }

    /// As [`Trace::read_watched`], with the help of somebody who does work on another thread: chunks are read there
    /// before they are asked for. What comes of it is the same.
    pub fn read_beside<'a>(
        inputs: &[Input<'a>],
        watch: Watch<'_>,
        beside: Option<Beside<'_, 'a>>,
    ) -> Result<Self, ReadError> {
        Self::read_with(inputs, i64::MAX, Company { watch, beside })
    }

    fn read_with<'a>(
        inputs: &[Input<'a>],
        until_ns: i64,
        company: Company<'_, 'a>,
    ) -> Result<Self, ReadError> {
        let (recording, facts, events) = crate::read::read(inputs, until_ns, company)?;
        Ok(Self::judge(recording, facts, events, company.watch))
    }

    /// As [`Trace::read_watched`], for who looks at any of the events, but at few at once: they take some ten bytes
    /// each, and where that is much, they lie in the room that `make` makes. [`Trace::trim`] is to be called now and
    /// then. Events that cannot be read back from that room when they are judged are all kept in memory instead.
    pub fn read_paged(
        inputs: &[Input<'_>],
        until_ns: i64,
        make: MakeAside,
        watch: Watch<'_>,
    ) -> Result<Self, ReadError> {
        Self::read_paged_beside(inputs, until_ns, make, watch, None)
    }

    /// As [`Trace::read_paged`], with help: see [`Trace::read_beside`].
    pub fn read_paged_beside<'a>(
        inputs: &[Input<'a>],
        until_ns: i64,
        make: MakeAside,
        watch: Watch<'_>,
        beside: Option<Beside<'_, 'a>>,
    ) -> Result<Self, ReadError> {
        let company = Company { watch, beside };
        // What somebody still writes has to be kept as it was when it was looked through.
        let keep = if until_ns == i64::MAX {
            KEEP_WORDS
        } else {
            usize::MAX
        };
        let mut reader = Reader::open_with(inputs, keep, company)?;
        loop {
            let mut recording = reader.recording.clone();
            let again = Watched {
                reader: &reader,
                company,
                until_ns,
                began_ns: Cell::new(0),
                is_again: Cell::new(false),
            };
            let facts = &reader.facts;
            let paged = course::judge_paged(&mut recording, facts, &again, make, watch);
            let Some((judged, events)) = paged else {
                // What was put aside cannot be read back; the files can.
                return Self::read_with(inputs, until_ns, company);
            };
            if !reader.is_changed() {
                recording.began_ns = again.began_ns.get();
                return Ok(Self::with(recording, events, judged));
            }
            reader = Reader::open_with(inputs, usize::MAX, company)?;
        }
    }

    /// Damages the page of an event of a trace whose pages lie in memory, as [`Trace::parse_text`] makes one. Nothing
    /// but tests calls it, of what a viewer shows where events cannot be read back; where all events are at hand, or pages
    /// lie in a file aside, it does nothing.
    #[doc(hidden)]
    pub fn damage(&mut self, at: EventId) {
        self.events.damage(at);
    }

    /// Lets go of events that were looked at and can be had again.
    pub fn trim(&mut self) {
        self.events.trim();
    }

    /// As [`Trace::read`], without what happened after `until_ns` by `CLOCK_MONOTONIC`.
    ///
    /// For a recording that is still written: its lanes are read one after the other, so that what one of them
    /// tells of may have its beginning in one that was read before. Of the time before reading began all is there.
    pub fn read_until(inputs: &[Input<'_>], until_ns: i64) -> Result<Self, ReadError> {
        Self::read_with(inputs, until_ns, Company::none())
    }

    /// A trace without anything in it: what there is to show before one was read.
    pub fn empty() -> Self {
        Self::of(Recording::default(), Vec::new(), Judged::default())
    }

    /// Reads as [`Trace::read`] does, for the verdict alone: what is kept of the events is what findings rest
    /// on, and the lives of their subjects. Memory grows with the things that are alive, not with the
    /// recording. Findings beyond counting need all events all the same.
    pub fn check(inputs: &[Input<'_>]) -> Result<Self, ReadError> {
        Self::check_watched(inputs, &|_| {})
    }

    /// As [`Trace::check`], and tells `watch` how far it has come.
    pub fn check_watched(inputs: &[Input<'_>], watch: Watch<'_>) -> Result<Self, ReadError> {
        Self::check_beside(inputs, watch, None)
    }

    /// As [`Trace::check_watched`], with help: see [`Trace::read_beside`].
    pub fn check_beside<'a>(
        inputs: &[Input<'a>],
        watch: Watch<'_>,
        beside: Option<Beside<'_, 'a>>,
    ) -> Result<Self, ReadError> {
        let company = Company { watch, beside };
        let reader = Reader::open_with(inputs, KEEP_WORDS, company)?;
        let mut recording = reader.recording.clone();
        let again = Watched {
            reader: &reader,
            company,
            until_ns: i64::MAX,
            began_ns: Cell::new(0),
            is_again: Cell::new(false),
        };
        let judged = course::judge(&mut recording, &reader.facts, &again);
        match judged {
            Some((judged, events)) if !reader.is_changed() => {
                Ok(Self::of(recording, events, judged))
            }
            // Somebody still writes it: what is read has to be kept.
            _ => Self::read_with(inputs, i64::MAX, company),
        }
    }

    /// As [`Trace::check`], without what happened after `until_ns` by `CLOCK_MONOTONIC`: see [`Trace::read_until`].
    pub fn check_until(inputs: &[Input<'_>], until_ns: i64) -> Result<Self, ReadError> {
        // What somebody still writes has to be kept as it was when it was looked through.
        let reader = Reader::open(inputs, usize::MAX)?;
        let mut recording = reader.recording.clone();
        let again = Watched {
            reader: &reader,
            company: Company::none(),
            until_ns,
            began_ns: Cell::new(0),
            is_again: Cell::new(false),
        };
        match course::judge(&mut recording, &reader.facts, &again) {
            Some((judged, events)) if !reader.is_changed() => {
                Ok(Self::of(recording, events, judged))
            }
            _ => Self::read_until(inputs, until_ns),
        }
    }

    /// As [`Trace::parse_text`], with what [`Trace::check`] keeps.
    pub fn check_text(text: &str) -> Result<Self, TextError> {
        let (mut recording, events) = crate::text::parse(text)?;
        let facts = Facts::survey(&recording, &events);
        let all = Whole {
            events: &events,
            losses: &recording.losses.clone(),
        };
        Ok(match course::judge(&mut recording, &facts, &all) {
            Some((judged, events)) => Self::of(recording, events, judged),
            None => Self::judge(recording, facts, events, &|_| {}),
        })
    }

    /// Reads as [`Trace::read`] does, and judges nothing: what the recording is made of, and how many events
    /// there are.
    pub fn survey(inputs: &[Input<'_>]) -> Result<(Recording, u64), ReadError> {
        crate::read::survey(inputs)
    }

    /// Goes through all events of files once, in causal order, and keeps and judges nothing. Says whether the files
    /// stayed what they were meanwhile: if not, somebody still writes them, and what was gone through is no whole.
    pub fn walk(inputs: &[Input<'_>], mut each: impl FnMut(&Event)) -> Result<bool, ReadError> {
        let reader = Reader::open(inputs, KEEP_WORDS)?;
        // Who was told of an event cannot be told that it comes later.
        reader.find_order();
        let mut pass = reader.pass();
        while pass.fill() {
            while let Some(lent) = pass.next() {
                match lent {
                    Lent::Pointers(pointers) => pointers.events().for_each(|event| each(&event)),
                    Lent::Other(loose, _) => each(&loose.event),
                }
            }
        }
        Ok(!reader.is_changed())
    }

    /// As [`Trace::walk`], with the model and without a rule: how many generations there were. Of use to whoever asks
    /// what each of them takes.
    pub fn follow(inputs: &[Input<'_>]) -> Result<u64, ReadError> {
        let reader = Reader::open(inputs, KEEP_WORDS)?;
        let again = Watched {
            reader: &reader,
            company: Company::none(),
            until_ns: i64::MAX,
            began_ns: Cell::new(0),
            is_again: Cell::new(false),
        };
        Ok(course::follow(&reader.recording, &reader.facts, &again))
    }

    /// Reads a trace in the language of [`crate::text`].
    pub fn parse_text(text: &str) -> Result<Self, TextError> {
        let (recording, events) = crate::text::parse(text)?;
        let facts = Facts::survey(&recording, &events);
        Ok(Self::judge(recording, facts, events, &|_| {}))
    }

    /// As [`Trace::parse_text`], with events in pages, as of [`Trace::read_paged`].
    pub fn parse_text_paged(text: &str, make: MakeAside) -> Result<Self, TextError> {
        let (mut recording, events) = crate::text::parse(text)?;
        let facts = Facts::survey(&recording, &events);
        let all = Whole {
            events: &events,
            losses: &recording.losses.clone(),
        };
        let paged = course::judge_paged(&mut recording, &facts, &all, make, &|_| {});
        Ok(match paged {
            Some((judged, paged)) => Self::with(recording, paged, judged),
            None => Self::judge(recording, facts, events, &|_| {}),
        })
    }

    /// The same with its beginning at another time of `CLOCK_MONOTONIC`, which a text does not tell: as of a recording
    /// whose oldest events are gone.
    #[must_use]
    pub fn with_beginning(mut self, began_ns: i64) -> Self {
        self.recording.began_ns = began_ns;
        self
    }

    fn judge(recording: Recording, facts: Facts, events: Vec<Event>, watch: Watch<'_>) -> Self {
        let judged = crate::model::judge(&recording, &facts, &events, watch);
        Self::of(recording, events, judged)
    }

    fn of(recording: Recording, events: Vec<Event>, mut judged: Judged) -> Self {
        let links = std::mem::take(&mut judged.links);
        Self::with(recording, Events::whole(events, links), judged)
    }

    fn with(recording: Recording, events: Events, judged: Judged) -> Self {
        let mut trace = Self {
            recording,
            events,
            judged,
            functions: Known::default(),
            sources: Sources::default(),
            lookup: Lookup::default(),
        };
        if let Some(packed) = trace.recording.packed.take() {
            trace.functions = packed.functions(&trace);
            trace.sources = packed.sources;
        }
        trace
    }

    /// The trace in the language of [`crate::text`], without its call stacks.
    pub fn to_text(&self) -> String {
        crate::text::print(&self.recording, self.events())
    }

    /// All events in causal order: the event with id `n` is at `n`. Of a trace that was only checked, those
    /// that were kept.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The event of an id.
    pub fn event(&self, id: EventId) -> Option<&Event> {
        self.events.find(id)
    }

    /// Processes, lanes, problems, losses.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// What the rules say.
    pub fn verdict(&self) -> &Verdict {
        &self.judged.verdict
    }

    /// Whether a ring, as the kernel sees it, is one that its process recorded itself: both are of one and the same
    /// operations.
    pub fn is_merged(&self, process: u32, ring: u32) -> bool {
        self.judged.merged.contains_key(&(process, ring))
    }

    /// The process's own number of a ring as the kernel sees it, where it is one that the process recorded itself.
    pub(crate) fn own_ring(&self, process: u32, ring: u32) -> Option<u32> {
        let merged = self.judged.merged.get(&(process, ring))?;
        Some(merged.own_ring())
    }

    /// The part of the verdict that concerns a scope of a process, and the scopes within it: what an
    /// assertion of a test asks for.
    pub fn verdict_for_scope(&self, process: u32, scope: u32) -> Verdict {
        let parents = &self.judged.scope_parents;
        self.verdict().filtered(|owner, inner| {
            owner == process && crate::model::within(parents, process, inner, scope)
        })
    }

    /// What a scope of a process did so far, the scopes within it included.
    pub fn numbers_of_scope(&self, process: u32, scope: u32) -> crate::Numbers {
        crate::numbers::numbers(self, process, scope)
    }

    /// What things are called.
    pub fn names(&self) -> Names<'_> {
        Names {
            recording: &self.recording,
            objects: &self.judged.objects,
        }
    }

    /// What an event says, in one line: its kind, aliases with generations, hex, its place in the
    /// source, its call stack where that was recorded. Without time and thread.
    pub fn describe(&self, event: &Event) -> String {
        crate::describe::describe(self, event)
    }

    /// As [`Trace::describe`], without the call stack.
    pub fn describe_alone(&self, event: &Event) -> String {
        crate::describe::what(self, event)
    }

    /// The name of a subject: `Conn#12 0x55d0c2e0@3`, `operation #4812 (ring 0, slot 7, NOP)`,
    /// `coroutine 9`, `cookie 0x7 on ring 0`.
    pub fn name_of(&self, subject: Subject) -> String {
        crate::describe::name_of(self, subject, None)
    }

    /// The same, for who knows an event of its life: what the name says is found sooner.
    pub fn name_of_near(&self, subject: Subject, part: Option<EventId>) -> String {
        crate::describe::name_of(self, subject, part)
    }

    /// What an event is about: the generation for pointers, the operation for submissions and
    /// completions, the coroutine for polls.
    pub fn subject_of(&self, event: EventId) -> Option<Subject> {
        crate::biography::subject_of(self, event)
    }

    /// Goes through some of the events, each with what it is about: see [`Trace::subject_of`].
    pub fn each(&self, ids: Range<usize>, mut each: impl FnMut(&Event, Option<Subject>)) {
        self.events.each_with(ids, |event, link| {
            each(event, crate::biography::about(self, event, link));
        });
    }

    /// All that an event touches: what it is about first, then the pointer, operation or coroutine that it
    /// belongs to besides.
    pub fn subjects_of(&self, event: EventId) -> Vec<Subject> {
        crate::biography::subjects_of(self, event)
    }

    /// Every event of a subject's life, its neighbours, and what rules said about it.
    pub fn biography(&self, subject: Subject) -> Biography {
        crate::biography::biography(self, subject)
    }

    /// The events of [`Trace::biography`], in causal order.
    pub fn events_of(&self, subject: Subject) -> Vec<EventId> {
        crate::lives::events_of(self, subject)
    }

    /// The first of them.
    pub fn first_event_of(&self, subject: Subject) -> Option<EventId> {
        crate::lives::first_of(self, subject)
    }

    /// The one behind another event, or else the nearest one before it: but for claims of slots, and enters.
    pub fn event_of_beside(&self, subject: Subject, at: EventId, next: bool) -> Option<EventId> {
        crate::lives::beside(self, subject, at, next)
    }
}
