//! `completion-read-twice`: one place of the completion queue is dispatched twice.
//!
//! Fires on a completion taken from an index that was taken before, and on one so far behind the newest
//! that the kernel has used the place again; and where the head of the queue is moved by more than there were
//! completions: one was marked as seen twice.
//! Stays silent where completions are taken in order: they have no index.
//! Points at the second time.

use super::{Draft, History, Judge, Key, Rule};
use crate::finding::{RuleId, Severity, Subject};
use crate::model::Moment;

pub(super) static RULE: Rule = Rule {
    id: RuleId(21),
    name: "completion-read-twice",
    brief: "one place of the completion queue is dispatched twice",
    severity: Severity::Error,
    fires: "The program works through a completion that it has worked through, because the head of the \
            queue had not moved; or reads a place that the kernel has filled anew since; or marks more completions \
            as seen than there were, so that the next one is passed by unread.",
    silent: "Looking at a completion twice is no fault, only taking it twice is; completions that are \
             taken in order have no index to compare.",
    needs: "Completions with their index in the queue (taken out of order).",
    points_at: "The second time that the completion was taken.",
    example: "A handler ran before its completion was marked as seen; when it ended early, the same \
              completion was dispatched again, to freed memory.",
    source: "cmazakas/fiona commit cf4c5ed, axboe/liburing#331",
    advice: "Copy what is needed and move the head before the handler runs, so that no error path of the \
             handler can leave it behind.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    if let Moment::WentBeyond {
        event,
        place: (process, ring, scope),
        beyond,
        site,
    } = moment
    {
        let subject = Subject::Cookie {
            process: *process,
            ring: *ring,
            cookie: 0,
        };
        let (completions, come) = match beyond {
            1 => ("1 completion".to_owned(), "comes next is"),
            count => (format!("{count} completions"), "come next are"),
        };
        let message = format!(
            "ring {ring} had {completions} marked as seen{} that had not come: the head of its completion queue was \
             moved beyond the tail, and what {come} passed by unread",
            judge.at(*site)
        );
        let draft = Draft::new(subject, *event, *event)
            .scope(*scope)
            .history(History::Own)
            .message(message)
            .evidence(*event, "the head is beyond the tail here")
            .shape("beyond")
            .shape(judge.names().file(*site))
            .advice(
                "Each completion is given back once: io_uring_cqe_seen, or its share of an io_uring_cq_advance, not \
                 both; and on no path a second time.",
            );
        return judge.say(draft);
    }
    let Moment::TakenTwice {
        event,
        ring,
        scope,
        index,
        first,
        operation,
        overwritten,
        process,
    } = moment
    else {
        return;
    };
    let subject = operation.map_or(
        Subject::Cookie {
            process: *process,
            ring: *ring,
            cookie: u64::from(*index),
        },
        |operation| operation.subject(),
    );
    let (what, role) = if *overwritten {
        (
            "long after the head had moved past it",
            "the place is used again",
        )
    } else {
        ("a second time", "taken here")
    };
    let of = operation.map_or(String::new(), |operation| {
        format!(", of operation #{},", operation.sequence)
    });
    let draft = Draft::new(subject, *event, *event)
        .scope(*scope)
        .history(History::Since(*first))
        .message(format!(
            "the completion at index {index} of ring {ring}{of} was taken {what}"
        ))
        .evidence(*first, role)
        .evidence(*event, "taken again here")
        .keys(operation.map(Key::from))
        .shape(if *overwritten { "late" } else { "twice" });
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn the_same_index_twice() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=2 cq=4
            10 main submit 0 NOP 0x1000
            11 main submit 0 NOP 0x2000
            20 main complete 0 0x2000 0 index=1
            21 main complete 0 0x1000 0 index=0
            22 main complete 0 0x1000 0 index=0    <- the completion at index 0 of ring 0, of operation #0, was taken a second time
            ",
        );
    }

    #[test]
    fn more_marked_as_seen_than_there_were() {
        for (beyond, said) in [(1, "1 completion"), (2, "2 completions")] {
            check_rule(
                &RULE,
                &format!(
                    "
                    10 main submit 0 NOP 0x1000
                    20 main complete 0 0x1000 0
                    # Passed by unread, and all there.
                    30 main passed 0 1 0 loop.c:8
                    31 main lost 9 overwritten
                    40 main passed 0 0 {beyond} loop.c:9   <- ring 0 had {said} marked as seen at loop.c:9 that had not come
                    "
                ),
            );
        }
    }

    #[test]
    fn a_place_that_was_used_again() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=2 cq=4
            10 main submit 0 NOP 0x1000
            11 main submit 0 NOP 0x2000
            20 main complete 0 0x2000 0 index=9
            21 main complete 0 0x1000 0 index=5    <- long after the head had moved past it
            ",
        );
    }

    #[test]
    fn each_once_is_silent_also_around_the_end_of_the_numbers() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=2 cq=4
            10 main submit 0 NOP 0x1000
            11 main submit 0 NOP 0x2000
            12 main submit 0 NOP 0x3000
            20 main complete 0 0x2000 0 index=0xffffffff
            21 main complete 0 0x1000 0 index=0xfffffffe
            22 main complete 0 0x3000 0 index=0
            30 main ring-create 0 sq=2 cq=4
            31 main submit 0 NOP 0x1000
            32 main complete 0 0x1000 0 index=0
            ",
        );
    }

    #[test]
    fn a_lost_ring_could_explain_it() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=2 cq=4
            10 main submit 0 NOP 0x1000
            20 main complete 0 0x1000 0 index=0
            21 main lost 1 removed
            22 main complete 0 0x1000 0 index=0    <? was taken a second time
            ",
        );
    }
}
