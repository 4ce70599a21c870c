//! The gallery: correct programs, and programs with one mistake each.
//!
//! A scenario is an ordinary program on the runtime, and returns what its user would see, in plain
//! words. It judges nothing: that is what a trace is for.

mod double;
mod echo;
mod files;
mod forgotten;
#[expect(
    unsafe_code,
    reason = "a page shared with whoever watches the process die"
)]
mod hammer;
mod leftover;
mod report;
mod template;
mod wake;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use report::Report;

use crate::NotPermitted;
use crate::permission::io_uring_permitted;
use crate::ring::RingKind;
use crate::runtime::Tally;

/// How to run a scenario.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Without the mistake. Changes nothing in a correct scenario.
    pub fixed: bool,
    /// Which ring; without it, the first of the scenario's own.
    pub ring: Option<RingKind>,
    /// For the simulated ring.
    pub seed: u64,
    /// For `hammer`: the file that tells how many records each thread has completed.
    pub ack: Option<PathBuf>,
    /// For `hammer`: when to stop; without it, never.
    pub duration: Option<Duration>,
    /// For `hammer`: whether a signal handler records into whatever its threads are doing.
    pub handler: bool,
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What a user would see, a line each.
    pub lines: Vec<String>,
    /// On which ring.
    pub ring: RingKind,
    /// What the runtime counted.
    pub tally: Tally,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// One program of the gallery.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// The rule that flags it; none for a correct program.
    pub rule: Option<&'static str>,
    /// The rings it can run on, the usual one first.
    pub rings: &'static [RingKind],
    /// Not for people: left out of lists.
    pub hidden: bool,
    run: fn(&Context) -> io::Result<Outcome>,
}

/// Options as a scenario sees them: nothing left to choose.
struct Context {
    fixed: bool,
    ring: RingKind,
    seed: u64,
    ack: Option<PathBuf>,
    duration: Option<Duration>,
    handler: bool,
}

/// Why a scenario did not run, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No scenario has this name.
    #[error("no scenario is called {name:?}; there are {}", names())]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The scenario needs what this ring cannot do.
    #[error(
        "{scenario} cannot run on the ring {ring}; it can on {}",
        rings(scenario)
    )]
    WrongRing {
        /// Its name.
        scenario: &'static str,
        /// The ring that was asked for.
        ring: RingKind,
    },
    /// The kernel permits no ring.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// Something failed while it ran.
    #[error("{scenario}: {source}")]
    Failed {
        /// Its name.
        scenario: &'static str,
        /// What failed.
        source: io::Error,
    },
}

const REAL: &[RingKind] = &[RingKind::Crate, RingKind::InPlace];
const ALL: &[RingKind] = &[RingKind::Crate, RingKind::InPlace, RingKind::Simulated];
const IN_PLACE_FIRST: &[RingKind] = &[RingKind::InPlace, RingKind::Simulated, RingKind::Crate];

static SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "leftover",
        about: "an operation whose user_data nobody sets still holds an old pointer",
        rule: Some("T02"),
        rings: IN_PLACE_FIRST,
        hidden: false,
        run: leftover::run,
    },
    Scenario {
        name: "template",
        about: "an entry is pushed again, cookie and all, while it is in flight",
        rule: Some("T05"),
        rings: ALL,
        hidden: false,
        run: template::run,
    },
    Scenario {
        name: "double",
        about: "the loop dispatches one completion twice",
        rule: Some("T10"),
        rings: ALL,
        hidden: false,
        run: double::run,
    },
    Scenario {
        name: "forgotten",
        about: "a future dropped in flight takes its state back from the kernel",
        rule: Some("T07"),
        rings: ALL,
        hidden: false,
        run: forgotten::run,
    },
    Scenario {
        name: "echo",
        about: "correct: a TCP echo under load, hundreds of connections",
        rule: None,
        rings: REAL,
        hidden: false,
        run: echo::run,
    },
    Scenario {
        name: "files",
        about: "correct: files are written, read back and compared",
        rule: None,
        rings: REAL,
        hidden: false,
        run: files::run,
    },
    Scenario {
        name: "wake",
        about: "correct: another thread wakes a coroutine",
        rule: None,
        rings: REAL,
        hidden: false,
        run: wake::run,
    },
    Scenario {
        name: "hammer",
        about: "threads write records as fast as they can, until they are killed",
        rule: None,
        rings: REAL,
        hidden: true,
        run: hammer::run,
    },
];

/// All scenarios, hidden ones included.
pub fn scenarios() -> &'static [Scenario] {
    &SCENARIOS
}

/// Runs a scenario.
pub fn run(name: &str, options: &Options) -> Result<Outcome, Error> {
    let scenario = SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .ok_or_else(|| Error::Unknown {
            name: name.to_owned(),
        })?;
    scenario.run(options)
}

impl Scenario {
    /// Runs it.
    pub fn run(&self, options: &Options) -> Result<Outcome, Error> {
        let ring = options
            .ring
            .or(self.rings.first().copied())
            .unwrap_or(RingKind::Simulated);
        if !self.rings.contains(&ring) {
            return Err(Error::WrongRing {
                scenario: self.name,
                ring,
            });
        }
        if ring.is_real() && !self.hidden {
            io_uring_permitted()?;
        }
        let context = Context {
            fixed: options.fixed,
            ring,
            seed: options.seed,
            ack: options.ack.clone(),
            duration: options.duration,
            handler: options.handler,
        };
        if ring == RingKind::Simulated {
            probe::simulated::begin(options.seed);
        }
        (self.run)(&context).map_err(|source| Error::Failed {
            scenario: self.name,
            source,
        })
    }
}

fn names() -> String {
    let shown = SCENARIOS.iter().filter(|scenario| !scenario.hidden);
    shown
        .map(|scenario| scenario.name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn rings(name: &str) -> String {
    let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let rings = found.map_or(&[][..], |scenario| scenario.rings);
    rings
        .iter()
        .map(|ring| ring.name())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = run("nonsense", &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("leftover, template, double, forgotten, echo, files, wake"));
        assert!(!error.contains("hammer"));
    }

    #[test]
    fn a_ring_that_cannot_do_it_is_refused_with_those_that_can() {
        let options = Options {
            ring: Some(RingKind::Simulated),
            ..Options::default()
        };
        let error = run("echo", &options).unwrap_err().to_string();
        assert_eq!(
            error,
            "echo cannot run on the ring simulated; it can on crate, inplace"
        );
    }
}
