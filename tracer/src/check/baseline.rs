//! Baselines: findings that were known before, by fingerprint, in a file that people keep beside their code.
//!
//! JSON, one finding a line of it, sorted, so that a change is a readable difference.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use traces::finding::{Finding, Verdict};

use super::sieve::shown;

/// Version of the file.
const VERSION: u32 = 1;

/// Findings by fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline(BTreeMap<String, Known>);

/// What a person wants to know of one; nothing is matched by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) rule: String,
    pub(super) name: String,
    pub(super) message: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    tracer_baseline: u32,
    findings: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    fingerprint: String,
    #[serde(flatten)]
    known: Known,
}

impl Baseline {
    /// Whether a finding is known.
    pub(super) fn has(&self, finding: &Finding) -> bool {
        self.0.contains_key(&print(finding))
    }

    /// All of them.
    pub(super) fn fingerprints(&self) -> BTreeSet<u64> {
        let number = |text: &String| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        self.0.keys().filter_map(number).collect()
    }

    /// Adds the heads of all stories.
    pub(super) fn add(&mut self, verdict: &Verdict) {
        for story in &verdict.stories {
            let head = &story.head;
            self.0.entry(print(head)).or_insert_with(|| Known {
                rule: head.rule.to_string(),
                name: traces::rules::rule(head.rule)
                    .map_or("?", |rule| rule.name)
                    .to_owned(),
                message: head.message.clone(),
            });
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Known)> {
        self.0.iter()
    }
}

fn print(finding: &Finding) -> String {
    format!("{:#018x}", finding.fingerprint)
}

/// Reads a file that [`write()`] made.
pub(super) fn read(path: &Path) -> Result<Baseline> {
    let name = shown(path);
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the baseline {name}"))?;
    let file: File = serde_json::from_str(&text).with_context(|| {
        format!("{name} is not a baseline; `check --write-baseline {name}` makes one")
    })?;
    if file.tracer_baseline != VERSION {
        bail!(
            "{name} is a baseline of version {}; this tracer reads version {VERSION}",
            file.tracer_baseline
        );
    }
    let entries = file
        .findings
        .into_iter()
        .map(|entry| (entry.fingerprint, entry.known));
    Ok(Baseline(entries.collect()))
}

/// Writes a file in place of an older one.
pub(super) fn write(baseline: &Baseline, path: &Path) -> Result<()> {
    let name = shown(path);
    let mut text = format!("{{\"tracer_baseline\": {VERSION}, \"findings\": [");
    for (index, (fingerprint, known)) in baseline.iter().enumerate() {
        let entry = Entry {
            fingerprint: fingerprint.clone(),
            known: known.clone(),
        };
        text += if index == 0 { "\n" } else { ",\n" };
        text += &serde_json::to_string(&entry)?;
    }
    text += "\n]}\n";
    std::fs::write(path, text).with_context(|| format!("cannot write the baseline {name}"))
}
