//! Rules: each looks at the moments of the model and says what is wrong.
//!
//! A rule is one file: a head that says when it fires, when it stays silent and where it points, one
//! [`Rule`], one pure check, its tests. [`ALL`] is the only list of them; the manual is made from it.
//!
//! A rule does not decide alone. It says which stretch of the recording its sentence rests on, and
//! where records are missing in that stretch, the sentence becomes a *cannot tell*; so it does where the
//! order of what it rests on is not known, because times are by batch.

mod draft;
mod explain;
mod fold;
pub mod levels;
#[cfg(test)]
#[path = "../../tests/support/mod.rs"]
pub(crate) mod support;
#[cfg(test)]
mod testing;

mod t01_unset_cookie;
mod t02_leftover_cookie;
mod t03_stale_cookie;
mod t04_reused_identity;
mod t05_cookie_in_flight_twice;
mod t06_extra_completion;
mod t07_reclaimed_in_flight;
mod t08_reclaimed_twice;
mod t09_never_reclaimed;
mod t10_resumed_twice;
mod t11_never_resumed;
mod t12_unknown_cookie;
mod t13_wrong_owner;
mod t14_wrong_type;
mod t15_ambiguous_cancel;
mod t16_buffer_freed_in_flight;
mod t17_overflow_stall;
mod t18_stranded_submission;
mod t19_buffer_id_lost;
mod t20_count_drift;
mod t21_completion_read_twice;
mod t22_owner_without_completion;
mod t23_sentinel_clash;
mod t24_result_lost;
mod t25_truncated_cookie;
mod t26_overlapping_borrow;
mod t27_uninitialised_to_kernel;

pub(crate) use draft::{Draft, Drafts, History, Key};
pub use explain::{explain, list};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::event::{Event, EventId, LossReason, SiteId};
use crate::finding::{Confidence, Doubt, Finding, RuleId, Severity, Subject};
use crate::model::{
    Asked, Back, Coroutine, GenerationId, Handled, Losses, Moment, Observer, Operation, Sharing,
    Survey, Thing, Unordered,
};
use crate::names::Names;
use crate::recording::{Capture, Lasting};

/// Every rule, by id.
pub static ALL: &[&Rule] = &[
    &t01_unset_cookie::RULE,
    &t02_leftover_cookie::RULE,
    &t03_stale_cookie::RULE,
    &t04_reused_identity::RULE,
    &t05_cookie_in_flight_twice::RULE,
    &t06_extra_completion::RULE,
    &t07_reclaimed_in_flight::RULE,
    &t08_reclaimed_twice::RULE,
    &t09_never_reclaimed::RULE,
    &t10_resumed_twice::RULE,
    &t11_never_resumed::RULE,
    &t12_unknown_cookie::RULE,
    &t13_wrong_owner::RULE,
    &t14_wrong_type::RULE,
    &t15_ambiguous_cancel::RULE,
    &t16_buffer_freed_in_flight::RULE,
    &t17_overflow_stall::RULE,
    &t18_stranded_submission::RULE,
    &t19_buffer_id_lost::RULE,
    &t20_count_drift::RULE,
    &t21_completion_read_twice::RULE,
    &t22_owner_without_completion::RULE,
    &t23_sentinel_clash::RULE,
    &t24_result_lost::RULE,
    &t25_truncated_cookie::RULE,
    &t26_overlapping_borrow::RULE,
    &t27_uninitialised_to_kernel::RULE,
];

/// One rule: what it is called, what it says of itself, and its check.
#[derive(Debug)]
pub struct Rule {
    /// Stable id.
    pub id: RuleId,
    /// Stable name.
    pub name: &'static str,
    /// When it fires, on a line.
    pub brief: &'static str,
    /// How much its findings matter.
    pub severity: Severity,
    /// When it fires.
    pub fires: &'static str,
    /// When it stays silent although it might seem otherwise.
    pub silent: &'static str,
    /// What must have been recorded.
    pub needs: &'static str,
    /// Which event it points at.
    pub points_at: &'static str,
    /// A real bug that it is about.
    pub example: &'static str,
    /// Where that bug was reported.
    pub source: &'static str,
    /// What to try next.
    pub advice: &'static str,
    pub(crate) check: fn(&Moment<'_>, &mut Judge<'_>),
}

/// The rule of an id.
pub fn rule(id: RuleId) -> Option<&'static Rule> {
    ALL.iter().copied().find(|rule| rule.id == id)
}

/// The rule of an id or a name, as somebody types it: `T02`, `t2`, `leftover-cookie`.
pub fn find(text: &str) -> Option<&'static Rule> {
    let number = text
        .strip_prefix(['T', 't'])
        .and_then(|digits| digits.parse().ok());
    ALL.iter()
        .copied()
        .find(|rule| Some(rule.id.0) == number || rule.name == text)
}

/// What a check has to speak with.
pub(crate) struct Judge<'a> {
    rule: &'static Rule,
    names: Names<'a>,
    /// What is missing, which nobody asks but [`Judge::loss`] and [`Judge::began_before_the_window`]: neither the model nor a
    /// rule itself does. The first asks nothing while rules only say what they will look back at, so that nothing has to be
    /// known then of losses that are still to come; the second has to be right with what was met by then.
    losses: &'a Losses,
    survey: Option<&'a Survey>,
    sharing: &'a Sharing,
    back: Back<'a>,
    asked: Option<&'a Asked>,
    drafts: &'a mut Drafts,
    pushes: &'a FxHashMap<EventId, EventId>,
}

impl Judge<'_> {
    /// Names for the sentence.
    pub(crate) fn names(&self) -> Names<'_> {
        self.names
    }

    /// ` at conn.rs:88`, or nothing where the place is not known.
    pub(crate) fn at(&self, site: SiteId) -> String {
        match self.names.site(site).as_str() {
            "?" => String::new(),
            site => format!(" at {site}"),
        }
    }

    /// `; spawned at main.rs:3, its operation submitted at conn.rs:88`, as far as that is known: completions
    /// and resumes have no place of their own.
    pub(crate) fn places_of(&self, coroutine: &Coroutine, submit: Option<EventId>) -> String {
        let spawned = self.at(coroutine.spawn_site);
        let submitted = submit.map_or(String::new(), |submit| self.at(self.site_of(submit)));
        match (spawned.is_empty(), submitted.is_empty()) {
            (true, true) => String::new(),
            (false, true) => format!("; it was spawned{spawned}"),
            (true, false) => format!("; the operation was submitted{submitted}"),
            (false, false) => {
                format!("; it was spawned{spawned}, and the operation submitted{submitted}")
            }
        }
    }

    /// `operation #4812 (ring 0, slot 7, NOP) at conn.rs:88`
    pub(crate) fn operation(&self, operation: &Operation) -> String {
        let (id, entry) = (operation.id, &operation.entry);
        let name = self
            .names
            .operation(id.ring, id.sequence, entry.slot, entry.opcode);
        format!("{name}{}", self.at(SiteId(entry.site)))
    }

    /// `Conn#12 0x55d0c2e0@3`
    pub(crate) fn generation(&self, id: GenerationId) -> String {
        self.names.generation(id.process, id.address, id.number)
    }

    /// The place of an event in the source.
    pub(crate) fn site_of(&self, event: EventId) -> SiteId {
        if let Some(asked) = self.asked {
            asked.event(event);
        }
        self.back.site(event)
    }

    /// Whether who gives pointers away is known from probes of the program's functions alone.
    pub(crate) fn is_probed(&self, process: u32) -> bool {
        self.is_by_shim(process) && self.names.recording.probed(process)
    }

    /// Whether the shim recorded a process.
    pub(crate) fn is_by_shim(&self, process: u32) -> bool {
        let own = self.names.recording.process(process);
        own.is_some_and(|own| own.capture == Capture::Preload)
    }

    /// Whether nobody reads what is said yet: of a draft no more is asked for than what it rests on, and whose life it
    /// is about.
    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Says it, unless missing records could explain it, or another order.
    pub(crate) fn say(&mut self, mut draft: Draft) {
        let message = std::mem::take(&mut draft.finding.message);
        self.say_with(draft, |_| message);
    }

    /// As [`Judge::say`], with a sentence that is put together where somebody reads it: a rule may have as much to say as
    /// there are things, most of which is only counted. The sentence must not ask for an event's place.
    pub(crate) fn say_with(&mut self, draft: Draft, message: impl FnOnce(&Self) -> String) {
        let recording = self.names.recording;
        let capture = recording
            .process(draft.process())
            .map_or(Capture::Linked, |process| process.capture);
        let probed = self.is_probed(draft.process());
        let is_by_kernel = draft.by_kernel.is_some();
        if !is_by_kernel && !levels::speaks(self.rule.id, capture, probed) {
            return;
        }
        let draft = if !is_by_kernel && probed && levels::only_suspects(self.rule.id) {
            draft.confidence(Confidence::Suspected)
        } else {
            draft
        };
        let draft = draft.and_pushes(self.pushes);
        if let Some(asked) = self.asked {
            asked.rule(self.rule.id);
            return draft.ask(asked);
        }
        let mut draft = draft.of(self.rule).placed(self.back);
        let of_itself = draft
            .doubt
            .map(|(doubt, clause)| (doubt, clause.to_owned()));
        let doubt = of_itself
            .or_else(|| self.loss(&draft))
            .or_else(|| self.order(&draft));
        if self.drafts.keeps(&draft, doubt.is_some()) {
            draft.finding.message = message(self);
        }
        self.drafts.push(draft, doubt);
    }

    fn loss(&self, draft: &Draft) -> Option<(Doubt, String)> {
        let from = match draft.history {
            History::Own => return None,
            History::Since(_) if draft.needs_lasting && self.lasting(draft.process()).is_none() => {
                0
            }
            History::Since(event) => event.0,
            History::Whole => 0,
        };
        let until = self.had_happened_by(draft.until.unwrap_or(draft.seen_at));
        let of_process = |process| self.losses.between(process, from, until);
        let of_kernel = || draft.by_kernel.and_then(of_process);
        let of_sender = || {
            let may_be = || self.losses.may_be_a_message(draft.process(), until);
            (draft.is_of_message && may_be()).then_some(LossReason::RingNotFollowed)
        };
        let reason = of_process(draft.process())
            .or_else(of_kernel)
            .or_else(of_sender)?;
        let word = crate::text::loss_reason(reason);
        let clause = format!("records are missing that may explain it ({word})");
        Some((Doubt::Lost(reason), clause))
    }

    /// What is known of a process whatever is missing, where that is all that lasts.
    fn lasting(&self, process: u32) -> Option<&Lasting> {
        let lasting = &self.names.recording.process(process)?.lasting;
        lasting.is_whole.then_some(lasting)
    }

    /// Whether a process declared no cookie as shared for certain, whatever is missing.
    pub(crate) fn knows_no_shared(&self, process: u32) -> bool {
        self.lasting(process).is_some_and(|lasting| !lasting.shares)
    }

    /// The event by which another had happened: where times are by batch, that is not itself.
    fn had_happened_by(&self, event: EventId) -> EventId {
        if !self.sharing.knows_batches() {
            return event;
        }
        let lane = self.back.with(event, |event| event.lane);
        lane.map_or(event, |lane| self.sharing.end(lane, event))
    }

    /// Whether only what was overwritten keeps it from being told what a count was when its first handle was
    /// seen: the recording's window opened on something that lived already.
    pub(crate) fn began_before_the_window(
        &self,
        process: u32,
        first: EventId,
        until: EventId,
    ) -> bool {
        match self.survey {
            Some(survey) => survey.opened_behind(process, first),
            None => {
                let until = self.had_happened_by(until);
                self.losses.opened_behind(process, first, until)
            }
        }
    }

    fn order(&self, draft: &Draft) -> Option<(Doubt, String)> {
        let Finding {
            subject,
            first_cause,
            evidence,
            ..
        } = &draft.finding;
        let ids = evidence.iter().map(|evidence| evidence.event);
        let ids = std::iter::once(*first_cause).chain(ids);
        let process = draft.process();
        if !self.sharing.is_by_batch(process) {
            return None;
        }
        let events: Vec<Event> = ids
            .filter_map(|id| self.back.with(id, Event::clone))
            .collect();
        let unordered = self.sharing.unordered((process, *subject), &events)?;
        let clause = format!(
            "the recording's times are by batch, and {}: in which order is not known. Record with \
             `--time=event` to be told",
            self.used_by(process, *subject, &unordered)
        );
        Some((Doubt::TimesByBatch, clause))
    }

    /// `Conn#12 0x55d0c2e0@3 was used by 2 threads`
    fn used_by(&self, process: u32, subject: Subject, unordered: &Unordered) -> String {
        let what = match (unordered.thing, subject) {
            (
                Some(Thing::Address(at)),
                Subject::Generation {
                    address,
                    generation,
                    ..
                },
            ) if at == address && generation > 0 => {
                self.names.generation(process, address, generation)
            }
            (Some(Thing::Address(address)), _) => format!("{address:#x}"),
            (Some(Thing::Ring(ring)), _) => format!("ring {ring}"),
            (Some(Thing::Coroutine(number)), _) => self.names.coroutine(process, number),
            (Some(Thing::Descriptor(fd)), _) => format!("descriptor {fd}"),
            (Some(Thing::Message(cookie)), _) => format!("the message {cookie:#x}"),
            (None, _) => "what it rests on".to_owned(),
        };
        let lanes = unordered.lanes.iter();
        let threads = lanes.map(|lane| {
            let tid = self.names.recording.lane(*lane).map_or(0, |lane| lane.tid);
            // Lanes of one thread: its own, and that of its signal handlers.
            if tid == 0 {
                (*lane, 0)
            } else {
                (u32::MAX, tid)
            }
        });
        match threads.collect::<FxHashSet<_>>().len() {
            0 => format!("{what} is one of too many things to find out which threads used it"),
            1 => format!("{what} was used by a thread and its signal handlers"),
            count => format!("{what} was used by {count} threads"),
        }
    }
}

/// Hands a moment to the rules that look at its kind.
#[inline]
pub(crate) fn judge(observer: &mut Observer<'_>, moment: &Moment<'_>) {
    #[cfg(test)]
    unconcerned_are_silent(observer, moment);
    let rules = concerned(moment);
    let Some(first) = rules.first() else { return };
    let mut judge = Judge {
        rule: first,
        names: Names {
            recording: observer.recording,
            objects: &observer.objects,
        },
        losses: &observer.losses,
        survey: observer.survey.as_ref(),
        sharing: &observer.sharing,
        back: observer.back,
        asked: observer.asked,
        drafts: &mut observer.drafts,
        pushes: &observer.pushes,
    };
    for rule in rules {
        judge.rule = rule;
        (rule.check)(moment, &mut judge);
    }
}

/// In every test that judges: a rule that [`concerned`] leaves out of a moment has nothing to say of it.
#[cfg(test)]
fn unconcerned_are_silent(observer: &Observer<'_>, moment: &Moment<'_>) {
    let concerned = concerned(moment);
    for rule in ALL {
        if concerned.iter().any(|one| one.id == rule.id) {
            continue;
        }
        let mut drafts = Drafts::default();
        let mut judge = Judge {
            rule,
            names: Names {
                recording: observer.recording,
                objects: &observer.objects,
            },
            losses: &observer.losses,
            survey: observer.survey.as_ref(),
            sharing: &observer.sharing,
            back: observer.back,
            asked: None,
            drafts: &mut drafts,
            pushes: &observer.pushes,
        };
        (rule.check)(moment, &mut judge);
        assert!(
            drafts.is_empty(),
            "{} is not concerned with {moment:?}, and says {drafts:?}",
            rule.id
        );
    }
}

/// Whether any rule has to look at a handle: whoever does not ask makes a moment of each for nothing.
#[inline(always)]
pub(crate) fn concerns(handled: &Handled<'_>) -> bool {
    t13_wrong_owner::concerns(handled) || t14_wrong_type::concerns(handled)
}

/// The rules that look at moments of a kind, by id: most events make moments that few rules care for.
#[inline]
fn concerned(moment: &Moment<'_>) -> &'static [&'static Rule] {
    match moment {
        Moment::Submitted(_) => {
            const {
                &[
                    &t03_stale_cookie::RULE,
                    &t05_cookie_in_flight_twice::RULE,
                    &t12_unknown_cookie::RULE,
                    &t14_wrong_type::RULE,
                    &t23_sentinel_clash::RULE,
                    &t25_truncated_cookie::RULE,
                ]
            }
        }
        Moment::Completed(_) => {
            const {
                &[
                    &t03_stale_cookie::RULE,
                    &t04_reused_identity::RULE,
                    &t13_wrong_owner::RULE,
                ]
            }
        }
        // Nearly all handles are in order at a glance.
        Moment::Handled(handled) => match concerns(handled) {
            true => const { &[&t13_wrong_owner::RULE, &t14_wrong_type::RULE] },
            false => &[],
        },
        Moment::Resumed(_) => const { &[&t10_resumed_twice::RULE] },
        Moment::Rewritten(_) => const { &[&t18_stranded_submission::RULE] },
        Moment::WentInEarly(_) => const { &[&t05_cookie_in_flight_twice::RULE] },
        Moment::Stray(_) => {
            const {
                &[
                    &t01_unset_cookie::RULE,
                    &t06_extra_completion::RULE,
                    &t12_unknown_cookie::RULE,
                    &t13_wrong_owner::RULE,
                    &t25_truncated_cookie::RULE,
                ]
            }
        }
        Moment::Held(_) => {
            const {
                &[
                    &t09_never_reclaimed::RULE,
                    &t20_count_drift::RULE,
                    &t22_owner_without_completion::RULE,
                ]
            }
        }
        Moment::Settled { .. } => {
            const { &[&t02_leftover_cookie::RULE, &t18_stranded_submission::RULE] }
        }
        Moment::Reclaimed { .. } => {
            const {
                &[
                    &t07_reclaimed_in_flight::RULE,
                    &t18_stranded_submission::RULE,
                ]
            }
        }
        Moment::ReclaimedDead { .. } => {
            const { &[&t08_reclaimed_twice::RULE, &t20_count_drift::RULE] }
        }
        Moment::MemoryGone(_) => {
            const {
                &[
                    &t07_reclaimed_in_flight::RULE,
                    &t16_buffer_freed_in_flight::RULE,
                    &t23_sentinel_clash::RULE,
                ]
            }
        }
        Moment::Cancels(_) => const { &[&t15_ambiguous_cancel::RULE, &t25_truncated_cookie::RULE] },
        Moment::Unset { .. } | Moment::CameWithout { .. } => const { &[&t01_unset_cookie::RULE] },
        Moment::Forged(_) => const { &[&t12_unknown_cookie::RULE] },
        Moment::TakenBackAfterDrop { .. } => const { &[&t07_reclaimed_in_flight::RULE] },
        Moment::RingDropped { .. } => const { &[&t09_never_reclaimed::RULE] },
        Moment::Stranded { .. } | Moment::Unheeded { .. } | Moment::DroppedUnwoken { .. } => {
            const { &[&t11_never_resumed::RULE] }
        }
        Moment::Missed { .. } | Moment::Misnamed { .. } => const { &[&t15_ambiguous_cancel::RULE] },
        Moment::DescriptorGone { .. } => const { &[&t16_buffer_freed_in_flight::RULE] },
        Moment::Stalled { .. } => const { &[&t17_overflow_stall::RULE] },
        Moment::NeverTaken { .. } => const { &[&t18_stranded_submission::RULE] },
        Moment::BufferLost { .. } | Moment::GivenTwice { .. } => {
            const { &[&t19_buffer_id_lost::RULE] }
        }
        Moment::TakenTwice { .. } | Moment::WentBeyond { .. } => {
            const { &[&t21_completion_read_twice::RULE] }
        }
        Moment::ResultLost { .. } => const { &[&t24_result_lost::RULE] },
        Moment::Overlapping { .. } => const { &[&t26_overlapping_borrow::RULE] },
        Moment::Uninitialised { .. } => const { &[&t27_uninitialised_to_kernel::RULE] },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::support::faults::plant_any;
    use super::support::runtime::run;
    use crate::finding::Doubt;
    use crate::trace::Trace;

    /// Judging is what asserts: see `unconcerned_are_silent`.
    #[test]
    fn rules_say_nothing_of_moments_that_they_are_not_shown_in_the_corpus() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut found = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "trace")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let trace = Trace::parse_text(&text).unwrap();
                found += trace.verdict().stories.len();
            }
        }
        assert!(found > 0, "the corpus has findings");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// As above.
        #[test]
        fn rules_say_nothing_of_moments_that_they_are_not_shown_in_runs(
            decisions in prop::collection::vec(any::<u16>(), 0..200),
            fault in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut lines = run(&decisions);
            plant_any(&mut lines, fault, at);
            prop_assert!(Trace::parse_text(&lines.join("\n")).is_ok());
        }
    }

    const TWICE: &str = "
        0 a leak 0x1000 Conn conn.rs:88
        0 a reclaim 0x1000 Conn conn.rs:131
        0 LANE reclaim 0x1000 Conn conn.rs:140
    ";

    fn judged(lane: &str, head: &str) -> Trace {
        let text = format!("{head}\n{}", TWICE.replace("LANE", lane));
        Trace::parse_text(&text).unwrap()
    }

    #[test]
    fn times_by_batch_leave_only_the_order_across_lanes_open() {
        for (lane, head) in [("a", "process 0 times=batch"), ("b", "process 0")] {
            let trace = judged(lane, head);
            assert_eq!(trace.verdict().stories.len(), 1, "{head}");
        }
        let trace = judged("b", "process 0 times=batch");
        let verdict = trace.verdict();
        assert_eq!((verdict.stories.len(), verdict.exit_code()), (0, 3));
        let question = &verdict.cannot_tell[0];
        assert_eq!(question.reason, Doubt::TimesByBatch);
        let clause = "but the recording's times are by batch, and Conn#1 0x1000@1 was used by 2 threads: \
                      in which order is not known. Record with `--time=event` to be told";
        assert!(question.message.ends_with(clause), "{}", question.message);
        let report = crate::report::text(&trace, 100);
        assert!(report.contains("times by batch: "), "{report}");
    }

    #[test]
    fn what_lies_in_a_batch_may_have_come_behind_a_loss_of_another_lane() {
        // The loss lies behind the second reclaim by time; its batch reaches beyond the loss.
        let text = "process 0 TIMES
            0 a leak 0x1000 Conn conn.rs:88
            10 a reclaim 0x1000 Conn conn.rs:131
            10 a reclaim 0x1000 Conn conn.rs:140
            20 b mark x
            30 b lost 1 removed
            40 b mark x
            50 a mark x";
        let found = |times| {
            let trace = Trace::parse_text(&text.replace("TIMES", times)).unwrap();
            let verdict = trace.verdict();
            (verdict.stories.len(), verdict.cannot_tell.len())
        };
        assert_eq!(found(""), (1, 0));
        assert_eq!(found("times=batch"), (0, 1));
    }
}
