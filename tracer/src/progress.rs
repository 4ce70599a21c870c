//! How far a command has come, on stderr: nothing for what takes less than a second, and nothing where
//! stderr is no terminal. One line that is written over, and gone when there is something to say.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::open::Far;

/// What is over sooner needs no bar.
const QUIET: Duration = Duration::from_secs(1);
/// Time between two lines.
const EVERY: Duration = Duration::from_millis(100);
/// Parts of the whole that are told apart.
const PARTS: u64 = 1000;
/// Cells of the bar.
const CELLS: u64 = 24;

/// A bar for one file.
pub(crate) struct Progress {
    bar: Option<Mutex<Bar>>,
}

struct Bar {
    name: String,
    began: Instant,
    told: Option<Instant>,
}

impl Progress {
    /// A bar that tells what is done to `name`.
    pub(crate) fn new(name: String) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_shown = io::stderr().is_terminal() && !is_dumb;
        Self {
            bar: is_shown.then(|| Mutex::new(Bar::new(name, Instant::now()))),
        }
    }

    /// Reading has come so far.
    pub(crate) fn far(&self, far: Far) {
        self.show(far.doing, (far.part * PARTS as f64) as u64, PARTS);
    }

    /// So much of so much is done.
    pub(crate) fn show(&self, doing: &'static str, done: u64, total: u64) {
        let Some(bar) = &self.bar else { return };
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = bar.line(doing, done, total, Instant::now()) {
            // Nobody to talk to is no error.
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let was_shown = |bar: &Mutex<Bar>| {
            let bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
            bar.told.is_some()
        };
        if self.bar.as_ref().is_some_and(was_shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Bar {
    fn new(name: String, began: Instant) -> Self {
        Self {
            name,
            began,
            told: None,
        }
    }

    /// The line, when it is time for one.
    fn line(&mut self, doing: &'static str, done: u64, total: u64, now: Instant) -> Option<String> {
        let is_soon = self.told.is_some_and(|told| now < told + EVERY);
        if now < self.began + QUIET || is_soon {
            return None;
        }
        self.told = Some(now);
        let done = done.min(total);
        let part = |of: u64| u128::from(done) * u128::from(of) / u128::from(total.max(1));
        let filled = usize::try_from(part(CELLS)).unwrap_or(0);
        let bar = format!(
            "{}{}",
            "#".repeat(filled),
            ".".repeat(CELLS as usize - filled)
        );
        let took = now.duration_since(self.began);
        let left = left(done, total, took).map_or(String::new(), |left| format!(", {left}"));
        // Kept on one line of a narrow terminal, so that it can be written over.
        let name = traces::report::cut(&self.name, 20);
        Some(format!(
            "tracer: {name}: {doing} [{bar}] {}%{left}",
            part(100)
        ))
    }
}

/// `about 12 s left`; nothing before there is something to judge by.
fn left(done: u64, total: u64, took: Duration) -> Option<String> {
    if took < Duration::from_millis(500) || done == 0 {
        return None;
    }
    let rest = took.as_secs_f64() * total.saturating_sub(done) as f64 / done as f64;
    Some(match rest.ceil() {
        seconds if seconds < 100.0 => format!("about {seconds} s left"),
        seconds => format!("about {} min left", (seconds / 60.0).ceil()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_comes_after_a_second_and_says_what_is_left() {
        let began = Instant::now();
        let mut bar = Bar::new("trace.bin".to_owned(), began);
        let at = |ms| began + Duration::from_millis(ms);
        assert_eq!(bar.line("reading", 0, 200, at(0)), None);
        assert_eq!(bar.line("reading", 40, 200, at(900)), None);
        assert_eq!(
            bar.line("reading", 50, 200, at(1000)).unwrap(),
            "tracer: trace.bin: reading [######..................] 25%, about 3 s left"
        );
        // Not more often than somebody can read.
        assert_eq!(bar.line("reading", 51, 200, at(1050)), None);
        // What is left is told of the whole, whatever is being done.
        assert_eq!(
            bar.line("judging", 2, 3, at(3000)).unwrap(),
            "tracer: trace.bin: judging [################........] 66%, about 2 s left"
        );
        let late = bar.line("judging", 1, 1000, at(10_000)).unwrap();
        assert!(late.ends_with(" 0%, about 167 min left"), "{late}");
        // Nothing to do, and more than all of it.
        assert!(
            bar.line("judging", 0, 0, at(12_000))
                .unwrap()
                .contains(" 0%")
        );
        assert!(
            bar.line("judging", 9, 3, at(13_000))
                .unwrap()
                .contains(" 100%")
        );
    }
}
