//! `count-drift`: the handles that went out and those that came back are not as many.
//!
//! Fires on a handle of a counted owner that comes back after the last one did; and at an end where
//! handles of a generation came back, others did not, and `never-reclaimed` would speak.
//! Stays silent for owners of which there is one, while a handle may still be in use, where all came back after the
//! end of their scope, and where handles may have gone out before the recording's window.
//! Points at the handle too many, or at the first leak.

use wire::record::Owner;

use super::{Draft, History, Judge, Key, Rule, t09_never_reclaimed};
use crate::event::EventId;
use crate::finding::{RuleId, Severity};
use crate::model::{Generation, HeldAt, Moment};

pub(super) static RULE: Rule = Rule {
    id: RuleId(20),
    name: "count-drift",
    brief: "more handles came back than went out, or fewer",
    severity: Severity::Error,
    fires: "Over one life of an object, raw handles that went out (leaks and retains) and those that came \
            back (reclaims and releases) are not as many: one more came back than went out, or some came \
            back and some never did, though nothing is in flight for them.",
    silent: "The owner is one of which there is one (reclaimed-twice and never-reclaimed speak then), or \
             operations that carry a handle are still in flight, or may be: one behind an entry that \
             skips its success ends unseen where that fails. Or all came back after the end of the \
             scope; where a panic ended that, the end of the process is asked. Or records before its first handle were \
             overwritten, as in every long run: others may have been out since then.",
    needs: "Leaks, retains, reclaims and releases.",
    points_at: "The handle that came back once too often, or the first leak.",
    example: "A cancellation was built with into_raw where as_raw was meant: it took a second count of the \
              key, and nobody ever gave that one back. The fix is one word.",
    source: "compio-rs/compio#652, DataDog/glommio commit 574ab5e",
    advice: "Pair the places in the biography: each leak or retain with the reclaim or release that \
             belongs to it. The one without a partner is the line to mend.",
    check,
};

/// Places of one kind that a sentence names.
const PLACES_SHOWN: usize = 4;

/// Owners that count.
fn is_counted(owner: Owner) -> bool {
    matches!(
        owner,
        Owner::Rc | Owner::Arc | Owner::RcWeak | Owner::ArcWeak | Owner::Waker | Owner::Custom
    )
}

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    match moment {
        Moment::ReclaimedDead {
            event,
            site,
            dead,
            brought_by,
            ..
        } if is_counted(dead.generation.owner) => {
            let generation = &dead.generation;
            if judge.began_before_the_window(generation.id.process, generation.leaked, *event) {
                return;
            }
            let message = format!(
                "{}, {}{}: {} went out, and one more came back{}{}",
                judge.generation(generation.id),
                began(generation),
                judge.at(generation.leak_site),
                handles(generation.handed),
                judge.at(*site),
                by_place(generation, judge),
            );
            let draft = Draft::new(generation.id.subject(), *event, *event)
                .scope(generation.scope)
                .history(History::Whole)
                .message(message)
                .evidence(generation.leaked, "the first went out here")
                .evidence(dead.reclaimed, "the last came back here")
                .evidence(*event, "and one more here")
                .key(generation.id)
                .keys(brought_by.map(Key::from))
                .shape("low")
                .shape(judge.names().ty(generation.ty))
                .shape(judge.names().file(*site));
            judge.say(draft);
        }
        Moment::Held(held) => {
            let generation = held.generation;
            let flight = generation.flight();
            let idle = (flight.in_flight, flight.unsure) == (0, 0) && generation.returned > 0;
            if !is_counted(generation.owner) || !idle || t09_never_reclaimed::stuck(held).is_none()
            {
                return;
            }
            let looks = match generation.flight().looks {
                0 => String::new(),
                1 => ", beside 1 look".to_owned(),
                looks => format!(", beside {looks} looks"),
            };
            let (cause, step) = unbalanced(generation, judge);
            let message = format!(
                "{}, {}{}: {} went out, and {} came back{looks}{step}{}",
                judge.generation(generation.id),
                began(generation),
                judge.at(generation.leak_site),
                handles(generation.handed),
                generation.returned,
                by_place(generation, judge),
            );
            let mut draft = Draft::new(generation.id.subject(), cause, held.at)
                .scope(generation.scope)
                .history(t09_never_reclaimed::history(held))
                .message(message)
                .evidence(generation.leaked, "the first went out here")
                .key(generation.id)
                .keys(generation.flight().operation.map(Key::from))
                .shape("high")
                .shape(judge.names().ty(generation.ty))
                .shape(judge.names().file(generation.leak_site));
            if held.when == HeldAt::ScopeEnd {
                // What came back later, to the very end, came back.
                draft = draft.until(EventId(u64::MAX));
            }
            if cause != generation.leaked {
                draft = draft.evidence(cause, "the first of those without a partner");
            }
            // That it was never taken back is only half of it.
            draft.outranks = &[9];
            judge.say(draft);
        }
        _ => {}
    }
}

/// The event to point at, and a clause that says why: where all that went out at one place is as much as never came
/// back, and of no other place that is so, that is the step without a partner. Else the first leak.
fn unbalanced(generation: &Generation, judge: &Judge<'_>) -> (EventId, String) {
    let first = (generation.leaked, String::new());
    let missing = generation.handed.saturating_sub(generation.returned);
    let places = generation.flight().places.iter();
    let out: Vec<_> = places.filter(|place| !place.back).collect();
    let told: u32 = out.iter().map(|place| place.count).sum();
    let mut fit = out.iter().filter(|place| place.count == missing);
    let (Some(one), None) = (fit.next(), fit.next()) else {
        return first;
    };
    let at = judge.at(one.site);
    if out.len() < 2 || told != generation.handed || at.is_empty() {
        return first;
    }
    let many = if missing == 1 {
        "the one".to_owned()
    } else {
        format!("the {missing}")
    };
    (one.first, format!("; {many} too many went out{at}"))
}

/// How the first handle that was seen went out.
fn began(generation: &Generation) -> &'static str {
    if generation.flight().retained {
        "first counted"
    } else {
        "leaked"
    }
}

/// Where handles went out and came back, where that is more than the two places that are named anyway:
/// ` (out task.rs:78 ×11, task.rs:64 ×10; back task.rs:74 ×20)`.
fn by_place(generation: &Generation, judge: &Judge<'_>) -> String {
    let places = &generation.flight().places;
    if places.len() < 2 {
        return String::new();
    }
    let names = judge.names();
    let of = |back: bool, total: u32| {
        let mut places: Vec<_> = places.iter().filter(|place| place.back == back).collect();
        places.sort_by_key(|place| std::cmp::Reverse(place.count));
        let shown = places.iter().take(PLACES_SHOWN);
        let rest = shown
            .clone()
            .fold(total, |rest, place| rest.saturating_sub(place.count));
        let shown = shown.map(|place| match names.site(place.site).as_str() {
            "?" => format!("elsewhere ×{}", place.count),
            site => format!("{site} ×{}", place.count),
        });
        let rest = (rest > 0).then(|| format!("other places ×{rest}"));
        shown.chain(rest).collect::<Vec<_>>().join(", ")
    };
    let (out, back) = (of(false, generation.handed), of(true, generation.returned));
    if back.is_empty() {
        return format!(" (out {out})");
    }
    format!(" (out {out}; back {back})")
}

fn handles(count: u32) -> String {
    match count {
        1 => "1 handle".to_owned(),
        count => format!("{count} handles"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;
    use crate::trace::Trace;

    #[test]
    fn one_more_came_back() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Task task.rs:8 owner=Arc
            11 main retain 0x1000 Task task.rs:9 owner=Arc
            20 main release 0x1000 Task task.rs:20 owner=Arc
            21 main release 0x1000 Task task.rs:20 owner=Arc
            22 main release 0x1000 Task task.rs:21 owner=Arc   <- Task#1 0x1000@1, leaked at task.rs:8: 2 handles went out, and one more came back at task.rs:21
            ",
        );
    }

    #[test]
    fn one_never_came_back() {
        let fixture = "
            process 0 state=clean
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Key key.rs:8 owner=Rc        <- 2 handles went out, and 1 came back
            11 main submit 0 RECV 0x1000 key.rs:9
            12 main leak 0x1000 Key key.rs:30 owner=Rc
            13 main submit 0 ASYNC_CANCEL 0x7 key.rs:31 addr=0x1000
            14 main complete 0 0x1000 -125
            15 main reclaim 0x1000 Key key.rs:40 owner=Rc
            16 main complete 0 0x7 0
            20 main submit 0 NOP 0x7
            21 main complete 0 0x7 0
            22 main submit 0 NOP 0x7
            23 main complete 0 0x7 0
            ";
        check_rule(&RULE, fixture);
        let trace = Trace::parse_text(fixture).unwrap();
        let stories = &trace.verdict().stories;
        assert_eq!(stories.len(), 1);
        assert_eq!(stories[0].head.rule, RULE.id);
    }

    #[test]
    fn even_counts_and_sole_owners_are_silent() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            10 main leak 0x1000 Task task.rs:8 owner=Arc
            11 main retain 0x1000 Task task.rs:9 owner=Arc
            20 main release 0x1000 Task task.rs:20 owner=Arc
            21 main reclaim 0x1000 Task task.rs:20 owner=Arc
            30 main leak 0x2000 Op op.rs:8
            31 main reclaim 0x2000 Op op.rs:9
            32 main reclaim 0x2000 Op op.rs:9
            # A server's handle that is still in use.
            40 main leak 0x3000 Conn conn.rs:8 owner=Rc
            41 main leak 0x3000 Conn conn.rs:8 owner=Rc
            42 main submit 0 RECV 0x3000
            43 main submit 0 ACCEPT 0x3000
            44 main complete 0 0x3000 5
            45 main reclaim 0x3000 Conn conn.rs:9 owner=Rc
            # Nothing of it ever came back; one that came back, and one that is in flight.
            50 main leak 0x5000 Conn conn.rs:8 owner=Rc
            60 main scope-begin 1
            61 main leak 0x6000 Conn conn.rs:8 owner=Rc
            62 main leak 0x6000 Conn conn.rs:8 owner=Rc
            63 main submit 0 ACCEPT 0x6000
            64 main reclaim 0x6000 Conn conn.rs:9 owner=Rc
            65 main scope-end 1
            ",
        );
    }

    /// Also where it stands behind one that skips its success: only where that one failed would it have ended unseen.
    /// Whether a handle of the same object came back says nothing of it.
    #[test]
    fn one_that_may_be_in_flight_is_waited_for() {
        let of = |chained: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main ring-create 0 sq=8 cq=16
                    10 main leak 0x1000 Conn conn.rs:8 owner=Arc    {arrow}
                    {chained}
                    13 main leak 0x1000 Conn conn.rs:8 owner=Arc
                    14 main submit 0 SEND 0x1000 seq=6
                    15 main complete 0 0x1000 64
                    16 main reclaim 0x1000 Conn conn.rs:40 owner=Arc
                    20 main submit 0 NOP 0x7 seq=7
                    21 main complete 0 0x7 0
                    22 main submit 0 NOP 0x7 seq=8
                    23 main complete 0 0x7 0
                    24 main submit 0 NOP 0x7 seq=9
                    25 main complete 0 0x7 0
                    "
                ),
            );
        };
        let drifted = "<- 2 handles went out, and 1 came back";
        of("", drifted);
        let behind = "11 main submit 0 FSYNC 0x0 link skip-success seq=4
                      12 main submit 0 RECV 0x1000 seq=5 len=64";
        of(behind, "");
        // It came out of turn, and is of no chain.
        let out_of_turn = "11 main submit 0 FSYNC 0x0 link skip-success seq=20
                           12 main submit 0 RECV 0x1000 seq=5 len=64";
        of(out_of_turn, "");
        of(&behind.replace("RECV 0x1000", "RECV 0x7"), drifted);
        // It was not ended in silence: here is what it posted.
        of(&format!("{behind}\n12 main complete 0 0x1000 9"), drifted);
        check_rule(
            &RULE,
            "
            1 main scope-begin 1
            10 main leak 0x1000 Conn conn.rs:8 owner=Arc
            11 main leak 0x1000 Conn conn.rs:8 owner=Arc
            12 main submit 0 FSYNC 0x0 link skip-success
            13 main submit 0 RECV 0x1000 len=64
            14 main reclaim 0x1000 Conn conn.rs:9 owner=Arc
            15 main scope-end 1
            ",
        );
    }

    #[test]
    fn what_came_back_after_the_end_of_its_scope_drifted_not() {
        let of = |end: &str, later: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 end=exit:101
                    1 main scope-begin 1 name=a
                    10 main leak 0x1000 Waker rt.rs:8 owner=Waker      {arrow}
                    11 main retain 0x1000 Waker owner=Waker
                    12 main release 0x1000 Waker owner=Waker
                    20 main scope-end 1 {end}
                    {later}
                    "
                ),
            );
        };
        let said = "<- 2 handles went out, and 1 came back";
        let rest = "30 main release 0x1000 Waker owner=Waker";
        of("", "", said);
        of("", rest, "");
        of("panic", rest, "");
        // To the end of the process it did not.
        of("panic", "", said);
        let again =
            format!("{rest}\n31 main release 0x1000 Waker owner=Waker   <- one more came back");
        of("", &again, "");
        of("", "30 main retain 0x1000 Waker owner=Waker", said);
        let asked = "<? 2 handles went out, and 1 came back";
        of("", "30 main lost 1 removed", asked);
    }

    #[test]
    fn what_went_out_before_the_window_is_not_known() {
        for (lost, arrow) in [
            ("0 main lost 900 overwritten", ""),
            ("0 main lost 900 removed", "<? one more came back"),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    {lost}
                    1 main mark x
                    10 main retain 0x1000 Task task.rs:64 owner=Rc
                    20 main release 0x1000 Task task.rs:20 owner=Rc
                    21 main release 0x1000 Task task.rs:21 owner=Rc    {arrow}
                    "
                ),
            );
        }
    }

    #[test]
    fn handles_are_counted_by_place() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            10 main leak 0x1000 Task task.rs:8 owner=Arc     <- Task#1 0x1000@1, leaked at task.rs:8: 4 handles went out, and 3 came back; the one too many went out at task.rs:8 (out task.rs:9 ×3, task.rs:8 ×1; back task.rs:20 ×2, task.rs:21 ×1)
            11 main retain 0x1000 Task task.rs:9 owner=Arc
            12 main retain 0x1000 Task task.rs:9 owner=Arc
            20 main release 0x1000 Task task.rs:20 owner=Arc
            21 main release 0x1000 Task task.rs:20 owner=Arc
            22 main retain 0x1000 Task task.rs:9 owner=Arc
            23 main release 0x1000 Task task.rs:21 owner=Arc
            # One that was seen first when its count was raised.
            30 main retain 0x2000 Task task.rs:9 owner=Rc
            31 main release 0x2000 Task task.rs:20 owner=Rc
            32 main release 0x2000 Task task.rs:21 owner=Rc  <- first counted at task.rs:9: 1 handle went out, and one more came back at task.rs:21
            ",
        );
    }

    #[test]
    fn looks_are_told_where_they_are_left_out() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            1 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Key key.rs:8 owner=Rc       <- 2 handles went out, and 1 came back, beside 1 look (out
            11 main submit 0 RECV 0x1000 key.rs:9
            12 main reclaim 0x1000 Key key.rs:20 owner=Rc
            13 main leak 0x1000 Key key.rs:21 owner=Rc
            20 main leak 0x1000 Key key.rs:30 owner=Rc
            21 main complete 0 0x1000 5
            22 main reclaim 0x1000 Key key.rs:40 owner=Rc
            30 main submit 0 NOP 0x7
            31 main complete 0 0x7 0
            32 main submit 0 NOP 0x7
            33 main complete 0 0x7 0
            ",
        );
    }

    #[test]
    fn it_points_at_the_place_without_a_partner() {
        check_rule(
            &RULE,
            "
            process 0 state=clean
            10 main leak 0x1000 Task task.rs:8 owner=Arc
            11 main release 0x1000 Task task.rs:20 owner=Arc
            12 main leak 0x1000 Task task.rs:8 owner=Arc
            13 main retain 0x1000 Task task.rs:30 owner=Arc    <- [whole] 3 handles went out, and 2 came back; the one too many went out at task.rs:30 (out task.rs:8 ×2, task.rs:30 ×1; back task.rs:20 ×2)
            14 main leak 0x1000 Task task.rs:8 owner=Arc
            15 main release 0x1000 Task task.rs:20 owner=Arc
            16 main release 0x1000 Task task.rs:20 owner=Arc
            ",
        );
    }

    #[test]
    fn a_lost_leak_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Task task.rs:8 owner=Arc
            15 main lost 1 removed
            20 main release 0x1000 Task task.rs:20 owner=Arc
            21 main release 0x1000 Task task.rs:20 owner=Arc    <? one more came back
            ",
        );
    }

    #[test]
    fn a_count_that_a_kill_cut_off_is_silent() {
        for (end, arrow) in [
            ("state=clean", "<- [observed whole] and 1 came back"),
            ("end=killed:9", ""),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    process 0 {end}
                    10 main leak 0x1000 Task task.rs:8 owner=Rc    {arrow}
                    11 main leak 0x1000 Task task.rs:8 owner=Rc
                    20 main reclaim 0x1000 Task task.rs:20 owner=Rc
                    "
                ),
            );
        }
    }
}
