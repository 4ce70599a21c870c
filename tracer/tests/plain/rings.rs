//! Programs over the plain `io-uring` crate, without the probe: what an unmodified program looks like.
//!
//! The test beside it builds this as a package of its own. Each mode says on stdout what it did; the mistakes are
//! in what it does with its memory meanwhile.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use io_uring::{IoUring, opcode, types::Fd};

/// What an operation owns; its address is the cookie.
struct Operation {
    number: u64,
    buffer: Vec<u8>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let mode = arguments.get(1).map_or("", String::as_str);
    match mode {
        "correct" => println!("{}", correct(100)),
        "buffer-freed" => freed(false),
        "cookie-freed" => freed(true),
        "threads" => threads(),
        "shared" => shared(),
        "forked" => forked(),
        "moved" => moved(),
        "sqpoll" => sqpoll(),
        "closed" => closed(),
        other => panic!("no mode {other:?}"),
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: room for two descriptors, which are owned from here on.
    unsafe {
        assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    }
}

fn push(ring: &mut IoUring, entry: &io_uring::squeue::Entry) {
    // SAFETY: what it points at lives until its completion, but where a mode says otherwise.
    unsafe { ring.submission().push(entry).expect("room in the queue") };
}

/// A read whose operation travels as a pointer.
fn read(ring: &mut IoUring, from: &OwnedFd, number: u64) -> *mut Operation {
    let buffer = vec![0; 64];
    let mut operation = Box::new(Operation { number, buffer });
    let at = operation.buffer.as_mut_ptr();
    let entry = opcode::Read::new(Fd(from.as_raw_fd()), at, 64).build();
    let raw = Box::into_raw(operation);
    push(ring, &entry.user_data(raw as u64));
    raw
}

fn write(to: &OwnedFd, text: &[u8]) {
    // SAFETY: a text and its length.
    let written = unsafe { libc::write(to.as_raw_fd(), text.as_ptr().cast(), text.len()) };
    assert_eq!(written, text.len() as isize);
}

/// Reads through pipes, and NOPs with small numbers; returns the bytes read.
fn correct(rounds: u64) -> i32 {
    let mut ring = IoUring::new(8).expect("a ring");
    let (from, to) = pipe();
    let mut bytes = 0;
    for number in 0..rounds {
        read(&mut ring, &from, number);
        write(&to, b"hello");
        push(&mut ring, &opcode::Nop::new().build().user_data(number));
        ring.submit_and_wait(2).expect("an enter");
        let completions: Vec<_> = ring.completion().collect();
        for completion in completions {
            assert!(completion.result() >= 0);
            let cookie = completion.user_data();
            if cookie != number {
                // SAFETY: the word came from `into_raw`, and its operation has ended.
                let operation = unsafe { Box::from_raw(cookie as *mut Operation) };
                assert_eq!(operation.number, number);
                assert_eq!(&operation.buffer[..5], b"hello");
                bytes += completion.result();
            }
        }
    }
    bytes
}

/// Frees the buffer, or the operation, while the kernel still reads into it.
fn freed(whole: bool) {
    let mut ring = IoUring::new(8).expect("a ring");
    let (from, to) = pipe();
    let raw = read(&mut ring, &from, 1);
    ring.submit().expect("an enter");
    // SAFETY: the mistake of this mode.
    let mut operation = unsafe { Box::from_raw(raw) };
    let buffer = std::mem::take(&mut operation.buffer);
    if whole {
        std::mem::forget(buffer);
        drop(operation);
    } else {
        std::mem::forget(operation);
        drop(buffer);
    }
    write(&to, b"hello");
    ring.submit_and_wait(1).expect("an enter");
    println!("{} completions", ring.completion().count());
}

/// A buffer grows, and moves, with a read into it in flight.
fn moved() {
    let mut ring = IoUring::new(8).expect("a ring");
    let (from, to) = pipe();
    // SAFETY: the mistake of this mode; a block between keeps it from growing in place.
    unsafe {
        let buffer = libc::malloc(64);
        let between = libc::malloc(64);
        let entry = opcode::Read::new(Fd(from.as_raw_fd()), buffer.cast(), 64).build();
        push(&mut ring, &entry.user_data(1));
        ring.submit().expect("an enter");
        let grown = libc::realloc(buffer, 1 << 16);
        write(&to, b"hello");
        ring.submit_and_wait(1).expect("an enter");
        println!("{} completions", ring.completion().count());
        libc::free(between);
        libc::free(grown);
    }
}

/// Many threads, each with rings of its own, that come and go.
fn threads() {
    let threads: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(|| (0..10).map(|_| correct(20)).sum::<i32>()))
        .collect();
    let bytes: i32 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    println!("{bytes}");
}

/// One ring that four threads fill and enter, under a lock and past it.
fn shared() {
    let ring = std::sync::Mutex::new(IoUring::new(64).expect("a ring"));
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let ring = &ring;
            scope.spawn(move || {
                for number in 0..500 {
                    let mut held = ring.lock().unwrap();
                    let cookie = thread << 32 | number;
                    push(&mut held, &opcode::Nop::new().build().user_data(cookie));
                    let submitter = held.submitter();
                    submitter.submit_and_wait(1).expect("an enter");
                    let completions: Vec<_> = held.completion().collect();
                    assert!(completions.iter().any(|one| one.user_data() == cookie));
                }
            });
        }
    });
    println!("2000");
}

/// A child goes on with a ring of its own while its parent has one.
fn forked() {
    let first = correct(10);
    let mut ring = IoUring::new(8).expect("a ring");
    push(&mut ring, &opcode::Nop::new().build().user_data(7));
    // SAFETY: the child calls nothing that another thread could hold: there is none.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(correct(10) != 50);
        // SAFETY: ends the child without its parent's handlers.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: a number's address.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    ring.submit_and_wait(1).expect("an enter");
    println!("{first} {status} {}", ring.completion().count());
}

/// A ring that a thread of the kernel polls.
fn sqpoll() {
    let made = IoUring::builder().setup_sqpoll(50).build(8);
    let mut ring = made.expect("a ring");
    push(&mut ring, &opcode::Nop::new().build().user_data(1));
    ring.submit_and_wait(1).expect("an enter");
    println!("{} completions", ring.completion().count());
}

/// A read is in flight when the ring goes, and its reader sees that the pipe closes: nothing keeps the ring alive.
fn closed() {
    let mut ring = IoUring::new(8).expect("a ring");
    let (from, to) = pipe();
    read(&mut ring, &from, 1);
    ring.submit().expect("an enter");
    drop(ring);
    drop(from);
    // The ring's reference to the reading end goes with the ring: then nobody reads, and a write fails.
    for _ in 0..2000 {
        // SAFETY: a text and its length; SIGPIPE is ignored in Rust.
        if unsafe { libc::write(to.as_raw_fd(), b"x".as_ptr().cast(), 1) } < 0 {
            println!("gone");
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    println!("still there");
}
