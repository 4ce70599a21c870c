//! How many completions an operation owes, and which results it can have: one table for all opcodes.
//!
//! The kernel's own rules, as its headers and man pages state them. Where a case is not listed, any
//! result fits: a wrong match is worse than an ambiguous one.

use wire::payload::Submit;

use crate::event::Completion;

/// `IORING_CQE_F_BUFFER`
const CQE_BUFFER: u32 = 1;
/// `IORING_CQE_F_MORE`
const CQE_MORE: u32 = 2;
/// `IORING_CQE_F_NOTIF`
const CQE_NOTIF: u32 = 8;

/// `IOSQE_BUFFER_SELECT`
const SQE_BUFFER_SELECT: u8 = 32;
/// `IOSQE_CQE_SKIP_SUCCESS`
const SQE_SKIP_SUCCESS: u8 = 64;

mod op {
    pub(super) const NOP: u8 = 0;
    pub(super) const FSYNC: u8 = 3;
    pub(super) const READ_FIXED: u8 = 4;
    pub(super) const WRITE_FIXED: u8 = 5;
    pub(super) const POLL_ADD: u8 = 6;
    pub(super) const POLL_REMOVE: u8 = 7;
    pub(super) const RECVMSG: u8 = 10;
    pub(super) const TIMEOUT: u8 = 11;
    pub(super) const TIMEOUT_REMOVE: u8 = 12;
    pub(super) const ACCEPT: u8 = 13;
    pub(super) const LINK_TIMEOUT: u8 = 15;
    pub(super) const CONNECT: u8 = 16;
    pub(super) const FALLOCATE: u8 = 17;
    pub(super) const CLOSE: u8 = 19;
    pub(super) const STATX: u8 = 21;
    pub(super) const READ: u8 = 22;
    pub(super) const WRITE: u8 = 23;
    pub(super) const MADVISE: u8 = 25;
    pub(super) const SEND: u8 = 26;
    pub(super) const RECV: u8 = 27;
    pub(super) const SHUTDOWN: u8 = 34;
    pub(super) const LINKAT: u8 = 39;
    pub(super) const URING_CMD: u8 = 46;
    pub(super) const SEND_ZC: u8 = 47;
    pub(super) const SENDMSG_ZC: u8 = 48;
    pub(super) const READ_MULTISHOT: u8 = 49;
    pub(super) const FTRUNCATE: u8 = 55;
    pub(super) const LISTEN: u8 = 57;
    pub(super) const RECV_ZC: u8 = 58;
}

/// How many completions an operation posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owes {
    /// Exactly one.
    One,
    /// Any number; the last is the one without `F_MORE`.
    Many,
    /// One result, and a notification where the result has `F_MORE`.
    ZeroCopy,
    /// None when it succeeds, one when it fails.
    OnlyFailure,
}

/// What an operation owes from the start.
pub(crate) fn owes(entry: &Submit) -> Owes {
    let many = match entry.opcode {
        op::READ_MULTISHOT | op::RECV_ZC => true,
        // IORING_ACCEPT_MULTISHOT, IORING_RECV_MULTISHOT live in `ioprio`.
        op::ACCEPT => entry.ioprio & 1 != 0,
        op::RECV | op::RECVMSG => entry.ioprio & 2 != 0,
        // IORING_POLL_ADD_MULTI lives in `len`.
        op::POLL_ADD => entry.len & 1 != 0,
        // IORING_TIMEOUT_MULTISHOT
        op::TIMEOUT => entry.op_flags & 64 != 0,
        // IORING_URING_CMD_MULTISHOT
        op::URING_CMD => entry.op_flags & 2 != 0,
        wire::payload::CALLBACK => entry.len & 1 != 0,
        _ => false,
    };
    if many {
        Owes::Many
    } else if matches!(entry.opcode, op::SEND_ZC | op::SENDMSG_ZC) {
        Owes::ZeroCopy
    } else if entry.sqe_flags & SQE_SKIP_SUCCESS != 0 {
        Owes::OnlyFailure
    } else {
        Owes::One
    }
}

/// Whether this is the last completion of its operation.
pub(crate) fn is_last(completion: &Completion) -> bool {
    completion.flags & CQE_MORE == 0
}

/// Whether an operation that had `before` completions could have posted this one.
pub(crate) fn fits(entry: &Submit, before: u32, completion: &Completion) -> bool {
    let owes = owes(entry);
    let (res, flags) = (completion.res, completion.flags);
    let notification = flags & CQE_NOTIF != 0;
    if notification {
        return owes == Owes::ZeroCopy && before > 0;
    }
    if owes == Owes::ZeroCopy && before > 0 {
        return false;
    }
    if flags & CQE_MORE != 0 && !matches!(owes, Owes::Many | Owes::ZeroCopy) {
        return false;
    }
    if flags & CQE_BUFFER != 0
        && entry.sqe_flags & SQE_BUFFER_SELECT == 0
        && entry.opcode != op::READ_MULTISHOT
    {
        return false;
    }
    if owes == Owes::OnlyFailure && res >= 0 && !may_be_short(entry.opcode) {
        return false;
    }
    // Whatever it is, it can fail.
    res < 0 || success_fits(entry, res)
}

/// Whether a non-negative result is one that the operation can have.
fn success_fits(entry: &Submit, res: i32) -> bool {
    let len = i64::from(entry.len);
    match entry.opcode {
        // IORING_NOP_INJECT_RESULT takes the result from `len`.
        op::NOP => res == 0 || entry.op_flags & 1 != 0,
        // With a count of completions to wait for, reaching it is success.
        op::TIMEOUT => res == 0 && entry.off != 0,
        op::LINK_TIMEOUT => false,
        op::POLL_ADD => res > 0,
        op::FSYNC
        | op::POLL_REMOVE
        | op::TIMEOUT_REMOVE
        | op::CONNECT
        | op::FALLOCATE
        | op::CLOSE
        | op::STATX
        | op::MADVISE
        | op::SHUTDOWN..=op::LINKAT
        | op::FTRUNCATE
        | op::LISTEN => res == 0,
        op::READ | op::WRITE | op::READ_FIXED | op::WRITE_FIXED | op::SEND | op::SEND_ZC => {
            chosen_by_kernel(entry) || i64::from(res) <= len
        }
        op::RECV => chosen_by_kernel(entry) || len == 0 || i64::from(res) <= len,
        _ => true,
    }
}

/// Whether the kernel picks the buffer, so that `len` is no limit.
fn chosen_by_kernel(entry: &Submit) -> bool {
    entry.sqe_flags & SQE_BUFFER_SELECT != 0 || (entry.len == 0 && entry.opcode != op::SEND)
}

/// Whether less than what was asked for counts as a failure, which skipping does not skip.
fn may_be_short(opcode: u8) -> bool {
    matches!(
        opcode,
        op::READ | op::WRITE | op::SEND | op::RECV | op::RECVMSG | 1 | 2 | 9
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(opcode: u8) -> Submit {
        Submit {
            opcode,
            ..Submit::default()
        }
    }

    fn cqe(res: i32, flags: u32) -> Completion {
        Completion {
            ring: 0,
            cookie: 1,
            res,
            flags,
            index: None,
        }
    }

    #[test]
    fn timeouts_and_nops_are_told_apart_by_their_results() {
        assert!(fits(&entry(op::NOP), 0, &cqe(0, 0)));
        assert!(!fits(&entry(op::TIMEOUT), 0, &cqe(0, 0)));
        assert!(fits(&entry(op::TIMEOUT), 0, &cqe(-62, 0)));
        assert!(fits(
            &Submit {
                off: 1,
                ..entry(op::TIMEOUT)
            },
            0,
            &cqe(0, 0)
        ));
        assert!(!fits(&entry(op::NOP), 0, &cqe(5, 0)));
    }

    #[test]
    fn zero_copy_owes_a_notification_only_after_more() {
        let send = Submit {
            len: 10,
            ..entry(op::SEND_ZC)
        };
        assert_eq!(owes(&send), Owes::ZeroCopy);
        assert!(fits(&send, 0, &cqe(10, CQE_MORE)));
        assert!(!fits(&send, 0, &cqe(0, CQE_NOTIF)));
        assert!(fits(&send, 1, &cqe(0, CQE_NOTIF)));
        assert!(!fits(&send, 1, &cqe(10, 0)));
        assert!(is_last(&cqe(0, CQE_NOTIF)) && !is_last(&cqe(10, CQE_MORE)));
    }

    #[test]
    fn only_multishot_operations_have_more() {
        let accept = Submit {
            ioprio: 1,
            ..entry(op::ACCEPT)
        };
        assert!(fits(&accept, 3, &cqe(9, CQE_MORE)));
        assert!(!fits(&entry(op::ACCEPT), 0, &cqe(9, CQE_MORE)));
    }

    #[test]
    fn skipped_success_leaves_failures() {
        let quiet = Submit {
            sqe_flags: SQE_SKIP_SUCCESS,
            ..entry(op::CLOSE)
        };
        assert_eq!(owes(&quiet), Owes::OnlyFailure);
        assert!(!fits(&quiet, 0, &cqe(0, 0)));
        assert!(fits(&quiet, 0, &cqe(-9, 0)));
    }
}
