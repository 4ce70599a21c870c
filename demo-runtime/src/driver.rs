//! Where tickets meet the ring: start, cancel, nudge, reap.
//!
//! The promise to the kernel is kept here and nowhere else: an entry that is prepared points into the
//! request of a ticket, and the ticket's cookie in the same entry is a leaked handle of it. The memory
//! therefore lives until the completion was reclaimed, or for ever if it never comes.

use std::cell::{Cell, RefCell, RefMut};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use crate::coroutine::Coroutine;
use crate::fault::Fault;
use crate::request::Request;
use crate::ring::{AnyRing, Completion, Ring};
use crate::ticket::{Completed, Ticket, Tickets};

/// The ring, and the tickets of its operations.
pub struct Driver {
    ring: RefCell<AnyRing>,
    tickets: Tickets,
    /// Submission slots claimed, less completions reaped: each operation here completes once.
    in_flight: Cell<u64>,
    fault: Option<Fault>,
    /// Completions whose cookie was never a ticket.
    strays: Cell<u64>,
}

impl Driver {
    /// A driver for a ring.
    pub fn new(ring: AnyRing, fault: Option<Fault>) -> Self {
        Self {
            ring: RefCell::new(ring),
            tickets: Tickets::default(),
            in_flight: Cell::new(0),
            fault,
            strays: Cell::new(0),
        }
    }

    /// Starts an operation, for a coroutine or for nobody. One that cannot be submitted completes with
    /// the error at once.
    #[track_caller]
    pub fn start(&self, request: Request, waiter: Option<&Rc<Coroutine>>) -> Rc<Ticket> {
        let ticket = self.tickets.take(request);
        match self.claim() {
            Ok(mut slot) => {
                let op = ticket.request.borrow_mut().op();
                // SAFETY: `op` points into the ticket's request, or to what the request owns. The
                // lease below keeps the ticket until the completion, and the request is not touched
                // before: `take_outcome` and `release` ask for the completion first.
                unsafe { slot.prepare(&op) };
                slot.set_cookie(self.tickets.lease(&ticket));
                slot.push();
            }
            Err(error) => ticket.complete(Completed {
                result: Err(error),
                descriptor: None,
            }),
        }
        if let Some(waiter) = waiter {
            ticket.set_waiter(waiter);
        }
        ticket
    }

    /// Makes the next [`Driver::enter`] return at once, by an operation that completes immediately and
    /// that nobody waits for.
    pub fn nudge(&self) -> io::Result<()> {
        let mut slot = self.claim()?;
        // SAFETY: a NOP points to nothing.
        unsafe { slot.prepare(&crate::ring::Op::Nop) };
        if self.fault != Some(Fault::NudgeWithoutCookie) {
            // The line that is so easy to forget: nobody waits for it, so why give it a cookie?
            slot.set_cookie(self.tickets.lease(&self.tickets.take(Request::Nop)));
        }
        slot.push();
        Ok(())
    }

    /// Submits a timer once more from its entry as it was, while its first time may still be in flight.
    /// Nobody waits for this second time; the returned ticket is its own.
    #[track_caller]
    pub fn push_again(&self, first: &Rc<Ticket>, after: Duration) -> io::Result<Rc<Ticket>> {
        let again = self.tickets.take(Request::Timeout(after.into()));
        let mut slot = self.claim()?;
        let op = again.request.borrow_mut().op();
        // SAFETY: `op` points to the timespec in the request of `again`, which the lease keeps. Without
        // the lease, which is the mistake, it lies in the pool all the same, and the kernel reads it
        // once, at the next `enter`.
        unsafe { slot.prepare(&op) };
        // The entry already says everything, so why would it need another cookie?
        let mut cookie = first.cookie();
        if self.fault != Some(Fault::TemplateWithCookie) {
            cookie = self.tickets.lease(&again);
        }
        slot.set_cookie(cookie);
        slot.push();
        Ok(again)
    }

    /// The future of this operation was dropped. If it is still in flight it is asked to end; its
    /// ticket stays until it has.
    pub fn abandon(&self, ticket: Rc<Ticket>) {
        if !ticket.is_completed() {
            ticket.forget_waiter();
            if self.fault == Some(Fault::ReclaimedOnDrop) {
                // The kernel still has this handle, and will bring it back.
                if let Some(taken) = self.tickets.reclaim(ticket.cookie()) {
                    self.tickets.release(taken);
                }
            } else {
                let cancel = self.start(Request::Cancel(ticket.clone()), None);
                self.tickets.release(cancel);
            }
        }
        self.tickets.release(ticket);
    }

    /// The program is done with a ticket.
    pub fn release(&self, ticket: Rc<Ticket>) {
        self.tickets.release(ticket);
    }

    /// Submits, and waits for that many completions.
    #[track_caller]
    pub fn enter(&self, wait_for: u32) -> io::Result<()> {
        self.ring.borrow_mut().enter(wait_for)
    }

    /// Takes one completion: its operation ended. Returns whom to resume, if anybody waits, and the
    /// cookie by which it was found.
    pub fn reap(&self) -> Option<(Option<Rc<Coroutine>>, u64)> {
        let Completion { cookie, result } = self.ring.borrow_mut().reap()?;
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        let Some(ticket) = self.tickets.reclaim(cookie) else {
            self.strays.set(self.strays.get() + 1);
            return Some((None, cookie));
        };
        ticket.complete(self.outcome(&ticket, result));
        let waiter = ticket.waiter();
        self.tickets.release(ticket);
        Some((waiter, cookie))
    }

    fn outcome(&self, ticket: &Ticket, result: i32) -> Completed {
        let descriptor = match &*ticket.request.borrow() {
            // SAFETY: the result of an accept is a new descriptor that nobody else has. The completion
            // is that of this very accept: faults that mix completions up are used with timers only.
            Request::Accept(_) if result >= 0 => Some(unsafe { OwnedFd::from_raw_fd(result) }),
            _ => None,
        };
        let result =
            u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(result.wrapping_neg()));
        Completed { result, descriptor }
    }

    /// Takes the next slot; where there is none, the kernel is asked to consume some first.
    #[track_caller]
    fn claim(&self) -> io::Result<RefMut<'_, AnyRing>> {
        let mut ring = self.ring.borrow_mut();
        if ring.claim().is_err() {
            ring.enter(0)?;
            ring.claim()
                .map_err(|_| io::Error::from_raw_os_error(libc::EBUSY))?;
        }
        self.in_flight.set(self.in_flight.get() + 1);
        Ok(ring)
    }

    /// Operations that did not complete yet.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.get()
    }

    /// Number of the ring in a trace.
    pub fn ring_id(&self) -> u32 {
        self.ring.borrow().id()
    }

    /// Time on the ring's clock.
    pub fn now(&self) -> Duration {
        self.ring.borrow().now()
    }

    /// The pool, for its counts.
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// The mistake that is switched on.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Completions whose cookie was never a ticket; 0 in a correct program.
    pub fn strays(&self) -> u64 {
        self.strays.get()
    }
}
