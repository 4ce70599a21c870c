//! `check`: how traces are judged, and how the verdict is told.

use std::path::PathBuf;

use clap::Args;
use traces::filter::Filter;

use super::{Names, filter};
use crate::check::reports::{Kind, To};
use crate::check::sieve::FailOn;

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Recorded files, `.trc` files or recording folders; without any, `trace.bin` in this folder.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) reports: Reports,

    /// Only findings that this asks for, as `severity:error not site:vendored`; the exit code too. See
    /// `tracer explain filter`.
    #[arg(long, value_name = "FILTER", default_value = "", hide_default_value = true, value_parser = filter)]
    pub(crate) filter: Filter,

    /// What makes it fail: a rule (`T02`), or the least severity (`error`) or confidence (`proved`) that
    /// does; may be given several times. Without it, every finding.
    #[arg(long, value_name = "WHAT")]
    pub(crate) fail_on: Vec<FailOn>,

    /// The exit code for findings, instead of 1.
    #[arg(long, value_name = "N")]
    pub(crate) error_exitcode: Option<u8>,

    /// Findings that this file holds are known: they are counted and not told.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// Write the findings that there are now, suppressed ones left out, to a file for --baseline.
    #[arg(long, value_name = "FILE")]
    pub(crate) write_baseline: Option<PathBuf>,

    /// Findings that this TOML file names are not told. Each `[[suppress]]` has a `reason`, what it covers
    /// (`rule`, `site`, `function`, `filter`) and perhaps `expires`, a day. Those without use are told.
    #[arg(long, value_name = "FILE")]
    pub(crate) suppressions: Option<PathBuf>,

    /// Add a suppression for each finding that is told to a file; the reasons are yours to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) gen_suppressions: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) names: Names,
}

/// Who is told.
#[derive(Debug, Args)]
pub(crate) struct Reports {
    /// What to print: `text`, `json`, `jsonl` (a finding a line), `sarif`, `junit`, `github` or `markdown`.
    #[arg(long, value_name = "FORM")]
    pub(crate) format: Option<Kind>,

    /// Another report from the same look at the traces, as `sarif=out.sarif`; may be given several times.
    ///
    /// The forms are those of --format; without a file, or with `-`, it is printed. `github` are the commands of a
    /// GitHub workflow, which make annotations; they may be printed beside the text, and where
    /// GITHUB_STEP_SUMMARY names a file, a summary in Markdown is added to it.
    #[arg(long, value_name = "FORM[=FILE]")]
    pub(crate) report: Vec<To>,

    /// Where paths of sources begin that reports tell: those below it are told relative to it. Without it,
    /// the current folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) source_root: Option<PathBuf>,
}
