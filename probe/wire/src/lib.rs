//! The trace file as bytes: what lies where, what a record looks like, and how it is committed.
//!
//! The writer (the probe, inside somebody's program) and the reader (`tracer-traces`) share this
//! crate and nothing else. It has no dependency, allocates nothing, opens nothing and knows no
//! clock.
//!
//! Reading order: [`layout`] (header, lanes, chunks), [`record`] (the 64-bit record header and the
//! table of kinds), [`payload`] (the words behind each kind), [`schema`] (their names), [`protocol`] (how a record and a
//! chunk become visible, checked by loom), [`crc`].
//!
//! Modules that hold `unsafe`: none.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_std)]

pub mod layout;
pub mod record;

pub mod payload;

pub mod schema;

pub mod protocol;

pub mod crc;
pub mod feed;

/// The atomics that the protocol is written against. `tests/loom.rs` has the protocol with the model checker's in place
/// of them, so that nobody who links this crate has a model checker in their lock file.
pub mod sync {
    pub use core::sync::atomic::{AtomicU8, AtomicU64, Ordering, compiler_fence, fence};
}
