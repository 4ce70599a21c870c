//! Files into events.

use crate::event::Event;
use crate::input::Input;
use crate::recording::Recording;

/// Why nothing could be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}: {message}")]
pub struct ReadError {
    /// Name of the input.
    pub source_name: String,
    /// What is wrong, where, and what to do next.
    pub message: String,
}

pub(crate) fn read(inputs: &[Input<'_>]) -> Result<(Recording, Vec<Event>), ReadError> {
    let name = inputs.first().map_or("", |input| input.name);
    Err(ReadError {
        source_name: name.to_owned(),
        message: "not read yet".to_owned(),
    })
}
