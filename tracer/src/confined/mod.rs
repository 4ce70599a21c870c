//! A process of this program's own that looks into a file which anybody may have made: with little memory, little time
//! and, where it needs none of them, without rights. What such a file is made to waste or break is that process.
//!
//! The two talk over a socket, which is the child's stdout: a question, and its answer, each with its length in front. What
//! they say to each other is theirs; whoever asks takes an answer for what a stranger says. Before any question the child
//! says that it is confined (nothing, with its length in front), or why it is not.
//!
//! Reading order: here (who asks), [`child`] (who is asked).

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) mod child;

/// Bytes of a question, and of an answer.
const MOST: usize = 64 << 20;

/// How long the end of a child that was killed is waited for.
const GONE: Duration = Duration::from_secs(1);

/// Why there is no answer. What it shows as follows the name of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The child ended over it.
    TooMuch,
    TooLong,
    /// The file may be as it should: it was not looked into, or not to its end.
    Unread(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMuch => f.write_str("takes too much memory or time to read"),
            Self::TooLong => f.write_str("takes too long to read"),
            Self::Unread(why) => f.write_str(why),
        }
    }
}

impl From<Why> for String {
    fn from(why: Why) -> Self {
        why.to_string()
    }
}

/// A child that is asked.
#[derive(Debug)]
pub(crate) struct Confined {
    child: Child,
    socket: UnixStream,
    /// It said that it is confined.
    has_begun: bool,
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
    pub(crate) fn start(command: io::Result<Command>) -> Result<Self, Why> {
        let start = || {
            let (socket, theirs) = UnixStream::pair()?;
            let child = command?.stdout(OwnedFd::from(theirs)).spawn()?;
            Ok(Self {
                child,
                socket,
                has_begun: false,
            })
        };
        start().map_err(|error: io::Error| {
            Why::Unread(format!("was not read: no process for it began ({error})"))
        })
    }

    /// Of whoever is at the other end, for tests.
    #[cfg(test)]
    pub(crate) fn stands_in(socket: UnixStream) -> Self {
        let child = Command::new("true").spawn();
        Self {
            child: child.expect("there is such a program"),
            socket,
            has_begun: true,
        }
    }

    /// What the child says to a question. After a failure it is asked no more.
    pub(crate) fn ask(&mut self, question: &[u8], time: Duration) -> Result<Vec<u8>, Why> {
        let mut talk = Timed {
            socket: &self.socket,
            until: Instant::now() + time,
        };
        if !self.has_begun {
            begun(&mut talk)?;
            self.has_begun = true;
        }
        let asked = send(&mut talk, question);
        match asked.and_then(|()| receive(&mut talk)) {
            Ok(Some(answer)) => Ok(answer),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Why::TooLong),
            Ok(None) | Err(_) => Err(Why::TooMuch),
        }
    }
}

/// Hears that a child is confined. Until then it read nothing of the file, whose fault nothing is.
fn begun(talk: &mut Timed<'_>) -> Result<(), Why> {
    let why = match receive(talk) {
        Ok(Some(why)) if why.is_empty() => return Ok(()),
        Ok(Some(why)) => format!("could not limit itself ({})", traces::tty(&why)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => "did not begin in time".to_owned(),
        Ok(None) | Err(_) => "ended before it began".to_owned(),
    };
    Err(Why::Unread(format!(
        "was not read: the process for it {why}"
    )))
}

impl Drop for Confined {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // One that waits for a file system which does not answer hears of no signal: it is left to whoever inherits it.
        ended(&mut self.child, GONE);
    }
}

/// Whether a child ended within a time.
fn ended(child: &mut Child, within: Duration) -> bool {
    let until = Instant::now() + within;
    let mut pause = Duration::from_micros(50);
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(10));
    }
    true
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

    /// What comes of a child that does this.
    fn begun(script: &str, time: Duration) -> Result<Vec<u8>, Why> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        Confined::start(Ok(command)).unwrap().ask(b"?", time)
    }

    /// Of one that is confined, reads its question, of five bytes, and does this.
    fn asked(script: &str, time: Duration) -> Result<Vec<u8>, Why> {
        let script = format!(r"printf '\0\0\0\0'; head -c 5 <&1 >/dev/null; {script}");
        begun(&script, time)
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
            assert_eq!(asked(broken, long), Err(Why::TooMuch), "{broken}");
        }
        let mut command = Command::new("sh");
        let hangs = r"printf '\0\0\0\0\3\0\0\0yes\3\0\0\0'; exec sleep 1000";
        command.args(["-c", hangs]).stdin(Stdio::null());
        let mut hangs = Confined::start(Ok(command)).unwrap();
        assert_eq!(hangs.ask(b"?", long).unwrap(), b"yes");
        let late = hangs.ask(b"?", Duration::from_millis(50));
        assert_eq!(late, Err(Why::TooLong));
    }

    #[test]
    fn what_fails_before_the_file_is_read_is_no_fault_of_the_file() {
        let long = Duration::from_secs(100);
        for (script, why) in [
            (r"printf '\3\0\0\0odd'", "could not limit itself (odd)"),
            ("exit 0", "ended before it began"),
        ] {
            let told = begun(script, long).unwrap_err();
            let why = format!("was not read: the process for it {why}");
            assert_eq!(told, Why::Unread(why), "{script}");
        }
        let late = begun("exec sleep 1000", Duration::from_millis(50)).unwrap_err();
        assert!(late.to_string().ends_with("did not begin in time"));
        let nowhere = Confined::start(Ok(Command::new("/nowhere"))).unwrap_err();
        let why = "was not read: no process for it began (No such file or directory (os error 2))";
        assert_eq!(nowhere, Why::Unread(why.to_owned()));
    }

    #[test]
    fn of_an_answer_that_is_longer_than_any_may_be_nothing_is_believed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = std::thread::spawn(move || child::converse(&theirs, |_| vec![0; MOST + 1]));
        let mut asks = Confined::stands_in(ours);
        let answer = asks.ask(b"?", Duration::from_secs(100));
        assert_eq!(answer.map(|it| it.len()), Err(Why::TooMuch));
        assert!(child.join().unwrap().is_err());
    }

    #[test]
    fn a_child_that_does_not_end_is_left() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(!ended(&mut child, Duration::from_millis(1)));
        child.kill().unwrap();
        assert!(ended(&mut child, Duration::from_secs(100)));
    }
}
