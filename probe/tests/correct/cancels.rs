//! Cancellations: of one operation, of all with one cookie, of all on one descriptor, of everything.

use probe::io_uring::{IoUring, opcode, types, types::CancelBuilder};

use super::{all, fd, is_refused, next, pair, ring, start, start_with};

#[track_caller]
fn read(ring: &mut IoUring, name: &'static str, from: types::Fd) -> u64 {
    start_with(ring, name, vec![0; 64], |buffer| {
        opcode::Read::new(from, buffer.as_mut_ptr(), 64).build()
    })
}

#[test]
fn one_of_two_by_its_cookie() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (near, far) = pair();
    for _ in 0..10 {
        let first = read(&mut ring, "first", fd(&near));
        let second = read(&mut ring, "second", fd(&far));
        start(&mut ring, "cancel", opcode::AsyncCancel::new(first).build());
        assert_eq!(all(&mut ring, ["first", "cancel"]), [-libc::ECANCELED, 0]);
        // Once more, though nothing is there any more: its address may be anybody's by now.
        start(&mut ring, "again", opcode::AsyncCancel::new(first).build());
        let again = next(&mut ring).named("again").result;
        start(
            &mut ring,
            "cancel",
            opcode::AsyncCancel::new(second).build(),
        );
        assert_eq!(all(&mut ring, ["second", "cancel"]), [-libc::ECANCELED, 0]);
        assert_eq!(again, -libc::ENOENT);
    }
    scope.assert_clean();
}

#[test]
fn all_that_share_a_cookie() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (near, _far) = pair();
    let conn = probe::into_raw(Box::new([[0u8; 64]; 2]));
    ring.hooks().shared(conn as u64);
    for half in 0..2 {
        // SAFETY: the box lives until both have completed.
        let buffer = unsafe { (&raw mut (*conn)[half]).cast() };
        let entry = opcode::Read::new(fd(&near), buffer, 64)
            .build()
            .user_data(conn as u64);
        // SAFETY: as above.
        unsafe { ring.submission().push(&entry) }.expect("room");
    }
    let everything = CancelBuilder::user_data(conn as u64).all();
    let entry = opcode::AsyncCancel2::new(everything).build().user_data(1);
    ring.hooks().sentinel(1);
    // SAFETY: it points to nothing.
    unsafe { ring.submission().push(&entry) }.expect("room");
    ring.submit_and_wait(3).expect("submitted");
    let mut results: Vec<_> = ring
        .completion()
        .map(|entry| (entry.user_data(), entry.result()))
        .collect();
    results.sort_unstable();
    let both = (conn as u64, -libc::ECANCELED);
    assert_eq!(results, [(1, 2), both, both]);
    // SAFETY: leaked once, taken back once; nothing is in flight.
    drop(unsafe { probe::from_raw::<Box<[[u8; 64]; 2]>>(conn) });
    scope.assert_clean();
}

#[test]
fn all_on_a_descriptor_and_everything() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (near, far) = pair();
    read(&mut ring, "first", fd(&near));
    read(&mut ring, "second", fd(&near));
    read(&mut ring, "other", fd(&far));
    let on = CancelBuilder::fd(fd(&near)).all();
    start(&mut ring, "cancel", opcode::AsyncCancel2::new(on).build());
    let mut results = Vec::new();
    for _ in 0..3 {
        let done = next(&mut ring);
        if done.name == "cancel" && is_refused("cancels by descriptor", done.result) {
            return;
        }
        results.push((done.name, done.result));
    }
    results.sort_unstable();
    let gone = -libc::ECANCELED;
    assert_eq!(results, [("cancel", 2), ("first", gone), ("second", gone)]);
    read(&mut ring, "second", fd(&near));
    start(
        &mut ring,
        "cancel",
        opcode::AsyncCancel2::new(CancelBuilder::any().all()).build(),
    );
    assert_eq!(
        all(&mut ring, ["other", "second", "cancel"]),
        [gone, gone, 2]
    );
    scope.assert_clean();
}

#[test]
fn operations_without_an_owner_share_a_word_and_nobody_is_cancelled_by_it() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    ring.hooks().sentinel(0);
    let (near, _far) = pair();
    let cookie = read(&mut ring, "read", fd(&near));
    let cancel = opcode::AsyncCancel::new(cookie).build();
    let nop = opcode::Nop::new().build();
    // SAFETY: they point to nothing.
    unsafe { ring.submission().push_multiple(&[nop, cancel]) }.expect("room");
    ring.submit_and_wait(3).expect("submitted");
    let mut left = 3;
    while left > 0 {
        let entry = ring.completion().next().expect("all three are there");
        left -= 1;
        if entry.user_data() == cookie {
            assert_eq!(entry.result(), -libc::ECANCELED);
            // SAFETY: the only completion of this box's only operation.
            drop(unsafe { probe::from_raw::<Box<super::Op>>(cookie as *mut super::Op) });
        }
    }
    scope.assert_clean();
}
