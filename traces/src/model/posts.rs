//! What the kernel posted to a ring, held word for word against what the program took from it.
//!
//! A completion lies in memory that the program can write to, until it is taken. If the word that was taken is none that
//! the kernel had posted, somebody wrote there, or it was read from another place. That is said only where the word
//! stands in for another one: the kernel posted that, and nobody ever took it. For not all completions are told of (see
//! [`is_untold`]; a message of a process that nobody listens to; a tag of a resource that a worker of the kernel's gave
//! back), and what comes besides is no error.
//!
//! Of what lies in a queue the first comes out first. So a posted word is *passed by* when one that was posted later was
//! taken; what had been passed by before the strange word was taken is not what it stands in for.
//!
//! The kernel's clock is not the program's, which is mended by a straight line over the whole recording: a completion may
//! seem to be taken before it was posted. So nothing is decided before that much time has passed ([`slack`]), neither that a
//! word is strange nor that another one was passed by. A clock that was set or slewed meanwhile may be off by more: then the
//! strange words are posted after all, and from there on nothing is held against anything.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::opcodes as op;
use super::sequences::Sequences;
use super::things::{GenerationId, OperationId};
use crate::event::{Completion, EventId};

/// Words of each side that wait for the other: a queue, what overflows it, and what clocks are apart.
const WAITING_MAX: usize = if cfg!(test) { 1 << 8 } else { 1 << 16 };
/// Places of posted words that one is held against, from a little before the latest that was taken on.
const LOOKED_MAX: usize = 1024;
const LOOKED_BEFORE: u64 = 64;
/// Strange words that wait for what they stand in for to be passed by.
const STRANGE_MAX: usize = 64;
/// Words of operations that may post without a word of it.
const UNTOLD_MAX: usize = 1 << 16;

/// How far the clocks of kernel and program may be apart: a millisecond, and what a clock may be slewed by from the
/// beginning on.
fn slack(at_ns: u64) -> u64 {
    1_000_000 + at_ns / 20_000
}

/// Whether an operation may post completions that no tracepoint tells of: zero-copy receives write theirs themselves,
/// and so may a driver; of a newer kernel's operations it is not known.
pub(super) fn is_untold(opcode: u8) -> bool {
    matches!(opcode, op::RECV_ZC | op::URING_CMD | op::URING_CMD128) || opcode > op::URING_CMD128
}

/// A word that was posted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Post {
    pub(super) event: EventId,
    pub(super) word: u64,
    pub(super) at_ns: u64,
    pub(super) result: (i32, u32),
    /// The operation's number, where the kernel says it.
    pub(super) operation: Option<u64>,
    /// What was taken first of what was posted later.
    passed: Option<Taken>,
    /// A strange word stands in for it.
    is_claimed: bool,
}

/// A word that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) event: EventId,
    pub(super) word: u64,
    pub(super) at_ns: u64,
    pub(super) result: (i32, u32),
    pub(super) scope: u32,
    /// What it was taken for.
    pub(super) operation: Option<OperationId>,
    pub(super) generation: Option<GenerationId>,
}

/// A word that was taken in another one's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forged {
    pub(super) taken: Taken,
    pub(super) posted: Post,
}

impl Forged {
    /// All but the word is as it was posted.
    pub(super) fn is_like(&self) -> bool {
        self.posted.result == self.taken.result
    }
}

/// A ring's words.
#[derive(Debug, Default)]
pub(super) struct Posts {
    posted: Line<Post>,
    /// With the place of the latest that was taken before.
    taken: Line<(Taken, u64)>,
    /// Nothing below was not looked at whether it is passed by.
    behind: u64,
    /// Words that were taken, not posted, and may stand in for the posted one with that number.
    strange: Vec<(Taken, u64)>,
    untold: FxHashSet<u64>,
    /// Words that were both posted and taken, and those that were taken only.
    agreed: u64,
    disagreed: u64,
    /// Times of one side are by batch: in which order things came is not known before the end.
    pub(super) is_unordered: bool,
    /// Nothing is held against anything any more.
    is_off: bool,
}

impl Posts {
    /// What is known of one side is not all.
    pub(super) fn give_up(&mut self) {
        *self = Self {
            is_off: true,
            ..Self::default()
        };
    }

    /// An operation went in.
    pub(super) fn submitted(&mut self, opcode: u8, word: u64) {
        if self.is_off || !is_untold(opcode) {
            return;
        }
        self.untold.insert(word);
        if self.untold.len() > UNTOLD_MAX {
            self.give_up();
        }
    }

    /// The kernel posted a completion.
    pub(super) fn posted(&mut self, event: EventId, at_ns: u64, it: &Completion) -> Vec<Forged> {
        if self.is_off {
            return Vec::new();
        }
        let found = self.decide(at_ns);
        if self.is_off {
            return found;
        }
        let posted = Post {
            event,
            word: it.cookie,
            at_ns,
            result: (it.res, it.flags),
            operation: it.operation,
            passed: None,
            is_claimed: false,
        };
        let (latest, any) = (slack(at_ns), self.is_unordered);
        let was_just_taken =
            |(taken, _): &(Taken, u64)| any || taken.at_ns.saturating_add(latest) >= at_ns;
        match self.taken.take(it.cookie, was_just_taken) {
            Some((_, (taken, _))) => {
                let at = self.posted.skip();
                self.agreed += 1;
                self.pass_by(at, taken);
            }
            None => {
                self.posted.push(it.cookie, posted);
            }
        }
        found
    }

    /// The program took a completion.
    pub(super) fn took(&mut self, taken: Taken) -> Vec<Forged> {
        if self.is_off {
            return Vec::new();
        }
        let said = self.decide(taken.at_ns);
        if self.is_off {
            return said;
        }
        // What was passed by can hardly come any more, but where threads' clocks are apart.
        let is_next = |posted: &Post| posted.passed.is_none() && !posted.is_claimed;
        let found = self.posted.take(taken.word, is_next);
        match found.or_else(|| self.posted.take(taken.word, |_| true)) {
            Some((at, _)) => {
                self.agreed += 1;
                self.pass_by(at, taken);
            }
            None => {
                self.taken.push(taken.word, (taken, self.behind));
            }
        }
        said
    }

    /// All is over. What was not passed by lay in the queue for whoever came next, and what was taken came besides.
    pub(super) fn finish(&mut self) -> Vec<Forged> {
        self.is_unordered = false;
        self.consider(None);
        self.settle(None)
    }

    /// A posted word was taken: those that were posted before it are passed by.
    fn pass_by(&mut self, at: u64, taken: Taken) {
        for before in self.behind..at {
            if let Some(posted) = self.posted.get_mut(before) {
                posted.passed = Some(taken);
            }
        }
        self.behind = self.behind.max(at);
    }

    /// What can be said by now.
    fn decide(&mut self, now: u64) -> Vec<Forged> {
        let mut is_much = self.taken.items.len() > WAITING_MAX;
        if self.posted.items.len() > WAITING_MAX {
            self.forget(now);
            // Half of them at least, or all are gone through again with each few events.
            is_much |= self.posted.items.len() > WAITING_MAX / 2;
        }
        if is_much {
            self.give_up();
            return Vec::new();
        }
        if self.taken.items.is_empty() && self.strange.is_empty() {
            return Vec::new();
        }
        if !self.is_unordered {
            self.consider(Some(now));
        }
        self.settle(Some(now))
    }

    /// Lets go of what was passed by so long ago that no word stands in for it any more.
    fn forget(&mut self, now: u64) {
        let oldest = self
            .taken
            .first()
            .map_or(now, |(_, (taken, _))| taken.at_ns);
        let oldest = oldest.min(now);
        self.posted.forget(|posted| {
            let over = |passed: Taken| passed.at_ns.saturating_add(slack(now)) < oldest;
            !posted.is_claimed && posted.passed.is_some_and(over)
        });
    }

    /// Words that were taken so long ago that what they are would have been posted by now; all that are left, at the end.
    fn consider(&mut self, now: Option<u64>) {
        while let Some((at, (taken, behind))) = self.taken.first() {
            let apart = slack(taken.at_ns);
            if now.is_some_and(|now| now <= taken.at_ns.saturating_add(apart.saturating_mul(2))) {
                break;
            }
            self.taken.remove(at, taken.word);
            self.disagreed += 1;
            if self.untold.contains(&taken.word) || self.strange.len() >= STRANGE_MAX {
                continue;
            }
            let from = taken.at_ns.saturating_sub(apart);
            let to = taken.at_ns.saturating_add(apart);
            let near = self
                .posted
                .from(behind.saturating_sub(LOOKED_BEFORE), LOOKED_MAX);
            let stands_in = near.filter(|(_, posted)| {
                let was_there =
                    posted.at_ns <= to && posted.passed.is_none_or(|it| it.at_ns >= from);
                was_there && !posted.is_claimed
            });
            // What only lost its word is likelier than what lost all.
            let found = stands_in.min_by_key(|(at, posted)| (posted.result != taken.result, *at));
            if let Some((at, _)) = found {
                self.strange.push((taken, at));
                if let Some(posted) = self.posted.get_mut(at) {
                    posted.is_claimed = true;
                }
            }
        }
    }

    /// Says what is certain by now; all that is left, at the end.
    fn settle(&mut self, now: Option<u64>) -> Vec<Forged> {
        let mut found = Vec::new();
        let mut index = 0;
        while let Some((taken, at)) = self.strange.get(index).copied() {
            let Some(posted) = self.posted.get_mut(at) else {
                // It was taken after all: the strange one came besides.
                self.strange.remove(index);
                continue;
            };
            // It may still be taken by a thread that is said to be later.
            let is_past = posted.passed.is_some_and(|passed| {
                now.is_none_or(|now| now > passed.at_ns.saturating_add(slack(passed.at_ns)))
            });
            if !is_past {
                index += 1;
            } else if self.posted.by_word.contains_key(&taken.word) {
                // Posted later than any clock of ours explains, and not taken then: this one it was.
                self.give_up();
                return found;
            } else {
                self.strange.remove(index);
                found.extend(self.forged(taken, at));
            }
        }
        found
    }

    /// One word in another's place, unless most of what is taken here was never posted: then it is another ring.
    fn forged(&mut self, taken: Taken, at: u64) -> Option<Forged> {
        let posted = *self.posted.get_mut(at)?;
        self.posted.remove(at, posted.word);
        // It stood in for one with a word that was posted, too: that was taken for its own, and its own is left over.
        let first = posted.passed.filter(|first| first.word == taken.word);
        let taken = first.unwrap_or(taken);
        (self.agreed >= self.disagreed).then_some(Forged { taken, posted })
    }
}

/// Things in their order, each with a word by which the oldest is found.
#[derive(Debug)]
struct Line<T> {
    /// Number of the first one.
    base: u64,
    items: VecDeque<Option<T>>,
    by_word: FxHashMap<u64, Sequences>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            base: 0,
            items: VecDeque::new(),
            by_word: FxHashMap::default(),
        }
    }
}

impl<T: Copy> Line<T> {
    fn push(&mut self, word: u64, item: T) {
        let at = self.base + self.items.len() as u64;
        self.items.push_back(Some(item));
        self.by_word.entry(word).or_default().push(at);
    }

    /// The next one is not there any more.
    fn skip(&mut self) -> u64 {
        let at = self.base + self.items.len() as u64;
        if self.items.is_empty() {
            self.base += 1;
        } else {
            self.items.push_back(None);
        }
        at
    }

    fn get_mut(&mut self, at: u64) -> Option<&mut T> {
        let place = usize::try_from(at.checked_sub(self.base)?).ok()?;
        self.items.get_mut(place)?.as_mut()
    }

    /// Takes out the oldest with a word that is as wanted, of the first few.
    fn take(&mut self, word: u64, is_wanted: impl Fn(&T) -> bool) -> Option<(u64, T)> {
        const FEW: usize = 8;
        let mut first: [Option<u64>; FEW] = [None; FEW];
        for (slot, at) in first.iter_mut().zip(self.by_word.get(&word)?.iter()) {
            *slot = Some(*at);
        }
        for at in first.into_iter().flatten() {
            let item = self.get_mut(at).copied();
            if let Some(item) = item.filter(|item| is_wanted(item)) {
                self.remove(at, word);
                return Some((at, item));
            }
        }
        None
    }

    fn remove(&mut self, at: u64, word: u64) {
        let place = at.checked_sub(self.base).map(usize::try_from);
        let Some(item) = place.and_then(|place| self.items.get_mut(place.ok()?)) else {
            return;
        };
        *item = None;
        if let Some(same) = self.by_word.get_mut(&word) {
            same.remove(at);
            if same.is_empty() {
                self.by_word.remove(&word);
            }
        }
        while let Some(None) = self.items.front() {
            self.items.pop_front();
            self.base += 1;
        }
    }

    fn first(&self) -> Option<(u64, T)> {
        let item = self.items.front().copied().flatten()?;
        Some((self.base, item))
    }

    /// Those at so many places from one on.
    fn from(&self, at: u64, count: usize) -> impl Iterator<Item = (u64, &T)> {
        let skipped = usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let skipped = skipped.min(self.items.len());
        let numbered = (self.base + skipped as u64..).zip(self.items.range(skipped..));
        numbered
            .take(count)
            .filter_map(|(at, item)| Some((at, item.as_ref()?)))
    }
}

impl Line<Post> {
    fn forget(&mut self, is_over: impl Fn(&Post) -> bool) {
        let all = self.from(self.base, usize::MAX);
        let over = all.filter(|(_, posted)| is_over(posted));
        let over: Vec<(u64, u64)> = over.map(|(at, posted)| (at, posted.word)).collect();
        for (at, word) in over {
            self.remove(at, word);
        }
    }
}
