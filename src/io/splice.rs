//! Bytes that pass from one socket to another inside the kernel, through a pipe (`splice(2)`): for
//! bulk that nobody here reads. What takes part are plain sockets; who carries a stream over
//! another one must see its bytes.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::io::{Socket, Stream};

/// What one pipe is asked to hold. The kernel gives 64 KiB where a user holds many.
const PIPE_BYTES: usize = 256 * 1024;
/// Pipes of one worker, those in use included: each is two descriptors and as much of the kernel's
/// memory as a slow reader leaves in it. Who gets none copies.
const MOST_PIPES: usize = 32;

/// The pipes of a worker.
#[derive(Clone, Debug, Default)]
pub struct PipePool(Rc<Pipes>);

#[derive(Debug, Default)]
struct Pipes {
    idle: RefCell<Vec<Ends>>,
    made: Cell<usize>,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl PipePool {
    /// An empty pipe; `None` where there are enough already, or the system has no more.
    pub fn take(&self) -> Option<Pipe> {
        let kept = self.0.idle.borrow_mut().pop();
        let ends = match kept {
            Some(ends) => ends,
            None if self.0.made.get() < MOST_PIPES => {
                let ends = Ends::new()?;
                self.0.made.set(self.0.made.get() + 1);
                ends
            }
            None => return None,
        };
        Some(Pipe {
            ends: Some(ends),
            held: 0,
            pool: self.clone(),
        })
    }
}

impl Ends {
    fn new() -> Option<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        // Refused to a user with many pipes; it works with its first size too.
        crate::error::ignore(fcntl_setpipe_size(&write, PIPE_BYTES));
        Some(Self { read, write })
    }
}

/// A pipe, and how many bytes wait in it. One that still holds some when it is dropped is closed.
#[derive(Debug)]
pub struct Pipe {
    ends: Option<Ends>,
    held: usize,
    pool: PipePool,
}

impl Pipe {
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Bytes that wait in it.
    pub fn held(&self) -> usize {
        self.held
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let pool = &self.pool.0;
        match self.ends.take() {
            Some(ends) if self.held == 0 => pool.idle.borrow_mut().push(ends),
            _ => pool.made.set(pool.made.get() - 1),
        }
    }
}

/// Whether the system's sockets cannot do it: then what has come is still unread.
pub fn is_refused(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, Unsupported};
    matches!(error.kind(), InvalidInput | Unsupported)
}

impl Stream {
    /// Whether it is a socket, whose bytes can pass without being read here.
    pub fn is_plain(&self) -> bool {
        !matches!(&*self.socket.borrow(), Socket::Over(_))
    }

    /// Moves what has come in, `most` bytes of it, into an empty pipe. `Ok(0)` is the peer's end.
    pub fn poll_splice_in(
        &self,
        context: &mut Context<'_>,
        pipe: &mut Pipe,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(pipe.is_empty(), "a full pipe looks like a silent socket");
        let Some(ends) = &pipe.ends else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let most = usize::try_from(most).map_or(PIPE_BYTES, |most| most.min(PIPE_BYTES));
        let moved = self.poll_raw(context, Interest::READABLE, |socket| {
            splice(socket, None, &ends.write, None, most, SpliceFlags::NONBLOCK)
        });
        let count = ready!(moved)?;
        pipe.held = count;
        Poll::Ready(Ok(count))
    }

    /// Moves bytes out of a pipe that is not empty: as many as the peer takes now.
    pub fn poll_splice_out(
        &self,
        context: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        let Some(ends) = &pipe.ends else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let held = pipe.held;
        let moved = self.poll_raw(context, Interest::WRITABLE, |socket| {
            splice(&ends.read, None, socket, None, held, SpliceFlags::NONBLOCK)
        });
        let count = ready!(self.note(moved))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        pipe.held -= count;
        Poll::Ready(Ok(count))
    }

    /// Whether the peer has sent nothing that is still unread, by a look that takes nothing. Reads
    /// of an exact length leave the runtime believing that there may be more.
    pub fn is_drained(&self) -> bool {
        let look = |socket: BorrowedFd<'_>| {
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            rustix::net::recv(socket, &mut [0u8; 1], flags).map(|(count, _)| count)
        };
        let looked = match &*self.socket.borrow() {
            Socket::Tcp(stream) => try_tcp(stream, Interest::READABLE, look),
            Socket::Unix(stream) => try_unix(stream, Interest::READABLE, look),
            Socket::Over(_) => return false,
        };
        looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// A system call on the socket, once it is ready for it.
    fn poll_raw(
        &self,
        context: &mut Context<'_>,
        interest: Interest,
        call: impl Fn(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let reads = interest.is_readable();
            let done = match &*self.socket.borrow() {
                Socket::Tcp(stream) => {
                    ready!(if reads {
                        stream.poll_read_ready(context)
                    } else {
                        stream.poll_write_ready(context)
                    })?;
                    try_tcp(stream, interest, &call)
                }
                Socket::Unix(stream) => {
                    ready!(if reads {
                        stream.poll_read_ready(context)
                    } else {
                        stream.poll_write_ready(context)
                    })?;
                    try_unix(stream, interest, &call)
                }
                Socket::Over(_) => Err(io::ErrorKind::Unsupported.into()),
            };
            match done {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

fn try_tcp(
    stream: &TcpStream,
    interest: Interest,
    call: impl Fn(BorrowedFd<'_>) -> Result<usize, Errno>,
) -> io::Result<usize> {
    stream.try_io(interest, || Ok(call(stream.as_fd())?))
}

fn try_unix(
    stream: &UnixStream,
    interest: Interest,
    call: impl Fn(BorrowedFd<'_>) -> Result<usize, Errno>,
) -> io::Result<usize> {
    stream.try_io(interest, || Ok(call(stream.as_fd())?))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_through_a_pipe_that_is_used_again() {
        let (mut source, left) = UnixStream::pair().unwrap();
        let (right, mut sink) = UnixStream::pair().unwrap();
        let (left, right) = (
            Stream::new(Socket::Unix(left)),
            Stream::new(Socket::Unix(right)),
        );
        let pool = PipePool::default();
        for text in [&b"first"[..], b"second"] {
            source.write_all(text).await.unwrap();
            let mut pipe = pool.take().unwrap();
            let most = text.len() as u64;
            let moved = poll_fn(|context| left.poll_splice_in(context, &mut pipe, most)).await;
            assert_eq!(moved.unwrap(), text.len());
            assert!(left.is_drained());
            while !pipe.is_empty() {
                poll_fn(|context| right.poll_splice_out(context, &mut pipe))
                    .await
                    .unwrap();
            }
            let mut got = vec![0; text.len()];
            sink.read_exact(&mut got).await.unwrap();
            assert_eq!(got, text);
        }
        assert_eq!((pool.0.made.get(), pool.0.idle.borrow().len()), (1, 1));
    }

    #[tokio::test]
    async fn a_pipe_that_holds_bytes_is_not_used_again() {
        let (mut source, left) = UnixStream::pair().unwrap();
        let left = Stream::new(Socket::Unix(left));
        let pool = PipePool::default();
        source.write_all(b"held").await.unwrap();
        let mut pipe = pool.take().unwrap();
        poll_fn(|context| left.poll_splice_in(context, &mut pipe, 2))
            .await
            .unwrap();
        assert!(!left.is_drained());
        drop(pipe);
        assert_eq!((pool.0.made.get(), pool.0.idle.borrow().len()), (0, 0));
    }

    #[test]
    fn there_are_so_many_pipes_and_no_more() {
        let pool = PipePool::default();
        let pipes: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(pipes.len(), MOST_PIPES);
        drop(pipes);
        assert_eq!(pool.0.idle.borrow().len(), MOST_PIPES);
    }
}
