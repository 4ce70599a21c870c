//! Records of pointers, which are read and judged in rows, say what the same records say that are read one by one.

mod support;

use proptest::prelude::*;
use support::decisions::{Decision, all, bytes, file, read};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: ProptestConfig::default().cases / 8, ..ProptestConfig::default() })]

    #[test]
    fn rows_say_what_events_say(
        decisions in prop::collection::vec(any::<Decision>(), 0..800),
        lanes in 1u8..5,
        dropped in 0usize..3,
        by_batch in any::<bool>(),
        untils in prop::collection::vec(0i64..200_000, 2),
    ) {
        let half = |process: u8| {
            let its = decisions.iter().filter(|decision| decision.1 >> 7 == process);
            its.map(|(what, which, lane, step)| (*what, *which, lane % lanes, *step)).collect()
        };
        let halves: [Vec<Decision>; 2] = [half(0), half(1)];
        let both = |has_stacks, dropped| {
            let [first, second] = halves.each_ref().map(|half| {
                let mut file = file(half, has_stacks);
                file.dropped = dropped;
                file
            });
            [bytes(&first, 77, false), bytes(&second, 78, by_batch)]
        };
        let rows = read(&both(false, 0), &untils);
        let events = read(&both(true, 0), &untils);
        prop_assert_eq!(all(&rows), all(&events));
        prop_assert_eq!(rows.verdict(), events.verdict());
        read(&both(false, dropped), &untils);
    }
}
