//! The table for other programs: JSON, and JUnit with a suite for each column.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::cell::{Cell, Status};
use super::table::Table;

/// A file to write, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    form: Form,
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Junit,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (form, file) = text
            .split_once('=')
            .ok_or("write it as FORM=FILE: `junit=matrix.xml`")?;
        let form = match form {
            "json" => Form::Json,
            "junit" => Form::Junit,
            other => return Err(format!("`{other}`: there are junit and json")),
        };
        if file.is_empty() {
            return Err("the name of the file is missing".to_owned());
        }
        Ok(Self {
            form,
            file: file.into(),
        })
    }
}

impl Wanted {
    pub(super) fn file(&self) -> &std::path::Path {
        &self.file
    }

    /// Writes it; `command` is what was run.
    pub(super) fn write(&self, table: &Table<'_>, command: &str) -> Result<()> {
        let text = match self.form {
            Form::Json => serde_json::to_string_pretty(&as_json(table, command))? + "\n",
            Form::Junit => junit(table).to_string()?,
        };
        std::fs::write(&self.file, text)
            .with_context(|| format!("cannot write the report {}", crate::safe::path(&self.file)))
    }
}

/// Version of the JSON form; a field that goes or changes its meaning makes a new one.
const SCHEMA_VERSION: u32 = 1;

fn as_json(table: &Table<'_>, command: &str) -> Value {
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "tool": column.tool,
                "skipped": column.outcome.as_ref().err(),
                "remark": column.remark,
                "seconds": column.seconds,
            })
        })
        .collect();
    let rows: Vec<Value> = table
        .rows
        .iter()
        .map(|(id, row)| {
            let cells = row.iter().zip(table.columns).filter_map(|(cell, column)| {
                Some((column.name.clone(), json_cell(cell.as_ref()?)))
            });
            json!({
                "suite": id.suite,
                "test": id.test,
                "cells": cells.collect::<serde_json::Map<_, _>>(),
            })
        })
        .collect();
    json!({
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "exit_code": table.exit_code(),
        "columns": columns,
        "rows": rows,
        "by_tracer_alone": table.by_tracer_alone(),
    })
}

fn json_cell(cell: &Cell) -> Value {
    json!({
        "status": cell.status,
        "seconds": cell.seconds,
        "reports": cell.reports,
        "log": cell.log,
        "trace": cell.trace,
    })
}

fn junit(table: &Table<'_>) -> Report {
    let mut report = Report::new("tracer matrix");
    for (index, column) in table.columns.iter().enumerate() {
        let mut suite = TestSuite::new(column.name.clone());
        if let Err(why) = &column.outcome {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("skipped: {why}"));
            suite.add_test_case(TestCase::new("(all)", status));
        }
        for (id, row) in &table.rows {
            let Some(cell) = &row[index] else { continue };
            let name = if id.test.is_empty() {
                &id.suite
            } else {
                &id.test
            };
            let mut case = TestCase::new(name.clone(), status(cell));
            case.set_classname(id.suite.clone());
            case.set_time(cell.time());
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report
}

fn status(cell: &Cell) -> TestCaseStatus {
    let mut status = match cell.status {
        Status::Passed => return TestCaseStatus::success(),
        Status::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        // An answer that is missing must not look green.
        Status::CannotTell => TestCaseStatus::non_success(NonSuccessKind::Error),
        Status::Unsupported | Status::Nothing => TestCaseStatus::skipped(),
    };
    let message = match (cell.reports.first(), cell.status) {
        (Some(report), _) => report.what.clone(),
        (None, Status::CannotTell) => "records were lost: the tool cannot tell".to_owned(),
        (None, _) => "there was nothing for the tool to look at".to_owned(),
    };
    status.set_message(message);
    let places: Vec<String> = cell
        .reports
        .iter()
        .map(|report| match &report.at {
            Some(at) => format!("{} at {at}", report.what),
            None => report.what.clone(),
        })
        .collect();
    if !places.is_empty() {
        status.set_description(places.join("\n"));
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_named_with_their_file() {
        let wanted: Wanted = "junit=a=b.xml".parse().unwrap();
        assert_eq!(
            wanted,
            Wanted {
                form: Form::Junit,
                file: "a=b.xml".into()
            }
        );
        assert!(
            "html=x"
                .parse::<Wanted>()
                .unwrap_err()
                .contains("junit and json")
        );
        assert!("junit".parse::<Wanted>().is_err());
        assert!("json=".parse::<Wanted>().is_err());
    }
}
