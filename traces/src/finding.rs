//! What can be wrong: findings, the stories they fold into, and the verdict over a recording.
//!
//! Data only. Sentences hold aliases and hex, never colour; nothing here knows a screen.

use crate::event::{EventId, LossReason};

/// Id of a rule: `T02` is `RuleId(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u8);

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "T{:02}", self.0)
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth a look.
    Note,
    /// Will go wrong some day.
    Warning,
    /// Went wrong.
    Error,
}

/// How sure the rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Likely, with an assumption that the trace does not settle.
    Suspected,
    /// Follows from recorded events.
    Observed,
    /// Poison came back, or the kernel says so.
    Proved,
}

/// What a finding is about. Process and numbers as in [`crate::event::Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A generation of an address or index; generations count from 1.
    Generation {
        /// Process index.
        process: u32,
        /// The address.
        address: u64,
        /// Which life of that address.
        generation: u32,
    },
    /// A submitted operation.
    Operation {
        /// Process index.
        process: u32,
        /// Ring of the process.
        ring: u32,
        /// Position in the ring's submission queue.
        sequence: u64,
    },
    /// A coroutine.
    Coroutine {
        /// Process index.
        process: u32,
        /// Coroutine of the process.
        coroutine: u32,
    },
    /// A cookie that belongs to nothing that was seen.
    Cookie {
        /// Process index.
        process: u32,
        /// Ring of the process.
        ring: u32,
        /// The word.
        cookie: u64,
    },
}

/// An event that a finding rests on, and the part it plays in the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The event.
    pub event: EventId,
    /// The part it plays: a short phrase, lower case ("leaked here", "reclaimed here").
    pub role: &'static str,
}

/// What one rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: RuleId,
    /// How much it matters.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// What it is about.
    pub subject: Subject,
    /// Scope that the subject belongs to, 0 for none.
    pub scope: u32,
    /// The event to look at first.
    pub first_cause: EventId,
    /// One sentence with all names in it.
    pub message: String,
    /// The events it rests on, in causal order.
    pub evidence: Vec<Evidence>,
    /// Same for the same fault in another run: rule, places without line numbers, kind of object.
    pub fingerprint: u64,
    /// How many times the same was found (same fingerprint); the rest of the fields tell of the first.
    pub count: u64,
}

/// A finding and the consequences that are folded under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The cause.
    pub head: Finding,
    /// What followed from it, in causal order.
    pub folded: Vec<Finding>,
}

/// A question that a rule would have answered, had nothing been lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotTell {
    /// Which rule.
    pub rule: RuleId,
    /// What it would have been about.
    pub subject: Subject,
    /// Scope that the subject belongs to, 0 for none.
    pub scope: u32,
    /// One sentence: what is missing.
    pub message: String,
    /// Which loss stands in the way.
    pub reason: LossReason,
}
