//! How much of the disk a recording may still take: a word in a file of its folder, which all that take of it count down
//! in one step each, processes and recorder alike. What is only looked at first and taken then is taken twice by those
//! who look at the same time.
//!
//! Holds `unsafe`: the mapping of that file, and its word.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;
use wire::layout::ROOM;

/// A page, of which the first word counts.
const BYTES: usize = 4096;

/// The word.
#[derive(Debug)]
pub(crate) struct Budget {
    page: NonNull<u8>,
}

// SAFETY: the page is used as an atomic word, and unmapped by its only owner.
unsafe impl Send for Budget {}

impl Drop for Budget {
    fn drop(&mut self) {
        // SAFETY: a whole mapping of this one's own, that nothing points into any more.
        unsafe { libc::munmap(self.page.as_ptr().cast(), BYTES) };
    }
}

/// Makes the file in a folder, with so many bytes to be taken.
pub(crate) fn make(folder: &Path, bytes: u64) -> io::Result<()> {
    let mut new = options();
    new.create_new(true).mode(0o600);
    let file = new.open(folder.join(ROOM))?;
    let mut page = [0; BYTES];
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
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let file = options().open(folder.join(ROOM))?;
        // What lies beyond the end of a file cannot be touched.
        if file.metadata()?.len() < BYTES as u64 {
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
                BYTES,
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
        Ok(Self { page })
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: the first word of a page that is mapped as long as this; other processes use it as an atomic, too.
        unsafe { AtomicU64::from_ptr(self.page.as_ptr().cast()) }
    }

    /// Takes so many bytes, or as many pieces of a size as there are; says how many bytes.
    pub(crate) fn take(&self, bytes: u64, piece: u64) -> u64 {
        let word = self.word();
        let mut left = word.load(Ordering::Relaxed);
        loop {
            let whole = left.min(bytes);
            let taken = whole - whole.checked_rem(piece).unwrap_or(0);
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            match word.compare_exchange(left, left - taken, success, failure) {
                Ok(_) => return taken,
                Err(now) => left = now,
            }
        }
    }

    /// What was taken is free again.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.word().fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_by_all_who_have_it_open() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Budget::open(folder.path()).is_err());
        make(folder.path(), 100).unwrap();
        let (one, other) = (
            Budget::open(folder.path()).unwrap(),
            Budget::open(folder.path()).unwrap(),
        );
        assert_eq!(one.take(30, 10), 30);
        assert_eq!(other.take(50, 10), 50);
        assert_eq!(one.take(35, 10), 20, "in whole pieces");
        assert_eq!(other.take(10, 10), 0);
        other.give_back(15);
        assert_eq!(one.take(50, 1), 15);
        std::fs::write(folder.path().join(ROOM), b"short").unwrap();
        assert!(Budget::open(folder.path()).is_err());
    }
}
