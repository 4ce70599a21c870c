//! How a record and a chunk become visible to a reader that may look at any moment, or only after
//! the writer was killed.
//!
//! One writer per chunk at a time; any number of readers. The caller hands in the chunk's words as
//! atomics, so that the same code runs over a mapping and under loom.
//!
//! Invariants
//! - A record's header goes 0 → reserved → committed and never back while the gate is open.
//! - Behind a committed record lie whole records or zeros.
//! - No two laps of a chunk have the same gate.
//! - The gate (word 0 of a chunk) is 0 from before the first word of an old lap is overwritten until
//!   after the header of the new lap is written.

use crate::layout::{CHUNK_HEADER_WORDS, ChunkKind, chunk, gate, pack_lane_kind};
use crate::record::Header;
use crate::sync::{AtomicU8, AtomicU64, Ordering, compiler_fence, fence};

/// Stage 1: says how long the record at `slot[0]` will be, so that a reader can step over it.
///
/// The fence orders it before the payload for a signal handler or a kill on this thread; nobody else
/// relies on it.
#[inline(always)]
pub fn reserve(slot: &[AtomicU64], words: u8) {
    if let Some(header) = slot.first() {
        header.store(Header::reserved(words).0, Ordering::Relaxed);
    }
    compiler_fence(Ordering::SeqCst);
}

/// Stage 2: writes the payload, then the committed header. The Release pairs with the Acquire in
/// [`read_header`]: who sees the committed header also sees the payload.
#[inline(always)]
pub fn commit(slot: &[AtomicU64], header: Header, payload: &[u64]) {
    let Some((place, body)) = slot.split_first() else {
        return;
    };
    for (place, value) in body.iter().zip(payload) {
        place.store(*value, Ordering::Relaxed);
    }
    place.store(header.0, Ordering::Release);
}

/// Gives up what `owner` stands for, a chunk or a lane: the caller writes to it no more.
///
/// The Release pairs with the Acquire in [`take_over`].
pub fn hand_over(owner: &AtomicU8, to: u8) {
    owner.store(to, Ordering::Release);
}

/// Takes what somebody else gave up; false where it is not in that state, or another thread was faster.
///
/// The Acquire pairs with the Release in [`hand_over`]: all that the last owner wrote lies before
/// what the next one reads and overwrites.
pub fn take_over(owner: &AtomicU8, from: u8, to: u8) -> bool {
    owner
        .compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
}

/// Closes the gate of a chunk and clears what lies behind it.
///
/// The fence keeps the clearing stores behind the gate's: a reader that sees one of them in its copy
/// sees the gate changed when it looks again (pairs with the fence in [`Gate::still`]).
///
/// `clear` stores zeros to all words that it is given: [`clear_words`], or what a processor has for it.
pub fn close_and_clear(chunk: &[AtomicU64], clear: impl FnOnce(&[AtomicU64])) {
    let Some((gate, body)) = chunk.split_first() else {
        return;
    };
    gate.store(0, Ordering::Relaxed);
    fence(Ordering::Release);
    clear(body);
}

/// Stores zeros, a word at a time.
pub fn clear_words(words: &[AtomicU64]) {
    for place in words {
        place.store(0, Ordering::Relaxed);
    }
}

/// What a chunk's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    /// Number of the chunk within its lane and kind, from 1.
    pub seq: u64,
    /// Lane that writes it.
    pub lane: u32,
    /// What it holds.
    pub kind: ChunkKind,
    /// Time base.
    pub ticks: u64,
    /// Monotonic time of the time base, in ns.
    pub monotonic_ns: u64,
    /// Records of the lane lost before this chunk.
    pub lost: u64,
    /// Records of the lane written before this chunk.
    pub records: u64,
    /// First 8 bytes of the file's uuid.
    pub uuid_low: u64,
}

/// Writes the header of a cleared chunk and opens its gate. The Release pairs with the Acquire in
/// [`Gate::open`]: who sees the number also sees the header and the cleared body.
pub fn open(chunk: &[AtomicU64], header: &ChunkHeader) {
    if chunk.len() < CHUNK_HEADER_WORDS {
        return;
    }
    chunk[chunk::LANE_KIND].store(pack_lane_kind(header.lane, header.kind), Ordering::Relaxed);
    chunk[chunk::TICKS].store(header.ticks, Ordering::Relaxed);
    chunk[chunk::MONOTONIC_NS].store(header.monotonic_ns, Ordering::Relaxed);
    chunk[chunk::LOST].store(header.lost, Ordering::Relaxed);
    let gate = gate(header.lane, header.kind, header.seq);
    chunk[chunk::CHECK].store(header.uuid_low ^ gate, Ordering::Relaxed);
    chunk[chunk::RECORDS].store(header.records, Ordering::Relaxed);
    chunk[chunk::SEQ].store(gate, Ordering::Release);
}

/// Reads the header word of a record. Pairs with the Release in [`commit`].
#[inline]
pub fn read_header(place: &AtomicU64) -> Header {
    Header(place.load(Ordering::Acquire))
}

/// A reader's hold on one lap of a chunk: copy between [`Gate::open`] and [`Gate::still`], and throw
/// the copy away when the answer is no.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    seq: u64,
}

impl Gate {
    /// The lap that is visible now, or nothing while the chunk is free or being recycled.
    pub fn open(chunk: &[AtomicU64]) -> Option<Self> {
        let seq = chunk.first()?.load(Ordering::Acquire);
        (seq != 0).then_some(Self { seq })
    }

    /// Whether the lap is still the same, so that all that was read since is of one lap.
    ///
    /// The fence keeps the copy's loads before the second look (pairs with the fence in
    /// [`close_and_clear`]); an Acquire on the load alone would not.
    pub fn still(self, chunk: &[AtomicU64]) -> bool {
        fence(Ordering::Acquire);
        chunk
            .first()
            .is_some_and(|gate| gate.load(Ordering::Relaxed) == self.seq)
    }
}

/// Copies a chunk that may be written to at the same time. Each record in the copy is whole or not
/// committed; behind the first header of 0 the copy is zeros, because what a writer puts there
/// meanwhile would have no beginning. Returns false, with `copy` of no use, when the chunk was free or
/// recycled meanwhile.
pub fn snapshot(chunk: &[AtomicU64], copy: &mut [u64]) -> bool {
    let Some(gate) = Gate::open(chunk) else {
        return false;
    };
    copy.fill(0);
    for (place, value) in chunk.iter().zip(copy.iter_mut()).take(CHUNK_HEADER_WORDS) {
        *value = place.load(Ordering::Relaxed);
    }
    let end = chunk.len().min(copy.len());
    let mut at = CHUNK_HEADER_WORDS;
    while at < end {
        let header = read_header(&chunk[at]);
        let words = header.words().min(end - at);
        if words == 0 {
            break;
        }
        copy[at] = header.0;
        for index in at + 1..at + words {
            copy[index] = chunk[index].load(Ordering::Relaxed);
        }
        at += words;
    }
    gate.still(chunk)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::layout::CHUNK_WORDS;
    use crate::record::{Kind, State};

    fn chunk() -> Vec<AtomicU64> {
        (0..CHUNK_WORDS).map(|_| AtomicU64::new(7)).collect()
    }

    fn header(seq: u64) -> ChunkHeader {
        ChunkHeader {
            seq,
            lane: 3,
            kind: ChunkKind::Event,
            ticks: 100,
            monotonic_ns: 200,
            lost: 1,
            records: 2,
            uuid_low: 0xABCD,
        }
    }

    #[test]
    fn closed_chunk_is_not_read() {
        let chunk = chunk();
        close_and_clear(&chunk, clear_words);
        assert!(!snapshot(&chunk, &mut vec![0; CHUNK_WORDS]));
    }

    #[test]
    fn snapshot_holds_what_was_committed_and_marks_the_rest() {
        let chunk = chunk();
        close_and_clear(&chunk, clear_words);
        open(&chunk, &header(5));
        reserve(&chunk[8..], 3);
        commit(
            &chunk[8..],
            Header::committed(Kind::Leak, 3, 1, 2, 3),
            &[10, 11],
        );
        reserve(&chunk[11..], 4);
        let mut copy = vec![0; CHUNK_WORDS];
        assert!(snapshot(&chunk, &mut copy));
        let gate = gate(3, ChunkKind::Event, 5);
        assert_eq!(copy[chunk::SEQ], gate);
        assert_eq!(copy[chunk::CHECK], 0xABCD ^ gate);
        assert_eq!(crate::layout::chunk_number(gate), 5);
        assert_eq!(Header(copy[8]).state(), Some(State::Committed));
        assert_eq!(&copy[9..11], &[10, 11]);
        assert_eq!(Header(copy[11]).state(), Some(State::Reserved));
        assert_eq!(copy[15], 0);
    }
}
