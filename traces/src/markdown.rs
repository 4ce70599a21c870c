//! Texts of a trace in Markdown, where they must not mean anything.

/// A text that means nothing to Markdown or HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let rest = text.get(at..).unwrap_or_default();
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // GitHub makes references of these, and links of addresses that nobody marked as such.
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            ':' if rest.starts_with("://") => out.push_str("&#58;"),
            '.' if out.to_ascii_lowercase().ends_with("www") => out.push_str("&#46;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}

/// A text as code within a line: nothing in it is looked at but the mark that ends it.
pub fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_trace_mean_nothing() {
        assert_eq!(
            escaped("a|b <script> `x` [y](z) @me #1 http://a WWW.b w.c"),
            "a\\|b &lt;script&gt; \\`x\\` \\[y\\](z) &#64;me &#35;1 http&#58;//a WWW&#46;b w.c"
        );
        assert_eq!(code("a`b"), "`a'b`");
    }
}
