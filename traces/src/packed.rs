//! What a packed file holds besides the recording, so that it can be looked at where neither the program
//! nor its sources are: the functions of all frames, and lines of source.
//!
//! Both are sections of a bundle ([`crate::read::bundle::Section`]), little endian, a text as its length
//! (u32) and its bytes:
//!
//! ```text
//! symbols   module  1 u32 | path text | build-id text          for the frames that follow
//!           frame   2 u32 | address u64 | functions u32, each: line u32 | name text | file text
//! sources   lines   1 u32 | path text | lines u32, each: number u32 | text
//!           absent  2 u32 | path text | why u32
//! ```
//!
//! What stands behind something that makes no sense is left out.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::redact::Redactor;
use crate::source::{Absence, Found, Sources};
use crate::stack::{Frame, Function, Known};
use crate::trace::Trace;
use crate::untrusted::Untrusted;

/// The key in [`crate::recording::Recording::recorder`] that says when a file was packed.
pub const PACKED: &str = "packed";
/// The key that says that a file was redacted.
pub const REDACTED: &str = "redacted";

/// The key that says where the file that was redacted was damaged, as a byte's place in it: what comes out of
/// redacting has checksums that fit, and would look whole.
pub const DAMAGED: &str = "damaged";

/// What was read of the sections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    symbols: FxHashMap<Key, Vec<Function>>,
    pub(crate) sources: Sources,
}

/// A frame whatever the number of its module: path, build-id, address.
type Key = (Untrusted, Vec<u8>, u64);

impl Packed {
    /// Takes in a section of symbols.
    pub(crate) fn read_symbols(&mut self, bytes: &[u8]) {
        let mut fields = Fields(bytes);
        let mut module = (Untrusted::default(), Vec::new());
        while let Some(tag) = fields.number() {
            let known = match tag {
                1 => fields.module().map(|read| module = read),
                2 => fields.frame().map(|(address, functions)| {
                    let key = (module.0.clone(), module.1.clone(), address);
                    self.symbols.insert(key, functions);
                }),
                _ => None,
            };
            if known.is_none() {
                return;
            }
        }
    }

    /// Takes in a section of sources.
    pub(crate) fn read_sources(&mut self, bytes: &[u8]) {
        let mut fields = Fields(bytes);
        while let Some(tag) = fields.number() {
            let Some((path, found)) = fields.source(tag) else {
                return;
            };
            self.sources.add(path, found);
        }
    }

    /// The functions of the frames of a trace.
    pub(crate) fn functions(&self, trace: &Trace) -> Known {
        let find = |frame: Frame| {
            let module = trace.recording.modules.get(frame.module? as usize)?;
            let key = (module.path.clone(), module.build_id.clone(), frame.address);
            Some((frame, self.symbols.get(&key)?.clone()))
        };
        trace.recording.frames().filter_map(find).collect()
    }
}

/// The section of symbols for all frames whose functions a trace knows.
pub fn symbols(trace: &Trace, mut redactor: Option<&mut Redactor>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frames: Vec<_> = trace.functions.iter().collect();
    frames.sort_by_key(|(frame, _)| (frame.module, frame.address));
    let mut current = None;
    for (frame, functions) in frames {
        let Some(module) = frame
            .module
            .and_then(|index| trace.recording.modules.get(index as usize))
        else {
            continue;
        };
        if current != frame.module {
            current = frame.module;
            number(&mut out, 1);
            text(&mut out, &path(&mut redactor, module.path.bytes()));
            text(&mut out, &module.build_id);
        }
        number(&mut out, 2);
        out.extend(frame.address.to_le_bytes());
        number(&mut out, functions.len());
        for function in functions {
            number(&mut out, function.line as usize);
            text(&mut out, function.name.bytes());
            text(&mut out, &path(&mut redactor, function.file.bytes()));
        }
    }
    out
}

/// The section of sources. Redacted ones are named and left out.
pub fn sources(trace: &Trace, mut redactor: Option<&mut Redactor>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut all: Vec<_> = trace.sources.iter().collect();
    all.sort_by_key(|(path, _)| path.bytes());
    for (name, found) in all {
        let is_redacted = redactor.is_some();
        let name = path(&mut redactor, name.bytes());
        match found {
            Found::Lines(lines) if !is_redacted => {
                number(&mut out, 1);
                text(&mut out, &name);
                number(&mut out, lines.len());
                for (line, content) in lines {
                    number(&mut out, *line as usize);
                    text(&mut out, content.bytes());
                }
            }
            _ => {
                let why = match found {
                    Found::Absent(why) => *why,
                    Found::Lines(_) => Absence::Redacted,
                };
                number(&mut out, 2);
                text(&mut out, &name);
                number(&mut out, why as usize);
            }
        }
    }
    out
}

/// `packed on 2026-01-31 10:00 UTC, sources inside; sources left out: 2 not there`; nothing for a trace that
/// is neither packed nor redacted.
pub fn in_words(trace: &Trace) -> Option<String> {
    let redacted = trace.recording.said(REDACTED).is_some();
    if !trace.recording.is_packed {
        return redacted.then(|| "redacted".to_owned());
    }
    let mut words = match trace.recording.said(PACKED) {
        Some(at) => format!("packed on {}", at.tty()),
        None => "packed".to_owned(),
    };
    if redacted {
        words.push_str(", redacted");
    }
    let has_lines = |found: &Found| matches!(found, Found::Lines(lines) if !lines.is_empty());
    words.push_str(if trace.sources.iter().any(|(_, found)| has_lines(found)) {
        ", sources inside"
    } else {
        ", no sources inside"
    });
    let absent = |why: Absence| {
        let is_so = |entry: &(&Untrusted, &Found)| *entry.1 == Found::Absent(why);
        let count = trace.sources.iter().filter(is_so).count();
        (count > 0).then(|| format!("{count} {}", why.reason()))
    };
    let left_out: Vec<String> = Absence::ALL.into_iter().filter_map(absent).collect();
    if !left_out.is_empty() {
        words.push_str("; sources left out: ");
        words.push_str(&left_out.join(", "));
    }
    Some(words)
}

fn path(redactor: &mut Option<&mut Redactor>, path: &[u8]) -> Vec<u8> {
    match redactor {
        Some(redactor) => redactor.path(path),
        None => path.to_vec(),
    }
}

fn number(out: &mut Vec<u8>, number: usize) {
    out.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    number(out, text.len());
    out.extend(text);
}

/// What is left to read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<Untrusted> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len).map(Untrusted::new)
    }

    fn module(&mut self) -> Option<(Untrusted, Vec<u8>)> {
        Some((self.text()?, self.text()?.bytes().to_vec()))
    }

    fn frame(&mut self) -> Option<(u64, Vec<Function>)> {
        let address = u64::from_le_bytes(self.take(8)?.try_into().ok()?);
        let count = self.number()?;
        // Nothing is reserved by a count: each function takes its own bytes.
        let mut functions = Vec::new();
        for _ in 0..count {
            let line = self.number()?;
            functions.push(Function {
                line,
                name: self.text()?,
                file: self.text()?,
            });
        }
        Some((address, functions))
    }

    fn source(&mut self, tag: u32) -> Option<(Untrusted, Found)> {
        let path = self.text()?;
        let found = match tag {
            1 => {
                let mut lines = BTreeMap::new();
                for _ in 0..self.number()? {
                    lines.insert(self.number()?, self.text()?);
                }
                Found::Lines(lines)
            }
            2 => Found::Absent(Absence::from_u32(self.number()?)?),
            _ => return None,
        };
        Some((path, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_sources() -> Vec<u8> {
        let mut trace = Trace::parse_text("10 main leak 0x1000 Conn conn.rs:8 owner=Rc\n").unwrap();
        let mut sources = Sources::default();
        let lines = [(7, Untrusted::from("a")), (8, Untrusted::from("b"))];
        sources.add(
            "/x/conn.rs".into(),
            Found::Lines(lines.into_iter().collect()),
        );
        sources.add("gone.rs".into(), Found::Absent(Absence::Missing));
        trace.add_sources(sources);
        super::sources(&trace, None)
    }

    #[test]
    fn sources_come_back_as_they_went() {
        let mut packed = Packed::default();
        packed.read_sources(&some_sources());
        let found = &packed.sources.0;
        assert_eq!(found[&"gone.rs".into()], Found::Absent(Absence::Missing));
        let Found::Lines(lines) = &found[&"/x/conn.rs".into()] else {
            panic!("{found:?}")
        };
        assert_eq!(lines[&8].bytes(), b"b");
    }

    #[test]
    fn sections_cut_off_anywhere_give_what_is_whole() {
        let whole = some_sources();
        for len in 0..whole.len() {
            let mut packed = Packed::default();
            packed.read_sources(&whole[..len]);
            assert!(packed.sources.0.len() < 2, "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 1u32..3) {
            let mut with_tag = tag.to_le_bytes().to_vec();
            with_tag.extend(bytes);
            let mut packed = Packed::default();
            packed.read_symbols(&with_tag);
            packed.read_sources(&with_tag);
            let texts = packed.symbols.values().map(Vec::len).sum::<usize>();
            prop_assert!(texts <= with_tag.len());
        }
    }
}
