//! `cargo tracer test|run|record`: builds with what traces need, runs once with the recorder in place of
//! cargo's programs, and judges what was recorded.
//!
//! The build has a target folder of its own, so that its flags (frame pointers for call stacks, tables of lines
//! for places) never make cargo build anything twice elsewhere.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

mod args;
pub(crate) use args::CargoCli;
use args::{Build, Judged, Verb};

use crate::args::Color;
use crate::exit::{CANNOT_TELL, CLEAN, Exit, Failure};
use crate::matrix::as_variable;
use crate::record::started::{OUTPUT_DIR, RAN_FILE, TARGET_MARK};
use crate::rustflags::{self, Own};
use crate::{check, safe, talk};

/// In cargo's target folder.
const BUILD: &str = "tracer-build";
/// In that.
const TRACES: &str = "traces";
/// Tells a `cargo tracer` within what this one runs which folder is in use by it.
const LOCKED: &str = "TRACER_CARGO_LOCKED";

/// The command; `program` is what stands from `--` on.
pub(crate) fn run(cli: CargoCli, program: Vec<OsString>) -> Result<Exit, Failure> {
    let (command, build, judged) = match cli.verb {
        Verb::Test(test) => (test.command(), test.build, Some(test.judged)),
        Verb::Run(run) => (&["run"][..], run.build, Some(run.judged)),
        Verb::Record(build) => (&["run"][..], build, None),
    };
    let mut words = build.words(command);
    words.extend(program);
    let run = Run::new(words, build.timeout)?;
    let _lock = run.lock()?;
    run.renew_traces()?;
    let status = run.cargo()?;
    let own = match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code.to_le_bytes()[0]),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    };
    let traces = run.traces()?;
    if traces.is_empty() {
        match (run.has_run_programs(), status.success()) {
            (true, _) => talk::line(
                "nothing was recorded: no program used the probe or a ring that the shim could see; \
                 `tracer doctor` says what this machine allows, README.md how to adopt the probe",
            ),
            (false, true) => talk::line("cargo ran no program, so there is nothing to judge"),
            (false, false) => talk::line(format_args!(
                "cargo ended ({status}) before it ran a program: what it says above is why, and there is \
                 nothing to judge"
            )),
        }
        return Ok(match own {
            Exit::Code(CLEAN) => Exit::Code(CANNOT_TELL),
            failed => failed,
        });
    }
    let Some(judged) = judged else {
        for trace in &traces {
            talk::line(format_args!("next: `tracer view {}`", safe::path(trace)));
        }
        return Ok(own);
    };
    let verdict = judge(judged, traces, cli.common.color)?;
    Ok(match own {
        Exit::Code(CLEAN) => verdict,
        failed => failed,
    })
}

fn judge(judged: Judged, traces: Vec<PathBuf>, color: Color) -> Result<Exit, Failure> {
    check::run_over(
        &crate::args::Check {
            files: traces,
            reports: judged.reports,
            filter: judged.filter,
            fail_on: judged.fail_on,
            error_exitcode: None,
            baseline: judged.baseline,
            write_baseline: None,
            suppressions: judged.suppressions,
            gen_suppressions: None,
            names: crate::args::Names::default(),
        },
        color,
        check::Show::NotClean,
    )
}

/// One run of cargo's.
struct Run {
    words: Vec<OsString>,
    folder: PathBuf,
    /// Seconds that a program may take.
    timeout: Option<u64>,
}

impl Run {
    fn new(words: Vec<OsString>, timeout: Option<u64>) -> Result<Self> {
        let of_cargo: Vec<&OsString> = words.iter().take_while(|word| *word != "--").collect();
        if option(&of_cargo, "--target-dir").is_some() {
            bail!("leave `--target-dir` out: what is built for recording has a folder of its own");
        }
        let manifest = option(&of_cargo, "--manifest-path");
        let folder = target_folder(manifest)?.join(BUILD);
        make(&folder).with_context(|| format!("cannot make {}", safe::path(&folder)))?;
        Ok(Self {
            words,
            folder,
            timeout,
        })
    }

    /// Two at once would take each other's traces away: the second waits, as cargo does.
    fn lock(&self) -> Result<std::fs::File> {
        let shown = safe::path(&self.folder);
        let file = std::fs::File::create(self.folder.join("lock"))
            .with_context(|| format!("cannot write into {shown}"))?;
        let mut operation = FlockOperation::NonBlockingLockExclusive;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(file),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    // What holds it waits for the program that this is part of.
                    if std::env::var_os(LOCKED).is_some_and(|locked| same(&locked, &self.folder)) {
                        bail!(
                            "{shown} is in use by the `cargo tracer` that runs this one, which would wait for it \
                             for ever; give this one another folder by CARGO_TARGET_DIR"
                        );
                    }
                    talk::line(format_args!(
                        "waiting for another `cargo tracer` in {shown} to end"
                    ));
                    operation = FlockOperation::LockExclusive;
                }
                // A file system without locks: cargo goes on without one, too.
                Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) => return Ok(file),
                Err(error) => return Err(error).with_context(|| format!("cannot lock {shown}")),
            }
        }
    }

    fn cargo(&self) -> Result<ExitStatus> {
        let tracer = std::env::current_exe().context("cannot find this program")?;
        // Cargo splits a runner at spaces.
        let Some(tracer) = tracer
            .to_str()
            .filter(|path| !path.contains(char::is_whitespace))
        else {
            bail!(
                "{}: cargo cannot run what has a space in its path; copy `tracer` elsewhere",
                safe::path(&tracer)
            );
        };
        let timeout = self.timeout.map(|seconds| format!("--timeout={seconds} "));
        let variable = |name: &str| std::env::var(name).ok();
        let cargo = || Command::new(cargo_program());
        let options = rustflags::options(&self.words);
        let own = Own::ask(&cargo, &options, &self.folder.join("flags"))?;
        let target = match &own.target {
            Some(target) => target.clone(),
            None => host()?,
        };
        let mut command = cargo();
        command
            .args(&self.words)
            .env("CARGO_TARGET_DIR", &self.folder)
            .env(
                format!("CARGO_TARGET_{}_RUNNER", as_variable(&target)),
                format!("{tracer} record --stacks {}--", timeout.unwrap_or_default()),
            )
            .env(OUTPUT_DIR, self.folder.join(TRACES))
            .env(RAN_FILE, self.ran_file())
            .env(LOCKED, &self.folder)
            .env_remove(crate::record::VARIABLE)
            .envs(own.with(&["-Cforce-frame-pointers=yes"]))
            .envs(profile(&self.words, &variable));
        let shown: Vec<_> = self.words.iter().map(|word| safe::os(word)).collect();
        command
            .status()
            .with_context(|| format!("cannot run `cargo {}`", shown.join(" ")))
    }

    /// No trace from before is one of this run.
    fn renew_traces(&self) -> Result<()> {
        let ran = self.ran_file();
        let ran = ran.exists().then_some(ran);
        for old in self.traces()?.into_iter().chain(ran) {
            std::fs::remove_file(&old)
                .with_context(|| format!("cannot remove {}", safe::path(&old)))?;
        }
        Ok(())
    }

    /// Recorders make it, so that it is known whether there was one.
    fn ran_file(&self) -> PathBuf {
        self.folder.join("ran")
    }

    fn has_run_programs(&self) -> bool {
        self.ran_file().exists()
    }

    fn traces(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join(TRACES);
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot look into {}", safe::path(&folder)))?;
        let mut traces = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let is_hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.extension() == Some(OsStr::new("bin")) && !is_hidden {
                traces.push(path);
            }
        }
        traces.sort();
        Ok(traces)
    }
}

/// Cargo marks a target folder as such only where it makes it; programs in an unmarked one count as temporary.
fn make(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join(TRACES))?;
    std::fs::write(
        folder.join(TARGET_MARK),
        "Signature: 8a477f597d28d172789f06886806bc55\n\
         # What is in here can be made again, so that backups may leave it out (https://bford.info/cachedir).\n",
    )
}

/// Whether two paths lead to one folder.
fn same(one: &OsStr, other: &Path) -> bool {
    let one = std::fs::canonicalize(one);
    one.is_ok_and(|one| std::fs::canonicalize(other).is_ok_and(|other| one == other))
}

/// The value of an option, `--name value` or `--name=value`.
fn option<'a>(words: &[&'a OsString], name: &str) -> Option<&'a OsStr> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == name {
            return words.next().map(|value| value.as_os_str());
        }
        let value = word
            .to_str()
            .and_then(|word| word.strip_prefix(name)?.strip_prefix('='));
        if let Some(value) = value {
            return Some(OsStr::new(value));
        }
    }
    None
}

fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Lines and whole names of functions in the profile that is built: tables of lines alone name a function without
/// its module, so that the probe's own frames could not be told from the program's.
fn profile(words: &[OsString], variable: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let words: Vec<&OsString> = words.iter().take_while(|word| *word != "--").collect();
    let is_release = words
        .iter()
        .any(|word| *word == "--release" || *word == "-r");
    let name = match option(&words, "--cargo-profile").or_else(|| option(&words, "--profile")) {
        Some(name) => as_variable(&name.to_string_lossy()),
        None if is_release => "RELEASE".to_owned(),
        None => "DEV".to_owned(),
    };
    let wanted = [("DEBUG", "limited"), ("STRIP", "none")];
    let wanted = wanted.map(|(key, value)| (format!("CARGO_PROFILE_{name}_{key}"), value));
    wanted
        .into_iter()
        .filter(|(name, _)| variable(name).is_none())
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

/// The target folder that cargo would use.
fn target_folder(manifest: Option<&OsStr>) -> Result<PathBuf> {
    let mut command = Command::new(cargo_program());
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    if let Some(manifest) = manifest {
        command.arg("--manifest-path").arg(manifest);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot run `cargo metadata`")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("cargo says: {}", traces::tty(said.trim().as_bytes()));
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("what `cargo metadata` prints")?;
    let folder = metadata["target_directory"].as_str();
    Ok(Path::new(folder.context("`cargo metadata` names no target folder")?).to_path_buf())
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc)
        .arg("-vV")
        .output()
        .with_context(|| format!("cannot run {}", safe::os(&rustc)))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| anyhow!("{} -vV names no host", safe::os(&rustc)))?;
    Ok(host.trim().to_owned())
}

impl Build {
    /// What cargo is told.
    fn words(&self, command: &[&str]) -> Vec<OsString> {
        let command = command.iter().map(OsString::from);
        command.chain(self.cargo.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn lines_are_in_the_profile_that_is_built_unless_the_caller_says_otherwise() {
        let names = |text: &str, taken: &str| -> Vec<String> {
            let found = profile(&words(text), &|name| (name == taken).then(String::new));
            found.into_iter().map(|(name, _)| name).collect()
        };
        let dev = ["CARGO_PROFILE_DEV_DEBUG", "CARGO_PROFILE_DEV_STRIP"];
        assert_eq!(names("test -p a", ""), dev);
        assert_eq!(names("test -p a -- --release", ""), dev);
        assert_eq!(
            names("run --release", "CARGO_PROFILE_RELEASE_STRIP"),
            ["CARGO_PROFILE_RELEASE_DEBUG"]
        );
        assert_eq!(
            names("run --profile my-own", "")[0],
            "CARGO_PROFILE_MY_OWN_DEBUG"
        );
    }

    #[test]
    fn options_are_found_in_both_forms() {
        let all = words("test --target a --manifest-path=b");
        let all: Vec<&OsString> = all.iter().collect();
        assert_eq!(option(&all, "--target"), Some(OsStr::new("a")));
        assert_eq!(option(&all, "--manifest-path"), Some(OsStr::new("b")));
        assert_eq!(option(&all, "--target-dir"), None);
    }
}
