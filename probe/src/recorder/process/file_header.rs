//! The file's header: what is known when the recording is opened, and the clock pair that is noted as it
//! goes on.

use core::sync::atomic::Ordering;

use wire::layout::{self, header};

use super::Process;
use super::identity::Identity;
use super::session::Session;
use crate::recorder::{clock, modules, sys};

impl Process {
    pub(super) fn write_header(&self, session: &Session, identity: &Identity) {
        let mut bytes = [0u8; header::CRC];
        let mut put = |offset: usize, value: &[u8]| {
            if let Some(place) = offset
                .checked_add(value.len())
                .and_then(|end| bytes.get_mut(offset..end))
            {
                place.copy_from_slice(value);
            }
        };
        let simulated = crate::recorder::simulated::seed().is_some();
        let source = if simulated {
            layout::clock::LOGICAL
        } else {
            clock::choose(session.trusted_clock)
        };
        put(header::MAGIC, &layout::MAGIC);
        put(header::VERSION, &layout::MAJOR.to_le_bytes());
        put(header::VERSION + 2, &layout::MINOR.to_le_bytes());
        put(
            header::HEADER_LEN,
            &(layout::HEADER_BYTES as u32).to_le_bytes(),
        );
        put(header::FILE_LEN, &(session.bytes().0 as u64).to_le_bytes());
        put(header::CHUNK_LOG2, &layout::CHUNK_LOG2.to_le_bytes());
        put(header::CHUNKS, &session.chunks.to_le_bytes());
        put(header::LANES, &(layout::LANES as u32).to_le_bytes());
        put(
            header::LANE_OFFSET,
            &(layout::HEADER_BYTES as u32).to_le_bytes(),
        );
        put(
            header::CHUNK_OFFSET,
            &(layout::chunk_offset() as u32).to_le_bytes(),
        );
        put(header::ENDIAN, &layout::ENDIAN_MARK.to_le_bytes());
        put(header::UUID, &identity.uuid);
        put(header::PID, &identity.pid.to_le_bytes());
        put(header::PPID, &identity.parent.to_le_bytes());
        put(header::START_TIME, &identity.start_time.to_le_bytes());
        put(header::TOKEN, &session.token);
        put(header::CLOCK_SOURCE, &source.to_le_bytes());
        put(header::MODE, &session.mode.to_le_bytes());
        let capture = super::CAPTURE.load(Ordering::Relaxed);
        put(header::CAPTURE, &capture.to_le_bytes());
        put(header::WRITER_VERSION, env!("CARGO_PKG_VERSION").as_bytes());
        let bit = |set: bool, bit: u64| if set { bit } else { 0 };
        let incompat = bit(session.stacks, layout::incompat::STACKS)
            | bit(session.is_by_batch(), layout::incompat::BATCH_TIME);
        put(header::INCOMPAT, &incompat.to_le_bytes());
        if simulated {
            put(header::TOKEN, &[0; 16]);
            put(header::TICKS_PER_SECOND, &1_000_000_000u64.to_le_bytes());
        } else {
            let (ticks, ns) = clock::pair();
            put(header::TICKS, &ticks.to_le_bytes());
            put(header::MONOTONIC_NS, &ns.to_le_bytes());
            put(
                header::BOOTTIME_NS,
                &sys::clock_ns(sys::BOOTTIME).to_le_bytes(),
            );
            put(
                header::REALTIME_NS,
                &sys::clock_ns(sys::REALTIME).to_le_bytes(),
            );
            put(
                header::TICKS_PER_SECOND,
                &session.ticks_per_second.to_le_bytes(),
            );
            if let Some(exe) = modules::collected().first() {
                let build_id = exe.build_id();
                put(header::BUILD_ID_LEN, &(build_id.len() as u32).to_le_bytes());
                put(header::BUILD_ID, build_id);
            }
            let mut path = [0u8; 255];
            put(
                header::EXE_PATH,
                sys::link_target(c"/proc/self/exe", &mut path),
            );
        }
        let crc = wire::crc::crc32c(&bytes);
        let mut whole = [0u8; 1024];
        if let Some((start, end)) = whole.split_at_mut_checked(header::CRC) {
            start.copy_from_slice(&bytes);
            end.copy_from_slice(&crc.to_le_bytes());
        }
        if session.begins_small() {
            self.header_word(header::CHUNKS_USABLE)
                .store(u64::from(session.first_chunks()), Ordering::Relaxed);
        }
        let of_parent = u64::from(super::IS_CHILD.load(Ordering::Relaxed));
        self.header_word(header::LASTING)
            .store(1 + of_parent, Ordering::Relaxed);
        self.header_word(header::STATE)
            .store(layout::state::RUNNING, Ordering::Relaxed);
        // The magic goes last: a file without it was never opened for records.
        for (index, word) in whole.as_chunks().0.iter().enumerate().rev() {
            self.header_word(index * 8)
                .store(u64::from_le_bytes(*word), Ordering::Release);
        }
    }

    /// Notes a clock pair in the header.
    pub(crate) fn beat(&self) {
        if crate::recorder::simulated::seed().is_some() {
            return;
        }
        let (ticks, ns) = clock::pair();
        self.header_word(header::BEAT_TICKS)
            .store(ticks, Ordering::Relaxed);
        self.header_word(header::BEAT_MONOTONIC_NS)
            .store(ns, Ordering::Relaxed);
    }
}
