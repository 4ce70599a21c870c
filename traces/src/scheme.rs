//! How a ring's cookies are to be read: the numbers of [`crate::event::What::Scheme`].

/// Every cookie is a leaked pointer.
pub const POINTER: u64 = 1;
/// A leaked pointer with tag bits; the parameter is the mask of the tag bits.
pub const TAGGED: u64 = 2;
/// An index of a table.
pub const INDEX: u64 = 3;
/// An index with its generation in the word itself.
pub const INDEX_GENERATION: u64 = 4;
/// The parameter is a cookie that stands for nothing that is owned.
pub const SENTINEL: u64 = 5;
/// Several operations may carry one cookie at once.
pub const SHARED: u64 = 6;

/// Numbers and their words in fixtures and dumps.
pub(crate) const WORDS: &[(u64, &str)] = &[
    (POINTER, "pointer"),
    (TAGGED, "tagged"),
    (INDEX, "index"),
    (INDEX_GENERATION, "index-generation"),
    (SENTINEL, "sentinel"),
    (SHARED, "shared"),
];
