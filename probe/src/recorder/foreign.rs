//! Numbers for places and types of other languages: see [`crate::foreign`].

use wire::payload::{halves, pair};
use wire::record::Kind;

use crate::foreign::{AsPlace, Description};
use crate::recorder::cursor;
use crate::recorder::intern::{
    OriginKey, Space, known, mix, number_site, number_text, number_type,
};
use crate::recorder::sys;

/// Number of a place, 0 where it could not be recorded.
pub(crate) fn site(place: &impl AsPlace) -> u32 {
    let key = mix(place.address(), Space::Site);
    known(key).unwrap_or_else(|| {
        let described = place.description();
        number_site(key, described.file, described.line, 0)
    })
}

/// Number of a text of any encoding, 0 where it could not be recorded.
pub(crate) fn text(text: &[u8]) -> u32 {
    number_text(text)
}

/// Numbers of a place and of its type, 0 where they could not be recorded or there is none.
pub(crate) fn site_and_type(place: &impl AsPlace) -> (u32, u32) {
    let key = OriginKey::of_address(place.address());
    let process = cursor::at_hand();
    if let Some(origin) = process.and_then(|process| process.table.seek(key)) {
        return halves(origin);
    }
    let described = place.description();
    let origin = (site(place), type_number(&described));
    if let Some(process) = process {
        // From now on both are found at once.
        process.table.keep(key, pair(origin.0, origin.1));
    }
    origin
}

/// Records an event that happened at a place, and is about its type: `[word, site | type << 32]`.
#[inline(always)]
pub(crate) fn record(kind: Kind, aux: u8, word: u64, place: &impl AsPlace) {
    let key = OriginKey::of_address(place.address());
    if !cursor::try_record(kind, 0, aux, Some(key), |origin| [word, origin]) {
        record_slowly(kind, aux, word, place);
    }
}

#[cold]
#[inline(never)]
fn record_slowly(kind: Kind, aux: u8, word: u64, place: &impl AsPlace) {
    let (site, ty) = site_and_type(place);
    cursor::record(kind, 0, aux, [word, pair(site, ty)]);
}

/// Types of other languages have no address of their own: they are known by name and size.
fn type_number(described: &Description<'_>) -> u32 {
    let Description {
        type_name,
        size,
        align,
        ..
    } = *described;
    if type_name.is_empty() {
        return 0;
    }
    // FNV-1a, 64 bits, as for texts.
    let hash = type_name
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
    let key = mix(hash ^ (size as u64).rotate_left(40), Space::Type);
    known(key).unwrap_or_else(|| number_type(key, type_name, size, align))
}

/// One line on stderr; errno stays.
pub(crate) fn complain(parts: &[&[u8]]) {
    sys::keep_errno(|| sys::complain(parts));
}
