//! What a user would see, collected from all coroutines of a scenario.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::{Context, Outcome};
use crate::runtime::Tally;

/// Lines for the user; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Report(Rc<RefCell<Vec<String>>>);

impl Report {
    /// Adds a line, and puts it on the timeline.
    pub fn say(&self, line: impl Into<String>) {
        let line = line.into();
        probe::mark(&line);
        self.0.borrow_mut().push(line);
    }

    /// Says when a timer fired that was asked for at `start`. Late is not worth a word, early is.
    pub(super) fn fired(&self, name: &str, start: Duration, asked: Duration, now: Duration) {
        let (took, asked) = ((now - start).as_millis(), asked.as_millis());
        if took < asked {
            self.say(format!(
                "{name} fired after {took} ms instead of {asked} ms"
            ));
        } else {
            self.say(format!("{name} fired after {asked} ms, as it was asked to"));
        }
    }

    /// The outcome, with what the runtime noticed.
    pub(super) fn outcome(self, context: &Context, tally: Tally) -> Outcome {
        for name in &tally.resumed_after_end {
            self.say(format!("{name} was resumed once more after it had ended"));
        }
        if tally.strays > 0 {
            let count = tally.strays;
            self.say(format!(
                "completions whose cookie belongs to no operation: {count}"
            ));
        }
        Outcome {
            lines: self.0.take(),
            ring: context.ring,
            tally,
        }
    }
}
