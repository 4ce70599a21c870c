//! One pass over the events.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{Latency, Live, Lost, Operations, RingStats, SCHEMA_VERSION, Stats, Thread};
use crate::event::{Completion, Event, SiteId, TypeId, What};
use crate::operations::{self, Ends};
use crate::trace::Trace;

/// Process and ring.
type RingId = (u32, u32);
/// Process, ring and sequence number.
type OperationId = (u32, u32, u64);
/// Process, address and generation.
type GenerationId = (u32, u64, u32);

#[derive(Debug, Default)]
struct Counts {
    rings: BTreeMap<RingId, Ring>,
    operations: operations::Operations,
    /// Operations in flight: opcode, time of submission, and whether a last completion is sure to come. One that
    /// may have ended in silence is not counted as in flight.
    flying: FxHashMap<OperationId, (u8, u64, bool)>,
    /// Opcodes of operations that got a completion.
    done: FxHashMap<OperationId, u8>,
    live: FxHashMap<GenerationId, Held>,
    /// The latest completion of a generation, until it is taken back.
    completed: FxHashMap<GenerationId, (u32, u64)>,
    /// The latest completion of a cookie, until it resumes somebody.
    resumable: FxHashMap<(u32, u32, u64), u64>,
    lanes: BTreeMap<u32, u64>,
}

#[derive(Debug, Default)]
struct Ring {
    operations: BTreeMap<u8, Opcode>,
    depth: u64,
    depth_max: u64,
    /// Operations in flight times nanoseconds.
    area: u128,
    first_ns: Option<u64>,
    changed_ns: u64,
    last_ns: u64,
    reclaims: Vec<u64>,
    resumes: Vec<u64>,
}

#[derive(Debug, Default)]
struct Opcode {
    submitted: u64,
    completions: u64,
    errors: u64,
    latencies: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    ty: TypeId,
    site: SiteId,
    leases: u64,
}

impl Ring {
    /// The number in flight changes; what it was counts for the time until now.
    fn change(&mut self, at_ns: u64, depth: u64) {
        if self.first_ns.is_none() {
            self.first_ns = Some(at_ns);
            self.changed_ns = at_ns;
        }
        let since = at_ns.saturating_sub(self.changed_ns);
        self.area = self
            .area
            .saturating_add(u128::from(self.depth) * u128::from(since));
        self.changed_ns = at_ns;
        self.last_ns = at_ns;
        self.depth = depth;
        self.depth_max = self.depth_max.max(depth);
    }
}

impl Stats {
    /// Counts.
    pub fn of(trace: &Trace) -> Self {
        let mut counts = Counts {
            operations: operations::Operations::of(trace),
            ..Counts::default()
        };
        for event in trace.events() {
            counts.see(trace, event);
        }
        counts.finish(trace)
    }
}

impl Counts {
    fn see(&mut self, trace: &Trace, event: &Event) {
        let at = event.at_ns;
        *self.lanes.entry(event.lane).or_default() += 1;
        let link = trace.link(event.id);
        let process = event.process;
        // Operations that the process recorded itself are counted there.
        if let Some(ring) = kernels_ring(&event.what)
            && trace.is_merged(process, ring)
        {
            return;
        }
        let generation = (process, link.address, link.generation);
        let operation = link
            .operation
            .map(|(ring, sequence)| (process, ring, sequence));
        match &event.what {
            What::RingCreate(ring) => {
                self.rings.entry((process, ring.ring)).or_default();
            }
            What::Submit(submission) => {
                let id = (
                    process,
                    u32::from(submission.entry.ring),
                    submission.sequence,
                );
                let ring = self.rings.entry((id.0, id.1)).or_default();
                let opcode = submission.entry.opcode;
                ring.operations.entry(opcode).or_default().submitted += 1;
                let is_sure = self.operations.submitted(process, submission) == Ends::Seen;
                if is_sure {
                    ring.change(at, ring.depth.saturating_add(1));
                }
                self.flying.insert(id, (opcode, at, is_sure));
            }
            What::Complete(completion) => {
                self.complete(at, process, completion, operation);
                if link.generation != 0 {
                    self.completed.insert(generation, (completion.ring, at));
                }
            }
            What::Resume {
                by: Some((ring, cookie)),
                ..
            } => {
                if let Some(completed) = self.resumable.remove(&(process, *ring, *cookie)) {
                    let ring = self.rings.entry((process, *ring)).or_default();
                    ring.resumes.push(at.saturating_sub(completed));
                }
            }
            What::Leak(pointer) | What::Retain(pointer) if link.generation != 0 => {
                let held = self.live.entry(generation).or_insert(Held {
                    ty: pointer.ty,
                    site: pointer.site,
                    leases: 0,
                });
                held.leases = held.leases.saturating_add(1);
            }
            What::Reclaim(_) | What::Release(_) if link.generation != 0 => {
                if let Some((ring, completed)) = self.completed.remove(&generation) {
                    let ring = self.rings.entry((process, ring)).or_default();
                    ring.reclaims.push(at.saturating_sub(completed));
                }
                if let Some(held) = self.live.get_mut(&generation) {
                    held.leases = held.leases.saturating_sub(1);
                    if held.leases == 0 {
                        self.live.remove(&generation);
                    }
                }
            }
            What::LeakForever(_) => {
                self.live.remove(&generation);
            }
            _ => {}
        }
    }

    fn complete(
        &mut self,
        at: u64,
        process: u32,
        completion: &Completion,
        operation: Option<OperationId>,
    ) {
        self.resumable
            .insert((process, completion.ring, completion.cookie), at);
        let Some(id) = operation else { return };
        let is_last = operations::is_last(completion);
        let flying = self.flying.get(&id).copied();
        let Some(opcode) = flying
            .map(|it| it.0)
            .or_else(|| self.done.get(&id).copied())
        else {
            return;
        };
        // A message to another ring completes there; its operation counts where it was submitted.
        let ring = self.rings.entry((id.0, id.1)).or_default();
        let counts = ring.operations.entry(opcode).or_default();
        counts.completions += 1;
        let failed = operations::failed(opcode, completion);
        counts.errors += u64::from(failed == Some(true));
        if let (true, Some((_, submitted, is_sure))) = (is_last, flying) {
            counts.latencies.push(at.saturating_sub(submitted));
            if is_sure {
                ring.change(at, ring.depth.saturating_sub(1));
            }
            self.flying.remove(&id);
            self.done.insert(id, opcode);
        }
    }

    fn finish(self, trace: &Trace) -> Stats {
        let recording = trace.recording();
        let names = trace.names();
        let pid = |process: u32| recording.process(process).map_or(0, |process| process.pid);
        let mut live: BTreeMap<(String, String), u64> = BTreeMap::new();
        for held in self.live.values() {
            *live
                .entry((names.ty(held.ty), names.site(held.site)))
                .or_default() += 1;
        }
        let mut live: Vec<Live> = live
            .into_iter()
            .map(|((ty, site), count)| Live { ty, site, count })
            .collect();
        live.sort_by_key(|it| std::cmp::Reverse(it.count));
        let mut losses: BTreeMap<&str, Lost> = BTreeMap::new();
        for located in &recording.losses {
            let reason = crate::text::loss_reason(located.loss.reason);
            let lost = losses.entry(reason).or_default();
            lost.reason = reason.to_owned();
            lost.places += 1;
            lost.records = lost
                .records
                .saturating_add(located.loss.records.unwrap_or(0));
        }
        let lanes = self.lanes.into_iter();
        let mut threads: Vec<Thread> = lanes
            .map(|(lane, events)| Thread {
                pid: recording.lane(lane).map_or(0, |lane| pid(lane.process)),
                lane,
                name: names.thread(lane),
                events,
            })
            .collect();
        threads.sort_by_key(|thread| std::cmp::Reverse(thread.events));
        let (first, last) = (trace.events().first(), trace.events().last());
        Stats {
            schema_version: SCHEMA_VERSION,
            events: trace.events().len() as u64,
            duration_ns: last.map_or(0, |event| event.at_ns) - first.map_or(0, |event| event.at_ns),
            times_by_batch: recording
                .processes
                .iter()
                .any(|process| process.times_by_batch),
            rings: self
                .rings
                .into_iter()
                .map(|((process, ring), counts)| counts.finish(pid(process), ring))
                .collect(),
            live,
            records_lost: trace.verdict().summary.records_lost,
            losses: losses.into_values().collect(),
            threads,
        }
    }
}

/// The ring that an event of the kernel's view is about.
fn kernels_ring(what: &What) -> Option<u32> {
    match what {
        What::RingCreate(ring) => Some(ring.ring),
        What::Submit(submission) => Some(u32::from(submission.entry.ring)),
        What::Complete(completion) => Some(completion.ring),
        _ => None,
    }
}

impl Ring {
    fn finish(self, pid: u32, ring: u32) -> RingStats {
        let span = self
            .last_ns
            .saturating_sub(self.first_ns.unwrap_or(self.last_ns));
        let mut operations: Vec<Operations> = self
            .operations
            .into_iter()
            .map(|(opcode, counts)| Operations {
                op: crate::names::opcode(opcode).into_owned(),
                submitted: counts.submitted,
                completions: counts.completions,
                errors: counts.errors,
                submit_to_complete: Latency::of(counts.latencies),
            })
            .collect();
        operations.sort_by_key(|it| std::cmp::Reverse(it.submitted));
        RingStats {
            pid,
            ring,
            depth_max: self.depth_max,
            depth_mean: if span == 0 {
                0.0
            } else {
                self.area as f64 / span as f64
            },
            in_flight_at_end: self.depth,
            operations,
            complete_to_reclaim: Latency::of(self.reclaims),
            complete_to_resume: Latency::of(self.resumes),
        }
    }
}
