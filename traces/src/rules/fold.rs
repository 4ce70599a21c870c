//! Consequences under their causes: one story for each bug.
//!
//! Drafts are gone through in the order in which they show. One that shares a generation, an operation
//! or a coroutine with an earlier story is a consequence of it. A cookie that nobody set is always a
//! cause: no other fault makes a program forget to set one.

use rustc_hash::FxHashMap;

use super::draft::{Draft, Key, Same};
use crate::event::EventId;
use crate::finding::{Finding, RuleId, Story};

/// Rules whose findings are never a consequence.
const ALWAYS_A_CAUSE: [RuleId; 2] = [RuleId(1), RuleId(2)];

/// Nearness to the cause among drafts that show at the same event.
fn rank(rule: RuleId) -> u8 {
    match rule.0 {
        1 | 2 => 0,
        25 | 23 | 12 | 21 => 1,
        5 | 18 | 13 | 14 | 15 => 2,
        7 | 6 => 3,
        16 => 4,
        4 => 5,
        3 => 6,
        8 => 7,
        20 | 22 => 8,
        9 => 9,
        10 => 10,
        11 => 11,
        _ => 12,
    }
}

/// A finding and what makes another a repeat of it.
struct Found {
    same: Same,
    fault: Option<u64>,
    finding: Finding,
}

/// A cause and its consequences.
struct Plot {
    head: Found,
    folded: Vec<Found>,
}

/// Folds; `beyond` counts the drafts of each kind that were not kept.
pub(super) fn fold(mut drafts: Vec<Draft>, beyond: &FxHashMap<Same, u64>) -> Vec<Story> {
    drafts.sort_by_key(|draft| (draft.seen_at, rank(draft.finding.rule)));
    let mut stories: Vec<Plot> = Vec::new();
    let mut owner: FxHashMap<Key, usize> = FxHashMap::default();
    let mut of_drop: FxHashMap<(EventId, u32), usize> = FxHashMap::default();
    for draft in drafts {
        let same = draft.same();
        let Draft {
            finding,
            fault,
            keys,
            outranks,
            ring_drop,
            ..
        } = draft;
        let is_cause = ALWAYS_A_CAUSE.contains(&finding.rule);
        let latest = keys.iter().filter_map(|key| owner.get(key)).max();
        // Weaker than a key: what another fault explains is no part of the drop's story.
        let latest = latest.or_else(|| of_drop.get(&ring_drop?)).copied();
        let found = Found {
            same,
            fault,
            finding,
        };
        let index = match latest.filter(|_| !is_cause) {
            Some(index) => {
                if let Some(story) = stories.get_mut(index) {
                    if ring_drop.is_some() && story.head.same == same {
                        add_count(&mut story.head, &found);
                    } else if outranks.contains(&story.head.finding.rule.0) {
                        let head = std::mem::replace(&mut story.head, found);
                        story.folded.insert(0, head);
                    } else {
                        story.folded.push(found);
                    }
                }
                index
            }
            None => {
                stories.push(Plot {
                    head: found,
                    folded: Vec::new(),
                });
                if let Some(ring_drop) = ring_drop {
                    of_drop.insert(ring_drop, stories.len() - 1);
                }
                stories.len() - 1
            }
        };
        for key in keys {
            owner.insert(key, index);
        }
    }
    let mut merged = merge(stories);
    for plot in &mut merged {
        let more = beyond.get(&plot.head.same).copied().unwrap_or(0);
        let count = &mut plot.head.finding.count;
        *count = count.saturating_add(more);
    }
    merged.sort_by_key(|plot| plot.head.finding.first_cause);
    let story = |plot: Plot| Story {
        head: plot.head.finding,
        folded: plot.folded.into_iter().map(|found| found.finding).collect(),
    };
    merged.into_iter().map(story).collect()
}

/// Makes stories with the same cause one, those of one fault whichever rule heads them, and the same consequences within a story one. The same cause
/// has the same places: two faults in one file are two stories, though their fingerprint, which must
/// outlive the next edit of that file, is one. A scope's stories stay its own: two tests that run the
/// same code are judged apart.
fn merge(plots: Vec<Plot>) -> Vec<Plot> {
    let mut merged: Vec<Plot> = Vec::new();
    let mut indices: FxHashMap<Same, usize> = FxHashMap::default();
    let mut faults: FxHashMap<u64, usize> = FxHashMap::default();
    // Where the parts of a fault that another rule tells of stand in its story.
    let mut parts: FxHashMap<(usize, RuleId), usize> = FxHashMap::default();
    // Where a consequence stands in its story: there may be as many as there are events.
    let mut places: FxHashMap<(usize, Same), usize> = FxHashMap::default();
    for plot in plots {
        let next = merged.len();
        let index = match plot.head.fault {
            Some(fault) => *faults.entry(fault).or_insert(next),
            None => *indices.entry(plot.head.same).or_insert(next),
        };
        match merged.get_mut(index) {
            Some(first) => {
                if first.head.finding.rule == plot.head.finding.rule {
                    add_count(&mut first.head, &plot.head);
                } else {
                    let next = first.folded.len();
                    let part = parts.entry((index, plot.head.finding.rule));
                    match first.folded.get_mut(*part.or_insert(next)) {
                        Some(known) => add_count(known, &plot.head),
                        None => first.folded.push(plot.head),
                    }
                }
                add(&mut first.folded, &mut places, plot.folded, index);
            }
            None => {
                let mut folded = Vec::new();
                add(&mut folded, &mut places, plot.folded, index);
                let head = plot.head;
                merged.push(Plot { head, folded });
            }
        }
    }
    merged
}

fn add(
    into: &mut Vec<Found>,
    places: &mut FxHashMap<(usize, Same), usize>,
    more: Vec<Found>,
    index: usize,
) {
    for found in more {
        let place = *places.entry((index, found.same)).or_insert(into.len());
        match into.get_mut(place) {
            Some(known) => add_count(known, &found),
            None => into.push(found),
        }
    }
}

fn add_count(to: &mut Found, repeat: &Found) {
    let count = &mut to.finding.count;
    *count = count.saturating_add(repeat.finding.count);
}

#[cfg(test)]
mod tests {
    use crate::trace::Trace;

    fn stories(fixture: &str) -> Vec<(u64, u64, String)> {
        let trace = Trace::parse_text(fixture).unwrap();
        let stories = trace.verdict().stories.iter();
        stories
            .map(|story| {
                (
                    story.head.first_cause.0,
                    story.head.count,
                    story.head.message.clone(),
                )
            })
            .collect()
    }

    /// Tests one after the other get the same addresses.
    #[test]
    fn earlier_life_of_an_address_is_no_cause() {
        let found = stories(
            "
            0 main ring-create 0 sq=8 cq=16
            10 main leak 0x1000 Conn conn.rs:2
            20 main submit 0 RECV 0x1000 conn.rs:3
            30 main submit 0 SEND 0x1000 conn.rs:4
            40 main complete 0 0x1000 5
            50 main complete 0 0x1000 5
            60 main reclaim 0x1000 Conn conn.rs:5
            70 main leak 0x1000 Conn other.rs:2
            80 main reclaim 0x1000 Else other.rs:3
            ",
        );
        assert_eq!(found.len(), 2, "{found:#?}");
    }

    /// One line that does not set a cookie leaves what slots held before: nothing, live pointers, dead ones.
    #[test]
    fn one_line_that_sets_no_cookie_is_one_story() {
        let fixture = |second: &str| {
            format!(
                "
            1 main ring-create 0 sq=2 cq=4 in-place
            2 main submit 0 NOP 0x0 op.rs:7 never-written
            3 main complete 0 0x0 0
            10 main leak 0x1000 Conn conn.rs:2
            11 main submit 0 RECV 0x1000 conn.rs:3 set
            12 main complete 0 0x1000 5
            13 main reclaim 0x1000 Conn conn.rs:5
            20 main submit 0 NOP 0x0 op.rs:7 poisoned
            21 main complete 0 0x0 0
            30 main submit 0 NOP 0x1000 op.rs:{second} poisoned
            31 main complete 0 0x1000 0
            "
            )
        };
        let found = stories(&fixture("7"));
        assert_eq!(found.len(), 1, "{found:#?}");
        let trace = Trace::parse_text(&fixture("7")).unwrap();
        let folded = &trace.verdict().stories[0].folded;
        let rules: Vec<(u8, u64)> = folded.iter().map(|it| (it.rule.0, it.count)).collect();
        assert_eq!(trace.verdict().stories[0].head.count, 2);
        assert!(rules.contains(&(2, 1)), "{rules:?}");
        // Another line is another story.
        assert_eq!(stories(&fixture("8")).len(), 2);
    }

    #[test]
    fn a_batch_that_is_dispatched_twice_is_one_story() {
        let found = stories(
            "
            1 main ring-create 0 sq=8 cq=16
            2 main spawn 9 Task main.rs:3
            3 main spawn 10 Task main.rs:3
            10 main leak 0x1000 Op op.rs:2
            11 main leak 0x2000 Op op.rs:2
            20 main submit 0 RECV 0x1000 op.rs:3
            21 main submit 0 RECV 0x2000 op.rs:3
            22 main suspend 9 0x1000
            23 main suspend 10 0x2000
            30 main complete 0 0x1000 5
            31 main complete 0 0x2000 5
            40 main reclaim 0x1000 Op op.rs:9
            41 main resume 9 0x1000
            42 main done 9
            43 main reclaim 0x1000 Op op.rs:9
            50 main reclaim 0x2000 Op op.rs:9
            51 main resume 10 0x2000
            52 main leak 0x2000 Op op.rs:4
            53 main suspend 10 0x2000
            54 main reclaim 0x2000 Op op.rs:9
            55 main resume 10 0x2000
            60 main submit 0 RECV 0x2000 op.rs:3
            ",
        );
        assert_eq!(found.len(), 1, "{found:#?}");
        let message = &found[0].2;
        let said = "the one completion of operation #0 was dispatched twice";
        assert!(message.ends_with(said), "{message}");
    }

    #[test]
    fn two_faults_in_one_file_are_two_stories_with_one_fingerprint() {
        let fixture = "
            process 0 state=clean
            10 main leak 0x1000 Conn conn.rs:2
            20 main leak 0x2000 Conn conn.rs:5
            30 main leak 0x3000 Conn conn.rs:5
            ";
        let found = stories(fixture);
        assert_eq!(found.len(), 2, "{found:#?}");
        assert_eq!((found[0].0, found[0].1), (0, 1));
        assert_eq!((found[1].0, found[1].1), (1, 2));
        assert!(found[1].2.contains("conn.rs:5"), "{found:#?}");
        let trace = Trace::parse_text(fixture).unwrap();
        let stories = &trace.verdict().stories;
        assert_eq!(stories[0].head.fingerprint, stories[1].head.fingerprint);
        assert!(crate::report::text(&trace, 80).ends_with("2 findings\n"));
    }
}
