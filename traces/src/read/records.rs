//! The words of one record into an event, with the ids of its process put in place of its own.

use rustc_hash::FxHashMap;
use wire::layout::LASTING_MAX;
use wire::payload::{LeakSubmit, Submit, halves, word};
use wire::record::{CookieState, Header, Kind, Owner, RingKind, WITH_STACK, mark};
use wire::schema::Shape;

use super::clock::Line;
use super::{Row, Told};
use crate::dense::Dense;
use crate::event::{
    Borrow, Completion, Log, Loss, LossReason, Pointer, Ring, SiteId, StringId, Submission, TypeId,
    What,
};
use crate::model::Foreseen;
use crate::recording::{Lasting, Recording, Site, Tables, Type};
use crate::schema::Schema;
use crate::stack::{Frame, Module, StackId};
use crate::untrusted::Untrusted;

/// What the ids of one process mean.
#[derive(Default)]
pub(super) struct Ids {
    strings: Dense<StringId>,
    sites: FxHashMap<u32, (u32, u32, u32)>,
    types: FxHashMap<u32, (u32, u64, u64)>,
    site_ids: Dense<SiteId>,
    type_ids: Dense<TypeId>,
    modules: FxHashMap<u32, (u32, Module)>,
    stacks: FxHashMap<u32, Vec<u64>>,
    stack_ids: Dense<StackId>,
    /// Records that explain kinds which this build does not know.
    schemas: FxHashMap<u8, Vec<u64>>,
    known_schemas: FxHashMap<u8, Schema>,
    lasting: Lasting,
    /// Records of what lasts.
    lasting_records: u64,
}

impl Ids {
    /// Takes in a record of a META chunk.
    pub(super) fn learn(
        &mut self,
        tables: &mut Tables,
        process: u32,
        header: Header,
        words: &[u64],
    ) {
        match header.kind() {
            Some(Kind::String) => {
                let (id, len) = halves(word(words, 0));
                let mut bytes: Vec<u8> = words
                    .iter()
                    .skip(1)
                    .flat_map(|word| word.to_le_bytes())
                    .collect();
                bytes.truncate(len as usize);
                self.strings
                    .insert(id, tables.string_of(process, Untrusted::new(bytes)));
            }
            Some(Kind::Site) => {
                let (id, line) = halves(word(words, 0));
                let (file, column) = halves(word(words, 1));
                self.sites.insert(id, (file, line, column));
            }
            Some(Kind::Type) => {
                let (id, name) = halves(word(words, 0));
                self.types
                    .insert(id, (name, word(words, 1), word(words, 2)));
            }
            Some(Kind::Module) => {
                let (id, path) = halves(word(words, 0));
                let mut build_id: Vec<u8> = words
                    .iter()
                    .skip(5)
                    .flat_map(|word| word.to_le_bytes())
                    .collect();
                build_id.truncate(usize::try_from(word(words, 4)).unwrap_or(0).min(64));
                let module = Module {
                    process: 0,
                    path: Untrusted::default(),
                    base: word(words, 1),
                    size: word(words, 2),
                    file_base: word(words, 3),
                    build_id,
                };
                self.modules.insert(id, (path, module));
            }
            Some(Kind::Schema) => {
                let kind = word(words, 0) as u8;
                if Kind::from_u8(kind).is_none() {
                    self.schemas.insert(kind, words.to_vec());
                }
            }
            Some(Kind::Stack) => {
                let (id, count) = halves(word(words, 0));
                let frames = words.iter().skip(1).take(count as usize);
                self.stacks.insert(id, frames.copied().collect());
            }
            Some(Kind::RingCreate) => self.lasts(words, ring_create(header, words)),
            Some(Kind::Scheme) => self.lasts(words, scheme(words)),
            Some(Kind::Shared | Kind::Spawn) => {
                self.lasting_records += 1;
                self.lasting.shares |= header.kind() == Some(Kind::Shared);
                self.lasting.spawns |= header.kind() == Some(Kind::Spawn);
            }
            _ => {}
        }
    }

    /// Takes in what lasts, with the ticks at which it was said; no writer has more of it than that.
    fn lasts(&mut self, words: &[u64], what: What) {
        self.lasting_records += 1;
        if self.lasting_records <= u64::from(LASTING_MAX) {
            self.lasting.take(word(words, 3) as i64, what);
        }
    }

    /// What lasts, where its writer says that so many records of it are to be there and one.
    pub(super) fn lasting(&self, one_more: u64, line: &Line) -> Lasting {
        let mut lasting = self.lasting.clone();
        for said in &mut lasting.said {
            said.at_ns = line.at(said.at_ns as u64);
        }
        let is_all = one_more.checked_sub(1) == Some(self.lasting_records);
        lasting.is_whole = is_all && self.lasting_records <= u64::from(LASTING_MAX);
        lasting
    }

    /// Puts sites, types, modules and stacks together, once all that they refer to is known.
    pub(super) fn settle(&mut self, recording: &mut Recording, process: u32) {
        let tables = &mut recording.tables;
        for (id, (file, line, column)) in &self.sites {
            let site = Site {
                file: self.string(*file),
                line: *line,
                column: *column,
            };
            self.site_ids.insert(*id, tables.site(site));
        }
        for (id, (name, size, align)) in &self.types {
            let ty = Type {
                name: self.string(*name),
                size: *size,
                align: *align,
            };
            self.type_ids.insert(*id, tables.ty(ty));
        }
        let mut modules: Vec<_> = std::mem::take(&mut self.modules).into_iter().collect();
        modules.sort_unstable_by_key(|entry| entry.0);
        let mut indices: FxHashMap<u32, u32> = FxHashMap::default();
        for (id, (path, mut module)) in modules {
            module.process = process;
            module.path = recording.string(self.string(path)).clone();
            if let Ok(index) = u32::try_from(recording.modules.len()) {
                indices.insert(id, index);
                recording.modules.push(module);
            }
        }
        for (kind, words) in &self.schemas {
            let schema = Schema::new(words, |id| self.string(id));
            self.known_schemas.insert(*kind, schema.clone());
            recording.tables.schemas.insert((process, *kind), schema);
        }
        let stacks = &mut recording.tables.stacks;
        for (id, words) in std::mem::take(&mut self.stacks) {
            let frame = |word: u64| Frame {
                module: indices.get(&((word >> 48) as u32)).copied(),
                address: word & 0xFFFF_FFFF_FFFF,
            };
            let frames = words.into_iter().map(frame).collect();
            self.stack_ids.insert(id, stacks.add(frames));
        }
    }

    pub(super) fn string(&self, id: u32) -> StringId {
        self.strings.get(id)
    }

    /// The words that a record's kind speaks of, and the stack whose number stands behind them.
    pub(super) fn take_stack<'w>(&self, header: Header, words: &'w [u64]) -> (&'w [u64], StackId) {
        match words.split_last() {
            Some((id, rest)) if header.flags() & WITH_STACK != 0 => {
                let id = u32::try_from(*id).ok();
                (rest, id.map_or(StackId(0), |id| self.stack_ids.get(id)))
            }
            _ => (words, StackId(0)),
        }
    }

    /// Looks at a record of a kind that this build does not know: puts the recording's numbers of names into
    /// it, and says whether rules would have to know what it means. One that nobody explains may mean anything.
    pub(super) fn translate(&self, what: &mut What) -> Option<bool> {
        let What::Other { kind, words } = what else {
            return None;
        };
        if Kind::from_u8(*kind).is_some() {
            return None;
        }
        let Some(schema) = self.known_schemas.get(kind) else {
            return Some(true);
        };
        schema.translate(words, |shape, id| match shape {
            Shape::Site => self.site(id).0,
            Shape::Type => self.ty(id).0,
            _ => self.string(id).0,
        });
        Some(schema.bears())
    }

    fn site(&self, id: u32) -> SiteId {
        self.site_ids.get(id)
    }

    fn ty(&self, id: u32) -> TypeId {
        self.type_ids.get(id)
    }
}

/// Puts together whole sequence numbers of a ring from their low halves.
#[derive(Default)]
pub(super) struct Sequences(Dense<Option<u64>>);

impl Sequences {
    fn whole(&mut self, ring: u16, low: u32) -> u64 {
        let whole = self.nearest(u32::from(ring), low);
        *self.0.slot(u32::from(ring)) = Some(whole);
        whole
    }

    /// The nearest number to the ring's last one that has these low bits, above or below it.
    fn nearest(&mut self, ring: u32, low: u32) -> u64 {
        let last = self.0.slot(ring).unwrap_or(u64::from(low));
        let step = low.wrapping_sub(last as u32) as i32;
        last.checked_add_signed(i64::from(step))
            .unwrap_or(u64::from(low))
    }
}

/// What is carried from one submission of a lane to the next.
#[derive(Default)]
pub(super) struct Submissions {
    sequences: Sequences,
    /// The last one in the chunk at hand, with the file's own numbers, that another one may be like.
    last: Option<Submit>,
}

impl Submissions {
    /// A chunk begins: what stands in others is not behind it.
    #[inline]
    pub(super) fn begin_chunk(&mut self) {
        self.last = None;
    }
}

/// What rows of pointers tell, by the number of a record's kind.
const TOLD: [Told; 256] = {
    let mut told = [Told::Other; 256];
    told[Kind::Leak as usize] = Told::Leak;
    told[Kind::Reclaim as usize] = Told::Reclaim;
    told[Kind::Peek as usize] = Told::Peek;
    told[Kind::Retain as usize] = Told::Retain;
    told[Kind::Release as usize] = Told::Release;
    told
};

/// Owners by their numbers: to ask a table takes less than to tell ten apart.
const OWNERS: [Owner; 256] = {
    let mut owners = [Owner::Unknown; 256];
    let mut number = 0;
    while number < owners.len() {
        owners[number] = Owner::from_u8(number as u8);
        number += 1;
    }
    owners
};

/// Whether a record of three words tells of a pointer and nothing else, which is what most do.
#[inline]
pub(super) fn tells_of_pointer(header: Header) -> bool {
    const FIRST: u8 = Kind::Leak as u8;
    const LAST: u8 = Kind::Release as u8;
    header.is_plain(3) && matches!(header.raw_kind(), FIRST..=LAST)
}

/// Puts an event in the place of one that has nothing to drop, which nobody asks: that would take as long as all the rest.
/// So would to copy one that was put together elsewhere; therefore each is put where it is made.
#[inline(always)]
fn put(to: &mut What, what: What) {
    std::mem::forget(std::mem::replace(to, what));
}

/// Puts what such a record says, of a process and a lane, in the place of another row: all but its time.
#[inline(always)]
pub(super) fn put_row(
    ids: &Ids,
    (header, address, named): (Header, u64, u64),
    (process, lane): (u32, u32),
    row: &mut Row,
) {
    let (site, ty) = halves(named);
    row.address = address;
    row.ty = ids.ty(ty);
    row.site = ids.site(site);
    row.process = process;
    row.lane = lane;
    row.scope = 0;
    row.foreseen = Foreseen::default();
    row.told = TOLD[usize::from(header.raw_kind())];
    row.owner = OWNERS[usize::from(header.aux())];
}

/// The pointer that a record is about.
#[inline]
fn pointer(ids: &Ids, header: Header, address: u64, named: u64) -> Pointer {
    let (site, ty) = halves(named);
    Pointer {
        address,
        owner: Owner::from_u8(header.aux()),
        ty: ids.ty(ty),
        site: ids.site(site),
    }
}

/// The pointer of a record that stands for two events: its flags say which owner.
#[inline]
fn pointer_of_two(ids: &Ids, header: Header, words: &[u64], (site, ty): (u32, u32)) -> Pointer {
    Pointer {
        address: word(words, 0),
        owner: Owner::from_u8(header.flags() & !WITH_STACK),
        ty: ids.ty(ty),
        site: ids.site(site),
    }
}

/// Puts the leak and the submission of [`Kind::LeakSubmit`].
pub(super) fn leak_submit(
    ids: &Ids,
    submissions: &mut Submissions,
    header: Header,
    words: &[u64],
    [first, second]: [&mut What; 2],
) {
    let LeakSubmit { submit, ty } = LeakSubmit::decode(words);
    let leak = pointer_of_two(ids, header, words, (submit.site, ty));
    put(first, What::Leak(leak));
    submission(ids, &mut submissions.sequences, header, submit, second);
}

/// Puts the completion and the reclaim of [`Kind::CompleteReclaim`].
#[inline]
pub(super) fn complete_reclaim(
    ids: &Ids,
    header: Header,
    words: &[u64],
    [first, second]: [&mut What; 2],
) {
    completion(header, words, word(words, 3) as u32, first);
    let pointer = pointer_of_two(ids, header, words, halves(word(words, 2)));
    put(second, What::Reclaim(pointer));
}

#[inline]
fn submission(
    ids: &Ids,
    sequences: &mut Sequences,
    header: Header,
    mut entry: Submit,
    to: &mut What,
) {
    entry.site = ids.site(entry.site).0;
    let sequence = sequences.whole(entry.ring, entry.sequence);
    let submission = Submission {
        entry,
        sequence,
        cookie_state: CookieState::from_u8(header.aux()),
    };
    put(to, What::Submit(submission));
}

/// Puts a completion in the order of its queue; `wide` is the ring where the header has no room for it.
#[inline]
fn completion(header: Header, words: &[u64], wide: u32, to: &mut What) {
    let (res, flags) = halves(word(words, 1));
    let narrow = u32::from(header.aux());
    let completion = Completion {
        ring: if narrow == 255 { wide } else { narrow },
        cookie: word(words, 0),
        res: res as i32,
        flags,
        index: None,
        operation: None,
    };
    put(to, What::Complete(completion));
}

/// Puts the event that a record of any other kind stands for; whether there is one: some records only frame others.
pub(super) fn event(
    ids: &Ids,
    submissions: &mut Submissions,
    header: Header,
    words: &[u64],
    to: &mut What,
) -> bool {
    let pointer = || pointer(ids, header, word(words, 0), word(words, 1));
    let (low, high) = halves(word(words, 0));
    match header.kind() {
        Some(Kind::Pad | Kind::Time | Kind::Clock) => return false,
        Some(Kind::Lost) => put(
            to,
            What::Lost(Loss {
                // Of the kernel's, one process says how many, and the others that they may have missed some.
                records: Some(word(words, 0))
                    .filter(|count| *count != 0 || word(words, 1) != wire::record::LOST_KERNEL),
                reason: match word(words, 1) {
                    wire::record::LOST_KERNEL => LossReason::KernelBuffer,
                    wire::record::LOST_NOT_FOLLOWED => LossReason::NotFollowed,
                    wire::record::LOST_RING => LossReason::RingNotFollowed,
                    _ => LossReason::Full,
                },
            }),
        ),
        Some(Kind::Thread) => put(
            to,
            What::Thread {
                tid: low,
                name: ids.string(high),
            },
        ),
        Some(Kind::Fork) => put(to, What::Fork { child: low }),
        Some(Kind::Mark) => put(
            to,
            What::Mark {
                text: ids.string(low),
                log: Log {
                    level: header.aux(),
                    flags: header.flags() & (mark::ENTER | mark::LEAVE),
                },
            },
        ),
        Some(Kind::Leak) => put(to, What::Leak(pointer())),
        Some(Kind::Reclaim) => put(to, What::Reclaim(pointer())),
        Some(Kind::Peek) => put(to, What::Peek(pointer())),
        Some(Kind::Retain) => put(to, What::Retain(pointer())),
        Some(Kind::Release) => put(to, What::Release(pointer())),
        Some(Kind::LeakForever) => put(to, What::LeakForever(pointer())),
        Some(Kind::RingCreate) => put(to, ring_create(header, words)),
        Some(Kind::RingDrop) => put(to, What::RingDrop { ring: low }),
        Some(Kind::Claim) => put(
            to,
            What::Claim {
                ring: low,
                slot: high,
            },
        ),
        Some(Kind::Submit) => {
            let entry = Submit::decode(words);
            submissions.last = Some(entry);
            submission(ids, &mut submissions.sequences, header, entry, to);
        }
        Some(Kind::SubmitNext) => match &mut submissions.last {
            Some(last) => {
                *last = last.next(header.flags(), words);
                submission(ids, &mut submissions.sequences, header, *last, to);
            }
            // Behind nothing, which no writer does.
            None => put(to, other(header, words)),
        },
        Some(Kind::Enter) => {
            let (min_complete, result) = halves(word(words, 1));
            put(
                to,
                What::Enter {
                    ring: low,
                    to_submit: high,
                    min_complete,
                    result: result as i32,
                },
            );
        }
        Some(Kind::Complete) => completion(header, words, word(words, 2) as u32, to),
        Some(Kind::CompleteAt) => {
            let (res, flags) = halves(word(words, 1));
            let (ring, index) = halves(word(words, 2));
            put(
                to,
                What::Complete(Completion {
                    ring,
                    cookie: word(words, 0),
                    res: res as i32,
                    flags,
                    index: Some(index),
                    operation: None,
                }),
            );
        }
        Some(Kind::CompleteOf) => {
            let (res, flags) = halves(word(words, 1));
            let (ring, sequence) = halves(word(words, 2));
            put(
                to,
                What::Complete(Completion {
                    ring,
                    cookie: word(words, 0),
                    res: res as i32,
                    flags,
                    index: None,
                    operation: Some(submissions.sequences.nearest(ring, sequence)),
                }),
            );
        }
        Some(Kind::Overflow) => put(
            to,
            What::Overflow {
                ring: low,
                count: word(words, 1),
            },
        ),
        Some(Kind::Passed) => {
            let (beyond, site) = halves(word(words, 1));
            put(
                to,
                What::Passed {
                    ring: low,
                    unread: high,
                    beyond,
                    site: ids.site(site),
                },
            );
        }
        Some(Kind::Push) => {
            let (fd, index) = halves(word(words, 1));
            put(
                to,
                What::Push {
                    fd: fd.cast_signed(),
                    index,
                    cookie: word(words, 0),
                },
            );
        }
        Some(Kind::Spawn) => {
            let (site, ty) = halves(word(words, 1));
            put(
                to,
                What::Spawn {
                    coroutine: low,
                    parent: (high != 0).then_some(high),
                    site: ids.site(site),
                    ty: ids.ty(ty),
                },
            );
        }
        Some(Kind::Resume) => put(
            to,
            What::Resume {
                coroutine: low,
                by: (header.flags() & 1 == 0).then_some((high, word(words, 1))),
            },
        ),
        Some(Kind::Suspend) => {
            let cookies = words.iter().skip(1).take(high as usize).copied().collect();
            put(
                to,
                What::Suspend {
                    coroutine: low,
                    cookies,
                },
            );
        }
        Some(Kind::Done) => put(to, What::Done { coroutine: low }),
        Some(Kind::CoroutineDrop) => put(to, What::CoroutineDrop { coroutine: low }),
        Some(Kind::Wake) => put(to, What::Wake { coroutine: low }),
        Some(Kind::ScopeBegin) => {
            let (name, parent) = halves(word(words, 1));
            put(
                to,
                What::ScopeBegin {
                    scope: low,
                    parent,
                    site: ids.site(high),
                    name: ids.string(name),
                    is_process: header.aux() == wire::record::SCOPE_OF_PROCESS,
                },
            );
        }
        Some(Kind::ScopeEnd) => put(
            to,
            What::ScopeEnd {
                scope: low,
                by_panic: header.aux() == wire::record::SCOPE_BY_PANIC,
            },
        ),
        Some(Kind::ScopeEnter) => put(to, What::ScopeEnter { scope: low }),
        Some(Kind::Scheme) => put(to, scheme(words)),
        Some(Kind::Shared) => put(to, shared(words)),
        Some(Kind::OwnerLabel) => put(
            to,
            What::OwnerLabel {
                ring: low,
                owner: ids.string(high),
            },
        ),
        Some(Kind::Alloc) => put(
            to,
            What::Alloc {
                address: word(words, 0),
                size: word(words, 1) & 0x00FF_FFFF_FFFF_FFFF,
                align: (word(words, 1) >> 56) as u8,
            },
        ),
        Some(Kind::Free) => put(
            to,
            What::Free {
                address: word(words, 0),
                size: word(words, 1),
            },
        ),
        Some(Kind::Realloc) => put(
            to,
            What::Realloc {
                from: word(words, 0),
                to: word(words, 1),
                size: word(words, 2),
            },
        ),
        Some(Kind::Unmap) => put(
            to,
            What::Unmap {
                address: word(words, 0),
                size: word(words, 1),
            },
        ),
        Some(Kind::FdOpen) => put(
            to,
            What::FdOpen {
                fd: low as i32,
                site: ids.site(word(words, 1) as u32),
            },
        ),
        Some(Kind::FdClose) => put(
            to,
            What::FdClose {
                fd: low as i32,
                site: ids.site(word(words, 1) as u32),
            },
        ),
        Some(kind @ (Kind::BorrowBegin | Kind::BorrowEnd)) => {
            let borrow = Borrow {
                cell: word(words, 0),
                ty: ids.ty(halves(word(words, 1)).1),
                site: ids.site(word(words, 1) as u32),
                exclusive: header.aux() == 2,
            };
            if kind == Kind::BorrowBegin {
                put(to, What::BorrowBegin(borrow));
            } else {
                put(to, What::BorrowEnd(borrow));
            }
        }
        Some(Kind::BufferInit) => put(
            to,
            What::BufferInit {
                address: word(words, 0),
                size: word(words, 1),
                initialised: word(words, 2),
            },
        ),
        Some(Kind::BufferProvide) => {
            let (buffer, count) = halves(word(words, 1));
            put(
                to,
                What::BufferProvide {
                    ring: low,
                    group: high,
                    buffer,
                    count,
                },
            );
        }
        Some(Kind::StackPointer) => put(
            to,
            What::StackPointer {
                address: word(words, 0),
                lowest: word(words, 1),
            },
        ),
        _ => put(to, other(header, words)),
    }
    true
}

/// A record that means nothing to this build.
fn other(header: Header, words: &[u64]) -> What {
    What::Other {
        kind: header.raw_kind(),
        words: words.to_vec(),
    }
}

fn ring_create(header: Header, words: &[u64]) -> What {
    let (ring, fd) = halves(word(words, 0));
    let (sq_entries, cq_entries) = halves(word(words, 1));
    let (setup, features) = halves(word(words, 2));
    What::RingCreate(Ring {
        ring,
        fd: fd as i32,
        sq_entries,
        cq_entries,
        setup,
        features,
        kind: RingKind::from_u8(header.aux()).unwrap_or(RingKind::Copied),
    })
}

fn scheme(words: &[u64]) -> What {
    let (ring, _) = halves(word(words, 0));
    What::Scheme {
        ring: ring.checked_sub(1),
        scheme: word(words, 1),
        parameter: word(words, 2),
    }
}

fn shared(words: &[u64]) -> What {
    What::Shared {
        cookie: word(words, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_go_on_past_32_bits() {
        let mut sequences = Sequences::default();
        assert_eq!(sequences.whole(0, 0xFFFF_FFFE), 0xFFFF_FFFE);
        assert_eq!(sequences.whole(0, 0xFFFF_FFFF), 0xFFFF_FFFF);
        assert_eq!(sequences.whole(0, 1), 0x1_0000_0001);
        assert_eq!(sequences.whole(0, 0), 0x1_0000_0000);
        assert_eq!(sequences.whole(1, 5), 5);
    }

    #[test]
    fn records_without_words_are_events_too() {
        for kind in Kind::ALL {
            let header = Header::committed(*kind, 1, 0, 0, 0);
            let (ids, mut submissions) = (Ids::default(), Submissions::default());
            let [mut one, mut two] = [0, 1].map(|coroutine| What::Done { coroutine });
            event(&ids, &mut submissions, header, &[], &mut one);
            leak_submit(&ids, &mut submissions, header, &[], [&mut one, &mut two]);
            complete_reclaim(&ids, header, &[], [&mut one, &mut two]);
        }
    }
}
