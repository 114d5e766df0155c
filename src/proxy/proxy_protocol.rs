//! The PROXY protocol, in which a load balancer tells whose connection it passes on: versions 1
//! (text) and 2 (binary), as its specification in the documentation of `HAProxy` says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How version 2 begins (§2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const TEXT: &[u8] = b"PROXY ";
/// The longest line of version 1, with its end (§2.1).
const MOST_TEXT: usize = 107;
/// The addresses of unix sockets take 216 bytes; what may follow them is read past.
const MOST_BINARY: usize = 4096;

/// What stands at the start of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// So many bytes, and the client's address where it is told: not for the load balancer's own
    /// checks.
    Header {
        len: usize,
        peer: Option<SocketAddr>,
    },
    /// All of it belongs to a header, and there is more to come.
    Incomplete,
}

/// The bytes begin no connection of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY protocol: {0}")]
pub(super) struct Malformed(&'static str);

/// Reads a header from the start of a connection.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let begins = |with: &[u8]| with.starts_with(&bytes[..bytes.len().min(with.len())]);
    if begins(SIGNATURE) {
        binary(bytes)
    } else if begins(TEXT) {
        text(bytes)
    } else {
        Err(Malformed("the connection begins with something else"))
    }
}

fn text(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let Some(end) = bytes.windows(2).position(|it| it == b"\r\n") else {
        return if bytes.len() < MOST_TEXT {
            Ok(Parsed::Incomplete)
        } else {
            Err(Malformed("the line is too long"))
        };
    };
    let len = end + 2;
    if len > MOST_TEXT {
        return Err(Malformed("the line is too long"));
    }
    let line = std::str::from_utf8(&bytes[TEXT.len()..end]);
    let mut words = line
        .map_err(|_| Malformed("the line is no text"))?
        .split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Parsed::Header { len, peer: None });
    }
    let peer = (|| {
        let source: IpAddr = words.next()?.parse().ok()?;
        let destination: IpAddr = words.next()?.parse().ok()?;
        let port = port(words.next()?)?;
        self::port(words.next()?)?;
        let fits = match family {
            "TCP4" => source.is_ipv4() && destination.is_ipv4(),
            "TCP6" => source.is_ipv6() && destination.is_ipv6(),
            _ => false,
        };
        (fits && words.next().is_none()).then_some(SocketAddr::new(source, port))
    })();
    match peer {
        Some(peer) => Ok(Parsed::Header {
            len,
            peer: Some(peer),
        }),
        None => Err(Malformed("the addresses cannot be read")),
    }
}

/// Digits alone: the standard library would take a sign too.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|it| it.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn binary(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let Some((head, rest)) = bytes.split_first_chunk::<16>() else {
        return Ok(Parsed::Incomplete);
    };
    let [.., command, family, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MOST_BINARY {
        return Err(Malformed("the header is too long"));
    }
    if command >> 4 != 2 {
        return Err(Malformed("the version is unknown"));
    }
    let Some(body) = rest.get(..length) else {
        return Ok(Parsed::Incomplete);
    };
    let short = Malformed("the addresses are cut off");
    let peer = match (command & 0x0f, family) {
        // LOCAL: the load balancer speaks for itself.
        (0, _) => None,
        (1, 0x11) => {
            let (ip, _) = body.split_first_chunk::<4>().ok_or(short)?;
            let port = body.get(8..12).ok_or(short)?;
            Some(SocketAddr::new(Ipv4Addr::from(*ip).into(), join(port)))
        }
        (1, 0x21) => {
            let (ip, _) = body.split_first_chunk::<16>().ok_or(short)?;
            let port = body.get(32..36).ok_or(short)?;
            Some(SocketAddr::new(Ipv6Addr::from(*ip).into(), join(port)))
        }
        // Not told, over unix sockets, or as datagrams: the connection counts as the sender's.
        (1, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => None,
        (1, _) => return Err(Malformed("the address family is unknown")),
        _ => return Err(Malformed("the command is unknown")),
    };
    Ok(Parsed::Header {
        len: 16 + length,
        peer,
    })
}

fn join(port: &[u8]) -> u16 {
    match *port {
        [high, low, ..] => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn peer(bytes: &[u8]) -> Option<String> {
        match parse(bytes).unwrap() {
            Parsed::Header { len, peer } => {
                assert_eq!(len, bytes.len());
                peer.map(|it| it.to_string())
            }
            Parsed::Incomplete => panic!("incomplete"),
        }
    }

    #[test]
    fn both_versions_tell_the_client() {
        let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n";
        assert_eq!(peer(line).unwrap(), "192.0.2.1:56324");
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
        assert_eq!(peer(line).unwrap(), "[2001:db8::1]:1");
        assert_eq!(peer(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(peer(b"PROXY UNKNOWN ffff:: ::1 1 2\r\n"), None);
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 0x04, 1, 187];
        assert_eq!(peer(&v2(0x21, 0x11, &four)).unwrap(), "192.0.2.1:56324");
        let mut six = [0; 36];
        (six[15], six[33]) = (1, 80);
        assert_eq!(peer(&v2(0x21, 0x21, &six)).unwrap(), "[::1]:80");
        // With a field behind the addresses that nobody asked for.
        let more = [&four[..], &[4, 0, 1, 9]].concat();
        assert_eq!(peer(&v2(0x21, 0x11, &more)).unwrap(), "192.0.2.1:56324");
        for local in [v2(0x20, 0, &[]), v2(0x20, 0x11, &four), v2(0x21, 0, &[])] {
            assert_eq!(peer(&local), None);
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        let malformed: [&[u8]; 16] = [
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY \xff\r\n",
            long.as_bytes(),
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x41, &[0; 12]),
            &v2(0x21, 0x11, &[0; 5000]),
        ];
        for bytes in malformed {
            assert!(
                parse(bytes).is_err(),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    proptest! {
        #[test]
        fn any_split_reads_the_same(cut in 0..200_usize, binary: bool, behind in ".{0,20}") {
            let header = if binary {
                v2(0x21, 0x11, &[1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 8, 4, 0, 0])
            } else {
                b"PROXY TCP4 1.2.3.4 5.6.7.8 9 8\r\n".to_vec()
            };
            let all = [&header[..], behind.as_bytes()].concat();
            let peer = Some("1.2.3.4:9".parse().unwrap());
            let whole = Parsed::Header { len: header.len(), peer };
            prop_assert_eq!(parse(&all), Ok(whole));
            let cut = cut % all.len();
            let want = if cut < header.len() { Parsed::Incomplete } else { whole };
            prop_assert_eq!(parse(&all[..cut]), Ok(want));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes: Vec<u8>, signed: bool) {
            let start = if signed { SIGNATURE } else { TEXT };
            let all = [start, &bytes].concat();
            if let Ok(Parsed::Header { len, .. }) = parse(&all) {
                prop_assert!(len <= all.len());
            }
        }
    }
}
