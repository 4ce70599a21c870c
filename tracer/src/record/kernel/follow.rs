//! What the kernel said, in order, into records of the processes whose rings it is about.
//!
//! The kernel tells rings and requests apart by addresses of its own, which it uses again at once: a ring is what a
//! `create` began, and a request is an operation from its submission to its completion. Which operation a completion
//! belongs to is said by the request, but not always: of the completions of one operation that posts several only the
//! last has it, a notification of a zero-copy send has another one, and what finds no room in the queue has none. Of
//! those the reader finds the operation by the cookie.
//!
//! No address of the kernel's gets into a file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustc_hash::{FxHashMap, FxHashSet};
use wire::layout::capture;
use wire::payload::{Submit, pair};
use wire::record::{Kind, LOST_KERNEL, RingKind};

use super::births::Births;
use super::calls::owners::Owners;
use super::cut::Cut;
use super::file::{Common, Writer};
use super::maps::Maps;
use super::sample::{Entry, Said};

/// `IORING_CQE_F_MORE`, `IORING_CQE_F_NOTIF`
const MORE: u32 = 2;
const NOTIFICATION: u32 = 8;

/// Rings, requests, and the files that it is written to.
#[derive(Debug)]
pub(super) struct Follow {
    common: Common,
    /// By the kernel's address.
    rings: FxHashMap<u64, Ring>,
    /// What is in flight, by the kernel's address of the request.
    requests: FxHashMap<u64, Request>,
    /// By process id.
    files: FxHashMap<u32, Sheet>,
    births: Births,
    /// Names of threads.
    names: FxHashMap<u32, Vec<u8>>,
    /// Records that were lost before there was a file to say so in.
    unplaced: u64,
    /// Rings that were ever seen: tells one from the next at the same address.
    generations: u64,
    /// Whether the kernel says `complete` of what finds no room, too, and `overflow` right behind it: before Linux 6.0.
    says_twice: bool,
    /// The latest completion of each thread, where that is so.
    said: FxHashMap<u32, (u64, u64, i32, u32)>,
    /// Whom all is about, where more was listened to: processes, and what they start.
    only: Option<FxHashSet<u32>>,
    /// Who gives pointers away and takes them back, where the program's functions are listened to.
    owners: Option<Owners>,
    /// Where code of processes comes from, where stacks are listened to.
    maps: Maps,
    /// Whether the kernel may take events away from a process, and it is seen when it does.
    may_be_deaf: bool,
    /// Whether somebody asks where code comes from.
    wants_code: bool,
    /// Processes that executed a program of which no code is mapped yet.
    fresh: FxHashMap<u32, Vec<u8>>,
    /// Programs that ended what the kernel says of their processes.
    deaf: BTreeMap<String, u64>,
    /// Why a file could not be made.
    failure: Option<io::Error>,
    pub(super) counted: Counted,
}

/// How much was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) rings: u64,
    pub(super) operations: u64,
    pub(super) completions: u64,
    /// Of those, the ones whose request says which operation they belong to.
    pub(super) paired: u64,
    /// Records that found no room in the kernel's buffer.
    pub(super) lost: u64,
}

#[derive(Debug)]
struct Sheet {
    writer: Writer,
    rings: u16,
    /// The recording ended for this process.
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Ring {
    generation: u64,
    /// The process that made it, and its number there.
    pid: u32,
    number: u16,
    slots: u32,
    /// Entries taken from its queue so far.
    submitted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    ring: u64,
    sequence: u64,
}

impl Follow {
    pub(super) fn new(common: Common, only: Option<u32>) -> Self {
        Self {
            may_be_deaf: false,
            wants_code: false,
            common,
            only: only.map(|pid| FxHashSet::from_iter([pid])),
            rings: FxHashMap::default(),
            requests: FxHashMap::default(),
            files: FxHashMap::default(),
            births: Births::default(),
            names: FxHashMap::default(),
            unplaced: 0,
            generations: 0,
            owners: None,
            maps: Maps::default(),
            fresh: FxHashMap::default(),
            deaf: BTreeMap::new(),
            says_twice: says_twice(
                &std::fs::read("/proc/sys/kernel/osrelease").unwrap_or_default(),
            ),
            said: FxHashMap::default(),
            failure: None,
            counted: Counted::default(),
        }
    }

    /// Calls of the program's functions come, too.
    pub(super) fn and_calls(&mut self, owners: Owners) {
        self.maps.read_tables();
        self.owners = Some(owners);
    }

    /// Events follow a process by what it inherits, and code that is mapped is heard of.
    pub(super) fn may_be_deaf(&mut self) {
        self.may_be_deaf = true;
    }

    /// Somebody asks where code comes from.
    pub(super) fn and_code(&mut self) {
        self.wants_code = true;
    }

    /// How many calls there were.
    pub(super) fn calls(&self) -> Option<u64> {
        self.owners.as_ref().map(Owners::count)
    }

    /// What was not read to its end.
    pub(super) fn cut(&self) -> Cut {
        let mut cut = self.maps.cut();
        cut.debug_info = self.owners.as_ref().and_then(Owners::cut);
        cut
    }

    /// How many entries were seen to be put into queues, and of how many nobody knows by whom.
    pub(super) fn pushes(&self) -> (u64, u64) {
        self.owners.as_ref().map_or((0, 0), Owners::pushes)
    }

    /// Programs that ended what the kernel says of the processes that executed them, and how many did.
    pub(super) fn deaf(&self) -> BTreeMap<String, u64> {
        self.deaf.clone()
    }

    /// The kernel takes its events away from a process that executes a program which it may not look into, and calls
    /// that an end: right behind the program's name, before any of its code is mapped.
    fn is_deaf(&mut self, pid: u32) {
        if let Some(name) = self.fresh.remove(&pid) {
            let name = crate::safe::os(OsStr::from_bytes(&name));
            *self.deaf.entry(name).or_default() += 1;
        }
    }

    /// Looks at a process while it may still live: what happened is worked through later.
    pub(super) fn meet(&mut self, entry: &Entry) {
        // Of everybody's processes only few are followed, and those were there before.
        if self.only.is_none() {
            self.births.meet(entry);
        }
    }

    /// Whether it is about a process that is followed. The kernel's own threads complete operations of others: those
    /// are known by their rings.
    fn concerns(&mut self, entry: &Entry) -> bool {
        let Some(only) = &mut self.only else {
            return true;
        };
        match &entry.said {
            Said::Fork { parent } if only.contains(&parent.0) => {
                only.insert(entry.pid);
                true
            }
            // Its number belongs to somebody else from now on.
            Said::Fork { parent } if parent.0 != entry.pid => {
                only.remove(&entry.pid);
                false
            }
            // So does the kernel's address of a ring that is gone.
            Said::Create { ctx, .. } if !only.contains(&entry.pid) => {
                self.rings.remove(ctx);
                false
            }
            Said::Complete { ctx, .. } | Said::Overflow { ctx, .. } => {
                only.contains(&entry.pid) || self.rings.contains_key(ctx)
            }
            Said::Lost(_) => true,
            _ => only.contains(&entry.pid),
        }
    }

    /// The process of which the recorder knows by itself when it began.
    pub(super) fn began(&mut self, pid: u32, start_time: u64) {
        let Some(whose) = self.births.get_mut(pid) else {
            return;
        };
        whose.start_time = start_time;
        if let Some(sheet) = self.files.get_mut(&pid)
            && let Err(error) = sheet.writer.began(whose)
        {
            self.failure.get_or_insert(error);
        }
        if let Some(owners) = &mut self.owners
            && let Err(error) = owners.began(whose)
        {
            self.failure.get_or_insert(error);
        }
    }

    /// Takes in what happened next.
    pub(super) fn take(&mut self, entry: Entry) {
        if !self.concerns(&entry) {
            return;
        }
        if self.common.open.are_many() {
            self.rest();
        }
        let Entry {
            at,
            pid,
            tid,
            said,
            stack,
        } = entry;
        let who = (pid, tid);
        match said {
            Said::Create {
                ctx,
                fd,
                entries,
                setup,
            } => self.create(ctx, who, at, (fd, entries, setup)),
            Said::Submit {
                ctx,
                req,
                cookie,
                opcode,
                flags,
                whole,
            } => {
                let entry = whole.map_or_else(
                    || Submit {
                        cookie,
                        opcode,
                        sqe_flags: flags,
                        fd: -1,
                        ..Submit::default()
                    },
                    |whole| *whole,
                );
                self.submit((ctx, req), who, at, entry, &stack);
            }
            Said::Complete {
                ctx,
                req,
                cookie,
                res,
                flags,
            } => {
                if self.says_twice {
                    self.said.insert(tid, (ctx, cookie, res, flags));
                }
                self.complete((ctx, req), who, at, (cookie, res, flags));
            }
            Said::Overflow {
                ctx,
                cookie,
                res,
                flags,
            } => {
                if self.said.remove(&tid) != Some((ctx, cookie, res, flags)) {
                    self.complete((ctx, 0), who, at, (cookie, res, flags));
                }
                let ring = self.ring(ctx, who, at);
                // How many wait there nobody says, only that one more does.
                self.record(
                    &ring,
                    tid,
                    at,
                    Kind::Overflow,
                    0,
                    &[u64::from(ring.number), 1],
                );
            }
            Said::Call(hit) => {
                let Some(owners) = &mut self.owners else {
                    return;
                };
                let name = self.names.get(&tid).map_or(&[][..], Vec::as_slice);
                let whose = || self.births.known(pid, at);
                if let Err(error) = owners.take((pid, tid, name), at, hit, whose) {
                    self.failure.get_or_insert(error);
                }
            }
            Said::Push(push) => {
                let Some(owners) = &mut self.owners else {
                    return;
                };
                let frames = self.maps.unwound(pid, push.registers, &push.stack);
                let name = self.names.get(&tid).map_or(&[][..], Vec::as_slice);
                let whose = || self.births.known(pid, at);
                if let Err(error) = owners.push((pid, tid, name), at, &push, &frames, whose) {
                    self.failure.get_or_insert(error);
                }
            }
            Said::Fork { parent } => {
                if let Some(name) = self.names.get(&parent.1).cloned() {
                    self.names.insert(tid, name);
                }
                if parent.0 != pid {
                    self.maps.forked(parent.0, pid);
                    self.forget(pid);
                    self.of_process(parent, at, Kind::Fork, &[u64::from(pid)]);
                } else {
                    self.maps.thread_began(pid, tid);
                }
            }
            Said::Comm(name) => self.named(who, name),
            Said::Exec(name) => {
                self.maps.executed(pid);
                if self.may_be_deaf {
                    self.fresh.insert(pid, name.clone());
                }
                self.named(who, name);
            }
            Said::Mapped(mapping) => {
                self.fresh.remove(&pid);
                if self.wants_code {
                    self.maps.mapped(pid, *mapping);
                }
            }
            Said::Exit => {
                self.is_deaf(pid);
                if let Some(sheet) = self.files.get_mut(&pid) {
                    sheet.writer.ended(tid, at);
                    // It may go on in other threads, and is found again then.
                    if pid == tid {
                        sheet.writer.rest();
                    }
                }
                if let Some(owners) = &mut self.owners {
                    owners.ended(pid, tid, at);
                }
                self.names.remove(&tid);
                self.maps.thread_ended(pid, tid);
            }
            Said::Lost(count) => self.lost(count, who, at),
        }
    }

    fn named(&mut self, (pid, tid): (u32, u32), name: Vec<u8>) {
        if let Some(sheet) = self.files.get_mut(&pid) {
            sheet.writer.name(tid, &name);
        }
        self.names.insert(tid, name);
    }

    /// Writes what was gathered.
    pub(super) fn flush(&mut self) {
        for sheet in self.files.values_mut() {
            if sheet.writer.flush() {
                sheet.is_over |= sheet.writer.is_to_stop();
                if self.common.open.are_many() {
                    sheet.writer.rest();
                }
            }
        }
        if let Some(owners) = &mut self.owners {
            owners.flush();
        }
    }

    /// Writes what was gathered, and closes all files until there is more to be written.
    fn rest(&mut self) {
        for sheet in self.files.values_mut() {
            sheet.writer.rest();
        }
        if let Some(owners) = &mut self.owners {
            owners.rest();
        }
    }

    /// Another process has the number from here on: what is known is of one that is gone.
    fn forget(&mut self, pid: u32) {
        if let Some(owners) = &mut self.owners {
            owners.forget(pid);
        }
        let Some(mut sheet) = self.files.remove(&pid) else {
            return;
        };
        sheet.writer.flush();
        if let Some(error) = sheet.writer.failure() {
            let error = io::Error::new(error.kind(), error.to_string());
            self.failure.get_or_insert(error);
        }
        self.rings.retain(|_, ring| ring.pid != pid);
    }

    /// Why something could not be written.
    pub(super) fn failure(&self) -> Option<String> {
        let of_files = self
            .files
            .values()
            .filter_map(|sheet| sheet.writer.failure());
        let of_calls = self.owners.iter().filter_map(Owners::failure);
        let failure = self.failure.iter().chain(of_files).chain(of_calls).next()?;
        Some(failure.to_string())
    }

    fn create(&mut self, ctx: u64, who: (u32, u32), at: u64, made: (i32, (u32, u32), u32)) {
        let (fd, (slots, completions), setup) = made;
        self.counted.rings += 1;
        self.generations += 1;
        let number = match self.sheet(who.0, at) {
            Some(sheet) => {
                let number = sheet.rings;
                sheet.rings = sheet.rings.wrapping_add(1);
                number
            }
            None => 0,
        };
        let ring = Ring {
            generation: self.generations,
            pid: who.0,
            number,
            slots,
            submitted: 0,
        };
        self.rings.insert(ctx, ring);
        let words = [
            pair(u32::from(number), fd.cast_unsigned()),
            pair(slots, completions),
            pair(setup, 0),
        ];
        self.record(
            &ring,
            who.1,
            at,
            Kind::RingCreate,
            RingKind::InPlace as u8,
            &words,
        );
    }

    /// A ring by the kernel's address; one that was made before anybody looked is met here.
    fn ring(&mut self, ctx: u64, who: (u32, u32), at: u64) -> Ring {
        if let Some(ring) = self.rings.get(&ctx) {
            return *ring;
        }
        self.create(ctx, who, at, (-1, (0, 0), 0));
        self.rings[&ctx]
    }

    fn submit(
        &mut self,
        (ctx, req): (u64, u64),
        who: (u32, u32),
        at: u64,
        entry: Submit,
        stack: &[u64],
    ) {
        let ring = self.ring(ctx, who, at);
        self.counted.operations += 1;
        let sequence = ring.submitted;
        if let Some(ring) = self.rings.get_mut(&ctx) {
            ring.submitted += 1;
        }
        let request = Request {
            ring: ring.generation,
            sequence,
        };
        self.requests.insert(req, request);
        let slot = sequence.checked_rem(u64::from(ring.slots)).unwrap_or(0);
        let entry = Submit {
            ring: ring.number,
            sequence: sequence as u32,
            slot: slot as u16,
            ..entry
        };
        let [a, b, c, d, e, f, g] = entry.encode();
        let words = [a, b, c, d, e, f, g, u64::from(entry.file_index)];
        let is_short = words[4..].iter().all(|word| *word == 0);
        let words = &words[..if is_short { 4 } else { 8 }];
        let name = self.names.get(&who.1).map_or(&[][..], Vec::as_slice);
        let sheet = self.files.get_mut(&ring.pid);
        if let Some(sheet) = sheet.filter(|sheet| !sheet.is_over) {
            let frames = self.maps.frames(who.0, stack);
            let stack = sheet.writer.stack(&frames);
            let what = (Kind::Submit, 0, stack);
            sheet.writer.record_with((who.1, name), at, what, words);
        }
    }

    fn complete(
        &mut self,
        (ctx, req): (u64, u64),
        who: (u32, u32),
        at: u64,
        (cookie, res, flags): (u64, i32, u32),
    ) {
        let ring = self.ring(ctx, who, at);
        self.counted.completions += 1;
        // A notification's request never was an operation, but its address may have been.
        let found = self
            .requests
            .get(&req)
            .filter(|_| flags & NOTIFICATION == 0);
        let found = found
            .filter(|request| request.ring == ring.generation)
            .copied();
        if found.is_some() && flags & MORE == 0 {
            self.requests.remove(&req);
        }
        let result = pair(res.cast_unsigned(), flags);
        match found {
            Some(request) => {
                self.counted.paired += 1;
                let place = pair(u32::from(ring.number), request.sequence as u32);
                self.record(
                    &ring,
                    who.1,
                    at,
                    Kind::CompleteOf,
                    0,
                    &[cookie, result, place],
                );
            }
            None => {
                let number = u64::from(ring.number);
                self.record(
                    &ring,
                    who.1,
                    at,
                    Kind::Complete,
                    255,
                    &[cookie, result, number],
                );
            }
        }
    }

    /// From here on no request stands for the operation that it stood for.
    fn lost(&mut self, count: u64, who: (u32, u32), at: u64) {
        self.counted.lost += count;
        self.requests.clear();
        // That their code was mapped may be among it.
        self.fresh.clear();
        let nobody = self.files.is_empty();
        let owners = self.owners.as_mut();
        if owners.is_some_and(|owners| owners.lost(if nobody { count } else { 0 }, who, at))
            && nobody
        {
            return;
        }
        let pids: FxHashSet<u32> = self.files.keys().copied().collect();
        // Whose they were is not known: all may miss some, and one says how many.
        let counts = if pids.contains(&who.0) {
            Some(who.0)
        } else {
            pids.iter().min().copied()
        };
        self.unplaced += count;
        for pid in pids {
            let count = if Some(pid) == counts {
                std::mem::take(&mut self.unplaced)
            } else {
                0
            };
            let tid = if pid == who.0 { who.1 } else { pid };
            self.of_process((pid, tid), at, Kind::Lost, &[count, LOST_KERNEL]);
        }
    }

    /// The file of a process, made where there is none yet.
    fn sheet(&mut self, pid: u32, at: u64) -> Option<&mut Sheet> {
        if !self.files.contains_key(&pid) {
            let whose = self.births.known(pid, at);
            match Writer::create(&self.common, capture::KERNEL, &whose, at) {
                Ok(writer) => {
                    let sheet = Sheet {
                        writer,
                        rings: 0,
                        is_over: false,
                    };
                    self.files.insert(pid, sheet);
                    let unplaced = std::mem::take(&mut self.unplaced);
                    if unplaced > 0 {
                        self.of_process((pid, pid), at, Kind::Lost, &[unplaced, LOST_KERNEL]);
                    }
                }
                Err(error) => {
                    self.failure.get_or_insert(error);
                }
            }
        }
        self.files.get_mut(&pid)
    }

    fn record(&mut self, ring: &Ring, tid: u32, at: u64, kind: Kind, aux: u8, words: &[u64]) {
        let name = self.names.get(&tid).map_or(&[][..], Vec::as_slice);
        if let Some(sheet) = self.files.get_mut(&ring.pid).filter(|sheet| !sheet.is_over) {
            sheet.writer.record((tid, name), at, kind, aux, words);
        }
    }

    fn of_process(&mut self, (pid, tid): (u32, u32), at: u64, kind: Kind, words: &[u64]) {
        let name = self.names.get(&tid).map_or(&[][..], Vec::as_slice);
        if let Some(sheet) = self.files.get_mut(&pid).filter(|sheet| !sheet.is_over) {
            sheet.writer.record((tid, name), at, kind, 0, words);
        }
    }
}

/// Whether a release of Linux says `complete` of what overflows, too.
fn says_twice(release: &[u8]) -> bool {
    let digits: Vec<u8> = release
        .iter()
        .copied()
        .take_while(u8::is_ascii_digit)
        .collect();
    let major = std::str::from_utf8(&digits)
        .ok()
        .and_then(|it| it.parse::<u32>().ok());
    major.is_some_and(|major| major < 6)
}

#[cfg(test)]
mod tests {
    use traces::event::What;
    use traces::{Input, Trace};

    use super::super::file::Files;
    use super::*;

    fn follow(folder: &std::path::Path, only: Option<u32>) -> Follow {
        let common = Common {
            folder: folder.to_path_buf(),
            token: [0; 16],
            chunks: 16,
            stacks: false,
            is_ring: true,
            open: Files::default(),
        };
        Follow::new(common, only)
    }

    fn traces(folder: &std::path::Path) -> Vec<Trace> {
        let files = crate::record::folder::process_files(folder).unwrap();
        let read = |file: crate::record::folder::ProcessFile| {
            let bytes = std::fs::read(file.path).unwrap();
            let input = Input {
                name: "x",
                bytes: &bytes,
            };
            Trace::read(&[input]).unwrap()
        };
        files.into_iter().map(read).collect()
    }

    fn entry(at: u64, pid: u32, said: Said) -> Entry {
        Entry {
            at,
            pid,
            tid: pid,
            said,
            stack: Box::default(),
        }
    }

    fn create(at: u64, pid: u32, ctx: u64) -> Entry {
        let made = Said::Create {
            ctx,
            fd: 3,
            entries: (8, 16),
            setup: 0,
        };
        entry(at, pid, made)
    }

    fn submit(at: u64, pid: u32, ctx: u64, req: u64) -> Entry {
        let submitted = Said::Submit {
            ctx,
            req,
            cookie: 1,
            opcode: 0,
            flags: 0,
            whole: None,
        };
        entry(at, pid, submitted)
    }

    fn complete(at: u64, pid: u32, ctx: u64, req: u64, flags: u32) -> Entry {
        let completed = Said::Complete {
            ctx,
            req,
            cookie: 1,
            res: 0,
            flags,
        };
        entry(at, pid, completed)
    }

    /// Which operation each completion is said to belong to.
    fn operations(trace: &Trace) -> Vec<Option<u64>> {
        let of = |what: &What| match what {
            What::Complete(completion) => Some(completion.operation),
            _ => None,
        };
        trace
            .events()
            .iter()
            .filter_map(|event| of(&event.what))
            .collect()
    }

    #[test]
    fn a_program_whose_process_ends_before_its_code_is_mapped_took_the_events_away() {
        let folder = tempfile::tempdir().unwrap();
        let mut follow = follow(folder.path(), None);
        follow.may_be_deaf();
        let exec = |at, pid, name: &[u8]| entry(at, pid, Said::Exec(name.to_vec()));
        let mapped = || Said::Mapped(Box::default());
        for entry in [
            exec(1, 5, b"sh"),
            entry(2, 5, mapped()),
            exec(3, 7, b"su"),
            entry(4, 7, Said::Exit),
            exec(5, 5, b"su"),
            entry(6, 5, Said::Exit),
            // What lacks may be lost.
            exec(7, 6, b"ls"),
            entry(8, 5, Said::Lost(1)),
            entry(9, 6, Said::Exit),
        ] {
            follow.take(entry);
        }
        assert_eq!(follow.deaf(), BTreeMap::from([("su".to_owned(), 2)]));
    }

    #[test]
    fn requests_and_rings_are_used_again_and_a_loss_forgets_whose_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let mut follow = follow(folder.path(), None);
        for entry in [
            create(1, 77, 0xA),
            submit(2, 77, 0xA, 0x1),
            submit(3, 77, 0xA, 0x2),
            complete(4, 77, 0xA, 0x2, 0),
            submit(5, 77, 0xA, 0x2),
            complete(6, 77, 0xA, 0x2, MORE),
            // A notification has a request of its own, whose address may have been an operation's.
            complete(7, 77, 0xA, 0x1, NOTIFICATION),
            complete(8, 77, 0xA, 0x1, 0),
            // The ring is gone, and another one has its address; what was in flight there is not in flight here.
            submit(9, 77, 0xA, 0x3),
            create(10, 77, 0xA),
            complete(11, 77, 0xA, 0x3, 0),
            submit(12, 77, 0xA, 0x4),
            entry(13, 77, Said::Lost(5)),
            complete(14, 77, 0xA, 0x4, 0),
        ] {
            follow.take(entry);
        }
        follow.flush();
        let [trace] = &traces(folder.path())[..] else {
            panic!("one process, one file");
        };
        let said = [Some(1), Some(2), None, Some(0), None, None];
        assert_eq!(operations(trace), said);
        assert_eq!(trace.verdict().summary.rings, 2);
        assert_eq!(trace.verdict().summary.records_lost, 5);
        assert_eq!((follow.counted.paired, follow.counted.lost), (3, 5));
    }

    #[test]
    fn what_an_older_kernel_says_twice_is_one_completion() {
        assert!(
            says_twice(b"5.19.0-50-generic") && !says_twice(b"6.0.1") && !says_twice(b"6.18.4")
        );
        assert!(!says_twice(b"?") && !says_twice(b"10.1"));
        let overflow = |at, tid| {
            let said = Said::Overflow {
                ctx: 0xA,
                cookie: 1,
                res: 0,
                flags: 0,
            };
            Entry {
                tid,
                ..entry(at, 77, said)
            }
        };
        for (twice, completions) in [(true, 3), (false, 5)] {
            let folder = tempfile::tempdir().unwrap();
            let mut follow = follow(folder.path(), None);
            follow.says_twice = twice;
            for entry in [
                create(1, 77, 0xA),
                submit(2, 77, 0xA, 0x1),
                submit(3, 77, 0xA, 0x2),
                complete(4, 77, 0xA, 0x1, 0),
                overflow(5, 77),
                complete(6, 77, 0xA, 0x2, 0),
                overflow(7, 77),
                // Another thread's completion was another one.
                overflow(8, 78),
            ] {
                follow.take(entry);
            }
            follow.flush();
            assert_eq!(follow.counted.completions, completions);
            let trace = &traces(folder.path())[0];
            assert_eq!(trace.verdict().summary.kernel.overflowed, 3);
        }
    }

    #[test]
    fn a_loss_of_several_processes_is_counted_once_and_known_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut follow = follow(folder.path(), None);
        follow.take(entry(1, 5, Said::Lost(3)));
        follow.take(create(2, 77, 0xA));
        follow.take(create(3, 78, 0xB));
        follow.take(entry(4, 78, Said::Lost(4)));
        follow.flush();
        let all = traces(folder.path());
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|trace| !trace.recording().losses.is_empty()));
        let lost: u64 = all
            .iter()
            .map(|trace| trace.verdict().summary.records_lost)
            .sum();
        assert_eq!(lost, 7);
    }

    #[test]
    fn of_everybody_only_the_asked_for_and_their_children_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let mut follow = follow(folder.path(), Some(77));
        let fork = |at, child, parent| {
            let parent = (parent, parent);
            entry(at, child, Said::Fork { parent })
        };
        for entry in [
            create(1, 50, 0xF),
            submit(2, 77, 0xA, 0x1),
            // By a thread of the kernel's, and for somebody else.
            complete(3, 2, 0xA, 0x1, 0),
            complete(4, 2, 0xF, 0x9, 0),
            fork(5, 78, 77),
            fork(6, 79, 50),
            create(7, 78, 0xB),
            create(8, 79, 0xC),
        ] {
            follow.take(entry);
        }
        follow.flush();
        let pids: Vec<u32> = traces(folder.path())
            .iter()
            .map(|trace| trace.recording().processes[0].pid)
            .collect();
        assert_eq!(pids.len(), 2);
        assert!(pids.contains(&77) && pids.contains(&78));
        let seen = follow.counted;
        assert_eq!(
            (seen.rings, seen.operations, seen.completions, seen.paired),
            (2, 1, 1, 1)
        );
    }

    #[test]
    fn a_number_that_another_process_has_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut follow = follow(folder.path(), None);
        follow.take(create(1, 77, 0xA));
        follow.take(entry(2, 77, Said::Fork { parent: (1, 1) }));
        follow.take(create(3, 77, 0xB));
        // Of a ring of the old one nothing is known any more.
        follow.take(submit(4, 77, 0xA, 0x1));
        follow.flush();
        let mut rings: Vec<u64> = traces(folder.path())
            .iter()
            .map(|trace| trace.verdict().summary.rings)
            .collect();
        rings.sort_unstable();
        assert_eq!(rings, [1, 2]);
    }
}
