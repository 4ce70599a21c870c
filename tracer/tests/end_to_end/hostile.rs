//! A program whose debug information is made to waste what reads it. It runs and ends like any other.

use std::path::{Path, PathBuf};

/// Where it is loaded, with its headers; where its code lies in the file.
const BASE: u64 = 0x400000;
const CODE_AT: u64 = 0x1000;
/// `alloc::rc::Rc<T>::into_raw`
const INTO_RAW: &[u8] = b"_ZN5alloc2rc11Rc$LT$T$GT$8into_raw17h0123456789abcdefE\0";
/// Calls that, and ends.
#[rustfmt::skip]
const CODE: [u8; 18] = [
    0x55, 0x5D, 0xC3, 0x90,          // push, pop, ret
    0xE8, 0xF7, 0xFF, 0xFF, 0xFF,    // call: 9 bytes back
    0x31, 0xFF,                      // no error
    0xB8, 0x3C, 0x00, 0x00, 0x00,    // exit
    0x0F, 0x05,
];
const START: u64 = 4;

/// A section: name, type, flags of it, address, bytes, what it is linked with, and bytes of an entry.
struct Section(&'static str, u32, u64, u64, Vec<u8>, u32, u64);

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// So many units that all name one list of so many ranges: whoever keeps a table of them needs as many entries as the
/// product, of a file of a few megabytes.
pub(crate) fn of_ranges(folder: &Path, units: usize, ranges: usize) -> PathBuf {
    // compile_unit without children; ranges (a place in a section), low_pc (an address).
    let abbreviations = vec![1, 0x11, 0, 0x55, 0x17, 0x11, 0x01, 0, 0, 0];
    let unit = [
        &20u32.to_le_bytes()[..],
        &4u16.to_le_bytes(),
        &0u32.to_le_bytes(),
        &[8, 1],
        &0u32.to_le_bytes(),
        &0u64.to_le_bytes(),
    ];
    let unit = unit.concat();
    assert_eq!(unit.len(), 4 + 20);
    let mut list = words(&[1, 2]).repeat(ranges);
    list.extend(words(&[0, 0]));
    let code = BASE + CODE_AT;
    // Nothing; a global function of the first section, with its address and size.
    let mut symbols = vec![0; 24];
    symbols.extend([1, 0, 0, 0, 0x12, 0, 1, 0]);
    symbols.extend(words(&[code, 3]));
    let sections = [
        Section(".text", 1, 6, code, CODE.to_vec(), 0, 0),
        Section(".symtab", 2, 0, 0, symbols, 3, 24),
        Section(".strtab", 3, 0, 0, [b"\0", INTO_RAW].concat(), 0, 0),
        Section(".debug_abbrev", 1, 0, 0, abbreviations, 0, 0),
        Section(".debug_info", 1, 0, 0, unit.repeat(units), 0, 0),
        Section(".debug_ranges", 1, 0, 0, list, 0, 0),
    ];
    let program = folder.join("hostile");
    std::fs::write(&program, elf(sections.into())).unwrap();
    let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, anybody).unwrap();
    program
}

/// The file: a header, one part that is loaded, the sections, and the table of them.
fn elf(mut sections: Vec<Section>) -> Vec<u8> {
    let mut names = vec![0];
    let mut places = Vec::new();
    for Section(name, ..) in &sections {
        places.push(names.len() as u32);
        names.extend(name.as_bytes());
        names.push(0);
    }
    places.push(names.len() as u32);
    names.extend(b".shstrtab\0");
    sections.push(Section(".shstrtab", 3, 0, 0, names, 0, 0));

    let mut body = vec![0; CODE_AT as usize];
    let mut table = vec![0; 64];
    for (Section(_, kind, flags, address, bytes, link, entry), name) in sections.iter().zip(places)
    {
        let at = body.len() as u64;
        table.extend(name.to_le_bytes());
        table.extend(kind.to_le_bytes());
        table.extend(words(&[*flags, *address, at, bytes.len() as u64]));
        table.extend(link.to_le_bytes());
        // Of the table of symbols: how many are local.
        table.extend(u32::from(*entry > 0).to_le_bytes());
        table.extend(words(&[8, *entry]));
        body.extend(bytes);
        body.resize(body.len().next_multiple_of(8), 0);
    }
    let count = sections.len() as u16 + 1;
    let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    head.extend([2, 0, 0x3E, 0, 1, 0, 0, 0]);
    head.extend(words(&[BASE + CODE_AT + START, 64, body.len() as u64]));
    head.extend([0; 4]);
    for half in [64, 56, 1, 64, count, count - 1] {
        head.extend(u16::to_le_bytes(half));
    }
    // Read and executed.
    head.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    let loaded = CODE_AT + CODE.len() as u64;
    head.extend(words(&[0, BASE, BASE, loaded, loaded, 0x1000]));
    body[..head.len()].copy_from_slice(&head);
    [body, table].concat()
}
