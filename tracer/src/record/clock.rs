//! Which counter the probe may use as its clock, and how fast it runs.
//!
//! The time-stamp counter of x86-64 serves only where the kernel itself trusts it; elsewhere the
//! probe reads `CLOCK_MONOTONIC`. This file holds the crate's reads of machine registers.

use std::time::Duration;

/// How long the counter is watched. Two readings 10 ms apart are right to about 0.05 ppm.
const WATCH: Duration = Duration::from_millis(10);

/// What a tick is, as the session file says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// The word for it.
    pub(crate) name: &'static str,
    /// Ticks per second; 0 where that could not be measured.
    pub(crate) ticks_per_second: u64,
}

impl Clock {
    /// Measures this machine.
    pub(crate) fn measure() -> Self {
        if counter_is_trusted() {
            Self {
                name: "tsc",
                ticks_per_second: watch(),
            }
        } else {
            Self {
                name: "monotonic",
                ticks_per_second: 1_000_000_000,
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn counter_is_trusted() -> bool {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let kernel_uses_it = std::fs::read_to_string(source).is_ok_and(|name| name.trim() == "tsc");
    kernel_uses_it && std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| is_invariant(&text))
}

/// Whether the first processor keeps counting at one speed, asleep or not.
#[cfg(any(target_arch = "x86_64", test))]
fn is_invariant(cpuinfo: &str) -> bool {
    let Some(flags) = cpuinfo.lines().find(|line| line.starts_with("flags")) else {
        return false;
    };
    ["constant_tsc", "nonstop_tsc"]
        .iter()
        .all(|wanted| flags.split_ascii_whitespace().any(|flag| flag == *wanted))
}

/// The virtual counter of aarch64 is invariant by definition.
#[cfg(target_arch = "aarch64")]
fn counter_is_trusted() -> bool {
    true
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter_is_trusted() -> bool {
    false
}

/// Ticks per second, from two pairs of readings.
fn watch() -> u64 {
    let (first_ticks, first_ns) = pair();
    std::thread::sleep(WATCH);
    let (last_ticks, last_ns) = pair();
    let ticks = u128::from(last_ticks.saturating_sub(first_ticks));
    let ns = u128::from(last_ns.saturating_sub(first_ns));
    let per_second = (ticks * 1_000_000_000).checked_div(ns).unwrap_or(0);
    u64::try_from(per_second).unwrap_or(0)
}

/// A counter reading and `CLOCK_MONOTONIC` beside it: the closest of a few tries, so that being
/// scheduled away between the two does not count.
fn pair() -> (u64, u64) {
    let mut best = (0, 0);
    let mut smallest_gap = u64::MAX;
    for _ in 0..8 {
        let before = ticks();
        let ns = monotonic_ns();
        let gap = ticks().saturating_sub(before);
        if gap < smallest_gap {
            smallest_gap = gap;
            best = (before + gap / 2, ns);
        }
    }
    best
}

/// `CLOCK_MONOTONIC` in ns.
pub(super) fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and it touches no memory. Where the kernel
    // forbids it to user space (`PR_SET_TSC`), it would not be the kernel's own clock source for us.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(target_arch = "aarch64")]
fn ticks() -> u64 {
    let value: u64;
    // SAFETY: Linux lets user space read the virtual counter (its vDSO does); no memory is touched.
    unsafe {
        core::arch::asm!("mrs {}, cntvct_el0", out(reg) value, options(nomem, nostack));
    }
    value
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn ticks() -> u64 {
    monotonic_ns()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_flags_are_needed() {
        assert!(is_invariant(
            "flags\t\t: fpu constant_tsc nonstop_tsc sse\n"
        ));
        assert!(!is_invariant("flags\t\t: fpu constant_tsc sse\n"));
        assert!(!is_invariant("model name\t: constant_tsc nonstop_tsc\n"));
        assert!(!is_invariant(""));
    }

    #[test]
    fn measured_speed_is_a_plausible_one() {
        let clock = Clock::measure();
        assert!(
            (1_000_000..20_000_000_000).contains(&clock.ticks_per_second),
            "{clock:?}"
        );
    }
}
