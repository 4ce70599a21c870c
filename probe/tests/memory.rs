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
fn some_operations_have_two_addresses() {
    turn("second-address");
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

/// The lines of an example, as words.
fn lines(output: &str) -> Vec<Vec<String>> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    output.lines().map(words).collect()
}

/// Runs a turn and compares the records of some kinds, in order, with what it printed. `show` makes the
/// words behind the kind's name from a record and the line of its site.
fn compare(turn: &str, kinds: &[Kind], show: impl Fn(&Record, u64) -> Vec<u64>) {
    let folder = Folder::new();
    let printed = lines(&folder.run("memory", turn));
    let records = folder.records().remove(0);
    // Id and line of each place, as they stand in the file.
    let line = |id: u64| {
        let known =
            |record: &&Record| record.kind == Kind::Site && record.words[0] & 0xFFFF_FFFF == id;
        records
            .iter()
            .find(known)
            .map_or(0, |site| site.words[0] >> 32)
    };
    let recorded: Vec<Vec<String>> = records
        .iter()
        .filter(|record| kinds.contains(&record.kind))
        .map(|record| {
            let mut words = vec![record.kind.name().to_owned()];
            let site = record
                .words
                .get(1)
                .map_or(0, |word| line(word & 0xFFFF_FFFF));
            words.extend(show(record, site).iter().map(|word| match word {
                // Addresses, as the example prints them.
                0x10000.. => format!("{word:#x}"),
                _ => word.to_string(),
            }));
            words
        })
        .collect();
    assert_eq!(recorded, printed);
}

#[test]
fn borrows_of_a_cell_are_told_with_the_place_where_they_began() {
    let kinds = [Kind::BorrowBegin, Kind::BorrowEnd];
    compare("cell", &kinds, |record, line| {
        vec![line, u64::from(record.aux)]
    });
}

#[test]
fn a_buffer_says_how_much_of_it_is_initialised() {
    compare("buffer-init", &[Kind::BufferInit], |record, _| {
        let mut words = record.words.clone();
        words.resize(3, 0);
        words
    });
}

#[test]
fn descriptors_are_told_with_their_places() {
    let kinds = [Kind::FdOpen, Kind::FdClose];
    compare("descriptor", &kinds, |record, line| {
        vec![record.words[0], line]
    });
}

#[test]
fn the_stack_pointer_is_told_once_when_a_frame_with_a_buffer_has_returned() {
    let folder = Folder::new();
    let printed = folder.run("memory", "frame");
    let buffer = number(printed.trim().strip_prefix("buffer ").expect("an address"));
    let records = folder.records().remove(0);
    let kinds = [Kind::Submit, Kind::Enter, Kind::StackPointer];
    let told: Vec<_> = records
        .iter()
        .filter(|record| kinds.contains(&record.kind))
        .collect();
    let [_, _, stack, _, _] = told[..] else {
        panic!("{told:x?}");
    };
    assert_eq!(
        told.iter().map(|record| record.kind).collect::<Vec<_>>(),
        [
            Kind::Submit,
            Kind::Enter,
            Kind::StackPointer,
            Kind::Enter,
            Kind::Enter
        ]
    );
    let [stack_pointer, lowest] = stack.words[..] else {
        panic!("{stack:x?}");
    };
    assert!(
        lowest < buffer && buffer < stack_pointer,
        "{stack:x?} {buffer:#x}"
    );
    assert!(stack_pointer - buffer < 1 << 20, "{stack:x?} {buffer:#x}");
}

/// As `valgrind --track-fds=yes` tells it.
#[test]
fn descriptors_that_are_still_open_at_the_end_are_told_with_the_places_that_opened_them() {
    let folder = Folder::new();
    let printed = lines(&folder.run("memory", "kept-open"));
    let bytes = folder.file();
    let input = traces::Input {
        name: "trace",
        bytes: &bytes,
    };
    let trace = traces::Trace::read(&[input]).expect("a readable trace");
    let summary = &trace.verdict().summary;
    assert_eq!(summary.open_at_end, 4);
    let place = |line: &[String]| format!("memory.rs:{}", line[1]);
    let expected = format!(
        "at the end: 4 descriptors still open; opened: 3 at {}, 1 at {}",
        place(&printed[0]),
        place(&printed[1])
    );
    let report = traces::report::text(&trace, 200);
    let said = report
        .replace("probe/examples/", "")
        .replace("examples/", "");
    assert!(said.contains(&expected), "{expected}\n{report}");
}
