//! One thing's whole life: every event of a generation, an operation or a coroutine in causal order,
//! its neighbours in the same place, and what rules said about it.
//!
//! The life of a generation takes in the operations that carried its cookie, and through them the
//! polls that their completions led to.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::event::{Event, EventId, SiteId, What};
use crate::events::Key;
use crate::finding::{RuleId, Subject};
use crate::lives::Lives;
use crate::model::Link;
use crate::trace::Trace;

/// What a row costs, in events that are only looked at.
const ROW: usize = 64;

/// What it costs to see that a page has nothing of what is sought.
const SKIPPED: usize = 64;

/// What it costs where its page has to be decoded for it.
const DECODED: usize = 1024;

/// The life of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Biography {
    /// Whose it is.
    pub subject: Subject,
    /// Its name.
    pub title: String,
    /// What happened, in causal order.
    pub rows: Vec<Row>,
    /// Events in the middle that are not among the rows, because there are too many to tell.
    pub left_out: usize,
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
    /// What kind of event it is: see [`What::kind`].
    pub kind: &'static str,
    /// Its place in the source: what is [`Event::site`].
    pub site: SiteId,
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
    about(trace, trace.event(id)?, &trace.link(id))
}

/// What an event is about, by its link.
pub(crate) fn about(trace: &Trace, event: &Event, link: &Link) -> Option<Subject> {
    touched(trace, event, link).into_iter().flatten().next()
}

/// All that an event touches, what it is about first.
pub(crate) fn subjects_of(trace: &Trace, id: EventId) -> Vec<Subject> {
    let Some(event) = trace.event(id) else {
        return Vec::new();
    };
    touched(trace, event, &trace.link(id))
        .into_iter()
        .flatten()
        .collect()
}

fn touched(trace: &Trace, event: &Event, link: &Link) -> [Option<Subject>; 4] {
    let process = event.process;
    let generation = (link.generation != 0).then_some(Subject::Generation {
        process,
        address: link.address,
        generation: link.generation,
    });
    let operation = link.operation.map(|(ring, sequence)| {
        // What the kernel says of it is part of the process's own, where both recorded it.
        let merged = trace.judged.merged.get(&(process, ring));
        let own = merged.and_then(|merged| merged.of_operations());
        let (process, ring) = own.unwrap_or((process, ring));
        Subject::Operation {
            process,
            ring,
            sequence,
        }
    });
    let coroutine = link
        .coroutine
        .map(|coroutine| Subject::Coroutine { process, coroutine });
    match &event.what {
        What::Complete(completion) => {
            let cookie = operation
                .or(generation)
                .is_none()
                .then_some(Subject::Cookie {
                    process,
                    ring: completion.ring,
                    cookie: completion.cookie,
                });
            [cookie, operation, generation, coroutine]
        }
        What::Submit(_) => [operation, generation, coroutine, None],
        _ => [coroutine, generation, operation, None],
    }
}

/// The whole life.
pub(crate) fn biography(trace: &Trace, subject: Subject) -> Biography {
    let mut gathering = Gathering::of(trace, subject);
    while gathering.work(trace, usize::MAX) {}
    gathering.finish(trace)
}

/// A life while it is told, for who has other things to do meanwhile.
#[derive(Clone, Debug)]
pub struct Gathering {
    subject: Subject,
    lives: Lives,
    /// Its events, once all are known.
    events: Option<Vec<EventId>>,
    rows: Vec<Row>,
    /// What findings say of events.
    roles: FxHashMap<EventId, &'static str>,
    violations: FxHashMap<EventId, RuleId>,
    /// What lived there before and after, once the rows are told.
    around: Option<Around>,
    /// Whether nobody asks for that.
    is_alone: bool,
}

impl Gathering {
    /// Begins.
    pub fn of(trace: &Trace, subject: Subject) -> Self {
        Self {
            subject,
            lives: Lives::of(trace, &[subject]),
            events: None,
            rows: Vec::new(),
            roles: FxHashMap::default(),
            violations: FxHashMap::default(),
            around: None,
            is_alone: false,
        }
    }

    /// Begins, where it does not matter what was there before and after.
    pub fn alone(trace: &Trace, subject: Subject) -> Self {
        Self {
            is_alone: true,
            ..Self::of(trace, subject)
        }
    }

    fn seek(&mut self, trace: &Trace, events: usize) -> bool {
        if self.is_alone {
            return false;
        }
        let part = self.rows.first().map(|row| row.event);
        let around = &mut self.around;
        let around = around.get_or_insert_with(|| Around::of(trace, self.subject, part));
        around.work(trace, events)
    }

    /// Goes on with about so many events; false once there is nothing left to do but to finish.
    pub fn work(&mut self, trace: &Trace, events: usize) -> bool {
        let Some(ids) = &self.events else {
            if !self.lives.work(trace, events) {
                self.learn_marks(trace);
                self.events = Some(self.lives.take());
            }
            return true;
        };
        let is_paged = trace.events.as_slice().is_none();
        let page_of = |id| is_paged.then(|| trace.events.page_of(id));
        let mut page = self.rows.last().and_then(|row| page_of(row.event));
        let mut left = events.max(1);
        for id in ids.get(self.rows.len()..).unwrap_or_default() {
            if left == 0 {
                break;
            }
            let here = page_of(*id);
            let cost = if here == page { ROW } else { DECODED };
            left = left.saturating_sub(cost);
            page = here;
            let Some(event) = trace.event(*id) else {
                // It cannot be read back.
                self.events = None;
                return false;
            };
            let before = self.rows.last().map_or(event.at_ns, |row| row.at_ns);
            self.rows.push(Row {
                event: *id,
                at_ns: event.at_ns,
                since_ns: event.at_ns.saturating_sub(before),
                kind: event.what.kind(),
                site: event.site(),
                thread: trace.names().thread(event.lane),
                text: trace.describe(event),
                role: self.roles.get(id).copied(),
                violation: self.violations.get(id).copied(),
            });
        }
        self.rows.len() < ids.len() || self.seek(trace, left)
    }

    /// How far it has come, in percent.
    pub fn percent(&self, trace: &Trace) -> usize {
        match &self.events {
            None => self.lives.page() * 100 / trace.events.pages().max(1),
            Some(ids) => self.rows.len() * 100 / ids.len().max(1),
        }
    }

    fn learn_marks(&mut self, trace: &Trace) {
        for story in &trace.verdict().stories {
            for finding in std::iter::once(&story.head).chain(&story.folded) {
                self.violations
                    .entry(finding.first_cause)
                    .or_insert(finding.rule);
                for evidence in &finding.evidence {
                    self.roles.entry(evidence.event).or_insert(evidence.role);
                }
            }
        }
    }

    /// The life.
    pub fn finish(mut self, trace: &Trace) -> Biography {
        while self.seek(trace, usize::MAX) {}
        let part = self.rows.first().map(|row| row.event);
        let known = |side| match side {
            Side::Known(subject) => subject,
            Side::Sought(_) => None,
        };
        let around = self.around.unwrap_or_else(Around::nothing);
        let (previous, next) = (known(around.before), known(around.after));
        Biography {
            subject: self.subject,
            title: crate::describe::name_of(trace, self.subject, part),
            left_out: self.lives.left_out(),
            rows: self.rows,
            previous,
            next,
        }
    }
}

/// What lived in the same place before and after, while it is looked for.
#[derive(Clone, Debug)]
struct Around {
    before: Side,
    after: Side,
}

#[derive(Clone, Debug)]
enum Side {
    Known(Option<Subject>),
    Sought(Seeking),
}

impl Around {
    fn of(trace: &Trace, subject: Subject, part: Option<EventId>) -> Self {
        let pages = trace.events.pages();
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
                let previous = generation.checked_sub(1).filter(|&before| before != 0);
                Self {
                    before: Side::Known(previous.map(at)),
                    after: Side::Sought(Seeking {
                        sought: Sought::Generation(process, address, generation.saturating_add(1)),
                        pages: 0..pages,
                        is_back: false,
                        found: None,
                    }),
                }
            }
            Subject::Operation {
                process,
                ring,
                sequence,
            } => {
                let own = trace.submission_of(process, ring, sequence, part);
                let own = own.and_then(|id| trace.event(id));
                let Some((What::Submit(submission), id)) = own.map(|own| (&own.what, own.id))
                else {
                    return Self::nothing();
                };
                let slot = submission.entry.slot.into();
                let page = trace.events.page_of(id);
                let seeking = |pages, is_back| {
                    Side::Sought(Seeking {
                        sought: Sought::InSlot(process, ring, slot, id),
                        pages,
                        is_back,
                        found: None,
                    })
                };
                Self {
                    before: seeking(0..page + 1, true),
                    after: seeking(page..pages, false),
                }
            }
            Subject::Coroutine { .. } | Subject::Cookie { .. } => Self::nothing(),
        }
    }

    fn nothing() -> Self {
        Self {
            before: Side::Known(None),
            after: Side::Known(None),
        }
    }

    /// Goes on with about so many events; false once both are known.
    fn work(&mut self, trace: &Trace, mut events: usize) -> bool {
        for side in [&mut self.before, &mut self.after] {
            if let Side::Sought(seeking) = side {
                if !seeking.work(trace, &mut events) {
                    return true;
                }
                *side = Side::Known(seeking.subject(trace));
            }
        }
        false
    }
}

/// The nearest event of a neighbour: page by page, this way or the other.
#[derive(Clone, Debug)]
struct Seeking {
    sought: Sought,
    /// What was not looked at yet.
    pages: Range<usize>,
    is_back: bool,
    found: Option<EventId>,
}

#[derive(Clone, Copy, Debug)]
enum Sought {
    /// Any event of a generation of an address.
    Generation(u32, u64, u32),
    /// A submission in a slot of a ring, beside another one.
    InSlot(u32, u32, u32, EventId),
}

impl Seeking {
    /// Looks on; true once it is found, or is nowhere.
    fn work(&mut self, trace: &Trace, events: &mut usize) -> bool {
        let (sought, is_back) = (self.sought, self.is_back);
        let key = match sought {
            Sought::Generation(process, address, generation) => Key::Of(Subject::Generation {
                process,
                address,
                generation,
            }),
            Sought::InSlot(process, ring, slot, _) => Key::Slot(process, ring, slot),
        };
        let is_it = |event: &Event, link: &Link| match sought {
            Sought::Generation(process, address, generation) => {
                event.process == process && link.address == address && link.generation == generation
            }
            Sought::InSlot(process, ring, slot, beside) => {
                let is_there = match &event.what {
                    What::Submit(s) if event.process == process => {
                        (u32::from(s.entry.ring), u32::from(s.entry.slot)) == (ring, slot)
                    }
                    _ => false,
                };
                let is_beside = if is_back {
                    event.id < beside
                } else {
                    event.id > beside
                };
                is_there && is_beside
            }
        };
        while self.found.is_none() {
            if *events == 0 {
                return false;
            }
            *events = events.saturating_sub(SKIPPED);
            let page = if is_back {
                self.pages.next_back()
            } else {
                self.pages.next()
            };
            let Some(page) = page else { break };
            let page = std::iter::once(page);
            self.found = trace.events.nearest(&[key], page, is_back, is_it);
        }
        true
    }

    /// Whose event it is.
    fn subject(&self, trace: &Trace) -> Option<Subject> {
        let found = trace.event(self.found?)?;
        match (self.sought, &found.what) {
            (Sought::Generation(process, address, generation), _) => Some(Subject::Generation {
                process,
                address,
                generation,
            }),
            (Sought::InSlot(process, ring, ..), What::Submit(s)) => Some(Subject::Operation {
                process,
                ring,
                sequence: s.sequence,
            }),
            _ => None,
        }
    }
}

impl Trace {
    pub(crate) fn link(&self, id: EventId) -> Link {
        self.events.link(id)
    }

    /// The event that submitted an operation, which is looked for before one that is part of it first, if one is
    /// known.
    pub(crate) fn submission_of(
        &self,
        process: u32,
        ring: u32,
        sequence: u64,
        part: Option<EventId>,
    ) -> Option<EventId> {
        if let Some(events) = self.events.as_slice() {
            return self.lookup.submission(events, (process, ring, sequence));
        }
        let key = Key::Of(Subject::Operation {
            process,
            ring,
            sequence,
        });
        let is_it = |event: &Event, _: &Link| match &event.what {
            What::Submit(s) => {
                (event.process, u32::from(s.entry.ring), s.sequence) == (process, ring, sequence)
            }
            _ => false,
        };
        let pages = self.events.pages();
        let behind = part
            .map_or(0, |part| self.events.page_of(part) + 1)
            .min(pages);
        let pages = (0..behind).rev().chain(behind..pages);
        let find = || self.events.nearest(&[key], pages, false, is_it);
        self.lookup.remembered((process, ring, sequence), find)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lives::{events_of, lives};

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

    #[test]
    fn what_the_kernel_says_of_an_operation_is_part_of_its_life() {
        let trace = Trace::parse_text(
            "process 0 pid=77 start=9 end=exit:0
            process 1 pid=77 start=9 capture=kernel end=exit:0
            lane k process=1
            1 k ring-create 4 fd=3 sq=8 cq=16
            2 main ring-create 0 fd=3 sq=8 cq=16
            10 main submit 0 NOP 0x1000 seq=0
            11 k submit 4 NOP 0x1000 seq=0
            12 k complete 4 0x1000 0 of=0
            13 main complete 0 0x1000 0
            14 k submit 4 NOP 0x1000 seq=1",
        )
        .unwrap();
        let operation = Subject::Operation {
            process: 0,
            ring: 0,
            sequence: 0,
        };
        let life = events_of(&trace, operation);
        let ids: Vec<u64> = life.iter().map(|id| id.0).collect();
        assert_eq!(ids, [2, 3, 4, 5]);
        assert!(
            life.iter()
                .all(|id| trace.subject_of(*id) == Some(operation))
        );
        let last = life.last().copied();
        assert_eq!(
            crate::lives::first_of(&trace, operation),
            life.first().copied()
        );
        let before = crate::lives::beside(&trace, operation, life[3], false);
        assert_eq!((before, last), (Some(life[2]), Some(life[3])));
    }
}
