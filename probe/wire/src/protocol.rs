//! How a record and a chunk become visible to a reader that may look at any moment, or only after
//! the writer was killed.
//!
//! One writer per chunk of events at a time; a chunk of names (META) has any number of them; any number of
//! readers. The caller hands in the chunk's words as atomics, so that the same code runs over a mapping and
//! under loom.
//!
//! Invariants
//! - A record's header goes 0 → reserved → committed and never back while the gate is open.
//! - Behind a committed record lie whole records or zeros. Among names the zeros may be a hole that others
//!   are written behind: room that a thread took and has not announced, or never will.
//! - No two laps of a chunk have the same gate.
//! - The gate (word 0 of a chunk) is 0 from before the first word of an old lap is overwritten until
//!   after the header of the new lap is written.

use crate::layout::{CHUNK_HEADER_WORDS, ChunkKind, chunk, gate, pack_lane_kind, unpack_lane_kind};
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

/// Takes room for a record at the end of the names, which all threads write one after the other. The word
/// says which chunk they write to, plus one, in its high half (0 is none yet), and how many of its words are
/// taken in its low half. Says which chunk and where in it; or, where there is no room, what the word was.
///
/// Who fails to exchange the word was overtaken, so that somebody always gets on: also a signal handler
/// that interrupted this very function. The Acquire pairs with the Release in [`move_on`], also through the
/// exchanges of others in between: what cleared and opened the chunk lies before what is written into it.
pub fn claim(end: &AtomicU64, words: usize, chunk_words: usize) -> Result<(u32, usize), u64> {
    let mut seen = end.load(Ordering::Relaxed);
    loop {
        let (chunk, taken) = ((seen >> 32) as u32, seen as u32 as usize);
        let Some(index) = chunk.checked_sub(1) else {
            return Err(seen);
        };
        if taken.saturating_add(words) > chunk_words {
            return Err(seen);
        }
        let more = seen.wrapping_add(words as u64);
        match end.compare_exchange(seen, more, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return Ok((index, taken)),
            Err(now) => seen = now,
        }
    }
}

/// Has the names go on in `chunk`, which the caller has opened, where `full` is still where they are. False
/// where somebody else had them go on already. The Release pairs with the Acquire in [`claim`].
pub fn move_on(end: &AtomicU64, full: u64, chunk: u32) -> bool {
    let next = (u64::from(chunk) + 1) << 32 | CHUNK_HEADER_WORDS as u64;
    end.compare_exchange(full, next, Ordering::Release, Ordering::Relaxed)
        .is_ok()
}

/// Stage 1 among names. The fence orders it before the payload for everybody: who sees a word of the
/// payload also sees that a record begins before it (pairs with the fence in `behind_hole`).
pub fn announce(slot: &[AtomicU64], words: u8) {
    reserve(slot, words);
    fence(Ordering::Release);
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
/// committed. Behind the first header of 0 the copy of events is zeros, because what a writer puts there
/// meanwhile would have no beginning; a copy of names has zeros in its holes. Returns false, with `copy` of no use, when the chunk was free or
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
    let are_names = unpack_lane_kind(copy[chunk::LANE_KIND]).1 == Some(ChunkKind::Meta);
    let mut at = CHUNK_HEADER_WORDS;
    while at < end {
        let header = read_header(&chunk[at]);
        if header.0 == 0 && are_names {
            match behind_hole(chunk, at, end) {
                Some(next) => at = next,
                None => break,
            }
            continue;
        }
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

/// Where the first record behind a hole at `at` begins: at `at` itself where its header has come meanwhile.
fn behind_hole(chunk: &[AtomicU64], at: usize, end: usize) -> Option<usize> {
    let written = |from: usize, to: usize| {
        let is_written = |index: &usize| chunk[*index].load(Ordering::Relaxed) != 0;
        (from..to).find(is_written)
    };
    let mut next = written(at, end)?;
    // The word that was found may lie within a record whose header was not there when we looked.
    loop {
        // Pairs with the fence in `announce`.
        fence(Ordering::Acquire);
        match written(at, next) {
            Some(earlier) => next = earlier,
            None => return Some(next),
        }
    }
}

/// Mends a copy of the records of a chunk of names that was written to while it was copied, word after word:
/// a copy may hold part of a record without its header. `again` copies words anew, from the given one on,
/// until the holes that are left are holes.
pub fn settle<E>(
    copy: &mut [u64],
    mut again: impl FnMut(usize, &mut [u64]) -> Result<(), E>,
) -> Result<(), E> {
    let mut at = 0;
    while let Some(first) = copy.get(at) {
        let words = Header(*first).words();
        if *first != 0 && words == 0 {
            return Ok(());
        }
        if *first != 0 {
            at = at.saturating_add(words);
            continue;
        }
        let written = |words: &[u64]| words.iter().position(|word| *word != 0);
        let Some(found) = copy.get(at..).and_then(written) else {
            return Ok(());
        };
        // As in `behind_hole`.
        let mut next = at.saturating_add(found);
        while let Some(hole) = copy.get_mut(at..next) {
            again(at, hole)?;
            match written(hole) {
                Some(0) => break,
                Some(earlier) => next = at.saturating_add(earlier),
                None => break,
            }
        }
        if copy.get(at).is_some_and(|word| *word == 0) {
            at = next;
            continue;
        }
        if let Some(rest) = copy.get_mut(at..) {
            again(at, rest)?;
        }
        if copy.get(at).is_none_or(|word| *word == 0) {
            // No writer takes a header back.
            return Ok(());
        }
    }
    Ok(())
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
    fn names_behind_a_hole_are_found() {
        let chunk = chunk();
        close_and_clear(&chunk, clear_words);
        let end = AtomicU64::new(0);
        assert_eq!(claim(&end, 2, CHUNK_WORDS), Err(0));
        let kind = ChunkKind::Meta;
        open(&chunk, &ChunkHeader { kind, ..header(1) });
        assert!(move_on(&end, 0, 6));
        assert!(!move_on(&end, 0, 7));
        // The first is a hole, the third is torn.
        for (number, at) in [(1u64, 8), (2, 11), (3, 14), (4, 17)] {
            assert_eq!(claim(&end, 3, CHUNK_WORDS), Ok((6, at)));
            if number != 1 {
                announce(&chunk[at..], 3);
            }
            if number % 2 == 0 {
                commit(
                    &chunk[at..],
                    Header::committed(Kind::Site, 3, 0, 0, 0),
                    &[number, number],
                );
            }
        }
        let mut copy = vec![0; CHUNK_WORDS];
        assert!(snapshot(&chunk, &mut copy));
        let all: Vec<_> = chunk
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .collect();
        assert_eq!(copy, all);
        assert_eq!(
            &copy[8..12],
            &[0, 0, 0, Header::committed(Kind::Site, 3, 0, 0, 0).0]
        );
        assert_eq!(
            claim(&end, CHUNK_WORDS - 19, CHUNK_WORDS),
            Err(7 << 32 | 20)
        );
        assert_eq!(claim(&end, CHUNK_WORDS - 20, CHUNK_WORDS), Ok((6, 20)));
    }

    #[test]
    fn a_copy_of_names_is_read_again_where_a_header_came_too_late() {
        let site = Header::committed(Kind::Site, 3, 0, 0, 0).0;
        let mut file = vec![0; 24];
        // A hole of three words, then two records; the copy was taken before the first header came.
        file[3..9].copy_from_slice(&[site, 1, 2, site, 3, 4]);
        let mut copy = file.clone();
        copy[3] = 0;
        let again = |file: &[u64], from: usize, words: &mut [u64]| {
            words.copy_from_slice(&file[from..from + words.len()]);
            Ok::<_, ()>(())
        };
        settle(&mut copy, |from, words| again(&file, from, words)).unwrap();
        assert_eq!(copy, file);
        // A file that answers as it likes ends it all the same.
        let mut answers = 0u64;
        let odd = |_: usize, words: &mut [u64]| {
            for word in words {
                answers = answers
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                *word = if answers >> 63 == 0 { 0 } else { answers };
            }
            Ok::<_, ()>(())
        };
        settle(&mut copy, odd).unwrap();
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
