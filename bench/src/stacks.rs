//! What `--stacks` costs: a leak and its reclaim, each with the call stack it was made from, at several depths.
//!
//! Stacks are walked by frame pointers, so this says something only in a build that has them:
//! `RUSTFLAGS="-C force-frame-pointers=yes" cargo run --release --manifest-path bench/Cargo.toml stacks`
//!
//! Whether stacks are recorded is decided for a whole process. So there are two tables, and the ratio to
//! compare is that to the timestamp, which both have.

use std::hint::black_box;
use std::rc::Rc;

use crate::record::bare;
use crate::{Variant, table};

/// Calls `body` with so many frames above it.
#[inline(never)]
fn at_depth(depth: u32, body: &dyn Fn()) {
    if depth == 0 {
        body();
    } else {
        at_depth(depth - 1, body);
    }
    // Something is left to do, so that the call above is no jump.
    black_box(depth);
}

fn round_trips(depth: u32) -> Box<dyn FnMut(u32)> {
    let owner = Rc::new(7u64);
    Box::new(move |operations| {
        at_depth(depth, &|| {
            for _ in 0..operations {
                let raw = probe::into_raw(Rc::clone(&owner));
                // SAFETY: just leaked.
                drop(black_box(unsafe { probe::from_raw::<Rc<u64>>(raw) }));
            }
        });
    })
}

/// A leak and a reclaim; `title` says whether with stacks.
fn round_trip(title: &str) {
    assert!(probe::is_recording());
    table(
        title,
        &mut [
            Variant {
                name: "bare timestamp (rdtsc)",
                run: Box::new(bare),
            },
            Variant {
                name: "leak and reclaim, 4 frames deep",
                run: round_trips(4),
            },
            Variant {
                name: "leak and reclaim, 16 frames deep",
                run: round_trips(16),
            },
            Variant {
                name: "leak and reclaim, 40 frames deep",
                run: round_trips(40),
            },
        ],
        40,
        20_000,
    );
}

/// In a recording without stacks.
pub fn off() {
    round_trip("two pointer records, without their call stacks");
}

/// In a recording with stacks.
pub fn on() {
    round_trip("two pointer records with --stacks (needs frame pointers in the build)");
}
