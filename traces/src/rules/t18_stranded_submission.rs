//! `stranded-submission`: an entry was pushed, and the kernel never got it, or got one that nobody wrote.
//!
//! Fires on a reclaim of what an entry carries that the kernel has not taken; on a ring dropped with
//! entries that it never took; on entries that two enters left behind although they took all they
//! offered. Suspects a slot that went in again exactly as it was, with a cookie that cannot be meant: its owner never
//! filled it, or once more with the same. Of one whose cookie is known not to be set T02 tells, and says so there.
//! Where the kernel's submissions are recorded beside the program's own record, it fires on one that the kernel took with
//! another word than lay there when the very thread entered, or than was pushed: whatever the two words stand for, what was
//! handed over is not what the kernel got, and somebody wrote to the slot in between.
//! Stays silent on rings of which not all enters are recorded, that are entered by several threads, or
//! whose entries a thread of the kernel takes.
//! Points at the submission.

use wire::record::{CookieState, RingKind};

use super::{Draft, History, Judge, Key, Rule};
use crate::event::{EventId, SiteId};
use crate::finding::{Confidence, RuleId, Severity};
use crate::model::{Lap, Moment, Operation, Rewritten, is_again};

pub(super) static RULE: Rule = Rule {
    id: RuleId(18),
    name: "stranded-submission",
    brief: "an entry was pushed and the kernel never got it, or got one that nobody filled",
    severity: Severity::Error,
    fires: "An entry waits in the submission queue and the kernel never took it: its owner is taken back \
            meanwhile, its ring is dropped, or later enters offer too few and leave it behind. Suspected of a \
            slot that goes in as it was, with the cookie of an owner that is gone or busy: nobody filled \
            it, and the old operation runs again. With --kernel, observed of an entry that the kernel took with another \
            user_data than lay in its slot when the thread entered, or than was pushed where whole entries are copied in: \
            somebody wrote to the slot while it was handed over.",
    silent: "Not all enters of the ring are recorded, several threads enter it, or the kernel polls the \
             queue; what is pushed when a process ends may be about to go. Of a slot as it was whose cookie \
             nobody set, T02 tells. Of what the kernel took nothing is said where another thread handed it over than \
             the one that entered, where an earlier enter left it behind, with times by batch, where the kernel's word is \
             that of another operation in flight, or where the operations before and behind it do not show by words of \
             their own that both sides mean the same one; `check` counts those that differ.",
    needs: "Submissions and enters; of what the kernel took, `record --kernel` and the ring's record by the shim, or by the \
            probe where the ring is made known as one that whole entries are copied into: through the io-uring crate's \
            names, or by hand.",
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
            ..
        } => unfilled(operation, *dead_at_submit, judge),
        Moment::Rewritten(rewritten) => other_word(rewritten, judge),
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

/// What is known of an entry that was handed over: what the probe was given to push, or what the shim looked at.
const PUSHED: &str = "what was pushed";
const LAY_THERE: &str = "what lay in the slot when the thread entered";

/// What was handed over is not what the kernel got.
fn other_word(rewritten: &Rewritten, judge: &mut Judge<'_>) {
    let entry = &rewritten.entry;
    let (it, (handed, taken)) = (&entry.operation, entry.words);
    let (view, since) = rewritten.view;
    let names = judge.names();
    let operation = names.operation(it.id.ring, it.id.sequence, it.slot, it.opcode);
    let handed_over = match entry.is_of_push {
        true => PUSHED,
        false => LAY_THERE,
    };
    let held_before = |word: u64| entry.before.is_some_and(|(_, before)| before == word);
    let what = if held_before(handed) {
        ": it was handed over before it was filled, with what its slot held before"
    } else if held_before(taken) {
        ", which its slot held before"
    } else {
        ""
    };
    let mut draft = Draft::new(it.id.subject(), it.submit, entry.taken)
        .scope(entry.scope)
        .history(History::Since(since))
        .until(rewritten.until)
        .by_kernel(view)
        .title("an entry was written to while it was handed over")
        .advice(
            "Another thread, or a signal's handler, writes to slots that are not its own any more: let one thread claim, \
             fill and publish, or hold one lock from the claim to the end of the enter, and publish a slot only when it is \
             filled. A watchpoint on the slot's user_data finds a stray store.",
        )
        .message(format!(
            "{operation}{} went in with {handed:#x}, and the kernel took it with {taken:#x}{what}",
            judge.at(it.site)
        ))
        .evidence(it.submit, handed_over)
        .evidence(entry.taken, "what the kernel took, in that call")
        .key(it.id)
        .shape("other word")
        .shape(crate::names::opcode(it.opcode))
        .shape(names.file(it.site));
    if let Some((lap, _)) = entry.before.filter(|_| !what.is_empty()) {
        draft = draft.evidence(lap, "what the slot held before");
    }
    judge.say(draft);
}

/// The operation that is in a slot once more to the last bit, where that tells anything.
pub(super) fn again(operation: &Operation) -> Option<&Lap> {
    let lap = operation.lap.as_deref()?;
    is_again(operation, lap).then_some(lap)
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
    use super::{LAY_THERE, PUSHED, RULE};
    use crate::trace::Trace;

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

    const TWO_VIEWS: &str = "
        process 0 pid=77 start=9 capture=preload end=exit:0
        process 1 pid=77 start=9 capture=kernel end=exit:0
        lane main tid=77
        lane other tid=78
        lane k process=1 tid=77
        lane worker process=1 tid=78
        1 k ring-create 4 fd=3 sq=8 cq=16
        2 main ring-create 0 fd=3 sq=8 cq=16
        ";

    /// Operations one after the other, each handed over and taken in a call of its own: (recorded, taken), and what is
    /// expected of it.
    fn handed_over(words: &[(u64, u64, &str)]) -> String {
        let each = words.iter().zip(0u64..);
        let lines = each.map(|((recorded, taken, arrow), sequence)| {
            let at = 10 * (sequence + 1);
            format!(
                "{at} main submit 0 READ {recorded:#x} op.rs:9 seq={sequence} {arrow}
                {} k submit 4 READ {taken:#x} seq={sequence}
                {} main enter 0 1 -> 1\n",
                at + 1,
                at + 2
            )
        });
        format!("{TWO_VIEWS}{}", lines.collect::<String>())
    }

    const SAID: &str = "<- [error observed] operation #1 (ring 0, slot 1, READ) at op.rs:9 went in with 0x2000, and the kernel took it with 0x7000";

    fn of_words(words: &[(u64, u64, &str)]) {
        check_rule(&RULE, &handed_over(words));
    }

    #[test]
    fn written_to_while_it_was_handed_over() {
        let (first, last) = ((0x1000, 0x1000, ""), (0x3000, 0x3000, ""));
        of_words(&[first, (0x2000, 0x7000, SAID), last]);
        of_words(&[first, (0x2000, 0x2000, ""), last]);
        // What comes before or behind it does not show that both sides mean the same operation.
        of_words(&[(0x2000, 0x7000, ""), last]);
        of_words(&[first, (0x2000, 0x7000, "")]);
        of_words(&[first, (0x2000, 0x3000, ""), last]);
        of_words(&[first, (0x3000, 0x2000, ""), last]);
        of_words(&[first, (0x2000, 0x1000, ""), last]);
        of_words(&[first, (0x2000, 0x7000, ""), (0x3000, 0x7001, ""), last]);
    }

    #[test]
    fn the_slots_old_word_says_who_was_late() {
        let with = |middle| {
            let lap = (0..8).map(|word| (0x100 + word, 0x100 + word, ""));
            let words: Vec<_> = lap.chain([middle, (0x3000, 0x3000, "")]).collect();
            // What was in the slot is over.
            let over = "89 k complete 4 0x100 0 of=0\n89 main complete 0 0x100 0\n90 main submit";
            handed_over(&words).replace("90 main submit", over)
        };
        let early = "<- operation #8 (ring 0, slot 0, READ) at op.rs:9 went in with 0x100, and the kernel took it with 0x2000: it was handed over before it was filled";
        check_rule(&RULE, &with((0x100, 0x2000, early)));
        let old =
            "<- went in with 0x2000, and the kernel took it with 0x100, which its slot held before";
        check_rule(&RULE, &with((0x2000, 0x100, old)));
    }

    /// The process and the kernel count the entries of a queue each for itself, and one may have missed some.
    #[test]
    fn numbers_that_are_off_never_agree_by_chance() {
        let recorded: Vec<_> = (1..=3).flat_map(|word| [0x1000 * word, 0x9]).collect();
        let of_side = |side: &str, words: &[u64]| {
            let lines = (0..)
                .zip(words)
                .map(|(sequence, word)| format!("{side} READ {word:#x} seq={sequence}\n"));
            lines.collect::<String>()
        };
        let check = |recorded: &[u64], taken: &[u64], lost: &str| {
            let handed = of_side("10 main submit 0", recorded);
            let taken = of_side("20 k submit 4", taken);
            let text = format!("{TWO_VIEWS}{handed}{taken}30 main enter 0 6 -> 6\n{lost}");
            check_rule(&RULE, &text);
        };
        // The kernel's record of two is missing, which is said later or never.
        let taken = [&recorded[..2], &recorded[4..]].concat();
        check(&recorded, &taken, "40 k lost 2 kernel-buffer");
        check(&recorded, &taken, "");
        // The program pushed two past its record, or before its ring was followed.
        check(&recorded, &[&[0x7000, 0x9], &recorded[..]].concat(), "");
        // One that many have shows nothing on either side.
        let changed = |recorded: [u64; 3]| {
            let taken = [recorded[0], 0x7000, recorded[2]];
            let all = [&[recorded[0]], &recorded[..], &[recorded[2]]].concat();
            check(
                &all,
                &[&[recorded[0]], &taken[..], &[recorded[2]]].concat(),
                "",
            );
        };
        changed([0x9, 0x2000, 0x3000]);
        changed([0x1000, 0x2000, 0x9]);
        // Nor does one that the kernel took with the word of another.
        let four = [0x1000, 0x2000, 0x3000, 0x4000];
        check(&four, &[0x1000, 0x4000, 0x3000, 0x4000], "");
    }

    /// The same three operations, of which the second one has another word in the kernel for reasons of its own.
    fn harmless() -> Vec<String> {
        let text = handed_over(&[
            (0x1000, 0x1000, ""),
            (0x2000, 0x7000, ""),
            (0x3000, 0x3000, ""),
        ]);
        let replaced = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        };
        let linked = text.replace("capture=preload", "");
        vec![
            // Another thread handed it over, or looked at it.
            replaced("k submit 4 READ 0x7000", "worker submit 4 READ 0x7000"),
            replaced("main submit 0 READ 0x2000", "other submit 0 READ 0x2000"),
            // An earlier call left it behind; it was looked at when that call was over.
            replaced("21 k submit", "21 main enter 0 1 -> 0\n21 k submit"),
            replaced("21 k submit", "21 main enter 0 1 -> 1\n21 k submit"),
            // The hooks of a ring that is filled in place were called by the program, when it wanted to.
            linked.replace("0 fd=3", "0 in-place fd=3"),
            replaced("capture=preload", "capture=preload times=batch"),
            replaced("capture=kernel", "capture=kernel times=batch"),
            // Nobody set it, which is another rule's.
            replaced("op.rs:9 seq=1", "op.rs:9 seq=1 poisoned"),
            // The kernel's numbers are others behind a loss.
            replaced("11 k submit", "11 k lost 1 overwritten\n11 k submit"),
        ]
    }

    #[test]
    fn what_need_not_be_a_stray_store_is_silent() {
        for text in harmless() {
            check_rule(&RULE, &text);
        }
    }

    #[test]
    fn no_record_whose_loss_is_counted_makes_it_one() {
        for text in harmless() {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let is_event = |line: &str| line.starts_with(|first: char| first.is_ascii_digit());
            for gone in (0..lines.len()).filter(|at| is_event(lines[*at])) {
                let mut words = lines[gone].split(' ');
                let (at, lane) = (words.next().unwrap(), words.next().unwrap());
                let lost = format!("{at} {lane} lost 1 removed");
                let mut lines = lines.clone();
                lines[gone] = &lost;
                let trace = Trace::parse_text(&lines.join("\n")).unwrap();
                let mut stories = trace.verdict().stories.iter();
                let said = stories.find(|story| story.head.rule == RULE.id);
                assert!(said.is_none(), "{said:?} in\n{}", lines.join("\n"));
            }
        }
    }

    /// Batches of as many operations, every so many of which have one word, of which the kernel's record lacks some and
    /// numbers those behind as if they had never been.
    fn with_a_gap(batch: usize, common: usize, gone: std::ops::Range<usize>) -> String {
        let word = |sequence: usize| match sequence % common {
            0 => 0x9,
            _ => 0x1000 + sequence,
        };
        let all: Vec<usize> = (0..12).collect();
        let mut text = TWO_VIEWS.to_owned();
        for (at, batch) in (1..).map(|at| at * 100).zip(all.chunks(batch)) {
            let has = |sequence: &&usize| !gone.contains(sequence);
            let handed = batch.iter().map(|it| {
                format!(
                    "{at} main submit 0 READ {:#x} op.rs:9 seq={it}\n",
                    word(*it)
                )
            });
            let taken = batch.iter().filter(has).map(|it| {
                let number = it - if *it < gone.start { 0 } else { gone.len() };
                let (at, word) = (at + 1, word(*it));
                format!(
                    "{at} k submit 4 READ {word:#x} seq={number}\n\
                     {at} k complete 4 {word:#x} 0 of={number}\n"
                )
            });
            let entered = format!("{} main enter 0 {1} -> {1}\n", at + 2, batch.len());
            let reaped = batch
                .iter()
                .map(|it| format!("{} main complete 0 {:#x} 0\n", at + 3, word(*it)));
            let lines = handed.chain(taken).chain([entered]).chain(reaped);
            text.extend(lines);
        }
        text
    }

    #[test]
    fn no_record_whose_loss_is_told_in_the_end_makes_it_one() {
        for (batch, common) in [1, 2, 3, 4, 6, 12]
            .iter()
            .flat_map(|batch| [1, 2, 3, 13].map(|common| (*batch, common)))
        {
            for (from, count) in (0..11).flat_map(|from| (1..=4).map(move |count| (from, count))) {
                let text = with_a_gap(batch, common, from..from + count);
                // Or never, where it is what the program did that nobody saw.
                for lost in ["", &format!("9000 k lost {count} kernel-buffer\n")] {
                    let trace = Trace::parse_text(&format!("{text}{lost}")).unwrap();
                    let mut stories = trace.verdict().stories.iter();
                    let said = stories.find(|story| story.head.rule == RULE.id);
                    assert!(said.is_none(), "{said:?} in\n{text}{lost}");
                }
            }
        }
    }

    #[test]
    fn what_the_crate_pushed_is_nobodys_to_change() {
        let text = handed_over(&[
            (0x1000, 0x1000, ""),
            (0x2000, 0x7000, SAID),
            (0x3000, 0x3000, ""),
        ]);
        let linked = text.replace("capture=preload", "");
        let copied = linked.replace("0 fd=3", "0 copied fd=3");
        check_rule(&RULE, &copied);
        // What is known of each is what its record was made from.
        for (text, known, other) in [(&copied, PUSHED, LAY_THERE), (&text, LAY_THERE, PUSHED)] {
            let bare = text.replace(SAID, "");
            let report = crate::report::text(&Trace::parse_text(&bare).unwrap(), 100);
            assert!(
                report.contains(known) && !report.contains(other),
                "{report}"
            );
        }
    }

    #[test]
    fn records_that_are_missing_may_be_what_changed_it() {
        let text = handed_over(&[
            (0x1000, 0x1000, ""),
            (0x2000, 0x7000, "<? the kernel took it with 0x7000"),
            (0x3000, 0x3000, ""),
        ]);
        check_rule(
            &RULE,
            &text.replacen("20 main", "15 main lost 1 removed\n20 main", 1),
        );
    }
}
