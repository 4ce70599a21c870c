//! The user's editor, opened at a line: what `view --editor` says, else `$VISUAL`, `$EDITOR`, or `vi`.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

/// The editor that the environment asks for.
pub(crate) fn wanted() -> OsString {
    let set = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    set("VISUAL")
        .or_else(|| set("EDITOR"))
        .unwrap_or_else(|| "vi".into())
}

/// The command that opens a file at a line. The editor is words as a shell reads them, so that a path with
/// blanks may be quoted; those behind its name are its arguments, and its name decides how a line is said to it.
pub(crate) fn command(editor: &OsStr, file: &Path, line: u32) -> Command {
    let words: Vec<OsString> = match editor.to_str().map(shlex::split) {
        Some(Some(words)) => words.into_iter().map(OsString::from).collect(),
        // A quote without its end, or no text at all: the error that there is no such program names it.
        Some(None) | None => vec![editor.to_owned()],
    };
    if words.iter().any(|word| has_place(word)) {
        return templated(&words, file, line);
    }
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_else(|| "vi".into());
    let mut command = Command::new(&program);
    command.args(words);
    let name = Path::new(&program).file_name().and_then(OsStr::to_str);
    let with_line = || {
        let mut path = file.as_os_str().to_owned();
        path.push(format!(":{line}"));
        path
    };
    match name.unwrap_or_default() {
        "hx" | "helix" | "zed" | "zeditor" | "subl" | "sublime_text" => {
            command.arg(with_line());
        }
        "code" | "code-insiders" | "codium" | "cursor" => {
            command.arg("--goto").arg(with_line());
        }
        "idea" | "clion" | "rustrover" => {
            command.arg("--line").arg(line.to_string()).arg(file);
        }
        // vi and its kin, emacs, nano, kakoune, micro, and most that came after them.
        _ => {
            command.arg(format!("+{line}")).arg(file);
        }
    }
    command
}

/// Places in a command for what is opened.
const FILE: &str = "{file}";
const LINE: &str = "{line}";

fn has_place(word: &OsStr) -> bool {
    word.to_str()
        .is_some_and(|word| word.contains(FILE) || word.contains(LINE))
}

/// A command that says itself where file and line stand; the file stands last where it does not.
fn templated(words: &[OsString], file: &Path, line: u32) -> Command {
    let fill = |word: &OsString| -> OsString {
        let Some(text) = word.to_str() else {
            return word.clone();
        };
        let text = text.replace(LINE, &line.to_string());
        let mut filled = OsString::new();
        for (at, part) in text.split(FILE).enumerate() {
            if at > 0 {
                filled.push(file);
            }
            filled.push(part);
        }
        filled
    };
    let mut filled = words.iter().map(fill);
    let mut command = Command::new(filled.next().unwrap_or_else(|| "vi".into()));
    command.args(filled);
    if !words
        .iter()
        .any(|word| word.to_str().is_some_and(|word| word.contains(FILE)))
    {
        command.arg(file);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(editor: &str) -> Vec<String> {
        let command = command(OsStr::new(editor), Path::new("/src/conn rs"), 88);
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn each_editor_is_told_the_line_in_its_own_way() {
        assert_eq!(words("vim -R"), ["vim", "-R", "+88", "/src/conn rs"]);
        assert_eq!(words("/usr/bin/hx"), ["/usr/bin/hx", "/src/conn rs:88"]);
        assert_eq!(
            words("code -w"),
            ["code", "-w", "--goto", "/src/conn rs:88"]
        );
        assert_eq!(
            words("rustrover"),
            ["rustrover", "--line", "88", "/src/conn rs"]
        );
        assert_eq!(words("unheard-of"), ["unheard-of", "+88", "/src/conn rs"]);
        assert_eq!(words(" "), ["vi", "+88", "/src/conn rs"]);
        let quoted = words("'/opt/my editor/code' --user-data-dir \"a b\" -a ''");
        let first = ["/opt/my editor/code", "--user-data-dir", "a b", "-a", ""];
        assert_eq!(quoted[..5], first);
        assert_eq!(quoted[5..], ["--goto", "/src/conn rs:88"]);
        assert_eq!(words("it's")[0], "it's");
        // One that says where they stand.
        let own = words("myeditor --line={line} {file} -w");
        assert_eq!(own, ["myeditor", "--line=88", "/src/conn rs", "-w"]);
        assert_eq!(words("code -g {file}:{line}:1")[2], "/src/conn rs:88:1");
        assert_eq!(words("ed -n {line}"), ["ed", "-n", "88", "/src/conn rs"]);
    }
}
