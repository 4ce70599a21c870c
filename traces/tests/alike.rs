//! Entries of a queue that are told as what they differ in from the one before.

mod support;

use support::file::File;
use traces::event::What;
use traces::{Input, Trace};
use wire::payload::{Submit, pair};
use wire::record::Kind;

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
