//! A trace for other viewers, written by the program.

use serde_json::Value;

use crate::support::{demo_trace, run, tracer};

#[test]
fn a_trace_is_written_for_each_viewer() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    let export = |arguments: &[&str]| {
        let mut command = tracer(folder.path());
        command.arg("export").arg(&path).args(arguments);
        run(&mut command)
    };
    export(&["--to", "chrome", "-o", "out.json"])
        .exits(0)
        .says("ui.perfetto.dev");
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let chrome: Value = serde_json::from_slice(&read("out.json")).unwrap();
    let events = chrome["traceEvents"].as_array().unwrap();
    let phases = |phase: &str| events.iter().filter(|it| it["ph"] == phase).count();
    assert!(phases("B") > 0 && phases("B") == phases("E"));
    assert!(phases("s") > 0 && phases("s") == phases("f"));
    export(&["--to", "perfetto", "-o", "out.pftrace"]).exits(0);
    // A packet, by its key.
    assert_eq!(read("out.pftrace")[0], 0x0A);
    let table = export(&["--to", "csv", "--where", "kind:submit"]).exits(0);
    assert_eq!(table.stderr, "");
    let table = String::from_utf8(table.stdout).unwrap();
    let mut lines = table.lines();
    assert!(
        lines.next().unwrap().starts_with("event,time_ns,pid,"),
        "{table}"
    );
    assert!(table.lines().count() > 1, "{table}");
    assert!(lines.all(|line| line.contains(",submit,")), "{table}");
    export(&["--to", "perfeto"])
        .exits(2)
        .says("did you mean `perfetto`?");
    let own = path.to_str().unwrap().to_owned();
    export(&["--to", "csv", "-o", &own])
        .exits(2)
        .says("would be overwritten");
}
