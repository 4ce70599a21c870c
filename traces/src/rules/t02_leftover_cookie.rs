//! `leftover-cookie`: nobody set an operation's cookie, and its slot still held an earlier one's.
//!
//! Fires on an operation whose slot still held its poison when it was submitted (proved, but suspected of a 0 that the
//! shim saw, since another thread that sets 0 meanwhile leaves the same), and on one
//! that carries the very word of the slot's previous lap, with no call seen that set it, where that
//! cookie is dead or already has an operation in flight for each of its leases (observed).
//! Stays silent where the same word may well have been set again: addresses are recycled at once, so a
//! live pointer in the slot that held it before is ordinary. Asks, where the shim saw it, of a slot that may have been filled
//! once for good (`model/filled.rs`), and only suspects there what a program that does so has little reason for.
//! Points at the submission; says whose cookie it was, and whom its completion resumed.

use wire::payload::Submit;
use wire::record::CookieState;

use super::{Draft, History, Judge, Key, Rule};
use crate::event::SiteId;
use crate::finding::{Confidence, Doubt, RuleId, Severity};
use crate::model::{Filled, Found, Lap, Moment, Operation, Poll, is_alike, is_poison};
use crate::names::Names;

pub(super) static RULE: Rule = Rule {
    id: RuleId(2),
    name: "leftover-cookie",
    brief: "an entry carries the cookie that its slot held a lap before, and nobody set it",
    severity: Severity::Error,
    fires: "An operation is submitted without its user_data being set, and the slot still holds the \
            cookie of the operation that used it on the previous lap. Proved when the poison that the \
            probe put into the slot was still there; observed when the slot's old word went in again \
            and cannot have been meant; suspected of a leftover 0 in a program that does not link the probe, \
            where a thread that sets 0 over 0 while another one enters the ring is not seen to set it.",
    silent: "The cookie was set; or it equals the old word but names a pointer that is alive and free, \
             which happens all the time because allocators recycle addresses. In a program that does not link the \
             probe, it is asked and not said of a slot from which nothing ever came but the one entry that it was \
             filled with first, to the last bit: a program may fill one once for good, user_data with it. It is \
             suspected there of what has neither an address nor a descriptor, as most NOPs, since these are all alike, \
             of any NOP that poison was left in, and of a word whose owner was taken back and not given away again.",
    needs: "Claims and submissions of a ring whose slots are filled in place. Poison makes it proved, but for a 0 \
            without the probe.",
    points_at: "The submission that nobody gave a cookie.",
    example: "A coroutine runtime prepared NOP and cancel operations without setting their user_data. \
              Once the submission queue had gone round, those slots still held pointers of earlier \
              fibers, and the completions resumed fibers at random: deadlocks, under load only.",
    source: "axboe/liburing#690; also axboe/liburing#848, chriskohlhoff/asio#1215",
    advice: "Set user_data on every path that fills a slot, also for NOP, cancel and timeout removal. \
             The line to mend is the one that prepared this operation.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Settled {
        operation,
        dead_at_submit,
        may_be_once,
    } = moment
    else {
        return;
    };
    // Of a 0 that the shim saw, it matters whether it was set, and what the ring's other cookies are. And a 0 that another
    // thread sets over the 0 in the slot, before the poison goes in or where it went out, looks as if nobody had.
    let is_zero_by_shim = operation.entry.cookie == 0 && judge.is_by_shim(operation.id.process);
    let confidence = match operation.cookie_state {
        CookieState::Poisoned if is_zero_by_shim || *may_be_once => Confidence::Suspected,
        CookieState::Poisoned => Confidence::Proved,
        CookieState::Leftover if !(*dead_at_submit || operation.exceeds) => return,
        CookieState::Leftover if *may_be_once => Confidence::Suspected,
        CookieState::Leftover => Confidence::Observed,
        _ => return,
    };
    let is_by_poison = operation.cookie_state == CookieState::Poisoned && !is_zero_by_shim;
    let rests_on_owner = *may_be_once && operation.filled == Filled::OnceDead;
    let names = judge.names();
    let entry = &operation.entry;
    let site = SiteId(entry.site);
    let name = names.operation(
        operation.id.ring,
        operation.id.sequence,
        entry.slot,
        entry.opcode,
    );
    let did = if is_by_poison {
        "never set user_data"
    } else {
        "went in with the word that its slot held before, and nothing was seen to set it"
    };
    let message = format!(
        "{name} {did}{}; {}{}; {}",
        judge.at(site),
        whose(&names, operation, judge),
        as_before(operation),
        aftermath(&names, operation),
    );
    let mut draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .confidence(confidence)
        .history(if is_by_poison && !rests_on_owner {
            History::Own
        } else {
            History::Whole
        })
        .message(message)
        .evidence(operation.submit, "submitted without setting user_data")
        .key(operation.id)
        .keys(operation.generation.map(Key::from))
        .keys(operation.reaped_on.map(Key::from))
        .shape(crate::names::opcode(entry.opcode))
        .shape(names.file(site));
    // One line that is missing leaves slots with all kinds of words in them.
    if entry.site != 0 {
        draft = draft.of_fault(UNSET, forgotten(entry));
    }
    if let Some(lap) = &operation.lap {
        let whose = if is_poison(entry, operation.cookie_state) {
            "the operation whose cookie the slot held before"
        } else {
            "the operation whose cookie it was"
        };
        draft = draft.evidence(lap.submit, whose);
        if let Some((event, _)) = lap.leaked {
            draft = draft.evidence(event, "its cookie leaked here");
        }
        if let Some((event, _)) = lap.reclaimed {
            draft = draft.evidence(event, "and reclaimed here");
        }
        draft = draft.keys(lap.generation.map(Key::from));
    }
    if let Some(event) = operation.first_completion {
        draft = draft.evidence(event, "its completion");
    }
    if let Some(poll) = &operation.polled {
        draft = draft
            .evidence(poll.event, "resumed the wrong coroutine")
            .key(Key::Coroutine(operation.id.process, poll.coroutine));
        if let Found::TooEarly {
            operation: waited, ..
        } = poll.found
        {
            draft = draft.key(waited);
        }
    }
    if *may_be_once && may_be_meant(operation) {
        draft = draft.doubted(Doubt::FilledOnce, FILLED_ONCE);
    } else if *may_be_once {
        draft = draft.shape("filled once").advice(SET_OR_MEANT);
    }
    judge.say(draft);
}

/// Whether a program that filled a slot once for good would hand it over like that. It would not with the word of what is
/// gone; and those that are all alike, as most NOPs are, have their cookies forgotten most.
fn may_be_meant(operation: &Operation) -> bool {
    let is_poisoned = operation.cookie_state == CookieState::Poisoned;
    operation.filled != Filled::OnceDead && !(is_poisoned && is_alike(operation))
}

/// Why it is not known of a slot that went in as it was ever since.
const FILLED_ONCE: &str = "nothing else ever came from that slot: a program may fill one once for good (then `record --poison=off` does \
                           not ask), or forget its user_data each time";

/// What to try where the program may have filled the slot once for good all the same.
const SET_OR_MEANT: &str = "Set user_data on every path that fills a slot, also for NOP, cancel and timeout removal. If the program \
                            fills this slot once for good, and means the word that it holds: `record --poison=off`.";

/// The fault of a line that does not set a cookie.
pub(super) const UNSET: &str = "cookie not set";

/// What tells such lines apart.
pub(super) fn forgotten(entry: &Submit) -> u64 {
    (u64::from(entry.opcode) << 32) | u64::from(entry.site)
}

/// That all else in the slot is as it was, too. Contents do not tell a slot that nobody filled from one that was filled
/// with the same again.
fn as_before(operation: &Operation) -> String {
    let Some(lap) = super::t18_stranded_submission::again(operation) else {
        return String::new();
    };
    format!(
        ", and all else is as operation #{} left it: nobody filled the slot, or with the same again",
        lap.sequence
    )
}

/// Whose cookie the slot held.
fn whose(names: &Names<'_>, operation: &Operation, judge: &Judge<'_>) -> String {
    let cookie = operation.entry.cookie;
    let is_poison = is_poison(&operation.entry, operation.cookie_state);
    let held = if is_poison {
        "the probe's poison was still in it; before that it held"
    } else {
        "the slot still held"
    };
    let lap = operation.lap.as_deref();
    let Some(lap) = lap.filter(|lap| is_poison || lap.cookie == cookie) else {
        return if is_poison {
            "the probe's poison was still in its slot".to_owned()
        } else {
            format!("{held} {cookie:#x}")
        };
    };
    let cookie = lap.cookie;
    let Lap {
        sequence,
        opcode,
        site,
        generation,
        leaked,
        reclaimed,
        ..
    } = lap;
    let mut from = format!("operation #{sequence} ({}", crate::names::opcode(*opcode));
    if names.site(*site) != "?" {
        from.push_str(&format!(", {}", names.site(*site)));
    }
    from.push(')');
    let Some(id) = generation else {
        return format!("{held} {cookie:#x} from {from}");
    };
    let alias = names.generation(id.process, id.address, id.number);
    let mut text = format!("{held} {alias}'s cookie from {from}");
    if let Some((_, site)) = leaked {
        text.push_str(&format!(", leaked{}", judge.at(*site)));
    }
    match reclaimed {
        Some((_, site)) => text.push_str(&format!(", reclaimed{}", judge.at(*site))),
        None => text.push_str(", which still lives"),
    }
    text
}

/// What came of it.
fn aftermath(names: &Names<'_>, operation: &Operation) -> String {
    let Some(Poll {
        coroutine, found, ..
    }) = &operation.polled
    else {
        return match operation.first_completion {
            Some(_) => "its completion was taken with that cookie".to_owned(),
            None => "its completion was not taken before the recording ended".to_owned(),
        };
    };
    let who = names.coroutine(operation.id.process, *coroutine);
    match found {
        Found::TooEarly {
            operation,
            slot,
            opcode,
        } => format!(
            "its completion resumed {who}, although {}, which it waits for, was still in flight",
            names.operation(operation.ring, operation.sequence, *slot, *opcode)
        ),
        Found::Elsewhere => {
            format!("its completion resumed {who}, which was waiting for something else")
        }
        Found::Running => format!("its completion resumed {who} a second time"),
        Found::Done => format!("its completion resumed {who}, which was already done"),
        Found::Dropped => format!("its completion resumed {who}, which had been dropped"),
        Found::Waiting | Found::Unknown => format!("its completion resumed {who}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    /// A receive whose pointer went round, in slot 0 of a ring of one.
    const LAP: &str = "
        1 main ring-create 0 sq=1 cq=2 in-place
        10 main leak 0x1000 Conn conn.rs:88
        20 main claim 0 slot=0
        30 main submit 0 RECV 0x1000 conn.rs:90 set
        40 main enter 0 1 -> 1
        50 main complete 0 0x1000 5
        60 main reclaim 0x1000 Conn conn.rs:131
    ";

    /// What the shim sees of a program that fills slots 0 and 1 once and slot 2 each time: so many lines more, of one ring.
    /// Submissions need no more than what they are.
    #[track_caller]
    fn by_shim(head: &str, lines: &str) {
        const FIRST: &str = "
            main ring-create 0 sq=8 cq=16 in-place
            READ 0x10000 slot=0 addr=0x9000 len=64
            READ 0x20000 slot=1 addr=0x9100 len=64
            NOP 0x77 slot=2
            NOP 0x78 slot=2 set
        ";
        let mut text = format!("process 0 capture=preload {head}\n");
        let lines = FIRST.lines().chain(lines.lines()).map(str::trim);
        for (number, line) in lines.filter(|line| !line.is_empty()).enumerate() {
            let is_entry = line.contains("slot=");
            let what = if is_entry { "main submit 0 " } else { "" };
            text += &format!("{} {what}{line}\n", 1_000 * number);
        }
        check_rule(&RULE, &text);
    }

    /// Slot 0 goes in as it was, and that is told of, asked or neither.
    fn again(told: &str) -> String {
        format!("READ 0x10000 slot=0 addr=0x9000 len=64 poisoned {told}\n")
    }

    const SAID: &str = "<- [proved] never set user_data; the slot still held 0x10000";
    const ASKED: &str = "<? never set user_data; the slot still held 0x10000";
    const SET: &str = "READ 0x10000 slot=0 addr=0x9000 len=64 set\n";

    #[test]
    fn poison_that_was_left_in_a_slot_that_never_had_a_cookie_is_told() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=1 cq=4 in-place
            10 main submit 0 NOP 0x0 never-written
            11 main complete 0 0x0 0
            20 main submit 0 NOP 0xfeed5eed01000000 poisoned   <- [proved own] operation #1
            21 main complete 0 0xfeed5eed01000000 0
            ",
        );
    }

    /// As good as none where no operation of the ring has a cookie, as far as it goes.
    #[test]
    fn a_leftover_0_counts_where_operations_are_told_apart() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=1 cq=4 in-place
            10 main submit 0 NOP 0x0 set
            11 main complete 0 0x0 0
            20 main submit 0 NOP 0x0 poisoned
            21 main complete 0 0x0 0
            # One of liburing's own.
            30 main submit 0 TIMEOUT 0xffffffffffffffff set
            31 main complete 0 0xffffffffffffffff -62
            ",
        );
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=1 cq=4 in-place
            10 main submit 0 NOP 0x0 set
            11 main complete 0 0x0 0
            20 main submit 0 NOP 0x0 poisoned        <- [proved own] operation #1
            21 main complete 0 0x0 0
            30 main submit 0 NOP 0x7 set
            31 main complete 0 0x7 0
            40 main submit 0 NOP 0x0 set
            41 main complete 0 0x0 0
            50 main submit 0 NOP 0x0 poisoned        <- [proved own] operation #4
            51 main complete 0 0x0 0
            ",
        );
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=1 cq=4 in-place
            5 main scheme 0 index
            10 main submit 0 NOP 0x0 set
            11 main complete 0 0x0 0
            20 main submit 0 NOP 0x0 poisoned        <- [proved own] operation #1
            21 main complete 0 0x0 0
            ",
        );
    }

    #[test]
    fn of_slots_that_were_filled_once_it_is_asked() {
        let other = "NOP 0x79 slot=2 set\nREAD 0x20000 slot=1 addr=0x9100 len=64 poisoned <? never set user_data\n";
        for head in ["state=clean", "end=killed:9", ""] {
            for end in ["", "main ring-drop 0"] {
                by_shim(
                    head,
                    &format!("{}{other}{}{end}", again(ASKED), again(ASKED)),
                );
            }
        }
    }

    #[test]
    fn what_came_back_is_said_once_its_slot_is_seen_to_be_filled_again() {
        let (asked, said) = (again(ASKED), again(SAID));
        by_shim("", &format!("{SET}{said}{said}"));
        // Several threads enter the ring by now, and it is not seen whether it was set: it may be the same again.
        let unseen = SET.replace("set", "");
        by_shim("", &format!("{asked}{unseen}{asked}"));
        let unseen = unseen.replace("len=64", "len=32");
        // Another entry, for which nobody set one either.
        let other = format!("NOP 0x10000 slot=0 fd=0 poisoned {SAID}\n");
        for filled in [SET, &unseen, &other] {
            for times in [1, 2, 9] {
                let before = said.repeat(times);
                by_shim("", &format!("{before}{filled}{said}{said}main ring-drop 0"));
            }
        }
        // A ring of its number is another one.
        let anew = "main ring-drop 0\nmain ring-create 0 sq=4 cq=8 in-place\n";
        let first = SET.replace("set", "");
        by_shim("", &format!("{asked}{anew}{first}{said}{SET}{said}"));
        by_shim("", &format!("{SET}{said}{anew}{first}{asked}"));
    }

    #[test]
    fn what_is_missing_has_nothing_to_do_with_what_a_slot_was_filled_with() {
        let (asked, said, lost) = (again(ASKED), again(SAID), "main lost 1 removed\n");
        by_shim("", &format!("{said}{lost}{said}{SET}{lost}{said}"));
        by_shim("", &format!("{asked}{lost}{asked}"));
    }

    /// Of those that ended so many are kept, and the latest, as they may resume somebody yet.
    #[test]
    fn of_more_than_are_kept_for_a_slot_it_is_asked() {
        let head = "process 0 capture=preload\n0 main ring-create 0 sq=1 cq=2 in-place\n";
        let submit =
            |state: &str| format!("1 main submit 0 POLL_ADD 0x10000 slot=0 fd=7 {state}\n");
        let laps = format!("{}{}", submit(""), submit("poisoned").repeat(199));
        let count = |text: String| {
            let trace = crate::trace::Trace::parse_text(&text).unwrap();
            let stories = trace.verdict().stories.iter();
            let said = stories.map(|story| (story.head.first_cause.0, story.head.count));
            (
                said.collect::<Vec<_>>(),
                trace.verdict().summary.cannot_tell,
            )
        };
        assert_eq!(count(format!("{head}{laps}")), (vec![], 199));
        assert_eq!(
            count(format!("{head}{laps}{}", submit("set"))),
            (vec![(2, 199)], 0)
        );
        let over = "1 main complete 0 0x10000 1\n".repeat(200);
        assert_eq!(count(format!("{head}{laps}{over}")), (vec![], 199));
        let set = submit("set");
        assert_eq!(
            count(format!("{head}{laps}{over}{set}")),
            (vec![(2, 68)], 131)
        );
        // What was kept is said then and there.
        let dropped = "1 main ring-drop 0\n";
        assert_eq!(
            count(format!("{head}{laps}{over}{set}{dropped}")),
            (vec![(2, 68)], 131)
        );
    }

    const LEAK: &str = "main leak 0x70000 Conn conn.rs:8\n";
    const RECLAIM: &str = "main reclaim 0x70000 Conn conn.rs:9\n";
    /// Slot 3 is filled with a connection's pointer, and its operation ends.
    const FIRST: &str = "READ 0x70000 slot=3 addr=0x9000 len=64\nmain complete 0 0x70000 64\n";

    /// Slot 3 goes in as it was, and that is told of, asked or neither.
    fn held(told: &str) -> String {
        format!("READ 0x70000 slot=3 addr=0x9000 len=64 poisoned {told}\n")
    }

    /// The word says nothing of who filled the slot: a pointer is given away anew each time by a program that takes the box
    /// back and goes on with it, and several operations carry it where a connection reads and writes. Who passes
    /// on what was freed does so by mistake, but proved is only that nobody set it this time.
    #[test]
    fn of_a_slot_that_was_filled_once_a_dead_word_is_suspected_and_a_live_one_is_asked() {
        let asked = held("<? never set user_data; the slot still held Conn#1 0x70000@1's cookie");
        let dead = held("<- [suspected whole] never set user_data; the slot still held Conn#1");
        let long_dead =
            held("<- [suspected whole] never set user_data; the slot still held 0x70000");
        let lost = dead.replace("<- [suspected whole]", "<?");
        by_shim("", &format!("{LEAK}{FIRST}{asked}"));
        by_shim("", &format!("{LEAK}{FIRST}{RECLAIM}{LEAK}{asked}"));
        by_shim(
            "",
            &format!("{LEAK}{FIRST}{asked}{RECLAIM}{dead}{long_dead}{long_dead}"),
        );
        by_shim(
            "",
            &format!("{LEAK}{FIRST}{RECLAIM}main lost 1 removed\n{lost}"),
        );
        let alive = held("<? never set user_data; the slot still held 0x70000");
        by_shim("", &format!("{LEAK}{FIRST}{RECLAIM}{dead}{LEAK}{alive}"));
        // Two in flight, of one owner.
        let other = "WRITE 0x70000 slot=2 addr=0x9000 len=64 set\n";
        by_shim("", &format!("{LEAK}{FIRST}{other}{asked}"));
        // Once the slot is seen to be filled again, it is proved of all of them.
        let proved = |held: &str| held.replace("[suspected whole]", "[proved own]");
        let said = asked.replace("<?", "<- [proved own]");
        by_shim(
            "",
            &format!(
                "{LEAK}{FIRST}{said}{RECLAIM}{}{}READ 0x5 slot=3 addr=0x9000 len=64 set",
                proved(&dead),
                proved(&long_dead)
            ),
        );
    }

    #[test]
    fn what_is_missing_makes_nobodys_word_a_forgotten_one() {
        let asked = held("<? never set user_data");
        let lost = "main lost 1 removed\n";
        let first = "READ 0x70000 slot=3 addr=0x9000 len=64\n";
        // The completion of the first, the leak that it went in with, and the one that it was given away by anew.
        by_shim("", &format!("{LEAK}{first}{lost}{asked}"));
        let retain = "main retain 0x70000 Conn conn.rs:9 owner=Rc\n";
        by_shim("", &format!("{lost}{FIRST}{retain}{asked}"));
        by_shim("", &format!("{LEAK}{FIRST}{RECLAIM}{lost}{asked}"));
    }

    /// Before any cookie was seen to be set, poison that stayed is no more than an old word.
    #[test]
    fn one_pointer_in_two_slots_that_were_filled_once_is_asked_by_the_old_word_too() {
        let first = "READ 0x70000 slot=3 addr=0x9000 len=64 fd=5\nWRITE 0x70000 slot=4 addr=0x9100 len=64 fd=5\n";
        let over = "main complete 0 0x70000 64\n".repeat(2);
        let again = |told: &str| {
            let entries = first.replace(" fd=5\n", " fd=5 leftover\n");
            format!("{} {told}\n{over}", entries.trim_end())
        };
        let asked = again("<? nothing was seen to set it");
        by_shim("", &format!("{LEAK}{first}{over}{asked}{asked}"));
        let said = again("<- [observed whole] nothing was seen to set it");
        let set = "WRITE 0x70000 slot=4 addr=0x9100 len=64 fd=5 set\n";
        by_shim("", &format!("{LEAK}{first}{over}{said}{said}{set}"));
    }

    /// These are the same whoever fills them: mostly somebody who sets no cookie.
    #[test]
    fn of_nops_that_are_alike_and_of_what_has_neither_address_nor_descriptor_it_is_suspected_until_their_slot_is_filled_again()
     {
        for entry in [
            "NOP 0x50000 slot=3 fd=-1",
            "TIMEOUT_REMOVE 0x50000 slot=3 fd=-1",
            "NOP 0xfeed5eed00000000 slot=3 fd=0",
            "NOP128 0xfeed5eed00000000 slot=3 fd=0",
        ] {
            let held =
                |sure: &str| format!("{entry} poisoned <- [{sure} own] never set user_data\n");
            let (suspected, proved) = (held("suspected"), held("proved"));
            let first = entry.replace("0xfeed5eed0", "0x5");
            by_shim("", &format!("{first}\n{suspected}{suspected}"));
            by_shim(
                "",
                &format!("{first}\n{suspected}{suspected}main ring-drop 0"),
            );
            by_shim(
                "",
                &format!("{first}\n{proved}{proved}{first} set\n{proved}"),
            );
            // Not one of these before.
            by_shim("", &format!("FSYNC 0x50000 slot=3 fd=3\n{proved}{proved}"));
            by_shim("", &format!("main lost 1 removed\n{suspected}"));
        }
    }

    #[test]
    fn poison_that_is_left_in_says_nothing_of_who_filled_the_slot() {
        let kept = |told: &str| {
            format!("READ 0xfeed5eed00000000 slot=0 addr=0x9000 len=64 poisoned {told}\n")
        };
        let asked = kept("<? the probe's poison was still in");
        by_shim("", &format!("{asked}{asked}"));
        let said = kept("<- [proved own] the probe's poison was still in");
        by_shim("", &format!("{said}{said}{SET}{said}"));
        let other = asked
            .replace("len=64", "len=32")
            .replace("<?", "<- [proved own]");
        by_shim("", &format!("{said}{other}"));
        // Whose word the poison took the place of may live.
        let poison = "0xfeed5eed00000000";
        let asked = held("<? the probe's poison was still in it; before that it held Conn#1");
        by_shim(
            "",
            &format!("{LEAK}{FIRST}{}", asked.replacen("0x70000", poison, 1)),
        );
    }

    /// Of those that end without a completion so many are kept in flight; what is told of them does not hang on it.
    #[test]
    fn quiet_operations_that_nobody_set_are_said_however_many_follow() {
        let entry = |slot: u64, rest: &str| {
            format!("main submit 0 SEND 0x10000 slot={slot} fd=5 addr=0x9000 skip-success {rest}\n")
        };
        let head = "0 main ring-create 0 sq=4 cq=8 in-place\n";
        let said = "<- [proved own] never set user_data; the slot still held 0x10000";
        for more in [0, 62, 63, 64, 200] {
            let mut text = format!(
                "{head}1 {}2 {}",
                entry(0, "set"),
                entry(0, &format!("poisoned {said}"))
            );
            for turn in 0..more {
                text += &format!("{} {}", 3 + turn, entry(1, "set"));
            }
            check_rule(&RULE, &text);
            // The shim's are kept until their slot is filled again.
            let by_shim = text.replace("[proved own]", "");
            let again = format!("999 {}", entry(0, "set"));
            check_rule(
                &RULE,
                &format!("process 0 capture=preload\n{by_shim}{again}"),
            );
            // Nobody looked when it was filled first.
            let asked = by_shim.replacen(" set", "", 1).replace("<-", "<?");
            check_rule(&RULE, &format!("process 0 capture=preload\n{asked}"));
        }
        // A number that comes twice is another ring's, or a damaged record's.
        let twice = "seq=7 poisoned";
        let first = entry(0, &format!("{twice} {said}"));
        check_rule(
            &RULE,
            &format!(
                "{head}1 {}2 {first}3 {}",
                entry(0, "seq=6 set"),
                entry(0, "seq=7 set")
            ),
        );
    }

    #[test]
    fn poison_of_a_slot_that_was_filled_where_nobody_looked_is_proved_unless_that_is_missing() {
        let head = "process 0 capture=preload\n";
        let entry = "main submit 0 READ 0x10000 slot=0 addr=0x9000 len=64";
        let (said, asked) = (format!("poisoned {SAID}"), format!("poisoned {ASKED}"));
        let said = said.replace("; the slot still held 0x10000", "");
        let asked = asked.replace("; the slot still held 0x10000", "");
        let made = "1 main ring-create 0 sq=1 cq=2 in-place\n";
        // A forked child fills its parent's ring.
        check_rule(&RULE, &format!("{head}1 {entry}\n2 {entry} {said}"));
        check_rule(&RULE, &format!("{head}{made}2 {entry} {said}"));
        // The probe knows which slots its program claims.
        check_rule(&RULE, &format!("{made}2 {entry}\n3 {entry} {said}"));
        // What went in first was overwritten.
        let lost = "0 main lost 9 overwritten\n0 main submit 0 NOP 0x5 slot=3\n";
        check_rule(
            &RULE,
            &format!("{head}{lost}2 {entry} {asked}\n3 {entry} {asked}"),
        );
        check_rule(
            &RULE,
            &format!("{head}{lost}2 {entry} set\n3 {entry} {said}"),
        );
        // And not of another process.
        let others =
            "process 1 capture=preload\nlane other process=1\n0 other lost 9 overwritten\n";
        check_rule(
            &RULE,
            &format!("{head}{others}{made}2 {entry} {said}\n3 {entry} {said}"),
        );
    }

    #[test]
    fn poison_that_came_back_is_proved() {
        check_rule(
            &RULE,
            &format!(
                "{LAP}
                70 main submit 0 NOP 0x1000 poll.rs:7 poisoned    <- operation #1 (ring 0, slot 0, NOP) never set user_data at poll.rs:7; the slot still held Conn#1 0x1000@1's cookie from operation #0 (RECV, conn.rs:90), leaked at conn.rs:88, reclaimed at conn.rs:131; its completion resumed coroutine 9, which was already done
                80 main complete 0 0x1000 0
                85 main done 9
                90 main resume 9 0x1000 ring=0
                "
            ),
        );
    }

    #[test]
    fn a_slot_that_is_as_it_was_is_said_to_be_where_that_tells_anything() {
        let untold = "slot still held 0x5 from operation #0 (FSYNC, log.c:9); its completion";
        let told = "slot still held 0x5 from operation #0 (FSYNC, log.c:9), and all else is as operation #0 left it: nobody filled the slot, or with the same again; its completion";
        for (first, then, said) in [
            ("fd=5", "fd=5", told),
            ("fd=0", "fd=0", told),
            ("fd=5", "fd=6", untold),
            // Without an address or a descriptor all are alike.
            ("", "", untold),
        ] {
            check_rule(
                &RULE,
                &format!(
                    "
                    1 main ring-create 0 sq=1 cq=2 in-place
                    20 main submit 0 FSYNC 0x5 log.c:9 set {first}
                    30 main complete 0 0x5 0
                    50 main submit 0 FSYNC 0x5 log.c:9 poisoned {then}  <- [proved own] the {said}
                    "
                ),
            );
        }
    }

    #[test]
    fn poison_that_was_left_in_is_named() {
        check_rule(
            &RULE,
            &format!(
                "{LAP}
                70 main submit 0 NOP 0xfeed5eed00000000 poll.rs:7 poisoned    <- never set user_data at poll.rs:7; the probe's poison was still in it; before that it held Conn#1 0x1000@1's cookie from operation #0 (RECV, conn.rs:90), leaked at conn.rs:88
                80 main complete 0 0xfeed5eed00000000 0
                "
            ),
        );
    }

    #[test]
    fn too_early_for_the_coroutine_that_waits() {
        check_rule(
            &RULE,
            &format!(
                "{LAP}
                61 main leak 0x1000 Conn conn.rs:88
                62 main submit 0 TIMEOUT 0x1000 time.rs:3 set
                63 main suspend 9 0x1000
                70 main submit 0 NOP 0x1000 poll.rs:7 poisoned    <- resumed coroutine 9, although operation #1 (ring 0, slot 0, TIMEOUT), which it waits for, was still in flight
                80 main complete 0 0x1000 0
                90 main resume 9 0x1000 ring=0
                "
            ),
        );
    }

    #[test]
    fn the_old_word_without_poison_is_observed_where_it_cannot_be_meant() {
        check_rule(
            &RULE,
            &format!(
                "{LAP}\n70 main submit 0 NOP 0x1000 leftover   <- [observed whole] nothing was seen to set it"
            ),
        );
    }

    #[test]
    fn the_old_word_may_have_been_set_again() {
        check_rule(
            &RULE,
            &format!(
                "{LAP}
                61 main leak 0x1000 Conn conn.rs:88
                70 main submit 0 RECV 0x1000 leftover
                "
            ),
        );
    }

    #[test]
    fn a_cookie_that_was_set_is_silent() {
        check_rule(&RULE, &format!("{LAP}\n70 main submit 0 NOP 0x1000 set"));
    }

    #[test]
    fn without_poison_a_lost_leak_could_explain_it() {
        check_rule(
            &RULE,
            &format!(
                "{LAP}\n65 main lost 1 removed\n70 main submit 0 NOP 0x1000 leftover  <? nothing"
            ),
        );
    }

    #[test]
    fn poison_needs_no_history() {
        check_rule(
            &RULE,
            &format!(
                "{LAP}\n65 main lost 1 removed\n70 main submit 0 NOP 0x1000 poisoned  <- [proved own] never set"
            ),
        );
    }

    #[test]
    fn the_old_word_cannot_be_meant_while_its_operation_flies() {
        check_rule(
            &RULE,
            "
            1 main ring-create 0 sq=1 cq=2 in-place
            10 main leak 0x1000 Conn conn.rs:88
            20 main submit 0 RECV 0x1000 conn.rs:90 set
            30 main enter 0 1 -> 1
            40 main submit 0 NOP 0x1000 leftover    <- [observed whole] nothing was seen to set it
            ",
        );
    }

    #[test]
    fn a_word_that_only_looks_like_poison_is_none() {
        let poison = LAP.replace("0x1000", "0xfeed5eed00000010");
        check_rule(
            &RULE,
            &format!(
                "{poison}
                70 main submit 0 NOP 0xfeed5eed00000010 leftover   <- [observed] the slot still held Conn#1 0x5eed00000010@1's cookie
                "
            ),
        );
    }

    /// A program that the shim recorded, which tells its operations apart by cookies.
    const BY_SHIM: &str = "
        process 0 capture=preload
        1 main ring-create 0 sq=2 cq=4 in-place
        10 main submit 0 RECV 0x7
        11 main submit 0 WRITE 0x0
        20 main submit 0 RECV 0x8 set
    ";

    #[test]
    fn a_leftover_of_zero_that_was_set_is_one() {
        check_rule(
            &RULE,
            &format!(
                "{BY_SHIM}
                21 main submit 0 WRITE 0x0 set
                30 main submit 0 RECV 0x9 set
                31 main submit 0 CLOSE 0x0 poisoned    <- [suspected whole] nothing was seen to set it; the slot still held 0x0 from operation #3 (WRITE)
                40 main submit 0 RECV 0x9 set
                41 main submit 0 NOP 0x0 poisoned      <- [suspected whole] nothing was seen to set it; the slot still held 0x0 from operation #5 (CLOSE)
                "
            ),
        );
    }

    #[test]
    fn a_zero_of_the_first_lap_was_set_where_others_of_its_kind_were() {
        check_rule(
            &RULE,
            "
            process 0 capture=preload
            1 main ring-create 0 sq=4 cq=8 in-place
            # Nothing is seen of a slot's first lap.
            10 main submit 0 RECV 0x7
            11 main submit 0 WRITE 0x0
            12 main submit 0 WRITE 0x0
            13 main submit 0 CLOSE 0x0
            20 main submit 0 RECV 0x8 set
            21 main submit 0 WRITE 0x0 set
            22 main submit 0 CLOSE 0x0 poisoned   <- [suspected whole] the slot still held 0x0 from operation #2 (WRITE)
            # Nobody sets one of its predecessor's kind.
            23 main submit 0 NOP 0x0 poisoned
            ",
        );
    }

    #[test]
    fn a_zero_that_nobody_was_seen_to_set_is_none() {
        // Cookies that mean nothing; a slot that held 0 from the start; what posts nothing when all goes well.
        let nothing = BY_SHIM.replace(" 0x8 set", " 0x0 set");
        for text in [
            format!("{nothing}21 main submit 0 WRITE 0x0 set\n30 main submit 0 NOP 0x0 poisoned"),
            format!(
                "{BY_SHIM}21 main submit 0 WRITE 0x0 poisoned\n30 main submit 0 RECV 0x1 set\n31 main submit 0 NOP 0x0 poisoned"
            ),
            format!(
                "{BY_SHIM}21 main submit 0 WRITE 0x0 set\n30 main submit 0 RECV 0x9 set\n31 main submit 0 WRITE 0x0 poisoned skip-success"
            ),
            // Some of a kind set it and some do not: of the one on the first lap nobody knows.
            "process 0 capture=preload
            1 main ring-create 0 sq=2 cq=4 in-place
            10 main submit 0 RECV 0x7
            11 main submit 0 WRITE 0x0
            20 main submit 0 WRITE 0x0 set
            21 main submit 0 WRITE 0x0 poisoned
            30 main submit 0 RECV 0x8 set
            31 main submit 0 NOP 0x0 poisoned"
                .to_owned(),
        ] {
            check_rule(&RULE, &text);
        }
    }

    #[test]
    fn a_loss_could_explain_a_zero() {
        check_rule(
            &RULE,
            &format!(
                "{BY_SHIM}
                21 main submit 0 WRITE 0x0 set
                25 main lost 1 removed
                30 main submit 0 RECV 0x9 set
                31 main submit 0 CLOSE 0x0 poisoned    <? nothing was seen to set it
                "
            ),
        );
    }

    #[test]
    fn a_word_that_is_not_the_lap_s_is_nobodys() {
        check_rule(
            &RULE,
            &format!(
                "{LAP}\n70 main submit 0 NOP 0x7777 poisoned   <- [proved own] the slot still held 0x7777; its completion was not taken"
            ),
        );
    }
}
