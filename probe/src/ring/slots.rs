//! Rings that are filled in place: what is known of a slot between its claim and its submission, and the poison
//! that proves that nobody set its cookie.

use std::panic::Location;
use std::sync::atomic::Ordering;

use wire::payload::{Submit, pair};
use wire::record::{CookieState, Kind as Record};

use super::{Entry, Ring, USER_DATA};
#[cfg(feature = "c")]
use crate::foreign::AsPlace;
use crate::recorder::{self, Poison};
use crate::sanitizer;

/// High half of every poison word; the low half is ring, lap and slot. Not a user-space address.
const POISON: u64 = 0xFEED_5EED_0000_0000;

/// In the place of a [`Poison`]: a ring whose program copied poison, which is put back and never written again.
const LET_GO: u8 = u8::MAX;

/// Whether a word looks like poison.
#[inline(always)]
pub(super) fn looks_poisoned(word: u64) -> bool {
    word >> 32 == POISON >> 32
}

/// With the shim, what each look touches lies in one line of the processor's cache.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "preload", repr(C, align(64)))]
pub(super) struct Slot {
    claimed: bool,
    pub(super) poisoned: bool,
    /// Whether an earlier lap was seen to go in, so that the leftover is an operation's cookie.
    pub(super) used: bool,
    /// Counts the cookies that poison was put over, and stands in it.
    lap: u8,
    /// Whether poison of this lap was written: a copy of it may be anywhere.
    pub(super) told: bool,
    site: u32,
    /// The newest of them, by lap: poison may have been copied before the slot was filled again.
    held: [u64; 4],
    /// The entry that went in last, as the kernel saw it.
    #[cfg(feature = "preload")]
    pub(super) went_in: Entry,
}

impl Slot {
    /// What it held before it was poisoned.
    #[inline(always)]
    pub(super) fn leftover(&self) -> u64 {
        self.held[usize::from(self.lap % 4)]
    }

    /// It holds another cookie.
    #[inline(always)]
    pub(super) fn holds(&mut self, cookie: u64) {
        if core::mem::take(&mut self.told) {
            self.lap = self.lap.wrapping_add(1);
        }
        self.held[usize::from(self.lap % 4)] = cookie;
    }

    /// An entry goes in with a cookie that is no poison: what is known of it.
    #[cfg(feature = "preload")]
    #[inline(always)]
    pub(super) fn goes_in(&mut self, cookie: u64) -> CookieState {
        self.used = true;
        self.holds(cookie);
        if core::mem::take(&mut self.poisoned) {
            CookieState::Set
        } else {
            CookieState::Unknown
        }
    }

    /// Its poison, which stands for [`Slot::leftover`].
    #[inline(always)]
    pub(super) fn poison(&self, id: u32, slot: u32) -> u64 {
        POISON | u64::from(id & 0xFF) << 24 | u64::from(self.lap) << 16 | u64::from(slot & 0xFFFF)
    }
}

/// Puts a cookie in the place of poison that a program copied out of another slot, or carried through its own memory.
/// Says whether it did. What is a slot's own poison still is left to whoever judges that.
#[cold]
pub(super) fn put_back_copied(
    slots: &[Slot],
    id: u32,
    slot: u32,
    entry: &mut Entry,
    keeps: bool,
) -> bool {
    let word = entry[USER_DATA];
    let own = slots.get(slot as usize);
    if own.is_some_and(|own| (own.poisoned || keeps) && word == own.poison(id, slot)) {
        return false;
    }
    let Some(cookie) = stands_for(slots, id, word) else {
        return false;
    };
    entry[USER_DATA] = cookie;
    true
}

/// The cookie that poison of any of a ring's slots stands for, where a program copied it. Nothing where the word is no
/// such poison, was never written there, or the slot was filled too often since.
#[cold]
pub(super) fn stands_for(slots: &[Slot], id: u32, word: u64) -> Option<u64> {
    let slot = slots.get(usize::from(word as u16))?;
    let lap = (word >> 16) as u8;
    let is_ours = looks_poisoned(word) && (word >> 24) as u8 == id as u8;
    let is_kept = usize::from(slot.lap.wrapping_sub(lap)) < slot.held.len();
    // Where no such word was written it is another ring's, whose number has the same low byte.
    let was_told = slot.told || (slot.used && lap != slot.lap);
    (is_ours && is_kept && was_told).then(|| slot.held[usize::from(lap % 4)])
}

impl Ring {
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
        let poison = self.poison.load(Ordering::Relaxed);
        if poison == Poison::Off as u8 || poison == LET_GO {
            // SAFETY: the caller's promise.
            known.holds(unsafe { (*entry)[USER_DATA] });
            return;
        }
        // SAFETY: the caller's promise.
        let user_data = unsafe { &mut (*entry)[USER_DATA] };
        if *user_data != known.poison(id, slot) {
            known.holds(*user_data);
        }
        (known.poisoned, known.told) = (true, true);
        *user_data = known.poison(id, slot);
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
            let may_be_poisoned = || {
                let poison = self.poison.load(Ordering::Relaxed);
                poison == Poison::Restore as u8 || poison == LET_GO
            };
            if recorder::COMPILED_IN && may_be_poisoned() {
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
        let id = self.id.load(Ordering::Relaxed);
        // SAFETY: the caller's promise.
        let user_data = unsafe { &mut (*entry)[USER_DATA] };
        if looks_poisoned(*user_data) {
            // The slot's own, or copied out of another one.
            *user_data = stands_for(slots, id, *user_data).unwrap_or(*user_data);
        }
        if let Some(known) = slots.get_mut(slot as usize) {
            known.poisoned = false;
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
        let keeps = self.poison.load(Ordering::Relaxed) == Poison::Keep as u8;
        if looks_poisoned(entry[USER_DATA]) {
            let copied = put_back_copied(slots, id, slot, entry, keeps);
            if copied && !keeps {
                // A program that copies entries may do so as often as it likes: no more laps for its copies.
                self.poison.store(LET_GO, Ordering::Relaxed);
            }
        }
        if let Some(known) = slots.get_mut(slot as usize) {
            site = known.site;
            let cookie = entry[USER_DATA];
            state = if known.poisoned && cookie == known.poison(id, slot) {
                if !keeps {
                    entry[USER_DATA] = known.leftover();
                }
                if known.used {
                    CookieState::Poisoned
                } else {
                    CookieState::NeverWritten
                }
            } else if known.poisoned {
                CookieState::Set
            } else if known.claimed && known.used && cookie == known.leftover() {
                // The same word may have been written again: observed, not proved.
                CookieState::Leftover
            } else {
                CookieState::Unknown
            };
            known.poisoned = false;
            known.claimed = false;
            known.used = true;
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
}
