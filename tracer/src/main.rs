//! The program `tracer`: from arguments to a command to an exit code. What the commands know lies in
//! the crates below; recording, opening files and exit codes are this crate's own.
//!
//! Files that hold `unsafe`: `pages.rs` (an allocator), `record/budget.rs` (maps a word), `record/clock.rs` (reads a
//! register), `record/signals.rs` (a handler), `record/spawn.rs` (between fork and exec), `record/kernel/perf.rs` (perf
//! events).

#![deny(unsafe_code)]

mod args;
mod aside;
mod confined;

mod record;

mod cargo;

mod config;

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

mod clipboard;
mod color;
mod editor;
mod exit;
mod kept;
mod keymap;
mod log;
mod looks;
mod outputs;
mod page;
#[expect(unsafe_code, reason = "an allocator")]
mod pages;
mod progress;
mod rustflags;
mod safe;
mod session;
mod talk;

use std::ffi::OsString;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use cargo::CargoCli;
use exit::{Exit, Failure};
use log::Screen;

fn main() {
    record::survive_large_files();
    let mut words = std::env::args_os();
    let is_of_cargo = words.by_ref().nth(1).is_some_and(|word| word == "__cargo");
    if is_of_cargo {
        let words: Vec<_> = std::iter::once("cargo tracer".into())
            .chain(words)
            .collect();
        let end = words.iter().position(|word| word == "--");
        let (own, program) = words.split_at(end.unwrap_or(words.len()));
        let (of_cargo, top) = (CargoCli::command(), Cli::command());
        let own = config::apply_check(own.to_vec(), &of_cargo, &top)
            .unwrap_or_else(|error| exit::finish(Err(error.into())));
        exit::finish(run_for_cargo(CargoCli::parse_from(own), program.to_vec()));
    }
    let words = config::apply(std::env::args_os().collect(), &Cli::command())
        .unwrap_or_else(|error| exit::finish(Err(error.into())));
    let cli = args::parse(words).unwrap_or_else(|error| error.exit());
    exit::finish(run(cli))
}

/// As `cargo-tracer`, which becomes this program.
fn run_for_cargo(cli: CargoCli, program: Vec<OsString>) -> Result<Exit, Failure> {
    log::start(cli.common.log.as_deref(), Screen::Lines)?;
    cargo::run(cli, program)
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let screen = match &cli.command {
        Command::View(_) => Screen::Taken,
        Command::Record(args) if args.view => Screen::Taken,
        _ => Screen::Lines,
    };
    log::start(cli.common.log.as_deref(), screen)?;
    match cli.command {
        Command::Record(args) => record::command(args, cli.common.color),
        Command::Attach(args) => record::attach(&args),
        Command::Check(args) => check::run(&args, cli.common.color),
        Command::View(args) => view::run(args, cli.common.color),
        Command::Dump(args) => dump::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Stats(args) => stats::run(&args, cli.common.color),
        Command::Diff(args) => diff::run(&args, cli.common.color),
        Command::Pack(args) => pack::run(&args),
        Command::Matrix(args) => matrix::run(&args, cli.common.color),
        Command::MatrixRun(args) => matrix::runner::run(args.words, args.miri),
        Command::MatrixGroup(args) => Err(matrix::group::run(&args.words)),
        Command::Explain(args) => explain::run(args.rule.as_deref()),
        Command::Doctor(args) => doctor::run(args.program.as_deref()),
        Command::Config(args) => match args.what {
            args::ConfigWhat::Show { origin } => config::run(origin, &Cli::command()),
        },
        Command::Demo(args) => demo::run(&args, cli.common.color),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => completions::man(&args.dir),
        Command::Scenario(args) => scenario::run(args),
        Command::Symbolize(args) => symbols::child::run(&args),
        Command::Look => record::look(),
    }
}
