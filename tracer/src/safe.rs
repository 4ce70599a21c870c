//! Text that others chose (paths, arguments), made safe to print as texts from traces are.

use std::ffi::OsStr;
use std::path::Path;

/// A path.
pub(crate) fn path(path: &Path) -> String {
    os(path.as_os_str())
}

/// A word from the command line, or a file name.
pub(crate) fn os(text: &OsStr) -> String {
    traces::tty(text.as_encoded_bytes())
}
