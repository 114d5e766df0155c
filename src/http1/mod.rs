//! HTTP/1.1 on httparse, both sides: strict framing, heads passed through byte for byte.
//!
//! Nothing here does I/O. A head is parsed in the buffer that it was read into and described by
//! offsets, so that forwarding it is writing the same bytes again, less the hop-by-hop lines.
//! Framing follows RFC 9112 to the letter where a lenient reading would let one message pass for
//! two (request smuggling).

mod chunked;
mod edit;
mod fields;
mod framing;
pub mod fuzz;
mod head;
mod trailers;

pub use chunked::{ChunkedError, ChunkedScanner, chunk_header};
pub use edit::{
    Persistence, RequestEdit, ResponseEdit, rebuild_request, rebuild_response, strip_in_place,
};
pub use fields::FieldAt;
pub use framing::{BodyScanner, Framing, FramingError, Part, Scanned};
pub use head::{
    HeadError, MAX_FIELDS, Request, Response, Upgrade, leading_blank_lines, parse_request,
    parse_response,
};
pub use trailers::{Through, Trailers};
