//! A small, real, single-threaded coroutine runtime on io_uring, and a gallery of its possible bugs.
//!
//! Who owns what, in one breath: every operation has a [`Ticket`](ticket::Ticket), an `Rc` that holds
//! what the kernel may touch (buffer, address, timespec, descriptor) and names the coroutine to resume.
//! Submitting leaks one handle of it into `user_data`; the completion takes that handle back and
//! resumes whom it names. The kernel thus owns a share of everything it may still write to, however
//! early the program loses interest: a future that is dropped in flight asks for cancellation and
//! walks away, and its ticket lives on until the last completion.
//!
//! Reading order: [`runtime`] (spawn, join, the loop), [`operation`] (one operation as a future),
//! [`ticket`] (the round trip of the pointer), [`driver`] (tickets meet the ring), [`ring`] (three
//! rings behind one trait), then [`time`], [`file`](mod@file), [`tcp`], [`signal`], and the [`scenarios`](mod@scenarios).
//!
//! The faulty scenarios switch on one [`fault`] each: a line that is left out, or one too many. They
//! behave as such a bug does in production, and yet without undefined behaviour; the argument is in
//! [`ticket`].
//!
//! Left out on purpose: wakers of other libraries (`Context`'s waker does nothing; coroutines are
//! resumed by completions, joins and yields), several threads, linked and multishot operations.
//!
//! Modules that hold `unsafe`: `ticket` (the round trip itself), `driver` (what the kernel was promised
//! stays alive), `ring::mapping` (memory shared with the kernel), `ring::{copied, in_place, simulated}`
//! (handing entries over), `permission` (one raw system call), `scenarios::hammer` (its shared page).

#![deny(unsafe_code)]

pub mod runtime;

pub mod coroutine;
pub mod operation;

#[expect(unsafe_code, reason = "leaks and reclaims the pointer in user_data")]
pub mod ticket;

#[expect(
    unsafe_code,
    reason = "promises the kernel that memory stays, and adopts its descriptors"
)]
pub mod driver;

pub mod fault;
pub mod request;
pub mod ring;

pub mod file;
pub mod race;
pub mod signal;
pub mod tcp;
pub mod time;

#[expect(unsafe_code, reason = "asks the kernel for a ring by raw system call")]
pub mod permission;

pub mod scenarios;

pub use permission::{NotPermitted, io_uring_permitted};
pub use runtime::Runtime;
pub use scenarios::{Error, Options, Outcome, Scenario, run, scenarios};
