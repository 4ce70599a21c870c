//! Wakers and coroutines on an executor that goes by wakers: what is recorded, and that it works as
//! without the wrappers.

#![cfg(feature = "assert")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use probe::coroutine::{self, Coroutine};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_wrapped_waker_wakes_and_its_copies_balance() {
    let scope = probe::scope();
    let count = Arc::new(Count::default());
    let waker = probe::waker(Waker::from(Arc::clone(&count)));
    let copy = waker.clone();
    assert!(waker.will_wake(&copy));
    waker.wake_by_ref();
    copy.wake();
    drop(waker);
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    assert_eq!(Arc::strong_count(&count), 1);
    scope.assert_clean();
}

#[test]
fn a_copy_that_is_never_dropped_is_found() {
    let scope = probe::scope();
    let waker = probe::waker(Waker::from(Arc::new(Count::default())));
    std::mem::forget(waker.clone());
    drop(waker);
    // One copy came back, the other did not.
    scope.expect(probe::Rule::T20).times(1);
}

/// A waker stays registered where it was left, as in an `AtomicWaker` of a static: that is ordinary, and nobody leaked it.
#[test]
fn the_waker_of_a_traced_coroutine_may_be_kept_beyond_it() {
    static KEPT: std::sync::Mutex<Option<Waker>> = std::sync::Mutex::new(None);
    let scope = probe::scope();
    let waits = std::future::poll_fn(|context| {
        let before = KEPT.lock().unwrap().replace(context.waker().clone());
        before.map_or(Poll::Pending, |_| Poll::Ready(()))
    });
    let mut future = pin!(coroutine::trace(waits));
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    assert!(future.as_mut().poll(&mut context).is_ready());
    assert!(KEPT.lock().unwrap().is_some());
    scope.assert_clean();
}

/// Returns pending once, and has itself woken.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[test]
fn a_traced_coroutine_runs_as_it_would_and_knows_its_parent() {
    let scope = probe::scope();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    let mut outer = pin!(coroutine::trace(async {
        let me = Coroutine::current().expect("it runs");
        coroutine::trace(Yield(false)).await;
        assert_eq!(Coroutine::current(), Some(me));
        7
    }));
    assert_eq!(Coroutine::current(), None);
    assert!(outer.as_mut().poll(&mut context).is_pending());
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(outer.as_mut().poll(&mut context), Poll::Ready(7));
    assert_eq!(Coroutine::current(), None);
    scope.assert_clean();
}

#[test]
fn a_traced_coroutine_that_is_dropped_unfinished_is_no_bug() {
    let scope = probe::scope();
    let mut context = Context::from_waker(Waker::noop());
    let mut future = Box::pin(coroutine::trace(Yield(false)));
    assert!(future.as_mut().poll(&mut context).is_pending());
    drop(future);
    scope.assert_clean();
}

/// A task as executors have it: its waker keeps it, and it keeps its future.
struct Task(std::sync::Mutex<Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_traced_coroutine_is_not_kept_by_its_own_waker() {
    let scope = probe::scope();
    let task = Arc::new(Task(std::sync::Mutex::new(None)));
    let never = coroutine::trace(std::future::pending());
    *task.0.lock().unwrap() = Some(Box::pin(never));
    let waker = Waker::from(Arc::clone(&task));
    let mut context = Context::from_waker(&waker);
    let mut future = task.0.lock().unwrap().take().unwrap();
    assert!(future.as_mut().poll(&mut context).is_pending());
    *task.0.lock().unwrap() = Some(future);
    drop(waker);
    let left = Arc::downgrade(&task);
    drop(task);
    assert!(left.upgrade().is_none(), "the abandoned task lives on");
    scope.assert_clean();
}
