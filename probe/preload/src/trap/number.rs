//! Whether code that comes shortly before a system call's instruction has the number of one of io_uring's calls.
//!
//! `tracer record` looks through a program's file by the same file, to say why nothing was seen of it.

/// Bytes before the instruction in which the number may stand: unoptimised code moves it about.
pub(crate) const REACH: usize = 96;

/// Whether these bytes, which end where the instruction begins, load 425, 426 or 427 into the register of the number
/// (`mov eax`, `mov rax`), or into memory, from where unoptimised code takes it there. Not into the register that a call
/// of the C library's `syscall` has it in.
pub(crate) fn is_before(code: &[u8]) -> bool {
    let near = code.get(code.len().saturating_sub(REACH)..).unwrap_or(&[]);
    let mut words = near.windows(4).enumerate();
    words.any(|(at, word)| {
        let is_number = matches!(word, [0xA9..=0xAB, 1, 0, 0]);
        is_number && is_loaded(near.get(..at).unwrap_or(&[]))
    })
}

/// Whether what comes before an instruction's last four bytes makes it a move of them.
fn is_loaded(before: &[u8]) -> bool {
    matches!(
        before,
        // mov eax, …
        [.., 0xB8]
            // mov rax, …
            | [.., 0xC7, 0xC0]
            // mov [rbp + …], …; mov [rsp + …], …; with short and long distances.
            | [.., 0xC7, 0x45, _]
            | [.., 0xC7, 0x44, 0x24, _]
            | [.., 0xC7, 0x85, _, _, _, _]
            | [.., 0xC7, 0x84, 0x24, _, _, _, _]
            // mov [rsp], …
            | [.., 0xC7, 0x04, 0x24]
    )
}

#[cfg(test)]
mod tests {
    use super::is_before;

    #[test]
    fn numbers_are_known_by_the_register_or_memory_that_they_go_to() {
        let before = |start: &[u8], number: u8, between: usize| {
            let mut code = vec![0x90; 20];
            code.extend_from_slice(start);
            code.extend_from_slice(&[number, 1, 0, 0]);
            code.resize(code.len() + between, 0x90);
            is_before(&code)
        };
        assert!(before(&[0xB8], 0xAA, 0));
        assert!(before(&[0xB8], 0xA9, 91));
        assert!(!before(&[0xB8], 0xAA, 92), "too far away");
        assert!(before(&[0x48, 0xC7, 0xC0], 0xAB, 9));
        assert!(before(&[0x48, 0xC7, 0x44, 0x24, 0x30], 0xAA, 40));
        assert!(before(&[0xC7, 0x85, 0, 0xFF, 0xFF, 0xFF], 0xAA, 40));
        assert!(!before(&[0xB8], 0xAC, 0), "another call");
        assert!(!before(&[0xBF], 0xAA, 9), "mov edi: for the C library");
        assert!(!is_before(&[]) && !is_before(&[0xAA, 1, 0, 0]));
    }
}
