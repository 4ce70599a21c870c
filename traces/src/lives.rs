//! Which events are part of whose life, and where they are: all of a life, its first one, the one behind or before
//! another.

use rustc_hash::FxHashMap;

use crate::event::{Event, EventId, Submission, What};
use crate::events::Key;
use crate::finding::Subject;
use crate::model::Link;
use crate::trace::Trace;

/// What looking at a page's filter costs, in events.
const SKIPPED: usize = 32;

/// What looking for a claim in the pages before costs, in events.
const SEARCHED: usize = 1024;

/// Pages that are looked through for the claim of a submission's slot.
const CLAIM_PAGES: usize = 64;

/// Events of a life that are told where it is too long to be told whole: half of them from its beginning, half from
/// its end.
const LIFE_MAX: usize = if cfg!(test) { 50 } else { 100_000 };

/// The events of a subject, in causal order.
pub(crate) fn events_of(trace: &Trace, subject: Subject) -> Vec<EventId> {
    lives(trace, &[subject]).pop().unwrap_or_default()
}

/// The events of each of some subjects, in causal order: all of them in one pass.
pub(crate) fn lives(trace: &Trace, subjects: &[Subject]) -> Vec<Vec<EventId>> {
    let mut lives = Lives::of(trace, subjects);
    while lives.work(trace, usize::MAX) {}
    lives.found
}

/// The first event of a subject.
pub(crate) fn first_of(trace: &Trace, subject: Subject) -> Option<EventId> {
    let pages = 0..trace.events.pages();
    let mut claim = None;
    let found = near(trace, subject, pages, false, |event| {
        if let What::Submit(Submission { entry, .. }) = &event.what {
            claim = Some((event.process, entry.ring.into(), entry.slot.into()));
        }
        true
    })?;
    let claim = claim.and_then(|place| claim_of(trace, found, place));
    Some(claim.unwrap_or(found))
}

/// The next event of a subject behind another event, or the nearest in front of it; claims and enters are not looked
/// for.
pub(crate) fn beside(trace: &Trace, subject: Subject, at: EventId, next: bool) -> Option<EventId> {
    Neighbour::of(trace, subject, at, next)
        .work(trace, usize::MAX)
        .flatten()
}

/// The event of a subject beside another one, while it is looked for: it may be millions of events away.
#[derive(Clone, Debug)]
pub struct Neighbour {
    subject: Subject,
    at: EventId,
    next: bool,
    /// Pages that were looked through.
    done: usize,
    /// Pages that there are on that side.
    pages: usize,
}

impl Neighbour {
    /// Begins: the next one behind `at`, or the nearest before it.
    pub fn of(trace: &Trace, subject: Subject, at: EventId, next: bool) -> Self {
        let page = trace.events.page_of(at);
        let pages = match next {
            true => trace.events.pages().saturating_sub(page),
            false => (page + 1).min(trace.events.pages()),
        };
        Self {
            subject,
            at,
            next,
            done: 0,
            pages,
        }
    }

    /// Looks through so many pages more; nothing while there are others left.
    pub fn work(&mut self, trace: &Trace, pages: usize) -> Option<Option<EventId>> {
        let page = trace.events.page_of(self.at);
        let (from, to) = (self.done, self.pages.min(self.done.saturating_add(pages)));
        self.done = to;
        let (at, subject) = (self.at, self.subject);
        let found = match self.next {
            true => near(trace, subject, page + from..page + to, false, |event| {
                event.id > at
            }),
            false => {
                let pages = (from..to).map(|back| page - back);
                near(trace, subject, pages, true, |event| event.id < at)
            }
        };
        (found.is_some() || to >= self.pages).then_some(found)
    }

    /// How far it has come, in a hundred.
    pub fn percent(&self) -> usize {
        self.done * 100 / self.pages.max(1)
    }
}

fn near(
    trace: &Trace,
    subject: Subject,
    pages: impl Iterator<Item = usize>,
    last: bool,
    mut is_it: impl FnMut(&Event) -> bool,
) -> Option<EventId> {
    let written: Vec<Subject> = as_written(trace, subject).collect();
    let is_of = |event: &Event, link: &Link| {
        let mut parts = concerned(event.process, link, &event.what).into_iter();
        parts.any(|part| part.is_some_and(|part| written.contains(&part))) && is_it(event)
    };
    let keys: Vec<Key> = written.iter().copied().map(Key::Of).collect();
    trace.events.nearest(&keys, pages, last, is_of)
}

/// The lives of some subjects while they are gathered.
#[derive(Clone, Debug)]
pub(crate) struct Lives {
    wanted: FxHashMap<Subject, Vec<usize>>,
    keys: Vec<Key>,
    found: Vec<Vec<EventId>>,
    /// Events in the middle of lives that are too long.
    left_out: usize,
    /// The latest claims of slots; where pages are skipped, those of the page at hand.
    claims: FxHashMap<(u32, u32, u32), EventId>,
    /// The next page.
    page: usize,
    buffer: Vec<u8>,
}

impl Lives {
    pub(crate) fn of(trace: &Trace, subjects: &[Subject]) -> Self {
        let mut wanted: FxHashMap<Subject, Vec<usize>> = FxHashMap::default();
        for (at, subject) in subjects.iter().enumerate() {
            for written in as_written(trace, *subject) {
                wanted.entry(written).or_default().push(at);
            }
        }
        Self {
            keys: wanted.keys().copied().map(Key::Of).collect(),
            wanted,
            found: vec![Vec::new(); subjects.len()],
            left_out: 0,
            claims: FxHashMap::default(),
            page: 0,
            buffer: Vec::new(),
        }
    }

    /// Looks at so many events, or at so many pages that have none of them; false once all were.
    pub(crate) fn work(&mut self, trace: &Trace, events: usize) -> bool {
        let Self {
            wanted,
            keys,
            found,
            left_out,
            claims,
            page,
            buffer,
        } = self;
        let skips = trace.events.as_slice().is_none();
        let mut left = events;
        while *page < trace.events.pages() {
            if left == 0 {
                return true;
            }
            let here = *page;
            *page += 1;
            if !trace.events.may_have(here, keys.iter(), buffer) {
                left = left.saturating_sub(SKIPPED);
                continue;
            }
            let ids = trace.events.ids_of(here);
            left = left.saturating_sub(ids.len());
            if skips {
                claims.clear();
            }
            trace.events.each_with(ids, |event, link| {
                let process = event.process;
                if let What::Claim { ring, slot } = &event.what {
                    claims.insert((process, *ring, *slot), event.id);
                }
                let parts = concerned(process, link, &event.what);
                let parts = parts.map(|subject| wanted.get(&subject?));
                for at in parts.into_iter().flatten().flatten() {
                    let Some(life) = found.get_mut(*at) else {
                        continue;
                    };
                    if let What::Submit(submission) = &event.what {
                        let entry = &submission.entry;
                        let place = (process, u32::from(entry.ring), u32::from(entry.slot));
                        let mut claim = claims.get(&place).copied();
                        if skips && claim.is_none() {
                            left = left.saturating_sub(SEARCHED);
                            claim = claim_of(trace, event.id, place);
                        }
                        life.extend(claim);
                        life.extend(link.enter);
                    }
                    life.push(event.id);
                }
            });
            if skips {
                for life in found.iter_mut().filter(|life| life.len() > 2 * LIFE_MAX) {
                    *left_out += shorten(life);
                }
            }
        }
        for life in found {
            life.sort_unstable();
            life.dedup();
        }
        false
    }

    /// The life of the first subject.
    pub(crate) fn take(&mut self) -> Vec<EventId> {
        self.found.pop().unwrap_or_default()
    }

    /// The next page.
    pub(crate) fn page(&self) -> usize {
        self.page
    }

    /// How many events are not among what was found.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }
}

/// Leaves out the middle; says how many events that were.
fn shorten(life: &mut Vec<EventId>) -> usize {
    life.sort_unstable();
    life.dedup();
    let middle = LIFE_MAX / 2..life.len().saturating_sub(LIFE_MAX / 2).max(LIFE_MAX / 2);
    life.drain(middle).count()
}

/// The claim of the slot that a submission went into: the latest one.
fn claim_of(trace: &Trace, submission: EventId, place: (u32, u32, u32)) -> Option<EventId> {
    let (process, ring, slot) = place;
    let is_it = |event: &Event, _: &Link| {
        event.id < submission
            && event.process == process
            && matches!(event.what, What::Claim { ring: of, slot: at } if (of, at) == (ring, slot))
    };
    // Far behind, there is none: it was not recorded, or is lost.
    let pages = 0..=trace.events.page_of(submission);
    let pages = pages.rev().take(CLAIM_PAGES);
    let key = Key::Claim(process, ring, slot);
    trace.events.nearest(&[key], pages, true, is_it)
}

/// A subject by the numbers that events have of it: an operation that the kernel recorded too has two.
fn as_written(trace: &Trace, subject: Subject) -> impl Iterator<Item = Subject> {
    let kernels = match subject {
        Subject::Operation {
            process,
            ring,
            sequence,
        } => {
            let mut rings = trace.judged.merged.iter();
            let kernels = rings.find(|(_, merged)| merged.of_operations() == Some((process, ring)));
            kernels.map(|(&(process, ring), _)| Subject::Operation {
                process,
                ring,
                sequence,
            })
        }
        _ => None,
    };
    std::iter::once(subject).chain(kernels)
}

/// Everything that an event is a part of the life of, by its own numbers.
pub(crate) fn concerned(process: u32, link: &Link, what: &What) -> [Option<Subject>; 4] {
    let cookie = |ring, cookie| {
        Some(Subject::Cookie {
            process,
            ring,
            cookie,
        })
    };
    [
        // A cell is an address without a generation.
        (link.generation != 0 || link.address != 0).then_some(Subject::Generation {
            process,
            address: link.address,
            generation: link.generation,
        }),
        link.operation.map(|(ring, sequence)| Subject::Operation {
            process,
            ring,
            sequence,
        }),
        link.coroutine
            .map(|coroutine| Subject::Coroutine { process, coroutine }),
        match what {
            What::Complete(completion) => cookie(completion.ring, completion.cookie),
            What::Submit(submission) => {
                cookie(u32::from(submission.entry.ring), submission.entry.cookie)
            }
            What::Push { cookie: word, .. } => {
                link.operation.and_then(|(ring, _)| cookie(ring, *word))
            }
            What::Resume {
                by: Some((ring, word)),
                ..
            } => cookie(*ring, *word),
            _ => None,
        },
    ]
}
