//! Text that others chose (paths, arguments, error messages that quote them), made safe to print.

use std::ffi::OsStr;
use std::path::Path;

/// A path.
pub(crate) fn path(path: &Path) -> String {
    os(path.as_os_str())
}

/// A word from the command line or a file name. Bytes that are not UTF-8 print as `\xNN`.
pub(crate) fn os(text: &OsStr) -> String {
    let mut safe = String::new();
    for chunk in text.as_encoded_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                safe.extend(letter.escape_default());
            } else {
                safe.push(letter);
            }
        }
        for byte in chunk.invalid() {
            safe.push_str(&format!("\\x{byte:02x}"));
        }
    }
    safe
}
