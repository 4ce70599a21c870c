//! The manual page of a rule, made from what the rule says of itself.

use super::Rule;
use crate::report::wrap;

/// The page, wrapped to `width` columns.
pub fn explain(rule: &Rule, width: usize) -> String {
    let mut out = format!("{} {} ({:?})\n", rule.id, rule.name, rule.severity).to_lowercase();
    out.replace_range(0..1, "T");
    let parts = [
        ("Fires", rule.fires),
        ("Stays silent", rule.silent),
        ("Needs", rule.needs),
        ("Points at", rule.points_at),
        ("A real one", rule.example),
        ("Reported as", rule.source),
        ("Try", rule.advice),
    ];
    for (title, text) in parts {
        out.push('\n');
        out.push_str(title);
        out.push('\n');
        for line in wrap(text, width.saturating_sub(2)) {
            out.push_str("  ");
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

/// All rules by number, name and when each fires, wrapped to `width` columns.
pub fn list(width: usize) -> String {
    const NAMES: usize = 31;
    let mut out = String::new();
    for rule in super::ALL {
        let mut head = format!("{}  {}", rule.id, rule.name);
        for line in wrap(rule.brief, width.saturating_sub(NAMES)) {
            out.push_str(&format!("{head:<NAMES$}{line}\n"));
            head.clear();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn list_has_each_rule_and_no_long_line() {
        let list = super::list(80);
        assert!(
            list.lines().all(|line| line.chars().count() <= 80),
            "{list}"
        );
        let heads: Vec<_> = list.lines().filter(|line| line.starts_with('T')).collect();
        assert_eq!(heads.len(), super::super::ALL.len());
        for (head, rule) in heads.iter().zip(super::super::ALL) {
            let (before, brief) = head.split_at(31);
            assert_eq!(before.trim(), format!("{}  {}", rule.id, rule.name));
            assert!(rule.brief.starts_with(brief), "{head}");
        }
    }

    #[test]
    fn every_rule_has_a_whole_page() {
        for rule in super::super::ALL {
            let page = super::explain(rule, 80);
            assert!(page.starts_with(&rule.id.to_string()), "{page}");
            assert!(
                page.lines().all(|line| line.chars().count() <= 80),
                "{page}"
            );
            for text in [
                rule.fires,
                rule.silent,
                rule.needs,
                rule.points_at,
                rule.example,
            ] {
                assert!(text.len() > 5, "{}: {text:?}", rule.id);
            }
            assert!(
                rule.source.contains('#') || rule.source.contains("commit"),
                "{}",
                rule.id
            );
            assert!(super::super::find(rule.name).is_some_and(|found| found.id == rule.id));
            assert!(super::super::find(&rule.id.to_string()).is_some());
        }
    }
}
