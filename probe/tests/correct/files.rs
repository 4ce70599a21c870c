//! Files, sockets and other things, by the operations that the other programs here do not use: with what they point at
//! on the stack of whoever waits.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use probe::io_uring::{IoUring, opcode, squeue, types};

use super::{adopt, all, fd, is_refused, next, pair, ring, start, start_with};

/// One operation from its submission to its completion; nothing where the kernel does not know it.
#[track_caller]
fn done(ring: &mut IoUring, what: &'static str, entry: squeue::Entry) -> Option<i32> {
    start(ring, what, entry);
    let result = next(ring).named(what).result;
    (!is_refused(what, result)).then_some(result)
}

fn path(folder: &tempfile::TempDir, name: &str) -> CString {
    CString::new(folder.path().join(name).as_os_str().as_bytes()).expect("no NUL")
}

const HERE: types::Fd = types::Fd(libc::AT_FDCWD);

#[test]
fn a_file_from_its_making_to_its_end() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second, sub) = (
        path(&folder, "first"),
        path(&folder, "second"),
        path(&folder, "sub"),
    );
    let how = types::OpenHow::new()
        .flags((libc::O_CREAT | libc::O_RDWR) as u64)
        .mode(0o600);
    let opened = done(
        &mut ring,
        "openat2",
        opcode::OpenAt2::new(HERE, first.as_ptr(), &raw const how).build(),
    );
    let file = adopt(opened.expect("since 5.6"));
    let grow = opcode::Fallocate::new(fd(&file), 4096).build();
    assert_eq!(done(&mut ring, "fallocate", grow), Some(0));
    let mut parts = [*b"hello ", *b"world!"];
    let pieces = parts.each_mut().map(|part| libc::iovec {
        iov_base: part.as_mut_ptr().cast(),
        iov_len: part.len(),
    });
    let write = opcode::Writev::new(fd(&file), pieces.as_ptr(), 2).build();
    assert_eq!(done(&mut ring, "writev", write), Some(12));
    let sync = opcode::SyncFileRange::new(fd(&file), 4096).build();
    done(&mut ring, "sync_file_range", sync);
    let advice = opcode::Fadvise::new(fd(&file), 12, libc::POSIX_FADV_WILLNEED).build();
    assert_eq!(done(&mut ring, "fadvise", advice), Some(0));
    parts = [[0; 6]; 2];
    let read = opcode::Readv::new(fd(&file), pieces.as_ptr(), 2).build();
    assert_eq!(done(&mut ring, "readv", read), Some(12));
    assert_eq!(parts.concat(), b"hello world!");
    let cut = opcode::Ftruncate::new(fd(&file), 5).build();
    let is_cut = done(&mut ring, "ftruncate", cut).is_some();
    let mut about = MaybeUninit::<libc::statx>::zeroed();
    let stat = opcode::Statx::new(HERE, first.as_ptr(), about.as_mut_ptr().cast())
        .mask(libc::STATX_SIZE)
        .build();
    assert_eq!(done(&mut ring, "statx", stat), Some(0));
    // SAFETY: all zeros is one, and the kernel has filled it.
    let size = unsafe { about.assume_init() }.stx_size;
    assert_eq!(size, if is_cut { 5 } else { 4096 });
    let make = opcode::MkDirAt::new(HERE, sub.as_ptr()).mode(0o700).build();
    assert_eq!(done(&mut ring, "mkdirat", make), Some(0));
    let rename = opcode::RenameAt::new(HERE, first.as_ptr(), HERE, second.as_ptr()).build();
    assert_eq!(done(&mut ring, "renameat", rename), Some(0));
    let link = opcode::LinkAt::new(HERE, second.as_ptr(), HERE, first.as_ptr()).build();
    assert_eq!(done(&mut ring, "linkat", link), Some(0));
    for (name, flags) in [(&first, 0), (&second, 0), (&sub, libc::AT_REMOVEDIR)] {
        let remove = opcode::UnlinkAt::new(HERE, name.as_ptr())
            .flags(flags)
            .build();
        assert_eq!(done(&mut ring, "unlinkat", remove), Some(0));
    }
    file.close();
    scope.assert_clean();
}

#[test]
fn what_goes_through_pipes_without_a_buffer() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let mut ends = [-1; 2];
    let make = opcode::Pipe::new(ends.as_mut_ptr()).build();
    if done(&mut ring, "pipe", make).is_none() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        ends = [reader.into_raw_fd(), writer.into_raw_fd()];
    }
    let [reader, writer] = ends.map(adopt);
    let (other_reader, other_writer) = std::io::pipe().expect("a pipe");
    let text = *b"hello";
    let write = opcode::Write::new(fd(&writer), text.as_ptr(), 5).build();
    assert_eq!(done(&mut ring, "write", write), Some(5));
    let tee = opcode::Tee::new(fd(&reader), fd(&other_writer), 5).build();
    assert_eq!(done(&mut ring, "tee", tee), Some(5));
    let splice = opcode::Splice::new(fd(&reader), -1, fd(&other_writer), -1, 5).build();
    assert_eq!(done(&mut ring, "splice", splice), Some(5));
    start_with(&mut ring, "read", vec![0; 16], |buffer| {
        opcode::Read::new(fd(&other_reader), buffer.as_mut_ptr(), 16).build()
    });
    let read = next(&mut ring).named("read");
    assert_eq!(read.result, 10);
    assert!(
        read.buffer
            .is_some_and(|buffer| buffer.starts_with(b"hellohello"))
    );
    drop((reader, writer));
    scope.assert_clean();
}

#[test]
fn messages_with_their_heads_on_the_stack() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (near, far) = pair();
    let (mut sent, mut received) = (*b"hello", [0u8; 16]);
    let head = |part: &mut libc::iovec| {
        // SAFETY: all zeros is a message without anything.
        let mut head: libc::msghdr = unsafe { std::mem::zeroed() };
        head.msg_iov = part;
        head.msg_iovlen = 1;
        head
    };
    let part = |bytes: &mut [u8]| libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let (mut out, mut into) = (part(&mut sent), part(&mut received));
    let (out, mut into) = (head(&mut out), head(&mut into));
    start(
        &mut ring,
        "recvmsg",
        opcode::RecvMsg::new(fd(&far), &raw mut into).build(),
    );
    start(
        &mut ring,
        "sendmsg",
        opcode::SendMsg::new(fd(&near), &raw const out).build(),
    );
    assert_eq!(all(&mut ring, ["recvmsg", "sendmsg"]), [5, 5]);
    assert!(received.starts_with(b"hello"));
    let shut = opcode::Shutdown::new(fd(&near), libc::SHUT_WR).build();
    assert_eq!(done(&mut ring, "shutdown", shut), Some(0));
    scope.assert_clean();
}

#[test]
fn registered_buffers_and_things_that_wake() {
    let scope = probe::scope();
    let Some(mut ring) = ring() else { return };
    let (near, far) = pair();
    let mut buffer = [0u8; 64];
    let piece = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: it is unregistered below, before it goes.
    unsafe { ring.submitter().register_buffers(&[piece]) }.expect("registered");
    buffer[..5].copy_from_slice(b"hello");
    let write = opcode::WriteFixed::new(fd(&near), buffer.as_ptr(), 5, 0).build();
    assert_eq!(done(&mut ring, "write fixed", write), Some(5));
    let into = buffer[32..].as_mut_ptr();
    let read = opcode::ReadFixed::new(fd(&far), into, 32, 0).build();
    assert_eq!(done(&mut ring, "read fixed", read), Some(5));
    assert_eq!(buffer[32..37], *b"hello");
    ring.submitter().unregister_buffers().expect("unregistered");

    // SAFETY: no arguments but a flag.
    let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    let event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 7,
    };
    let control = opcode::EpollCtl::new(
        fd(&epoll),
        types::Fd(far.as_raw_fd()),
        libc::EPOLL_CTL_ADD,
        (&raw const event).cast(),
    );
    done(&mut ring, "epoll_ctl", control.build());

    let futex = std::sync::atomic::AtomicU32::new(3);
    // `FUTEX2_SIZE_U32 | FUTEX2_PRIVATE`.
    let (any, flags) = (u64::from(u32::MAX), 2 | 128);
    start(
        &mut ring,
        "futex wait",
        opcode::FutexWait::new(futex.as_ptr(), 3, any, flags).build(),
    );
    start(
        &mut ring,
        "futex wake",
        opcode::FutexWake::new(futex.as_ptr(), 1, any, flags).build(),
    );
    let [waited, woken] = all(&mut ring, ["futex wait", "futex wake"]);
    if !is_refused("FUTEX_WAIT", waited) {
        assert_eq!((waited, woken), (0, 1));
    }
    scope.assert_clean();
}
