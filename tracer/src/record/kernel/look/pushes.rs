//! Where a program puts entries into submission queues: `SubmissionQueue::push_unchecked` of the io-uring crate, by which
//! `push` and `push_multiple` put in each entry that finds room.
//!
//! It is called with the queue and the entry by reference. The entry's cookie lies where the kernel's interface has it.
//! The entry's index, and the ring's descriptor, are fields of the crate's own, whose places the debug information of this
//! very program says: nothing is known of them otherwise, and nothing is assumed.

use std::fmt::Write as _;
use std::ops::Range;

use gimli::UnitRef;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::functions::offset;
use super::prologue;
use super::types::name;
use super::words::Words;
use super::{Look, Patience, Why};
use crate::symbols::debug::{Elf, Reader};

/// Functions of the queue that are taken: each is compiled for few kinds of entries.
const FUNCTIONS_MAX: usize = 256;

/// What the symbols say of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Pushes {
    /// Places of the function in the file, and its addresses: one for each size of entries.
    pub(in super::super) functions: Vec<(u64, u64)>,
    /// Where the queue's own functions lie: they are no callers that anybody looks for.
    own: Vec<Range<u64>>,
    pub(in super::super) uses_crate: bool,
    /// Whether there is one that cannot be probed.
    pub(in super::super) is_refused: bool,
}

/// Where fields lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Layout {
    /// Of the queue: the index of the next entry, and where the ring is.
    pub(in super::super) tail: u64,
    pub(in super::super) ring: u64,
    /// From there, the ring's descriptor.
    pub(in super::super) fd: i64,
}

impl Look {
    /// Where the crate has its fields, as the debug information says.
    pub(in super::super) fn layout(
        &mut self,
        patience: &mut Patience,
    ) -> Result<Option<Layout>, Why> {
        Ok(Layout::understood(&self.ask("layout", patience)?))
    }
}

/// Looks for them in a program.
pub(super) fn find(elf: &Elf<'_>) -> Pushes {
    let mut found = Pushes::default();
    for symbol in elf.symbols() {
        let is_code = symbol.is_definition() && symbol.kind() == SymbolKind::Text;
        let name = symbol.name().ok().filter(|_| is_code && symbol.size() > 0);
        // By both ways of naming.
        let Some(name) = name.filter(|name| name.contains("8io_uring")) else {
            continue;
        };
        found.uses_crate = true;
        let name = format!("{:#}", rustc_demangle::demangle(name));
        let Some(method) = method(&name) else {
            continue;
        };
        let (address, size) = (symbol.address(), symbol.size());
        found.own.push(address..address.saturating_add(size));
        if method != "push_unchecked" {
            continue;
        }
        let section = symbol.section_index();
        let section = section.and_then(|at| elf.section_by_index(at).ok());
        let code = section.and_then(|it| it.data_range(address, size.min(16)).ok()?);
        match offset(elf, address) {
            Some(at) if prologue::cost(code.unwrap_or_default()).is_some() => {
                found.functions.push((at, address));
            }
            _ => found.is_refused = true,
        }
    }
    found
}

impl Pushes {
    /// Where one of the functions begins, in the program's own addresses.
    pub(in super::super) fn address(&self, number: u32) -> Option<u64> {
        let number = usize::try_from(number).ok()?;
        self.functions.get(number).map(|(_, address)| *address)
    }

    /// Whether a call was made by the queue itself, on the way to what is probed.
    pub(in super::super) fn is_own(&self, returns_to: u64) -> bool {
        let inside = returns_to.wrapping_sub(1);
        self.own.iter().any(|range| range.contains(&inside))
    }

    pub(super) fn written(&self) -> String {
        let mut out = String::new();
        if self.uses_crate {
            let _ = writeln!(out, "q {}", u8::from(self.is_refused));
        }
        for (offset, address) in &self.functions {
            let _ = writeln!(out, "p {offset:x} {address:x}");
        }
        for Range { start, end } in &self.own {
            let _ = writeln!(out, "o {start:x} {end:x}");
        }
        out
    }

    /// Takes in a line of that.
    pub(super) fn understand(&mut self, what: &str, words: &mut Words<'_>) {
        match what {
            "q" => {
                self.uses_crate = true;
                self.is_refused = words.number() == Some(1);
            }
            "p" if self.functions.len() < FUNCTIONS_MAX => {
                self.functions.extend(words.number().zip(words.number()));
            }
            "o" if self.own.len() < FUNCTIONS_MAX => {
                let range = words.number().zip(words.number());
                self.own.extend(range.map(|(start, end)| start..end));
            }
            _ => {}
        }
    }
}

impl Layout {
    pub(super) fn written(self) -> String {
        let Self { tail, ring, fd } = self;
        format!("l {tail:x} {ring:x} {:x}", fd.cast_unsigned())
    }

    fn understood(answer: &str) -> Option<Self> {
        let ("l", mut words) = Words::of(answer) else {
            return None;
        };
        Some(Self {
            tail: words.number()?,
            ring: words.number()?,
            fd: words.number()?.cast_signed(),
        })
    }
}

/// The method, of one of the submission queue.
fn method(name: &str) -> Option<&str> {
    let (of, method) = name.rsplit_once("::")?;
    let of = of.strip_prefix('<').unwrap_or(of);
    let rest = of.strip_prefix("io_uring::squeue::SubmissionQueue")?;
    let is_own = !rest.contains(" as ") && (rest.is_empty() || rest.starts_with(['<', '>']));
    is_own.then_some(method)
}

/// Where the fields lie, as the debug information says.
pub(super) fn layout(dwarf: &gimli::Dwarf<Reader>) -> gimli::Result<Option<Layout>> {
    let (mut queue, mut ring) = (None, None);
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let unit = unit.unit_ref(dwarf);
        let mut entries = unit.entries();
        // The namespaces around, and how deep each of them is.
        let mut path: Vec<(isize, String)> = Vec::new();
        while let Some(entry) = entries.next_dfs()? {
            let depth = entry.depth();
            while path.last().is_some_and(|(outer, _)| *outer >= depth) {
                path.pop();
            }
            let tag = entry.tag();
            if tag != gimli::DW_TAG_namespace && tag != gimli::DW_TAG_structure_type {
                continue;
            }
            let Some(name) = name(unit, entry)? else {
                continue;
            };
            let plain = name.split('<').next().unwrap_or_default();
            let (at, names) = (entry.offset(), path.iter().map(|(_, name)| &**name));
            match (tag, plain) {
                (gimli::DW_TAG_namespace, _) => path.push((depth, name)),
                (_, "SubmissionQueue") if queue.is_none() && names.eq(["io_uring", "squeue"]) => {
                    let found = members(unit, at, ["tail", "queue"])?;
                    queue = found;
                }
                (_, "IoUring") if ring.is_none() && path_is(&path, "io_uring") => {
                    ring = members(unit, at, ["sq", "fd"])?;
                }
                _ => {}
            }
            if let (Some([tail, queue]), Some([sq, fd])) = (queue, ring) {
                let fd = fd.cast_signed().wrapping_sub(sq.cast_signed());
                return Ok(Some(Layout {
                    tail,
                    ring: queue,
                    fd,
                }));
            }
        }
    }
    Ok(None)
}

fn path_is(path: &[(isize, String)], name: &str) -> bool {
    matches!(path, [(_, only)] if only == name)
}

/// Where members of a structure lie, where it has them all.
fn members<const N: usize>(
    unit: UnitRef<'_, Reader>,
    at: gimli::UnitOffset<usize>,
    names: [&str; N],
) -> gimli::Result<Option<[u64; N]>> {
    let mut found = [None; N];
    let mut tree = unit.entries_tree(Some(at))?;
    let root = tree.root()?;
    let mut children = root.children();
    while let Some(child) = children.next()? {
        let entry = child.entry();
        if entry.tag() != gimli::DW_TAG_member {
            continue;
        }
        let Some(name) = name(unit, entry)? else {
            continue;
        };
        let place = names.iter().position(|wanted| *wanted == name);
        let offset = entry
            .attr_value(gimli::DW_AT_data_member_location)
            .and_then(|value| value.udata_value());
        if let Some(found) = place.and_then(|place| found.get_mut(place)) {
            *found = offset;
        }
    }
    let all = found.iter().all(Option::is_some);
    Ok(all.then(|| found.map(Option::unwrap_or_default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_the_queue_are_known_by_either_way_of_naming() {
        for (name, is) in [
            (
                "io_uring::squeue::SubmissionQueue<E>::push_unchecked",
                Some("push_unchecked"),
            ),
            (
                "<io_uring::squeue::SubmissionQueue>::push_unchecked",
                Some("push_unchecked"),
            ),
            (
                "<io_uring::squeue::SubmissionQueue<io_uring::squeue::Entry128>>::push",
                Some("push"),
            ),
            ("app::SubmissionQueue::push_unchecked", None),
            ("io_uring::squeue::SubmissionQueueOf::push_unchecked", None),
            (
                "<io_uring::squeue::SubmissionQueue<E> as core::ops::drop::Drop>::drop",
                None,
            ),
        ] {
            assert_eq!(method(name), is, "{name}");
        }
    }

    #[test]
    fn what_was_found_arrives() {
        let found = Pushes {
            functions: vec![(0x10, 0x401010)],
            own: Vec::from([0x401000..0x401040, 0x402000..0x402001]),
            uses_crate: true,
            is_refused: true,
        };
        let mut read = Pushes::default();
        for line in found.written().lines() {
            let (what, mut words) = Words::of(line);
            read.understand(what, &mut words);
        }
        assert_eq!(read, found);
        let layout = Layout {
            tail: 8,
            ring: 16,
            fd: -24,
        };
        assert_eq!(Layout::understood(&layout.written()), Some(layout));
        assert_eq!(Layout::understood(""), None);
    }
}
