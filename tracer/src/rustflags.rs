//! Compiler flags beside those that a project has already.
//!
//! Cargo takes flags from one place alone: variables, or the tables of the target in its configuration files, or
//! `build.rustflags` there. Whoever adds flags in one place makes cargo drop those of another. Which place holds, and
//! what stands in it, is cargo's to say (files in all folders above, `include`, `cfg(…)` that match, `--config`), so it
//! is asked: it documents an empty package twice, with stand-ins for rustc and rustdoc that write down what
//! they were told. The second time a marker stands in the place that overrules all others; what stands the first time
//! where the marker does then are the project's own flags. Those and the new ones go into the place that overrules.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};

/// The variables that overrule all other places, and what stands between two flags there.
const VARIABLE: &str = "CARGO_ENCODED_RUSTFLAGS";
const VARIABLE_DOC: &str = "CARGO_ENCODED_RUSTDOCFLAGS";
const BETWEEN: &str = "\x1f";
/// Behind each call in a log.
const CALL_END: &str = "\x1e";
/// A flag that changes nothing.
const MARKER: &str = "--cfg=tracer_asks_for_flags";
/// Where the stand-ins write to.
const LOG: &str = "TRACER_FLAGS_LOG";

/// A project's own flags, as cargo hands them on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    rust: Vec<String>,
    doc: Vec<String>,
    /// What cargo builds for, where it was told: by `--target`, or by its configuration.
    pub(crate) target: Option<String>,
}

impl Own {
    /// Asks cargo; `cargo` makes its command with the folder, toolchain and variables that it will be run with.
    /// `options` are those of its command line that say where settings come from. `folder` is used
    /// meanwhile, and must be one whose programs can be run.
    pub(crate) fn ask(
        cargo: &dyn Fn() -> Command,
        options: &[OsString],
        folder: &Path,
    ) -> Result<Self> {
        let shown = crate::safe::path(folder);
        let gone = || match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        gone()
            .and_then(|()| lay_out(folder))
            .with_context(|| format!("cannot write into {shown}"))?;
        let asked = |marker| {
            let calls = Calls::of(cargo(), options, folder, marker)?;
            Ok::<_, anyhow::Error>(calls)
        };
        let (plain, marked) = (asked(None)?, asked(Some(MARKER))?);
        gone().with_context(|| format!("cannot clear {shown}"))?;
        let (rust, call) = between(&plain.rustc, &marked.rustc).ok_or_else(|| {
            anyhow!(
                "cargo does not say which compiler flags the project has{}",
                plain.said
            )
        })?;
        let target = call.iter().position(|word| word == "--target");
        Ok(Self {
            target: target.and_then(|at| call.get(at + 1)).cloned(),
            rust,
            // Nothing is documented where cargo would build a standard library first.
            doc: between(&plain.rustdoc, &marked.rustdoc).map_or_else(Vec::new, |(flags, _)| flags),
        })
    }

    /// The variables that add `flags` to them, for the compiler and for examples of the documentation, which rustdoc
    /// compiles.
    pub(crate) fn with(&self, flags: &[&str]) -> [(&'static str, String); 2] {
        let joined = |own: &[String]| {
            let own = own.iter().map(String::as_str);
            let all: Vec<&str> = own.chain(flags.iter().copied()).collect();
            all.join(BETWEEN)
        };
        [
            (VARIABLE, joined(&self.rust)),
            (VARIABLE_DOC, joined(&self.doc)),
        ]
    }
}

/// Of a command line of cargo's: what says where settings come from.
pub(crate) fn options(words: &[OsString]) -> Vec<OsString> {
    let mut options = Vec::new();
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let is = |name: &str| {
            let rest = word.to_str().and_then(|word| word.strip_prefix(name));
            rest.map(|rest| (rest.is_empty(), rest.starts_with('=')))
        };
        match is("--config").or_else(|| is("--target")) {
            Some((true, _)) => {
                options.push(word.clone());
                options.extend(words.next().cloned());
            }
            Some((_, true)) => options.push(word.clone()),
            _ => {}
        }
    }
    options
}

/// An empty package, and the stand-ins.
fn lay_out(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\
                    [lib]\npath = \"lib.rs\"\n[workspace]\n";
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    std::fs::write(folder.join("lib.rs"), "")?;
    let note = format!("#!/bin/sh\n{{ printf '%s\\037' \"$@\"; printf '\\036'; }} >>\"${LOG}\"");
    // A compiler that is asked about itself answers; it compiles nothing.
    let rustc = format!(
        "{note}\ncase \" $* \" in *\" -vV \"* | *\" --print\"*) exec \"$@\" ;; esac\nexit 1\n"
    );
    let rustdoc = format!("{LOG}=\"${LOG}.rustdoc\"\n");
    let rustdoc = note.replacen('\n', &format!("\n{rustdoc}"), 1) + "\n";
    for (name, text) in [("rustc", rustc), ("rustdoc", rustdoc)] {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

/// What compilers were told, call by call.
struct Calls {
    rustc: Vec<Vec<String>>,
    rustdoc: Vec<Vec<String>>,
    /// What cargo said, if it failed.
    said: String,
}

impl Calls {
    fn of(
        mut cargo: Command,
        options: &[OsString],
        folder: &Path,
        marker: Option<&str>,
    ) -> Result<Self> {
        let name = marker.map_or("plain", |_| "marked");
        let log = folder.join(name);
        cargo
            .args(["doc", "--offline", "--quiet", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .args(options)
            .env("CARGO_TARGET_DIR", folder.join("target").join(name))
            .env("RUSTC_WRAPPER", folder.join("rustc"))
            .env("RUSTDOC", folder.join("rustdoc"))
            .env(LOG, &log)
            .stdin(Stdio::null());
        if let Some(marker) = marker {
            cargo.env(VARIABLE, marker).env(VARIABLE_DOC, marker);
        }
        let output = cargo.output().context("cannot run cargo")?;
        let calls = |path: &OsStr| -> Vec<Vec<String>> {
            // None, where it was not called.
            let bytes = std::fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let calls = text.split_terminator(CALL_END);
            let words = |call: &str| call.split_terminator(BETWEEN).map(str::to_owned).collect();
            calls.map(words).collect()
        };
        let mut of_rustdoc = log.clone().into_os_string();
        of_rustdoc.push(".rustdoc");
        let said = match output.status.success() {
            true => String::new(),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                format!("; it says: {}", traces::tty(said.trim().as_bytes()))
            }
        };
        Ok(Self {
            rustc: calls(log.as_os_str()),
            rustdoc: calls(&of_rustdoc),
            said,
        })
    }
}

/// What stands where the marker does in calls that are else alike, and the call. The last one counts: flags decide
/// which `cfg` holds, and that which flags, so that cargo may ask again.
fn between<'c>(
    plain: &'c [Vec<String>],
    marked: &[Vec<String>],
) -> Option<(Vec<String>, &'c Vec<String>)> {
    let (before, after) = marked.iter().rev().find_map(|call| {
        let at = call.iter().position(|word| word == MARKER)?;
        Some((at, &call[at + 1..]))
    })?;
    // What stands before may have a number in it that depends on the flags.
    let is_alike =
        |call: &&Vec<String>| call.len() >= before + after.len() && call.ends_with(after);
    let call = plain.iter().rev().find(is_alike)?;
    Some((call[before..call.len() - after.len()].to_vec(), call))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> String {
        format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    /// A project with a configuration file, and cargo in it.
    fn asked(config: &str, variables: &[(&str, &str)], options: &[&str]) -> Result<Own> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(".cargo")).unwrap();
        std::fs::write(folder.path().join(".cargo/config.toml"), config).unwrap();
        let cargo = || {
            let mut cargo = Command::new("cargo");
            for (name, _) in std::env::vars_os() {
                let bytes = name.as_encoded_bytes();
                if bytes.starts_with(b"CARGO_") && bytes != b"CARGO_HOME"
                    || bytes.ends_with(b"FLAGS")
                {
                    cargo.env_remove(name);
                }
            }
            cargo
                .current_dir(folder.path())
                .envs(variables.iter().copied());
            cargo
        };
        let options: Vec<OsString> = options.iter().map(OsString::from).collect();
        Own::ask(&cargo, &options, &folder.path().join("a folder's"))
    }

    #[test]
    fn flags_of_a_configuration_file_are_what_cargo_would_take() {
        let build = "[build]\nrustflags = ['--cfg', 'of_build']\nrustdocflags = ['--cfg=of_doc']\n";
        let own = asked(build, &[], &[]).unwrap();
        assert_eq!(own.rust, words("--cfg of_build"));
        assert_eq!(own.doc, words("--cfg=of_doc"));
        assert_eq!(own.target, None);

        // Tables of the target overrule those; all that match are joined.
        let host = host();
        let target = format!(
            "{build}[target.{host}]\nrustflags = '--cfg of_target'\n\
             [target.'cfg(unix)']\nrustflags = ['--cfg=of_unix']\n\
             [target.'cfg(windows)']\nrustflags = ['--cfg=of_windows']\n"
        );
        let own = asked(&target, &[], &["--target", &host]).unwrap();
        let mut flags = own.rust.clone();
        flags.sort();
        assert_eq!(flags, ["--cfg", "--cfg=of_unix", "of_target"]);
        assert_eq!(own.target.as_deref(), Some(&*host));

        // A variable overrules both, and what is set for this very command the one of a file.
        let own = asked(&target, &[("RUSTFLAGS", "--cfg of_variable")], &[]).unwrap();
        assert_eq!(own.rust, words("--cfg of_variable"));
        let more = ["--config", "build.rustflags=['--cfg=of_command']"];
        let own = asked(build, &[], &more).unwrap();
        assert_eq!(own.rust, words("--cfg of_build --cfg=of_command"));
        assert_eq!(
            own.with(&["-Cx"]),
            [
                (
                    VARIABLE,
                    "--cfg\x1fof_build\x1f--cfg=of_command\x1f-Cx".to_owned()
                ),
                (VARIABLE_DOC, "--cfg=of_doc\x1f-Cx".to_owned()),
            ]
        );
    }

    #[test]
    fn target_of_a_configuration_file_is_told() {
        let host = host();
        let own = asked(&format!("[build]\ntarget = '{host}'\n"), &[], &[]).unwrap();
        assert_eq!(own.target.as_deref(), Some(&*host));
        assert_eq!(own.rust, Vec::<String>::new());
    }

    #[test]
    fn what_cargo_does_not_understand_is_told_in_its_words() {
        let error = asked("[build]\nrustflags = 7\n", &[], &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("config.toml") && error.contains("build.rustflags"),
            "{error}"
        );
    }

    #[test]
    fn options_that_say_where_settings_come_from() {
        let of = |text: &str| {
            let words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            options(&words)
        };
        assert_eq!(
            of("cargo --config a test --configure --config=b --release --target x -- --config c"),
            ["--config", "a", "--config=b", "--target", "x"]
        );
    }
}
