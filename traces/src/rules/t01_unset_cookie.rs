//! `unset-cookie`: an operation goes in with cookie 0 on a ring whose cookies are pointers.
//!
//! Fires on a submission whose cookie is 0 and was not seen to be set, once a scheme declares pointers
//! or a leaked pointer was seen as a cookie on that ring; on one in whose slot nobody ever set any, on a ring where others
//! have cookies; and on a completion with 0 there that no operation explains.
//! Stays silent where 0 is a declared sentinel, was set on purpose, or cookies are indices; where no operation of the
//! ring has a cookie; and of what posts nothing when all goes well, unless poison shows that nobody set it. Where such a
//! one fails after all, it is suspected (a warning).
//! Points at the submission, and at the completion that nobody asked for.

use wire::record::CookieState;

use super::t02_leftover_cookie::{UNSET, forgotten};
use super::{Draft, History, Judge, Rule};
use crate::event::{EventId, SiteId};
use crate::finding::{Confidence, RuleId, Severity, Subject};
use crate::model::{
    CLOSE, Moment, Operation, Pointers, Standing, Stray, ends_others, ends_quietly,
};

pub(super) static RULE: Rule = Rule {
    id: RuleId(1),
    name: "unset-cookie",
    brief: "an operation goes in, or comes back, with cookie 0 on a ring that dispatches pointers",
    severity: Severity::Error,
    fires: "An operation is submitted with user_data 0 although its ring takes cookies for pointers: a \
            scheme says so, or leaked pointers were seen as cookies on the same ring. Also when poison \
            shows that nobody ever set a cookie in its slot, on a ring where any other operation was given one.",
    silent: "The program was seen to set 0 on purpose; 0 is a declared sentinel; cookies are declared \
             indices; no pointer was ever seen as a cookie on that ring; or no operation of the ring was ever given \
             a cookie, and who does one thing at a time needs none. Nor is anything said \
             of what posts no completion on success, until it fails, unless poison shows that nobody set it; \
             nor where a cancellation fails, as they do.",
    needs: "Submissions and leaks. Poisoned slots make it proved.",
    points_at: "The submission that carries no cookie.",
    example: "A preparation helper used to clear user_data and so undid a cookie that was set before it; \
              operations went in with 0 and their completions named nobody. Later versions leave the \
              word alone, and the same source has the opposite bug.",
    source: "axboe/liburing#277, axboe/liburing#548 (liburing commit 8ecd3fd9)",
    advice: "Set user_data on every path that prepares this operation, after the preparation helper \
             has run. If 0 stands for \"nobody\" on purpose, declare it as a sentinel.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    if let Moment::Stray(stray) = moment {
        reaped(stray, judge);
    }
    if let Moment::CameWithout {
        event,
        operation,
        result,
        proof,
    } = moment
    {
        failed((*event, *result), operation, *proof, judge);
    }
    let Moment::Unset { operation, proof } = moment else {
        return;
    };
    let entry = &operation.entry;
    if judge.is_probed(operation.id.process) && ends_others(entry.opcode) {
        return;
    }
    // What posts nothing when all goes well needs no cookie, and is believed to do without.
    if operation.cookie_state == CookieState::Unknown && ends_quietly(entry) {
        return;
    }
    let names = judge.names();
    let site = SiteId(entry.site);
    let fresh = operation.cookie_state == CookieState::NeverWritten;
    let name = names.operation(
        operation.id.ring,
        operation.id.sequence,
        entry.slot,
        entry.opcode,
    );
    let why = if fresh {
        "never set user_data, and its slot had none before".to_owned()
    } else {
        format!(
            "went in with user_data {:#x}, but cookies are pointers on this ring",
            entry.cookie
        )
    };
    let mut draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .confidence(match operation.cookie_state {
            CookieState::NeverWritten | CookieState::Poisoned => Confidence::Proved,
            _ => Confidence::Observed,
        })
        .history(if fresh { History::Own } else { History::Whole })
        .message(format!(
            "{name}{} {why}: nobody will know whose completion it is",
            judge.at(site)
        ))
        .evidence(operation.submit, "submitted without a cookie here")
        .key(operation.id)
        .shape(crate::names::opcode(entry.opcode))
        .shape(names.file(site));
    let forgot = fresh || operation.cookie_state == CookieState::Poisoned;
    if entry.site != 0 && forgot {
        draft = draft.of_fault(UNSET, forgotten(entry));
    }
    if let Some(proof) = proof {
        draft = draft.evidence(*proof, "a pointer that is a cookie here");
        if !fresh {
            // What it proves rests on that pointer having been out when it went in, which may be later.
            draft = draft.until(EventId(u64::MAX));
        }
    }
    judge.say(draft);
}

/// A completion without a cookie of what would have posted none.
fn failed(
    (event, result): (EventId, i32),
    operation: &Operation,
    proof: Option<EventId>,
    judge: &mut Judge<'_>,
) {
    let entry = &operation.entry;
    // Those fail all the time, and whoever sends them off without a word knows.
    if ends_others(entry.opcode) && entry.opcode != CLOSE {
        return;
    }
    let site = SiteId(entry.site);
    let name = judge.operation(operation);
    let which = if operation.ambiguous {
        ", or another that went in without a cookie,"
    } else {
        ""
    };
    let mut draft = Draft::new(operation.id.subject(), event, event)
        .scope(operation.scope)
        // Who dispatches may look for nothing there.
        .confidence(Confidence::Suspected)
        .severity(Severity::Warning)
        .history(History::Whole)
        .message(format!(
            "{name}{which} asked for no completion on success and failed: {}, with user_data 0x0, but cookies are \
             pointers on this ring: nobody knows whose it is",
            crate::names::result(result)
        ))
        .evidence(operation.submit, "submitted without a cookie here")
        .evidence(event, "failed, and came back")
        .key(operation.id)
        .shape("failed")
        .shape(crate::names::opcode(entry.opcode))
        .shape(judge.names().file(site));
    if let Some(proof) = proof {
        draft = draft.evidence(proof, "a pointer that is a cookie here");
    }
    judge.say(draft);
}

/// A completion without a cookie that no operation explains.
fn reaped(stray: &Stray<'_>, judge: &mut Judge<'_>) {
    let Stray {
        event,
        place: (process, ring, scope),
        cookie: cookie @ 0,
        past: None,
        standing: Standing::Unknown,
        pointers: Pointers::Declared | Pointers::Proved(_),
        forgotten: false,
        ..
    } = stray
    else {
        return;
    };
    let subject = Subject::Cookie {
        process: *process,
        ring: *ring,
        cookie: *cookie,
    };
    let draft = Draft::new(subject, *event, *event)
        .scope(*scope)
        .or_a_message()
        .message(format!(
            "a completion on ring {ring} brought user_data 0x0, but cookies are pointers on this ring: \
             nobody knows whose it is"
        ))
        .evidence(*event, "taken without a cookie")
        .shape("reaped");
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn zero_among_pointers_is_reported() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000
            30 main submit 0 NOP 0x0 poll.rs:9   <- [observed whole] operation #1 (ring 0, slot 1, NOP) at poll.rs:9 went in with user_data 0x0
            ",
        );
    }

    #[test]
    fn zero_before_the_first_pointer_is_reported_when_it_is_seen() {
        check_rule(
            &RULE,
            "
            10 main submit 0 NOP 0x0             <- operation #0
            20 main leak 0x1000 Conn conn.rs:8
            30 main submit 0 RECV 0x1000
            ",
        );
    }

    #[test]
    fn fresh_slot_that_nobody_set_is_proved() {
        // Once it is known that the ring's operations have cookies.
        for known in [
            "15 main scheme 0 pointer",
            "20 main submit 0 RECV 0x1 set",
            "20 main submit 0 RECV 0x1",
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    10 main submit 0 NOP 0x0 never-written   <- [proved own] had none before
                    {known}
                    30 main submit 0 NOP 0x0 set
                    "
                ),
            );
        }
    }

    #[test]
    fn a_ring_without_cookies_is_silent() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=2 cq=4 in-place
            10 main submit 0 READ 0x0 copy.rs:9 never-written
            20 main submit 0 WRITE 0x0 copy.rs:11 never-written
            30 main complete 0 0x0 4096
            40 main complete 0 0x0 4096
            50 main submit 0 READ 0x0 copy.rs:9 poisoned
            60 main submit 0 WRITE 0x0 copy.rs:11 poisoned
            # Others of the process have some.
            70 main submit 1 RECV 0x1 set
            ",
        );
    }

    #[test]
    fn a_slot_that_never_had_a_cookie_has_none_on_its_next_lap() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=1 cq=4 in-place
            10 main submit 0 READ 0x0 copy.rs:9 never-written  <- [proved own] had none before
            20 main complete 0 0x0 4096
            30 main submit 0 READ 0x0 copy.rs:10 poisoned      <- [proved own] had none before
            40 main complete 0 0x0 4096
            50 main submit 0 RECV 0x1 set
            ",
        );
    }

    #[test]
    fn zero_on_purpose_is_silent() {
        check_rule(
            &RULE,
            "
            5 main scheme 0 sentinel 0
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000
            30 main submit 0 ASYNC_CANCEL 0x0
            40 main submit 1 ASYNC_CANCEL 0x0
            50 main submit 0 NOP 0x0 set
            ",
        );
    }

    #[test]
    fn what_posts_nothing_on_success_needs_no_cookie() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 SEND 0x0 conn.rs:9 skip-success link
            30 main submit 0 RECV 0x1000
            # Nobody set it at all; another one posts.
            40 main submit 0 SEND 0x0 skip-success never-written   <- its slot had none before
            50 main submit 0 SEND 0x0 skip-success poisoned        <- went in with user_data 0x0
            60 main submit 0 SEND 0x0                              <- went in with user_data 0x0
            ",
        );
    }

    #[test]
    fn what_posts_nothing_on_success_and_fails_is_nobodys() {
        let fails = |before: &str, op: &str, result: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    {before}
                    20 main submit 0 {op} skip-success
                    30 main submit 0 RECV 0x1000
                    40 main complete 0 0x0 {result}    {arrow}
                    "
                ),
            );
        };
        let leaked = "10 main leak 0x1000 Conn conn.rs:8";
        let told = "<- [warning suspected whole] operation #0 (ring 0, slot 0, SEND) at conn.rs:9 asked for no completion on \
                    success and failed: -32 (EPIPE), with user_data 0x0";
        let send = "SEND 0x0 conn.rs:9 fd=4 len=8";
        fails(leaked, send, "-32", told);
        fails("10 main scheme 0 pointer", send, "-32", told);
        fails(
            leaked,
            "CLOSE 0x0 conn.rs:9 fd=4",
            "-9",
            "<- CLOSE) at conn.rs:9 asked",
        );
        // No pointers; nobody on purpose; a cancellation that came too late; and what says something for itself.
        fails("", send, "-32", "");
        fails("10 main scheme 0 index", send, "-32", "");
        fails(
            &format!("5 main scheme 0 sentinel 0\n{leaked}"),
            send,
            "-32",
            "",
        );
        fails(leaked, "ASYNC_CANCEL 0x0 conn.rs:9 addr=0x1000", "-2", "");
        fails(leaked, "SEND 0x0 set conn.rs:9 fd=4 len=8", "-32", "");
        // Of several nobody knows which, and all of them had none; or one of them was given it.
        let other = "11 main submit 0 SEND 0x0 conn.rs:5 fd=4 len=8";
        let several = "<- at conn.rs:5, or another that went in without a cookie, asked";
        fails(
            &format!("{leaked}\n{other} skip-success"),
            send,
            "-32",
            several,
        );
        fails(
            &format!("{leaked}\n{other} set skip-success"),
            send,
            "-32",
            "",
        );
        fails(
            &format!("5 main lost 1 removed\n{leaked}"),
            send,
            "-32",
            "<? asked for no completion",
        );
    }

    #[test]
    fn zero_that_nobody_submitted_is_reported() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000
            30 main complete 0 0x0 0             <- a completion on ring 0 brought user_data 0x0
            ",
        );
    }

    /// Who wakes another ring may well send it no word at all.
    #[test]
    fn zero_may_be_a_message_of_a_ring_that_the_kernel_alone_sees() {
        let trace = |sends: &str, mark: &str| {
            format!(
                "
                process 0 pid=77 start=9 capture=preload end=exit:0
                process 1 pid=77 start=9 capture=kernel end=exit:0
                process 2 pid=77 start=9 capture=uprobes end=exit:0
                lane k process=1
                lane u process=2
                1000 main ring-create 1 fd=5 sq=8 cq=16
                2000 main lost 1 ring-not-followed
                3000 k ring-create 1 fd=6 sq=8 cq=16
                4000 u leak 0x70000 Conn conn.rs:8
                4500 main submit 1 NOP 0x70000 set
                5000 main complete 1 0x70000 0
                6000 k submit 1 {sends} 0x9 seq=0
                7000 main complete 1 0x0 12   {mark} brought user_data 0x0
                "
            )
        };
        check_rule(&RULE, &trace("MSG_RING", "<?"));
        check_rule(&RULE, &trace("NOP", "<-"));
    }

    #[test]
    fn indices_are_not_pointers() {
        check_rule(
            &RULE,
            "
            5 main scheme all index
            10 main leak 0x1 Slot slab.rs:8 owner=index
            20 main submit 0 RECV 0x1
            30 main submit 0 RECV 0x0
            ",
        );
    }

    #[test]
    fn a_lost_declaration_could_explain_it() {
        check_rule(
            &RULE,
            "
            5 main lost 1 removed
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000
            30 main submit 0 NOP 0x0             <? operation #1
            ",
        );
    }

    /// That the pointer was taken back before it went in, and so was none, may be what is missing.
    #[test]
    fn what_proves_that_cookies_are_pointers_may_come_later() {
        let of = |between: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    10 main submit 0 NOP 0x0             {arrow}
                    20 main leak 0x1000 Conn conn.rs:8
                    {between}
                    40 main submit 0 RECV 0x1000
                    "
                ),
            );
        };
        of("30 main reclaim 0x1000 Conn conn.rs:9", "");
        of("30 main lost 1 removed", "<? went in with user_data 0x0");
        of("", "<- went in with user_data 0x0");
    }

    #[test]
    fn a_declaration_that_lasts_explains_it() {
        check_rule(
            &RULE,
            "
            process 0 lasting=whole
            lasting 0 0 scheme 0 sentinel 0
            5 main lost 1 overwritten
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000
            30 main submit 0 NOP 0x0
            ",
        );
    }

    #[test]
    fn poison_on_a_ring_of_pointers_is_proved() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000
            30 main submit 0 NOP 0x0 poisoned    <- [proved whole] went in with user_data 0x0
            ",
        );
    }

    #[test]
    fn a_completion_with_zero_that_is_somebodys_is_silent() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main ring-create 1 sq=8 cq=16
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000
            # One too many of an operation whose zero was set; where no cookie is a pointer.
            30 main submit 0 NOP 0x0 set
            31 main complete 0 0x0 0
            32 main complete 0 0x0 0
            40 main complete 1 0x0 0
            # Something lives there.
            50 main ring-create 2 sq=8 cq=16
            51 main submit 2 RECV 0x1000
            52 main leak 0x0 Slot slab.rs:8 owner=index
            53 main complete 2 0x0 0
            ",
        );
    }

    #[test]
    fn zero_whose_operation_is_forgotten_is_silent() {
        let mut text = String::from(
            "
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000
            30 main submit 0 NOP 0x0 set
            30 main complete 0 0x0 0
            ",
        );
        for cookie in 0..300 {
            let cookie = 0x2000 + 16 * cookie;
            text +=
                &format!("30 main submit 0 NOP {cookie:#x}\n30 main complete 0 {cookie:#x} 0\n");
        }
        check_rule(&RULE, &format!("{text}40 main complete 0 0x0 0"));
    }
}
