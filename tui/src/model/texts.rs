//! What is said of an event in its row: time, thread, line of source.

use traces::event::Event;

use super::{LANES_LOOKED_AT, Model, THREAD_COLUMNS_MAX};

impl Model {
    /// The time of an event, marked where it is that of its batch.
    pub(crate) fn time_of(&self, event: &Event) -> String {
        format!(
            "{}{}",
            self.time_mark(event),
            crate::text::time(event.at_ns)
        )
    }

    /// `~` where the times of an event's process are by batch.
    pub(crate) fn time_mark(&self, event: &Event) -> &'static str {
        if self.trace.recording().is_by_batch(event.process) {
            "~"
        } else {
            ""
        }
    }

    /// The line of source that an event is at, with its number, where it is here and not blank.
    pub(crate) fn source_line(&self, event: &Event) -> Option<(u32, String)> {
        let site = event.site();
        let number = self.trace.recording().site(site).line;
        let traces::source::Source::Lines(lines) = self.trace.source(site) else {
            return None;
        };
        let (_, text) = lines.into_iter().find(|line| line.0 == number)?;
        let text = text.bytes().trim_ascii();
        (!text.is_empty()).then(|| (number, traces::tty(text)))
    }

    /// The name of an event's thread, behind the process id where there are several processes.
    pub(crate) fn thread_of(&self, event: &Event) -> String {
        self.thread_name(event.process, event.lane)
    }

    pub(crate) fn thread_name(&self, process: u32, lane: u32) -> String {
        let thread = self.trace.names().thread(lane);
        match self.trace.recording().process(process) {
            Some(process) if self.trace.recording().processes.len() > 1 => {
                format!("{}/{thread}", process.pid)
            }
            _ => thread,
        }
    }

    pub(crate) fn widest_thread(&self) -> usize {
        let recording = self.trace.recording();
        // One thread needs no name on each row: the text about the row has it.
        if recording.lanes.len() <= 1 {
            return 0;
        }
        let lanes = recording.lanes.iter().enumerate().take(LANES_LOOKED_AT);
        let widest = lanes.map(|(index, lane)| {
            let thread = self.thread_name(lane.process, u32::try_from(index).unwrap_or(u32::MAX));
            crate::text::width(&thread)
        });
        widest.max().unwrap_or(0).clamp(1, THREAD_COLUMNS_MAX)
    }
}
