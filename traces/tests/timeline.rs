//! What other viewers get: every slice that begins ends inside of what it began in, time does not go back on a
//! track, flows lead forward from slice to slice, and all of it can be read.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use support::faults::plant_any;
use support::runtime::run;
use traces::Trace;
use traces::event::What;
use traces::export::timeline::{To, write};
use traces::filter::Filter;

fn written(trace: &Trace, to: To, filter: &str) -> Vec<u8> {
    let filter = Filter::parse(filter).unwrap().prepare(trace);
    let mut out = Vec::new();
    write(trace, &filter, to, &mut out).unwrap();
    out
}

fn corpus() -> Vec<(String, Trace)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "trace") {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            found.push((name, Trace::parse_text(&text).unwrap()));
        }
    }
    assert!(found.len() > 100);
    found
}

/// One slice's beginning or end, or a step of a flow, of whatever form.
#[derive(Debug, PartialEq)]
enum Seen {
    Begin(String),
    End,
    Flow(u64),
}

/// By track: when, and what.
type Tracks = BTreeMap<u64, Vec<(u64, Seen)>>;

/// The laws; gives how many slices there are of each name, and how many flows.
fn lawful(tracks: &Tracks, name: &str) -> (BTreeMap<String, usize>, usize) {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut flows: BTreeMap<u64, usize> = BTreeMap::new();
    for (track, all) in tracks {
        let mut open: Vec<&str> = Vec::new();
        let mut last = 0;
        for (at, seen) in all {
            assert!(*at >= last, "{name}: time goes back on {track}: {all:#?}");
            last = *at;
            match seen {
                Seen::Begin(what) => {
                    *names.entry(what.clone()).or_default() += 1;
                    open.push(what);
                }
                Seen::End => assert!(open.pop().is_some(), "{name}: {track}: {all:#?}"),
                Seen::Flow(id) => {
                    assert!(
                        !open.is_empty(),
                        "{name}: a flow without a slice on {track}"
                    );
                    *flows.entry(*id).or_default() += 1;
                }
            }
        }
        assert!(open.is_empty(), "{name}: {open:?} never end on {track}");
    }
    (names, flows.len())
}

fn chrome(bytes: &[u8], name: &str) -> Tracks {
    let value: Value = serde_json::from_slice(bytes).unwrap();
    let mut tracks = Tracks::new();
    let mut numbers: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut named = BTreeSet::new();
    let mut phases: BTreeMap<u64, String> = BTreeMap::new();
    for event in value["traceEvents"].as_array().unwrap() {
        let id = (
            event["pid"].as_u64().unwrap(),
            event["tid"].as_u64().unwrap(),
        );
        // Perfetto's importer has no room for more, and would put such a track on the main thread's.
        assert!(u32::try_from(id.1).is_ok(), "{name}: {id:?}");
        let phase = event["ph"].as_str().unwrap();
        if phase == "M" {
            assert!(event["args"].is_object());
            if event["name"] == "thread_name" {
                assert!(named.insert(id), "{name}: two tracks are {id:?}");
            }
            continue;
        }
        assert!(named.contains(&id), "{name}: {id:?} has no name");
        let next = numbers.len() as u64;
        let track = *numbers.entry(id).or_insert(next);
        let at = (event["ts"].as_f64().unwrap() * 1000.0).round() as u64;
        let seen = match phase {
            "B" => Seen::Begin(event["name"].as_str().unwrap().to_owned()),
            "E" => Seen::End,
            "s" | "t" | "f" => {
                let flow = event["id"].as_u64().unwrap();
                phases.entry(flow).or_default().push_str(phase);
                assert_eq!(event["bp"] == "e", phase == "f", "{event}");
                Seen::Flow(flow)
            }
            other => panic!("{name}: phase {other}"),
        };
        tracks.entry(track).or_default().push((at, seen));
    }
    for (flow, phases) in phases {
        let middle = phases
            .strip_prefix('s')
            .and_then(|rest| rest.strip_suffix('f'));
        let is_path = middle.is_some_and(|middle| middle.bytes().all(|byte| byte == b't'));
        assert!(is_path, "{name}: flow {flow} is {phases}");
    }
    tracks
}

/// Fields of a protobuf's message: numbers as they are, what has a length as its bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return number;
            }
        }
        panic!("a number without an end");
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let mut part = &bytes[..0];
        let number = match key & 7 {
            0 => varint(&mut bytes),
            1 => {
                let (word, rest) = bytes.split_first_chunk::<8>().unwrap();
                bytes = rest;
                u64::from_le_bytes(*word)
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                (part, bytes) = bytes.split_at(length);
                0
            }
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, number, part));
    }
    found
}

fn one<'a>(fields: &[(u64, u64, &'a [u8])], field: u64) -> Option<(u64, &'a [u8])> {
    let found = fields.iter().find(|it| it.0 == field);
    found.map(|it| (it.1, it.2))
}

fn perfetto(bytes: &[u8], name: &str) -> Tracks {
    let mut tracks = Tracks::new();
    let mut uuids = BTreeSet::new();
    for (field, _, packet) in fields(bytes) {
        assert_eq!(field, 1, "{name}");
        let packet = fields(packet);
        assert_eq!(one(&packet, 10).unwrap().0, 1, "{name}: a sequence");
        if let Some((_, descriptor)) = one(&packet, 60) {
            let descriptor = fields(descriptor);
            let parent = one(&descriptor, 5).map(|it| it.0);
            assert!(
                parent.is_none_or(|it| uuids.contains(&it)),
                "{name}: {parent:?}"
            );
            let is_named = [2, 3, 4].iter().any(|it| one(&descriptor, *it).is_some());
            assert!(is_named, "{name}");
            assert!(uuids.insert(one(&descriptor, 1).unwrap().0), "{name}");
            continue;
        }
        let at = one(&packet, 8).unwrap().0;
        let event = fields(one(&packet, 11).unwrap().1);
        let track = one(&event, 11).unwrap().0;
        assert!(uuids.contains(&track), "{name}: {track} was not described");
        let all = tracks.entry(track).or_default();
        match one(&event, 9).unwrap().0 {
            1 => {
                let (_, text) = one(&event, 23).unwrap();
                let text = String::from_utf8(text.to_vec()).unwrap();
                all.push((at, Seen::Begin(text)));
            }
            2 => all.push((at, Seen::End)),
            other => panic!("{name}: type {other}"),
        }
        if let Some((flow, _)) = one(&event, 47) {
            all.push((at, Seen::Flow(flow)));
        }
    }
    tracks
}

/// Rows of a table.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut is_quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let row = rows.last_mut().unwrap();
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                row.last_mut().unwrap().push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(String::new()),
            '\n' if !is_quoted => rows.push(vec![String::new()]),
            other => row.last_mut().unwrap().push(other),
        }
    }
    assert!(!is_quoted);
    assert_eq!(rows.pop(), Some(vec![String::new()]), "the last line ends");
    rows
}

fn follows_the_laws(name: &str, trace: &Trace, filter: &str) {
    let of_chrome = lawful(&chrome(&written(trace, To::Chrome, filter), name), name);
    let of_perfetto = lawful(&perfetto(&written(trace, To::Perfetto, filter), name), name);
    assert_eq!(of_chrome.0, of_perfetto.0, "{name}: the same slices");
    assert!(
        of_chrome.1 <= of_perfetto.1,
        "{name}: a flow of one step is none"
    );
    let table = String::from_utf8(written(trace, To::Csv, filter)).unwrap();
    let table = rows(&table);
    assert!(
        table.iter().all(|row| row.len() == 13),
        "{name}: {table:#?}"
    );
    if filter.is_empty() {
        assert_eq!(table.len(), trace.events().len() + 1, "{name}");
        // Every event is there, and every operation.
        let count = |kind: &str| {
            let events = trace.events().iter();
            events.filter(|event| event.what.kind() == kind).count()
        };
        for kind in ["submit", "complete", "leak", "reclaim", "suspend"] {
            let told = of_chrome.0.get(kind).copied().unwrap_or(0);
            assert_eq!(told, count(kind), "{name}: {kind}");
        }
        let running = of_chrome.0.get("running").copied().unwrap_or(0);
        assert_eq!(running, count("resume"), "{name}");
        let codes: BTreeSet<String> = trace
            .events()
            .iter()
            .filter_map(|event| match &event.what {
                What::Submit(s) => Some(traces::names::opcode(s.entry.opcode).into_owned()),
                _ => None,
            })
            .collect();
        let operations = of_chrome.0.iter().filter(|it| codes.contains(it.0));
        assert_eq!(
            operations.map(|it| it.1).sum::<usize>(),
            count("submit"),
            "{name}"
        );
    }
}

#[test]
fn the_corpus_follows_the_laws() {
    for (name, trace) in corpus() {
        follows_the_laws(&name, &trace, "");
        follows_the_laws(&name, &trace, "kind:complete or kind:resume");
    }
}

/// Viewers write the process's number beside its name.
#[test]
fn a_process_has_the_name_of_its_program() {
    for (exe, name) in [(" exe=/srv/bin/echo", "echo"), ("", "7")] {
        let trace = Trace::parse_text(&format!("process 0 pid=7{exe}\n1 main mark hi"));
        let bytes = written(&trace.unwrap(), To::Chrome, "");
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let events = json["traceEvents"].as_array().unwrap().iter();
        let mut names = events.filter(|event| event["name"] == "process_name");
        assert_eq!(names.next().unwrap()["args"]["name"], name);
    }
}

#[test]
fn a_flow_leads_from_the_submission_to_the_coroutine() {
    let trace = Trace::parse_text(
        "process 0 pid=7 end=exit:0
        lane main tid=7
        lane other tid=8
        1 main ring-create 0 sq=8 cq=16
        2 main spawn 9 serve a.rs:1
        10 main resume 9
        11 main submit 0 RECV 0x1000 op.rs:9 len=9
        12 main suspend 9 0x1000
        30 other complete 0 0x1000 5
        40 other resume 9 0x1000 ring=0
        50 other done 9",
    )
    .unwrap();
    let tracks = perfetto(&written(&trace, To::Perfetto, ""), "flow");
    let mut steps = Vec::new();
    for all in tracks.values() {
        for pair in all.windows(2) {
            if let [(_, Seen::Begin(what)), (at, Seen::Flow(1))] = pair {
                steps.push((*at, what.as_str()));
            }
        }
    }
    steps.sort_unstable_by_key(|step| step.0);
    assert_eq!(
        steps,
        [
            (11, "submit"),
            (11, "RECV"),
            (30, "complete"),
            (40, "running")
        ]
    );
    // Of an operation that somebody asks for, all of it is there; nothing else is.
    let slices = lawful(
        &chrome(&written(&trace, To::Chrome, "op:recv"), "filter"),
        "filter",
    )
    .0;
    let slices: Vec<&str> = slices.keys().map(String::as_str).collect();
    assert_eq!(slices, ["RECV", "complete", "submit"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn runs_follow_the_laws_correct_or_not(
        decisions in prop::collection::vec(any::<u16>(), 0..200),
        fault in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut lines = run(&decisions);
        plant_any(&mut lines, fault, at);
        let count = lines.len();
        for index in lost.iter().map(|index| index.index(count)).filter(|index| *index > 0) {
            let mut words = lines[index].split(' ');
            let (at, lane) = (words.next().unwrap(), words.next().unwrap());
            lines[index] = format!("{at} {lane} lost 1 removed");
        }
        let trace = Trace::parse_text(&lines.join("\n")).unwrap();
        follows_the_laws("a run", &trace, "");
    }
}
