//! A program that is no test binary asks for the scope of its process, on a thread with a name: it must not be
//! started a second time to list tests that it does not have.
//!
//! Runs without the standard harness, which is the point.

use std::io::Write as _;

fn main() {
    if std::env::args().any(|word| word == "--list") {
        // What the probe must not bring about; runners of tests ask as well, and find none.
        let is_for_all = std::env::args().all(|word| word != "--ignored");
        if is_for_all && std::env::var_os("TRACER_PROBE_LISTING").is_some() {
            let mut out = std::io::stdout();
            out.write_all(b"one: test\ntwo: test\n")
                .expect("whoever asks, reads");
        }
        return;
    }
    let worker = std::thread::Builder::new().name("worker".to_owned());
    let worker = worker.spawn(|| probe::process_scope().assert_clean());
    worker
        .expect("a thread")
        .join()
        .expect("nothing is beside it: it was asked for tests all the same");
}
