//! The filter grammar: one for events, findings, suppressions and screens.
//!
//! ```text
//! rule:T02                 findings of a rule, and the events that they rest on
//! kind:submit op:recv      both: words that stand beside each other must all be true
//! thread:worker or lane:3  either; `and`, `or`, `not`, `!` and parentheses as usual
//! time:1ms..2ms            from and to, both included; an end may be left out
//! cookie:0x55d0*           a word by its first digits; object:Conn#12, site:conn.rs:88
//! severity>=warning        < <= > >= where there is an order, = exactly, != not
//! rule:T02,T03             one of several
//! "timed out"              a text anywhere in the line; plain words need no quotes
//! ```
//!
//! To use it: [`Filter::parse`] what was typed (an error points at its place, see [`FilterError::pointed`]),
//! [`Filter::prepare`] it for a trace, once; then ask [`Prepared::event`] for each event, or
//! [`Prepared::story`] for each story. A filter keeps no reference to the trace, so that whoever owns
//! both can keep both. [`FIELDS`] is the only list of the fields; [`help`] is made from it.
//!
//! Reading order: `field` (what can be asked for), `lex` and `parse` (text into terms), `value` (what a
//! term compares with), `prepared` (the answer), `facts` (what an event has to say).

mod error;
mod facts;
mod field;
mod lex;
mod parse;
mod prepared;
mod value;

pub use error::FilterError;
#[cfg(feature = "export")]
pub(crate) use facts::ring;
pub use field::{FIELDS, Field, FieldHelp};
pub use prepared::Prepared;

use crate::trace::Trace;
use value::Test;

/// Bytes that a filter may have: more than anybody types.
pub const TEXT_MAX: usize = 4096;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    text: String,
    expression: Expression,
}

/// Terms and what joins them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Expression {
    /// Everything.
    #[default]
    All,
    Term(Term),
    Not(Box<Expression>),
    Both(Vec<Expression>),
    Either(Vec<Expression>),
}

/// One question: true if one of its tests is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    field: Field,
    tests: Vec<Test>,
}

impl Filter {
    /// Reads a filter; an empty one lets everything through.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self {
            expression: parse::parse(text)?,
            text: text.to_owned(),
        })
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.expression == Expression::All
    }

    /// Makes it ready for a trace: goes once over its findings, if it asks for them, and over no events.
    pub fn prepare(&self, trace: &Trace) -> Prepared {
        Prepared::new(&self.expression, trace)
    }
}

/// The manual of the grammar, wrapped to `width` columns.
pub fn help(width: usize) -> String {
    const HEAD: &str = "Filters\n\n  \
        Words that stand beside each other must all be true; `and`, `or`, `not` and parentheses join \
        them.\n  FIELD:VALUE asks for a field, any other word for a text in the line. Texts are \
        contained, in either case unless they have capitals; FIELD=VALUE is exact, FIELD!=VALUE is not. \
        Numbers and times have < <= > >= and ranges FROM..TO, both ends included. VALUE,VALUE is either. \
        Quotes keep spaces, commas and parentheses together.";
    let mut out = String::new();
    for paragraph in HEAD.split('\n') {
        if paragraph.is_empty() {
            out.push('\n');
            continue;
        }
        let indent = if paragraph.starts_with(' ') { "  " } else { "" };
        for line in crate::report::wrap(paragraph, width.saturating_sub(indent.len())) {
            out.push_str(&format!("{indent}{line}\n"));
        }
    }
    out.push('\n');
    for field in FIELDS {
        let lead = format!("  {:<12} ", field.name);
        let room = width.saturating_sub(lead.len());
        for (index, line) in crate::report::wrap(field.help, room).iter().enumerate() {
            let lead = if index == 0 {
                lead.clone()
            } else {
                " ".repeat(lead.len())
            };
            out.push_str(&format!("{lead}{line}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
