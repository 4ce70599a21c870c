//! What a program says of a ring's cookies: how to read them, which stand for nothing, whose they are. A ring that is
//! older than its recording keeps it until then.

#[cfg(feature = "assert")]
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "assert")]
use std::sync::{Mutex, OnceLock, PoisonError};
#[cfg(feature = "assert")]
use std::thread::ThreadId;

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
            record_scheme(id, scheme, parameter);
        } else {
            #[cfg(feature = "assert")]
            self.kept.keep(self, Kept::Scheme(scheme, parameter));
        }
    }

    /// From here on what this thread submits to this ring belongs to one part of the program, and so do the
    /// completions that it takes; an empty name stands for nobody, or for all. Where several parts share a ring, a
    /// completion that the wrong one took is then seen.
    ///
    /// Said before a recording is there, it holds for the thread whose record is the ring's first.
    #[inline]
    pub fn owner(&self, name: &str) {
        if recorder::recording()
            && let Some(id) = self.known()
        {
            record_owner(id, name);
        } else {
            #[cfg(feature = "assert")]
            self.kept.keep_owner(self, name);
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
            record_shared(cookie);
        } else {
            #[cfg(feature = "assert")]
            self.kept.keep(self, Kept::Shared(cookie));
        }
    }
}

fn record_scheme(id: u32, scheme: u64, parameter: u64) {
    // 0 would mean all rings.
    recorder::record_lasting(Record::Scheme, 0, [u64::from(id) + 1, scheme, parameter]);
}

fn record_shared(cookie: u64) {
    recorder::record_known(Record::Shared, [cookie]);
}

fn record_owner(id: u32, name: &str) {
    let name = recorder::text(name);
    recorder::record(Record::OwnerLabel, 0, 0, [pair(id, name)]);
}

/// What was declared while nothing was recorded yet. Only a test's scope begins a recording that late: a ring that
/// stands in a fixture or a thread's own variable is older.
#[cfg(feature = "assert")]
#[derive(Debug)]
pub(super) struct Declarations {
    /// Filled from the front on.
    all: [OnceLock<Kept>; KEPT_MAX],
    has_more: AtomicBool,
    /// The last name of each thread that said one.
    owners: Mutex<Vec<(ThreadId, String)>>,
}

/// Declarations that a ring keeps, and threads whose name it keeps.
#[cfg(feature = "assert")]
const KEPT_MAX: usize = 32;

#[cfg(feature = "assert")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// Its number, and what it says.
    Scheme(u64, u64),
    Shared(u64),
}

#[cfg(feature = "assert")]
impl Declarations {
    pub(super) const fn none() -> Self {
        Self {
            all: [const { OnceLock::new() }; KEPT_MAX],
            has_more: AtomicBool::new(false),
            owners: Mutex::new(Vec::new()),
        }
    }

    #[cold]
    fn keep(&self, ring: &Ring, kept: Kept) {
        let is_kept = |slot: &OnceLock<Kept>| {
            // Another thread may have filled it meanwhile.
            let _ = slot.set(kept);
            slot.get() == Some(&kept)
        };
        if !self.all.iter().any(is_kept) {
            self.has_more.store(true, Ordering::Relaxed);
        }
        // The recording began while this was kept, and introduced the ring, perhaps without this.
        if let Some(id) = ring.introduced() {
            kept.record(id);
        }
    }

    #[cold]
    fn keep_owner(&self, ring: &Ring, name: &str) {
        let me = std::thread::current().id();
        {
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, known)) = owners.iter_mut().find(|(thread, _)| *thread == me) {
                name.clone_into(known);
            } else if owners.len() < KEPT_MAX {
                owners.push((me, name.to_owned()));
            } else {
                self.has_more.store(true, Ordering::Relaxed);
            }
        }
        if let Some(id) = ring.introduced() {
            record_owner(id, name);
        }
    }

    /// Records what was kept, of a ring that has just been given its number.
    pub(super) fn record(&self, id: u32) {
        for kept in self.all.iter().map_while(OnceLock::get) {
            kept.record(id);
        }
        // Not there for a signal handler that came in the middle of `keep_owner`, and so before any recording.
        if let Ok(owners) = self.owners.try_lock() {
            let me = std::thread::current().id();
            if let Some((_, name)) = owners.iter().find(|(thread, _)| *thread == me) {
                record_owner(id, name);
            }
        }
        if self.has_more.load(Ordering::Relaxed) {
            crate::mark(
                "a ring keeps 32 declarations that are made before recording begins; it was told more, and those \
                 are missing",
            );
        }
    }
}

#[cfg(feature = "assert")]
impl Kept {
    fn record(self, id: u32) {
        match self {
            Self::Scheme(scheme, parameter) => record_scheme(id, scheme, parameter),
            Self::Shared(cookie) => record_shared(cookie),
        }
    }
}

#[cfg(feature = "assert")]
impl Ring {
    /// Its number, where a recording began meanwhile and gave it one.
    fn introduced(&self) -> Option<u32> {
        (recorder::recording() && super::has_number(self.id.load(Ordering::Relaxed)))
            .then(|| self.known())
            .flatten()
    }
}
