//! Which fields of an entry point at memory, how much of it, who uses it and until when: one table for
//! all opcodes of Linux 6.19.
//!
//! What an address points at is not recorded, so the buffers behind an iovec or a message header are not
//! known: their array is. Where a length is not known, one byte is claimed: too little rather than too
//! much. Opcodes that are not listed claim nothing.

use wire::payload::Submit;

use super::opcodes as op;

/// What a piece of memory is to its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    /// The kernel reads bytes from it.
    Source,
    /// The kernel writes bytes to it.
    Target,
    /// Array of pieces.
    Iovec,
    /// `struct msghdr`
    Message,
    /// `struct __kernel_timespec`
    Timespec,
    /// Address of a socket, or its length.
    Sockaddr,
    /// A path or another text that ends with a zero.
    Text,
    /// `struct open_how`
    OpenHow,
    /// `struct epoll_event`
    EpollEvent,
    /// A structure or word that the kernel looks at or writes.
    Structure,
    /// Not a field for data: the word that comes back.
    Cookie,
}

impl Part {
    /// What to call it in a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Source | Self::Target => "buffer",
            Self::Iovec => "iovec array",
            Self::Message => "message header",
            Self::Timespec => "timespec",
            Self::Sockaddr => "socket address",
            Self::Text => "path",
            Self::OpenHow => "open_how",
            Self::EpollEvent => "epoll event",
            Self::Structure => "argument",
            Self::Cookie => "cookie",
        }
    }
}

/// How long the kernel uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it took the entry; from then on it has a copy (`IORING_FEAT_SUBMIT_STABLE`).
    Taken,
    /// Until the last completion.
    Done,
}

/// A piece of memory that an operation points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    /// Bytes, at least 1.
    pub(crate) len: u64,
    pub(crate) part: Part,
    pub(crate) until: Until,
}

/// Bytes of a timespec, of an iovec, of a message header.
const TIMESPEC: u64 = 16;
const IOVEC: u64 = 16;
const MSGHDR: u64 = 56;
/// Addresses below this are offsets, flags or nothing.
const LOWEST: u64 = 4096;
/// `IORING_TIMEOUT_UPDATE` and `IORING_LINK_TIMEOUT_UPDATE`
const TIMEOUT_UPDATES: u32 = 2 | 16;
/// `IORING_TIMEOUT_IMMEDIATE_ARG`: the time stands where its address would.
const TIMEOUT_IMMEDIATE: u32 = 128;

/// The memory that an entry points at.
pub(crate) fn pieces(entry: &Submit) -> impl Iterator<Item = Piece> {
    use Part::{
        EpollEvent, Iovec, Message, OpenHow, Sockaddr, Source, Structure, Target, Text, Timespec,
    };
    use Until::{Done, Taken};
    let (addr, off, len) = (entry.addr, entry.off, u64::from(entry.len));
    let picked = entry.sqe_flags & op::SQE_BUFFER_SELECT != 0;
    let immediate = entry.op_flags & TIMEOUT_IMMEDIATE != 0;
    let none = (0, 0, Structure, Taken);
    let [first, second] = match entry.opcode {
        op::READ | op::READ_FIXED | op::RECV if !picked => [(addr, len, Target, Done), none],
        op::WRITE | op::WRITE_FIXED => [(addr, len, Source, Done), none],
        // `off` is the address to send to.
        op::SEND | op::SEND_ZC if !picked && entry.ioprio & op::SEND_VECTORIZED != 0 => [
            (addr, len.saturating_mul(IOVEC), Iovec, Taken),
            (off, 1, Sockaddr, Taken),
        ],
        op::SEND | op::SEND_ZC if !picked => [(addr, len, Source, Done), (off, 1, Sockaddr, Taken)],
        op::READV | op::WRITEV | op::READV_FIXED | op::WRITEV_FIXED if !picked => {
            [(addr, len.saturating_mul(IOVEC), Iovec, Taken), none]
        }
        op::SENDMSG | op::SENDMSG_ZC => [(addr, MSGHDR, Message, Taken), none],
        // Lengths of name and control data are written back into it. A multishot one copies it.
        op::RECVMSG if entry.ioprio & 2 == 0 => [(addr, MSGHDR, Message, Done), none],
        op::RECVMSG => [(addr, MSGHDR, Message, Taken), none],
        op::TIMEOUT | op::LINK_TIMEOUT if !immediate => [(addr, TIMESPEC, Timespec, Taken), none],
        op::TIMEOUT_REMOVE if entry.op_flags & TIMEOUT_UPDATES != 0 && !immediate => {
            [(off, TIMESPEC, Timespec, Taken), none]
        }
        op::ACCEPT => [(addr, 1, Sockaddr, Done), (off, 4, Sockaddr, Done)],
        // The length of the address stands in `off`.
        op::CONNECT | op::BIND => [(addr, off, Sockaddr, Taken), none],
        op::OPENAT | op::UNLINKAT | op::MKDIRAT => [(addr, 1, Text, Taken), none],
        op::OPENAT2 => [(addr, 1, Text, Taken), (off, len, OpenHow, Taken)],
        op::RENAMEAT | op::SYMLINKAT | op::LINKAT => {
            [(addr, 1, Text, Taken), (off, 1, Text, Taken)]
        }
        op::STATX => [(addr, 1, Text, Taken), (off, 256, Structure, Done)],
        // Read when it runs, and the numbers are written back.
        op::FILES_UPDATE => [(addr, len.saturating_mul(4), Structure, Done), none],
        op::EPOLL_CTL => [(addr, 12, EpollEvent, Taken), none],
        op::EPOLL_WAIT => [(addr, len.saturating_mul(12), EpollEvent, Done), none],
        op::SETXATTR | op::FSETXATTR => [(addr, 1, Text, Taken), (off, len, Source, Taken)],
        op::GETXATTR | op::FGETXATTR => [(addr, 1, Text, Taken), (off, len, Target, Done)],
        op::WAITID => [(off, 128, Structure, Done), none],
        op::FUTEX_WAIT | op::FUTEX_WAKE => [(addr, 4, Structure, Done), none],
        op::FUTEX_WAITV => [(addr, len.saturating_mul(24), Structure, Taken), none],
        op::PIPE => [(addr, 8, Structure, Done), none],
        _ => [none, none],
    };
    [first, second]
        .into_iter()
        .filter(|(start, len, ..)| *start >= LOWEST && *len > 0)
        .map(|(start, len, part, until)| Piece {
            start,
            len,
            part,
            until,
        })
}

/// Whether the kernel may use memory of the process for an entry after it took it. Of opcodes that are not known,
/// and of buffers that stand behind an array or are picked by the kernel, it may.
pub(crate) fn may_use_memory(entry: &Submit) -> bool {
    match entry.opcode {
        op::NOP
        | op::NOP128
        | op::FSYNC
        | op::POLL_ADD
        | op::POLL_REMOVE
        | op::SYNC_FILE_RANGE
        | op::TIMEOUT
        | op::TIMEOUT_REMOVE
        | op::ASYNC_CANCEL
        | op::LINK_TIMEOUT
        | op::CONNECT
        | op::FALLOCATE
        | op::OPENAT
        | op::CLOSE
        | op::FADVISE
        | op::OPENAT2
        | op::EPOLL_CTL
        | op::SPLICE
        | op::TEE
        | op::SHUTDOWN
        | op::RENAMEAT..=op::MSG_RING
        | op::SOCKET
        | op::FIXED_FD_INSTALL..=op::LISTEN => false,
        op::ACCEPT => pieces(entry).next().is_some(),
        _ => true,
    }
}

/// The descriptors of the process that an entry names: the one it works on, and the one that
/// `EPOLL_CTL` is about.
pub(crate) fn descriptors(entry: &Submit) -> impl Iterator<Item = i32> {
    let own = match entry.opcode {
        op::NOP
        | op::NOP128
        | op::POLL_REMOVE
        | op::TIMEOUT
        | op::TIMEOUT_REMOVE
        | op::ASYNC_CANCEL
        | op::LINK_TIMEOUT
        | op::CLOSE
        | op::FILES_UPDATE
        | op::MADVISE
        | op::PROVIDE_BUFFERS
        | op::REMOVE_BUFFERS
        | op::SOCKET
        | op::WAITID
        | op::FUTEX_WAIT..=op::FUTEX_WAITV
        | op::FIXED_FD_INSTALL
        | op::PIPE => None,
        _ if entry.opcode > op::URING_CMD128 || entry.sqe_flags & op::SQE_FIXED_FILE != 0 => None,
        _ => Some(entry.fd),
    };
    let watched = (entry.opcode == op::EPOLL_CTL)
        .then(|| i32::try_from(entry.off).ok())
        .flatten();
    own.into_iter().chain(watched).filter(|fd| *fd >= 0)
}

/// Whether its result is a descriptor of the process that somebody must close.
pub(crate) fn gives_descriptor(entry: &Submit) -> bool {
    matches!(
        entry.opcode,
        op::ACCEPT | op::OPENAT | op::OPENAT2 | op::SOCKET
    ) && entry.file_index == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(opcode: u8) -> Submit {
        Submit {
            opcode,
            fd: 5,
            addr: 0x1_0000,
            len: 8,
            off: 0x2_0000,
            ..Submit::default()
        }
    }

    fn found(entry: &Submit) -> Vec<(u64, u64, Part, Until)> {
        pieces(entry)
            .map(|piece| (piece.start, piece.len, piece.part, piece.until))
            .collect()
    }

    #[test]
    fn data_is_used_until_the_end_and_arguments_until_they_are_taken() {
        assert_eq!(
            found(&entry(op::READ)),
            [(0x1_0000, 8, Part::Target, Until::Done)]
        );
        assert_eq!(
            found(&entry(op::WRITEV)),
            [(0x1_0000, 128, Part::Iovec, Until::Taken)]
        );
        let vectorized = Submit {
            ioprio: op::SEND_VECTORIZED,
            off: 0,
            ..entry(op::SEND)
        };
        assert_eq!(
            found(&vectorized),
            [(0x1_0000, 128, Part::Iovec, Until::Taken)]
        );
        assert_eq!(
            found(&entry(op::TIMEOUT)),
            [(0x1_0000, 16, Part::Timespec, Until::Taken)]
        );
        assert_eq!(found(&entry(op::OPENAT2)).len(), 2);
    }

    #[test]
    fn what_lasts_until_the_end_is_memory_that_may_be_used() {
        for opcode in 0..=op::URING_CMD128 {
            let entry = entry(opcode);
            let lasts = pieces(&entry).any(|piece| piece.until == Until::Done);
            assert!(may_use_memory(&entry) || !lasts, "{opcode}");
        }
        // What an array names is not known, and neither is what a later kernel does.
        for opcode in [op::READV, op::SENDMSG, op::URING_CMD, 200] {
            assert!(may_use_memory(&entry(opcode)), "{opcode}");
        }
        let nowhere = Submit {
            addr: 0,
            off: 0,
            ..entry(op::ACCEPT)
        };
        assert!(!may_use_memory(&nowhere) && !may_use_memory(&entry(op::POLL_ADD)));
    }

    #[test]
    fn what_is_no_address_is_not_taken_for_one() {
        // The kernel picks the buffer; the time is in the entry; a name of another operation.
        let picked = Submit {
            sqe_flags: op::SQE_BUFFER_SELECT,
            ..entry(op::RECV)
        };
        let immediate = Submit {
            op_flags: TIMEOUT_IMMEDIATE,
            ..entry(op::TIMEOUT)
        };
        for entry in [picked, immediate, entry(op::ASYNC_CANCEL), entry(200)] {
            assert_eq!(found(&entry), []);
        }
    }

    #[test]
    fn descriptors_that_are_named() {
        let of = |entry: &Submit| descriptors(entry).collect::<Vec<_>>();
        assert_eq!(of(&entry(op::READ)), [5]);
        assert_eq!(of(&entry(op::SOCKET)), [0i32; 0]);
        assert_eq!(of(&entry(200)), [0i32; 0]);
        let epoll = Submit {
            off: 9,
            ..entry(op::EPOLL_CTL)
        };
        assert_eq!(of(&epoll), [5, 9]);
        let fixed = Submit {
            sqe_flags: op::SQE_FIXED_FILE,
            ..entry(op::READ)
        };
        assert_eq!(of(&fixed), [0i32; 0]);
    }

    #[test]
    fn results_that_are_descriptors() {
        assert!(gives_descriptor(&entry(op::ACCEPT)));
        let direct = Submit {
            file_index: u32::MAX,
            ..entry(op::ACCEPT)
        };
        assert!(!gives_descriptor(&direct) && !gives_descriptor(&entry(op::READ)));
    }
}
