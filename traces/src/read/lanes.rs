//! The chunks of a process into the streams of its threads, with the places where records are missing.
//!
//! A lane of the file may serve several threads one after the other; each of them is a lane of the
//! recording. The lane of a thread's signal handlers is merged into the thread's own by time, unless times
//! are by batch: then nothing says where between the thread's records a handler's belong.

use rustc_hash::FxHashMap;
use wire::layout::ChunkKind;
use wire::payload::word;
use wire::record::{Header, Kind, State};

use super::clock::Line;
use super::file::{ChunkRef, File};
use super::records::{self, Ids, Sequences};
use super::{Gathered, Loose};
use crate::event::{Loss, LossReason, StringId, What};
use crate::recording::Lane;
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

/// Puts the events of all lanes into `gathered`; says what the numbers of names mean.
pub(super) fn read(
    gathered: &mut Gathered,
    file: &File<'_>,
    process: u32,
    entries: &[LaneEntry],
    chunks: Vec<ChunkRef>,
    line: &Line,
    no_lane: u64,
) -> std::io::Result<Ids> {
    let mut ids = Ids::default();
    let mut torn = 0u64;
    for chunk in chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Meta) {
        if let Some(body) = file.names(chunk)? {
            let tables = &mut gathered.recording.tables;
            let more = walk_names(&body, |header, words| ids.learn(tables, header, words));
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
    let mut threads: FxHashMap<u32, u32> = FxHashMap::default();
    let mut last_ns = i128::MIN;
    let by_batch = gathered.recording.is_by_batch(process);
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
        let mut stream = Stream {
            gathered,
            file,
            ids: &ids,
            line,
            process,
            threads: &mut threads,
            entry,
            lane: None,
            scope: 0,
            tid: 0,
            now_ns: line.at(chunks.first().map_or(0, |chunk| chunk.ticks)),
            by_batch,
            floor_ns: i128::MIN,
            sequences: Sequences::default(),
        };
        if chunks.is_empty() && entry.lost == 0 && entry.last_seq == 0 {
            continue;
        }
        stream.run(&chunks)?;
        last_ns = last_ns.max(stream.now_ns);
        // Of several threads that wrote here, the last one is the one that may still run.
        let (latest, is_running) = (stream.lane, entry.is_running && entry.parent.is_none());
        let latest = latest.and_then(|lane| gathered.recording.lanes.get_mut(lane as usize));
        if let Some(latest) = latest {
            latest.is_running |= is_running;
        }
    }
    if no_lane != 0 {
        let lane = new_lane(gathered, process, 0, StringId(0));
        let loss = Loss {
            records: Some(no_lane),
            reason: LossReason::NoLane,
        };
        let at_ns = if last_ns == i128::MIN { 0 } else { last_ns };
        gathered.events.push(Loose {
            at_ns,
            process,
            lane,
            what: What::Lost(loss),
            stack: StackId(0),
        });
    }
    Ok(ids)
}

fn new_lane(gathered: &mut Gathered, process: u32, tid: u32, thread: StringId) -> u32 {
    let index = u32::try_from(gathered.recording.lanes.len()).unwrap_or(u32::MAX);
    gathered.recording.lanes.push(Lane {
        process,
        tid,
        thread,
        is_running: false,
    });
    index
}

/// Goes through the records of a chunk's body; says how the body ends.
fn walk(body: &[u64], mut each: impl FnMut(Header, usize, &[u64])) -> End {
    let mut at = 0;
    let mut torn = 0;
    while let Some(&first) = body.get(at) {
        let header = Header(first);
        if first == 0 {
            let rest = body.get(at..).unwrap_or_default();
            let zeros = rest.iter().all(|word| *word == 0);
            return if zeros {
                End::Room { torn }
            } else {
                End::Hole { at, torn }
            };
        }
        let words = header.words();
        let payload = at.checked_add(words).and_then(|end| body.get(at + 1..end));
        let (Some(payload), true) = (payload, words > 0) else {
            return End::Broken { at, torn };
        };
        match header.state() {
            Some(State::Committed) => each(header, at, payload),
            Some(State::Reserved) => torn += 1,
            Some(State::Aborted) => {}
            None => return End::Broken { at, torn },
        }
        at += words;
    }
    End::Room { torn }
}

/// Goes through a chunk of names, which has holes where a thread was killed between taking room and saying
/// so. Says how many names are cut off.
fn walk_names(mut body: &[u64], mut each: impl FnMut(Header, &[u64])) -> u64 {
    let mut all_torn = 0u64;
    loop {
        match walk(body, |header, _, words| each(header, words)) {
            End::Room { torn } | End::Broken { torn, .. } => return all_torn.saturating_add(torn),
            End::Hole { at, torn } => {
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
    /// With a header of zero that something follows.
    Hole { at: usize, torn: u64 },
    /// With a header that makes no sense, or a record that reaches beyond what is there.
    Broken { at: usize, torn: u64 },
}

/// One lane of the file while it is read.
struct Stream<'a, 'b> {
    gathered: &'a mut Gathered,
    file: &'a File<'b>,
    ids: &'a Ids,
    line: &'a Line,
    process: u32,
    /// Lanes of the recording by thread id, for handlers to find their thread.
    threads: &'a mut FxHashMap<u32, u32>,
    entry: LaneEntry,
    /// The recording's lane, once it is known whose it is.
    lane: Option<u32>,
    scope: u32,
    tid: u32,
    now_ns: i128,
    by_batch: bool,
    /// By batch: a record of an older batch may lie behind one with a time of its own, and came later.
    floor_ns: i128,
    sequences: Sequences,
}

impl Stream<'_, '_> {
    fn run(&mut self, chunks: &[ChunkRef]) -> std::io::Result<()> {
        let mut last_seq = 0;
        let mut records = 0u64;
        let mut lost = 0u64;
        let mut is_damaged = false;
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
            self.now_ns = self.line.at(chunk.ticks);
            // Each chunk has a record at least: whose it is. So a gap is one, whatever the counts say.
            let chunks = chunk.seq.saturating_sub(last_seq).saturating_sub(1);
            let missing = chunk.records.saturating_sub(records).max(chunks);
            if chunk.seq != last_seq.saturating_add(1) {
                // A thread may be killed, or held up, between taking a chunk to recycle it and closing
                // its gate, while others recycle the chunks behind it: a gap within a lane is older than
                // what is kept, unless something is wrong with the file. Where there was still room,
                // nothing was overwritten.
                let is_whole = self.gathered.recording.problems.is_empty();
                let reason = if (last_seq == 0 || is_whole) && self.file.was_recycled()? {
                    LossReason::Overwritten
                } else {
                    LossReason::Damaged
                };
                self.lose(Some(missing), reason);
            } else if is_damaged {
                self.lose(Some(missing), LossReason::Damaged);
            }
            if chunk.lost > lost {
                self.lose(Some(chunk.lost - lost), self.counted_reason());
                lost = chunk.lost;
            }
            last_seq = chunk.seq;
            let Some((body, all)) = self.file.body(chunk)? else {
                // Recycled while we read: the next chunk that can be read says how much is gone.
                is_damaged = true;
                records = chunk.records;
                continue;
            };
            let (count, whole) = self.chunk(chunk, &body)?;
            records = chunk.records.saturating_add(count);
            if !all {
                self.problem(chunk, body.len(), "the file is cut off within a chunk");
            }
            is_damaged = !whole || !all;
        }
        if is_damaged || self.entry.last_seq > last_seq {
            self.lose(None, LossReason::Damaged);
        }
        if self.entry.lost > lost {
            self.lose(Some(self.entry.lost - lost), self.counted_reason());
        }
        Ok(())
    }

    fn counted_reason(&self) -> LossReason {
        if self.entry.is_full {
            LossReason::Full
        } else {
            LossReason::Nested
        }
    }

    /// The records of one chunk: how many there were, and whether its end is in order.
    fn chunk(&mut self, chunk: &ChunkRef, body: &[u64]) -> std::io::Result<(u64, bool)> {
        let mut base = chunk.ticks;
        let mut count = 0u64;
        let end = walk(body, |header, _, words| {
            count = count.saturating_add(1);
            if header.kind() == Some(Kind::Time) {
                base = word(words, 0);
            }
            let delta = u64::from(header.delta_ticks());
            // A time record is its own base.
            let ticks = if header.kind() == Some(Kind::Time) {
                base
            } else {
                base.saturating_add(delta)
            };
            self.now_ns = self.line.at(ticks);
            let (words, stack) = self.ids.take_stack(header, words);
            let events = records::events(self.ids, &mut self.sequences, header, words);
            for mut what in events.into_iter().flatten() {
                let recording = &mut self.gathered.recording;
                match self.ids.bears(recording, self.process, &mut what) {
                    None => {}
                    Some(false) => {
                        recording.records_unknown = recording.records_unknown.saturating_add(1);
                    }
                    Some(true) => self.lose(Some(1), LossReason::Newer),
                }
                self.event(what, stack);
            }
        });
        let (torn, whole) = match end {
            End::Room { torn } => (torn, true),
            End::Hole { at, torn } => {
                // The writer may have filled the hole while we read what lies behind it.
                let damaged = self.file.still_zero(chunk, at)?;
                if damaged {
                    self.problem(chunk, at, "words behind the end of a chunk's records");
                }
                (torn, !damaged)
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

    fn problem(&mut self, chunk: &ChunkRef, index: usize, message: &str) {
        let place = self.file.base.saturating_add(chunk.offset);
        let place = place.saturating_add((wire::layout::CHUNK_HEADER_WORDS + index) as u64 * 8);
        self.gathered
            .recording
            .problem(self.file.name, place, message);
    }

    fn event(&mut self, what: What, stack: StackId) {
        match what {
            // Every chunk says again whose it is; only a change is an event.
            What::Thread { tid, name } => {
                let known = self.lane.filter(|_| self.tid == tid);
                self.tid = tid;
                match known {
                    Some(lane) => {
                        if let Some(entry) = self.gathered.recording.lanes.get_mut(lane as usize) {
                            entry.thread = if name.0 == 0 { entry.thread } else { name };
                        }
                    }
                    None => {
                        self.lane = Some(self.lane_of(tid, name));
                        self.scope = 0;
                        self.push(what, stack);
                    }
                }
            }
            What::ScopeEnter { scope } if scope == self.scope => {}
            _ => {
                match what {
                    What::ScopeEnter { scope } | What::ScopeBegin { scope, .. } => {
                        self.scope = scope;
                    }
                    // What it goes back to is the scope's parent: let the next record say so.
                    What::ScopeEnd { .. } => self.scope = u32::MAX,
                    _ => {}
                }
                self.push(what, stack);
            }
        }
    }

    /// The recording's lane of a thread: that of the thread itself where this is its handlers' lane.
    fn lane_of(&mut self, tid: u32, name: StringId) -> u32 {
        if self.entry.parent.is_some()
            && !self.by_batch
            && let Some(lane) = self.threads.get(&tid)
        {
            return *lane;
        }
        let lane = new_lane(self.gathered, self.process, tid, name);
        self.threads.insert(tid, lane);
        self.floor_ns = i128::MIN;
        lane
    }

    fn lose(&mut self, records: Option<u64>, reason: LossReason) {
        if records != Some(0) {
            self.push(What::Lost(Loss { records, reason }), StackId(0));
        }
    }

    fn push(&mut self, what: What, stack: StackId) {
        let lane = match self.lane {
            Some(lane) => lane,
            None => {
                let lane = self.lane_of(self.entry.tid, StringId(0));
                self.lane = Some(lane);
                self.tid = self.entry.tid;
                lane
            }
        };
        if self.by_batch {
            self.floor_ns = self.floor_ns.max(self.now_ns);
        }
        self.gathered.events.push(Loose {
            at_ns: self.now_ns.max(self.floor_ns),
            process: self.process,
            lane,
            what,
            stack,
        });
    }
}
