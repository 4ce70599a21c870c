//! What the tests share: a small correct runtime that writes text traces, faults to plant in what it
//! writes, a writer of valid files, and what two ways to judge must agree on.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod decisions;
pub(crate) mod faults;
pub(crate) mod file;
pub(crate) mod groups;
pub(crate) mod runtime;
pub(crate) mod same;
pub(crate) mod shim;
