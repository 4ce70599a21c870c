//! How many completions an operation owes, and which results it can have: one table for all opcodes.
//!
//! The kernel's own rules, as its headers and man pages state them. Where a case is not listed, any
//! result fits: a wrong match is worse than an ambiguous one.

use wire::payload::Submit;

use super::opcodes::{self as op, CQE_BUFFER, CQE_MORE, CQE_NOTIF};
use crate::event::Completion;

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
        // A bundle is sent in pieces, and each of them posts one.
        op::SEND | op::SENDMSG => entry.ioprio & op::BUNDLE != 0,
        // IORING_POLL_ADD_MULTI lives in `len`.
        op::POLL_ADD => entry.len & 1 != 0,
        // IORING_TIMEOUT_MULTISHOT
        op::TIMEOUT => entry.op_flags & 64 != 0,
        // IORING_URING_CMD_MULTISHOT
        op::URING_CMD | op::URING_CMD128 => entry.op_flags & 2 != 0,
        wire::payload::CALLBACK => entry.len & 1 != 0,
        _ => false,
    };
    if many {
        Owes::Many
    } else if matches!(entry.opcode, op::SEND_ZC | op::SENDMSG_ZC) {
        Owes::ZeroCopy
    } else if entry.sqe_flags & op::SQE_SKIP_SUCCESS != 0 {
        Owes::OnlyFailure
    } else {
        Owes::One
    }
}

/// Whether this is the last completion of its operation.
pub(crate) fn is_last(completion: &Completion) -> bool {
    completion.flags & CQE_MORE == 0
}

/// Whether an operation posts nothing when all goes well.
pub(crate) fn ends_quietly(entry: &Submit) -> bool {
    owes(entry) == Owes::OnlyFailure
}

/// Whether a completion only says that its operation's buffer is free again.
pub(crate) fn is_notification(completion: &Completion) -> bool {
    completion.flags & CQE_NOTIF != 0
}

/// The chain that a ring's next submission belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chains {
    /// It has one that posts nothing on success: if that one fails, those behind it post nothing either.
    has_quiet: bool,
    is_open: bool,
    /// Number of the next submission, if none is missing.
    next: u64,
}

impl Chains {
    /// Takes in the next submission; says whether one in front of it in its chain may end it in silence.
    /// Where records are missing, that one may be among them.
    pub(crate) fn is_behind_quiet(
        &mut self,
        entry: &Submit,
        sequence: u64,
        is_lossy: bool,
    ) -> bool {
        // Entries of other threads come out of turn where their times are not exact: no chain goes on with those.
        let is_next = sequence == self.next;
        let gap = is_lossy && !is_next;
        self.next = sequence.saturating_add(1);
        let is_behind = gap || (is_next && self.is_open && self.has_quiet);
        self.has_quiet = is_behind || entry.sqe_flags & op::SQE_SKIP_SUCCESS != 0;
        self.is_open = entry.sqe_flags & op::SQE_LINKS != 0;
        is_behind
    }
}

#[cfg(test)]
std::thread_local! {
    /// Operations that completions were held against: what work is counted by.
    pub(super) static LOOKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How well a completion fits an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// It cannot be its.
    Never,
    /// In number and flags it can; its result is none that this table knows. A newer kernel may.
    Strange,
    /// It can be its, but that of somebody else is likelier who could have it, too.
    Hardly,
    /// It can be its.
    Well,
}

/// Whether an operation that had `before` completions could have posted this one.
pub(crate) fn fit(entry: &Submit, before: u32, completion: &Completion) -> Fit {
    #[cfg(test)]
    LOOKS.set(LOOKS.get() + 1);
    let owes = owes(entry);
    if !shape_fits(entry, owes, before, completion) {
        Fit::Never
    } else if completion.res < 0 {
        failure_fits(entry, completion.res)
    } else if success_fits(entry, completion.res) {
        Fit::Well
    } else {
        Fit::Strange
    }
}

/// Whether it fits in number and flags.
fn shape_fits(entry: &Submit, owes: Owes, before: u32, completion: &Completion) -> bool {
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
        && entry.sqe_flags & op::SQE_BUFFER_SELECT == 0
        && entry.opcode != op::READ_MULTISHOT
    {
        return false;
    }
    owes != Owes::OnlyFailure || may_be_failure(entry.opcode, res)
}

/// Whether a result is what an operation may post that posts nothing when all goes well.
pub(crate) fn may_be_failure(opcode: u8, res: i32) -> bool {
    res < 0 || may_be_short(opcode)
}

/// `IORING_NOP_INJECT_RESULT`: the result is taken from `len`.
const NOP_INJECTS: u32 = 1;
/// `-ENOENT` and `-EALREADY`
const NAMES_NOBODY: [i32; 2] = [-2, -114];

/// Whether a negative result is one that the operation can have: whatever it is, it can fail. But that what it names is not
/// there, or is about to end, is what an operation about others says, which it may share its cookie with.
///
/// One that waits never says so. Of all others nobody knows: a file's own driver or server may answer anything, and who
/// looks for a path says that there is none.
fn failure_fits(entry: &Submit, res: i32) -> Fit {
    if !NAMES_NOBODY.contains(&res) {
        return Fit::Well;
    }
    match entry.opcode {
        op::POLL_REMOVE | op::TIMEOUT_REMOVE | op::ASYNC_CANCEL | op::LINK_TIMEOUT => Fit::Well,
        op::POLL_ADD
        | op::TIMEOUT
        | op::ACCEPT
        | op::RECV
        | op::RECVMSG
        | op::RECV_ZC
        | op::EPOLL_WAIT
        | op::WAITID
        | op::FUTEX_WAIT
        | op::FUTEX_WAITV => Fit::Strange,
        op::NOP | op::NOP128 if entry.op_flags & NOP_INJECTS == 0 => Fit::Strange,
        _ => Fit::Hardly,
    }
}

/// Whether a non-negative result is one that the operation can have.
fn success_fits(entry: &Submit, res: i32) -> bool {
    let len = i64::from(entry.len);
    match entry.opcode {
        _ if res < 0 => false,
        op::NOP | op::NOP128 => res == 0 || entry.op_flags & NOP_INJECTS != 0,
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
        | op::SYNC_FILE_RANGE
        | op::FADVISE
        | op::EPOLL_CTL
        | op::FTRUNCATE
        | op::BIND
        | op::LISTEN
        | op::PIPE => res == 0,
        // `len` counts the parts of an array.
        op::SEND | op::SEND_ZC if entry.ioprio & op::SEND_VECTORIZED != 0 => true,
        op::READ
        | op::WRITE
        | op::READ_FIXED
        | op::WRITE_FIXED
        | op::SEND
        | op::SEND_ZC
        | op::SPLICE
        | op::TEE => chosen_by_kernel(entry) || i64::from(res) <= len,
        op::RECV => chosen_by_kernel(entry) || len == 0 || i64::from(res) <= len,
        _ => true,
    }
}

/// Whether the kernel picks the buffer, so that `len` is no limit.
fn chosen_by_kernel(entry: &Submit) -> bool {
    entry.sqe_flags & op::SQE_BUFFER_SELECT != 0 || (entry.len == 0 && entry.opcode != op::SEND)
}

/// Whether less than what was asked for counts as a failure, which skipping does not skip.
fn may_be_short(opcode: u8) -> bool {
    matches!(
        opcode,
        op::READ
            | op::WRITE
            | op::READV
            | op::WRITEV
            | op::READ_FIXED
            | op::WRITE_FIXED
            | op::SEND
            | op::SENDMSG
            | op::RECV
            | op::RECVMSG
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
            operation: None,
        }
    }

    fn well(entry: &Submit, before: u32, completion: &Completion) -> bool {
        fit(entry, before, completion) == Fit::Well
    }

    #[test]
    fn timeouts_and_nops_are_told_apart_by_their_results() {
        assert!(well(&entry(op::NOP), 0, &cqe(0, 0)));
        assert!(!well(&entry(op::TIMEOUT), 0, &cqe(0, 0)));
        assert!(well(&entry(op::TIMEOUT), 0, &cqe(-62, 0)));
        assert!(well(
            &Submit {
                off: 1,
                ..entry(op::TIMEOUT)
            },
            0,
            &cqe(0, 0)
        ));
        assert!(!well(&entry(op::NOP), 0, &cqe(5, 0)));
    }

    /// Who waits, and who is to end that, may have one cookie.
    #[test]
    fn that_nobody_of_that_name_is_there_is_said_by_who_names_somebody() {
        for res in NAMES_NOBODY {
            let of = |opcode| fit(&entry(opcode), 0, &cqe(res, 0));
            let waits = [
                op::POLL_ADD,
                op::TIMEOUT,
                op::ACCEPT,
                op::RECV,
                op::RECVMSG,
                op::RECV_ZC,
            ];
            for waits in waits
                .into_iter()
                .chain([op::NOP, op::FUTEX_WAIT, op::WAITID])
            {
                assert_eq!(of(waits), Fit::Strange, "{waits}");
            }
            for names in [
                op::POLL_REMOVE,
                op::TIMEOUT_REMOVE,
                op::ASYNC_CANCEL,
                op::LINK_TIMEOUT,
            ] {
                assert_eq!(of(names), Fit::Well, "{names}");
            }
            // A file's server may answer anything, and nobody knows what a newer kernel does.
            for may in [
                op::READ,
                op::WRITE,
                op::SEND_ZC,
                op::OPENAT,
                op::CONNECT,
                op::URING_CMD,
                200,
            ] {
                assert_eq!(of(may), Fit::Hardly, "{may}");
            }
            let injected = Submit {
                op_flags: NOP_INJECTS,
                ..entry(op::NOP)
            };
            assert_eq!(fit(&injected, 0, &cqe(res, 0)), Fit::Hardly);
        }
        assert!(well(&entry(op::POLL_ADD), 0, &cqe(-125, 0)));
    }

    #[test]
    fn zero_copy_owes_a_notification_only_after_more() {
        let send = Submit {
            len: 10,
            ..entry(op::SEND_ZC)
        };
        assert_eq!(owes(&send), Owes::ZeroCopy);
        assert!(well(&send, 0, &cqe(10, CQE_MORE)));
        assert!(!well(&send, 0, &cqe(0, CQE_NOTIF)));
        assert!(well(&send, 1, &cqe(0, CQE_NOTIF)));
        assert!(!well(&send, 1, &cqe(10, 0)));
        assert!(is_last(&cqe(0, CQE_NOTIF)) && !is_last(&cqe(10, CQE_MORE)));
    }

    #[test]
    fn more_bytes_than_parts_are_sent_of_an_array() {
        let parts = |ioprio| Submit {
            ioprio,
            len: 2,
            ..entry(op::SEND)
        };
        assert!(well(&parts(op::SEND_VECTORIZED), 0, &cqe(64, 0)));
        assert_eq!(fit(&parts(0), 0, &cqe(64, 0)), Fit::Strange);
    }

    #[test]
    fn only_multishot_operations_have_more() {
        let accept = Submit {
            ioprio: 1,
            ..entry(op::ACCEPT)
        };
        assert!(well(&accept, 3, &cqe(9, CQE_MORE)));
        assert!(!well(&entry(op::ACCEPT), 0, &cqe(9, CQE_MORE)));
    }

    #[test]
    fn skipped_success_leaves_failures() {
        let quiet = Submit {
            sqe_flags: op::SQE_SKIP_SUCCESS,
            ..entry(op::CLOSE)
        };
        assert_eq!(owes(&quiet), Owes::OnlyFailure);
        assert!(!well(&quiet, 0, &cqe(0, 0)));
        assert!(well(&quiet, 0, &cqe(-9, 0)));
    }

    #[test]
    fn every_opcode_owes_what_its_flags_say() {
        let multishot = [
            (op::ACCEPT, 1, 0, 0),
            (op::RECV, 2, 0, 0),
            (op::RECVMSG, 2, 0, 0),
            (op::SEND, 16, 0, 0),
            (op::POLL_ADD, 0, 1, 0),
            (op::TIMEOUT, 0, 0, 64),
            (op::URING_CMD, 0, 0, 2),
            (op::URING_CMD128, 0, 0, 2),
        ];
        for (opcode, ioprio, len, op_flags) in multishot {
            let many = Submit {
                ioprio,
                len,
                op_flags,
                ..entry(opcode)
            };
            assert_eq!(owes(&many), Owes::Many, "{opcode}");
            assert_eq!(owes(&entry(opcode)), Owes::One, "{opcode}");
        }
        for opcode in 0..=255 {
            let plain = match opcode {
                op::READ_MULTISHOT | op::RECV_ZC => Owes::Many,
                op::SEND_ZC | op::SENDMSG_ZC => Owes::ZeroCopy,
                _ => Owes::One,
            };
            assert_eq!(owes(&entry(opcode)), plain, "{opcode}");
            // Whatever it is, it can fail, and newer ones can have any result.
            assert!(well(&entry(opcode), 0, &cqe(-125, 0)), "{opcode}");
            assert!(opcode <= op::URING_CMD128 || well(&entry(opcode), 0, &cqe(77, 0)));
        }
    }

    #[test]
    fn a_result_that_is_not_listed_is_strange_and_a_flag_is_not_possible() {
        assert_eq!(fit(&entry(op::CLOSE), 0, &cqe(3, 0)), Fit::Strange);
        assert_eq!(fit(&entry(op::CLOSE), 0, &cqe(0, CQE_MORE)), Fit::Never);
        assert_eq!(fit(&entry(op::RECV), 0, &cqe(0, CQE_BUFFER)), Fit::Never);
    }
}
