//! A program's log as it stands in its trace.

#![cfg(feature = "tracing")]

mod support;

use support::{Folder, Record};
use wire::record::{Kind, mark};

/// Level, flags and text of each mark.
fn marks(records: &[Record]) -> Vec<(u8, u8, String)> {
    let text = |id: u64| {
        let known =
            |record: &&Record| record.kind == Kind::String && record.words[0] & 0xFFFF_FFFF == id;
        let words = &records.iter().find(known).expect("a known text").words;
        let bytes: Vec<u8> = words[1..]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let length = (words[0] >> 32) as usize;
        String::from_utf8(bytes[..length].to_vec()).expect("UTF-8")
    };
    records
        .iter()
        .filter(|record| record.kind == Kind::Mark)
        .map(|record| (record.aux, record.flags, text(record.words[0])))
        .collect()
}

fn run(turn: &str) -> Vec<Record> {
    let folder = Folder::new();
    folder.run("logs", turn);
    folder.records().remove(0)
}

#[test]
fn events_and_spans_are_marks_with_level_target_and_fields() {
    let records = run("levels");
    let marks = marks(&records);
    let span = "logs: connection peer=\"ä\" number=7";
    let shown: Vec<_> = marks
        .iter()
        .map(|(level, flags, text)| (*level, *flags, text.as_str()))
        .collect();
    let long = shown[5].2;
    assert!(
        long.starts_with("logs: long long ") && long.len() == 256,
        "{long:?}"
    );
    assert_eq!(
        shown,
        [
            (mark::INFO, mark::ENTER, span),
            (mark::ERROR, 0, "logs: failed code=-5"),
            (mark::WARN, 0, "logs: slow"),
            (mark::INFO, 0, "elsewhere:  answer=42"),
            (mark::INFO, mark::LEAVE, span),
            (mark::DEBUG, 0, long),
            (mark::TRACE, 0, "logs: last"),
        ]
    );
}

#[test]
fn messages_without_end_keep_to_their_room() {
    let records = run("many");
    let marks = marks(&records);
    assert_eq!(marks.len(), 5001);
    let left_out = |text: &str| text.ends_with(" (text left out: too many different ones)");
    assert_eq!(marks[0].2, "logs: request 0");
    assert!(left_out(&marks[4999].2), "{:?}", marks[4999]);
    assert_eq!(marks[5000].2, "logs: request 7");
    let kept = marks.iter().filter(|mark| !left_out(&mark.2)).count();
    assert!((900..=1025).contains(&kept), "{kept} texts were kept");
    let strings = records.iter().filter(|record| record.kind == Kind::String);
    // And the names of kinds and fields, threads and modules.
    assert!(strings.count() < 1024 + 300);
}
