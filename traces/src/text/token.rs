//! Lines of a text trace cut into words.
//!
//! A word ends at a space. Quotes keep spaces in it, and may begin anywhere in a word:
//! `name="two words"`. Inside quotes `\"`, `\\`, `\n`, `\xNN` and `\u{..}` stand for what they do in
//! Rust.

/// A word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// What stands before an `=` that is not in quotes.
    pub(super) key: Option<String>,
    /// The rest, without quotes.
    pub(super) value: Vec<u8>,
}

impl Word {
    /// The value as text, where it is text.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.value).unwrap_or("")
    }
}

/// A line without its comment and its arrow.
pub(super) fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        while rest.peek().is_some_and(|c| c.is_whitespace()) {
            rest.next();
        }
        let Some(&first) = rest.peek() else {
            return Ok(words);
        };
        if first == '#' {
            return Ok(words);
        }
        if first == '<' {
            let mut ahead = rest.clone();
            ahead.next();
            if matches!(ahead.peek(), Some('-' | '?')) {
                return Ok(words);
            }
        }
        let mut word = Word {
            key: None,
            value: Vec::new(),
        };
        while let Some(&character) = rest.peek() {
            if character.is_whitespace() {
                break;
            }
            rest.next();
            match character {
                '"' => quoted(&mut rest, &mut word.value)?,
                '=' if word.key.is_none() && !word.value.is_empty() => {
                    let key = std::mem::take(&mut word.value);
                    word.key = Some(String::from_utf8(key).map_err(|_| "a key is not text")?);
                }
                _ => push(&mut word.value, character),
            }
        }
        words.push(word);
    }
}

fn push(value: &mut Vec<u8>, character: char) {
    value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn quoted(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    value: &mut Vec<u8>,
) -> Result<(), String> {
    loop {
        match rest.next().ok_or("a quote is not closed")? {
            '"' => return Ok(()),
            '\\' => match rest.next().ok_or("a quote is not closed")? {
                'n' => value.push(b'\n'),
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    let byte = u8::from_str_radix(&digits, 16);
                    value.push(byte.map_err(|_| format!("no byte: \\x{digits}"))?);
                }
                'u' => {
                    let digits: String = rest
                        .by_ref()
                        .skip(1)
                        .take_while(|&c| c != '}')
                        .take(8)
                        .collect();
                    let code = u32::from_str_radix(&digits, 16)
                        .ok()
                        .and_then(char::from_u32);
                    push(
                        value,
                        code.ok_or_else(|| format!("no character: \\u{{{digits}}}"))?,
                    );
                }
                other => push(value, other),
            },
            other => push(value, other),
        }
    }
}

/// Writes bytes so that [`words`] reads them back as one word.
pub(super) fn quote(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:{}()&*,;+@!~<>[]".contains(byte);
    // A leading '<' or '#' or an empty word would be read as something else.
    let starts_well = bytes.first().is_some_and(|first| !b"<#".contains(first));
    if starts_well && bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                ' '..='~' => out.push(character),
                _ => out.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        words(line)
            .unwrap()
            .iter()
            .map(|word| match &word.key {
                Some(key) => format!("{key}|{}", word.text()),
                None => word.text().to_owned(),
            })
            .collect()
    }

    #[test]
    fn words_quotes_comments_arrows() {
        assert_eq!(
            texts("10 t leak a=b c=\"d e\" # x"),
            ["10", "t", "leak", "a|b", "c|d e"]
        );
        assert_eq!(texts("10 t <- said"), ["10", "t"]);
        assert_eq!(texts("<? said"), Vec::<String>::new());
        assert_eq!(texts("5 -> 1"), ["5", "->", "1"]);
        assert!(words("\"open").is_err());
    }

    #[test]
    fn quoting_is_undone_by_reading() {
        for bytes in [
            &b""[..],
            b"plain",
            b"two words",
            b"\"\\",
            b"\xff\x1b",
            b"<-",
            b"#",
            "é=".as_bytes(),
        ] {
            let read = words(&quote(bytes)).unwrap();
            assert_eq!(read.len(), 1, "{}", quote(bytes));
            assert_eq!(
                (read[0].key.as_deref(), read[0].value.as_slice()),
                (None, bytes)
            );
        }
    }
}
