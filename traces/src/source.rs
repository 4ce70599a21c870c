//! Lines of the program's source around the places that a trace names, where somebody handed them in.
//!
//! Nothing is opened here. Lines come from a packed file, or from whoever found a source and made sure
//! that it is the one that was built ([`Trace::add_sources`]). A source that was looked for and is not
//! here says why: a wrong line is worse than none.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::event::{Event, SiteId};
use crate::trace::Trace;
use crate::untrusted::Untrusted;

/// Lines that are kept before and behind a place.
pub const CONTEXT: u32 = 5;

/// Sources by path, as the trace or its debug information names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(pub(crate) FxHashMap<Untrusted, Found>);

/// What was found of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Some of its lines, by number from 1.
    Lines(BTreeMap<u32, Untrusted>),
    /// None of them.
    Absent(Absence),
}

/// Why lines of a source are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Absence {
    /// There is no such file where it was looked for.
    Missing = 1,
    /// It was changed after the program was built.
    Newer = 2,
    /// The program's debug information does not name it.
    NotNamed = 3,
    /// The program itself is not there, or was rebuilt since.
    NoProgram = 4,
    /// It cannot be read, or is no text.
    Unreadable = 5,
    /// It was taken out on purpose.
    Redacted = 6,
    /// The programs name several files so, and which is meant is not known.
    Several = 7,
}

impl Absence {
    pub(crate) const ALL: [Self; 7] = [
        Self::Missing,
        Self::Newer,
        Self::NotNamed,
        Self::NoProgram,
        Self::Unreadable,
        Self::Redacted,
        Self::Several,
    ];

    pub(crate) fn from_u32(raw: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|absence| *absence as u32 == raw)
    }

    /// The reason, as what stands behind a number of sources.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "not there",
            Self::Newer => "changed after the program was built",
            Self::NotNamed => "not named by the program's debug information",
            Self::NoProgram => "of a program that was not there or was rebuilt since",
            Self::Unreadable => "not readable as text",
            Self::Redacted => "redacted",
            Self::Several => "the name of several files of the program",
        }
    }
}

/// What is to be shown of the source at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// The lines around it, with their numbers; the place's own is among them.
    Lines(Vec<(u32, &'a Untrusted)>),
    /// Looked for, and not here.
    Absent(Absence),
    /// Nobody looked, or the place is not known.
    Unknown,
}

impl Sources {
    /// Adds what was found of a source.
    pub fn add(&mut self, path: Untrusted, found: Found) {
        self.0.insert(path, found);
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Untrusted, &Found)> {
        self.0.iter()
    }

    /// What was found of a source.
    pub fn of(&self, path: &Untrusted) -> Option<&Found> {
        self.0.get(path)
    }

    /// Whether nobody looked for any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn at(&self, path: &Untrusted, line: u32) -> Source<'_> {
        match self.0.get(path) {
            Some(Found::Lines(lines)) if lines.contains_key(&line) => {
                let around = line.saturating_sub(CONTEXT)..=line.saturating_add(CONTEXT);
                let lines = lines.range(around);
                Source::Lines(lines.map(|(number, text)| (*number, text)).collect())
            }
            Some(Found::Absent(absence)) => Source::Absent(*absence),
            _ => Source::Unknown,
        }
    }
}

impl Trace {
    /// Hands in sources that were made sure to be the ones that were built.
    pub fn add_sources(&mut self, sources: Sources) {
        self.sources.0.extend(sources.0);
    }

    /// The sources that were handed in or came with the file.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The source around a place.
    pub fn source(&self, site: SiteId) -> Source<'_> {
        let site = self.recording.site(site);
        self.source_at(self.recording.string(site.file), site.line)
    }

    /// The source around a line of a file, as [`crate::stack::Function`] names it.
    pub fn source_at(&self, file: &Untrusted, line: u32) -> Source<'_> {
        self.sources.at(file, line)
    }

    /// The line itself, safe for a terminal, where it is known and not blank.
    pub(crate) fn source_line(&self, event: &Event) -> Option<(u32, String)> {
        let site = event.site();
        let number = self.recording.site(site).line;
        let Source::Lines(lines) = self.source(site) else {
            return None;
        };
        let (_, text) = lines.into_iter().find(|line| line.0 == number)?;
        // Indentation says little for a line alone, and a tab is no column.
        let text = text.bytes().trim_ascii();
        (!text.is_empty()).then(|| (number, crate::untrusted::tty(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        Trace::parse_text(
            "10 main leak 0x1000 Conn conn.rs:8 owner=Rc\n20 main reclaim 0x1000 Conn other.rs:9 owner=Rc\n",
        )
        .unwrap()
    }

    #[test]
    fn place_has_the_lines_around_it() {
        let mut trace = trace();
        let site = trace.events()[0].site();
        assert_eq!(trace.source(site), Source::Unknown);
        let lines = (1..=30u32).map(|line| (line, Untrusted::from("\tlet raw = 1;\u{1b}")));
        let mut sources = Sources::default();
        sources.add("conn.rs".into(), Found::Lines(lines.collect()));
        sources.add("other.rs".into(), Found::Absent(Absence::Newer));
        trace.add_sources(sources);
        let Source::Lines(lines) = trace.source(site) else {
            panic!("no lines")
        };
        let numbers: Vec<u32> = lines.iter().map(|line| line.0).collect();
        assert_eq!(numbers, (3..=13).collect::<Vec<_>>());
        assert_eq!(
            trace.source_line(&trace.events()[0]).unwrap(),
            (8, "let raw = 1;\\u{1b}".to_owned())
        );
        let other = trace.events()[1].site();
        assert_eq!(trace.source(other), Source::Absent(Absence::Newer));
        assert_eq!(trace.source_line(&trace.events()[1]), None);
        assert_eq!(trace.source_at(&"conn.rs".into(), 31), Source::Unknown);
    }
}
