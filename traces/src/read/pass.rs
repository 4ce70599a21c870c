//! All events of a recording in causal order, one after the other, as often as somebody wants them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::ahead::{Ahead, Beside, Job};
use super::order::{Events, Merge, Plan};
use super::stream::{Script, Source, Stream};
use super::{
    Company, Gathered, Lend, Loose, ReadError, Ready, Taken, gather, merge_calls, put_ends,
};
use crate::event::{EventId, What};
use crate::input::Input;
use crate::model::Facts;
use crate::recording::{LocatedLoss, Recording};
use crate::scopes::{self, ScopeTracker};
use crate::watch::{Counter, Found, Stage};

/// A recording that was looked through once, and can be gone through event by event.
pub(crate) struct Reader<'a> {
    /// All but what is known of single events: their call stacks, and the losses among them.
    pub(crate) recording: Recording,
    pub(crate) facts: Facts,
    /// How many events there are.
    pub(crate) events: u64,
    sources: Vec<Source<'a>>,
    scripts: Vec<Script>,
    /// The chunks that are read each time, about in the order in which they are asked for.
    jobs: Arc<[Job<'a>]>,
    plan: Plan,
    is_by_batch: Box<dyn Fn(u32) -> bool>,
    is_changed: Cell<bool>,
}

impl<'a> Reader<'a> {
    /// Looks through the inputs, and keeps so many words of their chunks in memory.
    pub(crate) fn open(inputs: &[Input<'a>], keep_words: usize) -> Result<Self, ReadError> {
        Self::open_with(inputs, keep_words, Company::none())
    }

    /// The same with somebody who is told how far it has come, or who helps.
    pub(crate) fn open_with(
        inputs: &[Input<'a>],
        keep_words: usize,
        company: Company<'_, 'a>,
    ) -> Result<Self, ReadError> {
        let mut gathered = gather(inputs, keep_words, company)?;
        put_ends(&mut gathered);
        gathered.recording.find_namesakes();
        merge_calls(&mut gathered);
        let Gathered {
            recording,
            facts,
            sources,
            mut scripts,
            ..
        } = gathered;
        let jobs = jobs(&sources, &mut scripts);
        let processes = recording.processes.iter();
        let by_batch: Vec<bool> = processes.map(|process| process.times_by_batch).collect();
        let mut reader = Self {
            is_by_batch: Box::new(move |process| by_batch.get(process as usize) == Some(&true)),
            events: scripts.iter().map(|script| script.events).sum(),
            recording,
            facts,
            sources,
            scripts,
            jobs,
            plan: Plan::default(),
            is_changed: Cell::new(false),
        };
        // Time is right within a lane, so that of one lane nothing can be moved.
        if reader.recording.lanes.len() > 1 {
            let watched = || Counted {
                events: reader.merged(company.beside),
                counter: Counter::new(company.watch, Stage::Ordering, reader.events),
            };
            let has_resumes = reader.facts.has_resumes;
            reader.plan = Plan::make(watched, &reader.is_by_batch, has_resumes);
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
        self.pass_with(None)
    }

    /// The same with the help of somebody.
    pub(crate) fn pass_with(&self, beside: Option<Beside<'_, 'a>>) -> Pass<'_> {
        let ordered = if self.plan.is_empty() {
            Ordered::ByTime(self.merged(beside))
        } else {
            let plan = self.plan.clone();
            Ordered::Mended(plan.carry_out(self.merged(beside), &self.is_by_batch), None)
        };
        Pass {
            ordered,
            first_ns: None,
            until_ns: i64::MAX,
            count: 0,
            scopes: ScopeTracker::default(),
            losses: Vec::new(),
        }
    }

    /// In the order of time.
    fn merged(&self, beside: Option<Beside<'_, 'a>>) -> Merged<'_> {
        let ahead = Ahead::begin(Arc::clone(&self.jobs), beside).map(Rc::new);
        let scripts = self.scripts.iter();
        let lanes = scripts.filter_map(|script| self.lane(script, ahead.clone()));
        let mut lanes: Vec<Lane<'_>> = lanes.collect();
        match (lanes.pop(), lanes.is_empty()) {
            (Some(only), true) => Merged::One(only),
            (last, _) => {
                lanes.extend(last);
                Merged::Several(Merge::new(lanes))
            }
        }
    }

    /// One lane in the order of time.
    fn lane<'s>(&'s self, script: &'s Script, ahead: Option<Rc<Ahead<'s>>>) -> Option<Lane<'s>> {
        let source = self.sources.get(script.source)?;
        let stream = Stream::new(source, script, &self.is_changed, ahead);
        if script.is_sorted {
            return Some(Lane::Sorted(Box::new(stream)));
        }
        // A clock went back: no lane of a sane file is like that, so it may take memory.
        let mut events: Vec<Loose> = Taken(stream).collect();
        // Stable: what is of one time keeps its place.
        events.sort_by_key(|event| event.at_ns);
        Some(Lane::Unsorted(Ready::new(events)))
    }
}

/// The chunks that are not kept, about in the order in which they are asked for: of each lane one, and then each where the
/// one before it ends. Their pieces are told their places in there.
fn jobs<'a>(sources: &[Source<'a>], scripts: &mut [Script]) -> Arc<[Job<'a>]> {
    let mut order: Vec<(i64, Job<'a>, &mut usize)> = Vec::new();
    for script in scripts {
        let Some(source) = sources.get(script.source) else {
            continue;
        };
        let pieces = script.pieces.iter_mut().enumerate();
        for (number, piece) in pieces.filter(|(_, piece)| piece.body.is_none()) {
            let asked_ns = match number {
                0 => i64::MIN,
                _ => source.line.at(piece.chunk.ticks),
            };
            let job = Job {
                file: Arc::clone(&source.file),
                chunk: piece.chunk,
            };
            order.push((asked_ns, job, &mut piece.job));
        }
    }
    // Stable: what is of one time keeps its place.
    order.sort_by_key(|(asked_ns, ..)| *asked_ns);
    let numbered = order.into_iter().enumerate();
    let jobs = numbered.map(|(number, (_, job, place))| {
        *place = number;
        job
    });
    jobs.collect()
}

/// A lane's events in the order of time.
enum Lane<'a> {
    Sorted(Box<Stream<'a>>),
    Unsorted(Ready),
}

impl Lend for Lane<'_> {
    #[inline]
    fn next_ns(&mut self) -> Option<i64> {
        match self {
            Self::Sorted(stream) => stream.next_ns(),
            Self::Unsorted(events) => events.next_ns(),
        }
    }

    #[inline]
    fn lend(&mut self) -> Option<&mut Loose> {
        match self {
            Self::Sorted(stream) => stream.lend(),
            Self::Unsorted(events) => events.lend(),
        }
    }

    #[inline]
    fn run(&mut self, until_ns: i64) -> &mut [Loose] {
        match self {
            Self::Sorted(stream) => stream.run(until_ns),
            Self::Unsorted(events) => events.run(until_ns),
        }
    }

    #[inline]
    fn fresh(&mut self) -> &mut [Loose] {
        match self {
            Self::Sorted(stream) => stream.fresh(),
            Self::Unsorted(events) => events.fresh(),
        }
    }
}

/// The events of all lanes in the order of time.
enum Merged<'a> {
    One(Lane<'a>),
    Several(Merge<Lane<'a>>),
}

impl Lend for Merged<'_> {
    #[inline]
    fn next_ns(&mut self) -> Option<i64> {
        match self {
            Self::One(lane) => lane.next_ns(),
            Self::Several(merge) => merge.next_ns(),
        }
    }

    #[inline]
    fn lend(&mut self) -> Option<&mut Loose> {
        match self {
            Self::One(lane) => lane.lend(),
            Self::Several(merge) => merge.lend(),
        }
    }

    #[inline]
    fn run(&mut self, until_ns: i64) -> &mut [Loose] {
        match self {
            Self::One(lane) => lane.run(until_ns),
            Self::Several(merge) => merge.run(until_ns),
        }
    }

    #[inline]
    fn fresh(&mut self) -> &mut [Loose] {
        match self {
            Self::One(lane) => lane.fresh(),
            Self::Several(merge) => merge.fresh(),
        }
    }
}

/// Events that are counted for whoever waits.
struct Counted<'a, L> {
    events: L,
    counter: Counter<'a>,
}

impl<L: Lend> Lend for Counted<'_, L> {
    fn next_ns(&mut self) -> Option<i64> {
        self.events.next_ns()
    }

    fn lend(&mut self) -> Option<&mut Loose> {
        let lent = self.events.lend();
        if lent.is_some() {
            self.counter.more(1, Found::default);
        }
        lent
    }

    fn run(&mut self, until_ns: i64) -> &mut [Loose] {
        let run = self.events.run(until_ns);
        self.counter.more(run.len(), Found::default);
        run
    }

    fn fresh(&mut self) -> &mut [Loose] {
        self.events.fresh()
    }
}

/// All events in their causal order.
enum Ordered<'a> {
    /// Which is the order of time.
    ByTime(Merged<'a>),
    /// Something had to be moved; with the event that is lent.
    Mended(Events<'a>, Option<Loose>),
}

impl Ordered<'_> {
    #[inline]
    fn run(&mut self) -> &mut [Loose] {
        match self {
            Self::ByTime(merged) => merged.run(i64::MAX),
            Self::Mended(events, lent) => {
                *lent = events.next();
                lent.as_mut_slice()
            }
        }
    }
}

/// All events, one after the other.
pub(crate) struct Pass<'a> {
    ordered: Ordered<'a>,
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

    /// The next events, as many as are at hand, which may be taken apart; none at the end.
    #[inline]
    pub(crate) fn run(&mut self) -> &mut [Loose] {
        let mut run = self.ordered.run();
        let is_late = |loose: &Loose| loose.at_ns > self.until_ns;
        if self.until_ns < i64::MAX
            && let Some(end) = run.iter().position(is_late)
        {
            // Nothing comes behind it, whatever there is.
            self.until_ns = i64::MIN;
            run = run.get_mut(..end).unwrap_or_default();
        }
        let Some(first) = run.first() else {
            return run;
        };
        let first_ns = *self.first_ns.get_or_insert(first.at_ns);
        // Whose the event before was, and for what it worked, where it changed nothing about that.
        let mut same = None;
        for (id, Loose { at_ns, event, .. }) in (self.count..).zip(run.iter_mut()) {
            event.id = EventId(id);
            // In order, so never before the first; a hostile clock may be centuries after it.
            event.at_ns = at_ns.abs_diff(first_ns.min(*at_ns));
            let place = (event.process, event.lane);
            let is_change = scopes::changes(&event.what);
            event.scope = match same {
                Some((before, scope)) if before == place && !is_change => scope,
                _ => {
                    if let What::Lost(loss) = event.what {
                        self.losses.push(LocatedLoss {
                            event: event.id,
                            process: event.process,
                            lane: event.lane,
                            loss,
                        });
                    }
                    self.scopes.step(event.process, event.lane, &event.what)
                }
            };
            same = (!is_change).then_some((place, event.scope));
        }
        self.count += run.len() as u64;
        run
    }

    /// Events that come soon, in about this order: those that were decoded since somebody asked last.
    #[inline]
    pub(crate) fn fresh(&mut self) -> &mut [Loose] {
        match &mut self.ordered {
            Ordered::ByTime(merged) => merged.fresh(),
            Ordered::Mended(..) => &mut [],
        }
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
