//! What it may take to read a program's debug information: a file may be anybody's, and whoever probes it is root. Its
//! tables refer to each other, so that a small one can ask for any amount of work; so the processor's time is what is
//! bounded, by far more than a real program's take.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time of this thread on a processor.
const MOST: Duration = Duration::from_secs(60);

/// How much of that is gone.
#[derive(Debug)]
pub(super) struct Effort {
    most: Duration,
    spent: Cell<Duration>,
}

impl Default for Effort {
    fn default() -> Self {
        Self::of(MOST)
    }
}

/// Time of this thread so far.
fn now() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

impl Effort {
    pub(super) fn of(most: Duration) -> Self {
        Self {
            most,
            spent: Cell::new(Duration::ZERO),
        }
    }

    /// Whether there is none left.
    pub(super) fn is_over(&self) -> bool {
        self.spent.get() >= self.most
    }

    /// Does some work, unless there is no effort left for it. What asks the effort meanwhile ([`Begun::is_over`]) can end
    /// early.
    pub(super) fn spend<T>(&self, work: impl FnOnce(&mut Begun<'_>) -> T) -> Option<T> {
        if self.is_over() {
            return None;
        }
        let began = now();
        let mut begun = Begun {
            effort: self,
            began,
            asked: 0,
        };
        let done = work(&mut begun);
        let took = now().saturating_sub(began);
        self.spent.set(self.spent.get().saturating_add(took));
        Some(done)
    }
}

/// Work that is being done.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    effort: &'a Effort,
    began: Duration,
    asked: u32,
}

impl Begun<'_> {
    /// Whether it takes too long, asked after each small step: the clock is looked at now and then.
    pub(super) fn is_over(&mut self) -> bool {
        const EACH: u32 = 256;
        self.asked = self.asked.wrapping_add(1);
        self.asked.is_multiple_of(EACH) && self.is_over_now()
    }

    /// The same, after a large step.
    pub(super) fn is_over_now(&self) -> bool {
        let took = now().saturating_sub(self.began);
        self.effort.spent.get().saturating_add(took) >= self.effort.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_takes_too_long_ends_and_nothing_more_is_begun() {
        let effort = Effort::of(Duration::from_millis(20));
        assert_eq!(effort.spend(|begun| begun.is_over()), Some(false));
        let mut steps = 0u64;
        let done = effort.spend(|begun| {
            while !begun.is_over() {
                steps += 1;
            }
            "in part"
        });
        assert_eq!(done, Some("in part"));
        assert!(steps > 256 && effort.is_over());
        assert_eq!(effort.spend(|_| unreachable!("none is left")), None::<()>);
    }
}
