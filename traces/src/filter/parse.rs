//! Tokens into an expression: `not` binds closest, then standing side by side (or `and`), then `or`.

use std::ops::Range;

use super::error::FilterError;
use super::field::Field;
use super::lex::{Operator, Token, tokens};
use super::value::{Test, test};
use super::{Expression, TEXT_MAX, Term};

/// Parentheses and `not` within each other: more than anybody needs, and no danger to the stack.
const DEPTH_MAX: usize = 64;

/// Reads a whole text.
pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    if text.len() > TEXT_MAX {
        let message = format!("a filter has at most {TEXT_MAX} bytes");
        return Err(FilterError::new(text, text.len()..text.len(), message));
    }
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    if parser.tokens.is_empty() {
        return Ok(Expression::All);
    }
    let expression = parser.either()?;
    match parser.peek() {
        None => Ok(expression),
        Some((_, at)) => {
            let at = at.clone();
            Err(parser.error(at, "this parenthesis closes nothing"))
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&(Token, Range<usize>)> {
        self.tokens.get(self.at)
    }

    fn takes(&mut self, token: &Token) -> bool {
        let is = self.peek().is_some_and(|next| next.0 == *token);
        self.at += usize::from(is);
        is
    }

    fn error(&self, at: Range<usize>, message: impl Into<String>) -> FilterError {
        FilterError::new(self.text, at, message)
    }

    fn either(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.both()?];
        while self.takes(&Token::Or) {
            parts.push(self.both()?);
        }
        Ok(joined(parts, Expression::Either))
    }

    fn both(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.one()?];
        loop {
            let said = self.takes(&Token::And);
            match self.peek() {
                None | Some((Token::Or | Token::Close, _)) if !said => {
                    return Ok(joined(parts, Expression::Both));
                }
                _ => parts.push(self.one()?),
            }
        }
    }

    fn one(&mut self) -> Result<Expression, FilterError> {
        let Some((token, at)) = self.peek().cloned() else {
            let end = self.text.len();
            return Err(self.error(end..end, "something to look for is missing here"));
        };
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(at, "too many parentheses within each other"));
        }
        let one = match token {
            Token::Not => Expression::Not(Box::new(self.one()?)),
            Token::Open => {
                let inner = self.either()?;
                if !self.takes(&Token::Close) {
                    return Err(self.error(at, "this parenthesis is not closed"));
                }
                inner
            }
            Token::Word(word) => Expression::Term(Term {
                field: Field::Text,
                tests: vec![Test::contains(&word.text)],
            }),
            Token::Term(field, operator, words) => {
                let several = words.len() > 1;
                let tests = words.iter().map(|word| {
                    if several && is_order(operator) {
                        let message = "there is no order among several values";
                        return Err(self.error(word.at.clone(), message));
                    }
                    test(field, operator, word).map_err(|said| self.error(word.at.clone(), said))
                });
                let term = Expression::Term(Term {
                    field,
                    tests: tests.collect::<Result<_, _>>()?,
                });
                match operator {
                    Operator::IsNot => Expression::Not(Box::new(term)),
                    _ => term,
                }
            }
            Token::And | Token::Or | Token::Close => {
                return Err(self.error(at, "something to look for is missing before this"));
            }
        };
        self.depth -= 1;
        Ok(one)
    }
}

fn is_order(operator: Operator) -> bool {
    use Operator::{AtLeast, AtMost, Less, More};
    matches!(operator, Less | AtMost | More | AtLeast)
}

fn joined(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.len() {
        1 => parts.pop().unwrap_or_default(),
        _ => join(parts),
    }
}
