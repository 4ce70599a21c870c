//! The numbers for people.

use super::{Latency, RingStats, Stats};
use crate::report::{Class, Line, cut, time};

/// Lines of one table.
const ROWS_MAX: usize = 20;

/// The numbers as lines of at most `width` columns.
pub fn lines(stats: &Stats, width: usize) -> Vec<Line> {
    let mut page = Page {
        width,
        lines: Vec::new(),
    };
    let mark = if stats.times_by_batch { "~" } else { "" };
    page.line(
        Class::Headline(crate::finding::Severity::Note),
        &format!(
            "{} events in {mark}{}",
            stats.events,
            time(stats.duration_ns)
        ),
    );
    for ring in &stats.rings {
        page.ring(ring);
    }
    page.table(
        "leaked and not taken back at the end",
        stats
            .live
            .iter()
            .map(|live| format!("{:>8}  {} at {}", live.count, live.ty, live.site)),
    );
    page.table(
        "missing records",
        stats.losses.iter().map(|lost| {
            format!(
                "{:>8}  {} in {} places",
                lost.records, lost.reason, lost.places
            )
        }),
    );
    page.table(
        "events by thread",
        stats.threads.iter().map(|thread| {
            format!(
                "{:>8}  {} of process {}",
                thread.events, thread.name, thread.pid
            )
        }),
    );
    page.lines
}

struct Page {
    width: usize,
    lines: Vec<Line>,
}

impl Page {
    fn line(&mut self, class: Class, text: &str) {
        let text = cut(text.trim_end(), self.width);
        self.lines.push(Line { class, text });
    }

    fn table(&mut self, title: &str, rows: impl ExactSizeIterator<Item = String>) {
        let count = rows.len();
        if count == 0 {
            return;
        }
        self.line(Class::Empty, "");
        self.line(Class::Sentence, title);
        for row in rows.take(ROWS_MAX) {
            self.line(Class::Event, &row);
        }
        if count > ROWS_MAX {
            self.line(
                Class::Summary,
                &format!("          and {} more", count - ROWS_MAX),
            );
        }
    }

    fn ring(&mut self, ring: &RingStats) {
        self.line(Class::Empty, "");
        let title = format!(
            "ring {} of process {}: in flight {} at most, {:.1} on average, {} at the end",
            ring.ring, ring.pid, ring.depth_max, ring.depth_mean, ring.in_flight_at_end
        );
        self.line(Class::Sentence, &title);
        if ring.operations.is_empty() {
            return;
        }
        self.line(
            Class::Summary,
            &row(
                "",
                [
                    "submitted",
                    "completed",
                    "errors",
                    "p50",
                    "p90",
                    "p99",
                    "max",
                ]
                .map(str::to_owned),
            ),
        );
        for operation in &ring.operations {
            let counts = [operation.submitted, operation.completions, operation.errors];
            self.row(&operation.op, Some(counts), &operation.submit_to_complete);
        }
        self.row("to reclaim", None, &ring.complete_to_reclaim);
        self.row("to resume", None, &ring.complete_to_resume);
    }

    fn row(&mut self, name: &str, counts: Option<[u64; 3]>, latency: &Latency) {
        if counts.is_none() && latency.count == 0 {
            return;
        }
        let [first, second, third] = match counts {
            Some(counts) => counts.map(|count| count.to_string()),
            None => [String::new(), latency.count.to_string(), String::new()],
        };
        let times = [
            latency.p50_ns,
            latency.p90_ns,
            latency.p99_ns,
            latency.max_ns,
        ];
        let [p50, p90, p99, max] = times.map(|ns| {
            if latency.count == 0 {
                "-".to_owned()
            } else {
                short(ns)
            }
        });
        self.line(
            Class::Event,
            &row(name, [first, second, third, p50, p90, p99, max]),
        );
    }
}

fn row(name: &str, cells: [String; 7]) -> String {
    let [a, b, c, d, e, f, g] = cells;
    format!("  {name:<15} {a:>9} {b:>9} {c:>6} {d:>9} {e:>9} {f:>9} {g:>9}")
}

/// Three digits and a unit.
pub(crate) fn short(ns: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    match UNITS.iter().find(|unit| ns >= unit.0) {
        None => format!("{ns} ns"),
        Some((unit, name)) => {
            let value = ns as f64 / *unit as f64;
            let digits = if value >= 100.0 {
                0
            } else if value >= 10.0 {
                1
            } else {
                2
            };
            format!("{value:.digits$} {name}")
        }
    }
}
