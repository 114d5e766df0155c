//! Connections to a sidecar.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::Address;
use crate::tls::ClientTls;

/// Bytes both ways, whatever carries them.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

pub(super) async fn connect(
    address: &Address,
    tls: Option<&ClientTls>,
) -> io::Result<Box<dyn Carrier>> {
    match address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp { authority, .. } => {
            let stream = TcpStream::connect(authority.as_str()).await?;
            // Requests are small and waited for.
            stream.set_nodelay(true)?;
            match tls {
                Some(tls) => Ok(Box::new(tls.handshake(address.name(), stream).await?)),
                None => Ok(Box::new(stream)),
            }
        }
    }
}
