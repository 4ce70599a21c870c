//! Takes out of a process file what may identify a person or a machine: paths, texts of the program,
//! addresses.
//!
//! | what | becomes |
//! |---|---|
//! | absolute paths (of the program, its libraries, its sources) | `~1/conn.rs`: the folder's number and the last part |
//! | names of threads and scopes, marks, owners, names of coroutines | `text-1` |
//! | addresses, and cookies that can be addresses | moved by one secret distance, a multiple of 4 KiB |
//! | kinds of records that this build does not know, records that were never finished, room that is not in use | zeros |
//!
//! What stays, because a verdict cannot be read without it: names of types and functions, relative
//! paths of sources, times, process and thread ids, build-ids, versions, results and lengths of operations.
//!
//! Why addresses are moved and not numbered: equality is not all that rules look at. Distance (does a
//! buffer lie within a block?), order, alignment and tag bits stay as they were; what is hidden is where
//! things lay, which is what address-space randomisation hides. A word that is the lower half of a leaked
//! pointer stays the lower half of the moved one. Not moved: words below 4 GiB, which are indices and
//! small numbers; words with all high bits set; the probe's poison; and cookies of a process that declares
//! indices with generations in the word, unless it leaked that very word.
//!
//! Only what is known to be harmless is copied; everything else is blank. Damage does not make a text
//! harmless: records of names stand in chunks of names only, and what its kind could not have written, or
//! reads like a text where no text belongs, is blank too (`shape`). A file is looked through twice:
//! [`Process::learn`] over all pieces, then [`Process::rewrite`] over all pieces; which pieces, its header
//! says ([`layout_of`]). Nothing grows, so that every record stays where it is.

use rustc_hash::{FxHashMap, FxHashSet};
use wire::crc::crc32c;
use wire::layout::{self, chunk, header};
use wire::payload::{Submit, halves, other, pair, word};
use wire::record::{Header, Kind, Owner, State, WITH_STACK};

use crate::model::opcodes as op;
use crate::scheme;

mod address;
mod shape;
use address::Slide;
use shape::{could_be, could_last, is_source, is_text, stands_in};

/// Replaces the same by the same in all files of one recording.
#[derive(Debug)]
pub struct Redactor {
    slide: Slide,
    folders: FxHashMap<Vec<u8>, usize>,
    texts: FxHashMap<Vec<u8>, usize>,
}

/// What is known of one process file.
#[derive(Debug, Default)]
pub struct Process {
    uses: FxHashMap<u32, Use>,
    /// Whether cookies may be an index with its generation.
    has_index_cookies: bool,
    /// Addresses that were leaked or allocated.
    addresses: FxHashSet<u64>,
    /// The lower halves of those.
    halves: FxHashMap<u32, u64>,
    /// Texts that there are.
    strings: FxHashSet<u32>,
    uuid_low: u64,
}

/// What a text is used for. Of several uses the last one here decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// The name of a kind of records or of a field: kept where this build has it too.
    Schema,
    /// The name of a type.
    Name,
    /// The path of a source or a module.
    Path,
    /// Something that the program or its user said.
    Text,
}

impl Redactor {
    /// `secret` should be random; it is nowhere in what comes out.
    pub fn new(secret: [u8; 16]) -> Self {
        Self {
            slide: Slide::new(secret),
            folders: FxHashMap::default(),
            texts: FxHashMap::default(),
        }
    }

    /// A path without its folders where it is an absolute one. It is never longer than the record that
    /// held it, so that it is the same one everywhere.
    pub fn path(&mut self, path: &[u8]) -> Vec<u8> {
        let room = path.len().next_multiple_of(8);
        let Some(slash) = path.iter().rposition(|byte| *byte == b'/') else {
            return path.to_vec();
        };
        let is_plain =
            path.first() != Some(&b'/') && !path.split(|b| *b == b'/').any(|p| p == b"..");
        if is_plain {
            return path.to_vec();
        }
        let (folder, last) = path.split_at(slash);
        let last = last.get(1..).unwrap_or_default();
        let next = self.folders.len() + 1;
        let number = *self.folders.entry(folder.to_vec()).or_insert(next);
        let mut short = format!("~{number}/").into_bytes();
        short.extend(last);
        if short.len() > room {
            short = last.to_vec();
            short.truncate(room);
        }
        short
    }

    /// A text that somebody chose, as `text-1`.
    pub fn text(&mut self, text: &[u8]) -> Vec<u8> {
        self.text_within(text, usize::MAX)
    }

    fn text_within(&mut self, text: &[u8], room: usize) -> Vec<u8> {
        if text.is_empty() {
            return Vec::new();
        }
        let next = self.texts.len() + 1;
        let number = *self.texts.entry(text.to_vec()).or_insert(next);
        let whole = format!("text-{number}");
        // Eight bytes at least, in which a number of seven digits has room.
        let short = if whole.len() > room {
            format!("t{number}")
        } else {
            whole
        };
        let mut short = short.into_bytes();
        short.truncate(room);
        short
    }
}

/// Where a process file is to be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes before the first chunk.
    pub before: usize,
    /// Bytes of a chunk.
    pub chunk: usize,
}

/// The layout that the header of a process file speaks of; nothing where there is none that a reader
/// would follow.
pub fn layout_of(head: &[u8]) -> Option<Layout> {
    const BEFORE_MAX: usize = 64 << 20;
    let number = |at: usize| {
        let bytes = head.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let found = Layout {
        before: number(header::CHUNK_OFFSET)?,
        chunk: 1usize.checked_shl(u32::try_from(number(header::CHUNK_LOG2)?).ok()?)?,
    };
    let is_usual = (layout::HEADER_BYTES..=BEFORE_MAX).contains(&found.before)
        && found.before.is_multiple_of(8)
        && (1 << 9..=1 << 24).contains(&found.chunk);
    let begins = head.get(..layout::MAGIC.len()) == Some(&layout::MAGIC);
    (begins && is_usual && sum_fits(head)).then_some(found)
}

fn sum_fits(head: &[u8]) -> bool {
    let sum = crc32c(head.get(..header::CRC).unwrap_or_default());
    head.get(header::CRC..header::CRC + 4) == Some(&sum.to_le_bytes()[..])
}

impl Process {
    /// Takes in what comes next of the file: at 0 what lies before the chunks, then chunk by chunk.
    pub fn learn(&mut self, offset: u64, piece: &[u8]) {
        if offset == 0 {
            self.uuid_low = word_at(piece, header::UUID / 8);
            return;
        }
        let words: Vec<u64> = words(piece);
        let has_names = has_names(&words);
        let body = words.get(layout::CHUNK_HEADER_WORDS..).unwrap_or_default();
        let mut at = 0;
        while let Some((header, end)) = next(body, at) {
            let words = body.get(at + 1..end).unwrap_or_default();
            if header.state() == Some(State::Committed) && stands_in(header, words, has_names) {
                self.record(header, words);
            }
            at = end;
        }
    }

    fn record(&mut self, header: Header, words: &[u64]) {
        let words = without_stack(header, words);
        if !could_be(header, words) {
            return;
        }
        let mut used = |id: u32, how: Use| {
            let known = self.uses.entry(id).or_insert(how);
            *known = how.max(*known);
        };
        match header.kind() {
            Some(Kind::String) => {
                self.strings.insert(halves(word(words, 0)).0);
            }
            Some(Kind::Site) => used(halves(word(words, 1)).0, Use::Path),
            Some(Kind::Module) => used(halves(word(words, 0)).1, Use::Path),
            // What is named like a type and has no alignment is a coroutine that the program named.
            Some(Kind::Type) => {
                let is_type = word(words, 2) != 0;
                let how = if is_type { Use::Name } else { Use::Text };
                used(halves(word(words, 0)).1, how);
            }
            Some(Kind::Schema) => {
                used(halves(word(words, 0)).1, Use::Schema);
                for field in words.iter().skip(1) {
                    used(*field as u32, Use::Schema);
                }
            }
            Some(Kind::Thread | Kind::OwnerLabel) => used(halves(word(words, 0)).1, Use::Text),
            Some(Kind::Mark) => used(halves(word(words, 0)).0, Use::Text),
            Some(Kind::ScopeBegin) => used(halves(word(words, 1)).0, Use::Text),
            Some(Kind::Scheme) => {
                let scheme = word(words, 1);
                self.has_index_cookies |=
                    scheme == scheme::INDEX || scheme == scheme::INDEX_GENERATION;
            }
            Some(Kind::Leak | Kind::LeakForever | Kind::Reclaim)
                if Owner::from_u8(header.aux()) != Owner::Index =>
            {
                self.address(word(words, 0));
            }
            // Here the owner stands in the flags.
            Some(Kind::LeakSubmit | Kind::CompleteReclaim)
                if Owner::from_u8(header.flags() & !WITH_STACK) != Owner::Index =>
            {
                self.address(word(words, 0));
            }
            Some(Kind::Alloc) => self.address(word(words, 0)),
            Some(Kind::Realloc) => self.address(word(words, 1)),
            _ => {}
        }
    }

    fn address(&mut self, address: u64) {
        self.addresses.insert(address);
        self.halves.insert(address as u32, address);
    }

    /// Rewrites what comes next of the file, in the pieces that [`Process::learn`] saw.
    pub fn rewrite(&self, redactor: &mut Redactor, offset: u64, piece: &mut [u8]) {
        if offset == 0 {
            rewrite_header(redactor, piece);
            return;
        }
        let mut words = words(piece);
        let head_words = layout::CHUNK_HEADER_WORDS.min(words.len());
        let (head, body) = words.split_at_mut(head_words);
        let gate = word(head, chunk::SEQ);
        if gate == 0 || word(head, chunk::CHECK) != self.uuid_low ^ gate {
            // Free, being recycled, or damaged: nobody reads it.
            body.fill(0);
        } else {
            self.rewrite_body(redactor, body, has_names(head));
        }
        for (place, word) in piece.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        // A file that was cut short may end within a word.
        let rest = piece.len() - piece.len() % 8;
        piece.get_mut(rest..).unwrap_or_default().fill(0);
    }

    fn rewrite_body(&self, redactor: &mut Redactor, body: &mut [u64], has_names: bool) {
        let mut at = 0;
        let mut opcode = 0;
        while let Some((header, end)) = next(body, at) {
            let payload = body.get_mut(at + 1..end).unwrap_or_default();
            // Of a record of names nobody reads the time, and of one that was not finished only the length.
            let kept = match header.state() {
                Some(State::Committed) if !stands_in(header, payload, has_names) => {
                    payload.fill(0);
                    header.0
                        & if has_names {
                            u64::from(u32::MAX)
                        } else {
                            u64::MAX
                        }
                }
                Some(State::Committed) => {
                    self.rewrite_record(redactor, header, payload, &mut opcode, has_names);
                    header.0
                        & if has_names {
                            u64::from(u32::MAX)
                        } else {
                            u64::MAX
                        }
                }
                _ => {
                    payload.fill(0);
                    opcode = 0;
                    header.0 & LENGTH_AND_STATE
                }
            };
            if let Some(word) = body.get_mut(at) {
                *word = kept;
            }
            at = end;
        }
        // What follows is room, or damage. Damage stays visible, without its content.
        let rest = body.get_mut(at..).unwrap_or_default();
        let is_broken = rest.first().is_some_and(|word| *word != 0);
        let is_hole = rest.iter().any(|word| *word != 0);
        rest.fill(0);
        // A header of no words makes no sense, and says nothing.
        let mark = if is_broken {
            rest.first_mut()
        } else {
            rest.last_mut()
        };
        if let (Some(mark), true) = (mark, is_hole) {
            *mark = 1;
        }
    }

    /// A word that stands behind those that are known, because a newer writer put it there, is blank.
    /// `opcode` is that of the submission before it in its chunk.
    fn rewrite_record(
        &self,
        redactor: &mut Redactor,
        header: Header,
        words: &mut [u64],
        opcode: &mut u8,
        has_names: bool,
    ) {
        let has_stack = header.flags() & WITH_STACK != 0;
        let words = match words.split_last_mut() {
            Some((stack, rest)) if has_stack => {
                if u32::try_from(*stack).is_err() {
                    *stack = 0;
                }
                rest
            }
            _ => words,
        };
        if !could_be(header, words) {
            return words.fill(0);
        }
        let was = words.to_vec();
        // Among names the time stands behind what lasts.
        let time = usize::from(has_names && could_last(header, words));
        let known = self.rewrite_known(redactor, header, words, opcode) + time;
        words.get_mut(known..).unwrap_or_default().fill(0);
        if matches!(header.kind(), Some(Kind::String | Kind::Module)) {
            return;
        }
        for (word, was) in words.iter_mut().zip(was) {
            // One that was moved may have been a pointer, which has two bytes that are no letters.
            if is_text(was, if *word == was { 5 } else { 7 }) {
                *word = 0;
            }
        }
    }

    /// Says how many words are known. Every kind is named, so that a new one cannot be forgotten.
    fn rewrite_known(
        &self,
        redactor: &mut Redactor,
        header: Header,
        words: &mut [u64],
        opcode: &mut u8,
    ) -> usize {
        let slide = redactor.slide;
        let (low, high) = halves(word(words, 0));
        let listed = usize::try_from(high)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        let Some(kind) = header.kind() else {
            return 0;
        };
        match kind {
            Kind::String => self.rewrite_text(redactor, words),
            Kind::Leak
            | Kind::Reclaim
            | Kind::Peek
            | Kind::Retain
            | Kind::Release
            | Kind::LeakForever => {
                if Owner::from_u8(header.aux()) != Owner::Index {
                    self.address_at(slide, words, 0);
                }
                2
            }
            Kind::Alloc | Kind::Free | Kind::Unmap | Kind::BorrowBegin | Kind::BorrowEnd => {
                self.address_at(slide, words, 0);
                2
            }
            Kind::BufferInit => {
                self.address_at(slide, words, 0);
                3
            }
            Kind::StackPointer => {
                self.address_at(slide, words, 0);
                self.address_at(slide, words, 1);
                2
            }
            Kind::Realloc => {
                self.address_at(slide, words, 0);
                self.address_at(slide, words, 1);
                3
            }
            Kind::Module => {
                self.address_at(slide, words, 1);
                let bytes = usize::try_from(word(words, 4)).unwrap_or(usize::MAX);
                bytes.div_ceil(8).saturating_add(5)
            }
            Kind::Complete | Kind::CompleteAt | Kind::CompleteOf => {
                self.cookie_at(slide, words, 0);
                3
            }
            Kind::Shared => {
                self.cookie_at(slide, words, 0);
                1
            }
            Kind::Push => {
                self.cookie_at(slide, words, 0);
                2
            }
            Kind::Resume => {
                self.cookie_at(slide, words, 1);
                2
            }
            Kind::CompleteReclaim => {
                self.cookie_at(slide, words, 0);
                4
            }
            Kind::Submit | Kind::LeakSubmit => {
                let submitted = Submit::decode(words).opcode;
                if kind == Kind::Submit {
                    *opcode = submitted;
                }
                self.cookie_at(slide, words, 0);
                self.addresses_at(slide, words, submitted, [4, 6]);
                8
            }
            Kind::SubmitNext => {
                let said = other::WORDS.map(|(flag, _)| header.flags() & flag != 0);
                if said[0] {
                    *opcode = word(words, 1) as u8;
                }
                let [head, addr, lengths, off, _] = said.map(usize::from);
                let place = |is_said: bool, before: usize| match is_said {
                    true => 1 + before,
                    false => usize::MAX,
                };
                let places = [place(said[1], head), place(said[3], head + addr + lengths)];
                self.cookie_at(slide, words, 0);
                self.addresses_at(slide, words, *opcode, places);
                1 + head + addr + lengths + off + usize::from(said[4])
            }
            Kind::Suspend => {
                for index in 1..words.len().min(listed) {
                    self.cookie_at(slide, words, index);
                }
                listed
            }
            Kind::Scheme => {
                if word(words, 1) == scheme::SENTINEL {
                    self.cookie_at(slide, words, 2);
                }
                3
            }
            Kind::Stack => listed,
            Kind::Schema => words.len(),
            Kind::Pad => 0,
            Kind::Mark => {
                // A number of a text, of which the upper half is not used.
                if let Some(word) = words.first_mut() {
                    *word = u64::from(low);
                }
                1
            }
            Kind::Time
            | Kind::Thread
            | Kind::Clock
            | Kind::Fork
            | Kind::RingDrop
            | Kind::Claim
            | Kind::Done
            | Kind::CoroutineDrop
            | Kind::Wake
            | Kind::ScopeEnd
            | Kind::ScopeEnter
            | Kind::OwnerLabel => 1,
            Kind::Lost
            | Kind::Site
            | Kind::Enter
            | Kind::Overflow
            | Kind::Passed
            | Kind::Spawn
            | Kind::ScopeBegin
            | Kind::FdOpen
            | Kind::FdClose
            | Kind::BufferProvide => 2,
            Kind::Type | Kind::RingCreate => 3,
        }
    }

    fn rewrite_text(&self, redactor: &mut Redactor, words: &mut [u64]) -> usize {
        let all = words.len();
        let Some((head, text)) = words.split_first_mut() else {
            return 0;
        };
        let (id, len) = halves(*head);
        let room = text.len() * 8;
        let mut bytes: Vec<u8> = text.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(len as usize);
        // What nobody refers to any more may be anything.
        let new = match self.uses.get(&id).copied().unwrap_or(Use::Text) {
            Use::Name => bytes,
            Use::Schema if shape::is_in_schemas(&bytes) => bytes,
            Use::Path if bytes.contains(&b'/') || is_source(&bytes) => redactor.path(&bytes),
            Use::Schema | Use::Path | Use::Text => redactor.text_within(&bytes, room),
        };
        *head = pair(id, u32::try_from(new.len()).unwrap_or(0));
        text.fill(0);
        for (word, part) in text.iter_mut().zip(new.chunks(8)) {
            let mut padded = [0; 8];
            for (place, byte) in padded.iter_mut().zip(part) {
                *place = *byte;
            }
            *word = u64::from_le_bytes(padded);
        }
        all
    }

    /// The operation's address, and its offset, which for some is a second address; for those that name another operation
    /// they are cookies.
    fn addresses_at(&self, slide: Slide, words: &mut [u64], opcode: u8, places: [usize; 2]) {
        for (index, is_cookie) in places.into_iter().zip(names_others(opcode)) {
            if is_cookie {
                self.cookie_at(slide, words, index);
            } else {
                self.address_at(slide, words, index);
            }
        }
    }

    fn address_at(&self, slide: Slide, words: &mut [u64], index: usize) {
        if let Some(word) = words.get_mut(index) {
            *word = self.moved(slide, *word);
        }
    }

    fn cookie_at(&self, slide: Slide, words: &mut [u64], index: usize) {
        if let Some(word) = words.get_mut(index)
            && (!self.has_index_cookies || self.addresses.contains(word))
        {
            *word = self.moved(slide, *word);
        }
    }

    fn moved(&self, slide: Slide, word: u64) -> u64 {
        match u32::try_from(word) {
            Ok(half) => match self.halves.get(&half) {
                Some(whole) => slide.moved(*whole) & u64::from(u32::MAX),
                None => word,
            },
            Err(_) => slide.moved(word),
        }
    }
}

/// Whether the address and the offset of an operation are cookies: of operations that name others by theirs.
fn names_others(opcode: u8) -> [bool; 2] {
    match opcode {
        op::ASYNC_CANCEL | op::TIMEOUT_REMOVE => [true, false],
        // The offset is a new cookie.
        op::POLL_REMOVE => [true, true],
        _ => [false, false],
    }
}

/// Whether a chunk holds what events refer to, as readers see it.
fn has_names(head: &[u64]) -> bool {
    let (_, kind) = layout::unpack_lane_kind(word(head, chunk::LANE_KIND));
    kind == Some(layout::ChunkKind::Meta)
}

/// Of a header: how long its record is, and how far it came.
const LENGTH_AND_STATE: u64 = 0x3_FF00;

/// The words of a record that its kind speaks of.
fn without_stack(header: Header, words: &[u64]) -> &[u64] {
    match words.split_last() {
        Some((_, rest)) if header.flags() & WITH_STACK != 0 => rest,
        _ => words,
    }
}

/// The executable's path is the one text in the header; its checksum is made anew.
fn rewrite_header(redactor: &mut Redactor, piece: &mut [u8]) {
    const PATH_BYTES: usize = 256;
    let Some(head) = piece.get_mut(..layout::HEADER_BYTES) else {
        return piece.fill(0);
    };
    if let Some(path) = head.get_mut(header::EXE_PATH..header::EXE_PATH + PATH_BYTES) {
        let len = path.iter().position(|byte| *byte == 0);
        let new = redactor.path(path.get(..len.unwrap_or(PATH_BYTES)).unwrap_or(&[]));
        path.fill(0);
        for (place, byte) in path.iter_mut().zip(new) {
            *place = byte;
        }
    }
    let sum = crc32c(head.get(..header::CRC).unwrap_or_default());
    if let Some(place) = head.get_mut(header::CRC..header::CRC + 4) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// The record at a word, and where the next one begins; nothing where there is none that makes sense.
fn next(body: &[u64], at: usize) -> Option<(Header, usize)> {
    let header = Header(*body.get(at)?);
    let end = at.checked_add(header.words())?;
    let is_whole = header.words() > 0 && end <= body.len() && header.state().is_some();
    is_whole.then_some((header, end))
}

fn words(piece: &[u8]) -> Vec<u64> {
    let (words, _) = piece.as_chunks::<8>();
    words
        .iter()
        .map(|bytes| u64::from_le_bytes(*bytes))
        .collect()
}

fn word_at(piece: &[u8], index: usize) -> u64 {
    let (words, _) = piece.as_chunks::<8>();
    words
        .get(index)
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_folder_gets_same_number_and_relative_paths_stay() {
        let mut redactor = Redactor::new([7; 16]);
        assert_eq!(redactor.path(b"/home/alice/app/src/conn.rs"), b"~1/conn.rs");
        assert_eq!(redactor.path(b"/home/alice/lib/mod.rs"), b"~2/mod.rs");
        assert_eq!(redactor.path(b"/home/alice/app/src/main.rs"), b"~1/main.rs");
        assert_eq!(redactor.path(b"src/conn.rs"), b"src/conn.rs");
        assert_eq!(redactor.path(b"../alice/conn.rs"), b"~3/conn.rs");
        assert_eq!(redactor.path(b"conn.rs"), b"conn.rs");
        assert_eq!(redactor.path(b"/longer"), b"longer");
        assert_eq!(redactor.path(b"/app"), b"~4/app");
    }

    #[test]
    fn texts_are_numbered_in_whatever_room_they_had() {
        let mut redactor = Redactor::new([7; 16]);
        assert_eq!(redactor.text_within(b"alice", 8), b"text-1");
        for number in 0..2000 {
            redactor.text_within(format!("{number}").as_bytes(), 8);
        }
        assert_eq!(redactor.text_within(b"alice", 8), b"text-1");
        assert_eq!(redactor.text_within(b"1999", 8), b"t2001");
        assert_eq!(redactor.text_within(b"", 8), b"");
    }

    #[test]
    fn lower_half_of_a_pointer_stays_its_lower_half() {
        let slide = Slide::new([9; 16]);
        let mut process = Process::default();
        process.address(0x7f12_3456_7890);
        let whole = process.moved(slide, 0x7f12_3456_7890);
        assert_ne!(whole, 0x7f12_3456_7890);
        assert_eq!(process.moved(slide, 0x3456_7890), whole & 0xFFFF_FFFF);
        assert_eq!(process.moved(slide, 0x3456_7898), 0x3456_7898);
    }

    #[test]
    fn indices_stay_as_they_are() {
        let redactor = &mut Redactor::new([9; 16]);
        let index = Header::committed(Kind::Scheme, 3, 0, 0, 0);
        let mut process = Process::default();
        process.record(index, &[0, scheme::INDEX_GENERATION, 0]);
        process.address(0x7f12_3456_7890);
        let complete = Header::committed(Kind::Complete, 3, 0, 0, 0);
        let mut words = [0x5_0000_0007, 0];
        process.rewrite_record(redactor, complete, &mut words, &mut 0, false);
        assert_eq!(words[0], 0x5_0000_0007);
        let mut words = [0x7f12_3456_7890, 0];
        process.rewrite_record(redactor, complete, &mut words, &mut 0, false);
        assert_ne!(words[0], 0x7f12_3456_7890);
    }
}
