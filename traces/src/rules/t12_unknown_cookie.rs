//! `unknown-cookie`: a word travels that stands for nothing.
//!
//! Fires on a completion whose cookie was never leaked, submitted or declared, on a ring whose cookies
//! are pointers; and on a submission with such a word where a scheme declares pointers, or the keys of one table.
//! Stays silent for zero (`unset-cookie`), for words with cut bits (`truncated-cookie`), for cookies that
//! nobody set (`leftover-cookie`), for sentinels and messages, and where it does not know enough of the
//! ring or of the cookie's past.
//! Only suspects completions where nothing but other cookies shows that cookies are pointers.
//! Points at the submission, else at the completion.

use wire::record::CookieState;

use super::{Draft, Judge, Rule};
use crate::event::SiteId;
use crate::finding::{Confidence, RuleId, Severity, Subject};
use crate::model::{Moment, Pointers, Standing, Stray, Submitted};

pub(super) static RULE: Rule = Rule {
    id: RuleId(12),
    name: "unknown-cookie",
    brief: "a cookie was never leaked, submitted or declared",
    severity: Severity::Error,
    fires: "A completion brings a word that was never leaked, submitted or declared, on a ring whose \
            cookies are pointers: somebody will take it for one. Where a scheme declares pointers, a \
            submission with a word that was never leaked is reported at once; so is a key that its table never \
            gave out, where keys of one table are declared.",
    silent: "The word is a declared sentinel or a message from another ring; it was submitted on this \
             ring; it is zero, a part of a leaked pointer, or, among keys, a word with its highest bit set; or the ring was made before the recording \
             began. All that uses the ring must be recorded: completions of operations that a library \
             submits behind the probe are unknown too. So are messages sent without a ring.",
    needs: "The ring's creation, leaks, submissions and completions.",
    points_at: "The submission with that word, else the completion.",
    example: "\"Bad cqe data\" was seen for years. One cause was found: two ways of reading share a ring, \
              and one takes the other's completions and reads their cookies as its own objects.",
    source: "facebook/rocksdb#8894, facebook/rocksdb#14158",
    advice: "Find who else submits on this ring. Words that stand for nobody on purpose are declared as \
             sentinels.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::Stray(stray) => completion(stray, judge),
        Moment::Submitted(submitted) => submission(submitted, judge),
        _ => {}
    }
}

fn completion(stray: &Stray<'_>, judge: &mut Judge<'_>) {
    let Stray {
        event,
        place: (process, ring, scope),
        cookie,
        past: None,
        elsewhere: None,
        standing: Standing::Unknown,
        pointers,
        cut_of: None,
        forgotten: false,
        ..
    } = stray
    else {
        return;
    };
    let confidence = match pointers {
        Pointers::Declared => Confidence::Observed,
        Pointers::Proved(_) => Confidence::Suspected,
        Pointers::No => return,
    };
    if *cookie == 0 {
        return;
    }
    let subject = Subject::Cookie {
        process: *process,
        ring: *ring,
        cookie: *cookie,
    };
    let mut draft = Draft::new(subject, *event, *event)
        .scope(*scope)
        .confidence(confidence)
        .message(format!(
            "a completion on ring {ring} brought {cookie:#x}, which was never leaked, submitted or \
             declared"
        ))
        .evidence(*event, "a word that nobody knows")
        .shape("reaped");
    if let Pointers::Proved(leak) = pointers {
        draft = draft.evidence(*leak, "a pointer that is a cookie here");
    }
    judge.say(draft);
}

fn submission(submitted: &Submitted<'_>, judge: &mut Judge<'_>) {
    let Submitted {
        operation,
        standing: Standing::Unknown,
        shared: false,
        sentinel: false,
        pointers,
        keys,
        cut_of: None,
        ..
    } = submitted
    else {
        return;
    };
    let entry = &operation.entry;
    let set = matches!(
        operation.cookie_state,
        CookieState::Set | CookieState::Unknown
    );
    if entry.cookie == 0 || !set || operation.ring_kind.is_none() {
        return;
    }
    let what = match pointers {
        Pointers::Declared => {
            "is no leaked pointer, though cookies are declared to be pointers here"
        }
        // Nobody has so large a key: a sentinel that was not declared.
        _ if *keys && entry.cookie >> 63 == 0 => {
            "is no key that its table ever gave out, though cookies are declared to be its keys here"
        }
        _ => return,
    };
    let site = SiteId(entry.site);
    let message = format!(
        "{} went in with {:#x}, which {what}",
        judge.operation(operation),
        entry.cookie
    );
    let draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .message(message)
        .evidence(operation.submit, "submitted with a word that nobody knows")
        .key(operation.id)
        .shape("submitted")
        .shape(crate::names::opcode(entry.opcode))
        .shape(judge.names().file(site));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn a_completion_of_a_stranger() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main complete 0 0x7000 5     <- [suspected whole] a completion on ring 0 brought 0x7000, which was never leaked, submitted or declared
            ",
        );
    }

    #[test]
    fn a_key_that_the_table_never_gave_out() {
        let of = |table: &str, key: &str, more: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main ring-create 0 sq=8 cq=16
                    2 main scheme 0 index {table}
                    10 main leak 0x8001000000000004 Slot slab.rs:8 owner=index
                    {more}
                    20 main submit 0 NOP {key} op.rs:9      {arrow}
                    21 main complete 0 {key} 0
                    30 main reclaim 0x8001000000000004 Slot slab.rs:20 owner=index
                    "
                ),
            );
        };
        let table = "0x8001000000000000";
        let said = "<- [error observed whole] operation #0 (ring 0, slot 0, NOP) at op.rs:9 went in with 0x5, which is no key that its table ever gave out";
        of(table, "0x5", "", said);
        of(table, "0x5", "11 main lost 1 removed", "<? is no key");
        of(table, "0x4", "", "");
        // A sentinel, declared or not; a key of before; keys of anybody; a table that says nothing.
        of(table, "0x5", "11 main scheme 0 sentinel 0x5", "");
        of(table, "0xffffffffffffffff", "", "");
        let before = "11 main leak 0x8001000000000005 Slot slab.rs:8 owner=index
            12 main reclaim 0x8001000000000005 Slot slab.rs:9 owner=index";
        of(table, "0x5", before, "");
        of("0x0", "0x5", "", "");
        of(
            table,
            "0x5",
            "11 main scheme 0 index 0x8002000000000000",
            "",
        );
        of("0x8002000000000000", "0x5", "", "");
    }

    #[test]
    fn a_word_that_is_no_pointer_though_pointers_are_declared() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main scheme 0 pointer
            20 main submit 0 RECV 0x7000 op.rs:9   <- [observed whole] operation #0 (ring 0, slot 0, RECV) at op.rs:9 went in with 0x7000, which is no leaked pointer
            30 main complete 0 0x7000 5
            ",
        );
    }

    #[test]
    fn known_words_are_silent() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main ring-create 1 sq=8 cq=16
            3 main scheme 0 sentinel 0xffff
            4 main scheme 1 index
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:9
            # Submitted, so somebody knows it; a sentinel; an index; nobody's; a ring from before.
            21 main submit 0 NOP 0x7
            22 main complete 0 0x7 0
            22 main complete 0 0x7 0
            23 main complete 0 0xffff 0
            24 main complete 1 0x7000 0
            25 main complete 0 0x0 0
            26 main complete 5 0x7000 0
            # A message from the other ring.
            30 main submit 1 MSG_RING 0x9 off=0x8000
            31 main complete 0 0x8000 5
            ",
        );
    }

    #[test]
    fn a_ring_without_pointers_has_no_unknown_words() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            21 main submit 0 NOP 0x7
            22 main complete 0 0x8 0
            ",
        );
    }

    #[test]
    fn a_lost_submission_could_explain_it() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main lost 1 removed
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main complete 0 0x7000 5     <? brought 0x7000
            ",
        );
    }

    #[test]
    fn words_that_somebody_knows_are_other_rules_() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main ring-create 1 sq=8 cq=16
            3 main scheme 0 pointer
            10 main leak 0x55d0c2e01040 Op op.rs:8
            # Of a stranger, where pointers are declared.
            20 main complete 0 0x7000 0          <- [observed whole] brought 0x7000
            # One too many; in flight on another ring; alive, and cut.
            30 main submit 0 NOP 0x0 set
            31 main leak 0x9000 Op op.rs:8
            32 main submit 0 NOP 0x9000
            33 main complete 0 0x9000 0
            34 main complete 0 0x9000 0
            35 main submit 1 NOP 0xa000
            36 main complete 0 0xa000 0
            37 main leak 0xb000 Op op.rs:8
            38 main complete 0 0xb000 0
            39 main complete 0 0xc2e01040 0
            ",
        );
    }

    #[test]
    fn submissions_that_other_rules_speak_of_or_nobody_does() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main scheme 0 pointer
            3 main scheme 1 pointer
            4 main scheme 0 sentinel 0x8000
            5 main shared 0x7000
            10 main leak 0x55d0c2e01040 Op op.rs:8
            # Shared, a sentinel, dead, cut, none, nobody set it, and a ring that was not seen to be made.
            20 main submit 0 NOP 0x7000
            21 main submit 0 NOP 0x8000
            22 main leak 0x9000 Op op.rs:8
            23 main reclaim 0x9000 Op op.rs:8
            24 main submit 0 NOP 0x9000
            25 main submit 0 NOP 0xc2e01040
            26 main submit 0 NOP 0x0 set
            27 main submit 0 NOP 0xa000 poisoned
            28 main submit 1 NOP 0xb000
            ",
        );
    }

    #[test]
    fn a_word_that_may_be_forgotten_is_silent() {
        let mut text = String::from(
            "
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Op op.rs:8
            20 main submit 0 RECV 0x1000 op.rs:9
            30 main submit 0 NOP 0x7000
            30 main complete 0 0x7000 0
            ",
        );
        for cookie in 0..300 {
            let cookie = 0x8000 + 16 * cookie;
            text +=
                &format!("30 main submit 0 NOP {cookie:#x}\n30 main complete 0 {cookie:#x} 0\n");
        }
        check_rule(&RULE, &format!("{text}40 main complete 0 0x7000 0"));
    }
}
