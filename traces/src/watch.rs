//! How far reading has come, for whoever waits for it. No clock here: the watcher has one.

use crate::finding::RuleId;

/// Events between two steps that are told.
pub(crate) const EVERY: u64 = 1 << 16;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Checksums of what is packed are added up, before it is looked through: what is counted are stored bytes.
    Summing,
    /// All bytes are looked through, which is told for each million of them or so: what is counted are chunks, and more
    /// of them may become known.
    Looking,
    /// It is found out in which order events happened, where that is not the order of their times: then what was done with
    /// them so far is begun anew. Told of more than once.
    Ordering,
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
    /// Events so far, or chunks, or bytes.
    pub done: u64,
    /// Events in all, or chunks, or bytes.
    pub total: u64,
    /// What rules said so far.
    pub found: Found,
}

/// How often each rule spoke: consequences are not folded under their causes yet, and repeats are counted one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found([u32; 32]);

impl Found {
    /// Rules that spoke, by their numbers, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (RuleId, u64)> + '_ {
        let spoke = self.0.iter().enumerate().filter(|(_, times)| **times > 0);
        spoke.filter_map(|(rule, times)| Some((RuleId(u8::try_from(rule).ok()?), (*times).into())))
    }

    /// Whether none did.
    pub(crate) fn is_none(&self) -> bool {
        self.0.iter().all(|times| *times == 0)
    }

    pub(crate) fn add(&mut self, rule: RuleId) {
        if let Some(times) = self.0.get_mut(usize::from(rule.0)) {
            *times = times.saturating_add(1);
        }
    }
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
            found: Found::default(),
        };
        watch(step);
        Self { watch, step }
    }

    /// So many more, after which rules have said so much. However many they are, one step is told of at most.
    #[inline]
    pub(crate) fn more(&mut self, events: usize, found: impl FnOnce() -> Found) {
        let before = self.step.done / EVERY;
        self.step.done = self.step.done.saturating_add(events as u64);
        if self.step.done / EVERY != before {
            self.step.found = found();
            (self.watch)(self.step);
        }
    }
}
