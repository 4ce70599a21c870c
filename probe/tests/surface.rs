//! Whatever the probe shows has an example that is compiled and run, a word in the pages, and a cost in the benchmark.
//! The sources are asked what there is; what is left out on purpose stands in a table here, with its reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Without an example on purpose. An entry that is not needed any more fails as well.
const WITHOUT_AN_EXAMPLE: [(&str, &str); 8] = [
    ("foreign::", FOR_C),
    ("ring::pushed::pushed_at", FOR_C),
    ("ring::slots::claimed_at", FOR_C),
    ("ring::declared::owner_of_bytes", FOR_C),
    ("coroutine::spawned_at", FOR_C),
    ("coroutine::from_id", FOR_C),
    (
        "ring::whole::",
        "feature `preload`: for the shim, which tests record with",
    ),
    ("ffi::word::Sealed", "nobody can name it"),
];
const FOR_C: &str =
    "feature `c`: what the headers' library is made of, whose own examples are in C";

/// What no page names, and what the benchmark has no line for.
const WITHOUT_A_WORD: [(&str, &str); 3] = [
    ("foreign", FOR_C),
    (
        "Numbers",
        "what `Scope::numbers` returns, which the pages name",
    ),
    ("vec_from_raw_parts", "what the attribute writes calls to"),
];
const WITHOUT_A_COST: [(&str, &str); 2] = [
    ("foreign", FOR_C),
    (
        "simulated",
        "for golden files: it locks and allocates, as it says",
    ),
];

/// Macros of the headers that are no hooks.
const NO_HOOKS: [&str; 5] = [
    "TRACER_H",
    "TRACER_LIBURING_H",
    "TRACER_ALIGNOF",
    "TRACER_SETUP_SQE",
    "TRACER_SETUP_CQE",
];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|has| has == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn texts(folder: &str, ending: &str) -> String {
    let files = files(&here().join(folder), ending);
    files.iter().map(|path| read(path)).collect()
}

/// The programs in a file's documentation: those that are compiled.
fn programs(text: &str) -> String {
    let mut found = String::new();
    let mut is_inside = false;
    for line in text.lines() {
        let line = line.trim_start();
        let Some(line) = line.strip_prefix("///").or(line.strip_prefix("//!")) else {
            is_inside = false;
            continue;
        };
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            is_inside = !is_inside && matches!(kind, "" | "no_run" | "should_panic");
        } else if is_inside {
            found.push_str(line);
            found.push('\n');
        }
    }
    found
}

/// A word that stands alone.
fn has(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next())
    })
}

/// A method that is called or named with its type.
fn calls(text: &str, method: &str) -> bool {
    let of = |before: char| {
        let word = format!("{before}{method}");
        text.match_indices(&word).any(|(at, _)| {
            let behind = text[at + word.len()..].chars().next();
            !behind.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    };
    of('.') || of(':')
}

struct Item {
    /// The file's module, and where it is a method its name alone.
    path: String,
    name: String,
    is_method: bool,
    file: PathBuf,
}

/// What the sources declare as public, by their lines: rustfmt sees to it that each begins with `pub`.
fn items() -> Vec<Item> {
    let sources = here().join("src");
    let mut found = Vec::new();
    for file in files(&sources, "rs") {
        let module = file
            .strip_prefix(&sources)
            .expect("below it")
            .with_extension("");
        let module = module.to_str().expect("text").replace('/', "::");
        let module = module.trim_end_matches("::mod");
        let text = read(&file);
        // Not public, or hidden: the recorder, what stands for it, and what attributes write calls to.
        let hidden = [
            "recorder",
            "sanitizer",
            "inactive",
            "preload",
            "instrumented",
            "memory::inactive",
        ];
        let is_hidden = hidden.iter().any(|hidden| module.starts_with(hidden));
        if is_hidden || module.ends_with("attribute") || module.starts_with("memory::watch") {
            continue;
        }
        let public = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .expect("a part");
        let mut inner = String::new();
        for line in public.lines() {
            if let Some(name) = line
                .strip_prefix("mod ")
                .and_then(|rest| rest.strip_suffix(" {"))
            {
                inner = format!("{name}::");
            } else if line == "}" {
                inner.clear();
            }
            let declared = line.trim_start();
            let Some(mut rest) = declared.strip_prefix("pub ") else {
                continue;
            };
            while let Some(behind) = ["unsafe ", "const fn ", "async "]
                .iter()
                .find_map(|word| rest.strip_prefix(word))
            {
                let is_function = rest.starts_with("const fn ");
                rest = behind;
                if is_function {
                    break;
                }
            }
            let kinds = [
                "fn ", "struct ", "enum ", "trait ", "type ", "const ", "static ",
            ];
            let kind = kinds.iter().find(|kind| rest.starts_with(**kind));
            let is_constant_function = declared.contains("const fn ");
            let name = match kind {
                Some(kind) => &rest[kind.len()..],
                None if is_constant_function => rest,
                None => continue,
            };
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = &name[..end.unwrap_or(name.len())];
            let is_function = is_constant_function || kind == Some(&"fn ");
            found.push(Item {
                path: format!("{module}::{inner}{name}").replace("lib::", ""),
                name: name.to_owned(),
                is_method: is_function && line.starts_with(' '),
                file: file.clone(),
            });
        }
    }
    found
}

#[test]
fn every_public_item_has_an_example_that_runs() {
    let mut all = texts("examples", "rs");
    for page in ["../README.md", "../docs/test.md"] {
        all.push_str(&read(&here().join(page)));
    }
    let examples = all.clone();
    for file in files(&here().join("src"), "rs") {
        all.push_str(&programs(&read(&file)));
    }
    let items = items();
    // A reader of the sources that finds less has gone blind.
    assert!(items.len() >= 190, "{}", items.len());
    let mut used = BTreeSet::new();
    let mut missing = Vec::new();
    for item in &items {
        let is_shown = if item.is_method {
            // In its own module or the one around it: many types have a `new`.
            let parent = item.file.parent().expect("a folder").with_extension("rs");
            let mut near = programs(&read(&item.file));
            if parent.is_file() {
                near.push_str(&programs(&read(&parent)));
            }
            calls(&near, &item.name) || calls(&examples, &item.name)
        } else {
            has(&all, &item.name)
        };
        let excused = WITHOUT_AN_EXAMPLE
            .iter()
            .find(|(path, _)| item.path.starts_with(path));
        match (is_shown, excused) {
            (false, Some((path, _))) => {
                used.insert(*path);
            }
            (false, None) => missing.push(item.path.as_str()),
            (true, _) => {}
        }
    }
    assert!(
        missing.is_empty(),
        "public, and in no example that is compiled (write one, or say why not in this file): {missing:#?}"
    );
    for (path, _) in WITHOUT_AN_EXAMPLE {
        assert!(used.contains(path), "{path} has an example by now");
    }
}

/// What the crate has at its root: modules, functions, types and macros.
fn roots() -> BTreeSet<String> {
    let text = read(&here().join("src/lib.rs"));
    let mut found = BTreeSet::new();
    let text: Vec<&str> = text.lines().collect();
    let mut hidden = false;
    let mut at = 0;
    while at < text.len() {
        let line = text[at];
        at += 1;
        if line == "#[doc(hidden)]" {
            hidden = true;
        } else if let Some(rest) = line.strip_prefix("pub ") {
            let mut rest = rest.to_owned();
            while rest.starts_with("use ") && !rest.ends_with(';') {
                rest.push_str(text[at].trim());
                at += 1;
            }
            if !std::mem::take(&mut hidden) {
                let names = rest.trim_start_matches(|c| c != ' ');
                let names = names.rsplit("::").next().unwrap_or(names);
                let names = if rest.starts_with("use ") {
                    names
                } else {
                    names.split(['(', ';', '{']).next().unwrap_or(names)
                };
                let words = names.split(|c: char| !c.is_alphanumeric() && c != '_');
                found.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
            }
        }
    }
    found
}

#[test]
fn all_of_it_is_named_in_the_pages() {
    let pages: String = ["docs/probe.md", "docs/test.md", "README.md"]
        .map(|page| read(&here().join("..").join(page)))
        .concat();
    let roots = roots();
    assert!(roots.len() >= 35, "{roots:?}");
    let excused = WITHOUT_A_WORD.map(|(name, _)| name);
    let wrong: Vec<_> = roots
        .iter()
        .filter(|name| has(&pages, name) == excused.contains(&name.as_str()))
        .collect();
    assert!(
        wrong.is_empty(),
        "in no page (or in one, and said here not to be): {wrong:?}"
    );
}

#[test]
fn each_module_of_hooks_has_a_cost() {
    let bench = texts("../bench/src", "rs");
    let sources = read(&here().join("src/lib.rs"));
    let modules = sources.lines().filter_map(|line| {
        let name = line.strip_prefix("pub mod ")?.strip_suffix(';')?;
        (!["instrumented", "preload"].contains(&name)).then_some(name)
    });
    let modules: Vec<&str> = modules.collect();
    assert!(modules.len() >= 10, "{modules:?}");
    let is_excused = |name| WITHOUT_A_COST.iter().any(|(excused, _)| *excused == name);
    let wrong: Vec<_> = modules
        .into_iter()
        .filter(|name| bench.contains(&format!("probe::{name}")) == is_excused(*name))
        .collect();
    assert!(
        wrong.is_empty(),
        "without a line in bench/ (or with one, and said here to have none): {wrong:?}"
    );
}

#[test]
fn every_macro_of_the_headers_is_compiled_and_run() {
    let programs = texts("c/examples", "c") + &texts("c/examples", "cpp");
    let programs = programs + &texts("c/tests", "c") + &texts("c/tests", "cpp");
    let headers = texts("c/include", "h");
    let mut seen = 0;
    for line in headers.lines() {
        let Some(rest) = line.strip_prefix("#define TRACER_") else {
            continue;
        };
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let name = format!("TRACER_{}", &rest[..end.unwrap_or(rest.len())]);
        // With `_` at the end: for the others.
        if name.ends_with('_') || NO_HOOKS.contains(&name.as_str()) {
            continue;
        }
        seen += 1;
        assert!(
            has(&programs, &name),
            "no program in c/examples or c/tests uses {name}"
        );
    }
    assert!(seen >= 50, "{seen}");
}
