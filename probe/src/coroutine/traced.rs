//! A future whose polls, wakes and end are recorded, for executors that go by wakers.
//!
//! Holds `unsafe`: the pin of the wrapped future.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::coroutine::Coroutine;
use crate::{recorder, waker};

/// See [`trace`].
#[derive(Debug)]
pub struct Traced<F> {
    coroutine: Coroutine,
    waker: waker::Last,
    over: bool,
    made_at: &'static Location<'static>,
    future: F,
}

/// Has a coroutine's life recorded, on any executor that polls futures and goes by their wakers:
/// `spawn(probe::coroutine::trace(future))`. Each poll is a resume and a suspension, each call of its
/// waker a wake, and operations submitted while it is polled are its own. What it waits for is what the futures
/// inside said with [`waits_for`](super::waits_for): where they say nothing, that it was never resumed cannot be told.
#[track_caller]
pub fn trace<F: Future>(future: F) -> Traced<F> {
    Traced {
        coroutine: Coroutine::spawned::<F>(Coroutine::current()),
        waker: waker::Last::default(),
        over: false,
        made_at: Location::caller(),
        future,
    }
}

impl<F> Traced<F> {
    /// The coroutine in the trace, for hooks of the program's own.
    pub fn coroutine(&self) -> Coroutine {
        self.coroutine
    }
}

impl<F: Future> Future for Traced<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with the whole and is not moved out of it: nothing but this
        // function touches it, and it is dropped in place. The other fields are not pinned.
        let (this, future) = unsafe {
            let this = self.get_unchecked_mut();
            (
                (
                    &mut this.waker,
                    &mut this.over,
                    this.coroutine,
                    this.made_at,
                ),
                Pin::new_unchecked(&mut this.future),
            )
        };
        let (waker, over, coroutine, made_at) = this;
        if coroutine.id() == 0 || !recorder::recording() {
            return future.poll(context);
        }
        let known = waker.wrap(context.waker(), coroutine, made_at);
        let running = coroutine.running();
        coroutine.resumed(None);
        let result = future.poll(&mut Context::from_waker(&known));
        if result.is_ready() {
            *over = true;
            coroutine.done();
        } else {
            running.waits.list(|cookies| coroutine.suspended(cookies));
        }
        result
    }
}

impl<F> Drop for Traced<F> {
    fn drop(&mut self) {
        if !self.over {
            self.coroutine.dropped();
        }
    }
}
