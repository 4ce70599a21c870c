//! Moves addresses by one distance.

/// The lowest word that is taken for an address.
const LOW: u64 = 1 << 32;
/// One above the highest address of a program on our platforms.
const HIGH: u64 = 1 << 47;
/// Distances are multiples of a page, so that alignment and tags in low bits stay.
const PAGE: u64 = 1 << 12;
/// The high half of the word that the probe fills consumed slots with.
const POISON: u64 = 0xFEED_5EED;

/// A secret distance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slide(u64);

impl Slide {
    pub(super) fn new(secret: [u8; 16]) -> Self {
        const PAGES: u128 = ((HIGH - LOW) / PAGE) as u128;
        // Never 0; which page it is depends on all bits.
        let pages = u128::from_le_bytes(secret) % (PAGES - 1) + 1;
        Self(u64::try_from(pages).unwrap_or(1) * PAGE)
    }

    /// The word with its address moved, if it can be one. Tags in the highest 16 bits stay.
    pub(super) fn moved(self, word: u64) -> u64 {
        let (tag, address) = (word & !0xFFFF_FFFF_FFFF, word & 0xFFFF_FFFF_FFFF);
        if !(LOW..HIGH).contains(&address) || word >> 32 == POISON {
            return word;
        }
        tag | (LOW + (address - LOW + self.0) % (HIGH - LOW))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_address_stays() {
        let slide = Slide::new([3; 16]);
        for word in [
            0,
            1,
            4095,
            u64::from(u32::MAX),
            u64::MAX,
            1 << 47,
            POISON << 32 | 7,
        ] {
            assert_eq!(slide.moved(word), word, "{word:#x}");
        }
        assert_ne!(slide.moved(LOW), LOW);
    }

    proptest! {
        #[test]
        fn each_address_has_a_place_of_its_own(
            secret in any::<[u8; 16]>(), one in LOW..HIGH, other in LOW..HIGH, tag in 0u64..1 << 16,
        ) {
            let slide = Slide::new(secret);
            prop_assert_ne!(slide.moved(one), one);
            prop_assert_eq!(slide.moved(one) == slide.moved(other), one == other);
            prop_assert_eq!(slide.moved(one) % PAGE, one % PAGE);
            prop_assert!((LOW..HIGH).contains(&slide.moved(one)));
            prop_assert_eq!(slide.moved(one | tag << 48), slide.moved(one) | tag << 48);
        }
    }
}
