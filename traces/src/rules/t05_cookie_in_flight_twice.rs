//! `cookie-in-flight-twice`: a second operation goes in with the cookie of one still in flight.
//!
//! Fires when the operations in flight with one cookie become more than the leases of its generation.
//! Stays silent for cookies declared shared or sentinel, for a pointer leaked once for each operation,
//! for words that were never leaked, and for one of several callbacks of a library.
//! Points at the second submission.

use super::{Draft, History, Judge, Key, Rule};
use crate::event::SiteId;
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Moment, Operation, Standing, Submitted};

pub(super) static RULE: Rule = Rule {
    id: RuleId(5),
    name: "cookie-in-flight-twice",
    brief: "more operations in flight with one cookie than it was leaked for",
    severity: Severity::Error,
    fires: "An operation is submitted with the cookie of another that is still in flight, and the \
            pointer was not leaked once for each of them. Both completions will look the same, and each \
            will take back an owner of which there is one.",
    silent: "The cookie is declared shared (one connection pointer for its read and its write) or a \
             sentinel; the pointer was leaked as often as it is in flight; or the word was never leaked. \
             A library may hold one word for several functions.",
    needs: "Leaks, submissions and completions.",
    points_at: "The second submission.",
    example: "Several timeouts carried one user_data; removing \"the\" timeout by it hit any of them.",
    source: "axboe/liburing#1120, axboe/liburing#734",
    advice: "Leak one handle for each operation (Rc::into_raw of a clone), or give each operation a \
             cookie of its own. If they share it on purpose, declare the cookie shared.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Submitted(Submitted {
        operation,
        standing,
        others,
        shared,
        sentinel,
        ..
    }) = moment
    else {
        return;
    };
    let Standing::Live(generation) = standing else {
        return;
    };
    // What another life of the address left in flight is no second carrier of this one.
    let same_life = |other: &&&Operation| other.generation.is_none_or(|id| id == generation.id);
    // A library calls each function with the word that came with it: another function's is no rival.
    let is_call = |operation: &Operation| operation.entry.opcode == wire::payload::CALLBACK;
    let apart = |other: &Operation| {
        other.id.ring != operation.id.ring && (is_call(other) || is_call(operation))
    };
    let same_life = others.iter().filter(same_life).copied();
    let others: Vec<&Operation> = same_life.filter(|other| !apart(other)).collect();
    let in_flight = others.len() as u64 + 1;
    let Some(first) = others.first() else { return };
    if *shared || *sentinel || in_flight <= u64::from(generation.leases) {
        return;
    }
    let names = judge.names();
    let id = generation.id;
    let describe = |op: &Operation| {
        names.operation(op.id.ring, op.id.sequence, op.entry.slot, op.entry.opcode)
    };
    let handles = match generation.leases {
        1 => "one handle was leaked".to_owned(),
        leases => format!("{leases} handles were leaked"),
    };
    let site = SiteId(operation.entry.site);
    let message = format!(
        "{} went in{} with the cookie of {}, which {}{} still carries in flight; {handles}{}",
        describe(operation),
        judge.at(site),
        names.generation(id.process, id.address, id.number),
        describe(first),
        judge.at(SiteId(first.entry.site)),
        judge.at(generation.leak_site),
    );
    let suspected = others.iter().any(|other| other.ambiguous);
    let draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .confidence(if suspected {
            Confidence::Suspected
        } else {
            Confidence::Observed
        })
        .history(History::Whole)
        .message(message)
        .evidence(generation.leaked, "leaked here")
        .evidence(first.submit, "in flight since here")
        .evidence(operation.submit, "the same cookie again")
        .key(operation.id)
        .key(id)
        .keys(others.iter().map(|other| Key::from(other.id)))
        .shape(names.ty(generation.ty))
        .shape(names.file(generation.leak_site))
        .shape(names.file(site));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn one_handle_for_two_operations() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15   <- operation #1 (ring 0, slot 1, SEND) went in at conn.rs:15 with the cookie of Conn#1 0x1000@1, which operation #0 (ring 0, slot 0, RECV) at conn.rs:12 still carries in flight; one handle was leaked at conn.rs:8
            ",
        );
    }

    #[test]
    fn one_handle_for_two_rings() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 1 SEND 0x1000 conn.rs:15   <- operation #0 (ring 1, slot 0, SEND) went in at conn.rs:15 with the cookie of Conn#1 0x1000@1, which operation #0 (ring 0, slot 0, RECV) at conn.rs:12 still carries in flight; one handle was leaked at conn.rs:8
            ",
        );
    }

    #[test]
    fn a_handle_for_each_of_two_rings_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8 owner=Rc
            11 main leak 0x1000 Conn conn.rs:8 owner=Rc
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 1 SEND 0x1000 conn.rs:15
            40 main leak 0x2000 Conn conn.rs:8
            50 main submit 0 RECV 0x2000 conn.rs:12
            60 main complete 0 0x2000 5
            70 main submit 1 SEND 0x2000 conn.rs:15
            80 main leak 0x3000 Conn conn.rs:8
            81 main shared 0x3000
            82 main submit 0 RECV 0x3000 conn.rs:12
            83 main submit 1 SEND 0x3000 conn.rs:15
            ",
        );
    }

    #[test]
    fn one_handle_for_each_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8 owner=Rc
            11 main leak 0x1000 Conn conn.rs:8 owner=Rc
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15
            ",
        );
    }

    #[test]
    fn what_another_life_left_in_flight_is_no_second_carrier() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main leak 0x1000 Conn conn.rs:8
            40 main submit 0 RECV 0x1000 conn.rs:12
            ",
        );
    }

    #[test]
    fn one_after_the_other_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            25 main complete 0 0x1000 5
            30 main submit 0 SEND 0x1000 conn.rs:15
            ",
        );
    }

    #[test]
    fn shared_on_purpose_is_silent() {
        check_rule(
            &RULE,
            "
            5 main shared 0x1000
            6 main scheme 1 shared
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15
            40 main leak 0x2000 Conn conn.rs:8
            50 main submit 1 RECV 0x2000 conn.rs:12
            60 main submit 1 SEND 0x2000 conn.rs:15
            ",
        );
    }

    #[test]
    fn a_declaration_ends_with_what_it_was_said_of() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            11 main shared 0x1000
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15 len=9
            40 main complete 0 0x1000 5
            41 main complete 0 0x1000 5
            50 main reclaim 0x1000 Conn conn.rs:20
            60 main leak 0x1000 Timer timer.rs:8
            70 main submit 0 TIMEOUT 0x1000 timer.rs:12
            80 main submit 0 TIMEOUT 0x1000 timer.rs:15   <- operation #3
            ",
        );
    }

    #[test]
    fn a_declaration_of_a_word_that_is_nothing_yet_stays() {
        check_rule(
            &RULE,
            "
            5 main shared 0x1000
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15 len=9
            40 main complete 0 0x1000 5
            41 main complete 0 0x1000 5
            50 main reclaim 0x1000 Conn conn.rs:20
            60 main leak 0x1000 Conn conn.rs:8
            70 main submit 0 RECV 0x1000 conn.rs:12
            80 main submit 0 SEND 0x1000 conn.rs:15 len=9
            ",
        );
    }

    #[test]
    fn a_lost_completion_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            25 main lost 1 removed
            30 main submit 0 SEND 0x1000 conn.rs:15   <? operation #1
            ",
        );
    }

    #[test]
    fn one_word_for_several_functions_of_a_library() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=0 cq=0 foreign
            2 main ring-create 1 sq=0 cq=0 foreign
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 CALLBACK 0x1000 conn.rs:12 len=1
            30 main submit 1 CALLBACK 0x1000 conn.rs:13
            31 main submit 2 RECV 0x1000 conn.rs:15
            # Twice for one function.
            40 main submit 1 CALLBACK 0x1000 conn.rs:16    <- operation #1 (ring 1, slot 0, CALLBACK) went in at conn.rs:16 with the cookie of Conn#1 0x1000@1
            ",
        );
    }

    #[test]
    fn what_flew_before_anything_was_leaked_there_is_a_carrier_too() {
        check_rule(
            &RULE,
            "
            10 main submit 0 RECV 0x1000 conn.rs:12
            20 main leak 0x1000 Conn conn.rs:8
            30 main submit 0 SEND 0x1000 conn.rs:15   <- [observed whole] operation #1
            ",
        );
    }

    #[test]
    fn a_sentinel_may_be_carried_by_many() {
        check_rule(
            &RULE,
            "
            1 main scheme 0 sentinel 0x1000
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15
            ",
        );
    }

    #[test]
    fn whose_completion_it_was_is_not_sure() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8 owner=Rc
            11 main leak 0x1000 Conn conn.rs:8 owner=Rc
            20 main submit 0 RECV 0x1000 conn.rs:12
            21 main submit 0 RECV 0x1000 conn.rs:12
            22 main submit 0 RECV 0x1000 conn.rs:12   <- [observed whole] operation #2
            30 main complete 0 0x1000 5
            40 main submit 0 RECV 0x1000 conn.rs:12   <- [suspected whole] operation #3
            ",
        );
    }
}
