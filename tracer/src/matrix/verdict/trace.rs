//! What `tracer check` would say of the trace of a test.

use std::path::Path;

use traces::Trace;
use traces::finding::{Finding, Outcome};

use super::super::cell::{Report, Status};

/// A trace that was looked at.
pub(super) struct Looked {
    pub(super) status: Status,
    pub(super) reports: Vec<Report>,
}

/// Reads and judges. A trace that is not there is a test that never used the probe.
pub(super) fn look(path: &Path) -> Looked {
    if !path.exists() {
        return Looked {
            status: Status::Nothing,
            reports: Vec::new(),
        };
    }
    let trace = match crate::open::read(path) {
        Ok(trace) => trace,
        Err(error) => {
            return Looked {
                status: Status::Failed,
                reports: vec![Report::new(format!("the trace cannot be read: {error:#}"))],
            };
        }
    };
    let verdict = trace.verdict();
    let status = match verdict.outcome() {
        Outcome::Clean => Status::Passed,
        Outcome::Findings => Status::Failed,
        Outcome::CannotTell => Status::CannotTell,
    };
    let reports = verdict.stories.iter().map(|story| Report {
        what: traces::report::title(&story.head),
        at: place(&trace, &story.head),
    });
    Looked {
        status,
        reports: reports.collect(),
    }
}

/// Where the cause is in the source, or else the first event of the evidence that says where it is.
fn place(trace: &Trace, finding: &Finding) -> Option<String> {
    let evidence = finding.evidence.iter().map(|evidence| evidence.event);
    let mut events = std::iter::once(finding.first_cause).chain(evidence);
    events.find_map(|id| {
        let place = trace.names().site(trace.event(id)?.site());
        (place != "?").then_some(place)
    })
}
