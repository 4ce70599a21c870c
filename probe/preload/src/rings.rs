//! The rings of this process that are followed, by descriptor.
//!
//! The table lies in memory that a forked child finds zeroed: it knows of no ring, and touches nothing of its
//! parent's, whose queues it does not have mapped.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::follow::Followed;
use crate::kernel;
use crate::lock::{Held, Lock};

/// Descriptors above are not followed.
const DESCRIPTORS: usize = 1 << 16;
const RINGS: usize = 1024;

struct Place {
    lock: Lock,
    taken: AtomicBool,
    /// Rings that lived here before: tells this one from the next.
    life: AtomicU64,
    fd: AtomicU32,
    ring: UnsafeCell<MaybeUninit<Owned>>,
}

/// A ring, and the mappings to be taken away with it.
pub(crate) struct Owned {
    pub(crate) ring: Followed,
    pub(crate) mappings: [(*mut u8, usize); 3],
}

/// All zeros is an empty table.
struct Table {
    /// Place of a descriptor's ring plus one; 0 for none.
    of: [AtomicU16; DESCRIPTORS],
    places: [Place; RINGS],
    /// Places that were ever used.
    used: AtomicU32,
}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(core::ptr::null_mut());

/// The ring of a descriptor, at one time.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    place: &'static Place,
    life: u64,
}

fn table() -> Option<&'static Table> {
    let table = TABLE.load(Ordering::Acquire);
    // SAFETY: published by `make`, zeroed and never unmapped; all zeros is a valid table. Cells are touched
    // under their lock alone.
    unsafe { table.as_ref() }
}

fn make() -> Option<&'static Table> {
    if let Some(table) = table() {
        return Some(table);
    }
    let memory = kernel::map(None, size_of::<Table>())?;
    let made = memory.cast::<Table>();
    let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
    if TABLE
        .compare_exchange(core::ptr::null_mut(), made, success, failure)
        .is_err()
    {
        // SAFETY: mapped above, and another thread's table won.
        unsafe { kernel::unmap(memory, size_of::<Table>()) };
    }
    table()
}

/// Whether any ring was ever followed in this process.
#[inline(always)]
pub(crate) fn any() -> bool {
    table().is_some_and(|table| table.used.load(Ordering::Relaxed) != 0)
}

/// The ring of a descriptor.
pub(crate) fn find(fd: i32) -> Option<Found> {
    let table = table()?;
    let number = table.of.get(usize::try_from(fd).ok()?)?;
    let index = number.load(Ordering::Acquire).checked_sub(1)?;
    let place = table.places.get(usize::from(index))?;
    let life = place.life.load(Ordering::Relaxed);
    Some(Found { place, life })
}

impl Found {
    /// Its descriptor.
    pub(crate) fn fd(&self) -> i32 {
        self.place.fd.load(Ordering::Relaxed).cast_signed()
    }

    /// Runs `body` alone with the ring. Not where this very thread is in here already, in a signal handler
    /// that interrupted itself, nor where the ring is gone.
    pub(crate) fn with<T>(&self, body: impl FnOnce(&mut Followed) -> T) -> Option<T> {
        let _held = self.held()?;
        // SAFETY: the lock is held, and the place is taken: it holds a ring.
        let owned = unsafe { (*self.place.ring.get()).assume_init_mut() };
        Some(body(&mut owned.ring))
    }

    fn held(&self) -> Option<Held<'static>> {
        let held = self.place.lock.take()?;
        let is_same = self.place.life.load(Ordering::Relaxed) == self.life;
        (is_same && self.place.taken.load(Ordering::Relaxed)).then_some(held)
    }

    /// Takes the ring out of the table.
    pub(crate) fn remove(&self) -> Option<Owned> {
        let _held = self.held()?;
        let number = usize::try_from(self.fd()).ok();
        if let Some(number) = number.and_then(|fd| table()?.of.get(fd)) {
            number.store(0, Ordering::Relaxed);
        }
        self.place.life.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `with`; the place is free from here on.
        let owned = unsafe { (*self.place.ring.get()).assume_init_read() };
        self.place.taken.store(false, Ordering::Release);
        Some(owned)
    }
}

/// Puts a ring into the table. Gives it back where there is no room.
#[expect(
    clippy::result_large_err,
    reason = "moved twice in a ring's life, and never allocated"
)]
pub(crate) fn insert(fd: i32, owned: Owned) -> Result<(), Owned> {
    let (Some(table), Ok(fd)) = (make(), u32::try_from(fd)) else {
        return Err(owned);
    };
    let Some(number) = table.of.get(fd as usize) else {
        return Err(owned);
    };
    for (index, place) in (0u32..).zip(&table.places) {
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        let mine = place
            .taken
            .compare_exchange(false, true, success, failure)
            .is_ok();
        if !mine {
            continue;
        }
        place.fd.store(fd, Ordering::Relaxed);
        // The place was free and is ours; nobody finds it before its number is stored below, but for `each`, which
        // looks at the number and at the lock.
        let Some(held) = place.lock.take() else {
            return Err(owned);
        };
        // SAFETY: under the lock.
        unsafe { (*place.ring.get()).write(owned) };
        drop(held);
        table.used.fetch_max(index + 1, Ordering::Release);
        number.store(index as u16 + 1, Ordering::Release);
        return Ok(());
    }
    Err(owned)
}

/// Descriptors of rings from one to another, both included.
pub(crate) fn between(first: u32, last: u32) -> impl Iterator<Item = i32> {
    let places = table().map(|table| {
        let used = table.used.load(Ordering::Acquire) as usize;
        table.places.get(..used).unwrap_or(&[])
    });
    let taken = places
        .into_iter()
        .flatten()
        .filter(|place| place.taken.load(Ordering::Relaxed));
    let fds = taken.map(|place| place.fd.load(Ordering::Relaxed));
    fds.filter(move |fd| (first..=last).contains(fd))
        .map(u32::cast_signed)
}

/// Runs `body` with each ring, one after the other.
pub(crate) fn each(mut body: impl FnMut(&mut Followed)) {
    let Some(table) = table() else { return };
    let used = table.used.load(Ordering::Acquire) as usize;
    for place in table.places.get(..used).unwrap_or(&[]) {
        let fd = place.fd.load(Ordering::Relaxed);
        if place.taken.load(Ordering::Relaxed)
            && let Some(found) = find(fd.cast_signed())
            && core::ptr::eq(found.place, place)
        {
            found.with(&mut body);
        }
    }
}
