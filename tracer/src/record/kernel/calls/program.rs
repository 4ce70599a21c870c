//! Which functions of a program give ownership away and take it back: those of the standard library that were compiled
//! into it as functions of their own, found by their symbols, with the type from the symbol or the debug information.
//!
//! That is so in debug builds alone. An optimised build has them in line, where no place is theirs: then there is
//! nothing to probe, and the refusal says so.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use addr2line::Context;
use anyhow::{Result, bail};
use gimli::Reader as _;
use object::read::ReadCache;
use object::read::elf::ProgramHeader as _;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use wire::record::Owner;

use super::effort::{Begun, Effort};
use super::prologue::{self, Cost};
use super::pushes::Pushes;
use crate::symbols::debug::{self, Elf, Reader};

/// What a call does with an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Call {
    /// Its result is a raw pointer.
    Leak,
    /// It takes a raw pointer.
    Reclaim,
    Retain,
    Release,
    /// It takes an owner, and nobody will drop it.
    Forget,
}

/// A function that is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Function {
    /// Where it begins: in the file, and in the program's own addresses.
    pub(super) offset: u64,
    pub(in super::super) address: u64,
    pub(in super::super) call: Call,
    pub(in super::super) owner: Owner,
    pub(in super::super) ty: Type,
    pub(super) cost: Cost,
}

/// What is owned, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Type {
    pub(in super::super) name: String,
    pub(in super::super) size: u64,
    /// 0: its size is not known.
    pub(in super::super) align: u64,
}

/// A program's functions, and its lines.
pub(in super::super) struct Program {
    /// The very file that was looked into: what lies under its name may be another one by now.
    pub(super) file: File,
    pub(in super::super) functions: Vec<Function>,
    /// Functions whose first instruction cannot be probed.
    pub(super) refused: Vec<String>,
    /// Where it puts entries into submission queues; nothing where it does not by the io-uring crate.
    pub(in super::super) pushes: Option<Pushes>,
    /// Why that is not probed although it uses the crate.
    pub(super) no_pushes: Option<&'static str>,
    /// Where functions of the standard library lie that call these themselves: begin and end.
    shipped: BTreeMap<u64, u64>,
    lines: Option<Context<Reader>>,
    effort: Effort,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("functions", &self.functions)
            .finish_non_exhaustive()
    }
}

/// What to do where there is nothing to probe.
const INSTEAD: &str = "build it without optimisation (`cargo build`, and no `opt-level` for its dependencies), or link \
                       the probe, which sees them in any build";

impl Program {
    /// Looks into a program's file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let shown = crate::safe::path(path);
        let file = match crate::symbols::file::open(path) {
            Ok(file) => file,
            Err(why) => bail!("{shown}: {why}"),
        };
        let cache = ReadCache::new(file.try_clone()?);
        let Ok(elf) = Elf::parse(&cache) else {
            bail!(
                "{shown} is no 64-bit ELF file: name the program itself, not a script or a tool that starts it"
            );
        };
        if elf.architecture() != object::Architecture::X86_64 || cfg!(not(target_arch = "x86_64")) {
            bail!("functions are probed on x86-64 only, by the registers that calls are made with");
        }
        if elf.section_by_name(".note.tracer").is_some() {
            bail!(
                "{shown} links the probe, which sees who gives a pointer away and takes it back: record it without \
                 --uprobes"
            );
        }
        let Found {
            mut functions,
            refused,
            shipped,
            symbols,
        } = functions(&elf);
        let dwarf = debug::dwarf(&elf);
        let effort = Effort::default();
        let (pushes, no_pushes) = match Pushes::find(&elf, &dwarf, &effort) {
            Ok(pushes) => (pushes, None),
            Err(why) => (None, Some(why)),
        };
        if functions.iter().all(|it| it.call == Call::Forget) && pushes.is_none() {
            let why = if symbols == 0 {
                "it has no symbols (stripped)"
            } else if refused.is_empty() {
                "none of them is a function of its own in it: it never calls them, or was optimised, and has them in \
                 line"
            } else {
                "none of those that it has can be probed"
            };
            bail!(
                "{shown}: into_raw, from_raw and their kin cannot be probed, because {why}; {INSTEAD}"
            );
        }
        effort.spend(|begun| types(&dwarf, &mut functions, begun).ok());
        // Of every kind of value: only that of owners is of use.
        functions.retain(|it| it.call != Call::Forget || owned(&mut it.clone()));
        for function in &mut functions {
            owned(function);
        }
        Ok(Self {
            file,
            functions,
            refused,
            pushes,
            no_pushes,
            shipped,
            lines: effort.spend(|_| Context::from_dwarf(dwarf).ok()).flatten(),
            effort,
        })
    }

    /// Whether a call was made by the standard library itself, on the way from one of these functions to another, or
    /// for ends of its own.
    pub(in super::super) fn is_shipped(&self, address: u64) -> bool {
        let before = self.shipped.range(..address).next_back();
        before.is_some_and(|(_, end)| address <= *end)
    }

    /// Whether its debug information took too long to read, so that types and lines are missing that it may say.
    pub(in super::super) fn is_cut(&self) -> bool {
        self.effort.is_over()
    }

    /// The line of a call, by where it returns to.
    pub(in super::super) fn line(&self, returns_to: u64) -> Option<(String, u32, u32)> {
        let lines = self.lines.as_ref()?;
        let inside = returns_to.checked_sub(1)?;
        let place = self
            .effort
            .spend(|_| lines.find_location(inside).ok())???;
        Some((
            place.file?.to_owned(),
            place.line.unwrap_or(0),
            place.column.unwrap_or(0),
        ))
    }
}

/// What `mem::forget` forgets, where that is an owner; the type is what the owner owns from then on.
fn owned(function: &mut Function) -> bool {
    if function.call != Call::Forget || function.owner != Owner::Unknown {
        return function.call != Call::Forget || function.owner != Owner::Unknown;
    }
    let Some((owner, inner)) = owner_of(&function.ty.name) else {
        return false;
    };
    let name = first_argument(inner).unwrap_or_default().to_owned();
    function.owner = owner;
    function.ty = Type {
        name,
        ..Type::default()
    };
    true
}

/// What one look at the symbols finds.
struct Found {
    functions: Vec<Function>,
    refused: Vec<String>,
    shipped: BTreeMap<u64, u64>,
    symbols: usize,
}

/// Functions that can be probed, those that cannot, where the standard library's own lie, and how many symbols there are.
fn functions(elf: &Elf<'_>) -> Found {
    let mut found: BTreeMap<u64, Function> = BTreeMap::new();
    let (mut refused, mut shipped, mut symbols) = (Vec::new(), BTreeMap::new(), 0);
    for symbol in elf.symbols() {
        if !symbol.is_definition() || symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        symbols += 1;
        let Ok(name) = symbol.name() else { continue };
        let name = format!("{:#}", rustc_demangle::demangle(name));
        if is_of_std(&name) {
            shipped.insert(
                symbol.address(),
                symbol.address().saturating_add(symbol.size()),
            );
        }
        let Some((call, owner, ty)) = classify(&name) else {
            continue;
        };
        let Some(offset) = offset(elf, symbol.address()) else {
            continue;
        };
        let section = symbol
            .section_index()
            .and_then(|at| elf.section_by_index(at).ok());
        let code = section.and_then(|it| {
            it.data_range(symbol.address(), symbol.size().min(16))
                .ok()?
        });
        let Some(cost) = prologue::cost(code.unwrap_or_default()) else {
            refused.push(name);
            continue;
        };
        let function = Function {
            offset,
            address: symbol.address(),
            call,
            owner,
            ty,
            cost,
        };
        found.insert(offset, function);
    }
    Found {
        functions: found.into_values().collect(),
        refused,
        shipped,
        symbols,
    }
}

/// Where an address lies in the file.
pub(super) fn offset(elf: &Elf<'_>, address: u64) -> Option<u64> {
    let endian = elf.endian();
    let mut loaded = elf
        .elf_program_headers()
        .iter()
        .filter(|it| it.p_type(endian) == object::elf::PT_LOAD);
    let part = loaded.find(|it| {
        let start = it.p_vaddr(endian);
        (start..start.saturating_add(it.p_filesz(endian))).contains(&address)
    })?;
    Some(address - part.p_vaddr(endian) + part.p_offset(endian))
}

/// `alloc::rc::Rc<T,A>::from_raw_in`, `<alloc::rc::Rc<app::Conn>>::from_raw_in`, `alloc::task::raw_waker::wake`
fn is_of_std(name: &str) -> bool {
    // What only passes a function on is in `core`, and calls it for the program: `Option::map(Box::into_raw)`.
    let is_std = |path: &str| path.starts_with("alloc::") || path.starts_with("std::");
    let Some(of) = name.strip_prefix('<') else {
        return is_std(name);
    };
    // Of `<Type as Trait>::method` either may be the program's.
    let mut depth = 0i32;
    let outside = of.char_indices().find(|(at, one)| {
        depth += step(of, *at, *one);
        depth == 0 && of[*at..].starts_with(" as ")
    });
    match outside {
        Some((at, _)) => {
            let (ty, of_trait) = (&of[..at], &of[at + " as ".len()..]);
            is_std(ty) && (is_std(of_trait) || of_trait.starts_with("core::"))
        }
        None => is_std(of),
    }
}

/// What a character of a name adds to the depth of brackets.
fn step(name: &str, at: usize, one: char) -> i32 {
    match one {
        '<' | '(' | '[' => 1,
        // An arrow is no bracket.
        '>' if !name[..at].ends_with('-') => -1,
        ')' | ']' => -1,
        _ => 0,
    }
}

/// What a function does, by its path.
fn classify(name: &str) -> Option<(Call, Owner, Type)> {
    let forgets = name.strip_prefix("core::mem::forget");
    if let Some(rest) = forgets {
        let ty = match rest.strip_prefix("::<").and_then(|it| it.strip_suffix('>')) {
            Some(ty) => ty,
            None if rest.is_empty() => "",
            None => return None,
        };
        return Some((Call::Forget, Owner::Unknown, named(ty)));
    }
    let (of, method) = name.rsplit_once("::")?;
    let of = of
        .strip_prefix('<')
        .and_then(|of| of.strip_suffix('>'))
        .unwrap_or(of);
    let (owner, arguments) = owner_of(of)?;
    let is_counted = matches!(owner, Owner::Rc | Owner::Arc);
    let call = match method {
        "into_raw" => Call::Leak,
        "leak" if owner == Owner::Box => Call::Leak,
        "from_raw" => Call::Reclaim,
        "increment_strong_count" if is_counted => Call::Retain,
        "decrement_strong_count" if is_counted => Call::Release,
        _ => return None,
    };
    // By the older way of naming it is the parameter's name that stands there.
    let ty = first_argument(arguments).filter(|ty| *ty != "T");
    Some((call, owner, named(ty.unwrap_or_default())))
}

fn named(ty: &str) -> Type {
    Type {
        name: ty.to_owned(),
        ..Type::default()
    }
}

/// The owner that a type is, and what stands in its angle brackets.
fn owner_of(of: &str) -> Option<(Owner, &str)> {
    let (path, arguments) = of.split_once('<')?;
    let std = arguments
        .trim_end_matches('>')
        .ends_with(", alloc::alloc::Global");
    let owner = match path {
        // As debug information names types: without a path, but with the allocator, which no other's has.
        "Box" if std => Owner::Box,
        "Rc" if std => Owner::Rc,
        "Arc" if std => Owner::Arc,
        "alloc::boxed::Box" => Owner::Box,
        "alloc::rc::Rc" => Owner::Rc,
        "alloc::sync::Arc" => Owner::Arc,
        "alloc::rc::Weak" => Owner::RcWeak,
        "alloc::sync::Weak" => Owner::ArcWeak,
        _ => return None,
    };
    let arguments = arguments.strip_suffix('>')?;
    // Of `Box<T> as Trait<U>` the last bracket is another's.
    let mut depth = 0i32;
    let is_whole = arguments.char_indices().all(|(at, one)| {
        depth += step(arguments, at, one);
        depth >= 0
    });
    is_whole.then_some((owner, arguments))
}

/// `a::B<c, d>` of `a::B<c, d>, alloc::alloc::Global`.
fn first_argument(arguments: &str) -> Option<&str> {
    let mut depth = 0i32;
    let end = arguments.char_indices().find(|(at, one)| {
        depth += step(arguments, *at, *one);
        *one == ',' && depth == 0
    });
    let first = arguments[..end.map_or(arguments.len(), |(at, _)| at)].trim();
    (!first.is_empty()).then_some(first)
}

/// Types from the debug information, where it has them, as far as there is time.
fn types(
    dwarf: &gimli::Dwarf<Reader>,
    functions: &mut [Function],
    begun: &mut Begun<'_>,
) -> gimli::Result<()> {
    let mut wanted: BTreeMap<u64, &mut Function> =
        functions.iter_mut().map(|it| (it.address, it)).collect();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        if begun.is_over_now() {
            break;
        }
        // One that is broken hides no other.
        let Ok(unit) = dwarf.unit(header) else {
            continue;
        };
        let unit = unit.unit_ref(dwarf);
        let mut ranges = unit.unit_ranges()?;
        let mut is_of_use = false;
        while let Some(range) = ranges.next()? {
            if begun.is_over() {
                return Ok(());
            }
            // What a linker threw away has ranges that end before they begin.
            is_of_use |=
                range.begin < range.end && wanted.range(range.begin..range.end).next().is_some();
        }
        if !is_of_use {
            continue;
        }
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if begun.is_over() {
                return Ok(());
            }
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let Some(low) = entry.attr_value(gimli::DW_AT_low_pc) else {
                continue;
            };
            let Some(low) = unit.attr_address(low)? else {
                continue;
            };
            if let Some(function) = wanted.get_mut(&low)
                && let Some(ty) = argument(unit, entry.offset(), begun)?
            {
                function.ty = ty;
            }
        }
    }
    Ok(())
}

/// The name of something; nothing where it has none, or one that no compiler wrote.
pub(super) fn name(
    unit: gimli::UnitRef<'_, Reader>,
    entry: &gimli::DebuggingInformationEntry<Reader>,
) -> gimli::Result<Option<String>> {
    /// Bytes: the types of a deep tower of futures have long names, and are of no use in whole.
    const NAME_MAX: usize = 1 << 16;
    let Some(name) = entry.attr_value(gimli::DW_AT_name) else {
        return Ok(None);
    };
    let name = unit.attr_string(name)?;
    if name.len() > NAME_MAX {
        return Ok(None);
    }
    Ok(Some(name.to_string_lossy()?.into_owned()))
}

/// The first type parameter of a function: what it was compiled for.
fn argument(
    unit: gimli::UnitRef<'_, Reader>,
    at: gimli::UnitOffset<usize>,
    begun: &mut Begun<'_>,
) -> gimli::Result<Option<Type>> {
    let mut tree = unit.entries_tree(Some(at))?;
    let root = tree.root()?;
    let mut children = root.children();
    while let Some(child) = children.next()? {
        if begun.is_over() {
            return Ok(None);
        }
        let entry = child.entry();
        if entry.tag() != gimli::DW_TAG_template_type_parameter {
            continue;
        }
        let Some(gimli::AttributeValue::UnitRef(at)) = entry.attr_value(gimli::DW_AT_type) else {
            return Ok(None);
        };
        let ty = unit.entry(at)?;
        let Some(name) = name(unit, &ty)? else {
            return Ok(None);
        };
        let number = |attribute| {
            ty.attr_value(attribute)
                .and_then(|value| value.udata_value())
        };
        let (size, align) = (
            number(gimli::DW_AT_byte_size),
            number(gimli::DW_AT_alignment),
        );
        // Of what has no size (`dyn`) the debug information says that of nothing.
        let known = size.zip(align).filter(|_| !name.starts_with("dyn "));
        let (size, align) = known.unwrap_or((0, 0));
        return Ok(Some(Type { name, size, align }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_known_by_either_way_of_naming_and_their_kin_are_not_taken_for_them() {
        let is = |name: &str| classify(name).map(|(call, owner, ty)| (call, owner, ty.name));
        let some = |call, owner, ty: &str| Some((call, owner, ty.to_owned()));
        assert_eq!(
            is("alloc::rc::Rc<T>::into_raw"),
            some(Call::Leak, Owner::Rc, "")
        );
        assert_eq!(
            is("<alloc::sync::Arc<app::Map<u8, (u16, u32)>>>::from_raw"),
            some(Call::Reclaim, Owner::Arc, "app::Map<u8, (u16, u32)>")
        );
        assert_eq!(
            is("alloc::boxed::Box<T,A>::leak"),
            some(Call::Leak, Owner::Box, "")
        );
        assert_eq!(
            is("<alloc::boxed::Box<dyn core::ops::FnOnce() -> u8>>::into_raw"),
            some(Call::Leak, Owner::Box, "dyn core::ops::FnOnce() -> u8")
        );
        assert_eq!(
            is("alloc::sync::Arc<T>::increment_strong_count"),
            some(Call::Retain, Owner::Arc, "")
        );
        assert_eq!(
            is("core::mem::forget::<alloc::rc::Rc<app::Conn>>"),
            some(Call::Forget, Owner::Unknown, "alloc::rc::Rc<app::Conn>")
        );
        for other in [
            "alloc::rc::Rc<T,A>::from_raw_in",
            "alloc::boxed::Box<T>::increment_strong_count",
            "app::Rc<T>::into_raw",
            "app::into_raw",
            "alloc::vec::Vec<T>::leak",
            "core::mem::forgetful",
            "<alloc::rc::Rc<app::Conn> as core::clone::Clone>::clone",
            "<alloc::boxed::Box<T> as app::Foreign<U>>::into_raw",
        ] {
            assert_eq!(is(other), None, "{other}");
        }
        assert!(is_of_std("<alloc::rc::Rc<app::Conn>>::from_raw"));
        assert!(is_of_std("alloc::task::raw_waker::wake"));
        assert!(!is_of_std("core::option::Option<T>::map"));
        assert!(!is_of_std("app::main"));
        assert!(is_of_std(
            "<alloc::rc::Rc<app::Conn> as core::ops::Drop>::drop"
        ));
        assert!(!is_of_std(
            "<alloc::sync::Arc<app::Node> as app::Cookie>::into_cookie"
        ));
        assert!(!is_of_std(
            "<app::Conn as core::convert::From<alloc::rc::Rc<u8>>>::from"
        ));
    }

    #[test]
    fn what_was_forgotten_is_an_owner_or_of_no_use() {
        let function = |ty: &str| Function {
            offset: 0,
            address: 0,
            call: Call::Forget,
            owner: Owner::Unknown,
            ty: named(ty),
            cost: Cost::Emulated,
        };
        let mut of_rc = function("alloc::rc::Rc<app::Conn, alloc::alloc::Global>");
        assert!(owned(&mut of_rc));
        assert_eq!((of_rc.owner, of_rc.ty), (Owner::Rc, named("app::Conn")));
        assert!(owned(&mut function("Arc<app::Conn, alloc::alloc::Global>")));
        assert!(!owned(&mut function("Arc<app::Conn>")), "another's");
        assert!(!owned(&mut function("app::Conn")));
        assert!(!owned(&mut function("")));
    }
}
