//! All columns side by side: a row for each test, in the order of their names.

use std::collections::BTreeMap;

use traces::finding::Severity;
use traces::report::{Class, Line, cut};

use super::cell::{Cell, Id, Status};
use super::run::Ran;
use super::tools::Tool;
use crate::exit::{CANNOT_TELL, CLEAN, FINDINGS};

/// Rows that are `ok` everywhere are counted, not shown, where there are more rows than this.
const ROWS_MAX: usize = 40;
const NAME_MAX: usize = 60;

/// The merged table.
pub(super) struct Table<'a> {
    pub(super) columns: &'a [Ran],
    /// A cell for each column, where it has one.
    pub(super) rows: BTreeMap<&'a Id, Vec<Option<Cell>>>,
}

impl<'a> Table<'a> {
    /// Merges; where a column has two cells for a test, the worse one counts.
    pub(super) fn new(columns: &'a [Ran]) -> Self {
        let mut rows: BTreeMap<&Id, Vec<Option<Cell>>> = BTreeMap::new();
        for (index, column) in columns.iter().enumerate() {
            for cell in column.outcome.iter().flatten() {
                let row = rows
                    .entry(&cell.id)
                    .or_insert_with(|| vec![None; columns.len()]);
                let slot = &mut row[index];
                let is_better = slot
                    .as_ref()
                    .is_some_and(|known| known.status.worse(cell.status) == known.status);
                if !is_better {
                    *slot = Some(cell.clone());
                }
            }
        }
        Self { columns, rows }
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.rows.values().flatten().flatten()
    }

    /// 1 where a cell fails; 3 where none does and not all could be looked at.
    pub(super) fn exit_code(&self) -> u8 {
        let has = |status| self.cells().any(|cell| cell.status == status);
        let is_skipped = self.columns.iter().any(|column| column.outcome.is_err());
        if has(Status::Failed) {
            FINDINGS
        } else if is_skipped || has(Status::CannotTell) || !has(Status::Passed) {
            CANNOT_TELL
        } else {
            CLEAN
        }
    }

    /// Tests that fail in tracer's columns and in no other.
    pub(super) fn by_tracer_alone(&self) -> Vec<&'a Id> {
        let fails = |row: &[Option<Cell>], by_tracer: bool| {
            let mut pairs = row.iter().zip(self.columns);
            pairs.any(|(cell, column)| {
                (column.tool == Tool::Tracer) == by_tracer
                    && cell
                        .as_ref()
                        .is_some_and(|cell| cell.status == Status::Failed)
            })
        };
        let rows = self
            .rows
            .iter()
            .filter(|(_, row)| fails(row, true) && !fails(row, false));
        rows.map(|(id, _)| *id).collect()
    }

    /// The page for a terminal.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut line = |class, text: String| {
            lines.push(Line {
                class,
                text: text.trim_end().to_owned(),
            });
        };
        let shown: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, row)| self.rows.len() <= ROWS_MAX || !is_ok(row))
            .collect();
        let names: Vec<String> = shown.iter().map(|(id, _)| name(id)).collect();
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .max("seconds".len());
        let run: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.outcome.is_ok())
            .collect();
        let padded = |text: &str, column: &Ran| format!("  {text:>0$}", column.name.len().max(5));
        let header: String = run
            .iter()
            .map(|(_, column)| padded(&column.name, column))
            .collect();
        line(Class::Summary, format!("{:width$}{header}", "test"));
        for ((_, row), name) in shown.iter().zip(&names) {
            let words: String = run
                .iter()
                .map(|(index, column)| {
                    padded(
                        row[*index].as_ref().map_or("", |cell| cell.status.word()),
                        column,
                    )
                })
                .collect();
            let class = class(row);
            line(class, format!("{name:width$}{words}"));
        }
        if shown.len() < self.rows.len() {
            let hidden = self.rows.len() - shown.len();
            line(
                Class::Good,
                format!("{hidden} more, ok in each column that they were run in"),
            );
        }
        let seconds: String = run
            .iter()
            .map(|(_, column)| padded(&format!("{:.1}", column.seconds), column))
            .collect();
        line(Class::Summary, format!("{:width$}{seconds}", "seconds"));
        self.skipped(&mut line);
        self.reports(&shown, &mut line);
        self.summary(&mut line);
        lines
    }

    fn skipped(&self, line: &mut impl FnMut(Class, String)) {
        line(Class::Empty, String::new());
        for column in self.columns {
            match (&column.outcome, &column.remark) {
                (Err(why), _) => line(Class::Warning, format!("{} skipped: {why}", column.name)),
                (Ok(_), Some(remark)) => line(Class::Summary, format!("{}: {remark}", column.name)),
                (Ok(_), None) => {}
            }
        }
    }

    /// What was reported, test by test.
    fn reports(&self, rows: &[(&&Id, &Vec<Option<Cell>>)], line: &mut impl FnMut(Class, String)) {
        for (id, row) in rows {
            let with_report = |cell: &&Cell| !cell.reports.is_empty();
            if row.iter().flatten().filter(with_report).count() == 0 {
                continue;
            }
            line(Class::Empty, String::new());
            line(Class::Sentence, name(id));
            for (cell, column) in row.iter().zip(self.columns) {
                let Some(cell) = cell.as_ref().filter(|cell| !cell.reports.is_empty()) else {
                    continue;
                };
                let report = &cell.reports[0];
                let more = match cell.reports.len() {
                    1 => String::new(),
                    count => format!(" (and {} more)", count - 1),
                };
                let at = report.at.as_ref().map_or(String::new(), |at| {
                    format!(", {}", traces::tty(at.as_bytes()))
                });
                let what = traces::tty(cut(&report.what, 200).as_bytes());
                line(
                    Class::Event,
                    format!("  {:<10} {what}{at}{more}", column.name),
                );
                if let Some(trace) = cell
                    .trace
                    .as_ref()
                    .filter(|_| cell.status == Status::Failed)
                {
                    line(
                        Class::Advice,
                        format!("  {:<10} tracer view {}", "", crate::safe::path(trace)),
                    );
                }
            }
        }
    }

    fn summary(&self, line: &mut impl FnMut(Class, String)) {
        let failed = self
            .rows
            .values()
            .filter(|row| has(row, Status::Failed))
            .count();
        let (tests, alone) = (self.rows.len(), self.by_tracer_alone().len());
        line(Class::Empty, String::new());
        if failed == 0 {
            let class = if self.exit_code() == CLEAN {
                Class::Good
            } else {
                Class::Warning
            };
            line(class, format!("{tests} tests, no cell fails"));
        } else {
            line(
                Class::Headline(Severity::Error),
                format!("{tests} tests, {failed} with a cell that fails"),
            );
        }
        if alone > 0 {
            line(Class::Sentence, format!("found by tracer alone: {alone}"));
        }
        if self.cells().any(|cell| cell.status == Status::Nothing) {
            line(
                Class::Summary,
                "`-`: there was nothing for the tool to look at".to_owned(),
            );
        }
    }
}

fn has(row: &[Option<Cell>], status: Status) -> bool {
    row.iter().flatten().any(|cell| cell.status == status)
}

fn is_ok(row: &[Option<Cell>]) -> bool {
    row.iter()
        .flatten()
        .all(|cell| matches!(cell.status, Status::Passed | Status::Nothing))
}

fn class(row: &[Option<Cell>]) -> Class {
    if has(row, Status::Failed) {
        Class::Headline(Severity::Error)
    } else if is_ok(row) {
        Class::Summary
    } else {
        Class::Warning
    }
}

/// `sample  leaks::one`
fn name(id: &Id) -> String {
    let whole = match &*id.test {
        "" => id.suite.clone(),
        test => format!("{}  {test}", id.suite),
    };
    cut(&traces::tty(whole.as_bytes()), NAME_MAX)
}

#[cfg(test)]
mod tests {
    use super::super::cell::Report;
    use super::*;

    fn column(tool: Tool, cells: &[(&str, Status)]) -> Ran {
        let cell = |(test, status): &(&str, Status)| Cell {
            id: Id {
                suite: "sample".to_owned(),
                test: (*test).to_owned(),
            },
            status: *status,
            reports: match status {
                Status::Failed => vec![Report {
                    what: "leak".to_owned(),
                    at: Some("src/lib.rs:3".to_owned()),
                }],
                _ => Vec::new(),
            },
            seconds: 0.0,
            log: None,
            trace: None,
        };
        Ran {
            tool,
            name: tool.word().to_owned(),
            outcome: Ok(cells.iter().map(cell).collect()),
            seconds: 1.25,
            remark: None,
        }
    }

    fn skipped(tool: Tool) -> Ran {
        Ran {
            outcome: Err("no such tool here; install it".to_owned()),
            ..column(tool, &[])
        }
    }

    #[test]
    fn page_has_rows_reasons_and_what_only_tracer_found() {
        use Status::{Failed, Nothing, Passed, Unsupported};
        let columns = [
            column(Tool::Plain, &[("a", Passed), ("b", Passed), ("c", Passed)]),
            column(Tool::Memcheck, &[("a", Failed), ("b", Passed)]),
            skipped(Tool::Miri),
            column(
                Tool::Tracer,
                &[("a", Failed), ("b", Failed), ("c", Nothing)],
            ),
            column(Tool::Careful, &[("c", Unsupported)]),
        ];
        let table = Table::new(&columns);
        let text: Vec<_> = table.lines().into_iter().map(|line| line.text).collect();
        assert_eq!(
            text.join("\n"),
            "\
test       plain  memcheck  tracer  careful
sample  a     ok      FAIL    FAIL
sample  b     ok        ok    FAIL
sample  c     ok                 -      n/a
seconds      1.2       1.2     1.2      1.2

miri skipped: no such tool here; install it

sample  a
  memcheck   leak, src/lib.rs:3
  tracer     leak, src/lib.rs:3

sample  b
  tracer     leak, src/lib.rs:3

3 tests, 2 with a cell that fails
found by tracer alone: 1
`-`: there was nothing for the tool to look at"
        );
        assert_eq!(table.exit_code(), FINDINGS);
    }

    #[test]
    fn what_was_not_looked_at_is_not_clean() {
        let passed = column(Tool::Plain, &[("a", Status::Passed)]);
        assert_eq!(Table::new(std::slice::from_ref(&passed)).exit_code(), CLEAN);
        assert_eq!(
            Table::new(&[passed, skipped(Tool::Asan)]).exit_code(),
            CANNOT_TELL
        );
        let nothing = column(Tool::Tracer, &[("a", Status::Nothing)]);
        assert_eq!(Table::new(&[nothing]).exit_code(), CANNOT_TELL);
    }

    #[test]
    fn many_rows_that_are_ok_are_counted() {
        let names: Vec<String> = (0..50).map(|number| format!("t{number}")).collect();
        let mut cells: Vec<_> = names.iter().map(|name| (&**name, Status::Passed)).collect();
        cells[7].1 = Status::Failed;
        let columns = [column(Tool::Plain, &cells)];
        let text: Vec<_> = Table::new(&columns)
            .lines()
            .into_iter()
            .map(|line| line.text)
            .collect();
        assert_eq!(text[1], "sample  t7   FAIL");
        assert_eq!(text[2], "49 more, ok in each column that they were run in");
    }
}
