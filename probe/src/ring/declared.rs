//! What a program says of a ring's cookies: how to read them, which stand for nothing, whose they are.

use wire::payload::pair;
use wire::record::Kind as Record;

use super::Ring;
use crate::index::Table;
use crate::recorder;

/// How to read the cookies of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cookies {
    /// Pointers, as they are.
    Pointers,
    /// Pointers that carry a tag in these bits.
    TaggedPointers {
        /// Bits that do not belong to the pointer.
        tag_mask: u64,
    },
    /// Indices of a table, the only one whose indices travel in this process.
    Indices,
    /// Keys of this table.
    KeysOf(Table),
}

impl Ring {
    /// Declares how this ring's cookies are to be read. Without a declaration the recording itself has
    /// to prove that they are pointers (some were leaked).
    ///
    /// Once, when the ring is made: declarations add up, and of several tables the first one counts.
    pub fn cookies(&self, scheme: Cookies) {
        // The numbers of `traces::scheme`.
        let (number, parameter) = match scheme {
            Cookies::Pointers => (1, 0),
            Cookies::TaggedPointers { tag_mask } => (2, tag_mask),
            Cookies::Indices => (3, 0),
            Cookies::KeysOf(table) => (3, table.tag()),
        };
        self.declare(number, parameter);
    }

    /// Declares a cookie that stands for nothing in particular, such as 0 or `u64::MAX`: operations
    /// whose completions the program takes and ignores.
    pub fn sentinel(&self, cookie: u64) {
        self.declare(5, cookie);
    }

    fn declare(&self, scheme: u64, parameter: u64) {
        if recorder::recording()
            && let Some(id) = self.known()
        {
            // 0 would mean all rings.
            recorder::record(Record::Scheme, 0, 0, [u64::from(id) + 1, scheme, parameter]);
        }
    }

    /// From here on what this thread submits to this ring belongs to one part of the program, and so do the
    /// completions that it takes; an empty name stands for nobody, or for all. Where several parts share a ring, a
    /// completion that the wrong one took is then seen.
    #[inline]
    pub fn owner(&self, name: &str) {
        if recorder::recording()
            && let Some(id) = self.known()
        {
            let name = recorder::text(name);
            recorder::record(Record::OwnerLabel, 0, 0, [pair(id, name)]);
        }
    }

    /// As [`Ring::owner`], of a name in another language.
    #[cfg(feature = "c")]
    pub fn owner_of_bytes(&self, name: &[u8]) {
        if recorder::recording()
            && let Some(id) = self.known()
        {
            let name = recorder::foreign::text(name);
            recorder::record(Record::OwnerLabel, 0, 0, [pair(id, name)]);
        }
    }

    /// Operations of this ring carry this cookie several at a time, on purpose.
    pub fn shared(&self, cookie: u64) {
        if recorder::recording() && self.known().is_some() {
            recorder::record(Record::Shared, 0, 0, [cookie]);
        }
    }
}
