//! A small correct runtime that never runs: it only writes down what it would have done.
//!
//! Few addresses, so that they are recycled all the time; a reaper and workers on lanes of their own;
//! one ring or two; operations that complete once, often, with a notification or only when they fail;
//! chains, cancellations, messages between rings, overflows, provided buffers; futures dropped in flight;
//! pointers leaked once for each of two operations; owners made only to be looked at; buffers and timespecs freed as early as is right.
//! Decisions come from outside.

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
    /// Blocks for buffers that are free, provided buffers that the kernel has, completions so far.
    blocks: Vec<u64>,
    provided: Vec<Vec<u32>>,
    completions: Vec<u32>,
}

struct Flight {
    ring: u32,
    cookie: u64,
    op: &'static str,
    /// Whom to resume, unless its future was dropped.
    coroutine: Option<u32>,
    /// A zero-copy send that posted its result.
    notifies: bool,
    owner: &'static str,
    /// The kernel has it.
    taken: bool,
    /// Its buffer.
    block: Option<u64>,
    /// The provided buffer that its completion handed out.
    handed_out: Option<u32>,
    /// The descriptor that its completions brought last.
    descriptor: Option<u32>,
    cancelled: bool,
}

impl Flight {
    /// What it points at: until the kernel has it, or until it is over.
    fn has_timespec(&self) -> bool {
        self.op == "TIMEOUT"
    }
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
        blocks: (0..24).map(|index| 0x10_0000 + index * 0x100).collect(),
        provided: vec![(0..4).collect(); 2],
        completions: vec![0; 2],
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
        // Far enough apart that no clock can be blamed.
        self.now += 207;
        self.lines.push(format!("{} {lane} {what}", self.now));
    }

    fn worker(&mut self) -> &'static str {
        ["reaper", "w0", "w1"][self.choose(3) as usize]
    }

    fn begin(&mut self) {
        self.say("reaper", "scope-begin 1 name=run".to_owned());
        // Frees are recorded.
        self.say("reaper", "free 0xf00000 8".to_owned());
        for ring in 0..self.rings {
            let fd = 10 + ring;
            self.say(
                "reaper",
                format!("ring-create {ring} sq=4 cq=8 fd={fd} in-place"),
            );
            self.say("reaper", format!("buffer-provide {ring} 1 0 count=4"));
            self.say("w0", format!("owner {ring} name=workers"));
        }
        self.say("reaper", "scheme all sentinel 0x0".to_owned());
        self.say("reaper", "scheme all pointer".to_owned());
    }

    fn turn(&mut self) {
        match self.choose(12) {
            0 | 1 => self.spawn(),
            2 => self.cancel(),
            3 => self.drop_one(),
            4 => self.quiet(),
            5 => self.message(),
            6 => self.chain(),
            7 => self.overflow(),
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

    /// Cancels somebody by a cookie that only one operation carries, or all that carry it.
    fn cancel(&mut self) {
        let count = self.flying.len() as u32;
        let index = self.choose(count.max(1)) as usize;
        let Some((ring, cookie)) = self.flying.get(index).map(|f| (f.ring, f.cookie)) else {
            return;
        };
        let same = self.flying.iter().filter(|f| f.cookie == cookie).count();
        let all = if same > 1 { " op-flags=0x1" } else { "" };
        self.submit_with(
            "reaper",
            (ring, "ASYNC_CANCEL", 0),
            None,
            "Box",
            &format!(" addr={cookie:#x}{all}"),
        );
        for flight in self.flying.iter_mut().filter(|f| f.cookie == cookie) {
            flight.cancelled = true;
        }
    }

    /// Closes something, and wants to hear of it only if that fails.
    fn quiet(&mut self) {
        let extra = " fd=77 skip-success";
        self.submit_with("reaper", (0, "CLOSE", 0), None, "Box", extra);
    }

    /// Tells a ring something: a completion that no entry of that ring explains.
    fn message(&mut self) {
        let to = self.choose(self.rings);
        let extra = format!(" fd={} off=0xabc0 len=3", 10 + to);
        self.submit_with("w0", (0, "MSG_RING", 0), None, "Box", &extra);
    }

    /// A quiet operation and one behind it, which posts nothing if the first one fails.
    fn chain(&mut self) {
        self.submit_with("w1", (0, "FSYNC", 0), None, "Box", " link skip-success");
        self.submit_with("w1", (0, "NOP", 0), None, "Box", "");
    }

    /// Completions found no room, and are fetched.
    fn overflow(&mut self) {
        let ring = self.choose(self.rings);
        self.say("reaper", format!("overflow {ring} 3"));
        self.enter();
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
        self.submit_with(lane, (ring, op, cookie), coroutine, owner, "");
    }

    fn submit_with(
        &mut self,
        lane: &str,
        (ring, op, cookie): (u32, &'static str, u64),
        coroutine: Option<u32>,
        owner: &'static str,
        more: &str,
    ) {
        let at = ring as usize;
        let slot = (self.sequence[at] % 4) as usize;
        let state = match self.choose(3) {
            0 => " set",
            // The word that the slot held may be the one that was set again.
            1 if self.slots[at][slot] == cookie && cookie != 0 => " leftover",
            _ => "",
        };
        let needs = matches!(op, "SEND_ZC" | "RECV" | "SEND" | "TIMEOUT");
        let block = if needs { self.blocks.pop() } else { None };
        if let Some(block) = block {
            self.say(lane, format!("alloc {block:#x} 128"));
            self.say(lane, format!("buffer-init {block:#x} 128 64"));
        }
        let extra = match (op, block) {
            ("ACCEPT", _) => " ioprio=1 fd=3".to_owned(),
            ("TIMEOUT", Some(block)) => format!(" addr={block:#x} len=1"),
            (_, Some(block)) => format!(" addr={block:#x} len=64"),
            ("SEND_ZC" | "SEND", None) => " len=64".to_owned(),
            ("RECV", None) => " buffer-select buf=1".to_owned(),
            _ => more.to_owned(),
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
            taken: false,
            block,
            handed_out: None,
            descriptor: None,
            cancelled: false,
        });
    }

    /// Enters all rings. What the kernel has a copy of now is freed at once.
    fn enter(&mut self) {
        for ring in 0..self.rings {
            let queued = |flight: &&Flight| flight.ring == ring && !flight.taken;
            let count = self.flying.iter().filter(queued).count();
            self.say("reaper", format!("enter {ring} {count} -> {count}"));
        }
        let mut copied = Vec::new();
        for flight in self.flying.iter_mut().filter(|flight| !flight.taken) {
            flight.taken = true;
            if flight.has_timespec() {
                copied.extend(flight.block.take());
            }
        }
        for block in copied {
            self.free(block);
        }
    }

    fn free(&mut self, block: u64) {
        let lane = self.worker();
        self.say(lane, format!("free {block:#x} 128"));
        self.blocks.push(block);
    }

    /// Polls whoever is ready: it ends, or starts operations and waits for them.
    fn dispatch(&mut self) {
        while let Some((coroutine, by)) = self.ready.pop_front() {
            let lane = self.worker();
            let by = by.map_or(String::new(), |(ring, cookie)| {
                format!(" {cookie:#x} ring={ring}")
            });
            self.say(lane, format!("resume {coroutine}{by}"));
            self.say(lane, "borrow-begin 0x50 exclusive op.rs:5".to_owned());
            self.say(lane, "borrow-end 0x50 exclusive op.rs:5".to_owned());
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
        let owner = ["Box", "Arc"][self.choose(2) as usize];
        let cookie = self.free.remove(0);
        let leak = format!("leak {cookie:#x} app::Op op.rs:8 owner={owner}");
        if wants == 1 && owner == "Arc" {
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
        self.enter();
        let batch = self.choose(3) + 1;
        let collected = self.choose(2) == 0;
        let mut taken = Vec::new();
        for _ in 0..batch {
            let ready = |flight: &(usize, &Flight)| flight.1.taken;
            let ready: Vec<usize> = self
                .flying
                .iter()
                .enumerate()
                .filter(ready)
                .map(|(index, _)| index)
                .collect();
            if ready.is_empty() {
                break;
            }
            let index = ready[self.choose(ready.len() as u32) as usize];
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
        let fails = self.choose(4) == 0;
        let flight = &mut self.flying[index];
        let (ring, cookie, cancelled) = (flight.ring, flight.cookie, flight.cancelled);
        let picks = flight.op == "RECV" && flight.block.is_none();
        let mut silent = false;
        let (text, last) = match (flight.op, flight.notifies) {
            ("CLOSE", _) => {
                silent = !fails;
                ("-9", true)
            }
            ("FSYNC", _) => {
                silent = true;
                ("0", true)
            }
            ("ASYNC_CANCEL", _) => (["0", "-2", "-114"][index % 3], true),
            ("NOP" | "MSG_RING", _) => ("0", true),
            ("TIMEOUT", _) => ("-62", true),
            ("SEND_ZC", true) => ("0 notif", true),
            _ if cancelled => ("-125", true),
            ("ACCEPT", _) if more => ("9 more", false),
            ("ACCEPT", _) => ("-125", true),
            ("SEND_ZC", false) => ("64 more", false),
            _ if picks => {
                flight.handed_out = self.provided[ring as usize].pop();
                (
                    if flight.handed_out.is_some() {
                        "64"
                    } else {
                        "-105"
                    },
                    true,
                )
            }
            _ => ("64", true),
        };
        flight.notifies = true;
        if text == "9 more" {
            flight.descriptor = Some(9);
        }
        let buffer = flight.handed_out.map_or(String::new(), |buffer| {
            format!(" flags={:#x}", 1 | buffer << 16)
        });
        let unwanted = flight.coroutine.is_none() && text == "9 more";
        let (is_message, op_ring) = (flight.op == "MSG_RING", ring);
        let owner = flight.owner;
        let flight = last.then(|| self.flying.remove(index));
        if !silent {
            let at = self.index(op_ring);
            self.say(
                "reaper",
                format!("complete {ring} {cookie:#x} {text}{buffer}{at}"),
            );
        }
        if !last && self.choose(2) == 0 {
            self.look(cookie, owner);
        }
        if unwanted {
            self.say("reaper", "fd-close 9 accept.rs:9".to_owned());
        }
        if is_message {
            // It went to one of the rings, and is taken there.
            let at = self.index(0);
            self.say("reaper", format!("complete 0 0xabc0 3{at}"));
        }
        flight
    }

    /// Makes an owner only to look at it, and lets go of it; sometimes another one inside.
    fn look(&mut self, cookie: u64, owner: &str) {
        self.say(
            "reaper",
            format!("reclaim {cookie:#x} app::Op op.rs:70 owner={owner}"),
        );
        if self.choose(3) == 0 {
            self.say("reaper", "leak 0x9000 app::Other op.rs:71".to_owned());
            self.say("reaper", "reclaim 0x9000 app::Other op.rs:71".to_owned());
        }
        self.say(
            "reaper",
            format!("leak {cookie:#x} app::Op op.rs:72 owner={owner}"),
        );
    }

    /// The second ring says at which index it takes completions.
    fn index(&mut self, ring: u32) -> String {
        let count = &mut self.completions[ring as usize];
        *count += 1;
        match ring {
            0 => String::new(),
            _ => format!(" index={}", *count - 1),
        }
    }

    fn work(&mut self, taken: &mut Vec<Flight>) {
        let mut given_back = Vec::new();
        for flight in taken.drain(..) {
            if let Some(buffer) = flight.handed_out {
                self.say(
                    "reaper",
                    format!("buffer-provide {} 1 {buffer}", flight.ring),
                );
                self.provided[flight.ring as usize].push(buffer);
            }
            if let Some(block) = flight.block {
                self.free(block);
            }
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
        // Once more for what was taken last.
        self.submit("reaper", 0, "NOP", 0, None, "Box");
        self.round();
        self.say("reaper", "scope-end 1".to_owned());
        for ring in 0..self.rings {
            self.say("reaper", format!("ring-drop {ring}"));
        }
    }
}
