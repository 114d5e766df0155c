//! Upstreams: one whose connections the test holds in its own hands, and one that answers by
//! itself and counts what it saw.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Message, PATIENCE, Wire};

/// A scripted upstream: the test accepts, reads and answers.
#[derive(Debug)]
pub(crate) struct Upstream {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Upstream {
    pub(crate) fn scripted() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    fn try_accept(&self) -> Option<Wire> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                Some(Wire::new(stream))
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                None
            }
        }
    }

    #[track_caller]
    pub(crate) fn accept(&self) -> Wire {
        let start = Instant::now();
        loop {
            if let Some(wire) = self.try_accept() {
                return wire;
            }
            assert!(start.elapsed() < PATIENCE, "nobody connects");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Asserts that no connection is waiting to be accepted.
    #[track_caller]
    pub(crate) fn is_untouched(&self) {
        if let Some(mut wire) = self.try_accept() {
            panic!("the upstream was reached: {:?}", wire.next_head());
        }
    }

    /// Gives the port back, so that connections are refused.
    pub(crate) fn refusing() -> SocketAddr {
        Self::scripted().address
    }
}

/// An upstream that answers every request by itself, on as many connections as come.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<Message>>,
}

impl Serving {
    /// Answers with what `answer` makes of a request, whole.
    pub(crate) fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let serving = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let (seen, answer) = (serving.seen.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || serve(Wire::new(stream), &seen, &*answer));
            }
        });
        serving
    }

    /// 200 with the target of the request as its body.
    pub(crate) fn echo() -> Self {
        Self::answering(|request| {
            let target = request.head.split(' ').nth(1).unwrap();
            let length = target.len();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}").into_bytes()
        })
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// All requests so far, in the order in which they were whole.
    pub(crate) fn requests(&self) -> Vec<Message> {
        self.seen.requests.lock().unwrap().clone()
    }
}

fn serve(mut wire: Wire, seen: &Seen, answer: &dyn Fn(&Message) -> Vec<u8>) {
    while let Some(request) = wire.request() {
        let bytes = answer(&request);
        seen.requests.lock().unwrap().push(request);
        if wire.try_send(bytes).is_err() {
            return;
        }
    }
}
