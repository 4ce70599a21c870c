//! Entries that were copied into the queue whole, alone or with the owner that leaves with them.

use std::panic::Location;
use std::sync::atomic::Ordering;

use wire::payload::{LeakSubmit, Submit};
use wire::record::{CookieState, Kind as Record};

use super::{Entry, Ring, USER_DATA, has_number};
#[cfg(feature = "c")]
use crate::foreign::AsPlace;
use crate::pointer::{FromAddress, typed};
use crate::recorder;
use crate::sanitizer;

impl Ring {
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
}
