//! The verdict as text: one screen a story, then what was there, what was lost and what could not be
//! told.
//!
//! Lines carry the kind of thing they say, so that whoever has a terminal can give them colours; none
//! are in here. Every text is safe for a terminal already.

use crate::event::{Event, EventId, Loss, LossReason, SiteId};
use crate::finding::{CannotTell, Confidence, Finding, Outcome, Severity, Story, Summary, Verdict};
use crate::recording::{LocatedLoss, Recording};
use crate::selection::{LeftOut, Selection};
use crate::trace::Trace;

/// What a line says, for colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Rule, name and confidence of a story.
    Headline(Severity),
    /// The sentence of a story.
    Sentence,
    /// Time, thread and part of an event.
    Evidence,
    /// The event itself.
    Event,
    /// A consequence.
    Folded,
    /// What to try next.
    Advice,
    /// Counts.
    Summary,
    /// Something is missing or damaged.
    Warning,
    /// All is well.
    Good,
    /// Nothing.
    Empty,
}

/// A line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub class: Class,
    /// Its text.
    pub text: String,
}

/// Lines of one kind of loss, problem or question that are listed.
const LISTED_MAX: usize = 8;
/// Narrower than this nothing can be read.
const WIDTH_MIN: usize = 30;
/// Columns of a thread's name: the longest that the kernel keeps, and the id of one that shares it.
const THREAD_COLUMNS: usize = 24;

/// The report as plain text.
pub fn text(trace: &Trace, width: usize) -> String {
    let mut out = String::new();
    for line in lines(trace, width) {
        out.push_str(&line.text);
        out.push('\n');
    }
    out
}

/// The report.
pub fn lines(trace: &Trace, width: usize) -> Vec<Line> {
    report(trace, trace.verdict(), LeftOut::default(), width)
}

/// The report on what is left of the verdict.
pub fn lines_of(trace: &Trace, selection: &Selection, width: usize) -> Vec<Line> {
    report(trace, &selection.verdict, selection.left_out, width)
}

fn report(trace: &Trace, verdict: &Verdict, left_out: LeftOut, width: usize) -> Vec<Line> {
    let mut page = Page {
        width: width.max(WIDTH_MIN),
        lines: Vec::new(),
        has_stacks: true,
    };
    let stories = &verdict.stories;
    for (index, story) in stories.iter().enumerate() {
        page.story(trace, story, (index + 1, stories.len()));
    }
    page.questions(verdict);
    page.losses(trace);
    page.summary(trace, verdict);
    page.left_out(left_out);
    page.outcome(verdict);
    page.lines
}

/// The lines of one story. Where nobody looked up the functions of call stacks, these are left out: of a frame of one's
/// own process nothing but a number is known, eight of them for each event.
pub fn story_lines(trace: &Trace, story: &Story, width: usize) -> Vec<Line> {
    let mut page = Page {
        width: width.max(WIDTH_MIN),
        lines: Vec::new(),
        has_stacks: trace.known_functions().next().is_some(),
    };
    page.story(trace, story, (1, 1));
    page.lines
}

struct Page {
    width: usize,
    lines: Vec<Line>,
    /// Whether call stacks are told.
    has_stacks: bool,
}

impl Page {
    fn line(&mut self, class: Class, text: impl Into<String>) {
        self.lines.push(Line {
            class,
            text: text.into().trim_end().to_owned(),
        });
    }

    /// A text wrapped behind `first` on its first line and as many spaces on the next ones.
    fn block(&mut self, class: Class, first: &str, text: &str) {
        let indent = first.chars().count();
        for (index, part) in wrap(text, self.width.saturating_sub(indent))
            .into_iter()
            .enumerate()
        {
            let lead = if index == 0 {
                first.to_owned()
            } else {
                " ".repeat(indent)
            };
            self.line(class, lead + &part);
        }
    }

    fn story(&mut self, trace: &Trace, story: &Story, (number, of): (usize, usize)) {
        let head = &story.head;
        let mut title = title(head);
        if head.count > 1 {
            title.push_str(&format!(", {} times", grouped(head.count)));
        }
        if of > 1 {
            let place = format!("{number} of {of}");
            let used = title.chars().count() + place.len();
            title.push_str(&" ".repeat(self.width.saturating_sub(used).max(1)));
            title.push_str(&place);
        }
        self.line(Class::Headline(head.severity), title);
        self.block(Class::Sentence, "  ", &sentence(&head.message));
        self.line(Class::Empty, "");
        for evidence in &head.evidence {
            self.evidence(trace, evidence.event, evidence.role);
        }
        if !story.folded.is_empty() {
            self.line(Class::Empty, "");
            for finding in &story.folded {
                let times = match finding.count {
                    1 => String::new(),
                    count => format!(" ({} times)", grouped(count)),
                };
                let text = format!("  so {}{times}: {}", finding.rule, finding.message);
                self.line(Class::Folded, cut(&text, self.width));
            }
        }
        if !head.advice().is_empty() {
            self.line(Class::Empty, "");
            self.block(Class::Advice, "  try: ", head.advice());
        }
        self.line(Class::Empty, "");
    }

    fn evidence(&mut self, trace: &Trace, id: EventId, role: &str) {
        let Some(event) = trace.event(id) else { return };
        let thread = trace.names().thread(event.lane);
        let head = format!(
            "  {:>14}  {}: {role}",
            time_of(trace, event),
            cut(&thread, THREAD_COLUMNS)
        );
        self.line(Class::Evidence, cut(&head, self.width));
        let text = crate::describe::what(trace, event);
        self.block(Class::Event, &" ".repeat(18), &text);
        if let Some((number, line)) = trace.source_line(event) {
            let text = format!("{}{number} │ {line}", " ".repeat(20));
            self.line(Class::Event, cut(&text, self.width));
        }
        let frames = self.has_stacks.then(|| trace.stack_lines(event));
        for line in frames.unwrap_or_default() {
            let text = format!("{}from {line}", " ".repeat(20));
            self.line(Class::Event, cut(&text, self.width));
        }
    }

    fn questions(&mut self, verdict: &Verdict) {
        // Those that differ in numbers alone are one, and how often.
        let mut alike: Vec<(String, &CannotTell, u64)> = Vec::new();
        for question in &verdict.cannot_tell {
            let words = without_numbers(&question.message);
            let mut known = alike.iter_mut();
            match known.find(|(of, it, _)| it.rule == question.rule && *of == words) {
                Some((_, _, count)) => *count += 1,
                None => alike.push((words, question, 1)),
            }
        }
        let mut listed = 0;
        for (_, question, count) in alike.into_iter().take(LISTED_MAX) {
            listed += count;
            let name = crate::rules::rule(question.rule).map_or("", |rule| rule.name);
            let times = match count {
                1 => String::new(),
                count => format!(", {} times; the first", grouped(count)),
            };
            self.line(
                Class::Warning,
                format!("{} {name}: cannot tell{times}", question.rule),
            );
            self.block(Class::Sentence, "  ", &sentence(&question.message));
        }
        let more = verdict.summary.cannot_tell.saturating_sub(listed);
        if more > 0 {
            self.line(
                Class::Warning,
                format!("and {} more that cannot be told", grouped(more)),
            );
        }
        if !verdict.cannot_tell.is_empty() {
            self.line(Class::Empty, "");
        }
    }

    fn losses(&mut self, trace: &Trace) {
        let recording = trace.recording();
        let is_ring = |loss: &Loss| loss.reason == LossReason::RingNotFollowed;
        let (rings, others): (Vec<&LocatedLoss>, Vec<&LocatedLoss>) =
            recording.losses.iter().partition(|one| is_ring(&one.loss));
        for located in others.iter().take(LISTED_MAX) {
            // Of very many losses the events are not kept.
            let at = match trace.event(located.event) {
                Some(event) if event.at_ns > 0 => time_of(trace, event),
                Some(_) => "the first event".to_owned(),
                None => "an event that is not at hand".to_owned(),
            };
            let count = match located.loss.records {
                Some(1) => "1 record".to_owned(),
                Some(count) => format!("{} records", grouped(count)),
                None => "records".to_owned(),
            };
            let text = format!(
                "{count} {} on {} before {}",
                lost(located.loss.reason),
                trace.names().thread(located.lane),
                at
            );
            self.block(Class::Warning, "missing: ", &text);
        }
        // What was done on one is there where the kernel says it.
        let untold = rings
            .iter()
            .filter(|one| !recording.has_kernels_view(one.process))
            .count();
        if untold > 0 {
            let text = format!("what was done on {}", plural(untold as u64, "ring"));
            self.block(Class::Warning, "missing: ", &text);
        }
        let is_told = untold == 0 && !rings.is_empty();
        for text in recording.not_recorded().take(LISTED_MAX) {
            let class = match is_told && text.starts_with("not recorded: a ring") {
                true => Class::Summary,
                false => Class::Warning,
            };
            self.block(class, "", &text);
        }
        let more = others.len().saturating_sub(LISTED_MAX);
        if more > 0 {
            self.line(
                Class::Warning,
                format!("missing: and at {more} more places"),
            );
        }
        for problem in recording.problems.iter().take(LISTED_MAX) {
            let (class, word) = if problem.hides {
                (Class::Warning, "damaged: ")
            } else {
                (Class::Summary, "note: ")
            };
            self.block(class, word, &problem.to_string());
        }
        let more = (recording.problems.len().saturating_sub(LISTED_MAX) as u64)
            .saturating_add(recording.problems_more);
        if more > 0 {
            self.line(
                Class::Warning,
                format!("damaged: and {} more places", grouped(more)),
            );
        }
    }

    fn summary(&mut self, trace: &Trace, verdict: &Verdict) {
        let summary = &verdict.summary;
        let recording = trace.recording();
        if let Some(run) = crate::run::Run::of(recording) {
            self.block(Class::Summary, "", &format!("recorded: {}", run.in_words()));
        }
        // The kernel's view of a process that is listed says nothing else of its end.
        let listed = (0u32..).zip(&recording.processes);
        let listed = listed.filter(|(index, _)| !recording.is_second_view(*index));
        for (index, process) in listed.take(LISTED_MAX) {
            let ended = recording.end_in_words(process);
            let text = format!("process {}: {ended}", trace.names().process(index));
            self.block(Class::Summary, "", &text);
        }
        let more = recording.process_count().saturating_sub(LISTED_MAX);
        if more > 0 {
            self.line(Class::Summary, format!("and {more} more processes"));
        }
        if let Some(text) = by_batch_in_words(recording) {
            self.block(Class::Summary, "", &text);
        }
        self.block(Class::Summary, "", &counts(summary));
        if let Some(text) = crate::rules::levels::in_words(recording) {
            self.block(Class::Summary, "", &text);
        }
        if let Some(text) = crate::rules::levels::by_c_in_words(recording, summary.told) {
            self.block(Class::Summary, "", &text);
        }
        for text in by_kernel_in_words(summary) {
            self.block(Class::Summary, "", &text);
        }
        if let Some(packed) = crate::packed::in_words(trace) {
            self.block(Class::Summary, "", &packed);
        }
        if summary.pending_at_end > 0 || summary.held_at_end > 0 {
            let posted = match summary.posted_at_end {
                0 => String::new(),
                count => format!(
                    " ({} completed by the kernel, whose completions nobody was seen to take)",
                    grouped(count)
                ),
            };
            let text = format!(
                "at the end: {} pending{posted}, {} still held",
                plural(summary.pending_at_end, "operation"),
                plural(summary.held_at_end, "pointer")
            );
            self.block(Class::Summary, "", &text);
        }
        if summary.suspended_at_end > 0 && summary.pending_at_end == 0 && summary.rings > 0 {
            let text = format!(
                "at the end: {} suspended, nothing in flight",
                plural(summary.suspended_at_end, "coroutine")
            );
            self.block(Class::Summary, "", &text);
        }
        if summary.open_at_end > 0 {
            let text = still_open(summary, |site| trace.names().site(site));
            self.block(Class::Summary, "", &text);
        }
        if let Some((closed, again)) = summary.closed_again_at {
            let names = trace.names();
            let text = format!(
                "closed twice, with no opening in between: {}; first: closed at {}, and again at {}",
                plural(summary.closed_again, "descriptor"),
                names.site(closed),
                names.site(again)
            );
            self.block(Class::Summary, "", &text);
        }
    }

    fn left_out(&mut self, left_out: LeftOut) {
        if let Some(words) = left_out.in_words() {
            self.block(Class::Summary, "", &format!("findings left out: {words}"));
        }
    }

    fn outcome(&mut self, verdict: &Verdict) {
        let stories = verdict.stories.len() as u64;
        match verdict.outcome() {
            Outcome::Clean => self.line(Class::Good, "no findings"),
            Outcome::Findings => {
                let severity = verdict
                    .stories
                    .iter()
                    .map(|story| story.head.severity)
                    .max();
                let class = Class::Headline(severity.unwrap_or(Severity::Error));
                let text = if stories == 1 {
                    "1 finding".to_owned()
                } else {
                    format!("{} findings", grouped(stories))
                };
                self.line(class, text);
            }
            Outcome::CannotTell => {
                self.line(Class::Warning, "no findings, but not all could be told");
            }
        }
    }
}

/// `T02 leftover-cookie (proved)`, or `T10 resumed-twice: after its drop (observed)`
pub fn title(finding: &Finding) -> String {
    let name = crate::rules::rule(finding.rule).map_or("?", |rule| rule.name);
    let own = finding.own_title.map(|title| format!(": {title}"));
    format!(
        "{} {name}{} ({})",
        finding.rule,
        own.unwrap_or_default(),
        confidence(finding.confidence)
    )
}

/// The word for a confidence.
pub fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Suspected => "suspected",
        Confidence::Observed => "observed",
        Confidence::Proved => "proved",
    }
}

fn lost(reason: crate::event::LossReason) -> &'static str {
    use crate::event::LossReason as Reason;
    match reason {
        Reason::Overwritten => "overwritten by newer ones",
        Reason::Full => {
            "lost for want of room (a larger `--ring` or `--grow` has more; each thread that records takes 64 KiB)"
        }
        Reason::NotFollowed => "of a ring that cannot be followed",
        Reason::RingNotFollowed => "for a whole ring that is not followed",
        Reason::KernelBuffer => {
            "lost for want of room in the kernel's buffer (`--kernel-buffer SIZE` makes more)"
        }
        Reason::Nested => "lost in a signal handler",
        Reason::NoLane => "lost for want of a lane (too many threads at once)",
        Reason::AtStart => {
            "lost while the recording was being opened (in a signal handler, or after two seconds)"
        }
        Reason::Damaged => "damaged or cut off",
        Reason::Torn => "cut off while being written",
        Reason::Newer => "of a kind that this version does not know",
        Reason::Removed => "removed",
    }
}

fn counts(summary: &Summary) -> String {
    [
        plural(summary.events, "event"),
        plural(summary.rings, "ring"),
        plural(summary.operations, "operation"),
        plural(summary.completions, "completion"),
        plural(summary.generations, "generation"),
        plural(summary.coroutines, "coroutine"),
    ]
    .join(", ")
}

/// What the kernel said, where it was asked: of rings that nobody else saw all that there is, of others what differs.
pub fn by_kernel_in_words(summary: &Summary) -> Vec<String> {
    let saw = &summary.kernel;
    let mut said = Vec::new();
    if !saw.operations.is_empty() {
        let mut counts: Vec<(u8, u64)> = saw
            .operations
            .iter()
            .map(|(op, count)| (*op, *count))
            .collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let named =
            |(op, count): &(u8, u64)| format!("{} {}", grouped(*count), crate::names::opcode(*op));
        let mut named: Vec<String> = counts.iter().take(LISTED_MAX).map(named).collect();
        if counts.len() > LISTED_MAX {
            named.push(format!("{} other kinds", counts.len() - LISTED_MAX));
        }
        said.push(format!(
            "seen by the kernel alone: {}; {} in flight at the end",
            named.join(", "),
            grouped(saw.pending)
        ));
    }
    if saw.merged > 0 {
        let agree = match saw.differed {
            0 => "and it says of their operations what was recorded".to_owned(),
            1 => "and 1 operation had another cookie when the kernel took it than when it was recorded (somebody wrote to \
                  its slot, or it was looked at too late; T18 where that is certain)"
                .to_owned(),
            count => format!(
                "and {} had another cookie when the kernel took them than when they were recorded (somebody wrote to \
                 their slots, or they were looked at too late; T18 where that is certain)",
                plural(count, "operation")
            ),
        };
        said.push(format!(
            "seen by the kernel, too: {}, {agree}",
            plural(saw.merged, "ring")
        ));
    }
    if saw.overflowed > 0 {
        said.push(format!(
            "the kernel says: {} found no room in the queue and had to wait (overflow)",
            plural(saw.overflowed, "completion")
        ));
    }
    said
}

/// Descriptors, as `valgrind --track-fds` tells of them.
fn still_open(summary: &Summary, place: impl Fn(SiteId) -> String) -> String {
    let named: u64 = summary.open_places.iter().map(|(_, count)| count).sum();
    let mut places: Vec<_> = summary
        .open_places
        .iter()
        .map(|(site, count)| format!("{} at {}", grouped(*count), place(*site)))
        .collect();
    let others = summary.open_at_end.saturating_sub(named);
    if others > 0 {
        places.push(format!("{} elsewhere", grouped(others)));
    }
    format!(
        "at the end: {} still open; opened: {}",
        plural(summary.open_at_end, "descriptor"),
        places.join(", ")
    )
}

fn plural(count: u64, word: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {word}{s}", grouped(count))
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What to know of the times, where they are by batch.
pub fn by_batch_in_words(recording: &Recording) -> Option<String> {
    let count = recording.processes.iter().filter(|it| it.times_by_batch);
    let whose = match (count.count(), recording.processes.len()) {
        (0, _) => return None,
        (some, all) if some < all => format!(" of {some} of {all} processes"),
        _ => String::new(),
    };
    Some(format!(
        "times{whose} by batch: events of a thread share one (~); their order across threads is not known"
    ))
}

/// The time of an event as [`time`], marked where it is that of its batch.
pub fn time_of(trace: &Trace, event: &Event) -> String {
    let mark = if trace.recording().is_by_batch(event.process) {
        "~"
    } else {
        ""
    };
    format!("{mark}{}", time(event.at_ns))
}

/// Time since the first event: `12.345 678 9 s` cut to what helps.
pub fn time(at_ns: u64) -> String {
    let (seconds, rest) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
    if seconds > 0 {
        format!("{seconds}.{:06} s", rest / 1000)
    } else if rest >= 1_000_000 {
        format!("{}.{:06} ms", rest / 1_000_000, rest % 1_000_000)
    } else {
        format!("{}.{:03} us", rest / 1000, rest % 1000)
    }
}

/// A message without what tells one thing of a kind from another: numbers, and words that begin with one.
fn without_numbers(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let is_one = word
            .trim_start_matches(['#', '('])
            .starts_with(|c: char| c.is_ascii_digit());
        if is_one {
            ""
        } else {
            word.split(['#', '@']).next().unwrap_or_default()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A message as a sentence: our own words begin with a large letter, names stay as they are spelled.
fn sentence(text: &str) -> String {
    const OURS: [&str; 6] = [
        "operation #",
        "coroutine ",
        "ring ",
        "it seems ",
        "the completion ",
        "a completion ",
    ];
    let mut out = String::with_capacity(text.len() + 1);
    let mut rest = text.chars();
    if OURS.iter().any(|start| text.starts_with(start)) {
        out.extend(rest.next().into_iter().flat_map(char::to_uppercase));
    }
    out.extend(rest);
    out.push('.');
    out
}

/// At most `width` columns, the rest replaced by an ellipsis.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// Words into lines of at most `width` columns; longer words are broken.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + rest.len() > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        while rest.len() > width {
            let tail = rest.split_off(width);
            lines.push(rest.into_iter().collect());
            rest = tail;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        used += rest.len();
        line.extend(rest);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_long_ones_broken() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghijkl x", 8), ["abcdefgh", "ijkl x"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn questions_that_differ_in_numbers_alone_are_told_once() {
        let mut text = "1 main ring-create 0 sq=8 cq=16\n".to_owned();
        for cookie in 1..4 {
            text += &format!(
                "2 main submit 0 RECV {cookie:#x}000\n2 main complete 0 {cookie:#x}000 5\n2 main lost 1 removed\n\
                 2 main complete 0 {cookie:#x}000 5\n"
            );
        }
        let trace = Trace::parse_text(&text).unwrap();
        assert_eq!(trace.verdict().cannot_tell.len(), 3);
        let report = super::text(&trace, 100);
        assert_eq!(report.matches("cannot tell").count(), 1, "{report}");
        let head = "T06 extra-completion: cannot tell, 3 times; the first\n";
        assert!(
            report.contains(head) && !report.contains("more that cannot"),
            "{report}"
        );
    }

    #[test]
    fn what_is_missing_from_the_start_is_missing_before_the_first_event() {
        let text = "0 main lost 5 overwritten\n0 main submit 0 NOP 0x7\n7000 main lost 2 full\n9000 main submit 0 NOP 0x8";
        let report = super::text(&Trace::parse_text(text).unwrap(), 200);
        let ends: Vec<_> = report
            .lines()
            .filter_map(|line| Some(line.strip_prefix("missing: ")?.rsplit_once("before ")?.1))
            .collect();
        assert_eq!(ends, ["the first event", "7.000 us"], "{report}");
    }

    /// Of very many losses the events are not kept; those that are listed are not among them.
    #[test]
    fn what_is_missing_before_an_event_that_is_not_at_hand_is_said_to_be() {
        let mut trace = Trace::parse_text("0 main mark x\n7000 main lost 2 full\n").unwrap();
        trace.recording.losses[0].event = crate::event::EventId(9);
        let report = super::text(&trace, 200);
        let said = "on main before an event that is not at hand";
        assert!(report.contains(said), "{report}");
    }

    #[test]
    fn numbers_and_times() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(time(1_234), "1.234 us");
        assert_eq!(time(12_345_678), "12.345678 ms");
        assert_eq!(time(12_345_678_901), "12.345678 s");
        assert_eq!(time(u64::MAX), "18446744073.709551 s");
    }

    #[test]
    fn a_report_fits_its_width() {
        let trace = Trace::parse_text(
            "
            process 0 pid=77 end=exit:0
            1 main ring-create 0 sq=1 cq=2 in-place
            10 main leak 0x55d0c2e0 app::conn::Conn conn.rs:88 owner=Rc
            30 main submit 0 RECV 0x55d0c2e0 conn.rs:90 set
            50 main complete 0 0x55d0c2e0 5
            60 main reclaim 0x55d0c2e0 app::conn::Conn conn.rs:131 owner=Rc
            70 main submit 0 NOP 0x55d0c2e0 poll.rs:7 poisoned
            80 main complete 0 0x55d0c2e0 0
            90 main reclaim 0x55d0c2e0 app::conn::Conn conn.rs:131 owner=Rc
            ",
        )
        .unwrap();
        for width in [0, 40, 80, 200] {
            let text = text(&trace, width);
            assert!(
                text.lines()
                    .all(|line| line.chars().count() <= width.max(WIDTH_MIN)),
                "{text}"
            );
        }
        let text = text(&trace, 80);
        assert!(text.starts_with("T02 leftover-cookie (proved)\n"), "{text}");
        assert!(text.contains("so T03") && text.contains("so T08"), "{text}");
        assert!(text.ends_with("1 finding\n"), "{text}");
        assert_eq!(trace.verdict().exit_code(), 1);
    }
}
