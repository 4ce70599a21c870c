//! `overflow-stall`: completions wait in the kernel, and nothing fetches them.
//!
//! Fires at the end of a process whose ring was last seen with completions that found no room, and was
//! not entered since, although operations are owed, and the process had time: it looked at the queue
//! twice more, or went on for a second, or to an ordinary exit with room enough to end in order.
//! Stays silent where an enter followed, and where a kill came a moment after.
//! Points at the first sight of the overflow.

use super::{Draft, History, Judge, Rule};
use crate::event::SiteId;
use crate::finding::{RuleId, Severity};
use crate::model::Moment;

/// Time after which a program that does not enter is taken to have stopped entering.
const LONG_NS: u64 = 1_000_000_000;
/// Looks at the queue after which it is taken to be looked at only.
const LOOKS: u32 = 2;

pub(super) static RULE: Rule = Rule {
    id: RuleId(17),
    name: "overflow-stall",
    brief: "completions found no room, and nothing enters the kernel to fetch them",
    severity: Severity::Error,
    fires: "The completion queue was too small, the kernel keeps completions for later, and only an enter \
            fetches them; but the program waits for something else, or only looks at the queue. What it \
            waits for is there and never comes.",
    silent: "The ring was entered after the overflow was seen; nothing is owed; or the process was killed \
             less than a second after, without having looked at the queue again.",
    needs: "Overflows, enters, submissions and completions.",
    points_at: "The first time the overflow was seen.",
    example: "A test that stats many files hung for minutes: the overflow flag was set, four of twelve \
              completions were visible, and nothing entered the kernel to fetch the others.",
    source: "tokio-rs/tokio-uring#147, tokio-rs/tokio#8277, tokio-rs/io-uring#302",
    advice: "Enter with IORING_ENTER_GETEVENTS whenever the overflow flag is set, or make the completion \
             queue as large as what can be in flight.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Stalled {
        ring: (_, number),
        overflow,
        operation,
        owed,
        for_ns,
        until,
        clean,
    } = moment
    else {
        return;
    };
    let had_time = *for_ns >= LONG_NS || overflow.looks >= LOOKS || *clean;
    if !had_time {
        return;
    }
    // Of 1 it is not known how many they are.
    let count = match overflow.count {
        1 => String::new(),
        count => format!("{count} "),
    };
    let operation_named = judge.operation(operation);
    let owing = match owed {
        1 => format!("it owes {operation_named}"),
        owed => format!("it owes {owed} operations, {operation_named} the oldest"),
    };
    let message = format!(
        "ring {number} has {count}completions waiting in the kernel and was not entered again; {owing}"
    );
    let draft = Draft::new(operation.id.subject(), overflow.since, *until)
        .scope(operation.scope)
        .history(History::Since(operation.submit))
        .message(message)
        .evidence(operation.submit, "owed since here")
        .evidence(overflow.since, "no room for completions")
        .key(operation.id)
        .shape(judge.names().file(SiteId(operation.entry.site)));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::{LONG_NS, RULE};

    const RUN: &str = "
        1 main ring-create 0 sq=4 cq=4
        10 main submit 0 STATX 0x1000 stat.rs:8
        11 main submit 0 STATX 0x2000 stat.rs:8
        12 main enter 0 2 -> 2
        13 main complete 0 0x1000 0
    ";

    #[test]
    fn nobody_enters_again() {
        check_rule(
            &RULE,
            &format!(
                "process 0 end=killed:9\n{RUN}
                20 main overflow 0 8           <- ring 0 has 8 completions waiting in the kernel and was not entered again; it owes operation #1 (ring 0, slot 1, STATX) at stat.rs:8
                2000000000 main mark x
                "
            ),
        );
        check_rule(
            &RULE,
            &format!(
                "process 0 end=killed:9\n{RUN}
                20 main overflow 0 8           <- ring 0 has 8 completions
                30 main overflow 0 8
                40 main overflow 0 8
                "
            ),
        );
    }

    #[test]
    fn fetched_empty_or_cut_off_is_silent() {
        for rest in [
            "20 main overflow 0 8\n30 main enter 0 0 -> 0\n2000000000 main mark x",
            "20 main overflow 0 8\n30 main overflow 0 0\n2000000000 main mark x",
            "20 main overflow 0 8\n30 main mark x",
            "19 main complete 0 0x2000 0\n20 main overflow 0 8\n2000000000 main mark x",
        ] {
            check_rule(&RULE, &format!("process 0 end=killed:9\n{RUN}\n{rest}\n"));
        }
    }

    #[test]
    fn a_lost_enter_could_explain_it() {
        check_rule(
            &RULE,
            &format!(
                "{RUN}
                20 main overflow 0 8           <? ring 0 has 8
                25 main lost 1 removed
                2000000000 main mark x
                "
            ),
        );
    }

    #[test]
    fn how_long_is_long_enough() {
        let long = LONG_NS + 20;
        for (head, rest, is_said) in [
            ("state=clean", String::new(), true),
            ("end=killed:9", format!("{long} main mark x"), true),
            ("end=killed:9", format!("{} main mark x", long - 1), false),
            ("end=killed:9", "21 main overflow 0 8".to_owned(), false),
        ] {
            let arrow = if is_said {
                "<- [since:2] ring 0 has 8 completions"
            } else {
                ""
            };
            check_rule(
                &RULE,
                &format!("process 0 {head}\n{RUN}\n20 main overflow 0 8   {arrow}\n{rest}"),
            );
        }
    }
}
