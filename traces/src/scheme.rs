//! How a ring's cookies are to be read: the numbers of [`crate::event::What::Scheme`].

/// Every cookie is a leaked pointer.
pub const POINTER: u64 = 1;
/// A leaked pointer with tag bits; the parameter is the mask of the tag bits.
pub const TAGGED: u64 = 2;
/// An index of a table. The parameter makes it a word of its own among those of other tables: what was leaked
/// is the cookie XOR this word.
pub const INDEX: u64 = 3;
/// An index with its generation in the word itself; the parameter is as for [`INDEX`].
pub const INDEX_GENERATION: u64 = 4;
/// The parameter is a cookie that stands for nothing that is owned.
pub const SENTINEL: u64 = 5;
/// Several operations may carry one cookie at once.
pub const SHARED: u64 = 6;

/// The index in a word that was leaked for one, as the program knows it: without what [`INDEX`] put into its
/// upper bits. Other words are left as they are.
pub(crate) fn without_table(word: u64) -> u64 {
    // 0xFFFF is no table's: pointers to nowhere have it.
    if word >> 63 == 1 && word >> 48 != 0xFFFF {
        word & 0xFFFF_FFFF_FFFF
    } else {
        word
    }
}

/// Numbers and their words in fixtures and dumps.
pub(crate) const WORDS: &[(u64, &str)] = &[
    (POINTER, "pointer"),
    (TAGGED, "tagged"),
    (INDEX, "index"),
    (INDEX_GENERATION, "index-generation"),
    (SENTINEL, "sentinel"),
    (SHARED, "shared"),
];
