//! `stranded-submission`: an entry was pushed, and the kernel never got it, or got one that nobody wrote.
//!
//! Fires on a reclaim of what an entry carries that the kernel has not taken; on a ring dropped with
//! entries that it never took; on entries that two enters left behind although they took all they
//! offered. Suspects a slot that went in again exactly as it was, with a cookie that cannot be meant: its owner never
//! filled it, or once more with the same. Of one whose cookie is known not to be set T02 tells, and says so there.
//! Stays silent on rings of which not all enters are recorded, that are entered by several threads, or
//! whose entries a thread of the kernel takes.
//! Points at the submission.

use wire::payload::Submit;
use wire::record::{CookieState, RingKind};

use super::{Draft, History, Judge, Key, Rule};
use crate::event::{EventId, SiteId};
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Lap, Moment, Operation};

pub(super) static RULE: Rule = Rule {
    id: RuleId(18),
    name: "stranded-submission",
    brief: "an entry was pushed and the kernel never got it, or got one that nobody filled",
    severity: Severity::Error,
    fires: "An entry waits in the submission queue and the kernel never took it: its owner is taken back \
            meanwhile, its ring is dropped, or later enters offer too few and leave it behind. Suspected of a \
            slot that goes in as it was, with the cookie of an owner that is gone or busy: nobody filled \
            it, and the old operation runs again.",
    silent: "Not all enters of the ring are recorded, several threads enter it, or the kernel polls the \
             queue; what is pushed when a process ends may be about to go. Of a slot as it was whose cookie \
             nobody set, T02 tells.",
    needs: "Submissions and enters.",
    points_at: "The submission.",
    example: "An enter failed with EBUSY; the next one counted what to submit from the program's own \
              tail, and the entries in between were never offered again.",
    source: "MDA2AV/ioxide#107, alibaba/PhotonLibOS#1270, DataDog/glommio commit e5e2083",
    advice: "Count what to submit from the kernel's head; after a failed enter, keep the owners of what \
             is still queued; turn a claimed slot that is not needed into a NOP.",
    check,
};

/// Enters that left an entry behind after which it is taken to be lost.
const PASSES: u32 = 2;

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::Reclaimed {
            event,
            until,
            site,
            generation,
            stranded: true,
            owing,
            ..
        } => {
            let Some(operation) = owing.first() else {
                return;
            };
            let why = format!(
                "{} was reclaimed{} before the kernel took it: the next enter submits it",
                judge.generation(generation.id),
                judge.at(*site)
            );
            let draft = draft(operation, *event, "reclaimed", &why, judge)
                .until(*until)
                .evidence(*event, "its owner reclaimed here")
                .key(generation.id);
            judge.say(draft);
        }
        Moment::NeverTaken {
            operation,
            passed_by,
            dropped,
            until,
        } => {
            if operation.sure && dropped.is_some() {
                let why = "its ring was dropped before the kernel took it";
                let draft = draft(operation, *until, "ring dropped", why, judge)
                    .evidence(*until, "its ring dropped here");
                judge.say(draft);
            } else if *passed_by >= PASSES {
                let why = format!(
                    "{passed_by} enters took all that they offered, and it was not among it"
                );
                judge.say(draft(operation, *until, "left behind", &why, judge));
            }
        }
        Moment::Settled {
            operation,
            dead_at_submit,
        } => unfilled(operation, *dead_at_submit, judge),
        _ => {}
    }
}

fn draft(
    operation: &Operation,
    seen_at: EventId,
    shape: &str,
    why: &str,
    judge: &Judge<'_>,
) -> Draft {
    Draft::new(operation.id.subject(), operation.submit, seen_at)
        .scope(operation.scope)
        // What is queued follows from all submissions and enters that there were.
        .history(History::Whole)
        .message(format!(
            "{} was pushed, and {why}",
            judge.operation(operation)
        ))
        .evidence(operation.submit, "pushed here")
        .key(operation.id)
        .keys(operation.generation.map(Key::from))
        .shape(shape)
        .shape(crate::names::opcode(operation.entry.opcode))
        .shape(judge.names().file(SiteId(operation.entry.site)))
}

/// The operation that is in a slot once more to the last bit, where that tells anything: an entry without an address
/// or a descriptor is the same without being the old one.
pub(super) fn again(operation: &Operation) -> Option<&Lap> {
    let lap = operation.lap.as_deref()?;
    let entry = &operation.entry;
    let old = Submit {
        sequence: entry.sequence,
        site: entry.site,
        ..lap.entry
    };
    let telling = entry.addr != 0 || entry.fd >= 0;
    (*entry == old && telling).then_some(lap)
}

/// A slot that went in exactly as it was on its previous lap, with a cookie that cannot be meant. That one was set is
/// known of some, and that it was not of others: of these T02 tells.
fn unfilled(operation: &Operation, dead_at_submit: bool, judge: &mut Judge<'_>) {
    let shown = dead_at_submit || operation.exceeds;
    let is_filled_in_place = operation.ring_kind == Some(RingKind::InPlace);
    let nothing_known = operation.cookie_state == CookieState::Unknown;
    let Some(lap) = again(operation).filter(|_| shown && is_filled_in_place && nothing_known)
    else {
        return;
    };
    let why = format!(
        "is what its slot held before, as operation #{}: nobody filled it, or with the very same",
        lap.sequence
    );
    let message = format!("{} {why}", judge.operation(operation));
    let draft = draft(operation, operation.submit, "unfilled", &why, judge)
        .confidence(Confidence::Suspected)
        .message(message)
        .evidence(lap.submit, "the operation that runs again");
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn reclaimed_before_the_enter() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:12     <- operation #0 (ring 0, slot 0, RECV) at op.rs:12 was pushed, and Op#1 0x1000@1 was reclaimed at op.rs:30 before the kernel took it
            30 main reclaim 0x1000 Op op.rs:30
            40 main enter 0 1 -> 1
            ",
        );
    }

    #[test]
    fn dropped_with_its_ring() {
        check_rule(
            &RULE,
            "
            20 main submit 0 RECV 0x1000 op.rs:12
            30 main enter 0 1 -> 1
            40 main submit 0 RECV 0x1000 op.rs:13     <- its ring was dropped before the kernel took it
            50 main ring-drop 0
            ",
        );
    }

    #[test]
    fn left_behind_by_enters_that_offer_too_few() {
        check_rule(
            &RULE,
            "
            10 main submit 0 NOP 0x1 op.rs:12
            11 main submit 0 NOP 0x2 op.rs:12
            12 main submit 0 NOP 0x3 op.rs:12     <- 2 enters took all that they offered, and it was not among it
            20 main enter 0 3 -> -16
            30 main enter 0 1 -> 1
            40 main enter 0 1 -> 1
            ",
        );
    }

    #[test]
    fn ordinary_queues_are_silent() {
        check_rule(
            &RULE,
            "
            process 0 end=killed:9
            10 main submit 0 NOP 0x1
            11 main enter 0 1 -> 1
            # Waits only, a failed enter that is made up for, what is about to go.
            12 main submit 0 NOP 0x2
            13 main enter 0 0 -> 0
            14 main enter 0 0 -> 0
            15 main enter 0 1 -> -16
            16 main enter 0 1 -> 1
            17 main submit 0 NOP 0x3
            ",
        );
    }

    #[test]
    fn where_not_all_enters_are_seen_nothing_is_known() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            11 main submit 0 NOP 0x7
            12 main complete 0 0x7 0
            20 main submit 0 RECV 0x1000 op.rs:12
            30 main reclaim 0x1000 Op op.rs:30
            40 main enter 0 1 -> 1
            ",
        );
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:12
            30 main reclaim 0x1000 Op op.rs:30
            40 other enter 0 1 -> 1
            ",
        );
    }

    #[test]
    fn a_lost_enter_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:12     <? was pushed
            25 main lost 1 removed
            30 main reclaim 0x1000 Op op.rs:30
            40 main enter 0 1 -> 1
            ",
        );
    }

    #[test]
    fn one_that_posts_nothing_may_have_ended_in_silence() {
        check_rule(
            &RULE,
            "
            20 main submit 0 RECV 0x1000 op.rs:12
            30 main enter 0 1 -> 1
            40 main submit 0 CLOSE 0x1000 op.rs:13 skip-success
            50 main ring-drop 0
            ",
        );
    }

    /// A slot that went in once more as it was; `claimed` is what is known of its cookie.
    fn once_more(kind: &str, between: &str, claimed: &str, arrow: &str) {
        check_rule(
            &RULE,
            &format!(
                "
                1 main ring-create 0 sq=1 cq=2 {kind}
                10 main leak 0x1000 Op op.rs:8
                20 main submit 0 READ 0x1000 op.rs:9 addr=0x10000 len=64 fd=5
                {between}
                50 main submit 0 READ 0x1000 op.rs:9 {claimed} addr=0x10000 len=64 fd=5   {arrow}
                "
            ),
        );
    }

    #[test]
    fn a_slot_that_nobody_filled_is_suspected_by_a_word_that_cannot_be_meant() {
        let arrow = "<- [suspected whole] operation #1 (ring 0, slot 0, READ) at op.rs:9 is what its slot held before, as operation #0: nobody filled it, or with the very same";
        let gone = "30 main complete 0 0x1000 64\n40 main reclaim 0x1000 Op op.rs:10";
        once_more("in-place", gone, "", arrow);
        once_more("in-place", "", "", arrow);
        // Its owner is alive and free again: it may well read on.
        once_more("in-place", "40 main complete 0 0x1000 64", "", "");
        // Filled it was: whole entries go into such a ring, and a cookie is set in a slot.
        once_more("copied", gone, "", "");
        once_more("in-place", gone, "set", "");
        // A leak of another owner at that address may be missing.
        let lost = format!("{gone}\n45 main lost 1 removed");
        once_more("in-place", &lost, "", "<? is what its slot held before");
    }

    /// A log writer sets no cookie of the fsync behind each write, and fills every slot.
    #[test]
    fn a_slot_filled_again_with_the_same_is_told_of_by_the_cookie_that_nobody_set() {
        for state in ["poisoned", "leftover"] {
            let gone = "30 main complete 0 0x1000 64\n40 main reclaim 0x1000 Op op.rs:10";
            once_more("in-place", gone, state, "");
        }
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=1 cq=2 in-place
            20 main submit 0 FSYNC 0x5 log.c:9 set fd=5
            30 main complete 0 0x5 0
            50 main submit 0 FSYNC 0x5 log.c:9 poisoned fd=5
            ",
        );
    }
}
