//! Where reports go: what is printed, and what is written to files, from one look at the traces.
//!
//! Files are made before the traces are read, so that nobody waits for an analysis whose result has no
//! place; what is printed is one machine's form, or text for people with a workflow's commands beside it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use traces::Trace;
use traces::export::{Form, Report, Root, SUMMARY_MAX, harmless};
use traces::finding::Outcome;
use traces::selection::Selection;

use super::Show;
use crate::args::{Color, Reports};
use crate::page;

/// Columns of a text that goes to a file.
const FILE_WIDTH: usize = 100;

/// What a report looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For people.
    Text,
    /// For machines.
    Form(Form),
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "text" {
            return Ok(Self::Text);
        }
        if let Some((_, form)) = Form::ALL.iter().find(|form| form.0 == text) {
            return Ok(Self::Form(*form));
        }
        let names: Vec<&str> = std::iter::once("text")
            .chain(Form::ALL.iter().map(|form| form.0))
            .collect();
        let hint = match traces::near::nearest(text, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names.join(", ")),
        };
        Err(format!(
            "no report is called `{}`; {hint}",
            crate::safe::os(text.as_ref())
        ))
    }
}

/// A report and its file; without one it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct To {
    kind: Kind,
    file: Option<PathBuf>,
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, file) = match text.split_once('=') {
            Some((_, "")) => return Err("the name of a file is missing behind `=`".to_owned()),
            Some((kind, "-")) => (kind, None),
            Some((kind, file)) => (kind, Some(PathBuf::from(file))),
            None => (text, None),
        };
        Ok(Self {
            kind: kind.parse()?,
            file,
        })
    }
}

impl Reports {
    /// The files that are asked for.
    pub(super) fn files(&self) -> Vec<&Path> {
        let files = self.report.iter().filter_map(|to| to.file.as_deref());
        files.collect()
    }
}

/// The reports of one call.
pub(super) struct Out {
    /// What is printed besides text, and whether text is.
    printed: Option<Form>,
    prints_text: bool,
    texts: Vec<(PathBuf, BufWriter<File>)>,
    forms: Vec<(PathBuf, Form, BufWriter<File>)>,
    report: Report,
    root: Option<String>,
    color: Color,
    has_several: bool,
    count: usize,
    show: Show,
    clean: usize,
}

impl Out {
    /// Opens all files.
    pub(super) fn new(
        asked: &Reports,
        color: Color,
        has_several: bool,
        show: Show,
    ) -> Result<Self> {
        let mut kinds: Vec<Kind> = asked.format.into_iter().collect();
        let to_stdout = asked.report.iter().filter(|to| to.file.is_none());
        kinds.extend(to_stdout.map(|to| to.kind));
        let (printed, prints_text) = printed(&kinds)?;
        let mut out = Self {
            printed,
            prints_text,
            texts: Vec::new(),
            forms: Vec::new(),
            report: Report::new(env!("CARGO_PKG_VERSION")),
            root: root(asked.source_root.as_deref())?,
            color,
            has_several,
            count: 0,
            show,
            clean: 0,
        };
        for to in &asked.report {
            let Some(path) = &to.file else { continue };
            let file = File::create(path)
                .with_context(|| format!("cannot write the report {}", crate::safe::path(path)))?;
            let file = BufWriter::new(file);
            match to.kind {
                Kind::Text => out.texts.push((path.clone(), file)),
                Kind::Form(form) => out.forms.push((path.clone(), form, file)),
            }
        }
        Ok(out)
    }

    /// Tells of a trace: text at once, the rest at the end.
    pub(super) fn add(&mut self, file: &Path, trace: &Trace, selection: &Selection) -> Result<()> {
        let name = crate::safe::path(file);
        if self.wants_report() {
            self.report
                .add(&name, trace, selection, Root(self.root.as_deref()));
        }
        if self.show == Show::NotClean && selection.verdict.outcome() == Outcome::Clean {
            self.clean += 1;
            return Ok(());
        }
        let heading = self.heading(&name);
        self.count += 1;
        if self.prints_text {
            let lines = traces::report::lines_of(trace, selection, page::width());
            let commands = self.printed == Some(Form::Github) || page::is_in_workflow();
            print(&if commands {
                harmless(&heading)
            } else {
                heading.clone()
            })?;
            whole(page::print_beside(&lines, self.color, commands))?;
        }
        for (path, out) in &mut self.texts {
            let lines = traces::report::lines_of(trace, selection, FILE_WIDTH);
            let text: String = lines
                .iter()
                .map(|line| format!("{}\n", line.text))
                .collect();
            write!(out, "{heading}{text}").with_context(|| cannot_write(path))?;
        }
        Ok(())
    }

    /// Tells of a trace that cannot be read.
    pub(super) fn add_unreadable(&mut self, file: &Path, message: &str) -> Result<()> {
        let name = crate::safe::path(file);
        let heading = self.heading(&name);
        self.count += 1;
        self.report.add_unreadable(&name, message);
        if self.prints_text {
            print(&harmless(&heading))?;
        }
        for (path, out) in &mut self.texts {
            writeln!(out, "{heading}cannot be read: {message}")
                .with_context(|| cannot_write(path))?;
        }
        Ok(())
    }

    /// Writes what had to wait for the last trace.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.show == Show::NotClean && self.prints_text {
            let gap = if self.count == 0 { "" } else { "\n" };
            let all = self.count + self.clean;
            let traces = if all == 1 { "trace" } else { "traces" };
            print(&format!(
                "{gap}{all} {traces}, {} without findings\n",
                self.clean
            ))?;
        }
        for (path, out) in &mut self.texts {
            out.flush().with_context(|| cannot_write(path))?;
        }
        for (path, form, out) in &mut self.forms {
            self.report
                .write(*form, out)
                .and_then(|()| out.flush())
                .with_context(|| cannot_write(path))?;
        }
        if let Some(form) = self.printed {
            let mut out = BufWriter::new(io::stdout().lock());
            whole(self.report.write(form, &mut out).and_then(|()| out.flush()))?;
        }
        if self.uses(Form::Github) {
            self.summarise()?;
        }
        Ok(())
    }

    fn uses(&self, form: Form) -> bool {
        self.printed == Some(form) || self.forms.iter().any(|entry| entry.1 == form)
    }

    fn wants_report(&self) -> bool {
        self.printed.is_some() || !self.forms.is_empty()
    }

    /// The summary of a GitHub workflow's step, where there is one.
    fn summarise(&self) -> Result<()> {
        let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty())
        else {
            return Ok(());
        };
        let path = PathBuf::from(path);
        let write = || {
            let file = OpenOptions::new().append(true).create(true).open(&path)?;
            let mut out = BufWriter::new(file);
            self.report.write_summary(SUMMARY_MAX, &mut out)?;
            out.flush()
        };
        write().with_context(|| {
            format!(
                "cannot add to the step's summary {}",
                crate::safe::path(&path)
            )
        })
    }

    fn heading(&self, name: &str) -> String {
        let gap = if self.count == 0 { "" } else { "\n" };
        if self.has_several {
            format!("{gap}{name}:\n")
        } else {
            String::new()
        }
    }
}

/// What of several kinds is printed: a machine's form alone, or text, or text and commands.
fn printed(kinds: &[Kind]) -> Result<(Option<Form>, bool)> {
    let mut forms = kinds.iter().filter_map(|kind| match kind {
        Kind::Form(form) => Some(*form),
        Kind::Text => None,
    });
    let form = forms.next();
    let has_text = kinds.contains(&Kind::Text);
    let shares = matches!(form, None | Some(Form::Github));
    if forms.next().is_some() || (has_text && !shares) {
        bail!("two reports cannot both be printed; give one a file, as --report sarif=out.sarif");
    }
    Ok((form, shares))
}

/// The root of the sources, as the compiler would have named it.
fn root(asked: Option<&Path>) -> Result<Option<String>> {
    let root = match asked {
        Some(root) => root
            .canonicalize()
            .with_context(|| format!("cannot find the source root {}", crate::safe::path(root)))?,
        None => match std::env::current_dir() {
            Ok(root) => root,
            Err(_) => return Ok(None),
        },
    };
    Ok(root.to_str().map(str::to_owned))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write the report {}", crate::safe::path(path))
}

fn print(text: &str) -> Result<()> {
    whole(io::stdout().write_all(text.as_bytes()))
}

/// Whoever stops reading what is printed still gets the exit code and the files.
fn whole(printed: io::Result<()>) -> Result<()> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write the output"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_have_a_form_and_perhaps_a_file() {
        let to: To = "sarif=a=b".parse().unwrap();
        assert_eq!(
            to,
            To {
                kind: Kind::Form(Form::Sarif),
                file: Some("a=b".into())
            }
        );
        assert_eq!("json=-".parse::<To>().unwrap().file, None);
        assert_eq!("text".parse::<To>().unwrap().kind, Kind::Text);
        assert!(
            "json="
                .parse::<To>()
                .unwrap_err()
                .contains("name of a file")
        );
        assert!(
            "jsno"
                .parse::<To>()
                .unwrap_err()
                .contains("did you mean `json`?")
        );
        assert!("xml".parse::<To>().unwrap_err().contains("markdown"));
    }

    #[test]
    fn one_form_is_printed_and_commands_share_with_text() {
        let (json, github) = (Kind::Form(Form::Json), Kind::Form(Form::Github));
        assert_eq!(printed(&[]).unwrap(), (None, true));
        assert_eq!(printed(&[json]).unwrap(), (Some(Form::Json), false));
        assert_eq!(printed(&[github]).unwrap(), (Some(Form::Github), true));
        assert_eq!(
            printed(&[Kind::Text, github]).unwrap(),
            (Some(Form::Github), true)
        );
        assert!(printed(&[json, Kind::Text]).is_err());
        assert!(printed(&[json, github]).is_err());
    }
}
