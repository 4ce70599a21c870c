//! `unknown-cookie`: a word travels that stands for nothing.
//!
//! Fires on a completion whose cookie was never leaked, submitted or declared, on a ring whose cookies
//! are pointers; and on a submission with such a word where a scheme declares pointers, or the keys of one table.
//! Stays silent for zero (`unset-cookie`), for words with cut bits (`truncated-cookie`), for cookies that
//! nobody set (`leftover-cookie`), for sentinels and messages, and where it does not know enough of the
//! ring or of the cookie's past.
//! Only suspects completions where nothing but other cookies shows that cookies are pointers.
//! Where the kernel's posts are recorded beside the program's own record, it fires on any ring: on a word that was taken in
//! place of one that the kernel had posted, which the program then went past. That is proved where all but the word is as it
//! was posted, and observed where more is other.
//! Points at the submission, else at the completion.

use wire::record::CookieState;

use super::{Draft, History, Judge, Key, Rule};
use crate::event::SiteId;
use crate::finding::{Confidence, RuleId, Severity, Subject};
use crate::model::{Forged, Moment, Pointers, Standing, Stray, Submitted};

pub(super) static RULE: Rule = Rule {
    id: RuleId(12),
    name: "unknown-cookie",
    brief: "a cookie was never leaked, submitted or declared, or the kernel posted another",
    severity: Severity::Error,
    fires: "A completion brings a word that was never leaked, submitted or declared, on a ring whose \
            cookies are pointers: somebody will take it for one. Where a scheme declares pointers, a \
            submission with a word that was never leaked is reported at once; so is a key that its table never \
            gave out, where keys of one table are declared. With --kernel, on any ring: a completion brings a \
            word that the kernel did not post, in place of one that it did and that the program went past: proved where \
            all but the word is as the kernel posted it, else observed.",
    silent: "The word is a declared sentinel or a message from another ring; it was submitted on this \
             ring; it is zero, a part of a leaked pointer, or, among keys, a word with its highest bit set; or the ring was made before the recording \
             began. All that uses the ring must be recorded: completions of operations that a library \
             submits behind the probe are unknown too. So are messages sent without a ring. Of what the kernel \
             posted nothing is said after records of either side were lost, nor where a word stands in for no other: \
             not all that is posted is told of (zero-copy receives, drivers' commands, messages of processes that \
             were not listened to). Nor of the last ones that a queue held, or once a clock was set by more than it may be off.",
    needs: "The ring's creation, leaks, submissions and completions; of words that the kernel did not post, \
            `record --kernel` and the ring's record by the probe or the shim.",
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
        Moment::Forged(forged) => instead(forged, judge),
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
        .or_a_message()
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

fn instead(forged: &Forged, judge: &mut Judge<'_>) {
    let (process, ring, scope) = forged.place;
    let (word, posted) = forged.words;
    let (view, since) = forged.view;
    let subject = match &forged.operation {
        Some(lacking) => lacking.id.subject(),
        None => Subject::Cookie {
            process,
            ring,
            cookie: posted,
        },
    };
    let confidence = match forged.is_like {
        true => Confidence::Proved,
        false => Confidence::Observed,
    };
    let names = judge.names();
    let whose = forged.operation.map_or(String::new(), |it| {
        let operation = names.operation(ring, it.id.sequence, it.slot, it.opcode);
        format!(" for {operation}{}", judge.at(it.site))
    });
    let mut draft = Draft::new(subject, forged.taken, forged.taken)
        .scope(scope)
        .confidence(confidence)
        .history(History::Since(since))
        .until(forged.until)
        .by_kernel(view)
        .title("a completion is not the one that the kernel posted")
        .advice(
            "Something wrote into the completion queue, which no sanitizer watches, or the program read another place \
             of it. Look for a store beside a block that lies near the ring's mapping; a watchpoint on the entry finds \
             it. A ring whose completions have 32 bytes must not be read at steps of 16.",
        )
        .evidence(forged.posted, "what the kernel posted, which was never taken")
        .evidence(forged.taken, "taken in its place")
        .shape("instead");
    if let Some(lacking) = forged.operation {
        draft = draft
            .evidence(lacking.submit, "the operation that it was posted for")
            .key(lacking.id)
            .shape(crate::names::opcode(lacking.opcode))
            .shape(names.file(lacking.site));
    }
    let (operation, generation) = forged.taken_for;
    let keys = operation.map(Key::from).into_iter();
    let draft = draft.keys(keys.chain(generation.map(Key::from)));
    judge.say(draft.message(format!(
        "a completion on ring {ring} brought {word:#x} in place of {posted:#x}, which the kernel had posted{whose}"
    )));
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

    const TWO_VIEWS: &str = "
        process 0 pid=77 start=9 capture=preload end=exit:0
        process 1 pid=77 start=9 capture=kernel end=exit:0
        lane main tid=77
        lane k process=1 tid=77
        lane worker process=1 tid=78
        1 k ring-create 4 fd=3 sq=8 cq=16
        2 main ring-create 0 fd=3 sq=8 cq=16
        ";

    /// An operation that both sides saw go in.
    fn both(at: u32, sequence: u32, cookie: u64) -> String {
        format!(
            "{at} main submit 0 READ {cookie:#x} seq={sequence} set
            {at} k submit 4 READ {cookie:#x} seq={sequence}\n"
        )
    }

    fn of_two_views(text: &str) {
        check_rule(&RULE, &format!("{TWO_VIEWS}{text}"));
    }

    #[test]
    fn a_word_in_place_of_one_that_the_kernel_posted() {
        let ops = [
            both(10, 0, 0x1000),
            both(11, 1, 0x2000),
            both(12, 2, 0x3000),
        ]
        .concat();
        let said = "a completion on ring 0 brought 0x7000 in place of 0x2000, which the kernel had posted for operation #1 (ring 0, slot 1, READ)";
        let three = |second: &str, arrow: &str| {
            format!(
                "{ops}
                20 k complete 4 0x1000 5 of=0
                21 k complete 4 0x2000 6 of=1
                22 k complete 4 0x3000 7 of=2
                30 main complete 0 0x1000 5
                31 main complete 0 {second} {arrow}
                32 main complete 0 0x3000 7\n"
            )
        };
        of_two_views(&three("0x2000 6", ""));
        of_two_views(&three(
            "0x7000 6",
            &format!("<- [error proved since:0] {said}"),
        ));
        // One that was posted, too: its own is what is left over.
        of_two_views(&three(
            "0x3000 6",
            "<- [proved] brought 0x3000 in place of 0x2000",
        ));
        // More than the word is other; a word that is in flight; one that was taken before.
        of_two_views(&three("0x7000 0", &format!("<- [observed] {said}")));
        of_two_views(&three("0x1000 6", "<- [proved] brought 0x1000 in place"));
        let later = "40 k submit 4 READ 0x9000 seq=3\n2000000000 k complete 4 0x9000 5 of=3\n";
        of_two_views(&(three("0x9000 6", "<- [proved] brought 0x9000 in place") + later));
        // Nothing was taken behind it: what was posted may be there still.
        let text = three("0x7000 6", "");
        of_two_views(text.trim_end().rsplit_once('\n').unwrap().0);
    }

    #[test]
    fn it_is_said_as_soon_as_clocks_cannot_explain_it() {
        let ops = [both(10, 0, 0x1000), both(11, 1, 0x2000)].concat();
        let again = |from: u64| {
            let round = |at: u64| {
                let sequence = at / 1_000_000_000;
                format!(
                    "{at} main submit 0 READ 0x1000 seq={sequence} set
                    {at} k submit 4 READ 0x1000 seq={sequence}
                    {at} k complete 4 0x1000 5 of={sequence}
                    {at} main complete 0 0x1000 5\n"
                )
            };
            (from..from + 4)
                .map(|second| round(second * 1_000_000_000))
                .collect::<String>()
        };
        let with = |arrow: &str, lost: &str| {
            of_two_views(&format!(
                "{ops}
                20 k complete 4 0x1000 5 of=0
                21 k complete 4 0x2000 6 of=1
                30 main complete 0 0x1000 5
                31 main complete 0 0x7000 6     {arrow} brought 0x7000 in place of 0x2000
                {}
                9000000000 k mark x
                9000000000 main mark x
                9000000000 worker mark x
                9000000001 k lost 1 {lost}
                9000000002 main lost 1 removed",
                again(2)
            ));
        };
        // The records that are lost in the end explain nothing of what was certain before.
        with("<- [proved]", "full");
        // But for those of which the kernel says only in the end that they were.
        with("<?", "kernel-buffer");
    }

    #[test]
    fn losses_of_either_side_leave_it_unsaid() {
        let ops = [
            both(10, 0, 0x1000),
            both(11, 1, 0x2000),
            both(12, 2, 0x3000),
        ]
        .concat();
        for (lost, lane) in [
            ("kernel-buffer", "k"),
            ("kernel-buffer", "worker"),
            ("removed", "main"),
        ] {
            for at in [3, 15, 21, 31, 90] {
                let text = format!(
                    "{ops}
                    20 k complete 4 0x1000 5 of=0
                    21 worker complete 4 0x2000 6 of=1
                    22 k complete 4 0x3000 7 of=2
                    30 main complete 0 0x1000 5
                    31 main complete 0 0x7000 6
                    32 main complete 0 0x3000 7"
                );
                let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
                let loss = format!("{at} {lane} lost 1 {lost}");
                let time = |line: &&str| {
                    line.trim()
                        .split(' ')
                        .next()
                        .unwrap()
                        .parse::<u32>()
                        .unwrap()
                };
                let place = lines
                    .iter()
                    .position(|line| time(line) > at)
                    .unwrap_or(lines.len());
                lines.insert(place, &loss);
                of_two_views(&lines.join("\n"));
            }
        }
        // Of a lane whose oldest records were overwritten nobody knows what else was posted there.
        check_rule(
            &RULE,
            &format!(
                "{}
                20 k complete 4 0x1000 5 of=0
                21 worker complete 4 0x2000 6 of=1
                30 main complete 0 0x7000 5     <? brought 0x7000
                31 main complete 0 0x2000 6",
                TWO_VIEWS.replace("1 k ring", "0 worker lost 9 overwritten\n1 k ring") + &ops
            ),
        );
        // Not what the shim does not follow, where the kernel does.
        of_two_views(&format!(
            "{ops}
            15 main lost 1 ring-not-followed
            20 k complete 4 0x1000 5 of=0
            21 worker complete 4 0x2000 6 of=1
            30 main complete 0 0x7000 5     <- [proved] brought 0x7000
            31 main complete 0 0x2000 6"
        ));
    }

    #[test]
    fn what_comes_besides_is_no_other_ones_word() {
        let ops = [both(10, 0, 0x1000), both(11, 1, 0x2000)].concat();
        // A message that nobody saw being sent, a tag: all that was posted is taken, sooner or later.
        of_two_views(&format!(
            "{ops}
            20 k complete 4 0x1000 5 of=0
            21 k complete 4 0x2000 6 of=1
            30 main complete 0 0x7000 5
            31 main complete 0 0x1000 5
            32 main complete 0 0x2000 6
            33 main complete 0 0x7001 0"
        ));
        // One that the program had gone past long before is not what it stands in for.
        of_two_views(&format!(
            "{ops}
            20 k complete 4 0x1000 5 of=0
            21 k complete 4 0x2000 6 of=1
            30 main complete 0 0x2000 6
            5000000000 main complete 0 0x7000 5"
        ));
        // Filler; a message from another ring, which the kernel tells of; a timeout that got another word.
        of_two_views(&format!(
            "{ops}
            12 main submit 0 MSG_RING 0x5 seq=2 fd=3 off=0x8000
            12 k submit 4 MSG_RING 0x5 seq=2
            19 k complete 4 0x8000 5
            20 k complete 4 0x1000 5 of=0
            21 k complete 4 0x2222 6 of=1
            22 k complete 4 0x5 0 of=2
            30 main complete 0 0x0 0 flags=32
            30 main complete 0 0x8000 5
            31 main complete 0 0x1000 5
            32 main complete 0 0x2222 6
            33 main complete 0 0x5 0"
        ));
    }

    #[test]
    fn operations_that_post_without_a_word_of_it_explain_theirs() {
        for (opcode, arrow) in [
            ("RECV_ZC", ""),
            ("URING_CMD", ""),
            ("OP200", ""),
            ("RECV", "<- [observed] brought 0x2000"),
        ] {
            of_two_views(&format!(
                "10 main submit 0 {opcode} 0x2000 seq=0 set
                10 k submit 4 {opcode} 0x2000 seq=0
                {}
                20 k complete 4 0x1000 5 of=1
                21 k complete 4 0x3000 5 of=2
                29 main complete 0 0x2000 5 more    {arrow}
                31 main complete 0 0x3000 5",
                both(11, 1, 0x1000) + &both(11, 2, 0x3000)
            ));
        }
    }

    #[test]
    fn the_clocks_of_kernel_and_program_may_be_apart() {
        of_two_views(&with_a_late_kernel(None));
        // Of several operations with the word that it stands in for nobody knows which one it was.
        let said = "<- [proved] a completion on ring 0 brought 0x7000 in place of 0x1010, which the kernel had posted";
        let text = with_a_late_kernel(Some(said));
        of_two_views(&text);
        let trace = crate::trace::Trace::parse_text(&format!("{TWO_VIEWS}{text}")).unwrap();
        let message = &trace.verdict().stories[0].head.message;
        assert!(message.ends_with("had posted"), "{message}");
    }

    /// Operations that the kernel tells of later than the program, in another order; where an arrow is given, one word is
    /// another one.
    fn with_a_late_kernel(arrow: Option<&str>) -> String {
        let mut text = String::new();
        for sequence in 0..20 {
            let (at, cookie) = (1_000 + 50 * sequence, 0x1000 + 16 * (sequence % 3));
            text += &format!("{at} main submit 0 READ {cookie:#x} seq={sequence} set\n");
            match arrow.filter(|_| sequence == 10) {
                Some(arrow) => text += &format!("{at} main complete 0 0x7000 5 {arrow}\n"),
                None => text += &format!("{at} main complete 0 {cookie:#x} 5\n"),
            }
            // The kernel says it later, and other threads of it say it in another order.
            let lane = ["k", "worker"][sequence as usize % 2];
            text += &format!("{at} k submit 4 READ {cookie:#x} seq={sequence}\n");
            let late = 100_000 - 200 * (sequence % 2);
            text += &format!(
                "{} {lane} complete 4 {cookie:#x} 5 of={sequence}\n",
                at + late
            );
        }
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap());
        lines.join("\n")
    }

    /// By a clock that was slewed meanwhile the kernel seems to post later than it did, by so many nanoseconds at a time.
    fn slewed(late: impl Fn(u64) -> u64) -> String {
        let mut lines: Vec<(u64, String)> = Vec::new();
        for sequence in 0..600u64 {
            // A busy time, with nothing wrong, is followed by a quieter one.
            let at = 50_000 * (1 + sequence) + 1_000_000 * sequence.saturating_sub(400);
            let cookie = 0x1000 + 16 * sequence;
            let mut line = |at: u64, text: &str| lines.push((at, format!("{at} {text}")));
            line(
                at,
                &format!("main submit 0 READ {cookie:#x} seq={sequence} set"),
            );
            line(at, &format!("k submit 4 READ {cookie:#x} seq={sequence}"));
            line(at + 20_000, &format!("main complete 0 {cookie:#x} 5"));
            let posted = at + 10_000 + late(sequence);
            line(posted, &format!("k complete 4 {cookie:#x} 5 of={sequence}"));
        }
        lines.sort_by_key(|(at, _)| *at);
        let lines = lines.into_iter().map(|(_, line)| line);
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_clock_that_was_slewed_by_any_amount_makes_no_word_a_strange_one() {
        for most in [0, 900_000, 2_500_000, 7_000_000, 60_000_000] {
            let hump = |sequence: u64| {
                let far = sequence.abs_diff(500).min(60);
                most * (60 - far) / 60
            };
            of_two_views(&slewed(hump));
        }
    }

    #[test]
    fn a_word_of_another_process_and_threads_out_of_order_make_no_finding() {
        let ops: String = (0..8)
            .map(|it| both(10, it, 0x1000 * u64::from(it + 1)))
            .collect();
        // What one thread passed by another one takes, and is said to be later.
        of_two_views(&format!(
            "lane other tid=79
            {ops}
            20 k complete 4 0x1000 5 of=0
            21 k complete 4 0x2000 5 of=1
            22 k complete 4 0x3000 5 of=2
            30 main complete 0 0x1000 5
            31 main complete 0 0x7777 5
            3000000 k complete 4 0x4000 5 of=3
            3000100 other complete 0 0x3000 5
            3000150 main complete 0 0x2000 5
            3000200 main complete 0 0x4000 5"
        ));
        // The last one lies there for whoever comes next, and nobody does.
        of_two_views(&format!(
            "{ops}
            20 k complete 4 0x1000 5 of=0
            30 main complete 0 0x1000 5
            100000 main complete 0 0x7777 5
            100900 k complete 4 0x2000 5 of=1"
        ));
    }

    #[test]
    fn what_waits_is_bounded_and_what_goes_beyond_is_left_unsaid() {
        let round = |sequence: u32, taken: bool| {
            let (at, cookie) = (
                4_000_000 * (sequence + 1),
                0x1000 + 16 * u64::from(sequence),
            );
            let mut text = both(at, sequence, cookie);
            text += &format!("{at} k complete 4 {cookie:#x} 5 of={sequence}\n");
            if taken {
                text += &format!("{} main complete 0 {cookie:#x} 5\n", at + 1);
            }
            text
        };
        let end = |from: u32, arrow: &str| {
            let at = 4_000_000 * (from + 1);
            let (two, words) = (both(at, from, 0x8000) + &both(at, from + 1, 0x9000), "5");
            format!(
                "{two}
                {at} k complete 4 0x8000 {words} of={from}
                {at} k complete 4 0x9000 {words} of={}
                {at} main complete 0 0x7777 {words} {arrow}
                {at} main complete 0 0x9000 {words}\n",
                from + 1
            )
        };
        // Of many that are passed by the old ones are let go.
        let passed: String = (0..1000).map(|it| round(it, it % 3 == 0)).collect();
        let found = "<- [proved] brought 0x7777 in place of 0x8000";
        of_two_views(&(passed + &end(1000, found)));
        // Of many that nobody ever went past none is.
        let waiting: String = (0..1000).map(|it| round(it, false)).collect();
        of_two_views(&(waiting + &end(1000, "")));
    }

    #[test]
    fn a_word_that_several_carry_is_not_said_to_be_one_operations() {
        let ops = [
            both(10, 0, 0x1000),
            both(11, 1, 0x1000),
            both(12, 2, 0x3000),
        ]
        .concat();
        let said = "in place of 0x1000, which the kernel had posted";
        let text = format!(
            "{ops}
            20 k complete 4 0x1000 5 of=0
            21 k complete 4 0x3000 6 of=2
            22 k complete 4 0x1000 5 of=1
            30 main complete 0 0x7000 5     <- [proved] brought 0x7000 {said}
            31 main complete 0 0x3000 6
            32 main complete 0 0x1000 5"
        );
        of_two_views(&text);
        // What was passed by is what lacks, though another one with its word came later.
        let trace = crate::trace::Trace::parse_text(&format!("{TWO_VIEWS}{text}")).unwrap();
        let finding = &trace.verdict().stories[0].head;
        assert!(finding.message.ends_with(said), "{}", finding.message);
        assert_eq!(finding.evidence[0].event.0, 8);
        // Where the kernel tells of it later, it may be either of them.
        let text = format!(
            "{ops}
            30 main complete 0 0x7000 5     <- [proved] brought 0x7000 {said}
            31 main complete 0 0x1000 5
            32 main complete 0 0x3000 6
            100 k complete 4 0x1000 5 of=0
            101 k complete 4 0x1000 5 of=1
            102 k complete 4 0x3000 6 of=2"
        );
        of_two_views(&text);
        let trace = crate::trace::Trace::parse_text(&format!("{TWO_VIEWS}{text}")).unwrap();
        let message = &trace.verdict().stories[0].head.message;
        assert!(message.ends_with(said), "{message}");
    }

    #[test]
    fn a_ring_of_which_less_is_known_is_not_judged() {
        let rest = |own: &str| {
            format!(
                "11 k submit 4 READ 0x1000 seq=0
                12 k submit 4 READ 0x2000 seq=1
                20 k complete 4 0x1000 5 of=0
                21 k complete 4 0x2000 6 of=1
                {own}
                30 main complete 0 0x7000 5
                31 main complete 0 0x2000 6"
            )
        };
        let heads = TWO_VIEWS
            .lines()
            .filter(|line| !line.contains("ring-create"));
        let heads: String = heads.map(|line| format!("{line}\n")).collect();
        // Made before the kernel was listened to; known to the program only later; another descriptor; not known to it.
        for own in [
            "",
            "22 main ring-create 0 fd=3 sq=8 cq=16",
            "22 main ring-create 0 fd=5 sq=8 cq=16",
        ] {
            let made = "1 k ring-create 4 fd=3 sq=8 cq=16\n";
            check_rule(&RULE, &format!("{heads}{made}{}", rest(own)));
            check_rule(
                &RULE,
                &format!("{heads}2 main ring-create 0 fd=3 sq=8 cq=16\n{}", rest("")),
            );
        }
        // Taken by another process, a child that has the queue, too.
        let child =
            "process 2 pid=78 start=20 capture=preload end=exit:0\nlane child process=2 tid=78\n";
        check_rule(
            &RULE,
            &format!(
                "{child}{TWO_VIEWS}{}
                20 k complete 4 0x1000 5 of=0
                21 k complete 4 0x2000 6 of=1
                30 child complete 0 0x1000 5
                31 child complete 0 0x7000 5
                32 main complete 0 0x2000 6",
                both(10, 0, 0x1000) + &both(11, 1, 0x2000)
            ),
        );
    }

    #[test]
    fn by_batch_the_order_is_not_known() {
        let text = format!(
            "{}
            20 k complete 4 0x1000 5 of=0
            21 k complete 4 0x2000 6 of=1
            22 k complete 4 0x3000 7 of=2
            30 main complete 0 0x1000 5",
            both(10, 0, 0x1000) + &both(11, 1, 0x2000) + &both(12, 2, 0x3000)
        );
        let batch = TWO_VIEWS.replacen("capture=preload", "capture=preload times=batch", 1);
        for (word, arrow) in [("0x2000", ""), ("0x7000", "<? brought 0x7000")] {
            check_rule(
                &RULE,
                &format!(
                    "{batch}{text}\n30 main complete 0 {word} 6 {arrow}\n30 main complete 0 0x3000 7"
                ),
            );
        }
        // Taken before it was posted, by the time of its batch.
        let early = text.replace("30 main", "12 main");
        let mut lines: Vec<&str> = early.lines().collect();
        lines.sort_by_key(|line| {
            line.trim()
                .split(' ')
                .next()
                .unwrap()
                .parse::<u64>()
                .unwrap_or(0)
        });
        check_rule(&RULE, &format!("{batch}{}", lines.join("\n")));
    }
}
