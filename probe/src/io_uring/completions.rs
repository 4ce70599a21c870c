//! The queue out of the kernel: what is taken is noted, alone or with the owner that comes back with it.
//!
//! Holds `unsafe`: reads the bytes of an entry, and calls an owner's own `from_raw`.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::{Deref, DerefMut};

use super::{cqueue, inner};
use crate::pointer::FromAddress;
use crate::ring::Ring;

/// The completion queue, as `io_uring::CompletionQueue`.
// As `Submitter`.
#[repr(C)]
pub struct CompletionQueue<'a, C: cqueue::EntryMarker = cqueue::Entry> {
    pub(super) queue: inner::CompletionQueue<'a, C>,
    pub(super) hooks: &'a Ring,
}

/// The cookie, then result and flags.
#[inline(always)]
fn words_of_completion<C: cqueue::EntryMarker>(entry: &C) -> [u64; 2] {
    const {
        assert!(size_of::<C>() >= 16);
        assert!(align_of::<C>() >= align_of::<u64>());
    }
    // SAFETY: the trait is sealed to `Entry` and `Entry32`, both `repr(C)` and beginning with the
    // kernel's structure of 16 plain bytes: the cookie, then result and flags.
    unsafe { *std::ptr::from_ref(entry).cast::<[u64; 2]>() }
}

#[inline(always)]
fn note_completion<C: cqueue::EntryMarker>(hooks: &Ring, entry: &C) {
    let [cookie, result] = words_of_completion(entry);
    hooks.reaped_words(cookie, result);
}

impl<C: cqueue::EntryMarker> CompletionQueue<'_, C> {
    /// As `io_uring::CompletionQueue::is_empty`.
    // Here and not through `Deref`, so that it is not mistaken for one that iterators may get some day.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// As `io_uring::CompletionQueue::fill`.
    pub fn fill<'b>(&mut self, entries: &'b mut [MaybeUninit<C>]) -> &'b mut [C] {
        let filled = self.queue.fill(entries);
        for entry in filled.iter() {
            note_completion(self.hooks, entry);
        }
        filled
    }

    /// The next completion, not recorded yet: what becomes of it decides what the record says. Decide
    /// before anything else is done because of it, so that the trace has both in their order.
    #[inline(always)]
    pub fn reap(&mut self) -> Option<Reaped<'_, C>> {
        let entry = self.queue.next()?;
        let hooks = self.hooks;
        Some(Reaped { hooks, entry })
    }
}

/// A completion that was taken from the queue, and is recorded in one way or another: together with the
/// reclaim of its owner by [`Reaped::reclaim`], alone by [`Reaped::take`] or when it is dropped. One that
/// is forgotten (`mem::forget`) is not recorded.
#[must_use = "is recorded when it is dropped: say what becomes of it"]
pub struct Reaped<'q, C: cqueue::EntryMarker = cqueue::Entry> {
    hooks: &'q Ring,
    entry: C,
}

impl<C: cqueue::EntryMarker> Reaped<'_, C> {
    /// The `user_data` word, to decide by.
    pub fn cookie(&self) -> u64 {
        words_of_completion(&self.entry)[0]
    }

    /// The result, to decide by.
    pub fn result(&self) -> i32 {
        words_of_completion(&self.entry)[1] as u32 as i32
    }

    /// `IORING_CQE_F_*`, to decide by: with [`cqueue::more`] more completions will come, and the owner is
    /// not to be taken back.
    pub fn flags(&self) -> u32 {
        (words_of_completion(&self.entry)[1] >> 32) as u32
    }

    /// Records the completion alone.
    #[inline(always)]
    pub fn take(self) -> C {
        let this = ManuallyDrop::new(self);
        note_completion(this.hooks, &this.entry);
        this.entry.clone()
    }

    /// Takes back the owner whose raw pointer the cookie is. Completion and reclaim are one record.
    ///
    /// # Safety
    ///
    /// The cookie is what [`crate::Leak::address`] says of a raw pointer of `P`, by
    /// [`SubmissionQueue::push_owned`](super::SubmissionQueue::push_owned) or otherwise; and this ownership was not taken back yet.
    #[inline(always)]
    #[track_caller]
    pub unsafe fn reclaim<P: FromAddress>(self) -> (C, P) {
        let this = ManuallyDrop::new(self);
        let [cookie, result] = words_of_completion(&this.entry);
        let at = std::panic::Location::caller();
        this.hooks
            .reaped_words_with_reclaim::<P>(cookie, result, at);
        // SAFETY: the caller's promise.
        let owner = unsafe { P::from_raw(P::from_address(cookie)) };
        (this.entry.clone(), owner)
    }
}

impl<C: cqueue::EntryMarker> Drop for Reaped<'_, C> {
    #[inline]
    fn drop(&mut self) {
        note_completion(self.hooks, &self.entry);
    }
}

impl<C: cqueue::EntryMarker> Iterator for CompletionQueue<'_, C> {
    type Item = C;

    #[inline]
    fn next(&mut self) -> Option<C> {
        let entry = self.queue.next()?;
        note_completion(self.hooks, &entry);
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.queue.size_hint()
    }
}

impl<C: cqueue::EntryMarker> ExactSizeIterator for CompletionQueue<'_, C> {
    fn len(&self) -> usize {
        self.queue.len()
    }
}

impl<'a, C: cqueue::EntryMarker> Deref for CompletionQueue<'a, C> {
    type Target = inner::CompletionQueue<'a, C>;

    fn deref(&self) -> &Self::Target {
        &self.queue
    }
}

impl<C: cqueue::EntryMarker> DerefMut for CompletionQueue<'_, C> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.queue
    }
}
