//! `matrix`: the columns and what is run in them; and what it runs itself, which nobody types.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::matrix::{Dimensions, Tool, Wanted};

#[derive(Debug, Args)]
pub(crate) struct Matrix {
    /// The columns.
    #[arg(
        long,
        value_enum,
        value_name = "TOOLS",
        value_delimiter = ',',
        default_value = "plain,asan,tsan,memcheck,tracer"
    )]
    pub(crate) with: Vec<Tool>,

    /// More dimensions: `features=default,all,a+b × profile=dev,release`; a lone `x` will do for `×`.
    ///
    /// Features are `default`, `all`, `none`, or names with `+` between them (`none+a`: `a` without the
    /// default ones). `tool=…` takes the place of --with.
    #[arg(long, value_name = "DIMENSIONS", default_value = "", value_parser = dimensions, hide_default_value = true)]
    pub(crate) matrix: Dimensions,

    /// Also write the table to a file: `junit=FILE` or `json=FILE`; may be given twice.
    #[arg(long, value_name = "FORM=FILE")]
    pub(crate) report: Vec<Wanted>,

    /// How many tests run at the same time. Without it: as many as there are processors.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) jobs: Option<std::num::NonZeroU8>,

    /// A test that takes longer is ended, and fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) timeout: u64,

    /// Where target folders, logs and traces go, instead of cargo's target folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// The command and its arguments, after `--`.
    #[arg(required = true, last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct MatrixRun {
    /// In place of Miri.
    #[arg(long)]
    pub(crate) miri: bool,

    /// The program and its arguments.
    #[arg(last = true)]
    pub(crate) words: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct MatrixGroup {
    /// The program and its arguments.
    #[arg(last = true)]
    pub(crate) words: Vec<OsString>,
}

/// Nothing is no dimension.
fn dimensions(text: &str) -> Result<Dimensions, String> {
    if text.is_empty() {
        return Ok(Dimensions::default());
    }
    text.parse()
}
