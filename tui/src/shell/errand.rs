//! A search for sources on a thread of its own, so that keys are answered meanwhile.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use traces::source::Sources;

use super::signals::Signals;
use crate::model::Model;
use crate::outside::Outside;
use crate::update;

/// A search under way. A viewer that ends does not wait for it.
pub(super) struct Errand {
    found: Receiver<Sources>,
}

impl Errand {
    /// Begins the search, where there is anybody to do it.
    pub(super) fn begin(
        model: &mut Model,
        outside: &dyn Outside,
        signals: &Signals,
    ) -> io::Result<Option<Self>> {
        let Some(search) = outside.sources(&model.trace) else {
            return Ok(None);
        };
        let mut waker = signals.waker()?;
        let (sender, found) = channel();
        thread::Builder::new()
            .name("sources".into())
            .spawn(move || {
                let _ = sender.send(search());
                // A full pipe wakes the loop as well.
                let _ = waker.write(&[0]);
            })?;
        update::search_begins(model);
        Ok(Some(Self { found }))
    }

    /// What was found, once the search is over.
    pub(super) fn answer(&mut self) -> Option<Sources> {
        self.found.try_recv().ok()
    }
}
