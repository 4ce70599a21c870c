//! The words for what a verdict holds: severities, confidences, rules.

use traces::event::LossReason;
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

/// How records got lost, as what stands behind their number.
pub fn loss_word(reason: LossReason) -> &'static str {
    match reason {
        LossReason::Overwritten => "overwritten by newer ones",
        LossReason::Full => "found no room",
        LossReason::Nested => "of a signal handler found no lane",
        LossReason::NoLane => "of a thread found no lane",
        LossReason::AtStart => "came while the recording was being opened",
        LossReason::Damaged => "in a damaged part of the file",
        LossReason::Torn => "cut off by the end of a thread",
        LossReason::NotFollowed => "of a ring that is not followed",
        LossReason::RingNotFollowed => "for a whole ring that is not followed",
        LossReason::KernelBuffer => "found no room in the kernel's buffer",
        LossReason::Newer => "of a kind that a newer tracer knows",
        LossReason::Removed => "removed on purpose",
    }
}

/// What to do about it, as a sentence.
pub fn loss_help(reason: LossReason) -> &'static str {
    match reason {
        LossReason::Overwritten => {
            "`record --ring SIZE` keeps more of the newest, `record --grow SIZE` all from the start."
        }
        LossReason::Full => {
            "`record --grow SIZE` with a larger size has room for more; see that the disk has it, too."
        }
        LossReason::Nested | LossReason::NoLane => {
            "Too many threads or signal handlers recorded at once."
        }
        LossReason::AtStart => {
            "Record something early, before signals come: the first hook opens the recording."
        }
        LossReason::Damaged => "The file was changed or cut off after it was written.",
        LossReason::Torn => "A kill in the middle of a record loses that one record.",
        LossReason::NotFollowed => "The probe saw the ring, and not how it was used.",
        LossReason::RingNotFollowed => "`record --kernel` lists what was done on it.",
        LossReason::KernelBuffer => "`record --kernel-buffer SIZE` makes more of it.",
        LossReason::Newer => "A newer tracer can read them.",
        LossReason::Removed => "A filter or a test took them out.",
    }
}
