//! `owner-without-completion`: an owner rides on an operation that posts nothing when it succeeds.
//!
//! Fires at an end where a pointer is still held, all operations that ever carried it were asked to post
//! nothing on success, and the ring went on to later completions, or was dropped before a clean exit.
//! Stays silent where another operation carried it too, where it was taken back without a completion,
//! and where the end came a moment after.
//! Points at the submission.

use super::{Draft, History, Judge, Rule};
use crate::finding::{RuleId, Severity};
use crate::model::{HeldAt, Moment};

pub(super) static RULE: Rule = Rule {
    id: RuleId(22),
    name: "owner-without-completion",
    brief: "an owner rides on an operation that posts nothing on success",
    severity: Severity::Error,
    fires: "A leaked pointer is the cookie of operations that post no completion when they succeed \
            (IOSQE_CQE_SKIP_SUCCESS), and of no others: when they succeed, nobody is told to take it back.",
    silent: "Another operation that does complete carries the pointer too; the program takes it back \
             without a completion; or the recording ends a moment after the submission.",
    needs: "Leaks, reclaims and submissions.",
    points_at: "The submission that asks for no completion.",
    example: "The nearest public one: a dropped file was closed by an operation whose owner died at once, \
              so that nobody saw its end; disk space leaked.",
    source: "DataDog/glommio commit 314a839",
    advice: "Give such operations a sentinel as cookie, or let an operation that completes carry the \
             owner: the last of the chain.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Held(held) = moment else { return };
    let generation = held.generation;
    let (Some((operation, submit, _)), Some(rounds)) =
        (generation.flight().quiet_latest, held.quiet_rounds)
    else {
        return;
    };
    let enough = match held.when {
        HeldAt::ScopeEnd => 0,
        // Nothing comes from a ring that was dropped in order.
        HeldAt::CleanExit if held.torn_down => 0,
        HeldAt::CleanExit => 1,
        HeldAt::Cut => 2,
    };
    // At the end of a scope never-reclaimed says that its ring went.
    let said = held.ring_dropped && held.when != HeldAt::CleanExit;
    if rounds < enough || generation.flight().reaped.is_some() || said {
        return;
    }
    let names = judge.names();
    let site = judge.site_of(submit);
    let message = format!(
        "{}, leaked{}, is carried only by operations that post nothing on success, at last operation \
         #{}{}: nobody takes it back",
        judge.generation(generation.id),
        judge.at(generation.leak_site),
        operation.sequence,
        judge.at(site)
    );
    let draft = Draft::new(generation.id.subject(), submit, held.at)
        .scope(generation.scope)
        .history(History::Whole)
        .message(message)
        .evidence(generation.leaked, "leaked here")
        .evidence(submit, "carried where nothing is posted")
        .key(generation.id)
        .key(operation)
        .shape(names.ty(generation.ty))
        .shape(names.file(site));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn nobody_is_told() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            10 main leak 0x1000 File file.rs:8
            20 main submit 0 CLOSE 0x1000 file.rs:9 skip-success    <- File#1 0x1000@1, leaked at file.rs:8, is carried only by operations that post nothing on success, at last operation #0 at file.rs:9
            30 main submit 0 NOP 0x7
            31 main complete 0 0x7 0
            ",
        );
    }

    #[test]
    fn told_by_another_taken_back_or_cut_off_is_silent() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            10 main leak 0x1000 File file.rs:8
            11 main submit 0 SEND 0x1000 skip-success link len=9
            12 main submit 0 CLOSE 0x1000
            20 main leak 0x2000 File file.rs:8
            21 main submit 0 CLOSE 0x2000 skip-success
            22 main reclaim 0x2000 File file.rs:9
            30 main submit 0 NOP 0x7
            31 main complete 0 0x7 0
            40 main leak 0x3000 File file.rs:8
            41 main submit 0 CLOSE 0x3000 skip-success
            ",
        );
    }

    #[test]
    fn a_lost_reclaim_could_explain_it() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            10 main leak 0x1000 File file.rs:8
            20 main submit 0 CLOSE 0x1000 file.rs:9 skip-success    <? nobody takes it back
            25 main lost 1 removed
            30 main submit 0 NOP 0x7
            31 main complete 0 0x7 0
            ",
        );
    }

    #[test]
    fn how_far_the_ring_must_have_gone_on() {
        let round = "30 main submit 0 NOP 0x7\n30 main complete 0 0x7 0\n";
        let said = "<- [whole] carried only by operations that post nothing";
        for (end, rounds, arrow) in [
            ("end=killed:9", 1, ""),
            ("end=killed:9", 2, said),
            ("state=clean", 0, ""),
            ("state=clean", 1, said),
            ("state=clean drop", 0, said),
            ("state=clean run drop", 0, ""),
            ("end=killed:9 drop", 0, ""),
        ] {
            let drop = if end.contains("drop") {
                "40 main ring-drop 0"
            } else {
                ""
            };
            let run = if end.contains("run") {
                "25 main spawn 9 Task t.rs:1\n25 main resume 9"
            } else {
                ""
            };
            let end = end.trim_end_matches(" drop").trim_end_matches(" run");
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    10 main leak 0x1000 File file.rs:8
                    20 main submit 0 CLOSE 0x1000 file.rs:9 skip-success    {arrow}
                    {run}
                    {}
                    {drop}",
                    round.repeat(rounds)
                ),
            );
        }
    }

    #[test]
    fn at_the_end_of_a_scope_at_once_and_not_where_another_rule_speaks() {
        check_rule(
            &RULE,
            "
            10 main scope-begin 1
            11 main leak 0x1000 File file.rs:8
            20 main submit 0 CLOSE 0x1000 file.rs:9 skip-success    <- carried only by operations that post nothing
            # It failed, which was taken; its ring was dropped.
            30 main leak 0x2000 File file.rs:8
            31 main submit 2 CLOSE 0x2000 file.rs:9 skip-success
            32 main complete 2 0x2000 -9
            40 main leak 0x3000 File file.rs:8
            41 main submit 1 CLOSE 0x3000 file.rs:9 skip-success
            42 main ring-drop 1
            50 main scope-end 1
            ",
        );
    }
}
