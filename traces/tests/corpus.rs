//! Every trace in `corpus/` beside its expected verdict. `UPDATE_EXPECT=1 cargo test -p tracer-traces
//! --test corpus` writes the verdicts anew: read the difference before you commit it.

use std::fs;
use std::path::{Path, PathBuf};

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
        assert_eq!(said, Some(heads.as_str()), "{}", path.display());
    }
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
