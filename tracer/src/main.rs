//! The program `tracer`: from arguments to a command to an exit code. What the commands know lies in
//! the crates below; recording, opening files and exit codes are this crate's own.
//!
//! Files that hold `unsafe`: `record/clock.rs` (reads a register), `record/signals.rs` (a handler), `record/spawn.rs`
//! (between fork and exec).

#![deny(unsafe_code)]

mod args;

mod record;

mod check;
mod compare;
mod completions;
mod demo;
mod diff;
mod doctor;
mod dump;
mod explain;
mod export;
mod matrix;
mod open;
mod pack;
mod scenario;
mod sources;
mod stats;
mod symbols;
mod version;
mod view;
mod watch;

mod color;
mod editor;
mod exit;
mod log;
mod outputs;
mod page;
mod progress;
mod safe;
mod session;
mod talk;

use clap::Parser;

use args::{Cli, Command};
use exit::{Exit, Failure};
use log::Screen;

fn main() {
    let cli = Cli::try_parse().unwrap_or_else(|error| args::with_hint(error).exit());
    exit::finish(run(cli))
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let screen = match &cli.command {
        Command::View(_) => Screen::Taken,
        Command::Record(args) if args.view => Screen::Taken,
        _ => Screen::Lines,
    };
    log::start(cli.common.log.as_deref(), screen)?;
    match cli.command {
        Command::Record(args) => {
            let shows = args.view;
            let plan = record::Plan::from(args);
            if shows {
                watch::record(plan, cli.common.color)
            } else {
                record::run(&plan)
            }
        }
        Command::Check(args) => check::run(&args, cli.common.color),
        Command::View(args) => view::run(args, cli.common.color),
        Command::Dump(args) => dump::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Stats(args) => stats::run(&args, cli.common.color),
        Command::Diff(args) => diff::run(&args, cli.common.color),
        Command::Pack(args) => pack::run(&args),
        Command::Matrix(args) => matrix::run(&args, cli.common.color),
        Command::MatrixRun(args) => matrix::runner::run(args.words, args.miri),
        Command::Explain(args) => explain::run(args.rule.as_deref()),
        Command::Doctor(args) => doctor::run(args.program.as_deref()),
        Command::Demo(args) => demo::run(&args, cli.common.color),
        Command::Completions(args) => completions::run(args.shell),
        Command::Man(args) => completions::man(&args.dir),
        Command::Scenario(args) => scenario::run(args),
        Command::Symbolize(args) => symbols::child::run(&args),
    }
}
