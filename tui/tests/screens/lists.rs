//! Rings, objects, losses, and two traces beside each other.

use super::*;

#[test]
fn rings_objects_and_losses_have_pages() {
    for (name, key) in [("rings", "6"), ("objects", "7"), ("losses", "8")] {
        for (columns, rows) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
            check(&format!("{name}-{columns}x{rows}"), key, columns, rows);
        }
    }
}

#[test]
fn what_is_held_is_counted_by_any_column_and_leads_to_biographies() {
    let text = "
0 main leak 0x10 conn::Conn src/conn.rs:88 owner=Box
10 main leak 0x20 conn::Conn src/conn.rs:88 owner=Box
20 worker leak 0x30 timer::Timer src/timer.rs:41 owner=Rc
30 worker leak 0x40 timer::Timer src/timer.rs:41 owner=Rc
40 main leak 0x50 conn::Conn src/accept.rs:7 owner=Box
50 main reclaim 0x40 timer::Timer src/timer.rs:52 owner=Rc
";
    let mut model = tui::open(fixture::trace(text), Verdict::default(), options());
    // Of several threads each row has its own; of one, none.
    let shown = plain_snapshot(&screen(&mut model, "3", 80, 24));
    assert!(shown.contains("0.000000030 worker leak"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "7", 80, 24));
    assert!(
        shown.contains("4 objects held at the end, by type"),
        "{shown}"
    );
    assert!(shown.contains("3 ████████████████████ Conn"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "p", 80, 24));
    assert!(
        shown.contains("2 ████████████████████ src/conn.rs:88"),
        "{shown}"
    );
    let shown = plain_snapshot(&screen(&mut model, "pp", 80, 24));
    assert!(
        shown.contains("by thread") && shown.contains("worker"),
        "{shown}"
    );
    let shown = plain_snapshot(&screen(&mut model, "p<enter>j<enter>", 80, 24));
    assert!(shown.contains("Biography of Conn#2 0x20@1"), "{shown}");
    // Up is the list again, then its groups.
    let shown = plain_snapshot(&screen(&mut model, "<esc>", 80, 24));
    assert!(shown.contains("Conn, oldest first"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "<esc>", 80, 24));
    assert!(shown.contains("by type"), "{shown}");
}

#[test]
fn where_no_leak_was_seen_nothing_is_said_to_have_been_taken_back() {
    let text = "
process 0 capture=preload
0 main ring-create 0 sq=8 cq=16
10 main submit 0 NOP 0x7
20 main complete 0 0x7 0
";
    let trace = fixture::trace(text);
    let verdict = trace.verdict().clone();
    let shown = plain_snapshot(&screen(
        &mut tui::open(trace, verdict, options()),
        "7",
        100,
        24,
    ));
    assert!(
        shown.contains("No pointer was seen to be given away"),
        "{shown}"
    );
    let mut model = tui::open(
        fixture::trace(fixture::CLEAN),
        fixture::clean_verdict(),
        options(),
    );
    let shown = plain_snapshot(&screen(&mut model, "7", 100, 24));
    assert!(shown.contains("Nothing was held then"), "{shown}");
}

#[test]
fn a_loss_says_what_to_do_and_leads_to_its_place() {
    let text = "
10 main spawn 1 serve src/serve.rs:1
20 main lost 5 overwritten
30 main done 1
";
    let mut model = tui::open(fixture::trace(text), fixture::leftover_verdict(), options());
    let shown = plain_snapshot(&screen(&mut model, "8", 80, 24));
    assert!(
        shown.contains("5 records overwritten by newer ones"),
        "{shown}"
    );
    assert!(shown.contains("--ring"), "{shown}");
    assert!(shown.contains("T11 never-resumed"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, "<enter>", 80, 24));
    assert!(
        shown.contains("[3 Events]") && shown.contains("row 2/3"),
        "{shown}"
    );
}

fn compared() -> Model {
    let sides = fixture::compared().map(|(trace, verdict, title)| tui::Compared {
        trace,
        verdict,
        title: title.into(),
        notes: vec![tui::Note {
            event: EventId(title.len() as u64),
            text: format!("of {}", title.len()),
        }],
    });
    let [before, after] = sides;
    tui::open_diff(before, after, Options::default())
}

#[test]
fn two_traces_are_compared_and_either_side_opens() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        let mut model = compared();
        compare(
            &format!("diff-{columns}x{rows}"),
            &styled_snapshot(&screen(&mut model, "", columns, rows)),
        );
    }
    let mut model = compared();
    let shown = |model: &mut Model, keys| plain_snapshot(&screen(model, keys, 100, 24));
    let text = shown(&mut model, "<enter>");
    assert!(text.contains("after: new.trc"), "{text}");
    assert!(text.contains("Diff › Biography of Timer#2"), "{text}");
    // What is gone opens in the trace from before, and Esc leads back to the changes.
    let text = shown(&mut model, "<esc>j<enter>");
    assert!(text.contains("before: "), "{text}");
    assert!(text.contains("Diff › Biography of Timer#2"), "{text}");
    let text = shown(&mut model, "<esc>");
    assert!(text.contains("1 new, 1 gone, 1 same"), "{text}");
    assert!(text.contains("shown is old"), "{text}");
    // The same finding in both: T goes between them.
    let text = shown(&mut model, "j<enter>");
    assert!(
        text.contains("before: ") && text.contains("Timer#1"),
        "{text}"
    );
    let text = shown(&mut model, "T");
    assert!(text.contains("now after: new.trc"), "{text}");
    assert!(text.contains("Biography of Timer#1"), "{text}");
    // Each has its own notes and events.
    let text = shown(&mut model, "9");
    assert!(text.contains("of 7"), "{text}");
    let text = shown(&mut model, "T");
    assert!(
        text.contains("[9 Notes]") && text.contains("of 11"),
        "{text}"
    );
    let text = shown(&mut model, "3");
    assert!(text.contains("32 events"), "{text}");
    let text = shown(&mut model, "T");
    assert!(text.contains("31 events"), "{text}");
    for (columns, rows) in [(0, 0), (1, 1)] {
        screen(&mut model, "DjT<enter>T", columns, rows);
    }
    // Where one trace is open, it is said how two are.
    let mut alone = leftover(options());
    let text = plain_snapshot(&screen(&mut alone, "D", 80, 24));
    assert!(text.contains("view --diff A B"), "{text}");
    let text = plain_snapshot(&screen(&mut alone, ":diff<enter>", 80, 24));
    assert!(text.contains("view --diff A B"), "{text}");
}

/// What was put aside is there no more, or is another thing: that is said in each row, and the rest is shown.
#[test]
fn events_that_cannot_be_read_back_are_said_to_be_missing() {
    let mut trace = fixture::many(3000);
    trace.damage(EventId(1500));
    let mut model = tui::open(trace, Verdict::default(), options());
    let shown = plain_snapshot(&screen(&mut model, "3:goto event:1500<enter>", 80, 24));
    assert!(shown.contains("event 1500 cannot be read back"), "{shown}");
    let shown = plain_snapshot(&screen(&mut model, ":goto event:1020<enter>jjjjjj", 80, 24));
    assert!(shown.contains("! event 1,024: "), "{shown}");
    assert!(shown.contains("some unreadable"), "{shown}");
    for size in [(120, 40), (40, 10)] {
        let shown = plain_snapshot(&screen(&mut model, "", size.0, size.1));
        assert!(shown.contains("! event 1,024"), "{shown}");
    }
    // The page before is there, and so is the one behind.
    for there in [900, 2500] {
        let go = format!("3:goto event:{there}<enter>");
        let shown = plain_snapshot(&screen(&mut model, &go, 80, 24));
        assert!(!shown.contains("! event"), "{shown}");
        assert!(
            shown.contains("resume coroutine 1") || shown.contains("suspend coroutine 2"),
            "{shown}"
        );
    }
    let shown = plain_snapshot(&screen(&mut model, "8", 80, 24));
    assert!(
        shown.contains("! events that were put aside cannot be read back"),
        "{shown}"
    );
    // Keys go on working among them.
    for keys in [
        "3:goto event:1020<enter>jjjjjjooOOjk<enter><esc>",
        "456723<pgdn><pgdn>",
        "/resume<enter>nN",
    ] {
        screen(&mut model, keys, 80, 24);
    }
}
