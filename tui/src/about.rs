//! The text that stands below a list and tells all there is to say about its selected row.
//!
//! Lists cut their rows where the screen ends; here nothing is cut, only scrolled.

use traces::event::{Event, EventId};
use traces::finding::{Finding, Outcome, Summary};
use traces::operations::Ends;

use crate::hiding::Why;
use crate::layout::Pane;
use crate::life::NeighbourRow;
use crate::live::{State, Watched};
use crate::model::{FindingRow, LifeRow, Model};
use crate::msg::{Msg, Toward};
use crate::text::{Line, Tone, count, counted, difference, sentence, time, wrap, wrap_after};
use crate::words::{CANNOT_TELL, confidence, confidence_meaning, either, rule_name, severity};
use crate::{diff, losses, notes, rings};

/// Findings and events of one kind that are listed one by one; beyond, they are counted.
const LISTED_MAX: usize = 50;

/// The text of a pane, in lines of at most `columns`.
pub fn lines(model: &Model, pane: Pane, columns: usize) -> Vec<Line> {
    match pane {
        Pane::Findings => about_finding(model, columns),
        Pane::Biography => about_life_row(model, columns),
        Pane::Timeline => about_moment(model, columns),
        Pane::Neighbours => about_neighbour(model, columns),
        Pane::Rings => {
            let rings = model.rings.rings.as_ref();
            let ring = rings.and_then(|rings| rings.get(model.rings.selected));
            ring.map_or_else(Vec::new, |ring| rings::about(model, ring, columns))
        }
        Pane::Objects => about_object(model, columns),
        Pane::Diff => diff::about(model, columns),
        Pane::Losses => {
            let row = losses::row(model, model.losses.selected);
            row.map_or_else(Vec::new, |row| losses::about(model, row, columns))
        }
        Pane::Notes => match model.notes.list.get(model.notes.selected) {
            Some(note) => about_event(model, note.event, columns),
            None => Vec::new(),
        },
        Pane::Source => match model.focus().event {
            Some(event) => about_event(model, event, columns),
            None => Vec::new(),
        },
        Pane::Events => match model.event_at(model.events_selected()) {
            Some(event) => about_event(model, event, columns),
            None => Vec::new(),
        },
    }
}

fn plain(text: &str, tone: Tone, columns: usize) -> Vec<Line> {
    wrap(text, columns)
        .into_iter()
        .map(|line| vec![(line, tone)])
        .collect()
}

fn about_finding(model: &Model, columns: usize) -> Vec<Line> {
    let row = model.selected_finding();
    if let Some(finding) = model.finding(row) {
        return whole_finding(model, row, finding, columns);
    }
    if let Some(question) = model.question(row) {
        let rule = format!("{} {}", question.rule, rule_name(question.rule));
        let mut lines = plain(
            &format!("{} {}: {rule}", CANNOT_TELL.0, CANNOT_TELL.1),
            Tone::Unsure,
            columns,
        );
        lines.extend(plain(&sentence(&question.message), Tone::Plain, columns));
        lines.extend(plain(
            "Records that could decide it are missing, so this is neither a finding nor a clean bill.",
            Tone::Faint,
            columns,
        ));
        return lines;
    }
    if row == FindingRow::Hidden {
        let words = model.hiding.in_words().unwrap_or_default();
        let text = format!(
            "{words}. {} lists them here; of a suppressed one {} takes the suppression back.",
            model.key_in(Pane::Findings, Msg::ShowHidden),
            model.key_in(Pane::Findings, Msg::Unsuppress)
        );
        return plain(&text, Tone::Plain, columns);
    }
    summary(model, columns)
}

fn whole_finding(model: &Model, row: FindingRow, finding: &Finding, columns: usize) -> Vec<Line> {
    let (sign, word, tone) = severity(finding.severity, model.look.characters);
    let seen = match finding.count {
        0 | 1 => String::new(),
        more => format!(", seen {} times", count(more)),
    };
    let head = format!(
        "{sign} {word}: {} {}, {}{seen}",
        finding.rule,
        rule_name(finding.rule),
        confidence(finding.confidence)
    );
    let mut lines = plain(&head, tone, columns);
    if let FindingRow::Story(story) = row {
        lines.extend(about_hiding(model, story, columns));
    }
    lines.extend(plain(&sentence(&finding.message), Tone::Plain, columns));

    // What to do first: the evidence is for who doubts it, and may be long.
    if !finding.advice().is_empty() {
        lines.extend(wrap_after(
            "What to do:",
            Tone::Strong,
            finding.advice(),
            columns,
        ));
    }
    if let FindingRow::Consequence(story, _) = row
        && let Some(cause) = model.finding(FindingRow::Story(story))
    {
        let label = format!("followed from {} {}: ", cause.rule, rule_name(cause.rule));
        lines.extend(wrap_after(&label, Tone::Faint, &cause.message, columns));
    }
    if !finding.evidence.is_empty() {
        lines.push(vec![("It rests on".into(), Tone::Strong)]);
    }
    for evidence in finding.evidence.iter().take(LISTED_MAX) {
        if let Some(event) = model.event(evidence.event) {
            let label = format!("  {}: ", evidence.role);
            lines.extend(wrap_after(
                &label,
                Tone::Faint,
                &model.trace.describe(event),
                columns,
            ));
        }
    }
    lines.extend(more(finding.evidence.len(), "event"));
    if let FindingRow::Story(story) = row
        && let Some(story) = model.verdict.stories.get(story)
        && !story.folded.is_empty()
    {
        lines.push(vec![("What followed".into(), Tone::Strong)]);
        for folded in story.folded.iter().take(LISTED_MAX) {
            let (sign, _, tone) = severity(folded.severity, model.look.characters);
            let label = format!("  {sign} {} {}: ", folded.rule, rule_name(folded.rule));
            lines.extend(wrap_after(&label, tone, &folded.message, columns));
        }
        lines.extend(more(story.folded.len(), "finding"));
    }
    let meaning = confidence_meaning(finding.confidence);
    let label = format!("{} means:", confidence(finding.confidence));
    lines.extend(wrap_after(&label, Tone::Faint, meaning, columns));
    lines
}

/// Why a story is hidden otherwise.
fn about_hiding(model: &Model, story: usize, columns: usize) -> Vec<Line> {
    match model.hiding.why(story) {
        Some(Why::Suppressed { reason, until }) => {
            let until = until
                .as_ref()
                .map_or(String::new(), |day| format!(" until {day}"));
            let reason = traces::tty(reason.as_bytes());
            let text = format!("{reason} ({} takes it back)", model.key(Msg::Unsuppress));
            wrap_after(&format!("suppressed{until}:"), Tone::Note, &text, columns)
        }
        Some(Why::Known) => plain("known: the baseline has it", Tone::Note, columns),
        None => Vec::new(),
    }
}

fn more(all: usize, word: &str) -> Option<Line> {
    let rest = all.checked_sub(LISTED_MAX).filter(|rest| *rest > 0)?;
    Some(vec![(
        format!("  and {} more", counted(rest as u64, word)),
        Tone::Faint,
    )])
}

fn about_life_row(model: &Model, columns: usize) -> Vec<Line> {
    let Some(told) = &model.life.told else {
        return Vec::new();
    };
    match model.life.row(model.life.selected) {
        Some(LifeRow::Previous(_)) => {
            let text = format!(
                "{} was here before. {} opens it.",
                model.life.names.previous,
                model.key_in(Pane::Biography, Msg::Open)
            );
            plain(&text, Tone::Plain, columns)
        }
        Some(LifeRow::Next(_)) => {
            let text = format!(
                "{} came here next. {} opens it.",
                model.life.names.next,
                model.key_in(Pane::Biography, Msg::Open)
            );
            plain(&text, Tone::Plain, columns)
        }
        Some(LifeRow::Folded(fold)) => {
            let steps = model.life.folds.get(fold);
            let text = steps.map_or("", |steps| &steps.text);
            plain(
                &format!(
                    "{text}. {} shows them one by one.",
                    model.key_in(Pane::Biography, Msg::Open)
                ),
                Tone::Plain,
                columns,
            )
        }
        Some(LifeRow::Event(index)) => match told.rows.get(index) {
            Some(row) => about_event(model, row.event, columns),
            None => Vec::new(),
        },
        None => Vec::new(),
    }
}

/// What is under the timeline's cursor.
fn about_moment(model: &Model, columns: usize) -> Vec<Line> {
    match model.focus.event {
        Some(event) => {
            let mut lines = about_event(model, event, columns);
            lines.extend(about_flow(model, event, columns));
            lines
        }
        None => {
            let text = format!(
                "{} s: no event of this lane in this column. {} and {} go to the next and the previous one.",
                time(model.focus.at_ns),
                model.key_in(Pane::Timeline, Msg::OnLane(Toward::Next)),
                model.key_in(Pane::Timeline, Msg::OnLane(Toward::Previous))
            );
            plain(&text, Tone::Faint, columns)
        }
    }
}

/// How an operation went from its submission to the resume that it led to.
fn about_flow(model: &Model, event: EventId, columns: usize) -> Vec<Line> {
    let index = model.timeline.index.as_ref();
    let Some((_, _, span)) = index.and_then(|index| index.operation_of(&model.trace, event)) else {
        return Vec::new();
    };
    let characters = model.look.characters;
    let arrow = either(characters, "→", "->");
    let mut text = format!("{} submitted", traces::names::opcode(span.opcode));
    let since = |event: EventId| {
        let at_ns = model.event(event).map_or(0, |event| event.at_ns);
        difference(i128::from(at_ns) - i128::from(span.start_ns), characters)
    };
    match span.end {
        Some(end) => text.push_str(&format!(" {arrow} completed {}", since(end))),
        // It may be far behind what is looked at closely.
        None if span.ends == Ends::Seen && index.is_some_and(|it| it.close().is_some()) => {
            text.push_str(&format!(" {arrow} no completion was found nearby"));
        }
        None if span.ends == Ends::Seen => {
            text.push_str(&format!(" {arrow} no completion was taken"));
        }
        // Its silence says that it went well, or that one in front of it did not.
        None => text.push_str(&format!(" {arrow} posts nothing if all goes well")),
    }
    if let Some(resume) = span.resume {
        text.push_str(&format!(" {arrow} resumed {}", since(resume)));
    }
    plain(&text, Tone::Faint, columns)
}

fn about_object(model: &Model, columns: usize) -> Vec<Line> {
    let index = model.timeline.index.as_ref();
    let position = model.objects.selected;
    if model.objects.is_empty() {
        return Vec::new();
    }
    if model.objects.opened.is_none() {
        let text = format!(
            "{} lists them one by one; {} counts by type, place, age or thread.",
            model.key(Msg::Open),
            model.key(Msg::Pivot)
        );
        return plain(&text, Tone::Faint, columns);
    }
    let at = model.objects.object(position);
    match at.and_then(|at| index?.objects.all.get(at)) {
        Some(object) => about_event(model, object.born, columns),
        None => Vec::new(),
    }
}

fn about_neighbour(model: &Model, columns: usize) -> Vec<Line> {
    let Some(around) = &model.life.around else {
        return Vec::new();
    };
    match around.row(model.neighbours.selected) {
        Some(NeighbourRow::Event(side, index)) => {
            let row = around.side(side).and_then(|told| told.rows.get(index));
            row.map_or_else(Vec::new, |row| about_event(model, row.event, columns))
        }
        Some(NeighbourRow::Head(_)) => {
            let text = format!(
                "{} opens this life.",
                model.key_in(Pane::Neighbours, Msg::Open)
            );
            plain(&text, Tone::Plain, columns)
        }
        None => Vec::new(),
    }
}

fn about_event(model: &Model, id: EventId, columns: usize) -> Vec<Line> {
    let Some(event) = model.event(id) else {
        return Vec::new();
    };
    let mut lines = plain(&model.trace.describe(event), Tone::Plain, columns);
    lines.extend(about_others(model, id, columns));
    if let Some(note) = notes::of(&model.notes.list, id) {
        let text = match note.text.as_str() {
            "" => "bookmarked".to_owned(),
            text => format!("note: {}", traces::tty(text.as_bytes())),
        };
        lines.extend(plain(&text, Tone::Note, columns));
    }
    for (sign, tone, text) in marks_of(model, event) {
        lines.extend(plain(&format!("{sign} {text}"), tone, columns));
    }
    if let Some((number, text)) = model.source_line(event) {
        lines.push(vec![
            (format!("{} ", count(number.into())), Tone::Faint),
            (text, Tone::Place),
        ]);
    }
    let place = format!(
        "{} s, {}, event {}",
        model.time_of(event),
        model.thread_of(event),
        count(id.0)
    );
    lines.extend(plain(&place, Tone::Faint, columns));
    lines
}

/// What else an event touches, besides what the screen is about.
fn about_others(model: &Model, id: EventId, columns: usize) -> Vec<Line> {
    if model.focus.event != Some(id) {
        return Vec::new();
    }
    let others = model.trace.subjects_of(id).into_iter();
    let names: Vec<String> = others
        .filter(|subject| Some(*subject) != model.focus.object)
        .map(|subject| model.trace.name_of_near(subject, Some(id)))
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    let label = format!("{} tells of:", model.key(Msg::OtherObject));
    wrap_after(&label, Tone::Strong, &names.join(", "), columns)
}

/// What findings say about an event: sign, tone, and `T02 leftover-cookie: claimed here`.
pub fn marks_of(model: &Model, event: &Event) -> Vec<(&'static str, Tone, String)> {
    let marks = model.marks.get(&event.id).into_iter().flatten();
    marks
        .filter_map(|mark| {
            let finding = model.finding(mark.finding)?;
            let (sign, _, tone) = severity(finding.severity, model.look.characters);
            // A consequence points somewhere, too; the first cause is that of its story.
            let heads = matches!(mark.finding, FindingRow::Story(_));
            let cause = if heads && mark.is_cause && mark.role != "first cause" {
                " (first cause)"
            } else {
                ""
            };
            let text = format!(
                "{} {}: {}{cause}",
                finding.rule,
                rule_name(finding.rule),
                mark.role
            );
            Some((sign, tone, text))
        })
        .take(LISTED_MAX)
        .collect()
}

/// What becomes of the recording that is looked on.
fn about_recording(watched: &Watched, columns: usize) -> Vec<Line> {
    let (text, tone) = match &watched.state {
        State::Running => (
            "The recording goes on; this is what was there at the last look.".to_owned(),
            Tone::Note,
        ),
        State::Sealing => (
            "The program has ended; its trace is being sealed.".to_owned(),
            Tone::Note,
        ),
        State::Ended(how) => (
            format!("The recording is over: {}", sentence(how)),
            Tone::Strong,
        ),
    };
    let mut lines = plain(&text, tone, columns);
    if let Some(output) = &watched.output {
        let text = format!("What the program prints is in {output}.");
        lines.extend(plain(&text, Tone::Plain, columns));
    }
    lines
}

/// What was there at all, and how far the verdict can be trusted.
fn summary(model: &Model, columns: usize) -> Vec<Line> {
    let verdict = &model.verdict;
    let summary = &verdict.summary;
    let mut lines = Vec::new();
    if let Some(watched) = &model.live.watched {
        lines.extend(about_recording(watched, columns));
    }
    match verdict.outcome() {
        Outcome::Clean if model.live.is_running() => lines.extend(plain(
            "No finding so far. What still lives is not judged as if it were over.",
            Tone::Strong,
            columns,
        )),
        Outcome::Clean if model.live.is_unfinished() => lines.extend(plain(
            "No finding so far, but this is not read to its end yet.",
            Tone::Strong,
            columns,
        )),
        Outcome::Clean => {
            let sign = either(model.look.characters, "✔", "+");
            lines.extend(plain(
                &format!("{sign} No finding, and nothing stood in the way."),
                Tone::Strong,
                columns,
            ));
        }
        Outcome::CannotTell => lines.extend(plain(
            if summary.losses_hide {
                "? No finding, but records are missing that could hide one."
            } else {
                "? No finding, but not all could be told."
            },
            Tone::Unsure,
            columns,
        )),
        Outcome::Findings => {
            let stories = counted(verdict.stories.len() as u64, "finding");
            lines.extend(plain(
                &format!("{stories}, each with what followed from it."),
                Tone::Strong,
                columns,
            ));
        }
    }
    for sentence in sentences(summary, model.live.is_unfinished()) {
        lines.extend(plain(&sentence, Tone::Plain, columns));
    }
    let recording = model.trace.recording();
    if let Some(run) = traces::run::Run::of(recording) {
        let text = format!("Recorded: {}.", run.in_words());
        lines.extend(plain(&text, Tone::Plain, columns));
    }
    // The kernel's view of a process that is listed says nothing else of its end.
    let listed = (0u32..).zip(&recording.processes);
    let listed = listed.filter(|(index, _)| !recording.is_second_view(*index));
    for (index, process) in listed.take(LISTED_MAX) {
        let name = model.trace.names().process(index);
        let ended = recording.end_in_words(process);
        lines.extend(plain(
            &format!("Process {name}: {ended}."),
            Tone::Plain,
            columns,
        ));
    }
    lines.extend(more(recording.processes.len(), "process"));
    if let Some(text) = traces::report::by_batch_in_words(recording) {
        let text = format!("In this recording, {text}.");
        lines.extend(plain(&text, Tone::Unsure, columns));
    }
    if summary.records_lost > 0 || summary.losses > 0 {
        let text = format!(
            "At least {} missing, in {}.",
            counted(summary.records_lost, "record"),
            counted(summary.losses, "place")
        );
        lines.extend(plain(&text, Tone::Unsure, columns));
    } else {
        lines.extend(plain("No record is missing.", Tone::Plain, columns));
    }
    for problem in recording.problems.iter().take(LISTED_MAX) {
        let text = traces::tty(format!("Problem in the file: {problem}.").as_bytes());
        lines.extend(plain(&text, Tone::Warning, columns));
    }
    lines
}

fn sentences(summary: &Summary, is_unfinished: bool) -> Vec<String> {
    let mut sentences = vec![format!(
        "Seen: {}; {} on {}, {}; {} of leaked pointers; {}.",
        counted(summary.events, "event"),
        counted(summary.operations, "operation"),
        counted(summary.rings, "ring"),
        counted(summary.completions, "completion"),
        counted(summary.generations, "generation"),
        counted(summary.coroutines, "coroutine"),
    )];
    if summary.pending_at_end > 0 || summary.held_at_end > 0 {
        sentences.push(format!(
            "{} {} pending and {} held, which is normal for a server.",
            if is_unfinished {
                "So far"
            } else {
                "At the end"
            },
            counted(summary.pending_at_end, "operation"),
            counted(summary.held_at_end, "generation"),
        ));
    }
    if summary.open_at_end > 0 {
        sentences.push(format!(
            "{} still open{}.",
            counted(summary.open_at_end, "descriptor"),
            if is_unfinished { "" } else { " at the end" },
        ));
    }
    sentences
}
