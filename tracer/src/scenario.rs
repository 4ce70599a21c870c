//! `tracer __scenario`: a built-in program, in a process of its own, so that `demo` can record it the
//! way any program is recorded.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use demo_runtime::Options;
use demo_runtime::ring::RingKind;

use crate::args::Scenario;
use crate::exit::{CLEAN, Exit, Failure};

/// The hidden command's name.
pub(crate) const NAME: &str = "__scenario";

/// Runs it, and prints what its user would see.
pub(crate) fn run(args: Scenario) -> Result<Exit, Failure> {
    let options = Options {
        fixed: args.fixed,
        ring: args.ring,
        seed: args.seed,
        ack: args.ack,
        duration: args.seconds.map(Duration::from_secs),
        handler: args.handler,
    };
    if options.ring != Some(RingKind::Simulated) {
        // Opens the recording before there is more than one thread: records that other threads make
        // meanwhile are lost and counted, and `hammer` is there to show that none is. The simulated
        // ring has a clock of its own, which must come first.
        probe::mark(&args.name);
    }
    let outcome = demo_runtime::run(&args.name, &options).context("the built-in program failed")?;
    io::stdout().write_all(outcome.to_string().as_bytes())?;
    Ok(Exit::Code(CLEAN))
}
