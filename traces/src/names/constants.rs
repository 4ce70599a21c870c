//! Names of the kernel's numbers: operations of io_uring up to Linux 6.19, error numbers, signals.

use std::borrow::Cow;

/// `IORING_OP_*` by number.
#[rustfmt::skip]
static OPCODES: &[&str] = &[
    "NOP", "READV", "WRITEV", "FSYNC", "READ_FIXED", "WRITE_FIXED", "POLL_ADD", "POLL_REMOVE",
    "SYNC_FILE_RANGE", "SENDMSG", "RECVMSG", "TIMEOUT", "TIMEOUT_REMOVE", "ACCEPT", "ASYNC_CANCEL",
    "LINK_TIMEOUT", "CONNECT", "FALLOCATE", "OPENAT", "CLOSE", "FILES_UPDATE", "STATX", "READ",
    "WRITE", "FADVISE", "MADVISE", "SEND", "RECV", "OPENAT2", "EPOLL_CTL", "SPLICE",
    "PROVIDE_BUFFERS", "REMOVE_BUFFERS", "TEE", "SHUTDOWN", "RENAMEAT", "UNLINKAT", "MKDIRAT",
    "SYMLINKAT", "LINKAT", "MSG_RING", "FSETXATTR", "SETXATTR", "FGETXATTR", "GETXATTR", "SOCKET",
    "URING_CMD", "SEND_ZC", "SENDMSG_ZC", "READ_MULTISHOT", "WAITID", "FUTEX_WAIT", "FUTEX_WAKE",
    "FUTEX_WAITV", "FIXED_FD_INSTALL", "FTRUNCATE", "BIND", "LISTEN", "RECV_ZC", "EPOLL_WAIT",
    "READV_FIXED", "WRITEV_FIXED", "PIPE", "NOP128", "URING_CMD128",
];

/// Error numbers of Linux; empty where there is none.
#[rustfmt::skip]
static ERRNOS: &[&str] = &[
    "", "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD",
    "EAGAIN", "ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV",
    "ENOTDIR", "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC",
    "ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE", "EDEADLK", "ENAMETOOLONG", "ENOLCK",
    "ENOSYS", "ENOTEMPTY", "ELOOP", "", "ENOMSG", "EIDRM", "ECHRNG", "EL2NSYNC", "EL3HLT",
    "EL3RST", "ELNRNG", "EUNATCH", "ENOCSI", "EL2HLT", "EBADE", "EBADR", "EXFULL", "ENOANO",
    "EBADRQC", "EBADSLT", "", "EBFONT", "ENOSTR", "ENODATA", "ETIME", "ENOSR", "ENONET", "ENOPKG",
    "EREMOTE", "ENOLINK", "EADV", "ESRMNT", "ECOMM", "EPROTO", "EMULTIHOP", "EDOTDOT", "EBADMSG",
    "EOVERFLOW", "ENOTUNIQ", "EBADFD", "EREMCHG", "ELIBACC", "ELIBBAD", "ELIBSCN", "ELIBMAX",
    "ELIBEXEC", "EILSEQ", "ERESTART", "ESTRPIPE", "EUSERS", "ENOTSOCK", "EDESTADDRREQ", "EMSGSIZE",
    "EPROTOTYPE", "ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP",
    "EPFNOSUPPORT", "EAFNOSUPPORT", "EADDRINUSE", "EADDRNOTAVAIL", "ENETDOWN", "ENETUNREACH",
    "ENETRESET", "ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN", "ESHUTDOWN",
    "ETOOMANYREFS", "ETIMEDOUT", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY",
    "EINPROGRESS", "ESTALE", "EUCLEAN", "ENOTNAM", "ENAVAIL", "EISNAM", "EREMOTEIO", "EDQUOT",
    "ENOMEDIUM", "EMEDIUMTYPE", "ECANCELED", "ENOKEY", "EKEYEXPIRED", "EKEYREVOKED",
    "EKEYREJECTED", "EOWNERDEAD", "ENOTRECOVERABLE", "ERFKILL", "EHWPOISON",
];

/// Signals below the real-time ones.
#[rustfmt::skip]
static SIGNALS: &[&str] = &[
    "", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE",
    "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT",
    "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU",
    "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
];

/// The name of an operation: `NOP`, or `OP200` for one of a newer kernel.
pub fn opcode(number: u8) -> Cow<'static, str> {
    match OPCODES.get(usize::from(number)) {
        Some(name) => Cow::Borrowed(name),
        None if number == wire::payload::CALLBACK => Cow::Borrowed("CALLBACK"),
        None => Cow::Owned(format!("OP{number}")),
    }
}

/// The number of an operation by the name that [`opcode`] gives.
pub fn opcode_by_name(name: &str) -> Option<u8> {
    if let Some(index) = OPCODES.iter().position(|known| *known == name) {
        return u8::try_from(index).ok();
    }
    if name == "CALLBACK" {
        return Some(wire::payload::CALLBACK);
    }
    name.strip_prefix("OP")
        .and_then(|digits| digits.parse().ok())
}

/// The name of an error number, given as a positive number.
pub fn errno(number: u32) -> Option<&'static str> {
    usize::try_from(number)
        .ok()
        .and_then(|at| ERRNOS.get(at))
        .copied()
        .filter(|n| !n.is_empty())
}

/// The name of a signal.
pub fn signal(number: i32) -> Option<&'static str> {
    usize::try_from(number)
        .ok()
        .and_then(|at| SIGNALS.get(at))
        .copied()
        .filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_kernel_headers() {
        for (number, name) in [
            (0, "NOP"),
            (11, "TIMEOUT"),
            (14, "ASYNC_CANCEL"),
            (27, "RECV"),
            (40, "MSG_RING"),
        ] {
            assert_eq!(opcode(number), name);
        }
        for (number, name) in [
            (47, "SEND_ZC"),
            (49, "READ_MULTISHOT"),
            (62, "PIPE"),
            (64, "URING_CMD128"),
        ] {
            assert_eq!(opcode(number), name);
        }
        assert_eq!(opcode(200), "OP200");
        assert_eq!(
            (errno(62), errno(125), errno(0)),
            (Some("ETIME"), Some("ECANCELED"), None)
        );
        assert_eq!(
            (signal(9), signal(0), signal(-1)),
            (Some("SIGKILL"), None, None)
        );
    }

    #[test]
    fn names_lead_back_to_numbers() {
        for number in 0..=255 {
            assert_eq!(opcode_by_name(&opcode(number)), Some(number));
        }
        assert_eq!(opcode_by_name("nop"), None);
    }
}
