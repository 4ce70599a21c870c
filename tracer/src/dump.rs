//! `tracer dump`: the events of a trace as text, one a line, for `grep`, `less` and `diff`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use traces::Trace;
use traces::event::Event;
use traces::filter::Filter;

use crate::args::Dump;
use crate::exit::{CLEAN, Exit, Failure};
use crate::open;
use crate::progress::Progress;
use crate::symbols;

/// The command.
pub(crate) fn run(args: &Dump) -> Result<Exit, Failure> {
    let outputs: Vec<&Path> = args.output.as_deref().into_iter().collect();
    crate::outputs::apart(&outputs, &[&args.file])?;
    let mut trace = open::read(&args.file)?;
    open::tell_problems(&trace);
    symbols::name(&mut trace, &args.names.places());
    match &args.output {
        None => write(&trace, &args.filter, &mut io::stdout().lock(), |_| {})?,
        Some(path) => {
            let shown = crate::safe::path(path);
            let progress = Progress::new(shown.clone());
            let total = trace.events().len() as u64;
            let told = |done| progress.show("writing", done, total);
            let mut file = File::create(path).with_context(|| format!("cannot write {shown}"))?;
            write(&trace, &args.filter, &mut file, told)
                .with_context(|| format!("cannot write {shown}"))?;
        }
    }
    Ok(Exit::Code(CLEAN))
}

fn write(
    trace: &Trace,
    filter: &Filter,
    out: &mut impl Write,
    mut told: impl FnMut(u64),
) -> io::Result<()> {
    let filter = filter.prepare(trace);
    let mut out = BufWriter::with_capacity(1 << 16, out);
    for (at, event) in (0..).zip(trace.events()) {
        if filter.event(trace, event) {
            writeln!(out, "{}", line(trace, event))?;
        }
        if at % 4096 == 0 {
            told(at);
        }
    }
    out.flush()
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
