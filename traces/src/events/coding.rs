//! An event and what it belongs to as bytes: which words differ from those of the event of its kind before it, and by
//! how much.
//!
//! A page is coded for itself, so that any one can be read alone. This is no file format: nobody but the process that
//! wrote it reads it back.

use smallvec::SmallVec;
use wire::payload::Submit;
use wire::record::{CookieState, Owner, RingKind};

use crate::event::{
    Borrow, Completion, Event, EventId, KINDS, Log, Loss, LossReason, Pointer, Ring, SiteId,
    StringId, Submission, TypeId, What,
};
use crate::model::Link;

/// Words of an event besides those of what happened.
const HEAD: usize = 9;

/// Words of a submission, which has the most.
const MOST: usize = 18;

type Words = SmallVec<[u64; MOST]>;

/// Goes from one event of a page to the next; the same on both ways.
pub(super) struct Coder {
    /// The latest words of each kind.
    last: Vec<[u64; HEAD + MOST]>,
    at_ns: u64,
}

impl Coder {
    pub(super) fn new() -> Self {
        Self {
            last: vec![[0; HEAD + MOST]; KINDS.len()],
            at_ns: 0,
        }
    }

    /// Adds an event.
    pub(super) fn put(&mut self, event: &Event, link: &Link, to: &mut Vec<u8>) {
        let (kind, words, more) = words(&event.what);
        let first = words.first().copied().unwrap_or(0);
        let head = head(event, link, first);
        to.push(kind);
        let Some(last) = self.last.get_mut(usize::from(kind)) else {
            return;
        };
        let now = || head.iter().chain(&words);
        let differs = now().zip(last.iter()).enumerate();
        let mask = differs.fold(0, |mask, (at, (now, last))| {
            mask | u64::from(now != last) << at
        });
        put_number(mask, to);
        put_number(signed(event.at_ns.wrapping_sub(self.at_ns)), to);
        self.at_ns = event.at_ns;
        for (now, last) in now().zip(last.iter_mut()) {
            if now != last {
                put_number(signed(now.wrapping_sub(*last)), to);
                *last = *now;
            }
        }
        if let Some(more) = more {
            put_number(more.len() as u64, to);
            for word in more {
                put_number(*word, to);
            }
        }
    }

    /// Takes the next event, which has this number.
    pub(super) fn take(&mut self, id: EventId, from: &mut Bytes<'_>) -> Option<(Event, Link)> {
        let kind = from.byte()?;
        let last = self.last.get_mut(usize::from(kind))?;
        let mut mask = from.number()?;
        self.at_ns = self.at_ns.wrapping_add(unsigned(from.number()?));
        while mask != 0 {
            let last = last.get_mut(mask.trailing_zeros() as usize)?;
            *last = last.wrapping_add(unsigned(from.number()?));
            mask &= mask - 1;
        }
        let (head, words) = last.split_at(HEAD);
        let more = if has_more(kind) {
            let count = from.number()?;
            (0..count).map(|_| from.number()).collect::<Option<_>>()?
        } else {
            Vec::new()
        };
        let first = words.first().copied().unwrap_or(0);
        let what = what(kind, words, more)?;
        let &[
            generation,
            operation,
            enter,
            lane,
            address,
            coroutine,
            ring,
            process,
            scope,
        ] = head
        else {
            return None;
        };
        let event = Event {
            id,
            at_ns: self.at_ns,
            process: process as u32,
            lane: lane as u32,
            scope: scope as u32,
            what,
        };
        let link = Link {
            address: address.wrapping_add(first),
            generation: generation as u32,
            coroutine: optional(coroutine),
            operation: optional(ring).map(|ring| (ring, operation)),
            enter: enter
                .checked_sub(1)
                .map(|after| EventId(id.0.wrapping_add(after))),
        };
        Some((event, link))
    }
}

/// What an event has besides what happened. Most addresses that it belongs to are the first word of that.
fn head(event: &Event, link: &Link, first: u64) -> [u64; HEAD] {
    let (ring, operation) = match link.operation {
        Some((ring, operation)) => (put_optional(Some(ring)), operation),
        None => (0, 0),
    };
    [
        link.generation.into(),
        operation,
        link.enter
            .map_or(0, |enter| enter.0.wrapping_sub(event.id.0).wrapping_add(1)),
        event.lane.into(),
        link.address.wrapping_sub(first),
        put_optional(link.coroutine),
        ring,
        event.process.into(),
        event.scope.into(),
    ]
}

fn put_optional(number: Option<u32>) -> u64 {
    number.map_or(0, |number| u64::from(number) + 1)
}

fn optional(word: u64) -> Option<u32> {
    word.checked_sub(1).map(|number| number as u32)
}

fn negative(number: i32) -> u64 {
    number.cast_unsigned().into()
}

fn positive(word: u64) -> i32 {
    (word as u32).cast_signed()
}

/// Small numbers of both signs as small ones.
fn signed(difference: u64) -> u64 {
    let difference = difference.cast_signed();
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

fn unsigned(coded: u64) -> u64 {
    (coded >> 1) ^ (coded & 1).wrapping_neg()
}

/// Seven bits a byte, the lowest first.
fn put_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// What is still to be read.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

const REASONS: [LossReason; 12] = [
    LossReason::Overwritten,
    LossReason::Full,
    LossReason::Nested,
    LossReason::NoLane,
    LossReason::AtStart,
    LossReason::Damaged,
    LossReason::Torn,
    LossReason::NotFollowed,
    LossReason::KernelBuffer,
    LossReason::Newer,
    LossReason::Removed,
    LossReason::RingNotFollowed,
];

/// Whether words of any number follow.
fn has_more(kind: u8) -> bool {
    matches!(kind, 15 | 40)
}

/// What happened: its kind, its words, and those that come in any number.
fn words(what: &What) -> (u8, Words, Option<&[u64]>) {
    let mut to = Words::new();
    let mut put = |words: &[u64]| to.extend_from_slice(words);
    let mut more = None;
    let kind = match what {
        What::Leak(p) => pointer(0, p, &mut put),
        What::Reclaim(p) => pointer(1, p, &mut put),
        What::Peek(p) => pointer(2, p, &mut put),
        What::Retain(p) => pointer(3, p, &mut put),
        What::Release(p) => pointer(4, p, &mut put),
        What::LeakForever(p) => pointer(5, p, &mut put),
        What::RingCreate(ring) => {
            put(&[
                ring.ring.into(),
                negative(ring.fd),
                ring.sq_entries.into(),
                ring.cq_entries.into(),
                ring.setup.into(),
                ring.features.into(),
                ring.kind as u64,
            ]);
            6
        }
        What::RingDrop { ring } => {
            put(&[(*ring).into()]);
            7
        }
        What::Claim { ring, slot } => {
            put(&[(*slot).into(), (*ring).into()]);
            8
        }
        What::Submit(submission) => {
            let entry = &submission.entry;
            put(&[
                entry.cookie,
                submission.sequence,
                entry.slot.into(),
                entry.addr,
                entry.len.into(),
                entry.off,
                entry.site.into(),
                entry.ring.into(),
                entry.opcode.into(),
                entry.sqe_flags.into(),
                entry.ioprio.into(),
                negative(entry.fd),
                entry.buf_index.into(),
                entry.personality.into(),
                entry.op_flags.into(),
                entry.file_index.into(),
                entry
                    .sequence
                    .wrapping_sub(submission.sequence as u32)
                    .into(),
                submission.cookie_state as u64,
            ]);
            9
        }
        What::Enter {
            ring,
            to_submit,
            min_complete,
            result,
        } => {
            put(&[
                (*ring).into(),
                (*to_submit).into(),
                (*min_complete).into(),
                negative(*result),
            ]);
            10
        }
        What::Complete(completion) => {
            put(&[
                completion.cookie,
                negative(completion.res),
                completion.flags.into(),
                completion.ring.into(),
                put_optional(completion.index),
                completion.operation.is_some().into(),
                completion.operation.unwrap_or(0),
            ]);
            11
        }
        What::Overflow { ring, count } => {
            put(&[(*ring).into(), *count]);
            12
        }
        What::Passed {
            ring,
            unread,
            beyond,
            site,
        } => {
            put(&[
                (*ring).into(),
                (*unread).into(),
                (*beyond).into(),
                site.0.into(),
            ]);
            41
        }
        What::Push { fd, index, cookie } => {
            put(&[negative(*fd), (*index).into(), *cookie]);
            42
        }
        What::Spawn {
            coroutine,
            parent,
            site,
            ty,
        } => {
            put(&[
                (*coroutine).into(),
                put_optional(*parent),
                site.0.into(),
                ty.0.into(),
            ]);
            13
        }
        What::Resume { coroutine, by } => {
            let (ring, cookie) = by.map_or((0, 0), |by| (put_optional(Some(by.0)), by.1));
            put(&[cookie, (*coroutine).into(), ring]);
            14
        }
        What::Suspend { coroutine, cookies } => {
            put(&[(*coroutine).into()]);
            more = Some(&cookies[..]);
            15
        }
        What::Done { coroutine } => {
            put(&[(*coroutine).into()]);
            16
        }
        What::CoroutineDrop { coroutine } => {
            put(&[(*coroutine).into()]);
            17
        }
        What::Wake { coroutine } => {
            put(&[(*coroutine).into()]);
            18
        }
        What::ScopeBegin {
            scope,
            parent,
            site,
            name,
            is_process,
        } => {
            put(&[
                (*scope).into(),
                (*parent).into(),
                site.0.into(),
                name.0.into(),
                (*is_process).into(),
            ]);
            19
        }
        What::ScopeEnd { scope, by_panic } => {
            put(&[(*scope).into(), (*by_panic).into()]);
            20
        }
        What::ScopeEnter { scope } => {
            put(&[(*scope).into()]);
            21
        }
        What::Scheme {
            ring,
            scheme,
            parameter,
        } => {
            put(&[put_optional(*ring), *scheme, *parameter]);
            22
        }
        What::Shared { cookie } => {
            put(&[*cookie]);
            23
        }
        What::OwnerLabel { ring, owner } => {
            put(&[(*ring).into(), owner.0.into()]);
            24
        }
        What::Alloc {
            address,
            size,
            align,
        } => {
            put(&[*address, *size, (*align).into()]);
            25
        }
        What::Free { address, size } => {
            put(&[*address, *size]);
            26
        }
        What::Realloc { from, to, size } => {
            put(&[*from, *to, *size]);
            27
        }
        What::Unmap { address, size } => {
            put(&[*address, *size]);
            28
        }
        What::FdOpen { fd, site } => {
            put(&[negative(*fd), site.0.into()]);
            29
        }
        What::FdClose { fd, site } => {
            put(&[negative(*fd), site.0.into()]);
            30
        }
        What::BorrowBegin(borrow) => borrowed(31, borrow, &mut put),
        What::BorrowEnd(borrow) => borrowed(32, borrow, &mut put),
        What::BufferInit {
            address,
            size,
            initialised,
        } => {
            put(&[*address, *size, *initialised]);
            33
        }
        What::BufferProvide {
            ring,
            group,
            buffer,
            count,
        } => {
            put(&[
                (*ring).into(),
                (*group).into(),
                (*buffer).into(),
                (*count).into(),
            ]);
            34
        }
        What::StackPointer { address, lowest } => {
            put(&[*address, *lowest]);
            35
        }
        What::Thread { tid, name } => {
            put(&[(*tid).into(), name.0.into()]);
            36
        }
        What::Fork { child } => {
            put(&[(*child).into()]);
            37
        }
        What::Mark { text, log } => {
            put(&[text.0.into(), log.level.into(), log.flags.into()]);
            38
        }
        What::Lost(loss) => {
            let reason = REASONS.iter().position(|reason| *reason == loss.reason);
            put(&[
                reason.unwrap_or(0) as u64,
                loss.records.is_some().into(),
                loss.records.unwrap_or(0),
            ]);
            39
        }
        What::Other { kind, words } => {
            put(&[(*kind).into()]);
            more = Some(&words[..]);
            40
        }
    };
    (kind, to, more)
}

fn pointer(kind: u8, pointer: &Pointer, put: &mut impl FnMut(&[u64])) -> u8 {
    put(&[
        pointer.address,
        pointer.owner as u64,
        pointer.ty.0.into(),
        pointer.site.0.into(),
    ]);
    kind
}

fn borrowed(kind: u8, borrow: &Borrow, put: &mut impl FnMut(&[u64])) -> u8 {
    put(&[
        borrow.cell,
        borrow.ty.0.into(),
        borrow.site.0.into(),
        borrow.exclusive.into(),
    ]);
    kind
}

/// The other way.
fn what(kind: u8, words: &[u64], more: Vec<u64>) -> Option<What> {
    let word = |at: usize| words.get(at).copied().unwrap_or(0);
    let half = |at: usize| word(at) as u32;
    let short = |at: usize| word(at) as u16;
    let byte = |at: usize| word(at) as u8;
    let pointer = || Pointer {
        address: word(0),
        owner: Owner::from_u8(byte(1)),
        ty: TypeId(half(2)),
        site: SiteId(half(3)),
    };
    let borrow = || Borrow {
        cell: word(0),
        ty: TypeId(half(1)),
        site: SiteId(half(2)),
        exclusive: word(3) != 0,
    };
    Some(match kind {
        0 => What::Leak(pointer()),
        1 => What::Reclaim(pointer()),
        2 => What::Peek(pointer()),
        3 => What::Retain(pointer()),
        4 => What::Release(pointer()),
        5 => What::LeakForever(pointer()),
        6 => What::RingCreate(Ring {
            ring: half(0),
            fd: positive(word(1)),
            sq_entries: half(2),
            cq_entries: half(3),
            setup: half(4),
            features: half(5),
            kind: RingKind::from_u8(byte(6))?,
        }),
        7 => What::RingDrop { ring: half(0) },
        8 => What::Claim {
            slot: half(0),
            ring: half(1),
        },
        9 => What::Submit(Submission {
            entry: Submit {
                cookie: word(0),
                slot: short(2),
                addr: word(3),
                len: half(4),
                off: word(5),
                site: half(6),
                ring: short(7),
                opcode: byte(8),
                sqe_flags: byte(9),
                ioprio: short(10),
                fd: positive(word(11)),
                buf_index: short(12),
                personality: short(13),
                op_flags: half(14),
                file_index: half(15),
                sequence: half(16).wrapping_add(half(1)),
            },
            sequence: word(1),
            cookie_state: CookieState::from_u8(byte(17)),
        }),
        10 => What::Enter {
            ring: half(0),
            to_submit: half(1),
            min_complete: half(2),
            result: positive(word(3)),
        },
        11 => What::Complete(Completion {
            cookie: word(0),
            res: positive(word(1)),
            flags: half(2),
            ring: half(3),
            index: optional(word(4)),
            operation: (word(5) != 0).then(|| word(6)),
        }),
        12 => What::Overflow {
            ring: half(0),
            count: word(1),
        },
        13 => What::Spawn {
            coroutine: half(0),
            parent: optional(word(1)),
            site: SiteId(half(2)),
            ty: TypeId(half(3)),
        },
        14 => What::Resume {
            coroutine: half(1),
            by: optional(word(2)).map(|ring| (ring, word(0))),
        },
        15 => What::Suspend {
            coroutine: half(0),
            cookies: more,
        },
        16 => What::Done { coroutine: half(0) },
        17 => What::CoroutineDrop { coroutine: half(0) },
        18 => What::Wake { coroutine: half(0) },
        19 => What::ScopeBegin {
            scope: half(0),
            parent: half(1),
            site: SiteId(half(2)),
            name: StringId(half(3)),
            is_process: word(4) != 0,
        },
        20 => What::ScopeEnd {
            scope: half(0),
            by_panic: word(1) != 0,
        },
        21 => What::ScopeEnter { scope: half(0) },
        22 => What::Scheme {
            ring: optional(word(0)),
            scheme: word(1),
            parameter: word(2),
        },
        23 => What::Shared { cookie: word(0) },
        24 => What::OwnerLabel {
            ring: half(0),
            owner: StringId(half(1)),
        },
        25 => What::Alloc {
            address: word(0),
            size: word(1),
            align: byte(2),
        },
        26 => What::Free {
            address: word(0),
            size: word(1),
        },
        27 => What::Realloc {
            from: word(0),
            to: word(1),
            size: word(2),
        },
        28 => What::Unmap {
            address: word(0),
            size: word(1),
        },
        29 => What::FdOpen {
            fd: positive(word(0)),
            site: SiteId(half(1)),
        },
        30 => What::FdClose {
            fd: positive(word(0)),
            site: SiteId(half(1)),
        },
        31 => What::BorrowBegin(borrow()),
        32 => What::BorrowEnd(borrow()),
        33 => What::BufferInit {
            address: word(0),
            size: word(1),
            initialised: word(2),
        },
        34 => What::BufferProvide {
            ring: half(0),
            group: half(1),
            buffer: half(2),
            count: half(3),
        },
        35 => What::StackPointer {
            address: word(0),
            lowest: word(1),
        },
        36 => What::Thread {
            tid: half(0),
            name: StringId(half(1)),
        },
        37 => What::Fork { child: half(0) },
        38 => What::Mark {
            text: StringId(half(0)),
            log: Log {
                level: byte(1),
                flags: byte(2),
            },
        },
        39 => What::Lost(Loss {
            reason: *REASONS.get(usize::from(byte(0)))?,
            records: (word(1) != 0).then(|| word(2)),
        }),
        41 => What::Passed {
            ring: half(0),
            unread: half(1),
            beyond: half(2),
            site: SiteId(half(3)),
        },
        42 => What::Push {
            fd: positive(word(0)),
            index: half(1),
            cookie: word(2),
        },
        40 => What::Other {
            kind: byte(0),
            words: more,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kind_comes_back_as_it_was(
            all in proptest::collection::vec(
                (
                    0..KINDS.len() as u8,
                    proptest::collection::vec(prop_oneof![0..4u64, any::<u64>()], MOST),
                    proptest::collection::vec(any::<u64>(), 0..3),
                    any::<(u64, u32, u32, u32)>(),
                    any::<(u64, u32, Option<u32>, Option<(u32, u64)>, Option<u32>)>(),
                ),
                1..60,
            ),
        ) {
            let all: Vec<(Event, Link)> = (0..)
                .map(EventId)
                .zip(all)
                .filter_map(|(id, (kind, words, more, place, link))| {
                    let more = if has_more(kind) { more } else { Vec::new() };
                    let event = Event {
                        id,
                        at_ns: place.0,
                        process: place.1,
                        lane: place.2,
                        scope: place.3,
                        what: what(kind, &words, more)?,
                    };
                    let (address, generation, coroutine, operation, enter) = link;
                    let enter = enter.map(|enter| EventId(u64::from(enter)));
                    Some((event, Link { address, generation, coroutine, operation, enter }))
                })
                .collect();
            let mut bytes = Vec::new();
            let mut coder = Coder::new();
            for (event, link) in &all {
                let kind = words(&event.what).0;
                prop_assert_eq!(KINDS[usize::from(kind)], event.what.kind());
                coder.put(event, link, &mut bytes);
            }
            let (mut coder, mut left) = (Coder::new(), Bytes(&bytes));
            for (event, link) in &all {
                prop_assert_eq!(coder.take(event.id, &mut left), Some((event.clone(), *link)));
            }
            prop_assert_eq!(left.0.len(), 0);
            // Cut short, it ends.
            let mut left = Bytes(&bytes[..bytes.len() / 2]);
            let mut coder = Coder::new();
            while coder.take(EventId(0), &mut left).is_some() {}
        }
    }
}
