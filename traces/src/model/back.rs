//! Events that rules look back at: those that a finding rests on.

use crate::event::{Event, EventId, SiteId};
use crate::events::Recent;

/// Where they are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Back<'a> {
    /// In their order: all events, or those that were asked for.
    Here(&'a [Event]),
    /// All of them, in pages.
    Paged(&'a Recent<'a>),
}

impl Back<'_> {
    /// Looks at the event of an id, where there is one. Who looks must not look back again meanwhile.
    pub(crate) fn with<R>(self, id: EventId, look: impl FnOnce(&Event) -> R) -> Option<R> {
        match self {
            Self::Here(events) => find(events, id).map(look),
            Self::Paged(recent) => recent.with(id, look),
        }
    }

    /// The place of an event in the source.
    pub(crate) fn site(self, id: EventId) -> SiteId {
        self.with(id, Event::site).unwrap_or_default()
    }
}

/// The event of an id, among some in their order: where all are there, at its place.
fn find(events: &[Event], id: EventId) -> Option<&Event> {
    let at = usize::try_from(id.0).ok()?;
    match events.get(at) {
        Some(event) if event.id == id => Some(event),
        _ => {
            let found = events.binary_search_by_key(&id, |event| event.id).ok()?;
            events.get(found)
        }
    }
}
