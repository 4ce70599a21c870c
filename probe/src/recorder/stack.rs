//! Call stacks by frame pointers, for recordings that ask for them.
//!
//! Code without frame pointers uses their register for anything, so nothing in it is believed. A frame
//! is read only where it lies between the stack pointer and the top of this thread's own stack: that
//! memory is mapped and readable for as long as the thread runs here. Frames must be aligned and rise;
//! a return address must lie in the code of a known module. A wrong frame pointer so gives a short or a
//! wrong stack, and never a fault. On a stack that is not the thread's own (of a signal handler, of a
//! coroutine with a stack) nothing is read.
//!
//! Where the stack lies is asked once a thread, at its first record, in `/proc/self/maps` ([`maps`]): system calls only, no lock
//! and no memory, which `pthread_getattr_np` takes.
//!
//! Holds `unsafe`: three registers, and the loads of a frame.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use wire::record::Kind;

use crate::recorder::maps::{self, mapping_of};
use crate::recorder::sys;

/// Most frames of a stack. Without optimisation up to sixteen of them are the probe's own.
pub(crate) const FRAMES: usize = 48;

/// Whether events of this kind carry a stack.
pub(crate) fn belongs_to(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Leak
            | Kind::Reclaim
            | Kind::Submit
            | Kind::LeakSubmit
            | Kind::CompleteReclaim
            | Kind::Spawn
            | Kind::Free
            | Kind::Realloc
            | Kind::Unmap
    )
}

/// Where the stack of a thread lies; zeros while nobody asked, and `high` 1 where nobody knows.
#[repr(C)]
pub(crate) struct Limits {
    low: AtomicU64,
    high: AtomicU64,
}

impl Limits {
    /// For a new thread.
    pub(crate) fn forget(&self) {
        self.high.store(0, Ordering::Relaxed);
    }

    /// Asks, unless somebody did. Makes system calls.
    pub(crate) fn ask(&self) {
        if self.high.load(Ordering::Relaxed) == 0 {
            let (low, high) = find().unwrap_or((0, 1));
            // A signal handler that comes between the two finds the same, and stores it too.
            self.low.store(low, Ordering::Relaxed);
            self.high.store(high, Ordering::Relaxed);
        }
    }

    fn get(&self) -> (u64, u64) {
        self.ask();
        (
            self.low.load(Ordering::Relaxed),
            self.high.load(Ordering::Relaxed),
        )
    }
}

/// Has the threads of this process ask where their stacks lie without opening anything.
pub(crate) fn prepare() {
    maps::keep();
}

/// Fills in return addresses as `word_of` gives them, the innermost first; how many there are.
#[inline(never)]
pub(crate) fn walk(
    limits: &Limits,
    words: &mut [u64],
    mut word_of: impl FnMut(u64) -> Option<u64>,
) -> usize {
    let (low, high) = limits.get();
    let (mut frame, mut floor) = (first_frame(), stack_pointer());
    if floor < low {
        return 0;
    }
    let mut count = 0;
    for word in words {
        // `floor` never sinks below the stack pointer, and both words of the frame lie below `high`.
        if frame < floor || !frame.is_multiple_of(8) || high.saturating_sub(frame) < 16 {
            break;
        }
        // SAFETY: the range was just seen to lie between this function's stack pointer and the top of
        // this thread's stack, in one mapping that lives as long as the thread.
        let (next, address) = unsafe { (load(frame), load(frame + 8)) };
        // Without the signature that aarch64 may put into the high bits.
        let Some(found) = word_of(address & 0xFFFF_FFFF_FFFF) else {
            break;
        };
        *word = found;
        count += 1;
        floor = frame + 16;
        frame = next;
    }
    count
}

#[cfg(feature = "c")]
std::thread_local! {
    /// Where to begin in place of the register; 0 for nowhere else.
    static FIRST: core::cell::Cell<u64> = const { core::cell::Cell::new(0) };
}

/// Runs `body`, whose stacks begin at a frame that somebody knows: code between it and here may have no frame pointers.
#[cfg(feature = "c")]
pub(crate) fn from_frame(frame: usize, body: impl FnOnce()) {
    let before = FIRST.try_with(|first| first.replace(frame as u64));
    body();
    if let Ok(before) = before {
        let _ = FIRST.try_with(|first| first.set(before));
    }
}

#[inline(always)]
fn first_frame() -> u64 {
    #[cfg(feature = "c")]
    if let Ok(known @ 1..) = FIRST.try_with(core::cell::Cell::get) {
        return known;
    }
    frame_pointer()
}

/// How far the first thread's stack may reach down: the kernel keeps at least 128 MiB below its top free of mappings
/// that it places itself.
const GROWTH: u64 = 64 << 20;

fn is_first_thread() -> bool {
    sys::process_id() == sys::thread_id()
}

/// The range of this thread's own stack, where it is known without opening anything: what nobody but its frames
/// uses. For the first thread it may reach lower than the mapping, never lower than what is kept free for it.
pub(crate) fn own() -> Option<(u64, u64)> {
    if is_first_thread() {
        let top = sys::top_of_first_stack();
        Some((top.saturating_sub(GROWTH), top))
    } else if maps::is_kept() {
        find()
    } else {
        None
    }
}

/// The range of this thread's stack: from the lowest address that may be the stack pointer to one above
/// all frames.
fn find() -> Option<(u64, u64)> {
    if is_first_thread() {
        // The kernel put its arguments on top of the stack, and lets the mapping grow down.
        let top = sys::top_of_first_stack();
        let (before, low, _) = mapping_of(top)?;
        Some((low.min(top.saturating_sub(GROWTH).max(before)), top))
    } else {
        // The C library keeps what belongs to a thread on top of its stack, in the same mapping.
        let top = thread_pointer();
        let (_, low, _) = mapping_of(top)?;
        Some((low, top))
    }
}

#[inline(always)]
fn frame_pointer() -> u64 {
    let frame: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register.
    unsafe {
        asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags));
    }
    frame
}

/// Where this function's caller has its frame: inlined, the caller's own stack pointer.
#[inline(always)]
pub(crate) fn stack_pointer() -> u64 {
    let stack: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register.
    unsafe {
        asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        asm!("mov {}, sp", out(reg) stack, options(nomem, nostack, preserves_flags));
    }
    stack
}

/// The register that leads to a thread's own variables.
fn thread_pointer() -> u64 {
    let pointer: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the first word of the block is its own address, on every C library of this platform.
    unsafe {
        asm!("mov {}, fs:0", out(reg) pointer, options(readonly, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}

/// A word of the stack. By an instruction of our own: a sanitizer would take the compiler's for an
/// access to some other function's variables.
///
/// # Safety
///
/// The eight bytes at `address` can be read.
#[inline(always)]
unsafe fn load(address: u64) -> u64 {
    let word: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise.
    unsafe {
        asm!("mov {}, [{}]", out(reg) word, in(reg) address, options(readonly, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's promise.
    unsafe {
        asm!("ldr {}, [{}]", out(reg) word, in(reg) address, options(readonly, nostack, preserves_flags));
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::modules;

    #[test]
    fn stack_of_every_thread_is_found() {
        let check = || {
            let (low, high) = find().expect("a stack");
            let local = 0u8;
            let here = core::ptr::from_ref(&local) as u64;
            assert!(low < here && here < high, "{low:#x} {here:#x} {high:#x}");
            assert!(high - low < 1 << 30);
        };
        check();
        std::thread::scope(|scope| {
            for size in [64 << 10, 16 << 20] {
                let builder = std::thread::Builder::new().stack_size(size);
                builder.spawn_scoped(scope, check).expect("a thread");
            }
        });
    }

    #[test]
    fn any_frame_pointer_is_survived() {
        let limits = Limits {
            low: AtomicU64::new(0),
            high: AtomicU64::new(0),
        };
        let _ = modules::collected();
        let mut words = [0; FRAMES];
        let local = [0u64; 8];
        let here = local.as_ptr() as u64;
        let (_, high) = limits.get();
        let wrong = [
            0,
            1,
            8,
            u64::MAX,
            u64::MAX - 7,
            here,
            here + 1,
            high,
            high - 8,
            high - 16,
        ];
        for frame in wrong {
            with_frame_pointer(frame, &limits, &mut words);
        }
        assert!(walk(&limits, &mut words, modules::word) <= FRAMES);
        limits.high.store(1, Ordering::Relaxed);
        assert_eq!(walk(&limits, &mut words, modules::word), 0);
    }

    extern "C" fn walk_from_c(limits: &Limits, words: &mut [u64; FRAMES]) {
        walk(limits, words, modules::word);
    }

    /// Calls `walk` with a frame pointer of our choice, as code without frame pointers would.
    fn with_frame_pointer(frame: u64, limits: &Limits, words: &mut [u64; FRAMES]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the register is put back; the callee keeps what a C function must keep. The stack
        // pointer is moved past the red zone and aligned for the call.
        unsafe {
            asm!(
                "push rbp",
                "push rbx",
                "mov rbx, rsp",
                "and rsp, -16",
                "mov rbp, rdx",
                "call {walk}",
                "mov rsp, rbx",
                "pop rbx",
                "pop rbp",
                in("rdx") frame,
                walk = sym walk_from_c,
                in("rdi") core::ptr::from_ref(limits),
                in("rsi") core::ptr::from_mut(words),
                clobber_abi("C"),
            );
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (frame, limits, words, walk_from_c as extern "C" fn(_, _));
    }
}
