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

/// High half of every poison word; the low half is ring and slot. Not a user-space address.
const POISON: u64 = 0xFEED_5EED_0000_0000;

pub(super) fn poison_word(id: u32, slot: u32) -> u64 {
    POISON | u64::from(id & 0xFFFF) << 16 | u64::from(slot & 0xFFFF)
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    claimed: bool,
    pub(super) poisoned: bool,
    /// Whether an earlier lap was seen to go in, so that the leftover is an operation's cookie.
    pub(super) used: bool,
    pub(super) leftover: u64,
    site: u32,
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
