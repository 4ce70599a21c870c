//! Whole queues of a ring at once, for who sees them only when the ring is entered: the shim.
//!
//! What is the same for all entries of a look is asked once. Nobody claims a slot here: one is poisoned when the kernel
//! took its entry, if nobody filled it meanwhile.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use wire::payload::{Submit, pair};
use wire::record::{CookieState, Kind as Record};

use super::reaped::is_narrow;
use super::slots::{Slot, looks_poisoned, put_back_copied, stands_for};
use super::{Entry, Ring, USER_DATA, has_number};
use crate::recorder::{self, Look, Poison};

/// A submission queue, in memory that the kernel shares.
#[derive(Clone, Copy, Debug)]
pub struct Submissions {
    /// Slots of the entries in the queue; null where an entry's slot is its position.
    pub array: *const AtomicU32,
    /// The entries.
    pub entries: *mut Entry,
    /// How many there are: a power of two.
    pub count: u32,
    /// An entry takes `1 << shift` times 64 bytes.
    pub shift: u32,
}

impl Submissions {
    /// The slot of an entry's position; nothing where the program put a number into the queue that is none.
    ///
    /// # Safety
    ///
    /// The queue is mapped as it is described.
    #[inline(always)]
    pub unsafe fn slot(&self, position: u32) -> Option<u32> {
        let index = position & self.count.wrapping_sub(1);
        if self.array.is_null() {
            return Some(index);
        }
        // SAFETY: the array has `count` words, a power of two.
        let slot = unsafe { (*self.array.add(index as usize)).load(Ordering::Relaxed) };
        (slot < self.count).then_some(slot)
    }

    /// The entry in a slot.
    #[inline(always)]
    pub fn entry(&self, slot: u32) -> *mut Entry {
        self.entries.wrapping_add((slot as usize) << self.shift)
    }
}

/// What was odd about entries that were published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odd {
    /// Positions at which there is no entry.
    pub nowhere: u32,
    /// Entries with a cookie that the program copied out of a slot that was poisoned.
    pub copied: u32,
}

impl Ring {
    /// Nothing of it is recorded from here on: it is another process's.
    pub fn forget(&self) {
        self.id.store(super::NOT_RECORDED, Ordering::Relaxed);
    }

    /// Makes room for what is known of slots.
    pub fn remember_slots(&mut self) {
        let slots = self.slots.get_mut();
        if self.id.load(Ordering::Relaxed) != 0 && slots.is_empty() {
            slots.resize(self.sq_entries as usize, Slot::default());
        }
    }

    /// The program published the entries at `count` positions from one on. Takes out poison that is still there, and
    /// calls `seen` with each as the kernel will see it. Poison that is not this ring's is what `elsewhere` says.
    ///
    /// A cookie that nobody set proves nothing where the program fills its slots once and hands them over again and
    /// again: where no slot's cookie was ever seen to be set, and the entry is the very one that went in before.
    ///
    /// # Safety
    ///
    /// - The queue is mapped as it is described, and the kernel did not take these entries yet.
    /// - No other thread is in this or one of the following functions of this ring.
    #[inline(always)]
    pub unsafe fn published(
        &self,
        look: &mut Look,
        queue: Submissions,
        from: u32,
        count: u32,
        elsewhere: impl Fn(u64) -> Option<u64>,
        mut seen: impl FnMut(&Entry),
    ) -> Odd {
        let id = self.recorded_as();
        let keeps = self.poison.load(Ordering::Relaxed) == Poison::Keep as u8;
        // SAFETY: the caller is alone in here.
        let slots = unsafe { (*self.slots.get()).as_mut_slice() };
        let mut sequence = self.submitted.load(Ordering::Relaxed);
        let mut odd = Odd::default();
        for step in 0..count {
            // SAFETY: the caller's promise.
            let Some(slot) = (unsafe { queue.slot(from.wrapping_add(step)) }) else {
                odd.nowhere += 1;
                continue;
            };
            let entry = queue.entry(slot);
            let Some(id) = id else {
                // SAFETY: the caller's promise.
                unsafe { self.submitting(slot, entry) };
                // Copies of what was poisoned while there was a recording.
                // SAFETY: the caller's promise.
                let entry = unsafe { &mut *entry };
                let own = self.id.load(Ordering::Relaxed);
                if looks_poisoned(entry[USER_DATA]) && put_back_foreign(own, entry, &elsewhere) {
                    odd.copied += 1;
                }
                continue;
            };
            // SAFETY: the caller's promise.
            let entry = unsafe { &mut *entry };
            let mut state = CookieState::Unknown;
            if looks_poisoned(entry[USER_DATA])
                && (put_back_copied(slots, id, slot, entry, keeps)
                    || put_back_foreign(id, entry, &elsewhere))
            {
                odd.copied += 1;
                state = CookieState::Set;
            }
            if let Some(known) = slots.get_mut(slot as usize) {
                known.used = true;
                let word = known.poison(id, slot);
                if known.poisoned {
                    known.poisoned = false;
                    if entry[USER_DATA] != word {
                        state = CookieState::Set;
                        self.sets_cookies.store(true, Ordering::Relaxed);
                    } else if keeps {
                        state = CookieState::Poisoned;
                    } else {
                        entry[USER_DATA] = known.leftover();
                        let sets = self.sets_cookies.load(Ordering::Relaxed);
                        state = if !sets && *entry == known.went_in {
                            CookieState::Leftover
                        } else {
                            CookieState::Poisoned
                        };
                    }
                }
                if !keeps || entry[USER_DATA] != word {
                    known.holds(entry[USER_DATA]);
                }
                known.went_in = *entry;
            }
            // In a child that was forked in here the ring is forgotten, and the rest is the parent's to tell.
            if self.id.load(Ordering::Relaxed) != id {
                break;
            }
            record_entry(
                look,
                entry,
                Submit::place(id as u16, slot as u16, sequence),
                state,
            );
            sequence = sequence.wrapping_add(1);
            seen(entry);
        }
        if id.is_some() {
            self.submitted.store(sequence, Ordering::Relaxed);
        }
        odd
    }

    /// The cookie that poison of its slots stands for; nothing where the word is none of it. Copies of it outlive the
    /// recording.
    pub fn stands_for(&self, word: u64) -> Option<u64> {
        let id = self.id.load(Ordering::Relaxed);
        // SAFETY: whoever calls the functions above is alone with the ring, and so is who calls this.
        let slots = unsafe { (*self.slots.get()).as_slice() };
        has_number(id).then(|| stands_for(slots, id, word))?
    }

    /// Whether a completion carries poison although none was to reach the kernel: the program took it out of a slot in a
    /// way that was not seen.
    #[inline(always)]
    pub fn is_stray(&self, cookie: u64) -> bool {
        looks_poisoned(cookie) && self.poison.load(Ordering::Relaxed) == Poison::Restore as u8
    }

    /// The kernel took the entries at `count` positions from one on. Poisons each slot, unless its cookie is not the
    /// one that went in any more: then somebody fills it already.
    ///
    /// # Safety
    ///
    /// - As for [`Ring::published`], but that the kernel did take them.
    /// - With `is_alone` there is no other thread at all.
    #[inline(always)]
    pub unsafe fn consumed(&self, queue: Submissions, from: u32, count: u32, is_alone: bool) {
        let Some(id) = self.recorded_as() else { return };
        let poison = self.poison.load(Ordering::Relaxed);
        if poison == Poison::Off as u8 {
            return;
        }
        let keeps = poison == Poison::Keep as u8;
        // SAFETY: the caller is alone in here.
        let slots = unsafe { (*self.slots.get()).as_mut_slice() };
        for step in 0..count {
            // SAFETY: the caller's promise.
            let slot = unsafe { queue.slot(from.wrapping_add(step)) };
            let known = slot.and_then(|slot| Some((slot, slots.get_mut(slot as usize)?)));
            let Some((slot, known)) = known.filter(|(_, known)| known.used) else {
                continue;
            };
            let entry = queue.entry(slot);
            // SAFETY: the word lies within the entry and is aligned; the program may write it at the same time.
            let cookie = unsafe { AtomicU64::from_ptr(&raw mut (*entry)[USER_DATA]) };
            let word = known.poison(id, slot);
            // A slot may stand twice in the queue: then it is poisoned already.
            known.poisoned =
                match recorder::alone::exchange(is_alone, cookie, known.leftover(), word) {
                    Ok(_) => {
                        known.told = true;
                        true
                    }
                    // With poison that is kept, that of the lap before may be there still.
                    Err(now) => (known.poisoned || keeps) && now == word,
                };
        }
    }

    /// Takes the poison of [`Ring::consumed`] out of a slot, if it is still there.
    ///
    /// # Safety
    ///
    /// As for [`Ring::consumed`].
    pub unsafe fn released(&self, slot: u32, entry: *mut Entry) {
        // SAFETY: the caller is alone in here.
        let slots = unsafe { (*self.slots.get()).as_mut_slice() };
        let Some(known) = slots.get_mut(slot as usize).filter(|known| known.poisoned) else {
            return;
        };
        known.poisoned = false;
        let word = known.poison(self.id.load(Ordering::Relaxed), slot);
        // SAFETY: as in `consumed`.
        let cookie = unsafe { AtomicU64::from_ptr(&raw mut (*entry)[USER_DATA]) };
        let relaxed = Ordering::Relaxed;
        let _ = cookie.compare_exchange(word, known.leftover(), relaxed, relaxed);
    }

    /// A completion lies in the queue: cookie, and result with flags.
    #[inline(always)]
    pub fn completed(&self, look: &mut Look, [cookie, result]: [u64; 2]) {
        let id = self.id.load(Ordering::Relaxed);
        if !recorder::recording() {
        } else if is_narrow(id) {
            look.record(Record::Complete, 0, id as u8, [cookie, result]);
        } else if has_number(id) {
            look.record(Record::Complete, 0, 255, [cookie, result, u64::from(id)]);
        }
    }

    /// As [`Ring::entered`], by who is not called from the frame of the program.
    #[inline(always)]
    pub fn was_entered(&self, look: &mut Look, to_submit: u32, min_complete: u32, result: i32) {
        if let Some(id) = self.recorded_as() {
            let words = [pair(id, to_submit), pair(min_complete, result as u32)];
            look.record(Record::Enter, 0, 0, words);
        }
    }

    /// The kernel keeps this many completions that found no room in the queue, or none any more.
    pub fn has_overflown(&self, look: &mut Look, count: u64) {
        if let Some(id) = self.recorded_as() {
            look.record(Record::Overflow, 0, 0, [u64::from(id), count]);
        }
    }

    /// The head of its completion queue lies beyond the tail.
    #[cold]
    pub fn went_beyond(&self, look: &mut Look, count: u32) {
        if let Some(id) = self.recorded_as() {
            look.record(Record::Passed, 0, 0, [u64::from(id), u64::from(count)]);
        }
    }

    /// Its number, where it is recorded: a ring that the shim follows was introduced when it was made.
    #[inline(always)]
    fn recorded_as(&self) -> Option<u32> {
        let id = self.id.load(Ordering::Relaxed);
        (recorder::recording() && has_number(id)).then_some(id)
    }
}

/// Puts a cookie in the place of poison that a program copied out of another ring's slot. Says whether it did.
#[cold]
fn put_back_foreign(id: u32, entry: &mut Entry, elsewhere: impl Fn(u64) -> Option<u64>) -> bool {
    let word = entry[USER_DATA];
    if (word >> 24) as u8 == id as u8 {
        return false;
    }
    let Some(cookie) = elsewhere(word) else {
        return false;
    };
    entry[USER_DATA] = cookie;
    true
}

/// Records an entry at its place. Words that are 0 at its end are left out.
#[inline(always)]
fn record_entry(look: &mut Look, entry: &Entry, place: u64, state: CookieState) {
    let aux = state as u8;
    if entry[1] | entry[2] | entry[3] | entry[5] == 0 {
        look.record(Record::Submit, 0, aux, [entry[USER_DATA], place, entry[0]]);
    } else {
        record_whole(look, entry, place, aux);
    }
}

#[inline(never)]
fn record_whole(look: &mut Look, entry: &Entry, place: u64, aux: u8) {
    let origin = Submit::origin(0, entry[5]);
    let [head, off, addr, lengths, cookie, ..] = *entry;
    let words = [cookie, place, head, origin, addr, lengths, off];
    if Submit::has_no_file_index(entry) {
        look.record(Record::Submit, 0, aux, words);
    } else {
        let [a, b, c, d, e, f, g] = words;
        look.record(
            Record::Submit,
            0,
            aux,
            [a, b, c, d, e, f, g, entry[5] >> 32],
        );
    }
}
