//! What a program's file says about loading the shim into it.
//!
//! Before the program starts its headers are read, some kilobytes however large it is. What takes a look at all that
//! is loaded of it waits until the program has ended and somebody asks: [`File::calls_the_kernel`],
//! [`File::allocator`]. They go through it in pieces, of the file that was opened at the start, whatever lies under
//! its name by then.

use std::ffi::OsStr;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::read::{ReadCache, ReadRef as _};

/// The shim's own way to tell, so that both say the same.
#[path = "../../../../probe/preload/src/trap/number.rs"]
mod number;

/// Larger headers are none that a loader would take.
const HEADERS_MAX: u64 = 1 << 20;
/// Of what is loaded of a program no more is looked through.
const LOADED_MAX: u64 = 1 << 30;
/// What is looked through at a time.
const PIECE: usize = 1 << 18;

/// What a program's file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Nothing is against it.
    Ordinary,
    /// Not looked into: a script, or not to be read.
    Unknown,
    Static,
    Raised,
    /// Of another C library, or another architecture.
    Foreign,
    /// It loads the runtime of a sanitizer.
    Sanitizer(String),
}

impl Program {
    /// Whether it would not start, or not as ever, with the shim.
    pub(super) fn refuses(&self) -> bool {
        matches!(
            self,
            Self::Static | Self::Raised | Self::Foreign | Self::Sanitizer(_)
        )
    }
}

/// A program's file, open.
#[derive(Debug)]
pub(super) struct File<R = std::fs::File> {
    bytes: R,
    /// What is loaded of it.
    parts: Vec<Part>,
}

/// A part of the file that is loaded: where it lies, and whether it is code.
#[derive(Clone, Copy, Debug)]
struct Part {
    offset: u64,
    size: u64,
    is_code: bool,
}

/// What a command's first word names, and its file, where that is a program that the shim could be loaded into.
pub(super) fn look(name: &OsStr) -> (Program, Option<File>) {
    let unknown = (Program::Unknown, None);
    let Some(path) = find(name) else {
        return unknown;
    };
    let Ok(found) = std::fs::metadata(&path) else {
        return unknown;
    };
    // Of a setuid program that belongs to this very user nothing is raised.
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let mode = found.mode();
    if mode & 0o4000 != 0 && found.uid() != uid || mode & 0o2000 != 0 && found.gid() != gid {
        return (Program::Raised, None);
    }
    if !found.is_file() {
        return unknown;
    }
    match std::fs::File::open(&path) {
        Ok(file) => headers(file),
        Err(_) => unknown,
    }
}

/// Reads a file's headers.
fn headers<R: Read + Seek>(mut bytes: R) -> (Program, Option<File<R>>) {
    let mut magic = [0; 4];
    if bytes.read_exact(&mut magic).is_err() || magic != elf::ELFMAG {
        return (Program::Unknown, None);
    }
    let cache = ReadCache::new(bytes);
    let (program, parts) = of_elf(&cache).unwrap_or((Program::Foreign, Vec::new()));
    let file = (!parts.is_empty()).then(|| File {
        bytes: cache.into_inner(),
        parts,
    });
    (program, file)
}

/// What the headers of an ELF file say, as its loader reads them, and what is loaded of it. Nothing where they are
/// none of a program for a machine of this kind.
fn of_elf<R: Read + Seek>(data: &ReadCache<R>) -> Option<(Program, Vec<Part>)> {
    let own = match std::env::consts::ARCH {
        "x86_64" => elf::EM_X86_64,
        _ => elf::EM_AARCH64,
    };
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != own {
        return None;
    }
    let segments = header.program_headers(endian, data).ok()?;
    let parts = parts(segments, endian);
    let is_small = |segment: &&ProgramHeader64<Endianness>| segment.p_filesz(endian) <= HEADERS_MAX;
    let of_kind = |kind: elf::ProgramType| {
        let mut segments = segments.iter().filter(is_small);
        segments.find(|segment| segment.p_type(endian) == kind)
    };
    let Some(interpreter) = of_kind(elf::PT_INTERP) else {
        return Some((Program::Static, parts));
    };
    let interpreter = interpreter.interpreter(endian, data).ok()??;
    if !holds(interpreter, b"/ld-linux") {
        return None;
    }
    let dynamic =
        of_kind(elf::PT_DYNAMIC).and_then(|segment| segment.dynamic(endian, data).ok()?);
    let dynamic = dynamic.unwrap_or(&[]);
    let value = |tag: elf::DynamicTag| {
        let mut entries = dynamic.iter();
        let found = entries.find(|entry| entry.tag(endian) == tag);
        found.map(|entry| entry.d_val(endian))
    };
    // An address in memory, and where it lies in the file.
    let names = value(elf::DT_STRTAB).and_then(|address| {
        segments.iter().find_map(|segment| {
            let within = address.checked_sub(segment.p_vaddr(endian))?;
            let is_it = segment.p_type(endian) == elf::PT_LOAD && within < segment.p_filesz(endian);
            is_it.then(|| segment.p_offset(endian).saturating_add(within))
        })
    });
    let end = data.len().ok()?;
    for entry in dynamic {
        if let (elf::DT_NEEDED, Some(names)) = (entry.tag(endian), names) {
            let start = names.saturating_add(entry.d_val(endian));
            let name = data.read_bytes_at_until(start..end, 0).unwrap_or(&[]);
            for library in ["libasan.so", "libtsan.so", "libhwasan.so"] {
                if name.starts_with(library.as_bytes()) {
                    return Some((Program::Sanitizer(library.to_owned()), parts));
                }
            }
        }
    }
    Some((Program::Ordinary, parts))
}

fn parts(segments: &[ProgramHeader64<Endianness>], endian: Endianness) -> Vec<Part> {
    let loaded = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD && segment.p_filesz(endian) != 0);
    let mut left = LOADED_MAX;
    let mut parts = Vec::new();
    for segment in loaded {
        let size = segment.p_filesz(endian).min(left);
        left -= size;
        parts.push(Part {
            offset: segment.p_offset(endian),
            size,
            is_code: segment.p_flags(endian).0 & elf::PF_X.0 != 0,
        });
    }
    parts
}

impl<R: Read + Seek> File<R> {
    /// Whether its code holds a number of io_uring's, and makes a system call right behind it.
    pub(super) fn calls_the_kernel(&mut self) -> bool {
        cfg!(target_arch = "x86_64")
            && self.any(true, number::REACH + CALL.len(), |code| {
                let mut places = memchr::memmem::find_iter(code, &CALL);
                places.any(|at| number::is_before(code.get(..at).unwrap_or(&[])))
            })
    }

    /// The allocator that is linked into it, by what that says of itself in messages, which stay when names are
    /// stripped.
    pub(super) fn allocator(&mut self) -> Option<&'static str> {
        let known = [("jemalloc", "<jemalloc>: "), ("mimalloc", "mimalloc: ")];
        let mut found = None;
        self.any(false, 16, |bytes| {
            let mut known = known.iter();
            let holds = |text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
            found = known.find(|(_, text)| holds(text)).map(|(name, _)| *name);
            found.is_some()
        });
        found
    }

    /// Whether something is in any part that is loaded, or in the code alone: looked for in pieces, of which each
    /// begins with the last bytes of the one before.
    fn any(
        &mut self,
        code_only: bool,
        overlap: usize,
        mut is_in: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        let mut piece = Vec::new();
        for part in &self.parts {
            if code_only && !part.is_code || self.bytes.seek(SeekFrom::Start(part.offset)).is_err()
            {
                continue;
            }
            piece.clear();
            let mut rest = Read::take(&mut self.bytes, part.size);
            loop {
                piece.drain(..piece.len().saturating_sub(overlap));
                let room = (PIECE - piece.len()) as u64;
                match Read::take(&mut rest, room).read_to_end(&mut piece) {
                    Ok(1..) => {}
                    // Shorter than its headers say, or not to be read any more.
                    Ok(0) | Err(_) => break,
                }
                if is_in(&piece) {
                    return true;
                }
            }
        }
        false
    }
}

/// `syscall`
const CALL: [u8; 2] = [0x0F, 0x05];

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// The file that a command's first word names.
pub(crate) fn find(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && is_file(path))
}

fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Counts what is read.
    struct Counted<R> {
        bytes: R,
        read: u64,
        largest: usize,
    }

    impl<R> Counted<R> {
        fn new(bytes: R) -> Self {
            Self {
                bytes,
                read: 0,
                largest: 0,
            }
        }
    }

    impl<R: Read> Read for Counted<R> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let read = self.bytes.read(into)?;
            self.read += read as u64;
            self.largest = self.largest.max(into.len());
            Ok(read)
        }
    }

    impl<R: Seek> Seek for Counted<R> {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.bytes.seek(to)
        }
    }

    #[test]
    fn programs_are_told_apart_by_their_files() {
        let of = |name: &str| look(OsStr::new(name)).0;
        assert_eq!(of("sh"), Program::Ordinary);
        assert_eq!(of("no-such-program"), Program::Unknown);
        assert_eq!(of("/etc/passwd"), Program::Unknown);
        assert_eq!(of("/dev/null"), Program::Unknown);
        let of = |bytes: &[u8]| headers(Cursor::new(bytes)).0;
        assert_eq!(of(b"\x7FELF"), Program::Foreign);
        assert_eq!(of(b""), Program::Unknown);
    }

    #[test]
    fn of_a_large_program_its_headers_are_read_before_it_starts_and_the_rest_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large");
        let own = std::env::current_exe().unwrap();
        std::fs::copy(own, &large).unwrap();
        // Debugging information, say: it is not loaded, and nobody looks at it. A hole takes no room.
        let whole = std::fs::OpenOptions::new()
            .write(true)
            .open(&large)
            .unwrap();
        whole.set_len(64 << 30).unwrap();
        let (program, file) = headers(Counted::new(std::fs::File::open(&large).unwrap()));
        let mut file = file.unwrap();
        assert_eq!(program, Program::Ordinary);
        assert!(file.bytes.read < 100_000, "{}", file.bytes.read);
        file.bytes.read = 0;
        // This test itself holds both texts, and may hold the instruction.
        assert_eq!(file.allocator(), Some("jemalloc"));
        file.calls_the_kernel();
        assert!(file.bytes.read > 0);
        assert!(file.bytes.largest <= PIECE, "{}", file.bytes.largest);
        let loaded: u64 = file.parts.iter().map(|part| part.size).sum();
        assert!(file.bytes.read <= 2 * loaded);
    }

    #[test]
    fn headers_that_promise_too_much_are_refused_without_room_for_it() {
        let own = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let mut bytes = Vec::new();
        own.take(1 << 16).read_to_end(&mut bytes).unwrap();
        let segments = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
        let count = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
        for index in 0..count {
            let size = segments + index * 56 + 32;
            bytes[size..size + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        }
        let (program, file) = headers(Counted::new(Cursor::new(bytes)));
        assert_eq!(program, Program::Static, "no interpreter to be read");
        let mut file = file.unwrap();
        file.calls_the_kernel();
        assert!(file.bytes.largest <= PIECE);
    }

    #[test]
    fn system_calls_in_line_are_found_with_their_number_across_pieces() {
        let calls = |code: Vec<u8>| {
            let mut file = File {
                parts: vec![Part {
                    offset: 0,
                    size: code.len() as u64,
                    is_code: true,
                }],
                bytes: Cursor::new(code),
            };
            file.calls_the_kernel()
        };
        let here = cfg!(target_arch = "x86_64");
        for end in [100, PIECE - 1, PIECE, PIECE + 1, PIECE + 90, 2 * PIECE] {
            let mut code = vec![0x90; 3 * PIECE];
            code[end - 90..end - 85].copy_from_slice(&[0xB8, 0xAA, 0x01, 0, 0]);
            assert!(!calls(code.clone()));
            code[end - 2..end].copy_from_slice(&CALL);
            assert_eq!(calls(code.clone()), here, "{end}");
            code[end - 89] = 0xAC;
            assert!(!calls(code));
        }
    }

    #[test]
    fn allocators_are_known_by_their_messages() {
        for (text, expected) in [("<jemalloc>: out", Some("jemalloc")), ("jemalloc", None)] {
            let mut bytes = vec![0; 2 * PIECE];
            bytes[PIECE - 5..PIECE - 5 + text.len()].copy_from_slice(text.as_bytes());
            let mut file = File {
                parts: vec![Part {
                    offset: 0,
                    size: bytes.len() as u64,
                    is_code: false,
                }],
                bytes: Cursor::new(bytes),
            };
            assert_eq!(file.allocator(), expected);
        }
    }
}
