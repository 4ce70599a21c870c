//! What a scope did, as plain numbers.
//!
//! Things belong to the scope that made them: an operation counts for the scope that submitted it, and a
//! raw handle for the one that gave it away, whoever takes them back and on whatever thread.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::event::{EventId, What};
use crate::finding::Subject;
use crate::model::{CQE_MORE, within};
use crate::trace::Trace;

/// Counts over one scope and the scopes within it, up to the last record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Numbers {
    /// Raw handles given away: leaks and retains.
    pub leaked: u64,
    /// Of those, handles that were taken back: reclaims and releases.
    pub reclaimed: u64,
    /// Of those, handles that were not taken back yet.
    pub held: u64,
    /// Where the first of those handles was given away, for each generation: leaks and retains.
    pub holding: Vec<EventId>,
    /// Operations submitted.
    pub submitted: u64,
    /// Completions of those operations that were taken.
    pub completed: u64,
    /// Submissions of those operations whose last completion was not taken yet, in the order of their
    /// submission. An operation that posts nothing on success stays among them.
    pub in_flight: Vec<EventId>,
    /// Resumptions of the scope's coroutines, and by its threads of those that no scope spawned.
    pub resumed: u64,
}

/// Counts.
pub(crate) fn numbers(trace: &Trace, process: u32, scope: u32) -> Numbers {
    let parents = &trace.judged.scope_parents;
    let mut numbers = Numbers::default();
    let mut handles: FxHashMap<Subject, (EventId, u64)> = FxHashMap::default();
    let mut operations: FxHashMap<Subject, EventId> = FxHashMap::default();
    let mut ended: FxHashSet<Subject> = FxHashSet::default();
    let own = trace
        .events()
        .iter()
        .filter(|event| event.process == process);
    for event in own {
        let is_inside = within(parents, process, event.scope, scope);
        let link = trace.link(event.id);
        let generation = Subject::Generation {
            process,
            address: link.address,
            generation: link.generation,
        };
        let operation = link.operation.map(|(ring, sequence)| Subject::Operation {
            process,
            ring,
            sequence,
        });
        match (&event.what, operation) {
            (What::Leak(_) | What::Retain(_), _) if is_inside => {
                numbers.leaked += 1;
                handles.entry(generation).or_insert((event.id, 0)).1 += 1;
            }
            (What::Reclaim(_) | What::Release(_), _) => {
                if let Some((_, held)) = handles.get_mut(&generation).filter(|handle| handle.1 > 0)
                {
                    *held -= 1;
                    numbers.reclaimed += 1;
                }
            }
            (What::Submit(_), Some(operation)) if is_inside => {
                numbers.submitted += 1;
                operations.insert(operation, event.id);
            }
            (What::Complete(completion), Some(operation))
                if operations.contains_key(&operation) =>
            {
                numbers.completed += 1;
                if completion.flags & CQE_MORE == 0 {
                    ended.insert(operation);
                }
            }
            (What::Resume { .. }, _) if is_inside => numbers.resumed += 1,
            _ => {}
        }
    }
    handles.retain(|_, handle| handle.1 > 0);
    numbers.held = handles.values().map(|handle| handle.1).sum();
    numbers.holding = handles.into_values().map(|handle| handle.0).collect();
    numbers.holding.sort();
    let pending = operations
        .into_iter()
        .filter(|(operation, _)| !ended.contains(operation));
    numbers.in_flight = pending.map(|(_, submission)| submission).collect();
    numbers.in_flight.sort();
    numbers
}
