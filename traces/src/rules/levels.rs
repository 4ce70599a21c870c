//! What each rule has to go by at each capture level: a rule that lacks its input does not speak.
//!
//! The shim sees submissions, completions, enters and frees, and knows nothing of who owns a cookie. What a
//! completion is to it is also not what the probe records: it sees one when it lies in the queue, not when it is
//! taken.

use crate::finding::{RuleId, Told};
use crate::recording::{Capture, Recording};

/// Rules that speak of what the shim recorded, and how far each sees.
pub(crate) const BY_SHIM: &[(RuleId, &str)] = &[
    (
        RuleId(2),
        "proved, where one thread fills and enters the ring; of a 0 suspected, where somebody set it; of a slot that was filled once, asked, of most NOPs in one suspected",
    ),
    (
        RuleId(5),
        "suspected, where small cookies are seen to be indices",
    ),
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
    (
        RuleId(21),
        "more completions marked as seen than there were",
    ),
];

/// Of those, rules that need to see what the program frees.
const OF_FREES: [RuleId; 2] = [RuleId(7), RuleId(16)];

/// Rules that speak, beside those, where probes tell of the functions of a debug build, and how far each sees.
pub(crate) const BY_CALLS: &[(RuleId, &str)] = &[
    (RuleId(1), "suspected"),
    (
        RuleId(3),
        "once the block was freed; a submission is suspected, a completion observed",
    ),
    (RuleId(8), "once the block was freed between the two"),
    (
        RuleId(9),
        "what went into a ring; suspected where several operations carried it",
    ),
    (RuleId(12), "suspected"),
];

/// Rules that speak, beside those, where the kernel's view of a ring stands beside what the probe or the shim recorded of
/// it, and how far each sees.
pub(crate) const BY_KERNEL: &[(RuleId, &str)] = &[
    (
        RuleId(12),
        "a word taken in place of one that the kernel posted",
    ),
    (
        RuleId(18),
        "an entry that the kernel took with another word than it was handed over with",
    ),
];

/// Whether a rule has its input at a level; `probed`: probes of its functions tell of the process, too.
pub(crate) fn speaks(rule: RuleId, capture: Capture, probed: bool) -> bool {
    match capture {
        Capture::Preload if probed && BY_CALLS.iter().any(|(id, _)| *id == rule) => true,
        Capture::Preload => BY_SHIM.iter().any(|(id, _)| *id == rule),
        // It sees what went through a ring, and neither who owns a cookie nor what became of a completion.
        // But the order in which indices go in again shows in that.
        Capture::Kernel => rule == RuleId(5),
        // Which block a pointer points into, and which operation carries it, is for the shim to see.
        Capture::Uprobes => false,
        Capture::Linked | Capture::Unknown => true,
    }
}

/// Rules that rest on how the program reads its cookies, which nobody declared.
pub(crate) fn only_suspects(rule: RuleId) -> bool {
    matches!(rule, RuleId(1 | 12))
}

/// Each rule, and how far it sees in a program that does not link the probe.
pub fn table() -> String {
    let mut table = "How far each rule sees of a program that does not link the probe (`tracer record`, by preload):\n\n".to_owned();
    for rule in super::ALL {
        let seen = BY_SHIM.iter().find(|(id, _)| *id == rule.id);
        let seen = seen.map_or("-", |(_, how)| how);
        table += &format!("{}  {:<25} {seen}\n", rule.id, rule.name);
    }
    let mut calls = "\nWith --uprobes, of a debug build, also:\n\n".to_owned();
    for (id, how) in BY_CALLS {
        let rule = super::ALL.iter().find(|rule| rule.id == *id);
        calls += &format!("  {id}  {:<23} {how}\n", rule.map_or("", |rule| rule.name));
    }
    let mut kernel =
        "\nWith --kernel, of a ring that the probe or the shim records as well, also:\n\n"
            .to_owned();
    for (id, how) in BY_KERNEL {
        let rule = super::ALL.iter().find(|rule| rule.id == *id);
        kernel += &format!("  {id}  {:<23} {how}\n", rule.map_or("", |rule| rule.name));
    }
    table
        + &calls
        + &kernel
        + "\n-: needs the probe, for who gives a cookie away and takes it back, or for coroutines.\n\
           \nWith --kernel the kernel itself lists operations, results, what was in flight at the end and what overflowed, \
           of any\nprogram, a statically linked one too, but one that raises its privileges (setuid). Of all rules T05 \
           alone has its input\nin that alone. Of what the probe records, it adds to T09 whether an operation was completed and \
           its completion passed by; and\ncookies that were changed behind the record.\n"
}

/// What must be said of a verdict over what the shim recorded; nothing where there is none of it.
pub(crate) fn in_words(recording: &Recording) -> Option<String> {
    let shims = recording
        .processes
        .iter()
        .filter(|process| process.capture == Capture::Preload)
        .count();
    let kernel = by_kernel(recording);
    // What is said of it stands among what was not recorded, with the way out.
    let mut of_shims = (0u32..).zip(&recording.processes);
    let has_frees = of_shims.any(|(index, process)| {
        process.capture == Capture::Preload && !recording.frees_are_unseen(index)
    });
    let has_input = |id: RuleId| has_frees || !OF_FREES.contains(&id);
    let mut numbered = (0u32..).zip(&recording.processes);
    let has_kernels_view = numbered.any(|(index, process)| {
        process.capture == Capture::Preload && recording.has_kernels_view(index)
    });
    let more = if has_kernels_view { BY_KERNEL } else { &[] };
    let shim = BY_SHIM.iter().filter(|(id, _)| has_input(*id)).chain(more);
    let mut rules: Vec<String> = shim.map(|(id, _)| id.to_string()).collect();
    rules.sort();
    rules.dedup();
    let who = match (shims, recording.process_count()) {
        (0, _) => return kernel,
        (1, 1) => "recorded by preload".to_owned(),
        (shims, all) => format!("{shims} of {all} processes recorded by preload"),
    };
    let kernel = kernel.map_or_else(String::new, |kernel| format!("; {kernel}"));
    let mut views = recording.processes.iter();
    if views.any(|it| it.capture == Capture::Uprobes) {
        let more = BY_CALLS.iter().map(|(id, _)| id.to_string());
        let mut rules: Vec<String> = rules.into_iter().chain(more).collect();
        rules.sort();
        rules.dedup();
        return Some(format!(
            "{who} and uprobes, without the probe: who gives a cookie away and takes it back is seen as far as it is a call \
             of a function (into_raw, from_raw), coroutines are not; of {} rules {} have their input{kernel}",
            super::ALL.len(),
            rules.join(", ")
        ));
    }
    let places = if recording.stacks_count() == 0 {
        "; `record --stacks` adds the places of submissions and frees"
    } else {
        ""
    };
    Some(format!(
        "{who}, without the probe: who gives a cookie away and takes it back (into_raw, from_raw) is not seen, nor \
         are coroutines; of {} rules {} have their input{kernel}{places}",
        super::ALL.len(),
        rules.join(", ")
    ))
}

/// What must be said of a verdict over what the probe for C recorded: rules whose input is there only where the program
/// tells of it, and was not told of.
pub(crate) fn by_c_in_words(recording: &Recording, told: Told) -> Option<String> {
    let processes = 0..u32::try_from(recording.processes.len()).unwrap_or(u32::MAX);
    let by_c: Vec<u32> = processes.filter(|it| recording.is_by_c(*it)).collect();
    if by_c.is_empty() {
        return None;
    }
    let sees_frees = by_c.iter().any(|it| !recording.frees_are_unseen(*it));
    let missing: Vec<&str> = [
        (
            told.frees || sees_frees,
            "T07 of a block that is freed, and T16 of such memory (TRACER_FREEING)",
        ),
        (told.provided, "T19 (no buffers were provided)"),
        (
            told.descriptors,
            "T24, and T16 of descriptors (TRACER_FD_OPENED, TRACER_FD_CLOSING)",
        ),
        (told.borrows, "T26 (TRACER_BORROW)"),
        (told.initialised, "T27 (TRACER_BUFFER_INITIALISED)"),
    ]
    .into_iter()
    .filter_map(|(is_told, rule)| (!is_told).then_some(rule))
    .collect();
    let (who, of) = match (by_c.len(), recording.process_count()) {
        (by_c, all) if by_c >= all => (String::new(), ""),
        (1, all) => (format!("1 of {all} processes "), " of it"),
        (by_c, all) => (format!("{by_c} of {all} processes "), " of them"),
    };
    (!missing.is_empty()).then(|| {
        format!(
            "{who}{}; could not be judged{of}, as nothing was recorded of what they go by: {}",
            wire::record::BY_C,
            missing.join(", ")
        )
    })
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
         taken; of all rules T05 alone has its input"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_leaks_and_coroutines_do_not_speak_of_what_the_shim_recorded() {
        for rule in super::super::ALL {
            assert!(speaks(rule.id, Capture::Linked, false));
        }
        for blind in [1, 3, 4, 8, 9, 10, 11, 12, 13, 14, 19, 20, 24] {
            assert!(!speaks(RuleId(blind), Capture::Preload, false));
        }
        assert!(speaks(RuleId(2), Capture::Preload, false));
        assert!(speaks(RuleId(8), Capture::Preload, true));
        assert!(!speaks(RuleId(10), Capture::Preload, true));
        assert!(!speaks(RuleId(9), Capture::Uprobes, true));
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
            assert_eq!(
                needs_probe,
                !speaks(rule.id, Capture::Preload, false),
                "{table}"
            );
        }
    }

    #[test]
    fn what_a_program_in_c_told_nothing_of_is_named() {
        let said = |text: &str| {
            let trace = crate::trace::Trace::parse_text(text).unwrap();
            by_c_in_words(trace.recording(), trace.verdict().summary.told)
        };
        assert_eq!(said("1 a fd-open 3 a.c:1"), None);
        let seen = format!("0 a mark \"{}\"", wire::record::BY_C);
        assert!(!said(&seen).unwrap().contains("T07"));
        let by_c = format!("{seen}\n0 a mark \"not recorded: what is freed, as nobody says it\"");
        let all = said(&by_c).unwrap();
        let named = |said: &str| {
            let rules = super::super::ALL.iter().map(|rule| rule.id.to_string());
            let named: Vec<_> = rules.filter(|id| said.contains(id)).collect();
            named.join(" ")
        };
        assert_eq!(named(&all), "T07 T16 T19 T24 T26 T27");
        for (line, left) in [
            ("1 a fd-close 3 a.c:1", "T07 T16 T19 T26 T27"),
            ("1 a buffer-provide 0 1 0 count=2", "T07 T16 T24 T26 T27"),
            (
                "1 a borrow-begin 0x1000 exclusive a.c:1",
                "T07 T16 T19 T24 T27",
            ),
            ("1 a buffer-init 0x1000 64 0", "T07 T16 T19 T24 T26"),
            ("1 a free 0x1000 64", "T16 T19 T24 T26 T27"),
        ] {
            let said = said(&format!("{by_c}\n{line}")).unwrap();
            assert_eq!(named(&said), left, "{line}");
        }
        let told = Told {
            descriptors: true,
            provided: true,
            borrows: true,
            initialised: true,
            frees: true,
        };
        let trace = crate::trace::Trace::parse_text(&by_c).unwrap();
        assert_eq!(by_c_in_words(trace.recording(), told), None);
    }

    /// Of a program in C with a child in Rust each is judged by what is recorded of it.
    #[test]
    fn what_is_said_of_a_program_in_c_is_not_said_of_its_child_in_rust() {
        let text = format!(
            "process 0 pid=7\nprocess 1 pid=8\nlane rust process=1\n0 main mark \"{}\"
            1 rust borrow-begin 0x1000 exclusive a.rs:1
            2 main ring-create 0
            2 rust ring-create 0",
            wire::record::BY_C
        );
        let parse = |more: &str| crate::trace::Trace::parse_text(&format!("{text}\n{more}"));
        let trace = parse("").unwrap();
        let said = by_c_in_words(trace.recording(), trace.verdict().summary.told).unwrap();
        let opening = "1 of 2 processes recorded by the probe for C; could not be judged of it, as";
        assert!(said.starts_with(opening) && said.contains("T26"), "{said}");
        // Who gave a block away is known of the child.
        let freed = |lane: &str| {
            let trace = parse(&format!(
                "3 {lane} submit 0 RECV 0x5010 seq=0
                4 {lane} enter 0 1 -> 1
                5 {lane} free 0x5000 64
                6 {lane} complete 0 0x5010 0"
            ));
            let verdict = trace.unwrap().verdict().clone();
            verdict
                .stories
                .iter()
                .map(|it| it.head.rule.0)
                .collect::<Vec<_>>()
        };
        assert_eq!((freed("main"), freed("rust")), (vec![7], vec![]));
        // What nobody sees freed in a process of the probe's is no word of the shim's.
        let shims = "process 0 pid=7\nprocess 1 pid=8 capture=preload\n0 main mark \"not recorded: what is freed, so\"";
        let shims = crate::trace::Trace::parse_text(shims).unwrap();
        let said = in_words(shims.recording()).unwrap();
        assert!(said.contains("T07, T15, T16"), "{said}");
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
        assert!(said.contains("T06, T07, T15, T16, T17"), "{said}");
        let text = "process 0 capture=preload\n0 a mark \"not recorded: what is freed, as Valgrind frees\"";
        let unseen = crate::trace::Trace::parse_text(text).unwrap();
        let said = in_words(unseen.recording()).unwrap();
        assert!(said.contains("T06, T15, T17"), "{said}");
        recording.processes.push(Default::default());
        let said = in_words(&recording).unwrap();
        assert!(said.starts_with("1 of 2 processes"), "{said}");
    }
}
