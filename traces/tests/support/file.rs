//! A writer of valid process files, by the layout crate that the reader uses too.

use wire::crc::crc32c;
use wire::layout::{self, ChunkKind, chunk, header, lane};
use wire::payload::{Submit, other, pair};
use wire::record::{CookieState, Header, Kind, Owner, RingKind};

const UUID_LOW: u64 = 0x1122_3344_5566_7788;
/// Small chunks, so that small traces have several.
const CHUNK_LOG2: u32 = 9;
const LANES: usize = 4;

/// One record of a lane.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) aux: u8,
    pub(crate) ticks: u64,
    pub(crate) words: Vec<u64>,
}

/// A process file in the making.
pub(crate) struct File {
    head: Vec<u8>,
    lanes: Vec<Vec<Record>>,
    meta: Vec<Record>,
    /// Chunks of each lane that are left out from its beginning, as a ring of chunks does it.
    pub(crate) dropped: usize,
    /// Chunks that are left out from the middle: lane and number.
    pub(crate) holes: Vec<(usize, usize)>,
    /// Records that were not finished, and behind which their chunk was left: lane and number.
    pub(crate) torn: Vec<(usize, usize)>,
    /// Whether the writer says that it wrote over chunks.
    pub(crate) went_round: bool,
    /// Lanes whose threads had not ended; all the others had.
    pub(crate) running: Vec<usize>,
}

impl Default for File {
    fn default() -> Self {
        let mut head = vec![0; layout::HEADER_BYTES];
        put(&mut head, header::MAGIC, &layout::MAGIC);
        put(&mut head, header::VERSION, &layout::MAJOR.to_le_bytes());
        put(
            &mut head,
            header::HEADER_LEN,
            &(layout::HEADER_BYTES as u32).to_le_bytes(),
        );
        put(&mut head, header::CHUNK_LOG2, &CHUNK_LOG2.to_le_bytes());
        put(&mut head, header::LANES, &(LANES as u32).to_le_bytes());
        put(
            &mut head,
            header::LANE_OFFSET,
            &(layout::HEADER_BYTES as u32).to_le_bytes(),
        );
        let chunks = layout::HEADER_BYTES + LANES * layout::LANE_BYTES;
        put(
            &mut head,
            header::CHUNK_OFFSET,
            &(chunks as u32).to_le_bytes(),
        );
        put(
            &mut head,
            header::ENDIAN,
            &layout::ENDIAN_MARK.to_le_bytes(),
        );
        put(&mut head, header::UUID, &UUID_LOW.to_le_bytes());
        put(&mut head, header::PID, &77u32.to_le_bytes());
        put(&mut head, header::START_TIME, &5u64.to_le_bytes());
        put(
            &mut head,
            header::CLOCK_SOURCE,
            &layout::clock::LOGICAL.to_le_bytes(),
        );
        put(&mut head, header::MODE, &layout::mode::RING.to_le_bytes());
        put(&mut head, header::EXE_PATH, b"/bin/app");
        put(
            &mut head,
            header::STATE,
            &layout::state::CLEAN_EXIT.to_le_bytes(),
        );
        let mut file = Self {
            head,
            lanes: vec![Vec::new(); LANES],
            meta: Vec::new(),
            dropped: 0,
            holes: Vec::new(),
            torn: Vec::new(),
            went_round: false,
            running: Vec::new(),
        };
        file.name(1, "main");
        file.name(2, "src/conn.rs");
        file.name(3, "app::Conn");
        let site = vec![pair(1, 88), pair(2, 5)];
        file.meta.push(Record {
            kind: Kind::Site,
            flags: 0,
            aux: 0,
            ticks: 0,
            words: site,
        });
        let ty = vec![pair(1, 3), 24, 8];
        file.meta.push(Record {
            kind: Kind::Type,
            flags: 0,
            aux: 0,
            ticks: 0,
            words: ty,
        });
        file
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

impl File {
    /// Bytes before the first chunk.
    pub(crate) const HEAD_BYTES: usize = layout::HEADER_BYTES + LANES * layout::LANE_BYTES;
    /// Bytes of a chunk.
    pub(crate) const CHUNK_BYTES: usize = 1 << CHUNK_LOG2;

    /// Knows no place of the program, as where nothing but the shim recorded.
    pub(crate) fn without_places(mut self) -> Self {
        self.meta.retain(|record| record.kind != Kind::Site);
        self
    }

    pub(crate) fn name(&mut self, id: u32, text: &str) {
        let mut words = vec![pair(id, text.len() as u32)];
        for part in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            words.push(u64::from_le_bytes(word));
        }
        self.meta.push(Record {
            kind: Kind::String,
            flags: 0,
            aux: 0,
            ticks: 0,
            words,
        });
    }

    pub(crate) fn record(&mut self, lane: usize, ticks: u64, kind: Kind, aux: u8, words: &[u64]) {
        let record = Record {
            kind,
            flags: 0,
            aux,
            ticks,
            words: words.to_vec(),
        };
        self.lanes[lane].push(record);
    }

    /// Was killed: nobody says how its process ended.
    pub(crate) fn kill(&mut self) {
        let running = layout::state::RUNNING.to_le_bytes();
        put(&mut self.head, header::STATE, &running);
    }

    /// Records of a lane.
    pub(crate) fn records(&self, lane: usize) -> usize {
        self.lanes[lane].len()
    }

    /// Puts flags on the latest record of a lane.
    pub(crate) fn flag(&mut self, lane: usize, flags: u8) {
        if let Some(record) = self.lanes[lane].last_mut() {
            record.flags |= flags;
        }
    }

    /// Something that events refer to.
    pub(crate) fn meta(&mut self, kind: Kind, words: &[u64]) {
        self.meta.push(Record {
            kind,
            flags: 0,
            aux: 0,
            ticks: 0,
            words: words.to_vec(),
        });
    }

    /// Puts the number of a call stack behind the latest record of a lane.
    pub(crate) fn with_stack(&mut self, lane: usize, stack: u64) {
        if let Some(record) = self.lanes[lane].last_mut() {
            record.flags |= wire::record::WITH_STACK;
            record.words.push(stack);
        }
    }

    /// A number of whole round trips on one lane, twelve ticks each.
    pub(crate) fn round_trips(mut self, count: u64) -> Self {
        self.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
        let ring = RingKind::InPlace as u8;
        self.record(0, 1, Kind::RingCreate, ring, &[pair(1, 3), pair(8, 16), 0]);
        for trip in 0..count {
            let at = 10 + trip * 12;
            let cookie = 0x1000 + (trip % 4) * 0x40;
            let submit = Submit {
                cookie,
                sequence: trip as u32,
                ring: 1,
                slot: (trip % 8) as u16,
                opcode: 27,
                site: 1,
                len: 64,
                ..Submit::default()
            };
            let words = submit.encode();
            let pointer = [cookie, pair(1, 1)];
            self.record(0, at, Kind::Leak, Owner::Rc as u8, &pointer);
            self.record(0, at + 1, Kind::Submit, CookieState::Set as u8, &words);
            self.record(0, at + 2, Kind::Enter, 0, &[pair(1, 1), pair(1, 1)]);
            self.record(0, at + 3, Kind::Complete, 1, &[cookie, pair(5, 0)]);
            self.record(0, at + 4, Kind::Reclaim, Owner::Rc as u8, &pointer);
        }
        self
    }

    /// Batches that are put into a queue at once, as the shim sees them: reads whose buffers are freed in flight, cancels
    /// that name them, sends and NOPs. Each entry is told by itself, or as what it differs in from the one before it.
    pub(crate) fn batches(mut self, in_short: bool) -> Self {
        self.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
        let ring = RingKind::InPlace as u8;
        self.record(0, 1, Kind::RingCreate, ring, &[pair(1, 3), pair(16, 32), 0]);
        let mut sequence = 0u32;
        for batch in 0..4u64 {
            let at = 10 + batch * 10;
            let mut before: Option<[u64; 6]> = None;
            let entries: Vec<[u64; 6]> = (0..9).map(|index| Self::entry(batch, index)).collect();
            for entry in &entries {
                let place = Submit::place(1, (sequence % 16) as u16, sequence);
                let [head, off, addr, lengths, cookie, sixth] = *entry;
                let origin = Submit::origin(0, sixth);
                let whole = [cookie, place, head, origin, addr, lengths, off, sixth >> 32];
                let flags = before.map(|before| Submit::differences(entry, &before));
                let said = other::WORDS
                    .iter()
                    .filter(|(flag, _)| flags.unwrap_or(0) & flag != 0);
                let mut words = vec![cookie];
                words.extend(said.map(|(_, word)| entry[*word]));
                // The slot behind the last one is the first one.
                let follows = !sequence.is_multiple_of(16) && self.has_room(0, words.len());
                match flags.filter(|_| in_short && follows) {
                    None => self.record(0, at, Kind::Submit, CookieState::Set as u8, &whole),
                    Some(flags) => {
                        self.record(0, at, Kind::SubmitNext, CookieState::Set as u8, &words);
                        self.flag(0, flags);
                    }
                }
                before = Some(*entry);
                sequence += 1;
            }
            let count = entries.len() as u32;
            self.record(0, at + 1, Kind::Enter, 0, &[pair(1, count), pair(0, count)]);
            self.record(
                0,
                at + 2,
                Kind::Free,
                0,
                &[Self::BUFFER + batch * 0x100, 64],
            );
            for [_, _, _, _, cookie, _] in entries {
                let words = [cookie, pair(5, 0)];
                let count = if cookie % 2 == 0 { 2 } else { 1 };
                self.record(0, at + 3, Kind::Complete, 1, &words[..count]);
            }
        }
        self
    }

    /// Whether a record of so many words finds room in the chunk of the one before it.
    fn has_room(&self, lane: usize, words: usize) -> bool {
        let (mut room, capacity) = (0, (1 << CHUNK_LOG2) / 8 - layout::CHUNK_HEADER_WORDS);
        let lengths = self.lanes[lane].iter().map(|record| record.words.len() + 1);
        for length in lengths {
            room = if length > room {
                capacity - length
            } else {
                room - length
            };
        }
        words < room
    }

    const BUFFER: u64 = 0x7f12_3456_7000;

    fn entry(batch: u64, index: u64) -> [u64; 6] {
        let cookie = 0x7f00_1111_0000 + (batch * 16 + index) * 0x40;
        let buffer = Self::BUFFER + batch * 0x100;
        let (head, off, addr, lengths) = match index {
            // Two reads of one file, one behind the other.
            0 | 1 => (pair(22, 5), index * 64, buffer + index * 0x40, pair(64, 0)),
            // Of the same length, of another file, of a group of buffers.
            2 => (pair(22 | 0x20 << 8, 6), 64, 0, pair(64, 0)),
            3 => (pair(14, u32::MAX), 0, cookie - 3 * 0x40, 0),
            4 | 5 => (pair(26, 7), 0, buffer + 0x80, pair(9, 0x4000)),
            _ => (pair(0, u32::MAX), 0, 0, 0),
        };
        let sixth = [0, 0, 7, 0, 0, 0, 0, 1 << 32, 0][index as usize];
        [head, off, addr, lengths, cookie, sixth]
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.head.clone();
        let sum = crc32c(&out[..header::CRC]);
        put(&mut out, header::CRC, &sum.to_le_bytes());
        put(
            &mut out,
            header::RECYCLED,
            &u64::from(self.went_round).to_le_bytes(),
        );
        let mut chunks: Vec<Vec<u8>> = chunked(0, ChunkKind::Meta, &self.meta, &[]);
        let mut directory = vec![0; LANES * layout::LANE_BYTES];
        for (index, records) in self
            .lanes
            .iter()
            .enumerate()
            .filter(|lane| !lane.1.is_empty())
        {
            let torn = self.torn.iter().filter(|torn| torn.0 == index);
            let torn: Vec<usize> = torn.map(|torn| torn.1).collect();
            let own = chunked(index as u32, ChunkKind::Event, records, &torn);
            let count = own.len().max(self.dropped);
            let is_there =
                |chunk: usize| chunk >= self.dropped && !self.holes.contains(&(index, chunk));
            let own = own.into_iter().enumerate();
            let own = own.filter_map(|(chunk, words)| is_there(chunk).then_some(words));
            let mut word = |at: usize, value: u64| {
                put(
                    &mut directory,
                    index * layout::LANE_BYTES + at * 8,
                    &value.to_le_bytes(),
                );
            };
            word(lane::STATE, layout::lane_state::IN_USE);
            word(lane::OWNER, 77 + index as u64);
            if !self.running.contains(&index) {
                word(lane::STATE, layout::lane_state::IDLE);
                word(lane::STOP_TICKS, 1);
            }
            word(lane::LAST_SEQ, count as u64);
            chunks.extend(own);
        }
        out.extend(directory);
        out.extend(chunks.concat());
        out
    }
}

fn chunked(lane: u32, kind: ChunkKind, records: &[Record], torn: &[usize]) -> Vec<Vec<u8>> {
    let capacity = (1 << CHUNK_LOG2) / 8;
    let mut chunks: Vec<Vec<u64>> = Vec::new();
    let mut is_left = false;
    for (index, record) in records.iter().enumerate() {
        let words = record.words.len() + 1;
        if chunks
            .last()
            .is_none_or(|chunk| chunk.len() + words > capacity)
        {
            let seq = chunks.len() as u64 + 1;
            let mut chunk = vec![0; layout::CHUNK_HEADER_WORDS];
            chunk[chunk::SEQ] = seq;
            chunk[chunk::LANE_KIND] = layout::pack_lane_kind(lane, kind);
            chunk[chunk::TICKS] = record.ticks;
            chunk[chunk::MONOTONIC_NS] = record.ticks;
            chunk[chunk::CHECK] = UUID_LOW ^ seq;
            chunk[chunk::RECORDS] = index as u64;
            chunks.push(chunk);
            is_left = false;
        }
        let chunk = chunks.last_mut().unwrap();
        if is_left {
            // Where the next chunk begins stays as it was.
            chunk.resize(chunk.len() + words, 0);
            continue;
        }
        if torn.contains(&index) {
            chunk.push(Header::reserved(words as u8).0);
            chunk.resize(chunk.len() + words - 1, 0);
            is_left = true;
            continue;
        }
        let delta = (record.ticks - chunk[chunk::TICKS]) as u32;
        let header = Header::committed(record.kind, words as u8, record.flags, record.aux, delta);
        chunk.push(header.0);
        chunk.extend(&record.words);
    }
    let whole = |mut chunk: Vec<u64>| {
        chunk.resize(capacity, 0);
        chunk.iter().flat_map(|word| word.to_le_bytes()).collect()
    };
    chunks.into_iter().map(whole).collect()
}
