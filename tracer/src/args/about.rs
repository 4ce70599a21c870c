//! What explains rules, this machine, the settings and the command line itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A rule by its number or name: `T02`, `t2`, `leftover-cookie`; or `filter`, `levels` or `keys`.
    #[arg(value_name = "RULE")]
    pub(crate) rule: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The path of a program to look at.
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,

    /// Of `cargo-tracer`, instead of `tracer`.
    #[arg(long)]
    pub(crate) cargo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder to write them to.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) what: ConfigWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigWhat {
    /// Print all settings, as a file would have them.
    Show {
        /// Say where each comes from.
        #[arg(long)]
        origin: bool,
    },
}
