//! `wrong-owner`: somebody else's completion is taken, or somebody else's count is touched.
//!
//! Fires on a completion that one declared subsystem takes of another's operation; on one that arrives on
//! another ring than its operation; and on a handle of a count that is not atomic (`Rc`, `rc::Weak`) that
//! another thread leaks, retains, releases or reclaims than the one that leaked it first.
//! Stays silent for the last handle that is out, unless several threads counted before: the whole owner may
//! have moved, and its world with it. Stays silent for loops that take completions for all (no label), for messages between rings, and for
//! completions taken by another thread than the submitter: rings are often shared that way.
//! Points at the completion, or at the handle on the other thread.

use wire::record::Owner;

use super::{Draft, History, Judge, Key, Rule};
use crate::event::SiteId;
use crate::finding::{Confidence, RuleId, Severity, Subject};
use crate::model::{Completed, Handled, Moment, Stray};

pub(super) static RULE: Rule = Rule {
    id: RuleId(13),
    name: "wrong-owner",
    brief: "one subsystem takes another's completion; a count that is not atomic is touched by two threads",
    severity: Severity::Error,
    fires: "A subsystem takes the completion of another subsystem's operation from a ring that both use; \
            a completion arrives on another ring than its operation; or an Rc is leaked, counted or taken \
            back on another thread than the one that leaked it first: its count is not atomic.",
    silent: "The thread that takes completions declared no subsystem: it takes them for all. Completions \
             taken by another thread are ordinary. An Rc whose only handle comes back on another \
             thread may have moved there as a whole.",
    needs: "Labels of subsystems (owner), or leaks and reclaims with their threads.",
    points_at: "The completion, or the handle on the other thread.",
    example: "Aborting one set of reads took the completions of another set from the ring that they \
              shared, and dropped them: the program hung.",
    source: "facebook/rocksdb#13205, facebook/rocksdb#14158",
    advice: "Dispatch by cookie, not by who happens to poll; or give each subsystem a ring. Counts that \
             cross threads need an Arc.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::Completed(completed) => subsystem(completed, judge),
        Moment::Stray(stray) => other_ring(stray, judge),
        Moment::Handled(handled) => thread(handled, judge),
        _ => {}
    }
}

fn subsystem(completed: &Completed<'_>, judge: &mut Judge<'_>) {
    let Completed {
        event,
        operation: Some(operation),
        label,
        ..
    } = completed
    else {
        return;
    };
    if *label == operation.label || operation.ambiguous {
        return;
    }
    let names = judge.names();
    let (owner, taker) = (names.text(operation.label), names.text(*label));
    if owner.is_empty() || taker.is_empty() {
        return;
    }
    let draft = Draft::new(operation.id.subject(), *event, *event)
        .scope(operation.scope)
        .message(format!(
            "the completion of {}, which {owner} submitted, was taken by {taker}",
            judge.operation(operation)
        ))
        .evidence(operation.submit, "submitted for one subsystem")
        .evidence(*event, "taken by another")
        .key(operation.id)
        .keys(operation.generation.map(Key::from))
        .shape("subsystem")
        .shape(owner)
        .shape(taker);
    judge.say(draft);
}

fn other_ring(stray: &Stray<'_>, judge: &mut Judge<'_>) {
    let Stray {
        event,
        place: (process, ring, scope),
        cookie,
        past: None,
        elsewhere: Some(operation),
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
        .confidence(Confidence::Suspected)
        .message(format!(
            "a completion on ring {ring} brought the cookie of {}, which is in flight on another ring",
            judge.operation(operation)
        ))
        .evidence(operation.submit, "in flight since here")
        .evidence(*event, "taken from another ring")
        .key(operation.id)
        .shape("ring")
        .shape(judge.names().file(SiteId(operation.entry.site)));
    judge.say(draft);
}

/// Whether a handle is of a count that must not leave its thread, on another one.
#[inline(always)]
pub(super) fn concerns(handled: &Handled<'_>) -> bool {
    let Handled {
        pointer,
        generation,
        thread,
        ..
    } = handled;
    let stays = |owner| matches!(owner, Owner::Rc | Owner::RcWeak);
    stays(pointer.owner) && stays(generation.owner) && *thread != generation.thread
}

fn thread(handled: &Handled<'_>, judge: &mut Judge<'_>) {
    if !concerns(handled) {
        return;
    }
    let Handled {
        event,
        pointer,
        generation,
        back,
        brought_by,
        ..
    } = handled;
    // Weak handles of nothing have one address and no count.
    if generation.nowhere {
        return;
    }
    // The last handle that was out: it may have moved with its owner, and with all that the owner is of.
    if *back && generation.leases == 0 && !generation.flight().crossed {
        return;
    }
    let names = judge.names();
    let did = if *back {
        "taken back"
    } else {
        "given away again"
    };
    let message = format!(
        "{}, an {} leaked{}, was {did}{} on another thread, and its count is not atomic",
        judge.generation(generation.id),
        generation.owner.name(),
        judge.at(generation.leak_site),
        judge.at(pointer.site)
    );
    let draft = Draft::new(generation.id.subject(), *event, *event)
        .scope(generation.scope)
        // A lost record may have said that the lane belongs to the other thread.
        .history(History::Whole)
        .message(message)
        .evidence(generation.leaked, "leaked on one thread")
        .evidence(*event, "counted on another")
        .key(generation.id)
        .keys(brought_by.map(Key::from))
        .shape("thread")
        .shape(names.ty(generation.ty))
        .shape(names.file(pointer.site));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn one_subsystem_takes_what_another_asked_for() {
        check_rule(
            &RULE,
            "
            1 main owner 0 name=async-read
            10 main submit 0 READ 0x1000 read.rs:9 len=9
            20 main owner 0 name=multi-read
            30 main complete 0 0x1000 9    <- the completion of operation #0 (ring 0, slot 0, READ) at read.rs:9, which async-read submitted, was taken by multi-read
            ",
        );
    }

    #[test]
    fn a_loop_for_all_is_silent() {
        check_rule(
            &RULE,
            "
            1 main owner 0 name=async-read
            10 main submit 0 READ 0x1000 read.rs:9 len=9
            11 main submit 0 READ 0x2000 read.rs:9 len=9
            12 main complete 0 0x1000 9
            20 main owner 0
            30 main complete 0 0x2000 9
            40 loop submit 0 READ 0x1000 read.rs:9 len=9
            41 main complete 0 0x1000 9
            ",
        );
    }

    #[test]
    fn a_completion_on_the_wrong_ring() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main ring-create 1 sq=8 cq=16
            10 main submit 0 READ 0x1000 read.rs:9 len=9
            30 main complete 1 0x1000 9    <- which is in flight on another ring
            ",
        );
    }

    #[test]
    fn a_count_that_is_not_atomic_on_two_threads() {
        check_rule(
            &RULE,
            "
            10 a leak 0x1000 Conn conn.rs:8 owner=Rc
            11 b leak 0x1000 Conn conn.rs:9 owner=Rc      <- [observed whole] Conn#1 0x1000@1, an Rc leaked at conn.rs:8, was given away again at conn.rs:9 on another thread, and its count is not atomic
            20 b reclaim 0x1000 Conn conn.rs:20 owner=Rc  <- was taken back at conn.rs:20 on another thread
            21 a reclaim 0x1000 Conn conn.rs:20 owner=Rc
            ",
        );
    }

    #[test]
    fn atomic_counts_and_sole_owners_may_travel() {
        check_rule(
            &RULE,
            "
            10 a leak 0x1000 Conn conn.rs:8 owner=Arc
            11 b leak 0x1000 Conn conn.rs:9 owner=Arc
            20 b reclaim 0x1000 Conn conn.rs:20 owner=Arc
            30 a leak 0x2000 Conn conn.rs:8
            31 b reclaim 0x2000 Conn conn.rs:8
            40 a leak 0x3000 Conn conn.rs:8 owner=Rc
            41 a reclaim 0x3000 Conn conn.rs:8 owner=Rc
            ",
        );
    }

    #[test]
    fn lanes_of_one_thread_are_one() {
        check_rule(
            &RULE,
            "
            lane a tid=7
            lane b tid=7
            10 a leak 0x1000 Conn conn.rs:8 owner=Rc
            20 b reclaim 0x1000 Conn conn.rs:20 owner=Rc
            ",
        );
    }

    #[test]
    fn lost_records_may_have_said_who_it_was() {
        check_rule(
            &RULE,
            "
            10 a leak 0x1000 Conn conn.rs:8 owner=Rc
            11 a leak 0x1000 Conn conn.rs:8 owner=Rc
            15 b lost 1 removed
            20 b reclaim 0x1000 Conn conn.rs:20 owner=Rc   <? on another thread
            ",
        );
        check_rule(
            &RULE,
            "
            1 main owner 0 name=async-read
            10 main submit 0 READ 0x1000 read.rs:9 len=9
            20 main owner 0 name=multi-read
            25 main lost 1 removed
            30 main complete 0 0x1000 9    <? was taken by multi-read
            ",
        );
    }

    #[test]
    fn weak_handles_of_nothing_are_not_one() {
        check_rule(
            &RULE,
            "
            10 a leak 0xffffffffffffffff Conn conn.rs:8 owner=rc::Weak
            11 b leak 0xffffffffffffffff Conn conn.rs:9 owner=rc::Weak
            20 b reclaim 0xffffffffffffffff Conn conn.rs:20 owner=rc::Weak
            21 a reclaim 0xffffffffffffffff Conn conn.rs:20 owner=rc::Weak
            ",
        );
    }

    #[test]
    fn a_completion_of_which_nobody_knows_whose_it_is_or_who_asked() {
        check_rule(
            &RULE,
            "
            1 main owner 0 name=async-read
            10 main submit 0 READ 0x1000 read.rs:9 len=9
            11 main submit 0 READ 0x1000 read.rs:9 len=9
            20 main owner 0 name=multi-read
            30 main complete 0 0x1000 9
            40 loop submit 0 READ 0x2000 read.rs:9 len=9
            41 main complete 0 0x2000 9
            ",
        );
    }

    #[test]
    fn one_that_ended_here_is_not_the_other_ring_s() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main ring-create 1 sq=8 cq=16
            10 main submit 0 READ 0x1000 read.rs:9 len=9
            11 main complete 0 0x1000 9
            12 main submit 1 READ 0x1000 read.rs:9 len=9
            20 main complete 0 0x1000 9
            30 main submit 1 READ 0x2000 read.rs:9 len=9
            31 main complete 0 0x2000 9    <- [suspected whole] which is in flight on another ring
            ",
        );
    }

    #[test]
    fn one_handle_and_weak_ones_on_two_threads() {
        check_rule(
            &RULE,
            "
            # A whole world of one thread may move to another one.
            10 a leak 0x1000 Conn conn.rs:8 owner=Rc
            11 a leak 0x1000 Conn conn.rs:8 owner=Rc
            12 a reclaim 0x1000 Conn conn.rs:20 owner=Rc
            20 b reclaim 0x1000 Conn conn.rs:20 owner=Rc
            21 a leak 0x1000 Conn conn.rs:8 owner=Rc
            22 a reclaim 0x1000 Conn conn.rs:20 owner=Rc
            30 a leak 0x2000 Conn conn.rs:8 owner=rc::Weak
            31 a retain 0x2000 Conn conn.rs:8 owner=rc::Weak
            32 b reclaim 0x2000 Conn conn.rs:20 owner=rc::Weak    <- [observed whole] was taken back
            33 b reclaim 0x2000 Conn conn.rs:20 owner=rc::Weak    <- was taken back
            # As what it came back, or as what it went out, it may travel.
            40 a leak 0x3000 Conn conn.rs:8 owner=Rc
            41 b reclaim 0x3000 Conn conn.rs:20 owner=Box
            50 a leak 0x4000 Conn conn.rs:8 owner=Box
            51 b reclaim 0x4000 Conn conn.rs:20 owner=Rc
            ",
        );
    }
}
