//! The events of a trace, and what each belongs to: all that there is to go through, or some that were kept.
//!
//! A verdict needs few events, and what is exported is gone through once: those lie in memory as they are. A viewer
//! wants any of a hundred million, a screenful at a time: they lie in `pages`, some ten bytes each (`coding`), and a
//! page says which subjects it has nothing of (`keys`), so that a life is found without reading all.

mod coding;
mod keys;
mod pages;
mod recent;
#[cfg(test)]
mod tests;

use std::ops::{Index, Range};

pub(crate) use keys::Key;
pub use pages::{Aside, MakeAside};
pub(crate) use pages::{Builder, Pages};
pub(crate) use recent::Recent;

use crate::event::{Event, EventId};
use crate::model::Link;

/// Events in causal order.
#[derive(Debug)]
pub struct Events(Held);

#[derive(Debug)]
enum Held {
    /// All of them, or those that somebody wanted to keep.
    Whole {
        events: Vec<Event>,
        links: Vec<Link>,
    },
    Paged(Pages),
}

impl Events {
    pub(crate) fn whole(events: Vec<Event>, links: Vec<Link>) -> Self {
        Self(Held::Whole { events, links })
    }

    pub(crate) fn paged(pages: Pages) -> Self {
        Self(Held::Paged(pages))
    }

    /// Whether some could not be read back so far, so that what was gone through was not all.
    pub fn is_unreadable(&self) -> bool {
        match &self.0 {
            Held::Whole { .. } => false,
            Held::Paged(pages) => pages.is_unreadable(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Held::Whole { events, .. } => events.len(),
            Held::Paged(pages) => pages.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at a position.
    pub fn get(&self, at: usize) -> Option<&Event> {
        match &self.0 {
            Held::Whole { events, .. } => events.get(at),
            Held::Paged(pages) => Some(pages.get(at)?.0),
        }
    }

    /// All that lie in memory as they are.
    pub(crate) fn as_slice(&self) -> Option<&[Event]> {
        match &self.0 {
            Held::Whole { events, .. } => Some(events),
            Held::Paged(_) => None,
        }
    }

    /// The first one.
    pub fn first(&self) -> Option<&Event> {
        self.get(0)
    }

    /// The last one.
    pub fn last(&self) -> Option<&Event> {
        self.get(self.len().checked_sub(1)?)
    }

    /// One after the other, to be looked at as long as one likes. Where all are gone through once, [`Events::each`]
    /// takes no memory.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len())
    }

    /// Some of them, likewise.
    pub fn range(&self, range: Range<usize>) -> Iter<'_> {
        let end = range.end.min(self.len());
        Iter {
            events: self,
            range: range.start.min(end)..end,
        }
    }

    /// Goes through some of them.
    pub fn each(&self, range: Range<usize>, mut each: impl FnMut(&Event)) {
        self.each_with(range, |event, _| each(event));
    }

    pub(crate) fn each_with(&self, range: Range<usize>, mut each: impl FnMut(&Event, &Link)) {
        match &self.0 {
            Held::Whole { events, links } => {
                let none = Link::default();
                for at in range.start..range.end.min(events.len()) {
                    if let Some(event) = events.get(at) {
                        each(event, links.get(at).unwrap_or(&none));
                    }
                }
            }
            Held::Paged(pages) => pages.each(range, each),
        }
    }

    /// The number of those in front for which something is true, where it is true for none behind.
    pub fn partition_point(&self, mut is_in_front: impl FnMut(&Event) -> bool) -> usize {
        let mut range = 0..self.len();
        while !range.is_empty() {
            let middle = range.start + range.len() / 2;
            if self.get(middle).is_some_and(&mut is_in_front) {
                range.start = middle + 1;
            } else {
                range.end = middle;
            }
        }
        range.start
    }

    /// The position of the one with an id.
    fn position(&self, id: EventId) -> Option<usize> {
        let at = usize::try_from(id.0).ok()?;
        match &self.0 {
            Held::Whole { events, .. } => match events.get(at) {
                Some(event) if event.id == id => Some(at),
                _ => events.binary_search_by_key(&id, |event| event.id).ok(),
            },
            Held::Paged(_) => Some(at),
        }
    }

    pub(crate) fn find(&self, id: EventId) -> Option<&Event> {
        self.get(self.position(id)?)
    }

    pub(crate) fn link(&self, id: EventId) -> Link {
        let link = self.position(id).and_then(|at| match &self.0 {
            Held::Whole { links, .. } => links.get(at),
            Held::Paged(pages) => Some(pages.get(at)?.1),
        });
        link.copied().unwrap_or_default()
    }

    /// Stretches that are looked at as one.
    pub(crate) fn pages(&self) -> usize {
        match &self.0 {
            Held::Whole { events, .. } => events.len().div_ceil(pages::PAGE),
            Held::Paged(pages) => pages.count(),
        }
    }

    /// Whether one of them may have one of some keys.
    pub(crate) fn may_have<'k>(
        &self,
        page: usize,
        mut keys: impl Iterator<Item = &'k Key>,
        buffer: &mut Vec<u8>,
    ) -> bool {
        match &self.0 {
            Held::Whole { .. } => true,
            Held::Paged(pages) => keys.any(|key| pages.may_have(page, key, buffer)),
        }
    }

    /// The positions in a page.
    pub(crate) fn ids_of(&self, page: usize) -> Range<usize> {
        pages::ids_of(page, self.len())
    }

    /// The page that an event is or would be in.
    pub(crate) fn page_of(&self, id: EventId) -> usize {
        let at = match &self.0 {
            Held::Whole { events, .. } => events.partition_point(|event| event.id < id),
            Held::Paged(_) => usize::try_from(id.0).unwrap_or(usize::MAX),
        };
        at.min(self.len().saturating_sub(1)) / pages::PAGE
    }

    /// The nearest event with one of some keys, from a page on: this way, or the other.
    pub(crate) fn nearest(
        &self,
        keys: &[Key],
        pages: impl Iterator<Item = usize>,
        last: bool,
        mut is_it: impl FnMut(&Event, &Link) -> bool,
    ) -> Option<EventId> {
        let mut buffer = Vec::new();
        for page in pages {
            if !self.may_have(page, keys.iter(), &mut buffer) {
                continue;
            }
            let mut found = None;
            self.each_with(self.ids_of(page), |event, link| {
                if (last || found.is_none()) && is_it(event, link) {
                    found = Some(event.id);
                }
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Has the page of an event fail to be read back, if it lies in memory: for tests.
    pub(crate) fn damage(&mut self, at: EventId) {
        let page = self.page_of(at);
        if let Held::Paged(pages) = &mut self.0 {
            pages.damage(page);
        }
    }

    pub(crate) fn trim(&mut self) {
        if let Held::Paged(pages) = &mut self.0 {
            pages.trim();
        }
    }
}

impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other)
    }
}

impl Index<usize> for Events {
    type Output = Event;

    /// As of a slice.
    fn index(&self, at: usize) -> &Event {
        match self.get(at) {
            Some(event) => event,
            None => panic!("there are {} events, and none at {at}", self.len()),
        }
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Events one after the other.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    events: &'a Events,
    range: Range<usize>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Event;

    #[inline]
    fn next(&mut self) -> Option<&'a Event> {
        self.events.get(self.range.next()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.events.get(self.range.next_back()?)
    }
}
