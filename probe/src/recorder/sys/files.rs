//! Files: opening, reading, and what they are.
//!
//! Holds `unsafe`: foreign functions.

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};

use super::path::Path;

unsafe extern "C" {
    fn openat(folder: c_int, path: *const c_char, flags: c_int, ...) -> c_int;
    fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int;
    fn close(fd: c_int) -> c_int;
    fn read(fd: c_int, buffer: *mut c_void, count: usize) -> isize;
    fn pread(fd: c_int, buffer: *mut c_void, count: usize, offset: i64) -> isize;
    fn write(fd: c_int, buffer: *const c_void, count: usize) -> isize;
    fn getrlimit(resource: c_int, limit: *mut [u64; 2]) -> c_int;
    fn fstatfs(fd: c_int, about: *mut u64) -> c_int;
    fn posix_fallocate(fd: c_int, offset: i64, len: i64) -> c_int;
    fn ftruncate(fd: c_int, len: i64) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn readlink(path: *const c_char, buffer: *mut c_char, len: usize) -> isize;
}

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
const ENOENT: c_int = 2;
#[cfg(target_arch = "x86_64")]
mod number {
    use core::ffi::c_long;
    pub(super) const FSTAT: c_long = 5;
    pub(super) const STATX: c_long = 332;
}
#[cfg(target_arch = "aarch64")]
mod number {
    use core::ffi::c_long;
    pub(super) const FSTAT: c_long = 80;
    pub(super) const STATX: c_long = 291;
}

/// A descriptor that closes itself.
pub(crate) struct Fd(pub(crate) i32);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and is closed once.
        unsafe { close(self.0) };
    }
}

fn open_with(folder: Option<&Fd>, path: &Path, flags: c_int) -> Option<Fd> {
    if cfg!(miri) {
        return None;
    }
    let folder = folder.map_or(AT_FDCWD, |folder| folder.0);
    // SAFETY: the path ends in NUL; a mode is passed for the case that a file is created.
    let fd = unsafe { openat(folder, path.as_ptr(), flags | O_CLOEXEC, 0o600 as c_uint) };
    // Not made where there is none: to close that would be another error.
    (fd >= 0).then(|| Fd(fd))
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

/// Opens a file of a directory for reading and writing, not following a link and not waiting for the other end of a pipe.
pub(crate) fn open_to_count(folder: &Fd, path: &Path) -> Option<Fd> {
    open_with(Some(folder), path, O_RDWR | O_NOFOLLOW | O_NONBLOCK)
}

/// Makes a new file in a directory, 0600, of `whole` bytes, and gives it room for the first `bytes` of them on the disk: a
/// store to what has none would kill the program with SIGBUS, where the disk is full.
pub(crate) fn create_allocated(folder: &Fd, path: &Path, bytes: usize, whole: usize) -> Option<Fd> {
    // A file that would grow past this limit brings SIGXFSZ upon the program, not just an error.
    let mut limit = [u64::MAX; 2];
    // SAFETY: the structure is two words on 64-bit Linux.
    if unsafe { getrlimit(RLIMIT_FSIZE, &mut limit) } == 0 && limit[0] < whole as u64 {
        return None;
    }
    let fd = open_with(Some(folder), path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW)?;
    // SAFETY: plain numbers.
    let made = unsafe {
        posix_fallocate(fd.0, 0, bytes as i64) == 0
            && (whole <= bytes || ftruncate(fd.0, whole as i64) == 0)
    };
    if !made {
        remove(folder, path);
        return None;
    }
    Some(fd)
}

/// What is known of the disk that a directory lies on.
#[derive(Clone, Copy, Default)]
pub(crate) struct Disk {
    /// Bytes that this user may still fill; not all say that.
    pub(crate) free: Option<u64>,
    /// Whether it is memory (tmpfs).
    pub(crate) is_memory: bool,
}

/// Asks about the disk that a directory lies on.
pub(crate) fn disk(folder: &Fd) -> Disk {
    const TMPFS: u64 = 0x0102_1994;
    // `struct statfs` is 15 words on 64-bit Linux; the first one is the kind, the second one is the size of a block, the third how many there are, the fifth how many are free.
    let mut about = [0u64; 16];
    // SAFETY: the structure fits.
    let result = unsafe { fstatfs(folder.0, about.as_mut_ptr()) };
    let [kind, block, all, _, free, ..] = about;
    if result != 0 {
        return Disk::default();
    }
    Disk {
        // Some say nothing.
        free: (all != 0).then(|| free.saturating_mul(block)),
        is_memory: kind == TMPFS,
    }
}

/// Removes a file that was just made in a directory.
pub(crate) fn remove(folder: &Fd, path: &Path) {
    // SAFETY: the path ends in NUL.
    unsafe { unlinkat(folder.0, path.as_ptr(), 0) };
}

/// Makes an empty file in a directory, 0600: a word to who finds it.
pub(crate) fn leave(folder: &Fd, path: &Path) {
    drop(open_with(
        Some(folder),
        path,
        O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
    ));
}

/// Whether nothing lies at a path.
pub(crate) fn is_gone(path: &Path) -> bool {
    let mut byte = 0;
    // SAFETY: the path ends in NUL, and one byte at most is written. A folder is no link: `EINVAL`, not `ENOENT`.
    let result = unsafe { readlink(path.as_ptr(), &raw mut byte, 1) };
    result < 0 && super::errno() == ENOENT
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

/// One line on stderr, with no lock of Rust's own. What of it is no plain letter is shown by its number: a name of
/// somebody else's must not speak to a terminal.
pub(crate) fn complain(parts: &[&[u8]]) {
    // Room for any [`Path`] shown so, and what is said of it.
    let mut line = [0u8; 4 * 512 + 256];
    let mut len = 0_usize;
    let mut push = |text: &[u8]| {
        let end = len.saturating_add(text.len());
        if let Some(room) = line.get_mut(len..end) {
            for (place, byte) in room.iter_mut().zip(text) {
                *place = *byte;
            }
            len = end;
        }
    };
    let digit = |four: u8| b"0123456789abcdef"[usize::from(four & 15)];
    for byte in parts.iter().copied().flatten() {
        match byte {
            b' '..=b'~' => push(&[*byte]),
            _ => push(&[b'\\', b'x', digit(byte >> 4), digit(*byte)]),
        }
    }
    push(b"\n");
    // SAFETY: the bytes are valid for their length.
    unsafe { write(2, line.as_ptr().cast(), len) };
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

/// Bytes of an open file.
pub(crate) fn length(fd: &Fd) -> Option<u64> {
    // At byte 40.
    status(fd.0).map(|status| status[5])
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
