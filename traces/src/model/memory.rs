//! Memory and descriptors that operations in flight point at, and what happens to them.
//!
//! Kept only where the recording says anything about frees, moves or stacks. What is gone is judged
//! once the clocks of all cores are past it: on another core the last completion may have been first.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::Observer;
use super::addresses::Place;
use super::buffers::{self, Part, Piece, Until};
use super::expect::Owes;
use super::moment::{Gone, MemoryGone, Moment};
use super::opcodes as op;
use super::state::State;
use super::things::{Operation, OperationId};
use crate::event::{Completion, Event, EventId, SiteId};

/// How far the clocks of two cores may be apart.
pub(super) const UNCERTAIN_NS: u64 = 100;
/// Pieces that are looked at for one free.
const LOOK_MAX: usize = 4096;
/// Longest piece that is kept whole: a longer one is claimed by its beginning.
const LONGEST: u64 = 1 << 30;
/// Traced buffers that are kept.
const BUFFERS_MAX: usize = 1 << 16;

/// Where an object may lie in its block: at its start, or behind the counts of an `Rc` or `Arc`.
const OBJECT_OFFSETS: [u64; 5] = [0, 8, 16, 32, 64];

/// Pieces by process, start, operation and place in its entry.
type PieceKey = (u32, u64, u32, u64, u8);
/// Where descriptors of operations, by ring and sequence number, were closed, and whether that place is where they were
/// made.
type Closed = BTreeMap<(u32, u64), (EventId, bool)>;

/// Operations in flight that name a descriptor and were not in flight yet when it was closed the last time, by ring and
/// sequence number.
///
/// All that a program has in flight may be on one. So none is looked at where its number is given out: when that was says
/// later which of them name an older file.
#[derive(Debug, Default)]
struct Named {
    operations: BTreeSet<(u32, u64)>,
    /// The latest time that the number was given out, and the lane.
    opened: Option<(EventId, u32)>,
    /// The latest time that all on it were asked to end: what does is not in flight for long.
    ended: Option<EventId>,
}

/// What is known of memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Frees, moves or stacks are recorded.
    pub(super) is_recorded: bool,
    /// What is freed is.
    pub(super) has_frees: bool,
    pieces: BTreeMap<PieceKey, (Piece, u64)>,
    /// The length of the longest piece there ever was.
    longest: u64,
    descriptors: FxHashMap<(u32, i32), Named>,
    /// Operations in flight on descriptors that were closed, and whose numbers were not given out since.
    closed: FxHashMap<(u32, i32), Closed>,
    /// Traced buffers: size, how much is initialised, and who says so.
    buffers: BTreeMap<(u32, u64), (u64, u64, EventId)>,
    /// What is gone and not judged yet.
    hits: Vec<Hit>,
}

#[derive(Debug)]
struct Hit {
    event: EventId,
    at_ns: u64,
    lane: u32,
    how: Gone,
    operation: Operation,
    piece: Piece,
    ring_dropped: bool,
}

impl Memory {
    /// Whether there are hits that were not shown yet.
    pub(super) fn has_hits(&self) -> bool {
        !self.hits.is_empty()
    }

    /// A traced buffer says how much of it is initialised.
    pub(super) fn buffer(&mut self, event: &Event, address: u64, size: u64, initialised: u64) {
        let process = event.process;
        self.drop_buffers(process, address, size.max(1));
        if size > initialised && self.buffers.len() < BUFFERS_MAX {
            let said = (size, initialised, event.id);
            self.buffers.insert((process, address), said);
        }
    }

    /// How many pieces of memory operations in flight point at.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// How many operations are kept by a descriptor that they name.
    #[cfg(test)]
    pub(super) fn named(&self) -> usize {
        let named = self.descriptors.values().map(|it| it.operations.len());
        named.sum::<usize>() + self.closed.values().map(Closed::len).sum::<usize>()
    }

    /// An operation that names a descriptor is over.
    fn forget_named(&mut self, key: (u32, i32), operation: (u32, u64)) {
        if let Some(named) = self.descriptors.get_mut(&key) {
            named.operations.remove(&operation);
            if named.operations.is_empty() {
                self.descriptors.remove(&key);
            }
        }
        if let Some(closed) = self.closed.get_mut(&key) {
            closed.remove(&operation);
            if closed.is_empty() {
                self.closed.remove(&key);
            }
        }
    }

    /// Buffers that touch this memory are no more.
    fn drop_buffers(&mut self, process: u32, address: u64, size: u64) {
        if self.buffers.is_empty() {
            return;
        }
        let end = address.saturating_add(size);
        loop {
            let before = self.buffers.range((process, 0)..(process, end)).next_back();
            match before.map(|(key, (size, ..))| (*key, key.1.saturating_add(*size))) {
                Some((key, key_end)) if key_end > address => self.buffers.remove(&key),
                _ => break,
            };
        }
    }

    /// The traced buffer that an address lies in: its address, size, and what is initialised.
    fn buffer_at(&self, process: u32, address: u64) -> Option<(u64, u64, u64, EventId)> {
        let upto = (process, 0)..=(process, address);
        let ((_, start), (size, initialised, said)) = self.buffers.range(upto).next_back()?;
        (address < start.saturating_add(*size)).then_some((*start, *size, *initialised, *said))
    }

    /// Pieces that touch `[start, end)`.
    fn touching(&self, process: u32, start: u64, end: u64) -> Vec<(PieceKey, Piece)> {
        // A trace may hold stack pointers below their stack.
        if start >= end {
            return Vec::new();
        }
        let from = start.saturating_sub(self.longest);
        let keys = (process, from, 0, 0, 0)..(process, end, 0, 0, 0);
        let near = self.pieces.range(keys).take(LOOK_MAX);
        near.filter(|(key, (_, piece_end))| key.1 < end && *piece_end > start)
            .map(|(key, (piece, _))| (*key, *piece))
            .collect()
    }
}

impl State {
    /// Notes what an operation points at, and what the kernel reads there.
    pub(super) fn note_memory(&mut self, operation: &Operation, observer: &mut Observer<'_>) {
        let id = operation.id;
        for piece in buffers::pieces(&operation.entry) {
            if piece.part == Part::Source {
                self.read_by_kernel(operation, &piece, observer);
            }
        }
        if !self.memory.is_recorded && !self.results.recorded.contains(&id.process) {
            return;
        }
        for fd in buffers::descriptors(&operation.entry) {
            let named = self.memory.descriptors.entry((id.process, fd));
            let operations = &mut named.or_default().operations;
            operations.insert((id.ring, id.sequence));
        }
        for (index, piece) in all_pieces(operation).enumerate() {
            let len = piece.len.min(LONGEST);
            self.memory.longest = self.memory.longest.max(len);
            let end = piece.start.saturating_add(len);
            let key = key(id, &piece, index);
            self.memory.pieces.insert(key, (piece, end));
        }
    }

    /// Forgets what an operation points at.
    pub(super) fn forget_memory(&mut self, operation: &Operation) {
        let id = operation.id;
        let memory = &self.memory;
        if memory.pieces.is_empty() && memory.descriptors.is_empty() && memory.closed.is_empty() {
            return;
        }
        for (index, piece) in all_pieces(operation).enumerate() {
            self.memory.pieces.remove(&key(id, &piece, index));
        }
        for fd in buffers::descriptors(&operation.entry) {
            self.memory
                .forget_named((id.process, fd), (id.ring, id.sequence));
        }
    }

    /// A block is gone; `size` is 0 where it is not known.
    pub(super) fn freed(
        &mut self,
        event: &Event,
        address: u64,
        size: u64,
        how: Gone,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        let size = size.max(1);
        self.memory.drop_buffers(process, address, size);
        self.borrows.gone(process, address, size);
        self.freed_generation(event, address, size, observer);
        self.gone(event, address, address.saturating_add(size), how);
    }

    /// A block is gone in which something leaked lives: it was taken back where nobody looked.
    ///
    /// Told by one thread only: on another core the block may have been freed before it was handed out
    /// again.
    fn freed_generation(
        &mut self,
        event: &Event,
        block: u64,
        size: u64,
        observer: &mut Observer<'_>,
    ) {
        for offset in OBJECT_OFFSETS.iter().filter(|offset| **offset < size) {
            let at = block.saturating_add(*offset);
            let Some(place) = self.addresses.find((event.process, at)) else {
                continue;
            };
            let lane = self.lane_of(event, place);
            let Some(address) = self.addresses.at(place) else {
                continue;
            };
            let brought_by = address.brought_by();
            let live = address.live().filter(|live| live.lane == lane);
            let Some(live) = live else {
                continue;
            };
            let mut generation = live.clone();
            generation.leases = 0;
            let turned = self.turned.remove(&(event.process, at));
            self.bury(place, turned.unwrap_or((event.id, SiteId(0))));
            let link = self.link(event.id);
            (link.address, link.generation) = (at, generation.id.number);
            if generation.flying() > 0 {
                let owing = self.owing(&generation, at);
                observer.see(&Moment::Reclaimed {
                    event: event.id,
                    until: event.id,
                    site: SiteId(0),
                    generation: &generation,
                    freed: true,
                    stranded: false,
                    owing,
                    brought_by,
                });
            }
        }
    }

    /// The lane that a thread's calls are recorded in: what probes tell of it has one of its own.
    fn lane_of(&mut self, event: &Event, place: Place) -> u32 {
        if !self.is_probed(event.process) {
            return event.lane;
        }
        let live = self.addresses.at(place).and_then(|it| it.live());
        let lane = live.map(|live| live.lane);
        let same = |lane: &u32| self.thread(*lane) == self.thread(event.lane);
        lane.filter(same).unwrap_or(event.lane)
    }

    /// A block moved, or lost its end. Its old size is not known, so only what begins where it began
    /// is taken to have been in it.
    ///
    /// Said when it is done: by then another thread may have the old block, and operations that point
    /// into it. So a move is judged for operations of the thread that moved it.
    pub(super) fn realloc(&mut self, event: &Event, (from, to): (u64, u64), size: u64) {
        let process = event.process;
        self.memory.drop_buffers(process, from, 1);
        if from != to {
            for (key, piece) in self.memory.touching(process, from, from.saturating_add(1)) {
                let ring = self.rings.get(&(process, key.2));
                let operation = ring.and_then(|ring| ring.flying.get(&key.3));
                let own = operation.is_some_and(|operation| operation.lane == event.lane);
                if own && piece.part != Part::Cookie {
                    self.hit(event, key, piece, Gone::Moved);
                }
            }
            return;
        }
        let end = from.saturating_add(size);
        for (key, piece) in self.memory.touching(process, end, end.saturating_add(1)) {
            if piece.start == from {
                self.hit(event, key, piece, Gone::Shrunk);
            }
        }
    }

    /// The frames between `lowest` and the stack pointer have returned.
    pub(super) fn returned(&mut self, event: &Event, stack_pointer: u64, lowest: u64) {
        for (key, piece) in self.memory.touching(event.process, lowest, stack_pointer) {
            // What reaches beyond them is no part of them.
            if piece.start < lowest || piece.start.saturating_add(piece.len) > stack_pointer {
                continue;
            }
            self.hit(event, key, piece, Gone::Returned);
        }
    }

    fn gone(&mut self, event: &Event, start: u64, end: u64, how: Gone) {
        for (key, piece) in self.memory.touching(event.process, start, end) {
            // Who owns a cookie the probe knows from leaks; else it is known only from the block that it points into.
            let is_cookie = piece.part == Part::Cookie;
            let untold = self.owners_untold.contains(&event.process) && how == Gone::Freed;
            if !is_cookie || untold {
                self.hit(event, key, piece, how);
            }
        }
    }

    /// Keeps a piece that is gone until it can be judged.
    fn hit(&mut self, event: &Event, at: PieceKey, piece: Piece, how: Gone) {
        let (process, _, number, sequence, _) = at;
        let Some(ring) = self.rings.get(&(process, number)) else {
            return;
        };
        let Some(operation) = ring.flying.get(&sequence) else {
            self.memory.pieces.remove(&at);
            return;
        };
        let ring_dropped = ring.dropped.is_some();
        if ring_dropped && self.by_shim.contains(&process) {
            // Whether the program waited for the kernel in its own way is not seen.
            return;
        }
        if piece.part == Part::Cookie && piece.start != operation.entry.cookie {
            // An update gave it another since.
            self.memory.pieces.remove(&at);
            return;
        }
        let copied = piece.until == Until::Taken && !self.is_untaken(operation, event.lane);
        let hidden = ring.books_are_wrong && piece.until == Until::Taken;
        // The word of a cancelled one comes back all the same.
        let over = ring.has_cancelled(operation) && piece.part != Part::Cookie;
        // Its twin with the same cookie may be the one that is still in flight.
        if copied || hidden || over || operation.ambiguous || !operation.sure {
            return;
        }
        let operation = Operation::clone(operation);
        self.memory.pieces.remove(&at);
        self.link(event.id).operation = Some((number, sequence));
        self.memory.hits.push(Hit {
            event: event.id,
            at_ns: event.at_ns,
            lane: event.lane,
            how,
            operation,
            piece,
            ring_dropped,
        });
    }

    /// A completion shows that what was gone a moment before on another core was not in use any more.
    pub(super) fn no_hits(&mut self, id: OperationId, lane: u32) {
        let hits = &mut self.memory.hits;
        hits.retain(|hit| hit.operation.id != id || hit.lane == lane);
    }

    /// Shows what is gone and can be judged by now.
    #[inline]
    pub(super) fn show_hits(&mut self, now_ns: u64, observer: &mut Observer<'_>) {
        if self.memory.has_hits() {
            self.show_ripe_hits(now_ns, observer);
        }
    }

    #[cold]
    fn show_ripe_hits(&mut self, now_ns: u64, observer: &mut Observer<'_>) {
        let ripe = |hit: &Hit| now_ns > hit.at_ns.saturating_add(UNCERTAIN_NS);
        let hits = std::mem::take(&mut self.memory.hits);
        let (ripe, rest): (Vec<Hit>, Vec<Hit>) = hits.into_iter().partition(ripe);
        self.memory.hits = rest;
        for hit in ripe {
            observer.see(&Moment::MemoryGone(MemoryGone {
                event: hit.event,
                how: hit.how,
                operation: &hit.operation,
                piece: hit.piece,
                ring_dropped: hit.ring_dropped,
                generation: hit.operation.generation,
            }));
        }
    }

    /// A descriptor is closed; `made`: with the place where it was made.
    pub(super) fn fd_close(
        &mut self,
        event: &Event,
        fd: i32,
        made: bool,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        self.results.used(process, fd);
        let key = (process, fd);
        let named = self.memory.descriptors.remove(&key).unwrap_or_default();
        let by_batch = observer.recording.is_by_batch(process);
        let mut flying = self.memory.closed.remove(&key).unwrap_or_default();
        let Named {
            operations,
            opened,
            ended,
        } = named;
        for (number, sequence) in operations {
            let Some(operation) = self.operation(process, number, sequence) else {
                continue;
            };
            if opened.is_some_and(|opened| self.names_older(operation, opened, by_batch)) {
                continue;
            }
            if self.is_untaken(operation, event.lane) {
                observer.see(&Moment::DescriptorGone {
                    event: event.id,
                    fd,
                    operation,
                    closed: None,
                    refused: None,
                    made,
                });
            } else if operation.sure && ended < Some(operation.submit) {
                flying.insert((number, sequence), (event.id, made));
            }
        }
        if !flying.is_empty() {
            self.memory.closed.insert(key, flying);
        }
    }

    /// An operation is to close a descriptor: if it does, what the kernel took before is on a file without a number.
    pub(super) fn closing(&mut self, operation: &Operation, observer: &Observer<'_>) {
        let id = operation.id;
        let key = (id.process, operation.entry.fd);
        let Some(named) = self.memory.descriptors.get(&key) else {
            return;
        };
        let by_batch = observer.recording.is_by_batch(id.process);
        let is_before = |(number, sequence): &(u32, u64)| {
            let Some(other) = self.operation(id.process, *number, *sequence) else {
                return false;
            };
            // A queue is taken in its order, and no other is.
            let taken = *number == id.ring || other.consumed.is_some();
            let is_unordered = by_batch && other.lane != operation.lane;
            let is_older = |opened| self.names_older(other, opened, by_batch);
            taken
                && !is_unordered
                && other.sure
                && named.ended < Some(other.submit)
                && !named.opened.is_some_and(is_older)
        };
        let before: Vec<_> = named.operations.iter().copied().filter(is_before).collect();
        if before.is_empty() {
            return;
        }
        let closed = self.memory.closed.entry(key).or_default();
        for flying in before {
            closed.insert(flying, (operation.submit, false));
            if let Some(named) = self.memory.descriptors.get_mut(&key) {
                named.operations.remove(&flying);
            }
        }
    }

    /// An operation has not closed a descriptor.
    pub(super) fn not_closed(&mut self, operation: &Operation) {
        let key = (operation.id.process, operation.entry.fd);
        let Some(closed) = self.memory.closed.get_mut(&key) else {
            return;
        };
        let named = self.memory.descriptors.entry(key).or_default();
        closed.retain(|flying, (by, _)| {
            let stays = *by != operation.submit;
            if !stays {
                named.operations.insert(*flying);
            }
            stays
        });
        if closed.is_empty() {
            self.memory.closed.remove(&key);
        }
        if named.operations.is_empty() {
            self.memory.descriptors.remove(&key);
        }
    }

    /// All that is in flight on a descriptor is asked to end.
    pub(super) fn ends_all_on(&mut self, process: u32, fd: i32, at: EventId) {
        if let Some(named) = self.memory.descriptors.get_mut(&(process, fd)) {
            named.ended = Some(at);
        }
    }

    /// A number is given out; `brought`: by a completion before, and is taken over now.
    pub(super) fn fd_open(
        &mut self,
        event: &Event,
        fd: i32,
        brought: bool,
        observer: &mut Observer<'_>,
    ) {
        self.results.used(event.process, fd);
        self.show_closed_in_flight(event, fd, observer);
        // Who was brought it may have used it before he says so; and what was missing by then may be that he did.
        if !brought || self.lossy_by_now.contains(&event.process) {
            self.named_an_older_one(event, fd);
        }
    }

    /// A number is given out that was closed with operations in flight.
    pub(super) fn show_closed_in_flight(
        &mut self,
        event: &Event,
        fd: i32,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        let Some(flying) = self.memory.closed.remove(&(process, fd)) else {
            return;
        };
        for ((number, sequence), (closed, made)) in flying {
            let Some(operation) = self.operation(process, number, sequence) else {
                continue;
            };
            let ring = self.rings.get(&(process, number));
            // Of one that has sent without copying the memory alone is in use still.
            let has_sent = operation.owes == Owes::ZeroCopy && operation.completions > 0;
            if ring.is_some_and(|ring| !ring.may_have_cancelled(operation)) && !has_sent {
                observer.see(&Moment::DescriptorGone {
                    event: event.id,
                    fd,
                    operation,
                    closed: Some(closed),
                    refused: None,
                    made,
                });
            }
        }
    }

    /// A number is given out, so it was closed, seen or not: what the kernel had taken before is of another file, and no
    /// later close of the number is its.
    pub(super) fn named_an_older_one(&mut self, event: &Event, fd: i32) {
        if let Some(named) = self.memory.descriptors.get_mut(&(event.process, fd)) {
            named.opened = Some((event.id, event.lane));
        }
    }

    /// Whether an operation names the file that had a number before that was given out. The kernel looks it up when it
    /// takes the entry.
    fn names_older(
        &self,
        operation: &Operation,
        (opened, lane): (EventId, u32),
        by_batch: bool,
    ) -> bool {
        // By batch, what came first on two lanes is not known.
        let is_unordered = by_batch && operation.lane != lane;
        let is_later = operation.submit > opened;
        let was_taken = operation.consumed.is_some_and(|taken| taken < opened);
        let was_untaken = !was_taken && self.is_entered_by(operation.id, lane);
        !is_unordered && !is_later && !was_untaken
    }

    fn operation(&self, process: u32, ring: u32, sequence: u64) -> Option<&Operation> {
        let ring = self.rings.get(&(process, ring))?;
        ring.flying
            .get(&sequence)
            .map(Box::as_ref)
            .filter(|_| ring.dropped.is_none())
    }

    /// The kernel reads a piece: whether all of it was ever written.
    fn read_by_kernel(&self, operation: &Operation, piece: &Piece, observer: &mut Observer<'_>) {
        let process = operation.id.process;
        let found = self.memory.buffer_at(process, piece.start);
        let Some((start, size, initialised, buffer)) = found else {
            return;
        };
        let offset = piece.start.saturating_sub(start);
        let reads = offset.saturating_add(piece.len).min(size);
        if reads > initialised {
            observer.see(&Moment::Uninitialised {
                operation,
                buffer,
                reads,
                initialised,
            });
        }
    }

    /// The kernel wrote what a completion says to a traced buffer.
    pub(super) fn written(&mut self, operation: &Operation, completion: &Completion) {
        let entry = &operation.entry;
        let fills = matches!(entry.opcode, op::READ | op::READ_FIXED | op::RECV);
        let count = u64::try_from(completion.res).unwrap_or(0);
        if self.memory.buffers.is_empty() || !fills || count == 0 {
            return;
        }
        let process = operation.id.process;
        let Some((start, size, initialised, said)) = self.memory.buffer_at(process, entry.addr)
        else {
            return;
        };
        let offset = entry.addr.saturating_sub(start);
        if offset <= initialised {
            let initialised = initialised.max(offset.saturating_add(count)).min(size);
            let known = self.memory.buffers.get_mut(&(process, start));
            if let Some(known) = known {
                *known = (size, initialised, said);
            }
        }
    }
}

/// What an entry points at, and what its cookie does, where no leak says what that is.
fn all_pieces(operation: &Operation) -> impl Iterator<Item = Piece> {
    let cookie = operation.entry.cookie;
    let unknown = operation.generation.is_none() && cookie >= 4096;
    let cookie = unknown.then_some(Piece {
        start: cookie,
        len: 1,
        part: Part::Cookie,
        until: Until::Done,
    });
    buffers::pieces(&operation.entry).chain(cookie)
}

fn key(id: OperationId, piece: &Piece, index: usize) -> PieceKey {
    let index = u8::try_from(index).unwrap_or(u8::MAX);
    (id.process, piece.start, id.ring, id.sequence, index)
}
