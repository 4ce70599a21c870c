//! The recording of this process: whether there is one, and what it consists of.
//!
//! `open` makes it, out of a `session` (what the recorder asked for) and an `identity` (which process this
//! is), and writes its `file_header`; `pool` hands out the chunks of the file, `ring` says whose turn it is and
//! makes room for more, `names` writes what events refer to, `lanes` hands out its lanes.
//!
//! Everything the writer decides by lies in private memory that a forked child sees as zeros, so that
//! a child can never go on with its parent's file; the file itself is only written to, never asked, but for
//! what the recorder says in it: how far it has grown, and when it is to end.
//! Nothing here locks or allocates. Opening the file is the one thing that takes time: it is done once,
//! at the first hook, and threads that come meanwhile wait for it; it asks the loader once which files
//! the program's code comes from.
//!
//! Holds `unsafe`, as does `open`: turning the two mappings into references.

use core::sync::atomic::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering,
};

use wire::layout::{self, header};

use crate::recorder::cursor::Cursor;
use crate::recorder::intern::Table;
use crate::recorder::{clock, modules, sys};

mod open;
#[cfg(feature = "assert")]
pub(crate) use open::open_in_process;
#[cfg(feature = "preload")]
pub(crate) use open::unopened;

mod session;

mod identity;

mod file_header;

mod pool;

mod ring;

mod names;

mod lanes;

#[cfg(feature = "assert")]
mod snapshot;

/// Whether hooks record. The one word that every hook looks at.
// Inline code in C looks at it too: of its values C knows that 0 means off.
#[cfg_attr(feature = "c", unsafe(export_name = "tracer_state"))]
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

/// A `layout::capture` constant: who writes the file of this process.
static CAPTURE: AtomicU32 = AtomicU32::new(layout::capture::LINKED);

/// Whether the program itself records, and not the shim, which sees what it does a while later.
pub(crate) fn is_linked() -> bool {
    CAPTURE.load(Ordering::Relaxed) == layout::capture::LINKED
}

/// Says who writes the file, before it is opened.
#[cfg(feature = "preload")]
pub(crate) fn capture_as(level: u32) {
    CAPTURE.store(level, Ordering::Relaxed);
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(core::ptr::null_mut());
/// Process id (high half) and thread id of who opens the recording.
static STARTER: AtomicU64 = AtomicU64::new(0);
/// Records that came while the recording was being opened, and could not wait.
static LOST_AT_START: AtomicU64 = AtomicU64::new(0);
static EXIT_KEY: AtomicU32 = AtomicU32::new(u32::MAX);

/// Few under Miri, which looks through all of [`Process`] wherever a reference to it is passed on.
const MAX_CHUNKS: usize = if cfg!(miri) { 1 << 6 } else { 1 << 16 };
const ALIVE: u32 = 0x54524331;

/// Lies in zeroed memory that is wiped in a forked child; all zeros is a valid value.
#[repr(C)]
pub(crate) struct Process {
    /// [`ALIVE`], or 0 in a forked child.
    alive: AtomicU32,
    /// A `wire::layout::mode` constant.
    mode: AtomicU32,
    /// Chunks that the file may have, and that are mapped.
    chunks: AtomicU32,
    /// Whether the recorder makes room in the file as it goes on.
    grows: AtomicBool,
    poison: AtomicU8,
    /// Whether events carry call stacks.
    stacks: AtomicBool,
    /// Whether records share the time of their batch.
    by_batch: AtomicBool,
    /// Whether somebody writes, or wrote, what all records may refer to.
    introduced: AtomicBool,
    /// Whether somebody adds a file that was loaded late: see `modules`.
    pub(crate) adding_module: AtomicBool,
    /// First word of the file's mapping.
    base: AtomicPtr<AtomicU64>,
    bytes: AtomicU64,
    pub(crate) uuid_low: AtomicU64,
    /// Chunks ever taken.
    taken: AtomicU64,
    /// Whose turn it is in a ring, and how many chunks that has: see `ring`.
    turn: AtomicU64,
    /// Whether a ring that was to be longer found no room for that when it last tried.
    is_short: AtomicBool,
    /// The first chunks, whose memory is not at hand before they are taken.
    set_aside: AtomicU32,
    /// The word that counts the room of the recording, for a ring that gets its own as it needs it; null for others.
    room: AtomicPtr<AtomicI64>,
    meta_chunks: AtomicU32,
    /// Where the next name goes: see `protocol::claim`.
    names_end: AtomicU64,
    /// Number of the newest chunk of names.
    names_chunks: AtomicU64,
    /// An opened chunk of names that nobody needs yet, plus one.
    names_spare: AtomicU32,
    /// Kinds of which they say that there are records, a bit for each.
    there_are: AtomicU64,
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

/// Whether the process that this one was forked from was recorded: what lasts is in its file.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Whether a recording of this process was ended: threads still hold on to it, so there is no second one.
pub(crate) static ENDED: AtomicBool = AtomicBool::new(false);

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
                    sys::keep_errno(|| sys::without_signals(open_and_publish));
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
                IS_CHILD.store(true, Ordering::Relaxed);
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

/// No signal handler comes into it: one that forks would leave its child, when it returns, to go on with what was
/// half made for the parent, and to put it in the place of its own.
fn open_and_publish() {
    let state = match open::open_for_recorder() {
        Some(process) => publish(process),
        None => OFF,
    };
    STATE.store(state, Ordering::Release);
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

/// Has all that the ring of this process may need of the kernel done now, where it records already.
#[cfg(feature = "preload")]
pub(crate) fn settle() {
    let pointer = PROCESS.load(Ordering::Acquire);
    // SAFETY: as in `current`.
    if let Some(process) = unsafe { pointer.as_ref() }
        && process.alive.load(Ordering::Relaxed) == ALIVE
    {
        sys::keep_errno(|| process.settle_ring());
    }
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
    /// Words of the file, and no more of it than is asked for: Miri looks through all that a reference reaches. Nothing
    /// beyond its end.
    fn part(&self, start: usize, count: usize) -> &'static [AtomicU64] {
        let base = self.base.load(Ordering::Relaxed);
        let words = self.bytes.load(Ordering::Relaxed) as usize / 8;
        let is_inside = start.checked_add(count).is_some_and(|end| end <= words);
        // Null: a child that was forked by a signal handler in the middle of a chunk switch.
        if base.is_null() || !is_inside {
            return &[];
        }
        // SAFETY: `base` is the page-aligned start of a mapping of `words` words that is never unmapped, and the part
        // lies within; this process touches it through atomics only, which have the size and alignment of `u64` here
        // and accept every bit pattern.
        unsafe { core::slice::from_raw_parts(base.add(start), count) }
    }

    /// A word of the file header's dynamic part.
    pub(crate) fn header_word(&self, offset: usize) -> &'static AtomicU64 {
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        self.part(offset / 8, 1).first().unwrap_or(&NOWHERE)
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
        self.part(start, layout::CHUNK_WORDS)
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

    /// Ends the recording while the process goes on: from here on no hook of it records, nor of children that
    /// it forks. The first one says why: see `header::STOPPED`.
    pub(crate) fn stop(&self, why: u64) {
        let word = self.header_word(header::STOPPED);
        let (success, failure) = (Ordering::Release, Ordering::Relaxed);
        if word.compare_exchange(0, why, success, failure).is_ok() {
            self.beat();
            // Before the state: who finds recording off learns why.
            ENDED.store(true, Ordering::Release);
            STATE.store(OFF, Ordering::Release);
        }
    }

    /// Writes down, once, what all records may refer to: what kinds there are, and which modules.
    pub(crate) fn introduce(&self) {
        if self.introduced.swap(true, Ordering::Relaxed) {
            return;
        }
        // Who reads a recording under Miri is this very program, which knows its kinds.
        if !cfg!(miri) {
            self.write_schemas();
        }
        if crate::recorder::simulated::seed().is_none() {
            modules::write(self);
        }
    }
}
