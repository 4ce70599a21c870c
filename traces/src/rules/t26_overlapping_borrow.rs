//! `overlapping-borrow`: a traced cell is borrowed while somebody holds it for himself.
//!
//! Fires on an exclusive borrow while any is alive, and on a shared one while an exclusive one is. Says
//! where the holder was suspended, if it was: across a resume nobody sees the other borrow.
//! Stays silent for shared borrows side by side, for cells whose memory was freed, and where the holder
//! on another thread ends within what the clocks of two cores may differ by.
//! Points at the second borrow.

use super::{Draft, History, Judge, Key, Rule};
use crate::finding::{RuleId, Severity, Subject};
use crate::model::Moment;

pub(super) static RULE: Rule = Rule {
    id: RuleId(26),
    name: "overlapping-borrow",
    brief: "a traced cell is borrowed while somebody holds it for himself",
    severity: Severity::Error,
    fires: "A traced cell is borrowed exclusively while another borrow of it is alive, or shared while an \
            exclusive one is: two parts of the program believe that they alone change it.",
    silent: "All borrows are shared; the earlier one has ended, or ends on another thread within the \
             uncertainty of the clocks; or the memory of the cell was given back.",
    needs: "Borrows of traced cells, with their ends.",
    points_at: "The second borrow.",
    example: "The nearest public one: a completion's handler was entered again for the same completion \
              before the first call was through, and used state that was gone.",
    source: "cmazakas/fiona commit cf4c5ed",
    advice: "End the borrow before the suspension point; take out what is needed and put it back after.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Overlapping {
        event,
        process,
        scope,
        borrow,
        first: (held, since),
        suspended,
    } = moment
    else {
        return;
    };
    let how = |exclusive: bool| if exclusive { "exclusively" } else { "shared" };
    let names = judge.names();
    let across = suspended.map_or(String::new(), |(coroutine, _)| {
        format!(
            " by {}, which has been suspended since",
            names.coroutine(*process, coroutine)
        )
    });
    let message = format!(
        "the cell at {:#x} was borrowed {}{} while it is borrowed {}{}{across}",
        borrow.cell,
        how(borrow.exclusive),
        judge.at(borrow.site),
        how(held.exclusive),
        judge.at(held.site)
    );
    let subject = Subject::Generation {
        process: *process,
        address: borrow.cell,
        generation: 0,
    };
    let mut draft = Draft::new(subject, *event, *event)
        .scope(*scope)
        .history(History::Since(*since))
        .message(message)
        .evidence(*since, "borrowed here")
        .evidence(*event, "borrowed again here")
        .shape(how(held.exclusive))
        .shape(how(borrow.exclusive))
        .shape(names.file(held.site))
        .shape(names.file(borrow.site));
    if let Some((coroutine, at)) = suspended {
        draft = draft
            .evidence(*at, "suspended with the borrow")
            .key(Key::Coroutine(*process, *coroutine));
    }
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;
    use crate::trace::Trace;

    /// A structure in a cell begins with a cell: two cells at one address.
    #[test]
    fn a_cell_at_the_beginning_of_another_is_silent() {
        check_rule(
            &RULE,
            "
            10 main borrow-begin 0x1000 exclusive type=Outer conn.rs:8
            20 main borrow-begin 0x1000 exclusive type=Inner conn.rs:9
            30 main borrow-end 0x1000 exclusive type=Outer conn.rs:8
            40 main borrow-begin 0x1000 shared type=Outer conn.rs:10
            50 main borrow-begin 0x1000 shared type=Inner conn.rs:11    <- shared at conn.rs:11 while it is borrowed exclusively at conn.rs:9
            ",
        );
    }

    #[test]
    fn two_at_once() {
        check_rule(
            &RULE,
            "
            10 main borrow-begin 0x1000 shared conn.rs:8
            20 main borrow-begin 0x1000 exclusive conn.rs:9    <- the cell at 0x1000 was borrowed exclusively at conn.rs:9 while it is borrowed shared at conn.rs:8
            30 main borrow-end 0x1000 shared conn.rs:8
            40 main borrow-begin 0x1000 shared conn.rs:10      <- shared at conn.rs:10 while it is borrowed exclusively at conn.rs:9
            ",
        );
    }

    #[test]
    fn the_life_of_a_cell_is_its_borrows() {
        let trace = Trace::parse_text(
            "
            10 main borrow-begin 0x1000 shared conn.rs:8
            11 main borrow-begin 0x2000 shared conn.rs:8
            20 main borrow-begin 0x1000 exclusive conn.rs:9
            30 main borrow-end 0x1000 exclusive conn.rs:9
            ",
        )
        .unwrap();
        let subject = trace.verdict().stories[0].head.subject;
        let biography = trace.biography(subject);
        assert_eq!(biography.title, "cell 0x1000");
        let events: Vec<u64> = biography.rows.iter().map(|row| row.event.0).collect();
        assert_eq!(events, [0, 2, 3]);
    }

    #[test]
    fn across_a_suspension() {
        check_rule(
            &RULE,
            "
            1 main spawn 9 writer main.rs:3
            2 main resume 9
            10 main borrow-begin 0x1000 exclusive conn.rs:8
            11 main suspend 9 0x7
            20 main borrow-begin 0x1000 exclusive conn.rs:9    <- by coroutine 9 (writer), which has been suspended since
            ",
        );
    }

    #[test]
    fn one_after_the_other_and_side_by_side_is_silent() {
        check_rule(
            &RULE,
            "
            10 main borrow-begin 0x1000 shared conn.rs:8
            11 other borrow-begin 0x1000 shared conn.rs:9
            12 main borrow-end 0x1000 shared conn.rs:8
            13 other borrow-end 0x1000 shared conn.rs:9
            20 main borrow-begin 0x1000 exclusive conn.rs:10
            21 main borrow-end 0x1000 exclusive conn.rs:10
            30 main borrow-begin 0x1000 exclusive conn.rs:10
            31 main borrow-begin 0x2000 exclusive conn.rs:10
            32 main free 0x1000 64
            33 main borrow-begin 0x1000 exclusive conn.rs:10
            ",
        );
    }

    #[test]
    fn a_lost_end_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main borrow-begin 0x1000 exclusive conn.rs:8
            15 main lost 1 removed
            20 main borrow-begin 0x1000 exclusive conn.rs:9    <? was borrowed exclusively
            ",
        );
    }

    #[test]
    fn a_lock_that_goes_from_core_to_core_is_no_overlap() {
        check_rule(
            &RULE,
            "
            1000 a borrow-begin 0x50 exclusive a.rs:1
            # The clocks of two cores differ by a little.
            2000 b borrow-begin 0x50 exclusive b.rs:1
            2050 a borrow-end 0x50 exclusive a.rs:1
            3000 b borrow-end 0x50 exclusive b.rs:1
            # One that is held longer than that.
            4000 a borrow-begin 0x60 exclusive a.rs:1
            5000 b borrow-begin 0x60 exclusive b.rs:1    <- the cell at 0x60 was borrowed exclusively at b.rs:1
            5200 a borrow-end 0x60 exclusive a.rs:1
            6000 b borrow-end 0x60 exclusive b.rs:1
            ",
        );
    }
}
