//! Calls of the program's functions into records of leaks and reclaims: a file for each process, beside those that it
//! writes itself and that the kernel's tracepoints fill.
//!
//! What a call says is less than what the probe knows. Whoever turns a pointer into an owner may give it away again in
//! ways that nobody sees (`ManuallyDrop`), so that for the reader a reclaim is one for certain only when the block is
//! freed (`traces`, `model/pointers.rs`). What is seen of it, `mem::forget`, is told here.

use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use wire::layout::capture;
use wire::payload::pair;
use wire::record::{Kind, LOST_KERNEL, Owner};

use super::super::file::{Common, Whose, Writer};
use super::super::look::functions::Call;
use super::super::maps::Module;
use super::super::sample::{Hit, Push};
use super::program::Program;
use crate::confined::Why;

/// Pointers that were turned into owners and may be forgotten again, kept for each process.
const TAKEN_MAX: usize = 1 << 16;
/// Bytes before a value in the block of a counted owner: its two counts.
const COUNTS: u64 = 16;

/// Who gives what away, by process.
#[derive(Debug)]
pub(in super::super) struct Owners {
    common: Common,
    program: Program,
    files: FxHashMap<u32, Sheet>,
    count: u64,
    pushes: u64,
    bare: u64,
    failed: Option<io::Error>,
}

#[derive(Debug)]
struct Sheet {
    writer: Writer,
    /// Numbers of lines, by where a call returns to.
    sites: FxHashMap<u64, u32>,
    /// How often a pointer was turned into an owner since it was given away.
    taken: FxHashMap<u64, u32>,
    is_over: bool,
}

impl Owners {
    pub(in super::super) fn new(common: Common, program: Program) -> Self {
        Self {
            common,
            program,
            files: FxHashMap::default(),
            count: 0,
            pushes: 0,
            bare: 0,
            failed: None,
        }
    }

    /// The program, where its debug information was not read to its end, and why.
    pub(in super::super) fn cut(&self) -> Option<(String, Why)> {
        Some((self.program.shown.clone(), self.program.failed()?))
    }

    /// Calls that were recorded.
    pub(in super::super) fn count(&self) -> u64 {
        self.count
    }

    /// A function was called.
    pub(in super::super) fn take(
        &mut self,
        (pid, tid, name): (u32, u32, &[u8]),
        at: u64,
        hit: Hit,
        whose: impl Fn() -> Whose,
    ) -> io::Result<()> {
        let function = usize::try_from(hit.number)
            .ok()
            .and_then(|number| self.program.functions.get(number));
        let Some(function) = function else {
            return Ok(());
        };
        // Where the program was loaded: the function's place in memory, less that in its file.
        let loaded_at = hit.begins.wrapping_sub(function.address);
        let returns_to = hit.returns_to.wrapping_sub(loaded_at);
        if self.program.is_shipped(returns_to) {
            return Ok(());
        }
        let Some(sheet) = sheet(&mut self.files, &self.common, pid, at, whose)? else {
            return Ok(());
        };
        let (kind, pointer) = sheet.meaning(function.call, function.owner, hit.word);
        let line = || self.program.line(returns_to);
        let site = sheet.site(returns_to, line);
        let ty = &function.ty;
        let ty = match &*ty.name {
            "" => 0,
            name => sheet.writer.ty(name, ty.size, ty.align),
        };
        let words = [pointer, pair(site, ty)];
        let owner = function.owner as u8;
        sheet.writer.record((tid, name), at, kind, owner, &words);
        self.count += 1;
        Ok(())
    }

    /// An entry was put into a submission queue, by what these frames of the stack are, whose addresses in memory and in
    /// their files are given.
    pub(in super::super) fn push(
        &mut self,
        (pid, tid, name): (u32, u32, &[u8]),
        at: u64,
        push: &Push,
        frames: &[(u64, (Arc<Module>, u64))],
        whose: impl Fn() -> Whose,
    ) -> io::Result<()> {
        let Some((pushes, _)) = &self.program.pushes else {
            return Ok(());
        };
        let Some(address) = pushes.address(push.number) else {
            return Ok(());
        };
        let loaded_at = push.address().wrapping_sub(address);
        // Whom anybody looks for called the queue; the queue calls itself.
        let own = |address: &u64| pushes.is_own(address.wrapping_sub(loaded_at));
        let callers = frames.iter().skip_while(|(address, _)| own(address));
        let callers: Vec<_> = callers.map(|(_, frame)| frame.clone()).collect();
        let Some(sheet) = sheet(&mut self.files, &self.common, pid, at, whose)? else {
            return Ok(());
        };
        let stack = sheet.writer.stack(&callers);
        let words = [push.cookie, pair(push.fd.cast_unsigned(), push.index)];
        let what = (Kind::Push, 0, stack);
        sheet.writer.record_with((tid, name), at, what, &words);
        self.pushes += 1;
        self.bare += u64::from(stack == 0);
        Ok(())
    }

    /// Pushes that were recorded, and those of them whose callers are not known.
    pub(in super::super) fn pushes(&self) -> (u64, u64) {
        (self.pushes, self.bare)
    }

    /// The process of which the recorder knows by itself when it began.
    pub(in super::super) fn began(&mut self, whose: &Whose) -> io::Result<()> {
        match self.files.get_mut(&whose.pid) {
            Some(sheet) => sheet.writer.began(whose),
            None => Ok(()),
        }
    }

    /// A thread ended, and with the first one its process, as a rule.
    pub(in super::super) fn ended(&mut self, pid: u32, tid: u32, at: u64) {
        if let Some(sheet) = self.files.get_mut(&pid) {
            sheet.writer.ended(tid, at);
            if pid == tid {
                sheet.writer.rest();
            }
        }
    }

    /// Records were lost, and any of them may have been a call; so many that nobody else counts. False where nobody counts
    /// them here either.
    pub(in super::super) fn lost(&mut self, count: u64, who: (u32, u32), at: u64) -> bool {
        let mut count = count;
        for (pid, sheet) in &mut self.files {
            let tid = if *pid == who.0 { who.1 } else { *pid };
            let words = [std::mem::take(&mut count), LOST_KERNEL];
            sheet.writer.record((tid, &[]), at, Kind::Lost, 0, &words);
            sheet.taken.clear();
        }
        !self.files.is_empty()
    }

    /// Gives back descriptors until they are needed again.
    pub(in super::super) fn rest(&mut self) {
        for sheet in self.files.values_mut() {
            sheet.writer.rest();
        }
    }

    /// Another process has the number from here on.
    pub(in super::super) fn forget(&mut self, pid: u32) {
        let Some(mut sheet) = self.files.remove(&pid) else {
            return;
        };
        sheet.writer.flush();
        if let Some(error) = sheet.writer.failure() {
            let error = io::Error::new(error.kind(), error.to_string());
            self.failed.get_or_insert(error);
        }
    }

    /// Writes what was gathered.
    pub(in super::super) fn flush(&mut self) {
        for sheet in self.files.values_mut() {
            if sheet.writer.flush() {
                sheet.is_over |= sheet.writer.is_to_stop();
                if self.common.open.are_many() {
                    sheet.writer.rest();
                }
            }
        }
    }

    /// Why something could not be written.
    pub(in super::super) fn failure(&self) -> Option<&io::Error> {
        let of_files = self.files.values();
        let of_files = of_files.filter_map(|sheet| sheet.writer.failure());
        self.failed.iter().chain(of_files).next()
    }
}

/// The file of a process, made where there is none yet; nothing once the recording ended for it.
fn sheet<'a>(
    files: &'a mut FxHashMap<u32, Sheet>,
    common: &Common,
    pid: u32,
    at: u64,
    whose: impl Fn() -> Whose,
) -> io::Result<Option<&'a mut Sheet>> {
    let sheet = match files.entry(pid) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(Sheet {
            writer: Writer::create(common, capture::UPROBES, &whose(), at)?,
            sites: FxHashMap::default(),
            taken: FxHashMap::default(),
            is_over: false,
        }),
    };
    Ok(Some(sheet).filter(|sheet| !sheet.is_over))
}

impl Sheet {
    /// What a call means, and of which pointer.
    fn meaning(&mut self, call: Call, owner: Owner, word: u64) -> (Kind, u64) {
        match call {
            Call::Leak => {
                self.taken.remove(&word);
                (Kind::Leak, word)
            }
            Call::Retain => (Kind::Retain, word),
            Call::Release => (Kind::Release, word),
            Call::Reclaim => {
                if self.taken.len() >= TAKEN_MAX {
                    self.taken.clear();
                }
                *self.taken.entry(word).or_default() += 1;
                (Kind::Reclaim, word)
            }
            Call::Forget => {
                // A counted owner points at its counts; the pointer that is given away, behind them.
                let pointer = match owner {
                    Owner::Box => word,
                    _ => word.wrapping_add(COUNTS),
                };
                match self.taken.get_mut(&pointer) {
                    // Turned into an owner to look at it, and given back.
                    Some(times) if *times > 0 => {
                        *times -= 1;
                        (Kind::Peek, pointer)
                    }
                    // A handle that is left for others: `Rc::as_ptr` of it travels.
                    _ => (Kind::Leak, pointer),
                }
            }
        }
    }

    /// The number of the line that a call stands on.
    fn site(&mut self, returns_to: u64, line: impl Fn() -> Option<(String, u32, u32)>) -> u32 {
        if let Some(site) = self.sites.get(&returns_to) {
            return *site;
        }
        let site = line().map_or(0, |(file, line, column)| {
            self.writer.site(&file, line, column)
        });
        self.sites.insert(returns_to, site);
        site
    }
}
