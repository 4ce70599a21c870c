//! Who started this recording: a person, or cargo or nextest, which run `tracer record --` in place of each
//! program that they have built. Those want a file for each test, its name in it, and nothing done when tests
//! are only to be listed.
//!
//! Cargo tells its runner of the package alone, and so do all programs below it, which may themselves
//! record something. So it counts only where the parent is cargo, rustdoc (for examples of the documentation) or
//! nextest, or a shell below one of them; or where this process was cargo itself, which `cargo run` becomes what it
//! runs: then the words are in this process's environment and not in that of its parent.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use traces::run;

use crate::exit::Failure;
use crate::matrix::libtest;

/// The folder for traces that are given no name.
pub(crate) const OUTPUT_DIR: &str = "TRACER_OUTPUT_DIR";
/// A file that is made when a program is run, for whoever wants to know whether one was.
pub(crate) const RAN_FILE: &str = "TRACER_RAN_FILE";
/// Where the package lies that cargo runs something of.
const PACKAGE_DIR: &str = "CARGO_MANIFEST_DIR";
/// Cargo puts this file into its target folder.
pub(crate) const TARGET_MARK: &str = "CACHEDIR.TAG";
/// Bytes of a file's name that are chosen by others.
const NAME_MAX: usize = 180;
/// Between this process and cargo there may be a few shells.
const PARENTS_MAX: usize = 6;

/// Who started it, and what is known of what it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Started {
    by: By,
    /// Whether the program is only asked for its tests.
    is_listing: bool,
    package: String,
    binary: String,
    /// The file's name, with cargo's number.
    stem: String,
    what: What,
    test: String,
    attempt: String,
    attempt_id: String,
    /// The folder for its trace.
    folder: Option<PathBuf>,
    program_is_temporary: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum By {
    #[default]
    Person,
    Cargo,
    Nextest,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum What {
    #[default]
    Program,
    Tests,
    Example,
}

/// What this process was started with.
struct Surroundings<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    parent: Option<String>,
    working: PathBuf,
    /// The folder that this program lies in.
    own: PathBuf,
}

impl Surroundings<'_> {
    /// Whether cargo built this very program and runs it: `cargo run -- record …` in its project is a person's. Cargo
    /// tells the loader where it puts what it builds; a runner lies elsewhere.
    fn is_ours(&self) -> bool {
        let is_own_package =
            (self.variable)("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME"));
        let libraries = (self.variable)("LD_LIBRARY_PATH").unwrap_or_default();
        is_own_package && std::env::split_paths(&libraries).any(|folder| folder == self.own)
    }
}

impl Started {
    /// This process.
    pub(crate) fn now(command: &[OsString]) -> Self {
        Self::within(
            command,
            &Surroundings {
                variable: &|name| std::env::var_os(name),
                parent: runner_above(),
                working: std::env::current_dir().unwrap_or_default(),
                own: std::env::current_exe()
                    .ok()
                    .and_then(|path| Some(path.parent()?.to_path_buf()))
                    .unwrap_or_default(),
            },
        )
    }

    fn within(command: &[OsString], around: &Surroundings<'_>) -> Self {
        let said = |name: &str| {
            let value = (around.variable)(name).unwrap_or_default();
            value.to_string_lossy().replace(['\n', '\r'], " ")
        };
        let Some((program, arguments)) = command.split_first() else {
            return Self::default();
        };
        let program = around.working.join(program);
        let target = program
            .ancestors()
            .find(|at| at.join(TARGET_MARK).is_file());
        let is_in_deps = program.parent().and_then(Path::file_name) == Some(OsStr::new("deps"));
        let has_nextest = said("NEXTEST") == "1";
        let test = said("NEXTEST_TEST_NAME");
        let is_listing = (has_nextest && test.is_empty())
            || (libtest::is_listing(arguments) && (is_in_deps || has_nextest));
        // A test may record something itself: that is not the test.
        let is_the_test = arguments.iter().any(|word| *word == *test) && !test.is_empty();
        let by = match &around.parent {
            _ if has_nextest && is_the_test => By::Nextest,
            Some(_) if !has_nextest && !said("CARGO_PKG_NAME").is_empty() && !around.is_ours() => {
                By::Cargo
            }
            _ => By::Person,
        };
        if is_listing || by == By::Person {
            return Self {
                is_listing,
                ..Self::default()
            };
        }
        let stem = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let what = match (by, &around.parent) {
            (By::Cargo, Some(parent)) if parent == "rustdoc" => What::Example,
            (By::Nextest, _) => What::Tests,
            _ if is_in_deps => What::Tests,
            _ => What::Program,
        };
        let package = said("CARGO_PKG_NAME");
        Self {
            by,
            is_listing,
            binary: match said("NEXTEST_BINARY_ID") {
                id if by == By::Nextest && !id.is_empty() => id,
                _ => binary(&package, &stem, what),
            },
            package,
            test: match by {
                By::Nextest => test,
                _ => libtest::only_test(arguments).unwrap_or_default(),
            },
            attempt: said("NEXTEST_ATTEMPT"),
            attempt_id: said("NEXTEST_ATTEMPT_ID"),
            folder: folder(target, around),
            program_is_temporary: target.is_none(),
            stem,
            what,
        }
    }

    /// Makes the file that says that a program was run, where somebody asked for it.
    pub(crate) fn note(&self) {
        if let Some(path) = std::env::var_os(RAN_FILE).filter(|_| self.by_runner()) {
            // Whoever asked is told the less if it cannot be made; the program is run all the same.
            let _ = std::fs::write(path, "");
        }
    }

    /// Whether the program is asked for its tests, and its words are for whoever asked.
    pub(crate) fn is_listing(&self) -> bool {
        self.is_listing
    }

    /// Whether cargo or nextest did.
    pub(crate) fn by_runner(&self) -> bool {
        self.by != By::Person
    }

    /// Whether the program is gone when whoever started it has ended.
    pub(crate) fn program_is_temporary(&self) -> bool {
        self.by_runner() && self.program_is_temporary
    }

    /// What examples of the documentation that were built together need to run in a process each: rustdoc says
    /// it to the program that it starts by itself, and not to one that it starts through a runner.
    pub(crate) fn variable(&self, command: &[OsString]) -> Option<(&'static str, OsString)> {
        const PROGRAM: &str = "RUSTDOC_DOCTEST_BIN_PATH";
        let is_missing = self.what == What::Example && std::env::var_os(PROGRAM).is_none();
        is_missing.then(|| Some((PROGRAM, command.first()?.clone())))?
    }

    /// Where the trace goes if nobody says where; its folder is made.
    pub(crate) fn output(&self) -> Result<PathBuf> {
        let Some(output) = self.usual() else {
            return Ok(PathBuf::from(crate::args::DEFAULT_TRACE));
        };
        let folder = output.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).with_context(|| {
            format!(
                "cannot make {}; {OUTPUT_DIR} names another folder for traces",
                crate::safe::path(folder)
            )
        })?;
        Ok(output)
    }

    /// Whether a trace goes where nobody said that it should.
    pub(crate) fn is_usual(&self, output: &Path) -> bool {
        self.usual().as_deref() == Some(output)
    }

    fn usual(&self) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{}.bin", self.name())))
    }

    /// The same for every run of the same test, so that the newest one's trace is there.
    fn name(&self) -> String {
        // `run:binary@stress-2$test#2`: without the run, which is another one each time.
        let attempt = self.attempt_id.split_once(':').map(|(_, rest)| rest);
        match (self.by, self.what) {
            (By::Nextest, _) => {
                file_name(attempt.unwrap_or(&format!("{}${}", self.binary, self.test)))
            }
            (_, What::Example) => format!(
                "{}-example-{}",
                file_name(&self.package),
                std::process::id()
            ),
            _ if !self.test.is_empty() => {
                file_name(&format!("{}-{}${}", self.package, self.stem, self.test))
            }
            _ => file_name(&format!("{}-{}", self.package, self.stem)),
        }
    }

    /// What the trace says of it, as keys and values without line ends.
    pub(crate) fn info(&self) -> Vec<(&'static str, String)> {
        let by = match self.by {
            By::Person => return Vec::new(),
            By::Cargo => "cargo",
            By::Nextest => "nextest",
        };
        let what = match self.what {
            What::Program => "program",
            What::Tests => "tests",
            What::Example => "example",
        };
        let mut info = vec![(run::BY, by.to_owned()), (run::WHAT, what.to_owned())];
        for (key, value) in [
            (run::PACKAGE, &self.package),
            (run::BINARY, &self.binary),
            (run::TEST, &self.test),
            (run::ATTEMPT, &self.attempt),
            (run::ATTEMPT_ID, &self.attempt_id),
        ] {
            if !value.is_empty() {
                info.push((key, value.clone()));
            }
        }
        info
    }
}

/// Becomes the program, as if nobody stood before it.
pub(crate) fn become_it(command: &[OsString]) -> Failure {
    let program = command.first().cloned().unwrap_or_default();
    let error = Command::new(&program)
        .args(command.get(1..).unwrap_or_default())
        .exec();
    super::spawn::cannot_run(&program, &error)
}

/// `package`, or `package::binary` where the binary has another name.
fn binary(package: &str, stem: &str, what: What) -> String {
    let name = match (what, stem.rsplit_once('-')) {
        // Without the number that cargo gives each.
        (What::Tests, Some((name, _))) => name,
        _ => stem,
    };
    if package.replace('-', "_") == name.replace('-', "_") || what == What::Example {
        package.to_owned()
    } else {
        format!("{package}::{name}")
    }
}

/// The folder for traces: the one that is asked for, or else below cargo's target folder, which for a
/// program that lies elsewhere is looked for where cargo told the loader to look, and then above the package.
fn folder(target: Option<&Path>, around: &Surroundings<'_>) -> Option<PathBuf> {
    let path = |name: &str| {
        let value = (around.variable)(name).filter(|value| !value.is_empty())?;
        Some(around.working.join(value))
    };
    if let Some(folder) = path(OUTPUT_DIR) {
        return Some(folder);
    }
    let libraries = (around.variable)("LD_LIBRARY_PATH").unwrap_or_default();
    let of_libraries = || {
        let mut all = std::env::split_paths(&libraries).filter(|at| at.is_absolute());
        all.find_map(|at| {
            let mut above = at.ancestors();
            above
                .find(|at| at.join(TARGET_MARK).is_file())
                .map(Path::to_path_buf)
        })
    };
    let package = || path(PACKAGE_DIR);
    let above = || {
        let package = package()?;
        let mut targets = package.ancestors().map(|at| at.join("target"));
        targets.find(|at| at.join(TARGET_MARK).is_file())
    };
    let target = target
        .map(Path::to_path_buf)
        .or_else(|| path("CARGO_TARGET_DIR"))
        .or_else(of_libraries)
        .or_else(above)
        .or_else(|| Some(package()?.join("target")))?;
    Some(target.join("tracer"))
}

/// A name that is one file's in any folder, and different for different texts.
fn file_name(text: &str) -> String {
    let spaced = text.replace("::", ".").replace('$', "--");
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let mut name: String = spaced
        .chars()
        .map(|letter| if is_plain(letter) { letter } else { '_' })
        .take(NAME_MAX)
        .collect();
    if name != spaced || text.contains('.') || text.contains("--") || name.starts_with('.') {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(text);
        name = format!(
            "{}-{:08x}",
            name.trim_start_matches('.'),
            hash & 0xffff_ffff
        );
    }
    name
}

/// The name of cargo, rustdoc or nextest, where one of them is the parent, or above a shell that is, or was one of
/// these processes before.
fn runner_above() -> Option<String> {
    let mut package = std::env::var_os(PACKAGE_DIR);
    let mut pid = rustix::process::getppid()?.as_raw_nonzero().get();
    for _ in 0..PARENTS_MAX {
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let name = program.file_name()?.to_str()?.to_owned();
        if matches!(&*name, "cargo" | "rustdoc" | "cargo-nextest") {
            return Some(name);
        }
        let above = package_in(&std::fs::read(format!("/proc/{pid}/environ")).ok()?);
        if package.is_some() && package != above {
            return Some("cargo".to_owned());
        }
        if !["sh", "bash", "dash", "zsh", "busybox", "env"].contains(&&*name) {
            return None;
        }
        package = above;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        pid = parent_in(&stat)?;
    }
    None
}

/// The package that an environment names.
fn package_in(environment: &[u8]) -> Option<OsString> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| {
        variable
            .strip_prefix(PACKAGE_DIR.as_bytes())?
            .strip_prefix(b"=")
    });
    value.map(|value| OsStr::from_bytes(value).to_owned())
}

/// Fields are counted from the last parenthesis, because a name may hold one.
fn parent_in(stat: &str) -> Option<i32> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    fields.nth(1)?.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(parent: Option<&str>, variables: &[(&str, &str)], command: &[&str]) -> Started {
        let of = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let around = Surroundings {
            variable: &of,
            parent: parent.map(str::to_owned),
            working: PathBuf::from("/w"),
            own: PathBuf::from("/w/target/debug"),
        };
        Started::within(&command, &around)
    }

    const CARGO: (&str, &str) = ("CARGO_PKG_NAME", "net-io");
    const FOLDER: (&str, &str) = (OUTPUT_DIR, "/out");
    const TESTS: &str = "/w/target/debug/deps/net_io-1a2b";

    fn output(started: &Started) -> String {
        started.usual().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn nextest_lists_first_and_then_runs_each_attempt() {
        let nextest = [
            CARGO,
            FOLDER,
            ("NEXTEST", "1"),
            ("NEXTEST_BINARY_ID", "net-io::t"),
        ];
        let list = started(None, &nextest, &[TESTS, "--list", "--format", "terse"]);
        assert!(list.is_listing() && !list.by_runner());
        let run = [
            &nextest[..],
            &[
                ("NEXTEST_TEST_NAME", "ring::late"),
                ("NEXTEST_ATTEMPT", "2"),
                ("NEXTEST_ATTEMPT_ID", "1-2-3:net-io::t$ring::late#2"),
            ],
        ]
        .concat();
        let ran = started(None, &run, &[TESTS, "--exact", "ring::late", "--nocapture"]);
        assert!(ran.by_runner() && !ran.is_listing());
        assert_eq!(ran.test, "ring::late");
        let path = output(&ran);
        assert!(path.starts_with("/out/net-io.t--ring.late_2-"), "{path}");
        // What a test records is not the test.
        assert!(!started(None, &run, &["/bin/prog", "x"]).by_runner());
    }

    #[test]
    fn cargo_counts_as_parent_alone() {
        let whole = started(Some("cargo"), &[CARGO, FOLDER], &[TESTS, "--quiet"]);
        assert_eq!((&*whole.binary, whole.what), ("net-io", What::Tests));
        assert_eq!(output(&whole), "/out/net-io-net_io-1a2b.bin");
        assert!(!started(None, &[CARGO], &[TESTS]).by_runner());
        assert!(!started(Some("cargo"), &[], &[TESTS]).by_runner());
        let one = started(Some("cargo"), &[CARGO, FOLDER], &[TESTS, "late", "--exact"]);
        assert_eq!(one.test, "late");
        let program = started(Some("cargo"), &[CARGO], &["target/debug/serve", "--list"]);
        assert!(!program.is_listing());
        assert_eq!(program.binary, "net-io::serve");
    }

    #[test]
    fn run_of_this_very_program_is_a_persons() {
        let ours = ("CARGO_PKG_NAME", env!("CARGO_PKG_NAME"));
        let by = |libraries: &str| {
            let variables = [ours, FOLDER, ("LD_LIBRARY_PATH", libraries)];
            started(Some("cargo"), &variables, &["./prog"]).by_runner()
        };
        assert!(!by("/w/target/debug/deps:/w/target/debug"));
        // Another project's package of that name, or this one's tests with a tracer that is installed.
        assert!(by("/other/target/debug/deps:/other/target/debug"));
    }

    #[test]
    fn package_of_an_environment_is_found() {
        let found = package_in(b"A=b\0CARGO_MANIFEST_DIR_X=/no\0CARGO_MANIFEST_DIR=/p q\0");
        assert_eq!(found, Some(OsString::from("/p q")));
        assert_eq!(package_in(b"A=CARGO_MANIFEST_DIR=/p\0"), None);
    }

    #[test]
    fn names_of_different_tests_are_different_files() {
        let names = [
            "a::b$c",
            "a.b$c",
            "a::b--c",
            "a::b$c d",
            "a::b$c_d",
            "../../etc",
            "a::b$c/d",
        ];
        let files: Vec<_> = names.iter().map(|name| file_name(name)).collect();
        for (at, file) in files.iter().enumerate() {
            assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
            assert!(!files[..at].contains(file), "{file}");
        }
        assert_eq!(files[0], "a.b--c");
        assert!(file_name(&"long".repeat(200)).len() < 200);
    }

    #[test]
    fn parent_is_found_behind_a_hostile_name() {
        assert_eq!(parent_in("7 (a) S 9) S 12 7 7"), Some(12));
        assert_eq!(parent_in("7 (a"), None);
    }
}
