//! The mistakes that the faulty scenarios switch on, one line of code each.
//!
//! Each stands at its place in the runtime under an `if` that names it; the scenario's `--fixed` is the
//! same program without it.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The NOP that nudges the loop gets no cookie ([`Driver::nudge`](crate::driver::Driver::nudge)).
    NudgeWithoutCookie,
    /// A repeated operation is pushed with the cookie of its first time
    /// ([`Driver::push_again`](crate::driver::Driver::push_again)).
    TemplateWithCookie,
    /// The first completion that resumes a coroutine is dispatched twice
    /// ([`Runtime`](crate::runtime::Runtime), in its loop).
    DispatchedTwice,
    /// A future that is dropped in flight takes its handle back from the kernel
    /// ([`Driver::abandon`](crate::driver::Driver::abandon)).
    ReclaimedOnDrop,
}
