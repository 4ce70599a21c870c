//! Events that somebody looks back at while all of them are gone through: a page that was looked at stays decoded until
//! others were looked at since.
//!
//! What a finding rests on lies close together, and the next one's close behind it, so that few pages are enough. Where
//! it does not, a page is decoded for each look: that takes time, and no memory.

use std::cell::RefCell;

use super::pages::{Decoded, PAGE, Pages};
use super::{Events, Held};
use crate::event::{Event, EventId};

/// Pages that stay decoded: some 12 MiB.
const KEPT: usize = if cfg!(test) { 3 } else { 64 };

/// Looks back at events of a trace.
#[derive(Debug)]
pub(crate) struct Recent<'a> {
    events: &'a Events,
    kept: RefCell<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    pages: Vec<Page>,
    /// The one that was looked at last.
    latest: usize,
    /// Looks so far at another page than the one before.
    looks: u64,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Page {
    number: usize,
    /// When it was looked at last.
    look: u64,
    decoded: Decoded,
}

impl<'a> Recent<'a> {
    pub(crate) fn new(events: &'a Events) -> Self {
        Self {
            events,
            kept: RefCell::default(),
        }
    }

    /// Looks at the event of an id, where there is one. Who looks must not look back again meanwhile.
    pub(crate) fn with<R>(&self, id: EventId, look: impl FnOnce(&Event) -> R) -> Option<R> {
        let pages = match &self.events.0 {
            Held::Whole { .. } => return self.events.find(id).map(look),
            Held::Paged(pages) => pages,
        };
        let at = usize::try_from(id.0).ok().filter(|at| *at < pages.len())?;
        let mut kept = self.kept.borrow_mut();
        let events = kept.page(pages, at / PAGE)?;
        events.get(at % PAGE).map(look)
    }
}

impl Kept {
    fn page(&mut self, pages: &Pages, number: usize) -> Option<&[Event]> {
        let is_latest = |page: &Page| page.number == number;
        if !self.pages.get(self.latest).is_some_and(is_latest) {
            self.looks += 1;
            self.latest = match self.pages.iter().position(is_latest) {
                Some(at) => at,
                None => self.decode(pages, number),
            };
        }
        let page = self.pages.get_mut(self.latest)?;
        page.look = self.looks;
        Some(&page.decoded.events)
    }

    /// Decodes a page in the room of the one that nobody looked at for longest; where that is.
    fn decode(&mut self, pages: &Pages, number: usize) -> usize {
        let oldest = self.pages.iter().enumerate();
        let oldest = oldest.min_by_key(|(_, page)| page.look);
        let at = match oldest {
            Some((at, _)) if self.pages.len() >= KEPT => at,
            _ => {
                self.pages.push(Page {
                    number,
                    look: 0,
                    decoded: Decoded::default(),
                });
                self.pages.len() - 1
            }
        };
        if let Some(page) = self.pages.get_mut(at) {
            page.number = number;
            pages.decode_or_note(number, &mut page.decoded, &mut self.buffer);
        }
        at
    }
}
