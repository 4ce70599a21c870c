//! What recording costs, as ratios taken side by side in one run.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml`
//!
//! Every figure is the fastest of many short rounds, and the rounds of all variants alternate, so that
//! a noisy neighbour meets all of them alike. Ratios are what to keep; nanoseconds are of this machine
//! and this day.

mod record;
mod ring;
mod session;

use std::time::Instant;

/// One way of doing the same thing.
pub struct Variant<'a> {
    name: &'static str,
    /// Does it this many times.
    run: Box<dyn FnMut(u32) + 'a>,
}

/// Fastest nanoseconds per operation of each variant, over alternating rounds.
pub fn compare(variants: &mut [Variant<'_>], rounds: u32, operations: u32) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; variants.len()];
    for round in 0..=rounds {
        for (variant, best) in variants.iter_mut().zip(&mut best) {
            let start = Instant::now();
            (variant.run)(operations);
            let took = start.elapsed().as_nanos() as f64 / f64::from(operations);
            // The first round warms up.
            if round > 0 {
                *best = best.min(took);
            }
        }
    }
    best
}

/// Prints one table: each variant against the first.
pub fn table(title: &str, variants: &mut [Variant<'_>], rounds: u32, operations: u32) {
    let best = compare(variants, rounds, operations);
    println!("{title}");
    println!("  {:<44} {:>10} {:>8}", "", "ns", "ratio");
    for (variant, ns) in variants.iter().zip(&best) {
        println!("  {:<44} {ns:>10.2} {:>8.3}", variant.name, ns / best[0]);
    }
    println!();
}

fn main() {
    let only = std::env::args().nth(1);
    // A group, or a measurement of it, as its own process is told.
    let wanted = |name: &str| {
        only.as_deref()
            .is_none_or(|only| name.contains(only) || only.starts_with(name))
    };
    // The hooks find no recorder now, and keep to that: these are the figures of a program that is not
    // being recorded.
    if wanted("off") {
        session::alone("off", record::off);
    }
    let (own, by_batch) = ("own times", "times by batch");
    if wanted("record") {
        session::alone("record", || record::on(own));
        session::alone("record-batch", || record::on(by_batch));
    }
    if wanted("threads") {
        session::alone("threads", record::threads);
    }
    if wanted("ring") {
        session::alone("ring", || ring::nop(32, own));
        session::alone("ring-batch", || ring::nop(32, by_batch));
        session::alone("ring-1", || ring::nop(1, own));
        session::alone("ring-1-batch", || ring::nop(1, by_batch));
    }
}
