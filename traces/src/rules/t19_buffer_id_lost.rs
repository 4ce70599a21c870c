//! `buffer-id-lost`: a provided buffer was handed out and never given back, or given back too early.
//!
//! Fires on a buffer given to the kernel that the kernel has already, or still fills; and, when the ring
//! or the process ends, on one that was handed out, after which its group ran dry, and that nobody gave
//! back although the ring went on.
//! Only suspects the second where the end is a kill: it may have been about to come back. And where the ring was
//! dropped a round after it ran dry, if none of the group was ever given back.
//! Stays silent for groups that never ran dry, that were never given in the recording, whose buffers the
//! kernel took away by its own choice, or that are handed out several at once.
//! Points at the second giving, or at the completion that handed the buffer out.

use super::{Draft, History, Judge, Key, Rule};
use crate::finding::{Confidence, RuleId, Severity, Subject};
use crate::model::Moment;

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
             dropped and none of the group's buffers was ever given back.",
    needs: "Buffers given (buffer-provide, or PROVIDE_BUFFERS), submissions and completions.",
    points_at: "The completion that handed the buffer out, or the second giving.",
    example: "A connection was closed without giving its last buffer back; after a few of them all \
              receives failed. The buffer is handed out also where the call itself fails.",
    source: "frevib/io_uring-echo-server#11, axboe/liburing#359",
    advice: "Give the buffer back on every path that takes a completion with F_BUFFER: also for errors, \
             end of file and cancelled receives. Not before F_BUF_MORE is gone.",
    check,
};

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
            taken,
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
            let draft = Draft::new(subject, *taken, *until)
                .scope(*scope)
                .confidence(if *clean && went_on {
                    Confidence::Observed
                } else {
                    Confidence::Suspected
                })
                .history(History::Since(*taken))
                .message(format!(
                    "buffer {buffer} of group {group} on ring {ring} was handed out and never given back, \
                     and the group ran dry"
                ))
                .evidence(*taken, "handed out here")
                .evidence(*dry, "no buffer was left")
                .keys(operation.map(Key::from))
                .shape("lost");
            judge.say(draft);
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
                30 main submit 0 NOP 0x1000
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
        let round = "30 main submit 0 NOP 0x7\n31 main complete 0 0x7 0";
        of(
            "",
            round,
            "<- [suspected] was handed out and never given back, and the group ran dry",
        );
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
        let round = "41 main submit 0 NOP 0x7\n41 main complete 0 0x7 0\n";
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
