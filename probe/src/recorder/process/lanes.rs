//! Lanes: one for each thread that records, and what threads that ended leave to new ones.

use core::sync::atomic::Ordering;

use wire::layout::header;

use super::{LOST_AT_START, Process};
use crate::recorder::cursor::Cursor;

impl Process {
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
}
