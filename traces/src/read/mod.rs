//! Files into events.
//!
//! Reading order: [`bundle`] (several files in one), `blocks` (a process file at rest), `columns` (how a
//! chunk is packed), `sum` (the checksum of that), `file` (header, chunks), `ahead` (which are read before
//! somebody asks), `records` (words into events), `lanes` (a first look at the streams of threads, and what they
//! lost), `stream` (their events one after the other), `clock` (ticks into time), `order` (one causal order over
//! all lanes), `pass` (all events in that order, as often as somebody wants them).
//!
//! Nothing in a file is believed: lengths come from the input itself, every index is checked, and what
//! is damaged is left out and reported alone.

mod ahead;
mod blocks;
pub mod bundle;
mod clock;
mod columns;
mod file;
mod lanes;
mod order;
mod pass;
mod records;
mod stream;
mod sum;

use std::sync::Arc;

use rustc_hash::FxHashMap;
use wire::layout;
use wire::record::Owner;

use crate::event::{Event, EventId, Pointer, SiteId, TypeId, What};
use crate::input::{Input, ReadAt, read_full};
use crate::model::{Facts, Foreseen};
use crate::watch::{Counter, Found, Stage, Step, Watch};
pub use ahead::{Beside, Work};
pub(crate) use pass::{Lent, Pointers, Reader};

use crate::recording::{Ended, Process, Recording, Seen};
use crate::stack::StackId;
use crate::untrusted::{Untrusted, tty};
use stream::{Script, Source};

/// Why nothing could be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}: {message}")]
pub struct ReadError {
    /// Name of the input.
    pub source_name: String,
    /// What is wrong, where, and what to do next.
    pub message: String,
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Told {
    /// [`What::Leak`]
    Leak,
    /// [`What::Reclaim`]
    Reclaim,
    /// [`What::Peek`]
    Peek,
    /// [`What::Retain`]
    Retain,
    /// [`What::Release`]
    Release,
    /// Any event that is put together elsewhere.
    Other,
}

/// An event in few words: all that it says, if it tells of a pointer and stands on no stack, as most do. Of any other one
/// when it was and whose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// `CLOCK_MONOTONIC` in ns, or what stands for it.
    pub(crate) at_ns: i64,
    /// The address that it is about, of those events for which the model looks for one; else 0.
    pub(crate) address: u64,
    pub(crate) ty: TypeId,
    pub(crate) site: SiteId,
    pub(crate) process: u32,
    pub(crate) lane: u32,
    /// What it belongs to, where that was found out.
    pub(crate) scope: u32,
    /// Where the model will find its address, as far as that is known before.
    pub(crate) foreseen: Foreseen,
    pub(crate) told: Told,
    pub(crate) owner: Owner,
}

const _: () = assert!(size_of::<Row>() <= 48);

impl Row {
    /// A row that says of an event when it was and whose.
    #[inline]
    pub(crate) fn of_other(at_ns: i64, (process, lane): (u32, u32), what: &What) -> Self {
        Self {
            at_ns,
            address: what.asks_for(),
            ty: TypeId(0),
            site: SiteId(0),
            process,
            lane,
            scope: 0,
            foreseen: Foreseen::default(),
            told: Told::Other,
            owner: Owner::Unknown,
        }
    }

    /// The same event as one that tells of a pointer, if it does.
    #[inline]
    pub(crate) fn of_pointer(event: &Event) -> Option<Self> {
        let (told, pointer) = match &event.what {
            What::Leak(pointer) => (Told::Leak, pointer),
            What::Reclaim(pointer) => (Told::Reclaim, pointer),
            What::Peek(pointer) => (Told::Peek, pointer),
            What::Retain(pointer) => (Told::Retain, pointer),
            What::Release(pointer) => (Told::Release, pointer),
            _ => return None,
        };
        Some(Self {
            at_ns: 0,
            address: pointer.address,
            ty: pointer.ty,
            site: pointer.site,
            process: event.process,
            lane: event.lane,
            scope: event.scope,
            foreseen: Foreseen::default(),
            told,
            owner: pointer.owner,
        })
    }

    /// The pointer that it tells of.
    #[inline]
    pub(crate) fn pointer(&self) -> Pointer {
        Pointer {
            address: self.address,
            owner: self.owner,
            ty: self.ty,
            site: self.site,
        }
    }

    /// What it says, if it is no other's.
    fn what(&self) -> What {
        let pointer = self.pointer();
        match self.told {
            Told::Leak => What::Leak(pointer),
            Told::Reclaim => What::Reclaim(pointer),
            Told::Peek => What::Peek(pointer),
            Told::Retain => What::Retain(pointer),
            Told::Release => What::Release(pointer),
            Told::Other => What::Done { coroutine: 0 },
        }
    }

    /// The event of a number, in a recording that began at a time.
    pub(crate) fn event(&self, id: EventId, first_ns: i64) -> Event {
        Event {
            id,
            at_ns: since(first_ns, self.at_ns),
            process: self.process,
            lane: self.lane,
            scope: self.scope,
            what: self.what(),
        }
    }
}

/// Nanoseconds since the first event. In order, so never before that; a hostile clock may be centuries after it.
#[inline]
pub(crate) fn since(first_ns: i64, at_ns: i64) -> u64 {
    at_ns.abs_diff(first_ns.min(at_ns))
}

/// An event whose place in the causal order is not known yet.
#[derive(Clone, Debug)]
pub(crate) struct Loose {
    /// `CLOCK_MONOTONIC` in ns, or what stands for it.
    at_ns: i64,
    pub(crate) stack: StackId,
    /// All but its number, its time since the first one, and its scope.
    pub(crate) event: Event,
}

impl Loose {
    #[inline]
    pub(crate) fn new(at_ns: i64, (process, lane): (u32, u32), what: What, stack: StackId) -> Self {
        let event = Event {
            id: EventId(0),
            at_ns: 0,
            process,
            lane,
            scope: 0,
            what,
        };
        Self {
            at_ns,
            stack,
            event,
        }
    }

    /// Another event in the room of one that nobody looks at any more.
    #[inline(always)]
    fn put(&mut self, at_ns: i64, (process, lane): (u32, u32), stack: StackId) -> &mut What {
        self.at_ns = at_ns;
        self.stack = stack;
        self.event.process = process;
        self.event.lane = lane;
        &mut self.event.what
    }

    /// Room for an event.
    fn blank() -> Self {
        Self::new(0, (0, 0), What::Done { coroutine: 0 }, StackId(0))
    }

    /// Its row, which leaves it to the event to say what it says.
    fn row(&self) -> Row {
        Row::of_other(self.at_ns, (self.process(), self.lane()), self.what())
    }

    fn process(&self) -> u32 {
        self.event.process
    }

    fn lane(&self) -> u32 {
        self.event.lane
    }

    fn what(&self) -> &What {
        &self.event.what
    }
}

/// A stream in the order of time that gives a batch of rows at a time, and lends the events that some of them leave it to,
/// each until the next batch is asked for. An event is some 120 bytes: what goes through a stream in millions is better
/// looked at where it lies, and most have no more to say than their rows.
pub(crate) trait Lend {
    /// Puts the rows of the next batch in the place of others: how many there are, and none at the end. Behind them may be
    /// anything.
    fn fill(&mut self, rows: &mut Vec<Row>) -> usize;

    /// The event of the next row that leaves it to one: who passes by such a row asks for it. What it says may be taken
    /// away.
    fn other(&mut self) -> Option<&mut Loose>;
}

/// So many events are gone through one by one before they are halved.
const FEW: usize = 4;

/// How many of some events in the order of time are no later than `until_ns`.
#[inline]
fn up_to(rows: &[Row], until_ns: i64) -> usize {
    let is_in = |row: &Row| row.at_ns <= until_ns;
    match rows.last() {
        Some(last) if !is_in(last) => {
            // Where lanes take turns it is few.
            let few = rows.iter().take(FEW).position(|row| !is_in(row));
            few.unwrap_or_else(|| rows.partition_point(is_in))
        }
        _ => rows.len(),
    }
}

/// Events that are there already, lent.
#[derive(Clone)]
struct Ready {
    events: Vec<Loose>,
    /// So many were lent.
    lent: usize,
    is_given: bool,
}

impl Ready {
    fn new(events: Vec<Loose>) -> Self {
        Self {
            events,
            lent: 0,
            is_given: false,
        }
    }
}

impl Lend for Ready {
    fn fill(&mut self, rows: &mut Vec<Row>) -> usize {
        rows.clear();
        if !std::mem::replace(&mut self.is_given, true) {
            rows.extend(self.events.iter().map(Loose::row));
        }
        rows.len()
    }

    fn other(&mut self) -> Option<&mut Loose> {
        let event = self.events.get_mut(self.lent)?;
        self.lent += 1;
        Some(event)
    }
}

/// Takes away what is lent.
struct Taken<L> {
    lender: L,
    rows: Vec<Row>,
    /// The next of so many rows.
    next: usize,
    count: usize,
}

impl<L: Lend> Taken<L> {
    fn new(lender: L) -> Self {
        Self {
            lender,
            rows: Vec::new(),
            next: 0,
            count: 0,
        }
    }
}

impl<L: Lend> Iterator for Taken<L> {
    type Item = Loose;

    fn next(&mut self) -> Option<Loose> {
        if self.next >= self.count {
            (self.next, self.count) = (0, self.lender.fill(&mut self.rows));
        }
        let row = self.rows.get(self.next..self.count)?.first()?;
        self.next += 1;
        let whose = (row.process, row.lane);
        if row.told != Told::Other {
            return Some(Loose::new(row.at_ns, whose, row.what(), StackId(0)));
        }
        let Loose { stack, event, .. } = self.lender.other()?;
        Some(Loose::new(row.at_ns, whose, event.what.take(), *stack))
    }
}

/// How the recorder saw a process end.
struct EndRecord {
    pid: u32,
    start_time: u64,
    ended: Ended,
    seen_ns: Option<i64>,
}

/// Who is there while something is read.
#[derive(Clone, Copy)]
pub(crate) struct Company<'b, 'w> {
    /// Who is told how far it has come.
    pub(crate) watch: Watch<'b>,
    /// Who does work at the same time, if anybody does.
    pub(crate) beside: Option<Beside<'b, 'w>>,
}

impl<'b> Company<'b, '_> {
    /// Of one who watches and does not help.
    pub(crate) fn watched(watch: Watch<'b>) -> Self {
        Self {
            watch,
            beside: None,
        }
    }

    /// Nobody.
    pub(crate) fn none() -> Self {
        Self::watched(&|_| {})
    }
}

/// Chunks between two steps that are told.
const LOOKS_EVERY: u64 = 16;

/// What is gathered from all inputs.
struct Gathered<'a, 'b> {
    company: Company<'b, 'a>,
    /// Chunks that were looked through, of those that are known so far.
    looked: u64,
    chunks: u64,
    recording: Recording,
    facts: Facts,
    sources: Vec<Source<'a>>,
    scripts: Vec<Script>,
    /// Words of chunks that may still be kept in memory.
    keep_words: usize,
    /// When each process's file was begun, in ns of its clock.
    begun_ns: Vec<u64>,
    ends: Vec<EndRecord>,
    /// The first process file that is there in an encoding of the future.
    unknown_encoding: Option<ReadError>,
    /// Files of processes that ended before they wrote a header: input and offset.
    unborn: Vec<(String, u64)>,
}

impl<'a, 'b> Gathered<'a, 'b> {
    fn new(keep_words: usize, company: Company<'b, 'a>) -> Self {
        Self {
            company,
            looked: 0,
            chunks: 0,
            recording: Recording::default(),
            facts: Facts::default(),
            sources: Vec::new(),
            scripts: Vec::new(),
            keep_words,
            begun_ns: Vec::new(),
            ends: Vec::new(),
            unknown_encoding: None,
            unborn: Vec::new(),
        }
    }

    /// One more chunk was looked through.
    fn looked_through(&mut self) {
        self.looked = self.looked.saturating_add(1);
        if self.looked.is_multiple_of(LOOKS_EVERY) {
            (self.company.watch)(Step {
                stage: Stage::Looking,
                done: self.looked,
                total: self.chunks,
                found: Found::default(),
            });
        }
    }

    /// Whether all that is read is kept, so that it stays what it is.
    fn keeps_all(&self) -> bool {
        self.keep_words > usize::MAX / 2
    }

    /// Whether so many more words may be kept in memory.
    fn keep(&mut self, words: usize) -> bool {
        let left = self.keep_words.checked_sub(words);
        self.keep_words = left.unwrap_or(0);
        left.is_some()
    }
}

/// All of a recording at once, up to a time by `CLOCK_MONOTONIC`. What is read is kept, so that it stays what it
/// is while somebody writes on.
pub(crate) fn read<'a>(
    inputs: &[Input<'a>],
    until_ns: i64,
    company: Company<'_, 'a>,
) -> Result<(Recording, Facts, Vec<Event>), ReadError> {
    let reader = Reader::open_with(inputs, usize::MAX, company)?;
    loop {
        let mut recording = reader.recording.clone();
        if let Some(events) = all(&reader, &mut recording, until_ns, company) {
            return Ok((recording, reader.facts, events));
        }
    }
}

/// All events up to a time, and what is known of single ones; nothing if their order turned out to be another one.
fn all<'a>(
    reader: &Reader<'a>,
    recording: &mut Recording,
    until_ns: i64,
    company: Company<'_, 'a>,
) -> Option<Vec<Event>> {
    let mut events = Vec::with_capacity(usize::try_from(reader.events).unwrap_or(0));
    let mut pass = reader.pass_with(company, until_ns);
    let mut counter = Counter::new(company.watch, Stage::Reading, reader.events);
    while pass.fill() {
        let before = events.len();
        while let Some(lent) = pass.next() {
            match lent {
                Lent::Pointers(pointers) => events.extend(pointers.events()),
                Lent::Other(Loose { event, stack, .. }, _) => {
                    recording.tables.stacks.of_event(event.id, *stack);
                    let what = event.what.take();
                    events.push(Event { what, ..*event });
                }
            }
        }
        counter.more(events.len() - before, Found::default);
    }
    recording.began_ns = pass.began_ns();
    recording.losses = pass.finish()?;
    Some(events)
}

/// Words of chunks that are kept in memory where a recording is gone through event by event: 64 MiB, what a
/// process keeps by default. What is beyond is read again each time.
pub(crate) const KEEP_WORDS: usize = 8 << 20;

/// What a recording is made of, and how many events there are.
pub(crate) fn survey(inputs: &[Input<'_>]) -> Result<(Recording, u64), ReadError> {
    let mut reader = Reader::open(inputs, KEEP_WORDS)?;
    if reader.facts.is_lossy() {
        let losses = |reader: &Reader<'_>| {
            loop {
                let mut pass = reader.pass();
                while pass.fill() {
                    while pass.next().is_some() {}
                }
                if let Some(losses) = pass.finish() {
                    break losses;
                }
            }
        };
        let mut found = losses(&reader);
        if reader.is_changed() {
            reader = Reader::open(inputs, usize::MAX)?;
            found = losses(&reader);
        }
        reader.recording.losses = found;
    }
    let Facts {
        rings, operations, ..
    } = reader.facts;
    reader.recording.seen = Seen { rings, operations };
    Ok((reader.recording, reader.events))
}

fn gather<'a, 'b>(
    inputs: &[Input<'a>],
    keep_words: usize,
    company: Company<'b, 'a>,
) -> Result<Gathered<'a, 'b>, ReadError> {
    let mut gathered = Gathered::new(keep_words, company);
    let mut failed: Vec<ReadError> = Vec::new();
    let mut unborn: Vec<ReadError> = Vec::new();
    for input in inputs {
        let fail = |message| ReadError {
            source_name: input.name.to_owned(),
            message,
        };
        match one(&mut gathered, input) {
            Ok(()) => {}
            Err(message) if is_unborn(input.bytes) => unborn.push(fail(message)),
            Err(message) => failed.push(fail(message)),
        }
    }
    if gathered.recording.processes.is_empty() {
        let known = failed.into_iter().chain(unborn).next();
        let known = known.or(gathered.unknown_encoding);
        return Err(known.unwrap_or_else(|| nothing(inputs, &gathered.recording)));
    }
    for error in failed {
        gathered
            .recording
            .problem(&error.source_name, 0, error.message);
    }
    let names = unborn.into_iter().map(|error| (error.source_name, 0));
    gathered.unborn.extend(names);
    note_unborn(&mut gathered);
    Ok(gathered)
}

/// Why there is no process: the first thing that is wrong, or that nothing is.
fn nothing(inputs: &[Input<'_>], recording: &Recording) -> ReadError {
    let Some(problem) = recording.problems.first() else {
        let first = inputs.first().map_or("no input", |input| input.name);
        return ReadError {
            source_name: first.to_owned(),
            message: "holds no recorded process: the program did not link the probe, or ended \
                      before its first record"
                .to_owned(),
        };
    };
    ReadError {
        source_name: problem.source.clone(),
        message: format!(
            "is damaged, and no process in it can be read: at {:#x}: {}",
            problem.offset, problem.message
        ),
    }
}

/// Whether a process was killed while it opened its file: the magic number is written last, and neither
/// a lane nor a chunk is taken before it.
fn is_unborn(bytes: &dyn ReadAt) -> bool {
    let mut head = vec![0; layout::chunk_offset() + layout::CHUNK_HEADER_WORDS * 8];
    let is_zero = |part: Option<&[u8]>| part.is_some_and(|part| part.iter().all(|byte| *byte == 0));
    read_full(bytes, 0, &mut head).is_ok()
        && is_zero(head.get(..layout::MAGIC.len()))
        && is_zero(head.get(layout::HEADER_BYTES..))
}

/// One note for all of them: they hide nothing, and must not crowd out what does.
fn note_unborn(gathered: &mut Gathered<'_, '_>) {
    let Some((name, offset)) = gathered.unborn.first() else {
        return;
    };
    let message = match gathered.unborn.len() - 1 {
        0 => "a process that ended before its first record".to_owned(),
        more => format!("a process that ended before its first record; and {more} more like it"),
    };
    gathered.recording.note(name, *offset, message);
}

fn one<'a>(gathered: &mut Gathered<'a, '_>, input: &Input<'a>) -> Result<(), String> {
    let len = input
        .bytes
        .len()
        .map_err(|error| format!("cannot be read: {error}"))?;
    if len == 0 {
        return Err("is empty: its recording was cut short before anything was written".to_owned());
    }
    let mut magic = [0; 8];
    let got = read_full(input.bytes, 0, &mut magic)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if magic == layout::BUNDLE_MAGIC {
        bundle::read(gathered, input, len)
    } else if magic == layout::MAGIC {
        let whole = Part {
            bytes: input.bytes,
            from: 0,
            len: u64::MAX,
        };
        file::read(gathered, input.name, Arc::new(whole), false, 0, len)
    } else {
        let begins = tty(magic.get(..got).unwrap_or_default());
        Err(format!(
            "is no trace: it begins with \"{begins}\". Record one with: tracer record -- PROGRAM"
        ))
    }
}

/// Puts end records to their processes.
fn put_ends(gathered: &mut Gathered<'_, '_>) {
    let recording = &mut gathered.recording;
    tell_replaced(&mut recording.processes, &gathered.begun_ns);
    for end in &gathered.ends {
        let fits = |process: &&mut crate::recording::Process| {
            process.pid == end.pid && process.start_time == end.start_time
        };
        for process in recording
            .processes
            .iter_mut()
            .filter(|process| fits(process))
        {
            if process.ended != Ended::Replaced {
                process.watched_until_ns = end.seen_ns;
            }
            // An image that exec replaced did not end with the process; what it said itself is more than that it is gone.
            let is_news = match end.ended {
                Ended::Unknown => false,
                Ended::Gone => process.ended == Ended::Unknown,
                _ => true,
            };
            if process.ended != Ended::Replaced && is_news {
                process.ended = end.ended;
            }
        }
    }
    if recording.records_unknown > 0 {
        // As its writers say, they change no answer.
        let count = recording.records_unknown;
        let source = recording
            .processes
            .first()
            .map(|process| process.source.clone());
        let message = format!("records of kinds that this version does not know: {count}");
        recording.note(&source.unwrap_or_default(), 0, message);
    }
}

/// What probes said of a process's functions is what that process did: its leaks and reclaims are those of the process
/// as it recorded itself, where it did.
fn merge_calls(gathered: &mut Gathered<'_, '_>) {
    for index in 0..gathered.recording.processes.len() {
        let Ok(view) = u32::try_from(index) else {
            break;
        };
        let own = gathered.recording.acting(view);
        if own == view {
            continue;
        }
        let of_view = gathered.sources.iter_mut();
        for source in of_view.filter(|source| source.process == view) {
            source.process = own;
        }
    }
}

/// Each image of a process has a file of its own, and cannot say itself that `exec` put another one in its
/// place: all but the latest of them were replaced.
fn tell_replaced(processes: &mut [Process], begun_ns: &[u64]) {
    let mut latest: FxHashMap<(u32, u64), (u64, usize)> = FxHashMap::default();
    for (index, (process, begun)) in processes.iter().zip(begun_ns).enumerate() {
        if process.start_time == 0 || process.capture.is_view() {
            continue;
        }
        let known = latest.entry((process.pid, process.start_time)).or_default();
        *known = (*known).max((*begun, index));
    }
    // A view from outside is of no image, and of all of them.
    let images = processes.iter_mut().enumerate();
    for (index, process) in images.filter(|(_, it)| !it.capture.is_view()) {
        let last = latest.get(&(process.pid, process.start_time));
        if last.is_some_and(|(_, last)| *last != index) {
            process.ended = Ended::Replaced;
        }
    }
}

/// A part of an input, read as if it were a whole one.
struct Part<'a> {
    bytes: &'a dyn ReadAt,
    from: u64,
    len: u64,
}

impl ReadAt for Part<'_> {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.len)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        match (self.from.checked_add(offset), buffer.get_mut(..wanted)) {
            (Some(at), Some(part)) if wanted > 0 => self.bytes.read_at(at, part),
            _ => Ok(0),
        }
    }
}

/// Bytes up to the first zero.
fn zero_padded(bytes: &[u8]) -> Untrusted {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    Untrusted::new(bytes.get(..end).unwrap_or_default().to_vec())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let part = at.checked_add(2).and_then(|end| bytes.get(at..end));
    part.and_then(|part| part.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let part = at.checked_add(4).and_then(|end| bytes.get(at..end));
    part.and_then(|part| part.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let part = at.checked_add(8).and_then(|end| bytes.get(at..end));
    part.and_then(|part| part.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}
