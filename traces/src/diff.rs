//! What changed from one trace to another: findings by fingerprint, and numbers that moved.
//!
//! A fingerprint holds no addresses and no lines, so it is the same in two runs, and in two builds as long
//! as functions and types keep their names.

use std::collections::BTreeMap;

#[cfg(feature = "export")]
use serde::Serialize;

use crate::finding::{Finding, Severity, Verdict};
use crate::report::{Class, Line, cut};
use crate::stats::{Latency, Stats};

/// Version of the members here, for scripts.
pub const SCHEMA_VERSION: u32 = 1;

/// What changed.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct Diff {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// Findings that only the second has.
    pub new: Vec<Entry>,
    /// Those that only the first has.
    pub gone: Vec<Entry>,
    /// Those that both have.
    pub same: Vec<Entry>,
    /// Whether lost records may have kept the second from showing more.
    pub may_hide: bool,
    /// Numbers that differ.
    pub moved: Vec<Moved>,
}

/// A finding of either.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct Entry {
    /// Id of its rule.
    pub rule: String,
    /// Name of its rule.
    pub name: &'static str,
    /// The same in both.
    pub fingerprint: String,
    /// How often the first has it.
    pub count_before: u64,
    /// How often the second has it.
    pub count_after: u64,
    /// Its sentence, of the second where that has it.
    pub message: String,
}

/// A number that differs.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct Moved {
    /// What it counts.
    pub what: String,
    /// `count` or `ns`.
    pub unit: &'static str,
    /// In the first.
    pub before: u64,
    /// In the second.
    pub after: u64,
}

/// Compares two verdicts and their numbers.
pub fn diff(before: (&Verdict, &Stats), after: (&Verdict, &Stats)) -> Diff {
    let mut entries: BTreeMap<u64, Entry> = BTreeMap::new();
    for finding in heads(before.0) {
        let entry = entries
            .entry(finding.fingerprint)
            .or_insert_with(|| entry(finding));
        entry.count_before = entry.count_before.saturating_add(finding.count);
    }
    for finding in heads(after.0) {
        let entry = entries
            .entry(finding.fingerprint)
            .or_insert_with(|| entry(finding));
        entry.count_after = entry.count_after.saturating_add(finding.count);
        entry.message.clone_from(&finding.message);
    }
    let mut diff = Diff {
        schema_version: SCHEMA_VERSION,
        may_hide: after.0.summary.losses_hide || after.0.summary.cannot_tell > 0,
        moved: moved(before, after),
        ..Diff::default()
    };
    for entry in entries.into_values() {
        match (entry.count_before, entry.count_after) {
            (0, _) => diff.new.push(entry),
            (_, 0) => diff.gone.push(entry),
            _ => diff.same.push(entry),
        }
    }
    for list in [&mut diff.new, &mut diff.gone, &mut diff.same] {
        list.sort_by(|one, other| {
            one.rule
                .cmp(&other.rule)
                .then(one.message.cmp(&other.message))
        });
    }
    diff
}

fn heads(verdict: &Verdict) -> impl Iterator<Item = &Finding> {
    verdict.stories.iter().map(|story| &story.head)
}

fn entry(finding: &Finding) -> Entry {
    Entry {
        rule: finding.rule.to_string(),
        name: crate::rules::rule(finding.rule).map_or("?", |rule| rule.name),
        fingerprint: format!("{:#018x}", finding.fingerprint),
        count_before: 0,
        count_after: 0,
        message: finding.message.clone(),
    }
}

/// Numbers by what they count. Rings are taken together: their numbers differ between runs.
fn numbers((verdict, stats): (&Verdict, &Stats)) -> BTreeMap<String, (&'static str, u64)> {
    let summary = &verdict.summary;
    let mut numbers = BTreeMap::new();
    let mut add = |what: String, unit, value: u64| {
        let entry = numbers.entry(what).or_insert((unit, 0u64));
        entry.1 = entry.1.saturating_add(value);
    };
    for (what, value) in [
        ("completions", summary.completions),
        ("coroutines", summary.coroutines),
        ("descriptors open at the end", summary.open_at_end),
        ("events", summary.events),
        ("generations", summary.generations),
        ("operations", summary.operations),
        ("operations pending at the end", summary.pending_at_end),
        ("pointers held at the end", summary.held_at_end),
        ("questions that cannot be told", summary.cannot_tell),
        ("records lost", summary.records_lost),
    ] {
        add(what.to_owned(), "count", value);
    }
    for live in &stats.live {
        add(
            format!("{} at {} not taken back", live.ty, live.site),
            "count",
            live.count,
        );
    }
    for ring in &stats.rings {
        for operation in &ring.operations {
            add(
                format!("{} submitted", operation.op),
                "count",
                operation.submitted,
            );
            add(
                format!("{} errors", operation.op),
                "count",
                operation.errors,
            );
        }
    }
    // Percentiles cannot be added: with several rings the busiest speaks.
    let busiest = |ring: &&crate::stats::RingStats| -> u64 {
        ring.operations
            .iter()
            .map(|operation| operation.submitted)
            .sum()
    };
    if let Some(ring) = stats.rings.iter().max_by_key(busiest) {
        let mut percentiles = |what: &str, latency: &Latency| {
            if latency.count > 0 {
                add(format!("{what}, half within"), "ns", latency.p50_ns);
                add(format!("{what}, 99 % within"), "ns", latency.p99_ns);
            }
        };
        for operation in &ring.operations {
            percentiles(
                &format!("{} until completed", operation.op),
                &operation.submit_to_complete,
            );
        }
        percentiles("completed until reclaimed", &ring.complete_to_reclaim);
        percentiles("completed until resumed", &ring.complete_to_resume);
        add(
            "operations in flight at most".to_owned(),
            "count",
            ring.depth_max,
        );
    }
    numbers
}

fn moved(before: (&Verdict, &Stats), after: (&Verdict, &Stats)) -> Vec<Moved> {
    let (before, after) = (numbers(before), numbers(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let value =
        |numbers: &BTreeMap<String, (&'static str, u64)>, what: &String| numbers.get(what).copied();
    names
        .into_iter()
        .filter_map(|what| {
            let (one, other) = (value(&before, what), value(&after, what));
            let unit = one.or(other)?.0;
            // What was not there took no time, which is not a short one.
            if unit == "ns" && (one.is_none() || other.is_none()) {
                return None;
            }
            let (before, after) = (one.map_or(0, |it| it.1), other.map_or(0, |it| it.1));
            (before != after).then(|| Moved {
                what: what.clone(),
                unit,
                before,
                after,
            })
        })
        .collect()
}

/// The change for people, in lines of at most `width` columns.
pub fn lines(diff: &Diff, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |class, text: String| {
        let text = cut(text.trim_end(), width);
        lines.push(Line { class, text });
    };
    for (mark, class, entries) in [
        ("new ", Class::Headline(Severity::Error), &diff.new),
        ("gone", Class::Good, &diff.gone),
        ("same", Class::Summary, &diff.same),
    ] {
        for entry in entries {
            let counts = match (entry.count_before, entry.count_after) {
                (1, 1) => String::new(),
                (0, count) | (count, 0) if count == 1 => String::new(),
                (before, after) => format!(" ({before} → {after} times)"),
            };
            line(
                class,
                format!(
                    "{mark} {} {} {}{counts}",
                    entry.rule, entry.name, entry.fingerprint
                ),
            );
            line(Class::Event, format!("     {}", entry.message));
        }
    }
    if !diff.moved.is_empty() {
        line(Class::Empty, String::new());
    }
    for moved in &diff.moved {
        let value = |value: u64| match moved.unit {
            "ns" => crate::stats::short(value),
            _ => value.to_string(),
        };
        let values = format!("{} → {}", value(moved.before), value(moved.after));
        line(Class::Summary, format!("{values:<24} {}", moved.what));
    }
    line(Class::Empty, String::new());
    let counts = format!(
        "{} new, {} gone, {} the same",
        diff.new.len(),
        diff.gone.len(),
        diff.same.len()
    );
    line(
        if diff.new.is_empty() {
            Class::Good
        } else {
            Class::Headline(Severity::Error)
        },
        counts,
    );
    if diff.may_hide {
        line(
            Class::Warning,
            "the second trace could not be told of in full: more may be new".to_owned(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn trace(faults: &[&str]) -> Trace {
        let mut text = "process 0 pid=1 end=exit:0\n".to_owned();
        for (index, ty) in faults.iter().enumerate() {
            let (at, address) = (index * 10, 0x1000 + index * 64);
            for (offset, kind) in ["leak", "reclaim", "reclaim"].iter().enumerate() {
                text.push_str(&format!(
                    "{} main {kind} {address:#x} {ty} conn.rs:{at}\n",
                    at + offset
                ));
            }
        }
        Trace::parse_text(&text).unwrap()
    }

    fn of(before: &Trace, after: &Trace) -> Diff {
        let (one, other) = (Stats::of(before), Stats::of(after));
        diff((before.verdict(), &one), (after.verdict(), &other))
    }

    #[test]
    fn findings_are_the_same_by_fingerprint_whatever_their_lines() {
        let (before, after) = (trace(&["A", "B", "B"]), trace(&["B", "C"]));
        let said = of(&before, &after);
        let types = |entries: &[Entry]| -> Vec<(String, u64, u64)> {
            let name = |entry: &Entry| {
                ["A#", "B#", "C#"]
                    .iter()
                    .find(|name| entry.message.contains(**name))
                    .unwrap()
                    .to_string()
            };
            entries
                .iter()
                .map(|it| (name(it), it.count_before, it.count_after))
                .collect()
        };
        assert_eq!(types(&said.new), [("C#".to_owned(), 0, 1)]);
        assert_eq!(types(&said.gone), [("A#".to_owned(), 1, 0)]);
        assert_eq!(types(&said.same), [("B#".to_owned(), 2, 1)]);
        assert!(
            said.moved
                .iter()
                .any(|moved| moved.what == "events" && moved.before == 9 && moved.after == 6)
        );
        let text: Vec<String> = lines(&said, 100)
            .into_iter()
            .map(|line| line.text)
            .collect();
        assert!(
            text.contains(&"1 new, 1 gone, 1 the same".to_owned()),
            "{text:#?}"
        );
    }

    #[test]
    fn nothing_changed_says_nothing() {
        let said = of(&trace(&["A"]), &trace(&["A"]));
        assert_eq!(
            (
                said.new.len(),
                said.gone.len(),
                said.same.len(),
                said.moved.len()
            ),
            (0, 0, 1, 0)
        );
        assert!(!said.may_hide);
    }
}
