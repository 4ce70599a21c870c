//! What the tests share: a small correct runtime that writes text traces, and a writer of valid files.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod file;
pub(crate) mod runtime;
