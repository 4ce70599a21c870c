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
    // The program behaves as it would have without a recorder: the poison was taken out again.
    ran_as_ever(ran.stdout());
    let verdict = ran
        .stdout()
        .split_once("T02 leftover-cookie (proved)")
        .unwrap()
        .1;
    let sentence = verdict.split("\n\n").next().unwrap();
    let sentence: Vec<&str> = sentence.split_whitespace().collect();
    let sentence = redacted(&sentence.join(" "));
    assert_eq!(
        sentence,
        "Operation #6 (ring 1, slot 2, NOP) never set user_data at demo-runtime/src/driver.rs:LINE; \
         the slot still held Ticket#3 ADDRESS's cookie from operation #2 (TIMEOUT, \
         demo-runtime/src/scenarios/leftover.rs:LINE), leaked at \
         demo-runtime/src/scenarios/leftover.rs:LINE, reclaimed at \
         demo-runtime/src/driver.rs:LINE; its completion resumed coroutine 6 (timer B), although \
         operation #5 (ring 1, slot 1, TIMEOUT), which it waits for, was still in flight."
    );
}

fn ran_as_ever(text: &str) {
    for line in [
        "instead of 150 ms",
        "timer B was resumed once more after it had ended",
    ] {
        assert!(text.contains(line), "`{line}` is not in:\n{text}");
    }
}

/// Addresses and line numbers change from run to run and from commit to commit.
fn redacted(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let (head, tail) = match word.find(".rs:") {
            Some(at) => word.split_at(at + 4),
            None => ("", word),
        };
        if head.is_empty() {
            match tail.strip_prefix("0x") {
                Some(rest) => format!("ADDRESS{}", rest.trim_start_matches(|c: char| c != '\'')),
                None => tail.to_owned(),
            }
        } else {
            let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{head}LINE{rest}")
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_verdict_in_the_readme_is_what_demo_prints() {
    let readme = include_str!("../../../README.md");
    let shown = readme.split_once("T02 leftover-cookie (proved)").unwrap().1;
    let shown = shown.split_once("```").unwrap().0;
    let shown: Vec<&str> = shown.split_whitespace().collect();
    if !has_io_uring() {
        return;
    }
    let ran = demo_of(&[]).exits(1);
    let printed = ran
        .stdout()
        .split_once("T02 leftover-cookie (proved)")
        .unwrap()
        .1;
    let printed = printed.split("\n\n").next().unwrap();
    let printed: Vec<&str> = printed.split_whitespace().collect();
    assert_eq!(redacted(&shown.join(" ")), redacted(&printed.join(" ")));
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
