//! The few calls into the C library that recording needs, declared by hand: the probe has no
//! dependency, and none of these takes a lock or allocates, so that they may run in a signal handler
//! and after a fork.
//!
//! Miri knows neither file mappings nor most of these calls: there (`cfg!(miri)`) memory is allocated, and
//! questions to the kernel have no answer, so that scopes work in memory.
//!
//! Holds `unsafe`: foreign functions. Numbers are those of Linux on x86-64 and aarch64.

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use core::sync::atomic::AtomicU64;
#[cfg(not(target_arch = "x86_64"))]
use core::sync::atomic::Ordering;

unsafe extern "C" {
    fn mmap(
        addr: *mut c_void,
        len: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        off: i64,
    ) -> *mut c_void;
    fn munmap(addr: *mut c_void, len: usize) -> c_int;
    fn madvise(addr: *mut c_void, len: usize, advice: c_int) -> c_int;
    fn openat(folder: c_int, path: *const c_char, flags: c_int, ...) -> c_int;
    fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int;
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn read(fd: c_int, buffer: *mut c_void, count: usize) -> isize;
    fn pread(fd: c_int, buffer: *mut c_void, count: usize, offset: i64) -> isize;
    fn write(fd: c_int, buffer: *const c_void, count: usize) -> isize;
    fn getrlimit(resource: c_int, limit: *mut [u64; 2]) -> c_int;
    fn posix_fallocate(fd: c_int, offset: i64, len: i64) -> c_int;
    fn getenv(name: *const c_char) -> *const c_char;
    fn getauxval(kind: u64) -> u64;
    fn geteuid() -> c_uint;
    fn getpid() -> c_int;
    fn getppid() -> c_int;
    fn nanosleep(time: *const Timespec, left: *mut Timespec) -> c_int;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn prctl(option: c_int, ...) -> c_int;
    fn readlink(path: *const c_char, buffer: *mut c_char, len: usize) -> isize;
    fn pthread_key_create(key: *mut c_uint, destructor: extern "C" fn(*mut c_void)) -> c_int;
    fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
    fn atexit(handler: extern "C" fn()) -> c_int;
    fn __errno_location() -> *mut c_int;
    fn dl_iterate_phdr(
        callback: unsafe extern "C" fn(*const LoadedInfo, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
}

/// The first fields of `struct dl_phdr_info`.
#[repr(C)]
struct LoadedInfo {
    bias: u64,
    name: *const c_char,
    headers: *const ProgramHeader,
    count: u16,
}

/// `Elf64_Phdr`
#[repr(C)]
pub(crate) struct ProgramHeader {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    physical: u64,
    pub(crate) file_bytes: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) align: u64,
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

const PROT_READ_WRITE: c_int = 3;
const MAP_SHARED: c_int = 1;
const MAP_PRIVATE: c_int = 2;
const MAP_ANONYMOUS: c_int = 0x20;
const MAP_FIXED_NOREPLACE: c_int = 0x10_0000;
const MAP_NORESERVE: c_int = 0x4000;
const MADV_POPULATE_WRITE: c_int = 23;
const MADV_DONTFORK: c_int = 10;
const MADV_DONTDUMP: c_int = 16;
const MADV_WIPEONFORK: c_int = 18;
const O_RDONLY: c_int = 0;
const O_RDWR: c_int = 2;
const O_CREAT: c_int = 0o100;
const O_EXCL: c_int = 0o200;
const O_NONBLOCK: c_int = 0o4000;
const AT_FDCWD: c_int = -100;
const O_CLOEXEC: c_int = 0o2_000_000;
#[cfg(target_arch = "x86_64")]
const O_NOFOLLOW: c_int = 0o400_000;
#[cfg(target_arch = "aarch64")]
const O_NOFOLLOW: c_int = 0o100_000;
#[cfg(target_arch = "x86_64")]
const O_DIRECTORY: c_int = 0o200_000;
#[cfg(target_arch = "aarch64")]
const O_DIRECTORY: c_int = 0o40_000;
const RLIMIT_FSIZE: c_int = 1;
const AT_SECURE: u64 = 23;
const AT_RANDOM: u64 = 25;
const PR_GET_NAME: c_int = 16;
#[cfg(target_arch = "x86_64")]
mod number {
    use core::ffi::c_long;
    pub(super) const GETTID: c_long = 186;
    pub(super) const FSTAT: c_long = 5;
    pub(super) const GETRANDOM: c_long = 318;
    pub(super) const STATX: c_long = 332;
}
#[cfg(target_arch = "aarch64")]
mod number {
    use core::ffi::c_long;
    pub(super) const GETTID: c_long = 178;
    pub(super) const FSTAT: c_long = 80;
    pub(super) const GETRANDOM: c_long = 278;
    pub(super) const STATX: c_long = 291;
}

/// A path or name with its final NUL, on the stack. Longer ones are refused.
pub(crate) struct Path {
    bytes: [u8; 512],
    len: usize,
}

impl Path {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; 512],
            len: 0,
        }
    }

    /// Appends; false where there is no room.
    pub(crate) fn push(&mut self, part: &[u8]) -> bool {
        let end = self.len.saturating_add(part.len());
        // One byte stays 0.
        if end >= self.bytes.len() {
            return false;
        }
        match self.bytes.get_mut(self.len..end) {
            Some(room) => {
                for (place, byte) in room.iter_mut().zip(part) {
                    *place = *byte;
                }
            }
            None => return false,
        }
        self.len = end;
        true
    }

    /// Appends a number in the given base (10 or 16).
    pub(crate) fn push_number(&mut self, mut number: u64, base: u64) -> bool {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at = at.saturating_sub(1);
            let digit = number.checked_rem(base).unwrap_or(0) as u8;
            if let Some(place) = digits.get_mut(at) {
                *place = if digit < 10 {
                    b'0' + digit
                } else {
                    b'a' + (digit - 10)
                };
            }
            number = number.checked_div(base).unwrap_or(0);
            if number == 0 || at == 0 {
                break;
            }
        }
        self.push(digits.get(at..).unwrap_or(&[]))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

/// Runs `body` and puts the caller's `errno` back.
#[inline]
pub(crate) fn keep_errno<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the location is the calling thread's own and stays valid for its life.
    let place = unsafe { __errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *place };
    let result = body();
    // SAFETY: as above.
    unsafe { *place = saved };
    result
}

/// What stands for a mapping where there are none: zeroed memory that nobody gives back.
fn allocate(bytes: usize) -> Option<*mut u8> {
    let layout = std::alloc::Layout::from_size_align(bytes, 4096).ok()?;
    // SAFETY: no mapping has a size of zero.
    Some(unsafe { std::alloc::alloc_zeroed(layout) })
}

/// Zeroed memory of this process that reads as zero in a forked child.
pub(crate) fn map_private(bytes: usize) -> Option<*mut u8> {
    if cfg!(miri) {
        return allocate(bytes);
    }
    // SAFETY: a new anonymous mapping; nothing existing is touched.
    let base = unsafe {
        mmap(
            core::ptr::null_mut(),
            bytes,
            PROT_READ_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if base as isize == -1 {
        return None;
    }
    // SAFETY: the range was just mapped. Without the advice a forked child would go on with the
    // parent's cursor, so a kernel that refuses it (before 4.14) means no recording.
    if unsafe { madvise(base, bytes, MADV_WIPEONFORK) } != 0 {
        unmap(base.cast(), bytes);
        return None;
    }
    // SAFETY: as above; a refusal only makes core dumps larger.
    unsafe { madvise(base, bytes, MADV_DONTDUMP) };
    Some(base.cast())
}

/// Memory that a forked child does not have: of the file, or of no file.
pub(crate) fn map_shared(fd: Option<i32>, bytes: usize) -> Option<*mut u8> {
    if cfg!(miri) {
        return allocate(bytes);
    }
    let flags = MAP_SHARED | if fd.is_none() { MAP_ANONYMOUS } else { 0 };
    // SAFETY: a new mapping; nothing existing is touched. The file was allocated to `bytes` by the
    // caller, so that no access is past its end.
    let base = unsafe {
        mmap(
            core::ptr::null_mut(),
            bytes,
            PROT_READ_WRITE,
            flags,
            fd.unwrap_or(-1),
            0,
        )
    };
    if base as isize == -1 {
        return None;
    }
    // SAFETY: the range was just mapped. A child that kept the mapping would overwrite its parent's
    // records, so a refusal means no recording.
    if unsafe { madvise(base, bytes, MADV_DONTFORK) } != 0 {
        unmap(base.cast(), bytes);
        return None;
    }
    // SAFETY: as above.
    unsafe { madvise(base, bytes, MADV_DONTDUMP) };
    Some(base.cast())
}

/// Gives a mapping back.
pub(crate) fn unmap(base: *mut u8, bytes: usize) {
    // SAFETY: callers pass a whole mapping of their own that nothing points into.
    unsafe { munmap(base.cast(), bytes) };
}

/// A descriptor that closes itself.
pub(crate) struct Fd(pub(crate) i32);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and is closed once.
        unsafe { close(self.0) };
    }
}

/// Gives a part of a shared mapping its pages now, so that records do not have to wait for them. A
/// kernel that does not know the advice (before 5.14) hands them out at the first touch.
pub(crate) fn populate(base: *mut u8, bytes: usize) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: the range is part of a mapping of the caller's; the advice changes no content.
    unsafe { madvise(base.cast(), bytes, MADV_POPULATE_WRITE) };
}

/// Stores zeros. The processor's own way of doing so is up to twice as fast as a word at a time, and
/// does not read memory first.
pub(crate) fn clear(words: &[AtomicU64]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the words are ours to write, as atomics; to the compiler the instruction is as opaque as
    // another thread's stores. It changes the two registers that are named, and memory.
    unsafe {
        core::arch::asm!(
            "rep stosb",
            inout("rcx") size_of_val(words) => _,
            inout("rdi") words.as_ptr() => _,
            in("al") 0u8,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    for word in words {
        word.store(0, Ordering::Relaxed);
    }
}

/// In a forked child: puts memory that nobody looks at where the parent's file is mapped, for the case
/// that the fork happened in a signal handler that interrupted a record.
pub(crate) fn map_over(base: *mut u8, bytes: usize) {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    // SAFETY: the file's mapping is not there in a child, and the flag keeps anything else that may
    // be there by now.
    unsafe { mmap(base.cast(), bytes, PROT_READ_WRITE, flags, -1, 0) };
}

/// Has `handler` run in forked children.
pub(crate) fn in_forked_children(handler: extern "C" fn()) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: the handler is a function of this program, which is never unloaded.
    unsafe { pthread_atfork(None, None, Some(handler)) };
}

fn open_with(folder: Option<&Fd>, path: &Path, flags: c_int) -> Option<Fd> {
    if cfg!(miri) {
        return None;
    }
    let folder = folder.map_or(AT_FDCWD, |folder| folder.0);
    // SAFETY: the path ends in NUL; a mode is passed for the case that a file is created.
    let fd = unsafe { openat(folder, path.as_ptr(), flags | O_CLOEXEC, 0o600 as c_uint) };
    (fd >= 0).then_some(Fd(fd))
}

/// Opens a directory for looking at it.
pub(crate) fn open_directory(path: &Path) -> Option<Fd> {
    open_with(None, path, O_RDONLY | O_DIRECTORY)
}

/// Opens a file of a directory (or any file) for reading, not following a link and not waiting for the
/// other end of a pipe.
pub(crate) fn open_to_read(folder: Option<&Fd>, path: &Path) -> Option<Fd> {
    open_with(folder, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
}

/// Makes a new file in a directory, 0600, and gives it room for `bytes` on the disk: a sparse file on a
/// full disk would kill the program with SIGBUS at some later store.
pub(crate) fn create_allocated(folder: &Fd, path: &Path, bytes: usize) -> Option<Fd> {
    // A file that would grow past this limit brings SIGXFSZ upon the program, not just an error.
    let mut limit = [u64::MAX; 2];
    // SAFETY: the structure is two words on 64-bit Linux.
    if unsafe { getrlimit(RLIMIT_FSIZE, &mut limit) } == 0 && limit[0] < bytes as u64 {
        return None;
    }
    let fd = open_with(Some(folder), path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW)?;
    // SAFETY: plain numbers.
    if unsafe { posix_fallocate(fd.0, 0, bytes as i64) } != 0 {
        // SAFETY: the path ends in NUL, and the file is the one just made.
        unsafe { unlinkat(folder.0, path.as_ptr(), 0) };
        return None;
    }
    Some(fd)
}

/// Reads up to a buffer's length; the bytes read.
pub(crate) fn read_some<'b>(fd: &Fd, buffer: &'b mut [u8]) -> &'b [u8] {
    // SAFETY: the buffer is ours for its whole length.
    let got = unsafe { read(fd.0, buffer.as_mut_ptr().cast(), buffer.len()) };
    buffer
        .get(..usize::try_from(got).unwrap_or(0))
        .unwrap_or(&[])
}

/// As [`read_some`], at an offset: what others read from the descriptor stays where it is, and one that
/// cannot be read at an offset, as a socket, is not read at all.
pub(crate) fn read_at(fd: i32, offset: u64, buffer: &mut [u8]) -> &[u8] {
    // SAFETY: the buffer is ours for its whole length.
    let got = unsafe { pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), offset as i64) };
    buffer
        .get(..usize::try_from(got).unwrap_or(0))
        .unwrap_or(&[])
}

/// Device and number of an open file, folded into a word.
pub(crate) fn identity(fd: i32) -> Option<u64> {
    // `struct stat` is 144 bytes on x86-64 and 128 on aarch64, and begins with these two on both.
    let mut stat = [0u64; 18];
    // SAFETY: the structure fits.
    let result = unsafe { syscall(number::FSTAT, fd, stat.as_mut_ptr()) };
    let [device, file, ..] = stat;
    (result == 0).then_some(device.rotate_left(32) ^ file)
}

/// One line on stderr, with no lock of Rust's own.
pub(crate) fn complain(parts: &[&[u8]]) {
    let mut line = Path::new();
    for part in parts {
        line.push(part);
    }
    // SAFETY: the bytes are valid for their length.
    unsafe { write(2, line.as_bytes().as_ptr().cast(), line.as_bytes().len()) };
}

/// The kind's bits of a mode, and a regular file's.
pub(crate) const KIND: u16 = 0o170_000;
pub(crate) const REGULAR: u16 = 0o100_000;

/// Owner, kind and permission bits of an open file.
pub(crate) fn owner_and_mode(fd: &Fd) -> Option<(u32, u16)> {
    let status = status(fd.0)?;
    // uid at byte 20, mode at 28.
    Some(((status[2] >> 32) as u32, (status[3] >> 32) as u16))
}

/// What descriptor 2 leads to: number of the file, and of its device.
pub(crate) fn standard_error() -> Option<[u64; 2]> {
    let status = status(2)?;
    // Number at byte 32, device at 136.
    Some([status[4], status[17]])
}

/// `struct statx`, which is 256 bytes on every architecture.
fn status(descriptor: i32) -> Option<[u64; 32]> {
    let mut buffer = [0u64; 32];
    const AT_EMPTY_PATH: c_int = 0x1000;
    const STATX_BASIC: c_uint = 0x7FF;
    // SAFETY: the path is an empty string, the buffer has the 256 bytes of the structure.
    let result = unsafe {
        syscall(
            number::STATX,
            descriptor,
            c"".as_ptr(),
            AT_EMPTY_PATH,
            STATX_BASIC,
            buffer.as_mut_ptr(),
        )
    };
    (result == 0).then_some(buffer)
}

/// A variable of the environment. The C library's table is read without a lock, as everywhere in C.
pub(crate) fn environment(name: &core::ffi::CStr) -> Option<&'static [u8]> {
    // SAFETY: the name ends in NUL.
    let value = unsafe { getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: what `getenv` returns ends in NUL, and lives until the variable is changed; it is read
    // at once and not kept.
    Some(unsafe { core::ffi::CStr::from_ptr(value) }.to_bytes())
}

/// Whether the kernel gave this image more rights than its user has (setuid, file capabilities).
pub(crate) fn runs_with_raised_rights() -> bool {
    // SAFETY: no arguments but a number.
    unsafe { getauxval(AT_SECURE) != 0 }
}

pub(crate) fn effective_user() -> u32 {
    // SAFETY: no arguments.
    unsafe { geteuid() }
}

pub(crate) fn process_id() -> u32 {
    // SAFETY: no arguments.
    unsafe { getpid() as u32 }
}

pub(crate) fn parent_id() -> u32 {
    if cfg!(miri) {
        return 0;
    }
    // SAFETY: no arguments.
    unsafe { getppid() as u32 }
}

pub(crate) fn thread_id() -> u32 {
    if cfg!(miri) {
        return numbered_thread();
    }
    // SAFETY: no arguments.
    unsafe { syscall(number::GETTID) as u32 }
}

/// A number for the thread where the kernel gives none: one after the other.
fn numbered_thread() -> u32 {
    use core::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    std::thread_local! { static OWN: u32 = NEXT.fetch_add(1, Ordering::Relaxed); }
    OWN.with(|own| *own)
}

/// Process id in the high half, thread id in the low one.
pub(crate) fn process_and_thread() -> u64 {
    u64::from(process_id()) << 32 | u64::from(thread_id())
}

/// Sleeps for less than a second, or until a signal arrives.
pub(crate) fn sleep_ns(ns: u32) {
    let time = Timespec {
        seconds: 0,
        nanoseconds: i64::from(ns),
    };
    // SAFETY: the structure is ours; the time left is not asked for.
    unsafe { nanosleep(&time, core::ptr::null_mut()) };
}

pub(crate) fn random(bytes: &mut [u8]) {
    // SAFETY: the buffer is ours for its whole length.
    unsafe {
        syscall(
            number::GETRANDOM,
            bytes.as_mut_ptr(),
            bytes.len(),
            0 as c_uint,
        )
    };
}

/// Name of the calling thread: at most 15 bytes, then NUL.
pub(crate) fn thread_name() -> [u8; 16] {
    if cfg!(miri) {
        return *b"miri\0\0\0\0\0\0\0\0\0\0\0\0";
    }
    let mut name = [0u8; 16];
    // SAFETY: the kernel writes at most 16 bytes.
    unsafe { prctl(PR_GET_NAME, name.as_mut_ptr()) };
    name
}

/// Target of a symbolic link, cut at the buffer's length.
pub(crate) fn link_target<'b>(path: &core::ffi::CStr, buffer: &'b mut [u8]) -> &'b [u8] {
    if cfg!(miri) {
        return &[];
    }
    // SAFETY: the path ends in NUL, the buffer is ours.
    let got = unsafe { readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    buffer
        .get(..usize::try_from(got).unwrap_or(0))
        .unwrap_or(&[])
}

/// A clock of the kernel, in ns.
pub(crate) fn clock_ns(clock: i32) -> u64 {
    let clock = if cfg!(miri) { MONOTONIC } else { clock };
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the structure is the C library's on 64-bit targets.
    unsafe { clock_gettime(clock, &mut time) };
    (time.seconds as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.nanoseconds as u64)
}

/// `CLOCK_REALTIME`
pub(crate) const REALTIME: i32 = 0;
/// `CLOCK_MONOTONIC`
pub(crate) const MONOTONIC: i32 = 1;
/// `CLOCK_BOOTTIME`
pub(crate) const BOOTTIME: i32 = 7;

/// Makes a key whose destructor runs at thread exit, after the destructors of `thread_local!`.
pub(crate) fn thread_exit_key(destructor: extern "C" fn(*mut c_void)) -> Option<u32> {
    let mut key = 0;
    // SAFETY: the destructor is a function of this program, which is never unloaded.
    (unsafe { pthread_key_create(&mut key, destructor) } == 0).then_some(key)
}

/// Sets the calling thread's value of a key.
pub(crate) fn set_thread_exit_value(key: u32, value: *const c_void) {
    // SAFETY: the key was made by `thread_exit_key` and is never deleted.
    unsafe { pthread_setspecific(key, value) };
}

/// Has `handler` run at `exit`.
pub(crate) fn at_exit(handler: extern "C" fn()) {
    if cfg!(miri) {
        return;
    }
    // SAFETY: the handler is a function of this program, which is never unloaded.
    unsafe { atexit(handler) };
}

/// `PT_LOAD`
pub(crate) const LOAD: u32 = 1;
/// `PT_NOTE`
pub(crate) const NOTE: u32 = 4;
/// `PF_X`
pub(crate) const EXECUTABLE: u32 = 1;
/// `PF_R`
const READABLE: u32 = 4;

/// A file that code of this process was loaded from.
pub(crate) struct Loaded<'a> {
    /// Where address 0 of the file would be.
    pub(crate) bias: u64,
    /// Its path; empty for the executable.
    pub(crate) name: &'a [u8],
    pub(crate) headers: &'a [ProgramHeader],
}

impl Loaded<'_> {
    /// The bytes of a segment, where all of them were loaded to be read.
    pub(crate) fn segment(&self, header: &ProgramHeader) -> Option<&[u8]> {
        let end = header.address.checked_add(header.memory_bytes)?;
        let holds = |load: &ProgramHeader| {
            load.kind == LOAD
                && load.flags & READABLE != 0
                && load.address <= header.address
                && load
                    .address
                    .checked_add(load.file_bytes)
                    .is_some_and(|last| end <= last)
        };
        if !self.headers.iter().any(holds) {
            return None;
        }
        let start = self.bias.wrapping_add(header.address) as *const u8;
        // SAFETY: the range lies within a segment that the loader mapped for reading, and that stays
        // while `dl_iterate_phdr` holds the loader's lock. Notes are not written to.
        Some(unsafe { core::slice::from_raw_parts(start, header.memory_bytes as usize) })
    }
}

/// Shows all loaded files to `body`, the executable first, until it returns false. Takes the loader's
/// lock: not for code that may have interrupted the loader.
pub(crate) fn each_loaded<F: FnMut(&Loaded<'_>) -> bool>(mut body: F) {
    if cfg!(miri) {
        return;
    }
    unsafe extern "C" fn one<F: FnMut(&Loaded<'_>) -> bool>(
        info: *const LoadedInfo,
        _: usize,
        body: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a valid structure, and what `each_loaded` gave it.
        let (info, body) = unsafe { (&*info, &mut *body.cast::<F>()) };
        let name = if info.name.is_null() {
            &[]
        } else {
            // SAFETY: a name that the loader holds ends in NUL.
            unsafe { core::ffi::CStr::from_ptr(info.name) }.to_bytes()
        };
        let headers = if info.headers.is_null() {
            &[]
        } else {
            // SAFETY: as many headers as the loader says, which stay while it holds its lock.
            unsafe { core::slice::from_raw_parts(info.headers, usize::from(info.count)) }
        };
        let loaded = Loaded {
            bias: info.bias,
            name,
            headers,
        };
        c_int::from(!body(&loaded))
    }
    // SAFETY: the callback is called before this returns, with a pointer to `body`.
    unsafe { dl_iterate_phdr(one::<F>, core::ptr::from_mut(&mut body).cast()) };
}

/// An address above every frame of the first thread's stack, and in the same mapping.
pub(crate) fn top_of_first_stack() -> u64 {
    // SAFETY: no arguments but a number. The kernel puts these bytes above the environment.
    unsafe { getauxval(AT_RANDOM) }
}
