//! Settings that are not typed each time: options of commands, from the environment and from files.
//!
//! What is typed wins over the environment (`TRACER_RECORD_RING`), that over the project's file (`tracer.toml` or
//! `.config/tracer.toml`, in this folder or the nearest one above), that over the user's
//! (`$XDG_CONFIG_HOME/tracer/config.toml`), and that over the default. A file has a table for each command, whose keys
//! are the long names of its options. Settings become words of the command line, so that there is one place that
//! knows what they may be.
//!
//! A file that belongs to neither this user nor root is not read: in a folder that others write to it could
//! have findings suppressed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::{Table, Value};

use crate::{safe, talk};

mod show;
pub(crate) use show::run;

/// Commands that have settings.
const SECTIONS: [&str; 10] = [
    "record", "check", "view", "dump", "stats", "diff", "export", "pack", "matrix", "demo",
];
/// Options of all commands; they stand above the tables.
const COMMON: [&str; 2] = ["color", "log"];
/// Options that name files: in a file they are relative to where it stands.
const PATHS: [&str; 5] = [
    "dir",
    "baseline",
    "suppressions",
    "source-root",
    "debug-dir",
];
/// What is typed of these stands in the way of a setting.
const RIVALS: [(&str, &str); 2] = [("ring", "grow"), ("grow", "ring")];
/// No settings: what is written or overwritten is named by whoever types the command, and not by the files of a
/// project, which may be somebody else's; nor is what is of one run alone.
const TYPED_ONLY: [&str; 11] = [
    "output",
    "report",
    "write-baseline",
    "gen-suppressions",
    "view",
    "follow",
    "diff",
    "goto",
    "exec",
    "keymap",
    "no-session",
];
/// Programs that are run: no file of a project's, which may be somebody else's, names them.
const USERS_ONLY: [&str; 2] = ["clipboard", "editor"];
/// What `record --view` shows looks as what `view` shows: there is one place for that.
const VIEWER: &str = "view";
/// Larger files are no settings.
const FILE_MAX: u64 = 1 << 20;

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Variable(String),
    Project(PathBuf),
    User(PathBuf),
    Default,
}

impl Origin {
    /// What comes first wins.
    fn rank(&self) -> u8 {
        match self {
            Self::Variable(_) => 0,
            Self::Project(_) => 1,
            Self::User(_) => 2,
            Self::Default => 3,
        }
    }
}

/// A setting: words for each time that the option is to be given; none for a flag that is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) words: Vec<OsString>,
    pub(super) is_flag: bool,
    pub(super) origin: Origin,
}

/// Settings by section (empty for options of all commands) and key.
#[derive(Debug, Default)]
pub(super) struct Settings(pub(super) BTreeMap<(String, String), Setting>);

/// A file, read.
struct File {
    path: PathBuf,
    /// What its paths are relative to.
    base: PathBuf,
    table: Table,
}

/// Adds to a command line what is set elsewhere and not typed. `top` knows all commands.
pub(crate) fn apply(words: Vec<OsString>, top: &Command) -> Result<Vec<OsString>> {
    let section = |name: &str| SECTIONS.into_iter().find(|section| *section == name);
    add(words, top, section, || Settings::here(top))
}

/// As [`apply`], for commands that judge as `check` does; `of_cargo` knows them.
pub(crate) fn apply_check(
    words: Vec<OsString>,
    of_cargo: &Command,
    top: &Command,
) -> Result<Vec<OsString>> {
    let section = |name: &str| (name != "record").then_some("check");
    add(words, of_cargo, section, || Settings::here(top))
}

/// `section` says which settings a command of `commands` has.
fn add(
    mut words: Vec<OsString>,
    commands: &Command,
    section: impl Fn(&str) -> Option<&'static str>,
    settings: impl FnOnce() -> Result<Settings>,
) -> Result<Vec<OsString>> {
    // Only what was typed is asked for; what is wrong with it is told when it is parsed with the settings.
    let lenient = commands.clone().ignore_errors(true);
    let Ok(matches) = lenient.try_get_matches_from(&words) else {
        // The help is asked for, or the version.
        return Ok(words);
    };
    let Some((name, typed)) = matches.subcommand() else {
        return Ok(words);
    };
    let (Some(section), Some(command), Some(at)) = (
        section(name),
        commands.find_subcommand(name),
        command_in(&words),
    ) else {
        return Ok(words);
    };
    let added = settings()?.words(section, command, typed);
    words.splice(at + 1..at + 1, added);
    Ok(words)
}

/// Where the command stands: the first word that is neither an option nor its value.
fn command_in(words: &[OsString]) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        match word.to_str() {
            Some("--color" | "--log") => at += 2,
            Some("--") => return None,
            Some(word) if word.starts_with('-') => at += 1,
            _ => return Some(at),
        }
    }
    None
}

impl Settings {
    /// Of this process, in this folder.
    pub(super) fn here(top: &Command) -> Result<Self> {
        let working = std::env::current_dir().context("cannot find the current folder")?;
        let variable = |name: &str| std::env::var_os(name);
        let mut files = Vec::new();
        if let Some(path) = user_file(&variable) {
            files.extend(read(&path)?.map(|file| (file, false)));
        }
        if let Some(path) = project_file(&working) {
            files.extend(read(&path)?.map(|file| (file, true)));
        }
        let mut settings = Self::default();
        for (file, is_project) in files {
            settings.add_file(&file, is_project, top)?;
        }
        settings.add_variables(&variable, top);
        Ok(settings)
    }

    fn add_file(&mut self, file: &File, is_project: bool, top: &Command) -> Result<()> {
        let shown = safe::path(&file.path);
        let origin = if is_project {
            Origin::Project(file.path.clone())
        } else {
            Origin::User(file.path.clone())
        };
        for (key, value) in &file.table {
            let Value::Table(table) = value else {
                self.add(("", key), value, (file, &origin), top)?;
                continue;
            };
            if !SECTIONS.contains(&&**key) {
                let hint = suggestion(key, SECTIONS.iter().copied());
                talk::line(format_args!(
                    "{shown}: there is no [{}]{hint}",
                    safe::os(OsStr::new(key))
                ));
                continue;
            }
            for (name, value) in table {
                self.add((key, name), value, (file, &origin), top)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        (section, key): (&str, &str),
        value: &Value,
        (file, origin): (&File, &Origin),
        top: &Command,
    ) -> Result<()> {
        let shown = safe::path(&file.path);
        if TYPED_ONLY.contains(&key) {
            talk::line(format_args!(
                "{shown}: `{key}` is no setting: it is taken from the command line alone"
            ));
            return Ok(());
        }
        if USERS_ONLY.contains(&key) && matches!(origin, Origin::Project(_)) {
            talk::line(format_args!(
                "{shown}: `{key}` names a program that is run, and is taken from the user's own settings alone"
            ));
            return Ok(());
        }
        let Some(option) = option(top, section, key) else {
            let names = names(top, section);
            let command = top.find_subcommand(section);
            let hint = if command.is_some_and(|it| is_of_viewer(it, key)) {
                format!("; it is set in [{VIEWER}], and holds for `record --view`, too")
            } else {
                suggestion(key, names.iter().map(String::as_str))
            };
            let place = if section.is_empty() {
                String::new()
            } else {
                format!(" in [{section}]")
            };
            talk::line(format_args!(
                "{shown}: there is no `{}`{place}{hint}",
                safe::os(OsStr::new(key))
            ));
            return Ok(());
        };
        let is_flag = matches!(option.get_action(), ArgAction::SetTrue);
        let wrong = |wanted: &str| anyhow!("{shown}: `{key}` wants {wanted}");
        let word = |value: &Value| -> Result<OsString> {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                _ => return Err(wrong("a text, a number, or a list of them")),
            };
            if PATHS.contains(&key) {
                return Ok(file.base.join(text).into_os_string());
            }
            Ok(text.into())
        };
        let words = match (is_flag, value) {
            (true, Value::Boolean(true)) => vec![OsString::new()],
            (true, Value::Boolean(false)) => Vec::new(),
            (true, _) => return Err(wrong("true or false")),
            (false, Value::Array(values)) if matches!(option.get_action(), ArgAction::Append) => {
                values.iter().map(word).collect::<Result<_>>()?
            }
            (false, value) => vec![word(value)?],
        };
        let setting = Setting {
            words,
            is_flag,
            origin: origin.clone(),
        };
        self.0.insert((section.to_owned(), key.to_owned()), setting);
        Ok(())
    }

    fn add_variables(&mut self, variable: &dyn Fn(&str) -> Option<OsString>, top: &Command) {
        for section in std::iter::once("").chain(SECTIONS) {
            for key in names(top, section) {
                let name = variable_name(section, &key);
                let Some(value) = variable(&name).filter(|value| !value.is_empty()) else {
                    continue;
                };
                let option = option(top, section, &key);
                let is_flag =
                    option.is_some_and(|option| matches!(option.get_action(), ArgAction::SetTrue));
                let is_off = matches!(value.to_str(), Some("0" | "false" | "no" | "off"));
                let words = match (is_flag, is_off) {
                    (true, true) => Vec::new(),
                    (true, false) => vec![OsString::new()],
                    (false, _) => vec![value],
                };
                let setting = Setting {
                    words,
                    is_flag,
                    origin: Origin::Variable(name),
                };
                self.0.insert((section.to_owned(), key), setting);
            }
        }
    }

    /// What a command line lacks of them.
    fn words(&self, section: &str, command: &Command, typed: &ArgMatches) -> Vec<OsString> {
        let id = |name: &str| {
            let mut arguments = command.get_arguments();
            let of_command = arguments.find(|arg| arg.get_long() == Some(name));
            match of_command {
                Some(arg) => Some(arg.get_id().as_str()),
                None => COMMON.into_iter().find(|common| *common == name),
            }
        };
        let is_typed = |name: &str| {
            id(name).is_some_and(|id| typed.value_source(id) == Some(ValueSource::CommandLine))
        };
        let mut added = Vec::new();
        for ((of, key), setting) in &self.0 {
            let outranked = |rival: &str| {
                let rival = self.0.get(&(of.clone(), rival.to_owned()));
                rival.is_some_and(|rival| rival.origin.rank() < setting.origin.rank())
            };
            let has_rival = RIVALS
                .iter()
                .any(|(name, rival)| name == key && (is_typed(rival) || outranked(rival)));
            let is_looked_at = of == VIEWER
                && section == "record"
                && typed.get_flag("view")
                && is_of_viewer(command, key);
            let is_meant = of == section || of.is_empty() || is_looked_at;
            if !is_meant || id(key).is_none() || is_typed(key) || has_rival {
                continue;
            }
            for word in &setting.words {
                let mut whole = OsString::from(format!("--{key}"));
                if !setting.is_flag {
                    whole.push("=");
                    whole.push(word);
                }
                added.push(whole);
            }
        }
        added
    }
}

/// The options of a section that can be set.
pub(super) fn names(top: &Command, section: &str) -> Vec<String> {
    if section.is_empty() {
        return COMMON.map(str::to_owned).to_vec();
    }
    let command = top.find_subcommand(section);
    let options = command.into_iter().flat_map(Command::get_arguments);
    let longs = options
        .filter(|arg| !arg.is_hide_set())
        .filter_map(Arg::get_long);
    let is_other = |long: &&str| ["help", "version"].contains(long) || TYPED_ONLY.contains(long);
    let is_of_viewer = |long: &str| command.is_some_and(|it| is_of_viewer(it, long));
    let kept =
        longs.filter(|long| !COMMON.contains(long) && !is_other(long) && !is_of_viewer(long));
    kept.map(str::to_owned).collect()
}

/// Whether an option of `record` is one of the viewer's: it is set for `view`.
fn is_of_viewer(command: &Command, long: &str) -> bool {
    let mut arguments = command.get_arguments();
    let found = arguments.find(|arg| arg.get_long() == Some(long));
    command.get_name() == "record"
        && found.is_some_and(|arg| arg.get_help_heading() == Some(crate::args::VIEWER_HEADING))
}

pub(super) fn option<'c>(top: &'c Command, section: &str, key: &str) -> Option<&'c Arg> {
    let command = if section.is_empty() {
        Some(top)
    } else {
        top.find_subcommand(section)
    };
    names(top, section).iter().find(|name| *name == key)?;
    command?
        .get_arguments()
        .find(|arg| arg.get_long() == Some(key))
}

/// `TRACER_RECORD_RING`
pub(super) fn variable_name(section: &str, key: &str) -> String {
    let parts = ["tracer", section, key];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("_").replace('-', "_").to_uppercase()
}

fn suggestion<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> String {
    match traces::near::nearest(word, names) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; `tracer config show` lists what there is".to_owned(),
    }
}

/// Where this user's settings lie.
pub(crate) fn user_folder() -> Option<PathBuf> {
    user_folder_by(&|name: &str| std::env::var_os(name))
}

fn user_folder_by(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = set("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("tracer"))
}

fn user_file(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = user_folder_by(variable)?.join("config.toml");
    path.is_file().then_some(path)
}

fn project_file(working: &Path) -> Option<PathBuf> {
    let mut places = working
        .ancestors()
        .flat_map(|folder| ["tracer.toml", ".config/tracer.toml"].map(|name| folder.join(name)));
    places.find(|path| path.is_file())
}

fn read(path: &Path) -> Result<Option<File>> {
    let shown = safe::path(path);
    let about = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
    let own = rustix::process::geteuid().as_raw();
    if about.uid() != own && about.uid() != 0 {
        talk::line(format_args!(
            "{shown} belongs to somebody else, and is not read"
        ));
        return Ok(None);
    }
    if about.len() > FILE_MAX {
        bail!("{shown} is too large for a file of settings");
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let table = text.parse::<Table>().map_err(|error| {
        let why = traces::tty(error.message().as_bytes());
        let before = error
            .span()
            .map_or("", |span| text.get(..span.start).unwrap_or(""));
        anyhow!("{shown}, line {}: {why}", before.matches('\n').count() + 1)
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let base = match folder.file_name() {
        Some(name) if name == ".config" => folder.parent().unwrap_or(folder),
        _ => folder,
    };
    Ok(Some(File {
        path: path.to_path_buf(),
        base: base.to_path_buf(),
        table,
    }))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn only_what_this_program_was_given_counts_as_typed() {
        let added = |line: &str, commands: &Command, section, key: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let setting = Setting {
                words: vec!["set".into()],
                is_flag: false,
                origin: Origin::Default,
            };
            let settings = BTreeMap::from([((String::new(), key.to_owned()), setting)]);
            let whole = add(
                words.clone(),
                commands,
                |_| Some(section),
                || Ok(Settings(settings)),
            );
            whole.unwrap().len() > words.len()
        };
        let of_cargo = crate::cargo::CargoCli::command();
        let judges = |line: &str| added(line, &of_cargo, "check", "baseline");
        assert!(judges("tracer test"));
        assert!(!judges("tracer test --baseline b -p x"));
        assert!(judges("tracer test -p x --baseline b"), "that is cargo's");
        let top = crate::args::Cli::command();
        let records = |line: &str, key: &str| added(line, &top, "record", key);
        assert!(!records("tracer record --ring=1MiB -- prog", "ring"));
        assert!(records("tracer record --rin -- prog", "ring"));
        assert!(records("tracer record -- prog --ring 1MiB", "ring"));
        for line in [
            "tracer --color never record -- prog",
            "tracer record --color=never -- prog",
        ] {
            assert!(!records(line, "color"), "{line}");
        }
        assert!(records("tracer record -- prog --color never", "color"));
        assert!(!records("tracer record --help --ring 1MiB", "ring"));
        // The viewer looks as it is set for `view`, where there is one.
        let shows = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let setting = Setting {
                words: vec!["light".into()],
                is_flag: false,
                origin: Origin::Default,
            };
            let settings = BTreeMap::from([((VIEWER.to_owned(), "theme".to_owned()), setting)]);
            add(words, &top, |_| Some("record"), || Ok(Settings(settings))).unwrap()
        };
        assert_eq!(shows("tracer record --view -- x")[2], "--theme=light");
        assert_eq!(shows("tracer record -- x").len(), 4);
        assert_eq!(shows("tracer record --view --theme=dark -- x").len(), 6);
        assert!(!names(&top, "record").iter().any(|name| name == "theme"));
    }
}
