//! How cookies are to be read, as the program declared it.

use rustc_hash::FxHashSet;

use crate::scheme;

/// Declarations of all processes.
#[derive(Debug, Default)]
pub(super) struct Schemes {
    declared: Vec<(u32, Option<u32>, u64, u64)>,
    shared: FxHashSet<(u32, u64)>,
}

impl Schemes {
    pub(super) fn declare(&mut self, process: u32, ring: Option<u32>, number: u64, parameter: u64) {
        let entry = (process, ring, number, parameter);
        if !self.declared.contains(&entry) && self.declared.len() < 4096 {
            self.declared.push(entry);
        }
    }

    pub(super) fn share(&mut self, process: u32, cookie: u64) {
        self.shared.insert((process, cookie));
    }

    fn of(&self, process: u32, ring: u32) -> impl Iterator<Item = (u64, u64)> {
        let fits = move |entry: &&(u32, Option<u32>, u64, u64)| {
            entry.0 == process && entry.1.is_none_or(|declared| declared == ring)
        };
        self.declared
            .iter()
            .filter(fits)
            .map(|entry| (entry.2, entry.3))
    }

    /// The address or index in a cookie.
    pub(super) fn address(&self, process: u32, ring: u32, cookie: u64) -> u64 {
        let tags = self
            .of(process, ring)
            .filter(|entry| entry.0 == scheme::TAGGED);
        tags.fold(cookie, |cookie, (_, mask)| cookie & !mask) ^ self.table(process, ring)
    }

    /// What makes a ring's indices words of their own.
    pub(super) fn table(&self, process: u32, ring: u32) -> u64 {
        let index = [scheme::INDEX, scheme::INDEX_GENERATION];
        let mut tables = self
            .of(process, ring)
            .filter(|entry| index.contains(&entry.0));
        tables.next().map_or(0, |entry| entry.1)
    }

    /// Whether a ring's cookies have bits that do not belong to the address.
    pub(super) fn has_tags(&self, process: u32, ring: u32) -> bool {
        self.of(process, ring)
            .any(|entry| entry.0 == scheme::TAGGED && entry.1 != 0)
    }

    /// The address or index in a cookie of which no ring is known.
    pub(super) fn address_on_any(&self, process: u32, cookie: u64) -> u64 {
        let tags = self
            .declared
            .iter()
            .filter(|entry| entry.0 == process && entry.2 == scheme::TAGGED);
        tags.fold(cookie, |cookie, entry| cookie & !entry.3)
    }

    pub(super) fn is_sentinel(&self, process: u32, ring: u32, cookie: u64) -> bool {
        self.of(process, ring)
            .any(|entry| entry == (scheme::SENTINEL, cookie))
    }

    pub(super) fn is_shared(&self, process: u32, ring: u32, cookie: u64) -> bool {
        self.shared.contains(&(process, cookie))
            || self
                .of(process, ring)
                .any(|entry| entry.0 == scheme::SHARED)
    }

    /// Whether cookies are said to be pointers, or said to be something else.
    pub(super) fn pointers(&self, process: u32, ring: u32) -> Option<bool> {
        let mut said = None;
        for (number, _) in self.of(process, ring) {
            match number {
                scheme::POINTER | scheme::TAGGED => return Some(true),
                scheme::INDEX | scheme::INDEX_GENERATION => said = Some(false),
                _ => {}
            }
        }
        said
    }
}
