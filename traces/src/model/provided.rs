//! Provided buffers: which the kernel has, and which the program was handed and did not give back.
//!
//! A group is followed by the ids that were given to the kernel in the recording. Where the kernel
//! takes some away by its own choice, or hands out several at once, the group is followed no more.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rustc_hash::FxHashMap;

use super::Observer;
use super::finish::End;
use super::moment::Moment;
use super::opcodes::{BUNDLE, CQE_BUF_MORE, CQE_BUFFER, SQE_BUFFER_SELECT};
use super::state::State;
use super::things::{Operation, OperationId};
use crate::event::{Completion, Event, EventId};

/// `-ENOBUFS`
const NO_BUFFERS: i32 = -105;
/// Buffers of a group that the kernel takes at once.
const AT_ONCE_MAX: u32 = 1 << 15;
/// Buffers that are followed, each time that they are given: so many in all, and so many more for each event. A
/// record may claim many.
const GIVEN_MAX: (u64, u64) = if cfg!(test) {
    (1 << 10, 4)
} else {
    (1 << 24, 4)
};

/// Process, ring and number of a group.
pub(super) type GroupId = (u32, u32, u32);

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Provided {
    groups: BTreeMap<GroupId, Group>,
    lost_track: BTreeSet<GroupId>,
    /// Buffers that were followed so far.
    given: u64,
}

#[derive(Debug, Default)]
struct Group {
    /// With the kernel.
    given: FxHashMap<u32, Given>,
    /// With the program, since the group last ran dry; and those that were out then: each is one of them once, however
    /// often it runs dry.
    taken: FxHashMap<u32, Taken>,
    awaited: FxHashMap<u32, Awaited>,
    /// Of those that were ever given back, when the newest was handed out: one that was handed out before that, and is out
    /// still, was overtaken.
    newest_back: Option<EventId>,
    /// While it waits, the ring's round in which it ran dry, or got one back of those that were out then.
    waits_since: Option<u64>,
    /// The most rounds that the program ever let it wait for one.
    longest_wait: Option<u64>,
    /// Once it had run dry the program went on with buffers that it had not had before.
    is_renewed: bool,
    /// The program took it from the kernel whole, in this round of the ring, and none was ever given back.
    withdrawn: Option<u64>,
    /// When it was last used: a buffer was handed out, or one was asked for by a submission whose completion came.
    used: Option<EventId>,
    /// The newest submissions that found none: of all, and of those on the descriptor that was the first to find none.
    refused: Option<EventId>,
    refused_again: Option<EventId>,
    refused_first: Option<i32>,
}

/// Whether a buffer was missed, once its group had run dry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Nobody wanted one any more: who has finished needs to give none back.
    No,
    /// Somebody asked in vain here, who may not have known yet.
    Perhaps(EventId),
    /// It was asked for again here where one had been refused; or others came back and were used again.
    Yes(EventId),
}

impl Group {
    /// A buffer is given to the kernel. Those that were out when the group ran dry end its waiting, one by one; and so does
    /// a new one, where none ever came back.
    fn gets(&mut self, buffer: u32, round: u64) {
        if let Some(taken) = self.taken.remove(&buffer) {
            self.newest_back = self.newest_back.max(Some(taken.event));
        } else if let Some(awaited) = self.awaited.remove(&buffer) {
            self.newest_back = self.newest_back.max(Some(awaited.taken.event));
            self.longest_wait = self.waited(round);
            self.waits_since = (!self.awaited.is_empty()).then_some(round);
        } else {
            let is_new = !self.given.contains_key(&buffer) && self.newest_back.is_none();
            if is_new && self.waits_since.is_some() {
                self.longest_wait = self.waited(round);
                (self.waits_since, self.is_renewed) = (None, true);
            }
        }
    }

    /// The longest that it waited, as of a round.
    fn waited(&self, round: u64) -> Option<u64> {
        let waited = self.waits_since.map(|since| round.saturating_sub(since));
        self.longest_wait.max(waited)
    }

    /// What it is once it was taken from the kernel and is filled anew.
    fn anew(&self, round: u64) -> Self {
        Self {
            longest_wait: self.waited(round),
            is_renewed: self.is_renewed || self.waits_since.is_some(),
            ..Self::default()
        }
    }

    /// A completion found no buffer left.
    fn runs_dry(&mut self, event: EventId, round: u64, operation: &Operation) {
        let (asked, fd) = (Some(operation.submit), Some(operation.entry.fd));
        self.refused = self.refused.max(asked);
        if self.refused_first == fd {
            self.refused_again = self.refused_again.max(asked);
        }
        if self.taken.is_empty() {
            return;
        }
        self.refused_first = fd;
        // Not drained: that would clear the room for all that were ever out at once, each time.
        let taken = std::mem::take(&mut self.taken).into_iter();
        let awaited = |taken| Awaited {
            taken,
            dry: event,
            round,
        };
        self.awaited
            .extend(taken.map(|(buffer, taken)| (buffer, awaited(taken))));
        self.waits_since = Some(round);
    }

    /// Whether any of its buffers is with the program.
    fn is_any_out(&self) -> bool {
        !self.taken.is_empty() || !self.awaited.is_empty()
    }

    /// Whether one of its buffers that is out may well be no lost one in a round.
    ///
    /// A program may use up all that there is on purpose. It gives back in turn, and the end finds it with the newest in
    /// hand; or it never gives any back and goes on with others. It is known by that it let the group wait before, for as
    /// long.
    fn is_usual(&self, taken: EventId, round: u64) -> bool {
        let waits_as_ever = self.longest_wait.is_some() && self.waited(round) == self.longest_wait;
        waits_as_ever
            && match self.newest_back {
                Some(_) => !self.was_overtaken(taken),
                None => self.is_renewed,
            }
    }

    /// Whether one of its buffers that is out was missed.
    ///
    /// Where one that was handed out later came back, it is enough that the group is used at all: this one is left out. All
    /// others may be what a program has in hand that works no more, as long as it asks for none.
    fn is_missed(&self, awaited: &Awaited) -> Missed {
        let since = |at: Option<EventId>| at.filter(|at| *at > awaited.dry);
        let surely = if self.was_overtaken(awaited.taken.event) {
            self.used
        } else {
            self.refused_again
        };
        match (since(surely), since(self.refused)) {
            (Some(at), _) => Missed::Yes(at),
            (None, Some(at)) => Missed::Perhaps(at),
            (None, None) => Missed::No,
        }
    }

    /// Whether one that was handed out later came back.
    fn was_overtaken(&self, taken: EventId) -> bool {
        self.newest_back.is_some_and(|newest| newest > taken)
    }
}

/// Who told that a buffer was given to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Teller {
    /// The program, by a hook.
    Hook,
    /// The entry that gives it.
    Entry,
    /// Each of them: they told of one giving.
    Both,
}

#[derive(Clone, Copy, Debug)]
struct Given {
    /// Where.
    event: EventId,
    /// Whether the kernel has handed out a part.
    partly: bool,
    by: Teller,
}

impl Given {
    /// Whether what another tells is this giving once more. A program that provides buffers by entries, which the
    /// probe sees, may call the hook for them, too; in a ring of buffers there is no entry for any.
    fn is_same(&self, by: Teller) -> bool {
        !self.partly && self.by != Teller::Both && self.by != by
    }
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    event: EventId,
    scope: u32,
    operation: Option<OperationId>,
}

/// One that was out when its group ran dry: the first completion that found no buffer left, and the ring's round then.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    taken: Taken,
    dry: EventId,
    round: u64,
}

impl Provided {
    /// Buffers that are looked at where each group runs dry the next time.
    #[cfg(test)]
    pub(super) fn looked_at(&self) -> usize {
        self.groups.values().map(|group| group.taken.len()).sum()
    }

    /// What the kernel has of a group is not known any more.
    pub(super) fn lose_track(&mut self, group: GroupId) {
        self.groups.remove(&group);
        self.lost_track.insert(group);
    }
}

impl State {
    /// Buffers are handed to the kernel.
    pub(super) fn provide(
        &mut self,
        event: &Event,
        id: GroupId,
        (first, count): (u32, u32),
        by: Teller,
        observer: &mut Observer<'_>,
    ) {
        self.told(event, |told| told.provided = true);
        let round = self.rings.round(&(id.0, id.1));
        if count == 0 && by == Teller::Hook {
            self.withdraw(event, id, round, observer);
            return;
        }
        self.provided.given = self.provided.given.saturating_add(u64::from(count));
        let for_events = GIVEN_MAX.1.saturating_mul(self.summary.events);
        let allowed = GIVEN_MAX.0.saturating_add(for_events);
        if count > AT_ONCE_MAX || self.provided.given > allowed {
            self.provided.lose_track(id);
        }
        if self.provided.lost_track.contains(&id) {
            return;
        }
        let mut twice = None;
        let group = self.provided.groups.entry(id).or_default();
        if group.withdrawn.is_some() {
            *group = group.anew(round);
        }
        for offset in 0..count {
            let buffer = first.wrapping_add(offset) & 0xFFFF;
            group.gets(buffer, round);
            match group.given.get_mut(&buffer) {
                Some(known) if known.is_same(by) => known.by = Teller::Both,
                known => {
                    twice = twice.or(known.map(|known| (buffer, *known)));
                    let given = Given {
                        event: event.id,
                        partly: false,
                        by,
                    };
                    group.given.insert(buffer, given);
                }
            }
        }
        if let Some((buffer, before)) = twice {
            observer.see(&Moment::GivenTwice {
                event: event.id,
                place: (event.process, event.scope),
                buffer: (id.1, id.2, buffer),
                since: before.event,
                partly: before.partly,
            });
        }
    }

    /// A group is taken from the kernel whole; its number begins anew. Who used up all of it and never gave any back may
    /// do so to fill it again: that is known at the end.
    fn withdraw(&mut self, event: &Event, id: GroupId, round: u64, observer: &mut Observer<'_>) {
        self.provided.lost_track.remove(&id);
        let Some(group) = self.provided.groups.get_mut(&id) else {
            return;
        };
        if group.newest_back.is_none() && group.is_any_out() {
            group.given.clear();
            group.withdrawn.get_or_insert(round);
            return;
        }
        self.buffers_lost(id..=id, event.id, (true, true), observer);
        self.provided.groups.remove(&id);
    }

    /// A completion may have handed out a buffer, or have found none.
    pub(super) fn buffer_taken(
        &mut self,
        event: &Event,
        operation: Option<&Operation>,
        completion: &Completion,
        round: u64,
    ) {
        let Some(operation) = operation else {
            self.taken_by_nobody(event.process, completion);
            return;
        };
        let entry = &operation.entry;
        if entry.sqe_flags & SQE_BUFFER_SELECT == 0 && completion.flags & CQE_BUFFER == 0 {
            return;
        }
        let id = operation.id;
        let group = (id.process, id.ring, u32::from(entry.buf_index));
        // Whose group it was is not sure.
        if operation.ambiguous || entry.ioprio & BUNDLE != 0 {
            self.provided.lose_track(group);
            return;
        }
        let Some(known) = self.provided.groups.get_mut(&group) else {
            return;
        };
        let is_handed_out = completion.flags & CQE_BUFFER != 0;
        if known.withdrawn.is_none() {
            let used = if is_handed_out {
                event.id
            } else {
                operation.submit
            };
            known.used = known.used.max(Some(used));
        }
        if is_handed_out {
            let buffer = completion.flags >> 16;
            if completion.flags & CQE_BUF_MORE != 0 {
                if let Some(given) = known.given.get_mut(&buffer) {
                    given.partly = true;
                }
            } else if known.given.remove(&buffer).is_some() {
                let taken = Taken {
                    event: event.id,
                    scope: event.scope,
                    operation: Some(id),
                };
                known.taken.insert(buffer, taken);
            }
        } else if completion.res == NO_BUFFERS
            && known.withdrawn.is_none()
            && known.given.is_empty()
        {
            known.runs_dry(event.id, round, operation);
        }
    }

    /// A buffer was handed out for an operation whose submission is missing, so that nobody knows whose group it was of.
    #[cold]
    fn taken_by_nobody(&mut self, process: u32, completion: &Completion) {
        if completion.flags & CQE_BUFFER == 0 {
            return;
        }
        let (ring, buffer) = (completion.ring, completion.flags >> 16);
        let of_ring = (process, ring, 0)..=(process, ring, u32::MAX);
        let groups = self.provided.groups.range(of_ring);
        let has_it = groups.filter(|(_, group)| group.given.contains_key(&buffer));
        let perhaps: Vec<GroupId> = has_it.map(|(id, _)| *id).collect();
        for group in perhaps {
            self.provided.lose_track(group);
        }
    }

    pub(super) fn buffers_at_drop(
        &mut self,
        event: &Event,
        ring: u32,
        observer: &mut Observer<'_>,
    ) {
        let of_ring = (event.process, ring, 0)..=(event.process, ring, u32::MAX);
        self.buffers_lost(of_ring.clone(), event.id, (true, true), observer);
        let Provided {
            groups, lost_track, ..
        } = &mut self.provided;
        // A program may have many rings: those of others are not looked at.
        while let Some(id) = groups.range(of_ring.clone()).next().map(|(id, _)| *id) {
            groups.remove(&id);
        }
        while let Some(id) = lost_track.range(of_ring.clone()).next().copied() {
            lost_track.remove(&id);
        }
    }

    pub(super) fn buffers_at_end(&self, end: &End, observer: &mut Observer<'_>) {
        let of_process = (end.process, 0, 0)..=(end.process, u32::MAX, u32::MAX);
        self.buffers_lost(of_process, end.at, (end.clean, false), observer);
    }

    fn buffers_lost(
        &self,
        concerned: RangeInclusive<GroupId>,
        until: EventId,
        (clean, dropped): (bool, bool),
        observer: &mut Observer<'_>,
    ) {
        let groups = self.provided.groups.range(concerned);
        let lost = groups.flat_map(|(id, group)| {
            let awaited = group.awaited.iter();
            awaited.map(move |(buffer, awaited)| (*id, *buffer, *awaited, group))
        });
        let mut lost: Vec<_> = lost.collect();
        lost.sort_by_key(|(_, buffer, awaited, _)| (awaited.taken.event, *buffer));
        for ((process, ring, number), buffer, awaited, group) in lost {
            let Awaited {
                taken,
                dry,
                round: then,
            } = awaited;
            let now = self.rings.round(&(process, ring));
            let round = group.withdrawn.unwrap_or(now);
            let made = self.rings.get(&(process, ring)).and_then(|ring| ring.made);
            let is_withdrawn = group.withdrawn.is_some();
            observer.see(&Moment::BufferLost {
                is_usual: group.is_usual(taken.event, round),
                missed: group.is_missed(&awaited),
                taken: taken.event,
                // That others did not overtake it tells nothing where what they did is missing.
                since: if group.was_overtaken(taken.event) {
                    Some(taken.event)
                } else {
                    made
                },
                place: (process, taken.scope),
                buffer: (ring, number, buffer),
                operation: taken.operation,
                dry,
                until,
                rounds: round.saturating_sub(then),
                clean: clean || is_withdrawn,
                none_back: (dropped || is_withdrawn) && group.newest_back.is_none(),
            });
        }
    }
}
