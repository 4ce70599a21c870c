//! The names that the shim takes in the program's place. Each does its part and goes on to the next one of
//! that name, the C library's or another preloaded library's.
//!
//! `syscall` and `close` go on by a jump, with all registers as they were: system calls that are not
//! io_uring's behave as without the shim, even those that come back on another stack, and a thread that is
//! cancelled in `close` has no frame of the shim's to unwind.
//!
//! Not in unit tests, whose own process they would take over.

use core::ffi::{c_char, c_int, c_long, c_void};

use crate::kernel::number;
use crate::uring::{Call, Way};
use crate::{closing, kernel, memory, next, uring};

const _: () = assert!(kernel::SETUP == 425 && kernel::REGISTER == 427);

/// The last one of the operations of `seccomp` that forbid something (the other one is `SECCOMP_SET_MODE_STRICT`): those
/// behind it ask what there is.
const SECCOMP_SET_MODE_FILTER: usize = 1;

/// `syscall(2)`
///
/// # Safety
///
/// As for the system call.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall() -> c_long {
    core::arch::naked_asm!(
        "lea rax, [rdi - 425]",
        "cmp rax, 2",
        "jbe {ring}",
        // Those of `closing::NUMBERS`.
        "cmp edi, 3",
        "je {watched}",
        "cmp edi, 33",
        "je {watched}",
        "cmp edi, 292",
        "je {watched}",
        "cmp edi, 436",
        "je {watched}",
        // `seccomp`
        "cmp edi, 317",
        "je {watched}",
        "cmp byte ptr [rip + {trap}], 0",
        "jne 3f",
        "2: mov rax, qword ptr [rip + {next}]",
        "test rax, rax",
        "jz {first}",
        "jmp rax",
        // Calls are trapped: those of `trap::masks::NUMBERS` must not block the signal.
        "3: cmp rdi, 441",
        "ja 2b",
        "cmp edi, 13",
        "je {mask}",
        "cmp edi, 14",
        "je {mask}",
        "cmp edi, 130",
        "je {mask}",
        "cmp edi, 270",
        "je {mask}",
        "cmp edi, 271",
        "je {mask}",
        "cmp edi, 281",
        "je {mask}",
        "cmp edi, 333",
        "je {mask}",
        "cmp edi, 441",
        "je {mask}",
        "jmp 2b",
        ring = sym ring_call,
        watched = sym watched_call,
        next = sym next::SYSCALL,
        first = sym first_call,
        trap = sym crate::trap::ON,
        mask = sym mask_call,
    )
}

/// `syscall(2)`
///
/// # Safety
///
/// As for the system call.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall() -> c_long {
    core::arch::naked_asm!(
        "sub x9, x0, #425",
        "cmp x9, #2",
        "b.ls 2f",
        // `close`, `dup3`, `close_range`.
        "cmp x0, #57",
        "b.eq 4f",
        "cmp x0, #24",
        "b.eq 4f",
        "cmp x0, #436",
        "b.eq 4f",
        // `seccomp`
        "cmp x0, #277",
        "b.eq 4f",
        "adrp x9, {next}",
        "ldr x9, [x9, :lo12:{next}]",
        "cbz x9, 3f",
        "br x9",
        "2: b {ring}",
        "3: b {first}",
        "4: b {watched}",
        ring = sym ring_call,
        watched = sym watched_call,
        next = sym next::SYSCALL,
        first = sym first_call,
    )
}

/// A system call of io_uring. C's function is variadic, which on these architectures passes arguments as any
/// other: those that were not given are not looked at by the kernel.
unsafe extern "C" fn ring_call(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let call = Call {
        number,
        arguments: [a, b, c, d, e, f],
        way: Way::Library,
    };
    // SAFETY: the program's call, with its arguments.
    unsafe { uring::call(&call) }
}

/// A system call that may close a ring's descriptor, or forbids others from here on.
unsafe extern "C" fn watched_call(
    call: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    match call {
        number::SECCOMP if a <= SECCOMP_SET_MODE_FILTER => probe::preload::settle(),
        number::SECCOMP => {}
        _ => closing::by_number(call, [a, b, c, d, e, f]),
    }
    // SAFETY: the program's call, with its arguments.
    unsafe { next::syscall(call, a, b, c, d, e, f) }
}

/// A system call that may block signals, while calls are trapped.
#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn mask_call(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    // SAFETY: the program's call, with its arguments.
    let make = |[a, b, c, d, e, f]: [usize; 6]| unsafe { next::syscall(number, a, b, c, d, e, f) };
    // SAFETY: as above.
    unsafe { crate::trap::masks::call(number, [a, b, c, d, e, f], make) }
}

/// The first call of another number: looks up where they go.
unsafe extern "C" fn first_call(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    // SAFETY: the program's call, with its arguments.
    unsafe { next::syscall(number, a, b, c, d, e, f) }
}

/// `close(2)`
///
/// # Safety
///
/// As for the function.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(_: c_int) -> c_int {
    core::arch::naked_asm!(
        "push rdi",
        "call {closing}",
        "pop rdi",
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2: mov eax, -1",
        "ret",
        closing = sym closing,
    )
}

/// `close(2)`
///
/// # Safety
///
/// As for the function.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(_: c_int) -> c_int {
    core::arch::naked_asm!(
        "stp x0, x30, [sp, #-16]!",
        "bl {closing}",
        "mov x9, x0",
        "ldp x0, x30, [sp], #16",
        "cbz x9, 2f",
        "br x9",
        "2: mov w0, #-1",
        "ret",
        closing = sym closing,
    )
}

/// What there is to do before a descriptor is closed. Returns the function that closes it.
extern "C" fn closing(fd: c_int) -> *mut c_void {
    closing::one(fd);
    next::close_address()
}

/// `close_range(2)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close_range(first: u32, last: u32, flags: c_int) -> c_int {
    closing::range(first, last, flags);
    // SAFETY: the caller's promise.
    unsafe { next::close_range(first, last, flags) }
}

/// `closefrom(3)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn closefrom(first: c_int) {
    closing::range(first.max(0).cast_unsigned(), u32::MAX, 0);
    // SAFETY: the caller's promise.
    unsafe { next::closefrom(first) }
}

/// `dup2(2)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup2(old: c_int, new: c_int) -> c_int {
    closing::replaced(old, new, 0);
    // SAFETY: the caller's promise.
    unsafe { next::dup2(old, new) }
}

/// `dup3(2)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    closing::replaced(old, new, flags);
    // SAFETY: the caller's promise.
    unsafe { next::dup3(old, new, flags) }
}

/// `fclose(3)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fclose(file: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        closing::stream(file);
        next::fclose(file)
    }
}

/// `freopen(3)`, which closes what the `FILE` was, whether it can open the other one or not.
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freopen(
    path: *const c_char,
    mode: *const c_char,
    file: *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe {
        closing::stream(file);
        next::freopen(path, mode, file)
    }
}

/// `freopen64(3)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freopen64(
    path: *const c_char,
    mode: *const c_char,
    file: *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe {
        closing::stream(file);
        next::freopen64(path, mode, file)
    }
}

/// `free(3)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the caller's promise; where there is such a function, blocks are the C library's own.
    unsafe {
        match next::plain_free() {
            Some(free) if memory::is_far(block) => free(block),
            Some(_) => memory::free_somebodys(block),
            None => memory::free(block),
        }
    }
}

/// `realloc(3)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { memory::realloc(block, size) }
}

/// `prctl(2)`, which is variadic: see `ring_call`.
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn prctl(option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int {
    const PR_SET_SECCOMP: c_int = 22;
    if option == PR_SET_SECCOMP {
        probe::preload::settle();
    }
    // SAFETY: the caller's promise.
    unsafe { next::prctl(option, a, b, c, d) }
}

/// `munmap(2)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(start: *mut c_void, len: usize) -> c_int {
    memory::unmapping(start, len);
    // SAFETY: the caller's promise.
    unsafe { next::munmap(start, len) }
}
