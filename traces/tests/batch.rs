//! Files whose header says that times are by batch: lanes keep their own order, and a thread's handlers
//! have a lane apart.

mod support;

use support::file::File;
use traces::event::What;
use traces::finding::Doubt;
use traces::{Input, Trace};
use wire::layout::{self, header, incompat, lane};
use wire::payload::pair;
use wire::record::{Kind, Owner};

/// The file with this bit of its header; of its lanes, the second is that of the first one's handlers.
fn read(file: &File, incompat: u64) -> Trace {
    let mut bytes = file.bytes();
    bytes[header::INCOMPAT..][..8].copy_from_slice(&incompat.to_le_bytes());
    let sum = wire::crc::crc32c(&bytes[..header::CRC]);
    bytes[header::CRC..][..4].copy_from_slice(&sum.to_le_bytes());
    let owner = layout::HEADER_BYTES + layout::LANE_BYTES + lane::OWNER * 8;
    bytes[owner..][..8].copy_from_slice(&pair(77, 1).to_le_bytes());
    let input = Input {
        name: "x.trc",
        bytes: &bytes,
    };
    Trace::read(&[input]).unwrap()
}

/// Leak and reclaim of one address, again and again, by thread and handler in turn.
fn in_turn(handler: usize) -> File {
    let mut file = File::default();
    let pointer = [0x1000, pair(1, 1)];
    for lane in [0, handler] {
        file.record(lane, 0, Kind::Thread, 0, &[pair(77, 1)]);
    }
    for at in 1..4 {
        file.record(0, 100, Kind::Leak, Owner::Box as u8, &pointer);
        // With a time of its own, and later than what its batch shares.
        file.record(0, 100 + at, Kind::Mark, 0, &[pair(1, 0)]);
        let at = if handler == 0 { 100 } else { 100 + at };
        file.record(handler, at, Kind::Reclaim, Owner::Box as u8, &pointer);
    }
    file
}

#[test]
fn a_lane_keeps_its_order_whatever_its_times_say() {
    let trace = read(&in_turn(0), incompat::BATCH_TIME);
    assert!(trace.recording().processes[0].times_by_batch);
    assert_eq!(trace.recording().problems, []);
    let kinds = trace.events().iter().filter_map(|event| match event.what {
        What::Leak(_) => Some('l'),
        What::Mark { .. } => Some('m'),
        What::Reclaim(_) => Some('r'),
        _ => None,
    });
    assert_eq!(kinds.collect::<String>(), "lmrlmrlmr");
    let times: Vec<u64> = trace.events().iter().map(|event| event.at_ns).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(trace.verdict().exit_code(), 0);
}

#[test]
fn handlers_are_of_a_lane_apart() {
    let exact = read(&in_turn(1), 0);
    assert_eq!(exact.recording().lanes.len(), 1);
    let batch = read(&in_turn(1), incompat::BATCH_TIME);
    assert_eq!(batch.recording().lanes.len(), 2);
    let verdict = batch.verdict();
    assert_eq!(verdict.stories, []);
    assert_eq!(verdict.exit_code(), 3);
    for question in &verdict.cannot_tell {
        assert_eq!(question.reason, Doubt::TimesByBatch);
        let words = "was used by a thread and its signal handlers";
        assert!(question.message.contains(words), "{}", question.message);
    }
}

#[test]
fn bits_that_nobody_knows_are_still_refused() {
    let mut bytes = File::default().round_trips(1).bytes();
    bytes[header::INCOMPAT] = 4 | incompat::BATCH_TIME as u8;
    let sum = wire::crc::crc32c(&bytes[..header::CRC]);
    bytes[header::CRC..][..4].copy_from_slice(&sum.to_le_bytes());
    let input = Input {
        name: "x.trc",
        bytes: &bytes,
    };
    let error = Trace::read(&[input]).unwrap_err();
    assert!(error.message.contains("features 0x4"), "{error}");
}
