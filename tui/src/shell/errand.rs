//! A search for sources on a thread of its own, so that keys are answered meanwhile.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use traces::source::Sources;

use crate::model::Model;
use crate::outside::Outside;
use crate::update;

/// Searches, of which one at a time is under way. A viewer that ends waits for none.
#[derive(Default)]
pub(super) struct Errands {
    found: Option<Receiver<Sources>>,
    /// What there was to look for when the last search was begun.
    wanted: Wanted,
}

impl Errands {
    /// Begins a search, where there is anybody to do it, and none is under way: `waker` is written to when it is over.
    pub(super) fn begin(
        &mut self,
        model: &mut Model,
        outside: &dyn Outside,
        waker: impl FnOnce() -> io::Result<UnixStream>,
    ) -> io::Result<()> {
        if self.found.is_some() {
            return Ok(());
        }
        self.wanted = Wanted::of(model);
        let Some(search) = outside.sources(&model.trace) else {
            return Ok(());
        };
        let mut waker = waker()?;
        let (sender, found) = channel();
        thread::Builder::new()
            .name("sources".into())
            .spawn(move || {
                let _ = sender.send(search());
                // A full pipe wakes the loop as well.
                let _ = waker.write(&[0]);
            })?;
        update::search_begins(model);
        self.found = Some(found);
        Ok(())
    }

    /// Begins another one where there are places that the last one was not asked for.
    pub(super) fn again(
        &mut self,
        model: &mut Model,
        outside: &dyn Outside,
        waker: impl FnOnce() -> io::Result<UnixStream>,
    ) -> io::Result<()> {
        if Wanted::of(model) == self.wanted {
            return Ok(());
        }
        self.begin(model, outside, waker)
    }

    /// Takes over what was found; false while there is nothing.
    pub(super) fn answer(&mut self, model: &mut Model) -> bool {
        let answer = self.found.as_ref().and_then(|found| found.try_recv().ok());
        let Some(sources) = answer else { return false };
        self.found = None;
        update::found_sources(model, sources);
        true
    }
}

/// How many places have a line of source: those that the probe noted, and those that stacks lead through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    sites: usize,
    functions: usize,
}

impl Wanted {
    fn of(model: &Model) -> Self {
        Self {
            sites: model.trace.recording().sites().count(),
            // Recorded by the shim, a trace has no others.
            functions: model.trace.known_functions().count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use traces::Trace;

    use super::super::fake::Fake;
    use super::*;

    #[test]
    fn places_that_came_during_a_search_are_searched_for_after_it() {
        let trace = |lines: &str| Trace::parse_text(lines).unwrap();
        let first = "0 main leak 0x10 Conn src/a.rs:1 owner=Box\n";
        let second = format!("{first}1 main reclaim 0x10 Conn src/b.rs:2 owner=Box\n");
        let ((tell, answer), (tell_next, next)) = (channel(), channel());
        let outside = Fake::default();
        outside.searches.lock().unwrap().extend([next, answer]);
        let mut model = crate::open(trace(first), Default::default(), Default::default());
        let (mut woken, waker) = UnixStream::pair().unwrap();
        let waker = || waker.try_clone();
        let mut wait = || io::Read::read_exact(&mut woken, &mut [0]).unwrap();
        let mut errands = Errands::default();
        errands.begin(&mut model, &outside, waker).unwrap();
        assert_eq!(outside.asked(), ["search for 1"]);
        // A later look has another place, while the search for the first goes on.
        model.trace = trace(&second);
        errands.again(&mut model, &outside, waker).unwrap();
        assert!(!errands.answer(&mut model));
        assert!(outside.asked().is_empty());
        tell.send(()).unwrap();
        wait();
        assert!(errands.answer(&mut model));
        errands.again(&mut model, &outside, waker).unwrap();
        assert_eq!(outside.asked(), ["search for 2"]);
        tell_next.send(()).unwrap();
        wait();
        assert!(errands.answer(&mut model));
        errands.again(&mut model, &outside, waker).unwrap();
        assert!(outside.asked().is_empty(), "all is known");
    }
}
