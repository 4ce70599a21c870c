//! Whole queues of a ring at once, for who sees them only when the ring is entered: the shim.
//!
//! What is the same for all entries of a look is asked once. Nobody claims a slot here: one is poisoned when the kernel
//! took its entry, if nobody filled it meanwhile.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use wire::payload::{Submit, other, pair};
use wire::record::{CookieState, Kind as Record};

use super::reaped::is_narrow;
use super::slots::{Slot, looks_poisoned, put_back_copied, stands_for};
use super::{Entry, Ring, USER_DATA, has_number};
use crate::recorder::{self, Look, Poison, Row};

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

/// What is recorded of an entry: its first six words.
pub type Words = [u64; 6];

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
    /// calls `seen` with each as the kernel will see it. Poison that is not this ring's is what `elsewhere` says. Whether
    /// the caller poisons slots of this ring, or no more.
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
        (from, count): (u32, u32),
        may_poison: bool,
        elsewhere: impl Fn(u64) -> Option<u64>,
        mut seen: impl FnMut(Words),
    ) -> Odd {
        let Some(id) = self.recorded_as() else {
            // SAFETY: the caller's promise.
            return unsafe { self.published_unrecorded(queue, from, count, &elsewhere) };
        };
        // SAFETY: the caller is alone in here.
        let slots = unsafe { (*self.slots.get()).as_mut_slice() };
        let is_poisoning = may_poison && self.poison.load(Ordering::Relaxed) != Poison::Off as u8;
        // Whether it has to be known what went in.
        let mut learns = is_poisoning && !self.sets_cookies.load(Ordering::Relaxed);
        let mut sequence = self.submitted.load(Ordering::Relaxed);
        let mut odd = Odd::default();
        let mut row = look.row();
        let mut step = 0;
        // The queue of a child that was forked in here may be its parent's.
        while step < count && self.id.load(Ordering::Relaxed) == id {
            // SAFETY: the caller's promise.
            let slot = unsafe { queue.slot(from.wrapping_add(step)) };
            step += 1;
            let Some(slot) = slot else {
                odd.nowhere += 1;
                continue;
            };
            let at = queue.entry(slot);
            // Each word that is recorded is read once: it is what the next entry is compared with, whatever a program does
            // that writes where it must not.
            // SAFETY: the caller's promise.
            let word = move |index: usize| unsafe { at.cast::<u64>().add(index).read_volatile() };
            let mut cookie = word(USER_DATA);
            let mut state = CookieState::Unknown;
            if looks_poisoned(cookie) {
                // SAFETY: the caller's promise.
                let entry = unsafe { &mut *at };
                let known = self.put_back_poison(slots, id, slot, entry, &elsewhere);
                state = known.0;
                odd.copied += u32::from(known.1);
                cookie = entry[USER_DATA];
            } else if let Some(known) = slots.get_mut(slot as usize) {
                state = known.goes_in(cookie);
                if learns {
                    // SAFETY: the caller's promise.
                    learns = self.learn(known, state, unsafe { &*at });
                }
            }
            let entry = [word(0), word(1), word(2), word(3), cookie, word(5)];
            let place = Submit::place(id as u16, slot as u16, sequence);
            let is_wanted = || self.id.load(Ordering::Relaxed) == id;
            let is_base = record_first(&mut row, look, &entry, place, state, is_wanted);
            sequence = sequence.wrapping_add(1);
            seen(entry);
            if step < count && is_base && !learns {
                let rest = (from.wrapping_add(step), count - step);
                let next = slot.wrapping_add(1);
                let known = slots.get_mut(next as usize..).unwrap_or(&mut []);
                // SAFETY: the caller's promise.
                let recorded =
                    unsafe { record_next(row, queue, rest, next, known, &entry, &mut seen) };
                row = recorded.0;
                step += recorded.1;
                sequence = sequence.wrapping_add(recorded.1);
            }
        }
        look.end_row(&row);
        self.submitted.store(sequence, Ordering::Relaxed);
        odd
    }

    /// [`Ring::published`], where nothing is recorded.
    ///
    /// # Safety
    ///
    /// As for [`Ring::published`].
    #[cold]
    #[inline(never)]
    unsafe fn published_unrecorded(
        &self,
        queue: Submissions,
        from: u32,
        count: u32,
        elsewhere: impl Fn(u64) -> Option<u64>,
    ) -> Odd {
        let mut odd = Odd::default();
        for step in 0..count {
            // SAFETY: the caller's promise.
            let Some(slot) = (unsafe { queue.slot(from.wrapping_add(step)) }) else {
                odd.nowhere += 1;
                continue;
            };
            let entry = queue.entry(slot);
            // SAFETY: the caller's promise.
            unsafe { self.submitting(slot, entry) };
            // Copies of what was poisoned while there was a recording.
            // SAFETY: the caller's promise.
            let entry = unsafe { &mut *entry };
            let own = self.id.load(Ordering::Relaxed);
            if looks_poisoned(entry[USER_DATA]) && put_back_foreign(own, entry, &elsewhere) {
                odd.copied += 1;
            }
        }
        odd
    }

    /// While no cookie was seen to be set: what went in, so that it is known again. Whether that goes on.
    #[cold]
    #[inline(never)]
    fn learn(&self, known: &mut Slot, state: CookieState, entry: &Entry) -> bool {
        known.went_in = *entry;
        let sets = state == CookieState::Set;
        if sets {
            self.sets_cookies.store(true, Ordering::Relaxed);
        }
        !sets
    }

    /// Takes out poison that an entry goes in with. What is known of its cookie then, and whether the program copied it
    /// out of a slot that was poisoned.
    #[cold]
    #[inline(never)]
    fn put_back_poison(
        &self,
        slots: &mut [Slot],
        id: u32,
        slot: u32,
        entry: &mut Entry,
        elsewhere: impl Fn(u64) -> Option<u64>,
    ) -> (CookieState, bool) {
        let keeps = self.poison.load(Ordering::Relaxed) == Poison::Keep as u8;
        let is_copied = put_back_copied(slots, id, slot, entry, keeps)
            || put_back_foreign(id, entry, &elsewhere);
        let mut state = if is_copied {
            CookieState::Set
        } else {
            CookieState::Unknown
        };
        let Some(known) = slots.get_mut(slot as usize) else {
            return (state, is_copied);
        };
        let word = known.poison(id, slot);
        if entry[USER_DATA] != word {
            let set = known.goes_in(entry[USER_DATA]);
            self.learn(known, set, entry);
            return (if is_copied { state } else { set }, is_copied);
        }
        known.used = true;
        if known.poisoned {
            known.poisoned = false;
            state = CookieState::Poisoned;
            if !keeps {
                entry[USER_DATA] = known.leftover();
                let sets = self.sets_cookies.load(Ordering::Relaxed);
                if !sets && *entry == known.went_in {
                    state = CookieState::Leftover;
                }
            }
        }
        if !keeps {
            known.holds(entry[USER_DATA]);
        }
        known.went_in = *entry;
        (state, is_copied)
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
        let how = (id, keeps, is_alone);
        if count == 1 {
            // SAFETY: the caller's promise.
            unsafe { poison_one(slots, &queue, from, how) };
        } else {
            // SAFETY: the caller's promise.
            unsafe { poison_all(slots, queue, (from, count), how) };
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

    /// Its number, where its completions are recorded and it fits into a header; else 0.
    #[inline(always)]
    pub fn narrow(&self) -> u32 {
        let id = self.recorded_as();
        id.filter(|id| is_narrow(*id)).unwrap_or(0)
    }

    /// A completion lies in the queue of the ring, of which [`Ring::narrow`] said something: cookie, and result with flags,
    /// which is left out where it is 0.
    #[inline(always)]
    pub fn completed(
        &self,
        narrow: u32,
        row: &mut Row,
        look: &mut Look,
        [cookie, result]: [u64; 2],
    ) {
        let what = (Record::Complete, 0, narrow as u8);
        let is_wanted = || self.id.load(Ordering::Relaxed) == narrow;
        if narrow == 0 {
            *row = self.completed_widely(*row, look, [cookie, result]);
        } else if result == 0 {
            row.record(look, what, [cookie], is_wanted);
        } else {
            row.record(look, what, [cookie, result], is_wanted);
        }
    }

    /// [`Ring::completed`], for the 255th ring and later ones.
    #[cold]
    #[inline(never)]
    fn completed_widely(&self, mut row: Row, look: &mut Look, [cookie, result]: [u64; 2]) -> Row {
        if let Some(id) = self.recorded_as()
            && !is_narrow(id)
        {
            let what = (Record::Complete, 0, 255);
            let is_wanted = || self.id.load(Ordering::Relaxed) == id;
            row.record(look, what, [cookie, result, u64::from(id)], is_wanted);
        }
        row
    }

    /// As [`Ring::entered`], by who is not called from the frame of the program.
    #[inline(always)]
    pub fn was_entered(
        &self,
        row: &mut Row,
        look: &mut Look,
        (to_submit, min_complete, result): (u32, u32, i32),
    ) {
        if let Some(id) = self.recorded_as() {
            let words = [pair(id, to_submit), pair(min_complete, result as u32)];
            row.record(look, (Record::Enter, 0, 0), words, || true);
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

/// Poisons the slots at `count` positions from one on.
///
/// # Safety
///
/// As for [`Ring::consumed`].
#[inline(never)]
unsafe fn poison_all(
    slots: &mut [Slot],
    queue: Submissions,
    (from, count): (u32, u32),
    how: (u32, bool, bool),
) {
    for step in 0..count {
        // SAFETY: the caller's promise.
        unsafe { poison_one(slots, &queue, from.wrapping_add(step), how) };
    }
}

/// Poisons the slot at a position, if what went in was seen and is still there.
///
/// # Safety
///
/// As for [`Ring::consumed`].
#[inline(always)]
unsafe fn poison_one(
    slots: &mut [Slot],
    queue: &Submissions,
    position: u32,
    (id, keeps, is_alone): (u32, bool, bool),
) {
    // SAFETY: the caller's promise.
    let slot = unsafe { queue.slot(position) };
    let known = slot.and_then(|slot| Some((slot, slots.get_mut(slot as usize)?)));
    let Some((slot, known)) = known.filter(|(_, known)| known.used) else {
        return;
    };
    let entry = queue.entry(slot);
    // SAFETY: the word lies within the entry and is aligned; the program may write it at the same time.
    let cookie = unsafe { AtomicU64::from_ptr(&raw mut (*entry)[USER_DATA]) };
    let word = known.poison(id, slot);
    // A slot may stand twice in the queue: then it is poisoned already.
    match recorder::alone::exchange(is_alone, cookie, known.leftover(), word) {
        Ok(_) => (known.poisoned, known.told) = (true, true),
        // With poison that is kept, that of the lap before may be there still.
        Err(now) => known.poisoned = (known.poisoned || keeps) && now == word,
    }
}

/// Records an entry by itself. Whether the next one can be told by what it differs in from it: not where it found no room,
/// and was recorded in another chunk, or by nobody.
#[inline(always)]
fn record_first(
    row: &mut Row,
    look: &mut Look,
    entry: &Words,
    place: u64,
    state: CookieState,
    is_wanted: impl Fn() -> bool,
) -> bool {
    let [head, off, addr, lengths, cookie, sixth] = *entry;
    if off | addr | lengths | sixth == 0 {
        let is_base = row.has_room(3);
        let what = (Record::Submit, 0, state as u8);
        row.record(look, what, [cookie, place, head], is_wanted);
        return is_base;
    }
    let recorded = record_whole(*row, look, *entry, place, state, is_wanted);
    *row = recorded.0;
    recorded.1
}

/// [`record_first`], for what has more words. Those that are 0 at its end are left out.
#[inline(never)]
fn record_whole(
    mut row: Row,
    look: &mut Look,
    [head, off, addr, lengths, cookie, sixth]: Words,
    place: u64,
    state: CookieState,
    is_wanted: impl Fn() -> bool,
) -> (Row, bool) {
    let (origin, file_index) = (Submit::origin(0, sixth), sixth >> 32);
    let words = [cookie, place, head, origin, addr, lengths, off, file_index];
    let last = words.iter().rposition(|word| *word != 0);
    let count = 1 + last.unwrap_or(0);
    let is_base = row.has_room(count);
    let what = (Record::Submit, 0, state as u8);
    row.record_some(look, what, (&words, count), is_wanted);
    (row, is_base)
}

/// Records the entries that follow one in the next slots, as what they differ in. It ends before one of which more is to
/// be said than that somebody set its cookie, and where the room does. How many they were.
///
/// # Safety
///
/// As for [`Ring::published`].
#[inline(never)]
unsafe fn record_next(
    row: Row,
    queue: Submissions,
    (from, count): (u32, u32),
    first: u32,
    slots: &mut [Slot],
    before: &Words,
    mut seen: impl FnMut(Words),
) -> (Row, u32) {
    // Of its own, so that it need not lie in memory.
    let mut row = row.again();
    let mut last = *before;
    let mut done = 0;
    let mut at = queue.entry(first).cast::<u64>();
    let mut slots = slots.iter_mut();
    loop {
        // Each may differ in all of its words, and as a rule does not: then there is room for more.
        let some = ((count - done) as usize).min(row.room() / (2 + other::WORDS.len()));
        if some.min(slots.len()) == 0 {
            break;
        }
        let before = done;
        for known in slots.by_ref().take(some) {
            // SAFETY: the caller's promise.
            let slot = unsafe { queue.slot(from.wrapping_add(done)) };
            if slot != Some(first.wrapping_add(done)) {
                break;
            }
            // SAFETY: the caller's promise: that slot's.
            let word = move |index: usize| unsafe { at.add(index).read_volatile() };
            let (head, off, addr, lengths) = (word(0), word(1), word(2), word(3));
            let (cookie, sixth) = (word(USER_DATA), word(5));
            if looks_poisoned(cookie) {
                break;
            }
            let aux = known.goes_in(cookie) as u8;
            let is_alike = head == last[0]
                && off == last[1]
                && addr == last[2]
                && lengths == last[3]
                && sixth == last[5];
            if is_alike {
                row.write_next(Record::SubmitNext, 0, aux, &[cookie]);
            } else {
                let entry = [head, off, addr, lengths, cookie, sixth];
                row = record_different(row, entry, last, aux);
                last = entry;
            }
            seen([head, off, addr, lengths, cookie, sixth]);
            at = at.wrapping_add((size_of::<Entry>() / 8) << queue.shift);
            done += 1;
        }
        if done - before != some as u32 {
            break;
        }
    }
    row.count(done);
    (row, done)
}

/// Records an entry as what it differs in from the one before it, for all of which there is room.
#[inline(never)]
fn record_different(mut row: Row, entry: Words, before: Words, aux: u8) -> Row {
    let flags = Submit::differences(&entry, &before);
    let [head, off, addr, lengths, cookie, sixth] = entry;
    let mut words = [cookie, 0, 0, 0, 0, 0];
    let mut count = 1;
    let mut say = |flag: u8, word: u64| {
        if let Some(place) = words.get_mut(count) {
            *place = word;
        }
        count += usize::from(flags & flag != 0);
    };
    say(other::HEAD, head);
    say(other::ADDR, addr);
    say(other::LENGTHS, lengths);
    say(other::OFF, off);
    say(other::SIXTH, sixth);
    let payload = words.get(..count).unwrap_or(&words);
    row.write_next(Record::SubmitNext, flags, aux, payload);
    row
}
