//! `ambiguous-cancel`: a cancellation, removal or update names a cookie that is not one operation's.
//!
//! Fires where several operations in flight carry the cookie that is named, and where the one in flight
//! went in under another life of the address than the one that is there now; and where nothing was hit, and
//! what is named is in flight on another ring. Suspects one that hit nothing, with something there to be hit, by a word that
//! no operation ever carried, on a ring whose cookies are pointers.
//! Stays silent for cancellations that mean all of them, or that name a descriptor or an opcode; for
//! kinds that the request cannot hit; and for operations that may have ended in silence.
//! Points at the request.

use super::{Draft, History, Judge, Key, Rule};
use crate::event::{EventId, SiteId};
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Cancels, Moment, Operation, Standing, TARGETS_MAX};

pub(super) static RULE: Rule = Rule {
    id: RuleId(15),
    name: "ambiguous-cancel",
    brief: "a cancellation names a cookie that several operations carry, or another life of it",
    severity: Severity::Warning,
    fires: "A cancellation, a removal or an update names its target by a cookie that several operations \
            in flight carry, and the kernel takes any of them; or the one that carries it belongs to an \
            earlier life of the address, and somebody else's operation is hit. Or it finds nothing, and the \
            operation that it names is in flight on another ring: cancellations reach their own ring only. Or \
            no operation ever carried what it names, on a ring of pointers, though some were there that it could have hit.",
    silent: "What it names has ended, went in later, or was leaked. It asks for all that match, names a descriptor or an opcode, or only one of the operations \
             is of the kind that it can hit. What happened to operations that nobody named is not judged: \
             links, closed descriptors and ending threads cancel too.",
    needs: "Submissions with their addresses, and completions.",
    points_at: "The request that names the cookie.",
    example: "Timeouts with the same user_data were in flight; a removal by it hit one of them at random.",
    source: "axboe/liburing#1120, axboe/liburing#734",
    advice: "Give each operation that may be cancelled a cookie of its own, or ask for all that match.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    if let Moment::Missed {
        event,
        operation,
        elsewhere,
    } = moment
    {
        other_ring(*event, (operation, elsewhere), judge);
    }
    if let Moment::Misnamed {
        event,
        operation,
        until,
    } = moment
    {
        nobodys((*event, *until), operation, judge);
    }
    let Moment::Cancels(cancels) = moment else {
        return;
    };
    let Cancels {
        operation,
        targets,
        all: false,
        standing,
        ..
    } = cancels
    else {
        return;
    };
    let Some(first) = targets.first() else { return };
    let names = judge.names();
    let named = match standing {
        Standing::Live(live) => judge.generation(live.id),
        Standing::Dead(_) | Standing::Unknown => format!("{:#x}", cancels.names),
    };
    let (shape, message) = if targets.len() > 1 {
        let at_least = if targets.len() < TARGETS_MAX {
            ""
        } else {
            "at least "
        };
        let message = format!(
            "{} names {named}, which {at_least}{} operations in flight carry: {} is only one of them",
            judge.operation(operation),
            targets.len(),
            judge.operation(first)
        );
        ("several", message)
    } else if let Some(bound) = another_life(*standing, first) {
        let message = format!(
            "{} names {named}, but {}, which it will hit, went in under {bound}",
            judge.operation(operation),
            judge.operation(first),
            bound = judge.generation(bound),
        );
        ("another life", message)
    } else {
        return;
    };
    let unsure = targets.iter().any(|target| target.ambiguous);
    let draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .confidence(if unsure {
            Confidence::Suspected
        } else {
            Confidence::Observed
        })
        // Whose completion came may have been told wrong because of what was lost before.
        .history(if unsure {
            History::Whole
        } else {
            History::Since(first.submit)
        })
        .message(message)
        .evidence(operation.submit, "names a cookie")
        .keys(targets.iter().map(|target| Key::from(target.id)))
        .keys(first.generation.map(Key::from))
        .key(operation.id)
        .shape(shape)
        .shape(crate::names::opcode(operation.entry.opcode))
        .shape(names.file(SiteId(operation.entry.site)));
    let draft = targets.iter().take(4).fold(draft, |draft, target| {
        draft.evidence(target.submit, "in flight with that cookie")
    });
    judge.say(draft);
}

/// It was asked for on one ring, and is in flight on another.
fn other_ring(
    event: EventId,
    (operation, elsewhere): (&Operation, &Operation),
    judge: &mut Judge<'_>,
) {
    let names = judge.names();
    let message = format!(
        "{} found nothing to hit (ENOENT): {}, whose cookie {:#x} it names, is in flight on ring {}, and it \
         went to ring {}",
        judge.operation(operation),
        judge.operation(elsewhere),
        operation.entry.addr,
        elsewhere.id.ring,
        operation.id.ring,
    );
    let draft = Draft::new(operation.id.subject(), operation.submit, event)
        .scope(operation.scope)
        // One of that name may have been here, or that one ended there.
        .history(History::Whole)
        .message(message)
        .evidence(elsewhere.submit, "in flight on another ring since here")
        .evidence(operation.submit, "names its cookie here")
        .evidence(event, "found nothing")
        .key(operation.id)
        .key(elsewhere.id)
        .keys(elsewhere.generation.map(Key::from))
        .shape("other ring")
        .shape(crate::names::opcode(operation.entry.opcode))
        .shape(names.file(SiteId(operation.entry.site)));
    judge.say(draft);
}

/// Nobody ever carried what it names.
fn nobodys((event, until): (EventId, EventId), operation: &Operation, judge: &mut Judge<'_>) {
    let names = judge.names();
    let message = format!(
        "{} names {:#x} and found nothing to hit (ENOENT): no operation ever carried that, before it or behind",
        judge.operation(operation),
        operation.entry.addr,
    );
    let draft = Draft::new(operation.id.subject(), operation.submit, until)
        .scope(operation.scope)
        // What it was to end may never have gone in, and then all is well.
        .confidence(Confidence::Suspected)
        .history(History::Whole)
        .message(message)
        .evidence(operation.submit, "names what nobody carries")
        .evidence(event, "found nothing")
        .key(operation.id)
        .shape("nobody's")
        .shape(crate::names::opcode(operation.entry.opcode))
        .shape(names.file(SiteId(operation.entry.site)));
    judge.say(draft);
}

/// The life that a target went in under, where that is not the one that its cookie names now.
fn another_life(standing: Standing<'_>, target: &Operation) -> Option<crate::model::GenerationId> {
    let Standing::Live(live) = standing else {
        return None;
    };
    target.generation.filter(|bound| *bound != live.id)
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn one_of_several() {
        check_rule(
            &RULE,
            "
            10 main submit 0 TIMEOUT 0x7 time.rs:8
            20 main submit 0 TIMEOUT 0x7 time.rs:9
            30 main submit 0 TIMEOUT_REMOVE 0x8 time.rs:20 addr=0x7    <- [warning observed since:0] operation #2 (ring 0, slot 2, TIMEOUT_REMOVE) at time.rs:20 names 0x7, which 2 operations in flight carry: operation #0 (ring 0, slot 0, TIMEOUT) at time.rs:8 is only one of them
            ",
        );
    }

    #[test]
    fn somebody_elses() {
        check_rule(
            &RULE,
            "
            10 main leak 0x3 Slot slab.rs:8 owner=index
            20 main submit 0 RECV 0x3 conn.rs:12
            30 main reclaim 0x3 Slot slab.rs:20 owner=index
            40 main leak 0x3 Slot slab.rs:8 owner=index
            50 main submit 0 ASYNC_CANCEL 0x8 conn.rs:30 addr=0x3      <- names Slot#1 0x3@2, but operation #0 (ring 0, slot 0, RECV) at conn.rs:12, which it will hit, went in under Slot#1 0x3@1
            ",
        );
    }

    #[test]
    fn a_request_on_the_wrong_ring() {
        let of = |more: &str, res: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main ring-create 1 sq=8 cq=16
                    2 main ring-create 2 sq=8 cq=16
                    10 main leak 0x1000 Op op.rs:8
                    20 main submit 1 TIMEOUT 0x1000 time.rs:9
                    {more}
                    30 main submit 2 ASYNC_CANCEL 0x7 time.rs:20 addr=0x1000    {arrow}
                    31 main complete 2 0x7 {res}
                    40 main complete 1 0x1000 -62
                    41 main reclaim 0x1000 Op op.rs:9
                    "
                ),
            );
        };
        of(
            "",
            "-2",
            "<- [warning observed whole] operation #0 (ring 2, slot 0, ASYNC_CANCEL) at time.rs:20 found nothing to hit (ENOENT): operation #0 (ring 1, slot 0, TIMEOUT) at time.rs:9, whose cookie 0x1000 it names, is in flight on ring 1, and it went to ring 2",
        );
        of("", "0", "");
        // It ended on this ring just before.
        let here = "21 main leak 0x1000 Op op.rs:8 owner=Rc\n22 main submit 2 NOP 0x1000\n23 main complete 2 0x1000 0";
        of(here, "-2", "");
        // One that was renamed, or never leaked, is anybody's.
        of("25 main complete 1 0x1000 -62", "-2", "");
    }

    #[test]
    fn a_word_that_nobody_ever_carries() {
        let of = |before: &str, request: &str, behind: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main ring-create 1 sq=8 cq=16
                    1 main leak 0x2000 Op op.rs:8
                    {before}
                    20 main submit 1 TIMEOUT 0x2000 time.rs:9
                    30 main submit 1 {request}    {arrow}
                    31 main enter 1 2 -> 2
                    32 main complete 1 0x7 -2
                    {behind}
                    40 main complete 1 0x2000 -62
                    "
                ),
            );
        };
        let told = "<- [warning suspected whole] operation #1 (ring 1, slot 1, ASYNC_CANCEL) at time.rs:20 names 0x1000 and \
                    found nothing to hit (ENOENT): no operation ever carried that";
        let cancel = "ASYNC_CANCEL 0x7 time.rs:20 addr=0x1000";
        of("", cancel, "", told);
        of(
            "",
            "TIMEOUT_REMOVE 0x7 time.rs:20 addr=0x1000",
            "",
            "<- names 0x1000 and found",
        );
        of(
            "",
            "TIMEOUT_REMOVE 0x7 time.rs:20 addr=0x1000 op-flags=2",
            "",
            "<- names 0x1000 and found",
        );
        of(
            "",
            &format!("{cancel} skip-success"),
            "",
            "<- names 0x1000 and found",
        );
        of(
            "2 main lost 1 removed",
            cancel,
            "",
            "<? names 0x1000 and found",
        );
        // There is no poll that it could have meant; and what names no word, or no operation.
        of("", "POLL_REMOVE 0x7 time.rs:20 addr=0x1000", "", "");
        for flags in ["0x2 fd=5", "0x4", "0x20 len=11"] {
            of("", &format!("{cancel} op-flags={flags}"), "", "");
        }
        of(
            "",
            &format!("{cancel} op-flags=0x30 len=11"),
            "",
            "<- names 0x1000 and found",
        );
        // Leaked, and never sent; declared; complete by then, here or on another ring; renamed; and sent later.
        let on_other = "2 main ring-create 2 sq=8 cq=16\n3 main submit 2 NOP 0x1000\n4 main complete 2 0x1000 0";
        let renamed = "2 main submit 1 POLL_ADD 0x1000\n3 main submit 1 POLL_REMOVE 0x8 addr=0x1000 len=4 off=0x1008\n\
                       4 main complete 1 0x8 0\n5 main complete 1 0x1008 1";
        for before in [
            "2 main leak 0x1000 Op op.rs:8",
            "2 main scheme 1 sentinel 0x1000",
            "2 main submit 1 NOP 0x1000\n3 main complete 1 0x1000 0",
            "2 main submit 1 CLOSE 0x1000 skip-success",
            on_other,
            renamed,
        ] {
            of(before, cancel, "", "");
        }
        of("", cancel, "33 main submit 1 RECV 0x1000", "");
        of("", cancel, "33 main submit 1 RECV 0x1010", told);
        // Numbers stand for what their program likes.
        of("2 main scheme 1 index", cancel, "", "");
    }

    /// However many there are, by their kind: each says that it means no word.
    #[test]
    fn a_request_for_a_kind_names_no_word() {
        let of = |flags: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    10 main submit 0 TIMEOUT 0x7 time.rs:8
                    20 main submit 0 TIMEOUT 0x7 time.rs:9
                    30 main submit 0 ASYNC_CANCEL 0x8 addr=0x7 len=11 op-flags={flags}    {arrow}
                    "
                ),
            );
        };
        of("0x20", "");
        of("0x30", "<- names 0x7, which 2 operations in flight carry");
        of("0x0", "<- names 0x7, which 2 operations in flight carry");
    }

    #[test]
    fn clear_requests_are_silent() {
        check_rule(
            &RULE,
            "
            10 main submit 0 TIMEOUT 0x7 time.rs:8
            11 main submit 0 RECV 0x7 conn.rs:9
            12 main submit 0 RECV 0x9 conn.rs:9
            # Only one is a timeout; by opcode; by descriptor; all; one.
            20 main submit 0 TIMEOUT_REMOVE 0x8 addr=0x7
            21 main submit 0 ASYNC_CANCEL 0x8 addr=0x7 op-flags=0x20 len=27
            22 main submit 0 ASYNC_CANCEL 0x8 addr=0x7 op-flags=0x2 fd=5
            23 main submit 0 ASYNC_CANCEL 0x8 addr=0x7 op-flags=0x1
            24 main submit 0 ASYNC_CANCEL 0x8 addr=0x9
            # One after the other.
            30 main complete 0 0x7 -62
            31 main complete 0 0x7 5
            40 main submit 0 TIMEOUT 0x7 time.rs:8
            50 main submit 0 TIMEOUT_REMOVE 0x8 addr=0x7
            ",
        );
    }

    #[test]
    fn a_lost_completion_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main submit 0 TIMEOUT 0x7 time.rs:8
            15 main lost 1 removed
            20 main submit 0 TIMEOUT 0x7 time.rs:9
            30 main submit 0 TIMEOUT_REMOVE 0x8 time.rs:20 addr=0x7    <? names 0x7
            ",
        );
    }

    #[test]
    fn a_completion_that_was_lost_before_could_have_ended_either() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            10 main submit 0 NOP 0x7 a.rs:1
            # The completion of that one; the next is taken for it.
            11 main lost 1 removed
            20 main submit 0 NOP 0x7 a.rs:2
            21 main complete 0 0x7 0
            30 main submit 0 NOP 0x7 a.rs:3
            31 main submit 0 ASYNC_CANCEL 0x8 a.rs:4 addr=0x7    <? names 0x7
            ",
        );
    }

    #[test]
    fn whose_completion_came_before_is_not_sure() {
        check_rule(
            &RULE,
            "
            10 main submit 0 RECV 0x7 conn.rs:8
            11 main submit 0 RECV 0x7 conn.rs:8
            12 main submit 0 RECV 0x7 conn.rs:8
            13 main complete 0 0x7 5
            20 main submit 0 ASYNC_CANCEL 0x8 conn.rs:20 addr=0x7    <- [suspected whole] which 2 operations in flight carry
            ",
        );
    }

    #[test]
    fn of_more_than_are_looked_at_it_is_said_that_they_are_more() {
        let many = "10 main submit 0 RECV 0x7 conn.rs:8\n".repeat(100);
        check_rule(
            &RULE,
            &format!(
                "{many}20 main submit 0 ASYNC_CANCEL 0x8 addr=0x7    <- names 0x7, which at least 64 operations in flight carry"
            ),
        );
    }
}
