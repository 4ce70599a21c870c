//! What a field is compared with.

use super::field::Field;
use super::lex::{Operator, Word};
use crate::finding::{Confidence, RuleId, Severity};
use crate::near::nearest;

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// A text that is contained.
    Contains {
        text: String,
        is_exact_case: bool,
    },
    /// A text that is all of it, in either case.
    Equals(String),
    /// A number between these, both included.
    Within(i128, i128),
    /// A number that begins with these hex digits, or a text as in [`Test::Equals`] where it has a name.
    Hex(String),
    /// A number of the kernel's view, likewise.
    OfKernel(i128, i128),
    /// A number, or the text that it was typed as where that is a name.
    Named(i128, i128, String),
    /// A kind of event, or an operation code.
    Word(&'static str),
    /// An operation code.
    Op(u8),
    Rule(Option<RuleId>),
    Severity(Severity, Severity),
    Confidence(Confidence, Confidence),
    Object(Object),
}

/// The parts of `Conn#12 0x55d0c2e0@3` that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) ty: Option<String>,
    pub(crate) is_exact_type: bool,
    pub(crate) number: Option<u32>,
    pub(crate) address: Option<u64>,
    pub(crate) generation: Option<u32>,
}

impl Test {
    /// A text that is contained: in either case, unless it has capitals.
    pub(super) fn contains(text: &str) -> Self {
        Self::Contains {
            is_exact_case: text.chars().any(char::is_uppercase),
            text: text.to_owned(),
        }
    }

    /// Whether a text is what was asked for.
    pub(super) fn text(&self, said: &str) -> bool {
        match self {
            Self::Contains {
                text,
                is_exact_case: true,
            } => said.contains(text.as_str()),
            Self::Contains { text, .. } => said.to_lowercase().contains(text.as_str()),
            Self::Equals(text) | Self::Named(_, _, text) => {
                said.to_lowercase() == text.to_lowercase()
            }
            Self::Word(word) => *word == said,
            _ => false,
        }
    }

    /// Whether a number is.
    pub(super) fn number(&self, said: i128) -> bool {
        match self {
            Self::Within(from, to) | Self::Named(from, to, _) => (*from..=*to).contains(&said),
            Self::Hex(digits) => format!("{said:x}").starts_with(digits.as_str()),
            _ => false,
        }
    }

    /// Whether a number of the kernel's is.
    pub(super) fn number_of_kernel(&self, said: i128) -> bool {
        matches!(self, Self::OfKernel(from, to) if (*from..=*to).contains(&said))
    }
}

/// A typed value for a field, or what is wrong with it.
pub(super) fn test(field: Field, operator: Operator, word: &Word) -> Result<Test, String> {
    let text = word.text.as_str();
    match field {
        Field::Rule => rule(text, operator),
        Field::Severity => {
            let (from, to) = ordered(text, operator, "severity", &SEVERITIES)?;
            Ok(Test::Severity(from, to))
        }
        Field::Confidence => {
            let (from, to) = ordered(text, operator, "confidence", &CONFIDENCES)?;
            Ok(Test::Confidence(from, to))
        }
        Field::Kind => kind(text, operator),
        Field::Op => op(text, operator),
        Field::Object => object(text, operator),
        Field::Time => numbers(text, operator, time),
        Field::Fingerprint | Field::Cookie | Field::Address => match digits(text) {
            Some(digits) if !is_ordered(operator) => Ok(Test::Hex(digits)),
            _ => numbers(text, operator, number),
        },
        Field::Ring => ring(text, operator),
        Field::Slot | Field::Operation | Field::Lane | Field::Fd | Field::Event => {
            numbers(text, operator, number)
        }
        Field::Result => result(text, operator),
        Field::Thread | Field::Process | Field::Coroutine | Field::Scope => named(text, operator),
        Field::Text | Field::Type | Field::Site | Field::Function => plain(text, operator),
    }
}

fn is_ordered(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Less | Operator::AtMost | Operator::More | Operator::AtLeast
    )
}

fn no_order(operator: Operator, of: &str) -> Result<(), String> {
    if is_ordered(operator) {
        return Err(format!("there is no order among {of}; use `:`"));
    }
    Ok(())
}

fn plain(text: &str, operator: Operator) -> Result<Test, String> {
    no_order(operator, "texts")?;
    Ok(match operator {
        Operator::Exactly => Test::Equals(text.to_owned()),
        _ => Test::contains(text),
    })
}

/// A number; behind a `k`, one of the kernel's.
fn ring(text: &str, operator: Operator) -> Result<Test, String> {
    match text.strip_prefix(['k', 'K']) {
        Some(rest) => match numbers(rest, operator, number)? {
            Test::Within(from, to) => Ok(Test::OfKernel(from, to)),
            other => Ok(other),
        },
        None => numbers(text, operator, number),
    }
}

/// A number, else a name.
fn named(text: &str, operator: Operator) -> Result<Test, String> {
    match numbers(text, operator, number) {
        Ok(Test::Within(from, to)) => Ok(Test::Named(from, to, text.to_owned())),
        _ if is_ordered(operator) => Err("a number is needed to compare with".to_owned()),
        _ => plain(text, operator),
    }
}

/// A result: a number, or the name of an error.
fn result(text: &str, operator: Operator) -> Result<Test, String> {
    let upper = text.to_uppercase();
    let known = || (1u32..200).filter_map(crate::names::errno);
    if let Some(code) = (1u32..200).find(|code| crate::names::errno(*code) == Some(upper.as_str()))
    {
        no_order(operator, "errors")?;
        return Ok(Test::Within(-i128::from(code), -i128::from(code)));
    }
    numbers(text, operator, number).map_err(|said| {
        if !upper.starts_with('E') {
            return said;
        }
        match nearest(&upper, known()) {
            Some(near) => format!(
                "no error is called `{}`; did you mean `{near}`?",
                shown(text)
            ),
            None => format!("no error is called `{}`", shown(text)),
        }
    })
}

/// `0x55d0*`: the digits, where that is how it was typed.
fn digits(text: &str) -> Option<String> {
    let start = ["…", "...", "*"]
        .iter()
        .find_map(|end| text.strip_suffix(end))?;
    let digits = start
        .strip_prefix("0x")
        .or_else(|| start.strip_prefix("0X"))?;
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| digits.to_ascii_lowercase())
}

fn number(text: &str) -> Result<i128, String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let rest = rest.strip_prefix('#').unwrap_or(rest);
    let parsed = match rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => rest.replace('_', "").parse(),
    };
    match parsed {
        Ok(number) => Ok(sign * i128::from(number)),
        Err(_) => Err(format!(
            "`{}` is not a number (12, 0x7f, 10..20)",
            shown(text)
        )),
    }
}

fn time(text: &str) -> Result<i128, String> {
    const UNITS: [(&str, u64); 6] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
    ];
    let Some((digits, unit)) = UNITS
        .iter()
        .find_map(|(unit, ns)| Some((text.strip_suffix(unit)?, *ns)))
    else {
        return Err(format!(
            "`{}` is not a time: it needs ns, us, ms, s or min",
            shown(text)
        ));
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let fail = || format!("`{}` is not a time (1ms, 1.5s, 1ms..2ms)", shown(text));
    let whole: u64 = whole.replace('_', "").parse().map_err(|_| fail())?;
    if part.is_empty() || part.len() > 9 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fail());
    }
    // The digits behind the point, as parts of a thousand million.
    let part: u64 = format!("{part:0<9}").parse().map_err(|_| fail())?;
    Ok(i128::from(whole) * i128::from(unit) + i128::from(part) * i128::from(unit) / 1_000_000_000)
}

/// A number or a range, both ends included.
fn numbers(
    text: &str,
    operator: Operator,
    read: fn(&str) -> Result<i128, String>,
) -> Result<Test, String> {
    let (low, high) = (i128::MIN, i128::MAX);
    if let Some((from, to)) = text.split_once("..") {
        no_order(operator, "ranges")?;
        let from = if from.is_empty() { low } else { read(from)? };
        let to = if to.is_empty() { high } else { read(to)? };
        if from > to {
            return Err("the range ends before it begins".to_owned());
        }
        return Ok(Test::Within(from, to));
    }
    let at = read(text)?;
    Ok(match operator {
        Operator::Is | Operator::Exactly | Operator::IsNot => Test::Within(at, at),
        Operator::Less => Test::Within(low, at - 1),
        Operator::AtMost => Test::Within(low, at),
        Operator::More => Test::Within(at + 1, high),
        Operator::AtLeast => Test::Within(at, high),
    })
}

fn rule(text: &str, operator: Operator) -> Result<Test, String> {
    no_order(operator, "rules")?;
    if text.eq_ignore_ascii_case("any") {
        return Ok(Test::Rule(None));
    }
    if let Some(rule) = crate::rules::find(&text.to_lowercase()) {
        return Ok(Test::Rule(Some(rule.id)));
    }
    let names = crate::rules::ALL.iter().map(|rule| rule.name);
    Err(match nearest(text, names) {
        Some(near) => format!("there is no rule `{}`; did you mean `{near}`?", shown(text)),
        None => format!(
            "there is no rule `{}`: `tracer explain` lists them",
            shown(text)
        ),
    })
}

const SEVERITIES: [(&str, Severity); 3] = [
    ("note", Severity::Note),
    ("warning", Severity::Warning),
    ("error", Severity::Error),
];

const CONFIDENCES: [(&str, Confidence); 3] = [
    ("suspected", Confidence::Suspected),
    ("observed", Confidence::Observed),
    ("proved", Confidence::Proved),
];

/// A word of three that have an order, as the span of it that is asked for.
fn ordered<T: Copy>(
    text: &str,
    operator: Operator,
    what: &str,
    words: &[(&str, T); 3],
) -> Result<(T, T), String> {
    let lower = text.to_lowercase();
    let Some(at) = words.iter().position(|word| word.0 == lower) else {
        let known = words.map(|word| format!("`{}`", word.0)).join(", ");
        return Err(format!("`{}` is no {what}: {known}", shown(text)));
    };
    let (from, to) = match operator {
        Operator::Is | Operator::Exactly | Operator::IsNot => (Some(at), Some(at)),
        Operator::Less => (Some(0), at.checked_sub(1)),
        Operator::AtMost => (Some(0), Some(at)),
        Operator::More => (Some(at + 1).filter(|at| *at < 3), Some(2)),
        Operator::AtLeast => (Some(at), Some(2)),
    };
    let value = |at: Option<usize>| at.and_then(|at| words.get(at)).map(|word| word.1);
    match (value(from), value(to)) {
        (Some(from), Some(to)) => Ok((from, to)),
        _ => Err(format!("no {what} is beyond `{lower}`")),
    }
}

fn kind(text: &str, operator: Operator) -> Result<Test, String> {
    no_order(operator, "kinds of events")?;
    let lower = text.to_lowercase().replace('_', "-");
    if let Some(word) = crate::event::KINDS.iter().find(|word| **word == lower) {
        return Ok(Test::Word(word));
    }
    Err(match nearest(&lower, crate::event::KINDS.iter().copied()) {
        Some(near) => format!(
            "no event is called `{}`; did you mean `{near}`?",
            shown(text)
        ),
        None => format!(
            "no event is called `{}`: {}",
            shown(text),
            crate::event::KINDS.join(", ")
        ),
    })
}

fn op(text: &str, operator: Operator) -> Result<Test, String> {
    no_order(operator, "operation codes")?;
    let upper = text.to_uppercase().replace('-', "_");
    if let Some(code) = crate::names::opcode_by_name(&upper) {
        return Ok(Test::Op(code));
    }
    if let Ok(code) = text.parse() {
        return Ok(Test::Op(code));
    }
    let known: Vec<_> = (0..=254).map(crate::names::opcode).collect();
    Err(match nearest(&upper, known.iter().map(AsRef::as_ref)) {
        Some(near) => format!(
            "no operation is called `{}`; did you mean `{near}`?",
            shown(text)
        ),
        None => format!("no operation is called `{}`", shown(text)),
    })
}

/// `Conn#12 0x55d0c2e0@3`, or parts of it; the space may be left out.
fn object(text: &str, operator: Operator) -> Result<Test, String> {
    no_order(operator, "objects")?;
    let mut object = Object {
        is_exact_type: operator == Operator::Exactly,
        ..Object::default()
    };
    let fail = || {
        format!(
            "`{}` is no object: as in Conn, Conn#12, #12@3, 0x55d0c2e0@3",
            shown(text)
        )
    };
    let mut rest = text;
    if let Some((front, generation)) = rest.rsplit_once('@') {
        object.generation = Some(generation.parse().map_err(|_| fail())?);
        rest = front;
    }
    if let Some(at) = rest.find("0x") {
        let (front, address) = rest.split_at_checked(at).ok_or_else(fail)?;
        let address = u64::from_str_radix(address.trim_start_matches("0x"), 16);
        object.address = Some(address.map_err(|_| fail())?);
        rest = front;
    }
    if let Some((front, number)) = rest.trim_end().rsplit_once('#') {
        object.number = Some(number.parse().map_err(|_| fail())?);
        object.is_exact_type = true;
        rest = front;
    }
    let ty = rest.trim();
    object.ty = (!ty.is_empty()).then(|| ty.to_owned());
    if object
        == (Object {
            is_exact_type: object.is_exact_type,
            ..Object::default()
        })
    {
        return Err(fail());
    }
    Ok(Test::Object(object))
}

fn shown(text: &str) -> String {
    crate::tty(text.as_bytes())
}
