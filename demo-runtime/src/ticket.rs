//! Tickets: the `Rc` whose raw pointer travels through the kernel, and the pool that recycles them.
//!
//! A ticket's handles (strong counts) are held by
//! - the pool: one, from the first use to the end of the runtime;
//! - the kernel: one per submission, leaked into `user_data` by [`Tickets::lease`] and taken back from
//!   the completion by [`Tickets::reclaim`];
//! - the program: one in the future that awaits the operation, one in a cancellation that names it.
//!
//! A ticket is free again when the pool's handle is the only one left. The newest free ticket is taken
//! first, so an address is in use again at once: an address says nothing about identity.
//!
//! # Why the faulty scenarios are not undefined behaviour
//!
//! A fault makes the program reclaim more often than it leased, or the lease of somebody else. With
//! `leases` as the number of handles that are leaked at the moment, these hold between any two
//! statements outside this file:
//!
//! 1. strong count = 1 (pool) + `leases` + handles in variables of the program.
//! 2. No ticket is freed before the pool is: by 1 its count is never below 1 until then.
//! 3. `reclaim` calls `from_raw` on addresses of the pool's own tickets only, which by 2 are alive.
//! 4. The count that `from_raw` takes exists, and nobody else will drop it: where `leases` > 0 it is a
//!    leaked one, perhaps not the one that was meant, which makes no difference to a count; where
//!    `leases` is 0, the net adds one first (`increment_strong_count` on a live `Rc`, by 2).
//!
//! So counts are right whatever the order of completions, and [`Tickets::audit`] checks at the end that
//! every count is 1. A production runtime has no net: step 4 is where it would free memory in use.
//! What the kernel still writes to is the other half of the argument: the faulty scenarios have timers
//! and NOPs in flight only, whose memory the kernel reads once, at submission.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::coroutine::Coroutine;
use crate::request::Request;

/// One operation's state: what the kernel may touch, whom to resume, how it ended.
#[derive(Debug)]
pub struct Ticket {
    /// Position in the pool.
    index: usize,
    /// Handles that are leaked at the moment; 1 while an operation is in flight, in a correct program.
    leases: Cell<u32>,
    /// Whether it waits in the pool's free list.
    free: Cell<bool>,
    /// Whom the completion resumes. It stays after the ticket became free, as a dangling name would.
    waiter: RefCell<Option<Rc<Coroutine>>>,
    pub(crate) request: RefCell<Request>,
    outcome: RefCell<Option<Completed>>,
}

/// How an operation ended.
#[derive(Debug)]
pub struct Completed {
    /// The count that the kernel returned, or its error.
    pub result: io::Result<u32>,
    /// The new descriptor, where the operation made one. Nobody takes it? Then it is closed.
    pub descriptor: Option<OwnedFd>,
}

impl Ticket {
    /// The word that stands for this ticket in the kernel.
    pub fn cookie(self: &Rc<Self>) -> u64 {
        Rc::as_ptr(self) as u64
    }

    /// From now on the completion resumes this coroutine.
    pub fn set_waiter(self: &Rc<Self>, coroutine: &Rc<Coroutine>) {
        let mut waiter = self.waiter.borrow_mut();
        if let Some(before) = &*waiter {
            before.no_longer_awaits(self.cookie());
        }
        coroutine.awaits(self.cookie());
        *waiter = Some(coroutine.clone());
    }

    /// Nobody is resumed any more.
    pub fn forget_waiter(self: &Rc<Self>) {
        if let Some(waiter) = self.waiter.take() {
            waiter.no_longer_awaits(self.cookie());
        }
    }

    /// The coroutine to resume.
    pub fn waiter(&self) -> Option<Rc<Coroutine>> {
        self.waiter.borrow().clone()
    }

    /// The operation ended.
    pub(crate) fn complete(&self, completed: Completed) {
        *self.outcome.borrow_mut() = Some(completed);
    }

    /// Whether it ended, and nobody took the outcome yet.
    pub fn is_completed(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    /// The outcome with the request, whose buffers are the program's again; none while in flight.
    pub(crate) fn take_outcome(self: &Rc<Self>) -> Option<(Completed, Request)> {
        let completed = self.outcome.take()?;
        if let Some(waiter) = &*self.waiter.borrow() {
            waiter.no_longer_awaits(self.cookie());
        }
        Some((completed, self.request.replace(Request::Nop)))
    }
}

/// The pool.
#[derive(Debug, Default)]
pub struct Tickets {
    /// One handle of every ticket there ever was; dropped with the pool, never before.
    all: RefCell<Vec<Rc<Ticket>>>,
    /// Which cookies are ours.
    by_cookie: RefCell<HashMap<u64, usize>>,
    /// Positions in `all`, the newest free one last.
    free: RefCell<Vec<usize>>,
    caught: Cell<u64>,
}

impl Tickets {
    /// A ticket for a new operation.
    pub fn take(&self, request: Request) -> Rc<Ticket> {
        let recycled = self.free.borrow_mut().pop();
        let ticket = recycled.and_then(|index| self.all.borrow().get(index).cloned());
        let ticket = ticket.unwrap_or_else(|| self.print());
        ticket.free.set(false);
        ticket.outcome.take();
        ticket.waiter.take();
        ticket.request.replace(request);
        ticket
    }

    fn print(&self) -> Rc<Ticket> {
        let mut all = self.all.borrow_mut();
        let ticket = Rc::new(Ticket {
            index: all.len(),
            leases: Cell::new(0),
            free: Cell::new(false),
            waiter: RefCell::default(),
            request: RefCell::new(Request::Nop),
            outcome: RefCell::default(),
        });
        self.by_cookie
            .borrow_mut()
            .insert(ticket.cookie(), ticket.index);
        all.push(ticket.clone());
        ticket
    }

    /// Leaks a handle of the ticket: the cookie of one operation.
    #[track_caller]
    pub fn lease(&self, ticket: &Rc<Ticket>) -> u64 {
        ticket.leases.set(ticket.leases.get() + 1);
        probe::into_raw(ticket.clone()).expose_provenance() as u64
    }

    /// Takes the handle back that a completion carries. None for a word that was never a ticket.
    #[track_caller]
    pub fn reclaim(&self, cookie: u64) -> Option<Rc<Ticket>> {
        self.by_cookie.borrow().get(&cookie)?;
        let raw = std::ptr::with_exposed_provenance::<Ticket>(cookie as usize);
        // SAFETY: a ticket of this pool, so alive (2); only `Cell`s are touched through the reference.
        let leases = unsafe { &(*raw).leases };
        if leases.get() == 0 {
            // The net. The trace must not see it: a program without it does not do this.
            self.caught.set(self.caught.get() + 1);
            // SAFETY: `raw` came from `Rc::into_raw` once, as its provenance was exposed, and the
            // pool's handle keeps the count above zero (2).
            unsafe { Rc::increment_strong_count(raw) };
        } else {
            leases.set(leases.get() - 1);
        }
        // SAFETY: `raw` is an `Rc<Ticket>`'s pointer (3), and there is a leaked count to take: one that
        // `leases` counted, or the one that was just added (4).
        Some(unsafe { probe::from_raw(raw) })
    }

    /// Gives a handle up. The ticket is free when nobody but the pool has one.
    pub fn release(&self, ticket: Rc<Ticket>) {
        if Rc::strong_count(&ticket) == 2 && !ticket.free.replace(true) {
            self.free.borrow_mut().push(ticket.index);
            // The buffers go now; a cancellation lets go of the ticket that it named.
            let request = ticket.request.replace(Request::Nop);
            ticket.outcome.take();
            if let Request::Cancel(target) = request {
                self.release(target);
            }
        }
    }

    /// How often a completion brought a cookie of which nothing was leaked any more. 0 in a correct
    /// program.
    pub fn caught(&self) -> u64 {
        self.caught.get()
    }

    /// Checks that every count is what it must be when nothing is in flight: the pool's own handle.
    pub fn audit(&self) -> Result<(), String> {
        for ticket in &*self.all.borrow() {
            let (count, leases) = (Rc::strong_count(ticket), ticket.leases.get());
            if count != 1 || leases != 0 {
                let index = ticket.index;
                return Err(format!(
                    "ticket {index} ends with {count} handles, {leases} leaked"
                ));
            }
        }
        Ok(())
    }

    /// Lets go of all coroutines that free tickets still name.
    pub fn forget_waiters(&self) {
        for ticket in &*self.all.borrow() {
            ticket.waiter.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_returns_the_ticket_and_its_count() {
        let tickets = Tickets::default();
        let ticket = tickets.take(Request::Nop);
        let cookie = tickets.lease(&ticket);
        assert_eq!(Rc::strong_count(&ticket), 3);
        let back = tickets.reclaim(cookie).unwrap();
        assert!(Rc::ptr_eq(&ticket, &back));
        tickets.release(back);
        tickets.release(ticket);
        assert_eq!(tickets.audit(), Ok(()));
        assert_eq!(tickets.caught(), 0);
    }

    #[test]
    fn the_newest_free_ticket_is_taken_first_and_not_while_in_flight() {
        let tickets = Tickets::default();
        let (one, two) = (tickets.take(Request::Nop), tickets.take(Request::Nop));
        let (cookie, two_cookie) = (tickets.lease(&one), two.cookie());
        tickets.release(one);
        tickets.release(two);
        let next = tickets.take(Request::Nop);
        assert_eq!(next.cookie(), two_cookie);
        let back = tickets.reclaim(cookie).unwrap();
        tickets.release(back);
        assert_eq!(tickets.take(Request::Nop).cookie(), cookie);
    }

    #[test]
    fn reclaiming_too_often_is_caught_and_leaves_every_count_right() {
        let tickets = Tickets::default();
        let ticket = tickets.take(Request::Nop);
        let cookie = tickets.lease(&ticket);
        for _ in 0..3 {
            let back = tickets.reclaim(cookie).unwrap();
            tickets.release(back);
        }
        assert_eq!(tickets.caught(), 2);
        tickets.release(ticket);
        assert_eq!(tickets.audit(), Ok(()));
    }

    #[test]
    fn a_word_that_is_no_ticket_is_not_dereferenced() {
        let tickets = Tickets::default();
        let ticket = tickets.take(Request::Nop);
        assert!(tickets.reclaim(0).is_none());
        assert!(tickets.reclaim(ticket.cookie() + 8).is_none());
    }
}
