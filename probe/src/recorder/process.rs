//! The recording of this process: whether there is one, its file, its chunks, its lanes.
//!
//! Everything the writer decides by lies in private memory that a forked child sees as zeros, so that
//! a child can never go on with its parent's file; the file itself is only written to, never asked.
//! Nothing here locks or allocates. Opening the file is the one thing that takes time: it is done once,
//! at the first hook, and threads that come meanwhile wait for it; it asks the loader once which files
//! the program's code comes from.
//!
//! Holds `unsafe`: turning the two mappings into references.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

use wire::layout::{self, ChunkKind, header};
use wire::protocol;

use crate::recorder::cursor::Cursor;
use crate::recorder::intern::Table;
use crate::recorder::{clock, modules, sys};

/// Whether hooks record. The one word that every hook looks at.
pub(crate) static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
/// Hooks do nothing.
pub(crate) const OFF: u8 = 0;
/// Nobody asked yet whether there is a recorder.
pub(crate) const UNKNOWN: u8 = 1;
/// Hooks record, with the processor's counter for a clock.
pub(crate) const ON: u8 = 2;
/// Hooks record, with a clock that takes a call.
pub(crate) const ON_WITH_CALLS: u8 = 5;
/// Hooks record, with a clock and addresses of their own: see [`crate::recorder::simulated`].
pub(crate) const SIMULATED: u8 = 3;
/// A thread is opening the recording.
const STARTING: u8 = 4;
/// Hooks record, and some of them their call stack: never on the hot path.
pub(crate) const ON_WITH_STACKS: u8 = 6;

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(core::ptr::null_mut());
/// Process id (high half) and thread id of who opens the recording.
static STARTER: AtomicU64 = AtomicU64::new(0);
/// Records that came while the recording was being opened, and could not wait.
static LOST_AT_START: AtomicU64 = AtomicU64::new(0);
static EXIT_KEY: AtomicU32 = AtomicU32::new(u32::MAX);

/// A forked child that never calls `exec` keeps this fraction of what its parent keeps: servers fork
/// by the hundred, and each file's room is taken from the disk at once.
const CHILD_SHARE: u32 = 16;

/// Process id of who opened the first recording; others are forked children.
static FIRST_PROCESS: AtomicU32 = AtomicU32::new(0);

const MAX_CHUNKS: usize = 1 << 16;
const ALIVE: u32 = 0x54524331;

const CHUNK_FREE: u8 = 0;
const CHUNK_OPEN: u8 = 1;
const CHUNK_CLOSED: u8 = 2;
const CHUNK_META: u8 = 3;

/// Lies in zeroed memory that is wiped in a forked child; all zeros is a valid value.
#[repr(C)]
pub(crate) struct Process {
    /// [`ALIVE`], or 0 in a forked child.
    alive: AtomicU32,
    /// A `wire::layout::mode` constant.
    mode: AtomicU32,
    chunks: AtomicU32,
    poison: AtomicU8,
    /// Whether events carry call stacks.
    stacks: AtomicBool,
    /// Whether records share the time of their batch.
    by_batch: AtomicBool,
    /// Whether somebody writes, or wrote, which modules there are.
    modules_written: AtomicBool,
    /// First word of the file's mapping.
    base: AtomicPtr<AtomicU64>,
    bytes: AtomicU64,
    pub(crate) uuid_low: AtomicU64,
    /// Chunks ever taken: the next one is this modulo the number of chunks.
    taken: AtomicU64,
    meta_chunks: AtomicU32,
    lanes_taken: AtomicU32,
    idle_lanes: AtomicU32,
    pub(crate) table: Table,
    cursors: [Cursor; layout::LANES],
    owners: [AtomicU8; MAX_CHUNKS],
}

/// What happens to poison that a program left in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Poison {
    /// The leftover is put back, so that the program behaves as it would have.
    Restore = 0,
    /// The poison stays.
    Keep = 1,
    /// Slots are not poisoned.
    Off = 2,
}

/// What the recorder wrote into its folder for us.
struct Session {
    token: [u8; 16],
    ticks_per_second: u64,
    trusted_clock: Option<bool>,
    chunks: u32,
    mode: u32,
    poison: Poison,
    stacks: bool,
    batch: bool,
}

impl Session {
    fn default() -> Self {
        Self {
            token: [0; 16],
            ticks_per_second: 0,
            trusted_clock: None,
            chunks: 1024,
            mode: layout::mode::RING,
            poison: Poison::Restore,
            stacks: false,
            batch: false,
        }
    }

    /// Whether records share the time of their batch. With call stacks none takes the hot path, and a
    /// simulated clock stands still by itself.
    fn is_by_batch(&self) -> bool {
        self.batch && !self.stacks && crate::recorder::simulated::seed().is_none()
    }

    /// Reads `key=value` lines; unknown keys are of newer recorders and ignored.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut session = Self::default();
        let mut protocol = 0;
        for line in text.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(2, |byte| *byte == b'=');
            let (Some(key), Some(value)) = (parts.next(), parts.next()) else {
                continue;
            };
            match key {
                b"protocol" => protocol = number(value)?,
                b"token" => hex(value, &mut session.token),
                b"ticks_per_second" => session.ticks_per_second = number(value)?,
                b"clock" => session.trusted_clock = Some(value != b"monotonic"),
                b"chunks" => {
                    session.chunks = u32::try_from(number(value)?)
                        .ok()?
                        .clamp(4, MAX_CHUNKS as u32);
                }
                b"mode" if value == b"stop" => session.mode = layout::mode::STOP,
                b"poison" if value == b"keep" => session.poison = Poison::Keep,
                b"poison" if value == b"off" => session.poison = Poison::Off,
                b"stacks" => session.stacks = value == b"on",
                b"time" => session.batch = value == b"batch",
                _ => {}
            }
        }
        (protocol == 1).then_some(session)
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for digit in text {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!text.is_empty()).then_some(value)
}

fn hex(text: &[u8], bytes: &mut [u8; 16]) {
    for (pair, byte) in text.as_chunks::<2>().0.iter().zip(bytes) {
        let digit = |text: u8| match text {
            b'0'..=b'9' => text - b'0',
            b'a'..=b'f' => text - b'a' + 10,
            _ => 0,
        };
        *byte = pair
            .iter()
            .fold(0, |value, text| (value << 4) | digit(*text));
    }
}

/// Whether hooks may have something to do. One load and one branch.
#[inline(always)]
pub(crate) fn recording() -> bool {
    STATE.load(Ordering::Relaxed) != OFF
}

/// The recording, opened now where nobody tried yet. Nothing when there is none.
#[cold]
pub(crate) fn current() -> Option<&'static Process> {
    let mut waits = 0;
    loop {
        match STATE.load(Ordering::Acquire) {
            OFF => return None,
            STARTING => {
                if !wait_for_start(&mut waits) {
                    return None;
                }
            }
            UNKNOWN => {
                if STATE
                    .compare_exchange(UNKNOWN, STARTING, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
                {
                    STARTER.store(sys::process_and_thread(), Ordering::Relaxed);
                    let state = sys::keep_errno(|| match open_for_recorder() {
                        Some(process) => publish(process),
                        None => OFF,
                    });
                    STATE.store(state, Ordering::Release);
                }
            }
            _ => {
                let pointer = PROCESS.load(Ordering::Acquire);
                // SAFETY: published by `publish` and never unmapped; shared access only goes through
                // atomics and through cursors that their thread owns.
                let Some(process) = (unsafe { pointer.as_ref() }) else {
                    waits += 1;
                    if waits > 1000 {
                        return None;
                    }
                    continue;
                };
                if process.alive.load(Ordering::Relaxed) == ALIVE {
                    return Some(process);
                }
                // The memory was wiped: this is a forked child, which starts anew. One of its threads
                // takes the dead recording away; the others see that it is gone, and wait.
                let dead = pointer;
                let gone = core::ptr::null_mut();
                if PROCESS
                    .compare_exchange(dead, gone, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
                {
                    STATE.store(UNKNOWN, Ordering::Release);
                }
            }
        }
    }
}

/// Counts a record for which there was no lane: too many threads, or the recording was just being
/// opened by the code that this signal handler interrupted.
#[cold]
pub(crate) fn lose_without_lane() {
    match STATE.load(Ordering::Acquire) {
        OFF => {}
        STARTING | UNKNOWN => {
            LOST_AT_START.fetch_add(1, Ordering::Relaxed);
        }
        _ => {
            if let Some(process) = current() {
                process
                    .header_word(header::LOST_NO_LANE)
                    .fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Waits a moment for the thread that opens the recording. False where waiting is of no use: in a
/// signal handler of that very thread, or after two seconds.
fn wait_for_start(waits: &mut u32) -> bool {
    let (starter, me) = (STARTER.load(Ordering::Relaxed), sys::process_and_thread());
    if starter == me || *waits > 40_000 {
        return false;
    }
    if starter != 0 && starter >> 32 != me >> 32 {
        // This is a child forked meanwhile: the thread that opens does not exist here.
        let _ = STATE.compare_exchange(STARTING, UNKNOWN, Ordering::AcqRel, Ordering::Acquire);
        return true;
    }
    sys::keep_errno(|| sys::sleep_ns(50_000));
    *waits += 1;
    true
}

fn publish(process: &'static Process) -> u8 {
    PROCESS.store(core::ptr::from_ref(process).cast_mut(), Ordering::Release);
    if crate::recorder::simulated::wanted() {
        SIMULATED
    } else if process.stacks.load(Ordering::Relaxed) {
        ON_WITH_STACKS
    } else if clock::is_counter() {
        ON
    } else {
        ON_WITH_CALLS
    }
}

/// Opens the file in the recorder's folder, if there is a recorder that may be trusted.
fn open_for_recorder() -> Option<&'static Process> {
    let folder = sys::environment(c"TRACER_DIR")?;
    if folder.is_empty() {
        return None;
    }
    if sys::runs_with_raised_rights() {
        sys::complain(&[b"tracer: not recording: this program runs with raised privileges\n"]);
        return None;
    }
    let refuse = |why: &[u8]| {
        sys::complain(&[b"tracer: not recording: TRACER_DIR ", folder, why, b"\n"]);
        None
    };
    let mut path = sys::Path::new();
    if !path.push(folder) {
        return refuse(b"is too long");
    }
    let Some(directory) = sys::open_directory(&path) else {
        return refuse(b" is not a directory that can be opened");
    };
    match sys::owner_and_mode(&directory) {
        Some((uid, mode)) if uid == sys::effective_user() && mode & 0o022 == 0 => {}
        Some((uid, _)) if uid != sys::effective_user() => {
            return refuse(b" belongs to another user");
        }
        _ => return refuse(b" can be written to by other users"),
    }
    let mut file = sys::Path::new();
    file.push(b"session");
    let Some(opened) = sys::open_to_read(Some(&directory), &file) else {
        return refuse(b" holds no recording (no file `session`)");
    };
    match sys::owner_and_mode(&opened) {
        Some((_, mode)) if mode & sys::KIND != sys::REGULAR => {
            return refuse(b" holds a session that is not a file");
        }
        Some((uid, _)) if uid == sys::effective_user() => {}
        _ => return refuse(b" holds a session file of another user"),
    }
    let mut text = [0u8; 1024];
    let Some(mut session) = Session::parse(sys::read_some(&opened, &mut text)) else {
        return refuse(b" was made by a version of tracer that this probe does not know");
    };

    if is_forked_child() {
        session.chunks = session.chunks.div_ceil(CHILD_SHARE).max(4);
    }
    let identity = Identity::new();
    let mut name = sys::Path::new();
    name.push_number(u64::from(identity.pid), 10);
    name.push(b"-");
    name.push_number(identity.start_time, 10);
    name.push(b"-");
    name.push_number(u64::from_le_bytes(first_eight(&identity.uuid)), 16);
    if !name.push(b".trc") {
        return refuse(b" is too long");
    }
    let bytes = layout::file_bytes(session.chunks as usize);
    let Some(fd) = sys::create_allocated(&directory, &name, bytes) else {
        return refuse(b" has no room for the trace file, or cannot be written to");
    };
    let process = map(Some(fd.0), bytes, &session, &identity);
    if process.is_none() {
        return refuse(b": the trace file could not be mapped");
    }
    process
}

/// Opens a recording in the memory of this process, for test scopes. Whatever was there stays.
#[cfg(feature = "assert")]
pub(crate) fn open_in_process(chunks: u32) -> Option<&'static Process> {
    if let Some(process) = current() {
        // Scopes judge while other threads write, and cut off by time what is younger than the call:
        // from their next batch on threads keep to own times.
        process.by_batch.store(false, Ordering::Relaxed);
        return Some(process);
    }
    loop {
        match STATE.compare_exchange(OFF, STARTING, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                let session = Session {
                    chunks,
                    ..Session::default()
                };
                let bytes = layout::file_bytes(chunks as usize);
                let process = map(None, bytes, &session, &Identity::new());
                STATE.store(process.map_or(OFF, publish), Ordering::Release);
                return process;
            }
            // Only tests come here, and only while another test opens the same recording.
            Err(STARTING) => std::thread::yield_now(),
            Err(_) => return current(),
        }
    }
}

/// Whether an ancestor of this process, in the same image, recorded already.
fn is_forked_child() -> bool {
    let me = sys::process_id();
    FIRST_PROCESS
        .compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed)
        .is_err_and(|first| first != me)
}

/// In a child that was forked by a signal handler, in the middle of a record: see `sys::map_over`.
extern "C" fn process_forked() {
    crate::recorder::cursor::forget_parent();
    let pointer = LATEST_MAPPING.load(Ordering::Relaxed);
    if !pointer.is_null() {
        let bytes = LATEST_BYTES.load(Ordering::Relaxed) as usize;
        sys::keep_errno(|| sys::map_over(pointer.cast(), bytes));
    }
}

/// The file's mapping, where a forked child can still find out where it was.
static LATEST_MAPPING: AtomicPtr<AtomicU64> = AtomicPtr::new(core::ptr::null_mut());
static LATEST_BYTES: AtomicU64 = AtomicU64::new(0);

/// Which process this is.
struct Identity {
    uuid: [u8; 16],
    pid: u32,
    parent: u32,
    start_time: u64,
}

impl Identity {
    fn new() -> Self {
        if let Some(seed) = crate::recorder::simulated::seed() {
            let mut uuid = *b"simulated-------";
            if let Some(low) = uuid.get_mut(..8) {
                low.copy_from_slice(&seed.to_le_bytes());
            }
            return Self {
                uuid,
                pid: 1,
                parent: 0,
                start_time: 0,
            };
        }
        let mut uuid = [0; 16];
        sys::random(&mut uuid);
        Self {
            uuid,
            pid: sys::process_id(),
            parent: sys::parent_id(),
            start_time: start_time().unwrap_or(0),
        }
    }
}

/// Start time of this process in clock ticks since boot: field 22 of `/proc/self/stat`. The second
/// field may hold spaces and brackets, so fields are counted from the last closing one.
fn start_time() -> Option<u64> {
    let mut path = sys::Path::new();
    path.push(b"/proc/self/stat");
    let mut buffer = [0u8; 1024];
    let text = sys::read_some(&sys::open_to_read(None, &path)?, &mut buffer);
    let after = text
        .iter()
        .rposition(|byte| *byte == b')')?
        .checked_add(2)?;
    number(text.get(after..)?.split(|byte| *byte == b' ').nth(19)?)
}

fn first_eight(bytes: &[u8; 16]) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(bytes.split_at(8).0);
    first
}

/// Maps the file and the private memory, and writes the header.
fn map(
    fd: Option<i32>,
    bytes: usize,
    session: &Session,
    identity: &Identity,
) -> Option<&'static Process> {
    let file = sys::map_shared(fd, bytes)?;
    let Some(private) = sys::map_private(size_of::<Process>()) else {
        sys::unmap(file, bytes);
        return None;
    };
    // SAFETY: the memory is zeroed, page-aligned, as large as the structure, never unmapped; all
    // zeros is a valid `Process`.
    let process = unsafe { &*private.cast::<Process>() };
    process.mode.store(session.mode, Ordering::Relaxed);
    process.chunks.store(session.chunks, Ordering::Relaxed);
    process
        .poison
        .store(session.poison as u8, Ordering::Relaxed);
    process.stacks.store(session.stacks, Ordering::Relaxed);
    let by_batch = session.is_by_batch();
    process.by_batch.store(by_batch, Ordering::Relaxed);
    process.base.store(file.cast(), Ordering::Relaxed);
    process.bytes.store(bytes as u64, Ordering::Relaxed);
    process.uuid_low.store(
        u64::from_le_bytes(first_eight(&identity.uuid)),
        Ordering::Relaxed,
    );
    process.write_header(session, identity);
    process.alive.store(ALIVE, Ordering::Release);
    if EXIT_KEY.load(Ordering::Relaxed) == u32::MAX {
        if let Some(key) = sys::thread_exit_key(crate::recorder::cursor::thread_ends) {
            EXIT_KEY.store(key, Ordering::Relaxed);
        }
        sys::at_exit(process_exits);
        sys::in_forked_children(process_forked);
    }
    LATEST_BYTES.store(bytes as u64, Ordering::Relaxed);
    LATEST_MAPPING.store(file.cast(), Ordering::Relaxed);
    Some(process)
}

/// The key whose destructor gives a thread's lane back.
pub(crate) fn exit_key() -> Option<u32> {
    let key = EXIT_KEY.load(Ordering::Relaxed);
    (key != u32::MAX).then_some(key)
}

extern "C" fn process_exits() {
    let pointer = PROCESS.load(Ordering::Acquire);
    // SAFETY: as in `current`.
    if let Some(process) = unsafe { pointer.as_ref() }
        && process.alive.load(Ordering::Relaxed) == ALIVE
    {
        sys::keep_errno(|| process.beat());
        process
            .header_word(header::STATE)
            .store(layout::state::CLEAN_EXIT, Ordering::Release);
    }
}

impl Process {
    fn words(&self) -> &'static [AtomicU64] {
        let base = self.base.load(Ordering::Relaxed);
        if base.is_null() {
            // A child that was forked by a signal handler in the middle of a chunk switch.
            return &[];
        }
        let words = self.bytes.load(Ordering::Relaxed) as usize / 8;
        // SAFETY: `base` is the page-aligned start of a mapping of `bytes` bytes that is never
        // unmapped; this process touches it through atomics only, which have the size and alignment
        // of `u64` here and accept every bit pattern.
        unsafe { core::slice::from_raw_parts(base, words) }
    }

    /// A word of the file header's dynamic part.
    pub(crate) fn header_word(&self, offset: usize) -> &'static AtomicU64 {
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        self.words().get(offset / 8).unwrap_or(&NOWHERE)
    }

    /// A lane's entry in the directory.
    pub(crate) fn lane_word(&self, lane: u32, word: usize) -> &'static AtomicU64 {
        self.header_word(
            layout::HEADER_BYTES.wrapping_add(lane as usize * layout::LANE_BYTES) + word * 8,
        )
    }

    /// A chunk's words.
    pub(crate) fn chunk(&self, index: u32) -> &'static [AtomicU64] {
        let start = layout::chunk_offset() / 8 + index as usize * layout::CHUNK_WORDS;
        self.words()
            .get(start..start + layout::CHUNK_WORDS)
            .unwrap_or(&[])
    }

    /// Whether records share the time of their batch.
    pub(crate) fn is_by_batch(&self) -> bool {
        self.by_batch.load(Ordering::Relaxed)
    }

    pub(crate) fn poison(&self) -> Poison {
        match self.poison.load(Ordering::Relaxed) {
            1 => Poison::Keep,
            2 => Poison::Off,
            _ => Poison::Restore,
        }
    }

    fn write_header(&self, session: &Session, identity: &Identity) {
        let mut bytes = [0u8; header::CRC];
        let mut put = |offset: usize, value: &[u8]| {
            if let Some(place) = offset
                .checked_add(value.len())
                .and_then(|end| bytes.get_mut(offset..end))
            {
                place.copy_from_slice(value);
            }
        };
        let simulated = crate::recorder::simulated::seed().is_some();
        let source = if simulated {
            layout::clock::LOGICAL
        } else {
            clock::choose(session.trusted_clock)
        };
        put(header::MAGIC, &layout::MAGIC);
        put(header::VERSION, &layout::MAJOR.to_le_bytes());
        put(header::VERSION + 2, &layout::MINOR.to_le_bytes());
        put(
            header::HEADER_LEN,
            &(layout::HEADER_BYTES as u32).to_le_bytes(),
        );
        put(
            header::FILE_LEN,
            &self.bytes.load(Ordering::Relaxed).to_le_bytes(),
        );
        put(header::CHUNK_LOG2, &layout::CHUNK_LOG2.to_le_bytes());
        put(header::CHUNKS, &session.chunks.to_le_bytes());
        put(header::LANES, &(layout::LANES as u32).to_le_bytes());
        put(
            header::LANE_OFFSET,
            &(layout::HEADER_BYTES as u32).to_le_bytes(),
        );
        put(
            header::CHUNK_OFFSET,
            &(layout::chunk_offset() as u32).to_le_bytes(),
        );
        put(header::ENDIAN, &layout::ENDIAN_MARK.to_le_bytes());
        put(header::UUID, &identity.uuid);
        put(header::PID, &identity.pid.to_le_bytes());
        put(header::PPID, &identity.parent.to_le_bytes());
        put(header::START_TIME, &identity.start_time.to_le_bytes());
        put(header::TOKEN, &session.token);
        put(header::CLOCK_SOURCE, &source.to_le_bytes());
        put(header::MODE, &session.mode.to_le_bytes());
        put(header::CAPTURE, &layout::capture::LINKED.to_le_bytes());
        put(header::WRITER_VERSION, env!("CARGO_PKG_VERSION").as_bytes());
        let bit = |set: bool, bit: u64| if set { bit } else { 0 };
        let incompat = bit(session.stacks, layout::incompat::STACKS)
            | bit(session.is_by_batch(), layout::incompat::BATCH_TIME);
        put(header::INCOMPAT, &incompat.to_le_bytes());
        if simulated {
            put(header::TOKEN, &[0; 16]);
            put(header::TICKS_PER_SECOND, &1_000_000_000u64.to_le_bytes());
        } else {
            put(header::TICKS, &clock::ticks().to_le_bytes());
            put(header::MONOTONIC_NS, &clock::monotonic_ns().to_le_bytes());
            put(
                header::BOOTTIME_NS,
                &sys::clock_ns(sys::BOOTTIME).to_le_bytes(),
            );
            put(
                header::REALTIME_NS,
                &sys::clock_ns(sys::REALTIME).to_le_bytes(),
            );
            put(
                header::TICKS_PER_SECOND,
                &session.ticks_per_second.to_le_bytes(),
            );
            if let Some(exe) = modules::collected().first() {
                let build_id = exe.build_id();
                put(header::BUILD_ID_LEN, &(build_id.len() as u32).to_le_bytes());
                put(header::BUILD_ID, build_id);
            }
            let mut path = [0u8; 255];
            put(
                header::EXE_PATH,
                sys::link_target(c"/proc/self/exe", &mut path),
            );
        }
        let crc = wire::crc::crc32c(&bytes);
        let mut whole = [0u8; 1024];
        if let Some((start, end)) = whole.split_at_mut_checked(header::CRC) {
            start.copy_from_slice(&bytes);
            end.copy_from_slice(&crc.to_le_bytes());
        }
        self.header_word(header::STATE)
            .store(layout::state::RUNNING, Ordering::Relaxed);
        // The magic goes last: a file without it was never opened for records.
        for (index, word) in whole.as_chunks().0.iter().enumerate().rev() {
            self.header_word(index * 8)
                .store(u64::from_le_bytes(*word), Ordering::Release);
        }
    }

    /// Notes a clock pair in the header.
    pub(crate) fn beat(&self) {
        if crate::recorder::simulated::seed().is_some() {
            return;
        }
        self.header_word(header::BEAT_TICKS)
            .store(clock::ticks(), Ordering::Relaxed);
        self.header_word(header::BEAT_MONOTONIC_NS)
            .store(clock::monotonic_ns(), Ordering::Relaxed);
    }

    /// Takes the chunk that was taken longest ago and is not being written, or a fresh one.
    pub(crate) fn take_chunk(&self, kind: ChunkKind) -> Option<u32> {
        let chunks = self.chunks.load(Ordering::Relaxed);
        let ring = self.mode.load(Ordering::Relaxed) == layout::mode::RING;
        if kind == ChunkKind::Meta && self.meta_chunks.fetch_add(1, Ordering::Relaxed) >= chunks / 4
        {
            self.meta_chunks.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        for _ in 0..=chunks {
            if !ring && self.taken.load(Ordering::Relaxed) >= u64::from(chunks) {
                return None;
            }
            let turn = self.taken.fetch_add(1, Ordering::Relaxed);
            let index = turn.checked_rem(u64::from(chunks)).unwrap_or(0) as u32;
            let Some(owner) = self.owners.get(index as usize) else {
                continue;
            };
            let free = match owner.load(Ordering::Relaxed) {
                CHUNK_FREE => CHUNK_FREE,
                CHUNK_CLOSED if ring => CHUNK_CLOSED,
                _ => continue,
            };
            let mine = if kind == ChunkKind::Meta {
                CHUNK_META
            } else {
                CHUNK_OPEN
            };
            // Given up in `close_chunk`: what the last owner wrote is before what we clear.
            if !protocol::take_over(owner, free, mine) {
                continue;
            }
            if free == CHUNK_CLOSED {
                protocol::close_and_clear(self.chunk(index), sys::clear);
            } else {
                let first = self.chunk(index).as_ptr().cast_mut();
                sys::populate(first.cast(), layout::CHUNK_BYTES);
            }
            self.header_word(header::CHUNKS_TAKEN)
                .store(self.taken.load(Ordering::Relaxed), Ordering::Relaxed);
            return Some(index);
        }
        None
    }

    /// Whether call stacks may still take room from names.
    pub(crate) fn has_room_for_stacks(&self) -> bool {
        self.meta_chunks.load(Ordering::Relaxed) <= self.chunks.load(Ordering::Relaxed) / 8
    }

    /// True for the one caller that is to write the modules down.
    pub(crate) fn modules_are_to_be_written(&self) -> bool {
        crate::recorder::simulated::seed().is_none()
            && !self.modules_written.swap(true, Ordering::Relaxed)
    }

    /// Says that a full event chunk may be recycled.
    pub(crate) fn close_chunk(&self, index: u32) {
        if let Some(owner) = self.owners.get(index as usize) {
            protocol::hand_over(owner, CHUNK_CLOSED);
        }
    }

    /// A cursor for the calling thread: of a thread that ended, or a new one.
    pub(crate) fn take_cursor(&'static self) -> Option<&'static Cursor> {
        let late = LOST_AT_START.swap(0, Ordering::Relaxed);
        if late != 0 {
            self.header_word(header::LOST_NO_LANE)
                .fetch_add(late, Ordering::Relaxed);
        }
        if self.idle_lanes.load(Ordering::Relaxed) != 0 {
            let taken = self.lanes_taken.load(Ordering::Relaxed) as usize;
            for cursor in self.cursors.iter().take(taken) {
                if cursor.revive() {
                    self.idle_lanes.fetch_sub(1, Ordering::Relaxed);
                    return Some(cursor);
                }
            }
        }
        let lane = self.lanes_taken.fetch_add(1, Ordering::Relaxed);
        let Some(cursor) = self.cursors.get(lane as usize) else {
            self.lanes_taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        cursor.start(lane, self);
        self.header_word(header::LANES_TAKEN)
            .fetch_max(u64::from(lane) + 1, Ordering::Relaxed);
        Some(cursor)
    }

    /// Says that a cursor waits for its next thread.
    pub(crate) fn lane_is_idle(&self) {
        self.idle_lanes.fetch_add(1, Ordering::Relaxed);
    }

    /// The file as it is now: whole records only, whatever other threads write meanwhile, and none
    /// younger than the call, so that no effect is in it without its cause.
    #[cfg(feature = "assert")]
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let now = clock::ticks();
        self.beat();
        let start = layout::chunk_offset() / 8;
        let chunks = u64::from(self.chunks.load(Ordering::Relaxed));
        let head: Vec<u64> = self
            .words()
            .iter()
            .take(start)
            .map(|word| word.load(Ordering::Acquire))
            .collect();
        // Asked after the lanes were copied: a chunk that a lane speaks of was taken before.
        let used = self.taken.load(Ordering::Relaxed).min(chunks) as usize;
        let mut words = head;
        words.reserve(used * layout::CHUNK_WORDS);
        let mut copy = vec![0; layout::CHUNK_WORDS];
        for index in 0..used {
            // A chunk that is being recycled opens again in a moment.
            let mut tries = 0;
            while !protocol::snapshot(self.chunk(index as u32), &mut copy) {
                copy.fill(0);
                tries += 1;
                if tries > 1000 {
                    break;
                }
                std::thread::yield_now();
            }
            forget_after(now, &mut copy);
            words.extend_from_slice(&copy);
        }
        let mut bytes = Vec::with_capacity(words.len() * 8);
        for word in words {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// Clears the records of a copied chunk that are younger than `now`.
#[cfg(feature = "assert")]
fn forget_after(now: u64, chunk: &mut [u64]) {
    use wire::record::{Header, Kind};
    let mut base = chunk[layout::chunk::TICKS];
    let mut at = layout::CHUNK_HEADER_WORDS;
    while let Some(header) = chunk.get(at).copied().map(Header)
        && header.words() != 0
    {
        if header.kind() == Some(Kind::Time) {
            base = chunk.get(at + 1).copied().unwrap_or(base);
        }
        if base.wrapping_add(u64::from(header.delta_ticks())) > now {
            chunk[at..].fill(0);
            return;
        }
        at += header.words();
    }
}
