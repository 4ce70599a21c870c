//! `uninitialised-to-kernel`: the kernel is given bytes to read that were never written.
//!
//! Fires on a write or a send from a traced buffer that reaches past what is initialised of it.
//! Stays silent for buffers that are not traced, for what a read has filled meanwhile, and for memory that
//! was freed, moved or declared anew.
//! Points at the submission.

use super::{Draft, History, Judge, Key, Rule};
use crate::event::SiteId;
use crate::finding::{RuleId, Severity};
use crate::model::Moment;

pub(super) static RULE: Rule = Rule {
    id: RuleId(27),
    name: "uninitialised-to-kernel",
    brief: "the kernel is given bytes to read that were never written",
    severity: Severity::Error,
    fires: "A write or a send hands the kernel more of a traced buffer than was ever written: what lay in \
            memory before goes out, to a file or to the network.",
    silent: "The buffer is not traced, or a completion filled that part of it; or it was freed, moved or \
             declared anew since.",
    needs: "Traced buffers, submissions with addresses and lengths.",
    points_at: "The submission.",
    example: "The nearest public one: the array of buffers of a write died before the enter; the byte \
              count was right, the content garbage, and the sanitizer silent: the kernel does the reading.",
    source: "scylladb/seastar#3601, scylladb/seastar#3610",
    advice: "Give the kernel the initialised part of the buffer only: its length, not its capacity.",
    check,
};

fn check(moment: &Moment<'_>, judge: &mut Judge<'_>) {
    let Moment::Uninitialised {
        operation,
        buffer,
        reads,
        initialised,
    } = moment
    else {
        return;
    };
    let entry = &operation.entry;
    let message = format!(
        "{} gives the kernel {reads} bytes of the buffer at {:#x}, and {initialised} of them are \
         initialised",
        judge.operation(operation),
        entry.addr
    );
    let draft = Draft::new(operation.id.subject(), operation.submit, operation.submit)
        .scope(operation.scope)
        .history(History::Since(*buffer))
        .message(message)
        .evidence(*buffer, "so much is initialised")
        .evidence(operation.submit, "the kernel reads more")
        .key(operation.id)
        .keys(operation.generation.map(Key::from))
        .shape(crate::names::opcode(entry.opcode))
        .shape(judge.names().file(SiteId(entry.site)));
    judge.say(draft);
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_rule;
    use super::RULE;

    #[test]
    fn more_than_was_written() {
        check_rule(
            &RULE,
            "
            10 main buffer-init 0x10000 64 16
            20 main submit 0 SEND 0x7 send.rs:8 addr=0x10000 len=64    <- operation #0 (ring 0, slot 0, SEND) at send.rs:8 gives the kernel 64 bytes of the buffer at 0x10000, and 16 of them are initialised
            ",
        );
    }

    #[test]
    fn what_was_written_is_silent() {
        check_rule(
            &RULE,
            "
            10 main buffer-init 0x10000 64 16
            20 main submit 0 SEND 0x7 addr=0x10000 len=16
            # Filled by a read; declared anew; gone; another's memory by now; read into.
            30 main submit 0 READ 0x8 addr=0x10010 len=48
            31 main complete 0 0x8 16
            32 main submit 0 WRITE 0x9 addr=0x10000 len=32
            40 main buffer-init 0x10000 64 48
            41 main submit 0 WRITE 0x9 addr=0x10000 len=48
            50 main buffer-init 0x10000 0 0
            51 main submit 0 WRITE 0x9 addr=0x10000 len=64
            60 main buffer-init 0x20000 64 0
            61 main free 0x20000 64
            62 main submit 0 WRITE 0x9 addr=0x20000 len=64
            70 main buffer-init 0x30000 64 0
            71 main submit 0 READ 0x9 addr=0x30000 len=64
            ",
        );
    }

    #[test]
    fn a_lost_record_could_explain_it() {
        check_rule(
            &RULE,
            "
            10 main buffer-init 0x10000 64 16
            15 main lost 1 removed
            20 main submit 0 SEND 0x7 send.rs:8 addr=0x10000 len=64    <? 16 of them are initialised
            ",
        );
    }
}
