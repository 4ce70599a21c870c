//! `tracer explain`: the manual of the rules.

use std::io::{self, Write};

use anyhow::anyhow;
use traces::rules::{self, Rule};

use crate::exit::{CLEAN, Exit, Failure};
use crate::page;

/// How many letters may be wrong in a name that is still recognised.
const SLIPS_MAX: usize = 4;

/// The command: one rule's page, or the list of all.
pub(crate) fn run(wanted: Option<&str>) -> Result<Exit, Failure> {
    let text = match wanted {
        None => list(),
        Some(wanted) => {
            let rule = find(wanted).ok_or_else(|| unknown(wanted))?;
            rules::explain(rule, page::width())
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Code(CLEAN))
}

fn list() -> String {
    let mut list = String::new();
    for rule in rules::ALL {
        list += &format!("{}  {}\n", rule.id, rule.name);
    }
    list + "\n`tracer explain RULE` says what one of them looks for.\n"
}

/// As people type it: `T02`, `t2`, `2`, `leftover-cookie`, `Leftover Cookie`.
fn find(wanted: &str) -> Option<&'static Rule> {
    let typed = wanted.trim().to_lowercase().replace([' ', '_'], "-");
    let is_number = !typed.is_empty() && typed.bytes().all(|byte| byte.is_ascii_digit());
    rules::find(&if is_number {
        format!("t{typed}")
    } else {
        typed
    })
}

fn unknown(wanted: &str) -> Failure {
    let shown = crate::safe::os(wanted.as_ref());
    let typed = wanted.to_lowercase();
    let nearest = rules::ALL
        .iter()
        .map(|rule| (slips(&typed, rule.name), rule))
        .min_by_key(|(slips, _)| *slips)
        .filter(|(slips, _)| *slips <= SLIPS_MAX);
    let hint = match nearest {
        Some((_, rule)) => format!("did you mean {} {}?", rule.id, rule.name),
        None => "`tracer explain` lists them all".to_owned(),
    };
    anyhow!("there is no rule `{shown}`; {hint}").into()
}

/// Letters to change, add or leave out to make one word of the other. Words that are much longer than
/// any name are not looked at.
fn slips(typed: &str, name: &str) -> usize {
    if typed.len() > 2 * name.len() {
        return usize::MAX;
    }
    let name: Vec<char> = name.chars().collect();
    let mut costs: Vec<usize> = (0..=name.len()).collect();
    for (row, letter) in typed.chars().enumerate() {
        let mut diagonal = row;
        costs[0] = row + 1;
        for (column, other) in name.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = costs[column + 1];
            costs[column + 1] = replaced.min(diagonal + 1).min(costs[column] + 1);
        }
    }
    costs[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted_as_people_make_them() {
        assert_eq!(slips("leftover-cookie", "leftover-cookie"), 0);
        assert_eq!(slips("leftover-cooke", "leftover-cookie"), 1);
        assert_eq!(slips("lefover-cokie", "leftover-cookie"), 2);
        assert_eq!(slips("", "abc"), 3);
        assert_eq!(slips("xyz", "abc"), 3);
        assert_eq!(slips(&"x".repeat(1_000_000), "abc"), usize::MAX);
    }

    #[test]
    fn rules_are_found_as_people_type_them() {
        for typed in [
            "T02",
            "t2",
            "2",
            "leftover-cookie",
            "Leftover Cookie",
            "leftover_cookie",
        ] {
            assert_eq!(find(typed).map(|rule| rule.id.0), Some(2), "{typed}");
        }
        for typed in ["", "T", "T99", "T256", "-1", "cookie"] {
            assert!(find(typed).is_none(), "{typed}");
        }
    }

    #[test]
    fn unknown_rule_gets_the_nearest_name() {
        let message = |typed| unknown(typed).error.to_string();
        assert!(message("leftover").contains("lists them all"));
        assert!(message("leftovr-cooky").contains("did you mean T02 leftover-cookie?"));
        assert!(!message("\x1b[2J").contains('\x1b'));
    }
}
