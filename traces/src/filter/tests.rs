//! What filters mean, what they choose, and how a mistake in one is pointed at.

use super::*;
use crate::finding::Severity;

const TRACE: &str = "
    process 0 pid=77 end=exit:0
    process 1 pid=78 end=exit:0
    lane worker tid=81
    0 main ring-create 0 sq=1 cq=2 in-place
    1000 main scope-begin 1 name=cancel
    2000 main leak 0x55d0c2e0 app::conn::Conn conn.rs:88 owner=Rc
    3000 main submit 0 RECV 0x55d0c2e0 conn.rs:90 set fd=7
    4000 main complete 0 0x55d0c2e0 -125
    5000 main reclaim 0x55d0c2e0 app::conn::Conn conn.rs:131 owner=Rc
    1000000 worker submit 0 NOP 0x55d0c2e0 poll.rs:7 poisoned
    1500000 worker complete 0 0x55d0c2e0 0
    2000000 worker reclaim 0x55d0c2e0 app::conn::Conn conn.rs:131 owner=Rc
    2000001 worker spawn 9 serve conn.rs:1
    2000002 worker mark \"it timed out\"
";

fn trace() -> Trace {
    Trace::parse_text(TRACE).unwrap()
}

fn hits(text: &str) -> Vec<u64> {
    let trace = trace();
    let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{}", error.pointed()));
    let filter = filter.prepare(&trace);
    let events = trace.events().iter();
    let hits = events.filter(|event| filter.event(&trace, event));
    hits.map(|event| event.id.0).collect()
}

/// The number of an event by its kind and time, so that the tests below can be read.
fn all() -> Vec<u64> {
    (0..trace().events().len() as u64).collect()
}

#[test]
fn every_field_is_asked_for() {
    let kinds: Vec<&str> = trace()
        .events()
        .iter()
        .map(|event| event.what.kind())
        .collect();
    assert_eq!(
        kinds,
        [
            "ring-create",
            "scope-begin",
            "leak",
            "submit",
            "complete",
            "reclaim",
            "submit",
            "complete",
            "reclaim",
            "spawn",
            "mark"
        ]
    );
    for (text, expected) in [
        ("kind:submit", vec![3, 6]),
        ("kind:leak,Reclaim", vec![2, 5, 8]),
        ("op:recv", vec![3, 4]),
        ("op:nop kind:complete", vec![7]),
        ("cookie:0x55d0c2e0 kind:submit", vec![3, 6]),
        ("cookie:0x55d0* kind!=submit", vec![2, 4, 5, 7, 8]),
        ("cookie:0x55d0… op:nop", vec![6, 7]),
        ("cookie:0x55d1*", vec![]),
        ("address:0x55d0c000..0x55d0cfff kind:leak", vec![2]),
        ("object:Conn kind:leak", vec![2]),
        ("object:Conn#1@1 kind:leak,submit", vec![2, 3]),
        ("object:#1 kind:leak", vec![2]),
        ("object:Conn#2", vec![]),
        ("object:0x55d0c2e0@1 kind:leak", vec![2]),
        ("type:conn kind:leak", vec![2]),
        ("site:conn.rs:131", vec![5, 8]),
        ("site:poll", vec![6]),
        ("time:1ms..1500us", vec![6, 7]),
        ("time<2us", vec![0, 1]),
        ("time>=2.000001ms", vec![9, 10]),
        ("thread:worker kind:complete", vec![7]),
        ("thread:81 kind:complete", vec![7]),
        ("thread=work", vec![]),
        ("lane:1 kind:submit", vec![3]),
        ("lane:0 kind:submit", vec![6]),
        ("process:78", vec![]),
        ("process:77 kind:leak", vec![2]),
        ("ring:0 kind:ring-create", vec![0]),
        ("slot:0", vec![3, 6]),
        ("operation:1", vec![6, 7]),
        ("coroutine:9", vec![9]),
        ("coroutine:serve", vec![9]),
        ("scope:cancel", vec![1, 2, 3, 4, 5]),
        ("result:ECANCELED", vec![4]),
        ("result<0", vec![4]),
        ("result:0", vec![7]),
        ("fd:7", vec![3]),
        ("event:3..4", vec![3, 4]),
        ("text:\"timed out\"", vec![10]),
    ] {
        assert_eq!(hits(text), expected, "{text}");
    }
}

#[test]
fn words_are_looked_for_in_the_line() {
    assert_eq!(hits("timed out"), [10]);
    assert_eq!(hits("\"out timed\""), [0u64; 0]);
    assert_eq!(hits("recv conn.rs:90"), [3]);
    assert_eq!(hits("RECV"), [3]);
    assert_eq!(hits("Recv"), [0u64; 0]);
    assert_eq!(hits("  "), all());
}

#[test]
fn not_binds_closer_than_and_and_that_closer_than_or() {
    assert_eq!(hits("kind:leak or kind:submit op:nop"), [2, 6]);
    assert_eq!(hits("(kind:leak or kind:submit) op:nop"), [6]);
    assert_eq!(hits("not kind:leak,submit and site:conn"), [5, 8, 9]);
    assert_eq!(hits("!(kind:leak or kind:submit) site:conn"), [5, 8, 9]);
    assert_eq!(hits("NOT NOT kind:leak"), [2]);
    assert_eq!(hits("\"not\""), [0u64; 0]);
}

#[test]
fn findings_and_their_events_are_found_by_rule() {
    let trace = trace();
    let story = &trace.verdict().stories[0];
    assert_eq!(story.head.rule.to_string(), "T02");
    let asked = |text: &str| {
        Filter::parse(text)
            .unwrap()
            .prepare(&trace)
            .story(&trace, story)
    };
    for yes in [
        "rule:T02",
        "rule:leftover-cookie",
        "rule:t8",
        "severity:error",
        "severity>=warning",
        "confidence:proved",
        "confidence>observed",
        "thread:worker",
        "op:recv",
        "site:poll.rs",
        "object:Conn#1",
        "leftover",
        "rule:any",
        "time:1ms",
        "rule:T08 rule:T02",
    ] {
        assert!(asked(yes), "{yes}");
    }
    for no in [
        "rule:T09",
        "not rule:T02",
        "severity<error",
        "confidence:observed,suspected rule:T01",
        "site:other.rs",
        "severity!=error",
    ] {
        assert!(!asked(no), "{no}");
    }
    let print = story.head.fingerprint;
    assert!(asked(&format!("fingerprint:{print:#018x}")));
    assert!(asked(&format!(
        "fingerprint:0x{}*",
        &format!("{print:016x}")[..4]
    )));
    assert_eq!(story.head.severity, Severity::Error);
    assert_eq!(hits("rule:T02 kind:submit"), [3, 6]);
    assert_eq!(hits("rule:T09"), [0u64; 0]);
}

#[test]
fn errors_point_at_the_place_and_name_what_was_meant() {
    for (text, expected) in [
        (
            "op:recv kidn:submit",
            "op:recv kidn:submit\n        ^^^^ there is no field `kidn`; did you mean `kind`?",
        ),
        (
            "kind:sumbit",
            "kind:sumbit\n     ^^^^^^ no event is called `sumbit`; did you mean `submit`?",
        ),
        (
            "rule:leftovr-cookie",
            "rule:leftovr-cookie\n     ^^^^^^^^^^^^^^ there is no rule `leftovr-cookie`; did you mean `leftover-cookie`?",
        ),
        (
            "op:recvv",
            "op:recvv\n   ^^^^^ no operation is called `recvv`; did you mean `RECV`?",
        ),
        (
            "result:ECANCELLED",
            "result:ECANCELLED\n       ^^^^^^^^^^ no error is called `ECANCELLED`; did you mean `ECANCELED`?",
        ),
        ("(a or b", "(a or b\n^ this parenthesis is not closed"),
        ("a) b", "a) b\n ^ this parenthesis closes nothing"),
        ("a or", "a or\n    ^ something to look for is missing here"),
        (
            "or a",
            "or a\n^^ something to look for is missing before this",
        ),
        (
            "kind:",
            "kind:\n^^^^^ a value is missing here; `\"\"` is the empty text",
        ),
        ("é \"x", "é \"x\n  ^ this quote is not closed"),
        (
            "time:5",
            "time:5\n     ^ `5` is not a time: it needs ns, us, ms, s or min",
        ),
        (
            "ring:x",
            "ring:x\n     ^ `x` is not a number (12, 0x7f, 10..20)",
        ),
        (
            "time:2ms..1ms",
            "time:2ms..1ms\n     ^^^^^^^^ the range ends before it begins",
        ),
        (
            "severity:bad",
            "severity:bad\n         ^^^ `bad` is no severity: `note`, `warning`, `error`",
        ),
        (
            "severity>error",
            "severity>error\n         ^^^^^ no severity is beyond `error`",
        ),
        (
            "site<conn",
            "site<conn\n     ^^^^ there is no order among texts; use `:`",
        ),
    ] {
        let error = Filter::parse(text).unwrap_err();
        assert_eq!(error.pointed(), expected, "{text}");
    }
}

#[test]
fn what_has_a_colon_by_itself_is_a_text() {
    for text in ["conn.rs:88", "conn::serve", "Option<Conn>", "a<b", "0x1=2"] {
        assert!(Filter::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn hostile_filters_are_refused_and_not_obeyed() {
    let deep = "(".repeat(2000);
    assert!(
        Filter::parse(&deep)
            .unwrap_err()
            .message
            .contains("too many")
    );
    assert!(Filter::parse(&"not ".repeat(1000)).is_err());
    assert!(Filter::parse(&"x".repeat(TEXT_MAX + 1)).is_err());
    let shown = Filter::parse("\x1b[2Jkind:\x1b[2J kind:x")
        .unwrap_err()
        .pointed();
    assert!(!shown.contains('\x1b'), "{shown:?}");
}

#[test]
fn the_manual_names_every_field_and_its_examples_can_be_read() {
    let help = help(80);
    assert!(
        help.lines().all(|line| line.chars().count() <= 80),
        "{help}"
    );
    for field in FIELDS {
        assert!(help.contains(field.name));
        let names = std::iter::once(field.name).chain(field.aliases.iter().copied());
        for name in names {
            assert_eq!(
                Field::named(name),
                Some(field.field),
                "{name} is given twice"
            );
        }
        let (_, examples) = field.help.rsplit_once(". ").expect("an example");
        Filter::parse(examples).unwrap_or_else(|error| panic!("{}", error.pointed()));
    }
}

#[test]
fn a_ring_has_the_pushes_that_became_its_operations() {
    let text = "
process 0 pid=77 start=9 capture=preload end=exit:0
process 1 pid=77 start=9 capture=uprobes
lane main tid=77
lane calls process=1 tid=77
1 main ring-create 2 fd=5
2 calls push 5 0 0x7
3 calls push 6 0 0x7
4 main submit 2 NOP 0x7
";
    let trace = Trace::parse_text(text).unwrap();
    let found = |filter: &str| -> Vec<u64> {
        let prepared = Filter::parse(filter).unwrap().prepare(&trace);
        let events = trace.events().iter();
        let events = events.filter(|event| prepared.event(&trace, event));
        events.map(|event| event.id.0).collect()
    };
    assert_eq!(found("ring:2"), [0, 1, 3]);
    assert_eq!(found("kind:push"), [1, 2], "one belongs to no ring");
}

#[test]
fn a_name_that_several_threads_have_stands_for_each() {
    let text = "
process 0 pid=77
lane a tid=81
lane b tid=82
lane c tid=83
1 a mark \"one\"
2 b mark \"two\"
3 c mark \"three\"
";
    let mut trace = Trace::parse_text(text).unwrap();
    let pool = trace.recording.lanes[0].thread;
    trace.recording.lanes[1].thread = pool;
    trace.recording.find_namesakes();
    let found = |filter: &str| -> Vec<u64> {
        let prepared = Filter::parse(filter).unwrap().prepare(&trace);
        let events = trace.events().iter();
        let events = events.filter(|event| prepared.event(&trace, event));
        events.map(|event| event.id.0).collect()
    };
    assert_eq!(found("thread=a"), [0, 1]);
    assert_eq!(found("thread=a#82"), [1]);
    assert_eq!(found("not thread=a"), [2]);
}

/// The kernel saw two rings of one process: one that the process recorded itself under another number, and one that it did
/// not, under the number that the process gave to yet another.
const BOTH_LEVELS: &str = "
process 0 pid=77 start=9 end=exit:0
process 1 pid=77 start=9 capture=kernel end=exit:0
lane k process=1
1 k ring-create 4 fd=3 sq=8 cq=16
1 k ring-create 1 fd=9 sq=8 cq=16
2 main ring-create 0 fd=3 sq=8 cq=16
2 main ring-create 1 fd=5 sq=8 cq=16
3 main submit 0 NOP 0x1000 seq=0
3 k submit 4 NOP 0x1000 seq=0
4 main submit 1 NOP 0x2000 seq=0
5 k submit 1 NOP 0x3000 seq=0
";

#[test]
fn a_ring_is_that_of_its_program_whoever_saw_it() {
    let trace = Trace::parse_text(BOTH_LEVELS).unwrap();
    let found = |filter: &str| -> Vec<u64> {
        let prepared = Filter::parse(filter).unwrap().prepare(&trace);
        let events = trace.events().iter();
        let events = events.filter(|event| prepared.event(&trace, event));
        events.map(|event| event.id.0).collect()
    };
    assert_eq!(found("ring:0"), [0, 2, 4, 5], "by both levels");
    assert_eq!(found("ring:1"), [3, 6], "the kernel's 1 is another ring");
    assert_eq!(found("ring:4"), Vec::<u64>::new(), "the program has none");
    assert_eq!(found("ring:k4"), [0, 5]);
    assert_eq!(found("ring:k1"), [1, 7]);
    assert_eq!(found("ring:k1..4 and kind:submit"), [5, 7]);
    // Where nobody else recorded the process, its rings have the kernel's numbers.
    let alone = BOTH_LEVELS.lines().filter(|line| !line.contains("main"));
    let alone: Vec<&str> = alone.collect();
    let text = alone
        .join("\n")
        .replacen("process 0 pid=77", "process 0 pid=76", 1);
    let alone = Trace::parse_text(&text).unwrap();
    let prepared = Filter::parse("ring:4").unwrap().prepare(&alone);
    let events = alone.events().iter();
    assert_eq!(events.filter(|it| prepared.event(&alone, it)).count(), 2);
}
