//! The command line of `cargo tracer`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use traces::filter::Filter;

use crate::args::{Common, Reports, filter};
use crate::check::sieve::FailOn;

/// Builds with cargo, records what runs, and judges it.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-tracer",
    bin_name = "cargo tracer",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "What is built lies in target/tracer-build, apart from other builds: it has frame pointers and tables\n\
        of lines. The traces of the last run are in target/tracer-build/traces.\n\n\
        First steps:\n  \
        cargo tracer test                      all tests, recorded and judged\n  \
        cargo tracer test --nextest            with nextest: a trace for each test\n  \
        cargo tracer run --bin serve -- -p 80  a program\n  \
        tracer view target/tracer-build/traces/FILE"
)]
pub(crate) struct CargoCli {
    #[command(subcommand)]
    pub(super) verb: Verb,

    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the tests under the recorder and judge what was recorded.
    ///
    /// Options of this command come first, then those of `cargo test`. Traces without findings are counted, the others
    /// told. Exit codes: cargo's own where it is not 0 (a test failed: 101, with nextest 100), else those of
    /// `tracer check`: 0 no finding, 1 at least one, 2 could not look, 3 nothing was recorded or not all could be told.
    Test(Test),

    /// Run a program under the recorder and judge what was recorded.
    ///
    /// Options of this command come first, then those of `cargo run`. Exit codes: the program's own where it is not 0,
    /// else those of `tracer check`.
    Run(Judge),

    /// Run a program under the recorder, and judge nothing.
    ///
    /// The exit code is the program's; 3 where that is 0 and nothing was recorded.
    #[command(
        override_usage = "cargo tracer record [OPTIONS] [CARGO ARGS]... [-- ARGS OF THE PROGRAM]..."
    )]
    Record(Build),
}

#[derive(Debug, Args)]
#[command(override_usage = "cargo tracer test [OPTIONS] [CARGO ARGS]... [-- ARGS OF THE TESTS]...")]
pub(super) struct Test {
    /// Run the tests with nextest, each in a process and with a trace of its own.
    #[arg(long)]
    nextest: bool,

    #[command(flatten)]
    pub(super) judged: Judged,

    #[command(flatten)]
    pub(super) build: Build,
}

impl Test {
    pub(super) fn command(&self) -> &'static [&'static str] {
        if self.nextest {
            &["nextest", "run"]
        } else {
            &["test"]
        }
    }
}

#[derive(Debug, Args)]
#[command(
    override_usage = "cargo tracer run [OPTIONS] [CARGO ARGS]... [-- ARGS OF THE PROGRAM]..."
)]
pub(super) struct Judge {
    #[command(flatten)]
    pub(super) judged: Judged,

    #[command(flatten)]
    pub(super) build: Build,
}

/// How what was recorded is judged, as by `tracer check`.
#[derive(Debug, Args)]
pub(super) struct Judged {
    #[command(flatten)]
    pub(super) reports: Reports,

    /// Only findings that this asks for; see `tracer explain filter`.
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true, value_parser = filter)]
    pub(super) filter: Filter,

    /// What makes it fail: a rule (`T02`), the least severity (`error`) or confidence (`proved`).
    #[arg(long, value_name = "WHAT")]
    pub(super) fail_on: Vec<FailOn>,

    /// Findings that this file holds are known: they are counted and not told.
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,

    /// Findings that this TOML file names are not told: see `tracer check --help`.
    #[arg(long, value_name = "FILE")]
    pub(super) suppressions: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Build {
    /// End each program that takes longer, all tests of a file together: a lost wakeup is a hang. Its trace is
    /// written and judged all the same. With nextest a program is one test.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) timeout: Option<u64>,

    /// What cargo is to be told: `-p net --release`.
    #[arg(
        value_name = "CARGO ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(super) cargo: Vec<OsString>,
}
