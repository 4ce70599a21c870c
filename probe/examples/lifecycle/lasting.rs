//! A ring and what its program says of it, and then so many records that all of that is overwritten.

use probe::coroutine::Coroutine;
use probe::ring::{Cookies, Kind, Ring};

use crate::note;

/// Declares so many cookies that stand for nobody.
pub(crate) fn run(declared: u64) {
    let ring = Ring::created(Kind::Copied, 77, 8, 16, 0, 0);
    ring.cookies(Cookies::TaggedPointers { tag_mask: 3 });
    (0..declared).for_each(|cookie| ring.sentinel(cookie));
    for cookie in [0x1000, 0x2000] {
        ring.shared(cookie);
        Coroutine::spawned_named("Task", None).done();
    }
    (1..=20_000).for_each(note);
}
