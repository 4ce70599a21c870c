//! The `io-uring` crate under its own names, with every submission and completion recorded.
//!
//! Adoption is one line: `use probe::io_uring;`. Types that only describe (opcodes, entries,
//! parameters) are the crate's own; the ring, its two queues and its submitter are wrapped, and every
//! method that is not listed here is reached through `Deref`.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use probe::io_uring::{self, IoUring, cqueue, opcode};
//!
//! let mut ring = IoUring::new(8)?;
//!
//! // As always, with an owner that leaves by itself ...
//! let raw = probe::into_raw(Box::new(7));
//! let entry = opcode::Nop::new().build().user_data(raw as u64);
//! // SAFETY: the operation uses no memory.
//! unsafe { ring.submission().push(&entry) }.expect("room");
//! ring.submit_and_wait(1)?;
//! let completion = ring.completion().next().expect("waited for");
//! // SAFETY: the cookie is the pointer that was leaked above; it is taken back once.
//! drop(unsafe { probe::from_raw::<Box<i32>>(completion.user_data() as *mut i32) });
//!
//! // ... or in one record with the submission, and back in one with the completion.
//! // SAFETY: the operation uses no memory.
//! unsafe { ring.submission().push_owned(opcode::Nop::new().build(), Box::new(8)) }.expect("room");
//! ring.submit_and_wait(1)?;
//! let mut completions = ring.completion();
//! let reaped = completions.reap().expect("waited for");
//! assert!(!cqueue::more(reaped.flags()));
//! // SAFETY: the cookie is that of the `Box` above, which was not taken back yet.
//! let (completion, number) = unsafe { reaped.reclaim::<Box<i32>>() };
//! assert_eq!((completion.result(), *number), (0, 8));
//! # Ok(())
//! # }
//! ```
//!
//! All else is there under its own name: the builder, both queues at once, entries of 128 and completions of 32 bytes,
//! several entries or completions at a time, every way to enter.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use std::mem::MaybeUninit;
//!
//! use probe::io_uring::{
//!     Builder, CompletionQueue, EnterFlags, Full, IoUring, Reaped, SubmissionQueue, Submitter,
//!     cqueue, opcode, squeue, types,
//! };
//!
//! # #[cfg(feature = "assert")]
//! let scope = probe::scope();
//! let mut builder: Builder<squeue::Entry128, cqueue::Entry32> = IoUring::builder();
//! let mut ring = builder.setup_cqsize(16).build(4)?;
//! ring.hooks().sentinel(1); // what is told of a ring is told of its hooks
//! let nop = || squeue::Entry128::from(opcode::Nop::new().build().user_data(1));
//!
//! type Queues<'r> = (
//!     Submitter<'r>,
//!     SubmissionQueue<'r, squeue::Entry128>,
//!     CompletionQueue<'r, cqueue::Entry32>,
//! );
//! let (submitter, mut submissions, mut completions): Queues<'_> = ring.split();
//! // SAFETY: the operations use no memory, here and below.
//! unsafe { submissions.push_multiple(&[nop(), nop(), nop()]) }.expect("room");
//! unsafe { submissions.push_owned(nop(), Box::new(7)) }.expect("room");
//! // The queue is full: the owner stays, and nothing is recorded.
//! let full: Full<Box<i32>> =
//!     unsafe { submissions.push_owned(nop(), Box::new(8)) }.expect_err("no room");
//! assert_eq!(*full.owner, 8);
//! submissions.sync();
//! let second = types::Timespec::new().sec(1);
//! let args = types::SubmitArgs::new().timespec(&second);
//! assert_eq!(submitter.submit_with_args(4, &args)?, 4);
//! assert_eq!(submitter.submit()?, 0, "nothing is left");
//! let flags = EnterFlags::empty();
//! assert_eq!(submitter.submit_with_args_and_flags(0, &args, flags)?, 0);
//! // SAFETY: without an argument.
//! unsafe { submitter.enter::<libc::sigset_t>(0, 0, EnterFlags::GETEVENTS.bits(), None)? };
//!
//! completions.sync();
//! let mut room = [const { MaybeUninit::uninit() }; 2];
//! assert_eq!(completions.fill(&mut room).len(), 2);
//! // Looked at before it is said what becomes of it: alone, or with the owner that comes back.
//! while let Some(reaped) = completions.reap() {
//!     let reaped: Reaped<'_, cqueue::Entry32> = reaped;
//!     if reaped.cookie() == 1 {
//!         assert_eq!(reaped.take().result(), 0);
//!     } else {
//!         // SAFETY: the one owner that left, with its cookie.
//!         let (_, number) = unsafe { reaped.reclaim::<Box<i32>>() };
//!         assert_eq!(*number, 7);
//!     }
//! }
//! assert!(CompletionQueue::is_empty(&completions));
//! # #[cfg(feature = "assert")]
//! # {
//! let numbers = scope.numbers();
//! assert_eq!((numbers.submitted, numbers.completed), (4, 4));
//! drop((submitter, submissions, completions));
//! drop(ring);
//! scope.assert_clean();
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! Not seen: what goes around the wrapper, such as a [`Builder`] or ring that was made from the crate
//! directly; that completions found no room, where the queues are asked for with `submission_shared` and
//! `completion_shared` alone. With SQPOLL the kernel consumes entries by itself: they count as consumed when they are
//! pushed.
//!
//! Holds `unsafe`, as do its parts: passes on the crate's unsafe functions, and reads the bytes of an entry.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use io_uring as inner;

pub use inner::{CompletionStatus, EnterFlags, Parameters, Probe, opcode, register, types};

use crate::recorder;
use crate::ring::{self, Ring};

mod builder;
pub use builder::Builder;

mod completions;
pub use completions::{CompletionQueue, Reaped};

mod submissions;
use submissions::note_overflow;
pub use submissions::{Full, SubmissionQueue};

mod submitter;
pub use submitter::Submitter;

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
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use std::os::fd::{AsFd, IntoRawFd};
    ///
    /// use probe::io_uring::{IoUring, opcode};
    ///
    /// let ring = IoUring::new(8)?; // as another process may send one
    /// let (fd, params) = (ring.as_fd().try_clone_to_owned()?, ring.params().clone());
    /// drop(ring);
    /// // SAFETY: a ring, which is ours alone, and its own parameters.
    /// let mut ring = unsafe { IoUring::from_fd(fd.into_raw_fd(), params)? };
    /// // SAFETY: the operation uses no memory.
    /// unsafe { ring.submission().push(&opcode::Nop::new().build().user_data(7)) }.expect("room");
    /// ring.submit_and_wait(1)?;
    /// assert_eq!(ring.completion().next().map(|entry| entry.user_data()), Some(7));
    /// # Ok(())
    /// # }
    /// ```
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
