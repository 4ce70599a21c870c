//! An entry is kept as a template and pushed again, cookie and all, while its first time is in flight.
//!
//! A watchdog sets an alarm, and a second one a little later from the very same entry, which nobody
//! waits for. Two operations now carry one cookie, but only one handle was leaked: the first completion
//! takes it, and the second one takes the handle of whatever the ticket serves by then, here the pause
//! after the alarm.

use std::io;
use std::time::Duration;

use super::{Context, Outcome, Report};
use crate::fault::Fault;
use crate::operation::Operation;
use crate::request::Request;
use crate::runtime::{Config, Runtime};

const ALARM: Duration = Duration::from_millis(20);
const SECOND_ALARM: Duration = Duration::from_millis(150);
const PAUSE: Duration = Duration::from_millis(250);

pub(super) fn run(context: &Context) -> io::Result<Outcome> {
    let report = Report::default();
    let config = Config {
        ring: context.ring,
        entries: 8,
        seed: context.seed,
        fault: (!context.fixed).then_some(Fault::TemplateWithCookie),
    };
    let inside = report.clone();
    let (result, tally) = Runtime::run(config, |runtime| main(runtime, inside))?;
    result?;
    Ok(report.outcome(context, tally))
}

async fn main(runtime: Runtime, report: Report) -> io::Result<()> {
    let alarm = Operation::start(&runtime, Request::Timeout(ALARM.into()));
    let push = |first| runtime.driver().push_again(first, SECOND_ALARM);
    let second = alarm.ticket().map(push).transpose()?;
    alarm.await;
    report.say("the alarm went off");
    let start = runtime.now();
    runtime.sleep(PAUSE).await;
    report.fired("the pause after it", start, PAUSE, runtime.now());
    second
        .into_iter()
        .for_each(|second| runtime.driver().release(second));
    Ok(())
}
