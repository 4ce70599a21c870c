//! `tracer view`: hands a trace to the viewer.

use traces::Trace;

use crate::args::View;
use crate::exit::{CLEAN, Exit, Failure};
use crate::open;

/// Where the viewer starts, and how it draws.
#[derive(Clone, Debug, Default)]
pub(crate) struct Start {
    /// A place as `--goto` names it.
    pub(crate) goto: Option<String>,
    /// ASCII only.
    pub(crate) ascii: bool,
}

/// The command.
pub(crate) fn run(args: View) -> Result<Exit, Failure> {
    let trace = open::read(&args.file)?;
    show(
        trace,
        &Start {
            goto: args.goto,
            ascii: args.ascii,
        },
    )
}

/// Shows a trace until the user ends the viewer.
pub(crate) fn show(_trace: Trace, _start: &Start) -> Result<Exit, Failure> {
    Ok(Exit::Code(CLEAN))
}
