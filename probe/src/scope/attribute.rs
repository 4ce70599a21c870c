//! What `#[probe::test]` writes calls to: the body of a test in a scope, judged as the test's end demands.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{Asked, Scope};

/// What a test gives back.
#[doc(hidden)]
pub trait Outcome {
    /// Whether the test fails by it.
    fn has_failed(&self) -> bool;
}

impl Outcome for () {
    fn has_failed(&self) -> bool {
        false
    }
}

impl<T, E> Outcome for Result<T, E> {
    fn has_failed(&self) -> bool {
        self.is_err()
    }
}

impl Outcome for std::process::ExitCode {
    fn has_failed(&self) -> bool {
        *self != Self::SUCCESS
    }
}

/// Runs a body and asserts that its scope is clean. An error is told as it is: its trace is only saved.
#[doc(hidden)]
#[track_caller]
pub fn clean<T: Outcome>(scope: Scope, body: impl FnOnce() -> T) -> T {
    let outcome = body();
    if outcome.has_failed() {
        scope.end_and_save();
    } else {
        scope.judge(Asked::Clean);
    }
    outcome
}

/// Runs a body that should panic. No other panic must pass for that one: where the scope cannot be opened or
/// judged, or something was found in it, that is told and nothing panics, so that the harness says that the test did
/// not.
#[doc(hidden)]
#[track_caller]
pub fn panics(open: impl FnOnce() -> Scope, body: impl FnOnce()) {
    // What these two panic with, the hook has printed.
    let Ok(scope) = catch_unwind(AssertUnwindSafe(open)) else {
        eprintln!("this test was not run: it has no scope to be judged by, as said above");
        return;
    };
    let Err(panic) = catch_unwind(AssertUnwindSafe(body)) else {
        scope.end_and_save();
        return;
    };
    match catch_unwind(AssertUnwindSafe(|| scope.verdict_on(Asked::Clean))) {
        Ok(None) => resume_unwind(panic),
        Ok(Some(text)) => {
            eprintln!("the test panicked as it should, and left something behind:\n{text}");
        }
        Err(_) => eprintln!(
            "the test panicked as it should, and cannot be judged: its scope saw a part of it only, as said above"
        ),
    }
}
