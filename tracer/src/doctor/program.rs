//! What a program has that call stacks and names need: a build-id, frame pointers, debug information.
//!
//! Frame pointers are seen by how functions begin: those that keep them save the old one and take the new one
//! first. Functions of the standard library are counted apart, because it comes built.

use std::path::Path;

use anyhow::anyhow;
use object::read::ReadCache;
use object::read::elf::ElfFile64;
use object::{Architecture, Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::Answer;
use crate::exit::Failure;
use crate::record::hex;
use crate::symbols;

/// Bytes at the beginning of a function in which a frame is set up.
const PROLOGUE: usize = 48;
/// Functions shorter than this have no room for a frame.
const SHORTEST: u64 = 16;

/// Answers about a program.
pub(super) fn answers(path: &Path) -> Result<Vec<Answer>, Failure> {
    let shown = crate::safe::path(path);
    let file = symbols::open_ordinary(path).map_err(|why| {
        let why = why.replace(" any more", "");
        anyhow!("{shown} {why}; `tracer doctor` takes the path of a program")
    })?;
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<object::Endianness, _>::parse(&cache).map_err(|_| {
        anyhow!("{shown} is no 64-bit ELF program; name the program itself, not a script")
    })?;
    let id = elf.build_id().ok().flatten();
    Ok(vec![
        build_id(id),
        frames(&count(&elf), elf.architecture()),
        names(elf.section_by_name(".debug_info").is_some(), id.is_some()),
    ])
}

fn build_id(id: Option<&[u8]>) -> Answer {
    match id {
        Some(id) => Answer::ok("build-id", hex(id)),
        None => Answer::warn(
            "build-id",
            "none: call stacks show offsets, because nobody can tell whether a file is the one that ran",
            "link with `-C link-arg=-Wl,--build-id`",
        ),
    }
}

fn names(has_debug: bool, has_id: bool) -> Answer {
    let fix = "build with `debug = \"line-tables-only\"` in the profile; in a file apart it is found by build-id";
    match (has_debug, has_id) {
        (true, _) => Answer::ok("names", "debug information is in the program"),
        (false, true) => Answer::warn(
            "names",
            "no debug information in the program: no lines unless it lies in a file apart",
            fix,
        ),
        (false, false) => Answer::warn("names", "no debug information in the program", fix),
    }
}

/// Functions, and those of them that keep a frame pointer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    own: (u64, u64),
    std: (u64, u64),
}

fn count<'a>(elf: &ElfFile64<'a, object::Endianness, &'a ReadCache<std::fs::File>>) -> Counts {
    let mut counts = Counts::default();
    let architecture = elf.architecture();
    for symbol in elf.symbols() {
        let is_function = symbol.is_definition() && symbol.kind() == SymbolKind::Text;
        if !is_function || symbol.size() < SHORTEST {
            continue;
        }
        let section = symbol
            .section_index()
            .and_then(|at| elf.section_by_index(at).ok());
        let length = symbol.size().min(PROLOGUE as u64);
        let bytes =
            section.and_then(|section| section.data_range(symbol.address(), length).ok()?);
        let Some(bytes) = bytes else { continue };
        let name = String::from_utf8_lossy(symbol.name_bytes().unwrap_or_default()).into_owned();
        let name = addr2line::demangle_auto(name.into(), None);
        let side = if is_shipped(&name) {
            &mut counts.std
        } else {
            &mut counts.own
        };
        side.0 += 1;
        side.1 += u64::from(keeps_frame(bytes, architecture));
    }
    counts
}

/// Whether a function speaks of nothing but what comes with the compiler. It is what a Rust path begins with
/// that counts, wherever in the name it stands: `<app::Conn as core::fmt::Debug>::fmt` is the program's.
fn is_shipped(name: &str) -> bool {
    const SHIPPED: [&str; 21] = [
        "__rustc",
        // Linked into a program in C, the probe was built by whoever made the library.
        "probe",
        "wire",
        "tracer_probe_c",
        "std",
        "core",
        "alloc",
        "compiler_builtins",
        "panic_unwind",
        "unwind",
        "std_detect",
        "hashbrown",
        "rustc_demangle",
        "addr2line",
        "gimli",
        "object",
        "miniz_oxide",
        "adler2",
        "memchr",
        "libc",
        "test",
    ];
    const STARTUP: [&str; 5] = [
        "main",
        "rust_eh_personality",
        "frame_dummy",
        "register_tm_clones",
        "deregister_tm_clones",
    ];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut has_path = false;
    for (at, _) in name.match_indices("::") {
        let before = &name[..at];
        let word = before.rsplit(|c| !is_word(c)).next().unwrap_or_default();
        let starts_path = !before[..before.len() - word.len()].ends_with("::");
        if starts_path && !word.is_empty() {
            has_path = true;
            if !SHIPPED.contains(&word) {
                return false;
            }
        }
    }
    // Names of C++ that nobody could demangle are the program's, those of its standard library (`St`) apart.
    let is_mangled = name.starts_with("_Z");
    let is_std = ["_ZSt", "_ZNSt", "_ZNKSt", "_ZGVNSt", "_ZTv"]
        .iter()
        .any(|start| name.starts_with(start));
    let is_private = name.starts_with('_') && !is_mangled || name.starts_with("tracer_");
    has_path || name.starts_with('<') || is_private || is_std || STARTUP.contains(&name)
}

/// Whether the beginning of a function saves the frame pointer and takes a new one.
fn keeps_frame(code: &[u8], architecture: Architecture) -> bool {
    match architecture {
        // push rbp; mov rbp, rsp in either encoding.
        Architecture::X86_64 => code
            .windows(4)
            .any(|bytes| matches!(bytes, [0x55, 0x48, 0x89, 0xE5] | [0x55, 0x48, 0x8B, 0xEC])),
        // add x29, sp, #n; of which mov x29, sp is one.
        Architecture::Aarch64 => code
            .as_chunks::<4>()
            .0
            .iter()
            .any(|bytes| u32::from_le_bytes(*bytes) & 0xFFC0_03FF == 0x9100_03FD),
        _ => false,
    }
}

fn frames(counts: &Counts, architecture: Architecture) -> Answer {
    const SUBJECT: &str = "frames";
    const FIX: &str =
        "build with RUSTFLAGS=\"-C force-frame-pointers=yes\" (C: -fno-omit-frame-pointer)";
    let (own, kept) = counts.own;
    if !matches!(architecture, Architecture::X86_64 | Architecture::Aarch64) {
        return Answer::warn(
            SUBJECT,
            "not a program for x86-64 or aarch64",
            "the probe is empty there",
        );
    }
    if own == 0 {
        return Answer::warn(
            SUBJECT,
            "cannot tell: the program is stripped of its symbols",
            "ask for the program before it was stripped",
        );
    }
    let std = match counts.std {
        (0, _) => String::new(),
        (all, kept) => format!(", of the standard library {kept} of {all}"),
    };
    let text = format!("{kept} of {own} functions keep a frame pointer{std}");
    // Some functions call nothing and need no frame, and a part may come from elsewhere.
    if kept * 4 >= own * 3 {
        Answer::ok(SUBJECT, text)
    } else {
        let text = format!("{text}: call stacks are short or missing");
        Answer::warn(SUBJECT, text, FIX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn prologues_of_both_architectures_are_known() {
        let x86 = |code: &[u8]| keeps_frame(code, Architecture::X86_64);
        assert!(x86(&[0x55, 0x48, 0x89, 0xE5, 0x90]));
        assert!(x86(&[0xF3, 0x0F, 0x1E, 0xFA, 0x55, 0x48, 0x89, 0xE5]));
        assert!(!x86(&[0x48, 0x83, 0xEC, 0x18, 0x90, 0x90]));
        let arm = |words: &[u32]| {
            let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            keeps_frame(&code, Architecture::Aarch64)
        };
        // stp x29, x30, [sp, #-32]!; mov x29, sp
        assert!(arm(&[0xA9BE_7BFD, 0x9100_03FD]));
        // sub sp, sp, #64; stp x29, x30, [sp, #48]; add x29, sp, #48
        assert!(arm(&[0xD101_03FF, 0xA903_7BFD, 0x9100_C3FD]));
        // add x0, sp, #8
        assert!(!arm(&[0x9100_23E0]));
    }

    #[test]
    fn functions_are_the_programs_where_any_path_is() {
        for name in [
            "app::main",
            "<app::Conn as core::fmt::Debug>::fmt",
            "serve",
            "_ZN3app4Conn5serveEv",
            "app::Conn::serve(std::string const&)",
            "<&app::X as core::ops::Drop>::drop",
        ] {
            assert!(!is_shipped(name), "{name}");
        }
        for name in [
            "core::ptr::drop_in_place",
            "<&str as core::fmt::Display>::fmt",
            "<u64>::from_ascii_radix",
            "_start",
            "frame_dummy",
            "_ZNSt6vectorIiSaIiEE9push_backEOi",
            "std::vector<int>::push_back(int&&)",
            "tracer_pointer",
        ] {
            assert!(is_shipped(name), "{name}");
        }
    }

    #[test]
    fn few_frame_pointers_are_a_warning_and_none_to_count_is_said() {
        let level = |own, std| frames(&Counts { own, std }, Architecture::X86_64).level;
        assert_eq!(level((100, 95), (0, 0)), Level::Ok);
        assert_eq!(level((100, 50), (100, 100)), Level::Warn);
        let stripped = frames(&Counts::default(), Architecture::X86_64);
        assert!(stripped.text.contains("stripped"));
        assert_eq!(
            frames(&Counts::default(), Architecture::Arm).level,
            Level::Warn
        );
    }
}
