//! Hooks of a coroutine's life: spawned, resumed by a completion, suspended on cookies, done or
//! dropped.
//!
//! A runtime calls them where it polls; the order of calls is what the rules judge. A handle is a
//! number and can be copied; one that was made while nothing was recorded stays silent.
//!
//! ```
//! use probe::coroutine::Coroutine;
//!
//! let cookie = 0x1000; // of the operation that it waits for
//! let coroutine = Coroutine::spawned_named("connection", Coroutine::current());
//! coroutine.resumed(None); // for the first time, by nothing
//! let running = coroutine.running();
//! // ... polled: what it submits and spawns is its own ...
//! drop(running);
//! coroutine.suspended(&[cookie]);
//!
//! // The completion with that cookie was taken from ring 1 (`ring.hooks().id()`):
//! coroutine.resumed(Some((1, cookie)));
//! coroutine.done();
//!
//! // One that is given up before it returned, though somebody had asked for it to run:
//! let other = Coroutine::spawned::<std::future::Ready<()>>(None);
//! other.woken();
//! other.dropped();
//! ```
//!
//! For executors that go by wakers there is nothing to call where they poll: what is spawned is wrapped, with
//! [`trace`]. The link to the operations is two lines in the runtime's own future of an operation, the one place
//! that knows its cookie: [`waits_for`] where it returns pending, [`resumed_by`] where it has its completion.
//!
//! ```
//! use std::cell::RefCell;
//! use std::future::Future;
//! use std::pin::Pin;
//! use std::rc::Rc;
//! use std::task::{Context, Poll, Waker};
//!
//! /// What the loop that takes completions and the future of an operation share.
//! #[derive(Default)]
//! struct Slot {
//!     result: Option<i32>,
//!     waker: Option<Waker>,
//! }
//!
//! struct Operation {
//!     ring: u32, // `ring.hooks().id()`
//!     cookie: u64,
//!     slot: Rc<RefCell<Slot>>,
//! }
//!
//! impl Future for Operation {
//!     type Output = i32;
//!
//!     fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<i32> {
//!         let mut slot = self.slot.borrow_mut();
//!         if let Some(result) = slot.result.take() {
//!             probe::coroutine::resumed_by(self.ring, self.cookie);
//!             return Poll::Ready(result);
//!         }
//!         probe::coroutine::waits_for(self.cookie);
//!         slot.waker = Some(context.waker().clone());
//!         Poll::Pending
//!     }
//! }
//!
//! let slot = Rc::new(RefCell::new(Slot::default()));
//! let operation = Operation { ring: 0, cookie: 7, slot: Rc::clone(&slot) };
//! let mut coroutine = Box::pin(probe::coroutine::trace(operation));
//! let mut context = Context::from_waker(Waker::noop());
//! assert!(coroutine.as_mut().poll(&mut context).is_pending());
//! slot.borrow_mut().result = Some(5); // by whoever takes the completion
//! assert_eq!(coroutine.as_mut().poll(&mut context), Poll::Ready(5));
//! ```
//!
//! A runtime that keeps its coroutines in a structure of its own names the wrapper, asks it for its handle, and says who
//! runs:
//!
//! ```
//! use std::future::Future;
//! use std::pin::Pin;
//! use std::task::{Context, Poll, Waker};
//!
//! use probe::coroutine::{Coroutine, MAX_COOKIES, Running, Traced};
//!
//! struct Task<F> {
//!     future: Pin<Box<Traced<F>>>,
//! }
//!
//! # #[cfg(feature = "assert")]
//! let scope = probe::scope();
//! let future = async { Coroutine::current().map(Coroutine::id) };
//! let mut task = Task { future: Box::pin(probe::coroutine::trace(future)) };
//! let handle = task.future.coroutine();
//! let mut context = Context::from_waker(Waker::noop());
//! let Poll::Ready(inside) = task.future.as_mut().poll(&mut context) else { unreachable!() };
//! # #[cfg(feature = "assert")]
//! assert_eq!(inside, Some(handle.id()), "it is the one that runs while it is polled");
//! # let _ = (inside, handle);
//!
//! let parent = Coroutine::spawned_named("supervisor", None);
//! parent.resumed(None);
//! let running: Running = parent.running();
//! let child = Coroutine::spawned_named("worker", Coroutine::current()); // the supervisor's
//! drop(running);
//! assert_eq!(Coroutine::current(), None);
//! child.dropped();
//! // It waits for more than a suspension lists: the first `MAX_COOKIES` of them count.
//! parent.suspended(&[7; MAX_COOKIES + 1]);
//! parent.dropped();
//! # #[cfg(feature = "assert")]
//! scope.assert_clean();
//! ```

use std::cell::Cell;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use wire::payload::pair;
use wire::record::Kind;

#[cfg(feature = "c")]
use crate::foreign::AsPlace;
use crate::recorder;

mod waits;
pub use waits::waits_for;

#[expect(unsafe_code, reason = "the pin of a wrapped future")]
mod traced;
pub use traced::{Traced, trace};

static LAST: AtomicU32 = AtomicU32::new(0);

/// The most cookies that one suspension lists; the rest is left out.
pub const MAX_COOKIES: usize = 64;

std::thread_local! {
    /// The coroutine that this thread runs, as far as [`Running`] was told; 0 for none.
    static CURRENT: Cell<u32> = const { Cell::new(0) };
}

/// A coroutine as the trace knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coroutine(u32);

impl Coroutine {
    /// A coroutine was made; `F` is its future's type.
    #[inline]
    #[track_caller]
    pub fn spawned<F>(parent: Option<Coroutine>) -> Coroutine {
        if !recorder::recording() {
            return Coroutine(0);
        }
        let site = recorder::site(Location::caller());
        Self::born(recorder::type_of::<F>(), parent, site)
    }

    /// A coroutine was made, and is known by a name of the program's.
    #[inline]
    #[track_caller]
    pub fn spawned_named(name: &'static str, parent: Option<Coroutine>) -> Coroutine {
        if !recorder::recording() {
            return Coroutine(0);
        }
        let site = recorder::site(Location::caller());
        Self::born(recorder::named_type(name, 0, 0), parent, site)
    }

    /// A coroutine was made at a place of another language, whose type is the coroutine's name.
    #[cfg(feature = "c")]
    pub fn spawned_at(parent: Option<Coroutine>, place: &impl AsPlace) -> Coroutine {
        if !recorder::recording() {
            return Coroutine(0);
        }
        let (site, ty) = recorder::foreign::site_and_type(place);
        Self::born(ty, parent, site)
    }

    /// The coroutine with this number: for languages that keep the number and not the handle.
    #[cfg(feature = "c")]
    pub const fn from_id(id: u32) -> Coroutine {
        Coroutine(id)
    }

    fn born(ty: u32, parent: Option<Coroutine>, site: u32) -> Coroutine {
        let id = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let parent = parent.map_or(0, |parent| parent.0);
        recorder::record_known(Kind::Spawn, [pair(id, parent), pair(site, ty)]);
        Coroutine(id)
    }

    /// Number in the trace, 0 where nothing was recorded when it was made.
    pub fn id(self) -> u32 {
        self.0
    }

    /// The coroutine that this thread runs, where that is known: inside the poll of a [`Traced`] one, or
    /// while a [`Running`] is held.
    pub fn current() -> Option<Coroutine> {
        match CURRENT.try_with(Cell::get) {
            Ok(0) | Err(_) => None,
            Ok(id) => Some(Coroutine(id)),
        }
    }

    /// This thread runs it until the guard is dropped: coroutines spawned meanwhile are its children.
    /// Records nothing.
    pub fn running(self) -> Running {
        Running {
            waits: waits::Waits::begin(),
            before: CURRENT
                .try_with(|current| current.replace(self.0))
                .unwrap_or(0),
        }
    }

    /// A waker that wakes as `inner` does, and has its calls recorded as this coroutine's wakes.
    #[track_caller]
    pub fn waker(self, inner: Waker) -> Waker {
        crate::waker::wrap(inner, Some(self), Location::caller())
    }

    /// It is about to be polled: because of a completion (its ring's id and its cookie), or because of
    /// something else.
    #[inline]
    pub fn resumed(self, by: Option<(u32, u64)>) {
        if recorder::recording() && self.0 != 0 {
            match by {
                Some((ring, cookie)) => {
                    recorder::record(Kind::Resume, 0, 0, [pair(self.0, ring), cookie]);
                }
                None => recorder::record(Kind::Resume, 1, 0, [u64::from(self.0), 0]),
            }
        }
    }

    /// It returned pending and now waits on these cookies.
    #[inline]
    pub fn suspended(self, cookies: &[u64]) {
        if !recorder::recording() || self.0 == 0 {
            return;
        }
        let head = |count: usize| pair(self.0, count as u32);
        match *cookies {
            [] => recorder::record(Kind::Suspend, 0, 0, [head(0)]),
            [one] => recorder::record(Kind::Suspend, 0, 0, [head(1), one]),
            [one, two] => recorder::record(Kind::Suspend, 0, 0, [head(2), one, two]),
            _ => {
                let mut words = [0; MAX_COOKIES + 1];
                let listed = cookies.len().min(MAX_COOKIES);
                words[0] = head(listed);
                for (word, cookie) in words.iter_mut().skip(1).zip(cookies) {
                    *word = *cookie;
                }
                recorder::record_slice(Kind::Suspend, 0, 0, words.get(..=listed).unwrap_or(&[]));
            }
        }
    }

    /// It returned its result.
    #[inline]
    pub fn done(self) {
        self.note(Kind::Done);
    }

    /// Its future was dropped before it returned a result.
    #[inline]
    pub fn dropped(self) {
        self.note(Kind::CoroutineDrop);
    }

    /// Somebody asked for it to be polled.
    #[inline]
    pub fn woken(self) {
        self.note(Kind::Wake);
    }

    #[inline]
    fn note(self, kind: Kind) {
        if recorder::recording() && self.0 != 0 {
            recorder::record(kind, 0, 0, [u64::from(self.0)]);
        }
    }
}

/// See [`Coroutine::running`].
#[derive(Debug)]
#[must_use = "the coroutine runs until this is dropped"]
pub struct Running {
    waits: waits::Waits,
    before: u32,
}

/// The coroutine that this thread polls goes on because of this completion: its ring's id and its cookie. Call it
/// where the future of an operation takes its result, once for each completion. Outside of a coroutine that
/// [`Coroutine::current`] knows it does nothing.
#[inline]
pub fn resumed_by(ring: u32, cookie: u64) {
    if recorder::recording()
        && let Some(coroutine) = Coroutine::current()
    {
        coroutine.resumed(Some((ring, cookie)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // At the very end of a thread there is nothing left to say.
        let _ = CURRENT.try_with(|current| current.set(self.before));
    }
}
