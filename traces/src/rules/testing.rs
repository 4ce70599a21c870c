//! How rules are tested: a text trace whose arrows say what the rule must find, and where.

use super::Rule;
use crate::trace::Trace;

/// Compares *all* findings of the rule with *all* arrows `<- part of the message`, and *all* its
/// unanswered questions with *all* arrows `<? part of the message`. A fixture without an arrow is a
/// test for silence. An arrow stands at the event that the finding points at.
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
    let mut event = 0;
    let mut wanted = Vec::new();
    for line in fixture.lines() {
        let first = line.trim_start();
        if !first.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        for (mark, answered) in [("<-", true), ("<?", false)] {
            if let Some((_, text)) = line.split_once(mark) {
                wanted.push((event, answered, text.trim().to_owned()));
            }
        }
        event += 1;
    }
    let mut found: Vec<(u64, bool, String)> = Vec::new();
    for draft in &trace.judged.drafts {
        if draft.finding.rule == rule.id {
            found.push((
                draft.finding.first_cause.0,
                true,
                draft.finding.message.clone(),
            ));
        }
    }
    for question in &trace.verdict().cannot_tell {
        if question.rule == rule.id {
            found.push((question.at.0, false, question.message.clone()));
        }
    }
    found.sort();
    wanted.sort();
    let fits = found.len() == wanted.len()
        && found.iter().zip(&wanted).all(|(found, wanted)| {
            (found.0, found.1) == (wanted.0, wanted.1) && found.2.contains(&wanted.2)
        });
    assert!(
        fits,
        "{}\nwanted {wanted:#?}\nfound {found:#?}\nin\n{}",
        rule.name,
        trace.to_text()
    );
}
