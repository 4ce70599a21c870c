//! What rules get to see: moments at which something in the model could be wrong.
//!
//! A moment holds the things concerned as they are right then. Rules never see records or events.

use super::things::{
    Coroutine, Credit, Dead, Delivered, Flown, Found, Generation, Operation, OperationId, Owed,
    Reaped, Standing,
};
use crate::event::{EventId, SiteId};

/// A moment in the life of a recording.
#[derive(Debug)]
pub(crate) enum Moment<'a> {
    /// An operation went in.
    Submitted(Submitted<'a>),
    /// An operation went in without a cookie, on a ring where cookies are pointers.
    Unset {
        /// The operation.
        operation: &'a Operation,
        /// The leak that proves it, or nothing where a scheme says so.
        proof: Option<EventId>,
    },
    /// An operation whose cookie nobody set came to its end, with all that came of it.
    Settled {
        /// The operation.
        operation: &'a Operation,
        /// What its cookie stood for when it went in.
        dead_at_submit: bool,
    },
    /// A completion was taken.
    Completed(Completed<'a>),
    /// A pointer was taken back whose generation had ended before.
    ReclaimedDead {
        /// The event.
        event: EventId,
        /// Where.
        site: SiteId,
        /// What had ended.
        dead: &'a Dead,
        /// Operation whose completion brought the cookie last.
        brought_by: Option<OperationId>,
    },
    /// A pointer was taken back from a generation that still lives or just ended.
    Reclaimed {
        /// The event.
        event: EventId,
        /// Where.
        site: SiteId,
        /// The generation, its leases already without this one.
        generation: &'a Generation,
        /// Its operations that still owe a completion, oldest first.
        owing: Vec<&'a Operation>,
        /// Operation whose completion brought the cookie last.
        brought_by: Option<OperationId>,
    },
    /// A coroutine was resumed.
    Resumed(Resumed<'a>),
    /// A ring was dropped with this operation in flight, and what it holds was not taken back since.
    RingDropped {
        /// The event.
        event: EventId,
        /// The end until which nobody took it back.
        until: EventId,
        /// The operation.
        operation: &'a Operation,
        /// The generation that it holds.
        generation: &'a Generation,
    },
    /// A ring was dropped with operations in flight, and what they hold was taken back afterwards.
    TakenBackAfterDrop {
        /// The event.
        event: EventId,
        /// The ring.
        ring: u32,
        /// The operations, all of one scope, and where the owner of each was taken back; nothing where
        /// its next leak shows that it was.
        flown: Vec<(&'a Flown, Option<(EventId, SiteId)>)>,
    },
    /// A generation is still held at an end.
    Held(Held<'a>),
    /// A coroutine was never resumed although what it waited for was there.
    Stranded {
        /// The last event of the process.
        at: EventId,
        /// The coroutine.
        coroutine: &'a Coroutine,
        /// The completion.
        owed: Owed,
        /// Rounds of the ring since then.
        rounds_since: u64,
        /// Whether the process went through an ordinary exit, and no thread concerned still ran.
        clean: bool,
    },
}

/// An operation went in.
#[derive(Debug)]
pub(crate) struct Submitted<'a> {
    /// The operation.
    pub(crate) operation: &'a Operation,
    /// What its cookie stands for.
    pub(crate) standing: Standing<'a>,
    /// Operations in flight with the same cookie, on other rings of the process too where its leases
    /// are all in use; oldest first.
    pub(crate) others: Vec<&'a Operation>,
    /// Declared to be carried by several.
    pub(crate) shared: bool,
    /// Declared to stand for nothing.
    pub(crate) sentinel: bool,
}

/// A completion was taken.
#[derive(Debug)]
pub(crate) struct Completed<'a> {
    /// The event.
    pub(crate) event: EventId,
    /// The ring.
    pub(crate) ring: u32,
    /// Scope of the thread that took it.
    pub(crate) scope: u32,
    /// The operation that it belongs to, where one fits.
    pub(crate) operation: Option<&'a Operation>,
    /// What its cookie stands for.
    pub(crate) standing: Standing<'a>,
}

/// A coroutine was resumed.
#[derive(Debug)]
pub(crate) struct Resumed<'a> {
    /// The event.
    pub(crate) event: EventId,
    /// The coroutine as it was before.
    pub(crate) coroutine: &'a Coroutine,
    /// What it was doing.
    pub(crate) found: Found,
    /// The ring and cookie that it was resumed by, where a completion was the reason.
    pub(crate) by: Option<(u32, u64)>,
    /// The completion, where there was one that had resumed nobody.
    pub(crate) credit: Option<&'a Credit>,
    /// The latest completion with that cookie that had resumed somebody.
    pub(crate) delivered: Option<Delivered>,
    /// Whether the ring's completions are recorded at all, and this cookie's were not too many to keep.
    pub(crate) completions_are_known: bool,
}

/// Where something is still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldAt {
    /// At the end of its scope.
    ScopeEnd,
    /// When its process went through an ordinary exit.
    CleanExit,
    /// When its process was killed, or nobody saw its end, or a thread that was at it still ran.
    Cut,
}

/// A generation that is still held.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    /// The event at the end.
    pub(crate) at: EventId,
    /// Which end.
    pub(crate) when: HeldAt,
    /// The generation.
    pub(crate) generation: &'a Generation,
    /// Its latest completion, where it has none in flight, and the ring's rounds since then.
    pub(crate) reaped: Option<(Reaped, u64)>,
    /// The ring of its latest operation was dropped.
    pub(crate) ring_dropped: bool,
}
