//! Settings: which one wins, what is said of mistakes, and the help texts, which stand in `tests/help.txt`
//! (`UPDATE_EXPECT=1` writes it).

use std::path::Path;
use std::process::Command;

use crate::support::{run, tracer};

fn set(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// In a project below the folder, with a user's folder of settings.
fn command(folder: &Path) -> Command {
    let below = folder.join("project/src");
    std::fs::create_dir_all(&below).unwrap();
    let mut command = tracer(&below);
    command.env("XDG_CONFIG_HOME", folder.join("user"));
    command
}

fn shown(command: &mut Command, name: &str) -> String {
    let ran = run(command.args(["config", "show", "--origin"])).exits(0);
    let start = format!("{name} = ");
    let line = ran
        .stdout()
        .lines()
        .find(|line| line.trim_start_matches("# ").starts_with(&start));
    line.unwrap_or_else(|| panic!("no {name} in {ran:?}"))
        .to_owned()
}

#[test]
fn typed_wins_over_environment_project_user_and_default() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert_eq!(
        shown(&mut command(at), "ring"),
        "ring = \"64MiB\"  # default (TRACER_RECORD_RING sets it)"
    );
    set(
        at,
        "user/tracer/config.toml",
        "color = \"never\"\n[record]\nring = \"2MiB\"\n",
    );
    let user = shown(&mut command(at), "ring");
    assert!(user.starts_with("ring = \"2MiB\"  # user: "), "{user}");
    set(
        at,
        "project/.config/tracer.toml",
        "[record]\nring = \"3MiB\"\nstacks = true\n[check]\nbaseline = \"known.json\"\n",
    );
    let project = shown(&mut command(at), "ring");
    assert!(
        project.starts_with("ring = \"3MiB\"  # project: "),
        "{project}"
    );
    assert!(shown(&mut command(at), "stacks").starts_with("stacks = true  # project: "));
    // Relative to the project, not to its folder of settings or to this one.
    let baseline = shown(&mut command(at), "baseline");
    let expected = at.join("project/known.json");
    assert!(
        baseline.contains(&format!("\"{}\"", expected.display())),
        "{baseline}"
    );
    assert!(shown(&mut command(at), "color").starts_with("color = \"never\"  # user: "));
    let mut with_variable = command(at);
    with_variable.env("TRACER_RECORD_RING", "4MiB");
    assert_eq!(
        shown(&mut with_variable, "ring"),
        "ring = \"4MiB\"  # environment: TRACER_RECORD_RING"
    );
    // What is wrong is wrong only while it counts: typed words come first.
    set(
        at,
        "project/.config/tracer.toml",
        "[record]\nring = \"3 parsecs\"\n",
    );
    let record = |more: &[&str]| run(command(at).arg("record").args(more).args(["--", "true"]));
    record(&[]).exits(2).says("unknown unit `parsecs`");
    set(
        at,
        "project/.config/tracer.toml",
        "[record]\nring = \"3MiB\"\n",
    );
    // Of two settings that exclude each other the one of higher origin holds.
    let mut excluded = command(at);
    excluded.env("TRACER_RECORD_GROW", "1MiB");
    run(excluded.args(["record", "--", "true"])).exits(0);
    for typed in [
        &["--ring", "1MiB"][..],
        &["--ring=1MiB"],
        &["--grow", "1MiB"],
    ] {
        let ran = record(typed);
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    }
}

#[test]
fn mistakes_in_a_file_are_answered_with_its_place_and_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let show = |text: &str| {
        set(at, "project/tracer.toml", text);
        run(command(at).args(["config", "show"]))
    };
    show("[record]\nrnig = \"1MiB\"\n")
        .exits(0)
        .says("project/tracer.toml: there is no `rnig` in [record]; did you mean `ring`?");
    // A project may be somebody else's: it must not say what is overwritten.
    show("[check]\nwrite-baseline = \"/etc/passwd\"\n")
        .exits(0)
        .says("`write-baseline` is no setting");
    show("[recrod]\n")
        .exits(0)
        .says("there is no [recrod]; did you mean `record`?");
    show("[record]\nstacks = \"yes\"\n")
        .exits(2)
        .says("`stacks` wants true or false");
    show("[check]\nfail-on = [\"error\", true]\n")
        .exits(2)
        .says("`fail-on` wants a text");
    show("\n[record\n")
        .exits(2)
        .says("project/tracer.toml, line 2: ");
    show("[check]\nfail-on = [\"error\", \"T02\"]\n")
        .exits(0)
        .prints("fail-on = [\"error\", \"T02\"]");
}

#[test]
fn help_texts_are_as_they_were_read_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut texts = String::new();
    let commands = [
        "",
        "record",
        "check",
        "view",
        "dump",
        "stats",
        "diff",
        "export",
        "pack",
        "matrix",
        "explain",
        "doctor",
        "config",
        "demo",
        "completions",
        "__cargo",
        "__cargo test",
        "__cargo run",
        "__cargo record",
    ];
    for words in commands {
        let mut help = tracer(folder.path());
        help.env("COLUMNS", "100")
            .args(words.split_whitespace())
            .arg("--help");
        let ran = run(&mut help).exits(0);
        let title = format!("tracer {words}").replace("tracer __cargo", "cargo tracer");
        texts += &format!("== {}\n{}\n", title.trim_end(), ran.stdout());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &texts).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (got, wanted) in texts.split("\n== ").zip(expected.split("\n== ")) {
        assert_eq!(got, wanted, "UPDATE_EXPECT=1 writes what is said now");
    }
    assert_eq!(texts.len(), expected.len());
}
