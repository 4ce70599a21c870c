//! What a ring is told before a recording begins holds in it: rings in fixtures and thread-local variables are older
//! than the scope of the test that uses them. One test, so that nothing has begun a recording before it.

#![cfg(feature = "assert")]

use std::rc::Rc;

use probe::Rule;
use probe::ring::{Entry, Kind, Ring};

/// A no-operation with a cookie.
fn push(ring: &Ring, cookie: u64) {
    let mut entry: Entry = [0; 8];
    entry[4] = cookie;
    ring.pushed(&entry);
    ring.entered(1, 0, 1);
}

#[test]
fn what_was_declared_before_any_scope_holds_in_it() {
    let conn = Rc::new(7);
    let cookie = Rc::as_ptr(&conn) as u64;
    let ring = Ring::created(Kind::Copied, -1, 8, 16, 0, 0);
    ring.sentinel(0);
    ring.shared(cookie);
    for part in ["boot", "writes", "reads"] {
        ring.owner(part);
    }
    // Said once more by each operation, it is kept once.
    for _ in 0..100 {
        ring.sentinel(0);
    }

    let scope = probe::scope();
    let raw = probe::into_raw(conn);
    // Without the first declaration this is T01, without the second T05.
    for cookie in [0, raw as u64, raw as u64] {
        push(&ring, cookie);
    }
    for cookie in [0, raw as u64, raw as u64] {
        ring.reaped(cookie, 0, 0);
    }
    // SAFETY: leaked once, taken back once.
    drop(unsafe { probe::from_raw::<Rc<i32>>(raw) });
    scope.assert_clean();

    // The name of this thread's part was kept: another part takes the completion.
    let scope = probe::scope();
    push(&ring, 0x10);
    ring.owner("writes");
    ring.reaped(0x10, 0, 0);
    scope.expect(Rule::T13).times(1);
}
