//! All events of a recording in causal order, one after the other, as often as somebody wants them.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use super::ahead::{Ahead, Beside, Job};
use super::order::{self, Doubt, Events, Merge, Plan};
use super::stream::{Script, Source, Stream};
use super::{
    Company, Gathered, Lend, Loose, ReadError, Ready, Row, Taken, Told, gather, merge_calls,
    put_ends, since, up_to,
};
use crate::event::{Event, EventId, What};
use crate::input::Input;
use crate::model::{Facts, Foreseen};
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
    /// How events come into their causal order, once that is known.
    plan: OnceCell<Plan>,
    /// It is known that the order of time is not the causal one.
    is_contradicted: Cell<bool>,
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
        let reader = Self {
            is_by_batch: Box::new(move |process| by_batch.get(process as usize) == Some(&true)),
            events: scripts.iter().map(|script| script.events).sum(),
            recording,
            facts,
            sources,
            scripts,
            jobs,
            plan: OnceCell::new(),
            is_contradicted: Cell::new(false),
            is_changed: Cell::new(false),
        };
        // Time is right within a lane, so that of one lane nothing can be moved.
        if reader.recording.lanes.len() <= 1 {
            reader.plan.get_or_init(Plan::default);
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
        self.pass_with(Company::none(), i64::MAX)
    }

    /// The same with company, up to a time by `CLOCK_MONOTONIC`, which is the same each time.
    pub(crate) fn pass_with(&self, company: Company<'_, 'a>, until_ns: i64) -> Pass<'_> {
        if self.is_contradicted.get() {
            self.plan.get_or_init(|| self.find_plan(company));
        }
        let merged = self.merged(company.beside);
        let plan = self.plan.get();
        let ordered = match plan.filter(|plan| !plan.is_empty()) {
            None => merged,
            Some(plan) => {
                let events = plan.clone().carry_out(merged, &self.is_by_batch);
                Ordered::Mended(Mended::new(events))
            }
        };
        Pass {
            ordered,
            rows: Vec::new(),
            next: 0,
            end: 0,
            filled: 0,
            first_ns: None,
            until_ns,
            is_over: false,
            count: 0,
            scopes: ScopeTracker::default(),
            losses: Vec::new(),
            doubt: plan.is_none().then(Box::default),
            reader: self,
        }
    }

    /// Finds out in which order events have to be gone through, so that nobody has to begin anew.
    pub(crate) fn find_order(&self) {
        if self.plan.get().is_none() {
            let mut pass = self.pass();
            while pass.fill() {
                while pass.next().is_some() {}
            }
            pass.finish();
        }
    }

    /// Whether some rows contradict each other, or what was before them.
    fn is_doubtful(&self, doubt: &mut Doubt, rows: &[Row]) -> bool {
        let any_by_batch = !self.facts.by_batch.is_empty();
        rows.iter().any(|row| {
            let ordered = !any_by_batch || !(self.is_by_batch)(row.process);
            doubt.sees(row, None, ordered)
        })
    }

    #[cold]
    fn find_plan(&self, company: Company<'_, 'a>) -> Plan {
        let watched = || Counted {
            events: self.merged(company.beside),
            counter: Counter::new(company.watch, Stage::Ordering, self.events),
        };
        Plan::make(watched, &self.is_by_batch, self.facts.has_resumes)
    }

    /// In the order of time.
    fn merged(&self, beside: Option<Beside<'_, 'a>>) -> Ordered<'_> {
        let ahead = Ahead::begin(Arc::clone(&self.jobs), beside).map(Rc::new);
        let scripts = self.scripts.iter();
        let lanes = scripts.filter_map(|script| self.lane(script, ahead.clone()));
        let mut lanes: Vec<Lane<'_>> = lanes.collect();
        match (lanes.pop(), lanes.is_empty()) {
            (Some(only), true) => Ordered::One(only),
            (last, _) => {
                lanes.extend(last);
                Ordered::Several(Merge::new(lanes))
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
        let mut events: Vec<Loose> = Taken::new(stream).collect();
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
    fn fill(&mut self, rows: &mut Vec<Row>) -> usize {
        match self {
            Self::Sorted(stream) => stream.fill(rows),
            Self::Unsorted(events) => events.fill(rows),
        }
    }

    #[inline]
    fn other(&mut self) -> Option<&mut Loose> {
        match self {
            Self::Sorted(stream) => stream.other(),
            Self::Unsorted(events) => events.other(),
        }
    }
}

/// Events that are counted for whoever waits.
struct Counted<'a, L> {
    events: L,
    counter: Counter<'a>,
}

impl<L: Lend> Lend for Counted<'_, L> {
    fn fill(&mut self, rows: &mut Vec<Row>) -> usize {
        let count = self.events.fill(rows);
        self.counter.more(count, Found::default);
        count
    }

    fn other(&mut self) -> Option<&mut Loose> {
        self.events.other()
    }
}

/// All events in some order.
enum Ordered<'a> {
    /// Of one lane, in the order of time.
    One(Lane<'a>),
    /// Of several, in the order of time.
    Several(Merge<Lane<'a>>),
    /// Something had to be moved.
    Mended(Mended<'a>),
}

impl Lend for Ordered<'_> {
    fn fill(&mut self, rows: &mut Vec<Row>) -> usize {
        match self {
            Self::One(lane) => lane.fill(rows),
            Self::Several(merge) => merge.fill(rows),
            Self::Mended(mended) => mended.fill(rows),
        }
    }

    #[inline]
    fn other(&mut self) -> Option<&mut Loose> {
        match self {
            Self::One(lane) => lane.other(),
            Self::Several(merge) => merge.other(),
            Self::Mended(mended) => mended.batch.other(),
        }
    }
}

/// Events that were moved, so many at a time.
struct Mended<'a> {
    events: Events<'a>,
    batch: Ready,
}

const MENDED: usize = 64;

impl<'a> Mended<'a> {
    fn new(events: Events<'a>) -> Self {
        let batch = Ready::new(Vec::new());
        Self { events, batch }
    }

    fn fill(&mut self, rows: &mut Vec<Row>) -> usize {
        self.batch = Ready::new(self.events.by_ref().take(MENDED).collect());
        self.batch.fill(rows)
    }
}

/// All events, one after the other.
pub(crate) struct Pass<'a> {
    ordered: Ordered<'a>,
    /// The batch at hand, the next one in it, and where it ends: behind that are rows that are too late, if any.
    rows: Vec<Row>,
    next: usize,
    end: usize,
    filled: usize,
    first_ns: Option<i64>,
    /// `CLOCK_MONOTONIC` in ns, after which it ends.
    until_ns: i64,
    is_over: bool,
    count: u64,
    scopes: ScopeTracker,
    losses: Vec<LocatedLoss>,
    /// Set where it is not known yet whether the order of time is the causal one.
    doubt: Option<Box<Doubt>>,
    reader: &'a Reader<'a>,
}

/// The next events.
pub(crate) enum Lent<'p> {
    /// That tell of pointers.
    Pointers(Pointers<'p>),
    /// One, which may be taken apart, and where the model will find its address.
    Other(&'p mut Loose, Foreseen),
}

/// Events that tell of pointers, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Pointers<'p> {
    pub(crate) rows: &'p [Row],
    /// Number of the first of them.
    pub(crate) first: EventId,
    /// When the recording began.
    pub(crate) first_ns: i64,
}

impl Pointers<'_> {
    /// Each as an event.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        let numbered = (self.first.0..).zip(self.rows);
        numbered.map(|(id, row)| row.event(EventId(id), self.first_ns))
    }
}

impl Pass<'_> {
    /// Goes on to the next batch; whether there is one.
    pub(crate) fn fill(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        self.filled = self.ordered.fill(&mut self.rows);
        let rows = self.rows.get(..self.filled).unwrap_or_default();
        (self.next, self.end) = (0, up_to(rows, self.until_ns));
        self.is_over = self.end < self.filled || self.end == 0;
        self.end > 0
    }

    /// All of the batch, before anything of it is given.
    #[inline]
    pub(crate) fn batch(&mut self) -> &mut [Row] {
        self.rows.get_mut(..self.end).unwrap_or_default()
    }

    /// The next events of the batch, if there are more.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Lent<'_>> {
        let rows = self.rows.get(self.next..self.end)?;
        let first = rows.first()?;
        let first_ns = *self.first_ns.get_or_insert(first.at_ns);
        let id = EventId(self.count);
        if first.told == Told::Other {
            return self.other(id, first_ns);
        }
        let others = rows.iter().position(|row| row.told == Told::Other);
        let count = others.unwrap_or(rows.len());
        if let Some(doubt) = &mut self.doubt
            && let Some(rows) = rows.get(..count)
            && self.reader.is_doubtful(doubt, rows)
        {
            self.reader.is_contradicted.set(true);
            (self.is_over, self.end) = (true, 0);
            return None;
        }
        let rows = self.rows.get_mut(self.next..self.next + count)?;
        self.next += rows.len();
        self.count += rows.len() as u64;
        self.scopes.of_rows(rows);
        Some(Lent::Pointers(Pointers {
            rows,
            first: id,
            first_ns,
        }))
    }

    #[inline(always)]
    fn other(&mut self, id: EventId, first_ns: i64) -> Option<Lent<'_>> {
        let row = self.rows.get(self.next)?;
        self.next += 1;
        self.count += 1;
        let loose = self.ordered.other()?;
        if let Some(doubt) = &mut self.doubt
            && doubt.sees(row, Some(loose), !(self.reader.is_by_batch)(row.process))
        {
            self.reader.is_contradicted.set(true);
            (self.is_over, self.end) = (true, 0);
            return None;
        }
        let event = &mut loose.event;
        event.id = id;
        event.at_ns = since(first_ns, row.at_ns);
        event.scope = if scopes::changes(&event.what) {
            if let What::Lost(loss) = event.what {
                self.losses.push(LocatedLoss {
                    event: id,
                    process: event.process,
                    lane: event.lane,
                    loss,
                });
            }
            self.scopes.step(event.process, event.lane, &event.what)
        } else {
            self.scopes.of(event.process, event.lane)
        };
        Some(Lent::Other(loose, row.foreseen))
    }

    /// `CLOCK_MONOTONIC` of the first event, in ns.
    pub(crate) fn began_ns(&self) -> i64 {
        self.first_ns.unwrap_or(0)
    }

    /// Once all was gone through: where records were missing on the way. Nothing where it turned out that the order of time
    /// is not the causal one: the next pass has another order.
    pub(crate) fn finish(mut self) -> Option<Vec<LocatedLoss>> {
        if self.until_ns < i64::MAX {
            self.look_beyond();
        }
        if self.doubt.is_some() {
            if self.reader.is_contradicted.get() {
                return None;
            }
            self.reader.plan.get_or_init(Plan::default);
        }
        Some(self.losses)
    }

    /// What comes just after the time up to which it goes may belong in front of what was there.
    fn look_beyond(&mut self) {
        let Some(doubt) = &mut self.doubt else {
            return;
        };
        let until_ns = self.until_ns.saturating_add(order::UNCERTAIN_NS);
        while !self.reader.is_contradicted.get() {
            if self.next >= self.filled {
                (self.next, self.filled) = (0, self.ordered.fill(&mut self.rows));
            }
            let rest = self.rows.get(self.next..self.filled).unwrap_or_default();
            let Some(row) = rest.first().filter(|row| row.at_ns <= until_ns) else {
                return;
            };
            self.next += 1;
            let is_other = row.told == Told::Other;
            let other = if is_other { self.ordered.other() } else { None };
            let ordered = !(self.reader.is_by_batch)(row.process);
            if doubt.sees(row, other.as_deref(), ordered) {
                self.reader.is_contradicted.set(true);
            }
        }
    }
}
