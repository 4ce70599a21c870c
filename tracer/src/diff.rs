//! `tracer diff`: what changed from one trace to another.

use std::path::Path;

use traces::finding::Verdict;
use traces::stats::Stats;

use crate::args::{self, Color, Output};
use crate::exit::{CLEAN, Exit, FINDINGS, Failure};
use crate::{open, page, stats};

/// The command. Only one trace is held at a time.
pub(crate) fn run(args: &args::Diff, color: Color) -> Result<Exit, Failure> {
    let before = look(&args.before)?;
    let after = look(&args.after)?;
    let diff = traces::diff::diff((&before.0, &before.1), (&after.0, &after.1));
    match args.format {
        Output::Text => page::print(&traces::diff::lines(&diff, page::width()), color)?,
        Output::Json => stats::json(&diff)?,
    }
    Ok(Exit::Code(if diff.new.is_empty() {
        CLEAN
    } else {
        FINDINGS
    }))
}

fn look(file: &Path) -> Result<(Verdict, Stats), Failure> {
    let trace = open::read(file)?;
    open::tell_problems(&trace);
    Ok((trace.verdict().clone(), Stats::of(&trace)))
}
