//! Numbers for what events refer to: places in the source, types, texts.
//!
//! The record that explains a number is committed before the number is published, so that no event
//! can refer to something that is not in the file. Two threads that meet the same place at once may
//! number it twice; the reader does not mind. No lock, no allocation.

use core::panic::Location;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use wire::layout::RECORD_MAX_WORDS;
use wire::payload::pair;
use wire::record::Kind;

use crate::recorder::process::{self, Process};
use crate::recorder::{cursor, sys};

const SLOTS: usize = if cfg!(miri) { 256 } else { 8192 };
/// How far from its first slot an entry may lie.
const REACH: usize = 64;

/// A table from addresses to numbers. In memory that is wiped in a forked child, which then numbers
/// everything anew in its own file.
#[repr(C)]
pub(crate) struct Table {
    origins: Origins,
    entries: [Entry; SLOTS],
    stacks: [Entry; SLOTS],
    sites: AtomicU32,
    types: AtomicU32,
    texts: AtomicU32,
    stack_numbers: AtomicU32,
}

#[repr(C)]
struct Entry {
    /// 0 while free.
    key: AtomicU64,
    /// 0 until the record that explains it is committed.
    id: AtomicU64,
}

/// Places with types, and places alone.
#[repr(transparent)]
pub(crate) struct Origins([Origin; SLOTS]);

/// A place and a type, or a place alone: what every pointer's and every submission's record refers to.
#[repr(C)]
struct Origin {
    /// Address of the place; 0 while free, [`TAKEN`] while it is being written; stored last.
    place: AtomicU64,
    /// The type: see [`OriginKey`].
    ty: AtomicU64,
    /// Number of the place, and of the type in the high half.
    numbers: AtomicU64,
}

/// No address of a place.
const TAKEN: u64 = 1;

/// A place and a type, by their addresses, and no two of them by the same.
#[derive(Clone, Copy)]
pub(crate) struct OriginKey {
    place: u64,
    /// Address of the type's name, and its size in the bits that no address of a program has: names of
    /// equal text may share an address. 0 for none.
    ty: u64,
}

impl OriginKey {
    #[inline(always)]
    fn of_place(location: &'static Location<'static>) -> Self {
        Self {
            place: core::ptr::from_ref(location) as u64,
            ty: 0,
        }
    }

    #[inline(always)]
    fn typed(location: &'static Location<'static>, name: &'static str, size: usize) -> Self {
        Self {
            place: core::ptr::from_ref(location) as u64,
            ty: name.as_ptr() as u64 ^ (size as u64) << 48,
        }
    }

    /// Of a place of another language, which knows its type.
    #[cfg(feature = "c")]
    #[inline(always)]
    pub(super) fn of_address(address: u64) -> Self {
        Self {
            place: address,
            ty: 0,
        }
    }

    /// The slot that it lies in, or in one of the next ones.
    #[inline(always)]
    fn slot(self) -> usize {
        // The high bits of a product by 2^64 over the golden ratio (Knuth's multiplicative hashing).
        const BITS: u32 = SLOTS.trailing_zeros();
        let both = self.place ^ self.ty.rotate_left(32);
        (both.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - BITS)) as usize
    }
}

/// What a key stands for; the same address can be a place and a text.
#[derive(Clone, Copy)]
pub(super) enum Space {
    Site = 1,
    Type = 2,
    Text = 3,
    Stack = 5,
}

/// A type: its name, size and alignment. The name is asked for once: in another place the compiler may
/// answer with another copy of it.
pub(crate) type Named = (&'static str, usize, usize);

/// Records an event that happened at a place in the source, and is about a value of a type: `payload` puts
/// `site | type << 32` into it. Its caller asked `recording` before.
#[inline(always)]
pub(crate) fn record_typed<const N: usize>(
    kind: Kind,
    flags: u8,
    aux: u8,
    ty: Named,
    location: &'static Location<'static>,
    payload: impl Fn(u64) -> [u64; N],
) {
    let (name, size, _) = ty;
    let key = OriginKey::typed(location, name, size);
    if !cursor::try_record(kind, flags, aux, Some(key), &payload) {
        record_from(kind, flags, aux, key, location, Some(ty), payload);
    }
}

/// Records an event that happened at a place in the source, whose number `payload` puts into it. Its
/// caller asked `recording` before.
#[inline(always)]
pub(crate) fn record_at<const N: usize>(
    kind: Kind,
    aux: u8,
    location: &'static Location<'static>,
    payload: impl Fn(u64) -> [u64; N],
) {
    let key = OriginKey::of_place(location);
    if !cursor::try_record(kind, 0, aux, Some(key), &payload) {
        record_from(kind, 0, aux, key, location, None, payload);
    }
}

/// What [`cursor::try_record`] could not do at once.
#[cold]
#[inline(never)]
fn record_from<const N: usize>(
    kind: Kind,
    flags: u8,
    aux: u8,
    key: OriginKey,
    location: &'static Location<'static>,
    ty: Option<Named>,
    payload: impl Fn(u64) -> [u64; N],
) {
    if cursor::next_batch() && cursor::try_record(kind, flags, aux, Some(key), &payload) {
        return;
    }
    let origin = loop {
        let Some(process) = sys::keep_errno(process::current) else {
            break 0;
        };
        let number = || new_origin(process, key, location, ty);
        let origin = process.table.seek(key).unwrap_or_else(number);
        // In a child that a signal handler forked meanwhile these numbers are its parent's, and mean nothing.
        let now = sys::keep_errno(process::current);
        if now.is_none_or(|now| core::ptr::eq(now, process)) {
            break origin;
        }
    };
    cursor::record(kind, flags, aux, payload(origin));
}

/// Numbers a place and a type, and has both be found at once from now on.
fn new_origin(
    process: &Process,
    key: OriginKey,
    location: &'static Location<'static>,
    ty: Option<Named>,
) -> u64 {
    let ty = ty.map_or(0, |(name, size, align)| named_type(name, size, align));
    let origin = pair(site(location), ty);
    process.table.keep(key, origin);
    origin
}

/// Number of a place in the source, 0 where it could not be recorded.
pub(crate) fn site(location: &'static Location<'static>) -> u32 {
    let key = site_key(location);
    known(key).unwrap_or_else(|| new_site(key, location))
}

/// Number of a type, 0 where it could not be recorded.
#[inline]
pub(crate) fn type_of<T>() -> u32 {
    named_type(core::any::type_name::<T>(), size_of::<T>(), align_of::<T>())
}

/// Number of a type, or of something that is named like one.
#[inline]
pub(crate) fn named_type(name: &'static str, size: usize, align: usize) -> u32 {
    let key = name_key(name, size);
    known(key).unwrap_or_else(|| new_type(key, name, size, align))
}

/// Number of a text, 0 where it could not be recorded.
pub(crate) fn text(text: &str) -> u32 {
    number_text(text.as_bytes())
}

/// As [`text`], for bytes of any encoding.
pub(super) fn number_text(text: &[u8]) -> u32 {
    in_recording(|process| process.table.text(process, text))
}

#[inline(always)]
fn site_key(location: &'static Location<'static>) -> u64 {
    mix(core::ptr::from_ref(location) as u64, Space::Site)
}

/// Names of equal text may share an address; the size tells most of those types apart.
#[inline(always)]
fn name_key(name: &'static str, size: usize) -> u64 {
    let address = (name.as_ptr() as u64) ^ ((name.len() as u64) << 52) ^ ((size as u64) << 40);
    mix(address, Space::Type)
}

/// The number under a key that was met before.
#[inline(always)]
pub(super) fn known(key: u64) -> Option<u32> {
    cursor::at_hand()?.table.met(key).map(|id| id as u32)
}

#[cold]
#[inline(never)]
fn new_site(key: u64, location: &'static Location<'static>) -> u32 {
    number_site(
        key,
        location.file().as_bytes(),
        location.line(),
        location.column(),
    )
}

/// Number of a place that is not in the table yet.
pub(super) fn number_site(key: u64, file: &[u8], line: u32, column: u32) -> u32 {
    in_recording(|process| {
        let table = &process.table;
        table.number(key, || {
            let file = table.text(process, file);
            let id = next(&table.sites);
            let words = [pair(id, line), pair(file, column)];
            if process.write_name(Kind::Site, &words) {
                id
            } else {
                0
            }
        })
    })
}

#[cold]
#[inline(never)]
fn new_type(key: u64, name: &'static str, size: usize, align: usize) -> u32 {
    number_type(key, name.as_bytes(), size, align)
}

/// Number of a type that is not in the table yet.
pub(super) fn number_type(key: u64, name: &[u8], size: usize, align: usize) -> u32 {
    in_recording(|process| {
        let table = &process.table;
        table.number(key, || {
            let name = table.text(process, name);
            let id = next(&table.types);
            let words = [pair(id, name), size as u64, align as u64];
            if process.write_name(Kind::Type, &words) {
                id
            } else {
                0
            }
        })
    })
}

/// Runs `body` with the recording, which is opened now where nobody did so yet; 0 where there is none.
fn in_recording(body: impl FnOnce(&'static Process) -> u32) -> u32 {
    sys::keep_errno(|| process::current().map_or(0, body))
}

fn next(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// Spreads a key over the table; never 0, which means free.
#[inline(always)]
pub(super) fn mix(address: u64, space: Space) -> u64 {
    // The multiplier is 2^64 divided by the golden ratio (Knuth's multiplicative hashing).
    let spread = (address ^ (space as u64) << 61).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread ^ (spread >> 29)) | 1
}

impl Origin {
    /// Its numbers, where it is that of a key. Acquire pairs with the Release in `keep`: who sees the place
    /// also sees the rest, and could see the records that explain the numbers.
    #[inline(always)]
    fn numbers_of(&self, key: OriginKey) -> Option<u64> {
        let is_there = self.place.load(Ordering::Acquire) == key.place
            && self.ty.load(Ordering::Relaxed) == key.ty;
        is_there.then(|| self.numbers.load(Ordering::Relaxed))
    }
}

impl Origins {
    /// Numbers of a place and a type, where the key's first slot holds them: others are found by
    /// [`Table::seek`].
    #[inline(always)]
    pub(crate) fn find(&self, key: OriginKey) -> Option<u64> {
        let origin = self.0.get(key.slot())?;
        origin.numbers_of(key)
    }
}

impl Table {
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    pub(super) fn seek(&self, key: OriginKey) -> Option<u64> {
        self.origins_from(key)
            .find_map(|origin| origin.numbers_of(key))
    }

    /// Puts numbers where they are found again, if there is room.
    pub(super) fn keep(&self, key: OriginKey, numbers: u64) {
        for origin in self.origins_from(key) {
            let free =
                origin
                    .place
                    .compare_exchange(0, TAKEN, Ordering::Relaxed, Ordering::Relaxed);
            if free.is_ok() {
                origin.ty.store(key.ty, Ordering::Relaxed);
                origin.numbers.store(numbers, Ordering::Relaxed);
                origin.place.store(key.place, Ordering::Release);
                return;
            }
        }
    }

    /// The slots that a key may lie in.
    fn origins_from(&self, key: OriginKey) -> impl Iterator<Item = &Origin> {
        let slots = (0..REACH).map(move |step| key.slot().wrapping_add(step) & (SLOTS - 1));
        slots.filter_map(|slot| self.origins.0.get(slot))
    }

    /// The number under a key, where its first slot holds it: others are found by `lookup`.
    #[inline(always)]
    fn met(&self, key: u64) -> Option<u64> {
        let entry = self.entries.get((key >> 16) as usize & (SLOTS - 1))?;
        if entry.key.load(Ordering::Relaxed) != key {
            return None;
        }
        // Acquire as in `lookup`.
        match entry.id.load(Ordering::Acquire) {
            0 => None,
            id => Some(id),
        }
    }

    /// As [`Table::lookup`], for entries that are one number. 0 where there is no room for the record that
    /// explains it; that is kept too, so that it is counted once.
    fn number(&self, key: u64, make: impl FnOnce() -> u32) -> u32 {
        self.lookup(key, || kept(make())) as u32
    }

    /// What stands under a key; `make` writes the record and returns the number for a new one.
    fn lookup(&self, key: u64, make: impl FnOnce() -> u64) -> u64 {
        lookup(&self.entries, key, make)
    }

    /// Key of a call stack, by its words.
    pub(crate) fn stack_key(&self, words: &[u64]) -> u64 {
        // A round of multiplying and folding for each word. Two different stacks share a number once
        // in 2^32 stacks or so.
        let hash = words.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, word| {
            let mixed = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed ^ (mixed >> 32)
        });
        mix(hash, Space::Stack)
    }

    /// Number of a call stack; `write` says whether the record that explains it is in the file.
    pub(crate) fn stack(&self, key: u64, write: impl FnOnce(u32) -> bool) -> Option<u32> {
        let id = lookup(&self.stacks, key, || {
            let id = next(&self.stack_numbers);
            kept(if write(id) { id } else { 0 })
        });
        (id as u32 != 0).then_some(id as u32)
    }

    /// Number of a text, by its bytes; long texts are cut at what one record holds.
    pub(crate) fn text(&self, process: &Process, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let longest = (RECORD_MAX_WORDS - 2) * 8;
        let text = text.get(..text.len().min(longest)).unwrap_or(&[]);
        // FNV-1a, 64 bits: two different texts share a number once in 2^32 texts or so.
        let hash = text.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
        self.number(mix(hash, Space::Text), || {
            let id = next(&self.texts);
            let mut words = [0u64; RECORD_MAX_WORDS - 1];
            let mut used = 1;
            if let Some(first) = words.first_mut() {
                *first = pair(id, text.len() as u32);
            }
            let mut rest = text;
            for word in words.iter_mut().skip(1) {
                if rest.is_empty() {
                    break;
                }
                let (bytes, more) = rest.split_at_checked(8).unwrap_or((rest, &[]));
                rest = more;
                let mut value = [0u8; 8];
                for (place, byte) in value.iter_mut().zip(bytes) {
                    *place = *byte;
                }
                *word = u64::from_le_bytes(value);
                used += 1;
            }
            let record = words.get(..used).unwrap_or(&[]);
            if process.write_name(Kind::String, record) {
                id
            } else {
                0
            }
        })
    }
}

/// What an entry holds for a number, also for 0, which an entry alone would mean "not yet" by.
fn kept(id: u32) -> u64 {
    match id {
        0 => 1 << 32,
        id => u64::from(id),
    }
}

/// As [`Table::lookup`], in these entries.
fn lookup(entries: &[Entry; SLOTS], key: u64, make: impl FnOnce() -> u64) -> u64 {
    let start = (key >> 16) as usize;
    for step in 0..REACH {
        let Some(entry) = entries.get(start.wrapping_add(step) & (SLOTS - 1)) else {
            continue;
        };
        let mut found = entry.key.load(Ordering::Relaxed);
        if found == 0 {
            match entry
                .key
                .compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => {
                    let id = make();
                    // Release pairs with the Acquire below: who sees the number could also see
                    // the record that explains it.
                    entry.id.store(id, Ordering::Release);
                    return id;
                }
                Err(other) => found = other,
            }
        }
        if found == key {
            return match entry.id.load(Ordering::Acquire) {
                // Another thread, or the code that this signal handler interrupted, is just
                // writing the record: this hit gets a number of its own.
                0 => make(),
                id => id,
            };
        }
    }
    make()
}
