//! Numbers of io_uring's operations and flags that the model reads, from the user API of Linux 6.19.

/// `IOSQE_FIXED_FILE`
pub(super) const SQE_FIXED_FILE: u8 = 1;
/// `IOSQE_IO_LINK` and `IOSQE_IO_HARDLINK`
pub(super) const SQE_LINKS: u8 = 4 | 8;
/// `IOSQE_BUFFER_SELECT`
pub(super) const SQE_BUFFER_SELECT: u8 = 32;
/// `IOSQE_CQE_SKIP_SUCCESS`
pub(super) const SQE_SKIP_SUCCESS: u8 = 64;

/// `IORING_CQE_F_BUFFER`
pub(super) const CQE_BUFFER: u32 = 1;
/// `IORING_CQE_F_MORE`
pub(crate) const CQE_MORE: u32 = 2;
/// `IORING_CQE_F_NOTIF`
pub(super) const CQE_NOTIF: u32 = 8;
/// `IORING_CQE_F_BUF_MORE`
pub(super) const CQE_BUF_MORE: u32 = 16;
/// `IORING_CQE_F_SKIP`: filler that belongs to nobody.
pub(super) const CQE_SKIP: u32 = 32;

/// `IORING_RECVSEND_BUNDLE`, in `ioprio`
pub(super) const BUNDLE: u16 = 16;
/// `IORING_SEND_VECTORIZED`, in `ioprio`: what is sent stands behind an array.
pub(super) const SEND_VECTORIZED: u16 = 32;

pub(super) const NOP: u8 = 0;
pub(super) const READV: u8 = 1;
pub(super) const WRITEV: u8 = 2;
pub(super) const FSYNC: u8 = 3;
pub(super) const READ_FIXED: u8 = 4;
pub(super) const WRITE_FIXED: u8 = 5;
pub(super) const POLL_ADD: u8 = 6;
pub(crate) const POLL_REMOVE: u8 = 7;
pub(super) const SYNC_FILE_RANGE: u8 = 8;
pub(super) const SENDMSG: u8 = 9;
pub(super) const RECVMSG: u8 = 10;
pub(super) const TIMEOUT: u8 = 11;
pub(crate) const TIMEOUT_REMOVE: u8 = 12;
pub(super) const ACCEPT: u8 = 13;
pub(crate) const ASYNC_CANCEL: u8 = 14;
pub(super) const LINK_TIMEOUT: u8 = 15;
pub(super) const CONNECT: u8 = 16;
pub(super) const FALLOCATE: u8 = 17;
pub(super) const OPENAT: u8 = 18;
pub(crate) const CLOSE: u8 = 19;
pub(super) const FILES_UPDATE: u8 = 20;
pub(super) const STATX: u8 = 21;
pub(super) const READ: u8 = 22;
pub(super) const WRITE: u8 = 23;
pub(super) const FADVISE: u8 = 24;
pub(super) const MADVISE: u8 = 25;
pub(super) const SEND: u8 = 26;
pub(super) const RECV: u8 = 27;
pub(super) const OPENAT2: u8 = 28;
pub(super) const EPOLL_CTL: u8 = 29;
pub(super) const SPLICE: u8 = 30;
pub(super) const PROVIDE_BUFFERS: u8 = 31;
pub(super) const REMOVE_BUFFERS: u8 = 32;
pub(super) const TEE: u8 = 33;
pub(super) const SHUTDOWN: u8 = 34;
pub(super) const RENAMEAT: u8 = 35;
pub(super) const UNLINKAT: u8 = 36;
pub(super) const MKDIRAT: u8 = 37;
pub(super) const SYMLINKAT: u8 = 38;
pub(super) const LINKAT: u8 = 39;
pub(super) const MSG_RING: u8 = 40;
pub(super) const FSETXATTR: u8 = 41;
pub(super) const SETXATTR: u8 = 42;
pub(super) const FGETXATTR: u8 = 43;
pub(super) const GETXATTR: u8 = 44;
pub(super) const SOCKET: u8 = 45;
pub(super) const URING_CMD: u8 = 46;
pub(super) const SEND_ZC: u8 = 47;
pub(super) const SENDMSG_ZC: u8 = 48;
pub(super) const READ_MULTISHOT: u8 = 49;
pub(super) const WAITID: u8 = 50;
pub(super) const FUTEX_WAIT: u8 = 51;
pub(super) const FUTEX_WAKE: u8 = 52;
pub(super) const FUTEX_WAITV: u8 = 53;
pub(super) const FIXED_FD_INSTALL: u8 = 54;
pub(super) const FTRUNCATE: u8 = 55;
pub(super) const BIND: u8 = 56;
pub(super) const LISTEN: u8 = 57;
pub(super) const RECV_ZC: u8 = 58;
pub(super) const EPOLL_WAIT: u8 = 59;
pub(super) const READV_FIXED: u8 = 60;
pub(super) const WRITEV_FIXED: u8 = 61;
pub(super) const PIPE: u8 = 62;
pub(super) const NOP128: u8 = 63;
pub(super) const URING_CMD128: u8 = 64;

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_those_of_the_names() {
        let named = [
            (super::READ, "READ"),
            (super::REMOVE_BUFFERS, "REMOVE_BUFFERS"),
            (super::MSG_RING, "MSG_RING"),
            (super::WAITID, "WAITID"),
            (super::FTRUNCATE, "FTRUNCATE"),
            (super::EPOLL_WAIT, "EPOLL_WAIT"),
            (super::PIPE, "PIPE"),
            (super::NOP128, "NOP128"),
            (super::URING_CMD128, "URING_CMD128"),
        ];
        for (number, name) in named {
            assert_eq!(crate::names::opcode(number), name);
        }
    }
}
