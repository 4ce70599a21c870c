//! Slots that a program filled once for good, in rings that the shim recorded.
//!
//! A program may fill some slots of its ring once, user_data with them, and hand them over again and again as they are.
//! The shim's poison comes back from such a slot each time, just as from one whose cookie was forgotten. So an operation
//! whose slot was filled once, went in exactly so ever since and still names something that lives is held, until
//! it is known better: where the slot turns out to have been filled again, where another entry comes from it,
//! or where its word goes in when what it names is gone, all that was held is true at once. Where nothing of that happens
//! before the ring ends, nobody forgot anything.
//!
//! What is missing may have shown it, either way: a cookie that was set, or that the ring was dropped and made anew in
//! between. So each says from where to where nothing must be missing, and what is held at the end of a ring becomes a
//! question where anything is.

use wire::payload::Submit;
use wire::record::CookieState;

use super::Observer;
use super::moment::Moment;
use super::state::State;
use super::things::{GenerationId, Lap, Operation, RingState};
use crate::event::{Event, EventId, Submission};

/// Operations that are held for a slot; further ones are counted.
const HELD_MAX: usize = 4;
/// Words below are no pointers: the shim does not watch what they name.
const LOWEST_POINTER: u64 = 0x1_0000;

/// How often a slot was filled, by what is seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// It is not asked: whoever fills it says so, or it was filled where nobody looked.
    Untold,
    /// Once.
    Once,
    /// More than once, or its word names nothing any more, as an event showed.
    Again {
        /// From where on nothing must be missing for that; nothing where it rests on all that was before.
        since: Option<EventId>,
        shown: EventId,
    },
}

/// What it rests on that nobody set an operation's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rests {
    /// On its own record.
    Record,
    /// On what is known of its slot between two events, or up to one.
    Slot {
        since: Option<EventId>,
        until: EventId,
    },
    /// On nothing: it is not true unless something is missing between these.
    Nothing {
        since: Option<EventId>,
        until: EventId,
    },
}

/// Operations of one slot that are held, oldest first, and how many there are besides.
#[derive(Debug, Default)]
pub(crate) struct Held {
    first: Vec<Operation>,
    more: u64,
}

impl Held {
    /// They may come in any order, and the oldest are those that are told of.
    fn add(&mut self, operation: &Operation) {
        let at = self
            .first
            .partition_point(|held| held.submit < operation.submit);
        if at < HELD_MAX {
            self.first.insert(at, operation.clone());
        }
        if at >= HELD_MAX || self.first.len() > HELD_MAX {
            self.first.truncate(HELD_MAX);
            self.more = self.more.saturating_add(1);
        }
    }
}

/// Whether an entry is its slot's old one to the last bit, where that tells anything: one without an address or a
/// descriptor is the same without being the old one.
pub(crate) fn is_again(entry: &Submit, lap: &Lap) -> bool {
    let old = Submit {
        sequence: entry.sequence,
        site: entry.site,
        ..lap.entry
    };
    let telling = entry.addr != 0 || entry.fd >= 0;
    *entry == old && telling
}

/// Whether the shim's poison came back.
fn is_poisoned(operation: &Operation) -> bool {
    operation.cookie_state == CookieState::Poisoned
}

impl Filled {
    /// What it rests on that nobody set the cookie of an operation that went in before, if this shows it.
    fn rests_of_before(self, submit: EventId) -> Option<Rests> {
        let Self::Again { since, shown } = self else {
            return None;
        };
        Some(Rests::Slot {
            since: since.map(|_| submit),
            until: shown,
        })
    }
}

impl RingState {
    /// How often the slot of an entry was filled, once that has gone in with what its word names.
    pub(super) fn filled(
        &self,
        event: EventId,
        submission: &Submission,
        (generation, exceeds): (Option<GenerationId>, bool),
        is_lossy: bool,
    ) -> Filled {
        let again = |since| Filled::Again {
            since,
            shown: event,
        };
        if submission.cookie_state == CookieState::Set {
            return again(Some(event));
        }
        let Some(lap) = self.laps.get(&submission.entry.slot) else {
            // It was filled before anybody looked.
            let is_late = submission.cookie_state == CookieState::Poisoned || self.made.is_none();
            return if is_late && !is_lossy {
                Filled::Untold
            } else {
                Filled::Once
            };
        };
        if !is_again(&submission.entry, lap) {
            return again(Some(lap.submit));
        }
        match lap.filled {
            Filled::Once if lap.is_gone || exceeds || lap.generation != generation => again(None),
            as_before => as_before,
        }
    }

    /// What it rests on that nobody set an operation's cookie; nothing where that is not known yet.
    fn rests(&self, operation: &Operation) -> Option<Rests> {
        let submit = operation.submit;
        match operation.filled {
            Filled::Again { since, .. } => Some(Rests::Slot {
                since,
                until: submit,
            }),
            Filled::Once if is_poisoned(operation) => {
                let later = self.filled_again.get(&operation.entry.slot)?;
                later.rests_of_before(submit)
            }
            Filled::Once | Filled::Untold => Some(Rests::Record),
        }
    }

    /// What it rests on, of operations that were not shown before the ring came to its end, and of the oldest that are
    /// held for each slot, which are not shown where nothing is missing.
    pub(super) fn at_end<'a>(
        &'a self,
        open: impl Iterator<Item = &'a Operation>,
        until: impl Fn(&Operation) -> Option<EventId>,
    ) -> Vec<(&'a Operation, Rests)> {
        let (mut over, mut held) = (Vec::new(), Vec::new());
        for operation in open {
            match self.rests(operation) {
                Some(rests) => over.push((operation, rests)),
                None => held.push(operation),
            }
        }
        held.extend(self.held.values().filter_map(|held| held.first.first()));
        held.sort_by_key(|operation| (operation.entry.slot, operation.submit));
        held.dedup_by_key(|operation| operation.entry.slot);
        for operation in held {
            let since = self.made;
            let rests = until(operation).map(|until| Rests::Nothing { since, until });
            over.extend(rests.map(|rests| (operation, rests)));
        }
        over
    }
}

impl State {
    /// Shows an operation whose cookie nobody set, with all that came of it, once it is known that nobody did.
    pub(super) fn settle(&mut self, operation: &Operation, observer: &mut Observer<'_>) {
        let id = operation.id;
        let Some(ring) = self.rings.get_mut(&(id.process, id.ring)) else {
            return settled(operation, Rests::Record, 1, observer);
        };
        match ring.rests(operation) {
            Some(rests) => settled(operation, rests, 1, observer),
            None => ring
                .held
                .entry(operation.entry.slot)
                .or_default()
                .add(operation),
        }
    }

    /// The slot of an operation turned out to have been filled again when it went in: what was held of it is true.
    pub(super) fn no_more_held(&mut self, operation: &Operation, observer: &mut Observer<'_>) {
        let (id, slot, filled) = (operation.id, operation.entry.slot, operation.filled);
        let was_once = |lap: &Lap| lap.filled == Filled::Once;
        if filled == Filled::Once || !operation.lap.as_deref().is_some_and(was_once) {
            return;
        }
        let Some(ring) = self.rings.get_mut(&(id.process, id.ring)) else {
            return;
        };
        ring.filled_again.insert(slot, filled);
        let held = ring.held.remove(&slot).unwrap_or_default();
        let last = held.first.len().saturating_sub(1);
        for (at, operation) in held.first.iter().enumerate() {
            let more = if at == last { held.more } else { 0 };
            if let Some(rests) = filled.rests_of_before(operation.submit) {
                settled(operation, rests, more.saturating_add(1), observer);
            }
        }
    }

    /// Remembers the word of a slot that was filled once, to know when what it points to is freed.
    pub(super) fn note_word(&mut self, event: &Event, operation: &Operation) {
        let (id, entry) = (operation.id, &operation.entry);
        let word = |cookie| (id.process, cookie, id.ring, entry.slot);
        match (&operation.lap, operation.filled) {
            (None, Filled::Once) if entry.cookie >= LOWEST_POINTER => {
                let since = (event.lane, event.at_ns);
                self.words.insert(word(entry.cookie), since);
            }
            (Some(lap), Filled::Again { .. }) if lap.filled == Filled::Once => {
                self.words.remove(&word(lap.cookie));
            }
            _ => {}
        }
    }

    /// A block is gone, and words that point into it name nothing any more.
    ///
    /// On another core it may have gone before the slot was filled, which is known where the clocks leave no doubt.
    pub(super) fn forget_words(
        &mut self,
        event: &Event,
        (start, end): (u64, u64),
        observer: &Observer<'_>,
    ) {
        if self.words.is_empty() || start >= end {
            return;
        }
        let process = event.process;
        let by_batch = || {
            let its = observer.recording.process(process);
            its.is_some_and(|process| process.times_by_batch)
        };
        let within = (process, start, 0, 0)..(process, end, 0, 0);
        for ((_, _, ring, slot), (lane, at_ns)) in self.words.range(within) {
            let is_behind = || {
                let sure = at_ns.saturating_add(super::memory::UNCERTAIN_NS);
                event.at_ns > sure && !by_batch()
            };
            if (*lane == event.lane || is_behind())
                && let Some(ring) = self.rings.get_mut(&(process, *ring))
                && let Some(lap) = ring.laps.get_mut(slot)
            {
                lap.is_gone = true;
            }
        }
    }

    /// A ring is over: so are its slots.
    pub(super) fn forget_words_of(&mut self, (process, number): (u32, u32)) {
        let Some(ring) = self.rings.get(&(process, number)) else {
            return;
        };
        if self.words.is_empty() {
            return;
        }
        for (slot, lap) in &ring.laps {
            self.words.remove(&(process, lap.cookie, number, *slot));
        }
    }
}

/// Shows so many of its kind.
pub(super) fn settled(
    operation: &Operation,
    rests: Rests,
    times: u64,
    observer: &mut Observer<'_>,
) {
    let lap = operation.lap.as_ref();
    let dead_at_submit =
        operation.generation.is_none() && lap.is_some_and(|lap| lap.generation.is_some());
    observer.see(&Moment::Settled {
        operation,
        dead_at_submit,
        rests,
        times,
    });
}
