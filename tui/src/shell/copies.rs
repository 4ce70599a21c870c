//! Programs that were given a copy and still run: each is waited for on a thread of its own, so that one that fails when
//! its copy was said to be made is told after all.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::model::Model;
use crate::outside::Waits;
use crate::update;

/// Those that run. A viewer that ends waits for none.
pub(super) struct Copies {
    tell: Sender<String>,
    failed: Receiver<String>,
}

impl Default for Copies {
    fn default() -> Self {
        let (tell, failed) = channel();
        Self { tell, failed }
    }
}

impl Copies {
    /// Waits for one more; `waker` is written to if it fails.
    pub(super) fn wait(&self, waits: Waits, mut waker: UnixStream) -> io::Result<()> {
        let tell = self.tell.clone();
        thread::Builder::new()
            .name("copied".into())
            .spawn(move || {
                if let Some(why) = waits.0() {
                    let _ = tell.send(why);
                    // A full pipe wakes the loop as well.
                    let _ = waker.write(&[0]);
                }
            })?;
        Ok(())
    }

    /// Says which failed since somebody asked last; false where none did.
    pub(super) fn answer(&self, model: &mut Model) -> bool {
        let Some(why) = self.failed.try_iter().last() else {
            return false;
        };
        update::say(model, why);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_program_that_fails_later_is_told_and_one_that_does_not_says_nothing() {
        let mut model = crate::expect(crate::Options::default());
        let (mut woken, waker) = UnixStream::pair().unwrap();
        let copies = Copies::default();
        let wait = |why: Option<&str>| {
            let why = why.map(str::to_owned);
            let (end, ended) = channel::<()>();
            let waits = Waits(Box::new(move || {
                let _ = ended.recv();
                why
            }));
            copies.wait(waits, waker.try_clone().unwrap()).unwrap();
            end
        };
        let (good, bad) = (wait(None), wait(Some("not copied: it ended")));
        assert!(!copies.answer(&mut model), "both run");
        drop((good, bad));
        woken.read_exact(&mut [0]).unwrap();
        assert!(copies.answer(&mut model));
        assert_eq!(model.notice.as_deref(), Some("not copied: it ended"));
        assert!(!copies.answer(&mut model));
    }
}
