//! One thing's whole life: every event of a generation, an operation or a coroutine in causal order,
//! its neighbours in the same place, and what rules said about it.
//!
//! The life of a generation takes in the operations that carried its cookie, and through them the
//! polls that their completions led to.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::event::{EventId, What};
use crate::finding::{RuleId, Subject};
use crate::model::Link;
use crate::trace::Trace;

/// The life of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Biography {
    /// Whose it is.
    pub subject: Subject,
    /// Its name.
    pub title: String,
    /// What happened, in causal order.
    pub rows: Vec<Row>,
    /// The generation before it at the same address, or the operation before it in the same slot.
    pub previous: Option<Subject>,
    /// The one after it.
    pub next: Option<Subject>,
}

/// One event of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The event.
    pub event: EventId,
    /// When.
    pub at_ns: u64,
    /// Time since the row before it.
    pub since_ns: u64,
    /// Name of its thread.
    pub thread: String,
    /// What happened, as [`Trace::describe`] says.
    pub text: String,
    /// The part it plays in a finding.
    pub role: Option<&'static str>,
    /// The rule that it broke.
    pub violation: Option<RuleId>,
}

/// What an event is about.
pub(crate) fn subject_of(trace: &Trace, id: EventId) -> Option<Subject> {
    let event = trace.event(id)?;
    let link = trace.link(id);
    let process = event.process;
    let generation = (link.generation != 0).then_some(Subject::Generation {
        process,
        address: link.address,
        generation: link.generation,
    });
    let operation = link.operation.map(|(ring, sequence)| Subject::Operation {
        process,
        ring,
        sequence,
    });
    let coroutine = link
        .coroutine
        .map(|coroutine| Subject::Coroutine { process, coroutine });
    match &event.what {
        What::Submit(_) => operation.or(generation),
        What::Complete(completion) => operation.or(generation).or(Some(Subject::Cookie {
            process,
            ring: completion.ring,
            cookie: completion.cookie,
        })),
        _ => coroutine.or(generation).or(operation),
    }
}

/// The events of a subject, in causal order.
pub(crate) fn events_of(trace: &Trace, subject: Subject) -> Vec<EventId> {
    let mut found: Vec<EventId> = Vec::new();
    let mut claims: FxHashMap<(u32, u32), EventId> = FxHashMap::default();
    let mut entered: FxHashSet<EventId> = FxHashSet::default();
    for (event, link) in trace.events.iter().zip(&trace.judged.links) {
        let process = event.process;
        match &event.what {
            What::Claim { ring, slot } if process == process_of(subject) => {
                claims.insert((*ring, *slot), event.id);
            }
            _ => {}
        }
        if process != process_of(subject) || !belongs(link, &event.what, subject) {
            continue;
        }
        if let What::Submit(submission) = &event.what {
            let place = (
                u32::from(submission.entry.ring),
                u32::from(submission.entry.slot),
            );
            found.extend(claims.remove(&place));
            if let Some(enter) = link.enter
                && entered.insert(enter)
            {
                found.push(enter);
            }
        }
        found.push(event.id);
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn process_of(subject: Subject) -> u32 {
    match subject {
        Subject::Generation { process, .. }
        | Subject::Operation { process, .. }
        | Subject::Coroutine { process, .. }
        | Subject::Cookie { process, .. } => process,
    }
}

fn belongs(link: &Link, what: &What, subject: Subject) -> bool {
    match subject {
        Subject::Generation {
            address,
            generation,
            ..
        } => link.generation == generation && link.address == address,
        Subject::Operation { ring, sequence, .. } => link.operation == Some((ring, sequence)),
        Subject::Coroutine { coroutine, .. } => link.coroutine == Some(coroutine),
        Subject::Cookie { ring, cookie, .. } => match what {
            What::Complete(completion) => completion.ring == ring && completion.cookie == cookie,
            What::Submit(submission) => {
                u32::from(submission.entry.ring) == ring && submission.entry.cookie == cookie
            }
            What::Resume { by, .. } => *by == Some((ring, cookie)),
            _ => false,
        },
    }
}

/// The whole life.
pub(crate) fn biography(trace: &Trace, subject: Subject) -> Biography {
    let mut roles: FxHashMap<EventId, &'static str> = FxHashMap::default();
    let mut violations: FxHashMap<EventId, RuleId> = FxHashMap::default();
    for story in &trace.verdict().stories {
        for finding in std::iter::once(&story.head).chain(&story.folded) {
            violations
                .entry(finding.first_cause)
                .or_insert(finding.rule);
            for evidence in &finding.evidence {
                roles.entry(evidence.event).or_insert(evidence.role);
            }
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for id in events_of(trace, subject) {
        let Some(event) = trace.event(id) else {
            continue;
        };
        let before = rows.last().map_or(event.at_ns, |row| row.at_ns);
        rows.push(Row {
            event: id,
            at_ns: event.at_ns,
            since_ns: event.at_ns.saturating_sub(before),
            thread: trace.names().thread(event.lane),
            text: trace.describe(event),
            role: roles.get(&id).copied(),
            violation: violations.get(&id).copied(),
        });
    }
    let (previous, next) = neighbours(trace, subject);
    Biography {
        subject,
        title: trace.name_of(subject),
        rows,
        previous,
        next,
    }
}

fn neighbours(trace: &Trace, subject: Subject) -> (Option<Subject>, Option<Subject>) {
    match subject {
        Subject::Generation {
            process,
            address,
            generation,
        } => {
            let at = |generation| Subject::Generation {
                process,
                address,
                generation,
            };
            let later = trace
                .events
                .iter()
                .zip(&trace.judged.links)
                .any(|(event, link)| {
                    event.process == process
                        && link.address == address
                        && link.generation == generation.saturating_add(1)
                });
            let previous = generation
                .checked_sub(1)
                .filter(|&before| before != 0)
                .map(at);
            (previous, later.then(|| at(generation.saturating_add(1))))
        }
        Subject::Operation {
            process,
            ring,
            sequence,
        } => {
            let mut place = None;
            let mut inside = Vec::new();
            for event in trace.events.iter().filter(|event| event.process == process) {
                if let What::Submit(s) = &event.what
                    && u32::from(s.entry.ring) == ring
                {
                    inside.push((s.entry.slot, s.sequence));
                    if s.sequence == sequence {
                        place = Some(s.entry.slot);
                    }
                }
            }
            let same = inside
                .iter()
                .filter(|entry| Some(entry.0) == place)
                .map(|entry| entry.1);
            let at = |sequence| Subject::Operation {
                process,
                ring,
                sequence,
            };
            let previous = same.clone().filter(|&other| other < sequence).max().map(at);
            (
                previous,
                same.filter(|&other| other > sequence).min().map(at),
            )
        }
        Subject::Coroutine { .. } | Subject::Cookie { .. } => (None, None),
    }
}

impl Trace {
    pub(crate) fn link(&self, id: EventId) -> Link {
        let at = usize::try_from(id.0).unwrap_or(usize::MAX);
        let at = match self.events.get(at) {
            Some(event) if event.id == id => Some(at),
            _ => self.events.binary_search_by_key(&id, |event| event.id).ok(),
        };
        let link = at.and_then(|at| self.judged.links.get(at));
        link.copied().unwrap_or_default()
    }

    /// The event that submitted an operation.
    pub(crate) fn submission_of(&self, process: u32, ring: u32, sequence: u64) -> Option<EventId> {
        let found = self.events.iter().find(|event| match &event.what {
            What::Submit(s) => {
                event.process == process
                    && u32::from(s.entry.ring) == ring
                    && s.sequence == sequence
            }
            _ => false,
        });
        found.map(|event| event.id)
    }
}
