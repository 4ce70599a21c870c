//! A process of this program's own that looks into a file which anybody may have made: with little memory, little time
//! and, where it needs none of them, without rights. What such a file is made to waste or break is that process.
//!
//! The two talk over a socket, which is the child's stdout: a question, and its answer, each with its length in front. What
//! they say to each other is theirs; whoever asks takes an answer for what a stranger says.
//!
//! Reading order: here (who asks), [`child`] (who is asked).

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) mod child;

/// Bytes of a question, and of an answer.
const MOST: usize = 64 << 20;

/// Why there is no answer where it is the file's fault.
const TOO_MUCH: &str = "takes too much memory or time to read";

/// A child that is asked.
#[derive(Debug)]
pub(crate) struct Confined {
    child: Child,
    socket: UnixStream,
}

/// One of this program's hidden commands. By the kernel's name for the program that runs: what lies under its own may be
/// another build by now.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(name).env_remove(crate::record::VARIABLE);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

impl Confined {
    /// Starts a child, which is asked until this is dropped.
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = command.stdout(OwnedFd::from(theirs)).spawn()?;
        Ok(Self { child, socket })
    }

    /// Of whoever is at the other end, for tests.
    #[cfg(test)]
    pub(crate) fn stands_in(socket: UnixStream) -> Self {
        let child = Command::new("true").spawn();
        Self {
            child: child.expect("there is such a program"),
            socket,
        }
    }

    /// What the child says to a question. After a failure it is asked no more.
    pub(crate) fn ask(&mut self, question: &[u8], time: Duration) -> Result<Vec<u8>, String> {
        let mut talk = Timed {
            socket: &self.socket,
            until: Instant::now() + time,
        };
        let asked = send(&mut talk, question);
        match asked.and_then(|()| receive(&mut talk)) {
            Ok(Some(answer)) => Ok(answer),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err("takes too long to read".to_owned())
            }
            Ok(None) | Err(_) => Err(TOO_MUCH.to_owned()),
        }
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The socket, for as long as there is time.
struct Timed<'a> {
    socket: &'a UnixStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

/// A socket's own word for that its time is over.
fn timed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        let mut socket = self.socket;
        socket.read(room).map_err(timed)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        let mut socket = self.socket;
        socket.write(bytes).map_err(timed)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn send(mut to: impl Write, text: &[u8]) -> io::Result<()> {
    let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
    let len = u32::try_from(text.len()).ok();
    let len = len.filter(|_| text.len() <= MOST).ok_or_else(too_long)?;
    let mut whole = Vec::with_capacity(size_of::<u32>() + text.len());
    whole.extend(len.to_le_bytes());
    whole.extend(text);
    to.write_all(&whole)
}

/// Nothing where nobody is there to say anything.
fn receive(mut from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut len = Vec::new();
    from.by_ref().take(4).read_to_end(&mut len)?;
    let Ok(len) = <[u8; 4]>::try_from(&*len) else {
        return Ok(None);
    };
    let len = u32::from_le_bytes(len) as usize;
    if len > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Room for what comes, and not for what is promised.
    let mut text = Vec::new();
    from.take(len as u64).read_to_end(&mut text)?;
    Ok(Some(text).filter(|text| text.len() == len))
}

/// The bytes of a text in hex; nothing where it is none.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(byte).collect::<Option<Vec<u8>>>())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a child that reads its question, of five bytes, and does this.
    fn asked(script: &str, time: Duration) -> Result<Vec<u8>, String> {
        let mut command = Command::new("sh");
        let script = format!("head -c 5 <&1 >/dev/null; {script}");
        command.args(["-c", &script]).stdin(Stdio::null());
        Confined::start(command).unwrap().ask(b"?", time)
    }

    #[test]
    fn an_answer_is_whole_or_none_and_a_child_that_hangs_is_not_waited_for() {
        let long = Duration::from_secs(100);
        assert_eq!(asked(r"printf '\3\0\0\0yes'", long).unwrap(), b"yes");
        for broken in [
            "exit 0",
            r"printf '\3\0\0'",
            r"printf '\3\0\0\0ye'",
            r"printf '\377\377\377\377yes'",
            "kill -9 $$",
        ] {
            assert_eq!(asked(broken, long).unwrap_err(), TOO_MUCH, "{broken}");
        }
        let hangs = r"printf '\3\0\0\0'; exec sleep 1000";
        let late = asked(hangs, Duration::from_millis(50)).unwrap_err();
        assert_eq!(late, "takes too long to read");
    }
}
