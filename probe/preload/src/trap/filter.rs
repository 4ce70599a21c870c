//! The seccomp filter: a program for the kernel that lets everything through but io_uring's calls from the sites, and
//! those from there that could close a ring or block the signal that they come by.

use super::{masks, sites};
use crate::{closing, kernel};

/// What became of the process's privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privileges {
    /// It had the right to install a filter.
    Kept,
    /// It had not, and neither it nor what it starts can ever raise its privileges again (`no_new_privs`).
    GivenUp,
}

/// `struct sock_filter`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    code: u16,
    if_true: u8,
    if_false: u8,
    word: u32,
}

/// `struct sock_fprog`
#[repr(C)]
struct Program {
    count: u16,
    steps: *const Step,
}

/// Steps that the kernel takes (`BPF_MAXINSNS`).
const ROOM: usize = 4096;

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Places in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ADDRESS_LOW: u32 = 8;
const ADDRESS_HIGH: u32 = 12;

const X86_64: u32 = 0xC000_003E;
const ALLOW: u32 = 0x7FFF_0000;
const TRAP: u32 = 0x0003_0000;

struct Steps {
    list: Vec<Step>,
}

impl Steps {
    fn put(&mut self, code: u16, word: u32, if_true: u8, if_false: u8) {
        self.list.push(Step {
            code,
            if_true,
            if_false,
            word,
        });
    }

    fn load(&mut self, place: u32) {
        self.put(LOAD, place, 0, 0);
    }

    fn end(&mut self, what: u32) {
        self.put(RETURN, what, 0, 0);
    }
}

/// The filter for these addresses; nothing where there are too many of them.
fn filter(sites: impl Iterator<Item = usize> + Clone) -> Option<Vec<Step>> {
    // Its room is taken at once: from the shim's own pages.
    let mut steps = Steps {
        list: Vec::with_capacity(ROOM),
    };
    steps.load(ARCHITECTURE);
    steps.put(IF_EQUAL, X86_64, 1, 0);
    steps.end(ALLOW);
    steps.load(NUMBER);
    let others = masks::NUMBERS.into_iter().chain(closing::NUMBERS);
    let mut left = others.clone().count() as u8;
    for number in others {
        // Over the rest of these, and the four steps that come then.
        steps.put(IF_EQUAL, number, left + 3, 0);
        left -= 1;
    }
    steps.put(IF_AT_LEAST, kernel::SETUP as u32, 1, 0);
    steps.end(ALLOW);
    steps.put(IF_GREATER, kernel::REGISTER as u32, 0, 1);
    steps.end(ALLOW);
    let high = |site: usize| (site as u64 >> 32) as u32;
    let mut done: Option<u32> = None;
    // One group for all sites whose upper halves are the same, in order of these.
    while let Some(next) = {
        let left = sites.clone().map(high);
        left.filter(|half| done.is_none_or(|done| *half > done))
            .min()
    } {
        done = Some(next);
        let group = || sites.clone().filter(|site| high(*site) == next);
        let length = group().count() * 2 + 2;
        if steps.list.len() + length + 4 > ROOM {
            return None;
        }
        steps.load(ADDRESS_HIGH);
        steps.put(IF_EQUAL, next, 1, 0);
        // A conditional jump reaches 255 steps.
        steps.put(JUMP, length as u32, 0, 0);
        steps.load(ADDRESS_LOW);
        for site in group() {
            steps.put(IF_EQUAL, site as u32, 0, 1);
            steps.end(TRAP);
        }
        steps.end(ALLOW);
    }
    steps.end(ALLOW);
    Some(steps.list)
}

/// Puts the filter before all threads of the process.
pub(super) fn install() -> Option<Privileges> {
    const EACCES: isize = -13;
    let sites: Vec<usize> = sites::all().collect();
    let steps = filter(sites.iter().copied())?;
    let program = Program {
        count: u16::try_from(steps.len()).ok()?,
        steps: steps.as_ptr(),
    };
    let try_it = || kernel::seccomp_filter((&raw const program).cast());
    match try_it() {
        0 => Some(Privileges::Kept),
        EACCES if kernel::no_new_privileges() && try_it() == 0 => Some(Privileges::GivenUp),
        // Also where a thread has a filter of its own, which cannot be brought into line with this one.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do with it.
    fn run(steps: &[Step], number: u32, architecture: u32, address: u64) -> u32 {
        let (mut at, mut word) = (0, 0);
        loop {
            let step = steps[at];
            at += 1;
            let jump = |truth: bool| usize::from(if truth { step.if_true } else { step.if_false });
            match step.code {
                LOAD => {
                    word = match step.word {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        ADDRESS_LOW => address as u32,
                        _ => (address >> 32) as u32,
                    }
                }
                JUMP => at += step.word as usize,
                IF_EQUAL => at += jump(word == step.word),
                IF_GREATER => at += jump(word > step.word),
                IF_AT_LEAST => at += jump(word >= step.word),
                _ => return step.word,
            }
        }
    }

    #[test]
    fn only_the_named_instructions_are_trapped_and_only_for_io_uring() {
        let sites = [
            0x5555_1234_5678usize,
            0x7FFF_0000_0010,
            0x5555_1234_9999,
            0x7FFE_1234_5678,
        ];
        let steps = filter(sites.into_iter()).unwrap();
        for site in sites {
            let others = masks::NUMBERS.into_iter().chain(closing::NUMBERS);
            for number in [425, 426, 427].into_iter().chain(others) {
                assert_eq!(run(&steps, number, X86_64, site as u64), TRAP);
                assert_eq!(run(&steps, number, X86_64, site as u64 + 1), ALLOW);
            }
            for number in [0, 12, 15, 269, 272, 424, 428, 442, 426 | 0x4000_0000] {
                assert_eq!(run(&steps, number, X86_64, site as u64), ALLOW);
            }
            assert_eq!(run(&steps, 426, 0x4000_0003, site as u64), ALLOW);
            assert_eq!(run(&steps, 426, X86_64, site as u64 + 1), ALLOW);
            assert_eq!(run(&steps, 426, X86_64, site as u64 ^ 1 << 40), ALLOW);
        }
        // The lower half of one and the upper half of another.
        assert_eq!(run(&steps, 426, X86_64, 0x5555_0000_0010), ALLOW);
    }

    #[test]
    fn as_many_as_may_be_found_have_room() {
        let most = (0..sites::MOST).map(|index| 0x5555_0000_0000 + index * 7);
        let steps = filter(most.clone()).unwrap();
        assert!(steps.len() <= ROOM);
        for site in most {
            assert_eq!(run(&steps, 425, X86_64, site as u64), TRAP);
        }
        // Each in another part of memory: more steps than the kernel takes.
        assert!(filter((0..sites::MOST).map(|index| index << 33)).is_none());
    }
}
