//! What is found without the probe, in `docs/levels.md`: which rules see how far at each capture level, and what of the
//! gallery of mistakes the shim still finds in the same programs, built without the probe. The page is written from runs
//! (`UPDATE_EXPECT=1` writes it), and must say what they show.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;

use demo_runtime::ring::RingKind;
use traces::Trace;
use traces::finding::Confidence;
use traces::recording::Capture;

use crate::support::{has_io_uring, read, record, run, scenario, tracer};

/// The gallery, built without the probe: a folder of its own, since features are united over a workspace.
pub(crate) fn bare() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare");
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--quiet", "--offline", "--locked"])
        .args(["-p", "demo-runtime", "--no-default-features"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(root);
    // Not within the time that programs are given.
    let built = build.status().unwrap();
    assert!(built.success(), "the gallery without the probe: {built}");
    target.join("debug/demo-runtime")
}

/// What a trace's verdict names, each once: rules, and how sure they are.
fn found(trace: &Trace) -> String {
    let stories = trace.verdict().stories.iter();
    let mut found: Vec<String> = stories
        .map(|story| {
            let sure = match story.head.confidence {
                Confidence::Suspected => "suspected",
                Confidence::Observed => "observed",
                Confidence::Proved => "proved",
            };
            format!("{} ({sure})", story.head.rule)
        })
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return "-".to_owned();
    }
    found.join(", ")
}

/// What `--uprobes` finds in a program of the gallery that was built without the probe.
fn found_by_uprobes(folder: &Path, words: &[std::ffi::OsString]) -> String {
    let cleared = &crate::uprobes::CLEARED;
    let _shared = cleared.read().unwrap_or_else(PoisonError::into_inner);
    let mut recorder = tracer(folder);
    recorder.args(["record", "--uprobes", "--"]).args(words);
    run(&mut recorder).exits(0);
    found(&read(&folder.join("trace.bin")))
}

/// What the page says that `--uprobes` finds, where that cannot be tried.
fn documented(page: &str, row: &str) -> String {
    let line = page.lines().find_map(|line| line.strip_prefix(row));
    let cell = line.and_then(|rest| rest.strip_suffix(" |"));
    cell.unwrap_or("").trim().to_owned()
}

#[track_caller]
fn recorded(folder: &Path, words: Vec<std::ffi::OsString>, capture: Capture) -> Trace {
    run(&mut record(folder, words)).exits(0);
    let trace = read(&folder.join("trace.bin"));
    let captures = trace.recording().processes.iter();
    assert!(captures.clone().count() > 0);
    for process in captures {
        assert_eq!(process.capture, capture);
    }
    trace
}

fn page(folder: &Path, before: &str) -> String {
    let bare = bare();
    let may_probe = crate::uprobes::may_probe("the gallery by --uprobes");
    let table = run(tracer(folder).args(["explain", "levels"])).exits(0);
    let mut page = format!(
        "# What is found without the probe\n\n\
         Written by a test (`UPDATE_EXPECT=1 cargo test -p tracer --test end_to_end levels`), which runs all of it and \
         holds this page against what it shows.\n\n\
         ## Rules\n\n\
         `tracer explain levels`:\n\n\
         ```text\n{}```\n\n\
         ## The gallery, with and without the probe\n\n\
         The programs of `tracer demo`: as they are, and built without the probe (`cargo build -p demo-runtime \
         --no-default-features`) and recorded all the same (`tracer record -- target/debug/demo-runtime NAME`). On a \
         ring that copies entries (`crate`) and on one that fills its slots in place (`inplace`). `-`: nothing was \
         found; the last column is `record --uprobes`, of a debug build (`not run`: programs under load take minutes so). The mended programs are in it too: nothing is to \
         be found in them at any level.\n\n\
         | program | ring | what it shows | with the probe | by preload | and by uprobes |\n\
         |---|---|---|---|---|---|\n",
        table.stdout()
    );
    let gallery = demo_runtime::scenarios().iter();
    for one in gallery.filter(|scenario| !scenario.hidden) {
        for ring in [RingKind::Crate, RingKind::InPlace] {
            if !one.rings.contains(&ring) {
                continue;
            }
            let ring_name = ring.to_string();
            let ways: &[&[&str]] = match one.rule {
                Some(_) => &[&[], &["--fixed"]],
                None => &[&[]],
            };
            for way in ways {
                let arguments = [&[one.name, "--ring", &ring_name], *way].concat();
                let linked = recorded(folder, scenario(&arguments), Capture::Linked);
                let words = std::iter::once(bare.clone().into_os_string());
                let words: Vec<_> = words.chain(arguments.iter().map(Into::into)).collect();
                let by_shim = recorded(folder, words.clone(), Capture::Preload);
                assert!(by_shim.verdict().summary.operations > 0, "{arguments:?}");
                let (about, name) = match way.first() {
                    Some(fixed) => ("mended", format!("{} {fixed}", one.name)),
                    None => (one.about, one.name.to_owned()),
                };
                let (linked, by_shim) = (found(&linked), found(&by_shim));
                let row = format!("| {name} | {ring_name} | {about} | {linked} | {by_shim} |");
                let by_uprobes = match one.rule {
                    None => "not run".to_owned(),
                    Some(_) if may_probe => found_by_uprobes(folder, &words),
                    Some(_) => documented(before, &row),
                };
                if one.rule.is_none() || !way.is_empty() {
                    assert_eq!(
                        (&*linked, &*by_shim),
                        ("-", "-"),
                        "{name}: nothing is wrong"
                    );
                    assert!(
                        ["-", "not run"].contains(&&*by_uprobes),
                        "{name}: nothing is wrong"
                    );
                }
                writeln!(page, "{row} {by_uprobes} |").unwrap();
            }
        }
    }
    page
}

#[test]
fn levels_are_documented_as_runs_show_them() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/levels.md");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let got = page(folder.path(), &before);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &got).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, wanted, "UPDATE_EXPECT=1 writes what is found now");
}
