//! Recordings that are the same, byte for byte, in every run: the clock is advanced by hand, ids are
//! fixed, and pointers are written as stable logical addresses in the order of their first leak.
//!
//! For golden files and for machines where the kernel permits no io_uring. One thread only. This is
//! the one place of the probe that locks and allocates: a simulated program has no hot path.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wire::record::Kind;

static WANTED: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);
static NOW_NS: AtomicU64 = AtomicU64::new(0);
static ADDRESSES: Mutex<Option<HashMap<u64, u64>>> = Mutex::new(None);

/// First logical address, and their distance.
const FIRST: u64 = 0x5151_0000_0000;
const STEP: u64 = 0x40;

pub(crate) fn wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

pub(crate) fn seed() -> Option<u64> {
    wanted().then(|| SEED.load(Ordering::Relaxed))
}

pub(crate) fn ticks() -> u64 {
    NOW_NS.load(Ordering::Relaxed)
}

pub(crate) fn begin(seed: u64) {
    SEED.store(seed, Ordering::Relaxed);
    NOW_NS.store(0, Ordering::Relaxed);
    WANTED.store(true, Ordering::Relaxed);
}

pub(crate) fn advance(ns: u64) {
    NOW_NS.fetch_add(ns, Ordering::Relaxed);
}

/// Puts logical addresses in place of the pointers of a record.
pub(crate) fn rewrite<'w>(kind: Kind, payload: &[u64], words: &'w mut [u64]) -> &'w [u64] {
    let Some(copy) = words.get_mut(..payload.len()) else {
        return &[];
    };
    copy.copy_from_slice(payload);
    let Ok(mut addresses) = ADDRESSES.lock() else {
        return copy;
    };
    let addresses = addresses.get_or_insert_default();
    let next = FIRST + addresses.len() as u64 * STEP;
    let known = |addresses: &HashMap<u64, u64>, word: &mut u64| {
        if let Some(logical) = addresses.get(word) {
            *word = *logical;
        }
    };
    // A buffer's address, unless it names the target of a cancellation.
    let buffer = |addresses: &HashMap<u64, u64>, words: &mut [u64]| {
        if let Some(addr) = words.first_mut().filter(|addr| **addr != 0) {
            *addr = addresses.get(addr).copied().unwrap_or(0xB0FF);
        }
    };
    match (kind, &mut *copy) {
        (Kind::LeakSubmit, [pointer, _, _, _, rest @ ..]) => {
            *pointer = *addresses.entry(*pointer).or_insert(next);
            buffer(addresses, rest);
        }
        (Kind::Leak | Kind::LeakForever, [pointer, ..]) => {
            *pointer = *addresses.entry(*pointer).or_insert(next);
        }
        (Kind::Reclaim | Kind::Peek | Kind::Retain | Kind::Release, [pointer, ..])
        | (
            Kind::Complete | Kind::CompleteAt | Kind::CompleteReclaim | Kind::Shared,
            [pointer, ..],
        ) => {
            known(addresses, pointer);
        }
        (Kind::Submit, [cookie, _, _, _, rest @ ..]) => {
            known(addresses, cookie);
            buffer(addresses, rest);
        }
        (Kind::Resume, [_, cookie]) => known(addresses, cookie),
        (Kind::Suspend, [_, cookies @ ..]) => {
            cookies
                .iter_mut()
                .for_each(|cookie| known(addresses, cookie));
        }
        _ => {}
    }
    copy
}
