//! Which addresses are watched: asked at every free of the program, so that most answers must be cheap.
//!
//! A count for each page (in 4096 classes) decides first; an address is looked for only on a page that
//! has any. It never misses a watched address. What it no longer has room for, it watches by the page
//! and for good, so that other blocks there count as watched too.
//!
//! Lock-free, without loops that wait for others: signal handlers may use it. Plain memory of the
//! process: what a parent watched, its forked child goes on watching, for the child has the same blocks.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

const PAGES: usize = 4096;
const PLACES: usize = 1 << 15;
/// Places that an address may have.
const WAYS: usize = 4;
/// Bytes that are watched as one: allocators give no two blocks out of them.
const GRANULE: u64 = 8;
const PAGE_BITS: u32 = 12;
const FOR_GOOD: u16 = u16::MAX;
/// Bytes of a block that are looked through; of a larger one on a watched page the answer is yes.
const LOOKED_THROUGH: u64 = 512;
/// Blocks of more pages than this are on a watched page, as far as anybody knows.
const PAGES_LOOKED_AT: u64 = 64;

/// Watched addresses.
pub(super) struct Filter {
    /// Watched addresses, and those that are watched by the page.
    watched: AtomicU32,
    /// Watched addresses by page; [`FOR_GOOD`] where they can no longer be told one by one.
    pages: [AtomicU16; PAGES],
    /// The watched addresses, divided by [`GRANULE`]; 0 while free.
    places: [AtomicU64; PLACES],
}

impl Filter {
    pub(super) const fn new() -> Self {
        Self {
            watched: AtomicU32::new(0),
            pages: [const { AtomicU16::new(0) }; PAGES],
            places: [const { AtomicU64::new(0) }; PLACES],
        }
    }

    /// Watches an address until the block that holds it is forgotten.
    #[inline(never)]
    pub(super) fn keep(&self, address: u64) {
        let place = address / GRANULE;
        let ways = self.ways(place);
        if place == 0 || ways.iter().any(|way| way.load(Ordering::Relaxed) == place) {
            return;
        }
        // Counted before it can be found, and forgotten the other way round: whoever comes between the
        // two, a forked child too, is told of too much, never of too little.
        let page = self.page(address >> PAGE_BITS);
        let counted = page.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count != FOR_GOOD).then(|| count.saturating_add(1))
        });
        if counted.is_err() {
            return;
        }
        self.watched.fetch_add(1, Ordering::Relaxed);
        let take = |way: &AtomicU64| {
            way.compare_exchange(0, place, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if !ways.iter().any(take) {
            page.store(FOR_GOOD, Ordering::Relaxed);
        }
    }

    /// Whether anything is watched at all.
    #[cfg(feature = "preload")]
    #[inline(always)]
    pub(super) fn is_watching(&self) -> bool {
        self.watched.load(Ordering::Relaxed) != 0
    }

    /// Whether anything is watched on one of a block's pages.
    #[inline(always)]
    pub(super) fn may_hold(&self, address: u64, size: u64) -> bool {
        if self.watched.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let first = address >> PAGE_BITS;
        let last = last_byte(address, size) >> PAGE_BITS;
        let counts = |number: u64| self.page(number).load(Ordering::Relaxed) != 0;
        if first == last {
            return counts(first);
        }
        last.saturating_sub(first) >= PAGES_LOOKED_AT || (first..=last).any(counts)
    }

    /// Whether a block holds a watched address.
    pub(super) fn holds(&self, address: u64, size: u64) -> bool {
        self.look(address, size, |_, _| ())
    }

    /// As [`Filter::holds`], and ends the watch of what it finds.
    pub(super) fn forget(&self, address: u64, size: u64) -> bool {
        self.look(address, size, |place, way| self.remove(place, way))
    }

    fn look(&self, address: u64, size: u64, found: impl Fn(u64, &AtomicU64)) -> bool {
        let last = last_byte(address, size);
        let for_good = |byte: u64| self.page(byte >> PAGE_BITS).load(Ordering::Relaxed) == FOR_GOOD;
        let mut hit = size > LOOKED_THROUGH || for_good(address) || for_good(last);
        let looked_at = last.min(address.saturating_add(LOOKED_THROUGH));
        for place in address / GRANULE..=looked_at / GRANULE {
            for way in self.ways(place) {
                if way.load(Ordering::Relaxed) == place {
                    hit = true;
                    // Else the bytes before the block may be another block's.
                    if place * GRANULE >= address {
                        found(place, way);
                    }
                }
            }
        }
        hit
    }

    fn remove(&self, place: u64, way: &AtomicU64) {
        if way
            .compare_exchange(place, 0, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return;
        }
        let page = self.page((place * GRANULE) >> PAGE_BITS);
        let counted = page.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count != FOR_GOOD).then(|| count.saturating_sub(1))
        });
        if counted.is_ok() {
            self.watched.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The count of a page, which it shares with pages 16 MiB away.
    #[inline(always)]
    fn page(&self, number: u64) -> &AtomicU16 {
        // Masked to the length of the array, so that the compiler sees that nothing can fail.
        &self.pages[number as usize & (PAGES - 1)]
    }

    /// Where a place may be kept.
    #[inline(always)]
    fn ways(&self, place: u64) -> &[AtomicU64] {
        // Knuth's multiplicative hashing; a group is half a cache line.
        let hash = place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let group = hash as usize & (PLACES / WAYS - 1);
        self.places
            .get(group * WAYS..group * WAYS + WAYS)
            .unwrap_or(&[])
    }
}

#[inline(always)]
fn last_byte(address: u64, size: u64) -> u64 {
    address.saturating_add(size.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_block_is_seen_once_and_its_neighbours_never() {
        static FILTER: Filter = Filter::new();
        let block = 0x1000_0040;
        FILTER.keep(block + 16);
        FILTER.keep(block + 16);
        assert!(FILTER.may_hold(block + 64, 32), "the same page");
        assert!(!FILTER.forget(block + 64, 32));
        assert!(!FILTER.forget(block - 16, 32));
        assert!(!FILTER.may_hold(block + 0x2000, 32), "another page");
        assert!(FILTER.holds(block, 32), "a look");
        assert!(FILTER.forget(block, 32));
        assert!(!FILTER.may_hold(block, 32), "the free ended the watch");
    }

    #[test]
    fn a_block_of_many_pages_is_seen_wherever_the_address_lies() {
        static FILTER: Filter = Filter::new();
        let block = 0x2000_0000;
        FILTER.keep(block + 3 * 4096 + 5);
        assert!(FILTER.may_hold(block, 4 * 4096));
        assert!(!FILTER.may_hold(block, 3 * 4096));
        // Too large to be looked through: the address stays watched, which costs records.
        assert!(FILTER.forget(block, 4 * 4096));
        assert!(FILTER.forget(block, 4 * 4096));
        assert!(FILTER.forget(block + 3 * 4096, 16));
        assert!(!FILTER.may_hold(block, 4 * 4096));
        FILTER.keep(block);
        assert!(FILTER.may_hold(block + (1 << 40), 1 << 20), "not looked at");
    }

    #[test]
    fn small_blocks_are_forgotten_and_blocks_that_share_a_granule_are_not() {
        static FILTER: Filter = Filter::new();
        let block = 0x3000_0000;
        FILTER.keep(block);
        FILTER.keep(block + 8);
        assert!(FILTER.forget(block, 1));
        assert!(FILTER.forget(block + 12, 4), "may be the watched one's");
        assert!(FILTER.forget(block + 8, 4));
        assert!(!FILTER.may_hold(block, 16));
    }

    #[test]
    fn more_addresses_than_there_are_places_for_are_all_seen() {
        static FILTER: Filter = Filter::new();
        let addresses = (0..PLACES as u64 * 2).map(|index| 0x4000_0000 + index * 64);
        addresses.clone().for_each(|address| FILTER.keep(address));
        for address in addresses {
            assert!(FILTER.may_hold(address, 48) && FILTER.forget(address, 48));
        }
    }

    #[test]
    fn the_ends_of_the_address_space_are_addresses_too() {
        static FILTER: Filter = Filter::new();
        for address in [0, 1, 8, u64::MAX - 8, u64::MAX] {
            FILTER.keep(address);
            for size in [0, 1, 8, u64::MAX] {
                FILTER.may_hold(address, size);
                assert!(address < 8 || FILTER.holds(address, size));
            }
        }
    }

    #[test]
    fn threads_that_watch_and_forget_at_once_miss_nothing_of_their_own() {
        static FILTER: Filter = Filter::new();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                scope.spawn(move || {
                    for round in 0..20_000u64 {
                        // All on the same few pages.
                        let block = 0x5000_0000 + (round % 64) * 256 + thread * 64;
                        FILTER.keep(block + 16);
                        assert!(FILTER.may_hold(block, 64) && FILTER.forget(block, 64));
                    }
                });
            }
        });
        assert!(!FILTER.may_hold(0x5000_0000, 64 * 256), "all are forgotten");
    }
}
