//! Messages without a screen: where they lead, and what always holds.

mod always;
mod filtering;
mod going;
mod lives;
mod looks;
mod sorting;

use traces::Trace;

use super::*;
use crate::model::Work;
use crate::{Options, fixture, open};

fn model() -> Model {
    let mut model = open(
        fixture::trace(fixture::LEFTOVER),
        fixture::leftover_verdict(),
        Options::default(),
    );
    send(
        &mut model,
        &[Msg::Resize {
            columns: 80,
            rows: 24,
        }],
    );
    model
}

/// Applies messages, and does after each what was left for when the keys rest.
pub(crate) fn send(model: &mut Model, messages: &[Msg]) -> Effect {
    let mut effect = Effect::Nothing;
    for msg in messages {
        effect = update(model, *msg);
        while model.work() != Work::None {
            update(model, Msg::Work);
        }
    }
    effect
}

fn typed(text: &str) -> Vec<Msg> {
    let mut messages = vec![Msg::Prompt];
    messages.extend(text.chars().map(Msg::Type));
    messages
}

/// A look at a recording that goes on.
fn look_of(trace: Trace) -> crate::Arrived {
    let verdict = trace.verdict().clone();
    crate::Arrived {
        trace,
        verdict,
        notes: None,
        index: None,
        is_last: false,
    }
}
