//! Several rings on several threads, and words between them.

use std::os::fd::AsRawFd;
use std::sync::{Arc, mpsc};

use probe::io_uring::{opcode, types};

use super::{next, pair, ring, start, start_with};

#[test]
fn a_ring_on_each_thread() {
    let scope = probe::scope();
    let handle = scope.handle();
    let threads: Vec<_> = (0..4u8)
        .map(|thread| {
            std::thread::spawn(move || {
                let _entered = handle.enter();
                let Some(mut ring) = ring() else { return };
                let (near, far) = pair();
                for round in 0..200u8 {
                    start_with(&mut ring, "write", vec![round ^ thread; 40], |buffer| {
                        opcode::Write::new(super::fd(&near), buffer.as_ptr(), 40).build()
                    });
                    start_with(&mut ring, "read", vec![0; 40], |buffer| {
                        opcode::Read::new(super::fd(&far), buffer.as_mut_ptr(), 40).build()
                    });
                    assert_eq!(super::all(&mut ring, ["write", "read"]), [40, 40]);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("done");
    }
    scope.assert_clean();
}

struct Note(String);

#[test]
fn boxes_that_travel_from_ring_to_ring() {
    const NOBODY: u64 = 1;
    let scope = probe::scope();
    let handle = scope.handle();
    let Some(mut far) = ring() else { return };
    let fd = far.as_raw_fd();
    let sender = std::thread::spawn(move || {
        let _entered = handle.enter();
        let Some(mut near) = ring() else { return };
        near.hooks().sentinel(NOBODY);
        for number in 0..50 {
            let note = probe::into_raw(Box::new(Note(number.to_string()))) as u64;
            let send = opcode::MsgRingData::new(types::Fd(fd), number, note, None).build();
            // SAFETY: it points to nothing that the kernel looks at.
            unsafe { near.submission().push(&send.user_data(NOBODY)) }.expect("room");
            near.submit_and_wait(1).expect("submitted");
            let sent = near.completion().next().expect("sent");
            assert_eq!((sent.user_data(), sent.result()), (NOBODY, 0));
        }
    });
    for number in 0..50 {
        far.submit_and_wait(1).expect("waited");
        let entry = far.completion().next().expect("a note");
        // SAFETY: each note is sent once.
        let note = unsafe { probe::from_raw::<Box<Note>>(entry.user_data() as *mut Note) };
        assert_eq!((entry.result(), note.0), (number, number.to_string()));
    }
    sender.join().expect("done");
    scope.assert_clean();
}

#[test]
fn boxes_that_are_freed_on_another_thread_than_they_were_filled_on() {
    let scope = probe::scope();
    let handle = scope.handle();
    let Some(mut ring) = ring() else { return };
    let (near, far) = pair();
    let (send, receive) = mpsc::channel::<Vec<u8>>();
    let thread = std::thread::spawn(move || {
        let _entered = handle.enter();
        // Freed here, allocated again at once, and freed again.
        receive
            .iter()
            .map(|buffer| buffer.clone().len())
            .sum::<usize>()
    });
    for _ in 0..200 {
        start_with(&mut ring, "write", vec![1; 40], |buffer| {
            opcode::Write::new(super::fd(&near), buffer.as_ptr(), 40).build()
        });
        start_with(&mut ring, "read", vec![0; 40], |buffer| {
            opcode::Read::new(super::fd(&far), buffer.as_mut_ptr(), 40).build()
        });
        for _ in 0..2 {
            let done = next(&mut ring);
            send.send(done.buffer.expect("the last")).expect("received");
        }
    }
    drop(send);
    assert_eq!(thread.join().expect("done"), 2 * 200 * 40);
    scope.assert_clean();
}

#[test]
fn one_connection_with_a_handle_for_each_operation() {
    struct Conn {
        near: std::os::unix::net::UnixStream,
        far: std::os::unix::net::UnixStream,
        buffer: [std::sync::atomic::AtomicU64; 2],
    }
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (near, far) = pair();
    let conn = Arc::new(Conn {
        near,
        far,
        buffer: Default::default(),
    });
    for _ in 0..50 {
        for direction in 0..2 {
            let raw = probe::into_raw(Arc::clone(&conn)) as u64;
            let buffer = conn.buffer[direction].as_ptr().cast::<u8>();
            let entry = match direction {
                0 => opcode::Read::new(super::fd(&conn.near), buffer, 8).build(),
                _ => opcode::Write::new(super::fd(&conn.far), buffer, 8).build(),
            };
            // SAFETY: the handle in the cookie keeps the buffer alive.
            unsafe { ring.submission().push(&entry.user_data(raw)) }.expect("room");
        }
        ring.submit_and_wait(2).expect("submitted");
        let mut count = 0;
        for entry in ring.completion() {
            assert_eq!(entry.result(), 8);
            // SAFETY: a handle went out for each operation.
            drop(unsafe { probe::from_raw::<Arc<Conn>>(entry.user_data() as *const Conn) });
            count += 1;
        }
        assert_eq!(count, 2);
    }
    start(&mut ring, "nop", opcode::Nop::new().build());
    next(&mut ring);
    drop(conn);
    scope.assert_clean();
}
