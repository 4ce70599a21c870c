//! What recording costs, as ratios taken side by side in one run.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml`
//!
//! Every figure is the fastest of many short rounds, and the rounds of all variants alternate, so that
//! a noisy neighbour meets all of them alike. Ratios are what to keep; nanoseconds are of this machine
//! and this day.

mod measure;
mod program;
mod record;
mod ring;
mod rivals;
mod scenarios;
mod session;
mod size;

pub use measure::{Variant, compare, table};

fn main() {
    let (options, names): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let asked = |option: &str| options.iter().any(|given| given == option);
    if asked("--quick") {
        measure::be_quick();
    }
    if names.first().is_some_and(|name| name == "program") {
        return rivals::program(names.into_iter().skip(1));
    }
    if let [first, name] = &names[..]
        && first == "work"
    {
        return size::work(name);
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|asked| name.contains(asked));
    // The hooks find no recorder now, and keep to that: these are the figures of a program that is not
    // being recorded.
    if wanted("off") {
        session::alone("off", record::off);
    }
    if wanted("record") {
        session::alone("record", record::on);
    }
    if wanted("threads") {
        session::alone("threads", record::threads);
    }
    if wanted("ring") {
        session::alone("ring", || ring::nop(32));
    }
    if wanted("single") {
        session::alone("single", scenarios::single_nop);
    }
    if wanted("files") {
        session::alone("files", scenarios::reads);
    }
    if wanted("echo") {
        session::alone("echo", scenarios::echo);
    }
    if wanted("first-lap") {
        session::alone("first-lap", scenarios::first_lap);
    }
    if wanted("size") && !session::is_child() {
        size::run();
    }
    if wanted("rivals") && !session::is_child() {
        rivals::run(asked("--markdown"));
    }
}
