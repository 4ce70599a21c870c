//! `demo`, and what it records, which nobody types.

use std::path::PathBuf;

use clap::Args;
use demo_runtime::ring::RingKind;

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Which program.
    #[arg(value_name = "SCENARIO", default_value = "leftover")]
    pub(crate) scenario: String,

    /// With the bug mended.
    #[arg(long)]
    pub(crate) fixed: bool,

    /// Print the verdict and end, also on a terminal.
    #[arg(long)]
    pub(crate) no_view: bool,

    /// Keep the trace in this file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// List the programs there are.
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scenario {
    /// Which program.
    pub(crate) name: String,

    /// With the bug mended.
    #[arg(long)]
    pub(crate) fixed: bool,

    /// Which ring it uses.
    #[arg(long)]
    pub(crate) ring: Option<RingKind>,

    /// For the simulated ring: another run.
    #[arg(long, default_value_t)]
    pub(crate) seed: u64,

    /// For `hammer`: the file that says how many records were made.
    #[arg(long)]
    pub(crate) ack: Option<PathBuf>,

    /// For `hammer`: how long; without it, for ever.
    #[arg(long)]
    pub(crate) seconds: Option<u64>,

    /// For `hammer`: a signal handler records too, into whatever the threads are doing.
    #[arg(long)]
    pub(crate) handler: bool,
}
