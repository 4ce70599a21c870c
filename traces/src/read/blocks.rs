//! A process file in blocks: encoding 1 of its section in a bundle.
//!
//! ```text
//! block   mark u32 | CRC-32C of bytes 8 to 32 | offset in the process file u64
//!         raw length u32 | used length u32 | packed length u32 | CRC-32C of the packed bytes u32
//!         stored bytes: the packed ones, then zeros
//! ```
//!
//! A block holds a chunk, or as much of what lies before the first one. Behind its used bytes are
//! zeros up to its raw length. The used bytes are packed by `columns`, or stored as they are where that
//! takes no more.
//!
//! Invariants
//! - Each block can be read alone: a damaged one is left out and reported, and the next is found by its
//!   mark and its header's checksum.
//! - Stored bytes are a multiple of 8, and at least a 128th ([`MAX_RATIO`]) of the used ones: packed ones
//!   that are fewer are padded. So what a reader allocates is bounded by what is in the file.
//! - The offset of a block is at most [`PIECE_BYTES`] for each possible block before it.
//!
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::layout;

use super::bundle::{SECTION_HEADER_BYTES, Section, section_header};
use super::sum::{Sum, crc32c};
use super::{Part, columns, u32_at, u64_at};
use crate::input::{ReadAt, read_full};

/// Longest piece of a process file in a block.
pub const PIECE_BYTES: usize = layout::CHUNK_BYTES;
/// Used bytes that a stored byte may stand for.
pub const MAX_RATIO: usize = 128;
/// Number of this encoding.
pub(super) const ENCODING: u32 = 1;

/// Bytes of a block's header.
const HEADER_BYTES: usize = 32;
const MARK: [u8; 4] = *b"\xB1TRP";
/// Bytes that are searched at once for the next block behind a damaged one.
const WINDOW_BYTES: usize = 1 << 16;

/// Writes the section of a process, piece by piece: what it needs of memory is a piece.
#[derive(Debug)]
pub struct ProcessWriter<'w, W: Write + Seek> {
    out: &'w mut W,
    start: u64,
    stored: u64,
    offset: u64,
    sum: Sum,
}

impl<'w, W: Write + Seek> ProcessWriter<'w, W> {
    /// Begins a section where `out` stands.
    pub fn begin(out: &'w mut W) -> io::Result<Self> {
        let start = out.stream_position()?;
        out.write_all(&[0; SECTION_HEADER_BYTES])?;
        Ok(Self {
            out,
            start,
            stored: 0,
            offset: 0,
            sum: Sum::default(),
        })
    }

    /// Appends what comes next of the process file. Pieces that are whole chunks pack best.
    pub fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(PIECE_BYTES) {
            let block = block(self.offset, part);
            self.sum.feed(&block);
            self.out.write_all(&block)?;
            self.stored += block.len() as u64;
            self.offset += part.len() as u64;
        }
        Ok(())
    }

    /// Writes the section's header, now that its length is known.
    pub fn finish(self) -> io::Result<()> {
        let sum = self.sum.value();
        let header = section_header(Section::Process, ENCODING, self.offset, self.stored, sum);
        self.out.seek(SeekFrom::Start(self.start))?;
        self.out.write_all(&header)?;
        self.out.seek(SeekFrom::End(0))?;
        Ok(())
    }
}

/// A block, header and all.
fn block(offset: u64, raw: &[u8]) -> Vec<u8> {
    let used = raw
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let used = raw.get(..used.next_multiple_of(8)).unwrap_or(raw);
    let packed = columns::pack(&words(used));
    let stored = if packed.len() < used.len() {
        packed.as_slice()
    } else {
        used
    };
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut tail = offset.to_le_bytes().to_vec();
    tail.extend(length(raw));
    tail.extend(length(used));
    tail.extend(length(stored));
    tail.extend(crc32c(stored).to_le_bytes());
    let mut block = MARK.to_vec();
    block.extend(crc32c(&tail).to_le_bytes());
    block.extend(tail);
    block.extend(stored);
    block.resize(HEADER_BYTES + stored_length(used.len(), stored.len()), 0);
    block
}

/// Bytes behind a block's header.
fn stored_length(used: usize, packed: usize) -> usize {
    packed.max(used / MAX_RATIO).next_multiple_of(8)
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks(8).map(padded).collect()
}

/// The word that up to eight bytes begin.
fn padded(bytes: &[u8]) -> u64 {
    let shifted = bytes.iter().zip(0u32..8);
    shifted.fold(0, |word, (byte, place)| {
        word | u64::from(*byte) << (8 * place)
    })
}

/// A process file, unpacked as far as its blocks are in order. Zeros where a block is missing: a chunk
/// of zeros is a free one, and its lane knows from its neighbours that it is gone.
///
/// Where the blocks lie is known from one look at all of them, checksums included; each is unpacked when
/// it is read, and the latest two are kept: there may be two threads.
pub(super) struct Unpacked<'a> {
    section: Part<'a>,
    /// By offset, without overlap.
    blocks: Vec<Block>,
    /// End of the last block.
    len: u64,
    latest: Mutex<Latest>,
}

/// The used bytes of the latest blocks, by number.
type Latest = [Option<(usize, Arc<Used>)>; 2];

#[derive(Debug)]
struct Block {
    offset: u64,
    raw_len: u64,
    /// Where its stored bytes begin in the section, and how many of them are its own.
    body: u64,
    packed: usize,
    used: usize,
}

/// Stored bytes between two words on how far the look has come.
const FAR_EVERY: u64 = 1 << 20;

/// A block's header that is in order.
struct Head {
    offset: u64,
    raw: usize,
    used: usize,
    packed: usize,
    sum: u32,
}

impl<'a> Unpacked<'a> {
    /// Looks at a section. `damaged` is told the place of each gap in it, and what it means; `far` how many bytes of it
    /// were looked at, now and then.
    pub(super) fn read(
        section: Part<'a>,
        mut damaged: impl FnMut(u64, &'static str),
        mut far: impl FnMut(u64),
    ) -> io::Result<Self> {
        let mut unpacked = Self {
            section,
            blocks: Vec::new(),
            len: 0,
            latest: Mutex::default(),
        };
        let section = &unpacked.section;
        let len = section.len()?;
        let mut at = 0;
        let mut bytes = [0; HEADER_BYTES];
        let mut told = 0;
        while at < len {
            if at / FAR_EVERY != told {
                told = at / FAR_EVERY;
                far(at);
            }
            let got = read_full(section, at, &mut bytes)?;
            let Some(head) = head(bytes.get(..got).unwrap_or_default(), at) else {
                let next = next_block(section, at.saturating_add(8))?;
                if next.is_some() || got == HEADER_BYTES {
                    damaged(at, "a damaged block of a process file; it is left out");
                }
                match next {
                    Some(next) => at = next,
                    None => break,
                }
                continue;
            };
            // Not more than a piece, whatever the file says.
            let mut stored = vec![0; stored_length(head.used, head.packed)];
            let body = at.saturating_add(HEADER_BYTES as u64);
            let got = read_full(section, body, &mut stored)?;
            if got < stored.len() {
                // Cut off; whoever knows the section's length has said so.
                break;
            }
            let is_whole = stored.get(..head.packed).map(crc32c) == Some(head.sum);
            match is_whole {
                true if head.offset < unpacked.len => {
                    damaged(
                        at,
                        "a block of a process file that is there twice; it is left out",
                    );
                }
                true => {
                    let raw_len = head.raw as u64;
                    unpacked.len = head.offset.saturating_add(raw_len);
                    unpacked.blocks.push(Block {
                        offset: head.offset,
                        raw_len,
                        body,
                        packed: head.packed,
                        used: head.used,
                    });
                }
                false => damaged(
                    at,
                    "a block of a process file whose checksum does not fit; it is left out",
                ),
            }
            at = body.saturating_add(stored.len() as u64);
        }
        Ok(unpacked)
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The used bytes of a block, if it is among the latest.
    fn known(&self, index: usize) -> Option<Arc<Used>> {
        let latest = self.latest();
        let mut known = latest.iter().flatten();
        let (_, used) = known.find(|(known, _)| *known == index)?;
        Some(Arc::clone(used))
    }

    /// Hands the used bytes of a block on, from `from` on; of no more than `count` of them nothing else
    /// is unpacked.
    fn used(&self, index: usize, from: usize, count: usize, to: &mut [u8]) -> io::Result<()> {
        let mut copy = |used: &[u8]| {
            let used = used.get(from..).unwrap_or_default();
            for (to, from) in to.iter_mut().zip(used) {
                *to = *from;
            }
        };
        if let Some(used) = self.known(index) {
            copy(used.bytes());
            return Ok(());
        }
        let Some(block) = self.blocks.get(index) else {
            return Ok(());
        };
        // Looking through the headers of all chunks must not unpack the chunks.
        let is_head = from == 0 && count <= PREFIX_BYTES && block.packed < block.used;
        let mut stored = vec![0; block.packed];
        let got = read_full(&self.section, block.body, &mut stored)?;
        stored.truncate(got);
        if is_head {
            copy(Used::unpacked(&stored, block.used.min(PREFIX_BYTES)).bytes());
            return Ok(());
        }
        let used = match block.packed == block.used {
            true => Used::Stored(stored),
            false => Used::unpacked(&stored, block.used),
        };
        copy(used.bytes());
        let mut known = self.latest();
        let [latest, before] = &mut *known;
        *before = latest.replace((index, Arc::new(used)));
        Ok(())
    }
}

/// Bytes that are unpacked alone: those of a chunk's header, which do not depend on what follows.
const PREFIX_BYTES: usize = layout::CHUNK_HEADER_WORDS * 8;

/// The used bytes of a block.
#[derive(Debug)]
enum Used {
    /// As they were stored.
    Stored(Vec<u8>),
    /// As words whose bytes in memory they are, so many of them.
    Unpacked(Vec<u64>, usize),
}

impl Used {
    fn unpacked(packed: &[u8], count: usize) -> Self {
        let mut words = columns::unpack(packed, count.div_ceil(8));
        for word in &mut words {
            *word = word.to_le();
        }
        Self::Unpacked(words, count)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Stored(bytes) => bytes,
            Self::Unpacked(words, count) => {
                let bytes: &[u8] = bytemuck::cast_slice(words);
                bytes.get(..*count).unwrap_or(bytes)
            }
        }
    }
}

/// The header of a block at `at` of its section, if there is one.
fn head(bytes: &[u8], at: u64) -> Option<Head> {
    let tail = bytes.get(8..HEADER_BYTES)?;
    if bytes.get(..4) != Some(&MARK) || crc32c(tail) != u32_at(bytes, 4) {
        return None;
    }
    let length = |at| usize::try_from(u32_at(bytes, at)).ok();
    let head = Head {
        offset: u64_at(bytes, 8),
        raw: length(16)?,
        used: length(20)?,
        packed: length(24)?,
        sum: u32_at(bytes, 28),
    };
    let possible_before = (at / HEADER_BYTES as u64).saturating_mul(PIECE_BYTES as u64);
    let in_order = head.offset <= possible_before
        && head.raw <= PIECE_BYTES
        && head.used <= head.raw
        && head.packed <= head.used;
    in_order.then_some(head)
}

/// Where the next block begins, from `at` on.
fn next_block(section: &dyn ReadAt, mut at: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; WINDOW_BYTES];
    loop {
        let got = read_full(section, at, &mut window)?;
        let window = window.get(..got).unwrap_or_default();
        let starts = (0..got.saturating_sub(HEADER_BYTES - 1)).step_by(8);
        for start in starts {
            let here = at.saturating_add(start as u64);
            if window
                .get(start..)
                .is_some_and(|rest| head(rest, here).is_some())
            {
                return Ok(Some(here));
            }
        }
        if got < WINDOW_BYTES {
            return Ok(None);
        }
        at = at.saturating_add((WINDOW_BYTES - HEADER_BYTES) as u64);
    }
}

impl ReadAt for Unpacked<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.blocks.partition_point(|block| block.offset <= offset);
        let index = next.checked_sub(1);
        let block = index.and_then(|at| Some((at, self.blocks.get(at)?)));
        // How much of the buffer one block, or one gap, can fill.
        let within = block
            .map(|(index, block)| (index, block, offset - block.offset))
            .filter(|(_, block, from)| *from < block.raw_len);
        let end = match within {
            Some((_, block, _)) => block.offset.saturating_add(block.raw_len),
            None => self.blocks.get(next).map_or(self.len, |block| block.offset),
        };
        let room = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = room.min(buffer.len());
        let Some(part) = buffer.get_mut(..count) else {
            return Ok(0);
        };
        part.fill(0);
        if let Some((index, _, from)) = within {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            self.used(index, from, count, part)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Blocks of `pieces`, one after the other.
    fn blocks(pieces: &[Vec<u8>]) -> Vec<u8> {
        let mut offset = 0;
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(block(offset, piece));
            offset += piece.len() as u64;
        }
        out
    }

    fn whole(unpacked: &Unpacked<'_>) -> Vec<u8> {
        let mut bytes = vec![7; usize::try_from(unpacked.len).unwrap()];
        assert_eq!(read_full(unpacked, 0, &mut bytes).unwrap(), bytes.len());
        bytes
    }

    fn read(section: &Vec<u8>) -> (Unpacked<'_>, usize) {
        let mut problems = 0;
        let part = Part {
            bytes: section,
            from: 0,
            len: section.len() as u64,
        };
        let unpacked = Unpacked::read(part, |_, _| problems += 1, |_| {}).unwrap();
        (unpacked, problems)
    }

    #[test]
    fn a_damaged_block_is_left_out_alone() {
        let pieces = vec![vec![1; 4096], vec![2; 4096], vec![3; 100]];
        let good = blocks(&pieces);
        let (unpacked, problems) = read(&good);
        assert_eq!((whole(&unpacked), problems), (pieces.concat(), 0));
        let second = blocks(&pieces[..1]).len();
        // Its mark, its header's sum, its offset, its lengths, its sum, its bytes.
        for at in [0, 5, 9, 17, 21, 25, 29, 33] {
            let mut bad = good.clone();
            bad[second + at] ^= 0x40;
            let (unpacked, problems) = read(&bad);
            let expected = [vec![1; 4096], vec![0; 4096], vec![3; 100]].concat();
            assert_eq!(whole(&unpacked), expected, "{at}");
            assert_eq!(problems, 1, "{at}");
        }
    }

    #[test]
    fn lengths_and_offsets_are_bounded_by_what_is_there() {
        let lying = |offset: u64, lengths: [u32; 3]| {
            let mut tail = offset.to_le_bytes().to_vec();
            tail.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
            tail.extend([0; 4]);
            let mut block = MARK.to_vec();
            block.extend(crc32c(&tail).to_le_bytes());
            block.extend(tail);
            block
        };
        for block in [
            lying(0, [u32::MAX; 3]),
            lying(0, [1 << 17; 3]),
            lying(0, [8, 16, 8]),
            lying(0, [16, 8, 16]),
            lying(8, [0, 0, 0]),
            lying(u64::MAX, [8, 0, 0]),
        ] {
            let (unpacked, problems) = read(&block);
            assert_eq!((unpacked.len, problems), (0, 1), "{block:?}");
        }
        // A bomb: full pieces out of nothing but headers.
        let bomb = lying(0, [1 << 16, 1 << 16, 0]);
        assert_eq!(read(&bomb).0.len, 0);
    }

    #[test]
    fn what_is_all_the_same_is_padded_to_the_bound() {
        let section = block(0, &[0xFF; PIECE_BYTES]);
        assert_eq!(section.len(), HEADER_BYTES + PIECE_BYTES / MAX_RATIO);
        assert_eq!(whole(&read(&section).0), vec![0xFF; PIECE_BYTES]);
        assert_eq!(block(0, &[0; PIECE_BYTES]).len(), HEADER_BYTES);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn unpacking_undoes_packing_of_any_bytes(
            pieces in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..900), 0usize..300),
                0..5,
            ),
        ) {
            let padded = |(mut bytes, zeros): (Vec<u8>, usize)| {
                bytes.resize(bytes.len() + zeros, 0);
                bytes
            };
            let pieces: Vec<Vec<u8>> = pieces.into_iter().map(padded).collect();
            let section = blocks(&pieces);
            let (unpacked, problems) = read(&section);
            prop_assert_eq!(problems, 0);
            prop_assert_eq!(whole(&unpacked), pieces.concat());
        }

        #[test]
        fn any_part_can_be_read(from in 0u64..300, count in 0usize..300) {
            let pieces = vec![vec![1; 64], vec![2; 64], vec![3; 64]];
            let mut section = blocks(&pieces);
            let second = blocks(&pieces[..1]).len();
            section[second] ^= 1;
            let all = [vec![1; 64], vec![0; 64], vec![3; 64]].concat();
            let (unpacked, _) = read(&section);
            let mut buffer = vec![9; count];
            let got = read_full(&unpacked, from, &mut buffer).unwrap();
            let wanted = all.get(from as usize..).unwrap_or_default();
            prop_assert_eq!(&buffer[..got], &wanted[..wanted.len().min(count)]);
        }
    }
}
