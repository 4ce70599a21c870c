//! The words of a chunk into few bytes and back, losing nothing.
//!
//! Each word of a record is foretold from the same place in earlier records of the same shape, and
//! from what went by just before; what is coded is which forecast was right, and where none was, the
//! difference. A chunk is coded without regard to any other, so that each can be lost alone.
//!
//! ```text
//! record   control: bit 0 the shape was foretold, bit 1 so were the forecasts,
//!                   bits 2 and 3 how the ticks since the record before are coded:
//!                     0 none passed, 1 eight bits, 2 sixteen bits, 3 a number
//!                   bits 4 to 7, where the shape was foretold: the highest four of twelve bits of
//!                     ticks, for 1 above; where it was not:
//!                     0 to 12 its number, 13 its number follows in a byte, 14 a new one follows in
//!                     four, 15 no more records: plain words follow
//!          shape, ticks, as said above
//!          forecasts, where they were not foretold: four bits for each word, the low half first
//!          differences, for each word that was not foretold: the whole word's, or both halves'
//! plain    the word as a number; behind a zero, how many more zeros follow
//! text     eight bytes a word: all words of a string's record but the first
//! number   seven bits a byte, the low ones first, the highest bit saying that more follow
//! ```
//!
//! So a record whose every word was foretold takes two bytes, or three. Whole bytes and no arithmetic
//! coder: reading must keep up with the model (`bench/`).
//!
//! The forecasts and their order are part of the format: whoever changes one makes a new encoding.

use wire::layout::{CHUNK_HEADER_WORDS, RECORD_MAX_WORDS};
use wire::record::{Header, Kind};

/// Shapes with a number; further ones share the last.
const SHAPES: usize = 255;
/// Places of a record with a memory of their own; the last is that of all others.
const PLACES: usize = 8;
/// Entries of a table of successors.
const SUCCESSORS: usize = 1 << 10;

/// Which forecast of [`Memory::foretell`] was right, or how the difference is coded.
type Forecast = u8;
/// Forecasts that there are.
const FORECASTS: Forecast = 7;
/// None was right: the difference to the last word in this place.
const WHOLE: Forecast = 7;
/// None was right: the differences of both halves to those of the last word in this place.
const HALVES: Forecast = 8;

/// In a control byte.
const SAME_SHAPE: u8 = 1;
const SAME_FORECASTS: u8 = 2;
/// In the highest four bits of a control byte.
const SHAPE_IN_BYTE: u8 = 13;
const NEW_SHAPE: u8 = 14;
const NO_RECORD: u8 = 15;

/// Codes words; they may be anything.
pub(super) fn pack(words: &[u64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(words.len());
    let (head, mut rest) = words.split_at(words.len().min(CHUNK_HEADER_WORDS));
    plain(&mut out, head);
    let mut walk = Walk::default();
    while let Some(first) = rest.first() {
        let length = Header(*first).words();
        if length == 0 {
            break;
        }
        let (record, after) = rest.split_at(length.min(rest.len()));
        walk.pack(&mut out, record, length);
        rest = after;
    }
    if !rest.is_empty() {
        out.push(NO_RECORD << 4);
        plain(&mut out, rest);
    }
    out
}

/// The `count` words that `bytes` were coded from; some words where they were damaged.
pub(super) fn unpack(bytes: &[u8], count: usize) -> Vec<u64> {
    let mut input = Input(bytes);
    // The last record may reach beyond.
    let mut words = Vec::with_capacity(count + RECORD_MAX_WORDS);
    input.plain(&mut words, count.min(CHUNK_HEADER_WORDS));
    let mut walk = Walk::default();
    while words.len() < count {
        if !walk.unpack(&mut input, &mut words) {
            input.plain(&mut words, count);
        }
    }
    // The zeros at the end of the last record may not have been among the words.
    words.truncate(count);
    words
}

/// Bytes that are being read; behind their end are zeros.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The next bytes, as far as there are any.
    #[inline]
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    #[inline]
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    #[inline]
    fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte();
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    /// Plain words, until there are `count`.
    fn plain(&mut self, words: &mut Vec<u64>, count: usize) {
        while words.len() < count {
            let word = self.number();
            words.push(word);
            if word == 0 {
                let zeros = usize::try_from(self.number()).unwrap_or(usize::MAX);
                words.resize(words.len().saturating_add(zeros).min(count), 0);
            }
        }
    }
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn plain(out: &mut Vec<u8>, mut words: &[u64]) {
    while let Some((first, rest)) = words.split_first() {
        number(out, *first);
        words = rest;
        if *first == 0 {
            let zeros = rest.iter().take_while(|word| **word == 0).count();
            number(out, zeros as u64);
            words = rest.get(zeros..).unwrap_or_default();
        }
    }
}

/// The low half of a record's header (kind, length, state, flags, aux), and what is remembered of the
/// words of such records.
#[derive(Clone, Copy)]
struct Shape {
    low: u32,
    /// Number of the shape that followed it last.
    next: u8,
    places: [Place; PLACES],
    /// Of each word, as far as there are places.
    forecasts: [Forecast; PLACES],
}

/// What is remembered of a place in records of a shape.
#[derive(Clone, Copy, Default)]
struct Place {
    last: u64,
    stride: u64,
}

impl Shape {
    fn learn(&mut self, place: usize, was: Place, forecast: Forecast, word: u64) {
        let place = place.min(PLACES - 1);
        self.places[place] = Place {
            last: word,
            stride: word.wrapping_sub(was.last),
        };
        self.forecasts[place] = forecast;
    }
}

/// One walk over the records of a chunk, in either direction.
#[derive(Default)]
struct Walk {
    shapes: Vec<Shape>,
    /// Shape of the record before.
    shape: usize,
    ticks: u32,
    memory: Memory,
}

/// What is remembered of words, whatever the shapes of their records.
struct Memory {
    /// First words of the three records before.
    heads: [u64; 3],
    /// What followed a word in its place.
    after: Box<[u64; SUCCESSORS]>,
    /// What stood in a place of a record whose first word, or whose predecessor's, was this.
    beside: Box<[u64; SUCCESSORS]>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            heads: [0; 3],
            after: Box::new([0; SUCCESSORS]),
            beside: Box::new([0; SUCCESSORS]),
        }
    }
}

/// What is known of a word before it is known.
struct Known {
    was: Place,
    after: usize,
    beside: usize,
}

impl Walk {
    fn pack(&mut self, out: &mut Vec<u8>, record: &[u64], length: usize) {
        let word = |index: usize| record.get(index).copied().unwrap_or(0);
        let low = word(0) as u32;
        let foretold = self.foretold_shape();
        let is_foretold = self.low(foretold) == Some(low);
        let known = match is_foretold {
            true => Some(foretold),
            false => self.shapes.iter().position(|shape| shape.low == low),
        };
        let shape = known.unwrap_or_else(|| self.new_shape(low));
        let ticks = (word(0) >> 32) as u32;
        let passed = ticks.wrapping_sub(self.ticks);

        let coded = coded_words(low, length);
        let mut forecasts = [WHOLE; RECORD_MAX_WORDS];
        let mut differences = Vec::new();
        let mut same = true;
        let head = word(1);
        if let Some(remembered) = self.shapes.get_mut(shape) {
            let expected = remembered.forecasts;
            for (place, forecast) in forecasts.iter_mut().take(coded).enumerate() {
                let given = word(place + 1);
                let was = at_place(&remembered.places, place);
                let known = self.memory.known(was, shape, place, head);
                let before = at_place(&expected, place);
                *forecast = self.memory.forecast(&known, given, before);
                same &= *forecast == before;
                difference(&mut differences, *forecast, &known, given);
                self.memory.learn(&known, given);
                remembered.learn(place, was, *forecast, given);
            }
        }
        let forecasts = forecasts.get(..coded).unwrap_or_default();

        let (class, high) = match passed {
            0 => (0, 0),
            1..=0xFF => (1, 0),
            0x100..=0xFFF if is_foretold => (1, (passed >> 8) as u8),
            0x100..=0xFFFF => (2, 0),
            _ => (3, 0),
        };
        let high = match known {
            _ if is_foretold => high,
            None => NEW_SHAPE,
            Some(shape) if shape < usize::from(SHAPE_IN_BYTE) => shape as u8,
            Some(_) => SHAPE_IN_BYTE,
        };
        let flags = (u8::from(is_foretold) * SAME_SHAPE) | (u8::from(same) * SAME_FORECASTS);
        out.push(flags | class << 2 | high << 4);
        match high {
            _ if is_foretold => {}
            NEW_SHAPE => out.extend(low.to_le_bytes()),
            SHAPE_IN_BYTE => out.push(shape as u8),
            _ => {}
        }
        match class {
            0 => {}
            1 => out.push(passed as u8),
            2 => out.extend((passed as u16).to_le_bytes()),
            _ => number(out, passed.into()),
        }
        if !same {
            let pairs = forecasts.chunks(2);
            out.extend(pairs.map(|pair| pair.iter().rev().fold(0, |byte, one| byte << 4 | one)));
        }
        out.extend(differences);
        for index in coded + 1..length {
            out.extend(word(index).to_le_bytes());
        }
        self.end(shape, ticks, length, head);
    }

    /// Appends one record; or says that plain words follow.
    fn unpack(&mut self, input: &mut Input<'_>, words: &mut Vec<u64>) -> bool {
        let control = input.byte();
        let high = control >> 4;
        let is_foretold = control & SAME_SHAPE != 0;
        let shape = match high {
            _ if is_foretold => self.foretold_shape(),
            NO_RECORD => return false,
            NEW_SHAPE => {
                let low = [0; 4].map(|_: u8| input.byte());
                self.new_shape(u32::from_le_bytes(low))
            }
            SHAPE_IN_BYTE => input.byte().into(),
            number => number.into(),
        };
        let Some(remembered) = self.shapes.get_mut(shape) else {
            return false;
        };
        let low = remembered.low;
        let length = Header(low.into()).words();
        if length == 0 {
            return false;
        }
        let passed = match control >> 2 & 3 {
            0 => 0,
            1 if is_foretold => u32::from(high) << 8 | u32::from(input.byte()),
            1 => input.byte().into(),
            2 => u16::from_le_bytes([input.byte(), input.byte()]).into(),
            _ => input.number() as u32,
        };
        let ticks = self.ticks.wrapping_add(passed);
        words.push(u64::from(low) | u64::from(ticks) << 32);

        let coded = coded_words(low, length);
        let expected = remembered.forecasts;
        let is_same = control & SAME_FORECASTS != 0;
        let told = (!is_same).then(|| input.take(coded.div_ceil(2)));
        let mut head = None;
        for place in 0..coded {
            let forecast = match told {
                None => at_place(&expected, place),
                Some(told) => {
                    let pair = told.get(place / 2).copied().unwrap_or(0);
                    pair >> (place % 2 * 4) & 0xF
                }
            };
            let was = at_place(&remembered.places, place);
            // The first word is not known yet where it would be asked for: see `known`.
            let known = self.memory.known(was, shape, place, head.unwrap_or(0));
            let word = match forecast {
                WHOLE => was.last.wrapping_add(zagzig(input.number())),
                HALVES => halves(was.last, input.number(), input.number()),
                forecast => self.memory.foretell(&known, forecast),
            };
            self.memory.learn(&known, word);
            remembered.learn(place, was, forecast, word);
            words.push(word);
            head = head.or(Some(word));
        }
        for _ in coded + 1..length {
            let bytes = [0; 8].map(|_: u8| input.byte());
            words.push(u64::from_le_bytes(bytes));
        }
        self.end(shape, ticks, length, head.unwrap_or(0));
        true
    }

    fn foretold_shape(&self) -> usize {
        self.shapes
            .get(self.shape)
            .map_or(0, |shape| shape.next.into())
    }

    fn low(&self, shape: usize) -> Option<u32> {
        self.shapes.get(shape).map(|shape| shape.low)
    }

    /// The number of a shape that was not met before.
    fn new_shape(&mut self, low: u32) -> usize {
        if self.shapes.len() >= SHAPES {
            self.shapes.pop();
        }
        self.shapes.push(Shape {
            low,
            next: 0,
            places: [Place::default(); PLACES],
            forecasts: [WHOLE; PLACES],
        });
        self.shapes.len() - 1
    }

    fn end(&mut self, shape: usize, ticks: u32, length: usize, head: u64) {
        let is_time = self.low(shape).is_some_and(|low| is(low, Kind::Time));
        self.ticks = if is_time { 0 } else { ticks };
        if let Some(before) = self.shapes.get_mut(self.shape) {
            before.next = shape as u8;
        }
        self.shape = shape;
        if length > 1 {
            let [one, two, _] = self.memory.heads;
            self.memory.heads = [head, one, two];
        }
    }
}

impl Memory {
    /// What is known of a word at a place of a record whose first word is `head`; for the first word
    /// itself the predecessor's is asked.
    #[inline]
    fn known(&self, was: Place, shape: usize, place: usize, head: u64) -> Known {
        let [before, _, _] = self.heads;
        let key = if place == 0 { before } else { head };
        let here = ((shape * PLACES + place.min(PLACES - 1)) as u64) << 52;
        Known {
            was,
            after: slot(here ^ was.last),
            beside: slot(here ^ key),
        }
    }

    #[inline]
    fn foretell(&self, known: &Known, forecast: Forecast) -> u64 {
        let [one, two, three] = self.heads;
        match forecast {
            0 => self.beside[known.beside % SUCCESSORS],
            1 => self.after[known.after % SUCCESSORS],
            2 => known.was.last,
            3 => known.was.last.wrapping_add(known.was.stride),
            4 => one,
            5 => two,
            _ => three,
        }
    }

    /// How to code a word: as the last one in its place if that is right again.
    fn forecast(&self, known: &Known, given: u64, before: Forecast) -> Forecast {
        let is_right = |forecast: &Forecast| self.foretell(known, *forecast) == given;
        let first = (before < FORECASTS).then_some(before);
        let right = first.into_iter().chain(0..FORECASTS).find(is_right);
        right.unwrap_or_else(|| {
            let [mut whole, mut halves] = [Vec::new(), Vec::new()];
            difference(&mut whole, WHOLE, known, given);
            difference(&mut halves, HALVES, known, given);
            match whole.len() <= halves.len() {
                true => WHOLE,
                false => HALVES,
            }
        })
    }

    #[inline]
    fn learn(&mut self, known: &Known, word: u64) {
        self.beside[known.beside % SUCCESSORS] = word;
        self.after[known.after % SUCCESSORS] = word;
    }
}

/// Whether a record whose header begins so is of a kind.
fn is(low: u32, kind: Kind) -> bool {
    Header(low.into()).raw_kind() == kind as u8
}

/// How many words of a record are foretold: all but the text of a string.
fn coded_words(low: u32, length: usize) -> usize {
    let payload = length.saturating_sub(1);
    match is(low, Kind::String) {
        true => payload.min(1),
        false => payload,
    }
}

fn at_place<T: Copy>(places: &[T; PLACES], place: usize) -> T {
    places[place.min(PLACES - 1)]
}

/// Where a table of successors keeps what belongs to a key.
#[inline]
fn slot(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as usize
}

fn difference(out: &mut Vec<u8>, forecast: Forecast, known: &Known, given: u64) {
    let last = known.was.last;
    match forecast {
        WHOLE => number(out, zigzag(given.wrapping_sub(last))),
        HALVES => {
            let [low, high] = [0, 32].map(|shift| {
                let difference = ((given >> shift) as u32).wrapping_sub((last >> shift) as u32);
                zigzag(i64::from(difference as i32) as u64)
            });
            number(out, low);
            number(out, high);
        }
        _ => {}
    }
}

/// The word whose halves differ so from those of `last`.
fn halves(last: u64, low: u64, high: u64) -> u64 {
    let low = (last as u32).wrapping_add(zagzig(low) as u32);
    let high = ((last >> 32) as u32).wrapping_add(zagzig(high) as u32);
    u64::from(low) | u64::from(high) << 32
}

/// Small numbers for small differences of either sign.
const fn zigzag(difference: u64) -> u64 {
    difference << 1 ^ ((difference as i64) >> 63) as u64
}

const fn zagzig(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
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
        assert!(packed < 1800 * 4, "{packed} bytes for 1800 records");
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
