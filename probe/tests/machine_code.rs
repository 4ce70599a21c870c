//! What the compiler makes of hooks: without the feature `record` nothing at all, and with it, while
//! nothing is recorded, one branch.
//!
//! `machine_code/hooked.rs` has every hook in a function of its own, and is compiled with the probe and
//! without it. The probe is built in target folders of these tests, because Cargo unites features over
//! a build. Instructions are looked at, not times.

#[path = "machine_code/assembly.rs"]
mod assembly;

use std::path::{Path, PathBuf};
use std::process::Command;

use assembly::Assembly;

/// The probe with some features, built for optimised programs.
struct Probe {
    libraries: PathBuf,
}

impl Probe {
    fn built(name: &str, features: &[&str]) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let libraries = target.join("release/deps");
        // Those of other builds, which would be found too.
        for entry in libraries.read_dir().into_iter().flatten() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "rlib")
            {
                std::fs::remove_file(path).unwrap();
            }
        }
        run(Command::new(env!("CARGO"))
            .args(["build", "--release", "--frozen", "--lib", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .args(["--no-default-features", "--features", "io-uring"])
            .args(features)
            .arg("--target-dir")
            .arg(&target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS"));
        Self { libraries }
    }

    fn library(&self, name: &str) -> String {
        let found = self.libraries.read_dir().unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            let file = path.file_name()?.to_str()?;
            (file.starts_with(&format!("lib{name}-")) && file.ends_with(".rlib"))
                .then(|| format!("{name}={}", path.display()))
        });
        found.unwrap_or_else(|| panic!("no {name} in {}", self.libraries.display()))
    }

    /// What becomes of the program; without the probe where `cfg` says `plain`.
    fn compile(&self, cfg: &[&str]) -> Assembly {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("hooked.s");
        let mut compiler = Command::new("rustc");
        compiler
            .args([
                "--edition",
                "2024",
                "--crate-name",
                "hooked",
                "-Copt-level=3",
            ])
            .args(["-Ccodegen-units=1", "--cap-lints", "allow", "--emit"])
            .arg(format!("asm={}", output.display()))
            .arg("-L")
            .arg(format!("dependency={}", self.libraries.display()))
            .args(["--extern", &self.library("io_uring")])
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/machine_code/hooked.rs"
            ));
        for word in cfg {
            compiler.args(["--cfg", word]);
        }
        if !cfg.contains(&"plain") {
            compiler.args(["--extern", &self.library("probe")]);
        }
        run(&mut compiler);
        Assembly::parse(&std::fs::read_to_string(output).unwrap())
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Functions of `hooked.rs`: hooks, and what `probe::io_uring` wraps.
const HOOKS: usize = 47;
const WRAPPED: usize = 8;

fn with_prefix<'a>(assembly: &'a Assembly, prefix: &str, count: usize) -> Vec<&'a str> {
    let found: Vec<_> = assembly
        .names()
        .filter(|name| name.starts_with(prefix))
        .collect();
    assert_eq!(found.len(), count, "functions {prefix}*: {found:?}");
    found
}

/// Functions that differ from those of the plain program.
fn different<'a>(plain: &'a Assembly, hooked: &Assembly) -> Vec<&'a str> {
    let hooks = with_prefix(plain, "hook_", HOOKS).into_iter();
    hooks
        .chain(with_prefix(plain, "wrapped_", WRAPPED))
        .filter(|name| plain.instructions(name) != hooked.instructions(name))
        .collect()
}

#[test]
fn without_the_feature_a_hook_is_no_instruction() {
    let probe = Probe::built("machine-code-without", &[]);
    let (plain, hooked) = (probe.compile(&["plain"]), probe.compile(&[]));
    let shown = |name: &&str| {
        let (with, without) = (hooked.instructions(name), plain.instructions(name));
        format!(
            "{name}, with the probe:\n{}\nand without:\n{}",
            with.join("\n"),
            without.join("\n")
        )
    };
    let found: Vec<_> = different(&plain, &hooked).iter().map(shown).collect();
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    // One planted instruction must be noticed, in each of the hooks that stand beside other work.
    let planted = probe.compile(&["planted"]);
    assert_eq!(different(&plain, &planted).len(), 38);
}

#[test]
fn while_nothing_is_recorded_a_hook_is_one_branch() {
    let probe = Probe::built("machine-code-with", &["--features", "record"]);
    let (plain, hooked) = (probe.compile(&["plain"]), probe.compile(&[]));
    for name in with_prefix(&plain, "hook_", HOOKS) {
        // Declarations are made once for a ring, and are calls.
        if ["hook_cookies", "hook_sentinel", "hook_shared"].contains(&name) {
            continue;
        }
        let allowed = match name {
            // It counts what the kernel took whether or not somebody records, once in a system call.
            "hook_entered" => 2,
            // A slot may be poisoned since before the recording was ended.
            "hook_submitting" => 2,
            _ => 1,
        };
        let (off, without) = (hooked.shortest(name), plain.shortest(name));
        let more = off.branches - without.branches;
        assert!(
            (1..=allowed).contains(&more),
            "{name} has {more} branches more than without the probe:\n{}",
            off.path.join("\n")
        );
    }
}
