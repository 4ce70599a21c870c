//! Everything that the kernel may touch for one operation, owned in one place.
//!
//! A request lives inside its ticket from submission to the last completion, so its buffer, its
//! address, its timespec and its descriptor live as long. [`Request::op`] derives the raw words from
//! the request *in its final place*; nothing may touch the request after that until it completed.

use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use crate::ring::{Op, Timespec};
use crate::ticket::Ticket;

/// What an operation was asked to do, with all it needs.
#[derive(Debug)]
pub enum Request {
    /// Completes at once. Also the place holder of a ticket without an operation.
    Nop,
    /// A timer.
    Timeout(Timespec),
    /// Ends the operation of another ticket, which is kept until the kernel has answered: its cookie
    /// must not start to mean something else meanwhile.
    Cancel(Rc<Ticket>),
    /// Reads into the buffer, up to its length.
    Read {
        /// Kept open.
        file: Rc<OwnedFd>,
        /// Where the bytes go.
        buffer: Vec<u8>,
        /// Offset in the file.
        offset: u64,
    },
    /// Writes the bytes from `start` on.
    Write {
        /// Kept open.
        file: Rc<OwnedFd>,
        /// What to write.
        bytes: Vec<u8>,
        /// How many of them were written before.
        start: usize,
        /// Offset in the file.
        offset: u64,
    },
    /// Accepts a connection.
    Accept(Rc<OwnedFd>),
    /// Connects to an address.
    Connect {
        /// Kept open.
        socket: Rc<OwnedFd>,
        /// The peer.
        address: libc::sockaddr_in,
    },
    /// Receives into the buffer, up to its length.
    Receive {
        /// Kept open.
        socket: Rc<OwnedFd>,
        /// Where the bytes go.
        buffer: Vec<u8>,
    },
    /// Sends the bytes from `start` on.
    Send {
        /// Kept open.
        socket: Rc<OwnedFd>,
        /// What to send.
        bytes: Vec<u8>,
        /// How many of them were sent before.
        start: usize,
    },
}

impl Request {
    /// The words for the kernel. They point into `self`, which must not move any more.
    pub fn op(&mut self) -> Op {
        match self {
            Self::Nop => Op::Nop,
            Self::Timeout(after) => Op::Timeout { after },
            Self::Cancel(target) => Op::Cancel {
                cookie: target.cookie(),
            },
            Self::Read {
                file,
                buffer,
                offset,
            } => Op::Read {
                fd: file.as_raw_fd(),
                buffer: buffer.as_mut_ptr(),
                len: length(buffer),
                offset: *offset,
            },
            Self::Write {
                file,
                bytes,
                start,
                offset,
            } => {
                let rest = bytes.get(*start..).unwrap_or_default();
                let (fd, len) = (file.as_raw_fd(), length(rest));
                Op::Write {
                    fd,
                    bytes: rest.as_ptr(),
                    len,
                    offset: *offset,
                }
            }
            Self::Accept(socket) => Op::Accept {
                fd: socket.as_raw_fd(),
            },
            Self::Connect { socket, address } => Op::Connect {
                fd: socket.as_raw_fd(),
                address,
            },
            Self::Receive { socket, buffer } => Op::Receive {
                fd: socket.as_raw_fd(),
                buffer: buffer.as_mut_ptr(),
                len: length(buffer),
            },
            Self::Send {
                socket,
                bytes,
                start,
            } => {
                let rest = bytes.get(*start..).unwrap_or_default();
                Op::Send {
                    fd: socket.as_raw_fd(),
                    bytes: rest.as_ptr(),
                    len: length(rest),
                }
            }
        }
    }

    /// The buffer, where there was one.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Read { buffer, .. } | Self::Receive { buffer, .. } => buffer,
            Self::Write { bytes, .. } | Self::Send { bytes, .. } => bytes,
            _ => Vec::new(),
        }
    }
}

/// The kernel counts in 32 bits; what is longer is done in parts.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
