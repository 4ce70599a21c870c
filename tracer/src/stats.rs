//! `tracer stats`: numbers over a trace.

use std::io::{self, Write};

use traces::stats::{Stats, lines};

use crate::args::{self, Color, Output};
use crate::exit::{CLEAN, Exit, Failure};
use crate::{open, page};

/// The command.
pub(crate) fn run(args: &args::Stats, color: Color) -> Result<Exit, Failure> {
    let trace = open::read(&args.file)?;
    open::tell_problems(&trace);
    let stats = Stats::of(&trace);
    match args.format {
        Output::Text => page::print(&lines(&stats, page::width()), color)?,
        Output::Json => json(&stats)?,
    }
    Ok(Exit::Code(CLEAN))
}

/// Prints a document, indented.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    text.push('\n');
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
