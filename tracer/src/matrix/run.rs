//! Runs the columns, one after the other, and tells on stderr how far it has come.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cell::{Cell, Id, Report, Status};
use super::doctests;
use super::machine::Machine;
use super::plan::{self, Build, Column, Way};
use super::runner::{self, Job};
use super::stand_in;
use super::tools::Tool;
use crate::talk;

/// A column that was run, or skipped.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) tool: Tool,
    pub(super) name: String,
    /// Cells, or why it was skipped.
    pub(super) outcome: Result<Vec<Cell>, String>,
    pub(super) seconds: f64,
    /// What to know of it.
    pub(super) remark: Option<String>,
}

/// What is the same for all columns.
pub(super) struct Runs<'a> {
    pub(super) folder: &'a Path,
    pub(super) way: Way,
    pub(super) machine: &'a Machine,
    pub(super) at_once: usize,
    pub(super) timeout_seconds: u64,
    /// Leaks have a column of their own.
    pub(super) leaks_apart: bool,
}

impl Runs<'_> {
    /// Runs all.
    pub(super) fn all(&self, columns: Vec<Column>) -> Result<Vec<Ran>> {
        let count = columns.len();
        let mut ran = Vec::new();
        for (index, column) in columns.into_iter().enumerate() {
            let progress = Progress::new(format!("[{}/{count}] {}", index + 1, column.name));
            let started = Instant::now();
            let mut remark = column.tool.remark().map(str::to_owned);
            let outcome = match &column.build {
                Err(why) => {
                    progress.end(&format!("skipped: {why}"));
                    Err(why.clone())
                }
                Ok(build) => {
                    let mut cells = self.one(&column, build, &progress)?;
                    if column.tool == Tool::Ubsan && !has_c_parts(&build.target_folder) {
                        remark = Some(
                            "no C or C++ part was built: there was nothing for it to look at"
                                .to_owned(),
                        );
                        let passed = cells
                            .iter_mut()
                            .filter(|cell| cell.status == Status::Passed);
                        passed.for_each(|cell| cell.status = Status::Nothing);
                    }
                    progress.end(&in_words(&cells));
                    Ok(cells)
                }
            };
            ran.push(Ran {
                tool: column.tool,
                name: column.name,
                outcome,
                seconds: started.elapsed().as_secs_f64(),
                remark,
            });
        }
        Ok(ran)
    }

    fn one(&self, column: &Column, build: &Build, progress: &Progress) -> Result<Vec<Cell>> {
        let results = self.folder.join(column.name.replace('/', "."));
        renew(&results)?;
        let job = Job {
            tool: column.tool,
            results: results.clone(),
            root: std::env::current_dir()?,
            target_folder: build.target_folder.clone(),
            at_once: self.at_once,
            timeout_seconds: self.timeout_seconds,
            environment: self.environment(column.tool),
            miri: self
                .machine
                .nightly
                .as_ref()
                .and_then(|nightly| nightly.miri.clone()),
        };
        if self.way == Way::Program {
            job.whole(&build.command)?;
            return cells(&results);
        }
        let job_file = results.join("job");
        std::fs::write(&job_file, serde_json::to_vec(&job)?)?;
        let log = results.join("command.txt");
        let status = command(build, &job_file, &results, &log)?;
        let status = watch(status, || progress.show(&counted(&results)))?;
        let text = runner::ends_of(&log, runner::LOG_PART)?;
        let mut cells = cells(&results)?;
        let examples = doctests::cells(&text);
        // To rustdoc an example failed also where there was nothing to look at.
        let mut has_failed = examples.iter().any(|cell| cell.status != Status::Passed);
        cells.extend(examples);
        has_failed |= cells.iter().any(|cell| cell.status == Status::Failed);
        if cells.is_empty()
            || (!status.success() && !has_failed)
            || text.contains("error: could not compile")
        {
            cells.push(of_the_command(status, cells.is_empty(), &text, log));
        }
        Ok(cells)
    }

    fn environment(&self, tool: Tool) -> Vec<(String, String)> {
        let Some((name, mut options)) = tool.runtime_options(self.leaks_apart) else {
            return Vec::new();
        };
        // Later ones win, and those are the user's.
        if let Ok(own) = std::env::var(name) {
            options = format!("{options}:{own}");
        }
        vec![(name.to_owned(), options)]
    }
}

/// The command with everything that makes it this column's; its output goes to `log`.
fn command(build: &Build, job: &Path, results: &Path, log: &Path) -> Result<std::process::Child> {
    let tracer = std::env::current_exe().context("cannot find this program")?;
    let shown = crate::safe::path(&tracer);
    // Cargo splits a runner at spaces.
    let Some(tracer) = tracer
        .to_str()
        .filter(|path| !path.contains(char::is_whitespace))
    else {
        bail!("{shown}: cargo cannot run what has a space in its path; copy `tracer` elsewhere");
    };
    let runner = format!("CARGO_TARGET_{}_RUNNER", plan::as_variable(&build.target));
    let output = File::create(log)?;
    let mut command = Command::new(&build.command[0]);
    command
        .args(&build.command[1..])
        .envs(build.environment.iter().map(|(name, value)| (name, value)))
        .env(runner::VARIABLE, job)
        .env_remove(crate::record::VARIABLE)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    if build.by_miri {
        // What cargo runs is no program then, and Miri's own runner knows it.
        command.env_remove(runner);
        let miri = results.join("miri");
        let words = [tracer, "__matrix-run", "--miri", "--"].map(OsStr::new);
        stand_in::write(&miri, &words)?;
        command.env("MIRI", miri);
    } else {
        command.env(runner, format!("{tracer} __matrix-run --"));
    }
    let shown = crate::safe::os(&build.command[0]);
    command
        .spawn()
        .with_context(|| format!("cannot run `{shown}`"))
}

fn renew(folder: &Path) -> Result<()> {
    let shown = crate::safe::path(folder);
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot clear {shown}"));
        }
        _ => {}
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {shown}"))
}

fn watch(mut child: std::process::Child, mut each: impl FnMut()) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        each();
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn cells(results: &Path) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for entry in std::fs::read_dir(results)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "cell") {
            cells.push(read_cell(&path)?);
        }
    }
    Ok(cells)
}

fn read_cell(path: &Path) -> Result<Cell> {
    let bytes =
        std::fs::read(path).with_context(|| format!("cannot read {}", crate::safe::path(path)))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not a result", crate::safe::path(path)))
}

/// The command itself as a cell: it failed though no test did, or it ran nothing.
fn of_the_command(status: ExitStatus, ran_nothing: bool, text: &str, log: PathBuf) -> Cell {
    let error = text
        .lines()
        .map(super::verdict::plain)
        .find(|line| line.starts_with("error"));
    let (status, what) = match (status.success(), error) {
        (false, Some(error)) => (Status::Failed, error),
        (false, None) => (Status::Failed, format!("the command ended with {status}")),
        (true, _) if ran_nothing => (
            Status::Nothing,
            "cargo ran no program; a program that is built already is named by its path".to_owned(),
        ),
        (true, _) => (Status::Failed, "something could not be built".to_owned()),
    };
    Cell {
        id: Id {
            suite: "(the command)".to_owned(),
            test: String::new(),
        },
        status,
        reports: vec![Report::new(what)],
        seconds: 0.0,
        log: Some(log),
        trace: None,
    }
}

/// Whether a build script left an object or an archive behind.
fn has_c_parts(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let path = entry.path();
        let is_part = path.extension().is_some_and(|end| end == "o" || end == "a");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => has_c_parts(&path),
            Ok(_) => is_part && path.components().any(|part| part.as_os_str() == "out"),
            Err(_) => false,
        }
    })
}

fn counted(results: &Path) -> String {
    let entries = std::fs::read_dir(results).into_iter().flatten().flatten();
    let ends = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "cell"));
    match ends.count() {
        0 => "building …".to_owned(),
        1 => "1 test …".to_owned(),
        many => format!("{many} tests …"),
    }
}

fn in_words(cells: &[Cell]) -> String {
    let count = |status| cells.iter().filter(|cell| cell.status == status).count();
    let parts = [
        (count(Status::Passed), "ok"),
        (count(Status::Failed), "failed"),
        (count(Status::CannotTell), "cannot tell"),
        (count(Status::Unsupported), "not possible"),
        (count(Status::Nothing), "with nothing to look at"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    parts.join(", ")
}

/// A line on stderr that is written over on a terminal, and else once.
struct Progress {
    name: String,
    started: Instant,
    is_terminal: bool,
}

impl Progress {
    fn new(name: String) -> Self {
        let progress = Self {
            name,
            started: Instant::now(),
            is_terminal: std::io::stderr().is_terminal(),
        };
        if !progress.is_terminal {
            talk::line(&progress.name);
        }
        progress
    }

    fn show(&self, what: &str) {
        if self.is_terminal {
            let seconds = self.started.elapsed().as_secs();
            // Nobody to talk to is no error.
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[Ktracer: {}: {what} {seconds} s",
                self.name
            );
        }
    }

    fn end(&self, what: &str) {
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
            talk::line(format_args!("{}: {what}", self.name));
        } else {
            talk::more(what);
        }
    }
}
