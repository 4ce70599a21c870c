//! What records of a kind can look like: a damaged header makes one of another kind of what stands behind it,
//! and what that kind may keep need not be what this one may show.

use wire::payload::{halves, word};
use wire::record::{Header, Kind};
use wire::schema::{self, Field};

use crate::scheme;

/// Bytes of a build-id that readers look at.
const BUILD_ID_MAX: u64 = 64;
/// Beyond every size and every address within a file.
const SIZE_END: u64 = 1 << 48;

/// Whether a record is of a kind that stands in such chunks: of names, or of events. What lasts stands in both.
pub(super) fn stands_in(header: Header, words: &[u64], has_names: bool) -> bool {
    let is_name = matches!(
        header.kind(),
        Some(
            Kind::Pad
                | Kind::String
                | Kind::Site
                | Kind::Type
                | Kind::Stack
                | Kind::Module
                | Kind::Schema
        )
    );
    is_name == has_names || (has_names && could_last(header, words))
}

/// Whether a record among names could be one of what lasts. Strict, since what its words would be else is somebody's text.
pub(super) fn could_last(header: Header, words: &[u64]) -> bool {
    let (ring, high) = halves(word(words, 0));
    let is_ring = u16::try_from(ring).is_ok();
    match header.kind() {
        Some(Kind::Shared | Kind::Spawn) => words.is_empty(),
        Some(Kind::RingCreate) => {
            let (sq_entries, cq_entries) = halves(word(words, 1));
            let has_entries = sq_entries.is_power_of_two() && cq_entries.is_power_of_two();
            // A library's callbacks are a ring without queues.
            let has_none = words.get(1..3) == Some(&[0, 0]);
            words.len() == 4 && is_ring && (has_entries || has_none)
        }
        Some(Kind::Scheme) => {
            let is_for_ring = high == 0 && ring <= 1 << 16;
            let is_known = scheme::WORDS.iter().any(|it| it.0 == word(words, 1));
            words.len() == 4 && is_for_ring && is_known
        }
        _ => false,
    }
}

/// Whether a record's kind could have these words. Strict for what names others, whose words are kept.
pub(super) fn could_be(header: Header, words: &[u64]) -> bool {
    let count = words.len() as u64;
    let (_, high) = halves(word(words, 0));
    match header.kind() {
        Some(Kind::String) => u64::from(high) <= count.saturating_sub(1) * 8,
        Some(Kind::Site) => {
            let (_, column) = halves(word(words, 1));
            count == 2 && column < 1 << 16
        }
        Some(Kind::Type) => {
            let (size, align) = (word(words, 1), word(words, 2));
            let aligned = align == 0 || (align.is_power_of_two() && align < SIZE_END);
            count == 3 && size < SIZE_END && aligned
        }
        Some(Kind::Stack) => count == 1 + u64::from(high),
        Some(Kind::Module) => {
            let bytes = word(words, 4);
            let sizes = [word(words, 2), word(words, 3)];
            bytes <= BUILD_ID_MAX
                && count == 5 + bytes.div_ceil(8)
                && sizes.iter().all(|size| *size < SIZE_END)
        }
        Some(Kind::Schema) => {
            let mut fields = words.iter().skip(1);
            fields.all(|it| Field::unpack(*it).is_some())
        }
        _ => true,
    }
}

/// Whether so many bytes of a word that stand together are printable: no number, place or pointer that was
/// recorded looks like that.
pub(super) fn is_text(word: u64, bytes: usize) -> bool {
    let mut run = 0;
    for byte in word.to_le_bytes() {
        let is_printable = byte == b' ' || byte.is_ascii_graphic();
        run = if is_printable { run + 1 } else { 0 };
        if run >= bytes {
            return true;
        }
    }
    false
}

/// Whether a path without a folder is the name of a source or of a library, and no other text.
pub(super) fn is_source(path: &[u8]) -> bool {
    const ENDS: [&[u8]; 12] = [
        b".rs", b".c", b".h", b".cc", b".hh", b".cpp", b".hpp", b".cxx", b".hxx", b".inc", b".S",
        b".so",
    ];
    ENDS.iter().any(|end| path.ends_with(end))
        || path.windows(4).any(|part| part == b".so.")
        || path.first() == Some(&b'<') && path.last() == Some(&b'>')
}

/// Whether this build calls a kind or a field so too.
pub(super) fn is_in_schemas(name: &[u8]) -> bool {
    Kind::ALL.iter().any(|kind| {
        kind.name().as_bytes() == name
            || schema::fields(*kind)
                .iter()
                .any(|field| field.name.as_bytes() == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::payload::pair;

    #[test]
    fn texts_are_no_numbers_and_numbers_are_no_texts() {
        let word = |text: &[u8; 8]| u64::from_le_bytes(*text);
        assert!(is_text(word(b"secret-m"), 7));
        assert!(is_text(word(b"\0\0hello\0"), 5));
        assert!(!is_text(word(b"\0\0hell\0o"), 5));
        for number in [0, 0x7f12_3456_7890, u64::MAX, pair(500, 70), 1 << 40] {
            assert!(!is_text(number, 5), "{number:#x}");
        }
    }

    #[test]
    fn a_text_is_no_type_no_module_and_no_stack() {
        let text = u64::from_le_bytes(*b"secret-m");
        let words = [pair(11, 11), text, text, text, text, text];
        for kind in [
            Kind::Site,
            Kind::Type,
            Kind::Stack,
            Kind::Module,
            Kind::Schema,
        ] {
            for count in 2..=words.len() {
                let header = Header::committed(kind, 0, 0, 0, 0);
                let is_doubtful = could_be(header, &words[..count]);
                assert!(!is_doubtful, "{kind:?} of {count} words");
            }
        }
        assert!(is_source(b"conn.rs") && is_source(b"libc.so.6") && is_source(b"<anon>"));
        assert!(!is_source(b"secret") && is_in_schemas(b"cookie") && !is_in_schemas(b"secret"));
    }
}
