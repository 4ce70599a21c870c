//! The `io-uring` crate under its own names, with every submission and completion recorded.
//!
//! Adoption is one line: `use probe::io_uring;`. Types that only describe (opcodes, entries,
//! parameters) are the crate's own; the ring, its two queues and its submitter are wrapped, and every
//! method that is not listed here is reached through `Deref`.
//!
//! Not seen: what goes around the wrapper, such as a [`Builder`] or ring that was made from the crate
//! directly; that completions found no room, where the queues are asked for with `submission_shared` and
//! `completion_shared` alone. With SQPOLL the kernel consumes entries by itself: they count as consumed when they are
//! pushed.
//!
//! Holds `unsafe`: passes on the crate's unsafe functions, and reads the bytes of an entry.

use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use io_uring as inner;

pub use inner::{CompletionStatus, EnterFlags, Parameters, Probe, opcode, register, types};

use crate::pointer::FromAddress;
use crate::recorder;
use crate::ring::{self, Ring};

/// Submission entries and their queue.
pub mod squeue {
    pub use super::SubmissionQueue;
    pub use super::inner::squeue::{Entry, Entry128, EntryMarker, Flags, PushError};
}

/// Completion entries and their queue.
pub mod cqueue {
    pub use super::CompletionQueue;
    pub use super::inner::cqueue::{
        CompletionStatus, Entry, Entry32, EntryMarker, buffer_more, buffer_select, more, notif,
        sock_nonempty,
    };
}

/// A ring, as `io_uring::IoUring`.
pub struct IoUring<S = squeue::Entry, C = cqueue::Entry>
where
    S: squeue::EntryMarker,
    C: cqueue::EntryMarker,
{
    // Dropped before the ring itself, so that the trace says that it goes before it is gone.
    hooks: Ring,
    ring: inner::IoUring<S, C>,
}

impl IoUring {
    /// As `io_uring::IoUring::new`.
    pub fn new(entries: u32) -> io::Result<Self> {
        inner::IoUring::new(entries).map(Self::wrap)
    }

    /// As `io_uring::IoUring::from_fd`.
    ///
    /// # Safety
    ///
    /// As for the wrapped function.
    pub unsafe fn from_fd(fd: RawFd, params: Parameters) -> io::Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { inner::IoUring::from_fd(fd, params) }.map(Self::wrap)
    }
}

impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> IoUring<S, C> {
    fn wrap(ring: inner::IoUring<S, C>) -> Self {
        let params = ring.params();
        let bit = |set: bool, bit: u32| if set { 1 << bit } else { 0 };
        // The numbers of `IORING_SETUP_*` and `IORING_FEAT_*` in the Linux user API.
        let setup = bit(params.is_setup_iopoll(), 0)
            | bit(params.is_setup_sqpoll(), 1)
            | bit(params.is_setup_single_issuer(), 12);
        let features = bit(params.is_feature_single_mmap(), 0)
            | bit(params.is_feature_nodrop(), 1)
            | bit(params.is_feature_submit_stable(), 2)
            | bit(params.is_feature_fast_poll(), 5)
            | bit(params.is_feature_skip_cqe_on_success(), 11);
        let hooks = Ring::created(
            ring::Kind::Copied,
            ring.as_raw_fd(),
            params.sq_entries(),
            params.cq_entries(),
            setup,
            features,
        );
        Self { hooks, ring }
    }

    /// As `io_uring::IoUring::builder`.
    pub fn builder() -> Builder<S, C> {
        Builder {
            builder: inner::IoUring::<S, C>::builder(),
        }
    }

    /// The ring in the trace: for its number, and for hooks of the program's own.
    pub fn hooks(&self) -> &Ring {
        &self.hooks
    }

    /// As `io_uring::IoUring::submitter`.
    pub fn submitter(&self) -> Submitter<'_> {
        Submitter {
            hooks: &self.hooks,
            submitter: self.ring.submitter(),
        }
    }

    /// As `io_uring::IoUring::submit`.
    #[inline(always)]
    pub fn submit(&self) -> io::Result<usize> {
        self.submitter().submit()
    }

    /// As `io_uring::IoUring::submit_and_wait`.
    #[inline(always)]
    pub fn submit_and_wait(&self, want: usize) -> io::Result<usize> {
        self.submitter().submit_and_wait(want)
    }

    /// As `io_uring::IoUring::split`.
    pub fn split(
        &mut self,
    ) -> (
        Submitter<'_>,
        SubmissionQueue<'_, S>,
        CompletionQueue<'_, C>,
    ) {
        let (submitter, submissions, completions) = self.ring.split();
        let hooks = &self.hooks;
        note_overflow(hooks, &submissions);
        (
            Submitter { hooks, submitter },
            SubmissionQueue {
                hooks,
                queue: submissions,
            },
            CompletionQueue {
                hooks,
                queue: completions,
            },
        )
    }

    /// As `io_uring::IoUring::submission`.
    pub fn submission(&mut self) -> SubmissionQueue<'_, S> {
        let (hooks, queue) = (&self.hooks, self.ring.submission());
        note_overflow(hooks, &queue);
        SubmissionQueue { hooks, queue }
    }

    /// As `io_uring::IoUring::submission_shared`.
    ///
    /// # Safety
    ///
    /// As for the wrapped function.
    pub unsafe fn submission_shared(&self) -> SubmissionQueue<'_, S> {
        // SAFETY: the caller's promise.
        let queue = unsafe { self.ring.submission_shared() };
        SubmissionQueue {
            hooks: &self.hooks,
            queue,
        }
    }

    /// As `io_uring::IoUring::completion`.
    pub fn completion(&mut self) -> CompletionQueue<'_, C> {
        if recorder::recording() {
            // The flag is the other queue's, which nobody else has now.
            note_overflow(&self.hooks, &self.ring.submission());
        }
        CompletionQueue {
            hooks: &self.hooks,
            queue: self.ring.completion(),
        }
    }

    /// As `io_uring::IoUring::completion_shared`.
    ///
    /// # Safety
    ///
    /// As for the wrapped function.
    pub unsafe fn completion_shared(&self) -> CompletionQueue<'_, C> {
        // SAFETY: the caller's promise.
        let queue = unsafe { self.ring.completion_shared() };
        CompletionQueue {
            hooks: &self.hooks,
            queue,
        }
    }
}

impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> Deref for IoUring<S, C> {
    type Target = inner::IoUring<S, C>;

    fn deref(&self) -> &Self::Target {
        &self.ring
    }
}

impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> AsRawFd for IoUring<S, C> {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> AsFd for IoUring<S, C> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring closes it when it is dropped, which the borrow does not outlive.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

/// Options of a new ring, as `io_uring::Builder`.
#[derive(Clone)]
pub struct Builder<S = squeue::Entry, C = cqueue::Entry>
where
    S: squeue::EntryMarker,
    C: cqueue::EntryMarker,
{
    builder: inner::Builder<S, C>,
}

macro_rules! options {
    ($($name:ident($($argument:ident: $type:ty)?);)*) => {
        impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> Builder<S, C> {
            $(
                #[doc = concat!("As `io_uring::Builder::", stringify!($name), "`.")]
                pub fn $name(&mut self $(, $argument: $type)?) -> &mut Self {
                    self.builder.$name($($argument)?);
                    self
                }
            )*

            /// As `io_uring::Builder::build`.
            pub fn build(&self, entries: u32) -> io::Result<IoUring<S, C>> {
                self.builder.build(entries).map(IoUring::wrap)
            }
        }
    };
}

options! {
    dontfork();
    setup_iopoll();
    setup_sqpoll(idle: u32);
    setup_sqpoll_cpu(cpu: u32);
    setup_cqsize(entries: u32);
    setup_clamp();
    setup_attach_wq(fd: RawFd);
    setup_r_disabled();
    setup_submit_all();
    setup_coop_taskrun();
    setup_taskrun_flag();
    setup_defer_taskrun();
    setup_single_issuer();
    setup_no_sqarray();
}

/// The way into the kernel, as `io_uring::Submitter`.
// The wrapped one first, at offset 0: without the feature `record` it is used by the same instructions as
// if nothing wrapped it.
#[repr(C)]
pub struct Submitter<'a> {
    submitter: inner::Submitter<'a>,
    hooks: &'a Ring,
}

impl Submitter<'_> {
    #[inline(always)]
    fn note(
        &self,
        to_submit: u32,
        min_complete: usize,
        result: io::Result<usize>,
    ) -> io::Result<usize> {
        if !recorder::COMPILED_IN {
            return result;
        }
        let code = match &result {
            Ok(consumed) => i32::try_from(*consumed).unwrap_or(i32::MAX),
            // Errors of the system call carry a number; -1 (EPERM's) stands for any other.
            Err(error) => -error.raw_os_error().unwrap_or(1),
        };
        self.hooks.entered(
            to_submit,
            u32::try_from(min_complete).unwrap_or(u32::MAX),
            code,
        );
        result
    }

    /// As `io_uring::Submitter::submit`.
    #[inline(always)]
    pub fn submit(&self) -> io::Result<usize> {
        self.submit_and_wait(0)
    }

    /// As `io_uring::Submitter::submit_and_wait`.
    #[inline(always)]
    pub fn submit_and_wait(&self, want: usize) -> io::Result<usize> {
        let offered = self.hooks.unsubmitted();
        self.note(offered, want, self.submitter.submit_and_wait(want))
    }

    /// As `io_uring::Submitter::submit_with_args`.
    #[inline(always)]
    pub fn submit_with_args(
        &self,
        want: usize,
        args: &types::SubmitArgs<'_, '_>,
    ) -> io::Result<usize> {
        let offered = self.hooks.unsubmitted();
        self.note(offered, want, self.submitter.submit_with_args(want, args))
    }

    /// As `io_uring::Submitter::enter`.
    ///
    /// # Safety
    ///
    /// As for the wrapped function.
    #[inline(always)]
    pub unsafe fn enter<T: Sized>(
        &self,
        to_submit: u32,
        min_complete: u32,
        flag: u32,
        arg: Option<&T>,
    ) -> io::Result<usize> {
        // SAFETY: the caller's promise.
        let result = unsafe { self.submitter.enter(to_submit, min_complete, flag, arg) };
        self.note(to_submit, min_complete as usize, result)
    }
}

impl<'a> Deref for Submitter<'a> {
    type Target = inner::Submitter<'a>;

    fn deref(&self) -> &Self::Target {
        &self.submitter
    }
}

impl DerefMut for Submitter<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.submitter
    }
}

/// The submission queue, as `io_uring::SubmissionQueue`.
// As `Submitter`.
#[repr(C)]
pub struct SubmissionQueue<'a, S: squeue::EntryMarker = squeue::Entry> {
    queue: inner::SubmissionQueue<'a, S>,
    hooks: &'a Ring,
}

/// Looks whether the kernel keeps completions that found no room: whoever sees that has to enter.
#[inline(always)]
fn note_overflow<S: squeue::EntryMarker>(hooks: &Ring, queue: &inner::SubmissionQueue<'_, S>) {
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
    /// owner back with [`Reaped::reclaim`], or with [`crate::from_raw`].
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

/// The completion queue, as `io_uring::CompletionQueue`.
// As `Submitter`.
#[repr(C)]
pub struct CompletionQueue<'a, C: cqueue::EntryMarker = cqueue::Entry> {
    queue: inner::CompletionQueue<'a, C>,
    hooks: &'a Ring,
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
    /// [`SubmissionQueue::push_owned`] or otherwise; and this ownership was not taken back yet.
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
