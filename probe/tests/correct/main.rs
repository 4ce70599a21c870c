//! Correct programs on the kernel's rings: whatever a finding says here is a false alarm.
//!
//! Each is judged in its own scope, with frees recorded. What the kernel here does not know is named on
//! stderr, and the rest goes on.

#![cfg(all(feature = "io-uring", feature = "assert"))]

mod callbacks;
mod cancels;
mod coroutines;
mod descriptors;
mod files;
mod memory;
mod owners;
mod provided;
mod shots;
mod threads;

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use probe::io_uring::{IoUring, cqueue, squeue, types};

#[global_allocator]
static ALLOCATOR: probe::Alloc = probe::Alloc::system();

/// What an operation's cookie points to: who waits for it, and what must live as long as it does.
struct Op {
    name: &'static str,
    buffer: Vec<u8>,
}

/// A completion, and what its operation held if it was the last one.
struct Done {
    name: &'static str,
    result: i32,
    flags: u32,
    buffer: Option<Vec<u8>>,
}

impl Done {
    #[track_caller]
    fn named(self, name: &str) -> Self {
        assert_eq!(self.name, name, "result {}", self.result);
        self
    }
}

/// A ring, where the kernel permits one.
fn ring() -> Option<IoUring> {
    match IoUring::new(16) {
        Ok(ring) => Some(ring),
        Err(error) => {
            eprintln!("SKIPPED: no ring here ({error})");
            None
        }
    }
}

/// Whether a result says that the kernel does not know the operation, which is then named.
fn is_refused(what: &str, result: i32) -> bool {
    let refused = matches!(-result, libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS);
    if refused {
        eprintln!("SKIPPED: the kernel refuses {what} ({result})");
    }
    refused
}

/// Pushes an entry whose cookie is a box of its own.
#[track_caller]
fn start(ring: &mut IoUring, name: &'static str, entry: squeue::Entry) -> u64 {
    start_with(ring, name, Vec::new(), |_| entry)
}

/// As [`start`], with a buffer that lives as long as the operation.
#[track_caller]
fn start_with(
    ring: &mut IoUring,
    name: &'static str,
    mut buffer: Vec<u8>,
    entry: impl FnOnce(&mut Vec<u8>) -> squeue::Entry,
) -> u64 {
    let entry = entry(&mut buffer);
    let cookie = probe::into_raw(Box::new(Op { name, buffer })) as u64;
    // SAFETY: the buffer lives in the box until the last completion; all else outlives the ring's use.
    unsafe { ring.submission().push(&entry.user_data(cookie)) }.expect("room");
    cookie
}

/// Waits for the next completion, and takes its box back if it was the last one.
#[track_caller]
fn next(ring: &mut IoUring) -> Done {
    let entry = loop {
        if let Some(entry) = ring.completion().next() {
            break entry;
        }
        ring.submit_and_wait(1).expect("the kernel takes it");
    };
    let (result, flags) = (entry.result(), entry.flags());
    let raw = entry.user_data() as *mut Op;
    if cqueue::more(flags) {
        probe::peek::<Box<Op>>(raw);
        // SAFETY: the box is out until its last completion.
        let name = unsafe { (*raw).name };
        return Done {
            name,
            result,
            flags,
            buffer: None,
        };
    }
    // SAFETY: the last completion of this box's only operation.
    let op = unsafe { probe::from_raw::<Box<Op>>(raw) };
    Done {
        name: op.name,
        result,
        flags,
        buffer: Some(op.buffer),
    }
}

/// Waits until each of these has completed for good, in any order: their results.
#[track_caller]
fn all<const N: usize>(ring: &mut IoUring, names: [&str; N]) -> [i32; N] {
    let mut results = [None; N];
    while results.contains(&None) {
        let done = next(ring);
        let place = names.iter().position(|name| *name == done.name);
        let place = place.unwrap_or_else(|| panic!("{} completed: {}", done.name, done.result));
        if done.buffer.is_some() {
            results[place] = Some(done.result);
        }
    }
    results.map(|result| result.expect("all are there"))
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a pair of sockets")
}

fn fd(of: &impl AsRawFd) -> types::Fd {
    types::Fd(of.as_raw_fd())
}

/// A descriptor that a completion brought.
fn adopt(result: i32) -> probe::fd::Descriptor {
    use std::os::fd::FromRawFd;
    assert!(result >= 0, "a descriptor: {result}");
    // SAFETY: the completion gave it to this program, and nobody has it yet.
    probe::fd::Descriptor::new(unsafe { OwnedFd::from_raw_fd(result) })
}
