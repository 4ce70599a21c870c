//! Call stacks of code that keeps no frame pointers, as debug builds are made: from the registers and a copy of the top of
//! the stack, by what the program's file says of its frames (`.eh_frame`).
//!
//! Only rules that compilers write for functions are followed, registers and places relative to the frame; where a frame
//! says anything else, or the copy ends, the stack ends. It is all done on copies, and nothing of the program is touched.

use std::sync::Arc;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, ParsedEhFrameHdr, Register, RegisterRule,
    RunTimeEndian, UnwindContext, UnwindSection as _, UnwindTableRow, X86_64,
};
use object::{Object, ObjectSection};

use crate::symbols::debug::{Elf, Reader};

/// Sections beyond that are left alone: a file may be anybody's.
const SECTION_MAX: u64 = 64 << 20;

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
    index: ParsedEhFrameHdr<Reader>,
    bases: BaseAddresses,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

impl Table {
    /// Reads it, where there is one with an index.
    pub(super) fn read(elf: &Elf<'_>) -> Option<Self> {
        let section = |name| {
            let section = elf.section_by_name(name)?;
            // Before it is read: the file is somebody else's.
            let bytes = (section.size() <= SECTION_MAX).then(|| section.data().ok())??;
            let bytes = Reader::new(Arc::from(bytes), RunTimeEndian::Little);
            Some((bytes, section.address()))
        };
        let (frames, frames_at) = section(".eh_frame")?;
        let (index, index_at) = section(".eh_frame_hdr")?;
        let bases = BaseAddresses::default()
            .set_eh_frame(frames_at)
            .set_eh_frame_hdr(index_at);
        let index = EhFrameHdr::from(index).parse(&bases, 8).ok()?;
        Some(Self {
            frames: EhFrame::from(frames),
            index,
            bases,
        })
    }

    fn row<'a>(
        &self,
        context: &'a mut UnwindContext<usize>,
        address: u64,
    ) -> Option<&'a UnwindTableRow<usize>> {
        let table = self.index.table()?;
        let get = EhFrame::cie_from_offset;
        table
            .unwind_info_for_address(&self.frames, &self.bases, context, address, get)
            .ok()
    }
}

/// The registers of a call, and what lay on the stack from its end on.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    registers: [u64; REGISTERS],
    stack: &'a [u8],
    /// Where that begins in memory.
    begins: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(registers: [u64; REGISTERS], stack: &'a [u8]) -> Self {
        Self {
            registers,
            stack,
            begins: registers[SP],
        }
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
        let row = table.row(context, within)?;
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
