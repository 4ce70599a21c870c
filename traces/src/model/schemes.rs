//! How cookies are to be read, as the program declared it.
//!
//! Each event of a ring asks for it. Most programs declare a thing or two; some declare it anew for each of
//! thousands of rings.

use std::cell::Cell;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::scheme;

/// So many declarations are compared one after the other.
const FEW: usize = 8;
/// Declarations of one process that are kept for one ring, or for all: nobody has so many kinds of cookies. Where there are
/// more, any cookie may be one that stands for nobody.
const OF_ONE_MAX: usize = 4096;
/// Cookies that are kept as shared: where there are more, all are taken to be.
const SHARED_MAX: usize = 1 << 20;

/// As [`scheme::TAGGED`], without a word on whether the rest is a pointer.
const TAGS: u64 = u64::MAX;

/// What was declared, and its parameter.
type Said = (u64, u64);

/// Declarations of all processes.
#[derive(Clone, Debug, Default)]
pub(super) struct Schemes {
    /// The first ones, in their order, by process and ring.
    first: Vec<((u32, Option<u32>), Said)>,
    /// All of them, once they are more.
    many: FxHashMap<(u32, Option<u32>), SmallVec<[Said; 2]>>,
    /// Whether some are not kept.
    has_more: FxHashSet<(u32, Option<u32>)>,
    /// Of those the cookies that stand for nobody.
    sentinels: FxHashSet<(u32, Option<u32>, u64)>,
    shared: FxHashSet<(u32, u64)>,
    all_are_shared: bool,
    /// The ring that somebody asked about last, while nothing more is declared.
    latest: Cell<Option<((u32, u32), About)>>,
}

/// What declarations say of one ring's cookies; see the questions that are answered with it.
#[derive(Clone, Copy, Debug, Default)]
struct About {
    tags: u64,
    table: u64,
    /// Keys of more than one table.
    many_tables: bool,
    pointers: Option<bool>,
    is_shared: bool,
    has_sentinels: bool,
}

impl Schemes {
    pub(super) fn declare(&mut self, process: u32, ring: Option<u32>, number: u64, parameter: u64) {
        let (key, said) = ((process, ring), (number, parameter));
        self.latest.set(None);
        if self.many.is_empty() {
            if self.first.contains(&(key, said)) {
                return;
            }
            self.first.push((key, said));
            self.note_sentinel(key, said);
            if self.first.len() <= FEW {
                return;
            }
            for (key, said) in self.first.drain(..) {
                self.many.entry(key).or_default().push(said);
            }
            return;
        }
        let known = self.many.entry(key).or_default();
        if known.contains(&said) {
            return;
        }
        if known.len() < OF_ONE_MAX {
            known.push(said);
            self.note_sentinel(key, said);
        } else {
            self.has_more.insert(key);
        }
    }

    fn note_sentinel(&mut self, (process, ring): (u32, Option<u32>), said: Said) {
        if let (scheme::SENTINEL, cookie) = said {
            self.sentinels.insert((process, ring, cookie));
        }
    }

    /// Takes in ahead of its time what is declared somewhere: all but that cookies are pointers, which lets rules speak.
    pub(super) fn expect(&mut self, process: u32, ring: Option<u32>, number: u64, parameter: u64) {
        match number {
            scheme::POINTER => {}
            scheme::TAGGED => self.declare(process, ring, TAGS, parameter),
            _ => self.declare(process, ring, number, parameter),
        }
    }

    pub(super) fn share(&mut self, process: u32, cookie: u64) {
        if self.shared.len() < SHARED_MAX {
            self.shared.insert((process, cookie));
        } else {
            self.all_are_shared = true;
        }
    }

    /// What holds for a ring.
    fn of(&self, process: u32, ring: u32) -> impl Iterator<Item = Said> {
        let first = self.first.iter().filter(move |((owner, of), _)| {
            *owner == process && of.is_none_or(|declared| declared == ring)
        });
        let many = |of| {
            let many = (!self.many.is_empty()).then(|| self.many.get(&(process, of)));
            many.flatten().into_iter().flatten().copied()
        };
        let first = first.map(|(_, said)| *said);
        first.chain(many(Some(ring))).chain(many(None))
    }

    /// What follows for a ring. Most events are of the ring that the one before was of.
    #[inline]
    fn about(&self, process: u32, ring: u32) -> About {
        match self.latest.get() {
            Some((known, about)) if known == (process, ring) => about,
            _ => self.look_at(process, ring),
        }
    }

    #[inline(never)]
    fn look_at(&self, process: u32, ring: u32) -> About {
        let mut about = About::default();
        let mut has_table = false;
        for (number, parameter) in self.of(process, ring) {
            match number {
                scheme::POINTER => about.pointers = Some(true),
                scheme::TAGGED => {
                    about.pointers = Some(true);
                    about.tags |= parameter;
                }
                TAGS => about.tags |= parameter,
                scheme::INDEX | scheme::INDEX_GENERATION => {
                    about.pointers.get_or_insert(false);
                    if !has_table {
                        (has_table, about.table) = (true, parameter);
                    }
                    about.many_tables |= about.table != parameter;
                }
                scheme::SENTINEL => about.has_sentinels = true,
                scheme::SHARED => about.is_shared = true,
                _ => {}
            }
        }
        self.latest.set(Some(((process, ring), about)));
        about
    }

    /// The address or index in a cookie.
    pub(super) fn address(&self, process: u32, ring: u32, cookie: u64) -> u64 {
        let about = self.about(process, ring);
        (cookie & !about.tags) ^ about.table
    }

    /// What makes a ring's indices words of their own.
    pub(super) fn table(&self, process: u32, ring: u32) -> u64 {
        self.about(process, ring).table
    }

    /// The same, where they are the keys of that table alone; else 0.
    pub(super) fn only_table(&self, process: u32, ring: u32) -> u64 {
        let about = self.about(process, ring);
        if about.many_tables { 0 } else { about.table }
    }

    /// The bits of a ring's cookies that do not belong to the address.
    pub(super) fn tags(&self, process: u32, ring: u32) -> u64 {
        self.about(process, ring).tags
    }

    /// The address or index in a cookie of which no ring is known.
    pub(super) fn address_on_any(&self, process: u32, cookie: u64) -> u64 {
        let first = self.first.iter().map(|(key, said)| (key.0, *said));
        let many = self.many.iter();
        let many = many.flat_map(|(key, said)| said.iter().map(|said| (key.0, *said)));
        let tags = first
            .chain(many)
            .filter(|(owner, said)| *owner == process && matches!(said.0, scheme::TAGGED | TAGS));
        tags.fold(cookie, |cookie, (_, (_, mask))| cookie & !mask)
    }

    pub(super) fn is_sentinel(&self, process: u32, ring: u32, cookie: u64) -> bool {
        let of_it = [Some(ring), None];
        let may_be = !self.has_more.is_empty()
            && of_it
                .iter()
                .any(|of| self.has_more.contains(&(process, *of)));
        let is_one = |of: &Option<u32>| self.sentinels.contains(&(process, *of, cookie));
        may_be || self.about(process, ring).has_sentinels && of_it.iter().any(is_one)
    }

    pub(super) fn is_shared(&self, process: u32, ring: u32, cookie: u64) -> bool {
        self.all_are_shared
            || (!self.shared.is_empty() && self.shared.contains(&(process, cookie)))
            || self.about(process, ring).is_shared
    }

    /// Whether cookies are said to be pointers, or said to be something else.
    pub(super) fn pointers(&self, process: u32, ring: u32) -> Option<bool> {
        self.about(process, ring).pointers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_for_thousands_of_rings_holds_for_each_and_is_found_at_once() {
        let mut schemes = Schemes::default();
        schemes.declare(0, None, scheme::SENTINEL, 7);
        for ring in 0..20_000 {
            schemes.declare(0, Some(ring), scheme::TAGGED, u64::from(ring % 4));
            schemes.declare(0, Some(ring), scheme::TAGGED, u64::from(ring % 4));
            schemes.declare(0, Some(ring), scheme::SENTINEL, u64::from(ring));
            for known in [0, ring / 2, ring] {
                assert_eq!(schemes.tags(0, known), u64::from(known % 4));
                assert!(schemes.is_sentinel(0, known, u64::from(known)));
                assert!(schemes.is_sentinel(0, known, 7));
                assert!(!schemes.is_sentinel(1, known, 7));
                assert!(schemes.of(0, known).count() <= 3);
            }
        }
        assert!(schemes.first.is_empty());
        assert_eq!(schemes.address_on_any(0, 0xFF), 0xFC);
        assert_eq!(schemes.pointers(0, 5), Some(true));
        // What was asked for last is not what is said now.
        assert_eq!(schemes.tags(0, 5), 1);
        schemes.declare(0, Some(5), scheme::TAGGED, 8);
        assert_eq!(schemes.tags(0, 5), 9);
    }

    #[test]
    fn of_more_sentinels_than_are_kept_any_cookie_may_be_one() {
        let mut schemes = Schemes::default();
        for cookie in 0..=OF_ONE_MAX as u64 {
            assert!(!schemes.is_sentinel(0, 1, cookie));
            schemes.declare(0, Some(1), scheme::SENTINEL, cookie);
            schemes.declare(0, Some(1), scheme::SENTINEL, cookie);
            assert!(schemes.is_sentinel(0, 1, cookie));
        }
        assert!(schemes.is_sentinel(0, 1, u64::MAX));
        for (process, ring) in [(0, 2), (1, 1)] {
            assert!(!schemes.is_sentinel(process, ring, 7));
        }
    }

    #[test]
    fn of_more_shared_cookies_than_are_kept_each_is_taken_to_be_one() {
        let mut schemes = Schemes::default();
        for cookie in 0..=SHARED_MAX as u64 {
            assert!(!schemes.is_shared(0, 0, cookie));
            schemes.share(0, cookie);
        }
        assert!(schemes.is_shared(0, 0, u64::MAX));
        assert_eq!(schemes.shared.len(), SHARED_MAX);
    }
}
