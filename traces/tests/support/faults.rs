//! One fault for each rule, as lines to be planted anywhere in a run of the correct runtime.
//!
//! Each uses a ring, addresses, threads and coroutines of its own (ring 7, addresses from 0x7000000, coroutine
//! 9000), so that the run around it stays correct. Lines have no time: they get that of the line before.

use proptest::sample::Index;

/// A rule, and what makes it speak.
pub(crate) type Fault = (&'static str, &'static str);

/// Two rounds of ring 7, for rules that wait for it to go on.
macro_rules! rounds {
    () => {
        "
        x submit 7 NOP 0x7
        x enter 7 1 -> 1
        x complete 7 0x7 0
        x submit 7 NOP 0x7
        x enter 7 1 -> 1
        x complete 7 0x7 0"
    };
}

/// A ring whose cookies may be anything, and a receive in flight on it.
macro_rules! flight {
    ($more:literal) => {
        concat!(
            "
        x ring-create 7 sq=64 cq=128 in-place
        x scheme 7 sentinel 0x7
        x leak 0x7000000 Op fault.rs:1
        x submit 7 RECV 0x7000000 fault.rs:2 set addr=0x7100000 len=64 slot=1
        x enter 7 1 -> 1",
            $more
        )
    };
}

/// All of them.
pub(crate) const FAULTS: &[Fault] = &[
    (
        "T01",
        concat!(
            flight!(""),
            "
        x submit 7 RECV 0x0 fault.rs:3 never-written
        x enter 7 1 -> 1
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4"
        ),
    ),
    (
        "T02",
        concat!(
            flight!(""),
            "
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4
        x submit 7 NOP 0x7000000 fault.rs:5 poisoned slot=1"
        ),
    ),
    (
        "T03",
        concat!(
            flight!(""),
            "
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4
        x submit 7 NOP 0x7000000 fault.rs:5 set slot=9"
        ),
    ),
    (
        "T04",
        concat!(
            flight!(""),
            "
        x leak 0x7000000 Op fault.rs:1
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4"
        ),
    ),
    (
        "T05",
        concat!(
            flight!(""),
            "
        x submit 7 SEND 0x7000000 fault.rs:3 len=64
        x enter 7 1 -> 1
        x complete 7 0x7000000 5
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4"
        ),
    ),
    (
        "T06",
        concat!(
            flight!(""),
            "
        x complete 7 0x7000000 5
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4"
        ),
    ),
    (
        "T07",
        concat!(
            flight!(""),
            "
        x reclaim 0x7000000 Op fault.rs:4"
        ),
    ),
    (
        "T08",
        concat!(
            flight!(""),
            "
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4
        x reclaim 0x7000000 Op fault.rs:5"
        ),
    ),
    (
        "T09",
        concat!(
            flight!(""),
            "
        x complete 7 0x7000000 5",
            rounds!()
        ),
    ),
    (
        "T10",
        concat!(
            flight!(""),
            "
        x spawn 9000 Task fault.rs:1
        x resume 9000
        x suspend 9000 0x7000000
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4
        x resume 9000 0x7000000 ring=7
        x resume 9000 0x7000000 ring=7
        x done 9000"
        ),
    ),
    (
        "T11",
        concat!(
            flight!(""),
            "
        x spawn 9000 Task fault.rs:1
        x resume 9000
        x suspend 9000 0x7000000
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4",
            rounds!()
        ),
    ),
    (
        "T12",
        concat!(
            flight!(""),
            "
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4
        x complete 7 0x7abc000 5"
        ),
    ),
    (
        "T13",
        "
        x leak 0x7000000 Op fault.rs:1 owner=Rc
        x leak 0x7000000 Op fault.rs:1 owner=Rc
        y reclaim 0x7000000 Op fault.rs:2 owner=Rc
        x reclaim 0x7000000 Op fault.rs:2 owner=Rc",
    ),
    (
        "T14",
        "
        x leak 0x7000000 Op fault.rs:1 owner=Rc
        x reclaim 0x7000000 Op fault.rs:2 owner=Box",
    ),
    (
        "T15",
        concat!(
            flight!(""),
            "
        x leak 0x7000000 Op fault.rs:1 owner=Rc
        x submit 7 SEND 0x7000000 fault.rs:3 len=64
        x submit 7 ASYNC_CANCEL 0x7 fault.rs:4 addr=0x7000000
        x enter 7 2 -> 2
        x complete 7 0x7 0
        x complete 7 0x7000000 -125
        x complete 7 0x7000000 64
        x reclaim 0x7000000 Op fault.rs:5
        x reclaim 0x7000000 Op fault.rs:5"
        ),
    ),
    (
        "T16",
        concat!(
            flight!(""),
            "
        x free 0x7100000 64
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4"
        ),
    ),
    (
        "T17",
        concat!(
            flight!(""),
            "
        x overflow 7 3
        x overflow 7 3
        x overflow 7 3"
        ),
    ),
    (
        "T18",
        concat!(
            flight!(""),
            "
        x complete 7 0x7000000 5
        x submit 7 RECV 0x7000000 fault.rs:3 len=64
        x reclaim 0x7000000 Op fault.rs:4
        x enter 7 1 -> 1"
        ),
    ),
    (
        "T19",
        concat!(
            flight!(""),
            "
        x complete 7 0x7000000 5
        x reclaim 0x7000000 Op fault.rs:4
        x buffer-provide 7 9 0 count=2
        x buffer-provide 7 9 1"
        ),
    ),
    (
        "T20",
        concat!(
            "
        x ring-create 7 sq=64 cq=128
        x scheme 7 sentinel 0x7
        x leak 0x7000000 Op fault.rs:1 owner=Rc
        x submit 7 NOP 0x7000000
        x enter 7 1 -> 1
        x retain 0x7000000 Op fault.rs:2 owner=Rc
        x complete 7 0x7000000 0
        x release 0x7000000 Op fault.rs:3 owner=Rc",
            rounds!()
        ),
    ),
    (
        "T21",
        "
        x ring-create 7 sq=64 cq=128
        x scheme 7 sentinel 0x7
        x submit 7 NOP 0x7
        x enter 7 1 -> 1
        x complete 7 0x7 0 index=0
        x complete 7 0x7 0 index=0",
    ),
    (
        "T22",
        concat!(
            "
        x ring-create 7 sq=64 cq=128
        x scheme 7 sentinel 0x7
        x leak 0x7000000 Op fault.rs:1
        x submit 7 CLOSE 0x7000000 fault.rs:2 skip-success",
            rounds!()
        ),
    ),
    (
        "T23",
        "
        x ring-create 7 sq=64 cq=128
        x scheme 7 sentinel 0x7000000
        x leak 0x7000000 Op fault.rs:1
        x submit 7 NOP 0x7000000 fault.rs:2
        x enter 7 1 -> 1
        x complete 7 0x7000000 0
        x reclaim 0x7000000 Op fault.rs:4",
    ),
    (
        "T24",
        concat!(
            "
        x fd-open 70 fault.rs:1
        x ring-create 7 sq=64 cq=128
        x scheme 7 sentinel 0x7
        x leak 0x7000000 Op fault.rs:1
        x submit 7 ACCEPT 0x7000000 fault.rs:2 fd=70
        x submit 7 ASYNC_CANCEL 0x7 fault.rs:3 addr=0x7000000
        x enter 7 2 -> 2
        x complete 7 0x7 -114
        x complete 7 0x7000000 71
        x reclaim 0x7000000 Op fault.rs:4",
            rounds!()
        ),
    ),
    (
        "T25",
        "
        x ring-create 7 sq=64 cq=128
        x leak 0x55d007000040 Op fault.rs:1
        x submit 7 NOP 0x55d007000040 fault.rs:2
        x submit 7 NOP 0x7000040 fault.rs:3
        x enter 7 2 -> 2
        x complete 7 0x55d007000040 0
        x complete 7 0x7000040 0
        x reclaim 0x55d007000040 Op fault.rs:4",
    ),
    (
        "T26",
        "
        x borrow-begin 0x7000000 exclusive fault.rs:1
        x borrow-begin 0x7000000 shared fault.rs:2
        x borrow-end 0x7000000 shared fault.rs:2
        x borrow-end 0x7000000 exclusive fault.rs:1",
    ),
    (
        "T27",
        "
        x ring-create 7 sq=64 cq=128
        x scheme 7 sentinel 0x7
        x buffer-init 0x7100000 64 16
        x submit 7 WRITE 0x7 fault.rs:2 addr=0x7100000 len=64
        x enter 7 1 -> 1
        x complete 7 0x7 64",
    ),
];

/// Puts a fault into a run, before its line `at`.
pub(crate) fn plant(lines: &mut Vec<String>, at: usize, fault: &str) {
    let before = lines[at - 1].split(' ').next().unwrap_or("0");
    let time: u64 = before.parse().unwrap_or(0);
    let planted = fault.lines().map(str::trim).filter(|line| !line.is_empty());
    let planted: Vec<String> = planted.map(|line| format!("{time} {line}")).collect();
    lines.splice(at..at, planted);
}

/// Puts any fault anywhere into a run, and says whose rule it is.
pub(crate) fn plant_any(lines: &mut Vec<String>, fault: Index, at: Index) -> &'static str {
    let (rule, planted) = FAULTS[fault.index(FAULTS.len())];
    let at = 1 + at.index(lines.len());
    plant(lines, at, planted);
    rule
}
