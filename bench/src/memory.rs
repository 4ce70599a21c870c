//! What the allocator's hook adds to a free: against an allocator that does nothing, so that the hook
//! is all there is to see, and against the real one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use crate::{Variant, table};

/// Gives out and takes back nothing.
struct Nothing;

// SAFETY: never gives out memory.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        std::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// Blocks of 64 bytes from here on; nothing lies there.
const BLOCKS: usize = 0x1000_0000_0000;

fn frees<A: GlobalAlloc>(allocator: &A, operations: u32) {
    for index in 0..operations as usize {
        let block = std::ptr::without_provenance_mut(BLOCKS + (index & 1023) * 64);
        // SAFETY: this allocator takes back nothing.
        unsafe { allocator.dealloc(black_box(block), LAYOUT) };
    }
}

fn pairs<A: GlobalAlloc>(allocator: &A, operations: u32) {
    for _ in 0..operations {
        // SAFETY: the layout is not empty; allocated and freed with the same one.
        unsafe {
            let block = allocator.alloc(LAYOUT);
            allocator.dealloc(black_box(block), LAYOUT);
        }
    }
}

/// Has addresses watched, as a submission of reads into them does.
fn watch(ring: &probe::ring::Ring, addresses: impl Iterator<Item = u64>) {
    for address in addresses {
        ring.pushed(&[22, 0, address, 64, 1, 0, 0, 0]);
    }
}

pub fn all() {
    frees_and_pairs();
    borrows();
}

/// The hook before and after something is watched.
fn frees_and_pairs() {
    static HOOKED: probe::Alloc<Nothing> = probe::Alloc::over(Nothing);
    static REAL: probe::Alloc = probe::Alloc::system();
    let variants = || {
        [
            Variant {
                name: "free, into nothing",
                run: Box::new(|n| frees(&Nothing, n)),
            },
            Variant {
                name: "free, hook, into nothing",
                run: Box::new(|n| frees(&HOOKED, n)),
            },
            Variant {
                name: "malloc + free",
                run: Box::new(|n| pairs(&System, n)),
            },
            Variant {
                name: "malloc + free, hook",
                run: Box::new(|n| pairs(&REAL, n)),
            },
        ]
    };
    table(
        "a free while nothing is watched",
        &mut variants(),
        100,
        50_000,
    );

    // SAFETY: gives out nothing; tells the probe that there is an allocator.
    black_box(unsafe { HOOKED.alloc(LAYOUT) });
    let ring = probe::ring::Ring::created(probe::ring::Kind::Copied, 3, 64, 128, 0, 0);
    // On pages that no block of this program shares.
    let elsewhere = BLOCKS as u64 + 0x40_0000;
    watch(&ring, (0..1000).map(|index| elsewhere + index * 64));
    let mut all = Vec::from(variants());
    all.push(Variant {
        name: "free of a watched block (watch, find, record)",
        run: Box::new(move |n| {
            for index in 0..u64::from(n) {
                let address = elsewhere + 0x10_0000 + (index & 1023) * 64;
                watch(&ring, std::iter::once(address));
                let block = std::ptr::without_provenance_mut(address as usize);
                // SAFETY: this allocator takes back nothing.
                unsafe { HOOKED.dealloc(black_box(block), LAYOUT) };
            }
        }),
    });
    table(
        "a free while 1,000 addresses are watched",
        &mut all,
        100,
        50_000,
    );
}

/// Borrows of a cell and words about a buffer.
fn borrows() {
    let plain = std::cell::UnsafeCell::new(1u64);
    let traced = probe::cell::TracedCell::new(1u64);
    table(
        "a borrow (2 records), a word about a buffer (1 record)",
        &mut [
            Variant {
                name: "UnsafeCell",
                run: Box::new(|n| {
                    for _ in 0..n {
                        // SAFETY: one thread, no reference is kept.
                        unsafe { *black_box(plain.get()) += 1 };
                    }
                }),
            },
            Variant {
                name: "TracedCell::with_mut",
                run: Box::new(|n| {
                    for _ in 0..n {
                        // SAFETY: as above.
                        traced.with_mut(|value| unsafe { *black_box(value) += 1 });
                    }
                }),
            },
            Variant {
                name: "buffer::initialised",
                run: Box::new(|n| {
                    for index in 0..n as usize {
                        let start = std::ptr::without_provenance::<u8>(BLOCKS);
                        probe::buffer::initialised(start, 4096, black_box(index));
                    }
                }),
            },
        ],
        60,
        20_000,
    );
}
