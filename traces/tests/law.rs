//! Laws of the rules: a correct runtime raises nothing, and no loss makes a finding appear.

mod support;

use proptest::prelude::*;
use support::faults::{FAULTS, plant};
use support::file::File;
use support::runtime::run;
use traces::{Input, Trace};
use wire::payload::{Submit, pair};
use wire::record::{CookieState, Kind, Owner};

fn stories(lines: &[String]) -> Vec<String> {
    let trace = Trace::parse_text(&lines.join("\n")).unwrap();
    let verdict = trace.verdict();
    verdict
        .stories
        .iter()
        .map(|story| format!("{} {}", story.head.rule, story.head.message))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn correct_runtimes_raise_nothing(decisions in prop::collection::vec(any::<u16>(), 0..300)) {
        let lines = run(&decisions);
        let trace = Trace::parse_text(&lines.join("\n")).unwrap();
        prop_assert_eq!(stories(&lines), Vec::<String>::new(), "{}", lines.join("\n"));
        prop_assert_eq!(trace.verdict().exit_code(), 0);
        // Printing is undone by reading.
        let again = Trace::parse_text(&trace.to_text()).unwrap();
        prop_assert_eq!(again.to_text(), trace.to_text());
    }

    #[test]
    fn deleting_records_with_their_loss_makes_no_finding(
        decisions in prop::collection::vec(any::<u16>(), 0..200),
        deleted in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        prefix in any::<prop::sample::Index>(),
        cut_prefix in any::<bool>(),
    ) {
        let mut lines = run(&decisions);
        let count = lines.len();
        let mut gone: Vec<usize> = deleted.iter().map(|index| index.index(count)).collect();
        if cut_prefix {
            // What a ring of chunks does: the oldest are missing, on every lane.
            gone.extend(0..prefix.index(count));
        }
        for index in gone.into_iter().filter(|index| *index > 0) {
            let mut words = lines[index].split(' ');
            let (at, lane) = (words.next().unwrap(), words.next().unwrap());
            lines[index] = format!("{at} {lane} lost 1 removed");
        }
        prop_assert_eq!(stories(&lines), Vec::<String>::new(), "{}", lines.join("\n"));
    }

    #[test]
    fn a_kill_anywhere_makes_no_finding(
        decisions in prop::collection::vec(any::<u16>(), 0..300),
        at in any::<prop::sample::Index>(),
    ) {
        let mut lines = run(&decisions);
        lines.truncate(1 + at.index(lines.len()));
        lines[0] = "process 0 end=killed:9".to_owned();
        prop_assert_eq!(stories(&lines), Vec::<String>::new(), "{}", lines.join("\n"));
    }

    #[test]
    fn one_fault_in_a_correct_run_gives_its_rule(
        decisions in prop::collection::vec(any::<u16>(), 0..120),
        fault in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut lines = run(&decisions);
        let (rule, planted) = &FAULTS[fault.index(FAULTS.len())];
        lines[0] = "process 0 state=clean end=exit:0".to_owned();
        let at = 1 + at.index(lines.len());
        plant(&mut lines, at, planted);
        let found = stories(&lines);
        let right = found.len() == 1 && found[0].starts_with(rule);
        prop_assert!(right, "{} wanted, {:#?}\n{}", rule, found, lines.join("\n"));
    }

    #[test]
    fn reordering_within_the_uncertainty_of_the_clock_changes_nothing(
        rounds in prop::collection::vec((any::<u16>(), 51u64..250, 0u64..50), 1..80),
        errors in prop::collection::vec(0u64..=100, 64),
    ) {
        let bytes = handed_back(&rounds, &errors);
        let input = Input { name: "x.trc", bytes: &bytes };
        let trace = Trace::read(&[input]).unwrap();
        let found = &trace.verdict().stories;
        let heads: Vec<_> = found.iter().map(|story| &story.head.message).collect();
        prop_assert!(heads.is_empty(), "{heads:#?}\n{}", trace.to_text());
    }
}

/// Blocks that go round between three lanes: leaked by one, taken back by another, handed back and
/// leaked again, every time stamp off by an error of its own. A whole turn takes longer than the clock is
/// uncertain by, as it does where it goes through the caches of two cores.
fn handed_back(rounds: &[(u16, u64, u64)], errors: &[u64]) -> Vec<u8> {
    let mut file = File::default();
    let mut now = 1000;
    let mut last = [0; 3];
    let mut stamps = 0;
    for lane in 0..3 {
        file.record(lane, 0, Kind::Thread, 0, &[pair(77 + lane as u32, 1)]);
    }
    let mut free = [0; 3];
    for (index, (choice, hand_over, step)) in rounds.iter().enumerate() {
        let choice = usize::from(*choice);
        let (block, from, to) = (choice % 3, choice / 3 % 3, choice / 9 % 3);
        let mut stamp = |lane: usize, now: u64| {
            // No lane's time goes back.
            last[lane] = last[lane].max(now + errors[stamps % errors.len()]);
            stamps += 1;
            last[lane]
        };
        let address = 0x1000 * (block as u64 + 1);
        let pointer = [address, pair(1, 1)];
        let owner = [Owner::Box, Owner::Vec][choice / 27 % 2] as u8;
        now = now.max(free[block]);
        file.record(from, stamp(from, now), Kind::Leak, owner, &pointer);
        let (mut at, travels) = (now, choice / 54 % 2 == 0);
        if travels {
            at += step;
            let submit = Submit {
                cookie: address,
                sequence: index as u32,
                ring: 1,
                slot: (index % 8) as u16,
                site: 1,
                ..Submit::default()
            };
            let state = CookieState::Set as u8;
            file.record(from, stamp(from, at), Kind::Submit, state, &submit.encode());
        }
        at += hand_over;
        if travels {
            file.record(to, stamp(to, at), Kind::Complete, 1, &[address, 0]);
            at += step;
        }
        file.record(to, stamp(to, at), Kind::Reclaim, owner, &pointer);
        free[block] = at + hand_over;
        now = at + step;
    }
    file.bytes()
}
