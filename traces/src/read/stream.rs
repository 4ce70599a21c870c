//! The records of a lane as events, one after the other, as often as somebody wants to go through them.
//!
//! What had to be found out first is in a [`Script`]: which chunks there are and how far they were written,
//! whose records they hold, and where losses stand between them. A chunk that fits into what may be kept in
//! memory is kept; any other is read again, and where it is not what it was, the stream ends and says so:
//! somebody still writes the file.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use wire::payload::word;
use wire::record::{Header, Kind, State};

use super::ahead::Ahead;
use super::clock::{Line, NearFrom};
use super::file::{Body, ChunkRef, File};
use super::records::{self, Ids, Submissions};
use super::{Lend, Loose, Row};
use crate::event::{StringId, What};
use crate::stack::StackId;

/// Rows that are decoded at once, and events beside them: what fits into the nearest cache.
const BATCH: usize = 128;
const OTHERS: usize = 64;

/// A process file, and what its records refer to.
pub(super) struct Source<'a> {
    pub(super) file: Arc<File<'a>>,
    pub(super) ids: Ids,
    pub(super) line: Line,
    pub(super) process: u32,
    pub(super) by_batch: bool,
}

/// What is known of a lane of a file before its records are gone through.
#[derive(Debug)]
pub(super) struct Script {
    /// Whose it is, by number.
    pub(super) source: usize,
    /// The thread that it belongs to until its records say otherwise.
    pub(super) tid: u32,
    pub(super) pieces: Vec<Piece>,
    /// Events that no record stands for, each with the number of events before it.
    pub(super) extra: Vec<(u64, Loose)>,
    /// Lanes of the recording, each from an event on.
    pub(super) lanes: Vec<(u64, u32)>,
    /// Events in all.
    pub(super) events: u64,
    /// Whether no event is earlier than the one before it.
    pub(super) is_sorted: bool,
}

/// A chunk as far as it was written.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) chunk: ChunkRef,
    /// A word behind the beginning of the last record.
    pub(super) until: usize,
    /// Records before that.
    pub(super) records: u64,
    pub(super) length: usize,
    /// Its words, where they are kept.
    pub(super) body: Option<Rc<Body>>,
    /// Its number among what is read each time that events are gone through, where it is not kept.
    pub(super) job: usize,
}

impl Piece {
    /// Words that were there.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl Script {
    pub(super) fn new(source: usize, tid: u32) -> Self {
        Self {
            source,
            tid,
            pieces: Vec::new(),
            extra: Vec::new(),
            lanes: Vec::new(),
            events: 0,
            is_sorted: true,
        }
    }

    /// A lane with one event that no record stands for.
    pub(super) fn of_one(source: usize, event: Loose) -> Self {
        Self {
            lanes: vec![(0, event.lane())],
            extra: vec![(0, event)],
            events: 1,
            ..Self::new(source, 0)
        }
    }
}

/// Whose an event is.
pub(super) enum Whose {
    /// It only says again what is known.
    Nobodys,
    /// It says again whose lane this is, and what that thread is called.
    Same(StringId),
    /// It says that from itself on the lane is another thread's.
    Threads(u32, StringId),
    /// The lane's.
    Lanes,
}

/// When it is, in a lane.
#[derive(Clone, Copy)]
pub(super) struct Now {
    line: Line,
    /// What the ticks of records count from, and how they become times, where that is simple.
    pub(super) base: u64,
    near: Option<NearFrom>,
    /// The ticks of the record at hand, and its time.
    pub(super) ticks: u64,
    pub(super) ns: i64,
    /// By batch: a record of an older batch may lie behind one with a time of its own, and came later.
    floor_ns: i64,
    by_batch: bool,
}

impl Now {
    /// From here on ticks count from another base.
    pub(super) fn set_base(&mut self, base: u64) {
        self.base = base;
        self.near = self.line.near_from(base);
    }

    /// Goes on to a record that is no base of its own.
    #[inline(always)]
    fn tick(&mut self, header: Header) {
        self.ticks = self.base.saturating_add(u64::from(header.delta_ticks()));
        self.ns = match self.near {
            Some(near) => near.at(header.delta_ticks()),
            None => self.line.at(self.ticks),
        };
    }

    /// The time of the next event.
    #[inline]
    pub(super) fn time(&mut self) -> i64 {
        if !self.by_batch {
            return self.ns;
        }
        self.floor_ns = self.floor_ns.max(self.ns);
        self.floor_ns
    }

    /// The times of the next records, as far as each tells of a pointer and nothing else: how many those are.
    #[inline]
    fn times(&mut self, records: &[[u64; 3]], rows: &mut [Row]) -> usize {
        let mut count = 0usize;
        let near = self.near;
        for ([header, _, _], row) in records.iter().zip(rows.iter_mut()) {
            let header = Header(*header);
            if !records::tells_of_pointer(header) {
                break;
            }
            row.at_ns = match near {
                Some(near) => near.at(header.delta_ticks()),
                None => {
                    let ticks = self.base.saturating_add(u64::from(header.delta_ticks()));
                    self.line.at(ticks)
                }
            };
            count += 1;
        }
        if let Some([header, _, _]) = count.checked_sub(1).and_then(|last| records.get(last)) {
            self.tick(Header(*header));
        }
        if self.by_batch {
            for row in rows.iter_mut().take(count) {
                self.ns = row.at_ns;
                row.at_ns = self.time();
            }
        }
        count
    }
}

/// What is carried from one record of a lane to the next.
pub(super) struct Reading {
    pub(super) now: Now,
    scope: u32,
    /// The thread, where it is known.
    tid: Option<u32>,
    submissions: Submissions,
}

impl Reading {
    pub(super) fn new(source: &Source<'_>, now_ns: i64) -> Self {
        Self {
            now: Now {
                line: source.line,
                base: 0,
                near: None,
                ticks: 0,
                ns: now_ns,
                floor_ns: i64::MIN,
                by_batch: source.by_batch,
            },
            scope: 0,
            tid: None,
            submissions: Submissions::default(),
        }
    }

    /// Puts the events that a record stands for in the place of some that have nothing to drop: how many there are, and the
    /// call stack of both.
    #[inline]
    pub(super) fn record(
        &mut self,
        source: &Source<'_>,
        header: Header,
        words: &[u64],
        to: [&mut What; 2],
    ) -> (usize, StackId) {
        let kind = header.kind();
        self.tick(kind, header, words);
        let ids = &source.ids;
        let submissions = &mut self.submissions;
        let (words, stack) = ids.take_stack(header, words);
        let count = match kind {
            Some(Kind::LeakSubmit) => {
                records::leak_submit(ids, submissions, header, words, to);
                2
            }
            Some(Kind::CompleteReclaim) => {
                records::complete_reclaim(ids, header, words, to);
                2
            }
            _ => {
                let [first, _] = to;
                records::event(ids, submissions, header, words, first).into()
            }
        };
        (count, stack)
    }

    /// A chunk begins, which can be read alone.
    #[inline]
    pub(super) fn begin_chunk(&mut self, ticks: u64) {
        self.now.set_base(ticks);
        self.submissions.begin_chunk();
    }

    /// The clock goes on to a record.
    #[inline]
    fn tick(&mut self, kind: Option<Kind>, header: Header, words: &[u64]) {
        if kind == Some(Kind::Time) {
            self.now.set_base(word(words, 0));
            self.now.ticks = self.now.base;
            self.now.ns = self.now.line.at(self.now.ticks);
        } else {
            self.now.tick(header);
        }
    }

    /// Whose an event is; from then on it is taken for granted.
    #[inline]
    pub(super) fn whose(&mut self, what: &What) -> Whose {
        match *what {
            // Every chunk says again whose it is; only a change is an event.
            What::Thread { tid, name } if self.tid == Some(tid) => Whose::Same(name),
            What::Thread { tid, name } => {
                self.scope = 0;
                Whose::Threads(tid, name)
            }
            What::ScopeEnter { scope } if scope == self.scope => Whose::Nobodys,
            What::ScopeEnter { scope } | What::ScopeBegin { scope, .. } => {
                self.scope = scope;
                Whose::Lanes
            }
            // What it goes back to is the scope's parent: let the next record say so.
            What::ScopeEnd { .. } => {
                self.scope = u32::MAX;
                Whose::Lanes
            }
            _ => Whose::Lanes,
        }
    }

    /// The lane is a thread's from here on.
    pub(super) fn taken_over(&mut self, tid: u32) {
        self.tid = Some(tid);
        self.now.floor_ns = i64::MIN;
    }

    /// As [`Reading::taken_over`], where nobody has it yet.
    #[inline]
    fn belong(&mut self, tid: u32) {
        if self.tid.is_none() {
            self.taken_over(tid);
        }
    }
}

/// Goes through a lane once.
pub(super) struct Stream<'a> {
    source: &'a Source<'a>,
    script: &'a Script,
    reading: Reading,
    /// The next piece.
    piece: usize,
    body: Words,
    at: usize,
    until: usize,
    records: u64,
    /// The next event that no record stands for, and the number of events before it.
    extra: usize,
    extra_at: u64,
    decoded: Decoded<'a>,
    /// Set where a chunk is not what it was.
    is_changed: &'a Cell<bool>,
    /// Who reads chunks ahead.
    ahead: Option<Rc<Ahead<'a>>>,
}

/// The words of the piece at hand.
enum Words {
    Kept(Rc<Body>),
    Read(Body),
}

impl Default for Words {
    fn default() -> Self {
        Self::Read(Body::default())
    }
}

impl Words {
    #[inline]
    fn words(&self) -> &[u64] {
        match self {
            Self::Kept(body) => body.words(),
            Self::Read(body) => body.words(),
        }
    }
}

/// Events of a lane that were decoded, and whose they are.
struct Decoded<'a> {
    script: &'a Script,
    /// Rows of the batch.
    filled: usize,
    /// Room for the events that some of them leave it to: they are written where others were before. So many of it are
    /// events, lent up to the next one.
    others: Vec<Loose>,
    others_filled: usize,
    others_next: usize,
    /// Some of them may have something to drop.
    has_lists: bool,
    /// Events so far, and the number of them before the next lane.
    events: u64,
    lanes: usize,
    lane_at: u64,
    lane: u32,
}

impl Decoded<'_> {
    /// Makes room for the next batch, with nothing in it that has something to drop.
    #[inline]
    fn clear(&mut self) {
        self.filled = 0;
        (self.others_filled, self.others_next) = (0, 0);
        if std::mem::take(&mut self.has_lists) {
            for event in &mut self.others {
                event.event.what.take();
            }
        }
    }

    fn is_full(&self) -> bool {
        self.filled >= BATCH || self.others_filled >= OTHERS
    }

    /// Room for what the next record says.
    #[inline]
    fn next_two(&mut self) -> Option<[&mut What; 2]> {
        if self.others_filled + 2 > self.others.len() {
            let room = self.others_filled + 2;
            self.others.resize_with(room, Loose::blank);
        }
        match self.others.get_mut(self.others_filled..)? {
            [first, second, ..] => Some([&mut first.event.what, &mut second.event.what]),
            _ => None,
        }
    }

    /// What was put into the next room is the next event.
    #[inline]
    fn keep(&mut self, rows: &mut [Row], at_ns: i64, process: u32, stack: StackId) {
        let place = (process, self.lane_now());
        let room = self.others.get_mut(self.others_filled);
        if let (Some(event), Some(row)) = (room, rows.get_mut(self.filled)) {
            let what = event.put(at_ns, place, stack);
            self.has_lists |= matches!(what, What::Suspend { .. } | What::Other { .. });
            *row = Row::of_other(at_ns, place, what);
            self.others_filled += 1;
            self.filled += 1;
            self.events += 1;
        }
    }

    /// The lane that the next event is of.
    #[inline]
    fn lane_now(&mut self) -> u32 {
        if self.lane_at <= self.events {
            self.lane_of_next();
        }
        self.lane
    }

    /// How many events of that lane there is room for, up to a number of events.
    #[inline]
    fn room(&self, until: u64) -> usize {
        let more = self.lane_at.min(until).saturating_sub(self.events);
        let more = usize::try_from(more).unwrap_or(usize::MAX);
        more.min(BATCH.saturating_sub(self.filled))
    }

    /// Takes over the lane that the next event is of.
    #[cold]
    fn lane_of_next(&mut self) {
        while self.lane_at <= self.events {
            if let Some((_, lane)) = self.script.lanes.get(self.lanes) {
                self.lane = *lane;
            }
            self.lanes += 1;
            let next = self.script.lanes.get(self.lanes);
            self.lane_at = next.map_or(u64::MAX, |lane| lane.0);
        }
    }
}

impl<'a> Stream<'a> {
    pub(super) fn new(
        source: &'a Source<'a>,
        script: &'a Script,
        is_changed: &'a Cell<bool>,
        ahead: Option<Rc<Ahead<'a>>>,
    ) -> Self {
        Self {
            source,
            script,
            reading: Reading::new(source, 0),
            piece: 0,
            body: Words::default(),
            at: 0,
            until: 0,
            records: 0,
            extra: 0,
            extra_at: script.extra.first().map_or(u64::MAX, |extra| extra.0),
            decoded: Decoded {
                script,
                filled: 0,
                others: Vec::new(),
                others_filled: 0,
                others_next: 0,
                has_lists: false,
                events: 0,
                lanes: 0,
                lane_at: script.lanes.first().map_or(u64::MAX, |lane| lane.0),
                lane: u32::MAX,
            },
            is_changed,
            ahead,
        }
    }

    /// Decodes the next records as far as each tells of a pointer and nothing else: all that [`Reading::record`] does with
    /// them, where it makes no detour.
    #[inline(always)]
    fn pointers(&mut self, rows: &mut [Row]) {
        let words = self.body.words();
        let is_plain = |word: &u64| records::tells_of_pointer(Header(*word));
        if self.at >= self.until || !words.get(self.at).is_some_and(is_plain) {
            return;
        }
        // The last record begins in front of `until`.
        let words = words.get(..words.len().min(self.until.saturating_add(2)));
        let words = words.and_then(|words| words.get(self.at..));
        let records = words.unwrap_or_default().as_chunks().0;
        let (source, decoded) = (self.source, &mut self.decoded);
        let place = (source.process, decoded.lane_now());
        let free = rows.get_mut(decoded.filled..).unwrap_or_default();
        let most = decoded.room(self.extra_at).min(free.len());
        let room = free.get_mut(..most).unwrap_or_default();
        self.reading.belong(self.script.tid);
        // Times first: with all in one loop, what it carries on does not fit into registers.
        let count = self.reading.now.times(records, room);
        for (row, [header, address, named]) in room.iter_mut().zip(records).take(count) {
            let record = (Header(*header), *address, *named);
            records::put_row(&source.ids, record, place, row);
        }
        decoded.filled += count;
        decoded.events += count as u64;
        self.at += 3 * count;
        self.records += count as u64;
    }

    /// Takes in the next event that no record stands for; whether there was one.
    #[cold]
    fn extra(&mut self, rows: &mut [Row]) -> bool {
        let Some((_, event)) = self.script.extra.get(self.extra) else {
            return false;
        };
        // The clock stands where it stood when the loss was found, and times by batch do not go back.
        self.reading.belong(self.script.tid);
        self.reading.now.ns = event.at_ns;
        self.reading.now.time();
        self.extra += 1;
        let next = self.script.extra.get(self.extra);
        self.extra_at = next.map_or(u64::MAX, |extra| extra.0);
        if let Some([what, _]) = self.decoded.next_two() {
            *what = event.what().clone();
        }
        let process = event.process();
        self.decoded.keep(rows, event.at_ns, process, event.stack);
        true
    }

    /// Decodes the next record; whether there was one.
    #[inline]
    fn record(&mut self, rows: &mut [Row]) -> bool {
        while self.at >= self.until {
            if !self.next_piece() {
                return false;
            }
        }
        let body = self.body.words();
        let Some(header) = body.get(self.at).map(|word| Header(*word)) else {
            return self.change();
        };
        let end = self.at.saturating_add(header.words());
        let Some(words) = body.get(self.at + 1..end) else {
            return self.change();
        };
        self.at = end;
        match header.state() {
            Some(State::Committed) => {}
            Some(State::Aborted) => {
                self.reading.submissions.begin_chunk();
                return true;
            }
            Some(State::Reserved) | None => return self.change(),
        }
        self.records += 1;
        let (source, script) = (self.source, self.script);
        let (reading, decoded) = (&mut self.reading, &mut self.decoded);
        let Some(to) = decoded.next_two() else {
            return false;
        };
        let (count, stack) = reading.record(source, header, words, to);
        for _ in 0..count {
            let Some(event) = decoded.others.get_mut(decoded.others_filled) else {
                break;
            };
            let what = &mut event.event.what;
            if let What::Other { .. } = what {
                source.ids.translate(what);
            }
            match reading.whose(what) {
                Whose::Nobodys | Whose::Same(_) => return true,
                Whose::Threads(tid, _) => reading.taken_over(tid),
                Whose::Lanes => reading.belong(script.tid),
            }
            decoded.keep(rows, reading.now.time(), source.process, stack);
        }
        true
    }

    fn next_piece(&mut self) -> bool {
        if let Some(before) = self.piece.checked_sub(1)
            && let Some(before) = self.script.pieces.get(before)
            && before.records != self.records
        {
            return self.change();
        }
        let Some(piece) = self.script.pieces.get(self.piece) else {
            return false;
        };
        self.piece += 1;
        self.records = 0;
        (self.at, self.until) = (0, piece.until);
        self.reading.begin_chunk(piece.chunk.ticks);
        if let Some(body) = &piece.body {
            self.body = Words::Kept(Rc::clone(body));
            return true;
        }
        let mut body = match std::mem::take(&mut self.body) {
            Words::Read(body) => body,
            Words::Kept(_) => Body::default(),
        };
        let read = match &self.ahead {
            Some(ahead) => ahead.read(piece.job, &mut body),
            None => self.source.file.body(&piece.chunk, &mut body),
        };
        let is_there = matches!(read, Ok(Some(_))) && body.words().len() >= piece.until;
        self.body = Words::Read(body);
        is_there || self.change()
    }

    /// Ends the stream, because a chunk is not what it was.
    fn change(&mut self) -> bool {
        self.is_changed.set(true);
        self.piece = usize::MAX;
        self.at = self.until;
        false
    }
}

impl Lend for Stream<'_> {
    #[inline(never)]
    fn fill(&mut self, rows: &mut Vec<Row>) -> usize {
        self.decoded.clear();
        if rows.is_empty() {
            // A lane may have few events, and a hostile file many such lanes. Each record may stand for two events.
            let events = usize::try_from(self.script.events).unwrap_or(usize::MAX);
            rows.resize(events.min(BATCH) + 1, Loose::blank().row());
        }
        while !self.decoded.is_full() {
            self.pointers(rows);
            let is_extra_next = self.extra_at <= self.decoded.events;
            if (is_extra_next || !self.record(rows)) && !self.extra(rows) {
                break;
            }
        }
        self.decoded.filled
    }

    #[inline]
    fn other(&mut self) -> Option<&mut Loose> {
        let decoded = &mut self.decoded;
        if decoded.others_next >= decoded.others_filled {
            return None;
        }
        let event = decoded.others.get_mut(decoded.others_next)?;
        decoded.others_next += 1;
        Some(event)
    }
}
