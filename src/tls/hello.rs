//! Reads which host a client asks for, without taking part in its handshake.

use std::fmt;

use rustls::server::Acceptor;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// A `ClientHello`, and the host that it names.
    Hello(Option<Box<str>>),
    /// The beginning of one.
    Incomplete,
    /// Something else.
    None,
}

/// Reads a `ClientHello` that comes in any pieces, over several records too. Keeps at most one
/// message, of 64 KiB.
#[derive(Default)]
pub struct HelloReader(Acceptor);

impl HelloReader {
    /// Adds bytes. To be asked no more once it was told.
    pub fn push(&mut self, mut bytes: &[u8]) -> Hello {
        while !bytes.is_empty() {
            match self.0.read_tls(&mut bytes) {
                Ok(count) if count > 0 => {}
                _ => return Hello::None,
            }
            match self.0.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(Box::from);
                    return Hello::Hello(name);
                }
                Err(_) => return Hello::None,
            }
        }
        Hello::Incomplete
    }
}

impl fmt::Debug for HelloReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloReader").finish_non_exhaustive()
    }
}
