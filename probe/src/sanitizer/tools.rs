//! The tools themselves, where this process has them: functions of the sanitizers' runtimes, found by
//! weak references, and Valgrind's client requests.
//!
//! The runtimes are linked into the program and not exported, so that `dlsym` does not find them; an
//! undefined weak symbol is null where there is none, and needs nothing but the assembler.
//!
//! Holds `unsafe`: two kinds of assembly, calls of functions by their documented signatures
//! (`sanitizer/asan_interface.h`, `lsan_interface.h`, `msan_interface.h`), and one read on purpose.

use std::arch::asm;
use std::ffi::c_void;

use super::threads;

/// The address of a symbol, null where nobody defines it.
macro_rules! weak_symbol {
    ($name:literal) => {{
        let address: *const std::ffi::c_void;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: loads one word of the table of addresses that the linker makes.
        unsafe {
            std::arch::asm!(
                concat!(".weak ", $name),
                concat!("mov {0}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address,
                options(nostack, pure, readonly, preserves_flags),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            std::arch::asm!(
                concat!(".weak ", $name),
                concat!("adrp {0}, :got:", $name),
                concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                out(reg) address,
                options(nostack, pure, readonly, preserves_flags),
            );
        }
        address
    }};
}
pub(super) use weak_symbol;

/// `void f(const volatile void *start, size_t bytes)`
type OfRange = unsafe extern "C" fn(*const c_void, usize);

macro_rules! functions {
    ($($name:ident: $symbol:literal, $type:ty;)*) => {$(
        fn $name() -> Option<$type> {
            let address = $crate::sanitizer::tools::weak_symbol!($symbol);
            // SAFETY: null is `None`; else it is the runtime's function, whose signature is the type.
            unsafe { std::mem::transmute::<*const std::ffi::c_void, Option<$type>>(address) }
        }
    )*};
}
pub(super) use functions;

functions! {
    asan_poison: "__asan_poison_memory_region", OfRange;
    asan_unpoison: "__asan_unpoison_memory_region", OfRange;
    lsan_disable: "__lsan_disable", unsafe extern "C" fn();
    msan_poison: "__msan_poison", OfRange;
    msan_unpoison: "__msan_unpoison", OfRange;
    msan_check: "__msan_check_mem_is_initialized", OfRange;
}

/// Valgrind's requests that are used here (`valgrind.h`, `memcheck.h`).
#[derive(Clone, Copy)]
enum Request {
    RunningOnValgrind = 0x1001,
    MakeNoAccess = 0x4D43_0000,
    MakeDefined = 0x4D43_0002,
    CheckIsDefined = 0x4D43_0005,
}

/// Asks Valgrind; 0 where the program does not run under it.
fn valgrind(request: Request, start: usize, bytes: usize) -> usize {
    let arguments = [request as usize, start, bytes, 0, 0, 0];
    let mut result = 0;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the documented sequence, which changes nothing on a real processor: rotations by 128 bits
    // in all, and an exchange of a register with itself. Valgrind reads the arguments.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            inout("rdx") result,
            in("rax") arguments.as_ptr(),
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            inout("x3") result,
            in("x4") arguments.as_ptr(),
            options(nostack),
        );
    }
    result
}

/// Whether any of them is there.
pub(super) fn any() -> bool {
    asan_poison().is_some()
        || lsan_disable().is_some()
        || msan_unpoison().is_some()
        || threads::present()
        || valgrind(Request::RunningOnValgrind, 0, 0) != 0
}

fn tell(function: Option<OfRange>, start: usize, bytes: usize) {
    if let Some(function) = function {
        // SAFETY: the runtimes only mark the range in their shadow of it, or look at those marks.
        unsafe { function(std::ptr::with_exposed_provenance(start), bytes) }
    }
}

/// From here on the kernel writes to it, and nobody else touches it.
pub(super) fn close(start: usize, bytes: usize) {
    tell(asan_poison(), start, bytes);
    valgrind(Request::MakeNoAccess, start, bytes);
}

/// The program has it back, and the kernel wrote this many bytes from its start.
pub(super) fn open(start: usize, bytes: usize, written: usize) {
    tell(asan_unpoison(), start, bytes);
    tell(msan_unpoison(), start, written.min(bytes));
    // What lies behind a short read was before is not known here: no alarm is better than a false one.
    valgrind(Request::MakeDefined, start, bytes);
}

/// The kernel will read all of it.
pub(super) fn must_be_initialised(start: usize, bytes: usize) {
    tell(msan_check(), start, bytes);
    valgrind(Request::CheckIsDefined, start, bytes);
}

/// Has the tool that watches accesses report the free of a buffer in flight, by an access that it does
/// not allow.
#[inline(never)]
pub(super) fn complain(buffer_in_flight_is_freed: usize) {
    tell(asan_poison(), buffer_in_flight_is_freed, 1);
    tell(msan_poison(), buffer_in_flight_is_freed, 1);
    tell(msan_check(), buffer_in_flight_is_freed, 1);
    valgrind(Request::MakeNoAccess, buffer_in_flight_is_freed, 1);
    threads::touch(buffer_in_flight_is_freed);
    let byte = std::ptr::with_exposed_provenance::<u8>(buffer_in_flight_is_freed);
    // SAFETY: the block is only about to be freed. The read is the report.
    unsafe { std::ptr::read_volatile(byte) };
}
