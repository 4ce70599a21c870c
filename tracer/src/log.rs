//! Where the diagnostics of `--log` go: to stderr, or to a file where the screen is taken.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Who else uses the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screen {
    /// Lines of text; diagnostics may stand between them.
    Lines,
    /// A viewer owns it all.
    Taken,
}

/// Starts logging if it was asked for.
pub(crate) fn start(filter: Option<&str>, screen: Screen) -> Result<()> {
    let Some(filter) = filter else { return Ok(()) };
    let filter = EnvFilter::try_new(filter)
        .context("`--log` takes a filter such as `info` or `tracer=debug`")?;
    match screen {
        Screen::Lines => install(filter, std::io::stderr),
        Screen::Taken => {
            let path = file_path()?;
            let shown = crate::safe::path(&path);
            let folder = path.parent().context("the log file has no folder")?;
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("cannot make the folder of {shown}"))?;
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&path)
                .with_context(|| format!("cannot write {shown}"))?;
            crate::talk::line(format_args!("diagnostics go to {shown}"));
            install(filter, Mutex::new(file));
        }
    }
    Ok(())
}

fn install<W>(filter: EnvFilter, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .without_time()
        .init();
}

fn file_path() -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .filter(|path| !path.is_empty())
        .map_or_else(
            || {
                let home =
                    std::env::var_os("HOME").context("neither XDG_STATE_HOME nor HOME is set")?;
                Ok::<_, anyhow::Error>(PathBuf::from(home).join(".local/state"))
            },
            |state| Ok(PathBuf::from(state)),
        )?;
    Ok(state
        .join("tracer/log")
        .join(format!("{}.log", std::process::id())))
}
