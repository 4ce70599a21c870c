//! `reclaimed-in-flight`: a pointer is taken back while operations that carry it owe completions.
//!
//! Fires on the reclaim that leaves a generation with fewer leases than operations in flight.
//! Fires on a ring dropped with operations in flight whose owners were taken back only afterwards, as a
//! warning: nothing in the recording says whether the kernel was done with them. Only where it had memory to use:
//! no completion comes from such a ring.
//! Fires on the free of a block that a cookie in flight points into, where the shim recorded and leaks are
//! not seen.
//! Stays silent for an owner that is made only to look at what it owns, and given away again at once (see
//! the model's `looks`); while leases are left for what is in flight, and for operations that post nothing on
//! success.
//! Points at the reclaim, or at the drop of the ring.

use std::collections::BTreeSet;

use super::{Draft, History, Judge, Key, Rule};
use crate::event::{EventId, SiteId};
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Flown, Gone, MemoryGone, Moment, Part};

pub(super) static RULE: Rule = Rule {
    id: RuleId(7),
    name: "reclaimed-in-flight",
    brief: "the owner is taken back while the kernel still owes a completion",
    severity: Severity::Error,
    fires: "A pointer is taken back while an operation that carries it still owes completions: before \
            its completion, after one with F_MORE, or before the notification of a zero-copy send. The \
            completion to come will name freed memory. As a warning: a ring is dropped with operations \
            in flight that gave the kernel memory to use, and their owners are taken back afterwards: the kernel \
            works off a closed ring in its own time.",
    silent: "It is given away again at once, on the same thread and elsewhere than it was first: that was a \
             look. Other leases remain for what is in flight (an Rc leaked once for each operation); the \
             operation was asked to post nothing when it succeeds; an update gave a poll another cookie; or the \
             ring was dropped before and nothing was left that the kernel could write to or read.",
    needs: "Leaks, reclaims, submissions and completions. Of a program without the probe: frees of the blocks \
            that cookies point into.",
    points_at: "The reclaim that came too early, or the drop of the ring.",
    example: "The keys of operations in flight were freed before the ring was closed; the kernel's later \
              completions and writes went to freed memory (malloc_consolidate: unaligned fastbin chunk).",
    source: "compio-rs/compio#942, compio-rs/compio#943",
    advice: "Cancelling is not enough: the cancelled operation completes too. Keep the owner until the \
             last completion was taken, also when its future is dropped.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    if let Moment::MemoryGone(gone) = moment {
        block_freed(gone, judge);
    }
    if let Moment::TakenBackAfterDrop { event, ring, flown } = moment {
        after_drop(*event, *ring, flown, judge);
    }
    let Moment::Reclaimed {
        event,
        until,
        site,
        generation,
        freed,
        owing,
        brought_by,
        ..
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
    let (verb, role) = if *freed {
        ("freed", "its block freed here")
    } else {
        ("reclaimed", "reclaimed here")
    };
    let message = format!(
        "{} was {verb}{} while {operation}{} still {owes}",
        names.generation(id.process, id.address, id.number),
        judge.at(*site),
        judge.at(SiteId(first.entry.site)),
    );
    // One that completes and goes on: its completions had F_MORE.
    let goes_on = first.latest_completion.filter(|_| first.completions > 0);
    let suspected = owing.iter().any(|operation| operation.ambiguous);
    let mut draft = Draft::new(id.subject(), *event, *event)
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
        .until(*until)
        .message(message)
        .evidence(generation.leaked, "leaked here")
        .evidence(first.submit, "in flight since here")
        .evidence(*event, role)
        .key(id)
        .keys(owing.iter().map(|operation| Key::from(operation.id)))
        .keys(brought_by.map(Key::from))
        .shape(names.ty(generation.ty))
        .shape(names.file(generation.leak_site))
        .shape(names.file(*site));
    if let Some(latest) = goes_on {
        draft = draft
            .evidence(
                latest,
                "its latest completion, with F_MORE: more are to come",
            )
            .advice(GOES_ON);
    }
    judge.say(draft);
}

/// What to try where completions came, none of them the last.
const GOES_ON: &str = "A completion with IORING_CQE_F_MORE is not the last: a multishot operation goes on, and of a \
                       zero-copy send the notification is to come. Take the pointer back at the one without F_MORE; \
                       to end a multishot early, cancel it and wait for that one.";
/// What to try where a ring went first.
const CLOSED_FIRST: &str = "Closing a ring only begins to cancel what is in flight; the kernel works that off in its \
                            own time, and may write to its buffers until then. Before the ring is closed, cancel what \
                            is in flight and take the last completions; then take the owners back.";

/// The block that a cookie points into was freed, as the shim sees it: nobody saw who owned it.
fn block_freed(gone: &MemoryGone<'_>, judge: &mut Judge<'_>) {
    let operation = gone.operation;
    if gone.piece.part != Part::Cookie || gone.how != Gone::Freed {
        return;
    }
    let owes = match operation.completions {
        0 => "owes its completion",
        _ => "owes further completions",
    };
    let message = format!(
        "the block that cookie {:#x} points into was freed while {}, which carries it, still {owes}: \
         that is too early if the cookie is dispatched as a pointer, and not if it is only an id",
        operation.entry.cookie,
        judge.operation(operation)
    );
    let draft = Draft::new(operation.id.subject(), gone.event, gone.event)
        .scope(operation.scope)
        // Who owns the block, and what the cookie is taken for, nobody told.
        .confidence(Confidence::Suspected)
        .history(History::Since(operation.submit))
        .message(message)
        .evidence(operation.submit, "in flight since here")
        .evidence(gone.event, "its block freed here")
        .key(operation.id)
        .shape("block freed")
        .shape(crate::names::opcode(operation.entry.opcode));
    judge.say(draft);
}

fn after_drop(
    drop: EventId,
    ring: u32,
    flown: &[(&Flown, Option<(EventId, SiteId)>)],
    judge: &mut Judge<'_>,
) {
    let Some((first, place)) = flown.first() else {
        return;
    };
    let generation = &first.generation;
    let (what, owners, them) = match flown.len() {
        1 => ("1 operation was".to_owned(), "its owner was", "it"),
        count => (
            format!("{count} operations were"),
            "their owners were",
            "them",
        ),
    };
    let message = format!(
        "ring {ring} was dropped while {what} in flight; {owners} taken back afterwards: the kernel may \
         still have been using {them}"
    );
    let last = flown
        .iter()
        .filter_map(|(_, place)| Some((*place)?.0))
        .max();
    let certain = |flown: &Flown| flown.generation.is_sole_owner() && !flown.operation.ambiguous;
    let history = if flown.iter().all(|(flown, _)| certain(flown)) {
        let oldest = flown.iter().map(|(flown, _)| flown.generation.leaked).min();
        oldest.map_or(History::Whole, History::Since)
    } else {
        History::Whole
    };
    let names = judge.names();
    // In no order but their own: which operation is in flight first differs from run to run.
    let files: BTreeSet<String> = flown
        .iter()
        .filter_map(|(_, place)| Some(names.file((*place)?.1).to_string()))
        .collect();
    let mut draft = Draft::new(generation.id.subject(), drop, last.unwrap_or(drop))
        .scope(generation.scope)
        .severity(Severity::Warning)
        .confidence(Confidence::Suspected)
        .history(history)
        .message(message)
        .evidence(generation.leaked, "leaked here")
        .evidence(first.operation.submit, "in flight since here")
        .evidence(drop, "its ring dropped here")
        .keys(
            flown
                .iter()
                .map(|(flown, _)| Key::from(flown.generation.id)),
        )
        .keys(flown.iter().map(|(flown, _)| Key::from(flown.operation.id)))
        .of_ring_drop(drop)
        .advice(CLOSED_FIRST)
        .shape("ring dropped");
    if let Some((reclaimed, _)) = place {
        draft = draft.evidence(*reclaimed, "taken back here");
    }
    for file in files {
        draft = draft.shape(file);
    }
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::{Draft, History, RULE};
    use crate::event::EventId;
    use crate::finding::{Confidence, Severity};
    use crate::recording::Capture;
    use crate::trace::Trace;

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

    /// `ManuallyDrop::new(Rc::from_raw(p))`, and `from_raw` with `into_raw`, as the probe records them.
    #[test]
    fn an_owner_that_is_made_to_be_looked_at_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn op.rs:8 owner=Rc
            20 main submit 0 TIMEOUT 0x1000 op.rs:12 op-flags=0x40
            30 main complete 0 0x1000 -62 more
            31 main reclaim 0x1000 Conn op.rs:40 owner=Rc
            32 main leak 0x1000 Conn op.rs:40 owner=Rc
            40 main complete 0 0x1000 -62 more
            # What stands between is of others.
            41 main reclaim 0x1000 Conn op.rs:40 owner=Rc
            42 main leak 0x2000 Op op.rs:50
            43 main submit 0 NOP 0x2000 op.rs:51
            44 main reclaim 0x3000 Op op.rs:52
            45 main free 0x3000 16
            46 main leak 0x1000 Conn op.rs:41 owner=Rc
            50 main complete 0 0x1000 -125
            51 main reclaim 0x1000 Conn op.rs:60 owner=Rc
            60 main complete 0 0x2000 0
            61 main reclaim 0x2000 Op op.rs:61
            ",
        );
    }

    #[test]
    fn a_look_is_not_over_because_of_what_others_do() {
        let of = |scope: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main scope-begin 1
                    2 other scope-begin 2
                    10 main leak 0x1000 Conn op.rs:8 owner=Rc
                    20 main submit 0 TIMEOUT 0x1000 op.rs:12 op-flags=0x40
                    30 main complete 0 0x1000 -62 more
                    31 main reclaim 0x1000 Conn op.rs:40 owner=Rc   {arrow}
                    32 other free 0x9000 16
                    33 other scope-end {scope}
                    34 main leak 0x1000 Conn op.rs:41 owner=Rc
                    40 main complete 0 0x1000 -125
                    41 main reclaim 0x1000 Conn op.rs:60 owner=Rc
                    "
                ),
            );
        };
        of("2", "");
        of("1", "<- was reclaimed");
    }

    /// As of a daemon, whose file is copied between the two.
    #[test]
    fn a_recording_that_ends_before_its_process_may_end_within_a_look() {
        for (end, arrow) in [
            ("end=unknown until=620000000", ""),
            ("end=unknown", "<- was reclaimed"),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    10 main leak 0x1000 Conn op.rs:8
                    20 main submit 0 RECV 0x1000 op.rs:12
                    31 main reclaim 0x1000 Conn op.rs:40      {arrow}
                    "
                ),
            );
        }
    }

    #[test]
    fn what_only_seems_a_look_is_none() {
        for (between, again) in [
            // Freed; another thread; a completion; the ring; something was lost.
            (
                "32 main free 0xff0 64",
                "main leak 0x1000 Conn op.rs:41 owner=Rc",
            ),
            (
                "32 other peek 0x1000 Conn op.rs:9 owner=Rc",
                "main leak 0x1000 Conn op.rs:41 owner=Rc",
            ),
            (
                "32 main complete 0 0x1000 -62",
                "main leak 0x1000 Conn op.rs:41 owner=Rc",
            ),
            (
                "32 main ring-drop 0",
                "main leak 0x1000 Conn op.rs:41 owner=Rc",
            ),
            // By another thread; as another owner or type; where the first one went out: a pool.
            ("", "other leak 0x1000 Conn op.rs:41 owner=Rc"),
            ("", "main leak 0x1000 Conn op.rs:41 owner=Arc"),
            ("", "main leak 0x1000 Op op.rs:41 owner=Rc"),
            ("", "main leak 0x1000 Conn op.rs:8 owner=Rc"),
            // In another file; another coroutine; after something else, where frees are not recorded.
            ("", "main leak 0x1000 Conn other.rs:41 owner=Rc"),
            (
                "32 main free 0x9000 8\n32 main resume 9",
                "main leak 0x1000 Conn op.rs:41 owner=Rc",
            ),
            ("32 main mark x", "main leak 0x1000 Conn op.rs:41 owner=Rc"),
            // That a frame returned says nothing of blocks.
            (
                "32 main stack-pointer 0x7000 0x6000",
                "main leak 0x1000 Conn op.rs:41 owner=Rc",
            ),
            ("", "main mark x"),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    10 main leak 0x1000 Conn op.rs:8 owner=Rc
                    20 main submit 0 RECV 0x1000 op.rs:12
                    31 main reclaim 0x1000 Conn op.rs:40 owner=Rc     <- [observed whole] Conn#1 0x1000@1 was reclaimed
                    {between}
                    33 {again}
                    "
                ),
            );
        }
        for lost in ["32 main lost 1 removed", "32 other lost 1 removed"] {
            check_rule(
                &RULE,
                &format!(
                    "
                    10 main leak 0x1000 Conn op.rs:8
                    20 main submit 0 RECV 0x1000 op.rs:12
                    31 main reclaim 0x1000 Conn op.rs:40      <? Conn#1 0x1000@1 was reclaimed
                    {lost}
                    33 main leak 0x1000 Conn op.rs:41
                    "
                ),
            );
        }
    }

    #[test]
    fn a_look_that_a_kill_cut_in_two_is_silent() {
        for (end, after, arrow) in [
            ("end=killed:9", "", ""),
            ("end=killed:11", "", "<- was reclaimed"),
            ("end=killed:9", "32 main mark x", "<- was reclaimed"),
            ("end=exit:0", "", "<- was reclaimed"),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    10 main leak 0x1000 Conn op.rs:8
                    20 main submit 0 RECV 0x1000 op.rs:12
                    31 main reclaim 0x1000 Conn op.rs:40      {arrow}
                    {after}
                    "
                ),
            );
        }
    }

    /// What to do is another thing than where nothing came yet.
    #[test]
    fn a_completion_that_is_not_the_last_is_shown_and_said_to_be_that() {
        let of = |lines: &str| {
            let fixture = format!(
                "
                10 main leak 0x1000 Op op.rs:8
                20 main submit 0 ACCEPT 0x1000 op.rs:12 ioprio=1
                {lines}
                40 main reclaim 0x1000 Op op.rs:40     <- reclaimed at op.rs:40
                "
            );
            check_rule(&RULE, &fixture);
            let trace = Trace::parse_text(&fixture).unwrap();
            let head = trace.verdict().stories[0].head.clone();
            let events: Vec<u64> = head.evidence.iter().map(|it| it.event.0).collect();
            (head.advice(), events)
        };
        let more = "30 main complete 0 0x1000 7 more\n31 main complete 0 0x1000 8 more";
        let (advice, events) = of(more);
        assert!(advice.contains("F_MORE"), "{advice}");
        assert_eq!(events, [0, 1, 3, 4]);
        assert_eq!(of(""), (RULE.advice, vec![0, 1, 2]));
    }

    /// A poll fires while its removal, which has its cookie, is on its way: that comes too late (EALREADY).
    #[test]
    fn whose_answer_it_is_shows_where_an_operation_and_its_end_share_a_cookie() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Op a.rs:1 owner=Rc
            11 main submit 0 POLL_ADD 0x1000 len=1
            12 main complete 0 0x1000 1 more
            20 main leak 0x1000 Op a.rs:2 owner=Rc
            21 main submit 0 POLL_REMOVE 0x1000 addr=0x1000
            22 main enter 0 1 -> 1
            23 main complete 0 0x1000 -114
            24 main reclaim 0x1000 Op a.rs:3 owner=Rc
            25 main complete 0 0x1000 1 more
            30 main leak 0x2000 Op a.rs:4
            31 main submit 0 POLL_REMOVE 0x7 addr=0x1000 len=4 off=0x2000
            32 main enter 0 1 -> 1
            33 main complete 0 0x7 0
            34 main reclaim 0x1000 Op a.rs:5 owner=Rc
            35 main complete 0 0x2000 -125
            36 main reclaim 0x2000 Op a.rs:6
            ",
        );
    }

    /// A file's server may answer what it likes; but that nobody of the name is there is rather said by who names somebody.
    #[test]
    fn who_is_to_end_an_operation_of_its_own_cookie_answers_for_itself() {
        for operation in ["READ", "SEND_ZC", "URING_CMD", "OP200"] {
            for answer in ["-2", "-114"] {
                check_rule(
                    &RULE,
                    &format!(
                        "
                        10 main leak 0x1000 Op a.rs:1 owner=Rc
                        11 main leak 0x1000 Op a.rs:2 owner=Rc
                        12 main submit 0 {operation} 0x1000 fd=3 len=64
                        20 main submit 0 ASYNC_CANCEL 0x1000 addr=0x1000
                        21 main complete 0 0x1000 {answer}
                        22 main reclaim 0x1000 Op a.rs:3 owner=Rc
                        30 main reclaim 0x1000 Op a.rs:4 owner=Rc   <- [suspected] while operation #0 (ring 0, slot 0, {operation})
                        "
                    ),
                );
            }
        }
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

    /// A poll in flight gets another cookie: whose owner waits for it is said by what the update came to.
    #[test]
    fn the_owner_that_an_update_put_in_its_place_waits_instead() {
        let of = |result: &str, old: &str, new: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    0 main ring-create 0 sq=8 cq=16
                    10 main leak 0x1000 Op op.rs:8
                    20 main submit 0 POLL_ADD 0x1000 op.rs:12
                    30 main leak 0x2000 Op op.rs:9
                    40 main submit 0 POLL_REMOVE 0x7 addr=0x1000 len=4 off=0x2000
                    41 main complete 0 0x7 {result}
                    50 main reclaim 0x1000 Op op.rs:40   {old}
                    60 main reclaim 0x2000 Op op.rs:41   {new}
                    "
                ),
            );
        };
        of(
            "0",
            "",
            "<- Op#2 0x2000@1 was reclaimed at op.rs:41 while operation #0 (ring 0, slot 0, POLL_ADD)",
        );
        // It was not there any more, or busy: its completion is to come under the old name.
        of("-114", "<- [observed] Op#1 0x1000@1 was reclaimed", "");
        // Nothing says so where it succeeds.
        check_rule(
            &RULE,
            "
            0 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 POLL_ADD 0x1000 op.rs:12
            30 main leak 0x2000 Op op.rs:9
            40 main submit 0 POLL_REMOVE 0x7 addr=0x1000 len=4 off=0x2000 skip-success
            50 main reclaim 0x1000 Op op.rs:40
            60 main complete 0 0x2000 1
            70 main reclaim 0x2000 Op op.rs:41
            ",
        );
        // Where it fails that is said, and all is as before. Nobody knows of two requests which of them was the first.
        let refused = |before: &str, back: &str, old: &str, new: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    0 main ring-create 0 sq=8 cq=16
                    10 main leak 0x1000 Op op.rs:8
                    20 main submit 0 POLL_ADD 0x1000 op.rs:12
                    30 main leak 0x2000 Op op.rs:9
                    39 main {before}
                    40 main submit 0 POLL_REMOVE 0x7 addr=0x1000 len=4 off=0x2000 skip-success
                    41 main complete 0 0x7 -114
                    42 main {back}
                    50 main reclaim 0x1000 Op op.rs:40   {old}
                    60 main reclaim 0x2000 Op op.rs:41   {new}
                    "
                ),
            );
        };
        let old = "<- [observed] Op#1 0x1000@1 was reclaimed at op.rs:40 while operation #0 (ring 0, slot 0, POLL_ADD)";
        let quiet = "submit 0 POLL_REMOVE 0x8 addr=0x1000 len=4 off=0x2000 skip-success";
        refused("mark x", "mark x", old, "");
        refused("mark x", "complete 0 0x1000 1", "", "");
        refused(quiet, "mark x", "", "");
        refused(quiet, "complete 0 0x8 -114", "", "");
        // One that fails before the next is made is out of it.
        refused(
            &format!("{quiet}\n40 main complete 0 0x8 -2"),
            "mark x",
            old,
            "",
        );
        // Which of several was meant is not said, and of more than are looked at any may be the other owner's.
        for (count, arrow) in [(2, "<- [suspected] Op#1"), (300, "")] {
            let leaks = "10 main leak 0x1000 Op op.rs:8 owner=Rc\n".repeat(count);
            let polls = "20 main submit 0 POLL_ADD 0x1000 op.rs:12\n".repeat(count);
            check_rule(
                &RULE,
                &format!(
                    "
                    0 main ring-create 0 sq=512 cq=1024
                    {leaks}
                    {polls}
                    30 main leak 0x2000 Op op.rs:9
                    40 main submit 0 POLL_REMOVE 0x7 addr=0x1000 len=4 off=0x2000
                    41 main complete 0 0x7 0
                    50 main reclaim 0x1000 Op op.rs:40 owner=Rc   {arrow}
                    "
                ),
            );
        }
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
    fn freed_where_nobody_saw_it_taken_back() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1010 Op op.rs:8 owner=Rc
            20 main submit 0 RECV 0x1010 op.rs:12
            30 main free 0x1000 40                 <- Op#1 0x1010@1 was freed while
            # Its completion was taken; another thread's clock; beside it.
            40 main leak 0x2000 Op op.rs:8
            41 main submit 0 RECV 0x2000 op.rs:12
            42 main complete 0 0x2000 5
            43 main free 0x2000 40
            50 main leak 0x3000 Op op.rs:8
            51 main submit 0 RECV 0x3000 op.rs:12
            52 other free 0x3000 40
            53 main free 0x2ff0 16
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
            # The first of a chain fails, and the second is cancelled without a word.
            40 main leak 0x2000 Op op.rs:8
            41 main submit 0 SEND 0x7 link skip-success
            42 main submit 0 RECV 0x2000 op.rs:12
            43 main complete 0 0x7 -32
            44 main reclaim 0x2000 Op op.rs:40
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

    /// No completion comes from it any more, and there is nothing that the kernel could write to.
    #[test]
    fn a_ring_dropped_before_owners_of_operations_without_memory_is_silent() {
        check_rule(
            &RULE,
            "
            process 0 end=exit:0
            10 main leak 0x1000 Op op.rs:8
            11 main leak 0x2000 Op op.rs:8
            12 main leak 0x3000 Op op.rs:8
            20 main submit 1 POLL_ADD 0x1000 op.rs:12
            21 main submit 1 TIMEOUT 0x2000 op.rs:12 addr=0x7000
            22 main submit 1 ACCEPT 0x3000 op.rs:12
            30 main ring-drop 1
            40 main reclaim 0x1000 Op op.rs:40
            41 main reclaim 0x2000 Op op.rs:40
            42 main reclaim 0x3000 Op op.rs:40
            50 main leak 0x4000 Op op.rs:8
            51 main leak 0x5000 Op op.rs:8
            52 main submit 2 POLL_ADD 0x4000 op.rs:12
            53 main submit 2 ACCEPT 0x5000 op.rs:12 addr=0x8000
            54 main ring-drop 2    <- ring 2 was dropped while 1 operation was in flight
            55 main reclaim 0x4000 Op op.rs:40
            56 main reclaim 0x5000 Op op.rs:40
            ",
        );
    }

    #[test]
    fn a_ring_dropped_before_its_owners_is_one_warning() {
        let fixture = "
            process 0 end=exit:0
            10 main leak 0x1000 Op op.rs:8
            11 main leak 0x2000 Op op.rs:8
            12 main leak 0x3000 Conn conn.rs:8
            20 main submit 1 RECV 0x1000 op.rs:12
            21 main submit 1 RECV 0x2000 op.rs:12
            22 main submit 1 RECV 0x3000 op.rs:12
            30 main ring-drop 1     <- ring 1 was dropped while 3 operations were in flight; their owners were taken back afterwards: the kernel may still have been using them
            40 main reclaim 0x1000 Op op.rs:40
            41 main reclaim 0x2000 Op op.rs:40
            42 main reclaim 0x3000 Conn op.rs:40
            ";
        check_rule(&RULE, fixture);
        let trace = Trace::parse_text(fixture).unwrap();
        let stories = &trace.verdict().stories;
        assert_eq!(stories.len(), 1, "{stories:#?}");
        let head = &stories[0].head;
        assert!(stories[0].folded.is_empty(), "{stories:#?}");
        assert_eq!(
            (head.severity, head.confidence, head.count),
            (Severity::Warning, Confidence::Suspected, 1)
        );
    }

    #[test]
    fn what_was_never_taken_back_heads_the_story_of_its_ring() {
        let trace = Trace::parse_text(
            "
            10 main leak 0x1000 Op op.rs:8
            11 main leak 0x2000 Op op.rs:8
            12 main leak 0x3000 Op op.rs:9
            13 main leak 0x4000 Op op.rs:8
            20 main submit 1 RECV 0x1000 op.rs:12
            21 main submit 1 RECV 0x2000 op.rs:12
            22 main submit 1 RECV 0x3000 op.rs:12
            23 main submit 1 RECV 0x4000 op.rs:12
            30 main ring-drop 1
            40 main reclaim 0x2000 Op op.rs:40
            ",
        )
        .unwrap();
        let stories = &trace.verdict().stories;
        assert_eq!(stories.len(), 1, "{stories:#?}");
        let parts = std::iter::once(&stories[0].head).chain(&stories[0].folded);
        let parts: Vec<_> = parts.map(|part| (part.rule.0, part.count)).collect();
        assert_eq!(parts, [(9, 2), (9, 1), (7, 1)]);
    }

    #[test]
    fn a_completion_lost_before_the_drop_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:12
            25 main lost 1 removed
            30 main ring-drop 0                    <? ring 0 was dropped
            40 main reclaim 0x1000 Op op.rs:40
            ",
        );
    }

    #[test]
    fn a_failure_is_the_loud_operations_and_not_the_quiet_ones() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Conn conn.rs:8
            11 main shared 0x1000
            12 main submit 0 SEND 0x1000 len=5 skip-success
            13 main submit 0 RECV 0x1000 len=9
            20 main complete 0 0x1000 -104
            21 main reclaim 0x1000 Conn conn.rs:9
            ",
        );
    }

    #[test]
    fn a_block_that_the_shim_saw_freed() {
        let text = "
            1 main ring-create 0 sq=8 cq=16
            2 main scope-begin 5
            10 main submit 0 RECV 0x10010 op.rs:12
            20 main free 0x10000 64
            30 main submit 0 ACCEPT 0x20010 op.rs:12 ioprio=1
            31 main complete 0 0x20010 7 more
            32 main free 0x20000 64
            # What it points at is another rule's; a mapping is no block.
            40 main submit 0 READ 0x30010 op.rs:12 addr=0x90000 len=64
            41 main free 0x90000 64
            42 main unmap 0x30000 4096
            # Nor is the block of a cookie that an update took away.
            50 main submit 0 POLL_ADD 0x40010 op.rs:12
            51 main submit 0 POLL_REMOVE 0x7 addr=0x40010 len=4 off=0x50010
            52 main complete 0 0x7 0
            53 main free 0x40000 64
            200 main mark x
        ";
        let found = |capture| {
            let (mut recording, events) = crate::text::parse(text).unwrap();
            recording.processes[0].capture = capture;
            let facts = crate::model::Facts::survey(&recording, &events);
            let judged = crate::model::judge(&recording, &facts, &events, &|_| {});
            let drafts = judged.drafts.into_iter();
            let of_rule = drafts.filter(|draft| draft.finding.rule == RULE.id);
            of_rule.collect::<Vec<_>>()
        };
        let drafts = found(Capture::Preload);
        let messages: Vec<&str> = drafts
            .iter()
            .map(|draft| draft.finding.message.as_str())
            .collect();
        assert_eq!(
            messages,
            [
                "the block that cookie 0x10010 points into was freed while operation #0 (ring 0, slot 0, \
                 RECV) at op.rs:12, which carries it, still owes its completion: that is too early if the cookie \
                 is dispatched as a pointer, and not if it is only an id",
                "the block that cookie 0x20010 points into was freed while operation #1 (ring 0, slot 1, \
                 ACCEPT) at op.rs:12, which carries it, still owes further completions: that is too early if the \
                 cookie is dispatched as a pointer, and not if it is only an id",
            ]
        );
        let rests: Vec<History> = drafts.iter().map(|draft| draft.history).collect();
        assert_eq!(rests, [2, 4].map(|event| History::Since(EventId(event))));
        assert!(drafts.iter().all(|draft| draft.finding.scope == 5));
        let sure = |draft: &Draft| draft.finding.confidence == Confidence::Suspected;
        assert!(drafts.iter().all(sure));
        // Who owns a cookie the probe knows from leaks, and from them alone.
        assert!(found(Capture::Linked).is_empty());
    }

    #[test]
    fn what_must_be_known_depends_on_who_may_hold_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            11 main submit 0 RECV 0x1000 op.rs:12
            12 main reclaim 0x1000 Op op.rs:40             <- [observed since:0] Op#1
            20 main leak 0x2000 Op op.rs:8 owner=Rc
            21 main submit 0 RECV 0x2000 op.rs:12
            22 main reclaim 0x2000 Op op.rs:40 owner=Rc    <- [observed whole] Op#2
            # Of two with one cookie it may be the other that is complete.
            30 main leak 0x3000 Op op.rs:8
            31 main submit 0 RECV 0x3000 op.rs:12
            32 main submit 0 RECV 0x3000 op.rs:12
            33 main complete 0 0x3000 5
            34 main reclaim 0x3000 Op op.rs:40             <- [suspected whole] Op#3
            ",
        );
    }

    #[test]
    fn what_must_be_known_of_what_flew_when_its_ring_was_dropped() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            11 main submit 0 RECV 0x1000 op.rs:12
            12 main ring-drop 0                            <- [warning suspected since:0] ring 0 was dropped
            13 main reclaim 0x1000 Op op.rs:40
            20 main leak 0x2000 Op op.rs:8 owner=Rc
            21 main submit 1 RECV 0x2000 op.rs:12
            22 main ring-drop 1                            <- [warning suspected whole] ring 1 was dropped
            23 main reclaim 0x2000 Op op.rs:40 owner=Rc
            30 main leak 0x3000 Op op.rs:8
            31 main submit 2 RECV 0x3000 op.rs:12
            32 main submit 2 RECV 0x3000 op.rs:12
            33 main complete 2 0x3000 5
            34 main ring-drop 2                            <- [warning suspected whole] ring 2 was dropped
            35 main reclaim 0x3000 Op op.rs:40
            ",
        );
    }

    #[test]
    fn cookies_with_tags_are_its_own_however_many_bits_they_have() {
        for (tags, cookie) in [
            ("0x7", "0x10005"),
            ("0x3ff", "0x10201"),
            ("0x3ff", "0x10000"),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main scheme 0 tagged {tags}
                    10 main leak 0x10000 Op op.rs:8
                    11 main leak 0x20000 Op op.rs:8
                    20 main submit 0 RECV 0x20000 op.rs:12
                    21 main submit 0 RECV {cookie} op.rs:12
                    30 main reclaim 0x10000 Op op.rs:40     <- [observed since:1] while operation #1 (ring 0, slot 1, RECV) at op.rs:12 still owes its completion
                    "
                ),
            );
        }
    }
}
