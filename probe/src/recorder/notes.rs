//! Notes in ELF files, and the one among them that tells one build from another.

/// How much of a segment of notes is looked at: they are a few dozen bytes each.
pub(super) const BYTES: usize = 1024;

/// What tells one build of a file from another: up to all 20 bytes of a SHA-1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct BuildId {
    bytes: [u8; 20],
    len: u8,
}

impl BuildId {
    pub(super) const NONE: BuildId = BuildId {
        bytes: [0; 20],
        len: 0,
    };

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The one in a segment of notes.
    pub(super) fn among(notes: &[u8], align: u64) -> Option<BuildId> {
        let found = build_id_in(notes, align)?;
        let mut kept = BuildId::NONE;
        for (place, byte) in kept.bytes.iter_mut().zip(found) {
            *place = *byte;
        }
        kept.len = found.len().min(kept.bytes.len()) as u8;
        Some(kept)
    }
}

/// The build-id in a segment of notes.
fn build_id_in(notes: &[u8], align: u64) -> Option<&[u8]> {
    const GNU_BUILD_ID: u32 = 3;
    note_in(notes, align, (b"GNU\0", GNU_BUILD_ID))
}

/// The content of a note in a segment of them, by its name (with NUL) and kind: each has the lengths of its
/// name and its content and its kind, then both, padded. Empty ones do not count.
pub(super) fn note_in<'a>(
    mut notes: &'a [u8],
    align: u64,
    (owner, kind): (&[u8], u32),
) -> Option<&'a [u8]> {
    let padded = |len: usize| {
        let mask = if align == 8 { 7 } else { 3 };
        len.checked_add(mask).map(|len| len & !mask)
    };
    loop {
        let (head, rest) = notes.split_first_chunk::<12>()?;
        let number = |at: usize| {
            let mut value = [0u8; 4];
            for (place, byte) in value.iter_mut().zip(head.iter().skip(at)) {
                *place = *byte;
            }
            u32::from_le_bytes(value)
        };
        let (name_len, len) = (number(0) as usize, number(4) as usize);
        // Padding counts from the start of the note, whose head is not a multiple of 8.
        let begin = padded(12usize.checked_add(name_len)?)?.checked_sub(12)?;
        let content = rest.get(begin..begin.checked_add(len)?)?;
        if number(8) == kind && rest.get(..name_len) == Some(owner) && len > 0 {
            return Some(content);
        }
        let next = padded(12usize.checked_add(begin)?.checked_add(len)?)?;
        notes = notes.get(next..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: u32, name: &[u8], content: &[u8], align: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        for part in [name, content] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(align), 0);
        }
        bytes
    }

    #[test]
    fn build_id_is_found_behind_other_notes() {
        for align in [4, 8] {
            let mut notes = note(5, b"GNU\0", &[1; 20], align);
            notes.extend(note(3, b"Go\0\0", &[2; 7], align));
            notes.extend(note(3, b"GNU\0", &[7; 20], align));
            assert_eq!(build_id_in(&notes, align as u64), Some(&[7; 20][..]));
            for len in 0..notes.len() {
                // Cut anywhere: nothing, or the whole.
                let found = build_id_in(&notes[..len], align as u64);
                assert!(found.is_none_or(|id| id == [7; 20]));
            }
        }
        assert_eq!(build_id_in(&[0xFF; 64], 4), None);
        assert_eq!(build_id_in(&[0; 64], 4), None);
    }
}
