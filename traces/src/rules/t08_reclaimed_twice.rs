//! `reclaimed-twice`: a pointer is taken back that was taken back already.
//!
//! Fires on a reclaim of an address whose newest generation ended.
//! Stays silent for addresses that were never leaked within the recording: they were leaked before it.
//! Points at the second reclaim.

use super::t03_stale_cookie::history;
use super::{Draft, Judge, Key, Rule};
use crate::event::SiteId;
use crate::finding::{RuleId, Severity};
use crate::model::Moment;

pub(super) static RULE: Rule = Rule {
    id: RuleId(8),
    name: "reclaimed-twice",
    brief: "one leak, two reclaims",
    severity: Severity::Error,
    fires: "Ownership is taken back from a raw pointer once more than it was given away. With other \
            handles alive nothing crashes: the count is one too low, and the object dies too early.",
    silent: "The address was leaked again in between, or was never leaked within the recording; or there is \
             no block: boxes of nothing share one address.",
    needs: "Leaks and reclaims of the pointer.",
    points_at: "The second reclaim.",
    example: "A cancellation freed the buffer of an operation, and the completion freed it again; both \
              came from destructors.",
    source: "ringbahn/ringbahn#16, ringbahn/ringbahn#25",
    advice: "One of the two places must only look (borrow the pointer, or forget the owner again). The \
             biography shows which completion led to which reclaim.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::ReclaimedDead {
        event,
        site,
        dead,
        owned: true,
        brought_by,
        ..
    } = moment
    else {
        return;
    };
    let names = judge.names();
    let generation = &dead.generation;
    let id = generation.id;
    // One operation ever carried it, its one completion was the last that brought it, and one place took it back
    // twice.
    let flight = generation.flight();
    let single = flight.reaped.zip(*brought_by).filter(|(_, operation)| {
        flight.operations == 1 && flight.operation == Some(*operation) && *site == dead.reclaim_site
    });
    let single = single.filter(|_| *site != SiteId(0) && generation.handed == 1);
    let dispatched = single.map_or(String::new(), |(_, operation)| {
        let number = operation.sequence;
        format!(": the one completion of operation #{number} was dispatched twice")
    });
    let message = format!(
        "{}, leaked{} and reclaimed{}, was reclaimed again{}{dispatched}",
        names.generation(id.process, id.address, id.number),
        judge.at(generation.leak_site),
        judge.at(dead.reclaim_site),
        judge.at(*site),
    );
    let mut draft = Draft::new(id.subject(), *event, *event)
        .scope(generation.scope)
        .history(history(dead))
        .message(message)
        .evidence(generation.leaked, "leaked here")
        .evidence(dead.reclaimed, "reclaimed here")
        .evidence(*event, "reclaimed again here")
        .key(id)
        .keys(brought_by.map(Key::from))
        .shape(names.ty(generation.ty))
        .shape(names.file(dead.reclaim_site))
        .shape(names.file(*site));
    if let Some((reaped, operation)) = single {
        draft = draft
            .evidence(reaped.event, "the one completion")
            .of_fault("dispatched twice", operation.ring)
            .advice(TWICE);
    }
    judge.say(draft);
}

/// What to try where one completion was dispatched twice.
const TWICE: &str = "Look at the loop that goes through a batch of completions: it must hand each of them on once, and \
                     the queue's head must have moved past them before the next look.";

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;
    use crate::trace::Trace;

    #[test]
    fn second_reclaim_is_reported() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8 owner=Rc
            20 main reclaim 0x1000 Op op.rs:40 owner=Rc
            30 main reclaim 0x1000 Op op.rs:50 owner=Rc   <- Op#1 0x1000@1, leaked at op.rs:8 and reclaimed at op.rs:40, was reclaimed again at op.rs:50
            ",
        );
    }

    /// The shim's lane, and what probes of the functions tell of the same thread.
    const PROBED: &str = "
            process 0 pid=77 start=9 capture=preload end=exit:0
            process 1 pid=77 start=9 capture=uprobes
            lane main tid=77
            lane calls process=1 tid=77";

    #[test]
    fn where_calls_are_all_that_is_known_only_a_free_shows_that_the_first_one_took_it() {
        let free = "40 main free 0x1000 24";
        let text = |free: &str, arrow: &str| {
            format!(
                "{PROBED}
                10 calls leak 0x1010 Conn conn.rs:8 owner=Rc
                20 calls reclaim 0x1010 Conn conn.rs:20 owner=Rc
                # That was a look, or the next one is.
                30 calls reclaim 0x1010 Conn conn.rs:30 owner=Rc
                {free}
                50 calls reclaim 0x1010 Conn conn.rs:50 owner=Rc  {arrow}
                "
            )
        };
        let arrow = "<- [observed] Conn#1 0x1010@1, leaked at conn.rs:8 and reclaimed at conn.rs:30, was reclaimed again at conn.rs:50";
        check_rule(&RULE, &text(free, arrow));
        check_rule(&RULE, &text("", ""));
        let forgotten = "40 main free 0x1000 24\n41 calls peek 0x1010 Conn conn.rs:41 owner=Rc";
        check_rule(&RULE, &text(forgotten, ""));
        let leaked_again = "40 calls leak 0x1010 Conn conn.rs:8 owner=Rc";
        check_rule(&RULE, &text(leaked_again, ""));
    }

    #[test]
    fn by_one_place_for_one_completion() {
        let is_said = |second: &str, between: &str| {
            let fixture = format!(
                "
                1 main ring-create 0 sq=8 cq=16
                10 main leak 0x1000 Op op.rs:8
                20 main submit 0 RECV 0x1000 op.rs:9
                30 main complete 0 0x1000 5
                40 main reclaim 0x1000 Op op.rs:40
                {between}
                50 main reclaim 0x1000 Op op.rs:{second}   <- was reclaimed again at op.rs:{second}
                "
            );
            check_rule(&RULE, &fixture);
            let trace = Trace::parse_text(&fixture).unwrap();
            let mut all = trace.verdict().stories.iter().flat_map(|it| {
                let folded = it.folded.iter();
                std::iter::once(&it.head).chain(folded)
            });
            let said = "the one completion of operation #0 was dispatched twice";
            all.any(|it| it.message.contains(said) && it.advice() != RULE.advice)
        };
        assert!(is_said("40", ""));
        // Another place, or another completion.
        assert!(!is_said("41", ""));
        assert!(!is_said("40", "45 main complete 0 0x1000 5"));
    }

    #[test]
    fn a_lease_for_each_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8 owner=Rc
            11 main retain 0x1000 Op op.rs:9 owner=Rc
            20 main reclaim 0x1000 Op op.rs:40 owner=Rc
            30 main release 0x1000 Op op.rs:50 owner=Rc
            40 main leak 0x1000 Op op.rs:8 owner=Rc
            50 main reclaim 0x1000 Op op.rs:40 owner=Rc
            ",
        );
    }

    #[test]
    fn what_was_leaked_before_the_recording_is_silent() {
        check_rule(
            &RULE,
            "10 main reclaim 0x1000 Op op.rs:40\n20 main reclaim 0x1000 Op op.rs:40",
        );
    }

    #[test]
    fn a_lost_leak_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op op.rs:8
            20 main reclaim 0x1000 Op op.rs:40
            25 other leak 0x9000 Op op.rs:8
            26 other lost 3 full
            27 other reclaim 0x9000 Op op.rs:8
            30 main reclaim 0x1000 Op op.rs:50   <? was reclaimed again
            ",
        );
    }

    #[test]
    fn a_loss_that_was_over_before_explains_nothing() {
        check_rule(
            &RULE,
            "
            1 main lost 100 overwritten
            10 main leak 0x1000 Op op.rs:8
            20 main reclaim 0x1000 Op op.rs:40
            30 main reclaim 0x1000 Op op.rs:50   <- was reclaimed again
            ",
        );
    }

    #[test]
    fn owners_of_nothing_share_an_address() {
        check_rule(
            &RULE,
            "
            10 main leak 0x8 () size=0 align=8 a.rs:8
            11 main leak 0x8 Other size=0 align=8 b.rs:8
            12 main leak 0x8 u64 size=0 align=8 c.rs:8 owner=Vec
            20 main reclaim 0x8 () size=0 align=8 a.rs:9
            21 main reclaim 0x8 Other size=0 align=8 b.rs:9
            22 main reclaim 0x8 u64 size=0 align=8 c.rs:9 owner=Vec
            # One that was given away where nobody looked.
            30 main reclaim 0x8 () size=0 align=8 a.rs:9
            # An index is none of them.
            40 main leak 0x8 Slot slab.rs:8 owner=index
            41 main leak 0x8 () size=0 align=8 a.rs:8
            42 main reclaim 0x8 () size=0 align=8 a.rs:9
            43 main reclaim 0x8 Slot slab.rs:9 owner=index
            ",
        );
    }

    #[test]
    fn a_count_that_was_lowered_once_too_often_is_another_rule_s() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Task task.rs:8 owner=Arc
            20 main reclaim 0x1000 Task task.rs:20 owner=Arc
            21 main release 0x1000 Task task.rs:21 owner=Arc
            ",
        );
    }
}
