//! `buffer-freed-in-flight`: what an operation in flight points at is gone.
//!
//! Fires when memory that an entry points at is freed, moved, shrunk or unmapped while the kernel may
//! still use it: data until the last completion, arguments until the kernel took the entry; and when a
//! descriptor that an entry names is closed before the kernel took it.
//! Only suspects what lies in a stack frame that has returned, what is freed after the ring was dropped,
//! and an operation whose descriptor was closed, by a call or an operation, and its number given out again, to whoever
//! opens or accepts (a warning).
//! Stays silent for what the kernel copies once it took the entry, for buffers that the kernel picks, for
//! operations whose cancellation succeeded, for those that may have ended without a completion, where
//! a twin with the same cookie may be the one that is still in flight, and for those that were on a descriptor
//! whose number was given out again before the close, or that was shut down, or where their cancellation may have
//! succeeded without a word, or have nothing left to send.
//! Points at the free, the move, the return or the close.

use super::{Draft, History, Judge, Key, Rule};
use crate::event::{EventId, SiteId};
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Gone, MemoryGone, Moment, Operation};

pub(super) static RULE: Rule = Rule {
    id: RuleId(16),
    name: "buffer-freed-in-flight",
    brief: "memory or a descriptor that an operation in flight needs is gone",
    severity: Severity::Error,
    fires: "Memory that an operation in flight points at (a buffer, an array of them, a timespec, an \
            address) is freed, moved, unmapped or in a frame that has returned, and the kernel may still \
            read or write it: whoever gets that memory next is overwritten. Also a descriptor closed \
            before the kernel took the operation that names it, or before that was submitted at all, where \
            the kernel answers that it is none.",
    silent: "The kernel had taken the entry and copies that argument; the buffer is the kernel's choice; \
             a cancellation of the operation had succeeded; the operation may have ended without a \
             completion; or, of a descriptor, was asked to end before the close (shut down, or cancelled by what \
             posts nothing on success). What an array of buffers points at is not recorded.",
    needs: "Frees, moves, unmaps or stack pointers; submissions with their addresses; completions.",
    points_at: "The event that took the memory away.",
    example: "A future was leaked or dropped with its read in flight; its buffer was freed, and the next \
              allocation received what the kernel read.",
    source: "spacejam/rio#30 (RUSTSEC-2020-0021), tokio-rs/tokio-uring#125, scylladb/seastar#3601",
    advice: "Let the operation own its buffer until its last completion was taken, also when its future \
             is dropped; a cancellation ends it only when its completion is there.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::MemoryGone(gone) => memory(gone, judge),
        Moment::DescriptorGone {
            event,
            fd,
            operation,
            refused: Some(refused),
            ..
        } => named_too_late((*event, *fd), operation, *refused, judge),
        Moment::DescriptorGone {
            event,
            fd,
            operation,
            closed,
            made,
            ..
        } => descriptor((*event, *fd), operation, (*closed, *made), judge),
        _ => {}
    }
}

fn memory(gone: &MemoryGone<'_>, judge: &mut Judge<'_>) {
    let MemoryGone {
        event,
        how,
        operation,
        piece,
        ring_dropped,
        generation,
    } = gone;
    if piece.part == crate::model::Part::Cookie {
        return;
    }
    let (verb, role) = match how {
        Gone::Freed => ("was freed", "freed here"),
        Gone::Moved => ("was moved", "moved here"),
        Gone::Shrunk => ("lost its end", "shrunk here"),
        Gone::Unmapped => ("was unmapped", "unmapped here"),
        Gone::Returned => (
            "is in a stack frame that has returned",
            "the frame has returned by here",
        ),
    };
    let state = match (operation.consumed, operation.completions, ring_dropped) {
        (_, _, true) => "was in flight when its ring was dropped",
        (None, ..) => "is not taken by the kernel yet",
        (_, 0, _) => "still owes its completion",
        _ => "still owes further completions",
    };
    let message = format!(
        "the {} at {:#x} ({} bytes) of {} {verb} while the operation {state}",
        piece.part.name(),
        piece.start,
        piece.len,
        judge.operation(operation)
    );
    let suspected = *how == Gone::Returned || *ring_dropped;
    let names = judge.names();
    let mut draft = Draft::new(operation.id.subject(), *event, *event)
        .scope(operation.scope)
        .confidence(if suspected {
            Confidence::Suspected
        } else {
            Confidence::Observed
        })
        .history(history(operation))
        .message(message)
        .evidence(operation.submit, "points at it since here")
        .evidence(*event, role)
        .key(operation.id)
        .keys(generation.map(Key::from))
        .shape(verb)
        .shape(piece.part.name())
        .shape(crate::names::opcode(operation.entry.opcode))
        .shape(names.file(SiteId(operation.entry.site)));
    if *ring_dropped {
        draft = draft.severity(Severity::Warning);
    }
    judge.say(draft);
}

/// That the kernel has not got it yet follows from all enters that there were.
fn history(operation: &Operation) -> History {
    match operation.consumed {
        Some(_) => History::Since(operation.submit),
        None => History::Whole,
    }
}

fn descriptor(
    (event, fd): (EventId, i32),
    operation: &Operation,
    (closed, made): (Option<EventId>, bool),
    judge: &mut Judge<'_>,
) {
    let name = judge.operation(operation);
    let names = judge.names();
    let at = judge.at(judge.site_of(closed.unwrap_or(event)));
    // One that was dropped has no other place.
    let gone = if made {
        format!("{fd}, made{at}, was dropped")
    } else {
        format!("{fd} was closed{at}")
    };
    let role = if made {
        "dropped here (the place is where it was made)"
    } else {
        "closed here"
    };
    let mut draft = Draft::new(operation.id.subject(), closed.unwrap_or(event), event)
        .scope(operation.scope)
        .history(history(operation))
        .evidence(operation.submit, "names the descriptor since here")
        .key(operation.id)
        .keys(operation.generation.map(Key::from))
        .shape("descriptor")
        .shape(crate::names::opcode(operation.entry.opcode))
        .shape(names.file(SiteId(operation.entry.site)));
    draft = match closed {
        None => draft
            .message(format!(
                "descriptor {gone} before the kernel took {name}, which names it"
            ))
            .evidence(event, role),
        Some(closed) => draft
            .message(format!(
                "descriptor {gone} and its number given out again while {name} is still in \
                 flight on the old one"
            ))
            .severity(Severity::Warning)
            .confidence(Confidence::Suspected)
            .evidence(closed, role)
            .evidence(event, "given out again here"),
    };
    judge.say(draft);
}

/// It was closed, as far as is known nobody was given its number since, and the kernel will not have it.
fn named_too_late(
    (closed, fd): (EventId, i32),
    operation: &Operation,
    refused: EventId,
    judge: &mut Judge<'_>,
) {
    let name = judge.operation(operation);
    let names = judge.names();
    let at = judge.at(judge.site_of(closed));
    let draft = Draft::new(operation.id.subject(), closed, refused)
        .scope(operation.scope)
        .history(History::Since(closed))
        // Whoever was given the number may have told nobody, and the kernel says the same of one that is open, but not
        // for that.
        .confidence(Confidence::Suspected)
        .message(format!(
            "descriptor {fd} was closed{at} before {name}, which names it, was submitted: the kernel refused it (EBADF)"
        ))
        .evidence(closed, "closed here")
        .evidence(operation.submit, "names the descriptor")
        .evidence(refused, "the kernel refused it (EBADF)")
        .key(operation.id)
        .keys(operation.generation.map(Key::from))
        .shape("descriptor")
        .shape(crate::names::opcode(operation.entry.opcode))
        .shape(names.file(SiteId(operation.entry.site)));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn a_descriptor_that_was_closed_before_it_was_named() {
        let used = |between: &str, result: i32, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main fd-open 5 a.rs:1
                    2 main fd-close 5 a.rs:2   {arrow}
                    {between}
                    4 main submit 0 READ 0x7 read.rs:8 fd=5 addr=0x10010 len=64
                    5 main enter 0 1 -> 1
                    6 main complete 0 0x7 {result}
                    7 main submit 0 READ 0x8 read.rs:9 fd=5 addr=0x10010 len=64
                    8 main complete 0 0x8 -9
                    "
                ),
            );
        };
        used(
            "",
            -9,
            "<- [suspected error since:1] descriptor 5 was closed at a.rs:2 before operation #0 (ring 0, slot 0, READ) \
             at read.rs:8, which names it, was submitted: the kernel refused it (EBADF)",
        );
        // Its number was somebody else's by then, who told nobody; or somebody did.
        used("", 64, "");
        used("3 main fd-open 5 a.rs:3", -9, "");
        // Or that is what is missing.
        used("3 main lost 1 removed", -9, "<? descriptor 5 was closed");
    }

    /// A file's server may have answered so, and a socket does not.
    #[test]
    fn what_somebody_with_its_cookie_was_answered_may_have_been_its_answer() {
        for (opcode, arrow) in [("READ", ""), ("RECV", "<- was freed while the operation")] {
            check_rule(
                &RULE,
                &format!(
                    "
                    10 main submit 0 {opcode} 0x7 addr=0x10000 len=64
                    11 main submit 0 ASYNC_CANCEL 0x7 addr=0x7
                    12 main enter 0 2 -> 2
                    20 main complete 0 0x7 -2
                    30 main free 0x10000 64      {arrow}
                    40 main complete 0 0x7 -125
                    "
                ),
            );
        }
    }

    /// However many there are: it may be one that it was not held against.
    #[test]
    fn a_completion_may_have_been_of_any_with_its_cookie() {
        let of = |count: usize, last: &str, result: &str, arrow: &str| {
            let many = "10 main submit 0 READ 0x7 addr=0x10000 len=64 fd=3\n".repeat(count);
            check_rule(
                &RULE,
                &format!(
                    "
                    {many}
                    11 main submit 0 {last} addr=0x20000 len=64 fd=4
                    12 main complete 0 0x7 {result}
                    13 main submit 0 READ 0x7 addr=0x30000 len=64 fd=3
                    20 main free 0x20000 64     {arrow}
                    21 main free 0x30000 64     <- was freed while the operation
                    "
                ),
            );
        };
        for count in [2, 300] {
            // As wanted, as seldom, as never heard of.
            for result in ["5", "-2", "77"] {
                of(count, "READ 0x7", result, "");
            }
        }
        // None of the first could have posted it.
        let more = "<- was freed while the operation still owes further completions";
        of(2, "RECV 0x7 ioprio=2", "5 more", more);
        of(5_000, "RECV 0x7 ioprio=2", "5 more", "");
    }

    #[test]
    fn freed_moved_and_unmapped() {
        check_rule(
            &RULE,
            "
            10 main submit 0 READ 0x7 read.rs:8 addr=0x10010 len=64
            11 main submit 0 READ 0x8 read.rs:8 addr=0x20000 len=64
            12 main submit 0 READ 0x9 read.rs:8 addr=0x30000 len=64
            13 main submit 0 READ 0xa read.rs:8 addr=0x40000 len=64
            20 main free 0x10000 32                <- [error observed since:0] the buffer at 0x10010 (64 bytes) of operation #0 (ring 0, slot 0, READ) at read.rs:8 was freed while the operation still owes its completion
            21 main realloc 0x20000 0x90000 128    <- was moved
            22 main unmap 0x2f000 0x2000           <- was unmapped
            23 main realloc 0x40000 0x40000 32     <- lost its end
            ",
        );
    }

    #[test]
    fn between_the_push_and_the_enter() {
        check_rule(
            &RULE,
            "
            10 main submit 0 TIMEOUT 0x7 time.rs:8 addr=0x10000 len=1
            11 main free 0x10000 16      <- [error observed whole] the timespec at 0x10000 (16 bytes) of operation #0 (ring 0, slot 0, TIMEOUT) at time.rs:8 was freed while the operation is not taken by the kernel yet
            12 main enter 0 1 -> 1
            ",
        );
    }

    #[test]
    fn before_the_notification() {
        check_rule(
            &RULE,
            "
            10 main submit 0 SEND_ZC 0x7 send.rs:8 addr=0x10000 len=64
            20 main complete 0 0x7 64 more
            30 main free 0x10000 64      <- still owes further completions
            40 main complete 0 0x7 0 notif
            ",
        );
    }

    #[test]
    fn in_a_frame_that_has_returned() {
        check_rule(
            &RULE,
            "
            10 main submit 0 READ 0x7 read.rs:8 addr=0x7ffd1000 len=64
            11 main submit 0 READ 0x8 read.rs:8 addr=0x7ffd3000 len=64
            20 main stack-pointer 0x7ffd2000 0x7ff00000    <- [error suspected since:0] is in a stack frame that has returned
            ",
        );
    }

    #[test]
    fn descriptors_closed_too_early() {
        check_rule(
            &RULE,
            "
            10 main submit 0 EPOLL_CTL 0x7 poll.rs:8 fd=4 off=9 len=2
            11 main fd-close 9 poll.rs:9     <- [error observed whole] descriptor 9 was closed at poll.rs:9 before the kernel took operation #0 (ring 0, slot 0, EPOLL_CTL) at poll.rs:8, which names it
            12 main enter 0 1 -> 1
            13 main complete 0 0x7 0
            20 main submit 0 RECV 0x7 conn.rs:8 fd=9 len=5
            21 main enter 0 1 -> 1
            22 main fd-close 9 conn.rs:9     <- [warning suspected since:4] and its number given out again
            23 main fd-open 9 conn.rs:10
            # Dropped: its end is told with the place where it was made.
            30 main fd-open 12 conn.rs:10
            31 main submit 0 RECV 0x8 conn.rs:8 fd=12 len=5
            32 main fd-close 12 conn.rs:10     <- descriptor 12, made at conn.rs:10, was dropped before the kernel took operation #2
            33 main enter 0 1 -> 1
            40 main fd-open 13 conn.rs:12
            41 main submit 0 RECV 0x9 conn.rs:14 fd=13 len=5
            42 main enter 0 1 -> 1
            43 main fd-close 13 conn.rs:12     <- descriptor 13, made at conn.rs:12, was dropped and its number given out again while operation #3
            44 main fd-open 13 conn.rs:15
            ",
        );
    }

    /// Closed by a call or an operation, and given out by a call or a completion.
    #[test]
    fn a_number_is_closed_and_given_out_in_any_way() {
        let reused = |closed: &str, given: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main ring-create 0 fd=3 sq=8 cq=16
                    2 main fd-open 5 a.rs:1
                    3 main submit 0 RECV 0x7 a.rs:2 fd=5 len=5
                    4 main enter 0 1 -> 1
                    {}
                    {given}
                    40 main complete 0 0x7 5
                    ",
                    closed.replace("ARROW", arrow)
                ),
            );
        };
        let by_call = "10 main fd-close 5 a.rs:3    ARROW";
        let by_operation = "10 main submit 0 CLOSE 0x8 a.rs:3 fd=5 ARROW
                    11 main enter 0 1 -> 1";
        let closed = &format!("{by_operation}\n12 main complete 0 0x8 0");
        // What posts nothing on success has closed it where its number is somebody's again.
        let in_silence = &by_operation.replace("fd=5", "fd=5 skip-success");
        // Another thread's queue may bring the news later.
        let late = by_operation;
        let opened = "20 main fd-open 5 a.rs:4";
        let accepted = "
                    20 main submit 0 ACCEPT 0x9 a.rs:4 fd=4
                    21 main enter 0 1 -> 1
                    22 main complete 0 0x9 5";
        let socket = &accepted.replace("ACCEPT", "SOCKET");
        let file = &accepted.replace("ACCEPT", "OPENAT");
        let arrow = "<- [warning suspected since:2] 5 was closed at a.rs:3 and its number given out again while operation #0";
        for closed in [by_call, closed, in_silence, late] {
            for given in [opened, accepted, socket, file] {
                reused(closed, given, arrow);
                // Complete by then, and another number.
                reused(closed, &format!("19 main complete 0 0x7 0\n{given}"), "");
                let other = given
                    .replace("fd-open 5", "fd-open 6")
                    .replace("0x9 5", "0x9 6");
                reused(closed, &other, "");
            }
        }
        // The kernel did not close it, and what is opened is one of its own table.
        let failed = format!("{by_operation}\n12 main complete 0 0x8 -125");
        reused(&failed, accepted, "");
        let direct = by_operation.replace("fd=5", "fd=5 file-index=6");
        reused(&direct, accepted, "");
        reused(by_call, &accepted.replace("fd=4", "fd=4 file-index=1"), "");
        // What goes in behind it is on whatever has the number then.
        let behind = format!("{by_operation}\n13 main submit 0 RECV 0xa a.rs:5 fd=5 len=5");
        reused(&format!("9 main complete 0 0x7 5\n{behind}"), accepted, "");
        // An operation with its cookie may have brought a count.
        let count = "20 main submit 0 ACCEPT 0x9 a.rs:4 fd=4\n20 main submit 0 RECV 0x9 a.rs:4 fd=4\n22 main complete 0 0x9 5";
        reused(by_call, count, "");
    }

    /// What was asked to end, or is done but for its memory, is not in flight on the old one for long.
    #[test]
    fn what_is_ended_before_its_descriptor_is_closed_is_silent() {
        let reused = |opcode: &str, before: &str, arrow: &str| {
            let (before, completes) = before.split_once('\n').unwrap_or((before, ""));
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main ring-create 0 fd=3 sq=8 cq=16
                    2 main fd-open 5 a.rs:1
                    3 main submit 0 {opcode} 0x7 a.rs:2 fd=5 len=5
                    4 main enter 0 1 -> 1
                    {before}
                    11 main enter 0 1 -> 1
                    {completes}
                    30 main fd-close 5 a.rs:3   {arrow}
                    31 main fd-open 5 a.rs:4
                    40 main complete 0 0x7 0
                    "
                ),
            );
        };
        let said = "<- 5 was closed at a.rs:3 and its number given out again while operation #0";
        let silent = |before: &str| reused("RECV", before, "");
        let told = |before: &str| reused("RECV", before, said);
        silent("10 main submit 0 ASYNC_CANCEL 0x8 addr=0x7 skip-success");
        silent("10 main submit 0 ASYNC_CANCEL 0x8 fd=5 op-flags=3 skip-success");
        silent("10 main submit 0 ASYNC_CANCEL 0x8 op-flags=5 skip-success");
        silent("10 main submit 0 SHUTDOWN 0x8 fd=5 len=2 skip-success");
        silent("10 main submit 0 SHUTDOWN 0x8 fd=5 len=2\n12 main complete 0 0x8 0");
        // Of another one, one that failed, and one that leaves what reads alone.
        told("10 main submit 0 ASYNC_CANCEL 0x8 addr=0x70 skip-success");
        told("10 main submit 0 ASYNC_CANCEL 0x8 fd=6 op-flags=3 skip-success");
        told("10 main submit 0 SHUTDOWN 0x8 fd=6 len=2 skip-success");
        told("10 main submit 0 ASYNC_CANCEL 0x8 addr=0x7\n12 main complete 0 0x8 -114");
        told("10 main submit 0 SHUTDOWN 0x8 fd=5 len=2\n12 main complete 0 0x8 -107");
        told("10 main submit 0 SHUTDOWN 0x8 fd=5 len=1\n12 main complete 0 0x8 0");
        reused("SEND_ZC", "10 main complete 0 0x7 5 more", "");
        reused("SEND_ZC", "", said);
        reused("POLL_ADD", "10 main complete 0 0x7 5 more", said);
    }

    #[test]
    fn a_number_that_is_given_out_was_closed_where_nobody_looked() {
        check_rule(
            &RULE,
            "
            1 main ring-create 1 fd=7 sq=8 cq=16
            2 main ring-create 2 fd=8 sq=8 cq=16
            3 main submit 1 MSG_RING 0x9 fd=8 off=0x3000 len=5
            4 main enter 1 1 -> 1
            5 main complete 2 0x3000 5
            6 main ring-drop 2
            7 main fd-open 8 a.c:1
            8 main fd-close 8 a.c:1
            9 main fd-open 8 a.c:2
            10 main complete 1 0x9 0
            ",
        );
    }

    /// However many the kernel had taken before: what is of the older file is nothing to a later close.
    #[test]
    fn of_many_that_name_one_number_each_is_of_the_file_that_it_went_in_for() {
        for count in [2, 300] {
            let older = "3 main submit 1 RECV 0x7 a.rs:1 fd=8 len=5\n".repeat(count);
            let head = format!("1 main ring-create 1 fd=7 sq=512 cq=1024\n{older}");
            let silent = format!(
                "
                {head}
                4 main enter 1 {count} -> {count}
                5 main fd-open 8 a.rs:2
                6 main fd-close 8 a.rs:3
                7 main fd-open 8 a.rs:4
                "
            );
            check_rule(&RULE, &silent);
            // Those behind them, and those that the kernel had not taken, are of the newer one.
            check_rule(
                &RULE,
                &format!(
                    "
                    {silent}
                    8 main submit 1 RECV 0x8 a.rs:5 fd=8 len=5
                    9 main fd-open 8 a.rs:6
                    10 main enter 1 1 -> 1
                    11 main fd-close 8 a.rs:7     <- 8 was closed at a.rs:7 and its number given out again while operation #{count} (ring 1
                    12 main fd-open 8 a.rs:8
                    "
                ),
            );
        }
    }

    /// Where nobody says when the kernel took what.
    #[test]
    fn what_goes_in_behind_an_older_one_is_of_the_newer_file() {
        check_rule(
            &RULE,
            "
            1 main submit 0 RECV 0x7 a.rs:1 fd=8 len=5
            2 main fd-open 8 a.rs:2
            3 main submit 0 RECV 0x8 a.rs:3 fd=8 len=5
            4 main fd-close 8 a.rs:4     <- 8 was closed at a.rs:4 and its number given out again while operation #1
            5 main fd-open 8 a.rs:5
            ",
        );
    }

    /// Nobody saw the number being given out in between.
    #[test]
    fn what_was_closed_twice_was_closed_the_first_time_for_what_flew_then() {
        check_rule(
            &RULE,
            "
            1 main submit 0 RECV 0x7 a.rs:1 fd=8 len=5
            2 main enter 0 1 -> 1
            3 main fd-close 8 a.rs:3     <- 8 was closed at a.rs:3 and its number given out again while operation #0
            4 main submit 0 RECV 0x8 a.rs:4 fd=8 len=5
            5 main submit 0 RECV 0x9 a.rs:5 fd=8 len=5
            6 main enter 0 2 -> 2
            7 main complete 0 0x9 5
            8 main fd-close 8 a.rs:8     <- 8 was closed at a.rs:8 and its number given out again while operation #1
            9 main fd-open 8 a.rs:9
            ",
        );
    }

    #[test]
    fn what_a_completion_brought_is_the_newer_one_before_somebody_takes_it_over() {
        check_rule(
            &RULE,
            "
            10 main submit 0 RECV 0x7 a.rs:1 fd=8 len=5
            11 main submit 0 ACCEPT 0x8 a.rs:2 fd=3
            12 main enter 0 2 -> 2
            13 main complete 0 0x8 8
            14 main submit 0 RECV 0x9 a.rs:3 fd=8 len=5
            15 main enter 0 1 -> 1
            16 main fd-open 8 a.rs:4
            17 main fd-close 8 a.rs:5     <- 8 was closed at a.rs:5 and its number given out again while operation #2
            18 main fd-open 8 a.rs:6
            # That was taken over before, and this is opened.
            20 main fd-close 8 a.rs:7
            21 main submit 0 ACCEPT 0xa a.rs:8 fd=3
            22 main enter 0 1 -> 1
            23 main complete 0 0xa 8
            24 main fd-open 8 a.rs:9
            25 main submit 0 RECV 0xb a.rs:10 fd=8 len=5
            26 main enter 0 1 -> 1
            27 main fd-open 8 a.rs:11
            28 main fd-close 8 a.rs:12
            29 main fd-open 8 a.rs:13
            # And this was closed again.
            30 main submit 0 ACCEPT 0xc a.rs:14 fd=3
            31 main enter 0 1 -> 1
            32 main complete 0 0xc 9
            33 main submit 0 RECV 0xd a.rs:15 fd=9 len=5
            34 main submit 0 CLOSE 0xe a.rs:16 fd=9     <- 9 was closed at a.rs:16 and its number given out again while operation #6
            35 main enter 0 2 -> 2
            36 main complete 0 0xe 0
            37 main fd-open 9 a.rs:17
            38 main fd-close 9 a.rs:18
            39 main fd-open 9 a.rs:19
            ",
        );
    }

    /// What closes it in silence is its taker as well.
    #[test]
    fn what_a_completion_brought_and_an_operation_closes_is_not_what_is_opened_then() {
        let closed = |closes: &str, by_it: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    10 main submit 0 ACCEPT 0x8 a.rs:2 fd=3
                    11 main enter 0 1 -> 1
                    12 main complete 0 0x8 8
                    13 main submit 0 RECV 0x9 a.rs:3 fd=8 len=5
                    14 main submit 0 {closes} skip-success    {by_it}
                    15 main enter 0 2 -> 2
                    16 main fd-open 8 a.rs:5
                    17 main fd-close 8 a.rs:6   {arrow}
                    18 main fd-open 8 a.rs:7
                    "
                ),
            );
        };
        closed("CLOSE 0xa a.rs:4 fd=8", "<- 8 was closed at a.rs:4", "");
        closed("NOP 0xa a.rs:4 fd=8", "", "<- 8 was closed at a.rs:6");
    }

    #[test]
    fn who_took_over_what_a_completion_brought_may_be_what_is_missing() {
        let opened = |lost: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    10 main submit 0 ACCEPT 0x8 a.rs:2 fd=3
                    11 main enter 0 1 -> 1
                    12 main complete 0 0x8 8
                    {lost}
                    500 main submit 0 RECV 0x9 a.rs:3 fd=8 len=5
                    501 main enter 0 1 -> 1
                    502 main fd-open 8 a.rs:4
                    503 main fd-close 8 a.rs:5   {arrow}
                    504 main fd-open 8 a.rs:6
                    "
                ),
            );
        };
        opened("", "<- 8 was closed at a.rs:5");
        opened("13 main fd-open 8 a.rs:2", "");
        opened("13 main lost 1 removed", "");
    }

    #[test]
    fn later_closes_of_a_number_are_of_what_was_open_then() {
        check_rule(
            &RULE,
            "
            # Seen, and said once, whatever becomes of the number later.
            10 main fd-open 5 a.rs:1
            11 main submit 0 RECV 0x7 a.rs:2 fd=5 len=5
            12 main enter 0 1 -> 1
            13 main fd-close 5 a.rs:3     <- [warning suspected] 5 was closed at a.rs:3 and its number given out again while operation #0
            14 main fd-open 5 a.rs:4
            15 main fd-close 5 a.rs:5
            16 main fd-open 5 a.rs:6
            # One of those that name a number is of what was open last.
            20 main submit 0 RECV 0x8 b.rs:1 fd=6 len=5
            21 main enter 0 1 -> 1
            22 main fd-open 6 b.rs:2
            23 main submit 0 RECV 0x9 b.rs:3 fd=6 len=5
            24 main enter 0 1 -> 1
            25 main fd-close 6 b.rs:4     <- 6 was closed at b.rs:4 and its number given out again while operation #2
            26 main fd-open 6 b.rs:5
            # The kernel looks at the number when it takes the entry.
            30 main submit 0 RECV 0xa c.rs:1 fd=9 len=5
            31 main fd-open 9 c.rs:2
            32 main fd-close 9 c.rs:3     <- 9 was closed at c.rs:3 before the kernel took operation #3
            33 main enter 0 1 -> 1
            ",
        );
    }

    #[test]
    fn what_was_named_on_another_lane_may_be_the_newer_one_by_batch() {
        let named = |times: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0{times}
                    10 other submit 0 RECV 0x7 a.rs:2 fd=5 len=5
                    11 other enter 0 1 -> 1
                    12 main fd-open 5 a.rs:1
                    13 main fd-close 5 a.rs:3   {arrow}
                    14 main fd-open 5 a.rs:4
                    "
                ),
            );
        };
        named("", "");
        named(" times=batch", "<? 5 was closed at a.rs:3");
    }

    #[test]
    fn ordinary_lives_are_silent() {
        check_rule(
            &RULE,
            "
            10 main submit 0 READ 0x7 read.rs:8 addr=0x10000 len=64
            11 main submit 0 TIMEOUT 0x8 time.rs:8 addr=0x20000 len=1
            12 main submit 0 RECV 0x9 recv.rs:8 addr=0x30000 len=64 buffer-select
            13 main submit 0 READ 0xa read.rs:8 addr=0x40000 len=64
            20 main enter 0 4 -> 4
            # Copied; picked by the kernel; beside it; cancelled; complete.
            21 main free 0x20000 16
            22 main free 0x30000 64
            23 main free 0x10040 64
            24 main free 0xff00 256
            25 main submit 0 ASYNC_CANCEL 0xb addr=0xa
            26 main enter 0 1 -> 1
            27 main complete 0 0xb 0
            28 main free 0x40000 64
            29 main complete 0 0x7 64
            30 main free 0x10000 64
            # One cookie for two, so that nobody can say which of them is done.
            31 main submit 0 RECV 0xc addr=0x50000 len=64
            31 main submit 0 SEND 0xc addr=0x60000 len=64
            31 main complete 0 0xc 64
            31 main free 0x60000 64
            31 main submit 0 READ 0x7 read.rs:8 addr=0x10000 len=64 fd=9
            32 main fd-open 8
            33 main realloc 0x10000 0x10000 128
            34 main submit 0 READ 0xd read.rs:8 addr=0x7fefffe0 len=64
            35 main submit 0 READ 0xe read.rs:8 addr=0x7ffd1ff0 len=64
            36 main stack-pointer 0x7ffd2000 0x7ff00000
            ",
        );
    }

    #[test]
    fn the_clocks_of_two_cores_may_be_off() {
        check_rule(
            &RULE,
            "
            10 main submit 0 READ 0x7 read.rs:8 addr=0x10000 len=64
            1000 other free 0x10000 64
            1050 main complete 0 0x7 64
            ",
        );
    }

    #[test]
    fn a_lost_completion_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main submit 0 READ 0x7 read.rs:8 addr=0x10010 len=64
            15 main lost 1 removed
            20 main free 0x10000 32                <? was freed
            ",
        );
    }

    #[test]
    fn what_another_thread_moved_may_have_been_given_out_again() {
        check_rule(
            &RULE,
            "
            10 a submit 0 READ 0x7 a.rs:8 addr=0x5000 len=64
            # It moved before that, and says so now.
            11 b realloc 0x5000 0x6000 128
            500 a complete 0 0x7 64
            ",
        );
    }

    #[test]
    fn the_kernel_may_still_use_what_flew_when_its_ring_was_dropped() {
        check_rule(
            &RULE,
            "
            10 main submit 0 READ 0x7 read.rs:8 addr=0x10000 len=64
            20 main ring-drop 0
            30 main free 0x10000 64      <- [warning suspected since:0] was freed while the operation was in flight when its ring was dropped
            ",
        );
    }
}
