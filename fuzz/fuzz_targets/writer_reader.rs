//! What the writer committed and nobody damaged is found, and what is not found is counted.
//!
//! Each record is a peek that carries its lane and its number. Some chunks are damaged, left out, or torn
//! at their end, then the file is cut. Each record of a whole chunk must come out once and in order; each
//! lane of which a record is missing must say that it lost some.

#![no_main]

use arbitrary::{Result, Unstructured};
use fuzz::{CHUNK_BYTES, Chunk, FIRST_CHUNK, LANES, Record};
use libfuzzer_sys::fuzz_target;
use traces::event::What;
use traces::{Input, Trace};
use wire::layout::ChunkKind;
use wire::payload::pair;
use wire::record::Kind;

const MARK: u64 = 0x7A << 56;

#[derive(Debug)]
struct Written {
    lane: u32,
    /// Numbers of its records.
    numbers: std::ops::Range<u64>,
    is_whole: bool,
    /// Bytes of its body were changed.
    is_altered: bool,
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let mut chunks = Vec::new();
    let mut written: Vec<Written> = Vec::new();
    let mut sequences = [0; LANES];
    let mut numbers = [0; LANES];
    let mut records = [0; LANES];
    for at in 0..u.int_in_range(1..=8u64)? {
        let lane = u.choose_index(LANES)?;
        sequences[lane] += 1;
        let ticks = at * 1000;
        let mut chunk = Chunk::open(
            lane as u32,
            ChunkKind::Event,
            sequences[lane],
            ticks,
            records[lane],
        );
        let who = Record {
            kind: Kind::Thread,
            flags: 0,
            aux: 0,
            delta: 0,
            words: vec![pair(77 + lane as u32, 0)],
        };
        assert!(chunk.write(&who));
        let first = numbers[lane];
        let most = if u.arbitrary()? {
            100
        } else {
            u.int_in_range(0..=20)?
        };
        for delta in 0..most {
            let words = vec![MARK | (lane as u64) << 48 | numbers[lane], 0];
            if !chunk.write(&Record {
                kind: Kind::Peek,
                flags: 0,
                aux: 0,
                delta,
                words,
            }) {
                break;
            }
            numbers[lane] += 1;
        }
        records[lane] += 1 + numbers[lane] - first;
        if u.ratio(1u8, 4)? {
            chunk.tear(u.int_in_range(1..=4)?);
        }
        chunks.push(chunk);
        written.push(Written {
            lane: lane as u32,
            numbers: first..numbers[lane],
            is_whole: true,
            is_altered: false,
        });
    }
    let mut bytes = fuzz::file(&chunks);
    for (index, chunk) in written.iter_mut().enumerate() {
        let place = FIRST_CHUNK + index * CHUNK_BYTES..FIRST_CHUNK + (index + 1) * CHUNK_BYTES;
        let place = &mut bytes[place];
        let before = place.to_vec();
        match u.int_in_range(0..=7u8)? {
            // Recycled, and never opened again.
            0 => place.fill(0),
            1 | 2 => {
                for _ in 0..u.int_in_range(1..=4)? {
                    // The numbers in the records are what the records say: that they are changed
                    // unseen is no business of a file without checksums.
                    let word = u.choose_index(CHUNK_BYTES / 8)?;
                    let is_payload = word >= 10 && (word - 10) % 3 != 0;
                    if !is_payload {
                        place[word * 8 + u.choose_index(8)?] ^= u.int_in_range(1..=255)?;
                    }
                }
            }
            _ => {}
        }
        chunk.is_whole = before == place;
        chunk.is_altered = !chunk.is_whole && place.iter().any(|byte| *byte != 0);
    }
    if u.ratio(1u8, 4)? {
        let cut = u.int_in_range(FIRST_CHUNK..=bytes.len())?;
        for (index, chunk) in written.iter_mut().enumerate() {
            chunk.is_whole &= FIRST_CHUNK + (index + 1) * CHUNK_BYTES <= cut;
        }
        bytes.truncate(cut);
    }
    compare(&bytes, &written);
    Ok(())
}

fn compare(bytes: &Vec<u8>, written: &[Written]) {
    let trace = Trace::read(&[Input {
        name: "fuzz.trc",
        bytes,
    }])
    .expect("the header is whole");
    // Damage may give one chunk the number of another: which of the two is right nobody can say, and one is
    // left out.
    let is_doubled = |problem: &traces::recording::Problem| {
        problem
            .message
            .contains("a second chunk with the same number")
    };
    let is_doubled = trace.recording().problems.iter().any(is_doubled);
    for lane in 0..LANES as u32 {
        let found: Vec<u64> = trace
            .events()
            .iter()
            .filter_map(|event| match &event.what {
                What::Peek(pointer) if pointer.address >> 48 == (MARK >> 48) | u64::from(lane) => {
                    Some(pointer.address & 0xFFFF_FFFF_FFFF)
                }
                _ => None,
            })
            .collect();
        for chunk in written
            .iter()
            .filter(|chunk| chunk.lane == lane && chunk.is_whole)
        {
            let numbers = chunk.numbers.clone();
            let at = found.iter().position(|number| *number == numbers.start);
            let there = at.and_then(|at| found.get(at..)).unwrap_or_default();
            let all = numbers
                .clone()
                .eq(there.iter().copied().take(numbers.clone().count()));
            assert!(
                all || numbers.is_empty() || is_doubled,
                "lane {lane}: {numbers:?} is not in {found:?}"
            );
        }
        // A changed header word may make another record of one: unseen, where there is no checksum.
        let made = written
            .iter()
            .filter(|chunk| chunk.lane == lane && !chunk.is_altered);
        let missing = made
            .flat_map(|chunk| chunk.numbers.clone())
            .filter(|number| !found.contains(number))
            .count();
        // A chunk's damaged header may have put its records, and so their loss, on another lane.
        let is_told =
            !trace.recording().losses.is_empty() || !trace.recording().problems.is_empty();
        assert!(
            missing == 0 || is_told,
            "lane {lane}: {missing} records are missing, and none is counted; {written:#?}"
        );
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = run(&mut Unstructured::new(data));
});
