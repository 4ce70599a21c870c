//! What is held: leaked and not yet taken back, counted by type, place, age or thread.
//!
//! Held means: at the end of the selected time, or of the recording. What was declared never to come
//! back is not counted.

use std::collections::HashMap;

use traces::event::{EventId, SiteId, TypeId};
use traces::finding::Subject;

use crate::model::Model;
use crate::sorting::{By, Sort};
use crate::text::counted;

/// Objects that are gone and may be kept of a recording that is too long to keep all.
const GONE_MAX: usize = 4096;

/// A generation of a leaked pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Which.
    pub subject: Subject,
    /// The leak that it began with.
    pub born: EventId,
    /// When that was.
    pub born_ns: u64,
    /// When its last lease was taken back; `u64::MAX` where it was not.
    pub gone_ns: u64,
    /// What it points to.
    pub ty: TypeId,
    /// Where it was leaked.
    pub site: SiteId,
    /// The thread that leaked it: an index into the lanes of the recording.
    pub lane: u32,
    /// Its process.
    pub process: u32,
}

/// By what held objects are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// What they point to.
    #[default]
    Type,
    /// Where they were leaked.
    Site,
    /// How long they have been held.
    Age,
    /// Who leaked them.
    Thread,
}

impl Column {
    /// The next one, and the first after the last.
    pub fn next(self) -> Self {
        match self {
            Self::Type => Self::Site,
            Self::Site => Self::Age,
            Self::Age => Self::Thread,
            Self::Thread => Self::Type,
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Site => "place",
            Self::Age => "age",
            Self::Thread => "thread",
        }
    }
}

/// Objects that have something in common.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they have in common.
    pub label: String,
    /// Which, as positions in the index.
    pub objects: Vec<usize>,
}

/// The objects pane.
#[derive(Clone, Debug)]
pub struct ObjectsPane {
    /// Held objects in groups; nothing before somebody looked.
    pub groups: Option<Vec<Group>>,
    /// By what they are counted.
    pub by: Column,
    /// The order of the groups, and that of objects.
    pub sorts: (Sort, Sort),
    /// The group whose objects are listed one by one.
    pub opened: Option<usize>,
    /// Position of the selected row.
    pub selected: usize,
    /// Position of the first visible row.
    pub top: usize,
    /// First visible line of the text about the selected row.
    pub text_top: usize,
}

impl Default for ObjectsPane {
    fn default() -> Self {
        Self {
            groups: None,
            by: Column::default(),
            sorts: (Sort::new(By::Count), Sort::new(By::Age)),
            opened: None,
            selected: 0,
            top: 0,
            text_top: 0,
        }
    }
}

impl ObjectsPane {
    /// The order of the rows that are shown.
    pub fn sort(&self) -> Sort {
        match self.opened {
            None => self.sorts.0,
            Some(_) => self.sorts.1,
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match (&self.groups, self.opened) {
            (Some(groups), None) => groups.len(),
            (Some(groups), Some(group)) => groups.get(group).map_or(0, |g| g.objects.len()),
            (None, _) => 0,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object of a row, as a position in the index, where objects are listed one by one.
    pub fn object(&self, position: usize) -> Option<usize> {
        let group = self.groups.as_ref()?.get(self.opened?)?;
        group.objects.get(position).copied()
    }

    /// How many are held.
    pub fn held(&self) -> usize {
        let groups = self.groups.iter().flatten();
        groups.map(|group| group.objects.len()).sum()
    }
}

/// When what is held is looked at.
pub fn moment(model: &Model) -> u64 {
    let end = model
        .timeline
        .index
        .as_ref()
        .map_or(0, |index| index.last_ns());
    match model.range {
        Some(range) if !is_of_end_only(model) => range.to_ns,
        _ => end,
    }
}

/// Whether the recording is too long for telling what was held before its end.
fn is_of_end_only(model: &Model) -> bool {
    let index = model.timeline.index.as_ref();
    index.is_some_and(|index| index.objects.forgets)
}

/// The held objects of the index in groups, largest first.
pub fn groups(model: &Model) -> Vec<Group> {
    let at_ns = moment(model);
    let Some(index) = &model.timeline.index else {
        return Vec::new();
    };
    let names = model.trace.names();
    let mut by_key: HashMap<(u32, u64), Vec<usize>> = HashMap::new();
    for (position, object) in index.objects.all.iter().enumerate() {
        if object.born_ns > at_ns || object.gone_ns <= at_ns {
            continue;
        }
        let key = match model.objects.by {
            Column::Type => (0, object.ty.0.into()),
            Column::Site => (0, object.site.0.into()),
            Column::Age => (0, decade(at_ns - object.born_ns).into()),
            Column::Thread => (object.process, object.lane.into()),
        };
        by_key.entry(key).or_default().push(position);
    }
    let label = |(process, key): (u32, u64)| {
        let number = u32::try_from(key).unwrap_or(0);
        match model.objects.by {
            Column::Type => named(names.ty(TypeId(number)), "of unknown type"),
            Column::Site => named(names.site(SiteId(number)), "leaked at an unknown place"),
            Column::Age => age(number).to_owned(),
            Column::Thread => model.thread_name(process, number),
        }
    };
    let mut groups: Vec<Group> = by_key
        .into_iter()
        .map(|(key, objects)| Group {
            label: label(key),
            objects,
        })
        .collect();
    groups.sort_by(|a, b| a.label.cmp(&b.label));
    sort_groups(model, &mut groups);
    groups
}

/// Puts groups into the order that is asked for: the largest first, and what is the same by name.
fn sort_groups(model: &Model, groups: &mut [Group]) {
    let sort = model.objects.sorts.0;
    match sort.by {
        By::Name => sort.sort(groups, |group| group.label.clone()),
        By::Age => sort.sort(groups, |group| group.objects.iter().min().copied()),
        _ => sort.sort(groups, |group| std::cmp::Reverse(group.objects.len())),
    }
}

/// Puts the objects of a group into the order that is asked for. In the index they stand as they were leaked.
fn sort_objects(model: &Model, objects: &mut [usize]) {
    let Some(index) = &model.timeline.index else {
        return;
    };
    let sort = model.objects.sorts.1;
    let names = model.trace.names();
    let of = |at: &usize| index.objects.all.get(*at);
    objects.sort_unstable();
    match sort.by {
        By::Name => {
            let mut types = HashMap::new();
            sort.sort(objects, |at| {
                of(at).map(|it| {
                    let ty = types.entry(it.ty).or_insert_with(|| names.ty(it.ty));
                    let Subject::Generation {
                        address,
                        generation,
                        ..
                    } = it.subject
                    else {
                        return (ty.clone(), 0, 0);
                    };
                    (ty.clone(), address, generation)
                })
            });
        }
        By::Thread => {
            let mut threads = HashMap::new();
            sort.sort(objects, |at| {
                of(at).map(|it| {
                    let name = || model.thread_name(it.process, it.lane);
                    let thread = threads.entry((it.process, it.lane));
                    thread.or_insert_with(name).clone()
                })
            });
        }
        By::Place => {
            let mut places = HashMap::new();
            sort.sort(objects, |at| {
                of(at).map(|it| {
                    let place = places.entry(it.site).or_insert_with(|| names.site(it.site));
                    place.clone()
                })
            });
        }
        _ => sort.sort(objects, |at| *at),
    }
}

/// Puts the rows that are shown into the order that is asked for.
pub(crate) fn sort(model: &mut Model) {
    let Some(mut groups) = model.objects.groups.take() else {
        return;
    };
    match model.objects.opened {
        None => sort_groups(model, &mut groups),
        Some(opened) => {
            if let Some(group) = groups.get_mut(opened) {
                sort_objects(model, &mut group.objects);
            }
        }
    }
    model.objects.groups = Some(groups);
}

/// A column of the list: what it is called, what sorting by it means, and how wide it is.
pub(crate) type Head = (&'static str, By, usize);

/// The columns of the list, from the left.
pub(crate) fn columns(model: &Model, width: usize) -> Vec<Head> {
    let is_wide = width >= 60;
    if model.objects.opened.is_some() {
        let name = (width * 2 / 5).max(16);
        let thread = if is_wide { width / 6 } else { 0 };
        let place = width.saturating_sub(10 + name + thread);
        return vec![
            ("age", By::Age, 10),
            ("name", By::Name, name),
            ("thread", By::Thread, thread),
            ("place", By::Place, place),
        ];
    }
    let bar = if is_wide { BAR + 1 } else { 0 };
    let label = width.saturating_sub(10 + bar + OLDEST);
    vec![
        ("count", By::Count, 10 + bar),
        (model.objects.by.name(), By::Name, label),
        ("oldest", By::Age, OLDEST),
    ]
}

/// Columns of the longest bar.
pub(crate) const BAR: usize = 20;

/// Columns for how old the oldest one is.
const OLDEST: usize = 11;

fn named(name: String, unknown: &str) -> String {
    if name == "?" {
        unknown.to_owned()
    } else {
        name
    }
}

const AGES: [&str; 7] = [
    "under 10µs",
    "10µs to 100µs",
    "100µs to 1ms",
    "1ms to 10ms",
    "10ms to 100ms",
    "100ms to 1s",
    "1s and more",
];

fn decade(ns: u64) -> u32 {
    match ns {
        0..10_000 => 0,
        10_000..100_000 => 1,
        100_000..1_000_000 => 2,
        1_000_000..10_000_000 => 3,
        10_000_000..100_000_000 => 4,
        100_000_000..1_000_000_000 => 5,
        _ => 6,
    }
}

fn age(decade: u32) -> &'static str {
    AGES.get(decade as usize)
        .copied()
        .unwrap_or("of unknown age")
}

/// The title of the pane.
pub fn title(model: &Model) -> String {
    let when = if model.range.is_some() && is_of_end_only(model) {
        "at the end of the recording, not of the selected time"
    } else if model.range.is_some() {
        "at the end of the selected time"
    } else {
        "at the end"
    };
    let held = counted(model.objects.held() as u64, "object");
    let opened = model.objects.opened.and_then(|at| {
        let groups = model.objects.groups.as_ref()?;
        groups.get(at).map(|group| group.label.as_str())
    });
    match opened {
        Some(label) => {
            let order = match model.objects.sorts.1 {
                Sort {
                    by: By::Age,
                    is_reversed,
                } => match is_reversed {
                    false => "oldest first".to_owned(),
                    true => "newest first".to_owned(),
                },
                sort => sort.in_words(),
            };
            format!("Held {when}: {label}, {order}")
        }
        None => format!("{held} held {when}, by {}", model.objects.by.name()),
    }
}

/// Objects while they are gathered.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// All that there were, in the order they were leaked.
    pub all: Vec<Object>,
    /// Those held: their position, and their leases.
    open: HashMap<Subject, (usize, i64)>,
    /// Whether some that are not held at the end are left out.
    pub forgets: bool,
}

impl Objects {
    /// A lease more: of something new, it begins the object.
    pub fn leased(&mut self, object: Object) {
        let next = self.all.len();
        let entry = self.open.entry(object.subject).or_insert((next, 0));
        entry.1 += 1;
        if entry.0 == next {
            self.all.push(object);
        }
    }

    /// A lease less; with the last one, the object is gone.
    pub fn returned(&mut self, subject: Subject, at_ns: u64) {
        if let Some((position, leases)) = self.open.get_mut(&subject) {
            *leases -= 1;
            if *leases <= 0 {
                let position = *position;
                self.gone(subject, position, at_ns);
            }
        }
    }

    /// Nobody expects it back.
    pub fn forgotten(&mut self, subject: Subject, at_ns: u64) {
        if let Some((position, _)) = self.open.get(&subject) {
            let position = *position;
            self.gone(subject, position, at_ns);
        }
    }

    /// Lets go of those that are not held, now and then: then what is told is of the end only.
    pub fn forget_the_gone(&mut self) {
        if self.all.len() < 2 * self.open.len() + GONE_MAX {
            return;
        }
        self.forgets = true;
        let mut kept = 0;
        let moved: HashMap<Subject, usize> = self
            .all
            .iter()
            .filter(|object| object.gone_ns == u64::MAX)
            .map(|object| object.subject)
            .zip(0..)
            .collect();
        self.all.retain(|object| object.gone_ns == u64::MAX);
        for (subject, place) in &mut self.open {
            if let Some(at) = moved.get(subject) {
                place.0 = *at;
                kept += 1;
            }
        }
        debug_assert_eq!(kept, self.open.len());
    }

    fn gone(&mut self, subject: Subject, position: usize, at_ns: u64) {
        self.open.remove(&subject);
        if let Some(object) = self.all.get_mut(position) {
            object.gone_ns = at_ns;
        }
    }
}
