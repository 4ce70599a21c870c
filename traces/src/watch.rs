//! How far reading has come, for whoever waits for it. No clock here: the watcher has one.

/// Events between two steps that are told.
pub(crate) const EVERY: u64 = 1 << 16;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Events are put into their order.
    Reading,
    /// The model goes through them.
    Judging,
    /// It does so once more, because there is something to tell and what it rests on is fetched.
    Fetching,
}

/// How far it has come in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is being done.
    pub stage: Stage,
    /// Events so far.
    pub done: u64,
    /// Events in all.
    pub total: u64,
}

/// Who is told.
pub type Watch<'a> = &'a dyn Fn(Step);

/// Counts events, and tells of every so many.
pub(crate) struct Counter<'a> {
    watch: Watch<'a>,
    step: Step,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(watch: Watch<'a>, stage: Stage, total: u64) -> Self {
        let step = Step {
            stage,
            done: 0,
            total,
        };
        watch(step);
        Self { watch, step }
    }

    pub(crate) fn one_more(&mut self) {
        self.step.done = self.step.done.saturating_add(1);
        if self.step.done.is_multiple_of(EVERY) {
            (self.watch)(self.step);
        }
    }
}
