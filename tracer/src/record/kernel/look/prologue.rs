//! What the kernel makes of a probe on a function's first instruction: nothing, an emulation, or a single step.
//!
//! It refuses instructions with a LOCK prefix, and does so in silence where the file is not mapped yet. Most others it
//! runs in a place of its own with a trap behind them, at some ten microseconds a call; a few it does itself, at two.

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Cost {
    Emulated,
    SingleStepped,
}

/// What a probe on code that begins so costs; nothing where there can be none.
pub(super) fn cost(code: &[u8]) -> Option<Cost> {
    let mut rest = code;
    // Prefixes of size and segment, and that of repetition.
    while let [
        0x66 | 0x67 | 0x2E | 0x36 | 0x3E | 0x26 | 0x64 | 0x65 | 0xF2 | 0xF3,
        more @ ..,
    ] = rest
    {
        rest = more;
    }
    // REX
    if let [0x40..=0x4F, more @ ..] = rest {
        rest = more;
    }
    match rest {
        // LOCK; traps, halts, and what is no instruction.
        [] | [0x0F, 0x0B, ..] | [0xF0 | 0xCC | 0xCE | 0xF4, ..] => None,
        // push, nop, jumps and calls by a distance.
        [0x50..=0x57 | 0x90 | 0xEB | 0xE9 | 0xE8 | 0x70..=0x7F, ..]
        | [0x0F, 0x1F | 0x80..=0x8F, ..] => Some(Cost::Emulated),
        _ => Some(Cost::SingleStepped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_probed_is_told_from_what_is_dear() {
        let lock_inc = [0xF0, 0x48, 0xFF, 0x47, 0xF0];
        assert_eq!(cost(&lock_inc), None);
        assert_eq!(cost(&[0x66, 0xF0, 0xFF, 0x07]), None);
        assert_eq!(cost(&[0x0F, 0x0B]), None, "ud2");
        assert_eq!(cost(&[]), None);
        let push = [0x50, 0x48, 0x89];
        assert_eq!(cost(&push), Some(Cost::Emulated));
        assert_eq!(cost(&[0x41, 0x57]), Some(Cost::Emulated), "push r15");
        assert_eq!(cost(&[0xE9, 0, 0, 0, 0]), Some(Cost::Emulated));
        let nop5 = [0x0F, 0x1F, 0x44, 0, 0];
        assert_eq!(cost(&nop5), Some(Cost::Emulated));
        let sub_rsp = [0x48, 0x83, 0xEC, 0x18];
        assert_eq!(cost(&sub_rsp), Some(Cost::SingleStepped));
        let endbr64 = [0xF3, 0x0F, 0x1E, 0xFA];
        assert_eq!(cost(&endbr64), Some(Cost::SingleStepped));
    }
}
