//! The probe without files: what a scope sees of owners that go round. Run by Miri too, which finds what
//! no test asserts: a pointer used beyond its rights, a race, memory that is not what it is taken for.
//!
//! ```text
//! cargo +nightly miri test -p tracer-probe --features assert --test in_memory
//! ```

#![cfg(feature = "assert")]

use std::rc::Rc;
use std::sync::Arc;
use std::thread;

struct Conn(u64);

#[test]
fn every_owner_goes_round() {
    let scope = probe::scope();
    let raw = probe::into_raw(Box::new(Conn(7)));
    // SAFETY: leaked just now, and not taken back yet.
    assert_eq!(unsafe { &*raw }.0, 7);
    probe::peek::<Box<Conn>>(raw);
    // SAFETY: leaked above, taken back once.
    assert_eq!(unsafe { probe::from_raw::<Box<Conn>>(raw) }.0, 7);

    let shared = Rc::new(Conn(8));
    let raw = probe::into_raw(Rc::clone(&shared));
    // SAFETY: leaked above, taken back once.
    drop(unsafe { probe::from_raw::<Rc<Conn>>(raw) });
    assert_eq!(Rc::strong_count(&shared), 1);
    scope.assert_clean();
}

#[test]
fn counts_of_shared_owners_are_kept() {
    let scope = probe::scope();
    let shared = Arc::new(Conn(1));
    let raw = probe::into_raw(Arc::clone(&shared));
    // SAFETY: leaked above and not taken back; what is retained is released.
    unsafe {
        probe::retain::<Arc<Conn>>(raw);
        assert_eq!(Arc::strong_count(&shared), 3);
        probe::release::<Arc<Conn>>(raw);
        drop(probe::from_raw::<Arc<Conn>>(raw));
    }
    assert_eq!(Arc::strong_count(&shared), 1);
    scope.assert_clean();
}

#[test]
fn what_is_not_taken_back_is_found() {
    let scope = probe::scope();
    let raw = probe::into_raw(Box::new(Conn(2)));
    scope.expect(probe::Rule::T09).times(1);
    // SAFETY: leaked above, taken back once.
    drop(unsafe { probe::from_raw::<Box<Conn>>(raw) });
}

/// Each thread has a lane; those that ended give theirs to the next.
#[test]
fn threads_write_side_by_side() {
    let scope = probe::scope();
    for _ in 0..3 {
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let work = scope.handle();
                thread::spawn(move || {
                    let _here = work.enter();
                    for _ in 0..5 {
                        let raw = probe::into_raw(Box::new(Conn(number)));
                        // SAFETY: leaked above, taken back once.
                        drop(unsafe { probe::from_raw::<Box<Conn>>(raw) });
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    }
    scope.assert_clean();
}
