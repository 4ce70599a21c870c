//! What the runtime asks of a ring, and the choice between three.
//!
//! The trait keeps the steps that liburing has: claim a slot, say what it does, set its cookie; and the
//! one that the `io-uring` crate has: push. Nothing forces the cookie, here as there; what happens when
//! it is forgotten depends on the ring.
//!
//! - [`Copied`]: the `io-uring` crate, which copies whole entries into slots. A forgotten cookie is 0.
//! - [`InPlace`]: our own mapping of the queues, filled in place. A forgotten cookie is whatever the
//!   slot held on its previous lap.
//! - [`Simulated`]: slots as in [`InPlace`], but no kernel: a logical clock and a seed.
//!
//! A ring knows nothing of tickets or coroutines. A cookie is a word to it.

use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::str::FromStr;
use std::time::Duration;

#[expect(unsafe_code, reason = "entries are handed to the kernel")]
mod copied;
mod encoding;
#[expect(unsafe_code, reason = "slots are shown to the probe")]
mod in_place;
#[expect(
    unsafe_code,
    reason = "mappings shared with the kernel, raw system calls"
)]
mod mapping;
#[expect(
    unsafe_code,
    reason = "slots are shown to the probe, and read as the kernel would"
)]
mod simulated;

pub use copied::Copied;
pub use in_place::InPlace;
pub use simulated::Simulated;

/// A completion, as the kernel posts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The word that the operation carried.
    pub cookie: u64,
    /// A count, a descriptor, or a negative error number.
    pub result: i32,
}

/// The submission queue has no free slot: enter the kernel, then claim again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A submission and a completion queue.
#[expect(unsafe_code, reason = "declares the promise of `prepare`")]
pub trait Ring {
    /// Number of the ring in a trace, 0 while nothing is recorded.
    fn id(&self) -> u32;

    /// Takes the next free slot. The three functions below are about the slot claimed last.
    #[track_caller]
    fn claim(&mut self) -> Result<(), Full>;

    /// Writes into the claimed slot what the operation does. The cookie is left as it is.
    ///
    /// # Safety
    ///
    /// What `op` points to stays valid, and is touched by nobody else, until the operation's last
    /// completion was reaped or the ring is gone with it in flight.
    unsafe fn prepare(&mut self, op: &Op);

    /// Writes the cookie of the claimed slot.
    fn set_cookie(&mut self, cookie: u64);

    /// The slot is filled; it goes in with the next `enter`.
    #[track_caller]
    fn push(&mut self);

    /// Submits what was pushed, and waits until that many completions can be reaped.
    #[track_caller]
    fn enter(&mut self, wait_for: u32) -> io::Result<()>;

    /// Takes the next completion.
    fn reap(&mut self) -> Option<Completion>;

    /// Time since the ring was made, on the clock by which its timeouts fire.
    fn now(&self) -> Duration;
}

/// What an operation does: the words of a submission entry. Pointers, and no ownership; that is the
/// business of [`Request`](crate::request::Request).
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Completes at once.
    Nop,
    /// Completes with `-ETIME` when the time is over.
    Timeout {
        /// How long, from the submission.
        after: *const Timespec,
    },
    /// Cancels the operation that carries this cookie.
    Cancel {
        /// Cookie of the operation that shall end.
        cookie: u64,
    },
    /// Reads at an offset; `u64::MAX` is the file's own position.
    Read {
        /// From where.
        fd: RawFd,
        /// Into where.
        buffer: *mut u8,
        /// At most that many bytes.
        len: u32,
        /// Offset in the file.
        offset: u64,
    },
    /// Writes at an offset.
    Write {
        /// To where.
        fd: RawFd,
        /// The bytes.
        bytes: *const u8,
        /// How many.
        len: u32,
        /// Offset in the file.
        offset: u64,
    },
    /// Accepts a connection; the result is its descriptor.
    Accept {
        /// The listening socket.
        fd: RawFd,
    },
    /// Connects a socket.
    Connect {
        /// The socket.
        fd: RawFd,
        /// The peer's address.
        address: *const libc::sockaddr_in,
    },
    /// Receives from a socket.
    Receive {
        /// The socket.
        fd: RawFd,
        /// Into where.
        buffer: *mut u8,
        /// At most that many bytes.
        len: u32,
    },
    /// Sends to a socket.
    Send {
        /// The socket.
        fd: RawFd,
        /// The bytes.
        bytes: *const u8,
        /// How many.
        len: u32,
    },
}

/// The kernel's `struct __kernel_timespec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Timespec {
    /// Whole seconds.
    pub seconds: i64,
    /// The rest, below 10^9.
    pub nanoseconds: i64,
}

impl From<Duration> for Timespec {
    fn from(duration: Duration) -> Self {
        Self {
            seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: i64::from(duration.subsec_nanos()),
        }
    }
}

/// Which ring to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingKind {
    /// [`Copied`], the `io-uring` crate.
    Crate,
    /// [`InPlace`], our own.
    InPlace,
    /// [`Simulated`], without a kernel.
    Simulated,
}

impl RingKind {
    /// Every ring there is.
    pub const ALL: [RingKind; 3] = [Self::Crate, Self::InPlace, Self::Simulated];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crate => "crate",
            Self::InPlace => "inplace",
            Self::Simulated => "simulated",
        }
    }

    /// Whether a kernel that permits io_uring is needed.
    pub const fn is_real(self) -> bool {
        !matches!(self, Self::Simulated)
    }
}

impl fmt::Display for RingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RingKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                format!("no ring is called {text:?}; there are crate, inplace, simulated")
            })
    }
}

/// One of the three. An enum and not a `dyn Ring`, because call sites do not pass through a vtable.
pub enum AnyRing {
    /// The `io-uring` crate.
    Copied(Copied),
    /// Our own.
    InPlace(InPlace),
    /// Without a kernel.
    Simulated(Simulated),
}

impl AnyRing {
    /// Opens a ring with at least that many slots; `seed` is for the simulated one.
    pub fn open(kind: RingKind, entries: u32, seed: u64) -> io::Result<Self> {
        Ok(match kind {
            RingKind::Crate => Self::Copied(Copied::open(entries)?),
            RingKind::InPlace => Self::InPlace(InPlace::open(entries)?),
            RingKind::Simulated => Self::Simulated(Simulated::open(entries, seed)),
        })
    }
}

macro_rules! whichever {
    ($self:ident, $ring:ident => $call:expr) => {
        match $self {
            AnyRing::Copied($ring) => $call,
            AnyRing::InPlace($ring) => $call,
            AnyRing::Simulated($ring) => $call,
        }
    };
}

#[expect(unsafe_code, reason = "passes the promise of `prepare` on")]
impl Ring for AnyRing {
    fn id(&self) -> u32 {
        whichever!(self, ring => ring.id())
    }

    #[track_caller]
    fn claim(&mut self) -> Result<(), Full> {
        whichever!(self, ring => ring.claim())
    }

    unsafe fn prepare(&mut self, op: &Op) {
        // SAFETY: the caller's promise is the same.
        unsafe { whichever!(self, ring => ring.prepare(op)) }
    }

    fn set_cookie(&mut self, cookie: u64) {
        whichever!(self, ring => ring.set_cookie(cookie));
    }

    #[track_caller]
    fn push(&mut self) {
        whichever!(self, ring => ring.push());
    }

    #[track_caller]
    fn enter(&mut self, wait_for: u32) -> io::Result<()> {
        whichever!(self, ring => ring.enter(wait_for))
    }

    fn reap(&mut self) -> Option<Completion> {
        whichever!(self, ring => ring.reap())
    }

    fn now(&self) -> Duration {
        whichever!(self, ring => ring.now())
    }
}
