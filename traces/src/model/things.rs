//! What lives in the model: generations, operations, rings, coroutines. Plain data; `state` changes it.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use wire::payload::Submit;
use wire::record::{CookieState, Owner, RingKind};

use super::credits::{Credits, Late};
use super::expect::{Owes, may_be_failure};
use super::filled::Filled;
use super::sequences::Sequences;
use crate::event::{EventId, Pointer, Ring, SiteId, StringId, TypeId};
use crate::finding::Subject;
use crate::recording::Recording;

/// One life of an address or index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GenerationId {
    pub(crate) process: u32,
    pub(crate) address: u64,
    pub(crate) number: u32,
}

/// One submitted operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OperationId {
    pub(crate) process: u32,
    pub(crate) ring: u32,
    pub(crate) sequence: u64,
}

impl GenerationId {
    pub(crate) fn subject(self) -> Subject {
        let Self {
            process,
            address,
            number: generation,
        } = self;
        Subject::Generation {
            process,
            address,
            generation,
        }
    }
}

impl OperationId {
    pub(crate) fn subject(self) -> Subject {
        let Self {
            process,
            ring,
            sequence,
        } = self;
        Subject::Operation {
            process,
            ring,
            sequence,
        }
    }
}

/// From the leak that took its leases from 0 to 1 until they are 0 again.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) id: GenerationId,
    pub(crate) owner: Owner,
    pub(crate) ty: TypeId,
    pub(crate) leaked: EventId,
    pub(crate) leak_site: SiteId,
    pub(crate) leak_lane: u32,
    pub(crate) scope: u32,
    /// At its first leak a coroutine ran whose spawn is not known, and since before its scope began: it may be of
    /// the scope of that spawn.
    pub(crate) scope_unsure: bool,
    /// Raw handles that are out.
    pub(crate) leases: u32,
    /// Raw handles that ever went out, and that came back.
    pub(crate) handed: u32,
    pub(crate) returned: u32,
    /// What it was leaked as besides [`Generation::owner`] and [`Generation::ty`], and whether as more
    /// than that.
    pub(crate) also: Option<(Owner, TypeId)>,
    pub(crate) and_more: bool,
    /// There is no block, and its handles may be those of several owners; see [`is_nowhere`].
    pub(crate) nowhere: bool,
    /// Thread of its first leak.
    pub(crate) thread: Thread,
    /// Declared while it lives to be carried by several operations at once.
    pub(crate) shared: bool,
    /// Declared never to come back.
    pub(crate) forever: bool,
    /// Lane of the latest event about it.
    pub(crate) lane: u32,
    /// Looked at since its latest completion.
    pub(crate) peeked: bool,
    /// Said to be still held, or its ring was dropped with one of its operations in flight, and that
    /// is judged later.
    pub(crate) reported: bool,
    /// What is known of its operations, once one was submitted, and of handles that are more than one.
    pub(super) flight: Option<Box<Flight>>,
}

/// The operations that were bound to a generation, and what else few generations have.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    /// Operations that still owe a completion.
    pub(crate) in_flight: u32,
    /// Operations that owe one unless another in front of them ended them in silence: whether they still do, only
    /// that one tells.
    pub(crate) unsure: u32,
    /// Of those in flight, operations that were in flight when their ring was dropped: no completion comes.
    pub(crate) orphaned: u32,
    /// Operations that were ever bound to it, how many of them post nothing on success, the latest of
    /// them, and the latest completion of one.
    pub(crate) operations: u32,
    pub(crate) quiet: u32,
    /// The latest of those, its submission, and the ring's round then.
    pub(crate) quiet_latest: Option<(OperationId, EventId, u64)>,
    pub(crate) operation: Option<OperationId>,
    pub(crate) reaped: Option<Reaped>,
    /// Slots whose latest lap carried its cookie: ring and slot, a few of them.
    pub(crate) laps: Vec<(u32, u16)>,
    /// Another thread than that of its first leak touched its count.
    pub(crate) crossed: bool,
    /// The first handle that was seen was made by raising a count: another one was out before.
    pub(crate) retained: bool,
    /// Where its handles went out and came back, once there was more than one of them.
    pub(crate) places: Vec<Handles>,
    /// How often one was taken and given away again at once, which counts as neither.
    pub(crate) looks: u32,
}

/// Handles that went out at a place, or came back there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handles {
    pub(crate) site: SiteId,
    pub(crate) back: bool,
    pub(crate) count: u32,
    /// The first of them.
    pub(crate) first: EventId,
}

/// Places that a generation remembers its handles by.
const PLACES_MAX: usize = 16;

impl Flight {
    /// Of a generation that no operation carried yet.
    const NONE: Self = Self {
        in_flight: 0,
        unsure: 0,
        orphaned: 0,
        operations: 0,
        quiet: 0,
        quiet_latest: None,
        operation: None,
        reaped: None,
        laps: Vec::new(),
        crossed: false,
        retained: false,
        places: Vec::new(),
        looks: 0,
    };

    /// A handle went out at a place, or came back there. Those of places too many are not kept apart.
    pub(super) fn note_handle(&mut self, event: EventId, site: SiteId, back: bool) {
        let mut known = self.places.iter_mut();
        if let Some(place) = known.find(|place| (place.site, place.back) == (site, back)) {
            place.count = place.count.saturating_add(1);
        } else if self.places.len() < PLACES_MAX {
            let count = 1;
            self.places.push(Handles {
                site,
                back,
                count,
                first: event,
            });
        }
    }

    /// One that came back at a place had not.
    pub(super) fn forget_handle(&mut self, site: SiteId) {
        self.looks = self.looks.saturating_add(1);
        let mut places = self.places.iter_mut();
        if let Some(place) = places.find(|place| place.back && place.site == site) {
            place.count = place.count.saturating_sub(1);
        }
        self.places.retain(|place| place.count > 0);
    }

    /// Whether no operation owes anything any more, or may.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.in_flight <= self.orphaned && (self.operation.is_none() || self.reaped.is_some())
    }

    /// As new, but with the room that it has.
    pub(super) fn clear(&mut self) {
        // One after the other: put together elsewhere and copied, they would be read in other pieces than they were written
        // in.
        let Self {
            in_flight,
            unsure,
            orphaned,
            operations,
            quiet,
            quiet_latest,
            operation,
            reaped,
            laps,
            crossed,
            retained,
            places,
            looks,
        } = self;
        (*in_flight, *unsure, *orphaned) = (0, 0, 0);
        (*operations, *quiet, *looks) = (0, 0, 0);
        (*quiet_latest, *operation, *reaped) = (None, None, None);
        (*crossed, *retained) = (false, false);
        laps.clear();
        places.clear();
    }
}

/// A leak that begins a generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaked {
    pub(crate) number: u32,
    pub(crate) owner: Owner,
    pub(crate) ty: TypeId,
    pub(crate) event: EventId,
    pub(crate) site: SiteId,
    pub(crate) lane: u32,
    pub(crate) scope: u32,
    pub(crate) scope_unsure: bool,
    pub(crate) nowhere: bool,
    pub(crate) thread: Thread,
    pub(crate) forever: bool,
}

impl Generation {
    /// Of an address where nothing lived yet.
    pub(super) fn none(id: GenerationId) -> Self {
        Self {
            id,
            owner: Owner::Unknown,
            ty: TypeId(0),
            leaked: EventId(0),
            leak_site: SiteId(0),
            leak_lane: 0,
            scope: 0,
            scope_unsure: false,
            leases: 0,
            handed: 0,
            returned: 0,
            also: None,
            and_more: false,
            nowhere: false,
            thread: Thread::Lane(0),
            shared: false,
            forever: false,
            lane: 0,
            peeked: false,
            reported: false,
            flight: None,
        }
    }

    /// The next one at the same address, in the room of its predecessor.
    #[inline(always)]
    pub(super) fn begin(&mut self, leaked: Leaked) {
        // All of them, each where it lies: a whole new one would be put together elsewhere first.
        let Self {
            id,
            owner,
            ty,
            leaked: event,
            leak_site,
            leak_lane,
            scope,
            scope_unsure,
            leases,
            handed,
            returned,
            also,
            and_more,
            nowhere,
            thread,
            shared,
            forever,
            lane,
            peeked,
            reported,
            flight,
        } = self;
        id.number = leaked.number;
        *owner = leaked.owner;
        *ty = leaked.ty;
        *event = leaked.event;
        *leak_site = leaked.site;
        *leak_lane = leaked.lane;
        *scope = leaked.scope;
        *scope_unsure = leaked.scope_unsure;
        *leases = 1;
        *handed = 1;
        *returned = 0;
        *also = None;
        *and_more = false;
        *nowhere = leaked.nowhere;
        *thread = leaked.thread;
        *shared = false;
        *forever = leaked.forever;
        *lane = leaked.lane;
        *peeked = false;
        *reported = false;
        if let Some(flight) = flight {
            flight.clear();
        }
    }

    /// Operations bound to it that still owe a completion, on rings that are there.
    pub(crate) fn flying(&self) -> u32 {
        let flight = self.flight.as_ref();
        flight.map_or(0, |flight| flight.in_flight.saturating_sub(flight.orphaned))
    }

    /// What is known of its operations.
    pub(crate) fn flight(&self) -> &Flight {
        static NONE: Flight = Flight::NONE;
        self.flight.as_deref().unwrap_or(&NONE)
    }

    pub(super) fn flight_mut(&mut self) -> &mut Flight {
        self.flight.get_or_insert_with(|| Box::new(Flight::NONE))
    }

    /// Whether only one raw handle can exist, so that a leak proves that there was none before it.
    pub(crate) fn is_sole_owner(&self) -> bool {
        is_sole(self.owner) && !self.nowhere
    }
}

/// A thread: its kernel's id where that is known, else its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Thread {
    Id(u32),
    Lane(u32),
}

/// Whether a pointer points to no block at all, so that others have the same one: a box or a vector of
/// nothing, and a weak handle that never had a value.
pub(crate) fn is_nowhere(recording: &Recording, pointer: &Pointer) -> bool {
    match pointer.owner {
        Owner::Box | Owner::Vec => {
            let ty = recording.ty(pointer.ty);
            ty.size == 0 && ty.align != 0
        }
        Owner::RcWeak | Owner::ArcWeak => pointer.address == u64::MAX,
        _ => false,
    }
}

/// Owners of which there is one for each block.
pub(crate) fn is_sole(owner: Owner) -> bool {
    matches!(
        owner,
        Owner::Box | Owner::CString | Owner::Vec | Owner::Index
    )
}

/// A completion that the program took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reaped {
    pub(crate) event: EventId,
    pub(crate) ring: u32,
    /// Round of the ring at that time; see [`RingState::round`].
    pub(crate) round: u64,
    /// It was passed by, and nothing had shown it to the program.
    pub(crate) unread: bool,
}

/// A generation that ended: the tombstone of its address.
#[derive(Clone, Debug)]
pub(crate) struct Dead {
    pub(crate) generation: Generation,
    pub(crate) reclaimed: EventId,
    pub(crate) reclaim_site: SiteId,
}

/// What a cookie stands for at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Standing<'a> {
    /// A generation that is alive.
    Live(&'a Generation),
    /// Its newest generation ended.
    Dead(&'a Dead),
    /// Nothing is known of it.
    Unknown,
}

/// A submitted operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: OperationId,
    /// How the slots of its ring are filled, where the ring's creation was seen.
    pub(crate) ring_kind: Option<RingKind>,
    pub(crate) submit: EventId,
    pub(crate) lane: u32,
    pub(crate) entry: Submit,
    pub(crate) cookie_state: CookieState,
    /// How often its slot was filled by then.
    pub(crate) filled: Filled,
    pub(crate) scope: u32,
    /// Subsystem that its thread worked for.
    pub(crate) label: StringId,
    /// How many completions it posts, and whether it is sure to post one.
    pub(crate) owes: Owes,
    pub(crate) sure: bool,
    /// A cancellation of it succeeded, or something that may have been one.
    pub(crate) cancelled: bool,
    /// The same by a request that says nothing if it succeeds.
    pub(crate) cancelled_quietly: bool,
    /// Its coroutine was dropped, or it was asked to be cancelled.
    pub(crate) abandoned: Option<EventId>,
    /// Enters of its ring that took all they offered before it went in.
    pub(crate) passes: u32,
    /// Generation that was alive at its cookie when it was submitted.
    pub(crate) generation: Option<GenerationId>,
    /// Where that life began.
    pub(crate) alive_since: Option<EventId>,
    /// Operations that already carried the cookie when it went in were as many as its leases.
    pub(crate) exceeds: bool,
    /// When the kernel took it, as far as was seen.
    pub(crate) consumed: Option<EventId>,
    pub(crate) completions: u32,
    pub(crate) first_completion: Option<EventId>,
    pub(crate) latest_completion: Option<EventId>,
    /// Generation alive at its cookie when its completion was taken.
    pub(crate) reaped_on: Option<GenerationId>,
    /// A completion could have been this one's or another's.
    pub(crate) ambiguous: bool,
    /// What it was before a request that may have renamed it and will say so only where it did not.
    pub(super) before: Option<Box<super::renames::Before>>,
    /// Where the handle was taken back that it needs.
    pub(crate) reclaimed: Option<(EventId, SiteId)>,
    /// Whom its completion resumed.
    pub(crate) polled: Option<Poll>,
    /// Whose cookie its slot held before.
    pub(crate) lap: Option<Box<Lap>>,
}

/// A coroutine resumed by a completion, and what it was doing then.
#[derive(Clone, Debug)]
pub(crate) struct Poll {
    pub(crate) event: EventId,
    pub(crate) coroutine: u32,
    pub(crate) found: Found,
}

/// What a resume found its coroutine doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Waiting for this cookie, with nothing of it in flight besides.
    Waiting,
    /// Waiting for this cookie, while the operation that it waits for is still in flight.
    TooEarly {
        /// That operation.
        operation: OperationId,
        /// Its slot.
        slot: u16,
        /// Its opcode.
        opcode: u8,
    },
    /// Waiting for other cookies only.
    Elsewhere,
    /// Running, or resumed before without a suspension since.
    Running,
    /// It had returned its result.
    Done,
    /// Its future had been dropped.
    Dropped,
    /// Never seen before, or waiting for something that was not said.
    Unknown,
}

/// What a slot of the submission queue held on its latest lap.
#[derive(Clone, Debug)]
pub(crate) struct Lap {
    pub(crate) sequence: u64,
    pub(crate) submit: EventId,
    pub(crate) opcode: u8,
    pub(crate) site: SiteId,
    pub(crate) cookie: u64,
    pub(crate) state: CookieState,
    /// It is 0, and somebody set it: here, or before, and it stayed.
    pub(crate) zero_was_set: bool,
    /// How often the slot was filled by then.
    pub(crate) filled: Filled,
    /// The entry but for its place.
    pub(crate) entry: Submit,
    pub(crate) generation: Option<GenerationId>,
    pub(crate) leaked: Option<(EventId, SiteId)>,
    pub(crate) reclaimed: Option<(EventId, SiteId)>,
}

/// A completion that resumed nobody yet.
#[derive(Clone, Debug)]
pub(crate) struct Credit {
    pub(crate) completion: EventId,
    pub(crate) at_ns: u64,
    pub(crate) lane: u32,
    /// Address and generation that it is about; generation 0 for none.
    pub(crate) about: (u64, u32),
    pub(crate) round: u64,
    pub(crate) operation: Option<OperationId>,
    /// Its submission.
    pub(crate) submit: Option<EventId>,
    /// The operation itself where it ended and its rule waits for what comes of it.
    pub(crate) flagged: Option<Box<Operation>>,
}

/// A completion that resumed a coroutine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) completion: EventId,
    pub(crate) resume: EventId,
    pub(crate) coroutine: u32,
    pub(crate) operation: Option<OperationId>,
    /// Its submission.
    pub(crate) submit: Option<EventId>,
}

/// A ring and what flies on it.
#[derive(Debug, Default)]
pub(crate) struct RingState {
    pub(crate) info: Option<Ring>,
    /// Where it was made.
    pub(crate) made: Option<EventId>,
    /// Lane that made it, where that was seen.
    pub(crate) maker: Option<u32>,
    pub(crate) dropped: Option<EventId>,
    /// So many of its next completions in a lane were passed by, and nothing had shown them to the program.
    pub(crate) unread: (u32, u32),
    /// Slots that were claimed and not submitted since, and the lane that claimed the latest of them.
    pub(crate) claimed: u32,
    pub(crate) claim_lane: u32,
    pub(crate) latest_submit: Option<EventId>,
    pub(crate) latest_enter: Option<EventId>,
    /// Submitted and not taken by the kernel yet.
    pub(crate) queue: VecDeque<u64>,
    /// Enters that took all they offered, and left some that could have been offered.
    pub(crate) passes: u32,
    /// Submitted and not complete.
    pub(crate) flying: FxHashMap<u64, Box<Operation>>,
    pub(crate) by_cookie: FxHashMap<u64, Sequences>,
    pub(crate) laps: FxHashMap<u16, Box<Lap>>,
    /// Operations of slots that were perhaps filled once for good, by slot.
    pub(super) perhaps_forgotten: super::filled::Kept,
    pub(crate) zeros: super::zeros::Zeros,
    /// Completions taken one after the other are one round: a program that takes a batch and then
    /// works through it has not gone on before the next round.
    pub(crate) round: u64,
    pub(crate) in_batch: bool,
    pub(crate) completions: u64,
    /// Who was resumed by an operation in flight, before anything was taken here.
    pub(super) early: Vec<Early>,
    /// Completions that the kernel keeps for want of room, as last seen, and since when.
    pub(crate) overflow: Option<Overflow>,
    /// Indices of completions taken out of order, where each was taken and for what; newest last.
    pub(crate) indices: FxHashMap<u32, (EventId, Option<OperationId>)>,
    pub(crate) index_order: VecDeque<u32>,
    pub(crate) chains: super::expect::Chains,
    /// Cancellations of many at once.
    pub(crate) cancels: super::cancels::Cancelled,
    /// Operations that were looked at for those that a request named in part.
    pub(crate) looked_at: u64,
    /// So many were renamed at once that nobody knows any more what each is called.
    pub(crate) names_are_lost: bool,
    /// Somebody asked for an operation to be given another name.
    pub(super) has_renamed: bool,
    /// Cookies of which that was, each with the latest operation that carried it then.
    pub(super) lost_names: FxHashMap<u64, u64>,
    /// Operations that may have ended without a completion, oldest first.
    pub(crate) unsure: VecDeque<u64>,
    /// A completion came for an operation that no enter had taken: enters are not all recorded.
    pub(crate) books_are_wrong: bool,
    /// Ended operations by cookie, and their cookies oldest first; whether some were forgotten.
    pub(crate) past: FxHashMap<u64, Past>,
    pub(crate) past_order: VecDeque<u64>,
    pub(crate) past_forgotten: bool,
    /// What may still come of those that may have ended in silence.
    pub(super) silent_forgotten: Silent,
    /// The leak that proves that cookies are pointers here.
    pub(crate) proof: Option<EventId>,
    /// Operations without a cookie that wait for such a proof, a few of them.
    pub(crate) unset: Vec<Operation>,
    /// Those in whose slots nobody ever set one, which wait for any cookie that is set, a few of them.
    pub(crate) fresh: Vec<Operation>,
    /// And those whose slots held a 0 that was set.
    pub(crate) behind_zero: Vec<Operation>,
    pub(crate) credits: FxHashMap<u64, Credits>,
    /// How many completions of a cookie had to be forgotten although they may still resume somebody,
    /// and the round of the latest of them.
    pub(crate) forgotten: FxHashMap<u64, (u64, u64)>,
    /// Cookies of completions that had resumed nobody when they were forgotten with their time, and have not since.
    pub(crate) late: Late,
    /// Rounds and cookies of credits, oldest first.
    pub(crate) credit_order: VecDeque<(u64, u64)>,
    pub(crate) delivered: FxHashMap<u64, Delivered>,
    /// Operations that were pending when it was dropped, and are not known any more.
    pub(crate) pending_before: u64,
}

impl RingState {
    /// A completion was taken so long ago that it is kept no more.
    pub(super) fn is_late(&mut self, cookie: u64) {
        self.late.add(cookie);
        // What was delivered before says nothing of it.
        self.delivered.remove(&cookie);
    }

    /// Operations in flight that are sure to post a completion.
    pub(crate) fn pending(&self) -> u64 {
        let flying = self.flying.values().filter(|operation| operation.sure);
        self.pending_before.saturating_add(flying.count() as u64)
    }

    /// Whether an operation with this cookie is in flight.
    pub(crate) fn carries(&self, cookie: u64) -> bool {
        let sequences = self.by_cookie.get(&cookie).into_iter().flatten();
        sequences
            .into_iter()
            .any(|sequence| self.flying.contains_key(sequence))
    }

    /// Forgets that an operation had this cookie: it is in flight no more, or has another one.
    pub(crate) fn forget_cookie(&mut self, cookie: u64, sequence: u64) {
        if let Some(sequences) = self.by_cookie.get_mut(&cookie) {
            sequences.remove(sequence);
            if sequences.is_empty() {
                self.by_cookie.remove(&cookie);
            }
        }
    }
}

/// The latest operation that ended with a cookie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    pub(crate) operation: OperationId,
    pub(crate) opcode: u8,
    pub(crate) slot: u16,
    pub(crate) site: SiteId,
    pub(crate) submit: EventId,
    /// Its last completion; nothing where it was forgotten because it may never post any.
    pub(crate) completion: Option<EventId>,
    /// What may still come of such with this cookie.
    pub(crate) silent: Silent,
}

/// What may come of operations that were forgotten because they may never post any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silent {
    /// So many that post nothing when all goes well, and one completion else.
    count: u32,
    /// One of them fails where it did less than was asked for, and says how much.
    falls_short: bool,
    /// One behind them was to post whatever becomes of it.
    may_be_any: bool,
}

impl Silent {
    /// Of one operation.
    pub(super) fn of(operation: &Operation) -> Self {
        let is_quiet = operation.owes == Owes::OnlyFailure;
        Self {
            count: u32::from(is_quiet),
            falls_short: is_quiet && may_be_failure(operation.entry.opcode, 0),
            may_be_any: !is_quiet,
        }
    }

    /// As many more.
    pub(super) fn add(&mut self, more: Self) {
        self.count = self.count.saturating_add(more.count);
        self.falls_short |= more.falls_short;
        self.may_be_any |= more.may_be_any;
    }

    /// Whether a result may be one of theirs.
    pub(crate) fn fits(&self, result: i32) -> bool {
        self.may_be_any || (self.count > 0 && (result < 0 || self.falls_short))
    }

    /// One of theirs came, and no other comes of it. Gives whether it was.
    pub(super) fn took(&mut self, result: i32) -> bool {
        let fits = self.fits(result);
        if fits && !self.may_be_any {
            self.count = self.count.saturating_sub(1);
        }
        fits
    }
}

/// Completions that found no room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overflow {
    pub(crate) count: u64,
    pub(crate) since: EventId,
    pub(crate) since_ns: u64,
    /// Times that the program looked at the queue since then.
    pub(crate) looks: u32,
}

/// How it is known that a ring's cookies are pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pointers {
    /// A scheme says so.
    Declared,
    /// A leaked pointer was seen as one.
    Proved(EventId),
    /// It is not, or they are said to be something else.
    No,
}

/// A ring that was dropped with operations in flight.
#[derive(Debug)]
pub(crate) struct RingDrop {
    pub(crate) event: EventId,
    pub(crate) ring: u32,
    /// Not judged yet, oldest first.
    pub(crate) flown: Vec<Flown>,
}

/// An operation that was in flight when its ring was dropped.
#[derive(Debug)]
pub(crate) struct Flown {
    pub(crate) operation: Operation,
    /// What it held, as it was then.
    pub(crate) generation: Generation,
    /// The first one that was seen of its generation.
    pub(crate) first: bool,
}

/// A coroutine.
#[derive(Clone, Debug)]
pub(crate) struct Coroutine {
    pub(crate) process: u32,
    pub(crate) number: u32,
    /// Its spawn, where that was seen.
    pub(crate) spawned: Option<EventId>,
    pub(crate) spawn_site: SiteId,
    pub(crate) ty: TypeId,
    pub(crate) scope: u32,
    pub(crate) doing: Doing,
    /// What ran on its lane when it was resumed, and runs on when it is done or suspended.
    pub(crate) outer: Option<u32>,
    /// The latest time that something else than a completion resumed it from a wait.
    pub(crate) woken: Option<Woken>,
    /// A terminal completion that it waits for was taken, and it was not resumed since.
    pub(crate) owed: Option<Owed>,
    /// Where and when it was woken first since it was suspended.
    pub(crate) awoken: Option<(EventId, u64)>,
}

impl Coroutine {
    pub(crate) fn subject(&self) -> Subject {
        Subject::Coroutine {
            process: self.process,
            coroutine: self.number,
        }
    }
}

/// A resume by an operation that was in flight.
#[derive(Clone, Debug)]
pub(crate) struct Early {
    pub(crate) event: EventId,
    pub(crate) coroutine: Coroutine,
    pub(crate) found: Found,
    pub(crate) operation: OperationId,
}

/// A resume by something else than a completion, from a wait for some.
#[derive(Clone, Debug)]
pub(crate) struct Woken {
    /// The wait.
    pub(crate) suspended: EventId,
    /// Its end.
    pub(crate) resumed: EventId,
    /// What it waited for.
    pub(crate) cookies: Vec<u64>,
}

/// What a coroutine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Spawned and not polled yet, or first heard of.
    Fresh,
    /// Polled at this event.
    Running(EventId),
    /// Returned pending.
    Suspended {
        /// At this event.
        event: EventId,
        /// Of this lane.
        lane: u32,
        /// What it said it waits for; empty where it did not say.
        cookies: Vec<u64>,
    },
    /// Returned its result.
    Done(EventId),
    /// Its future was dropped.
    Dropped(EventId),
}

/// A completion that should have resumed a coroutine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    pub(crate) completion: EventId,
    /// When the latest of those that it waits for was taken.
    pub(crate) at_ns: u64,
    pub(crate) lane: u32,
    pub(crate) cookie: u64,
    pub(crate) ring: u32,
    /// The ring and its round of the latest.
    pub(crate) latest: (u32, u64),
    pub(crate) operation: Option<OperationId>,
    /// Its submission.
    pub(crate) submit: Option<EventId>,
    pub(crate) generation: Option<GenerationId>,
    /// The operation was cancelled, or somebody asked for that.
    pub(crate) cancelled: bool,
    /// The coroutine was woken since.
    pub(crate) woken: bool,
}

/// A coroutine that was dropped in the batch in which what it waited for was taken, and nobody woke it.
#[derive(Clone, Debug)]
pub(crate) struct Unwoken {
    /// As it was before.
    pub(crate) coroutine: Coroutine,
    pub(crate) owed: Owed,
    pub(crate) drop: EventId,
    /// Others were resumed afterwards: it was no teardown.
    pub(crate) went_on: bool,
}
