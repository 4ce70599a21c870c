//! `dump`, `export`, `stats`, `diff` and `pack`: what else is made of traces.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use traces::filter::Filter;

use super::{Names, filter};

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// A recorded file, a `.trc` file or a recording folder; without it, `trace.bin` in this folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Only events that this asks for, as `kind:submit op:recv time:1ms..2ms`. See
    /// `tracer explain filter`.
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true, value_parser = filter)]
    pub(crate) filter: Filter,

    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// As text, which is the only form: others are `tracer export`'s.
    #[arg(long)]
    text: bool,

    #[command(flatten)]
    pub(crate) names: Names,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A recorded file, a `.trc` file or a recording folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// `perfetto` (for ui.perfetto.dev), `chrome` (JSON, which many viewers read) or `csv`.
    #[arg(long, value_name = "FORM")]
    pub(crate) to: crate::export::To,

    /// Only events that this asks for, and the operations that they belong to, as `ring:0 time:1ms..2ms`.
    /// See `tracer explain filter`.
    #[arg(long = "where", value_name = "FILTER", default_value = "", hide_default_value = true, value_parser = filter)]
    pub(crate) filter: Filter,

    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) names: Names,
}

/// What a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// One document, for scripts.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// A recorded file, a `.trc` file or a recording folder; without it, `trace.bin` in this folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// What to print: `text` or `json`.
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) format: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The trace from before.
    #[arg(value_name = "A")]
    pub(crate) before: PathBuf,

    /// The trace from now.
    #[arg(value_name = "B")]
    pub(crate) after: PathBuf,

    /// What to print: `text` or `json`.
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) format: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Pack {
    /// A recorded file, a `.trc` file or a recording folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The file to make. Without it: FILE with the ending `.packed.bin` or `.redacted.bin`.
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,

    /// Leave out what may identify a person or a machine.
    ///
    /// Absolute paths become `~1/conn.rs`, arguments of the command their number, names of threads, scopes,
    /// owners and named coroutines, and marks `text-1`; addresses, and cookies that can be addresses, are
    /// moved by one secret distance, so that they still match; lines of source are left out. Environment
    /// and host name are never recorded. What stays: names of types and functions, relative paths, times,
    /// process ids, build-ids, numbers of operations.
    #[arg(long)]
    pub(crate) redact: bool,

    #[command(flatten)]
    pub(crate) names: Names,
}
