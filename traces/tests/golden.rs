//! What `stats`, `diff` and `explain` print, of every trace of the corpus and of every rule.
//! `UPDATE_EXPECT=1 cargo test -p tracer-traces --test golden` writes them anew: read the difference before you
//! commit it.

use std::fs;
use std::path::{Path, PathBuf};

use traces::Trace;
use traces::report::Line;
use traces::stats::Stats;

/// Columns of all of them.
const WIDTH: usize = 100;

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Names, texts and traces of the corpus, by name.
fn corpus() -> Vec<(String, String, Trace)> {
    let entries = fs::read_dir(home().join("corpus")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "trace"));
    paths.sort();
    assert!(paths.len() > 100, "{}", paths.len());
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        let trace = Trace::parse_text(&text).unwrap();
        (name, text, trace)
    };
    paths.iter().map(read).collect()
}

fn section(title: &str, lines: &[Line]) -> String {
    let lines: String = lines
        .iter()
        .map(|line| format!("{}\n", line.text))
        .collect();
    format!("== {title}\n{lines}\n")
}

#[track_caller]
fn is_as_expected(name: &str, printed: &str) {
    let path = home().join("tests/golden").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, printed).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let different = printed
        .lines()
        .zip(expected.lines())
        .find(|(is, was)| is != was);
    assert!(
        printed == expected,
        "{name} is not as expected (UPDATE_EXPECT=1 rewrites it); the first difference: {different:#?}"
    );
}

#[test]
fn stats_of_every_trace() {
    let sections = corpus()
        .iter()
        .fold(String::new(), |all, (name, _, trace)| {
            let lines = traces::stats::lines(&Stats::of(trace), WIDTH);
            all + &section(name, &lines)
        });
    is_as_expected("stats.txt", &sections);
}

#[test]
fn diff_of_every_bug_with_its_mended_form() {
    let corpus = corpus();
    let mut sections = String::new();
    for (name, text, mended) in &corpus {
        let Some(bug) = text.lines().find_map(|line| line.strip_prefix("# mends: ")) else {
            continue;
        };
        let bug = bug.trim().trim_end_matches(".trace");
        let (_, _, before) = corpus
            .iter()
            .find(|other| other.0 == bug)
            .unwrap_or_else(|| panic!("{name} mends {bug}, which is not there"));
        let (was, is) = (Stats::of(before), Stats::of(mended));
        let diff = traces::diff::diff((before.verdict(), &was), (mended.verdict(), &is));
        sections += &section(
            &format!("{bug} -> {name}"),
            &traces::diff::lines(&diff, WIDTH),
        );
    }
    assert!(sections.matches("\n== ").count() > 40, "{sections}");
    is_as_expected("diff.txt", &sections);
}

#[test]
fn explanation_of_every_rule() {
    let sections = traces::rules::ALL.iter().fold(String::new(), |all, rule| {
        let text = traces::rules::explain(rule, WIDTH);
        all + &format!("== {}\n{text}\n", rule.id)
    });
    is_as_expected("explain.txt", &sections);
}
