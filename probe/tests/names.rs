//! The names of the `io-uring` crate against those of `probe::io_uring`: a release that adds one fails here.
//! Reads the crate's source where cargo has unpacked it.

#![cfg(feature = "io-uring")]

use std::fs;
use std::path::{Path, PathBuf};

/// The source of the crate, in the version that is locked.
fn source() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lock = fs::read_to_string(root.join("Cargo.lock")).expect("the lock file");
    let (_, after) = lock
        .split_once("name = \"io-uring\"\nversion = \"")
        .expect("locked");
    let version = after.split('"').next().expect("a version");
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cargo"),
        PathBuf::from,
    );
    let registries = fs::read_dir(home.join("registry/src")).expect("cargo's sources");
    registries
        .filter_map(Result::ok)
        .map(|registry| registry.path().join(format!("io-uring-{version}/src")))
        .find(|path| path.is_dir())
        .expect("the crate's source")
}

/// The module and its parts, one behind the other.
fn ours() -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let parts = fs::read_dir(source.join("io_uring")).expect("its parts");
    let parts = parts.map(|part| part.expect("a part").path());
    let read = |path: PathBuf| fs::read_to_string(path).expect("our source");
    std::iter::once(source.join("io_uring.rs"))
        .chain(parts)
        .map(read)
        .collect()
}

/// What lies between a line that begins so and the next `}` at the margin.
fn block<'a>(text: &'a str, begin: &str) -> &'a str {
    let at = text.find(begin).unwrap_or_else(|| panic!("no {begin}"));
    let rest = text.get(at..).expect("found");
    rest.split("\n}").next().expect("a first part")
}

/// Whether a name stands in a text as a word.
fn has(text: &str, name: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.split(|letter| !is_part(letter))
        .any(|word| word == name)
}

fn name(text: &str) -> String {
    let is_part = |letter: &char| letter.is_alphanumeric() || *letter == '_';
    text.chars().take_while(is_part).collect()
}

/// Public items at the margin: types, functions, modules, and what is named from elsewhere.
fn items(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines() {
        for kind in ["struct ", "enum ", "trait ", "fn ", "unsafe fn ", "mod "] {
            let after = line
                .strip_prefix("pub ")
                .and_then(|line| line.strip_prefix(kind));
            names.extend(after.map(name));
        }
        if let Some(path) = line.strip_prefix("pub use ") {
            let last = path.rsplit("::").next().unwrap_or_default();
            let last = last.trim_matches(|letter| "{};".contains(letter));
            names.extend(last.split(", ").map(str::to_owned));
        }
    }
    // Flags of a macro stand one step in.
    let flags = text
        .lines()
        .filter_map(|line| line.strip_prefix("    pub struct "));
    names.extend(flags.map(name));
    assert!(names.len() > 3, "nothing was read: {names:?}");
    names
}

#[test]
fn every_public_name_of_the_crate_is_ours_too() {
    let (source, ours) = (source(), ours());
    let read = |file: &str| fs::read_to_string(source.join(file)).expect("a source file");
    for name in items(&read("lib.rs")) {
        assert!(has(&ours, &name), "io_uring::{name}");
    }
    for module in ["squeue", "cqueue"] {
        let here = block(&ours, &format!("pub mod {module} {{"));
        for name in items(&read(&format!("{module}.rs"))) {
            assert!(has(here, &name), "io_uring::{module}::{name}");
        }
    }
}

/// `Builder` is not reached through `Deref`, as that would build rings that nobody follows; nor is what
/// changes a ring, so each of these has to be written out.
#[test]
fn what_is_not_reached_through_deref_is_written_out() {
    let (source, ours) = (source(), ours());
    let theirs = fs::read_to_string(source.join("lib.rs")).expect("a source file");
    let methods = |begin: &str| -> Vec<String> {
        let block = block(&theirs, begin);
        let functions = block.lines().filter_map(|line| {
            let line = line.strip_prefix("    pub ")?;
            line.strip_prefix("unsafe fn ").or(line.strip_prefix("fn "))
        });
        functions.map(name).collect()
    };
    let builder = methods("impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> Builder<S, C> {");
    assert!(builder.len() > 10, "{builder:?}");
    let options = block(&ours, "options! {\n    dontfork");
    for name in builder.iter().filter(|name| *name != "build") {
        assert!(has(options, name), "Builder::{name}");
    }
    let ring = methods("impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> IoUring<S, C> {");
    let here = block(
        &ours,
        "impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> IoUring<S, C> {",
    );
    for name in ring.iter().filter(|name| *name != "params") {
        assert!(has(here, name), "IoUring::{name}");
    }
}
