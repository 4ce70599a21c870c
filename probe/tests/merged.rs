//! Owners that go into the kernel and come back with it, both ways in one record each: what the trace
//! says is what it says of four records.

#![cfg(all(feature = "io-uring", feature = "assert"))]

use probe::Rule;
use probe::io_uring::{IoUring, opcode};

struct Conn(u64);

/// A ring, where the kernel permits one.
fn ring(entries: u32) -> Option<IoUring> {
    match IoUring::new(entries) {
        Ok(ring) => Some(ring),
        Err(error) => {
            eprintln!("SKIPPED: no ring here ({error})");
            None
        }
    }
}

fn push(ring: &mut IoUring, number: u64) {
    let entry = opcode::Nop::new().build();
    // SAFETY: a NOP points to nothing.
    unsafe { ring.submission().push_owned(entry, Box::new(Conn(number))) }.expect("room");
}

#[test]
fn owners_come_back_with_their_completions() {
    let scope = probe::scope();
    let Some(mut ring) = ring(8) else { return };
    for number in 0..100 {
        push(&mut ring, number);
        ring.submit_and_wait(1).expect("the kernel takes it");
        let mut completions = ring.completion();
        let reaped = completions.reap().expect("one is there");
        assert_eq!((reaped.result(), reaped.flags()), (0, 0));
        assert_ne!(reaped.cookie(), 0);
        // SAFETY: every cookie of this ring came from `push_owned` with a box.
        let (entry, conn) = unsafe { reaped.reclaim::<Box<Conn>>() };
        assert_eq!((entry.result(), conn.0), (0, number));
        assert!(completions.reap().is_none());
    }
    scope.assert_clean();
}

#[test]
fn a_completion_that_nobody_decides_about_is_recorded_alone() {
    let scope = probe::scope();
    let Some(mut ring) = ring(8) else { return };
    for number in 0..3 {
        push(&mut ring, number);
    }
    ring.submit_and_wait(3).expect("the kernel takes them");
    let mut completions = ring.completion();
    let taken = completions.reap().expect("the first").take();
    let dropped = completions.reap().expect("the second");
    let cookie = dropped.cookie();
    drop(dropped);
    let third = completions.next().expect("the third");
    for cookie in [taken.user_data(), cookie, third.user_data()] {
        // SAFETY: leaked by `push_owned`, and taken back once.
        drop(unsafe { probe::from_raw::<Box<Conn>>(cookie as *mut Conn) });
    }
    scope.assert_clean();
}

#[test]
fn a_full_queue_gives_the_owner_back_and_records_nothing() {
    let scope = probe::scope();
    let Some(mut ring) = ring(1) else { return };
    push(&mut ring, 1);
    let entry = opcode::Nop::new().build();
    // SAFETY: a NOP points to nothing.
    let full = unsafe { ring.submission().push_owned(entry, Box::new(Conn(2))) }
        .expect_err("the queue has one slot");
    assert_eq!(full.owner.0, 2);
    assert_eq!(full.to_string(), "submission queue is full");
    drop(full);
    ring.submit_and_wait(1).expect("the kernel takes it");
    let mut completions = ring.completion();
    let reaped = completions.reap().expect("one is there");
    // SAFETY: the cookie came from `push_owned` with a box.
    let (_, conn) = unsafe { reaped.reclaim::<Box<Conn>>() };
    assert_eq!(conn.0, 1);
    scope.assert_clean();
}

#[test]
fn an_owner_that_is_not_taken_back_is_found() {
    let scope = probe::scope();
    let Some(mut ring) = ring(8) else { return };
    push(&mut ring, 1);
    ring.submit_and_wait(1).expect("the kernel takes it");
    let cookie = ring
        .completion()
        .reap()
        .expect("one is there")
        .take()
        .user_data();
    scope.expect(Rule::T09).times(1);
    // SAFETY: leaked by `push_owned`, and taken back once.
    drop(unsafe { probe::from_raw::<Box<Conn>>(cookie as *mut Conn) });
}
