//! Suppressions: findings that are not told, each with the reason why, in a TOML file.
//!
//! ```toml
//! [[suppress]]
//! rule = "T09"                        # all that is given must be true
//! site = "src/vendored.rs"
//! function = "legacy::accept"
//! filter = "object:Conn thread:main"  # the grammar of `tracer explain filter`
//! reason = "kept for the whole life of the program"
//! expires = "2027-01-31"              # the last day on which it counts; may be left out
//! ```
//!
//! A suppression that nothing needed is told, and so is one that is over: they would hide what is new.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use traces::Trace;
use traces::filter::{Filter, Prepared};
use traces::finding::Finding;
use tui::hiding::{Cover, Covers, Why};

use super::baseline::Baseline;
use super::sieve::shown;
use crate::talk;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    suppress: Vec<Written>,
}

/// As it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rule: Option<String>,
    site: Option<String>,
    function: Option<String>,
    filter: Option<String>,
    reason: String,
    expires: Option<String>,
}

/// The suppressions of a file.
#[derive(Debug, Default)]
pub(super) struct Suppressions {
    file: String,
    entries: Vec<Suppression>,
}

#[derive(Debug)]
struct Suppression {
    filter: Filter,
    /// What was written as the filter, where nothing else says what it covers.
    alone: Option<Filter>,
    reason: String,
    expires: Option<String>,
    is_over: bool,
    is_used: Cell<bool>,
}

impl Suppressions {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = shown(path);
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the suppressions {file}"))?;
        Self::parse(&text, &file, &crate::pack::today()).with_context(|| format!("in {file}"))
    }

    fn parse(text: &str, file: &str, today: &str) -> Result<Self> {
        // What the parser quotes of the text is made safe line by line.
        let safe = |error: toml::de::Error| {
            let lines: Vec<String> = error
                .to_string()
                .lines()
                .map(|line| traces::tty(line.as_bytes()))
                .collect();
            anyhow!(lines.join("\n"))
        };
        let written: File = toml::from_str(text).map_err(safe)?;
        let read = |(index, entry): (usize, &Written)| {
            suppression(entry, today).with_context(|| format!("suppression {}", index + 1))
        };
        Ok(Self {
            file: file.to_owned(),
            entries: written
                .suppress
                .iter()
                .enumerate()
                .map(read)
                .collect::<Result<_>>()?,
        })
    }

    /// Whether a text is a file of suppressions; an error says why not.
    pub(super) fn check(text: &str, file: &str) -> Result<()> {
        Self::parse(text, file, &crate::pack::today())
            .with_context(|| format!("in {file}"))
            .map(|_| ())
    }

    /// Those that count today, for the viewer.
    pub(super) fn counting(&self) -> Vec<Cover> {
        let entries = self.entries.iter().filter(|entry| !entry.is_over);
        let cover = |entry: &Suppression| Cover {
            covers: Covers::Filter(entry.alone.as_ref().unwrap_or(&entry.filter).clone()),
            why: Why::Suppressed {
                reason: entry.reason.clone(),
                until: entry.expires.clone(),
            },
        };
        entries.map(cover).collect()
    }

    /// Their filters for a trace.
    pub(super) fn prepare(&self, trace: &Trace) -> Vec<Prepared> {
        self.entries
            .iter()
            .map(|entry| entry.filter.prepare(trace))
            .collect()
    }

    /// The reason of the first that covers a finding.
    pub(super) fn covers(
        &self,
        prepared: &[Prepared],
        trace: &Trace,
        finding: &Finding,
    ) -> Option<&str> {
        let mut covered = None;
        for (entry, filter) in self.entries.iter().zip(prepared) {
            if filter.finding(trace, finding) {
                entry.is_used.set(true);
                if !entry.is_over {
                    covered = covered.or(Some(entry.reason.as_str()));
                }
            }
        }
        covered
    }

    /// Says which of them had no use, or are over.
    pub(super) fn tell_unused(&self) {
        for (index, entry) in self.entries.iter().enumerate() {
            let what = match (entry.is_used.get(), entry.is_over) {
                (true, false) => continue,
                (true, true) => "is over, and its finding is told again",
                (false, _) => "matches no finding any more",
            };
            let reason = traces::tty(entry.reason.as_bytes());
            talk::line(format_args!(
                "{}: suppression {} ({reason}) {what}",
                self.file,
                index + 1
            ));
        }
    }
}

fn suppression(written: &Written, today: &str) -> Result<Suppression> {
    if written.reason.trim().is_empty() {
        bail!("a reason is missing: say why this finding is not to be told");
    }
    let mut parts = Vec::new();
    let mut alone = None;
    let fields = [
        ("rule", &written.rule),
        ("site", &written.site),
        ("function", &written.function),
    ];
    for (field, value) in fields {
        if let Some(value) = value {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            parts.push(format!("{field}:\"{value}\""));
        }
    }
    if let Some(filter) = &written.filter {
        // For itself first, so that an error points at its place.
        let read = Filter::parse(filter).map_err(|error| anyhow!("\n{}", error.pointed()))?;
        alone = Some(read).filter(|_| parts.is_empty());
        parts.push(format!("({filter})"));
    }
    if parts.is_empty() {
        bail!("it would suppress everything: give it a rule, a site, a function or a filter");
    }
    let filter = Filter::parse(&parts.join(" ")).map_err(|error| anyhow!("{error}"))?;
    Ok(Suppression {
        filter,
        alone,
        reason: written.reason.clone(),
        expires: written.expires.clone(),
        is_over: match &written.expires {
            Some(day) if is_day(day) => day.as_str() < today,
            Some(day) => bail!(
                "`{}` is no day: write it as 2027-01-31",
                traces::tty(day.as_bytes())
            ),
            None => false,
        },
        is_used: Cell::new(false),
    })
}

/// `2027-01-31`: what is written so can be compared as text.
fn is_day(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00"
}

/// Adds a suppression for each finding to a file; their reasons are for people to write.
pub(super) fn generate(findings: &Baseline, path: &Path) -> Result<()> {
    let name = shown(path);
    let mut text = String::new();
    for (fingerprint, known) in findings.iter() {
        text += &format!(
            "\n# {} {}: {}\n[[suppress]]\nfilter = \"rule:{} fingerprint:{fingerprint}\"\nreason = \"\"\n",
            known.rule, known.name, known.message, known.rule
        );
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("cannot write the suppressions {name}"))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write the suppressions {name}"))?;
    let count = match findings.iter().count() {
        1 => "1 suppression".to_owned(),
        count => format!("{count} suppressions"),
    };
    talk::line(format_args!(
        "{count} added to {name}; write the reason into each"
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: &str = "2026-11-22";

    fn parse(text: &str) -> Result<Suppressions> {
        Suppressions::parse(text, "s.toml", TODAY)
    }

    fn error(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    fn trace() -> Trace {
        Trace::parse_text(
            "process 0 pid=1 end=exit:0
            1 main leak 0x1000 Conn conn.rs:8
            2 main reclaim 0x1000 Conn conn.rs:9
            3 main reclaim 0x1000 Conn conn.rs:10",
        )
        .unwrap()
    }

    fn covers(text: &str) -> bool {
        let (trace, suppressions) = (trace(), parse(text).unwrap());
        let head = &trace.verdict().stories[0].head;
        suppressions
            .covers(&suppressions.prepare(&trace), &trace, head)
            .is_some()
    }

    #[test]
    fn all_that_is_given_must_be_true() {
        assert!(covers(
            "[[suppress]]\nrule = 'T08'\nsite = 'conn.rs'\nreason = 'known'"
        ));
        assert!(!covers(
            "[[suppress]]\nrule = 'T08'\nsite = 'other.rs'\nreason = 'known'"
        ));
        assert!(!covers("[[suppress]]\nrule = 'T09'\nreason = 'known'"));
        assert!(covers(
            "[[suppress]]\nfilter = 'object:Conn or rule:T01'\nreason = 'known'"
        ));
        assert!(!covers(
            "[[suppress]]\nrule = 'T01'\nfilter = 'rule:T08 or rule:T01'\nreason = 'known'"
        ));
        assert!(!covers(""));
    }

    #[test]
    fn suppressions_end() {
        let until = |day: &str| {
            covers(&format!(
                "[[suppress]]\nrule = 'T08'\nreason = 'x'\nexpires = '{day}'"
            ))
        };
        assert!(until("2026-11-22") && until("2027-01-01"));
        assert!(!until("2026-11-21"));
    }

    #[test]
    fn what_hides_too_much_or_says_too_little_is_refused() {
        assert!(error("[[suppress]]\nrule = 'T08'").contains("missing field `reason`"));
        assert!(error("[[suppress]]\nrule = 'T08'\nreason = ' '").contains("a reason is missing"));
        assert!(error("[[suppress]]\nreason = 'x'").contains("suppress everything"));
        assert!(error("[[suppress]]\nrle = 'T08'\nreason = 'x'").contains("unknown field `rle`"));
        assert!(
            error("[[suppress]]\nrule = 'T99'\nreason = 'x'").contains("there is no rule `T99`")
        );
        assert!(
            error("[[suppress]]\nfilter = 'kidn:leak'\nreason = 'x'")
                .contains("did you mean `kind`?")
        );
        let day = "[[suppress]]\nrule = 'T08'\nreason = 'x'\nexpires = 'soon'";
        assert!(error(day).contains("`soon` is no day"));
    }
}
