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

#[cfg(test)]
mod tests {
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
