//! A wake from another thread: an eventfd, and a read of it in flight on the ring.
//!
//! The runtime itself belongs to one thread. What may cross is the descriptor: any thread can write to
//! it, and the write completes the read that the waiting coroutine has in flight.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use crate::operation::Operation;
use crate::request::Request;
use crate::runtime::Runtime;

/// The side that waits.
pub struct Signal {
    runtime: Runtime,
    /// The descriptor, owned by this side for the ring...
    event: Rc<OwnedFd>,
}

/// The side that wakes, from whatever thread.
#[derive(Clone, Debug)]
pub struct Remote {
    /// ...and a duplicate for the others, so that neither can close the other's.
    event: Arc<OwnedFd>,
}

impl Signal {
    /// A new pair.
    pub fn new(runtime: &Runtime) -> io::Result<(Self, Remote)> {
        let event = eventfd(0, EventfdFlags::CLOEXEC)?;
        let remote = Remote {
            event: Arc::new(event.try_clone()?),
        };
        Ok((
            Self {
                runtime: runtime.clone(),
                event: Rc::new(event),
            },
            remote,
        ))
    }

    /// Waits until somebody wakes: how often since the last time.
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = io::Result<u64>> + use<> {
        let request = Request::Read {
            file: self.event.clone(),
            buffer: vec![0; 8],
            offset: u64::MAX,
        };
        let operation = Operation::start(&self.runtime, request);
        async move {
            let (completed, request) = operation.await;
            completed.result?;
            let bytes = request
                .into_bytes()
                .try_into()
                .map_err(|_| io::ErrorKind::InvalidData)?;
            Ok(u64::from_ne_bytes(bytes))
        }
    }
}

impl Remote {
    /// Wakes the other side.
    pub fn wake(&self) -> io::Result<()> {
        rustix::io::write(&*self.event, &1u64.to_ne_bytes())?;
        Ok(())
    }
}
