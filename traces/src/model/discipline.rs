//! Whether a ring's small cookies are indices of a table: what lies there is taken out when the last completion of its
//! operation has come, and only then goes in again.
//!
//! A program that does not link the probe declares nothing, so it is asked what it does. An index is one that went in
//! again many times, each time after its operation had ended, for operations of several kinds (or all of the ring's are
//! of one). A cookie that is in flight several times as a matter of course is no identity, but says "nobody", and one
//! that stands for one thing, a timer, is no index. Only where an index goes in again too early, and hardly ever does, is
//! there something to say, and it is suspected.

use rustc_hash::FxHashMap;

use super::Observer;
use super::expect;
use super::moment::Moment;
use super::opcodes as op;
use super::ringset::RingKey;
use super::things::OperationId;
use crate::event::{Event, EventId, Submission};

/// Indices are below.
const INDEX_MAX: u64 = 1 << 24;
/// Cookies that are kept, of all rings.
const COOKIES_MAX: usize = if cfg!(test) { 1 << 10 } else { 1 << 18 };
/// How often a cookie, and a ring's cookies together, have gone in again in order for each time that they did not.
const ORDERLY: u32 = 8;
const ORDERLY_RING: u64 = 16;
/// Other cookies that have to be orderly, too: one or two are no table.
const OTHERS: usize = 3;
/// Times that are kept for each ring.
const EARLY_MAX: usize = 8;

/// One of the two operations that had a cookie at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carrier {
    pub(crate) id: OperationId,
    pub(crate) slot: u16,
    pub(crate) opcode: u8,
    pub(crate) submit: EventId,
    pub(crate) scope: u32,
    /// It posted a completion, and said that more will come: its owner may be gone for what that is worth.
    pub(crate) has_posted: bool,
}

impl Carrier {
    pub(super) fn new(id: OperationId, submission: &Submission, event: &Event) -> Self {
        Self {
            id,
            slot: submission.entry.slot,
            opcode: submission.entry.opcode,
            submit: event.id,
            scope: event.scope,
            has_posted: false,
        }
    }
}

/// An index that went in again too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Early {
    pub(crate) cookie: u64,
    pub(crate) first: Carrier,
    pub(crate) again: Carrier,
    /// How often it went in again in order.
    pub(crate) orderly: u32,
}

/// Small cookies of all rings.
#[derive(Debug, Default)]
pub(super) struct Discipline {
    rings: FxHashMap<RingKey, Cookies>,
    kept: usize,
}

#[derive(Debug, Default)]
struct Cookies {
    each: FxHashMap<u64, Cookie>,
    orderly: u64,
    early: Vec<Early>,
    early_count: u64,
    /// Kinds of operations, one bit each.
    opcodes: u128,
    /// Something ended operations that cannot be told by their cookies, or there are cookies that are not kept.
    is_blurred: bool,
}

#[derive(Debug, Default)]
struct Cookie {
    orderly: u32,
    early: u32,
    opcodes: u128,
    /// Asked to be cancelled since it went in: some do not wait for what comes of that.
    is_cancelled: bool,
}

impl Discipline {
    /// An operation goes in; `rival` is one in flight with its cookie that is sure to post a completion.
    pub(super) fn submitted(
        &mut self,
        key: RingKey,
        submission: &Submission,
        again: Carrier,
        rival: Option<Carrier>,
    ) {
        let entry = &submission.entry;
        let ring = self.rings.entry(key).or_default();
        match entry.opcode {
            // By descriptor, or all of them.
            op::ASYNC_CANCEL if entry.op_flags != 0 => ring.is_blurred = true,
            op::ASYNC_CANCEL | op::POLL_REMOVE | op::TIMEOUT_REMOVE => {
                // The kernel's own list does not say which one is meant.
                ring.is_blurred |= entry.addr == 0 && entry.fd == -1 && entry.len == 0;
                if let Some(named) = ring.each.get_mut(&entry.addr) {
                    named.is_cancelled = true;
                }
            }
            _ => {}
        }
        let is_one =
            entry.cookie < INDEX_MAX && !ends_others(entry.opcode) && !expect::ends_quietly(entry);
        if !is_one {
            return;
        }
        if self.kept >= COOKIES_MAX && !ring.each.contains_key(&entry.cookie) {
            // What those do that are not kept might be what says that none of them is an index.
            ring.is_blurred = true;
            return;
        }
        let kind = 1u128.checked_shl(entry.opcode.into()).unwrap_or(1 << 127);
        ring.opcodes |= kind;
        let mut is_new = false;
        let cookie = ring.each.entry(entry.cookie).or_insert_with(|| {
            is_new = true;
            Cookie::default()
        });
        self.kept += usize::from(is_new);
        cookie.opcodes |= kind;
        match rival {
            _ if is_new => {}
            None => {
                cookie.orderly = cookie.orderly.saturating_add(1);
                cookie.is_cancelled = false;
                ring.orderly += 1;
            }
            Some(rival) => {
                cookie.early = cookie.early.saturating_add(1);
                ring.early_count += 1;
                let explained =
                    rival.has_posted || cookie.is_cancelled || ends_others(rival.opcode);
                if !explained && ring.early.len() < EARLY_MAX {
                    ring.early.push(Early {
                        cookie: entry.cookie,
                        first: rival,
                        again,
                        orderly: cookie.orderly,
                    });
                }
            }
        }
    }

    /// What went in too early on rings whose small cookies are indices.
    pub(super) fn finish(&self, observer: &mut Observer<'_>) {
        let mut all: Vec<_> = self.rings.values().flat_map(Cookies::found).collect();
        all.sort_by_key(|early| early.again.submit);
        for early in all {
            observer.see(&Moment::WentInEarly(early));
        }
    }
}

impl Cookies {
    fn found(&self) -> impl Iterator<Item = Early> {
        let is_table = !self.is_blurred && self.orderly >= ORDERLY_RING * self.early_count;
        let early = self.early.iter().filter(move |_| is_table);
        early.copied().filter(|early| {
            // It is none of them itself: it went in too early.
            let others = self
                .each
                .values()
                .filter(|cookie| cookie.early == 0 && cookie.orderly >= ORDERLY);
            let is_index = self.each.get(&early.cookie).is_some_and(|cookie| {
                // A timer's cookie never carries anything else.
                let kinds = cookie.opcodes.count_ones() > 1 || self.opcodes.count_ones() == 1;
                kinds && cookie.orderly >= ORDERLY.saturating_mul(cookie.early)
            });
            is_index && others.count() >= OTHERS
        })
    }
}

/// Operations about others, whose own completion programs often do not care for.
pub(crate) fn ends_others(opcode: u8) -> bool {
    matches!(
        opcode,
        op::ASYNC_CANCEL
            | op::POLL_REMOVE
            | op::TIMEOUT_REMOVE
            | op::LINK_TIMEOUT
            | op::CLOSE
            | op::MSG_RING
    )
}
