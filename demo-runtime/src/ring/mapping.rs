//! The memory that a ring shares with the kernel, and its two system calls.
//!
//! All `unsafe` of the hand-rolled ring that is not about the probe is here, behind functions that are
//! safe to call: offsets come from the kernel and are checked against the length of the mapping once,
//! indexes are masked.
//!
//! The queues are one region and the entries another, as every kernel since 5.4 maps them.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Completion;
use super::encoding::Entry;

const SINGLE_MMAP: u32 = 1;
const ENTER_GETEVENTS: libc::c_uint = 1;
const OFFSET_QUEUES: libc::off_t = 0;
const OFFSET_ENTRIES: libc::off_t = 0x1000_0000;

/// `struct io_sqring_offsets`
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct SubmissionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    reserved: u32,
    user_addr: u64,
}

/// `struct io_cqring_offsets`
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct CompletionOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    flags: u32,
    reserved: u32,
    user_addr: u64,
}

/// `struct io_uring_params`
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Params {
    pub(super) sq_entries: u32,
    pub(super) cq_entries: u32,
    pub(super) flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    pub(super) features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: SubmissionOffsets,
    cq: CompletionOffsets,
}

/// `struct io_uring_cqe`, 16 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
struct Cqe {
    user_data: u64,
    res: i32,
    flags: u32,
}

const _: () = assert!(size_of::<Params>() == 120 && size_of::<Cqe>() == 16);

/// The two mapped regions of one ring.
pub(super) struct Mapping {
    // In this order, so that the memory goes before the descriptor.
    queues: Region,
    entries: Region,
    fd: OwnedFd,
    params: Params,
}

impl Mapping {
    /// Makes a ring and maps it.
    pub(super) fn open(sq_entries: u32) -> io::Result<Self> {
        let mut params = Params::default();
        let fd = setup(sq_entries, &mut params)?;
        if params.features & SINGLE_MMAP == 0 {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel maps the two queues apart (older than 5.4)",
            ));
        }
        let sq_end = params.sq.array as usize + params.sq_entries as usize * size_of::<u32>();
        let cq_end = params.cq.cqes as usize + params.cq_entries as usize * size_of::<Cqe>();
        let queues = Region::map(&fd, OFFSET_QUEUES, sq_end.max(cq_end))?;
        let entries = Region::map(
            &fd,
            OFFSET_ENTRIES,
            params.sq_entries as usize * size_of::<Entry>(),
        )?;
        let mapping = Self {
            queues,
            entries,
            fd,
            params,
        };
        // The array between tail and entries stays the identity for ever: slot n is entry n.
        for slot in 0..params.sq_entries {
            mapping
                .word(params.sq.array + slot * 4)
                .store(slot, Ordering::Relaxed);
        }
        Ok(mapping)
    }

    pub(super) fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    /// How many entries the kernel has consumed; modulo 2^32.
    pub(super) fn submission_head(&self) -> u32 {
        // Pairs with the kernel's release: entries before the head were read, their slots are free.
        self.word(self.params.sq.head).load(Ordering::Acquire)
    }

    /// Shows the kernel all entries before `tail`.
    pub(super) fn publish_submissions(&self, tail: u32) {
        // Pairs with the kernel's acquire: who sees the tail sees the entries before it.
        self.word(self.params.sq.tail)
            .store(tail, Ordering::Release);
    }

    /// Completions that found no room and were thrown away; 0 on kernels that keep them.
    pub(super) fn overflow(&self) -> u32 {
        self.word(self.params.cq.overflow).load(Ordering::Relaxed)
    }

    /// The entry of a slot. Valid as long as the mapping.
    pub(super) fn entry(&self, slot: u32) -> *mut Entry {
        let slot = (slot & (self.params.sq_entries - 1)) as usize;
        // SAFETY: the region holds `sq_entries` entries, and `slot` was masked to less.
        unsafe { self.entries.base.cast::<Entry>().as_ptr().add(slot) }
    }

    /// Writes one word of a slot that the kernel has consumed.
    pub(super) fn write(&mut self, slot: u32, word: usize, value: u64) {
        assert!(word < 8);
        // SAFETY: `entry` is in bounds and 64-byte aligned, and `word` below 8. No Rust reference to
        // this memory exists; the kernel only reads it, between publication and consumption. Volatile,
        // because another party reads what is stored.
        unsafe {
            self.entry(slot)
                .cast::<u64>()
                .add(word)
                .write_volatile(value);
        }
    }

    /// Takes the next completion, and its flags.
    pub(super) fn reap(&mut self) -> Option<(Completion, u32)> {
        let head = self.word(self.params.cq.head);
        // Only this process moves the head.
        let index = head.load(Ordering::Relaxed);
        // Pairs with the kernel's release of the tail: completions before it are written.
        if index == self.word(self.params.cq.tail).load(Ordering::Acquire) {
            return None;
        }
        let place = (index & (self.params.cq_entries - 1)) as usize;
        let start = self.params.cq.cqes as usize + place * size_of::<Cqe>();
        // SAFETY: `open` mapped all of the `cq_entries` completions at `cqes`; `place` was masked. The
        // kernel wrote this one before the tail that was just seen, and will not touch it before the
        // head moves past it. Every bit pattern is a valid `Cqe`.
        let cqe = unsafe {
            self.queues
                .base
                .as_ptr()
                .add(start)
                .cast::<Cqe>()
                .read_volatile()
        };
        // Pairs with the kernel's acquire: the place may be written again from here on.
        head.store(index.wrapping_add(1), Ordering::Release);
        Some((
            Completion {
                cookie: cqe.user_data,
                result: cqe.res,
            },
            cqe.flags,
        ))
    }

    /// `io_uring_enter`: how many entries the kernel consumed.
    ///
    /// # Safety
    ///
    /// All published entries keep the promise of [`Ring::prepare`](super::Ring::prepare).
    pub(super) unsafe fn enter(&self, to_submit: u32, wait_for: u32) -> io::Result<u32> {
        // SAFETY: the kernel touches what the entries point to, which is the caller's promise, and no
        // other memory of ours: no signal mask is passed.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.fd.as_raw_fd(),
                to_submit,
                wait_for,
                ENTER_GETEVENTS,
                ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        u32::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    /// A 32-bit word of the queues.
    fn word(&self, offset: u32) -> &AtomicU32 {
        let offset = offset as usize;
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.queues.len);
        // SAFETY: in bounds and aligned, as just checked (the base is page aligned); mapped as long as
        // `self`; the kernel and we touch these words as atomics only.
        unsafe { &*self.queues.base.as_ptr().add(offset).cast::<AtomicU32>() }
    }
}

fn setup(entries: u32, params: &mut Params) -> io::Result<OwnedFd> {
    // SAFETY: `params` is the kernel's structure, 120 bytes, writable for the length of the call.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, &raw mut *params) };
    match i32::try_from(fd) {
        // SAFETY: the kernel just made this descriptor for us alone.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A shared mapping, unmapped when it goes.
struct Region {
    base: NonNull<u8>,
    len: usize,
}

impl Region {
    fn map(fd: &OwnedFd, offset: libc::off_t, len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                fd.as_raw_fd(),
                offset,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(base.cast())
            .map(|base| Self { base, len })
            .ok_or_else(|| io::Error::other("the kernel mapped a ring at address 0"))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: mapped with this base and length, and no reference into it outlives `Mapping`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
