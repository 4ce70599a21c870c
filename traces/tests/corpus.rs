//! Every trace in `corpus/` beside its expected verdict, and the table of them in its README.
//! `UPDATE_EXPECT=1 cargo test -p tracer-traces --test corpus` writes both anew: read the difference
//! before you commit it.
//!
//! A trace begins with comments: what it shows, then `# rules:` (the causes that must be found, or none),
//! and where they apply `# source:` (where that bug was reported) and `# mends:` (the trace of the bug
//! that this one has not).

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::same::assert_same;
use traces::{Trace, report};

fn traces() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut found: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "trace")
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no traces in {}", folder.display());
    found
}

#[test]
fn verdicts_are_as_expected() {
    let mut wrong = Vec::new();
    for path in traces() {
        let text = fs::read_to_string(&path).unwrap();
        let trace = match Trace::parse_text(&text) {
            Ok(trace) => trace,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        assert_same(&trace, &Trace::check_text(&text).unwrap());
        let code = trace.verdict().exit_code();
        let verdict = format!("{}exit code {code}\n", report::text(&trace, 80));
        let beside = path.with_extension("verdict");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&beside, &verdict).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if verdict != expected {
            wrong.push(format!(
                "{}\n--- is\n{verdict}--- should be\n{expected}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_trace_names_the_rules_it_is_about() {
    let mut wrong = Vec::new();
    for path in traces() {
        let text = fs::read_to_string(&path).unwrap();
        let trace = Trace::parse_text(&text).unwrap();
        let said = text
            .lines()
            .find_map(|line| line.strip_prefix("# rules:"))
            .map(str::trim);
        let heads: Vec<String> = trace
            .verdict()
            .stories
            .iter()
            .map(|story| story.head.rule.to_string())
            .collect();
        let heads = if heads.is_empty() {
            "none".to_owned()
        } else {
            heads.join(" ")
        };
        if said != Some(heads.as_str()) {
            wrong.push(format!("{}: {said:?}, found {heads}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn printing_is_undone_by_reading() {
    for path in traces() {
        let trace = Trace::parse_text(&fs::read_to_string(&path).unwrap()).unwrap();
        let again = Trace::parse_text(&trace.to_text()).unwrap();
        assert_eq!(again.to_text(), trace.to_text(), "{}", path.display());
        assert_eq!(
            report::text(&again, 80),
            report::text(&trace, 80),
            "{}",
            path.display()
        );
    }
}

/// What the comments at the head of a trace say.
struct Head {
    name: String,
    what: String,
    source: Option<String>,
    mends: Option<String>,
    rules: String,
}

fn head(path: &Path) -> Head {
    let text = fs::read_to_string(path).unwrap();
    let comments: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("# "))
        .collect();
    let key = |key: &str| {
        let said = comments.iter().find_map(|line| line.strip_prefix(key));
        said.map(|said| said.trim().to_owned())
    };
    let keyed = |line: &&&str| {
        ["rules:", "source:", "mends:"]
            .iter()
            .any(|k| line.starts_with(k))
    };
    let what: Vec<&str> = comments
        .iter()
        .filter(|line| !keyed(line))
        .copied()
        .collect();
    Head {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        what: what.join(" "),
        source: key("source:"),
        mends: key("mends:"),
        rules: key("rules:").unwrap_or_default(),
    }
}

/// The rules that each finding of a trace brought up, consequences included.
fn folded(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let text = fs::read_to_string(path.with_extension("trace")).unwrap();
    let trace = Trace::parse_text(&text).unwrap();
    let mut folded: Vec<String> = Vec::new();
    for finding in trace
        .verdict()
        .stories
        .iter()
        .flat_map(|story| &story.folded)
    {
        let rule = finding.rule.to_string();
        if !folded.contains(&rule) {
            folded.push(rule);
        }
    }
    folded.join(" ")
}

fn readme() -> String {
    let heads: Vec<Head> = traces().iter().map(|path| head(path)).collect();
    let mended = |name: &str| {
        let mends = heads
            .iter()
            .find(|head| head.mends.as_deref() == Some(name));
        mends.map_or(String::new(), |head| format!("[{0}]({0}.trace)", head.name))
    };
    let mut out = "# The corpus

Traces that the rules are held to, each beside the verdict that it must give. This page is made from what
the traces say of themselves; `UPDATE_EXPECT=1 cargo test -p tracer-traces --test corpus` writes it anew.

## Bugs that were reported

Written as traces after the report, reduced to the events that matter; the mended form beside each must
raise nothing. \"Folded under it\" are the consequences that the story tells.

| bug | reported as | found as | folded under it | mended |
|---|---|---|---|---|
"
    .to_owned();
    for head in heads.iter().filter(|head| head.mends.is_none()) {
        let Some(source) = &head.source else { continue };
        out.push_str(&format!(
            "| [{}]({}.trace) | {source} | {} | {} | {} |\n",
            head.what,
            head.name,
            head.rules,
            folded(&head.name),
            mended(&head.name)
        ));
    }
    out.push_str("\n## Others\n\n| trace | what it shows | found as | folded under it |\n|---|---|---|---|\n");
    for head in &heads {
        if head.source.is_none() && head.mends.is_none() {
            out.push_str(&format!(
                "| [{0}]({0}.trace) | {1} | {2} | {3} |\n",
                head.name,
                head.what,
                head.rules,
                folded(&head.name)
            ));
        }
    }
    out
}

#[test]
fn the_table_of_the_corpus_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/README.md");
    let is = readme();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &is).unwrap();
    }
    let said = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        said == is,
        "{} is out of date: run this test with UPDATE_EXPECT=1",
        path.display()
    );
}

#[test]
fn each_reported_bug_stands_beside_its_mended_form() {
    let heads: Vec<Head> = traces().iter().map(|path| head(path)).collect();
    for head in &heads {
        if head.source.is_some() {
            let mended = heads
                .iter()
                .find(|other| other.mends.as_ref() == Some(&head.name));
            let mended = mended.unwrap_or_else(|| panic!("{} has no mended form", head.name));
            assert_eq!(mended.rules, "none", "{}", mended.name);
            assert_ne!(head.rules, "none", "{}", head.name);
        } else if let Some(bug) = &head.mends {
            assert!(heads.iter().any(|other| other.name == *bug), "{bug}");
        }
    }
}

#[test]
fn each_rule_heads_a_trace() {
    let heads: Vec<Head> = traces().iter().map(|path| head(path)).collect();
    for rule in traces::rules::ALL {
        let id = rule.id.to_string();
        let found = heads
            .iter()
            .any(|head| head.rules.split(' ').any(|r| r == id));
        assert!(found, "{id} heads no trace");
    }
}
