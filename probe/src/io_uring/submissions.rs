//! The queue into the kernel: what is pushed is noted, alone or with the owner that leaves with it.
//!
//! Holds `unsafe`: passes on the crate's unsafe functions, and reads the bytes of an entry.

use std::ops::{Deref, DerefMut};

use super::{inner, squeue};
use crate::pointer::FromAddress;
use crate::recorder;
use crate::ring::{self, Ring};

/// The submission queue, as `io_uring::SubmissionQueue`.
// As `Submitter`.
#[repr(C)]
pub struct SubmissionQueue<'a, S: squeue::EntryMarker = squeue::Entry> {
    pub(super) queue: inner::SubmissionQueue<'a, S>,
    pub(super) hooks: &'a Ring,
}

/// Looks whether the kernel keeps completions that found no room: whoever sees that has to enter.
#[inline(always)]
pub(super) fn note_overflow<S: squeue::EntryMarker>(
    hooks: &Ring,
    queue: &inner::SubmissionQueue<'_, S>,
) {
    if recorder::recording() && queue.cq_overflow() {
        hooks.overflowed(1);
    }
}

/// The first 64 bytes of an entry: what every kind of submission entry begins with.
#[inline(always)]
fn words_of<S: squeue::EntryMarker>(entry: &S) -> &ring::Entry {
    const {
        assert!(size_of::<S>() >= size_of::<ring::Entry>());
        assert!(align_of::<S>() >= align_of::<u64>());
    }
    // SAFETY: the trait is sealed to `Entry` and `Entry128`, both `repr(C)` over the kernel's
    // structure of 64 plain bytes, all of them initialised; size and alignment are checked above, and
    // the reference lives no longer than the entry's.
    unsafe { &*std::ptr::from_ref(entry).cast::<ring::Entry>() }
}

impl<S: squeue::EntryMarker> SubmissionQueue<'_, S> {
    /// As `io_uring::SubmissionQueue::push`.
    ///
    /// # Safety
    ///
    /// As for the wrapped function.
    #[inline(always)]
    #[track_caller]
    pub unsafe fn push(&mut self, entry: &S) -> Result<(), squeue::PushError> {
        // SAFETY: the caller's promise.
        unsafe { self.queue.push(entry)? };
        // The kernel sees the entry when the tail is published: by `sync`, or when the queue is dropped.
        self.hooks.pushed(words_of(entry));
        Ok(())
    }

    /// As `io_uring::SubmissionQueue::push_multiple`.
    ///
    /// # Safety
    ///
    /// As for the wrapped function.
    #[track_caller]
    pub unsafe fn push_multiple(&mut self, entries: &[S]) -> Result<(), squeue::PushError> {
        // SAFETY: the caller's promise.
        unsafe { self.queue.push_multiple(entries)? };
        for entry in entries {
            self.hooks.pushed(words_of(entry));
        }
        Ok(())
    }
}

impl<S: squeue::EntryMarker> SubmissionQueue<'_, S> {
    /// Gives ownership away with an operation: turns `owner` into its raw pointer, which becomes the
    /// entry's `user_data`, and pushes the entry. The leak and the submission are one record. Take the
    /// owner back with [`Reaped::reclaim`](super::Reaped::reclaim), or with [`crate::from_raw`].
    ///
    /// # Errors
    ///
    /// The queue is full: nothing was pushed or recorded, and the error holds the owner.
    ///
    /// # Safety
    ///
    /// As for [`SubmissionQueue::push`].
    #[inline(always)]
    #[track_caller]
    pub unsafe fn push_owned<P: FromAddress>(
        &mut self,
        mut entry: S,
        owner: P,
    ) -> Result<(), Full<P>> {
        let raw = owner.into_raw();
        entry.set_user_data(P::address(raw));
        // SAFETY: the caller's promise.
        if unsafe { self.queue.push(&entry) }.is_err() {
            // SAFETY: given away above, and to nobody.
            let owner = unsafe { P::from_raw(raw) };
            return Err(Full { owner });
        }
        self.hooks.pushed_with_leak::<P>(words_of(&entry));
        Ok(())
    }
}

/// The submission queue has no room for an entry and the owner that was to go with it.
pub struct Full<P> {
    /// The owner, as it was.
    pub owner: P,
}

impl<P> std::fmt::Debug for Full<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Full")
    }
}

impl<P> std::fmt::Display for Full<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("submission queue is full")
    }
}

impl<P> std::error::Error for Full<P> {}

impl<S: squeue::EntryMarker> std::fmt::Debug for SubmissionQueue<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.queue.fmt(f)
    }
}

impl<'a, S: squeue::EntryMarker> Deref for SubmissionQueue<'a, S> {
    type Target = inner::SubmissionQueue<'a, S>;

    fn deref(&self) -> &Self::Target {
        &self.queue
    }
}

impl<S: squeue::EntryMarker> DerefMut for SubmissionQueue<'_, S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.queue
    }
}
