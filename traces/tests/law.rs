//! Laws of the rules: a correct runtime raises nothing, and no loss makes a finding appear.

mod support;

use proptest::prelude::*;
use support::runtime::run;
use traces::Trace;

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
}
