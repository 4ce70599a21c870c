//! What [`crate::instrument`] writes in place of the standard library's calls, where that is not one of
//! the probe's everyday functions.
//!
//! `mem::forget` and `ManuallyDrop` take any value; whether it is an owner is asked of its type by the
//! order in which methods are looked up: [`GiveOwner`] is found at once for an owner, [`GivePlain`] one
//! reference later for anything else.
//!
//! Holds `unsafe`: turns an owner into its pointer and back, to learn its address.

use std::marker::PhantomData;

use crate::pointer::{self, Leak};

/// As `Box::leak` and `Vec::leak`, and recorded as a leak for ever: that is what a `&'static` is for. All the same
/// `Box::from_raw` may take it back.
#[inline]
#[track_caller]
pub fn leak<'a, P: LeakAsReference<'a>>(owner: P) -> P::Reference {
    // SAFETY: leaked just now, taken back once; neither does anything else.
    let owner = unsafe { P::from_raw(pointer::leak_forever(owner)) };
    owner.leak()
}

/// Owners that can become a reference for as long as they like.
pub trait LeakAsReference<'a>: Leak {
    /// What they become.
    type Reference;
    /// The standard library's `leak`.
    fn leak(self) -> Self::Reference;
}

impl<'a, T: ?Sized + 'a> LeakAsReference<'a> for Box<T> {
    type Reference = &'a mut T;

    #[inline]
    fn leak(self) -> &'a mut T {
        Box::leak(self)
    }
}

impl<'a, T: 'a> LeakAsReference<'a> for Vec<T> {
    type Reference = &'a mut [T];

    #[inline]
    fn leak(self) -> &'a mut [T] {
        Vec::leak(self)
    }
}

/// As `Vec::from_raw_parts`, and recorded as a reclaim.
///
/// # Safety
///
/// As for `Vec::from_raw_parts`.
#[inline]
#[track_caller]
pub unsafe fn vec_from_raw_parts<T>(pointer: *mut T, length: usize, capacity: usize) -> Vec<T> {
    // SAFETY: the caller's promise.
    unsafe { pointer::from_raw((pointer, length, capacity)) }
}

/// Records the leak of an owner that stays in its shape.
#[inline]
#[track_caller]
fn give<P: Leak>(owner: P) -> P {
    // SAFETY: leaked just now, taken back once; neither does anything else.
    unsafe { P::from_raw(pointer::into_raw(owner)) }
}

/// Records the reclaim of an owner that kept its shape.
#[inline]
#[track_caller]
fn take_back<P: Leak>(owner: P) -> P {
    // SAFETY: leaked just now, taken back once; neither does anything else.
    unsafe { pointer::from_raw(owner.into_raw()) }
}

/// A value's type.
#[derive(Debug)]
pub struct Tag<T>(PhantomData<fn(T)>);

/// The type of a value.
pub fn tag<T>(_: &T) -> Tag<T> {
    Tag(PhantomData)
}

/// For values that are owners.
pub trait GiveOwner<P> {
    /// Records a leak.
    #[track_caller]
    fn give(&self, owner: P) -> P;
    /// Records a reclaim.
    #[track_caller]
    fn take_back(&self, owner: P) -> P;
}

impl<P: Leak> GiveOwner<P> for Tag<P> {
    #[inline]
    #[track_caller]
    fn give(&self, owner: P) -> P {
        give(owner)
    }

    #[inline]
    #[track_caller]
    fn take_back(&self, owner: P) -> P {
        take_back(owner)
    }
}

/// For all others.
pub trait GivePlain<T> {
    /// Nothing to record.
    fn give(&self, value: T) -> T;
    /// Nothing to record.
    fn take_back(&self, value: T) -> T;
}

impl<T> GivePlain<T> for &Tag<T> {
    #[inline]
    fn give(&self, value: T) -> T {
        value
    }

    #[inline]
    fn take_back(&self, value: T) -> T {
        value
    }
}

/// `path(value)`, where `path` gives the value away: `mem::forget`.
#[doc(hidden)]
#[macro_export]
macro_rules! __forget {
    ($path:expr, $value:expr $(,)?) => {{
        #[allow(unused_imports)]
        use $crate::instrumented::{GiveOwner as _, GivePlain as _};
        let value = $value;
        let tag = $crate::instrumented::tag(&value);
        $path((&tag).give(value))
    }};
}

/// `path(value)`, where `path` keeps the value from being dropped: `ManuallyDrop::new`.
#[doc(hidden)]
#[macro_export]
macro_rules! __manually_drop {
    ($($arguments:tt)*) => { $crate::__forget!($($arguments)*) };
}

/// `path(value)`, where `path` returns what was kept from being dropped: `ManuallyDrop::into_inner`.
#[doc(hidden)]
#[macro_export]
macro_rules! __into_inner {
    ($path:expr, $value:expr $(,)?) => {{
        #[allow(unused_imports)]
        use $crate::instrumented::{GiveOwner as _, GivePlain as _};
        let value = $path($value);
        let tag = $crate::instrumented::tag(&value);
        (&tag).take_back(value)
    }};
}

/// As `ManuallyDrop::take`.
#[doc(hidden)]
#[macro_export]
macro_rules! __take {
    ($($arguments:tt)*) => { $crate::__into_inner!($($arguments)*) };
}

/// As `ManuallyDrop::drop`.
#[doc(hidden)]
#[macro_export]
macro_rules! __drop_inner {
    ($path:expr, $value:expr $(,)?) => {
        ::core::mem::drop($crate::__into_inner!(
            ::core::mem::ManuallyDrop::take,
            $value
        ))
    };
}
