//! An io_uring loop that leaks a box into every operation and takes it back: bare, and recorded.

use std::hint::black_box;

use crate::{Variant, record, table};

/// What has a time of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Times {
    Own,
    Batch,
}

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

/// What nothing that records four events an operation can do without: a timestamp for each, where each has its
/// own, and the words of the records, written to 64 MiB in turn. No names, no lanes, no signal handlers, no reader.
struct Floor {
    words: Vec<u64>,
    at: usize,
    own_times: bool,
}

impl Floor {
    fn new(own_times: bool) -> Self {
        let mut words = vec![0u64; (64 << 20) / 8];
        // So that no page is the kernel's zeros any more.
        words.iter_mut().step_by(512).for_each(|word| *word = 1);
        Self {
            words,
            at: 0,
            own_times,
        }
    }

    #[inline(always)]
    fn record<const N: usize>(&mut self, payload: [u64; N]) {
        let time = if self.own_times { record::ticks() } else { 1 };
        if self.at + N + 1 > self.words.len() {
            self.at = 0;
        }
        if let Some((header, body)) = self.words[self.at..=self.at + N].split_first_mut() {
            body.copy_from_slice(&payload);
            *header = time;
        }
        self.at += N + 1;
    }

    fn run(&mut self, ring: &mut io_uring::IoUring, batch: u32, operations: u32) {
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
                self.record([cookie, 7]);
                let entry = io_uring::opcode::Nop::new().build().user_data(cookie);
                // SAFETY: a NOP points to nothing.
                unsafe { ring.submission().push(&entry) }.expect("room in the queue");
                self.record([cookie, u64::from(index), 7]);
            }
            ring.submit_and_wait(batch as usize)
                .expect("the kernel takes the batch");
            for entry in ring.completion() {
                let cookie = entry.user_data();
                self.record([cookie, u64::from(entry.result().cast_unsigned())]);
                // SAFETY: every cookie came from `into_raw` and completes once.
                let operation = unsafe { Box::from_raw(cookie as *mut Operation) };
                self.record([cookie, 7]);
                black_box(operation.value);
            }
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
    let mut floor = Floor::new(times == Times::Own);
    let (times, least) = match times {
        Times::Own => ("own times", "the floor: four timestamps and stores alone"),
        Times::Batch => ("times by batch", "the floor: the stores alone"),
    };
    let mut half = io_uring::IoUring::new(64).expect("a second ring");
    let mut other = probe::io_uring::IoUring::new(64).expect("a third ring");
    let mut traced = probe::io_uring::IoUring::new(64).expect("a fourth ring");
    let mut both = probe::io_uring::IoUring::new(64).expect("a fifth ring");
    table(
        &format!("NOP, batches of {batch}: leak, submit, complete, reclaim; {times}"),
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
                name: least,
                run: Box::new(move |n| floor.run(&mut lowest, batch, n)),
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
