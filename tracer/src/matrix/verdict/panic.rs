//! What a panic said, as the standard hook prints it.

use super::super::cell::Report;
use super::plain;

/// Longer messages are cut in the table; the log has all of it.
const WIDTH: usize = 160;

/// The first panic of a text.
pub(super) fn report(text: &str) -> Option<Report> {
    let mut lines = text.lines().map(plain);
    let place = lines.find_map(|line| {
        let (thread, place) = line.split_once(" panicked at ")?;
        let place = place.strip_suffix(':')?;
        thread.starts_with("thread '").then(|| place.to_owned())
    })?;
    let message = lines.next().unwrap_or_default();
    Some(Report {
        what: format!("panicked: {}", traces::report::cut(message.trim(), WIDTH)),
        at: Some(place),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_and_place_of_the_first_panic() {
        let text = "\
---- a stdout ----

thread 'a' (4711) panicked at src/lib.rs:3:5:
assertion `left == right` failed
  left: 1
";
        let report = report(text).unwrap();
        assert_eq!(report.what, "panicked: assertion `left == right` failed");
        assert_eq!(report.at.as_deref(), Some("src/lib.rs:3:5"));
        assert_eq!(super::report("he panicked at noon:\n"), None);
    }
}
