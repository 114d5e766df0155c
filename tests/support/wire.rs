//! One end of a connection: says exactly what it is told to, and reads what came.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// How the peer ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
}

/// A socket with what was read and not taken yet.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A message, its body without chunk framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// With the empty line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// As they were sent, the chunks included.
    pub(crate) wire_body: Vec<u8>,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    /// The value of a field, by its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends to a peer that may have closed already.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// FIN; what the peer sends can still be read.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// RST.
    pub(crate) fn reset(self) {
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&self.stream)
            .set_linger(linger)
            .unwrap();
    }

    /// Reads once; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        let mut part = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut part) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.buffer.extend_from_slice(&part[..count]);
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a head, the empty line included; `None` where the peer closed before its first byte.
    #[track_caller]
    pub(crate) fn next_head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|it| it == b"\r\n\r\n") {
                let head = self.buffer.drain(..at + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            match self.fill() {
                Ok(0) if self.buffer.is_empty() => return None,
                Ok(0) => panic!("head cut off: {:?}", self.seen()),
                Ok(_) => {}
                Err(error) => panic!("{error} with {:?}", self.seen()),
            }
        }
    }

    /// Whether a request there gets anything of an answer: one that is refused may end in any way,
    /// also while it connects.
    pub(crate) fn is_answered(address: SocketAddr, request: &str) -> bool {
        let Ok(stream) = TcpStream::connect(address) else {
            return false;
        };
        let mut wire = Self::new(stream);
        wire.try_send(request).is_ok() && wire.fill().is_ok_and(|count| count > 0)
    }

    #[track_caller]
    pub(crate) fn head(&mut self) -> String {
        self.next_head().expect("closed before a head")
    }

    fn seen(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.buffer)
    }

    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            match self.fill() {
                Ok(0) => panic!("ended after {:?}", self.seen()),
                Ok(_) => {}
                Err(error) => panic!("{error} with {:?}", self.seen()),
            }
        }
        self.buffer.drain(..count).collect()
    }

    /// Everything until the end, and how that was.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> (Vec<u8>, End) {
        let end = loop {
            match self.fill() {
                Ok(0) => break End::Fin,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break End::Reset,
                Err(error) => panic!("{error} with {:?}", self.seen()),
            }
        };
        (std::mem::take(&mut self.buffer), end)
    }

    /// Asserts that nothing more comes, and tells how the connection ended.
    #[track_caller]
    pub(crate) fn end(&mut self) -> End {
        let (rest, end) = self.rest();
        assert_eq!(String::from_utf8_lossy(&rest), "");
        end
    }

    /// Asserts that the peer neither sends nor closes for a while.
    #[track_caller]
    pub(crate) fn quiet(&mut self, time: Duration) {
        assert_eq!(self.seen(), "");
        self.stream.set_read_timeout(Some(time)).unwrap();
        let read = self.fill();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let error = read.expect_err("not quiet");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    /// Reads one request, or `None` where the peer closed.
    #[track_caller]
    pub(crate) fn request(&mut self) -> Option<Message> {
        let head = self.next_head()?;
        let has_body = framing(&head) != Framing::Unmarked;
        Some(self.message(head, has_body))
    }

    /// Reads one answer with its body.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Message {
        let head = self.head();
        let status: u16 = head[9..12].parse().unwrap();
        self.message(head, status >= 200 && status != 204 && status != 304)
    }

    #[track_caller]
    fn message(&mut self, head: String, has_body: bool) -> Message {
        let (body, wire_body) = match framing(&head) {
            _ if !has_body => (Vec::new(), Vec::new()),
            Framing::Length(length) => {
                let body = self.take(length);
                (body.clone(), body)
            }
            Framing::Chunked => self.chunks(),
            Framing::Unmarked => {
                let (body, end) = self.rest();
                assert_eq!(end, End::Fin);
                (body.clone(), body)
            }
        };
        Message {
            head,
            body,
            wire_body,
        }
    }

    #[track_caller]
    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.take(1));
        }
        line
    }

    #[track_caller]
    fn chunks(&mut self) -> (Vec<u8>, Vec<u8>) {
        let (mut body, mut wire) = (Vec::new(), Vec::new());
        loop {
            let line = self.line();
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
            let size =
                usize::from_str_radix(std::str::from_utf8(&line[..digits.count()]).unwrap(), 16);
            let size = size.unwrap_or_else(|_| panic!("no chunk: {line:?}"));
            wire.extend(line);
            if size == 0 {
                break;
            }
            let chunk = self.take(size + 2);
            body.extend_from_slice(&chunk[..size]);
            wire.extend(chunk);
        }
        loop {
            let trailer = self.line();
            let is_last = trailer == b"\r\n";
            wire.extend(trailer);
            if is_last {
                return (body, wire);
            }
        }
    }
}

#[derive(PartialEq)]
enum Framing {
    Chunked,
    Length(usize),
    Unmarked,
}

fn framing(head: &str) -> Framing {
    let lower = head.to_ascii_lowercase();
    let value = |name: &str| lower.lines().find_map(|it| it.strip_prefix(name));
    if value("transfer-encoding:").is_some() {
        Framing::Chunked
    } else if let Some(length) = value("content-length:") {
        Framing::Length(length.trim().parse().unwrap())
    } else {
        Framing::Unmarked
    }
}
