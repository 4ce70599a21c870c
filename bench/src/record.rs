//! One record: against the bare timestamp, switched off, and on two threads.

use std::hint::black_box;
use std::sync::Barrier;

use crate::{Times, Variant, compare, floor, table};

pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: Linux lets user code read the virtual counter.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
        ticks
    }
}

pub fn bare(operations: u32) {
    for _ in 0..operations {
        black_box(ticks());
    }
}

fn peek(operations: u32) {
    let value = 7u64;
    for index in 0..operations {
        probe::peek::<Box<u64>>(black_box(
            std::ptr::from_ref(&value)
                .wrapping_add(index as usize & 63)
                .cast_mut(),
        ));
    }
}

/// The loop of `peek` around the stores alone.
#[inline(always)]
fn least(operations: u32, write: impl Fn(u64)) {
    let value = 7u64;
    for index in 0..operations {
        let pointer = black_box(std::ptr::from_ref(&value).wrapping_add(index as usize & 63));
        write(pointer as u64);
    }
}

fn empty(operations: u32) {
    let value = 7u64;
    for index in 0..operations {
        black_box(
            std::ptr::from_ref(&value)
                .wrapping_add(index as usize & 63)
                .cast_mut(),
        );
    }
}

/// A pointer record has the size and the words of a leak and of a reclaim, and does nothing else.
pub fn on(times: Times) {
    assert!(probe::is_recording());
    floor::lay();
    // What is recorded into chunks that were never used pays for the kernel's zeros.
    let fresh = compare(
        &mut [Variant {
            name: "fresh",
            run: Box::new(peek),
        }],
        10,
        20_000,
    );
    println!("a pointer record into a fresh chunk: {:.1} ns\n", fresh[0]);
    lap();
    table(
        &format!(
            "one pointer record (24 bytes), a tight loop; {}",
            times.name()
        ),
        &mut [
            Variant {
                name: "bare timestamp (rdtsc)",
                run: Box::new(bare),
            },
            Variant {
                name: times.floor(),
                run: Box::new(move |n| match times {
                    Times::Own => least(n, |word| floor::stamped([word, 7])),
                    Times::Batch => least(n, |word| floor::unstamped([word, 7])),
                }),
            },
            Variant {
                name: "pointer record",
                run: Box::new(peek),
            },
            Variant {
                name: "coroutine record (16 bytes)",
                run: Box::new(|n| {
                    let coroutine = probe::coroutine::Coroutine::spawned_named("bench", None);
                    for _ in 0..n {
                        black_box(coroutine).woken();
                    }
                }),
            },
            Variant {
                name: "suspend record (24 bytes)",
                run: Box::new(|n| {
                    let coroutine = probe::coroutine::Coroutine::spawned_named("bench", None);
                    for index in 0..n {
                        black_box(coroutine).suspended(&[u64::from(index)]);
                    }
                }),
            },
            Variant {
                name: "eprintln! of the pointer, to a file",
                run: Box::new(print),
            },
        ],
        40,
        20_000,
    );
}

/// Goes once round all chunks: a fresh one is paid for with the kernel's zeros.
pub fn lap() {
    peek(3_000_000);
}

/// The original way to find such a bug.
fn print(operations: u32) {
    use std::os::fd::AsRawFd;
    let file = tempfile::tempfile().expect("a temporary file");
    // A hundredth is enough: it is two orders of magnitude slower.
    // SAFETY: plain descriptors; the old one is put back below.
    let saved = unsafe { libc::dup(2) };
    // SAFETY: as above.
    unsafe { libc::dup2(file.as_raw_fd(), 2) };
    for index in 0..operations {
        eprintln!(
            "into_raw {:p} at {}:{}",
            black_box(&index),
            file!(),
            line!()
        );
    }
    // SAFETY: as above.
    unsafe { libc::dup2(saved, 2) };
    // SAFETY: the duplicate is ours.
    unsafe { libc::close(saved) };
}

/// Hooks of a program that is not being recorded.
pub fn off() {
    // The first hook finds that there is no recorder.
    peek(1);
    assert!(!probe::is_recording());
    table(
        "a hook while nothing is recorded",
        &mut [
            Variant {
                name: "bare timestamp (rdtsc)",
                run: Box::new(bare),
            },
            Variant {
                name: "loop without the hook",
                run: Box::new(empty),
            },
            Variant {
                name: "loop with the hook",
                run: Box::new(peek),
            },
        ],
        200,
        100_000,
    );
}

/// Two threads that record at once, against one.
pub fn threads() {
    let operations = 100_000;
    let both = |operations: u32| {
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    barrier.wait();
                    peek(operations);
                });
            }
        });
    };
    // A thread of its own for the single one too: starting it is part of both.
    let single = |operations: u32| {
        std::thread::scope(|scope| {
            scope.spawn(|| peek(operations));
        });
    };
    let best = compare(
        &mut [
            Variant {
                name: "one thread",
                run: Box::new(single),
            },
            Variant {
                name: "two threads",
                run: Box::new(both),
            },
        ],
        100,
        operations,
    );
    println!(
        "the same number of records on each of two threads ÷ on one: {:.3}\n",
        best[1] / best[0]
    );
}
