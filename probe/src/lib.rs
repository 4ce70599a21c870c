//! What a program links to have its leaked pointers, rings and coroutines recorded.
//!
//! A pointer that leaves Rust's sight as a machine word goes through [`into_raw`] and comes back
//! through [`from_raw`]; a ring is used through [`io_uring`] (feature `io-uring`) or told of through
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
//! # What it costs
//!
//! Nothing is recorded unless `tracer record` started the program (it sets `TRACER_DIR`) or a test
//! scope is open; then each hook is one load and one branch. Without the default feature `record`, and
//! on platforms other than Linux on x86-64 and aarch64, hooks compile to nothing.
//!
//! # What it promises the program
//!
//! No hook panics, locks, allocates, waits, or changes `errno` on its hot path; what cannot be recorded
//! is lost and counted. Signal handlers may record. A forked child never writes into its parent's
//! file: it opens its own. In programs that run with raised privileges nothing is recorded. A record
//! survives the death of the process as soon as its hook has returned.
//!
//! Modules that hold `unsafe`: `recorder` (mappings, the C library, the thread's cursor, frames of the stack), `pointer`
//! (the owners' own `from_raw`), `ring` (submission slots), `io_uring` (the bytes of an entry).

#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "calls the owners' own unsafe functions")]
mod pointer;
pub use pointer::{
    Counted, FromAddress, Leak, from_raw, into_raw, leak_forever, peek, release, retain,
};

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

pub mod coroutine;

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
pub use scope::{Entered, Expectation, Rule, Scope, ScopeHandle, scope};

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
mod recorder;

/// The programs of the README, compiled and run as documentation tests.
#[cfg(all(doctest, feature = "io-uring", feature = "assert"))]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Puts a text on the timeline.
#[inline]
pub fn mark(text: &str) {
    if recorder::recording() {
        let text = recorder::text(text);
        recorder::record(wire::record::Kind::Mark, 0, 0, [u64::from(text)]);
    }
}

/// Whether hooks record at the moment.
#[inline]
pub fn is_recording() -> bool {
    recorder::recording()
}
