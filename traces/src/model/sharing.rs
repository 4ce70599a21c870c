//! What several threads had their hands on, where times are by batch.
//!
//! Records of a batch share one time. The order within a lane is known all the same; what happened first
//! on two lanes is not, where their batches overlap. So what is said of a thing holds only where all
//! events of that thing are of one lane. Found in one look over all events, as losses are, and kept for
//! processes by batch alone.

use rustc_hash::{FxHashMap, FxHashSet};

use super::buffers;
use super::opcodes as op;
use super::schemes::Schemes;
use crate::event::{Event, EventId, What};
use crate::finding::Subject;
use crate::recording::Recording;

/// Something that events of one order happen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Thing {
    /// An address, or an index that was leaked.
    Address(u64),
    Ring(u32),
    Coroutine(u32),
    Descriptor(i32),
    /// A cookie that one ring sends to another, whatever their processes.
    Message(u64),
}

/// The lanes that a thing was used by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lanes {
    One(u32),
    Several(FxHashSet<u32>),
}

impl Lanes {
    fn add(&mut self, lane: u32) {
        match self {
            Self::One(known) if *known == lane => {}
            Self::One(known) => *self = Self::Several([*known, lane].into_iter().collect()),
            Self::Several(lanes) => {
                lanes.insert(lane);
            }
        }
    }
}

/// Why an order is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unordered {
    /// What was used by several lanes; nothing where only the events themselves are of several.
    pub(crate) thing: Option<Thing>,
    pub(crate) lanes: FxHashSet<u32>,
}

/// Who used what; empty where no process is by batch.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    lanes: FxHashMap<(u32, Thing), Lanes>,
    by_batch: FxHashSet<u32>,
    schemes: Schemes,
    /// Words that are leaked: cookies of one ring are its own unless they are one of these.
    leaked: FxHashSet<(u32, u64)>,
    /// For each event the one by which it had happened, by number.
    ends: Vec<u64>,
}

impl Sharing {
    /// Looks over all events.
    pub(crate) fn survey(recording: &Recording, events: &[Event]) -> Self {
        let processes = (0u32..).zip(&recording.processes);
        let by_batch = processes.filter(|(_, process)| process.times_by_batch);
        let mut sharing = Self {
            by_batch: by_batch.map(|(index, _)| index).collect(),
            ..Self::default()
        };
        if sharing.by_batch.is_empty() {
            return sharing;
        }
        for event in events {
            sharing.learn(event);
        }
        for event in events {
            let mut lanes = std::mem::take(&mut sharing.lanes);
            let mut touch = |process, thing| {
                lanes
                    .entry((process, thing))
                    .or_insert(Lanes::One(event.lane))
                    .add(event.lane);
            };
            if sharing.by_batch.contains(&event.process) {
                sharing.about(event, |thing| touch(event.process, thing));
                behind(event, |thing| touch(event.process, thing));
            }
            if let Some(message) = message(event) {
                touch(0, message);
            }
            sharing.lanes = lanes;
        }
        sharing.ends = sharing.ends(events);
        sharing
    }

    fn learn(&mut self, event: &Event) {
        let process = event.process;
        match &event.what {
            What::Scheme {
                ring,
                scheme,
                parameter,
            } => self.schemes.declare(process, *ring, *scheme, *parameter),
            What::Leak(p)
            | What::Reclaim(p)
            | What::Peek(p)
            | What::Retain(p)
            | What::Release(p)
            | What::LeakForever(p)
                if self.by_batch.contains(&process) =>
            {
                self.leaked.insert((process, p.address));
            }
            _ => {}
        }
    }

    /// The first event of a later time on the lane of each event; behind all where there is none.
    fn ends(&self, events: &[Event]) -> Vec<u64> {
        let mut ends: Vec<u64> = events.iter().map(|event| event.id.0).collect();
        // By lane: the time of its batch, the first event of it that was met, and the batch's end.
        let mut lanes: FxHashMap<u32, (u64, u64, u64)> = FxHashMap::default();
        for (event, end) in events.iter().zip(&mut ends).rev() {
            if !self.by_batch.contains(&event.process) {
                continue;
            }
            let none = (event.at_ns, event.id.0, u64::MAX);
            let batch = lanes.entry(event.lane).or_insert(none);
            if batch.0 != event.at_ns {
                batch.2 = batch.1;
            }
            (batch.0, batch.1) = (event.at_ns, event.id.0);
            *end = batch.2;
        }
        ends
    }

    /// The event by which this one had happened: itself, where it has a time of its own.
    pub(crate) fn end(&self, event: EventId) -> EventId {
        let at = usize::try_from(event.0).ok();
        let end = at.and_then(|at| self.ends.get(at));
        end.map_or(event, |end| EventId(*end))
    }

    /// Why the order is not known in which these events came, and others of what they are about.
    pub(crate) fn unordered<'a>(
        &self,
        (process, subject): (u32, Subject),
        events: impl Iterator<Item = &'a Event> + Clone,
    ) -> Option<Unordered> {
        if !self.by_batch.contains(&process) {
            return None;
        }
        let thing = match subject {
            Subject::Generation { address, .. } => Thing::Address(address),
            Subject::Operation { ring, .. } | Subject::Cookie { ring, .. } => Thing::Ring(ring),
            Subject::Coroutine { coroutine, .. } => Thing::Coroutine(coroutine),
        };
        let mut found = self.several((process, thing), None);
        let opens = events.clone().any(gives_descriptor);
        for event in events.clone() {
            let mut look = |process, thing| {
                if found.is_none() {
                    found = self.several((process, thing), Some(event.lane));
                }
            };
            self.about(event, |thing| look(event.process, thing));
            if let What::Complete(completion) = &event.what {
                look(0, Thing::Message(completion.cookie));
                if opens {
                    look(event.process, Thing::Descriptor(completion.res));
                }
            }
        }
        let lanes: FxHashSet<u32> = events.map(|event| event.lane).collect();
        let apart = (lanes.len() > 1).then_some(Unordered { thing: None, lanes });
        found.or(apart)
    }

    /// Whether several lanes used it, of a process by batch.
    pub(crate) fn is_shared(&self, process: u32, thing: Thing) -> bool {
        let lanes = self.lanes.get(&(process, thing));
        matches!(lanes, Some(Lanes::Several(_)))
    }

    /// The lanes of a thing, where there are several, that of who asks included.
    fn several(&self, (process, thing): (u32, Thing), asks: Option<u32>) -> Option<Unordered> {
        let mut lanes = self.lanes.get(&(process, thing))?.clone();
        if let Some(lane) = asks {
            lanes.add(lane);
        }
        let Lanes::Several(lanes) = lanes else {
            return None;
        };
        let thing = Some(thing);
        Some(Unordered { thing, lanes })
    }

    /// What an event is about.
    fn about(&self, event: &Event, mut each: impl FnMut(Thing)) {
        match &event.what {
            What::Leak(p)
            | What::Reclaim(p)
            | What::Peek(p)
            | What::Retain(p)
            | What::Release(p)
            | What::LeakForever(p) => each(Thing::Address(p.address)),
            What::RingCreate(ring) => each(Thing::Ring(ring.ring)),
            What::RingDrop { ring }
            | What::Claim { ring, .. }
            | What::Enter { ring, .. }
            | What::Overflow { ring, .. }
            | What::Passed { ring, .. }
            | What::BufferProvide { ring, .. } => each(Thing::Ring(*ring)),
            What::Submit(submission) => {
                let entry = &submission.entry;
                let ring = u32::from(entry.ring);
                each(Thing::Ring(ring));
                self.carried(event.process, Some(ring), entry.cookie, each);
            }
            What::Complete(completion) => {
                let ring = completion.ring;
                each(Thing::Ring(ring));
                self.carried(event.process, Some(ring), completion.cookie, each);
            }
            What::Resume { coroutine, by } => {
                each(Thing::Coroutine(*coroutine));
                if let Some((ring, cookie)) = by {
                    each(Thing::Ring(*ring));
                    self.carried(event.process, Some(*ring), *cookie, each);
                }
            }
            What::Suspend { coroutine, cookies } => {
                each(Thing::Coroutine(*coroutine));
                for cookie in cookies {
                    self.carried(event.process, None, *cookie, &mut each);
                }
            }
            What::Spawn { coroutine, .. }
            | What::Done { coroutine }
            | What::CoroutineDrop { coroutine }
            | What::Wake { coroutine } => each(Thing::Coroutine(*coroutine)),
            What::Alloc { address, .. }
            | What::Free { address, .. }
            | What::Unmap { address, .. }
            | What::BufferInit { address, .. } => each(Thing::Address(*address)),
            What::Realloc { from, to, .. } => {
                each(Thing::Address(*from));
                each(Thing::Address(*to));
            }
            What::BorrowBegin(borrow) | What::BorrowEnd(borrow) => {
                each(Thing::Address(borrow.cell));
            }
            What::FdOpen { fd, .. } | What::FdClose { fd, .. } => each(Thing::Descriptor(*fd)),
            _ => {}
        }
    }

    /// What a cookie stands for, if it was leaked: as it is, and without tags.
    fn carried(&self, process: u32, ring: Option<u32>, cookie: u64, mut each: impl FnMut(Thing)) {
        let on_ring = ring.map_or(cookie, |ring| self.schemes.address(process, ring, cookie));
        let on_any = self.schemes.address_on_any(process, cookie);
        for address in [cookie, on_ring, on_any] {
            if self.leaked.contains(&(process, address)) {
                each(Thing::Address(address));
            }
        }
    }
}

/// What an entry names besides its cookie. Whoever speaks of that has seen more than the entry.
fn behind(event: &Event, mut each: impl FnMut(Thing)) {
    if let What::Submit(submission) = &event.what {
        let entry = &submission.entry;
        buffers::pieces(entry).for_each(|piece| each(Thing::Address(piece.start)));
        buffers::descriptors(entry).for_each(|fd| each(Thing::Descriptor(fd)));
        if entry.opcode == op::CLOSE {
            each(Thing::Descriptor(entry.fd));
        }
    }
}

fn message(event: &Event) -> Option<Thing> {
    match &event.what {
        What::Submit(submission) if submission.entry.opcode == op::MSG_RING => {
            Some(Thing::Message(submission.entry.off))
        }
        _ => None,
    }
}

fn gives_descriptor(event: &Event) -> bool {
    matches!(&event.what, What::Submit(submission) if buffers::gives_descriptor(&submission.entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn survey(lines: &str) -> (Trace, Sharing) {
        let trace = Trace::parse_text(&format!("process 0 times=batch\n{lines}")).unwrap();
        let sharing = Sharing::survey(trace.recording(), trace.events().as_slice().unwrap());
        (trace, sharing)
    }

    fn lanes_of(sharing: &Sharing, thing: Thing) -> usize {
        match sharing.lanes.get(&(0, thing)) {
            None => 0,
            Some(Lanes::One(_)) => 1,
            Some(Lanes::Several(lanes)) => lanes.len(),
        }
    }

    #[test]
    fn things_know_the_lanes_that_used_them() {
        let (_, sharing) = survey(
            "0 a ring-create 0 sq=8 cq=16
             0 a scheme 0 tagged 0xf
             0 a leak 0x1000 Conn owner=Box
             0 a submit 0 READ 0x1003 addr=0x8000 len=64 fd=5
             0 b complete 0 0x1003 0
             0 c reclaim 0x1000 Conn owner=Box
             0 b spawn 9 Task
             0 b resume 9
             0 c fd-close 5
             0 c free 0x8000 64",
        );
        assert_eq!(lanes_of(&sharing, Thing::Address(0x1000)), 3);
        assert_eq!(lanes_of(&sharing, Thing::Ring(0)), 2);
        assert_eq!(lanes_of(&sharing, Thing::Coroutine(9)), 1);
        assert_eq!(lanes_of(&sharing, Thing::Descriptor(5)), 2);
        assert_eq!(lanes_of(&sharing, Thing::Address(0x8000)), 2);
        assert_eq!(lanes_of(&sharing, Thing::Address(0x1003)), 0);
    }

    #[test]
    fn nothing_is_kept_where_events_have_their_own_times() {
        let trace = Trace::parse_text("0 a leak 0x1000 Conn\n1 b reclaim 0x1000 Conn").unwrap();
        let sharing = Sharing::survey(trace.recording(), trace.events().as_slice().unwrap());
        assert!(sharing.lanes.is_empty() && sharing.ends.is_empty());
        assert_eq!(sharing.end(EventId(1)), EventId(1));
    }

    #[test]
    fn an_event_had_happened_by_the_next_time_of_its_lane() {
        let (_, sharing) = survey("0 a mark x\n0 b mark x\n0 a mark x\n5 b mark x\n7 a mark x");
        let ends: Vec<u64> = (0..5).map(|id| sharing.end(EventId(id)).0).collect();
        assert_eq!(ends, [4, 3, 4, u64::MAX, u64::MAX]);
    }

    #[test]
    fn cookies_of_one_value_on_two_rings_are_two_things() {
        let (trace, sharing) = survey(
            "0 a submit 0 NOP 0x0
             0 b submit 1 NOP 0x0
             0 b submit 1 MSG_RING 0x0 off=0x7",
        );
        let ring = |ring| Subject::Operation {
            process: 0,
            ring,
            sequence: 0,
        };
        let found = |subject, event: usize| {
            let events = trace.events().get(event).into_iter();
            sharing.unordered((0, subject), events)
        };
        assert_eq!(found(ring(0), 0), None);
        assert_eq!(found(ring(1), 1), None);
    }

    #[test]
    fn a_message_of_another_lane_may_explain_a_completion() {
        let (trace, sharing) = survey(
            "0 a complete 0 0x7 0
             0 b submit 1 MSG_RING 0x9 off=0x7",
        );
        let subject = Subject::Cookie {
            process: 0,
            ring: 0,
            cookie: 7,
        };
        let found = sharing.unordered((0, subject), trace.events().iter().take(1));
        let found = found.expect("two lanes");
        assert_eq!(found.thing, Some(Thing::Message(7)));
        assert_eq!(found.lanes.len(), 2);
    }
}
