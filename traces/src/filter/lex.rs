//! A filter's text into tokens, each with its place.

use std::ops::Range;

use super::error::FilterError;
use super::field::Field;

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// `:`
    Is,
    /// `=`
    Exactly,
    /// `!=`
    IsNot,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// Longer ones first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 7] = [
    ("!=", Operator::IsNot),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    (":", Operator::Is),
    ("=", Operator::Exactly),
    ("<", Operator::Less),
    (">", Operator::More),
];

/// A value as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) at: Range<usize>,
    pub(super) is_quoted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    /// A text to look for.
    Word(Word),
    /// A field, how to compare it, and with which of several values.
    Term(Field, Operator, Vec<Word>),
}

/// The tokens and their places.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, FilterError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    while let Some(next) = lexer.next()? {
        tokens.push(next);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, at: Range<usize>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, at, message)
    }

    fn next(&mut self) -> Result<Option<(Token, Range<usize>)>, FilterError> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(None);
        };
        let single = match first {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '!' => Some(Token::Not),
            _ => None,
        };
        let token = match single {
            Some(token) => {
                self.at += 1;
                token
            }
            None => self.term()?,
        };
        Ok(Some((token, start..self.at)))
    }

    /// A field with its value, a keyword, or a text.
    fn term(&mut self) -> Result<Token, FilterError> {
        let start = self.at;
        if let Some((name, operator, length)) = self.field() {
            let span = start..start + name.len();
            let field = Field::named(&name).ok_or_else(|| self.unknown(&name, span))?;
            self.at += length;
            let words = self.words(start)?;
            return Ok(Token::Term(field, operator, words));
        }
        let word = self.word(false)?;
        let keyword = match word.text.to_ascii_lowercase().as_str() {
            "and" | "&&" => Some(Token::And),
            "or" | "||" => Some(Token::Or),
            "not" => Some(Token::Not),
            _ => None,
        };
        Ok(keyword
            .filter(|_| !word.is_quoted)
            .unwrap_or(Token::Word(word)))
    }

    /// The name of a field, its operator and their length, if that is what comes next. A path
    /// (`conn::serve`), a place (`conn.rs:8`) and a type (`Option<T>`) are texts.
    fn field(&self) -> Option<(String, Operator, usize)> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphabetic() || c == '-' || c == '_';
        let end = rest.find(|c| !is_part(c))?;
        let (name, behind) = rest.split_at_checked(end)?;
        if name.is_empty() || behind.starts_with("::") {
            return None;
        }
        let name = name.to_ascii_lowercase().replace('_', "-");
        let (word, operator) = OPERATORS
            .into_iter()
            .find(|(word, _)| behind.starts_with(word))?;
        // `a<b` is a text, unless it asks for a field.
        let is_certain = matches!(operator, Operator::Is | Operator::Exactly | Operator::IsNot);
        (is_certain || Field::named(&name).is_some()).then_some((name, operator, end + word.len()))
    }

    fn unknown(&self, name: &str, at: Range<usize>) -> FilterError {
        let hint = match crate::near::nearest(name, Field::names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`tracer explain filter` lists the fields; a text with a colon needs quotes"
                .to_owned(),
        };
        let name = crate::tty(name.as_bytes());
        self.error(at, format!("there is no field `{name}`; {hint}"))
    }

    /// Values between commas.
    fn words(&mut self, start: usize) -> Result<Vec<Word>, FilterError> {
        let mut words = Vec::new();
        loop {
            let word = self.word(true)?;
            if word.text.is_empty() {
                let message = "a value is missing here; `\"\"` is the empty text";
                if !word.is_quoted {
                    return Err(self.error(start..self.at.max(start + 1), message));
                }
            }
            words.push(word);
            if !self.rest().starts_with(',') {
                return Ok(words);
            }
            self.at += 1;
        }
    }

    /// Up to a space, a parenthesis or, in a value, a comma; quotes keep those together.
    fn word(&mut self, is_value: bool) -> Result<Word, FilterError> {
        let start = self.at;
        let mut text = String::new();
        let mut is_quoted = false;
        while let Some(next) = self.rest().chars().next() {
            match next {
                '"' => {
                    is_quoted = true;
                    text.push_str(&self.quoted()?);
                    continue;
                }
                '(' | ')' => break,
                ',' if is_value => break,
                _ if next.is_whitespace() => break,
                _ => text.push(next),
            }
            self.at += next.len_utf8();
        }
        let at = start..self.at;
        Ok(Word {
            text,
            at,
            is_quoted,
        })
    }

    /// Between quotes; a backslash keeps the character behind it.
    fn quoted(&mut self) -> Result<String, FilterError> {
        let start = self.at;
        let mut text = String::new();
        let mut is_kept = false;
        for (at, next) in self.rest().char_indices().skip(1) {
            match next {
                _ if is_kept => {
                    text.push(next);
                    is_kept = false;
                }
                '\\' => is_kept = true,
                '"' => {
                    self.at = start + at + 1;
                    return Ok(text);
                }
                _ => text.push(next),
            }
        }
        Err(self.error(start..start + 1, "this quote is not closed"))
    }
}
