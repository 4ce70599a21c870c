//! What of the Linux user API for io_uring is used here, and the few system calls that are the shim's own.
//!
//! They are made in line: the C library's wrappers set `errno`, and are what this interposes.

use core::arch::asm;
use core::ffi::c_long;

/// Numbers of system calls that are the same on all architectures.
pub(crate) const SETUP: c_long = 425;
pub(crate) const ENTER: c_long = 426;
pub(crate) const REGISTER: c_long = 427;

/// `__NR_close_range`, on all architectures too.
pub(crate) const CLOSE_RANGE: c_long = 436;

#[cfg(target_arch = "x86_64")]
pub(crate) mod number {
    pub(super) const MMAP: i64 = 9;
    pub(super) const MUNMAP: i64 = 11;
    pub(super) const MADVISE: i64 = 28;
    pub(super) const SCHED_YIELD: i64 = 24;
    pub(crate) const CLOSE: i64 = 3;
    pub(crate) const DUP2: i64 = 33;
    pub(crate) const DUP3: i64 = 292;
    pub(crate) const FCNTL: i64 = 72;
    pub(super) const OPENAT: i64 = 257;
    pub(super) const READ: i64 = 0;
    pub(super) const RT_SIGACTION: i64 = 13;
    pub(super) const RT_SIGPROCMASK: i64 = 14;
    pub(super) const GETPID: i64 = 39;
    pub(super) const GETTID: i64 = 186;
    pub(super) const PERSONALITY: i64 = 135;
    pub(super) const PRCTL: i64 = 157;
    pub(super) const TGKILL: i64 = 234;
    pub(crate) const SECCOMP: i64 = 317;
}
#[cfg(target_arch = "aarch64")]
pub(crate) mod number {
    pub(super) const MMAP: i64 = 222;
    pub(super) const MUNMAP: i64 = 215;
    pub(super) const MADVISE: i64 = 233;
    pub(super) const SCHED_YIELD: i64 = 124;
    pub(crate) const CLOSE: i64 = 57;
    /// There is none.
    pub(crate) const DUP2: i64 = -1;
    pub(crate) const DUP3: i64 = 24;
    pub(crate) const FCNTL: i64 = 25;
    pub(super) const OPENAT: i64 = 56;
    pub(super) const READ: i64 = 63;
    pub(super) const RT_SIGPROCMASK: i64 = 135;
    pub(crate) const SECCOMP: i64 = 277;
}

/// `IORING_SETUP_*`
pub(crate) const SQPOLL: u32 = 1 << 1;
pub(crate) const SQE128: u32 = 1 << 10;
pub(crate) const CQE32: u32 = 1 << 11;
pub(crate) const NO_MMAP: u32 = 1 << 14;
pub(crate) const REGISTERED_FD_ONLY: u32 = 1 << 15;
pub(crate) const NO_SQARRAY: u32 = 1 << 16;
pub(crate) const CQE_MIXED: u32 = 1 << 18;
pub(crate) const SQE_MIXED: u32 = 1 << 19;
pub(crate) const SQ_REWIND: u32 = 1 << 20;
/// `IORING_FEAT_SINGLE_MMAP`
pub(crate) const SINGLE_MMAP: u32 = 1;
/// `IORING_FEAT_EXT_ARG`
pub(crate) const EXT_ARG: u32 = 1 << 8;
/// `IORING_ENTER_EXT_ARG`
#[cfg(target_arch = "x86_64")]
pub(crate) const ENTER_EXT_ARG: u32 = 1 << 3;
/// `IORING_ENTER_EXT_ARG_REG`
#[cfg(target_arch = "x86_64")]
pub(crate) const ENTER_EXT_ARG_REG: u32 = 1 << 6;
/// `IORING_ENTER_REGISTERED_RING`
pub(crate) const ENTER_REGISTERED: u32 = 1 << 4;
/// `IORING_SQ_CQ_OVERFLOW`, a bit of the submission queue's flags.
pub(crate) const CQ_OVERFLOW: u32 = 1 << 1;
/// `IORING_REGISTER_*`
pub(crate) const REGISTER_RING_FDS: u32 = 20;
pub(crate) const UNREGISTER_RING_FDS: u32 = 21;
pub(crate) const RESIZE_RINGS: u32 = 33;
/// `IORING_REGISTER_USE_REGISTERED_RING`
pub(crate) const USE_REGISTERED: u32 = 1 << 31;
/// Offsets for `mmap` of a ring's descriptor.
pub(crate) const OFF_SQ: i64 = 0;
pub(crate) const OFF_CQ: i64 = 0x800_0000;
pub(crate) const OFF_SQES: i64 = 0x1000_0000;

/// `struct io_sqring_offsets` and `struct io_cqring_offsets`: eight numbers, and an address of the user's.
/// Of the submission queue: head, tail, mask, entries, flags, dropped, array. Of the completion queue: head, tail,
/// mask, entries, overflow, completions, flags.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offsets {
    pub(crate) at: [u32; 8],
    pub(crate) user_addr: u64,
}

/// `struct io_uring_params`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Params {
    pub(crate) sq_entries: u32,
    pub(crate) cq_entries: u32,
    pub(crate) flags: u32,
    pub(crate) sq_thread_cpu: u32,
    pub(crate) sq_thread_idle: u32,
    pub(crate) features: u32,
    pub(crate) wq_fd: u32,
    pub(crate) reserved: [u32; 3],
    pub(crate) sq: Offsets,
    pub(crate) cq: Offsets,
}

const _: () = assert!(size_of::<Params>() == 120);

/// Whether the eight bytes at an address can be read: the kernel is asked to take a set of signals from there, for a
/// purpose that there is none of.
pub(crate) fn is_readable(address: usize) -> bool {
    const FAULT: isize = -14;
    // SAFETY: no set of signals is changed: the kernel refuses the call, for the address or for its purpose.
    unsafe { call(number::RT_SIGPROCMASK, [usize::MAX, address, 0, 8, 0, 0]) != FAULT }
}

/// Makes a system call without `errno`: an error is a negative number.
///
/// # Safety
///
/// That of the call.
pub(crate) unsafe fn call(number: i64, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel's convention on this architecture; the caller answers for the call.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    result
}

/// Maps `len` bytes that can be read and written: of a descriptor from an offset on, or private and zeroed.
/// A forked child does not have the former, and finds the latter zeroed.
pub(crate) fn map(file: Option<(i32, i64)>, len: usize) -> Option<*mut u8> {
    const DONTFORK: usize = 10;
    const WIPEONFORK: usize = 18;
    let start = map_as(file, len)?;
    let advice = if file.is_some() { DONTFORK } else { WIPEONFORK };
    // SAFETY: advice about the mapping just made.
    if unsafe { call(number::MADVISE, [start as usize, len, advice, 0, 0, 0]) } != 0 {
        // Without it a child would use what is its parent's.
        // SAFETY: made above, and known to nobody.
        unsafe { unmap(start, len) };
        return None;
    }
    Some(start)
}

/// Zeroed memory that a forked child has a copy of.
pub(crate) fn map_copied(len: usize) -> Option<*mut u8> {
    map_as(None, len)
}

fn map_as(file: Option<(i32, i64)>, len: usize) -> Option<*mut u8> {
    const READ_WRITE: usize = 3;
    const SHARED: usize = 1;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    let (flags, fd, offset) = match file {
        Some((fd, offset)) => (SHARED, fd as usize, offset as usize),
        None => (PRIVATE_ANONYMOUS, usize::MAX, 0),
    };
    let arguments = [0, len, READ_WRITE, flags, fd, offset];
    // SAFETY: a new mapping at a place of the kernel's choice.
    let start = unsafe { call(number::MMAP, arguments) };
    (start > 0).then_some(start as *mut u8)
}

/// Takes a mapping of [`map`] away.
///
/// # Safety
///
/// Nobody uses it any more.
pub(crate) unsafe fn unmap(start: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { call(number::MUNMAP, [start as usize, len, 0, 0, 0, 0]) };
}

/// Maps the first page of a file, for this process and those that it forks; its path ends in NUL. Bytes behind the file's
/// end are not to be touched.
pub(crate) fn share(path: &[u8]) -> Option<*mut u8> {
    const AT_FDCWD: usize = -100isize as usize;
    const READ_WRITE_CLOEXEC: usize = 2 | 0o2_000_000;
    const READ_WRITE: usize = 3;
    const SHARED: usize = 1;
    if path.last() != Some(&0) {
        return None;
    }
    let arguments = [
        AT_FDCWD,
        path.as_ptr() as usize,
        READ_WRITE_CLOEXEC,
        0,
        0,
        0,
    ];
    // SAFETY: the path ends in NUL and outlives the call.
    let fd = usize::try_from(unsafe { call(number::OPENAT, arguments) }).ok()?;
    // SAFETY: a new mapping at a place of the kernel's choice.
    let start = unsafe { call(number::MMAP, [0, 4096, READ_WRITE, SHARED, fd, 0]) };
    // SAFETY: opened above, and known to nobody.
    unsafe { call(number::CLOSE, [fd, 0, 0, 0, 0, 0]) };
    (start > 0).then_some(start as *mut u8)
}

/// Lets another thread run.
pub(crate) fn give_way() {
    // SAFETY: no arguments.
    unsafe { call(number::SCHED_YIELD, [0; 6]) };
}

/// Makes an empty file, if there is none; its path ends in NUL.
pub(crate) fn touch(path: &[u8]) {
    const AT_FDCWD: usize = -100isize as usize;
    const WRITE_CREATE_EXCLUSIVE_CLOEXEC: usize = 1 | 0o100 | 0o200 | 0o2_000_000;
    if path.last() != Some(&0) {
        return;
    }
    let flags = WRITE_CREATE_EXCLUSIVE_CLOEXEC;
    let arguments = [AT_FDCWD, path.as_ptr() as usize, flags, 0o600, 0, 0];
    // SAFETY: the path ends in NUL and outlives the call.
    let fd = unsafe { call(number::OPENAT, arguments) };
    if fd >= 0 {
        // SAFETY: opened above, and known to nobody.
        unsafe { call(number::CLOSE, [fd as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Reads the beginning of a file; its path ends in NUL. Returns how many bytes there are.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "of the trap"))]
pub(crate) fn read_file(path: &[u8], into: &mut [u8]) -> usize {
    const AT_FDCWD: usize = -100isize as usize;
    const CLOEXEC: usize = 0o2_000_000;
    if path.last() != Some(&0) {
        return 0;
    }
    let arguments = [AT_FDCWD, path.as_ptr() as usize, CLOEXEC, 0, 0, 0];
    // SAFETY: the path ends in NUL and outlives the call.
    let fd = unsafe { call(number::OPENAT, arguments) };
    let Ok(fd) = usize::try_from(fd) else {
        return 0;
    };
    let arguments = [fd, into.as_mut_ptr() as usize, into.len(), 0, 0, 0];
    // SAFETY: as many bytes as there is room for.
    let read = unsafe { call(number::READ, arguments) };
    // SAFETY: opened above, and known to nobody.
    unsafe { call(number::CLOSE, [fd, 0, 0, 0, 0, 0]) };
    usize::try_from(read).unwrap_or(0)
}

#[cfg(target_arch = "x86_64")]
pub(crate) use signals::*;

/// Signals and filters, past the C library.
#[cfg(target_arch = "x86_64")]
mod signals {
    use core::ffi::{c_int, c_void};

    use super::{call, number};

    /// The kernel's `struct sigaction`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct SignalAction {
        pub(crate) handler: usize,
        pub(crate) flags: u64,
        pub(crate) restorer: usize,
        pub(crate) mask: u64,
    }

    /// Sets what a signal does; returns what it did before.
    pub(crate) fn signal_action(signal: c_int, new: Option<&SignalAction>) -> Option<SignalAction> {
        let mut old = SignalAction::default();
        let new = new.map_or(core::ptr::null(), core::ptr::from_ref);
        let arguments = [
            signal as usize,
            new as usize,
            (&raw mut old) as usize,
            8,
            0,
            0,
        ];
        // SAFETY: both structures are the kernel's.
        (unsafe { call(number::RT_SIGACTION, arguments) } == 0).then_some(old)
    }

    /// Lets signals through to this thread.
    pub(crate) fn unblock_signals(set: u64) {
        const UNBLOCK: usize = 1;
        let arguments = [UNBLOCK, (&raw const set) as usize, 0, 8, 0, 0];
        // SAFETY: a set of the kernel's size.
        unsafe { call(number::RT_SIGPROCMASK, arguments) };
    }

    /// The signals that this thread blocks.
    pub(crate) fn signal_mask() -> u64 {
        let mut set = 0u64;
        let arguments = [0, 0, (&raw mut set) as usize, 8, 0, 0];
        // SAFETY: room for a set of the kernel's size.
        unsafe { call(number::RT_SIGPROCMASK, arguments) };
        set
    }

    /// What lies at an address, if anything does: it is the kernel that looks first.
    ///
    /// # Safety
    ///
    /// Any bytes are a `T`, which is of whole words.
    pub(crate) unsafe fn peek<T: Copy>(address: usize) -> Option<T> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        // The kernel reads a set before it finds that it knows no such use of it.
        const NO_SUCH_USE: usize = 0x7FFF_FFFF;
        const EINVAL: isize = -22;
        let can_read = |at: usize| {
            // SAFETY: nothing is set.
            let answer = unsafe { call(number::RT_SIGPROCMASK, [NO_SUCH_USE, at, 0, 8, 0, 0]) };
            at != 0 && answer == EINVAL
        };
        let words = size_of::<T>() / 8;
        let mut places = (0..words).map(|word| address.wrapping_add(word * 8));
        // SAFETY: all of it can be read, and the caller's promise.
        (address != 0 && places.all(can_read))
            .then(|| unsafe { (address as *const T).read_unaligned() })
    }

    /// Ends the process by a signal, as if nobody handled it.
    pub(crate) fn die_by(signal: c_int) {
        signal_action(signal, Some(&SignalAction::default()));
        // SAFETY: no arguments.
        let (process, thread) = unsafe {
            (
                call(number::GETPID, [0; 6]) as usize,
                call(number::GETTID, [0; 6]) as usize,
            )
        };
        // SAFETY: a signal to this very thread.
        unsafe { call(number::TGKILL, [process, thread, signal as usize, 0, 0, 0]) };
    }

    /// The execution domain of the process, a negative number where nobody says.
    pub(crate) fn personality() -> isize {
        // SAFETY: asks only.
        unsafe { call(number::PERSONALITY, [0xFFFF_FFFF, 0, 0, 0, 0, 0]) }
    }

    /// Gives up the right to raise privileges.
    pub(crate) fn no_new_privileges() -> bool {
        const SET_NO_NEW_PRIVS: usize = 38;
        // SAFETY: no memory is involved.
        unsafe { call(number::PRCTL, [SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]) == 0 }
    }

    /// Installs a filter for all threads. 0, an error as a negative number, or a thread that it cannot be for.
    pub(crate) fn seccomp_filter(program: *const c_void) -> isize {
        const SET_MODE_FILTER: usize = 1;
        const TSYNC: usize = 1;
        let arguments = [SET_MODE_FILTER, TSYNC, program as usize, 0, 0, 0];
        // SAFETY: the caller's program is of the kernel's shape.
        unsafe { call(number::SECCOMP, arguments) }
    }
}

/// A number that no other running thread of this process has, without a system call.
pub(crate) fn thread() -> u64 {
    let thread: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the first word behind the thread pointer holds its own address (System V ABI, TLS).
    unsafe {
        asm!("mov {}, fs:0", out(reg) thread, options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads the thread pointer.
    unsafe {
        asm!("mrs {}, tpidr_el0", out(reg) thread, options(nostack, preserves_flags, nomem));
    }
    thread
}
