//! Rings: a row each; below, all about the selected one.

use crate::layout::PaneArea;
use crate::model::Model;
use crate::rings::RingStats;
use crate::text::{Line, Tone, count, counted};
use crate::timeline::Who;

use super::bars::rows;
use super::paint::Paint;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let Some(rings) = &model.rings.rings else {
        return super::sorting(model, paint, area, "Rings");
    };
    if rings.is_empty() {
        let text = "No ring was recorded.".to_owned();
        paint.line(area.list, &vec![(text, Tone::Plain)]);
    }
    let list = &model.rings;
    rows(model, paint, area, list.top, list.selected, |position| {
        rings.get(position).map(|ring| line(model, ring))
    });
    let all = model.range.is_some() && rings.iter().any(|ring| ring.is_of_all);
    let of_all = if all {
        ", over all of the recording"
    } else {
        ""
    };
    format!("{}{of_all}", counted(rings.len() as u64, "ring"))
}

fn line(model: &Model, ring: &RingStats) -> Line {
    let Who::Ring {
        process,
        ring: number,
    } = ring.who
    else {
        return Line::new();
    };
    let recording = model.trace.recording();
    let process = match recording.process(process) {
        Some(process) if recording.processes.len() > 1 => format!("{}/", process.pid),
        _ => String::new(),
    };
    let mut line = vec![
        (format!(" {process}ring {number}"), Tone::Strong),
        (
            format!(
                "  {}, {} failed, {} pending, at most {} in flight",
                counted(ring.submitted, "operation"),
                count(ring.failed),
                count(ring.pending),
                count(ring.deepest.into())
            ),
            Tone::Plain,
        ),
    ];
    if ring.overflows.0 > 0 {
        line.push((", overflowed".into(), Tone::Warning));
    }
    line
}
