//! Colours: which one stands for which tone, and on which ground.
//!
//! All but `terminal` and `mono` say both colours of every cell, as numbers of the 256 that every
//! terminal has, so that what is written can be read whatever the terminal's own colours are: a test
//! computes the contrast. `deutan` and `tritan` keep apart what people with these forms of colour
//! blindness would confuse. Colour never says anything alone: signs, words and weight say it too.

use std::fmt;
use std::str::FromStr;

use crate::text::Tone;

/// A set of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// The terminal's own colours.
    #[default]
    Terminal,
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
    /// White on black, with strong colours.
    Contrast,
    /// For red-green colour blindness.
    Deutan,
    /// For blue-yellow colour blindness.
    Tritan,
    /// No colours.
    Mono,
}

impl Theme {
    /// Every theme.
    pub const ALL: [Self; 7] = [
        Self::Terminal,
        Self::Dark,
        Self::Light,
        Self::Contrast,
        Self::Deutan,
        Self::Tritan,
        Self::Mono,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Contrast => "contrast",
            Self::Deutan => "deutan",
            Self::Tritan => "tritan",
            Self::Mono => "mono",
        }
    }

    /// The colours of ordinary text: letters and ground. Nothing where they are the terminal's own.
    pub fn ground(self) -> Option<(u8, u8)> {
        match self {
            Self::Terminal | Self::Mono => None,
            Self::Light => Some((16, 231)),
            Self::Dark | Self::Deutan | Self::Tritan => Some((252, 234)),
            Self::Contrast => Some((231, 16)),
        }
    }

    /// The colour of a tone; that of ordinary text where there is none.
    pub fn colour(self, tone: Tone) -> Option<u8> {
        // In the order of the arms: error, warning, note, unsure, place, faint.
        let [error, warning, note, unsure, place, faint] = match self {
            Self::Mono => return None,
            Self::Terminal => [1, 3, 6, 5, 2, 0],
            Self::Dark => [210, 221, 117, 183, 114, 247],
            Self::Light => [124, 94, 24, 90, 22, 240],
            Self::Contrast => [217, 226, 123, 219, 157, 252],
            // Orange and blues: no red against green.
            Self::Deutan => [208, 229, 117, 153, 75, 247],
            // Reds and greens: no blue against yellow.
            Self::Tritan => [203, 218, 80, 224, 79, 247],
        };
        match tone {
            Tone::Error => Some(error),
            Tone::Warning => Some(warning),
            Tone::Note => Some(note),
            Tone::Unsure => Some(unsure),
            Tone::Place => Some(place),
            // The terminal's own faint is its ordinary colour, dimmed.
            Tone::Faint if self != Self::Terminal => Some(faint),
            Tone::Plain | Tone::Strong | Tone::Faint => None,
        }
    }

    /// Whether faint text is dimmed by the terminal rather than by a colour that is known to be read.
    pub fn dims(self) -> bool {
        self.ground().is_none()
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Theme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|theme| theme.name() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!(
                "no theme is called {}; there are {names}",
                traces::tty(text.as_bytes())
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TONES: [Tone; 8] = [
        Tone::Plain,
        Tone::Faint,
        Tone::Strong,
        Tone::Error,
        Tone::Warning,
        Tone::Note,
        Tone::Unsure,
        Tone::Place,
    ];

    /// Red, green and blue of one of the 240 fixed colours, as xterm and its kin have them.
    fn rgb(number: u8) -> [f64; 3] {
        let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
        let [r, g, b] = match number {
            16..=231 => {
                let cube = number - 16;
                [level(cube / 36), level(cube / 6 % 6), level(cube % 6)]
            }
            232.. => [8 + 10 * (number - 232); 3],
            _ => panic!("colour {number} is the terminal's own"),
        };
        [r, g, b].map(|part| f64::from(part) / 255.0)
    }

    fn linear(part: f64) -> f64 {
        if part <= 0.040_45 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    }

    /// Contrast as WCAG 2 defines it: from 1 to 21.
    fn contrast(one: u8, other: u8) -> f64 {
        let luminance = |number: u8| {
            let [r, g, b] = rgb(number).map(linear);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// The colour as somebody without one kind of cone sees it (Viénot, Brettel and Mollon 1999 for
    /// green; Brettel, Viénot and Mollon 1997 in its one-plane form for blue), in linear parts.
    fn seen(number: u8, matrix: [[f64; 3]; 3]) -> [f64; 3] {
        let colour = rgb(number).map(linear);
        matrix.map(|row| {
            let sum: f64 = row.iter().zip(colour).map(|(a, b)| a * b).sum();
            sum.clamp(0.0, 1.0)
        })
    }

    const NO_GREEN: [[f64; 3]; 3] = [
        [0.29275, 0.70725, 0.0],
        [0.29275, 0.70725, 0.0],
        [-0.02234, 0.02234, 1.0],
    ];
    const NO_BLUE: [[f64; 3]; 3] = [
        [1.01277, 0.13548, -0.14826],
        [-0.01243, 0.86812, 0.14431],
        [0.07589, 0.80500, 0.11911],
    ];

    #[test]
    fn the_contrast_is_that_of_the_standard() {
        assert!((contrast(16, 231) - 21.0).abs() < 1e-9);
        assert!((contrast(231, 231) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn everything_can_be_read_on_its_ground() {
        for theme in Theme::ALL {
            let Some((plain, ground)) = theme.ground() else {
                continue;
            };
            for tone in TONES {
                let colour = theme.colour(tone).unwrap_or(plain);
                let found = contrast(colour, ground);
                assert!(found >= 4.5, "{theme} {tone:?} {colour}: {found:.2}");
            }
        }
    }

    #[test]
    fn findings_are_told_apart_without_green_and_without_blue() {
        for (theme, matrix) in [(Theme::Deutan, NO_GREEN), (Theme::Tritan, NO_BLUE)] {
            let tones = [Tone::Error, Tone::Warning, Tone::Note];
            for (at, one) in tones.iter().enumerate() {
                for other in &tones[at + 1..] {
                    let colour = |tone: &Tone| seen(theme.colour(*tone).expect("coloured"), matrix);
                    let (a, b) = (colour(one), colour(other));
                    let apart: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                    assert!(apart.sqrt() > 0.2, "{theme}: {one:?} {other:?} {apart:.3}");
                }
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for theme in Theme::ALL {
            assert_eq!(theme.name().parse(), Ok(theme));
        }
        assert!("pink".parse::<Theme>().is_err());
    }
}
