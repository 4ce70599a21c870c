//! `truncated-cookie`: a word travels that is a part of a leaked pointer.
//!
//! Fires on a submission or a completion whose cookie is a live pointer without its high half, or, where a
//! scheme declares untagged pointers, one with other low bits; and on a cancellation, removal or update
//! that names an operation in flight by half of its cookie.
//! Stays silent for small numbers, for whole words, and for low bits where nobody said that there are none.
//! Points at the submission, else at the completion.

use super::{Draft, History, Judge, Rule};
use crate::event::SiteId;
use crate::finding::{RuleId, Severity, Subject};
use crate::model::{Cancels, Generation, Moment, Standing, Stray, Submitted};

pub(super) static RULE: Rule = Rule {
    id: RuleId(25),
    name: "truncated-cookie",
    brief: "a cookie is a part of a leaked pointer",
    severity: Severity::Error,
    fires: "A cookie is what is left of a leaked pointer: its high half is gone (with or without its tag), or \
            its low bits are not those of the pointer. The same for the cookie by which a cancellation names its target, which \
            then is not found.",
    silent: "The word is a small number, or is itself a leaked pointer; low bits may be tags where no \
             scheme says that cookies are plain pointers.",
    needs: "Leaks and submissions or completions.",
    points_at: "The submission with the cut word, else the completion.",
    example: "A helper passed the cookie of a timeout through a 32-bit type; the removal could not find \
              its target.",
    source: "axboe/liburing#490 (liburing commit a49427fb)",
    advice: "Carry cookies in 64-bit words all the way. If the low bits are tags, declare them.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::Submitted(submitted) => submission(submitted, judge),
        Moment::Stray(stray) => completion(stray, judge),
        Moment::Cancels(cancels) => cancellation(cancels, judge),
        _ => {}
    }
}

fn submission(submitted: &Submitted<'_>, judge: &mut Judge<'_>) {
    let Submitted {
        operation,
        standing: Standing::Unknown,
        shared: false,
        sentinel: false,
        cut_of: Some(whole),
        ..
    } = submitted
    else {
        return;
    };
    let cookie = operation.entry.cookie;
    let message = format!(
        "{} went in with {cookie:#x}, which is a part of {}",
        judge.operation(operation),
        of(whole, judge)
    );
    let draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .history(History::Whole)
        .message(message)
        .evidence(whole.leaked, "the whole word leaked here")
        .evidence(operation.submit, "submitted cut")
        .key(operation.id)
        .key(whole.id)
        .shape("submitted")
        .shape(judge.names().file(SiteId(operation.entry.site)));
    judge.say(draft);
}

fn completion(stray: &Stray<'_>, judge: &mut Judge<'_>) {
    let Stray {
        event,
        place: (process, ring, scope),
        cookie,
        past: None,
        standing: Standing::Unknown,
        cut_of: Some(whole),
        forgotten: false,
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
    let message = format!(
        "a completion on ring {ring} brought {cookie:#x}, which is a part of {}",
        of(whole, judge)
    );
    let draft = Draft::new(subject, *event, *event)
        .scope(*scope)
        .history(History::Whole)
        .message(message)
        .evidence(whole.leaked, "the whole word leaked here")
        .evidence(*event, "came back cut")
        .key(whole.id)
        .shape("reaped")
        .shape(judge.names().file(whole.leak_site));
    judge.say(draft);
}

fn cancellation(cancels: &Cancels<'_>, judge: &mut Judge<'_>) {
    let Cancels {
        operation,
        names,
        standing: Standing::Unknown,
        cut_of: Some(target),
        ..
    } = cancels
    else {
        return;
    };
    let message = format!(
        "{} names {names:#x}, which is a part of {:#x}, the cookie of {}",
        judge.operation(operation),
        target.entry.cookie,
        judge.operation(target)
    );
    let draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .history(History::Whole)
        .message(message)
        .evidence(target.submit, "in flight with the whole word")
        .evidence(operation.submit, "names a part of it")
        .key(operation.id)
        .shape("named")
        .shape(judge.names().file(SiteId(operation.entry.site)));
    judge.say(draft);
}

fn of(whole: &Generation, judge: &Judge<'_>) -> String {
    format!(
        "{}, leaked{}",
        judge.generation(whole.id),
        judge.at(whole.leak_site)
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn half_a_pointer() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x55d0c2e01040 Op op.rs:8
            20 main submit 0 RECV 0x55d0c2e01040 op.rs:9
            30 main submit 0 RECV 0xc2e01040 op.rs:10     <- [observed whole] operation #1 (ring 0, slot 1, RECV) at op.rs:10 went in with 0xc2e01040, which is a part of Op#1 0x55d0c2e01040@1, leaked at op.rs:8
            31 main complete 0 0xc2e01040 5
            40 main complete 0 0xffffffffc2e01040 5       <- [observed whole] a completion on ring 0 brought 0xffffffffc2e01040, which is a part of
            ",
        );
    }

    /// The one whose life began last, also where both lived before.
    #[test]
    fn half_of_two_pointers() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main scheme 0 pointer
            10 main leak 0x55d0c2e01040 Op op.rs:8
            11 main reclaim 0x55d0c2e01040 Op op.rs:9
            12 main leak 0x66d0c2e01040 Op op.rs:18
            13 main submit 0 RECV 0xc2e01040 op.rs:20     <- which is a part of Op#2 0x66d0c2e01040@1
            14 main complete 0 0xc2e01040 5
            15 main reclaim 0x66d0c2e01040 Op op.rs:19
            20 main leak 0x55d0c2e01040 Op op.rs:8
            21 main submit 0 RECV 0xc2e01040 op.rs:30     <- which is a part of Op#1 0x55d0c2e01040@2
            22 main complete 0 0xc2e01040 5
            30 main reclaim 0x55d0c2e01040 Op op.rs:9
            31 main leak 0x66d0c2e01040 Op op.rs:18
            32 main submit 0 RECV 0xc2e01040 op.rs:40     <- which is a part of Op#2 0x66d0c2e01040@2
            ",
        );
    }

    /// The half keeps the tag of the whole.
    #[test]
    fn half_a_tagged_pointer() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main scheme 0 tagged 0x7
            10 main leak 0x55e315955f78 Op op.rs:8
            20 main submit 0 WRITE 0x15955f7a op.rs:10     <- went in with 0x15955f7a, which is a part of Op#1 0x55e315955f78@1
            # No tag of those that were declared, and what is no pointer without its tag.
            30 main submit 0 WRITE 0x15955f88 op.rs:10
            40 main leak 0x55e300000ff8 Op op.rs:8
            41 main submit 0 WRITE 0xfff op.rs:10
            ",
        );
    }

    #[test]
    fn other_low_bits_where_there_are_no_tags() {
        check_rule(
            &RULE,
            "
            1 main scheme all pointer
            10 main leak 0x55d0c2e01048 Op op.rs:8
            30 main submit 0 RECV 0x55d0c2e01049 op.rs:10     <- is a part of
            ",
        );
    }

    #[test]
    fn a_removal_that_names_half() {
        check_rule(
            &RULE,
            "
            10 main submit 0 TIMEOUT 0x55d0c2e01040 time.rs:9
            30 main submit 0 TIMEOUT_REMOVE 0x8 time.rs:10 addr=0xc2e01040  <- [observed whole] names 0xc2e01040, which is a part of 0x55d0c2e01040, the cookie of operation #0
            ",
        );
    }

    #[test]
    fn whole_words_numbers_and_tags_are_silent() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main scheme 1 tagged 0x7
            10 main leak 0x55d000000007 Op op.rs:8
            11 main leak 0x55d0c2e01040 Op op.rs:8
            12 main leak 0xc2e01040 Op op.rs:8
            20 main submit 0 RECV 0x55d0c2e01040 op.rs:9
            21 main submit 0 RECV 0x7 op.rs:9
            22 main submit 0 RECV 0xc2e01040 op.rs:9
            23 main submit 0 RECV 0x55d0c2e01041 op.rs:9
            24 main submit 1 RECV 0x55d0c2e01043 op.rs:9
            25 main submit 2 RECV 0xc2e01048 op.rs:9
            30 main submit 0 ASYNC_CANCEL 0x8 addr=0x55d0c2e01040
            31 main submit 0 ASYNC_CANCEL 0x8 addr=0x9
            ",
        );
    }

    #[test]
    fn a_lost_leak_could_explain_it() {
        check_rule(
            &RULE,
            "
            5 main lost 1 removed
            10 main leak 0x55d0c2e01040 Op op.rs:8
            20 main submit 0 RECV 0x55d0c2e01040 op.rs:9
            30 main submit 0 RECV 0xc2e01040 op.rs:10     <? is a part of
            ",
        );
    }

    #[test]
    fn what_looks_like_half_and_is_a_word_of_its_own_is_silent() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=8 cq=16
            2 main shared 0xc2e01040
            3 main scheme 0 sentinel 0xc2e02040
            # It had ended before there was a pointer that it could be a half of.
            4 main submit 0 RECV 0xc2e03040
            5 main complete 0 0xc2e03040 5
            10 main leak 0x55d0c2e01040 Op op.rs:8
            11 main leak 0x55d0c2e02040 Op op.rs:8
            12 main leak 0x55d0c2e03040 Op op.rs:8
            13 main submit 0 RECV 0x55d0c2e01040 op.rs:9
            20 main submit 0 RECV 0xc2e01040 op.rs:10
            21 main submit 0 RECV 0xc2e02040 op.rs:10
            22 main complete 0 0xc2e03040 5
            # What lives there, whether it comes back or is named.
            30 main leak 0x55d0c2e04040 Op op.rs:8
            31 main leak 0xc2e04040 Op op.rs:8
            32 main complete 0 0xc2e04040 5
            40 main leak 0xc2e05040 Op op.rs:8
            41 main submit 0 TIMEOUT 0x55d0c2e05040 time.rs:9
            42 main submit 0 TIMEOUT_REMOVE 0x8 time.rs:10 addr=0xc2e05040
            ",
        );
    }

    #[test]
    fn half_of_which_the_operation_may_be_forgotten_is_silent() {
        let mut text = String::from(
            "
            1 main ring-create 0 sq=8 cq=16
            2 main submit 0 RECV 0xc2e01040 op.rs:9
            3 main complete 0 0xc2e01040 5
            10 main leak 0x55d0c2e01040 Op op.rs:8
            11 main submit 0 RECV 0x55d0c2e01040 op.rs:9
            ",
        );
        for cookie in 0..300 {
            let cookie = 0x8000 + 16 * cookie;
            text +=
                &format!("30 main submit 0 NOP {cookie:#x}\n30 main complete 0 {cookie:#x} 0\n");
        }
        check_rule(&RULE, &format!("{text}40 main complete 0 0xc2e01040 0"));
    }
}
