//! What each rule has to go by at each capture level: a rule that lacks its input does not speak.
//!
//! The shim sees submissions, completions, enters and frees, and knows nothing of who owns a cookie. What a
//! completion is to it is also not what the probe records: it sees one when it lies in the queue, not when it is
//! taken.

use crate::finding::RuleId;
use crate::recording::{Capture, Recording};

/// Rules that speak of what the shim recorded, and how far each sees.
pub(crate) const BY_SHIM: &[(RuleId, &str)] = &[
    (RuleId(2), "proved, where one thread enters the ring"),
    (RuleId(6), "as with the probe"),
    (
        RuleId(7),
        "a block that a cookie points into is freed in flight; reclaims are not seen",
    ),
    (
        RuleId(15),
        "several operations in flight with the cookie that is named",
    ),
    (
        RuleId(16),
        "blocks and mappings given back through the C library; no stack frames, no descriptors",
    ),
    (RuleId(17), "as with the probe"),
    (RuleId(18), "what an enter leaves behind"),
];

/// Whether a rule has its input at a level.
pub(crate) fn speaks(rule: RuleId, capture: Capture) -> bool {
    match capture {
        Capture::Preload => BY_SHIM.iter().any(|(id, _)| *id == rule),
        // It sees what went through a ring, and neither who owns a cookie nor what became of a completion.
        Capture::Kernel => false,
        Capture::Linked | Capture::Uprobes | Capture::Unknown => true,
    }
}

/// Each rule, and how far it sees in a program that does not link the probe.
pub fn table() -> String {
    let mut table = "How far each rule sees of a program that does not link the probe (`tracer record`, by preload):\n\n".to_owned();
    for rule in super::ALL {
        let seen = BY_SHIM.iter().find(|(id, _)| *id == rule.id);
        let seen = seen.map_or("-", |(_, how)| how);
        table += &format!("{}  {:<25} {seen}\n", rule.id, rule.name);
    }
    table
        + "\n-: needs the probe, for who gives a cookie away and takes it back, or for coroutines.\n\
           \nWith --kernel the kernel itself lists operations, results, what was in flight at the end and what overflowed, \
           of any\nprogram, a statically linked one too. No rule has its input in that alone. Of what the probe records, \
           it adds to T09\nwhether an operation was completed and its completion passed by; and cookies that were changed \
           behind the record.\n"
}

/// What must be said of a verdict over what the shim recorded; nothing where there is none of it.
pub(crate) fn in_words(recording: &Recording) -> Option<String> {
    let shims = recording
        .processes
        .iter()
        .filter(|process| process.capture == Capture::Preload)
        .count();
    let kernel = by_kernel(recording);
    let rules: Vec<String> = BY_SHIM.iter().map(|(id, _)| id.to_string()).collect();
    let who = match (shims, recording.process_count()) {
        (0, _) => return kernel,
        (1, 1) => "recorded by preload".to_owned(),
        (shims, all) => format!("{shims} of {all} processes recorded by preload"),
    };
    let kernel = kernel.map_or_else(String::new, |kernel| format!("; {kernel}"));
    Some(format!(
        "{who}, without the probe: who gives a cookie away and takes it back (into_raw, from_raw) is not seen, nor \
         are coroutines; of {} rules {} have their input{kernel}",
        super::ALL.len(),
        rules.join(", ")
    ))
}

/// What must be said of processes that the kernel alone saw.
fn by_kernel(recording: &Recording) -> Option<String> {
    let numbered = (0u32..).zip(&recording.processes);
    let alone = numbered.filter(|(index, process)| {
        process.capture == Capture::Kernel && recording.seen_otherwise(*index).is_none()
    });
    let who = match (alone.count(), recording.process_count()) {
        (0, _) => return None,
        (1, 1) => "recorded by kernel alone".to_owned(),
        (alone, all) => format!("{alone} of {all} processes recorded by kernel alone"),
    };
    Some(format!(
        "{who}: operations and their results are seen, not who owns a cookie, nor memory, nor whether a completion was \
         taken; no rule has its input"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_leaks_and_coroutines_do_not_speak_of_what_the_shim_recorded() {
        for rule in super::super::ALL {
            assert!(speaks(rule.id, Capture::Linked));
        }
        for blind in [1, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 19, 20, 24] {
            assert!(!speaks(RuleId(blind), Capture::Preload));
        }
        assert!(speaks(RuleId(2), Capture::Preload));
    }

    #[test]
    fn the_table_has_each_rule_once() {
        let table = table();
        for rule in super::super::ALL {
            let lines = table
                .lines()
                .filter(|line| line.starts_with(&rule.id.to_string()));
            let lines: Vec<_> = lines.collect();
            assert_eq!(lines.len(), 1, "{table}");
            let needs_probe = lines[0].ends_with(" -");
            assert_eq!(needs_probe, !speaks(rule.id, Capture::Preload), "{table}");
        }
    }

    #[test]
    fn nothing_is_said_of_a_recording_by_the_probe() {
        let mut recording = Recording::default();
        assert_eq!(in_words(&recording), None);
        recording.processes.push(crate::recording::Process {
            capture: Capture::Preload,
            ..Default::default()
        });
        let said = in_words(&recording).unwrap();
        assert!(said.starts_with("recorded by preload, without"), "{said}");
        recording.processes.push(Default::default());
        let said = in_words(&recording).unwrap();
        assert!(said.starts_with("1 of 2 processes"), "{said}");
    }
}
