//! `explain` and the help: what a person reads before there is a trace.

use crate::support::{run, tracer};

#[test]
fn rules_are_listed_and_each_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let list = run(tracer(folder.path()).arg("explain")).exits(0);
    for rule in traces::rules::ALL {
        assert!(list.stdout().contains(rule.name), "{}", list.stdout());
        for name in [
            rule.id.to_string(),
            format!("t{}", rule.id.0),
            rule.name.to_owned(),
        ] {
            let page = run(tracer(folder.path()).args(["explain", &name])).exits(0);
            assert!(
                page.stdout().starts_with(&rule.id.to_string()),
                "{}",
                page.stdout()
            );
        }
    }
}

#[test]
fn unknown_rule_is_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(tracer(folder.path()).args(["explain", "leftover-cooky"])).exits(2);
    assert_eq!(ran.says("did you mean T02 leftover-cookie?").stdout(), "");
    run(tracer(folder.path()).args(["explain", "\x1b[31m"]))
        .exits(2)
        .says("\\u{1b}[31m");
    run(tracer(folder.path()).args(["explain", "fliter"]))
        .exits(2)
        .says("did you mean filter?");
    run(tracer(folder.path()).args(["explain", "filter"]))
        .exits(0)
        .prints("kind:submit");
    run(tracer(folder.path()).args(["explain", "levels"]))
        .exits(0)
        .prints(
            "T02  leftover-cookie           proved, where one thread fills and enters the ring; of a 0 suspected, where somebody set it; of a slot that was filled once, asked, of most NOPs in one suspected\n",
        );
}

#[test]
fn help_and_version_are_for_people() {
    let folder = tempfile::tempdir().unwrap();
    run(tracer(folder.path()).arg("--help"))
        .exits(0)
        .prints("First steps")
        .prints("record");
    run(tracer(folder.path()).arg("--version"))
        .exits(0)
        .prints(env!("CARGO_PKG_VERSION"));
    for command in ["record", "check", "view", "dump", "explain", "demo"] {
        let ran = run(tracer(folder.path()).args([command, "--help"]))
            .exits(0)
            .prints("Usage:");
        assert!(!ran.stdout().contains("__scenario"));
        assert!(
            ran.stdout().lines().all(|line| line.chars().count() <= 100),
            "{command}"
        );
    }
    run(&mut tracer(folder.path())).exits(2);
    run(tracer(folder.path()).arg("no-such-command")).exits(2);
}
