//! `reused-identity`: a completion belongs to an earlier life of the address or index in its cookie.
//!
//! Fires on a completion of an operation that went in under one generation, where another generation
//! lives at its cookie by now.
//! Only suspects it where an operation of the later life is in flight with the same cookie: one of their
//! completions is the earlier one's, and nothing says which.
//! Stays silent for operations that went in without a generation, and where nothing lives there now.
//! Points at the completion.

use super::{Draft, History, Judge, Rule};
use crate::event::SiteId;
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Completed, Moment, Standing};

pub(super) static RULE: Rule = Rule {
    id: RuleId(4),
    name: "reused-identity",
    brief: "a completion belongs to an earlier life of the address or index",
    severity: Severity::Error,
    fires: "A completion brings the cookie of an operation that went in under an earlier life of the same \
            address or index. Whoever looks the cookie up finds the newcomer, and wakes or frees it for \
            an operation that was never its own.",
    silent: "The operation went in under the life that is there now, or under none that was seen; or \
             nothing lives at the cookie any more, which stale-cookie reports.",
    needs: "Leaks (or insertions into a table, recorded like leaks), submissions and completions.",
    points_at: "The completion that came back to somebody else.",
    example: "A slab entry was removed at the first completion of an operation that posts several; the \
              later ones woke whatever had got the same index since.",
    source: "tokio-rs/tokio#8112",
    advice: "Keep the entry until the last completion, or put a generation into the cookie and compare \
             it when the completion is taken.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Completed(Completed {
        event,
        operation: Some(operation),
        standing: Standing::Live(live),
        ..
    }) = moment
    else {
        return;
    };
    let Some(bound) = operation.generation.filter(|bound| *bound != live.id) else {
        return;
    };
    // Cookies of one operation name one address.
    if bound.address != live.id.address || bound.number > live.id.number {
        return;
    }
    let names = judge.names();
    let ended = operation.reclaimed.map(|(event, site)| {
        let ended = format!(", reclaimed{} while it was in flight", judge.at(site));
        (event, ended)
    });
    let message = format!(
        "the completion of {} came back to {}, leaked{}, but the operation went in under {}{}",
        judge.operation(operation),
        judge.generation(live.id),
        judge.at(live.leak_site),
        judge.generation(bound),
        ended.as_ref().map_or("", |(_, ended)| ended),
    );
    // What posts nothing when all goes well is no sure owner of a completion.
    let is_its_own = operation.sure && !operation.ambiguous;
    let mut draft = Draft::new(operation.id.subject(), *event, *event)
        .scope(operation.scope)
        .confidence(if operation.ambiguous {
            Confidence::Suspected
        } else {
            Confidence::Observed
        })
        // A second handle to the earlier life, and an operation of one before it, may be what is missing.
        .history(match operation.alive_since {
            Some(leaked) if live.is_sole_owner() && is_its_own => History::Since(leaked),
            _ => History::Whole,
        })
        .message(message)
        .evidence(operation.submit, "submitted under the earlier life")
        .evidence(live.leaked, "the later life began here")
        .evidence(*event, "taken under the later life")
        .key(operation.id)
        .key(bound)
        .key(live.id)
        .shape(names.ty(live.ty))
        .shape(names.file(live.leak_site))
        .shape(names.file(SiteId(operation.entry.site)));
    if let Some((event, _)) = ended {
        draft = draft.evidence(event, "the earlier life ended here");
    }
    // Removing an index frees nothing: what is wrong is that it is given out again.
    if live.owner == wire::record::Owner::Index {
        draft.outranks = &[7];
    }
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;
    use crate::trace::Trace;

    /// Two tables have the same indices: one on each ring, and a third ring that shares the first's.
    #[test]
    fn indices_of_two_tables_are_told_apart() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            1 main ring-create 1 sq=8 cq=16
            2 main scheme 0 index 0x8001000000000000
            2 main scheme 1 index 0x8002000000000000
            10 main leak 0x8001000000000003 Slot slab.rs:8 owner=index
            20 main submit 0 RECV 0x3 conn.rs:12
            25 main leak 0x8002000000000003 Slot slab.rs:8 owner=index
            30 main submit 1 RECV 0x3 conn.rs:12
            40 main complete 1 0x3 5
            41 main reclaim 0x8002000000000003 Slot slab.rs:20 owner=index
            45 main leak 0x8002000000000003 Slot slab.rs:8 owner=index
            50 main complete 0 0x3 5
            60 main reclaim 0x8001000000000003 Slot slab.rs:20 owner=index
            61 main leak 0x8001000000000003 Slot slab.rs:8 owner=index
            62 main submit 0 RECV 0x3 conn.rs:12
            63 main reclaim 0x8001000000000003 Slot slab.rs:20 owner=index
            64 main leak 0x8001000000000003 Slot slab.rs:8 owner=index
            65 main complete 0 0x3 5       <- [observed since:13] the completion of operation #1 (ring 0, slot 1, RECV) at conn.rs:12 came back to Slot#1 0x3@3, leaked at slab.rs:8, but the operation went in under Slot#1 0x3@2, reclaimed at slab.rs:20 while it was in flight
            ",
        );
    }

    #[test]
    fn an_index_given_out_again_in_flight() {
        let fixture = "
            10 main leak 0x3 Slot slab.rs:8 owner=index
            20 main submit 0 RECV 0x3 conn.rs:12
            30 main reclaim 0x3 Slot slab.rs:20 owner=index
            40 main leak 0x3 Slot slab.rs:8 owner=index
            50 main complete 0 0x3 5       <- the completion of operation #0 (ring 0, slot 0, RECV) at conn.rs:12 came back to Slot#1 0x3@2, leaked at slab.rs:8, but the operation went in under Slot#1 0x3@1, reclaimed at slab.rs:20 while it was in flight
            ";
        check_rule(&RULE, fixture);
        let trace = Trace::parse_text(fixture).unwrap();
        let stories = &trace.verdict().stories;
        assert_eq!(stories.len(), 1);
        assert_eq!(stories[0].head.rule, RULE.id);
    }

    #[test]
    fn a_block_recycled_where_nobody_looked() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op pool.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            40 main leak 0x1000 Op pool.rs:8
            50 main submit 0 RECV 0x1000 conn.rs:12
            60 main complete 0 0x1000 5    <- [suspected whole] came back to Op#1 0x1000@2
            70 main complete 0 0x1000 5
            ",
        );
    }

    #[test]
    fn one_life_after_the_other_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Op pool.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main complete 0 0x1000 5
            35 main reclaim 0x1000 Op pool.rs:9
            40 main leak 0x1000 Op pool.rs:8
            50 main submit 0 RECV 0x1000 conn.rs:12
            60 main complete 0 0x1000 5
            ",
        );
    }

    #[test]
    fn a_lost_completion_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x3 Slot slab.rs:8 owner=index
            20 main submit 0 RECV 0x3 conn.rs:12
            25 main lost 2 removed
            40 main leak 0x3 Slot slab.rs:8 owner=index
            50 main complete 0 0x3 5       <? came back to
            ",
        );
    }

    #[test]
    fn the_lives_of_two_addresses_are_not_one_s() {
        check_rule(
            &RULE,
            "
            1 main scheme 0 pointer
            10 main leak 0x1003 Op pool.rs:8
            20 main submit 0 RECV 0x1003 conn.rs:12
            # From now on another address is meant by it.
            30 main scheme 0 tagged 0x3
            40 main leak 0x1000 Op pool.rs:8
            50 main complete 0 0x1003 5
            ",
        );
    }

    #[test]
    fn of_a_block_taken_back_too_early_that_is_the_cause() {
        let text = "
            10 main leak 0x1000 Op pool.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main reclaim 0x1000 Op pool.rs:9
            40 main leak 0x1000 Op pool.rs:8
            50 main complete 0 0x1000 5
        ";
        let trace = Trace::parse_text(text).unwrap();
        let stories = &trace.verdict().stories;
        assert_eq!(stories.len(), 1, "{stories:#?}");
        assert_eq!(stories[0].head.rule.0, 7);
        assert_eq!(stories[0].folded[0].rule, RULE.id);
    }
}
