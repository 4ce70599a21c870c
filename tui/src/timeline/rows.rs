//! Which lanes are rows, in which order: pinned ones first, a ring's operations below their ring.

use super::index::{Index, Who};
use super::state::Timeline;

/// Operations in flight up to which each has a row from the start.
pub const TRACKS_SHOWN: usize = 4;

/// A row of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Position of its lane in the index.
    pub lane: usize,
    /// Which of a ring's tracks; nothing for the lane itself.
    pub track: Option<usize>,
}

/// The rows, and how many of them are pinned.
pub fn rows(index: &Index, timeline: &Timeline) -> (Vec<Row>, usize) {
    let pinned: Vec<usize> = timeline
        .pinned
        .iter()
        .filter_map(|who| index.lane_of(*who))
        .collect();
    let mut rows = Vec::new();
    for lane in &pinned {
        add(index, timeline, *lane, &mut rows);
    }
    let pinned_rows = rows.len();
    for lane in (0..index.lanes.len()).filter(|lane| !pinned.contains(lane)) {
        add(index, timeline, lane, &mut rows);
    }
    (rows, pinned_rows)
}

fn add(index: &Index, timeline: &Timeline, lane: usize, rows: &mut Vec<Row>) {
    let Some(found) = index.lanes.get(lane) else {
        return;
    };
    rows.push(Row { lane, track: None });
    if are_tracks_shown(timeline, found.who, found.tracks.len()) {
        rows.extend((0..found.tracks.len()).map(|track| Row {
            lane,
            track: Some(track),
        }));
    }
}

/// Whether a ring's operations have rows of their own: as was asked, else where they are few.
pub fn are_tracks_shown(timeline: &Timeline, who: Who, tracks: usize) -> bool {
    let few = tracks <= TRACKS_SHOWN;
    few != timeline.turned.contains(&who)
}
