//! `#[probe::test]`: the body of a test in a scope of its own.
//!
//! The function stays what it was but for its body, which becomes a closure that `probe::in_test` runs; with
//! `#[should_panic]` another one of those. The body of an `async fn` is handed to the executor that the argument
//! names.

use proc_macro::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};

use crate::paths::{is_punct, is_word};
use crate::{Problem, path, punct};

const USAGE: &str =
    "expected `executor = path::to::block_on`, for an `async` test, or `crate = path`";

/// What the attribute is told.
struct Options {
    executor: Option<TokenStream>,
    probe: Option<TokenStream>,
}

fn options(arguments: TokenStream) -> Result<Options, Problem> {
    let mut options = Options {
        executor: None,
        probe: None,
    };
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    for argument in tokens.split(|token| is_punct(token, ',')) {
        let problem = |at: &TokenTree| Problem {
            at: at.span(),
            text: USAGE.to_owned(),
        };
        match argument {
            [] => {}
            [TokenTree::Ident(name), equals, value @ ..]
                if is_punct(equals, '=') && !value.is_empty() =>
            {
                let value = value.iter().cloned().collect();
                match &*name.to_string() {
                    "executor" => options.executor = Some(value),
                    "crate" => options.probe = Some(value),
                    _ => return Err(problem(&argument[0])),
                }
            }
            [first, ..] => return Err(problem(first)),
        }
    }
    Ok(options)
}

/// The test.
pub(crate) fn item(arguments: TokenStream, item: TokenStream) -> Result<TokenStream, Problem> {
    let options = options(arguments)?;
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let wrong = |at: Option<&TokenTree>, text: &str| Problem {
        at: at.map_or_else(Span::call_site, TokenTree::span),
        text: text.to_owned(),
    };
    let name = tokens.iter().position(|token| is_word(token, "fn"));
    let Some(name) = name.map(|at| at + 1) else {
        return Err(wrong(
            tokens.first(),
            "`#[probe::test]` belongs on a function",
        ));
    };
    match tokens.get(name + 1) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
            if let Some(argument) = group.stream().into_iter().next() {
                return Err(wrong(Some(&argument), "a test takes no arguments"));
            }
        }
        other => return Err(wrong(other, "a test has no type parameters")),
    }
    let has_attribute = |wanted: &str| {
        tokens.iter().take(name).any(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                let first = group.stream().into_iter().next();
                first.is_some_and(|first| is_word(&first, wanted))
            }
            _ => false,
        })
    };
    let should_panic = has_attribute("should_panic");
    if has_attribute("test") {
        return Err(wrong(
            tokens.get(name),
            "`#[probe::test]` is the test's attribute: leave `#[test]` out",
        ));
    }
    let at = tokens
        .get(name)
        .map_or_else(Span::call_site, TokenTree::span);
    let is_async = tokens
        .iter()
        .take(name)
        .position(|token| is_word(token, "async"));
    let Some(TokenTree::Group(body)) = tokens.pop() else {
        return Err(wrong(tokens.get(name), "a test has a body"));
    };
    let body = match (is_async, options.executor) {
        (Some(index), Some(executor)) => {
            tokens.remove(index);
            run_by(executor, body, at)
        }
        (Some(index), None) => {
            return Err(wrong(
                tokens.get(index),
                "an `async` test needs a function that runs it: `#[probe::test(executor = my_runtime::block_on)]`",
            ));
        }
        (None, Some(_)) => {
            return Err(wrong(
                tokens.get(name),
                "only an `async` test is run by an executor",
            ));
        }
        (None, None) => body.stream(),
    };
    let probe = options.probe.unwrap_or_else(|| path(&["probe"], at));
    let mut out = TokenStream::from(punct('#', Spacing::Alone, at));
    let attribute = path(&["core", "prelude", "v1", "test"], at);
    out.extend([TokenTree::from(Group::new(Delimiter::Bracket, attribute))]);
    out.extend(tokens);
    let judge = if should_panic { "panics" } else { "clean" };
    let whole = in_scope(&probe, judge, body, at);
    out.extend([TokenTree::from(Group::new(Delimiter::Brace, whole))]);
    Ok(out)
}

/// `executor(async move { body })`
fn run_by(executor: TokenStream, body: Group, at: Span) -> TokenStream {
    let mut future = TokenStream::new();
    future.extend([
        TokenTree::from(Ident::new("async", at)),
        TokenTree::from(Ident::new("move", at)),
        TokenTree::from(body),
    ]);
    let mut out = executor;
    out.extend([TokenTree::from(Group::new(Delimiter::Parenthesis, future))]);
    out
}

/// `probe::in_test::clean(probe::scope(), || { body })`, or `probe::in_test::panics(|| probe::scope(), || { body })`:
/// a scope that cannot be opened panics, which is not the panic that is asked for.
fn in_scope(probe: &TokenStream, judge: &str, body: TokenStream, at: Span) -> TokenStream {
    let of_probe = |names: &[&str]| {
        let mut out = probe.clone();
        for name in names {
            out.extend(crate::double_colon(at));
            out.extend([TokenTree::from(Ident::new(name, at))]);
        }
        out
    };
    let no_arguments = || {
        [
            punct('|', Spacing::Joint, at),
            punct('|', Spacing::Alone, at),
        ]
    };
    let mut arguments = TokenStream::new();
    if judge == "panics" {
        arguments.extend(no_arguments());
    }
    arguments.extend(of_probe(&["scope"]));
    arguments.extend([
        TokenTree::from(Group::new(Delimiter::Parenthesis, TokenStream::new())),
        punct(',', Spacing::Alone, at),
    ]);
    arguments.extend(no_arguments());
    arguments.extend([TokenTree::from(Group::new(Delimiter::Brace, body))]);
    let mut out = of_probe(&["in_test", judge]);
    out.extend([TokenTree::from(Group::new(
        Delimiter::Parenthesis,
        arguments,
    ))]);
    out
}
