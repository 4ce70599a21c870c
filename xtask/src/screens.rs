//! The screens that the README shows: drawn from the viewer, kept in `docs/screens`, and never out of date.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::stage::Stage;
use crate::{cast, root, svg};

/// A picture: its file, what it shows, its size, and the keys that lead there.
struct Picture {
    file: &'static str,
    title: &'static str,
    size: (u16, u16),
    keys: &'static str,
}

const PICTURES: [Picture; 3] = [
    Picture {
        file: "findings.svg",
        title: "What is wrong, and beside it the life of the operation that it is about",
        size: (132, 34),
        keys: "",
    },
    Picture {
        file: "biography.svg",
        title: "The life of the operation that kept an old word, at the first cause",
        size: (100, 30),
        keys: "<enter>x",
    },
    Picture {
        file: "timeline.svg",
        title: "Threads, rings, operations and coroutines around the wrong resume",
        size: (120, 30),
        keys: "4",
    },
];

/// Every file, as it should be.
fn drawn() -> Result<Vec<(PathBuf, String)>> {
    let folder = root().join("docs/screens");
    let mut files = Vec::new();
    for picture in PICTURES {
        let mut stage = Stage::open(picture.size.0, picture.size.1)?;
        stage
            .press(picture.keys, |_| Ok(()))
            .context(picture.file)?;
        let svg = svg::svg(&stage.draw()?, picture.title);
        files.push((folder.join(picture.file), svg));
    }
    files.push((folder.join("story.cast"), cast::story()?));
    Ok(files)
}

/// Writes them.
pub(crate) fn write() -> Result<()> {
    for (path, text) in drawn()? {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Says which are not as drawn.
pub(crate) fn check() -> Result<()> {
    let mut other = Vec::new();
    for (path, text) in drawn()? {
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            let name = path.strip_prefix(root()).unwrap_or(&path);
            other.push(name.display().to_string());
        }
    }
    if !other.is_empty() {
        bail!(
            "not as the viewer draws it: {}; `cargo xtask screenshots` draws anew",
            other.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    /// A test of the workspace, so that no change of a screen goes by unseen.
    #[test]
    fn the_screens_in_the_repository_are_as_drawn() {
        super::check().unwrap();
    }
}
