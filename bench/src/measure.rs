//! Times variants of one thing against each other.
//!
//! The rounds of all variants alternate in one process, forwards and then backwards, so that a noisy
//! neighbour and a warming processor meet all of them alike. Two ratios come out: that of the fastest
//! rounds (what the code costs) and the median over rounds of the ratio within the round (what a busy
//! machine shows). Where the two are far apart, the machine was too busy to tell.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// One way of doing the same thing.
pub struct Variant<'a> {
    pub name: &'static str,
    /// Does it this many times.
    pub run: Box<dyn FnMut(u32) + 'a>,
}

/// Whether a few rounds are enough: somebody only wants to see that it all runs.
static QUICK: AtomicBool = AtomicBool::new(false);

/// From here on a few rounds are enough.
pub fn be_quick() {
    QUICK.store(true, Ordering::Relaxed);
}

/// Whether a few rounds are enough.
pub fn is_quick() -> bool {
    QUICK.load(Ordering::Relaxed)
}

/// Nanoseconds per operation: by variant, then by round.
fn rounds_of(variants: &mut [Variant<'_>], rounds: u32, operations: u32) -> Vec<Vec<f64>> {
    let begun = Instant::now();
    let now = || begun.elapsed().as_nanos() as u64;
    rounds_by(variants, rounds, &vec![operations; variants.len()], now)
}

/// What a table is of.
#[derive(Clone, Copy)]
pub enum Time {
    /// Nanoseconds that this thread was given a processor.
    Thread,
    /// Nanoseconds that all threads together were given one.
    Threads,
    /// Nanoseconds that somebody waits.
    Clock,
}

impl Time {
    fn now(self) -> u64 {
        clock_ns(match self {
            Self::Thread => libc::CLOCK_THREAD_CPUTIME_ID,
            Self::Threads => libc::CLOCK_PROCESS_CPUTIME_ID,
            Self::Clock => libc::CLOCK_MONOTONIC,
        })
    }
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: there is room for the time.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// As [`rounds_of`], by some clock, with as many operations as each variant has.
fn rounds_by(
    variants: &mut [Variant<'_>],
    rounds: u32,
    operations: &[u32],
    now: impl Fn() -> u64,
) -> Vec<Vec<f64>> {
    let rounds = if is_quick() {
        rounds.div_ceil(8)
    } else {
        rounds
    };
    let mut took = vec![Vec::new(); variants.len()];
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..variants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let start = now();
            (variants[index].run)(operations[index]);
            let ns = (now() - start) as f64 / f64::from(operations[index]);
            // The first round warms up.
            if round > 0 {
                took[index].push(ns);
            }
        }
    }
    took
}

/// The fastest of several times.
pub fn fastest(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The one in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median over rounds of `these` against `those` in the same round.
fn paired(these: &[f64], those: &[f64]) -> f64 {
    median(these.iter().zip(those).map(|(a, b)| a / b).collect())
}

/// Fastest nanoseconds per operation of each variant, over alternating rounds.
pub fn compare(variants: &mut [Variant<'_>], rounds: u32, operations: u32) -> Vec<f64> {
    let took = rounds_of(variants, rounds, operations);
    took.iter().map(|times| fastest(times)).collect()
}

/// Prints one table: each variant against the first.
pub fn table(title: &str, variants: &mut [Variant<'_>], rounds: u32, operations: u32) {
    let took = rounds_of(variants, rounds, operations);
    print(title, variants, &took, |_| None);
}

/// As [`table`], with how many millions of operations that is in a second. Where what is measured only computes, the
/// time counts that it had a processor: others that want it do not.
pub fn table_with_rates(
    title: &str,
    time: Time,
    variants: &mut [Variant<'_>],
    rounds: u32,
    operations: u32,
) {
    let operations = vec![operations; variants.len()];
    table_of_each(title, time, variants, rounds, &operations);
}

/// As [`table_with_rates`], where each variant has a number of operations of its own.
pub fn table_of_each(
    title: &str,
    time: Time,
    variants: &mut [Variant<'_>],
    rounds: u32,
    operations: &[u32],
) {
    let took = rounds_by(variants, rounds, operations, || time.now());
    print(title, variants, &took, |ns| Some(1000.0 / ns));
}

fn print(
    title: &str,
    variants: &[Variant<'_>],
    took: &[Vec<f64>],
    rate: impl Fn(f64) -> Option<f64>,
) {
    println!("{title}");
    let unit = rate(1.0).map_or("", |_| "M/s");
    let (none, ns, ratio, median) = ("", "ns", "ratio", "median");
    let head = format!("  {none:<44} {ns:>10} {ratio:>8} {median:>8} {unit:>8}");
    println!("{}", head.trim_end());
    for (variant, times) in variants.iter().zip(took) {
        let line = format!(
            "  {:<44} {:>10.2} {:>8.3} {:>8.3} {:>8}",
            variant.name,
            fastest(times),
            fastest(times) / fastest(&took[0]),
            paired(times, &took[0]),
            rate(fastest(times)).map_or(String::new(), |rate| format!("{rate:.1}"))
        );
        println!("{}", line.trim_end());
    }
    println!();
}
