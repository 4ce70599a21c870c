//! `view`: where the viewer begins, and how it looks.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use tui::{Goto, Theme};

use super::Names;
use crate::clipboard::Clipboard;

/// Commands of the viewer, in order.
#[derive(Clone, Debug)]
pub(crate) struct Script(pub(crate) Vec<String>);

fn script(text: &str) -> Result<Script, String> {
    tui::commands::script(text).map(Script)
}

/// What stands above the options of the viewer where another command opens it.
pub(crate) const VIEWER_HEADING: &str = "The viewer, with --view";

/// Which colours are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WantedTheme {
    /// Those that fit the terminal's background.
    #[default]
    Auto,
    /// These.
    One(Theme),
}

impl fmt::Display for WantedTheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::One(theme) => theme.fmt(f),
        }
    }
}

impl FromStr for WantedTheme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            name => name.parse().map(Self::One),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct View {
    /// A recorded file, a `.trc` file or a recording folder; without it, `trace.bin` in this folder.
    #[arg(value_name = "FILE", required_unless_present = "follow")]
    pub(crate) file: Option<PathBuf>,

    /// Look on while FILE, a recording folder, is written; once it is sealed, go on with the trace.
    ///
    /// Without FILE, the recording of yours that goes on in /dev/shm or the temporary folder. `record --dir DIR`
    /// makes the folder below DIR; in the recorded program `TRACER_DIR` names it. Space pauses what is shown.
    #[arg(long)]
    pub(crate) follow: bool,

    /// Start there: a finding (`finding:3`), a rule (`T02`) or an event (`event:41`).
    #[arg(long, value_name = "PLACE")]
    pub(crate) goto: Option<Goto>,

    /// Compare with the trace from before, A: what is new, gone and the same, and numbers that moved.
    ///
    /// `D` lists that; Enter opens a finding in the trace that has it, `T` shows the other trace.
    #[arg(long, value_name = "A", conflicts_with = "goto")]
    pub(crate) diff: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) display: Display,
}

/// How the viewer looks and what it leaves out, whoever opens it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Display {
    /// Run commands at the start, `;` between them; in the viewer `:` lists them all.
    #[arg(long, value_name = "COMMANDS", value_parser = script)]
    pub(crate) exec: Option<Script>,

    /// Draw with ASCII characters only.
    #[arg(long)]
    pub(crate) ascii: bool,

    /// Draw with these colours: `dark`, `light`, `contrast`, `deutan`, `tritan`, `mono`, or `terminal` for the
    /// terminal's own; `auto` is dark or light as the terminal's background is, and else its own.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) theme: WantedTheme,

    /// Take the keys from this TOML file instead of `keymap.toml` beside the user's settings.
    ///
    /// A table `[keys]` gives commands of the viewer other keys: `"finding.next" = ["e", "<f3>"]`; in the viewer `:`
    /// lists the commands, `?` the keys.
    #[arg(long, value_name = "FILE")]
    pub(crate) keymap: Option<PathBuf>,

    /// Neither show nor keep bookmarks and notes of the trace.
    #[arg(long)]
    pub(crate) no_session: bool,

    /// Take the mouse from the start: clicks select rows, tabs and time. In the viewer F2 turns that.
    #[arg(long)]
    pub(crate) mouse: bool,

    /// Who keeps what is copied: the terminal (`osc52`), `tmux`, or a command that reads it (`wl-copy`,
    /// `xclip -selection clipboard`).
    ///
    /// A copy of more than 56 kB, which many terminals refuse, goes to a file whose name is said.
    #[arg(long, value_name = "WAY", default_value_t)]
    pub(crate) clipboard: Clipboard,

    /// The editor to open sources in, instead of `$VISUAL` or `$EDITOR`: known ones are told the line in their own
    /// way, others by `{line}` and `{file}`: `--editor 'myeditor --line={line} {file}'`.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) editor: Option<String>,

    /// Do not list findings that this TOML file suppresses, and write to it what `X` suppresses.
    ///
    /// Without it: `.config/tracer-suppressions.toml` below the current folder, where that is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) suppressions: Option<PathBuf>,

    /// Do not list findings that this file holds, which `check --write-baseline` made.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) names: Names,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn commands_of_the_viewer_are_taken_apart() {
        let line = ["tracer", "view", "x", "--exec", "timeline; goto event:3"];
        let Command::View(view) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command");
        };
        let script = view.display.exec.unwrap().0;
        let commands: Vec<&str> = script.iter().map(|command| command.trim()).collect();
        assert_eq!(commands, ["timeline", "goto event:3"]);
    }

    #[test]
    fn record_looks_as_view_does_and_only_where_it_shows_anything() {
        let line = |first: &'static str| {
            let rest = "--theme light --ascii --mouse --exec timeline -- x";
            let words = first.split(' ').chain(rest.split(' '));
            Cli::try_parse_from(words)
        };
        let Command::Record(record) = line("tracer record --view").unwrap().command else {
            panic!("another command");
        };
        let display = record.display;
        assert!(display.ascii && display.mouse && display.exec.is_some());
        assert_eq!(display.theme, WantedTheme::One(Theme::Light));
        let refused = line("tracer record").unwrap_err().to_string();
        assert!(refused.contains("--view"), "{refused}");
        let view = Cli::command().find_subcommand("view").cloned().unwrap();
        let recorder = Cli::command().find_subcommand("record").cloned().unwrap();
        let of_trace = ["follow", "goto", "diff"];
        for option in view.get_arguments().filter_map(|arg| arg.get_long()) {
            let mut known = recorder.get_arguments().filter_map(|arg| arg.get_long());
            assert!(
                of_trace.contains(&option) || known.any(|it| it == option),
                "{option}"
            );
        }
    }
}
