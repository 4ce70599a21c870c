//! From a trace and what is left of its verdict to what a report says of it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::document::*;
use crate::event::{Event, EventId};
use crate::finding::{CannotTell, Doubt, Finding, Outcome, Severity, Story, Subject};
use crate::recording::{Clock, Process};
use crate::selection::{Selection, SetAside, Why};
use crate::trace::Trace;

/// Events of a life that are listed besides those that a finding rests on: more than anybody reads, and
/// less than what keepers of reports take.
const BIOGRAPHY_MAX: usize = 200;
/// Findings of which the life is listed.
const BIOGRAPHIES_MAX: usize = 100;

/// The folder that paths of sources are told relative to; nothing leaves them as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Root<'a>(pub Option<&'a str>);

impl Report {
    /// A report without traces.
    pub fn new(tool_version: &'static str) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool {
                name: "tracer",
                version: tool_version,
            },
            traces: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// Adds what is left of a trace's verdict.
    pub fn add(&mut self, file: &str, trace: &Trace, selection: &Selection, root: Root<'_>) {
        let teller = Teller { trace, root };
        self.traces.push(teller.entry(file, selection));
    }

    /// Adds a trace that could not be read.
    pub fn add_unreadable(&mut self, file: &str, message: &str) {
        self.unreadable.push(Unreadable {
            file: crate::tty(file.as_bytes()),
            message: crate::tty(message.as_bytes()),
        });
    }
}

struct Teller<'a> {
    trace: &'a Trace,
    root: Root<'a>,
}

fn run(run: crate::run::Run) -> RunEntry {
    RunEntry {
        by: run.by,
        package: run.package,
        binary: run.binary,
        what: run.what,
        test: run.test,
        attempt: run.attempt,
        attempt_id: run.attempt_id,
    }
}

impl Teller<'_> {
    fn entry(&self, file: &str, selection: &Selection) -> TraceEntry {
        let recording = self.trace.recording();
        let verdict = &selection.verdict;
        let heads = verdict.stories.iter().take(BIOGRAPHIES_MAX);
        let subjects: Vec<Subject> = heads.map(|story| story.head.subject).collect();
        let mut lives = crate::lives::lives(self.trace, &subjects).into_iter();
        TraceEntry {
            file: crate::tty(file.as_bytes()),
            outcome: match verdict.outcome() {
                Outcome::Clean => "clean",
                Outcome::Findings => "findings",
                Outcome::CannotTell => "cannot-tell",
            },
            exit_code: verdict.exit_code(),
            command: recording.command.iter().map(|word| word.tty()).collect(),
            run: crate::run::Run::of(recording).map(run),
            processes: recording
                .processes
                .iter()
                .map(|it| self.process(it))
                .collect(),
            findings: verdict
                .stories
                .iter()
                .map(|story| self.story(story, lives.next()))
                .collect(),
            cannot_tell: verdict
                .cannot_tell
                .iter()
                .map(|it| self.question(it))
                .collect(),
            losses: recording
                .losses
                .iter()
                .map(|located| LossEntry {
                    event: located.event.0,
                    process: located.process,
                    lane: located.lane,
                    records: located.loss.records,
                    reason: crate::text::loss_reason(located.loss.reason),
                })
                .collect(),
            problems: recording
                .problems
                .iter()
                .map(|problem| ProblemEntry {
                    file: problem.source.clone(),
                    offset: problem.offset,
                    message: problem.message.clone(),
                    hides: problem.hides,
                })
                .collect(),
            summary: summary(selection),
            set_aside: selection
                .set_aside
                .iter()
                .map(|it| self.set_aside(it))
                .collect(),
        }
    }

    fn process(&self, process: &Process) -> ProcessEntry {
        ProcessEntry {
            pid: process.pid,
            program: process.exe.tty(),
            ended: self.trace.recording().end_in_words(process),
            clock: match process.clock {
                Clock::Tsc => "tsc",
                Clock::Monotonic => "monotonic",
                Clock::Cntvct => "cntvct",
                Clock::Logical => "logical",
                Clock::Unknown => "unknown",
            },
            times_by_batch: process.times_by_batch,
        }
    }

    fn set_aside(&self, aside: &SetAside) -> SetAsideEntry {
        SetAsideEntry {
            why: match aside.why {
                Why::Suppressed => "suppressed",
                Why::Known => "in the baseline",
            },
            reason: crate::tty(aside.reason.as_bytes()),
            story: self.story(&aside.story, None),
        }
    }

    fn story(&self, story: &Story, life: Option<Vec<EventId>>) -> StoryEntry {
        let (biography, biography_left_out) = match life {
            Some(life) => self.biography(&story.head, life),
            None => (Vec::new(), 0),
        };
        StoryEntry {
            finding: self.finding(&story.head),
            biography,
            biography_left_out,
            consequences: story.folded.iter().map(|it| self.finding(it)).collect(),
        }
    }

    /// The life of a finding's subject: what the finding rests on, and of the rest the last before its end.
    fn biography(&self, finding: &Finding, mut ids: Vec<EventId>) -> (Vec<EventEntry>, u64) {
        let roles: FxHashMap<EventId, &'static str> = finding
            .evidence
            .iter()
            .map(|it| (it.event, it.role))
            .collect();
        ids.extend(roles.keys());
        ids.sort_unstable();
        ids.dedup();
        let last = roles.keys().max().copied().unwrap_or(finding.first_cause);
        let near = ids
            .iter()
            .rev()
            .filter(|id| **id <= last && !roles.contains_key(id));
        let kept: FxHashSet<EventId> = near.take(BIOGRAPHY_MAX).copied().collect();
        let all = ids.len();
        ids.retain(|id| kept.contains(id) || roles.contains_key(id));
        let left_out = all.saturating_sub(ids.len()) as u64;
        let events = ids.iter().filter_map(|id| {
            let mut entry = self.event(self.trace.event(*id)?, roles.get(id).copied());
            entry.violates = (*id == finding.first_cause).then(|| finding.rule.to_string());
            Some(entry)
        });
        (events.collect(), left_out)
    }

    fn finding(&self, finding: &Finding) -> FindingEntry {
        let rule = crate::rules::rule(finding.rule);
        let events = finding.evidence.iter().map(|it| it.event);
        let site = std::iter::once(finding.first_cause)
            .chain(events)
            .find_map(|id| self.site(self.trace.event(id)?));
        FindingEntry {
            rule: finding.rule.to_string(),
            name: rule.map_or("?", |rule| rule.name),
            severity: severity(finding.severity),
            confidence: crate::report::confidence(finding.confidence),
            fingerprint: fingerprint(finding.fingerprint),
            count: finding.count,
            message: finding.message.clone(),
            subject: self.subject(finding.subject),
            scope: finding.scope,
            first_cause: finding.first_cause.0,
            site,
            evidence: finding
                .evidence
                .iter()
                .filter_map(|it| Some(self.event(self.trace.event(it.event)?, Some(it.role))))
                .collect(),
            advice: finding.advice(),
        }
    }

    fn question(&self, question: &CannotTell) -> QuestionEntry {
        QuestionEntry {
            rule: question.rule.to_string(),
            name: crate::rules::rule(question.rule).map_or("?", |rule| rule.name),
            message: question.message.clone(),
            reason: match question.reason {
                Doubt::Lost(reason) => crate::text::loss_reason(reason),
                Doubt::TimesByBatch => "times-by-batch",
                Doubt::FilledOnce => "filled-once",
                Doubt::UsedUp => "used-up",
            },
            subject: self.subject(question.subject),
            at: question.at.0,
        }
    }

    fn event(&self, event: &Event, role: Option<&'static str>) -> EventEntry {
        EventEntry {
            event: event.id.0,
            at_ns: event.at_ns,
            process: event.process,
            lane: event.lane,
            thread: self.trace.names().thread(event.lane),
            kind: event.what.kind(),
            text: crate::describe::what(self.trace, event),
            role,
            violates: None,
            site: self.site(event),
            stack: self.trace.stack_lines(event),
        }
    }

    fn site(&self, event: &Event) -> Option<SiteEntry> {
        let recording = self.trace.recording();
        let site = recording.site(event.site());
        let file = recording.string(site.file).tty();
        if file.is_empty() || site.line == 0 {
            return None;
        }
        Some(SiteEntry {
            file: self.below_root(&file).to_owned(),
            line: site.line,
            column: (site.column > 0).then_some(site.column),
        })
    }

    fn below_root<'p>(&self, path: &'p str) -> &'p str {
        let below = self.root.0.and_then(|root| {
            let rest = path.strip_prefix(root.trim_end_matches('/'))?;
            rest.strip_prefix('/')
        });
        below.unwrap_or(path).trim_start_matches("./")
    }

    fn subject(&self, subject: Subject) -> SubjectEntry {
        let name = self.trace.name_of(subject);
        match subject {
            Subject::Generation {
                process,
                address,
                generation,
            } => SubjectEntry {
                kind: if generation == 0 {
                    "cell"
                } else {
                    "generation"
                },
                name,
                process,
                address: Some(hex(address)),
                generation: (generation != 0).then_some(generation),
                ..SubjectEntry::default()
            },
            Subject::Operation {
                process,
                ring,
                sequence,
            } => SubjectEntry {
                kind: "operation",
                name,
                process,
                ring: Some(ring),
                operation: Some(sequence),
                ..SubjectEntry::default()
            },
            Subject::Coroutine { process, coroutine } => SubjectEntry {
                kind: "coroutine",
                name,
                process,
                coroutine: Some(coroutine),
                ..SubjectEntry::default()
            },
            Subject::Cookie {
                process,
                ring,
                cookie,
            } => SubjectEntry {
                kind: "cookie",
                name,
                process,
                ring: Some(ring),
                cookie: Some(hex(cookie)),
                ..SubjectEntry::default()
            },
        }
    }
}

fn summary(selection: &Selection) -> SummaryEntry {
    let summary = &selection.verdict.summary;
    SummaryEntry {
        events: summary.events,
        rings: summary.rings,
        operations: summary.operations,
        completions: summary.completions,
        generations: summary.generations,
        coroutines: summary.coroutines,
        pending_at_end: summary.pending_at_end,
        held_at_end: summary.held_at_end,
        open_at_end: summary.open_at_end,
        records_lost: summary.records_lost,
        losses_hide: summary.losses_hide,
        cannot_tell: summary.cannot_tell,
        left_out: LeftOutEntry {
            by_filter: selection.left_out.by_filter,
            suppressed: selection.left_out.suppressed,
            known: selection.left_out.known,
        },
    }
}

/// The word for a severity.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn hex(word: u64) -> String {
    format!("{word:#x}")
}

/// A fingerprint as all outputs have it.
pub(super) fn fingerprint(fingerprint: u64) -> String {
    format!("{fingerprint:#018x}")
}
