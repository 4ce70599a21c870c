//! What a file says of the frames of its functions (`.eh_frame`, found by `.eh_frame_hdr`): how to go up from an address.
//!
//! Only rules that compilers write for functions are passed on, registers and places relative to the frame; where a frame
//! says anything else, nobody goes up from there.

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

use super::words::Words;
use super::{Look, Patience, Why};
use crate::symbols::debug::Reader;

/// Sections that a file may have, and bytes of one.
const SECTIONS_MAX: u16 = 4096;
const SECTION_MAX: u64 = 64 << 20;
/// Bytes of what is said of one function: each of them may be an instruction that is carried out.
const ENTRY_MAX: u64 = 64 << 10;

/// The registers that a caller finds as they were, in the order in which the kernel lists them.
pub(in super::super) const REGISTERS: usize = 8;
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
pub(in super::super) const SP: usize = 2;
pub(in super::super) const IP: usize = 3;

/// How to go up from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Row {
    /// The frame: one of the registers, and a distance from there.
    pub(in super::super) frame: (usize, i64),
    /// Where the caller's registers are.
    pub(in super::super) rules: [Rule; REGISTERS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Rule {
    /// As it is.
    Same,
    /// The word that lies so far from the frame.
    At(i64),
    /// The frame, and so far.
    Off(i64),
    /// Another one of the registers.
    Of(usize),
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Up {
    Row(Row),
    /// There is no caller, or it cannot be told.
    None,
    /// It takes more work than anything that a compiler wrote.
    TooMuch,
}

/// A file's table, as far as whoever asks hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Size {
    /// So many bytes.
    Bytes(u64),
    /// It has none, or none with an index.
    None,
    /// It is larger than any table is.
    TooLarge,
    /// It is larger than what may be read still.
    NoRoom,
}

impl Look {
    /// Has the file's table read, if it is no larger than that.
    pub(in super::super) fn table(
        &mut self,
        most: u64,
        patience: &mut Patience,
    ) -> Result<Size, Why> {
        let answer = self.ask(&format!("table {most:x}"), patience)?;
        Ok(Size::understood(&answer).unwrap_or(Size::None))
    }

    /// How to go up from an address.
    pub(in super::super) fn row(
        &mut self,
        address: u64,
        patience: &mut Patience,
    ) -> Result<Up, Why> {
        let answer = self.ask(&format!("row {address:x}"), patience)?;
        Ok(Up::understood(&answer).unwrap_or(Up::None))
    }
}

impl Size {
    fn understood(answer: &str) -> Option<Self> {
        let (what, mut words) = Words::of(answer);
        match what {
            "t" => Some(Self::Bytes(words.number()?.min(2 * SECTION_MAX))),
            "large" => Some(Self::TooLarge),
            "full" => Some(Self::NoRoom),
            _ => None,
        }
    }
}

impl Up {
    pub(super) fn written(self) -> String {
        let Row { frame, rules } = match self {
            Self::Row(row) => row,
            Self::None => return String::new(),
            Self::TooMuch => return "much".to_owned(),
        };
        let mut out = format!("u {:x} {:x}", frame.0, frame.1.cast_unsigned());
        for rule in rules {
            let (kind, number) = match rule {
                Rule::Same => (0, 0),
                Rule::At(by) => (1, by.cast_unsigned()),
                Rule::Off(by) => (2, by.cast_unsigned()),
                Rule::Of(other) => (3, other as u64),
            };
            out += &format!(" {kind} {number:x}");
        }
        out
    }

    fn understood(answer: &str) -> Option<Self> {
        let (what, mut words) = Words::of(answer);
        match what {
            "u" => {}
            "much" => return Some(Self::TooMuch),
            _ => return None,
        }
        let register = |number: u64| {
            let number = usize::try_from(number).ok();
            number.filter(|number| *number < REGISTERS)
        };
        let frame = (register(words.number()?)?, words.number()?.cast_signed());
        let mut rules = [Rule::Same; REGISTERS];
        for rule in &mut rules {
            let (kind, number) = (words.number()?, words.number()?);
            *rule = match kind {
                0 => Rule::Same,
                1 => Rule::At(number.cast_signed()),
                2 => Rule::Off(number.cast_signed()),
                3 => Rule::Of(register(number)?),
                _ => return None,
            };
        }
        Some(Self::Row(Row { frame, rules }))
    }
}

impl Row {
    /// Nothing where it is more than that, or ends there.
    fn of(row: &UnwindTableRow<usize>) -> Option<Self> {
        let place = |register: &Register| NAMES.iter().position(|name| name == register);
        let frame = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => (place(register)?, *offset),
            CfaRule::Expression(_) => return None,
        };
        let mut rules = [Rule::Same; REGISTERS];
        for (rule, name) in rules.iter_mut().zip(NAMES) {
            *rule = match row.register(name) {
                Some(RegisterRule::Offset(at)) => Rule::At(at),
                Some(RegisterRule::ValOffset(by)) => Rule::Off(by),
                Some(RegisterRule::Register(other)) => Rule::Of(place(&other)?),
                Some(RegisterRule::Undefined) | None if name == X86_64::RA => return None,
                Some(RegisterRule::SameValue | RegisterRule::Undefined) | None => Rule::Same,
                Some(_) => return None,
            };
        }
        Some(Self { frame, rules })
    }
}

/// The table itself.
pub(super) struct Table {
    frames: EhFrame<Reader>,
    /// The same, as bytes.
    bytes: Reader,
    index: ParsedEhFrameHdr<Reader>,
    bases: BaseAddresses,
}

/// What the file has.
pub(super) enum Found {
    Table(Box<Table>, u64),
    None,
    Unread(Unread),
}

/// A section's bytes, and its address.
type Section = (Vec<u8>, u64);

/// Why it is not read: it is too large for any, or for what may be read still.
#[derive(Clone, Copy)]
pub(super) enum Unread {
    TooLarge,
    NoRoom,
}

impl Found {
    /// Reads a file's table, of so many bytes at the most.
    pub(super) fn read(file: &ReadCache<std::fs::File>, most: u64) -> Self {
        match Table::sections(file, most) {
            Some(Ok([frames, index])) => {
                let bytes = (frames.0.len() + index.0.len()) as u64;
                let table = Table::parse(frames, index).map(Box::new);
                table.map_or(Self::None, |table| Self::Table(table, bytes))
            }
            Some(Err(why)) => Self::Unread(why),
            None => Self::None,
        }
    }

    pub(super) fn written(&self) -> String {
        match self {
            Self::Table(_, bytes) => format!("t {bytes:x}"),
            Self::None => String::new(),
            Self::Unread(Unread::TooLarge) => "large".to_owned(),
            Self::Unread(Unread::NoRoom) => "full".to_owned(),
        }
    }

    pub(super) fn table(self) -> Option<Box<Table>> {
        match self {
            Self::Table(table, _) => Some(table),
            _ => None,
        }
    }
}

impl Table {
    /// The two sections that it is made of, each with its address.
    fn sections(
        file: &ReadCache<std::fs::File>,
        most: u64,
    ) -> Option<Result<[Section; 2], Unread>> {
        let header = FileHeader64::<Endianness>::parse(file).ok()?;
        let endian = header.endian().ok()?;
        // Before they are read: more than that are counted elsewhere, in a word that says any number; 0 stands for those.
        match header.e_shnum(endian) {
            0 if header.e_shoff(endian) == 0 => return None,
            0 | SECTIONS_MAX.. => return Some(Err(Unread::TooLarge)),
            _ => {}
        }
        let sections = header.sections(endian, file).ok()?;
        let find = |name: &[u8]| Some(sections.section_by_name(endian, name)?.1);
        let wanted = [find(b".eh_frame")?, find(b".eh_frame_hdr")?];
        let sizes = wanted.map(|section| section.sh_size(endian));
        let whole = sizes[0].saturating_add(sizes[1]);
        if sizes.iter().any(|size| *size > SECTION_MAX) {
            return Some(Err(Unread::TooLarge));
        }
        if whole > most {
            return Some(Err(Unread::NoRoom));
        }
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

    /// How to go up from an address.
    pub(super) fn row(&self, address: u64) -> Up {
        let mut work = 0;
        let up = self.up(address, &mut work);
        if work > ENTRY_MAX {
            return Up::TooMuch;
        }
        up.map_or(Up::None, Up::Row)
    }

    /// The same; `work` is the most bytes that an entry has which was to be read for it.
    fn up(&self, address: u64, work: &mut u64) -> Option<Row> {
        let table = self.index.table()?;
        let at = table.lookup(address, &self.bases).ok()?;
        let at = table.pointer_to_offset(at).ok()?;
        let mut is_affordable = |at: EhFrameOffset<usize>| {
            *work = (*work).max(self.length(at.0)?);
            (*work <= ENTRY_MAX).then_some(())
        };
        is_affordable(at)?;
        let head = |frames: &EhFrame<Reader>, bases: &BaseAddresses, at: EhFrameOffset<usize>| {
            is_affordable(at).ok_or(gimli::Error::NoUnwindInfoForAddress)?;
            frames.cie_from_offset(bases, at)
        };
        let entry = self.frames.fde_from_offset(&self.bases, at, head).ok()?;
        if !entry.contains(address) {
            return None;
        }
        let mut context = UnwindContext::new();
        let row = entry.unwind_info_for_address(&self.frames, &self.bases, &mut context, address);
        Row::of(row.ok()?)
    }

    /// Bytes of the entry at a place, by its first word; more than any where it takes two words to say it.
    fn length(&self, at: usize) -> Option<u64> {
        let mut rest = self.bytes.clone();
        rest.skip(at).ok()?;
        rest.read_u32().ok().map(u64::from)
    }
}

#[cfg(test)]
pub(in super::super) mod tests {
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

    /// What is said of an address in that function.
    pub(in super::super::super) fn up(padding: usize) -> Up {
        table(padding).row(0x1010)
    }

    #[test]
    fn what_takes_more_work_than_any_compiler_writes_is_left() {
        assert!(matches!(up(0), Up::Row(_)));
        assert_eq!(up(20 << 10), up(0));
        assert_eq!(up(ENTRY_MAX as usize), Up::TooMuch);
        assert_eq!(table(0).row(0x1100), Up::None, "behind its end");
    }

    #[test]
    fn a_row_arrives_as_it_was_found_or_not_at_all() {
        let rules = [
            Rule::Of(7),
            Rule::Off(-8),
            Rule::Same,
            Rule::At(i64::MIN),
            Rule::Same,
            Rule::At(16),
            Rule::Same,
            Rule::Same,
        ];
        let row = Up::Row(Row {
            frame: (2, -16),
            rules,
        });
        assert_eq!(Up::understood(&row.written()), Some(row));
        assert_eq!(Up::understood("much"), Some(Up::TooMuch));
        for broken in [
            "",
            "u",
            "u 8 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
            "u 2 8 1 0",
        ] {
            assert_eq!(Up::understood(broken), None, "{broken}");
        }
        assert_eq!(Size::understood("t 10"), Some(Size::Bytes(16)));
        assert_eq!(Size::understood("large"), Some(Size::TooLarge));
        assert_eq!(Size::understood("full"), Some(Size::NoRoom));
        assert_eq!(Size::understood("t"), None);
    }
}
