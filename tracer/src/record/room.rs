//! What the recorder writes into the files of running processes: two words of their headers. What processes that have
//! ended never used of theirs it gives back; of rings it reads whether they found as much room as they were to have.
//!
//! Room for files that grow is set aside ahead of the program that fills them, and then told to it.
//!
//! The program never makes room itself, and never touches what lies beyond the end of its file. Room is
//! allocated, not just promised: on a full disk this process gets an error; the program would get SIGBUS.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags};
use rustix::process::{Resource, getrlimit};
use wire::layout::{self, CHUNK_BYTES, header};

use super::budget::Budget;

/// The most that is set aside at once: what tmpfs can clear in some 20 ms.
const STEP_MAX: u64 = 1024;

/// The growing file of one process.
#[derive(Debug)]
pub(crate) struct Growing {
    file: File,
    /// Byte offset of chunk 0.
    first_chunk: u64,
    /// Chunks that it had room for at first.
    first: u64,
    /// Chunks that it has room for.
    usable: u64,
    /// Chunks that it may have.
    most: u64,
}

/// What came of a wish for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// There is enough.
    Enough,
    /// There is more than before.
    More,
    /// The recording has taken what it may, until a process gives some of that back.
    NotYet,
}

impl Growing {
    /// Opens the file of a process; nothing while its header is not written, or where it does not grow.
    /// `most` is what the session allows.
    pub(crate) fn open(path: &Path, most: u64) -> io::Result<Option<Self>> {
        let Some(file) = open(path)? else {
            return Ok(None);
        };
        let first_chunk = word(&file, header::CHUNK_OFFSET)? & 0xFFFF_FFFF;
        let usable = word(&file, header::CHUNKS_USABLE)?;
        let said = word(&file, header::CHUNK_LOG2)? >> 32;
        Ok((usable != 0).then_some(Self {
            file,
            first_chunk,
            first: usable,
            usable,
            most: said.min(most),
        }))
    }

    /// Makes room where less is left than the program may need before this is called again, as far as the recording may
    /// take that from the disk.
    pub(crate) fn make_room(&mut self, budget: Option<&Budget>) -> io::Result<Made> {
        let used = word(&self.file, header::CHUNKS_TAKEN)?.min(self.usable);
        let ahead = (self.first / 2).max((used / 2).min(STEP_MAX));
        if self.usable >= self.most || self.usable - used >= ahead {
            return Ok(Made::Enough);
        }
        let step = self.first.max(used.min(STEP_MAX));
        let wanted = ((self.usable + step).min(self.most) - self.usable) * CHUNK_BYTES as u64;
        // Of a folder without the word, or with a damaged one, the disk is the bound.
        let counted = budget.map(|budget| budget.take(wanted, CHUNK_BYTES as u64));
        let taken = counted.and_then(Result::ok).unwrap_or(wanted);
        if taken == 0 {
            return Ok(Made::NotYet);
        }
        let usable = self.usable + taken / CHUNK_BYTES as u64;
        let end = |chunks: u64| self.first_chunk + chunks * CHUNK_BYTES as u64;
        if let Err(error) = allocate(&self.file, end(self.usable), end(usable)) {
            let _ = budget.map(|budget| budget.give_back(taken));
            return Err(error);
        }
        // The room is there; now it may be used.
        self.file
            .write_all_at(&usable.to_le_bytes(), header::CHUNKS_USABLE as u64)?;
        self.usable = usable;
        Ok(Made::More)
    }

    /// Bytes of records that there is room for.
    pub(crate) fn bytes(&self) -> u64 {
        self.usable * CHUNK_BYTES as u64
    }
}

/// Asks a process to end its recording: it looks at this when it would take a chunk, so that nothing of what
/// it has kept by now is overwritten. False while its file has no header yet.
pub(crate) fn ask_to_stop(path: &Path) -> io::Result<bool> {
    let Some(file) = open(path)? else {
        return Ok(false);
    };
    file.write_all_at(&1u64.to_le_bytes(), header::STOP_REQUEST as u64)?;
    Ok(true)
}

/// Gives back to the disk what the process of a file has not used, and never will, because it has ended. To who reads it
/// the file stays as it is. Says how many bytes that are, of those that the process took of the recording's room.
pub(crate) fn give_back_unused(path: &Path) -> io::Result<u64> {
    let file = open_any(path)?;
    let metadata = file.metadata()?;
    let length = metadata.len();
    let (used, taken) = if has_header(&file).unwrap_or(false) {
        let used = super::process_file::used(&file, length)?;
        (used, taken(&file)?.min(length))
    } else {
        // It was killed before it said anything: all that it had taken is what lies on the disk.
        (0, metadata.blocks() * 512)
    };
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if used < length {
        rustix::fs::fallocate(&file, how, used, length - used)?;
    }
    Ok(taken.saturating_sub(used))
}

/// Whether the ring of a process's file was not to be had as long as it was to be when that was needed.
pub(crate) fn is_short_ring(path: &Path) -> io::Result<bool> {
    let Some(file) = open(path)? else {
        return Ok(false);
    };
    Ok(word(&file, header::SHORT)? != 0)
}

/// Bytes of a file that its process took of the recording's room: all of it, or as far as it says.
fn taken(file: &File) -> io::Result<u64> {
    let first = word(file, header::CHUNK_OFFSET)? & 0xFFFF_FFFF;
    Ok(match word(file, header::CHUNKS_USABLE)? {
        0 => u64::MAX,
        chunks => chunks
            .saturating_mul(CHUNK_BYTES as u64)
            .saturating_add(first),
    })
}

/// Opens the file of a process; nothing while its header is not written.
fn open(path: &Path) -> io::Result<Option<File>> {
    let file = open_any(path)?;
    Ok(has_header(&file)?.then_some(file))
}

fn has_header(file: &File) -> io::Result<bool> {
    Ok(word(file, header::MAGIC)?.to_le_bytes() == layout::MAGIC)
}

fn open_any(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(
            (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY)
                .bits()
                .cast_signed(),
        )
        .open(path)
}

fn word(file: &File, offset: usize) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, offset as u64)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Grows a file from `from` to `to` bytes, every one of them on the disk.
fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    // A file that would grow past this limit brings SIGXFSZ upon this process, not just an error.
    if getrlimit(Resource::Fsize)
        .current
        .is_some_and(|limit| limit < to)
    {
        return Err(rustix::io::Errno::FBIG.into());
    }
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), from, to - from) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as a program makes it, with room for `usable` chunks of `most`, of which `taken` are.
    fn file(folder: &Path, usable: u64, most: u32, taken: u64) -> std::path::PathBuf {
        let mut bytes = vec![0; layout::file_bytes(usable as usize)];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(header::MAGIC, &layout::MAGIC);
        put(header::CHUNKS, &most.to_le_bytes());
        put(
            header::CHUNK_OFFSET,
            &(layout::chunk_offset() as u32).to_le_bytes(),
        );
        put(header::CHUNKS_USABLE, &usable.to_le_bytes());
        put(header::CHUNKS_TAKEN, &taken.to_le_bytes());
        let path = folder.join("1-2-3.trc");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn room_is_made_ahead_and_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), 16, 40, 8);
        let mut growing = Growing::open(&path, 1000).unwrap().unwrap();
        assert_eq!(
            growing.make_room(None).unwrap(),
            Made::Enough,
            "half is left"
        );
        let take = |taken: u64| {
            let at = header::CHUNKS_TAKEN as u64;
            growing.file.write_all_at(&taken.to_le_bytes(), at).unwrap();
        };
        take(9);
        assert_eq!(growing.make_room(None).unwrap(), Made::More);
        let told = word(&growing.file, header::CHUNKS_USABLE).unwrap();
        assert_eq!((told, growing.bytes()), (32, 32 << 16));
        let len = std::fs::metadata(&path).unwrap().len();
        assert_eq!(len, layout::file_bytes(32) as u64);
        growing
            .file
            .write_all_at(&40u64.to_le_bytes(), header::CHUNKS_TAKEN as u64)
            .unwrap();
        assert_eq!(growing.make_room(None).unwrap(), Made::More);
        assert_eq!(word(&growing.file, header::CHUNKS_USABLE).unwrap(), 40);
        let made = growing.make_room(None).unwrap();
        assert_eq!(made, Made::Enough, "it is as large as it may be");
    }

    #[test]
    fn a_file_grows_no_further_than_the_recording_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), 16, 100, 16);
        let chunk = CHUNK_BYTES as u64;
        super::super::budget::make(folder.path(), 20 * chunk + 5).unwrap();
        let budget = Budget::of(folder.path());
        let mut growing = Growing::open(&path, 1000).unwrap().unwrap();
        assert_eq!(growing.make_room(Some(&budget)).unwrap(), Made::More);
        assert_eq!(growing.usable, 32);
        let take = |growing: &Growing| {
            let taken = growing.usable.to_le_bytes();
            growing
                .file
                .write_all_at(&taken, header::CHUNKS_TAKEN as u64)
                .unwrap();
        };
        take(&growing);
        assert_eq!(growing.make_room(Some(&budget)).unwrap(), Made::More);
        assert_eq!(growing.usable, 36);
        take(&growing);
        assert_eq!(growing.make_room(Some(&budget)).unwrap(), Made::NotYet);
        let len = std::fs::metadata(&path).unwrap().len();
        assert_eq!(len, layout::file_bytes(36) as u64);
        // What others have given back may be taken.
        budget.give_back(3 * chunk).unwrap();
        assert_eq!(growing.make_room(Some(&budget)).unwrap(), Made::More);
        assert_eq!(growing.usable, 39);
    }

    #[test]
    fn what_was_never_used_is_given_back_and_the_file_stays_as_it_is() {
        use std::os::unix::fs::MetadataExt;

        // In memory, as recordings are: what is sparse anywhere is so there.
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = file(folder.path(), 64, 64, 2);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[layout::file_bytes(1)] = 7;
        std::fs::write(&path, &bytes).unwrap();
        let allocated = || std::fs::metadata(&path).unwrap().blocks() * 512;
        assert_eq!(allocated(), bytes.len() as u64);
        let unused = (bytes.len() - layout::file_bytes(2)) as u64;
        assert_eq!(give_back_unused(&path).unwrap(), unused);
        assert_eq!(allocated(), layout::file_bytes(2) as u64);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn what_a_ring_took_is_given_back_but_for_what_it_used() {
        // In memory, as recordings are: what is sparse anywhere is so there.
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = file(folder.path(), 20, 64, 2);
        let open = || OpenOptions::new().write(true).open(&path).unwrap();
        let put = |at: usize, value: &[u8]| open().write_all_at(value, at as u64).unwrap();
        put(header::MODE, &layout::mode::RING.to_le_bytes());
        put(layout::file_bytes(1), &[7]);
        open().set_len(layout::file_bytes(64) as u64).unwrap();
        let given = (layout::file_bytes(20) - layout::file_bytes(2)) as u64;
        assert_eq!(give_back_unused(&path).unwrap(), given);
        // Whatever the program wrote there, no more than the file has.
        put(header::CHUNKS_USABLE, &u64::MAX.to_le_bytes());
        let rest = (layout::file_bytes(64) - layout::file_bytes(2)) as u64;
        assert_eq!(give_back_unused(&path).unwrap(), rest);
        // Killed before its header: what lies on the disk.
        put(header::MAGIC, &[0; 8]);
        let allocated = std::fs::metadata(&path).unwrap().blocks() * 512;
        assert_eq!(give_back_unused(&path).unwrap(), allocated);
        assert_eq!(std::fs::metadata(&path).unwrap().blocks(), 0);
    }

    #[test]
    fn a_ring_is_short_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), 20, 64, 30);
        assert!(!is_short_ring(&path).unwrap());
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let short = header::SHORT as u64;
        file.write_all_at(&1u64.to_le_bytes(), short).unwrap();
        assert!(is_short_ring(&path).unwrap());
    }

    #[test]
    fn files_that_do_not_grow_or_are_not_there_yet_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), 0, 40, 0);
        assert!(Growing::open(&path, 40).unwrap().is_none());
        std::fs::write(&path, vec![0; 8192]).unwrap();
        assert!(Growing::open(&path, 40).unwrap().is_none());
        assert!(Growing::open(Path::new("/proc/self/none"), 40).is_err());
    }
}
