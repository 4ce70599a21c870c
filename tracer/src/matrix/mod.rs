//! `tracer matrix`: the same tests under every tool, merged into one table.
//!
//! The command is run once for each column. What makes a column is in the environment of that command:
//! toolchain, compiler flags, target folder, and this program as cargo's runner, which runs each test in a
//! process of its own under the tool and judges it by exit code and by what the tool reported.
//!
//! Reading order: [`tools`], [`variants`] (what a column can be), [`machine`] (what is here), [`plan`]
//! (how each is run), [`mod@run`] (running them), [`runner`] with [`libtest`] and [`verdict`] (the other end),
//! [`doctests`], [`stand_in`], [`cell`], [`table`], [`reports`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow, bail};

use crate::args::{Color, Matrix};
use crate::exit::{Exit, Failure};
use crate::rustflags::{self, Own};
use crate::{page, talk};

mod tools;
pub(crate) use tools::Tool;

mod variants;
pub(crate) use variants::Dimensions;

mod machine;

mod plan;
pub(crate) use plan::as_variable;
use plan::{Asked, Setting, Way};

mod run;

pub(crate) mod runner;

pub(crate) mod group;

pub(crate) mod libtest;

mod verdict;

mod doctests;

mod stand_in;

mod cell;

mod table;
use table::Table;

mod reports;
pub(crate) use reports::Wanted;

/// The command.
pub(crate) fn run(args: &Matrix, color: Color) -> Result<Exit, Failure> {
    let asked = Asked::new(&args.command).map_err(|why| anyhow!(why))?;
    let machine = machine::Machine::look(asked.toolchain.as_deref());
    let machine = match (machine, asked.way) {
        (Some(machine), _) => machine,
        (None, Way::Program) => machine::Machine {
            valgrind: machine::in_path("valgrind"),
            ..machine::Machine::default()
        },
        (None, _) => Err(anyhow!(
            "cannot run `rustc -vV`: the matrix builds with a Rust toolchain, and none is in PATH"
        ))?,
    };
    let outputs: Vec<&Path> = args.report.iter().map(Wanted::file).collect();
    crate::outputs::apart(&outputs, &[])?;
    let folder = folder(args.dir.as_deref(), asked.way)?;
    let _lock = lock(&folder)?;
    let tools = if args.matrix.tools.is_empty() {
        &args.with
    } else {
        &args.matrix.tools
    };
    let tools = without_repeats(tools);
    let own_flags = OwnFlags {
        options: rustflags::options(&asked.words),
        folder: folder.join("flags"),
        known: RefCell::default(),
    };
    let columns = plan::columns(
        &Setting {
            asked: &asked,
            machine: &machine,
            tools: &tools,
            folder: &folder,
            variable: &|name| std::env::var_os(name),
            flags: &|toolchain, target| own_flags.of(toolchain, target),
        },
        &args.matrix.variants(),
    );
    let runs = run::Runs {
        folder: &folder,
        way: asked.way,
        machine: &machine,
        at_once: args
            .jobs
            .map_or_else(processors, |jobs| usize::from(jobs.get())),
        timeout_seconds: args.timeout,
        leaks_apart: tools.contains(&Tool::Lsan),
    };
    let ran = runs.all(columns)?;
    let table = Table::new(&ran);
    let printed = page::print(&table.lines(), color);
    for wanted in &args.report {
        wanted.write(&table, &in_words(&args.command))?;
    }
    std::io::stderr().flush()?;
    talk::line(format_args!(
        "logs and traces are in {}",
        crate::safe::path(&folder)
    ));
    printed?;
    Ok(Exit::Code(table.exit_code()))
}

/// The project's own compiler flags, asked for once for each toolchain and target.
struct OwnFlags {
    options: Vec<OsString>,
    folder: PathBuf,
    known: RefCell<HashMap<Builds, Result<Own, String>>>,
}

/// A toolchain and a target.
type Builds = (Option<OsString>, String);

impl OwnFlags {
    fn of(&self, toolchain: Option<&OsStr>, target: &str) -> Result<Own, String> {
        let ask = || {
            let cargo = || {
                let mut cargo = Command::new("cargo");
                cargo.env("CARGO_BUILD_TARGET", target);
                if let Some(toolchain) = toolchain {
                    cargo.env("RUSTUP_TOOLCHAIN", toolchain);
                }
                cargo
            };
            Own::ask(&cargo, &self.options, &self.folder).map_err(|error| format!("{error:#}"))
        };
        let key = (toolchain.map(OsStr::to_owned), target.to_owned());
        let mut known = self.known.borrow_mut();
        known.entry(key).or_insert_with(ask).clone()
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn without_repeats(tools: &[Tool]) -> Vec<Tool> {
    let mut kept = Vec::new();
    for tool in tools {
        if !kept.contains(tool) {
            kept.push(*tool);
        }
    }
    kept
}

fn in_words(command: &[OsString]) -> String {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}

/// Where the matrix keeps target folders, logs and traces: in cargo's target folder.
fn folder(asked: Option<&Path>, way: Way) -> anyhow::Result<PathBuf> {
    let folder = match asked {
        Some(folder) => folder.to_path_buf(),
        None => target_folder(way)?.join("tracer-matrix"),
    };
    let folder = std::path::absolute(folder)?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", crate::safe::path(&folder)))?;
    Ok(folder)
}

/// Two at once would take each other's results away.
fn lock(folder: &Path) -> anyhow::Result<std::fs::File> {
    let shown = crate::safe::path(folder);
    let file = std::fs::File::create(folder.join("lock"))
        .with_context(|| format!("cannot write into {shown}"))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).with_context(
        || format!("another matrix runs in {shown}; `--dir DIR` names another place"),
    )?;
    Ok(file)
}

/// The target folder that cargo would use here.
fn target_folder(way: Way) -> anyhow::Result<PathBuf> {
    let metadata = Command::new("cargo")
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .output();
    let metadata = metadata.ok().filter(|output| output.status.success());
    let parsed = metadata
        .and_then(|output| serde_json::from_slice::<serde_json::Value>(&output.stdout).ok());
    match parsed
        .as_ref()
        .and_then(|value| value["target_directory"].as_str())
    {
        Some(path) => Ok(path.into()),
        None if !matches!(way, Way::Cargo { .. }) => Ok(PathBuf::from("target")),
        None => {
            bail!("no Cargo.toml here; run it in the folder of the package, or say `--dir DIR`")
        }
    }
}
