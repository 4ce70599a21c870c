//! Events in pages, each coded for itself: the first ones in memory, the others where there is more room. A page that
//! somebody looks at is decoded, and stays so until all that were looked at are let go of.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::io;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustc_hash::{FxHashMap, FxHasher};

use super::coding::{Bytes, Coder};
use super::keys::{self, Key};
use crate::event::{Event, EventId};
use crate::model::Link;

/// Events of a page. Tests have small ones, so that few events are many pages.
pub(super) const PAGE: usize = if cfg!(test) { 8 } else { 1024 };

/// Pages whose events are not coded yet: an enter takes submissions that are not much older than itself.
const OPEN: usize = 4;

/// Bytes of coded events that are kept in memory.
const MEMORY: usize = if cfg!(test) { 64 } else { 64 << 20 };

/// Pages that may stay decoded: some 30 MiB.
const DECODED_MAX: usize = if cfg!(test) { 4 } else { 160 };

/// Room for bytes that memory is too dear for. What is put there is read again by the same process, and by nobody else.
pub trait Aside: Send + Sync + std::fmt::Debug {
    /// Puts bytes at an offset.
    fn put(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Fills `buffer` with what was put at an offset.
    fn get(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// Makes such room, once it is needed.
pub type MakeAside = fn() -> io::Result<Box<dyn Aside>>;

/// All events of a trace, with what they belong to.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    len: usize,
    pages: Vec<Page>,
    aside: Option<Box<dyn Aside>>,
    /// Enters that came long after the submissions that they took, by the submissions' pages.
    late: FxHashMap<usize, Late>,
    /// How many are decoded.
    decoded: AtomicUsize,
    /// A page could not be read back, or is not what was put there.
    is_unreadable: AtomicBool,
}

#[derive(Debug)]
struct Page {
    place: Place,
    /// Bytes of its filter, which come first.
    filter: u32,
    decoded: OnceLock<Box<Decoded>>,
}

#[derive(Debug)]
enum Place {
    Memory(Box<[u8]>),
    Aside { offset: u64, len: u32 },
}

#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) events: Vec<Event>,
    links: Vec<Link>,
}

impl Pages {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many pages there are.
    pub(super) fn count(&self) -> usize {
        self.pages.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<(&Event, &Link)> {
        let page = self.page(at / PAGE)?;
        Some((page.events.get(at % PAGE)?, page.links.get(at % PAGE)?))
    }

    fn page(&self, number: usize) -> Option<&Decoded> {
        let page = self.pages.get(number)?;
        Some(page.decoded.get_or_init(|| {
            self.decoded.fetch_add(1, Ordering::Relaxed);
            let mut decoded = Box::default();
            // What cannot be read back is missing: nothing else is to be had.
            self.decode_or_note(number, &mut decoded, &mut Vec::new());
            decoded
        }))
    }

    /// Changes a byte of a page that lies in memory, with what comes of it as of one in a file aside that somebody else wrote
    /// to: for tests. One that does lie in a file is left as it is.
    pub(super) fn damage(&mut self, number: usize) {
        let Some(page) = self.pages.get_mut(number) else {
            return;
        };
        page.decoded = OnceLock::new();
        if let Place::Memory(bytes) = &mut page.place
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 0xff;
        }
    }

    #[cfg(test)]
    pub(super) fn is_aside(&self) -> bool {
        self.aside.is_some()
    }

    /// Lets go of decoded pages, where there are many.
    pub(super) fn trim(&mut self) {
        if *self.decoded.get_mut() > DECODED_MAX {
            *self.decoded.get_mut() = 0;
            for page in &mut self.pages {
                page.decoded = OnceLock::new();
            }
        }
    }

    /// Whether a page may have something.
    pub(super) fn may_have(&self, number: usize, key: &Key, buffer: &mut Vec<u8>) -> bool {
        let Some(page) = self.pages.get(number) else {
            return false;
        };
        let filter = self.bytes(page, page.filter as usize, buffer);
        filter.is_none_or(|filter| keys::may_have(filter, key.hash()))
    }

    /// The first so many bytes of a page.
    fn bytes<'a>(&self, page: &'a Page, len: usize, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        match &page.place {
            Place::Memory(bytes) => bytes.get(..len),
            Place::Aside { offset, .. } => {
                buffer.resize(len, 0);
                self.aside.as_ref()?.get(*offset, buffer).ok()?;
                Some(buffer)
            }
        }
    }

    /// Whether a page could not be read back so far: what was gone through is then not all there is.
    pub(super) fn is_unreadable(&self) -> bool {
        self.is_unreadable.load(Ordering::Relaxed)
    }

    /// Decodes a page, or notes that it cannot be read back.
    pub(super) fn decode_or_note(&self, number: usize, to: &mut Decoded, buffer: &mut Vec<u8>) {
        if self.decode(number, to, buffer).is_none() {
            self.is_unreadable.store(true, Ordering::Relaxed);
        }
    }

    fn decode(&self, number: usize, to: &mut Decoded, buffer: &mut Vec<u8>) -> Option<()> {
        to.events.clear();
        to.links.clear();
        let page = self.pages.get(number)?;
        let len = match &page.place {
            Place::Memory(bytes) => bytes.len(),
            Place::Aside { len, .. } => *len as usize,
        };
        let (bytes, hash) = self.bytes(page, len, buffer)?.split_last_chunk()?;
        if *hash != hash_of(bytes) {
            return None;
        }
        let mut bytes = Bytes(bytes.get(page.filter as usize..)?);
        let mut coder = Coder::new();
        let ids = ids_of(number, self.len);
        to.events.reserve_exact(ids.len());
        to.links.reserve_exact(ids.len());
        for id in ids.clone() {
            let (event, link) = coder.take(EventId(id as u64), &mut bytes)?;
            to.events.push(event);
            to.links.push(link);
        }
        if let Some(late) = self.late.get(&number) {
            for (at, enter) in late.enters(ids.start as u64) {
                if let Some(link) = to.links.get_mut(at) {
                    link.enter = Some(enter);
                }
            }
        }
        Some(())
    }

    /// Goes through some of the events, and keeps nothing.
    pub(super) fn each(&self, ids: Range<usize>, mut each: impl FnMut(&Event, &Link)) {
        let mut scratch = Decoded::default();
        let mut buffer = Vec::new();
        let pages = ids.start / PAGE..ids.end.min(self.len).div_ceil(PAGE);
        for number in pages {
            let known = self.pages.get(number).and_then(|page| page.decoded.get());
            let decoded = match known {
                Some(decoded) => decoded,
                None => {
                    self.decode_or_note(number, &mut scratch, &mut buffer);
                    &scratch
                }
            };
            let first = number * PAGE;
            let from = ids.start.saturating_sub(first);
            let until = ids.end.saturating_sub(first).min(decoded.events.len());
            let events = decoded.events.get(from..until).unwrap_or_default();
            let links = decoded.links.get(from..until).unwrap_or_default();
            for (event, link) in events.iter().zip(links) {
                each(event, link);
            }
        }
    }
}

/// Enters of a page's submissions that came when the page was coded already: the position of each, and how far behind
/// the page's beginning the enter is. A ring that is filled for long and then entered has many, of a few bytes each.
#[derive(Debug, Default)]
struct Late(Vec<u8>);

impl Late {
    fn add(&mut self, at: usize, enter: EventId, first: u64) {
        let behind = enter.0.saturating_sub(first);
        for mut number in [at as u64, behind] {
            while number >= 0x80 {
                self.0.push(number as u8 | 0x80);
                number >>= 7;
            }
            self.0.push(number as u8);
        }
    }

    /// In the order in which they came: of two for one submission the later one counts.
    fn enters(&self, first: u64) -> impl Iterator<Item = (usize, EventId)> {
        let mut bytes = self.0.iter();
        let mut number = move || {
            let (mut number, mut shift) = (0, 0);
            loop {
                let byte = *bytes.next()?;
                number |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return Some(number);
                }
            }
        };
        std::iter::from_fn(move || {
            let at = usize::try_from(number()?).ok()?;
            Some((at, EventId(first.saturating_add(number()?))))
        })
    }
}

/// What stands at the end of a page, so that zeros or what somebody else wrote are not taken for events.
fn hash_of(bytes: &[u8]) -> [u8; 4] {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    let hash = hasher.finish();
    ((hash ^ (hash >> 32)) as u32).to_le_bytes()
}

/// The events of a page.
pub(super) fn ids_of(page: usize, len: usize) -> Range<usize> {
    let first = page.saturating_mul(PAGE).min(len);
    first..first.saturating_add(PAGE).min(len)
}

/// Puts events into pages, one after the other.
#[derive(Debug)]
pub(crate) struct Builder {
    pages: Pages,
    open: VecDeque<(Event, Link)>,
    /// The link of the event at hand.
    now: Link,
    in_memory: usize,
    offset: u64,
    make: MakeAside,
    /// No room was to be had aside, or it is full.
    has_failed: bool,
    hashes: Vec<u64>,
}

impl Builder {
    pub(crate) fn new(make: MakeAside) -> Self {
        Self {
            pages: Pages::default(),
            open: VecDeque::new(),
            now: Link::default(),
            in_memory: 0,
            offset: 0,
            make,
            has_failed: false,
            hashes: Vec::new(),
        }
    }

    /// An event begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.now = Link::default();
    }

    /// What an event belongs to, to be filled in: that at hand, or an earlier one.
    #[inline]
    pub(crate) fn link(&mut self, id: EventId) -> &mut Link {
        let first = self.pages.len - self.open.len();
        match usize::try_from(id.0).unwrap_or(usize::MAX) {
            at if at >= self.pages.len => &mut self.now,
            at => match at.checked_sub(first).and_then(|at| self.open.get_mut(at)) {
                Some((_, link)) => link,
                None => &mut self.now,
            },
        }
    }

    /// A submission was taken by an enter.
    #[inline]
    pub(crate) fn entered(&mut self, submission: EventId, enter: EventId) {
        let first = (self.pages.len - self.open.len()) as u64;
        if submission.0 < first {
            let at = usize::try_from(submission.0).unwrap_or(usize::MAX);
            let late = self.pages.late.entry(at / PAGE).or_default();
            late.add(at % PAGE, enter, (at - at % PAGE) as u64);
        } else {
            self.link(submission).enter = Some(enter);
        }
    }

    /// An event is over.
    #[inline]
    pub(crate) fn end(&mut self, event: &Event) {
        self.open.push_back((event.clone(), self.now));
        self.pages.len += 1;
        if self.open.len() >= (OPEN + 1) * PAGE {
            self.code();
        }
    }

    /// All events were given.
    pub(crate) fn finish(mut self) -> Pages {
        while !self.open.is_empty() {
            self.code();
        }
        self.pages
    }

    /// Makes a page of the oldest events.
    fn code(&mut self) {
        let count = self.open.len().min(PAGE);
        self.hashes.clear();
        for (event, link) in self.open.range(..count) {
            let keys = Key::of(event, link).into_iter().flatten();
            self.hashes.extend(keys.map(|key| key.hash()));
        }
        let mut bytes = Vec::new();
        keys::put(&mut self.hashes, &mut bytes);
        let filter = u32::try_from(bytes.len()).unwrap_or(0);
        let mut coder = Coder::new();
        for (event, link) in self.open.drain(..count) {
            coder.put(&event, &link, &mut bytes);
        }
        let hash = hash_of(&bytes);
        bytes.extend_from_slice(&hash);
        let place = self.place(bytes);
        self.pages.pages.push(Page {
            place,
            filter,
            decoded: OnceLock::new(),
        });
    }

    /// In memory while there is little, and where there is nothing else.
    fn place(&mut self, bytes: Vec<u8>) -> Place {
        let is_much = self.in_memory.saturating_add(bytes.len()) > MEMORY;
        if is_much && !self.has_failed {
            match self.put_aside(&bytes) {
                Ok(place) => return place,
                // Memory is what is left; the pages that lie aside stay there.
                Err(_) => self.has_failed = true,
            }
        }
        self.in_memory = self.in_memory.saturating_add(bytes.len());
        Place::Memory(bytes.into())
    }

    fn put_aside(&mut self, bytes: &[u8]) -> io::Result<Place> {
        let aside = match &mut self.pages.aside {
            Some(aside) => aside,
            none => none.insert((self.make)()?),
        };
        let offset = self.offset;
        aside.put(offset, bytes)?;
        let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.offset = offset.saturating_add(len.into());
        Ok(Place::Aside { offset, len })
    }
}
