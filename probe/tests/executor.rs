//! Coroutines on an executor that goes by wakers, over the kernel's ring: its futures of operations say what they
//! wait for and what they got. Correct ones are silent, whatever their futures do with each other; a completion that
//! wakes nobody, and one that is taken for two, are found.

#![cfg(all(feature = "io-uring", feature = "assert"))]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use probe::index::Table;
use probe::io_uring::{IoUring, opcode, squeue, types};
use probe::ring::Cookies;
use probe::{Rule, coroutine};
use slab::Slab;

/// What is wrong with a runtime.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// This completion is taken and thrown away, with the waker that it was for.
    Lost(u64),
    /// Results are left where they are, and taken again by whoever asks.
    Kept,
}

#[derive(Default)]
struct Slot {
    result: Option<i32>,
    waker: Option<Waker>,
    /// Its future is gone: the entry goes with its completion.
    abandoned: bool,
}

struct Runtime {
    ring: RefCell<IoUring>,
    id: u32,
    table: Table,
    slots: RefCell<Slab<Slot>>,
    ready: Arc<Mutex<VecDeque<usize>>>,
    fault: Cell<Fault>,
    _alone: MutexGuard<'static, ()>,
}

/// One runtime at a time: all their keys begin at 0, and a coroutine that waits for key 0 may wait for any ring's, so
/// that none is called lost while another ring has that key in flight.
static ALONE: Mutex<()> = Mutex::new(());

struct Ready(Arc<Mutex<VecDeque<usize>>>, usize);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.lock().expect("not poisoned").push_back(self.1);
    }
}

type Task<'r> = Pin<Box<dyn Future<Output = ()> + 'r>>;

impl Runtime {
    fn new() -> Option<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = match IoUring::new(16) {
            Ok(ring) => ring,
            Err(error) => {
                eprintln!("SKIPPED: no ring here ({error})");
                return None;
            }
        };
        let table = Table::new();
        ring.hooks().cookies(Cookies::KeysOf(table));
        Some(Self {
            id: ring.hooks().id(),
            ring: RefCell::new(ring),
            table,
            slots: RefCell::default(),
            ready: Arc::default(),
            fault: Cell::new(Fault::None),
            _alone: alone,
        })
    }

    fn submit(&self, entry: squeue::Entry) -> Operation<'_> {
        let key = self.slots.borrow_mut().insert(Slot::default());
        self.table.inserted::<Slot>(key as u64);
        let entry = entry.user_data(key as u64);
        // SAFETY: what it points to outlives the test's loop.
        unsafe { self.ring.borrow_mut().submission().push(&entry) }.expect("room");
        Operation { runtime: self, key }
    }

    fn nop(&self) -> Operation<'_> {
        self.submit(opcode::Nop::new().build())
    }

    fn remove(&self, key: usize) {
        self.table.removed::<Slot>(key as u64);
        self.slots.borrow_mut().remove(key);
    }

    /// Waits for completions, and wakes whom they are for.
    fn turn(&self) {
        let mut ring = self.ring.borrow_mut();
        ring.submit_and_wait(1).expect("submitted");
        for entry in ring.completion() {
            let key = entry.user_data() as usize;
            let mut slots = self.slots.borrow_mut();
            let slot = &mut slots[key];
            slot.result = Some(entry.result());
            if slot.abandoned || self.fault.get() == Fault::Lost(entry.user_data()) {
                self.fault.set(Fault::None);
                drop(slots);
                self.remove(key);
            } else if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    /// Polls what was woken until all is done, or nothing is left that could wake anything.
    fn run(&self, mut tasks: Vec<Option<Task<'_>>>) {
        self.ready
            .lock()
            .expect("not poisoned")
            .extend(0..tasks.len());
        loop {
            let next = self.ready.lock().expect("not poisoned").pop_front();
            if let Some(next) = next {
                let waker = Waker::from(Arc::new(Ready(Arc::clone(&self.ready), next)));
                let task = &mut tasks[next];
                let mut context = Context::from_waker(&waker);
                if let Some(future) = task
                    && future.as_mut().poll(&mut context).is_ready()
                {
                    *task = None;
                }
            } else if tasks.iter().any(Option::is_some) && self.is_waiting() {
                self.turn();
            } else {
                break;
            }
        }
        while self.is_waiting() {
            self.turn();
        }
        // What is still there stays as it is: at a real end nobody drops it either.
        tasks.into_iter().flatten().for_each(std::mem::forget);
    }

    fn is_waiting(&self) -> bool {
        let slots = self.slots.borrow();
        slots.iter().any(|(_, slot)| slot.result.is_none())
    }
}

/// The future of an operation: the only place that knows of coroutines.
struct Operation<'r> {
    runtime: &'r Runtime,
    key: usize,
}

impl Future for Operation<'_> {
    type Output = i32;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<i32> {
        let mut slots = self.runtime.slots.borrow_mut();
        let slot = &mut slots[self.key];
        if let Some(result) = slot.result {
            coroutine::resumed_by(self.runtime.id, self.key as u64);
            return Poll::Ready(result);
        }
        coroutine::waits_for(self.key as u64);
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        if self.runtime.fault.get() == Fault::Kept {
            return;
        }
        let mut slots = self.runtime.slots.borrow_mut();
        let slot = &mut slots[self.key];
        if slot.result.is_none() {
            (slot.abandoned, slot.waker) = (true, None);
        } else {
            drop(slots);
            self.runtime.remove(self.key);
        }
    }
}

fn task<'r>(future: impl Future<Output = ()> + 'r) -> Option<Task<'r>> {
    Some(Box::pin(coroutine::trace(future)))
}

/// Both results.
async fn join(one: impl Future<Output = i32>, other: impl Future<Output = i32>) -> (i32, i32) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(result) = one.as_mut().poll(context)
        {
            first = Some(result);
        }
        if second.is_none()
            && let Poll::Ready(result) = other.as_mut().poll(context)
        {
            second = Some(result);
        }
        first.zip(second).map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// The first result; the other one is dropped.
async fn select(one: impl Future<Output = i32>, other: impl Future<Output = i32>) -> i32 {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => other.as_mut().poll(context),
    })
    .await
}

/// Pending once, and woken at once: a poll for nothing.
async fn yield_now() {
    let mut polled = false;
    poll_fn(|context| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn one_after_the_other_joined_and_selected() {
    let scope = probe::scope();
    let Some(runtime) = Runtime::new() else {
        return;
    };
    let short = types::Timespec::new().nsec(1_000_000);
    let long = types::Timespec::new().nsec(20_000_000);
    let timeout = |span| runtime.submit(opcode::Timeout::new(span).build());
    let work = || {
        task(async {
            for _ in 0..5 {
                assert_eq!(runtime.nop().await, 0);
                yield_now().await;
                assert_eq!(
                    join(runtime.nop(), timeout(&short)).await,
                    (0, -libc::ETIME)
                );
                // The loser goes on in the kernel, and nobody waits for it any more.
                assert_eq!(select(timeout(&long), runtime.nop()).await, 0);
            }
        })
    };
    runtime.run(vec![work(), work(), work()]);
    scope.assert_clean();
}

/// One waits for the other, and not for an operation; a third one is dropped half way, and ends its wait by that.
#[test]
fn woken_by_each_other_and_dropped() {
    let scope = probe::scope();
    let Some(runtime) = Runtime::new() else {
        return;
    };
    let told: Rc<RefCell<(bool, Option<Waker>)>> = Rc::default();
    let listen = Rc::clone(&told);
    let listener = task(poll_fn(move |context| {
        let mut told = listen.borrow_mut();
        if told.0 {
            return Poll::Ready(());
        }
        told.1 = Some(context.waker().clone());
        Poll::Pending
    }));
    let runtime = &runtime;
    let long = types::Timespec::new().nsec(5_000_000);
    let dropped = &RefCell::new(task(async {
        runtime.submit(opcode::Timeout::new(&long).build()).await;
    }));
    let speaker = task(async move {
        let started = poll_fn(|context| {
            let mut dropped = dropped.borrow_mut();
            let future = dropped.as_mut().expect("not dropped yet");
            Poll::Ready(future.as_mut().poll(context))
        });
        assert!(started.await.is_pending());
        assert_eq!(runtime.nop().await, 0);
        dropped.borrow_mut().take();
        // Thrown away without being asked once.
        drop(runtime.nop());
        for _ in 0..3 {
            assert_eq!(runtime.nop().await, 0);
        }
        let mut told = told.borrow_mut();
        told.0 = true;
        told.1.take().expect("it listens").wake();
    });
    runtime.run(vec![listener, speaker]);
    scope.assert_clean();
}

#[test]
fn a_completion_that_wakes_nobody() {
    let scope = probe::scope();
    let Some(runtime) = Runtime::new() else {
        return;
    };
    runtime.fault.set(Fault::Lost(0));
    let lost = task(async {
        runtime.nop().await;
    });
    let other = task(async {
        for _ in 0..5 {
            runtime.nop().await;
        }
    });
    runtime.run(vec![lost, other]);
    scope.expect(Rule::T11).times(1);
}

#[test]
fn one_completion_that_is_taken_for_two() {
    let scope = probe::scope();
    let Some(runtime) = Runtime::new() else {
        return;
    };
    let runtime = &runtime;
    runtime.fault.set(Fault::Kept);
    runtime.run(vec![task(async move {
        let first = runtime.nop();
        let key = first.key;
        first.await;
        // Asks for the same entry, whose result is still there.
        Operation { runtime, key }.await;
        runtime.fault.set(Fault::None);
        runtime.remove(key);
    })]);
    scope.expect(Rule::T10).times(1);
}
