//! Operations on sockets, with buffers of the caller's and of the kernel's choice, and what waits for descriptors.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::common::{
    Buffers, Log, descriptor, epoll, eventfd, go, go_on, of, push, ring, take,
};
use super::uring::{IoUring, cqueue, opcode, squeue, types};

pub(super) fn all(log: &mut Log) {
    connections(log);
    messages(log);
    many(log);
    bundles(log);
    without_copies(log);
    commands(log);
    readiness(log);
}

fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

fn loopback(port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as _,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes([127, 0, 0, 1]),
        },
        sin_zero: [0; 8],
    }
}

fn connections(log: &mut Log) {
    let ring = &mut ring();
    let socket = opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0)
        .flags(0)
        .file_index(None)
        .build();
    let Some(listener) = descriptor(ring, log, "Socket", socket.clone().user_data(1)) else {
        return;
    };
    let on: libc::c_int = 1;
    let option = opcode::SetSockOpt::new(
        of(&listener),
        libc::SOL_SOCKET as u32,
        libc::SO_REUSEADDR as u32,
        (&raw const on).cast(),
        length_of::<libc::c_int>(),
    )
    .flags(0)
    .build();
    go(ring, log, "SetSockOpt", &[option.user_data(2)]);
    let mut is_on: libc::c_int = 0;
    let option = opcode::GetSockOpt::new(
        of(&listener),
        libc::SOL_SOCKET as u32,
        libc::SO_REUSEADDR as u32,
        (&raw mut is_on).cast(),
        length_of::<libc::c_int>(),
    )
    .flags(0)
    .build();
    go(ring, log, "GetSockOpt", &[option.user_data(2)]);
    log.say("option", is_on);
    let address = loopback(0);
    let length = length_of::<libc::sockaddr_in>();
    let bind = opcode::Bind::new(of(&listener), (&raw const address).cast(), length).build();
    go(ring, log, "Bind", &[bind.clone().user_data(3)]);
    go(ring, log, "Bind again", &[bind.user_data(4)]);
    let listen = opcode::Listen::new(of(&listener), 4).build();
    go(ring, log, "Listen", &[listen.user_data(5)]);
    let listener = TcpListener::from(listener);
    let Ok(SocketAddr::V4(at)) = listener.local_addr() else {
        return;
    };

    let Some(client) = descriptor(ring, log, "Socket", socket.user_data(6)) else {
        return;
    };
    let address = loopback(at.port());
    let connect = opcode::Connect::new(of(&client), (&raw const address).cast(), length).build();
    go(ring, log, "Connect", &[connect.user_data(7)]);
    let mut client = TcpStream::from(client);
    let (mut peer, mut length) = (loopback(0), length);
    let accept = opcode::Accept::new(of(&listener), (&raw mut peer).cast(), &raw mut length)
        .flags(libc::SOCK_CLOEXEC)
        .file_index(None)
        .build();
    let Some(server) = descriptor(ring, log, "Accept", accept.user_data(8)) else {
        return;
    };
    let mut server = TcpStream::from(server);
    log.say("from", (peer.sin_addr.s_addr, length));

    let text = *b"ping";
    let send = opcode::Send::new(of(&client), text.as_ptr(), 4)
        .flags(libc::MSG_NOSIGNAL)
        .ioprio(0)
        .dest_addr(std::ptr::null())
        .dest_addr_len(0)
        .build();
    go(ring, log, "Send", &[send.user_data(9)]);
    let mut room = [0u8; 8];
    let recv = opcode::Recv::new(of(&server), room.as_mut_ptr(), 8)
        .flags(0)
        .ioprio(0)
        .buf_group(0)
        .build();
    go(ring, log, "Recv", &[recv.user_data(10)]);
    log.say("received", room);
    // Behind an array, whose parts the length counts; older kernels refuse it.
    let (mut first, mut second) = (*b"vec", *b"tor");
    let parts = [part(&mut first), part(&mut second)];
    let send = opcode::Send::new(of(&client), parts.as_ptr().cast(), 2)
        .ioprio(VECTORIZED)
        .build();
    let sent = go_on(ring, log, "Send, vectorized", &[send.user_data(9)], 1);
    if sent[0].result() > 0 {
        let mut room = [0u8; 6];
        server.read_exact(&mut room).expect("received");
        log.say("received", room);
    }
    // The other way round: it waits, and gets what comes later.
    let recv = opcode::Recv::new(of(&client), room.as_mut_ptr(), 8).build();
    push(ring, &[recv.user_data(11)]);
    log.result("submit", ring.submit());
    server.write_all(b"pong!").expect("sent");
    go_on(ring, log, "Recv that waits", &[], 1);
    log.say("received", room);
    let shut = opcode::Shutdown::new(of(&client), libc::SHUT_WR).build();
    go(ring, log, "Shutdown", &[shut.user_data(12)]);
    log.say("the end", server.read(&mut room).expect("read"));
    log.say("and here", client.write(b"x").map_err(|error| error.kind()));
    accepted(ring, log, &listener);
}

/// Into the ring's own table, and one operation for many.
fn accepted(ring: &mut IoUring, log: &mut Log, listener: &TcpListener) {
    let at = listener.local_addr().expect("an address");
    log.result("register_files_sparse", ring.submitter().register_files_sparse(8));
    let auto = types::DestinationSlot::auto_target();
    let socket = opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0)
        .file_index(Some(auto))
        .build();
    go(ring, log, "Socket into the table", &[socket.user_data(1)]);
    let (nowhere, no_length) = (std::ptr::null_mut(), std::ptr::null_mut());
    let accept = opcode::Accept::new(of(listener), nowhere, no_length)
        .file_index(Some(auto))
        .build();
    let first = TcpStream::connect(at).expect("connected");
    go(ring, log, "Accept into the table", &[accept.user_data(2)]);
    drop(first);
    let many = opcode::AcceptMulti::new(of(listener))
        .allocate_file_index(true)
        .flags(0)
        .build();
    push(ring, &[many.user_data(3)]);
    log.result("submit", ring.submit());
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(TcpStream::connect(at).expect("connected"));
        go_on(ring, log, "AcceptMulti", &[], 1);
    }
    let cancel = opcode::AsyncCancel::new(3).build();
    go_on(ring, log, "cancelled", &[cancel.user_data(4)], 2);
}

/// `IORING_SEND_VECTORIZED`
const VECTORIZED: u16 = 32;

fn part(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

fn header(parts: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: plain numbers and null pointers.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = parts.as_mut_ptr();
    header.msg_iovlen = parts.len() as _;
    header
}

fn messages(log: &mut Log) {
    let ring = &mut ring();
    let (one, other) = UnixStream::pair().expect("two sockets");
    let (mut hello, mut world) = (*b"hello ", *b"world");
    let mut parts = [part(&mut hello), part(&mut world)];
    let message = header(&mut parts);
    let send = opcode::SendMsg::new(of(&one), &raw const message)
        .flags(libc::MSG_NOSIGNAL as u32)
        .ioprio(0)
        .build();
    go(ring, log, "SendMsg", &[send.user_data(1)]);
    let (mut first, mut second) = ([0u8; 4], [0u8; 20]);
    let mut parts = [part(&mut first), part(&mut second)];
    let mut message = header(&mut parts);
    let recv = opcode::RecvMsg::new(of(&other), &raw mut message)
        .flags(0)
        .ioprio(0)
        .buf_group(0)
        .build();
    go(ring, log, "RecvMsg", &[recv.user_data(2)]);
    log.say("received", (first, second));
}

/// Says what the kernel put into buffers of its choice.
fn picked(log: &mut Log, what: &str, taken: &[cqueue::Entry], buffers: &Buffers) {
    for entry in taken {
        log.say(what, buffers.content(cqueue::buffer_select(entry.flags())));
    }
}

/// One operation, many completions, and buffers that the kernel picks.
fn many(log: &mut Log) {
    let mut ring = ring();
    let buffers = Buffers::registered(&ring, log);
    let (mut one, other) = UnixStream::pair().expect("two sockets");
    let many = opcode::RecvMulti::new(of(&other), Buffers::GROUP)
        .flags(0)
        .len(0)
        .build();
    push(&mut ring, &[many.user_data(1)]);
    log.result("submit", ring.submit());
    for text in ["first", "second"] {
        one.write_all(text.as_bytes()).expect("sent");
        let taken = go_on(&mut ring, log, "RecvMulti", &[], 1);
        picked(log, "received", &taken, &buffers);
    }
    let cancel = opcode::AsyncCancel::new(1).build();
    go_on(&mut ring, log, "cancelled", &[cancel.user_data(2)], 2);

    let read = opcode::ReadMulti::new(of(&other), 0, Buffers::GROUP)
        .offset(u64::MAX)
        .build();
    push(&mut ring, &[read.user_data(3)]);
    log.result("submit", ring.submit());
    one.write_all(b"third").expect("sent");
    let taken = go_on(&mut ring, log, "ReadMulti", &[], 1);
    picked(log, "read", &taken, &buffers);
    // The last buffer, and then none: the operation is over.
    drop(one);
    go_on(&mut ring, log, "the end", &[], 1);

    // What is read by hand out of a message.
    let (mut one, other) = UnixStream::pair().expect("two sockets");
    let header = header(&mut []);
    let many = opcode::RecvMsgMulti::new(of(&other), &raw const header, Buffers::GROUP)
        .flags(0)
        .ioprio(0)
        .build();
    push(&mut ring, &[many.user_data(4)]);
    log.result("submit", ring.submit());
    one.write_all(b"fourth").expect("sent");
    // Buffers of 8 bytes are too small for its header.
    go_on(&mut ring, log, "RecvMsgMulti", &[], 1);
    log.result(
        "unregister_buf_ring",
        ring.submitter().unregister_buf_ring(Buffers::GROUP),
    );
    drop(ring);
}

fn bundles(log: &mut Log) {
    let mut ring = ring();
    let buffers = Buffers::registered(&ring, log);
    let (mut one, other) = UnixStream::pair().expect("two sockets");
    one.write_all(b"a bundle of words").expect("sent");
    let recv = opcode::RecvBundle::new(of(&other), Buffers::GROUP)
        .flags(0)
        .build();
    let taken = go_on(&mut ring, log, "RecvBundle", &[recv.user_data(1)], 1);
    picked(log, "received", &taken, &buffers);
    let recv = opcode::RecvMultiBundle::new(of(&other), Buffers::GROUP)
        .flags(0)
        .build();
    push(&mut ring, &[recv.user_data(2)]);
    log.result("submit", ring.submit());
    drop(one);
    // What was left, and the end.
    let mut is_over = false;
    while !is_over {
        let taken = go_on(&mut ring, log, "RecvMultiBundle", &[], 1);
        picked(log, "received", &taken, &buffers);
        is_over = taken.iter().any(|entry| !cqueue::more(entry.flags()));
    }

    // What goes out is what lies in the buffers.
    let (one, mut other) = UnixStream::pair().expect("two sockets");
    let mut ring = self::ring();
    let buffers = Buffers::registered(&ring, log);
    let send = opcode::SendBundle::new(of(&one), Buffers::GROUP)
        .flags(libc::MSG_NOSIGNAL)
        .len(12)
        .build();
    push(&mut ring, &[send.user_data(3)]);
    let mut results = Vec::new();
    while results.last().is_none_or(|(_, flags)| cqueue::more(*flags)) {
        let taken = take(&mut ring, 1);
        results.extend(taken.iter().map(|entry| (entry.result(), entry.flags())));
    }
    log.say("SendBundle", results);
    // One buffer of the group.
    let send = opcode::Send::new(of(&one), std::ptr::null(), 0)
        .buf_group(Buffers::GROUP)
        .build();
    let send = send.flags(squeue::Flags::BUFFER_SELECT).user_data(4);
    go(&mut ring, log, "Send, picked", &[send]);
    drop((ring, buffers, one));
    let mut sent = Vec::new();
    other.read_to_end(&mut sent).expect("read");
    log.say("sent", sent);
}

/// Two completions for one operation: the second when the kernel has done with the memory.
fn without_copies(log: &mut Log) {
    let ring = &mut ring();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let one = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let (mut other, _) = listener.accept().expect("a connection");
    let text = *b"not copied";
    let buffer = [libc::iovec {
        iov_base: text.as_ptr().cast_mut().cast(),
        iov_len: text.len(),
    }];
    // SAFETY: the buffer lives as long as the ring.
    log.result("register_buffers", unsafe {
        ring.submitter().register_buffers(&buffer)
    });
    let mut room = [0u8; 10];
    let mut send = |ring: &mut IoUring, log: &mut Log, what: &str, entry: squeue::Entry| {
        push(ring, &[entry]);
        let mut taken = take(ring, 1);
        if cqueue::more(taken[0].flags()) {
            other.read_exact(&mut room).expect("read");
            log.say("received", room);
        }
        while cqueue::more(taken[0].flags()) && taken.len() < 2 {
            taken.extend(take(ring, 1));
        }
        for entry in taken {
            let (result, flags) = (entry.result(), entry.flags());
            let is_notice = cqueue::notif(flags);
            log.say(what, (entry.user_data(), result, flags, is_notice));
        }
    };
    let plain = opcode::SendZc::new(of(&one), text.as_ptr(), 10)
        .buf_index(None)
        .dest_addr(std::ptr::null())
        .dest_addr_len(0)
        .flags(libc::MSG_NOSIGNAL)
        .zc_flags(0)
        .build();
    send(ring, log, "SendZc", plain.user_data(1));
    let fixed = opcode::SendZc::new(of(&one), text.as_ptr(), 10).buf_index(Some(0));
    send(ring, log, "SendZc, fixed", fixed.build().user_data(2));
    let mut parts = buffer;
    let message = header(&mut parts);
    let message = opcode::SendMsgZc::new(of(&one), &raw const message)
        .flags(libc::MSG_NOSIGNAL as u32)
        .ioprio(0)
        .build();
    send(ring, log, "SendMsgZc", message.user_data(3));
    // Out of the registered buffer.
    let mut registered = buffer;
    let message = header(&mut registered);
    let message = opcode::SendMsgZc::new(of(&one), &raw const message)
        .buf_index(Some(0))
        .build();
    send(ring, log, "SendMsgZc, fixed", message.user_data(5));
    // Needs a queue of a network card.
    let recv = opcode::RecvZc::new(of(&one), 10).ifq(0).ioprio(0).build();
    go(ring, log, "RecvZc", &[recv.user_data(4)]);
}

/// How many bytes wait to be read, asked by the command that sockets know.
const SIOCINQ: u32 = 0;

fn commands(log: &mut Log) {
    let (mut one, other) = UnixStream::pair().expect("two sockets");
    one.write_all(b"seven b").expect("sent");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut client =
        TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let (server, _) = listener.accept().expect("a connection");
    client.write_all(b"seven b").expect("sent");
    // It has arrived when it can be looked at.
    server.peek(&mut [0; 7]).expect("looked at");

    let mut ring = ring();
    for socket in [other.as_raw_fd(), server.as_raw_fd()] {
        let plain = opcode::UringCmd16::new(types::Fd(socket), SIOCINQ)
            .cmd([0; 16])
            .addr(None)
            .buf_index(None)
            .build();
        go(&mut ring, log, "UringCmd16", &[plain.user_data(1)]);
    }
    let odd = opcode::UringCmd16::new(of(&server), SIOCINQ)
        .addr(Some(1))
        .buf_index(Some(9))
        .build();
    go(&mut ring, log, "UringCmd16, no buffer", &[odd.user_data(2)]);

    let large = IoUring::<squeue::Entry128, cqueue::Entry32>::builder().build(4);
    let mut large = large.expect("a ring of large entries");
    let wide = opcode::UringCmd80::new(of(&server), SIOCINQ)
        .cmd([0; 80])
        .addr(None)
        .buf_index(None)
        .build();
    let odd = opcode::UringCmd80::new(of(&server), SIOCINQ)
        .addr(Some(1))
        .buf_index(Some(9))
        .build();
    for entry in [wide.user_data(3), odd.user_data(4)] {
        // SAFETY: the command has no memory.
        unsafe { large.submission().push(&entry) }.expect("room");
        log.result("submit", large.submit_and_wait(1));
        for entry in large.completion() {
            let (cookie, result) = (entry.user_data(), entry.result());
            log.say("UringCmd80", (cookie, result, entry.flags(), entry.big_cqe()));
        }
    }
}

fn readiness(log: &mut Log) {
    let ring = &mut ring();
    let (ready, idle) = (eventfd(1), eventfd(0));
    let poll = opcode::PollAdd::new(of(&ready), libc::POLLIN as u32)
        .multi(false)
        .build();
    go(ring, log, "PollAdd", &[poll.user_data(1)]);
    let poll = opcode::PollAdd::new(of(&idle), libc::POLLIN as u32)
        .multi(true)
        .build();
    push(ring, &[poll.user_data(2)]);
    log.result("submit", ring.submit());
    let one = 1u64.to_ne_bytes();
    for _ in 0..2 {
        let write = opcode::Write::new(of(&idle), one.as_ptr(), 8).build();
        go_on(ring, log, "PollAdd for many", &[write.user_data(3)], 2);
    }
    let remove = [2, 99].map(|cookie| opcode::PollRemove::new(cookie).build().user_data(cookie + 100));
    go_on(ring, log, "PollRemove", &remove, 3);

    let watch = epoll();
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 77,
    };
    let control = opcode::EpollCtl::new(
        of(&watch),
        of(&ready),
        libc::EPOLL_CTL_ADD,
        (&raw const event).cast(),
    )
    .build();
    go(ring, log, "EpollCtl", &[control.clone().user_data(4)]);
    go(ring, log, "EpollCtl again", &[control.user_data(5)]);
    event.u64 = 0;
    let wait = opcode::EpollWait::new(of(&watch), (&raw mut event).cast(), 1)
        .flags(0)
        .build();
    go(ring, log, "EpollWait", &[wait.user_data(6)]);
    let word = event.u64;
    log.say("ready", word);
}
