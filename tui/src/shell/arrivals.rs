//! What the reader's thread sends: taken over when the screen may show it, held back while it is paused.
//!
//! Notes count events. Those of a look that is held back have other numbers than what is shown, so that where notes
//! are kept is settled only when the last look is taken over; who leaves while it is held back takes it over first.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use traces::Trace;

use crate::feed::{Arrived, Feed, Inbox, News, Wants};
use crate::model::Model;
use crate::outside::Outside;
use crate::update;

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing.
    Nothing,
    /// Something that is to be drawn.
    Something,
    /// The reader has nothing to show: the viewer ends.
    GaveUp,
}

/// The reader, and what it has sent.
pub(super) struct Arrivals {
    inbox: Inbox,
    /// The latest look, while nothing new is to be shown.
    held: Option<(Box<Arrived>, Option<Instant>)>,
    /// When the recording was as it is shown.
    shown: Option<Instant>,
    /// Whether the last look is shown, so that notes have the numbers that they keep.
    is_settled: bool,
    /// Whether it was said that notes are lost.
    has_warned: bool,
}

impl Arrivals {
    /// Starts the reader, which writes to `waker` when it has something.
    pub(super) fn start(feed: Feed, waker: UnixStream) -> io::Result<Self> {
        Ok(Self {
            inbox: Inbox::start(feed, waker)?,
            held: None,
            shown: None,
            is_settled: false,
            has_warned: false,
        })
    }

    /// Whether something is held back that may be shown now.
    pub(super) fn is_due(&self, model: &Model) -> bool {
        self.held.is_some() && !model.live.is_paused
    }

    /// How old what is shown is, of a recording that goes on.
    pub(super) fn age(&self, model: &Model, now: Instant) -> Option<Duration> {
        let shown = self.shown.filter(|_| model.live.is_running())?;
        Some(now.saturating_duration_since(shown))
    }

    /// Takes in what the reader has sent.
    pub(super) fn receive(&mut self, model: &mut Model) -> Came {
        let mut came = Came::Nothing;
        while let Some(news) = self.inbox.next() {
            came = Came::Something;
            match news {
                News::Reading(reading) => update::reading(model, reading),
                News::Watched(watched) => update::watched(model, watched),
                News::Arrived(arrived, then) => {
                    if let Some((older, _)) = self.held.replace((arrived, then)) {
                        self.inbox.done_with(older.trace);
                    }
                }
                News::Still(then) => match &mut self.held {
                    Some((_, held)) => *held = Some(then),
                    None => self.shown = Some(then),
                },
                News::GaveUp => return Came::GaveUp,
            }
        }
        came
    }

    /// Shows the latest look, unless the screen is to stay as it is. Says whether it did.
    pub(super) fn show(&mut self, model: &mut Model, outside: &dyn Outside) -> bool {
        let may_show = !model.live.is_paused || model.live.reading.is_some();
        let Some((arrived, then)) = may_show.then(|| self.held.take()).flatten() else {
            return false;
        };
        self.shown = then;
        if let Err(why) = self.take_over(model, outside, *arrived) {
            update::say(model, why);
        }
        true
    }

    /// The viewer is about to end: notes are not left behind with a look that the last one has replaced. Or says why
    /// they are lost.
    pub(super) fn leave(&mut self, model: &mut Model, outside: &dyn Outside) -> Result<(), String> {
        self.receive(model);
        if model.notes.list.is_empty() {
            return Ok(());
        }
        if let Some((last, _)) = self.held.take_if(|(held, _)| held.is_last) {
            return self.take_over(model, outside, *last);
        }
        // Of a recording that is not whole yet nobody knows the numbers that events will have.
        if model.live.watched.is_none() || self.is_settled {
            return Ok(());
        }
        if let Err(why) = outside.keeps_left()
            && !std::mem::replace(&mut self.has_warned, true)
        {
            return Err(why);
        }
        let shown = std::mem::replace(&mut model.trace, Trace::empty());
        outside.left(shown, std::mem::take(&mut model.notes.list));
        Ok(())
    }

    fn take_over(
        &mut self,
        model: &mut Model,
        outside: &dyn Outside,
        arrived: Arrived,
    ) -> Result<(), String> {
        let is_last = arrived.is_last;
        self.inbox.done_with(update::arrive(model, arrived));
        if is_last {
            self.is_settled = true;
            outside.settle(&model.trace);
        }
        // Events have other numbers now.
        if model.notes.list.is_empty() {
            return Ok(());
        }
        outside.keep(&model.notes.list)
    }

    /// Says what the model would like to have.
    pub(super) fn want(&mut self, model: &Model) {
        self.inbox.want(Wants {
            is_paused: model.live.is_paused,
            lanes: model.timeline.index.is_some(),
            has_left: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::mpsc::channel;

    use traces::event::EventId;

    use super::super::fake::Fake;
    use super::*;
    use crate::Note;

    const EARLIER: &str = "0 other leak 0x10 Conn src/a.rs:1 owner=Box\n";
    const SHOWN: &str = "
10 main leak 0x20 Conn src/a.rs:1 owner=Box
20 main reclaim 0x20 Conn src/a.rs:2 owner=Box
";

    /// A viewer that shows a look, was paused then, and has got the last one since. A thread was late: what it recorded
    /// comes before all that is shown.
    fn paused(outside: &Fake) -> (Model, Arrivals) {
        let (mut woken, waker) = UnixStream::pair().unwrap();
        let (send, looks) = channel();
        let feed = Feed::new(move |reports| {
            for (is_last, text) in looks {
                let text: String = text;
                let trace = Trace::parse_text(&text).unwrap();
                let verdict = trace.verdict().clone();
                if is_last {
                    reports.last(trace, verdict);
                } else {
                    reports.trace(trace, verdict, None);
                }
            }
        });
        let mut model = crate::expect(crate::Options::default());
        let mut arrivals = Arrivals::start(feed, waker).unwrap();
        send.send((false, SHOWN.to_owned())).unwrap();
        woken.read_exact(&mut [0]).unwrap();
        assert_eq!(arrivals.receive(&mut model), Came::Something);
        assert!(arrivals.show(&mut model, outside));
        model.live.is_paused = true;
        send.send((true, format!("{EARLIER}{SHOWN}"))).unwrap();
        woken.read_exact(&mut [0]).unwrap();
        (model, arrivals)
    }

    fn note(model: &mut Model, event: u64, text: &str) {
        model.notes.list.push(Note {
            event: EventId(event),
            text: text.to_owned(),
        });
    }

    #[test]
    fn notes_made_while_the_last_look_is_held_back_are_kept_under_its_events() {
        let outside = Fake::default();
        let (mut model, mut arrivals) = paused(&outside);
        arrivals.receive(&mut model);
        assert!(!arrivals.show(&mut model, &outside));
        note(&mut model, 1, "here");
        assert!(outside.asked().is_empty(), "it is not the last look's yet");
        model.live.is_paused = false;
        assert!(arrivals.is_due(&model) && arrivals.show(&mut model, &outside));
        assert_eq!(outside.asked(), ["settle with 3", "keep 2 here"]);
    }

    #[test]
    fn who_leaves_while_the_last_look_is_held_back_has_notes_kept() {
        for was_received in [true, false] {
            let outside = Fake::default();
            let (mut model, mut arrivals) = paused(&outside);
            note(&mut model, 0, "there");
            if was_received {
                arrivals.receive(&mut model);
            }
            arrivals.leave(&mut model, &outside).unwrap();
            assert_eq!(outside.asked(), ["settle with 3", "keep 1 there"]);
        }
    }
}
