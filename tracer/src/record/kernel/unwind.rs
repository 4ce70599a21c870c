//! Call stacks of code that keeps no frame pointers, as debug builds are made: from the registers and a copy of the top of
//! the stack, by what the program's file says of its frames (`.eh_frame`).
//!
//! Only rules that compilers write for functions are followed, registers and places relative to the frame; where a frame
//! says anything else, or the copy ends, the stack ends. It is all done on copies, and nothing of the program is touched.

use std::sync::Arc;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EhFrameOffset, ParsedEhFrameHdr, Reader as _,
    Register, RegisterRule, RunTimeEndian, UnwindContext, UnwindSection as _, UnwindTableRow,
    X86_64,
};
use object::Endianness;
use object::elf::FileHeader64;
use object::read::ReadCache;
use object::read::elf::{FileHeader as _, SectionHeader as _};

use crate::symbols::debug::Reader;

/// Sections that a file may have, and bytes of one.
const SECTIONS_MAX: u16 = 4096;
const SECTION_MAX: u64 = 64 << 20;
/// Bytes of all tables together, which stay.
const TABLES_MAX: u64 = 256 << 20;
/// Bytes of what is said of one function: each of them may be an instruction that is carried out.
const ENTRY_MAX: u64 = 64 << 10;
/// The same of all functions of one stack.
const STACK_MAX: u64 = 256 << 10;

/// The registers that a caller finds as they were, in the order in which the kernel lists them.
pub(super) const REGISTERS: usize = 8;
/// Which those are, as bits of the kernel's numbers: BX, BP, SP, IP, R12 to R15.
pub(super) const MASK: u64 = 1 << 1 | 1 << 6 | 1 << 7 | 1 << 8 | 0xF << 20;
const NAMES: [Register; REGISTERS] = [
    X86_64::RBX,
    X86_64::RBP,
    X86_64::RSP,
    X86_64::RA,
    X86_64::R12,
    X86_64::R13,
    X86_64::R14,
    X86_64::R15,
];
const SP: usize = 2;
pub(super) const IP: usize = 3;

/// What a file says of its frames.
pub(super) struct Table {
    frames: EhFrame<Reader>,
    /// The same, as bytes.
    bytes: Reader,
    index: ParsedEhFrameHdr<Reader>,
    bases: BaseAddresses,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

/// A file's table.
#[derive(Debug)]
pub(super) enum Found {
    Table(Arc<Table>),
    /// It has none, or none with an index.
    None,
    /// It is larger than any table is, or all are together.
    TooLarge,
}

/// A section's bytes, and its address.
type Section = (Vec<u8>, u64);

/// It is not read.
struct TooLarge;

impl Table {
    /// Reads it. `taken` counts the bytes of all tables.
    pub(super) fn read(file: &ReadCache<std::fs::File>, taken: &mut u64) -> Found {
        match Self::sections(file, taken) {
            Some(Ok([frames, index])) => Self::parse(frames, index)
                .map_or(Found::None, |table| Found::Table(Arc::new(table))),
            Some(Err(TooLarge)) => Found::TooLarge,
            None => Found::None,
        }
    }

    /// The two sections that it is made of, each with its address.
    fn sections(
        file: &ReadCache<std::fs::File>,
        taken: &mut u64,
    ) -> Option<Result<[Section; 2], TooLarge>> {
        let header = FileHeader64::<Endianness>::parse(file).ok()?;
        let endian = header.endian().ok()?;
        // Before they are read: more than that are counted elsewhere, in a word that says any number; 0 stands for those.
        match header.e_shnum(endian) {
            0 if header.e_shoff(endian) == 0 => return None,
            0 | SECTIONS_MAX.. => return Some(Err(TooLarge)),
            _ => {}
        }
        let sections = header.sections(endian, file).ok()?;
        let find = |name: &[u8]| Some(sections.section_by_name(endian, name)?.1);
        let wanted = [find(b".eh_frame")?, find(b".eh_frame_hdr")?];
        let sizes = wanted.map(|section| section.sh_size(endian));
        let whole = sizes[0].saturating_add(sizes[1]).saturating_add(*taken);
        if sizes.iter().any(|size| *size > SECTION_MAX) || whole > TABLES_MAX {
            return Some(Err(TooLarge));
        }
        *taken = whole;
        let [frames, index] = wanted.map(|section| {
            let bytes = section.data(endian, file).ok()?;
            Some((bytes.to_vec(), section.sh_addr(endian)))
        });
        Some(Ok([frames?, index?]))
    }

    fn parse(
        (frames, frames_at): (Vec<u8>, u64),
        (index, index_at): (Vec<u8>, u64),
    ) -> Option<Self> {
        let reader = |bytes: Vec<u8>| Reader::new(Arc::from(bytes), RunTimeEndian::Little);
        let bases = BaseAddresses::default()
            .set_eh_frame(frames_at)
            .set_eh_frame_hdr(index_at);
        let index = EhFrameHdr::from(reader(index)).parse(&bases, 8).ok()?;
        let bytes = reader(frames);
        Some(Self {
            frames: EhFrame::from(bytes.clone()),
            bytes,
            index,
            bases,
        })
    }

    /// How to go up from an address; `work` counts the bytes of what was read for it.
    fn row<'a>(
        &self,
        context: &'a mut UnwindContext<usize>,
        address: u64,
        work: &mut Work,
    ) -> Option<&'a UnwindTableRow<usize>> {
        let table = self.index.table()?;
        let at = table.lookup(address, &self.bases).ok()?;
        let at = table.pointer_to_offset(at).ok()?;
        work.spend(self.length(at.0)?)?;
        let get = |frames: &EhFrame<Reader>, bases: &BaseAddresses, at: EhFrameOffset<usize>| {
            let length = self.length(at.0);
            let is_affordable = length.and_then(|length| work.spend(length)).is_some();
            if !is_affordable {
                return Err(gimli::Error::NoUnwindInfoForAddress);
            }
            frames.cie_from_offset(bases, at)
        };
        let entry = self.frames.fde_from_offset(&self.bases, at, get).ok()?;
        if !entry.contains(address) {
            return None;
        }
        let row = entry.unwind_info_for_address(&self.frames, &self.bases, context, address);
        row.ok()
    }

    /// Bytes of the entry at a place, by its first word; more than any where it takes two words to say it.
    fn length(&self, at: usize) -> Option<u64> {
        let mut rest = self.bytes.clone();
        rest.skip(at).ok()?;
        rest.read_u32().ok().map(u64::from)
    }
}

/// What following a stack has taken so far.
#[derive(Debug, Default)]
struct Work {
    bytes: u64,
    is_too_much: bool,
}

impl Work {
    /// So many bytes are read; nothing where that is too much.
    fn spend(&mut self, bytes: u64) -> Option<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_too_much |= bytes > ENTRY_MAX || self.bytes > STACK_MAX;
        (!self.is_too_much).then_some(())
    }
}

/// The registers of a call, and what lay on the stack from its end on.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    registers: [u64; REGISTERS],
    stack: &'a [u8],
    /// Where that begins in memory.
    begins: u64,
    work: Work,
}

impl<'a> Walk<'a> {
    pub(super) fn new(registers: [u64; REGISTERS], stack: &'a [u8]) -> Self {
        Self {
            registers,
            stack,
            begins: registers[SP],
            work: Work::default(),
        }
    }

    /// Whether it ended because it took more work than any stack does.
    pub(super) fn is_cut(&self) -> bool {
        self.work.is_too_much
    }

    /// Where it is.
    pub(super) fn address(&self) -> u64 {
        self.registers[IP]
    }

    /// Goes on to the caller of the function that an address, of the file's own, lies in; nothing where there is none, or it
    /// cannot be told.
    pub(super) fn up(
        &mut self,
        table: &Table,
        context: &mut UnwindContext<usize>,
        within: u64,
    ) -> Option<()> {
        let row = table.row(context, within, &mut self.work)?;
        let frame = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.register(*register)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(_) => return None,
        };
        // Stacks grow downwards, and end: neither a damaged table nor a foreign stack goes round for ever.
        if frame <= self.registers[SP] {
            return None;
        }
        let mut next = self.registers;
        for (value, name) in next.iter_mut().zip(NAMES) {
            *value = match row.register(name) {
                Some(RegisterRule::Offset(at)) => self.word(frame.wrapping_add_signed(at))?,
                Some(RegisterRule::ValOffset(by)) => frame.wrapping_add_signed(by),
                Some(RegisterRule::Register(other)) => self.register(other)?,
                Some(RegisterRule::Undefined) if name == X86_64::RA => return None,
                Some(RegisterRule::SameValue | RegisterRule::Undefined) => *value,
                None if name == X86_64::RA => return None,
                None => *value,
                Some(_) => return None,
            };
        }
        next[SP] = frame;
        if next[IP] == 0 {
            return None;
        }
        self.registers = next;
        Some(())
    }

    fn register(&self, register: Register) -> Option<u64> {
        let at = NAMES.iter().position(|name| *name == register)?;
        self.registers.get(at).copied()
    }

    /// A word of the stack.
    fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.begins)?).ok()?;
        let bytes = self.stack.get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one function, from 0x1000 on, of which `padding` instructions are said that do nothing.
    fn table(padding: usize) -> Table {
        const FRAMES_AT: u64 = 0x10000;
        const INDEX_AT: u64 = 0x20000;
        let entry = |body: &[u8]| {
            let mut body = body.to_vec();
            body.resize(body.len().next_multiple_of(8) + 4, 0);
            [&(body.len() as u32).to_le_bytes(), &body[..]].concat()
        };
        // Version 1, no augmentation, factors 1 and -8, the return address in RA; CFA is RSP + 8, RA lies below that.
        let mut head = vec![0, 0, 0, 0, 1, 0, 1, 0x78, 16];
        head.extend([0x0c, 7, 8, 0x80 | 16, 1]);
        let head = entry(&head);
        let back = (head.len() as u32 + 4).to_le_bytes();
        let begins = 0x1000u64.to_le_bytes();
        let len = 0x100u64.to_le_bytes();
        let body = [&back[..], &begins, &len, &vec![0; padding]].concat();
        let frames = [head.clone(), entry(&body), vec![0; 4]].concat();
        // Version 1: where the frames are, from the index on; a count; pairs of addresses, from there on, too.
        let relative = |to: u64| (to.wrapping_sub(INDEX_AT) as u32).to_le_bytes();
        let at = FRAMES_AT + head.len() as u64;
        let index = [
            &[1, 0x3b, 0x03, 0x3b][..],
            &relative(FRAMES_AT),
            &1u32.to_le_bytes(),
            &relative(0x1000),
            &relative(at),
        ]
        .concat();
        Table::parse((frames, FRAMES_AT), (index, INDEX_AT)).unwrap()
    }

    /// How many callers are found on a stack of return addresses into that function, and whether it was cut off.
    fn callers(table: &Table, depth: usize) -> (usize, bool) {
        let stack: Vec<u8> = std::iter::repeat_n(0x1010u64.to_le_bytes(), depth)
            .flatten()
            .collect();
        let mut registers = [0; REGISTERS];
        (registers[SP], registers[IP]) = (0x7000, 0x1010);
        let mut walk = Walk::new(registers, &stack);
        let mut context = UnwindContext::new();
        let mut found = 0;
        while walk.up(table, &mut context, 0x1010).is_some() {
            found += 1;
        }
        (found, walk.is_cut())
    }

    #[test]
    fn a_stack_is_followed_until_its_copy_ends() {
        assert_eq!(callers(&table(0), 60), (60, false));
        assert_eq!(callers(&table(1000), 60), (60, false));
    }

    #[test]
    fn what_takes_more_work_than_any_compiler_writes_is_cut_off() {
        let (found, is_cut) = callers(&table(20 << 10), 60);
        assert!(is_cut && (10..14).contains(&found), "{found}");
        assert_eq!(callers(&table(ENTRY_MAX as usize), 60), (0, true));
    }
}
