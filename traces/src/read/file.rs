//! One process file: its header, its lane directory, and which chunks hold what.

use std::sync::Arc;

use wire::crc::crc32c;
use wire::layout::{
    self, ChunkKind, capture, chunk, clock, header, lane, lane_state, mode, state, stopped,
};
use wire::payload::halves;

use super::clock::{Line, Pair};
use super::lanes::{self, LaneEntry};
use super::records::Ids;
use super::{Gathered, u16_at, u32_at, u64_at, zero_padded};
use crate::input::{ReadAt, read_full};
use crate::recording::{Capture, Clock, Ended, Lasting, Pace, Process, Recording, Stopped};

/// Bytes of a chunk's header.
const CHUNK_HEADER_BYTES: usize = layout::CHUNK_HEADER_WORDS * 8;

/// Where the file's parts lie, as its header says and as its length allows.
pub(super) struct File<'a> {
    /// Its name in messages.
    pub(super) name: &'a str,
    /// Its bytes.
    pub(super) bytes: Arc<dyn ReadAt + 'a>,
    /// Offset of this file within the input, for messages.
    pub(super) base: u64,
    chunk_bytes: usize,
    uuid_low: u64,
    lanes: u32,
    chunks: u32,
    is_ring: bool,
    /// Reading a part of it again costs as much as reading it the first time, and more than keeping it.
    pub(super) is_packed: bool,
}

/// The words of a chunk.
#[derive(Debug, Default)]
pub(super) struct Body(Vec<u64>);

impl Body {
    /// Those behind its header.
    #[inline]
    pub(super) fn words(&self) -> &[u64] {
        let words = self.0.get(layout::CHUNK_HEADER_WORDS..);
        words.unwrap_or_default()
    }
}

/// A chunk whose header is in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkRef {
    pub(super) offset: u64,
    pub(super) lane: u32,
    pub(super) kind: ChunkKind,
    /// Of all laps of this chunk only one has it.
    gate: u64,
    pub(super) seq: u64,
    pub(super) ticks: u64,
    monotonic_ns: u64,
    pub(super) lost: u64,
    pub(super) records: u64,
}

/// Reads a process file that begins at `base` of the input called `name`.
pub(super) fn read<'a>(
    gathered: &mut Gathered<'a, '_>,
    name: &'a str,
    bytes: Arc<dyn ReadAt + 'a>,
    is_packed: bool,
    base: u64,
    len: u64,
) -> Result<(), String> {
    let broken = |error: std::io::Error| format!("cannot be read: {error}");
    let mut head = vec![0; layout::HEADER_BYTES];
    let got = read_full(&*bytes, 0, &mut head).map_err(broken)?;
    if got < layout::HEADER_BYTES {
        return Err(format!(
            "is cut off within its header ({got} of {} bytes); nothing can be read of it",
            layout::HEADER_BYTES
        ));
    }
    let file = validate(name, bytes, is_packed, base, &head)?;
    let mut process = describe(&head, name);
    let lanes = lane_directory(&file, &head, len).map_err(broken)?;
    let chunks = chunk_index(&file, &head, len, &mut gathered.recording).map_err(broken)?;

    let first = Pair {
        ticks: u64_at(&head, header::TICKS),
        ns: u64_at(&head, header::MONOTONIC_NS),
    };
    let line = match process.clock {
        Clock::Monotonic | Clock::Logical => Line::nanoseconds(first),
        Clock::Tsc | Clock::Cntvct | Clock::Unknown => {
            let beat = Pair {
                ticks: u64_at(&head, header::BEAT_TICKS),
                ns: u64_at(&head, header::BEAT_MONOTONIC_NS),
            };
            let pairs = chunks.iter().map(|chunk| Pair {
                ticks: chunk.ticks,
                ns: chunk.monotonic_ns,
            });
            let rate = u64_at(&head, header::TICKS_PER_SECOND);
            Line::through(first, pairs.chain(std::iter::once(beat)), rate)
        }
    };
    process.pace = line.pace();
    process.ended = match u64_at(&head, header::STATE) {
        state::CLEAN_EXIT => Ended::Said,
        state::ABORTED => Ended::Aborted,
        state::EXEC => Ended::Replaced,
        _ => Ended::Unknown,
    };
    process.exit_handlers_ran = process.ended == Ended::Said;
    let names_lost = process.names_lost;
    let index = u32::try_from(gathered.recording.processes.len()).unwrap_or(u32::MAX);
    if process.capture == Capture::Kernel {
        gathered.facts.views.insert(index);
    }
    if process.times_by_batch {
        gathered.facts.by_batch.insert(index);
    }
    gathered.recording.processes.push(process);
    gathered.begun_ns.push(first.ns);
    let no_lane = u64_at(&head, header::LOST_NO_LANE);
    let source = lanes::read(gathered, file, index, line, &chunks).map_err(broken)?;
    let stopped = stopped(u64_at(&head, header::STOPPED), &source.ids);
    let lasting = source.ids.lasting(u64_at(&head, header::LASTING), &line);
    lanes::scan(gathered, source, &lanes, chunks, no_lane).map_err(broken)?;
    if let Some(process) = gathered.recording.processes.get_mut(index as usize) {
        process.stopped = stopped;
        process.lasting = lasting;
    }
    if names_lost != 0 {
        let what = match names_lost {
            1 => "a name or call stack".to_owned(),
            _ => format!("{names_lost} names or call stacks"),
        };
        let message =
            format!("no room was left for {what}, shown as '?': a larger --ring has more");
        let at = base.saturating_add(header::LOST_META as u64);
        gathered.recording.note(name, at, message);
    }
    Ok(())
}

fn stopped(word: u64, ids: &Ids) -> Option<Stopped> {
    let (by, reason) = halves(word);
    match by {
        0 => None,
        stopped::PROGRAM => Some(Stopped::Program(ids.string(reason))),
        stopped::RECORDER => Some(Stopped::Recorder),
        _ => Some(Stopped::Unknown),
    }
}

fn validate<'a>(
    name: &'a str,
    bytes: Arc<dyn ReadAt + 'a>,
    is_packed: bool,
    base: u64,
    head: &[u8],
) -> Result<File<'a>, String> {
    if head.get(..8) != Some(&layout::MAGIC) {
        return Err("is no process file: its magic number is wrong".to_owned());
    }
    let sum = crc32c(head.get(..header::CRC).unwrap_or_default());
    if sum != u32_at(head, header::CRC) {
        return Err(
            "has a damaged header (its checksum does not fit); nothing after it can be \
                    trusted"
                .to_owned(),
        );
    }
    let major = u16_at(head, header::VERSION);
    let unknown = u64_at(head, header::INCOMPAT) & !layout::INCOMPAT_KNOWN;
    if major != layout::MAJOR || unknown != 0 {
        let writer = zero_padded(head.get(header::WRITER_VERSION..).unwrap_or_default());
        return Err(format!(
            "is of version {major} with features {unknown:#x}, which this tracer does not know; it \
             was written by version {}, use that one or a later one",
            writer.tty().chars().take(32).collect::<String>()
        ));
    }
    if u32_at(head, header::ENDIAN) != layout::ENDIAN_MARK {
        return Err("was written in another byte order".to_owned());
    }
    let chunk_log2 = u32_at(head, header::CHUNK_LOG2);
    if !(9..=24).contains(&chunk_log2) {
        return Err(format!(
            "has chunks of 2^{chunk_log2} bytes; 2^9 to 2^24 are possible"
        ));
    }
    Ok(File {
        name,
        bytes,
        base,
        chunk_bytes: 1 << chunk_log2,
        uuid_low: u64_at(head, header::UUID),
        lanes: u32_at(head, header::LANES),
        chunks: u32_at(head, header::CHUNKS),
        is_ring: u32_at(head, header::MODE) == mode::RING,
        is_packed,
    })
}

fn describe(head: &[u8], name: &str) -> Process {
    let text = |at: usize, len: usize| {
        zero_padded(
            at.checked_add(len)
                .and_then(|end| head.get(at..end))
                .unwrap_or_default(),
        )
    };
    let build_id_len = usize::try_from(u32_at(head, header::BUILD_ID_LEN))
        .unwrap_or(0)
        .min(20);
    let build_id = head.get(header::BUILD_ID..header::BUILD_ID + build_id_len);
    Process {
        pid: u32_at(head, header::PID),
        ppid: u32_at(head, header::PPID),
        start_time: u64_at(head, header::START_TIME),
        exe: text(header::EXE_PATH, 256),
        build_id: build_id.unwrap_or_default().to_vec(),
        writer: text(header::WRITER_VERSION, 32),
        clock: match u32_at(head, header::CLOCK_SOURCE) {
            clock::TSC => Clock::Tsc,
            clock::MONOTONIC => Clock::Monotonic,
            clock::CNTVCT => Clock::Cntvct,
            clock::LOGICAL => Clock::Logical,
            _ => Clock::Unknown,
        },
        watched_until_ns: None,
        times_by_batch: u64_at(head, header::INCOMPAT) & layout::incompat::BATCH_TIME != 0,
        capture: match u32_at(head, header::CAPTURE) {
            capture::LINKED => Capture::Linked,
            capture::PRELOAD => Capture::Preload,
            capture::KERNEL => Capture::Kernel,
            capture::UPROBES => Capture::Uprobes,
            _ => Capture::Unknown,
        },
        exit_handlers_ran: false,
        ended: Ended::Unknown,
        stopped: None,
        names_lost: u64_at(head, header::LOST_META),
        lasting: Lasting::default(),
        pace: Pace::default(),
        source: name.to_owned(),
    }
}

fn lane_directory(file: &File<'_>, head: &[u8], len: u64) -> std::io::Result<Vec<LaneEntry>> {
    let offset = u64::from(u32_at(head, header::LANE_OFFSET));
    let room = len.saturating_sub(offset) / layout::LANE_BYTES as u64;
    let count = u64::from(file.lanes).min(room).min(1 << 16);
    let mut entries = Vec::new();
    let mut directory = vec![0; usize::try_from(count).unwrap_or(0) * layout::LANE_BYTES];
    read_full(&*file.bytes, offset, &mut directory)?;
    for entry in directory.chunks_exact(layout::LANE_BYTES) {
        let word = |at: usize| u64_at(entry, at * 8);
        let owner = word(lane::OWNER);
        let lost = word(lane::LOST_FULL)
            .saturating_add(word(lane::LOST_NESTED))
            .saturating_add(word(lane::LOST_BIG));
        entries.push(LaneEntry {
            is_used: word(lane::STATE) != lane_state::FREE || lost != 0,
            tid: owner as u32,
            parent: ((owner >> 32) as u32).checked_sub(1),
            lost,
            is_full: word(lane::LOST_FULL) >= word(lane::LOST_NESTED),
            last_seq: word(lane::LAST_SEQ),
            is_running: word(lane::STATE) == lane_state::IN_USE && word(lane::STOP_TICKS) == 0,
        });
    }
    Ok(entries)
}

fn chunk_index(
    file: &File<'_>,
    head: &[u8],
    len: u64,
    recording: &mut Recording,
) -> std::io::Result<Vec<ChunkRef>> {
    let first = u64::from(u32_at(head, header::CHUNK_OFFSET));
    let mut chunks = Vec::new();
    let mut at = first;
    while at.saturating_add(CHUNK_HEADER_BYTES as u64) <= len {
        let mut words = [0; CHUNK_HEADER_BYTES];
        read_full(&*file.bytes, at, &mut words)?;
        let found = chunk_header(file, at, &words);
        // A writer may just have recycled it: then what we hold is of two laps, and no damage.
        let mut again = [0; 8];
        if found.is_err() {
            read_full(&*file.bytes, at, &mut again)?;
        }
        match found {
            Err(_) if again != words[..8] => {}
            Ok(Some(chunk)) => chunks.push(chunk),
            Ok(None) => {}
            Err(message) => {
                recording.problem(file.name, file.base.saturating_add(at), message);
            }
        }
        at = at.saturating_add(file.chunk_bytes as u64);
    }
    chunks.sort_by_key(|chunk| (chunk.lane, chunk.seq, chunk.offset));
    Ok(chunks)
}

/// What a chunk's header says; nothing where the chunk is free.
fn chunk_header(file: &File<'_>, offset: u64, bytes: &[u8]) -> Result<Option<ChunkRef>, String> {
    let word = |at: usize| u64_at(bytes, at * 8);
    let gate = word(chunk::SEQ);
    if gate == 0 {
        return Ok(None);
    }
    if word(chunk::CHECK) != file.uuid_low ^ gate {
        return Err(
            "a chunk does not belong to this file or is damaged; it is left out".to_owned(),
        );
    }
    let (lane, kind) = layout::unpack_lane_kind(word(chunk::LANE_KIND));
    let Some(kind) = kind else {
        return Err("a chunk of a kind that this tracer does not know; it is left out".to_owned());
    };
    if lane >= file.lanes {
        return Err(format!(
            "a chunk of lane {lane}, which does not exist; it is left out"
        ));
    }
    Ok(Some(ChunkRef {
        offset,
        lane,
        kind,
        gate,
        seq: layout::chunk_number(gate),
        ticks: word(chunk::TICKS),
        monotonic_ns: word(chunk::MONOTONIC_NS),
        lost: word(chunk::LOST),
        records: word(chunk::RECORDS),
    }))
}

impl<'a> File<'a> {
    /// One of `count` chunks, each of one word behind its header, and the places of those.
    #[cfg(test)]
    pub(super) fn of_chunks(bytes: Arc<dyn ReadAt + 'a>, count: u64) -> (Self, Vec<ChunkRef>) {
        let file = Self {
            name: "x.trc",
            bytes,
            base: 0,
            chunk_bytes: CHUNK_HEADER_BYTES + 8,
            uuid_low: 0,
            lanes: 1,
            chunks: u32::try_from(count).unwrap(),
            is_ring: false,
            is_packed: false,
        };
        let chunk = |seq| ChunkRef {
            offset: seq * file.chunk_bytes as u64,
            lane: 0,
            kind: ChunkKind::Event,
            gate: 0,
            seq,
            ticks: 0,
            monotonic_ns: 0,
            lost: 0,
            records: 1,
        };
        let chunks = (0..count).map(chunk).collect();
        (file, chunks)
    }
}

impl File<'_> {
    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Reads the words of a chunk as far as the file goes, and says whether that is all of them; nothing when the
    /// chunk was recycled since it was indexed.
    pub(super) fn body(&self, chunk: &ChunkRef, body: &mut Body) -> std::io::Result<Option<bool>> {
        let words = &mut body.0;
        words.resize(self.chunk_bytes / 8, 0);
        let got = read_full(
            &*self.bytes,
            chunk.offset,
            bytemuck::cast_slice_mut(words.as_mut_slice()),
        )?;
        words.truncate(got / 8);
        for word in words.iter_mut() {
            *word = u64::from_le(*word);
        }
        // The writer may have begun a new lap while we read: what we hold is one lap's only if the
        // gate is the same before and after.
        let mut gate = [0; 8];
        read_full(&*self.bytes, chunk.offset, &mut gate)?;
        if words.first() != Some(&chunk.gate) || u64_at(&gate, 0) != chunk.gate {
            return Ok(None);
        }
        Ok(Some(got == self.chunk_bytes))
    }

    /// Whether chunks were reused, so that the oldest may be missing. Asked when some are, and not before:
    /// a writer may have come to the end of the room while we read. A program says so itself, before it reuses the first
    /// one: a ring that found no more room is shorter than it might be. Whoever counts alone notes that it took a chunk only
    /// after it did, so each thread may be one further.
    pub(super) fn was_recycled(&self) -> std::io::Result<bool> {
        let mut words = [0; 16];
        read_full(&*self.bytes, header::CHUNKS_TAKEN as u64, &mut words)?;
        let (chunks, lanes) = (u64_at(&words, 0), u64_at(&words, 8));
        let mut said = [0; 8];
        read_full(&*self.bytes, header::RECYCLED as u64, &mut said)?;
        let is_over = chunks.saturating_add(lanes) >= u64::from(self.chunks);
        Ok(self.is_ring && (is_over || said != [0; 8]))
    }

    /// As [`File::body`], for a chunk of names, which others may write to while it is read: what looks like a
    /// hole in it is one.
    pub(super) fn names(&self, chunk: &ChunkRef) -> std::io::Result<Option<Vec<u64>>> {
        let mut body = Body::default();
        if self.body(chunk, &mut body)?.is_none() {
            return Ok(None);
        }
        let mut body = body.words().to_vec();
        wire::protocol::settle(&mut body, |from, words| {
            let at = (CHUNK_HEADER_BYTES as u64).saturating_add(from as u64 * 8);
            let mut bytes = vec![0; words.len() * 8];
            read_full(&*self.bytes, chunk.offset.saturating_add(at), &mut bytes)?;
            for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = u64_at(bytes, 0);
            }
            Ok::<_, std::io::Error>(())
        })?;
        Ok(Some(body))
    }

    /// Whether the word at `index` of a chunk's body is still what was found there. Of a chunk that was recycled since then
    /// that is not known: its room is all zeros again.
    pub(super) fn is_still(
        &self,
        chunk: &ChunkRef,
        index: usize,
        found: u64,
    ) -> std::io::Result<bool> {
        let at = chunk
            .offset
            .saturating_add((CHUNK_HEADER_BYTES + index * 8) as u64);
        let (mut word, mut gate) = ([0; 8], [0; 8]);
        read_full(&*self.bytes, at, &mut word)?;
        // Behind it: the gate is closed before anything of the old lap is taken away.
        read_full(&*self.bytes, chunk.offset, &mut gate)?;
        Ok(u64_at(&word, 0) == found && u64_at(&gate, 0) == chunk.gate)
    }
}
