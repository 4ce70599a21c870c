//! The timeline: who did what when, as lanes over time.
//!
//! Reading order: [`index`] (all that happened, sorted into lanes, gathered in slices), [`lane`] (what is in one), `overview`
//! (sums over what is too long to be looked at closely), [`window`]
//! (which stretch of time is shown, and in which column a time stands), [`rows`] (which lanes are
//! rows), [`state`] (what of it is chosen). Nothing here knows a screen's styles.

pub mod index;
pub mod lane;
mod overview;
pub mod rows;
pub mod state;
pub mod window;

pub use index::{CLOSE, Index, Many};
pub use lane::{Lane, Poll, Span, Who};
pub(crate) use overview::Sums;
pub use rows::Row;
pub use state::Timeline;
pub use window::Window;

use traces::Trace;
use traces::recording::Capture;

/// What a lane is called, with its process where there are several.
pub(crate) fn name_of(trace: &Trace, who: Who) -> String {
    let recording = trace.recording();
    let before = |process: u32| match recording.process(process) {
        Some(process) if recording.processes.len() > 1 => format!("{}/", process.pid),
        _ => String::new(),
    };
    match who {
        Who::Thread { process, lane } => {
            let name = trace.names().thread(lane);
            format!("{}{name}", before(process))
        }
        Who::Ring { process, ring } => {
            // Numbers of the kernel's view are its own.
            let is_kernels =
                recording.process(process).map(|it| it.capture) == Some(Capture::Kernel);
            let by = if is_kernels { " (kernel)" } else { "" };
            format!("{}ring {ring}{by}", before(process))
        }
        Who::Coroutine { process, coroutine } => {
            let name = trace.names().coroutine(process, coroutine);
            format!("{}{name}", before(process))
        }
    }
}
