//! One ring, followed by its queues: what the program put into the submission queue since the last look, what
//! the kernel took out of it, and what the kernel put into the completion queue.
//!
//! Looks are taken before and after each enter, and before memory in flight is given away. An entry is
//! recorded before the kernel can see it; a completion once it lies in the queue: from then on the kernel is
//! done with the operation, whether the program took the completion yet or not.
//!
//! # Poison
//!
//! A slot that the kernel took its entry out of gets a word for a cookie that no program writes, unless
//! somebody filled the slot already. If the word is still there when the slot goes in again, nobody set the cookie; the
//! leftover is put back before the kernel sees it. That the kernel never sees the word rests on this: each
//! entry is looked at in the enter that hands it over. Where several threads enter, one may hand over what
//! another is just publishing; so a ring is poisoned only while one thread alone enters it, and for good no more
//! once a second one did. Nor once entries were published while that thread was in the kernel: who fills a slot meanwhile
//! may have set the very cookie that it held before, which poison must not cover.
//!
//! A program may also copy an entry out of a slot that it submitted, poison with it, into another ring's queue, too. In
//! such a copy the word is replaced by what it stands for, and the rings are poisoned no more: who reads slots may read more than that.

use core::sync::atomic::{AtomicU32, Ordering};

use probe::preload::{self, Look, Row};
use probe::ring::{Entry, Kind, Odd, Ring, Submissions};

use crate::kernel::{self, CQ_OVERFLOW};
use crate::{next, rings};

/// A ring's queues, in memory that the kernel shares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queues {
    pub(crate) sq_head: *const AtomicU32,
    pub(crate) sq_tail: *const AtomicU32,
    pub(crate) sq_flags: *const AtomicU32,
    pub(crate) submissions: Submissions,
    pub(crate) cq_head: *const AtomicU32,
    pub(crate) cq_tail: *const AtomicU32,
    pub(crate) cq_overflow: *const AtomicU32,
    pub(crate) cqes: *const [u64; 2],
    pub(crate) cq_entries: u32,
    /// A completion takes `1 << cqe_shift` times 16 bytes.
    pub(crate) cqe_shift: u32,
    /// Where they lie in memory of the program's own, which it may give back: start and length of the queues and of
    /// the entries.
    pub(crate) lent: [(usize, usize); 2],
}

/// What is known of a ring that is being made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) fd: i32,
    /// Counts the rings of the process.
    pub(crate) number: u32,
    pub(crate) setup: u32,
    pub(crate) features: u32,
}

/// Who enters a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    Never,
    By(u64),
    ByMany,
}

/// A ring and how far it was looked through.
#[derive(Debug)]
pub(crate) struct Followed {
    hooks: Ring,
    queues: Queues,
    /// Position in the submission queue up to which entries are recorded.
    scanned: u32,
    /// Position up to which the kernel took entries, as far as is recorded.
    taken: u32,
    /// Position in the completion queue up to which completions are recorded.
    seen: u32,
    entered: Entered,
    overflow: u32,
    number: u32,
    /// Rings that entries since the last enter post to.
    posts_to: Posts,
    /// What was said of it once, and is not said again.
    said: Said,
}

/// The rings that `IORING_OP_MSG_RING` names: their own program may never enter them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Posts {
    #[default]
    Nowhere,
    /// To the ring of a descriptor.
    To(i32),
    /// To several, or to one by its place in a table.
    Anywhere,
}

impl Posts {
    #[inline(always)]
    fn note(&mut self, head: u64) {
        /// `IORING_OP_MSG_RING`
        const MSG_RING: u8 = 40;
        /// `IOSQE_FIXED_FILE`
        const FIXED_FILE: u64 = 1;
        if head as u8 == MSG_RING {
            self.note_message(head, head >> 8 & FIXED_FILE != 0);
        }
    }

    #[cold]
    fn note_message(&mut self, head: u64, is_by_place: bool) {
        let to = Self::To((head >> 32) as i32);
        *self = match *self {
            _ if is_by_place => Self::Anywhere,
            Self::Nowhere => to,
            now if now == to => to,
            _ => Self::Anywhere,
        };
    }
}

/// What is put on the timeline about a ring, once.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    ever: u8,
    /// Not yet: a look may not write texts.
    yet: u8,
}

impl Said {
    /// Has it said; whether that is news.
    fn once(&mut self, what: u8) -> bool {
        let is_news = !self.has(what);
        self.ever |= what;
        self.yet |= if is_news { what } else { 0 };
        is_news
    }

    fn has(self, what: u8) -> bool {
        self.ever & what != 0
    }
}

const COPIED: u8 = 1;
const STRAY: u8 = 2;
const BEYOND: u8 = 4;

const TEXTS: [(u8, &str); 2] = [
    (
        COPIED,
        "not recorded any further: whether cookies were set, in a ring whose program copies entries out of \
                      slots that it submitted, user_data with them; they are not poisoned any more (`--poison=off` \
                      leaves them alone from the start)",
    ),
    (
        STRAY,
        "not recorded: whose completion it was that carried poison; the program takes user_data out of slots \
                     that it submitted: record it with `--poison=off`",
    ),
];

/// Completions of which there is more to be said.
#[derive(Clone, Copy, Debug)]
struct OddCompletions {
    /// Overwritten before they were read.
    missed: u32,
    /// With poison.
    stray: u32,
}

impl Followed {
    /// # Safety
    ///
    /// The queues are those of a ring just made, of which nobody else knows yet, and stay mapped as long as this
    /// lives.
    pub(crate) unsafe fn new(queues: Queues, made: Made) -> Self {
        let mut hooks = Ring::created(
            Kind::InPlace,
            made.fd,
            queues.submissions.count,
            queues.cq_entries,
            made.setup,
            made.features,
        );
        hooks.remember_slots();
        let mut ring = Self {
            hooks,
            queues,
            scanned: 0,
            taken: 0,
            seen: 0,
            entered: Entered::Never,
            overflow: 0,
            number: made.number,
            posts_to: Posts::Nowhere,
            said: Said::default(),
        };
        ring.taken = ring.head();
        ring.scanned = ring.taken;
        ring.seen = ring.load(queues.cq_tail, Ordering::Acquire);
        ring
    }

    /// Which of the process's rings it is.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whether any of the queues lies in memory that the program gives back.
    pub(crate) fn lies_in(&self, start: usize, len: usize) -> bool {
        let end = start.saturating_add(len);
        let mut parts = self.queues.lent.iter();
        parts.any(|(from, size)| *size != 0 && *from < end && start < from.saturating_add(*size))
    }

    /// Entries that the program filled, up to `tail`, and that the kernel did not take yet.
    pub(crate) fn pending(&self, tail: u32) -> u32 {
        tail.wrapping_sub(self.head())
    }

    /// Whether completions wait in the kernel for an enter that fetches them.
    pub(crate) fn has_overflown(&self) -> bool {
        self.load(self.queues.sq_flags, Ordering::Relaxed) & CQ_OVERFLOW != 0
    }

    /// A word of the queues.
    fn load(&self, word: *const AtomicU32, order: Ordering) -> u32 {
        // SAFETY: a pointer of the queues, which are mapped: `new`. Kernel and program use these words
        // atomically.
        unsafe { (*word).load(order) }
    }

    fn head(&self) -> u32 {
        // Acquire pairs with the kernel's Release: the slots before it are its no more.
        self.load(self.queues.sq_head, Ordering::Acquire)
    }

    /// The program is about to enter. What it has published lies where the queue says; where liburing is going to publish
    /// more, up to `tail`, the slot of an entry is its position, which liburing may not have told the queue yet.
    #[inline(always)]
    pub(crate) fn before_enter(&mut self, look: &mut Look, tail: Option<u32>) {
        self.note_thread(look);
        self.look_at_head(look);
        // The tail first: what was pushed after a completion was taken comes later in the record.
        let published = self.load(self.queues.sq_tail, Ordering::Acquire);
        self.look(look);
        self.scan(look, published);
        if let Some(tail) = tail {
            let by_position = Submissions {
                array: core::ptr::null(),
                ..self.queues.submissions
            };
            self.scan_in(look, by_position, tail);
        }
    }

    /// The enter came back.
    #[inline(always)]
    pub(crate) fn after_enter(
        &mut self,
        look: &mut Look,
        to_submit: u32,
        min_complete: u32,
        result: i32,
    ) {
        let head = self.head();
        // More than was looked at was published meanwhile, whether the kernel took it with this enter or not.
        let tail = self.load(self.queues.sq_tail, Ordering::Acquire);
        let unseen = tail.wrapping_sub(self.scanned);
        let is_of_many = unseen.cast_signed() > 0 && !self.is_liburings(unseen);
        self.catch_up(look, head);
        if is_of_many {
            self.is_of_many(look);
        }
        let count = head.wrapping_sub(self.taken);
        if self.may_poison() {
            let (queue, count) = (
                self.queues.submissions,
                count.min(self.queues.submissions.count),
            );
            // SAFETY: the queue is mapped; `&mut self` is alone with the hooks.
            unsafe {
                self.hooks
                    .consumed(queue, self.taken, count, next::is_alone());
            };
        }
        self.taken = head;
        let taken = i32::try_from(count).unwrap_or(i32::MAX);
        let (offered, result) = match taken {
            1.. => (to_submit.max(count), taken),
            // What it took was recorded by another thread's look.
            _ if result > 0 => (0, 0),
            _ => (to_submit, result),
        };
        let mut row = look.row();
        let entered = (offered, min_complete, result);
        self.hooks.was_entered(&mut row, look, entered);
        row = self.reap(row, look);
        look.end_row(&row);
        self.note_overflow(look);
    }

    /// Looks at what the kernel did meanwhile.
    #[inline(always)]
    pub(crate) fn look(&mut self, look: &mut Look) {
        let head = self.head();
        if head != self.taken {
            self.note_taken(look, head);
        }
        let row = self.reap(look.row(), look);
        look.end_row(&row);
    }

    /// The kernel took entries outside of an enter that was looked at.
    #[cold]
    fn note_taken(&mut self, look: &mut Look, head: u32) {
        self.catch_up(look, head);
        let taken = head.wrapping_sub(self.taken);
        self.taken = head;
        let count = i32::try_from(taken).unwrap_or(i32::MAX);
        let mut row = look.row();
        self.hooks.was_entered(&mut row, look, (taken, 0, count));
        look.end_row(&row);
    }

    /// The kernel took entries up to `head` that nobody looked at: what another thread published meanwhile and did not
    /// enter for itself, or what another process handed over, a child with the same queues.
    #[inline(always)]
    fn catch_up(&mut self, look: &mut Look, head: u32) {
        let unseen = head.wrapping_sub(self.scanned);
        if unseen.cast_signed() > 0 {
            self.scan_taken(look, head, unseen);
        }
    }

    #[cold]
    fn scan_taken(&mut self, look: &mut Look, head: u32, unseen: u32) {
        let tail = self.load(self.queues.sq_tail, Ordering::Acquire);
        let entries = self.queues.submissions.count;
        if unseen > entries || tail.wrapping_sub(self.scanned) > entries {
            // Others lie in their slots by now.
            preload::lost_in(look, unseen);
            self.scanned = head;
        } else {
            self.scan(look, head);
        }
    }

    /// What is to be said of it, outside of a look.
    #[inline(always)]
    pub(crate) fn has_texts(&self) -> bool {
        self.said.yet != 0
    }

    /// Takes them.
    pub(crate) fn take_texts(&mut self) -> impl Iterator<Item = &'static str> + use<> {
        let yet = core::mem::take(&mut self.said.yet);
        let wanted = TEXTS.iter().filter(move |(what, _)| yet & what != 0);
        wanted.map(|(_, text)| *text)
    }

    /// Which rings the entries since the last time post to.
    pub(crate) fn take_posts(&mut self) -> Posts {
        core::mem::take(&mut self.posts_to)
    }

    /// The cookie that poison of its slots stands for, which the program copied into another ring.
    pub(crate) fn cookie_of(&mut self, poison: u64) -> Option<u64> {
        let cookie = self.hooks.stands_for(poison)?;
        if self.said.once(COPIED) {
            self.let_go();
        }
        Some(cookie)
    }

    /// Takes the poison out of all slots: the ring is not followed any more.
    pub(crate) fn let_go(&mut self) {
        for slot in 0..self.queues.submissions.count {
            // SAFETY: the slot lies within the mapping, and `&mut self` is alone.
            unsafe {
                self.hooks
                    .released(slot, self.queues.submissions.entry(slot));
            };
        }
    }

    #[inline(always)]
    fn note_thread(&mut self, look: &mut Look) {
        let me = kernel::thread();
        match self.entered {
            Entered::Never => self.entered = Entered::By(me),
            Entered::By(thread) if thread == me => {}
            Entered::By(_) => self.is_of_many(look),
            Entered::ByMany => {}
        }
    }

    /// Whether what nobody looked at is the one entry that liburing adds to a wait by itself, its timeout.
    #[cold]
    fn is_liburings(&self, unseen: u32) -> bool {
        /// `IORING_OP_TIMEOUT`
        const TIMEOUT: u8 = 11;
        /// `LIBURING_UDATA_TIMEOUT`
        const ITS_COOKIE: u64 = u64::MAX;
        let queue = self.queues.submissions;
        // SAFETY: the queue is mapped.
        let Some(slot) = (unsafe { queue.slot(self.scanned) }) else {
            return false;
        };
        // SAFETY: within the mapping; the program may write there, and then is not alone.
        let entry: Entry = unsafe { core::ptr::read_volatile(queue.entry(slot)) };
        unseen == 1 && entry[0] as u8 == TIMEOUT && entry[4] == ITS_COOKIE
    }

    /// Several threads work on it: nothing is poisoned any more.
    #[cold]
    fn is_of_many(&mut self, look: &mut Look) {
        if self.entered != Entered::ByMany {
            self.entered = Entered::ByMany;
            // Published entries are looked at before they go in; all others are made whole now.
            let tail = self.load(self.queues.sq_tail, Ordering::Acquire);
            self.scan(look, tail);
            self.let_go();
        }
    }

    /// In a child that was forked in the middle of a look: what is left of it leads nowhere.
    pub(crate) fn forget(&self) {
        self.hooks.forget();
    }

    fn may_poison(&self) -> bool {
        matches!(self.entered, Entered::By(_)) && !self.said.has(COPIED) && !self.said.has(STRAY)
    }

    /// Records the entries up to a position, all of which are published.
    #[inline(always)]
    fn scan(&mut self, look: &mut Look, tail: u32) {
        self.scan_in(look, self.queues.submissions, tail);
    }

    #[inline(always)]
    fn scan_in(&mut self, look: &mut Look, queue: Submissions, tail: u32) {
        let count = tail.wrapping_sub(self.scanned);
        if count == 0 {
            return;
        }
        if count > self.queues.submissions.count {
            // The program moved the tail back, or by more than there is room for.
            if count.cast_signed() > 0 {
                preload::lost_in(look, count);
                self.scanned = tail;
            }
            return;
        }
        let may_poison = self.may_poison();
        let posts_to = &mut self.posts_to;
        // SAFETY: the queue is mapped; the program has published the entries and leaves them alone until the kernel took
        // them; `&mut self` is alone with the hooks.
        let odd = unsafe {
            self.hooks.published(
                look,
                queue,
                (self.scanned, count),
                may_poison,
                rings::cookie_of,
                |words| {
                    posts_to.note(words[0]);
                    preload::watch(words);
                },
            )
        };
        self.scanned = tail;
        let Odd { nowhere, copied } = odd;
        preload::lost_in(look, nowhere);
        if copied > 0 && self.said.once(COPIED) {
            self.let_go();
        }
    }

    /// Records the completions that lie in the queue.
    #[inline(always)]
    fn reap(&mut self, mut row: Row, look: &mut Look) -> Row {
        let entries = self.queues.cq_entries;
        // Acquire pairs with the kernel's Release: who sees the tail also sees what is before it.
        let tail = self.load(self.queues.cq_tail, Ordering::Acquire);
        let new = tail.wrapping_sub(self.seen);
        if new.cast_signed() <= 0 {
            return row;
        }
        let narrow = self.hooks.narrow();
        let mut odd = OddCompletions {
            missed: new.saturating_sub(entries),
            stray: 0,
        };
        if new == 1 {
            self.reap_one(&mut row, look, &self.queues, self.seen, narrow, &mut odd);
        } else {
            let from = self.seen.wrapping_add(odd.missed);
            (row, odd) = self.reap_all(row, look, (from, tail), narrow, odd);
        }
        self.seen = tail;
        if odd.missed | odd.stray != 0 {
            look.end_row(&row);
            self.note_odd(look, odd);
            row = look.row();
        }
        row
    }

    #[inline(never)]
    fn reap_all(
        &self,
        row: Row,
        look: &mut Look,
        (from, to): (u32, u32),
        narrow: u32,
        mut odd: OddCompletions,
    ) -> (Row, OddCompletions) {
        // Of its own, so that they need not lie in memory.
        let (mut row, queues) = (row.again(), self.queues);
        let mut position = from;
        while position != to {
            self.reap_one(&mut row, look, &queues, position, narrow, &mut odd);
            position = position.wrapping_add(1);
        }
        (row, odd)
    }

    /// Records the completion at a position.
    #[inline(always)]
    fn reap_one(
        &self,
        row: &mut Row,
        look: &mut Look,
        queues: &Queues,
        position: u32,
        narrow: u32,
        odd: &mut OddCompletions,
    ) {
        let index = (position & queues.cq_entries.wrapping_sub(1)) as usize;
        let place = queues.cqes.wrapping_add(index << queues.cqe_shift);
        // SAFETY: within the mapping; the kernel may write there once more, which shows in the tail.
        let words = unsafe { core::ptr::read_volatile(place) };
        core::sync::atomic::fence(Ordering::Acquire);
        let now = self.load(queues.cq_tail, Ordering::Relaxed);
        if now.wrapping_sub(position) > queues.cq_entries {
            odd.missed += 1;
        } else {
            odd.stray += u32::from(self.hooks.is_stray(words[0]));
            self.hooks.completed(narrow, row, look, words);
        }
    }

    /// Some completions were overwritten before they were read, or carry poison.
    #[cold]
    fn note_odd(&mut self, look: &mut Look, odd: OddCompletions) {
        preload::lost_in(look, odd.missed);
        if odd.stray > 0 && self.said.once(STRAY) {
            preload::lost_in(look, odd.stray);
            self.let_go();
        }
    }

    /// Whether the program gave up completions that it does not have. Those that come into their place are recorded as
    /// all others.
    #[inline(always)]
    fn look_at_head(&mut self, look: &mut Look) {
        // The head first: a sound program's is never beyond a tail that is read later.
        let head = self.load(self.queues.cq_head, Ordering::Acquire);
        let tail = self.load(self.queues.cq_tail, Ordering::Acquire);
        let beyond = head.wrapping_sub(tail);
        if beyond.cast_signed() > 0 {
            self.is_beyond(look, beyond);
        }
    }

    #[cold]
    fn is_beyond(&mut self, look: &mut Look, beyond: u32) {
        if self.said.once(BEYOND) {
            self.hooks.went_beyond(look, beyond);
        }
    }

    #[inline(always)]
    fn note_overflow(&mut self, look: &mut Look) {
        if self.load(self.queues.sq_flags, Ordering::Relaxed) & CQ_OVERFLOW == 0 {
            self.overflow = 0;
        } else {
            self.has_overflow(look);
        }
    }

    #[cold]
    fn has_overflow(&mut self, look: &mut Look) {
        let count = self.load(self.queues.cq_overflow, Ordering::Relaxed).max(1);
        if self.overflow != count {
            self.overflow = count;
            self.hooks.has_overflown(look, u64::from(count));
        }
    }
}

#[cfg(any(test, fuzzing))]
#[path = "anything.rs"]
pub(crate) mod anything;
