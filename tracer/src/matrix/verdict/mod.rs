//! What a test came to: its exit code and what the tool reported, never what the harness prints.
//!
//! A file for each way of reporting; each turns text into [`Report`]s and knows nothing else. Texts are
//! those of programs that may have printed anything, so that a report counts only where its whole first
//! line is there.

mod memcheck;
mod miri;
mod panic;
mod sanitizers;
mod trace;

use std::path::{Path, PathBuf};

use super::cell::{Report, Status};
use super::tools::Tool;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Code(i32),
    Signal(i32),
    /// It was ended after so many seconds.
    TimedOut(u64),
}

/// What is known of a run.
pub(super) struct Seen<'a> {
    pub(super) tool: Tool,
    pub(super) ending: Ending,
    /// What test and tool printed.
    pub(super) output: &'a str,
    /// What Memcheck wrote beside it.
    pub(super) memcheck: &'a str,
    /// Where the trace would be.
    pub(super) trace: Option<&'a PathBuf>,
    /// Places below it are shown relative to it.
    pub(super) root: &'a Path,
}

/// The answer, and what was reported.
pub(super) fn judge(seen: &Seen<'_>) -> (Status, Vec<Report>) {
    let mut reports = match seen.tool {
        Tool::Asan | Tool::Lsan | Tool::Tsan | Tool::Msan | Tool::Ubsan => {
            sanitizers::reports(seen.output)
        }
        Tool::Memcheck => memcheck::reports(seen.memcheck),
        Tool::Miri => miri::reports(seen.output),
        Tool::Plain | Tool::Careful | Tool::Tracer => Vec::new(),
    };
    let traced = seen.trace.map(|path| trace::look(path));
    if let Some(trace::Looked { reports: found, .. }) = &traced {
        reports.extend(found.iter().cloned());
    }
    let in_order = seen.ending == Ending::Code(0);
    if seen.tool == Tool::Miri && !in_order && miri::is_unsupported(&reports) {
        shorten(&mut reports, seen.root);
        return (Status::Unsupported, reports);
    }
    if !in_order {
        reports.extend(panic::report(seen.output));
        if reports.is_empty() || !matches!(seen.ending, Ending::Code(_)) {
            reports.push(Report::new(in_words(seen.tool, seen.ending)));
        }
    }
    shorten(&mut reports, seen.root);
    let status = match (reports.is_empty(), traced.map(|looked| looked.status)) {
        (false, _) => Status::Failed,
        (true, Some(status)) => status,
        (true, None) => Status::Passed,
    };
    (status, reports)
}

fn in_words(tool: Tool, ending: Ending) -> String {
    match ending {
        Ending::Code(code) => format!("ended with exit code {code}"),
        Ending::Signal(number) => {
            let name = signal_hook::low_level::signal_name(number).unwrap_or("a real-time signal");
            format!("ended by signal {number} ({name})")
        }
        Ending::TimedOut(seconds) => {
            let late = format!("did not end within {seconds} s");
            match tool.times_slower() {
                Some(times) => format!(
                    "{late}; under {} it takes {times} as long as alone (`--timeout SECONDS` gives more)",
                    tool.word()
                ),
                None => format!("{late} (`--timeout SECONDS` gives more)"),
            }
        }
    }
}

fn shorten(reports: &mut [Report], root: &Path) {
    let root = format!("{}/", root.display());
    for report in reports {
        if let Some(at) = &mut report.at
            && let Some(short) = at.strip_prefix(&root)
        {
            *at = short.to_owned();
        }
    }
}

/// Whether a place is in the program's own code, and not in the standard library's or a tool's.
fn is_own(place: &str) -> bool {
    const OTHERS: [&str; 6] = [
        "/rustc/",
        "/rustlib/src/",
        "/library/std/src/",
        "/compiler-rt/",
        "/sanitizer_common/",
        "/coregrind/",
    ];
    let is_line = place.rsplit_once(':').is_some_and(|(file, line)| {
        file.contains('.') && line.bytes().all(|byte| byte.is_ascii_digit()) && !line.is_empty()
    });
    is_line && !OTHERS.iter().any(|other| place.contains(other))
}

/// Text without what gives colours to a terminal.
pub(super) fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        if letter == '\x1b' {
            let _ = rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(tool: Tool, ending: Ending, output: &str) -> (Status, Vec<Report>) {
        judge(&Seen {
            tool,
            ending,
            output,
            memcheck: "",
            trace: None,
            root: Path::new("/home/x"),
        })
    }

    #[test]
    fn exit_code_is_the_answer_where_nothing_was_reported() {
        assert_eq!(
            judged(Tool::Plain, Ending::Code(0), "test a ... FAILED").0,
            Status::Passed
        );
        let (status, reports) = judged(Tool::Plain, Ending::Code(3), "test a ... ok");
        assert_eq!(
            (status, &*reports[0].what),
            (Status::Failed, "ended with exit code 3")
        );
        let (_, reports) = judged(Tool::Plain, Ending::Signal(11), "");
        assert_eq!(reports[0].what, "ended by signal 11 (SIGSEGV)");
    }

    #[test]
    fn report_counts_though_the_program_ended_in_order() {
        let output = "WARNING: ThreadSanitizer: data race (pid=7)\n    #0 f /home/x/src/lib.rs:3:5 (a+0x1)\n";
        let (status, reports) = judged(Tool::Tsan, Ending::Code(0), output);
        assert_eq!(status, Status::Failed);
        assert_eq!(reports[0].at.as_deref(), Some("src/lib.rs:3:5"));
    }

    #[test]
    fn own_places_are_told_from_the_library_s() {
        assert!(is_own("src/lib.rs:3:5"));
        assert!(is_own("/home/x/part.c:12"));
        assert!(!is_own("/rustc/59807/library/core/src/ptr/mod.rs:805"));
        assert!(!is_own(
            "/usr/lib/rustlib/src/rust/library/std/src/rt.rs:1:2"
        ));
        assert!(!is_own("/usr/lib/libc.so.6"));
        assert!(!is_own("(/lib/x+0x12)"));
    }
}
