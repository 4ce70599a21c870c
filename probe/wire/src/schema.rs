//! What the words behind a record's header are called: a writer says it of every kind that it may use, so
//! that a reader that does not know a kind can show it all the same.
//!
//! A [`Kind::Schema`] record is `[kind | flags << 8 | name string << 32, field...]`; a field is a word, see
//! [`Field::pack`]. Schemas describe, they do not promise: how a kind is read is what this crate says.
//!
//! A kind that a reader does not know cannot be judged. Where its schema says that it [`BEARS`] on pointers,
//! operations or coroutines, or where it has none, such a record is as good as lost, and counted as that; all
//! others are shown and change no verdict. A kind that changes what the words of others mean takes a bit in
//! [`crate::layout::incompat`].

use crate::record::Kind;

/// Flag of a schema: the kind is about pointers, rings, coroutines, scopes or memory.
pub const BEARS: u32 = 1;

/// How to show a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// A number in hex: addresses, cookies, flags.
    Hex = 1,
    /// A number.
    Decimal = 2,
    /// A number that may be negative.
    Signed = 3,
    /// Number of a string.
    String = 4,
    /// Number of a place in the source.
    Site = 5,
    /// Number of a type.
    Type = 6,
    /// This word and all behind it, in hex.
    Rest = 7,
}

impl Shape {
    /// The shape for its number.
    pub const fn from_u8(raw: u8) -> Option<Self> {
        match raw {
            1 => Some(Self::Hex),
            2 => Some(Self::Decimal),
            3 => Some(Self::Signed),
            4 => Some(Self::String),
            5 => Some(Self::Site),
            6 => Some(Self::Type),
            7 => Some(Self::Rest),
            _ => None,
        }
    }
}

/// Some bits of a payload's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<N> {
    /// What it is called: its text for a writer, a string's number in a file.
    pub name: N,
    /// How to show it.
    pub shape: Shape,
    /// Word of the payload.
    pub word: u8,
    /// Lowest bit in that word.
    pub shift: u8,
    /// Number of bits, 1 to 64.
    pub bits: u8,
}

impl Field<&'static str> {
    /// The word for it, with its name's number: name, then shape, word, shift and bits, a byte each.
    pub const fn pack(&self, name: u32) -> u64 {
        name as u64
            | (self.shape as u64) << 32
            | (self.word as u64) << 40
            | (self.shift as u64) << 48
            | (self.bits as u64) << 56
    }
}

impl Field<u32> {
    /// Reads [`Field::pack`]; nothing for a shape of a newer writer, or for bits outside of a word.
    pub const fn unpack(word: u64) -> Option<Self> {
        let (shift, bits) = ((word >> 48) as u8, (word >> 56) as u8);
        match Shape::from_u8((word >> 32) as u8) {
            Some(shape) if bits > 0 && shift as u16 + bits as u16 <= 64 => Some(Self {
                name: word as u32,
                shape,
                word: (word >> 40) as u8,
                shift,
                bits,
            }),
            _ => None,
        }
    }
}

const fn part(
    name: &'static str,
    shape: Shape,
    word: u8,
    shift: u8,
    bits: u8,
) -> Field<&'static str> {
    Field {
        name,
        shape,
        word,
        shift,
        bits,
    }
}

const fn whole(name: &'static str, shape: Shape, word: u8) -> Field<&'static str> {
    part(name, shape, word, 0, 64)
}

const fn low(name: &'static str, shape: Shape, word: u8) -> Field<&'static str> {
    part(name, shape, word, 0, 32)
}

const fn high(name: &'static str, shape: Shape, word: u8) -> Field<&'static str> {
    part(name, shape, word, 32, 32)
}

/// Flags of a kind's schema.
pub const fn flags(kind: Kind) -> u32 {
    if kind as u8 >= Kind::Leak as u8 {
        BEARS
    } else {
        0
    }
}

/// The fields of a kind.
#[rustfmt::skip]
pub const fn fields(kind: Kind) -> &'static [Field<&'static str>] {
    use Shape::{Decimal, Hex, Rest, Signed, Site, String, Type};
    match kind {
        Kind::Pad => &[],
        Kind::Time => const { &[whole("ticks", Decimal, 0)] },
        Kind::Lost => const { &[whole("count", Decimal, 0), whole("reasons", Hex, 1)] },
        Kind::String => const { &[low("id", Decimal, 0), high("bytes", Decimal, 0), whole("text", Rest, 1)] },
        Kind::Site => const { &[low("id", Decimal, 0), high("line", Decimal, 0), low("file", String, 1), high("column", Decimal, 1)] },
        Kind::Type => const { &[low("id", Decimal, 0), high("name", String, 0), whole("size", Decimal, 1), whole("align", Decimal, 2)] },
        Kind::Thread => const { &[low("tid", Decimal, 0), high("name", String, 0)] },
        Kind::Clock => const { &[whole("monotonic_ns", Decimal, 0)] },
        Kind::Fork => const { &[low("child", Decimal, 0)] },
        Kind::Mark => const { &[low("text", String, 0)] },
        Kind::Stack => const { &[low("id", Decimal, 0), high("frames", Decimal, 0), whole("words", Rest, 1)] },
        Kind::Module => const { &[
            low("id", Decimal, 0), high("path", String, 0), whole("base", Hex, 1), whole("size", Hex, 2),
            whole("file_base", Hex, 3), whole("build_id_bytes", Decimal, 4), whole("build_id", Rest, 5),
        ] },
        Kind::Schema => const { &[part("kind", Decimal, 0, 0, 8), part("flags", Hex, 0, 8, 24), high("name", String, 0), whole("fields", Rest, 1)] },
        Kind::Leak | Kind::Reclaim | Kind::Peek | Kind::Retain | Kind::Release | Kind::LeakForever => const {
            &[whole("pointer", Hex, 0), low("site", Site, 1), high("type", Type, 1)]
        },
        Kind::RingCreate => const { &[
            low("ring", Decimal, 0), high("fd", Signed, 0), low("sq_entries", Decimal, 1), high("cq_entries", Decimal, 1),
            low("setup", Hex, 2), high("features", Hex, 2),
        ] },
        Kind::RingDrop => const { &[low("ring", Decimal, 0)] },
        Kind::Claim => const { &[low("ring", Decimal, 0), high("slot", Decimal, 0)] },
        Kind::Submit => const { &[
            whole("cookie", Hex, 0), low("sequence", Decimal, 1), part("ring", Decimal, 1, 32, 16), part("slot", Decimal, 1, 48, 16),
            part("opcode", Decimal, 2, 0, 8), part("sqe_flags", Hex, 2, 8, 8), part("ioprio", Hex, 2, 16, 16), high("fd", Signed, 2),
            low("site", Site, 3), part("buf_index", Decimal, 3, 32, 16), part("personality", Decimal, 3, 48, 16),
            whole("addr", Hex, 4), low("len", Decimal, 5), high("op_flags", Hex, 5), whole("off", Hex, 6),
            low("file_index", Decimal, 7),
        ] },
        Kind::SubmitNext => const { &[whole("cookie", Hex, 0), whole("words", Rest, 1)] },
        Kind::LeakSubmit => const { &[
            whole("pointer", Hex, 0), low("sequence", Decimal, 1), part("ring", Decimal, 1, 32, 16), part("slot", Decimal, 1, 48, 16),
            part("opcode", Decimal, 2, 0, 8), part("sqe_flags", Hex, 2, 8, 8), part("ioprio", Hex, 2, 16, 16), high("fd", Signed, 2),
            low("site", Site, 3), high("type", Type, 3), whole("addr", Hex, 4), low("len", Decimal, 5), high("op_flags", Hex, 5),
            whole("off", Hex, 6), part("buf_index", Decimal, 7, 0, 16), part("personality", Decimal, 7, 16, 16), high("file_index", Decimal, 7),
        ] },
        Kind::CompleteReclaim => const { &[
            whole("pointer", Hex, 0), low("res", Signed, 1), high("flags", Hex, 1), low("site", Site, 2), high("type", Type, 2), low("ring", Decimal, 3),
        ] },
        Kind::Enter => const { &[low("ring", Decimal, 0), high("to_submit", Decimal, 0), low("min_complete", Decimal, 1), high("result", Signed, 1)] },
        Kind::Complete => const { &[whole("cookie", Hex, 0), low("res", Signed, 1), high("flags", Hex, 1), low("ring", Decimal, 2)] },
        Kind::CompleteAt => const { &[
            whole("cookie", Hex, 0), low("res", Signed, 1), high("flags", Hex, 1), low("ring", Decimal, 2), high("index", Decimal, 2),
        ] },
        Kind::CompleteOf => const { &[
            whole("cookie", Hex, 0), low("res", Signed, 1), high("flags", Hex, 1), low("ring", Decimal, 2), high("sequence", Decimal, 2),
        ] },
        Kind::Overflow => const { &[low("ring", Decimal, 0), whole("count", Decimal, 1)] },
        Kind::Passed => const { &[low("ring", Decimal, 0), high("unread", Decimal, 0), low("beyond", Decimal, 1), high("site", Site, 1)] },
        Kind::Push => const { &[whole("cookie", Hex, 0), low("fd", Signed, 1), high("index", Decimal, 1)] },
        Kind::Spawn => const { &[low("coroutine", Decimal, 0), high("parent", Decimal, 0), low("site", Site, 1), high("type", Type, 1)] },
        Kind::Resume => const { &[low("coroutine", Decimal, 0), high("ring", Decimal, 0), whole("cookie", Hex, 1)] },
        Kind::Suspend => const { &[low("coroutine", Decimal, 0), high("count", Decimal, 0), whole("cookies", Rest, 1)] },
        Kind::Done | Kind::CoroutineDrop | Kind::Wake => const { &[low("coroutine", Decimal, 0)] },
        Kind::ScopeBegin => const { &[low("scope", Decimal, 0), high("site", Site, 0), low("name", String, 1), high("parent", Decimal, 1)] },
        Kind::ScopeEnd | Kind::ScopeEnter => const { &[low("scope", Decimal, 0)] },
        Kind::Scheme => const { &[low("ring", Decimal, 0), whole("scheme", Decimal, 1), whole("parameter", Hex, 2)] },
        Kind::Shared => const { &[whole("cookie", Hex, 0)] },
        Kind::OwnerLabel => const { &[low("ring", Decimal, 0), high("owner", String, 0)] },
        Kind::Alloc => const { &[whole("pointer", Hex, 0), part("size", Decimal, 1, 0, 56), part("align", Decimal, 1, 56, 8)] },
        Kind::Free => const { &[whole("pointer", Hex, 0), whole("size", Decimal, 1)] },
        Kind::Realloc => const { &[whole("old", Hex, 0), whole("new", Hex, 1), whole("size", Decimal, 2)] },
        Kind::Unmap => const { &[whole("address", Hex, 0), whole("size", Decimal, 1)] },
        Kind::FdOpen | Kind::FdClose => const { &[whole("fd", Decimal, 0), low("site", Site, 1)] },
        Kind::BorrowBegin | Kind::BorrowEnd => const { &[whole("cell", Hex, 0), low("site", Site, 1), high("type", Type, 1)] },
        Kind::BufferInit => const { &[whole("address", Hex, 0), whole("size", Decimal, 1), whole("initialised", Decimal, 2)] },
        Kind::BufferProvide => const { &[low("ring", Decimal, 0), high("group", Decimal, 0), low("buffer", Decimal, 1), high("count", Decimal, 1)] },
        Kind::StackPointer => const { &[whole("address", Hex, 0), whole("lowest", Hex, 1)] },
    }
}

/// Most fields that a kind has.
pub const FIELDS_MAX: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_what_its_words_are() {
        for kind in Kind::ALL {
            let fields = fields(*kind);
            assert!(!fields.is_empty() || *kind == Kind::Pad, "{kind:?}");
            assert!(fields.len() <= FIELDS_MAX);
            for (index, field) in fields.iter().enumerate() {
                let read = Field::unpack(field.pack(77)).unwrap();
                assert_eq!(
                    (read.name, read.shape, read.word, read.shift, read.bits),
                    (77, field.shape, field.word, field.shift, field.bits)
                );
                for other in &fields[index + 1..] {
                    assert_ne!(field.name, other.name, "{kind:?}");
                    let apart = field.word != other.word
                        || field.shift + field.bits <= other.shift
                        || other.shift + other.bits <= field.shift;
                    assert!(apart, "{kind:?}: {} and {}", field.name, other.name);
                }
            }
        }
    }

    #[test]
    fn fields_that_make_no_sense_are_none() {
        for (shape, shift, bits) in [
            (0u64, 0u64, 64u64),
            (8, 0, 64),
            (1, 0, 0),
            (1, 1, 64),
            (1, 64, 1),
        ] {
            let word = shape << 32 | shift << 48 | bits << 56;
            assert_eq!(Field::unpack(word), None, "{word:#x}");
        }
        assert_eq!(flags(Kind::Mark), 0);
        assert_eq!(flags(Kind::Leak), BEARS);
    }
}
