//! Paths in a stream of tokens.

use proc_macro::{Ident, TokenTree};

/// `Type::function`, as it stands in the code.
pub(crate) struct Call<'a> {
    /// The type, with its arguments where it has some: `Rc`, `std::rc::Rc::<Conn>`, and of
    /// `<Rc<Conn>>::from_raw` what stands between the angle brackets.
    pub(crate) of: &'a [TokenTree],
    pub(crate) function: &'a Ident,
    /// Tokens of the whole.
    pub(crate) length: usize,
}

/// What a type says of itself before anything is known of it.
pub(crate) struct Head {
    /// Last segment of its path.
    pub(crate) name: String,
    /// The segment before it, if any.
    pub(crate) parent: Option<String>,
    /// Whether type arguments follow.
    pub(crate) has_arguments: bool,
}

/// The path that begins with the first of these tokens: its length in tokens, and the call that it is
/// if its last segment has no arguments and something stands before it.
pub(crate) fn path(tokens: &[TokenTree]) -> Option<(usize, Option<Call<'_>>)> {
    let (mut at, mut of) = match tokens.first()? {
        TokenTree::Ident(_) => (1, &tokens[..1]),
        _ if is_colons(tokens) && matches!(tokens.get(2), Some(TokenTree::Ident(_))) => {
            (3, &tokens[..3])
        }
        token if is_punct(token, '<') => {
            let inner = arguments(tokens)?;
            let of = &tokens[1..inner - 1];
            // `<Rc<T> as Trait>::function` is the trait's.
            if !is_colons(&tokens[inner..]) || of.iter().any(|token| is_word(token, "as")) {
                return None;
            }
            (inner, of)
        }
        _ => return None,
    };
    let mut call = None;
    while is_colons(&tokens[at..]) {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(function)) => {
                let length = at + 3;
                call = Some(Call {
                    of,
                    function,
                    length,
                });
                at = length;
                of = &tokens[..at];
            }
            Some(token) if is_punct(token, '<') => {
                let Some(length) = arguments(&tokens[at + 2..]) else {
                    break;
                };
                at += 2 + length;
                of = &tokens[..at];
                call = None;
            }
            _ => break,
        }
    }
    Some((at, call))
}

/// What a type is called, of the tokens that name it.
pub(crate) fn head(of: &[TokenTree]) -> Option<Head> {
    let mut head: Option<Head> = None;
    let mut rest = of;
    loop {
        match rest {
            [TokenTree::Ident(name), more @ ..] => {
                head = Some(Head {
                    name: name.to_string(),
                    parent: head.map(|head| head.name),
                    has_arguments: false,
                });
                rest = more;
            }
            [first, second, more @ ..] if is_punct(first, ':') && is_punct(second, ':') => {
                rest = more;
            }
            [first, ..] if is_punct(first, '<') => {
                let mut head = head?;
                head.has_arguments = true;
                // What follows is no part of a type's name.
                return (arguments(rest)? == rest.len()).then_some(head);
            }
            [] => return head,
            _ => return None,
        }
    }
}

/// Tokens from `<` to its `>`, both included.
pub(crate) fn arguments(tokens: &[TokenTree]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut arrow = false;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Punct(punct) => match punct.as_char() {
                '<' => depth += 1,
                '>' if !arrow => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(index + 1);
                    }
                }
                // Not in the arguments of a type: this was a comparison.
                ';' => return None,
                _ => {}
            },
            TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
        arrow = is_punct(token, '-');
    }
    None
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [first, second, ..] if is_punct(first, ':') && is_punct(second, ':'))
}

pub(crate) fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// Whether a token is this word.
pub(crate) fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}
