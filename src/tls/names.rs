//! Whom a certificate is for.

use crate::tls::der::{SEQUENCE, after_issuer, element, expect};

const BOOLEAN: u8 = 0x01;
const OBJECT_ID: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const SET: u8 = 0x31;
/// `[3]`, a certificate's extensions.
const EXTENSIONS: u8 = 0xa3;
/// Of a general name (RFC 5280 §4.2.1.6): e-mail address, DNS name, URI.
const TEXT_NAMES: [u8; 3] = [0x81, 0x82, 0x86];
/// `UTF8String`, `PrintableString`, `IA5String`.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
/// 2.5.29.17
const ALTERNATIVE_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The DNS names, URIs and e-mail addresses that a certificate is for. The common name of its
/// subject counts only where it has no alternative name of any kind, as RFC 2818 §3.1 has it. Empty
/// where it cannot be read.
pub fn names(certificate: &[u8]) -> Vec<String> {
    read(certificate).unwrap_or_default()
}

fn read(certificate: &[u8]) -> Option<Vec<String>> {
    let rest = after_issuer(certificate)?;
    let (_, _, rest) = element(rest)?;
    let (subject, rest) = expect(rest, SEQUENCE)?;
    match alternative_names(rest)? {
        Alternative::Names(names) => Some(names),
        Alternative::Absent => common_name(subject),
    }
}

/// What a certificate's extension says of its names.
enum Alternative {
    Absent,
    Names(Vec<String>),
}

fn alternative_names(mut rest: &[u8]) -> Option<Alternative> {
    while !rest.is_empty() {
        let (tag, content, after) = element(rest)?;
        rest = after;
        if tag != EXTENSIONS {
            continue;
        }
        let (mut extensions, _) = expect(content, SEQUENCE)?;
        while !extensions.is_empty() {
            let (extension, after) = expect(extensions, SEQUENCE)?;
            extensions = after;
            let (id, mut value) = expect(extension, OBJECT_ID)?;
            if id != ALTERNATIVE_NAME {
                continue;
            }
            if let Some((_, after)) = expect(value, BOOLEAN) {
                value = after;
            }
            let (value, _) = expect(value, OCTET_STRING)?;
            let (value, _) = expect(value, SEQUENCE)?;
            return general_names(value).map(Alternative::Names);
        }
    }
    Some(Alternative::Absent)
}

fn general_names(mut rest: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (tag, content, after) = element(rest)?;
        rest = after;
        if TEXT_NAMES.contains(&tag) {
            names.push(std::str::from_utf8(content).ok()?.to_owned());
        }
    }
    Some(names)
}

/// The last one, which is the most specific; none where the subject has none.
fn common_name(mut subject: &[u8]) -> Option<Vec<String>> {
    let mut name = Vec::new();
    while !subject.is_empty() {
        let (set, after) = expect(subject, SET)?;
        subject = after;
        let (attribute, _) = expect(set, SEQUENCE)?;
        let (id, value) = expect(attribute, OBJECT_ID)?;
        if id == COMMON_NAME {
            let (tag, text, _) = element(value)?;
            let text = TEXTS.contains(&tag).then_some(text)?;
            name = vec![std::str::from_utf8(text).ok()?.to_owned()];
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(common_name: Option<&str>, alternative: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common_name {
            params
                .distinguished_name
                .push(DnType::OrganizationName, "o");
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = alternative;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_the_alternative_ones_else_the_common_one() {
        let dns = || SanType::DnsName("ops.example".try_into().unwrap());
        let uri = SanType::URI("spiffe://example/ops".try_into().unwrap());
        let mail = SanType::Rfc822Name("ops@example".try_into().unwrap());
        let address = || SanType::IpAddress([10, 0, 0, 1].into());
        assert_eq!(
            names(&certificate(
                Some("root"),
                vec![dns(), uri, mail, address()]
            )),
            ["ops.example", "spiffe://example/ops", "ops@example"]
        );
        assert_eq!(names(&certificate(Some("ops"), Vec::new())), ["ops"]);
        // It says whom it is for, and that has no name: the subject is not asked.
        let none: [&str; 0] = [];
        assert_eq!(names(&certificate(Some("root"), vec![address()])), none);
        assert_eq!(names(&certificate(None, Vec::new())), none);
        assert_eq!(names(b""), none);
    }

    proptest! {
        #[test]
        fn damage_gives_no_name_that_was_not_there_and_never_panics(
            at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400
        ) {
            let mut bytes = certificate(Some("ops"), vec![SanType::DnsName("a.example".try_into().unwrap())]);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut % bytes.len());
            drop(names(&bytes));
        }
    }
}
