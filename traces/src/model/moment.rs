//! What rules get to see: moments at which something in the model could be wrong.
//!
//! A moment holds the things concerned as they are right then. Rules never see records or events.

use super::buffers::Piece;
use super::discipline::Early;
use super::kernel::Posted;
use super::provided::Missed;
use super::things::{
    Coroutine, Credit, Dead, Delivered, Flown, Found, Generation, GenerationId, Operation,
    OperationId, Overflow, Owed, Past, Pointers, Reaped, Standing, Thread, Unwoken,
};
use crate::event::{Borrow, EventId, Pointer, SiteId, StringId};

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
    /// A completion of what would have posted none, had all gone well, came without a cookie on such a ring.
    CameWithout {
        /// The event.
        event: EventId,
        /// The operation, or one of several that it may be.
        operation: &'a Operation,
        /// What the completion says.
        result: i32,
        /// As above.
        proof: Option<EventId>,
    },
    /// An operation whose cookie nobody set came to its end, with all that came of it.
    Settled {
        /// The operation.
        operation: &'a Operation,
        /// What its cookie stood for when it went in.
        dead_at_submit: bool,
        /// The slot may have been filled once for good.
        may_be_once: bool,
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
        /// By taking ownership, not by lowering a count.
        owned: bool,
        /// Operation whose completion brought the cookie last.
        brought_by: Option<OperationId>,
    },
    /// A pointer was taken back from a generation that still lives or just ended.
    Reclaimed {
        /// The event.
        event: EventId,
        /// The one that shows that it was not given away again at once.
        until: EventId,
        /// Where.
        site: SiteId,
        /// The generation, its leases already without this one.
        generation: &'a Generation,
        /// Its block was freed, and how that came about is not recorded.
        freed: bool,
        /// No thread but this one hands the ring's entries to the kernel, and it did not hand over the
        /// first of them yet.
        stranded: bool,
        /// Its operations that still owe a completion, oldest first.
        owing: Vec<&'a Operation>,
        /// Operation whose completion brought the cookie last.
        brought_by: Option<OperationId>,
    },
    /// A handle of a generation that lives went out or came back.
    Handled(Handled<'a>),
    /// An index went in again before its operation had ended.
    WentInEarly(Early),
    /// A completion was taken that no operation in flight explains.
    Stray(Stray<'a>),
    /// A completion was taken that the kernel did not post.
    Forged(Forged),
    /// The kernel took an entry with another word than it was handed over with.
    Rewritten(Rewritten),
    /// An operation went in that names others by their cookie.
    Cancels(Cancels<'a>),
    /// A completion was taken twice from one place of the queue.
    TakenTwice {
        /// The event.
        event: EventId,
        /// The ring.
        ring: u32,
        /// Scope of the thread that took it.
        scope: u32,
        /// The place.
        index: u32,
        /// The first time, where that is the reason; else the newest, which has overwritten it.
        first: EventId,
        /// The operation that it was taken for then.
        operation: Option<OperationId>,
        /// The kernel has used the place again since.
        overwritten: bool,
        /// Process.
        process: u32,
    },
    /// The head of a completion queue was moved by more than there were completions.
    WentBeyond {
        /// The event.
        event: EventId,
        /// Process, ring and scope.
        place: (u32, u32, u32),
        /// By how much.
        beyond: u32,
        /// Where, if that is known.
        site: SiteId,
    },
    /// Memory that an operation in flight points at is gone.
    MemoryGone(MemoryGone<'a>),
    /// A descriptor that an operation in flight names was closed, or its number given out again.
    DescriptorGone {
        /// The event.
        event: EventId,
        /// The number.
        fd: i32,
        /// The operation.
        operation: &'a Operation,
        /// Where it was closed before, if the event gives the number out again.
        closed: Option<EventId>,
        /// Where the kernel said that it is none, if it was closed before the operation named it.
        refused: Option<EventId>,
        /// Whether the place of the close is that where the descriptor was made: of one that was dropped no other
        /// is known.
        made: bool,
    },
    /// The kernel reads bytes that were never written.
    Uninitialised {
        /// The operation.
        operation: &'a Operation,
        /// What the recording says of the buffer.
        buffer: EventId,
        /// Bytes that the kernel reads in the buffer, from its start, and bytes that are initialised.
        reads: u64,
        /// See `reads`.
        initialised: u64,
    },
    /// A cell was borrowed that is borrowed already.
    Overlapping {
        /// The event.
        event: EventId,
        /// Process.
        process: u32,
        /// Scope of the thread.
        scope: u32,
        /// The new borrow.
        borrow: Borrow,
        /// The oldest that it must not overlap with, and its event.
        first: (Borrow, EventId),
        /// The coroutine that held it and was suspended since, and where.
        suspended: Option<(u32, EventId)>,
    },
    /// A provided buffer was given back that the kernel has.
    GivenTwice {
        /// The event.
        event: EventId,
        /// Process and scope of the thread.
        place: (u32, u32),
        /// Ring, group and id.
        buffer: (u32, u32, u32),
        /// Where the kernel got it.
        since: EventId,
        /// It still fills it: it was handed out with more to come.
        partly: bool,
    },
    /// A provided buffer was never given back, and its group ran dry.
    BufferLost {
        /// The program let its group wait as long before, and got on.
        is_usual: bool,
        /// Whether anybody wanted one since.
        missed: Missed,
        /// Where it was handed out.
        taken: EventId,
        /// From where on nothing must be missing for that, if not from the start.
        since: Option<EventId>,
        /// Process and scope of the thread that took it.
        place: (u32, u32),
        /// Ring, group and id.
        buffer: (u32, u32, u32),
        /// The operation that got it.
        operation: Option<OperationId>,
        /// The completion that found none left.
        dry: EventId,
        /// The end until which nobody gave it back.
        until: EventId,
        /// Rounds of the ring since it ran dry.
        rounds: u64,
        /// The ring was dropped, or its process ended in order.
        clean: bool,
        /// No buffer of the group was ever given back, and the group was withdrawn or its ring dropped.
        none_back: bool,
    },
    /// A descriptor that a completion brought was neither used nor closed.
    ResultLost {
        /// The completion.
        event: EventId,
        /// The number.
        fd: i32,
        /// The operation.
        operation: &'a Operation,
        /// Where it was given up.
        abandoned: EventId,
        /// The last event of the process.
        until: EventId,
        /// Rounds of the ring since.
        rounds: u64,
        /// The process went through an ordinary exit.
        clean: bool,
    },
    /// An operation never reached the kernel.
    NeverTaken {
        /// The operation.
        operation: &'a Operation,
        /// Enters of its ring that took all they offered since it went in, and not it.
        passed_by: u32,
        /// The drop of the ring; nothing where later ones were taken and it was not.
        dropped: Option<EventId>,
        /// The end that was looked at.
        until: EventId,
    },
    /// Completions wait in the kernel, and nothing fetched them.
    Stalled {
        /// The ring: process and number.
        ring: (u32, u32),
        /// What waits.
        overflow: Overflow,
        /// The oldest operation that still owes a completion.
        operation: &'a Operation,
        /// Operations that do.
        owed: u64,
        /// Nanoseconds until the last event of the process, which is `until`.
        for_ns: u64,
        /// See `for_ns`.
        until: EventId,
        /// The process went through an ordinary exit.
        clean: bool,
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
    /// A coroutine was dropped instead of being resumed.
    DroppedUnwoken {
        /// The coroutine, and what it waited for.
        unwoken: &'a Unwoken,
    },
    /// An operation that names another one found none, and what it names is in flight on another ring.
    Missed {
        /// Its completion.
        event: EventId,
        /// The operation.
        operation: &'a Operation,
        /// What it names.
        elsewhere: &'a Operation,
    },
    /// The same, and no operation ever carried what it names.
    Misnamed {
        /// Its completion.
        event: EventId,
        /// The operation.
        operation: &'a Operation,
        /// The end of its process.
        until: EventId,
    },
    /// A coroutine was woken and never resumed, and nothing ran any more until the process was told to end.
    Unheeded {
        /// The last event of the process.
        at: EventId,
        /// The coroutine.
        coroutine: &'a Coroutine,
        /// The first wake since it was suspended.
        wake: EventId,
        /// Nanoseconds until the end: far more than a coroutine ever waited for its turn.
        idle_ns: u64,
    },
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
        /// It said that it waits for something else, too, which is not there: it may wait for all of it.
        waits_on: bool,
        /// Nanoseconds from the completion to the end, where the process was told to end while nothing ran, and that
        /// is far more than it ever took.
        idle_ns: Option<u64>,
        /// Whether the process went through an ordinary exit, and no thread concerned still ran.
        clean: bool,
    },
}

/// An operation went in.
#[derive(Debug)]
pub(crate) struct Submitted<'a> {
    /// The operation.
    pub(crate) operation: &'a Operation,
    /// Where its cookie is dead: what was leaked for it, by the look of it.
    pub(crate) own: Option<&'a Generation>,
    /// Whether cookies are declared to be the keys of a table, of which some were seen to be given out.
    pub(crate) keys: bool,
    /// What its cookie stands for.
    pub(crate) standing: Standing<'a>,
    /// Operations in flight with the same cookie, on other rings of the process too where its leases
    /// are all in use; oldest first.
    pub(crate) others: Vec<&'a Operation>,
    /// Declared to be carried by several.
    pub(crate) shared: bool,
    /// Declared to stand for nothing.
    pub(crate) sentinel: bool,
    /// Whether cookies are pointers here.
    pub(crate) pointers: Pointers,
    /// The leaked pointer of which the cookie is a part.
    pub(crate) cut_of: Option<&'a Generation>,
}

/// A handle of a generation that lives went out or came back.
#[derive(Debug)]
pub(crate) struct Handled<'a> {
    /// The event.
    pub(crate) event: EventId,
    /// The handle.
    pub(crate) pointer: Pointer,
    /// The generation, this handle already counted.
    pub(crate) generation: &'a Generation,
    /// It came back.
    pub(crate) back: bool,
    /// The thread.
    pub(crate) thread: Thread,
    /// Operation whose completion brought the cookie last.
    pub(crate) brought_by: Option<OperationId>,
}

/// A completion that no operation in flight explains.
#[derive(Debug)]
pub(crate) struct Stray<'a> {
    /// The event.
    pub(crate) event: EventId,
    /// Process, ring and scope of the thread that took it.
    pub(crate) place: (u32, u32, u32),
    /// Its cookie.
    pub(crate) cookie: u64,
    /// The latest operation with that cookie that ended on this ring.
    pub(crate) past: Option<Past>,
    /// One in flight with that cookie on another ring.
    pub(crate) elsewhere: Option<&'a Operation>,
    /// What its cookie stands for.
    pub(crate) standing: Standing<'a>,
    /// Whether cookies are pointers here.
    pub(crate) pointers: Pointers,
    /// The leaked pointer of which the cookie is a part.
    pub(crate) cut_of: Option<&'a Generation>,
    /// What is known of the cookie or of earlier operations had to be forgotten.
    pub(crate) forgotten: bool,
    /// It may be of an operation that was forgotten because it may have ended in silence.
    pub(crate) may_be_silents: bool,
}

/// A completion that the kernel did not post, in place of one that it did.
#[derive(Debug)]
pub(crate) struct Forged {
    /// Where it was taken, and where the kernel posted the other one.
    pub(crate) taken: EventId,
    /// See `taken`.
    pub(crate) posted: EventId,
    /// Process, ring and scope of the thread that took it.
    pub(crate) place: (u32, u32, u32),
    /// Their words.
    pub(crate) words: (u64, u64),
    /// The operation of the other one, by the kernel's request, where the program's record has it.
    pub(crate) operation: Option<Lacking>,
    /// What the word was taken for.
    pub(crate) taken_for: (Option<OperationId>, Option<GenerationId>),
    /// All but the word is as the kernel posted it.
    pub(crate) is_like: bool,
    /// The process that is the kernel's view, and where that begins to tell of the ring.
    pub(crate) view: (u32, EventId),
    /// The latest event that it rests on.
    pub(crate) until: EventId,
}

/// An entry that the kernel took with another word than it was handed over with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changed {
    /// The operation, as its process recorded it.
    pub(crate) operation: Lacking,
    /// Scope of the thread that handed it over.
    pub(crate) scope: u32,
    /// The word that was handed over, and the one that the kernel took.
    pub(crate) words: (u64, u64),
    /// The former is of the push, not of a look at the slot.
    pub(crate) is_of_push: bool,
    /// What its slot held a lap before, and the submission of that.
    pub(crate) before: Option<(EventId, u64)>,
    /// Where the kernel took it.
    pub(crate) taken: EventId,
}

/// An entry that somebody wrote to while it was handed over: that it is the same operation is certain.
#[derive(Debug)]
pub(crate) struct Rewritten {
    /// What changed.
    pub(crate) entry: Changed,
    /// The process that is the kernel's view, and where that begins to tell of the ring.
    pub(crate) view: (u32, EventId),
    /// The latest event that it rests on.
    pub(crate) until: EventId,
}

/// An operation that the process's own record has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lacking {
    pub(crate) id: OperationId,
    pub(crate) slot: u16,
    pub(crate) opcode: u8,
    pub(crate) site: SiteId,
    pub(crate) submit: EventId,
}

impl Lacking {
    pub(super) fn of(operation: &Operation) -> Self {
        Self {
            id: operation.id,
            slot: operation.entry.slot,
            opcode: operation.entry.opcode,
            site: SiteId(operation.entry.site),
            submit: operation.submit,
        }
    }
}

/// An operation that cancels, removes or updates others by their cookie.
#[derive(Debug)]
pub(crate) struct Cancels<'a> {
    /// The operation.
    pub(crate) operation: &'a Operation,
    /// The cookie that it names.
    pub(crate) names: u64,
    /// Operations in flight that it may hit.
    pub(crate) targets: Vec<&'a Operation>,
    /// It means all of them.
    pub(crate) all: bool,
    /// What the cookie stands for.
    pub(crate) standing: Standing<'a>,
    /// One in flight whose cookie it names but for bits that were cut off.
    pub(crate) cut_of: Option<&'a Operation>,
}

/// Memory that an operation in flight points at is gone.
#[derive(Debug)]
pub(crate) struct MemoryGone<'a> {
    /// The event.
    pub(crate) event: EventId,
    /// How.
    pub(crate) how: Gone,
    /// The operation.
    pub(crate) operation: &'a Operation,
    /// What it points at.
    pub(crate) piece: Piece,
    /// Its ring was dropped before.
    pub(crate) ring_dropped: bool,
    /// The generation that it holds.
    pub(crate) generation: Option<GenerationId>,
}

/// How memory went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    Freed,
    Moved,
    Shrunk,
    Unmapped,
    /// Its stack frame has returned.
    Returned,
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
    /// Subsystem that the thread works for.
    pub(crate) label: StringId,
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
    /// What lived at the cookie after that, and was taken back.
    pub(crate) took: Option<GenerationId>,
    /// Whether the ring's completions are recorded at all, and this cookie's were not too many to keep.
    pub(crate) completions_are_known: bool,
    /// Another coroutine, that waits for this cookie, where it is one alone.
    pub(crate) waits: Option<u32>,
    /// The latest event that this rests on.
    pub(crate) until: EventId,
}

/// Where something is still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldAt {
    /// At the end of its scope.
    ScopeEnd,
    /// When its process went through an ordinary exit.
    CleanExit,
    /// When its process was killed, or nobody saw its end; when a thread that was at it still ran, or was
    /// inside a coroutine, or had a ring of its own that it did not drop.
    Cut,
}

/// How often the slot that still holds a cookie handed it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InSlot {
    Once,
    /// As it was, each time.
    Again,
}

/// A generation that is still held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    /// The event at the end.
    pub(crate) at: EventId,
    /// Which end.
    pub(crate) when: HeldAt,
    /// The generation.
    pub(crate) generation: &'a Generation,
    /// The begin of the scope that it was leaked in, where the same lane recorded both: whose it is was said by
    /// nothing before.
    pub(crate) scope_begun: Option<EventId>,
    /// Its latest completion, where it has none in flight, and the ring's rounds since then.
    pub(crate) reaped: Option<(Reaped, u64)>,
    /// The kernel completed its latest operation, and the program did not take the completion.
    pub(crate) posted: Option<Posted>,
    /// The ring of its latest operation was dropped.
    pub(crate) ring_dropped: bool,
    /// The same, and by a thread that was not in the middle of a coroutine when its process ended.
    pub(crate) torn_down: bool,
    /// No operation carried it, and its thread had claimed a slot that it did not come to submit.
    pub(crate) in_hand: bool,
    /// The exit may have cut its thread off in the middle of its work, and the record that would say so is missing.
    pub(crate) may_be_cut: bool,
    /// What must not be missing for that to be known, where that is more than its own life.
    pub(crate) since: Option<EventId>,
    /// Rounds of the ring since the latest operation that posts nothing on success, where all of its
    /// operations are such.
    pub(crate) quiet_rounds: Option<u64>,
    /// A slot still holds its cookie, and was not seen to be filled again.
    pub(crate) in_slot: Option<InSlot>,
}
