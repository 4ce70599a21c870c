//! `sentinel-clash`: a cookie that stands for something is one that stands for nothing.
//!
//! Fires on a submission whose cookie is a leaked pointer or index and a declared sentinel at once; and
//! on an operation in flight whose cookie is an address in a stack frame that has returned (suspected):
//! the next frame may have the same address.
//! Stays silent for sentinels that were declared for other rings.
//! Points at the submission.

use super::{Draft, History, Judge, Rule};
use crate::event::SiteId;
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Gone, MemoryGone, Moment, Part, Standing, Submitted};

pub(super) static RULE: Rule = Rule {
    id: RuleId(23),
    name: "sentinel-clash",
    brief: "a cookie that stands for something equals one that stands for nothing",
    severity: Severity::Error,
    fires: "A leaked pointer or index equals a word that was declared to stand for nothing, so that its \
            completion is ignored; or a cookie is an address on the stack whose frame has returned while \
            the operation is in flight, so that a later frame's cookie may be the same.",
    silent: "The sentinel was declared for another ring, or what was leaked at that word is gone.",
    needs: "Schemes with their sentinels and leaks; stack pointers for frames.",
    points_at: "The submission that carries the word.",
    example: "The first request got index 0, which also meant \"a cancellation, ignore it\": its \
              completion was dropped.",
    source: "DataDog/glommio commit 8137900, chriskohlhoff/asio commit ee8463987",
    advice: "Start indices at 1, or tag them; keep cookies on the stack out of operations that may \
             outlive the frame.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::Submitted(submitted) => sentinel(submitted, judge),
        Moment::MemoryGone(gone)
            if gone.piece.part == Part::Cookie && gone.how == Gone::Returned =>
        {
            frame(gone, judge);
        }
        _ => {}
    }
}

fn sentinel(submitted: &Submitted<'_>, judge: &mut Judge<'_>) {
    let Submitted {
        operation,
        standing: Standing::Live(generation),
        sentinel: true,
        ..
    } = submitted
    else {
        return;
    };
    // It has no block of its own, and a word that others have too.
    if generation.nowhere {
        return;
    }
    let names = judge.names();
    let message = format!(
        "{} carries {}, leaked{}, and {:#x} is declared to stand for nothing",
        judge.operation(operation),
        judge.generation(generation.id),
        judge.at(generation.leak_site),
        operation.entry.cookie
    );
    let draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        // The reclaim of what is leaked there may be lost.
        .history(History::Since(generation.leaked))
        .message(message)
        .evidence(generation.leaked, "leaked here")
        .evidence(operation.submit, "submitted here")
        .key(operation.id)
        .key(generation.id)
        .shape("sentinel")
        .shape(names.ty(generation.ty))
        .shape(names.file(generation.leak_site));
    judge.say(draft);
}

fn frame(gone: &MemoryGone<'_>, judge: &mut Judge<'_>) {
    let MemoryGone {
        event,
        how: Gone::Returned,
        operation,
        piece,
        ..
    } = gone
    else {
        return;
    };
    let message = format!(
        "{} carries {:#x}, which lies in a stack frame that has returned while it is in flight: a later \
         frame may have the same address",
        judge.operation(operation),
        piece.start
    );
    let draft = Draft::new(operation.id.subject(), operation.submit, *event)
        .scope(operation.scope)
        .confidence(Confidence::Suspected)
        .history(History::Since(operation.submit))
        .message(message)
        .evidence(operation.submit, "submitted here")
        .evidence(*event, "the frame has returned by here")
        .key(operation.id)
        .shape("frame")
        .shape(crate::names::opcode(operation.entry.opcode))
        .shape(judge.names().file(SiteId(operation.entry.site)));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn the_first_index_is_the_sentinel() {
        check_rule(
            &RULE,
            "
            1 main scheme all index
            2 main scheme all sentinel 0
            10 main leak 0x0 Request slab.rs:8 owner=index
            20 main submit 0 READ 0x0 read.rs:9 set len=9   <- operation #0 (ring 0, slot 0, READ) at read.rs:9 carries Request#1 0x0@1, leaked at slab.rs:8, and 0x0 is declared to stand for nothing
            ",
        );
    }

    #[test]
    fn a_cookie_in_a_frame_that_has_returned() {
        check_rule(
            &RULE,
            "
            20 main submit 0 TIMEOUT 0x7ffd1000 run.rs:9 len=1     <- [suspected since:0] carries 0x7ffd1000, which lies in a stack frame that has returned
            30 main stack-pointer 0x7ffd2000 0x7ff00000
            ",
        );
    }

    #[test]
    fn words_that_stand_for_one_thing_are_silent() {
        check_rule(
            &RULE,
            "
            1 main scheme all index
            2 main scheme 1 sentinel 0
            3 main scheme 0 sentinel 9
            10 main leak 0x0 Request slab.rs:8 owner=index
            20 main submit 0 READ 0x0 read.rs:9 len=9
            30 main submit 0 ASYNC_CANCEL 0x9
            40 main leak 0x9 Request slab.rs:8 owner=index
            41 main reclaim 0x9 Request slab.rs:9 owner=index
            50 main submit 0 ASYNC_CANCEL 0x9
            # A frame that is still there; one whose operation is complete.
            60 main submit 0 TIMEOUT 0x7ffd1000 run.rs:9 len=1
            61 main stack-pointer 0x7ffd0800 0x7ff00000
            62 main complete 0 0x7ffd1000 -62
            63 main stack-pointer 0x7ffd2000 0x7ff00000
            ",
        );
    }

    #[test]
    fn a_lost_reclaim_could_explain_it() {
        check_rule(
            &RULE,
            "
            2 main scheme all sentinel 0
            10 main leak 0x0 Request slab.rs:8 owner=index
            15 main lost 1 removed
            20 main submit 0 READ 0x0 read.rs:9 set len=9   <? is declared to stand for nothing
            ",
        );
    }

    #[test]
    fn a_box_of_nothing_may_lie_where_nobody_is() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main scheme 0 sentinel 0x1
            10 main leak 0x1 () size=0 align=1 a.rs:8
            11 main submit 0 NOP 0x1
            12 main reclaim 0x1 () size=0 align=1 a.rs:9
            13 main complete 0 0x1 0
            ",
        );
    }
}
