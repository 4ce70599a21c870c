//! Which run of a test a recording is of, where cargo or nextest started it: said by the recorder, kept
//! beside what else it said, and told by reports.

use crate::recording::Recording;

/// Who ran the recorder in the program's place: `cargo` or `nextest`.
pub const BY: &str = "run_by";
/// The package, as cargo calls it.
pub const PACKAGE: &str = "run_package";
/// The binary within it, as nextest calls it: `package` or `package::binary`.
pub const BINARY: &str = "run_binary";
/// What the binary is: `tests`, `example` (of the documentation) or `program`.
pub const WHAT: &str = "run_what";
/// The one test that was asked for.
pub const TEST: &str = "run_test";
/// Which attempt at it, from 1.
pub const ATTEMPT: &str = "run_attempt";
/// The attempt among all of all runs.
pub const ATTEMPT_ID: &str = "run_attempt_id";

/// The keys whose values are texts that somebody chose: redaction replaces them.
pub const TEXTS: [&str; 4] = [PACKAGE, BINARY, TEST, ATTEMPT_ID];

/// What is known of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// `cargo` or `nextest`.
    pub by: String,
    /// Package.
    pub package: String,
    /// Binary.
    pub binary: String,
    /// `tests`, `example` or `program`.
    pub what: String,
    /// The test; empty where the recording is of a whole binary.
    pub test: String,
    /// Which attempt, from 1; empty where nobody counts them.
    pub attempt: String,
    /// The attempt's name among all.
    pub attempt_id: String,
}

impl Run {
    /// Of a recording that cargo or nextest started; safe for a terminal.
    pub fn of(recording: &Recording) -> Option<Self> {
        let said = |key| recording.said(key).map(|value| value.tty());
        let known = |key| said(key).unwrap_or_default();
        Some(Self {
            by: said(BY)?,
            package: known(PACKAGE),
            binary: known(BINARY),
            what: known(WHAT),
            test: known(TEST),
            attempt: known(ATTEMPT),
            attempt_id: known(ATTEMPT_ID),
        })
    }

    /// `test cancel::late of net::tools, attempt 2 (nextest)`
    pub fn in_words(&self) -> String {
        let binary = &self.binary;
        let what = match (&*self.what, &*self.test) {
            ("example", _) => format!("examples of the documentation of {}", self.package),
            (_, test) if !test.is_empty() => format!("test {test} of {binary}"),
            ("tests", _) => format!("the tests of {binary}, in one process"),
            _ => format!("program {binary}"),
        };
        let attempt = match &*self.attempt {
            "" | "1" => String::new(),
            number => format!(", attempt {number}"),
        };
        format!("{what}{attempt} ({})", self.by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::untrusted::Untrusted;

    fn run(said: &[(&str, &str)]) -> Option<Run> {
        let pair = |(key, value): &(&str, &str)| {
            (
                Untrusted::new(key.as_bytes()),
                Untrusted::new(value.as_bytes()),
            )
        };
        Run::of(&Recording {
            recorder: said.iter().map(pair).collect(),
            ..Recording::default()
        })
    }

    #[test]
    fn words_say_which_test_and_the_attempt_only_where_there_were_several() {
        let words = |said: &[(&str, &str)]| run(said).unwrap().in_words();
        let first = [(BY, "nextest"), (BINARY, "net::tools"), (TEST, "late")];
        assert_eq!(words(&first), "test late of net::tools (nextest)");
        let again = [&first[..], &[(ATTEMPT, "2")]].concat();
        assert_eq!(
            words(&again),
            "test late of net::tools, attempt 2 (nextest)"
        );
        let whole = [(BY, "cargo"), (BINARY, "net"), (WHAT, "tests")];
        assert_eq!(words(&whole), "the tests of net, in one process (cargo)");
        let hostile = [(BY, "cargo"), (BINARY, "net"), (TEST, "a\x1b[31m")];
        assert!(!words(&hostile).contains('\x1b'));
    }

    #[test]
    fn nobody_started_it_where_nobody_says_so() {
        assert_eq!(run(&[(TEST, "late")]), None);
    }
}
