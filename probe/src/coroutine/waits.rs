//! What the coroutine that a thread polls waits for, gathered while it is polled: futures of operations say so
//! one by one, and its suspension lists them all. No allocation: a list for each thread, of which a coroutine that is
//! polled inside of another one has the end.

use std::cell::Cell;

use super::{CURRENT, MAX_COOKIES};
use crate::recorder;

struct List {
    length: Cell<usize>,
    cookies: [Cell<u64>; MAX_COOKIES],
}

std::thread_local! {
    static LIST: List = const {
        List {
            length: Cell::new(0),
            cookies: [const { Cell::new(0) }; MAX_COOKIES],
        }
    };
}

/// The coroutine that this thread polls waits for the completion with this cookie. Call it where the future of an
/// operation returns pending. Outside of a coroutine that [`Coroutine::current`](super::Coroutine::current) knows it
/// does nothing; of more than [`MAX_COOKIES`] the rest is left out. Whether it waits for any or for all of several is
/// not said: that it was never resumed is reported once all of them have come.
#[inline]
pub fn waits_for(cookie: u64) {
    if recorder::recording() && CURRENT.try_with(Cell::get).is_ok_and(|id| id != 0) {
        // At the very end of a thread there is nothing left to say.
        let _ = LIST.try_with(|list| {
            let length = list.length.get();
            if let Some(next) = list.cookies.get(length) {
                next.set(cookie);
                list.length.set(length + 1);
            }
        });
    }
}

/// The part of the list that is one coroutine's, until it is dropped.
#[derive(Debug)]
pub(super) struct Waits {
    start: usize,
}

impl Waits {
    pub(super) fn begin() -> Waits {
        Waits {
            start: LIST.try_with(|list| list.length.get()).unwrap_or(0),
        }
    }

    /// Calls `with` with the cookies said so far.
    pub(super) fn list(&self, with: impl FnOnce(&[u64])) {
        let mut cookies = [0; MAX_COOKIES];
        let length = LIST.try_with(|list| {
            let said = list.cookies.iter().take(list.length.get()).skip(self.start);
            let mut length = 0;
            for (to, from) in cookies.iter_mut().zip(said) {
                *to = from.get();
                length += 1;
            }
            length
        });
        with(cookies.get(..length.unwrap_or(0)).unwrap_or(&[]));
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let _ = LIST.try_with(|list| list.length.set(self.start));
    }
}
