//! The other end of the matrix: what cargo starts in place of each program that it has built.
//!
//! A test binary with the standard harness is asked for its tests, and each runs in a process of its own:
//! a tool that ends the process, or speaks at its end, then speaks of one test. Everything else runs as a
//! whole. What came of it is written to files, a cell each; test binaries end in order all the same, so
//! that cargo goes on to the next one.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::cell::{Cell, Id, Report, Status};
use super::libtest::{self, Ignored};
use super::tools::{MEMCHECK, Tool};
use super::verdict::{self, Ending, Seen};
use super::{doctests, group, stand_in};
use crate::exit::{Exit, Failure, TIMED_OUT};

/// The variable that names the job's file.
pub(super) const VARIABLE: &str = "TRACER_MATRIX_JOB";
/// In front of a cell that goes through rustdoc's output.
pub(super) const MARK: &str = "tracer-matrix: ";
/// Of a log, as much is looked at from its beginning, and from its end: what ended a test stands there.
pub(super) const LOG_PART: u64 = 8 << 20;

/// What a column asks of its runners.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) tool: Tool,
    /// Where cells, logs and traces go.
    pub(super) results: PathBuf,
    /// Places in the source below it are shown relative to it.
    pub(super) root: PathBuf,
    /// Cargo's target folder: what lies elsewhere was not built as a test or program.
    pub(super) target_folder: PathBuf,
    /// Tests at the same time.
    pub(super) at_once: usize,
    /// A test is ended after so long.
    pub(super) timeout_seconds: u64,
    /// For the tool's runtime.
    pub(super) environment: Vec<(String, String)>,
    /// The real Miri, where its place is taken.
    pub(super) miri: Option<PathBuf>,
}

/// A program of cargo's, and what it was to be run with.
struct Program {
    /// The words that start it; several under Miri.
    start: Vec<OsString>,
    arguments: Vec<OsString>,
    what: What,
    /// Package and binary.
    suite: String,
    /// Its source comes through stdin: an example under Miri.
    is_piped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// With the standard harness.
    Tests,
    /// A test with a harness of its own.
    OwnHarness,
    /// An example of the documentation: rustdoc looks at its end.
    Doctest,
    /// Anything else.
    Whole,
}

/// The hidden command: `words` is a program with its arguments, or what was to be said to Miri.
pub(crate) fn run(words: Vec<OsString>, is_miri: bool) -> Result<Exit, Failure> {
    let job = Job::from_environment()?;
    let program = if is_miri {
        let miri = job.miri.clone().context("the job names no Miri")?;
        // Miri is also the compiler of what it will run.
        if std::env::var_os("MIRI_BE_RUSTC").is_some() || !words.iter().any(|word| word == "--") {
            return Err(replace(Command::new(&miri).args(&words)));
        }
        Program::for_miri(miri, words)
    } else {
        Program::of_cargo(words, &job)?
    };
    if libtest::is_listing(&program.arguments) {
        let words = program.start[1..].iter().chain(&program.arguments);
        return Err(replace(Command::new(&program.start[0]).args(words)));
    }
    match program.what {
        What::Tests => {
            job.tests(&program)?;
            Ok(Exit::Code(0))
        }
        What::OwnHarness => {
            job.keep(&job.one(&program, "")?.0)?;
            Ok(Exit::Code(0))
        }
        What::Whole => {
            let (cell, ending) = job.one(&program, "")?;
            job.keep(&cell)?;
            Ok(exit(ending))
        }
        What::Doctest => job.doctest(&program),
    }
}

/// Becomes another program.
fn replace(command: &mut Command) -> Failure {
    let error = command.exec();
    let shown = crate::safe::os(command.get_program());
    anyhow!(error).context(format!("cannot run {shown}")).into()
}

fn exit(ending: Ending) -> Exit {
    match ending {
        Ending::Code(code) => Exit::Code(code.to_le_bytes()[0]),
        Ending::Signal(number) => Exit::Signal(number),
        Ending::TimedOut(_) => Exit::Code(124),
    }
}

impl Program {
    fn of_cargo(words: Vec<OsString>, job: &Job) -> Result<Self> {
        let mut words = words.into_iter();
        let file = words.next().context("there is no program to run")?;
        let arguments = words.collect();
        let path = Path::new(&file);
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let folder = path.parent().and_then(Path::file_name);
        let what = if !whole.starts_with(&job.target_folder) {
            What::Doctest
        } else if folder.is_some_and(|folder| folder == "deps") {
            let bytes = std::fs::read(path)
                .with_context(|| format!("cannot read {}", crate::safe::path(path)))?;
            if libtest::is_harness(&bytes) {
                What::Tests
            } else {
                What::OwnHarness
            }
        } else {
            What::Whole
        };
        let stem = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let binary = match (what, stem.rsplit_once('-')) {
            // Without the number that cargo gives each.
            (What::Tests | What::OwnHarness, Some((name, _))) => name.to_owned(),
            _ => stem,
        };
        Ok(Self {
            suite: suite(&binary),
            start: vec![file],
            arguments,
            what,
            is_piped: false,
        })
    }

    /// Miri's words are the compiler's, then `--`, then the program's.
    fn for_miri(miri: PathBuf, words: Vec<OsString>) -> Self {
        let end = words
            .iter()
            .rposition(|word| word == "--")
            .unwrap_or(words.len());
        let end = words[..end]
            .iter()
            .position(|word| word == "--")
            .unwrap_or(end);
        let (compiler, arguments) = words.split_at(end);
        let after = |name: &str| {
            let at = compiler.iter().position(|word| word == name)?;
            Some(compiler.get(at + 1)?.to_string_lossy().into_owned())
        };
        let binary = after("--crate-name").unwrap_or_default();
        let is_piped = compiler.iter().any(|word| word == "-");
        let what = if compiler.iter().any(|word| word == "--test") {
            What::Tests
        } else if is_piped || binary == "rust_out" || binary.starts_with("doctest_") {
            What::Doctest
        } else {
            What::Whole
        };
        let mut start = vec![miri.into_os_string()];
        start.extend_from_slice(compiler);
        start.push("--".into());
        Self {
            suite: suite(&binary),
            start,
            arguments: arguments.get(1..).unwrap_or_default().to_vec(),
            what,
            is_piped,
        }
    }
}

/// `package`, or `package::binary` where the binary has another name.
fn suite(binary: &str) -> String {
    match std::env::var("CARGO_PKG_NAME") {
        Ok(package) if package.replace('-', "_") == binary.replace('-', "_") => package,
        Ok(package) => format!("{package}::{binary}"),
        Err(_) => binary.to_owned(),
    }
}

impl Job {
    fn from_environment() -> Result<Self> {
        let path = std::env::var_os(VARIABLE)
            .with_context(|| format!("this is for `tracer matrix`, which sets {VARIABLE}"))?;
        let text = std::fs::read(&path)
            .with_context(|| format!("cannot read {}", crate::safe::os(&path)))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// A program that cargo did not build: a cell, kept.
    pub(super) fn whole(&self, words: &[OsString]) -> Result<()> {
        let name = Path::new(&words[0]).file_name().unwrap_or_default();
        let program = Program {
            start: vec![words[0].clone()],
            arguments: words[1..].to_vec(),
            what: What::Whole,
            suite: name.to_string_lossy().into_owned(),
            is_piped: false,
        };
        self.keep(&self.one(&program, "")?.0)
    }

    /// Each test of a binary in a process of its own.
    fn tests(&self, program: &Program) -> Result<()> {
        let names = match self.names(program) {
            Ok(names) => names,
            Err(error) => {
                let report = Report::new(format!("its tests cannot be listed: {error:#}"));
                return self.keep(&self.failed(program, report));
            }
        };
        let next = AtomicUsize::new(0);
        let work = || -> Result<()> {
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.keep(&self.one(program, name)?.0)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.at_once.min(names.len()))
                .map(|_| scope.spawn(work))
                .collect();
            workers.into_iter().try_for_each(|worker| {
                let end = worker.join();
                end.unwrap_or_else(|_| Err(anyhow!("a worker panicked")))
            })
        })
    }

    /// The tests that the arguments ask for.
    fn names(&self, program: &Program) -> Result<Vec<String>> {
        let list = |only_ignored: bool| -> Result<Vec<String>> {
            let output = Command::new(&program.start[0])
                .args(&program.start[1..])
                .args(libtest::to_list(&program.arguments, only_ignored))
                // What listing leaves behind is nobody's leak.
                .env("ASAN_OPTIONS", "detect_leaks=0")
                .env("LSAN_OPTIONS", "detect_leaks=0")
                .stdin(Stdio::null())
                .output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(anyhow!(
                    "{}: {}",
                    output.status,
                    traces::tty(said.lines().next().unwrap_or_default().as_bytes())
                ));
            }
            Ok(libtest::listed(&String::from_utf8_lossy(&output.stdout)))
        };
        match libtest::ignored(&program.arguments) {
            Ignored::Too => list(false),
            Ignored::Only => list(true),
            Ignored::No => {
                let ignored = list(true)?;
                let mut names = list(false)?;
                names.retain(|name| !ignored.contains(name));
                Ok(names)
            }
        }
    }

    /// An example of the documentation: what came of it goes to rustdoc, which alone knows its name. A program with many
    /// of them comes back here for each: it gives its name to what that says.
    fn doctest(&self, program: &Program) -> Result<Exit, Failure> {
        if let [file] = &program.start[..]
            && std::env::var_os(doctests::ONE).is_none()
            && doctests::is_bundle(&std::fs::read(file).context("the examples")?)
        {
            let tracer = std::env::current_exe().context("cannot find this program")?;
            let one = self.results.join(self.stem(&Id {
                suite: "examples".to_owned(),
                test: String::new(),
            }));
            let words = [
                tracer.as_os_str(),
                "__matrix-run".as_ref(),
                "--".as_ref(),
                file,
            ];
            stand_in::write(&one, &words)?;
            let mut bundle = Command::new(file);
            bundle.args(&program.arguments).env(doctests::BUNDLE, one);
            return Err(replace(&mut bundle));
        }
        let (cell, ending) = self.one(program, "")?;
        if let Some(log) = &cell.log {
            std::io::stderr().write_all(&std::fs::read(log).context("the log of an example")?)?;
        }
        if cell.status == Status::Passed {
            return Ok(exit(ending));
        }
        // Rustdoc shows only what an example said that failed, so that is what anything but `ok` is to it.
        let line = serde_json::to_string(&cell).context("a cell")?;
        writeln!(std::io::stderr(), "{MARK}{line}")?;
        Ok(match exit(ending) {
            Exit::Code(0) => Exit::Code(1),
            other => other,
        })
    }

    /// Runs a test, or with an empty name the whole program, and judges it.
    fn one(&self, program: &Program, test: &str) -> Result<(Cell, Ending)> {
        let id = Id {
            suite: program.suite.clone(),
            test: test.to_owned(),
        };
        let stem = self.stem(&id);
        let log = self.results.join(format!("{stem}.txt"));
        let beside = self.results.join(format!("{stem}.memcheck"));
        let trace = self.results.join(format!("{stem}.bin"));
        let mut command = self.command(program, &beside, &trace)?;
        match test {
            "" => command.args(&program.arguments),
            test => command.args(libtest::to_run(&program.arguments, test)),
        };
        let mut command = group::of_its_own(&command)?;
        let output = File::create(&log)
            .with_context(|| format!("cannot write {}", crate::safe::path(&log)))?;
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(match program.is_piped {
                true => Stdio::inherit(),
                false => Stdio::null(),
            })
            .stdout(output.try_clone()?)
            .stderr(output);
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {}", crate::safe::os(&program.start[0])))?;
        let group = Pid::from_child(&child);
        let ending = match self.tool {
            // The recorder ends the program itself, and then writes the trace of the hang.
            Tool::Tracer => match wait(child, self.timeout_seconds.saturating_add(SEALING))? {
                Ending::Code(code) if code == i32::from(TIMED_OUT) => {
                    Ending::TimedOut(self.timeout_seconds)
                }
                other => other,
            },
            _ => wait(child, self.timeout_seconds)?,
        };
        if matches!(ending, Ending::TimedOut(_)) {
            group::end(group);
        }
        let text = text_of(&log);
        let (status, reports) = verdict::judge(&Seen {
            tool: self.tool,
            ending,
            output: &text,
            memcheck: &text_of(&beside),
            trace: (self.tool == Tool::Tracer).then_some(&trace),
            root: &self.root,
        });
        let cell = Cell {
            id,
            status,
            reports,
            seconds: started.elapsed().as_secs_f64(),
            log: Some(log),
            trace: trace.exists().then_some(trace),
        };
        Ok((cell, ending))
    }

    /// What starts the program under the tool.
    fn command(&self, program: &Program, beside: &Path, trace: &Path) -> Result<Command> {
        let mut command = match self.tool {
            Tool::Memcheck => {
                let mut command = Command::new("valgrind");
                let mut log = OsString::from("--log-file=");
                log.push(beside);
                command.args(MEMCHECK).arg(log);
                command
            }
            Tool::Tracer => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["record", "-o"]).arg(trace);
                command.arg(format!("--timeout={}", self.timeout_seconds));
                command.arg("--");
                command
            }
            _ => {
                let mut command = Command::new(&program.start[0]);
                command.args(&program.start[1..]);
                return Ok(command);
            }
        };
        command.args(&program.start);
        Ok(command)
    }

    fn failed(&self, program: &Program, report: Report) -> Cell {
        Cell {
            id: Id {
                suite: program.suite.clone(),
                test: String::new(),
            },
            status: Status::Failed,
            reports: vec![report],
            seconds: 0.0,
            log: None,
            trace: None,
        }
    }

    /// A file name of its own for a test.
    fn stem(&self, id: &Id) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        };
        let name: String = format!("{} {}", id.suite, id.test)
            .chars()
            .map(plain)
            .take(120)
            .collect();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{}-{}-{number}", name.trim_matches('_'), std::process::id())
    }

    /// Writes a cell under another name first: the column counts them while they come.
    pub(super) fn keep(&self, cell: &Cell) -> Result<()> {
        let path = self.results.join(format!("{}.cell", self.stem(&cell.id)));
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, serde_json::to_vec(cell)?)
            .and_then(|()| std::fs::rename(&unfinished, &path))
            .with_context(|| format!("cannot write {}", crate::safe::path(&path)))
    }
}

/// How long a program that was asked to end may take.
const GRACE: Duration = Duration::from_secs(10);
/// Seconds that a recorder may take beyond its program to write the trace, on a machine that has other things to do.
const SEALING: u64 = 600;

/// Waits for the end, and brings it about when it takes too long: first by asking; what does not hear is killed.
fn wait(mut child: Child, seconds: u64) -> Result<Ending> {
    if let Some(status) = ended_within(&mut child, Duration::from_secs(seconds))? {
        return Ok(match status.signal() {
            Some(number) => Ending::Signal(number),
            None => Ending::Code(status.code().unwrap_or(0)),
        });
    }
    // Fails only where it has ended meanwhile.
    let _ = rustix::process::kill_process(Pid::from_child(&child), Signal::TERM);
    if ended_within(&mut child, GRACE)?.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(Ending::TimedOut(seconds))
}

/// How it ended, if it did so in time.
fn ended_within(child: &mut Child, time: Duration) -> Result<Option<ExitStatus>> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || began.elapsed() >= time {
            return Ok(ended);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn text_of(path: &Path) -> String {
    // What cannot be read has nothing to say.
    ends_of(path, LOG_PART).unwrap_or_default()
}

/// The beginning and the end of a text that is longer than two parts, and how much lies between.
pub(super) fn ends_of(path: &Path, part: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    Read::take(&file, part).read_to_end(&mut bytes)?;
    let len = file.metadata()?.len();
    if len > part {
        let from = len.saturating_sub(part).max(part);
        if from > part {
            let left_out = from - part;
            bytes.extend(format!("\n[{left_out} bytes left out here]\n").into_bytes());
        }
        file.seek(SeekFrom::Start(from))?;
        // Not further than it was long: somebody may still write to it.
        Read::take(file, len - from).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_both_ends_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            ends_of(&path, 4).unwrap()
        };
        assert_eq!(read("abc"), "abc");
        assert_eq!(read("abcdefgh"), "abcdefgh");
        assert_eq!(read("abcdefghi"), "abcd\n[1 bytes left out here]\nfghi");
        assert_eq!(text_of(Path::new("/nowhere/log")), "");
    }
}
