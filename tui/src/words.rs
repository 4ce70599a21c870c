//! The words for what a verdict holds: severities, confidences, rules.

use traces::finding::{Confidence, RuleId, Severity};

use crate::keys::Characters;
use crate::text::Tone;

/// How a severity looks: a sign, a word and a tone, so that none of them is needed alone.
pub fn severity(severity: Severity, characters: Characters) -> (&'static str, &'static str, Tone) {
    let (unicode, ascii, word, tone) = match severity {
        Severity::Error => ("✖", "X", "error", Tone::Error),
        Severity::Warning => ("▲", "!", "warning", Tone::Warning),
        Severity::Note => ("●", "-", "note", Tone::Note),
    };
    (either(characters, unicode, ascii), word, tone)
}

/// The same for what could not be told.
pub const CANNOT_TELL: (&str, &str, Tone) = ("?", "cannot tell", Tone::Unsure);

/// One word for a confidence.
pub fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Proved => "proved",
        Confidence::Observed => "observed",
        Confidence::Suspected => "suspected",
    }
}

/// What that word means.
pub fn confidence_meaning(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Proved => "poison came back, or the kernel says so",
        Confidence::Observed => "follows from recorded events",
        Confidence::Suspected => "rests on something that the trace does not settle",
    }
}

/// The first text for a screen with Unicode, the second for one without.
pub fn either<'a>(characters: Characters, unicode: &'a str, ascii: &'a str) -> &'a str {
    match characters {
        Characters::Unicode => unicode,
        Characters::Ascii => ascii,
    }
}

/// The name of a rule, as `leftover-cookie`.
pub fn rule_name(rule: RuleId) -> &'static str {
    traces::rules::rule(rule).map_or("(a rule of a newer version)", |rule| rule.name)
}
