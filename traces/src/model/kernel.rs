//! What the kernel says of rings: operations of programs that nobody else sees, and of those that the probe or the shim
//! records too, what became of them where the program was not looked at.
//!
//! Of the kernel's view one rule alone has its input (whether indices go in again too early): it knows neither who owns
//! a cookie nor what the program does with a completion. So its rings are kept apart. One that the process itself
//! recorded is *merged* with that one, which it shares the descriptor with: its operations are not counted again, and are
//! the same ones, number for number, for both count the entries of one queue.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use wire::payload::CALLBACK;
use wire::record::{CookieState, RingKind};

use super::Observer;
use super::discipline::Carrier;
use super::handed::Handed;
use super::moment::{Changed, Forged, Lacking, Moment, Rewritten};
use super::opcodes::CQE_SKIP;
use super::posts::{self, Posts, Taken};
use super::ringset::RingKey;
use super::sequences::Sequences;
use super::state::State;
use super::things::{GenerationId, Operation, OperationId, RingState};
use super::{expect, is_last};
use crate::event::{Completion, Event, EventId, LossReason, Ring, Submission, What};
use crate::finding::KernelSaw;
use crate::recording::{Capture, Recording};

/// Completed operations of a merged ring that are remembered until the program takes their completions: a queue and
/// what overflows it.
const ENDED_MAX: usize = 1 << 16;
/// Operations with one cookie that a completion without a request is held against.
const LOOKED_MAX: usize = 4096;
/// Operations that may end in silence, kept for each ring.
const QUIET_MAX: usize = 1024;

/// All of the kernel's rings.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// Processes that are the kernel's view of one.
    views: FxHashSet<u32>,
    /// The view of each process that was also recorded in another way.
    view_of: FxHashMap<u32, u32>,
    /// Those views.
    seconds: FxHashSet<u32>,
    rings: FxHashMap<RingKey, KernelRing>,
    /// The kernel's ring of each of the process's own, where they were found to be one.
    merged: FxHashMap<RingKey, RingKey>,
    /// Processes whose times are by batch, and those that the shim recorded.
    by_batch: FxHashSet<u32>,
    by_shim: FxHashSet<u32>,
    /// Threads of lanes.
    threads: Vec<u32>,
    saw: KernelSaw,
}

/// A ring as the kernel sees it.
#[derive(Debug, Default)]
struct KernelRing {
    /// Unknown of a ring whose making was not recorded, or is overwritten.
    fd: Option<i32>,
    created: EventId,
    /// Entries taken from its queue.
    submitted: u64,
    completed: u64,
    flying: FxHashMap<u64, Flying>,
    by_cookie: FxHashMap<u64, Sequences>,
    /// Operations in flight that may post nothing, oldest first.
    quiet: std::collections::VecDeque<u64>,
    opcodes: BTreeMap<u8, u64>,
    overflowed: u64,
    /// The process's own ring.
    merged: Option<RingKey>,
    /// Records were lost: its numbers are not those of the queue any more.
    is_shifted: bool,
    /// Of a merged ring: last completions that the program has not taken, with their cookies.
    ended: FxHashMap<u64, (u64, EventId)>,
    /// Some had to be forgotten.
    forgot: bool,
    /// The latest of the kernel's completions that the program has taken.
    taken: EventId,
    /// Operations whose cookie is the recorded one, and those where it is another.
    agreed: u64,
    differed: u64,
    /// Of a merged ring: what was posted, and what of it was taken.
    posts: Posts,
    /// The same: how the latest operation was handed over.
    handed: Handed,
}

#[derive(Clone, Copy, Debug)]
struct Flying {
    cookie: u64,
    sure: bool,
    carrier: Carrier,
}

/// What the kernel says of an operation whose completion the program has not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posted {
    /// When the kernel posted its last completion.
    pub(crate) event: EventId,
    /// The program took completions that were posted later: it went past this one.
    pub(crate) passed: bool,
}

impl Kernel {
    pub(super) fn new(recording: &Recording) -> Self {
        let mut kernel = Self::default();
        let numbered = || (0u32..).zip(&recording.processes);
        for (view, process) in numbered().filter(|(_, it)| it.capture == Capture::Kernel) {
            kernel.views.insert(view);
            let same = numbered().filter(|(_, it)| !it.capture.is_view() && it.is_same_as(process));
            kernel.view_of.extend(same.map(|(index, _)| (index, view)));
        }
        kernel.seconds = kernel.view_of.values().copied().collect();
        let by_batch = numbered().filter(|(_, it)| it.times_by_batch);
        kernel.by_batch = by_batch.map(|(index, _)| index).collect();
        let by_shim = numbered().filter(|(_, it)| it.capture == Capture::Preload);
        kernel.by_shim = by_shim.map(|(index, _)| index).collect();
        kernel.threads = recording.lanes.iter().map(|lane| lane.tid).collect();
        kernel
    }

    /// Whether any process is the kernel's view of one.
    pub(super) fn has_views(&self) -> bool {
        !self.views.is_empty()
    }

    /// Whether a process is the kernel's view of one.
    #[inline]
    pub(super) fn is_view(&self, process: u32) -> bool {
        !self.views.is_empty() && self.views.contains(&process)
    }

    /// A process made a ring: the kernel's ring with its descriptor is the same one.
    pub(super) fn made(&mut self, key: RingKey, ring: &Ring) -> Option<(u64, u64)> {
        let view = *self.view_of.get(&key.0)?;
        let same = self.rings.iter_mut().filter(|((process, _), it)| {
            *process == view && it.fd == Some(ring.fd) && it.merged.is_none()
        });
        // The descriptor of one that was closed may have been used again: the latest is meant.
        let (kernels, found) = same.max_by_key(|(_, it)| it.created)?;
        found.merged = Some(key);
        found.posts.is_unordered = self.by_batch.contains(&key.0) || self.by_batch.contains(&view);
        if found.completed > 0 {
            // What of that was taken before nobody saw.
            found.posts.give_up();
        }
        self.merged.insert(key, *kernels);
        Some((found.submitted, found.completed))
    }

    /// Whether the kernel takes an operation in the very call before which its thread looked at it. Nothing stands between
    /// that look and the call's end in the process's record: what was recorded after the kernel took it has the call's own
    /// time, and what an earlier call left behind was the program's to change.
    fn is_handed_over(&self, own: &RingState, operation: &Operation, taken: &Event) -> bool {
        let is_looked_at = self.by_shim.contains(&operation.id.process)
            || operation.ring_kind == Some(RingKind::Copied);
        let is_timed = ![operation.id.process, taken.process]
            .iter()
            .any(|process| self.by_batch.contains(process));
        let thread = |lane: u32| self.threads.get(lane as usize).filter(|tid| **tid != 0);
        let by_one = thread(operation.lane).is_some_and(|tid| thread(taken.lane) == Some(tid));
        let at_once = own
            .latest_enter
            .is_none_or(|enter| enter < operation.submit);
        is_looked_at && is_timed && by_one && at_once
    }

    /// The program took the last completion of an operation.
    #[inline]
    pub(super) fn taken(&mut self, operation: &Operation) {
        if self.merged.is_empty() {
            return;
        }
        let id = operation.id;
        let Some(kernels) = self.merged.get(&(id.process, id.ring)) else {
            return;
        };
        if let Some(ring) = self.rings.get_mut(kernels)
            && let Some((_, posted)) = ring.ended.remove(&id.sequence)
        {
            ring.taken = ring.taken.max(posted);
        }
    }

    /// What the kernel says of an operation that is in flight as far as its process knows.
    pub(super) fn posted(&self, operation: &Operation) -> Option<Posted> {
        let id = operation.id;
        let ring = self.rings.get(self.merged.get(&(id.process, id.ring))?)?;
        let (cookie, event) = *ring.ended.get(&id.sequence)?;
        let trusted = !ring.is_shifted && !ring.forgot && ring.agreed > ring.differed;
        // Of several with one cookie nobody knows which of them the program took.
        let sure = !operation.ambiguous && cookie == operation.entry.cookie;
        (trusted && sure).then_some(Posted {
            event,
            passed: event < ring.taken,
        })
    }

    /// What it all comes to.
    pub(super) fn finish(&mut self) -> KernelSaw {
        let mut saw = std::mem::take(&mut self.saw);
        for (key, ring) in &self.rings {
            saw.overflowed = saw.overflowed.saturating_add(ring.overflowed);
            if ring.merged.is_some() {
                saw.merged = saw.merged.saturating_add(1);
                // More often another one than the same: then it is the numbers that differ.
                if ring.agreed > ring.differed {
                    saw.differed = saw.differed.saturating_add(ring.differed);
                }
                continue;
            }
            if !ring.is_alone(*key, &self.seconds) {
                continue;
            }
            for (opcode, count) in &ring.opcodes {
                let counted = saw.operations.entry(*opcode).or_default();
                *counted = counted.saturating_add(*count);
            }
            let pending = ring.flying.values().filter(|it| it.sure).count() as u64;
            saw.pending = saw.pending.saturating_add(pending);
        }
        saw
    }

    /// Which of the process's own rings each of the kernel's is, and whether the numbers of both are the same.
    pub(super) fn into_merged(self) -> FxHashMap<RingKey, Merged> {
        let Self { merged, rings, .. } = self;
        let pairs = merged.into_iter().map(|(own, kernels)| {
            let same_numbers = rings.get(&kernels).is_some_and(|ring| !ring.is_shifted);
            (kernels, Merged { own, same_numbers })
        });
        pairs.collect()
    }
}

/// The process's own ring that one of the kernel's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    own: RingKey,
    /// An operation has the same number in both.
    same_numbers: bool,
}

impl Merged {
    /// Its number there.
    pub(crate) fn own_ring(self) -> u32 {
        self.own.1
    }

    /// The ring, where its operations have the same numbers.
    pub(crate) fn of_operations(self) -> Option<RingKey> {
        self.same_numbers.then_some(self.own)
    }
}

impl KernelRing {
    /// Whether nobody else recorded it. Of one whose making is gone that cannot be known where its process recorded
    /// rings too, and then that record counts.
    fn is_alone(&self, key: RingKey, seconds: &FxHashSet<u32>) -> bool {
        self.merged.is_none() && (self.fd.is_some() || !seconds.contains(&key.0))
    }
}

impl State {
    /// The program took a completion: is it one that the kernel posted?
    #[inline]
    pub(super) fn hold_against_posts(
        &mut self,
        event: &Event,
        completion: &Completion,
        taken_for: (Option<OperationId>, Option<GenerationId>),
        observer: &mut Observer<'_>,
    ) {
        // The kernel says nothing of what fills a queue up.
        if self.kernel.merged.is_empty() || completion.flags & CQE_SKIP != 0 {
            return;
        }
        let Some(key) = self
            .kernel
            .merged
            .get(&(event.process, completion.ring))
            .copied()
        else {
            return;
        };
        let Some(ring) = self.kernel.rings.get_mut(&key) else {
            return;
        };
        let found = ring.posts.took(Taken {
            event: event.id,
            word: completion.cookie,
            at_ns: event.at_ns,
            result: (completion.res, completion.flags),
            scope: event.scope,
            operation: taken_for.0,
            generation: taken_for.1,
        });
        self.forged(key, found, event.id, observer);
    }

    /// Records of a process were lost: which completions it took is not known any more.
    pub(super) fn lost_beside_kernel(&mut self, process: u32, reason: LossReason) {
        if reason == LossReason::RingNotFollowed {
            return;
        }
        let Kernel { merged, rings, .. } = &mut self.kernel;
        for (_, kernels) in merged.iter().filter(|((owner, _), _)| *owner == process) {
            if let Some(ring) = rings.get_mut(kernels) {
                ring.posts.give_up();
            }
        }
    }

    /// All is over: what was taken and never posted is known.
    pub(super) fn posts_at_end(&mut self, observer: &mut Observer<'_>) {
        let last = self.last.iter().map(|event| event.0).max();
        // What is missing behind the last event is missing, too.
        let end = EventId(last.unwrap_or(0).saturating_add(1));
        let mut keys: Vec<RingKey> = self.kernel.merged.values().copied().collect();
        keys.sort_unstable();
        for key in keys {
            if let Some(ring) = self.kernel.rings.get_mut(&key) {
                let found = ring.posts.finish();
                self.forged(key, found, end, observer);
            }
        }
    }

    /// Shows completions that the kernel did not post.
    fn forged(
        &mut self,
        key: RingKey,
        found: Vec<posts::Forged>,
        until: EventId,
        observer: &mut Observer<'_>,
    ) {
        for one in found {
            let Some(ring) = self.kernel.rings.get(&key) else {
                return;
            };
            let Some((process, number)) = ring.merged else {
                return;
            };
            let posts::Forged { taken, posted } = one;
            let flying = |sequence: u64| {
                let own = self.rings.get(&(process, number))?;
                let operation = own.flying.get(&sequence)?;
                // Both number the same operations as long as their words say so; of several with one word nobody knows
                // whose was taken.
                let is_it = operation.entry.cookie == posted.word && !operation.ambiguous;
                (is_it && !ring.is_shifted).then(|| Lacking::of(operation))
            };
            observer.see(&Moment::Forged(Forged {
                taken: taken.event,
                posted: posted.event,
                place: (process, number, taken.scope),
                words: (taken.word, posted.word),
                operation: posted.operation.and_then(flying),
                taken_for: (taken.operation, taken.generation),
                is_like: one.is_like(),
                view: (key.0, ring.created),
                until,
            }));
        }
    }

    /// What an event of the kernel's view changes.
    pub(super) fn kernel_step(&mut self, event: &Event, observer: &mut Observer<'_>) {
        match &event.what {
            What::RingCreate(ring) => {
                self.summary.rings = self.summary.rings.saturating_add(1);
                let made = KernelRing {
                    fd: (ring.fd >= 0).then_some(ring.fd),
                    created: event.id,
                    ..KernelRing::default()
                };
                self.kernel.rings.insert((event.process, ring.ring), made);
            }
            What::Submit(submission) => self.kernel_submit(event, submission, observer),
            What::Complete(completion) => self.kernel_complete(event, completion, observer),
            What::Overflow { ring, .. } => {
                if let Some(ring) = self.kernel.rings.get_mut(&(event.process, *ring)) {
                    ring.overflowed = ring.overflowed.saturating_add(1);
                }
            }
            What::Lost(_) => {
                let rings = self.kernel.rings.iter_mut();
                for (_, ring) in rings.filter(|((process, _), _)| *process == event.process) {
                    // Which of them ended meanwhile nobody knows.
                    ring.flying.clear();
                    ring.by_cookie.clear();
                    ring.quiet.clear();
                    ring.is_shifted = true;
                    ring.posts.give_up();
                    ring.handed = Handed::Unknown;
                }
            }
            _ => {}
        }
    }

    fn kernel_submit(
        &mut self,
        event: &Event,
        submission: &Submission,
        observer: &mut Observer<'_>,
    ) {
        let entry = &submission.entry;
        let key = (event.process, u32::from(entry.ring));
        let sequence = submission.sequence;
        self.link(event.id).operation = Some((key.1, sequence));
        let ring = self.kernel.rings.entry(key).or_default();
        ring.submitted = ring.submitted.saturating_add(1);
        let sure = !expect::ends_quietly(entry);
        let id = OperationId {
            process: key.0,
            ring: key.1,
            sequence,
        };
        let carrier = Carrier::new(id, submission, event);
        if ring.is_alone(key, &self.kernel.seconds) && !ring.is_shifted {
            let mut same = ring.by_cookie.get(&entry.cookie).into_iter().flatten();
            let rival = same.find_map(|one| {
                ring.flying
                    .get(one)
                    .filter(|it| it.sure && it.cookie == entry.cookie)
            });
            let rival = rival.map(|it| it.carrier);
            self.discipline.submitted(key, submission, carrier, rival);
        }
        let flying = Flying {
            cookie: entry.cookie,
            sure,
            carrier,
        };
        ring.flying.insert(sequence, flying);
        ring.posts.submitted(entry.opcode, entry.cookie);
        let same = ring.by_cookie.entry(entry.cookie).or_default();
        same.push(sequence);
        same.tidy(|sequence| ring.flying.contains_key(sequence));
        if !sure {
            ring.quiet.push_back(sequence);
            if ring.quiet.len() > QUIET_MAX
                && let Some(oldest) = ring.quiet.pop_front()
            {
                ring.flying.remove(&oldest);
            }
        }
        match ring.merged {
            None if !ring.is_alone(key, &self.kernel.seconds) => {}
            None => {
                self.summary.operations = self.summary.operations.saturating_add(1);
                let count = ring.opcodes.entry(entry.opcode).or_default();
                *count = count.saturating_add(1);
            }
            // Numbers of two operations behind a loss say nothing of each other.
            Some(_) if ring.is_shifted => {}
            Some(own) => self.hold_against_recorded(event, submission, (key, own), observer),
        }
    }

    /// The kernel took an operation of a merged ring: is it the one that the process recorded?
    fn hold_against_recorded(
        &mut self,
        event: &Event,
        submission: &Submission,
        (key, own_key): (RingKey, RingKey),
        observer: &mut Observer<'_>,
    ) {
        let (sequence, word) = (submission.sequence, submission.entry.cookie);
        let recorded = self
            .rings
            .get(&own_key)
            .and_then(|own| Some((own, recorded(own, sequence)?)));
        let changed = recorded.and_then(|(own, operation)| {
            let is_sure = self.kernel.is_handed_over(own, operation, event);
            // Of numbers that are off, the kernel's word is the one that was recorded of another.
            let is_nobodys = with_word(own, word).next().is_none();
            (is_sure && is_nobodys).then(|| Changed {
                operation: Lacking::of(operation),
                scope: operation.scope,
                words: (operation.entry.cookie, word),
                is_of_push: !self.kernel.by_shim.contains(&own_key.0),
                before: operation.lap.as_deref().map(|lap| (lap.submit, lap.cookie)),
                taken: event.id,
            })
        });
        let Some(ring) = self.kernel.rings.get_mut(&key) else {
            return;
        };
        let found = match recorded {
            Some((own, operation)) if operation.entry.cookie == word => {
                ring.agreed = ring.agreed.saturating_add(1);
                let is_only_one = with_word(own, word).nth(1).is_none();
                ring.handed.agrees(sequence, is_only_one.then_some(word))
            }
            Some(_) => {
                ring.differed = ring.differed.saturating_add(1);
                ring.handed.differs(changed);
                None
            }
            None => {
                ring.handed = Handed::Unknown;
                None
            }
        };
        if let Some(entry) = found {
            observer.see(&Moment::Rewritten(Rewritten {
                entry,
                view: (key.0, ring.created),
                until: event.id,
            }));
        }
    }

    fn kernel_complete(
        &mut self,
        event: &Event,
        completion: &Completion,
        observer: &mut Observer<'_>,
    ) {
        let key = (event.process, completion.ring);
        let ring = self.kernel.rings.entry(key).or_default();
        ring.completed = ring.completed.saturating_add(1);
        if ring.is_alone(key, &self.kernel.seconds) {
            self.summary.completions = self.summary.completions.saturating_add(1);
        }
        let found = match ring.merged {
            Some(_) => ring.posts.posted(event.id, event.at_ns, completion),
            None => Vec::new(),
        };
        if !found.is_empty() {
            self.forged(key, found, event.id, observer);
        }
        let Some(ring) = self.kernel.rings.get_mut(&key) else {
            return;
        };
        let Some(sequence) = whose(ring, completion) else {
            return;
        };
        if let Some(flying) = ring.flying.get_mut(&sequence) {
            flying.carrier.has_posted = true;
        }
        if is_last(completion) {
            ring.flying.remove(&sequence);
            if let Some(same) = ring.by_cookie.get_mut(&completion.cookie) {
                same.remove(sequence);
                same.drop_front(|sequence| ring.flying.contains_key(sequence));
                if same.is_empty() {
                    ring.by_cookie.remove(&completion.cookie);
                }
            }
            if ring.merged.is_some() {
                if ring.ended.len() < ENDED_MAX {
                    ring.ended.insert(sequence, (completion.cookie, event.id));
                } else {
                    ring.forgot = true;
                }
            }
        }
        self.link(event.id).operation = Some((key.1, sequence));
    }
}

/// What a process recorded of an operation in flight, where that is what the program meant to submit.
fn recorded(own: &RingState, sequence: u64) -> Option<&Operation> {
    let operation = own.flying.get(&sequence)?;
    let is_own = matches!(
        operation.cookie_state,
        CookieState::Unknown | CookieState::Set
    );
    (is_own && operation.entry.opcode != CALLBACK).then_some(operation)
}

/// Operations in flight with a word.
fn with_word(own: &RingState, word: u64) -> impl Iterator<Item = &Operation> {
    let same = own.by_cookie.get(&word).into_iter().flatten();
    let flying = same.filter_map(|sequence| own.flying.get(sequence));
    flying
        .map(Box::as_ref)
        .filter(move |operation| operation.entry.cookie == word)
}

/// The operation of a completion: the one that the kernel says, else the oldest in flight with its cookie, but one that
/// owes none only where there is no other.
fn whose(ring: &KernelRing, completion: &Completion) -> Option<u64> {
    if completion.operation.is_some() {
        return completion.operation;
    }
    let same = ring.by_cookie.get(&completion.cookie)?;
    let flying = same.iter().take(LOOKED_MAX).filter_map(|sequence| {
        let flying = ring.flying.get(sequence)?;
        (flying.cookie == completion.cookie).then_some((*sequence, flying.sure))
    });
    let mut quiet = None;
    for (sequence, sure) in flying {
        if sure {
            return Some(sequence);
        }
        quiet.get_or_insert(sequence);
    }
    quiet
}

#[cfg(test)]
mod tests {
    use crate::finding::Summary;
    use crate::trace::Trace;

    const PROCESSES: &str = "
        process 0 pid=77 start=9 end=exit:0
        process 1 pid=77 start=9 capture=kernel end=exit:0
        process 2 pid=78 start=9 capture=kernel end=exit:0
        lane k process=1
        lane other process=2
        ";

    fn summary(text: &str) -> Summary {
        let trace = Trace::parse_text(&format!("{PROCESSES}{text}")).unwrap();
        trace.verdict().summary.clone()
    }

    #[test]
    fn operations_of_one_ring_are_counted_once_and_those_of_others_too() {
        let seen = summary(
            "
            1 k ring-create 4 fd=3 sq=8 cq=16
            1 other ring-create 0 fd=3 sq=8 cq=16
            2 main ring-create 0 fd=3 sq=8 cq=16
            10 main submit 0 NOP 0x1000 seq=0
            11 k submit 4 NOP 0x1000 seq=0
            12 k complete 4 0x1000 0 of=0
            13 main complete 0 0x1000 0
            20 other submit 0 READ 0x1000 seq=0
            ",
        );
        assert_eq!((seen.rings, seen.operations, seen.completions), (2, 2, 1));
        assert_eq!((seen.kernel.merged, seen.kernel.differed), (1, 0));
        assert_eq!(seen.kernel.operations.values().sum::<u64>(), 1);
        assert_eq!((seen.pending_at_end, seen.posted_at_end), (1, 0));
    }

    #[test]
    fn a_ring_that_is_followed_late_was_counted_before() {
        let seen = summary(
            "
            1 k ring-create 0 fd=3 sq=8 cq=16
            11 k submit 0 NOP 0x1000 seq=0
            12 k complete 0 0x1000 0 of=0
            13 main ring-create 0 fd=3 sq=8 cq=16
            14 main submit 0 NOP 0x1000 seq=1
            15 k submit 0 NOP 0x1000 seq=1
            ",
        );
        assert_eq!((seen.rings, seen.operations, seen.completions), (1, 1, 0));
    }

    #[test]
    fn another_cookie_in_the_kernel_is_counted_unless_it_is_that_the_numbers_differ() {
        let ring = "
            1 k ring-create 0 fd=3 sq=8 cq=16
            2 main ring-create 0 fd=3 sq=8 cq=16
            ";
        let both = |at: u32, recorded: u32, kernels: u32| {
            format!(
                "{at} main submit 0 NOP {recorded:#x} seq={at} set\n{at} k submit 0 NOP {kernels:#x} seq={at}\n"
            )
        };
        let one = format!("{ring}{}{}{}", both(3, 1, 1), both(4, 2, 2), both(5, 3, 9));
        assert_eq!(summary(&one).kernel.differed, 1);
        let all = format!("{ring}{}{}{}", both(3, 1, 2), both(4, 2, 3), both(5, 3, 4));
        assert_eq!(summary(&all).kernel.differed, 0);
        // A leftover that is proved to be one is not what the program meant, and may be left in or taken out.
        let leftover = "6 main submit 0 NOP 0x5 seq=6 poisoned\n6 k submit 0 NOP 0xFEED seq=6\n";
        assert_eq!(summary(&format!("{one}{leftover}")).kernel.differed, 1);
    }

    #[test]
    fn completions_without_a_request_belong_to_the_oldest_with_their_cookie() {
        let seen = summary(
            "
            1 other ring-create 0 fd=3 sq=8 cq=16
            10 other submit 0 POLL_ADD 0x1 seq=0
            11 other submit 0 SEND_ZC 0x2 seq=1
            12 other submit 0 NOP 0x1 seq=2 skip-success
            20 other complete 0 0x1 1 more
            21 other complete 0 0x2 4 more of=1
            22 other complete 0 0x2 0 notif
            23 other complete 0 0x1 -125
            ",
        );
        assert_eq!((seen.completions, seen.pending_at_end), (4, 0));
    }

    #[test]
    fn what_was_in_flight_at_a_loss_is_not_pending() {
        let seen = summary(
            "
            1 other ring-create 0 fd=3 sq=8 cq=16
            10 other submit 0 READ 0x1 seq=0
            11 other lost 5 kernel-buffer
            12 other submit 0 READ 0x1 seq=1
            ",
        );
        assert_eq!(seen.pending_at_end, 1);
    }

    #[test]
    fn what_the_kernel_completed_and_nobody_took_is_said() {
        let text = "
            1 k ring-create 0 fd=3 sq=8 cq=16
            2 main ring-create 0 fd=3 sq=8 cq=16
            10 main submit 0 READ 0x1 seq=0
            11 k submit 0 READ 0x1 seq=0
            12 main submit 0 READ 0x1 seq=1
            13 k submit 0 READ 0x1 seq=1
            20 k complete 0 0x1 5 of=0
            ";
        let seen = summary(text);
        assert_eq!((seen.pending_at_end, seen.posted_at_end), (2, 1));
        // After a loss of the kernel's the numbers are not those of the queue.
        let seen = summary(&format!("{text}30 k lost 5 kernel-buffer\n"));
        assert_eq!((seen.pending_at_end, seen.posted_at_end), (2, 0));
    }

    #[test]
    fn behind_a_loss_the_numbers_of_both_say_nothing_of_each_other() {
        let both = |at: u32, kernels: u32| {
            format!(
                "{at} main submit 0 NOP {at:#x} seq={at} set\n{at} k submit 0 NOP {kernels:#x} seq={at}\n"
            )
        };
        let text = format!(
            "{PROCESSES}
            1 k ring-create 0 fd=3 sq=8 cq=16
            2 main ring-create 0 fd=3 sq=8 cq=16
            {}{}{}6 k lost 1 kernel-buffer
            {}{}",
            both(3, 3),
            both(4, 4),
            both(5, 5),
            both(7, 8),
            both(8, 9),
        );
        let trace = Trace::parse_text(&text).unwrap();
        assert_eq!(trace.verdict().summary.kernel.differed, 0);
        // Nor is what one says of the seventh part of the life of the other's.
        let seventh = crate::finding::Subject::Operation {
            process: 0,
            ring: 0,
            sequence: 7,
        };
        assert_eq!(crate::lives::events_of(&trace, seventh).len(), 1);
    }

    #[test]
    fn a_ring_whose_making_is_gone_is_not_another_and_is_not_counted_twice() {
        let seen = summary(
            "
            2 main ring-create 0 fd=0 sq=8 cq=16
            10 main submit 0 NOP 0x1000 seq=0
            11 k submit 4 NOP 0x1000 seq=900
            12 k complete 4 0x1000 0 of=900
            13 main complete 0 0x1000 0
            20 other submit 0 READ 0x1000 seq=5
            ",
        );
        assert_eq!(
            (seen.kernel.merged, seen.operations, seen.completions),
            (0, 2, 1)
        );
        assert_eq!(seen.kernel.operations.values().sum::<u64>(), 1);
    }

    #[test]
    fn a_ring_that_its_process_did_not_record_beside_others_is_alone() {
        let seen = summary(
            "
            1 k ring-create 0 fd=3 sq=8 cq=16
            2 main ring-create 0 fd=3 sq=8 cq=16
            3 k ring-create 1 fd=4 sq=8 cq=16
            10 main submit 0 NOP 0x1 seq=0
            11 k submit 0 NOP 0x1 seq=0
            12 k submit 1 READ 0x2 seq=0
            13 k complete 1 0x2 5 of=0
            ",
        );
        assert_eq!(
            (seen.kernel.merged, seen.operations, seen.completions),
            (1, 2, 1)
        );
        assert_eq!(seen.kernel.operations.values().sum::<u64>(), 1);
    }

    #[test]
    fn of_two_with_one_cookie_nobody_knows_which_was_taken() {
        let seen = summary(
            "
            1 k ring-create 0 fd=3 sq=8 cq=16
            2 main ring-create 0 fd=3 sq=8 cq=16
            10 main submit 0 NOP 0x1000 seq=0
            10 main submit 0 NOP 0x1000 seq=1
            11 k submit 0 NOP 0x1000 seq=0
            11 k submit 0 NOP 0x1000 seq=1
            12 k complete 0 0x1000 0 of=1
            13 main complete 0 0x1000 0
            ",
        );
        assert_eq!((seen.pending_at_end, seen.posted_at_end), (1, 0));
    }
}
