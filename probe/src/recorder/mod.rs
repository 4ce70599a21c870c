//! What stands behind the hooks where they record: Linux on x86-64 and aarch64, with the `record`
//! feature. Elsewhere [`crate::inactive`] has the same names and does nothing.

mod sys;

mod clock;

mod process;

mod announcement;
#[cfg(feature = "preload")]
pub(crate) use announcement::another_recorder;
#[cfg(feature = "preload")]
pub(crate) use process::{capture_as, unopened};
#[cfg(feature = "preload")]
pub(crate) use sys::{in_forked_children, map_over, process_id, without_signals};

#[cfg(feature = "preload")]
pub(crate) mod alone;

mod cursor;

mod intern;

mod loader;

#[cfg(feature = "c")]
pub(crate) mod foreign;

#[cfg(feature = "c")]
pub(crate) use stack::from_frame;
#[cfg(feature = "c")]
pub(crate) use sys::{offer, process_id as process_number};

mod modules;

mod notes;

mod maps;

mod stack;

pub(crate) mod frames;

pub(crate) mod simulated;

#[cfg(feature = "preload")]
pub use cursor::{Look, Row};
pub(crate) use cursor::{record, record_slice};
pub(crate) use intern::{named_type, record_at, record_typed, site, text, type_of};
#[cfg(feature = "preload")]
pub(crate) use process::settle;
pub(crate) use process::{Poison, recording};

#[cfg(any(feature = "assert", feature = "c"))]
pub(crate) use cursor::{enter_scope, scope};

/// Hooks are there. What a hook does besides recording asks for it too, so that without the feature
/// nothing is left of it.
pub(crate) const COMPILED_IN: bool = true;

/// Ends the recording of this process, with a reason.
pub(crate) fn stop(reason: &str) {
    let reason = text(reason);
    record(wire::record::Kind::Mark, 0, 0, [u64::from(reason)]);
    let why = wire::payload::pair(wire::layout::stopped::PROGRAM, reason);
    sys::keep_errno(|| process::current().map(|process| process.stop(why)));
}

/// Records what lasts: where it is still found when the event was overwritten, and then as an event, which could be that
/// before the other is there.
#[cold]
pub(crate) fn record_lasting(kind: wire::record::Kind, aux: u8, payload: [u64; 3]) {
    sys::keep_errno(|| {
        if let Some(process) = process::current() {
            let [first, second, third] = payload;
            process.write_lasting(kind, aux, &[first, second, third, cursor::now()]);
        }
    });
    record(kind, 0, aux, payload);
}

/// Records what there is any number of, and has it be known before, whatever is overwritten, that there are such.
#[inline]
pub(crate) fn record_known<const N: usize>(kind: wire::record::Kind, payload: [u64; N]) {
    if !cursor::at_hand().is_some_and(|process| process.says_that_there_are(kind)) {
        have_it_known(kind);
    }
    record(kind, 0, 0, payload);
}

#[cold]
fn have_it_known(kind: wire::record::Kind) {
    sys::keep_errno(|| {
        if let Some(process) = process::current() {
            process.write_that_there_are(kind);
        }
    });
}

/// Number of a new scope.
#[cfg(any(feature = "assert", feature = "c"))]
pub(crate) fn next_scope() -> u32 {
    use core::sync::atomic::{AtomicU32, Ordering};
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// Whether the recording is one that locks and allocates.
pub(crate) fn is_simulated() -> bool {
    simulated::wanted()
}

/// Whether there is a recording, which is opened now where nobody tried yet.
pub(crate) fn is_there() -> bool {
    process::current().is_some()
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

/// Whether the recording was ended before its process.
#[cfg(feature = "assert")]
pub(crate) fn has_ended() -> bool {
    process::ENDED.load(core::sync::atomic::Ordering::Acquire)
}

/// The trace file as it is now.
#[cfg(feature = "assert")]
pub(crate) fn snapshot() -> Option<Vec<u8>> {
    process::current().map(|process| process.snapshot())
}
