//! A trace that was judged event by event says what one says that has all its events.

use std::collections::BTreeSet;

use traces::{Trace, report};

/// The verdict, the report, and the lives of what was found to be wrong.
#[track_caller]
pub(crate) fn assert_same(whole: &Trace, checked: &Trace) {
    assert_eq!(checked.verdict(), whole.verdict());
    assert_eq!(report::text(checked, 80), report::text(whole, 80));
    assert_eq!(checked.recording().losses, whole.recording().losses);
    let mut subjects = BTreeSet::new();
    for story in &whole.verdict().stories {
        for finding in std::iter::once(&story.head).chain(&story.folded) {
            subjects.insert(finding.subject);
            let evidence = finding.evidence.iter().map(|evidence| evidence.event);
            for id in evidence.chain([finding.first_cause]) {
                assert_eq!(checked.event(id), whole.event(id));
                assert_eq!(checked.subject_of(id), whole.subject_of(id));
            }
        }
    }
    for subject in subjects {
        assert_eq!(checked.name_of(subject), whole.name_of(subject));
        let (checked, whole) = (checked.biography(subject), whole.biography(subject));
        assert_eq!(checked.rows, whole.rows, "{subject:?}");
    }
}
