//! The verdict for machines: JSON, SARIF, JUnit, annotations of GitHub, Markdown.
//!
//! All of them are made from one [`Report`], which owns what it says, so that a trace can go before the
//! next one is read. Nothing is opened here: bytes are written to whoever is handed in. Words that travel
//! and addresses are hex strings; every text is safe for a terminal already.
//!
//! Reading order: `document` (what a report says), `describe` (how it is made from a trace), then a file
//! for each form: `json`, `sarif`, `junit`, `github`, `markdown`. [`timeline`] is no verdict: all that happened,
//! for other viewers.

mod describe;
mod document;
mod github;
mod json;
mod junit;
mod markdown;
mod sarif;
pub mod timeline;

use std::io::{self, Write};

pub use describe::Root;
pub use document::*;
pub use github::harmless;
pub use markdown::SUMMARY_MAX;

/// A form that a report can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// One document, by `schema/report.json`.
    Json,
    /// A line for each finding, by `schema/line.json`.
    Jsonl,
    /// SARIF 2.1.0, which code scanning of GitHub and others read.
    Sarif,
    /// JUnit's XML, which dashboards of CI read.
    Junit,
    /// Commands of a GitHub workflow, which become annotations.
    Github,
    /// Markdown for people.
    Markdown,
}

impl Form {
    /// All forms with their names.
    pub const ALL: [(&'static str, Self); 6] = [
        ("json", Self::Json),
        ("jsonl", Self::Jsonl),
        ("sarif", Self::Sarif),
        ("junit", Self::Junit),
        ("github", Self::Github),
        ("markdown", Self::Markdown),
    ];
}

impl Report {
    /// Writes it.
    pub fn write(&self, form: Form, out: &mut dyn Write) -> io::Result<()> {
        match form {
            Form::Json => json::write(self, out),
            Form::Jsonl => json::write_lines(self, out),
            Form::Sarif => sarif::write(self, out),
            Form::Junit => junit::write(self, out),
            Form::Github => github::write(self, out),
            Form::Markdown => markdown::write(self, usize::MAX, out),
        }
    }

    /// Writes it as Markdown of at most `bytes_max` bytes; what is left out is said.
    pub fn write_summary(&self, bytes_max: usize, out: &mut dyn Write) -> io::Result<()> {
        markdown::write(self, bytes_max, out)
    }
}
