//! `record --poison`: what becomes of the poison in a slot that the program hands over unset.

use traces::event::What;
use traces::rules::rule;
use wire::record::CookieState;

use crate::support::{has_io_uring, read, run, scenario, tracer};

/// The high half of the word that slots are filled with.
const POISON: u64 = 0xFEED_5EED;

/// Cookies of the submissions that nobody set, the cookies of all completions, and the rules that fired.
fn recorded(how: &str) -> (Vec<(CookieState, u64)>, Vec<u64>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tracer(folder.path());
    command.args(["record", "--poison", how, "--"]);
    run(command.args(scenario(&["leftover"])));
    let trace = read(&folder.path().join("trace.bin"));
    let (mut unset, mut completed) = (Vec::new(), Vec::new());
    for event in trace.events() {
        match &event.what {
            What::Submit(submission) if submission.cookie_state != CookieState::Set => {
                unset.push((submission.cookie_state, submission.entry.cookie));
            }
            What::Complete(completion) => completed.push(completion.cookie),
            _ => {}
        }
    }
    let said = trace.recording().said("poison").unwrap();
    assert_eq!(said.bytes(), how.as_bytes());
    let stories = trace.verdict().stories.iter();
    let rules = stories.map(|story| {
        let name = rule(story.head.rule).unwrap().name;
        format!("{name} {:?}", story.head.confidence)
    });
    (unset, completed, rules.collect())
}

#[test]
fn poison_is_put_back_left_in_or_never_there() {
    if !has_io_uring() {
        return;
    }
    // Put back: proved, and the kernel got what it would have got.
    let (unset, completed, rules) = recorded("restore");
    assert_eq!(rules, ["leftover-cookie Proved"]);
    let [(CookieState::Poisoned, leftover)] = unset[..] else {
        panic!("{unset:?}")
    };
    assert!(completed.contains(&leftover));
    assert!(completed.iter().all(|cookie| cookie >> 32 != POISON));

    // Left in: proved as well, and it is poison that comes back.
    let (unset, completed, rules) = recorded("keep");
    assert_eq!(unset.len(), 1, "{unset:?}");
    assert_eq!(unset[0].0, CookieState::Poisoned);
    assert!(completed.iter().any(|cookie| cookie >> 32 == POISON));
    assert!(
        rules.contains(&"leftover-cookie Proved".to_owned()),
        "{rules:?}"
    );

    // Off: the leftover is seen, and nothing is proved.
    let (unset, completed, rules) = recorded("off");
    assert!(
        unset
            .iter()
            .all(|(state, _)| *state != CookieState::Poisoned)
    );
    assert!(completed.iter().all(|cookie| cookie >> 32 != POISON));
    assert!(!rules.is_empty());
    assert!(
        rules.iter().all(|rule| !rule.ends_with("Proved")),
        "{rules:?}"
    );
}

#[test]
fn other_words_are_refused_with_the_possible_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tracer(folder.path());
    let ran = run(command.args(["record", "--poison", "maybe", "--", "true"])).exits(2);
    ran.says("restore").says("keep").says("off");
}
