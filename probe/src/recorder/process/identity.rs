//! Which process this is.

use super::session::number;
use crate::recorder::sys;

/// Which process this is.
pub(super) struct Identity {
    pub(super) uuid: [u8; 16],
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) start_time: u64,
}

impl Identity {
    pub(super) fn new() -> Self {
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

pub(super) fn first_eight(bytes: &[u8; 16]) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(bytes.split_at(8).0);
    first
}
