//! `tracer doctor`: what this machine allows, a line each, and what to do where it allows too little.
//!
//! Only looks: the one thing it makes is a recording folder, which it removes. Judging is apart from
//! looking, so that it can be tested with other machines' answers.
//!
//! Reading order: [`run`], then [`machine`], and [`program`] for `tracer doctor PROGRAM`.

use std::io::{self, Write};
use std::path::Path;

use crate::exit::{CLEAN, Exit, FINDINGS, Failure};

mod machine;
mod program;

/// How good an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Ok,
    /// Works, with a price or a limit.
    Warn,
    /// Something does not work.
    Fail,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    level: Level,
    subject: &'static str,
    text: String,
    /// What to do.
    fix: Option<String>,
}

impl Answer {
    fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            subject,
            text: text.into(),
            fix: None,
        }
    }

    fn warn(subject: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            subject,
            text: text.into(),
            fix: Some(fix.into()),
        }
    }

    fn fail(subject: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            ..Self::warn(subject, text, fix)
        }
    }
}

/// Asks everything and prints the answers; 1 where something does not work.
pub(crate) fn run(asked: Option<&Path>) -> Result<Exit, Failure> {
    let mut answers = machine::answers();
    match asked {
        Some(path) => answers.extend(program::answers(path)?),
        None => answers.push(Answer::ok(
            "stacks",
            "`tracer doctor PROGRAM` says whether `record --stacks` can follow its calls",
        )),
    }
    let mut out = io::stdout().lock();
    for answer in &answers {
        print(&mut out, answer)?;
    }
    let fails = answers.iter().any(|answer| answer.level == Level::Fail);
    Ok(Exit::Code(if fails { FINDINGS } else { CLEAN }))
}

fn print(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let level = match answer.level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Fail => "FAIL",
    };
    writeln!(out, "{level:4}  {:10}  {}", answer.subject, answer.text)?;
    match &answer.fix {
        Some(fix) => writeln!(out, "{:18}{fix}", ""),
        None => Ok(()),
    }
}
