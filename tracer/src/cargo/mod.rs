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

mod args;
pub(crate) use args::CargoCli;
use args::{Build, Judged, Verb};

use crate::args::Color;
use crate::exit::{CANNOT_TELL, CLEAN, Exit, Failure};
use crate::matrix::as_variable;
use crate::record::started::OUTPUT_DIR;
use crate::{check, safe, talk};

/// In cargo's target folder.
const BUILD: &str = "tracer-build";
/// In that.
const TRACES: &str = "traces";

/// The command; `program` is what stands from `--` on.
pub(crate) fn run(cli: CargoCli, program: Vec<OsString>) -> Result<Exit, Failure> {
    let (mut words, judged) = match cli.verb {
        Verb::Test(test) => (test.build.words(test.command()), Some(test.judged)),
        Verb::Run(run) => (run.build.words(&["run"]), Some(run.judged)),
        Verb::Record(build) => (build.words(&["run"]), None),
    };
    words.extend(program);
    let run = Run::new(words)?;
    run.renew_traces()?;
    let status = run.cargo()?;
    let own = match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code.to_le_bytes()[0]),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    };
    let traces = run.traces()?;
    if traces.is_empty() {
        talk::line(
            "nothing was recorded: no program used the probe or a ring that the shim could see; \
             `tracer doctor` says what this machine allows, README.md how to adopt the probe",
        );
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
    target: String,
    folder: PathBuf,
}

impl Run {
    fn new(words: Vec<OsString>) -> Result<Self> {
        let of_cargo: Vec<&OsString> = words.iter().take_while(|word| *word != "--").collect();
        if option(&of_cargo, "--target-dir").is_some() {
            bail!("leave `--target-dir` out: what is built for recording has a folder of its own");
        }
        let manifest = option(&of_cargo, "--manifest-path");
        let folder = target_folder(manifest)?.join(BUILD);
        let target = match option(&of_cargo, "--target") {
            Some(target) => target.to_string_lossy().into_owned(),
            None => match std::env::var("CARGO_BUILD_TARGET") {
                Ok(target) if !target.is_empty() => target,
                _ => host()?,
            },
        };
        Ok(Self {
            words,
            target,
            folder,
        })
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
        let variable = |name: &str| std::env::var(name).ok();
        let target = as_variable(&self.target);
        let mut command = Command::new(cargo_program());
        command
            .args(&self.words)
            .env("CARGO_TARGET_DIR", &self.folder)
            .env(
                format!("CARGO_TARGET_{target}_RUNNER"),
                format!("{tracer} record --stacks --"),
            )
            .env(OUTPUT_DIR, self.folder.join(TRACES))
            .env_remove(crate::record::VARIABLE)
            .envs(flags(&target, &variable))
            .envs(profile(&self.words, &variable));
        let shown: Vec<_> = self.words.iter().map(|word| safe::os(word)).collect();
        command
            .status()
            .with_context(|| format!("cannot run `cargo {}`", shown.join(" ")))
    }

    /// No trace from before is one of this run.
    fn renew_traces(&self) -> Result<()> {
        let folder = self.folder.join(TRACES);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", safe::path(&folder)))?;
        for trace in self.traces()? {
            std::fs::remove_file(&trace)
                .with_context(|| format!("cannot remove {}", safe::path(&trace)))?;
        }
        Ok(())
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

/// Compiler flags, beside those that the caller has: cargo takes them from one place alone.
fn flags(target: &str, variable: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    const FLAG: &str = "-Cforce-frame-pointers=yes";
    let of_target = format!("CARGO_TARGET_{target}_RUSTFLAGS");
    let (name, between) = if variable("CARGO_ENCODED_RUSTFLAGS").is_some() {
        ("CARGO_ENCODED_RUSTFLAGS".to_owned(), "\x1f")
    } else if variable("RUSTFLAGS").is_some() {
        ("RUSTFLAGS".to_owned(), " ")
    } else if variable(&of_target).is_some() {
        (of_target, " ")
    } else {
        // Joined with what `build.rustflags` of a configuration file has; flags of a target would take its place.
        ("CARGO_BUILD_RUSTFLAGS".to_owned(), " ")
    };
    let with = |name: &str, between: &str| match variable(name) {
        Some(before) if !before.is_empty() => format!("{before}{between}{FLAG}"),
        _ => FLAG.to_owned(),
    };
    vec![
        (name.clone(), with(&name, between)),
        // Examples of the documentation are compiled by rustdoc.
        ("RUSTDOCFLAGS".to_owned(), with("RUSTDOCFLAGS", " ")),
    ]
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
    fn flags_join_those_of_the_caller_where_they_are() {
        let none = flags("X", &|_| None);
        assert_eq!(none[0].0, "CARGO_BUILD_RUSTFLAGS");
        let of_target = "CARGO_TARGET_X_RUSTFLAGS";
        let joined = flags("X", &|name| (name == of_target).then(|| "-O".to_owned()));
        assert_eq!(joined[0].0, of_target);
        let own = flags("X", &|name| (name == "RUSTFLAGS").then(|| "-O".to_owned()));
        let expected = (
            "RUSTFLAGS".to_owned(),
            "-O -Cforce-frame-pointers=yes".to_owned(),
        );
        assert_eq!(own[0], expected);
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
