//! Examples of the documentation, from what `cargo test` printed: only rustdoc knows their names.
//!
//! A name with `(line N)` is told from anything else; what came of a failing one stands in its section, as
//! a cell that the runner wrote there.

use super::cell::{Cell, Id, Report, Status};
use super::runner::MARK;

/// Of a program with many examples: which of them it is to run.
pub(super) const ONE: &str = "RUSTDOC_DOCTEST_RUN_NB_TEST";
/// And, for all of them, what it is to start for each.
pub(super) const BUNDLE: &str = "RUSTDOC_DOCTEST_BIN_PATH";

/// Whether a program has many examples, which rustdoc of the edition 2024 builds together.
pub(super) fn is_bundle(program: &[u8]) -> bool {
    let mut places = program.windows(ONE.len());
    places.any(|window| window == ONE.as_bytes())
}

/// The cells of a text.
pub(super) fn cells(text: &str) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    let mut suite = String::from("doctests");
    let mut section: Option<String> = None;
    for line in text.lines() {
        let line = super::verdict::plain(line);
        if let Some(name) = line.trim_start().strip_prefix("Doc-tests ") {
            suite = format!("{} (doc)", name.trim());
        } else if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|line| line.strip_suffix(" stdout ----"))
        {
            section = Some(name.to_owned());
        } else if let Some(json) = line.strip_prefix(MARK) {
            let Ok(found) = serde_json::from_str::<Cell>(json) else {
                continue;
            };
            let test = section
                .clone()
                .unwrap_or_else(|| "(all in one process)".to_owned());
            put(
                &mut cells,
                Cell {
                    id: Id {
                        suite: suite.clone(),
                        test,
                    },
                    ..found
                },
            );
        } else if let Some((test, status)) = result(&line) {
            let reports = match status {
                Status::Failed => vec![Report::new("the example failed")],
                _ => Vec::new(),
            };
            let id = Id {
                suite: suite.clone(),
                test,
            };
            put(
                &mut cells,
                Cell {
                    id,
                    status,
                    reports,
                    seconds: 0.0,
                    log: None,
                    trace: None,
                },
            );
        }
    }
    cells
}

/// What the runner wrote takes the place of what rustdoc said.
fn put(cells: &mut Vec<Cell>, cell: Cell) {
    match cells.iter_mut().find(|known| known.id == cell.id) {
        Some(known) => *known = cell,
        None => cells.push(cell),
    }
}

/// `test src/lib.rs - item (line 3) ... ok`. Examples that are only compiled are not run.
fn result(line: &str) -> Option<(String, Status)> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    if !name.trim_end().ends_with(')') || !name.contains(" (line ") {
        return None;
    }
    let status = match result.split_whitespace().next()? {
        "ok" => Status::Passed,
        "FAILED" => Status::Failed,
        _ => return None,
    };
    Some((name.to_owned(), status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_have_their_names_and_what_the_runner_said() {
        let cell = serde_json::to_string(&Cell {
            id: Id {
                suite: "rust_out".into(),
                test: String::new(),
            },
            status: Status::Failed,
            reports: vec![Report::new("heap-use-after-free")],
            seconds: 0.5,
            log: None,
            trace: None,
        })
        .unwrap();
        let text = format!(
            "   Doc-tests sample\n\nrunning 3 tests\ntest src/lib.rs - add (line 1) ... ok\n\
             test src/lib.rs - bad (line 7) ... FAILED\ntest src/lib.rs - no (line 9) - compile fail ... ok\n\
             test not::a::doctest ... ok\n\nfailures:\n\n---- src/lib.rs - bad (line 7) stdout ----\nstderr:\n\
             {MARK}{cell}\n"
        );
        let found = cells(&text);
        let short: Vec<_> = found
            .iter()
            .map(|cell| (&*cell.id.test, cell.status))
            .collect();
        assert_eq!(
            short,
            [
                ("src/lib.rs - add (line 1)", Status::Passed),
                ("src/lib.rs - bad (line 7)", Status::Failed)
            ]
        );
        assert_eq!(found[1].id.suite, "sample (doc)");
        assert_eq!(found[1].reports[0].what, "heap-use-after-free");
        // A test can print that line too, with any number in it.
        for (number, read) in [("1e300", Some(1e9)), ("-5", Some(0.0)), ("1e999", None)] {
            let text = format!("{MARK}{}\n", cell.replace("0.5", number));
            let found = cells(&text);
            assert_eq!(found.first().map(|cell| cell.seconds), read, "{number}");
            let times = found.iter().map(Cell::time);
            assert!(times.sum::<std::time::Duration>().as_secs() <= 1_000_000_000);
        }
    }
}
