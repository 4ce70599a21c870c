//! The attribute's arguments: `Shared = Rc`, for a type that was imported under another name, and
//! `crate = path`, where the probe is.

use proc_macro::{Span, TokenStream, TokenTree};

use crate::paths::{self, is_punct};
use crate::{Problem, path};

/// Owners whose calls are rewritten, by the last segment of their path.
pub(crate) const OWNERS: [&str; 7] = ["Box", "Rc", "Arc", "Weak", "CString", "Vec", "ManuallyDrop"];

/// What a type's name stands for.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) name: &'static str,
    /// Whether the name still wants a type argument.
    pub(crate) generic: bool,
}

impl Owner {
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = OWNERS.iter().copied().find(|owner| *owner == name)?;
        Some(Self {
            name,
            generic: name != "CString",
        })
    }
}

/// What was asked for.
pub(crate) struct Options {
    renamed: Vec<(String, Owner)>,
    /// Path to the probe, where it is not `::probe`.
    probe: Option<TokenStream>,
}

impl Options {
    /// Which owner a type's name stands for.
    pub(crate) fn owner(&self, name: &str) -> Option<Owner> {
        self.renamed
            .iter()
            .find(|(renamed, _)| renamed == name)
            .map(|(_, owner)| *owner)
            .or_else(|| Owner::named(name))
    }

    /// The path to the probe's crate.
    pub(crate) fn probe(&self, at: Span) -> TokenStream {
        match &self.probe {
            Some(probe) => probe.clone(),
            None => path(&["probe"], at),
        }
    }
}

const USAGE: &str = "expected `Name = Owner`, as in `#[probe::instrument(Shared = Rc)]` after \
                     `use std::rc::Rc as Shared`, or `crate = path`";

/// Reads the arguments, separated by commas.
pub(crate) fn read(arguments: TokenStream) -> Result<Options, Problem> {
    let mut options = Options {
        renamed: Vec::new(),
        probe: None,
    };
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    for argument in tokens.split(|token| is_punct(token, ',')) {
        match argument {
            [] => {}
            [TokenTree::Ident(name), equals, value @ ..]
                if is_punct(equals, '=') && !value.is_empty() =>
            {
                if name.to_string() == "crate" {
                    options.probe = Some(value.iter().cloned().collect());
                } else {
                    options.renamed.push((name.to_string(), owner(value)?));
                }
            }
            [first, ..] => return Err(problem(first.span(), USAGE)),
        }
    }
    Ok(options)
}

/// The owner that a type names: `Rc` and `std::rc::Rc` for another name of the generic type,
/// `Rc<Conn>` for an alias of the whole type.
fn owner(of: &[TokenTree]) -> Result<Owner, Problem> {
    let at = of.first().map_or_else(Span::call_site, TokenTree::span);
    let head = paths::head(of).ok_or_else(|| problem(at, USAGE))?;
    let owner = Owner::named(&head.name).ok_or_else(|| {
        let (name, known) = (&head.name, OWNERS.join(", "));
        let text = format!("`{name}` is not an owner that is rewritten; these are: {known}");
        problem(at, &text)
    })?;
    Ok(Owner {
        generic: owner.generic && !head.has_arguments,
        ..owner
    })
}

fn problem(at: Span, text: &str) -> Problem {
    Problem {
        at,
        text: text.to_owned(),
    }
}
