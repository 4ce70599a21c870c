//! One operation as a future.
//!
//! It starts when it is made, not when it is first polled, so that a trace points at the line that
//! asked for it. Dropped in flight, it asks the kernel to cancel and leaves its ticket behind, with all
//! that the kernel may still touch.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::request::Request;
use crate::runtime::Runtime;
use crate::ticket::{Completed, Ticket};

/// See the head of this file.
#[must_use = "dropping an operation cancels it"]
pub struct Operation {
    runtime: Runtime,
    /// None when the outcome was taken.
    ticket: Option<Rc<Ticket>>,
}

impl Operation {
    /// Starts an operation for the coroutine that is running.
    #[track_caller]
    pub fn start(runtime: &Runtime, request: Request) -> Self {
        let ticket = runtime.driver().start(request, runtime.current().as_ref());
        Self {
            runtime: runtime.clone(),
            ticket: Some(ticket),
        }
    }

    /// Its ticket; none when it ended.
    pub(crate) fn ticket(&self) -> Option<&Rc<Ticket>> {
        self.ticket.as_ref()
    }
}

impl Future for Operation {
    /// How it ended, and the request with its buffers.
    type Output = (Completed, Request);

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(ticket) = self.ticket.take() else {
            // As every future may: polled again after it was ready, it stays pending.
            return Poll::Pending;
        };
        if let Some(outcome) = ticket.take_outcome() {
            self.runtime.driver().release(ticket);
            return Poll::Ready(outcome);
        }
        // It may have been made by another coroutine than the one that awaits it now.
        if let Some(current) = self.runtime.current() {
            ticket.set_waiter(&current);
        }
        self.ticket = Some(ticket);
        Poll::Pending
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.runtime.driver().abandon(ticket);
        }
    }
}
