//! Where things are among the events of a trace: made the first time that somebody asks, once for all that ask.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::event::{Event, EventId, StringId, What};
use crate::events::{Events, Key};

/// What has been looked up so far.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    submissions: OnceLock<FxHashMap<(u32, u32, u64), EventId>>,
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
