//! Laws of the rules, as in `law`, of runs of other forms: what the shim records of a program that nobody rebuilt, and
//! programs that use up the buffers that they provide.

mod support;

use proptest::prelude::*;
use proptest::sample::Index;
use support::groups::{self, Manner};
use support::same::assert_same;
use support::shim::{self, Mistake};
use traces::Trace;
use traces::finding::Doubt;

/// What is told of a run: rule, message and how often.
fn told(lines: &[String]) -> Vec<(String, u64)> {
    let text = lines.join("\n");
    let trace = Trace::parse_text(&text).unwrap();
    assert_same(&trace, &Trace::check_text(&text).unwrap());
    let nowhere = || Err(std::io::ErrorKind::StorageFull.into());
    let paged = Trace::parse_text_paged(&text, nowhere).unwrap();
    assert_eq!(paged.verdict(), trace.verdict());
    let stories = trace.verdict().stories.iter();
    stories
        .map(|story| {
            let head = &story.head;
            (format!("{} {}", head.rule, head.message), head.count)
        })
        .collect()
}

/// Whether nothing is left open but whether slots were filled once for good.
fn asks_of_slots_alone(lines: &[String]) -> bool {
    let trace = Trace::parse_text(&lines.join("\n")).unwrap();
    let mut open = trace.verdict().cannot_tell.iter();
    open.all(|question| question.reason == Doubt::FilledOnce)
}

/// Lines in front of the first event.
fn heads(lines: &[String]) -> usize {
    let is_event = |line: &String| line.starts_with(|first: char| first.is_ascii_digit());
    let mut lines = lines.iter();
    lines.position(is_event).expect("an event")
}

/// Takes records away, and counts them as lost: some, and all of the oldest.
fn lose(lines: &mut [String], deleted: &[Index], prefix: Option<Index>) {
    let count = lines.len();
    let mut gone: Vec<usize> = deleted.iter().map(|index| index.index(count)).collect();
    gone.extend(prefix.into_iter().flat_map(|prefix| 0..prefix.index(count)));
    let heads = heads(lines);
    for index in gone.into_iter().filter(|index| *index >= heads) {
        let mut words = lines[index].split(' ');
        let (at, lane) = (words.next().unwrap(), words.next().unwrap());
        lines[index] = format!("{at} {lane} lost 1 removed");
    }
}

/// Cuts a run off, as a kill does.
fn cut(lines: &mut Vec<String>, at: Index) {
    let heads = heads(lines);
    lines.truncate(heads + at.index(lines.len() - heads + 1));
    lines[0] = lines[0].replace("state=clean end=exit:0", "end=killed:9");
}

fn some_decisions(most: usize) -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..most)
}

fn some_losses() -> impl Strategy<Value = (Vec<Index>, Option<Index>)> {
    let deleted = prop::collection::vec(any::<Index>(), 1..12);
    (deleted, prop::option::of(any::<Index>()))
}

fn mistakes() -> impl Strategy<Value = Mistake> {
    let forgets =
        any::<bool>().prop_map(|all_else_as_before| Mistake::Forgets { all_else_as_before });
    prop_oneof![forgets, Just(Mistake::ForgetsForLaps), Just(Mistake::Stale)]
}

const NOTHING: Vec<(String, u64)> = Vec::new();

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // A run may find no place for its mistake.
        max_global_rejects: u32::MAX,
        ..ProptestConfig::default()
    })]

    #[test]
    fn of_a_correct_program_that_the_shim_saw_nothing_is_told(
        decisions in some_decisions(300),
        (deleted, prefix) in some_losses(),
        at in any::<Index>(),
    ) {
        let (lines, _) = shim::run(&decisions, None);
        prop_assert_eq!(told(&lines), NOTHING, "{}", lines.join("\n"));
        prop_assert!(asks_of_slots_alone(&lines), "{}", lines.join("\n"));
        let mut lost = lines.clone();
        lose(&mut lost, &deleted, prefix);
        prop_assert_eq!(told(&lost), NOTHING, "{}", lost.join("\n"));
        let mut killed = lines;
        cut(&mut killed, at);
        prop_assert_eq!(told(&killed), NOTHING, "{}", killed.join("\n"));
    }

    /// Whose a word is by then says nothing of who filled its slot.
    #[test]
    fn of_a_correct_program_whose_owners_are_told_no_cookie_is_told_to_be_forgotten(
        decisions in some_decisions(200),
        (deleted, prefix) in some_losses(),
        at in any::<Index>(),
    ) {
        let lines = shim::run_with_owners(&decisions);
        prop_assert_eq!(told(&lines), NOTHING, "{}", lines.join("\n"));
        let forgotten = |lines: &[String]| {
            let mut told = told(lines).into_iter();
            told.any(|(said, _)| said.starts_with("T02 "))
        };
        let mut lost = lines.clone();
        lose(&mut lost, &deleted, prefix);
        prop_assert!(!forgotten(&lost), "{}", lost.join("\n"));
        let mut killed = lines;
        cut(&mut killed, at);
        prop_assert!(!forgotten(&killed), "{}", killed.join("\n"));
    }

    #[test]
    fn a_cookie_that_the_program_forgot_is_told_of_with_all_of_its_kind(
        decisions in some_decisions(200),
        mistake in mistakes(),
        (deleted, prefix) in some_losses(),
    ) {
        let (lines, made) = shim::run(&decisions, Some(mistake));
        prop_assume!(made.is_some());
        let made = made.unwrap();
        let mut lost = lines.clone();
        lose(&mut lost, &deleted, prefix);
        let others = told(&lost).into_iter().filter(|(said, _)| !said.starts_with("T02 "));
        prop_assert_eq!(others.collect::<Vec<_>>(), NOTHING, "{}", lost.join("\n"));
        let found = told(&lines);
        if mistake == Mistake::Stale {
            // Contents do not tell it from a slot that is filled once for good, and nothing more comes from it.
            let verdict = Trace::parse_text(&lines.join("\n")).unwrap();
            prop_assert_eq!(&found, &NOTHING, "{:?} {:?}\n{}", mistake, made, lines.join("\n"));
            prop_assert_eq!(verdict.verdict().exit_code(), 3);
            return Ok(());
        }
        prop_assert!(!found.is_empty(), "{:?} {:?}\n{}", mistake, made, lines.join("\n"));
        let first = format!("operation #{} (ring {}, ", made.sequence, made.ring);
        // What is known of one and not of another, such as a completion, makes another story of it.
        let right = found[0].0.contains(&first)
            && found.iter().all(|(said, _)| said.starts_with("T02 "))
            && found.iter().map(|(_, count)| count).sum::<u64>() == made.count;
        prop_assert!(right, "{:?} {:?} wanted, {:#?}\n{}", mistake, made, found, lines.join("\n"));
    }

    #[test]
    fn of_a_correct_program_that_uses_up_its_buffers_nothing_is_told(
        decisions in some_decisions(300),
        (deleted, prefix) in some_losses(),
        at in any::<Index>(),
    ) {
        let (mut lines, _) = groups::run(&decisions, Manner::Calm);
        prop_assert_eq!(told(&lines), NOTHING, "{}", lines.join("\n"));
        lose(&mut lines, &deleted, prefix);
        prop_assert_eq!(told(&lines), NOTHING, "{}", lines.join("\n"));
        let (mut lines, _) = groups::run(&decisions, Manner::Hasty);
        cut(&mut lines, at);
        prop_assert_eq!(told(&lines), NOTHING, "{}", lines.join("\n"));
    }

    #[test]
    fn a_buffer_that_is_lost_by_a_group_that_recovered_is_told_of(decisions in some_decisions(300)) {
        let (lines, lost) = groups::run(&decisions, Manner::Careless);
        prop_assume!(lost.is_some());
        let (group, id) = lost.unwrap();
        let found = told(&lines);
        let said = format!("T19 buffer {id} of group {group} on ring 0 was handed out and never given back");
        let right = found.len() == 1 && found[0].0.starts_with(&said) && found[0].1 == 1;
        prop_assert!(right, "{} wanted, {:#?}\n{}", said, found, lines.join("\n"));
    }
}
