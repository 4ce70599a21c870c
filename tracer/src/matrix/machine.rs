//! What this machine has of the tools, and what would bring the rest.
//!
//! Asked once, from commands that change nothing; the plan is then made without asking anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A toolchain whose compiler takes `-Z` flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Nightly {
    /// What rustup calls it; nothing where it is the one in use anyway.
    pub(super) name: Option<String>,
    /// Whether the standard library can be built.
    pub(super) has_source: bool,
    /// The interpreter of the component `miri`.
    pub(super) miri: Option<PathBuf>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// The target that is built for and runs here: `x86_64-unknown-linux-gnu`.
    pub(super) host: String,
    pub(super) nightly: Option<Nightly>,
    /// Whether rustup manages toolchains here.
    pub(super) has_rustup: bool,
    /// A target of the toolchain in use whose standard library has AddressSanitizer in it: works on stable.
    pub(super) asan_target: Option<String>,
    pub(super) valgrind: Option<PathBuf>,
    pub(super) has_careful: bool,
    /// Whether the C compiler can link its undefined-behaviour sanitizer.
    pub(super) has_ubsan: bool,
}

impl Machine {
    /// Looks. `toolchain` is what the command named (`cargo +NAME`), instead of the one in use.
    pub(super) fn look(toolchain: Option<&str>) -> Option<Self> {
        let about = said(rustc(toolchain).arg("-vV"))?;
        let field = |name: &str| {
            let line = about.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        let host = field("host:");
        let sysroot = sysroot(toolchain)?;
        let release = field("release:");
        let takes_z = release.contains("nightly") || release.contains("dev");
        let toolchains = said(Command::new("rustup").args(["toolchain", "list"]));
        let nightly = if takes_z {
            Some(Nightly::at(None, &sysroot))
        } else {
            let known = toolchains.as_deref().unwrap_or_default();
            newest_nightly(known).and_then(|name| {
                let sysroot = self::sysroot(Some(&name))?;
                Some(Nightly::at(Some(name), &sysroot))
            })
        };
        let asan_target = format!("{host}asan");
        let has_target = sysroot.join("lib/rustlib").join(&asan_target).is_dir();
        Some(Self {
            nightly,
            has_rustup: toolchains.is_some(),
            asan_target: has_target.then_some(asan_target),
            valgrind: in_path("valgrind"),
            has_careful: in_path("cargo-careful").is_some(),
            has_ubsan: ubsan_links(),
            host,
        })
    }
}

impl Nightly {
    fn at(name: Option<String>, sysroot: &Path) -> Self {
        let source = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml");
        let miri = sysroot.join("bin/miri");
        let has_miri = miri.is_file() && sysroot.join("bin/cargo-miri").is_file();
        Self {
            name,
            has_source: source.is_file(),
            miri: has_miri.then_some(miri),
        }
    }
}

fn rustc(toolchain: Option<&str>) -> Command {
    let mut rustc = Command::new("rustc");
    if let Some(toolchain) = toolchain {
        rustc.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    rustc
}

fn sysroot(toolchain: Option<&str>) -> Option<PathBuf> {
    let path = said(rustc(toolchain).args(["--print", "sysroot"]))?;
    Some(PathBuf::from(path.trim()))
}

/// The one called plainly `nightly`; else the newest dated one.
fn newest_nightly(list: &str) -> Option<String> {
    let mut names: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"))
        .collect();
    names.sort_unstable();
    let plain = names.iter().find(|name| !name.starts_with("nightly-2"));
    plain.or(names.last()).map(|name| (*name).to_owned())
}

/// What a command prints, if it can be run and succeeds.
fn said(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// Where a program is found.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.find(|path| path.is_file())
}

/// Compiles and links an empty program: the runtime is a package of its own in many distributions.
fn ubsan_links() -> bool {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let child = Command::new(compiler)
        .args(["-fsanitize=undefined", "-x", "c", "-", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    if let Some(mut input) = child.stdin.take() {
        // A compiler that does not read has failed already, and says so by its exit code.
        let _ = std::io::Write::write_all(&mut input, b"int main(void) { return 0; }\n");
    }
    child.wait().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nightly_is_the_plain_one_or_the_newest() {
        let list = "stable-x86_64 (active, default)\nnightly-2026-01-01-x86_64\nnightly-x86_64\n";
        assert_eq!(newest_nightly(list).unwrap(), "nightly-x86_64");
        let dated = "nightly-2026-01-01-x86_64\nnightly-2026-05-01-x86_64\n1.95.0-x86_64\n";
        assert_eq!(newest_nightly(dated).unwrap(), "nightly-2026-05-01-x86_64");
        assert_eq!(newest_nightly("stable-x86_64\n"), None);
    }
}
