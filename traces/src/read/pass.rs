//! All events of a recording in causal order, one after the other, as often as somebody wants them.

use std::cell::Cell;

use super::order::{Merge, Plan};
use super::stream::{Script, Source, Stream};
use super::{Gathered, Loose, ReadError, gather, put_ends};
use crate::event::{Event, EventId, What};
use crate::input::Input;
use crate::model::Facts;
use crate::recording::{LocatedLoss, Recording};
use crate::scopes::ScopeTracker;
use crate::stack::StackId;
use crate::watch::{Counter, Stage, Watch};

/// A recording that was looked through once, and can be gone through event by event.
pub(crate) struct Reader<'a> {
    /// All but what is known of single events: their call stacks, and the losses among them.
    pub(crate) recording: Recording,
    pub(crate) facts: Facts,
    /// How many events there are.
    pub(crate) events: u64,
    sources: Vec<Source<'a>>,
    scripts: Vec<Script>,
    plan: Plan,
    is_by_batch: Box<dyn Fn(u32) -> bool>,
    is_changed: Cell<bool>,
}

impl<'a> Reader<'a> {
    /// Looks through the inputs, and keeps so many words of their chunks in memory.
    pub(crate) fn open(inputs: &[Input<'a>], keep_words: usize) -> Result<Self, ReadError> {
        Self::open_watched(inputs, keep_words, &|_| {})
    }

    /// The same, telling how far it has come.
    pub(crate) fn open_watched(
        inputs: &[Input<'a>],
        keep_words: usize,
        watch: Watch<'_>,
    ) -> Result<Self, ReadError> {
        let mut gathered = gather(inputs, keep_words)?;
        put_ends(&mut gathered);
        let Gathered {
            recording,
            facts,
            sources,
            scripts,
            ..
        } = gathered;
        let processes = recording.processes.iter();
        let by_batch: Vec<bool> = processes.map(|process| process.times_by_batch).collect();
        let mut reader = Self {
            is_by_batch: Box::new(move |process| by_batch.get(process as usize) == Some(&true)),
            events: scripts.iter().map(|script| script.events).sum(),
            recording,
            facts,
            sources,
            scripts,
            plan: Plan::default(),
            is_changed: Cell::new(false),
        };
        // Time is right within a lane, so that of one lane nothing can be moved.
        if reader.recording.lanes.len() > 1 {
            let watched = || -> Box<dyn Iterator<Item = Loose> + '_> {
                let mut counter = Counter::new(watch, Stage::Ordering, reader.events);
                Box::new(reader.merged().inspect(move |_| counter.one_more()))
            };
            reader.plan = Plan::make(watched, &reader.is_by_batch);
        }
        Ok(reader)
    }

    /// Whether what was read is not what it was at first, because somebody still writes it: then what was
    /// gone through is no whole.
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed.get()
    }

    /// Goes through all events.
    pub(crate) fn pass(&self) -> Pass<'_> {
        let plan = self.plan.clone();
        Pass {
            ordered: plan.carry_out(self.merged(), &self.is_by_batch),
            first_ns: None,
            until_ns: i64::MAX,
            count: 0,
            scopes: ScopeTracker::default(),
            losses: Vec::new(),
        }
    }

    /// In the order of time.
    fn merged(&self) -> Box<dyn Iterator<Item = Loose> + '_> {
        let is_sorted = self.scripts.iter().all(|script| script.is_sorted);
        if let ([script], true) = (self.scripts.as_slice(), is_sorted)
            && let Some(source) = self.sources.get(script.source)
        {
            return Box::new(Stream::new(source, script, &self.is_changed));
        }
        let lanes = self.scripts.iter().filter_map(|script| self.lane(script));
        Box::new(Merge::new(lanes.collect()))
    }

    /// One lane in the order of time.
    fn lane<'s>(&'s self, script: &'s Script) -> Option<Lane<'s>> {
        let source = self.sources.get(script.source)?;
        let stream = Stream::new(source, script, &self.is_changed);
        if script.is_sorted {
            return Some(Lane::Sorted(Box::new(stream)));
        }
        // A clock went back: no lane of a sane file is like that, so it may take memory.
        let mut events: Vec<Loose> = stream.collect();
        // Stable: what is of one time keeps its place.
        events.sort_by_key(|event| event.at_ns);
        Some(Lane::Unsorted(events.into_iter()))
    }
}

/// A lane's events in the order of time.
enum Lane<'a> {
    Sorted(Box<Stream<'a>>),
    Unsorted(std::vec::IntoIter<Loose>),
}

impl Iterator for Lane<'_> {
    type Item = Loose;

    #[inline]
    fn next(&mut self) -> Option<Loose> {
        match self {
            Self::Sorted(stream) => stream.next(),
            Self::Unsorted(events) => events.next(),
        }
    }
}

/// All events, one after the other, each with its call stack.
pub(crate) struct Pass<'a> {
    ordered: Box<dyn Iterator<Item = Loose> + 'a>,
    first_ns: Option<i64>,
    /// `CLOCK_MONOTONIC` in ns, after which it ends.
    until_ns: i64,
    count: u64,
    scopes: ScopeTracker,
    losses: Vec<LocatedLoss>,
}

impl Pass<'_> {
    /// The same, up to the first event after `until_ns` by `CLOCK_MONOTONIC`.
    pub(crate) fn until(self, until_ns: i64) -> Self {
        Self { until_ns, ..self }
    }

    /// `CLOCK_MONOTONIC` of the first event, in ns.
    pub(crate) fn began_ns(&self) -> i64 {
        self.first_ns.unwrap_or(0)
    }

    /// Where records were missing on the way.
    pub(crate) fn losses(self) -> Vec<LocatedLoss> {
        self.losses
    }
}

impl Iterator for Pass<'_> {
    type Item = (Event, StackId);

    #[inline]
    fn next(&mut self) -> Option<(Event, StackId)> {
        let Loose {
            at_ns,
            process,
            lane,
            what,
            stack,
        } = self.ordered.next()?;
        if at_ns > self.until_ns {
            self.ordered = Box::new(std::iter::empty());
            return None;
        }
        let id = EventId(self.count);
        self.count += 1;
        if let What::Lost(loss) = what {
            self.losses.push(LocatedLoss {
                event: id,
                process,
                lane,
                loss,
            });
        }
        let scope = self.scopes.step(process, lane, &what);
        let first_ns = *self.first_ns.get_or_insert(at_ns);
        // In order, so never before the first; a hostile clock may be centuries after it.
        let since = i128::from(at_ns) - i128::from(first_ns);
        let at_ns = u64::try_from(since.max(0)).unwrap_or(u64::MAX);
        let event = Event {
            id,
            at_ns,
            process,
            lane,
            scope,
            what,
        };
        Some((event, stack))
    }
}
