//! Reclaims that may have been a look: an owner that is made of its pointer, and given away again instead
//! of being dropped.
//!
//! `ManuallyDrop::new(Rc::from_raw(p))`, or `from_raw` and then `into_raw` or `forget`, is how a program
//! looks at what it gave away without taking it back. While operations are in flight the first half of that
//! is told from an owner taken back too early by the second half alone, so that such a reclaim waits for
//! it. Where something else happens to the address first, it was no look, and is judged as what it is.

use rustc_hash::FxHashMap;
use wire::record::Owner;

use super::addresses::{Address, Place};
use super::moment::Moment;
use super::schemes::Schemes;
use super::state::{State, within};
use super::things::{Generation, Operation, OperationId};
use super::{Link, Observer};
use crate::event::{Event, EventId, Pointer, What};
use crate::recording::{Ended, Recording};

/// Reclaims that wait, of one lane and of all: of as many at once nobody knows what the oldest was, and nothing is said of it.
const OF_LANE_MAX: usize = 64;
const MAX: usize = 512;
/// Events after which one has waited long enough.
const PATIENCE: u64 = 4096;
/// How far behind the start of its block an owner's pointer may lie, where a free does not say its size.
const HEADER_MAX: u64 = 64;

/// A handle that came back while operations were in flight for it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) event: EventId,
    pub(super) process: u32,
    pub(super) lane: u32,
    pub(super) pointer: Pointer,
    pub(super) place: Place,
    /// Its leases are already without this one.
    pub(super) generation: Generation,
    /// What was in flight then for certain.
    pub(super) owing: Vec<Operation>,
    pub(super) stranded: bool,
    pub(super) brought_by: Option<OperationId>,
    /// The coroutine that ran on its lane.
    pub(super) running: Option<u32>,
}

impl Taken {
    /// Whether it may turn out to have been a look.
    pub(super) fn may_be_look(&self) -> bool {
        // An entry that is taken out of a table is not given back to it, but to somebody else.
        !matches!(self.pointer.owner, Owner::Index | Owner::Unknown)
    }

    /// Whether an event is the second half of a look. A leak where the first one was made is another
    /// owner's: a pool, or a clone, has given the same block to the next operation. So may be one in another
    /// file, or of another coroutine; and where frees are not recorded, one that is not the lane's next event.
    fn is_given_again(&self, event: &Event, running: Option<u32>, recording: &Recording) -> bool {
        // `Box::leak(Box::from_raw(p))` is a look, too, and no word on how long.
        let (What::Leak(pointer) | What::LeakForever(pointer)) = &event.what else {
            return false;
        };
        let before = &self.pointer;
        (event.process, event.lane) == (self.process, self.lane)
            && (pointer.address, pointer.owner, pointer.ty)
                == (before.address, before.owner, before.ty)
            && pointer.site != self.generation.leak_site
            && recording.site(pointer.site).file == recording.site(before.site).file
            && running == self.running
    }

    /// Whether an event has anything to do with what was taken back: any of its lane, where nobody says what is
    /// freed.
    fn is_touched(
        &self,
        event: &Event,
        frees_are_known: bool,
        schemes: &Schemes,
        scopes: &FxHashMap<(u32, u32), u32>,
    ) -> bool {
        // What others do meanwhile says nothing of a thread that was interrupted between the two.
        let is_late = event.id.0.saturating_sub(self.event.0) > PATIENCE;
        if event.lane == self.lane && (!frees_are_known || is_late) {
            return true;
        }
        let (process, at) = (self.process, self.pointer.address);
        if event.process != process {
            return false;
        }
        let is_it =
            |ring: u32, cookie: u64| cookie == at || schemes.address(process, ring, cookie) == at;
        let is_within = |start: u64, size: u64| {
            let size = if size == 0 { HEADER_MAX + 1 } else { size };
            at.checked_sub(start).is_some_and(|behind| behind < size)
        };
        match &event.what {
            What::Leak(p)
            | What::Retain(p)
            | What::LeakForever(p)
            | What::Reclaim(p)
            | What::Release(p)
            | What::Peek(p) => p.address == at,
            What::Free { address, size }
            | What::Unmap { address, size }
            | What::Alloc { address, size, .. } => is_within(*address, *size),
            What::Realloc { from, to, size } => is_within(*from, 0) || is_within(*to, *size),
            What::Submit(submission) => {
                let entry = &submission.entry;
                let ring = u32::from(entry.ring);
                [entry.cookie, entry.addr, entry.off]
                    .iter()
                    .any(|word| is_it(ring, *word))
            }
            What::Complete(completion) => is_it(completion.ring, completion.cookie),
            What::Shared { cookie } => schemes.address_on_any(process, *cookie) == at,
            What::RingDrop { ring } => self.owing.iter().any(|owing| owing.id.ring == *ring),
            What::ScopeEnd { scope, .. } => within(scopes, process, self.generation.scope, *scope),
            What::Lost(_) => true,
            _ => false,
        }
    }
}

impl State {
    /// Waits for what comes of a reclaim.
    pub(super) fn wait_for_second_half(&mut self, taken: Taken) {
        let of_lane = |other: &Taken| other.lane == taken.lane;
        let oldest = if self.taken.iter().filter(|other| of_lane(other)).count() >= OF_LANE_MAX {
            self.taken.iter().position(of_lane)
        } else {
            (self.taken.len() >= MAX).then_some(0)
        };
        if let Some(oldest) = oldest {
            let oldest = self.taken.remove(oldest);
            self.leave_open(&oldest);
        }
        self.taken.push(taken);
    }

    /// Decides about reclaims that wait, as far as an event tells; whether it is the second half of one,
    /// and says no more than that.
    pub(super) fn decide_looks(&mut self, event: &Event, observer: &mut Observer<'_>) -> bool {
        let running = self.running.get(&event.lane).copied();
        let is_half = |taken: &Taken| taken.is_given_again(event, running, observer.recording);
        if let Some(half) = self.taken.iter().rposition(is_half) {
            let taken = self.taken.remove(half);
            self.looked(event, &taken);
            return true;
        }
        // Those that there are may be what is missing.
        let frees_are_known = self.memory.has_frees || self.is_lossy;
        let mut at = 0;
        while let Some(taken) = self.taken.get(at) {
            if taken.is_touched(event, frees_are_known, &self.schemes, &self.scope_parents) {
                let taken = self.taken.remove(at);
                self.take_back(taken, event.id, observer);
            } else {
                at += 1;
            }
        }
        false
    }

    /// It was a look: all is as it was before.
    fn looked(&mut self, event: &Event, taken: &Taken) {
        let live = self.addresses.at(taken.place).and_then(Address::live_mut);
        if let Some(live) = live {
            live.leases = live.leases.saturating_add(1);
            live.returned = live.returned.saturating_sub(1);
            live.lane = event.lane;
            live.peeked = true;
            if let Some(flight) = &mut live.flight {
                flight.forget_handle(taken.pointer.site);
            }
        }
        *self.link(event.id) = Link {
            address: taken.pointer.address,
            generation: taken.generation.id.number,
            ..Link::default()
        };
    }

    /// What it was is not known: its owner lives on, and it is not asked for.
    fn leave_open(&mut self, taken: &Taken) {
        let live = self.addresses.at(taken.place).and_then(Address::live_mut);
        if let Some(live) = live {
            live.leases = live.leases.saturating_add(1);
            live.reported = true;
        }
    }

    /// It was none; `until` is the event that shows it.
    pub(super) fn take_back(&mut self, taken: Taken, until: EventId, observer: &mut Observer<'_>) {
        let Taken {
            event,
            pointer,
            generation,
            ..
        } = &taken;
        let here = (*event, pointer.site);
        for owing in &taken.owing {
            let ring = self.rings.get_mut(&(owing.id.process, owing.id.ring));
            let flying = ring.and_then(|ring| ring.flying.get_mut(&owing.id.sequence));
            if let Some(operation) = flying {
                operation.reclaimed.get_or_insert(here);
            }
        }
        if generation.leases == 0 {
            self.bury(taken.place, here);
        }
        observer.see(&Moment::Reclaimed {
            event: *event,
            until,
            site: pointer.site,
            generation,
            freed: false,
            stranded: taken.stranded,
            owing: taken.owing.iter().collect(),
            brought_by: taken.brought_by,
        });
    }

    /// Decides about those that wait at the end of all processes.
    pub(super) fn decide_looks_at_end(
        &mut self,
        recording: &Recording,
        observer: &mut Observer<'_>,
    ) {
        let until = EventId(self.summary.events);
        for taken in std::mem::take(&mut self.taken) {
            let process = recording.process(taken.process);
            let stopped = process.is_some_and(|process| {
                // Watched to an end that was none of its own: it goes on, or was told to end.
                let goes_on = process.watched_until_ns.is_some() && process.was_cut_off();
                process.stopped.is_some() || goes_on || is_killed_by_others(process.ended)
            });
            // Its second half may have been next.
            if stopped || recording.is_cut(taken.lane) {
                if taken.generation.leases == 0 {
                    self.bury(taken.place, (taken.event, taken.pointer.site));
                }
                continue;
            }
            self.take_back(taken, until, observer);
        }
    }
}

/// Whether a process was killed by somebody else, and not for what it did.
fn is_killed_by_others(ended: Ended) -> bool {
    const HANGUP: i32 = 1;
    const INTERRUPT: i32 = 2;
    const KILL: i32 = 9;
    const TERMINATE: i32 = 15;
    let Ended::Killed { signal, .. } = ended else {
        return false;
    };
    matches!(signal, HANGUP | INTERRUPT | KILL | TERMINATE)
}
