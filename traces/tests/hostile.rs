//! Files that are whole, cut, flipped or nonsense: read what can be read, and never panic.

mod support;

use proptest::prelude::*;
use support::file::File;
use support::same::assert_same;
use traces::event::{LossReason, What};
use traces::read::Beside;
use traces::read::bundle::{self, ProcessWriter, Section};
use traces::recording::Ended;
use traces::{Input, Trace, report};
use wire::layout::{self, ChunkKind, chunk, header};
use wire::payload::{LeakSubmit, Submit, pair};
use wire::record::{CookieState, Kind, Owner};

fn read(bytes: &Vec<u8>) -> Result<Trace, String> {
    let input = Input {
        name: "x.trc",
        bytes,
    };
    let trace = Trace::read(&[input]).map_err(|error| error.to_string())?;
    // Of the many that only differ in a byte or in their length, some.
    if wire::crc::crc32c(bytes).is_multiple_of(16) {
        assert_same(&trace, &Trace::check(&[input]).unwrap());
        let helped = std::thread::scope(|scope| {
            let beside: Beside<'_, '_> = &|work| {
                scope.spawn(work);
                true
            };
            Trace::check_beside(&[input], &|_| {}, Some(beside))
        });
        assert_same(&trace, &helped.unwrap());
    }
    Ok(trace)
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
fn names_behind_one_that_was_cut_off_are_read() {
    let mut bytes = File::default().round_trips(4).bytes();
    // The chunk of names holds "main" first: two words and a header, of which a kill let none be written.
    let first = File::HEAD_BYTES + wire::layout::CHUNK_HEADER_WORDS * 8;
    bytes[first..first + 24].fill(0);
    let trace = read(&bytes).unwrap();
    let leak = &trace.events()[2];
    let line = trace.describe(leak);
    assert_eq!(line, "leak Conn#1 0x1000@1 Rc at src/conn.rs:88");
    assert_eq!(trace.names().thread(leak.lane), "thread 77");
    let [note] = &trace.recording().problems[..] else {
        panic!("{:?}", trace.recording().problems);
    };
    assert_eq!(note.message, "a name was cut off while it was written");
    assert_eq!(trace.verdict().exit_code(), 0);
}

/// A file of a newer writer: a record of a kind that does not exist yet, after a leak that was not taken back.
fn from_the_future(schema: Option<u32>) -> Trace {
    use wire::schema::{Field, Shape};
    let mut file = File::default();
    file.name(4, "teleport\u{1b}");
    file.name(5, "to");
    file.name(6, "speed");
    file.name(7, "at");
    let field = |shape, word, shift, bits| Field {
        name: "",
        shape,
        word,
        shift,
        bits,
    };
    if let Some(flags) = schema {
        let fields = [
            field(Shape::Hex, 0, 0, 64).pack(5),
            field(Shape::Signed, 1, 32, 32).pack(6),
            field(Shape::Site, 1, 0, 32).pack(7),
            // Shapes that are newer still are left out, and words that are not there.
            9 << 32 | 64 << 56,
            field(Shape::Rest, 9, 0, 64).pack(5),
        ];
        let first = [pair(0xC9 | flags << 8, 4)];
        file.meta(Kind::Schema, &[&first[..], &fields].concat());
    }
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    file.record(0, 1, Kind::Leak, Owner::Rc as u8, &[0x1000, pair(1, 1)]);
    file.record(0, 2, Kind::Mark, 0, &[0xF0F0_F0F0, pair(1, (-3i32) as u32)]);
    file.record(0, 3, Kind::Reclaim, Owner::Rc as u8, &[0x1000, pair(1, 1)]);
    file.record(0, 4, Kind::Reclaim, Owner::Rc as u8, &[0x1000, pair(1, 1)]);
    let mut bytes = file.bytes();
    let payload = 0xF0F0_F0F0u64.to_le_bytes();
    let at = bytes.windows(8).position(|word| word == payload).unwrap();
    bytes[at - 8] = 0xC9;
    let trace = read(&bytes).unwrap();
    show(&trace);
    trace
}

#[test]
fn kinds_of_the_future_are_shown_and_judged_where_they_matter() {
    let line = |trace: &Trace| {
        let is_other = |event: &&traces::event::Event| matches!(event.what, What::Other { .. });
        trace.describe(trace.events().iter().find(is_other).unwrap())
    };
    let known = "kind-201 \"teleport\\u{1b}\" to=0xf0f0f0f0 speed=-3 at=src/conn.rs:88";
    let harmless = from_the_future(Some(0));
    assert_eq!(line(&harmless), known);
    let [note] = &harmless.recording().problems[..] else {
        panic!("{:?}", harmless.recording().problems);
    };
    let text = "records of kinds that this version does not know: 1";
    assert_eq!((note.message.as_str(), note.hides), (text, false));
    // Reclaimed twice.
    assert_eq!(harmless.verdict().exit_code(), 1);
    // A leak may be meant by it.
    let bearing = from_the_future(Some(wire::schema::BEARS));
    assert_eq!(line(&bearing), known);
    assert_eq!(bearing.recording().losses.len(), 1);
    let unexplained = from_the_future(None);
    assert_eq!(
        line(&unexplained),
        "other (kind 201) 0xf0f0f0f0 0xfffffffd00000001"
    );
    for trace in [bearing, unexplained] {
        let text = report::text(&trace, 120);
        assert!(
            text.contains("1 record of a kind that this version does not know"),
            "{text}"
        );
        assert_ne!(trace.verdict().exit_code(), 0);
    }
}

#[test]
fn a_second_chunk_of_one_number_is_a_loss() {
    let mut bytes = File::default().round_trips(2_000).bytes();
    let gate = |bytes: &[u8], at: usize| bytes[at..at + 8].to_vec();
    let starts: Vec<usize> = (File::HEAD_BYTES..bytes.len())
        .step_by(File::CHUNK_BYTES)
        .filter(|at| bytes[at + 12] == 1)
        .collect();
    assert!(starts.len() > 3, "{starts:?}");
    let (second, third) = (starts[1], starts[2]);
    let number = gate(&bytes, second);
    bytes[third..third + 8].copy_from_slice(&number);
    let check = gate(&bytes, second + 40);
    bytes[third + 40..third + 48].copy_from_slice(&check);
    let trace = read(&bytes).unwrap();
    let recording = trace.recording();
    let said = recording
        .problems
        .iter()
        .any(|it| it.message.starts_with("a second chunk"));
    assert!(said, "{:?}", recording.problems);
    let damaged = |located: &traces::recording::LocatedLoss| {
        located.loss.reason == traces::event::LossReason::Damaged
    };
    // The chunk that is left out, and the number that nobody has now.
    assert_eq!(
        recording.losses.iter().filter(|loss| damaged(loss)).count(),
        2
    );
}

#[test]
fn call_stacks_stand_behind_any_payload() {
    let mut file = File::default();
    file.name(4, "/opt/lib\u{1b}[2J.so");
    let module = |id, len| {
        [
            pair(id, 4),
            0x7f00,
            0x2000,
            0x100,
            len,
            0x0706_0504_0302_0100,
        ]
    };
    file.meta(Kind::Module, &module(3, 5));
    file.meta(Kind::Stack, &[pair(9, 2), 3 << 48 | 0x110, 8 << 48 | 0x120]);
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    file.record(0, 1, Kind::Leak, Owner::Rc as u8, &[0x1000, pair(1, 1)]);
    file.with_stack(0, 9);
    let submit = Submit {
        cookie: 0x1000,
        ring: 1,
        ..Submit::default()
    };
    file.record(0, 2, Kind::Submit, 0, &submit.encode());
    file.with_stack(0, 9);
    file.record(0, 3, Kind::Reclaim, Owner::Rc as u8, &[0x1000, pair(1, 1)]);
    file.with_stack(0, 8);
    let trace = read(&file.bytes()).unwrap();
    assert_eq!(trace.recording().problems, []);
    let module = &trace.recording().modules[0];
    assert_eq!(module.build_id, [0, 1, 2, 3, 4]);
    assert_eq!(
        (module.base, module.size, module.file_base),
        (0x7f00, 0x2000, 0x100)
    );
    let events: Vec<_> = trace.events().iter().collect();
    let [_, leak, submission, reclaim] = events[..] else {
        panic!("{:?}", trace.events())
    };
    let lines = ["lib\\u{1b}[2J.so+0x110", "?+0x120"];
    assert_eq!(trace.stack_lines(leak), lines);
    assert_eq!(trace.stack_lines(submission), lines);
    assert!(matches!(&submission.what, What::Submit(s) if s.entry.addr == 0));
    assert_eq!(trace.stack_lines(reclaim), [""; 0]);
    assert!(
        report::text(&trace, 80).contains("from lib"),
        "{}",
        report::text(&trace, 80)
    );
    show(&trace);
}

/// Two ways to write the same life of a block: four records, or two that stand for four events.
fn leaked_and_reaped(is_merged: bool) -> File {
    let mut file = File::default();
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    file.record(0, 1, Kind::RingCreate, 0, &[pair(1, 3), pair(8, 16), 0]);
    let stack = [pair(9, 1), 1 << 48 | 0x40];
    file.meta(Kind::Stack, &stack);
    for trip in 0..40u32 {
        let at = 10 + u64::from(trip) * 10;
        let cookie = 0x1000 + u64::from(trip % 4) * 0x40;
        let submit = Submit {
            cookie,
            sequence: trip,
            ring: 1,
            slot: (trip % 8) as u16,
            opcode: 27,
            len: trip % 3,
            buf_index: (trip % 2) as u16,
            site: 1,
            ..Submit::default()
        };
        let (owner, state) = (Owner::Box as u8, CookieState::Unknown as u8);
        let (words, origin) = (submit.encode(), pair(1, 1));
        // The last ones are taken back twice.
        let times = if trip > 36 { 2 } else { 1 };
        if is_merged {
            let sqe = [
                words[2],
                words[6],
                words[4],
                words[5],
                cookie,
                u64::from(trip % 2),
                0,
                0,
            ];
            let words = LeakSubmit::payload(&sqe, words[1], origin);
            file.record(0, at, Kind::LeakSubmit, state, &words);
            file.flag(0, owner);
            file.with_stack(0, 9);
            file.record(
                0,
                at + 5,
                Kind::CompleteReclaim,
                1,
                &[cookie, pair(5, 0), origin],
            );
            file.flag(0, owner);
            file.with_stack(0, 9);
        } else {
            file.record(0, at, Kind::Leak, owner, &[cookie, origin]);
            file.with_stack(0, 9);
            file.record(0, at, Kind::Submit, state, &words);
            file.with_stack(0, 9);
            file.record(0, at + 5, Kind::Complete, 1, &[cookie, pair(5, 0)]);
            file.with_stack(0, 9);
            file.record(0, at + 5, Kind::Reclaim, owner, &[cookie, origin]);
            file.with_stack(0, 9);
        }
        for _ in 1..times {
            file.record(0, at + 6, Kind::Reclaim, owner, &[cookie, origin]);
        }
    }
    file
}

#[test]
fn a_record_that_stands_for_two_events_says_the_same_as_two() {
    let [two, one] = [false, true].map(|is_merged| {
        let trace = read(&leaked_and_reaped(is_merged).bytes()).unwrap();
        let lines = trace.events().iter().map(|event| trace.stack_lines(event));
        (
            trace.to_text(),
            lines.collect::<Vec<_>>(),
            trace.verdict().stories.len(),
        )
    });
    assert_eq!(two, one);
    assert_eq!(two.2, 1, "three blocks were taken back twice at one place");
    let whole = |event: &What| matches!(event, What::Submit(s) if s.entry.len == 2 && s.entry.buf_index == 1);
    let trace = read(&leaked_and_reaped(true).bytes()).unwrap();
    assert!(trace.events().iter().any(|event| whole(&event.what)));
    let sealed = packed(&leaked_and_reaped(true).bytes());
    assert_eq!(read(&sealed).unwrap().to_text(), one.0);
}

#[test]
fn with_a_record_that_stands_for_two_events_both_are_lost() {
    let mut file = leaked_and_reaped(true);
    let whole = read(&file.bytes()).unwrap().events().len();
    file.dropped = 1;
    let trace = read(&file.bytes()).unwrap();
    let losses: Vec<_> = trace
        .recording()
        .losses
        .iter()
        .map(|lost| lost.loss.records)
        .collect();
    assert_eq!(losses.len(), 1);
    let lost = losses[0].unwrap() as usize;
    // The chunk that is gone held the thread, the ring and records of two events each; whose lane it is
    // is said again in the next.
    let is_one_of_two = |event: &&What| matches!(event, What::Leak(_) | What::Submit(_));
    let left = trace
        .events()
        .iter()
        .map(|event| &event.what)
        .filter(is_one_of_two)
        .count();
    assert!(left.is_multiple_of(2) && left < 80, "{left}");
    assert!(
        whole - trace.events().len() > lost,
        "{lost} records were more events"
    );
}

#[test]
fn what_a_ring_of_chunks_gave_up_is_counted_and_may_hide_a_fault() {
    let mut file = File::default().round_trips(200);
    file.dropped = 3;
    let trace = read(&file.bytes()).unwrap();
    assert_eq!(trace.recording().losses.len(), 1);
    let summary = &trace.verdict().summary;
    assert_eq!(summary.events - 1 + summary.records_lost, 2 + 200 * 5);
    assert_eq!(
        trace.verdict().exit_code(),
        3,
        "{}",
        report::text(&trace, 80)
    );
}

/// A lane may begin after a live file's directory was read: only its chunks say whose it is.
#[test]
fn what_was_given_up_is_the_lanes_whose_chunks_follow() {
    let mut file = File::default();
    // Every chunk begins by saying whose it is.
    for at in 0..200 {
        file.record(0, at, Kind::Thread, 0, &[pair(77, 1)]);
    }
    file.dropped = 3;
    let mut bytes = file.bytes();
    let owner = layout::HEADER_BYTES + layout::lane::OWNER * 8;
    bytes[owner..owner + 8].fill(0);
    let trace = read(&bytes).unwrap();
    let [lost] = &trace.recording().losses[..] else {
        panic!("{:?}", trace.recording().losses);
    };
    assert_eq!(trace.recording().lanes.len(), 1);
    assert!(trace.events().iter().all(|event| event.lane == lost.lane));
    assert_eq!(trace.recording().lanes[0].tid, 77);
}

/// Offset of the chunk of lane 0 with this number.
fn chunk_at(bytes: &[u8], number: u64) -> usize {
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mut places = (File::HEAD_BYTES..bytes.len()).step_by(File::CHUNK_BYTES);
    let events = layout::pack_lane_kind(0, ChunkKind::Event);
    let found = places.find(|at| {
        word(at + chunk::SEQ * 8) == number && word(at + chunk::LANE_KIND * 8) == events
    });
    found.unwrap()
}

#[test]
fn gap_is_told_whatever_the_chunk_before_it_counts() {
    let mut bytes = File::default().round_trips(200).bytes();
    let gap = chunk_at(&bytes, 2);
    bytes[gap..gap + File::CHUNK_BYTES].fill(0);
    // As if there had been more records than there can be.
    let counts = chunk_at(&bytes, 1) + chunk::RECORDS * 8;
    bytes[counts + 5] = 0x13;
    let trace = read(&bytes).unwrap();
    let losses = &trace.recording().losses;
    assert!(
        losses.iter().any(|it| it.loss.records > Some(0)),
        "{losses:?}"
    );
}

/// A process that goes on when its recording ends writes while its file is copied: a chunk may be copied before its end,
/// and the next one after.
#[test]
fn what_a_chunk_got_after_it_was_copied_is_missing_and_counted() {
    const LATE: u64 = 40;
    let mut bytes = File::default().round_trips(200).bytes();
    bytes[header::STATE..][..8].copy_from_slice(&layout::state::RUNNING.to_le_bytes());
    assert!(read(&bytes).unwrap().recording().losses.is_empty());
    let third = chunk_at(&bytes, 3);
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let events = layout::pack_lane_kind(0, ChunkKind::Event);
    for place in (File::HEAD_BYTES..bytes.len()).step_by(File::CHUNK_BYTES) {
        let is_behind = word(&bytes, place + chunk::SEQ * 8) >= 3;
        if is_behind && word(&bytes, place + chunk::LANE_KIND * 8) == events {
            let counted = place + chunk::RECORDS * 8;
            let more = word(&bytes, counted) + LATE;
            bytes[counted..counted + 8].copy_from_slice(&more.to_le_bytes());
        }
    }
    assert!(word(&bytes, third + chunk::RECORDS * 8) > LATE);
    let trace = read(&bytes).unwrap();
    let losses = trace.recording().losses.iter();
    let lost: Vec<_> = losses.map(|it| it.loss.records).collect();
    assert_eq!(lost, [Some(LATE)]);
}

#[test]
fn gap_in_a_file_that_still_had_room_is_damage() {
    // The last one is a ring that found no more room, and says so.
    for (taken, recycled, reason) in [
        (20, 0, LossReason::Damaged),
        (200, 0, LossReason::Overwritten),
        (20, 1, LossReason::Overwritten),
    ] {
        let mut bytes = File::default().round_trips(200).bytes();
        bytes[header::CHUNKS..][..4].copy_from_slice(&100u32.to_le_bytes());
        bytes[header::CHUNKS_TAKEN..][..8].copy_from_slice(&u64::to_le_bytes(taken));
        bytes[header::RECYCLED..][..8].copy_from_slice(&u64::to_le_bytes(recycled));
        let sum = wire::crc::crc32c(&bytes[..header::CRC]);
        bytes[header::CRC..][..4].copy_from_slice(&sum.to_le_bytes());
        for number in [1, 4] {
            let gap = chunk_at(&bytes, number);
            bytes[gap..gap + File::CHUNK_BYTES].fill(0);
        }
        let trace = read(&bytes).unwrap();
        let reasons: Vec<_> = trace
            .recording()
            .losses
            .iter()
            .map(|it| it.loss.reason)
            .collect();
        assert_eq!(reasons, [reason; 2]);
    }
}

#[test]
fn images_of_one_process_were_replaced_but_for_the_last() {
    let mut bytes = [2u64, 3, 1].map(|begun| {
        let mut bytes = File::default().round_trips(1).bytes();
        bytes[header::MONOTONIC_NS..][..8].copy_from_slice(&begun.to_le_bytes());
        let sum = wire::crc::crc32c(&bytes[..header::CRC]);
        bytes[header::CRC..][..4].copy_from_slice(&sum.to_le_bytes());
        bytes
    });
    let ends = |bytes: &[Vec<u8>; 3]| {
        let inputs = bytes.each_ref().map(|bytes| Input {
            name: "x.trc",
            bytes,
        });
        let trace = Trace::read(&inputs).unwrap();
        let ends = trace
            .recording()
            .processes
            .iter()
            .map(|process| process.ended);
        ends.collect::<Vec<_>>()
    };
    assert_eq!(
        ends(&bytes),
        [Ended::Replaced, Ended::Said, Ended::Replaced]
    );
    // Without a start time nobody knows whether they are one process.
    for bytes in &mut bytes {
        bytes[header::START_TIME..][..8].fill(0);
        let sum = wire::crc::crc32c(&bytes[..header::CRC]);
        bytes[header::CRC..][..4].copy_from_slice(&sum.to_le_bytes());
    }
    assert_eq!(ends(&bytes), [Ended::Said; 3]);
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
    let end = bundle::end_record(77, 5, killed, 1 << 40);
    bundle::write_section(&mut bytes, Section::End, &end).unwrap();
    let file = File::default().round_trips(9).bytes();
    bundle::write_section(&mut bytes, Section::Process, &file).unwrap();
    let trace = read(&bytes).unwrap();
    assert_eq!(trace.recording().problems, []);
    assert_eq!(trace.recording().processes[0].ended, killed);
    assert_eq!(
        trace.recording().processes[0].watched_until_ns,
        Some(1 << 40)
    );
    assert_eq!(trace.recording().command.len(), 2);
    assert_eq!(trace.events().len(), 2 + 9 * 5);
    show(&trace);
    for cut in (0..bytes.len()).step_by(64) {
        if let Ok(trace) = read(&bytes[..cut].to_vec()) {
            show(&trace);
        }
    }
}

/// A process file in a bundle, packed, with a block for each of its chunks.
fn packed(file: &[u8]) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    bundle::write_header(&mut out).unwrap();
    let mut writer = ProcessWriter::begin(&mut out).unwrap();
    let (head, chunks) = file.split_at(File::HEAD_BYTES);
    writer.piece(head).unwrap();
    for chunk in chunks.chunks(File::CHUNK_BYTES) {
        writer.piece(chunk).unwrap();
    }
    writer.finish().unwrap();
    out.into_inner()
}

#[test]
fn packed_process_files_say_the_same() {
    let file = File::default().round_trips(200).bytes();
    let small = packed(&file);
    assert!(small.len() * 3 < file.len(), "{} bytes", small.len());
    let (plain, unpacked) = (read(&file).unwrap(), read(&small).unwrap());
    assert_eq!(unpacked.recording().problems, []);
    assert_eq!(unpacked.to_text(), plain.to_text());
    show(&unpacked);
}

#[test]
fn a_damaged_block_costs_its_chunk_alone() {
    let file = File::default().round_trips(200).bytes();
    let whole = packed(&file);
    let events = read(&whole).unwrap().verdict().summary.events;
    let marks: Vec<usize> = (0..whole.len() - 4)
        .filter(|at| whole[*at..].starts_with(b"\xB1TRP"))
        .collect();
    assert!(marks.len() > 10);
    // Behind the header and the names, whose loss is another matter.
    for &mark in marks.iter().skip(3) {
        for at in [mark, mark + 12, mark + 40] {
            let mut bad = whole.clone();
            bad[at] ^= 4;
            let trace = read(&bad).unwrap();
            assert_eq!(trace.recording().problems.len(), 1, "{at}");
            assert_eq!(trace.verdict().stories, [], "{at}");
            assert_eq!(trace.verdict().exit_code(), 3, "{at}");
            let left = trace.verdict().summary.events;
            assert!(
                left < events && left + 40 > events,
                "{at}: {left} of {events}"
            );
        }
    }
}

#[test]
fn a_packed_file_cut_anywhere_is_read_as_far_as_it_goes() {
    let whole = packed(&File::default().round_trips(60).bytes());
    let mut last = 0;
    for cut in (16..whole.len()).step_by(8) {
        let Ok(trace) = read(&whole[..cut].to_vec()) else {
            assert_eq!(last, 0, "{cut}");
            continue;
        };
        let summary = &trace.verdict().summary;
        assert!(summary.events - summary.losses >= last, "{cut}");
        last = summary.events - summary.losses;
        assert_eq!(trace.verdict().stories, [], "{cut}");
        assert!(!trace.recording().problems.is_empty(), "{cut}");
    }
    assert!(last > 200, "{last}");
}

/// A bundle of the sections that are in another one, copied as they are.
fn copied(bytes: &dyn traces::ReadAt) -> Vec<u8> {
    let mut out = Vec::new();
    bundle::write_header(&mut out).unwrap();
    bundle::each_section(bytes, |_, section| section.copy(&mut out)).unwrap();
    out
}

#[test]
fn a_copy_of_what_was_cut_off_says_so_too() {
    let whole = packed(&File::default().round_trips(3000).bytes());
    assert_eq!(copied(&whole), whole);
    let mut compared = 0;
    for cut in (60..whole.len()).step_by(1009).chain([whole.len() - 1]) {
        let part = whole[..cut].to_vec();
        let Ok(original) = read(&part) else { continue };
        let copy = read(&copied(&part)).unwrap();
        assert_eq!(copy.events(), original.events(), "cut at {cut}");
        let hides = |trace: &Trace| trace.recording().problems.iter().any(|known| known.hides);
        assert_eq!(hides(&copy), hides(&original), "cut at {cut}");
        compared += 1;
    }
    assert!(compared > 3, "{compared}");
}

#[test]
fn without_a_process_the_first_problem_is_said() {
    let whole = packed(&File::default().round_trips(4).bytes());
    for (cut, wanted) in [
        (10, "header"),
        (40, "within a section"),
        (70, "cut off after"),
    ] {
        let said = read(&whole[..cut].to_vec()).unwrap_err();
        assert!(said.contains(wanted), "{cut}: {said}");
        assert!(!said.contains("link the probe"), "{cut}: {said}");
    }
    let mut empty = Vec::new();
    bundle::write_header(&mut empty).unwrap();
    bundle::write_section(&mut empty, Section::Command, b"true").unwrap();
    assert!(read(&empty).unwrap_err().contains("did not link the probe"));
}

#[test]
fn an_encoding_of_the_future_is_refused_by_its_number() {
    let mut bytes = packed(&File::default().round_trips(1).bytes());
    bytes[bundle::HEADER_BYTES + 4] = 2;
    let error = read(&bytes).unwrap_err();
    assert!(
        error.contains("encoding 2, which this tracer does not know"),
        "{error}"
    );
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
fn messages_about_a_text_quote_it_visibly() {
    // Found by fuzzing: a number with a control character in it.
    let error = Trace::parse_text("1 t1 leak 0x1\u{1b}[2J Rc\n").unwrap_err();
    let error = error.to_string();
    assert!(!error.contains(char::is_control), "{error:?}");
    assert!(error.contains("\\u{1b}"), "{error:?}");
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
        are_batches in any::<bool>(),
    ) {
        let file = match are_batches {
            true => File::default().batches(true),
            false => File::default().round_trips(30),
        };
        let mut bytes = file.bytes();
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
    fn flipped_bytes_of_packed_files_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..40),
        mend_blocks in any::<bool>(),
    ) {
        let mut bytes = packed(&File::default().round_trips(30).bytes());
        for (index, bits) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= bits;
        }
        // Lengths and offsets that nobody wrote, under a sum that fits.
        let marks: Vec<usize> = (0..bytes.len() - 32)
            .filter(|at| mend_blocks && bytes[*at..].starts_with(b"\xB1TRP"))
            .collect();
        for mark in marks {
            let sum = wire::crc::crc32c(&bytes[mark + 8..mark + 32]);
            bytes[mark + 4..mark + 8].copy_from_slice(&sum.to_le_bytes());
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
        meta in prop::collection::vec(
            (prop::sample::select(vec![Kind::Stack, Kind::Module, Kind::Site]),
             prop::collection::vec(word(), 0..9)),
            0..20,
        ),
    ) {
        let mut file = File::default();
        for (kind, words) in meta {
            file.meta(kind, &words);
        }
        for (at, (lane, kind, aux, words)) in records.into_iter().enumerate() {
            if let Some(kind) = wire::record::Kind::from_u8(kind % 80) {
                file.record(lane, at as u64 * 3, kind, aux, &words);
                if aux & 1 == 1 {
                    file.with_stack(lane, u64::from(aux >> 6));
                }
            }
        }
        let file = file.bytes();
        if let Ok(trace) = read(&file) {
            show(&trace);
            let again = read(&packed(&file)).unwrap();
            prop_assert_eq!(again.to_text(), trace.to_text());
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

/// Found by fuzzing.
#[test]
fn a_stack_pointer_below_its_stack_is_harmless() {
    let text = "1 t1 submit 0 READ 0x7 addr=0x7ffd1000 len=64\n2 t1 stack-pointer 0x1000 0x9000\n";
    let trace = Trace::parse_text(text).unwrap();
    assert_eq!(trace.events().len(), 2);
    assert!(trace.verdict().stories.is_empty());
}

/// A correct program may give all of its operations the same cookie. Looked at each of them for each, these
/// would be more than a hundred million looks.
#[test]
fn what_shares_a_cookie_is_not_looked_at_all_over_again() {
    use std::fmt::Write as _;
    const MANY: usize = 10_000;
    let mut text = "0 main ring-create 0 sq=8 cq=16\n".to_owned();
    let mut at = 1;
    let mut line = |what: &str| {
        writeln!(text, "{at} main {what}").unwrap();
        at += 1;
    };
    for _ in 0..MANY {
        line("submit 0 READ 0 len=64");
    }
    for _ in 0..MANY {
        line("complete 0 0 5");
    }
    let trace = Trace::parse_text(&text).unwrap();
    let summary = &trace.verdict().summary;
    assert_eq!(summary.operations, MANY as u64);
    assert_eq!(summary.pending_at_end, 0);
    assert_eq!(trace.verdict().exit_code(), 0);
    let last = trace.events().last().unwrap();
    let subject = format!("{:?}", trace.subject_of(last.id));
    assert!(
        subject.contains(&format!("sequence: {}", MANY - 1)),
        "{subject}"
    );
}

/// As above: enters that leave a queue as long as it is, cancellations that hit nobody, and rings that are gone
/// while coroutines are resumed.
#[test]
fn what_is_many_is_not_gone_through_for_each() {
    use std::fmt::Write as _;
    const MANY: usize = 10_000;
    let mut text = "0 main ring-create 0 sq=8 cq=16\n".to_owned();
    let mut at = 1;
    let mut line = |what: &str| {
        writeln!(text, "{at} main {what}").unwrap();
        at += 1;
    };
    for cookie in 0..MANY {
        let cookie = 0x7_0000_0000 + cookie;
        line(&format!("submit 0 READ {cookie:#x} len=64"));
    }
    for ring in 1..MANY {
        line(&format!("ring-create {ring} sq=8 cq=16"));
        line(&format!("ring-drop {ring}"));
    }
    for coroutine in 1..MANY {
        line(&format!("spawn {coroutine}"));
        line(&format!("suspend {coroutine} 0x5"));
        line(&format!("resume {coroutine} 0x5"));
        line(&format!("done {coroutine}"));
    }
    for cookie in 0..MANY {
        let cookie = 0x9_0000_0000 + cookie;
        line("enter 0 1 1");
        line(&format!("submit 0 ASYNC_CANCEL 0x3 addr={cookie:#x}"));
    }
    let trace = Trace::parse_text(&text).unwrap();
    let summary = &trace.verdict().summary;
    assert_eq!(summary.operations, 2 * MANY as u64);
    assert_eq!(summary.rings, MANY as u64);
    assert_eq!(summary.pending_at_end, 2 * MANY as u64);
}
