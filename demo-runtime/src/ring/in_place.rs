//! A ring of our own making, whose slots are filled in place: claim, prepare, set the cookie, as
//! liburing's `get_sqe`, `prep`, `set_data`.
//!
//! Invariants
//! - `claimed`, `published` and the kernel's head only grow (modulo 2^32), and
//!   head ≤ `published` ≤ `claimed` ≤ head + slots.
//! - Slots from `published` to `claimed` are ours to write; the kernel has consumed their last lap.
//!
//! What a slot held before it was claimed is still there, its cookie included. That is liburing's
//! contract, and the reason why this ring exists.

use std::io;
use std::time::{Duration, Instant};

use super::encoding::{USER_DATA, encode};
use super::mapping::Mapping;
use super::{Completion, Full, Op, Ring};

/// See the head of this file.
pub struct InPlace {
    // Declared before the mapping, so that the trace hears of the end before it comes.
    probe: probe::ring::Ring,
    mapping: Mapping,
    /// Entries handed out so far.
    claimed: u32,
    /// Entries shown to the kernel so far.
    published: u32,
    /// Overflows already reported.
    overflow_seen: u32,
    start: Instant,
}

impl InPlace {
    /// Opens a ring with at least that many slots.
    pub fn open(entries: u32) -> io::Result<Self> {
        let mapping = Mapping::open(entries)?;
        let params = mapping.params();
        let probe = probe::ring::Ring::created(
            probe::ring::Kind::InPlace,
            mapping.raw_fd(),
            params.sq_entries,
            params.cq_entries,
            params.flags,
            params.features,
        );
        Ok(Self {
            probe,
            mapping,
            claimed: 0,
            published: 0,
            overflow_seen: 0,
            start: Instant::now(),
        })
    }

    fn slots(&self) -> u32 {
        self.mapping.params().sq_entries
    }

    /// The slot claimed last.
    fn slot(&self) -> u32 {
        self.claimed.wrapping_sub(1) & (self.slots() - 1)
    }

    fn publish(&mut self) {
        while self.published != self.claimed {
            let slot = self.published & (self.slots() - 1);
            // SAFETY: the slot lies before `claimed` and behind the published tail, so it is ours, and
            // this thread alone fills the queue.
            unsafe { self.probe.submitting(slot, self.mapping.entry(slot)) };
            self.published = self.published.wrapping_add(1);
        }
        self.mapping.publish_submissions(self.published);
    }
}

impl Ring for InPlace {
    fn id(&self) -> u32 {
        self.probe.id()
    }

    #[track_caller]
    fn claim(&mut self) -> Result<(), Full> {
        if self.claimed.wrapping_sub(self.mapping.submission_head()) == self.slots() {
            return Err(Full);
        }
        self.claimed = self.claimed.wrapping_add(1);
        let slot = self.slot();
        // SAFETY: the kernel's head has passed the slot's last lap, as just checked, and this thread
        // alone fills the queue.
        unsafe { self.probe.claimed(slot, self.mapping.entry(slot)) };
        Ok(())
    }

    unsafe fn prepare(&mut self, op: &Op) {
        let slot = self.slot();
        for (word, value) in encode(op).into_iter().enumerate() {
            if word != USER_DATA {
                self.mapping.write(slot, word, value);
            }
        }
    }

    fn set_cookie(&mut self, cookie: u64) {
        self.mapping.write(self.slot(), USER_DATA, cookie);
    }

    fn push(&mut self) {
        // Filled in place: nothing is left to do.
    }

    fn enter(&mut self, wait_for: u32) -> io::Result<()> {
        self.publish();
        loop {
            let to_submit = self.published.wrapping_sub(self.mapping.submission_head());
            // SAFETY: every entry came through `prepare`, whose callers promised what `enter` asks.
            let entered = unsafe { self.mapping.enter(to_submit, wait_for) };
            let result = match &entered {
                Ok(consumed) => *consumed as i32,
                Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
            };
            self.probe.entered(to_submit, wait_for, result);
            let overflow = self.mapping.overflow();
            if overflow != self.overflow_seen {
                self.overflow_seen = overflow;
                self.probe.overflowed(u64::from(overflow));
            }
            match entered {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => return Ok(()),
            }
        }
    }

    fn reap(&mut self) -> Option<Completion> {
        let (completion, flags) = self.mapping.reap()?;
        self.probe
            .reaped(completion.cookie, completion.result, flags);
        Some(completion)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::kernel_or_reason;

    /// Claims a slot for a NOP, and sets its cookie or forgets it.
    fn nop(ring: &mut InPlace, cookie: Option<u64>) {
        ring.claim().unwrap();
        // SAFETY: a NOP points to nothing.
        unsafe { ring.prepare(&Op::Nop) };
        if let Some(cookie) = cookie {
            ring.set_cookie(cookie);
        }
    }

    fn cookies(ring: &mut InPlace, count: u32) -> Vec<u64> {
        ring.enter(count).unwrap();
        std::iter::from_fn(|| ring.reap())
            .map(|completion| completion.cookie)
            .collect()
    }

    #[test]
    fn a_forgotten_cookie_is_that_of_the_previous_lap() {
        if !kernel_or_reason() {
            return;
        }
        let mut ring = InPlace::open(4).unwrap();
        for cookie in 11..15 {
            nop(&mut ring, Some(cookie));
        }
        assert_eq!(cookies(&mut ring, 4), [11, 12, 13, 14]);
        nop(&mut ring, None);
        nop(&mut ring, Some(22));
        nop(&mut ring, None);
        assert_eq!(cookies(&mut ring, 3), [11, 22, 13]);
    }

    #[test]
    fn a_full_queue_says_so_and_is_free_again_after_entering() {
        if !kernel_or_reason() {
            return;
        }
        let mut ring = InPlace::open(2).unwrap();
        nop(&mut ring, Some(1));
        nop(&mut ring, Some(2));
        assert_eq!(ring.claim(), Err(Full));
        assert_eq!(cookies(&mut ring, 2), [1, 2]);
        assert_eq!(ring.claim(), Ok(()));
    }
}
