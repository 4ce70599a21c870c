//! The original bug: an operation whose `user_data` nobody sets.
//!
//! Three short timers warm the ring up, in slots 0, 1 and 2; the third ends first, so its ticket is free
//! first and is taken last: the pause of the main coroutine (slot 3) and timer A (slot 0) get the other
//! two, timer B (slot 1) gets this one. A and B wait. When the pause is over, timer C starts while the
//! main coroutine yields, and yielding nudges the loop with a NOP. The NOP's slot is 2 again, on its
//! second lap. Its cookie is forgotten, so the slot still holds the third short timer's: completed,
//! reclaimed, and by now the ticket of timer B. The NOP completes at once, and B is resumed long before
//! its time; when its own completion comes, B is resumed a second time.
//!
//! Four slots make this happen at once. With the thousands of a server, it happens under load.

use std::io;
use std::time::Duration;

use super::{Context, Outcome, Report};
use crate::fault::Fault;
use crate::runtime::{Config, Runtime};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn run(context: &Context) -> io::Result<Outcome> {
    let report = Report::default();
    let config = Config {
        ring: context.ring,
        entries: 4,
        seed: context.seed,
        fault: (!context.fixed).then_some(Fault::NudgeWithoutCookie),
    };
    let inside = report.clone();
    let ((), tally) = Runtime::run(config, |runtime| main(runtime, inside))?;
    Ok(report.outcome(context, tally))
}

async fn main(runtime: Runtime, report: Report) {
    let warm_up =
        [8, 4, 1].map(|after| runtime.spawn("warm-up", pause(runtime.clone(), ms(after))));
    for timer in warm_up {
        timer.await;
    }

    let timer = |name, after| {
        let body = timer(runtime.clone(), report.clone(), name, after);
        runtime.spawn(name, body)
    };
    let a = timer("timer A", ms(100));
    let b = timer("timer B", ms(150));
    runtime.sleep(ms(3)).await;

    let c = timer("timer C", ms(50));
    runtime.yield_now().await;

    for timer in [a, b, c] {
        timer.await;
    }
}

async fn pause(runtime: Runtime, after: Duration) {
    runtime.sleep(after).await;
}

async fn timer(runtime: Runtime, report: Report, name: &'static str, after: Duration) {
    let start = runtime.now();
    runtime.sleep(after).await;
    report.fired(name, start, after, runtime.now());
}
