//! The tick counter: what a record's time is made of.
//!
//! On x86-64 the time-stamp counter, where it is invariant and the kernel itself trusts it; on aarch64
//! the virtual counter; else `CLOCK_MONOTONIC`. Ticks become nanoseconds in the reader.
//!
//! Holds `unsafe`: two instructions that read a counter.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::recorder::sys;

/// A `wire::layout::clock` constant; set once, before the first record.
static SOURCE: AtomicU32 = AtomicU32::new(wire::layout::clock::MONOTONIC);

/// Chooses the counter. `trusted` is the recorder's word that the kernel uses the hardware counter
/// itself; nothing where there is no recorder to ask.
pub(crate) fn choose(trusted: Option<bool>) -> u32 {
    let source = hardware(trusted.unwrap_or_else(kernel_uses_hardware));
    SOURCE.store(source, Ordering::Relaxed);
    source
}

/// Whether [`counter`] is what [`choose`] chose.
pub(crate) fn is_counter() -> bool {
    SOURCE.load(Ordering::Relaxed) != wire::layout::clock::MONOTONIC
}

/// The processor's counter, whatever was chosen.
#[inline(always)]
pub(crate) fn counter() -> u64 {
    // Miri has no instructions; there the hot path is run with the other clock.
    #[cfg(miri)]
    {
        monotonic_ns()
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        // SAFETY: every x86-64 processor has the instruction; a kernel that forbids it to user code is
        // one that does not use it as its own clock, and then it is not chosen.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    {
        let ticks: u64;
        // SAFETY: Linux lets user code read the virtual counter; it touches no memory.
        unsafe {
            core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack));
        }
        ticks
    }
}

/// Ticks of the processor's counter since `base`, where they fit 32 bits.
#[inline(always)]
pub(crate) fn since(base: u64) -> Option<u32> {
    #[cfg(miri)]
    {
        u32::try_from(counter().wrapping_sub(base)).ok()
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let (low, high): (u32, u32);
        // The counter comes in two halves, and only the low one is wanted: this is half as long as
        // what becomes of `counter`.
        // SAFETY: as in `counter`.
        unsafe {
            core::arch::asm!(
                "rdtsc",
                "sub eax, {low:e}",
                "sbb edx, {high:e}",
                low = in(reg) base as u32,
                high = in(reg) (base >> 32) as u32,
                out("eax") low,
                out("edx") high,
                options(nomem, nostack),
            );
        }
        (high == 0).then_some(low)
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    u32::try_from(counter().wrapping_sub(base)).ok()
}

/// Now, in ticks of the chosen counter.
pub(crate) fn ticks() -> u64 {
    if is_counter() {
        counter()
    } else {
        monotonic_ns()
    }
}

/// Ticks, and `CLOCK_MONOTONIC` in ns at the same moment: what a reader puts other recorders' times beside these by.
///
/// Of a few tries the one that took the shortest: the first call of a process brings in the pages of the kernel's clock,
/// and any may be interrupted.
#[inline]
pub(crate) fn pair() -> (u64, u64) {
    const TRIES: usize = 4;
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..TRIES {
        let before = ticks();
        let ns = monotonic_ns();
        let took = ticks().wrapping_sub(before);
        if took < best.0 {
            best = (took, before.wrapping_add(took / 2), ns);
        }
    }
    (best.1, best.2)
}

/// `CLOCK_MONOTONIC` in ns.
pub(crate) fn monotonic_ns() -> u64 {
    sys::clock_ns(sys::MONOTONIC)
}

#[cfg(target_arch = "x86_64")]
fn hardware(trusted: bool) -> u32 {
    if cfg!(miri) {
        return wire::layout::clock::TSC;
    }
    // CPUID leaf 0x8000_0007, EDX bit 8: the counter runs at one rate in all power states.
    let highest = core::arch::x86_64::__cpuid(0x8000_0000).eax;
    let invariant =
        highest >= 0x8000_0007 && core::arch::x86_64::__cpuid(0x8000_0007).edx & 1 << 8 != 0;
    if invariant && trusted {
        wire::layout::clock::TSC
    } else {
        wire::layout::clock::MONOTONIC
    }
}

#[cfg(target_arch = "aarch64")]
fn hardware(_trusted: bool) -> u32 {
    wire::layout::clock::CNTVCT
}

/// Whether the kernel's own clock source is the time-stamp counter.
fn kernel_uses_hardware() -> bool {
    let mut path = sys::Path::new();
    path.push(b"/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let mut buffer = [0u8; 16];
    sys::open_to_read(None, &path)
        .is_some_and(|fd| sys::read_some(&fd, &mut buffer).starts_with(b"tsc"))
}
