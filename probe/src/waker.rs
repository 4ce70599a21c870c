//! Wakers whose copies are counted, and whose calls are seen.
//!
//! A waker is a raw pointer with a table of functions: a runtime that keeps one as a cookie, or hands
//! it through C, can lose a copy or drop one twice like any other owner. [`waker`] wraps one, so that
//! each copy made and dropped is a retain and a release in the trace, and each call of a coroutine's
//! waker says who was asked to run.
//!
//! Holds `unsafe`: the table of functions, over a reference count of the wrapper's own.

use std::panic::Location;
use std::sync::{Arc, Weak};
use std::task::{RawWaker, RawWakerVTable, Waker};

use wire::payload::pair;
use wire::record::{Kind, Owner};

use crate::coroutine::Coroutine;
use crate::recorder;

/// A waker that wakes as `inner` does, with its copies recorded. Where nothing is recorded: `inner`
/// itself. One allocation, and a record for each copy made, dropped or used up: a copy that nobody drops is a finding,
/// as is one that is dropped twice (T20). Of the wakers that [`trace`](crate::coroutine::trace) hands to a coroutine it is
/// the second alone: whoever was given one may keep it registered, long after the coroutine ended.
///
/// ```
/// use std::task::Waker;
///
/// let waker = probe::waker(Waker::noop().clone());
/// let copy = waker.clone();
/// copy.wake_by_ref();
/// drop(copy);
/// waker.wake();
/// ```
#[track_caller]
pub fn waker(inner: Waker) -> Waker {
    wrap(inner, None, Location::caller())
}

/// As [`waker`], for the waker of a coroutine: calls of it are recorded as wakes of the coroutine.
pub(crate) fn wrap(
    inner: Waker,
    coroutine: Option<Coroutine>,
    at: &'static Location<'static>,
) -> Waker {
    if !recorder::recording() {
        return inner;
    }
    let wrapped = Arc::new(Wrapped { inner, coroutine });
    wrapped.goes_out(at);
    handle(wrapped)
}

fn handle(wrapped: Arc<Wrapped>) -> Waker {
    let data = Arc::into_raw(wrapped).cast();
    // SAFETY: the table's functions take what `Arc::into_raw` gave, one count for each waker.
    unsafe { Waker::from_raw(RawWaker::new(data, &FUNCTIONS)) }
}

/// The wrapper of a coroutine's waker, where somebody still has it. It does not keep it: that would keep the
/// executor's waker, and with it the coroutine itself.
#[derive(Debug, Default)]
pub(crate) struct Last(Weak<Wrapped>);

impl Last {
    /// A wrapper for the waker of a poll: the last one if it wakes the same.
    pub(crate) fn wrap(
        &mut self,
        given: &Waker,
        coroutine: Coroutine,
        at: &'static Location<'static>,
    ) -> Waker {
        if let Some(wrapped) = self.0.upgrade()
            && wrapped.inner.will_wake(given)
        {
            note(Kind::Retain, Arc::as_ptr(&wrapped), 0);
            return handle(wrapped);
        }
        let inner = given.clone();
        let coroutine = Some(coroutine);
        let wrapped = Arc::new(Wrapped { inner, coroutine });
        self.0 = Arc::downgrade(&wrapped);
        wrapped.goes_out(at);
        handle(wrapped)
    }
}

#[derive(Debug)]
struct Wrapped {
    inner: Waker,
    coroutine: Option<Coroutine>,
}

impl Wrapped {
    /// Its first handle is given away. That of a coroutine's waker nobody asked for: it is let stay where it is kept.
    fn goes_out(&self, at: &'static Location<'static>) {
        let kind = match self.coroutine {
            Some(_) => Kind::LeakForever,
            None => Kind::Leak,
        };
        note(kind, self, recorder::site(at));
    }
}

static FUNCTIONS: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn note(kind: Kind, wrapped: *const Wrapped, site: u32) {
    if recorder::recording() {
        let ty = recorder::named_type("core::task::wake::Waker", 0, 0);
        let words = [wrapped as u64, pair(site, ty)];
        recorder::record(kind, 0, Owner::Waker as u8, words);
    }
}

/// # Safety
///
/// `data` is a waker's of [`FUNCTIONS`] that was not dropped yet.
unsafe fn clone(data: *const ()) -> RawWaker {
    let wrapped = data.cast::<Wrapped>();
    note(Kind::Retain, wrapped, 0);
    // SAFETY: the waker holds a count, so there is at least one.
    unsafe { Arc::increment_strong_count(wrapped) };
    RawWaker::new(data, &FUNCTIONS)
}

/// # Safety
///
/// As for [`clone`]; the waker is used up.
unsafe fn wake(data: *const ()) {
    // SAFETY: the caller's promise.
    unsafe {
        wake_by_ref(data);
        drop_waker(data);
    }
}

/// # Safety
///
/// As for [`clone`].
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker holds a count, so what it points to is alive.
    let wrapped = unsafe { &*data.cast::<Wrapped>() };
    if let Some(coroutine) = wrapped.coroutine {
        coroutine.woken();
    }
    wrapped.inner.wake_by_ref();
}

/// # Safety
///
/// As for [`clone`]; the waker is gone.
unsafe fn drop_waker(data: *const ()) {
    let wrapped = data.cast::<Wrapped>();
    note(Kind::Release, wrapped, 0);
    // SAFETY: gives back the waker's count.
    unsafe { Arc::decrement_strong_count(wrapped) };
}
