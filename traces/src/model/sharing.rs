//! What several threads had their hands on, where times are by batch.
//!
//! Records of a batch share one time. The order within a lane is known all the same; what happened first
//! on two lanes is not, where their batches overlap. So what is said of a thing holds only where all
//! events of that thing are of one lane. Found by looks over all events, as losses are, and kept for
//! processes by batch alone: of all things, or of those that findings are about.

use rustc_hash::{FxHashMap, FxHashSet};

use super::buffers;
use super::facts::Facts;
use super::opcodes as op;
use super::schemes::Schemes;
use super::wanted::{Things, Wanted};
use crate::event::{Event, EventId, What};
use crate::finding::Subject;
use crate::recording::Recording;

/// Goes through all events, as often as it is called.
pub(super) type Each<'a> = &'a dyn Fn(&mut dyn FnMut(&Event));

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

impl Thing {
    /// What a subject's events happen to.
    pub(super) fn of(subject: Subject) -> Self {
        match subject {
            Subject::Generation { address, .. } => Self::Address(address),
            Subject::Operation { ring, .. } | Subject::Cookie { ring, .. } => Self::Ring(ring),
            Subject::Coroutine { coroutine, .. } => Self::Coroutine(coroutine),
        }
    }
}

/// The lanes that a thing was used by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Lanes {
    #[default]
    None,
    One(u32),
    #[allow(
        clippy::box_collection,
        reason = "most things have one, and there are many"
    )]
    Several(Box<FxHashSet<u32>>),
}

impl Lanes {
    fn add(&mut self, lane: u32) {
        match self {
            Self::None => *self = Self::One(lane),
            Self::One(known) if *known == lane => {}
            Self::One(known) => {
                *self = Self::Several(Box::new([*known, lane].into_iter().collect()));
            }
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
    /// None where it was not found out who used it: it is one of too many.
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
    /// Of each lane the first event of each of its batches, by number, where records are missing.
    batches: FxHashMap<u32, Vec<u64>>,
    /// Only things that somebody will ask for are kept.
    is_asked: bool,
    /// There are more of those than are kept.
    has_more: bool,
}

impl Sharing {
    /// Looks over all events, for all things or for what findings are about.
    pub(super) fn survey(
        recording: &Recording,
        facts: &Facts,
        each: Each<'_>,
        wanted: Option<&Wanted>,
    ) -> Self {
        let mut sharing = Self {
            by_batch: facts.by_batch.clone(),
            is_asked: wanted.is_some(),
            ..Self::default()
        };
        if sharing.by_batch.is_empty() {
            return sharing;
        }
        sharing.schemes.clone_from(&facts.declared);
        if let Some(wanted) = wanted {
            sharing.ask(recording, each, wanted);
        }
        each(&mut |event| sharing.learn(event));
        let mut batches: FxHashMap<u32, (u64, Vec<u64>)> = FxHashMap::default();
        each(&mut |event| {
            sharing.touched(event);
            if facts.is_lossy() && sharing.by_batch.contains(&event.process) {
                let (at_ns, firsts) = batches.entry(event.lane).or_default();
                if firsts.is_empty() || *at_ns != event.at_ns {
                    *at_ns = event.at_ns;
                    firsts.push(event.id.0);
                }
            }
        });
        let batches = batches.into_iter();
        sharing.batches = batches.map(|(lane, (_, firsts))| (lane, firsts)).collect();
        sharing
    }

    /// Makes room for what findings are about, and what they rest on.
    fn ask(&mut self, recording: &Recording, each: Each<'_>, wanted: &Wanted) {
        let mut things = Things::default();
        for (process, thing) in &wanted.things.all {
            things.add(*process, *thing);
        }
        things.has_more |= wanted.things.has_more;
        let of_batches = |process| recording.is_by_batch(process);
        let mut look = |event: &Event| {
            if !wanted.events.contains(event.id) {
                return;
            }
            let process = event.process;
            if of_batches(process) {
                // Whether a cookie was leaked is not known yet.
                self.named(event, |_| true, |thing| things.add(process, thing));
            }
            if let What::Complete(completion) = &event.what {
                things.add(0, Thing::Message(completion.cookie));
                if of_batches(process) {
                    things.add(process, Thing::Descriptor(completion.res));
                }
            }
        };
        if !wanted.events.is_empty() {
            each(&mut look);
        }
        self.has_more = things.has_more;
        let all = things.all.into_iter();
        self.lanes = all.map(|thing| (thing, Lanes::None)).collect();
    }

    fn learn(&mut self, event: &Event) {
        let process = event.process;
        match &event.what {
            What::Leak(p)
            | What::Reclaim(p)
            | What::Peek(p)
            | What::Retain(p)
            | What::Release(p)
            | What::LeakForever(p)
                if self.by_batch.contains(&process) =>
            {
                let key = (process, Thing::Address(p.address));
                if !self.is_asked || self.lanes.contains_key(&key) {
                    self.leaked.insert((process, p.address));
                }
            }
            _ => {}
        }
    }

    /// Notes whose lane an event is of, for all that it is about.
    fn touched(&mut self, event: &Event) {
        let mut lanes = std::mem::take(&mut self.lanes);
        let mut touch = |process, thing| {
            let key = (process, thing);
            if self.is_asked {
                if let Some(known) = lanes.get_mut(&key) {
                    known.add(event.lane);
                }
            } else {
                lanes.entry(key).or_default().add(event.lane);
            }
        };
        if self.by_batch.contains(&event.process) {
            self.about(event, |thing| touch(event.process, thing));
            behind(event, |thing| touch(event.process, thing));
        }
        if let Some(message) = message(event) {
            touch(0, message);
        }
        self.lanes = lanes;
    }

    /// Whether a process's times are by batch.
    pub(crate) fn is_by_batch(&self, process: u32) -> bool {
        self.by_batch.contains(&process)
    }

    /// Whether anything is known of batches: it is where records are missing.
    pub(crate) fn knows_batches(&self) -> bool {
        !self.batches.is_empty()
    }

    /// The event by which one of a lane had happened, the first of a later batch, behind all where there is none; itself
    /// where it has a time of its own.
    pub(crate) fn end(&self, lane: u32, event: EventId) -> EventId {
        let Some(firsts) = self.batches.get(&lane) else {
            return event;
        };
        let next = firsts.partition_point(|first| *first <= event.0);
        EventId(firsts.get(next).copied().unwrap_or(u64::MAX))
    }

    /// Why the order is not known in which these events came, and others of what they are about.
    pub(crate) fn unordered(
        &self,
        (process, subject): (u32, Subject),
        events: &[Event],
    ) -> Option<Unordered> {
        if !self.by_batch.contains(&process) {
            return None;
        }
        let mut found = self.several((process, Thing::of(subject)), None);
        let opens = events.iter().any(gives_descriptor);
        for event in events {
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
        let lanes: FxHashSet<u32> = events.iter().map(|event| event.lane).collect();
        let apart = (lanes.len() > 1).then_some(Unordered { thing: None, lanes });
        found.or(apart)
    }

    /// Whether several lanes used it, of a process by batch.
    pub(crate) fn is_shared(&self, process: u32, thing: Thing) -> bool {
        match self.lanes.get(&(process, thing)) {
            Some(lanes) => matches!(lanes, Lanes::Several(_)),
            None => self.is_left_out(process, thing),
        }
    }

    /// Whether nobody knows who used a thing, because there are too many that are asked for.
    fn is_left_out(&self, process: u32, thing: Thing) -> bool {
        let is_wanted = || matches!(thing, Thing::Message(_)) || self.by_batch.contains(&process);
        self.has_more && is_wanted() && !self.lanes.contains_key(&(process, thing))
    }

    /// The lanes of a thing, where there are several, that of who asks included.
    fn several(&self, (process, thing): (u32, Thing), asks: Option<u32>) -> Option<Unordered> {
        let Some(lanes) = self.lanes.get(&(process, thing)) else {
            return self.is_left_out(process, thing).then(|| Unordered {
                thing: Some(thing),
                lanes: FxHashSet::default(),
            });
        };
        let mut lanes = lanes.clone();
        if let Some(lane) = asks {
            lanes.add(lane);
        }
        let Lanes::Several(lanes) = lanes else {
            return None;
        };
        Some(Unordered {
            thing: Some(thing),
            lanes: *lanes,
        })
    }

    /// What an event is about.
    fn about(&self, event: &Event, each: impl FnMut(Thing)) {
        let process = event.process;
        let is_leaked = |word| {
            self.leaked.contains(&(process, word))
                || self.is_left_out(process, Thing::Address(word))
        };
        self.named(event, is_leaked, each);
    }

    /// The same, where somebody else says which words are leaked.
    fn named(&self, event: &Event, is_leaked: impl Fn(u64) -> bool, mut each: impl FnMut(Thing)) {
        let carried = |ring, cookie, each: &mut dyn FnMut(Thing)| {
            self.carried((event.process, ring), cookie, &is_leaked, each);
        };
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
                carried(Some(ring), entry.cookie, &mut each);
            }
            What::Complete(completion) => {
                let ring = completion.ring;
                each(Thing::Ring(ring));
                carried(Some(ring), completion.cookie, &mut each);
            }
            What::Resume { coroutine, by } => {
                each(Thing::Coroutine(*coroutine));
                if let Some((ring, cookie)) = by {
                    each(Thing::Ring(*ring));
                    carried(Some(*ring), *cookie, &mut each);
                }
            }
            What::Suspend { coroutine, cookies } => {
                each(Thing::Coroutine(*coroutine));
                for cookie in cookies {
                    carried(None, *cookie, &mut each);
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
    fn carried(
        &self,
        (process, ring): (u32, Option<u32>),
        cookie: u64,
        is_leaked: impl Fn(u64) -> bool,
        each: &mut dyn FnMut(Thing),
    ) {
        let on_ring = ring.map_or(cookie, |ring| self.schemes.address(process, ring, cookie));
        let on_any = self.schemes.address_on_any(process, cookie);
        for address in [cookie, on_ring, on_any] {
            if is_leaked(address) {
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
        surveyed(&format!("process 0 times=batch\n{lines}"))
    }

    fn surveyed(text: &str) -> (Trace, Sharing) {
        let trace = Trace::parse_text(text).unwrap();
        let (recording, events) = (trace.recording(), trace.events().as_slice().unwrap());
        let facts = Facts::survey(recording, events);
        let each = |look: &mut dyn FnMut(&Event)| events.iter().for_each(look);
        let sharing = Sharing::survey(recording, &facts, &each, None);
        (trace, sharing)
    }

    fn lanes_of(sharing: &Sharing, thing: Thing) -> usize {
        match sharing.lanes.get(&(0, thing)) {
            None => 0,
            Some(Lanes::None) => 0,
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
        let (_, sharing) =
            surveyed("0 a leak 0x1000 Conn\n1 b reclaim 0x1000 Conn\n2 b lost 1 removed");
        assert!(sharing.lanes.is_empty() && !sharing.knows_batches());
        assert_eq!(sharing.end(1, EventId(1)), EventId(1));
    }

    #[test]
    fn an_event_had_happened_by_the_next_time_of_its_lane() {
        let lines =
            "0 a mark x\n0 b mark x\n0 a mark x\n5 b mark x\n7 a mark x\n8 c lost 1 removed";
        let (trace, sharing) = survey(lines);
        let ends = trace.events().iter().take(5);
        let ends: Vec<u64> = ends
            .map(|event| sharing.end(event.lane, event.id).0)
            .collect();
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
            let events = trace.events().get(event).cloned();
            sharing.unordered((0, subject), events.as_slice())
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
        let first = trace.events().first().cloned();
        let found = sharing.unordered((0, subject), first.as_slice());
        let found = found.expect("two lanes");
        assert_eq!(found.thing, Some(Thing::Message(7)));
        assert_eq!(found.lanes.len(), 2);
    }

    #[test]
    fn of_more_things_than_are_followed_who_used_them_is_not_known() {
        let text = "process 0 times=batch
             0 a submit 0 NOP 0x0
             0 a submit 1 NOP 0x0";
        let (trace, all) = surveyed(text);
        let (recording, events) = (trace.recording(), trace.events().as_slice().unwrap());
        let facts = Facts::survey(recording, events);
        let each = |look: &mut dyn FnMut(&Event)| events.iter().for_each(look);
        let mut wanted = Wanted::default();
        wanted.things.add(0, Thing::Ring(0));
        wanted.things.has_more = true;
        let some = Sharing::survey(recording, &facts, &each, Some(&wanted));
        let ring = |ring| Subject::Operation {
            process: 0,
            ring,
            sequence: 0,
        };
        for (number, is_known) in [(0, true), (1, false)] {
            let thing = Thing::Ring(number);
            assert_eq!(some.is_shared(0, thing), !is_known);
            assert!(!all.is_shared(0, thing) && !some.is_shared(1, thing));
            let found = some.unordered((0, ring(number)), &[]);
            assert_eq!(found.is_none(), is_known);
            assert!(found.is_none_or(|found| found.lanes.is_empty()));
        }
    }
}
