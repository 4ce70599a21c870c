//! Buffers that the kernel chooses: given by entries, and through a ring of buffers.

use std::io::Write;
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};

use probe::io_uring::{IoUring, cqueue, opcode, squeue::Flags, types::BufRingEntry};

use super::{all, fd, is_refused, next, pair, ring, start, start_with};

const GROUP: u16 = 3;
const COUNT: u16 = 4;
const SIZE: usize = 32;

fn give(ring: &mut IoUring, buffers: *mut u8, first: u16, count: u16) {
    let start_of = buffers.wrapping_add(usize::from(first) * SIZE);
    let entry = opcode::ProvideBuffers::new(start_of, SIZE as i32, count, GROUP, first);
    start(ring, "give", entry.build());
    assert!(next(ring).named("give").result >= 0);
}

#[test]
fn buffers_given_by_entries() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (mut near, far) = pair();
    let mut buffers = vec![0u8; SIZE * usize::from(COUNT)];
    give(&mut ring, buffers.as_mut_ptr(), 0, COUNT);
    for round in 0..12 {
        near.write_all(&[round; 5]).expect("written");
        let recv = opcode::Recv::new(fd(&far), ptr::null_mut(), SIZE as u32)
            .buf_group(GROUP)
            .build()
            .flags(Flags::BUFFER_SELECT);
        start(&mut ring, "recv", recv);
        let done = next(&mut ring).named("recv");
        assert_eq!(done.result, 5);
        let buffer = cqueue::buffer_select(done.flags).expect("a buffer");
        give(&mut ring, buffers.as_mut_ptr(), buffer, 1);
    }
    start(
        &mut ring,
        "take",
        opcode::RemoveBuffers::new(COUNT, GROUP).build(),
    );
    assert_eq!(next(&mut ring).named("take").result, i32::from(COUNT));
    drop(buffers);
    scope.assert_clean();
}

/// Memory on a page of its own, which a ring of buffers needs.
#[repr(align(4096))]
struct Page(#[expect(dead_code, reason = "the kernel reads it")] [u8; 4096]);

/// Gives a buffer of `buffers` back through the ring of buffers that lies on `page`.
fn give_back(page: *mut Page, buffers: *mut u8, buffer: u16) {
    // SAFETY: the page outlives the group; this thread alone writes entries, and the kernel reads those
    // before the tail only.
    unsafe {
        let first = page.cast::<BufRingEntry>();
        let tail = &*BufRingEntry::tail(first).cast::<AtomicU16>();
        let at = tail.load(Ordering::Relaxed);
        let entry = &mut *first.add(usize::from(at % COUNT));
        entry.set_addr(buffers.wrapping_add(usize::from(buffer) * SIZE) as u64);
        entry.set_len(SIZE as u32);
        entry.set_bid(buffer);
        tail.store(at.wrapping_add(1), Ordering::Release);
    }
}

#[test]
fn buffers_given_through_a_ring_of_buffers() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (mut near, far) = pair();
    let mut buffers = vec![0u8; SIZE * usize::from(COUNT)];
    let page = Box::into_raw(Box::new(Page([0; 4096])));
    // SAFETY: the page is freed after the group was unregistered.
    let made = unsafe {
        ring.submitter()
            .register_buf_ring_with_flags(page as u64, COUNT, GROUP, 0)
    };
    if let Err(error) = made {
        eprintln!("SKIPPED: no rings of buffers here ({error})");
        // SAFETY: from `into_raw`, and nobody else has it.
        drop(unsafe { Box::from_raw(page) });
        return;
    }
    for buffer in 0..COUNT {
        give_back(page, buffers.as_mut_ptr(), buffer);
    }
    probe::buffer::provided(ring.hooks(), GROUP, 0, u32::from(COUNT));
    let cookie = start(
        &mut ring,
        "recv",
        opcode::RecvMulti::new(fd(&far), GROUP).build(),
    );
    ring.submit().expect("submitted");
    for round in 0..12 {
        near.write_all(&[round; 5]).expect("written");
        let done = next(&mut ring).named("recv");
        assert!(
            done.result == 5 && cqueue::more(done.flags),
            "{}",
            done.result
        );
        let buffer = cqueue::buffer_select(done.flags).expect("a buffer");
        assert_eq!(buffers[usize::from(buffer) * SIZE], round);
        probe::buffer::provided(ring.hooks(), GROUP, buffer, 1);
        give_back(page, buffers.as_mut_ptr(), buffer);
    }
    start(
        &mut ring,
        "cancel",
        opcode::AsyncCancel::new(cookie).build(),
    );
    assert_eq!(all(&mut ring, ["recv", "cancel"]), [-libc::ECANCELED, 0]);
    // Until none is left, and then again with all of them.
    start(
        &mut ring,
        "recv",
        opcode::RecvMulti::new(fd(&far), GROUP).build(),
    );
    ring.submit().expect("submitted");
    let mut taken = Vec::new();
    loop {
        near.write_all(b"x").expect("written");
        let done = next(&mut ring).named("recv");
        if done.buffer.is_some() {
            assert_eq!(done.result, -libc::ENOBUFS);
            break;
        }
        taken.extend(cqueue::buffer_select(done.flags));
    }
    assert_eq!(taken.len(), usize::from(COUNT));
    for buffer in taken {
        probe::buffer::provided(ring.hooks(), GROUP, buffer, 1);
        give_back(page, buffers.as_mut_ptr(), buffer);
    }
    start(&mut ring, "nop", opcode::Nop::new().build());
    next(&mut ring).named("nop");
    ring.submitter()
        .unregister_buf_ring(GROUP)
        .expect("unregistered");
    // SAFETY: from `into_raw`; the kernel let go of it.
    drop(unsafe { Box::from_raw(page) });
    drop(buffers);
    scope.assert_clean();
}

#[test]
fn bundles_take_several_buffers_at_once() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (mut near, far) = pair();
    let mut buffers = vec![0u8; SIZE * usize::from(COUNT)];
    give(&mut ring, buffers.as_mut_ptr(), 0, COUNT);
    near.write_all(&[1; SIZE * 2 + 1]).expect("written");
    start(
        &mut ring,
        "recv",
        opcode::RecvBundle::new(fd(&far), GROUP).build(),
    );
    let done = next(&mut ring).named("recv");
    if !is_refused("bundles", done.result) {
        assert!(done.result > 0);
        let first = cqueue::buffer_select(done.flags).expect("a buffer");
        let count = (done.result as usize).div_ceil(SIZE) as u16;
        give(&mut ring, buffers.as_mut_ptr(), first, count);
    }
    drop(ring);
    scope.assert_clean();
}

#[test]
fn a_vector_that_grows_between_two_reads_moves() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (mut near, far) = pair();
    let mut buffer = vec![0; 64];
    for size in [64usize, 4096, 1 << 16, 1 << 18] {
        buffer.resize(size, 0);
        near.write_all(b"hello").expect("written");
        start_with(&mut ring, "read", buffer, |buffer| {
            opcode::Read::new(fd(&far), buffer.as_mut_ptr(), 64).build()
        });
        let done = next(&mut ring).named("read");
        assert_eq!(done.result, 5);
        buffer = done.buffer.expect("back");
        buffer.shrink_to(8);
    }
    scope.assert_clean();
}
