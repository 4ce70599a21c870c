//! The loop dispatches one completion twice.
//!
//! A metronome counts its resumptions and takes each for a beat, as a coroutine with a stack of its own
//! would: `suspend()` returned, so what it waited for has happened. Resumed twice for one completion,
//! it counts a beat that never was.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::{Context, Outcome, Report};
use crate::fault::Fault;
use crate::runtime::{Config, Runtime};

const BEATS: u32 = 4;
const BEAT: Duration = Duration::from_millis(10);

pub(super) fn run(context: &Context) -> io::Result<Outcome> {
    let report = Report::default();
    let config = Config {
        ring: context.ring,
        entries: 8,
        seed: context.seed,
        fault: (!context.fixed).then_some(Fault::DispatchedTwice),
    };
    let inside = report.clone();
    let ((), tally) = Runtime::run(config, |runtime| async move {
        runtime
            .spawn("metronome", metronome(runtime.clone(), inside))
            .await;
    })?;
    Ok(report.outcome(context, tally))
}

async fn metronome(runtime: Runtime, report: Report) {
    let start = runtime.now();
    let mut beats = 0;
    let mut fired = 0;
    while beats < BEATS {
        let mut beat = pin!(runtime.sleep(BEAT));
        // Resumed: a beat, whether the timer agrees or not.
        let mut first = true;
        poll_fn(|context| {
            let ready = beat.as_mut().poll(context).is_ready();
            if !std::mem::take(&mut first) {
                beats += 1;
            }
            fired += u32::from(ready);
            if ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
    let took = (runtime.now() - start).as_millis();
    if fired == beats {
        report.say(format!("{beats} beats of {} ms", BEAT.as_millis()));
    } else {
        let asked = u128::from(BEATS) * BEAT.as_millis();
        report.say(format!(
            "{beats} beats of {} ms, and only {fired} of them were timers: {took} ms instead of {asked} ms",
            BEAT.as_millis(),
        ));
    }
}
