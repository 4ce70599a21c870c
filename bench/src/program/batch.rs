//! Batches: all of one go in, all of them complete, all are taken back.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use super::{Operation, Ring, Tool, finish, start};

/// The largest batch.
const ENTRIES: u32 = 64;

/// NOPs: nothing but the way in and out, the worst case that any program over io_uring can present.
pub struct Nops<T: Tool> {
    ring: T::Ring,
    batch: u32,
}

impl<T: Tool> Nops<T> {
    pub fn new(batch: u32) -> std::io::Result<Self> {
        let ring = T::Ring::new(ENTRIES)?;
        Ok(Self { ring, batch })
    }

    pub fn run(&mut self, operations: u32) {
        // SAFETY: a NOP points to nothing.
        unsafe {
            batches::<T>(&mut self.ring, self.batch, operations, |_| {
                opcode::Nop::new().build()
            });
        }
    }
}

const PAGE: usize = 4096;
/// 2 MiB of file.
const PAGES: u64 = 512;

/// What one operation reads into. Aligned, because the speed of a copy depends on it.
#[repr(align(4096))]
struct Page(#[expect(dead_code, reason = "only the kernel looks inside")] [u8; PAGE]);

/// The file and the buffers, the same for all variants: where they lie in memory makes more of a
/// difference than any tool does.
struct Ground {
    file: File,
    /// As many as a batch has operations, for ever. Only the kernel writes there, for whoever runs: one
    /// variant at a time.
    buffers: *mut Page,
}

// SAFETY: the pointer is only handed to the kernel, which may write there from any thread.
unsafe impl Send for Ground {}
// SAFETY: as above.
unsafe impl Sync for Ground {}

fn ground() -> &'static Ground {
    static GROUND: OnceLock<Ground> = OnceLock::new();
    GROUND.get_or_init(|| {
        let mut file = tempfile::tempfile().expect("a temporary file");
        for page in 0..PAGES {
            file.write_all(&[page as u8; PAGE])
                .expect("room for a temporary file");
        }
        let buffers: Vec<Page> = (0..ENTRIES).map(|_| Page([1; PAGE])).collect();
        Ground {
            file,
            buffers: Box::leak(buffers.into_boxed_slice()).as_mut_ptr(),
        }
    })
}

/// Reads of 4 KiB from the page cache, all over a file.
pub struct Reads<T: Tool> {
    ring: T::Ring,
    batch: u32,
    /// State of the generator of offsets.
    random: u64,
}

impl<T: Tool> Reads<T> {
    pub fn new(batch: u32) -> std::io::Result<Self> {
        let ring = T::Ring::new(ENTRIES)?;
        Ok(Self {
            ring,
            batch,
            random: 1,
        })
    }

    pub fn run(&mut self, operations: u32) {
        let Ground { file, buffers } = ground();
        let file = types::Fd(file.as_raw_fd());
        let random = &mut self.random;
        // SAFETY: each operation of a batch has a buffer of its own, which lives for ever.
        unsafe {
            batches::<T>(&mut self.ring, self.batch, operations, |index| {
                *random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let offset = (*random >> 33) % PAGES * PAGE as u64;
                let buffer = buffers.wrapping_add(index as usize).cast();
                opcode::Read::new(file, buffer, PAGE as u32)
                    .offset(offset)
                    .build()
            });
        }
    }
}

/// # Safety
///
/// What an entry points to lives until this returns, and no two of a batch are written to one place.
#[inline(always)]
unsafe fn batches<T: Tool>(
    ring: &mut T::Ring,
    batch: u32,
    operations: u32,
    mut entry: impl FnMut(u32) -> Entry,
) {
    let mut left = operations;
    while left > 0 {
        let batch = left.min(batch);
        left -= batch;
        for index in 0..batch {
            // SAFETY: the caller's promise; all that goes in is waited for below.
            unsafe { start::<T>(ring, Operation::new(u64::from(index)), entry(index)) };
        }
        ring.submit_and_wait(batch as usize);
        let mut completed = 0;
        ring.reap(|cookie, result| {
            assert!(result >= 0, "an operation failed with {result}");
            // SAFETY: every cookie came from `start` and completes once.
            let operation = unsafe { finish::<T>(cookie, result) };
            black_box(operation.value);
            completed += 1;
        });
        assert_eq!(completed, batch, "a batch is reaped whole");
    }
}
