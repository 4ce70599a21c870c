//! `view`: where the viewer begins, and how it looks.

use std::path::PathBuf;

use clap::Args;
use tui::Goto;

use super::Names;

/// Commands of the viewer, in order.
#[derive(Clone, Debug)]
pub(crate) struct Script(pub(crate) Vec<String>);

fn script(text: &str) -> Result<Script, String> {
    tui::commands::script(text).map(Script)
}

#[derive(Debug, Args)]
pub(crate) struct View {
    /// A recorded file, a `.trc` file or a recording folder.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Look on while FILE, a recording folder, is written; once it is sealed, go on with the trace.
    ///
    /// The folder is what `TRACER_DIR` names in the recorded program; `record --dir DIR` makes it below DIR,
    /// else it lies in /dev/shm or the temporary folder. Space pauses what is shown.
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

    /// Run commands at the start, `;` between them; in the viewer `:` lists them all.
    #[arg(long, value_name = "COMMANDS", value_parser = script)]
    pub(crate) exec: Option<Script>,

    /// Draw with ASCII characters only.
    #[arg(long)]
    pub(crate) ascii: bool,

    /// Draw with these colours: `terminal`, `dark`, `light`, `contrast`, `deutan`, `tritan` or `mono`.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) theme: tui::Theme,

    /// Take the mouse from the start: clicks select rows, tabs and time. In the viewer F2 turns that.
    #[arg(long)]
    pub(crate) mouse: bool,

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
    use clap::Parser;

    use crate::args::{Cli, Command};

    #[test]
    fn commands_of_the_viewer_are_taken_apart() {
        let line = ["tracer", "view", "x", "--exec", "timeline; goto event:3"];
        let Command::View(view) = Cli::try_parse_from(line).unwrap().command else {
            panic!("another command");
        };
        let script = view.exec.unwrap().0;
        let commands: Vec<&str> = script.iter().map(|command| command.trim()).collect();
        assert_eq!(commands, ["timeline", "goto event:3"]);
    }
}
