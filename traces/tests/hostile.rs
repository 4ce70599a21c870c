//! Files that are whole, cut, flipped or nonsense: read what can be read, and never panic.

mod support;

use proptest::prelude::*;
use support::file::File;
use traces::event::What;
use traces::read::bundle::{self, Section};
use traces::recording::Ended;
use traces::{Input, Trace, report};
use wire::payload::pair;
use wire::record::{Kind, Owner};

fn read(bytes: &Vec<u8>) -> Result<Trace, String> {
    let input = Input {
        name: "x.trc",
        bytes,
    };
    Trace::read(&[input]).map_err(|error| error.to_string())
}

/// Looks at everything that a command would show.
fn show(trace: &Trace) {
    let text = report::text(trace, 80);
    assert!(!text.contains('\x1b'));
    for event in trace.events() {
        let line = trace.describe(event);
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        if let Some(subject) = trace.subject_of(event.id).filter(|_| event.id.0 < 50) {
            let life = trace.biography(subject);
            assert!(
                life.rows
                    .windows(2)
                    .all(|pair| pair[0].event < pair[1].event)
            );
        }
    }
    let again = Trace::parse_text(&trace.to_text()).unwrap();
    assert_eq!(again.events().len(), trace.events().len());
}

#[test]
fn a_whole_file_is_read_whole() {
    let trace = read(&File::default().round_trips(40).bytes()).unwrap();
    assert_eq!(trace.recording().problems, []);
    assert_eq!(trace.recording().losses, []);
    // Two records about thread and ring, five for each round trip.
    assert_eq!(trace.events().len(), 2 + 40 * 5);
    assert_eq!(trace.verdict().summary.operations, 40);
    assert_eq!(
        trace.verdict().exit_code(),
        0,
        "{}",
        report::text(&trace, 80)
    );
    let leak = trace
        .events()
        .iter()
        .find(|event| matches!(event.what, What::Leak(_)))
        .unwrap();
    assert_eq!(
        trace.describe(leak),
        "leak Conn#1 0x1000@1 Rc at src/conn.rs:88"
    );
    assert_eq!(trace.names().thread(leak.lane), "main");
    show(&trace);
}

#[test]
fn what_a_ring_of_chunks_gave_up_is_counted_and_hides_nothing() {
    let mut file = File::default().round_trips(200);
    file.dropped = 3;
    let trace = read(&file.bytes()).unwrap();
    assert_eq!(trace.recording().losses.len(), 1);
    let summary = &trace.verdict().summary;
    assert_eq!(summary.events - 1 + summary.records_lost, 2 + 200 * 5);
    assert_eq!(
        trace.verdict().exit_code(),
        0,
        "{}",
        report::text(&trace, 80)
    );
}

#[test]
fn what_a_thread_had_in_hand_that_still_ran_is_no_finding() {
    for (running, findings) in [(vec![0, 1], 0), (vec![0], 1)] {
        let mut file = File::default().round_trips(9);
        file.record(1, 0, Kind::Thread, 0, &[pair(78, 1)]);
        let pointer = [0x9000, pair(1, 1)];
        file.record(1, 40, Kind::Leak, Owner::Box as u8, &pointer);
        file.running = running;
        let trace = read(&file.bytes()).unwrap();
        assert_eq!(trace.verdict().stories.len(), findings);
        assert_eq!(trace.verdict().summary.held_at_end, 1);
    }
}

#[test]
fn bundles_say_how_processes_ended() {
    let mut bytes = Vec::new();
    bundle::write_header(&mut bytes).unwrap();
    let killed = Ended::Killed {
        signal: 9,
        core: false,
    };
    bundle::write_section(&mut bytes, Section::Command, b"app\0--fast").unwrap();
    let end = bundle::end_record(77, 5, killed);
    bundle::write_section(&mut bytes, Section::End, &end).unwrap();
    let file = File::default().round_trips(9).bytes();
    bundle::write_section(&mut bytes, Section::Process, &file).unwrap();
    let trace = read(&bytes).unwrap();
    assert_eq!(trace.recording().problems, []);
    assert_eq!(trace.recording().processes[0].ended, killed);
    assert_eq!(trace.recording().command.len(), 2);
    assert_eq!(trace.events().len(), 2 + 9 * 5);
    show(&trace);
    for cut in (0..bytes.len()).step_by(64) {
        if let Ok(trace) = read(&bytes[..cut].to_vec()) {
            show(&trace);
        }
    }
}

#[test]
fn a_process_that_ended_before_its_first_record_hides_nothing() {
    let whole = File::default().round_trips(9).bytes();
    let zeros = vec![0; wire::layout::HEADER_BYTES * 2];
    let mut bundled = Vec::new();
    bundle::write_header(&mut bundled).unwrap();
    bundle::write_section(&mut bundled, Section::Process, &zeros).unwrap();
    bundle::write_section(&mut bundled, Section::Process, &whole).unwrap();
    let folder = [("a.trc", &zeros), ("b.trc", &whole)].map(|(name, bytes)| Input { name, bytes });
    let bundle = Input {
        name: "x.tracer",
        bytes: &bundled,
    };
    for inputs in [&folder[..], &[bundle]] {
        let trace = Trace::read(inputs).unwrap();
        let problems = &trace.recording().problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0]
                .message
                .contains("ended before its first record")
        );
        assert!(!problems[0].hides);
        assert_eq!(trace.recording().processes.len(), 1);
        assert_eq!(trace.verdict().exit_code(), 0);
        assert!(!report::text(&trace, 80).contains("damaged"));
    }
    assert!(read(&zeros).unwrap_err().contains("is no trace"));
    // The magic number is written last: what has the rest of its header was opened no further.
    let mut opening = zeros.clone();
    opening[8..wire::layout::HEADER_BYTES].copy_from_slice(&whole[8..wire::layout::HEADER_BYTES]);
    let folder =
        [("a.trc", &opening), ("b.trc", &whole)].map(|(name, bytes)| Input { name, bytes });
    assert_eq!(Trace::read(&folder).unwrap().verdict().exit_code(), 0);
    // With lanes and records behind it, it is damage.
    let mut broken = whole.clone();
    broken[..8].fill(0);
    let folder = [("a.trc", &broken), ("b.trc", &whole)].map(|(name, bytes)| Input { name, bytes });
    assert_eq!(Trace::read(&folder).unwrap().verdict().exit_code(), 3);
}

#[test]
fn what_is_no_trace_is_refused_with_a_reason() {
    for (bytes, reason) in [
        (Vec::new(), "is empty"),
        (b"#!/bin/sh\x1b[2J\n".to_vec(), "is no trace"),
        (wire::layout::MAGIC.to_vec(), "cut off within its header"),
    ] {
        let error = read(&bytes).unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains('\x1b'));
    }
    let mut newer = File::default().round_trips(1).bytes();
    newer[wire::layout::header::VERSION] = 9;
    assert!(read(&newer).unwrap_err().contains("checksum"));
    let sum = wire::crc::crc32c(&newer[..wire::layout::header::CRC]);
    newer[wire::layout::header::CRC..][..4].copy_from_slice(&sum.to_le_bytes());
    assert!(read(&newer).unwrap_err().contains("version 9"));
}

#[test]
fn a_file_cut_anywhere_is_read_as_far_as_it_goes() {
    let bytes = File::default().round_trips(60).bytes();
    let mut last = 0;
    for cut in (4096..=bytes.len()).step_by(8) {
        let trace = read(&bytes[..cut].to_vec()).unwrap();
        let events = trace.verdict().summary.events;
        let losses = trace.verdict().summary.losses;
        assert!(events - losses >= last, "{cut}: {events} after {last}");
        last = events - losses;
        assert_eq!(trace.verdict().stories, [], "{cut}");
    }
    assert_eq!(last, 2 + 60 * 5);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..40),
        mend_header in any::<bool>(),
    ) {
        let mut bytes = File::default().round_trips(30).bytes();
        for (index, bits) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= bits;
        }
        if mend_header {
            let sum = wire::crc::crc32c(&bytes[..wire::layout::header::CRC]);
            bytes[wire::layout::header::CRC..][..4].copy_from_slice(&sum.to_le_bytes());
        }
        if let Ok(trace) = read(&bytes) {
            show(&trace);
        }
    }

    #[test]
    fn records_of_any_words_never_panic(
        records in prop::collection::vec(
            (0usize..4, any::<u8>(), any::<u8>(), prop::collection::vec(word(), 0..7)),
            0..120,
        ),
    ) {
        let mut file = File::default();
        for (at, (lane, kind, aux, words)) in records.into_iter().enumerate() {
            if let Some(kind) = wire::record::Kind::from_u8(kind % 70) {
                file.record(lane, at as u64 * 3, kind, aux, &words);
            }
        }
        if let Ok(trace) = read(&file.bytes()) {
            show(&trace);
        }
    }

    #[test]
    fn bytes_of_any_kind_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        magic in prop::sample::select(vec![0, 1, 2]),
    ) {
        let mut bytes = bytes;
        let magics = [wire::layout::MAGIC, wire::layout::BUNDLE_MAGIC];
        if let Some(magic) = magics.get(magic) && bytes.len() >= 12 {
            bytes[..8].copy_from_slice(magic);
            bytes[8..12].copy_from_slice(&[1, 0, 0, 0]);
        }
        if let Ok(trace) = read(&bytes) {
            show(&trace);
        }
    }

    #[test]
    fn text_of_any_kind_never_panics(text in "([0-9]{1,3} [ab] [a-z-]{4,8}( 0x[0-9]{1,2}| [0-9]|=| \"|#)*\n|.*\n){0,20}") {
        if let Ok(trace) = Trace::parse_text(&text) {
            show(&trace);
        }
    }
}

/// Words that are likely to meet each other, and some that are not.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..4,
        4 => (0u64..4, 0u64..4).prop_map(|(low, high)| low | high << 32),
        2 => (1u64..4).prop_map(|page| page * 0x1000),
        1 => any::<u64>(),
    ]
}
