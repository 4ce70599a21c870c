//! The runtime: spawn, join, yield, and the loop that turns completions into resumptions.
//!
//! The loop has three steps for ever: resume all that are ready; enter the kernel, to submit and to
//! wait for one completion at least; reap, and resume whom each completion names. Each completion is
//! handled to its end before the next is reaped, so that what a coroutine does because of one is known
//! when the next is looked at.
//!
//! [`Runtime::run`] returns only when nothing is in flight: whatever is still alive when the main
//! coroutine returns is dropped, which cancels it, and the last completions are waited for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::coroutine::{Coroutine, Resumed};
use crate::driver::Driver;
use crate::fault::Fault;
use crate::ring::{AnyRing, RingKind};

/// What a runtime is made of.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Which ring.
    pub ring: RingKind,
    /// Slots of its submission queue.
    pub entries: u32,
    /// For the simulated ring.
    pub seed: u64,
    /// A mistake to make, for the faulty scenarios.
    pub fault: Option<Fault>,
}

/// What can be said of a run when it is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Completions that were reaped.
    pub completions: u64,
    /// Coroutines that were resumed after their end, once for each time. None in a correct program.
    pub resumed_after_end: Vec<&'static str>,
    /// Completions that brought a cookie whose handle had been taken back already, and that would
    /// have used freed memory in a runtime without the net. 0 in a correct program.
    pub caught: u64,
    /// Completions with a cookie that was never a ticket. 0 in a correct program.
    pub strays: u64,
}

/// A handle of the runtime; cheap to clone.
#[derive(Clone)]
pub struct Runtime(Rc<Inner>);

struct Inner {
    driver: Driver,
    /// To be resumed in this round.
    ready: RefCell<VecDeque<Rc<Coroutine>>>,
    /// To be resumed in the next round: those that yielded.
    later: RefCell<VecDeque<Rc<Coroutine>>>,
    /// All that are not over.
    alive: RefCell<Vec<Rc<Coroutine>>>,
    /// The one that is running.
    current: RefCell<Option<Rc<Coroutine>>>,
    completions: Cell<u64>,
    resumed_after_end: RefCell<Vec<&'static str>>,
    dispatched_twice: Cell<bool>,
}

impl Runtime {
    /// Runs `main` and everything it spawns. Fails where the ring cannot be had, where nothing could
    /// ever resume what is left, or where a count of handles is wrong at the end.
    #[track_caller]
    pub fn run<F>(config: Config, main: impl FnOnce(Runtime) -> F) -> io::Result<(F::Output, Tally)>
    where
        F: Future<Output: 'static> + 'static,
    {
        let ring = AnyRing::open(config.ring, config.entries, config.seed)?;
        let runtime = Self(Rc::new(Inner {
            driver: Driver::new(ring, config.fault),
            ready: RefCell::default(),
            later: RefCell::default(),
            alive: RefCell::default(),
            current: RefCell::default(),
            completions: Cell::new(0),
            resumed_after_end: RefCell::default(),
            dispatched_twice: Cell::new(config.fault != Some(Fault::DispatchedTwice)),
        }));
        let main = runtime.spawn("main", main(runtime.clone()));
        let result = runtime.turn_until(|| main.coroutine.is_over());
        runtime.shut_down(result)?;
        let output = main
            .result
            .take()
            .ok_or_else(|| io::Error::other("main was cancelled"))?;
        Ok((output, runtime.tally()))
    }

    /// Starts a coroutine; it is resumed for the first time when the caller suspends.
    #[track_caller]
    pub fn spawn<F>(&self, name: &'static str, future: F) -> Join<F::Output>
    where
        F: Future<Output: 'static> + 'static,
    {
        let result = Rc::new(Cell::new(None));
        let returned = result.clone();
        let body = Box::pin(async move { returned.set(Some(future.await)) });
        let coroutine = Coroutine::new(name, body, self.current().as_deref());
        self.0.alive.borrow_mut().push(coroutine.clone());
        self.make_ready(&coroutine);
        Join {
            runtime: self.clone(),
            coroutine,
            result,
        }
    }

    /// Lets everything else run once.
    pub fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        let runtime = self.clone();
        let mut yielded = false;
        poll_fn(move |_| {
            let Some(current) = runtime.current().filter(|_| !yielded) else {
                return Poll::Ready(());
            };
            yielded = true;
            current.wake();
            runtime.0.later.borrow_mut().push_back(current);
            // `enter` waits for a completion; a nudge makes sure that there is one at once. Should it
            // fail, the loop waits for some other completion, which is late but not wrong.
            let _ = runtime.driver().nudge();
            Poll::Pending
        })
    }

    /// Time since the ring was made, on its clock.
    pub fn now(&self) -> Duration {
        self.0.driver.now()
    }

    /// The coroutine that is running, none outside of all.
    pub fn current(&self) -> Option<Rc<Coroutine>> {
        self.0.current.borrow().clone()
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.0.driver
    }

    /// Counts so far.
    pub fn tally(&self) -> Tally {
        Tally {
            completions: self.0.completions.get(),
            resumed_after_end: self.0.resumed_after_end.borrow().clone(),
            caught: self.0.driver.tickets().caught(),
            strays: self.0.driver.strays(),
        }
    }

    fn turn_until(&self, over: impl Fn() -> bool) -> io::Result<()> {
        loop {
            while let Some(coroutine) = self.next_ready() {
                self.resume(&coroutine, None);
            }
            if over() {
                return Ok(());
            }
            if self.0.driver.in_flight() == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::Deadlock,
                    "coroutines wait, and nothing in flight could ever resume them",
                ));
            }
            self.turn()?;
        }
    }

    /// One round: submit and wait, reap and resume.
    fn turn(&self) -> io::Result<()> {
        // Taken first: who yields because of a completion of this round waits for the next one.
        let yielded = self.0.later.take();
        self.0.driver.enter(1)?;
        while let Some((waiter, cookie)) = self.0.driver.reap() {
            self.0.completions.set(self.0.completions.get() + 1);
            let Some(waiter) = waiter else { continue };
            let by = Some((self.0.driver.ring_id(), cookie));
            self.resume(&waiter, by);
            if !self.0.dispatched_twice.replace(true) {
                // As if the round was started over, and the completion found in its list once more.
                self.resume(&waiter, by);
            }
        }
        for coroutine in yielded {
            self.make_ready(&coroutine);
        }
        Ok(())
    }

    fn resume(&self, coroutine: &Rc<Coroutine>, by: Option<(u32, u64)>) {
        let before = self.0.current.replace(Some(coroutine.clone()));
        let resumed = coroutine.resume(by);
        self.0.current.replace(before);
        match resumed {
            Resumed::Suspended => {}
            Resumed::Returned => self.bury(coroutine),
            Resumed::AfterItsEnd => {
                self.0.resumed_after_end.borrow_mut().push(coroutine.name());
            }
        }
    }

    /// Forgets a coroutine that is over, and wakes those that joined it.
    fn bury(&self, coroutine: &Rc<Coroutine>) {
        self.0
            .alive
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, coroutine));
        for joiner in coroutine.take_joiners() {
            joiner.wake();
            self.make_ready(&joiner);
        }
    }

    fn make_ready(&self, coroutine: &Rc<Coroutine>) {
        if !coroutine.queued.replace(true) {
            self.0.ready.borrow_mut().push_back(coroutine.clone());
        }
    }

    fn next_ready(&self) -> Option<Rc<Coroutine>> {
        loop {
            let coroutine = self.0.ready.borrow_mut().pop_front()?;
            coroutine.queued.set(false);
            // It may have ended after it was woken.
            if !coroutine.is_over() {
                return Some(coroutine);
            }
        }
    }

    /// Drops what is left alive, and waits until the kernel holds nothing of ours.
    fn shut_down(&self, result: io::Result<()>) -> io::Result<()> {
        let left = self.0.alive.take();
        for coroutine in left.iter().rev() {
            coroutine.cancel();
        }
        self.0.ready.take();
        self.0.later.take();
        while self.0.driver.in_flight() > 0 {
            self.turn()?;
        }
        self.0.ready.take();
        let tickets = self.0.driver.tickets();
        tickets.forget_waiters();
        result.and_then(|()| tickets.audit().map_err(io::Error::other))
    }
}

/// Waits for the end of a coroutine. Dropping it does not end the coroutine; [`Join::cancel`] does.
pub struct Join<T> {
    runtime: Runtime,
    coroutine: Rc<Coroutine>,
    result: Rc<Cell<Option<T>>>,
}

impl<T> Join<T> {
    /// Drops the coroutine's future, and cancels what it has in flight.
    pub fn cancel(&self) {
        if self.coroutine.cancel() {
            self.runtime.bury(&self.coroutine);
        }
    }
}

impl<T> Future for Join<T> {
    /// None where the coroutine was cancelled.
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        if self.coroutine.is_over() {
            return Poll::Ready(self.result.take());
        }
        if let Some(current) = self.runtime.current() {
            self.coroutine.join(&current);
        }
        Poll::Pending
    }
}
