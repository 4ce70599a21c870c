//! What becomes of completions in their queue, on the kernel's rings: taken by another part of the program than the
//! one that they are for, taken twice, and too many of them. Each with its correct twin.

#![cfg(all(feature = "io-uring", feature = "assert"))]

use probe::Rule;
use probe::io_uring::{IoUring, opcode, squeue};
use probe::ring::{Kind, Ring};

fn ring(entries: u32, completions: u32) -> Option<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(completions);
    match builder.build(entries) {
        Ok(ring) => Some(ring),
        Err(error) => {
            eprintln!("SKIPPED: no ring here ({error})");
            None
        }
    }
}

fn push(ring: &mut IoUring, cookie: u64) {
    let entry = opcode::Nop::new().build().user_data(cookie);
    // SAFETY: a no-operation points at nothing.
    unsafe { ring.submission().push(&entry) }.expect("room");
}

/// Two parts of a program on one ring; the second takes completions for `taker`.
fn two_parts(taker: &str) -> Option<()> {
    let mut ring = ring(8, 16)?;
    ring.hooks().owner("reads");
    push(&mut ring, 0x10);
    ring.hooks().owner("writes");
    push(&mut ring, 0x20);
    ring.submit_and_wait(2).expect("submitted");
    // In the order of the queue: first that of the reads.
    ring.hooks().owner(taker);
    assert_eq!(
        ring.completion().next().expect("waited for").user_data(),
        0x10
    );
    ring.hooks().owner("writes");
    assert_eq!(
        ring.completion().next().expect("waited for").user_data(),
        0x20
    );
    Some(())
}

#[test]
fn a_completion_that_another_part_takes() {
    let scope = probe::scope();
    if two_parts("writes").is_some() {
        scope.expect(Rule::T13).times(1);
    }
}

#[test]
fn parts_that_take_their_own_and_a_loop_that_takes_for_all() {
    let scope = probe::scope();
    if two_parts("reads").is_some() {
        two_parts("");
        scope.assert_clean();
    }
}

/// A ring of the program's own: it reads completions where they lie, and moves the head when it likes. The kernel's
/// part is played by a ring of the crate that nobody follows.
fn in_place(moves_the_head: bool) -> Option<()> {
    use io_uring::{IoUring, opcode};

    let mut ring = match IoUring::new(8) {
        Ok(ring) => ring,
        Err(error) => {
            eprintln!("SKIPPED: no ring here ({error})");
            return None;
        }
    };
    let hooks = Ring::created(Kind::Copied, -1, 8, 16, 0, 0);
    for (head, cookie) in [0x10_u64, 0x20, 0x30].into_iter().enumerate() {
        let head = head as u32;
        let entry = opcode::Nop::new().build().user_data(cookie);
        let mut words: probe::ring::Entry = [0; 8];
        words[4] = cookie;
        hooks.pushed(&words);
        // SAFETY: a no-operation points at nothing.
        unsafe { ring.submission().push(&entry) }.expect("room");
        let taken = ring.submit_and_wait(1).expect("submitted");
        hooks.entered(1, 1, taken as i32);
        let entry = ring.completion().next().expect("waited for");
        hooks.reaped_at(head, entry.user_data(), entry.result(), entry.flags());
        if cookie == 0x20 && !moves_the_head {
            // The handler ended early: the same place is worked through again.
            hooks.reaped_at(head, entry.user_data(), entry.result(), entry.flags());
        }
    }
    Some(())
}

#[test]
fn a_completion_that_is_taken_twice() {
    let scope = probe::scope();
    if in_place(false).is_some() {
        scope.expect(Rule::T21).times(1);
    }
}

#[test]
fn completions_taken_by_index_once_each() {
    let scope = probe::scope();
    if in_place(true).is_some() {
        scope.assert_clean();
    }
}

fn nops(ring: &mut IoUring, count: u64) {
    let entries: Vec<squeue::Entry> = (1..=count)
        .map(|cookie| opcode::Nop::new().build().user_data(cookie << 4))
        .collect();
    for batch in entries.chunks(2) {
        // SAFETY: a no-operation points at nothing.
        unsafe { ring.submission().push_multiple(batch) }.expect("room");
        ring.submit().expect("submitted");
    }
}

/// More completions than the queue has room for; afterwards nothing enters the kernel any more.
#[test]
fn completions_that_nobody_fetches() {
    let scope = probe::scope();
    let Some(mut ring) = ring(2, 4) else { return };
    nops(&mut ring, 8);
    let mut seen = 0;
    for _ in 0..4 {
        seen += ring.completion().count();
    }
    assert_eq!(seen, 4, "the rest waits in the kernel");
    // Its fields go away with the process only: that the ring is dropped is another rule's.
    std::mem::forget(ring);
    scope.expect(Rule::T17).times(1);
}

#[test]
fn completions_that_are_fetched_when_they_found_no_room() {
    let scope = probe::scope();
    let Some(mut ring) = ring(2, 4) else { return };
    nops(&mut ring, 8);
    let mut seen = 0;
    while seen < 8 {
        seen += ring.completion().count();
        if ring.submission().cq_overflow() {
            ring.submit_and_wait(1).expect("entered");
        }
    }
    scope.assert_clean();
}
