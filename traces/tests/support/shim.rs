//! A small program that nobody rebuilt, as the shim records it: it never runs, it only writes down what it would have done.
//!
//! Of its slots some are filled once for good and go in again and again, beside others that it fills each time. Rings are
//! dropped with operations in flight, and others are made; words are pointers, which are recycled all the
//! time, or small numbers; nobody tells of owners, only of blocks that are freed. Or probes of its functions do: then all
//! words are pointers, slots that it filled once may have one between them, and it takes boxes back and gives them away anew
//! where they were. Where a plan says so it makes one mistake. Decisions come from outside.

use std::collections::VecDeque;

/// Slots of a ring.
const SLOTS: usize = 4;
/// Turns in which a mistake must have been made, once decisions ran out.
const TURNS_MAX: usize = 200;

/// What the program does wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// In a slot that it fills each time it forgets the cookie. All else is as before, or is not.
    Forgets { all_else_as_before: bool },
    /// So it does for some laps in a slot that it filled once, which looks as if that were for good until it sets one.
    ForgetsForLaps,
    /// A slot that it filled once goes in again when what its word points to was freed.
    Stale,
}

/// A mistake that was made: the first operation that shows it, and how many do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) ring: usize,
    pub(crate) sequence: u64,
    pub(crate) count: u64,
}

struct Program<'a> {
    decisions: VecDeque<&'a u16>,
    lines: Vec<String>,
    now: u64,
    /// Probes of its functions tell of owners.
    tells_owners: bool,
    /// Blocks that are free.
    blocks: Vec<u64>,
    rings: Vec<Ring>,
    /// Rings that were made so far: a number is never given out again.
    made_rings: usize,
    /// Small numbers that were given so far.
    numbers: u64,
    mistake: Option<Mistake>,
    /// The slot that shows it, while it may still show it, and what it showed.
    shows: Option<(usize, usize)>,
    made: Option<Made>,
}

#[derive(Default)]
struct Ring {
    name: usize,
    slots: [Slot; SLOTS],
    sequence: u64,
    /// A cookie was seen to be set.
    is_set: bool,
    queued: usize,
    flying: Vec<Flight>,
}

#[derive(Clone, Default)]
struct Slot {
    /// Filled once for good.
    is_once: bool,
    is_used: bool,
    /// The shim put its poison in.
    is_poisoned: bool,
    /// The block that its word points to is freed.
    is_stale: bool,
    word: u64,
    entry: String,
    /// Operations whose poison came back, and the first of them.
    came_back: (u64, u64),
}

struct Flight {
    slot: usize,
    word: u64,
    /// Its block is its own: freed when it is over.
    frees: bool,
    is_taken: bool,
    result: u32,
}

/// The lines of one run, and the mistake that it was to make, where it found a place for it.
pub(crate) fn run(decisions: &[u16], mistake: Option<Mistake>) -> (Vec<String>, Option<Made>) {
    finished(Program::new(decisions, mistake))
}

/// The lines of a run without a mistake whose owners are told.
pub(crate) fn run_with_owners(decisions: &[u16]) -> Vec<String> {
    let mut program = Program::new(decisions, None);
    program.tells_owners = true;
    // A word is never anything but a pointer.
    program.blocks = (1..=99).map(|index| 0x55_0000 + index * 0x40).collect();
    let (mut lines, _) = finished(program);
    lines[0] = lines[0].replace("process 0", "process 0 pid=7 start=9");
    lines.insert(1, "process 1 pid=7 start=9 capture=uprobes".to_owned());
    lines.insert(2, "lane u process=1".to_owned());
    lines
}

fn finished(mut program: Program<'_>) -> (Vec<String>, Option<Made>) {
    for number in 0..=program.choose(2) as usize {
        program.rings.push(Ring::default());
        program.make(number);
    }
    while !program.decisions.is_empty() {
        program.turn();
    }
    for _ in 0..TURNS_MAX {
        if program.mistake.is_some() || program.shows.is_some() {
            program.some(0, SLOTS);
        }
    }
    let made = program.made.filter(|_| program.shows.is_none());
    for number in 0..program.rings.len() {
        program.finish(number);
    }
    let head = "process 0 capture=preload state=clean end=exit:0".to_owned();
    program.lines.insert(0, head);
    (program.lines, made)
}

impl<'a> Program<'a> {
    fn new(decisions: &'a [u16], mistake: Option<Mistake>) -> Self {
        Self {
            decisions: decisions.iter().collect(),
            lines: Vec::new(),
            now: 0,
            tells_owners: false,
            blocks: (1..=9).map(|index| 0x55_0000 + index * 0x40).collect(),
            rings: Vec::new(),
            made_rings: 0,
            numbers: 0,
            mistake,
            shows: None,
            made: None,
        }
    }

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

    fn make(&mut self, number: usize) {
        let (sq, cq, fd) = (SLOTS, 2 * SLOTS, 10 + number);
        let name = self.made_rings;
        self.made_rings += 1;
        self.say(
            "main",
            format!("ring-create {name} sq={sq} cq={cq} fd={fd} in-place"),
        );
        let mut ring = Ring {
            name,
            ..Ring::default()
        };
        for slot in &mut ring.slots {
            slot.is_once = self.choose(2) == 0;
        }
        // Somebody has to set cookies, or poison is never told from what was to be.
        ring.slots[self.choose(SLOTS as u32) as usize].is_once = false;
        self.rings[number] = ring;
    }

    fn turn(&mut self) {
        let number = self.choose(self.rings.len() as u32) as usize;
        match self.choose(12) {
            0 => self.anew(number),
            _ => {
                let count = 1 + self.choose(SLOTS as u32) as usize;
                self.some(number, count);
            }
        }
    }

    /// Drops a ring, whatever is in flight on it unless its owner is told of, and makes another one.
    fn anew(&mut self, number: usize) {
        if self.shows.is_some_and(|(ring, _)| ring == number) {
            return;
        }
        if self.tells_owners {
            self.wait(number, 0);
        }
        let name = self.rings[number].name;
        self.say("main", format!("ring-drop {name}"));
        self.free_words(number);
        self.make(number);
    }

    /// Frees what the words of a ring that was dropped point to.
    fn free_words(&mut self, number: usize) {
        let ring = std::mem::take(&mut self.rings[number]);
        let of_flights = ring.flying.iter().filter(|it| it.frees).map(|it| it.word);
        let of_slots = ring.slots.iter().filter(|slot| slot.is_once);
        let words = of_flights.chain(of_slots.filter(|it| !it.is_stale).map(|it| it.word));
        let mut words: Vec<u64> = words.filter(|word| is_pointer(*word)).collect();
        words.sort_unstable();
        words.dedup();
        for word in words {
            self.free(word);
        }
    }

    /// Hands some entries over, and takes some completions.
    fn some(&mut self, number: usize, count: usize) {
        for _ in 0..count {
            self.hand_over(number);
        }
        self.enter(number);
        let is_over = self.decisions.is_empty();
        let completions = 1 + SLOTS as u32;
        for _ in 0..if is_over {
            completions
        } else {
            self.choose(completions)
        } {
            let flying = self.rings[number].flying.len() as u32;
            if flying > 0 {
                let index = self.choose(flying) as usize;
                self.complete(number, index);
            }
        }
    }

    fn hand_over(&mut self, number: usize) {
        let at = self.rings[number].sequence as usize % SLOTS;
        if self.rings[number].queued == SLOTS {
            self.enter(number);
        }
        // What it carries is in flight once at most.
        let is_once = self.rings[number].slots[at].is_once;
        while let Some(index) = self.flying_in(number, at).filter(|_| is_once) {
            self.complete(number, index);
        }
        let slot = self.rings[number].slots[at].clone();
        if self.errs(number, at, &slot) {
            return;
        }
        if slot.is_once && slot.is_used {
            self.submit(number, at, false, false);
        } else {
            self.fill(number, at);
            self.submit(number, at, true, !slot.is_once);
        }
    }

    /// Makes the mistake that it is to make, where this is the place for it; says whether it did.
    fn errs(&mut self, number: usize, at: usize, slot: &Slot) -> bool {
        if self.shows == Some((number, at)) {
            self.shows = None;
        }
        let Some(mistake) = self.mistake.filter(|_| self.rings[number].is_set) else {
            return false;
        };
        let came_back = slot.came_back.0 > 0;
        match mistake {
            Mistake::Forgets { all_else_as_before } if !slot.is_once && slot.is_poisoned => {
                // Nobody else has the word meanwhile.
                let block = self.blocks.iter().position(|block| *block == slot.word);
                let Some(block) = block else {
                    return false;
                };
                self.blocks.remove(block);
                if !all_else_as_before {
                    self.rings[number].slots[at].entry = "NOP WORD fd=-1".to_owned();
                }
                self.mistake = None;
                self.submit(number, at, false, false);
                self.showed(number, at);
                self.shows = Some((number, at));
            }
            Mistake::ForgetsForLaps if slot.is_once && came_back => {
                self.mistake = None;
                self.showed(number, at);
                if is_pointer(slot.word) {
                    self.free(slot.word);
                }
                self.rings[number].slots[at].is_once = false;
                self.fill(number, at);
                self.submit(number, at, true, true);
            }
            Mistake::Stale if slot.is_once && slot.is_poisoned && is_pointer(slot.word) => {
                self.mistake = None;
                self.rings[number].slots[at].is_stale = true;
                let lane = ["main", "other"][self.choose(2) as usize];
                self.say(lane, format!("free {:#x} 64", slot.word));
                self.submit(number, at, false, false);
                // It goes in so once, or once more.
                self.shows = (self.choose(2) == 0).then_some((number, at));
            }
            _ => return false,
        }
        true
    }

    fn showed(&mut self, ring: usize, at: usize) {
        let (count, sequence) = self.rings[ring].slots[at].came_back;
        self.made = Some(Made {
            ring: self.rings[ring].name,
            sequence,
            count,
        });
    }

    /// Fills a slot: one of few entries, so that it is often the same again, and a word.
    fn fill(&mut self, number: usize, at: usize) {
        let is_once = self.rings[number].slots[at].is_once;
        let is_odd = is_once && self.choose(3) == 0;
        let others = self.rings[number].slots.iter();
        let mut others = others.filter(|slot| slot.is_once && is_pointer(slot.word));
        let others = others.next().map(|slot| slot.word);
        let word = if let Some(word) = others.filter(|_| is_odd && self.tells_owners) {
            word
        } else if (is_odd && !self.tells_owners) || self.blocks.is_empty() {
            self.numbers += 1;
            // No index of a table that goes round.
            0x100 + self.numbers
        } else {
            let block = self.choose(self.blocks.len() as u32) as usize;
            let word = self.blocks.remove(block);
            self.own("main", "leak", word);
            word
        };
        let entry = match self.choose(4) {
            0 => "NOP WORD fd=0".to_owned(),
            1 => "POLL_ADD WORD fd=7".to_owned(),
            2 => format!("READ WORD fd=5 addr={:#x} len=64", 0x9000 + 0x100 * at),
            _ => "NOP WORD fd=-1".to_owned(),
        };
        let slot = &mut self.rings[number].slots[at];
        (slot.word, slot.entry) = (word, entry);
        // Those without address and descriptor are alike, so that it is suspected of one that its cookie was forgotten.
        if slot.is_once && slot.entry.ends_with("fd=-1") {
            slot.entry = "POLL_ADD WORD fd=8".to_owned();
        }
    }

    /// An entry goes in, and the shim looks at it.
    fn submit(&mut self, number: usize, at: usize, is_filled: bool, frees: bool) {
        let ring = &mut self.rings[number];
        let (name, sequence) = (ring.name, ring.sequence);
        let slot = &mut ring.slots[at];
        let state = match (slot.is_poisoned, is_filled) {
            (false, _) => "",
            (true, true) => {
                ring.is_set = true;
                " set"
            }
            (true, false) if ring.is_set => {
                let (count, first) = &mut slot.came_back;
                *first = if *count == 0 { sequence } else { *first };
                *count += 1;
                " poisoned"
            }
            (true, false) => " leftover",
        };
        if is_filled {
            slot.came_back = (0, 0);
        }
        (slot.is_poisoned, slot.is_used) = (false, true);
        let word = slot.word;
        let entry = slot.entry.replace("WORD", &format!("{word:#x}"));
        ring.sequence += 1;
        ring.queued += 1;
        ring.flying.push(Flight {
            slot: at,
            word,
            frees: frees && is_pointer(word),
            is_taken: false,
            result: match &slot.entry {
                read if read.starts_with("READ") => 64,
                poll if poll.starts_with("POLL") => 1,
                _ => 0,
            },
        });
        self.say(
            "main",
            format!("submit {name} {entry} seq={sequence} slot={at}{state}"),
        );
        if self.rings[number].slots[at].is_stale {
            self.showed(number, at);
        }
    }

    /// The kernel takes what is queued, and the shim poisons the slots.
    fn enter(&mut self, number: usize) {
        let count = std::mem::take(&mut self.rings[number].queued);
        let name = self.rings[number].name;
        self.say("main", format!("enter {name} {count} -> {count}"));
        let ring = &mut self.rings[number];
        for flight in ring.flying.iter_mut().filter(|flight| !flight.is_taken) {
            flight.is_taken = true;
            ring.slots[flight.slot].is_poisoned = true;
        }
    }

    fn flying_in(&self, number: usize, at: usize) -> Option<usize> {
        let mut flying = self.rings[number].flying.iter();
        flying.position(|flight| flight.slot == at)
    }

    fn complete(&mut self, number: usize, index: usize) {
        if !self.rings[number].flying[index].is_taken {
            self.enter(number);
        }
        let flight = self.rings[number].flying.remove(index);
        let (word, result) = (flight.word, flight.result);
        let name = self.rings[number].name;
        self.say("main", format!("complete {name} {word:#x} {result}"));
        if flight.frees {
            self.free(flight.word);
        } else if is_pointer(word) && self.tells_owners && self.choose(2) == 0 {
            let mut flying = self.rings[number].flying.iter();
            if flying.all(|other| other.word != word) {
                self.own("main", "reclaim", word);
                self.own("main", "leak", word);
            }
        }
    }

    fn own(&mut self, lane: &str, did: &str, word: u64) {
        if self.tells_owners {
            self.say(lane, format!("{did} {word:#x} Conn conn.rs:8"));
        }
    }

    fn free(&mut self, word: u64) {
        let lane = ["main", "other"][self.choose(2) as usize];
        self.own(lane, "reclaim", word);
        self.say(lane, format!("free {word:#x} 64"));
        self.blocks.push(word);
    }

    /// Waits until no more than so many are in flight.
    fn wait(&mut self, number: usize, most: usize) {
        self.enter(number);
        while self.rings[number].flying.len() > most {
            self.complete(number, 0);
        }
    }

    /// The end of a ring, which finds some operations in flight.
    fn finish(&mut self, number: usize) {
        self.wait(number, usize::from(!self.tells_owners));
        let name = self.rings[number].name;
        self.say("main", format!("ring-drop {name}"));
        if self.tells_owners {
            self.free_words(number);
        }
    }
}

fn is_pointer(word: u64) -> bool {
    word >= 0x1_0000
}
