//! A future is dropped while its operation is in flight, and takes its state back from the kernel.
//!
//! Two timers race; the slower one is dropped. Its ticket is reclaimed at once, so it is free for the
//! next timer, while the kernel still has its address. When the dropped timer fires, its completion
//! finds the ticket and resumes whoever has it now. Without the mistake the drop asks for
//! cancellation, and the ticket stays taken until the kernel has answered.

use std::io;
use std::time::Duration;

use super::{Context, Outcome, Report};
use crate::fault::Fault;
use crate::race::race;
use crate::runtime::{Config, Runtime};

const FAST: Duration = Duration::from_millis(10);
const SLOW: Duration = Duration::from_millis(40);
const NEXT: Duration = Duration::from_millis(100);

pub(super) fn run(context: &Context) -> io::Result<Outcome> {
    let report = Report::default();
    let config = Config {
        ring: context.ring,
        entries: 8,
        seed: context.seed,
        fault: (!context.fixed).then_some(Fault::ReclaimedOnDrop),
    };
    let inside = report.clone();
    let ((), tally) = Runtime::run(config, |runtime| main(runtime, inside))?;
    Ok(report.outcome(context, tally))
}

async fn main(runtime: Runtime, report: Report) {
    race(runtime.sleep(FAST), runtime.sleep(SLOW)).await;
    report.say("the faster timer won, the slower one was dropped");
    runtime
        .spawn("the next timer", next(runtime.clone(), report))
        .await;
}

async fn next(runtime: Runtime, report: Report) {
    let start = runtime.now();
    runtime.sleep(NEXT).await;
    report.fired("the next timer", start, NEXT, runtime.now());
}
