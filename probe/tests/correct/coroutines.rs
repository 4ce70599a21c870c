//! Coroutines that wait for operations: one after the other, two at once, and one that is given up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use probe::coroutine;
use probe::io_uring::{IoUring, opcode, squeue, types};

use super::{fd, next, pair, ring};

/// What a waiting operation and the loop share: the result, and whom to wake.
#[derive(Default)]
struct Slot {
    result: Option<i32>,
    waker: Option<Waker>,
}

type Shared = Rc<RefCell<Slot>>;

/// A ring that several coroutines use.
struct Reactor {
    ring: RefCell<IoUring>,
    waiting: RefCell<HashMap<u64, Shared>>,
}

impl Reactor {
    /// Submits; the handle in the cookie comes back with the completion.
    fn submit(&self, entry: squeue::Entry) -> (Shared, u64) {
        let slot = Shared::default();
        let cookie = probe::into_raw(Rc::clone(&slot)) as u64;
        self.waiting.borrow_mut().insert(cookie, Rc::clone(&slot));
        let mut ring = self.ring.borrow_mut();
        // SAFETY: what it points to outlives the test's loop.
        unsafe { ring.submission().push(&entry.user_data(cookie)) }.expect("room");
        (slot, cookie)
    }

    /// Waits for completions and wakes whom they are for.
    fn turn(&self) {
        let mut ring = self.ring.borrow_mut();
        ring.submit_and_wait(1).expect("submitted");
        let entries: Vec<_> = ring.completion().collect();
        for entry in entries {
            self.waiting.borrow_mut().remove(&entry.user_data());
            let raw = entry.user_data() as *const RefCell<Slot>;
            // SAFETY: a handle went out with each operation.
            let slot = unsafe { probe::from_raw::<Shared>(raw) };
            let mut slot = slot.borrow_mut();
            slot.result = Some(entry.result());
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }
}

/// The result of an operation.
struct Wait(Shared);

impl Future for Wait {
    type Output = i32;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<i32> {
        let mut slot = self.0.borrow_mut();
        if let Some(result) = slot.result {
            return Poll::Ready(result);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[test]
fn operations_one_after_the_other_and_one_that_is_given_up() {
    let scope = probe::scope();
    let Some(ring) = ring() else { return };
    let reactor = Reactor {
        ring: RefCell::new(ring),
        waiting: RefCell::default(),
    };
    let (near, _far) = pair();
    let mut buffer = [0u8; 8];
    let read = opcode::Read::new(fd(&near), buffer.as_mut_ptr(), 8).build();
    let work = coroutine::trace(async {
        for _ in 0..10 {
            assert_eq!(Wait(reactor.submit(opcode::Nop::new().build()).0).await, 0);
        }
        // Dropped before it is done: its operation is cancelled, and nobody waits for it.
        let (slot, cookie) = reactor.submit(read);
        drop(Wait(slot));
        Wait(reactor.submit(opcode::AsyncCancel::new(cookie).build()).0).await
    });
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    let cancelled = loop {
        if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
            break result;
        }
        reactor.turn();
    };
    assert_eq!(cancelled, 0);
    while !reactor.waiting.borrow().is_empty() {
        reactor.turn();
    }
    scope.assert_clean();
}

#[test]
fn many_coroutines_of_which_some_are_dropped() {
    let scope = probe::scope();
    let Some(ring) = ring() else { return };
    let reactor = Reactor {
        ring: RefCell::new(ring),
        waiting: RefCell::default(),
    };
    let short = types::Timespec::new().nsec(1000);
    let mut context = Context::from_waker(Waker::noop());
    for round in 0..20 {
        let mut all: Vec<_> = (0..4)
            .map(|_| {
                Box::pin(coroutine::trace(async {
                    let (slot, _) = reactor.submit(opcode::Timeout::new(&short).build());
                    Wait(slot).await
                }))
            })
            .collect();
        all.retain_mut(|work| work.as_mut().poll(&mut context).is_pending());
        // Its timeout goes on.
        drop(all.swap_remove(round % all.len()));
        while !all.is_empty() {
            reactor.turn();
            all.retain_mut(|work| work.as_mut().poll(&mut context).is_pending());
        }
        while !reactor.waiting.borrow().is_empty() {
            reactor.turn();
        }
    }
    let mut ring = reactor.ring.into_inner();
    super::start(&mut ring, "nop", opcode::Nop::new().build());
    next(&mut ring).named("nop");
    scope.assert_clean();
}
