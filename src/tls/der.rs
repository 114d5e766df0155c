//! The little of DER (X.690) that certificates are read by, where the TLS library tells less than
//! they hold.

pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]`, the version, which the first certificates do not have.
const VERSION: u8 = 0xa0;

/// What follows the issuer in a certificate (RFC 5280 §4.1): its validity, its subject, and so on.
pub(super) fn after_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (body, _) = expect(certificate, SEQUENCE)?;
    let mut rest = body;
    if rest.first() == Some(&VERSION) {
        (_, _, rest) = element(rest)?;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    Some(rest)
}

/// An element of this kind: its content, and what follows it.
pub(super) fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// One element of DER: its tag, its content, and what follows it.
pub(super) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, bytes) = bytes.split_first()?;
    let (first, mut bytes) = bytes.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        let digits;
        (digits, bytes) = bytes.split_at_checked(length & 0x7f)?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
    }
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((*tag, content, rest))
}
