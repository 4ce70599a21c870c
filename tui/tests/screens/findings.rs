//! The findings, what is told of them, and what hides them.

use super::*;

#[test]
fn findings_come_first() {
    check("findings-80x24", "", 80, 24);
    check("findings-120x40", "", 120, 40);
    check("findings-40x10", "", 40, 10);
}

#[test]
fn the_rule_of_a_finding_is_explained_over_what_is_shown() {
    check("explain-80x24", "i", 80, 24);
    check("explain-40x10", "iG", 40, 10);
    // From what a finding rests on, too; and any way out of the help leads out of it.
    for out in ["<esc>", "q", "?", "<enter>"] {
        let mut model = leftover(options());
        let before = screen(&mut model, "", 80, 24);
        let shown = plain_snapshot(&screen(&mut model, "i/jj", 80, 24));
        assert!(shown.contains("What the rule looks for"), "{shown}");
        assert_eq!(screen(&mut model, out, 80, 24), before, "{out}");
    }
}

#[test]
fn warnings_are_gone_to_without_what_is_worse_and_less() {
    let mut model = leftover(options());
    screen(&mut model, "", 120, 40);
    press(&mut model, "gg");
    let mut warnings = 0;
    loop {
        let before = model.selected_finding();
        press(&mut model, "w");
        if model.selected_finding() == before {
            break;
        }
        let finding = model.finding(model.selected_finding()).expect("a finding");
        assert_eq!(finding.severity, Severity::Warning);
        warnings += 1;
    }
    let shown = plain_snapshot(&draw(&model, 120, 40));
    assert!(
        warnings > 0 && shown.contains("no warning after this one"),
        "{shown}"
    );
    press(&mut model, "W");
    let shown = plain_snapshot(&draw(&model, 120, 40));
    let first = warnings == 1;
    assert_eq!(
        shown.contains("no warning before this one"),
        first,
        "{shown}"
    );
    // In the timeline the same key zooms.
    assert!(plain_snapshot(&screen(&mut model, "4w", 120, 40)).contains("Timeline from"));
}

#[test]
fn consequences_unfold_under_their_cause() {
    check("findings-unfolded-80x24", "lj", 80, 24);
    let mut model = leftover(options());
    let folded = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert_eq!(plain_snapshot(&screen(&mut model, "ljh", 80, 24)), folded);
}

#[test]
fn what_cannot_be_told_is_said() {
    check("cannot-tell-80x24", "jj", 80, 24);
}

#[test]
fn a_finding_is_copied_as_markdown() {
    let mut model = leftover(options());
    screen(&mut model, "", 80, 24);
    assert_eq!(press(&mut model, "Y"), Effect::Copy);
    let row = model.selected_finding();
    compare(
        "finding.md",
        &tui::copy::finding(&model, row).expect("a finding"),
    );
    assert_eq!(press(&mut model, "3y"), Effect::Copy);
    let said = tui::copy::row(&model);
    assert!(said.starts_with("submit operation #3"), "{said}");
}

#[test]
fn a_finding_is_suppressed_with_a_reason_and_told_again() {
    let mut model = leftover(options());
    check("suppress-reason-80x24", "Xknown\u{202e}", 80, 24);
    check("suppress-until-80x24", "Xknown<enter>soon<enter>", 80, 24);
    check("suppress-reason-40x10", "X<enter>", 40, 10);
    // Without a reason nothing is done, and Esc drops it.
    assert_eq!(press(&mut model, "X <enter>"), Effect::Draw);
    let shown = plain_snapshot(&screen(&mut model, "<esc>", 80, 24));
    assert!(shown.contains("2 findings, 1 cannot tell"), "{shown}");
    assert_eq!(press(&mut model, "Xknown<enter><enter>"), Effect::Suppress);
    // What could not be kept does not count; what was typed is still there.
    tui::update::suppression_kept(&mut model, Err("the disk is full".into()));
    let shown = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert!(shown.contains("2 findings, 1 cannot tell"), "{shown}");
    assert!(shown.contains("the disk is full"), "{shown}");
    let again = "X<enter>2027-01-31<enter>";
    assert_eq!(press(&mut model, again), Effect::Suppress);
    tui::update::suppression_kept(&mut model, Ok("kept in s.toml".into()));
    for (columns, rows) in [(80, 24), (120, 40), (200, 60), (40, 10)] {
        compare(
            &format!("suppressed-{columns}x{rows}"),
            &styled_snapshot(&screen(&mut model, "", columns, rows)),
        );
    }
    // It is no finding to go to any more, and its events have no sign.
    let shown = plain_snapshot(&screen(&mut model, "3", 80, 24));
    assert!(!shown.contains('✖'), "{shown}");
    compare(
        "suppressed-shown-80x24",
        &styled_snapshot(&screen(&mut model, "1zG<up><up>", 80, 24)),
    );
    assert_eq!(press(&mut model, "U"), Effect::Suppress);
    tui::update::suppression_kept(&mut model, Ok("told again".into()));
    let shown = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert!(shown.contains("2 findings, 1 cannot tell"), "{shown}");
    for (columns, rows) in [(0, 0), (1, 1)] {
        screen(&mut model, "Xx<enter>", columns, rows);
    }
}

#[test]
fn a_baseline_and_suppressions_hide_what_they_cover_and_say_how_much() {
    let filter = traces::filter::Filter::parse("rule:T02").expect("it reads");
    let hidden = |covers, why| tui::hiding::Cover { covers, why };
    let why = tui::hiding::Why::Suppressed {
        reason: "by design".into(),
        until: None,
    };
    let verdict = fixture::leftover_verdict();
    let known = verdict.stories[1].head.fingerprint;
    let mut model = leftover(Options {
        hidden: vec![
            hidden(tui::hiding::Covers::Filter(filter), why),
            hidden(
                tui::hiding::Covers::Fingerprints([known].into()),
                tui::hiding::Why::Known,
            ),
        ],
        goto: None,
        ..options()
    });
    let shown = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert!(
        shown.contains("No finding, 1 suppressed, 1 in the baseline, 1 cannot tell"),
        "{shown}"
    );
    let shown = plain_snapshot(&screen(&mut model, "j<enter>j", 80, 24));
    assert!(shown.contains("suppressed: by design"), "{shown}");
    // It covers more than this finding, so it is not the viewer's to take back.
    assert_eq!(press(&mut model, "U"), Effect::Draw);
    let shown = plain_snapshot(&screen(&mut model, "", 80, 24));
    assert!(shown.contains("change the file by hand"), "{shown}");
    // A hidden finding that the command line asks for is shown.
    let shown = plain_snapshot(&screen(&mut model, "z:goto T02<enter>", 80, 24));
    assert!(shown.contains("[2 Biography]"), "{shown}");
}

#[test]
fn without_findings_the_summary_says_so() {
    let mut model = tui::open(
        fixture::trace(fixture::CLEAN),
        fixture::clean_verdict(),
        options(),
    );
    compare(
        "clean-80x24",
        &styled_snapshot(&screen(&mut model, "", 80, 24)),
    );
}
