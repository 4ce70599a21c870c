//! Owners that leave as raw pointers and come back.
//!
//! Each function is the standard one with a record beside it: the same pointer, the same counts, the
//! same promises of the caller. The record of a leak is written before the pointer is returned, that
//! of a reclaim before the owner is rebuilt, so that no other thread can be seen to use a pointer
//! earlier than its leak.

use std::alloc::Layout;
use std::mem::ManuallyDrop;
use std::panic::Location;

use wire::record::{Kind, Owner};

use crate::recorder;

/// An owner that can be turned into a raw pointer and back.
///
/// An owner of the program's own joins in by an implementation, and is then given away and taken back
/// through [`into_raw`] and [`from_raw`] like the standard ones:
///
/// ```
/// use std::alloc::Layout;
/// use std::ptr::NonNull;
///
/// struct Conn {
///     handles: u32,
/// }
///
/// /// One handle of a connection that counts them itself.
/// struct Handle(NonNull<Conn>);
/// # impl Drop for Handle {
/// #     fn drop(&mut self) {
/// #         // A handle in here is never the last: the example keeps one.
/// #         unsafe { self.0.as_mut().handles -= 1 };
/// #     }
/// # }
///
/// // Turning a handle into its pointer and back leaves the count as it is.
/// unsafe impl probe::Leak for Handle {
///     type Raw = *mut Conn;
///     type Target = Conn;
///     const OWNER: probe::Owner = probe::Owner::Custom;
///
///     fn into_raw(self) -> *mut Conn {
///         let raw = self.0.as_ptr();
///         std::mem::forget(self);
///         raw
///     }
///
///     unsafe fn from_raw(raw: *mut Conn) -> Self {
///         // The pointer came from `into_raw`, so it is not null.
///         Self(unsafe { NonNull::new_unchecked(raw) })
///     }
///
///     fn address(raw: *mut Conn) -> u64 {
///         raw as u64
///     }
///
///     fn layout(&self) -> Option<Layout> {
///         Some(Layout::new::<Conn>())
///     }
/// }
///
/// # let mut conn = Conn { handles: 2 };
/// # let handle = Handle(NonNull::from(&mut conn));
/// let cookie = probe::into_raw(handle) as u64;
/// let handle = unsafe { probe::from_raw::<Handle>(cookie as *mut Conn) };
/// # drop(handle);
/// # assert_eq!(conn.handles, 1);
/// ```
///
/// # Safety
///
/// `into_raw` gives up one ownership, which `from_raw` with the same pointer takes back; both keep to
/// one address, which [`Leak::address`] returns, and do nothing else that can be observed.
pub unsafe trait Leak: Sized {
    /// The raw pointer.
    type Raw: Copy;
    /// What it points to.
    type Target: ?Sized;
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

    /// Size and alignment of what it points to, where they can be known.
    fn layout(&self) -> Option<Layout>;
}

/// An owner whose raw pointer is nothing but its address, so that the address alone brings it back: what
/// `push_owned` and `reclaim` of `probe::io_uring` take, and [`Ring::pushed_with_leak`](crate::ring::Ring::pushed_with_leak)
/// of a ring of the program's own.
///
/// ```
/// use std::alloc::Layout;
/// use std::rc::Rc;
///
/// use probe::{Counted, FromAddress, Leak, Owner};
///
/// struct Conn;
/// /// A handle of the program's own, over a count that is another's.
/// struct Handle(Rc<Conn>);
///
/// // Passes everything on.
/// unsafe impl Leak for Handle {
///     type Raw = *const Conn;
///     type Target = Conn;
///     const OWNER: Owner = Owner::Custom;
///     fn into_raw(self) -> *const Conn { Rc::into_raw(self.0) }
///     unsafe fn from_raw(raw: *const Conn) -> Self { Self(unsafe { Rc::from_raw(raw) }) }
///     fn address(raw: *const Conn) -> u64 { raw as u64 }
///     fn layout(&self) -> Option<Layout> { Some(Layout::new::<Conn>()) }
/// }
///
/// // The address is all of the pointer.
/// unsafe impl FromAddress for Handle {
///     const LAYOUT: Layout = Layout::new::<Conn>();
///     fn from_address(address: u64) -> *const Conn { address as *const Conn }
/// }
///
/// // One more, one less.
/// unsafe impl Counted for Handle {
///     unsafe fn retain(raw: *const Conn) { unsafe { Rc::increment_strong_count(raw) } }
///     unsafe fn release(raw: *const Conn) { unsafe { Rc::decrement_strong_count(raw) } }
/// }
///
/// # #[cfg(feature = "assert")]
/// let scope = probe::scope();
/// let conn = Rc::new(Conn);
/// let cookie = Handle::address(probe::into_raw(Handle(Rc::clone(&conn))));
/// let raw = Handle::from_address(cookie);
/// unsafe { probe::retain::<Handle>(raw) };
/// assert_eq!(Rc::strong_count(&conn), 3);
/// // Both are given up, one way and the other.
/// unsafe { probe::release::<Handle>(raw) };
/// drop(unsafe { probe::from_raw::<Handle>(raw) });
/// assert_eq!(Rc::strong_count(&conn), 1);
/// # #[cfg(feature = "assert")]
/// scope.assert_clean();
/// ```
///
/// # Safety
///
/// [`FromAddress::from_address`] of what [`Leak::address`] said is the raw pointer again.
pub unsafe trait FromAddress: Leak {
    /// Size and alignment of what every such pointer points to.
    const LAYOUT: Layout;

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

/// What an owner points to, as the trace calls it.
#[inline(always)]
fn named<P: Leak>(layout: Option<Layout>) -> (&'static str, usize, usize) {
    let (size, align) = layout.map_or((0, 0), |layout| (layout.size(), layout.align()));
    (std::any::type_name::<P::Target>(), size, align)
}

/// As [`named`], for owners whose pointers all point to the same.
#[inline(always)]
pub(crate) fn typed<P: FromAddress>() -> (&'static str, usize, usize) {
    named::<P>(Some(P::LAYOUT))
}

#[inline]
fn note<P: Leak>(kind: Kind, address: u64, layout: Option<Layout>, at: &'static Location<'static>) {
    let owner = P::OWNER as u8;
    recorder::record_typed(kind, 0, owner, named::<P>(layout), at, move |origin| {
        [address, origin]
    });
}

/// Gives ownership away as a raw pointer, and records the leak: the owner's kind, what it points to, and this place.
///
/// It is an error of the program's, and a finding, if nobody takes it back (T09), if that is done twice (T08) or as
/// another type (T14). Owners that are shared (`Rc`, `Arc`) may be given away several times: each is a lease, and each
/// is taken back once. One record; nothing is allocated.
#[inline]
#[track_caller]
pub fn into_raw<P: Leak>(owner: P) -> P::Raw {
    give(Kind::Leak, owner, Location::caller())
}

/// Gives ownership away for ever: recorded, and never reported as not reclaimed.
///
/// ```
/// let config: *mut String = probe::leak_forever(Box::new(String::from("for the life of the process")));
/// # let _ = config;
/// ```
#[inline]
#[track_caller]
pub fn leak_forever<P: Leak>(owner: P) -> P::Raw {
    give(Kind::LeakForever, owner, Location::caller())
}

#[inline]
fn give<P: Leak>(kind: Kind, owner: P, at: &'static Location<'static>) -> P::Raw {
    if !recorder::recording() {
        return owner.into_raw();
    }
    let layout = owner.layout();
    let raw = owner.into_raw();
    note::<P>(kind, P::address(raw), layout, at);
    crate::memory::watch(P::address(raw));
    raw
}

/// Takes ownership back, and records the reclaim: what it is taken back as, and this place. See [`into_raw`].
///
/// # Safety
///
/// As for the owner's own `from_raw`: `raw` came from [`into_raw`] (or the owner's own) with the same
/// type, and this ownership was not taken back yet.
#[inline]
#[track_caller]
pub unsafe fn from_raw<P: Leak>(raw: P::Raw) -> P {
    if recorder::recording() {
        // Asked of an owner that is never dropped: nothing has to be undone while the record is made.
        // SAFETY: the caller's promise; what is returned below is the one that counts.
        let owner = ManuallyDrop::new(unsafe { P::from_raw(raw) });
        note::<P>(
            Kind::Reclaim,
            P::address(raw),
            owner.layout(),
            Location::caller(),
        );
    }
    // SAFETY: the caller's promise.
    unsafe { P::from_raw(raw) }
}

/// Records that the program looks at what a raw pointer points to, without taking it. The look itself
/// is the caller's. Its biography has it, and an owner that was looked at for a completion and stays out was not
/// overlooked (T09).
///
/// ```
/// let raw = probe::into_raw(Box::new(7));
/// probe::peek::<Box<i32>>(raw);
/// // SAFETY: leaked above, and not taken back yet.
/// assert_eq!(unsafe { *raw }, 7);
/// # drop(unsafe { probe::from_raw::<Box<i32>>(raw) });
/// ```
#[inline]
#[track_caller]
pub fn peek<P: Leak>(raw: P::Raw) {
    if recorder::recording() {
        note::<P>(Kind::Peek, P::address(raw), None, Location::caller());
    }
}

/// Adds one raw handle to an `Rc` or `Arc` that was leaked, and records it: there is one more to take back, by
/// [`from_raw`] or [`release`].
///
/// ```
/// use std::rc::Rc;
///
/// let raw = probe::into_raw(Rc::new(7)); // for a read
/// // SAFETY: the count is one; each of the two handles is given up once.
/// let conn = unsafe {
///     probe::retain::<Rc<i32>>(raw); // and for a write
///     probe::release::<Rc<i32>>(raw);
///     probe::from_raw::<Rc<i32>>(raw)
/// };
/// assert_eq!(Rc::strong_count(&conn), 1);
/// ```
///
/// # Safety
///
/// As for `increment_strong_count` of the owner.
#[inline]
#[track_caller]
pub unsafe fn retain<P: Counted>(raw: P::Raw) {
    if recorder::recording() {
        note::<P>(Kind::Retain, P::address(raw), None, Location::caller());
    }
    // SAFETY: the caller's promise.
    unsafe { P::retain(raw) }
}

/// Takes one raw handle from an `Rc` or `Arc` that was leaked, and records it; the last one drops the value. See
/// [`retain`].
///
/// # Safety
///
/// As for `decrement_strong_count` of the owner.
#[inline]
#[track_caller]
pub unsafe fn release<P: Counted>(raw: P::Raw) {
    if recorder::recording() {
        note::<P>(Kind::Release, P::address(raw), None, Location::caller());
    }
    // SAFETY: the caller's promise.
    unsafe { P::release(raw) }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;

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
