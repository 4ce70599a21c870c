//! Copies of a file, and reads that are given up, over compio-driver.

use std::ffi::CString;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use compio_buf::{BufResult, IntoInner};
use compio_driver::op::{OpenFile, ReadAt, Recv, WriteAt};
use compio_driver::{OpCode, Proactor, PushEntry, SharedFd};

fn run<O: OpCode + 'static>(proactor: &mut Proactor, op: O) -> BufResult<usize, O> {
    let mut key = match proactor.push(op) {
        PushEntry::Ready(result) => return result,
        PushEntry::Pending(key) => key,
    };
    loop {
        match proactor.pop(key) {
            PushEntry::Ready((result, _)) => return result,
            PushEntry::Pending(same) => key = same,
        }
        proactor.poll(None).unwrap();
    }
}

fn open(proactor: &mut Proactor, path: &str, flags: i32) -> SharedFd<OwnedFd> {
    let op = OpenFile::new(CString::new(path).unwrap(), flags | libc::O_CLOEXEC, 0o600);
    let fd = run(proactor, op).0.unwrap();
    // SAFETY: the operation opened it for us.
    SharedFd::new(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn copy(proactor: &mut Proactor, from: &str, to: &str) {
    let from = open(proactor, from, libc::O_RDONLY);
    let to = open(proactor, to, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC);
    let (mut at, mut buffer) = (0, Vec::with_capacity(4096));
    loop {
        let BufResult(read, op) = run(proactor, ReadAt::new(from.clone(), at, buffer));
        let length = read.unwrap();
        if length == 0 {
            break;
        }
        let mut full = op.into_inner();
        // SAFETY: the kernel wrote this much.
        unsafe { full.set_len(length) };
        let BufResult(written, op) = run(proactor, WriteAt::new(to.clone(), at, full));
        assert_eq!(written.unwrap(), length);
        buffer = op.into_inner();
        buffer.clear();
        at += length as u64;
    }
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    let (source, target) = (format!("{folder}/source"), format!("{folder}/target"));
    std::fs::write(&source, vec![7u8; 100_000]).unwrap();
    let mut proactor = Proactor::new().unwrap();
    for _ in 0..8 {
        copy(&mut proactor, &source, &target);
        assert_eq!(std::fs::read(&target).unwrap(), vec![7u8; 100_000]);
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = SharedFd::new(OwnedFd::from(near));
        let PushEntry::Pending(key) = proactor.push(Recv::new(near, Vec::with_capacity(64))) else {
            panic!("nothing was sent yet");
        };
        // Given up: what it holds is freed when its completion comes.
        assert!(proactor.cancel(key).is_none());
        far.write_all(b"late").unwrap();
        proactor.poll(Some(Duration::from_millis(100))).unwrap();
    }
    copy(&mut proactor, &source, &target);
}
