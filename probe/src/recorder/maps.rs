//! The mappings of this process, as the kernel lists them in `/proc/self/maps`.
//!
//! A program may forbid itself to open files once it has started (seccomp), and threads that begin later
//! ask all the same: so a recording with call stacks opens the list at its start and keeps it. What is kept
//! is used only while it is that very list of this very process: a program that closes descriptors which
//! it does not know may have another file at that number, and a forked child has its parent's list. Then
//! it is opened anew.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::recorder::sys::{self, Fd};

/// Process id in the upper half, descriptor + 1 in the lower one; 0 for none.
static KEPT: AtomicU64 = AtomicU64::new(0);
/// Device and file number of the list that is kept, folded.
static IDENTITY: AtomicU64 = AtomicU64::new(0);

/// Opens the list and keeps it, unless it is kept already.
pub(crate) fn keep() {
    if kept().is_some() {
        return;
    }
    let Some(opened) = open() else {
        return;
    };
    let Some(identity) = sys::identity(opened.0) else {
        return;
    };
    IDENTITY.store(identity, Ordering::Relaxed);
    let word = u64::from(sys::process_id()) << 32 | (opened.0 as u64 + 1);
    // Release pairs with the Acquire in `kept`.
    KEPT.store(word, Ordering::Release);
    core::mem::forget(opened);
}

/// Whether the list can be read without opening it.
pub(crate) fn is_kept() -> bool {
    kept().is_some()
}

fn kept() -> Option<i32> {
    let word = KEPT.load(Ordering::Acquire);
    let fd = (word as u32).checked_sub(1)? as i32;
    let is_ours = (word >> 32) as u32 == sys::process_id();
    let identity = IDENTITY.load(Ordering::Relaxed);
    (is_ours && sys::identity(fd) == Some(identity)).then_some(fd)
}

fn open() -> Option<Fd> {
    let mut path = sys::Path::new();
    path.push(b"/proc/self/maps");
    sys::open_to_read(None, &path)
}

/// End of the mapping before, start and end of the one that holds an address.
pub(crate) fn mapping_of(address: u64) -> Option<(u64, u64, u64)> {
    let opened;
    let maps = match kept() {
        Some(kept) => kept,
        None => {
            opened = open()?;
            opened.0
        }
    };
    let mut at = 0;
    let mut buffer = [0u8; 2048];
    let mut lines = Lines::default();
    // 4,096 times a buffer: more than the kernel lets a process have mappings by default.
    for _ in 0..4096 {
        let text = sys::read_at(maps, at, &mut buffer);
        if text.is_empty() {
            return None;
        }
        at += text.len() as u64;
        for byte in text {
            if let Some((before, start, end)) = lines.step(*byte)
                && (start..end).contains(&address)
            {
                return Some((before, start, end));
            }
        }
    }
    None
}

/// Reads `start-end ...` lines byte by byte.
#[derive(Default)]
struct Lines {
    before: u64,
    start: u64,
    end: u64,
    number: u64,
    part: Part,
}

#[derive(Default)]
enum Part {
    #[default]
    Start,
    End,
    Rest,
}

impl Lines {
    /// The end of the mapping before, start and end of the one whose range was just read.
    fn step(&mut self, byte: u8) -> Option<(u64, u64, u64)> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => 16,
        };
        match (&self.part, byte) {
            (Part::Rest, b'\n') => {
                self.part = Part::Start;
                self.number = 0;
            }
            (Part::Rest, _) => {}
            (Part::Start, b'-') => {
                self.start = self.number;
                self.number = 0;
                self.part = Part::End;
            }
            (Part::End, b' ') => {
                self.before = self.end;
                self.end = self.number;
                self.part = Part::Rest;
                return Some((self.before, self.start, self.end));
            }
            _ if digit < 16 => self.number = self.number << 4 | u64::from(digit),
            _ => self.part = Part::Rest,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_across_lines() {
        let text = b"1000-2000 r--p 0 00:00 0 /a-b 77\nfff0-1aaa0 rw-p\n";
        let mut lines = Lines::default();
        let found: Vec<_> = text.iter().filter_map(|byte| lines.step(*byte)).collect();
        assert_eq!(found, [(0, 0x1000, 0x2000), (0x2000, 0xfff0, 0x1aaa0)]);
    }

    #[test]
    fn list_is_kept_and_a_stranger_at_its_number_is_not_read() {
        keep();
        let local = 0u8;
        let here = core::ptr::from_ref(&local) as u64;
        let fd = kept().expect("the list");
        assert!(mapping_of(here).is_some());
        // Its place in the file is nobody's: asked again it begins anew.
        assert!(mapping_of(here).is_some());
        let (word, identity) = (
            KEPT.load(Ordering::Relaxed),
            IDENTITY.load(Ordering::Relaxed),
        );
        IDENTITY.store(identity ^ 1, Ordering::Relaxed);
        assert_eq!(kept(), None);
        assert!(mapping_of(here).is_some());
        IDENTITY.store(identity, Ordering::Relaxed);
        KEPT.store(word ^ 1 << 32, Ordering::Relaxed);
        assert_eq!(kept(), None, "of another process");
        KEPT.store(word, Ordering::Relaxed);
        assert_eq!(kept(), Some(fd));
    }
}
