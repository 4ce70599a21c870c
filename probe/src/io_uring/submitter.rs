//! The way into the kernel: what it took is noted.
//!
//! Holds `unsafe`: passes on the crate's unsafe function.

use std::io;
use std::ops::{Deref, DerefMut};

use super::{EnterFlags, inner, types};
use crate::recorder;
use crate::ring::Ring;

/// The way into the kernel, as `io_uring::Submitter`.
// The wrapped one first, at offset 0: without the feature `record` it is used by the same instructions as
// if nothing wrapped it.
#[repr(C)]
pub struct Submitter<'a> {
    pub(super) submitter: inner::Submitter<'a>,
    pub(super) hooks: &'a Ring,
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

    /// As `io_uring::Submitter::submit_with_args_and_flags`.
    #[inline(always)]
    pub fn submit_with_args_and_flags(
        &self,
        want: usize,
        args: &types::SubmitArgs<'_, '_>,
        flags: EnterFlags,
    ) -> io::Result<usize> {
        let offered = self.hooks.unsubmitted();
        let result = self.submitter.submit_with_args_and_flags(want, args, flags);
        self.note(offered, want, result)
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
