//! A trace that is still read, or still written: what is known of that, and what is to be done with it.

use std::time::Duration;

use traces::finding::RuleId;

use crate::Goto;

/// Seconds after which what is shown of a recording that goes on is said to be old.
const OLD_S: u64 = 4;

/// What there is besides a whole trace.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// The first reading, while it is under way: nothing is there to look at yet.
    pub reading: Option<Reading>,
    /// The recording that is looked on, where it is one.
    pub watched: Option<Watched>,
    /// How old what is shown of it is, in seconds.
    pub(crate) age_s: u64,
    /// Whether the screen stays as it is while the recording goes on.
    pub is_paused: bool,
    /// Whether the user is being asked what becomes of the program.
    pub asks: bool,
    /// Whether what is shown is to stay in the terminal then.
    pub prints: bool,
    /// Where to go once there is a trace.
    pub(crate) goto: Option<Goto>,
    /// What to run once there is a trace.
    pub(crate) script: Vec<String>,
}

impl Live {
    /// Whether a program runs that this process started.
    pub fn has_program(&self) -> bool {
        let watched = self.watched.as_ref();
        watched.is_some_and(|watched| watched.is_ours && watched.is_running())
    }

    /// How old what is shown is, where a recording goes on and that is longer than a look usually takes: `12s old`.
    pub fn age(&self) -> Option<String> {
        let seconds = Some(self.age_s).filter(|age| *age >= OLD_S && self.is_running())?;
        Some(match seconds {
            0..100 => format!("{seconds}s old"),
            _ => format!("{} min old", seconds / 60),
        })
    }

    /// Whether the trace may still become another one.
    pub fn is_running(&self) -> bool {
        self.watched.as_ref().is_some_and(Watched::is_running)
    }

    /// Whether the trace is not whole yet, so that nothing shown is the last word.
    pub fn is_unfinished(&self) -> bool {
        let state = self.watched.as_ref().map(|watched| &watched.state);
        matches!(state, Some(State::Running | State::Sealing))
    }
}

/// How far the first reading has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What is being done: `reading`, `judging`. Safe for a terminal.
    pub doing: String,
    /// In a hundred; nothing where nobody knows.
    pub percent: Option<u8>,
    /// How long it will still take, where that can be told.
    pub left: Option<Duration>,
    /// What rules said so far, by rule, consequences not yet folded.
    pub found: Vec<(RuleId, u64)>,
}

impl Reading {
    /// As a sentence: `judging... 42%, about 3s left`.
    pub fn text(&self) -> String {
        let mut text = format!("{}...", self.doing);
        if let Some(percent) = self.percent {
            text.push_str(&format!(" {percent}%"));
        }
        if let Some(left) = self.left {
            text.push_str(&match left.as_secs() {
                0 => ", less than 1s left".to_owned(),
                seconds @ 1..=99 => format!(", about {seconds}s left"),
                seconds => format!(", about {} min left", seconds.div_ceil(60)),
            });
        }
        text
    }
}

/// A recording that is looked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// What became of it.
    pub state: State,
    /// Whether this process started the program, so that it can end it.
    pub is_ours: bool,
    /// Where what the program prints can be read, safe for a terminal.
    pub output: Option<String>,
}

impl Watched {
    /// Whether somebody may still write.
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }
}

/// What became of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Running,
    /// The program has ended, and the trace is made whole.
    Sealing,
    /// The trace is whole, or at least nobody writes it any more; what became of the program, as the rest of a
    /// sentence, safe for a terminal.
    Ended(String),
}
