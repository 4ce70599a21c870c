//! Scopes: what a test did, judged at its end.
//!
//! ```
//! let scope = probe::scope();
//! let raw = probe::into_raw(Box::new(7));
//! # // Taken back once.
//! drop(unsafe { probe::from_raw::<Box<i32>>(raw) });
//! scope.assert_clean();
//! ```
//!
//! What the opening thread leaks, submits and spawns belongs to the scope, and so does what threads do
//! that entered it through a [`ScopeHandle`], and what coroutines do that it spawned, whatever thread they run on;
//! all else that runs at the same time does not. So tests may run in parallel, each with its own scope. The first scope of a process starts a recording in
//! its memory; judging reads the records that are committed by then, while other tests go on.
//!
//! An assertion that fails panics with the story, saves the trace and ends with the command to look at
//! it. Where records were lost that could have changed the answer, or the recording was ended, it fails as
//! inconclusive.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::panic::Location;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use traces::event::{EventId, LossReason, What};
use traces::finding::{Finding, RuleId, Story, Verdict};
use traces::{Input, Numbers, Trace};
use wire::payload::pair;
use wire::record::Kind;

use crate::recorder;

mod attribute;
mod limits;
mod process;

#[doc(hidden)]
pub use attribute::{Outcome, clean, panics};
pub use limits::Limits;
pub use process::process_scope;

/// Chunks of a recording that a scope starts: the newest 32 MiB are kept.
const CHUNKS: u32 = if cfg!(miri) { 64 } else { 512 };

/// Stories, operations and questions that a failure shows; the trace has all.
const SHOWN_MAX: usize = 5;

/// Between two looks of [`Scope::settle`], at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// How the text of a scope begins whose records are not all there.
const LOST: &str = "inconclusive: records were lost";

/// A scope that cannot see must not pass.
const ENDED: &str = "inconclusive: the recording of this process was ended (by probe::stop_recording, or by \
                     the recorder), and a process records once";

/// Columns of a failure's text.
const WIDTH: usize = 100;

macro_rules! rules {
    ($($name:ident $number:literal)*) => {
        /// A rule, by its id.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Rule {
            $(#[doc = concat!("See `tracer explain ", stringify!($name), "`.")] $name,)*
        }

        impl Rule {
            fn id(self) -> RuleId {
                match self { $(Self::$name => RuleId($number),)* }
            }
        }
    };
}

rules! {
    T01 1 T02 2 T03 3 T04 4 T05 5 T06 6 T07 7 T08 8 T09 9 T10 10 T11 11 T12 12 T13 13 T14 14 T15 15
    T16 16 T17 17 T18 18 T19 19 T20 20 T21 21 T22 22 T23 23 T24 24 T25 25 T26 26 T27 27
}

/// Opens a scope for the calling thread, until it is asserted or dropped.
///
/// # Panics
///
/// Where the recording of this process was ended (`probe::stop_recording`): a process records once, and a
/// scope that sees nothing must not pass.
#[track_caller]
pub fn scope() -> Scope {
    open(Location::caller(), Reach::Thread)
}

/// What belongs to a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// What its thread does, and those that enter it.
    Thread,
    /// What all threads do that work for no other.
    Process,
}

#[track_caller]
fn open(at: &'static Location<'static>, reach: Reach) -> Scope {
    let started = recorder::start_in_process(CHUNKS);
    assert!(
        !recorder::has_ended(),
        "{ENDED}, so that a scope opened now would see nothing. Open it before, or give the test that ends \
         the recording a process of its own: nextest, or a test file with that one test"
    );
    assert!(
        started,
        "probe::scope: no memory could be mapped for the recording"
    );
    let id = recorder::next_scope();
    let own = recorder::scope();
    let parent = match (own, reach) {
        (0, Reach::Thread) => process::around(),
        _ => own,
    };
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("scope").to_owned();
    let words = [
        pair(id, recorder::site(at)),
        pair(recorder::text(&name), parent),
    ];
    let aux = match reach {
        Reach::Thread => 0,
        Reach::Process => wire::record::SCOPE_OF_PROCESS,
    };
    recorder::record(Kind::ScopeBegin, 0, aux, words);
    recorder::enter_scope(id);
    Scope {
        id,
        around: own,
        name,
        at,
        open: Cell::new(true),
        ignored: RefCell::new(None),
        _thread: std::marker::PhantomData,
    }
}

/// What happens between [`scope`] and the assertion. Dropping it asserts that it was clean, unless the
/// thread is panicking already: then only the trace is saved.
///
/// What is asked of a test that may leave something behind:
///
/// ```
/// use std::time::Duration;
///
/// let scope: probe::Scope = probe::scope();
/// let kept = probe::into_raw(Box::new(1)); // a pool, filled by a warm-up
/// scope.ignore_current();
///
/// // Threads of the test work for its scope once they say so.
/// let handle = scope.handle();
/// std::thread::spawn(move || {
///     let _entered = handle.enter();
///     let raw = probe::into_raw(Box::new(2));
///     drop(unsafe { probe::from_raw::<Box<i32>>(raw) });
/// })
/// .join()
/// .unwrap();
///
/// // Nothing is in flight any more, or will not be a second from now.
/// assert!(scope.settle(Duration::from_secs(1)));
/// let numbers = scope.numbers();
/// assert_eq!(numbers.holding.len(), 1);
/// // One thing alone is asked for; `assert_balanced`, `assert_resumed_once` and `assert_no_inflight` ask for others.
/// scope.assert_no_leaks();
/// # drop(unsafe { probe::from_raw::<Box<i32>>(kept) });
/// ```
///
/// One thing alone, of a runtime whose other faults are known:
///
/// ```
/// use probe::coroutine::Coroutine;
/// use probe::ring::{Kind, Ring};
///
/// let scope = probe::scope();
/// let ring = Ring::created(Kind::Copied, -1, 4, 8, 0, 0);
/// let coroutine = Coroutine::spawned_named("reader", None);
/// coroutine.resumed(None);
/// let cookie = probe::into_raw(Box::new(7));
/// let mut entry = [0; 8];
/// entry[4] = cookie as u64;
/// ring.pushed(&entry);
/// ring.entered(1, 0, 1);
/// coroutine.suspended(&[cookie as u64]);
///
/// ring.reaped(cookie as u64, 0, 0);
/// coroutine.resumed(Some((ring.id(), cookie as u64)));
/// coroutine.done();
/// // Leaked above.
/// drop(unsafe { probe::from_raw::<Box<i32>>(cookie) });
///
/// scope.assert_balanced(); // taken back as often as given away
/// scope.assert_resumed_once(); // one resume for one completion
/// scope.assert_no_inflight(); // the kernel owes nothing
/// ```
///
/// And of one that shows a bug:
///
/// ```
/// let scope = probe::scope();
/// probe::into_raw(Box::new(4)); // never taken back
/// let expected: probe::Expectation = scope.expect(probe::Rule::T09);
/// expected.times(1);
/// ```
#[must_use = "a scope that is dropped at once has seen nothing"]
#[derive(Debug)]
pub struct Scope {
    id: u32,
    around: u32,
    name: String,
    at: &'static Location<'static>,
    open: Cell<bool>,
    /// The mark before which things are not this scope's to take back.
    ignored: RefCell<Option<String>>,
    // Ends on the thread that opened it, whose scope it was.
    _thread: std::marker::PhantomData<*const ()>,
}

/// A scope for other threads to work in.
///
/// ```
/// use probe::{Entered, ScopeHandle};
///
/// let scope = probe::scope();
/// let handle: ScopeHandle = scope.handle();
/// let worker = std::thread::spawn(move || {
///     let aside = probe::into_raw(Box::new(1)); // nobody's: the thread did not enter yet
///     let entered: Entered = handle.enter();
///     let raw = probe::into_raw(Box::new(2));
///     drop(entered);
///     (aside as u64, raw as u64)
/// });
/// let (aside, raw) = worker.join().unwrap();
/// assert_eq!(scope.numbers().leaked, 1);
/// // Both were leaked once.
/// for raw in [aside, raw] {
///     drop(unsafe { probe::from_raw::<Box<i32>>(raw as *mut i32) });
/// }
/// scope.assert_clean();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ScopeHandle(u32);

/// The calling thread works for another scope until this is dropped.
#[derive(Debug)]
pub struct Entered {
    before: u32,
    // Belongs to the thread that made it.
    _thread: std::marker::PhantomData<*const ()>,
}

impl ScopeHandle {
    /// Has the calling thread work for the scope.
    pub fn enter(self) -> Entered {
        let before = recorder::scope();
        recorder::enter_scope(self.0);
        Entered {
            before,
            _thread: std::marker::PhantomData,
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        recorder::enter_scope(self.before);
    }
}

impl Scope {
    /// For threads that work for this scope.
    pub fn handle(&self) -> ScopeHandle {
        ScopeHandle(self.id)
    }

    /// Ends the scope and panics if any rule has found anything in it.
    #[track_caller]
    pub fn assert_clean(self) {
        self.judge(Asked::Clean);
    }

    /// Ends the scope and panics if something that it gave away was never taken back (T09). Other findings
    /// are left to other assertions, which may follow: each judges the scope up to the first one.
    #[track_caller]
    pub fn assert_no_leaks(&self) {
        self.judge(Asked::Without("leaks", &[Rule::T09]));
    }

    /// Ends the scope and panics unless each generation was taken back as often as it was given away: not
    /// twice (T08), not never (T09), not by a count that drifted (T20).
    #[track_caller]
    pub fn assert_balanced(&self) {
        self.judge(Asked::Without(
            "imbalance",
            &[Rule::T08, Rule::T09, Rule::T20],
        ));
    }

    /// Ends the scope and panics if a coroutine was resumed twice for one completion (T10), or a completion
    /// was taken and its coroutine never ran again (T11).
    #[track_caller]
    pub fn assert_resumed_once(&self) {
        self.judge(Asked::Without("wrong resumption", &[Rule::T10, Rule::T11]));
    }

    /// Ends the scope and panics if an operation that it submitted still owes a completion. One that posts
    /// nothing on success counts as in flight for ever. [`Scope::settle`] first gives the kernel time.
    #[track_caller]
    pub fn assert_no_inflight(&self) {
        self.judge(Asked::NothingInFlight);
    }

    /// What the scope did so far, for assertions of one's own: an operation counts for the scope that
    /// submitted it and a handle for the one that gave it away, whoever takes them back.
    ///
    /// # Panics
    ///
    /// Where the recording cannot be read, and where records of the time since the scope was opened were lost:
    /// numbers of the rest would be wrong.
    #[track_caller]
    pub fn numbers(&self) -> Numbers {
        let (trace, bytes) = self.look();
        self.demand_all(&trace, &bytes);
        trace.numbers_of_scope(0, self.id)
    }

    /// Waits until no operation of the scope is in flight, at most so long; whether it came to that.
    /// Somebody else has to take the completions meanwhile: this only looks.
    ///
    /// # Panics
    ///
    /// As [`Scope::numbers`]: a submission that was lost would be none in flight.
    #[track_caller]
    pub fn settle(&self, most: Duration) -> bool {
        let until = Instant::now() + most;
        let mut pause = PAUSE.0;
        loop {
            if self.numbers().in_flight.is_empty() {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Ends the scope with a finding that must be there.
    pub fn expect(self, rule: Rule) -> Expectation {
        Expectation { scope: self, rule }
    }

    /// What is held and in flight now is not asked for at the end: pools that were filled, an accept that waits
    /// for ever. Everything else that is found of it still is.
    pub fn ignore_current(&self) {
        let mark = format!("scope {}: ignored up to here", self.id);
        crate::mark(&mark);
        self.ignored.replace(Some(mark));
    }

    /// The last mark of [`Scope::ignore_current`] in a trace.
    fn mark_in(&self, trace: &Trace) -> Option<EventId> {
        let ignored = self.ignored.borrow();
        let wanted = ignored.as_ref()?;
        let is_it = |what: &What| match what {
            What::Mark { text, .. } => trace.recording().string(*text).bytes() == wanted.as_bytes(),
            _ => false,
        };
        let mut events = trace.events().iter().rev();
        events
            .find(|event| is_it(&event.what))
            .map(|event| event.id)
    }

    /// What its thread does from here on is not its any more. It ends once.
    fn end(&self) {
        if !self.open.replace(false) {
            return;
        }
        let by_panic = u8::from(std::thread::panicking()) * wire::record::SCOPE_BY_PANIC;
        recorder::record(Kind::ScopeEnd, 0, by_panic, [u64::from(self.id)]);
        recorder::enter_scope(self.around);
        process::ended(self.id);
    }

    /// Ends it where something else has failed already.
    fn end_and_save(&self) {
        self.end();
        if let Some(path) = recorder::snapshot().and_then(|bytes| save(&self.name, &bytes).ok()) {
            eprintln!("the trace of this test: {}", path.display());
        }
    }

    /// The recording as it is now, read and as bytes.
    #[track_caller]
    fn look(&self) -> (Trace, Vec<u8>) {
        let Some(bytes) = recorder::snapshot() else {
            let (name, at) = (&self.name, self.at);
            panic!("{ENDED}; the scope `{name}` (opened at {at}) saw a part of its test only");
        };
        let inputs = [Input {
            name: &self.name,
            bytes: &bytes,
        }];
        match Trace::read(&inputs) {
            Ok(trace) => (trace, bytes),
            Err(error) => panic!("probe::scope: the recording cannot be read: {error}"),
        }
    }

    /// What to say where records are missing of the time since the scope was opened. A ring that went round took the
    /// oldest ones, and no rule asks about what it never saw.
    fn missing(&self, trace: &Trace) -> Option<String> {
        // The recording of this process alone is read: its process is the first.
        let is_begin =
            |what: &What| matches!(what, What::ScopeBegin { scope, .. } if *scope == self.id);
        let begin = trace.events().iter().find(|event| is_begin(&event.what));
        let mut losses = trace.recording().losses.iter().filter(|located| {
            // Which of its chunks a lane no longer has cannot be said of a damaged one. What is being written in
            // this moment is no loss.
            let is_behind = begin.is_none_or(|begin| located.event > begin.id);
            match located.loss.reason {
                LossReason::Torn => false,
                LossReason::Damaged => true,
                _ => is_behind,
            }
        });
        let loss = losses.next();
        if begin.is_some() && loss.is_none() {
            return None;
        }
        let mut text = "records of this scope's time are not there: ".to_owned();
        let what = loss.and_then(|located| trace.event(located.event));
        // Writing to a string cannot fail.
        let _ = match what {
            Some(event) => writeln!(text, "{}", trace.describe(event)),
            None => writeln!(text, "it begins before the oldest that was kept"),
        };
        text.push_str(
            "The newest records are kept, 32 MiB of them where the scope itself records. Let it span less, or run \
             the test with more room: tracer record --ring 1GiB -- TEST\n",
        );
        Some(text)
    }

    /// Panics where records are missing.
    #[track_caller]
    fn demand_all(&self, trace: &Trace, bytes: &[u8]) {
        let Some(missing) = self.missing(trace) else {
            return;
        };
        let (name, at) = (&self.name, self.at);
        let mut text = format!("{LOST} in `{name}` (scope opened at {at})\n{missing}");
        self.keep(&mut text, None, bytes);
        panic!("{text}");
    }

    #[track_caller]
    fn judge(&self, asked: Asked) {
        if let Some(text) = self.verdict_on(asked) {
            panic!("{text}");
        }
    }

    /// Ends the scope; what there is to say where it is not as asked.
    #[track_caller]
    fn verdict_on(&self, asked: Asked) -> Option<String> {
        self.end();
        let (trace, bytes) = self.look();
        let mut verdict = asked.part_of(trace.verdict_for_scope(0, self.id));
        let mut in_flight = match asked {
            Asked::NothingInFlight => trace.numbers_of_scope(0, self.id).in_flight,
            _ => Vec::new(),
        };
        if let Some(mark) = self.mark_in(&trace) {
            in_flight.retain(|submission| *submission > mark);
            let site = |id: EventId| trace.event(id).map(|event| event.site());
            let holding = trace.numbers_of_scope(0, self.id).holding;
            let later: Vec<_> = holding
                .into_iter()
                .filter(|id| *id > mark)
                .map(site)
                .collect();
            // Leaks at one place are one finding, whose evidence is the first of them.
            verdict.stories.retain(|story| {
                let first = story
                    .head
                    .evidence
                    .iter()
                    .map(|evidence| evidence.event)
                    .min();
                story.head.rule != Rule::T09.id()
                    || first.is_none_or(|first| first > mark || later.contains(&site(first)))
            });
        }
        let as_asked = in_flight.is_empty() && asked.is_met(&verdict);
        let missing = self.missing(&trace);
        let conclusive = match missing {
            // What was found is there; that there is no more cannot be said, nor whether a completion is missing
            // or its record.
            Some(_) => !as_asked && !verdict.stories.is_empty(),
            None => {
                let found = !verdict.stories.is_empty() || !in_flight.is_empty();
                let is_whole = !verdict.summary.losses_hide || only_older_are_gone(&trace);
                found || verdict.cannot_tell.is_empty() && is_whole
            }
        };
        if as_asked && conclusive {
            return None;
        }
        let mut text = String::new();
        let headline = if conclusive {
            asked.headline(&verdict, in_flight.len())
        } else {
            LOST.to_owned()
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{headline} in `{}` (scope opened at {})",
            self.name, self.at
        );
        explain(&mut text, &trace, &verdict, &in_flight);
        text.push_str(&missing.unwrap_or_default());
        let first = verdict.stories.first().map(|story| story.head.rule);
        self.keep(&mut text, first, &bytes);
        Some(text)
    }

    /// Saves the trace, and says how to look at it.
    fn keep(&self, text: &mut String, first: Option<RuleId>, bytes: &[u8]) {
        let _ = match save(&self.name, bytes) {
            Ok(path) => {
                let path = path.display();
                let goto = match first {
                    Some(rule) => format!(" --goto {rule}"),
                    None => String::new(),
                };
                write!(text, "trace: {path}\nview:  tracer view {path}{goto}\n")
            }
            Err(error) => writeln!(text, "the trace could not be saved: {error}"),
        };
    }
}

/// What an assertion asks for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// Nothing was found.
    Clean,
    /// Nothing of these rules was found, whatever else was; with a word for it.
    Without(&'static str, &'static [Rule]),
    /// All operations have had their last completion.
    NothingInFlight,
    /// So many findings of a rule, and nothing else.
    Expected(Rule, usize),
}

impl Asked {
    /// The part of a verdict that it concerns.
    fn part_of(self, mut verdict: Verdict) -> Verdict {
        let rules = match self {
            Self::Without(_, rules) => rules,
            Self::NothingInFlight => &[],
            Self::Clean | Self::Expected(..) => return verdict,
        };
        let concerns = |rule: RuleId| rules.iter().any(|asked| asked.id() == rule);
        let of = |finding: &Finding| concerns(finding.rule);
        verdict
            .stories
            .retain(|story| of(&story.head) || story.folded.iter().any(of));
        verdict
            .cannot_tell
            .retain(|question| concerns(question.rule));
        verdict
    }

    fn is_met(self, verdict: &Verdict) -> bool {
        let Self::Expected(rule, times) = self else {
            return verdict.stories.is_empty();
        };
        let headed = |story: &&Story| story.head.rule == rule.id();
        let found: u64 = verdict
            .stories
            .iter()
            .filter(headed)
            .map(|story| story.head.count)
            .sum();
        found == times as u64 && verdict.stories.iter().all(|story| headed(&story))
    }

    fn headline(self, verdict: &Verdict, in_flight: usize) -> String {
        let found: u64 = verdict.stories.iter().map(|story| story.head.count).sum();
        let findings = if found == 1 { "finding" } else { "findings" };
        match self {
            Self::Clean => format!("{found} {findings}"),
            Self::Without(what, _) => format!("{found} {findings} of {what}"),
            Self::NothingInFlight if in_flight == 1 => "1 operation is in flight".to_owned(),
            Self::NothingInFlight => format!("{in_flight} operations are in flight"),
            Self::Expected(rule, times) => {
                format!("expected {rule:?} {times} times and nothing else, found {found}")
            }
        }
    }
}

/// Whether all that is missing was overwritten, where what came since the scope was opened is known to be there: no rule
/// asks about what the scope never saw.
fn only_older_are_gone(trace: &Trace) -> bool {
    let recording = trace.recording();
    let older = |reason| matches!(reason, LossReason::Overwritten | LossReason::Torn);
    let mut losses = recording.losses.iter();
    losses.all(|located| older(located.loss.reason))
        && recording.problems_more == 0
        && !recording.problems.iter().any(|problem| problem.hides)
}

/// What was found, a screen of it.
fn explain(
    text: &mut String,
    trace: &Trace,
    verdict: &Verdict,
    in_flight: &[traces::event::EventId],
) {
    for story in verdict.stories.iter().take(SHOWN_MAX) {
        for line in traces::report::story_lines(trace, story, WIDTH) {
            let _ = writeln!(text, "{}", line.text);
        }
    }
    for event in in_flight
        .iter()
        .filter_map(|id| trace.event(*id))
        .take(SHOWN_MAX)
    {
        let _ = writeln!(text, "  {}", trace.describe_alone(event));
    }
    for question in verdict.cannot_tell.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "{}: {}", question.rule, question.message);
    }
    let more = [
        verdict.stories.len(),
        in_flight.len(),
        verdict.cannot_tell.len(),
    ];
    let more: usize = more
        .iter()
        .map(|count| count.saturating_sub(SHOWN_MAX))
        .sum();
    if more > 0 {
        let _ = writeln!(text, "and {more} more, in the trace");
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if !self.open.get() {
            return;
        }
        if !std::thread::panicking() {
            self.judge(Asked::Clean);
            return;
        }
        self.end_and_save();
    }
}

/// A finding that a scope must end with.
#[must_use = "say how many times with `times`"]
#[derive(Debug)]
pub struct Expectation {
    scope: Scope,
    rule: Rule,
}

impl Expectation {
    /// Panics unless the scope has exactly this many findings at the head of a story, all of this
    /// rule; what follows from them does not count.
    #[track_caller]
    pub fn times(self, count: usize) {
        let rule = self.rule;
        self.scope.judge(Asked::Expected(rule, count));
    }
}

/// Writes a trace to `target/tracer/NAME.trc`; to the folder for temporary files where the test does
/// not run from a target folder.
fn save(name: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    // Cargo marks its target folder with this file.
    let target = executable
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let folder = match target {
        Some(target) => target.join("tracer"),
        None => std::env::temp_dir(),
    };
    std::fs::create_dir_all(&folder)?;
    let plain = |letter: char| {
        if letter.is_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(plain).take(150).collect();
    let path = folder.join(format!("{name}-{}.trc", std::process::id()));
    std::fs::write(&path, bytes)?;
    Ok(path)
}
