//! Files that a command is to write: none of them is one that it reads, and none is written twice.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// What makes two names one file.
#[derive(PartialEq, Eq)]
enum Identity {
    /// Device and inode of a file that is there.
    There(u64, u64),
    /// The path of one that is not.
    Missing(PathBuf),
}

/// Refuses outputs that are one of the inputs, or each other. Devices, such as `/dev/null`, may come twice.
pub(crate) fn apart(outputs: &[&Path], inputs: &[&Path]) -> Result<()> {
    for (at, output) in outputs.iter().enumerate() {
        let is_it = |other: &&&Path| identity(other) == identity(output);
        let shown = crate::safe::path(output);
        if inputs.iter().any(|input| is_it(&input)) {
            bail!(
                "{shown} is read and would be overwritten; name another file for what is written"
            );
        }
        let is_device =
            std::fs::metadata(output).is_ok_and(|there| !there.is_file() && !there.is_dir());
        if !is_device && outputs.iter().take(at).any(|before| is_it(&before)) {
            bail!("{shown} is named for two outputs, of which one would overwrite the other");
        }
    }
    Ok(())
}

fn identity(path: &Path) -> Identity {
    match std::fs::metadata(path) {
        Ok(there) => Identity::There(there.dev(), there.ino()),
        Err(_) => Identity::Missing(std::path::absolute(path).unwrap_or_else(|_| path.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_not_written_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("trace.bin"), "").unwrap();
        std::os::unix::fs::symlink(at("trace.bin"), at("link")).unwrap();
        std::fs::hard_link(at("trace.bin"), at("other")).unwrap();
        let refused = |outputs: &[&Path]| {
            let result = apart(outputs, &[&at("trace.bin")]);
            result.err().map(|error| error.to_string())
        };
        for name in ["trace.bin", "link", "other"] {
            let why = refused(&[&at("new.json"), &at(name)]).unwrap();
            assert!(why.contains("would be overwritten"), "{why}");
        }
        let new = at("new.json");
        let twice = refused(&[&new, &at("./new.json")]).unwrap();
        assert!(twice.contains("two outputs"), "{twice}");
        let null = Path::new("/dev/null");
        assert_eq!(refused(&[&new, &at("old.json"), null, null]), None);
    }
}
