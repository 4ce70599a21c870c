//! This process and its threads: who they are, what they were started with, their clocks and their ends.
//!
//! Holds `unsafe`: foreign functions.

use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
    fn getenv(name: *const c_char) -> *const c_char;
    fn getauxval(kind: u64) -> u64;
    fn geteuid() -> c_uint;
    fn getpid() -> c_int;
    fn getppid() -> c_int;
    fn nanosleep(time: *const Timespec, left: *mut Timespec) -> c_int;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn prctl(option: c_int, ...) -> c_int;
    fn pthread_key_create(key: *mut c_uint, destructor: extern "C" fn(*mut c_void)) -> c_int;
    fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
    fn atexit(handler: extern "C" fn()) -> c_int;
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

const AT_SECURE: u64 = 23;
const AT_RANDOM: u64 = 25;
const PR_GET_NAME: c_int = 16;
#[cfg(target_arch = "x86_64")]
mod number {
    use core::ffi::c_long;
    pub(super) const GETTID: c_long = 186;
    pub(super) const SIGPROCMASK: c_long = 14;
    pub(super) const GETRANDOM: c_long = 318;
}
#[cfg(target_arch = "aarch64")]
mod number {
    use core::ffi::c_long;
    pub(super) const GETTID: c_long = 178;
    pub(super) const SIGPROCMASK: c_long = 135;
    pub(super) const GETRANDOM: c_long = 278;
}

/// A variable of the environment. The C library's table is read without a lock, as everywhere in C.
pub(crate) fn environment(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: the name ends in NUL.
    let value = unsafe { getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: what `getenv` returns ends in NUL, and lives until the variable is changed; it is read
    // at once and not kept.
    Some(unsafe { CStr::from_ptr(value) }.to_bytes())
}

/// Whether the kernel gave this image more rights than its user has (setuid, file capabilities).
pub(crate) fn runs_with_raised_rights() -> bool {
    // SAFETY: no arguments but a number.
    unsafe { getauxval(AT_SECURE) != 0 }
}

pub(crate) fn effective_user() -> u32 {
    // SAFETY: no arguments.
    unsafe { geteuid() }
}

pub(crate) fn process_id() -> u32 {
    // SAFETY: no arguments.
    unsafe { getpid() as u32 }
}

pub(crate) fn parent_id() -> u32 {
    if cfg!(miri) {
        return 0;
    }
    // SAFETY: no arguments.
    unsafe { getppid() as u32 }
}

pub(crate) fn thread_id() -> u32 {
    if cfg!(miri) {
        return numbered_thread();
    }
    // SAFETY: no arguments.
    unsafe { syscall(number::GETTID) as u32 }
}

/// A number for the thread where the kernel gives none: one after the other.
fn numbered_thread() -> u32 {
    use core::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    std::thread_local! { static OWN: u32 = NEXT.fetch_add(1, Ordering::Relaxed); }
    OWN.with(|own| *own)
}

/// Process id in the high half, thread id in the low one.
pub(crate) fn process_and_thread() -> u64 {
    u64::from(process_id()) << 32 | u64::from(thread_id())
}

/// Name of the calling thread: at most 15 bytes, then NUL.
pub(crate) fn thread_name() -> [u8; 16] {
    if cfg!(miri) {
        return *b"miri\0\0\0\0\0\0\0\0\0\0\0\0";
    }
    let mut name = [0u8; 16];
    // SAFETY: the kernel writes at most 16 bytes.
    unsafe { prctl(PR_GET_NAME, name.as_mut_ptr()) };
    name
}

/// An address above every frame of the first thread's stack, and in the same mapping.
pub(crate) fn top_of_first_stack() -> u64 {
    // SAFETY: no arguments but a number. The kernel puts these bytes above the environment.
    unsafe { getauxval(AT_RANDOM) }
}

/// Sleeps for less than a second, or until a signal arrives.
pub(crate) fn sleep_ns(ns: u32) {
    let time = Timespec {
        seconds: 0,
        nanoseconds: i64::from(ns),
    };
    // SAFETY: the structure is ours; the time left is not asked for.
    unsafe { nanosleep(&time, core::ptr::null_mut()) };
}

pub(crate) fn random(bytes: &mut [u8]) {
    // SAFETY: the buffer is ours for its whole length.
    unsafe {
        syscall(
            number::GETRANDOM,
            bytes.as_mut_ptr(),
            bytes.len(),
            0 as c_uint,
        )
    };
}

/// A clock of the kernel, in ns.
pub(crate) fn clock_ns(clock: i32) -> u64 {
    let clock = if cfg!(miri) { MONOTONIC } else { clock };
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the structure is the C library's on 64-bit targets.
    unsafe { clock_gettime(clock, &mut time) };
    (time.seconds as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.nanoseconds as u64)
}

/// `CLOCK_REALTIME`
pub(crate) const REALTIME: i32 = 0;
/// `CLOCK_MONOTONIC`
pub(crate) const MONOTONIC: i32 = 1;
/// `CLOCK_BOOTTIME`
pub(crate) const BOOTTIME: i32 = 7;

/// Makes a key whose destructor runs at thread exit, after the destructors of `thread_local!`.
pub(crate) fn thread_exit_key(destructor: extern "C" fn(*mut c_void)) -> Option<u32> {
    let mut key = 0;
    // SAFETY: the destructor is a function of this program, which is never unloaded.
    (unsafe { pthread_key_create(&mut key, destructor) } == 0).then_some(key)
}

/// Sets the calling thread's value of a key.
pub(crate) fn set_thread_exit_value(key: u32, value: *const c_void) {
    // SAFETY: the key was made by `thread_exit_key` and is never deleted.
    unsafe { pthread_setspecific(key, value) };
}

/// Has `handler` run at `exit`.
pub(crate) fn at_exit(handler: extern "C" fn()) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: the handler is a function of this program, which is never unloaded.
    unsafe { atexit(handler) };
}

/// Has `handler` run in forked children.
pub(crate) fn in_forked_children(handler: extern "C" fn()) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: the handler is a function of this program, which is never unloaded.
    unsafe { pthread_atfork(None, None, Some(handler)) };
}

/// Runs `body` while no signal handler comes in between, but for those of faults, which `body` has to do without. What
/// the program blocks itself stays blocked.
pub(crate) fn without_signals<T>(body: impl FnOnce() -> T) -> T {
    const BLOCK: c_int = 0;
    const SET: c_int = 2;
    const BYTES: c_ulong = 8;
    // SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV and SIGSYS: blocked, they would end the process.
    const FAULTS: [u32; 6] = [4, 5, 7, 8, 11, 31];
    // The C library's own, without which its `pthread_cancel` and `setuid` wait; it blocks them for nobody either.
    const OF_THE_C_LIBRARY: [u32; 2] = [32, 33];
    let others = !FAULTS
        .iter()
        .chain(&OF_THE_C_LIBRARY)
        .fold(0u64, |set, signal| set | 1 << (signal - 1));
    let mask = |how: c_int, new: *const u64, old: *mut u64| {
        // SAFETY: both are sets of the kernel's size, or null.
        !cfg!(miri) && unsafe { syscall(number::SIGPROCMASK, how, new, old, BYTES) } == 0
    };
    let mut before = 0u64;
    let blocked = mask(BLOCK, &raw const others, &raw mut before);
    let result = body();
    if blocked {
        mask(SET, &raw const before, core::ptr::null_mut());
    }
    result
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::without_signals;

    /// Whether this thread blocks a signal.
    fn blocks(signal: i32) -> bool {
        // SAFETY: sets of zeros are valid ones, and nothing is changed.
        unsafe {
            let mut now: libc::sigset_t = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut now);
            libc::sigismember(&now, signal) == 1
        }
    }

    #[test]
    fn what_the_program_blocks_stays_blocked() {
        let all = [libc::SIGFPE, libc::SIGUSR1, libc::SIGALRM, libc::SIGSEGV];
        // SAFETY: sets of this thread, which ends with the test.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&mut set, libc::SIGFPE);
            libc::sigaddset(&mut set, libc::SIGUSR1);
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        }
        assert_eq!(all.map(blocks), [true, true, false, false]);
        assert_eq!(
            without_signals(|| all.map(blocks)),
            [true, true, true, false]
        );
        assert_eq!(all.map(blocks), [true, true, false, false]);
    }
}
