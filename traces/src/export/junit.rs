//! JUnit's XML: a suite for each trace, a case for each rule, so that a dashboard shows its history.
//!
//! A rule with findings fails once for each; one that could not tell is skipped with the reason; a trace
//! that could not be read is an error.

use std::io::{self, Write};

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::document::{Report, StoryEntry, TraceEntry};
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
    let mut suite = TestSuite::new(trace.file.as_str());
    for rule in rules::ALL {
        let id = rule.id.to_string();
        let stories = trace
            .findings
            .iter()
            .filter(|story| story.finding.rule == id);
        let failed: Vec<TestCase> = stories.map(|story| failure(rule, story)).collect();
        if failed.is_empty() {
            suite.add_test_case(case(rule, String::new(), without_finding(trace, &id)));
        } else {
            suite.add_test_cases(failed);
        }
    }
    suite
}

fn case(rule: &Rule, more: String, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(format!("{} {}{more}", rule.id, rule.name), status);
    case.set_classname("tracer");
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

fn failure(rule: &Rule, story: &StoryEntry) -> TestCase {
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
    // One rule can fail several times; the fingerprint keeps the names apart, and is the same next time.
    case(rule, format!(" {}", finding.fingerprint), status)
}
