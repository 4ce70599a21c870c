//! Places that a command line can name.

use std::fmt;
use std::str::FromStr;

use traces::event::EventId;
use traces::finding::RuleId;

/// Where to start: `finding:3` or `3`, `T02`, `event:41`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goto {
    /// The n-th finding, from 1.
    Finding(usize),
    /// The first finding of a rule, consequences included.
    Rule(RuleId),
    /// An event.
    Event(EventId),
}

/// A text that names no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GotoError;

impl fmt::Display for GotoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a place: say finding:3, T02 or event:41")
    }
}

impl std::error::Error for GotoError {}

impl FromStr for Goto {
    type Err = GotoError;

    fn from_str(text: &str) -> Result<Self, GotoError> {
        let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<u64>().map_err(|_| GotoError),
            false => Err(GotoError),
        };
        let finding = |digits: &str| {
            Ok(Self::Finding(
                number(digits)?.try_into().map_err(|_| GotoError)?,
            ))
        };
        match text.split_once(':') {
            Some(("finding", digits)) => finding(digits),
            Some(("event", digits)) => Ok(Self::Event(EventId(number(digits)?))),
            Some(_) => Err(GotoError),
            None => match text.strip_prefix(['T', 't']) {
                Some(digits) => Ok(Self::Rule(RuleId(
                    number(digits)?.try_into().map_err(|_| GotoError)?,
                ))),
                None => finding(text),
            },
        }
    }
}

impl fmt::Display for Goto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finding(number) => write!(f, "finding {number}"),
            Self::Rule(rule) => write!(f, "finding of {rule}"),
            Self::Event(event) => write!(f, "event {}", event.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_names() {
        assert_eq!("3".parse(), Ok(Goto::Finding(3)));
        assert_eq!("finding:3".parse(), Ok(Goto::Finding(3)));
        assert_eq!("T02".parse(), Ok(Goto::Rule(RuleId(2))));
        assert_eq!("event:41".parse(), Ok(Goto::Event(EventId(41))));
        for wrong in [
            "",
            "T",
            "T999",
            "event:",
            "event:-1",
            "finding:x",
            "+3",
            "thread:1",
        ] {
            assert_eq!(wrong.parse::<Goto>(), Err(GotoError), "{wrong}");
        }
    }
}
