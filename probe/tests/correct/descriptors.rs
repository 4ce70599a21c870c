//! Descriptors: accepted, opened and closed by operations, as numbers of the process and of the ring.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::IntoRawFd;

use probe::io_uring::{cqueue, opcode, types, types::CancelBuilder, types::DestinationSlot};

use super::{adopt, all, fd, is_refused, next, pair, ring, start, start_with};

fn slot(number: u32) -> Option<DestinationSlot> {
    Some(DestinationSlot::try_from_slot_target(number).expect("a slot"))
}

#[test]
fn an_accept_that_goes_on() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    start(
        &mut ring,
        "accept",
        opcode::AcceptMulti::new(fd(&listener)).build(),
    );
    ring.submit().expect("submitted");
    for _ in 0..5 {
        let near = TcpStream::connect(address).expect("connected");
        let done = next(&mut ring).named("accept");
        if done.buffer.is_some() && is_refused("multishot accepts", done.result) {
            return;
        }
        assert!(cqueue::more(done.flags));
        drop((adopt(done.result), near));
    }
    start(
        &mut ring,
        "cancel",
        opcode::AsyncCancel2::new(CancelBuilder::fd(fd(&listener)).all()).build(),
    );
    assert_eq!(all(&mut ring, ["accept", "cancel"]), [-libc::ECANCELED, 1]);
    scope.assert_clean();
}

#[test]
fn an_accept_that_was_cancelled_too_late_is_adopted() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    for _ in 0..3 {
        let near = TcpStream::connect(address).expect("connected");
        let accept = opcode::Accept::new(fd(&listener), std::ptr::null_mut(), std::ptr::null_mut());
        let cookie = start(&mut ring, "accept", accept.build());
        start(
            &mut ring,
            "cancel",
            opcode::AsyncCancel::new(cookie).build(),
        );
        let [accepted, cancelled] = all(&mut ring, ["accept", "cancel"]);
        assert_eq!(cancelled, -libc::ENOENT);
        let far = adopt(accepted);
        // Closed by an operation, which says so.
        let far = far.into_owned().into_raw_fd();
        start(
            &mut ring,
            "close",
            opcode::Close::new(types::Fd(far)).build(),
        );
        assert_eq!(next(&mut ring).named("close").result, 0);
        drop(near);
    }
    for _ in 0..3 {
        start(&mut ring, "nop", opcode::Nop::new().build());
        next(&mut ring);
    }
    scope.assert_clean();
}

#[test]
fn files_of_the_ring_alone() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    ring.submitter().register_files_sparse(4).expect("a table");
    let path = c"/dev/zero";
    for number in [0, 1, 0] {
        let open =
            opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).file_index(slot(number));
        start(&mut ring, "open", open.build());
        assert_eq!(next(&mut ring).named("open").result, 0);
        start_with(&mut ring, "read", vec![1; 16], |buffer| {
            opcode::Read::new(types::Fixed(number), buffer.as_mut_ptr(), 16).build()
        });
        let done = next(&mut ring).named("read");
        assert_eq!((done.result, done.buffer), (16, Some(vec![0; 16])));
        start(
            &mut ring,
            "close",
            opcode::Close::new(types::Fixed(number)).build(),
        );
        assert_eq!(next(&mut ring).named("close").result, 0);
    }
    // A number that the kernel chooses is no descriptor of the process, cancelled or not.
    let auto = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr())
        .file_index(Some(DestinationSlot::auto_target()));
    let cookie = start(&mut ring, "open", auto.build());
    start(
        &mut ring,
        "cancel",
        opcode::AsyncCancel::new(cookie).build(),
    );
    let [opened, _] = all(&mut ring, ["open", "cancel"]);
    if !is_refused("slots of the kernel's choice", opened) && opened >= 0 {
        start(
            &mut ring,
            "close",
            opcode::Close::new(types::Fixed(opened as u32)).build(),
        );
        assert_eq!(next(&mut ring).named("close").result, 0);
    }
    // Something that says what it opens and closes, so that others that do not are noticed.
    drop(adopt(
        std::fs::File::open("/dev/null")
            .expect("a file")
            .into_raw_fd(),
    ));
    scope.assert_clean();
}

#[test]
fn an_accept_into_a_slot() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    ring.submitter().register_files_sparse(4).expect("a table");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let accept = opcode::Accept::new(fd(&listener), std::ptr::null_mut(), std::ptr::null_mut());
    start(&mut ring, "accept", accept.file_index(slot(2)).build());
    assert_eq!(next(&mut ring).named("accept").result, 0);
    near.write_all(b"hello").expect("written");
    start_with(&mut ring, "recv", vec![0; 16], |buffer| {
        opcode::Recv::new(types::Fixed(2), buffer.as_mut_ptr(), 16).build()
    });
    assert_eq!(next(&mut ring).named("recv").result, 5);
    start(
        &mut ring,
        "close",
        opcode::Close::new(types::Fixed(2)).build(),
    );
    assert_eq!(next(&mut ring).named("close").result, 0);
    scope.assert_clean();
}

#[test]
fn a_number_that_is_given_out_again() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    for _ in 0..5 {
        start(
            &mut ring,
            "socket",
            opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build(),
        );
        let opened = next(&mut ring).named("socket").result;
        if is_refused("SOCKET", opened) {
            return;
        }
        let socket = adopt(opened);
        let poll = opcode::PollAdd::new(fd(&socket), libc::POLLIN as u32).build();
        start(&mut ring, "poll", poll);
        next(&mut ring).named("poll");
        socket.close();
    }
    // A read that is cancelled before its descriptor is closed.
    let (near, _far) = pair();
    let near = probe::fd::Descriptor::new(near.into());
    let cookie = start_with(&mut ring, "read", vec![0; 16], |buffer| {
        opcode::Read::new(fd(&near), buffer.as_mut_ptr(), 16).build()
    });
    start(
        &mut ring,
        "cancel",
        opcode::AsyncCancel::new(cookie).build(),
    );
    assert_eq!(all(&mut ring, ["read", "cancel"]), [-libc::ECANCELED, 0]);
    drop(near);
    scope.assert_clean();
}
