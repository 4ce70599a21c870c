//! Kinds of records that this build does not know, by what their writer says of them.

use wire::schema::{BEARS, Field, Shape};

use crate::event::{SiteId, StringId, TypeId};
use crate::recording::Recording;
use crate::trace::Trace;

/// What a writer calls a kind and its fields.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    flags: u32,
    name: StringId,
    fields: Vec<Field<StringId>>,
}

/// Fields of a kind that are kept.
const FIELDS_MAX: usize = 64;

impl Schema {
    /// From a record's words, with the names that its numbers stand for.
    pub(crate) fn new(words: &[u64], string: impl Fn(u32) -> StringId) -> Self {
        let (first, name) = wire::payload::halves(wire::payload::word(words, 0));
        let fields = words.iter().skip(1).take(FIELDS_MAX);
        let fields = fields
            .filter_map(|word| Field::unpack(*word))
            .filter(is_first_rest())
            .map(|field| Field {
                name: string(field.name),
                shape: field.shape,
                word: field.word,
                shift: field.shift,
                bits: field.bits,
            });
        Self {
            flags: first >> 8,
            name: string(name),
            fields: fields.collect(),
        }
    }

    /// Whether such records are about what rules judge.
    pub(crate) fn bears(&self) -> bool {
        self.flags & BEARS != 0
    }

    /// Puts the recording's numbers of names in place of the process's own.
    pub(crate) fn translate(&self, words: &mut [u64], number: impl Fn(Shape, u32) -> u32) {
        for field in &self.fields {
            let is_name = matches!(field.shape, Shape::String | Shape::Site | Shape::Type);
            let Some(word) = words.get_mut(usize::from(field.word)).filter(|_| is_name) else {
                continue;
            };
            let mask = mask(field);
            let old = u32::try_from((*word & mask) >> field.shift).unwrap_or(0);
            let new = (u64::from(number(field.shape, old)) << field.shift) & mask;
            *word = *word & !mask | new;
        }
    }

    /// `kind-77 "name" field=value ...`; safe for a terminal.
    pub(crate) fn describe(&self, trace: &Trace, kind: u8, words: &[u64]) -> String {
        let recording = trace.recording();
        let mut out = format!("kind-{kind} \"{}\"", recording.string(self.name).tty());
        for field in &self.fields {
            let Some(word) = words.get(usize::from(field.word)) else {
                continue;
            };
            let name = recording.string(field.name).tty();
            let value = match field.shape {
                Shape::Rest => {
                    let rest = words.iter().skip(usize::from(field.word));
                    let rest: Vec<String> = rest.map(|word| format!("{word:#x}")).collect();
                    rest.join(",")
                }
                _ => value(trace, recording, field, *word),
            };
            out.push_str(&format!(" {name}={value}"));
        }
        out
    }
}

/// Only one field can be the rest of a record; more would show the same words again and again.
fn is_first_rest() -> impl FnMut(&Field<u32>) -> bool {
    let mut seen = false;
    move |field| field.shape != Shape::Rest || !std::mem::replace(&mut seen, true)
}

/// The bits of a field; all shapes that were read lie within a word.
fn mask(field: &Field<StringId>) -> u64 {
    let ones = u64::MAX >> (64 - u32::from(field.bits.clamp(1, 64)));
    ones.checked_shl(u32::from(field.shift)).unwrap_or(0)
}

fn value(trace: &Trace, recording: &Recording, field: &Field<StringId>, word: u64) -> String {
    let raw = (word & mask(field)) >> field.shift.min(63);
    let id = u32::try_from(raw).unwrap_or(0);
    match field.shape {
        Shape::Decimal => raw.to_string(),
        Shape::Signed => {
            let unused = 64 - u32::from(field.bits.clamp(1, 64));
            ((raw << unused).cast_signed() >> unused).to_string()
        }
        Shape::String => format!("\"{}\"", recording.string(StringId(id)).tty()),
        Shape::Site => trace.names().site(SiteId(id)),
        Shape::Type => trace.names().ty(TypeId(id)),
        Shape::Hex | Shape::Rest => format!("{raw:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_field_is_the_rest() {
        let field = |shape| Field {
            name: "",
            shape,
            word: 0,
            shift: 0,
            bits: 64,
        };
        let shapes = [Shape::Rest, Shape::Hex, Shape::Rest, Shape::Hex];
        let words = shapes.map(|shape| field(shape).pack(1));
        let schema = Schema::new(&[&[0][..], &words].concat(), StringId);
        let kept: Vec<Shape> = schema.fields.iter().map(|field| field.shape).collect();
        assert_eq!(kept, [Shape::Rest, Shape::Hex, Shape::Hex]);
    }
}
