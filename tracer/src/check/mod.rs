//! `tracer check`: the verdict over traces, for people and machines, and as an exit code.

mod baseline;
pub(crate) mod reports;
pub(crate) mod sieve;
pub(crate) mod suppress;
mod suppressions;

use std::io;
use std::path::Path;

use traces::Trace;
use traces::selection::Selection;

use crate::args::{Check, Color};
use crate::exit::{CANNOT_LOOK, CANNOT_TELL, CLEAN, Exit, FINDINGS, Failure};
use crate::symbols;
use crate::{open, page, talk};
use reports::Out;
use sieve::Sieve;

/// Which traces are told of in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// All.
    All,
    /// Those that are not clean; the others are counted.
    NotClean,
}

/// The command.
pub(crate) fn run(args: &Check, color: Color) -> Result<Exit, Failure> {
    run_over(args, color, Show::All)
}

/// Each file is judged for itself; one that cannot be read does not stop the others.
pub(crate) fn run_over(args: &Check, color: Color, show: Show) -> Result<Exit, Failure> {
    let inputs: Vec<&Path> = args.files.iter().map(|file| file.as_path()).collect();
    let mut outputs = args.reports.files();
    outputs.extend(args.write_baseline.as_deref());
    outputs.extend(args.gen_suppressions.as_deref());
    crate::outputs::apart(&outputs, &inputs)?;
    let mut sieve = Sieve::new(args)?;
    let mut out = Out::new(
        &args.reports,
        color,
        args.files.len() > 1 || show == Show::NotClean,
        show,
    )?;
    let mut worst = CLEAN;
    let mut is_whole = true;
    for file in &args.files {
        let code = match read(file, args) {
            Ok(trace) => {
                let selection = sieve.select(&trace);
                out.add(file, &trace, &selection)?;
                sieve.code(&trace, &selection)
            }
            Err(error) => {
                is_whole = false;
                out.add_unreadable(file, &format!("{error:#}"))?;
                talk::error(&error);
                CANNOT_LOOK
            }
        };
        worst = worse(worst, code);
    }
    out.finish()?;
    sieve.finish(is_whole)?;
    Ok(Exit::Code(match args.error_exitcode {
        Some(code) if worst == FINDINGS => code,
        _ => worst,
    }))
}

fn read(file: &Path, args: &Check) -> anyhow::Result<Trace> {
    // A filter may ask for any event, and reports tell whole lives.
    let needs_all = !args.filter.is_empty()
        || args.suppressions.is_some()
        || args.reports.format.is_some()
        || !args.reports.report.is_empty();
    let mut trace = if needs_all {
        open::read(file)?
    } else {
        open::check(file)?
    };
    symbols::name(&mut trace, &args.names.places());
    Ok(trace)
}

/// Prints the verdict. Whoever stops reading still gets the exit code.
pub(crate) fn print(trace: &Trace, selection: &Selection, color: Color) -> Result<(), Failure> {
    let lines = traces::report::lines_of(trace, selection, page::width());
    match page::print(&lines, color) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A finding outweighs all; a trace that could not be looked at outweighs one that left a question.
fn worse(one: u8, other: u8) -> u8 {
    let weight = |code| match code {
        CLEAN => 0,
        CANNOT_TELL => 1,
        FINDINGS => 3,
        _ => 2,
    };
    if weight(other) > weight(one) {
        other
    } else {
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_outweigh_what_could_not_be_read() {
        assert_eq!(worse(CLEAN, CANNOT_TELL), CANNOT_TELL);
        assert_eq!(worse(CANNOT_LOOK, CANNOT_TELL), CANNOT_LOOK);
        assert_eq!(worse(FINDINGS, CANNOT_LOOK), FINDINGS);
        assert_eq!(worse(CANNOT_TELL, FINDINGS), FINDINGS);
        assert_eq!(worse(CLEAN, CLEAN), CLEAN);
    }
}
