//! What `check` says to machines: one look at the traces, several reports, each where it was asked for.

use std::path::Path;

use serde_json::Value;
use wire::payload::pair;
use wire::record::{Kind, Owner};

use crate::support::{demo_trace, run, tracer};

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn several_reports_come_from_one_look() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    let ran = run(tracer(folder.path())
        .arg("check")
        .arg(&path)
        .arg("--report=json=out.json")
        .arg("--report=jsonl=out.jsonl")
        .args(["--report", "sarif=out.sarif", "--report", "junit=out.xml"])
        .args(["--report", "markdown=out.md", "--report", "text=out.txt"]))
    .exits(1)
    .prints("T02 leftover-cookie");
    assert_eq!(ran.stderr, "");
    let report = json(&read(folder.path(), "out.json"));
    let finding = &report["traces"][0]["findings"][0];
    assert_eq!(finding["rule"], "T02");
    let print = finding["fingerprint"].as_str().unwrap();
    let site = &finding["site"];
    assert!(
        site["file"].as_str().unwrap().ends_with("driver.rs"),
        "{site}"
    );

    let sarif = json(&read(folder.path(), "out.sarif"));
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["partialFingerprints"]["tracerFinding/v1"], print);
    let line = json(&read(folder.path(), "out.jsonl"));
    assert_eq!(line["fingerprint"], print);
    assert!(read(folder.path(), "out.xml").contains(print));
    assert!(read(folder.path(), "out.md").contains(print));
    assert!(read(folder.path(), "out.txt").contains("T02 leftover-cookie"));
}

#[test]
fn a_form_takes_stdout_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    let check = || {
        let mut command = tracer(folder.path());
        command.arg("check").arg(&path);
        command
    };
    let ran = run(check().args(["--format", "json"])).exits(1);
    assert_eq!(json(ran.stdout())["traces"][0]["exit_code"], 1);
    let same = run(check().args(["--report", "json"])).exits(1);
    assert_eq!(same.stdout(), ran.stdout());
    for wrong in [
        ["--format=json", "--report=sarif"],
        ["--format=text", "--report=json=-"],
    ] {
        let ran = run(check().args(wrong)).exits(2);
        assert_eq!(ran.says("cannot both be printed").stdout(), "");
    }
    run(check().arg("--format=jsno"))
        .exits(2)
        .says("did you mean `json`?");
    run(check().arg("--report=json=no/such/folder/x.json"))
        .exits(2)
        .says("cannot write the report no/such/folder/x.json");
}

#[test]
fn a_workflow_gets_annotations_beside_the_text_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    std::fs::write(folder.path().join("summary.md"), "before\n").unwrap();
    let ran = run(tracer(folder.path())
        .arg("check")
        .arg(&path)
        .arg("--report=github")
        .env("GITHUB_STEP_SUMMARY", folder.path().join("summary.md")))
    .exits(1)
    .prints("T02 leftover-cookie (proved)\n");
    let commands: Vec<&str> = ran
        .stdout()
        .lines()
        .filter(|line| line.starts_with("::"))
        .collect();
    assert_eq!(commands.len(), 1, "{}", ran.stdout());
    assert!(commands[0].starts_with("::error file="), "{}", commands[0]);
    let summary = read(folder.path(), "summary.md");
    assert!(
        summary.starts_with("before\n# tracer: 1 finding\n"),
        "{summary}"
    );
}

#[test]
fn paths_below_the_source_root_are_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let mut file = crate::file::File::default();
    file.name(9, &format!("{}/src/conn.rs", root.display()));
    file.meta(Kind::Site, &[pair(7, 8), pair(9, 0)]);
    for (at, kind) in [(1, Kind::Leak), (2, Kind::Reclaim), (3, Kind::Reclaim)] {
        file.record(0, at, kind, Owner::Rc as u8, &[0x1000, pair(7, 1)]);
    }
    let path = folder.path().join("x.trc");
    std::fs::write(&path, file.bytes()).unwrap();
    let site = |root: &[&str]| {
        let ran = run(tracer(folder.path())
            .arg("check")
            .arg(&path)
            .arg("--format=json")
            .args(root));
        json(ran.exits(1).stdout())["traces"][0]["findings"][0]["site"]["file"].clone()
    };
    assert_eq!(site(&[]), "src/conn.rs");
    std::fs::create_dir(folder.path().join("src")).unwrap();
    assert_eq!(site(&["--source-root", "src"]), "conn.rs");
    assert_eq!(
        site(&["--source-root", "/usr"]),
        format!("{}/src/conn.rs", root.display())
    );
}

#[test]
fn what_cannot_be_read_is_in_the_report_and_the_rest_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    let ran = run(tracer(folder.path())
        .args(["check", "missing.bin"])
        .arg(&path)
        .arg("--format=json"))
    .exits(1)
    .says("missing.bin");
    let report = json(ran.stdout());
    assert_eq!(report["unreadable"][0]["file"], "missing.bin");
    assert_eq!(report["traces"].as_array().unwrap().len(), 1);
}

#[test]
fn text_beside_commands_of_a_workflow_cannot_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forged.trc");
    let mut file = crate::file::File::default();
    // Wrapped, some line begins with it.
    file.name(10, &format!("src/{}.rs", ["::error::forged"; 12].join(" ")));
    file.meta(Kind::Site, &[pair(2, 9), pair(10, 0)]);
    let pointer = [0x7f12_3456_7890, pair(2, 1)];
    for (at, kind) in [(1, Kind::Leak), (2, Kind::Reclaim), (3, Kind::Reclaim)] {
        file.record(0, at, kind, Owner::Rc as u8, &pointer);
    }
    std::fs::write(&path, file.bytes()).unwrap();
    let ran = run(tracer(folder.path())
        .args(["check", "--format", "github"])
        .arg(&path))
    .exits(1)
    .prints("forged");
    let printed = String::from_utf8(ran.stdout).unwrap();
    let commands = printed
        .lines()
        .filter(|line| line.trim_start().starts_with("::"));
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 1, "{printed}");
    assert!(commands[0].contains("title=T08"), "{printed}");
    assert!(printed.contains("\\::error::forged"), "{printed}");
}
