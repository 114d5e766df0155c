//! Addresses that an upstream must not lead to, whatever its name stands for: where the sidecar
//! itself takes orders.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// None, unless it is told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffLimits(Arc<[SocketAddr]>);

impl FromIterator<SocketAddr> for OffLimits {
    fn from_iter<I: IntoIterator<Item = SocketAddr>>(addresses: I) -> Self {
        Self(addresses.into_iter().collect())
    }
}

impl OffLimits {
    /// Whether a connection to this address may arrive at one of them. In doubt it may.
    pub fn covers(&self, address: SocketAddr) -> bool {
        let mut own = self.0.iter();
        own.any(|own| own.port() == address.port() && arrives(own.ip(), address))
    }

    /// The same of a host as it is written; of a name other than `localhost` only the resolver
    /// can tell.
    pub fn covers_host(&self, host: &str, port: u16) -> bool {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return self.covers((ip, port).into());
        }
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        host.trim_end_matches('.').eq_ignore_ascii_case("localhost")
            && loopback
                .into_iter()
                .any(|ip: IpAddr| self.covers((ip, port).into()))
    }
}

/// Whether what is sent to `to` arrives at a socket that is bound to `own`, at the same port.
fn arrives(own: IpAddr, to: SocketAddr) -> bool {
    let own = own.to_canonical();
    let ip = to.ip().to_canonical();
    // A connection to no address in particular goes to this machine.
    let here = ip.is_loopback() || ip.is_unspecified();
    if own.is_unspecified() {
        return here || is_of_this_machine(to);
    }
    own == ip || ip.is_unspecified() || (own.is_loopback() && here)
}

/// Only an address of this machine can be bound.
fn is_of_this_machine(mut address: SocketAddr) -> bool {
    address.set_port(0);
    UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(own: &str, to: &str) -> bool {
        let limits: OffLimits = [own.parse().unwrap()].into_iter().collect();
        limits.covers(to.parse().unwrap())
    }

    #[test]
    fn every_way_to_an_own_address_is_covered() {
        for own in ["127.0.0.1:9901", "[::1]:9901"] {
            for to in ["127.0.0.1", "127.0.0.2", "0.0.0.0", "[::]", "[::1]"] {
                assert!(covers(own, &format!("{to}:9901")), "{own} {to}");
                assert!(!covers(own, &format!("{to}:9902")), "{own} {to}");
            }
            assert!(covers(own, "[::ffff:127.0.0.1]:9901"));
            assert!(!covers(own, "192.0.2.1:9901"));
        }
        for own in ["0.0.0.0:9901", "[::]:9901"] {
            for to in ["127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]"] {
                assert!(covers(own, &format!("{to}:9901")), "{own} {to}");
            }
            // TEST-NET-1: no machine has it.
            assert!(!covers(own, "192.0.2.1:9901"), "{own}");
        }
        assert!(covers("192.0.2.1:9901", "192.0.2.1:9901"));
        assert!(covers("192.0.2.1:9901", "0.0.0.0:9901"));
        assert!(!covers("192.0.2.1:9901", "127.0.0.1:9901"));
    }

    #[test]
    fn a_host_is_an_address_or_the_name_of_this_machine() {
        let limits: OffLimits = ["127.0.0.1:9901".parse().unwrap()].into_iter().collect();
        for host in ["127.0.0.1", "localhost", "LocalHost.", "::ffff:127.0.0.1"] {
            assert!(limits.covers_host(host, 9901), "{host}");
            assert!(!limits.covers_host(host, 80), "{host}");
            assert!(!OffLimits::default().covers_host(host, 9901), "{host}");
        }
        assert!(!limits.covers_host("example.com", 9901));
    }
}
