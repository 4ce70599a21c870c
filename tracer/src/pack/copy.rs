//! Copies what is in a trace into a bundle: as it is, or redacted.

use std::io::{self, Seek, Write};
use std::path::Path;

use anyhow::{Result, bail};
use traces::ReadAt;
use traces::read::bundle::{self, ProcessWriter, Section, SectionBytes};
use traces::redact::{self, Layout, Process, Redactor};
use traces::run;
use wire::layout;

use crate::open;
use crate::record::process_file;

/// What the recorder says that tells nothing of whose machine it is.
const HARMLESS: [&str; 13] = [
    "recorder_version",
    "ticks_per_second",
    "clock",
    "chunks",
    "mode",
    "poison",
    "stacks",
    "time",
    run::BY,
    run::WHAT,
    run::ATTEMPT,
    traces::packed::PACKED,
    traces::packed::REDACTED,
];

/// Copies the sections of a bundle, or the one process of a process file.
pub(super) fn input(
    out: &mut (impl Write + Seek),
    bytes: &dyn ReadAt,
    redactor: Option<&mut Redactor>,
) -> Result<()> {
    let mut magic = [0; 8];
    bytes.read_at(0, &mut magic)?;
    if magic == layout::BUNDLE_MAGIC {
        sections(out, bytes, redactor)
    } else {
        process(out, redactor, Copied::Bytes(bytes))
    }
}

fn sections(
    out: &mut (impl Write + Seek),
    bytes: &dyn ReadAt,
    mut redactor: Option<&mut Redactor>,
) -> Result<()> {
    bundle::each_section(bytes, |section, bytes| {
        if redactor.is_some() && bytes.is_cut() {
            // Redacted it would look whole.
            bail!(
                "it is cut off, and what is left cannot be redacted; without --redact it can be packed"
            );
        }
        let is_rewritten = !matches!(section, Section::End | Section::Symbols | Section::Sources);
        if redactor.is_some() && is_rewritten {
            let places = bytes.damage()?;
            if !places.is_empty() {
                bundle::write_section(out, Section::Info, &damaged(&places))?;
            }
        }
        match (section, &mut redactor) {
            // Written anew from what was read of them.
            (Section::Symbols | Section::Sources, _) => {}
            (Section::End, _) | (_, None) => bytes.copy(out)?,
            (Section::Process, Some(redactor)) => {
                process(out, Some(redactor), Copied::Bytes(&*bytes.content()?))?;
            }
            (Section::Command, Some(redactor)) => {
                let words = whole(&bytes)?;
                bundle::write_section(out, section, &command(redactor, &words))?;
            }
            (Section::Info, Some(redactor)) => {
                let lines = whole(&bytes)?;
                bundle::write_section(out, section, &info(redactor, &lines))?;
            }
        }
        Ok(())
    })
}

/// The program without its folders, and how many arguments it had.
pub(crate) fn command(redactor: &mut Redactor, words: &[u8]) -> Vec<u8> {
    let mut words = words.split(|byte| *byte == 0);
    let mut short = redactor.path(words.next().unwrap_or_default());
    match words.count() {
        0 => {}
        1 => short.extend(b"\0(1 argument)"),
        count => short.extend(format!("\0({count} arguments)").into_bytes()),
    }
    short
}

/// What the checksums of the copy do not say any more.
fn damaged(places: &[u64]) -> Vec<u8> {
    /// More than anybody reads; that there is one is what changes the verdict.
    const PLACES_MAX: usize = 64;
    let places = places.iter().take(PLACES_MAX);
    let lines = places.map(|at| format!("{}={at}\n", traces::packed::DAMAGED));
    lines.collect::<String>().into_bytes()
}

/// What the recorder said, as lines: what is harmless, and texts that somebody chose without their words.
pub(crate) fn info(redactor: &mut Redactor, lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b'=');
        let key = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default();
        let is_place = key == traces::packed::DAMAGED.as_bytes()
            && !value.is_empty()
            && value.iter().all(u8::is_ascii_digit);
        let is_one_of = |keys: &[&str]| keys.iter().any(|known| known.as_bytes() == key);
        if is_place || is_one_of(&HARMLESS) {
            out.extend(line);
        } else if is_one_of(&run::TEXTS) {
            out.extend([key, b"=", &redactor.text(value)].concat());
        } else {
            continue;
        }
        out.push(b'\n');
    }
    out
}

fn whole(bytes: &SectionBytes<'_>) -> io::Result<Vec<u8>> {
    let content = bytes.content()?;
    // What is wanted whole is small; a length is never believed further than this.
    let len = usize::try_from(content.len()?.min(1 << 20)).unwrap_or(0);
    let mut whole = vec![0; len];
    let got = fill(&*content, 0, &mut whole)?;
    whole.truncate(got);
    Ok(whole)
}

/// Where the bytes of a process file come from.
#[derive(Clone, Copy)]
pub(crate) enum Copied<'a> {
    /// From something that nobody writes any more.
    Bytes(&'a dyn ReadAt),
    /// From a file that its process may still write.
    Live(&'a Path),
}

/// The layout that files are written in by this version.
const USUAL: Layout = Layout {
    before: layout::chunk_offset(),
    chunk: layout::CHUNK_BYTES,
};

/// A chunk begins with its gate.
const GATE_BYTES: usize = 8;
const _: () = assert!(layout::chunk::SEQ == 0);

type Each<'e> = &'e mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>;

impl Copied<'_> {
    fn head(self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; layout::HEADER_BYTES];
        let got = match self {
            Self::Bytes(bytes) => fill(bytes, 0, &mut head)?,
            Self::Live(path) => fill(&open::open_file(path)?, 0, &mut head)?,
        };
        head.truncate(got);
        Ok(head)
    }

    fn pieces(self, layout: Layout, each: Each<'_>) -> io::Result<()> {
        match self {
            Self::Live(path) if layout == USUAL => process_file::read(path, each),
            Self::Live(_) => Err(io::Error::other(
                "was written in a layout that this tracer cannot redact; use the probe of the same version",
            )),
            Self::Bytes(bytes) => pieces(bytes, layout, each),
        }
    }
}

/// Writes a process section. Where something is to be taken out the pieces are gone through twice.
pub(crate) fn process(
    out: &mut (impl Write + Seek),
    redactor: Option<&mut Redactor>,
    from: Copied<'_>,
) -> Result<()> {
    let mut writer = ProcessWriter::begin(out)?;
    let Some(redactor) = redactor else {
        from.pieces(USUAL, &mut |_, piece| writer.piece(piece))?;
        return Ok(writer.finish()?);
    };
    let head = from.head()?;
    match redact::layout_of(&head) {
        Some(layout) => {
            let mut known = Process::default();
            from.pieces(layout, &mut |at, piece| {
                known.learn(at, piece);
                Ok(())
            })?;
            from.pieces(layout, &mut |at, piece| {
                known.rewrite(redactor, at, piece);
                writer.piece(piece)
            })?;
        }
        // No reader would look behind such a header. That there was one is still said: a process that
        // never began has none.
        None => {
            let mut blank = vec![0; layout::HEADER_BYTES];
            if head.starts_with(&layout::MAGIC) {
                blank[..layout::MAGIC.len()].copy_from_slice(&layout::MAGIC);
            }
            writer.piece(&blank)?;
        }
    }
    Ok(writer.finish()?)
}

fn pieces(bytes: &dyn ReadAt, layout: Layout, each: Each<'_>) -> io::Result<()> {
    let mut buffer = vec![0; layout.before];
    let mut at = 0;
    loop {
        let got = fill(bytes, at, &mut buffer)?;
        if got == 0 {
            return Ok(());
        }
        // A chunk that its process reused while it was read is of two laps: a closed gate says so.
        let mut gate = [0; GATE_BYTES];
        let read_again = fill(bytes, at, &mut gate)?;
        if at > 0 && gate[..read_again] != buffer[..read_again.min(got)] {
            buffer[..GATE_BYTES.min(got)].fill(0);
        }
        each(at, &mut buffer[..got])?;
        at += got as u64;
        buffer.resize(layout.chunk, 0);
    }
}

fn fill(bytes: &dyn ReadAt, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match bytes.read_at(at + done as u64, &mut buffer[done..])? {
            0 => break,
            got => done += got,
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_keeps_its_name_and_the_number_of_its_arguments() {
        let mut redactor = Redactor::new([1; 16]);
        let mut short = |words: &[u8]| command(&mut redactor, words);
        assert_eq!(
            short(b"/opt/x/app\0--token\0s3cret"),
            b"~1/app\0(2 arguments)"
        );
        assert_eq!(short(b"app\0x"), b"app\0(1 argument)");
        assert_eq!(short(b"app"), b"app");
    }

    #[test]
    fn only_known_keys_are_kept() {
        let lines = b"clock=tsc\nhostname=secret\nodd\npacked=x\ndamaged=77\ndamaged=secret\nrun_test=for=acme\nrun_by=cargo\n";
        let kept = info(&mut Redactor::new([1; 16]), lines);
        let expected = "clock=tsc\npacked=x\ndamaged=77\nrun_test=text-1\nrun_by=cargo\n";
        assert_eq!(String::from_utf8(kept).unwrap(), expected);
    }
}
