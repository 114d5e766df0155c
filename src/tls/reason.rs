//! Why a handshake failed, as an operator would say it.

use std::io;

use rustls::{
    AlertDescription, CertificateError, Error as TlsError, InvalidMessage, PeerIncompatible,
};

/// What a failed handshake tells of the peer.
pub fn reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|it| it.downcast_ref::<TlsError>());
    match inner {
        Some(error) => of_tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection in the middle of the handshake".to_owned()
        }
        None => error.to_string(),
    }
}

fn of_tls(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(why) => of_certificate(why),
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS".to_owned()
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            "it asks for a client certificate".to_owned()
        }
        TlsError::AlertReceived(alert) => format!("it refused with the alert {alert:?}"),
        TlsError::NoApplicationProtocol
        | TlsError::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            format!("it has nothing in common with us: {error}")
        }
        other => other.to_string(),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    let day = |time: rustls::pki_types::UnixTime| {
        let since = std::time::UNIX_EPOCH + std::time::Duration::from_secs(time.as_secs());
        humantime::format_rfc3339_seconds(since).to_string()
    };
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate expired at {}", day(*not_after))
        }
        CertificateError::Expired => "its certificate has expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is valid from {} on", day(*not_before))
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            // Written as `DnsName("one.test")`.
            let quoted = |it: &'_ String| it.split('"').nth(1).unwrap_or(it).to_owned();
            let names = presented.iter().map(quoted).collect::<Vec<_>>().join(", ");
            let names = if names.is_empty() { "no name" } else { &names };
            format!(
                "its certificate is for {names}, not for {}",
                expected.to_str()
            )
        }
        // The second where an authority was made anew under its old name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is self-signed, or signed by no authority that is trusted".to_owned()
        }
        // webpki has no public name for it among rustls' errors.
        CertificateError::Other(error) if error.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is an authority's (CA:TRUE), which stands for no server".to_owned()
        }
        other => format!("its certificate is not to be trusted: {other}"),
    }
}
