//! A small program that provides buffers and uses them up on purpose: it never runs, it only writes down what it would have
//! done.
//!
//! It lets its groups run dry, and gets on in one way or another: it gives back in turn, goes on with other buffers, or takes
//! a group from the kernel and fills it anew. What it gives it tells by a hook, by an entry, or by both. Rings are dropped
//! with operations in flight and made anew under their number; their end may find it with buffers in hand. Where it is told
//! to it loses one of a group that ran dry and recovered. Decisions come from outside.

use std::collections::VecDeque;

/// Rounds that a group may wait the first time.
const FIRST_WAIT: u32 = 4;
/// What the rule takes for an end a moment after.
const ROUNDS: u64 = 2;

/// How the program goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It may take its time.
    Calm,
    /// A kill at any time finds nothing that it puts off.
    Hasty,
    /// It loses a buffer, once.
    Careless,
}

/// A buffer that it lost: group and id.
pub(crate) type Lost = (u32, u32);

struct Program<'a> {
    decisions: VecDeque<&'a u16>,
    lines: Vec<String>,
    now: u64,
    manner: Manner,
    round: u64,
    sequence: u64,
    cookie: u64,
    groups: Vec<Group>,
    lost: Option<Lost>,
}

/// How it gets on with a group that ran dry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    InTurn,
    WithOthers,
    Anew,
}

#[derive(Clone, Copy)]
enum Teller {
    Hook,
    Entry,
    Both,
}

struct Group {
    number: u32,
    way: Way,
    teller: Teller,
    size: u32,
    /// Ids with the kernel, and those in hand with whether they were when the group ran dry.
    given: Vec<u32>,
    in_hand: VecDeque<(u32, bool)>,
    next: u32,
    /// The round since when it waits, and how long it waited at most.
    since: u64,
    longest: Option<u64>,
}

impl Group {
    fn waits(&self) -> bool {
        self.in_hand.iter().any(|(_, was_dry)| *was_dry)
    }
}

/// The lines of one run, and what it lost if it did.
pub(crate) fn run(decisions: &[u16], manner: Manner) -> (Vec<String>, Option<Lost>) {
    let mut program = Program {
        decisions: decisions.iter().collect(),
        lines: vec!["process 0 state=clean end=exit:0".to_owned()],
        now: 0,
        manner,
        round: 0,
        sequence: 0,
        cookie: 0x100,
        groups: Vec::new(),
        lost: None,
    };
    program.make();
    while !program.decisions.is_empty() {
        match program.choose(16) {
            0 if program.lost.is_none() => {
                program.drop_ring();
                program.make();
            }
            1..3 => program.pass(),
            _ => program.receive_from_any(),
        }
    }
    program.lose_at_last();
    if program.choose(2) == 0 {
        program.drop_ring();
    } else {
        program.settle();
    }
    (program.lines, program.lost)
}

impl Program<'_> {
    fn choose(&mut self, of: u32) -> u32 {
        self.decisions
            .pop_front()
            .map_or(0, |decision| u32::from(*decision) % of)
    }

    fn say(&mut self, what: String) {
        self.now += 207;
        self.lines.push(format!("{} main {what}", self.now));
    }

    fn make(&mut self) {
        self.say("ring-create 0 sq=8 cq=16 fd=10".to_owned());
        self.sequence = 0;
        self.groups.clear();
        for number in 1..=1 + self.choose(3) {
            let way = [Way::InTurn, Way::WithOthers, Way::Anew][self.choose(3) as usize];
            let is_careless = self.manner == Manner::Careless;
            let teller = [Teller::Hook, Teller::Entry, Teller::Both][self.choose(3) as usize];
            let group = Group {
                number,
                way: if is_careless { Way::InTurn } else { way },
                teller,
                size: 1 + u32::from(is_careless) + self.choose(4),
                given: Vec::new(),
                in_hand: VecDeque::new(),
                next: 0,
                since: 0,
                longest: None,
            };
            self.groups.push(group);
            self.fill(number as usize - 1);
        }
    }

    fn fill(&mut self, at: usize) {
        let Group { next, size, .. } = self.groups[at];
        self.groups[at].next += size;
        self.give(at, next, size);
    }

    /// Gives so many buffers to the kernel.
    fn give(&mut self, at: usize, first: u32, count: u32) {
        let Group { number, teller, .. } = self.groups[at];
        self.groups[at].given.extend(first..first + count);
        if matches!(teller, Teller::Entry | Teller::Both) {
            let what = format!("fd={count} buf={number} off={first} addr=0x10000 len=64");
            let cookie = self.submit("PROVIDE_BUFFERS", &what);
            self.complete(cookie, "0");
        }
        if matches!(teller, Teller::Hook | Teller::Both) {
            self.say(format!("buffer-provide 0 {number} {first} count={count}"));
        }
    }

    fn submit(&mut self, op: &str, what: &str) -> u64 {
        self.cookie += 1;
        let (cookie, sequence) = (self.cookie, self.sequence);
        self.sequence += 1;
        self.say(format!("submit 0 {op} {cookie:#x} seq={sequence} {what}"));
        self.say("enter 0 1 -> 1".to_owned());
        cookie
    }

    fn complete(&mut self, cookie: u64, what: &str) {
        self.round += 1;
        self.say(format!("complete 0 {cookie:#x} {what}"));
    }

    /// A round without a buffer; who waits may have waited long enough.
    fn pass(&mut self) {
        let cookie = self.submit("NOP", "");
        self.complete(cookie, "0");
        self.get_on();
    }

    fn receive_from_any(&mut self) {
        let at = self.choose(self.groups.len() as u32) as usize;
        if self.groups[at].way == Way::InTurn && self.choose(3) == 0 {
            self.give_back(at);
        }
        self.receive(at);
        self.get_on();
    }

    /// Receives into a buffer of a group, if it has one left. Says whether it did.
    fn receive(&mut self, at: usize) -> bool {
        let number = self.groups[at].number;
        let cookie = self.submit("RECV", &format!("buffer-select buf={number}"));
        let count = self.groups[at].given.len() as u32;
        if count == 0 {
            self.complete(cookie, "-105");
            let round = self.round;
            let group = &mut self.groups[at];
            for (_, was_dry) in group.in_hand.iter_mut().filter(|(_, was_dry)| !was_dry) {
                (*was_dry, group.since) = (true, round);
            }
            return false;
        }
        let which = self.choose(count) as usize;
        let id = self.groups[at].given.remove(which);
        self.complete(cookie, &format!("5 flags={:#x}", 1 | id << 16));
        let may_lose = self.manner == Manner::Careless && self.lost.is_none();
        if may_lose && self.groups[at].longest.is_some() && self.choose(3) == 0 {
            self.lost = Some((number, id));
        } else {
            self.groups[at].in_hand.push_back((id, false));
        }
        true
    }

    /// Gives back the one that was handed out first.
    fn give_back(&mut self, at: usize) {
        let Some((id, was_dry)) = self.groups[at].in_hand.pop_front() else {
            return;
        };
        if was_dry {
            self.gets_on(at);
        }
        self.give(at, id, 1);
    }

    fn gets_on(&mut self, at: usize) {
        let round = self.round;
        let group = &mut self.groups[at];
        group.longest = group.longest.max(Some(round - group.since));
        group.since = round;
    }

    /// Groups that waited long enough get something.
    fn get_on(&mut self) {
        for at in 0..self.groups.len() {
            let waited = self.round - self.groups[at].since;
            let most = match (self.manner, self.groups[at].longest) {
                (Manner::Hasty, _) => 0,
                (_, None) => u64::from(self.choose(FIRST_WAIT)),
                (_, Some(longest)) => longest,
            };
            if self.groups[at].waits() && waited >= most {
                self.get_on_with(at);
            }
        }
    }

    fn get_on_with(&mut self, at: usize) {
        match self.groups[at].way {
            Way::InTurn => {
                let some = 1 + self.choose(self.groups[at].in_hand.len() as u32) as usize;
                let is_hasty = self.manner == Manner::Hasty;
                let count = if is_hasty { usize::MAX } else { some };
                for _ in 0..count.min(self.groups[at].in_hand.len()) {
                    self.give_back(at);
                }
            }
            Way::WithOthers => {
                self.gets_on(at);
                self.groups[at].in_hand.clear();
                self.fill(at);
            }
            Way::Anew => {
                self.gets_on(at);
                let number = self.groups[at].number;
                self.say(format!("buffer-provide 0 {number} 0 count=0"));
                let group = &mut self.groups[at];
                group.in_hand.clear();
                group.given.clear();
                group.next = 0;
                self.fill(at);
            }
        }
    }

    /// Gives back what it would be too late for, by what is known of the groups.
    fn settle(&mut self) {
        // Entries that give buffers back make rounds pass for the others.
        for _ in 0..8 {
            for at in 0..self.groups.len() {
                let group = &self.groups[at];
                let waited = self.round - group.since;
                // Of one that never waited before, and of which none came back, a round is enough to be suspected.
                if group.waits() && waited > group.longest.unwrap_or(0) {
                    self.get_on_with(at);
                }
            }
        }
    }

    /// The ring is dropped, with a receive in flight; and may have used up a group just before, which nobody refills.
    fn drop_ring(&mut self) {
        if self.manner != Manner::Careless && self.choose(3) == 0 {
            let at = self.choose(self.groups.len() as u32) as usize;
            while self.receive(at) {}
        }
        self.settle();
        let number = self.groups[0].number;
        self.submit("RECV", &format!("buffer-select buf={number}"));
        self.say("ring-drop 0".to_owned());
    }

    /// A group of which one is lost runs dry and recovers, and goes on without it.
    fn lose_at_last(&mut self) {
        let Some((number, _)) = self.lost else { return };
        let at = number as usize - 1;
        while self.receive(at) {}
        for _ in 0..self.groups[at].longest.unwrap_or(0).max(ROUNDS) + 1 {
            self.pass();
        }
        for at in 0..self.groups.len() {
            while !self.groups[at].in_hand.is_empty() {
                self.give_back(at);
            }
        }
        // One that was not missed may have been kept on purpose.
        while self.receive(at) {}
        while !self.groups[at].in_hand.is_empty() {
            self.give_back(at);
        }
        for _ in 0..self.groups[at].longest.unwrap_or(0).max(ROUNDS) + 1 {
            self.pass();
        }
    }
}
