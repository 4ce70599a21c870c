//! What lies in stack frames: given to the kernel, which still has it when the frame has returned. On the kernel's
//! rings, each with its correct twin.

#![cfg(all(feature = "io-uring", feature = "assert"))]

use std::hint::black_box;
use std::io::{PipeReader, pipe};
use std::os::fd::AsRawFd;

use probe::Rule;
use probe::io_uring::{IoUring, opcode, types};

fn ring() -> Option<IoUring> {
    match IoUring::new(8) {
        Ok(ring) => Some(ring),
        Err(error) => {
            eprintln!("SKIPPED: no ring here ({error})");
            None
        }
    }
}

fn read(ring: &mut IoUring, from: &PipeReader, buffer: *mut u8, cookie: u64) {
    let entry = opcode::Read::new(types::Fd(from.as_raw_fd()), buffer, 64).build();
    // SAFETY: the pipe is closed without a byte in it, so that nothing is ever written to the buffer.
    unsafe { ring.submission().push(&entry.user_data(cookie)) }.expect("room");
    ring.submit().expect("submitted");
}

fn take(ring: &mut IoUring) -> u64 {
    ring.submit_and_wait(1).expect("waited for");
    ring.completion().next().expect("waited for").user_data()
}

/// Far below the frames of whatever is called later.
const DEEP: usize = 32 * 1024;

#[inline(never)]
fn read_into_own_frame(ring: &mut IoUring, from: &PipeReader, until: impl FnOnce(&mut IoUring)) {
    let mut buffer = [0u8; DEEP];
    read(ring, from, buffer.as_mut_ptr(), 0x10);
    until(ring);
    black_box(&mut buffer);
}

#[test]
fn a_buffer_whose_frame_has_returned() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (reader, writer) = pipe().expect("a pipe");
    read_into_own_frame(&mut ring, &reader, |_| {});
    drop(writer);
    assert_eq!(take(&mut ring), 0x10);
    scope.expect(Rule::T16).times(1);
}

#[inline(never)]
fn entry_for_own_frame(from: &PipeReader) -> probe::io_uring::squeue::Entry {
    let mut buffer = [0u8; DEEP];
    let entry = opcode::Read::new(types::Fd(from.as_raw_fd()), buffer.as_mut_ptr(), 64).build();
    black_box(&mut buffer);
    entry.user_data(0x18)
}

#[test]
fn a_buffer_whose_frame_had_returned_when_it_was_pushed() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (reader, writer) = pipe().expect("a pipe");
    let entry = entry_for_own_frame(&reader);
    // SAFETY: the pipe is closed without a byte in it, so that nothing is ever written to the buffer.
    unsafe { ring.submission().push(&entry) }.expect("room");
    ring.submit().expect("submitted");
    drop(writer);
    assert_eq!(take(&mut ring), 0x18);
    scope.expect(Rule::T16).times(1);
}

#[test]
fn buffers_whose_frames_wait_for_them() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    // In the frame of the one who waits.
    let (reader, writer) = pipe().expect("a pipe");
    let mut buffer = [0u8; 64];
    read(&mut ring, &reader, buffer.as_mut_ptr(), 0x20);
    ring.submit().expect("entered");
    drop(writer);
    assert_eq!(take(&mut ring), 0x20);
    // In a frame that returns when it has the completion; then the ring is used again.
    for _ in 0..3 {
        let (reader, writer) = pipe().expect("a pipe");
        read_into_own_frame(&mut ring, &reader, |ring| {
            drop(writer);
            assert_eq!(take(ring), 0x10);
        });
        ring.submit().expect("entered");
    }
    black_box(&mut buffer);
    scope.assert_clean();
}

/// Its cookie is the address of something in its own frame.
#[inline(never)]
fn wait_with_own_frame(ring: &mut IoUring, from: &PipeReader, buffer: *mut u8) {
    let operation = [7u64; DEEP / 8];
    read(ring, from, buffer, operation.as_ptr() as u64);
    black_box(&operation);
}

#[test]
fn a_cookie_whose_frame_has_returned() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (reader, writer) = pipe().expect("a pipe");
    let mut buffer = vec![0; 64];
    wait_with_own_frame(&mut ring, &reader, buffer.as_mut_ptr());
    drop(writer);
    take(&mut ring);
    scope.expect(Rule::T23).times(1);
}

/// A coroutine with a stack of its own may sleep below whoever runs: nothing is said of that.
#[test]
fn frames_of_another_thread_have_not_returned() {
    let scope = probe::scope();
    let handle = scope.handle();
    let Some(mut ring) = ring() else { return };
    let (reader, writer) = pipe().expect("a pipe");
    let mut buffer = [0u8; DEEP];
    read(&mut ring, &reader, buffer.as_mut_ptr(), 0x30);
    let ring = std::thread::scope(|threads| {
        let other = threads.spawn(move || {
            let _entered = handle.enter();
            ring.submit().expect("entered");
            drop(writer);
            assert_eq!(take(&mut ring), 0x30);
            ring
        });
        other.join().expect("a plain thread")
    });
    drop(ring);
    black_box(&mut buffer);
    scope.assert_clean();
}
