//! Hooks for a ring of the program's own making, and poison for its submission slots.
//!
//! A ring that fills its slots in place calls [`Ring::claimed`] when it hands a slot out,
//! [`Ring::submitting`] for each slot before it publishes the tail, [`Ring::entered`] when
//! `io_uring_enter` returned, and [`Ring::reaped`] for each completion it takes.
//!
//! Poison proves a forgotten `user_data`: a claimed slot gets a word that no program writes; if it is
//! still there at submission, nobody set the cookie. Before the kernel sees the slot the leftover of
//! the previous lap is put back, so that the program behaves as it would have. Both happen between
//! claim and publication, while the program owns the slot, so that no kernel thread can race.

use std::cell::UnsafeCell;
use std::panic::Location;
#[cfg(feature = "preload")]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

pub use wire::record::RingKind as Kind;

use wire::payload::{LeakSubmit, Submit, pair};
use wire::record::{CookieState, Kind as Record};

#[cfg(feature = "c")]
use crate::foreign::AsPlace;
use crate::index::Table;
use crate::pointer::{FromAddress, typed};
use crate::recorder::{self, Poison};
use crate::sanitizer;

static LAST: AtomicU32 = AtomicU32::new(0);

/// A submission's record has 16 bits for its ring.
const MAX_RINGS: u32 = 0xFFFF;
/// In place of a ring's number: it came too late to get one.
const NOT_RECORDED: u32 = u32::MAX;

/// Word of a submission entry that holds `user_data`.
const USER_DATA: usize = 4;
/// High half of every poison word; the low half is ring and slot. Not a user-space address.
const POISON: u64 = 0xFEED_5EED_0000_0000;

fn poison_word(id: u32, slot: u32) -> u64 {
    POISON | u64::from(id & 0xFFFF) << 16 | u64::from(slot & 0xFFFF)
}

/// One submission entry, as eight words.
pub type Entry = [u64; 8];

/// A ring as the trace knows it. Dropping it records that the ring is gone: drop it before the
/// descriptor is closed.
#[derive(Debug)]
pub struct Ring {
    /// 0 until the first record about it.
    id: AtomicU32,
    kind: Kind,
    fd: i32,
    sq_entries: u32,
    cq_entries: u32,
    setup: u32,
    features: u32,
    /// Entries seen by `submitting` or `pushed`.
    submitted: AtomicU32,
    /// Entries that the kernel took, as far as `entered` was told.
    consumed: AtomicU32,
    /// The recording's way with poison, as a number; known from `introduce` on.
    poison: AtomicU8,
    /// What is known of each slot that was claimed, for rings that are filled in place. Touched only
    /// by `claimed` and `submitting`, whose callers promise that they are alone.
    slots: UnsafeCell<Vec<Slot>>,
}

// SAFETY: all fields but `slots` are atomics or never change; `slots` is touched only under the
// promise of `claimed` and `submitting` that no other thread is in one of them.
unsafe impl Sync for Ring {}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    claimed: bool,
    poisoned: bool,
    /// Whether an earlier lap was seen to go in, so that the leftover is an operation's cookie.
    used: bool,
    leftover: u64,
    site: u32,
}

/// Whether this is a ring's number.
#[inline(always)]
fn has_number(id: u32) -> bool {
    id.wrapping_sub(1) < MAX_RINGS
}

/// Whether this is a ring's number, and one that a completion's header has room for.
#[inline(always)]
fn is_narrow(id: u32) -> bool {
    id.wrapping_sub(1) < 254
}

impl Ring {
    /// A ring was made: sizes of its queues, `IORING_SETUP_*` and `IORING_FEAT_*` bits.
    pub fn created(
        kind: Kind,
        fd: i32,
        sq_entries: u32,
        cq_entries: u32,
        setup: u32,
        features: u32,
    ) -> Ring {
        let mut ring = Ring::unheard_of(kind);
        ring.fd = fd;
        ring.sq_entries = sq_entries;
        ring.cq_entries = cq_entries;
        ring.setup = setup;
        ring.features = features;
        if recorder::recording() {
            ring.known();
        }
        ring
    }

    /// A ring that its first record will introduce.
    pub(crate) const fn unheard_of(kind: Kind) -> Ring {
        Ring {
            id: AtomicU32::new(0),
            kind,
            fd: -1,
            sq_entries: 0,
            cq_entries: 0,
            setup: 0,
            features: 0,
            submitted: AtomicU32::new(0),
            consumed: AtomicU32::new(0),
            poison: AtomicU8::new(Poison::Off as u8),
            slots: UnsafeCell::new(Vec::new()),
        }
    }

    /// Its number, and whether it was given only now. Nothing for a ring that is not recorded.
    #[inline]
    pub(crate) fn number(&self) -> Option<(u32, bool)> {
        let is_new = self.id.load(Ordering::Relaxed) == 0;
        self.known().map(|id| (id, is_new))
    }

    /// Number in the trace; 0 while nothing was recorded about it.
    pub fn id(&self) -> u32 {
        if recorder::recording() {
            self.known().unwrap_or(0)
        } else {
            0
        }
    }

    /// Gives the ring its number, and records its making if that was not done: it may have been made
    /// before recording began. Nothing for a ring that is not recorded.
    #[inline]
    fn known(&self) -> Option<u32> {
        match self.id.load(Ordering::Relaxed) {
            0 => self.introduce(),
            NOT_RECORDED => None,
            id => Some(id),
        }
    }

    #[cold]
    fn introduce(&self) -> Option<u32> {
        let id = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if id > MAX_RINGS {
            self.id.store(NOT_RECORDED, Ordering::Relaxed);
            crate::mark("a ring is not recorded: this process made more than 65,535 of them");
            return None;
        }
        self.poison
            .store(recorder::poison() as u8, Ordering::Relaxed);
        let words = [
            pair(id, self.fd as u32),
            pair(self.sq_entries, self.cq_entries),
            pair(self.setup, self.features),
        ];
        // First the record, then the number: what others record about the ring comes later.
        recorder::record(Record::RingCreate, 0, self.kind as u8, words);
        match self
            .id
            .compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => Some(id),
            Err(other) => {
                // Another thread was faster: this number never was a ring.
                recorder::record(Record::RingDrop, 0, 0, [u64::from(id)]);
                (other != NOT_RECORDED).then_some(other)
            }
        }
    }

    /// A slot was handed out to be filled. Remembers its leftover and poisons it.
    ///
    /// # Safety
    ///
    /// - `entry` points to the slot's 64 bytes, which the caller may write: the kernel has consumed the
    ///   slot's last lap, and no other thread fills it.
    /// - No other thread is in `claimed` or `submitting` of this ring: whoever fills a submission queue
    ///   is alone with it.
    #[inline]
    #[track_caller]
    pub unsafe fn claimed(&self, slot: u32, entry: *mut Entry) {
        let at = Location::caller();
        if recorder::recording() {
            // SAFETY: the caller's promise.
            unsafe { self.claim(slot, entry, || recorder::site(at)) }
        }
    }

    /// As [`Ring::claimed`], at a place of another language.
    ///
    /// # Safety
    ///
    /// As for [`Ring::claimed`].
    #[cfg(feature = "c")]
    pub unsafe fn claimed_at(&self, slot: u32, entry: *mut Entry, place: &impl AsPlace) {
        if recorder::recording() {
            // SAFETY: the caller's promise.
            unsafe { self.claim(slot, entry, || recorder::foreign::site(place)) }
        }
    }

    /// # Safety
    ///
    /// As for [`Ring::claimed`].
    unsafe fn claim(&self, slot: u32, entry: *mut Entry, site: impl FnOnce() -> u32) {
        let Some(id) = self.known() else { return };
        // SAFETY: the caller is alone in here.
        let slots = unsafe { &mut *self.slots.get() };
        if slots.is_empty() {
            slots.resize(self.sq_entries as usize, Slot::default());
        }
        let Some(known) = slots.get_mut(slot as usize) else {
            return;
        };
        recorder::record(Record::Claim, 0, 0, [pair(id, slot)]);
        known.site = site();
        known.claimed = true;
        if self.poison.load(Ordering::Relaxed) == Poison::Off as u8 {
            // SAFETY: the caller's promise.
            known.leftover = unsafe { (*entry)[USER_DATA] };
            return;
        }
        let word = poison_word(id, slot);
        // SAFETY: the caller's promise.
        let user_data = unsafe { &mut (*entry)[USER_DATA] };
        if *user_data != word {
            known.leftover = *user_data;
        }
        known.poisoned = true;
        *user_data = word;
    }

    /// The kernel took the entry in this slot, and nobody was seen to claim it yet: for who sees a ring only at
    /// its enters. Poisons the slot, unless its cookie is not the one that went in with [`Ring::submitting`] any
    /// more: then somebody fills it already.
    ///
    /// # Safety
    ///
    /// - `entry` points to the slot's 64 bytes, which are mapped.
    /// - No other thread is in `consumed`, `released` or `submitting` of this ring.
    #[cfg(feature = "preload")]
    pub unsafe fn consumed(&self, slot: u32, entry: *mut Entry) {
        let id = self.id.load(Ordering::Relaxed);
        if !recorder::recording()
            || !has_number(id)
            || self.poison.load(Ordering::Relaxed) == Poison::Off as u8
        {
            return;
        }
        // SAFETY: the caller is alone in here.
        let slots = unsafe { &mut *self.slots.get() };
        let Some(known) = slots.get_mut(slot as usize).filter(|known| known.used) else {
            return;
        };
        // SAFETY: the word lies within the entry and is aligned; the program may write it at the same time.
        let cookie = unsafe { AtomicU64::from_ptr(&raw mut (*entry)[USER_DATA]) };
        let (relaxed, word) = (Ordering::Relaxed, poison_word(id, slot));
        let poisoned = cookie.compare_exchange(known.leftover, word, relaxed, relaxed);
        // A slot may stand twice in the queue: then it is poisoned already.
        known.poisoned = match poisoned {
            Ok(_) => true,
            Err(now) => known.poisoned && now == word,
        };
    }

    /// Takes the poison of [`Ring::consumed`] out of a slot, if it is still there.
    ///
    /// # Safety
    ///
    /// As for [`Ring::consumed`].
    #[cfg(feature = "preload")]
    pub unsafe fn released(&self, slot: u32, entry: *mut Entry) {
        // SAFETY: the caller is alone in here.
        let slots = unsafe { &mut *self.slots.get() };
        let Some(known) = slots.get_mut(slot as usize).filter(|known| known.poisoned) else {
            return;
        };
        known.poisoned = false;
        let word = poison_word(self.id.load(Ordering::Relaxed), slot);
        // SAFETY: as in `consumed`.
        let cookie = unsafe { AtomicU64::from_ptr(&raw mut (*entry)[USER_DATA]) };
        let relaxed = Ordering::Relaxed;
        let _ = cookie.compare_exchange(word, known.leftover, relaxed, relaxed);
    }

    /// Makes room for what is known of slots, which [`Ring::claimed`] would do.
    #[cfg(feature = "preload")]
    pub fn remember_slots(&mut self) {
        let slots = self.slots.get_mut();
        if self.id.load(Ordering::Relaxed) != 0 && slots.is_empty() {
            slots.resize(self.sq_entries as usize, Slot::default());
        }
    }

    /// An entry is about to be published. Call it once for each, in the order of the queue.
    ///
    /// # Safety
    ///
    /// As for [`Ring::claimed`]: the tail was not moved past this slot yet.
    #[inline]
    pub unsafe fn submitting(&self, slot: u32, entry: *mut Entry) {
        if recorder::recording() {
            // SAFETY: the caller's promise.
            unsafe { self.submit(slot, entry) }
        } else {
            self.count_submission();
            if recorder::COMPILED_IN && self.poison.load(Ordering::Relaxed) == Poison::Restore as u8
            {
                // SAFETY: the caller's promise.
                unsafe { self.put_back(slot, entry) }
            }
        }
        // Last, when the entry is as the kernel will see it.
        if sanitizer::present() {
            // SAFETY: the caller's promise.
            self.tell_sanitizers(unsafe { &*entry });
        }
    }

    /// Takes poison out of a slot that was claimed before the recording ended.
    ///
    /// # Safety
    ///
    /// As for [`Ring::submitting`].
    #[cold]
    unsafe fn put_back(&self, slot: u32, entry: *mut Entry) {
        // SAFETY: the caller is alone in here.
        let slots = unsafe { &mut *self.slots.get() };
        let Some(known) = slots.get_mut(slot as usize).filter(|known| known.poisoned) else {
            return;
        };
        known.poisoned = false;
        let id = self.id.load(Ordering::Relaxed);
        // SAFETY: the caller's promise.
        let user_data = unsafe { &mut (*entry)[USER_DATA] };
        if *user_data == poison_word(id, slot) {
            *user_data = known.leftover;
        }
    }

    /// # Safety
    ///
    /// As for [`Ring::submitting`].
    unsafe fn submit(&self, slot: u32, entry: *mut Entry) {
        let Some(id) = self.known() else {
            self.count_submission();
            return;
        };
        // SAFETY: the caller is alone in here.
        let slots = unsafe { &mut *self.slots.get() };
        // SAFETY: the caller's promise.
        let entry = unsafe { &mut *entry };
        let mut state = CookieState::Unknown;
        let mut site = 0;
        if let Some(known) = slots.get_mut(slot as usize) {
            site = known.site;
            let cookie = entry[USER_DATA];
            let word = poison_word(id, slot);
            state = if known.poisoned && cookie == word {
                if self.poison.load(Ordering::Relaxed) != Poison::Keep as u8 {
                    entry[USER_DATA] = known.leftover;
                }
                if known.used {
                    CookieState::Poisoned
                } else {
                    CookieState::NeverWritten
                }
            } else if known.poisoned {
                CookieState::Set
            } else if known.claimed && known.used && cookie == known.leftover {
                // The same word may have been written again: observed, not proved.
                CookieState::Leftover
            } else {
                CookieState::Unknown
            };
            known.poisoned = false;
            known.claimed = false;
            known.used = true;
            if cfg!(feature = "preload") && entry[USER_DATA] != word {
                known.leftover = entry[USER_DATA];
            }
        }
        let sequence = self.count_submission();
        let (ring, slot, aux) = (id as u16, slot as u16, state as u8);
        if Submit::is_short(entry) {
            let words = Submit::short_payload(entry, ring, slot, sequence, site);
            recorder::record(Record::Submit, 0, aux, words);
        } else {
            crate::memory::watch_entry(entry);
            if Submit::has_no_file_index(entry) {
                let words = Submit::payload(entry, ring, slot, sequence, site);
                recorder::record(Record::Submit, 0, aux, words);
            } else {
                let words = Submit::whole_payload(entry, ring, slot, sequence, site);
                recorder::record(Record::Submit, 0, aux, words);
            }
        }
    }

    /// Sequence number of the next entry. A submission queue is filled by one thread at a time, so a
    /// load and a store do; a locked add would cost more than the rest of the record.
    #[inline]
    fn count_submission(&self) -> u32 {
        if !recorder::COMPILED_IN {
            return 0;
        }
        let sequence = self.submitted.load(Ordering::Relaxed);
        self.submitted
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        sequence
    }

    /// Sanitizers hear of an entry, and of its free, whether something is recorded or not.
    fn tell_sanitizers(&self, entry: &Entry) {
        sanitizer::submitted(self.fd, entry);
        crate::memory::watch_entry(entry);
    }

    /// A whole entry was copied into the next slot, as the `io-uring` crate does it. Call it before the
    /// tail is published.
    #[inline(always)]
    #[track_caller]
    pub fn pushed(&self, entry: &Entry) {
        let sequence = self.count_submission();
        if sanitizer::present() {
            self.tell_sanitizers(entry);
        }
        if !recorder::recording() {
            return;
        }
        let (id, at) = (self.id.load(Ordering::Relaxed), Location::caller());
        if has_number(id) && Submit::is_short(entry) {
            let place = self.place(id, sequence);
            let [cookie, head, origin] = [entry[USER_DATA], entry[0], entry[5]];
            recorder::record_at(
                Record::Submit,
                CookieState::Unknown as u8,
                at,
                move |site| [cookie, place, head, Submit::origin(site, origin)],
            );
        } else {
            // A copy: whose address is taken must lie in memory, here and for the copy into the slot.
            let copy = *entry;
            self.pushed_any(&copy, sequence, at);
        }
    }

    /// [`Ring::pushed`], for rings that have no number yet and entries that are not short.
    #[inline(never)]
    fn pushed_any(&self, entry: &Entry, sequence: u32, at: &'static Location<'static>) {
        let Some(id) = self.known() else { return };
        let (ring, slot) = (id as u16, self.slot(sequence));
        let aux = CookieState::Unknown as u8;
        if Submit::is_short(entry) {
            recorder::record_at(Record::Submit, aux, at, move |site| {
                Submit::short_payload(entry, ring, slot, sequence, site as u32)
            });
        } else {
            crate::memory::watch_entry(entry);
            if Submit::has_no_file_index(entry) {
                recorder::record_at(Record::Submit, aux, at, move |site| {
                    Submit::payload(entry, ring, slot, sequence, site as u32)
                });
            } else {
                recorder::record_at(Record::Submit, aux, at, move |site| {
                    Submit::whole_payload(entry, ring, slot, sequence, site as u32)
                });
            }
        }
    }

    /// As [`Ring::pushed`], where the entry's `user_data` is the raw pointer of an owner of kind `P` that
    /// leaves with it: the leak and the submission in one record. The pointer comes from the owner's
    /// own `into_raw`, not from [`crate::into_raw`], which would record the leak a second time.
    #[inline(always)]
    #[track_caller]
    pub fn pushed_with_leak<P: FromAddress>(&self, entry: &Entry) {
        let sequence = self.count_submission();
        if sanitizer::present() {
            self.tell_sanitizers(entry);
        }
        if !recorder::recording() {
            return;
        }
        crate::memory::watch(entry[USER_DATA]);
        let (id, at) = (self.id.load(Ordering::Relaxed), Location::caller());
        if has_number(id) && LeakSubmit::is_short(entry) {
            let (place, cookie, head) = (self.place(id, sequence), entry[USER_DATA], entry[0]);
            let (flags, aux) = (P::OWNER as u8, CookieState::Unknown as u8);
            recorder::record_typed(
                Record::LeakSubmit,
                flags,
                aux,
                typed::<P>(),
                at,
                move |origin| [cookie, place, head, origin],
            );
        } else {
            let copy = *entry;
            self.pushed_with_leak_any::<P>(&copy, sequence, at);
        }
    }

    /// [`Ring::pushed_with_leak`], for rings that have no number yet and entries that are not short.
    #[inline(never)]
    fn pushed_with_leak_any<P: FromAddress>(
        &self,
        entry: &Entry,
        sequence: u32,
        at: &'static Location<'static>,
    ) {
        let Some(id) = self.known() else {
            // What has no ring is a leak all the same.
            let (kind, cookie) = (Record::Leak, entry[USER_DATA]);
            let words = move |origin| [cookie, origin];
            recorder::record_typed(kind, 0, P::OWNER as u8, typed::<P>(), at, words);
            return;
        };
        let place = self.place(id, sequence);
        let (kind, flags) = (Record::LeakSubmit, P::OWNER as u8);
        let aux = CookieState::Unknown as u8;
        if LeakSubmit::is_short(entry) {
            let words = |origin| LeakSubmit::short_payload(entry, place, origin);
            recorder::record_typed(kind, flags, aux, typed::<P>(), at, words);
        } else {
            crate::memory::watch_entry(entry);
            let words = |origin| LeakSubmit::payload(entry, place, origin);
            recorder::record_typed(kind, flags, aux, typed::<P>(), at, words);
        }
    }

    /// Slot of an entry that was copied into the queue.
    #[inline(always)]
    fn slot(&self, sequence: u32) -> u16 {
        (sequence & self.sq_entries.wrapping_sub(1)) as u16
    }

    /// Where an entry lies, as the word of its record.
    #[inline(always)]
    fn place(&self, id: u32, sequence: u32) -> u64 {
        Submit::place(id as u16, self.slot(sequence), sequence)
    }

    /// As [`Ring::pushed`], at a place of another language.
    #[cfg(feature = "c")]
    pub fn pushed_at(&self, entry: &Entry, place: &impl AsPlace) {
        let sequence = self.count_submission();
        if sanitizer::present() {
            self.tell_sanitizers(entry);
        }
        if recorder::recording()
            && let Some(ring) = self.known()
        {
            let slot = (sequence & self.sq_entries.wrapping_sub(1)) as u16;
            let site = recorder::foreign::site(place);
            let words = Submit::whole_payload(entry, ring as u16, slot, sequence, site);
            recorder::record(Record::Submit, 0, CookieState::Unknown as u8, words);
        }
    }

    /// `io_uring_enter` returned: how many submissions it was offered, how many completions it waited
    /// for, and its result (a negative error number where it failed).
    // Always inlined, so that it sees where the caller's frame ends, without optimisation too.
    #[inline(always)]
    pub fn entered(&self, to_submit: u32, min_complete: u32, result: i32) {
        if recorder::COMPILED_IN
            && let Ok(consumed) = u32::try_from(result)
        {
            self.consumed.fetch_add(consumed, Ordering::Relaxed);
        }
        if recorder::recording()
            && let Some(id) = self.known()
        {
            // First: what the kernel took just now lay in a frame that had returned.
            recorder::frames::look();
            let words = [pair(id, to_submit), pair(min_complete, result as u32)];
            recorder::record(Record::Enter, 0, 0, words);
        }
    }

    /// Submissions that were seen and not consumed yet. Without the feature `record` nobody counts, and it
    /// is 0.
    #[inline]
    pub fn unsubmitted(&self) -> u32 {
        if !recorder::COMPILED_IN {
            return 0;
        }
        self.submitted
            .load(Ordering::Relaxed)
            .wrapping_sub(self.consumed.load(Ordering::Relaxed))
    }

    /// The program took a completion.
    #[inline]
    pub fn reaped(&self, cookie: u64, res: i32, flags: u32) {
        self.reaped_words(cookie, pair(res as u32, flags));
    }

    /// As [`Ring::reaped`], for programs that do not take completions in the order of the queue, or that
    /// move its head later: `index` is the completion's, not masked (the head, for the first one). A completion
    /// that is taken twice is then seen.
    #[inline]
    pub fn reaped_at(&self, index: u32, cookie: u64, res: i32, flags: u32) {
        let result = pair(res as u32, flags);
        sanitizer::completed(self.fd, cookie, result);
        if recorder::recording()
            && let Some(id) = self.known()
        {
            recorder::record(Record::CompleteAt, 0, 0, [cookie, result, pair(id, index)]);
        }
    }

    /// As [`Ring::reaped`], with the result and the flags as they stand in the queue.
    #[inline(always)]
    pub(crate) fn reaped_words(&self, cookie: u64, result: u64) {
        sanitizer::completed(self.fd, cookie, result);
        if !recorder::recording() {
            return;
        }
        let id = self.id.load(Ordering::Relaxed);
        if is_narrow(id) {
            recorder::record(Record::Complete, 0, id as u8, [cookie, result]);
        } else {
            self.reaped_any(cookie, result);
        }
    }

    /// [`Ring::reaped_words`], for rings that have no number yet and for the 255th and later ones.
    #[cold]
    #[inline(never)]
    fn reaped_any(&self, cookie: u64, result: u64) {
        let Some(id) = self.known() else { return };
        if is_narrow(id) {
            recorder::record(Record::Complete, 0, id as u8, [cookie, result]);
        } else {
            recorder::record(Record::Complete, 0, 255, [cookie, result, u64::from(id)]);
        }
    }

    /// As [`Ring::reaped`], where the cookie is the raw pointer of an owner of kind `P` that is taken back
    /// now: the completion and the reclaim in one record. The owner is rebuilt by its own `from_raw`,
    /// not by [`crate::from_raw`].
    #[inline(always)]
    #[track_caller]
    pub fn reaped_with_reclaim<P: FromAddress>(&self, cookie: u64, res: i32, flags: u32) {
        self.reaped_words_with_reclaim::<P>(cookie, pair(res as u32, flags), Location::caller());
    }

    /// As [`Ring::reaped_with_reclaim`], with the result and the flags as they stand in the queue.
    #[inline(always)]
    pub(crate) fn reaped_words_with_reclaim<P: FromAddress>(
        &self,
        cookie: u64,
        result: u64,
        at: &'static Location<'static>,
    ) {
        sanitizer::completed(self.fd, cookie, result);
        if !recorder::recording() {
            return;
        }
        let id = self.id.load(Ordering::Relaxed);
        if is_narrow(id) {
            let words = move |origin| [cookie, result, origin];
            let (kind, owner) = (Record::CompleteReclaim, P::OWNER as u8);
            recorder::record_typed(kind, owner, id as u8, typed::<P>(), at, words);
        } else {
            self.reaped_with_reclaim_any::<P>(cookie, result, at);
        }
    }

    /// [`Ring::reaped_words_with_reclaim`], for rings that have no number yet and for the 255th and later
    /// ones.
    #[cold]
    #[inline(never)]
    fn reaped_with_reclaim_any<P: FromAddress>(
        &self,
        cookie: u64,
        result: u64,
        at: &'static Location<'static>,
    ) {
        let (kind, owner) = (Record::CompleteReclaim, P::OWNER as u8);
        match self.known() {
            Some(id) if is_narrow(id) => {
                let words = move |origin| [cookie, result, origin];
                recorder::record_typed(kind, owner, id as u8, typed::<P>(), at, words);
            }
            Some(id) => {
                let words = move |origin| [cookie, result, origin, u64::from(id)];
                recorder::record_typed(kind, owner, 255, typed::<P>(), at, words);
            }
            None => {
                let words = move |origin| [cookie, origin];
                recorder::record_typed(Record::Reclaim, 0, owner, typed::<P>(), at, words);
            }
        }
    }

    /// The kernel keeps this many completions that found no room in the queue; 1 where it only says that there
    /// are some (`IORING_SQ_CQ_OVERFLOW`), 0 when there are none any more.
    #[inline]
    pub fn overflowed(&self, count: u64) {
        if recorder::recording()
            && let Some(id) = self.known()
        {
            recorder::record(Record::Overflow, 0, 0, [u64::from(id), count]);
        }
    }

    /// Declares how this ring's cookies are to be read. Without a declaration the recording itself has
    /// to prove that they are pointers (some were leaked).
    pub fn cookies(&self, scheme: Cookies) {
        // The numbers of `traces::scheme`.
        let (number, parameter) = match scheme {
            Cookies::Pointers => (1, 0),
            Cookies::TaggedPointers { tag_mask } => (2, tag_mask),
            Cookies::Indices => (3, 0),
            Cookies::KeysOf(table) => (3, table.tag()),
        };
        self.declare(number, parameter);
    }

    /// Declares a cookie that stands for nothing in particular, such as 0 or `u64::MAX`: operations
    /// whose completions the program takes and ignores.
    pub fn sentinel(&self, cookie: u64) {
        self.declare(5, cookie);
    }

    fn declare(&self, scheme: u64, parameter: u64) {
        if recorder::recording()
            && let Some(id) = self.known()
        {
            // 0 would mean all rings.
            recorder::record(Record::Scheme, 0, 0, [u64::from(id) + 1, scheme, parameter]);
        }
    }

    /// From here on what this thread submits to this ring belongs to one part of the program, and so do the
    /// completions that it takes; an empty name stands for nobody, or for all. Where several parts share a ring, a
    /// completion that the wrong one took is then seen.
    #[inline]
    pub fn owner(&self, name: &str) {
        if recorder::recording()
            && let Some(id) = self.known()
        {
            let name = recorder::text(name);
            recorder::record(Record::OwnerLabel, 0, 0, [pair(id, name)]);
        }
    }

    /// As [`Ring::owner`], of a name in another language.
    #[cfg(feature = "c")]
    pub fn owner_of_bytes(&self, name: &[u8]) {
        if recorder::recording()
            && let Some(id) = self.known()
        {
            let name = recorder::foreign::text(name);
            recorder::record(Record::OwnerLabel, 0, 0, [pair(id, name)]);
        }
    }

    /// Operations of this ring carry this cookie several at a time, on purpose.
    pub fn shared(&self, cookie: u64) {
        if recorder::recording() && self.known().is_some() {
            recorder::record(Record::Shared, 0, 0, [cookie]);
        }
    }
}

/// How to read the cookies of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cookies {
    /// Pointers, as they are.
    Pointers,
    /// Pointers that carry a tag in these bits.
    TaggedPointers {
        /// Bits that do not belong to the pointer.
        tag_mask: u64,
    },
    /// Indices of a table, the only one whose indices travel in this process.
    Indices,
    /// Keys of this table.
    KeysOf(Table),
}

impl Drop for Ring {
    fn drop(&mut self) {
        sanitizer::dropped(self.fd);
        let id = *self.id.get_mut();
        if recorder::recording() && id != 0 && id != NOT_RECORDED {
            recorder::record(Record::RingDrop, 0, 0, [u64::from(id)]);
        }
    }
}
