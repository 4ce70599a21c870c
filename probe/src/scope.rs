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
//! that entered it through a [`ScopeHandle`]; all else that runs at the same time does not. So tests
//! may run in parallel, each with its own scope. The first scope of a process starts a recording in
//! its memory; judging reads the records that are committed by then, while other tests go on.
//!
//! An assertion that fails panics with the story, saves the trace and ends with the command to look at
//! it. Where records were lost that could have changed the answer, it fails as inconclusive.

use std::fmt::Write as _;
use std::panic::Location;
use std::path::PathBuf;

use traces::finding::{RuleId, Verdict};
use traces::{Input, Trace};
use wire::payload::pair;
use wire::record::Kind;

use crate::recorder;

/// Chunks of a recording that a scope starts: the newest 32 MiB are kept.
const CHUNKS: u32 = if cfg!(miri) { 8 } else { 512 };

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
#[track_caller]
pub fn scope() -> Scope {
    let at = Location::caller();
    let started = recorder::start_in_process(CHUNKS);
    assert!(
        started,
        "probe::scope: no memory could be mapped for the recording"
    );
    let id = recorder::next_scope();
    let around = recorder::scope();
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("scope").to_owned();
    let words = [
        pair(id, recorder::site(at)),
        pair(recorder::text(&name), around),
    ];
    recorder::record(Kind::ScopeBegin, 0, 0, words);
    recorder::enter_scope(id);
    Scope {
        id,
        around,
        name,
        at,
        open: true,
        _thread: std::marker::PhantomData,
    }
}

/// What happens between [`scope`] and the assertion. Dropping it asserts that it was clean, unless the
/// thread is panicking already: then only the trace is saved.
#[must_use = "a scope that is dropped at once has seen nothing"]
#[derive(Debug)]
pub struct Scope {
    id: u32,
    around: u32,
    name: String,
    at: &'static Location<'static>,
    open: bool,
    // Ends on the thread that opened it, whose scope it was.
    _thread: std::marker::PhantomData<*const ()>,
}

/// A scope for other threads to work in.
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
    pub fn assert_clean(mut self) {
        self.judge(None);
    }

    /// Ends the scope with a finding that must be there.
    pub fn expect(self, rule: Rule) -> Expectation {
        Expectation { scope: self, rule }
    }

    fn end(&mut self) {
        self.open = false;
        recorder::record(Kind::ScopeEnd, 0, 0, [u64::from(self.id)]);
        recorder::enter_scope(self.around);
    }

    #[track_caller]
    fn judge(&mut self, expected: Option<(Rule, usize)>) {
        self.end();
        let Some(bytes) = recorder::snapshot() else {
            panic!("probe::scope: the recording is gone");
        };
        let inputs = [Input {
            name: &self.name,
            bytes: &bytes,
        }];
        let trace = match Trace::read(&inputs) {
            Ok(trace) => trace,
            Err(error) => panic!("probe::scope: the recording cannot be read: {error}"),
        };
        let verdict = trace.verdict_for_scope(0, self.id);
        let as_expected = match expected {
            None => verdict.stories.is_empty(),
            Some((rule, times)) => {
                let headed = |story: &&traces::finding::Story| story.head.rule == rule.id();
                let found: u64 = verdict
                    .stories
                    .iter()
                    .filter(headed)
                    .map(|story| story.head.count)
                    .sum();
                found == times as u64 && verdict.stories.iter().all(|story| headed(&story))
            }
        };
        let conclusive = !verdict.stories.is_empty()
            || verdict.outcome() != traces::finding::Outcome::CannotTell;
        if as_expected && conclusive {
            return;
        }
        let text = self.explain(&trace, &verdict, expected, conclusive, &bytes);
        panic!("{text}");
    }

    fn explain(
        &self,
        trace: &Trace,
        verdict: &Verdict,
        expected: Option<(Rule, usize)>,
        conclusive: bool,
        bytes: &[u8],
    ) -> String {
        let mut text = String::new();
        let stories: u64 = verdict.stories.iter().map(|story| story.head.count).sum();
        // Writing to a string cannot fail.
        let _ = match (expected, stories, conclusive) {
            (_, _, false) => write!(text, "inconclusive: records were lost"),
            (Some((rule, times)), _, _) => {
                write!(
                    text,
                    "expected {rule:?} {times} times and nothing else, found {stories}"
                )
            }
            (None, 1, _) => write!(text, "1 finding"),
            (None, _, _) => write!(text, "{stories} findings"),
        };
        let _ = writeln!(text, " in `{}` (scope opened at {})", self.name, self.at);
        for story in &verdict.stories {
            for line in traces::report::story_lines(trace, story, WIDTH) {
                let _ = writeln!(text, "{}", line.text);
            }
        }
        for question in &verdict.cannot_tell {
            let _ = writeln!(text, "{}: {}", question.rule, question.message);
        }
        match save(&self.name, bytes) {
            Ok(path) => {
                let path = path.display();
                let _ = writeln!(text, "trace: {path}");
                if let Some(story) = verdict.stories.first() {
                    let _ = writeln!(text, "view:  tracer view {path} --goto {}", story.head.rule);
                }
            }
            Err(error) => {
                let _ = writeln!(text, "the trace could not be saved: {error}");
            }
        }
        text
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        if !std::thread::panicking() {
            self.judge(None);
            return;
        }
        self.end();
        if let Some(path) = recorder::snapshot().and_then(|bytes| save(&self.name, &bytes).ok()) {
            eprintln!("the trace of this test: {}", path.display());
        }
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
    pub fn times(mut self, count: usize) {
        let rule = self.rule;
        self.scope.judge(Some((rule, count)));
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
