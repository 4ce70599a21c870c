//! Cells behind locks, buffers that know what is in them, tagged words, a ring that the kernel polls.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Mutex;

use probe::buffer::TracedBuffer;
use probe::cell::TracedCell;
use probe::io_uring::{IoUring, cqueue, opcode, types};
use probe::ring::Cookies;

use super::{all, fd, next, pair, ring, start, start_with};

struct Shared(TracedCell<u64>);
// SAFETY: the cell is touched under the lock around it.
unsafe impl Sync for Shared {}

#[test]
fn a_cell_that_goes_from_thread_to_thread_under_a_lock() {
    let scope = probe::scope();
    let handle = scope.handle();
    let lock = Mutex::new(());
    let shared = Shared(TracedCell::new(0));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let _entered = handle.enter();
                let shared = &shared;
                for _ in 0..2000 {
                    let _alone = lock.lock();
                    // SAFETY: nobody else has the lock.
                    shared.0.with_mut(|value| unsafe { *value += 1 });
                }
            });
        }
    });
    assert_eq!(shared.0.into_inner(), 8000);
    scope.assert_clean();
}

#[test]
fn a_buffer_that_is_read_into_and_written_from() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (mut near, mut far) = pair();
    for round in 1..20u8 {
        let mut buffer = TracedBuffer::with_capacity(64);
        near.write_all(&vec![round; usize::from(round)])
            .expect("written");
        let spare = buffer.spare();
        let read = opcode::Read::new(fd(&far), spare.as_mut_ptr().cast(), spare.len() as u32);
        start(&mut ring, "read", read.build());
        let result = next(&mut ring).named("read").result;
        assert_eq!(result, i32::from(round));
        // SAFETY: as many bytes were read.
        unsafe { buffer.add_filled(result as usize) };
        buffer.extend(b"!");
        let filled = buffer.filled();
        let write = opcode::Write::new(fd(&near), filled.as_ptr(), filled.len() as u32);
        start(&mut ring, "write", write.build());
        assert_eq!(next(&mut ring).named("write").result, i32::from(round) + 1);
        far.read_exact(&mut vec![0; usize::from(round) + 1])
            .expect("read");
    }
    scope.assert_clean();
}

#[test]
fn words_that_say_what_they_point_to() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    ring.hooks()
        .cookies(Cookies::TaggedPointers { tag_mask: 7 });
    for _ in 0..20 {
        let handle = std::rc::Rc::new(7u64);
        for tag in 1..4 {
            let word = probe::into_raw(std::rc::Rc::clone(&handle)) as u64 | tag;
            let entry = opcode::Nop::new().build().user_data(word);
            // SAFETY: a NOP points to nothing.
            unsafe { ring.submission().push(&entry) }.expect("room");
        }
        ring.submit_and_wait(3).expect("submitted");
        for entry in ring.completion() {
            let raw = (entry.user_data() & !7) as *const u64;
            // SAFETY: a handle went out with each.
            drop(unsafe { probe::from_raw::<std::rc::Rc<u64>>(raw) });
        }
    }
    scope.assert_clean();
}

#[test]
fn a_ring_whose_submissions_the_kernel_polls_for() {
    let scope = probe::scope();
    let mut ring = match IoUring::builder().setup_sqpoll(50).build(16) {
        Ok(ring) => ring,
        Err(error) => {
            eprintln!("SKIPPED: no polled rings here ({error})");
            return;
        }
    };
    let (near, far) = pair();
    for round in 0..50u8 {
        start_with(&mut ring, "write", vec![round; 40], |buffer| {
            opcode::Write::new(fd(&near), buffer.as_ptr(), 40).build()
        });
        start_with(&mut ring, "read", vec![0; 40], |buffer| {
            opcode::Read::new(fd(&far), buffer.as_mut_ptr(), 40).build()
        });
        assert_eq!(all(&mut ring, ["write", "read"]), [40, 40]);
    }
    scope.assert_clean();
}

#[test]
fn owners_that_leave_and_come_back_with_their_operations() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (near, far) = pair();
    for round in 0..50u8 {
        let mut to = Box::new([0u8; 16]);
        let from = Box::new([round; 16]);
        let read = opcode::Read::new(fd(&far), to.as_mut_ptr(), 16).build();
        let write = opcode::Write::new(types::Fd(near.as_raw_fd()), from.as_ptr(), 16).build();
        // SAFETY: the boxes come back with the completions.
        unsafe {
            ring.submission().push_owned(read, to).expect("room");
            ring.submission().push_owned(write, from).expect("room");
        }
        ring.submit_and_wait(2).expect("submitted");
        let mut completions = ring.completion();
        while let Some(reaped) = completions.reap() {
            assert!(!cqueue::more(reaped.flags()));
            // SAFETY: every cookie of this ring is such a box.
            let (entry, bytes) = unsafe { reaped.reclaim::<Box<[u8; 16]>>() };
            assert_eq!((entry.result(), *bytes), (16, [round; 16]));
        }
    }
    scope.assert_clean();
}

/// What is in a cell begins with a cell: both are borrowed at once, at one address.
#[test]
fn a_cell_that_begins_with_a_cell() {
    struct Outer {
        inner: TracedCell<u64>,
        rest: u64,
    }
    let scope = probe::scope();
    let outer = TracedCell::new(Outer {
        inner: TracedCell::new(1),
        rest: 2,
    });
    let borrow = outer.exclusive();
    // SAFETY: borrowed exclusively just now.
    let held = unsafe { &*borrow.as_ptr() };
    // SAFETY: nobody else borrows the inner cell.
    held.inner.with_mut(|inner| unsafe { *inner += held.rest });
    // SAFETY: as above.
    assert_eq!(held.inner.with(|inner| unsafe { *inner }), 3);
    drop(borrow);
    scope.assert_clean();
}
