//! Descriptors that completions brought for operations that nobody wanted any more.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Observer;
use super::buffers;
use super::expect::Owes;
use super::finish::End;
use super::moment::Moment;
use super::opcodes as op;
use super::state::State;
use super::things::{Doing, Operation};
use crate::event::{Completion, Event, EventId};

/// Results that are kept.
const RESULTS_MAX: usize = 1 << 14;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// Processes that say what they open and close.
    pub(super) recorded: FxHashSet<u32>,
    /// By process and number.
    open: FxHashMap<(u32, i32), Unwanted>,
}

#[derive(Debug)]
struct Unwanted {
    event: EventId,
    operation: Operation,
    abandoned: EventId,
    round: u64,
}

impl Results {
    /// Somebody used, closed or took over a descriptor.
    pub(super) fn used(&mut self, process: u32, fd: i32) {
        self.open.remove(&(process, fd));
    }
}

impl State {
    /// Notes that a dropped coroutine's operations are wanted by nobody.
    pub(super) fn abandon_waits(&mut self, event: &Event, number: u32) {
        let process = event.process;
        if !self.results.recorded.contains(&process) {
            return;
        }
        let coroutine = self.coroutines.get(&(process, number));
        let Some(Doing::Suspended { cookies, .. }) = coroutine.map(|coroutine| &coroutine.doing)
        else {
            return;
        };
        self.rings.each_live(process, |ring| {
            for cookie in cookies {
                for sequence in ring.by_cookie.get(cookie).into_iter().flatten() {
                    if let Some(operation) = ring.flying.get_mut(sequence) {
                        operation.abandoned.get_or_insert(event.id);
                    }
                }
            }
        });
    }

    /// An operation uses descriptors, or closes one.
    pub(super) fn use_descriptors(&mut self, operation: &Operation, observer: &Observer<'_>) {
        let process = operation.id.process;
        let entry = &operation.entry;
        let closes = entry.opcode == op::CLOSE && entry.file_index == 0;
        let closed = closes.then_some(entry.fd);
        // Who has it closed has taken it over, and what opens the number later is another file.
        if let Some(fd) = closed {
            self.open.taken_over(process, fd);
            self.closing(operation, observer);
        }
        if operation.owes == Owes::OnlyFailure {
            self.shut_down(operation);
        }
        for fd in buffers::descriptors(entry).chain(closed) {
            self.results.used(process, fd);
            self.open.named(operation.id, fd);
        }
    }

    /// Keeps a completion's result if it is a descriptor and its operation was given up.
    pub(super) fn note_result(
        &mut self,
        event: &Event,
        operation: &Operation,
        completion: &Completion,
        observer: &mut Observer<'_>,
    ) {
        let id = operation.id;
        let recorded = self.results.recorded.contains(&id.process);
        if !recorded || completion.res < 0 || !buffers::gives_descriptor(&operation.entry) {
            return;
        }
        let key = (id.process, completion.res);
        self.open.brought(id.process, completion.res);
        // Of several with one cookie another one's result may be a count.
        if !operation.ambiguous {
            self.show_closed_in_flight(event, completion.res, observer);
        }
        self.named_an_older_one(event, completion.res);
        self.results.open.remove(&key);
        let round = self.rings.round(&(id.process, id.ring));
        if let Some(abandoned) = operation.abandoned.filter(|_| !operation.ambiguous)
            && self.results.open.len() < RESULTS_MAX
        {
            let unwanted = Unwanted {
                event: event.id,
                operation: operation.clone(),
                abandoned,
                round,
            };
            self.results.open.insert(key, unwanted);
        }
    }

    pub(super) fn results_at_end(&self, end: &End, observer: &mut Observer<'_>) {
        let open = self.results.open.iter();
        let mut open: Vec<_> = open
            .filter(|((process, _), _)| *process == end.process)
            .collect();
        open.sort_by_key(|(_, unwanted)| unwanted.event);
        for ((process, fd), unwanted) in open {
            let ring = (*process, unwanted.operation.id.ring);
            let round = self.rings.round(&ring);
            observer.see(&Moment::ResultLost {
                event: unwanted.event,
                fd: *fd,
                operation: &unwanted.operation,
                abandoned: unwanted.abandoned,
                until: end.at,
                rounds: round.saturating_sub(unwanted.round),
                clean: end.clean || self.is_over(*process, ring.1, unwanted.operation.scope),
            });
        }
    }
}
