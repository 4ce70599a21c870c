//! Which addresses are watched: asked at every free of the program, so that most answers must be cheap.
//!
//! A word for each page (in 4096 classes) decides first: it counts what is watched there, and says in which 128 bytes
//! anything is or was. An address is looked for only there, in one line of the processor's cache. It never misses a
//! watched address. What it no longer has room for, it watches by the page and for good, so that other blocks there
//! count as watched too.
//!
//! Lock-free, without loops that wait for others: signal handlers may use it. Plain memory of the
//! process: what a parent watched, its forked child goes on watching, for the child has the same blocks.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const PAGES: usize = 4096;
const GROUPS: usize = 1 << 12;
/// Places that an address may have: a line of the processor's cache.
const WAYS: usize = 8;
/// Bytes that are watched as one: allocators give no two blocks out of them.
const GRANULE: u64 = 8;
const PAGE_BITS: u32 = 12;
/// A cell is what a bit of a page's word stands for.
const CELL_BITS: u32 = 7;
const CELLS: u32 = 1 << (PAGE_BITS - CELL_BITS);
/// What is watched on a page is counted in the high half of its word.
const ONE: u64 = 1 << CELLS;
/// The word of a page whose addresses can no longer be told one by one.
const FOR_GOOD: u64 = u64::MAX;
/// Blocks of more pages than this are on a watched page, as far as anybody knows, and are not looked through.
const PAGES_LOOKED_AT: u64 = 64;

/// Watched addresses.
pub(super) struct Filter {
    /// Watched addresses, and those that are watched by the page.
    watched: AtomicU32,
    /// By page: how many addresses are watched, and the cells that they are in. A cell's bit stays until nothing is
    /// watched on the page any more.
    pages: [AtomicU64; PAGES],
    /// The watched addresses, divided by [`GRANULE`]; 0 while free. Those of one cell are in one group.
    places: [Group; GROUPS],
}

#[repr(align(64))]
struct Group([AtomicU64; WAYS]);

impl Filter {
    pub(super) const fn new() -> Self {
        Self {
            watched: AtomicU32::new(0),
            pages: [const { AtomicU64::new(0) }; PAGES],
            places: [const { Group([const { AtomicU64::new(0) }; WAYS]) }; GROUPS],
        }
    }

    /// Watches an address until the block that holds it is forgotten.
    #[inline(never)]
    pub(super) fn keep(&self, address: u64) {
        let place = address / GRANULE;
        let ways = self.ways(address >> CELL_BITS);
        if place == 0 || ways.iter().any(|way| way.load(Ordering::Relaxed) == place) {
            return;
        }
        // Counted before it can be found, and forgotten the other way round: whoever comes between the
        // two, a forked child too, is told of too much, never of too little.
        let page = self.page(address >> PAGE_BITS);
        let counted = page.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            // A page has 512 granules, and shares its word with others that are few.
            (word != FOR_GOOD).then(|| word.saturating_add(ONE) | cells(address, address))
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

    /// How many addresses are watched.
    #[cfg(feature = "c")]
    pub(super) const fn count(&self) -> &AtomicU32 {
        &self.watched
    }

    /// The words of the pages.
    #[cfg(feature = "c")]
    pub(super) const fn pages(&self) -> &[AtomicU64; PAGES] {
        &self.pages
    }

    /// Whether anything is watched at all.
    #[cfg(feature = "preload")]
    #[inline(always)]
    pub(super) fn is_watching(&self) -> bool {
        self.watched.load(Ordering::Relaxed) != 0
    }

    /// Whether anything is watched near a block.
    #[inline(always)]
    pub(super) fn may_hold(&self, address: u64, size: u64) -> bool {
        if self.watched.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let last = last_byte(address, size);
        if address >> PAGE_BITS == last >> PAGE_BITS {
            let word = self.page(address >> PAGE_BITS).load(Ordering::Relaxed);
            return word & cells(address, last) != 0;
        }
        self.may_hold_pages(address, last)
    }

    /// As [`Filter::may_hold`], for who knows that something is watched, and asks at every free: in a few instructions,
    /// without a call, and without a branch on where the block lies. It takes what lies on three pages for held; no block
    /// is empty.
    #[cfg(feature = "preload")]
    #[inline(always)]
    pub(super) fn is_near(&self, address: u64, size: u64) -> bool {
        let page = address >> PAGE_BITS;
        let word = |number: u64| self.page(number).load(Ordering::Relaxed);
        // Side by side: those of the page, and behind them those of the next one.
        let cells = word(page) & (ONE - 1) | word(page.wrapping_add(1)) << CELLS;
        let first = address & ((1 << PAGE_BITS) - 1);
        let last = first.wrapping_add(size.wrapping_sub(1)) >> CELL_BITS;
        let first = first >> CELL_BITS;
        // Those from the first one on, and of these the ones up to the last.
        let behind = !(last.wrapping_sub(first)) as u32;
        last >= u64::from(2 * CELLS) || (cells >> first).wrapping_shl(behind) != 0
    }

    #[inline(never)]
    fn may_hold_pages(&self, address: u64, last: u64) -> bool {
        let (first_page, last_page) = (address >> PAGE_BITS, last >> PAGE_BITS);
        last_page - first_page >= PAGES_LOOKED_AT
            || (first_page..=last_page).any(|number| {
                let word = self.page(number).load(Ordering::Relaxed);
                word & cells_of_page(number, address, last) != 0
            })
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
        let (first_page, last_page) = (address >> PAGE_BITS, last >> PAGE_BITS);
        let mut hit = last_page - first_page >= PAGES_LOOKED_AT;
        let looked_at = last_page.min(first_page.saturating_add(PAGES_LOOKED_AT));
        for number in first_page..=looked_at {
            let word = self.page(number).load(Ordering::Relaxed);
            hit |= word == FOR_GOOD;
            let mut left = word & cells_of_page(number, address, last);
            while left != 0 {
                let cell = (number << (PAGE_BITS - CELL_BITS)) + u64::from(left.trailing_zeros());
                left &= left - 1;
                for way in self.ways(cell) {
                    let place = way.load(Ordering::Relaxed);
                    // Places of other cells are in the group too.
                    let is_in = (address / GRANULE..=last / GRANULE).contains(&place);
                    if place != 0
                        && is_in
                        && place >> (CELL_BITS - GRANULE.trailing_zeros()) == cell
                    {
                        hit = true;
                        // Else the bytes before the block may be another block's.
                        if place * GRANULE >= address {
                            found(place, way);
                        }
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
        let counted = page.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            (word != FOR_GOOD).then(|| match word.saturating_sub(ONE) {
                // The last one: none of the cells has any.
                left if left < ONE => 0,
                left => left,
            })
        });
        if counted.is_ok() {
            self.watched.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The word of a page, which it shares with pages 16 MiB away.
    #[inline(always)]
    fn page(&self, number: u64) -> &AtomicU64 {
        // Masked to the length of the array, so that the compiler sees that nothing can fail.
        &self.pages[number as usize & (PAGES - 1)]
    }

    /// Where places in a cell may be kept.
    #[inline(always)]
    fn ways(&self, cell: u64) -> &[AtomicU64; WAYS] {
        // Knuth's multiplicative hashing.
        let hash = cell.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        &self.places[hash as usize & (GROUPS - 1)].0
    }
}

/// The bits of the cells from one byte to another one on the same page.
#[inline(always)]
fn cells(first: u64, last: u64) -> u64 {
    let cell = |byte: u64| (byte >> CELL_BITS) as u32 & (CELLS - 1);
    // Those from the first one on, and of these the ones up to the last.
    (!0u32 << cell(first) & !0u32 >> (CELLS - 1 - cell(last))).into()
}

/// The bits of the cells of a page that lie between two bytes, one of which may be on other pages.
fn cells_of_page(number: u64, first: u64, last: u64) -> u64 {
    let start = number << PAGE_BITS;
    cells(first.max(start), last.min(start | ((1 << PAGE_BITS) - 1)))
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
        assert!(FILTER.may_hold(block + 32, 32), "the same cell");
        assert!(!FILTER.forget(block + 32, 32));
        assert!(!FILTER.may_hold(block + 64, 32), "another cell");
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
        assert!(FILTER.forget(block, 4 * 4096));
        assert!(!FILTER.may_hold(block, 4 * 4096) && !FILTER.forget(block, 4 * 4096));
        FILTER.keep(block);
        // Too large to be looked through to its end: the address there stays watched, which costs records.
        FILTER.keep(block + 80 * 4096);
        assert!(FILTER.forget(block, 81 * 4096));
        assert!(FILTER.holds(block + 80 * 4096, 1));
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
        let addresses = (0..(GROUPS * WAYS) as u64 * 2).map(|index| 0x4000_0000 + index * 64);
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
    fn answers_are_those_of_a_list_of_addresses() {
        static FILTER: Filter = Filter::new();
        let mut random = 0x9E37_79B9_7F4A_7C15u64;
        let mut below = |end: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % end
        };
        let mut watched = std::collections::BTreeSet::new();
        // Two stretches whose pages share their words. As sparse as blocks are: a group has room for those of a cell.
        let mut place = |bytes: u64| 0x6000_0000 + below(2) * (PAGES as u64 * 4096) + below(bytes);
        for _ in 0..200_000 {
            let (address, size) = (place(0x4000) & !31, 1 + place(600) % 600);
            match place(3) % 3 {
                0 if watched.len() < 100 => {
                    FILTER.keep(address);
                    watched.insert(address / GRANULE);
                }
                1 => {
                    let (first, last) = (address / GRANULE, (address + size - 1) / GRANULE);
                    let expected = watched.range(first..=last).next().is_some();
                    assert_eq!(FILTER.forget(address, size), expected, "{address:x} {size}");
                    watched.retain(|place| !(first..=last).contains(place));
                }
                _ => {
                    let (first, last) = (address / GRANULE, (address + size - 1) / GRANULE);
                    let expected = watched.range(first..=last).next().is_some();
                    assert_eq!(FILTER.holds(address, size), expected, "{address:x} {size}");
                    assert!(!expected || FILTER.may_hold(address, size));
                    #[cfg(feature = "c")]
                    {
                        let (at, bytes) = (address as usize, size as usize);
                        let near = wire::feed::may_be_near(FILTER.pages(), at, bytes);
                        let is_on_one = address >> PAGE_BITS == (address + size - 1) >> PAGE_BITS;
                        assert_eq!(near, FILTER.may_hold(address, size) || !is_on_one);
                    }
                    #[cfg(feature = "preload")]
                    {
                        let near = FILTER.is_near(address, size);
                        assert_eq!(near, FILTER.may_hold(address, size));
                        // So many more that it ends on the next page, on the last byte of that, or behind it.
                        for more in [4096 - size, 8191 - address % 4096 - size, 8000] {
                            let (size, near) = (size + more, FILTER.may_hold(address, size + more));
                            let is_on_two = address % 4096 + size <= 8192;
                            assert_eq!(FILTER.is_near(address, size), near || !is_on_two);
                        }
                    }
                }
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
