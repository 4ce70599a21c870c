//! Entries of a queue that are told as what they differ in from the one before.

mod support;

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use support::file::File;
use traces::event::What;
use traces::{Input, ReadAt, Trace};
use wire::payload::{Submit, other, pair};
use wire::record::{Header, Kind};

fn read(file: &File) -> Trace {
    let bytes = &file.bytes();
    let trace = Trace::read(&[Input { name: "x", bytes }]).unwrap();
    assert_eq!(trace.recording().problems, []);
    let checked = Trace::check(&[Input { name: "x", bytes }]).unwrap();
    assert_eq!(
        checked.verdict().stories.len(),
        trace.verdict().stories.len()
    );
    trace
}

#[test]
fn entries_told_in_short_are_the_entries_told_in_full() {
    let [full, short] = [false, true].map(|in_short| File::default().batches(in_short));
    assert!(short.bytes().len() <= full.bytes().len());
    let (full, short) = (read(&full), read(&short));
    assert_eq!(short.to_text(), full.to_text());
    let (full, short) = (full.verdict(), short.verdict());
    assert_eq!(short.stories.len(), full.stories.len());
    assert_eq!(short.summary.operations, full.summary.operations);
    assert!(
        full.stories
            .iter()
            .any(|story| story.head.rule.to_string() == "T16")
    );
}

/// A chunk can be read alone: what stands in it does not follow what stands in another one.
#[test]
fn what_follows_nothing_is_no_operation() {
    let submit = Submit {
        cookie: 7,
        ring: 1,
        ..Submit::default()
    };
    let operations = |trace: &Trace| {
        let is_one = |what: &What| matches!(what, What::Submit(_));
        trace
            .events()
            .iter()
            .filter(|event| is_one(&event.what))
            .count()
    };
    let mut file = File::default();
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    file.record(0, 1, Kind::SubmitNext, 0, &[8]);
    file.record(0, 2, Kind::Submit, 0, &submit.encode());
    file.record(0, 3, Kind::SubmitNext, 0, &[8]);
    assert_eq!(operations(&read(&file)), 2);
    let fit = (File::CHUNK_BYTES / 8 - wire::layout::CHUNK_HEADER_WORDS - 2 - 2 - 8 - 2) / 2;
    for at in 0..2 * fit as u64 {
        file.record(0, 4 + at, Kind::SubmitNext, 0, &[9 + at]);
    }
    assert_eq!(operations(&read(&file)), 2 + fit);
    let words = |event: &What| matches!(event, What::Other { words, .. } if words.len() == 1);
    let others = read(&file)
        .events()
        .iter()
        .filter(|event| words(&event.what))
        .count();
    assert_eq!(others, 1 + fit);
}

/// A file whose writer goes on between the look that finds one record unfinished and the next one at it.
struct Live {
    before: Vec<u8>,
    later: Vec<u8>,
    /// Where it begins.
    record: u64,
    looks: AtomicU32,
}

impl ReadAt for Live {
    fn len(&self) -> io::Result<u64> {
        Ok(self.later.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let behind = offset + buffer.len() as u64;
        let is_there = (offset..behind).contains(&self.record);
        let looks = self.looks.fetch_add(is_there.into(), Ordering::Relaxed) + u32::from(is_there);
        let bytes = if looks > 1 { &self.later } else { &self.before };
        bytes.read_at(offset, buffer)
    }
}

/// What is told by its difference from a record that is not there yet would be told of the one before that.
#[test]
fn nothing_is_told_of_what_stands_behind_a_record_that_is_not_finished() {
    const BUFFER: [u64; 2] = [0x7f12_0000_1000, 0x7f12_0000_2000];
    let mut file = File::default();
    let read = |cookie, sequence, addr| Submit {
        cookie,
        sequence,
        ring: 1,
        slot: sequence as u16,
        opcode: 22,
        addr,
        len: 64,
        ..Submit::default()
    };
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    file.record(0, 1, Kind::Submit, 1, &read(1, 0, BUFFER[0]).encode());
    file.record(0, 1, Kind::SubmitNext, 1, &[2, BUFFER[1]]);
    let [(addr, _)] = other::WORDS
        .iter()
        .filter(|(_, word)| *word == 2)
        .collect::<Vec<_>>()[..]
    else {
        panic!("one flag says that the address is another");
    };
    file.flag(0, *addr);
    let before = file.bytes();
    file.record(0, 1, Kind::SubmitNext, 1, &[3]);
    file.record(0, 2, Kind::Complete, 1, &[1, pair(64, 0)]);
    file.record(0, 3, Kind::Free, 0, &[BUFFER[0], 64]);
    let finished = file.bytes();

    let operations = |trace: &Trace| {
        let events = trace.events().iter();
        let all = events.filter_map(|event| match &event.what {
            What::Submit(it) => Some((it.entry.cookie, it.entry.addr)),
            _ => None,
        });
        all.collect::<Vec<_>>()
    };
    let trace = |bytes: &Vec<u8>| Trace::read(&[Input { name: "x", bytes }]).unwrap();
    let all = [(1, BUFFER[0]), (2, BUFFER[1]), (3, BUFFER[1])];
    assert_eq!(operations(&trace(&finished)), all);
    assert_eq!(operations(&trace(&before)), all[..2]);

    let is_it = |word: &[u8; 8]| {
        let header = Header(u64::from_le_bytes(*word));
        (header.raw_kind(), header.words()) == (Kind::SubmitNext as u8, 3)
    };
    let mut unfinished = finished.clone();
    let words = unfinished.as_chunks_mut().0;
    let at = words.iter().position(is_it).unwrap();
    words[at] = Header::reserved(3).0.to_le_bytes();
    let record = at as u64 * 8;
    let read_live = |before: &[u8], later: &[u8]| {
        let live = Live {
            before: before.to_vec(),
            later: later.to_vec(),
            record,
            looks: 0.into(),
        };
        let input = Input {
            name: "x",
            bytes: &live,
        };
        Trace::read(&[input]).unwrap()
    };
    let is_clean = |trace: &Trace| {
        assert_eq!(operations(trace), all[..1]);
        assert_eq!(trace.recording().problems, []);
        assert_eq!(trace.recording().losses, []);
        assert!(trace.verdict().stories.is_empty());
    };
    is_clean(&read_live(&unfinished, &finished));

    // The reader had half of what was being written, and what is there now is the beginning of another lap.
    let mut half = finished.clone();
    half.as_chunks_mut().0[at] = [0; 8];
    let mut recycled = finished;
    let chunk = recycled[File::HEAD_BYTES..].chunks_mut(File::CHUNK_BYTES);
    let chunk = chunk.max_by_key(|chunk| chunk.windows(8).any(|it| it == BUFFER[1].to_le_bytes()));
    chunk.unwrap().fill(0);
    is_clean(&read_live(&half, &recycled));

    // It never was: the writer wrote behind it all the same, which none does.
    let damaged = Trace::read(&[Input {
        name: "x",
        bytes: &unfinished,
    }])
    .unwrap();
    assert_eq!(operations(&damaged), all[..1]);
    assert_eq!(damaged.recording().problems.len(), 1);
    assert!(!damaged.recording().losses.is_empty());
    assert!(damaged.verdict().stories.is_empty());
}
