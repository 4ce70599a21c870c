//! Perfetto's own format: a protobuf, of which a handful of messages is needed, written by hand.
//!
//! ```text
//! Trace           packet 1
//! TracePacket     timestamp 8, trusted_packet_sequence_id 10, track_event 11, sequence_flags 13,
//!                 track_descriptor 60
//! TrackDescriptor uuid 1, name 2, process 3 {pid 1, process_name 6},
//!                 thread 4 {pid 1, tid 2, thread_name 5}, parent_uuid 5
//! TrackEvent      debug_annotations 4, type 9 {begin 1, end 2}, track_uuid 11, categories 22, name 23,
//!                 flow_ids 47
//! DebugAnnotation bool_value 2, int_value 4, string_value 6, pointer_value 7, name 10
//! ```

use std::io::{self, Write};

use super::marks::{Argument, Kind, Mark, Phase, Timeline, Track};

/// All packets are one writer's.
const SEQUENCE: u64 = 1;
/// `SEQ_INCREMENTAL_STATE_CLEARED`: nothing before the first packet is missing.
const FIRST: u64 = 1;

pub(super) fn write(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    for (at, track) in timeline.tracks.iter().enumerate() {
        let mut packet = Message::default();
        packet.number(10, SEQUENCE);
        if at == 0 {
            packet.number(13, FIRST);
        }
        packet.message(60, &descriptor(at, track));
        packet.write(out)?;
    }
    for mark in &timeline.marks {
        let mut packet = Message::default();
        packet.number(8, mark.at_ns);
        packet.number(10, SEQUENCE);
        packet.message(11, &event(mark));
        packet.write(out)?;
    }
    Ok(())
}

/// 0 is the track of the whole trace.
fn uuid(at: usize) -> u64 {
    at as u64 + 1
}

fn descriptor(at: usize, track: &Track) -> Message {
    let mut message = Message::default();
    message.number(1, uuid(at));
    if let Some(parent) = track.parent {
        message.number(5, uuid(parent));
    }
    match track.kind {
        // 0 is the idle task.
        Kind::Process if track.pid != 0 => {
            let mut process = Message::default();
            process.number(1, track.pid.into());
            process.text(6, &track.name);
            message.message(3, &process);
        }
        Kind::Thread(Some(tid)) if track.pid != 0 => {
            let mut thread = Message::default();
            thread.number(1, track.pid.into());
            thread.number(2, tid.into());
            thread.text(5, &track.name);
            message.message(4, &thread);
        }
        _ => message.text(2, &track.name),
    }
    message
}

fn event(mark: &Mark) -> Message {
    let mut message = Message::default();
    for (name, argument) in &mark.arguments {
        let mut annotation = Message::default();
        match argument {
            Argument::Flag(flag) => annotation.number(2, u64::from(*flag)),
            Argument::Number(number) => annotation.number(4, number.cast_unsigned()),
            Argument::Text(text) => annotation.text(6, text),
            Argument::Word(word) => annotation.number(7, *word),
        }
        annotation.text(10, name);
        message.message(4, &annotation);
    }
    let phase = match mark.phase {
        Phase::Begin => 1,
        Phase::End => 2,
    };
    message.number(9, phase);
    message.number(11, uuid(mark.track));
    if mark.phase == Phase::Begin {
        message.text(22, mark.category);
        message.text(23, &mark.name);
    }
    if mark.flow != 0 {
        message.fixed(47, mark.flow);
    }
    message
}

/// A message in the making.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        loop {
            let low = (number & 0x7F) as u8;
            number >>= 7;
            if number == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.key(field, 0);
        self.varint(number);
    }

    fn fixed(&mut self, field: u64, number: u64) {
        self.key(field, 1);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// As a packet of a trace.
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut head = Self::default();
        head.key(1, 2);
        head.varint(self.0.len() as u64);
        out.write_all(&head.0)?;
        out.write_all(&self.0)
    }
}
