//! The words of a chunk into few bytes and back, losing nothing.
//!
//! Each word of a record is foretold from the same place in earlier records of the same shape, and
//! from what went by just before; what is coded is which forecast was right, and where none was, the
//! difference. Words that are no records are coded as bytes. A chunk is coded without regard to any
//! other, so that each can be lost alone.
//!
//! The forecasts and their order are part of the format: whoever changes one makes a new encoding.

use wire::layout::CHUNK_HEADER_WORDS;
use wire::record::{Header, Kind};

use super::entropy::{Bit, Coder, Decoder, Encoder};

/// Codes words; they may be anything.
pub(super) fn pack(words: &[u64]) -> Vec<u8> {
    let mut encoder = Encoder::new(words);
    Walk::new().run(&mut encoder, words.len());
    encoder.finish()
}

/// The `count` words that `bytes` were coded from; some words where they were damaged.
pub(super) fn unpack(bytes: &[u8], count: usize) -> Vec<u64> {
    Walk::new().run(&mut Decoder::new(bytes), count)
}

/// Shapes with a number and a memory of their own; the last is that of all others.
const SHAPES: usize = 62;
/// Said in place of a shape's number: one not seen before.
const NEW_SHAPE: u32 = 62;
/// Said in place of a shape's number: no record begins here, nor after it.
const NO_RECORD: u32 = 63;
/// Places of a record with a memory of their own; the last is that of all others.
const PLACES: usize = 8;
/// Said in place of a forecast's number: none is right.
const NONE_RIGHT: u32 = 7;
/// Entries of a table of successors.
const SUCCESSORS: usize = 1 << 12;

/// The low half of a record's header (kind, length, state, flags, aux), and what is remembered of the
/// words of such records.
#[derive(Clone, Copy)]
struct Shape {
    low: u32,
    places: [Place; PLACES],
}

/// What is remembered of a place in records of a shape.
#[derive(Clone, Copy, Default)]
struct Place {
    last: u64,
    stride: u64,
    /// Forecast that was right last time.
    right: u32,
}

/// One walk over the words of a chunk, in either direction.
struct Walk {
    models: Models,
    words: Vec<u64>,
    shapes: Vec<Shape>,
    /// Shapes of the two records before.
    before: [usize; 2],
    /// First words of the three records before.
    heads: [u64; 3],
    ticks: u32,
    /// What followed a word in its place.
    after: Vec<u64>,
    /// What stood in a place of a record whose first word, or whose predecessor's, was this.
    beside: Vec<u64>,
}

impl Walk {
    fn new() -> Self {
        Self {
            models: Models::default(),
            words: Vec::new(),
            shapes: Vec::new(),
            before: [SHAPES; 2],
            heads: [0; 3],
            ticks: 0,
            after: vec![0; SUCCESSORS],
            beside: vec![0; SUCCESSORS],
        }
    }

    fn run(mut self, coder: &mut impl Coder, count: usize) -> Vec<u64> {
        while self.words.len() < count.min(CHUNK_HEADER_WORDS) {
            self.plain(coder);
        }
        while self.words.len() < count && self.record(coder) {}
        while self.words.len() < count {
            self.plain(coder);
        }
        // The zeros at the end of the last record may not have been among the words.
        self.words.truncate(count);
        self.words
    }

    /// Codes one record; says whether there was one.
    fn record(&mut self, coder: &mut impl Coder) -> bool {
        let given = coder.given(self.words.len());
        let Some(shape) = self.shape(coder, given) else {
            return false;
        };
        let low = self.shapes.get(shape).map_or(0, |shape| shape.low);
        let header = Header(low.into());
        let ticks = ((given >> 32) as u32).wrapping_sub(self.ticks);
        let [one, _] = self.before;
        let ticks = self.models.number(coder, Of::Ticks(shape, one), ticks);
        self.ticks = self.ticks.wrapping_add(ticks);
        self.words
            .push(u64::from(low) | u64::from(self.ticks) << 32);
        let mut head = 0;
        for place in 0..header.words().saturating_sub(1) {
            let word = if header.kind() == Some(Kind::String) && place > 0 {
                self.plain(coder)
            } else {
                self.word(coder, shape, place.min(PLACES - 1), head)
            };
            if place == 0 {
                head = word;
            }
        }
        if header.kind() == Some(Kind::Time) {
            self.ticks = 0;
        }
        self.before = [shape, one];
        if header.words() > 1 {
            let [one, two, _] = self.heads;
            self.heads = [head, one, two];
        }
        true
    }

    /// The number of a record's shape.
    fn shape(&mut self, coder: &mut impl Coder, given: u64) -> Option<usize> {
        let low = given as u32;
        let known = self.shapes.iter().position(|shape| shape.low == low);
        let said = match known {
            _ if Header(given).words() == 0 => NO_RECORD,
            Some(shape) if shape < SHAPES => shape as u32,
            _ => NEW_SHAPE,
        };
        let [one, two] = self.before;
        let said = self.models.symbol(coder, Of::Shape(one, two), 6, said);
        match said {
            NO_RECORD => None,
            NEW_SHAPE => {
                let low = coder.flat(low & 0xFFFF, 16) | coder.flat(low >> 16, 16) << 16;
                let places = [Place::default(); PLACES];
                // One more than have a number: the last is overwritten by every further one.
                if self.shapes.len() > SHAPES {
                    self.shapes.pop();
                }
                self.shapes.push(Shape { low, places });
                // A damaged chunk may hold a record without a length.
                (Header(low.into()).words() > 0).then(|| self.shapes.len() - 1)
            }
            shape => Some(shape as usize).filter(|shape| *shape < self.shapes.len()),
        }
    }

    /// A word at a place of a record whose first word is `head`.
    fn word(&mut self, coder: &mut impl Coder, shape: usize, place: usize, head: u64) -> u64 {
        let given = coder.given(self.words.len());
        let was = self
            .shapes
            .get(shape)
            .and_then(|shape| shape.places.get(place))
            .copied()
            .unwrap_or_default();
        let [one, two, three] = self.heads;
        let key = if place == 0 { one } else { head };
        let beside = slot(shape, place, key);
        let after = slot(shape, place, was.last);
        let foretold = [
            look(&self.beside, beside),
            look(&self.after, after),
            was.last,
            was.last.wrapping_add(was.stride),
            one,
            two,
            three,
        ];
        let right = foretold.iter().position(|word| *word == given);
        let right = right.map_or(NONE_RIGHT, |right| right as u32);
        let right = self
            .models
            .symbol(coder, Of::Right(shape, place, was.right), 3, right);
        let word = match foretold.get(right as usize) {
            Some(word) => *word,
            None => {
                let from = was.last;
                let low = zigzag((given as u32).wrapping_sub(from as u32));
                let high = zigzag(((given >> 32) as u32).wrapping_sub((from >> 32) as u32));
                let high = self.models.number(coder, Of::High(shape, place), high);
                let low = self.models.number(coder, Of::Low(shape, place), low);
                let low = (from as u32).wrapping_add(zagzig(low));
                let high = ((from >> 32) as u32).wrapping_add(zagzig(high));
                u64::from(low) | u64::from(high) << 32
            }
        };
        if let Some(cell) = self.beside.get_mut(beside) {
            *cell = word;
        }
        if let Some(cell) = self.after.get_mut(after) {
            *cell = word;
        }
        if let Some(cell) = self
            .shapes
            .get_mut(shape)
            .and_then(|shape| shape.places.get_mut(place))
        {
            *cell = Place {
                last: word,
                stride: word.wrapping_sub(was.last),
                right,
            };
        }
        self.words.push(word);
        word
    }

    /// A word of which nothing is known.
    fn plain(&mut self, coder: &mut impl Coder) -> u64 {
        let given = coder.given(self.words.len());
        let mut word = 0;
        let mut before = 0;
        let some = self
            .models
            .symbol(coder, Of::Some, 1, u32::from(given != 0));
        if some != 0 {
            for byte in 0..8 {
                let given = (given >> (8 * byte)) as u32 & 0xFF;
                before = self.models.symbol(coder, Of::Byte(before), 8, given);
                word |= u64::from(before) << (8 * byte);
            }
        }
        self.words.push(word);
        word
    }
}

fn look(table: &[u64], slot: usize) -> u64 {
    table.get(slot).copied().unwrap_or(0)
}

/// Where a table of successors keeps what belongs to `key` at a place.
fn slot(shape: usize, place: usize, key: u64) -> usize {
    let mixed = (key ^ ((shape * PLACES + place) as u64) << 56).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 52) as usize % SUCCESSORS
}

/// Small numbers for small differences of either sign.
const fn zigzag(difference: u32) -> u32 {
    difference << 1 ^ ((difference as i32) >> 31) as u32
}

const fn zagzig(number: u32) -> u32 {
    number >> 1 ^ (number & 1).wrapping_neg()
}

/// What a symbol is about: symbols about the same thing share what was learned of them.
#[derive(Clone, Copy)]
enum Of {
    /// The shape of a record after these two.
    Shape(usize, usize),
    /// Ticks of a shape after another.
    Ticks(usize, usize),
    /// Which forecast is right at a place, by which was right before.
    Right(usize, usize, u32),
    Low(usize, usize),
    High(usize, usize),
    /// Whether a plain word is more than zero.
    Some,
    /// A byte after another.
    Byte(u32),
}

impl Of {
    /// A number of its own for each, below [`Models::COUNT`] / 64.
    fn number(self) -> usize {
        match self {
            Self::Shape(one, two) => one * 64 + two,
            Self::Ticks(shape, one) => 4096 + shape * 64 + one,
            Self::Right(shape, place, right) => 8192 + (shape * 8 + place) * 8 + right as usize,
            Self::Low(shape, place) => 12288 + shape * 8 + place,
            Self::High(shape, place) => 12800 + shape * 8 + place,
            Self::Byte(byte) => 13312 + byte as usize,
            Self::Some => 13568,
        }
    }
}

/// All that is learned: a tree of likelihoods for each thing, made when it is first needed.
#[derive(Default)]
struct Models {
    /// Where a tree begins in `bits`, plus one.
    trees: rustc_hash::FxHashMap<u32, u32>,
    bits: Vec<Bit>,
}

impl Models {
    fn tree(&mut self, number: usize, bits: u32) -> &mut [Bit] {
        let size = 1usize << bits;
        let next = self.bits.len();
        let start = *self.trees.entry(number as u32).or_insert(next as u32) as usize;
        if start == next {
            self.bits.resize(next + size, Bit::NEW);
        }
        self.bits.get_mut(start..start + size).unwrap_or_default()
    }

    /// A symbol of so many bits.
    fn symbol(&mut self, coder: &mut impl Coder, of: Of, bits: u32, symbol: u32) -> u32 {
        let tree = self.tree(of.number() * 64, bits);
        branch(coder, tree, bits, symbol)
    }

    /// A number that is more likely small: how many bits it has, the three highest of them as learned,
    /// the rest as they are.
    fn number(&mut self, coder: &mut impl Coder, of: Of, number: u32) -> u32 {
        let base = of.number() * 64;
        let length = u32::BITS - number.leading_zeros();
        let length = branch(coder, self.tree(base, 6), 6, length).min(u32::BITS);
        if length < 2 {
            return length;
        }
        let below = length - 1;
        let learned = below.min(3);
        let rest = below - learned;
        let tree = self.tree(base + length as usize, learned);
        let high = branch(coder, tree, learned, number >> rest & ((1 << learned) - 1));
        let low = match rest {
            0 => 0,
            _ => coder.flat(number & ((1 << rest) - 1), rest),
        };
        1 << below | high << rest | low
    }
}

/// A symbol bit by bit, each learned by the bits above it.
fn branch(coder: &mut impl Coder, tree: &mut [Bit], bits: u32, symbol: u32) -> u32 {
    let mut node = 1usize;
    for place in (0..bits).rev() {
        let bit = symbol >> place & 1 == 1;
        let Some(model) = tree.get_mut(node) else {
            break;
        };
        node = node << 1 | usize::from(coder.bit(model, bit));
    }
    node as u32 & ((1 << bits) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::layout::CHUNK_WORDS;

    fn round_trip(words: &[u64]) -> usize {
        let packed = pack(words);
        assert!(unpack(&packed, words.len()) == words);
        packed.len()
    }

    /// A header of any kind, known or not, with as many words behind it as it says, or one fewer.
    fn record() -> impl Strategy<Value = Vec<u64>> {
        let words = prop_oneof![
            4 => 0u64..4,
            4 => (1u64..6).prop_map(|page| 0x5500_0000_0000 + page * 0x40),
            1 => any::<u64>(),
        ];
        let parts = (any::<u8>(), 0u8..4, any::<u8>(), any::<u32>());
        (
            parts,
            prop::collection::vec(words, 0..9),
            prop::bool::weighted(0.05),
        )
            .prop_map(|((kind, state, aux, ticks), mut words, is_short)| {
                let length = words.len() as u64 + 1;
                let low = u64::from(kind) | length << 8 | u64::from(state) << 16;
                words.insert(0, low | u64::from(aux) << 24 | u64::from(ticks) << 32);
                if is_short {
                    words.pop();
                }
                words
            })
    }

    #[test]
    fn more_shapes_than_have_a_number_survive() {
        let mut words = vec![1; CHUNK_HEADER_WORDS];
        for lap in 0..3u64 {
            for aux in 0..200u64 {
                words.extend([20 | 3 << 8 | 2 << 16 | aux << 24 | lap << 32, aux, lap]);
            }
        }
        round_trip(&words);
    }

    #[test]
    fn round_trips_of_a_few_pointers_take_little() {
        let mut words = vec![1; CHUNK_HEADER_WORDS];
        for trip in 0..600u64 {
            let pointer = 0x55d0_c2e0_0000 + trip % 7 * 0x40;
            for (kind, ticks) in [(20u64, 0), (35, 900 + trip * 37 % 64), (21, 930)] {
                words.push(kind | 3 << 8 | 2 << 16 | (trip * 2000 + ticks) << 32);
                words.extend([pointer, 5 | kind << 32]);
            }
        }
        let packed = round_trip(&words);
        assert!(packed < 1800 * 2, "{packed} bytes for 1800 records");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn unpacking_undoes_packing_of_any_records(
            records in prop::collection::vec(record(), 0..200),
            zeros in 0usize..20,
        ) {
            let mut words = vec![0x1234_5678; CHUNK_HEADER_WORDS];
            words.extend(records.concat());
            words.resize(words.len() + zeros, 0);
            round_trip(&words);
        }

        #[test]
        fn unpacking_undoes_packing_of_any_words(words in prop::collection::vec(any::<u64>(), 0..300)) {
            round_trip(&words);
        }

        #[test]
        fn any_bytes_unpack_to_as_many_words_as_were_asked_for(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            count in 0usize..CHUNK_WORDS,
        ) {
            prop_assert_eq!(unpack(&bytes, count).len(), count);
        }
    }
}
