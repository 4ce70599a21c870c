//! A recording that was ended: a scope that sees nothing must not pass. One test, because a process records
//! once.

#![cfg(feature = "assert")]

use std::panic::{AssertUnwindSafe, catch_unwind};

fn failure(body: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(body)).expect_err("the assertion must fail");
    *panic.downcast::<String>().expect("the panic has a text")
}

#[test]
fn scope_over_an_ended_recording_fails_as_inconclusive() {
    let text = failure(|| {
        let scope = probe::scope();
        probe::stop_recording("enough");
        // Not seen, and so not to be called clean.
        let _ = probe::into_raw(Box::new(7));
        scope.assert_clean();
    });
    assert!(
        text.starts_with("inconclusive: the recording of this process was ended"),
        "{text}"
    );
    assert!(text.contains("the scope `scope_over_"), "{text}");
    assert!(text.contains("tests/stopped.rs:"), "{text}");
    let text = failure(|| {
        let _scope = probe::scope();
    });
    assert!(
        text.starts_with("inconclusive: the recording of this process was ended"),
        "{text}"
    );
    assert!(text.contains("a process of its own"), "{text}");
}
