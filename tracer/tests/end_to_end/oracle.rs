//! The judge of the crash tests notices what it is there for: each test takes a whole trace of `hammer`,
//! plants one loss that a mistake in the recorder or the reader could make, and looks whether it is seen.

use rustix::process::Signal;
use traces::{Input, Trace};
use wire::layout::{self, CHUNK_BYTES, ChunkKind, chunk};
use wire::record::{Header, Kind, State};

use crate::account::{Account, Writer};
use crate::hammered::{Acknowledged, Hammered};
use crate::support::memory_folder;

/// A trace of a program that was killed while it stood still, as bytes, and what it had acknowledged.
struct Killed {
    bytes: Vec<u8>,
    promised: Acknowledged,
}

/// Records, and chunks that they are kept in. Not gone round, however late the program is killed on a busy machine:
/// nothing may be missing.
const YOUNG: (u64, usize) = (16_000, 1024);
/// Gone round several times.
const OLD: (u64, usize) = (300_000, 32);

impl Killed {
    fn after((records, chunks): (u64, usize)) -> Self {
        let folder = memory_folder();
        let session = format!("protocol=1\nchunks={chunks}\nmode=ring\n");
        let mut hammered = Hammered::alone(folder.path(), &session, &[]);
        let program = hammered.wait_for(records);
        program.end(Signal::KILL);
        hammered.parent.wait().unwrap();
        let killed = Self {
            bytes: std::fs::read(hammered.file()).unwrap(),
            promised: Acknowledged::read(&hammered.ack),
        };
        assert_eq!(
            killed.noticed(&killed.bytes),
            None,
            "before anything was planted"
        );
        killed
    }

    /// What the judge says of a trace.
    fn noticed(&self, bytes: &Vec<u8>) -> Option<String> {
        let input = Input {
            name: "planted",
            bytes,
        };
        let trace = Trace::read(&[input]).unwrap();
        let account = Account::of(&trace, &self.promised, Writer::Still);
        let said = [&account.corrupt[..], &account.places[..]].concat();
        assert_eq!(account.lost > 0, !account.places.is_empty());
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Plants something into a copy; it must be noticed.
    #[track_caller]
    fn plant(&self, what: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.bytes.clone();
        change(&mut bytes);
        assert!(bytes != self.bytes, "{what}: nothing was planted");
        assert!(self.noticed(&bytes).is_some(), "{what} was not noticed");
    }

    /// Offsets of the event chunks of the lane that has most of them, in their order.
    fn chunks(&self) -> Vec<usize> {
        let mut lanes: Vec<Vec<(u64, usize)>> = vec![Vec::new(); layout::LANES];
        for at in (layout::chunk_offset()..self.bytes.len()).step_by(CHUNK_BYTES) {
            let gate = word(&self.bytes, at + chunk::SEQ * 8);
            let (lane, kind) =
                layout::unpack_lane_kind(word(&self.bytes, at + chunk::LANE_KIND * 8));
            if gate != 0 && kind == Some(ChunkKind::Event) {
                lanes[lane as usize].push((layout::chunk_number(gate), at));
            }
        }
        let mut longest = lanes.into_iter().max_by_key(Vec::len).unwrap();
        longest.sort_unstable();
        longest.into_iter().map(|(_, at)| at).collect()
    }

    /// Offset of a record of a kind in the middle of a chunk.
    fn record(&self, chunk: usize, kind: Kind) -> usize {
        let mut at = chunk + layout::CHUNK_HEADER_WORDS * 8;
        let mut number = 0;
        loop {
            let header = Header(word(&self.bytes, at));
            assert!(header.words() > 0, "the chunk has too few records");
            number += 1;
            if number > 300 && header.kind() == Some(kind) {
                return at;
            }
            at += header.words() * 8;
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn put(bytes: &mut [u8], at: usize, word: u64) {
    bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
}

/// The header with another state.
fn with_state(header: u64, state: State) -> u64 {
    header & !(3 << 16) | (state as u64) << 16
}

#[test]
fn single_record_that_is_gone_is_noticed() {
    let killed = Killed::after(YOUNG);
    let chunks = killed.chunks();
    for kind in [Kind::Leak, Kind::Peek, Kind::Reclaim] {
        let at = killed.record(chunks[1], kind);
        let header = word(&killed.bytes, at);
        for state in [State::Aborted, State::Reserved] {
            killed.plant("a record that does not count", |bytes| {
                put(bytes, at, with_state(header, state));
            });
        }
        let length = Header(header).words() * 8;
        killed.plant("a record left out", |bytes| {
            let end = chunks[1] + CHUNK_BYTES;
            bytes.copy_within(at + length..end, at);
            bytes[end - length..end].fill(0);
        });
        killed.plant("a record written over by the one before it", |bytes| {
            bytes.copy_within(at - length..at, at);
        });
        killed.plant("a record with another address", |bytes| {
            let address = word(bytes, at + 8) ^ 0x10;
            put(bytes, at + 8, address);
        });
    }
}

#[test]
fn chunk_that_is_gone_from_a_file_with_room_is_noticed() {
    let killed = Killed::after(YOUNG);
    let chunks = killed.chunks();
    for at in [
        chunks[0],
        chunks[chunks.len() / 2],
        chunks[chunks.len() - 1],
    ] {
        killed.plant("a chunk whose gate was shut", |bytes| put(bytes, at, 0));
        killed.plant("a chunk that was wiped", |bytes| {
            bytes[at..at + CHUNK_BYTES].fill(0);
        });
        // The last one may not have come so far.
        if at != chunks[chunks.len() - 1] {
            killed.plant("a chunk with half of its records", |bytes| {
                bytes[at + CHUNK_BYTES / 4..at + CHUNK_BYTES].fill(0);
            });
        }
    }
}

#[test]
fn chunk_that_is_gone_from_the_middle_of_a_full_ring_is_noticed() {
    let killed = Killed::after(OLD);
    let chunks = killed.chunks();
    assert!(chunks.len() > 5, "{chunks:?}");
    for at in [
        chunks[chunks.len() / 2],
        chunks[chunks.len() - 2],
        chunks[chunks.len() - 1],
    ] {
        killed.plant("a chunk whose gate was shut", |bytes| put(bytes, at, 0));
        killed.plant("a chunk that was wiped", |bytes| {
            bytes[at..at + CHUNK_BYTES].fill(0);
        });
    }
    killed.plant("a count of lost records that is too high", |bytes| {
        for at in &chunks {
            let at = at + chunk::RECORDS * 8;
            let count = word(bytes, at) + 5_000;
            put(bytes, at, count);
        }
    });
    killed.plant("a count of lost records that is too low", |bytes| {
        for at in &chunks {
            let at = at + chunk::RECORDS * 8;
            let count = word(bytes, at) - 5_000;
            put(bytes, at, count);
        }
    });
}
