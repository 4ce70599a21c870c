//! The standard library's owners, as owners that can be leaked.
//!
//! Pointers to slices, `str` and trait objects are two words: what fits a cookie is their address
//! alone. They are recorded by it; how many elements there were, and of which type, the program has to
//! know itself when it takes them back.
//!
//! Holds `unsafe`: calls the owners' own functions.

use std::alloc::Layout;
use std::ffi::{CStr, CString, c_char};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::{self, Rc};
use std::sync::{self, Arc};

use wire::record::Owner;

use crate::pointer::{Counted, FromAddress, Leak};

// SAFETY: `Box::into_raw` and `Box::from_raw` are inverse and do nothing else.
unsafe impl<T: ?Sized> Leak for Box<T> {
    type Raw = *mut T;
    type Target = T;
    const OWNER: Owner = Owner::Box;

    #[inline]
    fn into_raw(self) -> *mut T {
        Box::into_raw(self)
    }

    #[inline]
    unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: the caller's promise is that of `Box::from_raw`.
        unsafe { Box::from_raw(raw) }
    }

    #[inline]
    fn address(raw: *mut T) -> u64 {
        raw.cast::<()>() as u64
    }

    #[inline]
    fn layout(&self) -> Option<Layout> {
        Some(Layout::for_value::<T>(self))
    }
}

// SAFETY: the address is the pointer, which was exposed when it was asked for.
unsafe impl<T> FromAddress for Box<T> {
    const LAYOUT: Layout = Layout::new::<T>();

    #[inline]
    fn from_address(address: u64) -> *mut T {
        core::ptr::with_exposed_provenance_mut(address as usize)
    }
}

macro_rules! counted {
    ($($owner:ident)*) => {$(
        // SAFETY: the address is the pointer, which was exposed when it was asked for.
        unsafe impl<T> FromAddress for $owner<T> {
            const LAYOUT: Layout = Layout::new::<T>();

            #[inline]
            fn from_address(address: u64) -> *const T {
                core::ptr::with_exposed_provenance(address as usize)
            }
        }

        // SAFETY: the standard `into_raw` and `from_raw` are inverse and do nothing else.
        unsafe impl<T: ?Sized> Leak for $owner<T> {
            type Raw = *const T;
            type Target = T;
            const OWNER: Owner = Owner::$owner;

            #[inline]
            fn into_raw(self) -> *const T {
                $owner::into_raw(self)
            }

            #[inline]
            unsafe fn from_raw(raw: *const T) -> Self {
                // SAFETY: the caller's promise is that of the standard function.
                unsafe { $owner::from_raw(raw) }
            }

            #[inline]
            fn address(raw: *const T) -> u64 {
                raw.cast::<()>() as u64
            }

            #[inline]
            fn layout(&self) -> Option<Layout> {
                Some(Layout::for_value::<T>(self))
            }
        }

        // SAFETY: the standard functions change the strong count by one.
        unsafe impl<T: ?Sized> Counted for $owner<T> {
            #[inline]
            unsafe fn retain(raw: *const T) {
                // SAFETY: the caller's promise is that of the standard function.
                unsafe { $owner::increment_strong_count(raw) }
            }

            #[inline]
            unsafe fn release(raw: *const T) {
                // SAFETY: the caller's promise is that of the standard function.
                unsafe { $owner::decrement_strong_count(raw) }
            }
        }
    )*};
}

counted!(Rc Arc);

macro_rules! weak {
    ($($owner:ty, $kind:ident;)*) => {$(
        // SAFETY: the standard `into_raw` and `from_raw` are inverse and do nothing else.
        unsafe impl<T: ?Sized> Leak for $owner {
            type Raw = *const T;
            type Target = T;
            const OWNER: Owner = Owner::$kind;

            #[inline]
            fn into_raw(self) -> *const T {
                <$owner>::into_raw(self)
            }

            #[inline]
            unsafe fn from_raw(raw: *const T) -> Self {
                // SAFETY: the caller's promise is that of the standard function.
                unsafe { <$owner>::from_raw(raw) }
            }

            #[inline]
            fn address(raw: *const T) -> u64 {
                raw.cast::<()>() as u64
            }

            /// The value may be gone.
            #[inline]
            fn layout(&self) -> Option<Layout> {
                None
            }
        }
    )*};
}

weak! {
    rc::Weak<T>, RcWeak;
    sync::Weak<T>, ArcWeak;
}

// SAFETY: `CString::into_raw` and `CString::from_raw` are inverse; the text between must keep its
// length, which is the caller's promise for both.
unsafe impl Leak for CString {
    type Raw = *mut c_char;
    type Target = CStr;
    const OWNER: Owner = Owner::CString;

    fn into_raw(self) -> *mut c_char {
        CString::into_raw(self)
    }

    unsafe fn from_raw(raw: *mut c_char) -> Self {
        // SAFETY: the caller's promise is that of `CString::from_raw`.
        unsafe { CString::from_raw(raw) }
    }

    fn address(raw: *mut c_char) -> u64 {
        raw as u64
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout::for_value(self.as_bytes_with_nul()))
    }
}

/// The raw form is pointer, length and capacity.
// SAFETY: the parts of a vector, and the vector of its parts.
unsafe impl<T> Leak for Vec<T> {
    type Raw = (*mut T, usize, usize);
    type Target = [T];
    const OWNER: Owner = Owner::Vec;

    fn into_raw(self) -> (*mut T, usize, usize) {
        let mut parts = ManuallyDrop::new(self);
        (parts.as_mut_ptr(), parts.len(), parts.capacity())
    }

    unsafe fn from_raw((pointer, length, capacity): Self::Raw) -> Self {
        // SAFETY: the caller's promise is that of `Vec::from_raw_parts`.
        unsafe { Vec::from_raw_parts(pointer, length, capacity) }
    }

    fn address((pointer, _, _): Self::Raw) -> u64 {
        pointer as u64
    }

    fn layout(&self) -> Option<Layout> {
        Layout::array::<T>(self.capacity()).ok()
    }
}

/// What is behind the pointer stays pinned: whoever uses it must not move it.
// SAFETY: as for the owner inside.
unsafe impl<P: Leak + Deref> Leak for Pin<P> {
    type Raw = P::Raw;
    type Target = <P as Deref>::Target;
    const OWNER: Owner = P::OWNER;

    #[inline]
    fn into_raw(self) -> P::Raw {
        // SAFETY: a raw pointer moves nothing; who makes a reference of it has to keep the pin.
        unsafe { Pin::into_inner_unchecked(self) }.into_raw()
    }

    #[inline]
    unsafe fn from_raw(raw: P::Raw) -> Self {
        // SAFETY: it came from `into_raw` of a pinned owner, whose value was not moved since.
        unsafe { Pin::new_unchecked(P::from_raw(raw)) }
    }

    #[inline]
    fn address(raw: P::Raw) -> u64 {
        P::address(raw)
    }

    #[inline]
    fn layout(&self) -> Option<Layout> {
        Some(Layout::for_value::<Self::Target>(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{from_raw, into_raw};

    #[test]
    fn weak_handles_keep_their_counts() {
        let shared = Rc::new(5);
        let raw = into_raw(Rc::downgrade(&shared));
        assert_eq!(Rc::weak_count(&shared), 1);
        // SAFETY: leaked once, taken back once.
        let weak: rc::Weak<i32> = unsafe { from_raw(raw) };
        assert_eq!(weak.upgrade().as_deref(), Some(&5));
        let shared = Arc::new(6);
        // SAFETY: leaked once, taken back once.
        let weak: sync::Weak<i32> = unsafe { from_raw(into_raw(Arc::downgrade(&shared))) };
        assert_eq!(weak.upgrade().as_deref(), Some(&6));
    }

    #[test]
    fn text_vectors_and_slices_keep_their_contents() {
        let raw = into_raw(CString::from(c"text"));
        // SAFETY: leaked once, taken back once.
        assert_eq!(unsafe { from_raw::<CString>(raw) }.as_c_str(), c"text");
        let mut numbers = Vec::with_capacity(8);
        numbers.extend([1, 2, 3]);
        let raw = into_raw(numbers);
        assert_eq!((raw.1, raw.2), (3, 8));
        // SAFETY: leaked once, taken back once.
        assert_eq!(unsafe { from_raw::<Vec<i32>>(raw) }, [1, 2, 3]);
        let raw = into_raw(Box::<[u8]>::from(&b"abc"[..]));
        // SAFETY: leaked once, taken back once.
        assert_eq!(&*unsafe { from_raw::<Box<[u8]>>(raw) }, b"abc");
        let shown: Arc<dyn ToString> = Arc::new(7);
        // SAFETY: leaked once, taken back once.
        let shown = unsafe { from_raw::<Arc<dyn ToString>>(into_raw(shown)) };
        assert_eq!(shown.to_string(), "7");
    }

    #[test]
    fn a_pinned_owner_comes_back_pinned() {
        let raw = into_raw(Box::pin(9));
        // SAFETY: leaked once, taken back once, not moved.
        let back: Pin<Box<i32>> = unsafe { from_raw(raw) };
        assert_eq!(*back, 9);
    }

    #[test]
    fn a_value_of_no_size_has_an_address_all_the_same() {
        let raw = into_raw(Box::new(()));
        assert!(!raw.is_null());
        // SAFETY: leaked once, taken back once.
        drop(unsafe { from_raw::<Box<()>>(raw) });
    }
}
