//! The command line of a test binary that was built with the standard harness, and its list of tests.
//!
//! Only what is stable is used: `--list --format terse`, `--exact`, `--ignored`. How the harness prints
//! results is not, and a process that a tool ends in the middle prints none; so each test has a process
//! of its own, and its exit code is its result.

use std::ffi::{OsStr, OsString};

/// Options that are followed by a value.
const WITH_VALUE: [&str; 7] = [
    "--logfile",
    "--test-threads",
    "--skip",
    "--color",
    "--format",
    "--shuffle-seed",
    "-Z",
];

/// What an argument is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// Which tests.
    Choosing,
    /// How results are shown.
    Showing,
    /// How tests run.
    Running,
}

fn purpose(argument: &str) -> For {
    let name = argument.split_once('=').map_or(argument, |(name, _)| name);
    match name {
        "--list" | "--format" | "--color" | "--logfile" | "-q" | "--quiet" | "--show-output"
        | "--report-time" | "--ensure-time" => For::Showing,
        "--skip" | "--exact" | "--ignored" | "--include-ignored" | "--exclude-should-panic" => {
            For::Choosing
        }
        _ if argument.starts_with('-') => For::Running,
        _ => For::Choosing,
    }
}

/// Arguments in pairs of option and value, with what they are for.
fn sorted(arguments: &[OsString]) -> Vec<(For, Vec<OsString>)> {
    let mut rest = arguments.iter();
    let mut sorted = Vec::new();
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy();
        let mut words = vec![argument.clone()];
        if WITH_VALUE.contains(&&*text) {
            words.extend(rest.next().cloned());
        }
        sorted.push((purpose(&text), words));
    }
    sorted
}

fn without(arguments: &[OsString], unwanted: &[For]) -> Vec<OsString> {
    let kept = sorted(arguments).into_iter();
    let kept = kept.filter(|(purpose, _)| !unwanted.contains(purpose));
    kept.flat_map(|(_, words)| words).collect()
}

/// Whether the tests are only to be listed.
pub(crate) fn is_listing(arguments: &[OsString]) -> bool {
    let mut sorted = sorted(arguments).into_iter();
    sorted.any(|(_, words)| words.first().is_some_and(|word| word == "--list"))
}

/// Which of the tests that are listed are ignored, and which of those are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ignored {
    /// Left out.
    No,
    /// They alone.
    Only,
    /// They too.
    Too,
}

/// Which ignored tests the arguments ask for.
pub(super) fn ignored(arguments: &[OsString]) -> Ignored {
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    match (has("--include-ignored"), has("--ignored")) {
        (true, _) => Ignored::Too,
        (_, true) => Ignored::Only,
        _ => Ignored::No,
    }
}

/// The one test that is asked for by its whole name.
pub(crate) fn only_test(arguments: &[OsString]) -> Option<String> {
    let is_exact = arguments.iter().any(|word| word == "--exact");
    let mut names = sorted(arguments).into_iter().filter_map(|(_, words)| {
        let is_name = !words[0].as_encoded_bytes().starts_with(b"-");
        is_name.then(|| words[0].to_str().map(str::to_owned))?
    });
    let name = names.next()?;
    (is_exact && names.next().is_none()).then_some(name)
}

/// Arguments that list what `arguments` would run; a list leaves no ignored test out by itself.
pub(super) fn to_list(arguments: &[OsString], only_ignored: bool) -> Vec<OsString> {
    let mut words = without(arguments, &[For::Showing, For::Running]);
    words.retain(|word| word != "--ignored" && word != "--include-ignored");
    if only_ignored {
        words.push("--ignored".into());
    }
    words.extend(["--list", "--format", "terse"].map(OsString::from));
    words
}

/// Arguments that run one test as `arguments` would run them all.
pub(super) fn to_run(arguments: &[OsString], test: &str) -> Vec<OsString> {
    let mut words = without(arguments, &[For::Showing, For::Choosing]);
    words.extend(
        [
            OsStr::new(test),
            OsStr::new("--exact"),
            OsStr::new("--include-ignored"),
        ]
        .map(OsString::from),
    );
    words
}

/// The tests of a list; benchmarks are left out.
pub(super) fn listed(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

/// Whether a program has the standard harness in it: words of its help that have been there for years.
pub(super) fn is_harness(program: &[u8]) -> bool {
    let has = |text: &[u8]| {
        let mut places = program.windows(text.len());
        places.any(|window| window == text)
    };
    has(b"RUST_TEST_THREADS") && has(b"include-ignored")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn filters_choose_and_are_gone_when_one_test_is_run() {
        let asked = words("net --skip slow -q --test-threads 1 --nocapture --color=always");
        assert_eq!(
            to_list(&asked, false),
            words("net --skip slow --list --format terse")
        );
        assert_eq!(
            to_run(&asked, "net::one"),
            words("--test-threads 1 --nocapture net::one --exact --include-ignored")
        );
    }

    #[test]
    fn ignored_tests_are_wanted_as_asked() {
        assert_eq!(ignored(&words("--exact a")), Ignored::No);
        assert_eq!(ignored(&words("--ignored")), Ignored::Only);
        assert_eq!(ignored(&words("--include-ignored a")), Ignored::Too);
        assert_eq!(
            to_list(&words("--include-ignored a"), true),
            words("a --ignored --list --format terse")
        );
    }

    #[test]
    fn listing_is_told_from_a_filter_of_that_name() {
        assert!(is_listing(&words("--list --format terse")));
        assert!(!is_listing(&words("--skip --list")));
        assert!(!is_listing(&words("list")));
    }

    #[test]
    fn list_has_tests_and_benchmarks() {
        let text = "a::b: test\nbench_c: benchmark\nwith: colon: test\n";
        assert_eq!(listed(text), ["a::b", "with: colon"]);
    }
}
