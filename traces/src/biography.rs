//! One thing's whole life: every event of a generation, an operation or a coroutine in causal order,
//! its neighbours in the same place, and what rules said about it.
//!
//! The life of a generation takes in the operations that carried its cookie, and through them the
//! polls that their completions led to.

use rustc_hash::FxHashMap;

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
    subjects_of(trace, id).first().copied()
}

/// All that an event touches, what it is about first.
pub(crate) fn subjects_of(trace: &Trace, id: EventId) -> Vec<Subject> {
    let Some(event) = trace.event(id) else {
        return Vec::new();
    };
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
    let order = match &event.what {
        What::Submit(_) | What::Complete(_) => [operation, generation, coroutine],
        _ => [coroutine, generation, operation],
    };
    let mut subjects: Vec<Subject> = order.into_iter().flatten().collect();
    if let What::Complete(completion) = &event.what
        && operation.or(generation).is_none()
    {
        let (ring, cookie) = (completion.ring, completion.cookie);
        let subject = Subject::Cookie {
            process,
            ring,
            cookie,
        };
        subjects.insert(0, subject);
    }
    subjects
}

/// The events of a subject, in causal order.
pub(crate) fn events_of(trace: &Trace, subject: Subject) -> Vec<EventId> {
    lives(trace, &[subject]).pop().unwrap_or_default()
}

/// The events of each of some subjects, in causal order: all of them in one pass.
pub(crate) fn lives(trace: &Trace, subjects: &[Subject]) -> Vec<Vec<EventId>> {
    let mut wanted: FxHashMap<Subject, Vec<usize>> = FxHashMap::default();
    for (at, subject) in subjects.iter().enumerate() {
        wanted.entry(*subject).or_default().push(at);
    }
    let mut found: Vec<Vec<EventId>> = vec![Vec::new(); subjects.len()];
    let mut claims: FxHashMap<(u32, u32, u32), EventId> = FxHashMap::default();
    for (event, link) in trace.events.iter().zip(&trace.judged.links) {
        let process = event.process;
        if let What::Claim { ring, slot } = &event.what {
            claims.insert((process, *ring, *slot), event.id);
        }
        let parts = concerned(process, link, &event.what).map(|subject| wanted.get(&subject?));
        for at in parts.into_iter().flatten().flatten() {
            let Some(life) = found.get_mut(*at) else {
                continue;
            };
            if let What::Submit(submission) = &event.what {
                let entry = &submission.entry;
                let place = (process, u32::from(entry.ring), u32::from(entry.slot));
                life.extend(claims.get(&place));
                life.extend(link.enter);
            }
            life.push(event.id);
        }
    }
    for life in &mut found {
        life.sort_unstable();
        life.dedup();
    }
    found
}

/// Everything that an event is a part of the life of.
fn concerned(process: u32, link: &Link, what: &What) -> [Option<Subject>; 4] {
    let cookie = |ring, cookie| {
        Some(Subject::Cookie {
            process,
            ring,
            cookie,
        })
    };
    [
        // A cell is an address without a generation.
        (link.generation != 0 || link.address != 0).then_some(Subject::Generation {
            process,
            address: link.address,
            generation: link.generation,
        }),
        link.operation.map(|(ring, sequence)| Subject::Operation {
            process,
            ring,
            sequence,
        }),
        link.coroutine
            .map(|coroutine| Subject::Coroutine { process, coroutine }),
        match what {
            What::Complete(completion) => cookie(completion.ring, completion.cookie),
            What::Submit(submission) => {
                cookie(u32::from(submission.entry.ring), submission.entry.cookie)
            }
            What::Resume {
                by: Some((ring, word)),
                ..
            } => cookie(*ring, *word),
            _ => None,
        },
    ]
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
        self.lookup
            .submission(&self.events, (process, ring, sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_the_same_together_and_one_by_one() {
        let trace = Trace::parse_text(
            "process 0 pid=1 end=exit:0
            1 main ring-create 0 sq=8 cq=16
            2 main leak 0x1000 Op op.rs:8
            3 main claim 0 slot=1
            4 main submit 0 RECV 0x1000 op.rs:9 slot=1 len=9
            5 main enter 0 1 -> 1 min=1
            6 main complete 0 0x1000 5
            7 main resume 9 0x1000 ring=0
            8 main reclaim 0x1000 Op op.rs:9
            9 main leak 0x1000 Op op.rs:8
            10 main submit 0 SEND 0x1000 op.rs:9 slot=1 len=9
            11 main complete 0 0x7777 5",
        )
        .unwrap();
        let mut subjects: Vec<Subject> = trace
            .events()
            .iter()
            .filter_map(|event| trace.subject_of(event.id))
            .collect();
        subjects.push(Subject::Cookie {
            process: 0,
            ring: 0,
            cookie: 0x1000,
        });
        // Twice: nobody takes another's away.
        subjects.extend(subjects.clone());
        let together = lives(&trace, &subjects);
        for (subject, life) in subjects.iter().zip(&together) {
            assert_eq!(*life, events_of(&trace, *subject), "{subject:?}");
            assert!(!life.is_empty(), "{subject:?}");
        }
        // The first operation: its claim, itself, the enter that took it, its completion, who was resumed.
        let operation = Subject::Operation {
            process: 0,
            ring: 0,
            sequence: 0,
        };
        let ids: Vec<u64> = events_of(&trace, operation).iter().map(|id| id.0).collect();
        assert_eq!(ids, [2, 3, 4, 5, 6]);
    }
}
