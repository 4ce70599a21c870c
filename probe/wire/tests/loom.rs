//! The protocol under the model checker: every interleaving and every reordering that the memory model
//! allows. Each test asserts the whole set of outcomes, so that a model that explores only one of them
//! is noticed; each guarantee has a planted mistake that must turn it red.
//!
//! Run: `RUSTFLAGS="--cfg loom" cargo test -p tracer-wire --test loom --release`

#![cfg(loom)]
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicU64, Ordering, fence};
use wire::layout::{ChunkKind, chunk};
use wire::protocol::{self, ChunkHeader, Gate};
use wire::record::{Kind, State};

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
                protocol::commit(&slot, Kind::Leak, 0, 0, 0, &[42]);
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
                let header = wire::record::Header::committed(Kind::Leak, 2, 0, 0, 0);
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
            Some((seq, _, body)) => format!("lap {seq} with {body}"),
        }
    })
}

/// Clears only what the model looks at: the whole body would be too many steps.
fn close(chunk: &[AtomicU64]) {
    protocol::close_and_clear(&chunk[..1]);
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
                protocol::commit(&slot, Kind::Site, 0, 0, 0, &[7]);
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
