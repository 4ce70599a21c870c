//! What a report says, as data. The order of members is that of the fields here.
//!
//! This is the contract with everybody's scripts: `schema/report.json` describes it, and a test holds one
//! against the other. Members are added, and never change their meaning; [`SCHEMA_VERSION`] counts what
//! was not kept.

use serde::Serialize;

use crate::selection::LeftOut;

/// Version of the members of [`Report`] and [`StoryEntry`].
pub const SCHEMA_VERSION: u32 = 1;

/// What was found in some traces.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// Who says so.
    pub tool: Tool,
    /// The traces that could be read.
    pub traces: Vec<TraceEntry>,
    /// Those that could not.
    pub unreadable: Vec<Unreadable>,
}

/// Who made a report.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// A trace that could not be looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Unreadable {
    /// What it is called.
    pub file: String,
    /// Why not.
    pub message: String,
}

/// What was found in a trace.
#[derive(Clone, Debug, Serialize)]
pub struct TraceEntry {
    /// What it is called.
    pub file: String,
    /// `clean`, `findings` or `cannot-tell`.
    pub outcome: &'static str,
    /// The exit code for that alone.
    pub exit_code: u8,
    /// Arguments of the recorded command, where they are known.
    pub command: Vec<String>,
    /// The test that was recorded, where cargo or nextest started the recorder.
    pub run: Option<RunEntry>,
    /// Processes; others name them by their index here.
    pub processes: Vec<ProcessEntry>,
    /// Stories: causes with their consequences.
    pub findings: Vec<StoryEntry>,
    /// Questions that could not be answered.
    pub cannot_tell: Vec<QuestionEntry>,
    /// Where records are missing.
    pub losses: Vec<LossEntry>,
    /// What is wrong with the file.
    pub problems: Vec<ProblemEntry>,
    /// Counts.
    pub summary: SummaryEntry,
    /// Not a member of the JSON, which counts them.
    #[serde(skip)]
    pub set_aside: Vec<SetAsideEntry>,
}

/// Which run of a test was recorded. What is not known is empty.
#[derive(Clone, Debug, Serialize)]
pub struct RunEntry {
    /// `cargo` or `nextest`.
    pub by: String,
    /// The package.
    pub package: String,
    /// The binary, `package` or `package::binary`.
    pub binary: String,
    /// `tests`, `example` or `program`.
    pub what: String,
    /// The test; empty where the recording is of a whole binary.
    pub test: String,
    /// Which attempt, from 1.
    pub attempt: String,
    /// The attempt's name among all of all runs.
    pub attempt_id: String,
}

/// A process.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessEntry {
    /// Its id.
    pub pid: u32,
    /// Path of its program; empty where not known.
    pub program: String,
    /// How it ended, in words.
    pub ended: String,
    /// `tsc`, `monotonic`, `cntvct`, `logical` or `unknown`.
    pub clock: &'static str,
    /// Whether events share the times of their batches.
    pub times_by_batch: bool,
}

/// A story: a cause and what followed from it.
#[derive(Clone, Debug, Serialize)]
pub struct StoryEntry {
    /// The cause.
    #[serde(flatten)]
    pub finding: FindingEntry,
    /// The whole life of its subject, as far as it is listed.
    pub biography: Vec<EventEntry>,
    /// Events of that life that are not listed.
    pub biography_left_out: u64,
    /// What followed from it.
    pub consequences: Vec<FindingEntry>,
}

/// What one rule found.
#[derive(Clone, Debug, Serialize)]
pub struct FindingEntry {
    /// Its id: `T02`.
    pub rule: String,
    /// Its name.
    pub name: &'static str,
    /// `error`, `warning` or `note`.
    pub severity: &'static str,
    /// `proved`, `observed` or `suspected`.
    pub confidence: &'static str,
    /// The same in another run: 16 hex digits behind `0x`.
    pub fingerprint: String,
    /// How often.
    pub count: u64,
    /// One sentence.
    pub message: String,
    /// What it is about.
    pub subject: SubjectEntry,
    /// Scope that the subject belongs to, 0 for none.
    pub scope: u32,
    /// Number of the event to look at first.
    pub first_cause: u64,
    /// Where in the source that is, or the nearest place that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteEntry>,
    /// What it rests on.
    pub evidence: Vec<EventEntry>,
    /// What to try next.
    pub advice: &'static str,
}

/// What a finding is about.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SubjectEntry {
    /// `generation`, `cell`, `operation`, `coroutine` or `cookie`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Index of its process.
    pub process: u32,
    /// Where it is or was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Which life of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Its ring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring: Option<u32>,
    /// Its number in the ring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<u64>,
    /// Its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coroutine: Option<u32>,
    /// The word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
}

/// An event.
#[derive(Clone, Debug, Serialize)]
pub struct EventEntry {
    /// Its number in the causal order.
    pub event: u64,
    /// Nanoseconds since the first event of the trace.
    pub at_ns: u64,
    /// Index of its process.
    pub process: u32,
    /// Its lane.
    pub lane: u32,
    /// Name of its thread.
    pub thread: String,
    /// The word for what happened.
    pub kind: &'static str,
    /// What happened.
    pub text: String,
    /// The part that it plays in the finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// The rule that it broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violates: Option<String>,
    /// Where in the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteEntry>,
    /// Who called, the innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<String>,
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SiteEntry {
    /// Its path: relative to the root that was handed in where it lies below that.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// A question that could not be answered.
#[derive(Clone, Debug, Serialize)]
pub struct QuestionEntry {
    /// Id of the rule that asks.
    pub rule: String,
    /// Its name.
    pub name: &'static str,
    /// One sentence: what it seems, and what stands in the way.
    pub message: String,
    /// What stands in the way: the word for a loss, `times-by-batch`, `filled-once` or `used-up`.
    pub reason: &'static str,
    /// What it is about.
    pub subject: SubjectEntry,
    /// Number of the event that raised the question.
    pub at: u64,
}

/// A place where records are missing.
#[derive(Clone, Debug, Serialize)]
pub struct LossEntry {
    /// Number of the event that stands in their place.
    pub event: u64,
    /// Index of the process.
    pub process: u32,
    /// The lane.
    pub lane: u32,
    /// How many, where that is known.
    pub records: Option<u64>,
    /// The word for why.
    pub reason: &'static str,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemEntry {
    /// The file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What.
    pub message: String,
    /// Whether records may be missing for it.
    pub hides: bool,
}

/// Counts over a trace.
#[derive(Clone, Debug, Serialize)]
pub struct SummaryEntry {
    /// Events.
    pub events: u64,
    /// Rings.
    pub rings: u64,
    /// Operations submitted.
    pub operations: u64,
    /// Completions taken.
    pub completions: u64,
    /// Generations of all addresses.
    pub generations: u64,
    /// Coroutines.
    pub coroutines: u64,
    /// Operations that were pending when their process ended.
    pub pending_at_end: u64,
    /// Pointers that were held then.
    pub held_at_end: u64,
    /// Descriptors that were said to be opened and not to be closed.
    pub open_at_end: u64,
    /// Records that are missing, as far as they could be counted.
    pub records_lost: u64,
    /// Whether that may hide something.
    pub losses_hide: bool,
    /// Questions that could not be answered, those not listed included.
    pub cannot_tell: u64,
    /// Findings that are not listed.
    pub left_out: LeftOutEntry,
}

/// Findings that were left out.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LeftOutEntry {
    /// The filter asks for others.
    pub by_filter: u64,
    /// They are suppressed.
    pub suppressed: u64,
    /// They are in the baseline.
    pub known: u64,
}

impl LeftOutEntry {
    /// `2 by the filter, 1 suppressed`, or nothing.
    pub(super) fn in_words(self) -> Option<String> {
        let left_out = LeftOut {
            by_filter: self.by_filter,
            suppressed: self.suppressed,
            known: self.known,
        };
        left_out.in_words()
    }
}

/// A finding that somebody set aside: listed where a form has a way to say that.
#[derive(Clone, Debug)]
pub struct SetAsideEntry {
    /// `suppressed`, or `in the baseline`.
    pub why: &'static str,
    /// The reason that was given.
    pub reason: String,
    /// What is not told.
    pub story: StoryEntry,
}
