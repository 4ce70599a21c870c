//! Descriptors: where they came from and where they were closed.
//!
//! A descriptor's number is given out again at once, to whoever asks next; an operation that still
//! carries it then works on somebody else's file. And a descriptor that came as the result of an
//! operation belongs to nobody until somebody says so. [`opened`] and [`closing`] are hooks to call by
//! hand; a [`Descriptor`] calls them by itself. Each call is one record.
//!
//! ```
//! use std::os::fd::{FromRawFd, OwnedFd, IntoRawFd};
//!
//! // An accept, or here an open, completed with this result:
//! let result = std::fs::File::open("/dev/null")?.into_raw_fd();
//! probe::fd::opened(result);
//! // ... and much later:
//! probe::fd::closing(result);
//! // SAFETY: opened above, and nobody else has it.
//! drop(unsafe { OwnedFd::from_raw_fd(result) });
//! # Ok::<(), std::io::Error>(())
//! ```

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::Location;

use wire::record::Kind;

use crate::recorder;

/// A descriptor came to be, or was taken over from the result of an operation.
#[inline]
#[track_caller]
pub fn opened(fd: RawFd) {
    note(Kind::FdOpen, fd, Location::caller());
}

/// A descriptor is about to be closed. Called before: behind the close the number may already be
/// another one's.
#[inline]
#[track_caller]
pub fn closing(fd: RawFd) {
    note(Kind::FdClose, fd, Location::caller());
}

#[inline]
fn note(kind: Kind, fd: RawFd, at: &'static Location<'static>) {
    if recorder::recording() {
        recorder::record_at(kind, 0, at, |site| [u64::from(fd as u32), site]);
    }
}

/// An `OwnedFd` whose life is recorded. Its end is told with the place where it began.
///
/// ```
/// use probe::fd::Descriptor;
///
/// let file = std::fs::File::open("/dev/null")?;
/// let file = Descriptor::new(file.into());
/// drop(file); // recorded, then closed
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Closed at a place of its own, and handed on to somebody who closes it in his own way:
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::fd::{AsRawFd, OwnedFd};
/// use std::os::unix::net::UnixStream;
///
/// use probe::fd::{self, Descriptor};
///
/// let (one, other) = UnixStream::pair()?;
/// let (one, other) = (Descriptor::new(one.into()), Descriptor::new(other.into()));
/// let number = other.as_raw_fd();
/// let mut other = UnixStream::from(other.into_owned()); // still open, and nobody's end is recorded
/// assert_eq!(other.as_raw_fd(), number);
/// one.close(); // recorded with this line
/// assert_eq!(other.read(&mut [0; 8])?, 0, "the other end is gone");
/// assert!(other.write(b"x").is_err());
/// fd::closing(number); // by hand, since it is no `Descriptor` any more
/// drop(OwnedFd::from(other));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Descriptor {
    // Dropped before the descriptor itself is.
    life: Life,
    fd: OwnedFd,
}

#[derive(Debug)]
struct Life {
    fd: RawFd,
    at: &'static Location<'static>,
}

impl Drop for Life {
    fn drop(&mut self) {
        note(Kind::FdClose, self.fd, self.at);
    }
}

impl Descriptor {
    /// Takes a descriptor over.
    #[inline]
    #[track_caller]
    pub fn new(fd: OwnedFd) -> Self {
        let at = Location::caller();
        let life = Life {
            fd: fd.as_raw_fd(),
            at,
        };
        note(Kind::FdOpen, life.fd, at);
        Self { life, fd }
    }

    /// Closes it here; dropping it does the same, without a place.
    #[inline]
    #[track_caller]
    pub fn close(mut self) {
        self.life.at = Location::caller();
    }

    /// Gives it to somebody who will close it without a record, or with one of their own.
    #[inline]
    pub fn into_owned(self) -> OwnedFd {
        let Self { life, fd } = self;
        std::mem::forget(life);
        fd
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
