//! Completions of one cookie that resumed nobody yet, oldest first. Nearly always it is one.

use std::collections::VecDeque;

use super::things::Credit;

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
