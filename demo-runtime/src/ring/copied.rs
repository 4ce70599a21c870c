//! The ring of the `io-uring` crate, under the probe's names of it.
//!
//! The crate copies whole entries into slots, so a claimed slot is an entry of our own here until it is
//! pushed. An entry is born with cookie 0.

use std::io;
use std::time::{Duration, Instant};

use probe::io_uring::types::{Fd, Timespec as KernelTimespec};
use probe::io_uring::{IoUring, opcode, squeue};

use super::{Completion, Full, Op, Ring};

/// See the head of this file.
pub struct Copied {
    ring: IoUring,
    /// The slot that was claimed and not pushed yet.
    claimed: Option<squeue::Entry>,
    start: Instant,
}

impl Copied {
    /// Opens a ring with at least that many slots.
    pub fn open(entries: u32) -> io::Result<Self> {
        Ok(Self {
            ring: IoUring::new(entries)?,
            claimed: None,
            start: Instant::now(),
        })
    }
}

impl Ring for Copied {
    fn id(&self) -> u32 {
        self.ring.hooks().id()
    }

    #[track_caller]
    fn claim(&mut self) -> Result<(), Full> {
        if self.ring.submission().is_full() {
            return Err(Full);
        }
        self.claimed = Some(opcode::Nop::new().build());
        Ok(())
    }

    unsafe fn prepare(&mut self, op: &Op) {
        self.claimed = Some(match *op {
            Op::Nop => opcode::Nop::new().build(),
            Op::Timeout { after } => opcode::Timeout::new(after.cast::<KernelTimespec>()).build(),
            Op::Cancel { cookie } => opcode::AsyncCancel::new(cookie).build(),
            Op::Read {
                fd,
                buffer,
                len,
                offset,
            } => opcode::Read::new(Fd(fd), buffer, len)
                .offset(offset)
                .build(),
            Op::Write {
                fd,
                bytes,
                len,
                offset,
            } => opcode::Write::new(Fd(fd), bytes, len)
                .offset(offset)
                .build(),
            Op::Accept { fd } => {
                opcode::Accept::new(Fd(fd), std::ptr::null_mut(), std::ptr::null_mut())
                    .flags(libc::SOCK_CLOEXEC)
                    .build()
            }
            Op::Connect { fd, address } => {
                let len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                opcode::Connect::new(Fd(fd), address.cast(), len).build()
            }
            Op::Receive { fd, buffer, len } => opcode::Recv::new(Fd(fd), buffer, len).build(),
            Op::Send { fd, bytes, len } => opcode::Send::new(Fd(fd), bytes, len)
                .flags(libc::MSG_NOSIGNAL)
                .build(),
        });
    }

    fn set_cookie(&mut self, cookie: u64) {
        if let Some(entry) = &mut self.claimed {
            entry.set_user_data(cookie);
        }
    }

    #[track_caller]
    fn push(&mut self) {
        if let Some(entry) = self.claimed.take() {
            // SAFETY: the entry came through `prepare`, whose caller promised that what it points to
            // stays valid until the last completion; a NOP, which was never prepared, points nowhere.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            // `claim` saw room for it, and nothing was pushed since.
            debug_assert!(pushed.is_ok());
        }
    }

    #[track_caller]
    fn enter(&mut self, wait_for: u32) -> io::Result<()> {
        loop {
            match self.ring.submit_and_wait(wait_for as usize) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => return Ok(()),
            }
        }
    }

    fn reap(&mut self) -> Option<Completion> {
        let entry = self.ring.completion().next()?;
        Some(Completion {
            cookie: entry.user_data(),
            result: entry.result(),
        })
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

const _: () = assert!(size_of::<super::Timespec>() == size_of::<KernelTimespec>());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::kernel_or_reason;

    #[test]
    fn a_forgotten_cookie_is_zero_on_every_lap() {
        if !kernel_or_reason() {
            return;
        }
        let mut ring = Copied::open(2).unwrap();
        for lap in [Some(11), Some(12), None, None] {
            ring.claim().unwrap();
            // SAFETY: a NOP points to nothing.
            unsafe { ring.prepare(&Op::Nop) };
            if let Some(cookie) = lap {
                ring.set_cookie(cookie);
            }
            ring.push();
            ring.enter(1).unwrap();
            assert_eq!(ring.reap().map(|it| it.cookie), Some(lap.unwrap_or(0)));
        }
    }

    #[test]
    fn a_full_queue_says_so_and_is_free_again_after_entering() {
        if !kernel_or_reason() {
            return;
        }
        let mut ring = Copied::open(2).unwrap();
        for _ in 0..2 {
            ring.claim().unwrap();
            ring.push();
        }
        assert_eq!(ring.claim(), Err(Full));
        ring.enter(2).unwrap();
        assert_eq!(ring.claim(), Ok(()));
    }
}
