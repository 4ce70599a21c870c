//! A trace for other viewers of time: Perfetto's own format, the JSON of Chrome's, and events as a table.
//!
//! | track | its slices |
//! |---|---|
//! | thread | coroutines while they run; every other event as a slice of no length |
//! | ring | operations, from their submission to their last completion, on as many tracks as were in flight at once |
//! | coroutine | each time it ran |
//!
//! A flow leads from a submission to the operation, to its completions, and to the coroutine that the last one
//! resumed. Laws that a test holds: every slice that begins ends, inside of what it began in, and time does not go
//! back on a track.
//!
//! Reading order: here (what is asked for), `marks` (from a trace to tracks and marks), then a file for each form.

mod chrome;
mod csv;
mod marks;
mod perfetto;

use std::io::{self, Write};

use crate::filter::Prepared;
use crate::trace::Trace;
use marks::Timeline;

/// A form that a timeline can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// The protobuf of <https://ui.perfetto.dev>, also read by its `trace_processor`.
    Perfetto,
    /// The JSON of `chrome://tracing`, which Perfetto, Speedscope and others read too.
    Chrome,
    /// A table, an event a row.
    Csv,
}

impl To {
    /// All forms with their names.
    pub const ALL: [(&'static str, Self); 3] = [
        ("perfetto", Self::Perfetto),
        ("chrome", Self::Chrome),
        ("csv", Self::Csv),
    ];
}

/// Writes what a filter asks for: events, and the operations and runs of coroutines that such an event belongs to.
pub fn write(trace: &Trace, filter: &Prepared, to: To, out: &mut dyn Write) -> io::Result<()> {
    match to {
        To::Perfetto => perfetto::write(&Timeline::of(trace, filter), out),
        To::Chrome => chrome::write(&Timeline::of(trace, filter), out),
        To::Csv => csv::write(trace, filter, out),
    }
}
