//! `resumed-twice`: a coroutine is resumed by a completion that is not there, or was there for another.
//!
//! Fires on a second resume for one completion, on a resume by a completion that was never taken, on
//! one by a cookie that the coroutine does not wait for, and on a resume after its end.
//! Stays silent for wakes by something else, for coroutines that did not say what they wait for, and
//! where the ring's completions are not recorded.
//! Points at the resume, at the drop of a coroutine that left something in flight, or at the wake that was too early.

use super::{Draft, History, Judge, Key, Rule};
use crate::finding::{RuleId, Severity};
use crate::model::{Doing, Found, Moment, Resumed};

pub(super) static RULE: Rule = Rule {
    id: RuleId(10),
    name: "resumed-twice",
    brief: "two resumes for one completion, or a resume after the end",
    severity: Severity::Error,
    fires: "A completion resumes a coroutine twice; a coroutine is resumed by a completion that nobody \
            took, or by a cookie that it does not wait for; or it is resumed after it was done.",
    silent: "Something else than a completion woke it; it did not say what it waits for; the ring's \
             completions are not recorded; too many of one cookie were taken at once to keep them all; or one that \
             resumed nobody was taken too long before to be kept.",
    needs: "Completions and resumes; suspensions with their cookies tell wrong resumes from right ones.",
    points_at: "The resume that should not have been; the drop of the coroutine, where what it waited for was \
                in flight then; or the wake that came before the completion.",
    example: "A fiber that waited for its own operation was woken by the completion of another one and \
              took the wrong result; the fix waits on until its own waker ran.",
    source: "romange/helio#238",
    advice: "Compare the two resumes in the biography: the same completion must not be dispatched from \
             two places, nor read twice before the queue's head moves.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Resumed(resumed) = moment else {
        return;
    };
    let Resumed {
        event,
        coroutine,
        found,
        by,
        credit,
        delivered,
        took,
        completions_are_known,
        waits,
        until,
    } = resumed;
    let names = judge.names();
    let twice = credit.is_none() && by.is_some() && *completions_are_known;
    // Of nearly all: names are made only for what is said.
    if !twice && !matches!(found, Found::Done | Found::Dropped | Found::Elsewhere) {
        return;
    }
    let who = names.coroutine(coroutine.process, coroutine.number);
    let cookie = by.map_or(String::new(), |(ring, cookie)| {
        format!(" by {cookie:#x} on ring {ring}")
    });
    let same = delivered.filter(|delivered| delivered.coroutine == coroutine.number);
    // What it waited for was in flight when it was dropped, and came back to nobody.
    let dropped = match (&coroutine.doing, credit) {
        (Doing::Dropped(at), Some(credit)) => {
            let operation = credit.operation.zip(credit.submit);
            let operation = operation.filter(|(_, submitted)| submitted < at);
            operation
                .filter(|_| credit.completion > *at)
                .map(|it| (*at, it))
        }
        _ => None,
    };
    // Something else resumed it when it waited for this one.
    let woken = coroutine.woken.as_ref().filter(|woken| {
        let is_known = |(_, cookie): (u32, u64)| woken.cookies.contains(&cookie);
        let since = credit.is_some_and(|credit| credit.completion > woken.resumed);
        *found == Found::Elsewhere && since && by.is_some_and(is_known)
    });
    let (shape, message) = match found {
        Found::Done => (
            "done",
            format!("{who} was resumed{cookie} after it was done"),
        ),
        Found::Dropped => {
            let what = dropped.map_or(String::new(), |(_, (operation, _))| {
                let number = operation.sequence;
                format!(": operation #{number}, which it waited for, was in flight when it was")
            });
            (
                "dropped",
                format!("{who} was resumed{cookie} after it was dropped{what}"),
            )
        }
        _ if twice && same.is_some() => (
            "twice",
            format!("{who} was resumed{cookie} a second time for one completion"),
        ),
        _ if twice && delivered.is_some() => (
            "another's",
            format!("{who} was resumed{cookie} by a completion that had resumed another coroutine"),
        ),
        _ if twice => (
            "none",
            format!("{who} was resumed{cookie} without a completion"),
        ),
        Found::Elsewhere if woken.is_some() => (
            "woken",
            format!(
                "{who} was resumed by a wake while it waited for{}; the completion came later, and resumed it \
                 once more, from another wait",
                by.map_or(String::new(), |(ring, cookie)| format!(
                    " {cookie:#x} of ring {ring}"
                ))
            ),
        ),
        Found::Elsewhere => (
            "elsewhere",
            format!("{who} was resumed{cookie}, which it was not waiting for"),
        ),
        _ => return,
    };
    let submit = match credit {
        Some(credit) => credit.submit,
        None => delivered.and_then(|delivered| delivered.submit),
    };
    let whose = waits
        .zip(*by)
        .map_or(String::new(), |(other, (_, cookie))| {
            let other = names.coroutine(coroutine.process, other);
            format!("; {other} waits for {cookie:#x}")
        });
    let message = format!("{message}{}{whose}", judge.places_of(coroutine, submit));
    let cause = dropped
        .map(|(at, _)| at)
        .or(woken.map(|woken| woken.resumed));
    // What it was doing when it was resumed says it all; which completions there are for a resume goes further back.
    let since = match (shape, &coroutine.doing) {
        ("done" | "dropped", Doing::Done(at) | Doing::Dropped(at)) => {
            Some(dropped.map_or(*at, |(at, (_, submitted))| at.min(submitted)))
        }
        ("woken", _) => woken.map(|woken| woken.suspended),
        ("elsewhere", Doing::Suspended { event, .. }) => Some(*event),
        _ => coroutine.spawned,
    };
    let mut draft = Draft::new(coroutine.subject(), cause.unwrap_or(*event), *until)
        .scope(coroutine.scope)
        .history(since.map_or(History::Whole, History::Since))
        .message(message)
        .evidence(*event, "resumed here")
        .key(Key::Coroutine(coroutine.process, coroutine.number))
        .keys(credit.and_then(|credit| credit.operation).map(Key::from))
        .shape(shape)
        .shape(names.ty(coroutine.ty))
        .shape(names.file(coroutine.spawn_site));
    if let Some(spawned) = coroutine.spawned {
        draft = draft.evidence(spawned, "spawned here");
    }
    if let Some(submit) = submit {
        draft = draft.evidence(submit, "the operation was submitted here");
    }
    if twice && let Some(delivered) = delivered {
        draft = draft
            .evidence(delivered.completion, "the one completion")
            .evidence(delivered.resume, "resumed for it here")
            .keys(delivered.operation.map(Key::from))
            .keys(took.map(Key::from));
        draft.outranks = &[3, 8];
    }
    draft = match shape {
        "elsewhere" => draft.title("the wrong coroutine").advice(WRONG),
        "dropped" => draft.title("after its drop").advice(GONE),
        _ => draft,
    };
    if let Some((_, (_, submitted))) = dropped {
        draft = draft
            .evidence(submitted, "in flight since here")
            .advice(DROPPED);
    }
    if let Some(woken) = woken {
        draft = draft
            .evidence(woken.suspended, "waited for it since here")
            .evidence(woken.resumed, "resumed by a wake, too early")
            .advice(WOKEN);
    }
    if twice
        && same.is_some()
        && let Some((ring, _)) = by
    {
        draft = draft.of_fault("dispatched twice", *ring);
    }
    if let Some(credit) = credit {
        draft = draft.evidence(credit.completion, "by this completion");
    }
    if let Doing::Suspended { event, .. } = coroutine.doing {
        let role = if woken.is_some() {
            "waited for something else since here"
        } else {
            "suspended here"
        };
        draft = draft.evidence(event, role);
    } else if let Some((at, _)) = dropped {
        draft = draft.evidence(at, "dropped here, too early");
    } else if let Doing::Done(event) | Doing::Dropped(event) = coroutine.doing {
        draft = draft.evidence(event, "ended here");
    }
    judge.say(draft);
}

/// What to try where what a dropped coroutine waited for came back.
const DROPPED: &str = "Dropping a coroutine does not end what it waits for. Cancel that and wait for its completion before \
                       the frame goes, or leave a mark behind the cookie by which the completion finds nobody there.";
/// What to try where the completion was there, and was another's.
const WRONG: &str = "There was one resume, and of the wrong coroutine. Look at where the dispatcher gets from user_data to \
                     the coroutine, and at who submitted the operation: its user_data must lead to the one that waits.";
/// What to try where a coroutine is gone.
const GONE: &str = "Something still led to the coroutine when it was dropped: a cookie in flight, a queue of those that are \
                    ready, a wake. Take it out there before the frame goes.";
/// What to try where a wake came before the completion.
const WOKEN: &str = "Find who woke it: while it waits for a completion nothing else may run it, or it must look, each \
                     time it runs, whether that has come, and wait on if not.";

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;
    use crate::trace::Trace;

    #[test]
    fn one_resume_of_the_wrong_coroutine_names_the_right_one() {
        let text = |arrow: &str| {
            format!(
                "
                1 main ring-create 0 sq=8 cq=16
                2 main spawn 8 Task main.rs:3
                3 main spawn 9 Task main.rs:4
                10 main submit 0 READ 0x1000 op.rs:8
                11 main submit 0 READ 0x2000 op.rs:9
                12 main suspend 8 0x1000
                13 main suspend 9 0x2000
                20 main complete 0 0x1000 1
                30 main resume 9 0x1000 ring=0     {arrow}
                "
            )
        };
        let arrow = "<- which it was not waiting for; it was spawned at main.rs:4, and the operation submitted at op.rs:8; \
                     coroutine 8 (Task) waits for 0x1000";
        check_rule(&RULE, &text(arrow));
        let trace = Trace::parse_text(&text("")).unwrap();
        let head = &trace.verdict().stories[0].head;
        let title = "T10 resumed-twice: the wrong coroutine (observed)";
        assert_eq!(crate::report::title(head), title);
        assert_eq!(head.advice(), super::WRONG);
    }

    /// A task that others starve runs thousands of rounds later.
    #[test]
    fn a_resume_long_after_its_completion_is_no_second_one() {
        let rounds = |cookies: u64| {
            let round = |at: u64| {
                let cookie = 0x9000 + 16 * (at % cookies);
                format!("30 main submit 0 NOP {cookie:#x}\n30 main complete 0 {cookie:#x} 0\n")
            };
            (0..5_000).map(round).collect::<String>()
        };
        let head = "
            1 main ring-create 0 sq=8 cq=16
            2 main spawn 8 Task main.rs:3
            10 main submit 0 READ 0x1000 op.rs:8
            11 main suspend 8 0x1000
            12 main complete 0 0x1000 1
            13 main resume 8 0x1000 ring=0
            20 main submit 0 READ 0x1000 op.rs:8
            21 main suspend 8 0x1000
            22 main complete 0 0x1000 1";
        let late = format!("{head}\n{}40 main resume 8 0x1000 ring=0\n", rounds(1));
        check_rule(&RULE, &late);
        // Even where there are more such than are kept.
        check_rule(
            &RULE,
            &format!("{head}\n{}40 main resume 8 0x1000 ring=0\n", rounds(5_000)),
        );
        // Once a later one has resumed it, that is behind it.
        check_rule(
            &RULE,
            &format!(
                "{late}
                50 main submit 0 READ 0x1000 op.rs:8
                51 main suspend 8 0x1000
                52 main complete 0 0x1000 1
                53 main resume 8 0x1000 ring=0
                54 main resume 8 0x1000 ring=0     <- a second time for one completion
                55 main suspend 8 0x3000
                56 main resume 8 0x2000 ring=0     <- without a completion
                "
            ),
        );
    }

    #[test]
    fn dropped_while_what_it_waited_for_was_in_flight() {
        let fixture = "
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            30 main coroutine-drop 9      <- [error since:1] coroutine 9 (Task) was resumed by 0x1000 on ring 0 after it was dropped: operation #0, which it waited for, was in flight when it was
            40 main complete 0 0x1000 0
            50 main resume 9 0x1000
            ";
        check_rule(&RULE, fixture);
        assert!(advice(fixture).starts_with("Dropping a coroutine"));
        // Submitted afterwards, or taken before: that is no fault of the drop.
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            20 main suspend 9 0x1000
            30 main coroutine-drop 9
            35 main submit 0 NOP 0x1000
            40 main complete 0 0x1000 0
            50 main resume 9 0x1000       <- after it was dropped
            ",
        );
    }

    #[test]
    fn woken_before_its_completion_came() {
        let fixture = "
            1 main spawn 9 Task main.rs:3
            20 main suspend 9 0x1000
            30 main resume 9              <- coroutine 9 (Task) was resumed by a wake while it waited for 0x1000 of ring 0; the completion came later, and resumed it once more, from another wait
            31 main suspend 9 0x2000
            40 main submit 0 NOP 0x1000
            50 main complete 0 0x1000 0
            60 main resume 9 0x1000
            ";
        check_rule(&RULE, fixture);
        assert!(advice(fixture).starts_with("Find who woke it"));
        // It looked, and waited on; and another's completion.
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            20 main suspend 9 0x1000
            30 main resume 9
            31 main suspend 9 0x1000
            40 main submit 0 NOP 0x1000
            50 main complete 0 0x1000 0
            60 main resume 9 0x1000
            70 main suspend 9 0x1000
            71 main submit 0 NOP 0x3000
            72 main complete 0 0x3000 0
            73 main resume 9 0x3000       <- which it was not waiting for
            ",
        );
    }

    fn advice(fixture: &str) -> &'static str {
        let trace = Trace::parse_text(fixture).unwrap();
        trace.verdict().stories[0].head.advice()
    }

    #[test]
    fn one_completion_two_resumes() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            30 main complete 0 0x1000 0
            40 main resume 9 0x1000
            50 main resume 9 0x1000       <- coroutine 9 (Task) was resumed by 0x1000 on ring 0 a second time for one completion; it was spawned at main.rs:3
            ",
        );
    }

    #[test]
    fn a_resume_without_a_completion() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            25 main complete 0 0x7 0
            40 main resume 9 0x1000       <- without a completion
            ",
        );
    }

    /// It is known to be too early when the operation completes.
    #[test]
    fn a_resume_before_anything_was_taken_from_its_ring() {
        let of = |behind: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main ring-create 0 sq=8 cq=16
                    2 main spawn 9 Task main.rs:3
                    10 main submit 0 NOP 0x1000
                    20 main suspend 9 0x1000
                    40 main resume 9 0x1000 ring=0      {arrow}
                    41 main suspend 9 0x1000
                    {behind}
                    "
                ),
            );
        };
        let early = "<- [since:1] was resumed by 0x1000 on ring 0 without a completion";
        let own = "50 main complete 0 0x1000 0\n51 main resume 9 0x1000 ring=0";
        of(own, early);
        of(
            &format!("49 main submit 0 NOP 0x7\n49 main complete 0 0x7 0\n{own}"),
            early,
        );
        // Of whom nothing is taken there, or what may be another's with its cookie.
        of("", "");
        of("49 main submit 0 NOP 0x7\n49 main complete 0 0x7 0", "");
        of(&format!("49 main submit 0 NOP 0x1000\n{own}"), "");
        of(
            &format!("49 main lost 1 removed\n{own}"),
            "<? without a completion",
        );
    }

    #[test]
    fn the_wrong_cookie() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            30 main complete 0 0x2000 0
            40 main resume 9 0x2000       <- which it was not waiting for
            ",
        );
    }

    #[test]
    fn after_its_end() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            2 main done 9
            3 main coroutine-drop 9
            40 main resume 9              <- coroutine 9 (Task) was resumed after it was done
            ",
        );
    }

    #[test]
    fn ordinary_life_is_silent() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            2 main resume 9
            # Two waits at once, both completions in one batch, dispatched one after the other.
            3 main submit 0 NOP 0x1000
            4 main submit 0 NOP 0x2000
            5 main suspend 9 0x1000 0x2000
            6 main complete 0 0x1000 0
            7 main complete 0 0x2000 0
            8 main resume 9 0x1000
            9 main suspend 9 0x2000
            10 main resume 9 0x2000
            # A wake by another thread, and one that did not say what it waits for.
            11 main suspend 9
            12 other wake 9
            13 main resume 9
            14 main suspend 9
            15 main submit 0 NOP 0x3000
            16 main complete 0 0x3000 0
            17 main resume 9 0x3000
            18 main done 9
            # A ring whose completions nobody records.
            19 main spawn 10 Task main.rs:3
            20 main resume 10 0x1000 ring=7
            ",
        );
    }

    /// More completions of one cookie in a batch than are kept: each of them may resume somebody.
    #[test]
    fn a_large_batch_of_one_cookie_is_silent() {
        let mut text = "1 main spawn 9 Task main.rs:3\n".to_owned();
        for _ in 0..100 {
            text.push_str("2 main submit 0 NOP 0x1000\n");
        }
        text.push_str("3 main suspend 9 0x1000\n");
        for _ in 0..100 {
            text.push_str("4 main complete 0 0x1000 0\n");
        }
        for _ in 0..100 {
            text.push_str("5 main resume 9 0x1000\n5 main suspend 9 0x1000\n");
        }
        check_rule(&RULE, &text);
        text.push_str("7 main resume 9 0x1000   <- a second time for one completion\n");
        check_rule(&RULE, &text);
    }

    #[test]
    fn a_lost_completion_could_explain_it() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 9 0x1000
            30 main complete 0 0x1000 0
            40 main resume 9 0x1000
            45 main lost 2 removed
            50 main resume 9 0x1000       <? a second time
            ",
        );
    }

    #[test]
    fn the_one_completion_resumed_another() {
        check_rule(
            &RULE,
            "
            1 main spawn 8 Task main.rs:3
            2 main spawn 9 Task main.rs:3
            10 main submit 0 NOP 0x1000
            20 main suspend 8 0x1000
            21 main suspend 9 0x1000
            30 main complete 0 0x1000 0
            40 main resume 8 0x1000
            41 main resume 9 0x1000       <- [since:1] by a completion that had resumed another coroutine
            ",
        );
    }

    #[test]
    fn after_its_future_was_dropped() {
        check_rule(
            &RULE,
            "
            2 main spawn 9 Task main.rs:3
            3 main coroutine-drop 9
            40 main resume 9              <- [error since:1] coroutine 9 (Task) was resumed after it was dropped
            50 main done 7
            51 main resume 7              <- [error since:3] coroutine 7 was resumed after it was done
            ",
        );
    }

    #[test]
    fn what_was_overwritten_before_it_was_suspended_explains_nothing() {
        check_rule(
            &RULE,
            "
            process 0 lasting=whole
            5 main lost 99 overwritten
            10 main suspend 9 0x1000
            20 main submit 0 NOP 0x1000
            21 main submit 0 NOP 0x2000
            40 main complete 0 0x2000 0
            41 main resume 9 0x2000       <- [since:1] by 0x2000 on ring 0, which it was not waiting for
            50 main suspend 9 0x3000
            51 main resume 9 0x3000       <? without a completion
            ",
        );
    }

    #[test]
    fn a_double_resume_is_the_cause_of_what_its_second_run_took_back_again() {
        let run = "
            1 main spawn 9 Task main.rs:3
            10 main leak 0x1000 Op op.rs:8
            BEFORE
            20 main submit 0 RECV 0x1000 op.rs:9
            21 main suspend 9 0x1000
            30 main complete 0 0x1000 5
            31 main resume 9 0x1000
            32 main suspend 9
            BEHIND
            40 main resume 9 0x1000
        ";
        let twice = "33 main reclaim 0x1000 Op op.rs:10\n33 main reclaim 0x1000 Op op.rs:11";
        let stale = "11 main reclaim 0x1000 Op op.rs:10";
        for (before, behind, other) in [("", twice, 8), (stale, "", 3)] {
            let text = run.replace("BEFORE", before).replace("BEHIND", behind);
            let trace = crate::trace::Trace::parse_text(&text).unwrap();
            let stories = &trace.verdict().stories;
            assert_eq!(stories.len(), 1, "{stories:#?}");
            assert_eq!(stories[0].head.rule, RULE.id, "{stories:#?}");
            let folded = &stories[0].folded;
            assert!(
                folded.iter().any(|folded| folded.rule.0 == other),
                "{folded:#?}"
            );
        }
    }
}
