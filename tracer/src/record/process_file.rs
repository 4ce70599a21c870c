//! Takes a copy of one process's file, also while that process still writes to it.
//!
//! The file is read with `pread`, never mapped, and chunk by chunk: what that takes of memory is a chunk.
//! Chunks at its end that were never used are left out.
//! A chunk that was reused while it was read is left out by clearing its gate: the reader counts it as
//! lost instead of believing a mix of old and new records. Names that were written while they were read are
//! read again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, SeekFrom};
use wire::layout;

/// Hands the used part of the process file at `path` on, in order: what lies before the chunks, then
/// chunk by chunk, each with its offset.
pub(crate) fn read(
    path: &Path,
    each: &mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(
            (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY)
                .bits()
                .cast_signed(),
        )
        .open(path)?;
    let length = file.metadata()?.len();
    let first = first_chunk(&file)?;
    let used = used(&file, length)?;
    let first = used.min(first);
    let mut before = vec![0; usize::try_from(first).map_err(|_| io::ErrorKind::FileTooLarge)?];
    file.read_exact_at(&mut before, 0)?;
    each(0, &mut before)?;
    let mut buffer = vec![0; layout::CHUNK_BYTES];
    let mut at = first;
    while at < used {
        let left = usize::try_from(used - at).unwrap_or(usize::MAX);
        let chunk = &mut buffer[..left.min(layout::CHUNK_BYTES)];
        read_chunk(&file, chunk, at)?;
        each(at, chunk)?;
        at += chunk.len() as u64;
    }
    Ok(())
}

/// Where the chunks begin. The header says so, because the program may link a probe of another version; a
/// header that makes no sense is not believed.
fn first_chunk(file: &File) -> io::Result<u64> {
    let mut offset = [0; 4];
    let got = file.read_at(&mut offset, layout::header::CHUNK_OFFSET as u64)?;
    let said = u64::from(u32::from_le_bytes(offset));
    let possible = layout::HEADER_BYTES as u64..=1 << 24;
    Ok(if got == offset.len() && possible.contains(&said) {
        said
    } else {
        layout::chunk_offset() as u64
    })
}

/// Reads one chunk; its gate is read before and after the rest.
fn read_chunk(file: &File, chunk: &mut [u8], at: u64) -> io::Result<()> {
    const GATE: usize = layout::chunk::SEQ * 8;
    file.read_exact_at(chunk, at)?;
    let mut gate = [0; 8];
    if let Some(copied) = chunk.get_mut(GATE..GATE + 8) {
        file.read_exact_at(&mut gate, at + GATE as u64)?;
        if copied != gate {
            copied.fill(0);
            return Ok(());
        }
    }
    const KIND: usize = layout::chunk::LANE_KIND * 8;
    let kind = chunk.get(KIND..).and_then(|rest| rest.first_chunk());
    match kind.map(|kind| layout::unpack_lane_kind(u64::from_le_bytes(*kind))) {
        Some((_, Some(layout::ChunkKind::Meta))) => settle_names(file, chunk, at),
        _ => Ok(()),
    }
}

/// Many threads write to a chunk of names: see [`wire::protocol::settle`].
fn settle_names(file: &File, chunk: &mut [u8], at: u64) -> io::Result<()> {
    const HEADER: usize = layout::CHUNK_HEADER_WORDS * 8;
    let Some((_, records)) = chunk.split_at_mut_checked(HEADER) else {
        return Ok(());
    };
    let (bytes, _) = records.as_chunks_mut::<8>();
    let mut words: Vec<u64> = bytes.iter().map(|word| u64::from_le_bytes(*word)).collect();
    wire::protocol::settle(&mut words, |from, words| {
        let mut again = vec![0; words.len() * 8];
        file.read_exact_at(&mut again, at + (HEADER + from * 8) as u64)?;
        for (word, bytes) in words.iter_mut().zip(again.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Ok::<_, io::Error>(())
    })?;
    for (bytes, word) in bytes.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    Ok(())
}

/// Bytes of a file of `length` bytes up to the last chunk that was used.
pub(super) fn used(file: &File, length: u64) -> io::Result<u64> {
    used_length(file, first_chunk(file)?, length)
}

/// Length without the chunks at the end that hold nothing but zeros. The header's own count is not
/// asked: the recorded program may have written anything there.
fn used_length(file: &File, first: u64, length: u64) -> io::Result<u64> {
    let chunk = layout::CHUNK_BYTES as u64;
    let mut used = end_of_data(file, length).max(first.min(length));
    if used > first {
        // A chunk is read whole.
        used = length.min(first + (used - first).next_multiple_of(chunk));
    }
    let zeros = vec![0; layout::CHUNK_BYTES];
    let mut buffer = zeros.clone();
    while used > first {
        let start = first + (used - first - 1) / chunk * chunk;
        let part = &mut buffer[..usize::try_from(used - start).unwrap_or(0)];
        file.read_exact_at(part, start)?;
        if *part != zeros[..part.len()] {
            break;
        }
        used = start;
    }
    Ok(used)
}

/// Where the last bytes of a file lie that were ever written, as far as its disk knows: what is behind them are zeros that
/// nobody has to read. A ring has most of its length there.
fn end_of_data(file: &File, length: u64) -> u64 {
    // The end of the file is a hole, too; no more pieces than it may have pages.
    const PAGE: u64 = 4096;
    let mut end = 0;
    for _ in 0..=length / PAGE {
        match rustix::fs::seek(file, SeekFrom::Data(end)) {
            Ok(data) => match rustix::fs::seek(file, SeekFrom::Hole(data)) {
                Ok(hole) if hole > end => end = hole,
                _ => return length,
            },
            // Nothing but a hole.
            Err(rustix::io::Errno::NXIO) => return end,
            Err(_) => return length,
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::layout::{CHUNK_BYTES, chunk_offset, file_bytes};

    fn used(file: &[u8]) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1-2-3.trc");
        std::fs::write(&path, file).unwrap();
        let mut copy: Vec<u8> = Vec::new();
        read(&path, &mut |at, piece| {
            assert_eq!(at, copy.len() as u64);
            copy.extend(&*piece);
            Ok(())
        })
        .unwrap();
        assert_eq!(copy, file[..copy.len()]);
        copy.len()
    }

    #[test]
    fn unused_chunks_at_the_end_are_left_out() {
        let mut file = vec![0; file_bytes(4)];
        assert_eq!(used(&file), chunk_offset());
        file[chunk_offset() + CHUNK_BYTES] = 1;
        assert_eq!(used(&file), file_bytes(2));
        file[file_bytes(4) - 1] = 1;
        assert_eq!(used(&file), file_bytes(4));
    }

    #[test]
    fn what_was_never_written_is_not_read() {
        // In memory, as recordings are: what is sparse anywhere is so there.
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let file = File::create_new(folder.path().join("1-2-3.trc")).unwrap();
        let length = file_bytes(1 << 20) as u64;
        file.set_len(length).unwrap();
        assert_eq!(end_of_data(&file, length), 0);
        for chunk in [0, 5] {
            file.write_all_at(&[1], file_bytes(chunk) as u64).unwrap();
        }
        // One page of it was.
        assert_eq!(end_of_data(&file, length), file_bytes(5) as u64 + 4096);
        file.write_all_at(&[1], length - 1).unwrap();
        assert_eq!(end_of_data(&file, length), length);
    }

    #[test]
    fn file_cut_short_is_taken_as_it_is() {
        assert_eq!(used(&[]), 0);
        assert_eq!(used(&[7; 100]), 100);
        let mut file = vec![0; file_bytes(1) + 100];
        file[file_bytes(1) + 99] = 1;
        assert_eq!(used(&file), file.len());
    }

    #[test]
    fn symbolic_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("1-2-3.trc");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(read(&link, &mut |_, _| Ok(())).is_err());
    }
}
