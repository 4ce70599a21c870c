//! SARIF 2.1.0: one run with all findings of all traces, so that a keeper of results takes them as one.
//!
//! A story is a result; its subject's life is the result's code flow, a thread flow for each thread, with
//! the order across them. The fingerprint is our own, the same as everywhere. Keepers want a place in the
//! source: a finding without one points at the trace.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::document::{EventEntry, Report, SetAsideEntry, SiteEntry, StoryEntry, TraceEntry};
use crate::rules::{self, Rule};

/// Where relative paths begin.
const ROOT: &str = "%SRCROOT%";

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &log(report))?;
    writeln!(out)
}

fn log(report: &Report) -> Value {
    let results: Vec<Value> = report
        .traces
        .iter()
        .flat_map(|trace| {
            let told = trace.findings.iter().map(|story| result(trace, story));
            told.chain(trace.set_aside.iter().map(|aside| suppressed(trace, aside)))
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": report.tool.name,
                "semanticVersion": report.tool.version,
                "rules": rules::ALL.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {
                ROOT: { "description": { "text": "The folder that tracer was told is the root of the sources, or ran in." } },
            },
            "invocations": [invocation(report)],
            "results": results,
        }],
    })
}

fn descriptor(rule: &Rule) -> Value {
    let pascal: String = rule
        .name
        .split('-')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or(String::new(), |first| {
                first.to_uppercase().collect::<String>() + letters.as_str()
            })
        })
        .collect();
    let parts = [
        ("Stays silent", rule.silent),
        ("Needs", rule.needs),
        ("Points at", rule.points_at),
        ("A real one", rule.example),
        ("Reported as", rule.source),
        ("Try", rule.advice),
    ];
    let text: Vec<String> = parts
        .iter()
        .map(|(title, text)| format!("{title}: {text}"))
        .collect();
    let markdown =
        parts.map(|(title, text)| format!("**{title}.** {}", crate::markdown::escaped(text)));
    json!({
        "id": rule.id.to_string(),
        "name": pascal,
        "shortDescription": { "text": rule.name },
        "fullDescription": { "text": format!("Fires when: {}", rule.fires) },
        "help": { "text": text.join("\n\n"), "markdown": markdown.join("\n\n") },
        "defaultConfiguration": { "level": super::describe::severity(rule.severity) },
        "properties": { "tags": ["correctness", "ownership", "io_uring"], "precision": "very-high" },
    })
}

/// What became of the run: traces that could not be read, questions that could not be answered, findings
/// that are not told.
fn invocation(report: &Report) -> Value {
    let unreadable = report.unreadable.iter().map(|trace| {
        json!({ "level": "error", "message": { "text": format!("{}: {}", trace.file, trace.message) } })
    });
    let questions = report.traces.iter().flat_map(|trace| {
        trace.cannot_tell.iter().map(move |question| {
            json!({
                "level": "warning",
                "associatedRule": { "id": question.rule, "index": index(&question.rule) },
                "message": { "text": format!("{}: cannot tell: {}", trace.file, question.message) },
            })
        })
    });
    let left_out = report.traces.iter().filter_map(|trace| {
        let words = trace.summary.left_out.in_words()?;
        let text = format!("{}: findings left out: {words}", trace.file);
        Some(json!({ "level": "note", "message": { "text": text } }))
    });
    json!({
        "executionSuccessful": report.unreadable.is_empty(),
        "toolExecutionNotifications": unreadable.chain(questions).chain(left_out).collect::<Vec<_>>(),
    })
}

/// A result that somebody decided not to be told of, and why.
fn suppressed(trace: &TraceEntry, aside: &SetAsideEntry) -> Value {
    let mut result = result(trace, &aside.story);
    let suppression = json!({
        "kind": "external",
        "status": "accepted",
        "justification": format!("{}: {}", aside.why, aside.reason),
    });
    if let Some(members) = result.as_object_mut() {
        members.insert("suppressions".into(), json!([suppression]));
    }
    result
}

fn result(trace: &TraceEntry, story: &StoryEntry) -> Value {
    let finding = &story.finding;
    let physical = match &finding.site {
        Some(site) => at(site),
        None => json!({ "artifactLocation": artifact(&trace.file), "region": { "startLine": 1 } }),
    };
    let mut message = finding.message.clone();
    for consequence in &story.consequences {
        message.push_str(&format!(
            "\nso {}: {}",
            consequence.rule, consequence.message
        ));
    }
    json!({
        "ruleId": finding.rule,
        "ruleIndex": index(&finding.rule),
        "level": finding.severity,
        "message": { "text": message },
        "locations": [{
            "physicalLocation": physical,
            "logicalLocations": [{ "name": finding.subject.name, "kind": finding.subject.kind }],
        }],
        "relatedLocations": related(&finding.evidence),
        "codeFlows": [{
            "message": { "text": format!("the life of {}", finding.subject.name) },
            "threadFlows": thread_flows(&story.biography),
        }],
        "partialFingerprints": { "tracerFinding/v1": finding.fingerprint },
        "occurrenceCount": finding.count,
        "properties": {
            "confidence": finding.confidence,
            "trace": trace.file,
            "firstCause": finding.first_cause,
            "consequences": story.consequences.iter().map(|it| it.rule.clone()).collect::<Vec<_>>(),
        },
    })
}

fn index(id: &str) -> Option<usize> {
    rules::ALL.iter().position(|rule| rule.id.to_string() == id)
}

fn related(evidence: &[EventEntry]) -> Vec<Value> {
    let places = evidence
        .iter()
        .filter_map(|event| Some((event, event.site.as_ref()?)));
    (0..)
        .zip(places)
        .map(|(id, (event, site)): (u32, _)| {
            json!({
                "id": id,
                "physicalLocation": at(site),
                "message": { "text": event.role.unwrap_or(event.kind) },
            })
        })
        .collect()
}

/// A flow for each thread, in the order in which they first appear.
fn thread_flows(biography: &[EventEntry]) -> Vec<Value> {
    let mut flows: Vec<(String, Vec<Value>)> = Vec::new();
    for (order, event) in biography.iter().enumerate() {
        // Names need not be unique; lanes are.
        let id = format!("{} (lane {})", event.thread, event.lane);
        let step = step(order, event);
        match flows.iter_mut().find(|flow| flow.0 == id) {
            Some((_, steps)) => steps.push(step),
            None => flows.push((id, vec![step])),
        }
    }
    if flows.is_empty() {
        // A code flow has at least one thread flow, and that at least one location.
        let nothing = json!({ "location": { "message": { "text": "not listed" } } });
        flows.push(("?".to_owned(), vec![nothing]));
    }
    flows
        .into_iter()
        .map(|(id, locations)| json!({ "id": id, "locations": locations }))
        .collect()
}

fn step(order: usize, event: &EventEntry) -> Value {
    let role = event.role.map_or(String::new(), |role| format!("{role}: "));
    let mut location = Map::new();
    location.insert(
        "message".into(),
        json!({ "text": format!("{role}{}", event.text) }),
    );
    if let Some(site) = &event.site {
        location.insert("physicalLocation".into(), at(site));
    }
    if let Some(function) = event.stack.first() {
        location.insert(
            "logicalLocations".into(),
            json!([{ "fullyQualifiedName": function, "kind": "function" }]),
        );
    }
    json!({
        "location": location,
        "executionOrder": order + 1,
        "importance": if event.violates.is_some() {
            "essential"
        } else if event.role.is_some() {
            "important"
        } else {
            "unimportant"
        },
        "kinds": [event.kind],
        "properties": { "event": event.event, "atNs": event.at_ns },
    })
}

fn at(site: &SiteEntry) -> Value {
    let mut region = Map::new();
    region.insert("startLine".into(), site.line.into());
    if let Some(column) = site.column {
        region.insert("startColumn".into(), column.into());
    }
    json!({ "artifactLocation": artifact(&site.file), "region": region })
}

/// A relative path stays relative to the root; an absolute one is a whole URI.
fn artifact(path: &str) -> Value {
    match path.strip_prefix('/') {
        Some(rest) => json!({ "uri": format!("file:///{}", uri(rest)) }),
        None => json!({ "uri": uri(path), "uriBaseId": ROOT }),
    }
}

/// A path as a part of a URI.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
