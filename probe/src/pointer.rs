//! Owners that leave as raw pointers and come back.
//!
//! Each function is the standard one with a record beside it: the same pointer, the same counts, the
//! same promises of the caller. The record of a leak is written before the pointer is returned, that
//! of a reclaim before the owner is rebuilt, so that no other thread can be seen to use a pointer
//! earlier than its leak.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use wire::record::{Kind, Owner};

use crate::recorder;

/// An owner that can be turned into a raw pointer and back.
///
/// # Safety
///
/// `into_raw` gives up one ownership, which `from_raw` with the same pointer takes back; both keep to
/// one address, which [`Leak::address`] returns, and do nothing else that can be observed.
pub unsafe trait Leak: Sized {
    /// The raw pointer.
    type Raw: Copy;
    /// What it points to.
    type Target;
    /// The kind of owner, as it stands in the trace.
    const OWNER: Owner;

    /// Gives ownership away.
    fn into_raw(self) -> Self::Raw;

    /// Takes ownership back.
    ///
    /// # Safety
    ///
    /// `raw` came from [`Leak::into_raw`] of the same type, and this ownership was not taken back yet.
    unsafe fn from_raw(raw: Self::Raw) -> Self;

    /// The address as a word.
    fn address(raw: Self::Raw) -> u64;
}

/// An owner whose raw pointer is nothing but its address, so that the address alone brings it back.
///
/// # Safety
///
/// [`FromAddress::from_address`] of what [`Leak::address`] said is the raw pointer again.
pub unsafe trait FromAddress: Leak {
    /// The raw pointer at an address.
    fn from_address(address: u64) -> Self::Raw;
}

/// An owner whose raw pointers count.
///
/// # Safety
///
/// As for [`Leak`]; the two functions change the count by one.
pub unsafe trait Counted: Leak {
    /// One more raw handle.
    ///
    /// # Safety
    ///
    /// `raw` came from [`Leak::into_raw`], and the count is at least one.
    unsafe fn retain(raw: Self::Raw);

    /// One raw handle less; the last one drops the value.
    ///
    /// # Safety
    ///
    /// As for [`Counted::retain`], and the caller owns one count.
    unsafe fn release(raw: Self::Raw);
}

// SAFETY: `Box::into_raw` and `Box::from_raw` are inverse and do nothing else.
unsafe impl<T> Leak for Box<T> {
    type Raw = *mut T;
    type Target = T;
    const OWNER: Owner = Owner::Box;

    fn into_raw(self) -> *mut T {
        Box::into_raw(self)
    }

    unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: the caller's promise is that of `Box::from_raw`.
        unsafe { Box::from_raw(raw) }
    }

    fn address(raw: *mut T) -> u64 {
        raw as u64
    }
}

// SAFETY: the address is the pointer, which was exposed when it was asked for.
unsafe impl<T> FromAddress for Box<T> {
    fn from_address(address: u64) -> *mut T {
        core::ptr::with_exposed_provenance_mut(address as usize)
    }
}

macro_rules! counted {
    ($($owner:ident)*) => {$(
        // SAFETY: the standard `into_raw` and `from_raw` are inverse and do nothing else.
        unsafe impl<T> Leak for $owner<T> {
            type Raw = *const T;
            type Target = T;
            const OWNER: Owner = Owner::$owner;

            fn into_raw(self) -> *const T {
                $owner::into_raw(self)
            }

            unsafe fn from_raw(raw: *const T) -> Self {
                // SAFETY: the caller's promise is that of the standard function.
                unsafe { $owner::from_raw(raw) }
            }

            fn address(raw: *const T) -> u64 {
                raw as u64
            }
        }

        // SAFETY: the address is the pointer, which was exposed when it was asked for.
        unsafe impl<T> FromAddress for $owner<T> {
            fn from_address(address: u64) -> *const T {
                core::ptr::with_exposed_provenance(address as usize)
            }
        }

        // SAFETY: the standard functions change the strong count by one.
        unsafe impl<T> Counted for $owner<T> {
            unsafe fn retain(raw: *const T) {
                // SAFETY: the caller's promise is that of the standard function.
                unsafe { $owner::increment_strong_count(raw) }
            }

            unsafe fn release(raw: *const T) {
                // SAFETY: the caller's promise is that of the standard function.
                unsafe { $owner::decrement_strong_count(raw) }
            }
        }
    )*};
}

counted!(Rc Arc);

#[inline]
fn note<P: Leak>(kind: Kind, raw: P::Raw, at: &'static Location<'static>) {
    if recorder::recording() {
        let address = P::address(raw);
        recorder::record_typed::<P::Target, 2>(kind, 0, P::OWNER as u8, at, move |origin| {
            [address, origin]
        });
    }
}

/// Gives ownership away as a raw pointer, and records the leak.
#[inline]
#[track_caller]
pub fn into_raw<P: Leak>(owner: P) -> P::Raw {
    let raw = owner.into_raw();
    note::<P>(Kind::Leak, raw, Location::caller());
    raw
}

/// Takes ownership back, and records the reclaim.
///
/// # Safety
///
/// As for the owner's own `from_raw`: `raw` came from [`into_raw`] (or the owner's own) with the same
/// type, and this ownership was not taken back yet.
#[inline]
#[track_caller]
pub unsafe fn from_raw<P: Leak>(raw: P::Raw) -> P {
    note::<P>(Kind::Reclaim, raw, Location::caller());
    // SAFETY: the caller's promise.
    unsafe { P::from_raw(raw) }
}

/// Records that the program looks at what a raw pointer points to, without taking it. The look itself
/// is the caller's.
#[inline]
#[track_caller]
pub fn peek<P: Leak>(raw: P::Raw) {
    note::<P>(Kind::Peek, raw, Location::caller());
}

/// Adds one raw handle to an `Rc` or `Arc` that was leaked, and records it.
///
/// # Safety
///
/// As for `increment_strong_count` of the owner.
#[inline]
#[track_caller]
pub unsafe fn retain<P: Counted>(raw: P::Raw) {
    note::<P>(Kind::Retain, raw, Location::caller());
    // SAFETY: the caller's promise.
    unsafe { P::retain(raw) }
}

/// Takes one raw handle from an `Rc` or `Arc` that was leaked, and records it.
///
/// # Safety
///
/// As for `decrement_strong_count` of the owner.
#[inline]
#[track_caller]
pub unsafe fn release<P: Counted>(raw: P::Raw) {
    note::<P>(Kind::Release, raw, Location::caller());
    // SAFETY: the caller's promise.
    unsafe { P::release(raw) }
}

/// Gives ownership away for ever: recorded, and never reported as not reclaimed.
#[inline]
#[track_caller]
pub fn leak_forever<P: Leak>(owner: P) -> P::Raw {
    let raw = owner.into_raw();
    note::<P>(Kind::LeakForever, raw, Location::caller());
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_come_back_with_their_counts() {
        let shared = Rc::new(7);
        let raw = into_raw(shared.clone());
        assert_eq!(Rc::strong_count(&shared), 2);
        // SAFETY: the count is two; one count was leaked.
        unsafe { retain::<Rc<i32>>(raw) };
        assert_eq!(Rc::strong_count(&shared), 3);
        // SAFETY: takes back what `retain` added.
        unsafe { release::<Rc<i32>>(raw) };
        peek::<Rc<i32>>(raw);
        // SAFETY: takes back what was leaked.
        let back: Rc<i32> = unsafe { from_raw(raw) };
        assert!(Rc::ptr_eq(&shared, &back));
        drop(back);
        assert_eq!(Rc::strong_count(&shared), 1);
    }

    #[test]
    fn a_box_and_an_arc_keep_their_values() {
        let raw = into_raw(Box::new(String::from("box")));
        // SAFETY: leaked once, taken back once.
        assert_eq!(*unsafe { from_raw::<Box<String>>(raw) }, "box");
        let raw = into_raw(Arc::new(5));
        // SAFETY: leaked once, taken back once.
        assert_eq!(*unsafe { from_raw::<Arc<i32>>(raw) }, 5);
    }
}
