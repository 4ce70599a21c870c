//! `cookie-in-flight-twice`: a second operation goes in with the cookie of one still in flight.
//!
//! Fires when the operations in flight with one cookie become more than the leases of its generation.
//! Stays silent for cookies declared shared or sentinel, for a pointer leaked once for each operation,
//! for words that were never leaked, and for one of several callbacks of a library.
//! In a program that does not link the probe, where nothing is leaked or declared, it suspects small cookies that are
//! seen to be indices of a table (`model/discipline.rs`), and speaks of no other.
//! Points at the second submission.

use super::{Draft, History, Judge, Key, Rule};
use crate::event::SiteId;
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Carrier, Early, Generation, Moment, Operation, Standing, Submitted};

pub(super) static RULE: Rule = Rule {
    id: RuleId(5),
    name: "cookie-in-flight-twice",
    brief: "more operations in flight with one cookie than it was leaked for",
    severity: Severity::Error,
    fires: "An operation is submitted with the cookie of another that is still in flight, and the \
            pointer was not leaked once for each of them. Both completions will look the same, and each \
            will take back an owner of which there is one.",
    silent: "The cookie is declared shared (one connection pointer for its read and its write) or a \
             sentinel; the pointer was leaked as often as it is in flight; or the word was never leaked. \
             A library may hold one word for several functions.",
    needs: "Leaks, submissions and completions.",
    points_at: "The second submission.",
    example: "Several timeouts carried one user_data; removing \"the\" timeout by it hit any of them.",
    source: "axboe/liburing#1120, axboe/liburing#734",
    advice: "Leak one handle for each operation (Rc::into_raw of a clone), or give each operation a \
             cookie of its own. If they share it on purpose, declare the cookie shared.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    if let Moment::WentInEarly(early) = moment {
        return index(early, judge);
    }
    let Moment::Submitted(Submitted {
        operation,
        standing,
        others,
        shared,
        sentinel,
        ..
    }) = moment
    else {
        return;
    };
    let Standing::Live(generation) = standing else {
        return;
    };
    // One connection's pointer for its read and its write is ordinary, and there it could not be declared.
    if judge.is_probed(operation.id.process) {
        return;
    }
    // What another life of the address left in flight is no second carrier of this one.
    let same_life = |other: &&&Operation| other.generation.is_none_or(|id| id == generation.id);
    // A library calls each function with the word that came with it: another function's is no rival.
    let is_call = |operation: &Operation| operation.entry.opcode == wire::payload::CALLBACK;
    let apart = |other: &Operation| {
        other.id.ring != operation.id.ring && (is_call(other) || is_call(operation))
    };
    let same_life = others.iter().filter(same_life).copied();
    let others: Vec<&Operation> = same_life.filter(|other| !apart(other)).collect();
    let in_flight = others.len() as u64 + 1;
    let Some(first) = others.first() else { return };
    if *shared || *sentinel || in_flight <= u64::from(generation.leases) {
        return;
    }
    let names = judge.names();
    let id = generation.id;
    let describe = |op: &Operation| {
        names.operation(op.id.ring, op.id.sequence, op.entry.slot, op.entry.opcode)
    };
    let handles = match generation.leases {
        1 => "one handle was leaked".to_owned(),
        leases => format!("{leases} handles were leaked"),
    };
    let site = SiteId(operation.entry.site);
    let message = format!(
        "{} went in{} with the cookie of {}, which {}{} still carries in flight; {handles}{}",
        describe(operation),
        judge.at(site),
        names.generation(id.process, id.address, id.number),
        describe(first),
        judge.at(SiteId(first.entry.site)),
        judge.at(generation.leak_site),
    );
    let suspected = others.iter().any(|other| other.ambiguous);
    let draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .confidence(if suspected {
            Confidence::Suspected
        } else {
            Confidence::Observed
        })
        .history(history(generation, &others, judge))
        .message(message)
        .evidence(generation.leaked, "leaked here")
        .evidence(first.submit, "in flight since here")
        .evidence(operation.submit, "the same cookie again")
        .key(operation.id)
        .key(id)
        .keys(others.iter().map(|other| Key::from(other.id)))
        .shape(names.ty(generation.ty))
        .shape(names.file(generation.leak_site))
        .shape(names.file(site));
    judge.say(draft);
}

/// What must be known for one handle to be all there is, and for nobody to have said that it may be in flight twice.
fn history(generation: &Generation, others: &[&Operation], judge: &Judge<'_>) -> History {
    // The leak of an earlier life may be missing, and with it whose that life's operations are, or the completion of one.
    let is_of_it = |other: &&&Operation| other.generation == Some(generation.id);
    let is_sure = others.iter().all(|other| !other.ambiguous)
        && others.iter().filter(is_of_it).count() as u64 >= u64::from(generation.leases);
    let is_sole = generation.is_sole_owner() && judge.knows_no_shared(generation.id.process);
    if is_sole && is_sure {
        History::Since(generation.leaked)
    } else {
        History::Whole
    }
}

/// An index went in again before the last completion of its operation.
fn index(early: &Early, judge: &mut Judge<'_>) {
    let Early {
        cookie,
        first,
        again,
        orderly,
    } = early;
    let names = judge.names();
    let describe = |it: &Carrier| names.operation(it.id.ring, it.id.sequence, it.slot, it.opcode);
    let so_far = match orderly {
        0 => "other small cookies went in again".to_owned(),
        1 => "once before it went in again".to_owned(),
        _ => format!("{orderly} times before it went in again"),
    };
    let message = format!(
        "{} went in with cookie {cookie:#x}, which {} still carried in flight; {so_far} only when {} operation had ended, \
         as the index of a table does",
        describe(again),
        describe(first),
        if *orderly == 0 { "their" } else { "its" },
    );
    let draft = Draft::new(again.id.subject(), again.submit, again.submit)
        .scope(again.scope)
        .confidence(Confidence::Suspected)
        .history(History::Whole)
        .message(message)
        .evidence(first.submit, "in flight since here")
        .evidence(again.submit, "the same cookie again")
        .key(again.id)
        .key(first.id)
        .shape("index")
        .shape(crate::names::opcode(first.opcode))
        .shape(crate::names::opcode(again.opcode));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    /// Rounds of a table with six indices, of which two kinds of operations are made, and then more.
    fn table(header: &str, rounds: u64, more: &str) -> String {
        table_of(6, header, rounds, more)
    }

    /// The same with so many.
    fn table_of(indices: u64, header: &str, rounds: u64, more: &str) -> String {
        let mut text = format!("{header}\n");
        let mut at = 10;
        for round in 0..rounds {
            for index in 1..=indices {
                let kind = if (round + index) % 2 == 0 {
                    "RECV"
                } else {
                    "SEND"
                };
                text += &format!("{at} main submit 0 {kind} {index:#x} len=9 fd=5\n");
                at += 1;
            }
            for index in (1..=indices).rev() {
                text += &format!("{at} main complete 0 {index:#x} 9\n");
                at += 1;
            }
        }
        for (number, line) in more
            .lines()
            .filter(|line| !line.trim().is_empty())
            .enumerate()
        {
            text += &format!("{} main {}\n", at + number as u64, line.trim());
        }
        text
    }

    const BY_SHIM: &str = "process 0 capture=preload\n1 main ring-create 0 sq=8 cq=16";
    const EARLY: &str = "
        submit 0 RECV 0x3 fd=5 len=9
        submit 0 SEND 0x3 fd=6 len=9  <- [suspected whole] went in with cookie 0x3, which operation #120 (ring 0, slot 0, RECV) still carried in flight; 20 times before
        complete 0 0x3 9
        complete 0 0x3 9";

    #[test]
    fn an_index_that_goes_in_again_before_its_operation_has_ended() {
        check_rule(&RULE, &table(BY_SHIM, 20, EARLY));
        let by_kernel = BY_SHIM.replace("preload", "kernel");
        check_rule(&RULE, &table(&by_kernel, 20, EARLY));
    }

    /// What the kernel says of a ring that the process recorded is the same once more.
    #[test]
    fn an_index_on_a_ring_that_both_recorded_is_told_of_once() {
        let own = table("", 20, EARLY);
        let by_both = own.lines().map(|line| {
            let same = line.split("<-").next().unwrap_or_default();
            let same = same.replace(" main ", " k ").replace(" 0 ", " 4 ");
            format!("{line}\n{same}\n")
        });
        let header = "process 0 pid=77 start=9 capture=preload
            process 1 pid=77 start=9 capture=kernel
            lane k process=1
            1 k ring-create 4 fd=3 sq=8 cq=16
            2 main ring-create 0 fd=3 sq=8 cq=16\n";
        check_rule(&RULE, &(header.to_owned() + &by_both.collect::<String>()));
    }

    /// What others did is known by the end alone.
    #[test]
    fn an_index_that_goes_in_too_early_the_first_time() {
        let begins = format!(
            "{BY_SHIM}
            2 main submit 0 RECV 0x3 fd=5 len=9
            3 main submit 0 SEND 0x3 fd=6 len=9   <- in flight; other small cookies went in again only when their operation
            4 main complete 0 0x3 9
            5 main complete 0 0x3 9"
        );
        check_rule(&RULE, &table(&begins, 20, ""));
    }

    #[test]
    fn who_links_the_probe_declares_what_cookies_are() {
        let silent = EARLY.split("<-").next().unwrap().to_owned() + "\ncomplete 0 0x3 9";
        check_rule(
            &RULE,
            &table("1 main ring-create 0 sq=8 cq=16", 20, &silent),
        );
    }

    /// What is not kept might have gone in early as a matter of course, or be of other kinds.
    #[test]
    fn a_ring_with_more_cookies_than_are_kept_is_silent() {
        let (submit, rest) = EARLY.split_once("<-").unwrap();
        let rest = rest.split_once('\n').unwrap().1;
        let silent = format!("{submit}\n{rest}");
        for (others, early) in [(500, EARLY), (2_000, &*silent)] {
            let mut more = early.to_owned();
            for cookie in 0x1000..0x1000 + others {
                more += &format!("\nsubmit 0 NOP {cookie:#x}\ncomplete 0 {cookie:#x} 0");
            }
            check_rule(&RULE, &table(BY_SHIM, 20, &more));
        }
    }

    #[test]
    fn indices_that_are_not_known_to_be_ones_are_silent() {
        let silent = EARLY.replace(
            &EARLY[EARLY.find("<-").unwrap()..EARLY.find("20 times before").unwrap() + 15],
            "",
        );
        // Too short to be told from a sentinel.
        check_rule(&RULE, &table(BY_SHIM, 4, &silent));
        // Carried by many at once as a matter of course: it stands for nobody.
        let routine = silent.repeat(8);
        check_rule(&RULE, &table(BY_SHIM, 20, &routine));
        // A timer's: it never carried anything else.
        let timer = "submit 0 TIMEOUT 0x9\ncomplete 0 0x9 -62\n".repeat(20)
            + "submit 0 TIMEOUT 0x9\nsubmit 0 TIMEOUT 0x9\n";
        check_rule(&RULE, &table(BY_SHIM, 20, &timer));
        // Asked to be cancelled, and not waited for.
        let cancelled = silent.replace(
            "submit 0 SEND",
            "submit 0 ASYNC_CANCEL 0x77 addr=0x3\nsubmit 0 SEND",
        );
        check_rule(&RULE, &table(BY_SHIM, 20, &cancelled));
        // The first one goes on posting, which nobody needs an entry for.
        let more = silent.replace("submit 0 RECV", "submit 0 SEND_ZC").replace(
            "submit 0 SEND 0x3 fd=6",
            "complete 0 0x3 9 more\nsubmit 0 SEND 0x3 fd=6",
        );
        check_rule(&RULE, &table(BY_SHIM, 20, &more));
    }

    /// In each case but for what it names, there is something to say.
    #[test]
    fn what_is_no_index_or_may_have_ended_is_silent() {
        let more = |more: &str| check_rule(&RULE, &table(BY_SHIM, 20, more));
        let silent = "submit 0 RECV 0x3 fd=5 len=9\nsubmit 0 SEND 0x3 fd=6 len=9\n";
        // Somebody ends operations, and which is not known from their cookies: by descriptor, or of a list.
        more(&format!(
            "submit 0 ASYNC_CANCEL 0x77 op-flags=2 fd=5\n{silent}"
        ));
        more(&format!("submit 0 POLL_REMOVE 0x77\n{silent}"));
        // What ends others is not waited for, and what skips its success cannot be.
        more("submit 0 RECV 0x3 fd=5 len=9\nsubmit 0 CLOSE 0x3 fd=5");
        more("submit 0 CLOSE 0x3 fd=5\nsubmit 0 RECV 0x3 fd=5 len=9");
        more("submit 0 RECV 0x3 fd=5 len=9\nsubmit 0 SEND 0x3 fd=6 len=9 skip-success");
        // Words that go in twice at once as a matter of course are on this ring.
        let twice = |word| format!("submit 0 NOP {word:#x}\n").repeat(2);
        more(&(silent.to_owned() + &(0x50..0x58).map(twice).collect::<String>()));
        // No small number.
        let large = |text: &str| {
            let digits = "123456".chars();
            digits.fold(text.to_owned(), |text, digit| {
                text.replace(&format!("0x{digit}"), &format!("0x100000{digit}"))
            })
        };
        check_rule(&RULE, &large(&table(BY_SHIM, 20, silent)));
        // It has gone in a few times only.
        let laps = "submit 0 RECV 0x9\ncomplete 0 0x9 9\nsubmit 0 SEND 0x9\ncomplete 0 0x9 9\n";
        more(&(laps.repeat(3) + &silent.replace("0x3", "0x9")));
    }

    #[test]
    fn one_index_or_two_are_no_table() {
        let silent = "submit 0 RECV 0x3 fd=5 len=9\nsubmit 0 SEND 0x3 fd=6 len=9\n";
        check_rule(
            &RULE,
            &table_of(
                4,
                BY_SHIM,
                40,
                &EARLY
                    .replace("#120", "#160")
                    .replace("20 times", "40 times"),
            ),
        );
        check_rule(&RULE, &table_of(3, BY_SHIM, 40, silent));
        // Others that went in once, and such as go in too early themselves.
        let others = "submit 0 NOP 0x11\nsubmit 0 NOP 0x12\nsubmit 0 NOP 0x13\n";
        check_rule(
            &RULE,
            &table_of(3, BY_SHIM, 40, &(others.to_owned() + silent)),
        );
        let too = silent.replace("0x3", "0x1") + &silent.replace("0x3", "0x2");
        check_rule(&RULE, &table_of(5, BY_SHIM, 40, &(too + silent)));
    }

    /// That it was asked to be cancelled explains that one time.
    #[test]
    fn an_index_that_was_cancelled_once_is_one() {
        let before = "submit 0 ASYNC_CANCEL 0x77 addr=0x3\ncomplete 0 0x77 -2\n\
                      submit 0 RECV 0x3 len=9\ncomplete 0 0x3 9\n";
        let again = EARLY
            .replace("#120", "#122")
            .replace("slot 0", "slot 2")
            .replace("20 times", "21 times");
        check_rule(&RULE, &table(BY_SHIM, 20, &(before.to_owned() + &again)));
    }

    #[test]
    fn a_lost_completion_could_explain_an_index() {
        let lost = EARLY
            .replace("submit 0 SEND", "lost 1 removed\nsubmit 0 SEND")
            .replace("<- [suspected whole]", "<?");
        check_rule(&RULE, &table(BY_SHIM, 20, &lost));
    }

    #[test]
    fn one_handle_for_two_operations() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15   <- operation #1 (ring 0, slot 1, SEND) went in at conn.rs:15 with the cookie of Conn#1 0x1000@1, which operation #0 (ring 0, slot 0, RECV) at conn.rs:12 still carries in flight; one handle was leaked at conn.rs:8
            ",
        );
    }

    #[test]
    fn one_handle_for_two_rings() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 1 SEND 0x1000 conn.rs:15   <- operation #0 (ring 1, slot 0, SEND) went in at conn.rs:15 with the cookie of Conn#1 0x1000@1, which operation #0 (ring 0, slot 0, RECV) at conn.rs:12 still carries in flight; one handle was leaked at conn.rs:8
            ",
        );
    }

    #[test]
    fn a_handle_for_each_of_two_rings_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8 owner=Rc
            11 main leak 0x1000 Conn conn.rs:8 owner=Rc
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 1 SEND 0x1000 conn.rs:15
            40 main leak 0x2000 Conn conn.rs:8
            50 main submit 0 RECV 0x2000 conn.rs:12
            60 main complete 0 0x2000 5
            70 main submit 1 SEND 0x2000 conn.rs:15
            80 main leak 0x3000 Conn conn.rs:8
            81 main shared 0x3000
            82 main submit 0 RECV 0x3000 conn.rs:12
            83 main submit 1 SEND 0x3000 conn.rs:15
            ",
        );
    }

    #[test]
    fn one_handle_for_each_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8 owner=Rc
            11 main leak 0x1000 Conn conn.rs:8 owner=Rc
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15
            ",
        );
    }

    #[test]
    fn what_another_life_left_in_flight_is_no_second_carrier() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main leak 0x1000 Conn conn.rs:8
            40 main submit 0 RECV 0x1000 conn.rs:12
            ",
        );
    }

    #[test]
    fn one_after_the_other_is_silent() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            25 main complete 0 0x1000 5
            30 main submit 0 SEND 0x1000 conn.rs:15
            ",
        );
    }

    #[test]
    fn shared_on_purpose_is_silent() {
        check_rule(
            &RULE,
            "
            5 main shared 0x1000
            6 main scheme 1 shared
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15
            40 main leak 0x2000 Conn conn.rs:8
            50 main submit 1 RECV 0x2000 conn.rs:12
            60 main submit 1 SEND 0x2000 conn.rs:15
            ",
        );
    }

    #[test]
    fn a_declaration_ends_with_what_it_was_said_of() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            11 main shared 0x1000
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15 len=9
            40 main complete 0 0x1000 5
            41 main complete 0 0x1000 5
            50 main reclaim 0x1000 Conn conn.rs:20
            60 main leak 0x1000 Timer timer.rs:8
            70 main submit 0 TIMEOUT 0x1000 timer.rs:12
            80 main submit 0 TIMEOUT 0x1000 timer.rs:15   <- operation #3
            ",
        );
    }

    #[test]
    fn a_declaration_of_a_word_that_is_nothing_yet_stays() {
        check_rule(
            &RULE,
            "
            5 main shared 0x1000
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15 len=9
            40 main complete 0 0x1000 5
            41 main complete 0 0x1000 5
            50 main reclaim 0x1000 Conn conn.rs:20
            60 main leak 0x1000 Conn conn.rs:8
            70 main submit 0 RECV 0x1000 conn.rs:12
            80 main submit 0 SEND 0x1000 conn.rs:15 len=9
            ",
        );
    }

    #[test]
    fn a_lost_completion_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            25 main lost 1 removed
            30 main submit 0 SEND 0x1000 conn.rs:15   <? operation #1
            ",
        );
    }

    #[test]
    fn what_was_overwritten_explains_nothing_where_no_cookie_is_shared() {
        let of = |lasting: &str, owner: &str, arrow: &str| {
            check_rule(
                &RULE,
                &format!(
                    "
                    {lasting}
                    5 main lost 9 overwritten
                    10 main leak 0x1000 Conn conn.rs:8 owner={owner}
                    20 main submit 0 RECV 0x1000 conn.rs:12
                    30 main submit 0 SEND 0x1000 conn.rs:15   {arrow}
                    "
                ),
            );
        };
        let shares = "process 0 lasting=whole\nlasting 0 0 shared 0x7";
        of(
            "process 0 lasting=whole",
            "Box",
            "<- [since:1] operation #1",
        );
        of("process 0 lasting=whole", "Rc", "<? operation #1");
        of(shares, "Box", "<? operation #1");
        of("", "Box", "<? operation #1");
        // Whose the first one is was said by a leak that may be missing.
        check_rule(
            &RULE,
            "
            process 0 lasting=whole
            4 main submit 0 READ 0x1000 conn.rs:9
            5 main lost 9 overwritten
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12   <? operation #1
            30 main submit 0 SEND 0x1000 conn.rs:15   <- [since:2] operation #2
            ",
        );
    }

    #[test]
    fn one_word_for_several_functions_of_a_library() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=0 cq=0 foreign
            2 main ring-create 1 sq=0 cq=0 foreign
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 CALLBACK 0x1000 conn.rs:12 len=1
            30 main submit 1 CALLBACK 0x1000 conn.rs:13
            31 main submit 2 RECV 0x1000 conn.rs:15
            # Twice for one function.
            40 main submit 1 CALLBACK 0x1000 conn.rs:16    <- operation #1 (ring 1, slot 0, CALLBACK) went in at conn.rs:16 with the cookie of Conn#1 0x1000@1
            ",
        );
    }

    #[test]
    fn what_flew_before_anything_was_leaked_there_is_a_carrier_too() {
        check_rule(
            &RULE,
            "
            10 main submit 0 RECV 0x1000 conn.rs:12
            20 main leak 0x1000 Conn conn.rs:8
            30 main submit 0 SEND 0x1000 conn.rs:15   <- [observed whole] operation #1
            ",
        );
    }

    #[test]
    fn a_sentinel_may_be_carried_by_many() {
        check_rule(
            &RULE,
            "
            1 main scheme 0 sentinel 0x1000
            10 main leak 0x1000 Conn conn.rs:8
            20 main submit 0 RECV 0x1000 conn.rs:12
            30 main submit 0 SEND 0x1000 conn.rs:15
            ",
        );
    }

    #[test]
    fn whose_completion_it_was_is_not_sure() {
        check_rule(
            &RULE,
            "
            10 main leak 0x1000 Conn conn.rs:8 owner=Rc
            11 main leak 0x1000 Conn conn.rs:8 owner=Rc
            20 main submit 0 RECV 0x1000 conn.rs:12
            21 main submit 0 RECV 0x1000 conn.rs:12
            22 main submit 0 RECV 0x1000 conn.rs:12   <- [observed whole] operation #2
            30 main complete 0 0x1000 5
            40 main submit 0 RECV 0x1000 conn.rs:12   <- [suspected whole] operation #3
            ",
        );
    }
}
