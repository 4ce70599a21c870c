//! A small correct runtime that never runs: it only writes down what it would have done.
//!
//! Few addresses, so that they are recycled all the time; a reaper and workers on lanes of their own;
//! one ring or two; operations that complete once, often, or with a notification; futures dropped in
//! flight; pointers leaked once for each of two operations. Decisions come from outside.

use std::collections::VecDeque;

/// What a run decided, and the lines that it wrote.
pub(crate) struct Runtime<'a> {
    decisions: VecDeque<&'a u16>,
    lines: Vec<String>,
    now: u64,
    free: Vec<u64>,
    flying: Vec<Flight>,
    ready: VecDeque<(u32, Option<(u32, u64)>)>,
    coroutines: u32,
    alive: u32,
    rings: u32,
    slots: Vec<Vec<u64>>,
    sequence: Vec<u64>,
    killed: bool,
}

struct Flight {
    ring: u32,
    cookie: u64,
    op: &'static str,
    /// Whom to resume, unless its future was dropped.
    coroutine: Option<u32>,
    /// A zero-copy send that posted its result.
    notifies: bool,
    /// The coroutine waits for another operation too; this one goes on without resuming anybody.
    owner: &'static str,
}

/// The lines of one run.
pub(crate) fn run(decisions: &[u16]) -> Vec<String> {
    let mut runtime = Runtime {
        decisions: decisions.iter().collect(),
        lines: Vec::new(),
        now: 0,
        free: (1..=6).map(|index| index * 0x1000).collect(),
        flying: Vec::new(),
        ready: VecDeque::new(),
        coroutines: 0,
        alive: 0,
        rings: 1,
        slots: vec![vec![0; 4]; 2],
        sequence: vec![0; 2],
        killed: false,
    };
    runtime.rings = 1 + runtime.choose(2);
    runtime.killed = runtime.choose(4) == 0;
    runtime.begin();
    while !runtime.decisions.is_empty() {
        runtime.turn();
    }
    if !runtime.killed {
        runtime.drain();
    }
    let end = if runtime.killed {
        "end=killed:9"
    } else {
        "state=clean end=exit:0"
    };
    runtime.lines.insert(0, format!("process 0 {end}"));
    runtime.lines
}

impl Runtime<'_> {
    fn choose(&mut self, of: u32) -> u32 {
        self.decisions
            .pop_front()
            .map_or(0, |decision| u32::from(*decision) % of)
    }

    fn say(&mut self, lane: &str, what: String) {
        self.now += 7;
        self.lines.push(format!("{} {lane} {what}", self.now));
    }

    fn worker(&mut self) -> &'static str {
        ["reaper", "w0", "w1"][self.choose(3) as usize]
    }

    fn begin(&mut self) {
        self.say("reaper", "scope-begin 1 name=run".to_owned());
        for ring in 0..self.rings {
            self.say("reaper", format!("ring-create {ring} sq=4 cq=8 in-place"));
        }
        self.say("reaper", "scheme all sentinel 0x0".to_owned());
        self.say("reaper", "scheme all pointer".to_owned());
    }

    fn turn(&mut self) {
        match self.choose(8) {
            0 | 1 => self.spawn(),
            2 => self.cancel(),
            3 => self.drop_one(),
            _ => self.round(),
        }
    }

    fn spawn(&mut self) {
        if self.alive > 4 {
            return;
        }
        self.coroutines += 1;
        self.alive += 1;
        let coroutine = self.coroutines;
        self.say("reaper", format!("spawn {coroutine} app::task main.rs:3"));
        self.ready.push_back((coroutine, None));
        self.dispatch();
    }

    /// An operation that nobody waits for, with a cookie that stands for nothing.
    fn cancel(&mut self) {
        self.submit("reaper", 0, "ASYNC_CANCEL", 0, None, "Box");
    }

    fn drop_one(&mut self) {
        let count = self.flying.len() as u32;
        let index = self.choose(count.max(1)) as usize;
        let Some(coroutine) = self.flying.get_mut(index).and_then(|f| f.coroutine.take()) else {
            return;
        };
        for flight in &mut self.flying {
            if flight.coroutine == Some(coroutine) {
                flight.coroutine = None;
            }
        }
        self.alive -= 1;
        self.say("reaper", format!("coroutine-drop {coroutine}"));
    }

    fn submit(
        &mut self,
        lane: &str,
        ring: u32,
        op: &'static str,
        cookie: u64,
        coroutine: Option<u32>,
        owner: &'static str,
    ) {
        let at = ring as usize;
        let slot = (self.sequence[at] % 4) as usize;
        let state = match self.choose(3) {
            0 => " set",
            // The word that the slot held may be the one that was set again.
            1 if self.slots[at][slot] == cookie && cookie != 0 => " leftover",
            _ => "",
        };
        let extra = match op {
            "ACCEPT" => " ioprio=1",
            "SEND_ZC" | "RECV" | "SEND" => " len=64",
            _ => "",
        };
        self.slots[at][slot] = cookie;
        self.say(lane, format!("claim {ring} slot={slot}"));
        let sequence = self.sequence[at];
        self.say(
            lane,
            format!(
                "submit {ring} {op} {cookie:#x} op.rs:9 seq={sequence} slot={slot}{state}{extra}"
            ),
        );
        self.sequence[at] += 1;
        self.flying.push(Flight {
            ring,
            cookie,
            op,
            coroutine,
            notifies: false,
            owner,
        });
    }

    /// Polls whoever is ready: it ends, or starts operations and waits for them.
    fn dispatch(&mut self) {
        while let Some((coroutine, by)) = self.ready.pop_front() {
            let lane = self.worker();
            let by = by.map_or(String::new(), |(ring, cookie)| {
                format!(" {cookie:#x} ring={ring}")
            });
            self.say(lane, format!("resume {coroutine}{by}"));
            // What was taken in the same batch may still wait to be dispatched.
            let queued: Vec<u64> = self
                .ready
                .iter()
                .filter(|(other, _)| *other == coroutine)
                .filter_map(|(_, by)| by.map(|(_, cookie)| cookie))
                .collect();
            let waits = !queued.is_empty()
                || self
                    .flying
                    .iter()
                    .any(|flight| flight.coroutine == Some(coroutine));
            let wants = self.choose(6);
            if !waits && (wants == 0 || self.free.len() < 2) {
                self.say(lane, format!("done {coroutine}"));
                self.alive -= 1;
                continue;
            }
            if !waits {
                self.start(lane, coroutine, wants);
            }
            let flying = self.flying.iter();
            let cookies: Vec<String> = flying
                .filter(|flight| flight.coroutine == Some(coroutine))
                .map(|flight| flight.cookie)
                .chain(queued)
                .map(|cookie| format!(" {cookie:#x}"))
                .collect();
            self.say(lane, format!("suspend {coroutine}{}", cookies.concat()));
        }
    }

    fn start(&mut self, lane: &str, coroutine: u32, wants: u32) {
        let ring = self.choose(self.rings);
        let owner = ["Box", "Rc"][self.choose(2) as usize];
        let cookie = self.free.remove(0);
        let leak = format!("leak {cookie:#x} app::Op op.rs:8 owner={owner}");
        if wants == 1 && owner == "Rc" {
            // One handle for its read, one for its write.
            self.say(lane, leak.clone());
            self.submit(lane, ring, "RECV", cookie, Some(coroutine), owner);
            self.say(lane, leak);
            self.submit(lane, ring, "SEND", cookie, Some(coroutine), owner);
            return;
        }
        self.say(lane, leak);
        let op = ["NOP", "TIMEOUT", "RECV", "ACCEPT", "SEND_ZC"][(wants % 5) as usize];
        self.submit(lane, ring, op, cookie, Some(coroutine), owner);
    }

    /// Enters, reaps a batch, works through it.
    fn round(&mut self) {
        for ring in 0..self.rings {
            self.say("reaper", format!("enter {ring} 4 -> 4"));
        }
        let batch = self.choose(3) + 1;
        let collected = self.choose(2) == 0;
        let mut taken = Vec::new();
        for _ in 0..batch {
            let count = self.flying.len() as u32;
            if count == 0 {
                break;
            }
            let index = self.choose(count) as usize;
            taken.extend(self.complete(index));
            if !collected {
                self.work(&mut taken);
            }
        }
        self.work(&mut taken);
    }

    /// Posts and takes the next completion of a flight; gives back what is to be done about it.
    fn complete(&mut self, index: usize) -> Option<Flight> {
        let more = self.choose(3) != 0 && !self.decisions.is_empty();
        let flight = &mut self.flying[index];
        let (ring, cookie) = (flight.ring, flight.cookie);
        let (text, last) = match (flight.op, flight.notifies) {
            ("NOP" | "ASYNC_CANCEL", _) => ("0", true),
            ("TIMEOUT", _) => ("-62", true),
            ("ACCEPT", _) if more => ("9 more", false),
            ("ACCEPT", _) => ("-125", true),
            ("SEND_ZC", false) => ("64 more", false),
            ("SEND_ZC", true) => ("0 notif", true),
            _ => ("64", true),
        };
        flight.notifies = true;
        self.say("reaper", format!("complete {ring} {cookie:#x} {text}"));
        last.then(|| self.flying.remove(index))
    }

    fn work(&mut self, taken: &mut Vec<Flight>) {
        let mut given_back = Vec::new();
        for flight in taken.drain(..) {
            if flight.cookie == 0 {
                continue;
            }
            let lane = self.worker();
            let Flight {
                ring,
                cookie,
                owner,
                ..
            } = flight;
            self.say(
                lane,
                format!("reclaim {cookie:#x} app::Op op.rs:40 owner={owner}"),
            );
            given_back.push(cookie);
            if let Some(coroutine) = flight.coroutine {
                self.ready.push_back((coroutine, Some((ring, cookie))));
            }
        }
        // An address is free when its last handle came back.
        for cookie in given_back {
            let held = self.flying.iter().any(|other| other.cookie == cookie);
            if !held && !self.free.contains(&cookie) {
                self.free.push(cookie);
            }
        }
        self.dispatch();
    }

    fn drain(&mut self) {
        while !self.flying.is_empty() {
            self.round();
        }
        self.say("reaper", "scope-end 1".to_owned());
        for ring in 0..self.rings {
            self.say("reaper", format!("ring-drop {ring}"));
        }
    }
}
