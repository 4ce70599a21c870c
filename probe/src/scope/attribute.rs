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
pub fn clean<T: Outcome>(mut scope: Scope, body: impl FnOnce() -> T) -> T {
    let outcome = body();
    if outcome.has_failed() {
        scope.end_and_save();
    } else {
        scope.judge(Asked::Clean);
    }
    outcome
}

/// Runs a body that should panic. A finding must not pass for that panic: where there is one, it is told and
/// nothing panics, so that the harness says that the test did not.
#[doc(hidden)]
#[track_caller]
pub fn panics(mut scope: Scope, body: impl FnOnce()) {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => scope.end_and_save(),
        Err(panic) => match scope.verdict_on(Asked::Clean) {
            None => resume_unwind(panic),
            Some(text) => {
                eprintln!("the test panicked as it should, and left something behind:\n{text}");
            }
        },
    }
}
