//! How much of the disk a recording may still take: a word in a file of its folder, which all that take of it count down
//! in one step each, processes and recorder alike. What is only looked at first and taken then is taken twice by those
//! who look at the same time.
//!
//! Its pages are the recorded program's, too, which may cut the file: who has it mapped then is killed for a touch. So it is
//! mapped for as long as it takes to count, and no longer.
//!
//! Holds `unsafe`: the mapping of that file, and its word.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::fs::OFlags;
use wire::layout::{ROOM, ROOM_BYTES};

/// The word.
#[derive(Debug)]
pub(crate) struct Budget {
    path: PathBuf,
}

/// Makes the file in a folder, with so many bytes to be taken.
pub(crate) fn make(folder: &Path, bytes: u64) -> io::Result<()> {
    let mut new = options();
    new.create_new(true).mode(0o600);
    let file = new.open(folder.join(ROOM))?;
    let mut page = [0; ROOM_BYTES];
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    page[..8].copy_from_slice(&bytes.to_ne_bytes());
    file.write_all_at(&page, 0)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.read(true).write(true);
    options.custom_flags(flags.bits().cast_signed());
    options
}

impl Budget {
    /// That of the recording in a folder.
    pub(crate) fn of(folder: &Path) -> Self {
        let path = folder.join(ROOM);
        Self { path }
    }

    /// Takes so many bytes, or as many pieces of a size as there are; says how many bytes.
    pub(crate) fn take(&self, bytes: u64, piece: u64) -> io::Result<u64> {
        let page = Page::open(&self.path)?;
        let word = page.word();
        let mut left = word.load(Ordering::Relaxed);
        loop {
            let whole = u64::try_from(left).unwrap_or(0).min(bytes);
            let taken = whole - whole.checked_rem(piece).unwrap_or(0);
            let rest = left.saturating_sub_unsigned(taken);
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            match word.compare_exchange(left, rest, success, failure) {
                Ok(_) => return Ok(taken),
                Err(now) => left = now,
            }
        }
    }

    /// What was taken is free again.
    pub(crate) fn give_back(&self, bytes: u64) -> io::Result<()> {
        let page = Page::open(&self.path)?;
        page.word()
            .fetch_add(bytes.cast_signed(), Ordering::Relaxed);
        Ok(())
    }
}

/// The file, mapped.
struct Page(NonNull<u8>);

impl Page {
    fn open(path: &Path) -> io::Result<Self> {
        let file = options().open(path)?;
        // What lies beyond the end of a file cannot be touched.
        if file.metadata()?.len() < ROOM_BYTES as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Self::map(&file)
    }

    fn map(file: &File) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping, at a place of the kernel's choice.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                ROOM_BYTES,
                access,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let page = NonNull::new(page.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self(page))
    }

    fn word(&self) -> &AtomicI64 {
        // SAFETY: the first word of a page that is mapped as long as this is borrowed, and so aligned; other processes use
        // it as an atomic, too. Its file was long enough a moment ago: cut since then, the touch is a SIGBUS, and no access
        // to other memory.
        unsafe { AtomicI64::from_ptr(self.0.as_ptr().cast()) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: a whole mapping of this one's own, that nothing points into any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), ROOM_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_by_all_who_count() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Budget::of(folder.path()), Budget::of(folder.path()));
        assert!(one.take(1, 1).is_err());
        make(folder.path(), 100).unwrap();
        assert_eq!(one.take(30, 10).unwrap(), 30);
        assert_eq!(other.take(50, 10).unwrap(), 50);
        assert_eq!(one.take(35, 10).unwrap(), 20, "in whole pieces");
        assert_eq!(other.take(10, 10).unwrap(), 0);
        other.give_back(15).unwrap();
        assert_eq!(one.take(50, 1).unwrap(), 15);
        // Below zero by what a process took that got the least.
        one.give_back(u64::MAX - 39).unwrap();
        other.give_back(30).unwrap();
        assert_eq!(one.take(50, 1).unwrap(), 0);
        other.give_back(30).unwrap();
        assert_eq!(one.take(50, 1).unwrap(), 20);
        std::fs::write(folder.path().join(ROOM), b"short").unwrap();
        assert!(one.take(1, 1).is_err() && one.give_back(1).is_err());
    }
}
