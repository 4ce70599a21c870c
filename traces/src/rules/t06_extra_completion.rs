//! `extra-completion`: a completion for a cookie that owes none.
//!
//! Fires on a completion whose cookie no operation in flight carries, though one did that has ended on
//! this ring, or a pointer is alive that was never submitted there.
//! Stays silent for messages from other rings, for operations that post nothing on success, for
//! sentinels, and for rings that were made before the recording began. That another ring has the cookie in
//! flight explains nothing: tables of two rings have the same indices, and completions go to their own
//! ring. A word that no operation of this ring ever carried is `wrong-owner`'s then.
//! Points at the completion.

use super::{Draft, Judge, Key, Rule};
use crate::finding::{RuleId, Severity, Subject};
use crate::model::{Moment, Standing, Stray};

pub(super) static RULE: Rule = Rule {
    id: RuleId(6),
    name: "extra-completion",
    brief: "a completion for a cookie that owes none",
    severity: Severity::Error,
    fires: "A completion is taken for a cookie that owes none: its operation had posted its last one, or \
            the pointer was never submitted. A handler that frees on the first completion frees again.",
    silent: "Another ring sent it (MSG_RING); an operation with that cookie is in flight, whatever its \
             result; the cookie is a declared sentinel; the ring existed before the recording began; or \
             the operation was asked to post nothing on success.",
    needs: "The ring's creation, submissions and completions.",
    points_at: "The completion that nobody owed.",
    example: "A zero-copy send posts a result and later a notification; a handler that takes the first \
              for the last meets the second with its cookie dead.",
    source: "tokio-rs/io-uring#220, axboe/liburing#963",
    advice: "An operation has ended at the completion without F_MORE, and only there. If the recording \
             shows that it had, the completion was read twice, or the kernel posted one too many.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Stray(stray) = moment else { return };
    let Stray {
        event,
        place: (process, ring, scope),
        cookie,
        past,
        elsewhere,
        standing,
        may_be_silents,
        ..
    } = stray;
    let names = judge.names();
    let subject = Subject::Cookie {
        process: *process,
        ring: *ring,
        cookie: *cookie,
    };
    let mut draft = Draft::new(subject, *event, *event)
        .scope(*scope)
        .or_a_message()
        .evidence(*event, "a completion that nobody owed");
    let generation = match standing {
        Standing::Live(live) => Some(*live),
        Standing::Dead(dead) => Some(&dead.generation),
        Standing::Unknown => None,
    };
    let whose = generation.map_or_else(
        || format!("cookie {cookie:#x}"),
        |generation| format!("the cookie of {}", judge.generation(generation.id)),
    );
    let message = match (past, standing) {
        _ if *may_be_silents => return,
        (Some(past), _) => {
            draft = draft.evidence(past.submit, "its latest operation");
            if let Some(completion) = past.completion {
                draft = draft.evidence(completion, "which ended here");
            }
            draft = draft.key(past.operation).shape(names.file(past.site));
            format!(
                "a completion on ring {ring} brought {whose}, but {}{} had ended",
                names.operation(*ring, past.operation.sequence, past.slot, past.opcode),
                judge.at(past.site)
            )
        }
        (None, Standing::Live(live)) if elsewhere.is_none() => {
            draft = draft
                .evidence(live.leaked, "leaked here")
                .shape(names.file(live.leak_site));
            format!(
                "a completion on ring {ring} brought {whose}, leaked{}, which was not \
                 submitted there",
                judge.at(live.leak_site)
            )
        }
        _ => return,
    };
    let draft = draft
        .message(message)
        .keys(generation.map(|generation| Key::from(generation.id)));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn one_more_than_was_owed() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main complete 0 0x1000 5
            40 main complete 0 0x1000 5     <- a completion on ring 0 brought the cookie of Op#1 0x1000@1, but operation #0 (ring 0, slot 0, RECV) at op.rs:9 had ended
            ",
        );
    }

    /// It is not known when the kernel did it, nor whether.
    #[test]
    fn a_poll_whose_update_says_nothing_may_come_under_either_name() {
        for cookie in ["0x1000", "0x2000"] {
            check_rule(
                &RULE,
                &format!(
                    "
                    0 main ring-create 0 sq=8 cq=16
                    10 main leak 0x1000 Op op.rs:8
                    11 main leak 0x2000 Op op.rs:9
                    20 main submit 0 POLL_ADD 0x1000 len=1
                    30 main submit 0 POLL_REMOVE 0x7 addr=0x1000 len=4 off=0x2000 skip-success
                    40 main complete 0 {cookie} 1 more
                    "
                ),
            );
        }
    }

    #[test]
    fn never_submitted() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Op op.rs:8
            40 main complete 0 0x1000 5     <- which was not submitted there
            ",
        );
    }

    #[test]
    fn that_another_ring_has_the_cookie_in_flight_explains_nothing() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main ring-create 1 sq=8 cq=16
            3 main scheme all index
            20 main submit 0 RECV 0x3 op.rs:9
            21 main submit 1 RECV 0x3 op.rs:9
            30 main complete 0 0x3 5
            40 main complete 0 0x3 5     <- a completion on ring 0 brought cookie 0x3, but operation #0 (ring 0, slot 0, RECV) at op.rs:9 had ended
            50 main complete 1 0x3 5
            ",
        );
    }

    #[test]
    fn what_was_in_flight_on_a_ring_that_is_gone_explains_nothing_either() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main ring-create 1 sq=8 cq=16
            10 main submit 1 NOP 0x1000 op.rs:9
            20 main ring-drop 1
            30 main leak 0x1000 Op op.rs:30
            40 main complete 0 0x1000 5     <- a completion on ring 0 brought the cookie of Op#1 0x1000@1, leaked at op.rs:30, which was not submitted there
            ",
        );
    }

    #[test]
    fn all_that_is_owed_is_silent() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16 fd=3
            2 main ring-create 1 sq=8 cq=16 fd=4
            3 main scheme all sentinel 0x9
            10 main submit 0 SEND_ZC 0x1000 len=9
            11 main complete 0 0x1000 9 more
            12 main complete 0 0x1000 0 notif
            20 main submit 0 ACCEPT 0x2000 ioprio=1
            21 main complete 0 0x2000 7 more
            22 main complete 0 0x2000 8 more
            23 main complete 0 0x2000 -125
            # A bundle is sent in two pieces.
            30 main submit 0 SEND 0x3000 ioprio=16 buffer-select
            31 main complete 0 0x3000 7 more
            32 main complete 0 0x3000 9
            # A message: one completion here, one there.
            40 main submit 0 MSG_RING 0x4000 fd=4 off=0x3000 len=5
            41 main complete 0 0x4000 0
            42 main complete 1 0x3000 5
            # What was renamed comes back under its new name.
            50 main submit 0 POLL_ADD 0x5000
            51 main submit 0 POLL_REMOVE 0x6000 addr=0x5000 len=4 off=0x5500
            52 main complete 0 0x6000 0
            53 main complete 0 0x5500 1
            # A sentinel, and a result that no table knows.
            60 main complete 0 0x9 0
            61 main submit 0 CLOSE 0x7000
            62 main complete 0 0x7000 3
            # One is in flight, though this cannot be its by what is known.
            63 main submit 0 CLOSE 0x7000
            64 main complete 0 0x7000 0 more
            ",
        );
    }

    /// A poll that fires while it is to be renamed keeps its name (EALREADY), and the new one goes to somebody else.
    #[test]
    fn what_could_not_be_renamed_does_not_come_back_under_the_other_name() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            55 main submit 0 POLL_ADD 0x5100
            56 main submit 0 POLL_REMOVE 0x6100 addr=0x5100 len=4 off=0x5600
            57 main complete 0 0x6100 -114
            58 main submit 0 OPENAT 0x5600
            58 main complete 0 0x5600 27
            59 main complete 0 0x5100 -125
            # Nor is it known of two requests with one cookie which of them failed.
            60 main submit 0 POLL_ADD 0x5200
            60 main submit 0 POLL_ADD 0x5300
            61 main submit 0 POLL_REMOVE 0x9 addr=0x5200 len=4 off=0x5700
            61 main submit 0 POLL_REMOVE 0x9 addr=0x5300 len=4 off=0x5800
            62 main complete 0 0x9 -114
            62 main complete 0 0x9 0
            63 main complete 0 0x5700 1
            63 main complete 0 0x5300 1
            # One of two requests for the same name.
            64 main submit 0 POLL_ADD 0x5400
            65 main submit 0 POLL_REMOVE 0x6200 addr=0x5400 len=4 off=0x5900
            65 main submit 0 POLL_REMOVE 0x6300 addr=0x5400 len=4 off=0x5900
            66 main complete 0 0x6200 -114
            66 main complete 0 0x6300 0
            67 main complete 0 0x5900 1
            ",
        );
    }

    #[test]
    fn it_may_be_a_message_of_another_processs_ring() {
        let trace = |sent: &str, doubt: &str| {
            format!(
                "process 0 pid=77 start=9 capture=preload end=exit:0
                process 1 pid=77 start=9 capture=kernel end=exit:0
                process 2 pid=78 start=10 capture=preload end=exit:0
                process 3 pid=78 start=10 capture=kernel end=exit:0
                lane k process=1
                lane c process=2
                lane kc process=3
                0 k ring-create 0 fd=5 sq=8 cq=16
                1 main ring-create 1 fd=5 sq=8 cq=16
                2 c lost 1 ring-not-followed
                3 kc ring-create 1 fd=6 sq=8 cq=16
                4 main submit 1 NOP 0x7
                5 main complete 1 0x7 0
                6 kc submit 1 {sent} 0x9 seq=0
                7 main complete 1 0x7 12    {doubt} a completion on ring 1 brought cookie 0x7"
            )
        };
        check_rule(&RULE, &trace("MSG_RING", "<?"));
        check_rule(&RULE, &trace("NOP", "<-"));
    }

    /// What ended in silence a long time ago may still fail, and no more than that.
    #[test]
    fn what_may_have_ended_in_silence_excuses_failures_alone() {
        let extra = |result: &str, mark: &str| {
            let mut text = String::from(
                "1 main ring-create 0 sq=8 cq=16\n2 main submit 0 CLOSE 0x1000 skip-success\n",
            );
            for cookie in 0..100 {
                text += &format!(
                    "3 main submit 0 CLOSE {:#x} skip-success\n",
                    0x2000 + cookie
                );
            }
            text += "4 main submit 0 NOP 0x1000\n5 main complete 0 0x1000 0\n";
            check_rule(
                &RULE,
                &format!("{text}6 main complete 0 0x1000 {result} {mark}"),
            );
        };
        extra("0", "<- had ended");
        extra("-5", "");
    }

    /// A request that fails late takes no name from a poll that went in behind it, nor one that another request may have
    /// given.
    #[test]
    fn a_poll_that_was_renamed_in_silence_has_the_name_whatever_an_earlier_request_came_to() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main leak 0x5600 New new.rs:1
            10 main submit 0 POLL_ADD 0x5100
            20 main submit 0 POLL_REMOVE 0x6100 addr=0x5100 len=4 off=0x5600
            25 main enter 0 2 -> 2
            30 main complete 0 0x5100 1
            40 main submit 0 POLL_ADD 0x5100
            50 main submit 0 POLL_REMOVE 0x6200 addr=0x5100 len=4 off=0x5600 skip-success
            55 main enter 0 2 -> 2
            60 main complete 0 0x6100 -2
            70 main complete 0 0x5600 1
            ",
        );
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main leak 0x5600 New new.rs:1
            10 main submit 0 POLL_ADD 0x5100
            20 main submit 0 POLL_REMOVE 0x6100 addr=0x5100 len=4 off=0x5600 skip-success
            21 main submit 0 POLL_REMOVE 0x6200 addr=0x5100 len=4 off=0x5600 skip-success
            25 main enter 0 3 -> 3
            60 main complete 0 0x6200 -114
            70 main complete 0 0x5600 1
            ",
        );
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main leak 0x5600 New new.rs:1
            10 main submit 0 POLL_ADD 0x5100
            20 main submit 0 POLL_REMOVE 0x6100 addr=0x5100 len=4 off=0x5600
            25 main enter 0 2 -> 2
            30 main complete 0 0x5100 1
            40 main submit 0 POLL_ADD 0x5100
            50 main submit 0 POLL_REMOVE 0x6200 addr=0x5100 len=4 off=0x5600
            55 main enter 0 2 -> 2
            60 main complete 0 0x6100 -2
            70 main complete 0 0x5600 1
            80 main complete 0 0x6200 0
            ",
        );
    }

    /// The kernel lists the operations of a ring that the shim does not follow, and not what its messages say. Those of
    /// rings that the shim follows are known.
    #[test]
    fn it_may_be_a_message_of_a_ring_that_the_kernel_alone_sees() {
        let trace = |kernels: &str, doubt: &str| {
            format!(
                "process 0 pid=77 start=9 capture=preload end=exit:0
                process 1 pid=77 start=9 capture=kernel end=exit:0
                lane k process=1
                0 k ring-create 0 fd=5 sq=8 cq=16
                1 main ring-create 1 fd=5 sq=8 cq=16
                2 main lost 1 ring-not-followed
                3 k ring-create 1 fd=6 sq=8 cq=16
                4 main submit 1 NOP 0x7
                5 main complete 1 0x7 0
                {kernels}
                7 main complete 1 0x7 12    {doubt} a completion on ring 1 brought cookie 0x7"
            )
        };
        let question = |kernels: &str| check_rule(&RULE, &trace(kernels, "<?"));
        let finding = |kernels: &str| check_rule(&RULE, &trace(kernels, "<-"));
        question("6 k submit 1 MSG_RING 0x9 seq=0");
        finding("6 k submit 1 NOP 0x9 seq=0");
        // Its own record knows what the followed one sends.
        let followed = "6 main submit 1 MSG_RING 0x9 fd=5 off=0x8\n6 k submit 0 MSG_RING 0x9 seq=0";
        finding(followed);
        question(&format!("{followed}\n6 k submit 1 MSG_RING 0x9 seq=0"));
        // Which of two at one descriptor that is, or of one whose making nobody saw, is not known.
        question(&format!("6 k ring-create 2 fd=5 sq=8 cq=16\n{followed}"));
        question("6 k submit 3 MSG_RING 0x9 seq=0");
        // What is missing may have been one.
        question("6 k lost 1 kernel-buffer");
    }

    /// Which began to look behind the first ring: at the descriptor that this one had it sees another.
    #[test]
    fn it_may_be_a_message_of_a_ring_at_a_descriptor_that_had_one_before_the_kernel_looked() {
        let sent = |first: &str, by: u32, doubt: &str| {
            check_rule(
                &RULE,
                &format!(
                    "process 0 pid=77 start=9 capture=preload end=exit:0
                    process 1 pid=77 start=9 capture=kernel end=exit:0
                    lane k process=1
                    1 main ring-create 0 fd=5 sq=8 cq=16
                    {first}
                    2 main ring-drop 0
                    3 main ring-create 1 fd=4 sq=8 cq=16
                    3 k ring-create 1 fd=4 sq=8 cq=16
                    4 main lost 1 ring-not-followed
                    4 k ring-create 2 fd=5 sq=8 cq=16
                    5 main submit 1 NOP 0x7
                    6 main complete 1 0x7 0
                    7 k submit {by} MSG_RING 0x9 seq=0
                    8 main complete 1 0x7 12    {doubt} a completion on ring 1 brought cookie 0x7"
                ),
            );
        };
        let seen = "1 k ring-create 0 fd=5 sq=8 cq=16";
        sent("", 2, "<?");
        sent(seen, 2, "<?");
        // Where both saw all of them, the process knows what is sent from the one that it follows.
        sent(seen, 1, "<-");
        sent("", 1, "<?");
    }

    /// Nobody reads the ring that they are sent to, but for a few.
    #[test]
    fn of_more_messages_than_are_kept_this_may_be_one() {
        for (sent, arrow) in [(200, "<- brought cookie 0x7"), (300, "")] {
            let mut text = String::from(
                "
                1 main ring-create 0 sq=8 cq=16 fd=3
                2 main ring-create 1 sq=8 cq=16 fd=4
                3 main submit 1 NOP 0x7
                3 main complete 1 0x7 0
                ",
            );
            for cookie in 0..sent {
                let cookie = 0x8000 + 16 * cookie;
                text += &format!(
                    "4 main submit 0 MSG_RING 0x9 fd=4 off={cookie:#x}\n4 main complete 0 0x9 0\n"
                );
            }
            text += &format!("5 main complete 1 0x8000 0\n6 main complete 1 0x7 0    {arrow}");
            check_rule(&RULE, &text);
        }
    }

    #[test]
    fn behind_a_quiet_one_that_failed_nothing_is_sure() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            10 main submit 0 SEND 0x1000 link skip-success len=9
            11 main submit 0 RECV 0x2000 len=9
            12 main complete 0 0x1000 -32
            20 main submit 0 SEND 0x2000 len=9
            21 main complete 0 0x2000 9
            22 main complete 0 0x2000 9
            ",
        );
    }

    #[test]
    fn a_ring_from_before_is_not_known() {
        check_rule(
            &RULE,
            "
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main complete 0 0x1000 5
            40 main complete 0 0x1000 5
            ",
        );
    }

    #[test]
    fn a_lost_submission_could_explain_it() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main complete 0 0x1000 5
            35 main lost 1 removed
            40 main complete 0 0x1000 5     <? had ended
            ",
        );
    }

    #[test]
    fn one_that_flies_on_another_ring_is_not_extra() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main ring-create 1 sq=8 cq=16
            10 main leak 0x1000 Op op.rs:8
            20 main submit 1 RECV 0x1000 op.rs:9
            30 main complete 0 0x1000 5
            ",
        );
    }

    #[test]
    fn of_one_that_may_have_ended_in_silence_long_ago_this_may_be_the_failure() {
        let mut text = String::from(
            "
            1 main ring-create 0 sq=8 cq=16
            2 main leak 0x1000 Op op.rs:8
            10 main submit 0 CLOSE 0x1000 op.rs:9 skip-success
            ",
        );
        for cookie in 0..100 {
            text += &format!(
                "20 main submit 0 CLOSE {:#x} skip-success\n",
                0x2000 + 16 * cookie
            );
        }
        check_rule(&RULE, &format!("{text}30 main complete 0 0x1000 -9"));
        // Even where so many ended since that it is not remembered.
        for cookie in 0..300 {
            let cookie = 0x8000 + 16 * cookie;
            text +=
                &format!("30 main submit 0 NOP {cookie:#x}\n30 main complete 0 {cookie:#x} 0\n");
        }
        check_rule(&RULE, &format!("{text}40 main complete 0 0x1000 -9"));
    }

    /// One failure each is what they owe, and of those that others had to let go of, anything.
    #[test]
    fn what_may_have_ended_in_silence_comes_back_once() {
        let crowd = |count: u64, base: u64, flags: &str| -> String {
            let one = |at| format!("20 main submit 0 CLOSE {:#x} {flags}\n", base + 16 * at);
            (0..count).map(one).collect()
        };
        let head = "1 main ring-create 0 sq=8 cq=16\n2 main leak 0x1000 Op op.rs:8\n";
        let quiet = "10 main submit 0 CLOSE 0x1000 op.rs:9 skip-success\n";
        let silent = crowd(100, 0x2000, "skip-success");
        let fails = "40 main complete 0 0x1000 -9\n";
        let extra = "41 main complete 0 0x1000 -9   <- had ended\n";
        check_rule(&RULE, &format!("{head}{quiet}{silent}{fails}{extra}"));
        check_rule(
            &RULE,
            &format!("{head}{quiet}{quiet}{silent}{fails}{fails}{extra}"),
        );
        // Whose cookie another one had since, which cannot fall short.
        let short = quiet.replace("CLOSE", "SEND");
        let nop = "30 main submit 0 NOP 0x1000\n30 main complete 0 0x1000 0\n";
        let fell = "40 main complete 0 0x1000 5\n";
        check_rule(&RULE, &format!("{head}{short}{silent}{nop}{fell}"));
        check_rule(
            &RULE,
            &format!("{head}{quiet}{silent}{nop}41 main complete 0 0x1000 5   <- had ended"),
        );
        // One behind a link, which says what comes of it, unless that in front of it fails.
        let linked =
            "10 main submit 0 CLOSE 0x3000 skip-success link\n10 main submit 0 NOP 0x1000\n";
        check_rule(
            &RULE,
            &format!("{head}{linked}{silent}40 main complete 0 0x1000 0"),
        );
        // However many other cookies there were: once for each of those that are not known any more.
        let many: String = (0..300)
            .map(|at| 0x8000 + 16 * at)
            .map(|it| format!("30 main submit 0 NOP {it:#x}\n30 main complete 0 {it:#x} 0\n"))
            .collect();
        check_rule(&RULE, &format!("{head}{quiet}{silent}{many}{nop}{fails}"));
    }

    /// Another one had its cookie since, and ended.
    #[test]
    fn one_that_may_have_ended_in_silence_may_still_fail_behind_a_later_one_of_its_cookie() {
        let mut text = String::from(
            "
            1 main ring-create 0 sq=8 cq=16
            10 main submit 0 CLOSE 0x1000 op.rs:9 skip-success
            ",
        );
        for cookie in 0..100 {
            let cookie = 0x2000 + 16 * cookie;
            text += &format!("20 main submit 0 CLOSE {cookie:#x} skip-success\n");
        }
        for _ in 0..2 {
            text += "30 main submit 0 NOP 0x1000\n30 main complete 0 0x1000 0\n";
        }
        check_rule(&RULE, &format!("{text}40 main complete 0 0x1000 -9"));
    }
}
