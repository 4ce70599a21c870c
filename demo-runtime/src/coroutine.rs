//! A coroutine: a future, a name, and what it waits for.
//!
//! It is resumed by polling its future. The runtime calls [`Coroutine::resume`] because of a
//! completion, or because somebody woke it (its start, a join, a yield); it does not know why itself,
//! and being resumed for nothing must be harmless to a correct future.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

/// What a coroutine runs.
pub type Body = Pin<Box<dyn Future<Output = ()>>>;

/// See the head of this file.
pub struct Coroutine {
    name: &'static str,
    /// As the trace knows it.
    trace: probe::coroutine::Coroutine,
    /// None while it runs, and when it is done or dropped.
    body: RefCell<Option<Body>>,
    state: Cell<State>,
    /// Cookies of the operations in flight that would resume it.
    awaited: RefCell<Vec<u64>>,
    /// Coroutines that wait for its end.
    joiners: RefCell<Vec<Rc<Coroutine>>>,
    /// Whether it stands in the queue of the ready ones.
    pub(crate) queued: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alive,
    /// It returned.
    Done,
    /// Its future was dropped before it returned.
    Dropped,
}

/// How a resumption ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// It waits again.
    Suspended,
    /// It returned; its joiners are to be woken.
    Returned,
    /// There was nothing left to resume. Correct programs never see this.
    AfterItsEnd,
}

impl Coroutine {
    /// A coroutine that was not resumed yet.
    #[track_caller]
    pub fn new(name: &'static str, body: Body, parent: Option<&Coroutine>) -> Rc<Self> {
        let parent = parent.map(|parent| parent.trace);
        Rc::new(Self {
            name,
            trace: probe::coroutine::Coroutine::spawned_named(name, parent),
            body: RefCell::new(Some(body)),
            state: Cell::new(State::Alive),
            awaited: RefCell::default(),
            joiners: RefCell::default(),
            queued: Cell::new(false),
        })
    }

    /// Runs it until it suspends or returns. `by` is the completion that caused it: ring and cookie.
    pub fn resume(&self, by: Option<(u32, u64)>) -> Resumed {
        self.trace.resumed(by);
        let Some(mut body) = self.body.take() else {
            return Resumed::AfterItsEnd;
        };
        let mut context = Context::from_waker(Waker::noop());
        if body.as_mut().poll(&mut context).is_ready() {
            self.state.set(State::Done);
            drop(body);
            self.trace.done();
            return Resumed::Returned;
        }
        self.trace.suspended(&self.awaited.borrow());
        *self.body.borrow_mut() = Some(body);
        Resumed::Suspended
    }

    /// Drops its future, which cancels what it has in flight. Does nothing to one that has ended, or
    /// that is running: a coroutine cannot pull the ground from under its own feet.
    pub fn cancel(&self) -> bool {
        let Some(body) = self.body.take() else {
            return false;
        };
        self.state.set(State::Dropped);
        drop(body);
        self.trace.dropped();
        true
    }

    /// Somebody asks for it to be resumed.
    pub fn wake(&self) {
        self.trace.woken();
    }

    /// Whether it returned or was dropped.
    pub fn is_over(&self) -> bool {
        self.state.get() != State::Alive
    }

    /// What it was called by whoever spawned it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// An operation in flight will resume it.
    pub fn awaits(&self, cookie: u64) {
        self.awaited.borrow_mut().push(cookie);
    }

    /// That operation ended, or will resume somebody else.
    pub fn no_longer_awaits(&self, cookie: u64) {
        let mut awaited = self.awaited.borrow_mut();
        if let Some(place) = awaited.iter().position(|other| *other == cookie) {
            awaited.swap_remove(place);
        }
    }

    /// `joiner` is to be woken when this coroutine is over.
    pub fn join(&self, joiner: &Rc<Coroutine>) {
        let mut joiners = self.joiners.borrow_mut();
        if !joiners.iter().any(|other| Rc::ptr_eq(other, joiner)) {
            joiners.push(joiner.clone());
        }
    }

    /// Those that wait for its end.
    pub fn take_joiners(&self) -> Vec<Rc<Coroutine>> {
        self.joiners.take()
    }
}

impl fmt::Debug for Coroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coroutine")
            .field("name", &self.name)
            .field("state", &self.state.get())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resuming_after_the_end_is_told_and_harmless() {
        let coroutine = Coroutine::new("short", Box::pin(async {}), None);
        assert_eq!(coroutine.resume(None), Resumed::Returned);
        assert_eq!(coroutine.resume(None), Resumed::AfterItsEnd);
        assert!(!coroutine.cancel());
    }

    #[test]
    fn cancelling_drops_the_future_and_what_it_holds() {
        let held = Rc::new(());
        let inside = held.clone();
        let body = async move {
            let _inside = inside;
            std::future::pending::<()>().await;
        };
        let coroutine = Coroutine::new("held", Box::pin(body), None);
        assert_eq!(coroutine.resume(None), Resumed::Suspended);
        assert_eq!(Rc::strong_count(&held), 2);
        assert!(coroutine.cancel());
        assert_eq!(Rc::strong_count(&held), 1);
        assert!(coroutine.is_over());
    }
}
