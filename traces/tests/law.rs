//! Laws of the rules: a correct runtime raises nothing, and no loss makes a finding appear.

mod support;

use std::collections::HashMap;

use proptest::prelude::*;
use support::faults::{FAULTS, plant, plant_any};
use support::file::File;
use support::runtime::run;
use support::same::assert_same;
use traces::events::Aside;
use traces::{Input, Trace};
use wire::payload::{Submit, pair};
use wire::record::{CookieState, Kind, Owner};

fn nowhere() -> std::io::Result<Box<dyn Aside>> {
    Err(std::io::ErrorKind::StorageFull.into())
}

fn stories(lines: &[String]) -> Vec<String> {
    let trace = Trace::parse_text(&lines.join("\n")).unwrap();
    assert_same(&trace, &Trace::check_text(&lines.join("\n")).unwrap());
    let paged = Trace::parse_text_paged(&lines.join("\n"), nowhere).unwrap();
    assert_eq!(paged.verdict(), trace.verdict());
    let verdict = trace.verdict();
    verdict
        .stories
        .iter()
        .map(|story| format!("{} {}", story.head.rule, story.head.message))
        .collect()
}

/// What a run says that lasts, as its writer keeps it beside the names.
fn lasting(lines: &[String]) -> Vec<String> {
    let lasts = |what: &str| {
        let kinds = ["ring-create ", "scheme ", "shared ", "spawn "];
        kinds.iter().any(|kind| what.starts_with(kind))
    };
    let events = lines.iter().filter_map(|line| {
        let (time, rest) = line.split_once(' ')?;
        let (_, what) = rest.split_once(' ')?;
        Some((time, what))
    });
    let lasting = events.filter(|(_, what)| lasts(what));
    lasting
        .map(|(time, what)| format!("lasting 0 {time} {what}"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // A run may find no place for its fault, and by night there are many runs.
        max_global_rejects: u32::MAX,
        ..ProptestConfig::default()
    })]

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
        keeps_what_lasts in any::<bool>(),
    ) {
        let mut lines = run(&decisions);
        let lasting = lasting(&lines);
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
        if keeps_what_lasts {
            lines[0] += " lasting=whole";
            lines.splice(1..1, lasting);
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
        lines[0] = "process 0 state=clean end=exit:0".to_owned();
        let rule = plant_any(&mut lines, fault, at);
        let found = stories(&lines);
        let right = found.len() == 1 && found[0].starts_with(rule);
        prop_assert!(right, "{} wanted, {:#?}\n{}", rule, found, lines.join("\n"));
    }

    #[test]
    fn a_correct_run_with_times_by_batch_raises_nothing(
        decisions in prop::collection::vec(any::<u16>(), 0..300),
        sizes in prop::collection::vec(1usize..40, 1..20),
    ) {
        let lines = by_batch(run(&decisions), &sizes);
        prop_assert_eq!(stories(&lines), Vec::<String>::new(), "{}", lines.join("\n"));
        let trace = Trace::parse_text(&lines.join("\n")).unwrap();
        let again = Trace::parse_text(&trace.to_text()).unwrap();
        prop_assert_eq!(again.to_text(), trace.to_text());
    }

    #[test]
    fn losses_with_times_by_batch_make_no_finding(
        decisions in prop::collection::vec(any::<u16>(), 0..200),
        sizes in prop::collection::vec(1usize..40, 1..20),
        deleted in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
    ) {
        let mut lines = run(&decisions);
        let count = lines.len();
        for index in deleted.iter().map(|index| index.index(count)).filter(|index| *index > 0) {
            let mut words = lines[index].split(' ');
            let (at, lane) = (words.next().unwrap(), words.next().unwrap());
            lines[index] = format!("{at} {lane} lost 1 removed");
        }
        let lines = by_batch(lines, &sizes);
        prop_assert_eq!(stories(&lines), Vec::<String>::new(), "{}", lines.join("\n"));
    }

    #[test]
    fn one_fault_of_one_lane_gives_its_rule_by_batch_too(
        decisions in prop::collection::vec(any::<u16>(), 0..120),
        sizes in prop::collection::vec(1usize..40, 1..20),
        fault in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut lines = run(&decisions);
        let of_one_lane: Vec<_> = FAULTS.iter().filter(|(_, lines)| lanes_of(lines) == 1).collect();
        let (rule, planted) = of_one_lane[fault.index(of_one_lane.len())];
        lines[0] = "process 0 state=clean end=exit:0".to_owned();
        let at = 1 + at.index(lines.len());
        plant(&mut lines, at, planted);
        let lines = by_batch(lines, &sizes);
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
        assert_same(&trace, &Trace::check(&[input]).unwrap());
        let found = &trace.verdict().stories;
        let heads: Vec<_> = found.iter().map(|story| &story.head.message).collect();
        prop_assert!(heads.is_empty(), "{heads:#?}\n{}", trace.to_text());
    }

    #[test]
    fn a_correct_run_that_the_kernel_saw_too_raises_nothing_however_far_its_clock_is_off(
        decisions in prop::collection::vec(any::<u16>(), 0..300),
        late in 0u64..400_000,
        errors in prop::collection::vec(0u64..200_000, 1..20),
        sizes in prop::collection::vec(1usize..40, 1..20),
    ) {
        let lines = seen_by_kernel(run(&decisions), late, &errors);
        prop_assert_eq!(stories(&lines), Vec::<String>::new(), "{}", lines.join("\n"));
        let trace = Trace::parse_text(&lines.join("\n")).unwrap();
        prop_assert_eq!(trace.verdict().exit_code(), 0, "{}", trace.to_text());
        let own = by_batch(run(&decisions), &sizes);
        let lines = seen_by_kernel(own, late, &errors);
        prop_assert_eq!(stories(&lines), Vec::<String>::new(), "{}", lines.join("\n"));
        let trace = Trace::parse_text(&lines.join("\n")).unwrap();
        let mut asked = trace.verdict().cannot_tell.iter();
        prop_assert!(asked.all(|it| !it.message.contains("in place of")), "{}", trace.to_text());
    }

    #[test]
    fn losses_of_either_side_make_no_finding(
        decisions in prop::collection::vec(any::<u16>(), 0..200),
        errors in prop::collection::vec(0u64..2_000, 1..20),
        deleted in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        of_kernel in any::<bool>(),
    ) {
        let mut lines = seen_by_kernel(run(&decisions), 0, &errors);
        let count = lines.len();
        for index in deleted.iter().map(|index| index.index(count)) {
            let mut words = lines[index].split(' ');
            let (at, lane) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
            let is_kernels = lane.starts_with("kernel");
            if at.parse::<u64>().is_ok() && (is_kernels || !of_kernel) {
                lines[index] = format!("{at} {lane} lost 1 removed");
            }
        }
        prop_assert_eq!(stories(&lines), Vec::<String>::new(), "{}", lines.join("\n"));
    }

    #[test]
    fn a_word_that_was_changed_on_the_way_is_told_from_those_that_were_not(
        decisions in prop::collection::vec(any::<u16>(), 40..200),
        errors in prop::collection::vec(0u64..2_000, 1..20),
        which in any::<prop::sample::Index>(),
    ) {
        let lines = run(&decisions);
        let is_taken = |line: &&String| line.split(' ').nth(2) == Some("complete");
        let taken: Vec<_> = lines.iter().filter(is_taken).collect();
        let part = |line: &str, at: usize| line.split(' ').nth(at).unwrap().to_owned();
        let time = |line: &str| part(line, 0).parse::<u64>().unwrap();
        // Of a ring's first one nothing is said before another one agrees. Nor before one is taken behind it, and behind
        // all with its word, of which the last one is what lacks; so far behind that the kernel's clock leaves no doubt.
        let is_told = |which: &usize| {
            let (ring, word) = (part(taken[*which], 3), part(taken[*which], 4));
            let of_ring = |it: &&String| part(it, 3) == ring;
            let last = taken.iter().rposition(|it| of_ring(it) && part(it, 4) == word).unwrap();
            let behind = taken.partition_point(|it| time(it) <= time(taken[last]) + 2 * 2_000);
            taken[..*which].iter().any(of_ring) && taken[behind..].iter().any(of_ring)
        };
        let told: Vec<usize> = (0..taken.len()).filter(is_told).collect();
        prop_assume!(!told.is_empty());
        let which = told[which.index(told.len())];
        let true_line = taken[which].clone();
        let word = part(&true_line, 4);
        let forged = true_line.replacen(&word, "0xdead0000", 1);
        let lines: Vec<String> = {
            let all = seen_by_kernel(lines, 0, &errors);
            all.into_iter().map(|line| if line == true_line { forged.clone() } else { line }).collect()
        };
        let trace = Trace::parse_text(&lines.join("\n")).unwrap();
        let mut found = trace.verdict().stories.iter().flat_map(|story| {
            std::iter::once(&story.head).chain(&story.folded)
        });
        let said = format!("brought 0xdead0000 in place of {word}");
        prop_assert!(found.any(|it| it.rule.0 == 12 && it.message.contains(&said)), "{}", lines.join("\n"));
    }
}

/// The same run, with what the kernel says of it: rings, submissions and completions, of two of its threads, each as late
/// as all of them and by an error of its own.
fn seen_by_kernel(lines: Vec<String>, late: u64, errors: &[u64]) -> Vec<String> {
    let mut errors = errors.iter().cycle();
    let mut timed: Vec<(u64, String)> = Vec::new();
    let mut threads: [u64; 2] = [0; 2];
    let mut rest = lines.into_iter();
    let first = rest.next().unwrap() + " pid=77 start=9";
    for (index, line) in rest.enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let at: u64 = words[0].parse().unwrap();
        // No thread of the kernel's goes back in its own time, and a ring is made before it is used.
        let thread = index % 2;
        let then = (at + late + errors.next().unwrap()).max(threads[thread]);
        match words[2] {
            "ring-create" => {
                timed.push((
                    at.saturating_sub(1),
                    format!("kernel0 ring-create {}", words[3..].join(" ")),
                ));
            }
            "submit" => {
                let sequence = words.iter().find(|word| word.starts_with("seq=")).unwrap();
                let what = format!("submit {} {} {} {sequence}", words[3], words[4], words[5]);
                timed.push((then, format!("kernel{thread} {what}")));
                threads[thread] = then;
            }
            "complete" => {
                let plain = words[3..].iter().filter(|word| !word.starts_with('@'));
                let plain: Vec<&str> = plain.copied().collect();
                timed.push((then, format!("kernel{thread} complete {}", plain.join(" "))));
                threads[thread] = then;
            }
            _ => {}
        }
        timed.push((at, words[1..].join(" ")));
    }
    // Stable: a lane's own order stays.
    timed.sort_by_key(|(at, _)| *at);
    let heads = [
        first,
        "process 1 pid=77 start=9 capture=kernel end=exit:0".to_owned(),
        "lane kernel0 process=1 tid=77".to_owned(),
        "lane kernel1 process=1 tid=78".to_owned(),
    ];
    let lines = timed.into_iter().map(|(at, line)| format!("{at} {line}"));
    heads.into_iter().chain(lines).collect()
}

fn lanes_of(lines: &str) -> usize {
    let lines = lines
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    lines.collect::<std::collections::BTreeSet<_>>().len()
}

/// The same run as a recording by batch has it: on each lane the records of a batch have its first time, and
/// the lanes are merged by that. Sizes of batches come from outside.
fn by_batch(lines: Vec<String>, sizes: &[usize]) -> Vec<String> {
    let mut batches: HashMap<String, (u64, usize)> = HashMap::new();
    let mut next = sizes.iter().cycle().copied();
    let mut timed = Vec::new();
    let mut rest = lines.into_iter();
    let first = rest.next().unwrap() + " times=batch";
    for line in rest {
        let mut words = line.splitn(3, ' ');
        let now = words.next().unwrap().parse().unwrap();
        let (lane, what) = (words.next().unwrap().to_owned(), words.next().unwrap());
        let batch = batches.entry(lane.clone()).or_default();
        if batch.1 == 0 {
            *batch = (now, next.next().unwrap());
        }
        batch.1 -= 1;
        timed.push((batch.0, format!("{} {lane} {what}", batch.0)));
    }
    // Stable: a lane's own order stays.
    timed.sort_by_key(|(at, _)| *at);
    std::iter::once(first)
        .chain(timed.into_iter().map(|(_, line)| line))
        .collect()
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
