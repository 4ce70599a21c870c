//! Reports of Miri, which speaks as the compiler does: `error: KIND: …`, then the place.

use super::super::cell::Report;
use super::{is_own, plain};

const KINDS: [&str; 6] = [
    "Undefined Behavior: ",
    "unsupported operation: ",
    "memory leaked: ",
    "deadlock: ",
    "the evaluated program ",
    "abnormal termination: ",
];

/// All reports of a text.
pub(super) fn reports(text: &str) -> Vec<Report> {
    let lines: Vec<String> = text.lines().map(plain).collect();
    let mut reports = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        // The harness has printed `test NAME ... ` on the same line.
        let Some((_, what)) = line.split_once("error: ") else {
            continue;
        };
        if KINDS.iter().any(|kind| what.starts_with(kind)) {
            reports.push(Report {
                what: what.trim().to_owned(),
                at: place(&lines[index + 1..]),
            });
        }
    }
    reports
}

/// The place of the error, or the first of the program's own in its stack.
fn place(lines: &[String]) -> Option<String> {
    let of_report = lines.iter().take_while(|line| !line.starts_with("error: "));
    let mut places = of_report.filter_map(|line| {
        let line = line.trim_start();
        let place = line
            .strip_prefix("--> ")
            .or_else(|| line.strip_prefix("at "))?;
        // A stack says where the expression ends, too.
        let place = place.split(": ").next().unwrap_or(place).trim();
        is_own(place).then(|| place.to_owned())
    });
    places.next()
}

/// Whether all that was reported is that Miri cannot do it.
pub(super) fn is_unsupported(reports: &[Report]) -> bool {
    let unsupported = |report: &Report| report.what.starts_with("unsupported operation: ");
    !reports.is_empty() && reports.iter().all(unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undefined_behaviour_points_at_the_program() {
        let text = "\
test uaf ... error: Undefined Behavior: memory access failed: alloc48554 has been freed
   --> /home/x/.rustup/toolchains/nightly/lib/rustlib/src/rust/library/core/src/ptr/mod.rs:1700:9
    |
    = note: stack backtrace:
            0: std::ptr::read
                at /home/x/.rustup/toolchains/nightly/lib/rustlib/src/rust/library/core/src/ptr/mod.rs:1700:9: 1700:34
            1: uaf
                at src/lib.rs:7:118: 7:120

error: aborting due to 1 previous error
";
        let found = reports(text);
        assert_eq!(found.len(), 1);
        assert!(
            found[0]
                .what
                .starts_with("Undefined Behavior: memory access failed")
        );
        assert_eq!(found[0].at.as_deref(), Some("src/lib.rs:7:118"));
        assert!(!is_unsupported(&found));
    }

    #[test]
    fn what_it_cannot_do_is_no_fault_of_the_program() {
        let found =
            reports("error: unsupported operation: syscall: unsupported syscall number 425\n");
        assert!(is_unsupported(&found));
    }
}
