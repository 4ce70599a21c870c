//! `demo`: each built-in program has the one fault it is there to show, and the correct ones have
//! none.

use demo_runtime::ring::RingKind;

use crate::support::{Ran, demo, demo_trace, has_io_uring, run, tracer};

/// The rule that heads a scenario's story; nothing for correct programs.
const SCENARIOS: &[(&[&str], Option<u8>)] = &[
    (&["echo"], None),
    (&["files"], None),
    (&["wake"], None),
    (&["leftover", "--fixed"], None),
    (&["leftover"], Some(2)),
    (&["template"], Some(5)),
    (&["double"], Some(10)),
    (&["forgotten"], Some(7)),
];

/// Scenarios that can run here: all, or where only the simulated ring is allowed those that have it.
fn possible() -> impl Iterator<Item = &'static (&'static [&'static str], Option<u8>)> {
    let with_kernel = has_io_uring();
    SCENARIOS.iter().filter(move |(arguments, _)| {
        let mut all = demo_runtime::scenarios().iter();
        let scenario = all.find(|scenario| scenario.name == arguments[0]).unwrap();
        with_kernel || scenario.rings.contains(&RingKind::Simulated)
    })
}

fn demo_of(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    run(demo(folder.path(), arguments).arg("--no-view"))
}

#[test]
fn original_bug_is_one_story_with_its_whole_cause() {
    let ran = demo_of(&[]).exits(1);
    let text = ran.stdout();
    assert_eq!(
        text.matches("T02").count(),
        text.matches("leftover-cookie").count().max(1),
        "{text}"
    );
    for part in [
        "T02",
        "operation #",
        "slot",
        "leaked",
        "reclaimed",
        ".rs:",
        "coroutine",
    ] {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

#[test]
fn correct_programs_have_no_finding() {
    for (arguments, _) in possible().filter(|(_, rule)| rule.is_none()) {
        demo_of(arguments).exits(0).prints("no findings");
    }
}

#[test]
fn each_scenario_is_one_story_headed_by_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, rule) in possible() {
        let bytes = std::fs::read(demo_trace(folder.path(), arguments)).unwrap();
        let input = traces::Input {
            name: "trace",
            bytes: &bytes,
        };
        let trace = traces::Trace::read(&[input]).unwrap();
        let verdict = trace.verdict();
        let heads: Vec<u8> = verdict
            .stories
            .iter()
            .map(|story| story.head.rule.0)
            .collect();
        let expected: Vec<u8> = rule.iter().copied().collect();
        assert_eq!(
            heads,
            expected,
            "{arguments:?}:\n{}",
            traces::report::text(&trace, 100)
        );
        assert!(
            verdict.cannot_tell.is_empty(),
            "{arguments:?}: {:#?}",
            verdict.cannot_tell
        );
        assert!(
            verdict.summary.operations > 0,
            "{arguments:?}: {:#?}",
            verdict.summary
        );
    }
}

#[test]
fn scenarios_are_listed_and_others_are_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let listed = run(tracer(folder.path()).args(["demo", "--list"])).exits(0);
    for (arguments, _) in SCENARIOS {
        assert!(
            listed.stdout().contains(arguments[0]),
            "{}",
            listed.stdout()
        );
    }
    run(tracer(folder.path()).args(["demo", "leftovr"]))
        .exits(2)
        .says("leftover");
}

#[test]
fn nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    run(demo(folder.path(), &["double"])
        .arg("--no-view")
        .env("TMPDIR", &temporary))
    .exits(1);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
