//! From what was asked to columns: which command each runs, in which folder and with which flags, or why
//! it is skipped and what would change that. Nothing is asked of the machine here, and nothing run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::machine::{Machine, Nightly};
use super::tools::Tool;
use super::variants::Variant;
use crate::rustflags::Own;

/// How a command comes to its programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `cargo …`: words can be added to it.
    Cargo {
        /// Which word is the subcommand.
        subcommand: usize,
    },
    /// Something that may run cargo: it is told by the environment alone.
    Script,
    /// A program that is built already.
    Program,
}

/// The command of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) words: Vec<OsString>,
    pub(super) way: Way,
    /// `cargo +NAME`.
    pub(super) toolchain: Option<String>,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) tool: Tool,
    /// Tool and variant.
    pub(super) name: String,
    /// How it is run, or why not.
    pub(super) build: Result<Build, String>,
}

/// What is run for a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) command: Vec<OsString>,
    /// Set for the command.
    pub(super) environment: Vec<(String, OsString)>,
    /// Cargo's target folder. Columns with the same flags share one, so that nothing is built twice.
    pub(super) target_folder: PathBuf,
    /// The target that is built for.
    pub(super) target: String,
    /// Whether Miri takes the place of a program.
    pub(super) by_miri: bool,
}

/// Finds out a project's own flags, or says why not.
pub(super) type Flags<'a> = dyn Fn(Option<&OsStr>, &str) -> Result<Own, String> + 'a;

/// What all columns have in common.
pub(super) struct Setting<'a> {
    pub(super) asked: &'a Asked,
    pub(super) machine: &'a Machine,
    pub(super) tools: &'a [Tool],
    /// Where the matrix keeps its things.
    pub(super) folder: &'a Path,
    /// A variable of the caller's environment.
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The project's own compiler flags, for a toolchain and a target.
    pub(super) flags: &'a Flags<'a>,
}

impl Asked {
    /// Understands a command, or says why it cannot be one of a matrix.
    pub(super) fn new(words: &[OsString]) -> Result<Self, String> {
        let mut words = words.to_vec();
        let first = words.first().cloned().unwrap_or_default();
        if Path::new(&first).file_name() != Some(OsStr::new("cargo")) {
            let is_path = first.as_encoded_bytes().contains(&b'/');
            let way = if is_path && is_elf(Path::new(&first)) {
                Way::Program
            } else {
                Way::Script
            };
            return Ok(Self {
                words,
                way,
                toolchain: None,
            });
        }
        let toolchain = words
            .get(1)
            .and_then(|word| Some(word.to_str()?.strip_prefix('+')?.to_owned()));
        if toolchain.is_some() {
            words.remove(1);
        }
        let of_cargo = words.iter().take_while(|word| *word != "--");
        for word in of_cargo.filter_map(|word| word.to_str()) {
            let name = word.split('=').next().unwrap_or(word);
            if matches!(name, "--target-dir" | "--target") {
                return Err(format!(
                    "leave `{name}` out of the command: each column has its own target folder, and builds \
                     for this machine"
                ));
            }
        }
        let subcommand = subcommand(&words)
            .ok_or("name a command of cargo's that runs something: `cargo test`, `cargo run`")?;
        Ok(Self {
            words,
            way: Way::Cargo { subcommand },
            toolchain,
        })
    }
}

/// The first word behind `cargo` that is neither an option nor an option's value.
fn subcommand(words: &[OsString]) -> Option<usize> {
    let mut index = 1;
    while let Some(word) = words.get(index) {
        match word.to_str() {
            Some("--config" | "-C" | "-Z" | "--color") => index += 2,
            Some(word) if word.starts_with('-') => index += 1,
            _ => return Some(index),
        }
    }
    None
}

fn is_elf(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = std::fs::File::open(path)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
    read.is_ok() && start == *b"\x7fELF"
}

/// The columns of a setting, tool by tool.
pub(super) fn columns(setting: &Setting<'_>, variants: &[Variant]) -> Vec<Column> {
    let mut columns = Vec::new();
    for &tool in setting.tools {
        for variant in variants {
            columns.push(Column {
                tool,
                name: format!("{}{}", tool.word(), variant.suffix()),
                build: build(setting, tool, variant),
            });
        }
    }
    columns
}

fn build(setting: &Setting<'_>, tool: Tool, variant: &Variant) -> Result<Build, String> {
    let asked = setting.asked;
    if tool == Tool::Memcheck && setting.machine.valgrind.is_none() {
        return Err(
            "no valgrind here; `apt-get install valgrind`, or what your distribution has"
                .to_owned(),
        );
    }
    if asked.way == Way::Program {
        return match tool {
            Tool::Plain | Tool::Memcheck | Tool::Tracer => Ok(Build {
                command: asked.words.clone(),
                ..Build::default()
            }),
            _ => Err("it needs the program built in its own way; give the command of cargo's that builds it".to_owned()),
        };
    }
    let mut build = Build {
        command: asked.words.clone(),
        target: setting.machine.host.clone(),
        ..Build::default()
    };
    if let Way::Cargo { subcommand } = asked.way {
        variant.apply(&mut build.command, subcommand);
        go_on_after_failures(&mut build.command, subcommand);
    } else if !variant.is_plain() {
        return Err(
            "features and profiles can be chosen for a command of cargo's alone".to_owned(),
        );
    }
    if let Some(name) = &asked.toolchain {
        set(&mut build, "RUSTUP_TOOLCHAIN", name);
    }
    let mut folder = "plain";
    match tool {
        Tool::Plain | Tool::Memcheck | Tool::Tracer => {}
        Tool::Asan | Tool::Lsan | Tool::Tsan | Tool::Msan => {
            folder = tool.word();
            sanitize(setting, tool, &mut build)?;
        }
        Tool::Ubsan => {
            folder = tool.word();
            if !setting.machine.has_ubsan {
                return Err(
                    "the C compiler cannot link `-fsanitize=undefined`; install its runtime (libubsan)".to_owned(),
                );
            }
            let flags = "-fsanitize=undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g";
            for name in ["CFLAGS", "CXXFLAGS"] {
                // Where it is set for the target, what is set for all is not looked at.
                let of_target = format!("{name}_{}", build.target.replace('-', "_"));
                let own = (setting.variable)(&of_target).or_else(|| (setting.variable)(name));
                let mut whole = own.unwrap_or_default();
                if !whole.is_empty() {
                    whole.push(" ");
                }
                whole.push(flags);
                set(&mut build, &of_target, whole);
            }
            // The compiler of C knows where its runtime lies, and names it unless it is told to link nothing itself.
            let flags = [
                "-Clink-arg=-fsanitize=undefined",
                "-Cdefault-linker-libraries=yes",
            ];
            rustflags(setting, &mut build, &flags)?;
        }
        Tool::Miri | Tool::Careful => {
            folder = tool.word();
            interpret(setting, tool, &mut build)?;
        }
    }
    build.target_folder = setting.folder.join("target").join(folder);
    let target_folder = build.target_folder.clone();
    set(&mut build, "CARGO_TARGET_DIR", target_folder);
    let target = build.target.clone();
    set(&mut build, "CARGO_BUILD_TARGET", target);
    if (setting.variable)("CARGO_PROFILE_RELEASE_DEBUG").is_none() {
        set(
            &mut build,
            "CARGO_PROFILE_RELEASE_DEBUG",
            "line-tables-only",
        );
    }
    Ok(build)
}

/// Examples that fail in one package leave those of the next unlooked at, unless cargo is told otherwise.
fn go_on_after_failures(words: &mut Vec<OsString>, subcommand: usize) {
    let is_test = matches!(words[subcommand].to_str(), Some("test" | "t"));
    let is_said = words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--no-fail-fast");
    if is_test && !is_said {
        words.insert(subcommand + 1, "--no-fail-fast".into());
    }
}

fn sanitize(setting: &Setting<'_>, tool: Tool, build: &mut Build) -> Result<(), String> {
    let Some((sanitizer, builds_std)) = tool.sanitizer() else {
        return Ok(());
    };
    let machine = setting.machine;
    let flag = format!("-Zsanitizer={sanitizer}");
    let mut flags = vec![&*flag, "-Cforce-frame-pointers=yes"];
    match (&machine.nightly, &machine.asan_target) {
        (Some(nightly), _) => use_nightly(nightly, build),
        // Everything of that target has the sanitizer in it.
        (None, Some(target)) if tool == Tool::Asan => {
            build.target.clone_from(target);
            flags.remove(0);
        }
        (None, _) => return Err(no_nightly(machine, builds_std, "")),
    }
    if tool == Tool::Msan {
        flags.push("-Zsanitizer-memory-track-origins");
    }
    if builds_std {
        if machine
            .nightly
            .as_ref()
            .is_some_and(|nightly| !nightly.has_source)
        {
            return Err(format!(
                "the standard library has to be built with it, and its source is not here; `{}`",
                component(machine, "rust-src")
            ));
        }
        set(build, "CARGO_UNSTABLE_BUILD_STD", "std,panic_abort");
    }
    rustflags(setting, build, &flags)
}

/// `cargo miri …` and `cargo careful …`.
fn interpret(setting: &Setting<'_>, tool: Tool, build: &mut Build) -> Result<(), String> {
    let machine = setting.machine;
    let Way::Cargo { subcommand } = setting.asked.way else {
        return Err(format!(
            "only a command of cargo's can become `cargo {} …`",
            tool.word()
        ));
    };
    let verb = build.command[subcommand].to_string_lossy().into_owned();
    if !matches!(&*verb, "test" | "t" | "run" | "r" | "nextest") {
        return Err(format!(
            "`cargo {} {verb}` is not there; it knows test, run and nextest",
            tool.word()
        ));
    }
    let nightly = machine.nightly.as_ref();
    let nightly = nightly.ok_or_else(|| {
        no_nightly(
            machine,
            true,
            if tool == Tool::Miri {
                " --component miri"
            } else {
                ""
            },
        )
    })?;
    if tool == Tool::Miri && nightly.miri.is_none() {
        return Err(format!(
            "no Miri here; `{}`",
            component(machine, "miri rust-src")
        ));
    }
    if tool == Tool::Careful && !machine.has_careful {
        return Err("no cargo-careful here; `cargo install cargo-careful`".to_owned());
    }
    if !nightly.has_source {
        return Err(format!(
            "it builds a standard library of its own; `{}`",
            component(machine, "rust-src")
        ));
    }
    use_nightly(nightly, build);
    build.by_miri = tool == Tool::Miri;
    if tool == Tool::Careful {
        // It sets flags where they overrule those of the project.
        rustflags(setting, build, &[])?;
    }
    build.command.insert(subcommand, tool.word().into());
    Ok(())
}

fn use_nightly(nightly: &Nightly, build: &mut Build) {
    if let Some(name) = &nightly.name {
        set(build, "RUSTUP_TOOLCHAIN", name);
    }
}

fn no_nightly(machine: &Machine, needs_source: bool, more: &str) -> String {
    if !machine.has_rustup {
        return "it needs a nightly compiler, and none is here (no rustup either)".to_owned();
    }
    let source = if needs_source {
        " --component rust-src"
    } else {
        ""
    };
    format!("it needs a nightly compiler; `rustup toolchain install nightly{source}{more}`")
}

fn component(machine: &Machine, names: &str) -> String {
    let nightly = machine
        .nightly
        .as_ref()
        .and_then(|nightly| nightly.name.as_deref());
    format!(
        "rustup component add --toolchain {} {names}",
        nightly.unwrap_or("nightly")
    )
}

fn set(build: &mut Build, name: &str, value: impl Into<OsString>) {
    build.environment.retain(|(known, _)| known != name);
    build.environment.push((name.to_owned(), value.into()));
}

/// Adds compiler flags to those that the project has.
fn rustflags(setting: &Setting<'_>, build: &mut Build, flags: &[&str]) -> Result<(), String> {
    let toolchain = build
        .environment
        .iter()
        .find(|(name, _)| name == "RUSTUP_TOOLCHAIN");
    let toolchain = toolchain.map(|(_, value)| value.as_os_str());
    let own = (setting.flags)(toolchain, &build.target)?;
    for (name, value) in own.with(flags) {
        set(build, name, value);
    }
    Ok(())
}

/// A target in the name of an environment variable.
pub(crate) fn as_variable(target: &str) -> String {
    target.replace(['-', '.'], "_").to_uppercase()
}

#[cfg(test)]
mod tests;
