//! What the tests share: a small correct runtime that writes text traces, faults to plant in what it
//! writes, and a writer of valid files.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod faults;
pub(crate) mod file;
pub(crate) mod runtime;
