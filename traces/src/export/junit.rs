//! JUnit's XML: a suite for each trace, a case for each rule, so that a dashboard shows its history.
//!
//! Where the trace is of a test, the test itself is a case, the same in every run: it passes, fails with what was found, or
//! is skipped with the reasons where it could not be told. Besides there is one for each finding, behind the test's name.
//! An attempt after the first is a suite of its own name.
//!
//! A rule with findings fails once for each; one that could not tell is skipped with the reason; a trace
//! that could not be read is an error. What a filter, a suppression or a baseline left out is counted in
//! properties of its suite, and listed in its output where somebody decided about it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::document::{Report, RunEntry, SetAsideEntry, StoryEntry, TraceEntry};
use super::markdown::evidence_line;
use crate::rules::{self, Rule};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut document = quick_junit::Report::new(report.tool.name);
    for trace in &report.traces {
        document.add_test_suite(suite(trace));
    }
    for trace in &report.unreadable {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status
            .set_type("unreadable")
            .set_message(trace.message.as_str());
        let mut suite = TestSuite::new(trace.file.as_str());
        suite.add_test_case(TestCase::new("the trace can be read", status));
        document.add_test_suite(suite);
    }
    document.serialize(&mut *out).map_err(io::Error::other)?;
    Ok(())
}

fn suite(trace: &TraceEntry) -> TestSuite {
    let test = trace.run.as_ref().and_then(Test::of);
    let mut suite = TestSuite::new(match &test {
        Some(test) => test.words(),
        None => trace.file.clone(),
    });
    if let Some(test) = &test {
        suite.add_property(("trace", trace.file.as_str()));
        if let Some(attempt) = test.again {
            suite.add_property(("attempt", attempt));
        }
        suite.add_test_case(own(test, trace));
    }
    let left_out = trace.summary.left_out;
    let counts = [
        ("left-out-by-filter", left_out.by_filter),
        ("suppressed", left_out.suppressed),
        ("in-baseline", left_out.known),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        suite.add_property((name, count.to_string().as_str()));
    }
    if !trace.set_aside.is_empty() {
        let lines: Vec<String> = trace.set_aside.iter().map(aside_line).collect();
        suite.set_system_out(lines.join("\n"));
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in rules::ALL {
        let id = rule.id.to_string();
        let stories = trace
            .findings
            .iter()
            .filter(|story| story.finding.rule == id);
        let failed: Vec<TestCase> = stories
            .map(|story| {
                let same = names.entry(&story.finding.fingerprint).or_default();
                *same += 1;
                let (more, status) = failure(story, *same);
                case(test.as_ref(), rule, &more, status)
            })
            .collect();
        if !failed.is_empty() {
            suite.add_test_cases(failed);
            continue;
        }
        // Of a test, its own case says this.
        if test.is_none() {
            let status = without_finding(trace, &id);
            suite.add_test_case(case(None, rule, "", status));
        }
    }
    suite
}

/// What a dashboard calls a test that was recorded.
struct Test<'a> {
    /// Its binary, `package::binary`.
    class: &'a str,
    name: &'a str,
    /// Which attempt at it, after the first.
    again: Option<&'a str>,
}

impl<'a> Test<'a> {
    fn of(run: &'a RunEntry) -> Option<Self> {
        let attempt = run.attempt.as_str();
        (!run.test.is_empty()).then_some(Self {
            class: &run.binary,
            name: &run.test,
            again: (!matches!(attempt, "" | "1")).then_some(attempt),
        })
    }

    fn words(&self) -> String {
        match self.again {
            Some(attempt) => format!("{} {} (attempt {attempt})", self.class, self.name),
            None => format!("{} {}", self.class, self.name),
        }
    }
}

/// The test itself: all that is to be said of it.
fn own(test: &Test<'_>, trace: &TraceEntry) -> TestCase {
    let asked = trace.cannot_tell.iter().map(|question| {
        format!(
            "{} {}: cannot tell: {}",
            question.rule, question.name, question.message
        )
    });
    let status = if let Some((first, others)) = trace.findings.split_first() {
        let others = others.iter().map(|story| {
            let finding = &story.finding;
            format!("{} {}: {}", finding.rule, finding.name, finding.message)
        });
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status
            .set_type(first.finding.severity)
            .set_message(first.finding.message.as_str());
        describe(&mut status, others.chain(asked).collect());
        status
    } else if !trace.cannot_tell.is_empty() || trace.outcome == "cannot-tell" {
        let mut reasons: Vec<String> = asked.collect();
        let first = match reasons.is_empty() {
            true => {
                "cannot tell: records are missing that something may have gone wrong in".to_owned()
            }
            false => reasons.remove(0),
        };
        let mut status = TestCaseStatus::skipped();
        status.set_message(first);
        describe(&mut status, reasons);
        status
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new(test.name, status);
    case.set_classname(test.class);
    case
}

fn describe(status: &mut TestCaseStatus, lines: Vec<String>) {
    if !lines.is_empty() {
        status.set_description(lines.join("\n"));
    }
}

/// `T09 never-reclaimed 0x00…`, behind the name of the test where there is one.
fn case(test: Option<&Test<'_>>, rule: &Rule, more: &str, status: TestCaseStatus) -> TestCase {
    let name = format!("{} {}{more}", rule.id, rule.name);
    let (class, name) = match test {
        Some(test) => (test.class, format!("{} {name}", test.name)),
        None => ("tracer", name),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

fn without_finding(trace: &TraceEntry, id: &str) -> TestCaseStatus {
    match trace
        .cannot_tell
        .iter()
        .find(|question| question.rule == id)
    {
        Some(question) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("cannot tell: {}", question.message));
            status
        }
        None => TestCaseStatus::success(),
    }
}

/// `T09 never-reclaimed 0x00…: message (suppressed: reason)`
fn aside_line(aside: &SetAsideEntry) -> String {
    let finding = &aside.story.finding;
    format!(
        "{} {} {}: {} ({}: {})",
        finding.rule, finding.name, finding.fingerprint, finding.message, aside.why, aside.reason
    )
}

/// How a finding is told apart from others of its rule, and what is said of it.
/// `same`: which it is of those with its fingerprint.
fn failure(story: &StoryEntry, same: usize) -> (String, TestCaseStatus) {
    let finding = &story.finding;
    let mut text: Vec<String> = finding.evidence.iter().map(evidence_line).collect();
    for consequence in &story.consequences {
        text.push(format!("so {}: {}", consequence.rule, consequence.message));
    }
    text.push(format!("try: {}", finding.advice));
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status
        .set_type(finding.severity)
        .set_message(finding.message.as_str())
        .set_description(text.join("\n"));
    // One rule can fail several times; the fingerprint keeps the names apart, and is the same next time. Two
    // faults of one shape in one file share it, and are counted.
    let more = match same {
        1 => format!(" {}", finding.fingerprint),
        _ => format!(" {} ({same})", finding.fingerprint),
    };
    (more, status)
}
