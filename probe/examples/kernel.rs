//! Programs over io_uring for sanitizers to look at, one per argument; `.ci/sanitizers` runs them. Those
//! from `b01` to `b05` are correct, and by themselves sanitizers give false alarms on most of them. The
//! others have a mistake that they do not see.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use probe::io_uring::{IoUring, opcode, types::Fd};

#[global_allocator]
static ALLOCATOR: probe::Alloc = probe::Alloc::system();

fn main() {
    match std::env::args().nth(1).unwrap_or_default().as_str() {
        "b01" => zeroed_buffer(),
        "b02" => spare_capacity(),
        "b03" => pending_at_exit(),
        "b04" => handed_over(true),
        "b05" => handed_over(false),
        "touched" => touched(),
        "freed" => freed(),
        "uninitialised" => uninitialised(),
        turn => panic!("no turn {turn:?}"),
    }
}

fn ring() -> IoUring {
    IoUring::new(8).expect("io_uring is permitted")
}

fn pipes() -> (PipeReader, PipeWriter) {
    pipe().expect("a pipe")
}

/// Puts a read of `bytes` bytes into the queue.
fn read(ring: &mut IoUring, from: &impl AsRawFd, buffer: *mut u8, bytes: usize, cookie: u64) {
    let entry = opcode::Read::new(Fd(from.as_raw_fd()), buffer, bytes as u32).build();
    // SAFETY: the callers keep the buffer, but for those that are meant not to.
    unsafe { ring.submission().push(&entry.user_data(cookie)) }.expect("room in the queue");
}

/// Waits for one completion and returns its cookie and its result.
fn wait(ring: &mut IoUring) -> (u64, i32) {
    ring.submit_and_wait(1).expect("the kernel completes it");
    let entry = ring.completion().next().expect("a completion");
    (entry.user_data(), entry.result())
}

/// Does something that depends on each byte.
fn use_up(bytes: &[u8]) {
    let letters = bytes.iter().filter(|byte| **byte > b' ').count();
    println!("{letters} letters");
}

fn zeroed_buffer() {
    let (mut ring, (reader, mut writer)) = (ring(), pipes());
    let mut buffer = vec![0; 64];
    writer.write_all(b"hello").expect("room in the pipe");
    read(&mut ring, &reader, buffer.as_mut_ptr(), 64, 1);
    assert_eq!(wait(&mut ring), (1, 5));
    use_up(&buffer);
}

fn spare_capacity() {
    let (mut ring, (reader, mut writer)) = (ring(), pipes());
    let mut buffer = Vec::with_capacity(64);
    writer.write_all(b"hello").expect("room in the pipe");
    read(&mut ring, &reader, buffer.as_mut_ptr(), 64, 1);
    let (_, result) = wait(&mut ring);
    // SAFETY: the kernel wrote as many bytes.
    unsafe { buffer.set_len(result as usize) };
    use_up(&buffer);
}

/// A hundred operations whose state only the kernel knows of when the program ends.
fn pending_at_exit() {
    let (mut ring, (reader, writer)) = (ring(), pipes());
    for _ in 0..100 {
        let mut state = Box::new([0u8; 24]);
        let buffer = state.as_mut_ptr();
        let cookie = probe::into_raw(state) as u64;
        read(&mut ring, &reader, buffer, 24, cookie);
        ring.submit().expect("the kernel takes it");
    }
    // The slots of the queue must not be what keeps them.
    for _ in 0..8 {
        let entry = opcode::Nop::new().build();
        // SAFETY: points to nothing.
        unsafe { ring.submission().push(&entry) }.expect("room in the queue");
    }
    ring.submit().expect("the kernel takes them");
    std::mem::forget((ring, reader, writer));
    // Nor what is left of them on the stack.
    std::hint::black_box([0u8; 16 * 1024]);
}

/// One thread makes it, the kernel passes it on, another uses it: its waiting is a call into the kernel,
/// or a look at the completion queue alone.
fn handed_over(by_a_call: bool) {
    let ring = Arc::new(ring());
    let other = Arc::clone(&ring);
    let user = std::thread::spawn(move || {
        loop {
            if by_a_call {
                other.submitter().submit_and_wait(1).expect("it completes");
            }
            // SAFETY: nobody else takes completions.
            let entry = unsafe { other.completion_shared() }.next();
            if let Some(entry) = entry {
                // SAFETY: it came from `into_raw`, and completes once.
                let state: Box<[u64; 4]> =
                    unsafe { probe::from_raw(entry.user_data() as *mut [u64; 4]) };
                return state.iter().sum::<u64>();
            }
            std::thread::yield_now();
        }
    });
    let state = Box::new([1u64, 2, 3, 4]);
    let entry = opcode::Nop::new().build();
    let entry = entry.user_data(probe::into_raw(state) as u64);
    // SAFETY: nobody else fills the queue.
    unsafe { ring.submission_shared().push(&entry) }.expect("room in the queue");
    ring.submit().expect("the kernel takes it");
    assert_eq!(user.join().expect("a plain thread"), 10);
}

/// Looks into a buffer that the kernel has.
fn touched() {
    let (mut ring, (reader, mut writer)) = (ring(), pipes());
    let mut buffer = vec![0; 64];
    read(&mut ring, &reader, buffer.as_mut_ptr(), 64, 1);
    ring.submit().expect("the kernel takes it");
    use_up(&buffer);
    writer.write_all(b"hello").expect("room in the pipe");
    wait(&mut ring);
}

/// Frees a buffer that the kernel has.
fn freed() {
    let (mut ring, (reader, writer)) = (ring(), pipes());
    let mut buffer = vec![0; 64];
    read(&mut ring, &reader, buffer.as_mut_ptr(), 64, 1);
    ring.submit().expect("the kernel takes it");
    drop(buffer);
    // The read ends without having written.
    drop(writer);
    wait(&mut ring);
}

/// Writes out what nobody wrote in.
fn uninitialised() {
    let mut ring = ring();
    let file = File::options()
        .write(true)
        .open("/dev/null")
        .expect("a file");
    let mut buffer: Vec<u8> = Vec::with_capacity(64);
    buffer.extend(b"hello");
    let entry = opcode::Write::new(Fd(file.as_raw_fd()), buffer.as_ptr(), 64).build();
    // SAFETY: the buffer stays until the completion; that part of it is uninitialised is the mistake.
    unsafe { ring.submission().push(&entry) }.expect("room in the queue");
    wait(&mut ring);
}
