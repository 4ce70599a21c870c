//! `#[probe::test]`, limits, what is ignored, the scope of a process, and what becomes of a scope that is only
//! dropped. Tests that have to fail run in a process of their own: `in_test_failing`, which is this binary again.

#![cfg(feature = "assert")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

/// Set for the binary that fails on purpose.
const FAILING: &str = "PROBE_TESTS_FAIL";

/// Whether a failure is asked for: a plain run of all tests is green.
fn fails() -> bool {
    std::env::var_os(FAILING).is_some()
}

fn failure(body: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(body)).expect_err("the assertion must fail");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => panic!("the panic has no text"),
    }
}

fn leak() -> *const u64 {
    probe::into_raw(Box::new(7_u64))
}

fn take(raw: *const u64) {
    // SAFETY: leaked once by `leak`, taken back once.
    drop(unsafe { probe::from_raw::<Box<u64>>(raw.cast_mut()) });
}

#[probe::test]
fn attribute_clean() {
    take(leak());
}

#[probe::test]
fn attribute_result() -> Result<(), String> {
    let raw = leak();
    if fails() {
        return Err("an error of the test's own".to_owned());
    }
    take(raw);
    Ok(())
}

#[probe::test]
#[should_panic(expected = "on purpose")]
fn attribute_should_panic() {
    let raw = leak();
    if !fails() {
        take(raw);
    }
    panic!("on purpose");
}

#[probe::test]
#[should_panic]
fn attribute_does_not_panic() {
    let raw = leak();
    if !fails() {
        take(raw);
        panic!("so that it passes");
    }
}

#[probe::test]
#[should_panic]
fn attribute_ends_the_recording() {
    if fails() {
        probe::stop_recording("enough");
    }
    panic!("as it should");
}

/// Comes behind the one above, whose recording was its process's.
#[probe::test]
#[should_panic]
fn attribute_ends_the_recording_before() {
    panic!("as it should");
}

#[probe::test]
fn attribute_leaks() {
    let raw = leak();
    if !fails() {
        take(raw);
    }
}

/// Polls until it is done; nothing wakes.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(out) = future.as_mut().poll(&mut context) {
            return out;
        }
    }
}

#[probe::test(executor = block_on)]
async fn attribute_async() -> Result<(), std::io::Error> {
    let raw = leak();
    std::future::ready(()).await;
    if !fails() {
        take(raw);
    }
    Ok(())
}

/// This binary's tests of a name, failing.
fn run_failing(name: &str, more: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(name.split(' '))
        .args(["--exact", "--nocapture"])
        .env(FAILING, "1")
        .env_remove("NEXTEST_EXECUTION_MODE")
        .envs(more.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!output.status.success(), "{out}{err}");
    format!("{out}{err}")
}

#[test]
fn attribute_fails_by_the_first_thing_that_is_wrong() {
    let leaks = run_failing("attribute_leaks", &[]);
    assert!(
        leaks.contains("1 finding in `attribute_leaks` (scope opened at "),
        "{leaks}"
    );
    assert!(leaks.contains("tests/in_test.rs:"), "{leaks}");
    let future = run_failing("attribute_async", &[]);
    assert!(
        future.contains("1 finding in `attribute_async`"),
        "{future}"
    );
    // The error is told, and not a finding that follows from it.
    let error = run_failing("attribute_result", &[]);
    assert!(error.contains("an error of the test's own"), "{error}");
    assert!(error.contains("the trace of this test: "), "{error}");
    assert!(!error.contains("1 finding in"), "{error}");
    // A finding is no panic that a test may ask for.
    let silent = run_failing("attribute_does_not_panic", &[]);
    assert!(silent.contains("did not panic as expected"), "{silent}");
    let left = run_failing("attribute_should_panic", &[]);
    assert!(left.contains("did not panic as expected"), "{left}");
    assert!(
        left.contains("left something behind:\n1 finding in"),
        "{left}"
    );
}

#[test]
fn a_panic_that_is_asked_for_is_not_the_one_of_a_scope_that_saw_nothing() {
    let blind = run_failing(
        "attribute_ends_the_recording attribute_ends_the_recording_before --test-threads=1",
        &[],
    );
    assert_eq!(
        blind.matches("did not panic as expected").count(),
        2,
        "{blind}"
    );
    assert!(
        blind.contains("cannot be judged: its scope saw a part of it only"),
        "{blind}"
    );
    assert!(
        blind.contains("was not run: it has no scope to be judged by"),
        "{blind}"
    );
    assert!(blind.contains("inconclusive: the recording"), "{blind}");
}

#[test]
fn mistakes_in_the_attribute_are_told_where_they_are() {
    trybuild::TestCases::new().compile_fail("tests/ui_assert/*.rs");
}

#[test]
fn dropping_asserts_unless_the_thread_panics_already() {
    let dropped = failure(|| {
        let _scope = probe::scope();
        let _ = leak();
    });
    assert!(dropped.starts_with("1 finding in `"), "{dropped}");
    let own = catch_unwind(|| {
        let _scope = probe::scope();
        let _ = leak();
        std::panic::panic_any("the test's own");
    });
    let own = own.expect_err("it panicked");
    assert_eq!(own.downcast_ref::<&str>(), Some(&"the test's own"));
    // An assertion ends it: dropping it then says nothing more.
    let scope = probe::scope();
    scope.assert_clean();
}

#[test]
fn what_was_there_is_ignored_and_what_came_later_is_not() {
    let keep = |later: bool| {
        let scope = probe::scope();
        let mut raws = vec![leak()];
        scope.ignore_current();
        raws.push(leak());
        if !later {
            take(raws.pop().unwrap());
        }
        (scope, raws)
    };
    let (scope, raws) = keep(false);
    scope.assert_clean();
    raws.into_iter().for_each(take);
    // The same place in the code before and after: one finding, and not a forgiven one.
    let (scope, _) = keep(true);
    let text = failure(|| scope.assert_no_leaks());
    assert!(text.contains("T09"), "{text}");

    let scope = probe::scope();
    let ring = probe::ring::Ring::created(probe::ring::Kind::Copied, 3, 8, 16, 0, 0);
    ring.pushed(&[0, 0, 0, 0, 7, 0, 0, 0]);
    ring.entered(1, 1, 0);
    scope.ignore_current();
    std::mem::forget(ring);
    scope.assert_no_inflight();
}

#[test]
fn limits_let_a_warm_up_keep_what_it_keeps_and_name_what_grows() {
    let scope = probe::scope();
    let pool = [leak(), leak()];
    let limits = scope.limits().allow_held(1);
    let more = leak();
    limits.check();
    let line = line!() + 1;
    let grown = probe::into_raw(Box::new([7_u8; 3]));
    let text = failure(|| limits.check());
    assert!(
        text.starts_with("handles held: 4, at most 3 allowed (2 at the end of the warm-up), in `"),
        "{text}"
    );
    assert!(text.contains(&format!("tests/in_test.rs:{line}")), "{text}");
    assert!(text.contains("view:  tracer view "), "{text}");
    // SAFETY: leaked above, taken back once.
    drop(unsafe { probe::from_raw::<Box<[u8; 3]>>(grown) });
    limits.check();
    take(more);
    pool.into_iter().for_each(take);
    let ring = probe::ring::Ring::created(probe::ring::Kind::Copied, 3, 8, 16, 0, 0);
    let limits = scope.limits();
    ring.pushed(&[0, 0, 0, 0, 7, 0, 0, 0]);
    ring.entered(1, 1, 0);
    let text = failure(|| limits.check());
    assert!(
        text.starts_with("operations in flight: 1, at most 0"),
        "{text}"
    );
    ring.reaped(7, 0, 0);
    limits.check();
    scope.assert_clean();
}

#[test]
fn whole_process_child() {
    if !fails() {
        return;
    }
    let first = probe::process_scope();
    let second = failure(|| drop(probe::process_scope()));
    assert!(second.contains("is open already, at"), "{second}");
    assert_eq!(second.matches("tests/in_test.rs:").count(), 2, "{second}");
    let inner = std::thread::spawn(|| {
        let scope = probe::scope();
        take(leak());
        scope.assert_clean();
    });
    inner.join().expect("a scope within");
    // No scope, no handle: it is the process's all the same.
    std::thread::spawn(|| {
        let _ = leak();
    })
    .join()
    .expect("a plain thread");
    let numbers = first.numbers();
    assert_eq!((numbers.leaked, numbers.held), (2, 1));
    first.expect(probe::Rule::T09).times(1);
    let again = probe::process_scope();
    again.assert_clean();
    panic!("all is as it should be");
}

#[test]
fn scope_of_a_process_sees_all_threads_and_wants_to_be_alone() {
    // The one test that is asked for: nobody is beside it.
    let alone = run_failing("whole_process_child", &[]);
    assert!(alone.contains("all is as it should be"), "{alone}");
    if std::thread::current().name() == Some("main") || std::env::var_os("NEXTEST").is_some() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "whole_process",
            "attribute_clean",
            "--test-threads",
            "2",
            "--nocapture",
        ])
        .env(FAILING, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    for way in ["nextest", "a file of its own", "probe::scope()"] {
        assert!(text.contains(way), "{text}");
    }
    assert!(
        text.contains("runs 2 tests of this binary at the same time"),
        "{text}"
    );
}
