//! A first look at the chunks of a process: whose records they hold, and where records are missing.
//!
//! What is found here is a [`Script`] for each lane, by which `stream` goes through its records as often as
//! somebody wants to, without asking any of this again.
//!
//! A lane of the file may serve several threads one after the other; each of them is a lane of the
//! recording. The lane of a thread's signal handlers is merged into the thread's own by time, unless times
//! are by batch: then nothing says where between the thread's records a handler's belong.

use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use wire::layout::ChunkKind;
use wire::payload::{halves, word};
use wire::record::{Header, Kind, State, WITH_STACK};

use super::ahead::{Ahead, Job};
use super::clock::Line;
use super::file::{Body, ChunkRef, File};
use super::records::{self, Ids};
use super::stream::{Piece, Reading, Script, Source, Whose};
use super::{Gathered, Loose};
use crate::event::{Loss, LossReason, StringId, What};
use crate::recording::{Ended, Lane};
use crate::stack::StackId;

/// An entry of the lane directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneEntry {
    pub(super) is_used: bool,
    pub(super) tid: u32,
    /// Lane whose thread's signal handlers write here.
    pub(super) parent: Option<u32>,
    /// Records lost for want of room, of a lane, or for their length.
    pub(super) lost: u64,
    /// Whether most of them were lost for want of room.
    pub(super) is_full: bool,
    pub(super) last_seq: u64,
    /// Whether its latest thread had not ended.
    pub(super) is_running: bool,
}

/// Learns what the numbers of names mean.
pub(super) fn read<'a>(
    gathered: &mut Gathered<'_, '_>,
    file: File<'a>,
    process: u32,
    line: Line,
    chunks: &[ChunkRef],
) -> std::io::Result<Source<'a>> {
    let mut ids = Ids::default();
    let mut torn = 0u64;
    for chunk in chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Meta) {
        if let Some(body) = file.names(chunk)? {
            let tables = &mut gathered.recording.tables;
            let more = walk_names(&body, |header, words| {
                ids.learn(tables, process, header, words);
            });
            torn = torn.saturating_add(more);
        }
    }
    if torn > 0 {
        // Nothing refers to them: an event gets a name's number once the name is whole.
        let message = match torn {
            1 => "a name was cut off while it was written".to_owned(),
            _ => format!("{torn} names were cut off while they were written"),
        };
        gathered.recording.note(file.name, file.base, message);
    }
    ids.settle(&mut gathered.recording, process);
    Ok(Source {
        file: Arc::new(file),
        ids,
        line,
        process,
        by_batch: gathered.recording.is_by_batch(process),
    })
}

/// Looks through all lanes of a file.
pub(super) fn scan<'a>(
    gathered: &mut Gathered<'a, '_>,
    source: Source<'a>,
    entries: &[LaneEntry],
    chunks: Vec<ChunkRef>,
    no_lane: u64,
) -> std::io::Result<()> {
    let number = gathered.sources.len();
    let done = scan_lanes(gathered, &source, number, entries, chunks);
    let process = source.process;
    gathered.sources.push(source);
    let last_ns = done?;
    if no_lane != 0 {
        let lane = new_lane(gathered, process, 0, StringId(0));
        // Where a lane was never needed, there was one for every thread.
        let reason = if entries.iter().all(|entry| entry.is_used) {
            LossReason::NoLane
        } else {
            LossReason::AtStart
        };
        let loss = Loss {
            records: Some(no_lane),
            reason,
        };
        let at_ns = if last_ns == i64::MIN { 0 } else { last_ns };
        let lost = Loose::new(at_ns, (process, lane), What::Lost(loss), StackId(0));
        gathered.facts.learn(process, lane, lost.what());
        gathered.scripts.push(Script::of_one(number, lost));
    }
    Ok(())
}

/// Says when the last of their records was written.
fn scan_lanes<'a>(
    gathered: &mut Gathered<'a, '_>,
    source: &Source<'a>,
    number: usize,
    entries: &[LaneEntry],
    chunks: Vec<ChunkRef>,
) -> std::io::Result<i64> {
    let mut by_lane: FxHashMap<u32, Vec<ChunkRef>> = FxHashMap::default();
    for chunk in chunks
        .into_iter()
        .filter(|chunk| chunk.kind == ChunkKind::Event)
    {
        by_lane.entry(chunk.lane).or_default().push(chunk);
    }
    // A thread's own lane comes before the lane of its handlers, which is merged into it.
    let mut lanes: Vec<u32> = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect();
    lanes.extend(
        by_lane
            .keys()
            .copied()
            .filter(|lane| *lane as usize >= entries.len()),
    );
    lanes.sort_by_key(|lane| {
        let parent = entries.get(*lane as usize).and_then(|entry| entry.parent);
        (parent.is_some(), *lane)
    });
    let ended = gathered.recording.process(source.process);
    let is_open = ended.is_none_or(|process| process.ended == Ended::Unknown);
    let mut threads: FxHashMap<u32, u32> = FxHashMap::default();
    let mut last_ns = i64::MIN;
    // In the order in which they are looked through.
    let own = lanes.iter().filter_map(|lane| by_lane.get(lane));
    let jobs = own
        .flat_map(|chunks| numbered_once(chunks))
        .map(|chunk| Job {
            file: Arc::clone(&source.file),
            chunk: *chunk,
        });
    let jobs: Arc<[Job<'_>]> = jobs.collect();
    gathered.chunks = gathered.chunks.saturating_add(jobs.len() as u64);
    let ahead = Ahead::begin(jobs, gathered.company.beside);
    let mut job = 0;
    for lane in lanes {
        let entry = entries.get(lane as usize).copied().unwrap_or(LaneEntry {
            is_used: true,
            tid: 0,
            parent: None,
            lost: 0,
            is_full: false,
            last_seq: 0,
            is_running: false,
        });
        let chunks = by_lane.remove(&lane).unwrap_or_default();
        if chunks.is_empty() && !entry.is_used {
            continue;
        }
        if chunks.is_empty() && entry.lost == 0 && entry.last_seq == 0 {
            continue;
        }
        // All chunks of a lane may be overwritten: what is missing there is no older than the file.
        let begun = chunks
            .first()
            .map_or_else(|| source.line.begin(), |chunk| source.line.at(chunk.ticks));
        let mut scan = Scan {
            gathered,
            source,
            ahead: ahead.as_ref(),
            job: &mut job,
            threads: &mut threads,
            entry,
            lane: None,
            unplaced: Vec::new(),
            reading: Reading::new(source, begun),
            script: Script::new(number, entry.tid),
            is_open,
            last_ns: i64::MIN,
            last_ticks: None,
            is_behind: false,
        };
        let done = scan.run(&chunks);
        last_ns = last_ns.max(scan.reading.now.ns);
        let (latest, script) = (scan.lane, scan.script);
        gathered.scripts.push(script);
        done?;
        // Of several threads that wrote here, the last one is the one that may still run.
        let is_running = entry.is_running && entry.parent.is_none();
        let latest = latest.and_then(|lane| gathered.recording.lanes.get_mut(lane as usize));
        if let Some(latest) = latest {
            latest.is_running |= is_running;
        }
    }
    Ok(last_ns)
}

/// Chunks of a lane without those that have the number of the one before.
fn numbered_once(chunks: &[ChunkRef]) -> impl Iterator<Item = &ChunkRef> {
    let before = std::iter::once(0).chain(chunks.iter().map(|chunk| chunk.seq));
    let chunks = before.zip(chunks);
    chunks.filter_map(|(before, chunk)| (chunk.seq != before).then_some(chunk))
}

fn new_lane(gathered: &mut Gathered<'_, '_>, process: u32, tid: u32, thread: StringId) -> u32 {
    let index = u32::try_from(gathered.recording.lanes.len()).unwrap_or(u32::MAX);
    gathered.recording.lanes.push(Lane {
        process,
        tid,
        thread,
        has_namesake: false,
        is_running: false,
    });
    index
}

/// How many records at the beginning of some words tell of a pointer and nothing else, each no earlier than the one
/// before, and when the last one did. All are of one length: where the next one begins need not be read first.
#[inline]
fn pointers(words: &[u64], mut latest: u32) -> (usize, u32) {
    let mut count = 0;
    for [header, _, _] in words.as_chunks().0 {
        let header = Header(*header);
        let ticks = header.delta_ticks();
        if !records::tells_of_pointer(header) || ticks < latest {
            break;
        }
        latest = ticks;
        count += 1;
    }
    (count, latest)
}

/// Goes through the records of a chunk's body.
struct Walk<'b> {
    body: &'b [u64],
    at: usize,
    torn: u64,
    /// Several threads write there at once, and one that is not finished says nothing of those behind it.
    is_shared: bool,
}

impl<'b> Walk<'b> {
    fn new(body: &'b [u64]) -> Self {
        Self {
            body,
            at: 0,
            torn: 0,
            is_shared: false,
        }
    }

    /// Whether nobody wrote to what follows.
    fn is_room(&self, from: usize) -> bool {
        let rest = self.body.get(from..).unwrap_or_default();
        rest.iter().all(|word| *word == 0)
    }

    /// The next record, and where it begins; or how the body ends.
    fn next(&mut self) -> Result<(Header, usize, &'b [u64]), End> {
        loop {
            let (body, at, torn) = (self.body, self.at, self.torn);
            let Some(&first) = body.get(at) else {
                return Err(End::Room { torn });
            };
            let header = Header(first);
            if first == 0 {
                return Err(if self.is_room(at) {
                    End::Room { torn }
                } else {
                    End::Hole { at, torn, found: 0 }
                });
            }
            let words = header.words();
            let payload = at.checked_add(words).and_then(|end| body.get(at + 1..end));
            let (Some(payload), true) = (payload, words > 0) else {
                return Err(End::Broken { at, torn });
            };
            self.at = at + words;
            match header.state() {
                Some(State::Committed) => return Ok((header, at, payload)),
                Some(State::Reserved) if self.is_shared || self.is_room(self.at) => self.torn += 1,
                Some(State::Reserved) => {
                    return Err(End::Hole {
                        at,
                        torn,
                        found: first,
                    });
                }
                Some(State::Aborted) => {}
                None => return Err(End::Broken { at, torn }),
            }
        }
    }
}

/// Goes through the records of a chunk of names; says how its body ends.
fn walk(body: &[u64], mut each: impl FnMut(Header, &[u64])) -> End {
    let mut walk = Walk::new(body);
    walk.is_shared = true;
    loop {
        match walk.next() {
            Ok((header, _, words)) => each(header, words),
            Err(end) => return end,
        }
    }
}

/// Goes through a chunk of names, which has holes where a thread was killed between taking room and saying
/// so. Says how many names are cut off.
fn walk_names(mut body: &[u64], mut each: impl FnMut(Header, &[u64])) -> u64 {
    let mut all_torn = 0u64;
    loop {
        match walk(body, &mut each) {
            End::Room { torn } | End::Broken { torn, .. } => return all_torn.saturating_add(torn),
            End::Hole { at, torn, .. } => {
                let hole = body.get(at..).unwrap_or_default();
                let behind = hole.iter().position(|word| *word != 0);
                body = hole.get(behind.unwrap_or(hole.len())..).unwrap_or_default();
                all_torn = all_torn.saturating_add(torn).saturating_add(1);
            }
        }
    }
}

/// How a chunk's records end.
enum End {
    /// With room that nobody wrote to, or at the end of the chunk.
    Room { torn: u64 },
    /// With a header of zero, or of a record that is not finished, that something follows.
    Hole { at: usize, torn: u64, found: u64 },
    /// With a header that makes no sense, or a record that reaches beyond what is there.
    Broken { at: usize, torn: u64 },
}

/// Records that were counted: how many, where they end, and where the last of them begins.
struct Counted {
    records: u64,
    until: usize,
    last: usize,
}

/// Events that a record stands for, in what a kind says of its records.
const EVENTS: u32 = 3;
/// Operations are submitted.
const SUBMITS: u32 = 4;
/// Coroutines are resumed or suspended.
const RESUMES: u32 = 8;
/// Memory is freed or moved.
const MEMORY: u32 = 16;
const FREES: u32 = 32;

/// What is known of records of a kind without looking at their words; 0 where that is not enough.
#[inline]
fn says(kind: u8) -> u32 {
    static SAYS: [u32; 256] = {
        let mut says = [0; 256];
        let mut kinds = Kind::ALL;
        while let [kind, rest @ ..] = kinds {
            says[*kind as usize] = match kind {
                Kind::Leak
                | Kind::Reclaim
                | Kind::Peek
                | Kind::Retain
                | Kind::Release
                | Kind::Claim
                | Kind::Complete
                | Kind::CompleteAt
                | Kind::CompleteOf
                | Kind::Push
                | Kind::Spawn
                | Kind::Done
                | Kind::CoroutineDrop
                | Kind::Wake
                | Kind::Mark
                | Kind::Alloc
                | Kind::BorrowBegin
                | Kind::BorrowEnd
                | Kind::BufferInit
                | Kind::BufferProvide => 1,
                Kind::CompleteReclaim => 2,
                Kind::Submit | Kind::SubmitNext => 1 | SUBMITS,
                Kind::LeakSubmit => 2 | SUBMITS,
                Kind::Resume | Kind::Suspend => 1 | RESUMES,
                Kind::Free | Kind::Realloc | Kind::Unmap => 1 | FREES,
                Kind::StackPointer => 1 | MEMORY,
                _ => 0,
            };
            kinds = rest;
        }
        says
    };
    SAYS[usize::from(kind)]
}

/// One lane of the file while it is looked through.
struct Scan<'a, 'b, 'c> {
    gathered: &'a mut Gathered<'b, 'c>,
    source: &'a Source<'b>,
    /// Chunks that are read ahead, the next one to be asked for, and how many were looked through.
    ahead: Option<&'a Ahead<'b>>,
    job: &'a mut usize,
    /// Lanes of the recording by thread id, for handlers to find their thread.
    threads: &'a mut FxHashMap<u32, u32>,
    entry: LaneEntry,
    /// The recording's lane, once it is known whose it is.
    lane: Option<u32>,
    /// What was lost before that, where the directory does not say whose it is: a live file's lane may have begun
    /// after its directory was read.
    unplaced: Vec<(Option<u64>, LossReason)>,
    reading: Reading,
    script: Script,
    /// Somebody may still write the file.
    is_open: bool,
    /// Time of the latest event, and its ticks, where that is of the chunk at hand.
    last_ns: i64,
    last_ticks: Option<u64>,
    /// The latest event was only counted: its time is that of its ticks.
    is_behind: bool,
}

impl Scan<'_, '_, '_> {
    fn run(&mut self, chunks: &[ChunkRef]) -> std::io::Result<()> {
        let mut last_seq = 0;
        let mut records = 0u64;
        let mut lost = 0u64;
        let mut is_damaged = false;
        let mut body = Body::default();
        for chunk in chunks {
            if chunk.seq == last_seq {
                self.problem(
                    chunk,
                    0,
                    "a second chunk with the same number; it is left out",
                );
                self.lose(None, LossReason::Damaged);
                continue;
            }
            self.reading.now.ns = self.source.line.at(chunk.ticks);
            // Each chunk has a record at least: whose it is. So a gap is one, whatever the counts say.
            let chunks = chunk.seq.saturating_sub(last_seq).saturating_sub(1);
            let missing = chunk.records.saturating_sub(records).max(chunks);
            if chunk.seq != last_seq.saturating_add(1) {
                // A thread may be killed, or held up, between taking a chunk to recycle it and closing
                // its gate, while others recycle the chunks behind it: a gap within a lane is older than
                // what is kept, unless something is wrong with the file. Where there was still room,
                // nothing was overwritten.
                let reason = self.gap_reason(last_seq == 0)?;
                self.lose(Some(missing), reason);
            } else if is_damaged || (self.is_open && missing > 0) {
                // Of a copy that was made while its process wrote, a chunk may be older than the next one says.
                self.lose(Some(missing), LossReason::Damaged);
            }
            if chunk.lost > lost {
                self.lose(Some(chunk.lost - lost), self.counted_reason());
                lost = chunk.lost;
            }
            last_seq = chunk.seq;
            let Some(all) = self.read(chunk, &mut body)? else {
                // Recycled while we read: the next chunk that can be read says how much is gone.
                is_damaged = true;
                records = chunk.records;
                continue;
            };
            let (count, whole) = self.chunk(chunk, &mut body)?;
            records = chunk.records.saturating_add(count);
            if !all {
                let length = self.script.pieces.last().map_or(0, Piece::length);
                self.problem(chunk, length, "the file is cut off within a chunk");
            }
            is_damaged = !whole || !all;
        }
        if is_damaged {
            self.lose(None, LossReason::Damaged);
        } else if self.entry.last_seq > last_seq {
            let reason = self.gap_reason(chunks.is_empty())?;
            self.lose(None, reason);
        }
        if self.entry.lost > lost {
            self.lose(Some(self.entry.lost - lost), self.counted_reason());
        }
        if !self.unplaced.is_empty() {
            self.set_lane(self.entry.tid, StringId(0));
        }
        Ok(())
    }

    /// Reads the next chunk.
    fn read(&mut self, chunk: &ChunkRef, body: &mut Body) -> std::io::Result<Option<bool>> {
        let number = *self.job;
        *self.job += 1;
        self.gathered.looked_through();
        match self.ahead {
            Some(ahead) => ahead.read(number, body),
            None => self.source.file.body(chunk, body),
        }
    }

    /// Why chunks of the lane are missing; `oldest`: none that is older is there.
    fn gap_reason(&self, oldest: bool) -> std::io::Result<LossReason> {
        let is_whole = self.gathered.recording.problems.is_empty();
        let is_overwritten = (oldest || is_whole) && self.source.file.was_recycled()?;
        Ok(if is_overwritten {
            LossReason::Overwritten
        } else {
            LossReason::Damaged
        })
    }

    fn counted_reason(&self) -> LossReason {
        if self.entry.is_full {
            LossReason::Full
        } else {
            LossReason::Nested
        }
    }

    /// The records of one chunk: how many there were, and whether its end is in order.
    fn chunk(&mut self, chunk: &ChunkRef, body: &mut Body) -> std::io::Result<(u64, bool)> {
        let source = self.source;
        self.reading.begin_chunk(chunk.ticks);
        self.last_ticks = None;
        let mut count = 0u64;
        let mut last = 0;
        let words = body.words();
        let mut walk = Walk::new(words);
        let end = loop {
            let counted = self.count(words, walk.at);
            if counted.records > 0 {
                (walk.at, last) = (counted.until, counted.last);
                count = count.saturating_add(counted.records);
            }
            let (header, at, words) = match walk.next() {
                Ok(record) => record,
                Err(end) => break end,
            };
            count = count.saturating_add(1);
            last = at;
            if self.is_entered(header, words) {
                continue;
            }
            self.catch_up();
            let before = self.script.events;
            self.record(header, words);
            if self.script.events != before {
                self.last_ticks = Some(self.reading.now.ticks);
            }
        };
        self.catch_up();
        let length = words.len();
        // What nobody writes any more is there again, in less time than keeping it takes.
        let is_kept = (source.file.is_packed || self.is_open || self.gathered.keeps_all())
            && self.gathered.keep(length);
        self.script.pieces.push(Piece {
            chunk: *chunk,
            until: if count > 0 { last + 1 } else { 0 },
            records: count,
            length,
            body: is_kept.then(|| Rc::new(std::mem::take(body))),
            job: usize::MAX,
        });
        let (torn, whole) = match end {
            End::Room { torn } => (torn, true),
            End::Hole { at, torn, found } => {
                // The writer may have filled the hole while we read what lies behind it. What follows is read when
                // there is another look: it may be told by what it differs in from what was not there yet.
                let damaged = source.file.is_still(chunk, at, found)?;
                if damaged {
                    self.problem(chunk, at, "words behind the end of a chunk's records");
                }
                (
                    torn.saturating_add((damaged && found != 0).into()),
                    !damaged,
                )
            }
            End::Broken { at, torn } => {
                self.problem(
                    chunk,
                    at,
                    "a record that makes no sense; the rest of its chunk is left out",
                );
                (torn, false)
            }
        };
        if torn > 0 {
            self.lose(Some(torn), LossReason::Torn);
        }
        Ok((count, whole))
    }

    /// Counts the events of records that say nothing that has to be known before events are gone through, each no
    /// earlier than the one before. Nearly all records are like that.
    fn count(&mut self, body: &[u64], from: usize) -> Counted {
        let mut counted = Counted {
            records: 0,
            until: from,
            last: from,
        };
        let base = self.reading.now.base;
        // By batch, time is not that of the ticks.
        let (Some(_), Some(last_ticks), false) = (self.lane, self.last_ticks, self.source.by_batch)
        else {
            return counted;
        };
        let last = u32::try_from(last_ticks.saturating_sub(base));
        let (Ok(mut last), Some(_)) = (last, base.checked_add(u32::MAX.into())) else {
            return counted;
        };
        let (mut at, mut events, mut submits, mut seen) = (from, 0, 0, 0);
        loop {
            let (pointers, latest) = pointers(body.get(at..).unwrap_or_default(), last);
            if let Some(before) = pointers.checked_sub(1) {
                counted.records += pointers as u64;
                counted.last = at + 3 * before;
                at += 3 * pointers;
                events += pointers as u32;
                last = latest;
            }
            let Some(first) = body.get(at) else {
                break;
            };
            let header = Header(*first);
            let says = says(header.raw_kind());
            let length = header.words();
            let is_clear = says != 0 && header.is_committed();
            let is_whole = length != 0 && length <= body.len() - at;
            if !(is_clear & is_whole & (header.delta_ticks() >= last)) {
                break;
            }
            last = header.delta_ticks();
            counted.records += 1;
            counted.last = at;
            at += length;
            events += says & EVENTS;
            submits += u32::from(says & SUBMITS != 0);
            seen |= says;
        }
        if counted.records > 0 {
            counted.until = at;
            self.script.events = self.script.events.saturating_add(events.into());
            self.last_ticks = Some(base.saturating_add(last.into()));
            self.is_behind = true;
            let facts = &mut self.gathered.facts;
            if submits > 0 {
                facts.submits(self.source.process, submits.into());
            }
            if seen & RESUMES != 0 {
                facts.resumes();
            }
            if seen & MEMORY != 0 {
                facts.memory();
            }
            if seen & FREES != 0 {
                facts.frees();
            }
        }
        counted
    }

    /// Counts an enter as [`Scan::count`] does others: it says from which lane a ring is entered, and nothing else.
    fn is_entered(&mut self, header: Header, words: &[u64]) -> bool {
        let ticks = u64::from(header.delta_ticks());
        let ticks = self.reading.now.base.saturating_add(ticks);
        let is_enter = header.kind() == Some(Kind::Enter) && header.flags() & WITH_STACK == 0;
        let is_late = self.last_ticks.is_some_and(|last| ticks >= last);
        let Some(lane) = self.lane.filter(|_| is_enter && is_late) else {
            return false;
        };
        if self.source.by_batch {
            return false;
        }
        let (ring, _) = halves(word(words, 0));
        let facts = &mut self.gathered.facts;
        facts.entered(self.source.process, lane, ring);
        self.script.events = self.script.events.saturating_add(1);
        self.last_ticks = Some(ticks);
        self.is_behind = true;
        true
    }

    /// Time goes on to the latest event that was counted.
    fn catch_up(&mut self) {
        if self.is_behind
            && let Some(ticks) = self.last_ticks
        {
            self.is_behind = false;
            self.reading.now.ns = self.source.line.at(ticks);
            self.last_ns = self.reading.now.ns;
        }
    }

    /// Looks at what a record says.
    fn record(&mut self, header: Header, words: &[u64]) {
        let source = self.source;
        let [mut first, mut second] = [0; 2].map(|coroutine| What::Done { coroutine });
        let to = [&mut first, &mut second];
        let (count, stack) = self.reading.record(source, header, words, to);
        for mut what in [first, second].into_iter().take(count) {
            let recording = &mut self.gathered.recording;
            match source.ids.translate(&mut what) {
                None => {}
                Some(false) => {
                    recording.records_unknown = recording.records_unknown.saturating_add(1);
                }
                Some(true) => self.lose(Some(1), LossReason::Newer),
            }
            self.event(what, stack);
        }
    }

    fn problem(&mut self, chunk: &ChunkRef, index: usize, message: &str) {
        let file = &self.source.file;
        let place = file.base.saturating_add(chunk.offset);
        let place = place.saturating_add((wire::layout::CHUNK_HEADER_WORDS + index) as u64 * 8);
        self.gathered.recording.problem(file.name, place, message);
    }

    fn event(&mut self, what: What, stack: StackId) {
        match self.reading.whose(&what) {
            Whose::Nobodys => {}
            Whose::Same(name) => {
                let lane = self.lane.unwrap_or(u32::MAX);
                if let Some(entry) = self.gathered.recording.lanes.get_mut(lane as usize) {
                    entry.thread = if name.0 == 0 { entry.thread } else { name };
                }
            }
            Whose::Threads(tid, name) => {
                self.set_lane(tid, name);
                self.push(what, stack);
            }
            Whose::Lanes => {
                self.push(what, stack);
            }
        }
    }

    /// The recording's lane of a thread: that of the thread itself where this is its handlers' lane.
    fn set_lane(&mut self, tid: u32, name: StringId) {
        let of_handlers = self.entry.parent.is_some() && !self.source.by_batch;
        let known = self.threads.get(&tid).copied().filter(|_| of_handlers);
        let lane = known.unwrap_or_else(|| {
            let lane = new_lane(self.gathered, self.source.process, tid, name);
            self.threads.insert(tid, lane);
            lane
        });
        self.lane = Some(lane);
        self.reading.taken_over(tid);
        self.script.lanes.push((self.script.events, lane));
        for (records, reason) in std::mem::take(&mut self.unplaced) {
            self.lose(records, reason);
        }
    }

    fn lose(&mut self, records: Option<u64>, reason: LossReason) {
        if self.lane.is_none() && self.entry.tid == 0 {
            self.unplaced.push((records, reason));
        } else if records != Some(0) {
            let at = self.script.events;
            let what = What::Lost(Loss { records, reason });
            let lost = self.push(what, StackId(0));
            self.script.extra.push((at, lost));
        }
    }

    /// Counts an event of this lane.
    fn push(&mut self, what: What, stack: StackId) -> Loose {
        let lane = match self.lane {
            Some(lane) => lane,
            None => {
                self.set_lane(self.entry.tid, StringId(0));
                self.lane.unwrap_or(u32::MAX)
            }
        };
        let at_ns = self.reading.now.time();
        self.script.is_sorted &= self.last_ns <= at_ns;
        self.last_ns = at_ns;
        self.script.events = self.script.events.saturating_add(1);
        self.gathered.facts.learn(self.source.process, lane, &what);
        Loose::new(at_ns, (self.source.process, lane), what, stack)
    }
}
