//! The context of a trace as heads carry it: W3C Trace Context, `traceparent`.

use serde::Serialize;

use crate::units::hex;

/// The header's name.
pub const TRACEPARENT: &str = "traceparent";

/// What a caller's `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub flags: u8,
}

impl Parent {
    /// Reads the header's value; `None` for what the standard says to ignore: other forms, zeros,
    /// version 255. Later versions are read as far as this one goes.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let (text, rest) = value.split_at_checked(55)?;
        if text[2] != b'-' || text[35] != b'-' || text[52] != b'-' {
            return None;
        }
        let version = bytes::<1>(&text[..2])?[0];
        let fits = match version {
            0 => rest.is_empty(),
            255 => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let parent = Self {
            trace: bytes(&text[3..35])?,
            span: bytes(&text[36..52])?,
            flags: bytes::<1>(&text[53..])?[0],
        };
        (fits && parent.trace != [0; 16] && parent.span != [0; 8]).then_some(parent)
    }

    /// Whether the caller records its span, so that ours has a place in the trace.
    pub const fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

/// Lower-case hexadecimal digits only, as the standard has it.
fn bytes<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |it: u8| match it {
        b'0'..=b'9' => Some(it - b'0'),
        b'a'..=b'f' => Some(it - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (text.len() == 2 * N).then_some(out)
}

/// The place of a call in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace: [u8; 16],
    /// The call's own span.
    pub span: [u8; 8],
    /// The caller's span, where the caller began the trace.
    pub parent: Option<[u8; 8]>,
    pub flags: u8,
}

impl TraceContext {
    /// What the upstream is told: our span is the parent of its spans.
    pub fn header(&self) -> String {
        format!(
            "00-{}-{}-{:02x}",
            hex(&self.trace),
            hex(&self.span),
            self.flags
        )
    }

    /// The trace's id in hexadecimal, as tools show it.
    pub fn trace_id(&self) -> String {
        hex(&self.trace)
    }
}

/// As the decision log shows it.
impl Serialize for TraceContext {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", hex(&self.trace), hex(&self.span)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_examples_of_the_standard() {
        let parent = Parent::parse(GOOD.as_bytes()).unwrap();
        assert!(parent.is_sampled());
        let context = TraceContext {
            trace: parent.trace,
            span: parent.span,
            parent: None,
            flags: parent.flags,
        };
        assert_eq!(context.header(), GOOD);
        let reads = |text: &str| Parent::parse(text.as_bytes()).is_some();
        assert!(reads(
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00 "
        ));
        assert!(reads(&GOOD.replacen("00", "cc", 1)));
        assert!(reads(&(GOOD.replacen("00", "cc", 1) + "-what-comes")));
        for bad in [
            "",
            "00",
            &GOOD.replacen("00", "ff", 1),
            &(GOOD.to_owned() + "-more"),
            &(GOOD.replacen("00", "cc", 1) + "more"),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-001",
        ] {
            assert!(!reads(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_stand_in_a_header(value: Vec<u8>) {
            Parent::parse(&value);
        }

        #[test]
        fn what_is_written_is_read(trace: [u8; 16], span: [u8; 8], flags: u8) {
            let context = TraceContext { trace, span, parent: None, flags };
            let expected = (trace != [0; 16] && span != [0; 8]).then_some(Parent { trace, span, flags });
            prop_assert_eq!(Parent::parse(context.header().as_bytes()), expected);
        }
    }
}
