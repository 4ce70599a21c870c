//! The file with suppressions, changed for the viewer: one is added or taken out, all else stays as the user
//! wrote it. The file is replaced whole, or not at all.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};
use tui::hiding::{Cover, Covers, Suppression, Why};

use super::baseline;
use super::suppressions::Suppressions;
use crate::safe;

/// Where suppressions lie that nobody named a file for.
pub(crate) const USUAL: &str = ".config/tracer-suppressions.toml";

/// The name of the array in the file.
const ARRAY: &str = "suppress";

/// What the viewer hides, and where more goes.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    /// Suppressions that count today, and the baseline.
    pub(crate) covers: Vec<Cover>,
    /// The file that suppressions are written to.
    pub(crate) file: PathBuf,
}

/// Reads what is named; of suppressions the usual file where none is named and it is there.
pub(crate) fn hidden(suppressions: Option<&Path>, known: Option<&Path>) -> Result<Hidden> {
    let usual = Path::new(USUAL);
    let file = suppressions.unwrap_or(usual);
    let is_there = suppressions.is_some() || usual.exists();
    let mut covers = if is_there {
        // One that is named need not be there yet: the first suppression makes it.
        match fs::symlink_metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            _ => Suppressions::read(file)?.counting(),
        }
    } else {
        Vec::new()
    };
    if let Some(path) = known {
        covers.push(Cover {
            covers: Covers::Fingerprints(baseline::read(path)?.fingerprints()),
            why: Why::Known,
        });
    }
    Ok(Hidden {
        covers,
        file: file.to_owned(),
    })
}

/// Adds a suppression to a file.
pub(crate) fn add(path: &Path, new: &Suppression) -> Result<()> {
    if let Some(day) = &new.expires
        && day.as_str() < crate::pack::today().as_str()
    {
        bail!("{day} is over already: the finding would be told all the same");
    }
    change(path, |document| {
        let entry = document
            .entry(ARRAY)
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        match entry {
            Item::ArrayOfTables(tables) => {
                let mut table = Table::new();
                for (key, text) in members(new) {
                    table.insert(key, value(text));
                }
                let blank = if tables.is_empty() { "" } else { "\n" };
                let about = format!("{blank}# {} {}: {}\n", new.rule, new.name, new.message);
                table.decor_mut().set_prefix(about);
                tables.push(table);
            }
            Item::Value(Value::Array(list)) => {
                let mut table = InlineTable::new();
                for (key, text) in members(new) {
                    table.insert(key, text.into());
                }
                list.push(table);
            }
            _ => bail!("`{ARRAY}` is no list of suppressions"),
        }
        Ok(())
    })
}

fn members(new: &Suppression) -> Vec<(&'static str, String)> {
    let mut members = vec![("filter", new.filter()), ("reason", new.reason.clone())];
    members.extend(new.expires.clone().map(|day| ("expires", day)));
    members
}

/// Takes the suppressions out of a file that cover what this filter asks for, and nothing else says what they
/// cover.
pub(crate) fn remove(path: &Path, filter: &str) -> Result<()> {
    let mut gone = 0;
    change(path, |document| {
        match document.get_mut(ARRAY) {
            Some(Item::ArrayOfTables(tables)) => {
                let before = tables.len();
                tables.retain(|table| !is_it(|key| table.get(key).and_then(Item::as_str), filter));
                gone = before - tables.len();
            }
            Some(Item::Value(Value::Array(list))) => {
                let before = list.len();
                retain(list, filter);
                gone = before - list.len();
            }
            _ => {}
        }
        if gone == 0 {
            bail!("there is no suppression with the filter `{filter}` any more");
        }
        Ok(())
    })
}

fn retain(list: &mut Array, filter: &str) {
    list.retain(|entry| {
        let table = entry.as_inline_table();
        !table.is_some_and(|table| is_it(|key| table.get(key).and_then(Value::as_str), filter))
    });
}

fn is_it<'a>(member: impl Fn(&str) -> Option<&'a str>, filter: &str) -> bool {
    let is_alone = ["rule", "site", "function"]
        .iter()
        .all(|key| member(key).is_none());
    is_alone && member("filter") == Some(filter)
}

/// Reads a file, has it changed, and puts the new one in its place.
fn change(path: &Path, edit: impl FnOnce(&mut DocumentMut) -> Result<()>) -> Result<()> {
    let shown = safe::path(path);
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    // What does not count as it is, is not written to.
    Suppressions::check(&text, &shown)?;
    let mut document: DocumentMut = text.parse().map_err(|_| anyhow!("{shown} is not TOML"))?;
    edit(&mut document).with_context(|| shown.clone())?;
    let new = document.to_string();
    Suppressions::check(&new, &shown)?;
    replace(&path, new.as_bytes()).with_context(|| format!("cannot write {shown}"))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o777)
        .create(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = folder.join(name);
    let written = fs::File::create_new(&beside).and_then(|mut file| {
        if let Ok(there) = fs::metadata(path) {
            file.set_permissions(there.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suppression(reason: &str) -> Suppression {
        Suppression {
            rule: "T02".into(),
            name: "leftover-cookie",
            fingerprint: 7,
            message: "operation #3 kept a \"cookie\"".into(),
            reason: reason.into(),
            expires: None,
        }
    }

    const BEFORE: &str =
        "# ours\n[[suppress]] # all of it\nrule   = 'T09'\nreason = 'kept' # for ever\n";

    #[test]
    fn one_is_added_and_taken_out_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/s.toml");
        let read = || fs::read_to_string(&path).unwrap();
        add(&path, &suppression("it is \"known\"\\")).unwrap();
        assert_eq!(
            read(),
            "# T02 leftover-cookie: operation #3 kept a \"cookie\"\n[[suppress]]\n\
             filter = \"rule:T02 fingerprint:0x0000000000000007\"\nreason = 'it is \"known\"\\'\n"
        );
        fs::write(&path, BEFORE).unwrap();
        add(&path, &suppression("known")).unwrap();
        assert!(read().starts_with(BEFORE), "{}", read());
        assert_eq!(Suppressions::read(&path).unwrap().counting().len(), 2);
        remove(&path, &suppression("").filter()).unwrap();
        assert_eq!(read(), BEFORE);
        let again = format!("{:#}", remove(&path, "rule:T02").unwrap_err());
        assert!(again.contains("no suppression with the filter"), "{again}");
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn lists_in_one_line_and_links_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("s.toml"), folder.path().join("link"));
        fs::write(&path, "suppress = [{ rule = 'T09', reason = 'kept' }]\n").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        add(&link, &suppression("known")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(Suppressions::read(&path).unwrap().counting().len(), 2);
        remove(&link, &suppression("").filter()).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "suppress = [{ rule = 'T09', reason = 'kept' }]\n"
        );
    }

    #[test]
    fn a_broken_file_and_a_day_that_is_over_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        for broken in ["[[suppress]]\nrule = 'T09'\n", "suppress = 3\n", "[["] {
            fs::write(&path, broken).unwrap();
            assert!(add(&path, &suppression("known")).is_err(), "{broken}");
            assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        }
        fs::write(&path, BEFORE).unwrap();
        let over = Suppression {
            expires: Some("2020-01-01".into()),
            ..suppression("known")
        };
        assert!(add(&path, &over).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), BEFORE);
    }
}
