//! Reports of the sanitizers, as their runtimes print them on stderr.
//!
//! A report begins with a line that names the sanitizer; its first stack follows, a frame a line, up to
//! an empty line.

use super::super::cell::Report;
use super::{is_own, plain};

const MARKS: [&str; 4] = [
    "ERROR: AddressSanitizer: ",
    "ERROR: LeakSanitizer: ",
    "WARNING: ThreadSanitizer: ",
    "WARNING: MemorySanitizer: ",
];

/// All reports of a text.
pub(super) fn reports(text: &str) -> Vec<Report> {
    let lines: Vec<String> = text.lines().map(plain).collect();
    let mut reports = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some(report) = undefined_behaviour(line) {
            reports.push(report);
        }
        let Some(what) = MARKS.iter().find_map(|mark| line.split_once(mark)) else {
            continue;
        };
        let mut report = Report::new(headline(what.1));
        let mut rest = &lines[index + 1..];
        if report.what.starts_with("detected memory leaks") {
            let is_leak = |line: &String| {
                line.starts_with("Direct leak of") || line.starts_with("Indirect leak of")
            };
            let Some(first) = rest.iter().position(is_leak) else {
                // LeakSanitizer says so too where it was kept from looking.
                reports.push(report);
                continue;
            };
            let leak = rest[first]
                .split(" allocated from")
                .next()
                .unwrap_or_default();
            report.what = leak.trim_end_matches(':').to_owned();
            rest = &rest[first + 1..];
        }
        report.at = first_own_frame(rest);
        reports.push(report);
    }
    reports
}

/// The kind, without the address and the process.
fn headline(text: &str) -> String {
    let end = [" on address", " on unknown address", " (pid=", " at pc"];
    let cut = end.iter().filter_map(|end| text.find(end)).min();
    text[..cut.unwrap_or(text.len())].trim().to_owned()
}

/// `part.c:12:7: runtime error: signed integer overflow: …`
fn undefined_behaviour(line: &str) -> Option<Report> {
    let (place, what) = line.split_once(": runtime error: ")?;
    is_own(place).then(|| Report {
        what: what.trim().to_owned(),
        at: Some(place.trim().to_owned()),
    })
}

/// The first frame of the program's own, in the first stack that has one.
fn first_own_frame(lines: &[String]) -> Option<String> {
    let frames = lines
        .iter()
        .take_while(|line| !line.contains("SUMMARY: "))
        .filter(|line| line.trim_start().starts_with('#'));
    let mut places = frames.filter_map(|line| {
        let mut words = line.split_whitespace().rev();
        words.find(|word| is_own(word)).map(str::to_owned)
    });
    places.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_sanitizer() {
        let text = "\
running 1 test
=================================================================
==16671==ERROR: AddressSanitizer: heap-use-after-free on address 0x602 at pc 0x55 bp 0x7f sp 0x7f
READ of size 4 at 0x602 thread T0
    #0 0x55 in core::ptr::read::h1 /rustc/59807/library/core/src/ptr/mod.rs:1700:9
    #1 0x55 in sample::uaf::h2 /home/x/src/lib.rs:10:57

0x602 is located 20 bytes inside of 24-byte region
freed by thread T0 here:
    #0 0x55 in free /rustc/llvm/compiler-rt/lib/asan/asan_malloc_linux.cpp:52:3
SUMMARY: AddressSanitizer: heap-use-after-free /home/x/src/lib.rs:10:57 in sample::uaf
";
        let found = reports(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].what, "heap-use-after-free");
        assert_eq!(found[0].at.as_deref(), Some("/home/x/src/lib.rs:10:57"));
    }

    #[test]
    fn leak_sanitizer_names_the_first_leak() {
        let text = "\
==1==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 24 byte(s) in 1 object(s) allocated from:
    #0 0x55 in malloc /rustc/llvm/compiler-rt/lib/lsan/lsan_interceptors.cpp:75:3
    #1 0x55 in sample::leak src/lib.rs:3:5
SUMMARY: AddressSanitizer: 24 byte(s) leaked in 1 allocation(s).
";
        let found = reports(text);
        assert_eq!(found[0].what, "Direct leak of 24 byte(s) in 1 object(s)");
        assert_eq!(found[0].at.as_deref(), Some("src/lib.rs:3:5"));
    }

    #[test]
    fn memory_sanitizer_and_undefined_behaviour() {
        let text = "\
==16854==WARNING: MemorySanitizer: use-of-uninitialized-value
    #0 0x55 in sample::uninit src/lib.rs:9:2
c/part.c:12:7: runtime error: signed integer overflow: 2147483647 + 1 cannot be represented
";
        let found = reports(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].what, "use-of-uninitialized-value");
        assert!(found[1].what.starts_with("signed integer overflow"));
        assert_eq!(found[1].at.as_deref(), Some("c/part.c:12:7"));
    }

    #[test]
    fn words_about_sanitizers_are_no_report() {
        assert!(reports("AddressSanitizer: is on\nruntime error: bad luck\n").is_empty());
    }
}
