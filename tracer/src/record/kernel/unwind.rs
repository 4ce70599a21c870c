//! Call stacks of code that keeps no frame pointers, as debug builds are made: from the registers and a copy of the top of
//! the stack, by what the program's file says of its frames ([`super::look::frames`]).
//!
//! Where a frame says nothing, or the copy ends, the stack ends. It is all done on copies, and nothing of the program is
//! touched.

use super::look::frames::{IP, REGISTERS, Row, Rule, SP};

/// Which registers those are, as bits of the kernel's numbers: BX, BP, SP, IP, R12 to R15.
pub(super) const MASK: u64 = 1 << 1 | 1 << 6 | 1 << 7 | 1 << 8 | 0xF << 20;

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

    /// Goes on to the caller, as the file says of where it is; nothing where that leads nowhere.
    pub(super) fn up(&mut self, row: &Row) -> Option<()> {
        let (register, by) = row.frame;
        let frame = self.registers.get(register)?.wrapping_add_signed(by);
        // Stacks grow downwards, and end: neither a damaged table nor a foreign stack goes round for ever.
        if frame <= self.registers[SP] {
            return None;
        }
        let mut next = self.registers;
        for (value, rule) in next.iter_mut().zip(row.rules) {
            *value = match rule {
                Rule::Same => *value,
                Rule::At(at) => self.word(frame.wrapping_add_signed(at))?,
                Rule::Off(by) => frame.wrapping_add_signed(by),
                Rule::Of(other) => *self.registers.get(other)?,
            };
        }
        next[SP] = frame;
        if next[IP] == 0 {
            return None;
        }
        self.registers = next;
        Some(())
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
    use super::super::look::frames::{Up, tests::up};
    use super::*;

    #[test]
    fn a_stack_is_followed_until_its_copy_ends() {
        let Up::Row(row) = up(0) else {
            panic!("it says how to go up");
        };
        let stack: Vec<u8> = std::iter::repeat_n(0x1010u64.to_le_bytes(), 60)
            .flatten()
            .collect();
        let mut registers = [0; REGISTERS];
        (registers[SP], registers[IP]) = (0x7000, 0x1010);
        let mut walk = Walk::new(registers, &stack);
        let mut found = 0;
        while walk.up(&row).is_some() {
            found += 1;
        }
        assert_eq!(found, 60);
        // A frame that does not lie above the last one leads nowhere.
        let still = Row {
            frame: (SP, 0),
            ..row
        };
        assert_eq!(Walk::new(registers, &stack).up(&still), None);
    }
}
