//! The 64-bit header of a record, and the table of kinds.
//!
//! ```text
//! bit  0..8    kind
//!      8..16   length in words, header included (1..=255)
//!     16..18   state: 1 reserved, 2 committed, 3 aborted
//!     18..24   flags, by kind, but for the highest: [`WITH_STACK`]
//!     24..32   aux, by kind
//!     32..64   ticks since the lane's time base
//! ```
//!
//! The time base of a lane is its chunk's [`crate::layout::chunk::TICKS`], then the latest
//! [`Kind::Time`] record of that chunk: every chunk can be read alone. A header of 0 is room that
//! nobody wrote to.

/// Flag of any event: behind its payload stands one more word, the number of its call stack. Only in
/// files that say so: [`crate::layout::incompat::STACKS`].
pub const WITH_STACK: u8 = 0x20;

/// Aux of a [`Kind::ScopeBegin`]: the scope is the whole process's.
pub const SCOPE_OF_PROCESS: u8 = 1;

/// Aux of a [`Kind::ScopeEnd`]: a panic was on its way when it ended.
pub const SCOPE_BY_PANIC: u8 = 1;

/// A text of a process that the probe for C records: what it can be asked about is what its program says.
pub const BY_C: &str = "recorded by the probe for C";

/// Reason in a [`Kind::Lost`] record: events of a ring that the probe saw and cannot follow.
pub const LOST_NOT_FOLLOWED: u64 = 1;

/// Reason in a [`Kind::Lost`] record: they found no room in the kernel's buffer. Of one loss that several processes
/// may share one says how many; the others say 0.
pub const LOST_KERNEL: u64 = 2;

/// Reason in a [`Kind::Lost`] record: a ring that is not followed from its making on. Each counts as one.
pub const LOST_RING: u64 = 3;

/// What a [`Kind::Mark`] of a log says beside its text.
pub mod mark {
    /// Flag: a span was entered.
    pub const ENTER: u8 = 1;
    /// Flag: a span was left.
    pub const LEAVE: u8 = 2;

    /// aux: the levels of a log; 0 for a mark that has none.
    pub const ERROR: u8 = 1;
    /// aux
    pub const WARN: u8 = 2;
    /// aux
    pub const INFO: u8 = 3;
    /// aux
    pub const DEBUG: u8 = 4;
    /// aux
    pub const TRACE: u8 = 5;
}

/// Progress of a record. A reader believes committed records only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// The length is known, the rest is being written.
    Reserved = 1,
    /// All words are valid.
    Committed = 2,
    /// Its writer gave up; skip it.
    Aborted = 3,
}

/// A record's header word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header(pub u64);

impl Header {
    /// The header of a record whose words are still being written.
    #[inline]
    pub const fn reserved(words: u8) -> Self {
        Self((words as u64) << 8 | (State::Reserved as u64) << 16)
    }

    /// The header of a whole record. `flags` keeps its low six bits.
    #[inline]
    pub const fn committed(kind: Kind, words: u8, flags: u8, aux: u8, delta_ticks: u32) -> Self {
        Self(
            kind as u64
                | (words as u64) << 8
                | (State::Committed as u64) << 16
                | ((flags & 0x3F) as u64) << 18
                | (aux as u64) << 24
                | (delta_ticks as u64) << 32,
        )
    }

    /// The bits of a committed record's time, to be put into its header.
    ///
    /// Never 0, because they say that it is committed.
    #[inline]
    pub const fn time(delta_ticks: u32) -> u64 {
        (State::Committed as u64) << 16 | (delta_ticks as u64) << 32
    }

    /// Whether it is of a whole record of so many words, without a call stack.
    #[inline]
    pub const fn is_plain(self, words: u8) -> bool {
        let mask = 0xFF << 8 | 3 << 16 | (WITH_STACK as u64) << 18;
        self.0 & mask == (words as u64) << 8 | (State::Committed as u64) << 16
    }

    /// The kind's number; a reader may not know it.
    #[inline]
    pub const fn raw_kind(self) -> u8 {
        self.0 as u8
    }

    /// The kind, where this build knows it.
    #[inline]
    pub const fn kind(self) -> Option<Kind> {
        Kind::from_u8(self.raw_kind())
    }

    /// Length in words, header included; 0 only in damaged files and in room never written.
    #[inline]
    pub const fn words(self) -> usize {
        (self.0 >> 8) as u8 as usize
    }

    /// The state, where it is a valid one.
    #[inline]
    pub const fn state(self) -> Option<State> {
        match (self.0 >> 16) & 3 {
            1 => Some(State::Reserved),
            2 => Some(State::Committed),
            3 => Some(State::Aborted),
            _ => None,
        }
    }

    /// Whether its record is whole.
    #[inline]
    pub const fn is_committed(self) -> bool {
        (self.0 >> 16) & 3 == State::Committed as u64
    }

    /// Six bits whose meaning depends on the kind.
    #[inline]
    pub const fn flags(self) -> u8 {
        (self.0 >> 18) as u8 & 0x3F
    }

    /// A byte whose meaning depends on the kind.
    #[inline]
    pub const fn aux(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Ticks since the lane's time base.
    #[inline]
    pub const fn delta_ticks(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl core::fmt::Debug for Header {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Header")
            .field("kind", &self.raw_kind())
            .field("words", &self.words())
            .field("state", &self.state())
            .field("flags", &self.flags())
            .field("aux", &self.aux())
            .field("delta_ticks", &self.delta_ticks())
            .finish()
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What a record says. Numbers are for ever; a reader skips those it does not know by length, and counts
        /// them: see [`crate::schema`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            /// Every kind, by number.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The kind for its number.
            #[inline]
            pub const fn from_u8(raw: u8) -> Option<Self> {
                match raw { $($number => Some(Kind::$name),)* _ => None }
            }

            /// The word for it in `dump`, in filters and in fixtures.
            #[inline]
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// Fills the rest of a chunk.
    Pad = 1, "pad";
    /// `[ticks]`: a new time base, where a difference would not fit 32 bits.
    Time = 2, "time";
    /// `[count, reason]`: records of this lane were lost before this point; 0 for want of room,
    /// [`LOST_NOT_FOLLOWED`], [`LOST_KERNEL`] or [`LOST_RING`].
    Lost = 3, "lost";
    /// `[id | bytes << 32, bytes...]`: text. META chunks only.
    String = 4, "string";
    /// `[id | line << 32, file string | column << 32]`: a place in the source. META chunks only.
    Site = 5, "site";
    /// `[id | name string << 32, size, align]`: a Rust type. META chunks only.
    Type = 6, "type";
    /// `[tid | name string << 32]`: from here on the lane belongs to this thread.
    Thread = 7, "thread";
    /// `[monotonic ns]`: a clock pair, the record's own time being the other half.
    Clock = 8, "clock";
    /// `[child pid]`
    Fork = 9, "fork";
    /// `[string]`: text from the program itself; flags and aux: of a log, see [`mark`].
    Mark = 10, "mark";
    /// Call stack: `[id | frames << 32, word...]`, the innermost frame first. A word is module << 48 |
    /// address within the module's file. META chunks only.
    Stack = 11, "stack";
    /// `[id | path string << 32, base, size, address of the base within the file, bytes of the build-id,
    /// build-id...]`: a file that code was loaded from. META chunks only.
    Module = 12, "module";
    /// `[kind | flags << 8 | name string << 32, field...]`: what a kind and its fields are called, see
    /// [`crate::schema`]. META chunks only.
    Schema = 13, "schema";

    /// `[pointer, site | type << 32]`, aux: an [`Owner`]. Ownership left as a raw pointer.
    Leak = 20, "leak";
    /// As [`Kind::Leak`]: ownership was taken back.
    Reclaim = 21, "reclaim";
    /// As [`Kind::Leak`]: looked at without taking.
    Peek = 22, "peek";
    /// As [`Kind::Leak`]: the count of the owner went up by one raw handle.
    Retain = 23, "retain";
    /// As [`Kind::Leak`]: the count of the owner went down by one raw handle.
    Release = 24, "release";
    /// As [`Kind::Leak`]: declared never to come back.
    LeakForever = 25, "leak-forever";

    /// `[ring | fd << 32, sq entries | cq entries << 32, setup flags | features << 32]`, aux: a
    /// [`RingKind`].
    RingCreate = 30, "ring-create";
    /// `[ring]`
    RingDrop = 31, "ring-drop";
    /// `[ring | slot << 32]`: the program was handed this submission slot to fill.
    Claim = 32, "claim";
    /// See [`crate::payload::Submit`]; aux: a [`CookieState`]. An operation entered the submission queue.
    Submit = 33, "submit";
    /// `[cookie, word...]`, aux: a [`CookieState`]. The entry behind that of the last [`Kind::Submit`] or
    /// [`Kind::SubmitNext`] before it in its chunk: of the same ring, in the next slot, with the next sequence number.
    /// It is like that entry, but for its cookie and the words that follow: flags say which ones, see
    /// [`crate::payload::other`].
    SubmitNext = 74, "submit-next";
    /// `[ring | to_submit << 32, min_complete | result << 32]`, recorded when the call returned.
    Enter = 34, "enter";
    /// `[cookie, res | cqe flags << 32]`, aux: the ring if below 255, else 255 and a third word
    /// `[ring]`. The program took a completion.
    Complete = 35, "complete";
    /// As [`Kind::Complete`] with a third word `[ring | cq index << 32]`: taken out of the order of the
    /// queue.
    CompleteAt = 36, "complete-at";
    /// [`Kind::Leak`], then [`Kind::Submit`] with its pointer for a cookie: see
    /// [`crate::payload::LeakSubmit`]; aux: as for [`Kind::Submit`], flags: an [`Owner`].
    LeakSubmit = 38, "leak-submit";
    /// [`Kind::Complete`], then [`Kind::Reclaim`] of its cookie: `[cookie, res | cqe flags << 32, site |
    /// type << 32]`, aux: the ring if below 255, else 255 and a fourth word `[ring]`; flags: an [`Owner`].
    CompleteReclaim = 39, "complete-reclaim";
    /// `[ring, overflowed completions]`: the kernel keeps completions that found no room.
    Overflow = 37, "overflow";
    /// `[ring | unread << 32, beyond | site << 32]`: the program moved the head of the completion queue past
    /// completions that nothing had shown to it, which are the ring's next ones in this lane, or by that much more
    /// than there were.
    Passed = 72, "passed";

    /// `[cookie, fd of the ring | index << 32]`: the program called what puts an entry into a submission queue, at this
    /// index of it, which counts up from 0 and wraps. In files of probed functions only.
    Push = 73, "push";

    /// `[coroutine | parent << 32, site | type << 32]`
    Spawn = 40, "spawn";
    /// `[coroutine | ring << 32, cookie]`: polled; the cookie is the completion's, 0 with flag 1 when
    /// something else woke it.
    Resume = 41, "resume";
    /// `[coroutine | count << 32, cookie...]`: returned pending and waits for these.
    Suspend = 42, "suspend";
    /// `[coroutine]`: returned its result.
    Done = 43, "done";
    /// `[coroutine]`: its future was dropped unfinished.
    CoroutineDrop = 44, "coroutine-drop";
    /// `[coroutine]`: somebody asked for it to be polled.
    Wake = 45, "wake";

    /// `[scope | site << 32, name string | parent << 32]`: this thread entered a new scope. Aux
    /// [`SCOPE_OF_PROCESS`]: while it is open, threads that work for no scope work for it.
    ScopeBegin = 50, "scope-begin";
    /// `[scope]`: the scope's owner closed it; aux [`SCOPE_BY_PANIC`]: by a panic.
    ScopeEnd = 51, "scope-end";
    /// `[scope]`: from here on this thread works for the scope, 0 for none.
    ScopeEnter = 52, "scope-enter";
    /// `[ring + 1 or 0 for all, scheme, mask or sentinel]`: how to read cookies.
    Scheme = 53, "scheme";
    /// `[cookie]`: several operations may carry it at once.
    Shared = 54, "shared";
    /// `[ring | owner string << 32]`: subsystem that this thread's next submissions to the ring belong to,
    /// and for which it takes the next completions; no string where it works for nobody or for all.
    OwnerLabel = 55, "owner";

    /// `[pointer, size | align << 56]`
    Alloc = 60, "alloc";
    /// `[pointer, size]`
    Free = 61, "free";
    /// `[old pointer, new pointer, size]`
    Realloc = 62, "realloc";
    /// `[address, size]`
    Unmap = 63, "unmap";
    /// `[descriptor, site]`
    FdOpen = 64, "fd-open";
    /// `[descriptor, site]`
    FdClose = 65, "fd-close";
    /// `[cell, site | type << 32]`, aux: 1 shared, 2 exclusive. The type is that of what the cell holds, 0 where its
    /// pointers have two words: a cell may begin with another one.
    BorrowBegin = 66, "borrow-begin";
    /// As [`Kind::BorrowBegin`].
    BorrowEnd = 67, "borrow-end";
    /// `[address, size, initialised]`: a traced buffer that may be uninitialised, and how many bytes of it
    /// from its start are not. Said again when that changes; size 0 when the buffer is gone.
    BufferInit = 68, "buffer-init";
    /// `[ring | group << 32, buffer id | count << 32]`: provided buffers handed to the kernel, with ids
    /// that count up. A count of 0: the group was taken from the kernel whole, and is none any more.
    BufferProvide = 69, "buffer-provide";
    /// `[stack pointer, lowest address of the stack]` of this thread: what lies between the two belongs
    /// to frames that have returned.
    StackPointer = 70, "stack-pointer";

    /// As [`Kind::Complete`] with a third word `[ring | sequence << 32]`: the kernel says which operation it belongs
    /// to. In files of the kernel's only.
    CompleteOf = 71, "complete-of";
}

/// Which owner a leak came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Owner {
    /// Not said.
    Unknown = 0,
    /// `Box`
    Box = 1,
    /// `Rc`
    Rc = 2,
    /// `Arc`
    Arc = 3,
    /// `rc::Weak`
    RcWeak = 4,
    /// `sync::Weak`
    ArcWeak = 5,
    /// `CString`
    CString = 6,
    /// `Vec` or boxed slice
    Vec = 7,
    /// `task::Waker`
    Waker = 8,
    /// An owner of the program's own.
    Custom = 9,
    /// An index of a table (slab, slotmap) that is used like a pointer.
    Index = 10,
}

impl Owner {
    /// The owner for its number, [`Owner::Unknown`] for numbers of newer writers.
    pub const fn from_u8(raw: u8) -> Self {
        match raw {
            1 => Self::Box,
            2 => Self::Rc,
            3 => Self::Arc,
            4 => Self::RcWeak,
            5 => Self::ArcWeak,
            6 => Self::CString,
            7 => Self::Vec,
            8 => Self::Waker,
            9 => Self::Custom,
            10 => Self::Index,
            _ => Self::Unknown,
        }
    }

    /// The name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "?",
            Self::Box => "Box",
            Self::Rc => "Rc",
            Self::Arc => "Arc",
            Self::RcWeak => "rc::Weak",
            Self::ArcWeak => "sync::Weak",
            Self::CString => "CString",
            Self::Vec => "Vec",
            Self::Waker => "Waker",
            Self::Custom => "custom",
            Self::Index => "index",
        }
    }
}

/// What fills the submission slots of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RingKind {
    /// Whole entries are copied into slots, as the `io-uring` crate does: a leftover cannot survive.
    Copied = 0,
    /// Slots are filled in place, as liburing does.
    InPlace = 1,
    /// No kernel behind it.
    Simulated = 2,
    /// A library in place of a kernel: what is registered with it are its submissions, the calls of
    /// callbacks its completions.
    Foreign = 3,
}

impl RingKind {
    /// The kind for its number.
    pub const fn from_u8(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Copied),
            1 => Some(Self::InPlace),
            2 => Some(Self::Simulated),
            3 => Some(Self::Foreign),
            _ => None,
        }
    }
}

/// What is known of how a submission got its cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CookieState {
    /// Nothing was observed.
    Unknown = 0,
    /// The program set it after it claimed the slot.
    Set = 1,
    /// The slot still holds the word of its previous lap, and no call was seen that sets it.
    Leftover = 2,
    /// The probe's poison was still in the slot: proved never set. The recorded cookie is the leftover
    /// that was put back before the kernel saw the slot.
    Poisoned = 3,
    /// Poison was still in a slot that was never used before: proved never set, and no leftover.
    NeverWritten = 4,
}

impl CookieState {
    /// The state for its number, [`CookieState::Unknown`] for numbers of newer writers.
    pub const fn from_u8(raw: u8) -> Self {
        match raw {
            1 => Self::Set,
            2 => Self::Leftover,
            3 => Self::Poisoned,
            4 => Self::NeverWritten,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_survive_packing() {
        let header = Header::committed(Kind::Complete, 3, 0x2A, 0xC3, 0xDEAD_BEEF);
        assert_eq!(header.kind(), Some(Kind::Complete));
        assert_eq!(header.words(), 3);
        assert_eq!(header.state(), Some(State::Committed));
        assert_eq!(header.flags(), 0x2A);
        assert_eq!(header.aux(), 0xC3);
        assert_eq!(header.delta_ticks(), 0xDEAD_BEEF);
    }

    #[test]
    fn reserved_header_can_be_skipped_and_is_not_believed() {
        let header = Header::reserved(255);
        assert_eq!(header.words(), 255);
        assert_eq!(header.state(), Some(State::Reserved));
        assert_eq!(header.kind(), None);
    }

    #[test]
    fn kinds_have_one_number_and_one_name_each() {
        for (index, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(Kind::from_u8(*kind as u8), Some(*kind));
            for other in &Kind::ALL[index + 1..] {
                assert_ne!(*kind as u8, *other as u8);
                assert_ne!(kind.name(), other.name());
            }
        }
        assert_eq!(Kind::from_u8(0), None);
        assert_eq!(Kind::from_u8(255), None);
    }
}
