//! What rings did: operations by opcode, how long they took, how many were in flight, what overflowed.
//!
//! Made once from the lanes, and again for another selected time; a selected time takes in what was
//! submitted in it. Percentiles are exact: the nearest rank of all latencies; of recordings that are too long to look
//! closely at all of, they are less than 2 % below that.

use std::collections::BTreeMap;

use traces::Trace;
use traces::event::What;

use crate::keys::Characters;
use crate::model::{Model, Range};
use crate::text::{Line, Tone, clip, count, counted, difference, width};
use crate::timeline::{Index, Lane, Sums, Who};
use crate::words::either;

/// Powers of two that a latency in nanoseconds can have.
const BUCKETS: usize = 64;

/// Columns of the longest bar of the histogram.
const BAR: usize = 40;

/// What one ring did.
#[derive(Clone, Debug)]
pub struct RingStats {
    /// Position of its lane in the index.
    pub lane: usize,
    /// Whose it is.
    pub who: Who,
    /// Operations submitted.
    pub submitted: u64,
    /// Operations whose last completion was not taken; those that may have ended without one are none of them.
    pub pending: u64,
    /// Operations of which a completion said that they failed.
    pub failed: u64,
    /// The most operations that were in flight at once.
    pub deepest: u32,
    /// Whether it is of all of the recording, whatever time is selected.
    pub is_of_all: bool,
    /// Times the kernel was entered.
    pub enters: u64,
    /// Times that completions were seen to wait in the kernel, and the most that did.
    pub overflows: (u64, u64),
    /// By opcode, the most frequent first.
    pub opcodes: Vec<OpcodeStats>,
    /// Operations by the power of two of their latency.
    pub histogram: [u64; BUCKETS],
}

/// What operations of one opcode did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpcodeStats {
    /// `IORING_OP_*`
    pub opcode: u8,
    /// Operations submitted.
    pub submitted: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// Of them, those still in flight.
    pub pending: u64,
    /// Nanoseconds from submission to the last completion: of half, of 90 and 99 in a hundred, of all.
    pub latency: Option<[u64; 4]>,
}

/// The rings pane.
#[derive(Clone, Debug, Default)]
pub struct RingsPane {
    /// Every ring; nothing before somebody looked.
    pub rings: Option<Vec<RingStats>>,
    /// Position of the selected row.
    pub selected: usize,
    /// Position of the first visible row.
    pub top: usize,
    /// First visible line of the text about the ring.
    pub text_top: usize,
}

/// What all rings did in a selected time.
pub fn stats(trace: &Trace, index: &Index, range: Option<Range>) -> Vec<RingStats> {
    let lanes = index.lanes.iter().enumerate();
    lanes
        // Of a ring that its process recorded itself, the kernel's view is of the same operations.
        .filter(|(_, lane)| match lane.who {
            Who::Ring { process, ring } => !trace.is_merged(process, ring),
            _ => false,
        })
        .map(|(at, lane)| of_ring(trace, index, at, range_of(index, lane, range)))
        .collect()
}

/// What a ring's operations are counted in.
enum Within<'a> {
    /// What is looked at closely, of a selected time.
    Close(&'a Lane, Option<Range>),
    /// All of the recording, which is too long for more.
    All(&'a Lane, &'a Sums),
}

fn range_of<'a>(index: &Index, lane: &'a Lane, range: Option<Range>) -> Within<'a> {
    let is_close = |range: Range| index.is_time_close(range.from_ns, range.to_ns.saturating_add(1));
    match &lane.sums {
        Some(sums) if !range.is_some_and(is_close) => Within::All(lane, sums),
        _ => Within::Close(lane, range),
    }
}

fn of_ring(trace: &Trace, index: &Index, at: usize, within: Within<'_>) -> RingStats {
    let (lane, range) = match within {
        Within::Close(lane, range) => (lane, range),
        Within::All(lane, sums) => return of_sums(at, lane, sums),
    };
    let (from_ns, to_ns) = range.map_or((0, u64::MAX), |range| (range.from_ns, range.to_ns));
    let mut stats = RingStats {
        lane: at,
        who: lane.who,
        submitted: 0,
        pending: 0,
        failed: 0,
        deepest: index.most_in_flight(lane, from_ns, to_ns.saturating_add(1)),
        is_of_all: false,
        enters: 0,
        overflows: (0, 0),
        opcodes: Vec::new(),
        histogram: [0; BUCKETS],
    };
    let mut opcodes: BTreeMap<u8, (OpcodeStats, Vec<u64>)> = BTreeMap::new();
    for span in lane.tracks.iter().flatten() {
        if range.is_some_and(|range| !range.has(span.start)) {
            continue;
        }
        let (of_opcode, latencies) = opcodes.entry(span.opcode).or_insert_with(|| {
            let none = OpcodeStats {
                opcode: span.opcode,
                submitted: 0,
                failed: 0,
                pending: 0,
                latency: None,
            };
            (none, Vec::new())
        });
        of_opcode.submitted += 1;
        of_opcode.failed += u64::from(span.failed);
        of_opcode.pending += u64::from(span.is_pending());
        if let Some(latency) = span.latency() {
            latencies.push(latency);
            stats.histogram[latency.max(1).ilog2() as usize] += 1;
        }
    }
    for (mut of_opcode, mut latencies) in opcodes.into_values() {
        latencies.sort_unstable();
        of_opcode.latency = percentiles(&latencies);
        stats.submitted += of_opcode.submitted;
        stats.failed += of_opcode.failed;
        stats.pending += of_opcode.pending;
        stats.opcodes.push(of_opcode);
    }
    stats
        .opcodes
        .sort_by_key(|opcode| (std::cmp::Reverse(opcode.submitted), opcode.opcode));
    for point in lane.between(from_ns, to_ns.saturating_add(1)) {
        match trace.event(point.event).map(|event| &event.what) {
            Some(What::Enter { .. }) => stats.enters += 1,
            Some(What::Overflow { count, .. }) => {
                stats.overflows.0 += 1;
                stats.overflows.1 = stats.overflows.1.max(*count);
            }
            _ => {}
        }
    }
    stats
}

/// Of a recording that is too long to look at each operation again; latencies are less than 2 % off.
fn of_sums(at: usize, lane: &Lane, sums: &Sums) -> RingStats {
    let mut stats = RingStats {
        lane: at,
        who: lane.who,
        submitted: 0,
        pending: 0,
        failed: 0,
        deepest: u32::try_from(lane.deepest()).unwrap_or(u32::MAX),
        is_of_all: true,
        enters: sums.enters,
        overflows: sums.overflows,
        opcodes: Vec::new(),
        histogram: [0; BUCKETS],
    };
    for (opcode, of_opcode) in &sums.opcodes {
        for (ns, count) in of_opcode.latencies.iter() {
            stats.histogram[ns.max(1).ilog2() as usize] += count;
        }
        stats.submitted += of_opcode.submitted;
        stats.failed += of_opcode.failed;
        stats.pending += of_opcode.pending;
        stats.opcodes.push(OpcodeStats {
            opcode: *opcode,
            submitted: of_opcode.submitted,
            failed: of_opcode.failed,
            pending: of_opcode.pending,
            latency: of_opcode.latencies.percentiles(),
        });
    }
    stats
        .opcodes
        .sort_by_key(|opcode| (std::cmp::Reverse(opcode.submitted), opcode.opcode));
    stats
}

/// The nearest ranks of 50, 90, 99 and 100 in a hundred, of sorted latencies.
fn percentiles(sorted: &[u64]) -> Option<[u64; 4]> {
    let rank = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    };
    Some([rank(50)?, rank(90)?, rank(99)?, rank(100)?])
}

/// All there is to say about a ring, in lines of at most `columns`.
pub fn about(model: &Model, ring: &RingStats, columns: usize) -> Vec<Line> {
    let characters = model.look.characters;
    let mut lines = vec![vec![("In flight over time".to_owned(), Tone::Strong)]];
    lines.push(depth(model, ring, columns));
    let overflow = match ring.overflows {
        (0, _) => "no overflow was seen".to_owned(),
        // The kernel's flag says that there are some, not how many.
        (times, 0 | 1) => format!(
            "overflow seen {}, with completions waiting in the kernel",
            counted(times, "time")
        ),
        (times, most) => format!(
            "overflow seen {}, up to {} waiting in the kernel",
            counted(times, "time"),
            counted(most, "completion")
        ),
    };
    let tone = if ring.overflows.0 == 0 {
        Tone::Faint
    } else {
        Tone::Warning
    };
    let text = format!(
        "at most {} at once, kernel entered {}, {overflow}",
        count(ring.deepest.into()),
        counted(ring.enters, "time")
    );
    for text in crate::text::wrap(&text, columns) {
        lines.push(vec![(text, tone)]);
    }
    lines.extend(table(ring, characters, columns));
    lines.extend(histogram(ring, characters, columns));
    lines
}

fn depth(model: &Model, ring: &RingStats, columns: usize) -> Line {
    let Some(index) = &model.timeline.index else {
        return Line::new();
    };
    let Some(lane) = index.lanes.get(ring.lane) else {
        return Line::new();
    };
    let (from_ns, to_ns) = model
        .range
        .map_or((0, index.last_ns()), |range| (range.from_ns, range.to_ns));
    let columns = columns.clamp(1, 400) as u64;
    let len = to_ns.saturating_sub(from_ns).saturating_add(1).max(columns);
    let edge = |column: u64| {
        let into = u128::from(len) * u128::from(column) / u128::from(columns);
        from_ns.saturating_add(u64::try_from(into).unwrap_or(u64::MAX))
    };
    let text = (0..columns)
        .map(|column| {
            let most = index.most_in_flight(lane, edge(column), edge(column + 1));
            height(
                u64::from(most),
                u64::from(ring.deepest),
                model.look.characters,
            )
        })
        .collect();
    vec![(text, Tone::Note)]
}

/// A part of a whole as one of eight heights; nothing as a blank.
fn height(part: u64, whole: u64, characters: Characters) -> &'static str {
    const UNICODE: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    const ASCII: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];
    let Some(level) = (part * 8).div_ceil(whole.max(1)).checked_sub(1) else {
        return " ";
    };
    let level = (level as usize).min(7);
    either(characters, UNICODE[level], ASCII[level])
}

fn long(ns: u64, characters: Characters) -> String {
    let text = difference(i128::from(ns), characters);
    text.trim_start_matches('+').to_owned()
}

fn table(ring: &RingStats, characters: Characters, columns: usize) -> Vec<Line> {
    let name = ring
        .opcodes
        .iter()
        .map(|opcode| traces::names::opcode(opcode.opcode).len())
        .max()
        .unwrap_or(0)
        .max(9);
    let row = |first: &str, cells: [&str; 7]| {
        let mut text = format!("{first:name$}");
        for cell in cells {
            let pad = " ".repeat(8usize.saturating_sub(width(cell)));
            text.push_str(&format!(" {pad}{cell}"));
        }
        clip(&text, columns, characters)
    };
    let heads = ["count", "failed", "pending", "median", "90%", "99%", "all"];
    let mut lines = vec![vec![(row("operation", heads), Tone::Strong)]];
    for opcode in &ring.opcodes {
        let counts = [opcode.submitted, opcode.failed, opcode.pending].map(count);
        let latency = match opcode.latency {
            Some(latency) => latency.map(|ns| long(ns, characters)),
            None => std::array::from_fn(|_| "-".to_owned()),
        };
        let [a, b, c] = &counts;
        let [d, e, f, g] = &latency;
        let text = row(&traces::names::opcode(opcode.opcode), [a, b, c, d, e, f, g]);
        lines.push(vec![(text, Tone::Plain)]);
    }
    lines
}

fn histogram(ring: &RingStats, characters: Characters, columns: usize) -> Vec<Line> {
    let first = ring.histogram.iter().position(|count| *count > 0);
    let last = ring.histogram.iter().rposition(|count| *count > 0);
    let (Some(first), Some(last)) = (first, last) else {
        return vec![vec![(
            "No operation was completed.".to_owned(),
            Tone::Faint,
        )]];
    };
    let most = ring.histogram.iter().copied().max().unwrap_or(1);
    let room = columns.saturating_sub(30).clamp(1, BAR) as u64;
    let mut lines = vec![vec![(
        "Time from submission to the last completion".to_owned(),
        Tone::Strong,
    )]];
    for power in first..=last {
        let number = ring.histogram[power];
        let to = 1u64.checked_shl(power as u32 + 1).unwrap_or(u64::MAX);
        let label = format!("under {}", long(to, characters));
        let pad = " ".repeat(13usize.saturating_sub(width(&label)));
        let bar = (number * room).div_ceil(most);
        let bar = either(characters, "█", "#").repeat(bar as usize);
        lines.push(vec![
            (format!("{pad}{label} "), Tone::Faint),
            (bar, Tone::Note),
            (format!(" {}", count(number)), Tone::Plain),
        ]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn rings(text: &str, range: Option<(u64, u64)>) -> Vec<RingStats> {
        let trace = fixture::trace(text);
        let mut index = Index::default();
        while index.work(&trace) {}
        let range = range.map(|(from, to)| Range::of(&trace, from, to));
        stats(&trace, &index, range)
    }

    #[test]
    fn a_ring_is_summed_up_by_opcode() {
        let rings = rings(fixture::LEFTOVER, None);
        let ring = &rings[0];
        assert_eq!((rings.len(), ring.submitted, ring.pending), (1, 4, 0));
        assert_eq!((ring.failed, ring.deepest, ring.enters), (0, 3, 2));
        let nop = ring.opcodes.iter().find(|opcode| opcode.opcode == 0);
        let nop = nop.expect("there was a NOP");
        assert_eq!((nop.submitted, nop.failed), (1, 0));
        assert_eq!(nop.latency, Some([2_700; 4]));
        assert_eq!(ring.histogram.iter().sum::<u64>(), 4);
    }

    #[test]
    fn what_ends_without_a_completion_is_not_pending_and_what_did_its_work_did_not_fail() {
        let rings = rings(
            "process 0 pid=1 end=exit:0
            0 main ring-create 0 sq=8 cq=16
            10 main submit 0 SEND 0x1 skip-success len=9
            11 main submit 0 SEND 0x2 link skip-success len=9
            12 main submit 0 RECV 0x3 len=9
            20 main complete 0 0x2 -32
            30 main submit 0 RECV 0x4 link len=9
            31 main submit 0 LINK_TIMEOUT 0x5
            40 main complete 0 0x4 9
            41 main complete 0 0x5 -125
            50 main submit 0 SEND_ZC 0x6 len=9
            51 main complete 0 0x6 -104 more
            60 main complete 0 0x6 0 notif
            70 main submit 0 SEND_ZC 0x7 len=9
            71 main complete 0 0x7 9 more
            80 main complete 0 0x7 -2147483648 notif
            90 main overflow 0 1
            91 main submit 0 RECV 0x8 len=9",
            None,
        );
        let ring = &rings[0];
        let of = |op: &str| {
            let mut all = ring.opcodes.iter();
            let found = all.find(|it| traces::names::opcode(it.opcode) == op);
            let it = found.expect("it was submitted");
            (it.submitted, it.failed, it.pending)
        };
        assert_eq!(of("SEND"), (2, 1, 0));
        assert_eq!(of("RECV"), (3, 0, 1));
        assert_eq!(of("LINK_TIMEOUT"), (1, 0, 0));
        assert_eq!(of("SEND_ZC"), (2, 1, 0));
        // A quiet success has no known end, its failure has; so has what that cancelled.
        assert_eq!(ring.histogram.iter().sum::<u64>(), 5);
        assert_eq!(ring.deepest, 2);
        let trace = fixture::trace(fixture::CLEAN);
        let verdict = trace.verdict().clone();
        let model = Model::new(trace, verdict, crate::model::Look::default());
        let said: Vec<String> = about(&model, ring, 100)
            .iter()
            .map(|line| line.iter().map(|piece| piece.0.as_str()).collect())
            .collect();
        let said = said.join(" ");
        assert!(
            said.contains("with completions waiting in the kernel"),
            "{said}"
        );
        assert!(!said.contains("up to"), "{said}");
    }

    #[test]
    fn a_selected_time_takes_in_what_was_submitted_in_it() {
        let rings = rings(fixture::LEFTOVER, Some((1_000_000, 1_500_000)));
        assert_eq!(rings[0].submitted, 2);
        assert_eq!(rings[0].enters, 1);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let all: Vec<u64> = (1..=200).collect();
        assert_eq!(percentiles(&all), Some([100, 180, 198, 200]));
        assert_eq!(percentiles(&[7]), Some([7; 4]));
        assert_eq!(percentiles(&[]), None);
    }
}
