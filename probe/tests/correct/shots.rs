//! Operations that complete often, twice, or not at all.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use probe::io_uring::{cqueue, opcode, squeue::Flags, types};

use super::{fd, is_refused, next, pair, ring, start, start_with};

#[test]
fn a_poll_that_fires_often_and_is_cancelled() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (mut near, far) = pair();
    let poll = opcode::PollAdd::new(fd(&far), libc::POLLIN as u32).multi(true);
    let cookie = start(&mut ring, "poll", poll.build());
    ring.submit().expect("submitted");
    for round in 0..5 {
        near.write_all(b"x").expect("written");
        let done = next(&mut ring).named("poll");
        assert!(done.result > 0 && cqueue::more(done.flags), "{round}");
        assert_eq!((&far).read(&mut [0; 8]).expect("read"), 1);
    }
    start(
        &mut ring,
        "cancel",
        opcode::AsyncCancel::new(cookie).build(),
    );
    let results = super::all(&mut ring, ["poll", "cancel"]);
    assert_eq!(results, [-libc::ECANCELED, 0]);
    scope.assert_clean();
}

#[test]
fn a_poll_that_is_removed_by_its_cookie() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (_near, far) = pair();
    for _ in 0..3 {
        let poll = opcode::PollAdd::new(fd(&far), libc::POLLIN as u32);
        let cookie = start(&mut ring, "poll", poll.build());
        start(&mut ring, "remove", opcode::PollRemove::new(cookie).build());
        let results = super::all(&mut ring, ["poll", "remove"]);
        assert_eq!(results, [-libc::ECANCELED, 0]);
    }
    scope.assert_clean();
}

#[test]
fn a_timeout_that_ticks() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let tick = Box::new(types::Timespec::new().nsec(1_000_000));
    let timeout = opcode::Timeout::new(&*tick)
        .count(3)
        .flags(types::TimeoutFlags::MULTISHOT);
    start(&mut ring, "ticks", timeout.build());
    ring.submit().expect("submitted");
    // The kernel has a copy.
    drop(tick);
    let mut ticks = 0;
    loop {
        let done = next(&mut ring).named("ticks");
        if is_refused("multishot timeouts", done.result) {
            break;
        }
        assert_eq!(done.result, -libc::ETIME);
        ticks += 1;
        if done.buffer.is_some() {
            assert_eq!(ticks, 3);
            break;
        }
    }
    scope.assert_clean();
}

#[test]
fn timeouts_are_updated_and_removed_by_their_cookies() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let long = types::Timespec::new().sec(1000);
    let short = types::Timespec::new().nsec(1);
    let first = start(&mut ring, "first", opcode::Timeout::new(&long).build());
    let second = start(&mut ring, "second", opcode::Timeout::new(&long).build());
    ring.submit().expect("submitted");
    start(
        &mut ring,
        "update",
        opcode::TimeoutUpdate::new(first, &short).build(),
    );
    start(
        &mut ring,
        "remove",
        opcode::TimeoutRemove::new(second).build(),
    );
    let results = super::all(&mut ring, ["first", "second", "update", "remove"]);
    assert_eq!(results, [-libc::ETIME, -libc::ECANCELED, 0, 0]);
    // One that waits for a number of completions.
    start(
        &mut ring,
        "count",
        opcode::Timeout::new(&long).count(1).build(),
    );
    start(&mut ring, "nop", opcode::Nop::new().build());
    assert_eq!(super::all(&mut ring, ["count", "nop"]), [0, 0]);
    scope.assert_clean();
}

#[test]
fn a_zero_copy_send_holds_its_buffer_until_the_notification() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (mut far, _) = listener.accept().expect("accepted");
    for _ in 0..4 {
        start_with(&mut ring, "send", vec![7; 4096], |buffer| {
            opcode::SendZc::new(fd(&near), buffer.as_ptr(), 4096).build()
        });
        let sent = next(&mut ring).named("send");
        if is_refused("SEND_ZC", sent.result) {
            break;
        }
        let mut received = vec![0; 4096];
        far.read_exact(&mut received).expect("received");
        if cqueue::more(sent.flags) {
            let notified = next(&mut ring).named("send");
            assert!(cqueue::notif(notified.flags) && notified.buffer.is_some());
        }
    }
    scope.assert_clean();
}

#[test]
fn a_read_in_time_and_a_read_too_late() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (mut near, far) = pair();
    let long = types::Timespec::new().sec(1000);
    let short = types::Timespec::new().nsec(1);
    let read = |buffer: &mut Vec<u8>| {
        opcode::Read::new(fd(&far), buffer.as_mut_ptr(), 8)
            .build()
            .flags(Flags::IO_LINK)
    };
    near.write_all(b"in time").expect("written");
    start_with(&mut ring, "read", vec![0; 8], read);
    start(&mut ring, "limit", opcode::LinkTimeout::new(&long).build());
    assert_eq!(
        super::all(&mut ring, ["read", "limit"]),
        [7, -libc::ECANCELED]
    );
    start_with(&mut ring, "read", vec![0; 8], read);
    start(&mut ring, "limit", opcode::LinkTimeout::new(&short).build());
    assert_eq!(
        super::all(&mut ring, ["read", "limit"])[0],
        -libc::ECANCELED
    );
    scope.assert_clean();
}

#[test]
fn a_chain_whose_first_operation_fails() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    start(
        &mut ring,
        "bad",
        opcode::Fsync::new(types::Fd(-1))
            .build()
            .flags(Flags::IO_LINK),
    );
    start(&mut ring, "nop", opcode::Nop::new().build());
    assert_eq!(
        super::all(&mut ring, ["bad", "nop"]),
        [-libc::EBADF, -libc::ECANCELED]
    );
    scope.assert_clean();
}

#[test]
fn operations_that_are_silent_when_all_goes_well() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    if !ring.params().is_feature_skip_cqe_on_success() {
        eprintln!("SKIPPED: the kernel posts every success");
        return;
    }
    const NOBODY: u64 = 1;
    ring.hooks().sentinel(NOBODY);
    let quiet =
        |entry: probe::io_uring::squeue::Entry| entry.flags(Flags::SKIP_SUCCESS).user_data(NOBODY);
    for round in 0..20 {
        let good = quiet(opcode::Nop::new().build());
        let bad = quiet(opcode::Fsync::new(types::Fd(-1)).build());
        // SAFETY: they point to nothing.
        unsafe { ring.submission().push_multiple(&[good, bad]) }.expect("room");
        let cookie = start(&mut ring, "nop", opcode::Nop::new().build());
        ring.submit_and_wait(2).expect("submitted");
        for entry in ring.completion() {
            if entry.user_data() == cookie {
                // SAFETY: the only completion of this box's only operation.
                drop(unsafe { probe::from_raw::<Box<super::Op>>(cookie as *mut super::Op) });
            } else {
                let failed = (entry.user_data(), entry.result());
                assert_eq!(failed, (NOBODY, -libc::EBADF), "{round}");
            }
        }
    }
    scope.assert_clean();
}

#[test]
fn a_pointer_of_a_quiet_send_and_a_loud_read_that_fails() {
    use std::os::fd::AsRawFd;
    struct Conn(
        #[expect(dead_code, reason = "lives as long as both operations")]
        std::os::unix::net::UnixStream,
    );
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (near, far) = pair();
    let fd = types::Fd(near.as_raw_fd());
    let conn = probe::into_raw(Box::new(Conn(near)));
    ring.hooks().shared(conn as u64);
    let send = opcode::Send::new(fd, b"hello".as_ptr(), 5).build();
    let read = opcode::Recv::new(types::Fd(-1), std::ptr::null_mut(), 0).build();
    let send = send.flags(Flags::SKIP_SUCCESS).user_data(conn as u64);
    // SAFETY: the text is a constant, and the receive writes nothing.
    unsafe {
        ring.submission()
            .push_multiple(&[send, read.user_data(conn as u64)])
    }
    .expect("room");
    ring.submit_and_wait(1).expect("submitted");
    let failed = ring.completion().next().expect("the failure");
    assert_eq!(failed.result(), -libc::EBADF);
    assert_eq!((&far).read(&mut [0; 8]).expect("read"), 5);
    // SAFETY: leaked once, taken back once: one operation has completed, the other has done its work.
    drop(unsafe { probe::from_raw::<Box<Conn>>(conn) });
    scope.assert_clean();
}
