//! Numbers over a trace: operations by ring and opcode, how long things took, how many were in flight, what
//! was still leaked at the end, what is missing, who recorded how much.
//!
//! Counts are of what was recorded: where records are lost they are too small, and [`Stats::records_lost`]
//! says so. Latencies are exact (every one is kept until the end); those of processes with times by batch
//! are as coarse as their batches.
//!
//! Reading order: what there is (here), `count` (one pass over the events), `text` (for people).

mod count;
mod text;

pub use text::lines;
pub(crate) use text::short;

#[cfg(feature = "export")]
use serde::Serialize;

/// Version of the members here, for scripts.
pub const SCHEMA_VERSION: u32 = 1;

/// Numbers over a trace. Durations are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct Stats {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// Events.
    pub events: u64,
    /// From the first to the last.
    pub duration_ns: u64,
    /// Whether some processes' events share the times of their batches.
    pub times_by_batch: bool,
    /// Rings, by process and number.
    pub rings: Vec<RingStats>,
    /// What was leaked and not taken back when the trace ended, the most first.
    pub live: Vec<Live>,
    /// Missing records by reason.
    pub losses: Vec<Lost>,
    /// Missing records, as far as they could be counted.
    pub records_lost: u64,
    /// Threads, the busiest first.
    pub threads: Vec<Thread>,
}

/// Numbers over a ring.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct RingStats {
    /// Id of its process.
    pub pid: u32,
    /// Its number.
    pub ring: u32,
    /// Most operations in flight at once: submitted, and their last completion not taken.
    pub depth_max: u64,
    /// The same on average over the time from the first submission to the last completion.
    pub depth_mean: f64,
    /// Operations in flight at the end.
    pub in_flight_at_end: u64,
    /// By opcode, the most frequent first.
    pub operations: Vec<Operations>,
    /// From a completion to the reclaim of its cookie's owner.
    pub complete_to_reclaim: Latency,
    /// From a completion to the resume of a coroutine by it.
    pub complete_to_resume: Latency,
}

/// Operations of one opcode.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct Operations {
    /// Its name.
    pub op: String,
    /// How many were submitted.
    pub submitted: u64,
    /// How many completions they got.
    pub completions: u64,
    /// How many of those were errors.
    pub errors: u64,
    /// From submission to the last completion of each.
    pub submit_to_complete: Latency,
}

/// How long something took: exact percentiles, by the nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct Latency {
    /// How often it was seen; with 0 the others are 0.
    pub count: u64,
    /// The shortest.
    pub min_ns: u64,
    /// Half of them took at most this.
    pub p50_ns: u64,
    /// 90 %.
    pub p90_ns: u64,
    /// 99 %.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// Leaked and not taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct Live {
    /// What was leaked.
    #[cfg_attr(feature = "export", serde(rename = "type"))]
    pub ty: String,
    /// Where.
    pub site: String,
    /// How many generations.
    pub count: u64,
}

/// Missing records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct Lost {
    /// The word for why.
    pub reason: String,
    /// In how many places.
    pub places: u64,
    /// How many, as far as they could be counted.
    pub records: u64,
}

/// A thread's share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "export", derive(Serialize))]
pub struct Thread {
    /// Id of its process.
    pub pid: u32,
    /// Its lane.
    pub lane: u32,
    /// Its name.
    pub name: String,
    /// Events.
    pub events: u64,
}

impl Latency {
    fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let at = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100).max(1);
            samples.get(rank - 1).copied().unwrap_or(0)
        };
        Self {
            count: samples.len() as u64,
            min_ns: samples.first().copied().unwrap_or(0),
            p50_ns: at(50),
            p90_ns: at(90),
            p99_ns: at(99),
            max_ns: samples.last().copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let latency = Latency::of((1..=100).rev().collect());
        let said = (latency.p50_ns, latency.p90_ns, latency.p99_ns);
        assert_eq!(said, (50, 90, 99));
        assert_eq!(
            (latency.min_ns, latency.max_ns, latency.count),
            (1, 100, 100)
        );
        assert_eq!(Latency::of(vec![7]).p99_ns, 7);
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }

    fn trace() -> Trace {
        Trace::parse_text(
            "
            process 0 pid=77 end=exit:0
            0 main ring-create 0 sq=4 cq=8 in-place
            100 main leak 0x1000 app::Conn conn.rs:8
            200 main submit 0 RECV 0x1000 conn.rs:9 set
            210 main leak 0x2000 app::Conn conn.rs:8
            300 main submit 0 RECV 0x2000 conn.rs:9 set
            700 main complete 0 0x1000 -104
            750 main resume 9 0x1000 ring=0
            800 main reclaim 0x1000 app::Conn conn.rs:20
            900 worker leak 0x3000 app::Buf buf.rs:1
            1000 worker lost 5 overwritten
            1100 worker mark x
            ",
        )
        .unwrap()
    }

    #[test]
    fn what_happened_is_counted() {
        let stats = Stats::of(&trace());
        assert_eq!((stats.events, stats.duration_ns), (11, 1100));
        let ring = &stats.rings[0];
        assert_eq!(
            (ring.pid, ring.ring, ring.depth_max, ring.in_flight_at_end),
            (77, 0, 2, 1)
        );
        // One from 200 to 300, two until 700.
        assert!(
            (ring.depth_mean - 900.0 / 500.0).abs() < 1e-9,
            "{}",
            ring.depth_mean
        );
        let recv = &ring.operations[0];
        assert_eq!(
            (
                recv.op.as_str(),
                recv.submitted,
                recv.completions,
                recv.errors
            ),
            ("RECV", 2, 1, 1)
        );
        assert_eq!(
            (
                recv.submit_to_complete.count,
                recv.submit_to_complete.p50_ns
            ),
            (1, 500)
        );
        assert_eq!(ring.complete_to_reclaim.max_ns, 100);
        assert_eq!(ring.complete_to_resume.max_ns, 50);
        let live: Vec<_> = stats
            .live
            .iter()
            .map(|it| (it.ty.as_str(), it.site.as_str(), it.count))
            .collect();
        assert_eq!(live, [("Buf", "buf.rs:1", 1), ("Conn", "conn.rs:8", 1)]);
        assert_eq!(stats.records_lost, 5);
        assert_eq!(stats.losses[0].reason, "overwritten");
        let threads: Vec<_> = stats
            .threads
            .iter()
            .map(|it| (it.name.as_str(), it.events))
            .collect();
        assert_eq!(threads, [("main", 8), ("worker", 3)]);
    }

    #[test]
    fn several_leases_and_several_completions_are_one_thing() {
        let trace = Trace::parse_text(
            "
            0 main ring-create 0 sq=4 cq=8 in-place
            1 main leak 0x1000 Conn conn.rs:8 owner=Rc
            2 main leak 0x1000 Conn conn.rs:8 owner=Rc
            3 main submit 0 RECV 0x1000 conn.rs:9 set ioprio=2
            5 main complete 0 0x1000 1 more
            9 main complete 0 0x1000 1
            10 main reclaim 0x1000 Conn conn.rs:8 owner=Rc
            11 main leak-forever 0x5000 Conn conn.rs:8
            ",
        )
        .unwrap();
        let stats = Stats::of(&trace);
        let recv = &stats.rings[0].operations[0];
        assert_eq!((recv.completions, recv.submit_to_complete.count), (2, 1));
        assert_eq!(recv.submit_to_complete.max_ns, 6);
        assert_eq!(stats.live.iter().map(|it| it.count).sum::<u64>(), 1);
    }

    #[test]
    fn a_timeout_that_runs_out_is_no_error() {
        let trace = Trace::parse_text(
            "
            0 main ring-create 0 sq=4 cq=8 in-place
            1 main submit 0 TIMEOUT 0x1 conn.rs:9 set
            2 main complete 0 0x1 -62
            3 main submit 0 READ 0x2 conn.rs:9 set
            4 main complete 0 0x2 -62
            ",
        )
        .unwrap();
        let stats = Stats::of(&trace);
        let operations = &stats.rings[0].operations;
        let errors = |op: &str| operations.iter().find(|it| it.op == op).unwrap().errors;
        assert_eq!((errors("TIMEOUT"), errors("READ")), (0, 1));
    }

    #[test]
    fn the_text_fits_its_width_and_names_everything() {
        for width in [40, 80, 100] {
            let lines = lines(&Stats::of(&trace()), width);
            let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            assert!(
                text.iter().all(|line| line.chars().count() <= width),
                "{text:#?}"
            );
            let text = text.join("\n");
            for part in ["RECV", "Conn", "overwritten", "worker"] {
                assert!(text.contains(part), "{text}");
            }
        }
    }
}
