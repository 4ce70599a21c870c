//! `never-resumed`: what a coroutine waits for is there, and nobody resumes it.
//!
//! Fires when the last completion of a cookie that a coroutine waits for was taken, the coroutine was
//! neither resumed, done nor dropped after it, and its ring went on to later completions. Suspects it where the
//! ring did not: nothing ran, for far longer than a coroutine ever waited for its turn, until the process was told
//! to end; so of one that was woken, whatever it waited for.
//! As a warning where it was dropped in the very batch in which the completion was taken, and nobody had woken
//! it: its waker owned it.
//! Stays silent for coroutines that said nothing of what they wait for, for those that said that they wait for
//! something else, too, which has not come, and at a kill a moment after.
//! Points at the completion.

use super::{Draft, History, Judge, Key, Rule};
use crate::event::EventId;
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Coroutine, Doing, Moment, Owed, Unwoken};

pub(super) static RULE: Rule = Rule {
    id: RuleId(11),
    name: "never-resumed",
    brief: "the completion was taken, and its coroutine never ran again",
    severity: Severity::Error,
    fires: "The completion that a coroutine waits for was taken, and the coroutine never ran again, \
            although its ring went on to later completions: it is lost. Suspected where nothing ran any more \
            for a long time, until the program was told to end (`record --timeout`, Ctrl-C). As a warning: it was \
            dropped while that completion was being dispatched, and nobody had woken it or asked for its end. \
            Suspected, too, where it was woken, by another thread perhaps, and nothing ran any more for such a \
            long time.",
    silent: "It was resumed by anything, was done, or was dropped by another coroutine, after a \
             cancellation or when all was torn down; it did not say what it waits for; it waits for several, \
             and one of them has not come: for all of them, perhaps; or the recording ends a moment after the \
             completion or the wake, or inside a coroutine.",
    needs: "Suspensions with their cookies, completions, wakes and resumes.",
    points_at: "The completion that woke nobody, or the wake that nobody heard.",
    example: "While one set of handles was being aborted, the completions of another set were taken from \
              the shared ring and dropped; whoever waited for those hung for ever.",
    source: "facebook/rocksdb#13205",
    advice: "See who took the completion and what it did with the cookie: a sentinel test, an early \
             return or another coroutine's cookie are the usual ways to lose it.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    if let Moment::DroppedUnwoken { unwoken } = moment {
        dropped(unwoken, judge);
    }
    if let Moment::Unheeded {
        at,
        coroutine,
        wake,
        idle_ns,
    } = moment
    {
        unheeded(coroutine, (*wake, *at), *idle_ns, judge);
    }
    let Moment::Stranded {
        at,
        coroutine,
        owed,
        rounds_since,
        waits_on,
        idle_ns,
        clean,
    } = moment
    else {
        return;
    };
    // As for pointers: a batch may have been taken and only half worked through when the kill came.
    let enough = if *clean { 1 } else { 2 };
    let Doing::Suspended {
        event: suspended,
        cookies,
        ..
    } = &coroutine.doing
    else {
        return;
    };
    let went_on = *rounds_since >= enough;
    if !(went_on || idle_ns.is_some()) || *waits_on {
        return;
    }
    let names = judge.names();
    let mut message = format!(
        "{} waits for {:#x}, whose completion was taken on ring {}",
        names.coroutine(coroutine.process, coroutine.number),
        owed.cookie,
        owed.ring,
    );
    if let Some(id) = owed.operation {
        message.push_str(&format!(" for operation #{}", id.sequence));
    }
    message.push_str(", and never ran again");
    if let Some(idle) = idle_ns.filter(|_| !went_on) {
        let ms = idle / 1_000_000;
        message.push_str(&format!(
            ": nothing did in the {ms} ms until the program was told to end"
        ));
    }
    message.push_str(&judge.places_of(coroutine, owed.submit));
    // What else it waits for may have been submitted before it was there.
    let history = match coroutine.spawned {
        Some(spawned) if cookies.len() <= 1 => History::Since(spawned),
        _ => History::Whole,
    };
    let draft = Draft::new(coroutine.subject(), owed.completion, *at)
        .scope(coroutine.scope)
        .confidence(if went_on {
            Confidence::Observed
        } else {
            Confidence::Suspected
        })
        .history(history)
        .message(message)
        .evidence(*suspended, "suspended here")
        .evidence(owed.completion, "its completion, which resumed nobody")
        .key(Key::Coroutine(coroutine.process, coroutine.number))
        .keys(owed.operation.map(Key::from))
        .keys(owed.generation.map(Key::from))
        .shape(names.ty(coroutine.ty))
        .shape(names.file(coroutine.spawn_site));
    judge.say(with_places(draft, coroutine, owed));
}

/// The places in the source that are known: a completion has none.
fn with_places(mut draft: Draft, coroutine: &Coroutine, owed: &Owed) -> Draft {
    if let Some(spawned) = coroutine.spawned {
        draft = draft.evidence(spawned, "spawned here");
    }
    if let Some(submit) = owed.submit {
        draft = draft.evidence(submit, "the operation was submitted here");
    }
    draft
}

/// It was woken, and whoever was to resume it slept on.
fn unheeded(
    coroutine: &Coroutine,
    (wake, at): (EventId, EventId),
    idle_ns: u64,
    judge: &mut Judge<'_>,
) {
    let Doing::Suspended {
        event: suspended, ..
    } = &coroutine.doing
    else {
        return;
    };
    let names = judge.names();
    let message = format!(
        "{} was woken, and never resumed: nothing ran in the {} ms until the program was told to end{}",
        names.coroutine(coroutine.process, coroutine.number),
        idle_ns / 1_000_000,
        judge.places_of(coroutine, None)
    );
    let mut draft = Draft::new(coroutine.subject(), wake, at)
        .scope(coroutine.scope)
        .confidence(Confidence::Suspected)
        .history(History::Since(*suspended))
        .message(message)
        .evidence(*suspended, "suspended here")
        .evidence(wake, "woken here, which resumed nobody")
        .key(Key::Coroutine(coroutine.process, coroutine.number))
        .advice(WOKEN)
        .shape("woken")
        .shape(names.ty(coroutine.ty))
        .shape(names.file(coroutine.spawn_site));
    if let Some(spawned) = coroutine.spawned {
        draft = draft.evidence(spawned, "spawned here");
    }
    judge.say(draft);
}

/// What to try where nobody heard a wake.
const WOKEN: &str = "See how a wake reaches the thread that resumes: one that sleeps in the kernel must be woken there, by \
                     an eventfd that it reads or a message to its ring, above all when another thread wakes.";

/// Its completion was being dispatched, and it was dropped: its last waker, which owned it, was dropped
/// instead of being woken.
fn dropped(unwoken: &Unwoken, judge: &mut Judge<'_>) {
    let Unwoken {
        coroutine,
        owed,
        drop,
        ..
    } = unwoken;
    let names = judge.names();
    let operation = owed.operation.map_or(String::new(), |id| {
        format!(" for operation #{}", id.sequence)
    });
    let message = format!(
        "{} was dropped while it waited for {:#x}, whose completion had just been taken on ring {}{operation}, \
         and nobody woke it{}",
        names.coroutine(coroutine.process, coroutine.number),
        owed.cookie,
        owed.ring,
        judge.places_of(coroutine, owed.submit)
    );
    let mut draft = Draft::new(coroutine.subject(), owed.completion, *drop)
        .scope(coroutine.scope)
        .severity(Severity::Warning)
        .confidence(Confidence::Suspected)
        .history(coroutine.spawned.map_or(History::Whole, History::Since))
        .message(message)
        .evidence(owed.completion, "its completion, which woke nobody")
        .evidence(*drop, "dropped here")
        .key(Key::Coroutine(coroutine.process, coroutine.number))
        .keys(owed.operation.map(Key::from))
        .keys(owed.generation.map(Key::from))
        .shape("dropped")
        .shape(names.ty(coroutine.ty))
        .shape(names.file(coroutine.spawn_site));
    if let Doing::Suspended { event, .. } = coroutine.doing {
        draft = draft.evidence(event, "suspended here");
    }
    judge.say(with_places(draft, coroutine, owed));
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn a_completion_that_wakes_nobody() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            30 main complete 0 0x1000 0    <- coroutine 9 (Task) waits for 0x1000, whose completion was taken on ring 0 for operation #0, and never ran again
            40 main submit 0 NOP 0x7
            50 main complete 0 0x7 0
            60 main submit 0 NOP 0x7
            70 main complete 0 0x7 0
            ",
        );
    }

    /// Addresses are given out again: an earlier ring went with an operation in flight that had this cookie.
    #[test]
    fn operation_of_a_ring_that_is_gone_excuses_nobody() {
        check_rule(
            &RULE,
            "
            0 main ring-create 0 sq=8 cq=16
            0 main ring-create 1 sq=8 cq=16
            1 main submit 1 NOP 0x1000
            2 main ring-drop 1
            3 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            30 main complete 0 0x1000 0    <- coroutine 9 (Task) waits for 0x1000, whose completion was taken on ring 0 for operation #0, and never ran again
            40 main submit 0 NOP 0x7
            50 main complete 0 0x7 0
            60 main submit 0 NOP 0x7
            70 main complete 0 0x7 0
            ",
        );
    }

    /// Tables of two rings have the same indices.
    #[test]
    fn the_same_index_on_another_ring_is_silent() {
        check_rule(
            &RULE,
            "
            0 main ring-create 0 sq=8 cq=16
            0 main ring-create 1 sq=8 cq=16
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x3
            20 main suspend 9 0x3
            25 main submit 1 NOP 0x3
            30 main complete 1 0x3 0
            40 main submit 1 NOP 0x7
            50 main complete 1 0x7 0
            60 main submit 1 NOP 0x7
            70 main complete 1 0x7 0
            ",
        );
    }

    #[test]
    fn dropped_with_its_last_waker() {
        let of = |before: &str, after: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    0 main ring-create 0 sq=8 cq=16
                    1 main spawn 9 Task main.rs:3
                    2 main spawn 8 Task main.rs:4
                    10 main submit 0 NOP 0x1000 op.rs:9
                    20 main suspend 9 0x1000
                    30 main complete 0 0x1000 0    {arrow}
                    {before}
                    40 main coroutine-drop 9
                    {after}
                    50 main submit 0 NOP 0x7
                    51 main complete 0 0x7 0
                    "
                ),
            );
        };
        let on = "45 main resume 8";
        of(
            "",
            on,
            "<- [warning suspected since:1] coroutine 9 (Task) was dropped while it waited for 0x1000, whose completion had just been taken on ring 0 for operation #0, and nobody woke it; it was spawned at main.rs:3, and the operation submitted at op.rs:9",
        );
        // It was woken; another coroutine dropped it; all was torn down; a batch later.
        of("31 main wake 9", on, "");
        of("31 main resume 8", on, "");
        of("", "", "");
        of("31 main submit 0 NOP 0x7\n32 main complete 0 0x7 0", on, "");
        of(
            "31 main lost 1 removed",
            on,
            "<? was dropped while it waited",
        );
    }

    #[test]
    fn a_scope_that_ended_behind_its_ring_is_an_end() {
        let of = |end: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=unknown
                    0 main scope-begin 1 name=a
                    1 main ring-create 0 sq=8 cq=16
                    2 main spawn 9 Task main.rs:3
                    10 main submit 0 NOP 0x1000
                    20 main suspend 9 0x1000
                    30 main complete 0 0x1000 0    {arrow}
                    40 main submit 0 NOP 0x7
                    50 main complete 0 0x7 0
                    {end}
                    "
                ),
            );
        };
        let said = "<- [observed] and never ran again";
        of("60 main ring-drop 0\n61 main scope-end 1", said);
        of("60 main ring-drop 0", "");
        of("61 main scope-end 1", "");
    }

    #[test]
    fn a_wake_that_nobody_heard() {
        let of = |end: &str, late: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    0 main ring-create 0 sq=8 cq=16
                    1 main spawn 9 Task main.rs:3
                    2 main resume 9
                    3 main suspend 9
                    # It waits for the next message, and nobody woke it.
                    4 main spawn 8 Task main.rs:4
                    5 main resume 8
                    6 main suspend 8
                    20 other wake 9    {arrow}
                    {late}
                    "
                ),
            );
        };
        let said = "<- [suspected since:3] coroutine 9 (Task) was woken, and never resumed: nothing ran in the 619 ms until the program was told to end; it was spawned at main.rs:3";
        let long = "end=killed:15 until=620000000";
        of(long, "", said);
        of("end=unknown until=620000000", "", said);
        of(long, "21 other wake 9", said);
        // It ended by itself, or soon; or something ran to the end; or it was resumed, or is gone.
        of("end=exit:0 until=620000000", "", "");
        of("end=killed:15 until=50000000", "", "");
        of(long, "619000000 main mark x", "");
        of(long, "30 main resume 8", "");
        of(long, "30 main resume 9\n31 main suspend 9", "");
        of(long, "30 main coroutine-drop 9", "");
        of(
            long,
            "30 main lost 1 removed",
            "<? was woken, and never resumed",
        );
    }

    #[test]
    fn one_that_may_wait_for_all_of_several_is_not_lost_while_one_is_to_come() {
        let of = |between: &str, arrow: &str, end: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=exit:0
                    0 main ring-create 0 sq=8 cq=16
                    1 main spawn 9 Task main.rs:3
                    8 main leak 0x1000 Op op.rs:8
                    9 main leak 0x2000 Op op.rs:8
                    10 main suspend 9 0x1000 0x2000
                    20 main submit 0 TIMEOUT 0x1000
                    {between}
                    30 main complete 0 0x1000 -62     {arrow}
                    31 main reclaim 0x1000 Op op.rs:9
                    40 main submit 0 NOP 0x7
                    50 main complete 0 0x7 0
                    60 main submit 0 NOP 0x7
                    70 main complete 0 0x7 0
                    {end}
                    "
                ),
            );
        };
        let other = "21 main submit 0 RECV 0x2000";
        of(other, "", "");
        of(other, "", "80 main ring-drop 0");
        // It is still to be submitted.
        of("", "", "");
        // It has come, too.
        let both = "21 main submit 0 RECV 0x2000\n22 main complete 0 0x2000 5\n23 main submit 0 NOP 0x7\n23 main complete 0 0x7 0";
        check_rule(
            &RULE,
            &format!(
                "
                0 main ring-create 0 sq=8 cq=16
                1 main spawn 9 Task main.rs:3
                10 main suspend 9 0x2000 0x1000
                20 main submit 0 TIMEOUT 0x1000
                {}
                30 main complete 0 0x1000 -62
                40 main submit 0 NOP 0x7
                50 main complete 0 0x7 0
                60 main submit 0 NOP 0x7
                70 main complete 0 0x7 0
                ",
                both.replace("22 main complete 0 0x2000 5", "22 main complete 0 0x2000 5   <- [observed whole] coroutine 9 (Task) waits for 0x2000")
            ),
        );
        // It came last, a moment before the kill.
        check_rule(
            &RULE,
            &format!(
                "
                process 0 end=killed:9
                0 main ring-create 0 sq=8 cq=16
                1 main spawn 9 Task main.rs:3
                10 main suspend 9 0x2000 0x1000
                20 main submit 0 TIMEOUT 0x1000
                {both}
                24 main submit 0 NOP 0x7
                24 main complete 0 0x7 0
                25 main submit 0 NOP 0x7
                30 main complete 0 0x1000 -62
                "
            ),
        );
    }

    #[test]
    fn one_whose_cookie_went_in_again_waits_for_that() {
        let of = |again: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=exit:0
                    0 main ring-create 0 sq=8 cq=16
                    1 main spawn 9 Task main.rs:3
                    10 main submit 0 RECV 0x1000
                    20 main suspend 9 0x1000
                    30 main complete 0 0x1000 5     {arrow}
                    40 main resume 9
                    50 main suspend 9 0x1000
                    {again}
                    70 main submit 0 NOP 0x7
                    80 main complete 0 0x7 0
                    "
                ),
            );
        };
        of("60 main submit 0 RECV 0x1000", "");
        of("", "<- and never ran again");
    }

    #[test]
    fn silence_until_the_program_was_told_to_end() {
        let of = |end: &str, more: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    0 main ring-create 0 sq=8 cq=16
                    1 main spawn 8 Task main.rs:3
                    1 main spawn 9 Task main.rs:3
                    2 main submit 0 NOP 0x2000
                    3 main suspend 8 0x2000
                    4 main complete 0 0x2000 0
                    20000004 main resume 8 0x2000
                    20000005 main done 8
                    20000010 main submit 0 NOP 0x1000
                    20000020 main suspend 9 0x1000
                    20000030 main complete 0 0x1000 0    {arrow}
                    {more}
                    "
                ),
            );
        };
        let said = "<- [suspected] and never ran again: nothing did in the 599 ms until the program was told to end";
        of("end=killed:15 until=620000000", "", said);
        of("end=unknown until=620000000", "", said);
        // It crashed, exited, is not known when, or was not seen to its end.
        for end in [
            "end=core:11 until=620000000",
            "end=exit:0 until=620000000",
            "end=killed:15",
            "end=killed:15 until=620000000 stopped=recorder",
        ] {
            of(end, "", "");
        }
        // No longer than it took before, many times over.
        of("end=killed:15 until=320000000", "", "");
        // Something ran: it may have been next.
        of("end=killed:15 until=620000000", "619000000 main mark x", "");
        // It had no turn yet.
        of(
            "end=killed:15 until=620000000",
            "20000040 main spawn 10 Task main.rs:4\n20000041 main resume 10",
            "",
        );
    }

    #[test]
    fn cut_off_a_moment_after_is_silent() {
        check_rule(
            &RULE,
            "
            process 0 end=killed:9
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            30 main complete 0 0x1000 0
            31 main complete 0 0x7 0
            40 main submit 0 NOP 0x7
            50 main complete 0 0x7 0
            ",
        );
    }

    #[test]
    fn a_recording_that_stopped_a_moment_after_is_silent() {
        for (stopped, arrow) in [("stopped=recorder", ""), ("", "<- never ran again")] {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 state=clean {stopped}
                    1 main spawn 9 Task main.rs:3
                    10 main submit 0 NOP 0x1000
                    20 main suspend 9 0x1000
                    30 main complete 0 0x1000 0     {arrow}
                    40 main submit 0 NOP 0x7
                    50 main complete 0 0x7 0
                    "
                ),
            );
        }
    }

    #[test]
    fn a_thread_that_still_runs_at_the_exit_is_cut_off() {
        for (running, arrow) in [("running", ""), ("", "<- never ran again")] {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 pid=77 state=clean
                    lane main tid=77 running
                    lane worker tid=78 {running}
                    0 main mark x
                    1 worker spawn 9 Task main.rs:3
                    10 worker submit 0 NOP 0x1000
                    20 worker suspend 9 0x1000
                    30 worker complete 0 0x1000 0   {arrow}
                    40 worker submit 0 NOP 0x7
                    50 worker complete 0 0x7 0
                    "
                ),
            );
        }
    }

    #[test]
    fn resumed_dropped_or_still_waiting_is_silent() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            2 main spawn 10 Task main.rs:3
            3 main spawn 11 Task main.rs:3
            10 main submit 0 NOP 0x1000
            11 main submit 0 NOP 0x2000
            12 main submit 0 NOP 0x3000
            20 main suspend 9 0x1000
            21 main suspend 10 0x2000
            22 main suspend 11 0x3000
            30 main complete 0 0x1000 0
            31 main complete 0 0x2000 0
            32 main resume 9
            33 main coroutine-drop 10
            40 main submit 0 NOP 0x7
            50 main complete 0 0x7 0
            60 main submit 0 NOP 0x7
            70 main complete 0 0x7 0
            ",
        );
    }

    #[test]
    fn a_lost_resume_could_explain_it() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            30 main complete 0 0x1000 0    <? never ran again
            35 main lost 1 removed
            40 main submit 0 NOP 0x7
            50 main complete 0 0x7 0
            60 main submit 0 NOP 0x7
            70 main complete 0 0x7 0
            ",
        );
    }

    #[test]
    fn what_was_taken_last_is_silent_at_an_exit_too() {
        check_rule(
            &RULE,
            "
            process 0 state=clean end=exit:0
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            30 main complete 0 0x1000 0
            ",
        );
    }

    #[test]
    fn one_that_was_there_before_the_recording_rests_on_all_of_it() {
        check_rule(
            &RULE,
            "
            process 0 state=clean end=exit:0
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            11 main submit 0 NOP 0x2000
            20 main suspend 9 0x1000
            21 main suspend 7 0x2000
            30 main complete 0 0x1000 0      <- [since:0] coroutine 9
            31 main complete 0 0x2000 0      <- [whole] coroutine 7
            40 main submit 0 NOP 0x7
            41 main complete 0 0x7 0
            ",
        );
    }
}
