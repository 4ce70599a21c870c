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
    /// A generation of an address or index; generations count from 1, and 0 stands for a traced cell.
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

impl Subject {
    /// Index of the process that it is of.
    pub fn process(self) -> u32 {
        match self {
            Self::Generation { process, .. }
            | Self::Operation { process, .. }
            | Self::Coroutine { process, .. }
            | Self::Cookie { process, .. } => process,
        }
    }
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
    /// What happened, where the name of its rule says something else; behind that name.
    pub own_title: Option<&'static str>,
    /// What to try next, where that is something else than its rule says: [`Finding::advice`].
    pub own_advice: Option<&'static str>,
    /// Same for the same fault in another run: rule, places without line numbers, kind of object.
    pub fingerprint: u64,
    /// How many times the same was found (same fingerprint, same places in the source); the rest of the
    /// fields tell of the first.
    pub count: u64,
}

impl Finding {
    /// What to try next.
    pub fn advice(&self) -> &'static str {
        let of_rule = || crate::rules::rule(self.rule).map_or("", |rule| rule.advice);
        self.own_advice.unwrap_or_else(of_rule)
    }
}

/// A finding and the consequences that are folded under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The cause.
    pub head: Finding,
    /// What followed from it, in causal order.
    pub folded: Vec<Finding>,
}

/// Why a question cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// Records are missing that may explain it.
    Lost(LossReason),
    /// Times are by batch, and the order in which several threads came is not known.
    TimesByBatch,
    /// A slot of a ring may have been filled once for good, or its cookie was forgotten each time: of a program that
    /// nobody rebuilt it is not seen which.
    FilledOnce,
    /// The program used up what it had before, and got on: it may mean to.
    UsedUp,
}

/// A question that a rule would have answered, had nothing been lost and every order been known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotTell {
    /// Which rule.
    pub rule: RuleId,
    /// What it would have been about.
    pub subject: Subject,
    /// Scope that the subject belongs to, 0 for none.
    pub scope: u32,
    /// One sentence: what it seems, and what is missing.
    pub message: String,
    /// What stands in the way.
    pub reason: Doubt,
    /// The event that raised the question.
    pub at: EventId,
}

/// All that the rules say about a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Causes with their consequences, by the place of the cause in the causal order.
    pub stories: Vec<Story>,
    /// Questions that losses, or times by batch, keep from being answered, a few of each kind.
    pub cannot_tell: Vec<CannotTell>,
    /// What was there at all.
    pub summary: Summary,
}

/// What the kernel said of rings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelSaw {
    /// Operations of rings that nobody else recorded, by opcode.
    pub operations: std::collections::BTreeMap<u8, u64>,
    /// Of those, operations without a last completion at the end.
    pub pending: u64,
    /// Completions that found no room in their queue.
    pub overflowed: u64,
    /// Rings that were recorded in another way, too.
    pub merged: u64,
    /// Operations of those that had another cookie when the kernel took them than when they were recorded.
    pub differed: u64,
}

/// What programs in C told of beside rings, pointers and coroutines: a rule that was told nothing has nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Descriptors that were opened or closed.
    pub descriptors: bool,
    /// Buffers that the kernel may choose from.
    pub provided: bool,
    /// Borrows of cells.
    pub borrows: bool,
    /// How much of a buffer is initialised.
    pub initialised: bool,
    /// Blocks that were freed or moved.
    pub frees: bool,
}

/// Counts over a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Events.
    pub events: u64,
    /// Operations submitted.
    pub operations: u64,
    /// Completions taken.
    pub completions: u64,
    /// Generations of all addresses.
    pub generations: u64,
    /// Coroutines.
    pub coroutines: u64,
    /// Of those, coroutines that waited for something when their process ended.
    pub suspended_at_end: u64,
    /// Rings.
    pub rings: u64,
    /// Operations whose last completion was not seen when their process ended: normal for a server.
    pub pending_at_end: u64,
    /// Of those, operations that the kernel had completed: the program did not take the completion.
    pub posted_at_end: u64,
    /// What the kernel said, where it was asked.
    pub kernel: KernelSaw,
    /// Generations still held when their process ended, as far as times by batch let that be known.
    pub held_at_end: u64,
    /// Descriptors that were said to be opened and not to be closed, when their process ended.
    pub open_at_end: u64,
    /// Where most of them were opened, and how many there.
    pub open_places: Vec<(crate::event::SiteId, u64)>,
    /// Descriptors that were closed and closed again, with no opening in between that was recorded.
    pub closed_again: u64,
    /// Where the first of those was closed, and where again.
    pub closed_again_at: Option<(crate::event::SiteId, crate::event::SiteId)>,
    /// What else was told of.
    pub told: Told,
    /// How each process ended.
    pub ended: Vec<(u32, crate::recording::Ended)>,
    /// Places where records are missing.
    pub losses: u64,
    /// Records missing there, as far as they could be counted.
    pub records_lost: u64,
    /// Whether a loss may hide something that went wrong while it was recorded. The one record that a kill cut off
    /// does not count.
    pub losses_hide: bool,
    /// Problems of the input.
    pub problems: u64,
    /// Questions that could not be answered, those not listed included.
    pub cannot_tell: u64,
}

/// What `check` and `demo` say to the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was found and nothing stood in the way.
    Clean,
    /// At least one finding, whatever else was lost.
    Findings,
    /// No finding, but something could not be told.
    CannotTell,
}

impl Outcome {
    /// The exit code for it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Findings => 1,
            Self::CannotTell => 3,
        }
    }
}

impl Verdict {
    /// The part of it that concerns one scope: `belongs` says whether a subject's scope is the scope
    /// asked for, or lies within it.
    pub(crate) fn filtered(&self, belongs: impl Fn(u32, u32) -> bool) -> Self {
        let process = |subject: Subject| match subject {
            Subject::Generation { process, .. }
            | Subject::Operation { process, .. }
            | Subject::Coroutine { process, .. }
            | Subject::Cookie { process, .. } => process,
        };
        let of = |finding: &Finding| belongs(process(finding.subject), finding.scope);
        // A consequence may lie in the scope though its cause does not: whoever asks must hear of it.
        let concerns = |story: &&Story| of(&story.head) || story.folded.iter().any(of);
        let unanswered =
            |question: &&CannotTell| belongs(process(question.subject), question.scope);
        Self {
            stories: self.stories.iter().filter(concerns).cloned().collect(),
            cannot_tell: self
                .cannot_tell
                .iter()
                .filter(unanswered)
                .cloned()
                .collect(),
            summary: self.summary.clone(),
        }
    }

    /// What it comes down to.
    pub fn outcome(&self) -> Outcome {
        if !self.stories.is_empty() {
            Outcome::Findings
        } else if !self.cannot_tell.is_empty() || self.summary.losses_hide {
            Outcome::CannotTell
        } else {
            Outcome::Clean
        }
    }

    /// [`Outcome::exit_code`] of [`Verdict::outcome`].
    pub fn exit_code(&self) -> u8 {
        self.outcome().exit_code()
    }
}
