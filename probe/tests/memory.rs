//! What is recorded of memory, in real programs with the allocator installed.

mod support;

use support::{Folder, Record};
use wire::record::Kind;

/// What a program said must be recorded, and must not.
struct Said {
    records: Vec<(Kind, Vec<u64>)>,
    quiet: Vec<u64>,
}

fn number(text: &str) -> u64 {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.expect("a number")
}

fn said(output: &str) -> Said {
    let mut said = Said {
        records: Vec::new(),
        quiet: Vec::new(),
    };
    for line in output.lines() {
        let (what, numbers) = line.split_once(' ').expect("a word and numbers");
        let numbers: Vec<_> = numbers.split(' ').map(number).collect();
        let kind = match what {
            "free" => Kind::Free,
            "realloc" => Kind::Realloc,
            "unmap" => Kind::Unmap,
            _ => {
                said.quiet.extend(numbers);
                continue;
            }
        };
        said.records.push((kind, numbers));
    }
    assert!(!said.records.is_empty(), "{output}");
    said
}

/// Checks the records of memory against what the program said; each must be there once, the quiet ones
/// never. Others may be there: a filter by pages may record too much.
fn check(said: &Said, records: &[Record]) {
    let of_memory =
        |record: &&Record| matches!(record.kind, Kind::Free | Kind::Realloc | Kind::Unmap);
    let of_memory: Vec<_> = records.iter().filter(of_memory).collect();
    for (kind, words) in &said.records {
        let same = |record: &&&Record| record.kind == *kind && record.words == *words;
        assert_eq!(
            of_memory.iter().filter(same).count(),
            1,
            "{kind:?} {words:x?} in {of_memory:x?}"
        );
    }
    for address in &said.quiet {
        let about = |record: &&&Record| record.words[0] == *address;
        assert_eq!(
            of_memory.iter().filter(about).count(),
            0,
            "{address:#x} in {of_memory:x?}"
        );
    }
    assert!(
        of_memory.len() < said.records.len() + 8,
        "the filter lets all through: {of_memory:x?}"
    );
}

fn turn(name: &str) -> Vec<Record> {
    let folder = Folder::new();
    let said = said(&folder.run("memory", name));
    let records = folder.records().remove(0);
    check(&said, &records);
    records
}

/// Where a kind stands among the records.
fn position(records: &[Record], kind: Kind) -> usize {
    let found = records.iter().position(|record| record.kind == kind);
    found.unwrap_or_else(|| panic!("no {kind:?} in {records:x?}"))
}

#[test]
fn the_free_of_a_leaked_block_is_recorded_after_its_reclaim() {
    for name in ["box", "rc"] {
        let records = turn(name);
        let order = [Kind::Leak, Kind::Reclaim, Kind::Free].map(|kind| position(&records, kind));
        assert!(order.is_sorted(), "{records:x?}");
    }
}

#[test]
fn the_free_of_a_buffer_of_an_operation_is_recorded_and_no_other() {
    let records = turn("buffer");
    assert!(position(&records, Kind::Submit) < position(&records, Kind::Free));
}

#[test]
fn a_buffer_that_moves_says_where_to() {
    turn("realloc");
}

#[test]
fn unmapped_ranges_are_recorded() {
    turn("mapping");
}

#[test]
fn a_forked_child_goes_on_watching() {
    let folder = Folder::new();
    let said = said(&folder.run("memory", "fork"));
    let all = folder.records();
    assert_eq!(all.len(), 2);
    for records in all {
        check(&said, &records);
    }
}
