//! Timers.

use std::future::Future;
use std::time::Duration;

use crate::operation::Operation;
use crate::race::{Either, race};
use crate::request::Request;
use crate::runtime::Runtime;

impl Runtime {
    /// Waits. The time runs from this call on, more exactly from the next submission.
    #[track_caller]
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        let operation = Operation::start(self, Request::Timeout(duration.into()));
        async move {
            // `-ETIME` is how a timer says that it fired; nothing else can end this one.
            let _ = operation.await;
        }
    }

    /// Waits for a future, but no longer than this; then it is dropped, and with it what it has in
    /// flight.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        match race(future, self.sleep(duration)).await {
            Either::First(output) => Some(output),
            Either::Second(()) => None,
        }
    }
}
