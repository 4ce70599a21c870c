//! What a trace says: bytes are read into events, events into a model, and rules look at the model.
//!
//! No file is opened here, no terminal, no process, no clock: bytes come in, a [`finding::Verdict`]
//! goes out. A trace is untrusted input; reading one needs no `unsafe` and never panics.
//!
//! Reading order: [`event`] (what can happen), [`finding`] (what can be wrong with it).

#![forbid(unsafe_code)]

pub mod event;

pub mod finding;
