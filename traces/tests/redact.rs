//! Whatever a process file holds, redacting it is survived, leaves none of its texts and changes no verdict.

use proptest::prelude::*;
use traces::event::What;
use traces::redact::{Process, Redactor, layout_of};
use traces::{Input, Trace};
use wire::payload::{Submit, pair};
use wire::record::{CookieState, Header, Kind, Owner, RingKind};

#[path = "support/file.rs"]
#[allow(dead_code, reason = "a writer that other tests use more of")]
mod file;

fn redacted(bytes: &[u8], secret: [u8; 16]) -> Option<Vec<u8>> {
    let layout = layout_of(bytes)?;
    let mut redactor = Redactor::new(secret);
    let mut process = Process::default();
    let mut out = bytes.to_vec();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < out.len() {
        let length = if at == 0 { layout.before } else { layout.chunk };
        let end = out.len().min(at + length);
        pieces.push(at..end);
        at = end;
    }
    for piece in &pieces {
        process.learn(piece.start as u64, &out[piece.clone()]);
    }
    for piece in pieces {
        process.rewrite(&mut redactor, piece.start as u64, &mut out[piece]);
    }
    Some(out)
}

/// Texts of all uses, and a thread that does all that is wrong with one pointer.
fn some_file(trips: u64) -> Vec<u8> {
    let mut file = file::File::default().round_trips(trips);
    file.name(10, "/home/secret/src/conn.rs");
    file.name(11, "secret-mark");
    file.name(12, "secret-thread");
    file.meta(Kind::Site, &[pair(2, 9), pair(10, 0)]);
    let at = 100 + trips * 12;
    file.record(0, at, Kind::Mark, 0, &[11]);
    let pointer = [0x7f12_3456_7890, pair(2, 1)];
    file.record(0, at + 1, Kind::Leak, Owner::Rc as u8, &pointer);
    file.record(0, at + 2, Kind::Reclaim, Owner::Rc as u8, &pointer);
    file.record(0, at + 3, Kind::Reclaim, Owner::Rc as u8, &pointer);
    file.record(0, at + 4, Kind::Thread, 0, &[pair(78, 12)]);
    file.bytes()
}

fn verdict(bytes: &Vec<u8>) -> Vec<String> {
    let input = Input {
        name: "file",
        bytes,
    };
    let Ok(trace) = Trace::read(&[input]) else {
        return vec!["unreadable".to_owned()];
    };
    let recording = trace.recording();
    let mut said = vec![
        format!("{} events", trace.events().len()),
        format!("{:?}", recording.losses),
        format!("{} problems", recording.problems.len()),
    ];
    let stories = trace.verdict().stories.iter();
    said.extend(stories.map(|story| {
        let events = story.head.evidence.iter().map(|evidence| evidence.event.0);
        format!("{} {:?}", story.head.rule, events.collect::<Vec<_>>())
    }));
    said
}

fn has_secret(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|part| part == b"secret")
}

#[test]
fn verdict_is_the_same_and_texts_are_gone() {
    let bytes = some_file(40);
    assert!(has_secret(&bytes));
    let before = verdict(&bytes);
    assert!(
        before.iter().any(|line| line.starts_with("T08")),
        "{before:?}"
    );
    let after = redacted(&bytes, [7; 16]).unwrap();
    assert!(!has_secret(&after));
    assert_eq!(verdict(&after), before);
    for kept in [&b"app::Conn"[..], b"src/conn.rs", b"~2/conn.rs"] {
        let is_kept = after.windows(kept.len()).any(|part| part == kept);
        assert!(is_kept, "{}", String::from_utf8_lossy(kept));
    }
    let pointer = 0x7f12_3456_7890u64.to_le_bytes();
    assert!(!after.windows(8).any(|part| part == pointer));
}

/// In programs whose cookies are indices, addresses of buffers are addresses all the same.
#[test]
fn buffers_beside_cookies_that_are_indices_are_moved_with_their_frees() {
    let mut file = file::File::default();
    let buffer = 0x7f12_3456_7000u64;
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    let in_place = RingKind::InPlace as u8;
    file.record(
        0,
        1,
        Kind::RingCreate,
        in_place,
        &[pair(1, 3), pair(8, 16), 0],
    );
    file.record(0, 2, Kind::Scheme, 0, &[0, traces::scheme::INDEX, 0]);
    let submit = Submit {
        cookie: 3,
        sequence: 0,
        ring: 1,
        slot: 0,
        opcode: 22,
        site: 1,
        addr: buffer,
        len: 64,
        ..Submit::default()
    };
    file.record(
        0,
        10,
        Kind::Submit,
        CookieState::Set as u8,
        &submit.encode(),
    );
    file.record(0, 11, Kind::Enter, 0, &[pair(1, 1), pair(1, 1)]);
    file.record(0, 20, Kind::Free, 0, &[buffer, 64]);
    file.record(0, 30, Kind::Complete, 1, &[3, pair(5, 0)]);
    let bytes = file.bytes();
    let before = verdict(&bytes);
    let is_told = before.iter().any(|line| line.starts_with("T16"));
    assert!(is_told, "{before:?}");
    let after = redacted(&bytes, [7; 16]).unwrap();
    assert_eq!(verdict(&after), before);
    let buffer = buffer.to_le_bytes();
    assert!(!after.windows(8).any(|part| part == buffer));
}

/// Every record becomes one of every kind and of every length, as a damaged header would have it.
#[test]
fn no_kind_shows_the_texts_of_another() {
    let bytes = some_file(0);
    let layout = layout_of(&bytes).unwrap();
    let mut heads = Vec::new();
    let mut at = layout.before;
    while at < bytes.len() {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let end = bytes.len().min(at + layout.chunk);
        let mut head = at + wire::layout::CHUNK_HEADER_WORDS * 8;
        while head + 8 <= end && Header(word(head)).words() > 0 {
            heads.push(head);
            head += Header(word(head)).words() * 8;
        }
        at = end;
    }
    let texts: Vec<usize> = heads
        .into_iter()
        .filter(|head| bytes[*head] <= Kind::Schema as u8)
        .collect();
    assert!(texts.len() > 8, "{}", texts.len());
    for head in texts {
        let kinds = Kind::ALL.iter().map(|kind| *kind as u8);
        for kind in kinds.chain([0, 99, 255]) {
            for words in 1..=9u8 {
                for state in [1u8, 2] {
                    let mut damaged = bytes.clone();
                    damaged[head..head + 3].copy_from_slice(&[kind, words, state]);
                    let after = redacted(&damaged, [7; 16]).unwrap();
                    assert!(
                        !has_secret(&after),
                        "the record at {head} as kind {kind} of {words} words, state {state}"
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Words are changed behind the header, as by a crash, a disk or an enemy.
    #[test]
    fn damaged_files_lose_their_texts_and_keep_their_damage(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 1..6),
        cut in any::<prop::sample::Index>(),
        secret in any::<[u8; 16]>(),
    ) {
        let mut bytes = some_file(6);
        let first = file::File::HEAD_BYTES / 8;
        let words = bytes.len() / 8;
        for (index, value) in changes {
            let at = (first + index.index(words - first)) * 8;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let keep = file::File::HEAD_BYTES + cut.index(bytes.len() - file::File::HEAD_BYTES);
        bytes.truncate(keep);
        let after = redacted(&bytes, secret).unwrap();
        prop_assert_eq!(after.len(), bytes.len());
        prop_assert!(!has_secret(&after));
        let losses = |lines: &[String]| lines.get(..3).map(<[String]>::to_vec);
        prop_assert_eq!(losses(&verdict(&after)), losses(&verdict(&bytes)));
    }

    #[test]
    fn any_header_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        let _ = layout_of(&bytes);
        let mut out = bytes.clone();
        let mut redactor = Redactor::new([1; 16]);
        let mut process = Process::default();
        process.learn(0, &bytes);
        process.rewrite(&mut redactor, 0, &mut out);
        process.learn(4096, &bytes);
        process.rewrite(&mut redactor, 4096, &mut out);
    }
}

/// A cookie that stands for nobody is the same one in both places.
#[test]
fn what_lasts_is_redacted_as_the_events_are() {
    let mut file = file::File::default();
    let cookie = 0x7f12_3456_7000u64;
    let sentinel = [2, traces::scheme::SENTINEL, cookie];
    file.name(10, "a");
    file.meta(Kind::Scheme, &[&sentinel[..], &[2]].concat());
    file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
    file.record(
        0,
        1,
        Kind::RingCreate,
        RingKind::InPlace as u8,
        &[pair(1, 3), pair(8, 16), 0],
    );
    file.record(0, 2, Kind::Scheme, 0, &sentinel);
    file.record(0, 3, Kind::Complete, 1, &[cookie, 0]);
    let before = file.bytes();
    let input = Input {
        name: "file",
        bytes: &before,
    };
    let when = Trace::read(&[input]).unwrap().recording().processes[0]
        .lasting
        .said[0]
        .at_ns;
    let after = redacted(&before, [7; 16]).unwrap();
    let trace = Trace::read(&[Input {
        name: "file",
        bytes: &after,
    }])
    .unwrap();
    let said = trace.events().iter().find_map(|event| match event.what {
        What::Scheme {
            ring,
            scheme,
            parameter,
        } => Some((ring, scheme, parameter)),
        _ => None,
    });
    let said = said.expect("the declaration");
    assert_ne!(said.2, cookie);
    let lasting = &trace.recording().processes[0].lasting.said;
    let [lasting] = &lasting[..] else {
        panic!("{lasting:?}");
    };
    let What::Scheme {
        ring,
        scheme,
        parameter,
    } = lasting.what
    else {
        panic!("{lasting:?}");
    };
    assert_eq!((ring, scheme, parameter), said);
    assert_eq!(lasting.at_ns, when);
    assert_eq!(trace.verdict().stories, []);
}

/// Whatever a damaged header makes of a text among names.
#[test]
fn no_text_is_what_lasts() {
    for text in [
        "пароль от сервера",
        "秘密の鍵はここです",
        "PIN1",
        "PIN123456789",
    ] {
        let mut words = vec![pair(10, text.len() as u32)];
        let bytes = text.bytes().chain([0; 7]).collect::<Vec<_>>();
        words.extend(
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|word| u64::from_le_bytes(*word)),
        );
        for kind in [Kind::RingCreate, Kind::Scheme, Kind::Shared, Kind::Spawn] {
            for count in 1..=words.len() {
                let mut file = file::File::default();
                file.meta(kind, &words[..count]);
                file.record(0, 0, Kind::Thread, 0, &[pair(77, 1)]);
                let after = redacted(&file.bytes(), [7; 16]).unwrap();
                let holds = |word: u64| after.windows(8).any(|it| it == word.to_le_bytes());
                let kept: Vec<_> = words[1..].iter().filter(|word| holds(**word)).collect();
                assert!(kept.is_empty(), "{text} as {kind:?} of {count}: {kept:x?}");
            }
        }
    }
}

/// What an address is depends on the operation, which an entry told in short may leave to the one before it.
#[test]
fn entries_told_in_short_are_moved_like_those_told_in_full() {
    for scheme in [traces::scheme::POINTER, traces::scheme::INDEX] {
        let [full, short] = [false, true].map(|in_short| {
            let mut file = file::File::default().batches(in_short);
            file.record(0, 1000, Kind::Scheme, 0, &[0, scheme, 0]);
            let bytes = file.bytes();
            let after = redacted(&bytes, [7; 16]).unwrap();
            assert_eq!(verdict(&after), verdict(&bytes));
            let input = Input {
                name: "file",
                bytes: &after,
            };
            Trace::read(&[input]).unwrap().to_text()
        });
        assert_eq!(short, full);
        assert!(!short.contains("7f123456"), "{short}");
    }
}
