//! What the fuzz targets share: files that are valid until they are mutated, and the look at everything
//! that a command would show.
//!
//! Files are written by [`wire`], as the probe writes them, from whatever the fuzzer came up with; then
//! they are damaged. So most inputs get behind the header and into the records, where plain bytes hardly
//! ever come.

use std::io::Cursor;

use arbitrary::{Arbitrary, Result, Unstructured};
use traces::read::bundle::ProcessWriter;
use traces::{Input, Trace, report};
use wire::crc::crc32c;
use wire::layout::{self, ChunkKind, header, lane};
use wire::protocol::{self, ChunkHeader};
use wire::record::{Header, Kind};
use wire::sync::AtomicU64;

/// Small chunks, so that small traces have several.
const CHUNK_LOG2: u32 = 9;
/// Bytes of a chunk.
pub const CHUNK_BYTES: usize = 1 << CHUNK_LOG2;
/// Lanes of a file.
pub const LANES: usize = 4;
/// Where the first chunk lies.
pub const FIRST_CHUNK: usize = layout::HEADER_BYTES + LANES * layout::LANE_BYTES;
const UUID_LOW: u64 = 0x1122_3344_5566_7788;

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    pub kind: Kind,
    pub flags: u8,
    pub aux: u8,
    pub delta: u32,
    pub words: Vec<u64>,
}

impl<'a> Arbitrary<'a> for Record {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let count = u.int_in_range(0..=8)?;
        let words = (0..count).map(|_| word(u)).collect::<Result<_>>()?;
        Ok(Self {
            kind: *u.choose(Kind::ALL)?,
            flags: u.int_in_range(0..=3)?,
            aux: u.arbitrary()?,
            delta: if u.ratio(1, 16)? {
                u.arbitrary()?
            } else {
                u.int_in_range(0..=255)?
            },
            words,
        })
    }
}

/// Words that are likely to meet each other, and some that are not.
fn word(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.int_in_range(0..=3)? {
        0 => u.int_in_range(0..=3)?,
        1 => u.int_in_range(0..=3)? | u.int_in_range(0..=3u64)? << 32,
        2 => u.int_in_range(1..=3u64)? * 0x1000,
        _ => u.arbitrary()?,
    })
}

/// A chunk in the making: as the probe has it, atomics in memory.
pub struct Chunk {
    words: Vec<AtomicU64>,
    at: usize,
    /// Which lane it belongs to.
    pub lane: u32,
    /// What it holds.
    pub kind: ChunkKind,
    seq: u64,
}

impl Chunk {
    /// Opens one.
    pub fn open(lane: u32, kind: ChunkKind, seq: u64, ticks: u64, records: u64) -> Self {
        let words: Vec<_> = (0..CHUNK_BYTES / 8).map(|_| AtomicU64::new(0)).collect();
        let header = ChunkHeader {
            seq,
            lane,
            kind,
            ticks,
            monotonic_ns: ticks,
            lost: 0,
            records,
            uuid_low: UUID_LOW,
        };
        protocol::open(&words, &header);
        Self {
            words,
            at: layout::CHUNK_HEADER_WORDS,
            lane,
            kind,
            seq,
        }
    }

    /// Writes a record; false where there is no room for it.
    pub fn write(&mut self, record: &Record) -> bool {
        let words = record.words.len() + 1;
        let Some(slot) = self.words.get(self.at..self.at + words) else {
            return false;
        };
        protocol::reserve(slot, words as u8);
        let Record {
            kind,
            flags,
            aux,
            delta,
            words: payload,
        } = record;
        let header = Header::committed(*kind, words as u8, *flags, *aux, *delta);
        protocol::commit(slot, header, payload);
        self.at += words;
        true
    }

    /// Begins a record and does not end it.
    pub fn tear(&mut self, words: usize) {
        if let Some(slot) = self.words.get(self.at..self.at + words) {
            protocol::reserve(slot, words as u8);
        }
    }
}

/// A whole process file.
pub fn file(chunks: &[Chunk]) -> Vec<u8> {
    let mut head = vec![0; layout::HEADER_BYTES];
    let mut put = |at: usize, value: &[u8]| head[at..at + value.len()].copy_from_slice(value);
    put(header::MAGIC, &layout::MAGIC);
    put(header::VERSION, &layout::MAJOR.to_le_bytes());
    put(
        header::HEADER_LEN,
        &(layout::HEADER_BYTES as u32).to_le_bytes(),
    );
    put(header::CHUNK_LOG2, &CHUNK_LOG2.to_le_bytes());
    put(header::CHUNKS, &(chunks.len() as u32).to_le_bytes());
    put(header::LANES, &(LANES as u32).to_le_bytes());
    put(
        header::LANE_OFFSET,
        &(layout::HEADER_BYTES as u32).to_le_bytes(),
    );
    put(header::CHUNK_OFFSET, &(FIRST_CHUNK as u32).to_le_bytes());
    put(header::ENDIAN, &layout::ENDIAN_MARK.to_le_bytes());
    put(header::UUID, &UUID_LOW.to_le_bytes());
    put(header::PID, &77u32.to_le_bytes());
    put(header::CLOCK_SOURCE, &layout::clock::LOGICAL.to_le_bytes());
    put(header::MODE, &layout::mode::RING.to_le_bytes());
    mend(&mut head);
    let mut directory = [0u64; LANES * layout::LANE_WORDS];
    for chunk in chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Event) {
        let entry = &mut directory[chunk.lane as usize * layout::LANE_WORDS..];
        entry[lane::STATE] = layout::lane_state::IN_USE;
        entry[lane::OWNER] = 77 + u64::from(chunk.lane);
        entry[lane::LAST_SEQ] = entry[lane::LAST_SEQ].max(chunk.seq);
    }
    let bytes = |word: u64| word.to_le_bytes();
    head.extend(directory.into_iter().flat_map(bytes));
    for chunk in chunks {
        let load = |word: &AtomicU64| word.load(wire::sync::Ordering::Relaxed);
        head.extend(chunk.words.iter().map(load).flat_map(bytes));
    }
    head
}

/// Makes the header's checksum fit again.
pub fn mend(bytes: &mut [u8]) {
    if bytes.len() >= layout::HEADER_BYTES {
        let sum = crc32c(&bytes[..header::CRC]);
        bytes[header::CRC..][..4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Appends a process file to a bundle as the recorder does: a block for what lies before the chunks, then
/// one a chunk.
pub fn pack(out: &mut Cursor<Vec<u8>>, file: &[u8]) {
    let (head, chunks) = file.split_at(FIRST_CHUNK.min(file.len()));
    let mut writer = ProcessWriter::begin(out).expect("memory");
    for piece in std::iter::once(head).chain(chunks.chunks(CHUNK_BYTES)) {
        writer.piece(piece).expect("memory");
    }
    writer.finish().expect("memory");
}

/// Makes the checksums of the headers of packed blocks fit again, so that what they say is believed.
pub fn mend_blocks(bytes: &mut [u8]) {
    const MARK: [u8; 4] = *b"\xB1TRP";
    for at in (0..bytes.len().saturating_sub(32)).step_by(8) {
        if bytes[at..at + 4] == MARK {
            let sum = crc32c(&bytes[at + 8..at + 32]);
            bytes[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// A valid file with any records.
pub fn any_file(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for number in 0..u.int_in_range(1..=6u32)? {
        let kind = if number == 0 {
            ChunkKind::Meta
        } else {
            ChunkKind::Event
        };
        let lane = u.int_in_range(0..=LANES as u32 - 1)?;
        let before = chunks
            .iter()
            .filter(|old| (old.lane, old.kind) == (lane, kind));
        let seq = before.count() as u64 + 1;
        let mut chunk = Chunk::open(lane, kind, seq, u64::from(number) * 100, seq * 10);
        for _ in 0..u.int_in_range(0..=20)? {
            if !chunk.write(&u.arbitrary()?) {
                break;
            }
        }
        if u.ratio(1, 4)? {
            chunk.tear(u.int_in_range(1..=9)?);
        }
        chunks.push(chunk);
    }
    Ok(file(&chunks))
}

/// Damage: bits flipped, words replaced, pieces moved, the end cut off.
pub fn mutate(bytes: &mut Vec<u8>, u: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..u.int_in_range(0..=12)? {
        if bytes.is_empty() {
            break;
        }
        let at = u.choose_index(bytes.len())?;
        match u.int_in_range(0..=5)? {
            0 => bytes[at] ^= 1 << u.int_in_range(0..=7u8)?,
            1 => bytes[at] = u.arbitrary()?,
            2 | 3 => {
                let (at, value) = (at & !7, word(u)?);
                if let Some(place) = bytes.get_mut(at..at + 8) {
                    place.copy_from_slice(&value.to_le_bytes());
                }
            }
            4 => {
                let to = u.choose_index(bytes.len())?;
                let len = u.int_in_range(0..=CHUNK_BYTES)?;
                let len = len.min(bytes.len() - at).min(bytes.len() - to);
                bytes.copy_within(at..at + len, to);
            }
            _ => bytes.truncate(at),
        }
    }
    Ok(())
}

/// Reads, and looks at everything that a command would show.
pub fn look(bytes: &Vec<u8>) {
    let name = "fuzz.trc";
    match Trace::read(&[Input { name, bytes }]) {
        Ok(trace) => show(&trace),
        Err(error) => visible(&error.to_string()),
    }
}

/// Looks at everything that a command would show of a trace.
pub fn show(trace: &Trace) {
    let text = report::text(trace, 80);
    text.lines().for_each(visible);
    for problem in &trace.recording().problems {
        visible(&problem.to_string());
    }
    for event in trace.events() {
        visible(&trace.describe(event));
        if let Some(subject) = trace.subject_of(event.id).filter(|_| event.id.0 < 50) {
            let life = trace.biography(subject);
            assert!(
                life.rows
                    .windows(2)
                    .all(|pair| pair[0].event < pair[1].event)
            );
        }
    }
    let again = Trace::parse_text(&trace.to_text()).expect("its own text");
    assert_eq!(again.events().len(), trace.events().len());
}

/// A line that a terminal can be given.
pub fn visible(line: &str) {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            || matches!(c, '\u{61c}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    assert!(!line.contains(hides), "{line:?}");
}
