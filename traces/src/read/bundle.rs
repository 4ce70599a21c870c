//! Bundles: the files of several processes, and what their recorder knows, in one file.
//!
//! ```text
//! header   magic 8 B | major u16 | minor u16 | number of sections u32, 0 for unknown
//! section  kind u32 | encoding u32 | raw length u64 | stored length u64 | CRC-32C u32 | 0 u32
//!          stored bytes, padded with zeros to a multiple of 8
//! ```
//!
//! Encoding 0 is the bytes as they are, under the section's checksum. Encoding 1, for process files only,
//! is what [`ProcessWriter`] writes: blocks with a checksum each. A reader that does not know an encoding
//! says so by its number.
//!
//! The writer stands beside the reader, so that neither can change alone. A section that is damaged,
//! cut off, or of a kind or encoding that this build does not know is reported; the rest is read.

use std::io::{self, Write};
use std::sync::Arc;

use wire::layout::BUNDLE_MAGIC;

use super::blocks::{self, Unpacked};
pub use super::blocks::{MAX_RATIO, PIECE_BYTES, ProcessWriter};
use super::sum::{Sum, crc32c};
use super::{EndRecord, Gathered, Part, ReadError, u16_at, u32_at, u64_at};
use crate::input::{Input, ReadAt, read_full};
use crate::recording::Ended;
use crate::untrusted::Untrusted;
use crate::watch::{Found, Stage, Step};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 16;
/// Bytes in front of each section's own.
pub const SECTION_HEADER_BYTES: usize = 32;
/// A reader refuses another major version.
pub const MAJOR: u16 = 1;
/// A reader accepts any minor version: 1 may hold process files in encoding 1, 2 what makes
/// a file packed.
pub const MINOR: u16 = 2;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Section {
    /// The file of one process, unused chunks cut from its end.
    Process = 1,
    /// Six words: process id, start time, how it ended (1 exited, 2 killed, 3 still running or not
    /// known), exit code or signal, whether a core was dumped, and when that was seen by
    /// `CLOCK_MONOTONIC` in ns (0 or missing: not known).
    End = 2,
    /// The arguments of the recorded command, separated by NUL.
    Command = 3,
    /// What else the recorder knows, as `key=value` lines.
    Info = 4,
    /// Functions of frames: see [`crate::packed`].
    Symbols = 5,
    /// Lines of source: see [`crate::packed`].
    Sources = 6,
}

impl Section {
    /// The kind for its number.
    pub fn from_u32(raw: u32) -> Option<Self> {
        [
            Self::Process,
            Self::End,
            Self::Command,
            Self::Info,
            Self::Symbols,
            Self::Sources,
        ]
        .into_iter()
        .find(|section| *section as u32 == raw)
    }
}

/// Most bytes that are read of a section that is not a process file: a megabyte, and more for what a
/// packed file holds.
const SMALL_MAX: u64 = 1 << 20;
const PACKED_MAX: u64 = 256 << 20;

/// Writes the header of a bundle.
pub fn write_header(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&BUNDLE_MAGIC)?;
    out.write_all(&MAJOR.to_le_bytes())?;
    out.write_all(&MINOR.to_le_bytes())?;
    out.write_all(&[0; 4])
}

/// What stands in front of a section's bytes.
pub(super) fn section_header(
    section: Section,
    encoding: u32,
    raw_length: u64,
    stored_length: u64,
    sum: u32,
) -> Vec<u8> {
    let mut header = (section as u32).to_le_bytes().to_vec();
    header.extend(encoding.to_le_bytes());
    header.extend(raw_length.to_le_bytes());
    header.extend(stored_length.to_le_bytes());
    header.extend(sum.to_le_bytes());
    header.extend(0u32.to_le_bytes());
    header
}

/// Appends a section in encoding 0.
pub fn write_section(out: &mut impl Write, section: Section, bytes: &[u8]) -> io::Result<()> {
    let length = bytes.len() as u64;
    out.write_all(&section_header(section, 0, length, length, crc32c(bytes)))?;
    out.write_all(bytes)?;
    let padding = length.wrapping_neg() % 8;
    out.write_all([0u8; 8].get(..padding as usize).unwrap_or_default())
}

/// The bytes of an [`Section::End`].
pub fn end_record(pid: u32, start_time: u64, ended: Ended, seen_ns: u64) -> Vec<u8> {
    let (how, value, core) = match ended {
        Ended::Exited { code } => (1, code, false),
        Ended::Killed { signal, core } => (2, signal, core),
        Ended::Said | Ended::Aborted | Ended::Replaced | Ended::Unknown => (3, 0, false),
        Ended::Gone => (4, 0, false),
    };
    let words = [
        u64::from(pid),
        start_time,
        how,
        i64::from(value) as u64,
        u64::from(core),
        seen_ns,
    ];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(super) fn read<'a>(
    gathered: &mut Gathered<'a, '_>,
    input: &Input<'a>,
    len: u64,
) -> Result<(), String> {
    let mut header = [0; HEADER_BYTES];
    let broken = |error: io::Error| format!("cannot be read: {error}");
    let got = read_full(input.bytes, 0, &mut header).map_err(broken)?;
    if got < HEADER_BYTES {
        return Err(format!(
            "is cut off within its header, after {got} bytes; nothing in it can be read"
        ));
    }
    let major = u16_at(&header, 8);
    if major != MAJOR {
        return Err(format!(
            "is a bundle of version {major}; this tracer reads version {MAJOR}. A tracer of the \
             version that wrote it is needed"
        ));
    }
    let mut at = HEADER_BYTES as u64;
    while at < len {
        let mut head = [0; SECTION_HEADER_BYTES];
        let got = read_full(input.bytes, at, &mut head).map_err(broken)?;
        if got < SECTION_HEADER_BYTES {
            gathered
                .recording
                .problem(input.name, at, "the bundle ends within a section's header");
            break;
        }
        let stored = u64_at(&head, 16);
        let body = at.saturating_add(SECTION_HEADER_BYTES as u64);
        let left = len.saturating_sub(body);
        let part = Part {
            bytes: input.bytes,
            from: body,
            len: stored.min(left),
        };
        let is_packed = matches!(
            Section::from_u32(u32_at(&head, 0)),
            Some(Section::Symbols | Section::Sources)
        );
        gathered.recording.is_packed |= is_packed;
        let mut is_whole = true;
        if stored > left {
            is_whole = false;
            let message = format!(
                "a section of {stored} bytes is cut off after {left}; what is there is read"
            );
            gathered.recording.problem(input.name, at, message);
        } else if u32_at(&head, 4) != blocks::ENCODING
            && !sum_fits(&part, u32_at(&head, 24)).map_err(broken)?
        {
            is_whole = false;
            if is_packed {
                let message = "what was packed is damaged (its checksum does not fit); names or \
                               lines of source are left out";
                gathered.recording.note(input.name, at, message);
            } else {
                let message =
                    "a section is damaged (its checksum does not fit); what can be read is read";
                gathered.recording.problem(input.name, at, message);
            }
        }
        if is_whole || !is_packed {
            section(gathered, input.name, at, &head, part).map_err(broken)?;
        }
        let padded = stored.checked_next_multiple_of(8);
        let Some(next) = padded.and_then(|padded| body.checked_add(padded)) else {
            break;
        };
        at = next;
    }
    Ok(())
}

/// Reads one process file; one that was never begun is a note, any other failure a problem.
fn process<'a>(
    gathered: &mut Gathered<'a, '_>,
    name: &'a str,
    bytes: Arc<dyn ReadAt + 'a>,
    is_packed: bool,
    from: u64,
    len: u64,
) {
    match super::file::read(gathered, name, Arc::clone(&bytes), is_packed, from, len) {
        Ok(()) => {}
        Err(_) if super::is_unborn(&*bytes) => gathered.unborn.push((name.to_owned(), from)),
        Err(message) => gathered.recording.problem(name, from, message),
    }
}

fn section<'a>(
    gathered: &mut Gathered<'a, '_>,
    name: &'a str,
    at: u64,
    head: &[u8],
    part: Part<'a>,
) -> io::Result<()> {
    let (kind, encoding) = (u32_at(head, 0), u32_at(head, 4));
    let is_process = kind == Section::Process as u32;
    if encoding != 0 && !(is_process && encoding == blocks::ENCODING) {
        let message = format!(
            "a section in encoding {encoding}, which this tracer does not know; a tracer of the \
             version that wrote it is needed"
        );
        if is_process {
            gathered.unknown_encoding.get_or_insert(ReadError {
                source_name: name.to_owned(),
                message: format!("holds {message}"),
            });
        }
        gathered.recording.problem(name, at, message);
        return Ok(());
    }
    match kind {
        1 if encoding == blocks::ENCODING => {
            let recording = &mut gathered.recording;
            // A section that is cut off has been reported.
            let mut is_told = part.len < u64_at(head, 16);
            let from = part.from;
            let (watch, total) = (gathered.company.watch, part.bytes.len()?);
            let damaged = |at, message| {
                is_told = true;
                recording.problem(name, from.saturating_add(at), message);
            };
            let far = |at| {
                watch(Step {
                    stage: Stage::Summing,
                    done: from.saturating_add(at),
                    total,
                    found: Found::default(),
                });
            };
            let unpacked = Unpacked::read(part, damaged, far)?;
            let len = unpacked.len()?;
            let wanted = u64_at(head, 8);
            if len < wanted && !is_told {
                let message = format!(
                    "a process file of {wanted} bytes ends after {len}: it was cut off before it \
                     was put in here"
                );
                recording.problem(name, at, message);
            }
            process(gathered, name, Arc::new(unpacked), true, from, len);
        }
        1 => {
            let (from, len) = (part.from, part.len);
            process(gathered, name, Arc::new(part), false, from, len);
        }
        2 => {
            let bytes = small(&part, SMALL_MAX)?;
            let value = u64_at(&bytes, 24) as i32;
            let ended = match u64_at(&bytes, 16) {
                1 => Ended::Exited { code: value },
                2 => Ended::Killed {
                    signal: value,
                    core: u64_at(&bytes, 32) != 0,
                },
                4 => Ended::Gone,
                _ => Ended::Unknown,
            };
            let pid = u64_at(&bytes, 0) as u32;
            gathered.ends.push(EndRecord {
                pid,
                start_time: u64_at(&bytes, 8),
                ended,
                seen_ns: i64::try_from(u64_at(&bytes, 40)).ok().filter(|at| *at > 0),
            });
        }
        3 => {
            let bytes = small(&part, SMALL_MAX)?;
            let words = bytes.split(|byte| *byte == 0);
            gathered.recording.command = words.map(Untrusted::new).collect();
        }
        4 => {
            for line in small(&part, SMALL_MAX)?.split(|byte| *byte == b'\n') {
                if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
                    let (key, value) = line.split_at(equals);
                    let value = value.get(1..).unwrap_or_default();
                    if key == crate::packed::DAMAGED.as_bytes() {
                        let place = std::str::from_utf8(value).ok();
                        let place: u64 = place.and_then(|it| it.parse().ok()).unwrap_or(0);
                        let message = format!(
                            "the file that this one was redacted from was damaged at byte {place}; \
                             what could be read of it is in here"
                        );
                        gathered.recording.problem(name, at, message);
                    }
                    gathered
                        .recording
                        .recorder
                        .push((Untrusted::new(key), Untrusted::new(value)));
                }
            }
            gathered.recording.is_packed |=
                gathered.recording.said(crate::packed::PACKED).is_some();
        }
        5 => {
            let bytes = small(&part, PACKED_MAX)?;
            let packed = gathered.recording.packed.get_or_insert_default();
            packed.read_symbols(&bytes);
        }
        6 => {
            let bytes = small(&part, PACKED_MAX)?;
            let packed = gathered.recording.packed.get_or_insert_default();
            packed.read_sources(&bytes);
        }
        _ => {
            let message = format!("a section of kind {kind}, which this tracer does not know");
            gathered.recording.note(name, at, message);
        }
    }
    Ok(())
}

/// The bytes of a section that is not a process file: at most so many, and never more than are there.
fn small(part: &Part<'_>, most: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(part.len.min(most)).unwrap_or(0);
    let mut bytes = vec![0; len];
    let got = read_full(part, 0, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// Hands the sections of a bundle on, in order, as far as they are there: each as its kind
/// and its bytes. For whoever writes
/// another bundle from this one.
pub fn each_section<E: From<io::Error>>(
    bundle: &dyn ReadAt,
    mut each: impl FnMut(Section, SectionBytes<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let len = bundle.len()?;
    let mut at = HEADER_BYTES as u64;
    let mut head = [0; SECTION_HEADER_BYTES];
    while read_full(bundle, at, &mut head)? == SECTION_HEADER_BYTES {
        let body = at.saturating_add(SECTION_HEADER_BYTES as u64);
        let stored = u64_at(&head, 16);
        let left = len.saturating_sub(body);
        if let Some(section) = Section::from_u32(u32_at(&head, 0)) {
            let bytes = SectionBytes {
                head,
                content: Part {
                    bytes: bundle,
                    from: body,
                    len: stored.min(left),
                },
                stored,
                is_packed: u32_at(&head, 4) == blocks::ENCODING,
            };
            each(section, bytes)?;
        }
        let padded = stored.checked_next_multiple_of(8);
        let Some(next) = padded.and_then(|padded| body.checked_add(padded)) else {
            break;
        };
        at = next;
    }
    Ok(())
}

/// A section of a bundle as it lies there.
pub struct SectionBytes<'a> {
    head: [u8; SECTION_HEADER_BYTES],
    /// What is there of it.
    content: Part<'a>,
    /// What should be.
    stored: u64,
    is_packed: bool,
}

impl SectionBytes<'_> {
    /// Whether the bundle ends before the section does.
    pub fn is_cut(&self) -> bool {
        self.content.len < self.stored
    }

    /// Copies it as it is. Of one that is cut off, what is there: its lengths and checksums still tell a reader.
    pub fn copy(&self, out: &mut impl Write) -> io::Result<()> {
        let mut head = self.head;
        if let Some(stored) = head.get_mut(16..24) {
            stored.copy_from_slice(&self.content.len.to_le_bytes());
        }
        out.write_all(&head)?;
        let mut buffer = vec![0; 1 << 16];
        let mut at = 0;
        loop {
            let got = read_full(&self.content, at, &mut buffer)?;
            if got == 0 {
                break;
            }
            out.write_all(buffer.get(..got).unwrap_or_default())?;
            at = at.saturating_add(got as u64);
        }
        let padding = at.wrapping_neg() % 8;
        out.write_all([0u8; 8].get(..padding as usize).unwrap_or_default())
    }

    /// Where in the bundle a reader would find it damaged.
    pub fn damage(&self) -> io::Result<Vec<u64>> {
        let Part { bytes, from, len } = self.content;
        let content = Part { bytes, from, len };
        let mut places = Vec::new();
        if self.is_packed {
            let mut damaged = |at: u64| places.push(from.saturating_add(at));
            let unpacked = Unpacked::read(content, |at, _| damaged(at), |_| {})?;
            if unpacked.len()? < u64_at(&self.head, 8) && places.is_empty() {
                places.push(from.saturating_add(len));
            }
        } else if !sum_fits(&content, u32_at(&self.head, 24))? {
            places.push(from);
        }
        Ok(places)
    }

    /// What it holds, unpacked as far as it is in order.
    pub fn content(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        let Part { bytes, from, len } = self.content;
        let content = Part { bytes, from, len };
        if self.is_packed {
            return Ok(Box::new(Unpacked::read(content, |_, _| {}, |_| {})?));
        }
        Ok(Box::new(content))
    }
}

fn sum_fits(part: &Part<'_>, wanted: u32) -> io::Result<bool> {
    // Sections may be large.
    let mut sum = Sum::default();
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        let got = read_full(part, at, &mut buffer)?;
        if got == 0 {
            return Ok(sum.value() == wanted);
        }
        sum.feed(buffer.get(..got).unwrap_or_default());
        at = at.saturating_add(got as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_padded_and_summed() {
        let mut out = Vec::new();
        write_header(&mut out).unwrap();
        write_section(&mut out, Section::Command, b"a\0b").unwrap();
        assert_eq!(out.len(), HEADER_BYTES + SECTION_HEADER_BYTES + 8);
        assert_eq!(u32_at(&out, HEADER_BYTES + 24), crc32c(b"a\0b"));
    }
}
