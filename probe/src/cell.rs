//! A cell that says who borrows it: for the places where a runtime uses `UnsafeCell`.
//!
//! Two coroutines on one thread may hold the same `RefCell`-less value across a resume, and no type,
//! sanitizer or race detector minds. A [`TracedCell`] records where each borrow begins and where it
//! ends; the reader finds those that overlap. It checks nothing itself and changes nothing: whoever
//! uses its pointers promises what users of `UnsafeCell` promise.

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::Location;

use wire::record::Kind;

use crate::recorder;

/// `UnsafeCell` with recorded borrows.
///
/// ```
/// use probe::cell::TracedCell;
///
/// let state = TracedCell::new(vec![1]);
/// // Nobody else borrows it meanwhile.
/// state.with_mut(|state| unsafe { (*state).push(2) });
/// let sum: i32 = state.with(|state| unsafe { (*state).iter().sum() });
/// assert_eq!(sum, 3);
/// // A borrow that lasts, maybe while others run.
/// let borrow = state.shared();
/// assert_eq!(unsafe { (*borrow.as_ptr()).len() }, 2);
/// drop(borrow);
/// assert_eq!(state.into_inner(), [1, 2]);
/// ```
///
/// What the recording is for: two that cannot both be right. The first borrow lasts across what would be a resume.
///
/// ```
/// use probe::cell::{Exclusive, Shared, TracedCell};
///
/// # #[cfg(feature = "assert")]
/// let scope = probe::scope();
/// let mut state = TracedCell::new(1);
/// *state.get_mut() += 1; // the borrow checker sees to it
/// let first: Exclusive<'_, i32> = state.exclusive();
/// // SAFETY: one thread; the other pointer is not used meanwhile.
/// unsafe { *first.as_ptr() += 1 };
/// let second: Shared<'_, i32> = state.shared(); // found: while somebody has it for himself
/// drop(first);
/// // SAFETY: nobody writes any more.
/// assert_eq!(unsafe { *second.as_ptr() }, 3);
/// drop(second);
/// # #[cfg(feature = "assert")]
/// scope.expect(probe::Rule::T26).times(1);
/// ```
#[repr(transparent)]
#[derive(Default)]
pub struct TracedCell<T: ?Sized>(UnsafeCell<T>);

impl<T> TracedCell<T> {
    /// Around a value.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> TracedCell<T> {
    /// Borrows for the length of a call, beside others that only read.
    #[inline]
    #[track_caller]
    pub fn with<R>(&self, body: impl FnOnce(*const T) -> R) -> R {
        let borrow = self.shared();
        body(borrow.as_ptr())
    }

    /// Borrows for the length of a call, beside nobody.
    #[inline]
    #[track_caller]
    pub fn with_mut<R>(&self, body: impl FnOnce(*mut T) -> R) -> R {
        let borrow = self.exclusive();
        body(borrow.as_ptr())
    }

    /// Borrows beside others that only read, until the guard is dropped.
    #[inline]
    #[track_caller]
    pub fn shared(&self) -> Shared<'_, T> {
        Shared(Borrow::begin(self, SHARED, Location::caller()))
    }

    /// Borrows beside nobody, until the guard is dropped.
    #[inline]
    #[track_caller]
    pub fn exclusive(&self) -> Exclusive<'_, T> {
        Exclusive(Borrow::begin(self, EXCLUSIVE, Location::caller()))
    }

    /// The pointer alone, as `UnsafeCell::get`. Not recorded: nobody can say how long it is used.
    #[inline]
    pub const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }

    /// The value, where the borrow checker knows that nobody else has it.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T: ?Sized> fmt::Debug for TracedCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be borrowed.
        f.debug_struct("TracedCell").finish_non_exhaustive()
    }
}

// As they stand in the record.
pub(crate) const SHARED: u8 = 1;
pub(crate) const EXCLUSIVE: u8 = 2;

/// The right to read through a pointer.
#[derive(Debug)]
#[must_use = "the borrow ends when this is dropped"]
pub struct Shared<'c, T: ?Sized>(Borrow<'c, T>);

impl<T: ?Sized> Shared<'_, T> {
    /// What may be read while this lives.
    #[inline]
    pub fn as_ptr(&self) -> *const T {
        self.0.cell.as_ptr()
    }
}

/// The right to read and write through a pointer.
#[derive(Debug)]
#[must_use = "the borrow ends when this is dropped"]
pub struct Exclusive<'c, T: ?Sized>(Borrow<'c, T>);

impl<T: ?Sized> Exclusive<'_, T> {
    /// What may be read and written while this lives.
    #[inline]
    pub fn as_ptr(&self) -> *mut T {
        self.0.cell.as_ptr()
    }
}

#[derive(Debug)]
struct Borrow<'c, T: ?Sized> {
    cell: &'c TracedCell<T>,
    mode: u8,
    /// Where it began, if that was recorded: only then has it an end.
    began: Option<&'static Location<'static>>,
}

impl<'c, T: ?Sized> Borrow<'c, T> {
    #[inline]
    fn begin(cell: &'c TracedCell<T>, mode: u8, at: &'static Location<'static>) -> Self {
        let began = recorder::recording().then_some(at);
        note(Kind::BorrowBegin, cell, mode, began);
        Self { cell, mode, began }
    }
}

#[inline]
fn note<T: ?Sized>(
    kind: Kind,
    cell: &TracedCell<T>,
    mode: u8,
    began: Option<&'static Location<'static>>,
) {
    if let Some(at) = began {
        let address = cell.as_ptr().cast::<u8>() as u64;
        // A cell that lies at the beginning of another has the same address, but not the same type. What is seen
        // through a pointer of two words may be seen through one of one word elsewhere: that says nothing.
        if size_of::<&T>() == size_of::<usize>() {
            let typed = (std::any::type_name::<T>(), 0, 1);
            recorder::record_typed(kind, 0, mode, typed, at, |origin| [address, origin]);
        } else {
            recorder::record_at(kind, mode, at, |site| [address, site]);
        }
    }
}

impl<T: ?Sized> Drop for Borrow<'_, T> {
    #[inline]
    fn drop(&mut self) {
        note(Kind::BorrowEnd, self.cell, self.mode, self.began);
    }
}
