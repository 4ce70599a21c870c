//! `result-lost`: a completion brought a descriptor for an operation that nobody wanted any more.
//!
//! Fires at the end of a process, or of a scope whose ring was dropped, where an operation whose coroutine was dropped, or that was asked to be
//! cancelled, had completed with a descriptor, and no later record uses, adopts or closes it.
//! Stays silent for direct descriptors, in programs that do not record what they open and close, and
//! where the end came a moment after.
//! Points at the completion.

use super::{Draft, History, Judge, Key, Rule};
use crate::event::SiteId;
use crate::finding::{RuleId, Severity};
use crate::model::Moment;

pub(super) static RULE: Rule = Rule {
    id: RuleId(24),
    name: "result-lost",
    brief: "a descriptor arrives for an operation that was given up, and nobody closes it",
    severity: Severity::Warning,
    fires: "An accept, an open or a socket completes with a descriptor although its future was dropped or \
            its cancellation asked for, and nobody uses or closes the descriptor: it stays open.",
    silent: "The descriptor was used, adopted or closed later; the program does not record descriptors; \
             the result is a direct descriptor; or the recording ends a moment after.",
    needs: "Descriptors opened and closed, submissions, completions, and dropped coroutines or cancellations.",
    points_at: "The completion that brought the descriptor.",
    example: "A file's close was an operation whose owner died at once, which cancelled it: disk space \
              leaked. A cancelled accept that has succeeded leaks its connection likewise.",
    source: "DataDog/glommio commit 314a839",
    advice: "Where a completion finds its operation given up, close what the result owns.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::ResultLost {
        event,
        fd,
        operation,
        abandoned,
        until,
        rounds,
        clean,
    } = moment
    else {
        return;
    };
    let enough = if *clean { 1 } else { 2 };
    if *rounds < enough {
        return;
    }
    let message = format!(
        "{} was given up and completed with descriptor {fd}, which nobody used or closed",
        judge.operation(operation)
    );
    let draft = Draft::new(operation.id.subject(), *event, *until)
        .scope(operation.scope)
        .history(History::Since(operation.submit))
        .message(message)
        .evidence(operation.submit, "submitted here")
        .evidence(*abandoned, "given up here")
        .evidence(*event, "brought the descriptor")
        .key(operation.id)
        .keys(operation.generation.map(Key::from))
        .shape(crate::names::opcode(operation.entry.opcode))
        .shape(judge.names().file(SiteId(operation.entry.site)));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    const REST: &str = "
        90 main submit 0 NOP 0x7
        91 main complete 0 0x7 0
        92 main submit 0 NOP 0x7
        93 main complete 0 0x7 0
    ";

    #[test]
    fn an_accept_that_nobody_waits_for() {
        check_rule(
            &RULE,
            &format!(
                "
                1 main fd-open 3 main.rs:3
                2 main spawn 9 Task main.rs:3
                10 main submit 0 ACCEPT 0x1000 accept.rs:8 fd=3
                20 main suspend 9 0x1000
                30 main coroutine-drop 9
                40 main complete 0 0x1000 7     <- operation #0 (ring 0, slot 0, ACCEPT) at accept.rs:8 was given up and completed with descriptor 7, which nobody used or closed
                50 main submit 0 ACCEPT 0x2000 accept.rs:8 fd=3
                51 main submit 0 ASYNC_CANCEL 0x3000 addr=0x2000
                52 main complete 0 0x3000 -114
                53 main complete 0 0x2000 8     <- with descriptor 8
                {REST}"
            ),
        );
    }

    #[test]
    fn wanted_closed_used_or_direct_is_silent() {
        check_rule(
            &RULE,
            &format!(
                "
                1 main fd-open 3 main.rs:3
                10 main submit 0 ACCEPT 0x1000 fd=3
                11 main complete 0 0x1000 7
                20 main submit 0 ACCEPT 0x2000 fd=3
                21 main submit 0 ASYNC_CANCEL 0x3000 addr=0x2000
                22 main complete 0 0x2000 8
                23 main fd-close 8
                30 main submit 0 ACCEPT 0x2000 fd=3
                31 main submit 0 ASYNC_CANCEL 0x3000 addr=0x2000
                32 main complete 0 0x2000 9
                33 main submit 0 CLOSE 0x4000 fd=9
                40 main submit 0 ACCEPT 0x2000 fd=3 file-index=0xffffffff
                41 main submit 0 ASYNC_CANCEL 0x3000 addr=0x2000
                42 main complete 0 0x2000 10
                {REST}
                94 main submit 0 ACCEPT 0x2000 fd=3
                95 main submit 0 ASYNC_CANCEL 0x3000 addr=0x2000
                96 main complete 0 0x2000 11
                "
            ),
        );
    }

    #[test]
    fn where_descriptors_are_not_recorded_nothing_is_known() {
        check_rule(
            &RULE,
            &format!(
                "
                50 main submit 0 ACCEPT 0x2000 accept.rs:8 fd=3
                51 main submit 0 ASYNC_CANCEL 0x3000 addr=0x2000
                53 main complete 0 0x2000 8
                {REST}"
            ),
        );
    }

    #[test]
    fn a_lost_close_could_explain_it() {
        check_rule(
            &RULE,
            &format!(
                "
                1 main fd-open 3 main.rs:3
                50 main submit 0 ACCEPT 0x2000 accept.rs:8 fd=3
                51 main submit 0 ASYNC_CANCEL 0x3000 addr=0x2000
                53 main complete 0 0x2000 8     <? nobody used or closed
                54 main lost 1 removed
                {REST}"
            ),
        );
    }

    #[test]
    fn how_far_the_ring_must_have_gone_on() {
        let round = "60 main submit 0 NOP 0x7\n60 main complete 0 0x7 0\n";
        let said = "<- [since:1] nobody used or closed";
        let scoped = |rounds: usize, over: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=unknown
                    0 main scope-begin 1 name=a
                    1 main ring-create 0 sq=8 cq=16
                    2 main fd-open 3 main.rs:3
                    50 main submit 0 ACCEPT 0x2000 accept.rs:8 fd=3
                    51 main submit 0 ASYNC_CANCEL 0x3000 addr=0x2000
                    52 main complete 0 0x3000 -114
                    53 main complete 0 0x2000 8     {arrow}
                    {}
                    {over}
                    ",
                    round.repeat(rounds)
                ),
            );
        };
        let dropped = "70 main ring-drop 0\n71 main scope-end 1";
        scoped(1, dropped, "<- nobody used or closed");
        scoped(
            1,
            "70 main fd-close 8\n71 main ring-drop 0\n72 main scope-end 1",
            "",
        );
        scoped(1, "70 main ring-drop 0", "");
        scoped(1, "71 main scope-end 1", "");
        scoped(0, dropped, "");
        for (end, rounds, arrow) in [
            ("end=killed:9", 1, ""),
            ("end=killed:9", 2, said),
            ("state=clean", 0, ""),
            ("state=clean", 1, said),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    1 main fd-open 3 main.rs:3
                    50 main submit 0 ACCEPT 0x2000 accept.rs:8 fd=3
                    51 main submit 0 ASYNC_CANCEL 0x3000 addr=0x2000
                    52 main complete 0 0x3000 -114
                    53 main complete 0 0x2000 8     {arrow}
                    {}",
                    round.repeat(rounds)
                ),
            );
        }
    }
}
