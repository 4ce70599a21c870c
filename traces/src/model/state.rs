//! The state of the model, and the one place that knows which event changes what.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::schemes::Schemes;
use super::things::{Address, Coroutine, GenerationId, RingDrop, RingState, Standing};
use super::{Link, Observer};
use crate::event::{Event, EventId, SiteId, What};
use crate::finding::Summary;

/// Tombstones that are kept.
pub(super) const TOMBS_MAX: usize = 1 << 20;

/// Everything that is alive, or died last in its place.
#[derive(Default)]
pub(super) struct State {
    pub(super) addresses: FxHashMap<(u32, u64), Address>,
    /// Addresses in the order in which their tombstones were put up.
    pub(super) tombs: VecDeque<(u32, u64)>,
    pub(super) rings: FxHashMap<(u32, u32), RingState>,
    /// Rings that were dropped with operations in flight, and are not judged yet.
    pub(super) drops: Vec<RingDrop>,
    /// Where the generations of such operations were taken back.
    pub(super) taken_back: FxHashMap<GenerationId, (EventId, SiteId)>,
    pub(super) coroutines: FxHashMap<(u32, u32), Coroutine>,
    /// Coroutines that ended, oldest first.
    pub(super) ended: VecDeque<(u32, u32)>,
    /// Coroutines that wait for a cookie.
    pub(super) waiting: FxHashMap<(u32, u64), Vec<u32>>,
    /// The coroutine that runs on each lane.
    pub(super) running: FxHashMap<u32, u32>,
    pub(super) schemes: Schemes,
    /// Rings whose enters are recorded.
    pub(super) entered: FxHashSet<(u32, u32)>,
    pub(super) scope_parents: FxHashMap<(u32, u32), u32>,
    pub(super) links: Vec<Link>,
    spare_link: Link,
    pub(super) summary: Summary,
}

impl State {
    /// A state before the first of these events.
    pub(super) fn new(events: &[Event]) -> Self {
        let mut state = Self {
            links: vec![Link::default(); events.len()],
            ..Self::default()
        };
        for event in events {
            if let What::Enter { ring, .. } = event.what {
                state.entered.insert((event.process, ring));
            }
        }
        state
    }

    /// What an event changes.
    pub(super) fn step(&mut self, event: &Event, observer: &mut Observer<'_>) {
        match &event.what {
            What::Leak(p) | What::Retain(p) => self.leak(event, p, false, observer),
            What::LeakForever(p) => self.leak(event, p, true, observer),
            What::Reclaim(p) => self.reclaim(event, p, true, observer),
            What::Release(p) => self.reclaim(event, p, false, observer),
            What::Peek(p) => self.peek(event, p),
            What::RingCreate(ring) => self.ring_create(event, ring),
            What::RingDrop { ring } => self.ring_drop(event, *ring),
            What::Claim { .. } | What::Overflow { .. } => {}
            What::Submit(submission) => self.submit(event, submission, observer),
            What::Enter { ring, result, .. } => self.enter(event, *ring, *result),
            What::Complete(completion) => self.complete(event, completion, observer),
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
            What::Done { coroutine } => self.leave(event, *coroutine, true),
            What::CoroutineDrop { coroutine } => self.leave(event, *coroutine, false),
            What::Mark { .. } => {
                let running = self.running.get(&event.lane).copied();
                self.link(event.id).coroutine = running;
            }
            What::Wake { coroutine } => self.link(event.id).coroutine = Some(*coroutine),
            What::ScopeBegin { scope, parent, .. } => {
                self.scope_parents.insert((event.process, *scope), *parent);
            }
            What::ScopeEnd { scope } => {
                self.drops_of_scope(event, *scope, observer);
                self.scope_end(event, *scope, observer);
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
            What::ScopeEnter { .. }
            | What::Thread { .. }
            | What::Fork { .. }
            | What::Lost(_)
            | What::Other { .. } => {}
        }
    }

    /// The link of an event, to be filled in.
    pub(super) fn link(&mut self, id: EventId) -> &mut Link {
        let index = usize::try_from(id.0).unwrap_or(usize::MAX);
        // Ids are the positions of events; the spare one is for whoever breaks that rule.
        self.links.get_mut(index).unwrap_or(&mut self.spare_link)
    }

    /// What a cookie stands for now.
    pub(super) fn standing(&self, process: u32, address: u64) -> Standing<'_> {
        match self.addresses.get(&(process, address)) {
            Some(Address {
                live: Some(generation),
                ..
            }) => Standing::Live(generation),
            Some(Address {
                dead: Some(dead), ..
            }) => Standing::Dead(dead),
            _ => Standing::Unknown,
        }
    }

    /// Whether `scope` is `outer`, or lies within it.
    pub(super) fn within(&self, process: u32, scope: u32, outer: u32) -> bool {
        within(&self.scope_parents, process, scope, outer)
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
