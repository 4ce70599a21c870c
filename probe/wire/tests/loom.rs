//! The protocol under the model checker: every interleaving and every reordering that the memory model
//! allows. Each test asserts the whole set of outcomes, so that a model that explores only one of them
//! is noticed; each guarantee has a planted mistake that must turn it red.
//!
//! Run: `RUSTFLAGS="--cfg loom" cargo test -p tracer-wire --test loom --release`

#![cfg(loom)]
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};
use protocol::{ChunkHeader, Gate};
// What the protocol finds in its crate.
use wire::layout::{self, ChunkKind, chunk, chunk_number};
use wire::record::{self, Header, Kind, State};

/// The protocol as it is, with [`sync`] from here.
#[path = "../src/protocol.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the file of another crate, which offers more than is modelled"
)]
mod protocol;

/// The model checker's atomics.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

    /// Keeps the compiler from moving stores across it; loom models no signal handlers.
    pub(crate) fn compiler_fence(_order: Ordering) {}
}

type Outcomes = Arc<Mutex<BTreeSet<String>>>;

fn words(count: usize) -> loom::sync::Arc<Vec<AtomicU64>> {
    loom::sync::Arc::new((0..count).map(|_| AtomicU64::new(0)).collect())
}

fn header(seq: u64) -> ChunkHeader {
    ChunkHeader {
        seq,
        lane: 1,
        kind: ChunkKind::Event,
        ticks: 10 * seq,
        monotonic_ns: 0,
        lost: 0,
        records: 0,
        uuid_low: 0xABC,
    }
}

/// Runs a model in every interleaving and returns what was seen over all of them.
fn outcomes(model: impl Fn() -> String + Send + Sync + 'static) -> BTreeSet<String> {
    let seen = Outcomes::default();
    let into = Arc::clone(&seen);
    loom::model(move || {
        let outcome = model();
        into.lock().unwrap().insert(outcome);
    });
    Arc::try_unwrap(seen).unwrap().into_inner().unwrap()
}

fn set(outcomes: &[&str]) -> BTreeSet<String> {
    outcomes.iter().map(ToString::to_string).collect()
}

fn see_record(slot: &[AtomicU64]) -> String {
    let header = protocol::read_header(&slot[0]);
    match header.state() {
        None => "nothing".into(),
        Some(State::Committed) => {
            format!("committed {}", slot[1].load(Ordering::Relaxed))
        }
        Some(state) => format!("{state:?} of {} words", header.words()),
    }
}

#[test]
fn a_committed_record_is_whole() {
    let seen = outcomes(|| {
        let slot = words(2);
        let writer = {
            let slot = slot.clone();
            loom::thread::spawn(move || {
                protocol::reserve(&slot, 2);
                protocol::commit(&slot, Header::committed(Kind::Leak, 2, 0, 0, 0), &[42]);
            })
        };
        let outcome = see_record(&slot);
        writer.join().unwrap();
        outcome
    });
    assert_eq!(
        seen,
        set(&["nothing", "Reserved of 2 words", "committed 42"])
    );
}

#[test]
fn without_release_a_committed_record_may_be_torn() {
    let seen = outcomes(|| {
        let slot = words(2);
        let writer = {
            let slot = slot.clone();
            loom::thread::spawn(move || {
                slot[1].store(42, Ordering::Relaxed);
                let header = record::Header::committed(Kind::Leak, 2, 0, 0, 0);
                slot[0].store(header.0, Ordering::Relaxed);
            })
        };
        let outcome = see_record(&slot);
        writer.join().unwrap();
        outcome
    });
    assert!(
        seen.contains("committed 0"),
        "the planted mistake went unnoticed: {seen:?}"
    );
}

/// A chunk with one record, recycled for a second lap while a reader copies it.
fn recycle(
    close: fn(&[AtomicU64]),
    copy: fn(&[AtomicU64]) -> Option<(u64, u64, u64)>,
) -> BTreeSet<String> {
    outcomes(move || {
        let chunk = words(10);
        protocol::open(&chunk, &header(1));
        chunk[9].store(100, Ordering::Relaxed);
        let writer = {
            let chunk = chunk.clone();
            loom::thread::spawn(move || {
                close(&chunk);
                protocol::open(&chunk, &header(2));
                chunk[9].store(200, Ordering::Relaxed);
            })
        };
        let outcome = copy(&chunk);
        writer.join().unwrap();
        match outcome {
            None => "refused".into(),
            Some((seq, check, _)) if check ^ 0xABC != seq => "header of another lap".into(),
            Some((gate, _, body)) => format!("lap {} with {body}", chunk_number(gate)),
        }
    })
}

/// Clears only what the model looks at: the whole body would be too many steps.
fn close(chunk: &[AtomicU64]) {
    protocol::close_and_clear(&chunk[..1], protocol::clear_words);
    chunk[9].store(0, Ordering::Relaxed);
}

fn close_without_fence(chunk: &[AtomicU64]) {
    chunk[chunk::SEQ].store(0, Ordering::Release);
    chunk[9].store(0, Ordering::Relaxed);
}

fn copy(chunk: &[AtomicU64]) -> Option<(u64, u64, u64)> {
    let gate = Gate::open(chunk)?;
    let seq = chunk[chunk::SEQ].load(Ordering::Relaxed);
    let check = chunk[chunk::CHECK].load(Ordering::Relaxed);
    let body = chunk[9].load(Ordering::Relaxed);
    gate.still(chunk).then_some((seq, check, body))
}

fn copy_without_fence(chunk: &[AtomicU64]) -> Option<(u64, u64, u64)> {
    let seq = chunk[chunk::SEQ].load(Ordering::Acquire);
    if seq == 0 {
        return None;
    }
    let check = seq ^ 0xABC;
    let body = chunk[9].load(Ordering::Relaxed);
    (chunk[chunk::SEQ].load(Ordering::Acquire) == seq).then_some((seq, check, body))
}

/// A body of 0 is room not written yet, which a reader takes for the end.
const WHOLE: [&str; 4] = [
    "refused",
    "lap 1 with 100",
    "lap 2 with 0",
    "lap 2 with 200",
];

#[test]
fn a_copy_is_of_one_lap() {
    assert_eq!(recycle(close, copy), set(&WHOLE));
}

#[test]
fn without_the_writers_fence_laps_mix() {
    let seen = recycle(close_without_fence, copy);
    assert!(
        !seen.is_subset(&set(&WHOLE)),
        "the planted mistake went unnoticed: {seen:?}"
    );
}

#[test]
fn without_the_readers_fence_laps_mix() {
    let seen = recycle(close, copy_without_fence);
    assert!(
        !seen.is_subset(&set(&WHOLE)),
        "the planted mistake went unnoticed: {seen:?}"
    );
}

#[test]
fn the_planted_reader_is_right_with_a_fence() {
    // So that the test above is red for the fence and for nothing else.
    fn fenced(chunk: &[AtomicU64]) -> Option<(u64, u64, u64)> {
        let seq = chunk[chunk::SEQ].load(Ordering::Acquire);
        if seq == 0 {
            return None;
        }
        let body = chunk[9].load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        (chunk[chunk::SEQ].load(Ordering::Relaxed) == seq).then_some((seq, seq ^ 0xABC, body))
    }
    assert_eq!(recycle(close, fenced), set(&WHOLE));
}

#[test]
fn an_id_that_is_seen_is_explained() {
    // The order of the intern table: the record is committed, then the number is published.
    let seen = outcomes(|| {
        let slot = words(2);
        let id = loom::sync::Arc::new(AtomicU64::new(0));
        let writer = {
            let (slot, id) = (slot.clone(), id.clone());
            loom::thread::spawn(move || {
                protocol::reserve(&slot, 2);
                protocol::commit(&slot, Header::committed(Kind::Site, 2, 0, 0, 0), &[7]);
                id.store(7, Ordering::Release);
            })
        };
        let outcome = match id.load(Ordering::Acquire) {
            0 => "no id".into(),
            id => format!("id {id}: {}", see_record(&slot)),
        };
        writer.join().unwrap();
        outcome
    });
    assert_eq!(seen, set(&["no id", "id 7: committed 7"]));
}

const FREE: u8 = 0;
const OPEN: u8 = 1;
const CLOSED: u8 = 2;

/// A chunk, or a lane's cursor, that two threads own one after the other. What they do to it is an access
/// to plain memory, of which loom checks that no two meet. Says what each of two takers found.
fn owned_in_turn(
    hand_over: fn(&AtomicU8, u8),
    take_over: fn(&AtomicU8, u8, u8) -> bool,
) -> BTreeSet<String> {
    struct Owned {
        owner: AtomicU8,
        content: UnsafeCell<u64>,
    }
    // SAFETY: loom reports an access to the cell that is not ordered after the one before.
    unsafe impl Sync for Owned {}

    outcomes(move || {
        let owned = loom::sync::Arc::new(Owned {
            owner: AtomicU8::new(OPEN),
            content: UnsafeCell::new(0),
        });
        let first = {
            let owned = owned.clone();
            loom::thread::spawn(move || {
                // SAFETY: this thread is the owner.
                owned.content.with_mut(|content| unsafe { *content = 1 });
                hand_over(&owned.owner, CLOSED);
            })
        };
        let take = move |owned: &Owned, mark: u64| {
            if !take_over(&owned.owner, CLOSED, OPEN) {
                return "not taken".to_owned();
            }
            // SAFETY: this thread is the owner now.
            let found = owned.content.with_mut(|content| unsafe {
                let found = *content;
                *content = mark;
                found
            });
            format!("taken with {found}")
        };
        let second = {
            let owned = owned.clone();
            loom::thread::spawn(move || take(&owned, 2))
        };
        let third = take(&owned, 3);
        first.join().unwrap();
        format!("{third}, {}", second.join().unwrap())
    })
}

#[test]
fn a_chunk_or_a_lane_has_one_owner_after_the_other() {
    let seen = owned_in_turn(protocol::hand_over, protocol::take_over);
    let possible = [
        "not taken, not taken",
        "not taken, taken with 1",
        "taken with 1, not taken",
    ];
    assert_eq!(seen, set(&possible));
}

#[test]
#[should_panic = "Causality violation"]
fn without_release_the_last_owner_still_writes() {
    let hand_over = |owner: &AtomicU8, to| owner.store(to, Ordering::Relaxed);
    owned_in_turn(hand_over, protocol::take_over);
}

#[test]
#[should_panic = "Causality violation"]
fn without_acquire_the_next_owner_writes_too_early() {
    let take_over = |owner: &AtomicU8, from, to| {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        owner.compare_exchange(from, to, success, failure).is_ok()
    };
    owned_in_turn(protocol::hand_over, take_over);
}

#[test]
fn a_chunk_taken_over_is_clear_for_whoever_sees_its_next_lap() {
    // Hand-over, clearing and opening together, with a reader beside them.
    let seen = outcomes(|| {
        let chunk = words(10);
        let owner = loom::sync::Arc::new(AtomicU8::new(OPEN));
        protocol::open(&chunk, &header(1));
        let last = {
            let (chunk, owner) = (chunk.clone(), owner.clone());
            loom::thread::spawn(move || {
                chunk[9].store(100, Ordering::Relaxed);
                protocol::hand_over(&owner, CLOSED);
                if protocol::take_over(&owner, CLOSED, FREE) {
                    close(&chunk);
                    protocol::open(&chunk, &header(2));
                }
            })
        };
        let outcome = match copy(&chunk) {
            None => "refused".into(),
            Some((gate, _, body)) => format!("lap {} with {body}", chunk_number(gate)),
        };
        last.join().unwrap();
        outcome
    });
    let possible = ["refused", "lap 1 with 0", "lap 1 with 100", "lap 2 with 0"];
    assert_eq!(seen, set(&possible));
}

/// A chunk that goes from lane 1 to lane 2, where it has the same number, while a reader copies it.
fn to_another_lane(gate: fn(&ChunkHeader) -> u64) -> BTreeSet<String> {
    outcomes(move || {
        let open = move |chunk: &[AtomicU64], header: &ChunkHeader| {
            let gate = gate(header);
            chunk[chunk::CHECK].store(header.uuid_low ^ gate, Ordering::Relaxed);
            chunk[chunk::SEQ].store(gate, Ordering::Release);
        };
        let chunk = words(10);
        open(&chunk, &header(1));
        chunk[9].store(100, Ordering::Relaxed);
        let writer = {
            let chunk = chunk.clone();
            loom::thread::spawn(move || {
                close(&chunk);
                let lane = 2;
                open(&chunk, &ChunkHeader { lane, ..header(1) });
                chunk[9].store(200, Ordering::Relaxed);
            })
        };
        let held = Gate::open(&chunk);
        let lane = chunk[chunk::SEQ].load(Ordering::Relaxed);
        let first = chunk[9].load(Ordering::Relaxed);
        let second = chunk[9].load(Ordering::Relaxed);
        let outcome = match held.is_some_and(|held| held.still(&chunk)) {
            true => format!("gate {lane:#x} with {first}, {second}"),
            false => "refused".into(),
        };
        writer.join().unwrap();
        outcome
    })
}

#[test]
fn lanes_with_chunks_of_one_number_do_not_mix() {
    let seen = to_another_lane(|header| layout::gate(header.lane, header.kind, header.seq));
    let possible = [
        "refused",
        "gate 0x20000000001 with 100, 100",
        "gate 0x40000000001 with 0, 0",
        "gate 0x40000000001 with 0, 200",
        "gate 0x40000000001 with 200, 200",
    ];
    assert_eq!(seen, set(&possible));
}

#[test]
fn by_the_number_alone_two_laps_are_taken_for_one() {
    // The reader begins in one lap and ends in the other, and cannot tell.
    let seen = to_another_lane(|header| header.seq);
    assert!(seen.contains("gate 0x1 with 100, 0"), "{seen:?}");
}

/// Two threads that write a name each, where the first of them, or both, find no chunk to write to and open
/// one of their own. What they clear is plain memory, of which loom checks that no two accesses meet.
fn names_in_one_chunk(
    claim: fn(&AtomicU64, usize, usize) -> Result<(u32, usize), u64>,
    move_on: fn(&AtomicU64, u64, u32) -> bool,
) -> BTreeSet<String> {
    struct Names {
        end: AtomicU64,
        cleared: [UnsafeCell<u64>; 2],
    }
    // SAFETY: loom reports an access to a cell that is not ordered after the one before.
    unsafe impl Sync for Names {}

    outcomes(move || {
        let names = loom::sync::Arc::new(Names {
            end: AtomicU64::new(0),
            cleared: [UnsafeCell::new(0), UnsafeCell::new(0)],
        });
        let write = move |names: &Names, own: u32| loop {
            match claim(&names.end, 2, 12) {
                Ok((chunk, at)) => {
                    // SAFETY: whoever writes into a chunk only reads what clearing left.
                    let cleared = names.cleared[chunk as usize].with(|cell| unsafe { *cell });
                    return (at, cleared);
                }
                Err(full) => {
                    // SAFETY: nobody else knows of this chunk before `move_on`.
                    names.cleared[own as usize].with_mut(|cell| unsafe { *cell = 7 });
                    move_on(&names.end, full, own);
                }
            }
        };
        let other = {
            let names = names.clone();
            loom::thread::spawn(move || write(&names, 1))
        };
        let (own, other) = (write(&names, 0), other.join().unwrap());
        format!("{own:?}, {other:?}")
    })
}

#[test]
fn names_have_a_place_each_in_a_chunk_that_is_clear() {
    let seen = names_in_one_chunk(protocol::claim, protocol::move_on);
    assert_eq!(seen, set(&["(8, 7), (10, 7)", "(10, 7), (8, 7)"]));
}

#[test]
#[should_panic = "Causality violation"]
fn without_release_a_name_is_written_before_its_chunk_is_clear() {
    let move_on = |end: &AtomicU64, full: u64, chunk: u32| {
        let next = (u64::from(chunk) + 1) << 32 | 8;
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        end.compare_exchange(full, next, success, failure).is_ok()
    };
    names_in_one_chunk(protocol::claim, move_on);
}

/// A name is written into a hole while a reader copies the chunk; another one stands behind it already.
fn name_before_another(announce: fn(&[AtomicU64], u8)) -> BTreeSet<String> {
    outcomes(move || {
        let chunk = words(13);
        let kind = ChunkKind::Meta;
        protocol::open(&chunk, &ChunkHeader { kind, ..header(1) });
        protocol::announce(&chunk[11..], 2);
        protocol::commit(
            &chunk[11..],
            Header::committed(Kind::Site, 2, 0, 0, 0),
            &[5],
        );
        let writer = {
            let chunk = chunk.clone();
            loom::thread::spawn(move || {
                announce(&chunk[8..11], 3);
                protocol::commit(
                    &chunk[8..11],
                    Header::committed(Kind::Site, 3, 0, 0, 0),
                    &[0, 6],
                );
            })
        };
        let mut copy = vec![0; 13];
        assert!(protocol::snapshot(&chunk, &mut copy));
        writer.join().unwrap();
        let record = |at: usize| {
            let header = record::Header(copy[at]);
            match header.state() {
                None if copy[at] == 0 => "a hole".into(),
                None => "nonsense".into(),
                Some(State::Committed) => format!("{}", copy[at + header.words() - 1]),
                Some(state) => format!("{state:?}"),
            }
        };
        format!("{}, {}", record(8), record(11))
    })
}

const FOUND: [&str; 3] = ["a hole, 5", "Reserved, 5", "6, 5"];

#[test]
fn a_name_is_found_behind_a_hole() {
    assert_eq!(name_before_another(protocol::announce), set(&FOUND));
}

#[test]
fn without_the_announcers_fence_a_payload_is_taken_for_a_header() {
    let seen = name_before_another(protocol::reserve);
    assert!(
        !seen.is_subset(&set(&FOUND)),
        "the planted mistake went unnoticed: {seen:?}"
    );
}
