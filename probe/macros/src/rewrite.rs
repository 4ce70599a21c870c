//! The rewriting: each path that ends in a function of an owner becomes the probe's function of the
//! same meaning, with the owner as its type argument: `Rc::from_raw` becomes
//! `::probe::from_raw::<Rc<_>>`. The type stays in the code, so that the compiler resolves it, infers
//! and coerces as before, and no import becomes unused.

use proc_macro::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};

use crate::options::{Options, Owner};
use crate::paths::{self, Call, Head, is_punct, is_word};
use crate::{double_colon, punct};

/// What stands for a call.
enum Instead {
    /// A function of the probe, which takes the owner as its type argument.
    Function(&'static str),
    /// As it, without a type argument.
    Plain(&'static str),
    /// A macro of the probe, which is given the path that stood here and the arguments.
    Macro(&'static str),
}

/// What is known at a place of the code.
#[derive(Clone, Copy)]
struct Place<'a> {
    options: &'a Options,
    /// What `Self` is, in an impl block of an owner.
    me: Option<Owner>,
}

/// Rewrites a function, an impl block or an inline module.
pub(crate) fn item(item: TokenStream, options: &Options) -> TokenStream {
    stream(item, Place { options, me: None })
}

fn stream(tokens: TokenStream, mut place: Place<'_>) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let outside = place.me;
    let mut out = TokenStream::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let rest = &tokens[at..];
        let before = at.checked_sub(1).and_then(|index| tokens.get(index));
        if is_word(token, "impl") && begins_item(before) {
            place.me = subject(rest).and_then(|of| owner(&paths::head(of)?, place));
        }
        // A method's name and a lifetime are no paths.
        let no_path = before.is_some_and(|before| is_punct(before, '.') || is_punct(before, '\''));
        let (length, call) = match paths::path(rest) {
            Some(found) if !no_path => found,
            _ => (1, None),
        };
        let end = tokens.get(at + length);
        match call.and_then(|call| Some((instead(&call, place)?, call))) {
            Some((Instead::Macro(name), call)) => {
                if let Some(TokenTree::Group(arguments)) = end
                    && arguments.delimiter() == Delimiter::Parenthesis
                {
                    out.extend(as_macro(name, rest, &call, arguments, place));
                    at += length + 1;
                    continue;
                }
                out.extend(rest[..length].iter().cloned());
            }
            Some((Instead::Function(name), call)) => out.extend(as_function(name, &call, place)),
            Some((Instead::Plain(name), call)) => out.extend(to_probe(name, &call, place)),
            None => {
                for token in &rest[..length] {
                    out.extend([inside(token, place)]);
                }
            }
        }
        at += length;
        if matches!(tokens.get(at - 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace)
        {
            place.me = outside;
        }
    }
    out
}

/// A token, with what is inside it rewritten.
fn inside(token: &TokenTree, place: Place<'_>) -> TokenTree {
    match token {
        TokenTree::Group(group) => {
            let mut new = Group::new(group.delimiter(), stream(group.stream(), place));
            new.set_span(group.span());
            new.into()
        }
        token => token.clone(),
    }
}

/// Whether an item can begin behind this token.
fn begins_item(before: Option<&TokenTree>) -> bool {
    match before {
        None => true,
        Some(TokenTree::Group(group)) => group.delimiter() != Delimiter::Parenthesis,
        Some(token) => is_punct(token, ';') || is_word(token, "unsafe"),
    }
}

/// The type that an impl block is of: behind `for`, or behind the parameters.
fn subject(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let end = tokens.iter().position(|token| {
        is_word(token, "where")
            || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    })?;
    let header = &tokens[1..end];
    let parameters = match header.first() {
        Some(token) if is_punct(token, '<') => paths::arguments(header)?,
        _ => 0,
    };
    let header = &header[parameters..];
    // `for<'a>` belongs to a type.
    let behind_for = header.iter().enumerate().rposition(|(index, token)| {
        is_word(token, "for")
            && !header
                .get(index + 1)
                .is_some_and(|next| is_punct(next, '<'))
    });
    Some(&header[behind_for.map_or(0, |index| index + 1)..])
}

/// The owner that a type's name stands for at a place.
fn owner(head: &Head, place: Place<'_>) -> Option<Owner> {
    let owner = match head.name.as_str() {
        "Self" if head.parent.is_none() => place.me?,
        name => place.options.owner(name)?,
    };
    Some(Owner {
        generic: owner.generic && !head.has_arguments && head.name != "Self",
        ..owner
    })
}

fn instead(call: &Call<'_>, place: Place<'_>) -> Option<Instead> {
    let function = call.function.to_string();
    let head = paths::head(call.of)?;
    if head.name == "mem" && function == "forget" {
        return Some(Instead::Macro("__forget"));
    }
    let owner = owner(&head, place)?.name;
    Some(match (owner, function.as_str()) {
        ("Box" | "Rc" | "Arc" | "Weak" | "CString", "into_raw") => Instead::Function("into_raw"),
        ("Box" | "Rc" | "Arc" | "Weak" | "CString", "from_raw") => Instead::Function("from_raw"),
        ("Rc" | "Arc", "increment_strong_count") => Instead::Function("retain"),
        ("Rc" | "Arc", "decrement_strong_count") => Instead::Function("release"),
        ("Box" | "Vec", "leak") => Instead::Function("leak"),
        ("Vec", "from_raw_parts") => Instead::Plain("vec_from_raw_parts"),
        ("ManuallyDrop", "new") => Instead::Macro("__manually_drop"),
        ("ManuallyDrop", "into_inner") => Instead::Macro("__into_inner"),
        ("ManuallyDrop", "take") => Instead::Macro("__take"),
        ("ManuallyDrop", "drop") => Instead::Macro("__drop_inner"),
        _ => return None,
    })
}

/// `::probe::name::<Type<_>>`
fn as_function(name: &str, call: &Call<'_>, place: Place<'_>) -> TokenStream {
    let at = call.function.span();
    let mut out = to_probe(name, call, place);
    out.extend(double_colon(at));
    out.extend([punct('<', Spacing::Alone, at)]);
    out.extend(call.of.iter().cloned());
    let wants_argument = paths::head(call.of)
        .and_then(|head| owner(&head, place))
        .is_some_and(|owner| owner.generic);
    if wants_argument {
        out.extend([
            punct('<', Spacing::Alone, at),
            Ident::new("_", at).into(),
            punct('>', Spacing::Alone, at),
        ]);
    }
    out.extend([punct('>', Spacing::Alone, at)]);
    out
}

/// `::probe::name!(path, arguments)`
fn as_macro(
    name: &str,
    path: &[TokenTree],
    call: &Call<'_>,
    arguments: &Group,
    place: Place<'_>,
) -> TokenStream {
    let at = call.function.span();
    let mut out = to_probe(name, call, place);
    let mut contents: TokenStream = path[..call.length].iter().cloned().collect();
    contents.extend([punct(',', Spacing::Alone, at)]);
    contents.extend(stream(arguments.stream(), place));
    let mut group = Group::new(Delimiter::Parenthesis, contents);
    group.set_span(arguments.span());
    out.extend([punct('!', Spacing::Alone, at), group.into()]);
    out
}

/// `::probe::name`
fn to_probe(name: &str, call: &Call<'_>, place: Place<'_>) -> TokenStream {
    let at: Span = call.function.span();
    let mut out = place.options.probe(at);
    out.extend(double_colon(at));
    out.extend([TokenTree::from(Ident::new(name, at))]);
    out
}
