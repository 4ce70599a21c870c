//! Completions of one cookie that resumed nobody yet, oldest first. Nearly always it is one. And those of which that was
//! so long ago that they hardly will any more, and may.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::things::Credit;

/// Cookies that are kept for one that comes late.
const LATE_MAX: usize = if cfg!(test) { 1 << 8 } else { 1 << 16 };

/// Oldest first.
#[derive(Debug, Default)]
pub(crate) struct Credits {
    oldest: Option<Credit>,
    rest: VecDeque<Credit>,
}

impl Credits {
    pub(super) fn is_empty(&self) -> bool {
        self.oldest.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.oldest.is_some()).saturating_add(self.rest.len())
    }

    pub(super) fn push(&mut self, credit: Credit) {
        if self.oldest.is_none() {
            self.oldest = Some(credit);
        } else {
            self.rest.push_back(credit);
        }
    }

    pub(super) fn oldest(&self) -> Option<&Credit> {
        self.oldest.as_ref()
    }

    pub(super) fn newest(&self) -> Option<&Credit> {
        self.rest.back().or(self.oldest.as_ref())
    }

    pub(super) fn take_oldest(&mut self) -> Option<Credit> {
        std::mem::replace(&mut self.oldest, self.rest.pop_front())
    }

    pub(super) fn take_newest(&mut self) -> Option<Credit> {
        self.rest.pop_back().or_else(|| self.oldest.take())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Credit> {
        self.oldest.iter().chain(&self.rest)
    }
}

/// Cookies of completions that may still resume somebody, though they are not kept themselves.
#[derive(Debug, Default)]
pub(crate) struct Late {
    cookies: FxHashSet<u64>,
    /// Some of them are not known any more.
    has_more: bool,
}

impl Late {
    pub(super) fn add(&mut self, cookie: u64) {
        if self.cookies.len() >= LATE_MAX {
            self.cookies.clear();
            self.has_more = true;
        }
        self.cookies.insert(cookie);
    }

    /// A later one of its cookie has resumed somebody.
    #[inline]
    pub(super) fn forget(&mut self, cookie: u64) {
        if !self.cookies.is_empty() {
            self.cookies.remove(&cookie);
        }
    }

    /// Whether one may be behind a resume by a cookie of which nothing else is known; `is_new`: nobody was by that before.
    pub(super) fn may_be(&self, cookie: u64, is_new: bool) -> bool {
        (self.has_more && is_new) || self.cookies.contains(&cookie)
    }
}
