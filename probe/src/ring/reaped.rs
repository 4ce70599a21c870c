//! Completions that the program took, alone or with the owner that comes back with them.

use std::panic::Location;
use std::sync::atomic::Ordering;

use wire::payload::pair;
use wire::record::Kind as Record;

use super::Ring;
use crate::pointer::{FromAddress, typed};
use crate::recorder;
use crate::sanitizer;

/// Whether this is a ring's number, and one that a completion's header has room for.
#[inline(always)]
pub(super) fn is_narrow(id: u32) -> bool {
    id.wrapping_sub(1) < 254
}

impl Ring {
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
}
