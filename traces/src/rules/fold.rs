//! Consequences under their causes: one story for each bug.
//!
//! Drafts are gone through in the order in which they show. One that shares a generation, an operation
//! or a coroutine with an earlier story is a consequence of it. A cookie that nobody set is always a
//! cause: no other fault makes a program forget to set one.

use rustc_hash::FxHashMap;

use super::draft::{Draft, Key};
use crate::finding::{Finding, RuleId, Story};

/// Rules whose findings are never a consequence.
const ALWAYS_A_CAUSE: [RuleId; 2] = [RuleId(1), RuleId(2)];

/// Nearness to the cause among drafts that show at the same event.
fn rank(rule: RuleId) -> u8 {
    match rule.0 {
        1 | 2 => 0,
        5 => 1,
        7 => 2,
        3 => 3,
        8 => 4,
        10 => 5,
        11 => 6,
        _ => 7,
    }
}

/// Folds; `beyond` counts the drafts of each fingerprint and scope that were not kept.
pub(super) fn fold(mut drafts: Vec<Draft>, beyond: &FxHashMap<(u64, u32), u64>) -> Vec<Story> {
    drafts.sort_by_key(|draft| (draft.seen_at, rank(draft.finding.rule)));
    let mut stories: Vec<Story> = Vec::new();
    let mut owner: FxHashMap<Key, usize> = FxHashMap::default();
    for draft in drafts {
        let Draft {
            finding,
            keys,
            explains_earlier,
            ..
        } = draft;
        let is_cause = ALWAYS_A_CAUSE.contains(&finding.rule);
        let latest = keys.iter().filter_map(|key| owner.get(key)).max().copied();
        let index = match latest.filter(|_| !is_cause) {
            Some(index) => {
                if let Some(story) = stories.get_mut(index) {
                    let symptom = rank(story.head.rule) > 2 && rank(story.head.rule) < 5;
                    if explains_earlier && symptom {
                        let head = std::mem::replace(&mut story.head, finding);
                        story.folded.insert(0, head);
                    } else {
                        story.folded.push(finding);
                    }
                }
                index
            }
            None => {
                stories.push(Story {
                    head: finding,
                    folded: Vec::new(),
                });
                stories.len() - 1
            }
        };
        for key in keys {
            owner.insert(key, index);
        }
    }
    let mut merged = merge(stories);
    for story in &mut merged {
        let same = (story.head.fingerprint, story.head.scope);
        let more = beyond.get(&same).copied().unwrap_or(0);
        story.head.count = story.head.count.saturating_add(more);
    }
    merged.sort_by_key(|story| story.head.first_cause);
    merged
}

/// Makes stories with the same cause one, and the same consequences within a story one. A scope's
/// stories stay its own: two tests that run the same code are judged apart.
fn merge(stories: Vec<Story>) -> Vec<Story> {
    let mut merged: Vec<Story> = Vec::new();
    let mut places: FxHashMap<(u64, u32), usize> = FxHashMap::default();
    for story in stories {
        let same = (story.head.fingerprint, story.head.scope);
        let place = places.entry(same).or_insert(merged.len());
        match merged.get_mut(*place) {
            Some(first) => {
                first.head.count = first.head.count.saturating_add(story.head.count);
                add(&mut first.folded, story.folded);
            }
            None => {
                let mut folded = Vec::new();
                add(&mut folded, story.folded);
                merged.push(Story {
                    head: story.head,
                    folded,
                });
            }
        }
    }
    merged
}

fn add(into: &mut Vec<Finding>, findings: Vec<Finding>) {
    for finding in findings {
        match into
            .iter_mut()
            .find(|known| known.fingerprint == finding.fingerprint)
        {
            Some(known) => known.count = known.count.saturating_add(finding.count),
            None => into.push(finding),
        }
    }
}
