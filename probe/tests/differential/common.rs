//! What the parts of the suite need: a ring, operations that are run to their end and said, memory that the kernel is
//! given, and descriptors of all kinds.

use std::ffi::CString;
use std::fmt::Debug;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::uring::{IoUring, cqueue, squeue, types};

/// What came of each step, in words that do not depend on addresses, numbers of descriptors or time.
#[derive(Default)]
pub(super) struct Log(pub(super) Vec<String>);

impl Log {
    pub(super) fn say(&mut self, what: &str, came: impl Debug) {
        self.step(format!("{what}: {came:?}"));
    }

    /// Printed at once: the last one that can be seen is where it hangs.
    fn step(&mut self, step: String) {
        println!("{step}");
        self.0.push(step);
    }

    /// Errors by their number, which is what a program decides by.
    pub(super) fn result<T: Debug>(&mut self, what: &str, came: io::Result<T>) -> Option<T> {
        match came {
            Ok(value) => {
                self.say(what, &value);
                Some(value)
            }
            Err(error) => {
                self.say(what, error.raw_os_error().ok_or(error.kind()));
                None
            }
        }
    }

    fn completions(&mut self, what: &str, completions: &[cqueue::Entry]) {
        for entry in completions {
            let (cookie, result, flags) = (entry.user_data(), entry.result(), entry.flags());
            self.step(format!("{what}: {cookie} got {result}, flags {flags:#x}"));
        }
    }
}

pub(super) fn ring() -> IoUring {
    IoUring::new(16).expect("a ring")
}

pub(super) fn push(ring: &mut IoUring, entries: &[squeue::Entry]) {
    // SAFETY: whoever calls keeps what entries point at until they are done.
    unsafe { ring.submission().push_multiple(entries) }.expect("room");
}

/// The next completions, as many as are `wanted`, by their cookies and not by who was faster.
pub(super) fn take(ring: &mut IoUring, wanted: usize) -> Vec<cqueue::Entry> {
    let mut taken = Vec::new();
    while taken.len() < wanted {
        ring.submit_and_wait(1).expect("entered");
        taken.extend(ring.completion());
    }
    taken.sort_by_key(cqueue::Entry::user_data);
    taken
}

/// Runs operations until each has one completion.
pub(super) fn go(ring: &mut IoUring, log: &mut Log, what: &str, entries: &[squeue::Entry]) {
    go_on(ring, log, what, entries, entries.len());
}

/// Runs operations until there are as many completions as `wanted`.
pub(super) fn go_on(
    ring: &mut IoUring,
    log: &mut Log,
    what: &str,
    entries: &[squeue::Entry],
    wanted: usize,
) -> Vec<cqueue::Entry> {
    push(ring, entries);
    let taken = take(ring, wanted);
    log.completions(what, &taken);
    taken
}

/// Runs an operation whose result is a descriptor.
pub(super) fn descriptor(
    ring: &mut IoUring,
    log: &mut Log,
    what: &str,
    entry: squeue::Entry,
) -> Option<OwnedFd> {
    push(ring, &[entry]);
    let taken = take(ring, 1);
    let (result, flags) = (taken[0].result(), taken[0].flags());
    if result < 0 {
        log.completions(what, &taken);
        return None;
    }
    log.say(what, format!("a descriptor, flags {flags:#x}"));
    // SAFETY: the kernel opened it for us just now.
    Some(unsafe { OwnedFd::from_raw_fd(result) })
}

pub(super) fn of(descriptor: &impl AsRawFd) -> types::Fd {
    types::Fd(descriptor.as_raw_fd())
}

pub(super) fn name(folder: &Path, file: &str) -> CString {
    CString::new(folder.join(file).to_str().expect("text")).expect("no zero inside")
}

fn owned(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: just opened.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub(super) fn eventfd(value: u32) -> OwnedFd {
    // SAFETY: no pointers.
    owned(unsafe { libc::eventfd(value, libc::EFD_CLOEXEC) })
}

pub(super) fn epoll() -> OwnedFd {
    // SAFETY: no pointers.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// Pages of their own.
pub(super) struct Pages {
    start: *mut u8,
    length: usize,
}

impl Pages {
    pub(super) fn new(length: usize) -> Self {
        let (rights, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping, wherever there is room.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, rights, kind, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Self {
            start: start.cast(),
            length,
        }
    }

    pub(super) fn start(&self) -> *mut u8 {
        self.start
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: mapped, initialised by the kernel, and this one's alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody has it any more.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

/// Buffers of 8 bytes that the kernel picks from, in a ring of their own. Dropped after the ring that has them.
pub(super) struct Buffers {
    pages: Pages,
    memory: Box<[[u8; 8]; 4]>,
}

impl Buffers {
    pub(super) const GROUP: u16 = 7;

    pub(super) fn registered(ring: &IoUring, log: &mut Log) -> Self {
        let mut this = Self {
            pages: Pages::new(4096),
            memory: Box::new([[0; 8]; 4]),
        };
        let start = this.pages.start().cast::<types::BufRingEntry>();
        let submitter = ring.submitter();
        // SAFETY: a page that outlives the ring, as the type says.
        let came = unsafe {
            submitter.register_buf_ring_with_flags(start as u64, 4, Self::GROUP, 0)
        };
        log.result("register_buf_ring_with_flags", came);
        for (bid, buffer) in this.memory.iter_mut().enumerate() {
            // SAFETY: 4 entries lie in the page.
            let entry = unsafe { &mut *start.add(bid) };
            entry.set_addr(buffer.as_mut_ptr() as u64);
            entry.set_len(8);
            entry.set_bid(bid as u16);
            assert_eq!((entry.len(), entry.bid()), (8, bid as u16));
            assert_eq!(entry.addr(), buffer.as_ptr() as u64);
        }
        // SAFETY: the tail lies in the first entry; the kernel reads it while we write.
        unsafe {
            let tail = types::BufRingEntry::tail(start).cast_mut();
            std::sync::atomic::AtomicU16::from_ptr(tail)
                .store(4, std::sync::atomic::Ordering::Release);
        }
        this
    }

    pub(super) fn content(&self, bid: Option<u16>) -> Option<String> {
        let bytes = self.memory[usize::from(bid?)];
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}
