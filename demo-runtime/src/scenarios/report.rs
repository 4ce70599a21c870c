//! What a user would see, collected from all coroutines of a scenario.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::{Context, Outcome};
use crate::runtime::{Runtime, Tally};

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

    /// Runs a timer, and says when it fired. Late is not worth a word, early is.
    pub(super) async fn time(&self, runtime: Runtime, name: &'static str, asked: Duration) {
        let start = runtime.now();
        runtime.sleep(asked).await;
        let (took, asked) = ((runtime.now() - start).as_millis(), asked.as_millis());
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
