//! Whose a cursor is: taken by a thread at its first record, left to the next one at its end.

use core::ffi::c_void;
use core::sync::atomic::Ordering;

use wire::layout::{lane, lane_state};
use wire::payload::pair;
use wire::protocol;
use wire::record::Kind;

#[cfg(any(feature = "assert", feature = "c"))]
use super::with_cursor;
use super::{CURSOR, Cursor, now, set_hot};
use crate::recorder::process::{self, Process};
use crate::recorder::sys;

/// The cursor of this thread, if it has one that is still good.
pub(super) fn own() -> Option<&'static Cursor> {
    let process = process::current()?;
    // SAFETY: as in `try_record`.
    if let Some(cursor) = unsafe { CURSOR.get().as_ref() }
        && core::ptr::eq(cursor.process.load(Ordering::Relaxed), process)
    {
        return Some(cursor);
    }
    let cursor = process.take_cursor()?;
    cursor.prepare(process);
    // A signal handler may have recorded meanwhile, and made this thread a cursor of its own.
    // SAFETY: as in `try_record`.
    if let Some(other) = unsafe { CURSOR.get().as_ref() }
        && core::ptr::eq(other.process.load(Ordering::Relaxed), process)
    {
        cursor.hand_back(process);
        return Some(other);
    }
    CURSOR.set(cursor);
    if let Some(key) = process::exit_key() {
        sys::set_thread_exit_value(key, core::ptr::from_ref(cursor).cast());
    }
    cursor.introduce(process);
    process.introduce();
    Some(cursor)
}

/// Destructor of the exit key: the lane goes on with the next new thread.
pub(crate) extern "C" fn thread_ends(value: *mut c_void) {
    // SAFETY: the key's values are cursors, which stay mapped.
    let Some(cursor) = (unsafe { value.cast::<Cursor>().as_ref() }) else {
        return;
    };
    // In a forked child the memory was wiped and there is nothing to give back.
    // SAFETY: the recording's memory is never unmapped.
    let Some(process) = (unsafe { cursor.process.load(Ordering::Relaxed).as_ref() }) else {
        return;
    };
    if !core::ptr::eq(CURSOR.get(), cursor) {
        return;
    }
    set_hot(core::ptr::null());
    CURSOR.set(core::ptr::null());
    cursor.hand_back(process);
}

/// The scope that this thread works for, 0 for none.
#[cfg(any(feature = "assert", feature = "c"))]
pub(crate) fn scope() -> u32 {
    with_cursor(|cursor, _| cursor.scope.load(Ordering::Relaxed)).unwrap_or(0)
}

/// Has this thread work for a scope from now on.
#[cfg(any(feature = "assert", feature = "c"))]
pub(crate) fn enter_scope(scope: u32) {
    with_cursor(|cursor, depth| {
        cursor.scope.store(scope, Ordering::Relaxed);
        cursor.record_at(depth, Kind::ScopeEnter, 0, 0, &[u64::from(scope)]);
    });
}

impl Cursor {
    /// The cursor for handlers, which says who it belongs to first: its lane may have been another thread's.
    pub(super) fn nested_cursor(&self) -> Option<&'static Cursor> {
        let tid = self.tid.load(Ordering::Relaxed);
        // SAFETY: cursors stay mapped.
        let kept = unsafe { self.nested.load(Ordering::Relaxed).as_ref() };
        if let Some(nested) = kept
            && nested.tid.load(Ordering::Relaxed) == tid
        {
            return Some(nested);
        }
        let process = self.process()?;
        let nested = match kept {
            Some(nested) => nested,
            None => process.take_cursor()?,
        };
        let name = self.name.load(Ordering::Relaxed);
        nested.belong(tid, name);
        if nested.events.chunk.load(Ordering::Relaxed) != 0 {
            // A thread that ended wrote here before.
            nested.write_or_lose(now(), Kind::Thread, 0, 0, &[pair(tid, name)]);
        }
        let lane = self.lane.load(Ordering::Relaxed);
        process
            .lane_word(nested.lane.load(Ordering::Relaxed), lane::OWNER)
            .store(pair(tid, lane + 1), Ordering::Relaxed);
        self.nested
            .store(core::ptr::from_ref(nested).cast_mut(), Ordering::Relaxed);
        Some(nested)
    }

    /// Takes a cursor whose thread ended.
    pub(crate) fn revive(&self) -> bool {
        let (idle, in_use) = (lane_state::IDLE as u8, lane_state::IN_USE as u8);
        protocol::take_over(&self.state, idle, in_use)
    }

    /// Makes a cursor that nobody had before.
    pub(crate) fn start(&self, lane: u32, process: &'static Process) {
        self.lane.store(lane, Ordering::Relaxed);
        self.process
            .store(core::ptr::from_ref(process).cast_mut(), Ordering::Relaxed);
        let origins = core::ptr::from_ref(process.table.origins());
        self.origins.store(origins.cast_mut(), Ordering::Relaxed);
        self.state
            .store(lane_state::IN_USE as u8, Ordering::Relaxed);
        process
            .lane_word(lane, lane::START_TICKS)
            .store(now(), Ordering::Relaxed);
        process
            .lane_word(lane, lane::STATE)
            .store(lane_state::IN_USE, Ordering::Relaxed);
    }

    /// Makes the cursor the calling thread's, before anybody can find it: whose it is, and no scope. Until
    /// [`Cursor::introduce`] ends, a handler that finds it writes to its second lane.
    fn prepare(&self, process: &'static Process) {
        self.depth.store(1, Ordering::Relaxed);
        let state = process::STATE.load(Ordering::Relaxed);
        let is_hot = match state {
            process::ON => true,
            // The hot path takes no time of its own.
            process::ON_WITH_CALLS => process.is_by_batch(),
            _ => false,
        };
        self.is_hot.store(is_hot, Ordering::Relaxed);
        let (tid, name) = if state == process::SIMULATED {
            (1, *b"simulated\0\0\0\0\0\0\0")
        } else {
            (sys::thread_id(), sys::thread_name())
        };
        let end = name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len());
        let id = process.table.text(process, name.get(..end).unwrap_or(&[]));
        self.belong(tid, id);
        self.stack.forget();
        if state == process::ON_WITH_STACKS {
            // Here, where the thread asks the kernel for its name anyway: later it may have confined itself to the
            // system calls that it needs (seccomp), and would be killed for one of ours.
            self.stack.ask();
        }
    }

    fn belong(&self, tid: u32, name: u32) {
        self.tid.store(tid, Ordering::Relaxed);
        self.name.store(name, Ordering::Relaxed);
        self.scope.store(0, Ordering::Relaxed);
    }

    /// Tells the reader whose lane this is, and lets records in.
    fn introduce(&self, process: &'static Process) {
        let lane = self.lane.load(Ordering::Relaxed);
        let tid = self.tid.load(Ordering::Relaxed);
        process
            .lane_word(lane, lane::OWNER)
            .store(pair(tid, 0), Ordering::Relaxed);
        process
            .lane_word(lane, lane::STATE)
            .store(lane_state::IN_USE, Ordering::Relaxed);
        process
            .lane_word(lane, lane::STOP_TICKS)
            .store(0, Ordering::Relaxed);
        if self.events.chunk.load(Ordering::Relaxed) != 0 {
            let name = self.name.load(Ordering::Relaxed);
            self.record_at(0, Kind::Thread, 0, 0, &[pair(tid, name)]);
        }
        self.leave(0);
    }

    /// Leaves the lane to the next thread that needs one.
    fn hand_back(&self, process: &Process) {
        let lane = self.lane.load(Ordering::Relaxed);
        process
            .lane_word(lane, lane::STOP_TICKS)
            .store(now(), Ordering::Relaxed);
        process
            .lane_word(lane, lane::STATE)
            .store(lane_state::IDLE, Ordering::Relaxed);
        // Taken over in `revive`: the next owner sees all we wrote to the cursor.
        protocol::hand_over(&self.state, lane_state::IDLE as u8);
        process.lane_is_idle();
    }
}
