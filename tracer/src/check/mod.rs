//! `tracer check`: the verdict over traces, for people and machines, and as an exit code.

pub(crate) mod reports;

use std::io;
use std::path::Path;

use traces::Trace;
use traces::selection::Selection;

use crate::args::{Check, Color};
use crate::exit::{CANNOT_LOOK, CANNOT_TELL, CLEAN, Exit, FINDINGS, Failure};
use crate::symbols;
use crate::{open, page, talk};
use reports::Out;

/// The command. Each file is judged for itself; one that cannot be read does not stop the others.
pub(crate) fn run(args: &Check, color: Color) -> Result<Exit, Failure> {
    let inputs: Vec<&Path> = args.files.iter().map(|file| file.as_path()).collect();
    crate::outputs::apart(&args.reports.files(), &inputs)?;
    let mut out = Out::new(&args.reports, color, args.files.len() > 1)?;
    let mut worst = CLEAN;
    for file in &args.files {
        let code = match judge(file, args) {
            Ok((trace, selection)) => {
                out.add(file, &trace, &selection)?;
                selection.verdict.exit_code()
            }
            Err(error) => {
                out.add_unreadable(file, &format!("{error:#}"))?;
                talk::error(&error);
                CANNOT_LOOK
            }
        };
        worst = worse(worst, code);
    }
    out.finish()?;
    Ok(Exit::Code(worst))
}

fn judge(file: &Path, args: &Check) -> anyhow::Result<(Trace, Selection)> {
    // A filter may ask for any event.
    let mut trace = match args.filter.is_empty() {
        true => open::check(file)?,
        false => open::read(file)?,
    };
    symbols::name(&mut trace, &args.names.places());
    let mut selection = Selection::all(&trace);
    if !args.filter.is_empty() {
        selection.filter(&trace, &args.filter.prepare(&trace));
    }
    Ok((trace, selection))
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
