//! An operation as the words of `struct io_uring_sqe`, for the rings that fill slots in place.
//!
//! Written from the layout in the Linux user API (`io_uring.h`); each constant has its name there.

use super::Op;

/// A submission entry as eight words.
pub(super) type Entry = [u64; 8];

/// The word that holds `user_data`. Preparing a slot never touches it, as in liburing.
pub(super) const USER_DATA: usize = 4;

pub(super) const NOP: u8 = 0;
pub(super) const TIMEOUT: u8 = 11;
pub(super) const ACCEPT: u8 = 13;
pub(super) const ASYNC_CANCEL: u8 = 14;
pub(super) const CONNECT: u8 = 16;
pub(super) const READ: u8 = 22;
pub(super) const WRITE: u8 = 23;
pub(super) const SEND: u8 = 26;
pub(super) const RECV: u8 = 27;

/// All words of the entry but the cookie, which is 0 here.
pub(super) fn encode(op: &Op) -> Entry {
    match *op {
        Op::Nop => entry(NOP, -1, 0, 0, 0, 0),
        Op::Timeout { after } => entry(TIMEOUT, -1, 0, after as u64, 1, 0),
        Op::Cancel { cookie } => entry(ASYNC_CANCEL, -1, 0, cookie, 0, 0),
        Op::Read {
            fd,
            buffer,
            len,
            offset,
        } => entry(READ, fd, offset, buffer as u64, len, 0),
        Op::Write {
            fd,
            bytes,
            len,
            offset,
        } => entry(WRITE, fd, offset, bytes as u64, len, 0),
        Op::Accept { fd } => entry(ACCEPT, fd, 0, 0, 0, libc::SOCK_CLOEXEC as u32),
        Op::Connect { fd, address } => {
            // The length of the address travels where files have their offset.
            entry(
                CONNECT,
                fd,
                size_of::<libc::sockaddr_in>() as u64,
                address as u64,
                0,
                0,
            )
        }
        Op::Receive { fd, buffer, len } => entry(RECV, fd, 0, buffer as u64, len, 0),
        Op::Send { fd, bytes, len } => {
            entry(SEND, fd, 0, bytes as u64, len, libc::MSG_NOSIGNAL as u32)
        }
    }
}

fn entry(opcode: u8, fd: i32, off: u64, addr: u64, len: u32, op_flags: u32) -> Entry {
    let head = u64::from(opcode) | u64::from(fd as u32) << 32;
    [
        head,
        off,
        addr,
        u64::from(len) | u64::from(op_flags) << 32,
        0,
        0,
        0,
        0,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_where_the_kernel_reads_them() {
        let mut byte = 0u8;
        let op = Op::Read {
            fd: 5,
            buffer: &raw mut byte,
            len: 1,
            offset: 4096,
        };
        let words = encode(&op);
        assert_eq!(words[0] & 0xFF, u64::from(READ));
        assert_eq!(words[0] >> 32, 5);
        assert_eq!(words[1], 4096);
        assert_eq!(words[2], &raw mut byte as u64);
        assert_eq!(words[3], 1);
        assert_eq!(words[USER_DATA..], [0; 4]);
    }

    #[test]
    fn a_missing_descriptor_does_not_spill_into_other_fields() {
        assert_eq!(encode(&Op::Nop)[0], 0xFFFF_FFFF_0000_0000);
    }
}
