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

/// [`WHOLE`] in each place.
const NONE_RIGHT: u32 = WHOLE as u32 * 0x1111_1111;

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
    let mut input = Input { bytes, at: 0 };
    // The last record may reach beyond.
    let mut words = vec![0; count + RECORD_MAX_WORDS];
    let mut at = 0;
    let head = count.min(CHUNK_HEADER_WORDS);
    input.plain(&mut words, &mut at, head);
    let mut walk = Walk::default();
    while let Some(to) = words.get_mut(at..).filter(|_| at < count) {
        match walk.unpack(&mut input, to) {
            Some(length) => at += length,
            None => input.plain(&mut words, &mut at, count),
        }
    }
    // The zeros at the end of the last record may not have been among the words.
    words.truncate(count);
    words
}

/// Bytes that are being read; behind their end are zeros.
struct Input<'a> {
    bytes: &'a [u8],
    /// The next one.
    at: usize,
}

impl Input<'_> {
    /// The next eight bytes as a word.
    #[inline(always)]
    fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => last_bytes(rest),
        }
    }

    /// The first `count` of the next eight bytes.
    #[inline(always)]
    fn take(&mut self, count: u32) -> u64 {
        let word = self.peek();
        self.at += count as usize;
        word & (!0 >> (64 - 8 * count))
    }

    #[inline(always)]
    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    /// Half of a byte.
    #[inline(always)]
    fn nibble(&self, from: usize, place: usize) -> u8 {
        let pair = self.bytes.get(from + place / 2).copied().unwrap_or(0);
        pair >> (place % 2 * 4) & 0xF
    }

    /// Without a step for each byte: as many bits as follow each other are moved together at once.
    #[inline(always)]
    fn number(&mut self) -> u64 {
        let word = self.peek();
        let ends = !word & 0x8080_8080_8080_8080;
        if ends == 0 {
            return self.long_number();
        }
        self.at += (ends.trailing_zeros() / 8 + 1) as usize;
        let sevens = word & (ends ^ (ends - 1)) & 0x7F7F_7F7F_7F7F_7F7F;
        let pairs = (sevens & 0x007F_007F_007F_007F) | (sevens & 0x7F00_7F00_7F00_7F00) >> 1;
        let fours = (pairs & 0x0000_3FFF_0000_3FFF) | (pairs & 0x3FFF_0000_3FFF_0000) >> 2;
        (fours & 0x0FFF_FFFF) | (fours >> 32) << 28
    }

    /// Of more than eight bytes.
    #[cold]
    fn long_number(&mut self) -> u64 {
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

    /// Plain words, from `at` on until there are `count`; what is not there yet is zeros.
    fn plain(&mut self, words: &mut [u64], at: &mut usize, count: usize) {
        while let Some(word) = words.get_mut(*at).filter(|_| *at < count) {
            *word = self.number();
            *at += 1;
            if *word == 0 {
                let zeros = usize::try_from(self.number()).unwrap_or(usize::MAX);
                *at = at.saturating_add(zeros).min(count);
            }
        }
    }
}

/// The word that fewer than eight bytes begin.
#[cold]
fn last_bytes(rest: &[u8]) -> u64 {
    rest.iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
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
    /// Words of such a record, and how many of them are foretold: none of the text of a string, and not the header.
    length: u8,
    coded: u8,
    is_time: bool,
    places: [Place; PLACES],
    /// Of each word, as far as there are places, as they are coded: the first one lowest.
    forecasts: u32,
}

/// What is remembered of a place in records of a shape.
#[derive(Clone, Copy, Default)]
struct Place {
    last: u64,
    stride: u64,
}

impl Shape {
    fn learn(&mut self, place: usize, forecast: Forecast, word: u64) {
        let place = place.min(PLACES - 1);
        self.places[place].learn(word);
        self.forecasts = with_forecast(self.forecasts, place, forecast);
    }
}

/// The forecast of a place, as forecasts of a shape are kept.
fn forecast_of(forecasts: u32, place: usize) -> Forecast {
    (forecasts >> (4 * place.min(PLACES - 1)) & 0xF) as Forecast
}

fn with_forecast(forecasts: u32, place: usize, forecast: Forecast) -> u32 {
    let shift = 4 * place.min(PLACES - 1);
    forecasts & !(0xF << shift) | u32::from(forecast) << shift
}

impl Place {
    #[inline(always)]
    fn learn(&mut self, word: u64) {
        *self = Self {
            last: word,
            stride: word.wrapping_sub(self.last),
        };
    }
}

/// One walk over the records of a chunk, in either direction.
#[derive(Default)]
struct Walk {
    shapes: Vec<Shape>,
    /// Shape of the record before.
    shape: usize,
    ticks: u32,
    memory: Box<Memory>,
}

/// What is remembered of words, whatever the shapes of their records.
struct Memory {
    /// First words of the three records before.
    heads: [u64; 3],
    /// What followed a word in its place.
    after: [u64; SUCCESSORS],
    /// What stood in a place of a record whose first word, or whose predecessor's, was this.
    beside: [u64; SUCCESSORS],
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            heads: [0; 3],
            after: [0; SUCCESSORS],
            beside: [0; SUCCESSORS],
        }
    }
}

/// What is known of a word before it is known.
struct Known {
    was: Place,
    after: usize,
    beside: usize,
}

impl Known {
    /// Of a word in a place of a shape, numbered over all shapes. `key` is the first word of its record; for that itself,
    /// that of the record before.
    #[inline(always)]
    fn new(was: Place, here: u64, key: u64) -> Self {
        let here = here << 52;
        Self {
            was,
            after: slot(here ^ was.last),
            beside: slot(here ^ key),
        }
    }
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
                let was = remembered.places[place.min(PLACES - 1)];
                let key = if place == 0 {
                    self.memory.heads[0]
                } else {
                    head
                };
                let known = Known::new(was, (shape * PLACES + place.min(PLACES - 1)) as u64, key);
                let before = forecast_of(expected, place);
                *forecast = self.memory.forecast(&known, given, before);
                same &= *forecast == before;
                difference(&mut differences, *forecast, &known, given);
                self.memory.learn(&known, given);
                remembered.learn(place, *forecast, given);
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
        self.end(shape, is(low, Kind::Time), ticks, length, head);
    }

    /// Unpacks one record to where it belongs, and says how long it is; or that plain words follow.
    #[inline]
    fn unpack(&mut self, input: &mut Input<'_>, to: &mut [u64]) -> Option<usize> {
        let control = input.byte();
        let high = control >> 4;
        let is_foretold = control & SAME_SHAPE != 0;
        let shape = match high {
            _ if is_foretold => self.foretold_shape(),
            NO_RECORD => return None,
            NEW_SHAPE => {
                let low = input.take(4);
                self.new_shape(low as u32)
            }
            SHAPE_IN_BYTE => input.byte().into(),
            number => number.into(),
        };
        let remembered = self.shapes.get_mut(shape)?;
        let low = remembered.low;
        let length = usize::from(remembered.length);
        let (header, to) = to.get_mut(..length)?.split_first_mut()?;
        let passed = match control >> 2 & 3 {
            0 => 0,
            1 => {
                let high = if is_foretold { high } else { 0 };
                u32::from(high) << 8 | u32::from(input.byte())
            }
            2 => input.take(2) as u32,
            _ => input.number() as u32,
        };
        let ticks = self.ticks.wrapping_add(passed);
        *header = u64::from(low) | u64::from(ticks) << 32;

        let (coded, text) = to.split_at_mut(remembered.coded.into());
        let expected = remembered.forecasts;
        let told = (control & SAME_FORECASTS == 0).then_some(input.at);
        if told.is_some() {
            remembered.forecasts = input.peek() as u32;
            input.at += coded.len().div_ceil(2);
        }
        let memory = &mut self.memory;
        let [mut key, ..] = memory.heads;
        let mut here = (shape * PLACES) as u64;
        let mut forecasts = remembered.forecasts;
        let (placed, further) = coded.split_at_mut(coded.len().min(PLACES));
        for (to, place) in placed.iter_mut().zip(&mut remembered.places) {
            *to = memory.unpack(input, (forecasts & 0xF) as Forecast, place, here, key);
            forecasts >>= 4;
            if here.is_multiple_of(PLACES as u64) {
                key = *to;
            }
            here += 1;
        }
        for (to, at) in further.iter_mut().zip(PLACES..) {
            let forecast = match told {
                None => forecast_of(expected, at),
                Some(told) => input.nibble(told, at),
            };
            let [.., place] = &mut remembered.places;
            *to = memory.unpack(input, forecast, place, here - 1, key);
            remembered.forecasts = with_forecast(remembered.forecasts, at, forecast);
        }
        for word in text {
            *word = input.take(8);
        }
        let is_time = remembered.is_time;
        self.end(shape, is_time, ticks, length, key);
        Some(length)
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
        let length = Header(low.into()).words();
        self.shapes.push(Shape {
            low,
            next: 0,
            length: length as u8,
            coded: coded_words(low, length) as u8,
            is_time: is(low, Kind::Time),
            places: [Place::default(); PLACES],
            forecasts: NONE_RIGHT,
        });
        self.shapes.len() - 1
    }

    fn end(&mut self, shape: usize, is_time: bool, ticks: u32, length: usize, head: u64) {
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
    /// The next word.
    #[inline(always)]
    fn unpack(
        &mut self,
        input: &mut Input<'_>,
        forecast: Forecast,
        place: &mut Place,
        here: u64,
        key: u64,
    ) -> u64 {
        let known = Known::new(*place, here, key);
        let word = match forecast {
            WHOLE => place.last.wrapping_add(zagzig(input.number())),
            HALVES => halves(place.last, input.number(), input.number()),
            forecast => self.foretell(&known, forecast),
        };
        self.learn(&known, word);
        place.learn(word);
        word
    }

    #[inline(always)]
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
            prop::collection::vec(words, 0..14),
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

    /// What was right for the last of them is foretold for all of them.
    #[test]
    fn places_behind_the_last_with_a_memory_share_its_forecast() {
        let mut words = vec![1; CHUNK_HEADER_WORDS];
        for shared in [99u64, 77, 77, 77] {
            words.push(20 | 13 << 8 | 2 << 16);
            words.extend(1..8);
            words.extend([shared; 5]);
        }
        let shorter = round_trip(&words[..words.len() - 13]);
        let control_alone = 1;
        assert_eq!(round_trip(&words), shorter + control_alone);
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
