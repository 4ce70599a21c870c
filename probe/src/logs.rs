//! The program's own log on the timeline: a layer for `tracing-subscriber` (feature `tracing`).
//!
//! Each event becomes a mark with its level, on the lane of the thread and in the coroutine that runs
//! there; so do entering and leaving a span. Filter it as any layer: `probe::logs::layer().with_filter(…)`.
//!
//! The text is the target, the message and the fields, cut at 256 bytes. The first 1,024 different texts
//! are kept; of those that come later each place in the source keeps one, which says so: messages with
//! numbers in them must not take the room of places and types. Fields that are recorded on a span
//! after it was made are not seen.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id};
use tracing_core::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;
use wire::record::{Kind, mark};

use crate::recorder;

/// The layer.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// let layer: probe::logs::Logs = probe::logs::layer();
/// let subscriber = tracing_subscriber::registry().with(layer);
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info!(peer = 7, "accepted");
/// });
/// ```
pub fn layer() -> Logs {
    Logs(())
}

/// See [`layer`].
#[derive(Clone, Copy, Debug)]
pub struct Logs(());

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Logs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if recorder::recording() {
            let mut line = Line::of(event.metadata());
            event.record(&mut line);
            say(event.metadata(), line.text(), 0);
        }
    }

    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if recorder::recording()
            && let Some(known) = context.span(id)
        {
            let mut line = Line::of(span.metadata());
            line.push(span.metadata().name());
            span.record(&mut line);
            // The text, not its number: a forked child numbers anew.
            known.extensions_mut().insert(Named(line));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        crossed(id, &context, mark::ENTER);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        crossed(id, &context, mark::LEAVE);
    }
}

/// What a span is called, with the fields it was made with.
struct Named(Line);

fn crossed<S: Subscriber + for<'a> LookupSpan<'a>>(id: &Id, context: &Context<'_, S>, flags: u8) {
    if recorder::recording()
        && let Some(span) = context.span(id)
    {
        match span.extensions().get::<Named>() {
            Some(Named(line)) => say(span.metadata(), line.text(), flags),
            // Made before the recording began.
            None => say(span.metadata(), span.name(), flags),
        }
    }
}

fn say(metadata: &Metadata<'_>, text: &str, flags: u8) {
    let text = if is_kept(text) {
        recorder::text(text)
    } else {
        let mut line = Line::of(metadata);
        // Writing never fails.
        let _ = match (metadata.file(), metadata.line()) {
            (Some(file), Some(number)) => write!(line, "{file}:{number}"),
            _ => write!(line, "{}", metadata.name()),
        };
        line.push(" (text left out: too many different ones)");
        recorder::text(line.text())
    };
    recorder::record(
        Kind::Mark,
        flags,
        level(*metadata.level()),
        [u64::from(text)],
    );
}

fn level(level: Level) -> u8 {
    match level {
        Level::ERROR => mark::ERROR,
        Level::WARN => mark::WARN,
        Level::INFO => mark::INFO,
        Level::DEBUG => mark::DEBUG,
        Level::TRACE => mark::TRACE,
    }
}

/// Different texts that are kept.
const KEPT: u32 = 1024;
const PLACES: usize = 4096;
/// Places that a text may have.
const WAYS: usize = 16;
/// Hashes of the texts that are kept; 0 while free.
static TEXTS: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Whether a text is one of those that are kept, or becomes one now.
fn is_kept(text: &str) -> bool {
    // FNV-1a, 64 bits, folded so that all bits count.
    let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let hash = (hash ^ (hash >> 32)) | 1;
    for way in 0..WAYS {
        let Some(place) = TEXTS.get((hash as usize >> 8).wrapping_add(way) % PLACES) else {
            continue;
        };
        let mut found = place.load(Ordering::Relaxed);
        if found == 0 {
            if TAKEN.fetch_add(1, Ordering::Relaxed) >= KEPT {
                TAKEN.fetch_sub(1, Ordering::Relaxed);
                return false;
            }
            match place.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => {
                    TAKEN.fetch_sub(1, Ordering::Relaxed);
                    found = other;
                }
            }
        }
        if found == hash {
            return true;
        }
    }
    false
}

/// A text of limited length that is made without allocating; what does not fit is left out.
struct Line {
    bytes: [u8; 256],
    used: usize,
}

impl Line {
    /// One that begins with the target.
    fn of(metadata: &Metadata<'_>) -> Self {
        let mut line = Self {
            bytes: [0; 256],
            used: 0,
        };
        line.push(metadata.target());
        line.push(": ");
        line
    }

    fn push(&mut self, text: &str) {
        for letter in text.chars() {
            let mut encoded = [0; 4];
            let encoded = letter.encode_utf8(&mut encoded).as_bytes();
            let end = self.used.saturating_add(encoded.len());
            let Some(place) = self.bytes.get_mut(self.used..end) else {
                // Nothing behind a gap.
                self.used = self.bytes.len().min(self.used);
                return;
            };
            place.copy_from_slice(encoded);
            self.used = end;
        }
    }

    fn text(&self) -> &str {
        let used = self.bytes.get(..self.used).unwrap_or(&[]);
        // Whole letters only were pushed.
        std::str::from_utf8(used).unwrap_or("")
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing never fails; where the program's own `Debug` does, what it wrote stays.
        let _ = match field.name() {
            "message" => write!(self, "{value:?}"),
            name => write!(self, " {name}={value:?}"),
        };
    }
}
