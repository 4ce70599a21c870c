//! One io_uring program, to be run under every tool: each operation carries a box in its cookie.
//!
//! The program is generic over the [`Tool`] that is compiled in, so that all of them do the same. Tools
//! that work from outside (Valgrind, strace) get the [`Bare`] one.

mod batch;
mod echo;
mod tools;

pub use batch::{Nops, Reads};
pub use echo::Echo;
pub use tools::{Bare, Floor, Lttng, Recorded, Traced};

use io_uring::squeue::Entry;

/// What an operation owns while it is in flight: 48 bytes, as in a small runtime.
pub struct Operation {
    pub value: u64,
    _room: [u64; 5],
}

impl Operation {
    pub fn new(value: u64) -> Box<Self> {
        Box::new(Self {
            value,
            _room: [0; 5],
        })
    }
}

/// A ring, however it is wrapped.
pub trait Ring: Sized {
    fn new(entries: u32) -> std::io::Result<Self>;

    /// # Safety
    ///
    /// What the entry points to stays until its completion was taken.
    unsafe fn push(&mut self, entry: &Entry);

    fn submit_and_wait(&mut self, want: usize);

    /// Takes all completions there are: cookie and result of each.
    fn reap(&mut self, each: impl FnMut(u64, i32));

    /// Number in a trace, where there is one.
    fn id(&self) -> u32;
}

/// What is compiled into the program to watch it. Four moments of each operation, two of each coroutine.
pub trait Tool {
    type Ring: Ring;
    type Coroutine: Copy;

    fn leak(operation: Box<Operation>) -> *mut Operation;

    /// # Safety
    ///
    /// `raw` came from [`Tool::leak`] and was not taken back yet.
    unsafe fn reclaim(raw: *mut Operation) -> Box<Operation>;

    #[inline(always)]
    fn submitted(_cookie: u64) {}

    #[inline(always)]
    fn completed(_cookie: u64, _result: i32) {}

    fn spawned() -> Self::Coroutine;

    fn resumed(coroutine: Self::Coroutine, ring: u32, cookie: u64);

    fn suspended(coroutine: Self::Coroutine, cookie: u64);
}

/// Leaks an operation into an entry and pushes it.
///
/// # Safety
///
/// As for [`Ring::push`].
#[inline(always)]
unsafe fn start<T: Tool>(ring: &mut T::Ring, operation: Box<Operation>, entry: Entry) -> u64 {
    let cookie = T::leak(operation) as u64;
    T::submitted(cookie);
    // SAFETY: the caller's promise.
    unsafe { ring.push(&entry.user_data(cookie)) };
    cookie
}

/// Takes the operation of a completion back.
///
/// # Safety
///
/// The cookie came from [`start`], and completed for the first time.
#[inline(always)]
unsafe fn finish<T: Tool>(cookie: u64, result: i32) -> Box<Operation> {
    T::completed(cookie, result);
    // SAFETY: the caller's promise.
    unsafe { T::reclaim(cookie as *mut Operation) }
}
