//! `tracer check`: the verdict over traces as text, and as an exit code.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use traces::Trace;

use crate::args::Color;
use crate::exit::{CANNOT_LOOK, CANNOT_TELL, CLEAN, Exit, FINDINGS, Failure};
use crate::symbols::{self, Places};
use crate::{open, page, talk};

/// The command. Each file is judged for itself; one that cannot be read does not stop the others.
pub(crate) fn run(files: &[PathBuf], places: &Places, color: Color) -> Result<Exit, Failure> {
    let mut worst = CLEAN;
    for (index, file) in files.iter().enumerate() {
        if files.len() > 1 {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(io::stdout(), "{gap}{}:", crate::safe::path(file))?;
        }
        let code = match judge(file, places, color) {
            Ok(code) => code,
            Err(failure) => {
                talk::error(&failure.error);
                CANNOT_LOOK
            }
        };
        worst = worse(worst, code);
    }
    Ok(Exit::Code(worst))
}

fn judge(file: &Path, places: &Places, color: Color) -> Result<u8, Failure> {
    let mut trace = open::read(file)?;
    symbols::name(&mut trace, places);
    print(&trace, color)?;
    Ok(trace.verdict().exit_code())
}

/// Prints the verdict. Whoever stops reading still gets the exit code.
pub(crate) fn print(trace: &Trace, color: Color) -> Result<(), Failure> {
    match page::print(&traces::report::lines(trace, page::width()), color) {
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
