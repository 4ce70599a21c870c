//! Where things lie in a trace file of one process (version 1, "TRC1").
//!
//! ```text
//! 0x00000  file header      4096 B   static part under a CRC-32C, dynamic part from 1024
//! 0x01000  lane directory   128 B a lane
//! ...      chunks           64 KiB each: 64 B header, then records
//! ```
//!
//! Little endian, 64-bit words, every offset a multiple of 8. A field is named by its byte offset;
//! the constants here are the only place that knows them. The header repeats the offsets of lanes
//! and chunks, so that a reader follows the file and not this build.

/// First eight bytes: not text, not UTF-8, damaged by any newline conversion.
pub const MAGIC: [u8; 8] = [0x89, b'T', b'R', b'C', 0x0D, 0x0A, 0x1A, 0x0A];
/// First eight bytes of a bundle: several process files and what the recorder knows, in one file.
pub const BUNDLE_MAGIC: [u8; 8] = [0x89, b'T', b'R', b'B', 0x0D, 0x0A, 0x1A, 0x0A];
/// What names of recording folders begin with.
pub const FOLDER: &str = "tracer-";
/// Name of the file that a process leaves in the recording folder where its own found no room.
pub const NO_ROOM: &str = "no-room";
/// Name of the file that a process leaves there where its own was made smaller than it should have been.
pub const LITTLE_ROOM: &str = "little-room";
/// Name of the file there whose first word counts the bytes that the recording may still take: processes and recorder
/// take from it in one step each what they are about to fill, so that those that begin together do not take the same twice.
pub const ROOM: &str = "room";
/// Bytes of that file: a page. The word is below zero where the least that each process gets was more than was left.
pub const ROOM_BYTES: usize = 4096;
/// A reader refuses another major version.
pub const MAJOR: u16 = 1;
/// A reader accepts any minor version.
pub const MINOR: u16 = 0;
/// Bits of `incompat` that this build understands: a reader refuses a file with any other.
pub const INCOMPAT_KNOWN: u64 = incompat::STACKS | incompat::BATCH_TIME;
/// Why a process has no recording, beside errors of the system's: its environment names none.
pub const NOT_NAMED: u32 = 1 << 16;
/// Or it is another user's.
pub const NOT_OURS: u32 = NOT_NAMED + 1;
/// Written at [`header::ENDIAN`].
pub const ENDIAN_MARK: u32 = 0x0102_0304;

/// Bytes of the file header.
pub const HEADER_BYTES: usize = 4096;
/// Bytes of one lane directory entry.
pub const LANE_BYTES: usize = 128;
/// Words of one lane directory entry.
pub const LANE_WORDS: usize = LANE_BYTES / 8;
/// Lanes in the directory of a newly written file: one a thread, two where a signal handler records.
///
/// Few under Miri, as are the bytes of a chunk: what is passed on by reference there is looked through word by word, and
/// a test's recording is small. Readers take both from the file.
pub const LANES: usize = if cfg!(miri) { 16 } else { 4096 };
/// log2 of the bytes of a chunk.
pub const CHUNK_LOG2: u32 = if cfg!(miri) { 12 } else { 16 };
/// Bytes of a chunk, its header included.
pub const CHUNK_BYTES: usize = 1 << CHUNK_LOG2;
/// Words of a chunk, its header included.
pub const CHUNK_WORDS: usize = CHUNK_BYTES / 8;
/// Words of a chunk's header.
pub const CHUNK_HEADER_WORDS: usize = 8;
/// Longest record in words, its header included.
pub const RECORD_MAX_WORDS: usize = 255;

/// Records of what lasts, which a writer keeps beside the names as well, where nothing is overwritten: the making of rings
/// ([`crate::record::Kind::RingCreate`]) and what is declared of their cookies ([`crate::record::Kind::Scheme`]), with the ticks
/// behind their three words. Of what there may be any number of, only that there is some, in a record without words: cookies that are declared shared one by one
/// ([`crate::record::Kind::Shared`]), and coroutines ([`crate::record::Kind::Spawn`]).
pub const LASTING_MAX: u32 = 1024;

/// Byte offsets in the file header.
pub mod header {
    /// `[u8; 8]`
    pub const MAGIC: usize = 0;
    /// `u16` major, then `u16` minor.
    pub const VERSION: usize = 8;
    /// `u32`: bytes of this header.
    pub const HEADER_LEN: usize = 12;
    /// `u64`: a reader that does not know one of these bits refuses the file.
    pub const INCOMPAT: usize = 16;
    /// `u64`: unknown bits are ignored.
    pub const COMPAT: usize = 24;
    /// `u64`: bytes of the file when it was made; it may grow.
    pub const FILE_LEN: usize = 32;
    /// `u32`
    pub const CHUNK_LOG2: usize = 40;
    /// `u32`: chunks, also those that a growing file has no room for yet.
    pub const CHUNKS: usize = 44;
    /// `u32`
    pub const LANES: usize = 48;
    /// `u32`: byte offset of the lane directory.
    pub const LANE_OFFSET: usize = 52;
    /// `u32`: byte offset of chunk 0.
    pub const CHUNK_OFFSET: usize = 56;
    /// `u32`: [`super::ENDIAN_MARK`].
    pub const ENDIAN: usize = 60;
    /// `[u8; 16]`: random, mixed into every chunk header.
    pub const UUID: usize = 64;
    /// `u32`
    pub const PID: usize = 80;
    /// `u32`
    pub const PPID: usize = 84;
    /// `u64`: start time of the process in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub const START_TIME: usize = 88;
    /// `[u8; 16]`: the same in every process of one recording.
    pub const TOKEN: usize = 96;
    /// `u64`: tick counter when the file was made.
    pub const TICKS: usize = 112;
    /// `u64`: `CLOCK_MONOTONIC` in ns, read beside [`TICKS`].
    pub const MONOTONIC_NS: usize = 120;
    /// `u64`: `CLOCK_BOOTTIME` in ns.
    pub const BOOTTIME_NS: usize = 128;
    /// `u64`: `CLOCK_REALTIME` in ns.
    pub const REALTIME_NS: usize = 136;
    /// `u32`: a [`super::clock`] constant.
    pub const CLOCK_SOURCE: usize = 144;
    /// `u32`: reserved, 0.
    pub const FLAGS: usize = 148;
    /// `u32`: a [`super::mode`] constant.
    pub const MODE: usize = 152;
    /// `u32`: capture level of this file, a [`super::capture`] constant.
    pub const CAPTURE: usize = 156;
    /// `[u8; 32]`: version of the writer, zero-padded ASCII.
    pub const WRITER_VERSION: usize = 160;
    /// `u32`: bytes of the build-id that follow at [`BUILD_ID`].
    pub const BUILD_ID_LEN: usize = 192;
    /// `[u8; 20]`: build-id of the executable.
    pub const BUILD_ID: usize = 196;
    /// `u64`: ticks per second as far as known when the file was made; 0 is unknown.
    pub const TICKS_PER_SECOND: usize = 216;
    /// `[u8; 256]`: path of the executable, zero-padded, cut at 255 bytes. A hint, never trusted.
    pub const EXE_PATH: usize = 224;
    /// `u32`: CRC-32C of bytes 0 to 1020.
    pub const CRC: usize = 1020;

    /// `u64`: chunks ever taken. In ring mode it passes the number of chunks.
    pub const CHUNKS_TAKEN: usize = 1024;
    /// `u64`: lanes ever taken.
    pub const LANES_TAKEN: usize = 1032;
    /// `u64`: records lost because no lane was free.
    pub const LOST_NO_LANE: usize = 1040;
    /// `u64`: strings, sites, types, stacks and modules that no room was left for.
    pub const LOST_META: usize = 1048;
    /// `u64`: a [`super::state`] constant.
    pub const STATE: usize = 1056;
    /// `u64`: ticks of the latest clock pair.
    pub const BEAT_TICKS: usize = 1064;
    /// `u64`: `CLOCK_MONOTONIC` in ns of the latest clock pair.
    pub const BEAT_MONOTONIC_NS: usize = 1072;
    /// `u64`: chunks that the file has room for so far, where it did not have all of it from the start; else 0. Written once
    /// the room is there: by the recorder where the file grows, by the process itself where its ring does.
    pub const CHUNKS_USABLE: usize = 1088;
    /// `u64`: not 0 once the recorder asks for an end of the recording: nothing is recycled any more.
    pub const STOP_REQUEST: usize = 1096;
    /// `u64`: not 0 from before the first chunk is reused.
    pub const RECYCLED: usize = 1104;
    /// `u64`: 0 where the writer keeps nothing of what lasts beside the names; else one more than the records of it that there
    /// are to be, those included that found no room, and in a forked child another one for what its parent had: see
    /// [`super::LASTING_MAX`].
    pub const LASTING: usize = 1120;
    /// `u64`: not 0 once a ring that was to be longer found no room for that, and took an older chunk again or lost a record.
    pub const SHORT: usize = 1112;
    /// `u64`: why the recording ended before its process, 0 where it did not. A [`super::stopped`] constant in
    /// the low half; in the high half a string.
    pub const STOPPED: usize = 1152;
}

/// Bits of [`header::INCOMPAT`].
pub mod incompat {
    /// Events may carry the number of a call stack behind their payload.
    pub const STACKS: u64 = 1;
    /// Records of a lane share times: each came at its time or later, and no later than the next
    /// different time of its lane. What threads hand to each other cannot be put into order by such
    /// times.
    pub const BATCH_TIME: u64 = 2;
}

/// How the process ended as far as it could say itself.
pub mod state {
    /// Still running, or killed without a chance to say so.
    pub const RUNNING: u64 = 1;
    /// `exit` ran its handlers.
    pub const CLEAN_EXIT: u64 = 2;
    /// An abort or panic handler ran.
    pub const ABORTED: u64 = 3;
    /// The image was replaced by `exec`.
    pub const EXEC: u64 = 4;
}

/// Who ended a recording before its process.
pub mod stopped {
    /// The program itself, for the reason in the string.
    pub const PROGRAM: u32 = 1;
    /// The recorder.
    pub const RECORDER: u32 = 2;
}

/// What a tick is.
pub mod clock {
    /// The invariant time-stamp counter of x86-64.
    pub const TSC: u32 = 1;
    /// `CLOCK_MONOTONIC` in ns.
    pub const MONOTONIC: u32 = 2;
    /// The virtual counter of aarch64 (`cntvct_el0`).
    pub const CNTVCT: u32 = 3;
    /// A counter that a simulated runtime advances by itself, in ns.
    pub const LOGICAL: u32 = 4;
}

/// What happens when all chunks are full.
pub mod mode {
    /// New records are lost and counted.
    pub const STOP: u32 = 0;
    /// The chunk taken longest ago is reused.
    pub const RING: u32 = 1;
}

/// Who wrote the file.
pub mod capture {
    /// The probe, linked into the program.
    pub const LINKED: u32 = 0;
    /// The shim for programs that do not link the probe.
    pub const PRELOAD: u32 = 1;
    /// Kernel tracepoints.
    pub const KERNEL: u32 = 2;
    /// Uprobes.
    pub const UPROBES: u32 = 3;
}

/// Word offsets in a lane directory entry.
pub mod lane {
    /// A [`super::lane_state`] constant.
    pub const STATE: usize = 0;
    /// Thread id of the latest owner (low 32 bits), lane it nests in plus one (high 32 bits, 0 = none).
    pub const OWNER: usize = 1;
    /// Ticks when the lane was first taken.
    pub const START_TICKS: usize = 2;
    /// Ticks when its latest owner ended, 0 while it runs.
    pub const STOP_TICKS: usize = 3;
    /// Records lost because no chunk was free.
    pub const LOST_FULL: usize = 4;
    /// Records lost because handlers were nested too deeply or hit a chunk switch.
    pub const LOST_NESTED: usize = 5;
    /// Records lost because they were too long.
    pub const LOST_BIG: usize = 6;
    /// Sequence number of the newest event chunk.
    pub const LAST_SEQ: usize = 7;
}

/// States of a lane.
pub mod lane_state {
    /// Never taken.
    pub const FREE: u64 = 0;
    /// A live thread writes it.
    pub const IN_USE: u64 = 1;
    /// Its thread ended; the next new thread goes on with it.
    pub const IDLE: u64 = 2;
}

/// Bits of a gate that hold the chunk's number.
const NUMBER_BITS: u32 = 40;

/// The gate of an open chunk. Chunks go from lane to lane, and two lanes have chunks of the same number:
/// by the number alone a reader could take two laps for one.
pub const fn gate(lane: u32, kind: ChunkKind, seq: u64) -> u64 {
    let owner = (lane as u64) << 1 | matches!(kind, ChunkKind::Meta) as u64;
    owner << NUMBER_BITS | chunk_number(seq)
}

/// The chunk's number within its lane and kind, of its gate.
pub const fn chunk_number(gate: u64) -> u64 {
    gate & ((1 << NUMBER_BITS) - 1)
}

/// Word offsets in a chunk's header.
pub mod chunk {
    /// The gate: 0 while free or being recycled, else the chunk's number within its lane and kind, from
    /// 1, in the low 40 bits. Above it lie lane and kind, so that no two laps of a chunk have the same
    /// gate: see [`super::gate`].
    pub const SEQ: usize = 0;
    /// Lane in the low 32 bits, kind in the next 16, flags in the last 16.
    pub const LANE_KIND: usize = 1;
    /// Ticks that the first record's time difference counts from.
    pub const TICKS: usize = 2;
    /// `CLOCK_MONOTONIC` in ns, read beside [`TICKS`].
    pub const MONOTONIC_NS: usize = 3;
    /// Records of this lane lost before this chunk.
    pub const LOST: usize = 4;
    /// First 8 bytes of the uuid, exclusive or with the gate: tells stale and foreign chunks.
    pub const CHECK: usize = 5;
    /// CRC-32C of the records, in sealed files only.
    pub const CRC: usize = 6;
    /// Records of this lane written before this chunk.
    pub const RECORDS: usize = 7;
}

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ChunkKind {
    /// Events; recycled in ring mode.
    Event = 1,
    /// Strings, sites, types, modules, stacks: what events refer to. Never recycled.
    Meta = 2,
}

impl ChunkKind {
    /// The kind for its number in a file.
    pub const fn from_u16(raw: u16) -> Option<Self> {
        match raw {
            1 => Some(Self::Event),
            2 => Some(Self::Meta),
            _ => None,
        }
    }
}

/// Packs [`chunk::LANE_KIND`].
pub const fn pack_lane_kind(lane: u32, kind: ChunkKind) -> u64 {
    lane as u64 | (kind as u64) << 32
}

/// Unpacks [`chunk::LANE_KIND`]; no kind where the file holds an unknown one.
pub const fn unpack_lane_kind(word: u64) -> (u32, Option<ChunkKind>) {
    (word as u32, ChunkKind::from_u16((word >> 32) as u16))
}

/// Byte offset of chunk 0 in a newly written file.
pub const fn chunk_offset() -> usize {
    HEADER_BYTES + LANES * LANE_BYTES
}

/// Bytes of a newly written file with `chunks` chunks.
pub const fn file_bytes(chunks: usize) -> usize {
    chunk_offset() + chunks * CHUNK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of the file do not overlap.
    const _: () = {
        assert!(header::EXE_PATH + 256 <= header::CRC);
        assert!(header::CRC + 4 <= header::CHUNKS_TAKEN);
        assert!(header::STOPPED + 8 <= HEADER_BYTES);
        assert!(lane::LAST_SEQ < LANE_WORDS);
        assert!(chunk::RECORDS < CHUNK_HEADER_WORDS);
        assert!(chunk_offset().is_multiple_of(8));
    };

    #[test]
    fn lane_and_kind_survive_packing() {
        for kind in [ChunkKind::Event, ChunkKind::Meta] {
            assert_eq!(unpack_lane_kind(pack_lane_kind(77, kind)), (77, Some(kind)));
        }
        assert_eq!(unpack_lane_kind(9 << 32), (0, None));
    }
}
