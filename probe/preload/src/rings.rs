//! The rings of this process that are followed, by descriptor.
//!
//! The table lies in memory that a forked child finds zeroed: it knows of no ring, and touches nothing of its
//! parent's, whose queues it does not have mapped. But for a child that a signal handler forked in the middle of a look,
//! and that returns into it: for that the rings themselves lie in memory of which it has a copy, and it is given zeroed
//! pages where the queues were ([`forked`]), so that what is left of the look leads nowhere.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU16, AtomicU32, AtomicU64, Ordering, compiler_fence,
};

use probe::preload;

use crate::follow::Followed;
use crate::kernel;
use crate::lock::Lock;

/// Descriptors above are not followed.
const DESCRIPTORS: usize = 1 << 16;
const RINGS: usize = 1024;

struct Place {
    lock: Lock,
    taken: AtomicBool,
    /// Rings that lived here before: tells this one from the next.
    life: AtomicU64,
    fd: AtomicU32,
}

/// Where the ring of a place lies, touched under the lock of the place alone.
struct Cell {
    /// The thread that looks at it; 0 for none.
    looked_at_by: AtomicU64,
    ring: UnsafeCell<MaybeUninit<Owned>>,
}

type Cells = [Cell; RINGS];

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
static CELLS: AtomicPtr<Cells> = AtomicPtr::new(core::ptr::null_mut());
/// Cells that were ever used, here or in a parent: a forked child looks at no more.
static CELLS_USED: AtomicU32 = AtomicU32::new(0);

/// The ring of a descriptor, at one time.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    place: &'static Place,
    cell: &'static Cell,
    life: u64,
}

fn cells() -> Option<&'static Cells> {
    // SAFETY: published by `make`, zeroed then and never unmapped; all zeros are valid cells. A forked child has a copy of
    // them. Their rings are touched under the lock of their place, and by `forked`, while there is no other thread.
    unsafe { CELLS.load(Ordering::Acquire).as_ref() }
}

/// In a forked child: zeroed pages where the queues were that this thread was looking at. Looks of other threads are not
/// gone on with here.
extern "C" fn forked() {
    let me = kernel::thread();
    let used = CELLS_USED.load(Ordering::Relaxed) as usize;
    for cell in cells().into_iter().flatten().take(used) {
        match cell.looked_at_by.load(Ordering::Relaxed) {
            0 => continue,
            by if by != me => {
                cell.looked_at_by.store(0, Ordering::Relaxed);
                continue;
            }
            _ => {}
        }
        // SAFETY: this thread is alone in its process, and what it interrupted goes on only when this is over. The memory
        // was zeroed before there was a ring, and what one left there when it went is still its.
        let owned = unsafe { (*cell.ring.get()).assume_init_ref() };
        owned.ring.forget();
        for (start, len) in owned.mappings {
            if !start.is_null() {
                preload::map_over(start, len);
            }
        }
    }
}

/// Maps memory once, for whoever is first.
fn map_once<T>(at: &AtomicPtr<T>, map: impl Fn(usize) -> Option<*mut u8>) -> Option<bool> {
    if !at.load(Ordering::Acquire).is_null() {
        return Some(false);
    }
    let memory = map(size_of::<T>())?;
    let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
    let won = at.compare_exchange(core::ptr::null_mut(), memory.cast(), success, failure);
    if won.is_err() {
        // SAFETY: mapped above, and another thread's won.
        unsafe { kernel::unmap(memory, size_of::<T>()) };
    }
    Some(won.is_ok())
}

fn table() -> Option<&'static Table> {
    let table = TABLE.load(Ordering::Acquire);
    // SAFETY: published by `make`, zeroed then and again in a forked child, and never unmapped; all zeros is a valid
    // table, and all of it is atomic.
    unsafe { table.as_ref() }
}

fn make() -> Option<&'static Table> {
    if let Some(table) = table() {
        return Some(table);
    }
    if map_once(&CELLS, kernel::map_copied)? {
        preload::in_forked_children(forked);
    }
    map_once(&TABLE, |len| kernel::map(None, len))?;
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
    let cell = cells()?.get(usize::from(index))?;
    let life = place.life.load(Ordering::Relaxed);
    Some(Found { place, cell, life })
}

impl Found {
    /// Its descriptor.
    pub(crate) fn fd(&self) -> i32 {
        self.place.fd.load(Ordering::Relaxed).cast_signed()
    }

    /// Runs `body` alone with the ring. Not where this very thread is in here already, in a signal handler
    /// that interrupted itself, nor where the ring is gone.
    pub(crate) fn with<T>(&self, body: impl FnOnce(&mut Followed) -> T) -> Option<T> {
        let _held = self.place.lock.take()?;
        self.look(body)
    }

    /// As [`Found::with`], for who holds another ring: not where somebody stays in here, who may wait for that.
    fn try_with<T>(&self, body: impl FnOnce(&mut Followed) -> T) -> Option<T> {
        let _held = self.place.lock.try_take()?;
        self.look(body)
    }

    /// [`Found::with`], under the lock.
    #[inline(always)]
    fn look<T>(&self, body: impl FnOnce(&mut Followed) -> T) -> Option<T> {
        // First of all: a child that is forked before this finds no ring in the wiped place, one that is forked behind
        // it finds pages where the queues were.
        let looked_at_by = &self.cell.looked_at_by;
        looked_at_by.store(kernel::thread(), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let is_same = self.place.life.load(Ordering::Relaxed) == self.life;
        let result = (is_same && self.place.taken.load(Ordering::Relaxed)).then(|| {
            // SAFETY: the lock is held, and the place is taken: it holds a ring.
            let owned = unsafe { (*self.cell.ring.get()).assume_init_mut() };
            body(&mut owned.ring)
        });
        compiler_fence(Ordering::SeqCst);
        looked_at_by.store(0, Ordering::Relaxed);
        result
    }

    /// Takes the ring out of the table, after a last look.
    pub(crate) fn remove(&self, last: impl FnOnce(&mut Followed)) -> Option<Owned> {
        let _held = self.place.lock.take()?;
        self.look(last)?;
        let number = usize::try_from(self.fd()).ok();
        if let Some(number) = number.and_then(|fd| table()?.of.get(fd)) {
            number.store(0, Ordering::Relaxed);
        }
        self.place.life.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `with`; the place is free from here on.
        let owned = unsafe { (*self.cell.ring.get()).assume_init_read() };
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
    let Some(cells) = cells() else {
        return Err(owned);
    };
    for (index, (place, cell)) in (0u32..).zip(table.places.iter().zip(cells)) {
        // A child that was forked in the middle of a look at it is not through with that, whichever thread asks; and
        // where another thread looks for a ring that is gone, the next place will do.
        if cell.looked_at_by.load(Ordering::Relaxed) != 0 {
            continue;
        }
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
        unsafe { (*cell.ring.get()).write(owned) };
        CELLS_USED.fetch_max(index + 1, Ordering::Relaxed);
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
    for found in all() {
        found.with(&mut body);
    }
}

/// The cookie that poison of any ring stands for, for who holds one of them.
#[cold]
pub(crate) fn cookie_of(poison: u64) -> Option<u64> {
    all().find_map(|found| found.try_with(|ring| ring.cookie_of(poison)).flatten())
}

fn all() -> impl Iterator<Item = Found> {
    let places = table().map(|table| {
        let used = table.used.load(Ordering::Acquire) as usize;
        table.places.get(..used).unwrap_or(&[])
    });
    places.into_iter().flatten().filter_map(|place| {
        if !place.taken.load(Ordering::Relaxed) {
            return None;
        }
        let found = find(place.fd.load(Ordering::Relaxed).cast_signed())?;
        core::ptr::eq(found.place, place).then_some(found)
    })
}
