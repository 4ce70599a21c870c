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
//! once a second one did.

use core::sync::atomic::{AtomicU32, Ordering};

use probe::preload;
use probe::ring::{Entry, Kind, Ring};

use crate::kernel::{self, CQ_OVERFLOW};

/// A ring's queues, in memory that the kernel shares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queues {
    pub(crate) sq_head: *const AtomicU32,
    pub(crate) sq_tail: *const AtomicU32,
    pub(crate) sq_flags: *const AtomicU32,
    /// Slots of the entries in the queue; null where an entry's slot is its position.
    pub(crate) sq_array: *const AtomicU32,
    pub(crate) sqes: *mut Entry,
    pub(crate) sq_entries: u32,
    /// An entry takes `1 << sqe_shift` times 64 bytes.
    pub(crate) sqe_shift: u32,
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
            queues.sq_entries,
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
        };
        ring.taken = ring.head();
        ring.scanned = ring.taken;
        ring.seen = ring.load(queues.cq_tail, Ordering::Acquire);
        ring
    }

    /// An entry's slot is its position, whatever the queue says of entries that are not published yet.
    pub(crate) fn slots_are_positions(&mut self) {
        self.queues.sq_array = core::ptr::null();
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

    /// The program is about to enter, and publishes all entries up to `tail`, or has published them.
    pub(crate) fn before_enter(&mut self, tail: Option<u32>) {
        self.note_thread();
        // The tail first: what was pushed after a completion was taken comes later in the record.
        let published = self.load(self.queues.sq_tail, Ordering::Acquire);
        let tail = tail.unwrap_or(published);
        self.look();
        self.scan(tail);
    }

    /// The enter came back.
    pub(crate) fn after_enter(&mut self, to_submit: u32, min_complete: u32, result: i32) {
        let head = self.head();
        // More than was looked at was handed over by another thread's enter, or is liburing's own (the timeout of a wait).
        if head.wrapping_sub(self.scanned).cast_signed() > 0 {
            self.scan(head);
        }
        let count = head.wrapping_sub(self.taken);
        if self.may_poison() {
            for position in 0..count.min(self.queues.sq_entries) {
                self.poison(self.taken.wrapping_add(position));
            }
        }
        self.taken = head;
        let taken = i32::try_from(count).unwrap_or(i32::MAX);
        if taken > 0 {
            self.hooks
                .entered(to_submit.max(count), min_complete, taken);
        } else {
            // What it took was recorded by another thread's look.
            let (offered, result) = if result > 0 {
                (0, 0)
            } else {
                (to_submit, result)
            };
            self.hooks.entered(offered, min_complete, result);
        }
        self.look();
        self.note_overflow();
    }

    /// Looks at what the kernel did meanwhile.
    pub(crate) fn look(&mut self) {
        let head = self.head();
        let taken = head.wrapping_sub(self.taken);
        // Not what nobody looked at yet: that is another thread's, which is in its enter.
        if taken > 0 && self.scanned.wrapping_sub(head).cast_signed() >= 0 {
            self.taken = head;
            let count = i32::try_from(taken).unwrap_or(i32::MAX);
            self.hooks.entered(taken, 0, count);
        }
        self.reap();
    }

    /// Takes the poison out of all slots: the ring is not followed any more.
    pub(crate) fn let_go(&mut self) {
        for slot in 0..self.queues.sq_entries {
            // SAFETY: the slot lies within the mapping, and `&mut self` is alone.
            unsafe { self.hooks.released(slot, self.entry(slot)) };
        }
    }

    fn note_thread(&mut self) {
        let me = kernel::thread();
        match self.entered {
            Entered::Never => self.entered = Entered::By(me),
            Entered::By(thread) if thread == me => {}
            Entered::By(_) => {
                self.entered = Entered::ByMany;
                // Published entries are looked at before they go in; all others are made whole now.
                let tail = self.load(self.queues.sq_tail, Ordering::Acquire);
                self.scan(tail);
                self.let_go();
            }
            Entered::ByMany => {}
        }
    }

    fn may_poison(&self) -> bool {
        matches!(self.entered, Entered::By(_))
    }

    /// The slot of an entry's position; nothing where the program put a number into the queue that is none.
    fn slot(&self, position: u32) -> Option<u32> {
        let index = position & self.queues.sq_entries.wrapping_sub(1);
        if self.queues.sq_array.is_null() {
            return Some(index);
        }
        // SAFETY: the array has `sq_entries` words, a power of two.
        let word = unsafe { self.queues.sq_array.add(index as usize) };
        let slot = self.load(word, Ordering::Relaxed);
        (slot < self.queues.sq_entries).then_some(slot)
    }

    fn entry(&self, slot: u32) -> *mut Entry {
        self.queues
            .sqes
            .wrapping_add((slot as usize) << self.queues.sqe_shift)
    }

    /// Records the entries up to a position.
    fn scan(&mut self, tail: u32) {
        let count = tail.wrapping_sub(self.scanned);
        if count > self.queues.sq_entries {
            // The program moved the tail back, or by more than there is room for.
            if count.cast_signed() > 0 {
                preload::lost(u64::from(count));
                self.scanned = tail;
            }
            return;
        }
        for _ in 0..count {
            match self.slot(self.scanned) {
                Some(slot) => {
                    let entry = self.entry(slot);
                    // SAFETY: the slot lies within the mapping; the program has published the entry and leaves
                    // it alone until the kernel took it; `&mut self` is alone with the hooks.
                    unsafe {
                        self.hooks.submitting(slot, entry);
                        preload::watch(&*entry);
                    }
                }
                None => preload::lost(1),
            }
            self.scanned = self.scanned.wrapping_add(1);
        }
    }

    fn poison(&mut self, position: u32) {
        if let Some(slot) = self.slot(position) {
            // SAFETY: the slot lies within the mapping; `&mut self` is alone with the hooks.
            unsafe { self.hooks.consumed(slot, self.entry(slot)) };
        }
    }

    /// Records the completions that lie in the queue.
    fn reap(&mut self) {
        let entries = self.queues.cq_entries;
        // Acquire pairs with the kernel's Release: who sees the tail also sees what is before it.
        let tail = self.load(self.queues.cq_tail, Ordering::Acquire);
        let missed = tail.wrapping_sub(self.seen).saturating_sub(entries);
        if tail.wrapping_sub(self.seen).cast_signed() <= 0 {
            return;
        }
        preload::lost(u64::from(missed));
        self.seen = self.seen.wrapping_add(missed);
        while self.seen != tail {
            let index = (self.seen & entries.wrapping_sub(1)) as usize;
            let place = self
                .queues
                .cqes
                .wrapping_add(index << self.queues.cqe_shift);
            // SAFETY: within the mapping; the kernel may write there once more, which shows in the tail.
            let [cookie, result] = unsafe { core::ptr::read_volatile(place) };
            core::sync::atomic::fence(Ordering::Acquire);
            let now = self.load(self.queues.cq_tail, Ordering::Relaxed);
            if now.wrapping_sub(self.seen) > entries {
                preload::lost(1);
            } else {
                let (res, flags) = (result as u32, (result >> 32) as u32);
                self.hooks.reaped(cookie, res.cast_signed(), flags);
            }
            self.seen = self.seen.wrapping_add(1);
        }
    }

    fn note_overflow(&mut self) {
        if self.load(self.queues.sq_flags, Ordering::Relaxed) & CQ_OVERFLOW == 0 {
            self.overflow = 0;
            return;
        }
        let count = self.load(self.queues.cq_overflow, Ordering::Relaxed).max(1);
        if self.overflow != count {
            self.overflow = count;
            self.hooks.overflowed(u64::from(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    /// Memory at whose end nothing is mapped: a look beyond it ends the test by a signal.
    fn fenced(bytes: usize) -> *mut u8 {
        #[cfg(target_arch = "x86_64")]
        const MPROTECT: i64 = 10;
        #[cfg(target_arch = "aarch64")]
        const MPROTECT: i64 = 226;
        let whole = bytes.next_multiple_of(PAGE);
        let start = kernel::map(None, whole + PAGE).unwrap();
        let fence = start as usize + whole;
        // SAFETY: the last page of the mapping just made.
        let closed = unsafe { kernel::call(MPROTECT as _, [fence, PAGE, 0, 0, 0, 0]) };
        assert_eq!(closed, 0);
        start.wrapping_add(whole - bytes)
    }

    /// A generator that is the same everywhere (xorshift).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, end: u64) -> u64 {
            self.next() % end
        }
    }

    /// Begins a recording in this process, so that the hooks behind the looks do all that they ever do.
    fn record() {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            use std::os::unix::fs::PermissionsExt;
            let folder = std::env::temp_dir().join(format!("tracer-follow-{}", std::process::id()));
            std::fs::create_dir(&folder).unwrap();
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&folder, mode.clone()).unwrap();
            let session = folder.join("session");
            std::fs::write(&session, "protocol=1\nchunks=16\nmode=ring\n").unwrap();
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&session, mode).unwrap();
            // SAFETY: no other test of this crate looks at the environment.
            unsafe { std::env::set_var("TRACER_DIR", &folder) };
            preload::is_shim();
            probe::mark("it records");
            let files = std::fs::read_dir(&folder).unwrap().count();
            assert_eq!(files, 2, "a session and a process's file");
            std::fs::remove_dir_all(&folder).unwrap();
        });
    }

    #[test]
    fn whatever_a_program_writes_into_its_queues_nothing_beyond_them_is_looked_at() {
        record();
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for _ in 0..300 {
            let (sq, cq) = (1u32 << random.below(6), 1u32 << random.below(7));
            let (sqe_shift, cqe_shift) = (random.below(2) as u32, random.below(2) as u32);
            let words = fenced(6 * 4).cast::<AtomicU32>();
            let word = |index: usize| words.wrapping_add(index).cast_const();
            let array = fenced(sq as usize * 4).cast::<AtomicU32>();
            let sqes = fenced((sq as usize * 64) << sqe_shift);
            let cqes = fenced((cq as usize * 16) << cqe_shift);
            let queues = Queues {
                sq_head: word(0),
                sq_tail: word(1),
                sq_flags: word(2),
                sq_array: if random.below(3) == 0 {
                    core::ptr::null()
                } else {
                    array
                },
                sqes: sqes.cast(),
                sq_entries: sq,
                sqe_shift,
                cq_tail: word(3),
                cq_overflow: word(4),
                cqes: cqes.cast_const().cast(),
                cq_entries: cq,
                cqe_shift,
                lent: [(0, 0); 2],
            };
            let made = Made {
                fd: -1,
                number: 1,
                setup: random.next() as u32,
                features: 0,
            };
            // SAFETY: the memory is nobody else's, and stays.
            let mut ring = unsafe { Followed::new(queues, made) };
            for _ in 0..200 {
                // Mostly what a program may do: a few entries, a few completions; else anything.
                let index = random.below(5) as usize;
                let value = match random.below(4) {
                    0 => random.next() as u32,
                    _ => {
                        // SAFETY: one of the words above.
                        let now = unsafe { (*word(index)).load(Ordering::Relaxed) };
                        now.wrapping_add(random.below(5) as u32)
                    }
                };
                // SAFETY: as above; an entry lies within its queue.
                unsafe {
                    (*word(index)).store(value, Ordering::Relaxed);
                    let place = random.below(u64::from(sq)) as usize;
                    (*array.wrapping_add(place)).store(random.below(40) as u32, Ordering::Relaxed);
                    let entry = sqes.wrapping_add(place << (6 + sqe_shift));
                    let field = random.below(8) as usize;
                    entry.cast::<u64>().wrapping_add(field).write(random.next());
                }
                match random.below(6) {
                    0 => ring.before_enter(Some(random.next() as u32)),
                    1 | 2 => ring.before_enter(None),
                    3 => ring.look(),
                    4 => ring.after_enter(random.below(9) as u32, 0, random.next() as i32),
                    _ => ring.after_enter(1, 1, 1),
                }
            }
            ring.let_go();
            // No poison stays behind in any slot.
            for slot in 0..sq {
                // SAFETY: within the queue.
                let cookie = unsafe { (*ring.entry(slot))[4] };
                assert_ne!(cookie >> 32, 0xFEED_5EED, "slot {slot}");
            }
        }
    }
}
