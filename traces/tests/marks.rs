//! Marks of a program's log: what they say, and which coroutine said it.

use traces::Trace;
use traces::event::{Log, What};

const TEXT: &str = "\
0 main spawn 1
10 main mark \"app: starting\" info
20 main resume 1
30 main mark \"app: conn\" debug enter
40 main mark \"app: failed code=-5\" error
50 main mark \"app: conn\" debug leave
60 main suspend 1
70 main mark plain
";

#[test]
fn marks_read_back_as_they_were_and_belong_to_the_running_coroutine() {
    let trace = Trace::parse_text(TEXT).unwrap();
    let printed = trace.to_text();
    let again = Trace::parse_text(&printed).unwrap();
    assert_eq!(trace.events(), again.events(), "{printed}");
    let marks: Vec<_> = trace
        .events()
        .iter()
        .filter_map(|event| match event.what {
            What::Mark { log, .. } => {
                let Log { level, flags } = log;
                Some((level, flags, trace.subject_of(event.id).is_some()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        marks,
        [
            (3, 0, false),
            (4, 1, true),
            (1, 0, true),
            (4, 2, true),
            (0, 0, false)
        ]
    );
    let said: Vec<_> = trace
        .events()
        .iter()
        .filter(|event| matches!(event.what, What::Mark { .. }))
        .map(|event| trace.describe(event))
        .collect();
    assert_eq!(said[1], "mark debug enter app: conn");
    assert_eq!(said[4], "mark plain");
}
