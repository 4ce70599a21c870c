//! Of what the functions are that are probed, where only the debug information says it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use gimli::Reader as _;

use super::functions::{Function, Type};
use super::words::Words;
use super::{Look, Patience, Why};
use crate::record::hex;
use crate::symbols::debug::Reader;

impl Look {
    /// Fills them in, as far as the file says.
    pub(in super::super) fn types(
        &mut self,
        functions: &mut [Function],
        patience: &mut Patience,
    ) -> Result<(), Why> {
        understand(&self.ask("types", patience)?, functions);
        Ok(())
    }

    /// The line of a call, by an address in it.
    pub(in super::super) fn line(
        &mut self,
        inside: u64,
        patience: &mut Patience,
    ) -> Option<(String, u32, u32)> {
        let answer = self.ask(&format!("line {inside:x}"), patience).ok()?;
        let ("l", mut words) = Words::of(&answer) else {
            return None;
        };
        Some((words.text()?, words.small()?, words.small()?))
    }
}

/// By their numbers.
fn understand(answer: &str, functions: &mut [Function]) {
    for line in answer.lines() {
        let ("t", mut words) = Words::of(line) else {
            continue;
        };
        let mut read = || {
            let number = words.small::<usize>()?;
            let (size, align) = (words.number()?, words.number()?);
            let name = words.text()?;
            Some((number, Type { name, size, align }))
        };
        if let Some((number, ty)) = read()
            && let Some(function) = functions.get_mut(number)
        {
            function.ty = ty;
        }
    }
}

pub(super) fn written(dwarf: &gimli::Dwarf<Reader>, functions: &[Function]) -> String {
    let mut found = BTreeMap::new();
    // Where it is broken, what was found before that counts.
    let _ = find(dwarf, functions, &mut found);
    let mut out = String::new();
    for (number, function) in functions.iter().enumerate() {
        if let Some(Type { name, size, align }) = found.get(&function.address) {
            let _ = writeln!(
                out,
                "t {number:x} {size:x} {align:x} {}",
                hex(name.as_bytes())
            );
        }
    }
    out
}

/// Types by the addresses of functions.
fn find(
    dwarf: &gimli::Dwarf<Reader>,
    functions: &[Function],
    found: &mut BTreeMap<u64, Type>,
) -> gimli::Result<()> {
    let wanted: BTreeSet<u64> = functions.iter().map(|it| it.address).collect();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        // One that is broken hides no other.
        let Ok(unit) = dwarf.unit(header) else {
            continue;
        };
        let unit = unit.unit_ref(dwarf);
        let mut ranges = unit.unit_ranges()?;
        let mut is_of_use = false;
        while let Some(range) = ranges.next()? {
            // What a linker threw away has ranges that end before they begin.
            is_of_use |=
                range.begin < range.end && wanted.range(range.begin..range.end).next().is_some();
        }
        if !is_of_use {
            continue;
        }
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let Some(low) = entry.attr_value(gimli::DW_AT_low_pc) else {
                continue;
            };
            let Some(low) = unit.attr_address(low)? else {
                continue;
            };
            if wanted.contains(&low)
                && let Some(ty) = argument(unit, entry.offset())?
            {
                found.insert(low, ty);
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
) -> gimli::Result<Option<Type>> {
    let mut tree = unit.entries_tree(Some(at))?;
    let root = tree.root()?;
    let mut children = root.children();
    while let Some(child) = children.next()? {
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
    use wire::record::Owner;

    use super::super::functions::Call;
    use super::super::prologue::Cost;
    use super::*;

    #[test]
    fn types_are_of_the_functions_that_were_asked_about() {
        let function = Function {
            offset: 0,
            address: 0,
            call: Call::Leak,
            owner: Owner::Rc,
            ty: Type::default(),
            cost: Cost::Emulated,
        };
        let mut functions = vec![function; 2];
        understand("t 1 10 8 41\nt 2 1 1 42\nt 0 1\nx 0 1 1 43", &mut functions);
        let ty = Type {
            name: "A".to_owned(),
            size: 16,
            align: 8,
        };
        assert_eq!(
            (&functions[0].ty, &functions[1].ty),
            (&Type::default(), &ty)
        );
    }
}
