//! The checksum of what is packed: CRC-32C. What `wire` has for a file's header is small, free of dependencies and slow;
//! sections are large, and the `crc32c` crate has the processor's own instruction do it.

pub(super) use crc32c::crc32c;

/// A sum over pieces.
#[derive(Debug, Default)]
pub(super) struct Sum(u32);

impl Sum {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.0 = crc32c::crc32c_append(self.0, bytes);
    }

    pub(super) fn value(&self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn is_the_sum_that_headers_have_whatever_the_pieces(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            piece in 1usize..40,
        ) {
            let mut sum = Sum::default();
            bytes.chunks(piece).for_each(|piece| sum.feed(piece));
            prop_assert_eq!(sum.value(), wire::crc::crc32c(&bytes));
            prop_assert_eq!(crc32c(&bytes), wire::crc::crc32c(&bytes));
        }
    }
}
