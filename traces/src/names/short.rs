//! Shorter names of types and files, still enough to find them.

/// `core::option::Option<app::conn::Conn>` becomes `Option<Conn>`. A closure keeps the function that
/// it was written in: `serve::{{closure}}`, and an async function's future is just `serve`.
pub(super) fn ty(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut word = String::new();
    let mut rest = name.chars().peekable();
    while let Some(character) = rest.next() {
        if character == ':' && rest.peek() == Some(&':') {
            rest.next();
            word.push_str("::");
        } else if character.is_alphanumeric() || matches!(character, '_' | '{' | '}' | '#') {
            word.push(character);
        } else {
            out.push_str(last_segment(&word));
            word.clear();
            out.push(character);
        }
    }
    out.push_str(last_segment(&word));
    out
}

/// `app::net::conn::serve::{{closure}}` becomes `conn::serve`: the last two parts of a function's path,
/// with types as [`ty`] shortens them.
pub(crate) fn function(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let (mut depth, mut start) = (0u32, 0);
    let mut before = ' ';
    for (at, character) in name.char_indices() {
        match character {
            '<' | '(' | '[' => depth = depth.saturating_add(1),
            // The arrow of a function's type closes nothing.
            '>' if before == '-' => {}
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && before == ':' => {
                parts.extend(name.get(start..at.saturating_sub(1)));
                start = at + 1;
            }
            _ => {}
        }
        before = character;
    }
    parts.extend(name.get(start..));
    parts.retain(|part| {
        !part.is_empty() && !part.starts_with("{{closure") && !part.starts_with("{closure")
    });
    let last = parts.get(parts.len().saturating_sub(2)..).unwrap_or(&[]);
    if last.is_empty() {
        return name.to_owned();
    }
    last.iter()
        .map(|part| ty(part))
        .collect::<Vec<_>>()
        .join("::")
}

fn last_segment(word: &str) -> &str {
    let mut path = word;
    while let Some(inner) = path
        .strip_suffix("::{{closure}}")
        .or(path.strip_suffix("::{closure}"))
    {
        path = inner;
    }
    match path.rsplit_once("::") {
        Some((_, last)) if !last.is_empty() => last,
        _ => path,
    }
}

/// A path below a package stays whole from `src`, `tests`, `examples` or `benches` on, with the
/// package's folder before it where the path was absolute; relative paths stay as they are.
pub(crate) fn path(path: &str) -> &str {
    if !path.starts_with('/') {
        return path;
    }
    for folder in ["/src/", "/tests/", "/examples/", "/benches/"] {
        if let Some(at) = path.rfind(folder) {
            let package = path
                .get(..at)
                .and_then(|head| head.rfind('/'))
                .map_or(0, |slash| slash + 1);
            return path.get(package..).unwrap_or(path);
        }
    }
    path.rsplit_once('/').map_or(path, |(_, file)| file)
}

#[cfg(test)]
mod tests {
    use super::{function, path, ty};

    #[test]
    fn types_lose_their_modules() {
        assert_eq!(ty("app::conn::Conn"), "Conn");
        assert_eq!(ty("core::option::Option<app::Conn>"), "Option<Conn>");
        assert_eq!(ty("(a::B, &mut [c::D; 4])"), "(B, &mut [D; 4])");
        assert_eq!(ty("app::serve::{{closure}}"), "serve");
        assert_eq!(ty("Conn"), "Conn");
        assert_eq!(ty("::"), "::");
    }

    #[test]
    fn functions_keep_the_last_two_parts() {
        assert_eq!(function("app::net::conn::serve"), "conn::serve");
        assert_eq!(
            function("app::serve::{{closure}}::{closure#0}"),
            "app::serve"
        );
        assert_eq!(
            function("<app::Server as core::future::Future>::poll"),
            "<Server as Future>::poll"
        );
        assert_eq!(function("a::b::Vec<c::D>::push"), "Vec<D>::push");
        assert_eq!(
            function("a::call::<fn(b::C) -> d::E>::now"),
            "<fn(C) -> E>::now"
        );
        assert_eq!(function("main"), "main");
        assert_eq!(function("::"), "::");
        assert_eq!(function(""), "");
    }

    #[test]
    fn paths_keep_what_helps() {
        assert_eq!(path("src/conn.rs"), "src/conn.rs");
        assert_eq!(path("demo-runtime/src/conn.rs"), "demo-runtime/src/conn.rs");
        assert_eq!(path("/home/me/app/src/net/conn.rs"), "app/src/net/conn.rs");
        assert_eq!(path("/tmp/x.rs"), "x.rs");
        assert_eq!(path("conn.rs"), "conn.rs");
    }
}
