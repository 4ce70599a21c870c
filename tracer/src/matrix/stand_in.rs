//! A file in place of a program, for those who can be told of a program's name and of no arguments.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Makes a file that runs a command with the words that it is given behind it.
pub(super) fn write(path: &Path, command: &[&OsStr]) -> Result<()> {
    let mut text = b"#!/bin/sh\nexec".to_vec();
    for word in command {
        text.extend(b" ");
        text.extend(quoted(word));
    }
    text.extend(b" \"$@\"\n");
    std::fs::File::create(path)
        .and_then(|mut file| {
            file.write_all(&text)?;
            file.set_permissions(PermissionsExt::from_mode(0o755))
        })
        .with_context(|| format!("cannot write {}", crate::safe::path(path)))
}

/// A word of a shell, whatever is in it.
fn quoted(word: &OsStr) -> Vec<u8> {
    let parts: Vec<&[u8]> = word.as_bytes().split(|byte| *byte == b'\'').collect();
    [b"'", &*parts.join(&b"'\\''"[..]), b"'"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_through_the_shell_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's here");
        let words = ["/bin/echo", "a 'b' $c", "\\", ""];
        write(&path, &words.map(OsStr::new)).unwrap();
        let said = std::process::Command::new(&path).arg("d e").output();
        assert_eq!(said.unwrap().stdout, b"a 'b' $c \\  d e\n");
    }
}
