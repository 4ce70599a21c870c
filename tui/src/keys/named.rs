//! Keys that screens name: each comes from the table in force, and does something where it is named.
//!
//! Every action gets a key that nothing else on a screen looks like; then all screens are drawn, and whatever key is
//! read off one is pressed there.

use std::collections::{BTreeMap, BTreeSet};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::{Keymap, On, bindings, holds, label, message_for, script};
use crate::hiding::{Cover, Why};
use crate::keys::{Binding, Characters, Key, Listener};
use crate::layout::{Pane, panes_of, view_of};
use crate::live::{State, Watched};
use crate::model::Model;
use crate::msg::{Effect, Msg, Step, Toward, View};
use crate::snapshot::{plain_snapshot, styled_snapshot};
use crate::update::tests::send;
use crate::update::{NOTHING_TO_OPEN, update};
use crate::{Options, fixture};

/// Letters that no text of a screen has.
fn letters() -> impl Iterator<Item = char> {
    ('\u{430}'..='\u{44f}')
        .chain('\u{410}'..='\u{42f}')
        .chain('\u{561}'..='\u{586}')
        .chain('\u{531}'..='\u{556}')
}

/// A key of its own for every action, none of them as in the table.
fn foreign() -> Vec<(&'static str, String)> {
    let mut letters = letters();
    let mut typing = ["<f3>", "<f4>", "<f5>", "<f6>"].into_iter();
    let mut palette = ["<f7>", "<f8>", "<f9>", "<f10>", "<f11>", "<f12>", "ctrl-w"].into_iter();
    let mut keys = Vec::new();
    for binding in bindings() {
        let key = match binding.on {
            On::Anywhere => continue,
            On::Prompt => typing.next().map(str::to_owned),
            On::Palette => palette.next().map(str::to_owned),
            _ => letters.next().map(String::from),
        };
        keys.push((binding.id, key.expect("there are keys enough")));
    }
    keys
}

fn keymap() -> Keymap {
    let foreign = foreign();
    let wanted = foreign.iter().map(|(id, key)| (*id, vec![key.as_str()]));
    Keymap::new(wanted).expect("the keys can be had")
}

/// What there is to look at.
const KINDS: [&str; 7] = [
    "findings",
    "clean",
    "nothing",
    "two traces",
    "hidden",
    "running",
    "ended",
];

/// And on how large a screen: with one pane, or with two.
const SIZES: [(u16, u16); 7] = [
    (80, 24),
    (80, 24),
    (130, 40),
    (130, 40),
    (130, 40),
    (80, 24),
    (130, 40),
];

fn model(kind: &str, keymap: Keymap) -> Model {
    let mut options = Options {
        title: "traces/leftover.trc".into(),
        keymap,
        ..Options::default()
    };
    let leftover = || {
        (
            fixture::trace(fixture::LEFTOVER),
            fixture::leftover_verdict(),
        )
    };
    let mut model = match kind {
        "clean" => crate::open(
            fixture::trace(fixture::CLEAN),
            fixture::clean_verdict(),
            options,
        ),
        "nothing" => crate::open(traces::Trace::empty(), Default::default(), options),
        "two traces" => {
            let [before, after] =
                fixture::compared().map(|(trace, verdict, title)| crate::Compared {
                    trace,
                    verdict,
                    title: title.into(),
                    notes: Vec::new(),
                });
            crate::open_diff(before, after, options)
        }
        "hidden" => {
            let covers = traces::filter::Filter::parse("rule:T02").expect("it reads");
            let why = Why::Suppressed {
                reason: "by design".into(),
                until: None,
            };
            options.hidden = vec![Cover {
                covers: crate::hiding::Covers::Filter(covers),
                why,
            }];
            let (trace, verdict) = leftover();
            crate::open(trace, verdict, options)
        }
        "running" | "ended" => {
            let mut model = crate::expect(options);
            let watched = |state| Watched {
                state,
                is_ours: true,
                output: Some("trace.output.log".into()),
            };
            crate::update::watched(&mut model, watched(State::Running));
            let (trace, verdict) = leftover();
            let arrived = crate::Arrived {
                trace,
                verdict,
                notes: None,
                index: None,
                is_last: false,
            };
            crate::update::arrive(&mut model, arrived);
            if kind == "ended" {
                update(&mut model, Msg::Pause);
                let ended = State::Ended("exited with code 3".into());
                crate::update::watched(&mut model, watched(ended));
            }
            model
        }
        _ => {
            let (trace, verdict) = leftover();
            crate::open(trace, verdict, options)
        }
    };
    // As with keys: what was to be said before the first one is said.
    model.notice = None;
    model
}

/// What leads to the screens: first what stands behind everything else, then what is over it.
fn ways() -> Vec<Vec<Msg>> {
    let mut ways = vec![];
    for view in View::ALL {
        for pane in panes_of(view).iter().enumerate() {
            let mut way = vec![Msg::Show(view)];
            way.extend((0..pane.0).map(|_| Msg::Pane(Toward::Next)));
            ways.push(way);
        }
        // The last row, which is another kind of row in many lists.
        ways.push(vec![Msg::Show(view), Msg::Move(Step::Last)]);
    }
    // What two traces share, which opens in either.
    ways.push(vec![Msg::Show(View::Diff), Msg::Move(Step::Lines(2))]);
    let typed = |text: &'static str| text.chars().map(Msg::Type);
    let over: [Vec<Msg>; 19] = [
        vec![Msg::Help],
        vec![Msg::Help, Msg::Move(Step::Last)],
        vec![Msg::Help, Msg::Prompt, Msg::Type('n')],
        vec![Msg::Explain],
        vec![Msg::Palette],
        [Msg::Palette]
            .into_iter()
            .chain(typed("zzzz "))
            .chain([Msg::Accept])
            .collect(),
        vec![Msg::Prompt],
        [Msg::Prompt].into_iter().chain(typed("op:")).collect(),
        [Msg::Prompt]
            .into_iter()
            .chain(typed("recv"))
            .chain([Msg::Accept])
            .collect(),
        vec![Msg::Note],
        vec![Msg::Suppress],
        [Msg::Suppress]
            .into_iter()
            .chain(typed("why"))
            .chain([Msg::Accept])
            .collect(),
        vec![Msg::Quit],
        vec![Msg::Bookmark],
        vec![Msg::Show(View::Objects), Msg::Open],
        vec![Msg::Show(View::Timeline), Msg::Range],
        // Between two events.
        vec![Msg::Show(View::Timeline), Msg::Time(10), Msg::Open],
        vec![Msg::Hit(Toward::Next)],
        vec![Msg::ShowHidden, Msg::Move(Step::Last)],
    ];
    ways.extend(over);
    ways
}

/// Ways that are worth going there: all of them where there is something to see, else to the views alone.
fn ways_of(kind: &str) -> Vec<Vec<Msg>> {
    let all = ways();
    match kind {
        "findings" => all,
        "hidden" => all
            .into_iter()
            .filter(|way| way.contains(&Msg::ShowHidden))
            .collect(),
        _ => all
            .into_iter()
            .filter(|way| {
                matches!(
                    way[..],
                    [Msg::Show(_) | Msg::Explain | Msg::Quit] | [Msg::Show(View::Diff), _]
                )
            })
            .collect(),
    }
}

fn draw(model: &Model) -> String {
    plain_snapshot(&buffer(model))
}

/// All that a look at the screen tells: what is chosen is a style.
fn looks(model: &Model) -> String {
    styled_snapshot(&buffer(model))
}

fn buffer(model: &Model) -> Buffer {
    let (columns, rows) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a terminal opens");
    terminal
        .draw(|frame| crate::view::view(model, frame))
        .expect("it draws");
    terminal.backend().buffer().clone()
}

/// The model at the end of a way, and whether the last step leaves the viewer.
fn at(kind: &str, keymap: &Keymap, size: (u16, u16), way: &[Msg]) -> Model {
    let mut model = model(kind, keymap.clone());
    let (columns, rows) = size;
    send(&mut model, &[Msg::Resize { columns, rows }]);
    send(&mut model, way);
    model
}

/// Who would get the key of an action that stands on a screen: what is over the panes, or a pane.
fn is_for(binding: &Binding, model: &Model) -> bool {
    let is_over = !matches!(model.listener(), Listener::Pane(_));
    holds(binding.on, model.listener()) || (is_over && holds(binding.on, model.pane_listener()))
}

/// Whether an action has nothing to do here by the nature of things: the only row has no next one.
fn has_no_room(model: &Model, msg: Msg) -> bool {
    match msg {
        Msg::Move(_) if model.listener() == Listener::Page => {
            let page = crate::help::area(model.size).map_or(0, |area| area.height);
            crate::help::lines(model).len() <= page.into()
        }
        Msg::Move(_) if model.help.is_some() => crate::help::actions(model).len() <= 1,
        Msg::Move(_) => model.len_of(model.pane) <= 1,
        Msg::Open => model.len_of(model.pane) == 0,
        // The name of what is shown says where one is.
        Msg::Show(view) => view == model.view || view == view_of(model.pane),
        // Where there is no time there is nowhere to go in it.
        Msg::Time(_) | Msg::OnLane(_) | Msg::Zoom(_) | Msg::Pan(_) | Msg::Pin => {
            model.trace.events().is_empty()
        }
        _ => false,
    }
}

#[test]
fn keys_that_screens_name_come_from_the_table_in_force_and_work_there() {
    let keymap = keymap();
    let foreign = foreign();
    let mut named: BTreeMap<char, &'static Binding> = BTreeMap::new();
    for (id, key) in &foreign {
        if let (Some(letter), None) = (key.chars().next(), key.chars().nth(1)) {
            let binding = bindings().find(|b| b.id == *id).expect("it is there");
            named.insert(letter, binding);
        }
    }
    let mut wrong = BTreeMap::new();
    let mut tried = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (kind, size) in KINDS.into_iter().zip(SIZES) {
        {
            for way in ways_of(kind) {
                let model = at(kind, &keymap, size, &way);
                let shown = draw(&model);
                let whats: BTreeSet<char> =
                    shown.chars().filter(|c| named.contains_key(c)).collect();
                for letter in whats {
                    let binding = named[&letter];
                    seen.insert(binding.id);
                    let what = format!("{} in {:?}", binding.id, model.listener());
                    if !is_for(binding, &model) {
                        wrong.insert(
                            format!("{what} is for others"),
                            format!("{kind} {way:?}\n{shown}"),
                        );
                        continue;
                    }
                    // What is over the panes has the keys: theirs are pressed once that is gone.
                    if !holds(binding.on, model.listener()) || has_no_room(&model, binding.msg) {
                        continue;
                    }
                    // In a hint bar that is everywhere the same it is pressed where that stands first, and once more.
                    let place = (binding.id, format!("{:?}", model.listener()));
                    let tried = tried.entry(place).or_insert(0);
                    *tried += 1;
                    if *tried > 2 && binding.hint.is_some() {
                        continue;
                    }
                    let key = script::keys(&letter.to_string()).expect("a key")[0];
                    let works = |before: &[Msg]| {
                        let mut model = at(kind, &keymap, size, &way);
                        send(&mut model, before);
                        // What was said before is said anew.
                        model.notice = None;
                        let shown = looks(&model);
                        let msg = message_for(key, model.context(), model.keymap());
                        assert_eq!(msg, Some(binding.msg), "{what}");
                        let effect = send(&mut model, &[binding.msg]);
                        let said = model.notice.take();
                        let did = !matches!(effect, Effect::Nothing | Effect::Draw)
                            || looks(&model) != shown;
                        let is_idle = said.as_deref() == Some(NOTHING_TO_OPEN);
                        assert!(
                            !(did && is_idle),
                            "{what} says that it did nothing: {way:?}"
                        );
                        // Why it does nothing here is an answer; that it does nothing is none.
                        did || (said.is_some() && !is_idle)
                    };
                    // At an end the way on leads nowhere; then the way back does, and it from there.
                    let others = bindings().filter(|other| {
                        other.hint.is_some()
                            && other.hint == binding.hint
                            && holds(other.on, model.listener())
                            && other.id != binding.id
                    });
                    let mut befores = vec![vec![]];
                    befores.extend(others.map(|other| vec![other.msg]));
                    if !befores.iter().any(|before| works(before)) {
                        wrong.insert(
                            format!("{what} does nothing"),
                            format!("{kind} {way:?}\n{shown}"),
                        );
                    }
                }
            }
        }
    }
    let heads: Vec<&String> = wrong.keys().collect();
    assert!(
        wrong.is_empty(),
        "{heads:#?}; the first one is {}",
        wrong.values().next().map_or("", String::as_str)
    );
    // The walk has been where keys are named.
    for id in [
        "page.close",
        "help.run",
        "objects.pivot",
        "diff.other-trace",
        "question.stay",
        "live.pause",
    ] {
        assert!(seen.contains(id), "{id} was named nowhere");
    }
}

/// Marks that are keys where they stand alone; others are marks of rows, too.
const PUNCTUATION: [&str; 2] = [".", ","];

/// Words that are keys and nothing else; a letter alone may be a sign or a unit.
fn is_key_of_the_table(word: &str) -> bool {
    const SIGNS: [&str; 7] = ["a", "s", "A", "B", "I", "x", "ms"];
    let is_letter = word.len() == 1 && word.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_name = matches!(
        word,
        "Esc" | "Enter" | "Tab" | "Space" | "PgUp" | "PgDn" | "F1" | "F2" | "S-Tab" | "gg"
    );
    (is_letter || is_name || PUNCTUATION.contains(&word)) && !SIGNS.contains(&word)
}

/// The words of a line, but for those that a frame may have cut.
fn whole_words(line: &str) -> impl Iterator<Item = &str> {
    let is_cut = line.contains('│');
    line.split('│').flat_map(move |piece| {
        let words: Vec<&str> = piece
            .split(|c: char| c.is_whitespace() || "():;,|".contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        let edge = usize::from(is_cut);
        let end = words.len().saturating_sub(edge).max(edge.min(words.len()));
        words[edge.min(words.len())..end].to_vec()
    })
}

#[test]
fn no_screen_names_a_key_of_the_table_that_the_user_has_changed() {
    let keymap = keymap();
    let default: BTreeSet<String> = bindings()
        .flat_map(|binding| {
            binding
                .keys
                .iter()
                .map(|key: &Key| label(*key, Characters::Ascii))
        })
        .collect();
    assert!(
        ["Esc", "j", "Enter"]
            .iter()
            .all(|key| default.contains(*key))
    );
    for (kind, size) in KINDS.into_iter().zip(SIZES) {
        {
            for way in ways_of(kind) {
                let model = at(kind, &keymap, size, &way);
                let shown = draw(&model);
                let marks = shown.split_whitespace();
                let marks = marks.filter(|word| PUNCTUATION.contains(word));
                for word in shown.lines().flat_map(whole_words).chain(marks) {
                    assert!(
                        !(is_key_of_the_table(word) && default.contains(word)),
                        "{word} is named, and is no key any more: {kind} {way:?}\n{shown}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_action_without_a_key_is_named_by_its_command() {
    let keymap = Keymap::new([
        ("finding.next", vec!["<f5>"]),
        ("help", vec![]),
        ("palette", vec!["<f6>"]),
    ]);
    let keymap = keymap.expect("the keys can be had");
    let key = |msg, pane| super::key_of(msg, Listener::Pane(pane), Characters::Ascii, &keymap);
    assert_eq!(key(Msg::Finding(Toward::Next), Pane::Events), "F5");
    assert_eq!(key(Msg::Help, Pane::Events), "F6 help");
    // It has one elsewhere.
    assert_eq!(key(Msg::Pivot, Pane::Events), "F6 objects.pivot");
    assert_eq!(key(Msg::Pivot, Pane::Objects), "p");
}
