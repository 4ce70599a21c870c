//! Whether anything was written to a recording since it was looked at last, found out by reading little of it.
//!
//! Of each process file: what its header and its lanes say, the gate of each chunk, and of each lane the words of its
//! two newest chunks. Older chunks are not written to any more; when one is recycled, its gate is another. What a
//! file's metadata say is no help: writing through a mapping changes neither length nor, most of the time, the time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::Path;

use traces::ReadAt;
use wire::layout::{self, CHUNK_BYTES, chunk, header};

use crate::open::open_file;
use crate::record;

/// Chunks of a lane that may still be written to: the one at hand, and the one before it, where another thread may be
/// about to finish a record.
const OPEN: usize = 2;

/// What the files were like.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<OsString, u64>);

impl Changes {
    /// Looks, and says whether anything is different. What cannot be read counts as different: whoever reads it says
    /// what is wrong.
    pub(super) fn are_there(&mut self, folder: &Path) -> bool {
        let Ok(files) = record::folder::process_files(folder) else {
            self.0.clear();
            return true;
        };
        let known = files.into_iter().map(|file| {
            let state = open_file(&file.path).and_then(|bytes| state_of(&bytes));
            Some((file.name, state.ok()?))
        });
        let Some(now) = known.collect::<Option<BTreeMap<_, _>>>() else {
            self.0.clear();
            return true;
        };
        let is_other = now != self.0 || now.is_empty();
        self.0 = now;
        is_other
    }
}

fn read(bytes: &impl ReadAt, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match bytes.read_at(offset + done as u64, rest)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => done += count,
        }
    }
    Ok(())
}

/// A number that is another one once anything was written.
fn state_of(bytes: &impl ReadAt) -> io::Result<u64> {
    let mut head = [0; layout::HEADER_BYTES];
    read(bytes, 0, &mut head)?;
    // The recorder's clock goes on, whether anybody records or not.
    if let Some(beat) = head.get_mut(header::BEAT_TICKS..header::BEAT_MONOTONIC_NS + 8) {
        beat.fill(0);
    }
    let word = |at: usize, len: usize| {
        let bytes = head.get(at..at + len).unwrap_or_default().iter().rev();
        bytes.fold(0_u64, |word, byte| word << 8 | u64::from(*byte))
    };
    let mut hasher = DefaultHasher::new();
    hasher.write(&head);
    let len = bytes.len()?;
    hasher.write_u64(len);
    let lanes = word(header::LANES_TAKEN, 8).min(layout::LANES as u64);
    let mut table = vec![0; usize::try_from(lanes).unwrap_or(0) * layout::LANE_BYTES];
    read(bytes, word(header::LANE_OFFSET, 4), &mut table)?;
    hasher.write(&table);
    let first = word(header::CHUNK_OFFSET, 4);
    let mut newest: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    let chunks = len.saturating_sub(first) / CHUNK_BYTES as u64;
    for offset in (0..chunks).map(|number| first + number * CHUNK_BYTES as u64) {
        let mut gate = [0; 8];
        read(bytes, offset + (chunk::SEQ * 8) as u64, &mut gate)?;
        hasher.write(&gate);
        let gate = u64::from_le_bytes(gate);
        let number = layout::chunk_number(gate);
        if gate == 0 {
            continue;
        }
        let of_lane = newest.entry(gate ^ number).or_default();
        of_lane.push((number, offset));
        of_lane.sort_unstable();
        if of_lane.len() > OPEN {
            of_lane.remove(0);
        }
    }
    let mut words = vec![0; CHUNK_BYTES];
    for (_, offset) in newest.into_values().flatten() {
        read(bytes, offset, &mut words)?;
        hasher.write(&words);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    /// A process file with chunks of a lane and of another one.
    fn make(folder: &Path, chunks: usize) -> std::fs::File {
        let path = folder.join("1-1-a.trc");
        let file = std::fs::File::create(path).unwrap();
        file.set_len(layout::file_bytes(chunks) as u64).unwrap();
        let number = |at: usize, number: u32| file.write_all_at(&number.to_le_bytes(), at as u64);
        number(header::LANE_OFFSET, layout::HEADER_BYTES as u32).unwrap();
        number(header::CHUNK_OFFSET, layout::chunk_offset() as u32).unwrap();
        number(header::LANES_TAKEN, 2).unwrap();
        file
    }

    fn put(file: &std::fs::File, chunk: usize, word: usize, value: u64) {
        let offset = layout::chunk_offset() + chunk * CHUNK_BYTES + word * 8;
        file.write_all_at(&value.to_le_bytes(), offset as u64)
            .unwrap();
    }

    #[test]
    fn what_is_written_anywhere_is_a_change_and_the_recorders_clock_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut changes = Changes::default();
        assert!(changes.are_there(folder.path()), "no file yet: look");
        let file = make(folder.path(), 6);
        let gate = |lane, seq| layout::gate(lane, layout::ChunkKind::Event, seq);
        for (chunk, (lane, seq)) in [(0, 1), (1, 1), (0, 2), (0, 3)].into_iter().enumerate() {
            put(&file, chunk, chunk::SEQ, gate(lane, seq));
        }
        let mut is_changed = || changes.are_there(folder.path());
        assert!(is_changed());
        assert!(!is_changed(), "nothing was written");
        let beat = |value: u64| {
            file.write_all_at(&value.to_le_bytes(), header::BEAT_TICKS as u64)
                .unwrap();
        };
        beat(7);
        assert!(!is_changed(), "a beat of the recorder");
        // The newest chunks of both lanes; a chunk that is taken; one that is recycled; a lane's words; the header.
        for (chunk, word, value) in [
            (3, 100, 1),
            (2, 8191, 1),
            (1, 9, 1),
            (4, chunk::SEQ, gate(1, 2)),
            (0, chunk::SEQ, 0),
            (0, chunk::SEQ, gate(0, 4)),
        ] {
            put(&file, chunk, word, value);
            assert!(is_changed(), "chunk {chunk}, word {word}");
            assert!(!is_changed());
        }
        for offset in [layout::HEADER_BYTES + layout::LANE_BYTES, header::STATE] {
            file.write_all_at(&[9], offset as u64).unwrap();
            assert!(is_changed(), "at {offset}");
        }
        // What lies in a chunk that was left long ago is nobody's to write.
        put(&file, 2, 100, 5);
        assert!(!is_changed());
        file.set_len(layout::file_bytes(7) as u64).unwrap();
        assert!(is_changed(), "the recorder made room");
        std::fs::write(folder.path().join("2-1-b.trc"), "abc").unwrap();
        assert!(
            is_changed() && changes.are_there(folder.path()),
            "it cannot be read"
        );
    }
}
