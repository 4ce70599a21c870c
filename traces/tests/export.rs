//! What reports say to machines: every trace of the corpus in every form, held against the schemas.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quick_junit::{NonSuccessKind, TestCaseStatus};
use serde_json::{Value, json};
use traces::Trace;
use traces::export::{Form, Report, Root};
use traces::selection::{Selection, Why};
use traces::stats::Stats;

const SCHEMA: &str = include_str!("../schema/report.json");

fn corpus() -> Vec<(String, Trace)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "trace"))
        .collect();
    paths.sort();
    assert!(paths.len() > 100, "{}", paths.len());
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        (name, Trace::parse_text(&text).unwrap())
    };
    paths.iter().map(read).collect()
}

fn report(name: &str, trace: &Trace) -> Report {
    let mut report = Report::new("1.2.3");
    report.add(name, trace, &Selection::all(trace), Root(None));
    report
}

fn written(report: &Report, form: Form) -> String {
    let mut bytes = Vec::new();
    report.write(form, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A schema in which every member must be named, so that none goes undocumented.
fn strict(mut schema: Value) -> Value {
    fn close(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.values_mut().for_each(close);
                if members.contains_key("properties") {
                    members.insert("additionalProperties".to_owned(), json!(false));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(close),
            _ => {}
        }
    }
    close(&mut schema);
    schema
}

#[track_caller]
fn valid(validator: &jsonschema::Validator, name: &str, value: &Value) {
    let wrong: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{name}: {}", wrong.join("\n"));
}

#[test]
fn json_is_what_its_schema_says() {
    let schema = strict(serde_json::from_str(SCHEMA).unwrap());
    let document = jsonschema::validator_for(&schema).unwrap();
    let mut of_line = json!({ "$ref": "#/$defs/line" });
    of_line["$defs"] = schema["$defs"].clone();
    let line = jsonschema::validator_for(&of_line).unwrap();
    for (name, trace) in corpus() {
        let report = report(&name, &trace);
        let value: Value = serde_json::from_str(&written(&report, Form::Json)).unwrap();
        valid(&document, &name, &value);
        let told = &value["traces"][0];
        assert_eq!(told["exit_code"], trace.verdict().exit_code());
        let lines = written(&report, Form::Jsonl);
        assert_eq!(lines.lines().count(), trace.verdict().stories.len());
        for (index, text) in lines.lines().enumerate() {
            let mut value: Value = serde_json::from_str(text).unwrap();
            valid(&line, &name, &value);
            assert_eq!(value["file"], name.as_str());
            let members = value.as_object_mut().unwrap();
            members.remove("file");
            members.remove("schema_version");
            assert_eq!(value, told["findings"][index], "{name}");
        }
    }
}

#[test]
fn numbers_and_differences_are_what_their_schemas_say() {
    let validator = |text: &str| {
        let schema = strict(serde_json::from_str(text).unwrap());
        jsonschema::validator_for(&schema).unwrap()
    };
    let of_stats = validator(include_str!("../schema/stats.json"));
    let of_diff = validator(include_str!("../schema/diff.json"));
    let corpus = corpus();
    let (_, clean) = &corpus[0];
    let (mut rings, mut moved, mut found) = (0, 0, 0);
    for (name, trace) in &corpus {
        let stats = Stats::of(trace);
        let value = serde_json::to_value(&stats).unwrap();
        valid(&of_stats, name, &value);
        rings += value["rings"].as_array().unwrap().len();
        let others = Stats::of(clean);
        let sides = (clean.verdict(), &others);
        let diff = traces::diff::diff(sides, (trace.verdict(), &stats));
        let value = serde_json::to_value(&diff).unwrap();
        valid(&of_diff, name, &value);
        moved += value["moved"].as_array().unwrap().len();
        found += value["new"].as_array().unwrap().len();
    }
    assert!(
        rings > 0 && moved > 0 && found > 0,
        "{rings} {moved} {found}"
    );
    // What lacks a member is noticed.
    let mut value = serde_json::to_value(Stats::of(clean)).unwrap();
    value.as_object_mut().unwrap().remove("threads");
    assert!(!of_stats.is_valid(&value));
}

#[test]
fn a_schema_that_lacks_a_member_is_noticed() {
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    schema["$defs"]["summary"]["properties"]
        .as_object_mut()
        .unwrap()
        .remove("events");
    let validator = jsonschema::validator_for(&strict(schema)).unwrap();
    let (name, trace) = corpus().swap_remove(0);
    let value: Value = serde_json::from_str(&written(&report(&name, &trace), Form::Json)).unwrap();
    assert!(!validator.is_valid(&value));
}

#[test]
fn a_trace_that_could_not_be_read_is_in_every_report() {
    let mut report = Report::new("1.2.3");
    report.add_unreadable("x\u{1b}[2J.bin", "not a trace: \u{1} & <b>");
    let schema = strict(serde_json::from_str(SCHEMA).unwrap());
    let value: Value = serde_json::from_str(&written(&report, Form::Json)).unwrap();
    valid(
        &jsonschema::validator_for(&schema).unwrap(),
        "unreadable",
        &value,
    );
    for form in [
        Form::Json,
        Form::Sarif,
        Form::Junit,
        Form::Github,
        Form::Markdown,
    ] {
        let text = written(&report, form);
        assert!(text.contains("not a trace"), "{form:?}: {text}");
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{1}'),
            "{form:?}: {text}"
        );
    }
    let sarif: Value = serde_json::from_str(&written(&report, Form::Sarif)).unwrap();
    assert_eq!(
        sarif["runs"][0]["invocations"][0]["executionSuccessful"],
        false
    );
}

/// The official schema, from the sources of the crate that carries it.
fn sarif_schema() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            // What is not here yet for this platform is fetched; nothing else is needed.
            "--locked",
            "--filter-platform",
            &format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let carrier = packages
        .iter()
        .find(|package| package["name"] == "serde-sarif");
    let manifest = carrier.unwrap()["manifest_path"].as_str().unwrap();
    let path = Path::new(manifest)
        .with_file_name("src")
        .join("schema.json");
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    // The pattern of a run's language has a bracket too many, which validators refuse. We set no language.
    for owner in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][owner]["properties"]["language"];
        assert!(
            language
                .as_object_mut()
                .unwrap()
                .remove("pattern")
                .is_some()
        );
    }
    schema
}

#[test]
fn sarif_is_what_the_standard_says() {
    let schema = sarif_schema();
    assert!(schema["title"].as_str().unwrap().contains("2.1.0"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, trace) in corpus() {
        let value: Value =
            serde_json::from_str(&written(&report(&name, &trace), Form::Sarif)).unwrap();
        valid(&validator, &name, &value);
        let run = &value["runs"][0];
        let results = run["results"].as_array().unwrap();
        let stories = &trace.verdict().stories;
        assert_eq!(results.len(), stories.len(), "{name}");
        for (result, story) in results.iter().zip(stories) {
            let print = format!("{:#018x}", story.head.fingerprint);
            assert_eq!(
                result["partialFingerprints"]["tracerFinding/v1"],
                print.as_str()
            );
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(
                run["tool"]["driver"]["rules"][index]["id"],
                result["ruleId"]
            );
            orders_are_those_of_the_biography(&name, result);
        }
    }
    let broken = json!({ "version": "2.1.0", "runs": [{ "results": [] }] });
    assert!(
        !validator.is_valid(&broken),
        "a run without a tool is not SARIF"
    );
}

/// Each step once, over all threads.
fn orders_are_those_of_the_biography(name: &str, result: &Value) {
    let flows = result["codeFlows"][0]["threadFlows"].as_array().unwrap();
    let mut orders: Vec<u64> = Vec::new();
    for flow in flows {
        let steps = flow["locations"].as_array().unwrap();
        let within: Vec<u64> = steps
            .iter()
            .map(|it| it["executionOrder"].as_u64().unwrap())
            .collect();
        assert!(within.is_sorted(), "{name}: {within:?}");
        orders.extend(within);
    }
    orders.sort_unstable();
    assert_eq!(
        orders,
        (1..=orders.len() as u64).collect::<Vec<_>>(),
        "{name}"
    );
}

#[test]
fn sarif_paths_are_relative_below_the_root() {
    let trace = Trace::parse_text(
        "process 0 pid=1 end=exit:0
        1 main leak 0x1000 Conn /home/me/my%20app/src/conn.rs:8 owner=Rc
        2 main reclaim 0x1000 Conn /home/me/my%20app/src/conn.rs:9 owner=Rc
        3 main reclaim 0x1000 Conn /usr/src/other.rs:10 owner=Rc",
    )
    .unwrap();
    let mut report = Report::new("1.2.3");
    report.add(
        "t.bin",
        &trace,
        &Selection::all(&trace),
        Root(Some("/home/me/")),
    );
    let text = written(&report, Form::Sarif);
    assert!(
        text.contains("\"uri\": \"my%2520app/src/conn.rs\""),
        "{text}"
    );
    assert!(
        text.contains("\"uri\": \"file:///usr/src/other.rs\""),
        "{text}"
    );
    assert!(written(&report, Form::Json).contains("\"file\": \"my%20app/src/conn.rs\""));
}

#[test]
fn junit_has_a_case_for_each_rule_and_a_failure_for_each_finding() {
    for (name, trace) in corpus() {
        let text = written(&report(&name, &trace), Form::Junit);
        assert_eq!(text.matches("<testsuite ").count(), 1, "{text}");
        let stories = &trace.verdict().stories;
        assert_eq!(text.matches("<failure ").count(), stories.len(), "{text}");
        for rule in traces::rules::ALL {
            assert!(
                text.contains(&format!("name=\"{} {}", rule.id, rule.name)),
                "{text}"
            );
        }
        let asked: std::collections::BTreeSet<_> = trace
            .verdict()
            .cannot_tell
            .iter()
            .map(|question| question.rule)
            .filter(|rule| stories.iter().all(|story| story.head.rule != *rule))
            .collect();
        assert_eq!(text.matches("<skipped").count(), asked.len(), "{text}");
    }
}

/// A dashboard that knows tests by name gets no row for each rule of each test, and finds the test's own in every run.
#[test]
fn junit_of_a_test_has_cases_of_its_name() {
    let cases = |trace: &Trace, attempt: &str| {
        let mut report = report("t.bin", trace);
        report.traces[0].run = Some(traces::export::RunEntry {
            by: "nextest".into(),
            package: "rio".into(),
            binary: "rio::net".into(),
            what: "tests".into(),
            test: "cancel::late".into(),
            attempt: attempt.into(),
            attempt_id: String::new(),
        });
        let text = written(&report, Form::Junit);
        assert!(text.contains("value=\"t.bin\""), "{text}");
        let read = quick_junit::Report::deserialize_from_str(&text).unwrap();
        let suite = read.test_suites.into_iter().next().unwrap();
        for case in &suite.test_cases {
            assert_eq!(case.classname.as_deref(), Some("rio::net"), "{text}");
        }
        assert_eq!(suite.test_cases[0].name.as_str(), "cancel::late", "{text}");
        (suite, text)
    };
    let clean = "process 0 pid=1 end=exit:0\n1 main leak 0x1000 Conn c.rs:8\n2 main reclaim 0x1000 Conn c.rs:9\n";
    let (passed, text) = cases(&Trace::parse_text(clean).unwrap(), "1");
    assert_eq!(passed.name.as_str(), "rio::net cancel::late");
    assert_eq!(passed.test_cases.len(), 1, "{text}");
    assert!(
        matches!(passed.test_cases[0].status, TestCaseStatus::Success { .. }),
        "{text}"
    );

    // What was not found out is told at the test's own case, and is no row of its own.
    let lossy = "process 0 pid=1 end=exit:0\n1 main leak 0x1000 Conn c.rs:8 owner=Rc\n5 main lost 1 removed\n9 main reclaim 0x1000 Conn c.rs:9 owner=Box\n";
    let trace = Trace::parse_text(lossy).unwrap();
    let asked = &trace.verdict().cannot_tell;
    assert!(!asked.is_empty() && trace.verdict().stories.is_empty());
    let (skipped, text) = cases(&trace, "1");
    assert_eq!(skipped.test_cases.len(), 1, "{text}");
    let status = &skipped.test_cases[0].status;
    assert!(matches!(status, TestCaseStatus::Skipped { .. }), "{text}");
    for question in asked {
        assert!(text.contains(&format!("{} ", question.rule)), "{text}");
    }

    // A test that ran twice has a suite for each time.
    let trace = many(2);
    let (failed, text) = cases(&trace, "2");
    assert_eq!(failed.name.as_str(), "rio::net cancel::late (attempt 2)");
    let attempt = failed
        .properties
        .iter()
        .find(|it| it.name.as_str() == "attempt");
    assert_eq!(attempt.map(|it| it.value.as_str()), Some("2"), "{text}");
    assert_eq!(failed.test_cases.len(), 3, "{text}");
    let TestCaseStatus::NonSuccess {
        kind: NonSuccessKind::Failure,
        message,
        description,
        ..
    } = &failed.test_cases[0].status
    else {
        panic!("{text}");
    };
    let [first, second] = [0, 1].map(|at| &trace.verdict().stories[at].head.message);
    assert_eq!(message.as_deref(), Some(first.as_str()));
    let others = description.as_deref().unwrap();
    assert!(others.contains(second.as_str()), "{text}");
    for case in &failed.test_cases[1..] {
        assert!(case.name.starts_with("cancel::late T08 "), "{text}");
    }
}

/// Stories of different places: more of a kind than GitHub shows.
fn many(count: u64) -> Trace {
    let mut text = "process 0 pid=1 end=exit:0\n".to_owned();
    for index in 0..count {
        let (at, address) = (index * 10, 0x1000 + index * 64);
        for (offset, kind) in [(1, "leak"), (2, "reclaim"), (3, "reclaim")] {
            let at = at + offset;
            text.push_str(&format!(
                "{at} main {kind} {address:#x} Conn{index} f{index}.rs:8\n"
            ));
        }
    }
    Trace::parse_text(&text).unwrap()
}

#[test]
fn github_gets_ten_of_a_kind_and_hears_of_the_rest() {
    let trace = many(12);
    assert_eq!(trace.verdict().stories.len(), 12);
    let text = written(&report("t.bin", &trace), Form::Github);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 10, "{text}");
    assert!(
        lines.iter().all(|line| line.starts_with("::error ")),
        "{text}"
    );
    assert!(
        lines[0].starts_with("::error file=f0.rs,line=8,title=T08 reclaimed-twice (observed)::"),
        "{text}"
    );
    assert_eq!(
        lines[9],
        "::error title=tracer::and 3 more: see the step's summary"
    );
    let ten = written(&report("t.bin", &many(10)), Form::Github);
    assert_eq!(ten.matches("title=T08").count(), 10);
    assert!(!ten.contains("more:"));
}

#[test]
fn a_summary_keeps_to_its_limit_and_says_what_is_missing() {
    let trace = many(40);
    let report = report("t.bin", &trace);
    let whole = written(&report, Form::Markdown);
    assert_eq!(whole.matches("\n## T08").count(), 40);
    let mut cut = Vec::new();
    report.write_summary(whole.len() / 2, &mut cut).unwrap();
    let cut = String::from_utf8(cut).unwrap();
    assert!(cut.len() <= whole.len() / 2);
    let told = cut.matches("\n## T08").count();
    assert!((10..40).contains(&told), "{told}");
    assert!(
        cut.ends_with(&format!(
            "And {} more sections that found no room here.\n",
            40 - told
        )),
        "{cut}"
    );
}

#[test]
fn texts_of_a_trace_stay_texts() {
    let trace = Trace::parse_text(
        "process 0 pid=1 end=exit:0
        1 main leak 0x1000 type=\"Evil|<script>\" file=\"a,b:c.rs\" line=3
        2 main reclaim 0x1000 type=\"Evil|<script>\" file=\"a,b:c.rs\" line=3
        3 main reclaim 0x1000 type=\"Evil|<script>\" file=\"a,b:c.rs\" line=3",
    )
    .unwrap();
    let report = report("t|x.bin", &trace);
    assert!(written(&report, Form::Github).starts_with("::error file=a%2Cb%3Ac.rs,line=3,"));
    let markdown = written(&report, Form::Markdown);
    assert!(markdown.contains("| t\\|x.bin |"), "{markdown}");
    let outside: String = markdown.split("````").step_by(2).collect();
    assert!(!outside.contains("<script>"), "{markdown}");
    let junit = written(&report, Form::Junit);
    assert!(!junit.contains("<script>"), "{junit}");
}

/// Two faults of one shape in one file: at lines of their own, with one fingerprint.
fn twins() -> Trace {
    let trace = Trace::parse_text(
        "process 0 pid=1 end=exit:0
        1 main leak 0x1000 Conn conn.rs:8
        2 main reclaim 0x1000 Conn conn.rs:9
        3 main reclaim 0x1000 Conn conn.rs:9
        4 main leak 0x2000 Conn conn.rs:18
        5 main reclaim 0x2000 Conn conn.rs:19
        6 main reclaim 0x2000 Conn conn.rs:19",
    )
    .unwrap();
    let stories = &trace.verdict().stories;
    assert_eq!(stories.len(), 2, "{stories:#?}");
    assert_eq!(stories[0].head.fingerprint, stories[1].head.fingerprint);
    trace
}

#[test]
fn junit_names_are_apart_for_faults_of_one_shape() {
    let text = written(&report("t.bin", &twins()), Form::Junit);
    let mut names: Vec<&str> = text
        .split("<testcase name=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let all = names.len();
    assert!(all > traces::rules::ALL.len(), "{text}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{text}");
}

#[test]
fn what_was_left_out_is_said_in_each_form_s_own_way() {
    let trace = twins();
    let mut selection = Selection::all(&trace);
    let mut number = 0;
    selection.put_aside(Why::Suppressed, |_| {
        number += 1;
        (number == 1).then(|| "kept | for ever".to_owned())
    });
    selection.put_aside(Why::Known, |_| Some("known.json".to_owned()));
    selection.left_out.by_filter = 3;
    let mut report = Report::new("1.2.3");
    report.add("t.bin", &trace, &selection, Root(None));
    let text = written(&report, Form::Sarif);
    let sarif: Value = serde_json::from_str(&text).unwrap();
    valid(
        &jsonschema::validator_for(&sarif_schema()).unwrap(),
        "sarif",
        &sarif,
    );
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let why: Vec<&str> = results
        .iter()
        .map(|it| it["suppressions"][0]["justification"].as_str().unwrap())
        .collect();
    assert_eq!(
        why,
        ["suppressed: kept | for ever", "in the baseline: known.json"]
    );
    let words = "3 by the filter, 1 suppressed, 1 in the baseline";
    assert!(
        text.contains(&format!("t.bin: findings left out: {words}")),
        "{text}"
    );
    let junit = written(&report, Form::Junit);
    for part in [
        "<property name=\"left-out-by-filter\" value=\"3\"",
        "<property name=\"suppressed\" value=\"1\"",
        "<property name=\"in-baseline\" value=\"1\"",
        "(suppressed: kept | for ever)",
        "(in the baseline: known.json)",
    ] {
        assert!(junit.contains(part), "{part} in {junit}");
    }
    let markdown = written(&report, Form::Markdown);
    assert!(
        markdown.contains(&format!("Left out of t.bin: {words}.")),
        "{markdown}"
    );
    // Nothing was left out: nothing is said.
    let all = self::report("t.bin", &trace);
    for form in [Form::Sarif, Form::Junit, Form::Markdown] {
        let text = written(&all, form).to_lowercase();
        assert!(
            !text.contains("left out") && !text.contains("suppress"),
            "{text}"
        );
    }
}
