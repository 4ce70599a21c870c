//! An io_uring loop that leaks a box into every operation and takes it back: bare, and recorded.

use std::hint::black_box;

use crate::{Times, Variant, floor, table};

struct Operation {
    value: u64,
    _room: [u64; 5],
}

macro_rules! round {
    ($ring:ident, $batch:ident, $operations:ident, $into:path, $from:path, $nop:path) => {{
        let ring = &mut $ring;
        // One batch after the other, each reaped whole.
        let mut left = $operations;
        while left > 0 {
            let batch = left.min($batch);
            left -= batch;
            for index in 0..batch {
                let operation = Box::new(Operation {
                    value: u64::from(index),
                    _room: [0; 5],
                });
                let entry = $nop().build().user_data($into(operation) as u64);
                // SAFETY: a NOP points to nothing.
                unsafe { ring.submission().push(&entry) }.expect("room in the queue");
            }
            ring.submit_and_wait(batch as usize)
                .expect("the kernel takes the batch");
            for entry in ring.completion() {
                let raw = entry.user_data() as *mut Operation;
                // SAFETY: every cookie came from `into_raw` and completes once.
                let operation: Box<Operation> = unsafe { $from(raw) };
                black_box(operation.value);
            }
        }
    }};
}

/// As `round`, with a record for leak and submission, and one for completion and reclaim.
fn merged(ring: &mut probe::io_uring::IoUring, batch: u32, operations: u32) {
    let mut left = operations;
    while left > 0 {
        let batch = left.min(batch);
        left -= batch;
        for index in 0..batch {
            let operation = Box::new(Operation {
                value: u64::from(index),
                _room: [0; 5],
            });
            let entry = io_uring::opcode::Nop::new().build();
            // SAFETY: a NOP points to nothing.
            unsafe { ring.submission().push_owned(entry, operation) }.expect("room in the queue");
        }
        ring.submit_and_wait(batch as usize)
            .expect("the kernel takes the batch");
        let mut completions = ring.completion();
        while let Some(reaped) = completions.reap() {
            // SAFETY: every cookie came from `push_owned` with a box, and completes once.
            let (_, operation) = unsafe { reaped.reclaim::<Box<Operation>>() };
            black_box(operation.value);
        }
    }
}

/// The timestamps and stores that four events an operation cannot do without.
#[inline(always)]
fn least(ring: &mut io_uring::IoUring, batch: u32, operations: u32, times: Times) {
    macro_rules! event {
        ($($word:expr),*) => {
            match times {
                Times::Own => floor::stamped([$($word),*]),
                Times::Batch => floor::unstamped([$($word),*]),
            }
        };
    }
    let mut left = operations;
    while left > 0 {
        let batch = left.min(batch);
        left -= batch;
        for index in 0..batch {
            let operation = Box::new(Operation {
                value: u64::from(index),
                _room: [0; 5],
            });
            let cookie = Box::into_raw(operation) as u64;
            event!(cookie, 7);
            let entry = io_uring::opcode::Nop::new().build().user_data(cookie);
            // SAFETY: a NOP points to nothing.
            unsafe { ring.submission().push(&entry) }.expect("room in the queue");
            event!(cookie, u64::from(index), 7);
        }
        ring.submit_and_wait(batch as usize)
            .expect("the kernel takes the batch");
        for entry in ring.completion() {
            let cookie = entry.user_data();
            event!(cookie, u64::from(entry.result().cast_unsigned()));
            event!(cookie, 7);
            // SAFETY: every cookie came from `into_raw` and completes once.
            let operation = unsafe { Box::from_raw(cookie as *mut Operation) };
            black_box(operation.value);
        }
    }
}

/// NOPs in batches: the worst case that any program over io_uring can present.
pub fn nop(batch: u32, times: Times) {
    let Ok(mut bare) = io_uring::IoUring::new(64) else {
        println!("io_uring is not permitted here: no ring to measure\n");
        return;
    };
    crate::record::lap();
    let mut lowest = io_uring::IoUring::new(64).expect("a ring for the floor");
    floor::lay();
    let mut half = io_uring::IoUring::new(64).expect("a second ring");
    let mut other = probe::io_uring::IoUring::new(64).expect("a third ring");
    let mut traced = probe::io_uring::IoUring::new(64).expect("a fourth ring");
    let mut both = probe::io_uring::IoUring::new(64).expect("a fifth ring");
    table(
        &format!(
            "NOP, batches of {batch}: leak, submit, complete, reclaim; {}",
            times.name()
        ),
        &mut [
            Variant {
                name: "bare",
                run: Box::new(move |n| {
                    round!(
                        bare,
                        batch,
                        n,
                        Box::into_raw,
                        Box::from_raw,
                        io_uring::opcode::Nop::new
                    );
                }),
            },
            Variant {
                name: times.floor(),
                run: Box::new(move |n| match times {
                    Times::Own => least(&mut lowest, batch, n, Times::Own),
                    Times::Batch => least(&mut lowest, batch, n, Times::Batch),
                }),
            },
            Variant {
                name: "pointers recorded (leak, reclaim)",
                run: Box::new(move |n| {
                    round!(
                        half,
                        batch,
                        n,
                        probe::into_raw,
                        probe::from_raw,
                        io_uring::opcode::Nop::new
                    );
                }),
            },
            Variant {
                name: "ring recorded (submit, complete)",
                run: Box::new(move |n| {
                    round!(
                        other,
                        batch,
                        n,
                        Box::into_raw,
                        Box::from_raw,
                        io_uring::opcode::Nop::new
                    );
                }),
            },
            Variant {
                name: "all recorded",
                run: Box::new(move |n| {
                    round!(
                        traced,
                        batch,
                        n,
                        probe::into_raw,
                        probe::from_raw,
                        probe::io_uring::opcode::Nop::new
                    );
                }),
            },
            Variant {
                name: "all recorded, two events a record",
                run: Box::new(move |n| merged(&mut both, batch, n)),
            },
        ],
        60,
        6_400,
    );
}
