//! Which functions of a program give ownership away and take it back: those of the standard library that were compiled
//! into it as functions of their own, found by their symbols, which have the type, too, where they are of the newer kind.
//!
//! That is so in debug builds alone. An optimised build has them in line, where no place is theirs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use object::read::ReadCache;
use object::read::elf::ProgramHeader as _;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use wire::record::Owner;

use super::prologue::{self, Cost};
use super::pushes::{self, Pushes};
use super::words::Words;
use super::{Look, Patience, Why};
use crate::record::hex;
use crate::symbols::debug::Elf;

/// Functions of a program that are taken, and stretches of the standard library's: by far more than programs have.
const FUNCTIONS_MAX: usize = 1 << 16;
const STRETCHES_MAX: usize = 1 << 18;
/// Functions that cannot be probed and are named.
const REFUSED_MAX: usize = 4;

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
    pub(in super::super) offset: u64,
    pub(in super::super) address: u64,
    pub(in super::super) call: Call,
    pub(in super::super) owner: Owner,
    pub(in super::super) ty: Type,
    pub(in super::super) cost: Cost,
}

/// What is owned, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Type {
    pub(in super::super) name: String,
    pub(in super::super) size: u64,
    /// 0: its size is not known.
    pub(in super::super) align: u64,
}

/// What the symbols say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Functions {
    pub(in super::super) functions: Vec<Function>,
    /// Some of those whose first instruction cannot be probed.
    pub(in super::super) refused: Vec<String>,
    /// Where functions of the standard library lie that call these themselves: begin and end.
    pub(in super::super) shipped: BTreeMap<u64, u64>,
    pub(in super::super) has_symbols: bool,
    /// There are more of them than are taken.
    pub(in super::super) is_capped: bool,
    /// Of the io-uring crate.
    pub(in super::super) pushes: Pushes,
}

/// Why there is nothing to look for in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Unfit {
    NoElf,
    /// Of another machine.
    Foreign,
    LinksProbe,
}

impl Look {
    pub(in super::super) fn functions(
        &mut self,
        patience: &mut Patience,
    ) -> Result<Result<Functions, Unfit>, Why> {
        let answer = self.ask("functions", patience)?;
        Ok(match &*answer {
            "elf" => Err(Unfit::NoElf),
            "foreign" => Err(Unfit::Foreign),
            "probe" => Err(Unfit::LinksProbe),
            answer => Ok(Functions::understood(answer)),
        })
    }
}

pub(super) fn find(cache: &ReadCache<std::fs::File>) -> Result<(Elf<'_>, Functions), Unfit> {
    let elf = Elf::parse(cache).map_err(|_| Unfit::NoElf)?;
    if elf.architecture() != object::Architecture::X86_64 || cfg!(not(target_arch = "x86_64")) {
        return Err(Unfit::Foreign);
    }
    if elf.section_by_name(".note.tracer").is_some() {
        return Err(Unfit::LinksProbe);
    }
    let found = functions(&elf);
    Ok((elf, found))
}

pub(super) fn written(found: &Result<(Elf<'_>, Functions), Unfit>) -> String {
    match found {
        Ok((_, functions)) => functions.written(),
        Err(Unfit::NoElf) => "elf".to_owned(),
        Err(Unfit::Foreign) => "foreign".to_owned(),
        Err(Unfit::LinksProbe) => "probe".to_owned(),
    }
}

impl Functions {
    fn written(&self) -> String {
        let mut out = format!("s {}\n", u8::from(self.has_symbols));
        for function in &self.functions {
            let (call, cost) = (
                function.call as u8,
                u8::from(function.cost == Cost::SingleStepped),
            );
            let _ = writeln!(
                out,
                "f {:x} {:x} {call:x} {:x} {cost} {}",
                function.offset,
                function.address,
                function.owner as u8,
                hex(function.ty.name.as_bytes()),
            );
        }
        for name in &self.refused {
            let _ = writeln!(out, "r {}", hex(name.as_bytes()));
        }
        for (begin, end) in &self.shipped {
            let _ = writeln!(out, "a {begin:x} {end:x}");
        }
        out + &self.pushes.written()
    }

    fn understood(answer: &str) -> Self {
        let mut found = Self::default();
        for line in answer.lines() {
            let (what, mut words) = Words::of(line);
            match what {
                "s" => found.has_symbols = words.number() == Some(1),
                "f" if found.functions.len() < FUNCTIONS_MAX => {
                    found.functions.extend(Function::understood(&mut words));
                }
                "r" if found.refused.len() < REFUSED_MAX => found.refused.extend(words.text()),
                "a" if found.shipped.len() < STRETCHES_MAX => {
                    found.shipped.extend(words.number().zip(words.number()));
                }
                "f" | "a" => found.is_capped = true,
                _ => found.pushes.understand(what, &mut words),
            }
        }
        found
    }
}

impl Function {
    fn understood(words: &mut Words<'_>) -> Option<Self> {
        Some(Self {
            offset: words.number()?,
            address: words.number()?,
            call: Call::of(words.number()?)?,
            owner: Owner::from_u8(words.small()?),
            cost: match words.number()? {
                0 => Cost::Emulated,
                _ => Cost::SingleStepped,
            },
            ty: named(&words.text()?),
        })
    }
}

impl Call {
    fn of(number: u64) -> Option<Self> {
        let all = [
            Self::Leak,
            Self::Reclaim,
            Self::Retain,
            Self::Release,
            Self::Forget,
        ];
        all.into_iter().find(|call| *call as u64 == number)
    }
}

/// Functions that can be probed, those that cannot, and where the standard library's own lie.
fn functions(elf: &Elf<'_>) -> Functions {
    let mut found: BTreeMap<u64, Function> = BTreeMap::new();
    let (mut refused, mut shipped, mut has_symbols) = (Vec::new(), BTreeMap::new(), false);
    for symbol in elf.symbols() {
        if !symbol.is_definition() || symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        has_symbols = true;
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
            if refused.len() < REFUSED_MAX {
                refused.push(name);
            }
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
    Functions {
        functions: found.into_values().collect(),
        refused,
        shipped: joined(shipped),
        has_symbols,
        is_capped: false,
        pushes: pushes::find(elf),
    }
}

/// The same stretches, of which those that touch are one.
fn joined(stretches: BTreeMap<u64, u64>) -> BTreeMap<u64, u64> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (begin, end) in stretches {
        match joined.last_mut() {
            Some((_, last)) if begin <= *last => *last = end.max(*last),
            _ => joined.push((begin, end)),
        }
    }
    joined.into_iter().collect()
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

/// What `mem::forget` forgets, where that is an owner; the type is what the owner owns from then on.
pub(in super::super) fn owned(function: &mut Function) -> bool {
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

    #[test]
    fn functions_arrive_as_they_were_found_and_what_makes_no_sense_is_left_out() {
        let function = Function {
            offset: 0x1000,
            address: 0x401000,
            call: Call::Forget,
            owner: Owner::ArcWeak,
            ty: named("app::Conn<\u{1b}>"),
            cost: Cost::SingleStepped,
        };
        let found = Functions {
            functions: vec![function],
            refused: vec!["alloc::x\ny".to_owned()],
            shipped: joined(BTreeMap::from([(1, 5), (5, 9), (10, 12)])),
            has_symbols: true,
            is_capped: false,
            pushes: Pushes::default(),
        };
        assert_eq!(found.shipped, BTreeMap::from([(1, 9), (10, 12)]));
        assert_eq!(Functions::understood(&found.written()), found);
        let broken = "f 1 2 5 0 0 \nf 1\na 1\nr 0\nz\nl 1";
        assert_eq!(Functions::understood(broken), Functions::default());
    }

    #[test]
    fn that_there_are_more_than_are_taken_is_known() {
        let stretches = |count: usize| -> String {
            let lines =
                (0..count).map(|number| format!("a {:x} {:x}\n", 2 * number, 2 * number + 1));
            lines.collect()
        };
        let all = Functions::understood(&stretches(STRETCHES_MAX));
        assert_eq!((all.shipped.len(), all.is_capped), (STRETCHES_MAX, false));
        let most = Functions::understood(&stretches(STRETCHES_MAX + 1));
        assert_eq!((most.shipped.len(), most.is_capped), (STRETCHES_MAX, true));
    }
}
