//! Correct: another thread wakes a coroutine, through an eventfd that is read on the ring.

use std::io;
use std::thread;
use std::time::Duration;

use super::{Context, Outcome, Report};
use crate::runtime::{Config, Runtime};
use crate::signal::Signal;

const ROUNDS: u32 = 50;

pub(super) fn run(context: &Context) -> io::Result<Outcome> {
    let report = Report::default();
    let config = Config {
        ring: context.ring,
        entries: 8,
        seed: context.seed,
        fault: None,
    };
    let inside = report.clone();
    let (result, tally) = Runtime::run(config, |runtime| main(runtime, inside))?;
    result?;
    Ok(report.outcome(context, tally))
}

/// Ping and pong: each round the other thread is told to wake, and wakes.
async fn main(runtime: Runtime, report: Report) -> io::Result<()> {
    let (signal, remote) = Signal::new(&runtime)?;
    let (ask, asked) = std::sync::mpsc::channel::<()>();
    let waker = thread::spawn(move || {
        while asked.recv().is_ok() {
            remote.wake()?;
        }
        io::Result::Ok(())
    });
    let mut wakes = 0;
    for _ in 0..ROUNDS {
        let waiting = signal.wait();
        ask.send(()).map_err(io::Error::other)?;
        wakes += waiting.await?;
    }
    // And once more with nobody to wake it: the read is cancelled while in flight.
    let nobody = runtime
        .timeout(Duration::from_millis(1), signal.wait())
        .await;
    drop(ask);
    waker
        .join()
        .map_err(|_| io::Error::other("the waking thread panicked"))??;
    let end = if nobody.is_none() {
        "not once without"
    } else {
        "once more than"
    };
    report.say(format!(
        "woken {wakes} times by another thread, {end} its doing"
    ));
    Ok(())
}
