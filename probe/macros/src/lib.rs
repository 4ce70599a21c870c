//! Attribute macros of the probe. No dependency, not even a parser of Rust: what the macros look for
//! are paths, and those can be found in the tokens. That also reaches into the arguments of other
//! macros, which a syntax tree does not show.

#![forbid(unsafe_code)]

mod options;
mod paths;
mod rewrite;
mod test;

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// Has the standard library's ways to give ownership away recorded where they are called by path.
///
/// Documented at `probe::instrument`, where it is used from.
#[proc_macro_attribute]
pub fn instrument(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match options::read(arguments) {
        Ok(options) => rewrite::item(item, &options),
        Err(problem) => {
            let mut out = error(&problem);
            out.extend(item);
            out
        }
    }
}

/// A test in a scope of its own.
///
/// Documented at `probe::test`, where it is used from.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    test::item(arguments, item.clone()).unwrap_or_else(|problem| {
        let mut out = error(&problem);
        out.extend(item);
        out
    })
}

/// What is wrong with the attribute's arguments, and where.
struct Problem {
    at: Span,
    text: String,
}

/// `::core::compile_error!("text");` at a place.
fn error(problem: &Problem) -> TokenStream {
    let mut text = Literal::string(&problem.text);
    text.set_span(problem.at);
    let mut out = path(&["core", "compile_error"], problem.at);
    let mut arguments = Group::new(Delimiter::Parenthesis, TokenTree::from(text).into());
    arguments.set_span(problem.at);
    out.extend([
        punct('!', Spacing::Alone, problem.at),
        arguments.into(),
        punct(';', Spacing::Alone, problem.at),
    ]);
    out
}

/// `::a::b`
fn path(segments: &[&str], at: Span) -> TokenStream {
    let mut out = TokenStream::new();
    for segment in segments {
        out.extend(double_colon(at));
        out.extend([TokenTree::from(Ident::new(segment, at))]);
    }
    out
}

fn double_colon(at: Span) -> [TokenTree; 2] {
    [
        punct(':', Spacing::Joint, at),
        punct(':', Spacing::Alone, at),
    ]
}

fn punct(character: char, spacing: Spacing, at: Span) -> TokenTree {
    let mut punct = Punct::new(character, spacing);
    punct.set_span(at);
    punct.into()
}
