//! A process file that the recorder writes itself: what the kernel said of one process, a lane for each thread.
//!
//! It has the layout of those that programs write, so that one reader does for both. Nobody maps it and no program
//! waits for it: records are gathered in memory, and written behind those that are there. Of a record the first word
//! goes last, so that whoever looks on meanwhile sees whole ones.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;
use rustix::fs::OFlags;
use wire::layout::{self, CHUNK_BYTES, CHUNK_HEADER_WORDS, ChunkKind, chunk, header, lane};
use wire::payload::pair;
use wire::record::{Header, Kind, WITH_STACK};

use super::super::folder::{hex, random};
use super::maps::Module;

/// Lanes of the file: threads at once. More of them share the last one.
const LANES: usize = 256;
const CHUNK_HEADER: usize = CHUNK_HEADER_WORDS * 8;

/// Whose file it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whose {
    pub(super) pid: u32,
    /// Its number in its own namespace, which it calls itself by: what the process itself records has that one.
    pub(super) own_pid: u32,
    pub(super) parent: u32,
    /// Its start in clock ticks since boot.
    pub(super) start_time: u64,
    pub(super) exe: PathBuf,
}

/// What all files of a recording have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) folder: PathBuf,
    /// The recording's token.
    pub(super) token: [u8; 16],
    /// Chunks of 64 KiB that one file may have.
    pub(super) chunks: usize,
    /// Whether events carry call stacks.
    pub(super) stacks: bool,
    /// Whether the newest records are kept, not the first ones.
    pub(super) is_ring: bool,
    /// Those that are open.
    pub(super) open: Files,
}

/// Files of a recording that are open at once: half of what this process may have, at the most, so that all else finds
/// room.
#[derive(Clone, Debug)]
pub(super) struct Files {
    count: Arc<AtomicU64>,
    most: u64,
}

impl Default for Files {
    fn default() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self {
            count: Arc::default(),
            most: limit.unwrap_or(u64::MAX) / 2,
        }
    }
}

impl Files {
    /// Whether some have to be closed before there is another one.
    pub(super) fn are_many(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= self.most
    }
}

/// An open file, or one that was closed meanwhile and is opened anew when there is something to write: of thousands of
/// processes that had a ring few live at once, and there may be fewer open files than that.
#[derive(Debug)]
struct Handle {
    path: PathBuf,
    file: RefCell<Option<File>>,
    open: Files,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Handle {
    fn new(path: PathBuf, file: File, open: &Files) -> Self {
        open.count.fetch_add(1, Ordering::Relaxed);
        Self {
            path,
            file: RefCell::new(Some(file)),
            open: open.clone(),
        }
    }

    fn close(&self) {
        if self.file.borrow_mut().take().is_some() {
            self.open.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn with<T>(&self, act: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let mut file = self.file.borrow_mut();
        if file.is_none() {
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&self.path)?;
            *file = Some(opened);
            self.open.count.fetch_add(1, Ordering::Relaxed);
        }
        file.as_ref()
            .map_or_else(|| Err(io::ErrorKind::NotFound.into()), act)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.with(|file| file.write_all_at(bytes, at))
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.with(|file| file.read_exact_at(bytes, at))
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct Writer {
    file: Handle,
    head: Vec<u8>,
    common: Common,
    uuid_low: u64,
    lanes: Vec<Lane>,
    by_tid: FxHashMap<u32, usize>,
    idle: Vec<usize>,
    /// Chunks of events in the order of their taking: where, and whose.
    taken: VecDeque<(usize, usize)>,
    /// Chunks that were ever taken.
    ever: u64,
    names: Option<Open>,
    name_chunks: u64,
    strings: FxHashMap<Vec<u8>, u32>,
    sites: FxHashMap<[u32; 3], u32>,
    types: FxHashMap<(u32, u64, u64), u32>,
    modules: FxHashMap<Arc<Module>, u32>,
    stacks: FxHashMap<Vec<u64>, u32>,
    /// Time of the newest record.
    now: u64,
    /// There are records that are not in the file.
    is_new: bool,
    /// The first failure to write; from there on all is lost, and counted.
    failed: Option<io::Error>,
}

#[derive(Debug, Default)]
struct Lane {
    tid: u32,
    name: u32,
    start: u64,
    stop: u64,
    /// Chunks, records, and records lost so far.
    seq: u64,
    records: u64,
    lost: u64,
    /// What was lost is not in the directory yet.
    is_changed: bool,
    open: Option<Open>,
}

/// A chunk that is being filled.
#[derive(Debug)]
struct Open {
    index: usize,
    body: Vec<u8>,
    /// Bytes of the body that are in the file.
    written: usize,
    /// What times count from.
    base: u64,
}

impl Writer {
    /// Makes the file in the recording's folder, with the time that it begins at.
    pub(super) fn create(
        common: &Common,
        capture: u32,
        whose: &Whose,
        now: u64,
    ) -> io::Result<Self> {
        let id = random()?;
        let path = common.folder.join(name(whose, &id));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)?;
        let uuid = random()?;
        let mut head = vec![0; layout::HEADER_BYTES + LANES * layout::LANE_BYTES];
        fill_header(&mut head, common, capture, whose, &uuid, now);
        file.write_all_at(&head, 0)?;
        Ok(Self {
            file: Handle::new(path, file, &common.open),
            head,
            common: common.clone(),
            uuid_low: uuid.first_chunk().map_or(0, |low| u64::from_le_bytes(*low)),
            lanes: Vec::new(),
            by_tid: FxHashMap::default(),
            idle: Vec::new(),
            taken: VecDeque::new(),
            ever: 0,
            names: None,
            name_chunks: 0,
            strings: FxHashMap::default(),
            sites: FxHashMap::default(),
            types: FxHashMap::default(),
            modules: FxHashMap::default(),
            stacks: FxHashMap::default(),
            now,
            is_new: false,
            failed: None,
        })
    }

    /// The process is another one than was thought when the file was made: it began at another time.
    pub(super) fn began(&mut self, whose: &Whose) -> io::Result<()> {
        if get(&self.head, header::START_TIME) == whose.start_time {
            return Ok(());
        }
        put(
            &mut self.head,
            header::START_TIME,
            &whose.start_time.to_le_bytes(),
        );
        seal_header(&mut self.head);
        self.file.write_all_at(&self.head[..header::CRC + 4], 0)?;
        let path = self.file.path.with_file_name(name(whose, &random()?));
        std::fs::rename(&self.file.path, &path)?;
        self.file.path = path;
        Ok(())
    }

    /// Writes what was gathered, and gives the descriptor back until there is more to write.
    pub(super) fn rest(&mut self) {
        self.flush();
        self.file.close();
    }

    /// A thread has this name from here on; shown with its next chunk.
    pub(super) fn name(&mut self, tid: u32, name: &[u8]) {
        if let Some(at) = self.by_tid.get(&tid).copied() {
            let name = self.string(name);
            self.lanes[at].name = name;
        }
    }

    /// Adds a record of a thread.
    pub(super) fn record(
        &mut self,
        who: (u32, &[u8]),
        at: u64,
        kind: Kind,
        aux: u8,
        words: &[u64],
    ) {
        self.record_with(who, at, (kind, aux, 0), words);
    }

    /// Adds a record of a thread, with the number of a call stack, or 0.
    pub(super) fn record_with(
        &mut self,
        who: (u32, &[u8]),
        at: u64,
        (kind, aux, stack): (Kind, u8, u32),
        words: &[u64],
    ) {
        self.now = self.now.max(at);
        self.is_new = true;
        let lane = self.lane(who, at);
        if stack == 0 {
            self.add(lane, at, (kind, 0, aux), words);
        } else {
            let words = [words, &[u64::from(stack)]].concat();
            self.add(lane, at, (kind, WITH_STACK, aux), &words);
        }
    }

    /// A thread ended: its lane is for the next one.
    pub(super) fn ended(&mut self, tid: u32, at: u64) {
        if let Some(lane) = self.by_tid.remove(&tid) {
            self.lanes[lane].stop = at;
            self.describe(lane);
            if lane + 1 < LANES {
                self.idle.push(lane);
            }
        }
    }

    /// Writes what was gathered; says whether that was anything. A failure is kept, and what follows is counted as lost.
    pub(super) fn flush(&mut self) -> bool {
        if !std::mem::take(&mut self.is_new) {
            return false;
        }
        for lane in 0..self.lanes.len() {
            if let Some(open) = &mut self.lanes[lane].open {
                let done = open.flush(&self.file);
                self.note(done);
            }
            if std::mem::take(&mut self.lanes[lane].is_changed) {
                self.describe(lane);
            }
        }
        if let Some(names) = &mut self.names {
            let done = names.flush(&self.file);
            self.note(done);
        }
        let mut words = [0; 16];
        words[..8].copy_from_slice(&self.now.to_le_bytes());
        words[8..].copy_from_slice(&self.now.to_le_bytes());
        let done = self.file.write_all_at(&words, header::BEAT_TICKS as u64);
        self.note(done);
        true
    }

    /// Whether the recorder asked for an end of the recording; said in the file, too.
    pub(super) fn is_to_stop(&self) -> bool {
        let mut word = [0; 8];
        let read = self
            .file
            .read_exact_at(&mut word, header::STOP_REQUEST as u64);
        if read.is_err() || word == [0; 8] {
            return false;
        }
        let why = u64::from(layout::stopped::RECORDER).to_le_bytes();
        let _ = self.file.write_all_at(&why, header::STOPPED as u64);
        true
    }

    /// Why nothing more could be written, if that is so.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failed.as_ref()
    }

    fn note(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            self.failed.get_or_insert(error);
        }
    }

    /// The lane of a thread.
    fn lane(&mut self, (tid, name): (u32, &[u8]), at: u64) -> usize {
        if let Some(lane) = self.by_tid.get(&tid) {
            return *lane;
        }
        let name = self.string(name);
        let lane = match self.idle.pop() {
            Some(lane) => lane,
            None if self.lanes.len() < LANES => {
                self.lanes.push(Lane {
                    start: at,
                    ..Lane::default()
                });
                let taken = self.lanes.len() as u64;
                let done = self
                    .file
                    .write_all_at(&taken.to_le_bytes(), header::LANES_TAKEN as u64);
                self.note(done);
                self.lanes.len() - 1
            }
            None => LANES - 1,
        };
        let state = &mut self.lanes[lane];
        (state.tid, state.name, state.stop) = (tid, name, 0);
        self.by_tid
            .retain(|_, known| *known != lane || lane + 1 < LANES);
        self.by_tid.insert(tid, lane);
        self.describe(lane);
        if self.lanes[lane].open.is_some() {
            self.add(lane, at, (Kind::Thread, 0, 0), &[pair(tid, name)]);
        }
        lane
    }

    /// Says in the directory whose a lane is.
    fn describe(&mut self, at: usize) {
        let state = &self.lanes[at];
        let mut words = [0u64; layout::LANE_WORDS];
        words[lane::STATE] = if state.stop == 0 {
            layout::lane_state::IN_USE
        } else {
            layout::lane_state::IDLE
        };
        words[lane::OWNER] = u64::from(state.tid);
        words[lane::START_TICKS] = state.start;
        words[lane::STOP_TICKS] = state.stop;
        words[lane::LOST_FULL] = state.lost;
        words[lane::LAST_SEQ] = state.seq;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let place = layout::HEADER_BYTES + at * layout::LANE_BYTES;
        let done = self.file.write_all_at(&bytes, place as u64);
        self.note(done);
    }

    fn add(&mut self, lane: usize, at: u64, what: (Kind, u8, u8), words: &[u64]) {
        const TIME_BYTES: usize = 16;
        let bytes = 8 * (1 + words.len());
        let fits = self.lanes[lane]
            .open
            .as_ref()
            .is_some_and(|open| open.body.len() + bytes + TIME_BYTES <= CHUNK_BYTES - CHUNK_HEADER);
        if !fits && !self.next_chunk(lane, at) {
            let state = &mut self.lanes[lane];
            state.lost += 1;
            state.is_changed = true;
            return;
        }
        let state = &mut self.lanes[lane];
        let Some(open) = &mut state.open else { return };
        state.records += open.add(at, what, words);
    }

    /// Has a lane go on in another chunk, which says first whose it is. False where there is none.
    fn next_chunk(&mut self, lane: usize, at: u64) -> bool {
        if let Some(mut full) = self.lanes[lane].open.take() {
            let done = full.flush(&self.file);
            self.note(done);
        }
        let Some(index) = self.take() else {
            return false;
        };
        self.taken.push_back((index, lane));
        let state = &mut self.lanes[lane];
        state.seq += 1;
        let gate = layout::gate(lane as u32, ChunkKind::Event, state.seq);
        let counts = (state.lost, state.records);
        let done = open_chunk(
            &self.file,
            self.uuid_low,
            index,
            (lane as u32, ChunkKind::Event),
            gate,
            counts,
            at,
        );
        let is_open = done.is_ok();
        self.note(done);
        if !is_open {
            return false;
        }
        let mut open = Open::new(index, at);
        let thread = pair(self.lanes[lane].tid, self.lanes[lane].name);
        self.lanes[lane].records += open.add(at, (Kind::Thread, 0, 0), &[thread]);
        self.lanes[lane].open = Some(open);
        self.describe(lane);
        true
    }

    /// A chunk that nobody uses, or the one taken longest ago.
    fn take(&mut self) -> Option<usize> {
        if self.failed.is_some() {
            return None;
        }
        let index = match usize::try_from(self.ever) {
            Ok(fresh) if fresh < self.common.chunks => fresh,
            _ if !self.common.is_ring => return None,
            _ => {
                let (index, lane) = self.taken.pop_front()?;
                let owner = &mut self.lanes[lane];
                if owner.open.as_ref().is_some_and(|open| open.index == index) {
                    owner.open = None;
                }
                index
            }
        };
        self.ever += 1;
        let done = self
            .file
            .write_all_at(&self.ever.to_le_bytes(), header::CHUNKS_TAKEN as u64);
        self.note(done);
        Some(index)
    }

    /// The number of a text.
    fn string(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(id) = self.strings.get(text) {
            return *id;
        }
        let text = &text[..text.len().min(1024)];
        let id = self.strings.len() as u32 + 1;
        let mut words = vec![pair(id, text.len() as u32)];
        words.extend(text.chunks(8).map(|part| {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            u64::from_le_bytes(word)
        }));
        if !self.describe_all(Kind::String, &words) {
            return 0;
        }
        self.strings.insert(text.to_vec(), id);
        id
    }

    /// The number of a place in the source.
    pub(super) fn site(&mut self, file: &str, line: u32, column: u32) -> u32 {
        let key = [self.string(file.as_bytes()), line, column];
        if let Some(id) = self.sites.get(&key) {
            return *id;
        }
        let id = self.sites.len() as u32 + 1;
        let words = [pair(id, line), pair(key[0], column)];
        if !self.describe_all(Kind::Site, &words) {
            return 0;
        }
        self.sites.insert(key, id);
        id
    }

    /// The number of a type.
    pub(super) fn ty(&mut self, name: &str, size: u64, align: u64) -> u32 {
        let key = (self.string(name.as_bytes()), size, align);
        if let Some(id) = self.types.get(&key) {
            return *id;
        }
        let id = self.types.len() as u32 + 1;
        let words = [pair(id, key.0), size, align];
        if !self.describe_all(Kind::Type, &words) {
            return 0;
        }
        self.types.insert(key, id);
        id
    }

    /// The number of a call stack, 0 for none: where it is empty, there is no room for it, or stacks take as much as they
    /// may.
    pub(super) fn stack(&mut self, frames: &[(Arc<Module>, u64)]) -> u32 {
        let mut words: Vec<u64> = Vec::with_capacity(frames.len());
        for (module, within) in frames {
            let Some(module) = self.module(module) else {
                break;
            };
            words.push(u64::from(module) << 48 | within & 0xFFFF_FFFF_FFFF);
        }
        if words.is_empty() {
            return 0;
        }
        if let Some(id) = self.stacks.get(&words) {
            return *id;
        }
        if self.name_chunks > self.common.chunks as u64 / 8 {
            return 0;
        }
        let id = self.stacks.len() as u32 + 1;
        let record = [&[pair(id, words.len() as u32)], &words[..]].concat();
        if !self.describe_all(Kind::Stack, &record) {
            return 0;
        }
        self.stacks.insert(words, id);
        id
    }

    fn module(&mut self, module: &Arc<Module>) -> Option<u16> {
        if let Some(id) = self.modules.get(module) {
            return u16::try_from(*id).ok();
        }
        let id = self.modules.len() as u32 + 1;
        let small = u16::try_from(id).ok()?;
        let path = self.string(&module.path);
        let build_id = &module.build_id[..module.build_id.len().min(24)];
        let mut bytes = [0; 24];
        bytes[..build_id.len()].copy_from_slice(build_id);
        let mut words = vec![
            pair(id, path),
            module.base,
            module.size,
            module.file_base,
            build_id.len() as u64,
        ];
        words.extend(bytes.chunks_exact(8).map(|word| get(word, 0)));
        self.describe_all(Kind::Module, &words).then(|| {
            self.modules.insert(Arc::clone(module), id);
            small
        })
    }

    /// Adds what other records refer to; false where there is no room for it.
    fn describe_all(&mut self, kind: Kind, words: &[u64]) -> bool {
        let bytes = 8 * (1 + words.len());
        let fits = self
            .names
            .as_ref()
            .is_some_and(|names| names.body.len() + bytes <= CHUNK_BYTES - CHUNK_HEADER);
        if !fits {
            if let Some(mut full) = self.names.take() {
                let done = full.flush(&self.file);
                self.note(done);
            }
            let Some(index) = self.take() else {
                return false;
            };
            self.name_chunks += 1;
            let gate = layout::gate(0, ChunkKind::Meta, self.name_chunks);
            let done = open_chunk(
                &self.file,
                self.uuid_low,
                index,
                (0, ChunkKind::Meta),
                gate,
                (0, 0),
                self.now,
            );
            self.note(done);
            self.names = Some(Open::new(index, self.now));
        }
        let Some(names) = &mut self.names else {
            return false;
        };
        self.is_new = true;
        names.add(names.base, (kind, 0, 0), words);
        true
    }
}

impl Open {
    fn new(index: usize, base: u64) -> Self {
        Self {
            index,
            body: Vec::new(),
            written: 0,
            base,
        }
    }

    /// Adds a record, and before it a new time base where it takes one; says how many records that are.
    fn add(&mut self, at: u64, (kind, flags, aux): (Kind, u8, u8), words: &[u64]) -> u64 {
        let mut records = 1;
        let since = at.saturating_sub(self.base);
        let since = u32::try_from(since).unwrap_or_else(|_| {
            self.base = at;
            self.put(Header::committed(Kind::Time, 2, 0, 0, 0), &[at]);
            records += 1;
            0
        });
        let length = u8::try_from(words.len() + 1).unwrap_or(u8::MAX);
        self.put(Header::committed(kind, length, flags, aux, since), words);
        records
    }

    fn put(&mut self, header: Header, words: &[u64]) {
        self.body.extend(header.0.to_le_bytes());
        self.body
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// Writes what is not in the file yet, its first word last.
    fn flush(&mut self, file: &Handle) -> io::Result<()> {
        let new = self.body.get(self.written..).unwrap_or_default();
        let Some((first, rest)) = new
            .split_at_checked(8)
            .filter(|(first, _)| !first.is_empty())
        else {
            return Ok(());
        };
        let at = place(self.index) + (CHUNK_HEADER + self.written) as u64;
        file.write_all_at(rest, at + 8)?;
        file.write_all_at(first, at)?;
        self.written = self.body.len();
        Ok(())
    }
}

/// Where a chunk begins.
fn place(index: usize) -> u64 {
    (layout::HEADER_BYTES + LANES * layout::LANE_BYTES + index * CHUNK_BYTES) as u64
}

/// Clears a chunk and opens it: closed first, its gate last.
fn open_chunk(
    file: &Handle,
    uuid_low: u64,
    index: usize,
    (lane, kind): (u32, ChunkKind),
    gate: u64,
    (lost, records): (u64, u64),
    now: u64,
) -> io::Result<()> {
    let at = place(index);
    let mut words = [0u64; CHUNK_HEADER_WORDS];
    words[chunk::LANE_KIND] = layout::pack_lane_kind(lane, kind);
    words[chunk::TICKS] = now;
    words[chunk::MONOTONIC_NS] = now;
    words[chunk::LOST] = lost;
    words[chunk::CHECK] = uuid_low ^ gate;
    words[chunk::RECORDS] = records;
    let mut whole = vec![0; CHUNK_BYTES];
    for (place, word) in whole.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    file.write_all_at(&[0; 8], at)?;
    file.write_all_at(&whole, at)?;
    file.write_all_at(&gate.to_le_bytes(), at + (chunk::SEQ * 8) as u64)
}

/// `<pid>-<start time>-<random>.trc`
fn name(whose: &Whose, id: &[u8; 16]) -> String {
    format!(
        "{}-{}-{}.trc",
        whose.own_pid,
        whose.start_time,
        hex(&id[..4])
    )
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn get(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u64::from_le_bytes(*word))
}

fn fill_header(
    head: &mut [u8],
    common: &Common,
    capture: u32,
    whose: &Whose,
    uuid: &[u8; 16],
    now: u64,
) {
    let clock = |id| {
        let now = rustix::time::clock_gettime(id);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
    };
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    put(head, header::MAGIC, &layout::MAGIC);
    put(head, header::VERSION, &layout::MAJOR.to_le_bytes());
    if common.stacks {
        let stacks = layout::incompat::STACKS;
        put(head, header::INCOMPAT, &stacks.to_le_bytes());
    }
    put(head, header::VERSION + 2, &layout::MINOR.to_le_bytes());
    put(head, header::HEADER_LEN, &small(layout::HEADER_BYTES));
    put(head, header::FILE_LEN, &place(0).to_le_bytes());
    put(head, header::CHUNK_LOG2, &layout::CHUNK_LOG2.to_le_bytes());
    put(head, header::CHUNKS, &small(common.chunks));
    put(head, header::LANES, &small(LANES));
    put(head, header::LANE_OFFSET, &small(layout::HEADER_BYTES));
    put(head, header::CHUNK_OFFSET, &place(0).to_le_bytes()[..4]);
    put(head, header::ENDIAN, &layout::ENDIAN_MARK.to_le_bytes());
    put(head, header::UUID, uuid);
    put(head, header::PID, &whose.own_pid.to_le_bytes());
    put(head, header::PPID, &whose.parent.to_le_bytes());
    put(head, header::START_TIME, &whose.start_time.to_le_bytes());
    put(head, header::TOKEN, &common.token);
    put(head, header::TICKS, &now.to_le_bytes());
    put(head, header::MONOTONIC_NS, &now.to_le_bytes());
    let boottime = clock(rustix::time::ClockId::Boottime);
    put(head, header::BOOTTIME_NS, &boottime.to_le_bytes());
    let realtime = clock(rustix::time::ClockId::Realtime);
    put(head, header::REALTIME_NS, &realtime.to_le_bytes());
    put(
        head,
        header::CLOCK_SOURCE,
        &layout::clock::MONOTONIC.to_le_bytes(),
    );
    put(
        head,
        header::TICKS_PER_SECOND,
        &1_000_000_000u64.to_le_bytes(),
    );
    let mode = if common.is_ring {
        layout::mode::RING
    } else {
        layout::mode::STOP
    };
    put(head, header::MODE, &mode.to_le_bytes());
    put(head, header::CAPTURE, &capture.to_le_bytes());
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    put(
        head,
        header::WRITER_VERSION,
        &version[..version.len().min(31)],
    );
    let exe = whose.exe.as_os_str().as_bytes();
    put(head, header::EXE_PATH, &exe[..exe.len().min(255)]);
    seal_header(head);
    put(head, header::STATE, &layout::state::RUNNING.to_le_bytes());
}

fn seal_header(head: &mut [u8]) {
    let crc = wire::crc::crc32c(&head[..header::CRC]);
    put(head, header::CRC, &crc.to_le_bytes());
}

/// Where the file lies.
impl AsRef<Path> for Writer {
    fn as_ref(&self) -> &Path {
        &self.file.path
    }
}

#[cfg(test)]
mod tests {
    use traces::event::{LossReason, What};
    use traces::{Input, Trace};
    use wire::payload::Submit;

    use super::*;

    fn writer(folder: &Path, chunks: usize, is_ring: bool) -> Writer {
        let common = Common {
            folder: folder.to_path_buf(),
            token: [7; 16],
            chunks,
            stacks: false,
            is_ring,
            open: Files::default(),
        };
        let whose = Whose {
            pid: 77,
            own_pid: 77,
            parent: 1,
            start_time: 900,
            exe: "/bin/app".into(),
        };
        Writer::create(&common, layout::capture::KERNEL, &whose, 1_000).unwrap()
    }

    fn submit(writer: &mut Writer, tid: u32, at: u64, sequence: u32) {
        let entry = Submit {
            cookie: 1,
            sequence,
            ..Submit::default()
        };
        writer.record((tid, b"worker"), at, Kind::Submit, 0, &entry.encode());
    }

    fn trace(writer: &Writer) -> Trace {
        let bytes = std::fs::read(writer.as_ref()).unwrap();
        let name = "x";
        Trace::read(&[Input {
            name,
            bytes: &bytes,
        }])
        .unwrap()
    }

    #[test]
    fn threads_of_which_nothing_is_left_were_overwritten_within_the_recorded_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), 4, true);
        let hour = 3_600_000_000_000;
        for sequence in 0..9_000 {
            let tid = if sequence < 3 { 77 + sequence } else { 90 };
            submit(&mut writer, tid, hour + u64::from(sequence), sequence);
        }
        writer.flush();
        let trace = trace(&writer);
        let losses = &trace.recording().losses;
        assert!(losses.len() > 3, "{losses:?}");
        for located in losses {
            assert_eq!(located.loss.reason, LossReason::Overwritten);
        }
        let events = trace.events();
        let took = events.last().unwrap().at_ns - events[0].at_ns;
        // The file began at a thousand.
        assert_eq!(took, hour + 8_999 - 1_000);
    }

    #[test]
    fn what_is_written_is_read_and_what_the_ring_gave_up_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        for (chunks, is_ring, reason) in [
            (64, true, None),
            (4, true, Some(LossReason::Overwritten)),
            (4, false, Some(LossReason::Full)),
        ] {
            let mut writer = writer(folder.path(), chunks, is_ring);
            // Times further apart than a record has room for, too.
            for sequence in 0..8000 {
                let tid = 77 + sequence % 3;
                submit(
                    &mut writer,
                    tid,
                    2_000 + u64::from(sequence) * 3_000_000,
                    sequence,
                );
                if sequence % 100 == 0 {
                    writer.flush();
                }
            }
            writer.flush();
            assert!(writer.failure().is_none());
            let trace = trace(&writer);
            assert!(
                trace.recording().problems.is_empty(),
                "{:?}",
                trace.recording().problems
            );
            let submits = trace.events().iter();
            let submits = submits.filter(|event| matches!(event.what, What::Submit(_)));
            let submits: Vec<_> = submits.collect();
            let (kept, latest) = (submits.len(), submits.last().unwrap());
            let losses = &trace.recording().losses;
            assert!(
                losses
                    .iter()
                    .all(|located| Some(located.loss.reason) == reason)
            );
            match reason {
                None => assert_eq!((kept, losses.len()), (8000, 0)),
                Some(LossReason::Full) => {
                    let lost: u64 = losses
                        .iter()
                        .filter_map(|located| located.loss.records)
                        .sum();
                    assert_eq!(kept as u64 + lost, 8000);
                }
                Some(_) => assert!(kept > 1000 && kept < 8000 && !losses.is_empty()),
            }
            if is_ring {
                assert_eq!(
                    latest.at_ns + trace.recording().began_ns.cast_unsigned(),
                    2_000 + 7999 * 3_000_000
                );
            }
            let process = &trace.recording().processes[0];
            assert_eq!((process.pid, process.start_time), (77, 900));
            let What::Submit(submitted) = &latest.what else {
                panic!("{latest:?}");
            };
            let name = format!("worker#{} (kernel)", 77 + submitted.sequence % 3);
            assert_eq!(trace.names().thread(latest.lane), name);
        }
    }

    #[test]
    fn lanes_of_threads_that_ended_go_on_with_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), 8, true);
        for tid in 100..1100 {
            submit(&mut writer, tid, u64::from(tid), tid);
            writer.ended(tid, u64::from(tid));
        }
        writer.flush();
        assert_eq!(writer.lanes.len(), 1);
        let trace = trace(&writer);
        assert!(trace.recording().losses.is_empty());
        assert_eq!(trace.verdict().summary.operations, 1000);
    }

    #[test]
    fn a_file_is_renamed_when_its_process_turns_out_to_have_begun_at_another_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), 8, true);
        submit(&mut writer, 77, 5_000, 0);
        let whose = Whose {
            pid: 77,
            own_pid: 77,
            start_time: 901,
            ..Whose::default()
        };
        writer.began(&whose).unwrap();
        writer.flush();
        let name = writer.as_ref().file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("77-901-"), "{name}");
        assert_eq!(trace(&writer).recording().processes[0].start_time, 901);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
