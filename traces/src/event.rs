//! Events: the meaning of records, in causal order, with ids resolved to text and ticks to time.
//!
//! An event is what rules, reports and screens speak of; none of them sees a record. Numbers of rings,
//! coroutines and scopes are those of their process: identities are pairs with [`Event::process`].

use wire::payload::Submit;
use wire::record::{CookieState, Kind, Owner, RingKind};

/// Position of an event in the causal order of its recording, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Where it stands in the causal order.
    pub id: EventId,
    /// Nanoseconds since the first event of the recording.
    pub at_ns: u64,
    /// Index into [`crate::recording::Recording::processes`].
    pub process: u32,
    /// Index into [`crate::recording::Recording::lanes`].
    pub lane: u32,
    /// Scope that the thread worked for, 0 for none.
    pub scope: u32,
    /// What happened.
    pub what: What,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Ownership left as a raw pointer.
    Leak(Pointer),
    /// Ownership was taken back.
    Reclaim(Pointer),
    /// Looked at without taking.
    Peek(Pointer),
    /// One more raw handle.
    Retain(Pointer),
    /// One raw handle less.
    Release(Pointer),
    /// Declared never to come back.
    LeakForever(Pointer),
    /// A ring was made.
    RingCreate(Ring),
    /// A ring was dropped.
    RingDrop {
        /// Ring of the process.
        ring: u32,
    },
    /// A submission slot was handed to the program.
    Claim {
        /// Ring of the process.
        ring: u32,
        /// Slot in the submission array.
        slot: u32,
    },
    /// An operation entered the submission queue.
    Submit(Submission),
    /// `io_uring_enter` returned.
    Enter {
        /// Ring of the process.
        ring: u32,
        /// Submissions offered.
        to_submit: u32,
        /// Completions waited for.
        min_complete: u32,
        /// Submissions consumed, or a negative error number.
        result: i32,
    },
    /// The program took a completion.
    Complete(Completion),
    /// The kernel keeps this many completions that found no room.
    Overflow {
        /// Ring of the process.
        ring: u32,
        /// Completions waiting in the kernel.
        count: u64,
    },
    /// The program moved the head of a completion queue further than it had looked.
    Passed {
        /// Ring of the process.
        ring: u32,
        /// Completions passed that nothing had shown to it: the ring's next ones in this lane.
        unread: u32,
        /// By how much more than there were.
        beyond: u32,
        /// Where, if that is known.
        site: SiteId,
    },
    /// The program called what puts an entry into a submission queue; the submission is told of where its record has it.
    Push {
        /// Descriptor of the ring.
        fd: i32,
        /// The entry's index in the queue, which counts up from 0 and wraps: the operation's number, its low 32 bits.
        index: u32,
        /// The entry's cookie.
        cookie: u64,
    },
    /// A coroutine came to be.
    Spawn {
        /// Coroutine of the process.
        coroutine: u32,
        /// Coroutine that spawned it.
        parent: Option<u32>,
        /// Where.
        site: SiteId,
        /// Its future's type.
        ty: TypeId,
    },
    /// A coroutine was polled.
    Resume {
        /// Coroutine of the process.
        coroutine: u32,
        /// The completion's ring and cookie; nothing where something else woke it.
        by: Option<(u32, u64)>,
    },
    /// A coroutine returned pending.
    Suspend {
        /// Coroutine of the process.
        coroutine: u32,
        /// What it waits on.
        cookies: Vec<u64>,
    },
    /// A coroutine returned its result.
    Done {
        /// Coroutine of the process.
        coroutine: u32,
    },
    /// A coroutine's future was dropped unfinished.
    CoroutineDrop {
        /// Coroutine of the process.
        coroutine: u32,
    },
    /// Somebody asked for a coroutine to be polled.
    Wake {
        /// Coroutine of the process.
        coroutine: u32,
    },
    /// A scope was opened.
    ScopeBegin {
        /// Scope of the process.
        scope: u32,
        /// Scope around it, 0 for none.
        parent: u32,
        /// Where.
        site: SiteId,
        /// Its name.
        name: StringId,
        /// Whether threads that work for no scope work for this one while it is open.
        is_process: bool,
    },
    /// A scope was closed by its owner.
    ScopeEnd {
        /// Scope of the process.
        scope: u32,
        /// Whether by a panic: what was under way was left as it was.
        by_panic: bool,
    },
    /// This thread works for the scope from here on (0: for none).
    ScopeEnter {
        /// Scope of the process.
        scope: u32,
    },
    /// How to read the cookies of a ring.
    Scheme {
        /// Ring, or all rings of the process.
        ring: Option<u32>,
        /// Number of the scheme.
        scheme: u64,
        /// Its parameter: tag mask, or the sentinel.
        parameter: u64,
    },
    /// Several operations may carry this cookie at once.
    Shared {
        /// The cookie.
        cookie: u64,
    },
    /// This thread works on the ring for this subsystem from here on.
    OwnerLabel {
        /// Ring of the process.
        ring: u32,
        /// The subsystem's name; empty for none.
        owner: StringId,
    },
    /// A block of memory was handed out.
    Alloc {
        /// Where.
        address: u64,
        /// Bytes.
        size: u64,
        /// Its alignment.
        align: u8,
    },
    /// A block of memory was given back.
    Free {
        /// Where.
        address: u64,
        /// Bytes; 0 where that is not known.
        size: u64,
    },
    /// A block of memory changed its size, and its place where the addresses differ.
    Realloc {
        /// Where it was.
        from: u64,
        /// Where it is.
        to: u64,
        /// Bytes that it has now.
        size: u64,
    },
    /// Pages were unmapped.
    Unmap {
        /// Where.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// A descriptor came to be, or was taken over from a result.
    FdOpen {
        /// The number.
        fd: i32,
        /// Where in the source.
        site: SiteId,
    },
    /// A descriptor was closed.
    FdClose {
        /// The number.
        fd: i32,
        /// Where in the source.
        site: SiteId,
    },
    /// A traced cell was borrowed.
    BorrowBegin(Borrow),
    /// A borrow of a traced cell ended.
    BorrowEnd(Borrow),
    /// How much of a traced buffer is initialised.
    BufferInit {
        /// Where.
        address: u64,
        /// Bytes; 0 where the buffer is gone.
        size: u64,
        /// Bytes from its start that are initialised.
        initialised: u64,
    },
    /// Provided buffers were handed to the kernel.
    BufferProvide {
        /// Ring of the process.
        ring: u32,
        /// Their group.
        group: u32,
        /// Id of the first of them.
        buffer: u32,
        /// How many, with ids that count up; 0 where the group is none any more.
        count: u32,
    },
    /// Where this thread's stack ends now.
    StackPointer {
        /// The stack pointer.
        address: u64,
        /// Lowest address of the stack.
        lowest: u64,
    },
    /// The lane belongs to this thread from here on.
    Thread {
        /// Thread id of the kernel.
        tid: u32,
        /// Its name.
        name: StringId,
    },
    /// The process forked.
    Fork {
        /// Process id of the child.
        child: u32,
    },
    /// Text from the program.
    Mark {
        /// The text.
        text: StringId,
        /// What the program's log says beside it.
        log: Log,
    },
    /// Records of this lane were lost here.
    Lost(Loss),
    /// A kind of record that this build does not interpret.
    Other {
        /// Its number.
        kind: u8,
        /// Its words.
        words: Vec<u64>,
    },
}

/// The words of [`What::kind`].
#[rustfmt::skip]
pub static KINDS: &[&str] = &[
    "leak", "reclaim", "peek", "retain", "release", "leak-forever", "ring-create", "ring-drop", "claim", "submit", "enter", "complete", "overflow", "spawn", "resume", "suspend", "done", "coroutine-drop", "wake", "scope-begin", "scope-end", "scope-enter", "scheme", "shared", "owner", "alloc", "free", "realloc", "unmap", "fd-open", "fd-close", "borrow-begin", "borrow-end", "buffer-init", "buffer-provide", "stack-pointer", "thread", "fork", "mark", "lost", "other", "passed", "push",
];

impl What {
    /// Takes it out of an event that nobody will look at again.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Done { coroutine: 0 })
    }

    /// The address that the model will ask for, of events that it meets often: of others any that it does not.
    #[inline]
    pub(crate) fn asks_for(&self) -> u64 {
        match self {
            Self::Leak(pointer) | Self::Reclaim(pointer) | Self::Peek(pointer) => pointer.address,
            Self::Submit(submission) => submission.entry.cookie,
            Self::Complete(completion) => completion.cookie,
            _ => 0,
        }
    }

    /// The word for it: the first one of its line in a dump, and what filters know it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Leak(_) => Kind::Leak.name(),
            Self::Reclaim(_) => Kind::Reclaim.name(),
            Self::Peek(_) => Kind::Peek.name(),
            Self::Retain(_) => Kind::Retain.name(),
            Self::Release(_) => Kind::Release.name(),
            Self::LeakForever(_) => Kind::LeakForever.name(),
            Self::RingCreate(_) => Kind::RingCreate.name(),
            Self::RingDrop { .. } => Kind::RingDrop.name(),
            Self::Claim { .. } => Kind::Claim.name(),
            Self::Submit(_) => Kind::Submit.name(),
            Self::Enter { .. } => Kind::Enter.name(),
            Self::Complete(_) => Kind::Complete.name(),
            Self::Overflow { .. } => Kind::Overflow.name(),
            Self::Passed { .. } => Kind::Passed.name(),
            Self::Push { .. } => Kind::Push.name(),
            Self::Spawn { .. } => Kind::Spawn.name(),
            Self::Resume { .. } => Kind::Resume.name(),
            Self::Suspend { .. } => Kind::Suspend.name(),
            Self::Done { .. } => Kind::Done.name(),
            Self::CoroutineDrop { .. } => Kind::CoroutineDrop.name(),
            Self::Wake { .. } => Kind::Wake.name(),
            Self::ScopeBegin { .. } => Kind::ScopeBegin.name(),
            Self::ScopeEnd { .. } => Kind::ScopeEnd.name(),
            Self::ScopeEnter { .. } => Kind::ScopeEnter.name(),
            Self::Scheme { .. } => Kind::Scheme.name(),
            Self::Shared { .. } => Kind::Shared.name(),
            Self::OwnerLabel { .. } => Kind::OwnerLabel.name(),
            Self::Alloc { .. } => Kind::Alloc.name(),
            Self::Free { .. } => Kind::Free.name(),
            Self::Realloc { .. } => Kind::Realloc.name(),
            Self::Unmap { .. } => Kind::Unmap.name(),
            Self::FdOpen { .. } => Kind::FdOpen.name(),
            Self::FdClose { .. } => Kind::FdClose.name(),
            Self::BorrowBegin(_) => Kind::BorrowBegin.name(),
            Self::BorrowEnd(_) => Kind::BorrowEnd.name(),
            Self::BufferInit { .. } => Kind::BufferInit.name(),
            Self::BufferProvide { .. } => Kind::BufferProvide.name(),
            Self::StackPointer { .. } => Kind::StackPointer.name(),
            Self::Thread { .. } => Kind::Thread.name(),
            Self::Fork { .. } => Kind::Fork.name(),
            Self::Mark { .. } => Kind::Mark.name(),
            Self::Lost(_) => Kind::Lost.name(),
            Self::Other { .. } => "other",
        }
    }
}

impl Event {
    /// Its place in the source, where it has one.
    pub fn site(&self) -> SiteId {
        match &self.what {
            What::Leak(pointer)
            | What::Retain(pointer)
            | What::LeakForever(pointer)
            | What::Reclaim(pointer)
            | What::Release(pointer)
            | What::Peek(pointer) => pointer.site,
            What::Submit(submission) => SiteId(submission.entry.site),
            What::Spawn { site, .. }
            | What::ScopeBegin { site, .. }
            | What::Passed { site, .. }
            | What::FdOpen { site, .. }
            | What::FdClose { site, .. } => *site,
            What::BorrowBegin(borrow) | What::BorrowEnd(borrow) => borrow.site,
            _ => SiteId(0),
        }
    }
}

/// A raw pointer that ownership travels in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// The address.
    pub address: u64,
    /// What kind of owner gave it away or took it.
    pub owner: Owner,
    /// What it points to.
    pub ty: TypeId,
    /// Where in the source.
    pub site: SiteId,
}

/// A borrow of a traced cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Borrow {
    /// Address of the cell.
    pub cell: u64,
    /// What it holds: another cell may lie at its beginning. Not known for types whose pointers have two words.
    pub ty: TypeId,
    /// Where in the source it began.
    pub site: SiteId,
    /// Whether nobody else may borrow the cell meanwhile.
    pub exclusive: bool,
}

/// A ring as it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Ring of the process.
    pub ring: u32,
    /// Its descriptor.
    pub fd: i32,
    /// Slots of the submission queue.
    pub sq_entries: u32,
    /// Slots of the completion queue.
    pub cq_entries: u32,
    /// `IORING_SETUP_*`
    pub setup: u32,
    /// `IORING_FEAT_*`
    pub features: u32,
    /// How its slots are filled.
    pub kind: RingKind,
}

/// An operation as it entered the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The entry. `entry.site` is a [`SiteId`]; `entry.sequence` has its low 32 bits only.
    pub entry: Submit,
    /// The whole sequence number within the ring.
    pub sequence: u64,
    /// What is known of how it got its cookie.
    pub cookie_state: CookieState,
}

/// A completion as the program took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Ring of the process.
    pub ring: u32,
    /// The `user_data` word.
    pub cookie: u64,
    /// Result or negative error number.
    pub res: i32,
    /// `IORING_CQE_F_*`
    pub flags: u32,
    /// Its index in the completion queue, where it was taken out of order.
    pub index: Option<u32>,
    /// The operation that it belongs to, by its sequence number, where the kernel says so.
    pub operation: Option<u64>,
}

/// What a mark of a log says beside its text, by the numbers of [`wire::record::mark`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// 1 error to 5 trace; 0 for a text that is none of a log.
    pub level: u8,
    /// Whether a span was entered or left; 0 for an event of the log.
    pub flags: u8,
}

/// Records that are known to be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many, where that is known.
    pub records: Option<u64>,
    /// Why.
    pub reason: LossReason,
}

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// The ring went round: the oldest chunks were reused.
    Overwritten,
    /// No room was left.
    Full,
    /// A signal handler found no lane to write to.
    Nested,
    /// Too many threads at once: no lane was left.
    NoLane,
    /// The recording was being opened: by the thread that a signal handler interrupted, or for too long.
    AtStart,
    /// A chunk is damaged or was cut off.
    Damaged,
    /// A record was being written when its thread was killed.
    Torn,
    /// Events of a ring that the probe saw and cannot follow.
    NotFollowed,
    /// All of a ring that is not followed from its making on; each counts as one record.
    RingNotFollowed,
    /// The kernel had no room for them in its buffer.
    KernelBuffer,
    /// Of a kind that this build does not know: it is there, and cannot be judged.
    Newer,
    /// Removed on purpose by a test or a filter.
    Removed,
}

/// Index of a text, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StringId(pub u32);

/// Index of a place in the source, 0 for unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u32);

/// Index of a type, 0 for unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);
