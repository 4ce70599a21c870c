//! What the model keeps, and how much it looks at for one event, must grow with what lives and not with what
//! happened: counted here, never timed.

use super::{Course, Facts, Links};
use crate::finding::RuleId;
use crate::trace::Trace;

/// Goes through a trace, and looks at the state after each event.
fn each_state(text: &str, mut look: impl FnMut(&super::State)) {
    let (recording, events) = crate::text::parse(text).expect("a trace");
    let facts = Facts::survey(&recording, &events);
    let mut course = Course::new(&recording, &facts, Links::all(events.len()));
    for event in &events {
        course.step(event);
        look(&course.state);
    }
}

#[test]
fn rings_that_come_and_go_leave_nothing_but_what_the_end_asks_for() {
    let mut text = String::from(
        "
        process 0 state=clean end=exit:0
        1 main ring-create 0 sq=8 cq=16
        2 main leak 0x1000 Op op.rs:8
        3 main submit 0 NOP 0x1000
        4 main complete 0 0x1000 0
        5 main submit 0 NOP 0x7
        6 main complete 0 0x7 0
        7 main ring-drop 0
        ",
    );
    let rings = 3_000;
    for ring in 1..=rings {
        text += &format!(
            "
            10 main ring-create {ring} sq=8 cq=16
            10 main submit {ring} READ 0x7 addr=0x9{ring:04}0 len=8 fd=3
            10 main complete {ring} 0x7 8
            10 main submit {ring} READ 0x8 addr=0x9{ring:04}0 len=8 fd=3
            10 main ring-drop {ring}
            "
        );
    }
    // Whatever came of the block: the ring that pointed into it is long gone.
    text += "20 main free 0x900010 8\n20 main fd-close 3\n21 main fd-open 3";
    let mut most = [0; 3];
    each_state(&text, |state| {
        let pieces = state.memory.pieces();
        let flying = state.rings.values().map(|ring| ring.flying.len());
        let now = [state.rings.values().count(), pieces, flying.sum()];
        for (most, now) in most.iter_mut().zip(now) {
            *most = now.max(*most);
        }
    });
    assert!(most.iter().all(|most| *most < 600), "{most:?}");
    assert!(most.iter().all(|most| *most > 100), "{most:?}");

    let trace = Trace::parse_text(&text).unwrap();
    let verdict = trace.verdict();
    assert_eq!(verdict.summary.pending_at_end, rings);
    // What was taken on a ring that is forgotten is known to be over.
    let rules: Vec<RuleId> = verdict
        .stories
        .iter()
        .map(|story| story.head.rule)
        .collect();
    assert_eq!(rules, [RuleId(9)], "{:#?}", verdict.stories);
}

/// Of many slots that were perhaps filled once for good the first of each is kept, and said once they are filled again.
#[test]
fn of_many_slots_that_may_be_filled_once_one_operation_each_is_kept() {
    let slots = 100;
    let lap = |state: &str| -> String {
        let submit = |slot| {
            let cookie = 0x10000 + 16 * slot;
            format!(
                "1 main submit 0 POLL_ADD {cookie:#x} slot={slot} fd={slot} {state}\n1 main complete 0 {cookie:#x} 1\n"
            )
        };
        (0..slots).map(submit).collect()
    };
    let head = "process 0 capture=preload\n0 main ring-create 0 sq=128 cq=256 in-place\n";
    let text = format!(
        "{head}{}{}{}",
        lap(""),
        lap("poisoned").repeat(70),
        lap("set")
    );
    let (mut most, mut last) = (0, 0);
    each_state(&text, |state| {
        last = state
            .rings
            .values()
            .map(|ring| ring.perhaps_forgotten.len())
            .sum();
        most = last.max(most);
    });
    assert!((100..=64 + 100).contains(&most), "{most}");
    assert_eq!(last, 0);
    let trace = Trace::parse_text(&text).unwrap();
    let verdict = trace.verdict();
    let said: u64 = verdict.stories.iter().map(|story| story.head.count).sum();
    assert!(
        said > 4096 + 60,
        "{said}: those that may resume somebody yet, and the first of each slot"
    );
    assert_eq!(said + verdict.summary.cannot_tell, slots * 70);
}

#[test]
fn an_operation_that_is_renamed_again_and_again_has_two_names() {
    let polls = "5 main submit 0 POLL_ADD 0x7\n".repeat(200);
    let renames =
        "6 main submit 0 POLL_REMOVE 0x9 addr=0x7 len=4 off=0x8\n6 main complete 0 0x9 0\n";
    let text = format!(
        "1 main ring-create 0 sq=8 cq=16\n{polls}{}",
        renames.repeat(300)
    );
    let mut most = 0;
    each_state(&text, |state| {
        let rings = state.rings.values();
        let named = rings.flat_map(|ring| ring.by_cookie.values());
        most = named
            .map(super::sequences::Sequences::len)
            .sum::<usize>()
            .max(most);
    });
    assert!((400..=1_000).contains(&most), "{most}");
    // It may come back under either.
    let back = "8 main complete 0 0x7 1\n9 main complete 0 0x8 1\n";
    let trace = Trace::parse_text(&format!("{text}{back}")).unwrap();
    let stories = &trace.verdict().stories;
    let rules: Vec<RuleId> = stories.iter().map(|story| story.head.rule).collect();
    assert_eq!(
        rules,
        [RuleId(15)],
        "which of them is renamed is not said, and no more"
    );
}

#[test]
fn what_cannot_be_told_of_many_of_one_name_is_not_told_and_not_looked_for() {
    let text = |polls| {
        let polls = "5 main submit 0 POLL_ADD 0x1007\n".repeat(polls);
        let rename = "6 main submit 0 POLL_REMOVE 0x9 addr=0x1007 len=4 off=0x1008\n";
        let back = "8 main complete 0 0x1008 1\n8 main complete 0 0x555000 1\n";
        let head = "1 main ring-create 0 sq=8 cq=16\n1 main leak 0x555000 Op\n";
        format!("{head}{polls}{rename}{back}")
    };
    let found = |polls| {
        let trace = Trace::parse_text(&text(polls)).unwrap();
        let stories = &trace.verdict().stories;
        let extra = stories.iter().filter(|story| story.head.rule == RuleId(6));
        extra.count()
    };
    assert_eq!((found(200), found(300)), (1, 0));
    let mut most = 0;
    each_state(&text(300), |state| {
        let named = state.rings.values().map(|ring| ring.by_cookie.len());
        most = named.sum::<usize>().max(most);
    });
    assert_eq!(most, 2, "one name for all of them, and that of the request");
}

/// A batch of owners, each of which is made to look at what it owns, and is given away again when all are.
#[test]
fn many_that_are_looked_at_at_once_are_in_nobodys_hands() {
    let rules = |lanes: u64, of_lane: u64, is_given_again: bool| {
        // Somebody says what is freed, and so that these are not.
        let begin = "1 main ring-create 0 sq=1024 cq=2048\n1 main free 0x8 8\n";
        let mut text = format!("process 0 state=clean end=exit:0\n{begin}");
        let mut all = |times: &str, what: &dyn Fn(u64, u64) -> String| {
            for lane in 0..lanes {
                for one in 0..of_lane {
                    let address = 0x1000 * (1 + one + lane * of_lane);
                    text += &format!("{times} lane{lane} {}\n", what(lane, address));
                }
            }
        };
        all("2", &|_, address| {
            format!("leak {address:#x} Op op.rs:8 owner=Rc")
        });
        all("3", &|_, address| {
            format!("submit 0 RECV {address:#x} op.rs:9")
        });
        all("4", &|_, address| {
            format!("reclaim {address:#x} Op op.rs:20 owner=Rc")
        });
        if is_given_again {
            all("5", &|_, address| {
                format!("leak {address:#x} Op op.rs:21 owner=Rc")
            });
        }
        all("6", &|_, address| format!("complete 0 {address:#x} 5"));
        if is_given_again {
            all("7", &|_, address| {
                format!("reclaim {address:#x} Op op.rs:30 owner=Rc")
            });
        }
        text += "8 main ring-drop 0\n";
        let trace = Trace::parse_text(&text).expect("a trace");
        let stories = &trace.verdict().stories;
        stories
            .iter()
            .map(|story| (story.head.rule.0, story.head.count))
            .collect::<Vec<_>>()
    };
    for (lanes, of_lane) in [
        (1, 8),
        (1, 9),
        (1, 64),
        (1, 65),
        (1, 500),
        (8, 64),
        (9, 64),
        (20, 40),
    ] {
        assert_eq!(rules(lanes, of_lane, true), [], "{lanes} × {of_lane}");
    }
    assert_eq!(rules(1, 64, false), [(7, 64)]);
    assert_eq!(rules(1, 100, false), [(7, 64)]);
}

/// One poll among many that read with its owner's word: whose it is after a rename is known, or nobody is said to have lost it.
#[test]
fn what_is_renamed_among_many_of_its_name_does_not_hold_their_owner() {
    let trace = |others: usize, renamed: &str, last: &str| {
        let others_in = "5 main submit 0 RECV 0x5100 conn.rs:1\n".repeat(others);
        let others_out = "9 main complete 0 0x5100 5\n".repeat(others);
        let text = format!(
            "
            1 main ring-create 0 sq=1024 cq=2048
            2 main shared 0x5100
            2 main leak 0x5100 Old old.rs:1
            2 main leak 0x5600 New new.rs:1
            4 main submit 0 POLL_ADD 0x5100 conn.rs:2
            {others_in}
            {renamed}
            7 main enter 0 {} -> {0}
            {last}
            {others_out}
            10 main reclaim 0x5100 Old old.rs:9
            11 main complete 0 0x5600 1
            12 main reclaim 0x5600 New new.rs:9
            13 main ring-drop 0
            ",
            others + 2
        );
        let trace = Trace::parse_text(&text).expect("a trace");
        let stories = &trace.verdict().stories;
        let rules: Vec<u8> = stories.iter().map(|story| story.head.rule.0).collect();
        rules
    };
    let rename = "6 main submit 0 POLL_REMOVE 0x6100 addr=0x5100 len=4 off=0x5600";
    for others in [1, 200, 300] {
        assert_eq!(trace(others, rename, "8 main complete 0 0x6100 0"), [0; 0]);
        let in_silence = format!("{rename} skip-success");
        assert_eq!(trace(others, &in_silence, ""), [0; 0]);
        // Where nobody renames anything, the poll is its owner's, and what came is nobody's.
        assert_eq!(trace(others, "6 main submit 0 NOP 0x7", ""), [7, 6]);
    }
}

#[test]
fn a_cancellation_of_many_hits_those_that_fly_and_no_later_ones() {
    let judged = |cancel: &str, late: &str| {
        let text = format!(
            "
            0 main ring-create 0 sq=8 cq=16
            1 main submit 0 READ 0x1 addr=0x90000 len=64 fd=3
            2 main enter 0 1 -> 1
            3 main submit 0 ASYNC_CANCEL 0x9 {cancel}
            4 main enter 0 1 -> 1
            5 main complete 0 0x9 0
            {late}
            2000 main free 0x90000 64
            3000 main mark x
            "
        );
        let trace = Trace::parse_text(&text).unwrap();
        let stories = &trace.verdict().stories;
        stories
            .iter()
            .filter(|story| story.head.rule == RuleId(16))
            .count()
    };
    let late = "6 main submit 0 READ 0x2 addr=0x90000 len=64 fd=3\n7 main enter 0 1 -> 1";
    for (cancel, hits) in [
        ("op-flags=0x2 fd=3", true),
        ("op-flags=0x4", true),
        ("op-flags=0x2 fd=4", false),
        ("addr=0x77", false),
    ] {
        assert_eq!(judged(cancel, ""), usize::from(!hits), "{cancel}");
        // Of the later one it is known.
        assert!(judged(cancel, late) >= 1, "{cancel}");
    }
}

#[test]
fn names_of_coroutines_that_ended_long_ago_are_kept_where_all_events_are() {
    let mut text = String::from("1 main spawn 7 serve\n2 main done 7\n");
    for coroutine in 8..80_000 {
        text += &format!("3 main spawn {coroutine} work\n3 main done {coroutine}\n");
    }
    let name = |trace: &Trace| trace.names().coroutine(0, 7);
    let whole = Trace::parse_text(&text).unwrap();
    let checked = Trace::check_text(&text).unwrap();
    assert_eq!(name(&whole), "coroutine 7 (serve)");
    assert_eq!(name(&checked), "coroutine 7");
    assert_eq!(
        checked.names().coroutine(0, 79_999),
        "coroutine 79999 (work)"
    );
}

#[test]
fn the_end_of_a_scope_looks_at_what_lives_in_it() {
    let mut text = String::new();
    for address in 0..5_000 {
        text += &format!("1 main leak {:#x} Old old.rs:8\n", 0x10_0000 + 16 * address);
    }
    for scope in 1..=300 {
        text += &format!(
            "
            2 main scope-begin {scope}
            2 main leak 0x1000 Op op.rs:8
            2 main scope-begin {inner} parent={scope}
            2 main leak 0x2000 Op op.rs:9
            2 main reclaim 0x1000 Op op.rs:8
            2 main leak 0x3000 Op op.rs:9
            # Taken back where nobody looked.
            2 main leak 0x3000 Op op.rs:9
            2 main reclaim 0x2000 Op op.rs:8
            2 main scope-end {inner}
            2 main reclaim 0x3000 Op op.rs:8
            2 main scope-end {scope}
            ",
            inner = 1_000 + scope
        );
    }
    let mut most = 0;
    each_state(&text, |state| {
        most = state.addresses.live_within(0, |_| true).count().max(most);
    });
    assert_eq!(most, 2);
    let trace = Trace::parse_text(&text).unwrap();
    // That of the inner scope was held at its end.
    let stories = &trace.verdict().stories;
    let found: Vec<_> = stories
        .iter()
        .map(|story| (story.head.rule.0, story.head.scope))
        .collect();
    assert_eq!(found.len(), 300, "{found:?}");
    assert_eq!((found[0], found[299]), ((9, 1_001), (9, 1_300)));
}

#[test]
fn what_flew_on_a_ring_that_is_forgotten_is_judged_before() {
    let mut text = String::from(
        "
        1 main ring-create 0 sq=8 cq=16 in-place
        2 main submit 0 NOP 0x7 poll.rs:7 poisoned
        3 main ring-drop 0
        ",
    );
    for ring in 1..600 {
        text += &format!("4 main ring-create {ring} sq=8 cq=16\n4 main ring-drop {ring}\n");
    }
    each_state(&text, |state| assert!(state.rings.values().count() < 600));
    let trace = Trace::parse_text(&text).unwrap();
    let stories = &trace.verdict().stories;
    let found: Vec<_> = stories
        .iter()
        .map(|story| (story.head.rule.0, story.head.count))
        .collect();
    assert_eq!(found, [(2, 1)], "{stories:#?}");
}

#[test]
fn buffers_that_are_out_are_looked_at_once_however_often_their_group_runs_dry() {
    let buffers = 500;
    let receive = |result: &str| {
        format!("3 main submit 0 RECV 0x7 buf=1 buffer-select\n3 main complete 0 0x7 {result}\n")
    };
    let mut text = String::from("1 main ring-create 0 sq=8 cq=16\n");
    text += &format!("2 main buffer-provide 0 1 0 count={buffers}\n");
    for buffer in 0..buffers {
        text += &receive(&format!("8 flags={}", buffer << 16 | 1));
    }
    let dry = receive("-105");
    // One of them goes out again.
    let again = "3 main buffer-provide 0 1 7\n".to_owned() + &receive("8 flags=0x70001");
    for _ in 0..300 {
        text += &format!("{dry}{again}{dry}{dry}");
    }
    let (mut before, mut looked_at) = (0, 0);
    each_state(&text, |state| {
        let now = state.provided.looked_at();
        // It ran dry, or the one came back.
        looked_at += if now < before { before } else { 0 };
        before = now;
    });
    assert_eq!(looked_at, buffers + 300);
    let trace = Trace::parse_text(&text).unwrap();
    let lost = trace.verdict().stories.iter();
    let lost = lost.filter(|story| story.head.rule == RuleId(19));
    let lost = lost.map(|story| story.head.count as usize);
    assert_eq!(lost.sum::<usize>(), buffers - 1);
}

#[test]
fn operations_on_a_descriptor_are_gone_with_it_or_with_their_completion() {
    let mut text = String::from("1 main ring-create 0 fd=3 sq=512 cq=1024\n");
    // Nobody sees the number being given out.
    for _ in 0..200 {
        text += "
            2 main submit 0 RECV 0x7 fd=8 len=5
            2 main enter 0 1 -> 1
            2 main fd-close 8
            2 main complete 0 0x7 5
            ";
    }
    let submits = "3 main submit 0 POLL_ADD 0x8 fd=9\n".repeat(300);
    text += &format!("{submits}3 main enter 0 300 -> 300\n");
    let gone = "4 main fd-close 9\n4 main fd-open 9\n".repeat(100);
    let mut kept = Vec::new();
    each_state(&format!("{text}{gone}"), |state| {
        kept.push(state.memory.named());
    });
    let (before, behind) = kept.split_at(kept.len() - 200);
    assert_eq!(before.iter().max(), Some(&300));
    assert_eq!((before.iter().rev().nth(301), behind[0]), (Some(&0), 300));
    // However often the number is closed and given out again.
    assert!(behind[1..].iter().all(|kept| *kept == 0), "{behind:?}");
}
