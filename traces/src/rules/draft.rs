//! What a rule says, before consequences are folded under their causes.

use rustc_hash::FxHashMap;

use super::Rule;
use super::fold;
use crate::event::EventId;
use crate::finding::{
    CannotTell, Confidence, Doubt, Evidence, Finding, RuleId, Severity, Story, Subject,
};
use crate::model::{Asked, Back, GenerationId, OperationId};
use crate::watch::Found;

/// Drafts of one kind that are kept whole; further ones are counted.
const SAME_MAX: u64 = 1 << 14;
/// Unanswered questions of one rule that are listed.
const UNANSWERED_MAX: usize = 8;

/// What a sentence rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// One record that says it all.
    Own,
    /// That nothing is missing from this event on.
    Since(EventId),
    /// That nothing is missing at all.
    Whole,
}

/// A thing that ties a consequence to its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Generation(GenerationId),
    Operation(OperationId),
    Coroutine(u32, u32),
}

impl From<GenerationId> for Key {
    fn from(id: GenerationId) -> Self {
        Self::Generation(id)
    }
}

impl From<OperationId> for Key {
    fn from(id: OperationId) -> Self {
        Self::Operation(id)
    }
}

/// A finding in the making.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) finding: Finding,
    /// The event at which it shows.
    pub(crate) seen_at: EventId,
    pub(crate) history: History,
    pub(crate) keys: Vec<Key>,
    /// Where the stretch that must be whole ends, if not where it shows.
    pub(crate) until: Option<EventId>,
    /// A process whose records must be whole, too: it rests on what the kernel says, whatever its own process's capture
    /// level.
    pub(super) by_kernel: Option<u32>,
    /// What its process said that lasts could explain it: that a cookie stands for nobody, say.
    pub(super) needs_lasting: bool,
    /// A message that another ring sent could explain it.
    pub(super) is_of_message: bool,
    /// What keeps it from being told, whatever else is known, and a clause that says so.
    pub(super) doubt: Option<(Doubt, &'static str)>,
    /// How much it matters, if not as much as its rule says.
    severity: Option<Severity>,
    /// The drop of a ring, and a scope: all that comes of one drop in one scope is one story.
    pub(crate) ring_drop: Option<(EventId, u32)>,
    /// Rules whose stories it heads although they show earlier, where it shares a key with them: it is
    /// nearer to the cause.
    pub(crate) outranks: &'static [u8],
    /// The fault that it is a part of, whatever the places and the rule.
    pub(super) fault: Option<u64>,
    shape: Fingerprint,
    /// Its places in the source, lines included: what tells two faults of one fingerprint apart.
    place: u64,
}

/// What makes a finding a repeat of another in one report: fingerprint, scope and places.
pub(super) type Same = (u64, u32, u64);

impl Draft {
    /// A draft about `subject` that points at `first_cause` and shows at `seen_at`.
    pub(crate) fn new(subject: Subject, first_cause: EventId, seen_at: EventId) -> Self {
        let finding = Finding {
            rule: RuleId(0),
            severity: Severity::Error,
            confidence: Confidence::Observed,
            subject,
            scope: 0,
            first_cause,
            message: String::new(),
            evidence: Vec::new(),
            own_title: None,
            own_advice: None,
            fingerprint: 0,
            count: 1,
        };
        Self {
            finding,
            seen_at,
            history: History::Whole,
            until: None,
            by_kernel: None,
            needs_lasting: false,
            is_of_message: false,
            doubt: None,
            severity: None,
            ring_drop: None,
            keys: Vec::new(),
            outranks: &[],
            fault: None,
            shape: Fingerprint::default(),
            place: 0,
        }
    }

    pub(crate) fn scope(mut self, scope: u32) -> Self {
        self.finding.scope = scope;
        self
    }

    pub(crate) fn confidence(mut self, confidence: Confidence) -> Self {
        self.finding.confidence = confidence;
        self
    }

    pub(crate) fn message(mut self, message: String) -> Self {
        self.finding.message = message;
        self
    }

    pub(crate) fn history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// It rests on all being known that lasts.
    pub(crate) fn needs_lasting(mut self) -> Self {
        self.needs_lasting = true;
        self
    }

    pub(crate) fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    pub(crate) fn until(mut self, until: EventId) -> Self {
        self.until = Some(until);
        self
    }

    /// It rests on what a process that is the kernel's view says.
    pub(crate) fn by_kernel(mut self, view: u32) -> Self {
        self.by_kernel = Some(view);
        self
    }

    /// It is a completion that nobody owed, as a message is to who does not see its sender.
    pub(crate) fn or_a_message(mut self) -> Self {
        self.is_of_message = true;
        self
    }

    /// Makes it a question, whatever else is known.
    pub(crate) fn doubted(mut self, doubt: Doubt, clause: &'static str) -> Self {
        self.doubt = Some((doubt, clause));
        self
    }

    /// Makes it a part of what came of a ring's drop; to be called when its scope is known.
    pub(crate) fn of_ring_drop(mut self, drop: EventId) -> Self {
        self.ring_drop = Some((drop, self.finding.scope));
        self
    }

    pub(crate) fn key(mut self, key: impl Into<Key>) -> Self {
        self.keys.push(key.into());
        self
    }

    pub(crate) fn keys(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.keys.extend(keys);
        self
    }

    /// What happened, where the name of its rule says something else.
    pub(crate) fn title(mut self, title: &'static str) -> Self {
        self.finding.own_title = Some(title);
        self
    }

    /// What to try next, instead of what its rule says.
    pub(crate) fn advice(mut self, advice: &'static str) -> Self {
        self.finding.own_advice = Some(advice);
        self
    }

    /// Makes it a part of one fault that shows in many places, and by several rules; to be called when its scope is
    /// known.
    pub(crate) fn of_fault(mut self, part: impl AsRef<str>, of: impl Into<u64>) -> Self {
        let mut fault = Fingerprint::default();
        fault.add(part.as_ref());
        fault.add(of.into().to_le_bytes());
        fault.add(self.finding.scope.to_le_bytes());
        fault.add(self.process().to_le_bytes());
        self.fault = Some(fault.0);
        self
    }

    /// An event that it rests on.
    pub(crate) fn evidence(mut self, event: EventId, role: &'static str) -> Self {
        self.finding.evidence.push(Evidence { event, role });
        self
    }

    /// Where the operations whose submissions it rests on were put into their queues, as far as that was seen: who did it
    /// is called there, and the submission by whoever hands the queue over.
    pub(super) fn and_pushes(mut self, pushes: &FxHashMap<EventId, EventId>) -> Self {
        if !pushes.is_empty() {
            let evidence = &mut self.finding.evidence;
            let submitted = evidence.iter().map(|evidence| evidence.event);
            let submitted = submitted.chain([self.finding.first_cause]);
            let found: Vec<EventId> = submitted
                .filter_map(|it| pushes.get(&it).copied())
                .collect();
            let role = "put into the queue here";
            evidence.extend(found.into_iter().map(|event| Evidence { event, role }));
        }
        self
    }

    /// A part of what makes it the same fault as in another run.
    pub(crate) fn shape(mut self, part: impl AsRef<str>) -> Self {
        self.shape.add(part.as_ref());
        self
    }

    pub(crate) fn process(&self) -> u32 {
        self.finding.subject.process()
    }

    pub(super) fn of(mut self, rule: &'static Rule) -> Self {
        self.finding.rule = rule.id;
        self.finding.severity = self.severity.unwrap_or(rule.severity);
        self.finding.evidence.sort_by_key(|evidence| evidence.event);
        self.finding.evidence.dedup();
        self.shape.add(rule.name);
        self.finding.fingerprint = self.shape.0;
        self
    }

    /// Takes its places from the events that it rests on.
    pub(super) fn placed(mut self, back: Back<'_>) -> Self {
        let evidence = self.finding.evidence.iter().map(|evidence| evidence.event);
        let mut place = Fingerprint::default();
        for id in std::iter::once(self.finding.first_cause).chain(evidence) {
            place.add(back.site(id).0.to_le_bytes());
        }
        self.place = place.0;
        self
    }

    /// Says which events it rests on, and whose life it is about, without being kept.
    pub(super) fn ask(&self, asked: &Asked) {
        let evidence = self.finding.evidence.iter().map(|evidence| evidence.event);
        // The last one is asked how late it may have been.
        let last = self.until.unwrap_or(self.seen_at);
        for id in [self.finding.first_cause, last].into_iter().chain(evidence) {
            asked.event(id);
        }
        asked.subject(self.finding.subject);
    }

    pub(super) fn same(&self) -> Same {
        (self.finding.fingerprint, self.finding.scope, self.place)
    }
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
#[derive(Clone, Copy, Debug)]
struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Fingerprint {
    fn add(&mut self, part: impl AsRef<[u8]>) {
        // The byte behind each part keeps "ab" + "c" from being "a" + "bc".
        for byte in part.as_ref().iter().chain(&[0xFF]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}

/// All that was said.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    said: Vec<Draft>,
    same: FxHashMap<Same, u64>,
    unanswered: Vec<CannotTell>,
    unanswered_count: u64,
    found: Found,
    /// What came back after it was said to be held, and where the last of it did.
    came_back: FxHashMap<Subject, EventId>,
}

impl Drafts {
    /// How often each rule spoke.
    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// Whether a draft is kept, or listed as a question if it has a doubt: further ones are counted.
    pub(super) fn keeps(&self, draft: &Draft, is_doubted: bool) -> bool {
        if !is_doubted {
            return self
                .same
                .get(&draft.same())
                .is_none_or(|said| *said < SAME_MAX);
        }
        let rule = draft.finding.rule;
        let listed = self.unanswered.iter().filter(|other| other.rule == rule);
        let again = |other: &CannotTell| {
            other.rule == rule
                && other.subject == draft.finding.subject
                && other.scope == draft.finding.scope
        };
        listed.count() < UNANSWERED_MAX && !self.unanswered.iter().any(again)
    }

    /// Of these, said to be held at the end of their scope, every handle came back later: no count drifted.
    pub(crate) fn came_back(&mut self, generations: &FxHashMap<Subject, EventId>) {
        self.came_back.clone_from(generations);
    }

    /// What is still true when all is known.
    fn holds(
        came_back: &FxHashMap<Subject, EventId>,
        rule: RuleId,
        (subject, cause): (Subject, EventId),
    ) -> bool {
        let last = || came_back.get(&subject);
        rule != RuleId(20) || last().is_none_or(|last| cause > *last)
    }

    /// Keeps a draft, or the question that it is with a doubt and its clause.
    pub(super) fn push(&mut self, draft: Draft, doubt: Option<(Doubt, String)>) {
        if let Some((reason, clause)) = doubt {
            self.unanswered_count = self.unanswered_count.saturating_add(1);
            if self.keeps(&draft, true) {
                self.unanswered.push(CannotTell {
                    rule: draft.finding.rule,
                    subject: draft.finding.subject,
                    scope: draft.finding.scope,
                    message: format!("it seems that {}; but {clause}", draft.finding.message),
                    reason,
                    at: draft.finding.first_cause,
                });
            }
            return;
        }
        self.found.add(draft.finding.rule);
        let same = self.same.entry(draft.same()).or_default();
        *same = same.saturating_add(1);
        if *same <= SAME_MAX {
            self.said.push(draft);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty() && self.unanswered.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<Draft> {
        let mut all = self.said.clone();
        all.retain(|draft| {
            let finding = &draft.finding;
            let at = (finding.subject, finding.first_cause);
            Self::holds(&self.came_back, finding.rule, at)
        });
        all
    }

    /// Stories, unanswered questions, and how many of those there were.
    pub(crate) fn fold(mut self) -> (Vec<Story>, Vec<CannotTell>, u64) {
        let came_back = std::mem::take(&mut self.came_back);
        self.said.retain(|draft| {
            let finding = &draft.finding;
            let holds = Self::holds(
                &came_back,
                finding.rule,
                (finding.subject, finding.first_cause),
            );
            if !holds && let Some(same) = self.same.get_mut(&draft.same()) {
                *same = same.saturating_sub(1);
            }
            holds
        });
        let asked = self.unanswered.len();
        self.unanswered.retain(|question| {
            Self::holds(&came_back, question.rule, (question.subject, question.at))
        });
        let settled = asked.saturating_sub(self.unanswered.len()) as u64;
        self.unanswered_count = self.unanswered_count.saturating_sub(settled);
        let beyond = self
            .same
            .into_iter()
            .map(|(same, count)| (same, count.saturating_sub(SAME_MAX)))
            .filter(|(_, beyond)| *beyond > 0)
            .collect();
        (
            fold::fold(self.said, &beyond),
            self.unanswered,
            self.unanswered_count,
        )
    }
}
