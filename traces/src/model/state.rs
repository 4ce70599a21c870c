//! The state of the model, and the one place that knows which event changes what.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::addresses::Addresses;
use super::borrows::Borrows;
use super::descriptors::Open;
use super::discipline::Discipline;
use super::facts::Facts;
use super::kernel::Kernel;
use super::links::Links;
use super::looks::Taken;
use super::memory::Memory;
use super::moment::Gone;
use super::provided::{Provided, Teller};
use super::results::Results;
use super::ringset::Rings;
use super::schemes::Schemes;
use super::things::{Coroutine, GenerationId, Lap, Operation, RingDrop, Standing, Thread, Unwoken};
use super::{Link, Observer};
use crate::event::{Event, EventId, SiteId, StringId, What};
use crate::finding::{Subject, Summary, Told};
use crate::read::{Pointers, Row, since};
use crate::recording::{Capture, Recording};

/// Where the bits lie that tell the keys of one table from those of another.
pub(super) const TABLE_SHIFT: u32 = 48;

/// Everything that is alive, or died last in its place.
#[derive(Default)]
pub(super) struct State {
    pub(super) addresses: Addresses,
    /// Events may be looked at with a glance: see `glance`.
    pub(super) is_calm: bool,
    /// None may.
    #[cfg(test)]
    pub(super) is_thorough: bool,
    /// Events that were looked at without one.
    #[cfg(test)]
    pub(super) looks: u64,
    pub(super) rings: Rings,
    /// What the kernel says of them.
    pub(super) kernel: Kernel,
    /// Operations and laps that are over, to be used again.
    #[expect(clippy::vec_box, reason = "what is used again is the box")]
    pub(super) spare_operations: Vec<Box<Operation>>,
    #[expect(clippy::vec_box, reason = "as above")]
    pub(super) spare_laps: Vec<Box<Lap>>,
    /// Coroutines are resumed or suspended somewhere.
    pub(super) has_resumes: bool,
    /// Handles that came back with operations in flight, if they did; see `looks`.
    pub(super) taken: Vec<Taken>,
    /// Rings that were dropped with operations in flight, and are not judged yet.
    pub(super) drops: Vec<RingDrop>,
    /// Where the generations of such operations were taken back.
    pub(super) taken_back: FxHashMap<GenerationId, (EventId, SiteId)>,
    pub(super) coroutines: FxHashMap<(u32, u32), Coroutine>,
    /// Coroutines that were dropped where they should have been resumed.
    pub(super) unwoken: Vec<Unwoken>,
    /// Coroutines that ended, oldest first.
    pub(super) ended: VecDeque<(u32, u32)>,
    /// Coroutines that wait for a cookie.
    pub(super) waiting: FxHashMap<(u32, u64), Vec<u32>>,
    /// Tables that gave out keys.
    pub(super) tables: FxHashSet<(u32, u64)>,
    /// Scopes that their owner closed.
    pub(super) scopes_ended: FxHashSet<(u32, u32)>,
    /// Generations that were said to be held at the end of their scope, and of which every handle came back after it:
    /// what they are as a subject, and where the last one did.
    pub(super) came_back: FxHashMap<Subject, EventId>,
    /// The coroutine that runs on each lane.
    pub(super) running: FxHashMap<u32, u32>,
    /// Coroutines whose spawn is not known and that run on a lane, and their resumes: the innermost last.
    pub(super) strangers: FxHashMap<u32, Vec<(u32, EventId)>>,
    pub(super) schemes: Schemes,
    /// Rings whose enters are recorded, and the one lane that they all come from.
    pub(super) entered: FxHashMap<(u32, u32), Option<u32>>,
    /// Threads of lanes.
    threads: Vec<Thread>,
    /// Subsystem that each lane works for on a ring.
    pub(super) labels: FxHashMap<(u32, u32), StringId>,
    pub(super) messages: super::queue::Messages,
    pub(super) misnamed: FxHashMap<(u32, u64), super::misnamed::Misnamed>,
    /// Processes of which something was missing up to here.
    pub(super) lossy_by_now: FxHashSet<u32>,
    /// What was seen to be put into the queues of rings.
    pub(super) pushed: FxHashMap<(u32, u32), super::pushes::Pushed>,
    /// The latest ring of each process's descriptors.
    pub(super) ring_of_fd: FxHashMap<(u32, i32), u32>,
    pub(super) memory: Memory,
    pub(super) provided: Provided,
    pub(super) borrows: Borrows,
    pub(super) results: Results,
    /// Descriptors that are open.
    pub(super) open: Open,
    pub(super) scope_parents: FxHashMap<(u32, u32), u32>,
    /// Where scopes began: the event, and its lane.
    pub(super) scope_begins: FxHashMap<(u32, u32), (EventId, u32)>,
    /// Records are missing somewhere.
    pub(super) is_lossy: bool,
    /// Processes of which records are missing.
    pub(super) lossy: FxHashSet<u32>,
    /// What they said that lasts and is still to come, the last one first: time, process, and what.
    to_come: Vec<(u64, u32, What)>,
    /// Processes that the shim recorded.
    pub(super) by_shim: FxHashSet<u32>,
    /// Processes of which a cookie may point into a block that nobody said was given away: what the shim recorded, and
    /// programs in C, which may have changed no more than a header.
    pub(super) owners_untold: FxHashSet<u32>,
    /// Processes that the probe for C recorded.
    pub(super) by_c: FxHashSet<u32>,
    /// Small cookies of rings of which nothing is declared.
    pub(super) discipline: Discipline,
    /// Processes whose leaks and reclaims probes of their functions tell of.
    pub(super) probed: FxHashSet<u32>,
    /// Where pointers of such processes were turned into owners the last time.
    pub(super) turned: FxHashMap<(u32, u64), (EventId, SiteId)>,
    /// The longest that a completion was taken before the coroutine that waited for it was resumed, by process.
    pub(super) slowest_ns: FxHashMap<u32, u64>,
    /// `CLOCK_MONOTONIC` of the first event.
    pub(super) began_ns: i64,
    /// Submissions for which what they were to carry was looked for.
    pub(super) looked_for_own: u32,
    /// The latest event of each process, and its time: what was just written in two pieces is not there yet when it is
    /// read in one, as the pairs would be.
    pub(super) last: Vec<EventId>,
    pub(super) last_ns: Vec<u64>,
    pub(super) links: Links,
    pub(super) summary: Summary,
}

impl State {
    /// A state before the first of these events.
    pub(super) fn new(recording: &Recording, facts: &Facts, links: Links) -> Self {
        let mut state = Self {
            links,
            last: vec![EventId(0); recording.processes.len()],
            last_ns: vec![0; recording.processes.len()],
            entered: facts.entered.clone(),
            schemes: facts.declared.clone(),
            is_lossy: facts.is_lossy(),
            lossy: facts.lossy.clone(),
            kernel: Kernel::new(recording),
            ..Self::default()
        };
        state.memory.is_recorded = facts.has_memory;
        state.memory.has_frees = facts.has_frees;
        state.has_resumes = facts.has_resumes;
        state.results.recorded = facts.has_descriptors.clone();
        for (index, process) in (0u32..).zip(&recording.processes) {
            if process.capture == Capture::Preload {
                state.by_shim.insert(index);
            }
            if recording.is_by_c(index) {
                state.by_c.insert(index);
            }
            if process.capture == Capture::Preload || recording.is_by_c(index) {
                state.owners_untold.insert(index);
            }
            if recording.probed(index) {
                state.probed.insert(index);
            }
        }
        state.expect_what_lasts(recording);
        for (index, lane) in recording.lanes.iter().enumerate() {
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            state.threads.push(thread(lane.tid, number));
        }
        state.is_calm = state.finds_calm();
        state
    }

    /// Puts what is known of processes of which records are missing into the order of its times, the last one first.
    fn expect_what_lasts(&mut self, recording: &Recording) {
        for &index in &self.lossy {
            let process = recording.process(index);
            let said = process
                .into_iter()
                .flat_map(|process| &process.lasting.said);
            self.to_come.extend(said.map(|said| {
                let at_ns = said.at_ns.saturating_sub(recording.began_ns);
                (u64::try_from(at_ns).unwrap_or(0), index, said.what.clone())
            }));
        }
        // Where times are the same, as it was said.
        self.to_come.sort_by_key(|(at_ns, ..)| *at_ns);
        self.to_come.reverse();
    }

    /// Takes in what was said by now, whose events may be missing.
    #[cold]
    fn recall(&mut self, now_ns: u64) {
        while let Some((_, process, what)) = self.to_come.pop_if(|(at_ns, ..)| *at_ns <= now_ns) {
            match what {
                What::RingCreate(ring) => self.rings.expect((process, ring.ring), ring),
                What::Scheme {
                    ring,
                    scheme,
                    parameter,
                } => self.schemes.declare(process, ring, scheme, parameter),
                _ => {}
            }
        }
    }

    /// The thread that a lane belongs to now.
    pub(super) fn thread(&self, lane: u32) -> Thread {
        let known = usize::try_from(lane)
            .ok()
            .and_then(|at| self.threads.get(at));
        known.copied().unwrap_or(Thread::Lane(lane))
    }

    /// What an event changes.
    #[inline(always)]
    pub(super) fn step(&mut self, event: &Event, observer: &mut Observer<'_>) {
        self.seen(1, event.process, (event.id, event.at_ns));
        if self.is_calm
            && let Some(mut row) = Row::of_pointer(event)
        {
            row.foreseen = self.addresses.foreseen;
            if self.glance(event.id, &row) {
                return;
            }
        }
        self.look_closely(event, observer);
    }

    /// What events of pointers change, one after the other.
    #[inline]
    pub(super) fn pointers(&mut self, pointers: &Pointers<'_>, observer: &mut Observer<'_>) {
        let mut unseen = 0;
        let mut before: Option<&Row> = None;
        for (id, row) in (pointers.first.0..).zip(pointers.rows) {
            let id = EventId(id);
            // How many there were, and the last of each process, is noted before anybody asks.
            let is_others = before.is_some_and(|before| before.process != row.process);
            let is_seen = self.is_calm && !is_others && self.glance(id, row);
            if !is_seen {
                if let Some(before) = before {
                    let latest = (EventId(id.0 - 1), since(pointers.first_ns, before.at_ns));
                    self.seen(unseen, before.process, latest);
                }
                unseen = 0;
                self.addresses.foreseen = row.foreseen;
                self.step(&row.event(id, pointers.first_ns), observer);
                before = None;
            } else {
                unseen += 1;
                before = Some(row);
            }
        }
        if let (Some(before), Some(last)) = (before, pointers.rows.len().checked_sub(1)) {
            let id = EventId(pointers.first.0 + last as u64);
            let latest = (id, since(pointers.first_ns, before.at_ns));
            self.seen(unseen, before.process, latest);
        }
    }

    /// So many events of a process were met, the last of them with its time.
    #[inline(always)]
    fn seen(&mut self, events: u64, process: u32, latest: (EventId, u64)) {
        self.summary.events = self.summary.events.saturating_add(events);
        let process = process as usize;
        if let (Some(last), Some(last_ns)) =
            (self.last.get_mut(process), self.last_ns.get_mut(process))
        {
            (*last, *last_ns) = latest;
        }
    }

    #[inline(never)]
    fn look_closely(&mut self, event: &Event, observer: &mut Observer<'_>) {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        if let Some(asked) = observer.asked {
            asked.meet(event.id);
        }
        if self
            .to_come
            .last()
            .is_some_and(|(at_ns, ..)| *at_ns <= event.at_ns)
        {
            self.recall(event.at_ns);
        }
        self.links.begin(event.id);
        self.look(event, observer);
        self.links.end(event);
        self.is_calm = self.finds_calm();
    }

    /// What an event changes that was not seen at a glance.
    #[inline(never)]
    fn look(&mut self, event: &Event, observer: &mut Observer<'_>) {
        if self.kernel.is_view(event.process) {
            return self.kernel_step(event, observer);
        }
        self.show_hits(event.at_ns, observer);
        self.show_overlaps(event.at_ns, observer);
        if !self.taken.is_empty() && self.decide_looks(event, observer) {
            return;
        }
        self.change(event, observer);
    }

    /// What any event changes that is of no view.
    #[inline]
    fn change(&mut self, event: &Event, observer: &mut Observer<'_>) {
        match &event.what {
            What::Leak(p) | What::Retain(p) => self.leak(event, p, false, observer),
            What::LeakForever(p) => self.leak(event, p, true, observer),
            What::Reclaim(p) => self.reclaim(event, p, true, observer),
            What::Release(p) => self.reclaim(event, p, false, observer),
            What::Peek(p) => self.peek(event, p, observer),
            What::RingCreate(ring) => self.ring_create(event, ring, observer),
            What::RingDrop { ring } => self.ring_drop(event, *ring, observer),
            What::Claim { ring, .. } => self.claim(event, *ring),
            What::Alloc { .. } => {}
            What::Overflow { ring, count } => self.overflow(event, *ring, *count),
            What::Passed {
                ring,
                unread,
                beyond,
                site,
            } => self.passed(event, *ring, *unread, (*beyond, *site), observer),
            What::Push { fd, index, cookie } => self.push(event, *fd, *index, *cookie),
            What::OwnerLabel { ring, owner } => {
                self.labels.insert((event.lane, *ring), *owner);
            }
            What::Free { address, size } => {
                self.told(event, |told| told.frees = true);
                self.freed(event, *address, *size, Gone::Freed, observer);
            }
            What::Unmap { address, size } => {
                self.freed(event, *address, *size, Gone::Unmapped, observer);
            }
            What::Realloc { from, to, size } => {
                self.told(event, |told| told.frees = true);
                self.realloc(event, (*from, *to), *size);
            }
            What::StackPointer { address, lowest } => self.returned(event, *address, *lowest),
            What::FdOpen { fd, site } => {
                self.told(event, |told| told.descriptors = true);
                let brought = self.open.opened(event.process, *fd, *site);
                self.fd_open(event, *fd, brought, observer);
            }
            What::FdClose { fd, site } => {
                // One without a place is the shim's, which sees some of the ways to close.
                if site.0 != 0 {
                    self.told(event, |told| told.descriptors = true);
                }
                let opened = self.open.told_closed((event.process, *fd), *site, event.id);
                let made = site.0 != 0 && opened == Some(*site);
                self.fd_close(event, *fd, made, observer);
            }
            What::BorrowBegin(borrow) => {
                self.told(event, |told| told.borrows = true);
                self.borrow_begin(event, borrow, observer);
            }
            What::BorrowEnd(borrow) => {
                self.link(event.id).address = borrow.cell;
                self.borrows.end(event, borrow);
            }
            What::BufferInit {
                address,
                size,
                initialised,
            } => {
                self.told(event, |told| told.initialised = true);
                self.memory.buffer(event, *address, *size, *initialised);
            }
            What::BufferProvide {
                ring,
                group,
                buffer,
                count,
            } => {
                let group = (event.process, *ring, *group);
                self.provide(event, group, (*buffer, *count), Teller::Hook, observer);
            }
            What::Submit(submission) => self.submit(event, submission, observer),
            What::Enter {
                ring,
                to_submit,
                result,
                ..
            } => self.enter(event, *ring, *to_submit, *result),
            What::Complete(completion) => {
                if !self.taken_twice(event, completion, observer) {
                    self.complete(event, completion, observer);
                }
            }
            What::Spawn {
                coroutine,
                site,
                ty,
                ..
            } => {
                observer.objects.spawned(event.process, *coroutine, *ty);
                self.spawn(event, *coroutine, *site, *ty);
            }
            What::Resume { coroutine, by } => self.resume(event, *coroutine, *by, observer),
            What::Suspend { coroutine, cookies } => self.suspend(event, *coroutine, cookies),
            What::Done { coroutine } => self.leave(event, *coroutine, true, observer),
            What::CoroutineDrop { coroutine } => {
                self.abandon_waits(event, *coroutine);
                self.leave(event, *coroutine, false, observer);
            }
            What::Mark { .. } => {
                let running = self.running.get(&event.lane).copied();
                self.link(event.id).coroutine = running;
            }
            What::Wake { coroutine } => self.wake(event, *coroutine),
            What::ScopeBegin { scope, parent, .. } => {
                let key = (event.process, *scope);
                self.scope_parents.insert(key, *parent);
                self.scope_begins.insert(key, (event.id, event.lane));
            }
            What::ScopeEnd { scope, by_panic } => {
                self.drops_of_scope(event, *scope, observer);
                self.scopes_ended.insert((event.process, *scope));
                // What the panic left as it was may be taken back yet: the end of the process tells.
                if !by_panic {
                    self.scope_end(event, *scope, observer);
                }
            }
            What::Scheme {
                ring,
                scheme,
                parameter,
            } => {
                self.schemes
                    .declare(event.process, *ring, *scheme, *parameter);
            }
            What::Shared { cookie } => self.share(event.process, *cookie),
            What::Thread { tid, .. } => {
                let at = usize::try_from(event.lane).unwrap_or(usize::MAX);
                if let Some(known) = self.threads.get_mut(at) {
                    *known = thread(*tid, event.lane);
                }
            }
            What::Lost(loss) => {
                self.lossy_by_now.insert(event.process);
                self.lost_beside_kernel(event.process, loss.reason);
            }
            What::ScopeEnter { .. } | What::Fork { .. } | What::Other { .. } => {}
        }
    }

    /// A program in C told of something.
    pub(super) fn told(&mut self, event: &Event, note: impl FnOnce(&mut Told)) {
        if self.by_c.contains(&event.process) {
            note(&mut self.summary.told);
        }
    }

    /// The link of an event, to be filled in.
    pub(super) fn link(&mut self, id: EventId) -> &mut Link {
        self.links.of(id)
    }

    /// What a cookie stands for now.
    pub(super) fn standing(&self, process: u32, address: u64) -> Standing<'_> {
        let Some(address) = self.addresses.get((process, address)) else {
            return Standing::Unknown;
        };
        match (address.live(), address.dead()) {
            (Some(generation), _) => Standing::Live(generation),
            (None, Some(dead)) => Standing::Dead(dead),
            (None, None) => Standing::Unknown,
        }
    }

    /// Whether `scope` is `outer`, or lies within it.
    pub(super) fn within(&self, process: u32, scope: u32, outer: u32) -> bool {
        within(&self.scope_parents, process, scope, outer)
    }
}

fn thread(tid: u32, lane: u32) -> Thread {
    if tid == 0 {
        Thread::Lane(lane)
    } else {
        Thread::Id(tid)
    }
}

/// Whether `scope` is `outer`, or lies within it.
pub(crate) fn within(
    parents: &FxHashMap<(u32, u32), u32>,
    process: u32,
    scope: u32,
    outer: u32,
) -> bool {
    let mut at = scope;
    // A hostile trace may make scopes each other's parents.
    for _ in 0..1024 {
        if at == outer {
            return true;
        }
        match parents.get(&(process, at)) {
            Some(parent) if at != 0 => at = *parent,
            _ => return false,
        }
    }
    false
}
