//! `tracer dump`: the events of a trace as text, one a line, for `grep`, `less` and `diff`.

use std::io::{self, BufWriter, Write};

use traces::Trace;
use traces::event::Event;

use crate::args::Dump;
use crate::exit::{CLEAN, Exit, Failure};
use crate::open;
use crate::symbols;

/// The command.
pub(crate) fn run(args: &Dump) -> Result<Exit, Failure> {
    let mut trace = open::read(&args.file)?;
    open::tell_problems(&trace);
    symbols::name(&mut trace, &args.names.places());
    let filter = args.filter.prepare(&trace);
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    for event in trace
        .events()
        .iter()
        .filter(|event| filter.event(&trace, event))
    {
        writeln!(out, "{}", line(&trace, event))?;
    }
    out.flush()?;
    Ok(Exit::Code(CLEAN))
}

/// Number, time, thread, and what happened. A recording of several processes says which. A time that is
/// that of a batch has a `~`.
fn line(trace: &Trace, event: &Event) -> String {
    let (seconds, ns) = (event.at_ns / 1_000_000_000, event.at_ns % 1_000_000_000);
    let by_batch = trace.recording().is_by_batch(event.process);
    let seconds = format!("{}{seconds}", if by_batch { "~" } else { "" });
    let mut thread = trace.names().thread(event.lane);
    if let (2.., Some(process)) = (
        trace.recording().processes.len(),
        trace.recording().process(event.process),
    ) {
        thread = format!("{}/{thread}", process.pid);
    }
    // One word, so that columns can be counted.
    let thread = thread.replace(' ', "_");
    format!(
        "{:<8} {seconds:>4}.{ns:09} {thread:<16} {}",
        event.id.0,
        trace.describe(event)
    )
}
