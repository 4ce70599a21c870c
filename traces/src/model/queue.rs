//! What goes on between a ring's queues and the kernel: entries that never leave, completions that wait
//! for room or are taken twice, messages from ring to ring, and operations that name others.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::completions::all_are_ambiguous;
use super::cuts;
use super::finish::End;
use super::moment::{Cancels, Moment};
use super::opcodes as op;
use super::renames::new_name;
use super::state::State;
use super::things::{Operation, Overflow, RingState};
use super::{Observer, expect};
use crate::event::{Completion, Event, EventId, SiteId};

/// Flags of a cancellation: all that match; by descriptor; any; by user data; by opcode.
const CANCEL_ALL: u32 = 1;
const CANCEL_FD: u32 = 2;
const CANCEL_ANY: u32 = 4;
const CANCEL_USERDATA: u32 = 16;
const CANCEL_OP: u32 = 32;
/// `IORING_MSG_RING_CQE_SKIP`
const MESSAGE_IS_SILENT: u32 = 1;
/// Cookies of messages that are kept.
const MESSAGES_MAX: usize = if cfg!(test) { 1 << 8 } else { 1 << 16 };
/// Indices of a queue that are kept, however large it is.
const INDICES_MAX: usize = 1 << 16;
/// Operations that a cancellation may hit and a finding can name.
pub(crate) const TARGETS_MAX: usize = 64;
/// Operations with one cookie up to which each is told what a request that names the cookie does to it. Whose
/// completion is whose is not known of more.
pub(super) const NAMED_MAX: usize = 256;
/// Operations that are looked at for one whose cookie a cancellation names in part: so many on a ring, and so many
/// more for each completion.
const LOOKED_MAX: (u64, u64) = (1 << 20, 16);

/// Cookies that were sent to rings and not seen there, and whether there were more than are kept.
#[derive(Debug, Default)]
pub(super) struct Messages {
    sent: FxHashMap<u64, u32>,
    forgotten: bool,
}

impl State {
    /// The kernel says how many completions found no room.
    pub(super) fn overflow(&mut self, event: &Event, number: u32, count: u64) {
        let Some(ring) = self.rings.get_mut(&(event.process, number)) else {
            return;
        };
        match &mut ring.overflow {
            _ if count == 0 => ring.overflow = None,
            Some(overflow) => {
                overflow.looks = overflow.looks.saturating_add(1);
                overflow.count = count;
            }
            None => {
                ring.overflow = Some(Overflow {
                    count,
                    since: event.id,
                    since_ns: event.at_ns,
                    looks: 0,
                });
            }
        }
    }

    /// The head of a completion queue was moved past what nobody looked at, or past what had not come.
    pub(super) fn passed(
        &mut self,
        event: &Event,
        number: u32,
        unread: u32,
        (beyond, site): (u32, SiteId),
        observer: &mut Observer<'_>,
    ) {
        if let Some(ring) = self.rings.known((event.process, number)) {
            ring.unread = (unread, event.lane);
        }
        if beyond > 0 {
            observer.see(&Moment::WentBeyond {
                event: event.id,
                place: (event.process, number, event.scope),
                beyond,
                site,
            });
        }
    }

    /// Whether a completion is one that was taken before. Such a one changes nothing.
    pub(super) fn taken_twice(
        &mut self,
        event: &Event,
        completion: &Completion,
        observer: &mut Observer<'_>,
    ) -> bool {
        let Some(index) = completion.index else {
            return false;
        };
        let key = (event.process, completion.ring);
        let Some(ring) = self.rings.known(key) else {
            return false;
        };
        let entries = ring.info.map_or(0, |info| info.cq_entries);
        let again = ring.indices.get(&index).copied();
        // An index that far behind the newest has been used again since.
        let newest = ring.index_order.back().copied();
        let newest = newest.filter(|newest| {
            let behind = newest.wrapping_sub(index);
            entries > 0 && behind >= entries && behind < u32::MAX / 2
        });
        let lapped = newest.and_then(|newest| ring.indices.get(&newest).copied());
        let first = again.or(lapped);
        let sequences = ring.by_cookie.get(&completion.cookie);
        let id = sequences
            .and_then(|sequences| ring.flying.get(sequences.first()?))
            .map(|operation| operation.id);
        if let Some((first, operation)) = first {
            let overwritten = again.is_none();
            self.link(event.id).operation = operation.map(|id| (id.ring, id.sequence));
            observer.see(&Moment::TakenTwice {
                event: event.id,
                ring: completion.ring,
                scope: event.scope,
                index,
                first,
                operation: operation.filter(|_| !overwritten),
                overwritten,
                process: event.process,
            });
            return true;
        }
        ring.indices.insert(index, (event.id, id));
        ring.index_order.push_back(index);
        let keep = usize::try_from(entries).unwrap_or(usize::MAX);
        while ring.index_order.len() > keep.clamp(1, INDICES_MAX) {
            if let Some(oldest) = ring.index_order.pop_front() {
                ring.indices.remove(&oldest);
            }
        }
        false
    }

    /// Operations that were pushed and that the kernel never took, when their ring goes.
    pub(super) fn never_taken_at_drop(
        &self,
        event: &Event,
        number: u32,
        observer: &mut Observer<'_>,
    ) {
        let key = (event.process, number);
        let Some(ring) = self.rings.get(&key) else {
            return;
        };
        if ring.books_are_wrong || self.entered.get(&key) != Some(&Some(event.lane)) {
            return;
        }
        for sequence in &ring.queue {
            if let Some(operation) = ring.flying.get(sequence) {
                observer.see(&Moment::NeverTaken {
                    operation,
                    passed_by: ring.passes.saturating_sub(operation.passes),
                    dropped: Some(event.id),
                    until: event.id,
                });
            }
        }
    }

    /// What is wrong with the queues of a process that ended.
    pub(super) fn rings_at_end(&self, end: &End, observer: &mut Observer<'_>) {
        let mut rings: Vec<_> = self.rings.iter().collect();
        rings.retain(|((process, _), ring)| *process == end.process && ring.dropped.is_none());
        rings.sort_by_key(|(key, _)| **key);
        for (key, ring) in rings {
            for sequence in &ring.queue {
                let operation = ring.flying.get(sequence);
                if let Some(operation) = operation.filter(|_| !ring.books_are_wrong) {
                    observer.see(&Moment::NeverTaken {
                        operation,
                        passed_by: ring.passes.saturating_sub(operation.passes),
                        dropped: None,
                        until: end.at,
                    });
                }
            }
            let owed = ring.flying.values().filter(|operation| operation.sure);
            let owed = owed.filter(|operation| operation.consumed.is_some());
            let oldest = owed.clone().min_by_key(|operation| operation.submit);
            if let (Some(overflow), Some(operation)) = (ring.overflow, oldest) {
                observer.see(&Moment::Stalled {
                    ring: *key,
                    overflow,
                    operation,
                    owed: owed.count() as u64,
                    for_ns: end.at_ns.saturating_sub(overflow.since_ns),
                    until: end.at,
                    clean: end.clean,
                });
            }
        }
    }

    /// A message to another ring is a completion there that no entry of that ring explains.
    pub(super) fn note_message(&mut self, operation: &Operation) {
        let entry = &operation.entry;
        if entry.opcode != op::MSG_RING || entry.op_flags & MESSAGE_IS_SILENT != 0 {
            return;
        }
        let Messages { sent, forgotten } = &mut self.messages;
        if sent.len() < MESSAGES_MAX || sent.contains_key(&entry.off) {
            let count = sent.entry(entry.off).or_default();
            *count = count.saturating_add(1);
        } else {
            *forgotten = true;
        }
    }

    /// Whether a completion is a message, which it then was, or may be one of those that are forgotten.
    pub(super) fn take_message(&mut self, cookie: u64) -> bool {
        let Messages { sent, forgotten } = &mut self.messages;
        let Some(count) = sent.get_mut(&cookie) else {
            return *forgotten;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            sent.remove(&cookie);
        }
        true
    }

    /// Shows an operation that names others by their cookie, and notes what it does to them.
    pub(super) fn show_cancel(&mut self, operation: &Operation, observer: &mut Observer<'_>) {
        let is_quiet = operation.owes == expect::Owes::OnlyFailure;
        let Some(name) = Name::of(operation) else {
            if is_quiet && operation.entry.opcode == op::ASYNC_CANCEL {
                self.cancels_many_quietly(operation);
            }
            return;
        };
        let id = operation.id;
        // What stands for nobody names nobody.
        if self.schemes.is_sentinel(id.process, id.ring, name.cookie) {
            return;
        }
        let Some(ring) = self.rings.get(&(id.process, id.ring)) else {
            return;
        };
        let sequences = ring.by_cookie.get(&name.cookie).into_iter().flatten();
        let targets = sequences
            .filter_map(|sequence| ring.flying.get(sequence).map(Box::as_ref))
            .filter(|target| target.sure && name.may_hit(target))
            .take(TARGETS_MAX);
        let targets: Vec<&Operation> = targets.collect();
        let may_be_cut = targets.is_empty() && cuts::may_be_half(name.cookie) && ring.may_look();
        let cut_of = may_be_cut.then(|| {
            let flying = ring.flying.values().map(Box::as_ref);
            flying
                .filter(|other| cuts::is_half_of(name.cookie, other.entry.cookie))
                .min_by_key(|other| other.id.sequence)
        });
        let address = self.schemes.address(id.process, id.ring, name.cookie);
        observer.see(&Moment::Cancels(Cancels {
            operation,
            names: name.cookie,
            all: name.all,
            standing: self.standing(id.process, address),
            cut_of: cut_of.flatten(),
            targets,
        }));
        let renamed = new_name(operation);
        let Some(ring) = self.rings.get_mut(&(id.process, id.ring)) else {
            return;
        };
        ring.has_renamed |= renamed.is_some();
        if may_be_cut {
            ring.looked_at = ring.looked_at.saturating_add(ring.flying.len() as u64);
        }
        let named = ring.by_cookie.get(&name.cookie);
        if named.is_some_and(|named| named.len() > NAMED_MAX) {
            if is_quiet {
                ring.cancels.may_be_all(operation.submit);
            }
            if let Some(renamed) = renamed {
                self.lose_names(id, name.cookie, renamed);
            }
            return;
        }
        let named: SmallVec<[u64; 4]> = named.into_iter().flatten().copied().collect();
        for sequence in &named {
            if let Some(target) = ring.flying.get_mut(sequence) {
                target.abandoned.get_or_insert(operation.submit);
                target.cancelled_quietly |= is_quiet && renamed.is_none();
            }
        }
        // They may come back under either name.
        if let Some(cookie) = renamed {
            let (flying, renamed) = (&ring.flying, ring.by_cookie.entry(cookie).or_default());
            let in_flight = |sequence: &&u64| flying.contains_key(sequence);
            named
                .iter()
                .filter(in_flight)
                .for_each(|sequence| renamed.push(*sequence));
            let mut seen = FxHashSet::default();
            renamed.tidy(|sequence| flying.contains_key(sequence) && seen.insert(*sequence));
            if renamed.is_empty() {
                ring.by_cookie.remove(&cookie);
            }
            // Where all goes well, nothing will say so.
            if is_quiet {
                self.rename(id, name.cookie, cookie, false);
            }
        }
    }

    /// A cancellation of all on a ring or descriptor says nothing if it succeeds.
    fn cancels_many_quietly(&mut self, operation: &Operation) {
        let (entry, id) = (&operation.entry, operation.id);
        if entry.op_flags & CANCEL_FD != 0 {
            self.ends_all_on(id.process, entry.fd, operation.submit);
        } else if let Some(ring) = self.rings.get_mut(&(id.process, id.ring)) {
            ring.cancels.may_be_all(operation.submit);
        }
    }

    /// Shows an operation that found nobody of the name that it asked for, where another ring has it.
    ///
    /// What the name means is known only where it stands for something that was leaked; and where one of that
    /// name was on this ring, it may have ended just before.
    pub(super) fn show_missed(
        &self,
        event: &Event,
        operation: &Operation,
        observer: &mut Observer<'_>,
    ) {
        let id = operation.id;
        let Some(name) = Name::of(operation) else {
            return;
        };
        let key = (id.process, id.ring);
        let ring = self.rings.get(&key);
        if !ring.is_some_and(|ring| ring.never_carried(name.cookie)) {
            return;
        }
        let address = self.schemes.address(id.process, id.ring, name.cookie);
        let others = self.rings.live(id.process);
        let others = others.filter(|((process, number), _)| (*process, *number) != key);
        let elsewhere = others
            .flat_map(|(_, ring)| {
                let sequences = ring.by_cookie.get(&name.cookie).into_iter().flatten();
                sequences.filter_map(|sequence| ring.flying.get(sequence).map(Box::as_ref))
            })
            .take(TARGETS_MAX)
            .filter(|other| name.may_hit(other) && other.submit < operation.submit)
            .find(|other| {
                let generation = other.generation;
                generation.is_some_and(|generation| generation.address == address)
            });
        if let Some(elsewhere) = elsewhere {
            observer.see(&Moment::Missed {
                event: event.id,
                operation,
                elsewhere,
            });
        }
    }

    /// A cancellation that succeeded has ended what it named, or may have.
    pub(super) fn cancelled_by(&mut self, operation: &Operation, at: EventId, res: i32) {
        let (entry, id) = (&operation.entry, operation.id);
        let name = Name::of(operation);
        // Of several that carry one cookie it may be another that failed.
        if res < 0
            && !operation.ambiguous
            && let (Some(name), Some(to)) = (&name, new_name(operation))
        {
            self.keeps_name(id, name.cookie, to);
        }
        let wide = entry.opcode == op::ASYNC_CANCEL && name.is_none();
        if res < 0 || !(wide || name.is_some()) {
            return;
        }
        let Some(ring) = self.rings.get_mut(&(id.process, id.ring)) else {
            return;
        };
        if let Some(name) = name {
            let named = ring.by_cookie.get_mut(&name.cookie);
            if let Some(named) = named.filter(|named| named.len() > NAMED_MAX) {
                // Which of them it was is not said.
                all_are_ambiguous(named, &mut ring.flying);
                ring.cancels.all(at);
                if let Some(to) = new_name(operation) {
                    self.lose_names(id, name.cookie, to);
                }
                return;
            }
            let named = ring.by_cookie.get(&name.cookie);
            for sequence in named.into_iter().flatten() {
                if let Some(target) = ring.flying.get_mut(sequence) {
                    target.cancelled = true;
                }
            }
            if let Some(to) = new_name(operation) {
                self.rename(id, name.cookie, to, true);
            }
        } else if entry.op_flags & CANCEL_FD == 0 {
            ring.cancels.all(at);
        } else {
            ring.cancels.descriptor(entry.fd, at);
        }
    }
}

impl RingState {
    /// Whether operations may be looked through once more for one that a request names in part.
    pub(super) fn may_look(&self) -> bool {
        let allowed = LOOKED_MAX.1.saturating_mul(self.completions);
        self.looked_at < allowed.saturating_add(LOOKED_MAX.0)
    }
}

/// How an operation names others.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) cookie: u64,
    all: bool,
    /// The only opcode that it can hit.
    opcode: Option<u8>,
}

impl Name {
    pub(super) fn of(operation: &Operation) -> Option<Self> {
        let entry = &operation.entry;
        let flags = entry.op_flags;
        let opcode = match entry.opcode {
            op::TIMEOUT_REMOVE => Some(op::TIMEOUT),
            op::POLL_REMOVE => Some(op::POLL_ADD),
            op::ASYNC_CANCEL if flags & (CANCEL_FD | CANCEL_ANY) == 0 => {
                let by_opcode = flags & CANCEL_OP != 0;
                // Who says one of them means no other.
                if by_opcode && flags & CANCEL_USERDATA == 0 {
                    return None;
                }
                by_opcode.then(|| u8::try_from(entry.len).unwrap_or(u8::MAX))
            }
            _ => return None,
        };
        Some(Self {
            cookie: entry.addr,
            all: entry.opcode == op::ASYNC_CANCEL && flags & CANCEL_ALL != 0,
            opcode,
        })
    }

    pub(super) fn may_hit(self, target: &Operation) -> bool {
        // A timeout of a link is removed by its own kind of update only.
        self.opcode
            .is_none_or(|opcode| target.entry.opcode == opcode)
            && target.entry.opcode != op::LINK_TIMEOUT
            && target.owes != expect::Owes::OnlyFailure
    }
}
