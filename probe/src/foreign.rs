//! Hooks for programs in other languages, which say themselves where a call stands and what it is about.
//!
//! The library for C and C++ is made of this; Rust has the hooks of the other modules. Feature `c`.
//!
//! A place is known by an address of its own, that of a static next to the call: it is asked where it
//! stands once, and found by its address from then on.

pub use wire::record::Owner;

use wire::payload::pair;
use wire::record::{Kind, LOST_NOT_FOLLOWED};

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

/// Says in the trace, once, that nobody hooks the allocator of a program that has a ring.
pub fn frees_are_not_seen() {
    if recorder::recording() {
        let why = "not recorded: what is freed, as a program in C has no hook in its allocator: T16, and T07 of a block \
                   that is freed, have no input (the shim sees frees: record a build with -DTRACER_OFF as well)";
        let _ = recorder::foreign::text(why.as_bytes());
    }
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
