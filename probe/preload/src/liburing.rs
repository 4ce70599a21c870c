//! The functions of liburing's shared library that make system calls: it makes them in line, past the C library, so
//! its functions are what is taken.
//!
//! What a program compiles in from liburing's header touches memory only, which is looked at before and after. Each
//! function goes on to the one that would have been called without the shim, and returns what that returns.
//!
//! # Structures
//!
//! Four words of `struct io_uring` are read: the descriptor, the tail of entries that are filled and not
//! published, where the queue's size lies, and, of `.so.2` alone, what the kernel can do. They lie at the same places
//! since liburing 0.7 (its `.so.1`) and in all of `.so.2`; a ring of which they do not say what the kernel said is not
//! followed.
//!
//! In liburing's rings an entry's slot is its position, from the start or from the time of its publication.

use core::ffi::{c_int, c_long, c_void};
use core::sync::atomic::{AtomicU8, Ordering};

use probe::preload::Look;

use crate::kernel::Params;
use crate::next::{self, Next};
use crate::rings::{self, Found};
use crate::uring::{self, Call, Way};
use crate::{kernel as number, start};

/// `struct io_uring`, as far as it is looked at.
#[repr(C)]
pub struct IoUring {
    /// Pointers into the submission queue: head, tail, mask.
    sq_pointers: [*const u32; 3],
    sq_entries: *const u32,
    /// Flags, dropped, array, and the entries.
    sq_more: [*const c_void; 4],
    sqe_head: u32,
    sqe_tail: u32,
    sq_size: usize,
    sq_mapping: *const c_void,
    sq_words: [u32; 4],
    /// The completion queue: seven pointers, a size, a mapping, four words.
    completions: [usize; 11],
    flags: u32,
    ring_fd: c_int,
    features: u32,
}

const _: () = assert!(core::mem::offset_of!(IoUring, sqe_tail) == 68);
const _: () = assert!(core::mem::offset_of!(IoUring, ring_fd) == 196);
const _: () = assert!(core::mem::offset_of!(IoUring, features) == 200);

/// `-ENOSYS`: what is not there cannot be called. Only for who asks the loader for a name of liburing's in a process
/// that does not have it.
const MISSING: c_int = -38;

/// What a function does with the kernel.
#[derive(Clone, Copy)]
enum Enters {
    /// Hands over all entries, and maybe waits.
    Submits,
    /// Waits for so many completions; without any it enters only to fetch what found no room.
    Waits(u32),
    /// Waits for so many completions with a timeout, for which it hands over an entry of its own, and with that all
    /// others.
    WaitsByEntry(u32),
    /// Enters in any case.
    Fetches,
}

/// The descriptor of a ring.
///
/// # Safety
///
/// The pointer is what the program gave to liburing.
unsafe fn descriptor(ring: *const IoUring) -> Option<c_int> {
    // SAFETY: the caller's promise; liburing reads it as well.
    (!ring.is_null()).then(|| unsafe { (*ring).ring_fd })
}

/// # Safety
///
/// As for [`descriptor`].
unsafe fn find(ring: *const IoUring) -> Option<Found> {
    // SAFETY: the caller's promise.
    rings::find(unsafe { descriptor(ring) }?)
}

/// Looks at a ring before and after a function that enters it.
///
/// # Safety
///
/// As for [`descriptor`].
unsafe fn entering(ring: *mut IoUring, how: Enters, run: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the caller's promise.
    let Some(found) = (unsafe { find(ring) }) else {
        if start::is_on() {
            uring::unknown();
        }
        return run();
    };
    if !enters(&found, how) {
        return looking(&found, run);
    }
    let submits = matches!(how, Enters::Submits | Enters::WaitsByEntry(_));
    // SAFETY: the caller's promise; liburing publishes the entries up to here.
    let tail = submits.then(|| unsafe { (*ring).sqe_tail });
    uring::before(&found, tail);
    let pending = tail.and_then(|tail| found.with(|ring| ring.pending(tail)));
    let to_submit = pending.unwrap_or(0);
    let result = run();
    let min_complete = match how {
        Enters::Submits | Enters::Fetches => 0,
        Enters::Waits(count) | Enters::WaitsByEntry(count) => count,
    };
    // What a submission returns is what the kernel took; what a wait returns is none of the kernel's answers,
    // unless it failed.
    let answer = if matches!(how, Enters::Submits) {
        result
    } else {
        result.min(0)
    };
    uring::after(&found, to_submit, min_complete, answer);
    result
}

/// Whether a function enters the kernel.
fn enters(found: &Found, how: Enters) -> bool {
    !matches!(how, Enters::Waits(0)) || found.with(|ring| ring.has_overflown()).unwrap_or(false)
}

/// Looks at what the kernel did before and after a function that does not enter. It hands nothing over: what is published
/// may be filled behind it.
fn looking(found: &Found, run: impl FnOnce() -> c_int) -> c_int {
    let look = || found.with(|ring| Look::take(|look| ring.look(look)));
    look();
    let result = run();
    look();
    result
}

/// Whether liburing has a wait end by an entry of its own, where the kernel cannot be told of a timeout otherwise (before
/// 5.11), or liburing does not know how (its `.so.1`).
///
/// # Safety
///
/// As for [`descriptor`]; `function` is the one that is about to be called.
unsafe fn times_out_by_entry(ring: *const IoUring, timeout: usize, function: *mut c_void) -> bool {
    if timeout == 0 || ring.is_null() {
        return false;
    }
    // SAFETY: the caller's promise; liburing decides by the same word.
    is_first(function) || unsafe { (*ring).features } & number::EXT_ARG == 0
}

/// Whether this is a function of liburing's `.so.1`. Asked once: a process has one liburing.
fn is_first(function: *mut c_void) -> bool {
    const UNKNOWN: u8 = 0;
    static VERSION: AtomicU8 = AtomicU8::new(UNKNOWN);
    let version = match VERSION.load(Ordering::Relaxed) {
        UNKNOWN => {
            let file = next::file_of(function);
            let name = file.rsplit(|byte| *byte == b'/').next().unwrap_or(file);
            let version = if name.starts_with(b"liburing.so.1") {
                1
            } else {
                2
            };
            VERSION.store(version, Ordering::Relaxed);
            version
        }
        known => known,
    };
    version == 1
}

macro_rules! entering {
    ($($name:ident, |$a:ident, $b:ident, $c:ident, $by_entry:ident| $how:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        ///
        /// # Safety
        ///
        /// As for the function.
        #[unsafe(no_mangle)]
        #[allow(unused_variables, reason = "of some functions no argument says what they do")]
        pub unsafe extern "C" fn $name(
            ring: *mut IoUring, $a: usize, $b: usize, $c: usize, d: usize, e: usize,
        ) -> c_int {
            static NEXT: Next = Next::of_any(match core::ffi::CStr::from_bytes_with_nul(
                concat!(stringify!($name), "\0").as_bytes(),
            ) {
                Ok(name) => name,
                Err(_) => panic!(),
            });
            let address = NEXT.address();
            if address.is_null() {
                return MISSING;
            }
            type Function =
                unsafe extern "C" fn(*mut IoUring, usize, usize, usize, usize, usize) -> c_int;
            // SAFETY: the program's ring.
            let $by_entry = |timeout: usize| unsafe { times_out_by_entry(ring, timeout, address) };
            // SAFETY: the function of that name takes a ring and five words at most, in registers.
            let function = unsafe { core::mem::transmute::<*mut c_void, Function>(address) };
            // SAFETY: the caller's promise.
            unsafe { entering(ring, $how, || function(ring, $a, $b, $c, d, e)) }
        }
    )*};
}

entering! {
    io_uring_submit, |a, b, c, by_entry| Enters::Submits;
    io_uring_submit_and_wait, |a, b, c, by_entry| Enters::Submits;
    io_uring_submit_and_wait_timeout, |a, b, c, by_entry| Enters::Submits;
    io_uring_submit_and_wait_min_timeout, |a, b, c, by_entry| Enters::Submits;
    io_uring_submit_and_wait_reg, |a, b, c, by_entry| Enters::Submits;
    io_uring_submit_and_get_events, |a, b, c, by_entry| Enters::Submits;
    io_uring_get_events, |a, b, c, by_entry| Enters::Fetches;
    // (ring, completion, count, timeout, signals)
    io_uring_wait_cqes, |a, count, timeout, by_entry| match by_entry(timeout) {
        true => Enters::WaitsByEntry(count as u32),
        false => Enters::Waits(count as u32),
    };
    io_uring_wait_cqes_min_timeout, |a, count, c, by_entry| Enters::Waits(count as u32);
    // (ring, completion, timeout)
    io_uring_wait_cqe_timeout, |a, timeout, c, by_entry| match by_entry(timeout) {
        true => Enters::WaitsByEntry(1),
        false => Enters::Waits(1),
    };
    // (ring, completions, count): it never waits.
    io_uring_peek_batch_cqe, |a, b, c, by_entry| Enters::Waits(0);
    // (ring, completion, entries to hand over, count, signals)
    __io_uring_get_cqe, |a, submit, count, by_entry| match submit as u32 {
        0 => Enters::Waits(count as u32),
        _ => Enters::Submits,
    };
}

/// The function behind one of liburing's names.
macro_rules! behind {
    ($name:literal, $function:ty) => {{
        static NEXT: Next = Next::of_any($name);
        let address = NEXT.address();
        if address.is_null() {
            return MISSING;
        }
        // SAFETY: the function of that name has this signature.
        unsafe { core::mem::transmute::<*mut c_void, $function>(address) }
    }};
}

/// `io_uring_queue_init`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_uring_queue_init(
    entries: u32,
    ring: *mut IoUring,
    flags: u32,
) -> c_int {
    // That is all that it does.
    let mut params = Params {
        flags,
        ..Params::default()
    };
    // SAFETY: the caller's promise.
    unsafe { io_uring_queue_init_params(entries, ring, (&raw mut params).cast()) }
}

/// `io_uring_queue_init_params`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_uring_queue_init_params(
    entries: u32,
    ring: *mut IoUring,
    params: *mut c_void,
) -> c_int {
    type Function = unsafe extern "C" fn(u32, *mut IoUring, *mut c_void) -> c_int;
    let function = behind!(c"io_uring_queue_init_params", Function);
    let before = uring::made_count();
    // SAFETY: the caller's promise.
    let result = unsafe { function(entries, ring, params) };
    // SAFETY: the caller's promise.
    unsafe { initialised(ring, params.cast(), before, result) };
    result
}

/// `io_uring_queue_init_mem`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_uring_queue_init_mem(
    entries: u32,
    ring: *mut IoUring,
    params: *mut c_void,
    memory: *mut c_void,
    size: usize,
) -> c_int {
    type Function =
        unsafe extern "C" fn(u32, *mut IoUring, *mut c_void, *mut c_void, usize) -> c_int;
    let function = behind!(c"io_uring_queue_init_mem", Function);
    let before = uring::made_count();
    // SAFETY: the caller's promise.
    let result = unsafe { function(entries, ring, params, memory, size) };
    // SAFETY: the caller's promise.
    unsafe { initialised(ring, params.cast(), before, result) };
    result
}

/// liburing made a ring, or failed.
///
/// # Safety
///
/// Both pointers are what the program gave to liburing.
unsafe fn initialised(ring: *const IoUring, params: *const Params, before: u32, result: c_int) {
    if result < 0 {
        start::refused(result);
    }
    if result < 0 || params.is_null() || !start::wanted() {
        return;
    }
    // SAFETY: the caller's promise.
    let Some(fd) = (unsafe { descriptor(ring) }) else {
        return;
    };
    // SAFETY: the kernel filled it.
    let params = unsafe { params.read_unaligned() };
    // Else this liburing makes its calls by the C library, and the ring was seen there.
    if !uring::was_made_since(fd, before) {
        // SAFETY: the ring was just made, and the program does not know of it yet.
        unsafe { uring::made(fd, &params) };
    }
    if rings::find(fd).is_none() {
        return;
    }
    // SAFETY: liburing set the pointers to words of the queues that it mapped.
    let size = unsafe { (*ring).sq_entries.as_ref() }.copied();
    if size != Some(params.sq_entries) {
        uring::gone(fd);
        uring::refuse("not recorded: a ring of a liburing whose structures are not known");
    }
}

/// `io_uring_queue_exit`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_uring_queue_exit(ring: *mut IoUring) {
    static NEXT: Next = Next::of_any(c"io_uring_queue_exit");
    // SAFETY: the caller's promise.
    if let Some(fd) = unsafe { descriptor(ring) }
        && start::is_on()
        && start::is_own_process()
    {
        uring::gone(fd);
    }
    let address = NEXT.address();
    if !address.is_null() {
        type Function = unsafe extern "C" fn(*mut IoUring);
        // SAFETY: the function of that name has this signature.
        let function = unsafe { core::mem::transmute::<*mut c_void, Function>(address) };
        // SAFETY: the caller's promise.
        unsafe { function(ring) }
    }
}

/// `io_uring_close_ring_fd`: from here on the ring has no descriptor, by which it is known.
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_uring_close_ring_fd(ring: *mut IoUring) -> c_int {
    type Function = unsafe extern "C" fn(*mut IoUring) -> c_int;
    let function = behind!(c"io_uring_close_ring_fd", Function);
    // SAFETY: the caller's promise.
    if let Some(found) = unsafe { find(ring) } {
        uring::gone(found.fd());
        uring::refuse(
            "not recorded any further: a ring whose descriptor was closed (io_uring_close_ring_fd)",
        );
    }
    // SAFETY: the caller's promise.
    unsafe { function(ring) }
}

/// `io_uring_resize_rings`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_uring_resize_rings(ring: *mut IoUring, params: *mut c_void) -> c_int {
    type Function = unsafe extern "C" fn(*mut IoUring, *mut c_void) -> c_int;
    let function = behind!(c"io_uring_resize_rings", Function);
    // SAFETY: the caller's promise.
    let found = unsafe { find(ring) };
    // SAFETY: the caller's promise.
    let result = unsafe { function(ring, params) };
    if result >= 0
        && let Some(found) = found
    {
        uring::resized(found);
    }
    result
}

macro_rules! calls {
    ($($name:ident, $symbol:literal, $number:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`, the system call itself.")]
        ///
        /// # Safety
        ///
        /// As for the system call.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            a: usize, b: usize, c: usize, d: usize, e: usize, f: usize,
        ) -> c_int {
            static NEXT: Next = Next::of_any($symbol);
            let address = NEXT.address();
            if address.is_null() {
                return MISSING;
            }
            let call = Call {
                number: $number,
                arguments: [a, b, c, d, e, f],
                way: Way::Liburing(address),
            };
            // SAFETY: the program's call, with its arguments.
            let result: c_long = unsafe { uring::call(&call) };
            c_int::try_from(result).unwrap_or(c_int::MAX)
        }
    )*};
}

calls! {
    io_uring_setup, c"io_uring_setup", number::SETUP;
    io_uring_enter, c"io_uring_enter", number::ENTER;
    io_uring_enter2, c"io_uring_enter2", number::ENTER;
    io_uring_register, c"io_uring_register", number::REGISTER;
}
