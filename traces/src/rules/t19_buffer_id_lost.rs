//! `buffer-id-lost`: a provided buffer was handed out and never given back, or given back too early.
//!
//! Fires on a buffer given to the kernel that the kernel has already, or still fills; and, when the ring
//! or the process ends, on one that was handed out, after which its group ran dry, and that nobody gave
//! back although the ring went on and the group was wanted: somebody asked it again in vain, or used it again while this
//! one, which others overtook, stayed away.
//! Only suspects the second where the end is a kill: it may have been about to come back. Where who asked again was not
//! the one that had been refused, and may not have known. And where the ring was
//! dropped a round after it ran dry, if none of the group was ever given back.
//! Stays silent for groups that never ran dry, that were never given in the recording, whose buffers the
//! kernel took away by its own choice, or that are handed out several at once. Asks where the program used up all that
//! there was before, got on, and let the group wait no longer now than it did then (`model/provided.rs`);
//! and where nobody wanted one any more: who has finished gives none back.
//! Points at the second giving, or at the completion that handed the buffer out.

use super::{Draft, History, Judge, Key, Rule};
use crate::finding::{Confidence, Doubt, RuleId, Severity, Subject};
use crate::model::{Missed, Moment};

pub(super) static RULE: Rule = Rule {
    id: RuleId(19),
    name: "buffer-id-lost",
    brief: "a provided buffer is never given back, or given back too early",
    severity: Severity::Error,
    fires: "A provided buffer was handed out by a completion and never given back; its group ran dry, and \
            receives fail with ENOBUFS. Or a buffer is given back while the kernel has it: two operations \
            will write to it.",
    silent: "The group never ran dry, or was not filled within the recording; the kernel removed buffers \
             by its own choice, or hands out several with one completion. The end came less than two \
             rounds of the ring after the group ran dry: one is enough to suspect it where the ring was \
             dropped and none of the group's buffers was ever given back. It is asked and not said where the \
             group ran dry before, the program got on, by giving back in turn or, where it never gives any \
             back, with others or with the group made anew, and it waits no longer now than it did then; \
             unless one that was handed out later came back. And where nobody asked the group for another once it \
             had run dry: who has finished needs to give none back.",
    needs: "Buffers given (buffer-provide, or PROVIDE_BUFFERS), submissions and completions.",
    points_at: "The completion that handed the buffer out, or the second giving.",
    example: "A connection was closed without giving its last buffer back; after a few of them all \
              receives failed. The buffer is handed out also where the call itself fails.",
    source: "frevib/io_uring-echo-server#11, axboe/liburing#359",
    advice: "Give the buffer back on every path that takes a completion with F_BUFFER: also for errors, \
             end of file and cancelled receives. Not before F_BUF_MORE is gone.",
    check,
};

/// Why it is not known of a program that got on before.
const USED_UP: &str =
    "it ran dry before, for as long, and the program got on: it may use up its buffers on purpose";

/// Why it is not known where nobody asked for another.
const UNWANTED: &str =
    "nobody asked the group for another since: the program may have finished what it was for";

/// Rounds of the ring after it ran dry in which a buffer may still come back.
const ROUNDS: u64 = 2;

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::GivenTwice {
            event,
            place: (process, scope),
            buffer: (ring, group, buffer),
            since,
            partly,
        } => {
            let subject = Subject::Cookie {
                process: *process,
                ring: *ring,
                cookie: u64::from(*buffer),
            };
            let state = if *partly {
                "still fills it"
            } else {
                "has it already"
            };
            let draft = Draft::new(subject, *event, *event)
                .scope(*scope)
                .history(History::Since(*since))
                .message(format!(
                    "buffer {buffer} of group {group} on ring {ring} was given to the kernel, which {state}"
                ))
                .evidence(*since, "given to the kernel here")
                .evidence(*event, "given again")
                .shape("twice");
            judge.say(draft);
        }
        Moment::BufferLost {
            is_usual,
            missed,
            taken,
            since,
            place: (process, scope),
            buffer: (ring, group, buffer),
            operation,
            dry,
            until,
            rounds,
            clean,
            none_back,
        } => {
            let went_on = *rounds >= ROUNDS;
            let is_known_by_one = *none_back && *rounds > 0;
            if !went_on && !is_known_by_one {
                return;
            }
            let subject = operation.map_or(
                Subject::Cookie {
                    process: *process,
                    ring: *ring,
                    cookie: u64::from(*buffer),
                },
                |operation| operation.subject(),
            );
            let (asked, is_sure) = match *missed {
                Missed::No => (None, false),
                Missed::Perhaps(asked) => (Some(asked), false),
                Missed::Yes(asked) => (Some(asked), true),
            };
            let mut draft = Draft::new(subject, *taken, *until)
                .scope(*scope)
                .confidence(if *clean && went_on && is_sure {
                    Confidence::Observed
                } else {
                    Confidence::Suspected
                })
                .history(since.map_or(History::Whole, History::Since))
                .message(format!(
                    "buffer {buffer} of group {group} on ring {ring} was handed out and never given back, \
                     and the group ran dry"
                ))
                .evidence(*taken, "handed out here")
                .evidence(*dry, "no buffer was left")
                .keys(operation.map(Key::from))
                .shape("lost");
            if let Some(asked) = asked {
                draft = draft.evidence(asked, "wanted again here");
            }
            judge.say(if *is_usual {
                draft.doubted(Doubt::UsedUp, USED_UP)
            } else if asked.is_none() {
                draft.doubted(Doubt::UsedUp, UNWANTED)
            } else {
                draft
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    const RUN: &str = "
        1 main ring-create 0 sq=8 cq=16
        2 main buffer-provide 0 1 0 count=2
        10 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
    ";

    #[test]
    fn never_given_back() {
        let rest = "
            20 main complete 0 0x1000 5 flags=0x00001       <- buffer 0 of group 1 on ring 0 was handed out and never given back, and the group ran dry
            21 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
            22 main complete 0 0x1000 5 flags=0x10001
            23 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
            24 main complete 0 0x1000 -105
            25 main buffer-provide 0 1 1
            30 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
            31 main complete 0 0x1000 0
            32 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
            33 main complete 0 0x1000 0
        ";
        check_rule(&RULE, &format!("process 0 state=clean\n{RUN}{rest}"));
        check_rule(&RULE, &format!("{RUN}{rest}\n40 main ring-drop 0"));
    }

    #[test]
    fn given_twice_or_too_early() {
        check_rule(
            &RULE,
            &format!(
                "{RUN}
                20 main buffer-provide 0 1 1        <- [observed since:1] buffer 1 of group 1 on ring 0 was given to the kernel, which has it already
                30 main complete 0 0x1000 5 flags=0x00011
                40 main buffer-provide 0 1 0        <- which still fills it
                "
            ),
        );
    }

    #[test]
    fn ordinary_use_is_silent() {
        check_rule(
            &RULE,
            &format!(
                "process 0 state=clean\n{RUN}
                # Handed out in two pieces, given back; held while others are there; dry and made up for.
                20 main complete 0 0x1000 5 flags=0x00011
                21 main submit 0 RECV 0x1000 buf=1 buffer-select
                22 main complete 0 0x1000 5 flags=0x00001
                23 main buffer-provide 0 1 0
                24 main submit 0 RECV 0x1000 buf=1 buffer-select
                25 main complete 0 0x1000 5 flags=0x10001
                26 main submit 0 RECV 0x1000 buf=1 buffer-select
                27 main complete 0 0x1000 5 flags=0x00001
                28 main submit 0 RECV 0x1000 buf=1 buffer-select
                29 main complete 0 0x1000 -105
                30 main submit 0 PROVIDE_BUFFERS 0x2000 fd=2 buf=1 addr=0x10000 len=64
                31 main complete 0 0x2000 0
                32 main submit 0 NOP 0x2000
                33 main complete 0 0x2000 0
                # Another group, of which nothing is known; bundles.
                40 main submit 0 RECV 0x1000 buf=7 buffer-select
                41 main complete 0 0x1000 5 flags=0x50001
                42 main submit 0 RECV 0x1000 buf=1 buffer-select ioprio=16
                43 main complete 0 0x1000 5 flags=0x00001
                44 main buffer-provide 0 1 0 count=2
                "
            ),
        );
    }

    #[test]
    fn a_group_that_is_gone_is_owed_nothing_and_begins_anew() {
        let gone = |by: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "process 0 state=clean\n{RUN}
                    20 main complete 0 0x1000 5 flags=0x00001
                    21 main submit 0 RECV 0x1000 buf=1 buffer-select
                    22 main complete 0 0x1000 5 flags=0x10001
                    23 main submit 0 RECV 0x1000 buf=1 buffer-select
                    24 main complete 0 0x1000 -105
                    26 main buffer-provide 0 1 7
                    {by}
                    31 main buffer-provide 0 1 7    {arrow}
                    32 main buffer-provide 0 1 0 count=2
                    "
                ),
            );
        };
        gone("29 main buffer-provide 0 1 0 count=0", "");
        gone(
            "29 main buffer-provide 0 2 0 count=0",
            "<- buffer 7 of group 1 on ring 0 was given to the kernel, which has it already",
        );
        // Behind rounds enough it is as at the end of the ring.
        check_rule(
            &RULE,
            &format!(
                "process 0 state=clean\n{RUN}
                20 main complete 0 0x1000 5 flags=0x00001   <- buffer 0 of group 1 on ring 0 was handed out and never given back
                21 main submit 0 RECV 0x1000 buf=1 buffer-select
                22 main complete 0 0x1000 5 flags=0x10001
                23 main submit 0 RECV 0x1000 buf=1 buffer-select
                24 main complete 0 0x1000 -105
                25 main buffer-provide 0 1 1
                30 main submit 0 RECV 0x1000 buf=1 buffer-select
                31 main complete 0 0x1000 0
                32 main submit 0 NOP 0x1000
                33 main complete 0 0x1000 0
                34 main buffer-provide 0 1 0 count=0
                "
            ),
        );
        // An entry that gives none says nothing of the group.
        gone(
            "28 main submit 0 PROVIDE_BUFFERS 0x2000 fd=0 buf=1\n29 main complete 0 0x2000 -22",
            "<- which has it already",
        );
    }

    #[test]
    fn an_end_a_moment_after_is_silent() {
        check_rule(
            &RULE,
            &format!(
                "process 0 state=clean\n{RUN}
                20 main complete 0 0x1000 5 flags=0x00001
                21 main submit 0 RECV 0x1000 buf=1 buffer-select
                22 main complete 0 0x1000 5 flags=0x10001
                23 main submit 0 RECV 0x1000 buf=1 buffer-select
                24 main complete 0 0x1000 -105
                "
            ),
        );
    }

    #[test]
    fn dry_with_none_ever_given_back_is_suspected() {
        let of = |back: &str, end: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "process 0 state=clean\n{RUN}
                    20 main complete 0 0x1000 5 flags=0x00001   {arrow}
                    21 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
                    22 main complete 0 0x1000 5 flags=0x10001   {arrow}
                    {back}
                    25 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
                    26 main complete 0 0x1000 -105
                    {end}
                    40 main ring-drop 0
                    "
                ),
            );
        };
        let round = "30 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select\n31 main complete 0 0x1000 -105";
        of("", round, &format!("<- [suspected] {LOST}"));
        // Nobody wants one any more.
        let unwanted = "30 main submit 0 NOP 0x7\n31 main complete 0 0x7 0";
        of("", unwanted, &format!("<? {LOST}"));
        of("", "", "");
        of(
            "",
            &format!("{round}\n32 main buffer-provide 0 1 0 count=2"),
            "",
        );
        let once = "23 main buffer-provide 0 1 0
            24 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
            24 main complete 0 0x1000 5 flags=0x00001";
        of(once, round, "");
    }

    /// A run of steps on a group of ring 0, each at a time of its own: `give FIRST COUNT`, `take ID` into a buffer,
    /// `dry`, which finds none, and `pass`, a round without one; or a line of its own.
    #[track_caller]
    fn steps(head: &str, steps: &str) {
        let mut text = format!("process 0 {head}\n0 main ring-create 0 sq=8 cq=16\n");
        let lines = steps.lines().map(str::trim).filter(|line| !line.is_empty());
        for (number, line) in lines.enumerate() {
            let (step, told) = line.split_at(line.find('<').unwrap_or(line.len()));
            let words: Vec<&str> = step.split_whitespace().collect();
            let at = 10 * (number + 1);
            let receive = format!(
                "{at} main submit 0 RECV 0x1000 buf=1 buffer-select\n{at} main complete 0 0x1000"
            );
            text += &match words[..] {
                ["give", first, count] => {
                    format!("{at} main buffer-provide 0 1 {first} count={count}")
                }
                ["take", id] => format!(
                    "{receive} 5 flags={:#x}",
                    1 | id.parse::<u32>().unwrap() << 16
                ),
                ["dry"] => format!("{receive} -105"),
                ["pass"] => format!("{at} main submit 0 NOP 0x7\n{at} main complete 0 0x7 0"),
                _ => format!("{at} {step}"),
            };
            text += &format!(" {told}\n");
        }
        check_rule(&RULE, &text);
    }

    /// Two that are given, used up, and given back in turn so many rounds later.
    fn recovered(rounds: usize) -> String {
        let rounds = "pass\n".repeat(rounds);
        format!("give 0 2\ntake 0\ntake 1\ndry\n{rounds}give 0 1\n{rounds}give 1 1\n")
    }

    const LOST: &str = "was handed out and never given back, and the group ran dry";

    #[test]
    fn of_what_is_given_back_in_turn_it_is_asked_while_it_takes_no_longer_than_before() {
        for end in ["", "main ring-drop 0"] {
            // What is wanted is asked for again.
            let rest = |now: usize| format!("dry\n{}", "pass\n".repeat(now - 1));
            for (before, now, told) in [
                (3, 3, false),
                (3, 4, true),
                (1, 1, false),
                (1, 2, true),
                (0, 2, true),
            ] {
                let said = match told {
                    true => format!("<- [since:0] {LOST}"),
                    false if now >= 2 => format!("<? {LOST}"),
                    false => String::new(),
                };
                let (first, rest, passed) = (recovered(before), rest(now), "pass\n".repeat(now));
                // The end finds it with both in hand, or with the newer one.
                steps(
                    "state=clean",
                    &format!("{first}take 0 {said}\ntake 1 {said}\ndry\n{rest}{end}"),
                );
                let said = if now == 1 { format!("<? {LOST}") } else { said };
                steps(
                    "state=clean",
                    &format!("{first}take 0\ntake 1 {said}\ndry\ndry\ngive 0 1\n{passed}{end}"),
                );
            }
            // Others did not wait for it, once or before.
            let (first, rest) = (recovered(1), rest(2));
            let said = format!("<- [observed since:15] buffer 0 of group 1 on ring 0 {LOST}");
            let both = format!("take 0 {said}\ntake 1\n");
            steps(
                "state=clean",
                &format!("{first}{both}dry\ngive 1 1\ntake 1\npass\n{end}"),
            );
            let newer = format!("give 1 1\ntake 1 <- {LOST}\n");
            steps(
                "state=clean",
                &format!("{first}{both}{newer}dry\n{rest}{end}"),
            );
        }
        // New ones that come much later do not make that longer.
        let said = format!("<- {LOST}");
        steps(
            "state=clean",
            &format!(
                "{}{}give 2 1\ntake 0 {said}\ntake 1 {said}\ntake 2 {said}\ndry\ndry\npass",
                recovered(1),
                "pass\n".repeat(9)
            ),
        );
        // One that came back before the group ran dry tells nothing of how long it may take.
        let said = format!("<- {LOST}");
        steps(
            "state=clean",
            &format!("give 0 2\ntake 0\ngive 0 1\ntake 0 {said}\ntake 1 {said}\ndry\ndry\npass"),
        );
    }

    #[test]
    fn who_never_gives_any_back_goes_on_with_others_or_makes_the_group_anew() {
        let (rounds, said) = ("dry\npass\npass\n", format!("<- {LOST}"));
        let used_up = |first: u32, said: &str| {
            format!("take {first} {said}\ntake {} {said}\ndry\n", first + 1)
        };
        for end in ["", "main ring-drop 0"] {
            let (none, all) = (used_up(0, ""), used_up(0, &said));
            let asked = used_up(0, &format!("<? {LOST}"));
            for others in ["give 2 2\n", "give 1 3\n"] {
                let is_fresh = others.starts_with("give 2");
                // With the second one came back.
                let first = if is_fresh {
                    &asked
                } else {
                    &format!("take 0 {said}\ntake 1\ndry\n")
                };
                steps(
                    "state=clean",
                    &format!(
                        "give 0 2\n{first}{rounds}{others}take 2\n{}{end}",
                        "pass\n".repeat(9)
                    ),
                );
            }
            let other = used_up(2, &format!("<? {LOST}"));
            steps(
                "state=clean",
                &format!("give 0 2\n{asked}{rounds}give 2 2\n{other}{rounds}{end}"),
            );
            // Not so for longer than it took before.
            let other = used_up(2, &said);
            steps(
                "state=clean",
                &format!("give 0 2\n{all}{rounds}give 2 2\n{other}{rounds}pass\n{end}"),
            );

            let anew = "main buffer-provide 0 1 0 count=0\n";
            steps(
                "state=clean",
                &format!(
                    "give 0 2\n{none}{rounds}{anew}give 0 1\n{}{end}",
                    "pass\n".repeat(9)
                ),
            );
            steps(
                "state=clean",
                &format!("give 0 2\n{none}{rounds}{anew}give 0 2\n{asked}{rounds}{end}"),
            );
            steps(
                "state=clean",
                &format!("give 0 2\n{none}{rounds}{anew}give 0 2\n{all}{rounds}pass\n{end}"),
            );
            // Of a group that is not filled again it is as at the end of the ring; what passes behind that tells nothing.
            steps(
                "state=clean",
                &format!("give 0 2\n{all}{rounds}{anew}{rounds}{end}"),
            );
            steps("end=killed:9", &format!("give 0 2\n{all}dry\n{anew}{end}"));
            steps(
                "state=clean",
                &format!("give 0 2\n{none}{anew}{rounds}{end}"),
            );
            // Where some come back new ones tell nothing.
            let some = format!("give 0 2\ntake 0\ngive 0 1\n{all}dry\ngive 2 1\n{rounds}{end}");
            steps("state=clean", &some);
            // Where some came back in all.
            let given = format!("give 0 2\ntake 0\ngive 0 1\n{all}{rounds}{anew}give 0 2\n{end}");
            steps("state=clean", &given);
        }
    }

    /// A client that has what it wanted gives none back, asks for none, and takes leave.
    #[test]
    fn of_who_wants_none_any_more_it_is_asked() {
        let leave = "pass\npass\npass\n";
        let asked = format!("<? {LOST}");
        let both = |said: &str| format!("give 0 2\ntake 0 {said}\ntake 1 {said}\ndry\n");
        for end in [
            "",
            "main ring-drop 0",
            "main buffer-provide 0 1 0 count=0\nmain ring-drop 0",
        ] {
            let none_back = both(&asked);
            steps("state=clean", &format!("{none_back}{leave}{end}"));
            // It may have asked in vain for a second connection, of which it did not know yet.
            let (other, maybe) = (
                "main submit 0 RECV 0x2000 fd=6 buf=1 buffer-select\nmain complete 0 0x2000 -105",
                both(&format!("<- [suspected] {LOST}")),
            );
            steps("state=clean", &format!("{maybe}{other}\n{leave}{end}"));
            let insists = both(&format!("<- [observed] {LOST}"));
            steps("state=clean", &format!("{insists}dry\n{leave}{end}"));
            // All were given back each time, but for the last.
            let batch = "take 0\ntake 1\ndry\ngive 0 2\n";
            let last = format!("take 0 {asked}\ntake 1 {asked}\ndry\n");
            if end.is_empty() || end.starts_with("main ring") {
                steps(
                    "state=clean",
                    &format!("give 0 2\n{batch}{batch}{last}{leave}{end}"),
                );
            }
            // One may wait for the rest of what it holds, which no one asks for.
            let held = format!("take 0 {asked}\ntake 1\ngive 1 1\ntake 1 {asked}\ndry\n");
            if end.is_empty() || end.starts_with("main ring") {
                steps("state=clean", &format!("give 0 2\n{held}{leave}{end}"));
            }
            let lost = format!("take 0 <- [observed] {LOST}\ntake 1\ngive 1 1\ntake 1\ndry\n");
            steps(
                "state=clean",
                &format!("give 0 2\n{lost}give 1 1\ntake 1\n{leave}{end}"),
            );
        }
    }

    #[test]
    fn what_is_missing_may_have_shown_how_long_it_takes() {
        let lost = "main lost 1 removed\n";
        let (rounds, first) = ("dry\npass\npass\n", recovered(0));
        let asked = format!("<? {LOST}");
        steps(
            "state=clean",
            &format!("give 0 1\n{lost}take 0 {asked}\ndry\n{rounds}"),
        );
        let said = format!("<- {LOST}");
        steps(
            "state=clean",
            &format!("{first}{lost}take 0 {said}\ntake 1\ndry\ngive 1 1\ntake 1\npass"),
        );
        // That it was filled anew.
        let anew = "main buffer-provide 0 1 0 count=0\n";
        steps(
            "state=clean",
            &format!("give 0 1\ntake 0 {asked}\ndry\n{rounds}{anew}{lost}pass\n"),
        );
        // Another ring of its number has groups of its own, whatever became of the first one.
        let made = "main ring-create 0 sq=8 cq=16\n";
        for gone in ["", "main ring-drop 0\n"] {
            steps(
                "",
                &format!("give 0 1\n{gone}{made}give 0 1\ntake 0\ngive 0 1"),
            );
        }
    }

    /// The hook and the entry tell of the same buffers: which of the two comes first does not matter.
    #[test]
    fn a_giving_that_is_told_twice_is_one() {
        let entry = |time: u32, id: u32, count: u32| {
            format!(
                "{time} main submit 0 PROVIDE_BUFFERS 0x7 conn.rs:9 fd={count} buf=1 off={id} addr=0x10000 len=64
                {time} main complete 0 0x7 0\n"
            )
        };
        let hook = |time: u32, id: u32, count: u32| {
            format!("{time} main buffer-provide 0 1 {id} count={count}\n")
        };
        let recv = "
            10 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
            11 main complete 0 0x1000 5 flags=0x00001\n";
        let ring = "1 main ring-create 0 sq=8 cq=16\n";
        for (one, two) in [
            (
                hook(2, 0, 2) + &entry(3, 0, 2),
                hook(12, 0, 1) + &entry(13, 0, 1),
            ),
            (
                entry(2, 0, 2) + &hook(3, 0, 2),
                entry(12, 0, 1) + &hook(13, 0, 1),
            ),
            (entry(2, 0, 2) + &hook(3, 0, 2), entry(12, 0, 1)),
        ] {
            check_rule(&RULE, &format!("{ring}{one}{recv}{two}"));
            let arrow = "20 main buffer-provide 0 1 1    <- which has it already";
            check_rule(&RULE, &format!("{ring}{one}{recv}{two}{arrow}"));
        }
    }

    #[test]
    fn a_lost_giving_could_explain_it() {
        check_rule(
            &RULE,
            &format!(
                "{RUN}
                15 main lost 1 removed
                20 main buffer-provide 0 1 1        <? has it already
                "
            ),
        );
    }

    #[test]
    fn two_rounds_behind_the_dry_one_are_enough() {
        let round =
            "41 main submit 0 RECV 0x1000 buf=1 buffer-select\n41 main complete 0 0x1000 0\n";
        let said = "<- [SURE since:3] buffer 0 of group 1";
        let (observed, suspected) = (
            said.replace("SURE", "observed"),
            said.replace("SURE", "suspected"),
        );
        for (end, rounds, arrow) in [
            ("state=clean", 1, ""),
            ("state=clean", 2, observed.as_str()),
            ("end=killed:9", 2, suspected.as_str()),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "process 0 {end}\n{RUN}
                    20 main complete 0 0x1000 5 flags=0x00001     {arrow}
                    21 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
                    22 main complete 0 0x1000 5 flags=0x10001
                    23 main buffer-provide 0 1 1
                    23 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
                    24 main complete 0 0x1000 5 flags=0x10001
                    25 main submit 0 RECV 0x1000 conn.rs:8 buf=1 buffer-select
                    26 main complete 0 0x1000 -105
                    40 main buffer-provide 0 1 1
                    {}",
                    round.repeat(rounds)
                ),
            );
        }
    }

    /// One that stays armed goes on handing out buffers when its submission was overwritten long ago.
    #[test]
    fn what_hands_a_buffer_out_may_have_gone_in_before_the_recording_begins() {
        let trace = |group: &str, mark: &str| {
            format!(
                "
                1 main ring-create 0 sq=8 cq=16
                2 main lost 9 removed
                3 main buffer-provide 0 1 {group}
                4 main complete 0 0x1000 5 flags=0x70003
                5 main buffer-provide 0 1 {group}    {mark} was given to the kernel, which has it already
                "
            )
        };
        check_rule(
            &RULE,
            &trace("7", "").replace(" was given to the kernel, which has it already", ""),
        );
        check_rule(&RULE, &trace("6", "<-"));
    }

    #[test]
    fn a_group_is_followed_however_long_it_is_used() {
        let round = "
            20 main complete 0 0x1000 5 flags=0x00001
            20 main buffer-provide 0 1 0
            20 main submit 0 RECV 0x1000 buf=1 buffer-select
        ";
        let rounds = round.repeat(2_000);
        let twice = "30 main buffer-provide 0 1 1        <- which has it already";
        check_rule(&RULE, &format!("{RUN}{rounds}{twice}"));
        // Not so what a record claims by the thousand.
        let many = "25 main buffer-provide 0 2 0 count=30000\n";
        check_rule(&RULE, &format!("{RUN}{many}30 main buffer-provide 0 2 0"));
    }
}
