//! What one test came to under one tool: a cell of the table.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The short answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// It ended in order, and the tool reported nothing.
    Passed,
    /// It failed, or the tool reported something.
    Failed,
    /// Records were lost, so that the tool could not tell.
    CannotTell,
    /// The tool cannot run what the test does.
    Unsupported,
    /// There was nothing for the tool to look at.
    Nothing,
}

impl Status {
    /// As the table shows it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "FAIL",
            Self::CannotTell => "?",
            Self::Unsupported => "n/a",
            Self::Nothing => "-",
        }
    }

    /// Of two answers about the same test the one that counts.
    pub(super) fn worse(self, other: Self) -> Self {
        let weight = |status| match status {
            Self::Nothing => 0,
            Self::Passed => 1,
            Self::Unsupported => 2,
            Self::CannotTell => 3,
            Self::Failed => 4,
        };
        if weight(other) > weight(self) {
            other
        } else {
            self
        }
    }
}

/// Something that a tool, or the test itself, reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What it was, in the reporter's words.
    pub(crate) what: String,
    /// The first place in the program's own code, as `path:line` with perhaps a column.
    pub(crate) at: Option<String>,
}

impl Report {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            at: None,
        }
    }
}

/// A test, by the binary that it is in and its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Id {
    /// Package, and binary where it has another name.
    pub(crate) suite: String,
    /// Empty where the whole program is meant.
    pub(crate) test: String,
}

/// A test under a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// Which test.
    #[serde(flatten)]
    pub(crate) id: Id,
    /// The answer.
    pub(crate) status: Status,
    /// What was reported, the first thing first.
    pub(crate) reports: Vec<Report>,
    /// How long it took.
    #[serde(deserialize_with = "seconds")]
    pub(crate) seconds: f64,
    /// What test and tool printed.
    pub(crate) log: Option<PathBuf>,
    /// The trace.
    pub(crate) trace: Option<PathBuf>,
}

/// Longer than any test, and short enough to be added up.
const SECONDS_MAX: f64 = 1e9;

/// A cell may come through what a test printed, which can be anything.
fn seconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(f64::deserialize(from)?.clamp(0.0, SECONDS_MAX))
}

impl Cell {
    /// How long it took.
    pub(crate) fn time(&self) -> std::time::Duration {
        std::time::Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }
}
