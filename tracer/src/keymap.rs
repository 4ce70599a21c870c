//! Keys of the user's own: `keymap.toml` beside the user's settings, or the file that is named.
//!
//! ```toml
//! [keys]
//! "finding.next" = ["e", "<f3>"]   # the command as `:` lists it in the viewer, and its keys
//! "shell" = []                     # no key
//! ```
//!
//! A file with a mistake is refused before the screen is taken: keys that do something else than was meant are worse
//! than none. A project has no such file: what a key does is the business of whoever presses it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use tui::Keymap;

use crate::{config, safe};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: BTreeMap<String, Keys>,
}

/// One key, or several.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a key or a list of keys; a command with a dot stands in quotes, as \"finding.next\""
)]
enum Keys {
    One(String),
    Many(Vec<String>),
}

/// Larger files are no keys.
const FILE_MAX: u64 = 1 << 20;

/// What the keys are: those of a file that was named, else those of the user's, if there is one.
pub(crate) fn of(named: Option<&Path>) -> Result<Keymap> {
    let usual = || config::user_folder().map(|folder| folder.join("keymap.toml"));
    let path: Option<PathBuf> = match named {
        Some(path) => Some(path.to_owned()),
        None => usual().filter(|path| path.is_file()),
    };
    path.map_or_else(|| Ok(Keymap::default()), |path| read(&path))
}

fn read(path: &Path) -> Result<Keymap> {
    let shown = safe::path(path);
    let cannot = || format!("cannot read the keys in {shown}");
    let about = std::fs::metadata(path).with_context(cannot)?;
    if !about.is_file() || about.len() > FILE_MAX {
        bail!("{shown} is no file of keys");
    }
    let text = std::fs::read_to_string(path).with_context(cannot)?;
    let file: File = toml::from_str(&text).map_err(|error| {
        let why = traces::tty(error.message().as_bytes());
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.unwrap_or("").matches('\n').count() + 1;
        anyhow!("{shown}, line {line}: {why}")
    })?;
    let wanted = file.keys.iter().map(|(id, keys)| {
        let keys = match keys {
            Keys::One(key) => vec![key.as_str()],
            Keys::Many(keys) => keys.iter().map(String::as_str).collect(),
        };
        (id.as_str(), keys)
    });
    Keymap::new(wanted).map_err(|why| anyhow!("{shown}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_mistakes_are_named_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keymap.toml");
        let of_text = |text: &str| {
            std::fs::write(&path, text).unwrap();
            of(Some(&path)).map_err(|error| format!("{error:#}"))
        };
        let own = of_text("[keys]\n\"finding.next\" = \"<f3>\"\nshell = []\n").unwrap();
        assert_eq!(
            own,
            Keymap::new([("finding.next", vec!["<f3>"]), ("shell", vec![])]).unwrap()
        );
        assert_eq!(of_text(""), Ok(Keymap::default()));
        // What `explain keys` prints is such a file.
        assert_eq!(of_text(&Keymap::default().text()), Ok(Keymap::default()));
        let wrong = of_text("[keys]\n\"finding.nxt\" = \"x\"\n").unwrap_err();
        assert!(
            wrong.ends_with("no command is called finding.nxt; did you mean finding.next?"),
            "{wrong}"
        );
        let wrong = of_text("[keys]\nshell = 3\n").unwrap_err();
        assert!(wrong.contains("keymap.toml, line 2: "), "{wrong}");
        assert!(of_text("[kees]\n").unwrap_err().contains("line 1"));
        assert!(of(Some(folder.path())).is_err());
        assert!(of(Some(&folder.path().join("none"))).is_err());
    }
}
