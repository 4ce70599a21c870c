//! What can be compiled into the program to watch it.

use std::ffi::{CStr, CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use io_uring::squeue::Entry;
use probe::coroutine::Coroutine;

use super::{Operation, Ring, Tool};
use crate::floor;

macro_rules! ring {
    ($ring:ty, $id:expr) => {
        impl Ring for $ring {
            fn new(entries: u32) -> std::io::Result<Self> {
                <$ring>::new(entries)
            }

            #[inline(always)]
            unsafe fn push(&mut self, entry: &Entry) {
                // SAFETY: the caller's promise.
                unsafe { self.submission().push(entry) }.expect("room in the queue");
            }

            #[inline(always)]
            fn submit_and_wait(&mut self, want: usize) {
                <$ring>::submit_and_wait(self, want).expect("the kernel takes what it is given");
            }

            #[inline(always)]
            fn reap(&mut self, mut each: impl FnMut(u64, i32)) {
                for entry in self.completion() {
                    each(entry.user_data(), entry.result());
                }
            }

            fn id(&self) -> u32 {
                $id(self)
            }
        }
    };
}

ring!(io_uring::IoUring, |_: &io_uring::IoUring| 0);
ring!(
    probe::io_uring::IoUring,
    |ring: &probe::io_uring::IoUring| ring.hooks().id()
);

/// Nothing.
pub struct Bare;

impl Tool for Bare {
    type Ring = io_uring::IoUring;
    type Coroutine = ();

    #[inline(always)]
    fn leak(operation: Box<Operation>) -> *mut Operation {
        Box::into_raw(operation)
    }

    #[inline(always)]
    unsafe fn reclaim(raw: *mut Operation) -> Box<Operation> {
        // SAFETY: the caller's promise.
        unsafe { Box::from_raw(raw) }
    }

    fn spawned() {}

    #[inline(always)]
    fn resumed((): (), _: u32, _: u64) {}

    #[inline(always)]
    fn suspended((): (), _: u64) {}
}

/// The probe.
pub struct Recorded;

impl Tool for Recorded {
    type Ring = probe::io_uring::IoUring;
    type Coroutine = Coroutine;

    #[inline(always)]
    fn leak(operation: Box<Operation>) -> *mut Operation {
        probe::into_raw(operation)
    }

    #[inline(always)]
    unsafe fn reclaim(raw: *mut Operation) -> Box<Operation> {
        // SAFETY: the caller's promise.
        unsafe { probe::from_raw(raw) }
    }

    fn spawned() -> Coroutine {
        Coroutine::spawned_named("connection", None)
    }

    #[inline(always)]
    fn resumed(coroutine: Coroutine, ring: u32, cookie: u64) {
        coroutine.resumed(Some((ring, cookie)));
    }

    #[inline(always)]
    fn suspended(coroutine: Coroutine, cookie: u64) {
        coroutine.suspended(&[cookie]);
    }
}

/// A tool whose only means is an event: what happened, to which word, and a number. It sees leak,
/// submission, completion and reclaim, as the probe does.
macro_rules! by_events {
    ($tool:ident, $event:expr) => {
        impl Tool for $tool {
            type Ring = io_uring::IoUring;
            type Coroutine = ();

            #[inline(always)]
            fn leak(operation: Box<Operation>) -> *mut Operation {
                let raw = Box::into_raw(operation);
                $event(1, raw as u64, 0);
                raw
            }

            #[inline(always)]
            unsafe fn reclaim(raw: *mut Operation) -> Box<Operation> {
                $event(4, raw as u64, 0);
                // SAFETY: the caller's promise.
                unsafe { Box::from_raw(raw) }
            }

            #[inline(always)]
            fn submitted(cookie: u64) {
                $event(2, cookie, 0);
            }

            #[inline(always)]
            fn completed(cookie: u64, result: i32) {
                $event(3, cookie, i64::from(result) as u64);
            }

            fn spawned() {}

            #[inline(always)]
            fn resumed((): (), _: u32, cookie: u64) {
                $event(5, cookie, 0);
            }

            #[inline(always)]
            fn suspended((): (), cookie: u64) {
                $event(6, cookie, 0);
            }
        }
    };
}

/// The least that a recorder can do: see [`floor`].
pub struct Floor;

by_events!(Floor, |what: u64, cookie: u64, number: u64| {
    floor::stamped([what << 32 | number, cookie]);
});

/// The `tracing` crate; where its events go is the subscriber's.
pub struct Traced;

by_events!(Traced, |what: u64, cookie: u64, number: u64| {
    tracing::trace!(what, cookie, number);
});

/// LTTng-UST.
pub struct Lttng;

by_events!(Lttng, |what: u64, cookie: u64, number: u64| {
    let event = PROVIDER.get().expect("the provider is loaded").event;
    // SAFETY: the function of `provider.c`, which takes three words.
    unsafe { event(what, cookie, number) };
});

struct Provider {
    event: unsafe extern "C" fn(u64, u64, u64),
}

static PROVIDER: OnceLock<Provider> = OnceLock::new();

impl Lttng {
    /// Loads the provider, and makes sure that a session records its events: one that is linked or
    /// enabled wrongly is silent, and would be very fast.
    pub fn load(provider: &std::path::Path) {
        let path = CString::new(provider.as_os_str().as_bytes()).expect("a path");
        // SAFETY: the path ends with a zero.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "cannot load {}", provider.display());
        let find = |name: &CStr| {
            // SAFETY: the library was opened above and stays open.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            assert!(!found.is_null(), "the provider has no {name:?}");
            found
        };
        // SAFETY: the two functions of `provider.c`, with the types that they have there.
        let (event, enabled) = unsafe {
            (
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn(u64, u64, u64)>(find(
                    c"tracer_bench_event",
                )),
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(find(
                    c"tracer_bench_enabled",
                )),
            )
        };
        // SAFETY: takes nothing.
        assert!(unsafe { enabled() } != 0, "no session records the events");
        let _ = PROVIDER.set(Provider { event });
    }
}
