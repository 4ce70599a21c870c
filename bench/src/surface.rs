//! What each of the other hooks adds to what it stands beside: wakers, coroutines, keys of a table, cells, buffers,
//! descriptors, callbacks, owners that the attribute found, the program's log, and rings of the program's own making.
//! Once while nothing records, and once recording.

use std::future::Future;
use std::hint::black_box;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use probe::ring::{Entry, Kind, Ring};
use tracing::dispatcher::{Dispatch, with_default};
use tracing_subscriber::layer::SubscriberExt;

use crate::{Variant, table};

fn variant<'a>(name: &'static str, mut once: impl FnMut() + 'a) -> Variant<'a> {
    Variant {
        name,
        run: Box::new(move |n| {
            for _ in 0..n {
                once();
            }
        }),
    }
}

/// A table of two: the bare thing, and the same with its hooks.
fn beside(title: &str, bare: impl FnMut(), hooked: impl FnMut()) {
    let mut variants = [variant("bare", bare), variant("with the hooks", hooked)];
    table(title, &mut variants, 60, 20_000);
}

pub fn off() {
    println!("while nothing records\n");
    all();
}

pub fn on() {
    println!("recording\n");
    all();
}

fn all() {
    wakers();
    coroutines();
    keys();
    cells();
    buffers();
    mappings();
    descriptors();
    callbacks();
    owners();
    logs();
    rings();
}

/// A ring of the program's own making, without a kernel behind it.
fn rings() {
    const READ: u64 = 22;
    let fill = |slot: &mut Entry, cookie: u64, address: u64| {
        let slot = black_box(slot);
        slot[0] = READ;
        slot[2] = address;
        slot[3] = 64;
        slot[4] = cookie;
    };
    let ring = Ring::created(Kind::InPlace, -1, 8, 16, 0, 0);
    let mut slots = [[0u64; 8]; 8];
    let buffer = Box::new([0u8; 64]);
    let heap = buffer.as_ptr() as u64;
    let mut bare = [0u64; 8];
    let mut turn = 0u32;
    beside(
        "ring filled in place: claimed, submitted, entered, reaped (4 records, poison put in and out)",
        || fill(&mut bare, 0x1000, heap),
        || {
            let slot = turn & 7;
            turn = turn.wrapping_add(1);
            let entry = &mut slots[slot as usize];
            // SAFETY: the slot is this thread's, and no kernel sees it.
            unsafe { ring.claimed(slot, entry) };
            fill(entry, 0x1000, heap);
            // SAFETY: as above.
            unsafe { ring.submitting(slot, entry) };
            ring.entered(1, 0, 1);
            ring.reaped(0x1000, 0, 0);
        },
    );
    let mut index = 0u32;
    beside(
        "ring: a completion taken out of order (1 record)",
        || {
            black_box(0x1000_u64);
        },
        || {
            index = index.wrapping_add(1);
            ring.reaped_at(index, black_box(0x1000), 0, 0);
        },
    );
    let copied = Ring::created(Kind::Copied, -1, 8, 16, 0, 0);
    let own = [0u8; 64];
    let (mut bare, mut hooked) = ([0u64; 8], [0u64; 8]);
    beside(
        "ring: an operation whose buffer lies in the caller's frame (3 records)",
        || fill(&mut bare, 0x1000, own.as_ptr() as u64),
        || {
            fill(&mut hooked, 0x1000, own.as_ptr() as u64);
            copied.pushed(&hooked);
            copied.entered(1, 0, 1);
            copied.reaped(0x1000, 0, 0);
        },
    );
    beside(
        "ring: another part of the program works (1 record)",
        || {
            black_box("reader");
        },
        || copied.owner(black_box("reader")),
    );
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

fn wakers() {
    let bare = Waker::from(Arc::new(Nobody));
    let hooked = probe::waker(bare.clone());
    let copy = |waker: &Waker| drop(black_box(black_box(waker).clone()));
    beside(
        "waker: a copy made and dropped (2 records)",
        || copy(&bare),
        || copy(&hooked),
    );
}

/// Pending for ever; the one with hooks says what it waits for.
struct Pending {
    hooked: bool,
}

impl Future for Pending {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.hooked {
            probe::coroutine::waits_for(black_box(0x1000));
        }
        Poll::Pending
    }
}

fn coroutines() {
    let waker = Waker::from(Arc::new(Nobody));
    // As an executor has them, which does not know their types.
    let mut bare: Pin<Box<dyn Future<Output = ()>>> = Box::pin(Pending { hooked: false });
    let mut traced: Pin<Box<dyn Future<Output = ()>>> =
        Box::pin(probe::coroutine::trace(Pending { hooked: true }));
    let poll = |future: &mut Pin<Box<dyn Future<Output = ()>>>| {
        let mut context = Context::from_waker(&waker);
        assert!(black_box(future).as_mut().poll(&mut context).is_pending());
    };
    let mut variants = [
        variant("bare", || poll(&mut bare)),
        variant("with the hooks", || poll(&mut traced)),
    ];
    table(
        "coroutine: a poll that returns pending (4 records, a waker is wrapped)",
        &mut variants,
        60,
        20_000,
    );
    let coroutine = probe::coroutine::Coroutine::spawned_named("bench", None);
    beside(
        "coroutine: resumed and suspended, by hand (2 records)",
        || {
            black_box(0x1000_u64);
        },
        || {
            coroutine.resumed(Some((1, black_box(0x1000))));
            coroutine.suspended(&[black_box(0x1000)]);
        },
    );
}

fn keys() {
    struct Op(#[expect(dead_code, reason = "as large as an operation may be")] [u64; 4]);
    let table = probe::index::Table::new();
    let (mut bare, mut hooked) = (Vec::with_capacity(8), Vec::with_capacity(8));
    let fresh = || Op(black_box([0; 4]));
    beside(
        "index: put into a table and taken out (2 records)",
        || {
            bare.push(fresh());
            black_box(bare.pop());
        },
        || {
            let key = hooked.len() as u64;
            hooked.push(fresh());
            table.inserted::<Op>(key);
            table.removed::<Op>(key);
            black_box(hooked.pop());
        },
    );
    let (mut bare, mut hooked) = (slab::Slab::new(), probe::index::slab::Slab::new());
    beside(
        "index: put into a slab and taken out (2 records)",
        || {
            let key = bare.insert(fresh());
            black_box(bare.remove(key));
        },
        || {
            let key = hooked.insert(fresh());
            black_box(hooked.remove(key));
        },
    );
    let mut bare: slotmap::SlotMap<slotmap::DefaultKey, Op> = slotmap::SlotMap::with_key();
    let mut hooked: probe::index::slotmap::SlotMap<slotmap::DefaultKey, Op> =
        probe::index::slotmap::SlotMap::with_key();
    beside(
        "index: put into a slotmap and taken out (2 records)",
        || {
            let key = bare.insert(fresh());
            black_box(bare.remove(key));
        },
        || {
            let key = hooked.insert(fresh());
            black_box(hooked.remove(key));
        },
    );
}

fn cells() {
    let plain = std::cell::UnsafeCell::new(1u64);
    let traced = probe::cell::TracedCell::new(1u64);
    beside(
        "cell: a borrow (2 records)",
        // SAFETY: one thread, and no reference is kept.
        || unsafe { *black_box(plain.get()) += 1 },
        // SAFETY: as above.
        || traced.with_mut(|value| unsafe { *black_box(value) += 1 }),
    );
}

fn buffers() {
    let mut bare = vec![0u8; 4096];
    let mut hooked = vec![0u8; 4096];
    let start = hooked.as_ptr();
    beside(
        "buffer: 64 bytes written, and said to be initialised (1 record)",
        || black_box(&mut bare)[..64].fill(1),
        || {
            black_box(&mut hooked)[..64].fill(1);
            probe::buffer::initialised(start, 4096, 64);
        },
    );
}

fn mappings() {
    beside(
        "memory: said that a mapping goes (1 record)",
        || {
            black_box(0x1000_usize);
        },
        || probe::memory::unmapping(black_box(0x1000 as *const u8), black_box(4096)),
    );
}

fn descriptor() -> RawFd {
    // SAFETY: no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    assert!(fd >= 0, "a descriptor");
    fd
}

fn descriptors() {
    // SAFETY: just opened, and nobody else has it.
    let owned = || unsafe { OwnedFd::from_raw_fd(descriptor()) };
    beside(
        "fd: opened and closed (2 records)",
        || drop(black_box(owned())),
        || drop(black_box(probe::fd::Descriptor::new(owned()))),
    );
}

fn callbacks() {
    extern "C" fn back(data: *mut std::ffi::c_void) {
        // SAFETY: given away once below, and taken back here.
        drop(unsafe { Box::from_raw(data.cast::<u64>()) });
    }
    extern "C" fn hooked_back(data: *mut std::ffi::c_void) {
        // SAFETY: as above.
        drop(unsafe { probe::ffi::take_back::<Box<u64>>(data) });
    }
    type Function = extern "C" fn(*mut std::ffi::c_void);
    let call = |function: Function, data| black_box(function)(data);
    beside(
        "ffi: a box through a callback (2 records)",
        || call(back, Box::into_raw(Box::new(black_box(7u64))).cast()),
        || call(hooked_back, probe::ffi::hand_out(Box::new(black_box(7u64)))),
    );
}

#[probe::instrument]
mod instrumented {
    use std::rc::Rc;

    pub fn there_and_back(shared: &Rc<u64>) {
        let raw = Rc::into_raw(Rc::clone(shared));
        // SAFETY: leaked just now.
        drop(unsafe { Rc::from_raw(std::hint::black_box(raw)) });
    }
}

fn owners() {
    let shared = Rc::new(7);
    beside(
        "instrumented: an Rc given away and taken back (2 records)",
        || {
            let raw = Rc::into_raw(Rc::clone(&shared));
            // SAFETY: leaked just now.
            drop(unsafe { Rc::from_raw(black_box(raw)) });
        },
        || instrumented::there_and_back(&shared),
    );
}

fn logs() {
    let bare = Dispatch::new(tracing_subscriber::registry());
    let hooked = Dispatch::new(tracing_subscriber::registry().with(probe::logs::layer()));
    let say = |to: &Dispatch| {
        with_default(to, || {
            tracing::info!(peer = black_box(7), "accepted");
        });
    };
    beside(
        "logs: an event with a field, beside a subscriber that does nothing (1 record)",
        || say(&bare),
        || say(&hooked),
    );
}
