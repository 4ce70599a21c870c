//! Where things are among the events of a trace: made the first time that somebody asks, once for all that ask.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::event::{Event, EventId, StringId, What};

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
    pub(crate) fn scope(&self, events: &[Event], id: (u32, u32)) -> Option<StringId> {
        let make = || {
            let begun = events.iter().filter_map(|event| match &event.what {
                What::ScopeBegin { scope, name, .. } => Some(((event.process, *scope), *name)),
                _ => None,
            });
            begun.collect()
        };
        self.scopes.get_or_init(make).get(&id).copied()
    }
}
