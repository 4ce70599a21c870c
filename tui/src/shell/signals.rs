//! Signals become bytes in a pipe that the event loop polls.
//!
//! While a [`Signals`] lives, the signals below are reported to the loop; when it is dropped they
//! have their default effect again. (signal-hook cannot take a handler out, so the handlers stay
//! and do what the default would have done.)

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};

/// What a signal asks of the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Leave; the number of the signal.
    Leave(i32),
    /// Stop until continued.
    Suspend,
    /// We run again after a stop; the terminal may be as the shell left it.
    Continue,
    /// The terminal has another size.
    Resize,
}

const ALL: [(i32, Asked); 7] = [
    (SIGTERM, Asked::Leave(SIGTERM)),
    (SIGHUP, Asked::Leave(SIGHUP)),
    (SIGINT, Asked::Leave(SIGINT)),
    (SIGQUIT, Asked::Leave(SIGQUIT)),
    (SIGTSTP, Asked::Suspend),
    (SIGCONT, Asked::Continue),
    (SIGWINCH, Asked::Resize),
];

/// Signals on their way to the event loop.
pub(super) struct Signals {
    /// Readable when a flag was set.
    pipe: UnixStream,
    /// Its other end.
    waker: UnixStream,
    /// One per entry of [`ALL`].
    flags: Vec<Arc<AtomicBool>>,
    /// Set once nobody looks at the flags any more: handlers then act as the default does.
    over: Arc<AtomicBool>,
    /// Set while the terminal is lent to another program: a stop then stops us too.
    lent: Arc<AtomicBool>,
    ids: Vec<SigId>,
    /// Whether the caller catches them itself once the viewer has ended.
    has_heir: bool,
}

impl Signals {
    /// Begins to listen. With an heir, signals do not have their default effect afterwards.
    pub(super) fn listen(has_heir: bool) -> io::Result<Self> {
        let (pipe, waker) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let mut signals = Self {
            pipe,
            waker,
            flags: Vec::new(),
            over: Arc::new(AtomicBool::new(false)),
            lent: Arc::new(AtomicBool::new(false)),
            ids: Vec::new(),
            has_heir,
        };
        for (signal, _) in ALL {
            if signal == SIGTSTP {
                signal_hook::flag::register_conditional_default(signal, signals.lent.clone())?;
            }
            let flag = Arc::new(AtomicBool::new(false));
            // The default first, then the flag, then the pipe: who reads the byte sees the flag.
            if signal != SIGCONT && signal != SIGWINCH && (!has_heir || signal == SIGTSTP) {
                signal_hook::flag::register_conditional_default(signal, signals.over.clone())?;
            }
            signals
                .ids
                .push(signal_hook::flag::register(signal, flag.clone())?);
            let waker = signals.waker.try_clone()?;
            signals
                .ids
                .push(signal_hook::low_level::pipe::register(signal, waker)?);
            signals.flags.push(flag);
        }
        Ok(signals)
    }

    /// The end to poll.
    pub(super) fn pipe(&self) -> &UnixStream {
        &self.pipe
    }

    /// An end that wakes the loop when written to.
    pub(super) fn waker(&self) -> io::Result<UnixStream> {
        self.waker.try_clone()
    }

    /// What was asked since the last call.
    pub(super) fn take(&mut self) -> Vec<Asked> {
        let mut bytes = [0; 64];
        while matches!(self.pipe.read(&mut bytes), Ok(1..)) {}
        ALL.iter()
            .zip(&self.flags)
            .filter(|(_, flag)| flag.swap(false, Ordering::SeqCst))
            .map(|((_, asked), _)| *asked)
            .collect()
    }

    /// Lets a stop have its default effect until the answer is dropped.
    pub(super) fn lend(&self) -> Lent {
        self.lent.store(true, Ordering::SeqCst);
        Lent(self.lent.clone())
    }

    /// Forgets what was meant for whoever had the terminal: stops, and keys that interrupt.
    pub(super) fn forget_meanwhile(&self) {
        for ((_, asked), flag) in ALL.iter().zip(&self.flags) {
            if matches!(
                asked,
                Asked::Suspend | Asked::Continue | Asked::Leave(SIGINT | SIGQUIT)
            ) {
                flag.store(false, Ordering::SeqCst);
            }
        }
    }
}

/// The terminal is somebody else's while this lives.
pub(super) struct Lent(Arc<AtomicBool>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for id in self.ids.drain(..) {
            signal_hook::low_level::unregister(id);
        }
        if self.has_heir {
            // The heir has seen them, too.
            return;
        }
        // A signal that came while the viewer was leaving must not get lost.
        for asked in self.take() {
            if let Asked::Leave(signal) = asked {
                let _ = signal_hook::low_level::raise(signal);
            }
        }
    }
}
