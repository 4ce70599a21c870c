//! Whether this process may use io_uring, and if not, who forbids it and what to do.
//!
//! The kernel itself is asked, by making a ring of one entry; the reason is then read from the error,
//! the sysctl, the process's seccomp mode and the kernel's release. Telling seccomp from a kernel
//! without io_uring is an inference, and the text says so.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// io_uring cannot be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotPermitted {
    /// Who forbids it.
    pub cause: Cause,
    /// What the kernel answered, 0 where it answered with a ring that lacks something.
    pub errno: i32,
}

/// Why a ring cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The sysctl `kernel.io_uring_disabled`, with its value.
    Sysctl(i32),
    /// A seccomp filter, as container runtimes install it.
    Seccomp,
    /// The kernel knows no io_uring, or too little of it.
    KernelTooOld,
    /// The limit of locked memory, which kernels before 5.12 count rings against.
    Memlock,
    /// Something else.
    Other,
}

impl fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.cause {
            Cause::Sysctl(value) => {
                return write!(
                    f,
                    "io_uring is switched off by the sysctl kernel.io_uring_disabled = {value}; \
                     as root: sysctl kernel.io_uring_disabled=0"
                );
            }
            Cause::Seccomp => {
                "io_uring is forbidden by a seccomp filter, as containers have it; allow \
                 io_uring_setup, io_uring_enter and io_uring_register in its profile (docker, podman: \
                 --security-opt seccomp=PROFILE.json, or =unconfined for a try)"
            }
            Cause::KernelTooOld => {
                "this kernel has no io_uring, or one older than 5.6; a newer kernel is needed"
            }
            Cause::Memlock => {
                "the limit of locked memory leaves no room for a ring; raise it (ulimit -l)"
            }
            Cause::Other => {
                let error = io::Error::from_raw_os_error(self.errno);
                return write!(f, "io_uring cannot be used here: {error}");
            }
        };
        f.write_str(text)
    }
}

impl std::error::Error for NotPermitted {}

/// Asks the kernel for a ring.
pub fn io_uring_permitted() -> Result<(), NotPermitted> {
    let sysctl = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    match features_of_a_small_ring() {
        Ok(features) if features & FEAT_RW_CUR_POS != 0 => Ok(()),
        Ok(_) => Err(NotPermitted {
            cause: Cause::KernelTooOld,
            errno: 0,
        }),
        Err(errno) => Err(NotPermitted {
            cause: classify(
                errno,
                sysctl.and_then(|text| text.trim().parse().ok()),
                status
                    .lines()
                    .any(|line| line.strip_prefix("Seccomp:").map(str::trim) == Some("2")),
            ),
            errno,
        }),
    }
}

/// Came with 5.6, as did the operations that the runtime uses.
const FEAT_RW_CUR_POS: u32 = 1 << 3;

fn classify(errno: i32, sysctl: Option<i32>, filtered: bool) -> Cause {
    match (errno, sysctl) {
        (libc::EPERM, Some(value @ 1..)) => Cause::Sysctl(value),
        (libc::EPERM | libc::EACCES, _) => Cause::Seccomp,
        // Some filters answer as if the call did not exist. A kernel that has the sysctl has the call.
        (libc::ENOSYS, _) if filtered || sysctl.is_some() => Cause::Seccomp,
        (libc::ENOSYS, _) => Cause::KernelTooOld,
        (libc::ENOMEM, _) => Cause::Memlock,
        _ => Cause::Other,
    }
}

fn features_of_a_small_ring() -> Result<u32, i32> {
    /// `struct io_uring_params` in words; the sixth are the features.
    const FEATURES: usize = 5;
    let mut params = [0u32; 30];
    // SAFETY: 120 writable bytes, as the kernel's structure has; all zero is a valid request.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr()) };
    match i32::try_from(fd) {
        Ok(fd) if fd >= 0 => {
            // SAFETY: the kernel just made this descriptor for us alone.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            Ok(params[FEATURES])
        }
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}

/// For tests: whether the kernel's rings are to be tested. Where io_uring is not permitted the test
/// fails with the reason, unless the environment allows the simulated ring alone.
#[doc(hidden)]
pub fn kernel_or_reason() -> bool {
    match io_uring_permitted() {
        Ok(()) => true,
        Err(reason) if std::env::var_os(ALLOW_SIMULATED).is_some_and(|value| value == "1") => {
            eprintln!("not tested, because {ALLOW_SIMULATED}=1 and: {reason}");
            false
        }
        Err(reason) => panic!(
            "this test needs io_uring: {reason}. To test the simulated ring alone, set \
             {ALLOW_SIMULATED}=1"
        ),
    }
}

const ALLOW_SIMULATED: &str = "TRACER_ALLOW_SIMULATED";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_apart() {
        assert_eq!(classify(libc::EPERM, Some(2), false), Cause::Sysctl(2));
        assert_eq!(classify(libc::EPERM, Some(1), true), Cause::Sysctl(1));
        assert_eq!(classify(libc::EPERM, Some(0), true), Cause::Seccomp);
        assert_eq!(classify(libc::EPERM, None, false), Cause::Seccomp);
        assert_eq!(classify(libc::ENOSYS, Some(0), false), Cause::Seccomp);
        assert_eq!(classify(libc::ENOSYS, None, true), Cause::Seccomp);
        assert_eq!(classify(libc::ENOSYS, None, false), Cause::KernelTooOld);
        assert_eq!(classify(libc::ENOMEM, None, false), Cause::Memlock);
        assert_eq!(classify(libc::EMFILE, None, false), Cause::Other);
    }

    #[test]
    fn each_text_says_what_to_do() {
        for (cause, advice) in [
            (Cause::Sysctl(2), "sysctl kernel.io_uring_disabled=0"),
            (Cause::Seccomp, "--security-opt"),
            (Cause::KernelTooOld, "newer kernel"),
            (Cause::Memlock, "ulimit -l"),
        ] {
            assert!(
                NotPermitted { cause, errno: 1 }
                    .to_string()
                    .contains(advice)
            );
        }
    }
}
