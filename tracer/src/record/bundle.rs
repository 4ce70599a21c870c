//! Writes the parts of a bundle: a header of 16 bytes, then sections, each under a CRC-32C and padded
//! to a multiple of 8.

use std::io::{self, Write};

use wire::crc::crc32c;
use wire::layout;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Section {
    /// The file of one process.
    Process = 1,
    /// How a process ended: process id, start time, how, value, core.
    End = 2,
    /// The command line, its words separated by NUL.
    Command = 3,
    /// `key=value` lines.
    Info = 4,
}

/// The bundle's first 16 bytes.
pub(crate) fn header(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&layout::BUNDLE_MAGIC)?;
    out.write_all(&1u16.to_le_bytes())?;
    out.write_all(&0u16.to_le_bytes())?;
    out.write_all(&0u32.to_le_bytes())
}

/// One section, stored as it is.
pub(crate) fn section(out: &mut impl Write, kind: Section, bytes: &[u8]) -> io::Result<()> {
    let length = (bytes.len() as u64).to_le_bytes();
    out.write_all(&(kind as u32).to_le_bytes())?;
    out.write_all(&0u32.to_le_bytes())?;
    out.write_all(&length)?;
    out.write_all(&length)?;
    out.write_all(&crc32c(bytes).to_le_bytes())?;
    out.write_all(&0u32.to_le_bytes())?;
    out.write_all(bytes)?;
    let padding = bytes.len().next_multiple_of(8) - bytes.len();
    out.write_all(&[0; 8][..padding])
}
