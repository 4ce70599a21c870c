//! Every command that README.md and the pages of `docs/` show can be typed as it stands there, and their links lead
//! somewhere.
//!
//! A command is a line in a `sh` block that begins with `tracer`. It is run in a folder with a trace
//! called `trace.bin`; a program that it records is one that was made up for the test. Commands that
//! want a terminal get one. The lines that begin with `cargo` are for `.ci/run`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{demo_trace, has_io_uring, run, tracer};
use crate::terminal::Terminal;

/// README.md and the pages of `docs/`, with what they say.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut paths: Vec<_> = docs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    paths.push(root.join("README.md"));
    paths.sort();
    let page = |path: PathBuf| {
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, text)
    };
    paths.into_iter().map(page).collect()
}

/// Lines of `sh` blocks, comments cut off.
fn shell_lines(markdown: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside && line.trim() == "```sh";
        } else if inside {
            let line = line.split(" #").next().unwrap_or("").trim();
            lines.push(line.trim_start_matches("$ ").to_owned());
        }
    }
    lines
}

/// Commands here are words, spaces and single quotes; who adds more to a page adds it to this test.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part);
            continue;
        }
        assert!(
            !part.contains(['"', '|', '>', '*', '\\']),
            "cannot run `{line}`"
        );
        words.extend(part.split_whitespace());
    }
    words
}

/// A program at the path that a command records.
fn make_program(folder: &Path, program: &str) {
    let path = folder.join(program);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let binary = env!("CARGO_BIN_EXE_tracer");
    let script = format!("#!/bin/sh\nexec '{binary}' __scenario double --ring simulated\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn commands_can_be_typed_as_they_stand_there() {
    has_io_uring();
    let pages = pages();
    let lines: Vec<_> = pages
        .iter()
        .flat_map(|(_, text)| shell_lines(text))
        .collect();
    let commands: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("tracer "))
        .collect();
    assert!(
        commands.len() >= 20,
        "the pages show too few commands: {commands:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::rename(
        demo_trace(folder.path(), &["leftover"]),
        folder.path().join("trace.bin"),
    )
    .unwrap();
    for line in commands {
        let words = words(line);
        let mut command = tracer(folder.path());
        command.args(&words[1..]);
        let recorded = words.iter().skip_while(|word| **word != "--").nth(1);
        if let Some(program) = recorded.filter(|program| program.contains('/')) {
            make_program(folder.path(), program);
        }
        let shows = words.contains(&"--view");
        if shows || words[1] == "view" || (words[1] == "demo" && !words.contains(&"--no-view")) {
            let terminal = Terminal::start(command, 100, 30);
            terminal.wait_for_screen();
            if shows {
                // Before that, whoever leaves is asked what becomes of the program.
                terminal.wait_for("ENDED");
            }
            terminal.press("q");
            let (status, contents) = terminal.end_and_assert_clean();
            assert!(
                status.code().is_some_and(|code| code < 2),
                "`{line}`: {contents}"
            );
        } else if words[1] == "matrix" {
            // Over a project it runs in `matrix`; here there is none, and it is understood that far.
            run(&mut command).exits(2).says("no Cargo.toml here");
        } else {
            let ran = run(&mut command);
            if words.contains(&"--kernel") && ran.status.code() == Some(125) {
                // Who may not listen to tracepoints is told what that takes.
                ran.says("the kernel cannot be listened to here");
                continue;
            }
            assert!(
                matches!(ran.status.code(), Some(0 | 1)),
                "`{line}`: {ran:?}"
            );
        }
    }
}

#[test]
fn rules_are_listed_as_they_are() {
    let pages = pages();
    let readme = pages.iter().find(|(path, _)| path.ends_with("README.md"));
    let readme = &readme.unwrap().1;
    for rule in traces::rules::ALL {
        let row = format!("| {} | {} | {} |", rule.id, rule.name, rule.brief);
        assert!(
            readme.lines().any(|line| line == row),
            "README.md lacks {row}"
        );
    }
}

/// What stands in `](…)`, outside of blocks of code.
fn links(markdown: &str) -> Vec<String> {
    let mut inside = false;
    let prose = markdown.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    let prose = prose.collect::<Vec<_>>().join("\n");
    let after = prose.split("](").skip(1);
    after
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let text: String = heading.chars().filter(kept).collect();
    text.trim().to_lowercase().replace(' ', "-")
}

#[test]
fn links_lead_to_a_file_and_a_heading() {
    let mut seen = 0;
    for (page, text) in pages() {
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            seen += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(file.exists(), "{}: no {link}", page.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&file).unwrap();
                let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
                assert!(
                    headings
                        .into_iter()
                        .any(|line| anchor(line.trim_start_matches('#')) == heading),
                    "{}: no {link}",
                    page.display()
                );
            }
        }
    }
    assert!(seen >= 10, "only {seen} links");
}
