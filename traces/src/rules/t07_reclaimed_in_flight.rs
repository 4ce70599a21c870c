//! `reclaimed-in-flight`: a pointer is taken back while operations that carry it owe completions.
//!
//! Fires on the reclaim that leaves a generation with fewer leases than operations in flight.
//! Stays silent while leases are left for what is in flight, and for operations that post nothing on
//! success.
//! Points at the reclaim.

use super::{Draft, History, Judge, Key, Rule};
use crate::event::SiteId;
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::Moment;

pub(super) static RULE: Rule = Rule {
    id: RuleId(7),
    name: "reclaimed-in-flight",
    severity: Severity::Error,
    fires: "A pointer is taken back while an operation that carries it still owes completions: before \
            its completion, after one with F_MORE, before the notification of a zero-copy send, or when \
            its ring was dropped. The completion to come will name freed memory.",
    silent: "Other leases remain for what is in flight (an Rc leaked once for each operation), or the \
             operation was asked to post nothing when it succeeds.",
    needs: "Leaks, reclaims, submissions and completions.",
    points_at: "The reclaim that came too early.",
    example: "The keys of operations in flight were freed before the ring was closed; the kernel's later \
              completions and writes went to freed memory (malloc_consolidate: unaligned fastbin chunk).",
    source: "compio-rs/compio#942, compio-rs/compio#943",
    advice: "Cancelling is not enough: the cancelled operation completes too. Keep the owner until the \
             last completion was taken, also when its future is dropped.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Reclaimed {
        event,
        site,
        generation,
        owing,
        brought_by,
    } = moment
    else {
        return;
    };
    let Some(first) = owing.first() else { return };
    let names = judge.names();
    let id = generation.id;
    let operation = names.operation(
        first.id.ring,
        first.id.sequence,
        first.entry.slot,
        first.entry.opcode,
    );
    let owes = match (first.completions, owing.len()) {
        (0, 1) => "owes its completion",
        (0, _) => "and others owe their completions",
        _ => "owes further completions",
    };
    let message = format!(
        "{} was reclaimed{} while {operation}{} still {owes}",
        names.generation(id.process, id.address, id.number),
        judge.at(*site),
        judge.at(SiteId(first.entry.site)),
    );
    let suspected = owing.iter().any(|operation| operation.ambiguous);
    let draft = Draft::new(id.subject(), *event, *event)
        .scope(generation.scope)
        .confidence(if suspected {
            Confidence::Suspected
        } else {
            Confidence::Observed
        })
        // An operation whose completion was lost may have taken this one's since then.
        .history(if generation.is_sole_owner() && !suspected {
            History::Since(generation.leaked)
        } else {
            History::Whole
        })
        .message(message)
        .evidence(generation.leaked, "leaked here")
        .evidence(first.submit, "in flight since here")
        .evidence(*event, "reclaimed here")
        .key(id)
        .keys(owing.iter().map(|operation| Key::from(operation.id)))
        .keys(brought_by.map(Key::from))
        .shape(names.ty(generation.ty))
        .shape(names.file(generation.leak_site))
        .shape(names.file(*site));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn reclaimed_before_its_completion() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:12
            30 main reclaim 0x1000 Op op.rs:40     <- Op#1 0x1000@1 was reclaimed at op.rs:40 while operation #0 (ring 0, slot 0, RECV) at op.rs:12 still owes its completion
            40 main complete 0 0x1000 -125
            ",
        );
    }

    #[test]
    fn reclaimed_after_more_or_before_the_notification() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 ACCEPT 0x1000 op.rs:12 ioprio=1
            30 main complete 0 0x1000 7 more
            40 main reclaim 0x1000 Op op.rs:40     <- owes further completions
            50 main leak 0x2000 Op op.rs:8
            60 main submit 0 SEND_ZC 0x2000 op.rs:12 len=9
            70 main complete 0 0x2000 9 more
            80 main reclaim 0x2000 Op op.rs:40     <- owes further completions
            ",
        );
    }

    #[test]
    fn whole_round_trips_are_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 ACCEPT 0x1000 op.rs:12 ioprio=1
            30 main complete 0 0x1000 7 more
            35 main complete 0 0x1000 -125
            40 main reclaim 0x1000 Op op.rs:40
            50 main leak 0x2000 Op op.rs:8
            60 main submit 0 SEND_ZC 0x2000 op.rs:12 len=9
            70 main complete 0 0x2000 9 more
            75 main complete 0 0x2000 0 notif
            80 main reclaim 0x2000 Op op.rs:40
            90 main leak 0x3000 Op op.rs:8
            91 main submit 0 SEND_ZC 0x3000 op.rs:12 len=9
            92 main complete 0 0x3000 -22
            93 main reclaim 0x3000 Op op.rs:40
            ",
        );
    }

    #[test]
    fn leases_for_what_is_in_flight_are_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn op.rs:8 owner=Rc
            11 main leak 0x1000 Conn op.rs:8 owner=Rc
            20 main submit 0 RECV 0x1000 op.rs:12 len=9
            21 main submit 0 SEND 0x1000 op.rs:13 len=9
            30 main complete 0 0x1000 5
            40 main reclaim 0x1000 Conn op.rs:40 owner=Rc
            50 main complete 0 0x1000 9
            60 main reclaim 0x1000 Conn op.rs:40 owner=Rc
            ",
        );
    }

    #[test]
    fn an_operation_that_posts_nothing_owes_nothing() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 CLOSE 0x1000 op.rs:12 skip-success
            30 main reclaim 0x1000 Op op.rs:40
            ",
        );
    }

    #[test]
    fn a_lost_completion_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:12
            25 main lost 1 removed
            30 main reclaim 0x1000 Op op.rs:40     <? was reclaimed
            ",
        );
    }
}
