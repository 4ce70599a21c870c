//! What a program does that nobody would write: where no rule finds anything in it, none does when records are missing.
//!
//! The law of `law.rs` deletes records of a runtime that follows the rules. Here words, rings, owners and coroutines are
//! mixed as they come, so that a fault may be there and be recorded with too little to be told. What is recorded is no more
//! than the probe can: rings are made first, declared once, and nothing is done on them when they are dropped.

use proptest::prelude::*;
use traces::Trace;

/// Choices that each event takes.
type Choices = [u8; 5];

struct Program {
    head: &'static str,
    /// Lane and what is done.
    events: Vec<(&'static str, String)>,
}

fn pick<'a>(from: &[&'a str], choice: u8) -> &'a str {
    from[usize::from(choice) % from.len()]
}

impl Program {
    /// Two rings and what is declared of them, two coroutines, and then what comes.
    fn new(first: Choices, rest: &[Choices]) -> Self {
        let ends = [
            "process 0",
            "process 0 state=clean end=exit:0",
            "process 0 end=killed:9",
        ];
        let mut program = Self {
            head: pick(&ends, first[0]),
            events: Vec::new(),
        };
        for ring in 0..2 {
            let kind = pick(
                &["", "in-place", "copied", "in-place sqpoll"],
                first[1] >> (2 * ring),
            );
            program.push("main", format!("ring-create {ring} sq=8 cq=16 {kind}"));
            let declared = first[2 + ring];
            if !declared.is_multiple_of(3) {
                let what = [
                    "sentinel 0x0",
                    "sentinel 0x9",
                    "shared",
                    "tagged 0x3",
                    "index",
                    "pointer",
                ];
                let what = pick(&what, declared / 3);
                program.push("main", format!("scheme {ring} {what}"));
            }
        }
        for coroutine in 1..=first[4] % 3 {
            program.push("main", format!("spawn {coroutine} Task m.rs:3"));
        }
        let mut is_dropped = [false; 2];
        let mut sequences = [0u32; 2];
        for choices in rest {
            program.goes_on(*choices, first[4] % 3, &mut is_dropped, &mut sequences);
        }
        program
    }

    fn push(&mut self, lane: &'static str, what: String) {
        self.events.push((lane, what));
    }

    fn goes_on(
        &mut self,
        [what, which, word, more, lane]: Choices,
        coroutines: u8,
        is_dropped: &mut [bool; 2],
        sequences: &mut [u32; 2],
    ) {
        let lane = if lane % 4 == 0 { "other" } else { "main" };
        let ring = usize::from(which % 2);
        let word = pick(
            &["0x1000", "0x1000", "0x1001", "0x2000", "0x9", "0x0"],
            word,
        );
        let owner = pick(&["Box", "Box", "Rc", "index", "custom"], which / 2);
        let coroutine = 1 + which / 2 % coroutines.max(1);
        let has_ring = !is_dropped[ring];
        let event = match what % 24 {
            0..=3 => format!("leak {word} Op op.rs:8 owner={owner}"),
            4..=6 => format!("reclaim {word} Op op.rs:9 owner={owner}"),
            7 => format!(
                "{} {word} Op op.rs:7",
                pick(&["peek", "retain", "release"], more)
            ),
            8 => format!("shared {word}"),
            9..=13 if has_ring => {
                let sequence = sequences[ring];
                sequences[ring] += 1;
                let opcode = pick(&["NOP", "RECV", "SEND", "TIMEOUT"], more);
                let flags = pick(&["", "", "set", "set link", "skip-success"], more / 4);
                let slot = sequence % 8;
                format!("submit {ring} {opcode} {word} op.rs:12 seq={sequence} slot={slot} {flags}")
            }
            14 | 15 if has_ring => format!("enter {ring} {0} -> {0}", more % 3),
            16..=18 if has_ring => {
                format!("complete {ring} {word} {}", pick(&["0", "0", "-125"], more))
            }
            19 if more % 4 == 0 && has_ring => {
                is_dropped[ring] = true;
                format!("ring-drop {ring}")
            }
            20 if coroutines > 0 => format!("resume {coroutine} {word} ring={ring}"),
            21 if coroutines > 0 => format!("suspend {coroutine} {word}"),
            22 if coroutines > 0 => {
                format!(
                    "{} {coroutine}",
                    pick(&["resume", "done", "coroutine-drop", "wake"], more)
                )
            }
            _ => "mark x".to_owned(),
        };
        self.push(lane, event);
    }

    /// As text, without some of the events, where its writer says what lasts.
    fn text(&self, is_lost: impl Fn(usize) -> bool) -> String {
        let mut text = format!("{} lasting=whole\n", self.head);
        let timed = || {
            self.events
                .iter()
                .zip(1..)
                .map(|((lane, what), at)| (10 * at, *lane, what))
        };
        for (at, _, what) in timed() {
            let lasts = ["ring-create", "scheme", "shared", "spawn"];
            if lasts.iter().any(|kind| what.starts_with(kind)) {
                text += &format!("lasting 0 {at} {what}\n");
            }
        }
        for (index, (at, lane, what)) in timed().enumerate() {
            let what = if is_lost(index) {
                "lost 1 removed"
            } else {
                what
            };
            text += &format!("{at} {lane} {what}\n");
        }
        text
    }
}

fn found(text: &str) -> Vec<String> {
    let trace = Trace::check_text(text).unwrap();
    let stories = trace.verdict().stories.iter();
    stories
        .map(|story| format!("{} {}", story.head.rule, story.head.message))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_missing_of_anything_makes_no_finding(
        first in any::<Choices>(),
        rest in prop::collection::vec(any::<Choices>(), 1..16),
        holes in prop::collection::vec((any::<prop::sample::Index>(), 1usize..4), 1..4),
        front in any::<prop::sample::Index>(),
        is_overwritten in any::<bool>(),
    ) {
        let program = Program::new(first, &rest);
        prop_assume!(found(&program.text(|_| false)).is_empty());
        let count = program.events.len();
        let front = if is_overwritten { front.index(count + 1) } else { 0 };
        let holes: Vec<_> = holes.iter().map(|(at, len)| (at.index(count), *len)).collect();
        let text = program.text(|index| {
            index < front || holes.iter().any(|(at, len)| (*at..at + len).contains(&index))
        });
        prop_assert_eq!(found(&text), Vec::<String>::new(), "{}\nof\n{}", text, program.text(|_| false));
    }
}
