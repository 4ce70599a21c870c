//! The timeline: who did what when, as lanes over time.
//!
//! Reading order: [`index`] (all that happened, sorted into lanes, gathered in slices), [`window`]
//! (which stretch of time is shown, and in which column a time stands), [`rows`] (which lanes are
//! rows), [`state`] (what of it is chosen). Nothing here knows a screen's styles.

pub mod index;
pub mod rows;
pub mod state;
pub mod window;

pub use index::{Index, Lane, Poll, Span, Who};
pub use rows::Row;
pub use state::Timeline;
pub use window::Window;
