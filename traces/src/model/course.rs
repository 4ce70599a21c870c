//! A recording that is judged event by event, without having all events at once.
//!
//! A first pass finds out whether any rule says anything, which events that rests on, and where records are missing. If
//! none does, that was all. Else a second one fetches those events, and a third one judges as if all events were there, and
//! keeps the lives of what was found to be wrong.

use std::cell::RefCell;

use super::links::Links;
use super::sharing::Sharing;
use super::wanted::{Asked, Ids, Wanted};
use super::{Back, Course, Facts, Foreseen, Judged, Link, Losses, Survey};
use crate::event::{Event, EventId, What};
use crate::events::{Builder, Events, MakeAside, Pages, Recent};
use crate::read::{Pointers, Row};
use crate::recording::{LocatedLoss, Recording};
use crate::stack::StackId;
use crate::watch::{Counter, Found, Stage, Watch};

/// Losses whose events are kept.
const LOSSES_MAX: usize = 1 << 16;

/// Events that can be gone through again and again.
pub(crate) trait Again {
    /// Goes through all events from the first on, each with its call stack; says where records are missing. Nothing where
    /// it turned out on the way that their order is another one: then somebody else is to go through them anew. That
    /// happens the first time at most.
    fn pass(&self, witness: &mut impl Witness) -> Option<Vec<LocatedLoss>>;

    /// `CLOCK_MONOTONIC` of the first event in ns, once they were gone through.
    fn began_ns(&self) -> i64;
}

/// Who goes through them.
pub(crate) trait Witness {
    /// The next event; where its address was foreseen to be, if it was.
    fn event(&mut self, event: &Event, stack: StackId, foreseen: Foreseen);

    /// The next events, which tell of pointers and stand on no stack.
    #[inline]
    fn pointers(&mut self, pointers: &Pointers<'_>) {
        for (event, row) in pointers.events().zip(pointers.rows) {
            self.event(&event, StackId(0), row.foreseen);
        }
    }

    /// How often each rule spoke so far.
    fn found(&self) -> Found {
        Found::default()
    }

    /// These come soon, in about this order.
    fn soon(&mut self, _rows: &mut [Row]) {}
}

/// Who only looks at them.
struct Look<F>(F);

impl<F: FnMut(&Event, StackId)> Witness for Look<F> {
    #[inline]
    fn event(&mut self, event: &Event, stack: StackId, _: Foreseen) {
        (self.0)(event, stack);
    }
}

/// Judges; gives the events that the verdict rests on, and the lives of its subjects. Nothing where all
/// events have to be at hand.
pub(crate) fn judge(
    recording: &mut Recording,
    facts: &Facts,
    events: &impl Again,
) -> Option<(Judged, Vec<Event>)> {
    let mut first = first(recording, facts, events, Links::default, true);
    recording.losses = std::mem::take(&mut first.located);
    let (judged, events, stacks) = if first.is_all() {
        first.clean.links = vec![Link::default(); first.kept.len()];
        (first.clean, first.kept, first.stacks)
    } else {
        first.wanted.and_kernels(&first.clean.merged);
        if first.wanted.is_too_much() {
            return None;
        }
        again(recording, facts, events, first)
    };
    for (event, stack) in stacks {
        recording.tables.stacks.of_event(event, stack);
    }
    Some((judged, events))
}

/// The same, and keeps all events in pages. What is judged again is read from there, and looked back at there; nothing
/// where it cannot be: a verdict on a part would be a false one.
pub(crate) fn judge_paged(
    recording: &mut Recording,
    facts: &Facts,
    events: &impl Again,
    make: MakeAside,
    watch: Watch<'_>,
) -> Option<(Judged, Events)> {
    let links = || Links::paged(Builder::new(make));
    let mut first = first(recording, facts, events, links, false);
    recording.losses = std::mem::take(&mut first.located);
    for (event, stack) in std::mem::take(&mut first.stacks) {
        recording.tables.stacks.of_event(event, stack);
    }
    let all = Events::paged(first.pages.take().unwrap_or_default());
    if first.is_all() {
        return Some((first.clean, all));
    }
    let by_batch = !facts.by_batch.is_empty();
    let passes = [
        by_batch && !first.wanted.events.is_empty(),
        by_batch,
        by_batch,
        by_batch && facts.is_lossy(),
        true,
    ];
    let paged = Paged {
        events: &all,
        found: if facts.is_lossy() {
            Found::default()
        } else {
            first.found
        },
        counter: RefCell::new(Counter::new(
            watch,
            Stage::Fetching,
            passes.iter().filter(|is_made| **is_made).count() as u64 * all.len() as u64,
        )),
    };
    let sharing = sharing(recording, facts, &paged, &first.wanted);
    let survey = Losses::survey(recording, facts).filter(|_| by_batch);
    let losses = match survey {
        Some(mut survey) => {
            paged.pass(&mut Look(|event: &Event, _| {
                survey.learn(event, |event| sharing.end(event.lane, event.id));
            }));
            survey.finish()
        }
        None => first.losses,
    };
    let recent = Recent::new(&all);
    let mut course = Course::new(recording, facts, Links::known());
    course.observer.sharing = sharing;
    course.observer.losses = losses;
    course.observer.back = Back::Paged(&recent);
    course.state.began_ns = events.began_ns();
    let mut course = Noted::new(course, facts);
    paged.pass(&mut course);
    let judged = course.course.finish();
    (!all.is_unreadable()).then_some((judged, all))
}

/// Events in pages, gone through as if they were read.
struct Paged<'a> {
    events: &'a Events,
    /// What is known to be told.
    found: Found,
    /// Counts them in all passes.
    counter: RefCell<Counter<'a>>,
}

impl Again for Paged<'_> {
    fn pass(&self, witness: &mut impl Witness) -> Option<Vec<LocatedLoss>> {
        let mut counter = self.counter.borrow_mut();
        self.events.each(0..self.events.len(), |event| {
            counter.more(1, || self.found);
            witness.event(event, StackId(0), Foreseen::default());
        });
        Some(Vec::new())
    }

    /// Who read them knows.
    fn began_ns(&self) -> i64 {
        0
    }
}

/// Who used the things that findings rest on, where times are by batch: what several lanes used has no order.
fn sharing(recording: &Recording, facts: &Facts, events: &impl Again, wanted: &Wanted) -> Sharing {
    if facts.by_batch.is_empty() {
        return Sharing::default();
    }
    let each = |look: &mut dyn FnMut(&Event)| {
        events.pass(&mut Look(|event: &Event, _| look(event)));
    };
    Sharing::survey(recording, facts, &each, Some(wanted))
}

/// What one pass finds out.
struct First {
    /// The verdict, if there is nothing to tell.
    clean: Judged,
    wanted: Wanted,
    /// Where records are missing, and what those may have been; where times are by batch, nobody knows before the next pass.
    located: Vec<LocatedLoss>,
    losses: Losses,
    pages: Option<Pages>,
    /// The losses themselves, some of them, where not all events are kept.
    kept: Vec<Event>,
    /// Call stacks of events that are kept.
    stacks: Vec<(EventId, StackId)>,
    found: Found,
}

impl First {
    /// Whether there is nothing to tell: then that was the verdict.
    fn is_all(&self) -> bool {
        self.found.is_none() && self.wanted.things.all.is_empty()
    }
}

/// One pass without rules: how many generations there were.
pub(crate) fn follow(recording: &Recording, facts: &Facts, events: &impl Again) -> u64 {
    loop {
        let mut course = Course::new(recording, facts, Links::default());
        course.observer.is_blind = true;
        let mut course = Noted::new(course, facts);
        if events.pass(&mut course).is_some() {
            return course.course.state.summary.generations;
        }
    }
}

/// One pass, to find out whether any rule says anything, and what has to be fetched for that.
fn first(
    recording: &Recording,
    facts: &Facts,
    events: &impl Again,
    links: impl Fn() -> Links,
    fetches: bool,
) -> First {
    loop {
        if let Some(first) = try_first(recording, facts, events, links(), fetches) {
            return first;
        }
    }
}

/// The same, with nothing where the order of events turned out to be another one.
fn try_first(
    recording: &Recording,
    facts: &Facts,
    events: &impl Again,
    links: Links,
    fetches: bool,
) -> Option<First> {
    let asked = Asked::new(fetches, facts.by_batch.clone());
    let mut course = Course::new(recording, facts, links);
    course.observer.asked = Some(&asked);
    course.observer.survey = Losses::survey(recording, facts);
    let mut course = Noted::new(course, facts);
    let located = events.pass(&mut course)?;
    let Noted {
        mut course,
        stacks,
        kept,
        ..
    } = course;
    let survey = course.observer.survey.take();
    let losses = survey.map(Survey::finish).unwrap_or_default();
    course.state.began_ns = events.began_ns();
    let (mut clean, pages) = course.finish_with_pages();
    super::sum_up(&mut clean.verdict.summary, &located, &losses);
    Some(First {
        clean,
        found: asked.found(),
        wanted: asked.into_wanted(),
        located,
        losses,
        pages,
        kept,
        stacks,
    })
}

/// A course that notes what is known besides of events that are kept: all in pages, or none but losses.
struct Noted<'a> {
    course: Course<'a>,
    is_lossy: bool,
    kept: Vec<Event>,
    stacks: Vec<(EventId, StackId)>,
}

impl<'a> Noted<'a> {
    fn new(course: Course<'a>, facts: &Facts) -> Self {
        Self {
            course,
            is_lossy: facts.is_lossy(),
            kept: Vec::new(),
            stacks: Vec::new(),
        }
    }

    /// Looks whether records are missing, and keeps a loss that goes into no page.
    #[inline(never)]
    fn survey(&mut self, event: &Event, stack: StackId) {
        let Some(survey) = &mut self.course.observer.survey else {
            return;
        };
        survey.learn(event, |event| event.id);
        let is_loss = matches!(event.what, What::Lost(_));
        if is_loss && self.kept.len() < LOSSES_MAX && !self.course.state.links.is_paged() {
            self.kept.push(event.clone());
            self.stacks.push((event.id, stack));
        }
    }
}

impl Witness for Noted<'_> {
    #[inline(always)]
    fn event(&mut self, event: &Event, stack: StackId, foreseen: Foreseen) {
        if self.is_lossy {
            self.survey(event, stack);
        }
        self.course.state.addresses.foreseen = foreseen;
        self.course.step(event);
        if stack != StackId(0) && self.course.state.links.is_paged() {
            self.stacks.push((event.id, stack));
        }
    }

    fn found(&self) -> Found {
        // Where records are missing, not all of it may be told.
        match self.course.observer.asked {
            Some(asked) if !self.is_lossy => asked.found(),
            _ => Found::default(),
        }
    }

    #[inline]
    fn pointers(&mut self, pointers: &Pointers<'_>) {
        let Course { state, observer } = &mut self.course;
        if let Some(survey) = &mut observer.survey {
            survey.learn_rows(pointers);
        }
        state.pointers(pointers, observer);
    }

    #[inline]
    fn soon(&mut self, rows: &mut [Row]) {
        self.course.state.addresses.foresee(rows);
    }
}

/// A course that keeps some events, with their call stacks.
struct Kept<'a>(Course<'a>);

impl Witness for Kept<'_> {
    #[inline]
    fn event(&mut self, event: &Event, stack: StackId, foreseen: Foreseen) {
        self.0.state.links.stands_on(stack);
        self.0.state.addresses.foreseen = foreseen;
        self.0.step(event);
    }

    #[inline]
    fn soon(&mut self, rows: &mut [Row]) {
        self.0.state.addresses.foresee(rows);
    }
}

/// Fetches single events.
struct Fetch<'a> {
    wanted: &'a Ids,
    /// Who looks once more where records are missing, if somebody has to, and who knows when they had happened.
    survey: Option<Survey>,
    sharing: &'a Sharing,
    fetched: Vec<Event>,
}

impl Witness for Fetch<'_> {
    fn event(&mut self, event: &Event, _: StackId, _: Foreseen) {
        if let Some(survey) = &mut self.survey {
            survey.learn(event, |event| self.sharing.end(event.lane, event.id));
        }
        // A loss belongs to nothing, and the rest is fetched anew with what it belongs to.
        if self.wanted.contains(event.id) || matches!(event.what, What::Lost(_)) {
            self.fetched.push(event.clone());
        }
    }

    fn pointers(&mut self, pointers: &Pointers<'_>) {
        let numbered = (pointers.first.0..).map(EventId).zip(pointers.rows);
        for (id, row) in numbered {
            // Few are wanted: the others need not become events.
            if self.survey.is_some() || self.wanted.contains(id) {
                let event = row.event(id, pointers.first_ns);
                self.event(&event, StackId(0), row.foreseen);
            }
        }
    }
}

/// Some passes more: what the verdict rests on is fetched, and it is given with what was kept of the events.
fn again(
    recording: &Recording,
    facts: &Facts,
    events: &impl Again,
    first: First,
) -> (Judged, Vec<Event>, Vec<(EventId, StackId)>) {
    let mut wanted = first.wanted;
    let sharing = sharing(recording, facts, events, &wanted);
    let losses = recording.losses.iter().take(LOSSES_MAX);
    losses.for_each(|located| wanted.events.insert(located.event));
    let mut fetch = Fetch {
        wanted: &wanted.events,
        survey: Losses::survey(recording, facts).filter(|_| !facts.by_batch.is_empty()),
        sharing: &sharing,
        fetched: Vec::new(),
    };
    events.pass(&mut fetch);
    let Fetch {
        survey, fetched, ..
    } = fetch;
    let mut course = Course::new(recording, facts, Links::some(wanted));
    course.observer.losses = survey.map_or(first.losses, Survey::finish);
    course.observer.sharing = sharing;
    course.observer.back = Back::Here(&fetched);
    let mut kept = Kept(course);
    events.pass(&mut kept);
    let Kept(mut course) = kept;
    let stacks = course.state.links.take_stacks();
    course.state.began_ns = events.began_ns();
    let (judged, events) = course.finish_with_events();
    (judged, events, stacks.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Aside;
    use crate::finding::Verdict;

    /// Events as a reader lends them: those of pointers as rows.
    struct Lent<'a> {
        events: &'a [Event],
        losses: &'a [LocatedLoss],
    }

    impl Again for Lent<'_> {
        fn pass(&self, witness: &mut impl Witness) -> Option<Vec<LocatedLoss>> {
            let is_row = |event: &Event| Row::of_pointer(event).is_some();
            for run in self
                .events
                .chunk_by(|one, other| is_row(one) && is_row(other))
            {
                let rows: Vec<Row> = run.iter().filter_map(Row::of_pointer).collect();
                if rows.is_empty() {
                    run.iter()
                        .for_each(|event| witness.event(event, StackId(0), Foreseen::default()));
                } else {
                    let (first, first_ns) = (run[0].id, 0);
                    let rows = &rows;
                    witness.pointers(&Pointers {
                        rows,
                        first,
                        first_ns,
                    });
                }
            }
            Some(self.losses.to_vec())
        }

        fn began_ns(&self) -> i64 {
            0
        }
    }

    fn nowhere() -> std::io::Result<Box<dyn Aside>> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    /// A pointer that is taken back twice, and behind that something that is missing.
    const LOSSY: &str = "
        100 a leak 0x1000 Conn conn.rs:8
        200 a reclaim 0x1000 Conn conn.rs:9
        300 a reclaim 0x1000 Conn conn.rs:10
        350 a mark x
        400 b peek 0x2000
        500 b lost 1 removed
        600 b peek 0x2000
    ";

    /// By batch it is looked once more where records are missing, among rows that nobody wants for themselves, too.
    #[test]
    fn rows_that_nobody_wants_tell_where_records_are_missing() {
        for head in ["process 0 times=batch", "process 0"] {
            let text = format!("{head}\n{LOSSY}");
            let (mut recording, events) = crate::text::parse(&text).unwrap();
            let facts = Facts::survey(&recording, &events);
            let losses = &recording.losses.clone();
            let events = &events;
            let lent = Lent { events, losses };
            let told = |verdict: &Verdict| (verdict.stories.len(), verdict.cannot_tell.len());
            let (judged, _) = judge(&mut recording, &facts, &lent).unwrap();
            assert_eq!(told(&judged.verdict), (1, 0), "{head}");
            let (judged, _) = judge_paged(&mut recording, &facts, &lent, nowhere, &|_| {}).unwrap();
            assert_eq!(told(&judged.verdict), (1, 0), "{head}");
        }
    }

    /// Losses are kept where no events are: in pages there are all of them.
    #[test]
    fn losses_that_lie_in_pages_are_not_kept_besides() {
        let (recording, events) = crate::text::parse(LOSSY).unwrap();
        let facts = Facts::survey(&recording, &events);
        let (events, losses) = (&events, &recording.losses);
        let lent = Lent { events, losses };
        let kept = |links: &dyn Fn() -> Links| {
            let first = first(&recording, &facts, &lent, links, true);
            first
                .kept
                .iter()
                .map(|event| event.id.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(kept(&Links::default), [5]);
        assert!(kept(&|| Links::paged(Builder::new(nowhere))).is_empty());
    }
}
