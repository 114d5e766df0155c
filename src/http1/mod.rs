//! HTTP/1.1 on httparse, both sides: strict framing, heads passed through byte for byte.
