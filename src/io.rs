//! Sockets and buffers of a worker. A socket is shared by the two directions of one task; a buffer
//! is taken when there are bytes to hold and goes back when there are none, so that an idle
//! connection costs its socket and nothing else.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::{Deref, DerefMut};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::error::ignore;

mod closed;
mod silence;
mod splice;
mod transport;

pub use silence::ask_when_silent;
#[cfg(test)]
pub(crate) use silence::is_asked_after;
pub use splice::{Pipe, PipePool, is_refused};
pub use transport::Transport;

/// What one read may bring. Reads of 8 KiB cost three times as much on bulk TCP.
pub const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers that a worker keeps for the next call.
const KEPT_BUFFERS: usize = 64;

/// Buffers that wait for their next use, last in first out: the warm one is used again.
#[derive(Clone, Debug, Default)]
pub struct BufferPool {
    kept: Rc<RefCell<Vec<Vec<u8>>>>,
    /// For what passes without a buffer.
    pub pipes: PipePool,
}

impl BufferPool {
    pub fn take(&self) -> Buffer {
        let bytes = self
            .kept
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| vec![0; BUFFER_BYTES]);
        Buffer {
            bytes,
            start: 0,
            end: 0,
            pool: self.clone(),
        }
    }
}

/// Bytes read and not yet passed on, with room for more.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    pool: BufferPool,
}

impl Buffer {
    /// Gives up the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        self.start += count.min(self.len());
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room for at least one more byte; grows up to `cap` bytes held. Whether there is room.
    pub fn make_room(&mut self, cap: usize) -> bool {
        if self.is_empty() && self.bytes.len() < BUFFER_BYTES {
            // Given back, or shrunk for a wait: reads are large again.
            let fresh = self.pool.take();
            *self = fresh;
        }
        if self.end < self.bytes.len() {
            return true;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            return true;
        }
        if self.bytes.len() >= cap {
            return false;
        }
        let grown = (self.bytes.len() * 2).clamp(BUFFER_BYTES, cap.max(BUFFER_BYTES));
        self.bytes.resize(grown, 0);
        true
    }

    /// Holds more bytes behind those held; grows up to `cap` bytes held. Whether there was room.
    pub fn append(&mut self, bytes: &[u8], cap: usize) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            if !self.make_room(cap) {
                return false;
            }
            let count = rest.len().min(self.bytes.len() - self.end);
            self.bytes[self.end..self.end + count].copy_from_slice(&rest[..count]);
            self.end += count;
            rest = &rest[count..];
        }
        true
    }

    /// Whether the last read brought all that it could.
    pub fn is_full(&self) -> bool {
        self.end == self.bytes.len()
    }

    /// Gives the memory back where nothing is held.
    pub fn release(&mut self) {
        if self.is_empty() {
            let bytes = std::mem::take(&mut self.bytes);
            self.pool.give_back(bytes);
            (self.start, self.end) = (0, 0);
        }
    }

    /// For a long wait: what is held moves to a buffer of its size, the large one goes back.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            return self.release();
        }
        // Copying nearly all of it would save nothing.
        if self.len() > self.bytes.len() / 4 * 3 {
            return;
        }
        let held = self[..].to_vec();
        let large = std::mem::replace(&mut self.bytes, held);
        self.pool.give_back(large);
        (self.start, self.end) = (0, self.bytes.len());
    }
}

impl BufferPool {
    fn give_back(&self, bytes: Vec<u8>) {
        let mut kept = self.kept.borrow_mut();
        // One that grew for a look into a body is not kept.
        if bytes.len() == BUFFER_BYTES && kept.len() < KEPT_BUFFERS {
            kept.push(bytes);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }
}

/// A connected stream.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Carried by another one: TLS, or one stream of an HTTP/2 connection.
    Over(Box<dyn Transport>),
}

impl Socket {
    fn duplex(&mut self) -> Pin<&mut (dyn Duplex + Unpin)> {
        match self {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Unix(stream) => Pin::new(stream),
            Self::Over(stream) => Pin::new(stream),
        }
    }

    /// Makes the coming close send RST, so that the peer sees ECONNRESET and not an orderly end.
    pub fn reset_on_close(&mut self) {
        match self {
            // A failure leaves an orderly close, which is all that a unix socket has anyway.
            Self::Tcp(stream) => {
                ignore(socket2::SockRef::from(&stream.as_fd()).set_linger(Some(Duration::ZERO)));
            }
            Self::Unix(_) => {}
            Self::Over(stream) => stream.reset_on_close(),
        }
    }
}

/// For what is carried by it.
impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.duplex().poll_read(context, room)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.duplex().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.duplex().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.duplex().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.duplex().poll_shutdown(context)
    }
}

/// A socket that both directions of one task use; neither is polled while the other is.
#[derive(Debug)]
pub struct Stream {
    socket: RefCell<Socket>,
    /// A write has met the peer's reset. The system tells of one once: a read behind it would give
    /// an orderly end.
    lost: Cell<bool>,
}

impl Stream {
    pub fn new(socket: Socket) -> Self {
        Self {
            socket: RefCell::new(socket),
            lost: Cell::new(false),
        }
    }

    fn with<R>(&self, act: impl FnOnce(Pin<&mut (dyn Duplex + Unpin)>) -> R) -> R {
        act(self.socket.borrow_mut().duplex())
    }

    /// Reads once into the buffer's room. `Ok(0)` is the peer's end.
    pub fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut Buffer,
    ) -> Poll<io::Result<usize>> {
        self.poll_read_some(context, buffer, BUFFER_BYTES)
    }

    /// The same, of `most` bytes.
    pub fn poll_read_some(
        &self,
        context: &mut Context<'_>,
        buffer: &mut Buffer,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        if !buffer.make_room(BUFFER_BYTES) {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        // poll_read (unlike try_read) notes a short read as "nothing more now" and so saves the
        // read that would only say EAGAIN.
        let end = buffer.bytes.len().min(buffer.end + most);
        let mut room = ReadBuf::new(&mut buffer.bytes[buffer.end..end]);
        let read = self.with(|stream| stream.poll_read(context, &mut room));
        let count = room.filled().len();
        ready!(read)?;
        if count == 0 && self.lost.get() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        buffer.end += count;
        Poll::Ready(Ok(count))
    }

    pub async fn read(&self, buffer: &mut Buffer) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }

    /// Waits until there is something to read, without a buffer to read it into.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.socket.borrow_mut() {
            Socket::Tcp(stream) => stream.poll_read_ready(context),
            Socket::Unix(stream) => stream.poll_read_ready(context),
            Socket::Over(stream) => stream.poll_readable(context),
        }
    }

    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.note(self.with(|stream| stream.poll_write(context, bytes)))
    }

    /// Remembers a reset that a write has met.
    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &written
            && error.kind() == io::ErrorKind::ConnectionReset
        {
            self.lost.set(true);
        }
        written
    }

    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|context| self.poll_write(context, bytes)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        self.flush().await
    }

    /// Sends on what a carrying stream may have taken and kept. A socket keeps nothing.
    pub async fn flush(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.socket.borrow_mut() {
            Socket::Tcp(_) | Socket::Unix(_) => Poll::Ready(Ok(())),
            Socket::Over(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    /// Writes once of a head and the body bytes behind it; at least one of them is not empty.
    pub fn poll_write_both(
        &self,
        context: &mut Context<'_>,
        head: &[u8],
        body: &[u8],
    ) -> Poll<io::Result<usize>> {
        match (head.is_empty(), body.is_empty()) {
            (true, _) => self.poll_write(context, body),
            (_, true) => self.poll_write(context, head),
            _ => {
                let slices = [IoSlice::new(head), IoSlice::new(body)];
                self.note(self.with(|stream| stream.poll_write_vectored(context, &slices)))
            }
        }
    }

    /// Writes a head and the body bytes behind it in one system call where the socket takes them.
    pub async fn write_both(&self, head: &[u8], body: &[u8]) -> io::Result<()> {
        match (head.is_empty(), body.is_empty()) {
            (true, _) => return self.write_all(body).await,
            (_, true) => return self.write_all(head).await,
            _ => {}
        }
        let slices = [IoSlice::new(head), IoSlice::new(body)];
        let written =
            poll_fn(|context| self.with(|stream| stream.poll_write_vectored(context, &slices)))
                .await?;
        if written < head.len() {
            self.write_all(&head[written..]).await?;
            return self.write_all(body).await;
        }
        // Also where nothing is left: it flushes.
        self.write_all(&body[written - head.len()..]).await
    }

    /// Whether the peer is known to have closed its sending side; costs no system call. `None`:
    /// bytes wait unread, and its end behind them is not known to anyone who waits.
    pub fn poll_peer_closed(&self, context: &mut Context<'_>) -> Poll<Option<()>> {
        if let Socket::Over(stream) = &mut *self.socket.borrow_mut() {
            return stream.poll_peer_closed(context);
        }
        match self.poll_readable(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if !self.is_closed() => Poll::Ready(None),
            Poll::Ready(_) => Poll::Ready(Some(())),
        }
    }

    fn is_closed(&self) -> bool {
        let closed =
            |ready: io::Result<tokio::io::Ready>| ready.is_ok_and(tokio::io::Ready::is_read_closed);
        let readable = Interest::READABLE;
        match &mut *self.socket.borrow_mut() {
            Socket::Tcp(stream) => poll_once(stream.ready(readable)).is_some_and(closed),
            Socket::Unix(stream) => poll_once(stream.ready(readable)).is_some_and(closed),
            Socket::Over(stream) => stream.is_read_closed(),
        }
    }

    /// Whether nothing has come in on a connection that should be silent.
    pub fn is_quiet(&self) -> bool {
        poll_once(poll_fn(|context| self.poll_readable(context))).is_none()
    }

    /// Sends FIN; the peer may go on sending.
    pub async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_shutdown(context)).await
    }

    pub fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(context))
    }

    /// Makes the coming close send RST, so that the peer sees ECONNRESET and not an orderly end.
    pub fn reset_on_close(&self) {
        self.socket.borrow_mut().reset_on_close();
    }

    /// The socket, for what is to be carried by it.
    pub fn into_socket(self) -> Socket {
        self.socket.into_inner()
    }

    /// Waits for the peer's next bytes and shows what is there of them, which a read still gives.
    /// 0 at its end. Of a carried stream nothing can be shown.
    pub async fn peek(&self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await?;
            let peeked = match &*self.socket.borrow() {
                Socket::Tcp(stream) => stream.try_io(Interest::READABLE, || peek(stream, room)),
                Socket::Unix(stream) => stream.try_io(Interest::READABLE, || peek(stream, room)),
                Socket::Over(_) => return Err(io::ErrorKind::Unsupported.into()),
            };
            match peeked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return peeked,
            }
        }
    }

    /// Whether bytes of the peer wait in the system that the runtime has not told of yet: asked where
    /// a connection is about to be closed as idle, which would reset them. What is carried by another
    /// connection cannot tell.
    pub fn has_unseen_input(&self) -> bool {
        let mut room = [0];
        let peeked = match &*self.socket.borrow() {
            Socket::Tcp(stream) => peek(stream, &mut room),
            Socket::Unix(stream) => peek(stream, &mut room),
            Socket::Over(_) => return false,
        };
        peeked.is_ok_and(|count| count > 0)
    }

    /// Reads past bytes that were shown.
    pub async fn skip(&self, mut count: usize) -> io::Result<()> {
        let mut part = [0; 256];
        while count > 0 {
            let most = count.min(part.len());
            let mut room = ReadBuf::new(&mut part[..most]);
            poll_fn(|context| self.with(|stream| stream.poll_read(context, &mut room))).await?;
            let read = room.filled().len();
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            count -= read;
        }
        Ok(())
    }
}

fn peek(socket: &impl AsFd, room: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(socket, room, rustix::net::RecvFlags::PEEK)?;
    Ok(count)
}

/// One poll of a future that is not awaited. Outside of tokio's budget, whose end would look like
/// "not ready".
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(tokio::task::unconstrained(future)).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Both directions of a stream, behind one pointer.
trait Duplex: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Duplex for T {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_a_grown_one_is_not() {
        let pool = BufferPool::default();
        let mut buffer = pool.take();
        assert!(buffer.make_room(BUFFER_BYTES));
        buffer.end = BUFFER_BYTES;
        assert!(!buffer.make_room(BUFFER_BYTES) && buffer.make_room(1 << 20));
        drop(buffer);
        assert!(pool.kept.borrow().is_empty());
        drop(pool.take());
        assert_eq!(pool.kept.borrow().len(), 1);
    }

    #[tokio::test]
    async fn a_reset_that_a_write_has_met_is_no_orderly_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = Stream::new(Socket::Tcp(TcpStream::connect(address).await.unwrap()));
        let (peer, _) = listener.accept().unwrap();
        let at_once = Some(Duration::ZERO);
        socket2::SockRef::from(&peer).set_linger(at_once).unwrap();
        drop(peer);
        let reset = io::ErrorKind::ConnectionReset;
        assert_eq!(stream.write_all(b"x").await.unwrap_err().kind(), reset);
        let mut buffer = BufferPool::default().take();
        assert_eq!(stream.read(&mut buffer).await.unwrap_err().kind(), reset);
    }

    #[test]
    fn consuming_and_shrinking_keep_the_rest() {
        let pool = BufferPool::default();
        let mut buffer = pool.take();
        buffer.bytes[..6].copy_from_slice(b"abcdef");
        buffer.end = 6;
        buffer.consume(2);
        buffer.shrink();
        assert_eq!(&buffer[..], b"cdef");
        assert_eq!(pool.kept.borrow().len(), 1);
        assert!(buffer.make_room(BUFFER_BYTES) && buffer.bytes.len() >= BUFFER_BYTES);
        buffer.consume(9);
        assert!(buffer.is_empty());
    }
}
