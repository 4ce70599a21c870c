//! What a program links to have its leaked pointers, rings and coroutines recorded.
//!
//! A pointer that leaves Rust's sight as a machine word goes through [`into_raw`] and comes back
//! through [`from_raw`]; a ring is used through `io_uring` (feature `io-uring`) or told of through
//! [`ring::Ring`]; coroutines are told of through [`coroutine::Coroutine`]. `tracer record -- ./app`
//! then has the program write what happened into a trace file, and a test can judge itself with
//! `probe::scope` (feature `assert`).
//!
//! ```
//! use std::rc::Rc;
//!
//! struct Conn;
//! let raw = probe::into_raw(Rc::new(Conn));
//! let cookie = raw as u64; // travels through the kernel, or through C
//! // The word came from `into_raw` and is taken back once.
//! let conn: Rc<Conn> = unsafe { probe::from_raw(cookie as *const Conn) };
//! # drop(conn);
//! ```
//!
//! # Where things are
//!
//! | to tell of | see |
//! |---|---|
//! | owners that travel as a word | [`into_raw`], [`from_raw`], [`peek`], [`retain`], [`release`], [`leak_forever`], [`instrument`](macro@instrument), [`Leak`], [`waker`](waker()) |
//! | rings | `io_uring` (feature `io-uring`), [`ring`] |
//! | keys of a table as cookies | [`index`] |
//! | coroutines | [`coroutine`] |
//! | memory | [`Alloc`], [`memory`], [`buffer`], [`cell`] |
//! | descriptors | [`fd`]; those still open at the end are counted in the report |
//! | callbacks of C libraries | [`ffi`] |
//! | the program's own log | `logs` (feature `tracing`) |
//! | what a test did | `scope` (feature `assert`) |
//!
//! A buffer on the stack is watched without being told of: when a ring is entered with the frame gone, and the
//! operation still in flight, that is a finding (T16, suspected). On the first thread of a process always; on others
//! in test scopes and in recordings with call stacks, because asking where a thread's stack lies opens a file.
//!
//! # Sanitizers
//!
//! With the feature `sanitizers` the hooks of rings tell AddressSanitizer, LeakSanitizer, MemorySanitizer,
//! ThreadSanitizer and Valgrind what the kernel does, whether anything is recorded or not, on stable Rust; without
//! one of them it is one load and one branch. What only the kernel points to is no leak; what it wrote is
//! initialised; what was done before a submission comes before what is done after its completion. Whoever touches a
//! buffer that the kernel has is reported (by all but MemorySanitizer), and with [`Alloc`] whoever frees it. What
//! the kernel is given to read must be initialised. It knows the buffers of read, recv, write and send and their
//! fixed forms; not those behind an `iovec` or a `msghdr`, and not those that the kernel picks.
//!
//! # What it costs
//!
//! Nothing is recorded unless `tracer record` started the program (it sets `TRACER_DIR`) or a test
//! scope is open; then each hook is one load and one branch. Without the default feature `record`, and
//! on platforms other than Linux on x86-64 and aarch64, hooks compile to nothing.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `record` (default) | recording itself; without it the hooks are there and do nothing |
//! | `io-uring` | `io_uring`, with the names of the `io-uring` crate |
//! | `assert` | `scope` and `#[probe::test]`; for `[dev-dependencies]` |
//! | `sanitizers` | the word to sanitizers and Valgrind |
//! | `slab`, `slotmap` | tables that tell their keys by themselves, in [`index`] |
//! | `tracing` | `logs` |
//! | `c`, `preload` | what the library for C and C++ and the shim are made of |
//!
//! By default it depends on nothing but its own two packages.
//!
//! # What it promises the program
//!
//! No hook panics, locks, allocates, waits, or changes `errno` on its hot path; what cannot be recorded
//! is lost and counted. Signal handlers may record. A forked child never writes into its parent's
//! file: it opens its own. In programs that run with raised privileges nothing is recorded. A record
//! survives the death of the process as soon as its hook has returned.
//!
//! Modules that hold `unsafe`: `recorder` (mappings, the C library, the thread's cursor, frames of the stack,
//! loaded files), `pointer`, `owners` and `instrumented` (the owners' own `from_raw`), `waker` (its table of functions),
//! `coroutine::traced` (a pin), `ring` (submission slots), `io_uring` (the bytes of an entry), `ffi` (words of the C
//! library), `buffer` (its initialised part), `memory::alloc` (an allocator around another one), `sanitizer`
//! (their runtimes). Where nothing is recorded, and with feature `c`, `inactive` (the name of a symbol).

#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "calls the owners' own unsafe functions")]
mod pointer;
pub use pointer::{
    Counted, FromAddress, Leak, from_raw, into_raw, leak_forever, peek, release, retain,
};
pub use wire::record::Owner;

#[expect(unsafe_code, reason = "calls the owners' own unsafe functions")]
mod owners;

#[expect(unsafe_code, reason = "turns owners into pointers and back")]
#[doc(hidden)]
pub mod instrumented;
pub use instrumented::{leak, vec_from_raw_parts};

/// Has the standard library's ways to give ownership away recorded, where a function, an impl block or
/// an inline module calls them by path: see below for what it finds.
///
/// ```
/// use std::rc::Rc;
///
/// #[probe::instrument]
/// mod conn {
///     use std::rc::Rc;
///
///     pub fn arm(conn: Rc<u32>) -> u64 {
///         Rc::into_raw(conn) as u64 // recorded as a leak, here
///     }
///
///     pub unsafe fn fire(cookie: u64) -> Rc<u32> {
///         unsafe { Rc::from_raw(cookie as *const u32) } // recorded as a reclaim, here
///     }
/// }
///
/// let cookie = conn::arm(Rc::new(7));
/// assert_eq!(*unsafe { conn::fire(cookie) }, 7);
/// ```
///
/// | found | recorded as |
/// |---|---|
/// | `into_raw`, `from_raw` of `Box`, `Rc`, `Arc`, both `Weak`s and `CString` | leak, reclaim |
/// | `increment_strong_count`, `decrement_strong_count` of `Rc` and `Arc` | retain, release |
/// | `Box::leak`, `Vec::leak` | leak for ever, which a later `from_raw` may end |
/// | `Vec::from_raw_parts` | reclaim |
/// | `mem::forget` of one of these owners | leak |
/// | `ManuallyDrop::new`; `into_inner`, `take`, `drop` of one of these owners | leak; reclaim |
///
/// A path may be long (`std::rc::Rc::into_raw`), have type arguments (`Rc::<Conn>::into_raw`,
/// `<Rc<Conn>>::into_raw`), be `Self` in an impl block of the owner, stand without a call
/// (`.map(Box::into_raw)`), in a closure, or in the arguments of another macro. A type that was imported
/// under another name is named: `#[probe::instrument(Shared = Rc)]` after `use std::rc::Rc as Shared`, or
/// `Shared = Rc<Conn>` where it is an alias of the whole type. Where the probe has another name:
/// `#[probe::instrument(crate = tracer_probe)]`.
///
/// Not found, and so not recorded: calls as methods (`weak.into_raw()`), functions imported alone (`use
/// std::mem::forget`), code that another macro makes, `mod name;` with its code in another file (put
/// `#![probe::instrument]` nowhere: the compiler does not allow it there; name its items one by one), and
/// `mem::forget` of a value whose type is a parameter.
pub use probe_macros::instrument;

/// A test in a scope of its own: opens [`scope`], runs the body, and asserts that it was clean.
///
/// ```
/// #[probe::test]
/// fn handles_come_back() -> Result<(), std::num::ParseIntError> {
///     let raw = probe::into_raw(Box::new("7".parse::<u8>()?));
///     // Leaked once, taken back once.
///     drop(unsafe { probe::from_raw::<Box<u8>>(raw) });
///     Ok(())
/// }
///
/// #[probe::test]
/// #[should_panic(expected = "on purpose")]
/// fn panics_and_leaves_nothing_behind() {
///     panic!("on purpose");
/// }
///
/// # mod my_runtime { pub fn block_on<F: Future>(_: F) -> F::Output { unreachable!() } }
/// #[probe::test(executor = my_runtime::block_on)]
/// async fn completes() {}
/// ```
///
/// What happens at the end:
///
/// | the body | the test |
/// |---|---|
/// | returns | passes if the scope is clean, else fails with its screen |
/// | returns an error | fails by that; the trace is saved |
/// | panics | fails by that; the trace is saved |
/// | panics under `#[should_panic]` | passes if the scope is clean; else the screen is printed, and the test fails as one that did not panic, which is the one way left |
///
/// The probe under another name: `#[probe::test(crate = tracer_probe)]`. It belongs to feature `assert`.
#[cfg(all(
    feature = "assert",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use probe_macros::test;

#[expect(unsafe_code, reason = "a waker's table of functions")]
mod waker;
pub use waker::waker;

#[expect(
    unsafe_code,
    reason = "reads and writes submission slots that the caller owns"
)]
pub mod ring;

#[cfg(all(feature = "io-uring", target_os = "linux"))]
#[expect(
    unsafe_code,
    reason = "passes on the unsafe functions of the io-uring crate"
)]
pub mod io_uring;

#[expect(unsafe_code, reason = "passes on the owners' own unsafe functions")]
pub mod ffi;

pub mod coroutine;

#[cfg(feature = "c")]
pub mod foreign;

#[cfg(all(
    feature = "preload",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[doc(hidden)]
pub mod preload;

#[cfg(all(
    feature = "sanitizers",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[expect(unsafe_code, reason = "calls into the runtimes of sanitizers")]
mod sanitizer;
#[cfg(not(all(
    feature = "sanitizers",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "sanitizer/inactive.rs"]
mod sanitizer;

pub mod index;

pub mod memory;
pub use memory::Alloc;

#[expect(unsafe_code, reason = "hands out the initialised part of a buffer")]
pub mod buffer;

pub mod fd;

pub mod cell;

#[cfg(feature = "tracing")]
pub mod logs;

pub mod simulated;

#[cfg(all(
    feature = "assert",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod scope;
#[cfg(all(
    feature = "assert",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use scope::{Entered, Expectation, Limits, Rule, Scope, ScopeHandle, process_scope};

/// Judges what a test did, at its end.
///
/// ```
/// let scope = probe::scope();
/// let raw = probe::into_raw(Box::new(7));
/// // SAFETY: leaked once, taken back once.
/// drop(unsafe { probe::from_raw::<Box<i32>>(raw) });
/// scope.assert_clean();
/// ```
///
/// What the opening thread leaks, submits and spawns belongs to the scope, and so does what threads do that entered it
/// through a [`ScopeHandle`]; all else that runs at the same time does not. So tests may run in parallel, each with its
/// own scope. The first scope of a process starts a recording in its memory, of which the newest 32 MiB are kept;
/// judging reads all of it, while other tests go on: once a test, not once an operation.
///
/// An assertion that fails panics with the story and both places in the source, saves the trace to `target/tracer/`,
/// and ends with the command to look at it. Where records were lost that could have changed the answer, or the
/// recording was ended, it fails as inconclusive. Feature `assert`.
///
#[cfg(all(
    feature = "assert",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use scope::scope;
/// What [`macro@test`] writes calls to.
#[cfg(all(
    feature = "assert",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[doc(hidden)]
pub mod in_test {
    pub use crate::scope::{Outcome, clean, panics};
}

/// What [`Scope::numbers`] counts.
#[cfg(all(
    feature = "assert",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use traces::Numbers;

#[cfg(all(
    feature = "record",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[expect(unsafe_code, reason = "mappings, the C library, the thread's cursor")]
mod recorder;

#[cfg(not(all(
    feature = "record",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "inactive.rs"]
#[cfg_attr(
    feature = "c",
    expect(unsafe_code, reason = "a symbol's name is unsafe to choose")
)]
mod recorder;

/// The programs of README.md and of the pages in `docs/`, compiled and run as documentation tests.
#[cfg(all(doctest, feature = "io-uring", feature = "assert"))]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/probe.md")]
    struct Probe;
    #[doc = include_str!("../../docs/test.md")]
    struct Test;
}

/// Puts a text on the timeline; of a long one its first 2,024 bytes. Each text that differs from all before is kept
/// for the rest of the recording, in room that is not used again: for what happens seldom.
///
/// ```
/// probe::mark("configuration read");
/// if probe::is_recording() {
///     // What takes time to put together is not put together for nothing.
///     probe::mark(&format!("{} processors", std::thread::available_parallelism()?));
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[inline]
pub fn mark(text: &str) {
    if recorder::recording() {
        let text = recorder::text(text);
        recorder::record(wire::record::Kind::Mark, 0, 0, [u64::from(text)]);
    }
}

/// Ends the recording of this process for good, when what it was made for has happened: what was recorded by
/// now is kept, the program goes on, and no hook does anything any more. The reason is put on the timeline.
///
/// A child that is forked later is not recorded either; one that calls `exec` is. What happens from here on
/// is unknown to the trace: nothing is called lost, or never taken back, for it.
///
/// ```
/// fn answer(request: &str) -> Result<u32, std::num::ParseIntError> {
///     request.parse().inspect_err(|_| probe::stop_recording("a request that nobody can read"))
/// }
/// assert!(answer("7").is_ok());
/// ```
#[inline]
pub fn stop_recording(reason: &str) {
    if recorder::recording() {
        recorder::stop(reason);
    }
}

/// Whether hooks record at the moment.
#[inline]
pub fn is_recording() -> bool {
    recorder::recording()
}
