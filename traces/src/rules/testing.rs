//! How rules are tested: a text trace whose arrows say what the rule must find, and where.

use super::{Draft, History, Key, Rule};
use crate::finding::Subject;
use crate::model::{GenerationId, OperationId};
use crate::trace::Trace;

/// Compares *all* findings of the rule with *all* arrows `<- part of the message`, and *all* its
/// unanswered questions with *all* arrows `<? part of the message`. A fixture without an arrow is a
/// test for silence. An arrow stands at the event that the finding points at. In brackets in front of the
/// message stands how sure it is, how bad, and what it rests on, as far as the fixture cares: `[suspected]`,
/// `[warning since:3]`, `[proved own]`, `[whole]`.
///
/// With all lanes in a scope everything is found as before, and belongs to it. Where no rule finds anything, none does when
/// records are missing.
#[track_caller]
pub(crate) fn check_rule(rule: &Rule, fixture: &str) {
    let trace = match Trace::parse_text(fixture) {
        Ok(trace) => trace,
        Err(error) => panic!("fixture: {error}\n{fixture}"),
    };
    // Judged event by event, without all of them at hand, it is the same.
    let checked = Trace::check_text(fixture).expect("it was read before");
    assert_eq!(checked.verdict(), trace.verdict());
    let report = |trace| crate::report::text(trace, 100);
    assert_eq!(report(&checked), report(&trace));
    all_belongs_to_its_scope(rule, fixture, &trace);
    if trace.verdict().stories.is_empty() {
        no_loss_makes_a_finding(fixture);
    }
    for draft in &trace.judged.drafts {
        if draft.finding.rule == rule.id {
            is_tied_to_its_subject(draft);
        }
    }
    let mut event = 0;
    let mut wanted = Vec::new();
    for line in fixture.lines() {
        let first = line.trim_start();
        if !first.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        for (mark, answered) in [("<-", true), ("<?", false)] {
            if let Some((_, text)) = line.split_once(mark) {
                let (facts, text) = facts_of(text.trim());
                wanted.push((event, answered, text.to_owned(), facts));
            }
        }
        event += 1;
    }
    let mut found: Vec<(u64, bool, String, String)> = Vec::new();
    for draft in &trace.judged.drafts {
        if draft.finding.rule == rule.id {
            found.push((
                draft.finding.first_cause.0,
                true,
                draft.finding.message.clone(),
                said(draft),
            ));
        }
    }
    for question in &trace.verdict().cannot_tell {
        if question.rule == rule.id {
            found.push((
                question.at.0,
                false,
                question.message.clone(),
                String::new(),
            ));
        }
    }
    found.sort();
    wanted.sort();
    let fits = found.len() == wanted.len()
        && found.iter().zip(&wanted).all(|(found, wanted)| {
            let mut facts = wanted.3.split_whitespace();
            (found.0, found.1) == (wanted.0, wanted.1)
                && found.2.contains(&wanted.2)
                && facts.all(|fact| found.3.split_whitespace().any(|known| known == fact))
        });
    assert!(
        fits,
        "{}\nwanted {wanted:#?}\nfound {found:#?}\nin\n{}",
        rule.name,
        trace.to_text()
    );
}

/// What a finding is about is among what ties it to others, and where it points is among what it rests on.
fn is_tied_to_its_subject(draft: &Draft) {
    let finding = &draft.finding;
    let key = match finding.subject {
        Subject::Generation {
            process,
            address,
            generation: number @ 1..,
        } => Some(Key::from(GenerationId {
            process,
            address,
            number,
        })),
        Subject::Operation {
            process,
            ring,
            sequence,
        } => Some(Key::from(OperationId {
            process,
            ring,
            sequence,
        })),
        Subject::Coroutine { process, coroutine } => Some(Key::Coroutine(process, coroutine)),
        // No generation of it is known; a word is shared by whoever happens to have it.
        Subject::Generation { .. } | Subject::Cookie { .. } => None,
    };
    assert!(
        key.is_none_or(|key| draft.keys.contains(&key)),
        "{draft:#?}"
    );
    let mut evidence = finding.evidence.iter();
    let points_at = evidence.any(|evidence| evidence.event == finding.first_cause);
    assert!(points_at, "{draft:#?}");
}

/// The words in brackets in front of an arrow's message, and the message.
fn facts_of(text: &str) -> (String, &str) {
    let rest = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    rest.map_or((String::new(), text), |(facts, text)| {
        (facts.to_owned(), text.trim_start())
    })
}

/// What such words are held against.
fn said(draft: &Draft) -> String {
    let history = match draft.history {
        History::Own => "own".to_owned(),
        History::Whole => "whole".to_owned(),
        History::Since(event) => format!("since:{}", event.0),
    };
    let finding = &draft.finding;
    format!("{:?} {:?} {history}", finding.confidence, finding.severity).to_lowercase()
}

/// Takes up to so many events in a row away, each in turn, and says so.
const LOST_IN_A_ROW: usize = 3;

/// A fixture of more events is there for its length.
const LONG: usize = 40;

/// What its writer would know of each process all the same is missing, too, or is there.
#[track_caller]
fn no_loss_makes_a_finding(fixture: &str) {
    let lines: Vec<&str> = fixture.lines().map(str::trim).collect();
    let is_event = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    let of_head = |line: &&str| !line.is_empty() && !line.starts_with('#') && !is_event(line);
    let mut head: Vec<String> = lines
        .iter()
        .copied()
        .filter(of_head)
        .map(str::to_owned)
        .collect();
    let events: Vec<&str> = lines.iter().copied().filter(is_event).collect();
    if events.len() > LONG {
        return;
    }
    let words = |line: &str| -> Vec<String> {
        let line = line.split(" <").next().unwrap_or(line);
        line.split_whitespace().map(str::to_owned).collect()
    };
    let at = |index: usize| events.get(index).map(|line| words(line)).expect("an event");
    let check = |head: &[String], from: usize, to: usize| {
        let mut text = head.join("\n");
        for (index, line) in events.iter().enumerate() {
            let words = words(line);
            let [time, lane, kind, ..] = words.as_slice() else {
                continue;
            };
            text += "\n";
            match (from..to).contains(&index) && kind != "lost" {
                true => text += &format!("{time} {lane} lost 1 removed"),
                false => text += line,
            }
        }
        let trace = Trace::check_text(&text).expect("it was read before");
        let found = &trace.verdict().stories;
        let found: Vec<_> = found.iter().map(|story| &story.head.message).collect();
        assert!(
            found.is_empty(),
            "{found:#?} without the events {from}..{to} of\n{text}"
        );
    };
    let all = |head: &[String]| {
        for from in 0..events.len() {
            for to in from + 1..=(from + LOST_IN_A_ROW).min(events.len()) {
                check(head, from, to);
            }
        }
    };
    all(&head);
    let lasting: Vec<String> = (0..events.len())
        .map(at)
        .filter(|words| {
            words.get(2).is_some_and(|kind| {
                matches!(kind.as_str(), "ring-create" | "scheme" | "shared" | "spawn")
            })
        })
        .filter_map(|words| {
            let (time, what) = (words.first()?, words.get(2..)?);
            Some(format!("lasting 0 {time} {}", what.join(" ")))
        })
        .collect();
    // One process says it all, as a rule; whose lanes are whose is nothing to find out here.
    if !lasting.is_empty() && !head.iter().any(|line| line.starts_with("process 1")) {
        match head.iter_mut().find(|line| line.starts_with("process 0")) {
            Some(process) if process.contains("lasting=whole") => {}
            Some(process) => *process += " lasting=whole",
            None => head.insert(0, "process 0 lasting=whole".to_owned()),
        }
        head.extend(lasting);
        all(&head);
    }
}

/// Puts all lanes of a fixture into one scope from its first event on.
fn all_belongs_to_its_scope(rule: &Rule, fixture: &str, trace: &Trace) {
    let is_event = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let mut lanes: Vec<&str> = Vec::new();
    for line in fixture.lines().filter(is_event) {
        let lane = line.split_whitespace().nth(1).expect("a lane");
        if !lanes.contains(&lane) {
            lanes.push(lane);
        }
    }
    let mut text = String::new();
    let mut is_first = true;
    for line in fixture.lines() {
        if is_event(&line) && std::mem::take(&mut is_first) {
            let time = line.split_whitespace().next().expect("a time");
            let (first, others) = lanes.split_first().expect("the lane of the event");
            text += &format!("{time} {first} scope-begin 77\n");
            for lane in others {
                text += &format!("{time} {lane} scope-enter 77\n");
            }
        }
        text += &format!("{line}\n");
    }
    let of_rule = |trace: &Trace| -> Vec<u32> {
        let drafts = trace.judged.drafts.iter();
        let of_rule = drafts.filter(|draft| draft.finding.rule == rule.id);
        of_rule.map(|draft| draft.finding.scope).collect()
    };
    let scoped = of_rule(&Trace::parse_text(&text).expect("it was read before"));
    assert_eq!(scoped.len(), of_rule(trace).len(), "{text}");
    assert!(scoped.iter().all(|scope| *scope != 0), "{scoped:?}\n{text}");
}
