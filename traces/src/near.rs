//! The name that somebody meant who typed another one.

/// Letters that may be wrong in a name that is still recognised.
const SLIPS_MAX: usize = 4;

/// The nearest of `names`, if it is near enough: at most a third of its letters may be wrong, and four.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let near = |name: &&str| SLIPS_MAX.min(name.chars().count().div_ceil(3));
    names
        .into_iter()
        .map(|name| (slips(&typed, &name.to_lowercase()), name))
        .filter(|(slips, name)| *slips <= near(name))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// Letters to change, add or leave out to make one word of the other. Words that are much longer than
/// the name are not looked at.
fn slips(typed: &str, name: &str) -> usize {
    if typed.len() > 2 * name.len() {
        return usize::MAX;
    }
    let name: Vec<char> = name.chars().collect();
    // `costs[n]` is the price of the first n letters; `before` and `left` are its neighbours.
    let mut costs: Vec<usize> = (0..=name.len()).collect();
    for (row, letter) in typed.chars().enumerate() {
        let mut before = row;
        let mut left = row + 1;
        if let Some(first) = costs.first_mut() {
            *first = left;
        }
        for (cost, other) in costs.iter_mut().skip(1).zip(&name) {
            let replaced = before + usize::from(letter != *other);
            before = *cost;
            *cost = replaced.min(before + 1).min(left + 1);
            left = *cost;
        }
    }
    costs.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted_as_people_make_them() {
        assert_eq!(slips("leftover-cookie", "leftover-cookie"), 0);
        assert_eq!(slips("leftover-cooke", "leftover-cookie"), 1);
        assert_eq!(slips("lefover-cokie", "leftover-cookie"), 2);
        assert_eq!(slips("", "abc"), 3);
        assert_eq!(slips("xyz", "abc"), 3);
        assert_eq!(slips(&"x".repeat(1_000_000), "abc"), usize::MAX);
    }

    #[test]
    fn short_names_must_be_nearer_than_long_ones() {
        let names = ["op", "thread", "leftover-cookie"];
        assert_eq!(nearest("thraed", names), Some("thread"));
        assert_eq!(nearest("Leftovr-cooky", names), Some("leftover-cookie"));
        assert_eq!(nearest("xyz", names), None);
        assert_eq!(nearest("leftover", names), None);
    }
}
