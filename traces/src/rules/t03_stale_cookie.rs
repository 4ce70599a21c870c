//! `stale-cookie`: a cookie travels whose pointer was taken back already.
//!
//! Fires on a submission whose cookie's newest generation ended, and on a completion whose cookie's
//! newest generation ended since its operation went in, or which belongs to no operation.
//! Stays silent at submissions whose cookie nobody set (`leftover-cookie` speaks), at completions whose
//! submission was reported, and for cookies that were never leaked.
//! Only suspects a submission on a ring that copies its entries, and one of a program whose leaks are known from its
//! functions: the address may have been leaked again by a path that nobody sees.
//! Points at the submission, or at the completion.

use wire::record::{CookieState, RingKind};

use super::{Draft, History, Judge, Key, Rule};
use crate::event::{EventId, SiteId};
use crate::finding::{Confidence, RuleId, Severity, Subject};
use crate::model::{Completed, Dead, Moment, Standing, Submitted};

pub(super) static RULE: Rule = Rule {
    id: RuleId(3),
    name: "stale-cookie",
    brief: "a cookie's owner was taken back already",
    severity: Severity::Error,
    fires: "A submission or a completion carries a cookie whose pointer was leaked, taken back, and not \
            leaked again. Whoever turns it back into an owner uses freed memory.",
    silent: "The address was leaked again; the cookie is a declared sentinel; it was never leaked at \
             all; or it is a leftover in its slot, which leftover-cookie reports. All pointers of one \
             kind must go through the probe: an into_raw that it does not see may get the same address \
             again. A submission on a ring that copies its entries is therefore suspected at most.",
    needs: "Leaks and reclaims, submissions or completions.",
    points_at: "The submission that carries the dead cookie, else the completion.",
    example: "An event queue delivered the token of a pipe that had been deregistered; the runtime had \
              begun to use pointers as tokens and so used freed memory.",
    source: "tokio-rs/mio#1760, tokio-rs/tokio#6369 (RUSTSEC-2024-0019)",
    advice: "Find who took the pointer back too early: its biography shows both places. Keep the owner \
             until the last completion was taken.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::Submitted(submitted) => submission(submitted, judge),
        Moment::Completed(completed) => completion(completed, judge),
        _ => {}
    }
}

fn submission(submitted: &Submitted<'_>, judge: &mut Judge<'_>) {
    let Submitted {
        operation,
        own,
        standing: Standing::Dead(dead),
        sentinel: false,
        ..
    } = submitted
    else {
        return;
    };
    if never_set(operation.cookie_state) {
        return;
    }
    // The entry was made somewhere else, so the address may have been leaked again where nobody looked.
    let confidence = match operation.ring_kind {
        _ if judge.is_probed(operation.id.process) => Confidence::Suspected,
        Some(RingKind::Copied) | None => Confidence::Suspected,
        Some(RingKind::InPlace | RingKind::Simulated | RingKind::Foreign) => Confidence::Observed,
    };
    let names = judge.names();
    let (entry, site) = (&operation.entry, SiteId(operation.entry.site));
    let name = names.operation(
        operation.id.ring,
        operation.id.sequence,
        entry.slot,
        entry.opcode,
    );
    let instead = own.map_or(String::new(), |own| {
        format!(
            "; {}, leaked{} just before, had no operation yet",
            judge.generation(own.id),
            judge.at(own.leak_site)
        )
    });
    let message = format!(
        "{name} went in{} with the cookie of {}{instead}",
        judge.at(site),
        gone(dead, judge)
    );
    let mut draft = about(dead, operation.id.subject(), operation.submit, judge)
        .scope(operation.scope)
        .confidence(confidence)
        .message(message)
        .evidence(operation.submit, "submitted with a dead cookie")
        .key(operation.id)
        .shape("submitted")
        .shape(names.file(site));
    if let Some(own) = own {
        draft = draft
            .evidence(own.leaked, "leaked just before, and not submitted")
            .key(own.id)
            .advice(OTHERS);
    }
    judge.say(draft);
}

fn completion(completed: &Completed<'_>, judge: &mut Judge<'_>) {
    let Completed {
        event,
        ring,
        scope,
        operation,
        standing: Standing::Dead(dead),
        ..
    } = completed
    else {
        return;
    };
    let id = dead.generation.id;
    let (subject, name) = match operation {
        Some(operation) => {
            // One that went in with a dead cookie was reported then, unless nobody set it.
            if operation.generation.is_none() && !never_set(operation.cookie_state) {
                return;
            }
            let names = judge.names();
            let (of, entry) = (operation.id, &operation.entry);
            let name = names.operation(of.ring, of.sequence, entry.slot, entry.opcode);
            (of.subject(), format!("the completion of {name}"))
        }
        None => {
            let cookie = id.address;
            let subject = Subject::Cookie {
                process: id.process,
                ring: *ring,
                cookie,
            };
            (
                subject,
                format!("a completion on ring {ring} that belongs to no operation"),
            )
        }
    };
    let message = format!("{name} brought the cookie of {}", gone(dead, judge));
    let ambiguous = operation.is_some_and(|operation| operation.ambiguous);
    let draft = about(dead, subject, *event, judge)
        // Where there is none, it may be what is missing.
        .history(if ambiguous || operation.is_none() {
            History::Whole
        } else {
            history(dead)
        })
        .scope(operation.map_or(*scope, |operation| operation.scope))
        .message(message)
        .evidence(*event, "taken with a dead cookie")
        .keys(operation.map(|operation| Key::from(operation.id)))
        .shape("reaped");
    judge.say(draft);
}

fn about(dead: &Dead, subject: Subject, event: EventId, judge: &Judge<'_>) -> Draft {
    let generation = &dead.generation;
    Draft::new(subject, event, event)
        .history(history(dead))
        .needs_lasting()
        .evidence(generation.leaked, "leaked here")
        .evidence(dead.reclaimed, "reclaimed here")
        .key(generation.id)
        .shape(judge.names().ty(generation.ty))
        .shape(judge.names().file(generation.leak_site))
        .shape(judge.names().file(dead.reclaim_site))
}

/// `Conn#12 0x1000@3, leaked at a.rs:1 and reclaimed at a.rs:9`
fn gone(dead: &Dead, judge: &Judge<'_>) -> String {
    let id = dead.generation.id;
    format!(
        "{}, leaked{} and already reclaimed{}",
        judge.names().generation(id.process, id.address, id.number),
        judge.at(dead.generation.leak_site),
        judge.at(dead.reclaim_site)
    )
}

/// What must be known for a generation to be dead: with several handles, every leak there ever was.
pub(super) fn history(dead: &Dead) -> History {
    if dead.generation.is_sole_owner() {
        History::Since(dead.generation.leaked)
    } else {
        History::Whole
    }
}

fn never_set(state: CookieState) -> bool {
    matches!(
        state,
        CookieState::Leftover | CookieState::Poisoned | CookieState::NeverWritten
    )
}

/// What to try where a pointer was leaked for an operation, and another's cookie went in.
const OTHERS: &str = "Compare the word that was leaked last with the one that was put into the entry: one of another \
                      operation, or of an earlier one, may have gone in. If this word was meant, find who took its \
                      pointer back too early: its biography shows both places.";

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;
    use crate::finding::Confidence;
    use crate::trace::Trace;

    #[test]
    fn what_was_leaked_for_an_operation_that_went_in_with_anothers_cookie() {
        check_rule(
            &RULE,
            "
            0 main ring-create 0 sq=8 cq=16
            5 main leak 0x4000 Op op.rs:5
            5 main leak 0x1000 Op op.rs:8
            6 main enter 0 0 -> 0
            20 main reclaim 0x1000 Op op.rs:9
            30 main leak 0x2000 Op op.rs:10
            31 main leak 0x3000 Op op.rs:11
            40 main submit 0 NOP 0x1000 op.rs:12    <- already reclaimed at op.rs:9; Op#3 0x2000@1, leaked at op.rs:10 just before, had no operation yet
            41 other submit 0 NOP 0x1000 op.rs:13   <- and already reclaimed at op.rs:9
            50 main enter 0 0 -> 0
            # This was its own, and the other one has its turn.
            60 main leak 0x5000 Op op.rs:8
            61 main leak 0x6000 Op op.rs:10
            62 main reclaim 0x5000 Op op.rs:9
            70 main submit 0 NOP 0x5000 op.rs:12    <- [since:10] already reclaimed at op.rs:9
            71 main submit 0 NOP 0x6000 op.rs:12
            ",
        );
    }

    #[test]
    fn wakers_and_what_is_of_another_kind_are_not_blamed() {
        let of = |other: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    0 main ring-create 0 sq=8 cq=16
                    5 main leak 0x1000 Op op.rs:8 owner=Rc
                    6 main enter 0 0 -> 0
                    20 main reclaim 0x1000 Op op.rs:9 owner=Rc
                    30 main leak 0x2000 Waker rt.rs:10 owner=Waker
                    31 main leak 0x3000 Buffer buf.rs:11
                    {other}
                    40 main submit 0 NOP 0x1000 op.rs:12    <- {arrow}
                    "
                ),
            );
        };
        of(
            "",
            "already reclaimed at op.rs:9; Buffer#3 0x3000@1, leaked at buf.rs:11 just before",
        );
        of(
            "32 main leak 0x4000 Op op.rs:13 owner=Rc",
            "already reclaimed at op.rs:9; Op#4 0x4000@1, leaked at op.rs:13 just before",
        );
        let none = "already reclaimed at op.rs:9";
        of("32 main reclaim 0x3000 Buffer buf.rs:12", none);
        let text = "
            0 main ring-create 0 sq=8 cq=16
            5 main leak 0x1000 Op op.rs:8 owner=Rc
            6 main enter 0 0 -> 0
            20 main reclaim 0x1000 Op op.rs:9 owner=Rc
            30 main leak 0x2000 Waker rt.rs:10 owner=Waker
            40 main submit 0 NOP 0x1000 op.rs:12";
        let trace = Trace::parse_text(text).unwrap();
        let message = &trace.verdict().stories[0].head.message;
        assert!(message.ends_with("reclaimed at op.rs:9"), "{message}");
    }

    #[test]
    fn submitted_after_its_reclaim() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main reclaim 0x1000 Conn conn.rs:9
            30 main submit 0 RECV 0x1000 conn.rs:12     <- went in at conn.rs:12 with the cookie of Conn#1 0x1000@1, leaked at conn.rs:8 and already reclaimed at conn.rs:9
            40 main complete 0 0x1000 5
            ",
        );
    }

    #[test]
    fn entries_that_are_copied_may_carry_what_nobody_saw_leaked() {
        for (kind, confidence) in [
            ("copied", Confidence::Suspected),
            ("in-place", Confidence::Observed),
        ] {
            let fixture = format!(
                "
                1 main ring-create 0 sq=4 cq=8 {kind}
                10 main leak 0x1000 Conn conn.rs:8
                20 main reclaim 0x1000 Conn conn.rs:9
                30 main submit 0 RECV 0x1000 conn.rs:12     <- went in at conn.rs:12
                "
            );
            check_rule(&RULE, &fixture);
            let trace = Trace::parse_text(&fixture).unwrap();
            let heads = trace.verdict().stories.iter().map(|story| &story.head);
            let found: Vec<_> = heads.map(|head| head.confidence).collect();
            assert_eq!(found, [confidence], "{kind}");
        }
    }

    #[test]
    fn reclaimed_while_in_flight() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main reclaim 0x1000 Conn conn.rs:9
            40 main complete 0 0x1000 5                 <- the completion of operation #0
            ",
        );
    }

    #[test]
    fn completion_of_nobody() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main reclaim 0x1000 Conn conn.rs:9
            30 main complete 0 0x1000 0                 <- belongs to no operation
            ",
        );
    }

    #[test]
    fn leaked_again_is_alive() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main reclaim 0x1000 Conn conn.rs:9
            30 main leak 0x1000 Conn conn.rs:8
            40 main submit 0 RECV 0x1000 conn.rs:12
            50 main complete 0 0x1000 5
            60 main reclaim 0x1000 Conn conn.rs:9
            ",
        );
    }

    #[test]
    fn a_lost_leak_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main reclaim 0x1000 Conn conn.rs:9
            25 main lost 1 removed
            30 main submit 0 RECV 0x1000 conn.rs:12     <? went in
            ",
        );
    }

    #[test]
    fn a_declaration_that_is_missing_could_explain_it_and_one_that_lasts_does() {
        let of = |lasting: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    {lasting}
                    5 main lost 9 overwritten
                    10 main leak 0x9 Request slab.rs:8 owner=index
                    20 main reclaim 0x9 Request slab.rs:9 owner=index
                    30 main submit 1 ASYNC_CANCEL 0x9 slab.rs:12     {arrow}
                    "
                ),
            );
        };
        let whole = "process 0 lasting=whole";
        of("", "<? went in");
        of(whole, "<- [suspected since:1] went in");
        let in_place = format!("{whole}\nlasting 0 0 ring-create 1 sq=8 cq=16 in-place");
        of(&in_place, "<- [observed since:1] went in");
        of(
            &format!("{in_place}\nlasting 0 0 scheme 1 sentinel 0x9"),
            "",
        );
        of(
            &format!("{in_place}\nlasting 0 0 scheme 2 sentinel 0x9"),
            "<- went in",
        );
    }

    #[test]
    fn a_completion_of_no_operation_may_be_of_one_that_is_missing() {
        check_rule(
            &RULE,
            "
            process 0 lasting=whole
            4 main ring-create 0 sq=8 cq=16
            5 main lost 1 removed
            10 main leak 0x1000 Conn conn.rs:8
            20 main reclaim 0x1000 Conn conn.rs:9
            30 main complete 0 0x1000 0     <? belongs to no operation
            ",
        );
    }

    #[test]
    fn what_was_lost_before_a_sole_owner_leaked_explains_nothing() {
        check_rule(
            &RULE,
            "
            process 0 lasting=whole
            5 main lost 9 overwritten
            10 main leak 0x1000 Conn conn.rs:8
            20 main reclaim 0x1000 Conn conn.rs:9
            30 main submit 0 RECV 0x1000 conn.rs:12     <- went in
            ",
        );
        check_rule(
            &RULE,
            "
            5 main lost 9 overwritten
            10 main leak 0x1000 Conn conn.rs:8 owner=Rc
            20 main reclaim 0x1000 Conn conn.rs:9 owner=Rc
            30 main submit 0 RECV 0x1000 conn.rs:12     <? went in
            ",
        );
    }

    #[test]
    fn what_must_be_known_depends_on_who_may_hold_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            11 main submit 0 RECV 0x1000 op.rs:9
            12 main reclaim 0x1000 Op op.rs:10
            13 main complete 0 0x1000 5             <- [observed since:0] brought the cookie of Op#1
            20 main leak 0x2000 Op op.rs:8 owner=Rc
            21 main submit 0 RECV 0x2000 op.rs:9
            22 main reclaim 0x2000 Op op.rs:10 owner=Rc
            23 main complete 0 0x2000 5             <- [observed whole] brought the cookie of Op#2
            # Of two with one cookie it may be either's.
            30 main leak 0x3000 Op op.rs:8
            31 main submit 0 RECV 0x3000 op.rs:9
            32 main submit 0 RECV 0x3000 op.rs:9
            33 main reclaim 0x3000 Op op.rs:10
            34 main complete 0 0x3000 5             <- [whole] brought the cookie of Op#3
            ",
        );
    }

    #[test]
    fn a_sentinel_is_nobodys_dead_pointer() {
        check_rule(
            &RULE,
            "
            1 main scheme 0 sentinel 0x1000
            10 main leak 0x1000 Op op.rs:8
            11 main reclaim 0x1000 Op op.rs:10
            12 main submit 0 NOP 0x1000
            ",
        );
    }
}
