//! What stands behind the hooks where they record: Linux on x86-64 and aarch64, with the `record`
//! feature. Elsewhere [`crate::inactive`] has the same names and does nothing.

mod sys;

mod clock;

mod process;

mod cursor;

mod intern;

mod modules;

mod stack;

pub(crate) mod simulated;

pub(crate) use cursor::{record, record_slice};
pub(crate) use intern::{named_type, record_at, record_typed, site, text, type_of};
pub(crate) use process::{Poison, recording};

#[cfg(feature = "assert")]
pub(crate) use cursor::{enter_scope, scope};

/// Whether the recording is one that locks and allocates.
pub(crate) fn is_simulated() -> bool {
    simulated::wanted()
}

/// What to do about poison in this recording.
pub(crate) fn poison() -> Poison {
    process::current().map_or(Poison::Off, |process| process.poison())
}

/// Starts a recording in the memory of this process unless there is one already.
#[cfg(feature = "assert")]
pub(crate) fn start_in_process(chunks: u32) -> bool {
    process::open_in_process(chunks).is_some()
}

/// The trace file as it is now.
#[cfg(feature = "assert")]
pub(crate) fn snapshot() -> Option<Vec<u8>> {
    process::current().map(|process| process.snapshot())
}
