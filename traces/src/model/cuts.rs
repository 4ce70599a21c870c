//! Cookies that are a part of a leaked pointer: bits were lost on the way.

use super::addresses::Address;
use super::state::State;
use super::things::{Generation, Pointers};

/// Words below this are small numbers, not what is left of a pointer.
const LOWEST: u64 = 4096;
/// Bits that an alignment leaves empty.
const LOW_BITS: u64 = 0xF;

impl State {
    /// Whether cookies are pointers on a ring, and how that is known.
    pub(super) fn pointers_on(&self, process: u32, ring: u32) -> Pointers {
        match self.schemes.pointers(process, ring) {
            Some(true) => Pointers::Declared,
            Some(false) => Pointers::No,
            None => {
                let ring = self.rings.get(&(process, ring));
                let proof = ring.and_then(|ring| ring.proof);
                proof.map_or(Pointers::No, Pointers::Proved)
            }
        }
    }

    /// The live generation of whose address a word is what is left: its high half is gone, or the low
    /// bits that an alignment leaves empty are not empty. Of a word that is whole this says nothing.
    pub(super) fn cut_of(&self, process: u32, ring: u32, word: u64) -> Option<&Generation> {
        // Nearly all words are whole, and are seen to be so without a look at anything else.
        if word < LOWEST || !(high_half_lost(word) || word & LOW_BITS != 0) {
            return None;
        }
        let pointers = self.pointers_on(process, ring);
        if pointers == Pointers::No {
            return None;
        }
        let live = |address: u64| {
            let address = self.addresses.get((process, address));
            address.and_then(Address::live)
        };
        // The half may carry the tag that the whole carried.
        let untagged = word & !self.schemes.tags(process, ring);
        let half = |low: u64| self.addresses.of_low_half(process, low as u32);
        let whole = high_half_lost(word)
            .then(|| half(word).or_else(|| half(untagged).filter(|_| untagged >= LOWEST)))
            .flatten();
        // Tags are ordinary where nobody said that there are none.
        let aligned = word & LOW_BITS != 0 && pointers == Pointers::Declared;
        let aligned = aligned.then_some(word & !LOW_BITS);
        let beside =
            aligned.and_then(|base| (base..=base | LOW_BITS).find(|at| live(*at).is_some()));
        match whole {
            Some(whole) => whole.live(),
            None => beside.and_then(live),
        }
    }
}

/// Whether a word's high half is empty, or the sign of its low one.
pub(super) fn high_half_lost(word: u64) -> bool {
    word >> 32 == 0 || word as i64 == i64::from(word as i32)
}

/// Whether `word` is `whole` without its high half.
pub(super) fn is_half_of(word: u64, whole: u64) -> bool {
    may_be_half(word) && word != whole && word as u32 == whole as u32
}

/// Whether `word` can be what is left of a pointer without its high half.
pub(super) fn may_be_half(word: u64) -> bool {
    word >= LOWEST && high_half_lost(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_pointer() {
        let whole = 0x55D0_C2E0_1040;
        assert!(is_half_of(0xC2E0_1040, whole));
        assert!(is_half_of(0xFFFF_FFFF_C2E0_1040, whole));
        for other in [whole, 0, 0x1040, 0x1_C2E0_1040, 0xC2E0_1041] {
            assert!(!is_half_of(other, whole), "{other:#x}");
        }
        // A whole that fits 32 bits lost nothing.
        assert!(!is_half_of(0x2000, 0x2000));
    }
}
