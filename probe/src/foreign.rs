//! Hooks for programs in other languages, which say themselves where a call stands and what it is about.
//!
//! The library for C and C++ is made of this; Rust has the hooks of the other modules. Feature `c`.
//!
//! A place is known by an address of its own, that of a static next to the call: it is asked where it
//! stands once, and found by its address from then on.

pub use wire::record::Owner;

use wire::payload::pair;
use wire::record::{BY_C, Kind, LOST_NOT_FOLLOWED};

use crate::memory::{self, feed::Seen};
use crate::recorder;
use crate::ring::Ring;

/// A place in the source of another language, and the type that the call there is about.
pub trait AsPlace {
    /// The address that stands for this place, as long as the process lives.
    fn address(&self) -> u64;
    /// What the place says of itself. Texts that are not UTF-8 are recorded as they are.
    fn description(&self) -> Description<'_>;
}

/// What a place says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description<'a> {
    /// Path of the source file.
    pub file: &'a [u8],
    /// Line in it, from 1.
    pub line: u32,
    /// Name of the type; empty where the call is about none.
    pub type_name: &'a [u8],
    /// Size of the type in bytes, 0 for unknown.
    pub size: usize,
    /// Alignment of the type in bytes, 0 for unknown.
    pub align: usize,
}

/// What happens to an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ownership is given away.
    Leak,
    /// Ownership is taken back.
    Reclaim,
    /// What the pointer points to is looked at.
    Peek,
    /// One more raw handle.
    Retain,
    /// One raw handle less.
    Release,
    /// Ownership is given away for ever.
    LeakForever,
}

/// Records what happens to the owner behind a pointer or an index.
#[inline]
pub fn pointer(step: Step, owner: Owner, word: u64, place: &impl AsPlace) {
    if recorder::recording() {
        let kind = match step {
            Step::Leak => Kind::Leak,
            Step::Reclaim => Kind::Reclaim,
            Step::Peek => Kind::Peek,
            Step::Retain => Kind::Retain,
            Step::Release => Kind::Release,
            Step::LeakForever => Kind::LeakForever,
        };
        recorder::foreign::record(kind, owner as u8, word, place);
        if matches!(step, Step::Leak) && owner != Owner::Index {
            memory::watch(word);
        }
    }
}

/// A descriptor came to be, or was taken over from a result; or it is about to be closed.
#[inline]
pub fn descriptor(opened: bool, fd: i32, place: &impl AsPlace) {
    if recorder::recording() {
        let kind = if opened { Kind::FdOpen } else { Kind::FdClose };
        let site = recorder::foreign::site(place);
        recorder::record(kind, 0, 0, [u64::from(fd as u32), u64::from(site)]);
        // Last: what came before may close descriptors of its own.
        memory::feed::says_it_closes(if opened { -1 } else { fd });
    }
}

/// A borrow of what lies at an address begins or ends: beside nobody, or beside others that only read. The place's type
/// tells a cell from another one that begins at the same address.
#[inline]
pub fn borrow(begins: bool, exclusive: bool, cell: u64, place: &impl AsPlace) {
    if recorder::recording() {
        let kind = if begins {
            Kind::BorrowBegin
        } else {
            Kind::BorrowEnd
        };
        let mode = if exclusive {
            crate::cell::EXCLUSIVE
        } else {
            crate::cell::SHARED
        };
        recorder::foreign::record(kind, mode, cell, place);
    }
}

/// A block is about to be given back to an allocator that nobody else asks about.
pub fn freeing(block: u64, size: usize) {
    if recorder::recording() {
        memory::told_freeing(block, size as u64);
    }
}

/// Puts a text on the timeline; one that is not UTF-8 is recorded as it is.
pub fn mark(text: &[u8]) {
    if recorder::recording() {
        let text = recorder::foreign::text(text);
        recorder::record(Kind::Mark, 0, 0, [u64::from(text)]);
    }
}

/// Says on stderr and on the timeline that something is not recorded, and why. For things that happen
/// once or a few times in the life of a program.
pub fn not_recorded(why: &str) {
    if recorder::recording() {
        recorder::foreign::complain(&[b"tracer: not recorded: ", why.as_bytes()]);
        crate::mark(why);
    }
}

/// A program in C makes a ring: asks the shim for its frees, and says in the trace where nobody sees them, and what else
/// it is judged by. Makes a system call.
pub fn makes_a_ring() {
    if !recorder::recording() {
        return;
    }
    let _ = recorder::foreign::text(BY_C.as_bytes());
    let why = match memory::feed::offer() {
        Seen::Frees => return,
        Seen::Elsewhere => {
            "not recorded: what is freed, as the program's malloc and free are not the C library's (Valgrind, a sanitizer, \
             an allocator of its own): of T07 and T16 only what TRACER_FREEING tells, and what is unmapped, has its input"
        }
        Seen::Nothing => {
            "not recorded: what is freed, as there is no shim beside the probe for C (a static program, or record \
             --no-preload): T16, and T07 of a block that is freed, have no input but what TRACER_FREEING tells"
        }
    };
    let _ = recorder::foreign::text(why.as_bytes());
}

/// What a cookie points to is watched where frees are seen: it is given to the kernel.
#[inline(always)]
pub fn submitted(cookie: u64) {
    memory::watch_cookie(cookie);
}

/// The head of a completion queue is moved past `unread` completions that nothing showed to the program, which are the
/// ring's next ones, and by `beyond` more than there are.
#[cold]
pub fn passed(ring: &Ring, unread: u32, beyond: u32, place: Option<&impl AsPlace>) {
    if recorder::recording()
        && let Some(id) = ring.known()
    {
        let site = place.map_or(0, recorder::foreign::site);
        recorder::record(Kind::Passed, 0, 0, [pair(id, unread), pair(beyond, site)]);
    }
}

/// Counts events of a ring that were seen and cannot be followed, so that rules know what they do not
/// know.
pub fn lost(count: u64) {
    if recorder::recording() && count != 0 {
        recorder::record(Kind::Lost, 0, 0, [count, LOST_NOT_FOLLOWED]);
    }
}

/// Has the calling thread work for a new scope, whose name is the place's type. Returns its number and
/// that of the scope around it, for [`scope_ends`]; zeros where nothing is recorded.
pub fn scope_begins(place: &impl AsPlace) -> (u32, u32) {
    if !recorder::recording() {
        return (0, 0);
    }
    let id = recorder::next_scope();
    let around = recorder::scope();
    let site = recorder::foreign::site(place);
    let name = recorder::foreign::text(place.description().type_name);
    recorder::record(Kind::ScopeBegin, 0, 0, [pair(id, site), pair(name, around)]);
    recorder::enter_scope(id);
    (id, around)
}

/// Ends a scope on the thread that began it: what was given away in it is to be back by now.
pub fn scope_ends((id, around): (u32, u32)) {
    if recorder::recording() && id != 0 {
        recorder::record(Kind::ScopeEnd, 0, 0, [u64::from(id)]);
        recorder::enter_scope(around);
    }
}
