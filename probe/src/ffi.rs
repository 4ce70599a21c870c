//! Owners that travel through C as a `void *`.
//!
//! A C library takes a function and a word for it (`void *user_data`), and calls the function with the
//! word: once, or any number of times. [`hand_out`] and [`take_back`] are the two ends of the word's
//! journey; a [`Callbacks`] is told what the library holds in between: [`Callbacks::registered`] when
//! it was given the word, [`Callbacks::called`] where it calls, [`Callbacks::ended`] once it will not
//! call again. In the trace this is a ring: a registration is a submission and a call is a completion,
//! so that all rules hold that hold for the kernel's;
//! a mark behind its first record has its name.
//!
//! ```
//! use std::ffi::c_void;
//! use probe::ffi;
//!
//! static TIMERS: ffi::Callbacks = ffi::Callbacks::repeated("timers");
//!
//! struct Timer { ticks: std::cell::Cell<u32> }
//!
//! extern "C" fn on_tick(data: *mut c_void) {
//!     TIMERS.called(data);
//!     // It was handed out by `start`, and is taken back by `on_close` at the earliest.
//!     let timer = unsafe { &*data.cast::<Timer>() };
//!     timer.ticks.set(timer.ticks.get() + 1);
//! }
//!
//! extern "C" fn on_close(data: *mut c_void) {
//!     TIMERS.ended(data);
//!     // The library has let go of it: the last word of this registration.
//!     drop(unsafe { ffi::take_back::<Box<Timer>>(data) });
//! }
//!
//! fn start() -> *mut c_void {
//!     let data = ffi::hand_out(Box::new(Timer { ticks: 0.into() }));
//!     TIMERS.registered(data);
//!     data // library_timer_start(on_tick, on_close, data)
//! }
//! # let data = start();
//! # on_tick(data);
//! # on_close(data);
//! ```
//!
//! A library that calls once is told of by [`Callbacks::once`]: its call is the last word of the registration. One that
//! refuses or cancels it does not call, and has let go of the word all the same.
//!
//! ```
//! use std::ffi::c_void;
//! use probe::ffi;
//!
//! /// What stands for a C library: it calls back once, unless it was told to forget.
//! struct Resolver(Option<(extern "C" fn(*mut c_void), *mut c_void)>);
//!
//! static ANSWERS: ffi::Callbacks = ffi::Callbacks::once("resolver");
//!
//! struct Query { name: &'static str }
//!
//! fn ask(resolver: &mut Resolver, name: &'static str) -> *mut c_void {
//!     let data = ffi::hand_out(Box::new(Query { name }));
//!     ANSWERS.registered(data);
//!     resolver.0 = Some((on_answer, data));
//!     data
//! }
//!
//! extern "C" fn on_answer(data: *mut c_void) {
//!     ANSWERS.called(data);
//!     // Handed out by `ask`, for this one call.
//!     let query = unsafe { ffi::take_back::<Box<Query>>(data) };
//!     assert_eq!(query.name, "example.org");
//! }
//!
//! # #[cfg(feature = "assert")]
//! let scope = probe::scope();
//! let mut resolver = Resolver(None);
//! ask(&mut resolver, "example.org");
//! let (call, data) = resolver.0.take().expect("asked");
//! call(data);
//!
//! let data = ask(&mut resolver, "example.com");
//! resolver.0 = None; // cancelled: it will not call
//! ANSWERS.ended(data);
//! // Nobody has it any more.
//! drop(unsafe { ffi::take_back::<Box<Query>>(data) });
//! # #[cfg(feature = "assert")]
//! scope.assert_clean();
//! ```

use std::ffi::c_void;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};

use wire::payload::{CALLBACK, Submit};
use wire::record::{CookieState, Kind};

use crate::recorder;
use crate::ring::{self, Ring};
use crate::{Leak, from_raw, into_raw};

/// A raw pointer that a `void *` can hold: one word, without the length of a slice or the table of a
/// trait object.
///
/// ```
/// use std::rc::Rc;
/// use probe::ffi::Word;
///
/// let raw = Rc::into_raw(Rc::new(7)); // or from a part of the program without the probe
/// let data = raw.to_void();
/// assert_eq!(<*const i32>::from_void(data), raw);
/// // Given away above, and taken back once.
/// assert_eq!(*unsafe { Rc::from_raw(raw) }, 7);
/// ```
///
/// ```compile_fail
/// // The length has no room in a `void *`.
/// let data = probe::ffi::hand_out(vec![1, 2, 3].into_boxed_slice());
/// ```
pub trait Word: Copy + word::Sealed {
    /// As C sees it.
    fn to_void(self) -> *mut c_void;
    /// As it was.
    fn from_void(data: *mut c_void) -> Self;
}

mod word {
    pub trait Sealed {}
    impl<T> Sealed for *mut T {}
    impl<T> Sealed for *const T {}
}

impl<T> Word for *mut T {
    fn to_void(self) -> *mut c_void {
        self.cast()
    }
    fn from_void(data: *mut c_void) -> Self {
        data.cast()
    }
}

impl<T> Word for *const T {
    fn to_void(self) -> *mut c_void {
        self.cast_mut().cast()
    }
    fn from_void(data: *mut c_void) -> Self {
        data.cast()
    }
}

/// Gives ownership away as the word that a C library will hold.
#[inline]
#[track_caller]
pub fn hand_out<P: Leak>(owner: P) -> *mut c_void
where
    P::Raw: Word,
{
    into_raw(owner).to_void()
}

/// Takes ownership back from a word that came from [`hand_out`].
///
/// # Safety
///
/// `data` came from [`hand_out`] with the same type of owner, and this ownership was not taken back yet.
#[inline]
#[track_caller]
pub unsafe fn take_back<P: Leak>(data: *mut c_void) -> P
where
    P::Raw: Word,
{
    // SAFETY: the caller's promise; the pointer is the one that was handed out.
    unsafe { from_raw(P::Raw::from_void(data)) }
}

/// `IORING_CQE_F_MORE`: a call is a completion, and after this one come others.
const MORE: u32 = 2;
/// `ECANCELED`: the end of a registration that was not a call.
const CANCELED: i32 = -125;

/// What a C library calls, and how often: one for each kind of callback, as a `static`.
#[derive(Debug)]
pub struct Callbacks {
    ring: Ring,
    name: &'static str,
    repeated: bool,
    registrations: AtomicU32,
}

impl Callbacks {
    /// The library calls once for each registration.
    pub const fn once(name: &'static str) -> Self {
        Self::new(name, false)
    }

    /// The library calls any number of times, until the registration has [`Callbacks::ended`].
    pub const fn repeated(name: &'static str) -> Self {
        Self::new(name, true)
    }

    const fn new(name: &'static str, repeated: bool) -> Self {
        Self {
            ring: Ring::unheard_of(ring::Kind::Foreign),
            name,
            repeated,
            registrations: AtomicU32::new(0),
        }
    }

    /// The library was given the word, or is just being given it: call it before the library can call.
    /// Once for each registration; one word may have several where its owner was handed out as often.
    #[inline]
    #[track_caller]
    pub fn registered(&self, data: *mut c_void) {
        if recorder::recording()
            && let Some(ring) = self.ring()
        {
            let sequence = self.registrations.fetch_add(1, Ordering::Relaxed);
            let entry = Submit {
                cookie: data as u64,
                sequence,
                ring: ring as u16,
                opcode: CALLBACK,
                fd: -1,
                len: u32::from(self.repeated),
                ..Submit::default()
            };
            let set = CookieState::Set as u8;
            recorder::record_at(Kind::Submit, set, Location::caller(), |site| {
                Submit {
                    site: site as u32,
                    ..entry
                }
                .encode()
            });
        }
    }

    /// The library calls with this word. Ownership stays where it is.
    #[inline]
    pub fn called(&self, data: *mut c_void) {
        self.complete(data, 0, if self.repeated { MORE } else { 0 });
    }

    /// The library has let go of the word without a last call: it was closed, cancelled or refused, and
    /// will not call again. Not for a registration whose only call has come.
    #[inline]
    pub fn ended(&self, data: *mut c_void) {
        self.complete(data, CANCELED, 0);
    }

    #[inline]
    fn complete(&self, data: *mut c_void, result: i32, flags: u32) {
        if recorder::recording() {
            // A call without a registration is worth a record too.
            self.ring();
            self.ring.reaped(data as u64, result, flags);
        }
    }

    /// Its ring in the trace, with a mark that says what it is.
    #[inline]
    fn ring(&self) -> Option<u32> {
        let (id, is_new) = self.ring.number()?;
        if is_new {
            crate::mark(self.name);
        }
        Some(id)
    }
}
