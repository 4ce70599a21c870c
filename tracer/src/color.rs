//! Whether to use colour: what was asked for on the command line beats the environment, and there
//! `NO_COLOR` beats `CLICOLOR_FORCE` beats `CLICOLOR`. In between, a terminal gets colour. And which ground it stands on.

use std::ffi::OsString;

use tui::Theme;

use crate::args::Color;

/// The answer for output that is or is not a terminal.
pub(crate) fn wanted(asked: Color, is_terminal: bool) -> bool {
    decide(asked, is_terminal, |name| std::env::var_os(name))
}

fn decide(asked: Color, is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    match asked {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if set("NO_COLOR").is_some() => false,
        Color::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        Color::Auto if set("CLICOLOR").is_some_and(|value| value == "0") => false,
        Color::Auto if set("TERM").is_some_and(|value| value == "dumb") => false,
        Color::Auto => is_terminal,
    }
}

/// The theme for the background that the environment names: some terminals set `COLORFGBG` to the numbers of their
/// colours, that of the background last. A terminal that can be asked knows better.
pub(crate) fn theme_of_environment() -> Option<Theme> {
    theme_of(std::env::var("COLORFGBG").ok()?.as_str())
}

fn theme_of(colours: &str) -> Option<Theme> {
    match colours.rsplit(';').next()?.parse().ok()? {
        0..=6 | 8 => Some(Theme::Dark),
        7 | 9..=15 => Some(Theme::Light),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn background_of_the_environment_is_its_last_colour() {
        assert_eq!(theme_of("15;0"), Some(Theme::Dark));
        assert_eq!(theme_of("0;default;15"), Some(Theme::Light));
        for unknown in ["", "default;default", "1;16", "15;"] {
            assert_eq!(theme_of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn who_beats_whom() {
        let with = |names: &'static [(&str, &str)]| {
            move |name: &str| {
                let found = names.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            }
        };
        assert!(decide(Color::Auto, true, with(&[])));
        assert!(!decide(Color::Auto, false, with(&[])));
        assert!(!decide(
            Color::Auto,
            true,
            with(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")])
        ));
        assert!(decide(Color::Auto, true, with(&[("NO_COLOR", "")])));
        assert!(decide(
            Color::Auto,
            false,
            with(&[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")])
        ));
        assert!(!decide(Color::Auto, true, with(&[("CLICOLOR", "0")])));
        assert!(!decide(Color::Auto, true, with(&[("TERM", "dumb")])));
        assert!(decide(Color::Always, false, with(&[("NO_COLOR", "1")])));
        assert!(!decide(
            Color::Never,
            true,
            with(&[("CLICOLOR_FORCE", "1")])
        ));
    }
}
