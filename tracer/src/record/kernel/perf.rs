//! The kernel's perf events, as far as they are needed here: a tracepoint on one processor, and the ring of memory that
//! the kernel puts its records into.
//!
//! The structures are the kernel's (`linux/perf_event.h`), which it keeps for ever.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::unwind::MASK;

/// `PERF_TYPE_SOFTWARE`, `PERF_COUNT_SW_DUMMY`
const SOFTWARE_DUMMY: (u32, u64) = (1, 9);
/// `PERF_TYPE_TRACEPOINT`
const TRACEPOINT: u32 = 2;
/// `PERF_SAMPLE_TID | PERF_SAMPLE_TIME`
const SAMPLE: u64 = 1 << 1 | 1 << 2;
/// `PERF_SAMPLE_RAW`: the tracepoint's own record.
const SAMPLE_RAW: u64 = 1 << 10;
/// `PERF_SAMPLE_CALLCHAIN`: who called, in front of that.
const SAMPLE_CALLCHAIN: u64 = 1 << 5;
/// `PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER`: registers, and a copy of the stack, behind that.
const SAMPLE_STACK: u64 = 1 << 12 | 1 << 13;
/// `PERF_FORMAT_LOST`: a read says how many records found no room; since Linux 6.0.
const FORMAT_LOST: u64 = 1 << 4;
/// `PERF_FLAG_FD_CLOEXEC`
const CLOEXEC: libc::c_ulong = 1 << 3;
/// `PERF_EVENT_IOC_SET_OUTPUT`
const SET_OUTPUT: libc::Ioctl = 0x2405;
/// `PERF_EVENT_IOC_DISABLE`
const DISABLE: libc::Ioctl = 0x2401;

/// Bits of the attribute's flags.
mod flag {
    pub(super) const DISABLED: u64 = 1;
    pub(super) const INHERIT: u64 = 1 << 1;
    pub(super) const MMAP: u64 = 1 << 8;
    pub(super) const COMM: u64 = 1 << 9;
    pub(super) const ENABLE_ON_EXEC: u64 = 1 << 12;
    pub(super) const TASK: u64 = 1 << 13;
    pub(super) const WATERMARK: u64 = 1 << 14;
    pub(super) const SAMPLE_ID_ALL: u64 = 1 << 18;
    pub(super) const NO_KERNEL_CALLCHAIN: u64 = 1 << 21;
    pub(super) const NO_USER_CALLCHAIN: u64 = 1 << 22;
    pub(super) const MMAP2: u64 = 1 << 23;
    pub(super) const COMM_EXEC: u64 = 1 << 24;
    pub(super) const USE_CLOCKID: u64 = 1 << 25;
    pub(super) const BUILD_ID: u64 = 1 << 34;
}

/// `struct perf_event_attr`, of the size that all kernels since 5.13 know.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clockid: i32,
    sample_regs_intr: u64,
    aux_watermark: u32,
    sample_max_stack: u16,
    reserved_2: u16,
    aux_sample_size: u32,
    reserved_3: u32,
    sig_data: u64,
}

const _: () = assert!(size_of::<Attributes>() == 128);

/// What is told of threads.
const THREADS: u64 = flag::TASK | flag::COMM | flag::COMM_EXEC;

/// Who is followed, with all that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// What this thread starts from now on, from its `exec` on.
    Children,
    /// Everybody, for whoever tells them apart afterwards.
    All,
}

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Threads that begin, end, and get a name.
    Threads,
    /// And that code is mapped.
    ThreadsAndCode,
    /// And from which build of a file that is.
    ThreadsAndBuilds,
    /// A tracepoint, by its number.
    Tracepoint(u64, Stacks),
}

/// What records of tracepoints say of the program's call stacks. All of one ring have the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stacks {
    /// Their records have no room for one.
    Never,
    /// There is room for one, which is empty.
    Empty,
    /// The program's, followed by frame pointers.
    Walked,
    /// So many bytes of the program's stack, and its registers.
    Copied(u32),
}

/// One open event, on one processor.
#[derive(Debug)]
pub(super) struct Event {
    file: File,
    has_lost: bool,
}

impl Event {
    /// Opens one; it wakes whoever waits for it when so many bytes are there to be read.
    pub(super) fn open(about: About, whom: Whom, cpu: i32, watermark: u32) -> io::Result<Self> {
        // An older kernel knows no such count, and one older than 5.12 no build-ids.
        let tries = [(FORMAT_LOST, flag::BUILD_ID), (0, flag::BUILD_ID), (0, 0)];
        let mut opened = Err(io::ErrorKind::InvalidInput.into());
        for (read_format, build_id) in tries {
            opened = Self::open_as(about, whom, cpu, watermark, read_format, build_id);
            let is_unknown = |error: &io::Error| error.raw_os_error() == Some(libc::EINVAL);
            if !opened.as_ref().is_err_and(is_unknown) {
                break;
            }
        }
        opened
    }

    fn open_as(
        about: About,
        whom: Whom,
        cpu: i32,
        watermark: u32,
        read_format: u64,
        build_id: u64,
    ) -> io::Result<Self> {
        let (kind, config) = match about {
            About::Threads | About::ThreadsAndCode | About::ThreadsAndBuilds => SOFTWARE_DUMMY,
            About::Tracepoint(id, _) => (TRACEPOINT, id),
        };
        let mut flags = flag::INHERIT | flag::WATERMARK | flag::SAMPLE_ID_ALL | flag::USE_CLOCKID;
        let mut sample_type = SAMPLE;
        let mut copied = 0;
        match about {
            About::Threads => flags |= THREADS,
            About::ThreadsAndCode => flags |= THREADS | flag::MMAP | flag::MMAP2,
            About::ThreadsAndBuilds => flags |= THREADS | flag::MMAP | flag::MMAP2 | build_id,
            About::Tracepoint(_, stacks) => {
                sample_type |= SAMPLE_RAW;
                if let Stacks::Copied(bytes) = stacks {
                    sample_type |= SAMPLE_STACK;
                    copied = bytes;
                } else if stacks != Stacks::Never {
                    sample_type |= SAMPLE_CALLCHAIN;
                    flags |= flag::NO_KERNEL_CALLCHAIN;
                }
                if stacks == Stacks::Empty {
                    flags |= flag::NO_USER_CALLCHAIN;
                }
            }
        }
        let pid = match whom {
            Whom::Children => {
                flags |= flag::DISABLED | flag::ENABLE_ON_EXEC;
                0
            }
            Whom::All => -1,
        };
        let attributes = Attributes {
            kind,
            size: size_of::<Attributes>() as u32,
            config,
            sample_period: 1,
            sample_type,
            read_format,
            flags,
            wakeup_watermark: watermark,
            sample_regs_user: if copied > 0 { MASK } else { 0 },
            sample_stack_user: copied,
            clockid: libc::CLOCK_MONOTONIC,
            ..Attributes::default()
        };
        // SAFETY: the attributes live through the call, and their size is the one that they say.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                pid,
                cpu,
                -1,
                CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just made the descriptor, for nobody else.
        let file = unsafe { File::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) };
        Ok(Self {
            file,
            has_lost: read_format != 0,
        })
    }

    /// Has its records go to another event's ring, on the same processor.
    pub(super) fn send_to(&self, other: &Self) -> io::Result<()> {
        self.control(SET_OUTPUT, other.file.as_raw_fd())
    }

    /// Ends it, for all that it follows.
    pub(super) fn disable(&self) -> io::Result<()> {
        self.control(DISABLE, 0)
    }

    fn control(&self, what: libc::Ioctl, with: i32) -> io::Result<()> {
        // SAFETY: these requests take a number, and no memory.
        let done = unsafe { libc::ioctl(self.file.as_raw_fd(), what, with) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Records of it that found no room so far; nothing where the kernel does not count them.
    pub(super) fn lost(&self) -> io::Result<Option<u64>> {
        if !self.has_lost {
            return Ok(None);
        }
        let mut words = [0; 16];
        let got = rustix::io::read(&self.file, &mut words)?;
        let lost = words.get(8..16).and_then(|bytes| bytes.first_chunk());
        Ok(lost
            .filter(|_| got == 16)
            .map(|bytes| u64::from_ne_bytes(*bytes)))
    }

    /// What is polled for its records.
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

/// A page of the kernel's words, and behind it the records.
#[derive(Debug)]
pub(super) struct Memory {
    begin: NonNull<u8>,
    page: usize,
    data: usize,
}

// SAFETY: the mapping is the process's, not a thread's, and only its owner reads it.
unsafe impl Send for Memory {}

/// Bytes of words that the kernel and the reader share: how far it wrote, and how far was read.
const HEAD: usize = 1024;
const TAIL: usize = 1032;

impl Memory {
    /// Maps the ring of an event, with room for so many bytes, a power of two of pages.
    pub(super) fn map(event: &Event, bytes: usize) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let all = page + bytes;
        // SAFETY: a fresh mapping, at a place of the kernel's choice.
        let begin = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                all,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                event.file.as_raw_fd(),
                0,
            )
        };
        if begin == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let begin = NonNull::new(begin.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            begin,
            page,
            data: bytes,
        })
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: both places lie within the first page, aligned, and live as long as the mapping; the kernel writes
        // to them at any time, as to an atomic.
        unsafe { AtomicU64::from_ptr(self.begin.as_ptr().add(at).cast()) }
    }

    /// Takes out all that is there, record by record: a header of 8 bytes (kind, misc, size), then its body.
    pub(super) fn take(&self, mut each: impl FnMut((u32, u16), &[u8])) {
        // Acquire: what lies before the head was written before it.
        let head = self.word(HEAD).load(Ordering::Acquire);
        let mut tail = self.word(TAIL).load(Ordering::Relaxed);
        let mut record = Vec::new();
        while tail < head {
            let mut header = [0; 8];
            self.copy(tail, &mut header);
            let [a, b, c, d, e, f, low, high] = header;
            let size = usize::from(u16::from_ne_bytes([low, high]));
            if size < 8 || size as u64 > head - tail {
                // Nothing behind it can be found any more.
                tail = head;
                break;
            }
            record.resize(size - 8, 0);
            self.copy(tail + 8, &mut record);
            let kind = (u32::from_ne_bytes([a, b, c, d]), u16::from_ne_bytes([e, f]));
            each(kind, &record);
            tail += size as u64;
        }
        // Release: what was read is not read again behind this.
        self.word(TAIL).store(tail, Ordering::Release);
    }

    /// Copies bytes out of the ring, which may lie around its end.
    fn copy(&self, from: u64, to: &mut [u8]) {
        let at = (from % self.data as u64) as usize;
        let first = to.len().min(self.data - at);
        let (head, rest) = to.split_at_mut(first);
        // SAFETY: both parts lie within the data of the mapping, before the head, where the kernel writes no more until
        // the tail has passed them.
        unsafe {
            let data = self.begin.as_ptr().add(self.page);
            std::ptr::copy_nonoverlapping(data.add(at), head.as_mut_ptr(), head.len());
            std::ptr::copy_nonoverlapping(data, rest.as_mut_ptr(), rest.len().min(self.data));
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing refers to it any more.
        unsafe {
            libc::munmap(self.begin.as_ptr().cast(), self.page + self.data);
        }
    }
}
