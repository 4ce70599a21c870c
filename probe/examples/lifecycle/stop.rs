//! A recording that the program itself ends.

use crate::note;

/// Ends its recording with a pointer out, a slot claimed and a child to come.
pub(crate) fn run() {
    note(1);
    let raw = probe::into_raw(Box::new(7));
    let ring = probe::ring::Ring::created(probe::ring::Kind::InPlace, -1, 4, 8, 0, 0);
    let mut entry = [0, 0, 0, 0, 0xABCD, 0, 0, 0];
    // SAFETY: the entry is this function's own, and so is the ring.
    unsafe { ring.claimed(0, &mut entry) };
    assert_ne!(entry[4], 0xABCD, "a claimed slot is poisoned");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            note(2);
            probe::stop_recording("seen enough");
            note(3);
        });
    });
    assert!(!probe::is_recording());
    // SAFETY: as above.
    unsafe { ring.submitting(0, &mut entry) };
    assert_eq!(entry[4], 0xABCD, "what the slot held is back");
    // SAFETY: leaked above, taken back once.
    drop(unsafe { probe::from_raw::<Box<i32>>(raw) });
    // SAFETY: `fork` itself has no demand; the child only leaves.
    match unsafe { libc::fork() } {
        0 => {
            note(4);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        }
    }
}
