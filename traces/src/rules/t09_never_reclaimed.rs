//! `never-reclaimed`: a pointer was given away and nobody took it back.
//!
//! Fires at the end of a scope for all that the scope leaked and still holds, unless a panic ended it; when a ring is dropped
//! with an operation in flight that holds a pointer; at a clean exit for what was never submitted; and
//! however a process ended for what was reaped and not reclaimed, once its ring went on, or was dropped before a
//! clean exit.
//! Stays silent for what is pending in the kernel at the end of a process, or may be (an operation
//! behind one that skips its success ends unseen where that fails); for what a kill cut off or a
//! thread had in hand that still ran at the exit, had claimed a slot for, or left at the exit from inside a coroutine or
//! without dropping its ring; and for what was declared to be leaked for ever.
//! Where leaks are known from the program's functions it speaks of what went into a ring, and only suspects what several
//! operations carried: it may be kept for good. It asks of what a slot still holds that was not seen to be filled again: by
//! a kill, or where it went in from there more than once.
//! Points at the leak.

use super::{Draft, History, Judge, Key, Rule};
use crate::event::EventId;
use crate::finding::{Confidence, Doubt, RuleId, Severity};
use crate::model::{Generation, Held, HeldAt, InSlot, Moment};

pub(super) static RULE: Rule = Rule {
    id: RuleId(9),
    name: "never-reclaimed",
    brief: "leaked and never taken back",
    severity: Severity::Error,
    fires: "A pointer that was given away is still out at the end of its scope, or when its ring is \
            dropped with its operation in flight, or at a clean exit without ever having been submitted, \
            or although its last completion was taken and the ring went on to later ones, \
            or was dropped in order.",
    silent: "Operations pending in the kernel when a process ends are only counted: a server's accepts \
             are normal. So are those that may be, since one behind an entry that skips its success ends unseen \
             where that fails; and all that a kill cut off, or an exit while other threads still ran, from \
             inside a coroutine, with the thread's ring not dropped, or between the claim of a slot and its \
             submission: that runs no destructors. What is \
             declared leaked for ever is exempt, and so is what has no bytes. What a scope held that a panic \
             ended is asked for at the end of its process.",
    needs: "Leaks and reclaims; submissions and completions tell where it got stuck.",
    points_at: "The leak.",
    example: "Keys given to the kernel by into_raw were never taken back when the driver was dropped: \
              12,952 bytes in 18 allocations. The fix keeps a set of all raw pointers in flight.",
    source: "compio-rs/compio#769",
    advice: "Follow the biography to its last event: the path behind it must take the pointer back, \
             also when an error or a cancellation ends it.",
    check,
};

/// Why it is not known of what a slot holds, in a program whose functions are probed.
const FILLED_ONCE: &str = "the slot of its operation was not seen to be filled again: it may be meant to go in from there each time";

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::RingDropped {
            event,
            until,
            operation,
            generation,
        } => {
            let draft = about(generation, *event, "ring dropped", judge)
                .history(if operation.ambiguous {
                    History::Whole
                } else {
                    since(generation)
                })
                .evidence(operation.submit, "in flight since here")
                .until(*until)
                .evidence(*event, "its ring dropped here")
                .key(operation.id)
                .of_ring_drop(*event);
            judge.say_with(draft, |judge| {
                let state = format!(
                    "its ring was dropped while {} was in flight",
                    judge.operation(operation)
                );
                sentence(generation, &state, judge)
            });
        }
        Moment::Held(held) => still_held(held, judge),
        _ => {}
    }
}

/// Where a generation that is still held got stuck, in short and as a clause; nothing where that is
/// ordinary.
pub(super) fn stuck(held: &Held<'_>) -> Option<(&'static str, &'static str)> {
    let Held {
        when,
        generation,
        reaped,
        posted,
        ring_dropped,
        torn_down,
        in_hand,
        ..
    } = held;
    let rounds = reaped.map_or(0, |(_, rounds)| rounds);
    let (short, state) = if generation.flight().operations == 0 {
        ("never submitted", "it was never submitted")
    } else if reaped.is_some() {
        (
            "reaped, not reclaimed",
            if reaped.is_some_and(|(reaped, _)| reaped.unread) {
                "its completion was passed by: the head of the queue was moved past it, and nothing had shown it to \
                 the program"
            } else {
                "its completion was taken, and nobody took the pointer back"
            },
        )
    } else if *ring_dropped {
        (
            "ring dropped",
            "its ring was dropped with its operation in flight",
        )
    } else if posted.is_some() {
        (
            "completed, not reaped",
            "the kernel completed its operation, and nobody took the completion",
        )
    } else {
        ("never completed", "its operation never completed")
    };
    let speaks = match (when, short) {
        (HeldAt::ScopeEnd, _) => true,
        (HeldAt::CleanExit, "never submitted") => !in_hand,
        // Later ones were taken: the queue was gone past it.
        (_, "completed, not reaped") => posted.is_some_and(|posted| posted.passed),
        // Who drops the ring in order has worked through what was taken from it.
        (HeldAt::CleanExit, "reaped, not reclaimed") => rounds >= 1 || *torn_down,
        // A batch may have been taken and only half worked through when the kill came: two rounds
        // later it was. One that was only looked at is still in use.
        (HeldAt::Cut, "reaped, not reclaimed") => rounds >= 2 && !generation.peeked,
        _ => false,
    };
    speaks.then_some((short, state))
}

fn still_held(held: &Held<'_>, judge: &mut Judge<'_>) {
    let Held {
        at,
        when,
        generation,
        reaped,
        posted,
        ..
    } = held;
    let Some((short, state)) = stuck(held) else {
        return;
    };
    // What a program gives away for ever nobody could declare in one that does not link the probe. Cookies come back.
    let probed = judge.is_probed(generation.id.process);
    if probed && short == "never submitted" {
        return;
    }
    let end = match when {
        HeldAt::ScopeEnd => "still held at the end of its scope, ",
        HeldAt::CleanExit | HeldAt::Cut => "",
    };
    // That a thread was in the middle of a coroutine may have been said long before.
    let history = match reaped {
        Some((_, 0)) if *when == HeldAt::CleanExit => History::Whole,
        _ if held.may_be_cut && stuck(&cut(held)).is_none() => History::Whole,
        _ => history(held),
    };
    let mut draft = about(generation, *at, short, judge).history(history);
    if probed && generation.flight().operations > 1 {
        draft = draft.confidence(Confidence::Suspected);
    }
    // Of a program whose functions are probed it is not seen when it fills a slot. One that came back as it was may go in
    // so for ever, and so may one that a kill found on its first lap.
    let is_kept = match held.in_slot {
        Some(InSlot::Again) => true,
        Some(InSlot::Once) => *when == HeldAt::Cut,
        None => false,
    };
    if probed && is_kept {
        draft = draft.doubted(Doubt::FilledOnce, FILLED_ONCE);
    }
    if let Some((reaped, _)) = reaped {
        draft = draft.evidence(reaped.event, "its last completion");
        if reaped.unread {
            draft = draft.shape("unread").advice(
                "More completions were marked as seen than were looked at: give each back once, by \
                 io_uring_cqe_seen or by io_uring_cq_advance, and by no more than were shown.",
            );
        }
    } else if let Some(posted) = posted {
        draft = draft.evidence(posted.event, "the kernel posted its completion here");
    }
    if *when == HeldAt::ScopeEnd {
        draft = draft.evidence(*at, "still held here");
    }
    judge.say_with(draft, |judge| {
        sentence(generation, &format!("{end}{state}"), judge)
    });
}

/// The same, where its thread was cut off.
fn cut<'a>(held: &Held<'a>) -> Held<'a> {
    Held {
        when: HeldAt::Cut,
        ..*held
    }
}

fn sentence(generation: &Generation, state: &str, judge: &Judge<'_>) -> String {
    format!(
        "{}, leaked{}, was never reclaimed: {state}",
        judge.generation(generation.id),
        judge.at(generation.leak_site),
    )
}

fn about(generation: &Generation, at: EventId, short: &'static str, judge: &Judge<'_>) -> Draft {
    let names = judge.names();
    let id = generation.id;
    let draft = Draft::new(id.subject(), generation.leaked, at)
        .scope(generation.scope)
        .evidence(generation.leaked, "leaked here")
        .key(id)
        .keys(generation.flight().operation.map(Key::from));
    if judge.is_asking() {
        return draft;
    }
    draft
        .shape(short)
        .shape(names.ty(generation.ty))
        .shape(names.file(generation.leak_site))
}

/// What it rests on that one is still held at an end.
pub(super) fn history(held: &Held<'_>) -> History {
    match (held.when, held.scope_begun) {
        (HeldAt::CleanExit | HeldAt::Cut, _) => match (since(held.generation), held.since) {
            // The claim of the slot that it was for may be missing.
            (History::Since(_), Some(earlier)) => History::Since(earlier),
            (history, _) => history,
        },
        (HeldAt::ScopeEnd, Some(begun)) if held.generation.is_sole_owner() => History::Since(begun),
        // Which scope it belongs to was said by an earlier record.
        (HeldAt::ScopeEnd, _) => History::Whole,
    }
}

/// With several handles, a declaration that it stays for ever may lie before the recorded leak.
fn since(generation: &Generation) -> History {
    if generation.is_sole_owner() {
        History::Since(generation.leaked)
    } else {
        History::Whole
    }
}

#[cfg(test)]
mod kept_in_slots;

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn reaped_and_not_reclaimed_even_by_a_kill() {
        for end in ["end=exit:0", "end=killed:9", "end=unknown"] {
            let arrow = "<- Op#1 0x1000@1, leaked at op.rs:8, was never reclaimed: its completion was taken";
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    10 main leak 0x1000 Op op.rs:8      {arrow}
                    20 main submit 0 NOP 0x1000
                    21 main complete 0 0x1000 0
                    30 main submit 0 NOP 0x7
                    31 main complete 0 0x7 0
                    40 main submit 0 NOP 0x7
                    41 main complete 0 0x7 0
                    "
                ),
            );
        }
    }

    #[test]
    fn what_was_passed_by_was_never_looked_at() {
        check_rule(
            &RULE,
            "
            process 0 end=exit:0
            0 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Op op.rs:8      <- was never reclaimed: its completion was taken
            11 main leak 0x2000 Op op.rs:8      <- was never reclaimed: its completion was passed by
            20 main submit 0 NOP 0x1000
            21 main submit 0 NOP 0x2000
            30 main complete 0 0x1000 0
            31 main passed 0 1 0 loop.c:9
            # Another thread's is another one.
            32 other submit 0 NOP 0x7
            33 other complete 0 0x7 0
            34 main complete 0 0x2000 0
            40 main submit 0 NOP 0x7
            41 main complete 0 0x7 0
            42 main ring-drop 0
            ",
        );
    }

    #[test]
    fn where_calls_are_all_that_is_known_it_speaks_of_cookies() {
        let text = |arrow: &str, again: &str, taken: &str| {
            format!(
                "
                process 0 pid=77 start=9 capture=preload end=exit:0
                process 1 pid=77 start=9 capture=uprobes
                lane main tid=77
                lane calls process=1 tid=77
                1 main ring-create 0 sq=8 cq=16
                10 calls leak 0x1000 Op op.rs:8     {arrow}
                # Kept for good, which nobody could declare.
                11 calls leak 0x2000 Op op.rs:9
                20 main submit 0 NOP 0x1000
                21 main complete 0 0x1000 0
                {again}
                30 {taken}
                40 main submit 0 NOP 0x7
                41 main complete 0 0x7 0
                42 main ring-drop 0
                "
            )
        };
        let taken = "calls reclaim 0x1000 Op op.rs:20";
        let none = "calls peek 0x7000 Op op.rs:20";
        let again = "24 main submit 0 NOP 0x1000\n25 main complete 0 0x1000 0";
        check_rule(
            &RULE,
            &text("<- [observed] its completion was taken", "", none),
        );
        check_rule(
            &RULE,
            &text("<- [suspected] its completion was taken", again, none),
        );
        check_rule(&RULE, &text("", "", taken));
        // A look, and forgotten.
        let looked = format!("{taken}\n31 calls peek 0x1000 Op op.rs:21");
        check_rule(
            &RULE,
            &text("<- [observed] its completion was taken", "", &looked),
        );
    }

    #[test]
    fn a_batch_that_a_kill_cut_off_is_silent() {
        check_rule(
            &RULE,
            "
            process 0 end=killed:9
            10 main leak 0x1000 Op op.rs:8
            11 main leak 0x2000 Op op.rs:8
            20 main submit 0 NOP 0x1000
            21 main submit 0 NOP 0x2000
            30 main complete 0 0x1000 0
            31 main complete 0 0x2000 0
            ",
        );
    }

    #[test]
    fn what_a_stopped_recording_did_not_see_is_silent() {
        for stopped in ["stopped=recorder", "stopped=program reason=enough"] {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 state=clean end=exit:0 {stopped}
                    10 main leak 0x1000 Op op.rs:8
                    20 main leak 0x2000 Op op.rs:8
                    21 main submit 0 NOP 0x2000
                    22 main complete 0 0x2000 0
                    30 main leak 0x3000 Op op.rs:8
                    31 main submit 1 NOP 0x3000
                    40 main ring-drop 1
                    "
                ),
            );
        }
    }

    /// What a test's panic left as it was may be taken back by whoever cleans up behind it.
    #[test]
    fn a_scope_that_a_panic_ended_is_asked_for_at_the_end_of_its_process() {
        for (end, arrow, back) in [
            ("", "<- still held at the end of its scope", true),
            ("panic", "", true),
            ("panic", "<- it was never submitted", false),
        ] {
            let back = if back {
                "40 main reclaim 0x1000 Op op.rs:9"
            } else {
                ""
            };
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=exit:101
                    1 main scope-begin 1 name=a
                    10 main leak 0x1000 Op op.rs:8     {arrow}
                    20 main scope-end 1 {end}
                    {back}
                    "
                ),
            );
        }
    }

    #[test]
    fn pending_in_the_kernel_is_silent() {
        for end in ["end=exit:0", "end=killed:9"] {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    10 main leak 0x1000 Op op.rs:8
                    20 main submit 0 ACCEPT 0x1000
                    "
                ),
            );
        }
    }

    /// Nor was the owner whose cookie a poll was to get and did not.
    #[test]
    fn what_a_request_that_failed_was_for_was_never_submitted() {
        for (result, submitted) in [
            ("-114", "it was never submitted"),
            ("0", "its operation never completed"),
        ] {
            for quiet in ["", " skip-success"] {
                // One that succeeds in silence says nothing.
                let told = quiet.is_empty() || result != "0";
                let told = if told {
                    format!("41 main complete 0 0x7 {result}")
                } else {
                    String::new()
                };
                check_rule(
                    &RULE,
                    &format!(
                        "
                        1 main ring-create 0 sq=8 cq=16
                        2 main scope-begin 1 test
                        30 main leak 0x2000 Op op.rs:9     <- {submitted}
                        31 main submit 0 POLL_ADD 0x1000 op.rs:12
                        40 main submit 0 POLL_REMOVE 0x7 addr=0x1000 len=4 off=0x2000{quiet}
                        {told}
                        50 main scope-end 1
                        "
                    ),
                );
            }
        }
    }

    #[test]
    fn never_submitted_counts_at_a_clean_exit_only() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            10 main leak 0x1000 Op op.rs:8    <- it was never submitted
            20 main leak-forever 0x2000 Op op.rs:8
            ",
        );
        check_rule(
            &RULE,
            "process 0 end=killed:9\n10 main leak 0x1000 Op op.rs:8",
        );
    }

    /// As a future that polls another one, each of them traced.
    #[test]
    fn a_coroutine_that_polled_another_one_still_runs_when_that_is_suspended() {
        let of = |then: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=exit:0
                    1 main spawn 8 Task main.rs:3
                    2 main resume 8
                    3 main spawn 9 Task main.rs:4
                    4 main resume 9
                    5 main suspend 9 0x7
                    {then}
                    10 main leak 0x1000 Op op.rs:8     {arrow}
                    "
                ),
            );
        };
        of("", "");
        of("6 main suspend 8 0x8", "<- it was never submitted");
    }

    /// As an exit may come while an operation is in flight, it may come before one is submitted.
    #[test]
    fn what_a_claimed_slot_was_to_carry_is_in_hand_at_an_exit() {
        let of = |slots: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=exit:3
                    # Made by another thread: whose ring is not dropped is cut off as a whole.
                    0 maker ring-create 0 sq=8 cq=16
                    1 main leak 0x1000 Op op.rs:8    <- it was never submitted
                    2 main claim 0 slot=0
                    3 main leak 0x2000 Op op.rs:9
                    4 main submit 0 NOP 0x2000
                    5 main complete 0 0x2000 0
                    6 main reclaim 0x2000 Op op.rs:9
                    {slots}
                    30 main leak 0x3000 Op op.rs:10  {arrow}
                    31 other leak 0x4000 Op op.rs:11 <- it was never submitted
                    "
                ),
            );
        };
        let missing = "<- [since:4] it was never submitted";
        of("10 main claim 0 slot=1", "");
        of("", missing);
        of("10 other mark x", missing);
        of(
            "10 main claim 0 slot=1\n11 main leak 0x5000 Op op.rs:12   <- it was never submitted",
            "",
        );
        // The ring went, and nobody submits it.
        of(
            "10 main claim 0 slot=1\n11 main ring-drop 0",
            "<- it was never submitted",
        );
        // A claim that is missing could explain it.
        check_rule(
            &RULE,
            "
            process 0 end=exit:3
            4 main submit 0 NOP 0x7
            5 main lost 1 removed
            30 main leak 0x3000 Op op.rs:10  <? it was never submitted
            ",
        );
    }

    #[test]
    fn taken_last_and_its_ring_dropped_in_order() {
        let of = |drop: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=exit:0
                    0 main ring-create 0 sq=8 cq=16
                    10 main leak 0x1000 Op op.rs:8
                    11 main leak 0x2000 Op op.rs:8      {arrow}
                    20 main submit 0 NOP 0x1000
                    21 main submit 0 NOP 0x2000
                    30 main complete 0 0x1000 0
                    31 main complete 0 0x2000 0
                    32 main reclaim 0x1000 Op op.rs:9
                    {drop}
                    "
                ),
            );
        };
        of(
            "40 main ring-drop 0",
            "<- [observed whole] its completion was taken, and nobody took the pointer back",
        );
        of("", "");
        // The exit came in the middle of a coroutine, and the ring went with what is static.
        of(
            "33 main spawn 9 Task op.rs:3\n34 main resume 9\n40 main ring-drop 0",
            "",
        );
    }

    #[test]
    fn a_completion_that_the_kernel_posted_and_the_program_went_past() {
        let text = |arrow: &str, later: &str| {
            format!(
                "
                process 0 pid=77 start=9 end=exit:0
                process 1 pid=77 start=9 capture=kernel
                lane k process=1
                1 k ring-create 0 fd=3 sq=8 cq=16
                2 main ring-create 0 fd=3 sq=8 cq=16
                10 main leak 0x1000 Op op.rs:8   {arrow}
                20 main submit 0 READ 0x1000 seq=0
                21 k submit 0 READ 0x1000 seq=0
                22 main submit 0 READ 0x7 seq=1
                23 k submit 0 READ 0x7 seq=1
                {later}
                "
            )
        };
        let (first, second) = (
            "30 k complete 0 0x1000 5 of=0",
            "30 k complete 0 0x7 5 of=1",
        );
        let taken = "40 main complete 0 0x7 5";
        let arrow = "<- the kernel completed its operation, and nobody took the completion";
        check_rule(&RULE, &text(arrow, &format!("{first}\n{second}\n{taken}")));
        // It may just not have come to look again.
        check_rule(&RULE, &text("", &format!("{first}\n{second}")));
        // The one that was taken came first.
        check_rule(&RULE, &text("", &format!("{second}\n{first}\n{taken}")));
    }

    #[test]
    fn threads_that_still_run_at_an_exit_are_cut_off() {
        check_rule(
            &RULE,
            "
            process 0 pid=77 state=clean
            lane main tid=77 running
            lane worker tid=78 running
            lane ended tid=79
            10 main leak 0x1000 Op op.rs:8      <- it was never submitted
            20 ended leak 0x2000 Op op.rs:8     <- it was never submitted
            30 worker leak 0x3000 Op op.rs:8
            40 worker leak 0x4000 Op op.rs:8
            41 worker submit 0 NOP 0x4000
            42 worker complete 0 0x4000 0
            50 worker leak 0x5000 Op op.rs:8
            51 worker submit 0 NOP 0x5000
            52 worker complete 0 0x5000 0
            ",
        );
    }

    /// `process::exit` runs no destructors of what is on its thread's stack.
    #[test]
    fn an_exit_from_inside_the_runtime_cuts_off_too() {
        let of = |begin: &str, end: &str, arrow: &str| {
            let fixture = format!(
                "
                process 0 pid=77 state=clean end=exit:0
                lane main tid=77 running
                {begin}
                5 main leak 0x1000 Task rt.rs:8 owner=Rc      {arrow}
                6 main retain 0x1000 Task rt.rs:9 owner=Rc
                7 main release 0x1000 Task rt.rs:10 owner=Rc
                {end}
                "
            );
            check_rule(&RULE, &fixture);
        };
        let never = "<- it was never submitted";
        of("1 main spawn 9 Task rt.rs:3\n2 main resume 9", "", "");
        of("1 main ring-create 0 sq=8 cq=16", "", "");
        // It had come out of it; the ring was dropped, or is another thread's.
        of(
            "1 main spawn 9 Task rt.rs:3\n2 main resume 9",
            "8 main suspend 9",
            never,
        );
        of(
            "1 main spawn 9 Task rt.rs:3\n2 main resume 9",
            "8 main done 9",
            never,
        );
        of(
            "1 main ring-create 0 sq=8 cq=16",
            "8 main ring-drop 0",
            never,
        );
        of(
            "lane other tid=78\n1 other ring-create 0 sq=8 cq=16",
            "",
            never,
        );
    }

    #[test]
    fn a_thread_that_still_runs_is_not_excused_for_what_it_left_behind() {
        check_rule(
            &RULE,
            "
            process 0 pid=77 state=clean
            lane main tid=77 running
            lane worker tid=78 running
            10 main mark x
            40 worker leak 0x4000 Op op.rs:8    <- nobody took the pointer back
            41 worker submit 0 NOP 0x4000
            42 worker complete 0 0x4000 0
            51 worker submit 0 NOP 0x7
            52 worker complete 0 0x7 0
            61 worker submit 0 NOP 0x7
            62 worker complete 0 0x7 0
            ",
        );
    }

    #[test]
    fn scopes_answer_for_all_they_leaked() {
        check_rule(
            &RULE,
            "
            1 main scope-begin 1
            10 main leak 0x1000 Op op.rs:8    <- still held at the end of its scope, its operation never completed
            20 main submit 0 ACCEPT 0x1000
            30 main leak 0x2000 Op op.rs:9    <- still held at the end of its scope, it was never submitted
            40 other leak 0x3000 Op op.rs:9
            50 main scope-end 1
            ",
        );
    }

    #[test]
    fn a_ring_dropped_with_operations_in_flight() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8    <- its ring was dropped while operation #0 (ring 0, slot 0, RECV) at op.rs:9 was in flight
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main ring-drop 0
            ",
        );
    }

    #[test]
    fn taken_back_after_the_drop_is_not_never() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main ring-drop 0
            40 main reclaim 0x1000 Op op.rs:30
            ",
        );
    }

    #[test]
    fn taken_back_after_the_end_of_its_scope_is_too_late() {
        check_rule(
            &RULE,
            "
            1 main scope-begin 1
            10 main leak 0x1000 Op op.rs:8    <- its ring was dropped while operation #0
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main ring-drop 0
            40 main scope-end 1
            50 main reclaim 0x1000 Op op.rs:30
            ",
        );
    }

    #[test]
    fn a_reclaim_lost_after_the_drop_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8    <? its ring was dropped
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main ring-drop 0
            40 main lost 1 removed
            ",
        );
    }

    #[test]
    fn a_lost_reclaim_could_explain_it() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            10 main leak 0x1000 Op op.rs:8    <? it was never submitted
            20 main lost 1 removed
            ",
        );
    }

    #[test]
    fn what_was_lost_before_its_scope_began_explains_nothing_of_a_single_owner() {
        let of = |owner: &str, arrow: &str| {
            let lines = format!(
                "
                0 main lost 900 overwritten
                1 main mark x
                2 main scope-begin 1
                10 main leak 0x1000 Op op.rs:8 {owner}{arrow}
                50 main scope-end 1
                "
            );
            check_rule(&RULE, &lines);
            check_rule(&RULE, &format!("process 0 times=batch{lines}"));
        };
        of(
            "",
            "    <- still held at the end of its scope, it was never submitted",
        );
        // Another handle may have been declared to stay for ever.
        of(
            "owner=Rc",
            "    <? still held at the end of its scope, it was never submitted",
        );
        // The leak is of another thread: whether it had gone to another scope by then may be lost.
        check_rule(
            &RULE,
            "
            0 other lost 900 overwritten
            1 main scope-begin 1
            2 other scope-enter 1
            3 other lost 1 overwritten
            10 other leak 0x1000 Op op.rs:8    <? still held at the end of its scope, it was never submitted
            50 main scope-end 1
            ",
        );
        check_rule(
            &RULE,
            "
            1 main scope-begin 1
            2 main lost 1 removed
            10 main leak 0x1000 Op op.rs:8    <? still held at the end of its scope, it was never submitted
            50 main scope-end 1
            ",
        );
    }

    #[test]
    fn a_coroutine_whose_spawn_was_lost_may_work_for_another_scope() {
        let of = |spawn: &str, leak: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    0 main lost 900 overwritten
                    0 main mark x
                    1 main scope-begin 1
                    {spawn}
                    2 main resume 7
                    {leak}
                    4 main suspend 7
                    50 main scope-end 1
                    "
                ),
            );
        };
        let inside = "3 main leak 0x1000 Op op.rs:8    <? still held at the end of its scope, it was never submitted";
        of("", inside);
        // It began in the coroutine.
        let in_it = "2 main scope-begin 2\n3 main leak 0x1000 Op op.rs:8    <- still held at the end of its scope, it was never submitted\n3 main scope-end 2";
        of("", in_it);
        // Another's end says nothing of it.
        of(
            "",
            &format!("2 main spawn 8\n2 main resume 8\n2 main suspend 8\n{inside}"),
        );
        let sure = "<- still held at the end of its scope, it was never submitted";
        of(
            "1 main spawn 7",
            &format!("3 main leak 0x1000 Op op.rs:8    {sure}"),
        );
        of(
            "",
            &format!("3 main suspend 7\n3 main leak 0x1000 Op op.rs:8    {sure}"),
        );
    }

    #[test]
    fn one_behind_an_entry_that_skips_its_success_may_be_in_flight_still() {
        let of = |flags: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=killed:9
                    1 main ring-create 0 sq=8 cq=16
                    10 main leak 0x1000 Op op.rs:8    {arrow}
                    11 main submit 0 FSYNC 0x0 {flags}
                    12 main submit 0 RECV 0x7 len=64
                    13 main submit 0 SEND 0x1000 len=64
                    14 main complete 0 0x1000 64
                    15 main submit 0 NOP 0x8
                    16 main complete 0 0x8 0
                    17 main submit 0 NOP 0x8
                    18 main complete 0 0x8 0
                    "
                ),
            );
        };
        of("link skip-success", "<- nobody took the pointer back");
        let behind = "link skip-success\n12 main submit 0 RECV 0x1000 len=64";
        of(behind, "");
    }

    #[test]
    fn a_send_behind_a_lost_record_may_be_in_flight_still() {
        check_rule(
            &RULE,
            "
            process 0 end=killed:9
            1 main ring-create 0 sq=8 cq=16
            10 main submit 0 FSYNC 0x0 link skip-success seq=0
            # What was chained to it.
            11 main lost 1 removed
            20 main leak 0x1000 Op op.rs:8
            21 main submit 0 SEND_ZC 0x1000 len=64 seq=2
            30 main complete 0 0x1000 64 more
            40 main submit 0 NOP 0x7 seq=3
            41 main complete 0 0x7 0
            50 main submit 0 NOP 0x7 seq=4
            51 main complete 0 0x7 0
            ",
        );
    }

    #[test]
    fn a_batch_that_was_taken_last_is_silent_at_an_exit_too() {
        check_rule(
            &RULE,
            "
            process 0 state=clean end=exit:0
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 NOP 0x1000
            30 main complete 0 0x1000 0
            ",
        );
    }

    #[test]
    fn what_was_looked_at_before_a_kill_may_be_in_use() {
        for (end, arrow) in [
            ("end=killed:9", ""),
            ("state=clean", "<- [error since:0] Op#1"),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    10 main leak 0x1000 Op op.rs:8     {arrow}
                    20 main submit 0 NOP 0x1000
                    21 main complete 0 0x1000 0
                    22 main peek 0x1000 Op op.rs:9
                    30 main submit 0 NOP 0x7
                    31 main complete 0 0x7 0
                    40 main submit 0 NOP 0x7
                    41 main complete 0 0x7 0
                    50 main submit 0 NOP 0x7
                    51 main complete 0 0x7 0
                    "
                ),
            );
        }
    }

    #[test]
    fn what_was_overwritten_may_say_that_a_thread_was_still_at_work() {
        let of = |lasting: &str, rounds: usize, arrow: &str| {
            let operation = "20 main submit 1 NOP 0x1000\n21 main complete 1 0x1000 0\n";
            let round = "30 main submit 1 NOP 0x7\n30 main complete 1 0x7 0\n";
            let more = match rounds {
                0 => String::new(),
                _ => format!("{operation}{}", round.repeat(rounds)),
            };
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 state=clean {lasting}
                    5 main lost 9 overwritten
                    10 main leak 0x1000 Op op.rs:8     {arrow}
                    {more}
                    "
                ),
            );
        };
        let ring = "lasting=whole\nlasting 0 0 ring-create 1 sq=8 cq=16";
        of("lasting=whole", 0, "<- [since:1] it was never submitted");
        of("", 0, "<? it was never submitted");
        of(ring, 0, "<? it was never submitted");
        of(
            "lasting=whole\nlasting 0 0 spawn 9",
            0,
            "<? it was never submitted",
        );
        // As if it had been killed.
        of(ring, 1, "<? its completion was taken");
        of(ring, 2, "<- its completion was taken");
    }

    #[test]
    fn what_must_be_known_depends_on_who_may_hold_it() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            10 main leak 0x1000 Op op.rs:8               <- [since:0] its ring was dropped
            11 main submit 1 RECV 0x1000 op.rs:12
            12 main ring-drop 1
            20 main leak 0x2000 Op op.rs:8 owner=Rc      <- [whole] its ring was dropped
            21 main submit 2 RECV 0x2000 op.rs:12
            22 main ring-drop 2
            30 main leak 0x3000 Op op.rs:8               <- [whole] its ring was dropped
            31 main submit 3 RECV 0x3000 op.rs:12
            32 main submit 3 RECV 0x3000 op.rs:12
            33 main complete 3 0x3000 5
            34 main ring-drop 3
            40 main leak 0x4000 Op op.rs:8 owner=Rc      <- [whole] it was never submitted
            50 main leak 0x5000 Op op.rs:8               <- [since:12] it was never submitted
            60 main scope-begin 1
            61 main leak 0x6000 Op op.rs:8               <- [since:13] still held at the end of its scope, it was never submitted
            62 main scope-end 1
            ",
        );
    }
}
