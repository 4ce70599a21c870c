//! A program that logs through `tracing`, with the probe's layer: started by `tests/logs.rs`.

use tracing_subscriber::prelude::*;

fn main() {
    tracing_subscriber::registry()
        .with(probe::logs::layer())
        .init();
    match std::env::args().nth(1).unwrap_or_default().as_str() {
        "levels" => {
            let coroutine = probe::coroutine::Coroutine::spawned_named("worker", None);
            coroutine.resumed(None);
            let span = tracing::info_span!("connection", peer = "ä", number = 7);
            let inside = span.enter();
            tracing::error!(code = -5, "failed");
            tracing::warn!("slow");
            tracing::info!(target: "elsewhere", answer = 42);
            drop(inside);
            coroutine.suspended(&[]);
            tracing::debug!("{}", "long ".repeat(100));
            tracing::trace!("last");
        }
        "many" => {
            for number in 0..5000 {
                tracing::info!("request {number}");
            }
            tracing::info!("request 7");
        }
        turn => panic!("no turn {turn:?}"),
    }
}
