//! Where things are among the events of a trace: made the first time that somebody asks, once for all that ask.

use std::sync::{Mutex, OnceLock, PoisonError};

use rustc_hash::FxHashMap;

use crate::event::{Event, EventId, StringId, What};
use crate::events::{Events, Key};

/// Operations of paged events that are remembered.
const FOUND_MAX: usize = 1 << 16;

/// What has been looked up so far.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    submissions: OnceLock<FxHashMap<(u32, u32, u64), EventId>>,
    /// Of paged events, the latest that were asked for; also those that are not there.
    found: Mutex<FxHashMap<(u32, u32, u64), Option<EventId>>>,
    scopes: OnceLock<FxHashMap<(u32, u32), StringId>>,
}

impl Lookup {
    /// The event that submitted an operation, by process, ring and sequence number.
    pub(crate) fn submission(&self, events: &[Event], id: (u32, u32, u64)) -> Option<EventId> {
        let make = || {
            let mut found = FxHashMap::default();
            for event in events {
                if let What::Submit(s) = &event.what {
                    let id = (event.process, u32::from(s.entry.ring), s.sequence);
                    found.entry(id).or_insert(event.id);
                }
            }
            found
        };
        self.submissions.get_or_init(make).get(&id).copied()
    }

    /// The same where no list is made of all: what `find` finds is remembered, since many completions of one operation
    /// ask one after the other.
    pub(crate) fn remembered(
        &self,
        id: (u32, u32, u64),
        find: impl FnOnce() -> Option<EventId>,
    ) -> Option<EventId> {
        let lock = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(&id) {
            return *found;
        }
        let event = find();
        let mut found = lock();
        if found.len() >= FOUND_MAX {
            found.clear();
        }
        found.insert(id, event);
        event
    }

    /// The name of a scope, by process and number.
    pub(crate) fn scope(&self, events: &Events, id: (u32, u32)) -> Option<StringId> {
        let make = || {
            let mut begun = FxHashMap::default();
            let mut buffer = Vec::new();
            for page in 0..events.pages() {
                if !events.may_have(page, std::iter::once(&Key::Scope), &mut buffer) {
                    continue;
                }
                events.each(events.ids_of(page), |event| {
                    if let What::ScopeBegin { scope, name, .. } = &event.what {
                        begun.insert((event.process, *scope), *name);
                    }
                });
            }
            begun
        };
        self.scopes.get_or_init(make).get(&id).copied()
    }
}
