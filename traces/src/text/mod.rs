//! Traces as text: the language of fixtures and of the corpus.
//!
//! One event a line, `time_ns lane kind arguments`, in causal order:
//!
//! ```text
//! # anything behind a '#' is a comment
//! process 0 pid=77 state=clean end=exit:0           optional; a process that is not named is still running
//! process 1 stopped=program reason="seen enough"   its recording ended before it; or stopped=recorder
//! process 2 times=batch                             its records share the times of their batches
//! process 4 lasting=whole                           whatever is lost, all that it said that lasts is known: these
//! lasting 4 15 scheme 0 sentinel 0x7                when: a ring-create, a scheme, that there is a shared or a spawn
//! process 3 pid=77 start=9 capture=kernel           the kernel's view of another with that pid and start
//! lane main tid=77 running                          optional; a lane that is not named is a thread that ended
//! 10 main leak 0x1000 Conn conn.rs:88 owner=Rc      owner is Box unless it is said
//! 20 main ring-create 0 sq=8 cq=16 in-place
//! 30 main claim 0 slot=3
//! 40 main submit 0 RECV 0x1000 conn.rs:90 slot=3 set   sequence and slot count up unless they are said
//! 50 main enter 0 1 -> 1
//! 60 main complete 0 0x1000 -104 more               result, then flags
//! 61 main complete 0 0x1000 0 of=7                  the kernel says whose: operation 7
//! 65 main passed 0 1 0 loop.c:9                     the head went past 1 unread, which comes next, and 0 that had not come
//! 70 main resume 9 0x1000 ring=0                    without a cookie: woken by something else
//! 80 main suspend 9 0x1000 0x2000
//! 90 main lost 5 overwritten                        how many, or ?, and why
//! 91 main owner 0 name=reads                        subsystem that this thread works for on the ring
//! 92 main alloc 0x4000 64 align=8                   also free, unmap; realloc OLD NEW SIZE
//! 93 main fd-open 7 conn.rs:9                       also fd-close
//! 94 main borrow-begin 0x4000 exclusive conn.rs:9   or shared; also borrow-end
//! 95 main buffer-init 0x4000 64 16                  size, and how much of it is initialised
//! 96 main buffer-provide 0 1 5 count=2              ring, group, id of the first buffer; count=0: the group is gone
//! 97 main stack-pointer 0x7ffd2000 0x7ffd0000       and the lowest address of the stack
//! ```
//!
//! A line may end with an arrow, `<- part of the message` or `<? part of the message`: what a rule is
//! expected to say there. Reading a trace ignores arrows.
//!
//! Printing gives text that reads back as the same events.

mod parse;
mod print;
mod rest;
mod token;

pub(crate) use parse::parse;
pub(crate) use print::print;

/// Why a text is not a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TextError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Flag words and their bits, for printing and reading.
type Words = &'static [(u32, &'static str)];

const SQE_FLAGS: Words = &[
    (1, "fixed-file"),
    (2, "drain"),
    (4, "link"),
    (8, "hardlink"),
    (16, "async"),
    (32, "buffer-select"),
    (64, "skip-success"),
];

const CQE_FLAGS: Words = &[
    (1, "buffer"),
    (2, "more"),
    (4, "sock-nonempty"),
    (8, "notif"),
    (16, "buf-more"),
];

const SETUP_FLAGS: Words = &[(1, "iopoll"), (2, "sqpoll")];

const SPAN_FLAGS: Words = &[(1, "enter"), (2, "leave")];

const LEVELS: &[(u8, &str)] = &[
    (mark::ERROR, "error"),
    (mark::WARN, "warn"),
    (mark::INFO, "info"),
    (mark::DEBUG, "debug"),
    (mark::TRACE, "trace"),
];

/// The word for a log's level, where it is one.
pub(crate) fn level(level: u8) -> Option<&'static str> {
    word_of(LEVELS, &level)
}

/// The word for entering or leaving a span.
pub(crate) fn crossing(flags: u8) -> Option<&'static str> {
    let bit = |(bit, word): &(u32, &'static str)| (*bit == u32::from(flags)).then_some(*word);
    SPAN_FLAGS.iter().find_map(bit)
}

use crate::event::LossReason;
use crate::recording::Capture;
use wire::record::{CookieState, Owner, RingKind, mark};

const LOSS_REASONS: &[(LossReason, &str)] = &[
    (LossReason::Overwritten, "overwritten"),
    (LossReason::Full, "full"),
    (LossReason::Nested, "nested"),
    (LossReason::NoLane, "no-lane"),
    (LossReason::AtStart, "at-start"),
    (LossReason::Damaged, "damaged"),
    (LossReason::Torn, "torn"),
    (LossReason::NotFollowed, "not-followed"),
    (LossReason::RingNotFollowed, "ring-not-followed"),
    (LossReason::KernelBuffer, "kernel-buffer"),
    (LossReason::Newer, "newer"),
    (LossReason::Removed, "removed"),
];

const CAPTURES: &[(Capture, &str)] = &[
    (Capture::Linked, "linked"),
    (Capture::Preload, "preload"),
    (Capture::Kernel, "kernel"),
    (Capture::Uprobes, "uprobes"),
    (Capture::Unknown, "unknown"),
];

const COOKIE_STATES: &[(CookieState, &str)] = &[
    (CookieState::Set, "set"),
    (CookieState::Leftover, "leftover"),
    (CookieState::Poisoned, "poisoned"),
    (CookieState::NeverWritten, "never-written"),
];

const RING_KINDS: &[(RingKind, &str)] = &[
    (RingKind::Copied, "copied"),
    (RingKind::InPlace, "in-place"),
    (RingKind::Simulated, "simulated"),
    (RingKind::Foreign, "foreign"),
];

const OWNERS: &[(Owner, &str)] = &[
    (Owner::Unknown, "?"),
    (Owner::Box, "Box"),
    (Owner::Rc, "Rc"),
    (Owner::Arc, "Arc"),
    (Owner::RcWeak, "rc::Weak"),
    (Owner::ArcWeak, "sync::Weak"),
    (Owner::CString, "CString"),
    (Owner::Vec, "Vec"),
    (Owner::Waker, "Waker"),
    (Owner::Custom, "custom"),
    (Owner::Index, "index"),
];

fn word_of<T: PartialEq>(table: &[(T, &'static str)], value: &T) -> Option<&'static str> {
    table
        .iter()
        .find(|entry| entry.0 == *value)
        .map(|entry| entry.1)
}

fn value_of<T: Copy>(table: &[(T, &'static str)], word: &str) -> Option<T> {
    table
        .iter()
        .find(|entry| entry.1 == word)
        .map(|entry| entry.0)
}

/// The name for a reason, as text traces and reports write it.
pub(crate) fn loss_reason(reason: LossReason) -> &'static str {
    word_of(LOSS_REASONS, &reason).unwrap_or("?")
}

/// The words of the bits that are set, and the bits that have none.
pub(crate) fn cqe_flag_words(flags: u32) -> Vec<String> {
    flag_words(CQE_FLAGS, flags)
}

fn flag_words(table: Words, flags: u32) -> Vec<String> {
    let mut rest = flags;
    let mut words = Vec::new();
    for (bit, word) in table {
        if flags & bit != 0 {
            words.push((*word).to_owned());
            rest &= !bit;
        }
    }
    if rest != 0 {
        words.push(format!("flags={rest:#x}"));
    }
    words
}
