//! An adaptive binary range coder, and its two ends as one trait: the same walk over the same data
//! encodes with an [`Encoder`] and decodes with a [`Decoder`], so the two cannot drift apart.
//!
//! Decoding never fails and never reads beyond its input: behind the end there are zeros. Whoever
//! decodes bounds the output and checks a sum over it.

/// How likely a bit is to be 0, learned as it is used: quickly at first, then slowly.
#[derive(Clone, Copy)]
pub(super) struct Bit {
    /// Out of 65,536; stays clear of both ends, so that neither bit becomes impossible.
    zero: u16,
    /// Times it was used, up to [`SLOWEST`].
    age: u8,
}

impl Bit {
    pub(super) const NEW: Self = Self {
        zero: 1 << 15,
        age: 0,
    };

    fn learn(&mut self, bit: bool) {
        let rate = u32::from(self.age.min(SLOWEST)) + 1;
        self.age = self.age.saturating_add(1);
        if bit {
            self.zero -= (self.zero - EDGE) >> rate;
        } else {
            self.zero += (u16::MAX - EDGE - self.zero) >> rate;
        }
    }
}

/// Slowest learning: each use moves a probability by 1/2^(this + 1) of what is left.
const SLOWEST: u8 = 4;
/// Distance that probabilities keep from 0 and 1, in 65,536ths.
const EDGE: u16 = 48;
/// The range is widened by a byte whenever it falls below this.
const NARROW: u32 = 1 << 24;

/// One end of the coder. What it is given counts when it encodes; what it returns is the data in both
/// directions.
pub(super) trait Coder {
    /// A word of the data to encode; 0 behind its end, and always when decoding.
    fn given(&self, at: usize) -> u64;

    /// A bit whose likelihood is learned.
    fn bit(&mut self, model: &mut Bit, bit: bool) -> bool;

    /// The low `count` bits of `bits`, all equally likely, most significant first.
    fn flat(&mut self, bits: u32, count: u32) -> u32;
}

/// Words in, bytes out.
pub(super) struct Encoder<'a> {
    source: &'a [u64],
    out: Vec<u8>,
    low: u64,
    range: u32,
    /// The latest byte that a carry may still change, and how many 0xFF follow it.
    held: u8,
    held_count: u64,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(source: &'a [u64]) -> Self {
        Self {
            source,
            out: Vec::new(),
            low: 0,
            range: u32::MAX,
            held: 0,
            held_count: 1,
        }
    }

    /// The bytes. Zeros at their end are left out: the decoder finds them there by itself.
    pub(super) fn finish(mut self) -> Vec<u8> {
        for _ in 0..6 {
            self.shift();
        }
        while self.out.last() == Some(&0) {
            self.out.pop();
        }
        // Nothing can carry into the byte that was held before the first: it is 0.
        self.out.drain(..self.out.len().min(1));
        self.out
    }

    fn shift(&mut self) {
        let carry = (self.low >> 32) as u8;
        if carry != 0 || self.low < 0xFF00_0000 {
            self.out.push(self.held.wrapping_add(carry));
            for _ in 1..self.held_count {
                self.out.push(0xFF_u8.wrapping_add(carry));
            }
            self.held = (self.low >> 24) as u8;
            self.held_count = 0;
        }
        self.held_count += 1;
        self.low = (self.low & 0x00FF_FFFF) << 8;
    }

    fn widen(&mut self) {
        while self.range < NARROW {
            self.range <<= 8;
            self.shift();
        }
    }
}

impl Coder for Encoder<'_> {
    fn given(&self, at: usize) -> u64 {
        self.source.get(at).copied().unwrap_or(0)
    }

    fn bit(&mut self, model: &mut Bit, bit: bool) -> bool {
        let zeros = (self.range >> 16) * u32::from(model.zero);
        if bit {
            self.low += u64::from(zeros);
            self.range -= zeros;
        } else {
            self.range = zeros;
        }
        model.learn(bit);
        self.widen();
        bit
    }

    fn flat(&mut self, bits: u32, count: u32) -> u32 {
        for place in (0..count).rev() {
            self.range >>= 1;
            if bits >> place & 1 == 1 {
                self.low += u64::from(self.range);
            }
            self.widen();
        }
        bits
    }
}

/// Bytes in, words out.
pub(super) struct Decoder<'a> {
    rest: std::slice::Iter<'a, u8>,
    range: u32,
    code: u32,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self {
            rest: bytes.iter(),
            range: u32::MAX,
            code: 0,
        };
        for _ in 0..4 {
            decoder.take();
        }
        decoder
    }

    fn take(&mut self) {
        let byte = self.rest.next().copied().unwrap_or(0);
        self.code = self.code << 8 | u32::from(byte);
    }

    fn widen(&mut self) {
        while self.range < NARROW {
            self.range <<= 8;
            self.take();
        }
    }
}

impl Coder for Decoder<'_> {
    fn given(&self, _at: usize) -> u64 {
        0
    }

    fn bit(&mut self, model: &mut Bit, _bit: bool) -> bool {
        let zeros = (self.range >> 16) * u32::from(model.zero);
        let bit = self.code >= zeros;
        if bit {
            self.code -= zeros;
            self.range -= zeros;
        } else {
            self.range = zeros;
        }
        model.learn(bit);
        self.widen();
        bit
    }

    fn flat(&mut self, _bits: u32, count: u32) -> u32 {
        let mut bits = 0;
        for _ in 0..count {
            self.range >>= 1;
            let bit = self.code >= self.range;
            if bit {
                self.code -= self.range;
            }
            bits = bits << 1 | u32::from(bit);
            self.widen();
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(coder: &mut impl Coder, bits: &[(bool, u32, u32)]) -> Vec<(bool, u32)> {
        let mut models = [Bit::NEW; 4];
        let mut said = Vec::new();
        for (index, &(bit, flat, count)) in bits.iter().enumerate() {
            let bit = coder.bit(&mut models[index % 4], bit);
            said.push((bit, coder.flat(flat & ((1 << count) - 1), count)));
        }
        said
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn decoding_undoes_encoding(
            bits in prop::collection::vec((prop::bool::weighted(0.9), any::<u32>(), 0u32..31), 0..600),
        ) {
            let mut encoder = Encoder::new(&[]);
            let said = walk(&mut encoder, &bits);
            let bytes = encoder.finish();
            prop_assert_eq!(walk(&mut Decoder::new(&bytes), &bits), said);
        }

        #[test]
        fn long_runs_carry(ones in 0usize..3000, zeros in 0usize..3000) {
            let bits: Vec<_> = (0..ones).map(|_| (true, u32::MAX, 8))
                .chain((0..zeros).map(|_| (false, 0, 8)))
                .collect();
            let mut encoder = Encoder::new(&[]);
            let said = walk(&mut encoder, &bits);
            let bytes = encoder.finish();
            prop_assert_eq!(walk(&mut Decoder::new(&bytes), &bits), said);
        }
    }

    #[test]
    fn what_can_be_foretold_takes_next_to_nothing() {
        let mut encoder = Encoder::new(&[]);
        let mut model = Bit::NEW;
        for _ in 0..80_000 {
            encoder.bit(&mut model, false);
        }
        assert!(encoder.finish().len() < 200);
    }
}
