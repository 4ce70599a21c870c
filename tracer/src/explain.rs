//! `tracer explain`: the manual of the rules.

use std::io::{self, Write};

use anyhow::anyhow;
use traces::rules::{self, Rule};

use crate::exit::{CLEAN, Exit, Failure};
use crate::page;

/// What `explain` takes besides rules.
const FILTER: &str = "filter";
const LEVELS: &str = "levels";
const KEYS: &str = "keys";

/// The command: one rule's page, or the list of all.
pub(crate) fn run(wanted: Option<&str>) -> Result<Exit, Failure> {
    let text = match wanted {
        None => list(),
        Some(FILTER) => traces::filter::help(page::width()),
        Some(LEVELS) => rules::levels::table(),
        Some(KEYS) => keys(),
        Some(wanted) => {
            let rule = find(wanted).ok_or_else(|| unknown(wanted))?;
            rules::explain(rule, page::width())
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Code(CLEAN))
}

/// The viewer's keys as a file has them that changes some.
fn keys() -> String {
    format!(
        "# The viewer's commands and their keys. What is in ~/.config/tracer/keymap.toml has other keys: an action\n\
         # for itself, as here.\n{}",
        tui::Keymap::default().text()
    )
}

fn list() -> String {
    let list = rules::list(page::width());
    list + "\n`tracer explain RULE` says what one of them looks for, `tracer explain filter` what filters ask \
            for, `tracer explain levels` what each rule sees without the probe, `tracer explain keys` the \
            viewer's keys.\n"
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
    let names = rules::ALL
        .iter()
        .map(|rule| rule.name)
        .chain([FILTER, LEVELS, KEYS]);
    let nearest = traces::near::nearest(wanted, names);
    let hint = match nearest {
        Some(name) => match rules::find(name) {
            Some(rule) => format!("did you mean {} {name}?", rule.id),
            None => format!("did you mean {name}?"),
        },
        None => "`tracer explain` lists them all".to_owned(),
    };
    anyhow!("there is no rule `{shown}`; {hint}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

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
