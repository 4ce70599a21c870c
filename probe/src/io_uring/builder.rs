//! How a ring is to be made.

use std::io;
use std::os::fd::RawFd;

use super::{IoUring, cqueue, inner, squeue};

/// Options of a new ring, as `io_uring::Builder`.
#[derive(Clone, Default)]
pub struct Builder<S = squeue::Entry, C = cqueue::Entry>
where
    S: squeue::EntryMarker,
    C: cqueue::EntryMarker,
{
    pub(super) builder: inner::Builder<S, C>,
}

macro_rules! options {
    ($($name:ident($($argument:ident: $type:ty)?);)*) => {
        impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> Builder<S, C> {
            $(
                #[doc = concat!("As `io_uring::Builder::", stringify!($name), "`.")]
                pub fn $name(&mut self $(, $argument: $type)?) -> &mut Self {
                    self.builder.$name($($argument)?);
                    self
                }
            )*

            /// As `io_uring::Builder::build`.
            pub fn build(&self, entries: u32) -> io::Result<IoUring<S, C>> {
                self.builder.build(entries).map(IoUring::wrap)
            }
        }
    };
}

options! {
    dontfork();
    setup_iopoll();
    setup_sqpoll(idle: u32);
    setup_sqpoll_cpu(cpu: u32);
    setup_cqsize(entries: u32);
    setup_clamp();
    setup_attach_wq(fd: RawFd);
    setup_r_disabled();
    setup_submit_all();
    setup_coop_taskrun();
    setup_taskrun_flag();
    setup_defer_taskrun();
    setup_single_issuer();
    setup_no_sqarray();
}
