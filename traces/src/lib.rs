//! What a trace says: bytes are read into events, events into a model, and rules look at the model.
//!
//! No file is opened here, no terminal, no process, no clock: bytes come in, a [`finding::Verdict`]
//! goes out. A trace is untrusted input; reading one needs no `unsafe` and never panics.
//!
//! Reading order: [`Trace`] (all of it behind one door), [`event`] (what can happen), [`events`] (all that did), [`recording`]
//! (processes, lanes, names, losses), [`finding`] (what can be wrong), [`text`] (traces as text),
//! [`rules`] (who says so), [`report`] (the verdict as text), [`names`] (what things are called),
//! [`biography`] (one thing's whole life), [`stack`] (who called), [`source`] (lines of the program),
//! [`packed`] (all that a colleague needs), [`redact`] (and what nobody else should see), [`filter`]
//! (which events and findings somebody asks for), [`selection`] (what is left of a verdict), [`stats`]
//! (numbers), [`diff`] (what changed), [`export`] (the verdict for machines), [`near`] (the name that was meant),
//! [`operations`] (what operations owe), [`markdown`] (texts that mean nothing), [`watch`] (how far reading has come),
//! [`run`] (which test was recorded).

#![forbid(unsafe_code)]

// Tests in here share what those beside it have, which call the crate by its name.
#[cfg(test)]
extern crate self as traces;

mod trace;
pub use trace::Trace;

pub mod same;

pub mod event;

pub mod events;

pub mod recording;

pub mod scheme;

pub mod finding;

pub mod input;
pub use input::{Input, ReadAt};

pub mod read;

pub mod text;

mod scopes;

mod lookup;

mod lives;
pub use lives::Neighbour;

pub mod markdown;

mod dense;

mod numbers;
pub use numbers::Numbers;

mod model;

pub mod rules;

pub mod report;

mod describe;

mod schema;

pub mod names;

pub mod biography;

pub mod stack;

pub mod source;

pub mod packed;

pub mod redact;

pub mod filter;

pub mod selection;

pub mod stats;

pub mod diff;

#[cfg(feature = "export")]
pub mod export;

pub mod near;

pub mod watch;

pub mod operations;

pub mod run;

mod untrusted;
pub use untrusted::{Untrusted, tty};
