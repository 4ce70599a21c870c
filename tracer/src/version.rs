//! `tracer --version`: what a bug report should say of this program.

use std::fmt::Write;
use std::sync::LazyLock;

use traces::read::bundle;
use wire::layout;

/// Version, target, formats, features; the first line is that of `-V`.
pub(crate) fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(text);
    &TEXT
}

fn text() -> String {
    let mut text = env!("CARGO_PKG_VERSION").to_owned();
    let mut line = |key: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{key:9} {value}");
    };
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    line(
        "target",
        format!("{}-{}, {build}", std::env::consts::ARCH, target()),
    );
    line(
        "reads",
        format!(
            "process files {}.x, bundles {}.x",
            layout::MAJOR,
            bundle::MAJOR
        ),
    );
    line(
        "writes",
        format!(
            "process files {}.{}, bundles {}.{}",
            layout::MAJOR,
            layout::MINOR,
            bundle::MAJOR,
            bundle::MINOR
        ),
    );
    line("rules", rules());
    line(
        "stacks",
        "frame pointers; DWARF in the program, apart or split, zlib and zstd".to_owned(),
    );
    text
}

fn target() -> String {
    let env = if cfg!(target_env = "musl") {
        "musl"
    } else if cfg!(target_env = "gnu") {
        "gnu"
    } else {
        "other"
    };
    format!("{}-{env}", std::env::consts::OS)
}

fn rules() -> String {
    let ids = traces::rules::ALL.iter().map(|rule| rule.id.to_string());
    ids.collect::<Vec<_>>().join(" ")
}
