//! A filter that is ready for one trace.

use rustc_hash::FxHashMap;

use super::facts;
use super::field::Field;
use super::value::{Object, Test};
use super::{Expression, Term};
use crate::event::{Event, EventId, TypeId, What};
use crate::finding::{CannotTell, Confidence, Finding, RuleId, Severity, Story, Subject};
use crate::recording::Capture;
use crate::trace::Trace;

/// A filter and what it needs to know of a trace. It must be asked about that trace only.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    expression: Expression,
    /// Findings that events take part in, where the filter asks for that.
    parts: FxHashMap<EventId, Vec<Part>>,
}

/// What a field of findings says of an event that one rests on.
#[derive(Clone, Copy, Debug)]
struct Part {
    rule: RuleId,
    severity: Severity,
    confidence: Option<Confidence>,
    fingerprint: Option<u64>,
}

impl From<&Finding> for Part {
    fn from(finding: &Finding) -> Self {
        Self {
            rule: finding.rule,
            severity: finding.severity,
            confidence: Some(finding.confidence),
            fingerprint: Some(finding.fingerprint),
        }
    }
}

impl Expression {
    fn any(&self, is: &impl Fn(Field) -> bool) -> bool {
        match self {
            Self::All => false,
            Self::Term(term) => is(term.field),
            Self::Not(inner) => inner.any(is),
            Self::Both(parts) | Self::Either(parts) => parts.iter().any(|part| part.any(is)),
        }
    }

    fn holds(&self, term: &impl Fn(&Term) -> bool) -> bool {
        match self {
            Self::All => true,
            Self::Term(one) => term(one),
            Self::Not(inner) => !inner.holds(term),
            Self::Both(parts) => parts.iter().all(|part| part.holds(term)),
            Self::Either(parts) => parts.iter().any(|part| part.holds(term)),
        }
    }
}

impl Prepared {
    pub(super) fn new(expression: &Expression, trace: &Trace) -> Self {
        let mut prepared = Self {
            expression: expression.clone(),
            ..Self::default()
        };
        if expression.any(&Field::is_of_findings) {
            prepared.find_parts(trace);
        }
        prepared
    }

    fn find_parts(&mut self, trace: &Trace) {
        for story in &trace.verdict().stories {
            for finding in std::iter::once(&story.head).chain(&story.folded) {
                let events = finding.evidence.iter().map(|evidence| evidence.event);
                for event in std::iter::once(finding.first_cause).chain(events) {
                    self.parts.entry(event).or_default().push(finding.into());
                }
            }
        }
    }

    /// Whether an event is asked for.
    pub fn event(&self, trace: &Trace, event: &Event) -> bool {
        self.expression
            .holds(&|term| self.event_term(trace, event, term))
    }

    /// Whether a finding is: by itself, or by one of the events that it rests on. Each term may be true
    /// of another of them.
    pub fn finding(&self, trace: &Trace, finding: &Finding) -> bool {
        self.expression
            .holds(&|term| self.finding_term(trace, finding, term))
    }

    /// Whether a story is: its cause or one of its consequences, as in [`Prepared::finding`].
    pub fn story(&self, trace: &Trace, story: &Story) -> bool {
        let all = std::iter::once(&story.head).chain(&story.folded);
        self.expression.holds(&|term| {
            all.clone()
                .any(|finding| self.finding_term(trace, finding, term))
        })
    }

    /// Whether a question that could not be answered is. It has no confidence and no fingerprint.
    pub fn question(&self, trace: &Trace, question: &CannotTell) -> bool {
        let part = Part {
            rule: question.rule,
            severity: crate::rules::rule(question.rule)
                .map_or(Severity::Error, |rule| rule.severity),
            confidence: None,
            fingerprint: None,
        };
        self.expression.holds(&|term| {
            if term.field.is_of_findings() {
                return part_is(part, term);
            }
            self.subject_term(trace, question.subject, question.at, term)
                || (term.field == Field::Text && any(term, &question.message))
                || trace
                    .event(question.at)
                    .is_some_and(|event| self.event_term(trace, event, term))
        })
    }

    fn finding_term(&self, trace: &Trace, finding: &Finding, term: &Term) -> bool {
        if term.field.is_of_findings() {
            return part_is(finding.into(), term);
        }
        if term.field == Field::Text
            && (any(term, &crate::report::title(finding)) || any(term, &finding.message))
        {
            return true;
        }
        let events = finding.evidence.iter().map(|evidence| evidence.event);
        self.subject_term(trace, finding.subject, finding.first_cause, term)
            || std::iter::once(finding.first_cause)
                .chain(events)
                .filter_map(|id| trace.event(id))
                .any(|event| self.event_term(trace, event, term))
    }

    /// What is said of a subject, of whose life one event is known.
    fn subject_term(&self, trace: &Trace, subject: Subject, part: EventId, term: &Term) -> bool {
        let number = |number: i128| term.tests.iter().any(|test| test.number(number));
        match (term.field, subject) {
            (Field::Text, _) => any(term, &trace.name_of_near(subject, Some(part))),
            (Field::Cookie | Field::Address, Subject::Generation { address, .. }) => {
                number(address.into())
            }
            (Field::Cookie, Subject::Cookie { cookie, .. }) => number(cookie.into()),
            (
                Field::Ring,
                Subject::Cookie { process, ring, .. } | Subject::Operation { process, ring, .. },
            ) => is_ring(trace, term, (process, ring)),
            (Field::Operation, Subject::Operation { sequence, .. }) => number(sequence.into()),
            (Field::Coroutine, Subject::Coroutine { coroutine, .. }) => number(coroutine.into()),
            (
                Field::Object,
                Subject::Generation {
                    process,
                    address,
                    generation,
                },
            ) => self.object(trace, term, (process, address, generation)),
            _ => false,
        }
    }

    fn event_term(&self, trace: &Trace, event: &Event, term: &Term) -> bool {
        let names = trace.names();
        let link = trace.link(event.id);
        let is_number = || {
            facts::any_number(event, link, term.field, |n| {
                term.tests.iter().any(|test| test.number(n))
            })
        };
        match term.field {
            Field::Rule | Field::Severity | Field::Confidence | Field::Fingerprint => {
                let parts = self.parts.get(&event.id);
                parts.is_some_and(|parts| parts.iter().any(|part| part_is(*part, term)))
            }
            Field::Kind => any(term, event.what.kind()),
            Field::Op => {
                code(trace, event).is_some_and(|code| term.tests.contains(&Test::Op(code)))
            }
            Field::Object => {
                link.generation != 0
                    && self.object(trace, term, (event.process, link.address, link.generation))
            }
            Field::Type => type_of(event).is_some_and(|ty| any(term, &names.ty(ty))),
            Field::Site => event.site().0 != 0 && any(term, &names.site(event.site())),
            Field::Function => trace.stack_lines(event).iter().any(|line| any(term, line)),
            Field::Thread => {
                let lane = trace.recording().lane(event.lane);
                let tid = lane.map_or(0, |lane| lane.tid);
                // A name that several have stands for all of them.
                let shared = lane.filter(|lane| lane.has_namesake);
                any(term, &names.thread(event.lane))
                    || shared.is_some_and(|lane| any(term, &names.text(lane.thread)))
                    || term.tests.iter().any(|test| test.number(tid.into()))
            }
            Field::Process => trace
                .recording()
                .process(event.process)
                .is_some_and(|process| {
                    term.tests
                        .iter()
                        .any(|test| test.number(process.pid.into()))
                        || any(term, &process.exe.tty())
                }),
            Field::Coroutine => is_number() || self.coroutine(trace, event, term),
            Field::Ring => {
                // A push knows its ring by the operation that it became.
                let pushed = || match event.what {
                    What::Push { .. } => link.operation.map(|(ring, _)| ring),
                    _ => None,
                };
                let ring = facts::ring(event).or_else(pushed);
                ring.is_some_and(|ring| is_ring(trace, term, (event.process, ring)))
            }
            Field::Scope => {
                let id = (event.process, facts::scope(event));
                let name = trace.lookup.scope(trace.events(), id);
                is_number() || name.is_some_and(|name| any(term, &names.text(name)))
            }
            Field::Text => {
                any(term, &trace.describe(event)) || any(term, &names.thread(event.lane))
            }
            _ => is_number(),
        }
    }

    fn coroutine(&self, trace: &Trace, event: &Event, term: &Term) -> bool {
        let Some(number) = trace.link(event.id).coroutine else {
            return false;
        };
        // `coroutine 9 (serve)`: what stands in the parentheses.
        let name = trace.names().coroutine(event.process, number);
        let name = name
            .split_once(" (")
            .map(|(_, name)| name.trim_end_matches(')'));
        name.is_some_and(|name| any(term, name))
    }

    fn object(&self, trace: &Trace, term: &Term, id: (u32, u64, u32)) -> bool {
        let (process, address, generation) = id;
        let alias = trace.names().object(process, address, generation);
        let (ty, number) = alias.rsplit_once('#').unwrap_or((&alias, ""));
        term.tests.iter().any(|test| match test {
            Test::Object(asked) => {
                asked.address.is_none_or(|asked| asked == address)
                    && asked.generation.is_none_or(|asked| asked == generation)
                    && asked.number.is_none_or(|asked| number.parse() == Ok(asked))
                    && asked
                        .ty
                        .as_ref()
                        .is_none_or(|asked_type| is_type(asked, asked_type, ty))
            }
            _ => false,
        })
    }
}

/// The operation code of a submission, or of what a completion belongs to.
fn code(trace: &Trace, event: &Event) -> Option<u8> {
    let of = |event: &Event| match &event.what {
        What::Submit(submission) => Some(submission.entry.opcode),
        _ => None,
    };
    match &event.what {
        What::Complete(_) => {
            let (ring, sequence) = trace.link(event.id).operation?;
            let submission = trace.submission_of(event.process, ring, sequence, Some(event.id))?;
            of(trace.event(submission)?)
        }
        _ => of(event),
    }
}

/// Whether a ring is asked for, by the number that its program's own recorder gave it: the kernel's view of that ring is
/// it, too. A ring that the kernel alone saw has that number only where nobody else recorded the process: else another
/// ring may have it, and this one is asked for by the kernel's.
fn is_ring(trace: &Trace, term: &Term, (process, ring): (u32, u32)) -> bool {
    let recording = trace.recording();
    let view = recording.process(process);
    let is_kernels = view.is_some_and(|view| view.capture == Capture::Kernel);
    let own = match trace.own_ring(process, ring) {
        None if is_kernels && recording.is_second_view(process) => None,
        None => Some(ring),
        own => own,
    };
    term.tests.iter().any(|test| {
        own.is_some_and(|own| test.number(own.into()))
            || (is_kernels && test.number_of_kernel(ring.into()))
    })
}

fn is_type(asked: &Object, asked_type: &str, ty: &str) -> bool {
    if asked.is_exact_type {
        Test::Equals(asked_type.to_owned()).text(ty)
    } else {
        Test::contains(asked_type).text(ty)
    }
}

fn any(term: &Term, text: &str) -> bool {
    term.tests.iter().any(|test| test.text(text))
}

fn part_is(part: Part, term: &Term) -> bool {
    term.tests.iter().any(|test| match test {
        Test::Rule(rule) => rule.is_none_or(|rule| rule == part.rule),
        Test::Severity(from, to) => (*from..=*to).contains(&part.severity),
        Test::Confidence(from, to) => part
            .confidence
            .is_some_and(|it| (*from..=*to).contains(&it)),
        Test::Hex(digits) => part
            .fingerprint
            .is_some_and(|print| format!("{print:016x}").starts_with(digits.as_str())),
        _ => part
            .fingerprint
            .is_some_and(|print| test.number(print.into())),
    })
}

fn type_of(event: &Event) -> Option<TypeId> {
    match &event.what {
        What::Leak(pointer)
        | What::Reclaim(pointer)
        | What::Peek(pointer)
        | What::Retain(pointer)
        | What::Release(pointer)
        | What::LeakForever(pointer) => Some(pointer.ty),
        What::Spawn { ty, .. } => Some(*ty),
        _ => None,
    }
}
